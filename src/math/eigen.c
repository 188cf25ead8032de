#include "math/eigen.h"

#include <math.h>

/* Per eigenvalue; two are usual. */
enum { SWEEPS = 60 };

static void add_scaled(size_t n, double *to, double factor, const double *from) {
  for (size_t i = 0; i < n; i++) to[i] += factor * from[i];
}

static double dot(size_t n, const double *a, const double *b) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* The largest magnitude; NaN when something is not finite. */
static double largest(size_t count, const double *x) {
  double most = 0;
  for (size_t i = 0; i < count; i++) {
    double size = fabs(x[i]);
    if (!(size < INFINITY)) return NAN;
    if (size > most) most = size;
  }
  return most;
}

/*
** Reflects row k's part right of the diagonal onto its first entry: H = I - beta v v', v stays in that part of
** the row. Returns the entry that is left beside the diagonal.
*/
static double reflect(double *v, size_t n, double *beta) {
  double tail = n > 1 ? dot(n - 1, v + 1, v + 1) : 0;
  if (tail == 0) {
    *beta = 0;
    return v[0];
  }
  double norm = sqrt(v[0] * v[0] + tail);
  double beside = v[0] > 0 ? -norm : norm;
  v[0] -= beside;
  *beta = 2 / (v[0] * v[0] + tail);
  return beside;
}

/*
** To three diagonals: `diagonal`, and `beside` with n - 1 entries. Afterwards row k of `a` holds the vector of
** reflection k right of its diagonal, and a[k][k] its beta.
*/
static void reduce(size_t n, double *a, double *diagonal, double *beside, double *product) {
  for (size_t k = 0; k + 1 < n; k++) {
    size_t m = n - k - 1;
    double beta, *v = a + k * n + k + 1, *p = product;
    diagonal[k] = a[k * n + k];
    beside[k] = reflect(v, m, &beta);
    a[k * n + k] = beta;
    if (beta == 0) continue;
    for (size_t i = 0; i < m; i++) p[i] = 0;
    for (size_t i = 0; i < m; i++) add_scaled(m, p, beta * v[i], a + (k + 1 + i) * n + k + 1);
    add_scaled(m, p, -beta / 2 * dot(m, p, v), v);
    for (size_t i = 0; i < m; i++) { /* A - v p' - p v' */
      double *row = a + (k + 1 + i) * n + k + 1, vi = v[i], pi = p[i];
      for (size_t j = 0; j < m; j++) row[j] -= vi * p[j] + pi * v[j];
    }
  }
  diagonal[n - 1] = a[n * n - 1];
}

/* The product of the reflections, transposed: its rows are what QL's rotations combine. */
static void accumulate(size_t n, const double *a, double *q, double *product) {
  for (size_t i = 0; i < n * n; i++) q[i] = 0;
  for (size_t i = 0; i < n; i++) q[i * n + i] = 1;
  for (size_t k = n - 1; k-- > 0;) {
    size_t m = n - k - 1;
    const double *v = a + k * n + k + 1;
    double beta = a[k * n + k];
    if (beta == 0) continue;
    for (size_t i = 0; i < m; i++) product[i] = 0;
    for (size_t i = 0; i < m; i++) add_scaled(m, product, beta * v[i], q + (k + 1 + i) * n + k + 1);
    for (size_t i = 0; i < m; i++) add_scaled(m, q + (k + 1 + i) * n + k + 1, -v[i], product);
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t j = 0; j < i; j++) {
      double swapped = q[i * n + j];
      q[i * n + j] = q[j * n + i];
      q[j * n + i] = swapped;
    }
  }
}

static void rotate_rows(size_t n, double *upper, double *lower, double c, double s) {
  for (size_t i = 0; i < n; i++) {
    double u = upper[i], l = lower[i];
    upper[i] = c * u - s * l;
    lower[i] = s * u + c * l;
  }
}

/* One implicit step of QL on the block first .. last, shifted towards its upper corner. */
static void step(size_t n, size_t first, size_t last, double *d, double *e, double *vectors) {
  double g = (d[first + 1] - d[first]) / (2 * e[first]);
  double r = sqrt(g * g + 1);
  g = d[last] - d[first] + e[first] / (g + (g >= 0 ? r : -r));
  double s = 1, c = 1, p = 0;
  for (size_t i = last; i-- > first;) {
    double f = s * e[i], b = c * e[i];
    r = sqrt(f * f + g * g);
    if (i + 1 < last) e[i + 1] = r;
    if (r == 0) { /* the block has come apart */
      d[i + 1] -= p;
      return;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    rotate_rows(n, vectors + i * n, vectors + (i + 1) * n, c, s);
  }
  d[first] -= p;
  e[first] = g;
}

/* e[i] is beside d[i] and d[i + 1]. What is below the rounding of the largest entry counts as nothing. */
static bool diagonalize(size_t n, double *d, double *e, double *vectors) {
  double size = fmax(largest(n, d), largest(n - 1, e)), nothing = 0x1p-53 * size;
  for (size_t first = 0; first + 1 < n; first++) {
    for (int sweeps = 0;; sweeps++) {
      size_t last = first;
      for (; last + 1 < n; last++) {
        if (fabs(e[last]) <= nothing) break;
      }
      if (last == first) break;
      if (sweeps == SWEEPS) return false;
      step(n, first, last, d, e, vectors);
      if (last + 1 < n) e[last] = 0;
    }
  }
  return true;
}

static void sort(size_t n, double *values, double *vectors) {
  for (size_t i = 0; i + 1 < n; i++) {
    size_t least = i;
    for (size_t k = i + 1; k < n; k++) {
      if (values[k] < values[least]) least = k;
    }
    if (least == i) continue;
    double value = values[i];
    values[i] = values[least];
    values[least] = value;
    for (size_t k = 0; k < n; k++) {
      double swapped = vectors[i * n + k];
      vectors[i * n + k] = vectors[least * n + k];
      vectors[least * n + k] = swapped;
    }
  }
}

bool lm_eigen_symmetric(size_t n, double *matrix, double *values, double *vectors, double *scratch) {
  double scale = largest(n * n, matrix);
  if (n == 0 || scale != scale) return n == 0;
  if (scale == 0) scale = 1;
  for (size_t i = 0; i < n * n; i++) matrix[i] /= scale; /* squares neither overflow nor vanish */
  reduce(n, matrix, values, scratch, vectors);
  accumulate(n, matrix, vectors, matrix + n * n - n);
  bool fine = diagonalize(n, values, scratch, vectors);
  sort(n, values, vectors);
  for (size_t i = 0; i < n; i++) values[i] *= scale;
  return fine;
}
