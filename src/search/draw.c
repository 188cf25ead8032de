#include "search/draw.h"

#include <math.h>
#include <string.h>

double lm_draw_at(const lm_distribution *d, double u) {
  if (d->kind == LM_CATEGORICAL) {
    size_t index = (size_t)(u * (double)d->count);
    return (double)(index < d->count ? index : d->count - 1);
  }
  double low, high;
  lm_distribution_range(d, &low, &high);
  double position = isinf(high - low) ? low * (1 - u) + high * u : low + (high - low) * u;
  return lm_distribution_from_range(d, position);
}

double lm_draw_uniform(lm_rng *rng, const lm_distribution *d) {
  if (d->kind == LM_CATEGORICAL) return (double)lm_rng_below(rng, d->count);
  return lm_draw_at(d, lm_rng_uniform(rng));
}

static uint64_t attempt_seed(const lm_view *view) {
  return view->attempt ? lm_mix(view->seed ^ lm_mix(view->attempt)) : view->seed;
}

lm_rng lm_view_stream(const lm_view *view, const char *purpose) {
  return lm_rng_stream(attempt_seed(view), view->number, purpose);
}

lm_rng lm_draw_stream(const lm_view *view, const lm_column *column) {
  /* The purpose is "independent:" and the name; long names are told apart by their hash, mixed into the seed. */
  char purpose[128] = "independent:";
  size_t head = strlen(purpose), length = strlen(column->name);
  uint64_t seed = attempt_seed(view);
  if (length >= sizeof purpose - head) {
    seed ^= lm_hash(column->name, length);
    length = sizeof purpose - head - 1;
  }
  memcpy(purpose + head, column->name, length);
  purpose[head + length] = '\0';
  return lm_rng_stream(seed, view->number, purpose);
}
