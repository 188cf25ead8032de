/*
** `auto`: one of the other samplers for each trial, by what the view shows.
**
** That no one sampler is best everywhere, and that model-based ones pay while
** evaluations are few: D. R. Jones, M. Schonlau and W. J. Welch, "Efficient
** global optimization of expensive black-box functions", J. Global Optimization
** 13 (1998); R. Turner et al., "Bayesian optimization is superior to random
** search for machine learning hyperparameter tuning", NeurIPS 2020 competition.
** Gaussian processes in spaces with tens of parameters: C. Hvarfner, E. O.
** Hellsten and L. Nardi, "Vanilla Bayesian optimization performs great in high
** dimensions", ICML (2024).
**
** A model may settle on a category before the others were given their best
** values. So one trial in ten gets a category at random, and the model chooses
** everything else for it: the epsilon of G. De Ath et al., "Greed is good:
** exploration and exploitation trade-offs in Bayesian optimisation", ACM TELO 1
** (2021), for categories alone.
**
** The choice is a function of the view: of the trial's number, and of the
** latest finished trials in it.
*/
#include "search/draw.h"
#include "search/sampler.h"

enum { LATEST = 256, STARTUP = 10, GP_TRIALS = 250, GP_PARAMETERS = 60, GP_OBJECTIVES = 3, FRONT_TRIALS = 1000 };

static const double category_share = 0.1, pruned_share = 0.1;

typedef enum part { PART_GP, PART_TPE, PART_TPE_GROUP, PART_NSGA2, PARTS } part;

/* What is known of a study's space. */
typedef struct facts {
  size_t rows;       /* complete and pruned ones, of the latest trials */
  size_t complete;   /* of these */
  size_t parameters; /* that some of them have */
  bool conditional;  /* and some have not */
} facts;

static bool counts(const lm_view *view, size_t row) {
  lm_state state = lm_view_state(view, row);
  return state == LM_COMPLETE || state == LM_PRUNED;
}

/* The first of the latest rows that finished trials can be in. */
static size_t first_row(const lm_view *view) {
  size_t end = lm_view_count(view);
  if (!view->arrival && view->horizon + 1 < (long long)end) end = (size_t)(view->horizon + 1);
  return end > LATEST ? end - LATEST : 0;
}

static facts facts_of(const lm_view *view) {
  facts f = {0};
  const lm_trials *t = view->trials;
  size_t first = first_row(view), end = lm_view_count(view);
  for (size_t row = first; row < end; row++) {
    if (!counts(view, row)) continue;
    f.rows++;
    f.complete += t->rows[row].state == LM_COMPLETE;
  }
  for (size_t i = 0; i < t->column_count; i++) {
    size_t seen = 0;
    for (size_t row = first; row < end; row++) seen += counts(view, row) && lm_column_distribution(t->columns[i], row);
    f.parameters += seen > 0;
    f.conditional = f.conditional || (seen > 0 && seen < f.rows);
  }
  return f;
}

typedef struct choice {
  part part;
  bool starting; /* there is nothing to learn from yet, whichever part it is */
  const char *reason;
} choice;

typedef struct automatic {
  lm_sampler base;
  lm_auto_options options;
  lm_sampler *parts[PARTS];
  /* The choice for one trial, as long as nothing has finished since. */
  choice latest;
  double birth;
  long long number, horizon;
  uint64_t scope;
  unsigned long long generation, edits;
} automatic;

static choice choose_without_model(const lm_view *view, const facts *f, const char *reason) {
  choice c = {.part = f->conditional ? PART_TPE_GROUP : PART_TPE, .reason = reason};
  if (view->trials->objectives > 1 && view->number >= FRONT_TRIALS)
    c = (choice){.part = PART_NSGA2, .reason = "several objectives, and trials by the thousand"};
  return c;
}

/*
** TPE learns from pruned trials. A Gaussian process does not: it would propose
** again and again what is pruned again and again.
*/
static bool are_pruned(const facts *f) { return f->rows - f->complete > pruned_share * (double)f->rows; }

static choice choose(const automatic *s, const lm_view *view) {
  facts known = facts_of(view);
  const facts *f = &known;
  bool quick = s->options.quick, pruned = are_pruned(f);
  /* A view can hold fewer than all trials: past some number it is no longer early. */
  if ((quick || pruned ? f->rows : f->complete) < STARTUP && view->number < LATEST)
    return (choice){quick || pruned ? PART_TPE : PART_GP, true, "until there is something to learn from"};
  if (quick) return choose_without_model(view, f, "asks are to be quick, which those of a Gaussian process are not");
  if (pruned) return choose_without_model(view, f, "trials are pruned, from which a Gaussian process learns nothing");
  if (view->trials->objectives > GP_OBJECTIVES)
    return choose_without_model(view, f, "more objectives than a Gaussian process improves on in time");
  if (f->parameters > GP_PARAMETERS)
    return choose_without_model(view, f, "more parameters than a Gaussian process takes");
  if (view->number >= GP_TRIALS)
    return choose_without_model(view, f, "so many trials that a Gaussian process would take its time");
  return (choice){PART_GP, false,
                  f->conditional ? "few trials, and a space with conditions, which a Gaussian process models as one"
                                 : "few trials, from which a Gaussian process learns most"};
}

static choice choice_for(automatic *s, const lm_view *view) {
  const lm_trials *t = view->trials;
  if (s->latest.reason && s->birth == t->birth && s->number == view->number && s->horizon == view->horizon &&
      s->scope == view->scope.id && s->generation == t->generation && s->edits == t->edits)
    return s->latest;
  s->latest = choose(s, view);
  s->birth = t->birth;
  s->number = view->number;
  s->horizon = view->horizon;
  s->scope = view->scope.id;
  s->generation = t->generation;
  s->edits = t->edits;
  return s->latest;
}

/* --- the parts --- */

static lm_sampler *make_part(const lm_allocator *a, part which) {
  lm_gp_options gp;
  lm_tpe_options tpe;
  lm_genetic_options genetic;
  switch (which) {
    case PART_GP: lm_gp_options_default(&gp); return lm_sampler_gp(a, &gp);
    case PART_NSGA2: lm_genetic_options_default(&genetic); return lm_sampler_nsga2(a, &genetic);
    default:
      lm_tpe_options_default(&tpe);
      if (which == PART_TPE_GROUP) tpe.multivariate = tpe.group = true;
      return lm_sampler_tpe(a, &tpe);
  }
}

static lm_sampler *get_part(automatic *s, part which) {
  if (!s->parts[which]) s->parts[which] = make_part(s->base.allocator, which);
  return s->parts[which];
}

/* --- categories --- */

/* A category that every one of the latest trials has, at random; false: there is none. */
static bool pick_category(const lm_view *view, lm_rng *rng, lm_assignment *out) {
  const lm_trials *t = view->trials;
  *out = (lm_assignment){0};
  size_t first = first_row(view), end = lm_view_count(view), found = 0;
  for (size_t i = 0; i < t->column_count; i++) {
    const lm_distribution *d = NULL;
    bool everywhere = !view->fixed || !lm_assignments_find(view->fixed, t->columns[i]);
    for (size_t row = first; row < end && everywhere; row++) {
      if (!counts(view, row)) continue;
      d = lm_column_distribution(t->columns[i], row);
      everywhere = d && d->kind == LM_CATEGORICAL && d->count > 1 && !d->part; /* the bits of a subset go together */
    }
    if (!everywhere || !d) continue;
    /* Each of them with the same probability, in one pass. */
    if (lm_rng_below(rng, ++found) == 0) *out = (lm_assignment){t->columns[i], d, 0};
  }
  if (!out->distribution) return false;
  out->value = (double)lm_rng_below(rng, out->distribution->count);
  return true;
}

/* --- the sampler --- */

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  automatic *s = (automatic *)base;
  choice c = choice_for(s, view);
  lm_sampler *inner = get_part(s, c.part);
  if (!inner) return lm_fail_memory(e);
  lm_rng rng = lm_rng_stream(view->seed, view->number, "auto");
  lm_assignment category;
  bool free_choice = c.part != PART_NSGA2 && lm_rng_uniform(&rng) < category_share;
  if (!free_choice || view->attempt > 0 || !pick_category(view, &rng, &category))
    return inner->class->sample_relative(inner, view, out, e);
  lmopt_status status = lm_assignments_add(base->allocator, out, category, e);
  return status ? status : lm_sampler_rest(inner, view, out, e);
}

/* What the joint proposal lacks: TPE learns from whatever trials there are, and begins with uniform draws. */
static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  automatic *s = (automatic *)base;
  lm_sampler *inner = get_part(s, PART_TPE);
  if (!inner) return lm_fail_memory(e);
  return inner->class->sample_independent(inner, view, column, distribution, internal, e);
}

static lmopt_status sample_structure(lm_sampler *base, const lm_view *view, lm_column *const *columns,
                                     const lm_distribution *const *distributions, size_t count, double *values,
                                     lm_error *e) {
  lm_sampler *inner = get_part((automatic *)base, PART_TPE);
  if (!inner) return lm_fail_memory(e);
  return inner->class->sample_structure(inner, view, columns, distributions, count, values, e);
}

static void free_automatic(lm_sampler *base) {
  automatic *s = (automatic *)base;
  for (size_t i = 0; i < PARTS; i++) lm_sampler_free(s->parts[i]);
  lm_free(base->allocator, s);
}

static const lm_sampler_class automatic_class = {"auto", sample_relative, sample_independent,
                                                 NULL,   free_automatic,  sample_structure};

bool lm_sampler_explain(lm_sampler *base, const lm_view *view, lm_explanation *out) {
  static const char *const names[PARTS] = {"gp", "tpe", "tpe with group", "nsga2"};
  base = lm_sampler_for(base, view);
  if (base->class != &automatic_class) return false;
  choice c = choice_for((automatic *)base, view);
  *out = (lm_explanation){c.starting ? "random" : names[c.part], c.reason, c.starting};
  return true;
}

lm_sampler *lm_sampler_auto(const lm_allocator *a, const lm_auto_options *o) {
  automatic *s = lm_alloc_zeroed(a, sizeof *s);
  if (!s) return NULL;
  s->base = (lm_sampler){&automatic_class, a};
  s->options = *o;
  return &s->base;
}
