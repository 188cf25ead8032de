#include "search/gp_hypervolume.h"

#include <math.h>
#include <string.h>

#include "math/dense.h"
#include "math/elementary.h"
#include "math/normal.h"

#define SQRT_HALF 0.70710678118654752440
#define SQRT_HALF_PI 1.25331413731550025121 /* sqrt(pi / 2) */
#define INVERSE_ROOT 0.39894228040143267794 /* 1 / sqrt(2 pi) */
#define LEAST_VARIANCE 1e-12
#define LEAST_EXPONENT (-700.0)

enum { BATCH = 64 };

/* --- one point --- */

/*
** Below a level, the expected improvement of a normal outcome in units of its
** deviation, and what its derivatives by the mean (negated) and the deviation
** are: each divided by exp(exponent), so that nothing underflows.
*/
typedef struct below {
  double exponent, improvement, mass, density;
} below;

static below below_level(double z) {
  double x = fabs(z), ratio = SQRT_HALF_PI * lm_erfcx(x * SQRT_HALF); /* mass beyond x over the density there */
  double inverse = 1 / (x * x);
  double left = x < 200 ? 1 - x * ratio : inverse * (1 - inverse * (3 - 15 * inverse));
  if (z <= 0) return (below){-0.5 * z * z, INVERSE_ROOT * left, INVERSE_ROOT * ratio, INVERSE_ROOT};
  double density = z < 37 ? INVERSE_ROOT * lm_exp_bounded(-0.5 * z * z) : 0;
  return (below){0, z + density * left, 1 - density * ratio, density};
}

static double scaled(double exponent) { return exponent > LEAST_EXPONENT ? lm_exp_bounded(exponent) : 0; }

/* The same of an interval: the difference of two levels, divided by exp of the upper one's exponent. */
static below between(const below *lower, const below *upper) {
  double share = scaled(lower->exponent - upper->exponent);
  below d = {upper->exponent, upper->improvement - share * lower->improvement, upper->mass - share * lower->mass,
             upper->density - share * lower->density};
  if (!(d.improvement > 0)) d = (below){upper->exponent, 0, 0, 0};
  return d;
}

size_t lm_gp_log_ehvi_workspace(const lm_boxes *b) {
  size_t levels = b->starts[b->objectives];
  return (levels + b->objectives) * (sizeof(below) / sizeof(double)) + b->count + b->objectives;
}

/* The largest exponent of a box. */
static double largest_exponent(const lm_boxes *b, const below *levels) {
  size_t m = b->objectives;
  double most = -INFINITY;
  for (size_t i = 0; i < b->count; i++) {
    double sum = 0;
    for (size_t k = 0; k < m; k++) sum += levels[b->starts[k] + b->upper[i * m + k]].exponent;
    most = sum > most ? sum : most;
  }
  return most;
}

/* What box i has, over exp(shift); adds its derivatives. */
static double add_box(const lm_boxes *b, size_t i, const below *levels, double shift, below *sides, double *by_mean,
                      double *by_deviation) {
  size_t m = b->objectives;
  double exponent = -shift, product = 1;
  for (size_t k = 0; k < m; k++) {
    const below *all = levels + b->starts[k];
    sides[k] = between(&all[b->lower[i * m + k]], &all[b->upper[i * m + k]]);
    exponent += sides[k].exponent;
    product *= sides[k].improvement;
  }
  double scale = scaled(exponent);
  if (!by_mean || !(scale > 0)) return scale * product;
  for (size_t k = 0; k < m; k++) {
    double others = scale;
    for (size_t j = 0; j < m; j++) others *= j == k ? 1 : sides[j].improvement;
    by_mean[k] -= others * sides[k].mass;
    by_deviation[k] += others * sides[k].density;
  }
  return scale * product;
}

double lm_gp_log_ehvi(const lm_boxes *b, const double *means, const double *variances, double *by_mean,
                      double *by_variance, double *workspace) {
  size_t m = b->objectives;
  below *levels = (below *)(void *)workspace, *sides = levels + b->starts[m];
  double volume = 1; /* the product of the deviations is that of the units */
  for (size_t k = 0; k < m; k++) {
    double deviation = sqrt(variances[k] + LEAST_VARIANCE);
    volume *= deviation;
    levels[b->starts[k]] = (below){-INFINITY, 0, 0, 0};
    for (size_t i = b->starts[k] + 1; i < b->starts[k + 1]; i++)
      levels[i] = below_level((b->levels[i] - means[k]) / deviation);
    if (by_mean) by_mean[k] = by_variance[k] = 0;
  }
  double shift = largest_exponent(b, levels), sum = 0;
  for (size_t i = 0; i < b->count; i++) sum += add_box(b, i, levels, shift, sides, by_mean, by_variance);
  for (size_t k = 0; k < m && by_mean; k++) {
    double variance = variances[k] + LEAST_VARIANCE;
    by_mean[k] = sum > 0 ? by_mean[k] / (sum * sqrt(variance)) : 0;
    by_variance[k] = sum > 0 ? by_variance[k] / (sum * 2 * variance) : 0;
  }
  return sum > 0 ? shift + lm_log(sum) + lm_log(volume) : -INFINITY;
}

/* --- the acquisition --- */

/* Of objective k: what lm_gp_kernel gives, the solved kernel, and a row more. */
typedef struct part {
  double *k, *slope, *solved, *factors;
} part;

static part part_of(const lm_gp_hypervolume *h, size_t objective) {
  size_t room = 0;
  for (size_t i = 0; i < objective; i++) room += 4 * h->models[i].count;
  double *k = h->work + room;
  size_t n = h->models[objective].count;
  return (part){k, k + n, k + 2 * n, k + 3 * n};
}

static const double *alpha_of(const lm_gp_hypervolume *h, size_t objective, size_t draw) {
  return h->alphas + h->begins[objective] + draw * h->models[objective].count;
}

/* Means per draw, negated to be losses: means[draw * objectives + k]. */
static void fill_means(const lm_gp_hypervolume *h, size_t objective, const double *k, double *means) {
  for (size_t draw = 0; draw < h->draws; draw++)
    means[draw * h->objectives + objective] =
        -lm_dense_dot(k, alpha_of(h, objective, draw), h->models[objective].count);
}

/*
** The logarithm of the mean over the draws. `shares` (draws x objectives)
** becomes the derivatives by the means, by_variance those by the variances.
*/
static double mean_over_draws(const lm_gp_hypervolume *h, const double *means, const double *variances, double *shares,
                              double *by_variance, double *slopes, double *workspace) {
  size_t m = h->objectives;
  if (h->draws == 1) return lm_gp_log_ehvi(&h->boxes[0], means, variances, shares, by_variance, workspace);
  double top = -INFINITY, total = 0;
  for (size_t k = 0; k < m && by_variance; k++) by_variance[k] = 0;
  for (size_t i = 0; i < h->draws; i++) { /* total is the sum over exp(top) so far */
    double value =
        lm_gp_log_ehvi(&h->boxes[i], means + i * m, variances, shares ? shares + i * m : NULL, slopes, workspace);
    if (!(value > -INFINITY)) {
      for (size_t k = 0; k < m && shares; k++) shares[i * m + k] = 0;
      continue;
    }
    double higher = value > top ? value : top, fade = scaled(top - higher), weight = scaled(value - higher);
    total = total * fade + weight;
    top = higher;
    for (size_t k = 0; k < m && shares; k++) {
      by_variance[k] = by_variance[k] * fade + weight * slopes[k];
      shares[i * m + k] *= weight;
      for (size_t j = 0; j < i; j++) shares[j * m + k] *= fade;
    }
  }
  if (!(total > 0)) return -INFINITY;
  for (size_t k = 0; k < m && shares; k++) {
    by_variance[k] /= total;
    for (size_t i = 0; i < h->draws; i++) shares[i * m + k] /= total;
  }
  return top + lm_log(total / (double)h->draws);
}

/* Scratch after the parts: means, shares, variances, by_variance, slopes, one gradient, and what lm_gp_log_ehvi needs. */
typedef struct scratch {
  double *means, *shares, *variances, *by_variance, *slopes, *gradient, *rest;
} scratch;

static scratch scratch_of(const lm_gp_hypervolume *h) {
  size_t m = h->objectives;
  scratch s;
  s.means = part_of(h, m - 1).factors + h->models[m - 1].count;
  s.shares = s.means + h->draws * m;
  s.variances = s.shares + h->draws * m;
  s.by_variance = s.variances + m * BATCH;
  s.slopes = s.by_variance + m;
  s.gradient = s.slopes + m;
  s.rest = s.gradient + h->models[0].dims + m * BATCH;
  return s;
}

static double hypervolume_value(const lm_gp_acquisition *self, const double *point, double *gradient) {
  const lm_gp_hypervolume *h = self->state;
  size_t m = h->objectives, dims = h->models[0].dims;
  scratch s = scratch_of(h);
  for (size_t k = 0; k < m; k++) {
    const lm_gp_model *model = &h->models[k];
    part p = part_of(h, k);
    size_t n = model->count;
    lm_gp_kernel(model, point, p.k, gradient ? p.slope : NULL);
    fill_means(h, k, p.k, s.means);
    if (n) memcpy(p.solved, p.k, n * sizeof *p.solved);
    lm_dense_solve_lower(model->factor, n, model->capacity, p.solved);
    double variance = LM_GP_SCALE(model) - lm_dense_dot(p.solved, p.solved, n);
    s.variances[k] = variance > 0 ? variance : 0;
  }
  double value = mean_over_draws(h, s.means, s.variances, gradient ? s.shares : NULL, gradient ? s.by_variance : NULL,
                                 s.slopes, s.rest);
  if (!gradient) return value;
  for (size_t j = 0; j < dims; j++) gradient[j] = 0;
  for (size_t k = 0; k < m; k++) {
    const lm_gp_model *model = &h->models[k];
    part p = part_of(h, k);
    size_t n = model->count;
    double by_variance = s.variances[k] > 0 ? s.by_variance[k] : 0;
    lm_dense_multiply_transposed(model->inverse, n, model->capacity, p.solved, p.factors);
    for (size_t i = 0; i < n; i++) p.factors[i] *= -2 * by_variance;
    for (size_t draw = 0; draw < h->draws; draw++) /* a loss is minus the mean */
      lm_dense_subtract(p.factors, alpha_of(h, k, draw), s.shares[draw * m + k], n);
    lm_gp_kernel_gradient(model, point, p.slope, p.factors, s.gradient);
    for (size_t j = 0; j < dims; j++) gradient[j] += s.gradient[j];
  }
  return value;
}

static lmopt_status hypervolume_values(const lm_gp_acquisition *self, const double *points, size_t count, double *out) {
  const lm_gp_hypervolume *h = self->state;
  size_t m = h->objectives, dims = h->models[0].dims;
  scratch s = scratch_of(h);
  double *batch_means = s.gradient, *batch_variances = s.variances;
  for (size_t first = 0; first < count; first += BATCH) {
    size_t width = count - first < BATCH ? count - first : BATCH;
    const double *batch = points + first * dims;
    for (size_t k = 0; k < m; k++) {
      lmopt_status status =
          lm_gp_posterior_many(&h->models[k], batch, width, batch_means + k * BATCH, batch_variances + k * BATCH);
      if (status) return status;
    }
    for (size_t i = 0; i < width; i++) {
      double variances[LM_GP_MOST_OBJECTIVES] = {0};
      for (size_t k = 0; k < m; k++) {
        part p = part_of(h, k);
        variances[k] = batch_variances[k * BATCH + i];
        s.means[k] = -batch_means[k * BATCH + i];
        if (h->draws == 1) continue;
        lm_gp_kernel(&h->models[k], batch + i * dims, p.k, NULL);
        fill_means(h, k, p.k, s.means);
      }
      out[first + i] = mean_over_draws(h, s.means, variances, NULL, NULL, s.slopes, s.rest);
    }
  }
  return LMOPT_OK;
}

/* --- what the running points may turn out to be --- */

/* Draws of objective k: outcomes[draw * running + i], and the weights that go with them. */
static lmopt_status draw_objective(lm_gp_hypervolume *h, size_t objective, const double *running, size_t q,
                                   const double *normals, double *outcomes) {
  lm_gp_model *model = &h->models[objective];
  size_t finished = model->count;
  double *means = lm_alloc(h->allocator, (q * (q + 1) + finished + q + 1) * sizeof *means);
  if (!means) return LMOPT_NO_MEMORY;
  double *covariance = means + q, *targets = covariance + q * q;
  lmopt_status status = lm_gp_posterior_joint(model, running, q, means, covariance);
  for (size_t i = 0; i < q; i++) covariance[i * q + i] += LM_GP_NOISE(model);
  if (!status && !lm_dense_cholesky(covariance, q, q)) memset(covariance, 0, q * q * sizeof *covariance);
  for (size_t i = 0; i < q && !status; i++) status = lm_gp_add(model, running + i * model->dims);
  if (finished) memcpy(targets, model->targets, finished * sizeof *targets);
  for (size_t draw = 0; draw < h->draws && !status; draw++) {
    const double *z = normals + (draw * h->objectives + objective) * q;
    for (size_t i = 0; i < q; i++) {
      double value = means[i];
      for (size_t k = 0; k <= i; k++) value += covariance[k * q + i] * z[k];
      outcomes[draw * q + i] = targets[finished + i] = value;
    }
    lm_gp_weigh(model, targets, h->alphas + h->begins[objective] + draw * model->count);
  }
  if (!status && h->draws) memcpy(model->alpha, alpha_of(h, objective, 0), model->count * sizeof *model->alpha);
  lm_free(h->allocator, means);
  return status;
}

/* Boxes per draw: of the front, and of the running points' outcomes (objectives x draws x running). */
static lmopt_status make_boxes(lm_gp_hypervolume *h, const double *front, size_t front_count, const double *reference,
                               const double *outcomes, size_t q, size_t limit) {
  size_t m = h->objectives, count = front_count + q;
  double *losses = lm_alloc(h->allocator, (count + 1) * m * sizeof *losses);
  if (!losses) return LMOPT_NO_MEMORY;
  double *worst = losses + count * m;
  for (size_t i = 0; i < front_count * m; i++) losses[i] = -front[i];
  for (size_t k = 0; k < m; k++) worst[k] = -reference[k];
  lmopt_status status = LMOPT_OK;
  for (size_t draw = 0; draw < h->draws && !status; draw++) {
    for (size_t i = 0; i < q * m; i++) losses[front_count * m + i] = -outcomes[((i % m) * h->draws + draw) * q + i / m];
    status = lm_boxes_init(&h->boxes[draw], h->allocator, losses, count, m, worst, limit);
  }
  lm_free(h->allocator, losses);
  return status;
}

static size_t room_needed(const lm_gp_hypervolume *h) {
  size_t room = 0, m = h->objectives, most = 0;
  for (size_t i = 0; i < h->draws; i++) {
    size_t needed = lm_gp_log_ehvi_workspace(&h->boxes[i]);
    most = needed > most ? needed : most;
  }
  for (size_t k = 0; k < m; k++) room += 4 * h->models[k].count;
  return room + 2 * h->draws * m + 2 * m * BATCH + 2 * m + h->models[0].dims + most;
}

static lmopt_status prepare(lm_gp_hypervolume *h, const double *front, size_t front_count, const double *reference,
                            const double *running, size_t q, const double *normals, size_t limit) {
  const lm_allocator *a = h->allocator;
  size_t m = h->objectives, room = 0;
  h->begins = lm_alloc(a, m * sizeof *h->begins);
  if (!h->begins) return LMOPT_NO_MEMORY;
  for (size_t k = 0; k < m; k++) {
    h->begins[k] = room;
    room += h->draws * (h->models[k].count + q);
  }
  h->alphas = lm_alloc(a, (room + 1) * sizeof *h->alphas);
  h->boxes = lm_alloc_zeroed(a, h->draws * sizeof *h->boxes);
  double *outcomes = lm_alloc(a, (m * h->draws * q + 1) * sizeof *outcomes);
  lmopt_status status = h->alphas && h->boxes && outcomes ? LMOPT_OK : LMOPT_NO_MEMORY;
  for (size_t k = 0; k < m && !status; k++) {
    const lm_gp_model *model = &h->models[k];
    if (q) {
      status = draw_objective(h, k, running, q, normals, outcomes + k * h->draws * q);
    } else if (model->count) {
      memcpy(h->alphas + h->begins[k], model->alpha, model->count * sizeof *h->alphas);
    }
  }
  if (!status) status = make_boxes(h, front, front_count, reference, outcomes, q, limit);
  lm_free(a, outcomes);
  if (status) return status;
  h->work = lm_alloc(a, room_needed(h) * sizeof *h->work);
  return h->work ? LMOPT_OK : LMOPT_NO_MEMORY;
}

lmopt_status lm_gp_hypervolume_init(lm_gp_hypervolume *h, const lm_allocator *a, lm_gp_model *models, size_t objectives,
                                    const double *front, size_t front_count, const double *reference,
                                    const double *running, size_t running_count, const double *normals, size_t draws,
                                    size_t limit) {
  *h = (lm_gp_hypervolume){.allocator = a, .models = models, .objectives = objectives};
  h->draws = running_count ? draws : 1;
  lmopt_status status = prepare(h, front, front_count, reference, running, running_count, normals, limit);
  if (status) lm_gp_hypervolume_free(h);
  return status;
}

void lm_gp_hypervolume_free(lm_gp_hypervolume *h) {
  if (!h->allocator) return;
  for (size_t i = 0; h->boxes && i < h->draws; i++) lm_boxes_free(&h->boxes[i]);
  lm_free(h->allocator, h->boxes);
  lm_free(h->allocator, h->begins);
  lm_free(h->allocator, h->alphas);
  lm_free(h->allocator, h->work);
  *h = (lm_gp_hypervolume){0};
}

lm_gp_acquisition lm_gp_hypervolume_acquisition(lm_gp_hypervolume *h) {
  return (lm_gp_acquisition){hypervolume_value, hypervolume_values, h};
}
