#include "io/retry.h"

#include <math.h>

enum { DOUBLINGS_MAX = 60 };

lm_outcome lm_outcome_of(lmopt_status status, int code) {
  if (status == LMOPT_NETWORK) return LM_OUTCOME_TRANSIENT;
  if (status == LMOPT_TIMEOUT) return LM_OUTCOME_TIMEOUT;
  if (status != LMOPT_OK) return LM_OUTCOME_FAULT;
  if (code >= 200 && code <= 299) return LM_OUTCOME_GOOD;
  if (code == 429) return LM_OUTCOME_RATE_LIMIT;
  if (code == 503 || code == 529) return LM_OUTCOME_OVERLOAD;
  if (code == 408 || code == 409 || (code >= 500 && code <= 599)) return LM_OUTCOME_TRANSIENT;
  return LM_OUTCOME_FAULT;
}

void lm_retry_options_default(lm_retry_options *o) {
  o->attempts = 8;
  o->base = 0.5;
  o->cap = 60;
  o->patience = 600;
  o->timeouts = false;
}

void lm_retry_init(lm_retry *r, const lm_retry_options *o, lm_rng rng) {
  r->options = *o;
  r->rng = rng;
  r->failures = r->refusals = 0;
  r->refused_since = 0;
}

static bool is_final(const lm_retry *r, const lm_failure *failure) {
  if (failure->outcome == LM_OUTCOME_GOOD) return true;
  if (failure->advice.again != LM_AGAIN_UNSAID) return failure->advice.again == LM_AGAIN_NO;
  if (failure->outcome == LM_OUTCOME_TIMEOUT) return !r->options.timeouts;
  return failure->outcome == LM_OUTCOME_FAULT;
}

/* Uniform up to the base doubled `doublings` times. */
static double draw_backoff(lm_retry *r, int doublings) {
  double most = ldexp(r->options.base, doublings < DOUBLINGS_MAX ? doublings : DOUBLINGS_MAX);
  return fmin(most, r->options.cap) * lm_rng_uniform(&r->rng);
}

lm_verdict lm_retry_failed(lm_retry *r, const lm_failure *failure, double *wait) {
  bool refused = failure->outcome == LM_OUTCOME_RATE_LIMIT;
  double asked = failure->advice.wait;
  *wait = 0;
  if (is_final(r, failure)) return LM_VERDICT_FINAL;
  if (refused) {
    if (r->refusals++ == 0) r->refused_since = failure->now;
  } else {
    r->refusals = 0;
    if (++r->failures >= r->options.attempts) return LM_VERDICT_ATTEMPTS;
  }
  double drawn = asked >= 0 ? asked + draw_backoff(r, 0) : draw_backoff(r, (refused ? r->refusals : r->failures) - 1);
  double put_off = refused ? failure->now - r->refused_since : 0;
  if (asked > r->options.patience || (refused && put_off + drawn > r->options.patience)) return LM_VERDICT_PATIENCE;
  if (failure->now + drawn + failure->needs > failure->deadline) return LM_VERDICT_DEADLINE;
  *wait = drawn;
  return LM_VERDICT_AGAIN;
}
