#include "search/box_decomposition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/pareto.h"

/*
** All work is on the numbers of levels, not on values. A list of boxes in m
** objectives has 2 m numbers for each: the lower ends, then the upper ones.
*/
typedef struct box_list {
  uint32_t *items;
  size_t count, capacity;
} box_list;

typedef struct decomposition {
  const lm_allocator *allocator;
  const uint32_t *tops; /* per objective: the level of the reference */
  size_t limit;
} decomposition;

static lmopt_status add_box(const decomposition *d, box_list *list, size_t m, uint32_t **box) {
  if (d->limit && list->count >= d->limit) return LMOPT_LIMIT;
  if (!lm_grow(d->allocator, &list->items, &list->capacity, list->count + 1, 2 * m * sizeof *list->items))
    return LMOPT_NO_MEMORY;
  *box = list->items + 2 * m * list->count++;
  return LMOPT_OK;
}

/* --- two objectives: columns between the steps of a staircase --- */

/* The points by their first number, ascending; none dominates another. */
static lmopt_status columns(const decomposition *d, const uint32_t *points, size_t count, box_list *out) {
  uint32_t left = 0, height = d->tops[1];
  for (size_t i = 0; i <= count; i++) {
    uint32_t right = i < count ? points[i * 2] : d->tops[0], *box;
    if (right > left) {
      lmopt_status status = add_box(d, out, 2, &box);
      if (status) return status;
      box[0] = left;
      box[1] = 0;
      box[2] = right;
      box[3] = height;
    }
    left = right;
    if (i < count) height = points[i * 2 + 1];
  }
  return LMOPT_OK;
}

/* --- more: a sweep along the last one --- */

static bool no_better(const uint32_t *a, const uint32_t *b, size_t m) { /* a is dominated by b, or its copy */
  for (size_t k = 0; k < m; k++) {
    if (b[k] > a[k]) return false;
  }
  return true;
}

/* Inserts a point into those that no other dominates, by the first number; false: it is dominated. */
static bool insert_point(uint32_t *front, size_t *count, size_t m, const uint32_t *point) {
  size_t kept = 0, at = 0;
  for (size_t i = 0; i < *count; i++) {
    if (no_better(point, front + i * m, m)) return false;
  }
  for (size_t i = 0; i < *count; i++) {
    if (no_better(front + i * m, point, m)) continue;
    memmove(front + kept * m, front + i * m, m * sizeof *front);
    if (front[kept * m] <= point[0]) at = kept + 1;
    kept++;
  }
  memmove(front + (at + 1) * m, front + at * m, (kept - at) * m * sizeof *front);
  memcpy(front + at * m, point, m * sizeof *front);
  *count = kept + 1;
  return true;
}

static lmopt_status decompose(const decomposition *d, size_t m, const uint32_t *points, size_t count, box_list *out);

/* The boxes of the slab that begins now, with the level at which each began. */
typedef struct slab {
  box_list boxes;
  uint32_t *begins;
} slab;

static void free_slab(const decomposition *d, slab *s) {
  lm_free(d->allocator, s->boxes.items);
  lm_free(d->allocator, s->begins);
}

/* The place of a box in a list, looked for from `from` on; list.count: nowhere. */
static size_t find_box(const box_list *list, size_t width, const uint32_t *box, size_t from) {
  for (size_t i = 0; i < list->count; i++) {
    size_t at = from + i < list->count ? from + i : from + i - list->count;
    if (memcmp(list->items + at * width, box, width * sizeof *box) == 0) return at;
  }
  return list->count;
}

/* Boxes of `old` that `fresh` has too go on; the others end at `level` and are emitted. */
static lmopt_status hand_over(const decomposition *d, size_t m, const slab *old, slab *fresh, uint32_t level,
                              box_list *out) {
  size_t width = 2 * (m - 1), from = 0;
  for (size_t i = 0; i < old->boxes.count; i++) {
    const uint32_t *box = old->boxes.items + i * width;
    size_t at = find_box(&fresh->boxes, width, box, from);
    if (at < fresh->boxes.count) {
      fresh->begins[at] = old->begins[i];
      from = at + 1 < fresh->boxes.count ? at + 1 : 0;
      continue;
    }
    uint32_t *closed;
    lmopt_status status = add_box(d, out, m, &closed);
    if (status) return status;
    memcpy(closed, box, (m - 1) * sizeof *closed);
    closed[m - 1] = old->begins[i];
    memcpy(closed + m, box + m - 1, (m - 1) * sizeof *closed);
    closed[2 * m - 1] = level;
  }
  return LMOPT_OK;
}

static lmopt_status begin_slab(const decomposition *d, size_t m, const uint32_t *front, size_t count, uint32_t level,
                               slab *s) {
  *s = (slab){0};
  lmopt_status status = decompose(d, m - 1, front, count, &s->boxes);
  if (status) return status;
  s->begins = lm_alloc(d->allocator, (s->boxes.count + 1) * sizeof *s->begins);
  if (!s->begins) return LMOPT_NO_MEMORY;
  for (size_t i = 0; i < s->boxes.count; i++) s->begins[i] = level;
  return LMOPT_OK;
}

static void sort_by_last(size_t *order, const uint32_t *points, size_t count, size_t m) {
  for (size_t i = 0; i < count; i++) {
    size_t at = i;
    for (; at > 0 && points[order[at - 1] * m + m - 1] > points[i * m + m - 1]; at--) order[at] = order[at - 1];
    order[at] = i;
  }
}

/* `front` has room for count points of m - 1 numbers. */
static lmopt_status sweep(const decomposition *d, size_t m, const uint32_t *points, const size_t *order, size_t count,
                          uint32_t *front, box_list *out) {
  slab now, next;
  size_t inside = 0;
  lmopt_status status = begin_slab(d, m, front, 0, 0, &now);
  for (size_t i = 0; i < count && !status;) {
    uint32_t level = points[order[i] * m + m - 1];
    bool changed = false;
    for (; i < count && points[order[i] * m + m - 1] == level; i++) {
      changed = insert_point(front, &inside, m - 1, points + order[i] * m) || changed;
    }
    if (!changed) continue;
    status = begin_slab(d, m, front, inside, level, &next);
    if (!status) status = hand_over(d, m, &now, &next, level, out);
    free_slab(d, &now);
    now = next;
  }
  slab none = {0};
  if (!status) status = hand_over(d, m, &now, &none, d->tops[m - 1], out);
  free_slab(d, &now);
  return status;
}

static lmopt_status decompose(const decomposition *d, size_t m, const uint32_t *points, size_t count, box_list *out) {
  if (m == 2) return columns(d, points, count, out);
  size_t *order = lm_alloc(d->allocator, (count + 1) * sizeof *order);
  uint32_t *front = lm_alloc(d->allocator, (count * (m - 1) + 1) * sizeof *front);
  lmopt_status status = order && front ? LMOPT_OK : LMOPT_NO_MEMORY;
  if (!status) {
    sort_by_last(order, points, count, m);
    status = sweep(d, m, points, order, count, front, out);
  }
  lm_free(d->allocator, order);
  lm_free(d->allocator, front);
  return status;
}

/* --- values and levels --- */

static int compare_values(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The levels of one objective, from the points' values and the reference; how many there are. */
static size_t make_levels(const double *points, size_t count, size_t m, size_t objective, double reference,
                          double *levels) {
  levels[0] = -INFINITY;
  for (size_t i = 0; i < count; i++) levels[i + 1] = points[i * m + objective];
  levels[count + 1] = reference;
  qsort(levels, count + 2, sizeof *levels, compare_values);
  size_t kept = 1;
  for (size_t i = 1; i < count + 2; i++) {
    if (levels[i] != levels[kept - 1]) levels[kept++] = levels[i];
  }
  return kept;
}

static uint32_t level_of(const double *levels, size_t count, double value) {
  size_t low = 0, high = count - 1;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (levels[middle] < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return (uint32_t)low;
}

/* Copies the points below the reference that no other dominates, each once; returns how many. */
static size_t keep_front(const double *points, size_t count, size_t m, const double *reference, double *out) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    const double *p = points + i * m;
    bool needed = true;
    for (size_t k = 0; k < m; k++) needed = needed && p[k] < reference[k];
    for (size_t j = 0; j < count && needed; j++) {
      const double *q = points + j * m;
      needed = !lm_pareto_dominates(q, p, m) && !(j < i && lm_pareto_same(q, p, m));
    }
    if (needed) memcpy(out + kept++ * m, p, m * sizeof *out);
  }
  return kept;
}

static void split_boxes(lm_boxes *b, const box_list *list) {
  size_t m = b->objectives;
  b->count = list->count;
  for (size_t i = 0; i < list->count; i++) {
    memcpy(b->lower + i * m, list->items + i * 2 * m, m * sizeof *b->lower);
    memcpy(b->upper + i * m, list->items + i * 2 * m + m, m * sizeof *b->upper);
  }
}

/* One objective: what is below the least point. */
static lmopt_status below_least(const decomposition *d, const uint32_t *points, size_t count, box_list *out) {
  uint32_t *box, least = d->tops[0];
  for (size_t i = 0; i < count; i++) least = points[i] < least ? points[i] : least;
  lmopt_status status = add_box(d, out, 1, &box);
  if (status) return status;
  box[0] = 0;
  box[1] = least;
  return LMOPT_OK;
}

/* Fills levels and boxes; `numbers` has room for (count + 1) m, `front` for count m. */
static lmopt_status fill(lm_boxes *b, const double *points, size_t count, const double *reference, size_t limit,
                         uint32_t *numbers, double *front) {
  const lm_allocator *a = b->allocator;
  size_t m = b->objectives, inside = keep_front(points, count, m, reference, front);
  uint32_t *tops = numbers + count * m;
  b->levels = lm_alloc(a, (inside + 2) * m * sizeof *b->levels);
  if (!b->levels) return LMOPT_NO_MEMORY;
  for (size_t k = 0; k < m; k++) {
    double *levels = b->levels + b->starts[k];
    size_t found = make_levels(front, inside, m, k, reference[k], levels);
    b->starts[k + 1] = b->starts[k] + found;
    tops[k] = (uint32_t)found - 1;
    for (size_t i = 0; i < inside; i++) numbers[i * m + k] = level_of(levels, found, front[i * m + k]);
  }
  decomposition d = {a, tops, limit};
  box_list list = {0};
  size_t sorted = 0;
  lmopt_status status;
  if (m == 2) { /* by the first: insertion does that */
    uint32_t *steps = lm_alloc(a, (inside + 1) * m * sizeof *steps);
    if (!steps) return LMOPT_NO_MEMORY;
    for (size_t i = 0; i < inside; i++) insert_point(steps, &sorted, m, numbers + i * m);
    status = columns(&d, steps, sorted, &list);
    lm_free(a, steps);
  } else if (m == 1) {
    status = below_least(&d, numbers, inside, &list);
  } else {
    status = decompose(&d, m, numbers, inside, &list);
  }
  b->lower = status ? NULL : lm_alloc(a, (list.count * m + 1) * sizeof *b->lower);
  b->upper = status ? NULL : lm_alloc(a, (list.count * m + 1) * sizeof *b->upper);
  if (!status && (!b->lower || !b->upper)) status = LMOPT_NO_MEMORY;
  if (!status) split_boxes(b, &list);
  lm_free(a, list.items);
  return status;
}

lmopt_status lm_boxes_init(lm_boxes *b, const lm_allocator *a, const double *points, size_t count, size_t objectives,
                           const double *reference, size_t limit) {
  *b = (lm_boxes){.allocator = a, .objectives = objectives};
  b->starts = lm_alloc_zeroed(a, (objectives + 1) * sizeof *b->starts);
  uint32_t *numbers = lm_alloc(a, (count + 1) * objectives * sizeof *numbers);
  double *front = lm_alloc(a, (count + 1) * objectives * sizeof *front);
  lmopt_status status = LMOPT_NO_MEMORY;
  if (b->starts && numbers && front) status = fill(b, points, count, reference, limit, numbers, front);
  lm_free(a, numbers);
  lm_free(a, front);
  if (status) lm_boxes_free(b);
  return status;
}

void lm_boxes_free(lm_boxes *b) {
  if (!b->allocator) return;
  lm_free(b->allocator, b->starts);
  lm_free(b->allocator, b->levels);
  lm_free(b->allocator, b->lower);
  lm_free(b->allocator, b->upper);
  *b = (lm_boxes){0};
}

double lm_boxes_improvement(const lm_boxes *b, const double *point) {
  double sum = 0;
  for (size_t i = 0; i < b->count; i++) {
    double volume = 1;
    for (size_t k = 0; k < b->objectives; k++) {
      const double *levels = b->levels + b->starts[k];
      double low = levels[b->lower[i * b->objectives + k]], high = levels[b->upper[i * b->objectives + k]];
      double side = high - (low > point[k] ? low : point[k]);
      volume *= side > 0 ? side : 0;
    }
    sum += volume;
  }
  return sum;
}
