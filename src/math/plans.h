/*
** Plans: which examples a prompt shows and which it is scored on, drawn before
** a single model is called. Each is a pure function of a seed and a number, so
** that a run that was stopped makes the same ones again.
**
** The candidate sets of demonstrations are those of DSPy's random search
** (O. Khattab et al., "DSPy: Compiling Declarative Language Model Calls into
** Self-Improving Pipelines", ICLR 2024, section 4), with a draw of its own for
** each predictor. Minibatches go through the examples in epochs. Examples are
** numbers from 0 here.
*/
#ifndef LM_PLANS_H
#define LM_PLANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/rng.h"

/* --- orders and samples --- */

/* The numbers 0 .. count - 1 in the random order of (seed, number, purpose). */
void lm_plan_order(uint64_t seed, int64_t number, const char *purpose, uint32_t *order, uint32_t count);

/* Moves a random sample of `size` of the items to the front, in random order. size <= count */
void lm_plan_sample(lm_rng *rng, uint32_t *items, uint32_t count, uint32_t size);

/* Takes `example` out of a list, wherever it is in it; the count that is left. */
uint32_t lm_plan_without(uint32_t *list, uint32_t count, uint32_t example);

/* --- candidate sets of demonstrations --- */

typedef enum lm_plan_kind {
  LM_PLAN_ZERO_SHOT, /* no demonstrations */
  LM_PLAN_LABELED,   /* examples as they are */
  LM_PLAN_BOOTSTRAP, /* as many runs of a teacher as may be, in the order of the examples; then examples */
  LM_PLAN_SHUFFLED   /* in random order and of random size */
} lm_plan_kind;

typedef struct lm_plan_limits {
  uint64_t seed;
  uint32_t examples;
  uint32_t max_bootstrapped; /* most demonstrations made by a teacher in a predictor's list; 0: none are made */
  uint32_t max_labeled;      /* labelled examples fill a list up to so many, those of the teacher counted */
  bool first_labeled;        /* the first examples fill it, not a sample */
} lm_plan_limits;

typedef struct lm_plan_set {
  lm_plan_kind kind;
  uint32_t bootstrapped, labeled; /* this set's own limits, in the sense of those above */
} lm_plan_set;

/*
** Set number 0 is zero-shot, then come the labelled one and the unshuffled one
** (those that the limits allow), and then shuffled ones without end: their size
** is uniform in 1 .. max_bootstrapped, or max_labeled where there is no teacher.
** `order` gets the order in which a teacher tries the examples; NULL: not wanted.
*/
lm_plan_set lm_plan_candidate(const lm_plan_limits *limits, uint32_t set, uint32_t *order);

/*
** The demonstrations of one predictor in that set: of the examples for which
** its teacher succeeded (a flag each) the first in the set's order, then
** labelled ones, none twice. `predictor` names the draw of the labelled ones.
** list: room for 2 * examples numbers. The number of demonstrations; the first
** *bootstrapped of them are the teacher's.
*/
uint32_t lm_plan_demonstrations(const lm_plan_limits *limits, uint32_t set, const char *predictor,
                                const unsigned char *succeeded, uint32_t *list, uint32_t *bootstrapped);

/* --- minibatches --- */

typedef struct lm_plan_batches {
  uint64_t seed;
  uint32_t examples, size; /* 0 < size <= examples < 2^31 */
  const uint32_t *groups;  /* of each example, below `examples`; NULL: all are one */
} lm_plan_batches;

/*
** Minibatch number `batch`: `size` examples, none twice. The batches, one after
** the other, are epochs of random orders of all examples, so that at any time
** one was used once more than another at most. With groups, those of an epoch
** are spread evenly over it, so that a batch has of each about its share. Takes
** the time of some epochs, whatever the number of the batch, or that of 2^20
** examples. To that end batches of more than 7/8 of very many examples are
** made of what they leave out.
*/
lmopt_status lm_plan_minibatch(const lm_allocator *a, const lm_plan_batches *batches, uint64_t batch, uint32_t *out);

/* --- duplicates --- */

typedef struct lm_plan_text {
  const char *bytes;
  size_t size;
} lm_plan_text;

/* For each text the number of the first one with the same bytes: its own, where it is the first. */
lmopt_status lm_plan_same(const lm_allocator *a, const lm_plan_text *texts, uint32_t count, uint32_t *first);

/*
** The same, but texts are alike when the words they share are at least `overlap`
** of the words of both (P. Jaccard's index; the case of ASCII letters does not
** count). Compared with those that were alike to none before them.
*/
lmopt_status lm_plan_near(const lm_allocator *a, const lm_plan_text *texts, uint32_t count, double overlap,
                          uint32_t *first);

#endif
