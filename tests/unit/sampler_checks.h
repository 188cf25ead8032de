/*
** What holds for every sampler, checked over simulated studies with cmocka's
** assertions: what it computed before never shows, and no refused allocation
** loses memory or changes a later answer.
*/
#ifndef SAMPLER_CHECKS_H
#define SAMPLER_CHECKS_H

#include "simulated.h"

/* A sampler of a test: `make` makes it of `setting`; NULL when the allocator refused. */
typedef struct sampler_case {
  const char *name; /* for messages */
  sim_options sim;
  lm_sampler *(*make)(const lm_allocator *a, const void *setting);
  const void *setting;
  lm_error *error; /* where asks put theirs; may be NULL */
} sampler_case;

/* Begins and suggests one trial; its relative parameters stay in the row. All of them are within bounds. */
lm_view sampler_run_one(sim *s, lm_sampler *sampler);

typedef struct sampler_cache_check {
  size_t trials;
  size_t least_joint; /* parameters that must have been drawn jointly, in all trials */
  size_t older;       /* not 0: after each trial, the view of the trial so many rows before is asked about too */
  size_t again; /* not 0: at the end every so many-th row is asked about once more, and must have the same answer */
} sampler_cache_check;

/* In every trial of a study a sampler with a past and a new one propose the same, joint and single. */
void sampler_check_caches(const sampler_case *c, const sampler_cache_check *check);

/* As in a process with several studies: two of them, and older views of both, in turn through one sampler. */
void sampler_check_several_studies(const sampler_case *c, const sim_options *first, const sim_options *second);

/*
** After `past` trials: rows beyond the horizon count by what was drawn at ask alone, neither their values, states and
** constraints nor further parameters, and rows from the view's number on not at all.
*/
void sampler_check_horizon(const sampler_case *c, size_t past);

typedef struct sampler_refusals {
  bool making;            /* refusals begin with the sampler's making, not with the first ask */
  bool rows;              /* the allocations of the trials are refused too */
  bool may_do_without;    /* an ask may succeed all the same, with the right answer */
  lm_column *single;      /* not NULL: its parameter is asked for too, after the joint ones */
  const lm_view *earlier; /* not NULL: every refusal is tried once more in a sampler that was asked about this */
  size_t every;           /* after every so many-th refusal the sampler is asked again */
  size_t growth;          /* not 0: the distance of the refusals tried grows by one so many-th of the last */
} sampler_refusals;

/*
** Every allocation of an ask about `view` is refused in turn: NO_MEMORY,
** nothing is lost, and the next ask gives the answer `builder` gives.
*/
void sampler_check_refusals(const sampler_case *c, lm_trials *trials, const lm_view *view, lm_sampler *builder,
                            const sampler_refusals *refusals);

typedef struct sampler_memory_check {
  size_t past;
  size_t earlier;            /* not 0: as sampler_refusals.earlier, the view of this row */
  bool single;               /* the parameter x is asked for too */
  sampler_refusals refusals; /* its `single` and `earlier` come from the above */
} sampler_memory_check;

/* The same after `past` trials of the case's study. Making the sampler is tried without memory, too. */
void sampler_check_memory(const sampler_case *c, const sampler_memory_check *check);

#endif
