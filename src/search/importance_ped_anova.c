/*
** PED-ANOVA: S. Watanabe, A. Bansal, F. Hutter, "PED-ANOVA: efficiently quantifying
** hyperparameter importance in arbitrary subspaces", IJCAI 2023; conditional
** parameters after "Conditional PED-ANOVA", arXiv 2601.20800 (2026). Densities by
** Scott's rule: D. W. Scott, Multivariate Density Estimation (1992).
**
** How much does the density of the good trials differ from that of all, on a grid
** of at most 50 places: Pearson's divergence. A parameter that only some trials
** have, or with several ranges, counts per regime, each range one.
*/
#include <math.h>
#include <string.h>

#include "math/elementary.h"
#include "math/normal.h"
#include "search/importance.h"
#include "search/tpe_split.h"

enum { GRID_MOST = 50, REGIME_LEAST = 2 };
static const double SMOOTHING = 1e-12;

void lm_ped_anova_options_default(lm_ped_anova_options *o) { *o = (lm_ped_anova_options){0.1, 1, true}; }

static bool row_counts(const lm_trials *t, const double *targets, size_t row) {
  if (t->rows[row].state != LM_COMPLETE) return false;
  if (targets) return isfinite(targets[row]);
  for (size_t k = 0; k < t->objectives; k++) {
    if (!isfinite(t->values[row * t->objectives + k])) return false;
  }
  return true;
}

lmopt_status lm_importance_rows(const lm_trials *t, const double *targets, uint32_t **rows, size_t *count) {
  *count = 0;
  *rows = lm_alloc(t->allocator, (t->count + 1) * sizeof **rows);
  if (!*rows) return LMOPT_NO_MEMORY;
  for (size_t row = 0; row < t->count; row++) {
    if (row_counts(t, targets, row)) (*rows)[(*count)++] = (uint32_t)row;
  }
  return LMOPT_OK;
}

/* --- the best rows --- */

static void sift_down(double *items, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && items[child] < items[child + 1]) child++;
    if (items[root] >= items[child]) return;
    double kept = items[root];
    items[root] = items[child];
    items[child] = kept;
  }
}

static void sort_numbers(double *items, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift_down(items, i, count);
  for (size_t end = count; end > 1;) {
    double kept = items[0];
    items[0] = items[--end];
    items[end] = kept;
    sift_down(items, 0, end);
  }
}

/* Marks the rows of the best quantile; with one target all that are as good as the last of them. */
static lmopt_status choose_quantile(const lm_trials *t, const double *targets, const uint32_t *rows, size_t count,
                                    double quantile, bool *chosen, size_t *chosen_count) {
  size_t wanted = (size_t)ceil(quantile * (double)count);
  if (wanted > count) wanted = count;
  lmopt_status status = LMOPT_OK;
  if (wanted == count || wanted == 0) {
    for (size_t i = 0; i < count; i++) chosen[i] = wanted > 0;
  } else if (!targets && t->objectives > 1) {
    status = lm_split_choose(t, rows, count, wanted, chosen);
  } else {
    double *losses = lm_alloc(t->allocator, 2 * count * sizeof *losses);
    if (!losses) return LMOPT_NO_MEMORY;
    for (size_t i = 0; i < count; i++) losses[i] = targets ? targets[rows[i]] : lm_trials_loss(t, rows[i], 0);
    memcpy(losses + count, losses, count * sizeof *losses);
    sort_numbers(losses + count, count);
    for (size_t i = 0; i < count; i++) chosen[i] = losses[i] <= losses[count + wanted - 1];
    lm_free(t->allocator, losses);
  }
  *chosen_count = 0;
  for (size_t i = 0; i < count; i++) *chosen_count += chosen[i];
  return status;
}

/* --- densities --- */

typedef struct grid {
  size_t size;
  bool categorical;
  double low, step; /* of places in the range, logarithmic where it is */
} grid;

static double position(const lm_distribution *d, double value) { return d->log ? lm_log(value) : value; }

static grid grid_of(const lm_distribution *d) {
  if (d->kind == LM_CATEGORICAL) return (grid){d->count, true, 0, 1};
  double size = GRID_MOST;
  if (d->kind == LM_INTEGER && d->log) {
    size = ceil(lm_log(d->high - d->low + 1) / lm_log(2)) + 1;
  } else if (d->step > 0) {
    size = floor((d->high - d->low) / d->step + 0.5) + 1;
  }
  if (!(size < GRID_MOST)) size = GRID_MOST;
  double low = position(d, d->low), width = position(d, d->high) - low;
  return (grid){(size_t)size, false, low, width / (size - 1)};
}

/* A place between two goes to the lower. */
static size_t place_of(const grid *g, const lm_distribution *d, double value) {
  if (g->categorical) {
    double place = d->kind == LM_CATEGORICAL ? value : floor(value / g->step);
    return place >= 0 && place < (double)g->size ? (size_t)place : 0;
  }
  double place = ceil((position(d, value) - g->low) / g->step - 0.5);
  if (!(place > 0)) return 0;
  return place < (double)g->size ? (size_t)place : g->size - 1;
}

/* The first place up to which more than `wanted` counts lie, or as many unless `above`. */
static size_t count_place(const double *counts, size_t size, double wanted, bool above) {
  double sum = 0;
  size_t last = 0;
  for (size_t i = 0; i < size; i++) {
    if (!(counts[i] > 0)) continue;
    sum += counts[i];
    last = i;
    if (above ? sum > wanted : sum >= wanted) return i;
  }
  return last;
}

static double bandwidth(const double *counts, size_t size, double total) {
  double mean = 0, square = 0;
  for (size_t i = 0; i < size; i++) mean += (double)i * counts[i];
  mean /= total;
  for (size_t i = 0; i < size; i++) square += ((double)i - mean) * ((double)i - mean) * counts[i];
  double deviation = sqrt(square / fmax(1, total - 1));
  size_t first = count_place(counts, size, floor(total / 4), false);
  size_t third = count_place(counts, size, floor(total * 3 / 4), true);
  double spread = fmin((double)(third - first) / 1.34, deviation);
  return fmax(1.059 * spread * lm_exp(-0.2 * lm_log(total)), 0.5 / 1.64);
}

/* Adds weight times the normal mass of each cell, of those on the grid. */
static void add_kernel(double centre, double sigma, double weight, size_t size, double *density) {
  double all = lm_normal_log_mass((-0.5 - centre) / sigma, ((double)size - 0.5 - centre) / sigma);
  for (size_t i = 0; i < size; i++) {
    double low = ((double)i - 0.5 - centre) / sigma, high = ((double)i + 0.5 - centre) / sigma;
    density[i] += weight * lm_exp(lm_normal_log_mass(low, high) - all);
  }
}

/* The mixture of a kernel per place with its count for weight, and a prior of weight 1. */
static void estimate(const grid *g, const double *counts, double *density) {
  double total = 0, kernels = 1;
  size_t size = g->size;
  for (size_t i = 0; i < size; i++) {
    total += counts[i];
    kernels += counts[i] > 0;
    density[i] = 0;
  }
  double cells = (double)size;
  if (g->categorical) {
    double share = 1 / kernels; /* what each category gets of a kernel before it is normalised */
    for (size_t i = 0; i < size; i++) {
      density[i] = total * share / (1 + share * cells) + counts[i] / (1 + share * cells) + 1 / cells;
      density[i] /= total + 1;
    }
  } else {
    double sigma = bandwidth(counts, size, total);
    for (size_t i = 0; i < size; i++) {
      if (counts[i] > 0) add_kernel((double)i, sigma, counts[i] / (total + 1), size, density);
    }
    add_kernel((cells - 1) / 2, cells, 1 / (total + 1), size, density);
  }
  for (size_t i = 0; i < size; i++) density[i] += SMOOTHING;
}

/* --- regimes --- */

typedef struct sample {
  const lm_trials *trials;
  const uint32_t *rows; /* the region */
  const bool *good;     /* of them, the target */
  size_t count, good_count;
  bool local;
} sample;

/* How many parts the structured variable of `d` has in a row. */
static size_t count_parts(const lm_trials *t, const lm_distribution *d, size_t row) {
  size_t count = 0;
  for (size_t i = 0; i < t->column_count; i++) {
    const lm_distribution *other = lm_column_distribution(t->columns[i], row);
    count += other && lm_part_together(other->part, d->part);
  }
  return count;
}

/*
** The grid of a distribution as a row has it. The key of an item in an order stands
** for one of as many positions: a density that spreads between them would find every
** item that stays in its place important.
*/
static grid grid_in_row(const sample *s, const lm_distribution *d, size_t row) {
  grid g = grid_of(d);
  if (!d->part || d->part->structure != LM_PERMUTATION) return g;
  g.size = count_parts(s->trials, d, row);
  g.categorical = true;
  g.step = 1 / (double)g.size;
  return g;
}

/* Pearson's divergence of the good rows' density from that of all, where the parameter has distribution `d`, as the row
   `first` has. */
static lmopt_status regime(const sample *s, const lm_column *c, const lm_distribution *d, size_t first, double *sum) {
  grid g = grid_in_row(s, d, first);
  const lm_allocator *a = s->trials->allocator;
  double *counts = lm_alloc_zeroed(a, 4 * g.size * sizeof *counts);
  if (!counts) return LMOPT_NO_MEMORY;
  double *good = counts + g.size, *density = good + g.size, *good_density = density + g.size;
  double all_here = 0, good_here = 0;
  for (size_t i = 0; i < s->count; i++) {
    if (lm_column_distribution(c, s->rows[i]) != d) continue;
    size_t place = place_of(&g, d, c->values[s->rows[i]]);
    counts[place]++;
    all_here++;
    good[place] += s->good[i];
    good_here += s->good[i];
  }
  if (all_here >= REGIME_LEAST && good_here > 0) {
    estimate(&g, good, good_density);
    estimate(&g, counts, density);
    double divergence = 0, alpha = good_here / (double)s->good_count, beta = all_here / (double)s->count;
    for (size_t i = 0; i < g.size; i++) {
      double here = s->local ? density[i] : 1 / (double)g.size;
      divergence += here * (good_density[i] / here - 1) * (good_density[i] / here - 1);
    }
    *sum += alpha * alpha / beta * divergence;
  }
  lm_free(a, counts);
  return LMOPT_OK;
}

/* The sum over the ranges that the parameter has had, in the order of their first trials. */
static lmopt_status evaluate(const sample *s, const lm_column *c, double *importance) {
  const lm_allocator *a = s->trials->allocator;
  const lm_distribution **seen = NULL;
  size_t count = 0, capacity = 0;
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < s->count && !status; i++) {
    const lm_distribution *d = lm_column_distribution(c, s->rows[i]);
    bool known = !d || lm_distribution_single(d);
    for (size_t k = count; k-- > 0 && !known;) known = seen[k] == d;
    if (known) continue;
    if (!lm_grow(a, &seen, &capacity, count + 1, sizeof *seen)) {
      status = LMOPT_NO_MEMORY;
    } else {
      seen[count++] = d;
      status = regime(s, c, d, s->rows[i], importance);
    }
  }
  lm_free(a, (void *)seen);
  return status;
}

lmopt_status lm_importance_ped_anova(const lm_trials *t, const double *targets, lm_column *const *columns, size_t count,
                                     const lm_ped_anova_options *o, double *importances) {
  const lm_allocator *a = t->allocator;
  uint32_t *rows;
  size_t row_count, good_count = 0, region_count = 0;
  for (size_t i = 0; i < count; i++) importances[i] = 0;
  if (lm_importance_rows(t, targets, &rows, &row_count)) return LMOPT_NO_MEMORY;
  bool *good = lm_alloc_zeroed(a, 2 * row_count + 1), *region = good + row_count;
  lmopt_status status = good ? LMOPT_OK : LMOPT_NO_MEMORY;
  if (!status && row_count > 1) {
    status = choose_quantile(t, targets, rows, row_count, o->target_quantile, good, &good_count);
    if (!status) status = choose_quantile(t, targets, rows, row_count, o->region_quantile, region, &region_count);
  }
  if (!status && good_count && region_count) {
    sample s = {t, rows, good, 0, good_count, o->evaluate_on_local};
    for (size_t i = 0; i < row_count; i++) { /* never writes ahead of where it reads */
      if (!region[i] && !good[i]) continue;
      rows[s.count] = rows[i];
      good[s.count++] = good[i];
    }
    double quantile = (double)good_count / (double)s.count;
    for (size_t i = 0; i < count && !status; i++) {
      status = evaluate(&s, columns[i], &importances[i]);
      importances[i] *= quantile * quantile;
    }
  }
  lm_free(a, good);
  lm_free(a, rows);
  return status;
}
