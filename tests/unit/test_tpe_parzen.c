/* Parzen estimators: what they answer depends on what they hold, not on how it came; densities sum to one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "search/parzen.h"
#include "search/prior.h"

enum { AXES = 5, SLOTS = 400 };

static const lm_distribution axes[AXES] = {
    {.kind = LM_FLOAT, .low = -1, .high = 3},
    {.kind = LM_FLOAT, .log = true, .low = 1e-4, .high = 10},
    {.kind = LM_INTEGER, .low = 1, .high = 12, .step = 1},
    {.kind = LM_INTEGER, .log = true, .low = 1, .high = 300, .step = 1},
    {.kind = LM_CATEGORICAL, .high = 3, .count = 4, .choices = "[1, 2, 3, 4]"},
};

static lm_allocator memory;

static void random_point(lm_rng *rng, double *out) {
  for (size_t i = 0; i < AXES; i++) {
    if (axes[i].kind == LM_CATEGORICAL) {
      out[i] = (double)lm_rng_below(rng, axes[i].count);
    } else {
      double low, high, u = lm_rng_uniform(rng);
      lm_distribution_range(&axes[i], &low, &high);
      out[i] =
          lm_distribution_from_range(&axes[i], low + (high - low) * (lm_rng_uniform(rng) < 0.7 ? 0.4 + u / 10 : u));
    }
  }
}

static void init(lm_parzen *p, const lm_parzen_options *options, size_t count) {
  const lm_distribution *list[AXES];
  for (size_t i = 0; i < AXES; i++) list[i] = &axes[i];
  assert_int_equal(lm_parzen_init(p, &memory, list, count, options), LMOPT_OK);
}

static void same_answers(lm_parzen *a, lm_parzen *b, lm_rng *rng) {
  double points[24 * AXES], x[24], y[24];
  lm_rng other = *rng;
  for (size_t i = 0; i < 24; i++) {
    double drawn[AXES];
    lm_parzen_draw(a, rng, points + i * AXES);
    lm_parzen_draw(b, &other, drawn);
    assert_memory_equal(points + i * AXES, drawn, sizeof drawn);
    for (size_t k = 0; k < AXES; k++) assert_true(lm_distribution_contains(&axes[k], drawn[k]));
  }
  assert_int_equal(lm_parzen_density(a, points, 24, x), LMOPT_OK);
  assert_int_equal(lm_parzen_density(b, points, 24, y), LMOPT_OK);
  assert_memory_equal(x, y, sizeof x);
}

static void history_does_not_show(void **state) {
  (void)state;
  memory = lm_allocator_default();
  const lm_parzen_options options[] = {{1, true, false, false}, {1, false, true, false}, {0.5, true, true, true}};
  for (size_t o = 0; o < 3; o++) {
    lm_rng rng = lm_rng_stream(o, 1, "history");
    lm_parzen p;
    init(&p, &options[o], AXES);
    double held[SLOTS][AXES];
    bool in[SLOTS] = {false};
    for (int round = 0; round < 60; round++) {
      size_t changes = round % 7 == 6 ? 150 : 1 + lm_rng_below(&rng, 8);
      lm_parzen_begin(&p, changes);
      for (size_t c = 0; c < changes; c++) {
        size_t slot = lm_rng_below(&rng, SLOTS / 4 + (size_t)round * 5);
        if (in[slot] && lm_rng_below(&rng, 2)) {
          lm_parzen_drop(&p, slot);
          in[slot] = false;
        } else {
          random_point(&rng, held[slot]);
          assert_int_equal(lm_parzen_put(&p, slot, held[slot]), LMOPT_OK);
          in[slot] = true;
        }
      }
      lm_parzen_settle(&p);
      lm_parzen q;
      init(&q, &options[o], AXES);
      lm_parzen_begin(&q, SLOTS);
      for (size_t s = SLOTS; s-- > 0;) {
        assert_int_equal(lm_parzen_holds(&p, s), in[s]);
        if (in[s]) assert_int_equal(lm_parzen_put(&q, s, held[s]), LMOPT_OK);
      }
      lm_parzen_settle(&q);
      assert_int_equal(p.held, q.held);
      same_answers(&p, &q, &rng);
      lm_parzen_free(&q);
    }
    lm_parzen_clear(&p);
    lm_parzen_settle(&p);
    lm_parzen q;
    init(&q, &options[o], AXES);
    lm_parzen_settle(&q);
    same_answers(&p, &q, &rng);
    lm_parzen_free(&p);
    lm_parzen_free(&q);
  }
}

/* One axis at a time: over its grid, or by the trapezium rule over its range. */
static void densities_sum_to_one(void **state) {
  (void)state;
  memory = lm_allocator_default();
  const lm_parzen_options options = {1, true, false, false};
  for (size_t axis = 0; axis < AXES; axis++) {
    for (size_t count = 0; count < 200; count = count * 2 + 1) {
      lm_rng rng = lm_rng_stream(axis, (int64_t)count, "sum");
      const lm_distribution *d = &axes[axis];
      lm_parzen p;
      assert_int_equal(lm_parzen_init(&p, &memory, &d, 1, &options), LMOPT_OK);
      for (size_t i = 0; i < count; i++) {
        double point[AXES];
        random_point(&rng, point);
        assert_int_equal(lm_parzen_put(&p, i, &point[axis]), LMOPT_OK);
      }
      lm_parzen_settle(&p);
      bool grid = d->kind != LM_FLOAT;
      int steps = grid ? (int)(d->high - d->low) + 1 : 20001;
      double low = d->low, high = d->high, sum = 0;
      if (!grid) lm_distribution_range(d, &low, &high);
      for (int i = 0; i < steps; i++) {
        double x = grid ? d->low + i : lm_distribution_from_range(d, low + (high - low) * i / (steps - 1)), log_density;
        assert_int_equal(lm_parzen_density(&p, &x, 1, &log_density), LMOPT_OK);
        sum += exp(log_density) * (grid ? 1 : (high - low) / (steps - 1) * (i == 0 || i == steps - 1 ? 0.5 : 1));
      }
      assert_true(fabs(sum - 1) < (grid ? 1e-11 : 1e-5));
      lm_parzen_free(&p);
    }
  }
}

/* Draws fall where the density says: shares of a categorical and of an integer axis. */
static void draws_follow_the_density(void **state) {
  (void)state;
  memory = lm_allocator_default();
  const lm_parzen_options options = {1, true, false, false};
  for (size_t axis = 2; axis < AXES; axis += 2) {
    const lm_distribution *d = &axes[axis];
    lm_parzen p;
    assert_int_equal(lm_parzen_init(&p, &memory, &d, 1, &options), LMOPT_OK);
    for (size_t i = 0; i < 8; i++) {
      double x = d->low + (double)(i * i % 4);
      assert_int_equal(lm_parzen_put(&p, i, &x), LMOPT_OK);
    }
    lm_parzen_settle(&p);
    enum { DRAWS = 40000 };
    int counts[16] = {0};
    lm_rng rng = lm_rng_stream(5, 5, "draws");
    for (int i = 0; i < DRAWS; i++) {
      double x;
      lm_parzen_draw(&p, &rng, &x);
      counts[(int)(x - d->low)]++;
    }
    for (int i = 0; i <= (int)(d->high - d->low); i++) {
      double x = d->low + i, log_density;
      assert_int_equal(lm_parzen_density(&p, &x, 1, &log_density), LMOPT_OK);
      double share = exp(log_density);
      assert_true(fabs(counts[i] - DRAWS * share) < 5 * sqrt(DRAWS * share) + 5);
    }
    lm_parzen_free(&p);
  }
}

/* Observations from a wider range, as a growing integer has them, do no harm. */
static void outside_the_range(void **state) {
  (void)state;
  memory = lm_allocator_default();
  const lm_parzen_options options = {1, true, false, false};
  const lm_distribution narrow = {.kind = LM_FLOAT, .low = 0, .high = 1}, *d = &narrow;
  lm_parzen p;
  assert_int_equal(lm_parzen_init(&p, &memory, &d, 1, &options), LMOPT_OK);
  for (size_t i = 0; i < 60; i++) {
    double x = (double)i - 30.25;
    assert_int_equal(lm_parzen_put(&p, i, &x), LMOPT_OK);
  }
  lm_parzen_settle(&p);
  lm_rng rng = lm_rng_stream(1, 1, "outside");
  for (int i = 0; i < 2000; i++) {
    double x, log_density;
    lm_parzen_draw(&p, &rng, &x);
    assert_true(x >= 0 && x <= 1);
    assert_int_equal(lm_parzen_density(&p, &x, 1, &log_density), LMOPT_OK);
    assert_true(isfinite(log_density));
  }
  lm_parzen_free(&p);
}

/*
** What a space believes, in place of the uniform prior, with and without
** observations: on the scale of the range the density sums to one, and what is
** drawn follows it.
*/
static const struct {
  int axis;
  lm_prior prior;
} beliefs[] = {
    {0, {LM_PRIOR_NORMAL, 1, 0.3, NULL}},
    {0, {LM_PRIOR_LOGNORMAL, 0.5, 2, NULL}},
    {0, {LM_PRIOR_NORMAL, 9, 2, NULL}},
    {1, {LM_PRIOR_LOGNORMAL, 0.01, 5, NULL}},
    {1, {LM_PRIOR_NORMAL, 2, 1.5, NULL}},
    {2, {LM_PRIOR_NORMAL, 4, 2, NULL}},
    {2, {LM_PRIOR_LOGNORMAL, 3, 1.5, NULL}},
    {3, {LM_PRIOR_LOGNORMAL, 20, 2, NULL}},
    {4, {LM_PRIOR_WEIGHTS, 0, 0, (const double[]){5, 1, 2, 0.5}}},
};

/* The share of the density below u of the range, or up to the grid's value x. */
static double mass_until(lm_parzen *p, const lm_distribution *d, double x) {
  bool grid = d->kind != LM_FLOAT;
  double low = d->low, high = x, sum = 0;
  if (!grid) {
    lm_distribution_range(d, &low, &high);
    high = lm_distribution_to_range(d, x);
  }
  int steps = grid ? (int)(x - d->low) + 1 : 4001;
  for (int i = 0; i < steps; i++) {
    double at = grid ? d->low + i : lm_distribution_from_range(d, low + (high - low) * i / (steps - 1)), log_density;
    assert_int_equal(lm_parzen_density(p, &at, 1, &log_density), LMOPT_OK);
    sum += exp(log_density) * (grid ? 1 : (high - low) / (steps - 1) * (i == 0 || i == steps - 1 ? 0.5 : 1));
  }
  return sum;
}

static void beliefs_shape_the_mixture(void **state) {
  (void)state;
  memory = lm_allocator_default();
  const lm_parzen_options options = {1, true, false, false};
  for (size_t k = 0; k < sizeof beliefs / sizeof *beliefs; k++) {
    const lm_distribution *d = &axes[beliefs[k].axis];
    for (size_t count = 0; count < 8; count += 7) {
      lm_parzen p;
      assert_int_equal(lm_parzen_init(&p, &memory, &d, 1, &options), LMOPT_OK);
      lm_parzen_set_prior(&p, 0, &beliefs[k].prior);
      lm_rng rng = lm_rng_stream(3, (int64_t)k, "belief");
      for (size_t i = 0; i < count; i++) {
        double point[AXES];
        random_point(&rng, point);
        assert_int_equal(lm_parzen_put(&p, i, &point[beliefs[k].axis]), LMOPT_OK);
      }
      lm_parzen_settle(&p);
      assert_true(fabs(mass_until(&p, d, d->high) - 1) < 1e-5);
      /* As much is drawn below a value as the density has there. */
      enum { DRAWS = 4000 };
      double middle = d->kind == LM_FLOAT ? lm_prior_at(&beliefs[k].prior, d, 0.3) : d->low + 1;
      double share = mass_until(&p, d, middle);
      if (count == 0 && d->kind == LM_FLOAT) assert_true(fabs(share - 0.3) < 1e-4);
      int below = 0;
      for (int i = 0; i < DRAWS; i++) {
        double x;
        lm_parzen_draw(&p, &rng, &x);
        assert_true(lm_distribution_contains(d, x));
        below += x <= middle;
      }
      assert_true(fabs(below - DRAWS * share) < 5 * sqrt(DRAWS * share) + 1);
      lm_parzen_free(&p);
    }
  }
}

/* A choice of weight 0 is never drawn for its own sake, and can be learned from where somebody tried it. */
static void no_weight(void **state) {
  (void)state;
  memory = lm_allocator_default();
  const lm_parzen_options options = {1, true, false, false};
  const lm_prior prior = {LM_PRIOR_WEIGHTS, 0, 0, (const double[]){1, 0, 3, 0}};
  const lm_distribution *d = &axes[4];
  lm_parzen p;
  assert_int_equal(lm_parzen_init(&p, &memory, &d, 1, &options), LMOPT_OK);
  lm_parzen_set_prior(&p, 0, &prior);
  double tried = 3;
  assert_int_equal(lm_parzen_put(&p, 0, &tried), LMOPT_OK);
  lm_parzen_settle(&p);
  lm_rng rng = lm_rng_stream(1, 1, "weights");
  int counts[4] = {0};
  for (int i = 0; i < 2000; i++) {
    double x, log_density;
    lm_parzen_draw(&p, &rng, &x);
    counts[(int)x]++;
    assert_int_equal(lm_parzen_density(&p, &x, 1, &log_density), LMOPT_OK);
    assert_true(isfinite(log_density));
  }
  assert_true(counts[1] == 0 && counts[2] > counts[0] && counts[3] > 0);
  lm_parzen_free(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(history_does_not_show),     cmocka_unit_test(densities_sum_to_one),
      cmocka_unit_test(draws_follow_the_density),  cmocka_unit_test(outside_the_range),
      cmocka_unit_test(beliefs_shape_the_mixture), cmocka_unit_test(no_weight)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
