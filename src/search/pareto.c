#include "search/pareto.h"

#include <math.h>
#include <string.h>

bool lm_pareto_dominates(const double *a, const double *b, size_t objectives) {
  bool better = false;
  for (size_t i = 0; i < objectives; i++) {
    double x = isnan(a[i]) ? INFINITY : a[i], y = isnan(b[i]) ? INFINITY : b[i];
    if (x > y) return false;
    if (x < y) better = true;
  }
  return better;
}

bool lm_pareto_same(const double *a, const double *b, size_t objectives) {
  for (size_t i = 0; i < objectives; i++) {
    if (a[i] != b[i] && !(isnan(a[i]) && isnan(b[i]))) return false;
  }
  return true;
}

/* --- lexicographic order of indices --- */

typedef struct ordering {
  const double *points;
  size_t objectives;
} ordering;

static bool precedes(const ordering *o, size_t a, size_t b) {
  for (size_t i = 0; i < o->objectives; i++) {
    double x = o->points[a * o->objectives + i], y = o->points[b * o->objectives + i];
    if (x < y || (!isnan(x) && isnan(y))) return true;
    if (x > y || (isnan(x) && !isnan(y))) return false;
  }
  return a < b;
}

static void sift_down(const ordering *o, size_t *items, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && precedes(o, items[child], items[child + 1])) child++;
    if (!precedes(o, items[root], items[child])) return;
    size_t kept = items[root];
    items[root] = items[child];
    items[child] = kept;
  }
}

void lm_pareto_sort(const double *points, size_t objectives, size_t *items, size_t count) {
  ordering o = {points, objectives};
  for (size_t i = 0; i < count; i++) items[i] = i;
  for (size_t i = count / 2; i-- > 0;) sift_down(&o, items, i, count);
  for (size_t end = count; end > 1;) {
    size_t kept = items[0];
    items[0] = items[--end];
    items[end] = kept;
    sift_down(&o, items, 0, end);
  }
}

/* --- ranks --- */

/*
** One front of the points `left` (lexicographically sorted, so that only
** earlier ones dominate). Moves its members to `front`, keeps the others.
*/
static size_t peel(const double *points, size_t m, size_t *left, size_t *count, size_t *front) {
  size_t found = 0, kept = 0;
  for (size_t k = 0; k < *count; k++) {
    const double *candidate = points + left[k] * m;
    bool dominated = false;
    if (m == 2 && found > 0) {
      /* The last member has the smallest second objective so far. */
      dominated = lm_pareto_dominates(points + front[found - 1] * m, candidate, m);
    } else {
      for (size_t f = found; f-- > 0 && !dominated;)
        dominated = lm_pareto_dominates(points + front[f] * m, candidate, m);
    }
    if (dominated) {
      left[kept++] = left[k];
    } else {
      front[found++] = left[k];
    }
  }
  *count = kept;
  return found;
}

lmopt_status lm_pareto_ranks(const lm_allocator *a, const double *points, size_t count, size_t objectives,
                             size_t needed, size_t *ranks) {
  if (!count) return LMOPT_OK;
  size_t *left = lm_alloc(a, 2 * count * sizeof *left);
  if (!left) return LMOPT_NO_MEMORY;
  size_t *front = left + count;
  lm_pareto_sort(points, objectives, left, count);
  for (size_t i = 0; i < count; i++) ranks[i] = SIZE_MAX;
  size_t remaining = count;
  for (size_t rank = 0; remaining > 0 && count - remaining < needed; rank++) {
    size_t found = peel(points, objectives, left, &remaining, front);
    for (size_t i = 0; i < found; i++) ranks[front[i]] = rank;
  }
  lm_free(a, left);
  return LMOPT_OK;
}
