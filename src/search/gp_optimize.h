/*
** The search for the point of the largest acquisition over a mixed, perhaps
** conditional space: many even points, and some around the incumbents; then a
** local search from the best of either and from the incumbents, which
** alternates between gradients over what is continuous and trying values of
** what is not. Scheme and constants are those of Optuna 5; the points around
** incumbents are not: where few trials are better than most of the space, what
** is worth trying lies on narrow ridges near them that even points miss (M.
** Balandat et al., "BoTorch: a framework for efficient Monte-Carlo Bayesian
** optimization", NeurIPS 33, 2020, start half of their searches there).
*/
#ifndef LM_GP_OPTIMIZE_H
#define LM_GP_OPTIMIZE_H

#include "base/rng.h"
#include "search/gp_acquisition.h"
#include "search/gp_space.h"

typedef struct lm_gp_search {
  const lm_gp_space *space;
  const lm_view *view; /* whose hard constraints no point may break, and whose trials none may repeat; NULL: none */
  const lm_gp_acquisition *acquisition;
  const double *weights;    /* per input: inverse squared length scales, by which steps are scaled; NULL: all one */
  const double *incumbents; /* good latent points, one after the other: the search also begins around them */
  size_t incumbent_count;
  size_t incumbent_starts; /* and at so many of them, the first ones */
  size_t preliminary;      /* even points; 0: 2048 */
  size_t starts;           /* local searches from them and from points around incumbents; 0: 9 */
} lm_gp_search;

/* The best point found, latent; *value is what it is worth, -INFINITY when no point is allowed. Draws from `rng`. */
lmopt_status lm_gp_maximize(const lm_gp_search *search, lm_rng *rng, double *latent, double *value);

/* The joint parameters that a latent point stands for. */
lmopt_status lm_gp_assign(const lm_gp_space *space, const double *latent, lm_assignments *out);
/* Is it all right with the hard constraints, as far as they can tell? `scratch` has room for all axes. */
bool lm_gp_allowed(const lm_gp_space *space, const lm_view *view, const double *latent, lm_assignment *scratch);

/* `count` latent points that fill the space evenly, fixed axes where they are fixed; grids and categories are met. */
lmopt_status lm_gp_draw_points(const lm_gp_space *space, lm_rng *rng, size_t count, double *points);

#endif
