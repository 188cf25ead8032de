/*
** The coroutines of tasks, used again: a new one begins with a stack that is
** too small, and grows it step by step, which is two fifths of all memory
** that a model call takes.
*/
#include "lua/scheduler.h"

static int do_nothing(lua_State *L) { return (void)L, 0; }

/* Makes the record of the first call now: a task whose very start is refused memory could tell nobody. */
static void reserve_first_call(lua_State *L, lua_State *co) {
  lua_pushcfunction(co, do_nothing);
  if (lua_pcall(co, 0, 0, 0) == LUA_OK) return;
  lua_xmove(co, L, 1);
  lua_error(L);
}

lua_State *lm_coroutine_push(lua_State *L, lm_scheduler *s) {
  if (s->spares == 0) {
    lua_State *co = lua_newthread(L);
    reserve_first_call(L, co);
    return co;
  }
  lua_rawgeti(s->store, LM_STORE_SPARES, s->spares);
  lua_xmove(s->store, L, 1);
  lua_pushboolean(s->store, 0);
  lua_rawseti(s->store, LM_STORE_SPARES, s->spares--);
  return lua_tothread(L, -1);
}

void lm_coroutine_keep(lm_scheduler *s, lua_State *co) {
  if (s->spares == LM_MOST_SPARES || lua_status(co) != LUA_OK || lua_gettop(co) != 0) return;
  lua_sethook(co, NULL, 0, 0); /* an interrupt may have set one */
  if (!lua_checkstack(co, 1)) return;
  lua_pushthread(co);
  lua_xmove(co, s->store, 1);
  lua_rawseti(s->store, LM_STORE_SPARES, ++s->spares); /* there is room for it */
}
