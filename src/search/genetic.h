/*
** What the genetic samplers share: generations, survival, children.
**
** A generation is no state that a trial would have to be tagged with: the
** COMPLETE rows of a view, in number order, are cut into populations of
** `size`. The parents of the next generation are those that survive among the
** last population and its own parents. So what a trial suggests is a function
** of its view alone; with one trial at a time it is what other NSGA-II have,
** with several no result is lost that came late, and trials of any origin count.
*/
#ifndef LM_GENETIC_H
#define LM_GENETIC_H

#include "base/rng.h"
#include "search/sampler.h"

/* A parent: its row, its front (0 the best) and how lonely it is there. */
typedef struct lm_member {
  size_t row, rank;
  double crowding;
} lm_member;

/* A parameter that some parent has; its distribution is that of the newest one. */
typedef struct lm_gene {
  lm_column *column;
  const lm_distribution *distribution;
} lm_gene;

enum { LM_GENERATIONS_KEPT = 4 };

typedef struct lm_generation {
  size_t next;   /* the first row that is not in it or before it */
  size_t number; /* 0: no parents yet */
  lm_member *parents;
} lm_generation;

typedef struct lm_genetic lm_genetic;

/* Picks `size` survivors out of `count` rows (as many or more); `generation` is the one they are the parents of. */
typedef lmopt_status (*lm_survival)(lm_genetic *g, const lm_view *view, size_t generation, const size_t *rows,
                                    size_t count, lm_member *survivors);

/* The sampler: options, and what was computed from the rows so far. */
struct lm_genetic {
  lm_sampler base;
  lm_genetic_options options;
  lm_survival survival;
  size_t size;
  double *reference_points; /* nsga3, owned; NULL until the first selection when they are the default ones */
  size_t reference_count, reference_objectives;
  /* The cache. */
  const lm_trials *trials;
  double birth;
  unsigned long long edits;
  bool arrival;
  uint64_t seed, scope; /* scope: its id */
  long long horizon;
  size_t seen;                                      /* rows below were looked at */
  lm_generation kept[LM_GENERATIONS_KEPT];          /* the latest ones; `number` modulo their count is the place */
  size_t generation;                                /* the current one's number */
  size_t *population, population_count;             /* COMPLETE rows after it */
  size_t *pending, pending_count, pending_capacity; /* rows below `seen` that may still become COMPLETE */
  lm_gene *genes;                                   /* of the current parents, by name */
  size_t gene_count, gene_capacity;
  size_t gene_generation; /* whose they are; 0: nobody's */
  double *work;
  size_t *places;
  size_t work_capacity, place_capacity;
};

/* --- genetic_generations.c --- */

/* Brings the generations up to the view. LMOPT_NO_MEMORY leaves an empty cache. */
lmopt_status lm_genetic_update(lm_genetic *g, const lm_view *view);
void lm_genetic_forget(lm_genetic *g);
void lm_genetic_free(lm_genetic *g);
/* The parents that the view's trial has; NULL in generation 0. */
const lm_member *lm_genetic_parents(const lm_genetic *g);

/* --- genetic_survival.c --- */

/* Fronts by constrained domination (K. Deb et al. 2002, section VI): infeasible rows follow, by violation. */
lmopt_status lm_genetic_ranks(const lm_allocator *a, const lm_trials *t, const size_t *rows, size_t count,
                              size_t *ranks);
/* Crowding distances of `count` rows of one front. */
lmopt_status lm_genetic_crowding(const lm_allocator *a, const lm_trials *t, const size_t *rows, size_t count,
                                 double *distances);
lmopt_status lm_genetic_survive_crowding(lm_genetic *g, const lm_view *view, size_t generation, const size_t *rows,
                                         size_t count, lm_member *survivors);

/* --- genetic_niche.c --- */

/* The points of Das and Dennis: all ways to give `divisions` to `objectives`. *points is the caller's to lm_free. */
lmopt_status lm_genetic_reference_points(const lm_allocator *a, size_t objectives, size_t divisions, double **points,
                                         size_t *count);
lmopt_status lm_genetic_survive_niches(lm_genetic *g, const lm_view *view, size_t generation, const size_t *rows,
                                       size_t count, lm_member *survivors);

/* --- genetic_crossover.c --- */

/*
** A child of lm_crossover_parents(c) parents in `dimensions` numbers, each
** between low and high; the child may be outside. `several`: more than one objective.
*/
void lm_crossover_apply(const lm_crossover *c, const double *const *parents, size_t dimensions, const double *low,
                        const double *high, bool several, lm_rng *rng, double *child);

/* Polynomial mutation of x in [low, high] with distribution index eta. */
double lm_mutation_polynomial(double x, double low, double high, double eta, lm_rng *rng);

/* --- genetic_child.c --- */

/* Adds a child's joint parameters: none in generation 0. */
lmopt_status lm_genetic_child(lm_genetic *g, const lm_view *view, lm_rng *rng, lm_assignments *out);

#endif
