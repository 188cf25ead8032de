/*
** Thresholds: stop a trial whose last report is not a number or outside of
** its bounds; with several objectives, each within bounds of its own.
*/
#include <math.h>
#include <string.h>

#include "search/pruner.h"
#include "search/pruner_rank.h"

typedef struct threshold {
  lm_pruner base;
  size_t objectives;
  int n_warmup_steps, interval_steps;
  double bounds[]; /* lower ones, then upper ones */
} threshold;

static bool prune(lm_pruner *base, const lm_view *view) {
  const threshold *p = (const threshold *)base;
  const lm_trials *t = view->trials;
  const lm_row *own = &t->rows[view->number];
  if (own->report_count == 0 || !lm_pruner_due(own, p->n_warmup_steps, p->interval_steps)) return false;
  const double *values = lm_trials_report(t, own, own->report_count - 1);
  const double *lower = p->bounds, *upper = p->bounds + p->objectives;
  for (size_t i = 0; i < t->objectives && i < p->objectives; i++) {
    if (isnan(values[i]) || values[i] < lower[i] || values[i] > upper[i]) return true;
  }
  return false;
}

static void free_threshold(lm_pruner *base) { lm_free(base->allocator, base); }

static const lm_pruner_class threshold_class = {"threshold", prune, free_threshold, NULL};

lm_pruner *lm_pruner_threshold(const lm_allocator *a, const lm_threshold_options *o) {
  threshold *p = lm_alloc_zeroed(a, sizeof *p + 2 * o->objectives * sizeof *p->bounds);
  if (!p) return NULL;
  p->base = (lm_pruner){&threshold_class, a};
  p->objectives = o->objectives;
  p->n_warmup_steps = o->n_warmup_steps;
  p->interval_steps = o->interval_steps;
  memcpy(p->bounds, o->lower, o->objectives * sizeof *p->bounds);
  memcpy(p->bounds + o->objectives, o->upper, o->objectives * sizeof *p->bounds);
  return &p->base;
}
