#include "search/tpe_model.h"

#include <math.h>
#include <string.h>

/* More estimators than this, and than twice the joint parameters, are not kept. */
enum { ESTIMATORS_KEPT = 64 };

/* The power of a belief is this over the number of trials. */
enum { BELIEF = 10 };

static bool list_add(const lm_allocator *a, lm_row_list *list, size_t row) {
  if (!lm_grow(a, &list->items, &list->capacity, list->count + 1, sizeof *list->items)) return false;
  list->items[list->count++] = row;
  return true;
}

static void list_free(const lm_allocator *a, lm_row_list *list) {
  lm_free(a, list->items);
  *list = (lm_row_list){0};
}

static void free_estimator(const lm_allocator *a, lm_estimator *x) {
  if (!x) return;
  lm_parzen_free(&x->good);
  lm_parzen_free(&x->bad);
  list_free(a, &x->good_rows);
  list_free(a, &x->running);
  lm_free(a, x->columns);
  lm_free(a, (void *)x->distributions);
  lm_free(a, x);
}

static void forget(lm_tpe_model *m) {
  for (size_t i = 0; i < m->estimator_count; i++) free_estimator(m->allocator, m->estimators[i]);
  m->estimator_count = 0;
  m->pending.count = m->running.count = m->finished.count = 0;
  m->seen = 0;
  m->trials = NULL;
  lm_split_clear(&m->split);
  lm_space_clear(&m->space);
}

static lmopt_status fail_empty(lm_tpe_model *m) {
  forget(m);
  return LMOPT_NO_MEMORY;
}

void lm_tpe_model_free(lm_tpe_model *m) {
  forget(m);
  list_free(m->allocator, &m->pending);
  list_free(m->allocator, &m->running);
  list_free(m->allocator, &m->finished);
  lm_split_free(&m->split);
  lm_space_free(&m->space);
  lm_free(m->allocator, m->estimators);
  lm_free(m->allocator, m->scratch);
}

/* --- following a view --- */

/* Does the view still show all that was taken in, as it was? */
static bool extends(const lm_tpe_model *m, const lm_view *v) {
  const lm_trials *t = v->trials;
  if (m->trials != t || m->birth != t->birth || m->edits != t->edits || m->arrival != v->arrival) return false;
  if (m->priors != v->priors) return false;
  if (m->scope != v->scope.id) return false;
  if (!v->arrival) return v->horizon >= m->horizon;
  if (v->number < 0 || (size_t)v->number >= m->seen) return true;
  return !lm_state_finished(t->rows[v->number].state); /* a trial never sees itself */
}

static bool take_in(lm_tpe_model *m, const lm_view *v, size_t row) {
  lm_state state = lm_view_state(v, row);
  if (state == LM_FAIL) return true;
  if (!lm_state_finished(state)) {
    if (state == LM_RUNNING && !list_add(m->allocator, &m->running, row)) return false;
    return list_add(m->allocator, &m->pending, row);
  }
  return list_add(m->allocator, &m->finished, row) && lm_split_add(&m->split, v->trials, row) == LMOPT_OK &&
         lm_space_add(&m->space, v->trials, row) == LMOPT_OK;
}

lmopt_status lm_tpe_model_update(lm_tpe_model *m, const lm_view *view) {
  if (!extends(m, view)) {
    forget(m);
    m->trials = view->trials;
    m->birth = view->trials->birth;
    m->edits = view->trials->edits;
    m->arrival = view->arrival;
    m->priors = view->priors;
    m->scope = view->scope.id;
  }
  m->horizon = view->horizon;
  size_t pending = m->pending.count;
  m->pending.count = m->running.count = 0;
  for (size_t i = 0; i < pending; i++) { /* never writes ahead of where it reads */
    if (!take_in(m, view, m->pending.items[i])) return fail_empty(m);
  }
  for (size_t count = lm_view_count(view); m->seen < count; m->seen++) {
    if (!take_in(m, view, m->seen)) return fail_empty(m);
  }
  return lm_split_select(&m->split, view->trials) ? fail_empty(m) : LMOPT_OK;
}

/* --- estimators --- */

static lm_estimator *new_estimator(lm_tpe_model *m, const lm_view *view, lm_column *const *columns,
                                   const lm_distribution *const *distributions, size_t count) {
  const lm_allocator *a = m->allocator;
  lm_estimator *x = lm_alloc_zeroed(a, sizeof *x);
  if (!x) return NULL;
  x->axis_count = count;
  x->columns = lm_alloc(a, count * sizeof *x->columns);
  x->distributions = lm_alloc(a, count * sizeof *x->distributions);
  lm_parzen_options bad = m->parzen, good = m->parzen;
  bad.flat = false;
  good.flat = m->trials->objectives > 1;
  if (!x->columns || !x->distributions || lm_parzen_init(&x->good, a, distributions, count, &good) ||
      lm_parzen_init(&x->bad, a, distributions, count, &bad)) {
    free_estimator(a, x);
    return NULL;
  }
  for (size_t i = 0; i < count; i++) {
    const lm_prior *prior = lm_view_prior(view, columns[i], distributions[i]);
    lm_parzen_set_prior(&x->good, i, prior); /* it says where good values are, and nothing of bad ones */
    x->believed = x->believed || prior;
  }
  memcpy(x->columns, columns, count * sizeof *columns);
  memcpy(x->distributions, distributions, count * sizeof *distributions);
  return x;
}

static bool is_about(const lm_estimator *x, lm_column *const *columns, const lm_distribution *const *distributions,
                     size_t count) {
  return x->axis_count == count && memcmp(x->columns, columns, count * sizeof *columns) == 0 &&
         memcmp(x->distributions, distributions, count * sizeof *distributions) == 0;
}

static lm_estimator *find_estimator(lm_tpe_model *m, const lm_view *view, lm_column *const *columns,
                                    const lm_distribution *const *distributions, size_t count) {
  size_t oldest = 0, limit = 2 * m->space.count > ESTIMATORS_KEPT ? 2 * m->space.count : ESTIMATORS_KEPT;
  for (size_t i = 0; i < m->estimator_count; i++) {
    if (is_about(m->estimators[i], columns, distributions, count)) return m->estimators[i];
    if (m->estimators[i]->used < m->estimators[oldest]->used) oldest = i;
  }
  if (!lm_grow(m->allocator, &m->estimators, &m->estimator_capacity, m->estimator_count + 1, sizeof(lm_estimator *)))
    return NULL;
  lm_estimator *x = new_estimator(m, view, columns, distributions, count);
  if (!x) return NULL;
  if (m->estimator_count >= limit) {
    free_estimator(m->allocator, m->estimators[oldest]);
    m->estimators[oldest] = x;
  } else {
    m->estimators[m->estimator_count++] = x;
  }
  return x;
}

/* How many parameters from `first` on are parts of one structured variable; 1 for any other. */
static size_t parts_from(const lm_estimator *x, size_t first) {
  const lm_part *part = x->distributions[first]->part;
  size_t end = first + 1;
  while (end < x->axis_count && part && lm_part_together(part, x->distributions[end]->part)) end++;
  return end - first;
}

/*
** The row's values of the estimator's parameters; false when it lacks one. An
** item that a subset did not have yet is one that was not chosen.
*/
static bool row_values(const lm_estimator *x, const lm_view *view, size_t row, double *internal) {
  for (size_t first = 0, parts; first < x->axis_count; first += parts) {
    size_t found = 0;
    parts = parts_from(x, first);
    for (size_t i = first; i < first + parts; i++) {
      const lm_distribution *d;
      bool has = lm_view_param(view, row, x->columns[i], &d, &internal[i]);
      if (!has) internal[i] = 0;
      found += has;
    }
    const lm_part *part = x->distributions[first]->part;
    if (found == 0 || (found < parts && part->structure != LM_SUBSET)) return false;
  }
  return true;
}

/* Puts a finished row where it belongs in the bad density: in it unless it is good or lacks a parameter. */
static lmopt_status place(lm_tpe_model *m, lm_estimator *x, const lm_view *view, size_t row, double *internal) {
  if (lm_split_is_good(&m->split, row) || !row_values(x, view, row, internal)) {
    lm_parzen_drop(&x->bad, row);
    return LMOPT_OK;
  }
  return lm_parzen_put(&x->bad, row, internal);
}

static lmopt_status follow_running(lm_tpe_model *m, lm_estimator *x, const lm_view *view, double *internal) {
  for (size_t i = 0; i < x->running.count; i++) {
    lm_state state = lm_view_state(view, x->running.items[i]);
    if (state != LM_COMPLETE && state != LM_PRUNED && state != LM_RUNNING) lm_parzen_drop(&x->bad, x->running.items[i]);
  }
  x->running.count = 0;
  for (size_t i = 0; i < m->running.count && m->constant_liar; i++) {
    size_t row = m->running.items[i];
    if (!row_values(x, view, row, internal)) {
      lm_parzen_drop(&x->bad, row);
      continue;
    }
    if (lm_parzen_put(&x->bad, row, internal) || !list_add(m->allocator, &x->running, row)) return LMOPT_NO_MEMORY;
  }
  return LMOPT_OK;
}

static lmopt_status rebuild_good(lm_tpe_model *m, lm_estimator *x, const lm_view *view, double *internal) {
  lm_parzen_clear(&x->good);
  x->good_rows.count = 0;
  for (size_t i = 0, slot = 0; i < m->split.good_count; i++) {
    size_t row = m->split.good[i];
    if (!list_add(m->allocator, &x->good_rows, row)) return LMOPT_NO_MEMORY;
    if (!row_values(x, view, row, internal)) continue;
    if (lm_parzen_put(&x->good, slot++, internal)) return LMOPT_NO_MEMORY;
  }
  lm_parzen_settle(&x->good);
  return LMOPT_OK;
}

static lmopt_status follow(lm_tpe_model *m, lm_estimator *x, const lm_view *view, double *internal) {
  if (lm_parzen_begin(&x->bad, m->finished.count - x->seen_finished) != LMOPT_OK) return LMOPT_NO_MEMORY;
  if (follow_running(m, x, view, internal)) return LMOPT_NO_MEMORY;
  for (; x->seen_finished < m->finished.count; x->seen_finished++) {
    if (place(m, x, view, m->finished.items[x->seen_finished], internal)) return LMOPT_NO_MEMORY;
  }
  size_t good = m->split.good_count;
  bool same = x->built && good == x->good_rows.count &&
              (good == 0 || memcmp(m->split.good, x->good_rows.items, good * sizeof(size_t)) == 0);
  if (!same) {
    for (size_t i = 0; i < x->good_rows.count; i++) {
      if (place(m, x, view, x->good_rows.items[i], internal)) return LMOPT_NO_MEMORY;
    }
    for (size_t i = 0; i < good; i++) lm_parzen_drop(&x->bad, m->split.good[i]);
    if (rebuild_good(m, x, view, internal)) return LMOPT_NO_MEMORY;
    x->built = true;
  }
  lm_parzen_settle(&x->bad);
  return LMOPT_OK;
}

/*
** The candidate of the largest ratio that breaks no hard constraint; where all
** do, the largest. `ratio` is spent.
*/
static lmopt_status best_candidate(const lm_view *view, const lm_estimator *x, const double *points, double *ratio,
                                   size_t candidates, lm_assignment *items, size_t *result) {
  size_t first = SIZE_MAX;
  *result = 0;
  for (size_t tried = 0; tried < candidates; tried++) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < candidates; i++)
      if (!isnan(ratio[i]) && (best == SIZE_MAX || ratio[i] > ratio[best])) best = i;
    if (best == SIZE_MAX) break;
    if (first == SIZE_MAX) *result = first = best;
    if (!view->judge) return LMOPT_OK;
    for (size_t i = 0; i < x->axis_count; i++)
      items[i] = (lm_assignment){x->columns[i], x->distributions[i], points[best * x->axis_count + i]};
    lm_verdict verdict = lm_view_judge(view, items, x->axis_count);
    if (verdict == LM_NO_VERDICT) return LMOPT_NO_MEMORY;
    ratio[best] = NAN;
    if (verdict == LM_REJECTED) continue;
    *result = best;
    return LMOPT_OK;
  }
  return LMOPT_OK;
}

/*
** Trials that were drawn from a belief are near it, good ones and bad ones, and
** their ratio would be best where it says that nothing is. So the ratio is
** multiplied with the belief to a power that falls with the number of trials:
** C. Hvarfner et al., "piBO: augmenting acquisition functions with user beliefs
** for Bayesian optimization", ICLR (2022).
*/
static void add_beliefs(const lm_tpe_model *m, const lm_estimator *x, const double *points, double *ratio,
                        size_t candidates) {
  double power = BELIEF * m->parzen.prior_weight / (double)(m->split.count + 1);
  for (size_t k = 0; k < x->axis_count && x->believed; k++) {
    const lm_prior *prior = x->good.axes[k].prior;
    for (size_t i = 0; i < candidates && prior; i++)
      ratio[i] += power * lm_prior_log_density(prior, x->distributions[k], points[i * x->axis_count + k]);
  }
}

lmopt_status lm_tpe_model_propose(lm_tpe_model *m, const lm_view *view, lm_column *const *columns,
                                  const lm_distribution *const *distributions, size_t count, lm_rng *rng,
                                  double *internal) {
  size_t candidates = (size_t)m->candidates;
  if (!lm_grow(m->allocator, &m->scratch, &m->scratch_capacity, candidates * (count + 2), sizeof *m->scratch)) {
    return fail_empty(m);
  }
  lm_estimator *x = find_estimator(m, view, columns, distributions, count);
  if (!x || follow(m, x, view, internal)) return fail_empty(m);
  x->used = ++m->clock;
  double *points = m->scratch, *good = points + candidates * count, *bad = good + candidates;
  for (size_t i = 0; i < candidates; i++) lm_parzen_draw(&x->good, rng, points + i * count);
  if (lm_parzen_density(&x->good, points, candidates, good) || lm_parzen_density(&x->bad, points, candidates, bad)) {
    return fail_empty(m);
  }
  lm_assignment *items = view->judge ? lm_alloc(m->allocator, count * sizeof *items) : NULL;
  if (view->judge && !items) return fail_empty(m);
  for (size_t i = 0; i < candidates; i++) good[i] -= bad[i];
  add_beliefs(m, x, points, good, candidates);
  size_t best;
  lmopt_status status = best_candidate(view, x, points, good, candidates, items, &best);
  lm_free(m->allocator, items);
  if (status) return fail_empty(m);
  memcpy(internal, points + best * count, count * sizeof *internal);
  return LMOPT_OK;
}
