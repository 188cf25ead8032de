/*
** Grid search: every point of a product of axes once, in an order shuffled by
** the study's seed.
**
** The order is a pseudo-random permutation of the point numbers that needs no
** table: a Feistel network over the next power of four, walked until it falls
** below the number of points (J. Black and P. Rogaway, "Ciphers with arbitrary
** finite domains", CT-RSA 2002).
**
** Points that break a hard constraint are left out, as if they had been tried.
** What the judge said of them is remembered, in the order of the visits.
*/
#include <string.h>

#include "base/rng.h"
#include "search/sampler.h"

enum { ROUNDS = 6 };

/* More places than this are not searched for a point that is allowed. */
enum { MOST_PLACES = 1 << 22 };

/* More points than this can't be visited anyway. */
#define POINT_LIMIT (UINT64_C(1) << 60)

typedef struct axis {
  char *name;
  double *values;
  size_t count;
} axis;

typedef struct grid {
  lm_sampler base;
  axis *axes;
  size_t count;
  uint64_t points;
  unsigned char *verdicts; /* of the places 0, 1, ... in the order of the visits: 0 not asked yet, 1 allowed, 2 not */
  size_t verdict_capacity;
  uint64_t judged_seed; /* whose order that is */
} grid;

typedef struct permutation {
  uint64_t keys[ROUNDS], points;
  int half; /* bits */
} permutation;

static permutation permute_by(uint64_t seed, uint64_t points) {
  permutation p = {.points = points, .half = 1};
  lm_rng rng = lm_rng_stream(seed, -1, "grid");
  for (int i = 0; i < ROUNDS; i++) p.keys[i] = lm_rng_bits(&rng);
  while (p.half < 31 && (UINT64_C(1) << (2 * p.half)) < points) p.half++;
  return p;
}

static uint64_t permuted(const permutation *p, uint64_t x) {
  uint64_t mask = (UINT64_C(1) << p->half) - 1;
  do {
    uint64_t left = x >> p->half, right = x & mask;
    for (int i = 0; i < ROUNDS; i++) {
      uint64_t kept = right;
      right = left ^ (lm_mix(right ^ p->keys[i]) & mask);
      left = kept;
    }
    x = left << p->half | right;
  } while (x >= p->points);
  return x;
}

/*
** The value a row was given on an axis. What the objective made of it (its
** parameter) is no help: an axis value may stand for something else.
*/
static bool find_value(const lm_view *view, size_t row, const lm_column *column, double *value) {
  const lm_assignment *drawn = lm_assignments_find(&view->trials->rows[row].relative, column);
  if (drawn) *value = drawn->value;
  return drawn != NULL;
}

/* The number of the point a row has; false when it is on none. */
static bool point_of(const grid *g, const lm_view *view, lm_column *const *columns, size_t row, uint64_t *point) {
  uint64_t number = 0;
  for (size_t i = g->count; i-- > 0;) {
    const axis *x = &g->axes[i];
    double value;
    if (!columns[i] || !find_value(view, row, columns[i], &value)) return false;
    size_t k = 0;
    while (k < x->count && x->values[k] != value) k++;
    if (k == x->count) return false;
    number = number * x->count + k;
  }
  *point = number;
  return true;
}

static void sift_down(uint64_t *items, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && items[child] < items[child + 1]) child++;
    if (items[root] >= items[child]) return;
    uint64_t kept = items[root];
    items[root] = items[child];
    items[child] = kept;
  }
}

static void sort_numbers(uint64_t *items, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift_down(items, i, count);
  for (size_t end = count; end > 1;) {
    uint64_t kept = items[0];
    items[0] = items[--end];
    items[end] = kept;
    sift_down(items, 0, end);
  }
}

static bool contains(const uint64_t *items, size_t count, uint64_t wanted) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (items[middle] < wanted) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < count && items[low] == wanted;
}

/* The sorted points of the rows before view->number; a failed or queued trial has its point too. */
static lmopt_status visited_points(const grid *g, const lm_view *view, lm_column **columns, uint64_t **points,
                                   size_t *count) {
  const lm_allocator *a = g->base.allocator;
  size_t rows = lm_view_count(view);
  uint64_t *list = lm_alloc(a, (rows ? rows : 1) * sizeof *list);
  if (!list) return LMOPT_NO_MEMORY;
  size_t found = 0, kept = 0;
  for (size_t row = 0; row < rows; row++) {
    if ((long long)row == view->number) continue;
    if ((long long)row > view->number && lm_view_state(view, row) == LM_WAITING) continue;
    if (point_of(g, view, columns, row, &list[found])) found++;
  }
  sort_numbers(list, found);
  for (size_t i = 0; i < found; i++) {
    if (i == 0 || list[i] != list[kept - 1]) list[kept++] = list[i];
  }
  *points = list;
  *count = kept;
  return LMOPT_OK;
}

static lmopt_status find_columns(const grid *g, const lm_view *view, bool create, lm_column ***columns) {
  lm_column **list = lm_alloc(g->base.allocator, (g->count ? g->count : 1) * sizeof(lm_column *));
  if (!list) return LMOPT_NO_MEMORY;
  for (size_t i = 0; i < g->count; i++) {
    list[i] = lm_trials_column(view->trials, g->axes[i].name, create);
    if (!list[i] && create) {
      lm_free(g->base.allocator, list);
      return LMOPT_NO_MEMORY;
    }
  }
  *columns = list;
  return LMOPT_OK;
}

static lmopt_status assign(const grid *g, lm_column **columns, uint64_t point, lm_assignments *out) {
  for (size_t i = 0; i < g->count; i++) {
    const axis *x = &g->axes[i];
    lm_assignment item = {columns[i], NULL, x->values[point % x->count]};
    point /= x->count;
    lmopt_status status = lm_assignments_add(g->base.allocator, out, item, NULL);
    if (status) return status;
  }
  return LMOPT_OK;
}

/* --- hard constraints --- */

static lm_verdict judge_point(const grid *g, const lm_view *view, lm_column **columns, uint64_t point,
                              lm_assignment *items) {
  for (size_t i = 0; i < g->count; i++) {
    const axis *x = &g->axes[i];
    items[i] = (lm_assignment){columns[i], NULL, x->values[point % x->count]};
    point /= x->count;
  }
  return lm_view_judge(view, items, g->count);
}

/* Is the point at place `at` of the order allowed? */
static lmopt_status judge_place(grid *g, const lm_view *view, lm_column **columns, uint64_t at, uint64_t point,
                                lm_assignment *items, bool *allowed) {
  size_t before = g->verdict_capacity;
  if (!lm_grow(g->base.allocator, &g->verdicts, &g->verdict_capacity, (size_t)at + 1, 1)) return LMOPT_NO_MEMORY;
  memset(g->verdicts + before, 0, g->verdict_capacity - before);
  if (!g->verdicts[at]) {
    lm_verdict verdict = judge_point(g, view, columns, point, items);
    if (verdict == LM_NO_VERDICT) return LMOPT_NO_MEMORY;
    g->verdicts[at] = verdict == LM_REJECTED ? 2 : 1;
  }
  *allowed = g->verdicts[at] == 1;
  return LMOPT_OK;
}

/*
** The first point of the order that is neither visited nor forbidden; EXHAUSTED
** when there is none. LMOPT_LIMIT: too many are forbidden to go on looking.
*/
static lmopt_status next_point(grid *g, const lm_view *view, lm_column **columns, const uint64_t *visited, size_t count,
                               uint64_t *point) {
  permutation p = permute_by(view->seed, g->points);
  if (!view->judge) {
    if (count >= g->points) return LMOPT_EXHAUSTED;
    uint64_t at = 0;
    while (contains(visited, count, *point = permuted(&p, at))) at++;
    return LMOPT_OK;
  }
  if (g->verdicts && g->judged_seed != view->seed) memset(g->verdicts, 0, g->verdict_capacity);
  g->judged_seed = view->seed;
  lm_assignment *items = lm_alloc(g->base.allocator, (g->count ? g->count : 1) * sizeof *items);
  if (!items) return LMOPT_NO_MEMORY;
  lmopt_status status = LMOPT_EXHAUSTED;
  for (uint64_t at = 0; at < g->points && status == LMOPT_EXHAUSTED; at++) {
    *point = permuted(&p, at);
    if (contains(visited, count, *point)) continue;
    bool allowed = false;
    status = at < MOST_PLACES ? judge_place(g, view, columns, at, *point, items, &allowed) : LMOPT_LIMIT;
    if (status == LMOPT_OK && !allowed) status = LMOPT_EXHAUSTED; /* so far */
  }
  lm_free(g->base.allocator, items);
  return status;
}

static lmopt_status sample_relative(lm_sampler *s, const lm_view *view, lm_assignments *out, lm_error *e) {
  grid *g = (grid *)s;
  lm_column **columns;
  if (find_columns(g, view, true, &columns)) return lm_fail_memory(e);
  uint64_t *visited = NULL, point = 0;
  size_t count;
  lmopt_status status = visited_points(g, view, columns, &visited, &count);
  if (!status) status = next_point(g, view, columns, visited, count, &point);
  if (!status) status = assign(g, columns, point, out);
  lm_free(s->allocator, visited);
  lm_free(s->allocator, columns);
  if (status == LMOPT_EXHAUSTED && view->judge && count == 0)
    return lm_fail(e, status, "the constraints of the space allow none of the %llu points of the grid",
                   (unsigned long long)g->points);
  if (status == LMOPT_EXHAUSTED) return lm_fail(e, status, "every point of the grid has been tried");
  if (status == LMOPT_LIMIT)
    return lm_fail(e, LMOPT_MISUSE, "the first %d points of the grid are tried or break the space's constraints",
                   (int)MOST_PLACES);
  return status ? lm_fail_memory(e) : LMOPT_OK;
}

static lmopt_status sample_independent(lm_sampler *s, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  (void)s;
  (void)view;
  (void)distribution;
  (void)internal;
  return lm_fail(e, LMOPT_MISUSE, "the grid has no values for the parameter '%.200s'", column->name);
}

static bool exhausted(lm_sampler *s, const lm_view *view) {
  grid *g = (grid *)s;
  lm_column **columns;
  if (find_columns(g, view, false, &columns)) return false;
  uint64_t *visited = NULL, point = 0;
  size_t count = 0;
  lmopt_status status = visited_points(g, view, columns, &visited, &count);
  if (!status) status = next_point(g, view, columns, visited, count, &point);
  lm_free(s->allocator, visited);
  lm_free(s->allocator, columns);
  return status == LMOPT_EXHAUSTED;
}

static void free_grid(lm_sampler *s) {
  grid *g = (grid *)s;
  for (size_t i = 0; g->axes && i < g->count; i++) {
    lm_free(s->allocator, g->axes[i].name);
    lm_free(s->allocator, g->axes[i].values);
  }
  lm_free(s->allocator, g->axes);
  lm_free(s->allocator, g->verdicts);
  lm_free(s->allocator, g);
}

static const lm_sampler_class grid_class = {"grid", sample_relative, sample_independent, exhausted, free_grid, NULL};

/* Copies an axis, each value once. */
static bool copy_axis(const lm_allocator *a, axis *to, const lm_grid_axis *from) {
  to->name = lm_copy_text(a, from->name);
  to->values = lm_alloc(a, (from->count ? from->count : 1) * sizeof *to->values);
  if (!to->name || !to->values) return false;
  for (size_t i = 0; i < from->count; i++) {
    size_t k = 0;
    while (k < to->count && to->values[k] != from->values[i]) k++;
    if (k == to->count) to->values[to->count++] = from->values[i];
  }
  return true;
}

lm_sampler *lm_sampler_grid(const lm_allocator *a, const lm_grid_axis *axes, size_t count) {
  grid *g = lm_alloc_zeroed(a, sizeof *g);
  if (!g) return NULL;
  g->base = (lm_sampler){&grid_class, a};
  g->points = 1;
  g->axes = lm_alloc_zeroed(a, (count ? count : 1) * sizeof *g->axes);
  bool fine = g->axes != NULL;
  for (size_t i = 0; i < count && fine; i++) {
    g->count = i + 1;
    fine = copy_axis(a, &g->axes[i], &axes[i]);
    uint64_t values = g->axes[i].count;
    g->points = values && g->points > POINT_LIMIT / values ? POINT_LIMIT : g->points * values;
  }
  if (fine) return &g->base;
  free_grid(&g->base);
  return NULL;
}
