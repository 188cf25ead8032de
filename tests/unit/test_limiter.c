/* src/io/limiter: order, rates, concurrency and pauses, in simulated time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/limiter.h"

static lm_limiter new_limiter(int concurrency, double rpm, double tpm, double burst) {
  lm_limiter_options o = {concurrency, rpm, tpm, burst};
  lm_limiter l;
  lm_limiter_init(&l, &o);
  return l;
}

static void join(lm_limiter *l, lm_ticket *t) { lm_limiter_join(l, t, 0, false, INFINITY); }

static void end(lm_limiter *l, lm_ticket *t, lm_outcome outcome, double now) {
  lm_ending e = {outcome, now, -1, 1, 0};
  lm_limiter_end(l, t, &e);
}

/* The ticket that starts now, or NULL. */
static lm_ticket *start(lm_limiter *l, double now) {
  lm_ticket *t;
  double when;
  lm_admission a = lm_limiter_next(l, now, &t, &when);
  assert_true(a != LM_ADMISSION_LATE);
  assert_true(a != LM_ADMISSION_WAIT || when > now);
  return a == LM_ADMISSION_START ? t : NULL;
}

static double next_time(lm_limiter *l, double now) {
  lm_ticket *t;
  double when;
  assert_int_equal(lm_limiter_next(l, now, &t, &when), LM_ADMISSION_WAIT);
  assert_null(t);
  return when;
}

/* --- order and places --- */

static void test_first_in_first_out(void **state) {
  (void)state;
  lm_limiter l = new_limiter(2, 0, 0, 1);
  lm_ticket t[6];
  double when;
  lm_ticket *out;
  assert_int_equal(lm_limiter_next(&l, 0, &out, &when), LM_ADMISSION_EMPTY);
  for (int i = 0; i < 4; i++) join(&l, &t[i]);
  assert_int_equal(l.waiting, 4);
  assert_ptr_equal(start(&l, 0), &t[0]);
  assert_ptr_equal(start(&l, 0), &t[1]);
  assert_true(isinf(next_time(&l, 0)));
  lm_limiter_join(&l, &t[4], 0, true, INFINITY); /* tried again: before all that are new */
  lm_limiter_join(&l, &t[5], 0, true, INFINITY);
  end(&l, &t[0], LM_OUTCOME_GOOD, 1);
  assert_ptr_equal(start(&l, 1), &t[4]);
  assert_null(start(&l, 1));
  lm_limiter_leave(&l, &t[5]); /* gave up while it waited */
  lm_limiter_leave(&l, &t[2]);
  lm_limiter_leave(&l, &t[1]); /* gave up in flight */
  assert_ptr_equal(start(&l, 1), &t[3]);
  assert_int_equal(l.waiting, 0);
  assert_int_equal(l.in_flight, 2);
  for (int i = 0; i < 6; i++) { /* each once; what is out stays out */
    lm_limiter_leave(&l, &t[i]);
    lm_limiter_leave(&l, &t[i]);
    end(&l, &t[i], LM_OUTCOME_GOOD, 2);
  }
  assert_int_equal(l.in_flight, 0);
  assert_null(l.fresh.first);
  assert_null(l.again.last);
}

static void test_concurrency_can_be_set(void **state) {
  (void)state;
  lm_limiter l = new_limiter(4, 0, 0, 1);
  lm_ticket t[8];
  for (int i = 0; i < 8; i++) join(&l, &t[i]);
  for (int i = 0; i < 4; i++) assert_non_null(start(&l, 0));
  lm_limiter_set_concurrency(&l, 2);
  end(&l, &t[0], LM_OUTCOME_GOOD, 0);
  end(&l, &t[1], LM_OUTCOME_GOOD, 0);
  assert_null(start(&l, 0));
  lm_limiter_set_concurrency(&l, 3);
  assert_ptr_equal(start(&l, 0), &t[4]);
  assert_null(start(&l, 0));
  lm_limiter_set_concurrency(&l, 0); /* 1 at least */
  for (int i = 2; i < 5; i++) end(&l, &t[i], LM_OUTCOME_GOOD, 0);
  assert_non_null(start(&l, 0));
  assert_null(start(&l, 0));
}

/* --- deadlines --- */

static void test_deadlines(void **state) {
  (void)state;
  lm_limiter l = new_limiter(1, 0, 0, 1);
  lm_ticket first, late, again, good, *out;
  double when;
  join(&l, &first);
  assert_ptr_equal(start(&l, 0), &first);
  lm_limiter_join(&l, &late, 0, false, 5);
  lm_limiter_join(&l, &again, 0, true, 9);
  lm_limiter_join(&l, &good, 0, false, 100);
  assert_true(next_time(&l, 0) == 5);
  end(&l, &first, LM_OUTCOME_GOOD, 1); /* took 1 s: no call is expected to be quicker */
  assert_ptr_equal(start(&l, 1), &again);
  assert_true(next_time(&l, 1) == 4);
  assert_int_equal(lm_limiter_next(&l, 4, &out, &when), LM_ADMISSION_LATE);
  assert_ptr_equal(out, &late);
  assert_int_equal(late.state, LM_TICKET_OUT);
  assert_true(next_time(&l, 4) == 99);
  /* A pause beyond the deadline: said at once, not when the deadline comes. */
  lm_limiter_pause(&l, 4, 96);
  assert_int_equal(lm_limiter_next(&l, 4, &out, &when), LM_ADMISSION_LATE);
  assert_ptr_equal(out, &good);
  assert_int_equal(lm_limiter_next(&l, 4, &out, &when), LM_ADMISSION_EMPTY);
}

/* --- pauses --- */

static void test_pause(void **state) {
  (void)state;
  lm_limiter l = new_limiter(8, 0, 0, 1);
  lm_ticket t[4];
  for (int i = 0; i < 3; i++) join(&l, &t[i]);
  assert_non_null(start(&l, 10));
  lm_ending refused = {LM_OUTCOME_RATE_LIMIT, 10.25, -1, 0.25, 7.1};
  lm_limiter_end(&l, &t[0], &refused);
  lm_limiter_join(&l, &t[3], 0, true, INFINITY);
  assert_true(next_time(&l, 10.25) == 10.25 + 7.1);
  assert_null(start(&l, 17.3));
  lm_limiter_pause(&l, 11, 1); /* ends sooner: changes nothing */
  assert_true(next_time(&l, 17.3) == 10.25 + 7.1);
  assert_ptr_equal(start(&l, 10.25 + 7.1), &t[3]);
  assert_ptr_equal(start(&l, 10.25 + 7.1), &t[1]);
}

/* --- a simulated endpoint --- */

enum { CALLS = 4000 };

typedef struct call {
  lm_ticket ticket;
  double arrives, started, ends, tokens, used;
  int tries;
  bool refused, done;
} call;

/* What the endpoint answers a call that starts now, and how long that takes. */
typedef struct endpoint {
  int capacity; /* 429 when more are in flight; 0: any number */
  double rpm;   /* 429 when more came in the last minute (a bucket of one second); 0: any number */
  double full_at, seconds;
  lm_rng rng;
  int refusals;
  size_t in_flight;
} endpoint;

static bool accepts(endpoint *server, double now) {
  if (server->capacity > 0 && server->in_flight > (size_t)server->capacity) return false;
  if (server->rpm <= 0) return true;
  double interval = 60 / server->rpm;
  if (server->full_at - 1 > now) return false;
  server->full_at = fmax(server->full_at, now) + interval;
  return true;
}

typedef struct simulation {
  lm_limiter limiter;
  endpoint server;
  call *calls;
  int count, live;
  int *flying; /* places in `calls` */
  double now;
  int *order; /* of starts */
  double *starts, *charged;
  int started;
} simulation;

static void simulation_free(simulation *s) {
  free(s->calls);
  free(s->flying);
  free(s->order);
  free(s->starts);
  free(s->charged);
}

static void simulation_init(simulation *s, int count) {
  memset(s, 0, sizeof *s);
  s->count = count;
  s->calls = calloc((size_t)count, sizeof *s->calls);
  s->flying = calloc((size_t)count, sizeof *s->flying);
  s->order = calloc((size_t)count, sizeof *s->order);
  s->starts = calloc(100 * (size_t)count, sizeof *s->starts);
  s->charged = calloc(100 * (size_t)count, sizeof *s->charged);
  s->server.seconds = 1;
  s->server.full_at = -INFINITY;
  s->server.rng = lm_rng_stream(11, 0, "server");
}

static void begin(simulation *s, call *c) {
  endpoint *server = &s->server;
  server->in_flight++;
  c->started = s->now;
  c->refused = !accepts(server, s->now);
  c->ends = s->now + (c->refused ? 0.05 : server->seconds * (0.5 + lm_rng_uniform(&server->rng)));
  if (c->tries++ == 0) s->order[c - s->calls] = s->started;
  assert_true(s->started < 100 * s->count);
  s->starts[s->started] = s->now;
  s->charged[s->started++] = c->tokens;
  s->flying[s->live++] = (int)(c - s->calls);
}

static void finish(simulation *s, int place) {
  call *c = &s->calls[s->flying[place]];
  s->flying[place] = s->flying[--s->live];
  s->server.in_flight--;
  lm_ending e = {LM_OUTCOME_GOOD, s->now, c->used, c->ends - c->started, 0};
  if (c->refused) {
    e = (lm_ending){LM_OUTCOME_RATE_LIMIT, s->now, 0, 0.05, 1};
    s->server.refusals++;
  }
  c->done = !c->refused;
  lm_limiter_end(&s->limiter, &c->ticket, &e);
  if (c->refused) lm_limiter_join(&s->limiter, &c->ticket, c->tokens, true, INFINITY);
}

static int first_to_end(const simulation *s) {
  int first = -1;
  for (int i = 0; i < s->live; i++)
    if (first < 0 || s->calls[s->flying[i]].ends < s->calls[s->flying[first]].ends) first = i;
  return first;
}

/* Runs until all calls are done. Asks the limiter only when something happened, or at the time it named. */
static void simulate(simulation *s) {
  int arrived = 0;
  for (long steps = 0; steps < 400L * s->count; steps++) {
    double when;
    lm_ticket *t;
    lm_admission a;
    while (arrived < s->count && s->calls[arrived].arrives <= s->now) {
      lm_limiter_join(&s->limiter, &s->calls[arrived].ticket, s->calls[arrived].tokens, false, INFINITY);
      arrived++;
    }
    while ((a = lm_limiter_next(&s->limiter, s->now, &t, &when)) == LM_ADMISSION_START)
      begin(s, (call *)(void *)((char *)t - offsetof(call, ticket)));
    assert_true(a == LM_ADMISSION_WAIT || a == LM_ADMISSION_EMPTY);
    int next = first_to_end(s);
    if (next < 0 && arrived == s->count && a == LM_ADMISSION_EMPTY) return;
    if (next >= 0) when = fmin(when, s->calls[s->flying[next]].ends);
    if (arrived < s->count) when = fmin(when, s->calls[arrived].arrives);
    assert_true(when > s->now && !isinf(when)); /* time goes on, and nobody is forgotten */
    s->now = when;
    while ((next = first_to_end(s)) >= 0 && s->calls[s->flying[next]].ends <= s->now) finish(s, next);
  }
  fail_msg("the queue does not get on");
}

/* Nothing starts faster than its bucket lets it, over any stretch of time: of one minute, too. */
static void check_rate(const simulation *s, double per_minute, double depth, bool tokens) {
  double largest = 1, rounding = 1e-6 + s->starts[0] * 1e-14 * per_minute;
  for (int i = 0; tokens && i < s->started; i++) largest = fmax(largest, s->charged[i]);
  if (tokens) depth = fmax(depth, largest);
  for (int i = 0; i < s->started; i++) {
    double sum = 0;
    for (int j = i; j < s->started && s->starts[j] - s->starts[i] <= 60; j++) {
      sum += tokens ? s->charged[j] : 1;
      /* The last one may overdraw the bucket when it holds more than fits. */
      assert_true(sum <= depth + per_minute * (s->starts[j] - s->starts[i]) / 60 + (tokens ? largest : 0) + rounding);
    }
  }
}

static void test_requests_a_minute(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(3, 0, "rates");
  for (int round = 0; round < 40; round++) {
    simulation s;
    simulation_init(&s, 300);
    double rpm = exp(lm_rng_uniform(&rng) * 8), burst = lm_rng_uniform(&rng) * 5;
    s.limiter = new_limiter(1 + (int)lm_rng_below(&rng, 64), rpm, 0, burst);
    s.server.seconds = lm_rng_uniform(&rng) * 3;
    s.now = round % 2 ? 1.7e9 : 0; /* on a clock with large numbers too */
    double at = s.now;
    for (int i = 0; i < s.count; i++) { /* in bursts, with rests between them */
      if (lm_rng_below(&rng, 20) == 0) at += lm_rng_uniform(&rng) * 120;
      s.calls[i].arrives = at;
      s.calls[i].used = -1;
    }
    simulate(&s);
    for (int i = 0; i < s.count; i++) assert_true(s.calls[i].done && s.calls[i].tries == 1);
    for (int i = 0; i < s.count; i++) assert_int_equal(s.order[i], i); /* first in, first out */
    check_rate(&s, rpm, fmax(1, rpm / 60 * burst), false);
    simulation_free(&s);
  }
}

static void test_rates_can_be_set(void **state) {
  (void)state;
  lm_limiter l = new_limiter(100, 0, 0, 1);
  lm_ticket t[8];
  for (int i = 0; i < 8; i++) join(&l, &t[i]);
  for (int i = 0; i < 3; i++) assert_non_null(start(&l, 0)); /* no limit */
  lm_limiter_set_rates(&l, 120, 0);                          /* two a second, and two at once after a rest */
  assert_non_null(start(&l, 0));
  assert_non_null(start(&l, 0));
  assert_null(start(&l, 0));
  assert_true(next_time(&l, 0) == 0.5);
  lm_limiter_set_rates(&l, 60, 0); /* what was taken is still missing */
  assert_null(start(&l, 0.5));
  assert_non_null(start(&l, 1));
  lm_limiter_set_rates(&l, 0, 0);
  assert_non_null(start(&l, 1));
  assert_non_null(start(&l, 1));
  assert_int_equal(l.in_flight, 8);
}

static void test_requests_use_the_rate(void **state) {
  (void)state;
  simulation s;
  simulation_init(&s, 1200);
  s.limiter = new_limiter(64, 600, 0, 1);
  simulate(&s);
  /* 1,200 calls at 10 a second, 10 of them at once: 119 s, not one request late. */
  assert_true(fabs(s.starts[1199] - 119) < 1e-6);
  simulation_free(&s);
}

static void test_tokens_a_minute(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(5, 0, "tokens");
  for (int round = 0; round < 20; round++) {
    simulation s;
    simulation_init(&s, 300);
    double tpm = 1000 + 100000 * lm_rng_uniform(&rng);
    s.limiter = new_limiter(32, 0, tpm, 1);
    double sum = 0;
    for (int i = 0; i < s.count; i++) { /* some are larger than what a minute gives */
      s.calls[i].tokens = lm_rng_below(&rng, 50) ? 2000 * lm_rng_uniform(&rng) : tpm * 1.5;
      s.calls[i].used = s.calls[i].tokens;
      sum += i + 1 < s.count ? s.calls[i].tokens : 0;
    }
    simulate(&s);
    check_rate(&s, tpm, fmax(1, tpm / 60), true);
    double took = s.starts[s.started - 1] - s.starts[0];
    assert_true(took >= (sum - tpm / 60 - 2000) / tpm * 60 - 1e-6);
    assert_true(took <= sum / tpm * 60 + 1e-6); /* and the limit is made full use of */
    for (int i = 0; i < s.count; i++) assert_int_equal(s.order[i], i);
    simulation_free(&s);
  }
}

static void test_tokens_are_settled(void **state) {
  (void)state;
  simulation s;
  simulation_init(&s, 2000);
  s.limiter = new_limiter(64, 0, 60000, 1);
  for (int i = 0; i < s.count; i++) {
    s.calls[i].tokens = 4000; /* a bound four times too high */
    s.calls[i].used = 1000;
  }
  simulate(&s);
  double took = s.starts[s.started - 1] - s.starts[0];
  assert_true(took >= 1995 && took < 2060); /* 2,000 calls of 1,000 tokens at 1,000 a second */
  lm_limiter l = new_limiter(4, 0, 60, 1);
  lm_ticket t[2];
  lm_limiter_join(&l, &t[0], 1, false, INFINITY);
  lm_limiter_join(&l, &t[1], 1, false, INFINITY);
  assert_non_null(start(&l, 0));
  lm_ending dear = {LM_OUTCOME_GOOD, 0.5, 30, 0.5, 0}; /* cost more than was thought: the next pays for it */
  lm_limiter_end(&l, &t[0], &dear);
  assert_true(next_time(&l, 0.5) == 30);
  assert_ptr_equal(start(&l, 30), &t[1]);
  simulation_free(&s);
}

/* --- adaptive concurrency --- */

static void test_one_cut_for_a_round(void **state) {
  (void)state;
  lm_limiter l = new_limiter(32, 0, 0, 1);
  lm_ticket t[64];
  for (int i = 0; i < 64; i++) join(&l, &t[i]);
  for (int i = 0; i < 32; i++) assert_non_null(start(&l, 0));
  for (int i = 0; i < 16; i++) end(&l, &t[i], i % 2 ? LM_OUTCOME_RATE_LIMIT : LM_OUTCOME_OVERLOAD, 1);
  assert_true(l.window == 16);
  for (int i = 16; i < 32; i++) end(&l, &t[i], LM_OUTCOME_GOOD, 1); /* from before the cut: says nothing */
  assert_true(l.window == 16);
  for (int i = 0; i < 16; i++) assert_non_null(start(&l, 1));
  assert_null(start(&l, 1));
  for (int i = 32; i < 48; i++) end(&l, &t[i], LM_OUTCOME_FAULT, 2); /* the request's fault, not the server's */
  assert_true(l.window == 16);
  for (int i = 0; i < 16; i++) assert_non_null(start(&l, 2));
  for (int i = 48; i < 64; i++) end(&l, &t[i], LM_OUTCOME_RATE_LIMIT, 3);
  assert_true(l.window == 8);
  for (int i = 0; i < 20; i++) { /* never below one */
    join(&l, &t[0]);
    assert_non_null(start(&l, 4));
    end(&l, &t[0], LM_OUTCOME_OVERLOAD, 4);
    assert_true(l.window >= 1);
  }
  assert_true(l.window == 1);
}

static void test_growth(void **state) {
  (void)state;
  lm_limiter l = new_limiter(32, 0, 0, 1);
  lm_ticket t[32];
  join(&l, &t[0]);
  start(&l, 0);
  for (int i = 0; i < 5; i++) { /* down to 1 */
    end(&l, &t[0], LM_OUTCOME_RATE_LIMIT, 0);
    join(&l, &t[0]);
    start(&l, 0);
  }
  assert_true(l.window == 1);
  lm_limiter_leave(&l, &t[0]);
  int rounds = 0;
  for (; l.window < 32; rounds++) {
    int flying = 0;
    for (int i = 0; i < 32; i++) join(&l, &t[i]);
    while (start(&l, rounds)) flying++;
    assert_int_equal(flying, (int)l.window);
    for (int i = 0; i < 32; i++) {
      if (t[i].state == LM_TICKET_IN_FLIGHT) end(&l, &t[i], LM_OUTCOME_GOOD, rounds);
      lm_limiter_leave(&l, &t[i]);
      assert_true(l.window <= 32);
    }
    assert_true(rounds < 400);
  }
  /* A concurrency that is not used does not grow. */
  join(&l, &t[0]);
  start(&l, 0);
  end(&l, &t[0], LM_OUTCOME_RATE_LIMIT, 0);
  for (int i = 0; i < 100; i++) {
    join(&l, &t[0]);
    start(&l, 0);
    end(&l, &t[0], LM_OUTCOME_GOOD, 0);
  }
  assert_true(l.window == 16);
}

/* One spurious refusal among many calls is made good in a few rounds. */
static void test_large_concurrency_comes_back(void **state) {
  (void)state;
  enum { MANY = 2000 };
  lm_limiter l = new_limiter(MANY, 0, 0, 1);
  lm_ticket *t = calloc(MANY, sizeof *t);
  join(&l, &t[0]);
  start(&l, 0);
  end(&l, &t[0], LM_OUTCOME_OVERLOAD, 0);
  assert_true(l.window == MANY / 2);
  int rounds = 0;
  for (; l.window < MANY; rounds++) {
    for (int i = 0; i < MANY; i++) join(&l, &t[i]);
    while (start(&l, 1)) continue;
    for (int i = 0; i < MANY; i++)
      if (t[i].state == LM_TICKET_WAITING) lm_limiter_leave(&l, &t[i]);
    for (int i = 0; i < MANY; i++) end(&l, &t[i], LM_OUTCOME_GOOD, 1);
    assert_true(rounds < 20);
  }
  assert_true(rounds >= 8);
  free(t);
}

/* An endpoint that takes so many at a time: found, mostly kept to, and nobody is refused for good. */
static void test_converges_to_a_capacity(void **state) {
  (void)state;
  static const int capacities[] = {1, 3, 10, 40};
  for (size_t k = 0; k < sizeof capacities / sizeof *capacities; k++) {
    simulation s;
    simulation_init(&s, CALLS);
    s.limiter = new_limiter(64, 0, 0, 1);
    s.server.capacity = capacities[k];
    simulate(&s);
    for (int i = 0; i < s.count; i++) assert_true(s.calls[i].done);
    double ideal = s.count * s.server.seconds / capacities[k];
    assert_true(s.now < 1.4 * ideal + 10);
    assert_true(s.server.refusals < 0.55 * s.count);
    simulation_free(&s);
  }
}

/* An endpoint with a rate that we do not know. */
static void test_converges_to_a_rate(void **state) {
  (void)state;
  simulation s;
  simulation_init(&s, CALLS);
  s.limiter = new_limiter(64, 0, 0, 1);
  s.server.rpm = 600;
  simulate(&s);
  for (int i = 0; i < s.count; i++) assert_true(s.calls[i].done);
  assert_true(s.now < 1.2 * s.count / 10);
  assert_true(s.server.refusals < 0.05 * s.count);
  simulation_free(&s);
}

/* Large calls, small calls, refusals: new calls start in their order, and none waits for ever. */
static void test_no_starvation(void **state) {
  (void)state;
  simulation s;
  simulation_init(&s, 1000);
  lm_rng rng = lm_rng_stream(9, 0, "mixed");
  s.limiter = new_limiter(16, 240, 60000, 1);
  s.server.rpm = 200; /* less than we were told */
  double at = 0;
  for (int i = 0; i < s.count; i++) {
    at += 0.32 * lm_rng_uniform(&rng) * 2;
    s.calls[i].arrives = at;
    s.calls[i].tokens = s.calls[i].used = lm_rng_below(&rng, 40) ? 50 : 3000;
  }
  simulate(&s);
  for (int i = 0; i < s.count; i++) {
    assert_true(s.calls[i].done);
    if (i > 0) assert_true(s.order[i] > s.order[i - 1]); /* a small one does not overtake a large one */
  }
  assert_true(s.server.refusals > 0);
  assert_true(s.now < at + 120);
  check_rate(&s, 240, 4, false);
  check_rate(&s, 60000, 1000, true);
  simulation_free(&s);
}

/* --- anything in any order --- */

static void test_random_operations(void **state) {
  (void)state;
  enum { TICKETS = 40 };
  lm_rng rng = lm_rng_stream(13, 0, "operations");
  for (int round = 0; round < 200; round++) {
    lm_limiter l = new_limiter(1 + (int)lm_rng_below(&rng, 10), lm_rng_below(&rng, 2) ? 3000 : 0,
                               lm_rng_below(&rng, 2) ? 1e5 : 0, 1);
    lm_ticket t[TICKETS];
    memset(t, 0, sizeof t);
    double now = 0;
    for (int step = 0; step < 2000; step++) {
      lm_ticket *one = &t[lm_rng_below(&rng, TICKETS)], *out;
      double when;
      switch (lm_rng_below(&rng, 6)) {
        case 0:
        case 1:
          if (one->state == LM_TICKET_OUT)
            lm_limiter_join(&l, one, (double)lm_rng_below(&rng, 5000), lm_rng_below(&rng, 3) == 0,
                            lm_rng_below(&rng, 2) ? INFINITY : now + lm_rng_uniform(&rng));
          break;
        case 2: lm_limiter_leave(&l, one); break;
        case 3: {
          lm_ending e = {(lm_outcome)lm_rng_below(&rng, LM_OUTCOMES), now, (double)lm_rng_below(&rng, 6000) - 1000,
                         lm_rng_uniform(&rng), lm_rng_below(&rng, 30) ? 0 : lm_rng_uniform(&rng)};
          lm_limiter_end(&l, one, &e);
          break;
        }
        case 4: now += lm_rng_uniform(&rng) * 0.1; break;
        default: {
          lm_admission a = lm_limiter_next(&l, now, &out, &when);
          if (a == LM_ADMISSION_START) assert_int_equal(out->state, LM_TICKET_IN_FLIGHT);
          if (a == LM_ADMISSION_LATE) assert_true(out->state == LM_TICKET_OUT && !isinf(out->deadline));
          if (a == LM_ADMISSION_WAIT) assert_true(when > now);
        }
      }
      size_t waiting = 0, flying = 0;
      for (int i = 0; i < TICKETS; i++) {
        waiting += t[i].state == LM_TICKET_WAITING;
        flying += t[i].state == LM_TICKET_IN_FLIGHT;
      }
      assert_int_equal(waiting, l.waiting);
      assert_int_equal(flying, l.in_flight);
      assert_true(l.in_flight <= (size_t)l.ceiling && l.window >= 1 && l.window <= l.ceiling);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_in_first_out),
      cmocka_unit_test(test_concurrency_can_be_set),
      cmocka_unit_test(test_deadlines),
      cmocka_unit_test(test_pause),
      cmocka_unit_test(test_requests_a_minute),
      cmocka_unit_test(test_rates_can_be_set),
      cmocka_unit_test(test_requests_use_the_rate),
      cmocka_unit_test(test_tokens_a_minute),
      cmocka_unit_test(test_tokens_are_settled),
      cmocka_unit_test(test_one_cut_for_a_round),
      cmocka_unit_test(test_growth),
      cmocka_unit_test(test_large_concurrency_comes_back),
      cmocka_unit_test(test_converges_to_a_capacity),
      cmocka_unit_test(test_converges_to_a_rate),
      cmocka_unit_test(test_no_starvation),
      cmocka_unit_test(test_random_operations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
