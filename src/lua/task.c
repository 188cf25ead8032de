/*
** lmopt.core.task: tasks, sleeping and parking, as Lua sees them. The
** wrappers that raise are in lua/lmopt/task.lua; the meaning of each function
** is in lua/meta/task.lua.
*/
#include <string.h>

#include "base/clock.h"
#include "lua/scheduler.h"

static const char *const state_names[] = {"ready", "running", "waiting", "done", "failed", "cancelled"};

/* The task at `index`, which may be nil or none: then the running one, or NULL. */
static lm_task *optional_task(lua_State *L, int index, lm_scheduler *s) {
  return lua_isnoneornil(L, index) ? s->current : lm_check_task(L, index);
}

static int l_spawn(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  if (lm_runtime_closed(s->rt)) return luaL_error(L, "the runtime is closed");
  if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TTABLE);
  if (!lua_isfunction(L, 2)) return lm_misuse(L, "a task is made of a function, not of a %s", luaL_typename(L, 2));
  if (!lua_istable(L, 1)) {
    if (s->current) {
      lm_task_push(s, L, s->current);
      lua_getiuservalue(L, -1, LM_TASK_CONTEXT);
      lua_remove(L, -2);
    } else {
      lm_store_push(s, L, LM_STORE_CONTEXT);
    }
    lua_replace(L, 1);
  }
  lm_task_new(L, s, lua_gettop(L) - 2);
  return 1;
}

static int l_current(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  if (!s->current) return 0;
  lm_task_push(s, L, s->current);
  return 1;
}

static int l_context(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  if (lua_isnoneornil(L, 1) && s->current)
    lm_task_push(s, L, s->current);
  else if (!lua_isnoneornil(L, 1))
    lm_check_task(L, 1), lua_settop(L, 1);
  else
    return lm_store_push(s, L, LM_STORE_CONTEXT), 1;
  lua_getiuservalue(L, -1, LM_TASK_CONTEXT);
  return 1;
}

static int l_set_context(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  if (lua_isnil(L, 1)) {
    if (!s->current) {
      lua_xmove(L, s->store, 1);
      lua_replace(s->store, LM_STORE_CONTEXT);
      return 0;
    }
    lm_task_push(s, L, s->current);
    lua_replace(L, 1);
  }
  lm_check_task(L, 1);
  lua_setiuservalue(L, 1, LM_TASK_CONTEXT);
  return 0;
}

static lm_operation *submit_sleep(lmopt_runtime *rt, const void *request, lm_error *e) {
  return lm_runtime_sleep(rt, *(const double *)request, e);
}

static int l_sleep(lua_State *L) {
  if (lua_type(L, 1) != LUA_TNUMBER)
    return lm_misuse(L, "sleep takes a number of seconds, not a %s", luaL_typename(L, 1));
  double seconds = lua_tonumber(L, 1);
  if (seconds != seconds) return lm_misuse(L, "sleep takes a number of seconds, not nan");
  return lm_await(L, submit_sleep, &seconds);
}

static int l_now(lua_State *L) {
  lua_pushnumber(L, lm_clock_monotonic());
  return 1;
}

static int l_cancel(lua_State *L) {
  lm_task *t = lm_check_task(L, 1);
  lm_scheduler *s = lm_scheduler_of(L);
  lm_store_push(s, L, LM_STORE_CANCELLED);
  lua_pushboolean(L, lm_task_doom(s, t, L, true));
  return 1;
}

/* Whether there were any. */
static int l_cancel_children(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  lm_task *t = optional_task(L, 1, s);
  bool some = t && lm_task_next_child(t, NULL);
  if (some) lm_task_cancel_children(s, t);
  lua_pushboolean(L, some);
  return 1;
}

static int l_set_fate(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  lm_task *t = optional_task(L, 2, s);
  luaL_argcheck(L, !lua_isnoneornil(L, 1), 1, "an error value expected");
  lua_settop(L, 1);
  lua_pushboolean(L, t && lm_task_doom(s, t, L, false));
  return 1;
}

static int l_fate(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  lm_task *t = optional_task(L, 1, s);
  if (!t || !t->doomed) return 0;
  if (lm_task_finished(t))
    lua_settop(L, 1); /* a finished task can only be the argument */
  else
    lm_task_push(s, L, t);
  lua_getiuservalue(L, -1, LM_TASK_VALUE);
  return 1;
}

static int l_status(lua_State *L) {
  lm_task *t = lm_check_task(L, 1);
  lua_pushstring(L, state_names[t->state]);
  return 1;
}

/* The error value and, when it was not a fate, "message\ntraceback". */
static int l_error(lua_State *L) {
  lm_task *t = lm_check_task(L, 1);
  if (t->state != LM_TASK_FAILED && t->state != LM_TASK_CANCELLED) return 0;
  t->observed = true;
  lua_getiuservalue(L, 1, LM_TASK_VALUE);
  lua_pushstring(L, t->report);
  return 2;
}

static int l_children(lua_State *L) {
  lm_task *t = lm_check_task(L, 1);
  lm_scheduler *s = lm_scheduler_of(L);
  lua_newtable(L);
  lua_Integer count = 0;
  for (lm_task *child = lm_task_next_child(t, NULL); child; child = lm_task_next_child(t, child)) {
    lm_task_push(s, L, child);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

static int l_describe(lua_State *L) {
  lm_task *t = lm_check_task(L, 1);
  lua_pushfstring(L, "lmopt.task (%s): %p", state_names[t->state], lua_topointer(L, 1));
  return 1;
}

/* Takes note that the running coroutine is about to resume `co`, and passes the sentinel on. */
static int l_carry(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  luaL_checktype(L, 1, LUA_TTHREAD);
  lm_store_push(s, L, LM_STORE_CARRIERS);
  lua_pushvalue(L, 1);
  lua_pushthread(L);
  lua_rawset(L, -3);
  return 0;
}

/* Upvalues: the place in the list of hooks, the function. */
static int l_remove_hook(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  lua_Integer place = lua_tointeger(L, lua_upvalueindex(1));
  lm_store_push(s, L, LM_STORE_HOOKS);
  lua_rawgeti(L, -1, place);
  if (!lua_rawequal(L, -1, lua_upvalueindex(2))) return 0; /* removed before */
  lua_pushboolean(L, 0);
  lua_rawseti(L, -3, place);
  while (s->hooks > 0 && lua_rawgeti(L, -2, s->hooks) == LUA_TBOOLEAN) {
    s->hooks--;
    lua_pop(L, 1);
  }
  return 0;
}

static int l_on_interrupt(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_pushinteger(L, s->hooks + 1);
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, l_remove_hook, 2);
  lm_store_push(s, L, LM_STORE_HOOKS);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, s->hooks + 1);
  s->hooks++;
  lua_pop(L, 1);
  return 1;
}

static int l_cancelled(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  lm_task *t = optional_task(L, 1, s);
  lua_pushboolean(L, t && t->cancelled);
  return 1;
}

static int l_place(lua_State *L) {
  lm_push_place(L);
  if (strcmp(lua_tostring(L, -1), "?") == 0) lua_pushnil(L);
  return 1;
}

static int l_left(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lm_scheduler_of(L)->left);
  return 1;
}

static int l_draw_seed(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lm_runtime_draw_seed(lm_binding_runtime(L)));
  return 1;
}

static int l_log(lua_State *L) {
  static const char *const levels[] = {"debug", "info", "warning", NULL};
  int level = luaL_checkoption(L, 1, NULL, levels);
  lm_runtime_log(lm_binding_runtime(L), (lmopt_log_level)level, luaL_checkstring(L, 2));
  return 0;
}

static int l_never_block(lua_State *L) {
  lua_pushboolean(L, lm_runtime_never_block(lm_binding_runtime(L)));
  return 1;
}

static const luaL_Reg functions[] = {
    {"spawn", l_spawn},
    {"current", l_current},
    {"context", l_context},
    {"set_context", l_set_context},
    {"sleep", l_sleep},
    {"now", l_now},
    {"await", lm_wait_task},
    {"park", lm_wait_park},
    {"unpark", lm_wait_unpark},
    {"cancel", l_cancel},
    {"cancel_children", l_cancel_children},
    {"set_fate", l_set_fate},
    {"fate", l_fate},
    {"cancelled", l_cancelled},
    {"on_interrupt", l_on_interrupt},
    {"carry", l_carry},
    {"place", l_place},
    {"left", l_left},
    {"draw_seed", l_draw_seed},
    {"log", l_log},
    {"never_block", l_never_block},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"cancel", l_cancel}, {"status", l_status}, {"error", l_error}, {"children", l_children}, {NULL, NULL},
};

int lm_open_task(lua_State *L) {
  lm_scheduler *s = lm_scheduler_of(L);
  luaL_newlib(L, functions);
  lua_pushlightuserdata(L, (void *)&lm_sentinel);
  lua_setfield(L, -2, "sentinel");
  lm_store_push(s, L, LM_STORE_CANCELLED);
  lua_setfield(L, -2, "cancelled_error");
  luaL_newlib(L, methods); /* lua/lmopt/task.lua adds await */
  lm_store_push(s, L, LM_STORE_METATABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, l_describe);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, "lmopt.task");
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  lua_setfield(L, -2, "methods");
  return 1;
}
