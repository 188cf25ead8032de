/*
** The runtime: what a host opens. It owns the allocator, the transport, the
** timers, the operations in flight and the resources that must be closed
** with it.
**
** An operation is one thing the world does for us (a timer, an HTTP call).
** Submitting returns at once; pumping ends operations in the order in which
** the world finished them, timers by due time and then by submission, and
** calls their `done`, which must only take note: the driver resumes whoever
** waited later, within its budget. Everything here is O(1) or O(log n).
**
** Lifetime: the host's handle and every attached Lua state hold a reference.
** lmopt_close closes what is open at once (operations end as cancelled,
** resources are closed); the memory goes with the last reference, so that a
** Lua state may be closed before or after.
*/
#ifndef LM_RUNTIME_H
#define LM_RUNTIME_H

#include "base/memory.h"
#include "io/transport.h"

/* Something that must be closed when the runtime is: an open study, say. */
typedef struct lm_resource lm_resource;
struct lm_resource {
  lm_resource *previous, *next;
  void (*close)(lm_resource *r); /* already taken out of the list; must not call lm_runtime_disown */
  void (*tick)(lm_resource *r);  /* about every LM_TICK seconds while the loop turns; NULL: nothing */
  void (*flush)(lm_resource *r); /* writes what was gathered, after lm_runtime_want_flush; NULL: nothing */
};

/* Not a timer: what only ticks is nothing to wait for. A host's loop is told of it (lmopt_timeout). */
enum { LM_TICK = 10 };

typedef enum lm_operation_kind { LM_OPERATION_TIMER, LM_OPERATION_HTTP } lm_operation_kind;

typedef struct lm_operation lm_operation;
struct lm_operation {
  lm_operation_kind kind;
  bool finished;
  bool streams;        /* HTTP: its body comes in pieces, and whoever made it keeps it for all of them */
  lmopt_status status; /* when finished: LMOPT_OK, CANCELLED, TIMEOUT, NETWORK, ... */
  lmopt_runtime *runtime;
  /* Set by the submitter: called once, when it finishes by itself, and when a piece of a stream has come; may be NULL. */
  void (*done)(lm_operation *op);
  void *waiter;                  /* set by the submitter, for `done` */
  lm_operation *previous, *next; /* all operations of the runtime */
  double due;                    /* timer: monotonic seconds */
  size_t heap_index;             /* timer: its place in the heap */
  unsigned long long order;      /* timer: submission order, for ties */
  lm_http_call *call;            /* HTTP, while in flight */
  lm_http_reply *reply;          /* HTTP, when finished */
  size_t consumed;               /* a stream, when finished: bytes of the reply\'s body */
};

/* What moves tasks on: one per attached Lua state. */
typedef struct lm_driver {
  void *userdata;
  /* Whether a task is ready to run. */
  bool (*ready)(void *userdata);
  /* Resumes ready tasks until none is ready or `deadline` (monotonic; 0: none) has passed; returns the tasks left. */
  size_t (*run)(void *userdata, double deadline);
  /* How many tasks are not finished. */
  size_t (*left)(void *userdata);
  /* lmopt_interrupt was called, and lmopt_step is about to say so. */
  void (*interrupt)(void *userdata);
} lm_driver;

const lm_allocator *lm_runtime_allocator(lmopt_runtime *rt);
bool lm_runtime_closed(const lmopt_runtime *rt);
bool lm_runtime_never_block(const lmopt_runtime *rt);
void lm_runtime_retain(lmopt_runtime *rt);
void lm_runtime_release(lmopt_runtime *rt);

/* A fresh seed below 2^53 (exact in every number type): from config.seed's stream, else from the system. */
unsigned long long lm_runtime_draw_seed(lmopt_runtime *rt);

/* On a closed runtime the resource is closed at once. */
void lm_runtime_adopt(lmopt_runtime *rt, lm_resource *r);
void lm_runtime_disown(lmopt_runtime *rt, lm_resource *r); /* a no-op for one that was closed */
/* Resources are flushed before the next timer ends: whoever sleeps for 0 seconds goes on when all is written. */
void lm_runtime_want_flush(lmopt_runtime *rt);

lmopt_status lm_runtime_add_driver(lmopt_runtime *rt, const lm_driver *driver);
void lm_runtime_remove_driver(lmopt_runtime *rt, void *userdata);

/* Both copy what they are given. NULL: no memory, a closed runtime or a bad request; `e` says. */
lm_operation *lm_runtime_sleep(lmopt_runtime *rt, double seconds, lm_error *e);
lm_operation *lm_runtime_http(lmopt_runtime *rt, const lm_http_request *request, lm_error *e);
/* The same in pieces: see lm_http_request. */
lm_operation *lm_runtime_http_stream(lmopt_runtime *rt, const lm_http_request *request, lm_error *e);
/* A stream: the bytes that have come and were not consumed. */
lm_bytes lm_runtime_received(const lm_operation *op);
void lm_runtime_consume(lm_operation *op, size_t size);
/* Ends an operation in flight as cancelled, without calling `done`: nobody waits for it any more. */
void lm_runtime_cancel(lm_operation *op);
/* Frees an operation with its reply; one that is in flight is given up, without calling `done`. NULL is a no-op. */
void lm_runtime_drop(lm_operation *op);

/*
** Pumps transport and timers. When nothing finishes at once, waits up to
** wait_ms for something to finish (-1: as long as it takes), but not at all
** when nothing is in flight: that would be for ever.
** Statuses: LMOPT_OK, LMOPT_INTERRUPTED (the wait was cut short; the flag is
** left for lm_runtime_take_interrupt), LMOPT_CANCELLED (the runtime is closed).
** The second does no more than `budget` seconds of work at a time (0: no limit)
** and leaves the rest for the next.
*/
lmopt_status lm_runtime_pump(lmopt_runtime *rt, int wait_ms);
lmopt_status lm_runtime_pump_within(lmopt_runtime *rt, int wait_ms, double budget);
/* Nothing in flight and no timer: waiting would be for ever. */
bool lm_runtime_idle(const lmopt_runtime *rt);

/* True once after lmopt_interrupt. */
bool lm_runtime_take_interrupt(lmopt_runtime *rt);
bool lm_runtime_interrupted(const lmopt_runtime *rt); /* the same without taking it */
/*
** What lmopt_interrupt does, perhaps in a signal handler, to whatever code
** runs at that time: calls `hook`, which must be async-signal safe, with
** `thread`. lm_runtime_running says what runs (NULL: nothing), and returns
** what ran before.
*/
void lm_runtime_on_interrupt(lmopt_runtime *rt, void (*hook)(void *thread));
void *lm_runtime_running(lmopt_runtime *rt, void *thread);

/* A loop runs (in lmopt_step, or in a call that waits in place): lmopt_step from inside it is misuse. */
bool lm_runtime_enter(lmopt_runtime *rt); /* returns what lm_runtime_leave needs */
void lm_runtime_leave(lmopt_runtime *rt, bool entered);

/* Remembers the text that lmopt_errmsg shows, and returns its status. */
lmopt_status lm_runtime_fail(lmopt_runtime *rt, const lm_error *e);
/* Silent once the runtime is closed. */
void lm_runtime_log(lmopt_runtime *rt, lmopt_log_level level, const char *text);

#endif
