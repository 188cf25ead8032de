/* CMA-ES without trials: budgets on known functions, invariance, bounds, cells, what goes wrong. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "search/cmaes_distribution.h"

enum { MOST = 48, AXES = 40 };

typedef double (*function)(const double *x, size_t d);

static double ellipsoid_of(const double *x, size_t d) {
  double sum = 0;
  for (size_t i = 0; i < d; i++) sum += pow(1e4, d > 1 ? (double)i / (double)(d - 1) : 0) * x[i] * x[i];
  return sum;
}

static double sphere(const double *x, size_t d) {
  double sum = 0;
  for (size_t i = 0; i < d; i++) sum += (x[i] - 0.6) * (x[i] - 0.6);
  return sum;
}

static double ellipsoid(const double *x, size_t d) {
  double y[AXES];
  for (size_t i = 0; i < d; i++) y[i] = x[i] - 0.55;
  return ellipsoid_of(y, d);
}

/* The ellipsoid seen through a reflection. */
static double rotated(const double *x, size_t d) {
  double y[AXES], v[AXES], along = 0, norm = 0;
  for (size_t i = 0; i < d; i++) {
    y[i] = x[i] - 0.55;
    v[i] = 1 + (double)(i * 7 % 5);
    along += v[i] * y[i];
    norm += v[i] * v[i];
  }
  for (size_t i = 0; i < d; i++) y[i] -= 2 * along / norm * v[i];
  return ellipsoid_of(y, d);
}

static double rosenbrock(const double *x, size_t d) {
  double sum = 0;
  for (size_t i = 0; i + 1 < d; i++) {
    double a = 4 * x[i] - 2, b = 4 * x[i + 1] - 2; /* the optimum is at 0.75 */
    sum += 100 * (b - a * a) * (b - a * a) + (1 - a) * (1 - a);
  }
  return sum;
}

static double at_a_corner(const double *x, size_t d) {
  double sum = 0;
  for (size_t i = 0; i < d; i++) sum += x[i];
  return sum;
}

/* Evaluations until the value is below `target`; 0: not within `budget`. */
static size_t evaluations(const lm_cmaes_shape *shape, function f, double target, size_t budget, uint64_t seed) {
  lm_allocator a = lm_allocator_default();
  lm_cmaes c = {0};
  double mean[AXES], points[MOST][AXES], raws[MOST][AXES], values[MOST];
  assert_int_equal(lm_cmaes_init(&c, &a, shape), LMOPT_OK);
  for (size_t i = 0; i < shape->dimension; i++) mean[i] = 0.45;
  lm_cmaes_start(&c, mean, 1.0 / 6, NULL);
  size_t used = 0, found = 0;
  while (!found && used < budget) {
    const double *order[MOST];
    for (size_t k = 0; k < c.population; k++) {
      lm_rng rng = lm_rng_stream(seed, (int64_t)used++, "test");
      lm_cmaes_sample(&c, &rng, points[k], raws[k]);
      for (size_t i = 0; i < c.dimension; i++) assert_true(points[k][i] >= 0 && points[k][i] <= 1);
      double value = f(points[k], c.dimension);
      if (!found && value < target) found = used;
      size_t at = k;
      for (; at > 0 && values[at - 1] > value; at--) {
        values[at] = values[at - 1];
        order[at] = order[at - 1];
      }
      values[at] = value;
      order[at] = raws[k];
    }
    lm_cmaes_update(&c, order);
  }
  lm_cmaes_free(&c);
  return found;
}

/* The median of eleven seeds. */
static size_t median(const lm_cmaes_shape *shape, function f, double target, size_t budget) {
  size_t sorted[11];
  for (size_t seed = 0; seed < 11; seed++) {
    size_t n = evaluations(shape, f, target, budget, seed), at = seed;
    if (n == 0) n = SIZE_MAX;
    for (; at > 0 && sorted[at - 1] > n; at--) sorted[at] = sorted[at - 1];
    sorted[at] = n;
  }
  return sorted[5];
}

/* Budgets: what the tutorial's algorithm needs in the literature, a quarter more. */
static void converges(void **state) {
  (void)state;
  static const struct {
    size_t dimension, budget;
    function f;
    double target;
  } cases[] = {
      {1, 250, sphere, 1e-12},      {2, 450, sphere, 1e-12},      {10, 1900, sphere, 1e-12},
      {40, 6500, sphere, 1e-12},    {5, 1900, ellipsoid, 1e-10},  {10, 4500, ellipsoid, 1e-10},
      {5, 3500, rosenbrock, 1e-10}, {10, 8500, rosenbrock, 1e-8}, {5, 1600, at_a_corner, 1e-6},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lm_cmaes_shape shape = {.dimension = cases[i].dimension};
    size_t n = median(&shape, cases[i].f, cases[i].target, 20000);
    if (n > cases[i].budget) fail_msg("case %zu: %zu evaluations", i, n);
  }
}

/* Rotating the function changes chance alone, not the number of evaluations. */
static void invariant_under_rotation(void **state) {
  (void)state;
  lm_cmaes_shape shape = {.dimension = 6};
  double ratio = (double)median(&shape, rotated, 1e-9, 20000) / (double)median(&shape, ellipsoid, 1e-9, 20000);
  assert_true(ratio > 0.85 && ratio < 1.18);
}

/* Scaling the values or adding to them changes nothing: only their order counts. The separable form is faster where it can be. */
static void separable(void **state) {
  (void)state;
  lm_cmaes_shape full = {.dimension = 20}, diagonal = {.dimension = 20, .separable = true};
  size_t slow = median(&full, ellipsoid, 1e-8, 40000), fast = median(&diagonal, ellipsoid, 1e-8, 40000);
  assert_true(fast < slow * 2 / 3);
}

/* Adapting rates is slower on an easy function, and still converges. */
static void adapting_rates(void **state) {
  (void)state;
  lm_cmaes_shape shape = {.dimension = 4, .adapts_rates = true};
  size_t n = median(&shape, sphere, 1e-10, 60000);
  assert_true(n < 6000);
}

/* Every cell is left with some probability, however narrow the distribution; a third axis is continuous. */
static void margin_leaves_cells(void **state) {
  (void)state;
  static const double cells[] = {2, 21, 0};
  lm_allocator a = lm_allocator_default();
  lm_cmaes c = {0};
  lm_cmaes_shape shape = {.dimension = 3, .cells = cells};
  assert_int_equal(lm_cmaes_init(&c, &a, &shape), LMOPT_OK);
  double mean[] = {0.2, 0.5, 0.5}, point[3], raw[3];
  lm_cmaes_start(&c, mean, 1e-4, NULL);
  double still[MOST][3];
  const double *order[MOST];
  for (size_t k = 0; k < c.population; k++) {
    memcpy(still[k], mean, sizeof mean);
    order[k] = still[k];
  }
  lm_cmaes_update(&c, order);
  size_t left[2] = {0};
  for (int i = 0; i < 4000; i++) {
    lm_rng rng = lm_rng_stream(1, i, "margin");
    lm_cmaes_sample(&c, &rng, point, raw);
    assert_true(point[0] == 0.25 || point[0] == 0.75);
    left[0] += point[0] != 0.25;
    left[1] += fabs(point[1] - 0.5) > 0.01;
    assert_true(point[2] == raw[2]); /* too narrow to touch a face */
  }
  /* the margin is 1 / (3 * 7) = 0.048 on the one side that the first axis has, and in all on the second */
  for (int i = 0; i < 2; i++) assert_in_range(left[i], 4000 * 30 / 1000, 4000 * 70 / 1000);
  lm_cmaes_free(&c);
}

/* Whatever the points, what is drawn next is a point of the cube. */
static void hostile_points(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  for (int kind = 0; kind < 6; kind++) {
    for (int form = 0; form < 3; form++) {
      lm_cmaes c = {0};
      lm_cmaes_shape shape = {
          .dimension = 3, .population = kind == 5 ? 2 : 0, .separable = form == 1, .adapts_rates = form == 2};
      assert_int_equal(lm_cmaes_init(&c, &a, &shape), LMOPT_OK);
      double mean[] = {0, 0.5, 1}, point[3], raw[3], points[MOST][3];
      const double *order[MOST];
      lm_cmaes_start(&c, mean, 1.0 / 6, NULL);
      for (int g = 0; g < 400; g++) {
        lm_rng rng = lm_rng_stream(5, g, "hostile");
        for (size_t k = 0; k < c.population; k++) {
          for (size_t i = 0; i < 3; i++) {
            double x = 0.25;                                           /* 0: always the same point */
            if (kind == 1) x = (k + (size_t)g) % 2 ? 1 : 0;            /* corners in turn */
            if (kind == 2) x = i == 0 ? 0.3 : lm_rng_uniform(&rng);    /* no extent along an axis */
            if (kind == 3) x = (g % 3) ? lm_rng_uniform(&rng) : 0;     /* chance, then a corner */
            if (kind == 4) x = k == 0 ? 1e-300 : 1 - 1e-16;            /* next to bounds */
            if (kind == 5) x = lm_rng_uniform(&rng) < 0.5 ? 0.1 : 0.9; /* a population of two */
            points[k][i] = x;
          }
          order[k] = points[k];
        }
        lm_cmaes_update(&c, order);
        lm_cmaes_sample(&c, &rng, point, raw);
        for (size_t i = 0; i < 3; i++) assert_true(point[i] >= 0 && point[i] <= 1);
        assert_true(c.sigma > 0 && c.sigma < INFINITY);
      }
      lm_cmaes_free(&c);
    }
  }
}

/* A copy goes on as the original does. */
static void copies(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  for (int form = 0; form < 3; form++) {
    lm_cmaes c = {0}, copy = {0};
    lm_cmaes_shape shape = {.dimension = 5, .separable = form == 1, .adapts_rates = form == 2};
    assert_int_equal(lm_cmaes_init(&c, &a, &shape), LMOPT_OK);
    double mean[] = {0.5, 0.5, 0.5, 0.5, 0.5}, points[MOST][5], raw[5], x[5], y[5];
    const double *order[MOST];
    lm_cmaes_start(&c, mean, 0.2, NULL);
    for (int g = 0; g < 20; g++) {
      lm_rng rng = lm_rng_stream(2, g, "copies"), first = rng, second = rng;
      lm_cmaes_sample(&c, &first, x, raw);
      assert_int_equal(lm_cmaes_copy(&copy, &c, &a), LMOPT_OK);
      lm_cmaes_sample(&copy, &second, y, raw);
      assert_memory_equal(x, y, sizeof x);
      for (size_t k = 0; k < c.population; k++) {
        lm_cmaes_sample(&c, &rng, points[k], raw);
        order[k] = points[k];
      }
      lm_cmaes_update(&c, order);
      lm_cmaes_update(&copy, order);
      assert_memory_equal(c.block, copy.block, c.state_size * sizeof(double));
      assert_true(c.sigma == copy.sigma);
    }
    lm_cmaes_free(&c);
    lm_cmaes_free(&copy);
  }
}

/* A thousand dimensions: a generation takes its time, and what comes out is a point. */
static void many_dimensions(void **state) {
  (void)state;
  enum { D = 1000 };
  lm_allocator a = lm_allocator_default();
  lm_cmaes c = {0};
  lm_cmaes_shape shape = {.dimension = D, .separable = true};
  assert_int_equal(lm_cmaes_init(&c, &a, &shape), LMOPT_OK);
  double *mean = malloc(D * sizeof *mean), *points = malloc(c.population * D * sizeof *points),
         *raw = malloc(D * sizeof *raw);
  const double *order[MOST];
  assert_in_range(c.population, 20, MOST);
  for (size_t i = 0; i < D; i++) mean[i] = 0.5;
  lm_cmaes_start(&c, mean, 1.0 / 6, NULL);
  for (int g = 0; g < 5; g++) {
    for (size_t k = 0; k < c.population; k++) {
      lm_rng rng = lm_rng_stream(1, (int64_t)k, "many");
      lm_cmaes_sample(&c, &rng, points + k * D, raw);
      order[k] = points + k * D;
    }
    lm_cmaes_update(&c, order);
  }
  for (size_t i = 0; i < D; i++) assert_true(points[i] >= 0 && points[i] <= 1);
  free(mean);
  free(points);
  free(raw);
  lm_cmaes_free(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(converges),      cmocka_unit_test(invariant_under_rotation), cmocka_unit_test(separable),
      cmocka_unit_test(adapting_rates), cmocka_unit_test(margin_leaves_cells),      cmocka_unit_test(hostile_points),
      cmocka_unit_test(copies),         cmocka_unit_test(many_dimensions),
  };
  return cmocka_run_group_tests_name("cmaes distribution", tests, NULL, NULL);
}
