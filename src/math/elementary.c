#include "math/elementary.h"

#include <math.h>

#define LN2_HIGH 0x1.62e42feep-1 /* 33 bits: a product with |k| < 2^20 is exact */
#define LN2_LOW 0x1.a39ef35793c76p-33
double lm_exp(double x) {
  if (!(x > -708)) { /* subnormal results, zero, or NaN */
    if (isnan(x)) return x;
    return x < -746 ? 0.0 : lm_exp_bounded(x + 100) * lm_exp_bounded(-100.0);
  }
  if (x > 709) return x > 710 ? INFINITY : lm_exp_bounded(x - 1) * lm_exp_bounded(1.0);
  return lm_exp_bounded(x);
}

/*
** log(2^k * (1 + f)) with 1 + f in [sqrt(1/2), sqrt(2)): s = f / (2 + f),
** log(1 + f) = 2 atanh(s) = f - s * (f - q), q = 2 s^2/3 + 2 s^4/5 + ...
*/
double lm_log(double x) {
  if (!(x > 0)) return x == 0 ? -INFINITY : NAN; /* NaN too */
  if (isinf(x)) return x;
  int64_t k = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    k = -54;
  }
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint64_t sqrt_half = UINT64_C(0x3fe6a09e667f3bcd);
  int64_t exponent = ((int64_t)(bits - sqrt_half)) >> 52;
  bits -= (uint64_t)exponent << 52;
  k += exponent;
  double m;
  memcpy(&m, &bits, sizeof m);
  double f = m - 1;
  double s = f / (2 + f);
  double t = s * s;
  double q = 2.0 / 23;
  q = 2.0 / 21 + t * q;
  q = 2.0 / 19 + t * q;
  q = 2.0 / 17 + t * q;
  q = 2.0 / 15 + t * q;
  q = 2.0 / 13 + t * q;
  q = 2.0 / 11 + t * q;
  q = 2.0 / 9 + t * q;
  q = 2.0 / 7 + t * q;
  q = 2.0 / 5 + t * q;
  q = 2.0 / 3 + t * q;
  q *= t;
  double scaled = (double)k;
  return scaled * LN2_HIGH + (f - (s * (f - q) - scaled * LN2_LOW));
}

double lm_log1p(double x) {
  double u = 1 + x;
  if (u == 1 || !(u > 0) || isinf(u)) return u == 1 ? x : lm_log(u);
  return lm_log(u) * (x / (u - 1)); /* the quotient undoes the rounding of 1 + x */
}
