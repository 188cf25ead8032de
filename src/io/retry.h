/*
** When a failed call is tried again, and how long it waits before.
**
** A pure state machine of one call: the caller says what happened and what
** time it is, and is told whether to try again and when. Time is seconds on
** any clock that never goes back; draws come from a stream that is given.
**
** Waits are exponential with full jitter: uniform in [0, min(cap, base * 2^n)]
** (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015:
** aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter). What the
** server asked for is a lower bound; a jitter of up to `base` comes on top of
** it, so that those who were refused together do not come back together.
**
** A refusal for want of rate (429) is no failure of the call: it uses up no
** attempt. `patience` bounds how long a call lets itself be put off.
*/
#ifndef LM_RETRY_H
#define LM_RETRY_H

#include "base/rng.h"
#include "io/advice.h"
#include "lmopt.h"

typedef enum lm_outcome {
  LM_OUTCOME_GOOD,       /* 2xx */
  LM_OUTCOME_FAULT,      /* trying again would not mend it: 400, 401, 403, 404, a redirect, a reply too long, ... */
  LM_OUTCOME_TRANSIENT,  /* 408, 409, 5xx, a broken connection */
  LM_OUTCOME_TIMEOUT,    /* the time of one attempt is over; it may have been paid for */
  LM_OUTCOME_OVERLOAD,   /* 503, 529 */
  LM_OUTCOME_RATE_LIMIT, /* 429 */
  LM_OUTCOMES            /* how many there are */
} lm_outcome;

/* What the end of a call (the fields of lm_http_reply) means. */
lm_outcome lm_outcome_of(lmopt_status status, int code);

typedef struct lm_retry_options {
  int attempts;     /* the first included, those that were refused with 429 not; at least 1 */
  double base, cap; /* seconds */
  double patience;  /* seconds: the longest wait that a server may ask for, and the longest time in refusals (429) */
  bool timeouts;    /* whether LM_OUTCOME_TIMEOUT is tried again */
} lm_retry_options;

void lm_retry_options_default(lm_retry_options *o); /* 8 attempts, 0.5 s, 60 s, 600 s, no */

typedef struct lm_retry {
  lm_retry_options options;
  lm_rng rng;
  int failures, refusals; /* refusals: 429s since the last other failure */
  double refused_since;
} lm_retry;

void lm_retry_init(lm_retry *r, const lm_retry_options *o, lm_rng rng);

typedef struct lm_failure {
  lm_outcome outcome;
  lm_advice advice; /* {-1, LM_AGAIN_UNSAID}: none */
  double now;
  double deadline; /* of the call or of the run, whichever is first; INFINITY: none */
  double needs;    /* the shortest time that an attempt can take; 0: unknown */
} lm_failure;

typedef enum lm_verdict {
  LM_VERDICT_AGAIN,
  LM_VERDICT_FINAL,    /* a failure that is not tried again */
  LM_VERDICT_ATTEMPTS, /* all attempts are used up */
  LM_VERDICT_PATIENCE, /* the server puts us off for longer than we are ready to wait */
  LM_VERDICT_DEADLINE  /* another attempt could not end before the deadline */
} lm_verdict;

/* An attempt failed. On LM_VERDICT_AGAIN, *wait is the seconds to let pass before the next; otherwise 0. */
lm_verdict lm_retry_failed(lm_retry *r, const lm_failure *failure, double *wait);

#endif
