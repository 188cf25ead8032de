/*
** Waiting. A primitive that is called straight in a task tail-yields the
** sentinel, and whoever resumes the task pushes the results (no continuation
** functions). Where that is impossible it waits in place: by pumping I/O alone
** for an operation inside a task, by running a loop inside the loop otherwise.
*/
#include <stdio.h>

#include "base/clock.h"
#include "lua/scheduler.h"

enum {
  DEEPEST = 150,             /* loops inside each other */
  STACK_LIMIT = 1024 * 1024, /* bytes of C stack for them, of the 8 MiB (threads: 2) that hosts usually have */
  PUMP_EVERY = 64            /* resumes between two looks at the network */
};

/* --- results --- */

/* Pushes `true, values...` or `false, error` of a finished task at `index`. */
static int push_results(lua_State *L, int index) {
  lm_task *t = lm_check_task(L, index);
  index = lua_absindex(L, index);
  bool well = t->state == LM_TASK_DONE;
  luaL_checkstack(L, t->values + 2, "too many results");
  lua_pushboolean(L, well);
  if (well && t->values == 0) return 1;
  if (!well || t->values == 1) {
    lua_getiuservalue(L, index, LM_TASK_VALUE);
    return 2;
  }
  if (!lua_checkstack(t->co, t->values)) luaL_error(L, "too many results");
  for (int i = 0; i < t->values; i++) lua_pushvalue(t->co, -t->values);
  lua_xmove(t->co, L, t->values);
  return t->values + 1;
}

int lm_push_operation_failure(lua_State *L, const lm_operation *op) {
  lm_error e;
  if (op->reply)
    e = op->reply->error;
  else
    lm_fail(&e, op->status, "%s", lmopt_strstatus(op->status));
  lm_push_failure(L, &e);
  if (op->reply && op->reply->reason) {
    lua_pushstring(L, op->reply->reason);
    lua_setfield(L, -2, "reason");
  }
  return 2;
}

/* true, or false and why, of a finished operation. */
static int push_operation(lua_State *L, const lm_operation *op) {
  if (op->status != LMOPT_OK) return lm_push_operation_failure(L, op);
  lua_pushboolean(L, 1);
  if (op->kind == LM_OPERATION_TIMER) return 1;
  lm_http_push_reply(L, op->reply);
  return 2;
}

int lm_wait_push_results(lua_State *L, lm_task *t) {
  luaL_checkstack(L, 10, NULL);
  if (t->wait == LM_WAIT_OPERATION) return t->op->streams ? lm_http_push_piece(L, t->op) : push_operation(L, t->op);
  lm_task_push(t->scheduler, L, t);
  lua_getiuservalue(L, -1, LM_TASK_TARGET);
  return push_results(L, -1);
}

void lm_wait_forget(lm_task *t) {
  if (t->op && t->op->streams) { /* its owner's */
    t->op->waiter = NULL;
    t->op->done = NULL;
  } else {
    lm_runtime_drop(t->op);
  }
  t->op = NULL;
  if (t->target) {
    if (t->queue == &t->target->awaiters) lm_queue_remove(t);
    t->target = NULL;
  }
}

/* --- where are we? --- */

bool lm_wait_can_yield(lm_scheduler *s, lua_State *L) {
  lm_task *t = s->current;
  lua_State *co = L;
  if (!t || t->wait != LM_WAIT_NONE) return false;
  luaL_checkstack(L, 4, NULL);
  while (co && lua_isyieldable(co)) {
    if (co == t->co) return true;
    lm_store_push(s, L, LM_STORE_CARRIERS);
    luaL_checkstack(co, 1, NULL);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_rawget(L, -2);
    co = lua_tothread(L, -1);
    lua_pop(L, 2);
  }
  return false;
}

static const char *why_not(const lm_scheduler *s, const lua_State *L) {
  if (!s->current) return "outside a task; use lmopt.spawn";
  if (L != s->current->co) return "inside a coroutine that is not lmopt's; use lmopt.wrap";
  return "inside a function that can't yield, such as a comparator of table.sort";
}

/* Pushes false and an error table whose message ends in the place; returns 2. */
static int fail_at_place(lua_State *L, const char *kind, const char *message) {
  lm_push_place(L);
  lua_pushfstring(L, "%s (at %s)", message, lua_tostring(L, -1));
  lua_pushboolean(L, 0);
  lm_push_error(L, kind, lua_tostring(L, -2), 0);
  return 2;
}

/* Before waiting in place. 0: it is allowed; else the number of values pushed to return. */
static int refuse_in_place(lua_State *L, lm_scheduler *s) {
  if (s->sealed) return fail_at_place(L, "would_block", s->sealed);
  if (lm_runtime_never_block(s->rt)) {
    char message[200];
    snprintf(message, sizeof message, "can't wait here: %s", why_not(s, L));
    return fail_at_place(L, "would_block", message);
  }
  if (s->current && !s->told_in_place) {
    s->told_in_place = true;
    const char *place = lm_push_place(L);
    char message[400];
    snprintf(message, sizeof message, "%s waits in place: %s", place, why_not(s, L));
    lm_runtime_log(s->rt, LMOPT_LOG_DEBUG, message);
    lua_pop(L, 1);
  }
  return 0;
}

/* Pushes false and the fate of the running task, and returns 2; or returns 0. */
static int push_fate(lua_State *L, lm_scheduler *s) {
  lm_task *t = s->current;
  if (!t || !t->doomed) return 0;
  luaL_checkstack(L, 4, NULL);
  lua_pushboolean(L, 0);
  lm_task_push(s, L, t);
  lua_getiuservalue(L, -1, LM_TASK_VALUE);
  lua_remove(L, -2);
  return 2;
}

/* --- loops --- */

typedef enum loop_end { LOOP_DONE, LOOP_DOOMED, LOOP_INTERRUPTED, LOOP_CLOSED, LOOP_DEADLOCK, LOOP_DEEP } loop_end;

typedef bool (*done_fn)(const void *what);

static bool operation_finished(const void *what) {
  const lm_operation *op = what;
  return op->finished;
}

static bool piece_arrived(const void *what) {
  const lm_operation *op = what;
  return op->finished || lm_runtime_received(op).size > 0;
}

static bool task_finished(const void *what) { return lm_task_finished(what); }

static bool post_arrived(const void *what) {
  const lm_task *t = what;
  return t->posted;
}

/* Resumes other tasks until `done`. Raises nothing. */
static loop_end run_until(lm_scheduler *s, bool outermost, done_fn done, const void *what) {
  lmopt_runtime *rt = s->rt;
  lm_task *t = s->current;
  unsigned resumed = 0;
  for (;;) {
    /* Before anything else, so that no interrupt outlives the wait. Who wants to end in good order may, as the loop goes on. */
    if (lm_runtime_interrupted(rt) && !(outermost && lm_scheduler_tell_interrupt(s))) return LOOP_INTERRUPTED;
    if (done(what)) return LOOP_DONE;
    if (lm_runtime_closed(rt)) return LOOP_CLOSED;
    if (t && t->doomed) return LOOP_DOOMED;
    if (s->ready.first) {
      lm_scheduler_resume_next(s);
      if (++resumed % PUMP_EVERY == 0 || !s->ready.first) lm_runtime_pump(rt, 0);
    } else if (lm_runtime_idle(rt)) {
      return LOOP_DEADLOCK;
    } else {
      lm_runtime_pump(rt, -1);
    }
  }
}

/*
** Resumes the tasks that are ready now: what the world finished for a caller
** outside tasks takes its turn behind them, as it would for a task.
*/
static void run_ready(lm_scheduler *s) {
  const lm_task *last = s->ready.last, *t = NULL;
  while (t != last && s->ready.first && !lm_runtime_closed(s->rt) && !lm_runtime_interrupted(s->rt)) {
    t = s->ready.first;
    lm_scheduler_resume_next(s);
  }
}

/* Moves I/O on until `done`; other tasks stay where they are. */
static loop_end pump_until(lm_scheduler *s, done_fn done, const void *what) {
  while (!done(what)) {
    if (lm_runtime_closed(s->rt)) return LOOP_CLOSED;
    if (lm_runtime_interrupted(s->rt)) return LOOP_INTERRUPTED;
    lm_runtime_pump(s->rt, -1);
  }
  return LOOP_DONE;
}

static bool too_deep(lm_scheduler *s) {
  const char *here = __builtin_frame_address(0);
  if (s->depth == 0) s->stack_base = here;
  ptrdiff_t used = s->stack_base > here ? s->stack_base - here : here - s->stack_base;
  return s->depth >= DEEPEST || used > STACK_LIMIT;
}

/* Waits in place until `done`. */
static loop_end wait_in_place(lm_scheduler *s, bool only_io, done_fn done, const void *what) {
  if (too_deep(s)) return LOOP_DEEP;
  lmopt_runtime *rt = s->rt;
  bool outermost = lm_runtime_enter(rt);
  s->depth++;
  loop_end end = only_io ? pump_until(s, done, what) : run_until(s, outermost, done, what);
  if (!only_io && end == LOOP_DONE && (done == operation_finished || done == piece_arrived)) run_ready(s);
  s->depth--;
  lm_runtime_leave(rt, outermost);
  if (outermost && end == LOOP_INTERRUPTED) lm_runtime_take_interrupt(rt);
  return end;
}

/* false and an error for a loop that ended before what was waited for. */
static int push_loop_end(lua_State *L, lm_scheduler *s, loop_end end) {
  switch (end) {
    case LOOP_DOOMED: return push_fate(L, s);
    case LOOP_INTERRUPTED: return fail_at_place(L, "interrupted", "interrupted");
    case LOOP_CLOSED: return fail_at_place(L, "closed", "the runtime was closed");
    case LOOP_DEADLOCK: {
      char message[200];
      snprintf(message, sizeof message,
               "would wait for ever (deadlock): nothing is in flight and no task is ready; %zu wait", s->left);
      return fail_at_place(L, "deadlock", message);
    }
    default: return fail_at_place(L, "limit", "too many waits inside each other");
  }
}

/* --- operations --- */

static void operation_done(lm_operation *op) {
  lm_task *t = op->waiter;
  if (t && t->state == LM_TASK_WAITING) lm_task_make_ready(t);
}

static int drop_boxed(lua_State *L) {
  lm_operation **box = lua_touserdata(L, 1);
  lm_runtime_drop(*box);
  *box = NULL;
  return 0;
}

static lm_operation **push_box(lua_State *L) {
  lm_operation **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  if (luaL_newmetatable(L, "lmopt.operation")) {
    lua_pushcfunction(L, drop_boxed);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return box;
}

static int await_in_place(lua_State *L, lm_scheduler *s, lm_submit_fn submit, const void *request) {
  int refused = refuse_in_place(L, s);
  if (refused) return refused;
  lm_error e;
  lm_operation **box = push_box(L);
  *box = submit(s->rt, request, &e);
  if (!*box) return lm_push_failure(L, &e);
  loop_end end = wait_in_place(s, s->current != NULL, operation_finished, *box);
  int results = end == LOOP_DONE || end == LOOP_CLOSED ? push_operation(L, *box) : push_loop_end(L, s, end);
  lm_runtime_drop(*box);
  *box = NULL;
  return results;
}

static int yield(lua_State *L, lm_task *t, lm_wait wait) {
  t->wait = (unsigned char)wait;
  t->state = LM_TASK_WAITING;
  lua_pushlightuserdata(L, (void *)&lm_sentinel);
  return lua_yield(L, 1);
}

/*
** Waits for nothing but its next turn: a reader whose bytes keep coming would
** never let a step end within its budget.
*/
static int yield_turn(lua_State *L, lm_task *t) {
  t->wait = LM_WAIT_OPERATION;
  lm_task_make_ready(t);
  lua_pushlightuserdata(L, (void *)&lm_sentinel);
  return lua_yield(L, 1);
}

int lm_await(lua_State *L, lm_submit_fn submit, const void *request) {
  lm_scheduler *s = lm_scheduler_of(L);
  luaL_checkstack(L, 10, NULL);
  int ended = push_fate(L, s);
  if (ended) return ended;
  if (!lm_wait_can_yield(s, L)) return await_in_place(L, s, submit, request);
  lm_error e;
  lm_task *t = s->current;
  t->op = submit(s->rt, request, &e);
  if (!t->op) return lm_push_failure(L, &e);
  t->op->waiter = t;
  t->op->done = operation_done;
  return yield(L, t, LM_WAIT_OPERATION);
}

int lm_await_piece(lua_State *L, lm_operation *op) {
  lm_scheduler *s = lm_scheduler_of(L);
  lm_task *t = s->current;
  luaL_checkstack(L, 10, NULL);
  if (op->waiter) return lm_misuse(L, "another task waits for a piece of this reply");
  int ended = op->finished ? 0 : push_fate(L, s); /* what is complete is given to a task that is to end, too */
  if (ended) return ended;
  bool arrived = piece_arrived(op);
  if (lm_wait_can_yield(s, L)) {
    t->op = op;
    op->waiter = t;
    op->done = operation_done;
    return arrived ? yield_turn(L, t) : yield(L, t, LM_WAIT_OPERATION);
  }
  if (arrived) return lm_http_push_piece(L, op);
  int refused = refuse_in_place(L, s);
  if (refused) return refused;
  op->waiter = op; /* so that nobody frees it meanwhile */
  loop_end end = wait_in_place(s, t != NULL, piece_arrived, op);
  op->waiter = NULL;
  return end == LOOP_DONE || end == LOOP_CLOSED ? lm_http_push_piece(L, op) : push_loop_end(L, s, end);
}

bool lm_release_stream(lm_operation *op, bool collected) {
  lm_task *t = op->waiter && op->waiter != op ? op->waiter : NULL;
  if (collected && t) lm_wait_forget(t); /* which is being collected with it */
  if (collected || !op->waiter) {
    lm_runtime_drop(op);
    return true;
  }
  lm_runtime_cancel(op);
  if (op->done) op->done(op);
  return false;
}

/* --- other tasks --- */

int lm_wait_task(lua_State *L) {
  lm_task *target = lm_check_task(L, 1);
  lm_scheduler *s = lm_scheduler_of(L);
  lm_task *t = s->current;
  luaL_checkstack(L, 10, NULL);
  int ended = push_fate(L, s);
  if (ended) return ended;
  target->observed = true;
  if (lm_task_finished(target)) return push_results(L, 1);
  if (target == t) return fail_at_place(L, "deadlock", "would wait for ever (deadlock): a task awaits itself");
  if (lm_wait_can_yield(s, L)) {
    lm_task_push(s, L, t);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, LM_TASK_TARGET);
    t->target = target;
    lm_queue_add(&target->awaiters, t);
    return yield(L, t, LM_WAIT_TASK);
  }
  int refused = refuse_in_place(L, s);
  if (refused) return refused;
  loop_end end = wait_in_place(s, false, task_finished, target);
  return end == LOOP_DONE ? push_results(L, 1) : push_loop_end(L, s, end);
}

/* --- park and unpark --- */

/* Pushes true and the values that lm_wait_unpark kept in the registry. */
static int take_post(lua_State *L, lm_task *t) {
  t->posted = false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, t);
  int list = lua_gettop(L);
  lua_getfield(L, list, "n");
  int values = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, values + 2, "too many values");
  lua_pushboolean(L, 1);
  for (int i = 1; i <= values; i++) lua_rawgeti(L, list, i);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, t);
  return values + 1;
}

int lm_wait_park(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  lm_task *t = s->current;
  if (!t) return lm_misuse(L, "park outside a task: nobody could unpark it");
  luaL_checkstack(L, 10, NULL);
  int ended = push_fate(L, s);
  if (ended) return ended;
  if (lm_wait_can_yield(s, L)) return yield(L, t, LM_WAIT_UNPARK);
  int refused = refuse_in_place(L, s);
  if (refused) return refused;
  lm_wait outer = t->wait;
  t->wait = LM_WAIT_UNPARK;
  loop_end end = wait_in_place(s, false, post_arrived, t);
  t->wait = (unsigned char)outer;
  return end == LOOP_DONE ? take_post(L, t) : push_loop_end(L, s, end);
}

int lm_wait_unpark(lua_State *L) {
  lm_task *t = lm_check_task(L, 1);
  int values = lua_gettop(L) - 1;
  bool parked = t->wait == LM_WAIT_UNPARK && !t->doomed && !t->posted;
  if (parked && t->state == LM_TASK_WAITING) {
    if (!lua_checkstack(t->co, values + 1)) return luaL_error(L, "too many values");
    lua_pushboolean(t->co, 1);
    lua_xmove(L, t->co, values);
    t->values = values + 1;
    lm_task_make_ready(t);
  } else if (parked && t->state == LM_TASK_RUNNING) {
    lua_createtable(L, values, 1);
    lua_replace(L, 1); /* the caller still holds the task: it is running */
    for (int i = values; i >= 1; i--) lua_rawseti(L, 1, i);
    lua_pushinteger(L, values);
    lua_setfield(L, 1, "n");
    lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t);
    t->posted = true;
  } else {
    parked = false;
  }
  lua_pushboolean(L, parked);
  return 1;
}
