/*
** The mixture's log density at a few points, the cost of a TPE proposal.
**
** The sum over kernels leaves out those whose exponent is more than NEGLIGIBLE
** below the largest: with 10^4 kernels they amount to less than an ulp of it.
** Sums run in slot order over blocks of slots, so that the result depends on
** the observations alone.
*/
#include <math.h>
#include <string.h>

#include "math/elementary.h"
#include "math/normal.h"
#include "search/parzen.h"

enum { BLOCK = 128 };

#define NEGLIGIBLE 50.0

/* What one axis adds to a kernel's exponent, prepared for all points. */
typedef struct term {
  const lm_parzen_axis *axis;
  const double *positions; /* continuous: per point */
  const uint32_t *pairs;   /* discrete: per slot, its row of `table` */
  const double *table;     /* discrete: [distinct position][pair] */
  const uint32_t *rows;    /* discrete: per point, which distinct position */
  size_t pair_count;
  double hit, miss;        /* categorical */
} term;

typedef struct point_sum {
  double largest, sum; /* sum of w * exp(e - largest) */
} point_sum;

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

static double bin_log_mass(double low, double high, double centre, double scale, double log_norm, double floor_value) {
  double inverse_sigma = scale / 0.70710678118654752440;
  double a = (low - centre) * inverse_sigma, b = (high - centre) * inverse_sigma;
  double near = a > 0 ? a : b < 0 ? -b : 0;
  if (log_norm - 0.5 * near * near < floor_value) return -1e300; /* an upper bound that is negligible already */
  return lm_normal_log_mass(a, b) + log_norm;
}

static void fill_table(const lm_parzen *p, const lm_parzen_axis *x, const uint32_t *pairs, double value, double floor_value,
                       double *table) {
  double low, high;
  bin_ends(x->distribution, value, &low, &high);
  for (size_t at = 0; at < p->held; at++) {
    uint32_t slot = x->sorted[at];
    if (at > 0 && pairs[slot] == pairs[x->sorted[at - 1]]) continue;
    table[pairs[slot]] = bin_log_mass(low, high, x->centre[slot], x->scale[slot], x->log_norm[slot], floor_value);
  }
}

/* --- scratch: one block, carved --- */

static size_t scratch_size(const lm_parzen *p, size_t count) {
  size_t discrete = 0;
  for (size_t i = 0; i < p->axis_count; i++) discrete += p->axes[i].discrete;
  size_t doubles = p->axis_count * count + count;            /* positions, prior exponents */
  doubles += discrete * (count * (p->held + 1));             /* tables */
  doubles += discrete * (p->slots + count) / 2 + discrete;   /* pairs, rows: 32 bits each */
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
  if (x->distribution->kind == LM_CATEGORICAL) return -lm_log((double)x->distribution->count);
  if (x->discrete) {
    double low, high;
    bin_ends(x->distribution, internal, &low, &high);
    return bin_log_mass(low, high, x->prior_centre, x->prior_scale, x->prior_log_norm, -INFINITY);
  }
  double t = (position - x->prior_centre) * x->prior_scale;
  return x->prior_log_norm - t * t;
}

static void prepare_discrete(const lm_parzen *p, size_t axis, term *t, const double *points, size_t count, double floor_value,
                               uint32_t *pairs, uint32_t *rows, double *table) {
  const lm_parzen_axis *x = &p->axes[axis];
  t->pair_count = number_pairs(p, x, pairs);
  size_t distinct = 0;
  for (size_t c = 0; c < count; c++) {
    double value = points[c * p->axis_count + axis];
    size_t earlier = 0;
    while (earlier < c && points[earlier * p->axis_count + axis] != value) earlier++;
    if (earlier < c) {
      rows[c] = rows[earlier];
      continue;
    }
    fill_table(p, x, pairs, value, floor_value, table + distinct * t->pair_count);
    rows[c] = (uint32_t)distinct++;
  }
  t->pairs = pairs;
  t->rows = rows;
  t->table = table;
}

/* --- exponents of a block of kernels --- */

static void subtract_squares(double *restrict e, const double *restrict centre, const double *restrict scale, double position) {
  for (size_t j = 0; j < BLOCK; j++) {
    double t = (position - centre[j]) * scale[j];
    e[j] -= t * t;
  }
}

static void add_matches(double *restrict e, const double *restrict centre, size_t size, double category, double hit, double miss) {
  for (size_t j = 0; j < size; j++) e[j] += centre[j] == category ? hit : miss;
}

static void add_masses(double *restrict e, const uint32_t *restrict pairs, const double *restrict table, size_t size) {
  for (size_t j = 0; j < size; j++) e[j] += table[pairs[j]];
}

static double largest_of(const double *e) {
  double m[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
  for (size_t j = 0; j < BLOCK; j += 4) {
    for (size_t k = 0; k < 4; k++) m[k] = e[j + k] > m[k] ? e[j + k] : m[k];
  }
  double a = m[0] > m[1] ? m[0] : m[1], b = m[2] > m[3] ? m[2] : m[3];
  return a > b ? a : b;
}

/* Adds a block's kernels to the sum of one point. */
static void add_block(point_sum *s, const double *e, const double *weights) {
  double largest = largest_of(e);
  if (largest <= s->largest - NEGLIGIBLE) return;
  if (largest > s->largest) {
    double shift = s->largest - largest;
    s->sum = shift < -700 ? 0 : s->sum * lm_exp(shift);
    s->largest = largest;
  }
  double kept[BLOCK], kept_weights[BLOCK], limit = s->largest - NEGLIGIBLE;
  size_t count = 0;
  for (size_t j = 0; j < BLOCK; j++) {
    kept[count] = e[j] - s->largest;
    kept_weights[count] = weights[j];
    count += e[j] > limit;
  }
  lm_exp_array(kept, count);
  double sum = 0;
  for (size_t j = 0; j < count; j++) sum += kept_weights[j] * kept[j];
  s->sum += sum;
}

static void block_exponents(const lm_parzen *p, const term *terms, const double *points, size_t point, size_t start, double *e) {
  /* Arrays end at a multiple of the block: the unused slots of the last one hold -inf in log_total. */
  memcpy(e, p->log_total + start, BLOCK * sizeof *e);
  size_t size = p->slots - start < BLOCK ? p->slots - start : BLOCK;
  for (size_t i = 0; i < p->axis_count; i++) {
    const term *t = &terms[i];
    const lm_parzen_axis *x = t->axis;
    if (t->table) {
      add_masses(e, t->pairs + start, t->table + t->rows[point] * t->pair_count, size);
    } else if (t->positions) {
      subtract_squares(e, x->centre + start, x->scale + start, t->positions[point]);
    } else {
      add_matches(e, x->centre + start, size, points[point * p->axis_count + i], t->hit, t->miss);
    }
  }
}

static void prepare_terms(lm_parzen *p, const double *points, size_t count, term *terms, point_sum *sums, double *free_space) {
  double lowest_prior = INFINITY, top = -INFINITY;
  for (size_t i = 0; i < p->axis_count; i++, free_space += count) {
    lm_parzen_axis *x = &p->axes[i];
    bool numeric = x->distribution->kind != LM_CATEGORICAL;
    for (size_t c = 0; c < count; c++) {
      double internal = points[c * p->axis_count + i];
      free_space[c] = numeric && !x->discrete ? lm_distribution_to_range(x->distribution, internal) : internal;
      sums[c].largest = (i ? sums[c].largest : 0) + prior_term(x, internal, free_space[c]);
    }
    double q = p->options.prior_weight / (double)(p->held + 1), choices = (double)x->distribution->count;
    terms[i] = (term){.axis = x, .positions = numeric && !x->discrete ? free_space : NULL};
    if (!numeric) {
      terms[i].hit = lm_log((1 + q) / (1 + choices * q));
      terms[i].miss = lm_log(q / (1 + choices * q));
    }
  }
  for (size_t c = 0; c < count; c++) {
    sums[c].sum = p->options.prior_weight;
    if (sums[c].largest < lowest_prior) lowest_prior = sums[c].largest;
  }
  for (size_t j = 0; j < p->slots; j++) top = p->log_total[j] > top ? p->log_total[j] : top;
  for (size_t i = 0; i < p->axis_count; i++) {
    if (!p->axes[i].discrete) continue;
    double *table = free_space;
    free_space += count * (p->held + 1);
    uint32_t *pairs = (uint32_t *)(void *)free_space;
    free_space += (p->slots + count) / 2 + 1;
    prepare_discrete(p, i, &terms[i], points, count, lowest_prior - top - NEGLIGIBLE, pairs, pairs + p->slots, table);
  }
}

lmopt_status lm_parzen_density(lm_parzen *p, const double *points, size_t count, double *log_density) {
  if (reserve_scratch(p, scratch_size(p, count))) return LMOPT_NO_MEMORY;
  point_sum *sums = (point_sum *)(void *)p->scratch;
  term *terms = (term *)(void *)(sums + count);
  double *free_space = (double *)(void *)(terms + p->axis_count);
  prepare_terms(p, points, count, terms, sums, free_space);
  for (size_t start = 0; start < p->slots; start += BLOCK) {
    for (size_t c = 0; c < count; c++) {
      double e[BLOCK];
      block_exponents(p, terms, points, c, start, e);
      add_block(&sums[c], e, p->weights + start);
    }
  }
  double log_weights = lm_log(p->weight_sum);
  for (size_t c = 0; c < count; c++) log_density[c] = lm_log(sums[c].sum) + sums[c].largest - log_weights;
  return LMOPT_OK;
}
