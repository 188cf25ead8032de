/*
** The median rule: stop a trial whose best report so far is worse than the
** median of what complete trials reported at the same step. After D. Golovin et
** al., "Google Vizier: a service for black-box optimization", KDD 2017, in the
** form Optuna gives it.
*/
#include <math.h>

#include "search/pruner.h"

typedef struct median {
  lm_pruner base;
  lm_median_options options;
  double *values; /* scratch */
  size_t capacity;
} median;

void lm_median_options_default(lm_median_options *o) { *o = (lm_median_options){5, 0, 1, 1}; }

/* Is the last report the first at or after a step at which this pruner looks? */
static bool is_due(const lm_median_options *o, const lm_row *row) {
  long long step = row->reports[row->report_count - 1].step;
  if (step < o->n_warmup_steps) return false;
  long long interval = o->interval_steps > 0 ? o->interval_steps : 1;
  long long due = (step - o->n_warmup_steps) / interval * interval + o->n_warmup_steps;
  long long previous = row->report_count > 1 ? row->reports[row->report_count - 2].step : -1;
  return previous < due;
}

static const lm_report *report_at(const lm_row *row, long long step) {
  size_t low = 0, high = row->report_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (row->reports[middle].step < step) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < row->report_count && row->reports[low].step == step ? &row->reports[low] : NULL;
}

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

static double median_of(double *v, size_t count) {
  double upper = select_kth(v, count, count / 2);
  if (count % 2) return upper;
  double lower = select_kth(v, count, count / 2 - 1);
  return lower == upper ? lower : lower + (upper - lower) * 0.5;
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

static bool prune(lm_pruner *base, const lm_view *view) {
  median *p = (median *)base;
  const lm_trials *t = view->trials;
  const lm_row *own = &t->rows[view->number];
  if (t->objectives != 1 || own->report_count == 0 || !is_due(&p->options, own)) return false;
  size_t rows = lm_view_count(view), complete = 0, reported = 0, count = 0;
  if (!lm_grow(base->allocator, &p->values, &p->capacity, rows + 1, sizeof *p->values)) return false;
  long long step = own->reports[own->report_count - 1].step;
  for (size_t i = 0; i < rows; i++) {
    if (lm_view_state(view, i) != LM_COMPLETE) continue;
    complete++;
    const lm_report *r = report_at(&t->rows[i], step);
    if (!r) continue;
    reported++;
    if (!isnan(r->value)) p->values[count++] = t->maximize[0] ? -r->value : r->value;
  }
  if (complete == 0 || (long long)complete < p->options.n_startup_trials) return false;
  double best = best_so_far(own, t->maximize[0]);
  if (isnan(best)) return true;
  if (count == 0 || (long long)reported < p->options.n_min_trials) return false;
  return best > median_of(p->values, count);
}

static void free_median(lm_pruner *base) {
  lm_free(base->allocator, ((median *)base)->values);
  lm_free(base->allocator, base);
}

static const lm_pruner_class median_class = {"median", prune, free_median};

lm_pruner *lm_pruner_median(const lm_allocator *a, const lm_median_options *o) {
  median *p = lm_alloc_zeroed(a, sizeof *p);
  if (!p) return NULL;
  p->base = (lm_pruner){&median_class, a};
  p->options = *o;
  return &p->base;
}
