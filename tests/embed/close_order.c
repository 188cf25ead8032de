/* lua_close and lmopt_close in any order, at any time: nothing leaks, nothing dangles (run under sanitizers too). */
#include "check.h"

/* Tasks in every state: ready, asleep, waiting for another, parked, in flight over HTTP, failed with nobody looking. */
static const char busy[] =
    "local task, http = require 'lmopt.task', require 'lmopt.core.http'\n"
    "sleeper = lmopt.spawn(lmopt.sleep, 100)\n"
    "waiter = lmopt.spawn(function() sleeper:await() end)\n"
    "parked = lmopt.spawn(task.park)\n"
    "flying = lmopt.spawn(function() return http.request { url = 'http://127.0.0.1:9/', timeout = 5 } end)\n"
    "several = lmopt.spawn(function() return 1, 2, 3 end)\n"
    "failed = lmopt.spawn(function() error 'nobody looks' end)\n"
    "lmopt.spawn(function() lmopt.spawn(function() lmopt.spawn(lmopt.sleep, 100) lmopt.sleep(100) end) end)\n";

static lmopt_runtime *open_runtime(counter *c, log_book *book) {
  lmopt_config config;
  lmopt_config_init(&config);
  config.alloc = counted_alloc;
  config.alloc_userdata = c;
  config.log = log_line;
  config.log_userdata = book;
  lmopt_runtime *rt = NULL;
  CHECK(lmopt_open(&config, &rt) == LMOPT_OK);
  return rt;
}

static void runtime_first(bool step_first) {
  counter c = {0};
  log_book book = {0};
  lmopt_runtime *rt = open_runtime(&c, &book);
  lua_State *L = open_state(rt);
  CHECK(run(L, busy));
  if (step_first) CHECK(lmopt_step(rt, 0, 0) > 0);
  lmopt_close(rt);
  /* Everything still answers; nothing waits. */
  CHECK(run(L, "local ok, e = pcall(lmopt.sleep, 1) assert(not ok)"));
  CHECK(run(L, "assert(not pcall(lmopt.spawn, print))"));
  CHECK(run(L, "assert(not pcall(sleeper.await, sleeper)) sleeper:cancel() assert(tostring(sleeper))"));
  CHECK(run(L, "collectgarbage() collectgarbage()"));
  lua_close(L);
  CHECK(c.live == 0);
}

static void state_first(bool step_first) {
  counter c = {0};
  log_book book = {0};
  lmopt_runtime *rt = open_runtime(&c, &book);
  lua_State *L = open_state(rt);
  CHECK(run(L, busy));
  if (step_first) CHECK(lmopt_step(rt, 0, 0) > 0);
  lua_close(L);
  CHECK(lmopt_step(rt, 0, 0) == 0);
  if (step_first) CHECK(strstr(book.last, "nobody looks") != NULL);
  lmopt_close(rt);
  CHECK(c.live == 0);
}

static void own_runtime(void) {
  lua_State *L = open_state(NULL);
  CHECK(run(L, busy));
  CHECK(run(L, "lmopt.sleep(0)"));
  lua_close(L);
}

static void attach_rules(void) {
  counter c = {0};
  log_book book = {0};
  lmopt_runtime *rt = open_runtime(&c, &book);
  lua_State *L = luaL_newstate();
  CHECK(lmopt_attach(NULL, rt) == LMOPT_MISUSE);
  CHECK(lmopt_attach(L, NULL) == LMOPT_MISUSE);
  CHECK(lmopt_attach(L, rt) == LMOPT_OK);
  CHECK(lmopt_attach(L, rt) == LMOPT_MISUSE);
  CHECK(strstr(lmopt_errmsg(rt), "has a runtime already") != NULL);
  CHECK(lua_gettop(L) == 0);
  lua_close(L); /* attached, and never required */
  lmopt_close(rt);
  CHECK(c.live == 0);
  lmopt_close(NULL);
}

/* Lua may use tasks from finalizers that run while the state is being closed. */
static void finalizers(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  CHECK(run(L, "early = setmetatable({}, {__gc = function() pcall(lmopt.sleep, 0) pcall(lmopt.spawn, print) end})"));
  luaL_requiref(L, "lmopt", luaopen_lmopt, 1);
  lua_settop(L, 0);
  CHECK(run(L, "late = setmetatable({}, {__gc = function() pcall(lmopt.sleep, 0) pcall(lmopt.spawn, print) end})"));
  CHECK(run(L, busy));
  CHECK(run(
      L,
      "last = setmetatable({}, {__gc = function() pcall(lmopt.sleep, 0) pcall(function() parked:cancel() end) end})"));
  lua_close(L);
}

static lmopt_runtime *to_close;

static int close_now(lua_State *L) {
  (void)L;
  lmopt_close(to_close);
  return 0;
}

static void close_from_a_task(void) {
  counter c = {0};
  log_book book = {0};
  to_close = open_runtime(&c, &book);
  lua_State *L = open_state(to_close);
  lua_register(L, "close_now", close_now);
  CHECK(run(L, "lmopt.spawn(function() close_now() ok, e = pcall(lmopt.sleep, 1) end) lmopt.spawn(lmopt.sleep, 1)"));
  CHECK(lmopt_step(to_close, 0, 0) == LMOPT_CANCELLED);
  CHECK(run(L, "assert(ok == false)"));
  lua_close(L);
  CHECK(c.live == 0);
}

int main(void) {
  runtime_first(false);
  runtime_first(true);
  state_first(false);
  state_first(true);
  own_runtime();
  attach_rules();
  finalizers();
  close_from_a_task();
  return conclude();
}
