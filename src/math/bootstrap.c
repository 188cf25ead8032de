#include "math/bootstrap.h"

#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "math/normal.h"

/* Sums of the same numbers in another order differ by less than this share of what they are made of. */
static const double rounding = 1e-12;

double lm_mean(const double *values, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += values[i];
  return sum / (double)count;
}

static double sum_of_sizes(const double *values, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += fabs(values[i]);
  return sum;
}

/* --- the bootstrap --- */

/* Half a draw of 64 bits gives an index; the bias is below count / 2^32 of its probability. */
static double resampled_mean(const double *values, size_t count, lm_rng *rng) {
  double sum = 0;
  size_t i = 0;
  for (; i + 1 < count; i += 2) {
    uint64_t bits = lm_rng_bits(rng);
    sum += values[(bits >> 32) * count >> 32];
    sum += values[(bits & UINT32_MAX) * count >> 32];
  }
  if (i < count) sum += values[(lm_rng_bits(rng) >> 32) * count >> 32];
  return sum / (double)count;
}

void lm_bootstrap_means(const double *values, size_t count, uint64_t seed, size_t first, size_t resamples,
                        double *means) {
  for (size_t i = 0; i < resamples; i++) {
    lm_rng rng = lm_rng_stream(seed, (int64_t)(first + i), "bootstrap");
    means[i] = resampled_mean(values, count, &rng);
  }
}

typedef struct moments {
  double mean, error, acceleration; /* error: the standard error of the mean */
} moments;

/* The acceleration of a mean is what the jackknife gives: a sixth of its skewness. */
static moments find_moments(const double *values, size_t count) {
  double mean = lm_mean(values, count), square = 0, cube = 0, n = (double)count;
  for (size_t i = 0; i < count; i++) {
    double d = values[i] - mean;
    square += d * d;
    cube += d * d * d;
  }
  double scale = square * sqrt(square);
  return (moments){mean, sqrt(square) / n, scale > 0 ? cube / (6 * scale) : 0};
}

/* The share of the resampled means below the mean, ties half: as a normal quantile. */
static double find_bias(const double *means, size_t resamples, double mean, double tolerance) {
  double below = 0;
  for (size_t i = 0; i < resamples; i++) {
    double d = means[i] - mean;
    if (fabs(d) <= tolerance)
      below += 0.5;
    else if (d < 0)
      below += 1;
  }
  return lm_normal_quantile(below / (double)resamples);
}

static int compare_numbers(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Between the two nearest of a sorted list. */
static double quantile_of(const double *sorted, size_t count, double p) {
  double place = p * (double)(count - 1);
  size_t below = (size_t)place;
  if (below + 1 >= count) return sorted[count - 1];
  return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

/* Where the quantile `z` of the normal distribution stands, bias and acceleration considered. */
static double corrected(double z, double bias, double acceleration) {
  double shifted = bias + z, scale = 1 - acceleration * shifted;
  if (!(scale > 0)) return shifted > 0 ? INFINITY : -INFINITY;
  return bias + shifted / scale;
}

void lm_bootstrap_interval(const double *values, size_t count, double *means, size_t resamples, double confidence,
                           double interval[2]) {
  moments m = find_moments(values, count);
  double tolerance = rounding * sum_of_sizes(values, count) / (double)count;
  double z = lm_normal_quantile(0.5 + confidence / 2);
  if (m.error <= tolerance) { /* all the same */
    interval[0] = interval[1] = m.mean;
    return;
  }
  double bias = m.acceleration;
  if (resamples > 0) {
    qsort(means, resamples, sizeof *means, compare_numbers);
    double found = find_bias(means, resamples, m.mean, tolerance);
    if (isfinite(found)) bias = found; /* else there were too few to tell */
  }
  for (int side = 0; side < 2; side++) {
    double w = corrected(side ? z : -z, bias, m.acceleration);
    if (resamples > 0)
      interval[side] = quantile_of(means, resamples, lm_normal_cdf(w));
    else
      interval[side] = m.mean + m.error * (w + m.acceleration * (w * w - 1));
  }
}

/* --- paired differences --- */

/* What counts as at least as far from 0 as the sum that was observed. */
static double find_threshold(const double *differences, size_t count) {
  double sum = 0;
  for (size_t i = 0; i < count; i++) sum += differences[i];
  return fabs(sum) - rounding * sum_of_sizes(differences, count);
}

size_t lm_sign_flips(const double *differences, size_t count, uint64_t seed, size_t first, size_t flips) {
  double threshold = find_threshold(differences, count);
  size_t found = 0;
  for (size_t flip = 0; flip < flips; flip++) {
    lm_rng rng = lm_rng_stream(seed, (int64_t)(first + flip), "sign flips");
    double sum = 0;
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++) {
      if (i % 64 == 0) bits = lm_rng_bits(&rng);
      sum += bits & 1 ? differences[i] : -differences[i];
      bits >>= 1;
    }
    if (fabs(sum) >= threshold) found++;
  }
  return found;
}

/* The sums under all sign patterns of up to half of LM_SIGN_FLIPS_EXACT numbers; returns how many there are. */
static size_t all_sums(const double *numbers, size_t count, double *sums) {
  size_t patterns = (size_t)1 << count;
  for (size_t pattern = 0; pattern < patterns; pattern++) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += pattern >> i & 1 ? numbers[i] : -numbers[i];
    sums[pattern] = sum;
  }
  return patterns;
}

double lm_sign_flips_exact(const double *differences, size_t count) {
  double left[1 << LM_SIGN_FLIPS_EXACT / 2], right[1 << LM_SIGN_FLIPS_EXACT / 2];
  double threshold = find_threshold(differences, count);
  size_t half = count / 2;
  size_t lefts = all_sums(differences, half, left), rights = all_sums(differences + half, count - half, right);
  size_t found = 0;
  for (size_t i = 0; i < lefts; i++) {
    for (size_t j = 0; j < rights; j++) found += fabs(left[i] + right[j]) >= threshold;
  }
  return (double)found / ((double)lefts * (double)rights);
}

double lm_sign_flips_limit(const double *differences, size_t count) {
  double sum = 0, square = 0;
  for (size_t i = 0; i < count; i++) {
    sum += differences[i];
    square += differences[i] * differences[i];
  }
  return 2 * lm_normal_cdf(-fabs(sum) / sqrt(square));
}

double lm_sign_test(size_t wins, size_t losses) {
  size_t all = wins + losses, few = wins < losses ? wins : losses;
  if (2 * few == all) return 1;
  /* The binomial coefficient of `few` over 2^all, as term * 2^exponent, and with it the smaller ones. */
  double term = 1;
  int exponent = 0, shift;
  for (size_t i = 1; i <= few; i++) {
    term = frexp(term * ((double)(all - few + i) / (double)i), &shift);
    exponent += shift;
  }
  double share = 1, sum = 1;
  for (size_t k = few; k > 0 && share > 1e-18; k--) {
    share *= (double)k / (double)(all - k + 1);
    sum += share;
  }
  long long power = (long long)exponent - (long long)all;
  double p = 2 * ldexp(term * sum, power > -5000 ? (int)power : -5000);
  return p < 1 ? p : 1;
}
