/* Hyperparameters of a Gaussian process: gp_model.h. */
#include <math.h>
#include <string.h>

#include "math/dense.h"
#include "math/elementary.h"
#include "math/minimize.h"
#include "math/vector.h"
#include "search/gp_model.h"

/* Beyond these, on the scale of logarithms, nothing is gained but overflow. */
#define LEAST_LOG (-18.0)
#define MOST_LOG 18.0

double lm_gp_log_prior(const lm_gp_model *m) {
  double sum = 0;
  for (size_t j = 0; j < m->dims; j++) sum -= 0.1 / m->parameters[j] + 0.1 * m->parameters[j];
  double scale = LM_GP_SCALE(m), noise = LM_GP_NOISE(m);
  return sum + (lm_log(scale) - scale) + (0.1 * lm_log(noise) - 30 * noise);
}

/* The factor, its inverse, alpha; slopes by rows, below the diagonal, when not NULL. False: not positive definite. */
static bool factor_with_slopes(lm_gp_model *m, double *slopes) {
  size_t n = m->count, stride = m->capacity;
  double *k = m->work;
  for (size_t i = 0; i < n; i++) {
    lm_gp_kernel_row(m, i, k, slopes ? slopes + i * stride : m->work + stride);
    for (size_t p = 0; p < i; p++) m->factor[p * stride + i] = k[p];
    m->factor[i * stride + i] = LM_GP_SCALE(m) + LM_GP_NOISE(m);
  }
  if (!lm_dense_cholesky(m->factor, n, stride)) return false;
  lm_gp_weigh(m, m->targets, m->alpha);
  if (slopes) lm_dense_inverse_lower(m->factor, n, stride, m->inverse, stride);
  return true;
}

static double likelihood_of_factor(const lm_gp_model *m) {
  double logs = 0;
  for (size_t i = 0; i < m->count; i++) logs += lm_log(m->factor[i * m->capacity + i]);
  return -0.5 * lm_dense_dot(m->targets, m->alpha, m->count) - logs;
}

lmopt_status lm_gp_log_likelihood(lm_gp_model *m, double *value) {
  *value = factor_with_slopes(m, NULL) ? likelihood_of_factor(m) : -INFINITY;
  return LMOPT_OK;
}

double lm_gp_log_density(const lm_gp_model *m) { return likelihood_of_factor(m) + lm_gp_log_prior(m); }

LM_VECTORIZED static void add_square_products(double *restrict sums, const double *restrict h, const double *restrict x,
                                              double at, size_t n) {
  for (size_t i = 0; i < n; i++) {
    double difference = x[i] - at;
    sums[i] += h[i] * (difference * difference);
  }
}

LM_VECTORIZED static void add_different(double *restrict sums, const double *restrict h, const double *restrict x,
                                        double at, size_t n) {
  for (size_t i = 0; i < n; i++) sums[i] += x[i] != at ? h[i] : 0.0;
}

/*
** d log likelihood / d theta = 1/2 sum of G * dK/d theta, G = alpha alpha' - K^-1
** (Rasmussen and Williams, equation 5.9). Adds to `gradient`: with regard to
** the weights (dims), the scale and the noise.
*/
static void add_likelihood_gradient(lm_gp_model *m, double *slopes, double *sums, double *gradient) {
  size_t n = m->count, stride = m->capacity, d = m->dims;
  double trace = 0, *inverse_row = m->work;
  memset(sums, 0, d * stride * sizeof *sums);
  for (size_t i = 0; i < n; i++) {
    double *h = slopes + i * stride, own = m->alpha[i];
    lm_dense_inverse_row(m->inverse, n, stride, i, inverse_row);
    trace += inverse_row[i];
    for (size_t p = 0; p < i; p++) h[p] *= own * m->alpha[p] - inverse_row[p];
    for (size_t j = 0; j < d; j++) {
      const double *x = m->x + j * stride;
      if (m->category[j]) {
        add_different(sums + j * stride, h, x, x[i], i);
      } else {
        add_square_products(sums + j * stride, h, x, x[i], i);
      }
    }
  }
  for (size_t j = 0; j < d; j++) gradient[j] += lm_dense_sum(sums + j * stride, n);
  double noise = LM_GP_NOISE(m), square = lm_dense_dot(m->alpha, m->alpha, n);
  double explained = lm_dense_dot(m->targets, m->alpha, n) - noise * square;
  gradient[d] += 0.5 * (explained - ((double)n - noise * trace)) / LM_GP_SCALE(m);
  gradient[d + 1] += 0.5 * (square - trace);
}

static void add_prior_gradient(const lm_gp_model *m, double *gradient) {
  for (size_t j = 0; j < m->dims; j++) {
    double w = m->parameters[j];
    gradient[j] += 0.1 / (w * w) - 0.1;
  }
  gradient[m->dims] += 1 / LM_GP_SCALE(m) - 1;
  gradient[m->dims + 1] += 0.1 / LM_GP_NOISE(m) - 30;
}

/* --- the search for the mode, over logarithms --- */

typedef struct fit {
  lm_gp_model *model;
  bool deterministic;
  double *slopes, *sums;
  double best;
  double *best_parameters;
} fit;

static void from_logs(const fit *f, const double *logs) {
  lm_gp_model *m = f->model;
  for (size_t j = 0; j <= m->dims; j++) m->parameters[j] = lm_exp(logs[j]);
  LM_GP_NOISE(m) = LM_GP_LEAST_NOISE + (f->deterministic ? 0 : lm_exp(logs[m->dims + 1]));
}

static void to_logs(const fit *f, double *logs) {
  const lm_gp_model *m = f->model;
  for (size_t j = 0; j <= m->dims; j++) logs[j] = lm_log(m->parameters[j]);
  double above = LM_GP_NOISE(m) - LM_GP_LEAST_NOISE;
  logs[m->dims + 1] = above > 1e-8 ? lm_log(above) : lm_log(1e-8);
}

static double negated_posterior(void *userdata, const double *logs, double *gradient) {
  fit *f = userdata;
  lm_gp_model *m = f->model;
  size_t d = m->dims;
  from_logs(f, logs);
  if (!factor_with_slopes(m, f->slopes)) return INFINITY;
  double value = likelihood_of_factor(m) + lm_gp_log_prior(m);
  memset(gradient, 0, (d + 2) * sizeof *gradient);
  add_likelihood_gradient(m, f->slopes, f->sums, gradient);
  add_prior_gradient(m, gradient);
  for (size_t j = 0; j <= d; j++) gradient[j] *= -m->parameters[j];
  gradient[d + 1] *= f->deterministic ? 0 : -(LM_GP_NOISE(m) - LM_GP_LEAST_NOISE);
  return -value;
}

static void fit_once(fit *f, const lm_gp_fit_options *o, const double *lower, const double *upper, double *logs,
                     double *workspace) {
  lm_gp_model *m = f->model;
  lm_minimize_problem problem = {.count = m->dims + 2,
                                 .lower = lower,
                                 .upper = upper,
                                 .function = negated_posterior,
                                 .userdata = f,
                                 .max_evaluations = o->max_evaluations ? o->max_evaluations : 60,
                                 .gradient_tolerance = 1e-2,
                                 .value_tolerance = 1e-5};
  to_logs(f, logs);
  double value = lm_minimize(&problem, logs, workspace);
  if (!(value < f->best)) return;
  f->best = value;
  from_logs(f, logs);
  memcpy(f->best_parameters, m->parameters, (m->dims + 2) * sizeof *m->parameters);
}

static void set_ones(lm_gp_model *m, bool deterministic) {
  for (size_t j = 0; j <= m->dims; j++) m->parameters[j] = 1;
  LM_GP_NOISE(m) = deterministic ? LM_GP_LEAST_NOISE : 1;
}

lmopt_status lm_gp_fit(lm_gp_model *m, const lm_gp_fit_options *o) {
  size_t count = m->dims + 2, stride = m->capacity;
  size_t room = stride * stride + m->dims * stride + 4 * count + lm_minimize_workspace(count);
  double *slopes = lm_gp_scratch(m, room);
  if (!slopes) return LMOPT_NO_MEMORY;
  double *sums = slopes + stride * stride, *lower = sums + m->dims * stride, *upper = lower + count;
  double *logs = upper + count, *best = logs + count, *workspace = best + count;
  fit f = {m, o->deterministic, slopes, sums, INFINITY, best};
  for (size_t j = 0; j < count; j++) {
    lower[j] = LEAST_LOG;
    upper[j] = MOST_LOG;
  }
  if (o->from_current) fit_once(&f, o, lower, upper, logs, workspace);
  if (!o->from_current || o->from_ones || !isfinite(f.best)) {
    set_ones(m, o->deterministic);
    fit_once(&f, o, lower, upper, logs, workspace);
  }
  if (isfinite(f.best)) {
    memcpy(m->parameters, best, count * sizeof *best);
  } else {
    set_ones(m, o->deterministic);
  }
  return lm_gp_factor(m);
}
