#include "search/parzen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/elementary.h"
#include "math/normal.h"

#define SQRT_HALF 0.70710678118654752440
#define LOG_SQRT_2PI 0.91893853320467274178

/* A range end further away than this has no mass beyond it in double precision. */
#define FAR 8.3

/* The smallest bandwidth without magic clip. */
#define TINY_SIGMA 1e-12

enum { HELD = 1, DIRTY = 2 };

/* --- storage --- */

static void place_arrays(lm_parzen *p, char *block, size_t capacity) {
  double *d = (double *)(void *)block;
  p->log_total = d;
  p->weights = d + capacity;
  d += 2 * capacity;
  for (size_t i = 0; i < p->axis_count; i++) {
    p->axes[i].centre = d;
    p->axes[i].scale = d + capacity;
    p->axes[i].log_norm = d + 2 * capacity;
    d += 3 * capacity;
  }
  uint32_t *u = (uint32_t *)(void *)d;
  p->dirty = u;
  u += capacity;
  for (size_t i = 0; i < p->axis_count; i++, u += capacity) p->axes[i].sorted = u;
  p->flags = (uint8_t *)u;
}

static lmopt_status reserve(lm_parzen *p, size_t slots) {
  if (slots <= p->capacity) return LMOPT_OK;
  size_t capacity = p->capacity ? p->capacity : 128;
  while (capacity < slots) capacity += capacity / 2 / 128 * 128 + 128; /* whole blocks, see parzen_density.c */
  size_t per_slot = 8 * (2 + 3 * p->axis_count) + 4 * (1 + p->axis_count) + 1;
  char *block = lm_alloc_zeroed(p->allocator, per_slot * capacity);
  if (!block) return LMOPT_NO_MEMORY;
  char *old_block = p->block;
  size_t old = p->capacity;
  char *from = old_block, *to = block;
  for (size_t i = 0; old && i < 2 + 3 * p->axis_count; i++, from += 8 * old, to += 8 * capacity)
    memcpy(to, from, 8 * old);
  for (size_t i = 0; old && i < 1 + p->axis_count; i++, from += 4 * old, to += 4 * capacity) memcpy(to, from, 4 * old);
  if (old) memcpy(to, from, old);
  place_arrays(p, block, capacity);
  for (size_t i = old; i < capacity; i++) p->log_total[i] = -INFINITY;
  lm_free(p->allocator, old_block);
  p->block = block;
  p->capacity = capacity;
  return LMOPT_OK;
}

static void set_prior(lm_parzen_axis *x);

/* Where the structured variable that begins with axis `first` ends. */
static size_t end_of_group(const lm_parzen *p, size_t first) {
  const lm_part *part = p->axes[first].distribution->part;
  size_t end = first + 1;
  while (end < p->axis_count && part && lm_part_together(part, p->axes[end].distribution->part)) end++;
  return end;
}

static lmopt_status init_groups(lm_parzen *p) {
  size_t count = 0;
  for (size_t i = 0; i < p->axis_count; i = end_of_group(p, i)) count += p->axes[i].distribution->part != NULL;
  if (!count) return LMOPT_OK;
  p->groups = lm_alloc_zeroed(p->allocator, count * sizeof *p->groups);
  if (!p->groups) return LMOPT_NO_MEMORY;
  for (size_t i = 0, end; i < p->axis_count; i = end) {
    end = end_of_group(p, i);
    const lm_part *part = p->axes[i].distribution->part;
    if (part && lm_parzen_group_init(&p->groups[p->group_count++], p->allocator, part, i, end - i))
      return LMOPT_NO_MEMORY;
  }
  return LMOPT_OK;
}

lmopt_status lm_parzen_init(lm_parzen *p, const lm_allocator *a, const lm_distribution *const *distributions,
                            size_t count, const lm_parzen_options *options) {
  memset(p, 0, sizeof *p);
  p->allocator = a;
  p->options = *options;
  p->axes = lm_alloc_zeroed(a, (count ? count : 1) * sizeof *p->axes);
  p->placed = lm_alloc(a, (count ? 2 * count : 1) * sizeof *p->placed);
  if (!p->axes || !p->placed) {
    lm_parzen_free(p);
    return LMOPT_NO_MEMORY;
  }
  p->axis_count = count;
  for (size_t i = 0; i < count; i++) {
    lm_parzen_axis *x = &p->axes[i];
    x->distribution = distributions[i];
    x->numeric = x->distribution->kind != LM_CATEGORICAL && !x->distribution->part;
    if (!x->numeric) continue;
    p->numeric_count++;
    x->discrete = x->distribution->step > 0;
    lm_distribution_range(x->distribution, &x->low, &x->high);
    set_prior(x);
  }
  p->weight_sum = options->prior_weight;
  if (init_groups(p) == LMOPT_OK) return LMOPT_OK;
  lm_parzen_free(p);
  return LMOPT_NO_MEMORY;
}

void lm_parzen_set_prior(lm_parzen *p, size_t axis, const lm_prior *prior) { p->axes[axis].prior = prior; }

void lm_parzen_free(lm_parzen *p) {
  if (!p->allocator) return;
  for (size_t i = 0; i < p->group_count; i++) lm_parzen_group_free(&p->groups[i]);
  lm_free(p->allocator, p->groups);
  lm_free(p->allocator, p->placed);
  lm_free(p->allocator, p->axes);
  lm_free(p->allocator, p->block);
  lm_free(p->allocator, p->scratch);
  memset(p, 0, sizeof *p);
}

void lm_parzen_clear(lm_parzen *p) {
  if (p->flags) memset(p->flags, 0, p->slots);
  for (size_t i = 0; i < p->slots; i++) {
    p->log_total[i] = -INFINITY;
    p->weights[i] = 0;
  }
  p->held = p->slots = p->dirty_count = 0;
  p->changed = p->bulk = true;
}

/* --- bandwidths --- */

static double log_of_sigma(lm_parzen_axis *x, double sigma) {
  if (sigma != x->last_sigma) {
    x->last_sigma = sigma;
    x->last_log = lm_log(sigma);
  }
  return x->last_log;
}

/* The log of the factor that makes exp(-t^2) a density over the range, or bin masses probabilities. */
static double log_normaliser(lm_parzen_axis *x, double centre, double sigma) {
  double a = (x->low - centre) / sigma, b = (x->high - centre) / sigma;
  double log_mass = a < -FAR && b > FAR ? 0 : lm_normal_log_mass(a, b);
  return x->discrete ? -log_mass : -log_mass - log_of_sigma(x, sigma) - LOG_SQRT_2PI;
}

static void set_prior(lm_parzen_axis *x) {
  double sigma = x->high - x->low;
  x->prior_centre = 0.5 * (x->low + x->high);
  x->prior_scale = SQRT_HALF / sigma;
  x->prior_log_norm = log_normaliser(x, x->prior_centre, sigma);
}

double lm_parzen_sigma(const lm_parzen *p, size_t axis, size_t slot) {
  const lm_parzen_axis *x = &p->axes[axis];
  return SQRT_HALF / (slot == SIZE_MAX ? x->prior_scale : x->scale[slot]);
}

static double wanted_clip(const lm_parzen *p) {
  if (!p->options.magic_clip) return 0;
  size_t kernels = p->held + 2;
  return 1.0 / (double)(kernels < 100 ? kernels : 100);
}

static void mark_dirty(lm_parzen *p, size_t slot) {
  if (p->flags[slot] & DIRTY) return;
  p->flags[slot] |= DIRTY;
  p->dirty[p->dirty_count++] = (uint32_t)slot;
}

/* The bandwidth of the observation at `at` in sorted order: the larger distance to its neighbours. */
static void refresh(lm_parzen *p, lm_parzen_axis *x, size_t at) {
  size_t slot = x->sorted[at];
  double centre = x->centre[slot], range = x->high - x->low;
  bool first = at == 0, last = at + 1 == p->held;
  double left = centre - (first ? x->low : x->centre[x->sorted[at - 1]]);
  double right = (last ? x->high : x->centre[x->sorted[at + 1]]) - centre;
  if (!p->options.endpoints && p->held >= 2) {
    if (first) left = right;
    if (last) right = left;
  }
  double sigma = left > right ? left : right;
  double smallest = p->options.magic_clip ? range * p->clip : TINY_SIGMA;
  if (!(sigma > smallest)) sigma = smallest;
  if (sigma > range) sigma = range;
  double scale = SQRT_HALF / sigma;
  if (scale == x->scale[slot]) return;
  x->scale[slot] = scale;
  x->log_norm[slot] = log_normaliser(x, centre, sigma);
  mark_dirty(p, slot);
}

/* --- order --- */

static bool before(const lm_parzen_axis *x, uint32_t a, uint32_t b) {
  double x_a = x->centre[a], x_b = x->centre[b];
  return x_a < x_b || (x_a == x_b && a < b);
}

/* Where `slot` is among the first `count`, or would be. */
static size_t find_place(const lm_parzen_axis *x, size_t count, uint32_t slot) {
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (before(x, x->sorted[middle], slot)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static void sift_down(const lm_parzen_axis *x, size_t root, size_t count) {
  uint32_t *s = x->sorted;
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && before(x, s[child], s[child + 1])) child++;
    if (!before(x, s[root], s[child])) return;
    uint32_t kept = s[root];
    s[root] = s[child];
    s[child] = kept;
  }
}

static void sort_in_place(const lm_parzen_axis *x, size_t count) {
  uint32_t *s = x->sorted;
  for (size_t i = count / 2; i-- > 0;) sift_down(x, i, count);
  for (size_t end = count; end > 1;) {
    uint32_t kept = s[0];
    s[0] = s[--end];
    s[end] = kept;
    sift_down(x, 0, end);
  }
}

typedef struct sort_item {
  uint64_t key;
  uint32_t slot;
} sort_item;

/* Bits that compare as the doubles do; both zeros are equal. */
static uint64_t sort_key(double value) {
  uint64_t bits;
  value += 0.0;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 63 ? ~bits : bits | (uint64_t)1 << 63;
}

/* One pass of a radix sort, by the byte `digit` of the keys; equal ones keep their order. False: they all are. */
static bool sort_by_digit(const sort_item *from, sort_item *to, size_t count, int digit) {
  uint32_t starts[257] = {0};
  int shift = 8 * digit;
  for (size_t i = 0; i < count; i++) starts[((from[i].key >> shift) & 255) + 1]++;
  if (starts[((from[0].key >> shift) & 255) + 1] == count) return false;
  for (int i = 0; i < 256; i++) starts[i + 1] += starts[i];
  for (size_t i = 0; i < count; i++) to[starts[(from[i].key >> shift) & 255]++] = from[i];
  return true;
}

enum { WORTH_A_RADIX_SORT = 128 };

/* Sorts what a study that was just opened has many of: its slots, ascending to begin with, by their centres. */
static void sort_axis(const lm_allocator *a, const lm_parzen_axis *x, size_t count) {
  sort_item *items = count < WORTH_A_RADIX_SORT ? NULL : lm_alloc(a, 2 * count * sizeof *items);
  if (!items) {
    sort_in_place(x, count);
    return;
  }
  sort_item *from = items, *to = items + count;
  for (size_t i = 0; i < count; i++) from[i] = (sort_item){sort_key(x->centre[x->sorted[i]]), x->sorted[i]};
  for (int digit = 0; digit < 8; digit++) {
    if (!sort_by_digit(from, to, count, digit)) continue;
    sort_item *kept = from;
    from = to;
    to = kept;
  }
  for (size_t i = 0; i < count; i++) x->sorted[i] = from[i].slot;
  lm_free(a, items);
}

/* --- observations --- */

lmopt_status lm_parzen_begin(lm_parzen *p, size_t changes) {
  if (changes <= 8 + p->held / 16) return LMOPT_OK;
  p->bulk = true;
  return reserve(p, p->slots + changes);
}

bool lm_parzen_holds(const lm_parzen *p, size_t slot) { return slot < p->slots && (p->flags[slot] & HELD); }

void lm_parzen_drop(lm_parzen *p, size_t slot) {
  if (!lm_parzen_holds(p, slot)) return;
  for (size_t i = 0; i < p->axis_count && !p->bulk; i++) {
    lm_parzen_axis *x = &p->axes[i];
    if (!x->numeric) continue;
    size_t at = find_place(x, p->held, (uint32_t)slot);
    memmove(&x->sorted[at], &x->sorted[at + 1], (p->held - at - 1) * sizeof *x->sorted);
  }
  size_t old = p->held--;
  for (size_t i = 0; i < p->axis_count && !p->bulk; i++) {
    lm_parzen_axis *x = &p->axes[i];
    if (!x->numeric) continue;
    size_t at = find_place(x, p->held, (uint32_t)slot);
    if (at > 0) refresh(p, x, at - 1);
    if (at + 1 < old) refresh(p, x, at);
  }
  p->flags[slot] &= (uint8_t)~HELD;
  p->log_total[slot] = -INFINITY;
  p->weights[slot] = 0;
  p->changed = true;
  while (p->slots > 0 && !p->flags[p->slots - 1]) p->slots--;
}

/* Internal values as they are kept, into p->placed. */
static void place_point(lm_parzen *p, const double *internal) {
  for (size_t i = 0; i < p->axis_count; i++) {
    const lm_parzen_axis *x = &p->axes[i];
    p->placed[i] = x->numeric ? lm_distribution_to_range(x->distribution, internal[i]) : internal[i];
  }
  for (size_t i = 0; i < p->group_count; i++) {
    const lm_parzen_group *g = &p->groups[i];
    lm_parzen_group_place(g, internal + g->first, p->placed + g->first);
  }
}

static bool same_values(const lm_parzen *p, size_t slot) {
  for (size_t i = 0; i < p->axis_count; i++)
    if (p->axes[i].centre[slot] != p->placed[i]) return false;
  return true;
}

lmopt_status lm_parzen_put(lm_parzen *p, size_t slot, const double *internal) {
  place_point(p, internal);
  if (lm_parzen_holds(p, slot)) {
    if (same_values(p, slot)) return LMOPT_OK;
    lm_parzen_drop(p, slot);
  }
  if (slot > UINT32_MAX - 1 || reserve(p, slot + 1)) return LMOPT_NO_MEMORY;
  if (slot >= p->slots) p->slots = slot + 1;
  for (size_t i = 0; i < p->axis_count; i++) {
    lm_parzen_axis *x = &p->axes[i];
    x->centre[slot] = p->placed[i];
    x->scale[slot] = 0; /* no bandwidth equals it: it will be computed */
    if (!x->numeric || p->bulk) continue;
    size_t at = find_place(x, p->held, (uint32_t)slot);
    memmove(&x->sorted[at + 1], &x->sorted[at], (p->held - at) * sizeof *x->sorted);
    x->sorted[at] = (uint32_t)slot;
  }
  p->flags[slot] |= HELD;
  p->held++;
  p->changed = true;
  mark_dirty(p, slot);
  for (size_t i = 0; i < p->axis_count && !p->bulk; i++) {
    lm_parzen_axis *x = &p->axes[i];
    if (!x->numeric) continue;
    size_t at = find_place(x, p->held, (uint32_t)slot);
    if (at > 0) refresh(p, x, at - 1);
    refresh(p, x, at);
    if (at + 1 < p->held) refresh(p, x, at + 1);
  }
  return LMOPT_OK;
}

/* Optuna's default_weights: ones, or from 25 on a ramp over the oldest that ends in 25 ones. */
static void set_weights(lm_parzen *p) {
  size_t ramp = p->held > 25 && !p->options.flat ? p->held - 25 : 0;
  double first = ramp ? 1.0 / (double)p->held : 1;
  double step = ramp > 1 ? (1 - first) / (double)(ramp - 1) : 0;
  double sum = 0;
  size_t rank = 0;
  for (size_t i = 0; i < p->slots; i++) {
    if (!(p->flags[i] & HELD)) continue;
    double w = rank < ramp ? first + (double)rank * step : 1;
    rank++;
    p->weights[i] = w;
    sum += w;
  }
  p->weight_sum = sum + p->options.prior_weight;
}

static void sum_log_norms(lm_parzen *p) {
  for (size_t k = 0; k < p->dirty_count; k++) {
    size_t slot = p->dirty[k];
    p->flags[slot] &= (uint8_t)~DIRTY;
    if (!(p->flags[slot] & HELD)) continue;
    double sum = 0;
    for (size_t i = 0; i < p->axis_count; i++) {
      const lm_parzen_axis *x = &p->axes[i];
      if (x->numeric && !x->discrete) sum += x->log_norm[slot];
    }
    p->log_total[slot] = sum;
  }
  p->dirty_count = 0;
}

void lm_parzen_settle(lm_parzen *p) {
  if (!p->changed) return;
  double clip = wanted_clip(p);
  bool all = p->bulk || clip != p->clip || p->held < 3;
  p->clip = clip;
  for (size_t i = 0; i < p->axis_count && all; i++) {
    lm_parzen_axis *x = &p->axes[i];
    if (!x->numeric) continue;
    if (p->bulk) {
      size_t count = 0;
      for (size_t slot = 0; slot < p->slots; slot++) {
        if (p->flags[slot] & HELD) x->sorted[count++] = (uint32_t)slot;
      }
      sort_axis(p->allocator, x, count);
    }
    for (size_t at = 0; at < p->held; at++) refresh(p, x, at);
  }
  for (size_t i = 0; i < p->group_count; i++) lm_parzen_group_widen(&p->groups[i], p->held, p->options.prior_weight);
  sum_log_norms(p);
  while (p->slots > 0 && !p->flags[p->slots - 1]) p->slots--;
  set_weights(p);
  p->bulk = p->changed = false;
}

/* --- drawing --- */

static double draw_category(const lm_parzen *p, const lm_parzen_axis *x, size_t slot, lm_rng *rng) {
  double u = lm_rng_uniform(rng), choices = (double)x->distribution->count;
  if (slot != SIZE_MAX) {
    /* With probability 1 / (1 + C p/K) the category itself, else any. */
    double own = 1 / (1 + choices * p->options.prior_weight / (double)(p->held + 1));
    if (u < own) return x->centre[slot];
    u = (u - own) / (1 - own);
  }
  if (x->prior) return lm_prior_at(x->prior, x->distribution, u);
  double category = floor(u * choices);
  return category < choices ? category : choices - 1;
}

static const double *centre_of_group(const lm_parzen *p, const lm_parzen_group *g, size_t slot) {
  double *centre = p->placed + p->axis_count;
  for (size_t i = 0; i < g->count; i++) centre[i] = p->axes[g->first + i].centre[slot];
  return centre;
}

void lm_parzen_draw(const lm_parzen *p, lm_rng *rng, double *internal) {
  double left = lm_rng_uniform(rng) * p->weight_sum;
  size_t slot = SIZE_MAX;
  for (size_t i = 0; i < p->slots; i++) {
    if (!(p->flags[i] & HELD)) continue;
    left -= p->weights[i];
    if (left < 0) {
      slot = i;
      break;
    }
  }
  for (size_t i = 0, group = 0; i < p->axis_count; i++) {
    const lm_parzen_axis *x = &p->axes[i];
    if (x->distribution->part) {
      const lm_parzen_group *g = &p->groups[group++];
      lm_parzen_group_draw(g, rng, slot == SIZE_MAX ? NULL : centre_of_group(p, g, slot), internal + i);
      i += g->count - 1;
      continue;
    }
    if (x->distribution->kind == LM_CATEGORICAL) {
      internal[i] = draw_category(p, x, slot, rng);
      continue;
    }
    if (slot == SIZE_MAX && x->prior) {
      internal[i] = lm_prior_at(x->prior, x->distribution, lm_rng_uniform(rng));
      continue;
    }
    double centre = slot == SIZE_MAX ? x->prior_centre : x->centre[slot], sigma = lm_parzen_sigma(p, i, slot);
    double z = lm_truncated_quantile(lm_rng_uniform(rng), (x->low - centre) / sigma, (x->high - centre) / sigma);
    internal[i] = lm_distribution_from_range(x->distribution, centre + z * sigma);
  }
}
