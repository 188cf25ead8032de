/*
** The mixture's log density at a few points, the cost of a TPE proposal.
**
** The sum over kernels leaves out those whose exponent is more than NEGLIGIBLE
** below the largest: with 10^4 kernels they amount to less than an ulp of it.
** Upper bounds in single precision find the few that are left, four at a time;
** only those are computed exactly. The bounds err by less than MARGIN, so that
** they never decide about the result. Sums run in slot order within blocks of
** slots: the result depends on the observations alone.
*/
#include <math.h>
#include <string.h>

#include "math/elementary.h"
#include "math/normal.h"
#include "search/parzen.h"

enum { BLOCK = 128, AT_ONCE = 4 };

/*
** Compiled twice, for the widest vectors the processor has: without fused
** multiply-add and with the same order of sums, both give the same bits.
*/
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

#define SQRT_HALF 0.70710678118654752440
#define NEGLIGIBLE 50.0

/*
** With magic clip no bandwidth is below a hundredth of the range; positions are
** taken from the range's low end: a bound of d axes is wrong by less than 0.01 + d / 2000.
*/
#define MARGIN(axes) (0.25 + 1e-3 * (double)(axes))

/* What one axis adds to a kernel's exponent, prepared for all points. */
typedef struct term {
  const lm_parzen_axis *axis;
  size_t index;            /* of the axis */
  const double *positions; /* continuous: per point */
  const uint32_t *pairs;   /* discrete: per slot, its row of `table` */
  double *table;           /* discrete: [distinct position][pair], NaN until it is needed */
  const double *ends;      /* discrete: the bin of each distinct position */
  const uint32_t *rows;    /* discrete: per point, which distinct position */
  size_t pair_count;
  const double *hits, *misses; /* categorical: per point, of kernels that have its category, and of others */
  lm_parzen_group *group;      /* structured: the kernels' */
  const double *placed;        /* and the points as they see them, one after the other */
} term;

typedef struct point_sum {
  double largest, sum; /* sum of w * exp(e - largest) */
} point_sum;

typedef struct plan {
  term *terms; /* continuous axes first */
  size_t count, continuous;
  point_sum *sums; /* per point */
  const double *points;
  float *panel; /* of one block: log weights of the bound, then centres and scales per term */
} plan;

/* --- discrete axes: kernels that agree in centre and bandwidth share one column of a table --- */

static size_t number_pairs(const lm_parzen *p, const lm_parzen_axis *x, uint32_t *pairs) {
  size_t count = 0;
  memset(pairs, 0, p->slots * sizeof *pairs); /* slots that hold nothing read some entry, whichever */
  for (size_t at = 0; at < p->held; at++) {
    uint32_t slot = x->sorted[at];
    if (at > 0) {
      uint32_t previous = x->sorted[at - 1];
      if (x->centre[slot] != x->centre[previous] || x->scale[slot] != x->scale[previous]) count++;
    }
    pairs[slot] = (uint32_t)count;
  }
  return p->held ? count + 1 : 0;
}

/* The ends of the bin of a grid value, in the range. */
static void bin_ends(const lm_distribution *d, double value, double *low, double *high) {
  *low = lm_distribution_to_range(d, value - d->step / 2);
  *high = lm_distribution_to_range(d, value + d->step / 2);
}

static double bin_log_mass(double low, double high, double centre, double scale, double log_norm) {
  double inverse_sigma = scale / SQRT_HALF;
  return lm_normal_log_mass((low - centre) * inverse_sigma, (high - centre) * inverse_sigma) + log_norm;
}

/* --- scratch: one block, carved --- */

static size_t scratch_size(const lm_parzen *p, size_t count) {
  size_t discrete = 0;
  for (size_t i = 0; i < p->axis_count; i++) discrete += p->axes[i].discrete;
  size_t doubles = 2 * p->axis_count * count + count;      /* positions or hits, misses, prior exponents */
  doubles += discrete * count * (p->held + 1 + 2);         /* tables, bins */
  doubles += BLOCK / 2 * (2 * p->axis_count + 1);          /* the panel */
  doubles += discrete * (p->slots + count) / 2 + discrete; /* pairs, rows: 32 bits each */
  doubles += (sizeof(point_sum) * count + sizeof(term) * p->axis_count) / sizeof(double) + 2;
  return doubles;
}

static lmopt_status reserve_scratch(lm_parzen *p, size_t doubles) {
  if (doubles <= p->scratch_capacity) return LMOPT_OK;
  size_t wanted = doubles + doubles / 2;
  double *scratch = lm_alloc(p->allocator, wanted * sizeof *scratch);
  if (!scratch) return LMOPT_NO_MEMORY;
  lm_free(p->allocator, p->scratch);
  p->scratch = scratch;
  p->scratch_capacity = wanted;
  return LMOPT_OK;
}

/* The prior's exponent at one point, one axis. */
static double prior_term(const lm_parzen_axis *x, double internal, double position) {
  if (x->prior) return lm_prior_log_density(x->prior, x->distribution, internal);
  if (x->distribution->kind == LM_CATEGORICAL) return -lm_log((double)x->distribution->count);
  if (x->discrete) {
    double low, high;
    bin_ends(x->distribution, internal, &low, &high);
    return bin_log_mass(low, high, x->prior_centre, x->prior_scale, x->prior_log_norm);
  }
  double t = (position - x->prior_centre) * x->prior_scale;
  return x->prior_log_norm - t * t;
}

static void prepare_discrete(const lm_parzen *p, term *t, const double *points, size_t count, uint32_t *pairs,
                             uint32_t *rows, double *ends) {
  t->pair_count = number_pairs(p, t->axis, pairs);
  size_t distinct = 0;
  for (size_t c = 0; c < count; c++) {
    double value = points[c * p->axis_count + t->index];
    size_t earlier = 0;
    while (earlier < c && points[earlier * p->axis_count + t->index] != value) earlier++;
    if (earlier < c) {
      rows[c] = rows[earlier];
      continue;
    }
    bin_ends(t->axis->distribution, value, &ends[distinct * 2], &ends[distinct * 2 + 1]);
    rows[c] = (uint32_t)distinct++;
  }
  t->pairs = pairs;
  t->rows = rows;
  t->ends = ends;
  t->table = ends + 2 * count;
  for (size_t i = 0; i < distinct * t->pair_count; i++) t->table[i] = NAN;
}

/* --- bounds of a block of kernels --- */

/* Single-precision copies, for all points to use. */
static void fill_panel(const lm_parzen *p, const plan *q, size_t start) {
  float *bound = q->panel;
  for (size_t j = 0; j < BLOCK; j++) bound[j] = (float)p->log_total[start + j];
  for (size_t i = 0; i < q->count; i++) {
    const lm_parzen_axis *x = q->terms[i].axis;
    if (q->terms[i].group) continue;
    float *centre = q->panel + BLOCK * (1 + 2 * i), *scale = centre + BLOCK;
    for (size_t j = 0; j < BLOCK; j++) centre[j] = (float)(x->centre[start + j] - x->low);
    for (size_t j = 0; j < BLOCK; j++) scale[j] = (float)x->scale[start + j];
    for (size_t j = 0; j < BLOCK && x->discrete; j++) bound[j] += (float)x->log_norm[start + j];
  }
}

static void subtract_square(float *restrict e, const float *restrict panel, float position) {
  for (size_t j = 0; j < BLOCK; j++) {
    float t = (position - panel[j]) * panel[BLOCK + j];
    e[j] -= t * t;
  }
}

/* The same for four axes in one pass. */
WIDE static void subtract_squares(float *restrict e, const float *restrict panel, const float *x) {
  const float *restrict a = panel, *restrict b = a + 2 * BLOCK, *restrict c = b + 2 * BLOCK,
                        *restrict d = c + 2 * BLOCK;
  float x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
  for (size_t j = 0; j < BLOCK; j++) {
    float t0 = (x0 - a[j]) * a[BLOCK + j], t1 = (x1 - b[j]) * b[BLOCK + j];
    float t2 = (x2 - c[j]) * c[BLOCK + j], t3 = (x3 - d[j]) * d[BLOCK + j];
    e[j] -= (t0 * t0 + t1 * t1) + (t2 * t2 + t3 * t3);
  }
}

/* A bin has no more than exp(-t^2) of the kernel's mass, t the distance of its nearer end. */
static void subtract_bin(float *restrict e, const float *restrict panel, float low, float high) {
  for (size_t j = 0; j < BLOCK; j++) {
    float below = low - panel[j], above = panel[j] - high;
    float distance = below > above ? below : above;
    distance = distance > 0 ? distance : 0;
    float t = distance * panel[BLOCK + j];
    e[j] -= t * t;
  }
}

static void add_matches(float *restrict e, const float *restrict panel, float category, float hit, float miss) {
  for (size_t j = 0; j < BLOCK; j++) e[j] += panel[j] == category ? hit : miss;
}

WIDE static float largest_of(const float *e) {
  float half[BLOCK / 2];
  for (size_t j = 0; j < BLOCK / 2; j++) half[j] = e[j] > e[j + BLOCK / 2] ? e[j] : e[j + BLOCK / 2];
  for (size_t size = BLOCK / 4; size >= 4; size /= 2) {
    for (size_t j = 0; j < size; j++) half[j] = half[j] > half[j + size] ? half[j] : half[j + size];
  }
  float a = half[0] > half[1] ? half[0] : half[1], b = half[2] > half[3] ? half[2] : half[3];
  return a > b ? a : b;
}

/* Every term can only lower a bound: false as soon as all are below the limit. */
static bool bound_block(const lm_parzen *p, const plan *q, size_t point, float limit, float *e) {
  memcpy(e, q->panel, BLOCK * sizeof *e);
  for (size_t i = 0; i < q->count; i++) {
    const term *t = &q->terms[i];
    const float *panel = q->panel + BLOCK * (1 + 2 * i);
    double low = t->axis->low;
    if (t->group) continue; /* a probability: at most 1 */
    if (t->positions && i + AT_ONCE <= q->continuous) {
      float x[AT_ONCE];
      for (size_t k = 0; k < AT_ONCE; k++) x[k] = (float)(t[k].positions[point] - t[k].axis->low);
      subtract_squares(e, panel, x);
      i += AT_ONCE - 1;
      if (!(largest_of(e) > limit)) return false;
    } else if (t->positions) {
      subtract_square(e, panel, (float)(t->positions[point] - low));
    } else if (t->table) {
      const double *ends = t->ends + 2 * t->rows[point];
      subtract_bin(e, panel, (float)(ends[0] - low), (float)(ends[1] - low));
    } else {
      add_matches(e, panel, (float)q->points[point * p->axis_count + t->index], (float)t->hits[point],
                  (float)t->misses[point]);
    }
  }
  return largest_of(e) > limit;
}

/* --- exact exponents of the few that are left --- */

/* What the continuous axes make of the whole block: cheaper, and the same bit for bit, when many are left. */
static void block_exponents(const lm_parzen *p, const plan *q, size_t point, size_t start, double *restrict e) {
  for (size_t j = 0; j < BLOCK; j++) e[j] = p->log_total[start + j];
  for (size_t i = 0; i < q->continuous; i++) {
    const double *restrict centre = q->terms[i].axis->centre + start, *restrict scale = q->terms[i].axis->scale + start;
    double position = q->terms[i].positions[point];
    for (size_t j = 0; j < BLOCK; j++) {
      double d = (position - centre[j]) * scale[j];
      e[j] -= d * d;
    }
  }
}

static double continuous_exponent(const lm_parzen *p, const plan *q, size_t point, size_t slot) {
  double e = p->log_total[slot];
  for (size_t i = 0; i < q->continuous; i++) {
    const term *t = &q->terms[i];
    double d = (t->positions[point] - t->axis->centre[slot]) * t->axis->scale[slot];
    e -= d * d;
  }
  return e;
}

static double group_exponent(const lm_parzen *p, const term *t, size_t point, size_t slot) {
  const lm_parzen_group *g = t->group;
  double *centre = p->placed + p->axis_count;
  for (size_t i = 0; i < g->count; i++) centre[i] = t->axis[i].centre[slot];
  return lm_parzen_group_density(t->group, t->placed + point * g->count, centre);
}

/* The log probability of the point's value on a discrete or categorical axis, or of a structured variable. */
static double discrete_exponent(const lm_parzen *p, const plan *q, const term *t, size_t point, size_t slot) {
  const lm_parzen_axis *x = t->axis;
  if (t->group) return group_exponent(p, t, point, slot);
  if (!t->table)
    return x->centre[slot] == q->points[point * p->axis_count + t->index] ? t->hits[point] : t->misses[point];
  size_t row = t->rows[point];
  double *mass = &t->table[row * t->pair_count + t->pairs[slot]];
  if (isnan(*mass))
    *mass = bin_log_mass(t->ends[2 * row], t->ends[2 * row + 1], x->centre[slot], x->scale[slot], x->log_norm[slot]);
  return *mass;
}

static void exponents(const lm_parzen *p, const plan *q, size_t point, size_t start, const uint32_t *left, size_t count,
                      double *e) {
  if (count > BLOCK / 4) {
    double all[BLOCK];
    block_exponents(p, q, point, start, all);
    for (size_t i = 0; i < count; i++) e[i] = all[left[i]];
  } else {
    for (size_t i = 0; i < count; i++) e[i] = continuous_exponent(p, q, point, start + left[i]);
  }
  for (size_t k = q->continuous; k < q->count; k++) {
    for (size_t i = 0; i < count; i++) e[i] += discrete_exponent(p, q, &q->terms[k], point, start + left[i]);
  }
}

/* Adds `count` kernels with exponents e and weights w to the sum of one point. */
static void add_kernels(point_sum *s, double *restrict e, double *restrict w, size_t count) {
  double largest = s->largest;
  for (size_t i = 0; i < count; i++) largest = e[i] > largest ? e[i] : largest;
  if (largest > s->largest) {
    double shift = s->largest - largest;
    s->sum = shift < -700 ? 0 : s->sum * lm_exp(shift);
    s->largest = largest;
  }
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    double below = e[i] - largest;
    if (!(below > -NEGLIGIBLE)) continue;
    e[kept] = below;
    w[kept++] = w[i];
  }
  double sum = 0;
  for (size_t i = 0; i < kept; i++) w[i] *= lm_exp_bounded(e[i]);
  for (size_t i = 0; i < kept; i++) sum += w[i];
  s->sum += sum;
}

static void visit_block(const lm_parzen *p, const plan *q, size_t point, size_t start) {
  point_sum *s = &q->sums[point];
  double limit = s->largest - NEGLIGIBLE - MARGIN(p->axis_count), e[BLOCK], w[BLOCK];
  float bounds[BLOCK];
  uint32_t left[BLOCK + 1];
  size_t count = 0;
  if (p->options.magic_clip) {
    if (!bound_block(p, q, point, (float)limit, bounds)) return;
    for (uint32_t j = 0; j < BLOCK; j++) {
      left[count] = j;
      count += bounds[j] > (float)limit;
    }
  } else { /* bandwidths may be tiny: no bound in single precision is safe */
    for (uint32_t j = 0; j < BLOCK; j++) {
      left[count] = j;
      count += p->weights[start + j] > 0;
    }
  }
  exponents(p, q, point, start, left, count, e);
  for (size_t i = 0; i < count; i++) w[i] = p->weights[start + left[i]];
  add_kernels(s, e, w, count);
}

/* A structured variable is one term; what its kernels see of the points takes the room of all its axes. */
static term group_term(const lm_parzen *p, plan *q, lm_parzen_group *g, size_t count, double *positions) {
  for (size_t c = 0; c < count; c++) {
    lm_parzen_group_place(g, q->points + c * p->axis_count + g->first, positions + c * g->count);
    q->sums[c].largest += g->prior;
  }
  return (term){.axis = &p->axes[g->first], .index = g->first, .group = g, .placed = positions};
}

/*
** A category's kernel has its own category, and with `share` any: each as often
** as the prior's, whose probabilities are uniform unless something is believed.
*/
static void prepare_category(const lm_parzen *p, term *t, const plan *q, size_t count, double *hits, double *misses) {
  const lm_parzen_axis *x = t->axis;
  double share = p->options.prior_weight / (double)(p->held + 1), choices = (double)x->distribution->count;
  double all = 1 + choices * share;
  for (size_t c = 0; c < count; c++) {
    double part = share;
    if (x->prior) {
      size_t category = (size_t)q->points[c * p->axis_count + t->index];
      part = choices * share * lm_prior_share(x->prior, x->distribution, category);
    }
    bool same = !x->prior && c > 0;
    hits[c] = same ? hits[0] : lm_log((1 + part) / all);
    misses[c] = same ? misses[0] : lm_log(part / all);
  }
  t->hits = hits;
  t->misses = misses;
}

/* Places the terms, and begins every sum with the prior. */
static void prepare_terms(const lm_parzen *p, plan *q, size_t count, double *positions, double *misses) {
  size_t first = 0, last = q->count, group = 0;
  for (size_t c = 0; c < count; c++) q->sums[c] = (point_sum){0, p->options.prior_weight};
  for (size_t i = 0; i < p->axis_count; i++, positions += count, misses += count) {
    const lm_parzen_axis *x = &p->axes[i];
    if (x->distribution->part) {
      lm_parzen_group *g = &p->groups[group++];
      q->terms[--last] = group_term(p, q, g, count, positions);
      positions += (g->count - 1) * count;
      i += g->count - 1;
      continue;
    }
    bool numeric = x->numeric, continuous = numeric && !x->discrete;
    for (size_t c = 0; c < count; c++) {
      double internal = q->points[c * p->axis_count + i];
      positions[c] = continuous ? lm_distribution_to_range(x->distribution, internal) : internal;
      q->sums[c].largest += prior_term(x, internal, positions[c]);
    }
    term *t = continuous ? &q->terms[first++] : &q->terms[--last];
    *t = (term){.axis = x, .index = i, .positions = continuous ? positions : NULL};
    if (!numeric) prepare_category(p, t, q, count, positions, misses);
  }
  q->continuous = first;
}

static void prepare_tables(const lm_parzen *p, plan *q, size_t count, double *free_space) {
  for (size_t i = q->continuous; i < q->count; i++) {
    if (!q->terms[i].axis->discrete) continue;
    double *ends = free_space;
    free_space += count * (p->held + 1 + 2);
    uint32_t *pairs = (uint32_t *)(void *)free_space;
    free_space += (p->slots + count) / 2 + 1;
    prepare_discrete(p, &q->terms[i], q->points, count, pairs, pairs + p->slots, ends);
  }
}

lmopt_status lm_parzen_density(lm_parzen *p, const double *points, size_t count, double *log_density) {
  if (reserve_scratch(p, scratch_size(p, count))) return LMOPT_NO_MEMORY;
  plan q = {.sums = (point_sum *)(void *)p->scratch, .points = points, .count = p->axis_count};
  for (size_t i = 0; i < p->group_count; i++) q.count -= p->groups[i].count - 1;
  q.terms = (term *)(void *)(q.sums + count);
  double *free_space = (double *)(void *)(q.terms + p->axis_count);
  double *misses = free_space + p->axis_count * count, *panel = misses + p->axis_count * count;
  prepare_terms(p, &q, count, free_space, misses);
  q.panel = (float *)(void *)panel;
  prepare_tables(p, &q, count, panel + BLOCK / 2 * (2 * p->axis_count + 1));
  /* The newest first: they are the likeliest to be near a candidate, and to make the others negligible. */
  for (size_t blocks = (p->slots + BLOCK - 1) / BLOCK; blocks-- > 0;) {
    if (p->options.magic_clip) fill_panel(p, &q, blocks * BLOCK);
    for (size_t c = 0; c < count; c++) visit_block(p, &q, c, blocks * BLOCK);
  }
  double log_weights = lm_log(p->weight_sum);
  for (size_t c = 0; c < count; c++) log_density[c] = lm_log(q.sums[c].sum) + q.sums[c].largest - log_weights;
  return LMOPT_OK;
}
