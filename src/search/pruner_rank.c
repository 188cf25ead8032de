#include "search/pruner_rank.h"

#include <math.h>
#include <string.h>

#include "search/pareto.h"

bool lm_pruner_due(const lm_row *row, long long n_warmup_steps, long long interval_steps) {
  long long step = row->reports[row->report_count - 1].step;
  if (step < n_warmup_steps) return false;
  long long interval = interval_steps > 0 ? interval_steps : 1;
  long long due = (step - n_warmup_steps) / interval * interval + n_warmup_steps;
  long long previous = row->report_count > 1 ? row->reports[row->report_count - 2].step : -1;
  return previous < due;
}

size_t lm_pruner_report_from(const lm_row *row, long long step) {
  size_t low = 0, high = row->report_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (row->reports[middle].step < step) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

double lm_pruner_loss(const lm_trials *t, const lm_row *row, size_t report, size_t objective) {
  double value = lm_trials_report(t, row, report)[objective];
  return t->maximize[objective] ? -value : value;
}

bool lm_pruner_losses(const lm_trials *t, const lm_row *row, size_t report, double *losses) {
  bool numbers = true;
  for (size_t i = 0; i < t->objectives; i++) {
    losses[i] = lm_pruner_loss(t, row, report, i);
    numbers = numbers && !isnan(losses[i]);
  }
  return numbers;
}

/* --- ranks of vectors --- */

typedef struct ranking {
  const double *points;
  const size_t *levels;
  size_t count, objectives;
  size_t *items;     /* count + 1 */
  double *members;   /* (count + 1) x objectives: of one level, the trial's own last */
  double *column;    /* count + 1 */
  double *distances; /* count + 1 */
} ranking;

/* Crowding distances of `count` members. */
static void crowd(const ranking *r, size_t count) {
  size_t m = r->objectives;
  for (size_t i = 0; i < count; i++) r->distances[i] = 0;
  for (size_t k = 0; k < m; k++) {
    for (size_t i = 0; i < count; i++) r->column[i] = r->members[i * m + k];
    lm_pareto_sort(r->column, 1, r->items, count);
    double low = r->column[r->items[0]], high = r->column[r->items[count - 1]], range = high - low;
    r->distances[r->items[0]] = r->distances[r->items[count - 1]] = INFINITY;
    if (!(range > 0) || !isfinite(range)) continue;
    for (size_t i = 1; i + 1 < count; i++) {
      double gap = r->column[r->items[i + 1]] - r->column[r->items[i - 1]];
      r->distances[r->items[i]] += gap / range;
    }
  }
}

static size_t better_than(const ranking *r, const double *own) {
  size_t m = r->objectives, level = 0, better = 0, members = 0;
  for (size_t i = 0; i < r->count; i++) {
    if (r->levels[i] >= level && lm_pareto_dominates(r->points + i * m, own, m)) level = r->levels[i] + 1;
  }
  for (size_t i = 0; i < r->count; i++) {
    const double *point = r->points + i * m;
    better += r->levels[i] < level;
    if (r->levels[i] != level || lm_pareto_dominates(own, point, m) || lm_pareto_same(own, point, m)) continue;
    memcpy(r->members + members++ * m, point, m * sizeof *own);
  }
  memcpy(r->members + members * m, own, m * sizeof *own);
  crowd(r, members + 1);
  for (size_t i = 0; i < members; i++) better += r->distances[i] > r->distances[members];
  return better;
}

lmopt_status lm_pruner_better(const lm_allocator *a, const double *points, size_t count, const double *own,
                              size_t own_count, size_t objectives, size_t *better) {
  size_t m = objectives;
  size_t *levels = lm_alloc(a, (2 * count + 1) * sizeof *levels);
  double *work = lm_alloc(a, (count + 1) * (m + 2) * sizeof *work);
  lmopt_status status = levels && work ? LMOPT_OK : LMOPT_NO_MEMORY;
  if (!status) status = lm_pareto_ranks(a, points, count, m, count, levels);
  if (!status) {
    double *column = work + (count + 1) * m;
    ranking r = {points, levels, count, m, levels + count, work, column, column + count + 1};
    *better = count;
    for (size_t i = 0; i<own_count && * better> 0; i++) {
      bool dominated = false;
      for (size_t k = 0; k < own_count && !dominated; k++) dominated = lm_pareto_dominates(own + k * m, own + i * m, m);
      if (dominated) continue;
      size_t found = better_than(&r, own + i * m);
      if (found < *better) *better = found;
    }
  }
  lm_free(a, work);
  lm_free(a, levels);
  return status;
}

long long lm_pruner_first_reporter(const lm_view *view, size_t *looked) {
  const lm_trials *t = view->trials;
  size_t rows = lm_view_count(view);
  if (view->arrival) *looked = 0; /* what was running may be complete now */
  for (size_t row = *looked; row < rows; row++) {
    if (!view->arrival && (long long)row > view->horizon) break;
    lm_state state = lm_view_state(view, row);
    if (state == LM_COMPLETE && t->rows[row].report_count > 0) return (long long)row;
    if (row == *looked) ++*looked;
  }
  return -1;
}
