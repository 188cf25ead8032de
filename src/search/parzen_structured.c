#include "search/parzen_structured.h"

#include <math.h>
#include <string.h>

#include "math/elementary.h"

/* --- one group --- */

lmopt_status lm_parzen_group_init(lm_parzen_group *g, const lm_allocator *a, const lm_part *part, size_t first,
                                  size_t count) {
  memset(g, 0, sizeof *g);
  g->allocator = a;
  g->part = *part;
  g->part.item = NULL;
  g->first = first;
  g->count = count;
  g->least = lm_structure_least(part, count);
  g->most = lm_structure_most(part, count);
  size_t size = count + 1;
  g->log_factorial = lm_alloc(a, 6 * size * sizeof *g->log_factorial);
  if (!g->log_factorial) return LMOPT_NO_MEMORY;
  g->log_norm = g->log_factorial + size;
  g->scratch = g->log_norm + size;
  g->log_factorial[0] = 0;
  for (size_t i = 1; i < size; i++) g->log_factorial[i] = g->log_factorial[i - 1] + lm_log((double)i);
  lm_parzen_group_widen(g, 1, 1);
  return LMOPT_OK;
}

void lm_parzen_group_free(lm_parzen_group *g) {
  if (g->allocator) lm_free(g->allocator, g->log_factorial);
  memset(g, 0, sizeof *g);
}

static double log_binomial(const lm_parzen_group *g, size_t n, size_t k) {
  return g->log_factorial[n] - g->log_factorial[k] - g->log_factorial[n - k];
}

/* --- subsets --- */

/*
** How a value differs from a centre of m items: `removed` of these are gone and
** `added` others are there. Each such value has the weight odds^(removed + added).
*/
typedef struct changes {
  size_t first, last; /* how many may be removed, or added */
} changes;

static changes removable(const lm_parzen_group *g, size_t m) {
  changes c = {m > g->most ? m - g->most : 0, m < g->count - g->least ? m : g->count - g->least};
  return c;
}

static changes addable(const lm_parzen_group *g, size_t m) {
  changes c = {m < g->least ? g->least - m : 0, g->count - m < g->most ? g->count - m : g->most};
  return c;
}

/* Fills weights[k] for k of n items changed, relative to the largest, whose log it returns. */
static double fill_weights(const lm_parzen_group *g, size_t n, changes c, double log_odds, double *weights) {
  double largest = -INFINITY;
  for (size_t k = c.first; k <= c.last; k++) {
    weights[k] = log_binomial(g, n, k) + (double)k * log_odds;
    if (weights[k] > largest) largest = weights[k];
  }
  for (size_t k = c.first; k <= c.last; k++) weights[k] = lm_exp(weights[k] - largest);
  return largest;
}

/*
** The weight of each number of removals, with all numbers of additions that the
** bounds allow beside it, is put into scratch[removed]; the weights of single
** additions follow at scratch + count + 1. Returns the log of their common factor.
*/
static double fill_changes(const lm_parzen_group *g, size_t m, changes gone, changes come) {
  double *removed = g->scratch, *added = removed + g->count + 1, *sums = added + g->count + 1;
  double factor =
      fill_weights(g, m, gone, g->log_odds, removed) + fill_weights(g, g->count - m, come, g->log_odds, added);
  double sum = 0;
  for (size_t k = come.first; k <= come.last; k++) sums[k] = sum += added[k];
  for (size_t a = gone.first; a <= gone.last; a++) {
    size_t kept = m - a;
    size_t low = g->least > kept ? g->least - kept : 0, high = g->most - kept;
    if (low < come.first) low = come.first;
    if (high > come.last) high = come.last;
    double below = low > come.first ? sums[low - 1] : 0;
    removed[a] *= low <= high ? sums[high] - below : 0;
  }
  return factor;
}

static double subset_norm(lm_parzen_group *g, size_t m) {
  if (!isnan(g->log_norm[m])) return g->log_norm[m];
  changes gone = removable(g, m), come = addable(g, m);
  double factor = fill_changes(g, m, gone, come), sum = 0;
  for (size_t a = gone.first; a <= gone.last; a++) sum += g->scratch[a];
  return g->log_norm[m] = factor + (sum > 0 ? lm_log(sum) : -700); /* bounds far from the centre: next to nothing */
}

static size_t size_of(const double *centre, size_t count) {
  size_t m = 0;
  for (size_t i = 0; i < count; i++) m += centre[i] > 0;
  return m;
}

/* An index from first to last, in proportion to its weight. */
static size_t draw_index(lm_rng *rng, const double *weights, size_t first, size_t last) {
  double sum = 0;
  for (size_t k = first; k <= last; k++) sum += weights[k];
  double left = lm_rng_uniform(rng) * sum;
  for (size_t k = first; k < last; k++)
    if ((left -= weights[k]) < 0) return k;
  return last;
}

static void draw_subset(const lm_parzen_group *g, lm_rng *rng, const double *centre, double *values) {
  size_t m = size_of(centre, g->count);
  changes gone = removable(g, m), come = addable(g, m);
  fill_changes(g, m, gone, come);
  size_t remove = draw_index(rng, g->scratch, gone.first, gone.last), kept = m - remove;
  size_t low = g->least > kept ? g->least - kept : 0, high = g->most - kept;
  if (low < come.first) low = come.first;
  if (high > come.last) high = come.last;
  size_t add = low < high ? draw_index(rng, g->scratch + g->count + 1, low, high) : low;
  size_t inside = m, outside = g->count - m;
  for (size_t i = 0; i < g->count; i++) {
    bool was = centre[i] > 0;
    size_t *left = was ? &inside : &outside, *change = was ? &remove : &add;
    bool changed = lm_rng_below(rng, (*left)--) < *change;
    *change -= changed;
    values[i] = was != changed;
  }
}

static double subset_density(lm_parzen_group *g, const double *placed, const double *centre) {
  double different = 0, m = 0;
  for (size_t i = 0; i < g->count; i++) {
    different += placed[i] != centre[i];
    m += centre[i];
  }
  return different * g->log_odds - subset_norm(g, (size_t)m);
}

/* --- orders --- */

/* The log of 1 + q + ... + q^(n - 1), summed over all n up to count: what Mallows' kernel sums to. */
static double mallows_norm(double q, size_t count) {
  double product = 1, log_product = 0, sum = 0, power = 1;
  for (size_t n = 1; n <= count; n++) {
    sum += power;
    power *= q;
    product *= sum;
    if (product < 1e200) continue;
    log_product += lm_log(product);
    product = 1;
  }
  return log_product + lm_log(product);
}

/* How many inversions a draw has on average. */
static double mean_inversions(double q, size_t count) {
  double mean = 0, sum = 0, weighted = 0, power = 1;
  for (size_t n = 1; n <= count; n++) { /* the n-th item is inserted k places from the end with weight q^k */
    sum += power;
    weighted += (double)(n - 1) * power;
    power *= q;
    mean += weighted / sum;
  }
  return mean;
}

/* The q of so many inversions on average. */
static double solve_q(double wanted, size_t count) {
  double low = 0, high = 1;
  for (int i = 0; i < 40; i++) {
    double middle = 0.5 * (low + high);
    if (mean_inversions(middle, count) < wanted) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return high;
}

static void draw_order(const lm_parzen_group *g, lm_rng *rng, const double *centre, double *keys) {
  double q = lm_exp(g->log_odds), *order = g->scratch, *items = order + g->count;
  for (size_t i = 0; i < g->count; i++) items[(size_t)centre[i]] = (double)i;
  double sum = 0, power = 1;
  for (size_t n = 0; n < g->count; n++) {
    sum += power;
    power *= q;
    double left = lm_rng_uniform(rng) * sum, weight = 1;
    size_t back = 0;
    while (back < n && (left -= weight) >= 0) {
      weight *= q;
      back++;
    }
    memmove(order + n - back + 1, order + n - back, back * sizeof *order);
    order[n - back] = items[n];
  }
  for (size_t i = 0; i < g->count; i++) keys[(size_t)order[i]] = lm_structure_key(i, g->count);
}

/* Inversions while two sorted runs are merged, for all runs: O(n log n). */
static double merge_inversions(double *from, double *to, size_t count) {
  double inversions = 0;
  for (size_t width = 1; width < count; width *= 2) {
    for (size_t start = 0; start < count; start += 2 * width) {
      size_t middle = start + width < count ? start + width : count;
      size_t end = start + 2 * width < count ? start + 2 * width : count;
      size_t a = start, b = middle;
      for (size_t k = start; k < end; k++) {
        if (a < middle && (b >= end || from[a] <= from[b])) {
          to[k] = from[a++];
        } else {
          inversions += (double)(middle - a);
          to[k] = from[b++];
        }
      }
    }
    double *kept = from;
    from = to;
    to = kept;
  }
  return inversions;
}

enum { FEW = 24 };

/* Pairs of items that the two have in different orders. */
static double kendall_distance(const lm_parzen_group *g, const double *a, const double *b) {
  if (g->count <= FEW) {
    int pairs = 0;
    for (size_t i = 1; i < g->count; i++)
      for (size_t k = 0; k < i; k++) pairs += (a[i] < a[k]) != (b[i] < b[k]);
    return pairs;
  }
  double *sequence = g->scratch;
  for (size_t i = 0; i < g->count; i++) sequence[(size_t)a[i]] = b[i];
  return merge_inversions(sequence, sequence + g->count, g->count);
}

/* --- both --- */

/* An item differs as often as a category would: with probability p / K to either side, p the prior's weight. */
static void widen_subsets(lm_parzen_group *g, double share) {
  changes sizes = {g->least, g->most};
  double factor = fill_weights(g, g->count, sizes, 0, g->scratch), sum = 0;
  for (size_t k = g->least; k <= g->most; k++) sum += g->scratch[k];
  g->prior = -factor - lm_log(sum);
  g->log_odds = lm_log(share / (1 + share));
  for (size_t m = 0; m <= g->count; m++) g->log_norm[m] = NAN;
}

/*
** A draw has as many inversions on average as a share of the items, smaller the
** more kernels there are; never so many that nothing is left of the centre.
*/
static void widen_orders(lm_parzen_group *g, double share) {
  double n = (double)g->count, most = 0.45 * n * (n - 1) / 2;
  double wanted = 2 * (n - 1) * sqrt(share); /* 0.6 (n - 1) for ten kernels */
  if (wanted > 0.6 * (n - 1)) wanted = 0.6 * (n - 1);
  if (wanted > most) wanted = most;
  double q = solve_q(wanted, g->count);
  g->log_odds = lm_log(q);
  g->order_norm = mallows_norm(q, g->count);
  g->prior = -g->log_factorial[g->count];
}

void lm_parzen_group_widen(lm_parzen_group *g, size_t kernels, double prior_weight) {
  double share = prior_weight / (double)(kernels + 1);
  if (g->part.structure == LM_SUBSET) {
    widen_subsets(g, share);
  } else {
    widen_orders(g, share);
  }
}

void lm_parzen_group_place(const lm_parzen_group *g, const double *internal, double *placed) {
  if (g->part.structure == LM_PERMUTATION) {
    lm_structure_positions(internal, placed, g->count);
    return;
  }
  for (size_t i = 0; i < g->count; i++) placed[i] = internal[i] > 0.5;
}

void lm_parzen_group_draw(const lm_parzen_group *g, lm_rng *rng, const double *centre, double *internal) {
  if (!centre) {
    lm_structure_draw(&g->part, rng, internal, g->count);
  } else if (g->part.structure == LM_SUBSET) {
    draw_subset(g, rng, centre, internal);
  } else {
    draw_order(g, rng, centre, internal);
  }
}

double lm_parzen_group_density(lm_parzen_group *g, const double *placed, const double *centre) {
  if (g->part.structure == LM_SUBSET) return subset_density(g, placed, centre);
  return kendall_distance(g, placed, centre) * g->log_odds - g->order_norm;
}
