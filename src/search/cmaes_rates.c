/*
** Learning rates that follow the signal-to-noise ratio of the updates: M. Nomura,
** Y. Akimoto and I. Ono, "CMA-ES with learning rate adaptation: can CMA-ES with
** default population size solve multimodal and noisy problems?", GECCO 2023
** (arXiv:2304.03473).
*/
#include <math.h>
#include <string.h>

#include "math/elementary.h"
#include "search/cmaes_internal.h"

/* The paper's constants: target ratio, memories, damping. */
#define TARGET 1.4
#define MEAN_MEMORY 0.1
#define COVARIANCE_MEMORY 0.03
#define DAMPING 0.1

void lm_cmaes_start_rates(lm_cmaes *c) {
  size_t d = c->dimension;
  c->rates = (lm_cmaes_rates){1, 1, 0, 0};
  memset(c->mean_trend, 0, d * sizeof(double));
  memset(c->covariance_trend, 0, d * d * sizeof(double));
}

void lm_cmaes_keep_old(lm_cmaes *c) {
  size_t d = c->dimension;
  memcpy(c->old_mean, c->mean, d * sizeof(double));
  memcpy(c->old_covariance, c->covariance, d * d * sizeof(double));
  c->old_sigma = c->sigma;
}

/* Moving average of a change (`trend`) and of its squared length (`power`). */
static void remember(double *trend, double *power, const double *change, size_t count, double memory) {
  double squares = 0;
  for (size_t i = 0; i < count; i++) {
    trend[i] = (1 - memory) * trend[i] + memory * change[i];
    squares += change[i] * change[i];
  }
  *power = (1 - memory) * *power + memory * squares;
}

/* How much of the changes is direction and how much noise moves the rate up or down. */
static double next_rate(double rate, const double *trend, size_t count, double power, double memory) {
  double squares = 0;
  for (size_t i = 0; i < count; i++) squares += trend[i] * trend[i];
  double noise = power - squares, signal = squares - memory / (2 - memory) * power;
  double ratio = noise > 0 ? signal / noise : signal > 0 ? INFINITY : 0;
  double relative = fmin(fmax(ratio / TARGET / rate - 1, -1), 1);
  return fmin(1, rate * lm_exp(fmin(DAMPING * rate, memory) * relative));
}

/* C^(-1/2) x / sigma, symmetric: the axes may come in another order next time. */
static void localize(lm_cmaes *c, const double *x, double *out) {
  lm_cmaes_whiten(c, x, c->whitened);
  lm_cmaes_unwhiten(c, false, c->whitened, out);
  for (size_t i = 0; i < c->dimension; i++) out[i] /= c->old_sigma;
}

static void transpose(size_t n, double *matrix) {
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < i; j++) {
      double swapped = matrix[i * n + j];
      matrix[i * n + j] = matrix[j * n + i];
      matrix[j * n + i] = swapped;
    }
  }
}

/* The change of the covariance in local coordinates, over the square root of two, in `work_matrix`. */
static void localize_covariance(lm_cmaes *c) {
  size_t d = c->dimension;
  double *m = c->work_matrix;
  for (size_t i = 0; i < d; i++) {
    for (size_t j = 0; j < d; j++) {
      double now = c->covariance[i >= j ? i * d + j : j * d + i];
      m[i * d + j] = c->sigma * c->sigma * now - c->old_sigma * c->old_sigma * c->old_covariance[i * d + j];
    }
  }
  for (int side = 0; side < 2; side++) {
    for (size_t i = 0; i < d; i++) {
      localize(c, m + i * d, c->work);
      memcpy(m + i * d, c->work, d * sizeof(double));
    }
    transpose(d, m);
  }
  for (size_t i = 0; i < d * d; i++) m[i] /= sqrt(2);
}

/* Goes only `rate` of the way, and divides the covariance into sigma and a matrix of determinant 1. */
static void shorten(lm_cmaes *c, double correction) {
  size_t d = c->dimension;
  double rate = c->rates.covariance_rate, now = rate * c->sigma * c->sigma,
         before = (1 - rate) * c->old_sigma * c->old_sigma;
  for (size_t i = 0; i < d; i++) {
    c->mean[i] = c->old_mean[i] + c->rates.mean_rate * (c->mean[i] - c->old_mean[i]);
    for (size_t j = 0; j <= i; j++)
      c->covariance[i * d + j] = now * c->covariance[i * d + j] + before * c->old_covariance[i * d + j];
  }
  lm_cmaes_decompose(c);
  double logs = 0;
  for (size_t i = 0; i < d; i++) logs += lm_log(c->scale[i]);
  double sigma = lm_exp(logs / (double)d);
  for (size_t i = 0; i < d; i++) {
    c->scale[i] /= sigma;
    for (size_t j = 0; j < d; j++) c->covariance[i * d + j] /= sigma * sigma;
  }
  c->sigma = sigma * correction;
}

void lm_cmaes_adapt_rates(lm_cmaes *c) {
  size_t d = c->dimension;
  lm_cmaes_rates *r = &c->rates;
  for (size_t i = 0; i < d; i++) c->step[i] = c->mean[i] - c->old_mean[i];
  localize(c, c->step, c->work);
  remember(c->mean_trend, &r->mean_power, c->work, d, MEAN_MEMORY);
  localize_covariance(c);
  remember(c->covariance_trend, &r->covariance_power, c->work_matrix, d * d, COVARIANCE_MEMORY);
  double before = r->mean_rate;
  r->mean_rate = next_rate(r->mean_rate, c->mean_trend, d, r->mean_power, MEAN_MEMORY);
  r->covariance_rate =
      next_rate(r->covariance_rate, c->covariance_trend, d * d, r->covariance_power, COVARIANCE_MEMORY);
  shorten(c, before / r->mean_rate);
}
