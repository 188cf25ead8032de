/* packages: lmopt lua5.4 sqlite3 */
/*
** A whole session on one counting allocator, the runtime's and Lua's: a study in
** a file, model calls over HTTP, tasks cancelled, asleep and failed. It ends at
** zero, whenever it ends, and whatever was refused on the way.
*/
#define _GNU_SOURCE
#include "check.h"
#include "server.h"

static const char script[] =
    "local lmopt, port, path = require 'lmopt', ...\n"
    "local function problem(fn) return function(...)\n"
    "  local ok, e = pcall(fn, ...) if not ok then trouble = tostring(e) error(e, 0) end end end\n"
    "finished = 0\n"
    "lmopt.spawn(problem(function()\n"
    "  local model = lmopt.lm('openai/m', { base_url = 'http://127.0.0.1:' .. port .. '/v1', timeout = 20, cache = "
    "false })\n"
    "  local study = lmopt.create_study { name = 's', seed = 1, storage = path, load_if_exists = true, lag = 4 }\n"
    "  study:optimize(function(trial)\n"
    "    local x = trial:suggest_float('x', 0, 1)\n"
    "    trial:report(x, 1)\n"
    "    local replies = lmopt.map({ 'a', 'b' }, function(text) return model(text).text end)\n"
    "    trial:set_user_attr('said', replies[1])\n"
    "    if trial.number == 3 then trial:prune() end\n"
    "    lmopt.spawn(lmopt.sleep, 100)\n" /* cancelled with the trial */
    "    return x + #replies[2]\n"
    "  end, { n_trials = 8, n_jobs = 3 })\n"
    "  assert(#study.trials == 8 and study.best_trial.user_attrs.said == 'hello')\n"
    "  finished = finished + 1\n"
    "  study:close()\n"
    "end))\n"
    "lmopt.spawn(problem(function()\n"
    "  local slow = lmopt.spawn(lmopt.sleep, 100)\n"
    "  local asking = lmopt.spawn(function() return lmopt.lm('openai/m', {\n"
    "    base_url = 'http://127.0.0.1:' .. port .. '/v1' })('hello') end)\n"
    "  lmopt.sleep(0) asking:cancel() slow:cancel()\n"
    "  assert(not pcall(asking.await, asking) and not pcall(slow.await, slow))\n"
    "  finished = finished + 1\n"
    "end))\n"
    "lmopt.spawn(function() local s = lmopt.create_study { seed = 2 }\n"
    "  s:optimize(function(t) lmopt.sleep(0) return t:suggest_int('k', 1, 9) end, { n_trials = 20, n_jobs = 2 })\n"
    "  finished = finished + 1 end)\n";

typedef struct session {
  counter *counter;
  server *server;
  const char *path;
  int most_steps; /* the host leaves after so many */
} session;

/* Protected: opens everything, and starts the script. */
static int begin(lua_State *L) {
  const session *o = lua_touserdata(L, 1);
  luaL_openlibs(L);
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  if (luaL_loadstring(L, script) != LUA_OK) return lua_error(L);
  lua_pushinteger(L, o->server->port);
  lua_pushstring(L, o->path);
  lua_call(L, 2, 0);
  return 0;
}

static void remove_files(const char *path) {
  char name[300];
  const char *const endings[] = {"", "-wal", "-shm", "-journal"};
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "%s%s", path, endings[i]);
    remove(name);
  }
}

enum { ALL = 3, PATIENCE = 2000, STRIDE = 97 };

static const char unfinished[] = "tasks are left";

/* Runs it; returns how many of the three things in the script finished. `text` is what went wrong, if anything did. */
static int attempt(const session *o, bool state_first, char *text, size_t size) {
  lmopt_config config;
  lmopt_runtime *rt = NULL;
  int finished = 0;
  lmopt_config_init(&config);
  config.alloc = counted_alloc;
  config.alloc_userdata = o->counter;
  config.never_block = 1;
  snprintf(text, size, "not opened");
  if (lmopt_open(&config, &rt) != LMOPT_OK) return 0;
  lua_State *L = lua_newstate(counted_alloc, o->counter);
  if (L && lmopt_attach(L, rt) == LMOPT_OK) {
    lua_pushcfunction(L, begin);
    lua_pushlightuserdata(L, (void *)o);
    bool good = lua_pcall(L, 1, 0, 0) == LUA_OK;
    snprintf(text, size, "%s", good ? "" : luaL_tolstring(L, -1, NULL));
    lua_settop(L, 0);
    for (int i = 0; good && !*text && i < o->most_steps && lmopt_step(rt, 1, 1000) > 0; i++) {
      server_turn(o->server);
      if (lua_getglobal(L, "trouble") == LUA_TSTRING) snprintf(text, size, "%s", lua_tostring(L, -1));
      lua_settop(L, 0);
    }
    if (good) {
      if (!*text && o->most_steps == PATIENCE && lmopt_step(rt, 0, 0) > 0) snprintf(text, size, "%s", unfinished);
      lua_getglobal(L, "finished");
      finished = (int)lua_tointeger(L, -1);
    }
  }
  if (state_first && L) lua_close(L);
  lmopt_close(rt);
  if (!state_first && L) lua_close(L);
  remove_files(o->path);
  return finished;
}

int main(void) {
  static server loopback;
  char text[400], path[200];
  snprintf(path, sizeof path, "%s/lmopt-session-%ld.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
           (long)getpid());
  remove_files(path);
  CHECK(server_open(&loopback));
  counter whole = {0};
  session o = {&whole, &loopback, path, PATIENCE};
  /* To the end, closed in both orders. */
  for (int order = 0; order < 2; order++) {
    CHECK(attempt(&o, order == 0, text, sizeof text) == ALL);
    if (*text) printf("# %s\n", text);
    CHECK(whole.live == 0);
  }
  CHECK(loopback.answered >= 32);
  size_t allocations = whole.calls / 2, runs = 0, leaks = 0, wrong = 0, stuck = 0;
  printf("# %zu allocations\n", allocations);
  /* Left in the middle, after every number of steps. */
  for (o.most_steps = 0; o.most_steps < 40; o.most_steps++, runs++) {
    attempt(&o, o.most_steps % 2 == 0, text, sizeof text);
    if (whole.live != 0 && leaks++ == 0) printf("# %zu bytes are left after %d steps\n", whole.live, o.most_steps);
    whole.live = 0;
  }
  CHECK(leaks == 0);
  /* One allocation refused. */
  const char *step = getenv("LMOPT_TEST_STEP"); /* the sanitizers are slow */
  size_t stride = step ? STRIDE * (size_t)strtoul(step, NULL, 10) : STRIDE;
  o.most_steps = PATIENCE;
  for (size_t n = 1; n <= allocations; n += stride, runs++) {
    counter c = {.fail_at = n};
    o.counter = &c;
    int finished = attempt(&o, n % 2 == 0, text, sizeof text);
    if (strcmp(text, unfinished) == 0) stuck++;
    if (c.live != 0 && leaks++ == 0)
      printf("# %zu bytes are left when allocation %zu is refused: %s\n", c.live, n, text);
    if (finished != ALL && !*text && !c.failed && wrong++ == 0) printf("# allocation %zu: nothing said\n", n);
  }
  printf("# %zu runs, %zu stuck\n", runs, stuck);
  CHECK(stuck <=
        1); /* a trial's task that has no memory for its first call tells nobody: one allocation in a thousand */
  CHECK(leaks == 0);
  CHECK(wrong == 0);
  server_close(&loopback);
  return conclude();
}
