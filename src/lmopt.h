/*
** lmopt: an embedded, Lua-scripted optimisation runtime.
**
** This is the only public header, and the manual of the C API. Everything
** behind these names is private and may change.
**
** What lmopt does to your process: nothing you did not ask for. It prints
** nothing, starts no thread of its own, installs no signal handler, never
** calls exit, setlocale or chdir, and keeps no global state: two runtimes
** live in one process without knowing of each other. What it has to say goes
** to the log callback of lmopt_config. libcurl's resolver may start a thread.
**
** Threads: a runtime belongs to the thread that uses it. lmopt_interrupt is
** the one call that another thread or a signal handler may make.
**
** Pointers: what a call returns is owned by the runtime unless its comment
** says otherwise; out-parameters are NULL or zero after a failure.
*/
#ifndef LMOPT_H
#define LMOPT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LMOPT_VERSION "0.1.0"
#define LMOPT_VERSION_NUMBER 100 /* major * 10000 + minor * 100 + patch */

#if defined(__GNUC__)
#define LMOPT_API __attribute__((visibility("default")))
#else
#define LMOPT_API
#endif

struct lua_State;

/* How a call ended: zero is success, negative is failure. */
typedef enum lmopt_status {
  LMOPT_OK = 0,
  LMOPT_ERROR = -1,        /* none of the below; lmopt_errmsg explains */
  LMOPT_NO_MEMORY = -2,    /* the allocator said no */
  LMOPT_MISUSE = -3,       /* a wrong argument, or a call at the wrong time */
  LMOPT_NOT_FOUND = -4,    /* no such study, trial or file */
  LMOPT_EXISTS = -5,       /* a study of that name is there already */
  LMOPT_STORAGE = -6,      /* a file can't be read or written, or is no study file */
  LMOPT_BUSY = -7,         /* not now: wait for other trials, or the file is locked */
  LMOPT_EXHAUSTED = -8,    /* the search space has been visited completely */
  LMOPT_INTERRUPTED = -9,  /* lmopt_interrupt was called */
  LMOPT_CANCELLED = -10,   /* the operation was cancelled */
  LMOPT_TIMEOUT = -11,     /* a deadline passed */
  LMOPT_NETWORK = -12,     /* connection refused, reset, name not found, TLS */
  LMOPT_WOULD_BLOCK = -13, /* waiting is not allowed here (never_block) */
  LMOPT_LIMIT = -14        /* a budget or a trial limit is spent */
} lmopt_status;

/*
** The host's allocator, with the contract of lua_Alloc: `size` 0 frees;
** otherwise returns a block of `size` bytes with the old contents, or NULL.
** SQLite and libcurl have process-wide allocators, which lmopt leaves alone.
*/
typedef void *(*lmopt_alloc_fn)(void *userdata, void *block, size_t old_size, size_t size);

typedef enum lmopt_log_level { LMOPT_LOG_DEBUG, LMOPT_LOG_INFO, LMOPT_LOG_WARNING } lmopt_log_level;

/*
** Receives what there is to say; `text` lives for the call. It is one line,
** followed by a traceback where a task failed and nobody awaited it. It may
** come from the collector of an attached Lua state: it must not call Lua.
*/
typedef void (*lmopt_log_fn)(void *userdata, lmopt_log_level level, const char *text);

/*
** How a runtime is opened. Zero the struct (lmopt_config_init) and set what
** matters; a zero field means its default.
*/
typedef struct lmopt_config {
  lmopt_alloc_fn alloc; /* default: realloc and free */
  void *alloc_userdata;
  lmopt_log_fn log; /* default: silence */
  void *log_userdata;
  int never_block;         /* 1: a call that would have to wait in place raises instead */
  unsigned long long seed; /* seed for studies that are given none; 0: drawn from the system */
} lmopt_config;

typedef struct lmopt_runtime lmopt_runtime;

LMOPT_API void lmopt_config_init(lmopt_config *config);

/*
** Opens a runtime. `config` may be NULL. Does not touch network or disk;
** libcurl is started by the first call over HTTP.
** Statuses: LMOPT_OK, LMOPT_NO_MEMORY, LMOPT_ERROR (no pipe to be had).
*/
LMOPT_API lmopt_status lmopt_open(const lmopt_config *config, lmopt_runtime **out);

/*
** Closes a runtime, once: cancels what is in flight, and closes its files.
** NULL is a no-op. Safe before and after lua_close of the states attached to
** it, and inside lmopt_step (which then returns LMOPT_CANCELLED). Tasks of a
** state that lives on never run again.
*/
LMOPT_API void lmopt_close(lmopt_runtime *rt);

/*
** Makes `L` (its main state) use `rt` when it requires "lmopt"; call it before
** require. Without it, require "lmopt" opens a runtime of its own that lives as
** long as the state. Statuses: LMOPT_OK, LMOPT_MISUSE (a runtime is attached
** already), LMOPT_NO_MEMORY.
*/
LMOPT_API lmopt_status lmopt_attach(struct lua_State *L, lmopt_runtime *rt);

/* require "lmopt" from any Lua 5.4 host: luaL_requiref(L, "lmopt", luaopen_lmopt, 0). */
LMOPT_API int luaopen_lmopt(struct lua_State *L);

/*
** Moves everything on: pumps the network and the timers, then resumes the
** tasks that are ready, first in first out.
** wait_ms: how long to wait when nothing is ready; 0 never waits (a game),
** -1 waits until something happens. budget_us: how much work, in
** microseconds, before it returns; 0 means no limit. The budget is looked at
** between two tasks, so that a step overruns it by the longest stretch of one
** task between two waits; waits that are over at once (a reply from a cache)
** are no such boundary. One task is run at least. Time spent waiting does not
** count.
** Returns the number of tasks that are left, or a negative lmopt_status:
** LMOPT_MISUSE when called from inside itself or on a closed runtime,
** LMOPT_INTERRUPTED once after lmopt_interrupt, LMOPT_WOULD_BLOCK when
** wait_ms is -1, nothing is in flight, and the tasks that are left wait for
** each other, LMOPT_CANCELLED when a task closed the runtime.
*/
LMOPT_API int lmopt_step(lmopt_runtime *rt, int wait_ms, int budget_us);

/*
** Asks a step that is waiting, and whatever runs, to stop soon: Lua code that
** a task is running gets an error of kind "interrupted" (in a script's own
** functions; lmopt's finish what they do). Async-signal safe, and callable
** from any thread while the runtime is open; from another thread, Lua code
** that never waits is stopped only if Lua's lua_sethook may be called there.
*/
LMOPT_API void lmopt_interrupt(lmopt_runtime *rt);

/* What the last failed call on `rt` meant; valid until the next call on it. */
LMOPT_API const char *lmopt_errmsg(const lmopt_runtime *rt);

/* "ok", "no memory", ...; a static string. */
LMOPT_API const char *lmopt_strstatus(lmopt_status status);

/* LMOPT_VERSION of the library that is linked; a static string. */
LMOPT_API const char *lmopt_version(void);

#ifdef __cplusplus
}
#endif

#endif
