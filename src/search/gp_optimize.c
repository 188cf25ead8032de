#include "search/gp_optimize.h"

#include <math.h>
#include <string.h>

#include "math/elementary.h"
#include "math/minimize.h"
#include "math/normal.h"
#include "math/quasi.h"
#include "search/gp_structured.h"

enum {
  PRELIMINARY = 2048,
  STARTS = 9,
  AROUND = 512, /* points around incumbents */
  MOST_ROUNDS = 20,
  GRADIENT_EVALUATIONS = 60,
  MOST_SWAPS = 400, /* of one structured variable in one round */
  EXHAUSTIVE = 16,  /* a grid with more values is searched by steps, and moved along by gradients first */
};
#define TOLERANCE 1e-4

typedef struct optimizer {
  const lm_gp_search *search;
  const lm_gp_space *space;
  size_t count, inputs; /* latent, and of the model */
  double *encoded;      /* inputs */
  double *gradient;     /* inputs */
  double *trial;        /* count */
  size_t *free_axes;    /* those that the gradient moves */
  const lm_gp_structures *structures;
  lm_assignment *items; /* of lm_gp_allowed; NULL: everything is allowed */
  double *variables, *lower, *upper, *workspace;
  size_t free_count;
  uint64_t *tried; /* hashes of the inputs of trials, ascending */
  size_t tried_count;
} optimizer;

/* --- points --- */

static double scale_of(const optimizer *o, size_t axis) {
  double weight = o->search->weights ? o->search->weights[axis] : 1;
  return weight > 1e-6 ? sqrt(weight) : 1e-3;
}

static double draw_axis(const lm_gp_axis *axis, double u) {
  if (axis->fixed) return axis->fixed_at;
  if (!axis->category) return lm_gp_axis_snap(axis, u);
  double index = floor(u * (double)axis->levels);
  return index < (double)axis->levels ? index : (double)axis->levels - 1;
}

lmopt_status lm_gp_draw_points(const lm_gp_space *space, lm_rng *rng, size_t count, double *points) {
  lm_quasi *sequence = lm_quasi_new(space->allocator, LM_QUASI_SOBOL, space->count, rng);
  lm_rng_bits(rng); /* another sequence the next time */
  lm_gp_structures structures = {0};
  if (!sequence || lm_gp_structures_init(&structures, space)) {
    lm_quasi_free(sequence);
    return LMOPT_NO_MEMORY;
  }
  lm_quasi_points(sequence, 0, count, points);
  lm_quasi_free(sequence);
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < space->count; j++) {
      double *point = &points[i * space->count + j];
      *point = draw_axis(&space->axes[j], *point);
    }
    lm_gp_structures_draw(&structures, space, rng, &points[i * space->count]);
  }
  lm_gp_structures_free(&structures);
  return LMOPT_OK;
}

/*
** Around an incumbent, at distances from a hundredth of a length scale to one
** and a half; in many dimensions only some of them change.
*/
static void draw_around(const optimizer *o, const double *incumbent, lm_rng *rng, double *point) {
  double radius = lm_exp(-4.6 + 5 * lm_rng_uniform(rng));
  double share = o->count > 20 ? 20 / (double)o->count : 1;
  for (size_t j = 0; j < o->count; j++) {
    const lm_gp_axis *axis = &o->space->axes[j];
    double u = lm_rng_uniform(rng), normal = lm_normal_draw(rng), at = incumbent[j];
    point[j] = at;
    if (axis->fixed) continue;
    if (axis->category) {
      if (u < 0.1) point[j] = (double)lm_rng_below(rng, axis->levels);
      continue;
    }
    if (u >= share) continue;
    at += radius * normal / (scale_of(o, j) > 0.7 ? scale_of(o, j) : 0.7);
    point[j] = lm_gp_axis_snap(axis, at < 0 ? 0 : at > 1 ? 1 : at);
  }
}

/* --- hard constraints --- */

static size_t list_items(const lm_gp_space *space, const double *latent, lm_assignment *items) {
  size_t count = 0;
  for (size_t j = 0; j < space->count; j++) {
    const lm_gp_axis *axis = &space->axes[j];
    if (axis->fixed || !lm_gp_space_active(space, latent, j)) continue;
    items[count++] = (lm_assignment){axis->column, axis->distribution, lm_gp_axis_internal(axis, latent[j])};
  }
  return count;
}

lmopt_status lm_gp_assign(const lm_gp_space *space, const double *latent, lm_assignments *out) {
  if (!lm_grow(space->allocator, &out->items, &out->capacity, out->count + space->count, sizeof *out->items))
    return LMOPT_NO_MEMORY;
  out->count += list_items(space, latent, out->items + out->count);
  return LMOPT_OK;
}

bool lm_gp_allowed(const lm_gp_space *space, const lm_view *view, const double *latent, lm_assignment *scratch) {
  if (!view || !view->judge) return true;
  return lm_view_judge(view, scratch, list_items(space, latent, scratch)) != LM_REJECTED;
}

static bool allowed(const optimizer *o, const double *latent) {
  return !o->items || lm_gp_allowed(o->space, o->search->view, latent, o->items);
}

/* --- what was tried --- */

static uint64_t hash_inputs(const optimizer *o, const double *inputs) {
  return lm_hash(inputs, o->inputs * sizeof *inputs);
}

/* Finished and running trials, sorted by the hash of their inputs. */
static lmopt_status list_tried(optimizer *o) {
  const lm_view *view = o->search->view;
  size_t count = view ? lm_view_count(view) : 0;
  if (!count) return LMOPT_OK;
  o->tried = lm_alloc(o->space->allocator, count * sizeof *o->tried);
  if (!o->tried) return LMOPT_NO_MEMORY;
  for (size_t row = 0; row < count; row++) {
    lm_state state = lm_view_state(view, row);
    if (state == LM_WAITING || state == LM_FAIL) continue;
    lm_gp_space_encode_row(o->space, view, row, o->encoded);
    uint64_t hash = hash_inputs(o, o->encoded);
    size_t at = o->tried_count++;
    for (; at > 0 && o->tried[at - 1] > hash; at--) o->tried[at] = o->tried[at - 1];
    o->tried[at] = hash;
  }
  return LMOPT_OK;
}

static bool was_tried(const optimizer *o, const double *inputs) {
  uint64_t hash = hash_inputs(o, inputs);
  size_t low = 0, high = o->tried_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (o->tried[middle] < hash) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < o->tried_count && o->tried[low] == hash;
}

/* --- the local search --- */

static double value_at(optimizer *o, const double *latent) {
  if (!allowed(o, latent)) return -INFINITY;
  lm_gp_space_encode(o->space, latent, o->encoded);
  if (was_tried(o, o->encoded)) return -INFINITY; /* under noise, the best point could be proposed for ever */
  double value = o->search->acquisition->value(o->search->acquisition, o->encoded, NULL);
  return isnan(value) ? -INFINITY : value;
}

static bool by_gradient(const optimizer *o, const double *latent, size_t axis, bool grids) {
  const lm_gp_axis *x = &o->space->axes[axis];
  if (x->category || x->fixed || x->distribution->part || !lm_gp_space_active(o->space, latent, axis)) return false;
  return !x->levels || (grids && x->levels > EXHAUSTIVE);
}

/* Minus the acquisition, by the free axes in units of their length scales; o->trial holds the others. */
static double negated(void *userdata, const double *variables, double *gradient) {
  optimizer *o = userdata;
  for (size_t i = 0; i < o->free_count; i++) o->trial[o->free_axes[i]] = variables[i] / scale_of(o, o->free_axes[i]);
  lm_gp_space_encode(o->space, o->trial, o->encoded);
  double value = o->search->acquisition->value(o->search->acquisition, o->encoded, o->gradient);
  for (size_t i = 0; i < o->free_count; i++) gradient[i] = -o->gradient[o->free_axes[i]] / scale_of(o, o->free_axes[i]);
  return -value;
}

/* Moves along gradients, then to the grid; true when that is better. */
static bool climb_over(optimizer *o, double *latent, double *value, bool grids) {
  o->free_count = 0;
  bool snapped = false;
  for (size_t j = 0; j < o->count; j++) {
    if (!by_gradient(o, latent, j, grids)) continue;
    double scale = scale_of(o, j);
    snapped = snapped || o->space->axes[j].levels;
    o->lower[o->free_count] = 0;
    o->upper[o->free_count] = scale;
    o->variables[o->free_count] = latent[j] * scale;
    o->free_axes[o->free_count++] = j;
  }
  if (!o->free_count || (grids && !snapped)) return false;
  memcpy(o->trial, latent, o->count * sizeof *latent);
  lm_minimize_problem problem = {.count = o->free_count,
                                 .lower = o->lower,
                                 .upper = o->upper,
                                 .function = negated,
                                 .userdata = o,
                                 .max_evaluations = GRADIENT_EVALUATIONS,
                                 .gradient_tolerance = 1e-2,
                                 .value_tolerance = 1e-6};
  lm_minimize(&problem, o->variables, o->workspace);
  for (size_t i = 0; i < o->free_count; i++) {
    size_t j = o->free_axes[i];
    double position = o->variables[i] / scale_of(o, j);
    position = position < 0 ? 0 : position > 1 ? 1 : position;
    o->trial[j] = lm_gp_axis_snap(&o->space->axes[j], position);
  }
  double there = value_at(o, o->trial);
  if (!(there > *value)) return false;
  memcpy(latent, o->trial, o->count * sizeof *latent);
  *value = there;
  return true;
}

static bool try_at(optimizer *o, double *latent, size_t axis, double position, double *value) {
  double old = latent[axis];
  if (position == old) return false;
  latent[axis] = position;
  double there = value_at(o, latent);
  if (there > *value) {
    *value = there;
    return true;
  }
  latent[axis] = old;
  return false;
}

/* Steps of one value, then of two, four, ... as long as they help, both ways. */
static void step_along(optimizer *o, double *latent, size_t j, double *value) {
  const lm_gp_axis *axis = &o->space->axes[j];
  double unit = axis->distribution->step > 0 ? axis->distribution->step : 1;
  for (int way = -1; way <= 1; way += 2) {
    for (double step = unit;; step *= 2) {
      double internal = lm_gp_axis_internal(axis, latent[j]) + way * step;
      if (internal < axis->distribution->low || internal > axis->distribution->high) break;
      if (!try_at(o, latent, j, lm_gp_axis_position(axis, internal), value)) break;
    }
  }
}

/* Categories: those that the trials have, and one that stands for all they have not, which the model can't tell apart. */
static void try_categories(optimizer *o, double *latent, size_t j, double *value) {
  const lm_gp_axis *axis = &o->space->axes[j];
  for (size_t k = 0; k < axis->levels && (axis->levels <= EXHAUSTIVE); k++) try_at(o, latent, j, (double)k, value);
  if (axis->levels <= EXHAUSTIVE) return;
  bool stranger = false;
  for (size_t k = 0; k < axis->levels; k++) {
    bool seen = false;
    for (size_t i = 0; i < o->space->row_count && !seen; i++) {
      size_t row = o->space->rows[i];
      seen = lm_column_distribution(axis->column, row) && axis->column->values[row] == (double)k;
    }
    if (!seen && stranger) continue;
    stranger = stranger || !seen;
    try_at(o, latent, j, (double)k, value);
  }
}

static void try_values(optimizer *o, double *latent, double *value) {
  for (size_t j = 0; j < o->count; j++) {
    const lm_gp_axis *axis = &o->space->axes[j];
    if (axis->fixed || !axis->levels || axis->distribution->part || !lm_gp_space_active(o->space, latent, j)) continue;
    if (axis->category) {
      try_categories(o, latent, j, value);
    } else if (axis->levels <= EXHAUSTIVE) {
      double low = axis->distribution->low, step = axis->distribution->step;
      for (size_t k = 0; k < axis->levels; k++)
        try_at(o, latent, j, lm_gp_axis_position(axis, low + (double)k * step), value);
    } else {
      step_along(o, latent, j, value);
    }
  }
}

/* Exchanges what two items have: a chosen one for another, or two places in an order. */
static bool try_swap(optimizer *o, double *latent, size_t a, size_t b, double *value) {
  double old = latent[a];
  if (old == latent[b] || o->space->axes[a].fixed || o->space->axes[b].fixed) return false;
  latent[a] = latent[b];
  latent[b] = old;
  double there = value_at(o, latent);
  if (there > *value) {
    *value = there;
    return true;
  }
  latent[b] = latent[a];
  latent[a] = old;
  return false;
}

/* Of many items only some pairs are tried, spread evenly. */
static void try_structures(optimizer *o, double *latent, double *value) {
  for (size_t i = 0; i < o->structures->count; i++) {
    const lm_gp_structure *x = &o->structures->items[i];
    const size_t *axes = o->structures->axes + x->first;
    if (!lm_gp_space_active(o->space, latent, axes[0])) continue;
    size_t flips = x->part->structure == LM_SUBSET ? x->count : 0, flip_step = 1 + flips / MOST_SWAPS;
    for (size_t k = 0; k < flips; k += flip_step) {
      size_t axis;
      bool may = lm_gp_structure_flip(o->structures, x, latent, k, &axis);
      if (may && !o->space->axes[axis].fixed) try_at(o, latent, axis, 1 - latent[axis], value);
    }
    size_t pairs = x->count * (x->count - 1) / 2, step = 1 + pairs / MOST_SWAPS, at = 0;
    for (size_t a = 1; a < x->count; a++)
      for (size_t b = 0; b < a; b++)
        if (at++ % step == 0) try_swap(o, latent, axes[a], axes[b], value);
  }
}

static double climb(optimizer *o, double *latent) {
  double value = value_at(o, latent);
  for (int round = 0; round < MOST_ROUNDS; round++) {
    double before = value;
    if (round == 0) climb_over(o, latent, &value, true);
    climb_over(o, latent, &value, false);
    double between = value;
    try_values(o, latent, &value);
    try_structures(o, latent, &value);
    if (!(value - between >= TOLERANCE) || !(value - before >= TOLERANCE)) break;
  }
  return value;
}

/* --- starts --- */

/* Chooses a point by roulette, in proportion to exp(value - best), and takes it out. */
static size_t spin(double *values, size_t count, double best, lm_rng *rng) {
  double total = 0;
  for (size_t i = 0; i < count; i++) total += isfinite(values[i]) ? lm_exp(values[i] - best) : 0;
  if (!(total > 0)) return SIZE_MAX;
  double at = lm_rng_uniform(rng) * total;
  size_t chosen = SIZE_MAX;
  for (size_t i = 0; i < count; i++) {
    double weight = isfinite(values[i]) ? lm_exp(values[i] - best) : 0;
    if (!(weight > 0)) continue;
    chosen = i;
    at -= weight;
    if (at < 0) break;
  }
  if (chosen != SIZE_MAX) values[chosen] = -INFINITY;
  return chosen;
}

static void climb_from(optimizer *o, const double *start, double *latent, double *best) {
  double *point = o->encoded + 2 * o->inputs; /* room for one more */
  memcpy(point, start, o->count * sizeof *point);
  if (!allowed(o, point)) return;
  double value = climb(o, point);
  if (value > *best) {
    *best = value;
    memcpy(latent, point, o->count * sizeof *latent);
  }
}

/* The point of the largest value that is allowed, and takes it out. SIZE_MAX: there is none. */
static size_t take_top(const optimizer *o, const double *points, double *values, size_t count, double *highest) {
  for (;;) {
    size_t top = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
      if (values[i] > -INFINITY && (top == SIZE_MAX || values[i] > values[top])) top = i;
    }
    if (top == SIZE_MAX) return top;
    *highest = values[top];
    values[top] = -INFINITY;
    if (allowed(o, points + top * o->count)) return top;
  }
}

/* From the best of some points, and from others by roulette. */
static void climb_some(optimizer *o, const double *points, double *values, size_t count, size_t starts, lm_rng *rng,
                       double *latent, double *best) {
  double highest = 0;
  size_t chosen = starts ? take_top(o, points, values, count, &highest) : SIZE_MAX;
  for (size_t i = 0; chosen != SIZE_MAX; i++) {
    climb_from(o, points + chosen * o->count, latent, best);
    if (i + 1 == starts) break;
    chosen = spin(values, count, highest, rng);
  }
}

lmopt_status lm_gp_maximize(const lm_gp_search *search, lm_rng *rng, double *latent, double *value) {
  const lm_gp_space *space = search->space;
  const lm_allocator *a = space->allocator;
  size_t d = space->count, inputs = lm_gp_space_inputs(space), even = search->preliminary;
  if (!even) even = PRELIMINARY;
  size_t around = search->incumbent_count ? AROUND : 0, n = even + around;
  size_t own = 2 * inputs + 5 * d + lm_minimize_workspace(d);
  double *block = lm_alloc(a, (n * (d + inputs + 1) + own) * sizeof *block);
  size_t *free_axes = lm_alloc(a, (d + 1) * sizeof *free_axes);
  bool judged = search->view && search->view->judge;
  lm_assignment *items = judged ? lm_alloc(a, (d + 1) * sizeof *items) : NULL;
  lm_gp_structures structures;
  lmopt_status status = lm_gp_structures_init(&structures, space);
  if (!block || !free_axes || (judged && !items)) status = LMOPT_NO_MEMORY;
  if (!status) {
    double *points = block, *encoded = points + n * d, *values = encoded + n * inputs;
    optimizer o = {search, space, d, inputs, .free_axes = free_axes, .structures = &structures, .items = items};
    o.encoded = values + n;
    o.gradient = o.encoded + inputs;
    o.trial = o.gradient + inputs + d; /* a point of climb_from stands between */
    o.variables = o.trial + d;
    o.lower = o.variables + d;
    o.upper = o.lower + d;
    o.workspace = o.upper + d;
    status = list_tried(&o);
    if (!status) status = lm_gp_draw_points(space, rng, even, points);
    for (size_t i = 0; i < around && !status; i++) {
      draw_around(&o, search->incumbents + i % search->incumbent_count * d, rng, points + (even + i) * d);
      lm_gp_structures_repair(&structures, space, rng, points + (even + i) * d);
    }
    for (size_t i = 0; i < n && !status; i++) lm_gp_space_encode(space, points + i * d, encoded + i * inputs);
    if (!status) status = search->acquisition->values(search->acquisition, encoded, n, values);
    for (size_t i = 0; i < n && !status; i++) {
      if (was_tried(&o, encoded + i * inputs)) values[i] = -INFINITY;
    }
    size_t starts = search->starts ? search->starts : STARTS, near = around ? starts / 2 : 0;
    *value = -INFINITY;
    if (!status) climb_some(&o, points, values, even, starts - near, rng, latent, value);
    if (!status) climb_some(&o, points + even * d, values + even, around, near, rng, latent, value);
    for (size_t i = 0; i < search->incumbent_starts && !status; i++)
      climb_from(&o, search->incumbents + i * d, latent, value);
    lm_free(a, o.tried);
  }
  lm_gp_structures_free(&structures);
  lm_free(a, block);
  lm_free(a, free_axes);
  lm_free(a, items);
  return status;
}
