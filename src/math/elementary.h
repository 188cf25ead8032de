/*
** Exponential and logarithm from plain IEEE operations.
**
** The C library picks its own by processor (with and without fused
** multiply-add), and their last bits differ. What a sampler suggests must not
** depend on the machine, so samplers use these. Errors are below 1 ulp or so.
*/
#ifndef LM_ELEMENTARY_H
#define LM_ELEMENTARY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

double lm_exp(double x);
double lm_log(double x); /* -inf for 0, NaN below */
double lm_log1p(double x);

/*
** exp(x) for x in [-700, 700], branch-free so that loops over it vectorise:
** 2^k * exp(r), |r| <= ln(2)/2, with the Taylor polynomial of degree 13
** (remainder below 5e-18).
*/
static inline double lm_exp_bounded(double x) {
  const double log2_e = 0x1.71547652b82fep+0, rounder = 0x1.8p52; /* adding it leaves the integer in the low bits */
  const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33; /* 33 bits, and the rest */
  double shifted = x * log2_e + rounder;
  double k = shifted - rounder;
  double r = (x - k * ln2_high) - k * ln2_low;
  uint64_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023) << 52;
  double scale;
  memcpy(&scale, &bits, sizeof scale);
  double r2 = r * r;
  double r4 = r2 * r2;
  double a = (1.0 / 2 + r * (1.0 / 6)) + r2 * (1.0 / 24 + r * (1.0 / 120));
  double b = (1.0 / 720 + r * (1.0 / 5040)) + r2 * (1.0 / 40320 + r * (1.0 / 362880));
  double c = (1.0 / 3628800 + r * (1.0 / 39916800)) + r2 * (1.0 / 479001600 + r * (1.0 / 6227020800.0));
  double tail = r2 * (a + r4 * (b + r4 * c));
  return scale * (1 + (r + tail));
}

#endif
