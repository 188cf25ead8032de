#include "math/dense.h"

#include <math.h>
#include <string.h>

#include "math/vector.h"

enum { BLOCK = 8 };

/* c -= f[0] * b_0 + ... + f[7] * b_7, in this order; b_k is row k of b. */
LM_VECTORIZED static void subtract_rows(double *restrict c, const double *restrict b, size_t stride,
                                        const double *restrict f, size_t n) {
  const double *restrict b1 = b + stride, *restrict b2 = b1 + stride, *restrict b3 = b2 + stride;
  const double *restrict b4 = b3 + stride, *restrict b5 = b4 + stride, *restrict b6 = b5 + stride;
  const double *restrict b7 = b6 + stride;
  double f0 = f[0], f1 = f[1], f2 = f[2], f3 = f[3], f4 = f[4], f5 = f[5], f6 = f[6], f7 = f[7];
  for (size_t j = 0; j < n; j++) {
    double low = (f0 * b[j] + f1 * b1[j]) + (f2 * b2[j] + f3 * b3[j]);
    double high = (f4 * b4[j] + f5 * b5[j]) + (f6 * b6[j] + f7 * b7[j]);
    c[j] -= low + high;
  }
}

LM_VECTORIZED static void subtract_row(double *restrict c, const double *restrict b, double f, size_t n) {
  for (size_t j = 0; j < n; j++) c[j] -= f * b[j];
}

LM_VECTORIZED static void scale(double *c, double f, size_t n) {
  for (size_t j = 0; j < n; j++) c[j] *= f;
}

void lm_dense_subtract(double *c, const double *b, double factor, size_t n) { subtract_row(c, b, factor, n); }

/* Rows first .. first + count - 1, from their diagonal on, among themselves. */
static bool factor_panel(double *a, size_t n, size_t stride, size_t first, size_t count) {
  for (size_t k = first; k < first + count; k++) {
    double *row = a + k * stride;
    for (size_t p = first; p < k; p++) subtract_row(row + k, a + p * stride + k, a[p * stride + k], n - k);
    if (!(row[k] > 0) || isinf(row[k])) return false;
    scale(row + k, 1 / sqrt(row[k]), n - k);
  }
  return true;
}

bool lm_dense_cholesky(double *a, size_t n, size_t stride) {
  for (size_t first = 0; first < n; first += BLOCK) {
    size_t count = n - first < BLOCK ? n - first : BLOCK;
    if (!factor_panel(a, n, stride, first, count)) return false;
    for (size_t i = first + count; i < n; i++) {
      double f[BLOCK];
      for (size_t p = 0; p < BLOCK; p++) f[p] = a[(first + p) * stride + i];
      subtract_rows(a + i * stride + i, a + first * stride + i, stride, f, n - i);
    }
  }
  return true;
}

bool lm_dense_cholesky_grow(double *a, size_t n, size_t stride) {
  double left = a[n * stride + n];
  for (size_t i = 0; i < n; i++) {
    double x = a[i * stride + n] / a[i * stride + i];
    a[i * stride + n] = x;
    for (size_t j = i + 1; j < n; j++) a[j * stride + n] -= x * a[i * stride + j];
    left -= x * x;
  }
  if (!(left > 0) || isinf(left)) return false;
  a[n * stride + n] = sqrt(left);
  return true;
}

void lm_dense_solve_lower(const double *u, size_t n, size_t stride, double *b) {
  for (size_t first = 0; first < n; first += BLOCK) {
    size_t end = n - first < BLOCK ? n : first + BLOCK;
    for (size_t k = first; k < end; k++) {
      b[k] /= u[k * stride + k];
      for (size_t j = k + 1; j < end; j++) b[j] -= b[k] * u[k * stride + j];
    }
    if (end < n) {
      double f[BLOCK];
      memcpy(f, b + first, sizeof f);
      subtract_rows(b + end, u + first * stride + end, stride, f, n - end);
    }
  }
}

void lm_dense_solve_upper(const double *u, size_t n, size_t stride, double *b) {
  for (size_t i = n; i-- > 0;) {
    const double *row = u + i * stride;
    b[i] = (b[i] - lm_dense_dot(row + i + 1, b + i + 1, n - i - 1)) / row[i];
  }
}

void lm_dense_solve_lower_many(const double *u, size_t n, size_t stride, double *b, size_t count, size_t width) {
  for (size_t i = 0; i < n; i++) {
    double *row = b + i * width;
    size_t k = 0;
    for (; k + BLOCK <= i; k += BLOCK) {
      double f[BLOCK];
      for (size_t p = 0; p < BLOCK; p++) f[p] = u[(k + p) * stride + i];
      subtract_rows(row, b + k * width, width, f, count);
    }
    for (; k < i; k++) subtract_row(row, b + k * width, u[k * stride + i], count);
    scale(row, 1 / u[i * stride + i], count);
  }
}

void lm_dense_solve_upper_many(const double *u, size_t n, size_t stride, double *b, size_t count, size_t width) {
  for (size_t i = n; i-- > 0;) {
    double *row = b + i * width;
    size_t k = i + 1;
    for (; k + BLOCK <= n; k += BLOCK) subtract_rows(row, b + k * width, width, u + i * stride + k, count);
    for (; k < n; k++) subtract_row(row, b + k * width, u[i * stride + k], count);
    scale(row, 1 / u[i * stride + i], count);
  }
}

void lm_dense_inverse_lower(const double *u, size_t n, size_t stride, double *m, size_t m_stride) {
  for (size_t i = 0; i < n; i++) {
    double *row = m + i * m_stride;
    memset(row, 0, n * sizeof *row);
    row[i] = 1;
    size_t k = 0;
    for (; k + BLOCK <= i; k += BLOCK) {
      double f[BLOCK];
      for (size_t p = 0; p < BLOCK; p++) f[p] = u[(k + p) * stride + i];
      subtract_rows(row, m + k * m_stride, m_stride, f, k + BLOCK);
    }
    for (; k < i; k++) subtract_row(row, m + k * m_stride, u[k * stride + i], k + 1);
    scale(row, 1 / u[i * stride + i], i + 1);
  }
}

/* out[0..columns) -= sum over rows k of f_k * m_k, where f_k is in m itself (column i), or in v. */
static void gather(const double *m, size_t n, size_t stride, size_t from, const double *v, size_t i, double *out,
                   size_t columns) {
  size_t k = from;
  for (; k + BLOCK <= n; k += BLOCK) {
    double f[BLOCK];
    for (size_t p = 0; p < BLOCK; p++) f[p] = v ? v[k + p] : m[(k + p) * stride + i];
    size_t reach = v ? k + BLOCK : columns;
    subtract_rows(out, m + k * stride, stride, f, reach);
  }
  for (; k < n; k++) subtract_row(out, m + k * stride, v ? v[k] : m[k * stride + i], v ? k + 1 : columns);
}

void lm_dense_inverse_row(const double *m, size_t n, size_t m_stride, size_t i, double *row) {
  memset(row, 0, (i + 1) * sizeof *row);
  gather(m, n, m_stride, i, NULL, i, row, i + 1);
  scale(row, -1, i + 1);
}

void lm_dense_multiply_transposed(const double *m, size_t n, size_t m_stride, const double *v, double *out) {
  memset(out, 0, n * sizeof *out);
  gather(m, n, m_stride, 0, v, 0, out, n);
  scale(out, -1, n);
}

/* Eight partial sums, whatever the width of a register. */
LM_VECTORIZED double lm_dense_dot(const double *a, const double *b, size_t n) {
  double lanes[BLOCK] = {0}, rest = 0;
  size_t i = 0;
  for (; i + BLOCK <= n; i += BLOCK) {
    for (size_t p = 0; p < BLOCK; p++) lanes[p] += a[i + p] * b[i + p];
  }
  for (; i < n; i++) rest += a[i] * b[i];
  return (((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))) + rest;
}

LM_VECTORIZED double lm_dense_sum(const double *a, size_t n) {
  double lanes[BLOCK] = {0}, rest = 0;
  size_t i = 0;
  for (; i + BLOCK <= n; i += BLOCK) {
    for (size_t p = 0; p < BLOCK; p++) lanes[p] += a[i + p];
  }
  for (; i < n; i++) rest += a[i];
  return (((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))) + rest;
}
