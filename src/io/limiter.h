/*
** Who may call one endpoint now, and if nobody, when.
**
** A pure state machine: no clock, no I/O, no memory of its own. Calls take a
** ticket and join a queue; lm_limiter_next says which of them may start. Time
** is seconds on one clock that never goes back.
**
** - First in, first out; calls that are tried again go before new ones.
** - Requests and tokens a minute: two token buckets, kept as virtual
**   scheduling keeps them (the generic cell rate algorithm, ITU-T I.371,
**   annex A): all that is stored is the moment at which the bucket will be
**   full, so that asking again at the time that was answered is answered yes,
**   without rounding. A call reserves its estimate of tokens and settles with
**   the real number; one that needs more than the bucket holds starts when the
**   bucket is full, and those behind it wait for the rest. Estimates are mostly
**   bounds, so what is reserved is the estimate times the mean of real over
**   estimated tokens so far (exponentially smoothed, 1 at first).
** - Concurrency: additive increase, multiplicative decrease (D. Chiu and
**   R. Jain, "Analysis of the increase and decrease algorithms for congestion
**   avoidance in computer networks", 1989). It begins at the ceiling; 429 and
**   overload halve it, once for all calls that were in flight together; every
**   full round of good replies raises it by one, or by 1/16 of what it was
**   when it was cut last, so that a large one is back after eight rounds.
** - A refusal pauses the whole queue for as long as the server asked.
*/
#ifndef LM_LIMITER_H
#define LM_LIMITER_H

#include <stdint.h>

#include "io/retry.h"

typedef struct lm_limiter_options {
  int concurrency; /* the ceiling on calls in flight; at least 1 */
  double rpm, tpm; /* requests and tokens a minute; 0: no limit */
  double burst;    /* how much of a limit may go at once after a rest, in seconds of it; one request at least */
} lm_limiter_options;

void lm_limiter_options_default(lm_limiter_options *o); /* 32, no limits, 1 s */

typedef enum lm_ticket_state { LM_TICKET_OUT, LM_TICKET_WAITING, LM_TICKET_IN_FLIGHT } lm_ticket_state;

/* One call's place. The caller owns it, and keeps it where it is until it is out again. */
typedef struct lm_ticket {
  struct lm_ticket *previous, *next;
  lm_ticket_state state;
  bool again;      /* tried again: in the queue that goes first */
  double estimate; /* tokens, as given */
  double tokens;   /* what it reserved when it started */
  double deadline; /* INFINITY: none */
  uint64_t epoch;  /* how often the concurrency had been cut when it started */
} lm_ticket;

typedef struct lm_ticket_queue {
  lm_ticket *first, *last;
} lm_ticket_queue;

typedef struct lm_rate {
  double interval; /* seconds a unit; 0: no limit */
  double depth;    /* units that may go at once */
  double full_at;  /* when the bucket will be full */
} lm_rate;

typedef struct lm_limiter {
  lm_ticket_queue again, fresh;
  size_t waiting, in_flight;
  int ceiling;
  double window; /* how many may be in flight; its whole part counts */
  double step;   /* what a full round of good replies adds to it */
  uint64_t epoch;
  lm_rate requests, tokens;
  double burst;
  double accuracy; /* real over estimated tokens */
  double paused_until;
  double fastest; /* seconds of the quickest good reply; 0: none yet */
  bool answered;  /* whether there was a good reply */
} lm_limiter;

void lm_limiter_init(lm_limiter *l, const lm_limiter_options *o);
void lm_limiter_set_concurrency(lm_limiter *l, int ceiling);      /* what is in flight goes on */
void lm_limiter_set_rates(lm_limiter *l, double rpm, double tpm); /* what was taken is still missing; 0: no limit */

/*
** Puts a call in the queue. `tokens`: a bound or an estimate of what it will
** use; `again`: it has been tried before; `deadline`: when it must have ended.
*/
void lm_limiter_join(lm_limiter *l, lm_ticket *t, double tokens, bool again, double deadline);

typedef enum lm_admission {
  LM_ADMISSION_START, /* the call of *out starts now; ask again, for there may be more */
  LM_ADMISSION_LATE,  /* the call of *out is out of the queue: it could not end before its deadline; ask again */
  LM_ADMISSION_WAIT,  /* nobody before *when; INFINITY: not before a call ends, or is out */
  LM_ADMISSION_EMPTY  /* nobody waits */
} lm_admission;

/*
** Asks who is next. Deadlines are looked at when their call is at the head of
** its queue: one further behind that must be told at once leaves by itself.
*/
lm_admission lm_limiter_next(lm_limiter *l, double now, lm_ticket **out, double *when);

typedef struct lm_ending {
  lm_outcome outcome;
  double now;
  double tokens;  /* what it really used; negative: unknown, the reserve stands */
  double seconds; /* how long it took; 0: unknown */
  double pause;   /* seconds for which nobody starts: the wait of a retry after 429, or what a server asked for */
} lm_ending;

/* A call that was in flight has ended. */
void lm_limiter_end(lm_limiter *l, lm_ticket *t, const lm_ending *ending);

/* Gives up a place, waiting or in flight; what was reserved is spent. Does nothing when the ticket is out. */
void lm_limiter_leave(lm_limiter *l, lm_ticket *t);

/* Nobody starts for so many seconds from `now`; an earlier pause that ends later stands. */
void lm_limiter_pause(lm_limiter *l, double now, double seconds);

#endif
