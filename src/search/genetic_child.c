/*
** Children: tournament, crossover, mutation.
**
** The space is what the parents have, not what every trial has. A number that
** all chosen parents have is crossed with the others of its kind; a category, or
** a parameter that only some have, comes from one of them, so that a branch
** brings its parameters along; what none of them has comes from another member
** of the population, chosen like a parent. Whatever mutates without a rule for it
** is left out here, and drawn uniformly when the objective asks for it. Subsets
** and orders are crossed item by item, orders by their keys (J. Bean, "Genetic
** algorithms and random keys for sequencing and optimization", 1994).
*/
#include <math.h>
#include <string.h>

#include "search/draw.h"
#include "search/genetic.h"

/* So often a child outside of the bounds is thrown away; the next one is cut off at them. */
enum { ATTEMPTS = 32, PARENTS_MOST = 3 };

/* --- the genes of the parents --- */

static int compare_names(const lm_gene *a, const lm_gene *b) { return strcmp(a->column->name, b->column->name); }

static void sift_down(lm_gene *genes, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && compare_names(&genes[child], &genes[child + 1]) < 0) child++;
    if (compare_names(&genes[root], &genes[child]) >= 0) return;
    lm_gene kept = genes[root];
    genes[root] = genes[child];
    genes[child] = kept;
  }
}

/* By name: the order of the columns depends on which trial was quicker. */
static void sort_genes(lm_gene *genes, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift_down(genes, i, count);
  for (size_t end = count; end > 1;) {
    lm_gene kept = genes[0];
    genes[0] = genes[--end];
    genes[end] = kept;
    sift_down(genes, 0, end);
  }
}

static const lm_distribution *newest_distribution(const lm_genetic *g, const lm_column *c) {
  const lm_member *parents = lm_genetic_parents(g);
  const lm_distribution *newest = NULL;
  size_t newest_row = 0;
  for (size_t i = 0; i < g->size; i++) {
    const lm_distribution *d = lm_column_distribution(c, parents[i].row);
    if (!d || (newest && parents[i].row < newest_row)) continue;
    newest = d;
    newest_row = parents[i].row;
  }
  return newest;
}

static lmopt_status find_genes(lm_genetic *g, const lm_trials *t) {
  if (g->gene_generation == g->generation) return LMOPT_OK;
  const lm_allocator *a = g->base.allocator;
  g->gene_generation = 0;
  g->gene_count = 0;
  for (size_t i = 0; i < t->column_count; i++) {
    const lm_distribution *d = newest_distribution(g, t->columns[i]);
    if (!d || lm_distribution_single(d)) continue;
    if (!lm_grow(a, &g->genes, &g->gene_capacity, g->gene_count + 1, sizeof *g->genes)) return LMOPT_NO_MEMORY;
    g->genes[g->gene_count++] = (lm_gene){t->columns[i], d};
  }
  sort_genes(g->genes, g->gene_count);
  g->gene_generation = g->generation;
  return LMOPT_OK;
}

/* --- one child --- */

typedef struct brood {
  const lm_genetic *g;
  const lm_member *parents;
  const size_t *genes; /* which of g->genes: those that are not fixed */
  size_t count, inherited;
  bool several;
  lm_rng *rng;
  size_t *joint;                                      /* genes that are crossed together */
  double *values;                                     /* per gene; NaN: left out */
  double *numbers[PARENTS_MOST], *low, *high, *child; /* per joint gene */
} brood;

static const lm_gene *gene_at(const brood *b, size_t i) { return &b->g->genes[b->genes[i]]; }

/* What a row has of a gene; NaN: nothing that its range would allow today. */
static double value_of(const lm_gene *gene, size_t row) {
  if (!lm_column_distribution(gene->column, row)) return NAN;
  double value = gene->column->values[row];
  return lm_distribution_contains(gene->distribution, value) ? value : NAN;
}

static size_t better_of(const lm_member *parents, size_t a, size_t b) {
  if (parents[a].rank != parents[b].rank) return parents[a].rank < parents[b].rank ? a : b;
  return parents[a].crowding > parents[b].crowding ? a : b;
}

/* A tournament of two among those that are not chosen yet; `chosen` is kept ascending. */
static size_t select_parent(const brood *b, size_t *chosen, size_t count) {
  size_t drawn[2];
  for (size_t k = 0; k < 2; k++) {
    drawn[k] = (size_t)lm_rng_below(b->rng, b->g->size - count);
    for (size_t i = 0; i < count; i++) drawn[k] += drawn[k] >= chosen[i];
  }
  size_t winner = better_of(b->parents, drawn[0], drawn[1]), at = count;
  for (; at > 0 && chosen[at - 1] > winner; at--) chosen[at] = chosen[at - 1];
  chosen[at] = winner;
  return b->parents[winner].row;
}

/* From the first or the last parent, whichever it falls on; from another one when that has none. */
static double inherit(const brood *b, const lm_gene *gene, const size_t *rows, size_t count) {
  bool from_last = lm_rng_uniform(b->rng) < b->g->options.crossover.swapping_prob;
  double value = value_of(gene, rows[from_last ? count - 1 : 0]);
  for (size_t k = 0; k < count && isnan(value); k++) value = value_of(gene, rows[k]);
  return value;
}

/* Puts a gene among those crossed together when it is a number of all parents. */
static bool join(const brood *b, const lm_gene *gene, const size_t *rows, size_t count, size_t at) {
  const lm_distribution *d = gene->distribution;
  if (b->g->options.crossover.kind == LM_CROSSOVER_UNIFORM || d->kind == LM_CATEGORICAL) return false;
  for (size_t k = 0; k < count; k++) {
    double value = value_of(gene, rows[k]);
    if (isnan(value)) return false;
    b->numbers[k][at] = lm_distribution_to_range(d, value);
  }
  lm_distribution_range(d, &b->low[at], &b->high[at]);
  return true;
}

/* The value at a place in the range; a parent's own value where it is a parent's place. */
static double value_at(const brood *b, size_t at, const lm_gene *gene, const size_t *rows, size_t count) {
  for (size_t k = 0; k < count; k++) {
    if (b->child[at] == b->numbers[k][at]) return value_of(gene, rows[k]);
  }
  return lm_distribution_from_range(gene->distribution, b->child[at]);
}

/* False: it is outside of the bounds. */
static bool cross(const brood *b, bool last_attempt) {
  const lm_crossover *c = &b->g->options.crossover;
  size_t rows[PARENTS_MOST] = {0}, chosen[PARENTS_MOST] = {0}, count = lm_crossover_parents(c), joint = 0;
  for (size_t k = 0; k < count; k++) rows[k] = select_parent(b, chosen, k);
  for (size_t i = 0; i < b->count; i++) {
    if (join(b, gene_at(b, i), rows, count, joint)) {
      b->joint[joint++] = i;
    } else {
      b->values[i] = inherit(b, gene_at(b, i), rows, count);
    }
  }
  if (!joint) return true;
  lm_crossover_apply(c, (const double *const *)b->numbers, joint, b->low, b->high, b->several, b->rng, b->child);
  for (size_t k = 0; k < joint; k++) {
    bool inside = b->child[k] >= b->low[k] && b->child[k] <= b->high[k];
    if (!inside && !last_attempt) return false;
    b->values[b->joint[k]] = value_at(b, k, gene_at(b, b->joint[k]), rows, count);
  }
  return true;
}

static void make_child(brood *b) {
  if (lm_rng_uniform(b->rng) < b->g->options.crossover_prob) {
    for (int attempt = 1; !cross(b, attempt > ATTEMPTS); attempt++) {
    }
  } else {
    size_t row = b->parents[lm_rng_below(b->rng, b->g->size)].row;
    for (size_t i = 0; i < b->count; i++) b->values[i] = value_of(gene_at(b, i), row);
  }
  for (size_t i = 0; i < b->count; i++) b->inherited += !isnan(b->values[i]);
}

/* --- what no parent had --- */

/* The better of two members that have the gene; SIZE_MAX: nobody has. */
static size_t find_donor(const brood *b, const lm_gene *gene) {
  size_t having = 0, drawn[2], found[2] = {SIZE_MAX, SIZE_MAX};
  for (size_t i = 0; i < b->g->size; i++) having += !isnan(value_of(gene, b->parents[i].row));
  if (!having) return SIZE_MAX;
  for (size_t k = 0; k < 2; k++) drawn[k] = (size_t)lm_rng_below(b->rng, having);
  for (size_t i = 0, seen = 0; i < b->g->size; i++) {
    if (isnan(value_of(gene, b->parents[i].row))) continue;
    for (size_t k = 0; k < 2; k++) {
      if (drawn[k] == seen) found[k] = i;
    }
    seen++;
  }
  return b->parents[better_of(b->parents, found[0], found[1])].row;
}

static void complete_child(const brood *b) {
  for (size_t i = 0; i < b->count; i++) {
    if (!isnan(b->values[i])) continue;
    size_t row = find_donor(b, gene_at(b, i));
    for (size_t k = i; k < b->count && row != SIZE_MAX; k++) {
      if (isnan(b->values[k])) b->values[k] = value_of(gene_at(b, k), row);
    }
  }
}

/* --- mutation --- */

static void mutate(const brood *b, size_t i) {
  const lm_distribution *d = gene_at(b, i)->distribution;
  double eta = b->g->options.polynomial_eta, low, high;
  if (d->part) { /* left out, it would take the whole variable along */
    b->values[i] = lm_draw_uniform(b->rng, d);
    return;
  }
  if (isnan(eta) || d->kind == LM_CATEGORICAL) {
    b->values[i] = NAN;
    return;
  }
  lm_distribution_range(d, &low, &high);
  double place = lm_mutation_polynomial(lm_distribution_to_range(d, b->values[i]), low, high, eta, b->rng);
  b->values[i] = lm_distribution_from_range(d, place);
}

/* Nothing left out, and a member has these values. */
static bool is_copy(const brood *b) {
  for (size_t i = 0; i < b->count; i++) {
    if (isnan(b->values[i])) return false;
  }
  for (size_t k = 0; k < b->g->size; k++) {
    size_t same = 0, row = b->parents[k].row;
    for (; same < b->count; same++) {
      const lm_gene *gene = gene_at(b, same);
      if (lm_column_distribution(gene->column, row) && gene->column->values[row] != b->values[same]) break;
    }
    if (same == b->count) return true;
  }
  return false;
}

static void mutate_child(const brood *b) {
  double probability = b->g->options.mutation_prob;
  if (isnan(probability)) probability = 1 / (double)(b->inherited ? b->inherited : 1);
  for (size_t i = 0; i < b->count; i++) {
    if (lm_rng_uniform(b->rng) < probability && !isnan(b->values[i])) mutate(b, i);
  }
  /* A trial that was made before tells nothing new. */
  if (b->count && probability > 0 && is_copy(b)) mutate(b, (size_t)lm_rng_below(b->rng, b->count));
}

/* --- */

static bool make_room(lm_genetic *g) {
  const lm_allocator *a = g->base.allocator;
  size_t count = g->gene_count ? g->gene_count : 1;
  return lm_grow(a, &g->work, &g->work_capacity, 7 * count, sizeof *g->work) &&
         lm_grow(a, &g->places, &g->place_capacity, 2 * count, sizeof *g->places);
}

lmopt_status lm_genetic_child(lm_genetic *g, const lm_view *view, lm_rng *rng, lm_assignments *out) {
  if (!g->generation) return LMOPT_OK;
  if (find_genes(g, view->trials) || !make_room(g)) return LMOPT_NO_MEMORY;
  size_t n = g->gene_count, *genes = g->places;
  double *work = g->work;
  brood b = {.g = g,
             .parents = lm_genetic_parents(g),
             .genes = genes,
             .several = view->trials->objectives > 1,
             .rng = rng,
             .joint = genes + n,
             .values = work,
             .numbers = {work + n, work + 2 * n, work + 3 * n},
             .low = work + 4 * n,
             .high = work + 5 * n,
             .child = work + 6 * n};
  for (size_t i = 0; i < n; i++) {
    if (!view->fixed || !lm_assignments_find(view->fixed, g->genes[i].column)) genes[b.count++] = i;
  }
  make_child(&b);
  complete_child(&b);
  mutate_child(&b);
  if (!lm_grow(g->base.allocator, &out->items, &out->capacity, out->count + b.count, sizeof *out->items))
    return LMOPT_NO_MEMORY;
  for (size_t i = 0; i < b.count; i++) {
    if (isnan(b.values[i])) continue;
    lm_assignment item = {gene_at(&b, i)->column, gene_at(&b, i)->distribution, b.values[i]};
    lmopt_status status = lm_assignments_add(g->base.allocator, out, item, NULL);
    if (status) return status;
  }
  return LMOPT_OK;
}
