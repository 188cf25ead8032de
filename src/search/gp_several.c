#include "search/gp_several.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/normal.h"
#include "search/gp_hypervolume.h"
#include "search/gp_optimize.h"
#include "search/pareto.h"

enum { FANTASIES = 16, HYPERVOLUME_FANTASIES = 8, MOST_CONSTRAINTS = 16, MOST_BOXES = 2000 };
#define LEAST_GAIN 0.003
#define NEAR_CELL 0.005

/* One proposal. Models are those of the objectives, then those of the constraints. */
typedef struct proposal {
  lm_gp_several *memory;
  const lm_gp_question *q;
  const lm_allocator *allocator;
  size_t rows, dims, objectives, constraints;
  size_t names[MOST_CONSTRAINTS]; /* places in lm_trials.constraint_names, by name */
  double thresholds[MOST_CONSTRAINTS];
  lm_gp_model *models;
  double *block;
  double *values, *inputs; /* of one output: as it came, and where */
  double *targets;         /* rows x objectives: standardised, larger is better */
  double *front;           /* the feasible ones of them, as losses */
  size_t *front_rows;      /* places in space->rows */
  size_t front_count;
} proposal;

void lm_gp_several_free(lm_gp_several *s) {
  for (size_t i = 0; i < s->count; i++) lm_gp_fits_free(&s->fits[i]);
  if (s->allocator) lm_free(s->allocator, s->fits);
  *s = (lm_gp_several){.allocator = s->allocator};
}

static const lm_row *row_of(const lm_gp_space *space, const lm_view *view, size_t i) {
  return &view->trials->rows[space->rows[i]];
}

bool lm_gp_several_needed(const lm_gp_space *space, const lm_view *view) {
  size_t objectives = view->trials->objectives;
  if (objectives < 1 || objectives > LM_GP_MOST_OBJECTIVES) return false;
  bool constrained = false;
  for (size_t i = 0; i < space->row_count && !constrained; i++)
    constrained = row_of(space, view, i)->constraint_count > 0;
  return objectives > 1 || constrained;
}

/* --- constraints --- */

static bool find_value(const lm_row *row, size_t name, double *value) {
  for (size_t i = 0; i < row->constraint_count; i++) {
    *value = row->constraints[i].value;
    if (row->constraints[i].name == name) return true;
  }
  return false;
}

static size_t count_rows(const proposal *p, size_t name) {
  size_t count = 0;
  double value;
  for (size_t i = 0; i < p->rows; i++) count += find_value(row_of(p->q->space, p->q->view, i), name, &value);
  return count;
}

/* The constraints that at least two trials have, by name; of too many the first ones. */
static void find_constraints(proposal *p) {
  const lm_trials *t = p->q->view->trials;
  for (size_t name = 0; name < t->constraint_name_count; name++) {
    if (count_rows(p, name) < 2) continue;
    size_t at = p->constraints;
    while (at > 0 && strcmp(t->constraint_names[p->names[at - 1]], t->constraint_names[name]) > 0) at--;
    if (at == MOST_CONSTRAINTS) continue;
    size_t kept = p->constraints < MOST_CONSTRAINTS ? p->constraints : MOST_CONSTRAINTS - 1;
    memmove(p->names + at + 1, p->names + at, (kept - at) * sizeof *p->names);
    p->names[at] = name;
    p->constraints = kept + 1;
  }
}

/* Infinite values lie a little beyond the finite ones, on their side of 0. */
static void bound_values(double *values, size_t count) {
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(values[i])) continue;
    low = values[i] < low ? values[i] : low;
    high = values[i] > high ? values[i] : high;
  }
  if (!(low <= high)) low = high = 0;
  double span = high - low > 0 && isfinite(high - low) ? high - low : 1;
  for (size_t i = 0; i < count; i++) {
    if (values[i] == INFINITY) values[i] = (high > 0 ? high : 0) + span;
    if (values[i] == -INFINITY) values[i] = (low < 0 ? low : 0) - span;
  }
}

/*
** The target from which on a constraint holds: 0 in the units of the model.
** Values that are all the same say nothing, but whether it holds.
*/
static double threshold_of(const proposal *p, const double *values, size_t count) {
  double mean, deviation;
  lm_gp_standardize(values, count, p->front, &mean, &deviation); /* scratch: the front comes later */
  if (deviation > 0) return mean / deviation;
  return values[0] > 0 ? 1 : -INFINITY;
}

/* --- models --- */

static lmopt_status fit(proposal *p, size_t output, size_t slot, const double *inputs, size_t count) {
  lm_gp_several *s = p->memory;
  if (!lm_grow(p->allocator, &s->fits, &s->capacity, slot + 1, sizeof *s->fits)) return LMOPT_NO_MEMORY;
  while (s->count <= slot) s->fits[s->count++] = (lm_gp_fits){.allocator = p->allocator};
  lmopt_status status = lm_gp_init(&p->models[output], p->allocator, p->dims, p->q->categories);
  if (status) return status;
  return lm_gp_fits_model(&s->fits[slot], &p->models[output], inputs, p->values, count, p->q->options->deterministic,
                          NULL);
}

static lmopt_status fit_objective(proposal *p, size_t k) {
  const lm_trials *t = p->q->view->trials;
  double mean, deviation;
  for (size_t i = 0; i < p->rows; i++) p->values[i] = lm_trials_loss(t, p->q->space->rows[i], k);
  lm_gp_standardize(p->values, p->rows, p->inputs, &mean, &deviation);
  for (size_t i = 0; i < p->rows; i++) p->targets[i * p->objectives + k] = p->inputs[i];
  return fit(p, k, k, p->q->points, p->rows);
}

static lmopt_status fit_constraint(proposal *p, size_t i) {
  size_t count = 0;
  for (size_t row = 0; row < p->rows; row++) {
    if (!find_value(row_of(p->q->space, p->q->view, row), p->names[i], &p->values[count])) continue;
    if (p->dims) memcpy(p->inputs + count * p->dims, p->q->points + row * p->dims, p->dims * sizeof *p->inputs);
    count++;
  }
  bound_values(p->values, count);
  p->thresholds[i] = threshold_of(p, p->values, count);
  return fit(p, p->objectives + i, p->objectives + p->names[i], p->inputs, count);
}

/* Running trials are taken to give what is expected of them: it leaves the mean as it is. */
static lmopt_status believe_running(proposal *p, lm_gp_model *m) {
  size_t q = p->q->running_count, finished = m->count;
  double *means = lm_alloc(p->allocator, (q + 1) * sizeof *means);
  if (!means) return LMOPT_NO_MEMORY;
  lmopt_status status = lm_gp_posterior_many(m, p->q->running, q, means, NULL);
  for (size_t i = 0; i < q && !status; i++) status = lm_gp_add(m, p->q->running + i * p->dims);
  for (size_t i = 0; i < q && !status; i++) m->targets[finished + i] = means[i];
  if (!status && q) lm_gp_weigh(m, m->targets, m->alpha);
  lm_free(p->allocator, means);
  return status;
}

static lmopt_status fit_all(proposal *p) {
  lmopt_status status = LMOPT_OK;
  for (size_t k = 0; k < p->objectives && !status; k++) status = fit_objective(p, k);
  for (size_t i = 0; i < p->constraints && !status; i++) {
    status = fit_constraint(p, i);
    if (!status) status = believe_running(p, &p->models[p->objectives + i]);
  }
  return status;
}

/* --- the front --- */

/* The feasible trials that no other dominates; all count where no constraint could be modelled. */
static lmopt_status find_front(proposal *p) {
  size_t m = p->objectives, feasible = 0;
  for (size_t i = 0; i < p->rows; i++) {
    if (p->constraints && row_of(p->q->space, p->q->view, i)->infeasible) continue;
    for (size_t k = 0; k < m; k++) p->front[feasible * m + k] = -p->targets[i * m + k];
    p->front_rows[feasible++] = i;
  }
  if (!feasible) return LMOPT_OK;
  size_t *ranks = lm_alloc(p->allocator, feasible * sizeof *ranks);
  if (!ranks) return LMOPT_NO_MEMORY;
  lmopt_status status = lm_pareto_ranks(p->allocator, p->front, feasible, m, 1, ranks);
  for (size_t i = 0; i < feasible && !status; i++) {
    if (ranks[i] != 0) continue;
    memmove(p->front + p->front_count * m, p->front + i * m, m * sizeof *p->front);
    p->front_rows[p->front_count++] = p->front_rows[i];
  }
  lm_free(p->allocator, ranks);
  return status;
}

/* As Optuna has it: the worst of all trials, and a little more, as a loss. */
static void find_reference(const proposal *p, double *reference) {
  for (size_t k = 0; k < p->objectives; k++) {
    double worst = -INFINITY;
    for (size_t i = 0; i < p->rows; i++) worst = fmax(worst, -p->targets[i * p->objectives + k]);
    reference[k] = fmax(1.1 * worst, 0.9 * worst) + 1e-12;
  }
}

/*
** What is better by less than a small share of the range counts as no better
** (M. Laumanns et al., "Combining convergence and diversity in evolutionary
** multiobjective optimization", Evol. Comput. 10, 2002). Else, where an objective
** can't become less than it is, its model, which does not know that, keeps
** promising a whole slice below: on ZDT2 trials never left f1 = 0.
*/
static void lower_front(proposal *p, const double *reference) {
  size_t m = p->objectives;
  for (size_t k = 0; k < m; k++) {
    double best = reference[k];
    for (size_t i = 0; i < p->front_count; i++) best = fmin(best, p->front[i * m + k]);
    for (size_t i = 0; i < p->front_count; i++) p->front[i * m + k] -= LEAST_GAIN * (reference[k] - best);
  }
}

/* Is a point of the front no better than another one, once both are on a grid of small cells? */
static bool covered(const proposal *p, size_t i, const double *best, const double *cell) {
  size_t m = p->objectives;
  for (size_t j = 0; j < p->front_count; j++) {
    bool nowhere_worse = true, better = false;
    for (size_t k = 0; k < m; k++) {
      double own = floor((p->front[i * m + k] - best[k]) / cell[k]),
             other = floor((p->front[j * m + k] - best[k]) / cell[k]);
      nowhere_worse = nowhere_worse && other <= own;
      better = better || other < own;
    }
    if (nowhere_worse && better) return true;
  }
  return false;
}

/*
** Every other trial looks no farther than the front itself: a tenth of its
** range beyond its worst values, without points that are worse than others but
** for a trifle (H. Ishibuchi et al., "How to specify a reference point in
** hypervolume calculation for fair performance comparison", Evol. Comput. 26,
** 2018). A far reference pays for the ends of the front, a near one for what is
** between them.
*/
static void near_reference(const proposal *p, double *reference) {
  double best[LM_GP_MOST_OBJECTIVES], cell[LM_GP_MOST_OBJECTIVES], worst[LM_GP_MOST_OBJECTIVES];
  size_t m = p->objectives;
  for (size_t k = 0; k < m; k++) {
    best[k] = reference[k];
    for (size_t i = 0; i < p->front_count; i++) best[k] = fmin(best[k], p->front[i * m + k]);
    worst[k] = best[k];
    cell[k] = NEAR_CELL * (reference[k] - best[k]);
  }
  for (size_t i = 0; i < p->front_count; i++) {
    if (covered(p, i, best, cell)) continue;
    for (size_t k = 0; k < m; k++) worst[k] = fmax(worst[k], p->front[i * m + k]);
  }
  for (size_t k = 0; k < m; k++) {
    double range = fmax(worst[k] - best[k], 0.1 * (reference[k] - best[k]));
    reference[k] = fmin(reference[k], worst[k] + 0.1 * range);
  }
}

/* With many objectives a front may have too many boxes; then of its points those that have most of the hypervolume. */
static lmopt_status thin_front(proposal *p, const double *reference) {
  size_t m = p->objectives;
  if (m < 4) return LMOPT_OK;
  for (;;) {
    lm_boxes boxes;
    lmopt_status status = lm_boxes_init(&boxes, p->allocator, p->front, p->front_count, m, reference, MOST_BOXES);
    lm_boxes_free(&boxes);
    if (status != LMOPT_LIMIT || p->front_count < 2) return status == LMOPT_LIMIT ? LMOPT_OK : status;
    size_t wanted = p->front_count / 2;
    size_t *chosen = lm_alloc(p->allocator, wanted * sizeof *chosen);
    double *kept = lm_alloc(p->allocator, wanted * m * sizeof *kept);
    status = chosen && kept ? LMOPT_OK : LMOPT_NO_MEMORY;
    if (!status) status = lm_pareto_select(p->allocator, p->front, p->front_count, m, reference, wanted, chosen);
    for (size_t i = 0; i < wanted && !status; i++) memcpy(kept + i * m, p->front + chosen[i] * m, m * sizeof *kept);
    if (!status) memcpy(p->front, kept, wanted * m * sizeof *kept);
    if (!status) p->front_count = wanted;
    lm_free(p->allocator, chosen);
    lm_free(p->allocator, kept);
    if (status) return status;
  }
}

/* --- where to search --- */

/* Starts: the best trial; of several objectives some of the front; if nothing is feasible, what violates least. */
static lmopt_status find_starts(const proposal *p, double *starts, size_t wanted, size_t *count) {
  const lm_gp_space *space = p->q->space;
  const lm_view *view = p->q->view;
  *count = 0;
  if (p->front_count == 0) {
    size_t best = 0;
    for (size_t i = 1; i < p->rows; i++) {
      if (row_of(space, view, i)->violation < row_of(space, view, best)->violation) best = i;
    }
    lm_gp_space_latent_row(space, view, space->rows[best], starts);
    *count = 1;
    return LMOPT_OK;
  }
  size_t *left = lm_alloc(p->allocator, p->front_count * sizeof *left), remaining = p->front_count;
  if (!left) return LMOPT_NO_MEMORY;
  for (size_t i = 0; i < remaining; i++) left[i] = p->front_rows[i];
  while (remaining && *count < wanted) {
    size_t i = (size_t)lm_rng_below(p->q->rng, remaining);
    lm_gp_space_latent_row(space, view, space->rows[left[i]], starts + (*count)++ * space->count);
    left[i] = left[--remaining];
  }
  lm_free(p->allocator, left);
  return LMOPT_OK;
}

/* The means of the models' inverse squared length scales. */
static void mean_weights(const proposal *p, double *weights) {
  size_t models = p->objectives + p->constraints;
  for (size_t j = 0; j < p->dims; j++) {
    weights[j] = 0;
    for (size_t i = 0; i < models; i++) weights[j] += p->models[i].parameters[j] / (double)models;
  }
}

static lmopt_status search(proposal *p, const lm_gp_acquisition *acquisition, double *latent, bool *found) {
  const lm_gp_options *o = p->q->options;
  size_t d = p->q->space->count, local = o->n_local_search > 1 ? (size_t)o->n_local_search : 1;
  size_t wanted = p->objectives > 1 ? local / 2 : local > 1, count;
  double *starts = lm_alloc(p->allocator, ((wanted + 1) * d + p->dims + 1) * sizeof *starts);
  if (!starts) return LMOPT_NO_MEMORY;
  double *weights = starts + (wanted + 1) * d, value = -INFINITY;
  mean_weights(p, weights);
  lmopt_status status = find_starts(p, starts, wanted, &count);
  lm_gp_search s = {.space = p->q->space,
                    .view = p->q->view,
                    .acquisition = acquisition,
                    .weights = weights,
                    .incumbents = starts,
                    .incumbent_count = count,
                    .incumbent_starts = count,
                    .preliminary = (size_t)o->n_preliminary_samples,
                    .starts = local > count ? local - count : 1};
  if (!status) status = lm_gp_maximize(&s, p->q->rng, latent, &value);
  *found = value > -INFINITY;
  lm_free(p->allocator, starts);
  return status;
}

/* Searches for what is worth most under `base` (NULL: nothing is feasible yet) and the constraints. */
static lmopt_status search_feasible(proposal *p, const lm_gp_acquisition *base, double *latent, bool *found) {
  if (!p->constraints) return search(p, base, latent, found);
  lm_gp_feasibility f;
  lmopt_status status = lm_gp_feasibility_init(&f, base, p->models + p->objectives, p->thresholds, p->constraints);
  lm_gp_acquisition acquisition = lm_gp_feasibility_acquisition(&f);
  if (!status) status = search(p, &acquisition, latent, found);
  lm_gp_feasibility_free(&f);
  return status;
}

static double *draw_normals(proposal *p, size_t count) {
  double *normals = lm_alloc(p->allocator, (count + 1) * sizeof *normals);
  if (normals) lm_normal_draw_many(p->q->rng, normals, count);
  return normals;
}

/* The best posterior mean at a feasible trial. */
static lmopt_status best_mean(const proposal *p, double *best) {
  lmopt_status status = LMOPT_OK;
  double mean;
  *best = -INFINITY;
  for (size_t i = 0; i < p->rows && !status; i++) {
    if (p->constraints && row_of(p->q->space, p->q->view, i)->infeasible) continue;
    status = lm_gp_posterior_many(&p->models[0], p->q->points + i * p->dims, 1, &mean, NULL);
    if (!status) *best = fmax(*best, mean);
  }
  return status;
}

static lmopt_status propose_one(proposal *p, double *latent, bool *found) {
  bool by_probability = p->q->options->acquisition == LM_GP_BY_PI;
  double best, *normals = draw_normals(p, FANTASIES * p->q->running_count);
  if (!normals) return LMOPT_NO_MEMORY;
  lm_gp_improvement improvement = {0};
  lmopt_status status = best_mean(p, &best);
  if (!status)
    status = lm_gp_improvement_init(&improvement, &p->models[0], by_probability ? LM_GP_PI : LM_GP_LOG_EI, best, 0,
                                    p->q->running, p->q->running_count, normals, FANTASIES);
  lm_gp_acquisition acquisition = lm_gp_improvement_acquisition(&improvement);
  if (!status) status = search_feasible(p, &acquisition, latent, found);
  lm_gp_improvement_free(&improvement);
  lm_free(p->allocator, normals);
  return status;
}

static lmopt_status propose_several(proposal *p, double *latent, bool *found) {
  double reference[LM_GP_MOST_OBJECTIVES];
  size_t m = p->objectives;
  double *normals = draw_normals(p, HYPERVOLUME_FANTASIES * m * p->q->running_count);
  if (!normals) return LMOPT_NO_MEMORY;
  find_reference(p, reference);
  if (p->q->view->number % 2) near_reference(p, reference);
  lmopt_status status = thin_front(p, reference);
  lower_front(p, reference);
  for (size_t i = 0; i < p->front_count * m; i++) p->front[i] = -p->front[i];
  for (size_t k = 0; k < m; k++) reference[k] = -reference[k];
  lm_gp_hypervolume h = {0};
  if (!status)
    status = lm_gp_hypervolume_init(&h, p->allocator, p->models, m, p->front, p->front_count, reference, p->q->running,
                                    p->q->running_count, normals, HYPERVOLUME_FANTASIES, 0);
  lm_gp_acquisition acquisition = lm_gp_hypervolume_acquisition(&h);
  if (!status) status = search_feasible(p, &acquisition, latent, found);
  lm_gp_hypervolume_free(&h);
  lm_free(p->allocator, normals);
  return status;
}

static lmopt_status prepare(proposal *p) {
  size_t n = p->rows, m = p->objectives;
  find_constraints(p);
  p->models = lm_alloc_zeroed(p->allocator, (m + p->constraints) * sizeof *p->models);
  p->block = lm_alloc(p->allocator, (n * (1 + p->dims + 1 + 2 * m) + 1) * sizeof *p->block);
  p->front_rows = lm_alloc(p->allocator, (n + 1) * sizeof *p->front_rows);
  if (!p->models || !p->block || !p->front_rows) return LMOPT_NO_MEMORY;
  p->values = p->block;
  p->inputs = p->values + n;
  p->targets = p->inputs + n * (p->dims + 1); /* one column more: scratch */
  p->front = p->targets + n * m;
  lmopt_status status = fit_all(p);
  return status ? status : find_front(p);
}

lmopt_status lm_gp_several_propose(lm_gp_several *s, const lm_gp_question *q, double *latent, bool *found) {
  proposal p = {.memory = s, .q = q, .allocator = s->allocator, .rows = q->space->row_count};
  p.dims = lm_gp_space_inputs(q->space);
  p.objectives = q->view->trials->objectives;
  *found = false;
  lmopt_status status = prepare(&p);
  if (!status && !p.front_count && p.constraints) {
    status = search_feasible(&p, NULL, latent, found);
  } else if (!status) {
    status = p.objectives == 1 ? propose_one(&p, latent, found) : propose_several(&p, latent, found);
  }
  for (size_t i = 0; p.models && i < p.objectives + p.constraints; i++) lm_gp_free(&p.models[i]);
  lm_free(s->allocator, p.models);
  lm_free(s->allocator, p.block);
  lm_free(s->allocator, p.front_rows);
  return status;
}
