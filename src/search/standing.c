/*
** The best trials of a study. Programs ask for them after every trial (a progress
** bar), so what was found is kept, and each new row is compared with it alone.
*/
#include <math.h>
#include <string.h>

#include "search/pareto.h"

static bool counts(const lm_trials *t, const lm_view *view, size_t row) {
  lm_state state = view ? lm_view_state(view, row) : t->rows[row].state;
  return state == LM_COMPLETE && !t->rows[row].infeasible;
}

long long lm_trials_best(const lm_trials *t, const lm_view *view) {
  long long best = -1;
  size_t count = view ? lm_view_count(view) : t->count;
  for (size_t row = 0; row < count && t->objectives == 1; row++) {
    if (!counts(t, view, row)) continue;
    double loss = lm_trials_loss(t, row, 0);
    if (isnan(loss)) continue;
    if (best < 0 || loss < lm_trials_loss(t, (size_t)best, 0)) best = (long long)row;
  }
  return best;
}

/* From nothing; *rows is the caller's. */
static lmopt_status find_front(const lm_trials *t, size_t **rows, size_t *count) {
  *rows = NULL;
  *count = 0;
  size_t m = t->objectives, found = 0;
  for (size_t row = 0; row < t->count; row++) found += counts(t, NULL, row);
  if (!found) return LMOPT_OK;
  size_t *list = lm_alloc(t->allocator, 2 * found * sizeof *list);
  double *losses = lm_alloc(t->allocator, found * m * sizeof *losses);
  lmopt_status status = list && losses ? LMOPT_OK : LMOPT_NO_MEMORY;
  if (!status) {
    size_t *ranks = list + found;
    for (size_t row = 0, k = 0; row < t->count; row++) {
      if (!counts(t, NULL, row)) continue;
      for (size_t i = 0; i < m; i++) losses[k * m + i] = lm_trials_loss(t, row, i);
      list[k++] = row;
    }
    status = lm_pareto_ranks(t->allocator, losses, found, m, 1, ranks);
    for (size_t k = 0; k < found && !status; k++) {
      if (ranks[k] == 0) list[(*count)++] = list[k];
    }
  }
  lm_free(t->allocator, losses);
  if (status) {
    lm_free(t->allocator, list);
    return status;
  }
  *rows = list;
  return LMOPT_OK;
}

/* --- kept --- */

static bool dominates(const lm_trials *t, size_t a, size_t b, bool *same) {
  bool better = false, worse = false;
  for (size_t k = 0; k < t->objectives; k++) {
    double x = lm_trials_loss(t, a, k), y = lm_trials_loss(t, b, k);
    if (isnan(x)) x = INFINITY;
    if (isnan(y)) y = INFINITY;
    better = better || x < y;
    worse = worse || x > y;
  }
  *same = !better && !worse;
  return better && !worse;
}

/* One more row: it leaves, or those leave that it dominates. */
static lmopt_status add_to_front(lm_trials *t, size_t row) {
  lm_standing *s = &t->standing;
  size_t kept = 0;
  bool same = false;
  /* Room first: after this nothing fails. */
  if (!lm_grow(t->allocator, &s->front, &s->front_capacity, s->front_count + 1, sizeof *s->front))
    return LMOPT_NO_MEMORY;
  for (size_t i = s->front_count; i-- > 0;) {
    if (dominates(t, s->front[i], row, &same)) return LMOPT_OK;
    if (same) break; /* then it dominates nobody either */
  }
  for (size_t i = 0; i < s->front_count; i++) {
    bool gone = false, equal;
    if (!same) gone = dominates(t, row, s->front[i], &equal);
    if (!gone) s->front[kept++] = s->front[i];
  }
  s->front[kept++] = row;
  s->front_count = kept;
  return LMOPT_OK;
}

/* One objective: the front is the best row alone. */
static lmopt_status add_to_best(lm_trials *t, size_t row) {
  lm_standing *s = &t->standing;
  double loss = lm_trials_loss(t, row, 0);
  if (!lm_grow(t->allocator, &s->front, &s->front_capacity, 1, sizeof *s->front)) return LMOPT_NO_MEMORY;
  if (isnan(loss)) return LMOPT_OK;
  double best = s->front_count ? lm_trials_loss(t, s->front[0], 0) : INFINITY;
  if (s->front_count && (loss > best || (loss == best && row > s->front[0]))) return LMOPT_OK;
  s->front[0] = row;
  s->front_count = 1;
  return LMOPT_OK;
}

static lmopt_status rebuild(lm_trials *t) {
  lm_standing *s = &t->standing;
  s->known = false;
  if (t->objectives == 1) {
    long long best = lm_trials_best(t, NULL);
    s->front_count = 0;
    if (best >= 0 && add_to_best(t, (size_t)best)) return LMOPT_NO_MEMORY;
  } else {
    size_t *rows, count;
    if (find_front(t, &rows, &count)) return LMOPT_NO_MEMORY;
    lm_free(t->allocator, s->front);
    s->front = rows;
    s->front_count = s->front_capacity = count;
  }
  s->known = true;
  s->edits = t->edits;
  s->news_count = 0;
  return LMOPT_OK;
}

static lmopt_status update(lm_trials *t) {
  lm_standing *s = &t->standing;
  if (!s->known || s->edits != t->edits) return rebuild(t);
  for (size_t i = 0; i < s->news_count; i++) {
    if (!counts(t, NULL, s->news[i])) continue;
    if (t->objectives == 1 ? add_to_best(t, s->news[i]) : add_to_front(t, s->news[i])) {
      s->known = false;
      return LMOPT_NO_MEMORY;
    }
  }
  s->news_count = 0;
  return LMOPT_OK;
}

long long lm_trials_leader(lm_trials *t) {
  if (t->objectives != 1) return -1;
  if (update(t)) return lm_trials_best(t, NULL); /* slower, without memory */
  return t->standing.front_count ? (long long)t->standing.front[0] : -1;
}

static void sift_down(size_t *items, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && items[child] < items[child + 1]) child++;
    if (items[root] >= items[child]) return;
    size_t kept = items[root];
    items[root] = items[child];
    items[child] = kept;
  }
}

static void sort_numbers(size_t *items, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift_down(items, i, count);
  for (size_t end = count; end > 1;) {
    size_t kept = items[0];
    items[0] = items[--end];
    items[end] = kept;
    sift_down(items, 0, end);
  }
}

lmopt_status lm_trials_front(lm_trials *t, size_t **rows, size_t *count) {
  if (t->objectives == 1) return find_front(t, rows, count); /* all that are as good as the best */
  *rows = NULL;
  *count = 0;
  lm_standing *s = &t->standing;
  if (update(t)) return LMOPT_NO_MEMORY;
  if (!s->front_count) return LMOPT_OK;
  *rows = lm_alloc(t->allocator, s->front_count * sizeof **rows);
  if (!*rows) return LMOPT_NO_MEMORY;
  memcpy(*rows, s->front, s->front_count * sizeof **rows);
  *count = s->front_count;
  sort_numbers(*rows, *count);
  return LMOPT_OK;
}

lmopt_status lm_trials_front_count(lm_trials *t, size_t *count) {
  *count = 0;
  if (t->objectives == 1) return LMOPT_MISUSE;
  if (update(t)) return LMOPT_NO_MEMORY;
  *count = t->standing.front_count;
  return LMOPT_OK;
}
