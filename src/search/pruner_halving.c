/*
** Asynchronous successive halving: rung k is at step min_resource * eta^(rate +
** k), and a trial goes on from there when its value is among the best 1 / eta
** of all that came so far. L. Li et al., "A system for massively parallel
** hyperparameter tuning", MLSys 2020, in the form Optuna gives it: nothing is
** resumed, and the best at a rung always goes on.
**
** What a trial has at a rung is its first report at the rung's step or later,
** so rungs need no memory of their own: they follow from the reports.
**
** Several objectives: the best 1 / eta by the ranks of pruner_rank.h.
*/
#include <math.h>

#include "search/pruner.h"
#include "search/pruner_halving.h"
#include "search/pruner_rank.h"

/* The values of the trials that reached a step: their first reports from there on, in r->values. Not-a-number is none. */
static size_t gather(lm_rungs *r, const lm_view *view, long long step) {
  const lm_trials *t = view->trials;
  size_t count = 0, rows = lm_view_count(view);
  for (size_t i = 0; i < rows; i++) {
    const lm_row *row = &t->rows[i];
    if (row->report_count == 0 || row->reports[row->report_count - 1].step < step) continue;
    if (!lm_state_finished(lm_view_state(view, i))) continue;
    size_t at = lm_pruner_report_from(row, step);
    if (lm_pruner_losses(t, row, at, r->values + count * t->objectives)) count++;
  }
  return count;
}

/* How many of the values at a rung are better than the trial's, which come after them. */
static bool count_better(const lm_rungs *r, size_t count, size_t objectives, size_t *better) {
  const double *own = r->values + count * objectives;
  if (objectives > 1) return !lm_pruner_better(r->allocator, r->values, count, own, 1, objectives, better);
  *better = 0;
  for (size_t i = 0; i < count; i++) *better += r->values[i] < own[0];
  return true;
}

static bool ends_at(lm_rungs *r, const lm_view *view, long long step, size_t report) {
  const lm_trials *t = view->trials;
  const lm_row *own = &t->rows[view->number];
  size_t needed = (lm_view_count(view) + 1) * t->objectives, better;
  if (!lm_grow(r->allocator, &r->values, &r->capacity, needed, sizeof *r->values)) return false;
  size_t count = gather(r, view, step);
  if (!lm_pruner_losses(t, own, report, r->values + count * t->objectives)) return true;
  size_t competing = count + 1, promoted = competing / (size_t)r->reduction_factor;
  if (competing <= (size_t)r->bootstrap_count) return true;
  return count_better(r, count, t->objectives, &better) && better >= (promoted > 0 ? promoted : 1);
}

/*
** In number order the view does not change while the trial runs: a rung it
** passed it passes again, and one at which nobody asked is made up for. In
** order of arrival more may be known later, and a rung is judged once.
*/
bool lm_rungs_prune(lm_rungs *r, const lm_view *view) {
  const lm_row *own = &view->trials->rows[view->number];
  if (own->report_count == 0 || r->min_resource < 1) return false;
  long long last = own->reports[own->report_count - 1].step, step = r->min_resource;
  for (int k = 0; step <= last; k++) {
    if (k >= r->rate) {
      size_t report = lm_pruner_report_from(own, step);
      bool judged = view->arrival && report + 1 < own->report_count;
      if (!judged && ends_at(r, view, step, report)) return true;
    }
    if (step > last / r->reduction_factor) break;
    step *= r->reduction_factor;
  }
  return false;
}

typedef struct halving {
  lm_pruner base;
  lm_rungs rungs;
  bool automatic; /* the minimal resource is found in the trials */
  const lm_trials *trials;
  double birth;
  unsigned long long edits;
  size_t looked;
} halving;

void lm_halving_options_default(lm_halving_options *o) { *o = (lm_halving_options){0, 4, 0, 0}; }

/* Optuna takes the longest of the complete trials when it first looks: the first one, unless somebody added more. */
static long long find_resource(halving *p, const lm_view *view) {
  const lm_trials *t = view->trials;
  if (p->trials != t || p->birth != t->birth || p->edits != t->edits) p->looked = 0;
  p->trials = t;
  p->birth = t->birth;
  p->edits = t->edits;
  long long row = lm_pruner_first_reporter(view, &p->looked);
  if (row < 0) return 0;
  long long last = t->rows[row].reports[t->rows[row].report_count - 1].step;
  return last / 100 > 1 ? last / 100 : 1;
}

static bool prune(lm_pruner *base, const lm_view *view) {
  halving *p = (halving *)base;
  if (p->automatic) p->rungs.min_resource = find_resource(p, view);
  return lm_rungs_prune(&p->rungs, view);
}

static void free_halving(lm_pruner *base) {
  lm_free(base->allocator, ((halving *)base)->rungs.values);
  lm_free(base->allocator, base);
}

static const lm_pruner_class halving_class = {"successive_halving", prune, free_halving, NULL};

lm_pruner *lm_pruner_successive_halving(const lm_allocator *a, const lm_halving_options *o) {
  halving *p = lm_alloc_zeroed(a, sizeof *p);
  if (!p) return NULL;
  p->base = (lm_pruner){&halving_class, a};
  p->automatic = o->min_resource < 1;
  int factor = o->reduction_factor > 2 ? o->reduction_factor : 2;
  p->rungs = (lm_rungs){a, o->min_resource, factor, o->min_early_stopping_rate, o->bootstrap_count, NULL, 0};
  return &p->base;
}
