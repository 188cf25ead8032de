#include "search/prior.h"

#include <math.h>

#include "math/elementary.h"
#include "math/normal.h"
#include "search/draw.h"

static double draw_choice(lm_rng *rng, const double *weights, size_t count) {
  double total = 0;
  for (size_t i = 0; i < count; i++) total += weights[i];
  double u = lm_rng_uniform(rng) * total;
  size_t last = 0;
  for (size_t i = 0; i < count; i++) {
    if (!(weights[i] > 0)) continue;
    last = i;
    u -= weights[i];
    if (u < 0) break;
  }
  return (double)last;
}

/*
** By the inverse of the distribution function between the bounds, which are half a step wider than the range.
** The logarithm is taken for a lognormal prior, whatever the parameter's own scale is.
*/
static double draw_number(lm_rng *rng, const lm_prior *prior, const lm_distribution *d) {
  double low = d->low, high = d->high, centre = prior->centre, width = prior->width;
  if (d->step > 0) {
    low -= d->step / 2;
    high += d->step / 2;
  }
  bool logarithmic = prior->kind == LM_PRIOR_LOGNORMAL;
  if (logarithmic) {
    low = low > 0 ? lm_log(low) : -INFINITY;
    high = lm_log(high);
    centre = lm_log(centre);
    width = lm_log(width);
  }
  double from = (low - centre) / width, to = (high - centre) / width;
  double z = lm_truncated_quantile(lm_rng_uniform(rng), from, to);
  double value = centre + z * width;
  if (!(from < to)) value = centre < low ? low : centre > high ? high : centre; /* all ends are equally far off */
  if (logarithmic) value = lm_exp(value);
  return lm_distribution_from_range(d, d->log ? lm_log(value) : value);
}

double lm_prior_draw(lm_rng *rng, const lm_prior *prior, const lm_distribution *d) {
  if (!prior || prior->kind == LM_PRIOR_UNIFORM || lm_distribution_single(d)) return lm_draw_uniform(rng, d);
  if (d->kind == LM_CATEGORICAL)
    return prior->kind == LM_PRIOR_WEIGHTS ? draw_choice(rng, prior->weights, d->count) : lm_draw_uniform(rng, d);
  return prior->kind == LM_PRIOR_WEIGHTS ? lm_draw_uniform(rng, d) : draw_number(rng, prior, d);
}
