/*
** Survival of NSGA-III: K. Deb and H. Jain, "An evolutionary many-objective
** optimization algorithm using reference-point-based nondominated sorting approach",
** parts I and II, IEEE TEC 18 (2014). Reference points: I. Das and J. Dennis,
** "Normal-boundary intersection", SIAM J. Optim. 8 (1998).
*/
#include <math.h>
#include <string.h>

#include "search/genetic.h"

/* Infinite losses are cut off so many ranges beyond the finite ones. */
static const double INFINITE_RANGES = 3;
/* The weight of the other axes when an extreme point is looked for. */
static const double EXTREME_WEIGHT = 1e6;
/* More default reference points than this are not made: the divisions are lowered. */
enum { REFERENCES_MOST = 100000 };

/* Ways to give `divisions` to `objectives`; stops counting above the limit. */
static size_t count_points(size_t objectives, size_t divisions) {
  double count = 1;
  for (size_t i = 1; i <= divisions; i++) count = count * (double)(objectives - 1 + i) / (double)i;
  return count > REFERENCES_MOST ? REFERENCES_MOST + 1 : (size_t)(count + 0.5);
}

lmopt_status lm_genetic_reference_points(const lm_allocator *a, size_t objectives, size_t divisions, double **points,
                                         size_t *count) {
  if (divisions < 1) divisions = 1;
  while (divisions > 1 && count_points(objectives, divisions) > REFERENCES_MOST) divisions--;
  *count = count_points(objectives, divisions);
  *points = lm_alloc_zeroed(a, *count * objectives * sizeof **points);
  if (!*points) return LMOPT_NO_MEMORY;
  double *point = *points;
  point[0] = (double)divisions;
  for (size_t i = 1; i < *count; i++) { /* one unit moves from the last axis but the final one; all beyond it follow */
    double *next = point + objectives;
    memcpy(next, point, objectives * sizeof *next);
    size_t from = objectives - 1;
    double moved = next[from];
    next[from] = 0;
    while (from > 0 && next[from - 1] == 0) from--;
    next[from - 1]--;
    next[from] = moved + 1;
    point = next;
  }
  return LMOPT_OK;
}

/* --- normalisation --- */

/* Losses with infinities cut off, from the ideal point on. */
static void translate(const lm_trials *t, const size_t *rows, size_t count, double *losses) {
  size_t m = t->objectives;
  for (size_t k = 0; k < m; k++) {
    double least = INFINITY, most = -INFINITY, ideal = INFINITY;
    for (size_t i = 0; i < count; i++) {
      double loss = lm_trials_loss(t, rows[i], k);
      if (!isfinite(loss)) continue;
      least = fmin(least, loss);
      most = fmax(most, loss);
    }
    if (least > most) least = most = 0;
    double margin = INFINITE_RANGES * (most - least);
    if (!isfinite(margin)) margin = 0;
    for (size_t i = 0; i < count; i++) {
      double loss = lm_trials_loss(t, rows[i], k);
      if (isnan(loss)) loss = INFINITY;
      losses[i * m + k] = fmin(fmax(loss, least - margin), most + margin);
      ideal = fmin(ideal, losses[i * m + k]);
    }
    for (size_t i = 0; i < count; i++) losses[i * m + k] -= ideal;
  }
}

/* The point whose largest coordinate is least when the other axes weigh much. */
static size_t extreme_point(const double *losses, size_t count, size_t m, size_t axis) {
  size_t best = 0;
  double least = INFINITY;
  for (size_t i = 0; i < count; i++) {
    double worst = 0;
    for (size_t k = 0; k < m; k++) worst = fmax(worst, losses[i * m + k] * (k == axis ? 1 : EXTREME_WEIGHT));
    if (worst >= least) continue;
    least = worst;
    best = i;
  }
  return best;
}

/* Solves matrix * x = (1, ..., 1) in place by elimination; false: singular. `matrix` has m + 1 columns. */
static bool solve_ones(double *matrix, size_t m, double *x) {
  size_t width = m + 1;
  for (size_t i = 0; i < m; i++) matrix[i * width + m] = 1;
  for (size_t k = 0; k < m; k++) {
    size_t pivot = k;
    for (size_t i = k + 1; i < m; i++) {
      if (fabs(matrix[i * width + k]) > fabs(matrix[pivot * width + k])) pivot = i;
    }
    if (!(fabs(matrix[pivot * width + k]) > 0)) return false;
    for (size_t j = 0; j < width; j++) {
      double kept = matrix[k * width + j];
      matrix[k * width + j] = matrix[pivot * width + j];
      matrix[pivot * width + j] = kept;
    }
    for (size_t i = k + 1; i < m; i++) {
      double factor = matrix[i * width + k] / matrix[k * width + k];
      for (size_t j = k; j < width; j++) matrix[i * width + j] -= factor * matrix[k * width + j];
    }
  }
  for (size_t k = m; k-- > 0;) {
    double sum = matrix[k * width + m];
    for (size_t j = k + 1; j < m; j++) sum -= matrix[k * width + j] * x[j];
    x[k] = sum / matrix[k * width + k];
  }
  return true;
}

/*
** Scales every axis by where the plane through the extreme points meets it;
** by the largest loss where there is no such plane in front of all.
*/
static lmopt_status normalize(const lm_allocator *a, double *losses, size_t count, size_t m) {
  double *matrix = lm_alloc(a, (m * (m + 1) + m) * sizeof *matrix);
  if (!matrix) return LMOPT_NO_MEMORY;
  double *inverse = matrix + m * (m + 1);
  for (size_t k = 0; k < m; k++) {
    size_t point = extreme_point(losses, count, m, k);
    memcpy(matrix + k * (m + 1), losses + point * m, m * sizeof *matrix);
  }
  bool fine = solve_ones(matrix, m, inverse);
  for (size_t k = 0; k < m && fine; k++) fine = inverse[k] > 0 && isfinite(inverse[k]);
  for (size_t k = 0; k < m; k++) {
    double most = 0;
    for (size_t i = 0; i < count; i++) most = fmax(most, losses[i * m + k]);
    double scale = fine ? inverse[k] : 1 / most;
    if (!isfinite(scale)) scale = 1; /* nothing to tell apart on this axis, or hardly */
    for (size_t i = 0; i < count; i++) losses[i * m + k] *= scale;
  }
  lm_free(a, matrix);
  return LMOPT_OK;
}

/* --- niches --- */

typedef struct niche {
  size_t reference;
  double distance; /* to its line, squared */
} niche;

static niche nearest_reference(const double *loss, const double *references, size_t count, size_t m) {
  niche nearest = {0, INFINITY};
  for (size_t r = 0; r < count; r++) {
    const double *w = references + r * m;
    double along = 0, length = 0, distance = 0;
    for (size_t k = 0; k < m; k++) {
      along += w[k] * loss[k];
      length += w[k] * w[k];
    }
    double place = length > 0 ? along / length : 0;
    for (size_t k = 0; k < m; k++) distance += (loss[k] - place * w[k]) * (loss[k] - place * w[k]);
    if (distance < nearest.distance) nearest = (niche){r, distance};
  }
  return nearest;
}

/* A reference that is nearest to some of `front`, among the least crowded: `taken` are those so far. By lot. */
static size_t choose_reference(const niche *niches, const bool *gone, const size_t *front, size_t members,
                               const size_t *crowd, size_t references, lm_rng *rng, bool *offers) {
  size_t least = SIZE_MAX, candidates = 0;
  memset(offers, 0, references * sizeof *offers);
  for (size_t i = 0; i < members; i++) {
    if (gone[i]) continue;
    size_t r = niches[front[i]].reference;
    if (offers[r]) continue;
    offers[r] = true;
    if (crowd[r] < least) {
      least = crowd[r];
      candidates = 0;
    }
    candidates += crowd[r] == least;
  }
  size_t chosen = (size_t)lm_rng_below(rng, candidates);
  for (size_t r = 0; r < references; r++) {
    if (offers[r] && crowd[r] == least && chosen-- == 0) return r;
  }
  return 0; /* not reached: there is a candidate */
}

/* Of the front's members of a niche: the nearest when it is empty so far, else any. */
static size_t choose_member(const niche *niches, const bool *gone, const size_t *front, size_t members,
                            size_t reference, bool empty, lm_rng *rng) {
  size_t found = 0, nearest = SIZE_MAX;
  for (size_t i = 0; i < members; i++) {
    if (gone[i] || niches[front[i]].reference != reference) continue;
    if (nearest == SIZE_MAX || niches[front[i]].distance < niches[front[nearest]].distance) nearest = i;
    found++;
  }
  if (empty) return nearest;
  size_t chosen = (size_t)lm_rng_below(rng, found);
  for (size_t i = 0; i < members; i++) {
    if (!gone[i] && niches[front[i]].reference == reference && chosen-- == 0) return i;
  }
  return nearest;
}

typedef struct selection {
  size_t *ranks, *front; /* per row; `front` holds indices of rows */
  double *losses;
  niche *niches; /* per row */
  size_t *crowd; /* per reference */
  bool *gone, *offers;
} selection;

static void free_selection(const lm_allocator *a, selection *s) {
  lm_free(a, s->ranks);
  lm_free(a, s->losses);
  lm_free(a, s->niches);
  lm_free(a, s->crowd);
  lm_free(a, s->gone);
}

static bool make_selection(const lm_allocator *a, selection *s, size_t count, size_t m, size_t references) {
  s->ranks = lm_alloc(a, 2 * count * sizeof *s->ranks);
  s->losses = lm_alloc(a, count * m * sizeof *s->losses);
  s->niches = lm_alloc(a, count * sizeof *s->niches);
  s->crowd = lm_alloc_zeroed(a, references * sizeof *s->crowd);
  s->gone = lm_alloc_zeroed(a, (count + references) * sizeof *s->gone);
  if (!s->ranks || !s->losses || !s->niches || !s->crowd || !s->gone) return false;
  s->front = s->ranks + count;
  s->offers = s->gone + count;
  return true;
}

/* The last front that finds room, by niches; `taken` survivors stand for the fronts before it. */
static lmopt_status admit(lm_genetic *g, const lm_view *view, selection *s, const size_t *rows, size_t members,
                          size_t rank, size_t taken, lm_rng *rng, lm_member *survivors) {
  const lm_trials *t = view->trials;
  size_t m = t->objectives, *pool = s->ranks, known = taken + members; /* ranks are not needed any more */
  for (size_t i = 0; i < taken; i++) pool[i] = survivors[i].row;
  for (size_t i = 0; i < members; i++) pool[taken + i] = rows[s->front[i]];
  translate(t, pool, known, s->losses);
  if (normalize(g->base.allocator, s->losses, known, m)) return LMOPT_NO_MEMORY;
  for (size_t i = 0; i < known; i++)
    s->niches[i] = nearest_reference(s->losses + i * m, g->reference_points, g->reference_count, m);
  for (size_t i = 0; i < taken; i++) s->crowd[s->niches[i].reference]++;
  for (size_t i = 0; i < members; i++) s->front[i] = taken + i;
  for (size_t k = taken; k < g->size; k++) {
    size_t reference =
        choose_reference(s->niches, s->gone, s->front, members, s->crowd, g->reference_count, rng, s->offers);
    size_t chosen = choose_member(s->niches, s->gone, s->front, members, reference, s->crowd[reference] == 0, rng);
    s->gone[chosen] = true;
    s->crowd[reference]++;
    survivors[k] = (lm_member){pool[s->front[chosen]], rank, 0};
  }
  return LMOPT_OK;
}

static lmopt_status know_references(lm_genetic *g, size_t objectives) {
  if (g->reference_points && g->reference_objectives == objectives) return LMOPT_OK;
  double *points;
  size_t count, divisions = g->options.dividing_parameter > 0 ? (size_t)g->options.dividing_parameter : 1;
  if (lm_genetic_reference_points(g->base.allocator, objectives, divisions, &points, &count)) return LMOPT_NO_MEMORY;
  lm_free(g->base.allocator, g->reference_points);
  g->reference_points = points;
  g->reference_count = count;
  g->reference_objectives = objectives;
  return LMOPT_OK;
}

lmopt_status lm_genetic_survive_niches(lm_genetic *g, const lm_view *view, size_t generation, const size_t *rows,
                                       size_t count, lm_member *survivors) {
  const lm_allocator *a = g->base.allocator;
  const lm_trials *t = view->trials;
  if (know_references(g, t->objectives)) return LMOPT_NO_MEMORY;
  selection s = {0};
  size_t taken = 0;
  lm_rng rng = lm_rng_stream(view->seed, (int64_t)generation, "nsga3:niches");
  lmopt_status status = make_selection(a, &s, count, t->objectives, g->reference_count)
                            ? lm_genetic_ranks(a, t, rows, count, s.ranks)
                            : LMOPT_NO_MEMORY;
  for (size_t rank = 0; taken < g->size && !status; rank++) {
    size_t members = 0;
    for (size_t i = 0; i < count; i++) {
      if (s.ranks[i] == rank) s.front[members++] = i;
    }
    if (taken + members > g->size) {
      status = admit(g, view, &s, rows, members, rank, taken, &rng, survivors);
      taken = g->size;
    } else {
      for (size_t i = 0; i < members; i++) survivors[taken++] = (lm_member){rows[s.front[i]], rank, 0};
    }
  }
  free_selection(a, &s);
  return status;
}
