/*
** The command line: a host like any other, which sees lmopt.h and Lua only.
**
** It opens a runtime and a Lua state, and calls the function that the module
** "lmopt.cli" returns, with the arguments and a table of what only a process
** may do (terminals, standard output, logs). What that function returns is
** the exit status. The first SIGINT asks the runtime to stop, the second ends
** the process.
*/
#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lmopt.h"

enum { STATUS_DONE = 0, STATUS_FAILED = 1, STATUS_INTERRUPTED = 130 };

/* What the signal handler needs; nothing else here is global. */
static lmopt_runtime *interruptible;
static volatile sig_atomic_t interrupted;

/* --- memory --- */

/*
** Lua asks for little blocks all the time, and says their size when it gives them back: lists of free ones, by size, take a
** tenth of what malloc does, which has to find the size by itself. What lies in the lists goes back at the end.
*/
enum { GRAIN = 16, LARGEST = 1024, CHUNK = 64 * 1024 }; /* bytes; larger blocks are malloc's */

typedef struct block {
  struct block *next;
} block;

typedef struct pool {
  block *free[LARGEST / GRAIN + 1]; /* by size, in grains */
  block *chunks;                    /* what they were cut from */
  char *rest, *end;                 /* of the last one */
} pool;

static void *take_block(pool *p, size_t grains) {
  block *found = p->free[grains];
  if (found) {
    p->free[grains] = found->next;
    return found;
  }
  size_t size = grains * GRAIN;
  if ((size_t)(p->end - p->rest) < size) { /* the rest is lost: less than a block in each chunk */
    block *chunk = malloc(CHUNK);
    if (!chunk) return NULL;
    chunk->next = p->chunks;
    p->chunks = chunk;
    p->rest = (char *)chunk + GRAIN;
    p->end = (char *)chunk + CHUNK;
  }
  void *cut = p->rest;
  p->rest += size;
  return cut;
}

static void give_block(pool *p, void *memory, size_t grains) {
  block *given = memory;
  given->next = p->free[grains];
  p->free[grains] = given;
}

static void free_pool(pool *p) {
  for (block *chunk = p->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
}

/* Where a sanitizer looks after memory, each block is malloc's. */
#ifdef __SANITIZE_ADDRESS__
static const size_t largest = 0;
#else
static const size_t largest = LARGEST;
#endif

static size_t grains_of(size_t size) { return (size + GRAIN - 1) / GRAIN; }

static void *make(pool *p, size_t size) { return size <= largest ? take_block(p, grains_of(size)) : malloc(size); }

static void drop(pool *p, void *memory, size_t size) {
  if (size > largest)
    free(memory);
  else if (size > 0)
    give_block(p, memory, grains_of(size));
}

static void *resize(pool *p, void *memory, size_t old_size, size_t size) {
  if (old_size > largest && size > largest) return realloc(memory, size);
  if (size <= largest && grains_of(size) == grains_of(old_size)) return memory;
  void *made = make(p, size);
  if (!made) return size <= old_size ? memory : NULL; /* one that only shrinks may stay where it is */
  memcpy(made, memory, old_size < size ? old_size : size);
  drop(p, memory, old_size);
  return made;
}

/* A lua_Alloc. Without memory, `old_size` is the kind of what is to be made. */
static void *allocate(void *userdata, void *memory, size_t old_size, size_t size) {
  pool *p = userdata;
  if (!memory) return size > 0 ? make(p, size) : NULL;
  if (size > 0) return resize(p, memory, old_size, size);
  drop(p, memory, old_size);
  return NULL;
}

/* The collector begins again when memory is so many percent of what it left: with Lua's 200 it marks more often. */
enum { GC_PAUSE = 250 };

/* --- the host --- */

typedef struct host {
  lmopt_runtime *runtime;
  lmopt_log_level level; /* the lowest that is shown */
  bool terminal;         /* is standard error one? */
  FILE *results;         /* standard output, wherever it was diverted from */
  int refused;           /* errno of the first result that could not be written, or 0 */
  int argc;
  char **argv;
  pool memory; /* Lua's */
  bool warns, in_warning;
} host;

static void on_interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
  lmopt_interrupt(interruptible);
}

static void install_signals(lmopt_runtime *runtime) {
  interruptible = runtime;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_handler = on_interrupt;
  action.sa_flags = (int)SA_RESETHAND; /* the second one has its default action */
  /* A command started in the background with SIGINT ignored keeps it so. */
  struct sigaction previous;
  if (sigaction(SIGINT, NULL, &previous) == 0 && previous.sa_handler != SIG_IGN) sigaction(SIGINT, &action, NULL);
  /* A server that hangs up must not end a study; writes report EPIPE instead. */
  action.sa_handler = SIG_IGN;
  action.sa_flags = 0;
  sigaction(SIGPIPE, &action, NULL);
}

static void log_line(void *userdata, lmopt_log_level level, const char *text) {
  const host *h = userdata;
  if (level < h->level) return;
  /* On a terminal a progress bar may be standing on the line. */
  fprintf(stderr, "%slmopt: %s%s\n", h->terminal ? "\r\033[K" : "", level == LMOPT_LOG_WARNING ? "warning: " : "",
          text);
}

/* --- what lmopt.cli may ask of the process; upvalue 1 is the host --- */

static host *host_of(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

/* terminal(fd) -> is it one, its width in columns or nil */
static int host_terminal(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  struct winsize size;
  bool is = isatty(fd) == 1;
  lua_pushboolean(L, is);
  if (!is || ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 1;
  lua_pushinteger(L, size.ws_col);
  return 2;
}

/* log_level("debug" | "info" | "warning") */
static int host_log_level(lua_State *L) {
  static const char *const names[] = {"debug", "info", "warning", NULL};
  host_of(L)->level = (lmopt_log_level)luaL_checkoption(L, 1, NULL, names);
  return 0;
}

/* divert(): from now on whatever prints to standard output reaches standard error; write() still means the former. */
static int host_divert(lua_State *L) {
  host *h = host_of(L);
  if (h->results != stdout) return 0;
  fflush(stdout);
  int copy = dup(STDOUT_FILENO);
  FILE *results = copy < 0 ? NULL : fdopen(copy, "w");
  if (results == NULL || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
    int reason = errno;
    if (results != NULL)
      fclose(results);
    else if (copy >= 0)
      close(copy);
    return luaL_error(L, "standard output can't be diverted: %s", strerror(reason));
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  h->results = results;
  return 0;
}

/* write(text): a result, to standard output. */
static int host_write(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  host *h = host_of(L);
  errno = 0;
  bool written = fwrite(text, 1, size, h->results) == size;
  /* Flushed to be in order with what standard error says; failures are told at the end. */
  if (fflush(h->results) != 0) written = false;
  if (!written && h->refused == 0) h->refused = errno != 0 ? errno : EIO;
  return 0;
}

/* interrupted() -> has there been a SIGINT? */
static int host_interrupted(lua_State *L) {
  lua_pushboolean(L, interrupted);
  return 1;
}

static const luaL_Reg host_functions[] = {
    {"terminal", host_terminal}, {"log_level", host_log_level},     {"divert", host_divert},
    {"write", host_write},       {"interrupted", host_interrupted}, {NULL, NULL},
};

/* --- start --- */

/* Loads a file under the chunk name that it has when embedded: lmopt knows its own frames by it. */
static int load_as(lua_State *L, const char *file, const char *chunk) {
  FILE *in = fopen(file, "rb");
  if (in == NULL) return luaL_error(L, "%s: %s", file, strerror(errno));
  char *text = NULL;
  size_t size = 0, got = 0;
  do {
    char *grown = realloc(text, size + 65536);
    if (grown == NULL) break;
    text = grown;
    got = fread(text + size, 1, 65536, in);
    size += got;
  } while (got > 0);
  fclose(in);
  int status = luaL_loadbufferx(L, text == NULL ? "" : text, size, chunk, "t");
  free(text);
  return status;
}

/* A searcher for lmopt's own modules below the folder in upvalue 1, ahead of the embedded ones. */
static int search_folder(lua_State *L) {
  static const char *const forms[] = {"%s/%s.lua", "%s/%s/init.lua"};
  const char *module = luaL_checkstring(L, 1);
  if (strncmp(module, "lmopt.", strlen("lmopt.")) != 0) return 0;
  const char *path = luaL_gsub(L, module, ".", "/");
  for (int i = 0; i < 2; i++) {
    const char *file = lua_pushfstring(L, forms[i], lua_tostring(L, lua_upvalueindex(1)), path);
    if (access(file, R_OK) != 0) continue;
    const char *chunk = lua_pushfstring(L, forms[i], "@lmopt", path + strlen("lmopt/"));
    if (load_as(L, file, chunk) != LUA_OK) return lua_error(L);
    lua_pushstring(L, file);
    return 2;
  }
  return 0;
}

/* LMOPT_LUADIR: for working on lmopt's Lua files without building. */
static void read_modules_from(lua_State *L, const char *folder) {
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "insert");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_remove(L, -2);
  lua_pushinteger(L, 1);
  lua_pushstring(L, folder);
  lua_pushcclosure(L, search_folder, 1);
  lua_call(L, 3, 0);
  lua_pop(L, 1);
}

/* Everything that may raise. Returns the exit status. */
static int run(lua_State *L) {
  host *h = lua_touserdata(L, 1);
  luaL_checkversion(L);
  luaL_openlibs(L);
  lmopt_status status = lmopt_attach(L, h->runtime);
  if (status != LMOPT_OK) return luaL_error(L, "%s", lmopt_strstatus(status));
  const char *folder = getenv("LMOPT_LUADIR");
  if (folder != NULL && folder[0] != '\0') read_modules_from(L, folder);
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "lmopt.cli");
  lua_call(L, 1, 1);
  lua_createtable(L, h->argc, 0);
  for (int i = 1; i < h->argc; i++) {
    lua_pushstring(L, h->argv[i]);
    lua_rawseti(L, -2, i);
  }
  luaL_newlibtable(L, host_functions);
  lua_pushlightuserdata(L, h);
  luaL_setfuncs(L, host_functions, 1);
  lua_call(L, 2, 1);
  return 1;
}

/* Results that could not be written are a failure, except when the reader had enough (`| head`). */
static bool flush_results(const host *h) {
  int reason = h->refused;
  errno = 0;
  if ((fflush(h->results) != 0 || fflush(stdout) != 0) && reason == 0) reason = errno;
  if (reason == 0 && !ferror(h->results) && !ferror(stdout)) return true;
  /* What a script prints fails in silence, and its reason is gone: is the reader? */
  struct pollfd reader = {.fd = fileno(h->results), .events = POLLOUT};
  if (reason == EPIPE || (reason == 0 && poll(&reader, 1, 0) == 1 && (reader.revents & POLLERR) != 0)) return true;
  fprintf(stderr, "lmopt: standard output can't be written%s%s\n", reason != 0 ? ": " : "",
          reason != 0 ? strerror(reason) : "");
  return false;
}

/* --- the Lua state --- */

static int panic(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  fprintf(stderr, "lmopt: %s\n", message ? message : "an error that is no text");
  return 0; /* Lua ends the process */
}

/* As luaL_newstate has it: off until a script says warn("@on"). A message comes in pieces. */
static void write_warning(void *userdata, const char *piece, int to_continue) {
  host *h = userdata;
  if (!h->in_warning && !to_continue && *piece == '@') {
    if (strcmp(piece, "@on") == 0) h->warns = true;
    if (strcmp(piece, "@off") == 0) h->warns = false;
    return;
  }
  if (h->warns) fprintf(stderr, "%s%s%s", h->in_warning ? "" : "Lua warning: ", piece, to_continue ? "" : "\n");
  h->in_warning = to_continue != 0;
}

static lua_State *new_state(host *h) {
  lua_State *L = lua_newstate(allocate, &h->memory);
  if (!L) return NULL;
  lua_atpanic(L, panic);
  lua_gc(L, LUA_GCINC, GC_PAUSE, 0, 0);
  lua_setwarnf(L, write_warning, h);
  return L;
}

int main(int argc, char **argv) {
  host h = {
      .level = LMOPT_LOG_INFO, .terminal = isatty(STDERR_FILENO) == 1, .results = stdout, .argc = argc, .argv = argv};
  lmopt_config config;
  lmopt_config_init(&config);
  config.log = log_line;
  config.log_userdata = &h;
  lmopt_status opened = lmopt_open(&config, &h.runtime);
  if (opened != LMOPT_OK) {
    fprintf(stderr, "lmopt: %s\n", lmopt_strstatus(opened));
    return STATUS_FAILED;
  }
  install_signals(h.runtime);

  int status = STATUS_FAILED;
  lua_State *L = new_state(&h);
  if (L == NULL) {
    fprintf(stderr, "lmopt: no memory\n");
  } else {
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, &h);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK) {
      status = (int)lua_tointeger(L, -1);
    } else {
      const char *message = lua_tostring(L, -1);
      fprintf(stderr, "lmopt: %s\n", message != NULL ? message : "an error that is no text");
      if (interrupted) status = STATUS_INTERRUPTED;
    }
    lua_close(L);
  }
  free_pool(&h.memory);
  signal(SIGINT, SIG_IGN); /* nothing is left to stop */
  lmopt_close(h.runtime);
  if (!flush_results(&h) && status == STATUS_DONE) status = STATUS_FAILED;
  return status;
}
