/*
** What pruners share: when they look, what a report is worth, and how many of
** the others did better.
**
** One value is compared as it is. Vectors are compared as NSGA-II compares
** them (K. Deb et al., IEEE TEC 6, 2002): first the level of non-domination, then
** the crowding distance within the level. The trial itself is represented by
** the best of what it has reported so far.
*/
#ifndef LM_PRUNER_RANK_H
#define LM_PRUNER_RANK_H

#include "search/trials.h"

/* Is the last report (there is one) the first at or after a step at which the pruner looks? */
bool lm_pruner_due(const lm_row *row, long long n_warmup_steps, long long interval_steps);

/* The index of the first report at `step` or later; report_count when there is none. */
size_t lm_pruner_report_from(const lm_row *row, long long step);

/* The loss of a report: smaller is better. */
double lm_pruner_loss(const lm_trials *t, const lm_row *row, size_t report, size_t objective);

/* All values of a report as losses; false when one of them is not a number. */
bool lm_pruner_losses(const lm_trials *t, const lm_row *row, size_t report, double *losses);

/*
** How many of `count` vectors are better than the best of `own_count` (at least
** 1) of the trial's: none of them has a NaN.
*/
lmopt_status lm_pruner_better(const lm_allocator *a, const double *points, size_t count, const double *own,
                              size_t own_count, size_t objectives, size_t *better);

/* The first complete row with a report that a view shows, -1: none. Rows below *looked have none, which is kept there. */
long long lm_pruner_first_reporter(const lm_view *view, size_t *looked);

#endif
