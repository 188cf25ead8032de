#include "search/gp_study.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

/* --- targets --- */

static double clip_loss(double loss, double low, double high) { return loss < low ? low : loss > high ? high : loss; }

void lm_gp_standardize(const double *losses, size_t count, double *targets, double *mean, double *deviation) {
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(losses[i])) continue;
    if (losses[i] < low) low = losses[i];
    if (losses[i] > high) high = losses[i];
  }
  if (!(low <= high)) low = high = 0;
  double size = fabs(low) > fabs(high) ? fabs(low) : fabs(high), sum = 0, squares = 0;
  if (!(size > 0)) size = 1; /* sums of what is divided by it don't overflow */
  for (size_t i = 0; i < count; i++) {
    targets[i] = clip_loss(losses[i], low, high) / size;
    sum += targets[i];
  }
  double middle = count ? sum / (double)count : 0;
  for (size_t i = 0; i < count; i++) squares += (targets[i] - middle) * (targets[i] - middle);
  double spread = count ? sqrt(squares / (double)count) : 0;
  bool equal = !(spread > 1e-14 * fabs(middle)) || low == high;
  for (size_t i = 0; i < count; i++) targets[i] = equal ? 0 : (middle - targets[i]) / spread;
  *mean = middle * size;
  *deviation = equal ? 0 : spread * size;
}

/* --- the cache --- */

enum { FITS_KEPT = 128 };

void lm_gp_fits_free(lm_gp_fits *f) {
  for (size_t i = 0; i < f->count; i++) lm_free(f->allocator, f->items[i].parameters);
  if (f->allocator) lm_free(f->allocator, f->items);
  f->items = NULL;
  f->count = f->capacity = 0;
}

static bool recall(lm_gp_fits *f, uint64_t key, double *parameters, size_t count) {
  for (size_t i = 0; i < f->count; i++) {
    if (f->items[i].key != key) continue;
    f->items[i].used = ++f->clock;
    memcpy(parameters, f->items[i].parameters, count * sizeof *parameters);
    return true;
  }
  return false;
}

static lmopt_status keep(lm_gp_fits *f, uint64_t key, const double *parameters, size_t count) {
  double *copy = lm_alloc(f->allocator, count * sizeof *copy);
  if (!copy || !lm_grow(f->allocator, &f->items, &f->capacity, f->count + 1, sizeof *f->items)) {
    lm_free(f->allocator, copy);
    return LMOPT_NO_MEMORY;
  }
  memcpy(copy, parameters, count * sizeof *copy);
  size_t at = f->count;
  if (f->count >= FITS_KEPT) {
    at = 0;
    for (size_t i = 1; i < f->count; i++) {
      if (f->items[i].used < f->items[at].used) at = i;
    }
    lm_free(f->allocator, f->items[at].parameters);
  } else {
    f->count++;
  }
  f->items[at] = (lm_gp_kept_fit){key, copy, ++f->clock};
  return LMOPT_OK;
}

/* --- which points --- */

/*
** At most `most` of the first `count` points: half of them the best, half the
** latest of the others. Marks them.
*/
static void choose_points(const double *losses, size_t count, size_t most, bool *chosen) {
  for (size_t i = 0; i < count; i++) chosen[i] = count <= most;
  if (count <= most) return;
  for (size_t taken = 0; taken < most / 2; taken++) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
      if (!chosen[i] && (best == SIZE_MAX || losses[i] < losses[best])) best = i;
    }
    chosen[best] = true;
  }
  for (size_t i = count, taken = most / 2; i-- > 0 && taken < most;) {
    if (chosen[i]) continue;
    chosen[i] = true;
    taken++;
  }
}

/* --- the chain of fits --- */

enum { FIRST_FIT = 8, EACH = 32, SPACING = 16 };

/* The number of trials of the fit after the one to `count`: each up to EACH, then one in count / SPACING. */
static size_t next_fit(size_t count) {
  size_t step = count < EACH ? 1 : count / SPACING;
  return count + (step ? step : 1);
}

typedef struct chain {
  lm_gp_fits *fits;
  lm_gp_model *model;
  const double *inputs, *losses;
  bool deterministic;
  double *points, *chosen_losses, *targets; /* scratch */
  bool *chosen;
} chain;

/* Puts at most `most` of the first `count` points into the model; *deviation is that of all their losses. */
static lmopt_status load(chain *c, size_t count, size_t most, double *deviation) {
  size_t d = c->model->dims, taken = 0;
  double mean;
  choose_points(c->losses, count, most, c->chosen);
  lm_gp_standardize(c->losses, count, c->chosen_losses, &mean, deviation);
  for (size_t i = 0; i < count; i++) {
    if (!c->chosen[i]) continue;
    if (d) memcpy(c->points + taken * d, c->inputs + i * d, d * sizeof *c->points);
    c->targets[taken++] = c->chosen_losses[i];
  }
  return lm_gp_set(c->model, c->points, c->targets, taken);
}

static uint64_t hash_points(const chain *c, size_t from, size_t to, uint64_t key) {
  size_t d = c->model->dims;
  key = lm_mix(key ^ lm_hash(c->inputs + from * d, (to - from) * d * sizeof(double)));
  return lm_mix(key + lm_hash(c->losses + from, (to - from) * sizeof(double)));
}

static lmopt_status fit_to(chain *c, size_t count, bool from_current, bool from_ones, double *deviation) {
  lmopt_status status = load(c, count, LM_GP_MOST_FITTED, deviation);
  lm_gp_fit_options o = {.deterministic = c->deterministic, .from_current = from_current, .from_ones = from_ones};
  return status ? status : lm_gp_fit(c->model, &o);
}

/* Two sizes between which the number of trials has doubled. */
static bool doubles(size_t before, size_t after) {
  size_t power = FIRST_FIT;
  while (power <= before) power *= 2;
  return after >= power;
}

/* Follows the chain to the last fit at or below `count`; *deviation is that of its losses. */
static lmopt_status follow(chain *c, size_t count, double *deviation) {
  size_t parameters = c->model->dims + 2, at = count < FIRST_FIT ? count : FIRST_FIT, before = 0;
  uint64_t key = lm_mix(c->model->dims * 2 + c->deterministic);
  bool loaded = false, missed = false;
  lmopt_status status = LMOPT_OK;
  for (;;) {
    key = hash_points(c, before, at, key);
    if (missed || !recall(c->fits, key, c->model->parameters, parameters)) {
      missed = true;
      status = fit_to(c, at, before > 0, doubles(before, at), deviation);
      if (!status) status = keep(c->fits, key, c->model->parameters, parameters);
      if (status) return status;
      loaded = true;
    }
    size_t next = next_fit(at);
    if (next > count) break;
    before = at;
    at = next;
    loaded = false;
  }
  if (loaded) return LMOPT_OK;
  double mean;
  lm_gp_standardize(c->losses, at, c->chosen_losses, &mean, deviation);
  return LMOPT_OK;
}

lmopt_status lm_gp_fits_model(lm_gp_fits *f, lm_gp_model *model, const double *inputs, const double *losses,
                              size_t count, bool deterministic, size_t *kept) {
  size_t d = model->dims;
  double *block = lm_alloc(f->allocator, (count * (d + 2) + 1) * sizeof *block + count * sizeof(bool));
  if (!block) return LMOPT_NO_MEMORY;
  chain c = {f, model, inputs, losses, deterministic, block, block + count * d, NULL, NULL};
  c.targets = c.chosen_losses + count;
  c.chosen = (bool *)(void *)(c.targets + count + 1);
  double then = 0, now = 0;
  lmopt_status status = follow(&c, count, &then);
  if (!status) status = load(&c, count, LM_GP_MOST_POINTS, &now);
  if (!status && then > 0 && now > 0) { /* the same function, in other units */
    double ratio = (then / now) * (then / now);
    LM_GP_SCALE(model) *= ratio;
    if (!deterministic) LM_GP_NOISE(model) = fmax(LM_GP_NOISE(model) * ratio, LM_GP_LEAST_NOISE);
  }
  if (!status) status = lm_gp_factor(model);
  for (size_t i = 0, taken = 0; i < count && kept; i++) {
    if (c.chosen[i]) kept[taken++] = i;
  }
  lm_free(f->allocator, block);
  return status;
}
