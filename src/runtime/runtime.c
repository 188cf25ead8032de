/*
** The runtime itself: references, resources, drivers, seeds, interrupts.
*/
#define _DEFAULT_SOURCE
#include "runtime/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/rng.h"
#include "runtime/internal.h"

const lm_allocator *lm_runtime_allocator(lmopt_runtime *rt) { return &rt->allocator; }

bool lm_runtime_closed(const lmopt_runtime *rt) { return rt->closed; }

bool lm_runtime_never_block(const lmopt_runtime *rt) { return rt->never_block; }

void lm_runtime_retain(lmopt_runtime *rt) { rt->references++; }

void lm_runtime_release(lmopt_runtime *rt) {
  if (--rt->references > 0) return;
  while (rt->operations) lm_runtime_drop(rt->operations);
  lm_transport_free(rt->transport);
  lm_free(&rt->allocator, rt->timers);
  lm_free(&rt->allocator, rt->drivers);
  if (rt->wake_read >= 0) close(rt->wake_read);
  if (rt->wake_write >= 0) close(rt->wake_write);
  lm_allocator allocator = rt->allocator;
  lm_free(&allocator, rt);
}

/* --- seeds --- */

static unsigned long long system_seed(void) {
  unsigned long long bits = 0;
  int file = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    ssize_t got = read(file, &bits, sizeof bits);
    close(file);
    if (got == (ssize_t)sizeof bits) return bits;
  }
  /* No such device in here: the clocks and the process will do; a seed is no secret. */
  double times[2] = {lm_clock_utc(), lm_clock_monotonic()};
  return lm_hash(times, sizeof times) ^ lm_mix((unsigned long long)getpid());
}

unsigned long long lm_runtime_draw_seed(lmopt_runtime *rt) {
  unsigned long long bits;
  if (rt->seed) {
    lm_rng stream = lm_rng_stream(rt->seed, (int64_t)rt->seeds_drawn++, "seed");
    bits = lm_rng_bits(&stream);
  } else {
    bits = system_seed();
  }
  return bits >> 11;
}

/* --- resources --- */

void lm_runtime_adopt(lmopt_runtime *rt, lm_resource *r) {
  r->previous = r->next = NULL;
  if (rt->closed) {
    r->close(r);
    return;
  }
  r->next = rt->resources;
  if (r->next) r->next->previous = r;
  rt->resources = r;
}

void lm_runtime_disown(lmopt_runtime *rt, lm_resource *r) {
  if (!r->previous && rt->resources != r) return;
  if (r->previous)
    r->previous->next = r->next;
  else
    rt->resources = r->next;
  if (r->next) r->next->previous = r->previous;
  r->previous = r->next = NULL;
}

/* --- drivers --- */

lmopt_status lm_runtime_add_driver(lmopt_runtime *rt, const lm_driver *driver) {
  if (rt->closed) return lm_fail(&rt->error, LMOPT_MISUSE, "the runtime is closed");
  if (!lm_grow(&rt->allocator, &rt->drivers, &rt->driver_capacity, rt->driver_count + 1, sizeof *rt->drivers))
    return lm_fail_memory(&rt->error);
  rt->drivers[rt->driver_count++] = *driver;
  return LMOPT_OK;
}

void lm_runtime_remove_driver(lmopt_runtime *rt, void *userdata) {
  for (size_t i = 0; i < rt->driver_count; i++) {
    if (rt->drivers[i].userdata != userdata) continue;
    rt->driver_count--;
    memmove(&rt->drivers[i], &rt->drivers[i + 1], (rt->driver_count - i) * sizeof *rt->drivers);
    return;
  }
}

bool lm_runtime_enter(lmopt_runtime *rt) {
  if (rt->looping) return false;
  rt->looping = true;
  return true;
}

void lm_runtime_leave(lmopt_runtime *rt, bool entered) {
  if (entered) rt->looping = false;
}

/* --- interrupts --- */

bool lm_runtime_interrupted(const lmopt_runtime *rt) {
  return atomic_load_explicit(&((lmopt_runtime *)rt)->interrupted, memory_order_relaxed) != 0;
}

bool lm_runtime_take_interrupt(lmopt_runtime *rt) {
  if (!atomic_exchange(&rt->interrupted, 0)) return false;
  char bytes[64];
  while (rt->wake_read >= 0 && read(rt->wake_read, bytes, sizeof bytes) > 0) continue;
  return true;
}

void lm_runtime_on_interrupt(lmopt_runtime *rt, void (*hook)(void *thread)) { atomic_store(&rt->interrupt_hook, hook); }

void *lm_runtime_running(lmopt_runtime *rt, void *thread) {
  return atomic_exchange_explicit(&rt->running, thread, memory_order_relaxed);
}

void lmopt_interrupt(lmopt_runtime *rt) {
  if (!rt) return;
  int kept = errno; /* a signal handler must leave it as it was */
  atomic_store(&rt->interrupted, 1);
  if (rt->wake_write >= 0) {
    ssize_t written = write(rt->wake_write, "!", 1); /* full: a wake-up is on its way already */
    (void)written;
  }
  void (*hook)(void *) = atomic_load(&rt->interrupt_hook);
  void *thread = atomic_load(&rt->running);
  if (hook && thread) hook(thread);
  errno = kept;
}

/* --- texts --- */

lmopt_status lm_runtime_fail(lmopt_runtime *rt, const lm_error *e) {
  rt->error = *e;
  return e->status;
}

void lm_runtime_log(lmopt_runtime *rt, lmopt_log_level level, const char *text) {
  if (rt->log && !rt->closed) rt->log(rt->log_userdata, level, text);
}
