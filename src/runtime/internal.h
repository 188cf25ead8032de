/*
** What the files of src/runtime share about the runtime itself.
*/
#ifndef LM_RUNTIME_INTERNAL_H
#define LM_RUNTIME_INTERNAL_H

#include <stdatomic.h>

#include "runtime/runtime.h"

struct lmopt_runtime {
  lm_allocator allocator;
  lmopt_log_fn log;
  void *log_userdata;
  unsigned long long seed;
  unsigned long long seeds_drawn;
  size_t references;
  bool never_block;
  bool closed;
  bool looping; /* lmopt_step, or a wait in place, is running */

  lm_driver *drivers;
  size_t driver_count, driver_capacity;

  lm_operation **timers; /* a binary heap: the next due is first */
  size_t timer_count, timer_capacity;
  unsigned long long timers_made;
  lm_operation *operations; /* all that are not dropped */
  size_t finished_now;      /* since the pump began */
  lm_transport *transport;  /* made by the first HTTP call */

  lm_resource *resources;
  double next_tick; /* monotonic seconds */
  bool flush_wanted;

  atomic_int interrupted;
  int wake_read, wake_write; /* a pipe that lmopt_interrupt writes to; -1: none */
  void (*_Atomic interrupt_hook)(void *thread);
  void *_Atomic running; /* for the hook */

  lm_error error;
};

/* operation.c: what closing a runtime does to what is in flight. */
void lm_runtime_cancel_operations(lmopt_runtime *rt);
/* Flushes the resources if that was wanted, and ends the timers that are due. */
void lm_runtime_flush(lmopt_runtime *rt);
/* Milliseconds until a timer, libcurl or a tick wants a pump, whatever the descriptors do; -1: never. */
int lm_runtime_timeout(const lmopt_runtime *rt);

#endif
