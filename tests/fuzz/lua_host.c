/*
** Runs a target that is written in Lua: the file FUZZ_SCRIPT returns a
** function of the input's bytes, which raises when a property is broken.
** One Lua state serves all inputs. Under libFuzzer the lines of lmopt's Lua
** files count as coverage, like branches in C.
**
** The script finds in the module "fuzz_core" what it can't reach from Lua.
*/
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "io/storage_internal.h"
#include "lua/binding.h"

enum { COLLECT_EVERY = 512, MOST_MEGABYTES = 64, HOOK_STEP = 100000, MOST_STEPS = 5000 };

static lua_State *state;
static int function_index;
static unsigned steps, inputs;

/* --- what the script can use --- */

/* storage_json(text) -> boolean: src/io/storage_json.c takes it for one JSON value */
static int l_storage_json(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  lm_json_value value;
  lua_pushboolean(L, lm_json_whole(text, size, &value));
  return 1;
}

static int push_reply(lua_State *L) {
  lm_http_push_reply(L, lua_touserdata(L, 1));
  return 1;
}

/* reply(code, headers, body) -> table: a response as src/lua/http.c gives it */
static int l_reply(lua_State *L) {
  lm_allocator a = lm_allocator_default();
  lm_http_reply reply;
  size_t headers_size, body_size;
  const char *headers = luaL_checklstring(L, 2, &headers_size), *body = luaL_checklstring(L, 3, &body_size);
  memset(&reply, 0, sizeof reply);
  reply.code = (int)luaL_checkinteger(L, 1);
  lm_buffer_init(&reply.headers, &a, SIZE_MAX / 4);
  lm_buffer_init(&reply.body, &a, SIZE_MAX / 4);
  lm_buffer_add(&reply.headers, headers, headers_size);
  lm_buffer_add(&reply.body, body, body_size);
  lua_pushcfunction(L, push_reply);
  lua_pushlightuserdata(L, &reply);
  int failed = lua_pcall(L, 1, 1, 0);
  lm_buffer_free(&reply.headers);
  lm_buffer_free(&reply.body);
  return failed ? lua_error(L) : 1;
}

static int open_core(lua_State *L) {
  static const luaL_Reg functions[] = {{"storage_json", l_storage_json}, {"reply", l_reply}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

/* --- hooks: coverage, and an end to what does not end --- */

#ifdef FUZZ_COVERAGE
static uint8_t lines[1 << 15] __attribute__((section("__libfuzzer_extra_counters"), used));

static void count_line(lua_State *L, lua_Debug *about) {
  static uint64_t before;
  lua_getinfo(L, "Sl", about);
  if (strncmp(about->source, "@lmopt/", 7) != 0) return;
  /* The address of a file's name, which lives as long as the file's functions, stands for the file. */
  uint64_t here = ((uint64_t)(uintptr_t)about->source + (uint64_t)about->currentline) * 0x9e3779b97f4a7c15;
  uint8_t *counter = &lines[(here >> 40 ^ before >> 41) % sizeof lines];
  if (*counter < UINT8_MAX) ++*counter;
  before = here;
}
#endif

static void on_event(lua_State *L, lua_Debug *about) {
  (void)L;
  (void)about;
#ifdef FUZZ_COVERAGE
  if (about->event == LUA_HOOKLINE) {
    count_line(L, about);
    return;
  }
#endif
  FUZZ_CHECK(++steps < MOST_STEPS, "more than %d instructions", MOST_STEPS * HOOK_STEP);
}

/* --- the state --- */

static int add_traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static void fail_on(lua_State *L, int status, const char *what) {
  FUZZ_CHECK(status == LUA_OK, "%s: %s", what, lua_tostring(L, -1));
}

static void open_state(void) {
  lua_State *L = state = luaL_newstate();
  FUZZ_CHECK(L, "no memory");
  luaL_openlibs(L);
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  luaL_requiref(L, "fuzz_core", open_core, 0);
  lua_settop(L, 0);
  fail_on(L, luaL_dostring(L, "package.path = 'tests/fuzz/?.lua;' .. package.path"), "package.path");
  lua_pushcfunction(L, add_traceback);
  fail_on(L, luaL_loadfile(L, FUZZ_SCRIPT), FUZZ_SCRIPT);
  fail_on(L, lua_pcall(L, 0, 1, 1), FUZZ_SCRIPT);
  function_index = lua_gettop(L);
#ifdef FUZZ_COVERAGE
  lua_sethook(L, on_event, LUA_MASKLINE | LUA_MASKCOUNT, HOOK_STEP);
#else
  lua_sethook(L, on_event, LUA_MASKCOUNT, HOOK_STEP);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  if (!state) open_state();
  lua_State *L = state;
  steps = 0;
  lua_pushvalue(L, function_index);
  lua_pushlstring(L, size ? (const char *)bytes : "", size);
  fail_on(L, lua_pcall(L, 1, 0, 1), FUZZ_SCRIPT);
  if (++inputs % COLLECT_EVERY == 0) {
    lua_gc(L, LUA_GCCOLLECT);
    int kilobytes = lua_gc(L, LUA_GCCOUNT);
    FUZZ_CHECK(kilobytes < MOST_MEGABYTES * 1024, "%d KiB are in use", kilobytes);
  }
  return 0;
}

/* The leak checker looks at the end. */
__attribute__((destructor)) static void close_state(void) {
  if (state) lua_close(state);
  state = NULL;
}
