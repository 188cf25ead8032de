/*
** The entry points of lmopt.h that concern the runtime; its comments say what
** they promise.
*/
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/internal.h"

void lmopt_config_init(lmopt_config *config) {
  if (config) memset(config, 0, sizeof *config);
}

static bool make_pipe(lmopt_runtime *rt) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  for (int i = 0; i < 2; i++) {
    fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    fcntl(ends[i], F_SETFL, O_NONBLOCK);
  }
  rt->wake_read = ends[0];
  rt->wake_write = ends[1];
  return true;
}

lmopt_status lmopt_open(const lmopt_config *config, lmopt_runtime **out) {
  if (!out) return LMOPT_MISUSE;
  *out = NULL;
  lmopt_config chosen;
  lmopt_config_init(&chosen);
  if (config) chosen = *config;
  lm_allocator allocator = lm_allocator_default();
  if (chosen.alloc) allocator = (lm_allocator){chosen.alloc, chosen.alloc_userdata};
  lmopt_runtime *rt = lm_alloc_zeroed(&allocator, sizeof *rt);
  if (!rt) return LMOPT_NO_MEMORY;
  rt->allocator = allocator;
  rt->log = chosen.log;
  rt->log_userdata = chosen.log_userdata;
  rt->seed = chosen.seed;
  rt->never_block = chosen.never_block != 0;
  rt->references = 1;
  rt->wake_read = rt->wake_write = -1;
  lmopt_status status = make_pipe(rt) ? LMOPT_OK : LMOPT_ERROR;
  if (status == LMOPT_OK && chosen.preload_http) status = lm_transport_new(&rt->allocator, &rt->transport, NULL);
  if (status != LMOPT_OK) {
    lm_runtime_release(rt);
    return status;
  }
  *out = rt;
  return LMOPT_OK;
}

void lmopt_close(lmopt_runtime *rt) {
  if (!rt || rt->closed) return;
  lm_runtime_on_interrupt(rt, NULL);
  rt->closed = true;
  lm_runtime_cancel_operations(rt);
  while (rt->resources) {
    lm_resource *r = rt->resources;
    lm_runtime_disown(rt, r);
    r->close(r);
  }
  lm_runtime_release(rt);
}

static bool any_ready(const lmopt_runtime *rt) {
  for (size_t i = 0; i < rt->driver_count; i++)
    if (rt->drivers[i].ready(rt->drivers[i].userdata)) return true;
  return false;
}

static size_t tasks_left(const lmopt_runtime *rt) {
  size_t left = 0;
  for (size_t i = 0; i < rt->driver_count; i++) left += rt->drivers[i].left(rt->drivers[i].userdata);
  return left;
}

static void run_drivers(lmopt_runtime *rt, double deadline) {
  for (size_t i = 0; i < rt->driver_count; i++) {
    rt->drivers[i].run(rt->drivers[i].userdata, deadline);
    if (rt->closed || lm_runtime_interrupted(rt)) return;
    if (deadline > 0 && lm_clock_monotonic() >= deadline) break;
  }
  /* Whoever came last comes first in the next step, so that a busy state can't starve another. */
  if (rt->driver_count > 1) {
    lm_driver first = rt->drivers[0];
    memmove(&rt->drivers[0], &rt->drivers[1], (rt->driver_count - 1) * sizeof first);
    rt->drivers[rt->driver_count - 1] = first;
  }
}

static int step(lmopt_runtime *rt, int wait_ms, int budget_us) {
  double deadline = budget_us > 0 ? lm_clock_monotonic() + budget_us * 1e-6 : 0;
  bool ready = any_ready(rt);
  if (!ready && wait_ms < 0 && lm_runtime_idle(rt) && tasks_left(rt) > 0 && !lm_runtime_interrupted(rt))
    return lm_fail(&rt->error, LMOPT_WOULD_BLOCK, "%zu tasks wait for each other, or for nothing", tasks_left(rt));
  /* Of a budget, the network gets at most half: the tasks it wakes have to run as well. */
  lm_runtime_pump_within(rt, ready ? 0 : wait_ms, budget_us > 0 ? budget_us * 0.5e-6 : 0);
  if (wait_ms != 0 && budget_us > 0) deadline = lm_clock_monotonic() + budget_us * 1e-6; /* waiting is no work */
  if (!rt->closed && !lm_runtime_interrupted(rt)) run_drivers(rt, deadline);
  /* What they gathered is written in one go, and whoever waits for that goes on in this very step. */
  if (!rt->closed && rt->flush_wanted && (deadline <= 0 || lm_clock_monotonic() < deadline)) {
    lm_runtime_flush(rt);
    if (!lm_runtime_interrupted(rt)) run_drivers(rt, deadline);
  }
  if (rt->closed) return LMOPT_CANCELLED;
  if (!lm_runtime_take_interrupt(rt)) return (int)tasks_left(rt);
  for (size_t i = 0; i < rt->driver_count; i++) rt->drivers[i].interrupt(rt->drivers[i].userdata);
  return lm_fail(&rt->error, LMOPT_INTERRUPTED, "interrupted");
}

int lmopt_step(lmopt_runtime *rt, int wait_ms, int budget_us) {
  if (!rt) return LMOPT_MISUSE;
  if (rt->closed) return lm_fail(&rt->error, LMOPT_MISUSE, "lmopt_step on a runtime that is closed");
  if (rt->looping) return lm_fail(&rt->error, LMOPT_MISUSE, "lmopt_step was called from inside itself");
  lm_runtime_retain(rt); /* a task may call something that closes the runtime */
  rt->looping = true;
  int left = step(rt, wait_ms, budget_us);
  rt->looping = false;
  lm_runtime_release(rt);
  return left;
}

int lmopt_timeout(lmopt_runtime *rt) {
  if (!rt || rt->closed || lm_runtime_interrupted(rt) || any_ready(rt)) return 0;
  return lm_runtime_timeout(rt);
}

const char *lmopt_errmsg(const lmopt_runtime *rt) { return rt ? rt->error.text : "no runtime"; }

const char *lmopt_version(void) { return LMOPT_VERSION; }

const char *lmopt_strstatus(lmopt_status status) {
  switch (status) {
    case LMOPT_OK: return "ok";
    case LMOPT_ERROR: return "error";
    case LMOPT_NO_MEMORY: return "no memory";
    case LMOPT_MISUSE: return "misuse";
    case LMOPT_NOT_FOUND: return "not found";
    case LMOPT_EXISTS: return "exists already";
    case LMOPT_STORAGE: return "storage";
    case LMOPT_BUSY: return "busy";
    case LMOPT_EXHAUSTED: return "search space exhausted";
    case LMOPT_INTERRUPTED: return "interrupted";
    case LMOPT_CANCELLED: return "cancelled";
    case LMOPT_TIMEOUT: return "timeout";
    case LMOPT_NETWORK: return "network";
    case LMOPT_WOULD_BLOCK: return "would block";
    case LMOPT_LIMIT: return "limit reached";
  }
  return "unknown status";
}
