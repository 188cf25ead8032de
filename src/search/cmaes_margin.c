/*
** The margin of R. Hamano, S. Saito, M. Nomura and S. Shirakawa, "CMA-ES with
** margin: lower-bounding marginal probability for mixed-integer black-box
** optimization", GECCO 2022 (arXiv:2205.13482): along an axis of cells the next
** cell on either side keeps a probability of at least margin / 2, without
** changing the covariance.
*/
#include <math.h>

#include "math/normal.h"
#include "search/cmaes_internal.h"

/* The mean is in the first or the last cell, or beyond: the probability of leaving it is at least the margin. */
static void correct_edge(lm_cmaes *c, size_t axis, double limit, double deviation) {
  double away = fabs(c->mean[axis] - limit), farthest = -lm_normal_quantile(c->margin) * deviation;
  if (away > farthest) c->mean[axis] = limit + (c->mean[axis] > limit ? farthest : -farthest);
}

/* In a cell between two others: mean and stretch that give `below` and `above` their probabilities. */
static void correct_inside(lm_cmaes *c, size_t axis, const double limits[2], const double outside[2]) {
  double half = c->margin / 2, middle = 1 - outside[0] - outside[1];
  double below = fmax(outside[0], half), above = fmax(outside[1], half);
  double excess = 1 - below - above - middle, share = below + middle + above - 3 * half;
  below += excess * (below - half) / share;
  above += excess * (above - half) / share;
  double to_lower = -lm_normal_quantile(fmin(fmax(below, 1e-10), 0.5 - 1e-10));
  double to_upper = -lm_normal_quantile(fmin(fmax(above, 1e-10), 0.5 - 1e-10));
  double variance = c->covariance[c->separable ? axis : axis * c->dimension + axis];
  c->stretch[axis] = (limits[1] - limits[0]) / ((to_lower + to_upper) * c->sigma * sqrt(variance));
  c->mean[axis] = (limits[0] * to_upper + limits[1] * to_lower) / (to_lower + to_upper);
}

void lm_cmaes_correct_margin(lm_cmaes *c) {
  for (size_t i = 0; i < c->dimension; i++) {
    double cells = c->cells[i];
    if (!(cells > 1)) continue;
    double variance = c->covariance[c->separable ? i : i * c->dimension + i];
    double deviation = c->sigma * c->stretch[i] * sqrt(variance);
    double cell = fmin(fmax(floor(c->mean[i] * cells), 0), cells - 1);
    double limits[2] = {fmax(cell, 1) / cells, fmin(cell + 1, cells - 1) / cells};
    double outside[2] = {lm_normal_cdf((limits[0] - c->mean[i]) / deviation),
                         lm_normal_cdf((c->mean[i] - limits[1]) / deviation)};
    if (fmax(outside[0], outside[1]) > 0.5) {
      correct_edge(c, i, limits[1], deviation);
    } else {
      correct_inside(c, i, limits, outside);
    }
    if (!(c->stretch[i] > 0 && c->stretch[i] < INFINITY)) c->stretch[i] = 1;
  }
}
