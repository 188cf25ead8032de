/*
** The scheduler: the tree of tasks, the ready queue, resuming and finishing,
** and the driver through which the runtime's step runs it.
**
** What runs here outside a protected call (everything from
** lm_scheduler_resume_next down) uses only Lua calls that can't raise; what
** can raise is wrapped in lua_pcall on the working thread.
*/
#include "lua/scheduler.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

const char lm_sentinel = 0;

static const char scheduler_key[] = "lmopt.scheduler";
static const char task_type[] = "lmopt.task";

/* --- small things --- */

lm_scheduler *lm_scheduler_of(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, scheduler_key) != LUA_TUSERDATA)
    luaL_error(L, "lmopt is not open in this state");
  lm_scheduler *s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (!s->rt) luaL_error(L, "this Lua state is being closed");
  return s;
}

void lm_store_push(lm_scheduler *s, lua_State *L, int place) {
  lua_pushvalue(s->store, place);
  lua_xmove(s->store, L, 1);
}

lm_task *lm_check_task(lua_State *L, int index) { return luaL_checkudata(L, index, task_type); }

bool lm_task_finished(const lm_task *t) { return t->state >= LM_TASK_DONE; }

void lm_task_push(lm_scheduler *s, lua_State *L, const lm_task *t) {
  lua_rawgeti(s->store, LM_STORE_ANCHORS, t->anchor);
  lua_xmove(s->store, L, 1);
}

void lm_queue_add(lm_queue *q, lm_task *t) {
  t->queue = q;
  t->next = NULL;
  t->previous = q->last;
  if (q->last)
    q->last->next = t;
  else
    q->first = t;
  q->last = t;
}

void lm_queue_remove(lm_task *t) {
  lm_queue *q = t->queue;
  if (!q) return;
  if (t->previous)
    t->previous->next = t->next;
  else
    q->first = t->next;
  if (t->next)
    t->next->previous = t->previous;
  else
    q->last = t->previous;
  t->queue = NULL;
  t->previous = t->next = NULL;
}

void lm_task_make_ready(lm_task *t) {
  t->state = LM_TASK_READY;
  lm_queue_add(&t->scheduler->ready, t);
}

/* --- the tree --- */

static void link_child(lm_task *parent, lm_task *t) {
  t->parent = parent;
  t->older = t->younger = NULL;
  if (!parent) return;
  t->older = parent->last_child;
  if (t->older)
    t->older->younger = t;
  else
    parent->first_child = t;
  parent->last_child = t;
}

static void unlink_child(lm_task *t) {
  if (t->older)
    t->older->younger = t->younger;
  else if (t->parent)
    t->parent->first_child = t->younger;
  if (t->younger)
    t->younger->older = t->older;
  else if (t->parent)
    t->parent->last_child = t->older;
  t->parent = t->older = t->younger = NULL;
}

/*
** A finished task stays in the tree while it has children, so that they can
** still be cancelled through it. When it is collected they take its place
** among its siblings: the order of the tree never depends on the collector.
*/
static void leave_tree(lm_task *t) {
  lm_task *parent = t->parent, *first = t->first_child, *last = t->last_child, *next;
  for (lm_task *child = first; child; child = next) {
    next = child->younger;
    child->parent = parent;
    if (!parent) child->older = child->younger = NULL; /* a root has no siblings */
  }
  t->first_child = t->last_child = NULL;
  if (parent && first) {
    first->older = t->older;
    last->younger = t->younger;
    *(t->older ? &t->older->younger : &parent->first_child) = first;
    *(t->younger ? &t->younger->older : &parent->last_child) = last;
    t->parent = t->older = t->younger = NULL;
  } else {
    unlink_child(t);
  }
}

/* Takes finished tasks without children out of the tree, from `t` upwards. */
static void prune_tree(lm_task *t) {
  while (t && lm_task_finished(t) && !t->first_child) {
    lm_task *parent = t->parent;
    unlink_child(t);
    t = parent;
  }
}

/* The next task of the subtree below `root` that is not below `t`. */
static lm_task *next_beside(const lm_task *root, lm_task *t) {
  while (t != root) {
    if (t->younger) return t->younger;
    t = t->parent;
  }
  return NULL;
}

/* The next task of the subtree below `root` after `t`, parents first; no recursion, as chains may be long. */
static lm_task *next_below(const lm_task *root, lm_task *t) {
  return t->first_child ? t->first_child : next_beside(root, t);
}

lm_task *lm_task_next_child(lm_task *root, lm_task *t) {
  t = t && t != root ? next_beside(root, t) : root->first_child;
  while (t && lm_task_finished(t)) t = next_below(root, t);
  return t;
}

/* --- fate --- */

/* Sets the fate on top of L's stack on one task, and wakes it. */
static bool doom_one(lm_scheduler *s, lm_task *t, lua_State *L, bool cancelled) {
  if (lm_task_finished(t) || t->doomed) return false;
  lm_task_push(s, L, t);
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, LM_TASK_VALUE);
  lua_pop(L, 1);
  t->doomed = true;
  t->cancelled = cancelled;
  if (t->op && t->op->streams) lm_runtime_cancel(t->op); /* who reads it is to end: its server may stop */
  if (t->state == LM_TASK_WAITING) {
    lm_wait_forget(t);
    lm_task_make_ready(t);
  }
  return true;
}

void lm_task_cancel_children(lm_scheduler *s, lm_task *t) {
  lm_store_push(s, s->work, LM_STORE_CANCELLED);
  /* Nothing runs, so the tree stays as it is meanwhile. */
  for (lm_task *child = next_below(t, t); child; child = next_below(t, child)) doom_one(s, child, s->work, true);
  lua_pop(s->work, 1);
}

bool lm_task_doom(lm_scheduler *s, lm_task *t, lua_State *L, bool cancelled) {
  if (!doom_one(s, t, L, cancelled)) return false;
  lm_task_cancel_children(s, t);
  return true;
}

/* --- making tasks --- */

void lm_task_new(lua_State *L, lm_scheduler *s, int arguments) {
  int context = lua_gettop(L) - arguments - 1, function = context + 1;
  luaL_checkstack(L, arguments + 6, "too many arguments for a task");
  lm_task *t = lua_newuserdatauv(L, sizeof *t, LM_TASK_VALUES);
  int index = lua_gettop(L);
  memset(t, 0, sizeof *t);
  t->scheduler = s;
  t->anchor = LUA_NOREF;
  t->state = LM_TASK_DONE; /* until it is complete */
  lm_store_push(s, L, LM_STORE_METATABLE);
  lua_setmetatable(L, index);
  lua_State *co = lm_coroutine_push(L, s);
  lua_setiuservalue(L, index, LM_TASK_COROUTINE);
  lua_pushvalue(L, context);
  lua_setiuservalue(L, index, LM_TASK_CONTEXT);
  if (!lua_checkstack(co, arguments + 1)) luaL_error(L, "too many arguments for a task");
  for (int i = 0; i <= arguments; i++) lua_pushvalue(L, function + i);
  lua_xmove(L, co, arguments + 1);
  lm_store_push(s, L, LM_STORE_ANCHORS);
  lua_pushvalue(L, index);
  int anchor = luaL_ref(L, -2); /* the last step that may raise */
  lua_pop(L, 1);
  t->co = co;
  t->anchor = anchor;
  t->values = arguments;
  link_child(s->current, t);
  s->left++;
  lm_task_make_ready(t);
  if (s->current && s->current->doomed) { /* what has ended starts nothing new */
    lm_store_push(s, L, LM_STORE_CANCELLED);
    doom_one(s, t, L, true);
    lua_pop(L, 1);
  }
  lua_replace(L, context);
  lua_settop(L, context);
}

/* --- finishing --- */

static void set_value(lm_scheduler *s, lm_task *t, lua_State *from) {
  lm_task_push(s, s->work, t);
  lua_xmove(from, s->work, 1);
  lua_setiuservalue(s->work, -2, LM_TASK_VALUE);
  lua_pop(s->work, 1);
}

static void release_coroutine(lm_scheduler *s, lm_task *t) {
  if (t->state == LM_TASK_DONE) lm_coroutine_keep(s, t->co);
  lm_task_push(s, s->work, t);
  lua_pushnil(s->work);
  lua_setiuservalue(s->work, -2, LM_TASK_COROUTINE);
  lua_pushnil(s->work);
  lua_setiuservalue(s->work, -2, LM_TASK_TARGET);
  lua_pop(s->work, 1);
  t->co = NULL;
}

/* Common to all ends. */
static void end_task(lm_scheduler *s, lm_task *t, lm_task_state state) {
  t->state = state;
  if (t->doomed) t->state = t->cancelled ? LM_TASK_CANCELLED : LM_TASK_FAILED;
  if (!(t->state == LM_TASK_DONE && t->values > 1)) release_coroutine(s, t);
  luaL_unref(s->store, LM_STORE_ANCHORS, t->anchor);
  t->anchor = LUA_NOREF;
  s->left--;
  while (t->awaiters.first) {
    lm_task *awaiter = t->awaiters.first;
    lm_queue_remove(awaiter);
    lm_task_make_ready(awaiter);
  }
  prune_tree(t);
}

static void end_well(lm_scheduler *s, lm_task *t, int results) {
  t->values = t->doomed ? 0 : results;
  if (t->values == 1) set_value(s, t, t->co);
  end_task(s, t, LM_TASK_DONE);
}

/* The first frame of a failed coroutine that is the user's own; lmopt's and C's above it tell nothing. */
static int first_user_level(lua_State *co) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(co, level, &ar); level++) {
    lua_getinfo(co, "S", &ar);
    if (*ar.what != 'C' && strncmp(ar.source, "@lmopt/", 7) != 0) return level;
  }
  return 0;
}

/* Protected; the stack is: the task's address, the error value. Writes "message\ntraceback" into the task. */
static int write_report(lua_State *L) {
  lm_task *t = lua_touserdata(L, 1);
  luaL_tolstring(L, 2, NULL);
  luaL_traceback(L, t->co, lua_tostring(L, -1), first_user_level(t->co));
  t->report = lm_copy_text(lm_runtime_allocator(t->scheduler->rt), lua_tostring(L, -1));
  return 0;
}

static void make_report(lm_scheduler *s, lm_task *t) {
  lua_State *work = s->work;
  lua_pushcfunction(work, write_report);
  lua_pushlightuserdata(work, t);
  lua_pushvalue(t->co, -1);
  lua_xmove(t->co, work, 1);
  /* Without memory for a traceback there is none; the error value stays. */
  if (lua_pcall(work, 2, 0, 0) != LUA_OK) lua_pop(work, 1);
}

/* Says that the task failed unless somebody awaited it; once. */
static void log_report(lm_task *t) {
  lm_scheduler *s = t->scheduler;
  if (!t->report || !s->rt) return;
  char text[4096];
  if (!t->observed) {
    snprintf(text, sizeof text, "a task failed, and nobody awaited it: %s", t->report);
    lm_runtime_log(s->rt, LMOPT_LOG_WARNING, text);
  }
  lm_free(lm_runtime_allocator(s->rt), t->report);
  t->report = NULL;
}

/* Where nobody may wait outside tasks, one that no other started has nobody to await it: that is said at once. */
static void end_failed(lm_scheduler *s, lm_task *t) {
  if (!t->parent && !t->observed && lm_runtime_never_block(s->rt)) log_report(t);
  end_task(s, t, LM_TASK_FAILED);
}

/* The error value is on top of the coroutine's stack, and its frames are still there. */
static void end_badly(lm_scheduler *s, lm_task *t) {
  if (!t->doomed) make_report(s, t);
  t->values = 0;
  int status = lm_close_thread(t->co); /* runs <close> variables, which may wait in place and raise in turn */
  if (t->doomed) {
    lua_settop(t->co, 0);
  } else {
    if (status == LUA_OK) lua_pushnil(t->co);
    set_value(s, t, t->co);
  }
  end_failed(s, t);
}

/* Protected: a task yielded what it should not. The stack is: the number of values. */
static int say_bad_yield(lua_State *L) {
  int values = (int)lua_tointeger(L, 1);
  lua_pushfstring(L, "a task yielded %d value%s outside lmopt; use lmopt.wrap for generators", values,
                  values == 1 ? "" : "s");
  return 1;
}

static void end_bad_yield(lm_scheduler *s, lm_task *t, int values) {
  lua_State *work = s->work;
  lua_pushcfunction(work, say_bad_yield);
  lua_pushinteger(work, values);
  lua_pcall(work, 1, 1, 0); /* out of memory leaves a text as well */
  lua_xmove(work, t->co, 1);
  lm_wait_forget(t);
  if (t->doomed) {
    lua_pop(t->co, 1);
  } else {
    make_report(s, t);
    set_value(s, t, t->co);
  }
  t->values = 0;
  lm_close_thread(t->co);
  lua_settop(t->co, 0);
  end_failed(s, t);
}

/* --- resuming --- */

/* Protected; the stack is: the task's address. Leaves what its wait gives. */
static int push_results(lua_State *L) {
  lm_task *t = lua_touserdata(L, 1);
  return lm_wait_push_results(L, t);
}

/* Puts what a doomed task is resumed with on its stack. */
static int deliver_fate(lm_scheduler *s, lm_task *t) {
  lua_pop(t->co, t->values); /* of an unpark that came first */
  lm_wait_forget(t);
  lua_pushboolean(t->co, 0);
  lm_task_push(s, s->work, t);
  lua_getiuservalue(s->work, -1, LM_TASK_VALUE);
  lua_xmove(s->work, t->co, 1);
  lua_pop(s->work, 1);
  return 2;
}

/*
** A reply that has arrived is given even to a task that is to end: it is paid
** for, and the task stores it before it meets its fate at the next wait.
*/
static bool has_reply(const lm_task *t) {
  return t->wait == LM_WAIT_OPERATION && t->op && t->op->kind == LM_OPERATION_HTTP && t->op->finished &&
         t->op->status == LMOPT_OK;
}

/* Puts the results of a task's wait on its stack; returns how many. */
static int deliver(lm_scheduler *s, lm_task *t) {
  if (t->doomed && !has_reply(t)) return deliver_fate(s, t);
  if (t->wait == LM_WAIT_UNPARK) return t->values;
  if (t->wait == LM_WAIT_OPERATION && t->op->kind == LM_OPERATION_TIMER && t->op->status == LMOPT_OK) {
    lm_wait_forget(t);
    lua_pushboolean(t->co, 1);
    return 1;
  }
  lua_State *work = s->work;
  int before = lua_gettop(work);
  lua_pushcfunction(work, push_results);
  lua_pushlightuserdata(work, t);
  bool ok = lua_pcall(work, 1, LUA_MULTRET, 0) == LUA_OK;
  int results = lua_gettop(work) - before;
  if (!ok || !lua_checkstack(t->co, results)) {
    lua_settop(work, before + 1);
    lua_pushboolean(work, 0);
    lua_insert(work, -2);
    results = 2;
  }
  lua_xmove(work, t->co, results);
  lm_wait_forget(t);
  return results;
}

static void resume(lm_scheduler *s, lm_task *t) {
  if (!t->started && t->doomed) {
    t->values = 0;
    end_task(s, t, LM_TASK_CANCELLED);
    return;
  }
  int arguments = t->started ? deliver(s, t) : t->values;
  lm_task *previous = s->current;
  lua_State *co = t->co;
  t->started = true;
  t->values = 0;
  t->wait = LM_WAIT_NONE;
  t->state = LM_TASK_RUNNING;
  s->current = t;
  void *ran = lm_runtime_running(s->rt, co);
  int results = 0;
  /* No `from`: its count of C calls would be passed on, and a few loops inside each other would use it up. */
  int status = lua_resume(co, NULL, arguments, &results);
  if (status == LUA_YIELD && results == 1 && lua_touserdata(co, -1) == (void *)&lm_sentinel && t->wait != LM_WAIT_NONE)
    lua_pop(co, 1);
  else if (status == LUA_YIELD)
    end_bad_yield(s, t, results);
  else if (status == LUA_OK)
    end_well(s, t, results);
  else
    end_badly(s, t);
  lm_runtime_running(s->rt, ran);
  s->current = previous;
}

void lm_scheduler_resume_next(lm_scheduler *s) {
  lm_task *t = s->ready.first;
  lm_queue_remove(t);
  resume(s, t);
}

/* --- the driver --- */

static bool driver_ready(void *userdata) {
  lm_scheduler *s = userdata;
  return s->ready.first != NULL;
}

static size_t driver_left(void *userdata) {
  lm_scheduler *s = userdata;
  return s->left;
}

static size_t driver_run(void *userdata, double deadline) {
  lm_scheduler *s = userdata;
  if (s->depth++ == 0) s->stack_base = __builtin_frame_address(0);
  while (s->ready.first) {
    lm_scheduler_resume_next(s);
    if (lm_runtime_closed(s->rt) || lm_runtime_interrupted(s->rt)) break;
    if (deadline > 0 && lm_clock_monotonic() >= deadline) break;
  }
  s->depth--;
  return s->left;
}

bool lm_scheduler_tell_interrupt(lm_scheduler *s) {
  bool told = false;
  lua_State *work = s->work;
  for (int i = 1; i <= s->hooks; i++) {
    lua_rawgeti(s->store, LM_STORE_HOOKS, i);
    lua_xmove(s->store, work, 1);
    bool there = lua_isfunction(work, -1);
    if (there && !told) lm_runtime_take_interrupt(s->rt);
    told = told || there;
    if (!there || lua_pcall(work, 0, 0, 0) != LUA_OK) lua_pop(work, 1);
  }
  return told;
}

static void driver_interrupt(void *userdata) { lm_scheduler_tell_interrupt(userdata); }

enum { AGAIN = 997 }; /* instructions; a prime, so that a short loop is not always hit at the same place */

/*
** Called at the next instruction after lmopt_interrupt. It raises in the
** user's code alone: lmopt's own files are not written to be left anywhere.
*/
static void stop(lua_State *L, lua_Debug *ar) {
  lmopt_runtime *rt = lm_binding_find_runtime(L);
  if (!rt || !lm_runtime_interrupted(rt)) { /* somebody else has dealt with it */
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  lua_getinfo(L, "S", ar);
  if (*ar->what == 'C' || strncmp(ar->source, "@lmopt/", 7) == 0) return;
  lua_sethook(L, stop, LUA_MASKCOUNT, AGAIN); /* code that swallows errors is told until it gives in */
  lm_push_error(L, "interrupted", "interrupted", 0);
  lua_error(L);
}

static void interrupt_hook(void *thread) {
  lua_sethook(thread, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

/* --- opening and closing --- */

static int collect_task(lua_State *L) {
  lm_task *t = lm_check_task(L, 1);
  if (!t->scheduler) return 0;
  lm_queue_remove(t);
  lm_wait_forget(t);
  while (t->awaiters.first) lm_queue_remove(t->awaiters.first); /* only when the state is being closed */
  leave_tree(t);
  log_report(t);
  if (t->scheduler->current == t) t->scheduler->current = NULL;
  t->state = LM_TASK_CANCELLED;
  t->scheduler = NULL;
  return 0;
}

static int collect_scheduler(lua_State *L) {
  lm_scheduler *s = lua_touserdata(L, 1);
  lmopt_runtime *rt = s->rt;
  if (!rt) return 0;
  lm_runtime_remove_driver(rt, s);
  s->rt = NULL;
  lm_runtime_release(rt);
  return 0;
}

static void fill_store(lua_State *L, lm_scheduler *s) {
  luaL_checkstack(s->store, 20, NULL);
  luaL_checkstack(s->work, 50, NULL);
  lua_newtable(L);                                            /* LM_STORE_ANCHORS */
  lm_push_error(L, "cancelled", "the task was cancelled", 0); /* LM_STORE_CANCELLED */
  lua_newtable(L);                                            /* LM_STORE_CARRIERS */
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_newtable(L);                       /* LM_STORE_CONTEXT */
  lua_newtable(L);                       /* LM_STORE_HOOKS */
  lua_createtable(L, LM_MOST_SPARES, 0); /* LM_STORE_SPARES */
  for (int i = 1; i <= LM_MOST_SPARES; i++) {
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, i);
  }
  luaL_newmetatable(L, task_type); /* LM_STORE_METATABLE */
  lua_pushcfunction(L, collect_task);
  lua_setfield(L, -2, "__gc");
  lua_xmove(L, s->store, LM_STORE_METATABLE);
}

void lm_scheduler_open(lua_State *L) {
  if (lua_getfield(L, LUA_REGISTRYINDEX, scheduler_key) == LUA_TUSERDATA) {
    lua_pop(L, 1);
    return;
  }
  lua_pop(L, 1);
  lmopt_runtime *rt = lm_binding_runtime(L);
  lm_scheduler *s = lua_newuserdatauv(L, sizeof *s, 2);
  memset(s, 0, sizeof *s);
  lua_newtable(L);
  lua_pushcfunction(L, collect_scheduler);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  s->work = lua_newthread(L);
  lua_setiuservalue(L, -2, 1);
  s->store = lua_newthread(L);
  lua_setiuservalue(L, -2, 2);
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  s->main = lua_tothread(L, -1);
  lua_pop(L, 1);
  fill_store(L, s);
  lua_pushvalue(L, -1);
  lua_setfield(L, LUA_REGISTRYINDEX, scheduler_key);
  lm_driver driver = {s, driver_ready, driver_run, driver_left, driver_interrupt};
  if (lm_runtime_add_driver(rt, &driver) != LMOPT_OK) {
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, scheduler_key);
    luaL_error(L, "%s", lmopt_errmsg(rt));
  }
  lm_runtime_retain(rt);
  s->rt = rt;
  lm_runtime_on_interrupt(rt, interrupt_hook);
  lua_pop(L, 1);
}
