/* packages: lmopt lua5.4 */
/* test: 120 */
/*
** A game that ships a tuned program: it loads the saved file, never optimizes,
** and makes one call a frame without ever waiting for one.
**
**   cc shipped.c $(pkg-config --cflags --libs lmopt lua5.4) -o shipped
**   ./shipped [FRAMES [MODEL [FOLDER]]]      600 offline examples/embed
**
** Prints the first answers, and the longest that lmopt took of a frame.
** examples/program.lua made shipped.json:
**
**   lmopt run examples/program.lua -- examples/embed/shipped.json
*/
#include <lauxlib.h>
#include <lmopt.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LINES_SHOWN = 10, STEP_BUDGET_US = 1000 };

static double milliseconds(void) {
  struct timespec now;
  timespec_get(&now, TIME_UTC);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* Only what can do no harm: the scripts of a game need no files and no processes. */
static void open_libraries(lua_State *L) {
  static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},
                                       {LUA_TABLIBNAME, luaopen_table},
                                       {LUA_STRLIBNAME, luaopen_string},
                                       {LUA_MATHLIBNAME, luaopen_math},
                                       {LUA_UTF8LIBNAME, luaopen_utf8},
                                       {LUA_COLIBNAME, luaopen_coroutine},
                                       {NULL, NULL}};
  for (const luaL_Reg *library = libraries; library->name; library++) {
    luaL_requiref(L, library->name, library->func, 1);
    lua_pop(L, 1);
  }
}

/* Pushes a file's contents. */
static int push_file(lua_State *L, const char *folder, const char *name) {
  char path[4096];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return 0;
  FILE *file = fopen(path, "rb");
  if (!file) {
    lua_pushfstring(L, "can't read %s; usage: shipped [FRAMES [MODEL [FOLDER]]]", path);
    return 0;
  }
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  size_t size;
  do {
    size = fread(luaL_prepbuffer(&text), 1, LUAL_BUFFERSIZE, file);
    luaL_addsize(&text, size);
  } while (size > 0);
  fclose(file);
  luaL_pushresult(&text);
  return 1;
}

/* Runs shipped.lua with lmopt, the saved program and the model's name; leaves its frame function on the stack. */
static int load_game(lua_State *L, const char *folder, const char *model) {
  if (!push_file(L, folder, "shipped.lua")) return 0;
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  if (luaL_loadbufferx(L, text, size, "@shipped.lua", "t") != LUA_OK) return 0;
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  if (!push_file(L, folder, "shipped.json")) return 0;
  lua_pushstring(L, model);
  return lua_pcall(L, 3, 1, 0) == LUA_OK;
}

/* One frame: the game's own work would be here. Returns the answers so far, or -1. */
static int frame(lua_State *L, lmopt_runtime *rt, int function, int *shown) {
  lua_pushvalue(L, function);
  if (lua_pcall(L, 0, 2, 0) != LUA_OK) return -1;
  const char *line = lua_tostring(L, -2);
  if (line && (*shown)++ < LINES_SHOWN) printf("%s\n", line);
  int answered = (int)lua_tointeger(L, -1);
  lua_pop(L, 2);
  return lmopt_step(rt, 0, STEP_BUDGET_US) < 0 ? -1 : answered;
}

static int play(lua_State *L, lmopt_runtime *rt, int frames) {
  int function = lua_gettop(L), answered = 0, shown = 0, slow = 0;
  double worst = 0, sum = 0;
  for (int i = 0; i < frames && answered >= 0; i++) {
    double before = milliseconds();
    answered = frame(L, rt, function, &shown);
    double took = milliseconds() - before;
    sum += took;
    if (took > worst) worst = took;
    if (took > 1000.0 / 60) slow++;
  }
  if (answered < 0) return 0;
  printf(
      "%d frames, %d answers; lmopt's part of a frame: %.3f ms on average, %.3f ms at worst, %d over a 60th of a "
      "second\n",
      frames, answered, sum / frames, worst, slow);
  return answered > 0;
}

int main(int argc, char **argv) {
  int frames = argc > 1 ? atoi(argv[1]) : 600;
  const char *model = argc > 2 ? argv[2] : "offline";
  const char *folder = argc > 3 ? argv[3] : "examples/embed";
  lmopt_config config;
  lmopt_config_init(&config);
  config.never_block = 1;
  lmopt_runtime *rt = NULL;
  lua_State *L = luaL_newstate();
  if (!L || lmopt_open(&config, &rt) != LMOPT_OK || lmopt_attach(L, rt) != LMOPT_OK) {
    fprintf(stderr, "shipped: no memory\n");
    return 1;
  }
  open_libraries(L);
  int good = load_game(L, folder, model) && play(L, rt, frames > 0 ? frames : 1);
  if (!good) {
    fprintf(stderr, "shipped: %s\n", lua_gettop(L) ? luaL_tolstring(L, -1, NULL) : "nothing was answered");
  }
  lua_close(L);
  lmopt_close(rt);
  return good ? 0 : 1;
}
