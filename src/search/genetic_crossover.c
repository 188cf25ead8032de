/*
** Crossover and mutation of numbers.
**
** Uniform: G. Syswerda, ICGA 1989. BLX-alpha: L. Eshelman and J. Schaffer,
** "Real-coded genetic algorithms and interval-schemata" (1993). SPX: S. Tsutsui,
** M. Yamamura, T. Higuchi, "Multi-parent recombination with simplex crossover in
** real coded genetic algorithms", GECCO 1999. SBX and polynomial mutation: K. Deb
** and R. Agrawal, Complex Systems 9 (1995), in the form that respects bounds of
** Deb's NSGA-II program. vSBX: P. Ballester and J. Carter, "An effective
** real-parameter genetic algorithm with parent centric normal crossover for
** multimodal optimisation", GECCO 2004. UNDX: H. Kita, I. Ono, S. Kobayashi,
** "Multi-parental extension of the unimodal normal distribution crossover for
** real-coded genetic algorithms", CEC 1999.
**
** Two places where Optuna differs from the papers are not followed: UNDX takes
** its sigmas for standard deviations, not their squares; vSBX uses one spread for
** both parents, so that moving them moves the child alike.
*/
#include <math.h>

#include "math/elementary.h"
#include "math/normal.h"
#include "search/genetic.h"

static double power(double x, double y) { return x > 0 ? lm_exp(y * lm_log(x)) : 0; }

static double draw_normal(lm_rng *rng) { return lm_normal_quantile(lm_rng_uniform(rng) + 0x1p-54); }

size_t lm_crossover_parents(const lm_crossover *c) {
  return c->kind == LM_CROSSOVER_SPX || c->kind == LM_CROSSOVER_UNDX ? 3 : 2;
}

static void cross_uniform(const lm_crossover *c, const double *const *parents, size_t dimensions, lm_rng *rng,
                          double *child) {
  for (size_t i = 0; i < dimensions; i++) child[i] = parents[lm_rng_uniform(rng) < c->swapping_prob][i];
}

static void cross_blx_alpha(const lm_crossover *c, const double *const *parents, size_t dimensions, lm_rng *rng,
                            double *child) {
  for (size_t i = 0; i < dimensions; i++) {
    double least = fmin(parents[0][i], parents[1][i]), most = fmax(parents[0][i], parents[1][i]);
    double margin = c->alpha * (most - least);
    child[i] = least - margin + (most - least + 2 * margin) * lm_rng_uniform(rng);
  }
}

/* Uniform in the simplex of the parents, enlarged by epsilon about its centre. */
static void cross_spx(const lm_crossover *c, const double *const *parents, size_t dimensions, lm_rng *rng,
                      double *child) {
  double epsilon = isnan(c->epsilon) ? sqrt((double)dimensions + 2) : c->epsilon;
  double first = lm_rng_uniform(rng), second = sqrt(lm_rng_uniform(rng));
  for (size_t i = 0; i < dimensions; i++) {
    double centre = (parents[0][i] + parents[1][i] + parents[2][i]) / 3, corners[3];
    for (size_t k = 0; k < 3; k++) corners[k] = centre + epsilon * (parents[k][i] - centre);
    child[i] = corners[2] + second * (corners[1] - corners[2] + first * (corners[0] - corners[1]));
  }
}

/* SBX and vSBX make two children gene by gene; one of them is kept, and a gene of it may be a parent's. */
typedef struct pair {
  double first, second;
} pair;

static double choose_gene(const lm_crossover *c, pair crossed, pair parents, bool second, lm_rng *rng) {
  pair genes = lm_rng_uniform(rng) < c->use_child_gene_prob ? crossed : parents;
  bool swapped = lm_rng_uniform(rng) < c->uniform_crossover_prob;
  return swapped != second ? genes.second : genes.first;
}

/* How far a child lies from the parents' middle, in halves of their distance; `room` is how far the bound does. */
static double bounded_spread(double u, double room, double eta) {
  double alpha = 2 - power(room, -(eta + 1));
  return u <= 1 / alpha ? power(u * alpha, 1 / (eta + 1)) : power(1 / (2 - u * alpha), 1 / (eta + 1));
}

static pair simulate_binary(double x, double y, double low, double high, double eta, double u) {
  double least = fmin(x, y), most = fmax(x, y), gap = fmax(most - least, 1e-10);
  double down = bounded_spread(u, 1 + 2 * (least - low) / gap, eta);
  double up = bounded_spread(u, 1 + 2 * (high - most) / gap, eta);
  return (pair){0.5 * (least + most - down * gap), 0.5 * (least + most + up * gap)};
}

/* The children stay near one parent each time, so that the spread does not shrink. */
static pair simulate_binary_varied(double x, double y, double eta, double u) {
  bool near_first = u <= 0.5;
  double beta = power(1 / fmax(2 * (near_first ? u : 1 - u), 1e-10), 1 / (eta + 1));
  double near = near_first ? x : y, far = near_first ? y : x;
  return (pair){0.5 * ((1 + beta) * near + (1 - beta) * far), 0.5 * ((3 - beta) * near - (1 - beta) * far)};
}

static void cross_binary(const lm_crossover *c, const double *const *parents, size_t dimensions, const double *low,
                         const double *high, bool several, lm_rng *rng, double *child) {
  double eta = !isnan(c->eta) ? c->eta : several ? 20 : 2;
  bool second = lm_rng_uniform(rng) < 0.5;
  for (size_t i = 0; i < dimensions; i++) {
    double x = parents[0][i], y = parents[1][i], u = lm_rng_uniform(rng);
    pair crossed = c->kind == LM_CROSSOVER_SBX ? simulate_binary(x, y, low[i], high[i], eta, u)
                                               : simulate_binary_varied(x, y, eta, u);
    child[i] = choose_gene(c, crossed, (pair){x, y}, second, rng);
  }
}

/*
** A normal cloud about the middle of two parents: along their line, and across
** it as wide as the third is far away. Across: a normal vector without its
** part along the line, which is the same in any basis.
*/
static void cross_undx(const lm_crossover *c, const double *const *parents, size_t dimensions, lm_rng *rng,
                       double *child) {
  const double *x = parents[0], *y = parents[1], *z = parents[2];
  double sigma = isnan(c->sigma_eta) ? 0.35 / sqrt((double)dimensions) : c->sigma_eta;
  double length = 0, along_third = 0, third = 0, along_noise = 0;
  for (size_t i = 0; i < dimensions; i++) {
    child[i] = draw_normal(rng) * sigma;
    length += (y[i] - x[i]) * (y[i] - x[i]);
    along_third += (z[i] - x[i]) * (y[i] - x[i]);
    third += (z[i] - x[i]) * (z[i] - x[i]);
    along_noise += child[i] * (y[i] - x[i]);
  }
  double scale = length > 0 ? 1 / length : 0; /* equal parents: no line, all directions are across */
  double distance = sqrt(fmax(third - along_third * along_third * scale, 0));
  double xi = draw_normal(rng) * c->sigma_xi;
  for (size_t i = 0; i < dimensions; i++) {
    double across = dimensions > 1 ? child[i] - along_noise * scale * (y[i] - x[i]) : 0;
    child[i] = (x[i] + y[i]) / 2 + xi * (x[i] - y[i]) + distance * across;
  }
}

void lm_crossover_apply(const lm_crossover *c, const double *const *parents, size_t dimensions, const double *low,
                        const double *high, bool several, lm_rng *rng, double *child) {
  switch (c->kind) {
    case LM_CROSSOVER_UNIFORM: cross_uniform(c, parents, dimensions, rng, child); break;
    case LM_CROSSOVER_BLX_ALPHA: cross_blx_alpha(c, parents, dimensions, rng, child); break;
    case LM_CROSSOVER_SPX: cross_spx(c, parents, dimensions, rng, child); break;
    case LM_CROSSOVER_SBX:
    case LM_CROSSOVER_VSBX: cross_binary(c, parents, dimensions, low, high, several, rng, child); break;
    case LM_CROSSOVER_UNDX: cross_undx(c, parents, dimensions, rng, child); break;
  }
}

double lm_mutation_polynomial(double x, double low, double high, double eta, lm_rng *rng) {
  double u = lm_rng_uniform(rng), width = high - low;
  if (!(width > 0)) return x;
  double room = u <= 0.5 ? (x - low) / width : (high - x) / width;
  double tail = u <= 0.5 ? u : 1 - u;
  double kept = power(1 - room, eta + 1);
  double moved = 1 - power(2 * tail + (1 - 2 * tail) * kept, 1 / (eta + 1));
  double mutated = u <= 0.5 ? x - moved * width : x + moved * width;
  return fmin(fmax(mutated, low), high);
}
