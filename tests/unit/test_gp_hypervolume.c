/* Expected hypervolume improvement: against sampling, its gradients against differences, in the tails, with running trials. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/normal.h"
#include "math/quasi.h"
#include "search/gp_hypervolume.h"
#include "simulated.h"

enum { MOST = 4, FRONT = 9, SAMPLES = 16384 };

static lm_allocator memory;

static int set_up(void **state) {
  (void)state;
  memory = lm_allocator_default();
  return 0;
}

static lm_boxes boxes_of(size_t m, uint64_t seed) {
  double points[FRONT * MOST], reference[MOST];
  lm_rng rng = lm_rng_stream(seed, (int64_t)m, "front");
  for (size_t i = 0; i < FRONT * m; i++) points[i] = lm_rng_uniform(&rng);
  for (size_t k = 0; k < m; k++) reference[k] = 1.1;
  lm_boxes b;
  assert_int_equal(lm_boxes_init(&b, &memory, points, FRONT, m, reference, 0), LMOPT_OK);
  return b;
}

static double log_ehvi(const lm_boxes *b, const double *means, const double *variances, double *by_mean,
                       double *by_variance) {
  double *workspace = lm_alloc(&memory, lm_gp_log_ehvi_workspace(b) * sizeof *workspace);
  assert_non_null(workspace);
  double value = lm_gp_log_ehvi(b, means, variances, by_mean, by_variance, workspace);
  lm_free(&memory, workspace);
  return value;
}

/* The mean of what outcomes add, over even draws. */
static void against_sampling(void **state) {
  (void)state;
  static double z[SAMPLES * MOST];
  for (size_t m = 1; m <= MOST; m++) {
    lm_rng rng = lm_rng_stream(1, (int64_t)m, "scramble");
    lm_quasi *q = lm_quasi_new(&memory, LM_QUASI_SOBOL, m, &rng);
    lm_quasi_normals(q, 0, SAMPLES, z);
    lm_quasi_free(q);
    for (uint64_t seed = 0; seed < 6; seed++) {
      lm_boxes b = boxes_of(m, seed);
      double means[MOST], variances[MOST], sum = 0;
      for (size_t k = 0; k < m; k++) means[k] = 0.8 * lm_rng_uniform(&rng);
      for (size_t k = 0; k < m; k++) variances[k] = 0.001 + 0.2 * lm_rng_uniform(&rng);
      for (size_t i = 0; i < SAMPLES; i++) {
        double outcome[MOST];
        for (size_t k = 0; k < m; k++) outcome[k] = means[k] + sqrt(variances[k]) * z[i * m + k];
        sum += lm_boxes_improvement(&b, outcome);
      }
      double value = log_ehvi(&b, means, variances, NULL, NULL);
      assert_true(fabs(exp(value) / (sum / SAMPLES) - 1) < 0.02);
      lm_boxes_free(&b);
    }
  }
}

/* By central differences; near the front, inside it, and so far behind that its exponential is zero. */
static void gradients(void **state) {
  (void)state;
  static const double places[] = {-0.5, 0.5, 1, 5, 40, 3000};
  for (size_t m = 1; m <= MOST; m++) {
    for (uint64_t seed = 0; seed < 4; seed++) {
      lm_boxes b = boxes_of(m, seed + 10);
      lm_rng rng = lm_rng_stream(2, (int64_t)(seed * 10 + m), "means");
      for (size_t place = 0; place < sizeof places / sizeof *places; place++) {
        double at[2 * MOST], by[2 * MOST];
        for (size_t k = 0; k < m; k++) at[k] = places[place] * (0.7 + 0.6 * lm_rng_uniform(&rng));
        for (size_t k = 0; k < m; k++) at[m + k] = 0.02 + 0.3 * lm_rng_uniform(&rng);
        double value = log_ehvi(&b, at, at + m, by, by + m);
        assert_true(isfinite(value));
        for (size_t i = 0; i < 2 * m; i++) {
          double kept = at[i], step = 1e-5 * fmax(fabs(kept), 0.1);
          at[i] = kept + step;
          double above = log_ehvi(&b, at, at + m, NULL, NULL);
          at[i] = kept - step;
          double below = log_ehvi(&b, at, at + m, NULL, NULL);
          at[i] = kept;
          double slope = (above - below) / (2 * step);
          assert_true(fabs(by[i] - slope) <= 1e-4 * (1 + fabs(slope)));
        }
      }
      lm_boxes_free(&b);
    }
  }
}

/* Without uncertainty it is what the point adds. */
static void certain(void **state) {
  (void)state;
  lm_boxes b = boxes_of(3, 5);
  static const double means[] = {0.3, 0.1, 0.2}, variances[3] = {0};
  double value = log_ehvi(&b, means, variances, NULL, NULL);
  assert_true(fabs(value - log(lm_boxes_improvement(&b, means))) < 1e-4);
  lm_boxes_free(&b);
}

/* Finite, whatever the distance: a level at each of many places within 50 deviations. */
static void everywhere(void **state) {
  (void)state;
  static const double point[] = {0, 0}, reference[] = {1e-9, 1e-9}, variances[] = {1, 1};
  lm_boxes b;
  assert_int_equal(lm_boxes_init(&b, &memory, point, 1, 2, reference, 0), LMOPT_OK);
  double last = INFINITY;
  for (double z = -50; z < 50; z += 0.0137) {
    double means[] = {z, z}, by_mean[2], by_variance[2];
    double value = log_ehvi(&b, means, variances, by_mean, by_variance);
    assert_true(isfinite(value) && value < last && by_mean[0] < 0 && isfinite(by_variance[1]));
    last = value;
  }
  lm_boxes_free(&b);
}

/* --- over models --- */

enum { POINTS = 12, DIMS = 2, RUNNING = 3, DRAWS = 5 };

typedef struct fixture {
  lm_gp_model models[3];
  double front[POINTS * 3], running[RUNNING * DIMS], normals[DRAWS * 3 * RUNNING];
  lm_gp_hypervolume h;
  size_t m;
} fixture;

static lmopt_status begin(fixture *f, const lm_allocator *a, size_t m, size_t running) {
  static const bool category[DIMS] = {false, false};
  double points[POINTS * DIMS], targets[POINTS], reference[3] = {-2.5, -2.5, -2.5};
  memset(f, 0, sizeof *f);
  f->m = m;
  lm_rng rng = lm_rng_stream(4, (int64_t)m, "models");
  for (size_t i = 0; i < sizeof points / sizeof *points; i++) points[i] = lm_rng_uniform(&rng);
  for (size_t i = 0; i < sizeof f->running / sizeof *f->running; i++) f->running[i] = lm_rng_uniform(&rng);
  for (size_t i = 0; i < sizeof f->normals / sizeof *f->normals; i++) f->normals[i] = lm_normal_draw(&rng);
  lmopt_status status = LMOPT_OK;
  for (size_t k = 0; k < m && !status; k++) {
    for (size_t i = 0; i < POINTS; i++) {
      double x = points[i * DIMS], y = points[i * DIMS + 1];
      targets[i] = k == 0 ? 2 * x - 1 : k == 1 ? 1 - 3 * x * x + y : sin(5 * y) - x;
      f->front[i * m + k] = targets[i];
    }
    status = lm_gp_init(&f->models[k], a, DIMS, category);
    if (!status) status = lm_gp_set(&f->models[k], points, targets, POINTS);
    if (status) break;
    f->models[k].parameters[0] = 2 + (double)k;
    f->models[k].parameters[1] = 3;
    LM_GP_SCALE(&f->models[k]) = 1.5;
    LM_GP_NOISE(&f->models[k]) = 1e-3;
    status = lm_gp_factor(&f->models[k]);
  }
  if (status) return status;
  return lm_gp_hypervolume_init(&f->h, a, f->models, m, f->front, POINTS, reference, f->running, running, f->normals,
                                DRAWS, 0);
}

static void end(fixture *f) {
  lm_gp_hypervolume_free(&f->h);
  for (size_t k = 0; k < f->m; k++) lm_gp_free(&f->models[k]);
}

/* One value and many are the same; gradients are those of the values; nothing is worth much where a trial runs. */
static void acquisition(void **state) {
  (void)state;
  for (size_t m = 2; m <= 3; m++) {
    for (size_t running = 0; running <= RUNNING; running += RUNNING) {
      fixture f;
      assert_int_equal(begin(&f, &memory, m, running), LMOPT_OK);
      lm_gp_acquisition a = lm_gp_hypervolume_acquisition(&f.h);
      lm_rng rng = lm_rng_stream(5, 0, "candidates");
      double candidates[100 * DIMS], values[100];
      for (size_t i = 0; i < 100 * DIMS; i++) candidates[i] = lm_rng_uniform(&rng);
      assert_int_equal(a.values(&a, candidates, 100, values), LMOPT_OK);
      for (size_t i = 0; i < 100; i++) {
        double *x = candidates + i * DIMS, gradient[DIMS];
        double value = a.value(&a, x, gradient);
        assert_true(fabs(value - values[i]) < 1e-7 * (1 + fabs(value)));
        for (size_t j = 0; j < DIMS; j++) {
          double kept = x[j], step = 1e-6;
          x[j] = kept + step;
          double above = a.value(&a, x, NULL);
          x[j] = kept - step;
          double below = a.value(&a, x, NULL);
          x[j] = kept;
          assert_true(fabs(gradient[j] - (above - below) / (2 * step)) < 1e-3 * (1 + fabs(gradient[j])));
        }
      }
      double here = a.value(&a, f.running, NULL), beside[DIMS] = {0.5, 0.5};
      if (running) assert_true(here < a.value(&a, beside, NULL) || here < -3);
      end(&f);
    }
  }
}

static void no_memory(void **state) {
  (void)state;
  for (size_t at = 1;; at++) {
    sim_memory failing;
    sim_memory_init(&failing);
    failing.fail_at = at;
    fixture f;
    lmopt_status status = begin(&f, &failing.allocator, 3, RUNNING);
    assert_int_equal(status, failing.failed ? LMOPT_NO_MEMORY : LMOPT_OK);
    end(&f);
    assert_int_equal(failing.alive, 0);
    if (!failing.failed) break;
    assert_true(at < 2000);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(against_sampling), cmocka_unit_test(gradients),   cmocka_unit_test(certain),
      cmocka_unit_test(everywhere),       cmocka_unit_test(acquisition), cmocka_unit_test(no_memory),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
