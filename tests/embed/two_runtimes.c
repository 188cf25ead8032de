/* packages: lmopt lua5.4 sqlite3 */
/* Two runtimes in one process know nothing of each other; two states on one runtime share its loop. */
#include <sqlite3.h>
#include <unistd.h>

#include "check.h"

static void two_runtimes(void) {
  counter counters[2] = {{0}, {0}};
  lmopt_runtime *rt[2];
  lua_State *L[2];
  for (int i = 0; i < 2; i++) {
    lmopt_config config;
    lmopt_config_init(&config);
    config.alloc = counted_alloc;
    config.alloc_userdata = &counters[i];
    config.seed = 7;
    CHECK(lmopt_open(&config, &rt[i]) == LMOPT_OK);
    L[i] = open_state(rt[i]);
    CHECK(run(L[i],
              "n = 0 lmopt.spawn(function() lmopt.sleep(0) n = 1 end) seed = require 'lmopt.core.task'.draw_seed()"));
  }
  while (lmopt_step(rt[0], -1, 0) > 0) continue;
  CHECK(global_number(L[0], "n") == 1);
  CHECK(global_number(L[1], "n") == 0);
  lmopt_interrupt(rt[0]);
  CHECK(lmopt_step(rt[1], 0, 0) >= 0);
  while (lmopt_step(rt[1], -1, 0) > 0) continue;
  CHECK(global_number(L[1], "n") == 1);
  CHECK(lmopt_step(rt[0], 0, 0) == LMOPT_INTERRUPTED);
  /* The same seed draws the same seeds. */
  CHECK(global_number(L[0], "seed") == global_number(L[1], "seed"));
  CHECK(global_number(L[0], "seed") > 0);
  CHECK(run(L[0], "assert(require 'lmopt.core.task'.draw_seed() ~= seed)"));
  lmopt_close(rt[0]);
  CHECK(run(L[1], "lmopt.sleep(0)"));
  lua_close(L[1]);
  lua_close(L[0]);
  lmopt_close(rt[1]);
  CHECK(counters[0].live == 0);
  CHECK(counters[1].live == 0);
}

static void two_states(void) {
  lmopt_runtime *rt;
  CHECK(lmopt_open(NULL, &rt) == LMOPT_OK);
  lua_State *a = open_state(rt), *b = open_state(rt);
  CHECK(run(a, "n = 0 for i = 1, 3 do lmopt.spawn(function() lmopt.sleep(0.001) n = n + 1 end) end"));
  CHECK(run(b, "n = 0 for i = 1, 2 do lmopt.spawn(function() lmopt.sleep(0.001) n = n + 1 end) end"));
  CHECK(lmopt_step(rt, 0, 0) == 5);
  /* A wait in place in one state does not run the other's tasks, and loses nothing of theirs. */
  CHECK(run(a, "lmopt.sleep(0.005)"));
  CHECK(global_number(a, "n") == 3);
  CHECK(global_number(b, "n") == 0);
  lua_close(a);
  while (lmopt_step(rt, -1, 0) > 0) continue;
  CHECK(global_number(b, "n") == 2);
  lmopt_close(rt);
  lua_close(b);
}

/* --- two studies, one file --- */

typedef struct host {
  counter counter;
  log_book book;
  lmopt_runtime *rt;
  lua_State *L;
} host;

static void open_host(host *h, unsigned long long seed) {
  lmopt_config config;
  memset(h, 0, sizeof *h);
  lmopt_config_init(&config);
  config.alloc = counted_alloc;
  config.alloc_userdata = &h->counter;
  config.log = log_line;
  config.log_userdata = &h->book;
  config.never_block = 1;
  config.seed = seed;
  CHECK(lmopt_open(&config, &h->rt) == LMOPT_OK);
  h->L = open_state(h->rt);
}

/* Closes in either order; nothing is left. */
static void close_host(host *h, bool state_first) {
  if (state_first) lua_close(h->L);
  lmopt_close(h->rt);
  if (!state_first) lua_close(h->L);
  CHECK(h->counter.live == 0);
}

/* A study that gives way in the middle of every trial. `text` gets its results, one per line, when it is done. */
static const char tuner[] =
    "function tune(path, name, seed, trials, order)\n"
    "  return lmopt.spawn(function()\n"
    "    local study = lmopt.create_study { name = name, storage = path, seed = seed, lag = 4, load_if_exists = true,\n"
    "      order = order }\n"
    "    study:optimize(function(trial)\n"
    "      local x, y = trial:suggest_float('x', -5, 5), trial:suggest_int('y', 1, 100, { log = true })\n"
    "      for _ = 1, 1 + trial.number % 3 do lmopt.sleep(0) end\n"
    "      return (x - 1) ^ 2 + y\n"
    "    end, { total = trials, n_jobs = 3 })\n"
    "    local lines = {}\n"
    "    for i, t in ipairs(study.trials) do\n"
    "      lines[i] = ('%d %s %.17g %d %.17g'):format(t.number, t.state, t.params.x, t.params.y, t.value) end\n"
    "    text, count = table.concat(lines, '\\n'), #lines\n"
    "    study:close()\n"
    "  end)\n"
    "end";

static void tune(host *h, const char *path, const char *name, int seed, int trials, const char *order) {
  CHECK(run(h->L, tuner));
  lua_getglobal(h->L, "tune");
  lua_pushstring(h->L, path);
  lua_pushstring(h->L, name);
  lua_pushinteger(h->L, seed);
  lua_pushinteger(h->L, trials);
  lua_pushstring(h->L, order);
  bool good = lua_pcall(h->L, 5, 0, 0) == LUA_OK;
  if (!good) printf("# %s\n", luaL_tolstring(h->L, -1, NULL));
  CHECK(good);
  lua_settop(h->L, 0);
}

enum { PATIENCE = 100000 };

static void finish(host *h) {
  int left = 1;
  for (int i = 0; i < PATIENCE && left > 0; i++) left = lmopt_step(h->rt, 1, 1000);
  CHECK(left == 0);
  if (h->book.lines > 0) printf("# %s\n", h->book.last);
  CHECK(h->book.lines == 0);
}

/* What a study is with nothing around it. */
static void alone(int seed, int trials, char *text, size_t size) {
  host h;
  open_host(&h, 1);
  tune(&h, NULL, "alone", seed, trials, NULL);
  finish(&h);
  snprintf(text, size, "%s", global_text(h.L, "text"));
  close_host(&h, true);
}

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

/*
** Interleaved steps, a study each in one file. The first is closed in the
** middle, and later continued by another: both are what they would have been
** alone, by the laws.
*/
static void one_file(const char *path, bool state_first) {
  enum { TRIALS = 40, TEXT = 8192 };
  char expected[2][TEXT];
  host a, b;
  remove_files(path);
  for (int i = 0; i < 2; i++) alone(i + 1, TRIALS, expected[i], TEXT);
  CHECK(strcmp(expected[0], expected[1]) != 0);
  open_host(&a, 1);
  open_host(&b, 1);
  tune(&a, path, "first", 1, TRIALS, NULL);
  tune(&b, path, "second", 2, TRIALS, NULL);
  for (int i = 0; i < 20; i++) {
    CHECK(lmopt_step(a.rt, 0, 1) > 0);
    CHECK(lmopt_step(b.rt, 0, 1) > 0);
  }
  CHECK(query(path, "SELECT count(*) FROM trials WHERE state = 'RUNNING'") >= 2);
  close_host(&a, state_first);
  CHECK(query(path,
              "SELECT count(*) FROM trials t JOIN studies s USING (study_id)"
              " WHERE s.study_name = 'first' AND t.state = 'RUNNING'") == 0);
  finish(&b);
  CHECK(strcmp(global_text(b.L, "text"), expected[1]) == 0);
  open_host(&a, 9);
  tune(&a, path, "first", 1, TRIALS, NULL);
  finish(&a);
  CHECK(strcmp(global_text(a.L, "text"), expected[0]) == 0);
  close_host(&b, state_first);
  close_host(&a, !state_first);
  remove_files(path);
}

/* Both work on one study. Each trial is one runtime's; when one fails and leaves, the other does the rest. */
static void one_study(const char *path) {
  enum { TRIALS = 60 };
  host a, b;
  remove_files(path);
  open_host(&a, 1);
  open_host(&b, 2);
  tune(&a, path, "shared", 5, TRIALS, "arrival");
  tune(&b, path, "shared", 5, TRIALS, "arrival");
  CHECK(run(a.L, "lmopt.spawn(function() for _ = 1, 12 do lmopt.sleep(0) end error 'the first host fails' end)"));
  for (int i = 0; i < PATIENCE && a.book.lines == 0; i++) {
    lmopt_step(a.rt, 0, 1000);
    lmopt_step(b.rt, 0, 1000);
    if (i % 20 == 19) CHECK(run(a.L, "collectgarbage()")); /* which finds that nobody has looked at the error */
  }
  CHECK(strstr(a.book.last, "the first host fails") != NULL);
  close_host(&a, false);
  finish(&b);
  CHECK(query(path, "SELECT count(*) FROM trials WHERE state = 'COMPLETE'") == TRIALS);
  CHECK(query(path, "SELECT count(*) FROM trials") == TRIALS);
  CHECK(query(path, "SELECT count(DISTINCT number) FROM trials") == TRIALS);
  CHECK(global_number(b.L, "count") == TRIALS);
  close_host(&b, true);
  remove_files(path);
}

int main(void) {
  char path[200];
  snprintf(path, sizeof path, "%s/lmopt-two-%ld.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
           (long)getpid());
  two_runtimes();
  one_file(path, true);
  one_file(path, false);
  one_study(path);
  two_states();
  return conclude();
}
