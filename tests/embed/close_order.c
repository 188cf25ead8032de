/* packages: lmopt lua5.4 sqlite3 */
/* lua_close and lmopt_close in any order, at any time: nothing leaks, nothing dangles (run under sanitizers too). */
#define _GNU_SOURCE
#include <sqlite3.h>
#include <unistd.h>

#include "check.h"
#include "server.h"

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

/* --- with everything in flight at once --- */

/* Studies whose trials wait for a timer, a server that says nothing, their children, each other's callbacks. */
static const char studies[] =
    "local function objective(trial)\n"
    "  local x = trial:suggest_float('x', 0, 1)\n"
    "  trial:report(x, 1)\n"
    "  if trial.number < 3 then return x end\n"
    "  local model = lmopt.lm('openai/m', { base_url = url })\n"
    "  lmopt.map({ 1, 2, 3 }, function(i) if i == 1 then return model('hello') end\n"
    "    lmopt.spawn(lmopt.sleep, 100) lmopt.sleep(100) end)\n"
    "  return x\n"
    "end\n"
    "local function callback(study, trial)\n"
    "  told = (told or 0) + 1\n"
    "  study:enqueue_trial { x = 0.5 }\n"
    "  if told == 3 then lmopt.sleep(100) end\n"
    "end\n"
    "kept = {}\n"
    "for i, storage in ipairs { false, path } do\n"
    "  lmopt.spawn(function()\n"
    "    local study = lmopt.create_study { name = 's', seed = i, storage = storage or nil, lag = 8 }\n"
    "    kept[i] = study\n"
    "    study:optimize(objective, { n_trials = 50, n_jobs = 4, callbacks = { callback } })\n"
    "  end)\n"
    "end\n"
    "setmetatable({}, { __gc = function() pcall(function() kept[1]:tell(4, 1) end) pcall(function() kept[2]:ask() end) "
    "end })";

static long long query(const char *path, const char *sql) {
  sqlite3 *db = NULL;
  sqlite3_stmt *s = NULL;
  long long found = -1;
  if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
      sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
    found = sqlite3_column_int64(s, 0);
  sqlite3_finalize(s);
  sqlite3_close(db);
  return found;
}

static void remove_files(const char *path) {
  char name[300];
  const char *const endings[] = {"", "-wal", "-shm"};
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, endings[i]);
    remove(name);
  }
}

/* Closed after so many steps, in one order or the other. */
static void studies_in_flight(server *loopback, const char *path, int steps, bool state_first) {
  counter c = {0};
  log_book book = {0};
  char text[400];
  remove_files(path);
  lmopt_runtime *rt = open_runtime(&c, &book);
  lua_State *L = lua_newstate(counted_alloc, &c);
  luaL_openlibs(L);
  CHECK(lmopt_attach(L, rt) == LMOPT_OK);
  luaL_requiref(L, "lmopt", luaopen_lmopt, 1);
  snprintf(text, sizeof text, "path, url = '%s', 'http://127.0.0.1:%d/v1'", path, loopback->port);
  CHECK(run(L, text));
  CHECK(run(L, busy));
  CHECK(run(L, studies));
  int left = 1;
  for (int i = 0; i < steps; i++) {
    left = lmopt_step(rt, i % 4 == 3, 0);
    server_turn(loopback);
  }
  CHECK(left > 0);
  if (steps > 10) {
    CHECK(query(path, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") > 0);
    CHECK(loopback->clients[0].got > 0); /* asked, and not answered */
  }
  if (!state_first) {
    lmopt_close(rt);
    CHECK(run(L,
              "for _, study in pairs(kept) do\n"
              "  assert(not pcall(study.ask, study) and not pcall(study.tell, study, 4, 1))\n"
              "  pcall(function() return study.trials end) study:close() assert(tostring(study)) end\n"
              "collectgarbage()"));
  }
  lua_close(L);
  if (state_first) {
    CHECK(lmopt_step(rt, 0, 0) == 0);
    lmopt_close(rt);
  }
  CHECK(c.live == 0);
  if (steps > 0) {
    CHECK(query(path, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0);
    CHECK(query(path, "SELECT count(*) FROM trials") > 0);
  }
  remove_files(path);
}

static void everything_in_flight(void) {
  static server loopback;
  static const int steps[] = {0, 1, 2, 3, 5, 8, 20, 60};
  char path[200];
  snprintf(path, sizeof path, "%s/lmopt-close-%ld.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
           (long)getpid());
  CHECK(server_open(&loopback));
  loopback.silent = true;
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    studies_in_flight(&loopback, path, steps[i], true);
    studies_in_flight(&loopback, path, steps[i], false);
  }
  server_close(&loopback);
}

int main(void) {
  everything_in_flight();
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
