/*
** Restarts: another sampler that begins anew when nothing got better for a
** while, and from then on learns from the trials since, and from the best one
** before if that is wanted. Any sampler can be restarted, as it is given a view
** that begins later. After the restarts of local search: H. R. Lourenço, O. C. Martin,
** T. Stützle, "Iterated local search", Handbook of Metaheuristics (2003).
**
** Where the search begins anew follows from the results up to the horizon: the
** result of trial r shows in trial r + lag for the first time, which is the
** first one of the new search.
*/
#include <math.h>

#include "base/rng.h"
#include "search/pareto.h"
#include "search/sampler.h"

typedef struct restart {
  lm_sampler base;
  lm_sampler *inner;
  lm_restart_options options;
  /* whose view was followed, and how far */
  const lm_trials *trials;
  double birth;
  unsigned long long edits;
  uint64_t scope;
  long long horizon;
  long long next;  /* rows below were looked at */
  long long from;  /* the first row of the search that goes on */
  long long best;  /* the best row of it, -1: none */
  long long kept;  /* the best row before it, -1: none */
  long long stale; /* rows since something got better */
} restart;

void lm_restart_options_default(lm_restart_options *o) { *o = (lm_restart_options){30, false}; }

static void begin(restart *s, const lm_view *view) {
  const lm_trials *t = view->trials;
  bool same = s->trials == t && s->birth == t->birth && s->edits == t->edits && s->scope == view->scope.id;
  if (same && !view->arrival && s->horizon <= view->horizon) return;
  s->trials = t;
  s->birth = t->birth;
  s->edits = t->edits;
  s->scope = view->scope.id;
  s->next = s->from = s->stale = 0;
  s->best = s->kept = -1;
}

/* Is the row better than all of this search? Of several objectives: does none of them dominate or equal it? */
static bool improves(const restart *s, const lm_view *view, long long row) {
  const lm_trials *t = view->trials;
  size_t m = t->objectives;
  if (t->rows[row].infeasible) return false;
  if (m == 1) {
    double loss = lm_trials_loss(t, (size_t)row, 0);
    return !isnan(loss) && (s->best < 0 || loss < lm_trials_loss(t, (size_t)s->best, 0));
  }
  for (long long other = s->from; other < row; other++) {
    if (lm_view_state(view, (size_t)other) != LM_COMPLETE || t->rows[other].infeasible) continue;
    bool better = false;
    for (size_t i = 0; i < m && !better; i++) {
      better = lm_trials_loss(t, (size_t)row, i) < lm_trials_loss(t, (size_t)other, i);
    }
    if (!better) return false;
  }
  return true;
}

static void take_in(restart *s, const lm_view *view, long long row) {
  const lm_trials *t = view->trials;
  lm_state state = lm_view_state(view, (size_t)row);
  if (row < s->from || (state != LM_COMPLETE && state != LM_PRUNED)) return;
  if (state == LM_COMPLETE && improves(s, view, row)) {
    s->best = row;
    s->stale = 0;
    return;
  }
  if (++s->stale < s->options.stagnation) return;
  bool better = s->best >= 0 && t->objectives == 1 &&
                (s->kept < 0 || lm_trials_loss(t, (size_t)s->best, 0) < lm_trials_loss(t, (size_t)s->kept, 0));
  if (better) s->kept = s->best;
  s->from = view->arrival ? row + 1 : row + (view->number - view->horizon);
  s->best = -1;
  s->stale = 0;
}

static bool shows(const lm_view_scope *scope, size_t row) {
  const lm_view_scope *outer = scope->context;
  if (outer->shows && !outer->shows(outer, row)) return false;
  return (long long)row >= scope->from || (long long)row == scope->kept;
}

/* The view of the search that goes on. It refers to `view`. */
static lm_view follow(restart *s, const lm_view *view) {
  begin(s, view);
  long long rows = (long long)lm_view_count(view);
  for (; s->next < rows && s->next <= view->horizon; s->next++) take_in(s, view, s->next);
  s->horizon = view->horizon;
  lm_view seen = *view;
  if (s->from == 0) return seen;
  long long kept = s->options.keep_best ? s->kept : -1;
  uint64_t id = lm_mix(view->scope.id ^ lm_mix((uint64_t)s->from));
  seen.scope = (lm_view_scope){
      .id = lm_mix(id ^ (uint64_t)(kept + 2)), .shows = shows, .context = &view->scope, .from = s->from, .kept = kept};
  return seen;
}

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  restart *s = (restart *)base;
  lm_view seen = follow(s, view);
  return s->inner->class->sample_relative(s->inner, &seen, out, e);
}

static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  restart *s = (restart *)base;
  lm_view seen = follow(s, view);
  return s->inner->class->sample_independent(s->inner, &seen, column, distribution, internal, e);
}

static lmopt_status sample_structure(lm_sampler *base, const lm_view *view, lm_column *const *columns,
                                     const lm_distribution *const *distributions, size_t count, double *values,
                                     lm_error *e) {
  restart *s = (restart *)base;
  lm_view seen = follow(s, view);
  return lm_sampler_structure(s->inner, &seen, columns, distributions, count, values, e);
}

static void free_restart(lm_sampler *base) {
  lm_sampler_free(((restart *)base)->inner);
  lm_free(base->allocator, base);
}

static const lm_sampler_class restart_class = {"restart", sample_relative, sample_independent,
                                               NULL,      free_restart,    sample_structure};

lm_sampler *lm_sampler_restart(const lm_allocator *a, lm_sampler *inner, const lm_restart_options *o) {
  restart *s = lm_alloc_zeroed(a, sizeof *s);
  if (!s) return NULL;
  s->base = (lm_sampler){&restart_class, a};
  s->inner = inner;
  s->options = *o;
  if (s->options.stagnation < 1) s->options.stagnation = 1;
  return &s->base;
}
