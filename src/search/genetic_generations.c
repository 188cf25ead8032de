/*
** Generations by replay of the rows, with a cache: going on from where the last
** view ended costs as much as the rows that are new. Rows that finish late
** (arrival order; a trial that was interrupted) wind it back to the latest of a
** few generations before them; only a change further back starts it anew.
*/
#include <string.h>

#include "search/genetic.h"

static lm_generation *place_of(lm_genetic *g, size_t number) { return &g->kept[number % LM_GENERATIONS_KEPT]; }

const lm_member *lm_genetic_parents(const lm_genetic *g) {
  return g->generation ? g->kept[g->generation % LM_GENERATIONS_KEPT].parents : NULL;
}

void lm_genetic_forget(lm_genetic *g) {
  g->trials = NULL;
  g->seen = g->generation = g->population_count = g->pending_count = 0;
  g->gene_count = g->gene_generation = 0;
  for (size_t i = 0; i < LM_GENERATIONS_KEPT; i++) g->kept[i].number = g->kept[i].next = 0;
}

void lm_genetic_free(lm_genetic *g) {
  const lm_allocator *a = g->base.allocator;
  for (size_t i = 0; i < LM_GENERATIONS_KEPT; i++) lm_free(a, g->kept[i].parents);
  lm_free(a, g->population);
  lm_free(a, g->pending);
  lm_free(a, g->genes);
  lm_free(a, g->work);
  lm_free(a, g->places);
  lm_free(a, g->reference_points);
  lm_free(a, g);
}

static lmopt_status fail_empty(lm_genetic *g) {
  lm_genetic_forget(g);
  return LMOPT_NO_MEMORY;
}

static bool may_complete(lm_state state) { return !lm_state_finished(state); }

/* The lowest row that has become COMPLETE since it was looked at; SIZE_MAX: none. Forgets those that never will. */
static size_t look_again(lm_genetic *g, const lm_view *view) {
  size_t kept = 0, lowest = SIZE_MAX;
  for (size_t i = 0; i < g->pending_count; i++) {
    size_t row = g->pending[i];
    lm_state state = lm_view_state(view, row);
    if (state == LM_COMPLETE && row < lowest) lowest = row;
    if (state == LM_COMPLETE || may_complete(state)) g->pending[kept++] = row;
  }
  g->pending_count = kept;
  return lowest;
}

/* Back to the latest generation that ended before `row`. */
static void wind_back(lm_genetic *g, size_t row) {
  size_t oldest = g->generation >= LM_GENERATIONS_KEPT ? g->generation - LM_GENERATIONS_KEPT + 1 : 0;
  while (g->generation > oldest && place_of(g, g->generation)->next > row) g->generation--;
  lm_generation *reached = place_of(g, g->generation);
  if (g->generation == 0 || reached->number != g->generation || reached->next > row) {
    const lm_trials *trials = g->trials;
    lm_genetic_forget(g);
    g->trials = trials;
    return;
  }
  g->seen = reached->next;
  g->population_count = 0;
  g->gene_generation = 0;
  size_t kept = 0;
  for (size_t i = 0; i < g->pending_count; i++) {
    if (g->pending[i] < g->seen) g->pending[kept++] = g->pending[i];
  }
  g->pending_count = kept;
}

/* Does the view still show all that was taken in, but for rows that were pending? */
static bool extends(const lm_genetic *g, const lm_view *v) {
  const lm_trials *t = v->trials;
  if (g->trials != t || g->birth != t->birth || g->edits != t->edits || g->arrival != v->arrival || g->seed != v->seed)
    return false;
  if (g->scope != v->scope.id) return false;
  if (!v->arrival) return v->horizon >= g->horizon;
  if (v->number < 0 || (size_t)v->number >= g->seen) return true;
  return !lm_state_finished(t->rows[v->number].state); /* a trial never sees itself */
}

/* The population is full: its survivors, and their parents', are the next parents. */
static lmopt_status close_generation(lm_genetic *g, const lm_view *view, size_t next) {
  const lm_allocator *a = g->base.allocator;
  const lm_member *parents = lm_genetic_parents(g);
  lm_generation *made = place_of(g, g->generation + 1);
  if (!made->parents) made->parents = lm_alloc(a, g->size * sizeof *made->parents);
  size_t *rows = lm_alloc(a, 2 * g->size * sizeof *rows), count = 0;
  if (!rows || !made->parents) {
    lm_free(a, rows);
    return LMOPT_NO_MEMORY;
  }
  for (size_t i = 0; parents && i < g->size; i++) rows[count++] = parents[i].row;
  for (size_t i = 0; i < g->size; i++) rows[count++] = g->population[i];
  lmopt_status status = g->survival(g, view, g->generation + 1, rows, count, made->parents);
  lm_free(a, rows);
  if (status) return status;
  made->number = ++g->generation;
  made->next = next;
  g->population_count = 0;
  return LMOPT_OK;
}

static lmopt_status take_in(lm_genetic *g, const lm_view *view, size_t row) {
  lm_state state = lm_view_state(view, row);
  if (state == LM_COMPLETE) {
    g->population[g->population_count++] = row;
    return g->population_count == g->size ? close_generation(g, view, row + 1) : LMOPT_OK;
  }
  if (!may_complete(state)) return LMOPT_OK;
  if (!lm_grow(g->base.allocator, &g->pending, &g->pending_capacity, g->pending_count + 1, sizeof *g->pending))
    return LMOPT_NO_MEMORY;
  g->pending[g->pending_count++] = row;
  return LMOPT_OK;
}

lmopt_status lm_genetic_update(lm_genetic *g, const lm_view *view) {
  const lm_trials *t = view->trials;
  if (!g->population) g->population = lm_alloc(g->base.allocator, g->size * sizeof *g->population);
  if (!g->population) return fail_empty(g);
  if (!extends(g, view)) {
    lm_genetic_forget(g);
    g->trials = t;
    g->birth = t->birth;
    g->edits = t->edits;
    g->arrival = view->arrival;
    g->seed = view->seed;
    g->scope = view->scope.id;
  }
  g->horizon = view->horizon;
  size_t changed = look_again(g, view), count = lm_view_count(view);
  if (changed != SIZE_MAX) wind_back(g, changed);
  if (!view->arrival && view->horizon + 1 < (long long)count)
    count = view->horizon < 0 ? 0 : (size_t)(view->horizon + 1);
  for (; g->seen < count; g->seen++) {
    if (take_in(g, view, g->seen)) return fail_empty(g);
  }
  return LMOPT_OK;
}
