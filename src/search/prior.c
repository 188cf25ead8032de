#include "search/prior.h"

#include <math.h>
#include <string.h>

#include "math/elementary.h"
#include "math/normal.h"
#include "search/draw.h"
#include "search/trials.h"

#define LOG_SQRT_2PI 0.91893853320467274178

/* Does it say anything of this distribution? */
bool lm_prior_shapes(const lm_prior *prior, const lm_distribution *d) {
  if (!prior || prior->kind == LM_PRIOR_UNIFORM || d->part || lm_distribution_single(d)) return false;
  return (prior->kind == LM_PRIOR_WEIGHTS) == (d->kind == LM_CATEGORICAL);
}

static double choice_at(const double *weights, size_t count, double u) {
  double total = 0;
  for (size_t i = 0; i < count; i++) total += weights[i];
  u *= total;
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
** The normal distribution of a number, and the bounds between which it is cut
** off, half a step wider than the range. Logarithms are taken for a lognormal
** prior, whatever the parameter's own scale is.
*/
typedef struct bell {
  bool logarithmic;
  double low, high, centre, width;
  double from, to; /* the bounds in units of the width, from the centre */
} bell;

static double on_scale(const bell *b, double value) {
  if (!b->logarithmic) return value;
  return value > 0 ? lm_log(value) : -INFINITY;
}

static bell bell_of(const lm_prior *prior, const lm_distribution *d) {
  double margin = d->step > 0 ? d->step / 2 : 0;
  bell b = {.logarithmic = prior->kind == LM_PRIOR_LOGNORMAL};
  b.low = on_scale(&b, d->low - margin);
  b.high = on_scale(&b, d->high + margin);
  b.centre = on_scale(&b, prior->centre);
  b.width = on_scale(&b, prior->width);
  b.from = (b.low - b.centre) / b.width;
  b.to = (b.high - b.centre) / b.width;
  return b;
}

/* By the inverse of the distribution function. */
static double number_at(const lm_prior *prior, const lm_distribution *d, double u) {
  bell b = bell_of(prior, d);
  double value = b.centre + lm_truncated_quantile(u, b.from, b.to) * b.width;
  if (!(b.from < b.to)) /* all ends are equally far off */
    value = b.centre < b.low ? b.low : b.centre > b.high ? b.high : b.centre;
  if (b.logarithmic) value = lm_exp(value);
  return lm_distribution_from_range(d, d->log ? lm_log(value) : value);
}

double lm_prior_at(const lm_prior *prior, const lm_distribution *d, double u) {
  return d->kind == LM_CATEGORICAL ? choice_at(prior->weights, d->count, u) : number_at(prior, d, u);
}

double lm_prior_draw(lm_rng *rng, const lm_prior *prior, const lm_distribution *d) {
  return lm_prior_shapes(prior, d) ? lm_prior_at(prior, d, lm_rng_uniform(rng)) : lm_draw_uniform(rng, d);
}

double lm_prior_share(const lm_prior *prior, const lm_distribution *d, size_t choice) {
  double least = INFINITY, total = 0;
  for (size_t i = 0; i < d->count; i++)
    if (prior->weights[i] > 0 && prior->weights[i] < least) least = prior->weights[i];
  for (size_t i = 0; i < d->count; i++) total += prior->weights[i] > 0 ? prior->weights[i] : least;
  return (prior->weights[choice] > 0 ? prior->weights[choice] : least) / total;
}

double lm_prior_log_density(const lm_prior *prior, const lm_distribution *d, double internal) {
  if (d->kind == LM_CATEGORICAL) return lm_log(lm_prior_share(prior, d, (size_t)internal));
  bell b = bell_of(prior, d);
  double mass = b.from < b.to ? lm_normal_log_mass(b.from, b.to) : 0;
  if (d->step > 0) {
    double from = (on_scale(&b, internal - d->step / 2) - b.centre) / b.width;
    double to = (on_scale(&b, internal + d->step / 2) - b.centre) / b.width;
    return lm_normal_log_mass(from, to) - mass;
  }
  double t = (on_scale(&b, internal) - b.centre) / b.width;
  double density = -0.5 * t * t - lm_log(b.width) - LOG_SQRT_2PI - mass;
  if (b.logarithmic == d->log) return density;
  return internal > 0 ? density + (d->log ? lm_log(internal) : -lm_log(internal)) : -INFINITY;
}

/* --- those of a space --- */

void lm_priors_free(const lm_allocator *a, lm_priors *list) {
  for (size_t i = 0; i < list->count; i++) lm_free(a, (void *)list->items[i].prior.weights);
  lm_free(a, list->items);
  *list = (lm_priors){0};
}

lmopt_status lm_priors_set(const lm_allocator *a, lm_priors *list, const lm_column *column, const lm_prior *prior,
                           size_t choices) {
  double *weights = NULL;
  size_t i = 0;
  while (i < list->count && list->items[i].column != column) i++;
  if (prior && prior->kind == LM_PRIOR_WEIGHTS) {
    weights = lm_alloc(a, (choices ? choices : 1) * sizeof *weights);
    if (!weights) return LMOPT_NO_MEMORY;
    memcpy(weights, prior->weights, choices * sizeof *weights);
  }
  if (i == list->count) {
    if (!prior) return LMOPT_OK;
    if (!lm_grow(a, &list->items, &list->capacity, list->count + 1, sizeof *list->items)) {
      lm_free(a, weights);
      return LMOPT_NO_MEMORY;
    }
    list->count++;
  } else {
    lm_free(a, (void *)list->items[i].prior.weights);
  }
  list->items[i].column = column;
  list->items[i].prior = prior ? *prior : (lm_prior){0};
  list->items[i].prior.weights = weights;
  return LMOPT_OK;
}

const lm_prior *lm_view_prior(const lm_view *view, const lm_column *column, const lm_distribution *d) {
  for (size_t i = 0; view->priors && i < view->priors->count; i++) {
    const lm_declared_prior *item = &view->priors->items[i];
    if (item->column == column) return lm_prior_shapes(&item->prior, d) ? &item->prior : NULL;
  }
  return NULL;
}
