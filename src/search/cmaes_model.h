/*
** CMA-ES over the trials of a study. Nothing is stored: the distribution is
** computed from the rows that a view shows as finished, in number order, each
** as one point of the generation that is being filled, wherever it came from.
**
** It is a cache: a view that grows costs one point per trial. Rows that
** finished before an earlier one did (arrival order) are taken in again, on a
** copy, until that one has finished too.
*/
#ifndef LM_CMAES_MODEL_H
#define LM_CMAES_MODEL_H

#include "search/cmaes_run.h"
#include "search/intersection.h"

/* A joint parameter as an axis of the unit cube. */
typedef struct lm_cmaes_axis {
  lm_column *column;
  const lm_distribution *distribution;
  double low, width, half_width;
} lm_cmaes_axis;

/*
** What trials were given before it was mirrored into the cube or moved to a cell: the distribution of that moment
** draws it again, with the stream of the trial. A row that does not have these very values is a point from elsewhere.
*/
typedef struct lm_cmaes_memory {
  size_t lag;     /* as many slots; 0: nothing is remembered */
  double *points; /* lag x 2 d: the point, and what the update takes for it */
  size_t *rows;   /* whose; SIZE_MAX: nobody's */
  size_t point_capacity, row_capacity;
} lm_cmaes_memory;

/* A run, and where it stands in the rows. */
typedef struct lm_cmaes_replay {
  lm_cmaes_run run;
  lm_cmaes_memory memory;
  size_t next;  /* rows below were looked at */
  size_t fresh; /* rows below were drawn before the last restart */
} lm_cmaes_replay;

typedef struct lm_cmaes_model {
  const lm_allocator *allocator;
  lm_cmaes_options options;
  /* whose view this is */
  const lm_trials *trials;
  double birth;
  unsigned long long edits;
  uint64_t seed, scope;
  bool arrival;
  long long horizon;
  size_t lag;
  size_t settled, settled_count; /* rows below have finished; how many of them count */
  lm_space space, ahead_space;   /* of the rows below `settled`; of those above that have finished */
  lm_cmaes_axis *axes;
  size_t axis_count, axis_capacity;
  double *cells, *start, *source, *source_losses;
  size_t cell_capacity, start_capacity, source_capacity, loss_capacity, source_count;
  bool started;
  lm_cmaes_replay settled_replay, ahead;
  double *point; /* scratch: 2 d */
  size_t point_capacity;
  /* what follows is for the view of the last update */
  const lm_cmaes_run *current;
  size_t count; /* trials that count: complete ones, and pruned ones where they are considered */
} lm_cmaes_model;

void lm_cmaes_model_free(lm_cmaes_model *m);

/* Follows the view. After NO_MEMORY the model is empty, and usable. */
lmopt_status lm_cmaes_model_update(lm_cmaes_model *m, const lm_view *view);

/* Is the row a point, and how good? Complete ones are, and pruned ones that reported, where they are considered. */
bool lm_cmaes_model_counts(const lm_cmaes_model *m, const lm_view *view, size_t row, double *loss);

/* Draws the axes' values for trial view->number, whose view the model is up to date with. */
void lm_cmaes_model_sample(lm_cmaes_model *m, const lm_view *view, double *internal);

#endif
