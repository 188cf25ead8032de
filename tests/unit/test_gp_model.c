/* Gaussian processes: against figures of Optuna 5.0.0.dev, against finite differences, and point by point. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "golden.h"
#include "math/normal.h"
#include "search/gp_acquisition.h"
#include "search/gp_model.h"
#include "simulated.h"

enum { POINTS = 12, DIMS = 3, QUERIES = 4 };

static lm_allocator memory;
static const bool categories[DIMS] = {false, false, true};

static int set_up(void **state) {
  memory = lm_allocator_default();
  return golden_open_optuna(state);
}

static void assert_near(double actual, double expected, double tolerance) {
  if (!(fabs(actual - expected) <= tolerance * (1 + fabs(expected)))) fail_msg("%.17g is not %.17g", actual, expected);
}

static void read_model(lm_gp_model *m, const lm_allocator *a) {
  double points[POINTS * DIMS], targets[POINTS], weights[DIMS];
  assert_int_equal(golden_numbers(&golden_optuna, points, POINTS * DIMS, "$.gp[0].X"), POINTS * DIMS);
  assert_int_equal(golden_numbers(&golden_optuna, targets, POINTS, "$.gp[0].Y"), POINTS);
  assert_int_equal(golden_numbers(&golden_optuna, weights, DIMS, "$.gp[0].w"), DIMS);
  assert_int_equal(lm_gp_init(m, a, DIMS, categories), LMOPT_OK);
  assert_int_equal(lm_gp_set(m, points, targets, POINTS), LMOPT_OK);
  memcpy(m->parameters, weights, sizeof weights);
  LM_GP_SCALE(m) = golden_number(&golden_optuna, "$.gp[0].scale");
  LM_GP_NOISE(m) = golden_number(&golden_optuna, "$.gp[0].noise");
}

static void golden_likelihood_and_posterior(void **state) {
  (void)state;
  lm_gp_model m;
  read_model(&m, &memory);
  double value, queries[QUERIES * DIMS], means[QUERIES], variances[QUERIES], many[QUERIES], spread[QUERIES];
  assert_int_equal(lm_gp_log_likelihood(&m, &value), LMOPT_OK);
  assert_near(value, golden_number(&golden_optuna, "$.gp[0].mll_without_constant"), 1e-11);
  assert_near(lm_gp_log_prior(&m), golden_number(&golden_optuna, "$.gp[0].log_prior"), 1e-11);
  golden_numbers(&golden_optuna, queries, QUERIES * DIMS, "$.gp[0].query");
  golden_numbers(&golden_optuna, means, QUERIES, "$.gp[0].mean");
  golden_numbers(&golden_optuna, variances, QUERIES, "$.gp[0].var");
  assert_int_equal(lm_gp_factor(&m), LMOPT_OK);
  assert_int_equal(lm_gp_posterior_many(&m, queries, QUERIES, many, spread), LMOPT_OK);
  for (size_t i = 0; i < QUERIES; i++) {
    double mean, variance;
    lm_gp_posterior(&m, queries + i * DIMS, &mean, &variance, NULL, NULL);
    assert_near(mean, means[i], 1e-10);
    assert_near(variance, variances[i], 1e-10);
    assert_near(many[i], means[i], 1e-10);
    assert_near(spread[i], variances[i], 1e-10);
  }
  lm_gp_free(&m);
}

/* Optuna stopped where its gradient was below 1e-2; the density there must not be above ours. */
static void golden_fit(void **state) {
  (void)state;
  lm_gp_model m;
  read_model(&m, &memory);
  double theirs, ours, weights[DIMS];
  golden_numbers(&golden_optuna, weights, DIMS, "$.gp[0].fit_gtol_1e-2.w");
  memcpy(m.parameters, weights, sizeof weights);
  LM_GP_SCALE(&m) = golden_number(&golden_optuna, "$.gp[0].fit_gtol_1e-2.scale");
  LM_GP_NOISE(&m) = golden_number(&golden_optuna, "$.gp[0].fit_gtol_1e-2.noise");
  lm_gp_log_likelihood(&m, &theirs);
  theirs += lm_gp_log_prior(&m);
  lm_gp_fit_options o = {.max_evaluations = 100};
  assert_int_equal(lm_gp_fit(&m, &o), LMOPT_OK);
  lm_gp_log_likelihood(&m, &ours);
  ours += lm_gp_log_prior(&m);
  assert_true(ours > theirs - 1e-3);
  for (size_t j = 0; j < DIMS; j++) assert_near(log(m.parameters[j]), log(weights[j]), 0.05);
  o.deterministic = true;
  assert_int_equal(lm_gp_fit(&m, &o), LMOPT_OK);
  assert_true(LM_GP_NOISE(&m) == LM_GP_LEAST_NOISE);
  lm_gp_free(&m);
}

static void golden_log_ei(void **state) {
  (void)state;
  size_t count = golden_length(&golden_optuna, "$.logei");
  assert_int_equal(count, 4);
  for (int i = 0; i < (int)count; i++) {
    double mean = golden_number(&golden_optuna, "$.logei[%d].mean", i),
           variance = golden_number(&golden_optuna, "$.logei[%d].var", i);
    double best = golden_number(&golden_optuna, "$.logei[%d].f0", i), by_mean, by_variance;
    double value = lm_gp_log_ei(mean, variance, best, &by_mean, &by_variance);
    assert_near(value, golden_number(&golden_optuna, "$.logei[%d].logei", i), 1e-9);
    double h = 1e-6 * sqrt(variance), a, b;
    double slope =
        (lm_gp_log_ei(mean + h, variance, best, &a, &b) - lm_gp_log_ei(mean - h, variance, best, &a, &b)) / (2 * h);
    assert_near(by_mean, slope, 1e-4);
    h = 1e-6 * variance;
    slope = (lm_gp_log_ei(mean, variance + h, best, &a, &b) - lm_gp_log_ei(mean, variance - h, best, &a, &b)) / (2 * h);
    assert_near(by_variance, slope, 1e-4);
  }
}

/* Decreasing without a jump, and finite, as far down as a double goes. */
static void log_ei_tail(void **state) {
  (void)state;
  double a, b, last = INFINITY;
  for (double z = 5; z > -1e7; z -= 0.001 + 0.01 * fabs(z)) {
    double value = lm_gp_log_ei(z, 1, 0, &a, &b);
    assert_true(isfinite(value) && isfinite(a) && isfinite(b) && value < last);
    last = value;
  }
  assert_true(isfinite(lm_gp_log_ei(0, 0, 0, &a, &b)));
}

static void fill_random(lm_gp_model *m, size_t dims, size_t count, uint64_t seed) {
  bool kinds[16];
  double *points = malloc((dims * count + 1) * sizeof *points), *targets = malloc((count + 1) * sizeof *targets);
  lm_rng rng = lm_rng_stream(seed, 0, "points");
  for (size_t j = 0; j < dims; j++) kinds[j] = j % 3 == 2;
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < dims; j++)
      points[i * dims + j] = kinds[j] ? (double)lm_rng_below(&rng, 3) : lm_rng_uniform(&rng);
    targets[i] = lm_normal_draw(&rng);
  }
  assert_int_equal(lm_gp_init(m, &memory, dims, kinds), LMOPT_OK);
  assert_int_equal(lm_gp_set(m, points, targets, count), LMOPT_OK);
  for (size_t j = 0; j < dims; j++) m->parameters[j] = 0.3 + lm_rng_uniform(&rng);
  LM_GP_SCALE(m) = 1.4;
  LM_GP_NOISE(m) = 0.05;
  free(points);
  free(targets);
}

static void posterior_gradients(void **state) {
  (void)state;
  lm_gp_model m;
  fill_random(&m, 7, 37, 1);
  assert_int_equal(lm_gp_factor(&m), LMOPT_OK);
  double x[7] = {0.2, 0.9, 1, 0.4, 0.6, 2, 0.1}, mean, variance, by_mean[7], by_variance[7];
  lm_gp_posterior(&m, x, &mean, &variance, by_mean, by_variance);
  for (size_t j = 0; j < 7; j++) {
    if (j % 3 == 2) {
      assert_true(by_mean[j] == 0 && by_variance[j] == 0);
      continue;
    }
    double at = x[j], high[2], low[2], h = 1e-5;
    x[j] = at + h;
    lm_gp_posterior(&m, x, &high[0], &high[1], NULL, NULL);
    x[j] = at - h;
    lm_gp_posterior(&m, x, &low[0], &low[1], NULL, NULL);
    x[j] = at;
    assert_near(by_mean[j], (high[0] - low[0]) / (2 * h), 1e-6);
    assert_near(by_variance[j], (high[1] - low[1]) / (2 * h), 1e-6);
  }
  lm_gp_free(&m);
}

/* Points added one by one give the model that has them all; the joint posterior has the single ones on its diagonal. */
static void growing_and_joint(void **state) {
  (void)state;
  lm_gp_model all, grown;
  fill_random(&all, 5, 60, 2);
  fill_random(&grown, 5, 60, 2);
  assert_int_equal(lm_gp_factor(&all), LMOPT_OK);
  grown.count = 20;
  assert_int_equal(lm_gp_factor(&grown), LMOPT_OK);
  for (size_t i = 20; i < 60; i++) {
    double point[5];
    for (size_t j = 0; j < 5; j++) point[j] = all.x[j * all.capacity + i];
    assert_int_equal(lm_gp_add(&grown, point), LMOPT_OK);
  }
  memcpy(grown.targets, all.targets, 60 * sizeof(double));
  lm_gp_weigh(&grown, grown.targets, grown.alpha);
  double points[3][5] = {{0.1, 0.2, 0, 0.4, 0.5}, {0.9, 0.8, 1, 0.6, 0.3}, {0.11, 0.21, 0, 0.4, 0.5}};
  double means[3], covariance[9], gradient[5], other[5], by_variance[5], other_variance[5];
  assert_int_equal(lm_gp_posterior_joint(&all, points[0], 3, means, covariance), LMOPT_OK);
  for (size_t i = 0; i < 3; i++) {
    double mean, variance, mean_grown, variance_grown;
    lm_gp_posterior(&all, points[i], &mean, &variance, gradient, by_variance);
    lm_gp_posterior(&grown, points[i], &mean_grown, &variance_grown, other, other_variance);
    assert_near(mean_grown, mean, 1e-10);
    assert_near(variance_grown, variance, 1e-10);
    for (size_t j = 0; j < 5; j++) assert_near(other_variance[j], by_variance[j], 1e-9);
    assert_near(means[i], mean, 1e-12);
    assert_near(covariance[4 * i], variance, 1e-10);
  }
  assert_true(covariance[1] == covariance[3] && covariance[2] > 0.5 * covariance[0]);
  lm_gp_free(&all);
  lm_gp_free(&grown);
}

/*
** What improvement is measured against: the posterior means at the points, of
** which the best is less than the best target where there is noise. With a
** running trial, what it may turn out to be counts alike.
*/
static void improves_on_what_is_believed(void **state) {
  (void)state;
  lm_gp_model m;
  fill_random(&m, 5, 40, 4);
  LM_GP_NOISE(&m) = 0.3;
  assert_int_equal(lm_gp_factor(&m), LMOPT_OK);
  double mean, variance, best = -INFINITY, luckiest = -INFINITY, point[5];
  for (size_t i = 0; i < m.count; i++) {
    for (size_t j = 0; j < 5; j++) point[j] = m.x[j * m.capacity + i];
    lm_gp_posterior(&m, point, &mean, &variance, NULL, NULL);
    assert_near(lm_gp_fitted_mean(&m, m.targets, m.alpha, i), mean, 1e-10);
    best = fmax(best, mean);
    luckiest = fmax(luckiest, m.targets[i]);
  }
  assert_true(best < luckiest - 0.1);
  double running[5] = {0.5, 0.5, 1, 0.5, 0.5}, normals[2] = {0, 6};
  lm_gp_posterior(&m, running, &mean, &variance, NULL, NULL);
  double outcome = mean + 6 * sqrt(variance + 0.3);
  lm_gp_improvement s;
  assert_int_equal(lm_gp_improvement_init(&s, &m, LM_GP_LOG_EI, best, 0, running, 1, normals, 2), LMOPT_OK);
  assert_near(s.thresholds[0], fmax(best, mean), 1e-10);
  assert_near(s.thresholds[1], mean + (outcome - mean) * variance / (variance + 0.3), 1e-9);
  lm_gp_improvement_free(&s);
  lm_gp_free(&m);
}

/* Coinciding points, no points, constant targets, huge distances: parameters stay finite. */
static void degenerate(void **state) {
  (void)state;
  for (int kind = 0; kind < 4; kind++) {
    lm_gp_model m;
    fill_random(&m, 3, kind == 1 ? 0 : 20, 3);
    for (size_t i = 0; i < m.count; i++) {
      if (kind == 0) m.x[i] = m.x[m.capacity + i] = m.x[2 * m.capacity + i] = 0.5;
      if (kind == 2) m.targets[i] = 0;
      if (kind == 3) m.x[i] *= 1e150;
    }
    lm_gp_fit_options o = {.deterministic = kind == 0};
    assert_int_equal(lm_gp_fit(&m, &o), LMOPT_OK);
    for (size_t j = 0; j < 5; j++) assert_true(isfinite(m.parameters[j]) && m.parameters[j] > 0);
    double mean, variance, gradient[3], point[3] = {0.5, 0.5, 0};
    lm_gp_posterior(&m, point, &mean, &variance, gradient, gradient);
    assert_true(isfinite(mean) && isfinite(variance) && isfinite(gradient[0]));
    lm_gp_free(&m);
  }
}

static void refused_memory(void **state) {
  (void)state;
  for (size_t fail_at = 1;; fail_at++) {
    sim_memory counted;
    sim_memory_init(&counted);
    counted.fail_at = fail_at;
    lm_gp_model m = {0};
    double points[8] = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8}, targets[8] = {1, -1, 1, 0, 0, 1, -2, 0}, mean[4],
           spread[4];
    bool kind = false;
    lmopt_status status = lm_gp_init(&m, &counted.allocator, 1, &kind);
    lm_gp_fit_options o = {0};
    if (!status) status = lm_gp_set(&m, points, targets, 8);
    if (!status) status = lm_gp_fit(&m, &o);
    if (!status) status = lm_gp_posterior_many(&m, points, 4, mean, spread);
    for (int i = 0; i < 20 && !status; i++) status = lm_gp_add(&m, points);
    assert_int_equal(status, counted.failed ? LMOPT_NO_MEMORY : LMOPT_OK);
    lm_gp_free(&m);
    assert_int_equal(counted.alive, 0);
    if (!counted.failed) break;
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(golden_likelihood_and_posterior),
      cmocka_unit_test(golden_fit),
      cmocka_unit_test(golden_log_ei),
      cmocka_unit_test(log_ei_tail),
      cmocka_unit_test(posterior_gradients),
      cmocka_unit_test(growing_and_joint),
      cmocka_unit_test(improves_on_what_is_believed),
      cmocka_unit_test(degenerate),
      cmocka_unit_test(refused_memory),
  };
  return cmocka_run_group_tests(tests, set_up, golden_close_optuna);
}
