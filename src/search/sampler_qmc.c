/*
** Quasi-random search: points more even than random ones (math/quasi.h); after
** J. Bergstra and Y. Bengio, "Random search for hyper-parameter optimization",
** JMLR 13 (2012), section 5.
**
** Trial k takes point k: there is no counter to share. Parameters have their
** coordinates by the trial that first had them, and within one by name, as far
** as the view shows. One that is not in view yet takes a sequence of its own,
** named by it: as even alone, less so beside others. Nothing is joint: a point
** is the same whichever of its coordinates are asked, and ranges may change.
*/
#include <stdlib.h>
#include <string.h>

#include "math/quasi.h"
#include "search/draw.h"
#include "search/sampler.h"

enum { NOT_RANKED = -1 };

typedef struct rank {
  long long coordinate, row; /* row: the first that has the parameter */
} rank;

typedef struct qmc {
  lm_sampler base;
  lm_qmc_options options;
  /* What was seen of the trials: all rows below `scanned`. */
  const lm_trials *trials;
  double birth;
  unsigned long long edits;
  size_t scanned, ranked;
  rank *ranks; /* per column */
  size_t count, capacity;
  /* The sequence, and a point of it. */
  lm_quasi *sequence;
  uint64_t seed;
  unsigned attempt;
  size_t dimensions;
  double *point;
  long long number; /* of the point; -1: none */
} qmc;

void lm_qmc_options_default(lm_qmc_options *o) { *o = (lm_qmc_options){.halton = false, .scramble = true}; }

/* --- coordinates --- */

static int compare_names(const void *a, const void *b) {
  const lm_column *x = *(lm_column *const *)a, *y = *(lm_column *const *)b;
  return strcmp(x->name, y->name);
}

/* Gives the parameters that `row` is the first to have the next coordinates, in the order of their names. */
static lmopt_status rank_row(qmc *s, const lm_trials *t, size_t row) {
  const lm_allocator *a = s->base.allocator;
  lm_column **fresh = lm_alloc(a, (t->column_count - s->ranked) * sizeof(lm_column *));
  if (!fresh) return LMOPT_NO_MEMORY;
  size_t count = 0;
  for (size_t i = 0; i < t->column_count; i++) {
    lm_column *c = t->columns[i];
    if (s->ranks[i].coordinate == NOT_RANKED && lm_column_distribution(c, row)) fresh[count++] = c;
  }
  if (count) qsort(fresh, count, sizeof(lm_column *), compare_names);
  for (size_t i = 0; i < count; i++) s->ranks[fresh[i]->index] = (rank){(long long)s->ranked++, (long long)row};
  lm_free(a, fresh);
  return LMOPT_OK;
}

/* Takes in the finished rows that the view shows, up to the first that is not finished. */
static lmopt_status update_ranks(qmc *s, const lm_view *shown) {
  lm_view whole = *shown; /* coordinates are the study's, whoever may learn from a trial */
  whole.scope = (lm_view_scope){0};
  const lm_view *view = &whole;
  const lm_trials *t = view->trials;
  if (s->trials != t || s->birth != t->birth || s->edits != t->edits) {
    s->trials = t;
    s->birth = t->birth;
    s->edits = t->edits;
    s->scanned = s->ranked = s->count = 0;
  }
  if (!lm_grow(s->base.allocator, &s->ranks, &s->capacity, t->column_count, sizeof *s->ranks)) return LMOPT_NO_MEMORY;
  while (s->count < t->column_count) s->ranks[s->count++].coordinate = NOT_RANKED;
  size_t rows = lm_view_count(view);
  while (s->scanned < rows && (long long)s->scanned <= view->horizon) {
    if (!lm_state_finished(lm_view_state(view, s->scanned))) break;
    if (s->ranked < t->column_count && rank_row(s, t, s->scanned)) return LMOPT_NO_MEMORY;
    s->scanned++;
  }
  return LMOPT_OK;
}

/* --- points --- */

/* Another attempt at a trial is the same point of another scramble (or of the random one, when there should be none). */
static lmopt_status make_sequence(qmc *s, const lm_view *view, size_t dimensions) {
  const lm_allocator *a = s->base.allocator;
  lm_rng rng = lm_rng_stream(view->seed, -1 - (int64_t)view->attempt, "qmc");
  lm_quasi *sequence = lm_quasi_new(a, s->options.halton ? LM_QUASI_HALTON : LM_QUASI_SOBOL, dimensions,
                                    s->options.scramble || view->attempt ? &rng : NULL);
  double *point = lm_alloc(a, dimensions * sizeof *point);
  if (!sequence || !point) {
    lm_quasi_free(sequence);
    lm_free(a, point);
    return LMOPT_NO_MEMORY;
  }
  lm_quasi_free(s->sequence);
  lm_free(a, s->point);
  s->sequence = sequence;
  s->point = point;
  s->seed = view->seed;
  s->attempt = view->attempt;
  s->dimensions = dimensions;
  s->number = -1;
  return LMOPT_OK;
}

/* Coordinate `at` of the view's point. More dimensions do not change the coordinates there were. */
static lmopt_status coordinate(qmc *s, const lm_view *view, size_t at, double *u) {
  if (s->seed != view->seed || s->attempt != view->attempt || at >= s->dimensions) {
    size_t dimensions = s->dimensions ? s->dimensions : 8;
    while (dimensions <= at) dimensions *= 2;
    if (make_sequence(s, view, dimensions)) return LMOPT_NO_MEMORY;
  }
  if (s->number != view->number) lm_quasi_points(s->sequence, (uint64_t)view->number, 1, s->point);
  s->number = view->number;
  *u = s->point[at];
  return LMOPT_OK;
}

/* A point of the parameter's own sequence. */
static double single(const lm_view *view, const lm_column *column) {
  lm_view of_all = *view;
  of_all.number = -1; /* no trial's: the parameter's */
  return lm_quasi_single(lm_draw_stream(&of_all, column), (uint64_t)view->number);
}

static lmopt_status sample_relative(lm_sampler *s, const lm_view *view, lm_assignments *out, lm_error *e) {
  (void)s, (void)view, (void)out, (void)e;
  return LMOPT_OK;
}

static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  qmc *s = (qmc *)base;
  if (update_ranks(s, view)) return lm_fail_memory(e);
  rank r = s->ranks[column->index];
  double u;
  if (r.coordinate == NOT_RANKED || r.row > view->horizon || r.row >= view->number) {
    u = single(view, column);
  } else if (coordinate(s, view, (size_t)r.coordinate, &u)) {
    return lm_fail_memory(e);
  }
  *internal = lm_draw_at(distribution, u);
  return LMOPT_OK;
}

static void free_qmc(lm_sampler *base) {
  qmc *s = (qmc *)base;
  lm_quasi_free(s->sequence);
  lm_free(base->allocator, s->point);
  lm_free(base->allocator, s->ranks);
  lm_free(base->allocator, s);
}

static const lm_sampler_class qmc_class = {"qmc", sample_relative, sample_independent, NULL, free_qmc, NULL};

lm_sampler *lm_sampler_qmc(const lm_allocator *a, const lm_qmc_options *o) {
  qmc *s = lm_alloc_zeroed(a, sizeof *s);
  if (!s) return NULL;
  s->base = (lm_sampler){&qmc_class, a};
  s->options = *o;
  s->number = -1;
  return &s->base;
}
