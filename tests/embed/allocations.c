/*
** Every allocation refused in turn, through open, spawn, await, cancel and
** close: no crash, no leak, and the same again with memory works.
**
** lmopt.init is replaced by the tasks alone, so that what is counted is the
** runtime and the scheduler; a coarser run goes through everything.
*/
#include "check.h"

static const char script[] =
    "local lmopt, core = ...\n"
    "local function work(n) lmopt.sleep(0) return n, n + 1 end\n"
    "local t = lmopt.spawn(work, 3)\n"
    "local parked = lmopt.spawn(function() return lmopt.park() end)\n"
    "local a, b = t:await()\n"
    "lmopt.unpark(parked, 1, 2, 3)\n"
    "assert(select('#', parked:await()) == 3)\n"
    "local r = lmopt.map({1, 2, 3}, function(x) lmopt.sleep(0) return x * a + b end, { concurrency = 2 })\n"
    "local asleep = lmopt.spawn(lmopt.sleep, 10)\n"
    "lmopt.sleep(0) asleep:cancel() pcall(asleep.await, asleep)\n"
    "local failing = lmopt.spawn(function() lmopt.sleep(0) error { 'x' } end)\n"
    "pcall(failing.await, failing) failing:error()\n"
    "lmopt.spawn(function() table.sort({2, 1}, function(x, y) lmopt.sleep(0) return x < y end) end):await()\n"
    "local g = lmopt.wrap(function() lmopt.sleep(0) coroutine.yield(1) end)\n"
    "lmopt.spawn(function() g() end):await()\n"
    "lmopt.spawn(error, 'unseen') lmopt.sleep(0)\n"
    "done = r[1]\n";

/* Protected; upvalues none; the argument says whether to go through lmopt.init. */
static int body(lua_State *L) {
  bool everything = lua_toboolean(L, 1);
  luaL_openlibs(L);
  if (!everything) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    luaL_loadstring(L, "return require 'lmopt.task'");
    lua_setfield(L, -2, "lmopt.init");
    lua_pop(L, 1);
  }
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  if (everything) return 0;
  if (luaL_loadstring(L, script) != LUA_OK) return lua_error(L);
  lua_insert(L, -2);
  lua_call(L, 1, 0);
  lua_getglobal(L, "done");
  if (lua_tonumber(L, -1) != 7) return luaL_error(L, "a wrong result");
  return 0;
}

/* One run; false: memory was short and somebody said so. Everything is given back either way. */
static bool attempt(counter *c, bool own_runtime, bool everything, char *message, size_t size) {
  bool good = false;
  lmopt_runtime *rt = NULL;
  lmopt_config config;
  lmopt_config_init(&config);
  config.alloc = counted_alloc;
  config.alloc_userdata = c;
  snprintf(message, size, "no state");
  if (own_runtime || lmopt_open(&config, &rt) == LMOPT_OK) {
    lua_State *L = lua_newstate(counted_alloc, c);
    if (L && (own_runtime || lmopt_attach(L, rt) == LMOPT_OK)) {
      lua_pushcfunction(L, body);
      lua_pushboolean(L, everything);
      good = lua_pcall(L, 1, 0, 0) == LUA_OK;
      const char *text = good ? "" : lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "(an error table)";
      snprintf(message, size, "%s", text);
    }
    if (L) lua_close(L);
    if (rt) lmopt_close(rt);
  }
  return good;
}

static void refuse_in_turn(bool own_runtime, bool everything, size_t step) {
  char message[400];
  counter whole = {0};
  CHECK(attempt(&whole, own_runtime, everything, message, sizeof message));
  if (*message) printf("# %s\n", message);
  CHECK(whole.live == 0);
  size_t runs = 0, survived = 0, leaks = 0, wrong = 0;
  for (size_t n = 1; n <= whole.calls; n += step) {
    counter c = {.fail_at = n};
    bool good = attempt(&c, own_runtime, everything, message, sizeof message);
    runs++;
    if (good) survived++;
    if (c.live != 0) {
      if (leaks++ == 0) printf("# %zu bytes leaked when call %zu was refused: %s\n", c.live, n, message);
    }
    if (strstr(message, "wrong result")) wrong++;
  }
  printf("# %zu runs of %zu allocations, %zu went well in spite of it\n", runs, whole.calls, survived);
  CHECK(runs > 100);
  CHECK(leaks == 0);
  CHECK(wrong == 0);
}

/* Opening everything takes some 8,000 allocations and 10 ms: enough of them to touch every file. */
enum { STRIDE = 37 };

int main(void) {
  refuse_in_turn(false, false, 1);
  refuse_in_turn(true, false, 3);
  refuse_in_turn(false, true, STRIDE);
  return conclude();
}
