/*
** Uniform draws that every sampler falls back on.
*/
#ifndef LM_DRAW_H
#define LM_DRAW_H

#include "base/rng.h"
#include "search/trials.h"

/* Uniform in the transformed space (logarithm, half a step wider); a category or a grid value uniformly. */
double lm_draw_uniform(lm_rng *rng, const lm_distribution *d);

/* The value at u in [0, 1) of a range that lm_draw_uniform draws from. */
double lm_draw_at(const lm_distribution *d, double u);

/*
** The stream of trial view->number for a purpose. Every attempt at a point that
** hard constraints allow has its own, so whatever a sampler draws for its
** proposal comes from here; what must be the same for all attempts (a study's
** shuffle, the replay of earlier trials) from lm_rng_stream.
*/
lm_rng lm_view_stream(const lm_view *view, const char *purpose);

/* The stream of one independent parameter of trial view->number. */
lm_rng lm_draw_stream(const lm_view *view, const lm_column *column);

#endif
