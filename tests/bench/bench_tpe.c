/*
** TPE alone, without a study around it: the quality on four problems (medians and
** quartiles of the best value over seeds) and the time of an ask.
**
** usage: bench_tpe [quality|speed] [seeds]
*/
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"
#include "search/sampler.h"

#define PI 3.14159265358979323846

enum { TRIALS = 200, MOST_AXES = 10 };

typedef struct problem {
  const char *name;
  size_t axes;
  lm_distribution spaces[MOST_AXES];
  double (*value)(const double *x);
} problem;

static double branin(const double *x) {
  double a = x[1] - 5.1 / (4 * PI * PI) * x[0] * x[0] + 5 / PI * x[0] - 6;
  return a * a + 10 * (1 - 1 / (8 * PI)) * cos(x[0]) + 10;
}

static double hartmann6(const double *x) {
  static const double alpha[4] = {1, 1.2, 3, 3.2};
  static const double a[4][6] = {
      {10, 3, 17, 3.5, 1.7, 8}, {0.05, 10, 17, 0.1, 8, 14}, {3, 3.5, 1.7, 10, 17, 8}, {17, 8, 0.05, 10, 0.1, 14}};
  static const double p[4][6] = {{1312, 1696, 5569, 124, 8283, 5886},
                                 {2329, 4135, 8307, 3736, 1004, 9991},
                                 {2348, 1451, 3522, 2883, 3047, 6650},
                                 {4047, 8828, 8732, 5743, 1091, 381}};
  double sum = 0;
  for (int i = 0; i < 4; i++) {
    double inner = 0;
    for (int j = 0; j < 6; j++) inner += a[i][j] * (x[j] - 1e-4 * p[i][j]) * (x[j] - 1e-4 * p[i][j]);
    sum -= alpha[i] * exp(-inner);
  }
  return sum;
}

static double rosenbrock5(const double *x) {
  double sum = 0;
  for (int i = 0; i < 4; i++) sum += 100 * pow(x[i + 1] - x[i] * x[i], 2) + pow(1 - x[i], 2);
  return sum;
}

static double mixed7(const double *x) {
  static const double best_layers[4] = {5, 3, 6, 4}, act[4] = {0.1, 0.4, 0.0, 0.25}, opt[3] = {0.3, 0.0, 0.2},
                      rate[3] = {-1.2, -3.0, -3.4};
  int a = (int)x[5], o = (int)x[6];
  double u = log10(x[0]) - rate[o];
  return 0.5 * u * u + 0.1 * (1 - cos(4 * PI * u)) + 0.25 * pow(log10(x[1]) + 4, 2) +
         0.15 * pow(x[2] - best_layers[a], 2) + 0.2 * pow(log2(x[3]) - 7.5, 2) + pow((x[4] - 48) / 32, 2) + act[a] +
         opt[o];
}

static double sphere10(const double *x) {
  double sum = 0;
  for (int i = 0; i < 10; i++) sum += x[i] * x[i];
  return sum;
}

static lm_distribution real(double low, double high, bool log) {
  return (lm_distribution){.kind = LM_FLOAT, .log = log, .low = low, .high = high};
}

static lm_distribution integer(double low, double high, double step, bool log) {
  return (lm_distribution){.kind = LM_INTEGER, .log = log, .low = low, .high = high, .step = step};
}

static lm_distribution choice(size_t count, const char *choices) {
  return (lm_distribution){.kind = LM_CATEGORICAL, .high = (double)count - 1, .count = count, .choices = choices};
}

typedef struct run {
  lm_trials *trials;
  lm_sampler *sampler;
  lm_column *columns[MOST_AXES];
  const lm_distribution *spaces[MOST_AXES];
  uint64_t seed;
  const problem *problem;
} run;

static void need(bool fine, const char *what) {
  if (fine) return;
  fprintf(stderr, "bench_tpe: %s\n", what);
  exit(1);
}

static run start(const lm_allocator *a, const problem *p, uint64_t seed, int multivariate) {
  static const bool minimize = false;
  run r = {.trials = lm_trials_new(a, 1, &minimize), .seed = seed, .problem = p};
  lm_tpe_options o;
  lm_tpe_options_default(&o);
  o.multivariate = multivariate;
  r.sampler = lm_sampler_tpe(a, &o);
  need(r.trials && r.sampler, "no memory");
  for (size_t i = 0; i < p->axes; i++) {
    char name[8];
    snprintf(name, sizeof name, "x%zu", i);
    r.columns[i] = lm_trials_column(r.trials, name, true);
    r.spaces[i] = lm_trials_intern(r.trials, &p->spaces[i]);
  }
  return r;
}

/* One ask, its suggestions, one tell. Returns the seconds sample_relative took. */
static double step(run *r, double *value) {
  lm_trials *t = r->trials;
  size_t row = t->count;
  need(lm_trials_append(t, LM_RUNNING, NULL) == LMOPT_OK, "no memory");
  lm_view view = {.trials = t, .number = (long long)row, .horizon = (long long)row - 1, .seed = r->seed};
  lm_assignments drawn = {0};
  double before = lm_clock_monotonic();
  need(r->sampler->class->sample_relative(r->sampler, &view, &drawn, NULL) == LMOPT_OK, "no sample");
  double seconds = lm_clock_monotonic() - before;
  double x[MOST_AXES];
  t->rows[row].relative = drawn;
  for (size_t i = 0; i < r->problem->axes; i++) {
    const lm_assignment *a = lm_assignments_find(&t->rows[row].relative, r->columns[i]);
    if (a) {
      x[i] = a->value;
    } else {
      need(r->sampler->class->sample_independent(r->sampler, &view, r->columns[i], r->spaces[i], &x[i], NULL) ==
               LMOPT_OK,
           "no sample");
    }
    need(lm_trials_set_param(t, row, r->columns[i], r->spaces[i], x[i], NULL) == LMOPT_OK, "no memory");
  }
  *value = r->problem->value(x);
  lm_trials_finish(t, row, LM_COMPLETE, value);
  return seconds;
}

static void finish(run *r) {
  lm_sampler_free(r->sampler);
  lm_trials_free(r->trials);
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double quantile(const double *sorted, size_t count, double q) {
  double at = q * (double)(count - 1);
  size_t i = (size_t)at;
  double next = i + 1 < count ? sorted[i + 1] : sorted[i];
  return sorted[i] + (at - (double)i) * (next - sorted[i]);
}

static void quality(const lm_allocator *a, const problem *problems, size_t count, size_t seeds) {
  double *best = malloc(3 * seeds * sizeof *best);
  need(best != NULL, "no memory");
  for (int multivariate = 1; multivariate >= 0; multivariate--) {
    for (size_t p = 0; p < count; p++) {
      for (size_t s = 0; s < seeds; s++) {
        run r = start(a, &problems[p], s, multivariate);
        double least = INFINITY, value;
        for (int k = 0; k < TRIALS; k++) {
          step(&r, &value);
          if (value < least) least = value;
          if (k == 49) best[s] = least;
          if (k == 99) best[seeds + s] = least;
        }
        best[2 * seeds + s] = least;
        finish(&r);
      }
      printf("%-12s %-8s", problems[p].name, multivariate ? "tpe" : "tpe_uni");
      for (int mark = 0; mark < 3; mark++) {
        double *b = best + (size_t)mark * seeds;
        qsort(b, seeds, sizeof *b, compare);
        printf("  %.4g [%.4g, %.4g]", quantile(b, seeds, 0.5), quantile(b, seeds, 0.25), quantile(b, seeds, 0.75));
      }
      printf("\n");
    }
  }
  free(best);
}

/* The median of the last 50 asks before each mark, of several runs the best. */
static void speed(const lm_allocator *a, const problem *p, int multivariate, size_t last) {
  static const size_t marks[] = {100, 300, 1000, 3000, 10000};
  run r = start(a, p, 1, multivariate);
  double window[50], whole[50], value;
  for (size_t k = 0, m = 0; k < last && m < 5; k++) {
    double before = lm_clock_monotonic();
    window[k % 50] = step(&r, &value);
    whole[k % 50] = lm_clock_monotonic() - before;
    if (k + 1 != marks[m]) continue;
    double w[50], v[50];
    memcpy(w, window, sizeof w);
    memcpy(v, whole, sizeof v);
    qsort(w, 50, sizeof *w, compare);
    qsort(v, 50, sizeof *v, compare);
    printf("%-10s %-8s n = %5zu: ask %8.1f us, ask + suggests + tell %8.1f us\n", p->name,
           multivariate ? "tpe" : "tpe_uni", marks[m], 1e6 * w[25], 1e6 * v[25]);
    m++;
  }
  finish(&r);
}

int main(int argc, char **argv) {
  lm_allocator a = lm_allocator_default();
  problem problems[] = {
      {"branin", 2, {real(-5, 10, false), real(0, 15, false)}, branin},
      {"hartmann6", 6, {{0}}, hartmann6},
      {"rosenbrock5", 5, {{0}}, rosenbrock5},
      {"mixed7",
       7,
       {real(1e-5, 1, true), real(1e-6, 1e-1, true), integer(1, 8, 1, false), integer(16, 1024, 1, true),
        integer(8, 128, 8, false), choice(4, "[\"relu\", \"tanh\", \"gelu\", \"elu\"]"),
        choice(3, "[\"sgd\", \"adam\", \"rmsprop\"]")},
       mixed7},
  };
  for (size_t i = 0; i < 6; i++) problems[1].spaces[i] = real(0, 1, false);
  for (size_t i = 0; i < 5; i++) problems[2].spaces[i] = real(-5, 10, false);
  problem sphere = {"sphere10", 10, {{0}}, sphere10};
  for (size_t i = 0; i < 10; i++) sphere.spaces[i] = real(-5, 5, false);
  const char *what = argc > 1 ? argv[1] : "all";
  size_t seeds = argc > 2 ? (size_t)atoi(argv[2]) : 20;
  need(seeds > 0, "seeds must be a positive number");
  if (strcmp(what, "speed") != 0) quality(&a, problems, 4, seeds);
  if (strcmp(what, "quality") != 0) {
    speed(&a, &sphere, 1, 10000);
    speed(&a, &problems[3], 1, 3000);
    speed(&a, &sphere, 0, 1000);
  }
  return 0;
}
