/*
** Survival of NSGA-II: K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, "A fast and
** elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 6 (2002).
*/
#include <math.h>
#include <string.h>

#include "search/genetic.h"
#include "search/pareto.h"

/* Ascending by key; equal ones stay in order. */
typedef struct keyed {
  double key;
  size_t index;
} keyed;

static bool precedes(const keyed *a, const keyed *b) {
  return a->key < b->key || (a->key == b->key && a->index < b->index);
}

static void sift_down(keyed *items, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && precedes(&items[child], &items[child + 1])) child++;
    if (!precedes(&items[root], &items[child])) return;
    keyed kept = items[root];
    items[root] = items[child];
    items[child] = kept;
  }
}

static void sort_keyed(keyed *items, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift_down(items, i, count);
  for (size_t end = count; end > 1;) {
    keyed kept = items[0];
    items[0] = items[--end];
    items[end] = kept;
    sift_down(items, 0, end);
  }
}

/* A row without a number is as bad as can be. */
static double loss_of(const lm_trials *t, size_t row, size_t objective) {
  double loss = lm_trials_loss(t, row, objective);
  return isnan(loss) ? INFINITY : loss;
}

/* Infeasible rows by violation, equal ones together, from `rank` on. */
static void rank_infeasible(const lm_trials *t, const size_t *rows, keyed *items, size_t count, size_t rank,
                            size_t *ranks) {
  for (size_t i = 0; i < count; i++) items[i].key = t->rows[rows[items[i].index]].violation;
  sort_keyed(items, count);
  for (size_t i = 0; i < count; i++) {
    if (i && items[i].key > items[i - 1].key) rank++;
    ranks[items[i].index] = rank;
  }
}

lmopt_status lm_genetic_ranks(const lm_allocator *a, const lm_trials *t, const size_t *rows, size_t count,
                              size_t *ranks) {
  size_t m = t->objectives, feasible = 0, infeasible = 0;
  double *losses = lm_alloc(a, (count * m + 1) * sizeof *losses);
  size_t *places = lm_alloc(a, (2 * count + 1) * sizeof *places);
  keyed *others = lm_alloc(a, (count + 1) * sizeof *others);
  lmopt_status status = losses && places && others ? LMOPT_OK : LMOPT_NO_MEMORY;
  if (!status) {
    size_t *found = places + count, worst = 0;
    for (size_t i = 0; i < count; i++) {
      if (t->rows[rows[i]].infeasible) {
        others[infeasible++].index = i;
        continue;
      }
      for (size_t k = 0; k < m; k++) losses[feasible * m + k] = loss_of(t, rows[i], k);
      places[feasible++] = i;
    }
    status = lm_pareto_ranks(a, losses, feasible, m, feasible, found);
    for (size_t i = 0; i < feasible && !status; i++) {
      ranks[places[i]] = found[i];
      if (found[i] + 1 > worst) worst = found[i] + 1;
    }
    if (!status) rank_infeasible(t, rows, others, infeasible, worst, ranks);
  }
  lm_free(a, others);
  lm_free(a, places);
  lm_free(a, losses);
  return status;
}

/* The gaps of one objective, over its finite width; the ends are infinitely far from anything. */
static void add_gaps(const keyed *sorted, size_t count, double *distances) {
  if (sorted[0].key == sorted[count - 1].key) return;
  double least = INFINITY, most = -INFINITY;
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(sorted[i].key)) continue;
    least = fmin(least, sorted[i].key);
    most = fmax(most, sorted[i].key);
  }
  double width = most > least ? most - least : 1;
  for (size_t i = 0; i < count; i++) {
    double before = i ? sorted[i - 1].key : -INFINITY, after = i + 1 < count ? sorted[i + 1].key : INFINITY;
    if (before != after) distances[sorted[i].index] += (after - before) / width;
  }
}

lmopt_status lm_genetic_crowding(const lm_allocator *a, const lm_trials *t, const size_t *rows, size_t count,
                                 double *distances) {
  if (!count) return LMOPT_OK;
  keyed *sorted = lm_alloc(a, count * sizeof *sorted);
  if (!sorted) return LMOPT_NO_MEMORY;
  for (size_t i = 0; i < count; i++) distances[i] = 0;
  for (size_t k = 0; k < t->objectives; k++) {
    for (size_t i = 0; i < count; i++) sorted[i] = (keyed){loss_of(t, rows[i], k), i};
    sort_keyed(sorted, count);
    add_gaps(sorted, count, distances);
  }
  lm_free(a, sorted);
  return LMOPT_OK;
}

/* The members of one front as survivors, the loneliest first, at most `room`. */
static lmopt_status admit(const lm_allocator *a, const lm_trials *t, const size_t *rows, size_t count, size_t rank,
                          size_t room, lm_member *survivors) {
  double *distances = lm_alloc(a, count * sizeof *distances);
  keyed *order = lm_alloc(a, count * sizeof *order);
  lmopt_status status = distances && order ? lm_genetic_crowding(a, t, rows, count, distances) : LMOPT_NO_MEMORY;
  for (size_t i = 0; i < count && !status; i++) order[i] = (keyed){-distances[i], i};
  if (!status) sort_keyed(order, count);
  for (size_t i = 0; i < count && i < room && !status; i++)
    survivors[i] = (lm_member){rows[order[i].index], rank, distances[order[i].index]};
  lm_free(a, order);
  lm_free(a, distances);
  return status;
}

lmopt_status lm_genetic_survive_crowding(lm_genetic *g, const lm_view *view, size_t generation, const size_t *rows,
                                         size_t count, lm_member *survivors) {
  (void)generation;
  const lm_allocator *a = g->base.allocator;
  const lm_trials *t = view->trials;
  size_t *ranks = lm_alloc(a, 2 * count * sizeof *ranks), taken = 0;
  lmopt_status status = ranks ? lm_genetic_ranks(a, t, rows, count, ranks) : LMOPT_NO_MEMORY;
  for (size_t rank = 0; taken < g->size && !status; rank++) {
    size_t *front = ranks + count, members = 0;
    for (size_t i = 0; i < count; i++) {
      if (ranks[i] == rank) front[members++] = rows[i];
    }
    if (!members) continue;
    status = admit(a, t, front, members, rank, g->size - taken, survivors + taken);
    taken += members < g->size - taken ? members : g->size - taken;
  }
  lm_free(a, ranks);
  return status;
}
