/* NSGA-II and NSGA-III: crossover, mutation, survival, generations, and what no input may break. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sampler_checks.h"
#include "search/genetic.h"

static lm_allocator plain;

static int set_up(void **state) {
  (void)state;
  plain = lm_allocator_default();
  return 0;
}

static lm_genetic_options options_of(lm_crossover_kind kind, int size) {
  lm_genetic_options o;
  lm_genetic_options_default(&o);
  o.crossover.kind = kind;
  o.population_size = size;
  return o;
}

/* --- crossover --- */

enum { DIMENSIONS = 4, DRAWS = 40000 };

typedef struct moments {
  double mean[DIMENSIONS], variance[DIMENSIONS], least[DIMENSIONS], most[DIMENSIONS];
} moments;

static const double parent_values[3][DIMENSIONS] = {{0.2, 0.5, 0.5, 0}, {0.6, 0.5, 0.1, 1}, {0.3, 0.9, 0.3, 0.5}};

static moments cross_often(const lm_crossover *c, bool several) {
  static const double low[DIMENSIONS] = {0}, high[DIMENSIONS] = {1, 1, 1, 1};
  const double *parents[3] = {parent_values[0], parent_values[1], parent_values[2]};
  moments m;
  for (int i = 0; i < DIMENSIONS; i++) {
    m.mean[i] = m.variance[i] = 0;
    m.least[i] = INFINITY;
    m.most[i] = -INFINITY;
  }
  lm_rng rng = lm_rng_stream(7, (int64_t)c->kind, "crossover");
  for (int n = 0; n < DRAWS; n++) {
    double child[DIMENSIONS];
    lm_crossover_apply(c, parents, DIMENSIONS, low, high, several, &rng, child);
    for (int i = 0; i < DIMENSIONS; i++) {
      m.mean[i] += child[i] / DRAWS;
      m.variance[i] += child[i] * child[i] / DRAWS;
      m.least[i] = fmin(m.least[i], child[i]);
      m.most[i] = fmax(m.most[i], child[i]);
    }
  }
  for (int i = 0; i < DIMENSIONS; i++) m.variance[i] -= m.mean[i] * m.mean[i];
  return m;
}

#define assert_near(a, b, tolerance)                                                              \
  do {                                                                                            \
    double a_ = (a), b_ = (b);                                                                    \
    if (!(fabs(a_ - b_) <= (tolerance))) fail_msg("line %d: %.6g is not %.6g", __LINE__, a_, b_); \
  } while (0)

static void crosses_uniformly(void **state) {
  (void)state;
  lm_genetic_options o = options_of(LM_CROSSOVER_UNIFORM, 50);
  o.crossover.swapping_prob = 0.25;
  moments m = cross_often(&o.crossover, true);
  assert_near(m.mean[0], 0.75 * 0.2 + 0.25 * 0.6, 0.005);
  assert_near(m.variance[0], 0.4 * 0.4 * 0.25 * 0.75, 0.002);
  assert_true(m.least[3] == 0 && m.most[3] == 1 && m.variance[1] < 1e-12);
}

/* Uniform over the parents' interval, longer by alpha on both sides. */
static void crosses_blends(void **state) {
  (void)state;
  lm_genetic_options o = options_of(LM_CROSSOVER_BLX_ALPHA, 50);
  moments m = cross_often(&o.crossover, true);
  assert_near(m.mean[0], 0.4, 0.005);
  assert_near(m.variance[0], 0.8 * 0.8 / 12, 0.002);
  assert_near(m.least[0], 0, 0.001);
  assert_near(m.most[0], 0.8, 0.001);
  assert_near(m.mean[2], 0.3, 0.005);
}

/* Uniform in a triangle: the centroid, and its second moment. */
static void crosses_simplices(void **state) {
  (void)state;
  lm_genetic_options o = options_of(LM_CROSSOVER_SPX, 50);
  moments m = cross_often(&o.crossover, true);
  for (int i = 0; i < DIMENSIONS; i++) {
    double centre = 0, spread = 0;
    for (int k = 0; k < 3; k++) centre += parent_values[k][i] / 3;
    for (int k = 0; k < 3; k++) spread += (parent_values[k][i] - centre) * (parent_values[k][i] - centre);
    assert_near(m.mean[i], centre, 0.01);
    assert_near(m.variance[i], spread * 6 / 12, 0.005); /* epsilon squared is 4 + 2 */
  }
  o.crossover.epsilon = 1;
  assert_near(cross_often(&o.crossover, true).most[3], 1, 0.02);
}

/* Inside the bounds, about the parents' middle, nearer to the parents the larger eta is. */
static void crosses_binary(void **state) {
  (void)state;
  lm_genetic_options o = options_of(LM_CROSSOVER_SBX, 50);
  for (int several = 0; several < 2; several++) {
    moments m = cross_often(&o.crossover, several);
    for (int i = 0; i < DIMENSIONS; i++) assert_true(m.least[i] >= 0 && m.most[i] <= 1);
    assert_near(m.mean[1], 0.5, 0.001);
    assert_near(m.mean[2], 0.3, 0.01);
    assert_near(m.variance[2], 0.04, several ? 0.003 : 0.02);
  }
  o.crossover.use_child_gene_prob = 0; /* parents only */
  moments m = cross_often(&o.crossover, true);
  assert_near(m.variance[0], 0.04, 1e-3);
  assert_true(m.least[0] == 0.2 && m.most[0] == 0.6);
}

/* Moving both parents moves the child: the weights add up to one. */
static void crosses_binary_varied(void **state) {
  (void)state;
  lm_genetic_options o = options_of(LM_CROSSOVER_VSBX, 50);
  moments m = cross_often(&o.crossover, false);
  assert_near(m.mean[0], 0.4, 0.01);
  assert_true(m.variance[1] < 1e-12 && fabs(m.mean[1] - 0.5) < 1e-9);
  assert_true(m.least[0] < 0.2 && m.most[0] > 0.6); /* on both sides of both parents */
}

/* Along the line of the parents sigma_xi times their distance, across it sigma_eta times that of the third. */
static void crosses_unimodally(void **state) {
  (void)state;
  lm_genetic_options o = options_of(LM_CROSSOVER_UNDX, 50);
  static const double low[3] = {-9, -9, -9}, high[3] = {9, 9, 9};
  const double x[3] = {0, 0, 0}, y[3] = {2, 0, 0}, z[3] = {1.5, 3, 0}, *parents[3] = {x, y, z};
  lm_rng rng = lm_rng_stream(3, 0, "undx");
  double mean[3] = {0}, square[3] = {0};
  for (int n = 0; n < DRAWS; n++) {
    double child[3];
    lm_crossover_apply(&o.crossover, parents, 3, low, high, true, &rng, child);
    for (int i = 0; i < 3; i++) {
      mean[i] += child[i] / DRAWS;
      square[i] += child[i] * child[i] / DRAWS;
    }
  }
  double across = 0.35 / sqrt(3) * 3;
  assert_near(mean[0], 1, 0.03);
  assert_near(sqrt(square[0] - mean[0] * mean[0]), 0.5 * 2, 0.03);
  for (int i = 1; i < 3; i++) {
    assert_near(mean[i], 0, 0.02);
    assert_near(sqrt(square[i]), across, 0.02);
  }
  /* In one dimension, and with equal parents, there is nothing across or along. */
  double child[3];
  lm_crossover_apply(&o.crossover, parents, 1, low, high, true, &rng, child);
  assert_true(isfinite(child[0]));
  const double *same[3] = {z, z, z};
  lm_crossover_apply(&o.crossover, same, 3, low, high, true, &rng, child);
  assert_true(child[0] == 1.5 && child[1] == 3 && child[2] == 0);
}

/* Half of the mutants are below; the larger eta, the nearer; never outside. */
static void mutates(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(5, 0, "mutation");
  double distance[2] = {0};
  int below = 0;
  for (int n = 0; n < DRAWS; n++) {
    double etas[2] = {20, 2};
    for (int k = 0; k < 2; k++) {
      double x = lm_mutation_polynomial(1.5, 1, 3, etas[k], &rng);
      assert_true(x >= 1 && x <= 3);
      distance[k] += fabs(x - 1.5) / DRAWS;
      below += k == 0 && x < 1.5;
    }
    assert_true(lm_mutation_polynomial(1, 1, 3, 20, &rng) >= 1);
    assert_true(lm_mutation_polynomial(2, 2, 2, 20, &rng) == 2);
  }
  assert_in_range(below, DRAWS * 48 / 100, DRAWS * 52 / 100);
  /* E|delta| of the unbounded distribution is 1 / (eta + 2), times the width. */
  assert_near(distance[0], 2.0 / 22, 0.003);
  assert_true(distance[1] > 3 * distance[0]);
}

/* --- survival --- */

static lm_trials *with_values(const double *values, size_t count, size_t objectives) {
  static const bool minimize[8] = {false};
  lm_trials *t = lm_trials_new(&plain, objectives, minimize);
  assert_non_null(t);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
    lm_trials_finish(t, i, LM_COMPLETE, values + i * objectives);
  }
  return t;
}

static void crowds(void **state) {
  (void)state;
  const double values[] = {0, 4, 1, 2, 2, 1, 4, 0, INFINITY, -1};
  lm_trials *t = with_values(values, 5, 2);
  size_t rows[] = {3, 1, 0, 2, 4};
  double distances[5];
  assert_int_equal(lm_genetic_crowding(&plain, t, rows, 4, distances), LMOPT_OK);
  assert_true(isinf(distances[0]) && isinf(distances[2]));
  assert_near(distances[1], 2.0 / 4 + 3.0 / 4, 1e-12);
  assert_near(distances[3], 3.0 / 4 + 2.0 / 4, 1e-12);
  assert_int_equal(lm_genetic_crowding(&plain, t, rows, 5, distances), LMOPT_OK);
  for (int i = 0; i < 5; i++) assert_false(isnan(distances[i]));
  lm_trials_free(t);
}

/* Feasible fronts first, then the others by violation; a row without any constraint is feasible. */
static void ranks_with_constraints(void **state) {
  (void)state;
  const double values[] = {1, 1, 0, 0, 2, 2, 0, 3, 1, 1, 5, 5};
  const double violations[] = {0, 0.5, 0, 0, 2, 0.5};
  lm_trials *t = with_values(values, 6, 2);
  size_t rows[] = {0, 1, 2, 3, 4, 5}, ranks[6], wanted[] = {0, 2, 1, 0, 3, 2};
  for (size_t i = 0; i < 6; i++) {
    double constraint = violations[i] > 0 ? violations[i] : -1;
    if (i) lm_trials_set_constraints(t, i, &constraint, 1);
  }
  assert_int_equal(lm_genetic_ranks(&plain, t, rows, 6, ranks), LMOPT_OK);
  assert_memory_equal(ranks, wanted, sizeof wanted);
  lm_trials_free(t);
}

static void places_references(void **state) {
  (void)state;
  const size_t wanted[][3] = {{1, 3, 1}, {2, 3, 4}, {3, 3, 10}, {3, 12, 91}, {8, 3, 120}};
  for (size_t k = 0; k < 5; k++) {
    double *points;
    size_t count, m = wanted[k][0];
    assert_int_equal(lm_genetic_reference_points(&plain, m, wanted[k][1], &points, &count), LMOPT_OK);
    assert_int_equal(count, wanted[k][2]);
    for (size_t i = 0; i < count; i++) {
      double sum = 0;
      for (size_t j = 0; j < m; j++) {
        assert_true(points[i * m + j] >= 0);
        sum += points[i * m + j];
      }
      assert_true(sum == (double)wanted[k][1]);
      for (size_t other = 0; other < i; other++)
        assert_memory_not_equal(points + i * m, points + other * m, m * sizeof *points);
    }
    lm_free(&plain, points);
  }
}

/* A front of 12 on a quarter circle, 4 places: NSGA-III keeps one near each of the 4 lines. */
static void keeps_niches(void **state) {
  (void)state;
  double values[24];
  for (int i = 0; i < 12; i++) { /* crowded near one end */
    double angle = 1.5707963267948966 * (i < 9 ? 0.02 * i : 0.33 + 0.33 * (i - 9));
    values[2 * i] = cos(angle);
    values[2 * i + 1] = sin(angle);
  }
  lm_trials *t = with_values(values, 12, 2);
  lm_genetic_options o = options_of(LM_CROSSOVER_UNIFORM, 4);
  lm_genetic *g = (lm_genetic *)lm_sampler_nsga3(&plain, &o, 0);
  assert_non_null(g);
  size_t rows[12], kept[12] = {0};
  for (size_t i = 0; i < 12; i++) rows[i] = i;
  lm_member survivors[4];
  lm_view view = {.trials = t, .number = 12, .horizon = 11, .seed = 1};
  assert_int_equal(lm_genetic_survive_niches(g, &view, 1, rows, 12, survivors), LMOPT_OK);
  for (int i = 0; i < 4; i++) kept[survivors[i].row]++;
  assert_int_equal(kept[9] + kept[10] + kept[11], 3);
  assert_int_equal(kept[0], 1);
  lm_sampler_free(&g->base);
  lm_trials_free(t);
}

/* --- as samplers --- */

typedef struct setting {
  const char *name;
  sim_options sim;
  int which, size;
  lm_crossover_kind kind;
  double eta;
} setting;

static const setting settings[] = {
    {"two objectives", {.objectives = 2, .lag = 1, .seed = 1}, 2, 8, LM_CROSSOVER_UNIFORM, NAN},
    {"conditional",
     {.objectives = 2, .conditional = true, .accidents = true, .lag = 1, .seed = 2},
     2,
     8,
     LM_CROSSOVER_SBX,
     NAN},
    {"one objective, lag 5",
     {.objectives = 1, .accidents = true, .lag = 5, .seed = 3},
     2,
     6,
     LM_CROSSOVER_BLX_ALPHA,
     20},
    {"growing",
     {.objectives = 3, .growing = true, .conditional = true, .lag = 4, .seed = 4},
     3,
     7,
     LM_CROSSOVER_SPX,
     20},
    {"arrival",
     {.objectives = 2, .accidents = true, .lag = 6, .arrival = true, .seed = 5},
     2,
     8,
     LM_CROSSOVER_VSBX,
     NAN},
    {"arrival, nsga3",
     {.objectives = 3, .conditional = true, .accidents = true, .lag = 4, .arrival = true, .seed = 6},
     3,
     8,
     LM_CROSSOVER_UNDX,
     5},
    {"tiny population", {.objectives = 1, .lag = 2, .seed = 7}, 3, 2, LM_CROSSOVER_UNIFORM, NAN},
};
enum { SETTINGS = sizeof settings / sizeof *settings, TRIALS = 150 };

static lm_sampler *make_or_refuse(const lm_allocator *a, const void *made_of) {
  const setting *s = made_of;
  lm_genetic_options o = options_of(s->kind, s->size);
  o.polynomial_eta = s->eta;
  return s->which == 2 ? lm_sampler_nsga2(a, &o) : lm_sampler_nsga3(a, &o, 0);
}

static lm_sampler *make_sampler(const lm_allocator *a, const setting *s) {
  lm_sampler *made = make_or_refuse(a, s);
  assert_non_null(made);
  return made;
}

static lmopt_status ask(lm_sampler *s, const lm_view *view, lm_assignments *out) {
  lm_error e = {0};
  return s->class->sample_relative(s, view, out, &e);
}

static sampler_case case_of(const setting *s, lm_error *e) {
  return (sampler_case){s->name, s->sim, make_or_refuse, s, e};
}

static void caches_do_not_show(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    lm_error e = {0};
    sampler_case c = case_of(&settings[k], &e);
    sampler_check_caches(&c, &(sampler_cache_check){.trials = TRIALS, .least_joint = TRIALS, .older = 20});
  }
}

/* The first trials of a study with much lag look back to before it began. */
static void nothing_to_see(void **state) {
  (void)state;
  lm_trials *t = lm_trials_new(&plain, 2, NULL);
  lm_sampler *sampler = make_sampler(&plain, &settings[0]);
  for (long long number = 0; number < 3; number++) {
    lm_assignments none = {0};
    lm_view view = {.trials = t, .number = number, .horizon = number - 8, .seed = 1};
    assert_int_equal(ask(sampler, &view, &none), LMOPT_OK);
    assert_int_equal(none.count, 0);
    assert_int_equal(lm_trials_append(t, LM_RUNNING, NULL), LMOPT_OK);
  }
  lm_sampler_free(sampler);
  lm_trials_free(t);
}

/* What has ended beyond the horizon does not count. */
static void law_of_suggestion(void **state) {
  (void)state;
  for (size_t k = 0; k < SETTINGS; k++) {
    if (settings[k].sim.lag < 2 || settings[k].sim.arrival) continue;
    sim s;
    assert_true(sim_init(&s, &plain, &settings[k].sim));
    lm_sampler *first = make_sampler(&plain, &settings[k]), *second = make_sampler(&plain, &settings[k]);
    for (int i = 0; i < 60; i++) {
      sim_catch_up(&s);
      lm_view view = sim_begin(&s);
      lm_assignments drawn = {0};
      sim_draw draws[SIM_AXES];
      size_t count;
      assert_int_equal(ask(first, &view, &drawn), LMOPT_OK);
      assert_int_equal(sim_suggest(&s, &view, first, &drawn, draws, &count), LMOPT_OK);
    }
    lm_view view = sim_begin(&s);
    lm_assignments before = {0}, after = {0};
    assert_int_equal(ask(first, &view, &before), LMOPT_OK);
    for (size_t row = (size_t)view.horizon + 1; row < (size_t)view.number; row++) {
      if (!lm_state_finished(s.trials->rows[row].state)) sim_end(&s, row);
    }
    assert_int_equal(ask(second, &view, &after), LMOPT_OK);
    assert_true(before.count > 0 && sim_same_relative(&before, &after));
    lm_assignments_free(&plain, &before);
    lm_assignments_free(&plain, &after);
    lm_sampler_free(first);
    lm_sampler_free(second);
    sim_free(&s);
  }
}

/* A branch brings its parameters along: a child that has a category has the parameters below it. */
static void inherits_branches(void **state) {
  (void)state;
  sim_options o = {.objectives = 2, .conditional = true, .lag = 1, .seed = 9};
  sim s;
  assert_true(sim_init(&s, &plain, &o));
  setting plain_setting = {"branches", o, 2, 10, LM_CROSSOVER_UNIFORM, NAN};
  lm_sampler *sampler = make_sampler(&plain, &plain_setting);
  size_t asked = 0, drawn_joint = 0;
  for (int i = 0; i < 200; i++) {
    sim_catch_up(&s);
    lm_view view = sim_begin(&s);
    lm_assignments drawn = {0};
    assert_int_equal(ask(sampler, &view, &drawn), LMOPT_OK);
    sim_draw draws[SIM_AXES];
    size_t count;
    assert_int_equal(sim_suggest(&s, &view, sampler, &drawn, draws, &count), LMOPT_OK);
    for (size_t k = 5; k < count && i >= 10; k++) {
      asked++;
      drawn_joint += lm_assignments_find(&s.trials->rows[i].relative, draws[k].column) != NULL;
    }
  }
  assert_true(asked > 50 && drawn_joint * 10 > asked * 7);
  lm_sampler_free(sampler);
  sim_free(&s);
}

/* --- bad input --- */

static void column_name(char *name, size_t size, size_t i) { snprintf(name, size, "p%zu", i); }

/* `dimensions` numbers, or categories, whose values and losses a seed decides; asks for trial after trial. */
static void run_bad(const setting *s, size_t dimensions, const lm_distribution *d, const double *losses, size_t kinds,
                    bool infeasible) {
  sim world;
  assert_true(sim_init(&world, &plain, &s->sim));
  lm_trials *t = world.trials;
  lm_sampler *sampler = make_sampler(&plain, s);
  const lm_distribution *known = lm_trials_intern(t, d);
  for (int i = 0; i < 30; i++) {
    lm_view view = sim_begin(&world);
    lm_assignments out = {0};
    assert_int_equal(ask(sampler, &view, &out), LMOPT_OK);
    t->rows[i].relative = out;
    for (size_t k = 0; k < dimensions; k++) {
      char name[32];
      column_name(name, sizeof name, k);
      lm_column *c = lm_trials_column(t, name, true);
      double value;
      assert_int_equal(sampler->class->sample_independent(sampler, &view, c, known, &value, NULL), LMOPT_OK);
      assert_true(lm_distribution_contains(known, value));
      assert_int_equal(lm_trials_set_param(t, (size_t)i, c, known, value, NULL), LMOPT_OK);
    }
    double values[3];
    for (size_t m = 0; m < 3; m++) values[m] = losses[((size_t)i + m) % kinds];
    double violation = INFINITY;
    if (infeasible) lm_trials_set_constraints(t, (size_t)i, &violation, 1);
    lm_trials_finish(t, (size_t)i, LM_COMPLETE, values);
  }
  lm_sampler_free(sampler);
  sim_free(&world);
}

static void bad_input(void **state) {
  (void)state;
  static const double same[] = {1}, huge[] = {1e308, -1e308, 0, 1e-308},
                      infinite[] = {INFINITY, -INFINITY, 1, INFINITY};
  const lm_distribution unit = {.kind = LM_FLOAT, .low = 0, .high = 1},
                        single = {.kind = LM_FLOAT, .low = 2, .high = 2},
                        wide = {.kind = LM_FLOAT, .low = -1e308, .high = 0.5e308},
                        logarithmic = {.kind = LM_FLOAT, .log = true, .low = 1e-300, .high = 1e300};
  for (size_t k = 0; k < SETTINGS; k++) {
    const setting *s = &settings[k];
    if (s->sim.arrival) continue;
    run_bad(s, 3, &unit, same, 1, false);
    run_bad(s, 3, &unit, same, 1, true);
    run_bad(s, 3, &unit, infinite, 4, false);
    run_bad(s, 3, &wide, huge, 4, false);
    run_bad(s, 2, &logarithmic, huge, 4, true);
    run_bad(s, 2, &single, huge, 4, false);
    run_bad(s, 0, &single, huge, 4, false);
    run_bad(s, 1000, &unit, huge, 4, false);
  }
}

static void many_categories(void **state) {
  (void)state;
  char *choices = malloc(4096);
  size_t at = 0;
  for (int i = 0; i < 500; i++) at += (size_t)snprintf(choices + at, 4096 - at, "%s%d", i ? ", " : "[", i);
  snprintf(choices + at, 4096 - at, "]");
  const lm_distribution d = {.kind = LM_CATEGORICAL, .high = 499, .count = 500, .choices = choices};
  const double losses[] = {1, 3, 2};
  run_bad(&settings[0], 5, &d, losses, 3, false);
  run_bad(&settings[3], 5, &d, losses, 3, false);
  free(choices);
}

static void failing_memory(void **state) {
  (void)state;
  for (size_t k = 0; k < 4; k++) {
    lm_error e = {0};
    sampler_case c = case_of(&settings[k], &e);
    sampler_check_memory(&c, &(sampler_memory_check){.past = 39, .refusals = {.every = 1}});
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(crosses_uniformly),
      cmocka_unit_test(crosses_blends),
      cmocka_unit_test(crosses_simplices),
      cmocka_unit_test(crosses_binary),
      cmocka_unit_test(crosses_binary_varied),
      cmocka_unit_test(crosses_unimodally),
      cmocka_unit_test(mutates),
      cmocka_unit_test(crowds),
      cmocka_unit_test(ranks_with_constraints),
      cmocka_unit_test(places_references),
      cmocka_unit_test(keeps_niches),
      cmocka_unit_test(caches_do_not_show),
      cmocka_unit_test(nothing_to_see),
      cmocka_unit_test(law_of_suggestion),
      cmocka_unit_test(inherits_branches),
      cmocka_unit_test(bad_input),
      cmocka_unit_test(many_categories),
      cmocka_unit_test(failing_memory),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
