#include "math/normal.h"

#include <math.h>

#include "math/elementary.h"

#define SQRT_HALF 0.70710678118654752440
#define INVERSE_SQRT_PI 0.56418958354775628695

/* Beyond this the tail is below half an ulp of 1. */
#define FAR 8.3

/* erf of a small argument, |x| <= 0.46875. */
static double erf_small(double x) {
  double y = x * x;
  double top = 1.85777706184603153e-1 * y, bottom = y;
  static const double a[] = {3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2};
  static const double b[] = {2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3};
  for (int i = 0; i < 3; i++) {
    top = (top + a[i]) * y;
    bottom = (bottom + b[i]) * y;
  }
  return x * (top + 3.20937758913846947e3) / (bottom + 2.84423683343917062e3);
}

/* exp(y^2) erfc(y) for y > 0.46875. */
static double erfcx_large(double y) {
  if (y <= 4) {
    static const double c[] = {5.64188496988670089e-1, 8.88314979438837594,   6.61191906371416295e1,
                               2.98635138197400131e2,  8.81952221241769090e2, 1.71204761263407058e3,
                               2.05107837782607147e3};
    static const double d[] = {1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
                               1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
                               3.43936767414372164e3};
    double top = 2.15311535474403846e-8 * y, bottom = y;
    for (int i = 0; i < 7; i++) {
      top = (top + c[i]) * y;
      bottom = (bottom + d[i]) * y;
    }
    return (top + 1.23033935479799725e3) / (bottom + 1.23033935480374942e3);
  }
  static const double p[] = {3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
                             1.60837851487422766e-2};
  static const double q[] = {2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2};
  double z = 1 / (y * y);
  double top = 1.63153871373020978e-2 * z, bottom = z;
  for (int i = 0; i < 4; i++) {
    top = (top + p[i]) * z;
    bottom = (bottom + q[i]) * z;
  }
  double r = z * (top + 6.58749161529837803e-4) / (bottom + 2.33520497626869185e-3);
  return (INVERSE_SQRT_PI - r) / y;
}

/* exp(-y^2) without the rounding of y^2: the square of a short number is exact. */
static double exp_minus_square(double y) {
  double head = floor(y * 16) / 16;
  double rest = (y - head) * (y + head);
  return lm_exp(-head * head) * lm_exp(-rest);
}

double lm_erfcx(double x) {
  if (x <= 0.46875) return lm_exp(x * x) * (1 - erf_small(x));
  return erfcx_large(x);
}

double lm_erfc(double x) {
  double y = fabs(x);
  if (y <= 0.46875) return 1 - erf_small(x);
  if (!(y < 28)) return isnan(x) ? x : x > 0 ? 0.0 : 2.0;
  double tail = exp_minus_square(y) * erfcx_large(y);
  return x > 0 ? tail : 2 - tail;
}

double lm_normal_cdf(double x) { return 0.5 * lm_erfc(-x * SQRT_HALF); }

double lm_normal_log_cdf(double x) {
  if (x < -0.7) {
    if (isinf(x)) return -INFINITY;
    return -0.5 * x * x + lm_log(0.5 * lm_erfcx(-x * SQRT_HALF));
  }
  return lm_log1p(-0.5 * lm_erfc(x * SQRT_HALF));
}

double lm_normal_log_mass(double a, double b) {
  if (!(a < b)) return -INFINITY;
  if (a > 0) return lm_normal_log_mass(-b, -a);
  if (b <= 0) {
    double upper = lm_normal_log_cdf(b), lower = lm_normal_log_cdf(a);
    return upper + lm_log1p(-lm_exp(lower - upper));
  }
  double outside = 0;
  if (a > -FAR) outside += 0.5 * lm_erfc(-a * SQRT_HALF);
  if (b < FAR) outside += 0.5 * lm_erfc(b * SQRT_HALF);
  return lm_log1p(-outside);
}

/* Numerator or denominator of degree 7, constant term first. */
static double polynomial(const double c[8], double x) {
  double x2 = x * x, x4 = x2 * x2;
  return ((c[0] + c[1] * x) + x2 * (c[2] + c[3] * x)) + x4 * ((c[4] + c[5] * x) + x2 * (c[6] + c[7] * x));
}

double lm_normal_quantile(double p) {
  static const double a[8] = {3.3871328727963666080,   1.3314166789178437745e2, 1.9715909503065514427e3,
                              1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                              3.3430575583588128105e4, 2.5090809287301226727e3};
  static const double b[8] = {1.0,
                              4.2313330701600911252e1,
                              6.8718700749205790830e2,
                              5.3941960214247511077e3,
                              2.1213794301586595867e4,
                              3.9307895800092710610e4,
                              2.8729085735721942674e4,
                              5.2264952788528545610e3};
  static const double c[8] = {1.42343711074968357734,    4.63033784615654529590,   5.76949722146069140550,
                              3.64784832476320460504,    1.27045825245236838258,   2.41780725177450611770e-1,
                              2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static const double d[8] = {1.0,
                              2.05319162663775882187,
                              1.67638483018380384940,
                              6.89767334985100004550e-1,
                              1.48103976427480074590e-1,
                              1.51986665636164571966e-2,
                              5.47593808499534494600e-4,
                              1.05075007164441684324e-9};
  static const double e[8] = {6.65790464350110377720,    5.46378491116411436990,    1.78482653991729133580,
                              2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                              2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static const double f[8] = {1.0,
                              5.99832206555887937690e-1,
                              1.36929880922735805310e-1,
                              1.48753612908506148525e-2,
                              7.86869131145613259100e-4,
                              1.84631831751005468180e-5,
                              1.42151175831644588870e-7,
                              2.04426310338993978564e-15};
  double q = p - 0.5;
  if (fabs(q) <= 0.425) {
    double r = 0.180625 - q * q;
    return q * polynomial(a, r) / polynomial(b, r);
  }
  double tail = q < 0 ? p : 1 - p;
  if (!(tail > 0)) return tail == 0 ? (q < 0 ? -INFINITY : INFINITY) : NAN;
  double r = sqrt(-lm_log(tail)), x;
  if (r <= 5) {
    x = polynomial(c, r - 1.6) / polynomial(d, r - 1.6);
  } else {
    x = polynomial(e, r - 5) / polynomial(f, r - 5);
  }
  return q < 0 ? -x : x;
}

double lm_normal_log_quantile(double log_p) {
  if (log_p > -600) return lm_normal_quantile(lm_exp(log_p));
  /* Newton on log cdf; its derivative is pdf / cdf = sqrt(2/pi) / erfcx(-x / sqrt 2). */
  double x = -sqrt(-2 * log_p);
  for (int i = 0; i < 20; i++) {
    double slope = 0.79788456080286535588 / lm_erfcx(-x * SQRT_HALF);
    double step = (lm_normal_log_cdf(x) - log_p) / slope;
    x -= step;
    if (fabs(step) <= 1e-14 * fabs(x)) break;
  }
  return x;
}

double lm_log_add(double a, double b) {
  double high = a > b ? a : b, low = a > b ? b : a;
  if (isinf(high)) return high;
  return high + lm_log1p(lm_exp(low - high));
}

/* a < b <= 0 or nearly so: everything in the left tail, in logarithms. */
static double tail_quantile(double u, double a, double b) {
  double log_p = lm_log_add(lm_normal_log_cdf(a), lm_log(u) + lm_normal_log_mass(a, b));
  return lm_normal_log_quantile(log_p);
}

double lm_truncated_quantile(double u, double a, double b) {
  double x;
  if (!(a < b)) return a;
  if (a > 0) {
    x = -tail_quantile(1 - u, -b, -a);
  } else if (b < 0) {
    x = tail_quantile(u, a, b);
  } else {
    double below = a > -FAR ? lm_normal_cdf(a) : 0, above = b < FAR ? lm_normal_cdf(-b) : 0;
    double mass = 1 - below - above;
    double p = below + u * mass;
    x = p <= 0.5 ? lm_normal_quantile(p) : -lm_normal_quantile(above + (1 - u) * mass);
  }
  if (x < a) return a;
  return x > b ? b : x;
}

/* Marsaglia's polar method gives two at a time. */
static void draw_two(lm_rng *rng, double out[2]) {
  for (;;) {
    double u = 2 * lm_rng_uniform(rng) - 1, v = 2 * lm_rng_uniform(rng) - 1, s = u * u + v * v;
    if (!(s > 0 && s < 1)) continue;
    double radius = sqrt(-2 * lm_log(s) / s);
    out[0] = u * radius;
    out[1] = v * radius;
    return;
  }
}

double lm_normal_draw(lm_rng *rng) {
  double two[2];
  draw_two(rng, two);
  return two[0];
}

void lm_normal_draw_many(lm_rng *rng, double *out, size_t count) {
  double two[2];
  for (size_t i = 0; i < count; i++) {
    if (i % 2 == 0) draw_two(rng, two);
    out[i] = two[i % 2];
  }
}
