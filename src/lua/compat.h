/*
** What differs between the Lua versions we build with.
*/
#ifndef LM_COMPAT_H
#define LM_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM != 504
#error "lmopt needs Lua 5.4"
#endif

/* Kills a coroutine, running its pending <close> variables; the error object, if any, is left on its stack. */
#if LUA_VERSION_RELEASE_NUM >= 50406
#define lm_close_thread(co) lua_closethread(co, NULL)
#else
#define lm_close_thread(co) lua_resetthread(co)
#endif

#endif
