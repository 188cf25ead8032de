#include "io/limiter.h"

#include <math.h>

static const double decrease = 0.5; /* what is left of the concurrency after 429 or overload */
static const double accuracy_step = 1.0 / 16, accuracy_most = 16;
enum { ROUNDS = 16 }; /* of good replies, from nothing to where it was cut last */

void lm_limiter_options_default(lm_limiter_options *o) {
  o->concurrency = 32;
  o->rpm = o->tpm = 0;
  o->burst = 1;
}

/* --- rates --- */

static lm_rate new_rate(double per_minute, double burst) {
  lm_rate rate = {0, 0, -INFINITY};
  if (per_minute <= 0) return rate;
  rate.interval = 60 / per_minute;
  rate.depth = fmax(1, per_minute / 60 * burst);
  return rate;
}

/* The same bucket with another limit: it is full when it would have been. */
static void change_rate(lm_rate *rate, double per_minute, double burst) {
  double full_at = rate->full_at;
  *rate = new_rate(per_minute, burst);
  if (rate->interval > 0) rate->full_at = full_at;
}

/* When the bucket holds enough for `units`; for more than it can hold, when it is full. */
static double rate_ready(const lm_rate *rate, double units) {
  return rate->full_at - (rate->depth - fmin(units, rate->depth)) * rate->interval;
}

static void rate_take(lm_rate *rate, double now, double units) {
  if (rate->interval > 0) rate->full_at = fmax(rate->full_at, now) + units * rate->interval;
}

/* --- queues --- */

static void queue_add(lm_ticket_queue *q, lm_ticket *t) {
  t->previous = q->last;
  t->next = NULL;
  if (q->last)
    q->last->next = t;
  else
    q->first = t;
  q->last = t;
}

static void queue_remove(lm_ticket_queue *q, lm_ticket *t) {
  if (t->previous)
    t->previous->next = t->next;
  else
    q->first = t->next;
  if (t->next)
    t->next->previous = t->previous;
  else
    q->last = t->previous;
  t->previous = t->next = NULL;
}

static lm_ticket_queue *queue_of(lm_limiter *l, const lm_ticket *t) { return t->again ? &l->again : &l->fresh; }

static void leave_queue(lm_limiter *l, lm_ticket *t) {
  queue_remove(queue_of(l, t), t);
  l->waiting--;
  t->state = LM_TICKET_OUT;
}

/* --- the limiter --- */

void lm_limiter_init(lm_limiter *l, const lm_limiter_options *o) {
  lm_limiter fresh = {
      .ceiling = o->concurrency > 1 ? o->concurrency : 1, .paused_until = -INFINITY, .accuracy = 1, .step = 1};
  fresh.window = fresh.ceiling;
  fresh.burst = o->burst;
  fresh.requests = new_rate(o->rpm, o->burst);
  fresh.tokens = new_rate(o->tpm, o->burst);
  *l = fresh;
}

void lm_limiter_set_concurrency(lm_limiter *l, int ceiling) {
  bool at_ceiling = l->window >= l->ceiling;
  l->ceiling = ceiling > 1 ? ceiling : 1;
  if (at_ceiling || l->window > l->ceiling) l->window = l->ceiling;
}

void lm_limiter_set_rates(lm_limiter *l, double rpm, double tpm) {
  change_rate(&l->requests, rpm, l->burst);
  change_rate(&l->tokens, tpm, l->burst);
}

void lm_limiter_join(lm_limiter *l, lm_ticket *t, double tokens, bool again, double deadline) {
  t->state = LM_TICKET_WAITING;
  t->again = again;
  t->estimate = tokens > 0 ? tokens : 0;
  t->tokens = 0;
  t->deadline = deadline;
  t->epoch = 0;
  queue_add(queue_of(l, t), t);
  l->waiting++;
}

/* The last moment at which a call can start and still end in time. */
static double latest_start(const lm_limiter *l, const lm_ticket *t) { return t->deadline - l->fastest; }

/* Before this moment nobody starts, whoever it is. */
static double earliest_start(const lm_limiter *l, double now) {
  return fmax(fmax(now, l->paused_until), rate_ready(&l->requests, 1));
}

static bool is_late(const lm_limiter *l, const lm_ticket *t, double now) {
  return t && earliest_start(l, now) >= latest_start(l, t);
}

static void start(lm_limiter *l, lm_ticket *t, double now) {
  leave_queue(l, t);
  t->state = LM_TICKET_IN_FLIGHT;
  t->epoch = l->epoch;
  t->tokens = t->estimate * l->accuracy;
  l->in_flight++;
  rate_take(&l->requests, now, 1);
  rate_take(&l->tokens, now, t->tokens);
}

lm_admission lm_limiter_next(lm_limiter *l, double now, lm_ticket **out, double *when) {
  lm_ticket *again = l->again.first, *fresh = l->fresh.first, *next = again ? again : fresh;
  *out = NULL;
  *when = INFINITY;
  if (!next) return LM_ADMISSION_EMPTY;
  lm_ticket *late = is_late(l, again, now) ? again : is_late(l, fresh, now) ? fresh : NULL;
  if (late) {
    leave_queue(l, late);
    *out = late;
    return LM_ADMISSION_LATE;
  }
  double ready = fmax(earliest_start(l, now), rate_ready(&l->tokens, next->estimate * l->accuracy));
  bool room = (double)l->in_flight < floor(l->window);
  if (room && ready <= now) {
    start(l, next, now);
    *out = next;
    return LM_ADMISSION_START;
  }
  if (room) *when = ready;
  if (again) *when = fmin(*when, latest_start(l, again));
  if (fresh) *when = fmin(*when, latest_start(l, fresh));
  return LM_ADMISSION_WAIT;
}

/* --- endings --- */

/* A good reply; a concurrency of which not even half is used says nothing about a higher one (as in RFC 7661 for TCP). */
static void grow(lm_limiter *l, const lm_ticket *t) {
  if (t->epoch != l->epoch || 2 * (double)l->in_flight < floor(l->window)) return;
  l->window = fmin(l->window + l->step / l->window, l->ceiling);
}

/* Those that were in flight when the concurrency was cut tell nothing new. */
static void shrink(lm_limiter *l, const lm_ticket *t) {
  if (t->epoch != l->epoch) return;
  l->step = fmax(1, l->window / ROUNDS);
  l->window = fmax(l->window * decrease, 1);
  l->epoch++;
}

static void note_good(lm_limiter *l, const lm_ticket *t, const lm_ending *ending) {
  if (ending->seconds > 0 && (l->fastest == 0 || ending->seconds < l->fastest)) l->fastest = ending->seconds;
  if (ending->tokens < 0 || t->estimate <= 0) return;
  l->accuracy += (fmin(ending->tokens / t->estimate, accuracy_most) - l->accuracy) * accuracy_step;
}

void lm_limiter_end(lm_limiter *l, lm_ticket *t, const lm_ending *ending) {
  if (t->state != LM_TICKET_IN_FLIGHT) return;
  switch (ending->outcome) {
    case LM_OUTCOME_GOOD:
      grow(l, t);
      note_good(l, t, ending);
      l->answered = true;
      break;
    case LM_OUTCOME_RATE_LIMIT:
    case LM_OUTCOME_OVERLOAD: shrink(l, t); break;
    default: break;
  }
  if (ending->tokens >= 0 && l->tokens.interval > 0)
    l->tokens.full_at += (ending->tokens - t->tokens) * l->tokens.interval;
  if (ending->pause > 0) lm_limiter_pause(l, ending->now, ending->pause);
  t->state = LM_TICKET_OUT;
  l->in_flight--;
}

void lm_limiter_leave(lm_limiter *l, lm_ticket *t) {
  if (t->state == LM_TICKET_WAITING) {
    leave_queue(l, t);
  } else if (t->state == LM_TICKET_IN_FLIGHT) {
    t->state = LM_TICKET_OUT;
    l->in_flight--;
  }
}

void lm_limiter_pause(lm_limiter *l, double now, double seconds) {
  l->paused_until = fmax(l->paused_until, now + seconds);
}
