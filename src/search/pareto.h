/*
** Several objectives: domination, ranks, hypervolume, subset selection, and
** the best trials of a study. Everything here minimizes.
**
** Ranks: K. Deb et al., "A fast and elitist multiobjective genetic algorithm:
** NSGA-II", IEEE TEC 6 (2002). Hypervolume in four and more dimensions: L. While,
** L. Bradstreet, L. Barone, "A fast way of calculating exact hypervolumes", IEEE
** TEC 16 (2012). Greedy selection: A. P. Guerreiro, C. M. Fonseca, L. Paquete,
** "Greedy hypervolume subset selection in low dimensions", Evol. Comput. 24 (2016).
*/
#ifndef LM_PARETO_H
#define LM_PARETO_H

#include "search/trials.h"

/* a is nowhere worse than b and somewhere better; not-a-number is worst. */
bool lm_pareto_dominates(const double *a, const double *b, size_t objectives);

/* Equal in every objective. */
bool lm_pareto_same(const double *a, const double *b, size_t objectives);

/* `items` becomes 0 .. count - 1 in the lexicographic order of the points, equal ones by index. */
void lm_pareto_sort(const double *points, size_t objectives, size_t *items, size_t count);

/*
** Non-domination ranks (0 best; equal points share one) of count x objectives
** `points`. Stops once `needed` points have a rank: the others get SIZE_MAX.
*/
lmopt_status lm_pareto_ranks(const lm_allocator *a, const double *points, size_t count, size_t objectives,
                             size_t needed, size_t *ranks);

/* The volume that the points dominate below `reference`; infinite when a coordinate of a point inside is -inf. */
lmopt_status lm_pareto_hypervolume(const lm_allocator *a, const double *points, size_t count, size_t objectives,
                                   const double *reference, double *volume);

/*
** Greedy choice of `wanted` (at most count) points of large joint hypervolume;
** `selected` gets their indices in the order of choice. Copies of a point
** come in only when the distinct ones are used up, in index order.
*/
lmopt_status lm_pareto_select(const lm_allocator *a, const double *points, size_t count, size_t objectives,
                              const double *reference, size_t wanted, size_t *selected);

/* The best feasible COMPLETE row of one objective, the lowest number on ties; -1: none. `view` may be NULL: all rows. */
long long lm_trials_best(const lm_trials *t, const lm_view *view);

/* The same of all rows, remembered between calls: after one more trial it costs nothing. */
long long lm_trials_leader(lm_trials *t);

/* The feasible COMPLETE rows that no other dominates, in number order; *rows is the caller's to lm_free. Remembered, too. */
lmopt_status lm_trials_front(lm_trials *t, size_t **rows, size_t *count);
/* How many they are, of several objectives. */
lmopt_status lm_trials_front_count(lm_trials *t, size_t *count);

#endif
