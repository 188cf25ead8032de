/*
** A study simulated over lm_trials alone, for tests of samplers: an objective
** with conditional parameters, pruned, failed and infeasible trials, in number
** order with a lag or in arrival order.
*/
#ifndef SIMULATED_H
#define SIMULATED_H

#include "search/sampler.h"

enum { SIM_AXES = 7 };

typedef struct sim_options {
  size_t objectives;
  bool conditional, growing; /* growing: one integer's range depends on the trial */
  bool accidents;            /* some trials end pruned, failed or infeasible */
  long long lag;             /* trials that run at a time */
  bool arrival;
  uint64_t seed;
} sim_options;

typedef struct sim_draw {
  lm_column *column;
  const lm_distribution *distribution;
  double value;
} sim_draw;

typedef struct sim {
  sim_options options;
  lm_trials *trials;
  size_t finished; /* rows below have ended */
} sim;

/* An allocator that counts what is alive and fails its `fail_at`-th call (0: never), and all later ones when `sticky`. */
typedef struct sim_memory {
  lm_allocator allocator;
  size_t calls, fail_at, alive;
  bool sticky, failed;
} sim_memory;

void sim_memory_init(sim_memory *m);

bool sim_init(sim *s, const lm_allocator *a, const sim_options *o);
void sim_free(sim *s);

/* Appends the next row and gives its view. */
lm_view sim_begin(sim *s);
/* The view a row has now (its horizon: the lag behind it). */
lm_view sim_view(const sim *s, size_t row);
/* Takes `relative` (moved), then walks the parameters; each undrawn one is asked of `sampler`. */
lmopt_status sim_suggest(sim *s, const lm_view *view, lm_sampler *sampler, lm_assignments *relative, sim_draw *draws,
                         size_t *count);
/* Ends a row with the value its parameters have. */
void sim_end(sim *s, size_t row);
/* Ends the rows that must have ended before the next begins. */
void sim_catch_up(sim *s);

/* Equal bit for bit. */
bool sim_same_relative(const lm_assignments *a, const lm_assignments *b);

#endif
