#include "search/cmaes_model.h"

#include <math.h>
#include <string.h>

#include "search/draw.h"

/* Slots for points as they were drawn; with more trials at a time they are taken as they were evaluated. */
enum { MEMORY_LIMIT = 4096 };

static const char stream_name[] = "cmaes";

static void free_replay(const lm_allocator *a, lm_cmaes_replay *r) {
  lm_cmaes_run_free(&r->run);
  lm_free(a, r->memory.points);
  lm_free(a, r->memory.rows);
  *r = (lm_cmaes_replay){0};
}

static void forget(lm_cmaes_model *m) {
  free_replay(m->allocator, &m->settled_replay);
  free_replay(m->allocator, &m->ahead);
  lm_space_clear(&m->space);
  lm_space_clear(&m->ahead_space);
  m->settled = m->settled_count = m->count = m->axis_count = 0;
  m->started = false;
  m->current = NULL;
  m->trials = NULL;
}

static lmopt_status fail_empty(lm_cmaes_model *m) {
  forget(m);
  return LMOPT_NO_MEMORY;
}

void lm_cmaes_model_free(lm_cmaes_model *m) {
  const lm_allocator *a = m->allocator;
  forget(m);
  lm_space_free(&m->space);
  lm_space_free(&m->ahead_space);
  lm_free(a, m->axes);
  lm_free(a, m->cells);
  lm_free(a, m->start);
  lm_free(a, m->source);
  lm_free(a, m->source_losses);
  lm_free(a, m->point);
}

/* --- axes --- */

static size_t position_of(const char *const *names, size_t count, const char *name) {
  size_t i = 0;
  while (i < count && strcmp(names[i], name) != 0) i++;
  return i;
}

static double to_axis(const lm_cmaes_axis *axis, double internal) {
  double at = lm_distribution_to_range(axis->distribution, internal);
  double x = isinf(axis->width) ? (at / 2 - axis->low / 2) / axis->half_width : (at - axis->low) / axis->width;
  return x > 0 ? (x < 1 ? x : 1) : 0; /* NaN: 0 */
}

static double from_axis(const lm_cmaes_axis *axis, double x) { return lm_draw_at(axis->distribution, x); }

static double cells_of(const lm_distribution *d) {
  return d->step > 0 && !d->log ? floor((d->high - d->low) / d->step + 0.5) + 1 : 0;
}

static void set_start(lm_cmaes_model *m) {
  const lm_cmaes_points *x0 = &m->options.x0;
  for (size_t i = 0; i < m->axis_count; i++) {
    size_t at = position_of(x0->names, x0->name_count, m->axes[i].column->name);
    m->start[i] = x0->count && at < x0->name_count ? to_axis(&m->axes[i], x0->values[at]) : 0.5;
  }
}

/* Source trials that have all the axes, within their ranges. */
static void set_source(lm_cmaes_model *m) {
  const lm_cmaes_points *s = &m->options.source;
  size_t d = m->axis_count;
  m->source_count = 0;
  for (size_t k = 0; k < s->count; k++) {
    bool fits = true;
    for (size_t i = 0; i < d && fits; i++) {
      size_t at = position_of(s->names, s->name_count, m->axes[i].column->name);
      double x = at < s->name_count ? s->values[k * s->name_count + at] : NAN;
      fits = x >= m->axes[i].distribution->low && x <= m->axes[i].distribution->high;
      if (fits) m->source[m->source_count * d + i] = to_axis(&m->axes[i], x);
    }
    if (fits) m->source_losses[m->source_count++] = s->losses[k];
  }
}

static bool make_room(lm_cmaes_model *m, size_t d) {
  const lm_allocator *a = m->allocator;
  size_t sources = m->options.source.count;
  return lm_grow(a, &m->cells, &m->cell_capacity, d, sizeof(double)) &&
         lm_grow(a, &m->start, &m->start_capacity, d, sizeof(double)) &&
         lm_grow(a, &m->point, &m->point_capacity, 2 * d, sizeof(double)) &&
         lm_grow(a, &m->source, &m->source_capacity, sources * d, sizeof(double)) &&
         lm_grow(a, &m->source_losses, &m->loss_capacity, sources, sizeof(double));
}

/* The next entry of the space that is an axis, from `at` on; the end of the space when there is none. */
static size_t next_axis(const lm_cmaes_model *m, const lm_view *view, size_t at) {
  const lm_space *space = m->space.started ? &m->space : &m->ahead_space;
  bool both = m->space.started && m->ahead_space.started;
  for (; at < space->count; at++) {
    const lm_space_entry *entry = &space->entries[at];
    const lm_distribution *d = entry->distribution;
    if (d->kind == LM_CATEGORICAL || d->part || lm_distribution_single(d)) continue;
    if (view->fixed && lm_assignments_find(view->fixed, entry->column)) continue;
    bool common = !both;
    for (size_t k = 0; k < m->ahead_space.count && !common; k++) {
      const lm_space_entry *other = &m->ahead_space.entries[k];
      common = other->column == entry->column && other->distribution == entry->distribution;
    }
    if (common) break;
  }
  return at;
}

/* False: no memory. `changed`: they are not those of before. */
static bool set_axes(lm_cmaes_model *m, const lm_view *view, bool *changed) {
  const lm_space *space = m->space.started ? &m->space : &m->ahead_space;
  size_t count = 0;
  *changed = false;
  for (size_t at = next_axis(m, view, 0); at < space->count; at = next_axis(m, view, at + 1), count++) {
    const lm_space_entry *entry = &space->entries[at];
    if (!lm_grow(m->allocator, &m->axes, &m->axis_capacity, count + 1, sizeof *m->axes)) return false;
    lm_cmaes_axis *axis = &m->axes[count];
    if (count < m->axis_count && axis->column == entry->column && axis->distribution == entry->distribution) continue;
    double high;
    axis->column = entry->column;
    axis->distribution = entry->distribution;
    lm_distribution_range(axis->distribution, &axis->low, &high);
    axis->width = high - axis->low; /* half a step more at both ends may be too much for a double */
    axis->half_width = high / 2 - axis->low / 2;
    *changed = true;
  }
  if (count != m->axis_count) *changed = true;
  m->axis_count = count;
  return true;
}

/* --- replay --- */

static bool remember_slots(lm_cmaes_model *m, lm_cmaes_replay *r) {
  size_t lag = m->lag <= MEMORY_LIMIT ? m->lag : 0;
  r->memory.lag = lag;
  if (!lm_grow(m->allocator, &r->memory.points, &r->memory.point_capacity, lag * 2 * m->axis_count, sizeof(double)) ||
      !lm_grow(m->allocator, &r->memory.rows, &r->memory.row_capacity, lag, sizeof(size_t)))
    return false;
  for (size_t i = 0; i < lag; i++) r->memory.rows[i] = SIZE_MAX;
  return true;
}

static lmopt_status start(lm_cmaes_model *m, const lm_view *view) {
  if (!make_room(m, m->axis_count)) return LMOPT_NO_MEMORY;
  for (size_t i = 0; i < m->axis_count; i++) m->cells[i] = cells_of(m->axes[i].distribution);
  set_start(m);
  set_source(m);
  lm_cmaes_setting setting = {
      m->axis_count, m->options.margin ? m->cells : NULL, m->start, m->source, m->source_losses, m->source_count,
      view->seed};
  m->settled_replay.next = m->settled_replay.fresh = 0;
  m->started = true;
  if (!remember_slots(m, &m->settled_replay)) return LMOPT_NO_MEMORY;
  return lm_cmaes_run_start(&m->settled_replay.run, m->allocator, &m->options, &setting);
}

/* Every row below `next` was looked at: draws what the trial that this lets begin was given. */
static void remember_drawn(lm_cmaes_model *m, const lm_view *view, lm_cmaes_replay *r) {
  lm_cmaes_memory *memory = &r->memory;
  if (!memory->lag) return;
  size_t row = r->next - 1 + memory->lag, slot = row % memory->lag;
  memory->rows[slot] = row;
  double *points = memory->points + slot * 2 * m->axis_count;
  lm_rng rng = lm_rng_stream(view->seed, (int64_t)row, stream_name);
  lm_cmaes_sample(&r->run.distribution, &rng, points, points + m->axis_count);
}

/* The row as a point; where it is what was drawn for it: as drawn outside of the cube and, with margin, within cells. */
static void locate(const lm_cmaes_model *m, const lm_cmaes_replay *r, size_t row, double *point) {
  const lm_cmaes_memory *memory = &r->memory;
  size_t slot = memory->lag ? row % memory->lag : 0, d = m->axis_count;
  bool drawn = memory->lag && memory->rows[slot] == row;
  const double *known = drawn ? memory->points + slot * 2 * d : NULL;
  for (size_t i = 0; i < d; i++) {
    double internal = m->axes[i].column->values[row];
    point[i] = to_axis(&m->axes[i], internal);
    drawn = drawn && from_axis(&m->axes[i], known[i]) == internal;
  }
  for (size_t i = 0; i < d && drawn; i++) {
    double raw = known[d + i];
    if (m->options.margin || raw < 0 || raw > 1) point[i] = raw;
  }
}

bool lm_cmaes_model_counts(const lm_cmaes_model *m, const lm_view *view, size_t row, double *loss) {
  const lm_trials *t = view->trials;
  const lm_row *r = &t->rows[row];
  lm_state state = lm_view_state(view, row);
  if (state == LM_COMPLETE) {
    *loss = lm_trials_loss(t, row, 0);
    return true;
  }
  if (state != LM_PRUNED || !m->options.consider_pruned || r->report_count == 0) return false;
  double last = r->reports[r->report_count - 1].value;
  *loss = t->maximize[0] ? -last : last;
  return last == last;
}

static lmopt_status take_row(lm_cmaes_model *m, const lm_view *view, lm_cmaes_replay *r, size_t row) {
  lm_cmaes_fitness fitness = {view->trials->rows[row].violation, 0, row, 0};
  bool restarted = false;
  if (row >= r->fresh && lm_cmaes_model_counts(m, view, row, &fitness.loss)) {
    locate(m, r, row, m->point);
    lmopt_status status = lm_cmaes_run_add(&r->run, m->point, &fitness, &restarted);
    if (status) return status;
  }
  r->next = row + 1;
  /* trials that had begun by then are of the old distribution */
  if (restarted) r->fresh = row + (m->arrival ? r->run.distribution.population : m->lag);
  remember_drawn(m, view, r);
  return LMOPT_OK;
}

static bool copy_replay(lm_cmaes_model *m) {
  lm_cmaes_replay *to = &m->ahead, *from = &m->settled_replay;
  size_t lag = from->memory.lag, d = m->axis_count;
  if (lm_cmaes_run_copy(&to->run, &from->run, m->allocator) || !remember_slots(m, to)) return false;
  if (lag) {
    memcpy(to->memory.points, from->memory.points, lag * 2 * d * sizeof(double));
    memcpy(to->memory.rows, from->memory.rows, lag * sizeof(size_t));
  }
  to->next = from->next;
  to->fresh = from->fresh;
  return true;
}

/* --- following a view --- */

/* Does the view still show all that was taken in, as it was? */
static bool extends(const lm_cmaes_model *m, const lm_view *v, size_t lag) {
  const lm_trials *t = v->trials;
  if (m->trials != t || m->birth != t->birth || m->edits != t->edits || m->arrival != v->arrival) return false;
  if (m->seed != v->seed || m->lag != lag || m->scope != v->scope.id) return false;
  if (!v->arrival) return v->horizon >= m->horizon;
  return v->number < 0 || (size_t)v->number >= m->settled || !lm_state_finished(t->rows[v->number].state);
}

static bool take_in(lm_cmaes_model *m, const lm_view *view, lm_space *space, size_t row, size_t *count) {
  lm_state state = lm_view_state(view, row);
  double loss;
  if (state != LM_COMPLETE && state != LM_PRUNED) return true;
  *count += lm_cmaes_model_counts(m, view, row, &loss);
  return lm_space_add(space, view->trials, row) == LMOPT_OK;
}

/* Rows from `settled` on that have finished: how many rows must be looked at; `settled` when there is none. */
static bool look_ahead(lm_cmaes_model *m, const lm_view *view, size_t *end) {
  size_t rows = lm_view_count(view), shown = view->horizon < 0 ? 0 : (size_t)view->horizon + 1;
  if (!view->arrival && shown < rows) rows = shown;
  lm_space_clear(&m->ahead_space);
  *end = m->settled;
  for (size_t row = m->settled; row < rows; row++) {
    if (!lm_state_finished(lm_view_state(view, row))) continue;
    if (!take_in(m, view, &m->ahead_space, row, &m->count)) return false;
    *end = row + 1;
  }
  return true;
}

/* Finished, or not in the view's scope: nothing more will come of it. */
static bool is_settled(const lm_view *v, size_t row) {
  if ((long long)row == v->number) return false;
  if (v->scope.shows && !v->scope.shows(&v->scope, row)) return v->arrival || (long long)row <= v->horizon;
  return lm_state_finished(lm_view_state(v, row));
}

static size_t lag_of(const lm_view *v) {
  if (v->arrival || v->horizon >= v->number) return 1;
  return (size_t)(v->number - v->horizon);
}

static lmopt_status replay(lm_cmaes_model *m, const lm_view *view, size_t end) {
  lmopt_status status = LMOPT_OK;
  while (m->settled_replay.next < m->settled && !status)
    status = take_row(m, view, &m->settled_replay, m->settled_replay.next);
  m->current = &m->settled_replay.run;
  if (status || end == m->settled) return status;
  if (!copy_replay(m)) return LMOPT_NO_MEMORY;
  for (size_t row = m->settled; row < end && !status; row++) status = take_row(m, view, &m->ahead, row);
  m->current = &m->ahead.run;
  return status;
}

lmopt_status lm_cmaes_model_update(lm_cmaes_model *m, const lm_view *view) {
  size_t lag = view->horizon < 0 && !view->arrival ? m->lag : lag_of(view); /* nothing to see yet: any lag */
  if (!extends(m, view, lag)) {
    forget(m);
    m->trials = view->trials;
    m->birth = view->trials->birth;
    m->edits = view->trials->edits;
    m->seed = view->seed;
    m->arrival = view->arrival;
    m->scope = view->scope.id;
    m->lag = lag;
  }
  m->horizon = view->horizon;
  size_t end, rows = lm_view_count(view);
  for (; m->settled < rows && is_settled(view, m->settled); m->settled++) {
    if (!take_in(m, view, &m->space, m->settled, &m->settled_count)) return fail_empty(m);
  }
  m->count = m->settled_count;
  bool changed;
  if (!look_ahead(m, view, &end) || !set_axes(m, view, &changed)) return fail_empty(m);
  m->current = NULL;
  if (m->axis_count == 0) return LMOPT_OK;
  if (changed || !m->started) {
    if (start(m, view)) return fail_empty(m);
  }
  return replay(m, view, end) ? fail_empty(m) : LMOPT_OK;
}

void lm_cmaes_model_sample(lm_cmaes_model *m, const lm_view *view, double *internal) {
  double *point = m->point, *raw = m->point + m->axis_count;
  lm_rng rng = lm_view_stream(view, stream_name);
  lm_cmaes_sample(&m->current->distribution, &rng, point, raw);
  for (size_t i = 0; i < m->axis_count; i++) internal[i] = from_axis(&m->axes[i], point[i]);
}
