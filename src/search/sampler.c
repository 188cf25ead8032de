#include "search/sampler.h"

#include "search/structured.h"

void lm_sampler_free(lm_sampler *s) {
  if (s) s->class->free(s);
}

lmopt_status lm_sampler_structure(lm_sampler *s, const lm_view *view, lm_column *const *columns,
                                  const lm_distribution *const *distributions, size_t count, double *values,
                                  lm_error *e) {
  if (s && s->class->sample_structure)
    return s->class->sample_structure(s, view, columns, distributions, count, values, e);
  lm_rng rng = lm_structure_stream(view, "structure", distributions[0]->part);
  lm_structure_draw(distributions[0]->part, &rng, values, count);
  return LMOPT_OK;
}

lmopt_status lm_sampler_rest(lm_sampler *s, const lm_view *view, lm_assignments *out, lm_error *e) {
  const lm_allocator *a = s->allocator;
  lm_assignments fixed = {0}, drawn = {0};
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < out->count && !status; i++) status = lm_assignments_add(a, &fixed, out->items[i], e);
  for (size_t i = 0; view->fixed && i < view->fixed->count && !status; i++)
    status = lm_assignments_add(a, &fixed, view->fixed->items[i], e);
  lm_view other = *view;
  other.fixed = &fixed;
  if (!status) status = s->class->sample_relative(s, &other, &drawn, e);
  for (size_t i = 0; i < drawn.count && !status; i++) {
    if (!lm_assignments_find(&fixed, drawn.items[i].column)) status = lm_assignments_add(a, out, drawn.items[i], e);
  }
  lm_assignments_free(a, &drawn);
  lm_assignments_free(a, &fixed);
  return status;
}
