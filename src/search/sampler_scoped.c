/*
** Samplers of one kind for views of several scopes: each scope has one to
** itself, so that what it keeps between two trials is of use. With more scopes
** than samplers, the one that was not used for longest starts anew.
*/
#include "search/sampler.h"

typedef struct slot {
  lm_sampler *sampler;
  uint64_t scope;
  unsigned long long used;
} slot;

typedef struct scoped {
  lm_sampler base;
  unsigned long long clock;
  size_t count;
  slot slots[];
} scoped;

static lm_sampler *choose(lm_sampler *base, const lm_view *view) {
  scoped *s = (scoped *)base;
  slot *found = &s->slots[0];
  for (size_t i = 0; i < s->count; i++) {
    slot *other = &s->slots[i];
    if (other->used && other->scope == view->scope.id) {
      found = other;
      break;
    }
    if (other->used < found->used) found = other;
  }
  found->scope = view->scope.id;
  found->used = ++s->clock;
  return found->sampler;
}

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  lm_sampler *chosen = choose(base, view);
  return chosen->class->sample_relative(chosen, view, out, e);
}

static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  lm_sampler *chosen = choose(base, view);
  return chosen->class->sample_independent(chosen, view, column, distribution, internal, e);
}

static lmopt_status sample_structure(lm_sampler *base, const lm_view *view, lm_column *const *columns,
                                     const lm_distribution *const *distributions, size_t count, double *values,
                                     lm_error *e) {
  return lm_sampler_structure(choose(base, view), view, columns, distributions, count, values, e);
}

static bool exhausted(lm_sampler *base, const lm_view *view) {
  lm_sampler *chosen = choose(base, view);
  return chosen->class->exhausted && chosen->class->exhausted(chosen, view);
}

static void free_scoped(lm_sampler *base) {
  scoped *s = (scoped *)base;
  for (size_t i = 0; i < s->count; i++) lm_sampler_free(s->slots[i].sampler);
  lm_free(base->allocator, s);
}

static const lm_sampler_class scoped_class = {"scoped",  sample_relative, sample_independent,
                                              exhausted, free_scoped,     sample_structure};

lm_sampler *lm_sampler_scoped(const lm_allocator *a, lm_sampler *const *copies, size_t count) {
  scoped *s = lm_alloc_zeroed(a, sizeof *s + count * sizeof *s->slots);
  if (!s) return NULL;
  s->base = (lm_sampler){&scoped_class, a};
  s->count = count;
  for (size_t i = 0; i < count; i++) s->slots[i].sampler = copies[i];
  return &s->base;
}

lm_sampler *lm_sampler_for(lm_sampler *s, const lm_view *view) {
  return s->class == &scoped_class ? choose(s, view) : s;
}
