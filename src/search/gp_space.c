#include "search/gp_space.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

enum { MOST_GROUPS = 64 };

/* More values than this can't be told from a continuum. */
#define MOST_LEVELS 1e9

void lm_gp_space_free(lm_gp_space *s) {
  if (!s->allocator) return;
  lm_free(s->allocator, s->axes);
  lm_free(s->allocator, s->groups);
  lm_free(s->allocator, s->nodes);
  lm_free(s->allocator, s->rows);
  *s = (lm_gp_space){0};
}

/* --- axes --- */

double lm_gp_axis_internal(const lm_gp_axis *axis, double position) {
  if (axis->category) return position;
  return lm_distribution_from_range(axis->distribution, axis->low + (axis->high - axis->low) * position);
}

double lm_gp_axis_position(const lm_gp_axis *axis, double internal) {
  if (axis->category) return internal;
  double position = (lm_distribution_to_range(axis->distribution, internal) - axis->low) / (axis->high - axis->low);
  if (!(position > -1)) return -1; /* the range has changed since */
  return position < 2 ? position : 2;
}

double lm_gp_axis_snap(const lm_gp_axis *axis, double position) {
  if (axis->category || !axis->levels) return position;
  return lm_gp_axis_position(axis, lm_gp_axis_internal(axis, position));
}

static size_t count_levels(const lm_distribution *d) {
  if (d->kind == LM_CATEGORICAL) return d->count;
  if (!(d->step > 0)) return 0;
  double levels = floor((d->high - d->low) / d->step + 1.5);
  return levels < MOST_LEVELS ? (size_t)levels : 0;
}

static bool set_distribution(lm_gp_axis *axis, const lm_distribution *d) {
  axis->distribution = d;
  axis->category = d->kind == LM_CATEGORICAL;
  axis->levels = count_levels(d);
  axis->low = 0;
  axis->high = (double)d->count;
  if (!axis->category) lm_distribution_range(d, &axis->low, &axis->high);
  return !lm_distribution_single(d) && isfinite(axis->high - axis->low) && axis->high > axis->low;
}

static lmopt_status add_axis(lm_gp_space *s, const lm_view *view, lm_column *column) {
  const lm_distribution *latest = NULL;
  size_t seen = 0;
  uint64_t presence = 0;
  double value;
  for (size_t i = 0; i < s->row_count; i++) {
    const lm_distribution *d;
    if (!lm_view_param(view, s->rows[i], column, &d, &value)) continue;
    latest = d;
    presence = lm_mix(presence ^ (s->rows[i] + 1));
    seen++;
  }
  lm_gp_axis axis = {.column = column, .group = SIZE_MAX, .presence = presence};
  if (!seen || !set_distribution(&axis, latest)) return LMOPT_OK;
  axis.group = seen == s->row_count ? SIZE_MAX : seen; /* for now: how many trials have it */
  const lm_assignment *fixed = view->fixed ? lm_assignments_find(view->fixed, column) : NULL;
  if (fixed) {
    axis.fixed = true;
    axis.fixed_at = lm_gp_axis_position(&axis, fixed->value);
  }
  if (!lm_grow(s->allocator, &s->axes, &s->capacity, s->count + 1, sizeof *s->axes)) return LMOPT_NO_MEMORY;
  size_t at = s->count++;
  for (; at > 0 && strcmp(s->axes[at - 1].column->name, column->name) > 0; at--) s->axes[at] = s->axes[at - 1];
  s->axes[at] = axis;
  return LMOPT_OK;
}

/* --- groups --- */

static lmopt_status find_groups(lm_gp_space *s) {
  for (size_t j = 0; j < s->count; j++) {
    lm_gp_axis *axis = &s->axes[j];
    if (axis->group == SIZE_MAX) continue;
    size_t g = 0;
    while (g < s->group_count && s->axes[s->groups[g].member].presence != axis->presence) g++;
    if (g == s->group_count) {
      if (!lm_grow(s->allocator, &s->groups, &s->group_capacity, g + 1, sizeof *s->groups)) return LMOPT_NO_MEMORY;
      s->groups[s->group_count++] = (lm_gp_group){SIZE_MAX, axis->group, j};
    }
    axis->group = g;
  }
  return LMOPT_OK;
}

/* The groups that most trials have; the parameters of the others are not modelled. */
static lmopt_status drop_rare_groups(lm_gp_space *s) {
  if (s->group_count <= MOST_GROUPS) return LMOPT_OK;
  size_t *places = lm_alloc(s->allocator, s->group_count * sizeof *places), kept = 0;
  if (!places) return LMOPT_NO_MEMORY;
  for (size_t g = 0; g < s->group_count; g++) {
    size_t before = 0;
    for (size_t h = 0; h < s->group_count; h++)
      before += s->groups[h].trials > s->groups[g].trials || (s->groups[h].trials == s->groups[g].trials && h < g);
    places[g] = before < MOST_GROUPS ? kept++ : SIZE_MAX;
  }
  size_t axes = 0;
  for (size_t j = 0; j < s->count; j++) {
    lm_gp_axis axis = s->axes[j];
    if (axis.group != SIZE_MAX && places[axis.group] == SIZE_MAX) continue;
    if (axis.group != SIZE_MAX) {
      size_t old = axis.group;
      axis.group = places[old];
      lm_gp_group moved = s->groups[old];
      moved.member = axes;
      s->groups[axis.group] = moved; /* never beyond what was read */
    }
    s->axes[axes++] = axis;
  }
  s->count = axes;
  s->group_count = kept;
  lm_free(s->allocator, places);
  return LMOPT_OK;
}

static lmopt_status find_rows(lm_gp_space *s, const lm_view *view) {
  const lm_trials *t = view->trials;
  size_t count = lm_view_count(view);
  for (size_t row = 0; row < count; row++) {
    if (lm_view_state(view, row) != LM_COMPLETE) continue;
    bool numbers = true;
    for (size_t k = 0; k < t->objectives; k++) numbers = numbers && !isnan(t->values[row * t->objectives + k]);
    if (!numbers) continue;
    if (!lm_grow(s->allocator, &s->rows, &s->row_capacity, s->row_count + 1, sizeof *s->rows)) return LMOPT_NO_MEMORY;
    s->rows[s->row_count++] = row;
  }
  return LMOPT_OK;
}

lmopt_status lm_gp_space_build(lm_gp_space *s, const lm_allocator *a, const lm_view *view) {
  s->allocator = a;
  s->count = s->group_count = s->node_count = s->row_count = 0;
  lmopt_status status = find_rows(s, view);
  for (size_t i = 0; i < view->trials->column_count && !status; i++)
    status = add_axis(s, view, view->trials->columns[i]);
  if (!status) status = find_groups(s);
  if (!status) status = drop_rare_groups(s);
  if (!status) status = lm_gp_space_learn_activity(s, view);
  if (status) s->count = s->group_count = s->node_count = s->row_count = 0;
  return status;
}

/* --- inputs --- */

static double absent_input(const lm_gp_axis *axis) { return axis->category ? -1 : 0.5; }

void lm_gp_space_encode_row(const lm_gp_space *s, const lm_view *view, size_t row, double *inputs) {
  for (size_t g = 0; g < s->group_count; g++) inputs[s->count + g] = 0;
  for (size_t j = 0; j < s->count; j++) {
    const lm_gp_axis *axis = &s->axes[j];
    const lm_distribution *d;
    double value;
    if (!lm_view_param(view, row, axis->column, &d, &value)) {
      inputs[j] = absent_input(axis);
      continue;
    }
    inputs[j] = lm_gp_axis_position(axis, value);
    if (axis->group != SIZE_MAX) inputs[s->count + axis->group] = 1;
  }
}

void lm_gp_space_latent_row(const lm_gp_space *s, const lm_view *view, size_t row, double *latent) {
  for (size_t j = 0; j < s->count; j++) {
    const lm_gp_axis *axis = &s->axes[j];
    const lm_distribution *d;
    double value, position = axis->category ? 0 : lm_gp_axis_snap(axis, 0.5);
    if (lm_view_param(view, row, axis->column, &d, &value)) position = lm_gp_axis_position(axis, value);
    if (axis->category && !(position >= 0 && position < (double)axis->levels)) position = 0;
    if (!axis->category && !(position >= 0 && position <= 1)) position = lm_gp_axis_snap(axis, position > 0 ? 1 : 0);
    latent[j] = axis->fixed ? axis->fixed_at : position;
  }
}

static bool group_active(const lm_gp_space *s, const double *latent, size_t group) {
  const lm_gp_node *node = &s->nodes[s->groups[group].root];
  while (node->axis != SIZE_MAX) {
    double value = latent[node->axis];
    bool yes = s->axes[node->axis].category ? value == node->at : value <= node->at;
    node = &s->nodes[yes ? node->yes : node->no];
  }
  return node->active;
}

bool lm_gp_space_active(const lm_gp_space *s, const double *latent, size_t axis) {
  return s->axes[axis].group == SIZE_MAX || group_active(s, latent, s->axes[axis].group);
}

void lm_gp_space_encode(const lm_gp_space *s, const double *latent, double *inputs) {
  for (size_t g = 0; g < s->group_count; g++) inputs[s->count + g] = group_active(s, latent, g) ? 1 : 0;
  for (size_t j = 0; j < s->count; j++) {
    size_t g = s->axes[j].group;
    inputs[j] = g == SIZE_MAX || inputs[s->count + g] != 0 ? latent[j] : absent_input(&s->axes[j]);
  }
}
