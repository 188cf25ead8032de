/*
** Repeats, for objectives with noise: trials come in blocks of a few, and all of
** a block have the parameters of its first one. Or, in place of blocks, every
** so many trials the most promising point is evaluated once more: the one of
** the best optimistic mean, as in P. Auer, N. Cesa-Bianchi and P. Fischer,
** "Finite-time analysis of the multiarmed bandit problem", Machine Learning 47 (2002).
**
** The other sampler is asked with the view that the first of the block had, so
** that it gives the same answers again, whether or not that one has finished.
** Values that the first was given from elsewhere (enqueued) are taken as far as
** the view shows them.
*/
#include <math.h>

#include "math/elementary.h"
#include "search/sampler.h"

typedef struct repeated {
  lm_sampler base;
  lm_sampler *inner;
  lm_repeated_options options;
} repeated;

/* The most points that are compared to find the most promising one. */
enum { POINTS_COMPARED = 200 };

/* --- blocks --- */

static lm_view view_of_first(const repeated *s, const lm_view *view) {
  lm_view first = *view;
  first.number -= view->number % s->options.repeats;
  if (!view->arrival) first.horizon -= view->number - first.number;
  return first;
}

static lmopt_status repeat_first(repeated *s, const lm_view *view, const lm_view *first, lm_assignments *out,
                                 lm_error *e) {
  const lm_trials *t = view->trials;
  lmopt_status status = s->inner->class->sample_relative(s->inner, first, out, e);
  for (size_t i = 0; i < t->column_count && !status; i++) {
    lm_assignment seen = {t->columns[i], NULL, 0};
    if (!lm_view_param(view, (size_t)first->number, seen.column, &seen.distribution, &seen.value)) continue;
    lm_assignment *known = (lm_assignment *)lm_assignments_find(out, seen.column);
    if (known) {
      *known = seen;
    } else {
      status = lm_assignments_add(s->base.allocator, out, seen, e);
    }
  }
  return status;
}

/* --- the most promising point --- */

typedef struct point {
  size_t row; /* the first one there */
  size_t count;
  double sum, squares;
} point;

static bool same_point(const lm_trials *t, size_t a, size_t b) {
  for (size_t i = 0; i < t->column_count; i++) {
    const lm_column *c = t->columns[i];
    const lm_distribution *x = lm_column_distribution(c, a), *y = lm_column_distribution(c, b);
    if (!x != !y || (x && c->values[a] != c->values[b])) return false;
  }
  return true;
}

static double mean_of(const point *p) { return p->sum / (double)p->count; }

/* Where the row belongs: its point, a free place, or the place of the worst; POINTS_COMPARED when it is worse than all. */
static size_t place_of(const lm_trials *t, const point *points, size_t count, size_t row, double loss) {
  size_t worst = 0;
  for (size_t i = 0; i < count; i++) {
    if (same_point(t, points[i].row, row)) return i;
    if (mean_of(&points[i]) > mean_of(&points[worst])) worst = i;
  }
  if (count < POINTS_COMPARED) return count;
  return loss < mean_of(&points[worst]) ? worst : POINTS_COMPARED;
}

/* The points of the best trials, each with its trials; how many there are. */
static size_t gather(const lm_view *view, point *points) {
  const lm_trials *t = view->trials;
  size_t count = 0;
  for (size_t row = 0, rows = lm_view_count(view); row < rows; row++) {
    if (lm_view_state(view, row) != LM_COMPLETE || t->rows[row].infeasible) continue;
    double loss = lm_trials_loss(t, row, 0);
    size_t at = fabs(loss) < INFINITY ? place_of(t, points, count, row, loss) : POINTS_COMPARED;
    if (at == POINTS_COMPARED) continue;
    if (at == count || !same_point(t, points[at].row, row)) points[at] = (point){row, 0, 0, 0};
    if (at == count) count++;
    points[at].count++;
    points[at].sum += loss;
    points[at].squares += loss * loss;
  }
  return count;
}

/* The variance within points, from repeats; where there are none yet, a quarter of that between points. */
static double noise_of(const point *points, size_t count) {
  double within = 0, sum = 0, squares = 0;
  size_t freedom = 0;
  for (size_t i = 0; i < count; i++) {
    double n = (double)points[i].count, mean = mean_of(&points[i]);
    within += fmax(points[i].squares - n * mean * mean, 0);
    freedom += points[i].count - 1;
    sum += mean;
    squares += mean * mean;
  }
  double between = fmax(squares / (double)count - (sum / (double)count) * (sum / (double)count), 0);
  return freedom > 0 ? within / (double)freedom : between / 4;
}

/* -1: there is none yet. */
static long long most_promising(const lm_view *view) {
  point points[POINTS_COMPARED] = {{0}};
  size_t count = gather(view, points), trials = 0;
  if (count == 0) return -1;
  for (size_t i = 0; i < count; i++) trials += points[i].count;
  double reach = sqrt(2 * lm_log((double)trials + 1) * noise_of(points, count)), least = INFINITY;
  if (!(reach < INFINITY)) reach = 0; /* values too large to be squared */
  size_t best = 0;
  for (size_t i = 0; i < count; i++) {
    double n = (double)points[i].count, bound = mean_of(&points[i]) - reach / sqrt(n);
    if (bound < least) {
      least = bound;
      best = i;
    }
  }
  return (long long)points[best].row;
}

static bool is_recheck(const repeated *s, const lm_view *view) {
  return s->options.promising && view->trials->objectives == 1 &&
         view->number % s->options.repeats == s->options.repeats - 1;
}

static lmopt_status recheck(repeated *s, const lm_view *view, bool *done, lm_assignments *out, lm_error *e) {
  const lm_trials *t = view->trials;
  long long row = most_promising(view);
  *done = row >= 0;
  for (size_t i = 0; i < t->column_count && row >= 0; i++) {
    lm_assignment seen = {t->columns[i], NULL, 0};
    if (!lm_view_param(view, (size_t)row, seen.column, &seen.distribution, &seen.value)) continue;
    if (view->fixed && lm_assignments_find(view->fixed, seen.column)) continue;
    lmopt_status status = lm_assignments_add(s->base.allocator, out, seen, e);
    if (status) return status;
  }
  return LMOPT_OK;
}

/* --- the sampler --- */

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  repeated *s = (repeated *)base;
  if (is_recheck(s, view) && view->attempt == 0) {
    bool done;
    lmopt_status status = recheck(s, view, &done, out, e);
    if (status || done) return status;
  }
  lm_view first = view_of_first(s, view);
  if (s->options.promising || first.number == view->number)
    return s->inner->class->sample_relative(s->inner, view, out, e);
  return repeat_first(s, view, &first, out, e);
}

static lm_view view_for(const repeated *s, const lm_view *view) {
  return s->options.promising ? *view : view_of_first(s, view);
}

static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  repeated *s = (repeated *)base;
  lm_view asked = view_for(s, view);
  return s->inner->class->sample_independent(s->inner, &asked, column, distribution, internal, e);
}

static lmopt_status sample_structure(lm_sampler *base, const lm_view *view, lm_column *const *columns,
                                     const lm_distribution *const *distributions, size_t count, double *values,
                                     lm_error *e) {
  repeated *s = (repeated *)base;
  lm_view asked = view_for(s, view);
  return lm_sampler_structure(s->inner, &asked, columns, distributions, count, values, e);
}

static void free_repeated(lm_sampler *base) {
  lm_sampler_free(((repeated *)base)->inner);
  lm_free(base->allocator, base);
}

static const lm_sampler_class repeated_class = {"repeated", sample_relative, sample_independent,
                                                NULL,       free_repeated,   sample_structure};

lm_sampler *lm_sampler_repeated(const lm_allocator *a, lm_sampler *inner, const lm_repeated_options *o) {
  repeated *s = lm_alloc(a, sizeof *s);
  if (!s) return NULL;
  *s = (repeated){{&repeated_class, a}, inner, *o};
  if (s->options.repeats < 1) s->options.repeats = 1;
  return &s->base;
}
