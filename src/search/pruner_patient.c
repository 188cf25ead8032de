/*
** Patience: let another pruner decide (or stop the trial) only when the last
** reports brought nothing: the best of the last patience + 1 is worse than the
** best before them by more than min_delta.
**
** Several objectives: each of the last vectors is dominated, with min_delta to
** spare, by one before them, so that none adds to the hypervolume.
*/
#include <math.h>

#include "search/pruner.h"
#include "search/pruner_rank.h"

typedef struct patient {
  lm_pruner base;
  lm_pruner *wrapped;
  size_t patience, objectives;
  double min_delta[];
} patient;

/* Is report `later` worse than `earlier` in every objective, or as bad and worse in one, with min_delta to spare? */
static bool is_worse(const patient *p, const lm_trials *t, const lm_row *row, size_t earlier, size_t later) {
  bool worse = false;
  for (size_t i = 0; i < t->objectives; i++) {
    double delta = i < p->objectives ? p->min_delta[i] : 0;
    double before = lm_pruner_loss(t, row, earlier, i) + delta, after = lm_pruner_loss(t, row, later, i);
    if (!(before <= after)) return false; /* NaN is no proof of anything */
    if (before < after) worse = true;
  }
  return worse;
}

static bool has_nan(const lm_trials *t, const lm_row *row, size_t report) {
  for (size_t i = 0; i < t->objectives; i++) {
    if (isnan(lm_trials_report(t, row, report)[i])) return true;
  }
  return false;
}

/* Did the last reports bring nothing? Those with NaN say nothing. */
static bool stagnates(const patient *p, const lm_trials *t, const lm_row *row) {
  if (row->report_count <= p->patience + 1) return false;
  size_t split = row->report_count - p->patience - 1;
  bool any = false;
  for (size_t later = split; later < row->report_count; later++) {
    if (has_nan(t, row, later)) continue;
    any = true;
    bool worse = false;
    for (size_t earlier = 0; earlier < split && !worse; earlier++) worse = is_worse(p, t, row, earlier, later);
    if (!worse) return false;
  }
  return any;
}

static bool prune(lm_pruner *base, const lm_view *view) {
  const patient *p = (const patient *)base;
  if (!stagnates(p, view->trials, &view->trials->rows[view->number])) return false;
  return !p->wrapped || p->wrapped->class->prune(p->wrapped, view);
}

static lm_view_scope scope(lm_pruner *base, const lm_view *view) {
  lm_pruner *wrapped = ((const patient *)base)->wrapped;
  return wrapped && wrapped->class->scope ? wrapped->class->scope(wrapped, view) : (lm_view_scope){0};
}

static void free_patient(lm_pruner *base) {
  lm_pruner_free(((patient *)base)->wrapped);
  lm_free(base->allocator, base);
}

static const lm_pruner_class patient_class = {"patient", prune, free_patient, scope};

lm_pruner *lm_pruner_patient(const lm_allocator *a, lm_pruner *wrapped, int patience, const double *min_delta,
                             size_t objectives) {
  patient *p = lm_alloc_zeroed(a, sizeof *p + objectives * sizeof *p->min_delta);
  if (!p) return NULL;
  p->base = (lm_pruner){&patient_class, a};
  p->wrapped = wrapped;
  p->patience = patience > 0 ? (size_t)patience : 0;
  p->objectives = objectives;
  for (size_t i = 0; i < objectives; i++) p->min_delta[i] = min_delta ? min_delta[i] : 0;
  return &p->base;
}
