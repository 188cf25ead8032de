/*
** lmopt: an embedded, Lua-scripted optimisation runtime.
**
** This is the only public header, and the manual of the C API. Everything
** behind these names is private and may change. Its parts:
**
**   1  statuses           how every call ends
**   2  the runtime        open, close, errors, the log
**   3  Lua                require "lmopt" in a host's own state
**   4  the loop           step, and descriptors for a loop of the host's own
**   5  ask and tell       studies from C, with no Lua at all
**
** What lmopt does to your process: nothing you did not ask for. It prints
** nothing, starts no thread of its own, installs no signal handler, never
** calls exit, setlocale or chdir, and keeps no global state: two runtimes
** live in one process without knowing of each other. What it has to say goes
** to the log callback of lmopt_config. The first HTTP call loads libcurl
** (libcurl.so.4), which stays in the process; its resolver may start a thread.
**
** Threads: a runtime, its studies and their trials belong to the thread that
** uses them. lmopt_interrupt is the one call that another thread or a signal
** handler may make.
**
** Pointers: what a call takes is copied, unless its comment says that it must
** live longer. What a call returns is owned by the runtime (or by the study it
** came from) and never to be freed. Out-parameters are NULL or zero after a
** failure, and must not be NULL themselves.
**
** Blocking: a comment that does not speak of it means that the call does not
** wait for anything. "Waits for the disk" means reading and writing a file;
** "waits for the lock" means that another process is writing the same file,
** for at most a minute.
**
** To build: cc program.c $(pkg-config --cflags --libs lmopt), and lua5.4
** beside lmopt when the program calls part 3.
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

/* --- 1. Statuses ------------------------------------------------------- */

/*
** How a call ended: zero is success, negative is failure. lmopt_errmsg says
** in one line what was wrong and with what.
*/
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

/* "ok", "no memory", ...; a static string. */
LMOPT_API const char *lmopt_strstatus(lmopt_status status);

/* LMOPT_VERSION of the library that is linked; a static string. */
LMOPT_API const char *lmopt_version(void);

/*
** --- 2. The runtime ------------------------------------------------------
**
**   static void say(void *userdata, lmopt_log_level level, const char *text) {
**     fprintf(stderr, "%s\n", text);
**   }
**
**   lmopt_config config;
**   lmopt_config_init(&config);
**   config.log = say;
**   lmopt_runtime *rt;
**   if (lmopt_open(&config, &rt) != LMOPT_OK) return 1;
**   ...
**   lmopt_close(rt);
*/

/*
** The host's allocator, with the contract of lua_Alloc: `size` 0 frees;
** otherwise returns a block of `size` bytes with the old contents, or NULL.
** SQLite and libcurl have process-wide allocators, which lmopt leaves alone.
*/
typedef void *(*lmopt_alloc_fn)(void *userdata, void *block, size_t old_size, size_t size);

typedef enum lmopt_log_level { LMOPT_LOG_DEBUG, LMOPT_LOG_INFO, LMOPT_LOG_WARNING } lmopt_log_level;

/*
** Receives what there is to say; `text` lives for the call. It is one line,
** followed by a traceback where a task failed and nobody awaited it: with
** never_block that is said in the step in which a task fails that no other task
** started, else when Lua's collector takes the task. So it must not call Lua.
** A host without a log hears nothing of such errors.
*/
typedef void (*lmopt_log_fn)(void *userdata, lmopt_log_level level, const char *text);

/*
** How a runtime is opened. Zero the struct (lmopt_config_init) and set what
** matters; a zero field means its default.
*/
typedef struct lmopt_config {
  lmopt_alloc_fn alloc; /* default: realloc and free; it and its userdata must outlive the runtime */
  void *alloc_userdata;
  lmopt_log_fn log; /* default: silence; it and its userdata must outlive the runtime */
  void *log_userdata;
  int never_block; /* 1: a call that would have to wait in place raises instead, and the sampler "auto" is quick */
  unsigned long long seed; /* seed for studies that are given none; 0: drawn from the system */
  int preload_http;        /* 1: lmopt_open loads and starts libcurl, instead of the first call over HTTP */
} lmopt_config;

typedef struct lmopt_runtime lmopt_runtime;

/* Every field its default. NULL is a no-op. */
LMOPT_API void lmopt_config_init(lmopt_config *config);

/*
** Opens a runtime. `config` may be NULL, and need not live on. Touches neither
** network nor disk, but for libcurl's file with preload_http. *out is the
** host's until lmopt_close.
** Statuses: LMOPT_OK, LMOPT_NO_MEMORY, LMOPT_MISUSE (`out` is NULL),
** LMOPT_ERROR (no pipe to be had; preload_http, and libcurl can't be loaded).
*/
LMOPT_API lmopt_status lmopt_open(const lmopt_config *config, lmopt_runtime **out);

/*
** Closes a runtime, once: cancels what is in flight, and closes its files;
** trials that its studies were running go back to waiting. NULL is a no-op.
** Safe before and after lua_close of the states attached to it, and inside
** lmopt_step (which then returns LMOPT_CANCELLED). Tasks of a state that lives
** on never run again. `rt` must not be used afterwards; handles of studies may
** (part 5). Waits for the disk and the lock when studies in files are open.
*/
LMOPT_API void lmopt_close(lmopt_runtime *rt);

/*
** What the last failed call on `rt`, its studies or their trials meant: one
** line, "" when none failed. Valid until the next call on any of them. A NULL
** `rt` gives a text too. After lmopt_open has failed there is no runtime to
** ask: lmopt_strstatus has to do.
*/
LMOPT_API const char *lmopt_errmsg(const lmopt_runtime *rt);

/*
** --- 3. Lua --------------------------------------------------------------
**
**   lua_State *L = luaL_newstate();
**   luaL_openlibs(L);
**   lmopt_attach(L, rt);
**   luaL_requiref(L, "lmopt", luaopen_lmopt, 1);
**   lua_pop(L, 1);
**   luaL_dofile(L, "tune.lua");
**
** What Lua calls is described in docs/api.md.
*/

struct lua_State;

/*
** Makes `L` (its main state) use `rt` when it requires "lmopt"; call it before
** require. Without it, require "lmopt" opens a runtime of its own that lives as
** long as the state. `rt` must be open; state and runtime may be closed in any
** order. Statuses: LMOPT_OK, LMOPT_MISUSE (a NULL, or the state has a runtime:
** it was attached before, or lmopt was required already), LMOPT_NO_MEMORY.
*/
LMOPT_API lmopt_status lmopt_attach(struct lua_State *L, lmopt_runtime *rt);

/*
** require "lmopt" from any Lua 5.4 host: luaL_requiref(L, "lmopt",
** luaopen_lmopt, 0). A lua_CFunction: it leaves the module on the stack, and
** raises a Lua error when memory is short.
*/
LMOPT_API int luaopen_lmopt(struct lua_State *L);

/*
** --- 4. The loop ---------------------------------------------------------
**
** Tasks that wait (for a time, a reply, each other) go on when the host calls
** lmopt_step. A game gives it a part of every frame:
**
**   while (lmopt_step(rt, 0, 500) > 0) draw_frame();
**
** A tool lets it wait:
**
**   while ((left = lmopt_step(rt, -1, 0)) > 0) continue;
**
** A host with a poll loop of its own watches lmopt's descriptors beside its
** own, for as long as lmopt_timeout says, and then steps without waiting:
**
**   lmopt_fd theirs[16];
**   int count = lmopt_fds(rt, theirs, 16);       (more than 16: ask with more room)
**   ...                                          (into a struct pollfd array)
**   poll(all, own + count, lmopt_timeout(rt));
**   lmopt_step(rt, 0, 1000);
**
** examples/embed/poll_loop.c is such a host.
**
** What a step may cost. lmopt_step(rt, 0, 1000) overruns its millisecond by one
** task's stretch between two waits. The single operations that take longer, in
** milliseconds of the processor's time, median and worst of many (the disk comes
** on top; docs/embedding.md has the whole table, the machine and the command):
**
**   the first tpe ask, 10 parameters, 1,000 trials; 10,000       2, 12
**     the later ones                                         0.1, 0.3
**   the first tpe ask, 30 parameters, 1,000 trials; 10,000       7, 31
**     the later ones                                         0.2, 0.6
**   a gp ask, 100 to 250 trials ("auto" has none with never_block)  10-60
**   the first suggest of a new name, 10,000 trials                  1     1
**   a study made in a new file; in a file that is there          4, 2     5
**   a study of 1,000 trials opened; of 10,000                   8, 50    56
**   a file closed after 2,000 tells                                 9    12
**   the studies of a file with 10,000 trials listed                 8    17
**   tell, in a file with a rollback journal (Optuna's are)        0.5     1
**   study.trials, 1,000 trials; 10,000                        20, 167   248
**   10,000 trials written as CSV                                  926   980
**   collectgarbage(), 10,000 trials in Lua tables                  20    24
**   the first call over HTTP: libcurl is loaded; over https     7, 50    60
**   a reply of 1 MB                                                 9     9
**   64 model calls begun at once                                  1.3     3
**   a file that another program keeps locked      a minute by the clock, at most
**
** Under a millisecond: ask, suggest, report and tell otherwise, best_trial, a
** model call, a name looked up, a sleep. While the level loads: require "lmopt"
** (5 ms), the files, and libcurl (preload_http).
*/

/*
** Moves everything on: pumps the network and the timers, then resumes the
** tasks that are ready, first in first out.
** wait_ms: how long to wait when nothing is ready; 0 never waits (a game),
** -1 waits until something happens. budget_us: how much work, in
** microseconds, before it returns; 0 means no limit. The budget is looked at
** between two tasks, so that a step overruns it by the longest stretch of one
** task between two waits; waits that are over at once (a reply from a cache)
** are no such boundary. Calls over HTTP are moved on one socket at a time and
** get half of the budget at most. One task is run at least. Time spent waiting
** does not count.
** Besides wait_ms it waits for what its tasks wait for in place: the disk and
** the lock, when they use studies in files.
** Returns the number of tasks that are left, or a negative lmopt_status:
** LMOPT_MISUSE when called from inside itself or on a closed runtime,
** LMOPT_INTERRUPTED once after lmopt_interrupt, LMOPT_WOULD_BLOCK when
** wait_ms is -1, nothing is in flight, and the tasks that are left wait for
** each other, LMOPT_CANCELLED when a task closed the runtime.
*/
LMOPT_API int lmopt_step(lmopt_runtime *rt, int wait_ms, int budget_us);

/* A descriptor to watch, and for what. */
enum { LMOPT_READ = 1, LMOPT_WRITE = 2 };
typedef struct lmopt_fd {
  int fd;
  int events; /* LMOPT_READ, LMOPT_WRITE or both */
} lmopt_fd;

/*
** What a host's own loop has to watch: when one of them is ready, lmopt_step
** has something to do. Fills at most `capacity` of `fds` and returns how many
** there are, which may be more: ask again with more room. `fds` may be NULL
** when capacity is 0.
** One of them is what lmopt_interrupt writes to. On Linux there are at most
** two, and each stays the same from its appearance (the second comes with the
** first HTTP call) until lmopt_close; elsewhere there is one more for every
** socket, so ask anew before each wait. They are the runtime's: never read from,
** write to or close them, and watch them level-triggered (an edge-triggered
** watcher steps until lmopt_timeout is not 0).
** Returns LMOPT_MISUSE for a NULL, a negative capacity or a closed runtime.
*/
LMOPT_API int lmopt_fds(lmopt_runtime *rt, lmopt_fd *fds, int capacity);

/*
** Milliseconds until lmopt_step has something to do though no descriptor is
** ready, rounded up: 0: now; -1: never, only descriptors matter. At most an
** hour: a host that waits longer loses nothing but time. What counts: tasks
** that are ready, tasks that sleep, libcurl's timeouts, an interrupt; and, every
** ten seconds while a study in a file is open for writing, the sign of life that
** keeps its trials from being taken for dead by another machine (missing it for
** less than a quarter of an hour does no harm).
** 0 for NULL and for a closed runtime: lmopt_step then says what is wrong.
*/
LMOPT_API int lmopt_timeout(lmopt_runtime *rt);

/*
** Asks a step that is waiting, and whatever runs, to stop soon: Lua code that
** a task is running gets an error of kind "interrupted" (in a script's own
** functions; lmopt's finish what they do). Async-signal safe, and callable
** from any thread while the runtime is open; from another thread, Lua code
** that never waits is stopped only if Lua's lua_sethook may be called there.
*/
LMOPT_API void lmopt_interrupt(lmopt_runtime *rt);

/*
** --- 5. Ask and tell -----------------------------------------------------
**
** A study asks what to try next and is told how it went; the program in
** between is the host's. No Lua is involved: a program that calls nothing of
** part 3 links without liblua.
**
**   lmopt_study_config config;
**   lmopt_study_config_init(&config);
**   config.name = "jump";
**   config.storage = "jump.db";
**   config.load_if_exists = 1;
**   config.trials = 100;                           (in total: run again to do the rest)
**   config.seed = 1;
**   lmopt_study *study;
**   lmopt_trial *trial;
**   lmopt_status status = lmopt_study_open(rt, &config, &study);
**   while (status == LMOPT_OK && (status = lmopt_study_ask(study, &trial)) == LMOPT_OK) {
**     double force, gravity, value;
**     lmopt_trial_float(trial, "force", 1, 50, 0, 0, &force);
**     lmopt_trial_float(trial, "gravity", 1, 20, 0.5, 0, &gravity);
**     value = error_of_jump(force, gravity);
**     status = lmopt_study_tell(study, trial, LMOPT_COMPLETE, &value, 1);
**   }
**   if (status != LMOPT_LIMIT) puts(lmopt_errmsg(rt));
**   if (lmopt_study_best(study, &trial) == LMOPT_OK) ... (the same lmopt_trial_float calls read it)
**   lmopt_study_close(study);
**
** The rules are those of the Lua API, and so are the results: the same seed
** and the same values give the same study from C, from Lua and from
** `lmopt run`, and a file that one of them began any other may go on with
** (Optuna too).
**
** Handles: a study is the host's from lmopt_study_open until
** lmopt_study_close, which has to be called once for each, before or after
** lmopt_close. Once the runtime is closed its studies are closed too: every
** call on them and on their trials then answers LMOPT_MISUSE and does nothing
** (lmopt_errmsg can't be asked any more), but lmopt_study_close is still owed.
** A trial belongs to its study: its handle is good until lmopt_study_close,
** told or not, and a trial has one handle only. After lmopt_study_close
** neither may be used. A NULL study or trial gives LMOPT_MISUSE.
**
** Blocking: in memory nothing waits. With a file, open, ask, tell, release,
** enqueue and close wait for the disk and the lock; so does report, twice a
** second at most; best, trial and summarize wait for the disk when another process
** has written. The rest reads and writes memory.
**
** Failing: a call that fails has changed nothing, and may be made again, after
** LMOPT_NO_MEMORY and LMOPT_STORAGE too. Where "any" is said, the statuses are
** LMOPT_MISUSE, LMOPT_NO_MEMORY, and for a file LMOPT_STORAGE (it can't be read
** or written: the disk, the rights) and LMOPT_BUSY (locked for a minute).
*/

typedef struct lmopt_study lmopt_study;
typedef struct lmopt_trial lmopt_trial;

typedef enum lmopt_direction { LMOPT_MINIMIZE, LMOPT_MAXIMIZE } lmopt_direction;

/* When results count: by trial number (the same seed, the same study), or as soon as they arrive. */
typedef enum lmopt_order { LMOPT_ORDER_DEFAULT, LMOPT_ORDER_NUMBER, LMOPT_ORDER_ARRIVAL } lmopt_order;

typedef enum lmopt_state {
  LMOPT_RUNNING,
  LMOPT_COMPLETE,
  LMOPT_PRUNED,
  LMOPT_FAIL,
  LMOPT_WAITING /* enqueued, or interrupted: it is asked for next, under its number */
} lmopt_state;

/*
** Which study to open, and how. Zero the struct (lmopt_study_config_init) and
** set what matters; a zero field means its default. Everything is copied.
*/
typedef struct lmopt_study_config {
  const char *name;    /* default: one is made up from a fresh seed */
  const char *storage; /* a path, or "sqlite:///path"; default: in memory */

  const lmopt_direction *directions; /* default: minimize one value, or those of the study that exists */
  size_t direction_count;            /* at most 64; 0: the default */

  unsigned long long seed; /* below 2^53; default: that of the study that exists, else drawn */
  long long lag;           /* trial k knows the results of trials up to k - lag: as many may run side by side.
                              Default: that of the study that exists, else 1 */
  lmopt_order order;       /* default: that of the study that exists, else LMOPT_ORDER_NUMBER */
  const char *sampler;     /* "auto", "brute_force", "cmaes" (one direction), "gp", "nsga2", "nsga3" (with directions),
                              "qmc", "random" or "tpe"; default: "auto", without "gp" when
                              the runtime's never_block is set. Not stored */
  const char *pruner; /* "hyperband", "median", "none", "successive_halving" or "wilcoxon"; default: "median" for one
                              direction. Not stored */
  long long trials;   /* how many the study gets in all, those that are there included; default: no limit */

  int load_if_exists; /* 1: go on with the study of that name, if there is one */
  int must_exist;     /* 1: never make one */
  int read_only;      /* 1: look only (must_exist, and no byte of the file changes) */
} lmopt_study_config;

/* Every field its default. NULL is a no-op. */
LMOPT_API void lmopt_study_config_init(lmopt_study_config *config);

/*
** Opens a study. `config` may be NULL: one in memory, minimizing one value.
** Trials in the file whose owner is dead go back to waiting.
** Statuses: any; LMOPT_EXISTS (load_if_exists is not set); LMOPT_NOT_FOUND
** (must_exist, and there is no such study or file); LMOPT_MISUSE also when
** directions, seed, lag or order are given and differ from the study's.
*/
LMOPT_API lmopt_status lmopt_study_open(lmopt_runtime *rt, const lmopt_study_config *config, lmopt_study **out);

/*
** Closes a study and frees its handles. Trials that are running here go back
** to waiting: whoever opens the study next is asked to run them, with the same
** parameters. NULL is a no-op.
*/
LMOPT_API void lmopt_study_close(lmopt_study *study);

/*
** Begins a trial: the waiting one with the lowest number, else a new one.
** Several may run at a time; tell them in any order. With up to `lag` of them
** the study is the same whatever their order.
** Statuses: any; LMOPT_LIMIT (config.trials are finished or running);
** LMOPT_EXHAUSTED (brute_force has tried everything); LMOPT_BUSY (brute_force
** can't say before the running trials are told).
*/
LMOPT_API lmopt_status lmopt_study_ask(lmopt_study *study, lmopt_trial **out);

/*
** What a running trial is to use for the parameter `name` (copied; not empty).
** The same name twice gives the same value. Of a trial that is not running they
** read what is stored, so that one function of the host's both asks for the
** parameters and applies the best ones; bounds, step and log then mean nothing.
**
** float: from low to high, both included. step 0: any value, else low + k * step.
** int: the same in whole numbers; step 0 means 1. log 1: even in the logarithm,
** which needs a positive low and no step.
** choice: one of `count` texts, which must be the same in every trial; *index
** is its place, 0 the first. UTF-8.
**
** Statuses: LMOPT_OK; LMOPT_MISUSE (the range makes no sense, the name was of
** another kind, other choices or another log before); LMOPT_NOT_FOUND (a trial
** that is not running has no such parameter); LMOPT_NO_MEMORY.
*/
LMOPT_API lmopt_status lmopt_trial_float(lmopt_trial *trial, const char *name, double low, double high, double step,
                                         int log, double *value);
LMOPT_API lmopt_status lmopt_trial_int(lmopt_trial *trial, const char *name, long long low, long long high,
                                       long long step, int log, long long *value);
LMOPT_API lmopt_status lmopt_trial_choice(lmopt_trial *trial, const char *name, const char *const *choices,
                                          size_t count, size_t *index);

/*
** Reports how a running trial does at `step` (0 or more); the first report of a
** step stands. For one direction only. Statuses: any.
*/
LMOPT_API lmopt_status lmopt_trial_report(lmopt_trial *trial, long long step, double value);
/* The same with one value per direction: `count` of them. */
LMOPT_API lmopt_status lmopt_trial_report_values(lmopt_trial *trial, long long step, const double *values,
                                                 size_t count);

/*
** *prune is 1 when the study's pruner says that the trial should end: tell it
** as LMOPT_PRUNED then. Statuses: LMOPT_OK, LMOPT_MISUSE (it is not running).
*/
LMOPT_API lmopt_status lmopt_trial_should_prune(lmopt_trial *trial, int *prune);

/*
** Sets a constraint of a running trial: it is feasible when value <= 0. Samplers
** prefer feasible trials, and only these can be the best.
** Statuses: LMOPT_OK, LMOPT_MISUSE (not a number, or not running), LMOPT_NO_MEMORY.
*/
LMOPT_API lmopt_status lmopt_trial_set_constraint(lmopt_trial *trial, const char *name, double value);

/*
** Attaches a text (UTF-8) to a running trial: an attribute that Optuna and the
** command line show. Statuses: LMOPT_OK, LMOPT_MISUSE, LMOPT_NO_MEMORY.
*/
LMOPT_API lmopt_status lmopt_trial_set_user_attr(lmopt_trial *trial, const char *key, const char *text);

/*
** *json is the attribute as JSON text ("\"a text\""), valid until the next call
** on the study or its trials. Statuses: LMOPT_OK, LMOPT_NOT_FOUND, LMOPT_MISUSE.
*/
LMOPT_API lmopt_status lmopt_trial_user_attr(lmopt_trial *trial, const char *key, const char **json);

/*
** Ends a running trial. LMOPT_COMPLETE takes one value per direction, none of
** them NaN. LMOPT_PRUNED takes as many or none (values NULL, count 0): the last
** report stands for the value then. LMOPT_FAIL takes none. `values` is copied.
** Statuses: any; LMOPT_MISUSE (the trial is not running here, or the values
** don't fit: it goes on running).
*/
LMOPT_API lmopt_status lmopt_study_tell(lmopt_study *study, lmopt_trial *trial, lmopt_state state, const double *values,
                                        size_t count);

/* Puts a running trial back to waiting; its reports are forgotten. Statuses: any. */
LMOPT_API lmopt_status lmopt_study_release(lmopt_study *study, lmopt_trial *trial);

/* A known value of a parameter: `number`, or `text` for a choice. */
typedef struct lmopt_param {
  const char *name;
  const char *text; /* NULL: it is a number */
  double number;
} lmopt_param;

/*
** Adds a waiting trial with these parameters (what is missing is sampled):
** the values the program has shipped with so far, say. `params` is copied;
** *number is the trial's number, and `number` may be NULL. Statuses: any.
*/
LMOPT_API lmopt_status lmopt_study_enqueue(lmopt_study *study, const lmopt_param *params, size_t count,
                                           long long *number);

/*
** The complete trial with the best value, of equal ones the first; one
** that violates a constraint is none. For one direction. Statuses: any;
** LMOPT_NOT_FOUND (no trial is complete and feasible yet).
*/
LMOPT_API lmopt_status lmopt_study_best(lmopt_study *study, lmopt_trial **out);

/*
** The trials that no other beats in every direction, in the order of their
** numbers: fills at most `capacity` of `out`; *count is how many there are.
** `out` may be NULL when capacity is 0. Statuses: any.
*/
LMOPT_API lmopt_status lmopt_study_front(lmopt_study *study, lmopt_trial **out, size_t capacity, size_t *count);

/* The trial of that number, 0 the first. Statuses: any; LMOPT_NOT_FOUND. */
LMOPT_API lmopt_status lmopt_study_trial(lmopt_study *study, long long number, lmopt_trial **out);

/* Its number; -1 for NULL. */
LMOPT_API long long lmopt_trial_number(const lmopt_trial *trial);

/*
** Its state and its values as last read from the file (every ask, tell, best,
** trial and summarize does): fills at most `capacity` of `values`; *count is how
** many there are, one per direction or 0 (failed, pruned without a report, or
** not finished). `values` may be NULL when capacity is 0.
** Statuses: LMOPT_OK, LMOPT_MISUSE.
*/
LMOPT_API lmopt_status lmopt_trial_state(const lmopt_trial *trial, lmopt_state *state);
LMOPT_API lmopt_status lmopt_trial_values(const lmopt_trial *trial, double *values, size_t capacity, size_t *count);

/* What there is to know about a study. */
typedef struct lmopt_study_summary {
  const char *name; /* valid until lmopt_study_close */
  unsigned long long seed;
  long long lag; /* 0: not fixed yet */
  size_t directions;
  size_t trials; /* all of them: the sum of the following */
  size_t running, complete, pruned, failed, waiting;
} lmopt_study_summary;

/* Fills `out`. Statuses: any. */
LMOPT_API lmopt_status lmopt_study_summarize(lmopt_study *study, lmopt_study_summary *out);

#ifdef __cplusplus
}
#endif

#endif
