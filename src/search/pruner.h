/*
** Pruners: should the trial that reported so far go on? A pure function of
** the view (finished trials up to the horizon) and of the trial's own reports.
**
** One file per pruner, the paper it follows at the top. Options and defaults
** are Optuna's. With several objectives a report is a vector: pruner_rank.h says
** how vectors are ranked.
*/
#ifndef LM_PRUNER_H
#define LM_PRUNER_H

#include "search/trials.h"

typedef struct lm_pruner lm_pruner;

typedef struct lm_pruner_class {
  const char *name;
  bool (*prune)(lm_pruner *p, const lm_view *view); /* of trial view->number */
  void (*free)(lm_pruner *p);
  /*
  ** Which trials the sampler of trial view->number learns from, and the pruner
  ** compares it with; NULL: all. What is in a scope follows from the view.
  */
  lm_view_scope (*scope)(lm_pruner *p, const lm_view *view);
} lm_pruner_class;

struct lm_pruner {
  const lm_pruner_class *class;
  const lm_allocator *allocator;
};

void lm_pruner_free(lm_pruner *p); /* NULL is a no-op */

lm_pruner *lm_pruner_none(const lm_allocator *a);

/* Defaults: 5, 0, 1, 1, 50 (the median). */
typedef struct lm_percentile_options {
  int n_startup_trials, n_warmup_steps, interval_steps, n_min_trials;
  double percentile; /* 0 .. 100: how much of the good side is kept */
} lm_percentile_options;

void lm_percentile_options_default(lm_percentile_options *o);
lm_pruner *lm_pruner_percentile(const lm_allocator *a, const lm_percentile_options *o);

/* Defaults: 0, 4, 0, 0. */
typedef struct lm_halving_options {
  long long min_resource; /* 0: a hundredth of the last step of the first complete trial that reported */
  int reduction_factor;   /* at least 2 */
  int min_early_stopping_rate;
  int bootstrap_count;
} lm_halving_options;

void lm_halving_options_default(lm_halving_options *o);
lm_pruner *lm_pruner_successive_halving(const lm_allocator *a, const lm_halving_options *o);

/* Defaults: 1, 0, 3, 0. */
typedef struct lm_hyperband_options {
  long long min_resource;
  long long max_resource; /* 0: one more than the last step of the first complete trial that reported */
  int reduction_factor;   /* at least 2 */
  int bootstrap_count;
} lm_hyperband_options;

void lm_hyperband_options_default(lm_hyperband_options *o);
/* The study's name decides, with the trial's number, which bracket a trial is in. */
lm_pruner *lm_pruner_hyperband(const lm_allocator *a, const lm_hyperband_options *o, const char *study_name);

/*
** Brackets, as far as the view knows them: 1 while it does not. The bracket of a trial.
*/
size_t lm_hyperband_brackets(lm_pruner *base, const lm_view *view);
size_t lm_hyperband_bracket(lm_pruner *base, const lm_view *view, long long number);

/*
** `wrapped` may be NULL; it is the new pruner's from then on, unless that is NULL.
** min_delta: one per objective, or NULL: 0; copied.
*/
lm_pruner *lm_pruner_patient(const lm_allocator *a, lm_pruner *wrapped, int patience, const double *min_delta,
                             size_t objectives);

typedef struct lm_threshold_options {
  const double *lower, *upper; /* one per objective; copied */
  size_t objectives;
  int n_warmup_steps, interval_steps;
} lm_threshold_options;

lm_pruner *lm_pruner_threshold(const lm_allocator *a, const lm_threshold_options *o);

/* Optuna's defaults: 0.1 and 2. With several objectives nothing is pruned. */
lm_pruner *lm_pruner_wilcoxon(const lm_allocator *a, double p_threshold, int n_startup_steps);

/*
** The one-sided p value of Wilcoxon's signed-rank test that differences tend
** to be above 0; zeros are split (half of their ranks count as positive). As
** scipy's default: exact up to 50 differences without ties or zeros, or 13 with
** them, else the normal approximation. NaN: no memory.
*/
double lm_wilcoxon_greater(const lm_allocator *a, const double *differences, size_t count);

#endif
