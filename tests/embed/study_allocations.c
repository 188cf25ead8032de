/*
** Every allocation refused in turn through a whole study: created, run,
** looked at, closed; in memory and in a file; and through one with a declared
** space. No crash, no leak, and the file stays whole.
**
** Counting starts after lmopt is loaded: allocations.c has that part.
*/
#include <sqlite3.h>
#include <unistd.h>

#include "check.h"

static const char script[] =
    "local lmopt, storage = ...\n"
    "local study = lmopt.create_study { name = 's', seed = 1, storage = storage, load_if_exists = true, lag = 3,\n"
    "  sampler = lmopt.samplers.tpe { n_startup_trials = 3 }, pruner = lmopt.pruners.median { n_startup_trials = 2 } "
    "}\n"
    "local other = storage and lmopt.load_study { name = 's', storage = storage }\n"
    "study:enqueue_trial({ x = 0.5 }, { user_attrs = { known = true } })\n"
    "local function objective(trial)\n"
    "  local x = trial:suggest_float('x', 0, 1)\n"
    "  local k = trial:suggest_int('k', 1, 8, { log = true })\n"
    "  local c = trial:suggest_categorical('c', { 'a', 'b', lmopt.null })\n"
    "  if trial.number > 5 then trial:suggest_subset('s', { 'p', 3 }, { min = 1 }) end\n"
    "  if c == 'a' then trial:suggest_float('deep', -1, 1, { step = 0.5 }) end\n"
    "  trial:report(x, 1)\n"
    "  lmopt.sleep(0)\n"
    "  if trial:should_prune() then trial:prune() end\n"
    "  trial:set_constraint('small', x - 0.9)\n"
    "  trial:set_user_attr('note', { k })\n"
    "  if trial.number == 2 then study._core:add_prediction(2, '{}', '[1]') end\n"
    "  if trial.number == 3 then study._core:add_cell('key', '{}') end\n"
    "  if trial.number == 4 then error('one fails') end\n"
    "  return x * k\n"
    "end\n"
    "study:optimize(objective, { n_trials = 8, n_jobs = 2 })\n"
    "local trial = study:ask()\n"
    "trial:suggest_float('x', 0, 1)\n"
    "study:tell(trial, 0.25)\n"
    "done = #study.trials + (study.best_value and 1 or 0) + (study.best_trial and 1 or 0)\n"
    "study._core:predictions(2)\n"
    "study._core:cell('key')\n"
    "if other then\n" /* it reads what the first has written; a try that fails must not spoil the next */
    "  pcall(function() return other.trials end)\n"
    "  local mine, seen = study.trials, other.trials\n"
    "  for i, t in ipairs(mine) do\n"
    "    local o = seen[i]\n"
    "    if not o or o.state ~= t.state or o.value ~= t.value or o.params.x ~= t.params.x then\n"
    "      error 'a wrong result: another handle sees something else'\n"
    "    end\n"
    "  end\n"
    "  other:close()\n"
    "end\n"
    "states = ''\n"
    "for _, t in ipairs(study.trials) do states = states .. ' ' .. t.state .. ' ' .. (t.error or '') end\n"
    "study:close()\n";

enum { FINISHED = 11, MOST_STATES = 4000 };

static const char preload[] =
    "for _, name in ipairs { 'lmopt.space', 'lmopt.space_trial', 'lmopt.samplers.tpe', 'lmopt.samplers.grid' } do\n"
    "  require(name)\n"
    "end\n";

/* The same seed without a refusal: every trial that is complete must be as there. */
static const char space_script[] =
    "local lmopt, storage = ...\n"
    "local space = lmopt.space { x = lmopt.distributions.float(0, 1), k = { 'a', 'b' }, fixed = 1,\n"
    "  deep = { lmopt.distributions.int(1, 4), when = { k = 'b' } },\n"
    "  composites = { sum = function(p) return p.x + (p.deep or 0) end },\n"
    "  constraint = function(p) return p.sum < 2.5, 'too much' end }\n"
    "local study = lmopt.create_study { name = 's', seed = 1, storage = storage, lag = 3, space = space,\n"
    "  sampler = lmopt.samplers.tpe { n_startup_trials = 2 } }\n"
    "study:enqueue_trial { x = 0.5 }\n"
    "study:optimize(function(trial) return trial.composites.sum end, { n_trials = 7, n_jobs = 2 })\n"
    "local grid = lmopt.create_study { seed = 1, sampler = 'grid', space = lmopt.space { a = { 1, 2, 3 },\n"
    "  b = { { 1, 2 }, when = { a = 2 } }, constraint = function(p) return p.a < 3 end } }\n"
    "grid:optimize(function(trial) return trial.params.a end)\n"
    "done = #study.trials + #grid.trials + (study.best_value and 1 or 0)\n"
    "local seen = ''\n"
    "for _, t in ipairs(study.trials) do seen = seen .. t.state .. tostring(t.value) .. lmopt.json.encode(t.params) .. "
    "(t.error or '') end\n"
    "for _, t in ipairs(grid.trials) do seen = seen .. t.state .. tostring(t.value) .. lmopt.json.encode(t.params) .. "
    "(t.error or '') end\n"
    "states = seen\n"
    "if expected and seen ~= expected then error('a wrong result: ' .. seen .. ' and not ' .. expected) end\n"
    "study:close()\n";

typedef struct attempt_options {
  const char *storage; /* NULL: in memory */
  const char
      *script;    /* leaves FINISHED in `done`, and in `states` a text that is the same in every run that goes well */
  char *expected; /* that text, once it is known; "" before */
  counter *counter;
  size_t refused; /* which allocation after loading; 0: none */
  size_t *loaded; /* allocations up to there */
} attempt_options;

static int body(lua_State *L) {
  const attempt_options *o = lua_touserdata(L, 1);
  luaL_openlibs(L);
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  lua_pop(L, 1);
  if (o->script == space_script && luaL_dostring(L, preload) != LUA_OK) return lua_error(L);
  if (*o->expected) {
    lua_pushstring(L, o->expected);
    lua_setglobal(L, "expected");
  }
  if (luaL_loadstring(L, o->script) != LUA_OK) return lua_error(L);
  lua_insert(L, -2);
  lua_pushstring(L, o->storage);
  lua_gc(L, LUA_GCCOLLECT, 0);
  if (o->refused) o->counter->fail_at = o->counter->calls + o->refused;
  *o->loaded = o->counter->calls;
  lua_call(L, 2, 0);
  lua_getglobal(L, "done");
  if (lua_tointeger(L, -1) != FINISHED)
    return luaL_error(L, "a wrong result: %d, %s", (int)lua_tointeger(L, -1),
                      (lua_getglobal(L, "states"), lua_tostring(L, -1)));
  if (o->script == space_script && !*o->expected) {
    lua_getglobal(L, "states");
    snprintf(o->expected, MOST_STATES, "%s", lua_tostring(L, -1));
  }
  return 0;
}

static bool attempt(const attempt_options *o, char *message, size_t size) {
  lmopt_config config;
  lmopt_config_init(&config);
  config.alloc = counted_alloc;
  config.alloc_userdata = o->counter;
  lmopt_runtime *rt = NULL;
  bool good = false;
  snprintf(message, size, "not opened");
  if (lmopt_open(&config, &rt) != LMOPT_OK) return false;
  lua_State *L = lua_newstate(counted_alloc, o->counter);
  if (L && lmopt_attach(L, rt) == LMOPT_OK) {
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, (void *)o);
    good = lua_pcall(L, 1, 0, 0) == LUA_OK;
    const char *text = good ? "" : luaL_tolstring(L, -1, NULL);
    snprintf(message, size, "%s", text);
  }
  if (L) lua_close(L);
  lmopt_close(rt);
  return good;
}

static void remove_file(const char *path) {
  char name[300];
  const char *const endings[] = {"", "-wal", "-shm", "-journal"};
  for (int i = 0; path && i < 4; i++) {
    snprintf(name, sizeof name, "%s%s", path, endings[i]);
    remove(name);
  }
}

/* Is the file (if it exists at all) a whole database, in which trials are numbered without holes? */
static bool file_is_whole(const char *path) {
  sqlite3 *db = NULL;
  sqlite3_stmt *s = NULL;
  bool whole = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK; /* not there: fine */
  if (!whole && sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL) == SQLITE_OK &&
      sqlite3_step(s) == SQLITE_ROW)
    whole = strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;
  sqlite3_finalize(s);
  s = NULL;
  if (whole && sqlite3_prepare_v2(db, "SELECT count(*), max(number) + 1 FROM trials", -1, &s, NULL) == SQLITE_OK &&
      sqlite3_step(s) == SQLITE_ROW)
    whole = sqlite3_column_int(s, 0) == sqlite3_column_int(s, 1);
  sqlite3_finalize(s);
  sqlite3_close(db);
  return whole;
}

static void refuse_in_turn(const char *what, const char *text, const char *storage, size_t step) {
  char message[2000], expected[MOST_STATES] = "";
  counter whole = {0};
  size_t loaded = 0;
  attempt_options o = {storage, text, expected, &whole, 0, &loaded};
  remove_file(storage);
  CHECK(attempt(&o, message, sizeof message));
  if (*message) printf("# %s\n", message);
  CHECK(whole.live == 0);
  size_t allocations = whole.calls - loaded, runs = 0, leaks = 0, wrong = 0, torn = 0, survived = 0;
  for (size_t n = 1; n <= allocations; n += step) {
    counter c = {0};
    o.counter = &c;
    o.refused = n;
    remove_file(storage);
    bool good = attempt(&o, message, sizeof message);
    runs++;
    survived += good;
    if (c.live != 0 && leaks++ == 0)
      printf("# %zu bytes leaked when allocation %zu was refused: %s\n", c.live, n, message);
    if (strstr(message, "wrong result") && wrong++ == 0) printf("# allocation %zu: %s\n", n, message);
    if (storage && !file_is_whole(storage) && torn++ == 0) printf("# allocation %zu tore the file: %s\n", n, message);
  }
  remove_file(storage);
  printf("# %s, %s: %zu runs of %zu allocations, %zu went well in spite of it\n", what, storage ? "file" : "memory",
         runs, allocations, survived);
  CHECK(allocations > 1000 && runs > 10);
  CHECK(leaks == 0);
  CHECK(wrong == 0);
  CHECK(torn == 0);
}

int main(void) {
  const char *step = getenv("LMOPT_TEST_STEP"); /* the sanitizers are slow: every so many-th there */
  size_t every = step ? (size_t)strtoul(step, NULL, 10) : 1;
  char path[200];
  const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"; /* thousands of files: not on a disk */
  snprintf(path, sizeof path, "%s/lmopt-allocations-%ld.db", folder, (long)getpid());
  if (every == 0) every = 1;
  refuse_in_turn("study", script, NULL, every);
  refuse_in_turn("study", script, path, every);
  refuse_in_turn("space", space_script, NULL, every * 5);
  refuse_in_turn("space", space_script, path, every * 15);
  return conclude();
}
