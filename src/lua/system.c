/*
** lmopt.core.system: what the command line needs of the system and Lua lacks.
** See lua/meta/system.lua.
*/
#define _DEFAULT_SOURCE
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "lua/binding.h"

enum { DEFAULT_WIDTH = 80, FILE_BLOCK = 64 * 1024 };

/* --- terminal --- */

static int l_is_terminal(lua_State *L) {
  lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)) == 1);
  return 1;
}

static int l_terminal_width(lua_State *L) {
  struct winsize size;
  int fd = (int)luaL_optinteger(L, 1, STDERR_FILENO);
  bool known = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  lua_pushinteger(L, known ? size.ws_col : DEFAULT_WIDTH);
  return 1;
}

static int l_write_error(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  while (size > 0) {
    ssize_t written = write(STDERR_FILENO, text, size);
    if (written < 0 && errno != EINTR) break; /* nobody listens: there is nowhere to complain */
    if (written > 0) {
      text += written;
      size -= (size_t)written;
    }
  }
  return 0;
}

/* --- texts --- */

/* Bytes of the text on top, or of all that the table on top has in it. */
static size_t text_size(lua_State *L, lua_Integer depth) {
  size_t size = 0;
  int type = lua_type(L, -1);
  if (type == LUA_TSTRING) return (size_t)lua_rawlen(L, -1);
  if (type != LUA_TTABLE || depth <= 0 || !lua_checkstack(L, 3)) return 0;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    size += text_size(L, depth - 1);
    lua_pop(L, 1);
  }
  return size;
}

static int l_text_size(lua_State *L) {
  lua_Integer depth = luaL_checkinteger(L, 2);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)text_size(L, depth < 16 ? depth : 16));
  return 1;
}

/* --- clocks and the process --- */

static int l_monotonic(lua_State *L) {
  lua_pushnumber(L, lm_clock_monotonic());
  return 1;
}

static int l_utc(lua_State *L) {
  lua_pushnumber(L, lm_clock_utc());
  return 1;
}

static int l_process_id(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* --- hashes --- */

static int collect_digest(lua_State *L) {
  EVP_MD_CTX **digest = lua_touserdata(L, 1);
  EVP_MD_CTX_free(*digest);
  *digest = NULL;
  return 0;
}

/* Pushes a started SHA-256. */
static EVP_MD_CTX *push_digest(lua_State *L) {
  EVP_MD_CTX **digest = lua_newuserdatauv(L, sizeof *digest, 0);
  *digest = NULL;
  if (luaL_newmetatable(L, "lmopt.digest")) {
    lua_pushcfunction(L, collect_digest);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  *digest = EVP_MD_CTX_new();
  if (!*digest || EVP_DigestInit_ex(*digest, EVP_sha256(), NULL) != 1) luaL_error(L, "SHA-256 is not available");
  return *digest;
}

static void push_bytes(lua_State *L, const unsigned char *bytes, unsigned size) {
  static const char digits[] = "0123456789abcdef";
  char text[2 * EVP_MAX_MD_SIZE];
  for (unsigned i = 0; i < size; i++) {
    text[2 * i] = digits[bytes[i] >> 4];
    text[2 * i + 1] = digits[bytes[i] & 15];
  }
  lua_pushlstring(L, text, 2 * (size_t)size);
}

/* Pushes the digest in hexadecimal. */
static void push_hexadecimal(lua_State *L, EVP_MD_CTX *digest) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  EVP_DigestFinal_ex(digest, bytes, &size);
  push_bytes(L, bytes, size);
}

/* What nobody else has drawn: no study's random number depends on it. */
static int l_unique(lua_State *L) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return luaL_error(L, "the system has no random numbers");
  push_bytes(L, bytes, sizeof bytes);
  return 1;
}

static int l_is_utf8(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  lua_pushboolean(L, lm_utf8_prefix(text, size) == size);
  return 1;
}

static int l_sha256(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  EVP_MD_CTX *digest = push_digest(L);
  EVP_DigestUpdate(digest, text, size);
  push_hexadecimal(L, digest);
  return 1;
}

static int close_file(lua_State *L) {
  FILE **file = lua_touserdata(L, 1);
  if (*file) fclose(*file);
  *file = NULL;
  return 0;
}

/* Pushes nil, "path: reason". */
static int push_system_error(lua_State *L, const char *path, int reason) {
  luaL_pushfail(L);
  lua_pushfstring(L, "%s: %s", path, strerror(reason));
  return 2;
}

static int l_sha256_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  EVP_MD_CTX *digest = push_digest(L);
  char *block = lua_newuserdatauv(L, FILE_BLOCK, 0);
  FILE **file = lua_newuserdatauv(L, sizeof *file, 0);
  *file = NULL;
  if (luaL_newmetatable(L, "lmopt.file")) {
    lua_pushcfunction(L, close_file);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  *file = fopen(path, "rb");
  if (!*file) return push_system_error(L, path, errno);
  size_t got;
  while ((got = fread(block, 1, FILE_BLOCK, *file)) > 0) EVP_DigestUpdate(digest, block, got);
  int reason = ferror(*file) ? errno : 0;
  fclose(*file);
  *file = NULL;
  if (reason) return push_system_error(L, path, reason);
  push_hexadecimal(L, digest);
  return 1;
}

/* Leaves the first `size` bytes of a file. */
static int l_cut_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_Integer size = luaL_checkinteger(L, 2);
  luaL_argcheck(L, size >= 0, 2, "must not be negative");
  if (truncate(path, (off_t)size) != 0) return push_system_error(L, path, errno);
  lua_pushboolean(L, 1);
  return 1;
}

/* Where a file that is written beside and then renamed has to end: at the end of a symbolic link, and on no device or folder. */
static int l_write_place(lua_State *L) {
  size_t size;
  const char *path = luaL_checklstring(L, 1, &size);
  struct stat found;
  char resolved[PATH_MAX];
  if (strlen(path) != size) {
    luaL_pushfail(L);
    lua_pushliteral(L, "there is a NUL in its name");
    return 2;
  }
  if (lstat(path, &found) == 0 && S_ISLNK(found.st_mode)) {
    if (!realpath(path, resolved)) return push_system_error(L, path, errno);
    path = resolved;
  }
  if (stat(path, &found) == 0 && !S_ISREG(found.st_mode)) {
    luaL_pushfail(L);
    lua_pushstring(L, S_ISDIR(found.st_mode) ? "it is a folder" : "it is not a file");
    return 2;
  }
  lua_pushstring(L, path);
  return 1;
}

/* --- folders --- */

/* Makes one folder; one that is there is fine. */
static bool make_folder(const char *path) {
  struct stat found;
  if (mkdir(path, 0777) == 0) return true;
  if (errno != EEXIST) return false;
  if (stat(path, &found) == 0 && S_ISDIR(found.st_mode)) return true;
  errno = ENOTDIR;
  return false;
}

static int l_make_folders(lua_State *L) {
  size_t size;
  const char *path = luaL_checklstring(L, 1, &size);
  char *part = lua_newuserdatauv(L, size + 1, 0);
  memcpy(part, path, size + 1);
  for (size_t i = 1; i <= size; i++) {
    if (part[i] != '/' && part[i] != '\0') continue;
    char kept = part[i];
    part[i] = '\0';
    if (!make_folder(part)) return push_system_error(L, part, errno);
    part[i] = kept;
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* Where the XDG base directory specification puts caches. */
static int l_user_cache_folder(lua_State *L) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (cache && cache[0] == '/')
    lua_pushfstring(L, "%s/lmopt", cache);
  else if (home && home[0] == '/')
    lua_pushfstring(L, "%s/.cache/lmopt", home);
  else
    luaL_pushfail(L);
  return 1;
}

int lm_open_system(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"is_terminal", l_is_terminal},
      {"terminal_width", l_terminal_width},
      {"write_error", l_write_error},
      {"monotonic", l_monotonic},
      {"utc", l_utc},
      {"process_id", l_process_id},
      {"unique", l_unique},
      {"is_utf8", l_is_utf8},
      {"text_size", l_text_size},
      {"sha256", l_sha256},
      {"sha256_file", l_sha256_file},
      {"cut_file", l_cut_file},
      {"write_place", l_write_place},
      {"make_folders", l_make_folders},
      {"user_cache_folder", l_user_cache_folder},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  lua_pushliteral(L, LMOPT_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
