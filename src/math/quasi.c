#include "math/quasi.h"

#include "math/normal.h"
#include "math/sobol_directions.h"

enum {
  INDEX_BITS = 32, /* of a point's index */
  DIGITS = 53,     /* bits of a coordinate */
  MAX_DEGREE = 13,
};

static const uint16_t polynomials[MAX_DEGREE + 1] = {0, 1, 1, 2, 2, 6, 6, 18, 16, 48, 60, 176, 144, 630};

/* The first `halton` coordinates are Halton's, the others digital sequences in base 2. */
struct lm_quasi {
  const lm_allocator *allocator;
  size_t dimensions, halton, digital;
  bool scrambled;
  uint64_t seed;         /* of the permutations */
  uint32_t *bases;       /* of Halton's coordinates */
  uint32_t *permutation; /* scratch, as long as the largest base */
  uint64_t *directions;  /* for each bit of the index one per digital coordinate */
  uint64_t *shift;       /* per digital coordinate */
  uint64_t *state;       /* scratch, per digital coordinate */
};

/* --- digital sequences: the direction of bit k has its last one at digit k + 1 after the point --- */

static uint64_t at_digit(uint64_t m, int k) { return m << (DIGITS - 1 - k); }

static void first_directions(uint64_t *v) {
  for (int k = 0; k < INDEX_BITS; k++) v[k] = at_digit(1, k);
}

/* The directions by a primitive polynomial; `numbers` as in sobol_directions.h. */
static void polynomial_directions(const uint16_t *numbers, int degree, uint64_t *v) {
  v[0] = at_digit(1, 0);
  for (int k = 1; k < degree; k++) v[k] = at_digit(2 * (uint64_t)numbers[k] + 1, k);
  for (int k = degree; k < INDEX_BITS; k++) {
    v[k] = v[k - degree] ^ v[k - degree] >> degree;
    for (int i = 1; i < degree; i++) {
      if (numbers[0] >> (degree - 1 - i) & 1) v[k] ^= v[k - i];
    }
  }
}

static void random_directions(lm_rng *rng, uint64_t *v) {
  for (int k = 0; k < INDEX_BITS; k++) {
    uint64_t m = lm_rng_bits(rng) >> (63 - k) | 1;
    v[k] = at_digit(m, k);
  }
}

/* Multiplies by a random lower triangular matrix with ones on its diagonal: each digit depends on those before it. */
static void scramble_directions(lm_rng *rng, uint64_t *v) {
  uint64_t columns[INDEX_BITS];
  for (int j = 0; j < INDEX_BITS; j++) {
    columns[j] = at_digit(1, j) | lm_rng_bits(rng) >> (64 - DIGITS + j + 1);
  }
  for (int k = 0; k < INDEX_BITS; k++) {
    uint64_t mapped = 0;
    for (int j = 0; j <= k; j++) mapped ^= columns[j] & (0 - (v[k] >> (DIGITS - 1 - j) & 1));
    v[k] = mapped;
  }
}

static uint64_t random_shift(lm_rng *rng) { return lm_rng_bits(rng) >> (64 - DIGITS); }

static double as_fraction(uint64_t digits) { return (double)digits * 0x1.0p-53; }

/* The order of F. Gray's code: neighbours differ in one direction. */
static uint64_t gray(uint64_t index) { return index ^ index >> 1; }

double lm_quasi_single(lm_rng stream, uint64_t index) {
  uint64_t v[INDEX_BITS], digits = 0;
  random_directions(&stream, v);
  scramble_directions(&stream, v);
  digits = random_shift(&stream);
  uint64_t code = gray(index);
  for (int k = 0; k < INDEX_BITS; k++) digits ^= v[k] & (0 - (code >> k & 1));
  return as_fraction(digits);
}

static void fill_directions(lm_quasi *q, const lm_rng *scramble) {
  const uint16_t *numbers = lm_sobol_numbers;
  int degree = 0;
  size_t left = 1, in_table = q->halton ? 0 : LM_SOBOL_DIMENSIONS;
  /* Unscrambled, coordinates beyond the table still need random directions: of a fixed stream. */
  lm_rng rng = scramble ? *scramble : lm_rng_stream(0, 0, "directions");
  for (size_t j = 0; j < q->digital; j++) {
    uint64_t v[INDEX_BITS];
    if (j >= in_table) {
      random_directions(&rng, v);
    } else if (j == 0) {
      first_directions(v);
    } else {
      if (--left == 0) left = polynomials[++degree];
      polynomial_directions(numbers, degree, v);
      numbers += degree;
    }
    if (q->scrambled) scramble_directions(&rng, v);
    q->shift[j] = q->scrambled ? random_shift(&rng) : 0;
    for (int k = 0; k < INDEX_BITS; k++) q->directions[(size_t)k * q->digital + j] = v[k];
  }
}

static void digital_points(lm_quasi *q, uint64_t first, size_t count, double *points) {
  size_t n = q->digital;
  for (size_t j = 0; j < n; j++) q->state[j] = q->shift[j];
  uint64_t code = 0;
  for (uint64_t i = first; i < first + count; i++) {
    uint64_t next = gray(i), changed = code ^ next;
    for (int k = 0; k < INDEX_BITS; k++) {
      const uint64_t *v = q->directions + (size_t)k * n;
      if (!(changed >> k & 1)) continue;
      for (size_t j = 0; j < n; j++) q->state[j] ^= v[j];
    }
    code = next;
    double *point = points + (i - first) * q->dimensions + q->halton;
    for (size_t j = 0; j < n; j++) point[j] = as_fraction(q->state[j]);
  }
}

/* --- Halton --- */

static uint32_t next_prime(uint32_t after) {
  for (uint32_t candidate = after + 1;; candidate++) {
    bool prime = candidate > 1;
    for (uint32_t i = 2; i * i <= candidate && prime; i++) prime = candidate % i != 0;
    if (prime) return candidate;
  }
}

static void permute(uint32_t *items, uint32_t count, lm_rng *rng) {
  for (uint32_t i = 0; i < count; i++) {
    uint32_t k = (uint32_t)lm_rng_below(rng, i + 1);
    items[i] = items[k];
    items[k] = i;
  }
}

/* Digit by digit, so that a permutation is made once for all points and then forgotten. */
static void halton_coordinate(lm_quasi *q, size_t j, uint64_t first, size_t count, double *points) {
  uint32_t base = q->bases[j];
  lm_rng rng = lm_rng_stream(q->seed, (int64_t)j, "halton");
  for (size_t i = 0; i < count; i++) points[i * q->dimensions + j] = 0;
  for (uint32_t i = 0; i < base; i++) q->permutation[i] = i;
  for (uint64_t power = 1; base > 1 && power < UINT64_C(1) << DIGITS; power *= base) {
    if (q->scrambled) permute(q->permutation, base, &rng);
    double weight = 1.0 / ((double)power * base);
    for (size_t i = 0; i < count; i++) {
      points[i * q->dimensions + j] += q->permutation[(first + i) / power % base] * weight;
    }
  }
  const double below_one = 1 - 0x1.0p-53;
  for (size_t i = 0; i < count; i++) {
    double *x = &points[i * q->dimensions + j];
    if (*x > below_one) *x = below_one;
  }
}

/* --- both --- */

lm_quasi *lm_quasi_new(const lm_allocator *a, lm_quasi_kind kind, size_t dimensions, const lm_rng *scramble) {
  if (dimensions > SIZE_MAX / (sizeof(uint64_t) * (INDEX_BITS + 2)) - 1) return NULL;
  lm_quasi *q = lm_alloc_zeroed(a, sizeof *q);
  if (!q) return NULL;
  size_t in_table = dimensions < LM_SOBOL_DIMENSIONS ? dimensions : LM_SOBOL_DIMENSIONS;
  *q = (lm_quasi){.allocator = a, .dimensions = dimensions, .scrambled = scramble != NULL};
  q->halton = kind == LM_QUASI_HALTON ? in_table : 0;
  q->digital = dimensions - q->halton;
  q->bases = lm_alloc(a, (q->halton + 1) * sizeof *q->bases);
  q->directions = lm_alloc(a, (q->digital * (INDEX_BITS + 2) + 1) * sizeof *q->directions);
  uint32_t largest = 1;
  for (size_t j = 0; q->bases && j < q->halton; j++) q->bases[j] = largest = next_prime(largest);
  q->permutation = lm_alloc(a, largest * sizeof *q->permutation);
  if (!q->bases || !q->directions || !q->permutation) {
    lm_quasi_free(q);
    return NULL;
  }
  q->shift = q->directions + q->digital * INDEX_BITS;
  q->state = q->shift + q->digital;
  lm_rng rng = {0};
  if (scramble) {
    rng = *scramble;
    q->seed = lm_rng_bits(&rng);
  }
  fill_directions(q, scramble ? &rng : NULL);
  return q;
}

void lm_quasi_free(lm_quasi *q) {
  if (!q) return;
  lm_free(q->allocator, q->bases);
  lm_free(q->allocator, q->permutation);
  lm_free(q->allocator, q->directions);
  lm_free(q->allocator, q);
}

void lm_quasi_points(lm_quasi *q, uint64_t first, size_t count, double *points) {
  for (size_t j = 0; j < q->halton; j++) halton_coordinate(q, j, first, count, points);
  digital_points(q, first, count, points);
}

void lm_quasi_normals(lm_quasi *q, uint64_t first, size_t count, double *points) {
  const double half_digit = 0x1.0p-54, below_one = 1 - 0x1.0p-53;
  lm_quasi_points(q, first, count, points);
  for (size_t i = 0; i < count * q->dimensions; i++) {
    double u = points[i] + half_digit;
    points[i] = lm_normal_quantile(u < below_one ? u : below_one);
  }
}
