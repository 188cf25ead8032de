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

/* The stream of one independent parameter of trial view->number. */
lm_rng lm_draw_stream(const lm_view *view, const lm_column *column);

#endif
