/*
** The percentile rule, with 50 the median rule: stop a trial whose best report
** so far is worse than the percentile of what complete trials reported at the
** same step. After D. Golovin et al., "Google Vizier: a service for black-box
** optimization", KDD 2017, in the form Optuna gives it.
**
** Several objectives: stop when more than this share of the complete trials'
** vectors at the step rank before the trial's best one (pruner_rank.h).
*/
#include <math.h>

#include "search/pruner.h"
#include "search/pruner_rank.h"

typedef struct percentile {
  lm_pruner base;
  lm_percentile_options options;
  double *values; /* scratch */
  size_t capacity;
} percentile;

void lm_percentile_options_default(lm_percentile_options *o) { *o = (lm_percentile_options){5, 0, 1, 1, 50}; }

/* The k-th smallest (k from 0) of the values, which are reordered (Hoare's selection). */
static double select_kth(double *v, size_t count, size_t k) {
  size_t low = 0, high = count - 1;
  while (low < high) {
    double pivot = v[low + (high - low) / 2];
    size_t i = low, j = high;
    for (;;) {
      while (v[i] < pivot) i++;
      while (v[j] > pivot) j--;
      if (i >= j) break;
      double kept = v[i];
      v[i++] = v[j];
      v[j--] = kept;
    }
    if (k <= j) {
      high = j;
    } else {
      low = j + 1;
    }
  }
  return v[k];
}

/* Linear between the order statistics, as numpy has it. */
static double percentile_of(double *v, size_t count, double percent) {
  double place = percent / 100 * (double)(count - 1);
  size_t k = (size_t)place;
  double share = place - (double)k;
  double lower = select_kth(v, count, k);
  if (share == 0) return lower;
  double upper = select_kth(v, count, k + 1);
  if (lower == upper) return lower;
  return share < 0.5 ? lower + (upper - lower) * share : upper - (upper - lower) * (1 - share);
}

/* Smaller is better. NaN only when nothing else was reported. */
static double best_so_far(const lm_row *row, bool maximize) {
  double best = NAN;
  for (size_t i = 0; i < row->report_count; i++) {
    double loss = maximize ? -row->reports[i].value : row->reports[i].value;
    if (isnan(best) || loss < best) best = loss;
  }
  return best;
}

/* What the complete trials reported at a step: those without NaN are in p->values. */
typedef struct peers {
  size_t complete, reported, count;
} peers;

static peers gather(percentile *p, const lm_view *view, long long step) {
  const lm_trials *t = view->trials;
  peers found = {0, 0, 0};
  size_t rows = lm_view_count(view), m = t->objectives;
  for (size_t i = 0; i < rows; i++) {
    if (lm_view_state(view, i) != LM_COMPLETE) continue;
    found.complete++;
    const lm_row *row = &t->rows[i];
    size_t at = lm_pruner_report_from(row, step);
    if (at == row->report_count || row->reports[at].step != step) continue;
    found.reported++;
    if (lm_pruner_losses(t, row, at, p->values + found.count * m)) found.count++;
  }
  return found;
}

static bool enough(const percentile *p, const peers *found) {
  return found->count > 0 && (long long)found->reported >= p->options.n_min_trials;
}

/* The trial's own reports without NaN come after the peers'. */
static bool prune_vectors(percentile *p, const lm_view *view, const peers *found) {
  const lm_trials *t = view->trials;
  const lm_row *own = &t->rows[view->number];
  size_t m = t->objectives, own_count = 0, better;
  double *vectors = p->values + found->count * m;
  for (size_t i = 0; i < own->report_count; i++) own_count += lm_pruner_losses(t, own, i, vectors + own_count * m);
  if (own_count == 0) return true;
  if (!enough(p, found)) return false;
  if (lm_pruner_better(p->base.allocator, p->values, found->count, vectors, own_count, m, &better)) return false;
  return (double)better > p->options.percentile / 100 * (double)(found->count - 1);
}

static bool prune(lm_pruner *base, const lm_view *view) {
  percentile *p = (percentile *)base;
  const lm_trials *t = view->trials;
  const lm_row *own = &t->rows[view->number];
  if (own->report_count == 0 || !lm_pruner_due(own, p->options.n_warmup_steps, p->options.interval_steps)) return false;
  size_t needed = (lm_view_count(view) + own->report_count + 1) * t->objectives;
  if (!lm_grow(base->allocator, &p->values, &p->capacity, needed, sizeof *p->values)) return false;
  peers found = gather(p, view, own->reports[own->report_count - 1].step);
  if (found.complete == 0 || (long long)found.complete < p->options.n_startup_trials) return false;
  if (t->objectives > 1) return prune_vectors(p, view, &found);
  double best = best_so_far(own, t->maximize[0]);
  if (isnan(best)) return true;
  return enough(p, &found) && best > percentile_of(p->values, found.count, p->options.percentile);
}

static void free_percentile(lm_pruner *base) {
  lm_free(base->allocator, ((percentile *)base)->values);
  lm_free(base->allocator, base);
}

static const lm_pruner_class percentile_class = {"percentile", prune, free_percentile, NULL};

lm_pruner *lm_pruner_percentile(const lm_allocator *a, const lm_percentile_options *o) {
  percentile *p = lm_alloc_zeroed(a, sizeof *p);
  if (!p) return NULL;
  p->base = (lm_pruner){&percentile_class, a};
  p->options = *o;
  return &p->base;
}
