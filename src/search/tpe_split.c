#include "search/tpe_split.h"

#include <math.h>
#include <string.h>

#include "search/pareto.h"

void lm_split_free(lm_split *s) {
  if (!s->allocator) return;
  lm_free(s->allocator, s->order);
  lm_free(s->allocator, s->good);
  memset(s, 0, sizeof *s);
}

void lm_split_clear(lm_split *s) {
  s->count = s->kept = s->good_count = 0;
  s->fresh = false;
}

enum { MOST_GOOD = 25 }; /* with one objective */

size_t lm_split_gamma(size_t finished, size_t objectives) {
  size_t share = (finished + 9) / 10;
  return objectives == 1 && share > MOST_GOOD ? MOST_GOOD : share;
}

/* What a row is compared by: smaller is better, the row number decides among equals. */
typedef struct rank_key {
  int group; /* 0 complete, 1 pruned with a report, 2 pruned without, 3 infeasible */
  double first, second;
} rank_key;

static double finite_loss(double loss) { return isnan(loss) ? INFINITY : loss; }

static rank_key key_of(const lm_trials *t, size_t row) {
  const lm_row *r = &t->rows[row];
  rank_key k = {0, 0, 0};
  if (r->infeasible) {
    k.group = 3;
    k.first = r->violation;
  } else if (r->state == LM_COMPLETE) {
    k.first = t->objectives == 1 ? finite_loss(lm_trials_loss(t, row, 0)) : 0;
  } else if (r->report_count == 0 || t->objectives != 1) {
    k.group = 2;
  } else {
    const lm_report *last = &r->reports[r->report_count - 1];
    k.group = 1;
    k.first = -(double)last->step;
    k.second = finite_loss(t->maximize[0] ? -last->value : last->value);
  }
  return k;
}

static bool better(const rank_key *a, size_t row_a, const rank_key *b, size_t row_b) {
  if (a->group != b->group) return a->group < b->group;
  if (a->first != b->first) return a->first < b->first;
  if (a->second != b->second) return a->second < b->second;
  return row_a < row_b;
}

lmopt_status lm_split_add(lm_split *s, const lm_trials *t, size_t row) {
  if (!s->allocator) s->allocator = t->allocator;
  if (row > UINT32_MAX - 1 || !lm_grow(s->allocator, &s->order, &s->capacity, s->kept + 1, sizeof *s->order)) {
    return LMOPT_NO_MEMORY;
  }
  rank_key own = key_of(t, row);
  size_t low = 0, high = s->kept;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    rank_key other = key_of(t, s->order[middle]);
    if (better(&other, s->order[middle], &own, row)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  s->count++;
  s->fresh = false;
  /* What is worse than all that can be good never gets better: rows are only added. */
  bool full = t->objectives == 1 && s->kept == MOST_GOOD;
  if (full && low == MOST_GOOD) return LMOPT_OK;
  if (full) s->kept--;
  memmove(s->order + low + 1, s->order + low, (s->kept - low) * sizeof *s->order);
  s->order[low] = (uint32_t)row;
  s->kept++;
  return LMOPT_OK;
}

/* --- several objectives: whole fronts, the last cut by hypervolume --- */

static lmopt_status cut_front(const lm_trials *t, const double *losses, const size_t *ranks, size_t complete,
                              size_t rank, size_t wanted, bool *chosen) {
  size_t m = t->objectives, members = 0;
  for (size_t i = 0; i < complete; i++) members += ranks[i] == rank;
  const lm_allocator *a = t->allocator;
  size_t *indices = lm_alloc(a, 2 * members * sizeof *indices);
  double *points = lm_alloc(a, (members + 1) * m * sizeof *points);
  lmopt_status status = indices && points ? LMOPT_OK : LMOPT_NO_MEMORY;
  if (!status) {
    double *reference = points + members * m;
    for (size_t k = 0; k < m; k++) reference[k] = -INFINITY;
    for (size_t i = 0, n = 0; i < complete; i++) {
      if (ranks[i] != rank) continue;
      indices[n] = i;
      memcpy(points + n++ * m, losses + i * m, m * sizeof *points);
      for (size_t k = 0; k < m; k++) reference[k] = losses[i * m + k] > reference[k] ? losses[i * m + k] : reference[k];
    }
    for (size_t k = 0; k < m; k++) {
      double worst = reference[k];
      reference[k] = fmax(1.1 * worst, 0.9 * worst);
      if (reference[k] == 0) reference[k] = 1e-12;
    }
    status = lm_pareto_select(a, points, members, m, reference, wanted, indices + members);
    for (size_t i = 0; i < wanted && !status; i++) chosen[indices[indices[members + i]]] = true;
  }
  lm_free(a, points);
  lm_free(a, indices);
  return status;
}

lmopt_status lm_split_choose(const lm_trials *t, const uint32_t *rows, size_t complete, size_t gamma, bool *chosen) {
  const lm_allocator *a = t->allocator;
  size_t m = t->objectives;
  double *losses = lm_alloc(a, complete * m * sizeof *losses);
  size_t *ranks = lm_alloc(a, complete * sizeof *ranks);
  lmopt_status status = losses && ranks ? LMOPT_OK : LMOPT_NO_MEMORY;
  if (!status) {
    for (size_t i = 0; i < complete; i++) {
      for (size_t k = 0; k < m; k++) losses[i * m + k] = finite_loss(lm_trials_loss(t, rows[i], k));
    }
    status = lm_pareto_ranks(a, losses, complete, m, gamma, ranks);
  }
  size_t taken = 0;
  for (size_t rank = 0; taken < gamma && !status; rank++) {
    size_t members = 0;
    for (size_t i = 0; i < complete; i++) members += ranks[i] == rank;
    if (taken + members > gamma) {
      status = cut_front(t, losses, ranks, complete, rank, gamma - taken, chosen);
      break;
    }
    for (size_t i = 0; i < complete; i++) chosen[i] = chosen[i] || ranks[i] == rank;
    taken += members;
  }
  lm_free(a, ranks);
  lm_free(a, losses);
  return status;
}

static void sort_numbers(size_t *items, size_t count) {
  for (size_t i = 1; i < count; i++) {
    size_t kept = items[i], j = i;
    for (; j > 0 && items[j - 1] > kept; j--) items[j] = items[j - 1];
    items[j] = kept;
  }
}

lmopt_status lm_split_select(lm_split *s, const lm_trials *t) {
  if (s->fresh) return LMOPT_OK;
  if (!s->allocator) s->allocator = t->allocator;
  size_t gamma = lm_split_gamma(s->count, t->objectives), complete = 0;
  if (!lm_grow(s->allocator, &s->good, &s->good_capacity, gamma, sizeof *s->good)) return LMOPT_NO_MEMORY;
  if (t->objectives != 1) {
    while (complete < s->kept && key_of(t, s->order[complete]).group == 0) complete++;
  }
  s->good_count = 0;
  if (complete > gamma) {
    bool *chosen = lm_alloc_zeroed(s->allocator, complete * sizeof *chosen);
    if (!chosen) return LMOPT_NO_MEMORY;
    lmopt_status status = lm_split_choose(t, s->order, complete, gamma, chosen);
    for (size_t i = 0; i < complete && !status; i++) {
      if (chosen[i]) s->good[s->good_count++] = s->order[i];
    }
    lm_free(s->allocator, chosen);
    if (status) return status;
  } else {
    for (size_t i = 0; i < gamma; i++) s->good[s->good_count++] = s->order[i];
  }
  sort_numbers(s->good, s->good_count);
  s->fresh = true;
  return LMOPT_OK;
}

bool lm_split_is_good(const lm_split *s, size_t row) {
  size_t low = 0, high = s->good_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (s->good[middle] < row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < s->good_count && s->good[low] == row;
}
