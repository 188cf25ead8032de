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
