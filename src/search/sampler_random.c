/*
** Random search: J. Bergstra and Y. Bengio, "Random search for hyper-parameter
** optimization", JMLR 13 (2012). Nothing is joint.
*/
#include "search/draw.h"
#include "search/prior.h"
#include "search/sampler.h"

static lmopt_status sample_relative(lm_sampler *s, const lm_view *view, lm_assignments *out, lm_error *e) {
  (void)s;
  (void)view;
  (void)out;
  (void)e;
  return LMOPT_OK;
}

static lmopt_status sample_independent(lm_sampler *s, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  (void)s;
  (void)e;
  lm_rng rng = lm_draw_stream(view, column);
  *internal = lm_prior_draw(&rng, lm_view_prior(view, column, distribution), distribution);
  return LMOPT_OK;
}

static void free_random(lm_sampler *s) { lm_free(s->allocator, s); }

static const lm_sampler_class random_class = {"random", sample_relative, sample_independent, NULL, free_random, NULL};

lm_sampler *lm_sampler_random(const lm_allocator *a) {
  lm_sampler *s = lm_alloc(a, sizeof *s);
  if (s) *s = (lm_sampler){&random_class, a};
  return s;
}
