#include "search/gp_acquisition.h"

#include <math.h>
#include <string.h>

#include "math/dense.h"
#include "math/elementary.h"
#include "math/normal.h"

#define SQRT_HALF 0.70710678118654752440
#define SQRT_HALF_PI 1.25331413731550025121 /* sqrt(pi / 2) */
#define HALF_LOG_TWO_PI 0.91893853320467274178
#define LEAST_VARIANCE 1e-12

/*
** log(phi(z) + z Phi(z)) and its derivative Phi(z) / (phi(z) + z Phi(z)); and
** phi(z) / (phi(z) + z Phi(z)), all without cancellation.
*/
static double log_improvement(double z, double *by_z, double *density_share) {
  if (z > -1) {
    double density = lm_exp(-0.5 * z * z - HALF_LOG_TWO_PI), mass = lm_normal_cdf(z);
    double improvement = density + z * mass;
    *by_z = mass / improvement;
    *density_share = density / improvement;
    return lm_log(improvement);
  }
  /* Phi / phi = sqrt(pi/2) erfcx(-z / sqrt 2), and what is left of 1 + z Phi / phi falls like 1 / z^2. */
  double ratio = SQRT_HALF_PI * lm_erfcx(-z * SQRT_HALF), inverse = 1 / (z * z), left;
  left = z > -200 ? 1 + z * ratio : inverse * (1 - inverse * (3 - 15 * inverse));
  *by_z = ratio / left;
  *density_share = 1 / left;
  return -0.5 * z * z - HALF_LOG_TWO_PI + lm_log(left);
}

double lm_gp_log_ei(double mean, double variance, double best, double *by_mean, double *by_variance) {
  if (!(variance > LEAST_VARIANCE)) variance = LEAST_VARIANCE;
  double deviation = sqrt(variance), by_z, share;
  double value = log_improvement((mean - best) / deviation, &by_z, &share);
  *by_mean = by_z / deviation;
  *by_variance = share / (2 * variance);
  return value + 0.5 * lm_log(variance);
}

double lm_gp_log_pi(double mean, double variance, double best, double *by_mean, double *by_variance) {
  if (!(variance > LEAST_VARIANCE)) variance = LEAST_VARIANCE;
  double deviation = sqrt(variance), z = (mean - best) / deviation, hazard; /* phi / Phi */
  if (z < 0) {
    hazard = 1 / (SQRT_HALF_PI * lm_erfcx(-z * SQRT_HALF));
  } else {
    hazard = lm_exp(-0.5 * z * z - HALF_LOG_TWO_PI) / lm_normal_cdf(z);
  }
  *by_mean = hazard / deviation;
  *by_variance = -0.5 * hazard * z / variance;
  return lm_normal_log_cdf(z);
}

double lm_gp_ucb(double mean, double variance, double beta, double *by_mean, double *by_variance) {
  if (!(variance > LEAST_VARIANCE)) variance = LEAST_VARIANCE;
  double width = sqrt(beta * variance);
  *by_mean = 1;
  *by_variance = width / (2 * variance);
  return mean + width;
}

/* --- one objective --- */

double lm_gp_fitted_mean(const lm_gp_model *m, const double *targets, const double *alpha, size_t i) {
  return targets[i] - LM_GP_NOISE(m) * alpha[i]; /* K alpha, where (K + noise I) alpha = targets */
}

static double criterion(const lm_gp_improvement *s, double mean, double variance, double best, double *by_mean,
                        double *by_variance) {
  if (s->criterion == LM_GP_UCB) return lm_gp_ucb(mean, variance, s->beta, by_mean, by_variance);
  if (s->criterion == LM_GP_PI) return lm_gp_log_pi(mean, variance, best, by_mean, by_variance);
  return lm_gp_log_ei(mean, variance, best, by_mean, by_variance);
}

/*
** The mean over the draws; of logarithms, the logarithm of the mean of what
** they are logarithms of. `shares` becomes the derivative by each draw's mean,
** *by_variance that by the variance.
*/
static double combine(const lm_gp_improvement *s, const double *means, double variance, double *shares,
                      double *by_variance) {
  double top = -INFINITY, total = 0, slope;
  bool logarithm = s->criterion != LM_GP_UCB;
  *by_variance = 0;
  if (s->draws == 1) return criterion(s, means[0], variance, s->thresholds[0], &shares[0], by_variance);
  for (size_t i = 0; i < s->draws; i++) {
    double value = criterion(s, means[i], variance, s->thresholds[i], &shares[i], &slope);
    if (value > top) top = value;
  }
  double value_sum = 0;
  for (size_t i = 0; i < s->draws; i++) {
    double value = criterion(s, means[i], variance, s->thresholds[i], &shares[i], &slope);
    double weight = logarithm ? lm_exp(value - top) : 1;
    total += weight;
    value_sum += value;
    shares[i] *= weight;
    *by_variance += weight * slope;
  }
  for (size_t i = 0; i < s->draws; i++) shares[i] /= total;
  *by_variance /= total;
  return logarithm ? top + lm_log(total / (double)s->draws) : value_sum / (double)s->draws;
}

static double improvement_value(const lm_gp_acquisition *self, const double *point, double *gradient) {
  const lm_gp_improvement *s = self->state;
  lm_gp_model *m = s->model;
  size_t n = m->count;
  double *k = m->work, *slope = k + m->capacity, *v = slope + m->capacity, *u = v + m->capacity;
  double *shares = s->work, *means = shares + s->draws, by_variance;
  lm_gp_kernel(m, point, k, gradient ? slope : NULL);
  for (size_t i = 0; i < s->draws; i++) means[i] = lm_dense_dot(k, s->alphas + i * n, n);
  if (n) memcpy(v, k, n * sizeof *v);
  lm_dense_solve_lower(m->factor, n, m->capacity, v);
  double variance = LM_GP_SCALE(m) - lm_dense_dot(v, v, n);
  bool flat = !(variance > 0);
  double value = combine(s, means, flat ? 0 : variance, shares, &by_variance);
  if (gradient) {
    if (flat) by_variance = 0;
    lm_dense_multiply_transposed(m->inverse, n, m->capacity, v, u);
    for (size_t i = 0; i < n; i++) u[i] *= -2 * by_variance;
    for (size_t i = 0; i < s->draws; i++) lm_dense_subtract(u, s->alphas + i * n, -shares[i], n);
    lm_gp_kernel_gradient(m, point, slope, u, gradient);
  }
  if (s->criterion != LM_GP_EI) return value;
  value = lm_exp(value < 700 ? value : 700);
  for (size_t j = 0; gradient && j < m->dims; j++) gradient[j] *= value;
  return value;
}

static lmopt_status improvement_values(const lm_gp_acquisition *self, const double *points, size_t count, double *out) {
  const lm_gp_improvement *s = self->state;
  double by_mean, by_variance;
  if (s->draws == 1) { /* in place: `out` holds the means first */
    double *variances = s->work + 2 * s->draws;
    for (size_t first = 0; first < count; first += 64) {
      size_t width = count - first < 64 ? count - first : 64;
      lmopt_status status =
          lm_gp_posterior_many(s->model, points + first * s->model->dims, width, out + first, variances);
      if (status) return status;
      for (size_t i = first; i < first + width; i++) {
        out[i] = criterion(s, out[i], variances[i - first], s->thresholds[0], &by_mean, &by_variance);
        if (s->criterion == LM_GP_EI) out[i] = lm_exp(out[i] < 700 ? out[i] : 700);
      }
    }
    return LMOPT_OK;
  }
  for (size_t i = 0; i < count; i++) out[i] = improvement_value(self, points + i * s->model->dims, NULL);
  return LMOPT_OK;
}

/* Outcomes of the running points, draw by draw, into the targets after the finished ones. */
static lmopt_status draw_outcomes(lm_gp_improvement *s, const double *running, size_t running_count,
                                  const double *normals) {
  lm_gp_model *m = s->model;
  size_t q = running_count, finished = m->count - q, draws = s->draws;
  double *means = lm_alloc(m->allocator, (q * (q + 2) + m->count) * sizeof *means);
  if (!means) return LMOPT_NO_MEMORY;
  double *covariance = means + q, *outcome = covariance + q * q, *targets = outcome + q;
  m->count = finished;
  lmopt_status status = lm_gp_posterior_joint(m, running, q, means, covariance);
  m->count = finished + q;
  for (size_t i = 0; i < q; i++) covariance[i * q + i] += LM_GP_NOISE(m);
  if (!status && !lm_dense_cholesky(covariance, q, q)) memset(covariance, 0, q * q * sizeof *covariance);
  for (size_t draw = 0; draw < draws && !status; draw++) {
    for (size_t i = 0; i < finished; i++) targets[i] = m->targets[i];
    s->thresholds[draw] = s->best;
    for (size_t i = 0; i < q; i++) {
      double value = means[i];
      for (size_t k = 0; k <= i; k++) value += covariance[k * q + i] * normals[draw * q + k];
      targets[finished + i] = value;
    }
    double *alpha = s->alphas + draw * m->count;
    lm_gp_weigh(m, targets, alpha);
    for (size_t i = finished; i < m->count; i++)
      s->thresholds[draw] = fmax(s->thresholds[draw], lm_gp_fitted_mean(m, targets, alpha, i));
  }
  lm_free(m->allocator, means);
  return status;
}

lmopt_status lm_gp_improvement_init(lm_gp_improvement *s, lm_gp_model *model, lm_gp_criterion criterion_, double best,
                                    double beta, const double *running, size_t running_count, const double *normals,
                                    size_t draws) {
  const lm_allocator *a = model->allocator;
  if (running_count == 0) draws = 1;
  *s = (lm_gp_improvement){.model = model, .criterion = criterion_, .best = best, .beta = beta, .draws = draws};
  for (size_t i = 0; i < running_count; i++) {
    lmopt_status status = lm_gp_add(model, running + i * model->dims);
    if (status) return status;
  }
  s->alphas = lm_alloc(a, (draws * model->count + 1) * sizeof *s->alphas);
  s->thresholds = lm_alloc(a, draws * sizeof *s->thresholds);
  s->work = lm_alloc(a, (2 * draws + 64) * sizeof *s->work);
  if (!s->alphas || !s->thresholds || !s->work) {
    lm_gp_improvement_free(s);
    return LMOPT_NO_MEMORY;
  }
  s->thresholds[0] = best;
  if (running_count) {
    lmopt_status status = draw_outcomes(s, running, running_count, normals);
    if (status) lm_gp_improvement_free(s);
    return status;
  }
  if (model->count) memcpy(s->alphas, model->alpha, model->count * sizeof *s->alphas);
  return LMOPT_OK;
}

void lm_gp_improvement_free(lm_gp_improvement *s) {
  if (!s->model) return;
  const lm_allocator *a = s->model->allocator;
  lm_free(a, s->alphas);
  lm_free(a, s->thresholds);
  lm_free(a, s->work);
  s->alphas = s->thresholds = s->work = NULL;
}

lm_gp_acquisition lm_gp_improvement_acquisition(lm_gp_improvement *s) {
  return (lm_gp_acquisition){improvement_value, improvement_values, s};
}
