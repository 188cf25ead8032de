/*
** Subsets and orders in the search of the Gaussian process sampler. The model
** sees a subset item by item, so its kernel is one of the weighted Hamming
** distance, and an order by the positions of its items. The search draws
** allowed values, and goes on by flips and swaps that stay allowed.
*/
#ifndef LM_GP_STRUCTURED_H
#define LM_GP_STRUCTURED_H

#include "search/gp_space.h"
#include "search/structured.h"

typedef struct lm_gp_structure {
  const lm_part *part;
  size_t first, count; /* of its axes in lm_gp_structures.axes */
} lm_gp_structure;

typedef struct lm_gp_structures {
  const lm_allocator *allocator;
  lm_gp_structure *items;
  size_t count;
  size_t *axes; /* variable by variable */
  double *values;
  bool *kept;
} lm_gp_structures;

/* Those of a space; after NO_MEMORY there are none. */
lmopt_status lm_gp_structures_init(lm_gp_structures *s, const lm_gp_space *space);
void lm_gp_structures_free(lm_gp_structures *s);

/* Draws an allowed value for each of them into a latent point. */
void lm_gp_structures_draw(const lm_gp_structures *s, const lm_gp_space *space, lm_rng *rng, double *latent);

/* Makes their values in a latent point allowed ones, those next to them. */
void lm_gp_structures_repair(const lm_gp_structures *s, const lm_gp_space *space, lm_rng *rng, double *latent);

/* May the `index`-th item be flipped? Its axis is *axis. */
bool lm_gp_structure_flip(const lm_gp_structures *s, const lm_gp_structure *x, const double *latent, size_t index,
                          size_t *axis);

#endif
