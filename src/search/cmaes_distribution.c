#include "search/cmaes_distribution.h"

#include <math.h>
#include <string.h>

#include "math/eigen.h"
#include "math/elementary.h"
#include "math/normal.h"
#include "search/cmaes_internal.h"
#include "search/draw.h"

/* The cube is 1 wide: a wider distribution says nothing, a narrower one is below what doubles tell apart. */
#define WIDEST 1.0
#define NARROWEST 1e-14
#define CONDITION_LIMIT 1e14

/* Points outside of the cube are drawn anew this many times in all, before the last one is mirrored. */
enum { TRIES = 6 };

static double square(double x) { return x * x; }

size_t lm_cmaes_population(size_t dimension) {
  return 4 + (dimension ? (size_t)floor(3 * lm_log((double)dimension)) : 0);
}

/* --- constants --- */

/* Equations 49 and 53 of the tutorial; the sums of their positive and negative parts. */
static void raw_weights(lm_cmaes *c, double *effective_negative, double *positive, double *negative) {
  double sums[2] = {0}, squares[2] = {0};
  *positive = *negative = 0;
  for (size_t i = 0; i < c->population; i++) {
    double w = lm_log(((double)c->population + 1) / 2) - lm_log((double)i + 1);
    c->weights[i] = w;
    sums[i >= c->parents] += w;
    squares[i >= c->parents] += w * w;
    *(w > 0 ? positive : negative) += fabs(w);
  }
  c->mu_effective = square(sums[0]) / squares[0];
  *effective_negative = squares[1] > 0 ? square(sums[1]) / squares[1] : 0;
}

static void set_constants(lm_cmaes *c) {
  double n = (double)c->dimension, mu, negative_mu, positive, negative;
  raw_weights(c, &negative_mu, &positive, &negative);
  mu = c->mu_effective;
  double faster = c->separable ? (n + 2) / 3 : 1;
  c->c_one = fmin(faster * 2 / (square(n + 1.3) + mu), 0.5);
  c->c_mu = fmin(1 - c->c_one - 1e-8, faster * 2 * (mu - 2 + 1 / mu) / (square(n + 2) + mu));
  double strength = 1 + 2 * negative_mu / (mu + 2);
  if (c->c_mu > 0) {
    strength = fmin(strength, 1 + c->c_one / c->c_mu);
    strength = fmin(strength, (1 - c->c_one - c->c_mu) / (n * c->c_mu));
  }
  c->weight_sum = 0;
  for (size_t i = 0; i < c->population; i++) {
    c->weights[i] *= c->weights[i] > 0 ? 1 / positive : strength / negative;
    c->weight_sum += c->weights[i];
  }
  c->c_sigma = (mu + 2) / (n + mu + 5);
  c->d_sigma = 1 + 2 * fmax(0, sqrt((mu - 1) / (n + 1)) - 1) + c->c_sigma;
  c->c_path = (4 + mu / n) / (n + 4 + 2 * mu / n);
  c->chi = sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n * n));
  c->margin = 1 / (n * (double)c->population);
}

/* --- memory --- */

static size_t matrix_size(const lm_cmaes *c) { return c->separable ? c->dimension : c->dimension * c->dimension; }

static double *take(double **next, size_t count) {
  double *taken = *next;
  *next += count;
  return taken;
}

static void place(lm_cmaes *c) {
  size_t d = c->dimension, matrix = matrix_size(c), rates = c->adapts_rates;
  double *next = c->block;
  c->mean = take(&next, d);
  c->path_sigma = take(&next, d);
  c->path = take(&next, d);
  c->scale = take(&next, d);
  c->stretch = take(&next, d);
  c->covariance = take(&next, matrix);
  c->basis = take(&next, c->separable ? 0 : matrix);
  c->mean_trend = take(&next, rates * d);
  c->covariance_trend = take(&next, rates * matrix);
  c->state_size = (size_t)(next - c->block);
  c->weights = take(&next, c->population);
  c->steps = take(&next, c->population * d);
  c->step = take(&next, d);
  c->whitened = take(&next, d);
  c->work = take(&next, d);
  c->used_weights = take(&next, c->population);
  c->work_matrix = take(&next, matrix);
  c->old_mean = take(&next, rates * d);
  c->old_covariance = take(&next, rates * matrix);
}

static size_t block_size(const lm_cmaes *c) {
  size_t d = c->dimension, matrix = matrix_size(c), rates = c->adapts_rates;
  size_t state = 5 * d + matrix + (c->separable ? 0 : matrix) + rates * (d + matrix);
  return state + 2 * c->population + c->population * d + 3 * d + matrix + rates * (d + matrix);
}

lmopt_status lm_cmaes_init(lm_cmaes *c, const lm_allocator *a, const lm_cmaes_shape *shape) {
  double *block = c->block;
  size_t capacity = c->block_capacity;
  *c = (lm_cmaes){.allocator = a,
                  .dimension = shape->dimension,
                  .population = shape->population ? shape->population : lm_cmaes_population(shape->dimension),
                  .separable = shape->separable,
                  .adapts_rates = shape->adapts_rates,
                  .cells = shape->cells,
                  .block = block,
                  .block_capacity = capacity};
  if (c->population < 2) c->population = 2;
  c->parents = c->population / 2;
  if (!lm_grow(a, &c->block, &c->block_capacity, block_size(c), sizeof *c->block)) {
    lm_cmaes_free(c);
    return LMOPT_NO_MEMORY;
  }
  memset(c->block, 0, block_size(c) * sizeof *c->block);
  place(c);
  set_constants(c);
  return LMOPT_OK;
}

void lm_cmaes_free(lm_cmaes *c) {
  if (c->allocator) lm_free(c->allocator, c->block);
  *c = (lm_cmaes){0};
}

lmopt_status lm_cmaes_copy(lm_cmaes *to, const lm_cmaes *from, const lm_allocator *a) {
  double *block = to->block;
  size_t capacity = to->block_capacity;
  if (!lm_grow(a, &block, &capacity, block_size(from), sizeof *block)) {
    lm_cmaes_free(to);
    return LMOPT_NO_MEMORY;
  }
  *to = *from;
  to->allocator = a;
  to->block = block;
  to->block_capacity = capacity;
  place(to);
  memcpy(to->block, from->block, (from->state_size + from->population) * sizeof *block);
  return LMOPT_OK;
}

/* --- the covariance's axes --- */

/* Half of the covariance is kept up to date: copies it to the other half. */
static void mirror(size_t n, double *matrix) {
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < i; j++) matrix[j * n + i] = matrix[i * n + j];
  }
}

static void forget_shape(lm_cmaes *c) {
  size_t d = c->dimension;
  memset(c->covariance, 0, matrix_size(c) * sizeof(double));
  if (!c->separable) memset(c->basis, 0, d * d * sizeof(double));
  for (size_t i = 0; i < d; i++) {
    c->path[i] = c->path_sigma[i] = 0;
    c->scale[i] = 1;
    c->covariance[c->separable ? i : i * d + i] = 1;
    if (!c->separable) c->basis[i * d + i] = 1;
  }
}

static void decompose_separable(lm_cmaes *c) {
  double most = 0;
  for (size_t i = 0; i < c->dimension; i++) most = fmax(most, c->covariance[i]);
  if (!(most > 0 && most < INFINITY)) {
    forget_shape(c);
    return;
  }
  for (size_t i = 0; i < c->dimension; i++) {
    if (!(c->covariance[i] > most / CONDITION_LIMIT)) c->covariance[i] = most / CONDITION_LIMIT;
    c->scale[i] = sqrt(c->covariance[i]);
  }
}

void lm_cmaes_decompose(lm_cmaes *c) {
  size_t d = c->dimension;
  c->decomposed = c->generation;
  if (c->separable) {
    decompose_separable(c);
    return;
  }
  mirror(d, c->covariance);
  memcpy(c->work_matrix, c->covariance, d * d * sizeof(double));
  bool fine = lm_eigen_symmetric(d, c->work_matrix, c->scale, c->basis, c->work);
  double most = c->scale[d - 1];
  if (!fine || !(most > 0 && most < INFINITY)) {
    forget_shape(c);
    return;
  }
  double missing = most / CONDITION_LIMIT - c->scale[0];
  for (size_t i = 0; i < d && missing > 0; i++) {
    c->covariance[i * d + i] += missing;
    c->scale[i] += missing;
  }
  for (size_t i = 0; i < d; i++) c->scale[i] = sqrt(c->scale[i]);
}

double lm_cmaes_spread(const lm_cmaes *c, double *condition) {
  double most = 0, least = INFINITY;
  for (size_t i = 0; i < c->dimension; i++) {
    most = fmax(most, c->scale[i]);
    least = fmin(least, c->scale[i]);
  }
  if (condition) *condition = square(most / least);
  return c->sigma * most;
}

void lm_cmaes_whiten(const lm_cmaes *c, const double *step, double *whitened) {
  size_t d = c->dimension;
  if (c->separable) {
    for (size_t i = 0; i < d; i++) whitened[i] = step[i] / c->scale[i];
    return;
  }
  for (size_t i = 0; i < d; i++) {
    const double *axis = c->basis + i * d;
    double sum = 0;
    for (size_t k = 0; k < d; k++) sum += axis[k] * step[k];
    whitened[i] = sum / c->scale[i];
  }
}

void lm_cmaes_unwhiten(const lm_cmaes *c, bool scaled, const double *whitened, double *step) {
  size_t d = c->dimension;
  if (c->separable) {
    for (size_t i = 0; i < d; i++) step[i] = scaled ? whitened[i] * c->scale[i] : whitened[i];
    return;
  }
  memset(step, 0, d * sizeof *step);
  for (size_t i = 0; i < d; i++) {
    const double *axis = c->basis + i * d;
    double along = scaled ? whitened[i] * c->scale[i] : whitened[i];
    for (size_t k = 0; k < d; k++) step[k] += along * axis[k];
  }
}

/* --- start, sample --- */

void lm_cmaes_start(lm_cmaes *c, const double *mean, double sigma, const double *covariance) {
  size_t d = c->dimension;
  forget_shape(c);
  c->generation = 0;
  c->decay = square(1 - c->c_sigma);
  c->sigma = c->initial_sigma = sigma;
  for (size_t i = 0; i < d; i++) {
    c->mean[i] = fmin(fmax(mean[i], 0), 1);
    c->stretch[i] = 1;
  }
  for (size_t i = 0; covariance && i < d; i++) {
    if (c->separable) {
      c->covariance[i] = covariance[i * d + i];
    } else {
      memcpy(c->covariance + i * d, covariance + i * d, d * sizeof(double));
    }
  }
  if (c->adapts_rates) lm_cmaes_start_rates(c);
  lm_cmaes_decompose(c);
}

static double middle_of_cell(double x, double cells) {
  double cell = fmin(fmax(floor(x * cells), 0), cells - 1);
  return (cell + 0.5) / cells;
}

static double fold(double x) {
  x = fabs(x);
  x -= 2 * floor(x / 2);
  return x > 1 ? 2 - x : x;
}

static bool is_inside(size_t d, const double *x) {
  for (size_t i = 0; i < d; i++) {
    if (!(x[i] >= 0 && x[i] <= 1)) return false;
  }
  return true;
}

void lm_cmaes_sample(const lm_cmaes *c, lm_rng *rng, double *point, double *raw) {
  size_t d = c->dimension;
  for (int tries = 0; tries < TRIES; tries++) {
    lm_normal_draw_many(rng, c->work, d);
    lm_cmaes_unwhiten(c, true, c->work, raw);
    for (size_t i = 0; i < d; i++) raw[i] = c->mean[i] + c->sigma * raw[i];
    if (is_inside(d, raw)) break;
  }
  for (size_t i = 0; i < d; i++) {
    point[i] = fold(raw[i]);
    if (c->cells && c->cells[i] > 0)
      point[i] = middle_of_cell(fold((raw[i] - c->mean[i]) * c->stretch[i] + c->mean[i]), c->cells[i]);
  }
}

/* --- update --- */

static double norm(size_t n, const double *x) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i] * x[i];
  return sqrt(sum);
}

/*
** The steps from the mean in units of sigma, shortened where they are longer than Hansen's limit for injected ones;
** here it is one larger, since it holds for all points. Weights that are negative: divided by the squared length
** (equation 46), in `used_weights`.
*/
static void take_steps(lm_cmaes *c, const double *const *points) {
  size_t d = c->dimension;
  double n = (double)d, limit = sqrt(n) + 2 * n / (n + 2) + 1;
  for (size_t k = 0; k < c->population; k++) {
    double *y = c->steps + k * d;
    for (size_t i = 0; i < d; i++) y[i] = (points[k][i] - c->mean[i]) / c->sigma;
    lm_cmaes_whiten(c, y, c->whitened);
    double length = norm(d, c->whitened);
    if (length > limit) {
      for (size_t i = 0; i < d; i++) y[i] *= limit / length;
      length = limit;
    }
    double w = c->weights[k];
    c->used_weights[k] = w >= 0 ? w : w * n / (length * length + 1e-8);
  }
}

static void move_mean(lm_cmaes *c) {
  size_t d = c->dimension;
  memset(c->step, 0, d * sizeof(double));
  for (size_t k = 0; k < c->parents; k++) {
    const double *y = c->steps + k * d;
    for (size_t i = 0; i < d; i++) c->step[i] += c->weights[k] * y[i];
  }
  for (size_t i = 0; i < d; i++) c->mean[i] += c->sigma * c->step[i];
}

/* Equations 43 to 45. False: the path is so long that the covariance's must stall. */
static bool follow_paths(lm_cmaes *c) {
  size_t d = c->dimension;
  lm_cmaes_whiten(c, c->step, c->whitened);
  lm_cmaes_unwhiten(c, false, c->whitened, c->work);
  double keep = 1 - c->c_sigma, gain = sqrt(c->c_sigma * (2 - c->c_sigma) * c->mu_effective);
  for (size_t i = 0; i < d; i++) c->path_sigma[i] = keep * c->path_sigma[i] + gain * c->work[i];
  double length = norm(d, c->path_sigma);
  c->generation++;
  c->decay *= square(1 - c->c_sigma);
  bool steady = length / sqrt(1 - c->decay) < (1.4 + 2 / ((double)d + 1)) * c->chi;
  c->sigma *= lm_exp(fmin(1, c->c_sigma / c->d_sigma * (length / c->chi - 1)));
  gain = steady ? sqrt(c->c_path * (2 - c->c_path) * c->mu_effective) : 0;
  for (size_t i = 0; i < d; i++) c->path[i] = (1 - c->c_path) * c->path[i] + gain * c->step[i];
  return steady;
}

static void adapt_row(const lm_cmaes *c, double keep, size_t from, size_t to, double *row) {
  /* entries from .. to of row `to`; separable: the one entry `to` */
  size_t d = c->dimension, count = to - from + 1;
  double along = c->c_one * c->path[to];
  for (size_t j = 0; j < count; j++) row[j] = keep * row[j] + along * c->path[from + j];
  for (size_t k = 0; k < c->population; k++) {
    const double *y = c->steps + k * d;
    double factor = c->c_mu * c->used_weights[k] * y[to];
    for (size_t j = 0; j < count; j++) row[j] += factor * y[from + j];
  }
}

/* Equation 47. */
static void adapt_covariance(lm_cmaes *c, bool steady) {
  size_t d = c->dimension;
  double lost = steady ? 0 : c->c_path * (2 - c->c_path);
  double keep = 1 + c->c_one * lost - c->c_one - c->c_mu * c->weight_sum;
  for (size_t i = 0; i < d; i++) {
    if (c->separable) {
      adapt_row(c, keep, i, i, c->covariance + i);
    } else {
      adapt_row(c, keep, 0, i, c->covariance + i * d);
    }
  }
}

static void keep_sound(lm_cmaes *c) {
  bool sound = c->sigma > 0 && c->sigma < INFINITY;
  for (size_t i = 0; i < c->dimension; i++) {
    if (c->mean[i] != c->mean[i]) c->mean[i] = 0.5, sound = false;
    if (!(fabs(c->path_sigma[i]) < INFINITY && fabs(c->path[i]) < INFINITY)) sound = false;
  }
  if (!sound) {
    forget_shape(c);
    c->sigma = c->initial_sigma;
  }
  double spread = lm_cmaes_spread(c, NULL);
  if (spread > WIDEST) c->sigma *= WIDEST / spread;
  if (spread < NARROWEST) c->sigma *= NARROWEST / spread;
}

void lm_cmaes_update(lm_cmaes *c, const double *const *points) {
  if (c->adapts_rates) lm_cmaes_keep_old(c);
  take_steps(c, points);
  move_mean(c);
  bool steady = follow_paths(c);
  adapt_covariance(c, steady);
  if (c->adapts_rates) lm_cmaes_adapt_rates(c);
  double rate = (c->c_one + c->c_mu) * (double)c->dimension * 10;
  if (!c->adapts_rates && (double)(c->generation - c->decomposed) * rate >= 1) lm_cmaes_decompose(c);
  keep_sound(c);
  if (c->cells) lm_cmaes_correct_margin(c);
}
