/*
** Samplers and pruners over random spaces and random histories.
**
** The input: sampler, pruner, objectives (0: one), flags (1: maximize the
** first, 2: arrival order, 4: memory is refused now and then, 8: hard
** constraints, 64: priors), lag, startup trials, seed, number of parameters;
** three bytes for each parameter (kind, scale, gate); then three bytes for each
** trial (end, value, report).
**
** Properties: a suggestion is a value of what was asked for, never a NaN; it is
** the same from a sampler that was made this moment, and again when all trials
** have ended (law 1); no memory is an error that leaves the sampler usable, also
** where it is the constraints that had none.
*/
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "search/prior.h"
#include "search/pruner.h"
#include "search/sampler.h"

enum { PARAMETERS_MAX = 40, TRIALS_MAX = 48, SLOW_TRIALS_MAX = 12, GRID = 3 };

typedef struct parameter {
  char name[8];
  lm_distribution distribution;
  unsigned gate; /* 0: always; else: unless the parameter before has its least value */
  bool moving;   /* its range depends on the trial */
} parameter;

typedef struct maker {
  const char *name;
  lm_sampler *(*make)(const lm_allocator *a, unsigned startup, size_t objectives);
  bool slow, single; /* single: one objective */
} maker;

typedef struct study {
  const maker *how;
  lm_sampler *sampler;
  lm_pruner *pruner;
  lm_trials *trials;
  fuzz_memory memory; /* the sampler's; that of the trials is never refused */
  lm_allocator plain;
  size_t objectives, parameter_count;
  parameter parameters[PARAMETERS_MAX];
  unsigned startup;
  long long lag;
  bool arrival, scarcity;
  uint64_t seed, draws;
  lm_judge judge;    /* .judge NULL: no hard constraints */
  unsigned verdicts; /* after so many there is no memory for one; 0: there always is */
  unsigned attempts[TRIALS_MAX];
  lm_priors priors;
} study;

/* --- samplers --- */

static lm_sampler *make_random(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)startup, (void)objectives;
  return lm_sampler_random(a);
}

static lm_sampler *make_tpe(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)objectives;
  lm_tpe_options o;
  lm_tpe_options_default(&o);
  o.n_startup_trials = (int)startup;
  return lm_sampler_tpe(a, &o);
}

static lm_sampler *make_tpe_group(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)objectives;
  lm_tpe_options o;
  lm_tpe_options_default(&o);
  o.n_startup_trials = (int)startup;
  o.multivariate = o.group = true;
  return lm_sampler_tpe(a, &o);
}

static lm_sampler *make_tpe_univariate(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)objectives;
  lm_tpe_options o;
  lm_tpe_options_default(&o);
  o.n_startup_trials = (int)startup;
  o.multivariate = false;
  o.endpoints = true;
  o.magic_clip = false;
  return lm_sampler_tpe(a, &o);
}

static lm_sampler *make_brute_force(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)startup, (void)objectives;
  return lm_sampler_brute_force(a);
}

static lm_sampler *make_grid(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)startup, (void)objectives;
  static const double values[GRID] = {0, 1, 2};
  static const lm_grid_axis axes[] = {{"p0", values, GRID}, {"p1", values, GRID}};
  return lm_sampler_grid(a, axes, 2);
}

static lm_sampler *make_partial_fixed(const lm_allocator *a, unsigned startup, size_t objectives) {
  static const char *const names[] = {"elsewhere"};
  static const double values[] = {0};
  lm_sampler *inner = make_tpe(a, startup, objectives);
  lm_sampler *made = inner ? lm_sampler_partial_fixed(a, inner, names, values, 1) : NULL;
  if (!made) lm_sampler_free(inner);
  return made;
}

static void small_population(lm_genetic_options *o, unsigned startup) {
  lm_genetic_options_default(o);
  o->population_size = 2 + (int)startup;
  o->crossover.kind = (lm_crossover_kind)(startup % 6);
  if (lm_crossover_parents(&o->crossover) > (size_t)o->population_size) o->population_size = 3;
  if (startup % 2) o->polynomial_eta = 20;
}

static lm_sampler *make_nsga2(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)objectives;
  lm_genetic_options o;
  small_population(&o, startup);
  return lm_sampler_nsga2(a, &o);
}

static lm_sampler *make_nsga3(const lm_allocator *a, unsigned startup, size_t objectives) {
  lm_genetic_options o;
  small_population(&o, startup);
  return lm_sampler_nsga3(a, &o, objectives);
}

static lm_sampler *make_qmc(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)objectives;
  lm_qmc_options o;
  lm_qmc_options_default(&o);
  o.halton = startup % 2;
  o.scramble = startup % 4 < 2;
  return lm_sampler_qmc(a, &o);
}

static lm_sampler *make_gp(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)objectives;
  lm_gp_options o;
  lm_gp_options_default(&o);
  o.n_startup_trials = (int)startup;
  o.deterministic = startup % 2;
  o.acquisition = (lm_gp_choice)(startup % 5);
  o.n_preliminary_samples = 32; /* quick rather than good */
  o.n_local_search = 2;
  return lm_sampler_gp(a, &o);
}

static lm_sampler *make_cmaes(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)objectives;
  lm_cmaes_options o;
  lm_cmaes_options_default(&o);
  o.n_startup_trials = (int)startup;
  o.margin = startup % 4 == 1;
  o.separable = startup % 4 == 2;
  o.lr_adapt = startup % 4 == 3;
  o.consider_pruned = startup % 2;
  o.restart = (lm_cmaes_restart)(startup % 3);
  lm_sampler *others = lm_sampler_random(a), *made = others ? lm_sampler_cmaes(a, &o, others) : NULL;
  if (!made) lm_sampler_free(others);
  return made;
}

static lm_sampler *make_restart(const lm_allocator *a, unsigned startup, size_t objectives) {
  lm_restart_options o;
  lm_restart_options_default(&o);
  o.stagnation = 3 + (int)startup;
  o.keep_best = startup % 2;
  lm_sampler *inner = make_tpe(a, 1, objectives), *made = inner ? lm_sampler_restart(a, inner, &o) : NULL;
  if (!made) lm_sampler_free(inner);
  return made;
}

static lm_sampler *make_auto(const lm_allocator *a, unsigned startup, size_t objectives) {
  (void)objectives;
  return lm_sampler_auto(a, &(lm_auto_options){.quick = startup % 2 == 1});
}

static const maker makers[] = {
    {"random", make_random, false, false},
    {"tpe", make_tpe, false, false},
    {"tpe_group", make_tpe_group, false, false},
    {"tpe_univariate", make_tpe_univariate, false, false},
    {"brute_force", make_brute_force, false, false},
    {"grid", make_grid, false, false},
    {"partial_fixed", make_partial_fixed, false, false},
    {"nsga2", make_nsga2, false, false},
    {"nsga3", make_nsga3, false, false},
    {"qmc", make_qmc, false, false},
    {"gp", make_gp, true, false},
    {"auto", make_auto, true, false},
    {"cmaes", make_cmaes, false, true},
    {"restart", make_restart, false, false},
};

static lm_pruner *make_percentile(const lm_allocator *a, bool early, double percentile) {
  lm_percentile_options o;
  lm_percentile_options_default(&o);
  o.percentile = percentile;
  if (early) {
    o.n_startup_trials = 0;
    o.n_min_trials = 2;
  }
  return lm_pruner_percentile(a, &o);
}

static lm_pruner *make_halving(const lm_allocator *a, long long least) {
  lm_halving_options o;
  lm_halving_options_default(&o);
  o.min_resource = least;
  o.reduction_factor = 2;
  return lm_pruner_successive_halving(a, &o);
}

static lm_pruner *make_hyperband(const lm_allocator *a, long long most) {
  lm_hyperband_options o;
  lm_hyperband_options_default(&o);
  o.max_resource = most;
  return lm_pruner_hyperband(a, &o, "fuzzed");
}

static lm_pruner *make_pruner(const lm_allocator *a, unsigned choice, size_t objectives) {
  static const double lower[] = {-100, -1e300, 0}, upper[] = {100, 5, 1e300}, delta[] = {0.1, 0, 1e300};
  const lm_threshold_options bounds = {lower, upper, objectives, 0, 1};
  switch (choice % 11) {
    case 0: return lm_pruner_none(a);
    case 1: return make_percentile(a, false, 50);
    case 2: return make_percentile(a, true, 50);
    case 3: return make_percentile(a, true, 10);
    case 4: return make_halving(a, 1);
    case 5: return make_halving(a, 0);
    case 6: return make_hyperband(a, 9);
    case 7: return make_hyperband(a, 0);
    case 8: return lm_pruner_patient(a, make_percentile(a, true, 50), 1, delta, objectives);
    case 9: return lm_pruner_threshold(a, &bounds);
    default: return lm_pruner_wilcoxon(a, 0.1, 0);
  }
}

/* --- spaces --- */

static const char *many_choices(void) {
  static char text[500 * 8];
  if (!text[0]) {
    size_t at = 0;
    for (int i = 0; i < 500; i++) at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i ? ", " : "[", i);
    snprintf(text + at, sizeof text - at, "]");
  }
  return text;
}

static void read_distribution(lm_distribution *d, unsigned kind, unsigned scale) {
  static const double scales[] = {1, 1e-12, 1e12, 1e-300, 1e150, 3, 0.1, 1e-5};
  double unit = scales[scale % 8];
  *d = (lm_distribution){.kind = LM_FLOAT, .low = -5 * unit, .high = 5 * unit};
  switch (kind % 12) {
    case 0: break;
    case 1: *d = (lm_distribution){.kind = LM_FLOAT, .log = true, .low = unit * 1e-3, .high = unit}; break;
    case 2: *d = (lm_distribution){.kind = LM_FLOAT, .low = 0, .high = unit, .step = unit / 8}; break;
    case 3: *d = (lm_distribution){.kind = LM_INTEGER, .low = -3, .high = 9, .step = 1}; break;
    case 4: *d = (lm_distribution){.kind = LM_INTEGER, .log = true, .low = 1, .high = 1024, .step = 1}; break;
    case 5: *d = (lm_distribution){.kind = LM_INTEGER, .low = 8, .high = 128, .step = 8}; break;
    case 6: *d = (lm_distribution){.kind = LM_CATEGORICAL, .count = 3, .choices = "[\"a\", \"b\", \"c\"]"}; break;
    case 7: *d = (lm_distribution){.kind = LM_CATEGORICAL, .count = 500, .choices = many_choices()}; break;
    case 8: *d = (lm_distribution){.kind = LM_CATEGORICAL, .count = 1, .choices = "[null]"}; break;
    case 9: d->low = d->high = unit; break; /* one value */
    case 10:                                /* the widest and the narrowest integers */
      *d = (lm_distribution){
          .kind = LM_INTEGER, .low = scale % 2 ? -0x1p53 : 0, .high = scale % 2 ? 0x1p53 : 1, .step = 1};
      break;
    default: d->high = nextafter(d->low, INFINITY); /* two floats */
  }
  lm_error e = {LMOPT_OK, ""};
  FUZZ_CHECK(!lm_distribution_check(d, &e), "%s", e.text);
}

static void read_space(study *s, fuzz_input *in) {
  s->parameter_count = fuzz_take(in) % (PARAMETERS_MAX + 1);
  for (size_t i = 0; i < s->parameter_count; i++) {
    parameter *p = &s->parameters[i];
    unsigned kind = fuzz_take(in), scale = fuzz_take(in), gate = fuzz_take(in);
    snprintf(p->name, sizeof p->name, "p%zu", i);
    read_distribution(&p->distribution, kind, scale);
    p->gate = i > 0 ? gate % 3 : 0;
    p->moving = gate % 16 == 15 && p->distribution.kind == LM_INTEGER && p->distribution.high < 1000;
  }
}

/* --- what a space says --- */

/* A rule about the first two parameters that rejects every third point; without one of them it can't tell. */
static lm_verdict rule(void *userdata, const lm_view *view, const lm_assignment *items, size_t count) {
  study *s = userdata;
  uint64_t mixed = s->seed;
  size_t known = 0, wanted = s->parameter_count < 2 ? s->parameter_count : 2;
  (void)view;
  if (s->verdicts && --s->verdicts == 0) return LM_NO_VERDICT;
  for (size_t i = 0; i < count; i++) {
    for (size_t k = 0; k < wanted; k++) {
      if (strcmp(items[i].column->name, s->parameters[k].name) != 0) continue;
      uint64_t bits;
      memcpy(&bits, &items[i].value, sizeof bits);
      mixed ^= lm_mix(bits + k); /* in whatever order they come */
      known++;
    }
  }
  if (known < wanted) return LM_UNDECIDED;
  return lm_mix(mixed) % 3 == 0 ? LM_REJECTED : LM_ALLOWED;
}

/* Something is believed of every other parameter; of choices that some are not worth a trial. */
static void believe(study *s) {
  for (size_t i = 0; i < s->parameter_count; i += 2) {
    const lm_distribution *d = &s->parameters[i].distribution;
    lm_column *column = lm_trials_column(s->trials, s->parameters[i].name, true);
    lm_prior prior = {LM_PRIOR_NORMAL, 0.75 * d->low + 0.25 * d->high, 1 + d->high / 3 - d->low / 3, NULL};
    double weights[1024];
    if (i % 4 && d->high > 0) prior = (lm_prior){LM_PRIOR_LOGNORMAL, d->high / 2, 1.5, NULL};
    if (d->kind == LM_CATEGORICAL) {
      if (d->count > sizeof weights / sizeof *weights) continue;
      for (size_t k = 0; k < d->count; k++) weights[k] = k == 0 ? 1 : (double)(lm_mix(s->seed + k) % 4);
      prior = (lm_prior){.kind = LM_PRIOR_WEIGHTS, .weights = weights};
    }
    FUZZ_CHECK(column && !lm_priors_set(&s->plain, &s->priors, column, &prior, d->count), "no memory");
  }
}

/* --- asking --- */

static lm_view view_of(const study *s, size_t row) {
  long long number = (long long)row, horizon = s->arrival ? (long long)s->trials->count : number - s->lag;
  lm_view view = {.trials = s->trials,
                  .number = number,
                  .horizon = horizon < -1 ? -1 : horizon,
                  .arrival = s->arrival,
                  .seed = s->seed,
                  .attempt = s->attempts[row],
                  .judge = s->judge.judge ? &s->judge : NULL,
                  .priors = s->priors.count ? &s->priors : NULL};
  if (s->pruner->class->scope) view.scope = s->pruner->class->scope(s->pruner, &view);
  return view;
}

static void check_relative(const study *s, const lm_assignments *list) {
  for (size_t i = 0; i < list->count; i++) {
    const lm_assignment *a = &list->items[i];
    FUZZ_CHECK(a->column, "%s: a suggestion without a parameter", s->how->name);
    FUZZ_CHECK(!isnan(a->value), "%s: %s is not a number", s->how->name, a->column->name);
    FUZZ_CHECK(!a->distribution || lm_distribution_contains(a->distribution, a->value), "%s: %s = %.17g", s->how->name,
               a->column->name, a->value);
    for (size_t k = 0; k < i; k++)
      FUZZ_CHECK(list->items[k].column != a->column, "%s: %s twice", s->how->name, a->column->name);
  }
}

static bool is_same(const lm_assignments *a, const lm_assignments *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    if (a->items[i].column != b->items[i].column || memcmp(&a->items[i].value, &b->items[i].value, sizeof(double)) != 0)
      return false;
  }
  return true;
}

static lmopt_status ask_relative(const study *s, lm_sampler *sampler, lm_view *view, lm_assignments *out) {
  lm_error e = {LMOPT_OK, ""};
  lmopt_status status = sampler->class->sample_relative(sampler, view, out, &e);
  if (status == LMOPT_BUSY) { /* as the caller has promised: all before it have ended, and something is left */
    lm_assignments_free(sampler->allocator, out);
    view->settled = true;
    status = sampler->class->sample_relative(sampler, view, out, &e);
  }
  if (status) {
    FUZZ_CHECK(status == LMOPT_EXHAUSTED || status == LMOPT_MISUSE || status == LMOPT_NO_MEMORY, "%s: status %d",
               s->how->name, (int)status);
    FUZZ_CHECK(status == LMOPT_EXHAUSTED || e.text[0], "%s: an error without a text", s->how->name);
    lm_assignments_free(sampler->allocator, out);
  }
  return status;
}

/* A new sampler, from a plain allocator, gives the same. */
static void check_again(const study *s, size_t row, const lm_assignments *before, lmopt_status status) {
  lm_sampler *fresh = s->how->make(&s->plain, s->startup, s->objectives);
  lm_view view = view_of(s, row);
  lm_assignments list = {0};
  FUZZ_CHECK(fresh, "no memory");
  lmopt_status again = ask_relative(s, fresh, &view, &list);
  FUZZ_CHECK(again == status, "%s: trial %zu: status %d, then %d", s->how->name, row, (int)status, (int)again);
  FUZZ_CHECK(is_same(before, &list), "%s: trial %zu: another suggestion from a new sampler", s->how->name, row);
  lm_assignments_free(&s->plain, &list);
  lm_sampler_free(fresh);
}

/* False: the sampler says in words that it can't (a grid without the value, an endless tree). */
static bool ask_one(const study *s, const lm_view *view, lm_column *column, const lm_distribution *d, double *value) {
  double other = NAN;
  lm_error e = {LMOPT_OK, ""};
  lmopt_status status = s->sampler->class->sample_independent(s->sampler, view, column, d, value, &e);
  lm_sampler *fresh = s->how->make(&s->plain, s->startup, s->objectives);
  FUZZ_CHECK(fresh, "no memory");
  lmopt_status again = fresh->class->sample_independent(fresh, view, column, d, &other, NULL);
  lm_sampler_free(fresh);
  FUZZ_CHECK(again == status, "%s: %s: status %d, then %d", s->how->name, column->name, (int)status, (int)again);
  if (status) {
    FUZZ_CHECK((status == LMOPT_MISUSE && e.text[0]) || status == LMOPT_EXHAUSTED, "%s: %s: status %d", s->how->name,
               column->name, (int)status);
    return false;
  }
  FUZZ_CHECK(lm_distribution_contains(d, *value), "%s: %s = %.17g", s->how->name, column->name, *value);
  FUZZ_CHECK(memcmp(value, &other, sizeof other) == 0, "%s: %s = %.17g, from a new sampler %.17g", s->how->name,
             column->name, *value, other);
  return true;
}

static bool suggest_all(study *s, size_t row, const lm_view *view) {
  bool least = false;
  for (size_t i = 0; i < s->parameter_count; i++) {
    const parameter *p = &s->parameters[i];
    if (p->gate && least) continue;
    lm_distribution d = p->distribution;
    if (p->moving) d.high += (double)(row / 4) * d.step;
    lm_column *column = lm_trials_column(s->trials, p->name, true);
    const lm_distribution *known = column ? lm_trials_intern(s->trials, &d) : NULL;
    FUZZ_CHECK(known, "no memory");
    const lm_assignment *drawn = lm_assignments_find(&s->trials->rows[row].relative, column);
    double value = known->low;
    if (drawn && lm_distribution_contains(known, drawn->value))
      value = drawn->value;
    else if (!lm_distribution_single(known) && !ask_one(s, view, column, known, &value))
      return false;
    FUZZ_CHECK(!lm_trials_set_param(s->trials, row, column, known, value, NULL), "no memory");
    least = value == known->low;
  }
  return true;
}

/* --- trials --- */

static double odd_value(unsigned choice, uint64_t *draws) {
  static const double values[] = {0, 1, -1, INFINITY, -INFINITY, 1e308, -1e308, 1e-308, 0.5};
  if (choice % 4) return (double)(fuzz_draw(draws) % 1000) / 100;
  return values[choice / 4 % 9];
}

static void end_trial(study *s, size_t row, unsigned how) {
  double values[3];
  uint64_t draws = s->seed * 31 + row * 1009 + how;
  for (size_t i = 0; i < s->objectives; i++) values[i] = odd_value(how / 8 + (unsigned)i * (how % 5), &draws);
  double violations[2] = {how % 16 == 5 ? INFINITY : 1.5, how % 16 == 13 ? NAN : -1};
  if (how % 8 >= 4) lm_trials_set_constraints(s->trials, row, violations, 2);
  if (how % 8 == 1)
    lm_trials_finish(s->trials, row, LM_FAIL, NULL);
  else if (how % 8 == 2)
    lm_trials_finish(s->trials, row, LM_PRUNED, NULL);
  else
    lm_trials_finish(s->trials, row, LM_COMPLETE, values);
}

static void report(study *s, size_t row, unsigned how, const lm_view *view) {
  uint64_t draws = s->seed * 17 + row * 13 + how;
  for (unsigned i = 0; i < how % 4; i++) {
    double value = how % 16 == 7 ? NAN : odd_value(how + i, &draws);
    long long step = how % 32 == 31 ? LLONG_MAX - (long long)i : (long long)(i * (1 + how % 3));
    double values[3] = {value, odd_value(how / 2 + i, &draws), value};
    FUZZ_CHECK(!lm_trials_set_reports(s->trials, row, step, values, NULL), "no memory");
    bool first = s->pruner->class->prune(s->pruner, view);
    FUZZ_CHECK(first == s->pruner->class->prune(s->pruner, view), "%s: another answer to the same question",
               s->pruner->class->name);
  }
}

static lmopt_status ask_scarcely(study *s, lm_view *view, lm_assignments *list) {
  if (s->scarcity) {
    s->memory.fail_at = s->memory.calls + 1 + (size_t)(fuzz_draw(&s->draws) % 12);
    if (s->judge.judge) s->verdicts = (unsigned)(fuzz_draw(&s->draws) % 8);
  }
  lmopt_status status = ask_relative(s, s->sampler, view, list);
  s->memory.fail_at = 0;
  s->verdicts = 0;
  if (status != LMOPT_NO_MEMORY) return status;
  FUZZ_CHECK(s->scarcity, "%s: no memory, but there is", s->how->name);
  return ask_relative(s, s->sampler, view, list);
}

/* A point that is not allowed is drawn anew, a few times. */
static lmopt_status ask(study *s, size_t row, lm_view *view) {
  lm_assignments list = {0};
  lmopt_status status;
  for (;;) {
    status = ask_scarcely(s, view, &list);
    if (status || view->attempt == 3 || lm_view_judge(view, list.items, list.count) != LM_REJECTED) break;
    lm_assignments_free(&s->memory.allocator, &list);
    view->attempt = ++s->attempts[row];
    view->settled = false;
  }
  check_relative(s, &list);
  check_again(s, row, &list, status);
  for (size_t i = 0; i < list.count; i++) /* the row's list is freed by the trials' allocator */
    FUZZ_CHECK(!lm_assignments_add(&s->plain, &s->trials->rows[row].relative, list.items[i], NULL), "no memory");
  lm_assignments_free(&s->memory.allocator, &list);
  return status;
}

/* False: the sampler has nothing more to say. */
static bool one_trial(study *s, unsigned reported, bool *law) {
  size_t row = s->trials->count;
  FUZZ_CHECK(!lm_trials_append(s->trials, LM_RUNNING, NULL), "no memory");
  lm_view view = view_of(s, row);
  lmopt_status status = ask(s, row, &view);
  law[row] = status == LMOPT_OK && !view.settled;
  if (status) return false;
  view = view_of(s, row);
  view.judge = NULL; /* about whole points */
  if (!suggest_all(s, row, &view)) return false;
  report(s, row, reported, &view);
  return true;
}

/* What the trials knew then is what they would know now: the same suggestions. */
static void check_law(const study *s, const bool *law) {
  if (s->arrival) return;
  size_t stride = s->how->slow ? 5 : 1;
  for (size_t row = s->seed % stride; row < s->trials->count; row += stride) {
    if (law[row]) check_again(s, row, &s->trials->rows[row].relative, LMOPT_OK);
  }
}

static void run_trials(study *s, fuzz_input *in) {
  unsigned ends[TRIALS_MAX];
  bool law[TRIALS_MAX] = {false};
  size_t most = s->how->slow ? SLOW_TRIALS_MAX : TRIALS_MAX, ended = 0;
  while (in->size >= 3 && s->trials->count < most) {
    size_t row = s->trials->count;
    while ((long long)ended <= (long long)row - s->lag) {
      end_trial(s, ended, ends[ended]);
      ended++;
    }
    ends[row] = fuzz_take(in);
    unsigned value = fuzz_take(in), reported = fuzz_take(in);
    ends[row] += 256 * value;
    if (!one_trial(s, reported, law)) break;
  }
  for (; ended < s->trials->count; ended++) end_trial(s, ended, ends[ended]);
  check_law(s, law);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  fuzz_input in = {bytes, size};
  static study s;
  memset(&s, 0, sizeof s);
  s.how = &makers[fuzz_take(&in) % (sizeof makers / sizeof *makers)];
  unsigned pruner = fuzz_take(&in), objectives = fuzz_take(&in), flags = fuzz_take(&in);
  s.objectives = s.how->single ? 1 : 1 + objectives % 3;
  bool maximize[3] = {flags & 1, false, true};
  s.arrival = flags & 2;
  s.scarcity = flags & 4;
  s.lag = 1 + fuzz_take(&in) % 8;
  s.startup = fuzz_take(&in) % 12;
  s.seed = s.draws = fuzz_take(&in);
  s.plain = lm_allocator_default();
  fuzz_memory_init(&s.memory, 0);
  read_space(&s, &in);
  s.trials = lm_trials_new(&s.plain, s.objectives, maximize);
  s.sampler = s.how->make(&s.memory.allocator, s.startup, s.objectives);
  s.pruner = make_pruner(&s.plain, pruner, s.objectives);
  FUZZ_CHECK(s.trials && s.sampler && s.pruner, "no memory");
  if (flags & 8) s.judge = (lm_judge){rule, &s};
  if (flags & 64) believe(&s);
  run_trials(&s, &in);
  lm_sampler_free(s.sampler);
  lm_pruner_free(s.pruner);
  lm_priors_free(&s.plain, &s.priors);
  lm_trials_free(s.trials);
  FUZZ_CHECK(s.memory.live == 0, "%s: %zu bytes were not given back", s.how->name, s.memory.live);
  return 0;
}
