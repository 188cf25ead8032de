/*
** What a Lua value of plain data is, as 32 bytes: the SHA-256 of a text that
** says its types, sizes and contents without ambiguity. Two values have the
** same one exactly when they have the same contents, whatever order their
** keys are met in. For memory only: the text is no format.
**
** Tables are read raw, and nothing here makes the collector step, so that what
** is being read can't change meanwhile.
*/
#include <string.h>

#include "lua/identity.h"

enum {
  DEEPEST = 32,
  MOST_KEYS = 64, /* of a table with names; requests have few */
  GATHERED = 2048 /* what is shorter is handed on together */
};

typedef struct reader {
  lua_State *L;
  lm_digest *digest;
  int depth;
  size_t used;
  unsigned char bytes[GATHERED];
} reader;

static void add_bytes(reader *r, const void *bytes, size_t size) {
  if (size > GATHERED - r->used) {
    lm_digest_add(r->digest, r->bytes, r->used);
    r->used = 0;
  }
  if (size > GATHERED) {
    lm_digest_add(r->digest, bytes, size);
    return;
  }
  memcpy(r->bytes + r->used, bytes, size);
  r->used += size;
}

/* A type's letter, and eight bytes: a number, or a size. */
static void add_head(reader *r, char type, const void *eight) {
  unsigned char head[9] = {(unsigned char)type};
  memcpy(head + 1, eight, 8);
  add_bytes(r, head, sizeof head);
}

static void add_size(reader *r, char type, size_t size) {
  const unsigned long long eight = size;
  add_head(r, type, &eight);
}

static void add_text(reader *r, int index) {
  size_t size;
  const char *text = lua_tolstring(r->L, index, &size);
  add_size(r, 's', size);
  add_bytes(r, text, size);
}

static void add_number(reader *r, int index) {
  if (lua_isinteger(r->L, index)) {
    const lua_Integer value = lua_tointeger(r->L, index);
    add_head(r, 'i', &value);
  } else {
    const lua_Number value = lua_tonumber(r->L, index);
    add_head(r, 'f', &value);
  }
}

static bool add_value(reader *r, int index);

/* The list at `table`, of `size` items and nothing else. */
static bool add_list(reader *r, int table, size_t size) {
  lua_State *L = r->L;
  add_size(r, 'l', size);
  bool plain = true;
  for (size_t i = 1; i <= size && plain; i++) {
    lua_rawgeti(L, table, (lua_Integer)i);
    plain = add_value(r, lua_gettop(L));
    lua_pop(L, 1);
  }
  return plain;
}

static int compare_texts(lua_State *L, int left, int right) {
  size_t size, other_size;
  const char *text = lua_tolstring(L, left, &size), *other = lua_tolstring(L, right, &other_size);
  int order = memcmp(text, other, size < other_size ? size : other_size);
  return order ? order : (size > other_size) - (size < other_size);
}

/* The table at `table`: its names and values are put on the stack, and added in the order of the names. */
static bool add_names(reader *r, int table) {
  lua_State *L = r->L;
  int places[MOST_KEYS], count = 0;
  lua_pushnil(L);
  while (lua_next(L, table)) {
    if (count == MOST_KEYS || lua_type(L, -2) != LUA_TSTRING || !lua_checkstack(L, 8)) return false;
    int place = lua_gettop(L) - 1, k = count++;
    for (; k > 0 && compare_texts(L, places[k - 1], place) > 0; k--) places[k] = places[k - 1];
    places[k] = place;
    lua_pushvalue(L, place);
  }
  add_size(r, 't', (size_t)count);
  for (int k = 0; k < count; k++) {
    add_text(r, places[k]);
    if (!add_value(r, places[k] + 1)) return false;
  }
  return true;
}

/* Whether the table at `table` is a list; the size of it. */
static bool is_list(lua_State *L, int table, size_t *size) {
  *size = (size_t)lua_rawlen(L, table);
  if (*size == 0) return false;
  lua_pushnil(L);
  size_t count = 0;
  bool integers = true; /* a name may be met before the items */
  while (integers && count <= *size && lua_next(L, table)) {
    lua_pop(L, 1);
    count++;
    integers = lua_isinteger(L, -1);
  }
  return integers && count == *size;
}

static bool add_table(reader *r, int table) {
  lua_State *L = r->L;
  if (r->depth == DEEPEST || !lua_checkstack(L, 8)) return false;
  int top = lua_gettop(L);
  bool marked = lua_getmetatable(L, table);
  if (marked) {
    luaL_getmetatable(L, "lmopt.array");
    bool array = lua_rawequal(L, -1, -2);
    lua_settop(L, top);
    if (!array) return false; /* what it stands for can't be read raw */
    add_size(r, 'a', 0);
  }
  size_t size;
  r->depth++;
  bool list = is_list(L, table, &size);
  lua_settop(L, top);
  bool plain = list ? add_list(r, table, size) : add_names(r, table);
  lua_settop(L, top);
  r->depth--;
  return plain;
}

static bool add_value(reader *r, int index) {
  switch (lua_type(r->L, index)) {
    case LUA_TSTRING: add_text(r, index); return true;
    case LUA_TNUMBER: add_number(r, index); return true;
    case LUA_TBOOLEAN: add_size(r, 'b', (size_t)lua_toboolean(r->L, index)); return true;
    case LUA_TTABLE: return add_table(r, index);
    case LUA_TLIGHTUSERDATA: add_size(r, 'n', 0); return !lua_touserdata(r->L, index);
    default: return false;
  }
}

int lm_identity_push(lua_State *L, int index, lm_digest *digest) {
  reader r;
  r.L = L;
  r.digest = digest;
  r.depth = 0;
  r.used = 0;
  unsigned char out[LM_DIGEST_SIZE];
  int top = lua_gettop(L);
  lm_digest_begin(digest);
  bool plain = add_value(&r, index);
  lua_settop(L, top);
  if (!plain) return 0;
  lm_digest_add(digest, r.bytes, r.used);
  if (!lm_digest_end(digest, out)) return 0;
  lua_pushlstring(L, (const char *)out, sizeof out);
  return 1;
}
