/*
** When is a group of conditional parameters active? A binary decision tree for
** each, grown by Gini impurity: L. Breiman et al., "Classification and
** regression trees" (1984). What it may ask about: parameters that all trials at
** the node have, suggested before the group.
*/
#include <math.h>
#include <string.h>

#include "search/gp_space.h"

enum { MOST_DEPTH = 12 };

typedef struct learner {
  lm_gp_space *space;
  const lm_view *view;
  size_t group;
  size_t *rows;      /* permuted as the tree divides them */
  double *positions; /* by rows of the space: of the axis looked at */
  size_t *order;     /* scratch: of numeric splits */
  bool *active;      /* by rows of the space */
  uint32_t *first;   /* by rows of the space: the group's first place among the trial's parameters */
} learner;

typedef struct split {
  size_t axis;
  double at;
  double impurity;
} split;

/* Has every one of these trials the axis, before the group? Fills positions. */
static bool may_ask(learner *l, size_t axis, const size_t *rows, size_t count) {
  const lm_gp_axis *x = &l->space->axes[axis];
  if (x->group == l->group) return false;
  for (size_t i = 0; i < count; i++) {
    size_t row = l->space->rows[rows[i]];
    const lm_distribution *d;
    double value;
    if (!lm_view_param(l->view, row, x->column, &d, &value)) return false;
    if (l->active[rows[i]] && x->column->ordinals[row] > l->first[rows[i]]) return false;
    l->positions[rows[i]] = lm_gp_axis_position(x, value);
  }
  return true;
}

static double impurity(size_t active, size_t count) {
  return count ? (double)active * (double)(count - active) / (double)count : 0;
}

static void offer(split *best, size_t axis, double at, size_t active_yes, size_t yes, size_t active, size_t count) {
  if (yes == 0 || yes == count) return;
  double value = impurity(active_yes, yes) + impurity(active - active_yes, count - yes);
  if (value < best->impurity - 1e-9) *best = (split){axis, at, value};
}

static void try_category(learner *l, size_t axis, const size_t *rows, size_t count, size_t active, split *best) {
  for (size_t i = 0; i < count; i++) {
    double at = l->positions[rows[i]];
    size_t yes = 0, active_yes = 0, earlier = 0;
    for (size_t k = 0; k < count; k++) {
      if (l->positions[rows[k]] != at) continue;
      earlier += k < i;
      yes++;
      active_yes += l->active[rows[k]];
    }
    if (!earlier) offer(best, axis, at, active_yes, yes, active, count);
  }
}

/* Shell's sort, by position and then row: no recursion, no memory. */
static void sort_rows(const double *positions, size_t *order, size_t count) {
  for (size_t gap = count / 2; gap > 0; gap /= 2) {
    for (size_t i = gap; i < count; i++) {
      size_t row = order[i], k = i;
      for (; k >= gap; k -= gap) {
        size_t other = order[k - gap];
        if (positions[other] < positions[row] || (positions[other] == positions[row] && other < row)) break;
        order[k] = other;
      }
      order[k] = row;
    }
  }
}

static void try_thresholds(learner *l, size_t axis, const size_t *rows, size_t count, size_t active, split *best) {
  memcpy(l->order, rows, count * sizeof *rows);
  sort_rows(l->positions, l->order, count);
  size_t active_yes = 0;
  for (size_t i = 0; i + 1 < count; i++) {
    active_yes += l->active[l->order[i]];
    double here = l->positions[l->order[i]], next = l->positions[l->order[i + 1]];
    if (next > here) offer(best, axis, here + 0.5 * (next - here), active_yes, i + 1, active, count);
  }
}

/* Categories first, then grids, then continua: what branches a program is rarely a real number. */
static int rank_of(const lm_gp_axis *axis) { return axis->category ? 0 : axis->levels ? 1 : 2; }

static split find_split(learner *l, const size_t *rows, size_t count, size_t active) {
  split best = {SIZE_MAX, 0, impurity(active, count)};
  for (int rank = 0; rank < 3; rank++) {
    for (size_t j = 0; j < l->space->count; j++) {
      if (rank_of(&l->space->axes[j]) != rank || !may_ask(l, j, rows, count)) continue;
      if (rank == 0) {
        try_category(l, j, rows, count, active, &best);
      } else {
        try_thresholds(l, j, rows, count, active, &best);
      }
    }
  }
  return best;
}

/* Moves the rows that say yes to the front; keeps the order among each. */
static size_t divide(learner *l, const split *s, size_t *rows, size_t count) {
  bool ignored = may_ask(l, s->axis, rows, count); /* fills positions */
  (void)ignored;
  bool category = l->space->axes[s->axis].category;
  size_t yes = 0, no = 0;
  for (size_t i = 0; i < count; i++) {
    double value = l->positions[rows[i]];
    if (category ? value == s->at : value <= s->at) {
      rows[yes++] = rows[i];
    } else {
      l->order[no++] = rows[i];
    }
  }
  memcpy(rows + yes, l->order, no * sizeof *rows);
  return yes;
}

static lmopt_status grow(learner *l, size_t *rows, size_t count, int depth, size_t *out) {
  lm_gp_space *s = l->space;
  if (!lm_grow(s->allocator, &s->nodes, &s->node_capacity, s->node_count + 1, sizeof *s->nodes)) return LMOPT_NO_MEMORY;
  size_t own = s->node_count++, active = 0;
  for (size_t i = 0; i < count; i++) active += l->active[rows[i]];
  s->nodes[own] = (lm_gp_node){SIZE_MAX, 0, 0, 0, 2 * active >= count};
  *out = own;
  if (active == 0 || active == count || depth == MOST_DEPTH) return LMOPT_OK;
  split best = find_split(l, rows, count, active);
  if (best.axis == SIZE_MAX) return LMOPT_OK;
  size_t yes = divide(l, &best, rows, count), left, right;
  lmopt_status status = grow(l, rows, yes, depth + 1, &left);
  if (!status) status = grow(l, rows + yes, count - yes, depth + 1, &right);
  if (!status) s->nodes[own] = (lm_gp_node){best.axis, best.at, left, right, false};
  return status;
}

/* Which trials have the group, and from which of their parameters on. */
static void mark(learner *l) {
  const lm_gp_space *s = l->space;
  for (size_t i = 0; i < s->row_count; i++) {
    l->active[i] = false;
    l->first[i] = UINT32_MAX;
    l->rows[i] = i;
  }
  for (size_t j = 0; j < s->count; j++) {
    if (s->axes[j].group != l->group) continue;
    const lm_column *c = s->axes[j].column;
    for (size_t i = 0; i < s->row_count; i++) {
      if (!lm_column_distribution(c, s->rows[i])) continue;
      l->active[i] = true;
      if (c->ordinals[s->rows[i]] < l->first[i]) l->first[i] = c->ordinals[s->rows[i]];
    }
  }
}

lmopt_status lm_gp_space_learn_activity(lm_gp_space *s, const lm_view *view) {
  if (!s->group_count) return LMOPT_OK;
  size_t n = s->row_count;
  char *block = lm_alloc(s->allocator, n * (2 * sizeof(size_t) + sizeof(double) + sizeof(uint32_t) + sizeof(bool)));
  if (!block) return LMOPT_NO_MEMORY;
  learner l = {.space = s, .view = view};
  l.positions = (double *)(void *)block;
  l.rows = (size_t *)(void *)(l.positions + n);
  l.order = l.rows + n;
  l.first = (uint32_t *)(void *)(l.order + n);
  l.active = (bool *)(void *)(l.first + n);
  lmopt_status status = LMOPT_OK;
  for (size_t g = 0; g < s->group_count && !status; g++) {
    l.group = g;
    mark(&l);
    status = grow(&l, l.rows, n, 0, &s->groups[g].root);
  }
  lm_free(s->allocator, block);
  return status;
}
