/*
** From trials to inputs of a Gaussian process, and back.
**
** Every parameter that some finished trial has is an axis. A point of the
** search is latent: a position in [0, 1] (logarithms, half-step widening, grids
** as in lm_distribution_range) or the index of a category, for every axis,
** whether its parameter is active or not.
**
** Conditional spaces are modelled jointly. Axes that the trials have or lack
** together form a group. For each group a decision tree over parameters that
** are suggested before it is learned from the trials: when is it active? The
** inputs of the model are the axes, where an inactive one stands at the middle
** (or at a category of its own), and one indicator per group. So two points are
** as far apart as usual in what both have, at a learned distance where one
** lacks what the other has, and equal where both lack it. The idea of a learned
** distance is that of K. Swersky et al., "Raiders of the lost architecture:
** kernels for Bayesian optimization in conditional parameter spaces" (2014); the
** imputation that of J.-C. Levesque et al., "Bayesian optimization for
** conditional hyperparameter spaces", IJCNN (2017).
*/
#ifndef LM_GP_SPACE_H
#define LM_GP_SPACE_H

#include "search/trials.h"

typedef struct lm_gp_axis {
  lm_column *column;
  const lm_distribution *distribution; /* the latest in the view */
  bool category;
  double low, high; /* lm_distribution_range */
  size_t levels;    /* values it can have; 0: continuous, or too many to tell apart */
  size_t group;     /* SIZE_MAX: active in every trial */
  uint64_t presence;
  bool fixed; /* decided already: stays at fixed_at */
  double fixed_at;
} lm_gp_axis;

/* Of a tree of activity. */
typedef struct lm_gp_node {
  size_t axis;    /* SIZE_MAX: a leaf */
  double at;      /* category: equal to it; else: not above it, go to `yes` */
  size_t yes, no; /* indices of nodes */
  bool active;    /* of a leaf */
} lm_gp_node;

typedef struct lm_gp_group {
  size_t root;
  size_t trials; /* that have it */
  size_t member; /* an axis of it */
} lm_gp_group;

typedef struct lm_gp_space {
  const lm_allocator *allocator;
  lm_gp_axis *axes; /* by name */
  size_t count, capacity;
  lm_gp_group *groups;
  size_t group_count, group_capacity;
  lm_gp_node *nodes;
  size_t node_count, node_capacity;
  size_t *rows; /* the COMPLETE trials of the view with numbers for values, in their order */
  size_t row_count, row_capacity;
} lm_gp_space;

/* Reads the view. `s` must be zeroed or have been built before. After NO_MEMORY it is empty. */
lmopt_status lm_gp_space_build(lm_gp_space *s, const lm_allocator *a, const lm_view *view);
void lm_gp_space_free(lm_gp_space *s);

/* The number of a model's inputs, and which of them are categories. */
static inline size_t lm_gp_space_inputs(const lm_gp_space *s) { return s->count + s->group_count; }
static inline bool lm_gp_space_is_category(const lm_gp_space *s, size_t input) {
  return input >= s->count || s->axes[input].category;
}

/* The inputs of a trial that the view shows (a running one: of what is known of it). */
void lm_gp_space_encode_row(const lm_gp_space *s, const lm_view *view, size_t row, double *inputs);
/* Its latent point; what it lacks is at the middle, or the first category. */
void lm_gp_space_latent_row(const lm_gp_space *s, const lm_view *view, size_t row, double *latent);

/* The inputs of a latent point. */
void lm_gp_space_encode(const lm_gp_space *s, const double *latent, double *inputs);
bool lm_gp_space_active(const lm_gp_space *s, const double *latent, size_t axis);

/* The internal value at a position, and the position of an internal value; `snap` goes to the nearest grid value. */
double lm_gp_axis_internal(const lm_gp_axis *axis, double position);
double lm_gp_axis_position(const lm_gp_axis *axis, double internal);
double lm_gp_axis_snap(const lm_gp_axis *axis, double position);

/* Learns when each group is active (gp_activity.c). */
lmopt_status lm_gp_space_learn_activity(lm_gp_space *s, const lm_view *view);

#endif
