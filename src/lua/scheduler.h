/*
** The scheduler of one Lua state: its tasks, who is ready, who waits.
**
** A task is a userdata around a coroutine. While it is not finished it is
** anchored in a table, so that C pointers to it are good; everything else
** about it is C, so that ten thousand sleepers cost little more than their
** coroutines. Order is always that of the ready queue: first in, first out.
*/
#ifndef LM_SCHEDULER_H
#define LM_SCHEDULER_H

#include "lua/binding.h"

/* What a task yields when it waits: the address of this, as light userdata. */
extern const char lm_sentinel;

typedef enum lm_task_state {
  LM_TASK_READY,   /* in the ready queue */
  LM_TASK_RUNNING, /* on the C stack: running, or waiting in place */
  LM_TASK_WAITING, /* parked for an operation, a task, or unpark */
  LM_TASK_DONE,
  LM_TASK_FAILED,
  LM_TASK_CANCELLED
} lm_task_state;

typedef enum lm_wait { LM_WAIT_NONE, LM_WAIT_OPERATION, LM_WAIT_TASK, LM_WAIT_UNPARK } lm_wait;

/* User values of a task. */
enum {
  LM_TASK_COROUTINE = 1,
  LM_TASK_CONTEXT,
  LM_TASK_VALUE,  /* its fate while it lives; its error, or its only result, afterwards */
  LM_TASK_TARGET, /* the task it waits for */
  LM_TASK_VALUES = LM_TASK_TARGET
};

typedef struct lm_scheduler lm_scheduler;
typedef struct lm_task lm_task;

typedef struct lm_queue {
  lm_task *first, *last;
} lm_queue;

struct lm_task {
  lm_scheduler *scheduler;
  lua_State *co; /* NULL once finished, unless it holds several results */
  lm_task *parent, *first_child, *last_child, *older, *younger; /* the tree: siblings from old to young */
  lm_queue *queue;          /* the ready queue or a task's awaiters; NULL: in none */
  lm_task *previous, *next; /* in that queue */
  lm_queue awaiters;
  lm_task *target;  /* LM_WAIT_TASK */
  lm_operation *op; /* LM_WAIT_OPERATION */
  char *report;     /* failed, and nobody has looked: what to log. Owned */
  int anchor;       /* its reference in the table of anchors; LUA_NOREF: none */
  int values;       /* arguments on its stack for the next resume; results on it once done */
  unsigned char state, wait;
  bool started, doomed, cancelled, observed;
  bool posted; /* unpark came while it waits in place */
};

struct lm_scheduler {
  lmopt_runtime *rt; /* NULL once finalized */
  lua_State *main;
  lua_State *store; /* a thread whose stack holds what LM_STORE_* name; nothing is ever called on it */
  lua_State *work;  /* a thread for protected calls */
  lm_task *current;
  lm_queue ready;
  size_t left;    /* tasks not finished */
  unsigned depth; /* loops inside each other */
  const char *stack_base;
  int hooks;  /* places used in the list of LM_STORE_HOOKS */
  int spares; /* in the list of LM_STORE_SPARES */
  bool told_in_place;
  const char *sealed; /* what runs now may not wait at all, and why; a static text or NULL */
};

/* Fixed places on the stack of the store, where reading them can't fail. */
enum {
  LM_STORE_ANCHORS = 1,
  LM_STORE_CANCELLED, /* the error value of cancelled tasks */
  LM_STORE_CARRIERS,  /* wrapped coroutine -> the coroutine that resumes it; weak keys */
  LM_STORE_CONTEXT,   /* the root context */
  LM_STORE_HOOKS,     /* functions to call when interrupted: a list, with holes where one was removed */
  LM_STORE_SPARES,    /* coroutines that have ended well, for the next tasks: a list, with false in free places */
  LM_STORE_METATABLE  /* of tasks */
};

enum { LM_MOST_SPARES = 1024 };

/* --- coroutine.c --- */

lua_State *lm_coroutine_push(lua_State *L, lm_scheduler *s); /* one for a task; may raise [-0, +1] */
/* Keeps one whose task has ended, if it can be used again; the task still has it. Raises nothing. */
void lm_coroutine_keep(lm_scheduler *s, lua_State *co);

/* --- scheduler.c --- */

void lm_scheduler_open(lua_State *L);        /* once per state, after the runtime and lmopt.error [-0, +0] */
lm_scheduler *lm_scheduler_of(lua_State *L); /* raises when there is none [-0, +0] */
void lm_store_push(lm_scheduler *s, lua_State *L, int place); /* [-0, +1] */

lm_task *lm_check_task(lua_State *L, int index);
bool lm_task_finished(const lm_task *t);
/* Pushes the userdata of a task that is not finished. [-0, +1] */
void lm_task_push(lm_scheduler *s, lua_State *L, const lm_task *t);
/* Makes a task of the function and its `arguments` on top of L, with the context below them. [-(2 + arguments), +1] */
void lm_task_new(lua_State *L, lm_scheduler *s, int arguments);

void lm_queue_add(lm_queue *q, lm_task *t);
void lm_queue_remove(lm_task *t);
void lm_task_make_ready(lm_task *t);
/* Gives a task (and, as cancelled, its descendants) the fate on top of L's stack; false: it had one, or is finished. [-0, +0] */
bool lm_task_doom(lm_scheduler *s, lm_task *t, lua_State *L, bool cancelled);
void lm_task_cancel_children(lm_scheduler *s, lm_task *t);
/* The child of `root` after `t` (NULL: the first) that is not finished; those of finished children count. NULL: no more. */
lm_task *lm_task_next_child(lm_task *root, lm_task *t);

void lm_scheduler_resume_next(lm_scheduler *s); /* the first of the ready queue */
/* Takes the interrupt and calls the functions that wanted to know; false: there are none. */
bool lm_scheduler_tell_interrupt(lm_scheduler *s);

/* --- wait.c --- */

/* What a wait gives the task that waited. Raises; `t` keeps owning the operation. Returns how many values. */
int lm_wait_push_results(lua_State *L, lm_task *t);
void lm_wait_forget(lm_task *t); /* leaves what it waits for */
/*
** Whether a yield from L gets to the scheduler: L is the running task's
** coroutine, or was resumed from there through lmopt.wrap alone, and no C
** function is in between. Raises for want of memory alone.
*/
bool lm_wait_can_yield(lm_scheduler *s, lua_State *L);

int lm_wait_task(lua_State *L);   /* primitive: task */
int lm_wait_park(lua_State *L);   /* primitive */
int lm_wait_unpark(lua_State *L); /* primitive: task, values... */

#endif
