/*
** The worst frame: how long one lmopt_step(rt, 0, 1000) lasts while a task does
** one thing, for everything that lmopt does. What is done is in frames.lua.
**
** usage: frames [--script FILE] [--only TEXT] [--folder FOLDER] [--large yes]
**
** For each operation: the longest step of each of many runs (a run is what one
** task does, in as many steps as it takes), their median and the worst of them,
** by the processor's time and by the clock. Where these differ, it waited for
** the disk, or for other programs.
*/
#define _GNU_SOURCE
#include <lauxlib.h>
#include <lmopt.h>
#include <lualib.h>
#include <sqlite3.h>
#include <time.h>

#include "../embed/server.h"

enum { BUDGET_US = 1000, MOST_RUNS = 1000, MOST_STEPS = 200000 };

typedef struct bench {
  lmopt_runtime *rt;
  lua_State *L;
  server server;
  sqlite3 *locker;
  const char *folder;
  bool large;
} bench;

static double seconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* --- what the script may call --- */

static bench *the_bench(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

static int l_path(lua_State *L) {
  lua_pushfstring(L, "%s/frames-%s.db", the_bench(L)->folder, luaL_checkstring(L, 1));
  return 1;
}

static int l_remove(lua_State *L) {
  const char *const endings[] = {"", "-wal", "-shm", "-journal"};
  for (int i = 0; i < 4; i++) {
    remove(lua_pushfstring(L, "%s%s", luaL_checkstring(L, 1), endings[i]));
    lua_pop(L, 1);
  }
  return 0;
}

/* Runs one statement on the file at argument 1. */
static sqlite3 *open_and_run(lua_State *L, const char *sql) {
  sqlite3 *db = NULL;
  if (sqlite3_open(luaL_checkstring(L, 1), &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
    lua_pushfstring(L, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
    lua_error(L);
  }
  return db;
}

static int l_copy(lua_State *L) {
  char block[65536];
  size_t got;
  FILE *from = fopen(luaL_checkstring(L, 1), "rb"), *to = from ? fopen(luaL_checkstring(L, 2), "wb") : NULL;
  bool good = to != NULL;
  while (good && (got = fread(block, 1, sizeof block, from)) > 0) good = fwrite(block, 1, got, to) == got;
  if (to && fclose(to) != 0) good = false;
  if (from) fclose(from);
  return good ? 0 : luaL_error(L, "%s can't be copied", lua_tostring(L, 1));
}

static int l_lock(lua_State *L) {
  the_bench(L)->locker = open_and_run(L, "BEGIN IMMEDIATE");
  return 0;
}

static int l_unlock(lua_State *L) {
  sqlite3_close(the_bench(L)->locker);
  the_bench(L)->locker = NULL;
  return 0;
}

static int l_reply_bytes(lua_State *L) {
  the_bench(L)->server.padding = (size_t)luaL_checknumber(L, 1);
  return 0;
}

static void push_host(lua_State *L, bench *b) {
  static const luaL_Reg functions[] = {{"path", l_path}, {"remove", l_remove}, {"copy", l_copy},
                                       {"lock", l_lock}, {"unlock", l_unlock}, {"reply_bytes", l_reply_bytes},
                                       {NULL, NULL}};
  luaL_newlibtable(L, functions);
  lua_pushlightuserdata(L, b);
  luaL_setfuncs(L, functions, 1);
  lua_pushfstring(L, "http://127.0.0.1:%d/v1", b->server.port);
  lua_setfield(L, -2, "url");
  lua_pushstring(L, b->folder);
  lua_setfield(L, -2, "folder");
  lua_pushboolean(L, b->large);
  lua_setfield(L, -2, "large");
}

/* --- measuring --- */

typedef struct sample {
  double wall, cpu; /* of the longest step */
  long steps;
} sample;

static void die(const bench *b, const char *what) {
  fprintf(stderr, "frames: %s: %s\n", what, lua_isstring(b->L, -1) ? lua_tostring(b->L, -1) : lmopt_errmsg(b->rt));
  exit(1);
}

static sample one_step(bench *b, int *left) {
  double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
  *left = lmopt_step(b->rt, 0, BUDGET_US);
  sample s = {0, seconds(CLOCK_THREAD_CPUTIME_ID) - cpu, 1};
  s.wall = seconds(CLOCK_MONOTONIC) - wall;
  if (*left < 0) die(b, "lmopt_step");
  return s;
}

/* Steps until no task is left. */
static sample steps(bench *b) {
  sample longest = {0, 0, 0};
  int left = 1;
  for (long i = 0; left > 0 && i < MOST_STEPS; i++) {
    sample s = one_step(b, &left);
    longest.steps++;
    if (s.wall > longest.wall) longest.wall = s.wall;
    if (s.cpu > longest.cpu) longest.cpu = s.cpu;
    server_turn(&b->server);
    if (left > 0 && s.wall < 50e-6) usleep(100); /* something is in flight */
  }
  return longest;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_row(const char *name, const sample *samples, long count) {
  static double cpu[MOST_RUNS], wall[MOST_RUNS], steps[MOST_RUNS];
  for (long i = 0; i < count; i++) {
    cpu[i] = samples[i].cpu;
    wall[i] = samples[i].wall;
    steps[i] = (double)samples[i].steps;
  }
  qsort(cpu, (size_t)count, sizeof *cpu, ascending);
  qsort(wall, (size_t)count, sizeof *wall, ascending);
  qsort(steps, (size_t)count, sizeof *steps, ascending);
  long middle = count / 2, last = count - 1;
  printf("| %-61s | %8.3f | %8.3f | %9.3f | %9.3f | %5.0f | %4ld |\n", name, cpu[middle] * 1e3, cpu[last] * 1e3,
         wall[middle] * 1e3, wall[last] * 1e3, steps[middle], count);
  fflush(stdout);
}

/* The stack is: ..., operation, after (a function or nil). */
static sample one_run(bench *b) {
  lua_State *L = b->L;
  int operation = lua_gettop(L) - 1;
  lua_getglobal(L, "measured");
  lua_pushvalue(L, operation);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) die(b, "spawn");
  sample s = steps(b);
  lua_getglobal(L, "problem");
  if (!lua_isnil(L, -1)) die(b, "the operation failed");
  lua_pop(L, 1);
  if (!lua_isnil(L, operation + 1)) {
    lua_pushvalue(L, operation + 1);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) die(b, "after");
  }
  return s;
}

/* One row; the stack is: ..., { name =, times =, setup = }. */
static void measure(bench *b, const char *only) {
  lua_State *L = b->L;
  static sample samples[MOST_RUNS];
  int row = lua_gettop(L);
  lua_getfield(L, row, "name");
  const char *name = lua_tostring(L, -1);
  lua_getfield(L, row, "times");
  long times = (long)lua_tointeger(L, -1);
  if (only && !strstr(name, only)) {
    lua_settop(L, row);
    return;
  }
  lua_getfield(L, row, "setup");
  if (lua_pcall(L, 0, 2, 0) != LUA_OK) die(b, name);
  lua_gc(L, LUA_GCCOLLECT); /* what the preparations left behind is not the operation's */
  for (long i = 0; i < times && i < MOST_RUNS; i++) samples[i] = one_run(b);
  print_row(name, samples, times);
  lua_settop(L, row);
}

/* --- what happens outside of steps --- */

static void open_host(bench *b) {
  lmopt_config config;
  lmopt_config_init(&config);
  config.never_block = 1;
  if (lmopt_open(&config, &b->rt) != LMOPT_OK) exit(1);
  b->L = luaL_newstate();
  luaL_openlibs(b->L);
  if (lmopt_attach(b->L, b->rt) != LMOPT_OK) die(b, "lmopt_attach");
}

static void measure_opening(bench *b) {
  enum { TIMES = 30 };
  sample opened[TIMES], closed[TIMES];
  for (int i = 0; i < TIMES; i++) {
    open_host(b);
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    luaL_requiref(b->L, "lmopt", luaopen_lmopt, 0);
    opened[i] = (sample){seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_THREAD_CPUTIME_ID) - cpu, 1};
    wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
    lua_close(b->L);
    lmopt_close(b->rt);
    closed[i] = (sample){seconds(CLOCK_MONOTONIC) - wall, seconds(CLOCK_THREAD_CPUTIME_ID) - cpu, 1};
  }
  print_row("require \"lmopt\" (no step)", opened, TIMES);
  print_row("lua_close and lmopt_close (no step)", closed, TIMES);
}

static void measure_nothing(bench *b) {
  static sample samples[MOST_RUNS];
  int left;
  for (int i = 0; i < MOST_RUNS; i++) samples[i] = one_step(b, &left);
  print_row("a step with nothing to do", samples, MOST_RUNS);
}

static const char measured[] =
    "local lmopt = require 'lmopt'\n"
    "function measured(operation)\n"
    "  lmopt.spawn(function()\n"
    "    local ok, e = pcall(operation)\n"
    "    if not ok then problem = tostring(e) end\n"
    "  end)\n"
    "end";

int main(int argc, char **argv) {
  static bench b;
  const char *script = "tests/bench/frames.lua", *only = NULL;
  b.folder = ".";
  for (int i = 1; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--script") == 0) script = argv[i + 1];
    if (strcmp(argv[i], "--only") == 0) only = argv[i + 1];
    if (strcmp(argv[i], "--folder") == 0) b.folder = argv[i + 1];
    if (strcmp(argv[i], "--large") == 0) b.large = strcmp(argv[i + 1], "yes") == 0; /* a minute more */
  }
  if (!server_open(&b.server)) return 1;
  printf("| %-61s | %8s | %8s | %9s | %9s | steps | runs |\n", "longest lmopt_step(rt, 0, 1000) while a task does",
         "cpu, ms", "worst", "clock, ms", "worst");
  printf("| %.61s | -------: | -------: | --------: | --------: | ----: | ---: |\n",
         "-------------------------------------------------------------");
  if (!only) measure_opening(&b);
  open_host(&b);
  luaL_requiref(b.L, "lmopt", luaopen_lmopt, 0);
  lua_settop(b.L, 0);
  if (!only) measure_nothing(&b);
  if (luaL_dostring(b.L, measured) != LUA_OK || luaL_loadfile(b.L, script) != LUA_OK) die(&b, script);
  push_host(b.L, &b);
  if (lua_pcall(b.L, 1, 1, 0) != LUA_OK) die(&b, script);
  for (int i = 1, count = (int)luaL_len(b.L, 1); i <= count; i++) {
    lua_rawgeti(b.L, 1, i);
    measure(&b, only);
    lua_settop(b.L, 1);
  }
  lua_close(b.L);
  lmopt_close(b.rt);
  server_close(&b.server);
  return 0;
}
