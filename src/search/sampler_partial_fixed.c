/*
** Some parameters fixed, the others from another sampler, whose joint space
** does not contain the fixed ones.
*/
#include <string.h>

#include "search/sampler.h"
#include "search/structured.h"

typedef struct fixed_value {
  char *name;
  double value;
} fixed_value;

typedef struct partial_fixed {
  lm_sampler base;
  lm_sampler *inner;
  fixed_value *fixed;
  size_t count;
} partial_fixed;

static lmopt_status fixed_assignments(const partial_fixed *s, const lm_view *view, lm_assignments *list) {
  for (size_t i = 0; i < s->count; i++) {
    lm_assignment item = {lm_trials_column(view->trials, s->fixed[i].name, true), NULL, s->fixed[i].value};
    if (!item.column || lm_assignments_add(s->base.allocator, list, item, NULL)) return LMOPT_NO_MEMORY;
  }
  return LMOPT_OK;
}

/* Is it fixed, or a part of a structured variable that is fixed as a whole? */
static bool is_decided(const partial_fixed *s, const lm_assignments *list, const lm_assignment *item) {
  const lm_part *part = item->distribution ? item->distribution->part : NULL;
  for (size_t i = 0; i < s->count && part; i++)
    if (strcmp(s->fixed[i].name, part->variable) == 0) return true;
  return lm_assignments_find(list, item->column) != NULL;
}

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  partial_fixed *s = (partial_fixed *)base;
  const lm_allocator *a = base->allocator;
  lm_assignments list = {0}, drawn = {0};
  lmopt_status status = fixed_assignments(s, view, &list);
  if (status) {
    lm_assignments_free(a, &list);
    return lm_fail_memory(e);
  }
  lm_view inner_view = *view;
  inner_view.fixed = &list;
  status = s->inner->class->sample_relative(s->inner, &inner_view, &drawn, e);
  for (size_t i = 0; i < list.count && !status; i++) status = lm_assignments_add(a, out, list.items[i], e);
  for (size_t i = 0; i < drawn.count && !status; i++) {
    if (!is_decided(s, &list, &drawn.items[i])) status = lm_assignments_add(a, out, drawn.items[i], e);
  }
  lm_assignments_free(s->inner->allocator, &drawn);
  lm_assignments_free(a, &list);
  return status;
}

static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  partial_fixed *s = (partial_fixed *)base;
  for (size_t i = 0; i < s->count; i++) {
    if (strcmp(s->fixed[i].name, column->name) != 0) continue;
    if (!lm_distribution_contains(distribution, s->fixed[i].value)) {
      return lm_fail(e, LMOPT_MISUSE, "the fixed value of the parameter '%.200s' is outside of what is suggested",
                     column->name);
    }
    *internal = s->fixed[i].value;
    return LMOPT_OK;
  }
  return s->inner->class->sample_independent(s->inner, view, column, distribution, internal, e);
}

static lmopt_status sample_structure(lm_sampler *base, const lm_view *view, lm_column *const *columns,
                                     const lm_distribution *const *distributions, size_t count, double *values,
                                     lm_error *e) {
  return lm_sampler_structure(((partial_fixed *)base)->inner, view, columns, distributions, count, values, e);
}

static bool exhausted(lm_sampler *base, const lm_view *view) {
  partial_fixed *s = (partial_fixed *)base;
  if (!s->inner->class->exhausted) return false;
  lm_assignments list = {0};
  lm_view inner_view = *view;
  inner_view.fixed = &list;
  bool none = !fixed_assignments(s, view, &list) && s->inner->class->exhausted(s->inner, &inner_view);
  lm_assignments_free(base->allocator, &list);
  return none;
}

static void free_partial_fixed(lm_sampler *base) {
  partial_fixed *s = (partial_fixed *)base;
  for (size_t i = 0; s->fixed && i < s->count; i++) lm_free(base->allocator, s->fixed[i].name);
  lm_free(base->allocator, s->fixed);
  lm_sampler_free(s->inner);
  lm_free(base->allocator, s);
}

static const lm_sampler_class partial_fixed_class = {"partial_fixed", sample_relative,    sample_independent,
                                                     exhausted,       free_partial_fixed, sample_structure};

lm_sampler *lm_sampler_partial_fixed(const lm_allocator *a, lm_sampler *base, const char *const *names,
                                     const double *values, size_t count) {
  partial_fixed *s = lm_alloc_zeroed(a, sizeof *s);
  if (!s) return NULL;
  s->base = (lm_sampler){&partial_fixed_class, a};
  s->fixed = lm_alloc_zeroed(a, (count ? count : 1) * sizeof *s->fixed);
  bool fine = s->fixed != NULL;
  for (size_t i = 0; i < count && fine; i++) {
    s->fixed[i] = (fixed_value){lm_copy_text(a, names[i]), values[i]};
    s->count = i + 1;
    fine = s->fixed[i].name != NULL;
  }
  if (fine) {
    s->inner = base; /* not before: after a failure the caller still owns it */
    return &s->base;
  }
  free_partial_fixed(&s->base);
  return NULL;
}
