#include "search/gp_study.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "math/elementary.h"

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

static void sort(double *values, size_t count) {
  for (size_t gap = count / 2; gap > 0; gap /= 2) {
    for (size_t i = gap; i < count; i++) {
      double value = values[i];
      size_t k = i;
      for (; k >= gap && values[k - gap] > value; k -= gap) values[k] = values[k - gap];
      values[k] = value;
    }
  }
}

static double median_below(const double *targets, size_t count, double best, double *scratch) {
  for (size_t i = 0; i < count; i++) scratch[i] = best - targets[i];
  sort(scratch, count);
  return scratch[count / 2];
}

/* Mean 0 and deviation 1; gives the logarithm of what they were divided by, -INFINITY when all are equal. */
static double center(double *targets, size_t count) {
  double sum = 0, squares = 0;
  for (size_t i = 0; i < count; i++) sum += targets[i];
  double mean = sum / (double)count;
  for (size_t i = 0; i < count; i++) squares += (targets[i] - mean) * (targets[i] - mean);
  double deviation = sqrt(squares / (double)count);
  for (size_t i = 0; i < count; i++) targets[i] = deviation > 0 ? (targets[i] - mean) / deviation : 0;
  return lm_log(deviation);
}

void lm_gp_warp(double *targets, size_t count, int level, double *slopes) {
  double best = -INFINITY, unit = 0;
  for (size_t i = 0; i < count; i++) best = targets[i] > best ? targets[i] : best;
  if (level > 0 && count) unit = median_below(targets, count, best, slopes);
  for (size_t i = 0; i < count; i++) slopes[i] = 0;
  if (!(unit > 0)) return; /* half of them are the best */
  double s = 10 * unit;
  for (int i = 1; i < level; i++) s *= 0.1;
  for (size_t i = 0; i < count; i++) {
    double below = best - targets[i];
    slopes[i] = -lm_log(s + below);
    targets[i] = -lm_log1p(below / s);
  }
  double divided = center(targets, count);
  for (size_t i = 0; i < count; i++) slopes[i] -= divided;
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

enum { FIRST_FIT = 8, EACH = 32, SPACING = 16, ANEW = 64 };

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
  double *points, *all, *targets, *slopes; /* scratch: all: the targets of all points */
  bool *chosen;
  int level;     /* of the warp */
  double *tried; /* parameters of the best level so far */
} chain;

/*
** Puts at most `most` of the first `count` points into the model; *deviation is
** that of all their losses, before the warp. Gives the sum of the warp's slopes.
*/
static lmopt_status load(chain *c, size_t count, size_t most, double *deviation, double *slope) {
  size_t d = c->model->dims, taken = 0;
  double mean;
  *slope = 0;
  choose_points(c->losses, count, most, c->chosen);
  lm_gp_standardize(c->losses, count, c->all, &mean, deviation);
  lm_gp_warp(c->all, count, c->level, c->slopes);
  for (size_t i = 0; i < count; i++) {
    if (!c->chosen[i]) continue;
    if (d) memcpy(c->points + taken * d, c->inputs + i * d, d * sizeof *c->points);
    c->targets[taken++] = c->all[i];
    *slope += c->slopes[i];
  }
  return lm_gp_set(c->model, c->points, c->targets, taken);
}

static uint64_t hash_points(const chain *c, size_t from, size_t to, uint64_t key) {
  size_t d = c->model->dims;
  key = lm_mix(key ^ lm_hash(c->inputs + from * d, (to - from) * d * sizeof(double)));
  return lm_mix(key + lm_hash(c->losses + from, (to - from) * sizeof(double)));
}

/* How much likelier a stronger warp has to be: where it is not needed, it makes studies look at details too soon. */
#define HANDICAP 10

/* A fit at one level; *score: the log density of the losses and the parameters, but for a constant. */
static lmopt_status fit_at(chain *c, size_t count, int level, const lm_gp_fit_options *o, double *score) {
  double deviation, slope;
  c->level = level;
  lmopt_status status = load(c, count, LM_GP_MOST_FITTED, &deviation, &slope);
  if (!status) status = lm_gp_fit(c->model, o);
  *score = status ? 0 : lm_gp_log_density(c->model) + slope - HANDICAP * level;
  return status;
}

/* The level of the fit before, and those next to it: the likeliest with its parameters stays in the model. */
static lmopt_status fit_to(chain *c, size_t count, bool from_current, bool from_ones) {
  lm_gp_fit_options o = {.deterministic = c->deterministic, .from_current = from_current, .from_ones = from_ones};
  size_t size = (c->model->dims + 2) * sizeof(double);
  double *start = c->tried, *best = c->tried + c->model->dims + 2, highest = -INFINITY, score;
  int old = c->level, reach = c->fits->warp ? (from_current ? 1 : LM_GP_WARPS) : 0, level = old;
  memcpy(start, c->model->parameters, size);
  for (int way = 0; way <= 2 * reach; way++) { /* old, old + 1, old - 1, ...: among equals the old one */
    int there = old + (way % 2 ? (way + 1) / 2 : -(way / 2));
    if (there < 0 || there > LM_GP_WARPS) continue;
    memcpy(c->model->parameters, start, size);
    lmopt_status status = fit_at(c, count, there, &o, &score);
    if (status) return status;
    if (way && !(score > highest)) continue;
    highest = score;
    level = there;
    memcpy(best, c->model->parameters, size);
  }
  c->level = level;
  memcpy(c->model->parameters, best, size);
  return LMOPT_OK;
}

/*
** Does a fit also start from ones? While fits are cheap and few trials say
** little, each; then where the number of trials has doubled.
*/
static bool starts_anew(size_t before, size_t after) {
  if (after <= ANEW) return true;
  size_t power = FIRST_FIT;
  while (power <= before) power *= 2;
  return after >= power;
}

/* Follows the chain to the last fit at or below `count`; *deviation is that of its losses. */
static lmopt_status follow(chain *c, size_t count, double *deviation) {
  size_t d = c->model->dims, at = count < FIRST_FIT ? count : FIRST_FIT, before = 0;
  uint64_t key = lm_mix(d * 4 + (c->fits->warp ? 2 : 0) + c->deterministic);
  double *kept = c->tried + 2 * (d + 2), mean;
  bool missed = false;
  for (;;) {
    key = hash_points(c, before, at, key);
    if (!missed && recall(c->fits, key, kept, d + 3)) {
      memcpy(c->model->parameters, kept, (d + 2) * sizeof *kept);
      c->level = (int)kept[d + 2];
    } else {
      missed = true;
      lmopt_status status = fit_to(c, at, before > 0, starts_anew(before, at));
      if (status) return status;
      memcpy(kept, c->model->parameters, (d + 2) * sizeof *kept);
      kept[d + 2] = c->level;
      status = keep(c->fits, key, kept, d + 3);
      if (status) return status;
    }
    size_t next = next_fit(at);
    if (next > count) break;
    before = at;
    at = next;
  }
  lm_gp_standardize(c->losses, at, c->all, &mean, deviation);
  return LMOPT_OK;
}

lmopt_status lm_gp_fits_model(lm_gp_fits *f, lm_gp_model *model, const double *inputs, const double *losses,
                              size_t count, bool deterministic, size_t *kept) {
  size_t d = model->dims;
  double *block = lm_alloc(f->allocator, (count * (d + 3) + 3 * (d + 3)) * sizeof *block + count * sizeof(bool));
  if (!block) return LMOPT_NO_MEMORY;
  chain c = {f, model, inputs, losses, deterministic, .points = block, .all = block + count * d};
  c.targets = c.all + count;
  c.slopes = c.targets + count;
  c.tried = c.slopes + count;
  c.chosen = (bool *)(void *)(c.tried + 3 * (d + 3));
  double then = 0, now = 0, slope;
  lmopt_status status = follow(&c, count, &then);
  if (!status) status = load(&c, count, LM_GP_MOST_POINTS, &now, &slope);
  if (!status && then > 0 && now > 0 && c.level == 0) { /* the same function, in other units */
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
