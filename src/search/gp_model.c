#include "search/gp_model.h"

#include <math.h>
#include <string.h>

#include "math/dense.h"
#include "math/elementary.h"
#include "math/vector.h"

/* --- memory --- */

lmopt_status lm_gp_init(lm_gp_model *m, const lm_allocator *a, size_t dims, const bool *category) {
  *m = (lm_gp_model){.allocator = a, .dims = dims};
  m->category = lm_alloc_zeroed(a, dims + 1);
  m->parameters = lm_alloc(a, (dims + 2) * sizeof *m->parameters);
  if (!m->category || !m->parameters) {
    lm_gp_free(m);
    return LMOPT_NO_MEMORY;
  }
  if (dims) memcpy(m->category, category, dims * sizeof *category);
  for (size_t j = 0; j <= dims; j++) m->parameters[j] = 1;
  LM_GP_NOISE(m) = LM_GP_LEAST_NOISE;
  return LMOPT_OK;
}

static void free_points(lm_gp_model *m) {
  lm_free(m->allocator, m->x);
  lm_free(m->allocator, m->targets);
  lm_free(m->allocator, m->factor);
  lm_free(m->allocator, m->inverse);
  lm_free(m->allocator, m->alpha);
  lm_free(m->allocator, m->work);
}

void lm_gp_free(lm_gp_model *m) {
  if (!m->allocator) return;
  free_points(m);
  lm_free(m->allocator, m->category);
  lm_free(m->allocator, m->parameters);
  lm_free(m->allocator, m->scratch);
  *m = (lm_gp_model){0};
}

double *lm_gp_scratch(lm_gp_model *m, size_t count) {
  return lm_grow(m->allocator, &m->scratch, &m->scratch_size, count, sizeof *m->scratch) ? m->scratch : NULL;
}

/* Arrays for `capacity` points; what the model has is copied when `keep`. */
static lmopt_status reserve(lm_gp_model *m, size_t capacity, bool keep) {
  if (capacity <= m->capacity) return LMOPT_OK;
  capacity = (capacity + 15) & ~(size_t)7; /* rows begin at multiples of a cache line, and a few more fit */
  const lm_allocator *a = m->allocator;
  lm_gp_model fresh = *m;
  fresh.capacity = capacity;
  fresh.x = lm_alloc(a, (m->dims + 1) * capacity * sizeof *fresh.x);
  fresh.targets = lm_alloc(a, capacity * sizeof *fresh.targets);
  fresh.factor = lm_alloc(a, capacity * capacity * sizeof *fresh.factor);
  fresh.inverse = lm_alloc(a, capacity * capacity * sizeof *fresh.inverse);
  fresh.alpha = lm_alloc(a, capacity * sizeof *fresh.alpha);
  fresh.work = lm_alloc(a, LM_GP_WORK * capacity * sizeof *fresh.work);
  if (!fresh.x || !fresh.targets || !fresh.factor || !fresh.inverse || !fresh.alpha || !fresh.work) {
    free_points(&fresh);
    return LMOPT_NO_MEMORY;
  }
  size_t row = m->count * sizeof(double);
  if (keep && row) {
    for (size_t j = 0; j < m->dims; j++) memcpy(fresh.x + j * capacity, m->x + j * m->capacity, row);
    for (size_t i = 0; i < m->count; i++) {
      memcpy(fresh.factor + i * capacity, m->factor + i * m->capacity, row);
      memcpy(fresh.inverse + i * capacity, m->inverse + i * m->capacity, row);
    }
    memcpy(fresh.targets, m->targets, row);
    memcpy(fresh.alpha, m->alpha, row);
  }
  free_points(m);
  *m = fresh;
  return LMOPT_OK;
}

lmopt_status lm_gp_set(lm_gp_model *m, const double *points, const double *targets, size_t count) {
  lmopt_status status = reserve(m, count ? count : 1, false);
  if (status) return status;
  for (size_t j = 0; j < m->dims; j++) {
    for (size_t i = 0; i < count; i++) m->x[j * m->capacity + i] = points[i * m->dims + j];
  }
  if (count) memcpy(m->targets, targets, count * sizeof *targets);
  m->count = count;
  return LMOPT_OK;
}

/* --- the kernel --- */

LM_VECTORIZED static void add_squares(double *restrict square, const double *restrict x, double at, double weight,
                                      size_t n) {
  for (size_t i = 0; i < n; i++) {
    double difference = x[i] - at;
    square[i] += weight * (difference * difference);
  }
}

LM_VECTORIZED static void add_differences(double *restrict square, const double *restrict x, double at, double weight,
                                          size_t n) {
  for (size_t i = 0; i < n; i++) square[i] += x[i] != at ? weight : 0.0;
}

/* Squares of distances become values of the kernel, and minus its slopes. */
LM_VECTORIZED static void apply_matern(double *restrict k, double *restrict slope, double scale, size_t n) {
  double factor = scale * (5.0 / 6);
  for (size_t i = 0; i < n; i++) {
    double t = sqrt(5 * k[i]);
    t = t < 700 ? t : 700;
    double e = lm_exp_bounded(-t);
    k[i] = scale * ((1 + t + t * t * (1.0 / 3)) * e);
    slope[i] = -factor * ((1 + t) * e);
  }
}

LM_VECTORIZED static void apply_matern_alone(double *restrict k, double scale, size_t n) {
  for (size_t i = 0; i < n; i++) {
    double t = sqrt(5 * k[i]);
    t = t < 700 ? t : 700;
    k[i] = scale * ((1 + t + t * t * (1.0 / 3)) * lm_exp_bounded(-t));
  }
}

static void find_squares(const lm_gp_model *m, const double *point, size_t stride, size_t n, double *square) {
  memset(square, 0, n * sizeof *square);
  for (size_t j = 0; j < m->dims; j++) {
    const double *x = m->x + j * m->capacity;
    if (m->category[j]) {
      add_differences(square, x, point[j * stride], m->parameters[j], n);
    } else {
      add_squares(square, x, point[j * stride], m->parameters[j], n);
    }
  }
}

void lm_gp_kernel(const lm_gp_model *m, const double *point, double *k, double *slope) {
  find_squares(m, point, 1, m->count, k);
  if (slope) {
    apply_matern(k, slope, LM_GP_SCALE(m), m->count);
  } else {
    apply_matern_alone(k, LM_GP_SCALE(m), m->count);
  }
}

/* Row i of the kernel and of its slopes, columns 0 .. i - 1 (gp_fit.c). */
void lm_gp_kernel_row(const lm_gp_model *m, size_t i, double *k, double *slope) {
  find_squares(m, m->x + i, m->capacity, i, k);
  apply_matern(k, slope, LM_GP_SCALE(m), i);
}

void lm_gp_kernel_gradient(const lm_gp_model *m, const double *point, const double *slope, const double *factors,
                           double *out) {
  double *product = m->work + (LM_GP_WORK - 1) * m->capacity;
  for (size_t i = 0; i < m->count; i++) product[i] = factors[i] * slope[i];
  double total = lm_dense_sum(product, m->count);
  for (size_t j = 0; j < m->dims; j++) {
    out[j] = 0;
    if (m->category[j]) continue;
    double weighted = lm_dense_dot(product, m->x + j * m->capacity, m->count);
    out[j] = 2 * m->parameters[j] * (point[j] * total - weighted);
  }
}

/* --- factorisation --- */

static void fill_kernel(lm_gp_model *m, double noise) {
  size_t n = m->count, stride = m->capacity;
  double *k = m->work, *slope = m->work + stride;
  for (size_t i = 0; i < n; i++) {
    lm_gp_kernel_row(m, i, k, slope);
    for (size_t p = 0; p < i; p++) m->factor[p * stride + i] = k[p];
    m->factor[i * stride + i] = LM_GP_SCALE(m) + noise;
  }
}

lmopt_status lm_gp_factor(lm_gp_model *m) {
  double noise = LM_GP_NOISE(m);
  for (;;) {
    fill_kernel(m, noise);
    if (lm_dense_cholesky(m->factor, m->count, m->capacity)) break;
    noise *= 10; /* points may coincide; as large as the scale, it is certain to do */
    if (!(noise < 1e6 * (LM_GP_SCALE(m) + 1))) return LMOPT_MISUSE;
  }
  lm_dense_inverse_lower(m->factor, m->count, m->capacity, m->inverse, m->capacity);
  lm_gp_weigh(m, m->targets, m->alpha);
  return LMOPT_OK;
}

void lm_gp_weigh(const lm_gp_model *m, const double *targets, double *alpha) {
  if (m->count && alpha != targets) memcpy(alpha, targets, m->count * sizeof *alpha);
  lm_dense_solve_lower(m->factor, m->count, m->capacity, alpha);
  lm_dense_solve_upper(m->factor, m->count, m->capacity, alpha);
}

lmopt_status lm_gp_add(lm_gp_model *m, const double *point) {
  lmopt_status status = reserve(m, m->count + 1, true);
  if (status) return status;
  size_t n = m->count, stride = m->capacity;
  double *k = m->work;
  lm_gp_kernel(m, point, k, NULL);
  for (size_t j = 0; j < m->dims; j++) m->x[j * stride + n] = point[j];
  for (double noise = LM_GP_NOISE(m);; noise *= 10) {
    for (size_t i = 0; i < n; i++) m->factor[i * stride + n] = k[i];
    m->factor[n * stride + n] = LM_GP_SCALE(m) + noise;
    if (lm_dense_cholesky_grow(m->factor, n, stride)) break;
    if (!(noise < 1e6 * (LM_GP_SCALE(m) + 1))) return LMOPT_MISUSE;
  }
  /* The new row of the inverse: the old rows, by what the new column of the factor says. */
  double *row = m->inverse + n * stride, diagonal = m->factor[n * stride + n];
  for (size_t i = 0; i < n; i++) k[i] = m->factor[i * stride + n];
  lm_dense_multiply_transposed(m->inverse, n, stride, k, row);
  for (size_t i = 0; i < n; i++) row[i] /= -diagonal;
  for (size_t i = 0; i < n; i++) m->inverse[i * stride + n] = 0;
  row[n] = 1 / diagonal;
  m->targets[n] = 0;
  m->count++;
  return LMOPT_OK;
}

/* --- posteriors --- */

void lm_gp_posterior(lm_gp_model *m, const double *point, double *mean, double *variance, double *mean_gradient,
                     double *variance_gradient) {
  size_t n = m->count, stride = m->capacity;
  double *k = m->work, *slope = k + stride, *v = slope + stride, *u = v + stride;
  lm_gp_kernel(m, point, k, slope);
  *mean = lm_dense_dot(k, m->alpha, n);
  if (n) memcpy(v, k, n * sizeof *v);
  lm_dense_solve_lower(m->factor, n, stride, v);
  double left = LM_GP_SCALE(m) - lm_dense_dot(v, v, n);
  *variance = left > 0 ? left : 0;
  if (mean_gradient) lm_gp_kernel_gradient(m, point, slope, m->alpha, mean_gradient);
  if (!variance_gradient) return;
  lm_dense_multiply_transposed(m->inverse, n, stride, v, u);
  lm_gp_kernel_gradient(m, point, slope, u, variance_gradient);
  for (size_t j = 0; j < m->dims; j++) variance_gradient[j] *= left > 0 ? -2 : 0;
}

enum { BATCH = 32 }; /* points at a time: their columns stay in the cache */

/* Kernel values of a batch, by the model's points: rows of BATCH. */
static void fill_batch(lm_gp_model *m, const double *points, size_t count, double *batch) {
  double *k = m->work;
  for (size_t p = 0; p < count; p++) {
    lm_gp_kernel(m, points + p * m->dims, k, NULL);
    for (size_t i = 0; i < m->count; i++) batch[i * BATCH + p] = k[i];
  }
}

lmopt_status lm_gp_posterior_many(lm_gp_model *m, const double *points, size_t count, double *means,
                                  double *variances) {
  size_t n = m->count;
  double *batch = variances ? lm_gp_scratch(m, n * BATCH + BATCH) : NULL, *k = m->work;
  if (variances && !batch) return LMOPT_NO_MEMORY;
  for (size_t first = 0; first < count; first += BATCH) {
    size_t width = count - first < BATCH ? count - first : BATCH;
    if (!variances) {
      for (size_t p = 0; p < width; p++) {
        lm_gp_kernel(m, points + (first + p) * m->dims, k, NULL);
        means[first + p] = lm_dense_dot(k, m->alpha, n);
      }
      continue;
    }
    double *sums = batch + n * BATCH;
    fill_batch(m, points + first * m->dims, width, batch);
    memset(sums, 0, BATCH * sizeof *sums);
    for (size_t i = 0; i < n; i++) lm_dense_subtract(sums, batch + i * BATCH, -m->alpha[i], width);
    memcpy(means + first, sums, width * sizeof *sums);
    lm_dense_solve_lower_many(m->factor, n, m->capacity, batch, width, BATCH);
    for (size_t p = 0; p < width; p++) sums[p] = LM_GP_SCALE(m);
    for (size_t i = 0; i < n; i++) {
      for (size_t p = 0; p < width; p++) sums[p] -= batch[i * BATCH + p] * batch[i * BATCH + p];
    }
    for (size_t p = 0; p < width; p++) variances[first + p] = sums[p] > 0 ? sums[p] : 0;
  }
  return LMOPT_OK;
}

/* The kernel between two points. */
static double kernel_between(const lm_gp_model *m, const double *a, const double *b) {
  double square = 0;
  for (size_t j = 0; j < m->dims; j++) {
    double difference = m->category[j] ? (double)(a[j] != b[j]) : a[j] - b[j];
    square += m->parameters[j] * (difference * difference);
  }
  apply_matern_alone(&square, LM_GP_SCALE(m), 1);
  return square;
}

lmopt_status lm_gp_posterior_joint(lm_gp_model *m, const double *points, size_t count, double *means,
                                   double *covariance) {
  size_t n = m->count;
  double *columns = lm_gp_scratch(m, n * count + 1), *k = m->work;
  if (!columns) return LMOPT_NO_MEMORY;
  for (size_t p = 0; p < count; p++) {
    lm_gp_kernel(m, points + p * m->dims, k, NULL);
    means[p] = lm_dense_dot(k, m->alpha, n);
    for (size_t i = 0; i < n; i++) columns[i * count + p] = k[i];
  }
  lm_dense_solve_lower_many(m->factor, n, m->capacity, columns, count, count);
  for (size_t p = 0; p < count; p++) {
    for (size_t q = p; q < count; q++)
      covariance[p * count + q] = kernel_between(m, points + p * m->dims, points + q * m->dims);
  }
  for (size_t i = 0; i < n; i++) {
    const double *row = columns + i * count;
    for (size_t p = 0; p < count; p++) lm_dense_subtract(covariance + p * count + p, row + p, row[p], count - p);
  }
  for (size_t p = 0; p < count; p++) {
    for (size_t q = 0; q < p; q++) covariance[p * count + q] = covariance[q * count + p];
  }
  return LMOPT_OK;
}
