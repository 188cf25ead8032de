/*
** Operations: timers in a binary heap, HTTP calls in the transport, and the
** pump that waits for either.
*/
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/internal.h"

enum { LONGEST_WAIT_MS = 60 * 60 * 1000 };

static lm_operation *new_operation(lmopt_runtime *rt, lm_operation_kind kind, lm_error *e) {
  if (rt->closed) {
    lm_fail(e, LMOPT_CANCELLED, "the runtime is closed");
    return NULL;
  }
  lm_operation *op = lm_alloc_zeroed(&rt->allocator, sizeof *op);
  if (!op) {
    lm_fail_memory(e);
    return NULL;
  }
  op->kind = kind;
  op->runtime = rt;
  op->next = rt->operations;
  if (op->next) op->next->previous = op;
  rt->operations = op;
  return op;
}

static void finish(lm_operation *op, lmopt_status status) {
  op->finished = true;
  op->status = status;
  op->runtime->finished_now++;
  if (op->done) op->done(op);
}

/* --- timers --- */

static bool due_before(const lm_operation *a, const lm_operation *b) {
  return a->due < b->due || (a->due == b->due && a->order < b->order);
}

static void place(lmopt_runtime *rt, size_t index, lm_operation *op) {
  rt->timers[index] = op;
  op->heap_index = index;
}

static void sift_up(lmopt_runtime *rt, size_t index, lm_operation *op) {
  while (index > 0) {
    size_t parent = (index - 1) / 2;
    if (!due_before(op, rt->timers[parent])) break;
    place(rt, index, rt->timers[parent]);
    index = parent;
  }
  place(rt, index, op);
}

static void sift_down(lmopt_runtime *rt, size_t index, lm_operation *op) {
  for (;;) {
    size_t child = 2 * index + 1;
    if (child >= rt->timer_count) break;
    if (child + 1 < rt->timer_count && due_before(rt->timers[child + 1], rt->timers[child])) child++;
    if (!due_before(rt->timers[child], op)) break;
    place(rt, index, rt->timers[child]);
    index = child;
  }
  place(rt, index, op);
}

static void remove_timer(lmopt_runtime *rt, lm_operation *op) {
  size_t index = op->heap_index;
  lm_operation *last = rt->timers[--rt->timer_count];
  if (last == op) return;
  if (index > 0 && due_before(last, rt->timers[(index - 1) / 2]))
    sift_up(rt, index, last);
  else
    sift_down(rt, index, last);
}

lm_operation *lm_runtime_sleep(lmopt_runtime *rt, double seconds, lm_error *e) {
  if (isnan(seconds)) {
    lm_fail(e, LMOPT_MISUSE, "the time to sleep is not a number");
    return NULL;
  }
  if (!lm_grow(&rt->allocator, &rt->timers, &rt->timer_capacity, rt->timer_count + 1, sizeof *rt->timers)) {
    lm_fail_memory(e);
    return NULL;
  }
  lm_operation *op = new_operation(rt, LM_OPERATION_TIMER, e);
  if (!op) return NULL;
  op->due = lm_clock_monotonic() + (seconds > 0 ? seconds : 0);
  op->order = rt->timers_made++;
  sift_up(rt, rt->timer_count++, op);
  return op;
}

static void end_due_timers(lmopt_runtime *rt) {
  if (rt->timer_count == 0) return;
  double now = lm_clock_monotonic();
  while (rt->timer_count > 0 && rt->timers[0]->due <= now) {
    lm_operation *op = rt->timers[0];
    remove_timer(rt, op);
    finish(op, LMOPT_OK);
  }
}

/* --- HTTP --- */

static void http_done(void *userdata, lm_http_reply *reply) {
  lm_operation *op = userdata;
  op->call = NULL;
  *op->reply = *reply; /* the buffers are ours now */
  finish(op, reply->status);
}

static void http_received(void *userdata) {
  lm_operation *op = userdata;
  op->runtime->finished_now++;
  if (op->done) op->done(op);
}

static lm_operation *submit_http(lmopt_runtime *rt, const lm_http_request *request, lm_error *e) {
  lm_operation *op = new_operation(rt, LM_OPERATION_HTTP, e);
  if (!op) return NULL;
  op->reply = lm_alloc_zeroed(&rt->allocator, sizeof *op->reply);
  if (!op->reply) {
    lm_fail_memory(e);
    lm_runtime_drop(op);
    return NULL;
  }
  lm_buffer_init(&op->reply->headers, &rt->allocator, 0);
  lm_buffer_init(&op->reply->body, &rt->allocator, 0);
  if ((!rt->transport && lm_transport_new(&rt->allocator, &rt->transport, e) != LMOPT_OK) ||
      lm_transport_submit(rt->transport, request, http_done, op, &op->call, e) != LMOPT_OK) {
    lm_runtime_drop(op);
    return NULL;
  }
  op->streams = request->received != NULL;
  return op;
}

lm_operation *lm_runtime_http(lmopt_runtime *rt, const lm_http_request *request, lm_error *e) {
  return submit_http(rt, request, e);
}

lm_operation *lm_runtime_http_stream(lmopt_runtime *rt, const lm_http_request *request, lm_error *e) {
  lm_http_request in_pieces = *request;
  in_pieces.received = http_received;
  return submit_http(rt, &in_pieces, e);
}

lm_bytes lm_runtime_received(const lm_operation *op) {
  if (op->call) return lm_transport_received(op->call);
  if (!op->finished || !op->reply->in_pieces) return (lm_bytes){NULL, 0};
  return (lm_bytes){lm_buffer_text(&op->reply->body) + op->consumed, op->reply->body.size - op->consumed};
}

void lm_runtime_consume(lm_operation *op, size_t size) {
  if (op->call)
    lm_transport_consume(op->call, size);
  else
    op->consumed += size;
}

/* --- both --- */

static void stop(lm_operation *op) {
  if (op->finished) return;
  if (op->kind == LM_OPERATION_TIMER) {
    remove_timer(op->runtime, op);
  } else if (op->call) {
    lm_transport_cancel(op->call);
    op->call = NULL;
  }
}

void lm_runtime_drop(lm_operation *op) {
  if (!op) return;
  lmopt_runtime *rt = op->runtime;
  stop(op);
  if (op->reply) {
    lm_http_reply_free(op->reply);
    lm_free(&rt->allocator, op->reply);
  }
  if (op->previous)
    op->previous->next = op->next;
  else
    rt->operations = op->next;
  if (op->next) op->next->previous = op->previous;
  lm_free(&rt->allocator, op);
}

void lm_runtime_cancel(lm_operation *op) {
  if (op->finished) return;
  stop(op);
  if (op->reply) lm_fail(&op->reply->error, LMOPT_CANCELLED, "the call was cancelled");
  op->finished = true;
  op->status = LMOPT_CANCELLED;
}

void lm_runtime_cancel_operations(lmopt_runtime *rt) {
  lm_operation *next;
  for (lm_operation *op = rt->operations; op; op = next) {
    next = op->next;
    if (op->finished) continue;
    stop(op);
    if (op->reply) lm_fail(&op->reply->error, LMOPT_CANCELLED, "the runtime was closed");
    finish(op, LMOPT_CANCELLED);
  }
}

bool lm_runtime_idle(const lmopt_runtime *rt) {
  return rt->timer_count == 0 && (!rt->transport || lm_transport_in_flight(rt->transport) == 0);
}

/* Milliseconds until the next timer, rounded up so that waiting once is enough; at most `wait_ms` (-1: no limit). */
static int next_wait(const lmopt_runtime *rt, int wait_ms) {
  if (rt->timer_count == 0) return wait_ms < 0 ? LONGEST_WAIT_MS : wait_ms;
  double left = ceil((rt->timers[0]->due - lm_clock_monotonic()) * 1000);
  int until = left <= 0 ? 0 : left > LONGEST_WAIT_MS ? LONGEST_WAIT_MS : (int)left;
  return wait_ms < 0 || until < wait_ms ? until : wait_ms;
}

static void wait_for_wake(lmopt_runtime *rt, int wait_ms) {
  struct pollfd wake = {rt->wake_read, POLLIN, 0};
  poll(&wake, rt->wake_read >= 0 ? 1 : 0, wait_ms);
}

static void tick_resources(lmopt_runtime *rt) {
  double now = lm_clock_monotonic();
  if (now < rt->next_tick) return;
  rt->next_tick = now + LM_TICK;
  for (lm_resource *r = rt->resources; r; r = r->next)
    if (r->tick) r->tick(r);
}

static void flush_resources(lmopt_runtime *rt) {
  if (!rt->flush_wanted) return;
  rt->flush_wanted = false;
  for (lm_resource *r = rt->resources; r; r = r->next)
    if (r->flush) r->flush(r);
}

void lm_runtime_want_flush(lmopt_runtime *rt) { rt->flush_wanted = true; }

void lm_runtime_flush(lmopt_runtime *rt) {
  flush_resources(rt);
  end_due_timers(rt);
}

/* Moves everything on once, waiting up to wait_ms when nothing is ready. */
static void pump_once(lmopt_runtime *rt, int wait_ms, double budget) {
  if (wait_ms > LM_TICK * 1000) wait_ms = LM_TICK * 1000;
  tick_resources(rt);
  flush_resources(rt);
  if (rt->transport)
    lm_transport_pump(rt->transport, wait_ms, rt->wake_read, budget);
  else if (wait_ms > 0)
    wait_for_wake(rt, wait_ms);
  end_due_timers(rt);
}

lmopt_status lm_runtime_pump(lmopt_runtime *rt, int wait_ms) { return lm_runtime_pump_within(rt, wait_ms, 0); }

lmopt_status lm_runtime_pump_within(lmopt_runtime *rt, int wait_ms, double budget) {
  if (rt->closed) return LMOPT_CANCELLED;
  double deadline = wait_ms > 0 ? lm_clock_monotonic() + wait_ms / 1000.0 : 0;
  rt->finished_now = 0;
  pump_once(rt, 0, budget);
  while (rt->finished_now == 0 && wait_ms != 0 && !lm_runtime_interrupted(rt) && !lm_runtime_idle(rt)) {
    int left = wait_ms;
    if (wait_ms > 0) {
      double seconds = deadline - lm_clock_monotonic();
      if (seconds <= 0) break;
      left = (int)ceil(seconds * 1000);
    }
    pump_once(rt, next_wait(rt, left), budget);
  }
  return lm_runtime_interrupted(rt) ? LMOPT_INTERRUPTED : LMOPT_OK;
}

/* --- for a host's own loop --- */

static bool something_ticks(const lmopt_runtime *rt) {
  for (const lm_resource *r = rt->resources; r; r = r->next)
    if (r->tick) return true;
  return false;
}

static double earlier(double a, double b) { return a < 0 || b < a ? b : a; }

int lm_runtime_timeout(const lmopt_runtime *rt) {
  double due = -1;
  if (rt->timer_count > 0) due = rt->timers[0]->due;
  if (something_ticks(rt)) due = earlier(due, rt->next_tick);
  double left = due < 0 ? -1 : ceil((due - lm_clock_monotonic()) * 1000);
  int until = due < 0 ? -1 : left <= 0 ? 0 : left > LONGEST_WAIT_MS ? LONGEST_WAIT_MS : (int)left;
  int network = rt->transport ? lm_transport_timeout(rt->transport) : -1;
  return network >= 0 && (until < 0 || network < until) ? network : until;
}

int lmopt_fds(lmopt_runtime *rt, lmopt_fd *fds, int capacity) {
  if (!rt || capacity < 0 || (!fds && capacity > 0)) return LMOPT_MISUSE;
  if (rt->closed) return lm_fail(&rt->error, LMOPT_MISUSE, "lmopt_fds on a runtime that is closed");
  if (capacity > 0) fds[0] = (lmopt_fd){rt->wake_read, LMOPT_READ};
  size_t room = capacity > 0 ? (size_t)capacity - 1 : 0;
  return 1 + (rt->transport ? (int)lm_transport_fds(rt->transport, room ? fds + 1 : NULL, room) : 0);
}
