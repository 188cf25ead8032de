/*
** Samplers: ask and tell. A sampler never calls the objective; it is asked for
** the joint parameters of a trial when the trial begins, and for one more
** parameter whenever the objective meets a name that the joint ones lack.
**
** Both answers are pure functions of the view and of the streams
** lm_rng_stream(view->seed, view->number, purpose): a sampler may cache what
** it computed, but must answer the same with its caches empty.
**
** Hard constraints (view->judge) are the caller's business: it asks again, with
** the next view->attempt, until a whole point is allowed. For that the draws
** come from lm_view_stream. A sampler that can choose among candidates, or
** whose answer does not vary, asks the judge itself (lm_view_judge); it may
** answer with nothing once it has no other proposal: then the caller draws.
**
** One file per sampler, the paper it follows at the top.
*/
#ifndef LM_SAMPLER_H
#define LM_SAMPLER_H

#include "search/trials.h"

typedef struct lm_sampler lm_sampler;

typedef struct lm_sampler_class {
  const char *name;
  /*
  ** Adds the joint parameters of trial view->number to `out`; none is fine.
  ** A failure may leave some there: the caller frees `out` either way.
  ** LMOPT_EXHAUSTED: nothing is left to try. LMOPT_BUSY: whether anything is
  ** left depends on trials that are not finished in the view; the caller waits
  ** for all trials before `number` and asks `exhausted` about the full view;
  ** if that is false it asks again with view->settled set.
  */
  lmopt_status (*sample_relative)(lm_sampler *s, const lm_view *view, lm_assignments *out, lm_error *e);
  /* One parameter; `distribution` is interned and has more than one value. */
  lmopt_status (*sample_independent)(lm_sampler *s, const lm_view *view, lm_column *column,
                                     const lm_distribution *distribution, double *internal, lm_error *e);
  /* May be NULL: never. True when no untried point is left in `view`. */
  bool (*exhausted)(lm_sampler *s, const lm_view *view);
  void (*free)(lm_sampler *s);
  /*
  ** The parts of one structured variable at once (lm_part; `distributions` are
  ** interned), when the joint ones lack it. NULL: each value as likely as any other.
  */
  lmopt_status (*sample_structure)(lm_sampler *s, const lm_view *view, lm_column *const *columns,
                                   const lm_distribution *const *distributions, size_t count, double *values,
                                   lm_error *e);
} lm_sampler_class;

/* What every sampler begins with. */
struct lm_sampler {
  const lm_sampler_class *class;
  const lm_allocator *allocator;
};

void lm_sampler_free(lm_sampler *s); /* NULL is a no-op */

/* The parts of one structured variable, from a sampler that may know nothing of them, or be NULL. */
lmopt_status lm_sampler_structure(lm_sampler *s, const lm_view *view, lm_column *const *columns,
                                  const lm_distribution *const *distributions, size_t count, double *values,
                                  lm_error *e);

/*
** Adds what else is joint for `s` to `out`, whose parameters are decided: they
** are fixed for `s`, as are those of view->fixed.
*/
lmopt_status lm_sampler_rest(lm_sampler *s, const lm_view *view, lm_assignments *out, lm_error *e);

lm_sampler *lm_sampler_random(const lm_allocator *a);

/* Defaults: those of Optuna 5 (lm_tpe_options_default). */
typedef struct lm_tpe_options {
  int n_startup_trials; /* 10 */
  int n_ei_candidates;  /* 24 */
  double prior_weight;  /* 1 */
  bool magic_clip;      /* true */
  bool endpoints;       /* false */
  int multivariate;     /* -1: true for one objective, false for several */
  bool group;           /* false; true needs multivariate */
  bool constant_liar;   /* true */
} lm_tpe_options;

void lm_tpe_options_default(lm_tpe_options *o);
lm_sampler *lm_sampler_tpe(const lm_allocator *a, const lm_tpe_options *o);

typedef enum lm_gp_choice { LM_GP_BY_LOG_EI, LM_GP_BY_EI, LM_GP_BY_PI, LM_GP_BY_UCB, LM_GP_BY_THOMPSON } lm_gp_choice;

/* Defaults: those of Optuna 5 (lm_gp_options_default). */
typedef struct lm_gp_options {
  int n_startup_trials;      /* 10 */
  bool deterministic;        /* false: the noise is learned; true: there is none */
  lm_gp_choice acquisition;  /* log EI */
  double beta;               /* 2: of the upper confidence bound */
  int n_preliminary_samples; /* 2048 */
  int n_local_search;        /* 10 */
} lm_gp_options;

void lm_gp_options_default(lm_gp_options *o);
lm_sampler *lm_sampler_gp(const lm_allocator *a, const lm_gp_options *o);

typedef struct lm_qmc_options {
  bool halton;   /* false: Sobol's sequence */
  bool scramble; /* true; Optuna's default is false, which begins at the corner of the space */
} lm_qmc_options;

void lm_qmc_options_default(lm_qmc_options *o);
lm_sampler *lm_sampler_qmc(const lm_allocator *a, const lm_qmc_options *o);

/*
** How numbers of several parents become one: the papers are in genetic_crossover.c.
** NaN asks for the default that depends on the study.
*/
typedef enum lm_crossover_kind {
  LM_CROSSOVER_UNIFORM,
  LM_CROSSOVER_BLX_ALPHA,
  LM_CROSSOVER_SPX,
  LM_CROSSOVER_SBX,
  LM_CROSSOVER_VSBX,
  LM_CROSSOVER_UNDX
} lm_crossover_kind;

typedef struct lm_crossover {
  lm_crossover_kind kind;
  double swapping_prob;          /* uniform, and categories everywhere: 0.5, that a gene is the second parent's */
  double alpha;                  /* blx_alpha: 0.5 */
  double epsilon;                /* spx: NaN, sqrt(dimensions + 2) */
  double eta;                    /* sbx, vsbx: NaN, 20 for several objectives and 2 for one */
  double uniform_crossover_prob; /* sbx, vsbx: 0.5, that the children swap a gene */
  double use_child_gene_prob;    /* sbx, vsbx: 0.5, that a gene is crossed at all */
  double sigma_xi;               /* undx: 0.5 */
  double sigma_eta;              /* undx: NaN, 0.35 / sqrt(dimensions) */
} lm_crossover;

typedef struct lm_genetic_options {
  int population_size;            /* 50 */
  double crossover_prob;          /* 0.9 */
  double mutation_prob;           /* NaN: 1 / max(1, parameters) */
  double polynomial_eta;          /* NaN: a mutated parameter is drawn anew; else polynomial mutation with this index */
  lm_crossover crossover;         /* uniform */
  int dividing_parameter;         /* nsga3: 3 */
  const double *reference_points; /* nsga3: reference_count x objectives; NULL: those of Das and Dennis */
  size_t reference_count;
} lm_genetic_options;

void lm_genetic_options_default(lm_genetic_options *o);
/* Parents that a crossover needs: 2 or 3. */
size_t lm_crossover_parents(const lm_crossover *c);
lm_sampler *lm_sampler_nsga2(const lm_allocator *a, const lm_genetic_options *o);
/* Copies the reference points. `objectives`: coordinates of each. */
lm_sampler *lm_sampler_nsga3(const lm_allocator *a, const lm_genetic_options *o, size_t objectives);

/* Repeats for objectives with noise. */
typedef struct lm_repeated_options {
  int repeats;    /* trials of a block, which have the same parameters */
  bool promising; /* no blocks: every `repeats`-th trial evaluates the most promising point again */
} lm_repeated_options;

/* `inner` is its own from then on, unless it is NULL for want of memory. */
lm_sampler *lm_sampler_repeated(const lm_allocator *a, lm_sampler *inner, const lm_repeated_options *o);

/* Points of the numerical parameters `names`: `values` has a row for each, internal values; losses: less is better. */
typedef struct lm_cmaes_points {
  const char *const *names;
  size_t name_count;
  const double *values, *losses;
  size_t count;
} lm_cmaes_points;

typedef enum lm_cmaes_restart { LM_RESTART_NONE, LM_RESTART_IPOP, LM_RESTART_BIPOP } lm_cmaes_restart;

/* Defaults: those of Optuna 5 (lm_cmaes_options_default). */
typedef struct lm_cmaes_options {
  int n_startup_trials;       /* 1: complete trials before it begins */
  int popsize;                /* 0: 4 + floor(3 log d) */
  int inc_popsize;            /* 2: by how much a restart grows the population */
  double sigma0;              /* 1/6 of the range */
  bool separable;             /* use_separable_cma */
  bool margin;                /* with_margin */
  bool lr_adapt;              /* not together with `separable` or `margin` */
  bool consider_pruned;       /* pruned trials count, with their last report */
  lm_cmaes_restart restart;   /* restart_strategy */
  lm_cmaes_points x0, source; /* at most one point; trials of another study. Copied */
} lm_cmaes_options;

void lm_cmaes_options_default(lm_cmaes_options *o);
/* What is no joint numerical parameter comes from `independent`, which it owns from then on. */
lm_sampler *lm_sampler_cmaes(const lm_allocator *a, const lm_cmaes_options *o, lm_sampler *independent);

/*
** The grid: for each name the values to try, internal ones. They are assigned
** without a distribution: whoever suggests the parameter checks that the
** distribution contains the value.
*/
typedef struct lm_grid_axis {
  const char *name;
  const double *values;
  size_t count;
} lm_grid_axis;
/* Copies the axes. The order of the points is shuffled by the study's seed. */
lm_sampler *lm_sampler_grid(const lm_allocator *a, const lm_grid_axis *axes, size_t count);

lm_sampler *lm_sampler_brute_force(const lm_allocator *a);

/* Chooses among the others. */
typedef struct lm_auto_options {
  bool quick; /* no Gaussian process: an ask takes less than a millisecond but for the first */
} lm_auto_options;

lm_sampler *lm_sampler_auto(const lm_allocator *a, const lm_auto_options *o);

/* What `auto` gives a trial: ASCII without quotes, constants. */
typedef struct lm_explanation {
  const char *name, *reason; /* of the sampler */
  bool early;                /* it draws at random until there is something to learn from */
} lm_explanation;

/* False: the sampler is not `auto`. */
bool lm_sampler_explain(lm_sampler *s, const lm_view *view, lm_explanation *out);

/* Fixes internal values by name; everything else comes from `base`, which it owns from then on. */
lm_sampler *lm_sampler_partial_fixed(const lm_allocator *a, lm_sampler *base, const char *const *names,
                                     const double *values, size_t count);

/*
** Copies of one sampler, `count` of them (at least 1), which it owns from then
** on: each view is given to one that had its scope before, where there is one.
*/
lm_sampler *lm_sampler_scoped(const lm_allocator *a, lm_sampler *const *copies, size_t count);
/* The one of its copies that answers for the view; any other sampler is itself. */
lm_sampler *lm_sampler_for(lm_sampler *s, const lm_view *view);

/* Defaults: 30, false. */
typedef struct lm_restart_options {
  int stagnation; /* complete and pruned trials in which nothing got better before `inner` begins anew */
  bool keep_best; /* it knows the best trial before (one objective) */
} lm_restart_options;

void lm_restart_options_default(lm_restart_options *o);
/* Owns `inner` from then on. */
lm_sampler *lm_sampler_restart(const lm_allocator *a, lm_sampler *inner, const lm_restart_options *o);

#endif
