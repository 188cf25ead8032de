/*
** Pruners: should the trial that reported so far go on? A pure function of
** the view (finished trials up to the horizon) and of the trial's own reports.
*/
#ifndef LM_PRUNER_H
#define LM_PRUNER_H

#include "search/trials.h"

typedef struct lm_pruner lm_pruner;

typedef struct lm_pruner_class {
  const char *name;
  bool (*prune)(lm_pruner *p, const lm_view *view); /* of trial view->number */
  void (*free)(lm_pruner *p);
} lm_pruner_class;

struct lm_pruner {
  const lm_pruner_class *class;
  const lm_allocator *allocator;
};

void lm_pruner_free(lm_pruner *p); /* NULL is a no-op */

lm_pruner *lm_pruner_none(const lm_allocator *a);

/* Optuna's median pruner: defaults 5, 0, 1, 1. */
typedef struct lm_median_options {
  int n_startup_trials, n_warmup_steps, interval_steps, n_min_trials;
} lm_median_options;

void lm_median_options_default(lm_median_options *o);
lm_pruner *lm_pruner_median(const lm_allocator *a, const lm_median_options *o);

#endif
