/*
** lmopt.core.json: writes Lua values as JSON (reading is in json_read.c).
**
** The text depends on the value alone: object keys are sorted by their bytes
** (or follow a declared order: of all objects, or of one), never the order of `pairs`; numbers are the
** shortest text that reads back the same, integers stay integers and floats
** keep a fraction. Tables are read raw: no metamethod runs while we write.
**
** The text grows in a buffer inside a userdata, and keys being sorted stay on
** Lua's stack or in a table, so that an error raised anywhere leaks nothing.
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "lua/json.h"

enum {
  DEPTH_MAX = 128,
  INDENT_MAX = 16,
  FEW_KEYS = 24,         /* of a table whose keys and values are sorted on the stack */
  KEPT_BYTES = 64 * 1024 /* of the buffer, from one text to the next */
};

/* A text larger than this is a mistake, not a request. */
static const size_t text_limit = (size_t)1 << 30;

/* Upvalues of the functions that write. */
enum { WRITER = 1, OPTIONS, RANKS };

static const char array_mark[] = "lmopt.array";
static const char order_mark[] = "lmopt.order"; /* in the metatable of an ordered object: key -> place */
static const char writer_mark[] = "lmopt.json.writer";

/* One step of the way from the value given to the one being written. */
typedef struct step {
  const void *table; /* the container, to notice cycles */
  const char *key;   /* anchored by the table of sorted keys; NULL: an array's item */
  lua_Integer index; /* an array's item, from 1 */
} step;

typedef struct options {
  int indent; /* spaces a level; 0: all on one line */
  int ranks;  /* stack index of the table of declared keys -> place, or 0 */
  bool nan_literal, utf8_error;
} options;

typedef struct writer {
  lm_allocator allocator;
  lm_buffer text;
  options options;
  bool
      busy; /* a finalizer that runs while we write gets a writer of its own, as does everybody after a lack of memory */
  int depth;
  step path[DEPTH_MAX];
} writer;

/* A key to be sorted. The bytes belong to a string that is anchored elsewhere. */
typedef struct sort_key {
  const char *text;
  size_t size;
  lua_Integer rank; /* place among the declared keys; after all of them when it is none */
  int place;        /* on the stack, its value after it; 0: it is not there */
} sort_key;

static int free_writer(lua_State *L) {
  writer *w = lua_touserdata(L, 1);
  lm_buffer_free(&w->text);
  w->busy = true;
  return 0;
}

static writer *push_writer(lua_State *L) {
  writer *w = lua_newuserdatauv(L, sizeof *w, 0);
  memset(w, 0, sizeof *w);
  w->allocator.fn = lua_getallocf(L, &w->allocator.userdata);
  lm_buffer_init(&w->text, &w->allocator, text_limit);
  luaL_setmetatable(L, writer_mark);
  return w;
}

static bool is_identifier(const char *text) {
  if (!*text || (*text >= '0' && *text <= '9')) return false;
  for (; *text; text++)
    if (!((*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') || (*text >= '0' && *text <= '9') ||
          *text == '_'))
      return false;
  return true;
}

/* Pushes where the writer is: user.list[3]. */
static void push_path(lua_State *L, const writer *w) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (int i = 0; i < w->depth; i++) {
    const step *s = &w->path[i];
    if (i == 8 && w->depth > 12) { /* the middle of a very deep path says nothing */
      lua_pushliteral(L, "...");
      i = w->depth - 3;
    } else if (!s->key) {
      lua_pushfstring(L, "[%I]", (LUAI_UACINT)s->index);
    } else if (is_identifier(s->key)) {
      lua_pushfstring(L, i ? ".%s" : "%s", s->key);
    } else {
      lua_pushfstring(L, "[\"%s\"]", s->key);
    }
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
}

/* Raises at the line of encode's caller: what is wrong, and where in the value. */
static int fail(lua_State *L, writer *w, const char *what) {
  w->busy = false;
  if (w->depth == 0) return luaL_error(L, "json.encode: %s", what);
  push_path(L, w);
  return luaL_error(L, "json.encode: %s at %s", what, lua_tostring(L, -1));
}

static void write_text(lua_State *L, writer *w, const char *text, size_t size) {
  if (w->options.utf8_error && lm_utf8_prefix(text, size) < size) fail(L, w, "text that is not UTF-8");
  lm_buffer_add_json_string(&w->text, text, size);
}

static void check_buffer(lua_State *L, writer *w) {
  if (w->text.status == LMOPT_OK) return;
  w->busy = false;
  if (w->text.status == LMOPT_LIMIT) luaL_error(L, "json.encode: the text is larger than 1 GiB");
  luaL_error(L, "not enough memory");
}

static void break_line(writer *w) {
  if (w->options.indent == 0) return;
  lm_buffer_add_char(&w->text, '\n');
  for (int i = 0; i < w->options.indent * w->depth; i++) lm_buffer_add_char(&w->text, ' ');
}

static int compare_keys(const void *left, const void *right) {
  const sort_key *a = left, *b = right;
  if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
  int order = memcmp(a->text, b->text, a->size < b->size ? a->size : b->size);
  return order ? order : (a->size > b->size) - (a->size < b->size);
}

static void write_value(lua_State *L, writer *w);

static lua_Integer rank_of(lua_State *L, const writer *w, int key) {
  if (!w->options.ranks) return 0;
  lua_pushvalue(L, key);
  lua_rawget(L, w->options.ranks);
  lua_Integer rank = lua_isnil(L, -1) ? LUA_MAXINTEGER : lua_tointeger(L, -1);
  lua_pop(L, 1);
  return rank;
}

/* Has the keys of the table at `table` ranked by an order of its own, if it has one, which is pushed then. Returns what
** ranked them before. */
static int use_own_order(lua_State *L, writer *w, int table) {
  int before = w->options.ranks;
  if (!lua_getmetatable(L, table)) return before;
  lua_pushstring(L, order_mark);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_istable(L, -1))
    w->options.ranks = lua_gettop(L);
  else
    lua_pop(L, 1);
  return before;
}

/* Writes the members in the order of `keys`. */
static void write_members(lua_State *L, writer *w, int table, const sort_key *keys, size_t count) {
  step *place = &w->path[w->depth++];
  place->table = lua_topointer(L, table);
  lm_buffer_add_char(&w->text, '{');
  for (size_t i = 0; i < count; i++) {
    if (i) lm_buffer_add_char(&w->text, ',');
    break_line(w);
    write_text(L, w, keys[i].text, keys[i].size);
    lm_buffer_add_text(&w->text, w->options.indent ? ": " : ":");
    place->key = keys[i].text;
    if (keys[i].place) {
      lua_pushvalue(L, keys[i].place + 1);
    } else {
      lua_pushlstring(L, keys[i].text, keys[i].size);
      lua_rawget(L, table);
    }
    write_value(L, w);
    lua_pop(L, 1);
  }
  w->depth--;
  break_line(w);
  lm_buffer_add_char(&w->text, '}');
}

/*
** Writes the table at `table` when all its keys are strings, and few: then nothing is allocated. False: nothing is written.
*/
static bool write_small_object(lua_State *L, writer *w, int table) {
  sort_key keys[FEW_KEYS];
  int top = lua_gettop(L);
  if (!lua_checkstack(L, 2 * FEW_KEYS + 10)) fail(L, w, "tables too deep for the stack");
  int ranks = use_own_order(L, w, table);
  size_t found = 0;
  lua_pushnil(L);
  while (lua_next(L, table)) {
    sort_key key;
    key.place = lua_gettop(L) - 1;
    if (found == FEW_KEYS || lua_type(L, key.place) != LUA_TSTRING) {
      w->options.ranks = ranks;
      lua_settop(L, top);
      return false;
    }
    key.text = lua_tolstring(L, key.place, &key.size);
    key.rank = rank_of(L, w, key.place);
    size_t i = found++;
    for (; i > 0 && compare_keys(&keys[i - 1], &key) > 0; i--) keys[i] = keys[i - 1];
    keys[i] = key;
    lua_pushvalue(L, key.place);
  }
  w->options.ranks = ranks; /* what is inside has an order of its own, or that */
  if (found > 0) write_members(L, w, table, keys, found);
  lua_settop(L, top);
  return found > 0;
}

/* The same, for any number of keys. */
static void write_large_object(lua_State *L, writer *w, int table, size_t count) {
  lua_createtable(L, count < 1024 ? (int)count : 1024, 0);
  int anchor = lua_gettop(L);
  sort_key *keys = lua_newuserdatauv(L, count * sizeof *keys, 0);
  int ranks = use_own_order(L, w, table);
  size_t found = 0;
  lua_pushnil(L);
  while (found < count && lua_next(L, table)) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, anchor, (lua_Integer)found + 1);
    keys[found].text = lua_tolstring(L, -1, &keys[found].size);
    keys[found].rank = rank_of(L, w, lua_gettop(L));
    keys[found++].place = 0;
  }
  lua_settop(L, anchor + 1);
  w->options.ranks = ranks;
  qsort(keys, found, sizeof *keys, compare_keys);
  write_members(L, w, table, keys, found);
  lua_settop(L, anchor - 1);
}

static void write_array(lua_State *L, writer *w, int table, lua_Integer count) {
  step *place = &w->path[w->depth++];
  place->table = lua_topointer(L, table);
  place->key = NULL;
  lm_buffer_add_char(&w->text, '[');
  for (lua_Integer i = 1; i <= count; i++) {
    if (i > 1) lm_buffer_add_char(&w->text, ',');
    break_line(w);
    place->index = i;
    lua_rawgeti(L, table, i);
    write_value(L, w);
    lua_pop(L, 1);
  }
  w->depth--;
  break_line(w);
  lm_buffer_add_char(&w->text, ']');
}

static bool is_marked_array(lua_State *L, int table) {
  if (!lua_getmetatable(L, table)) return false;
  luaL_getmetatable(L, array_mark);
  bool same = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return same;
}

/* Counts the keys of the table at `table`; raises unless they make one object or one array. */
static lua_Integer survey_table(lua_State *L, writer *w, int table, bool *is_array) {
  lua_Integer integers = 0, strings = 0, highest = 0;
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
      strings++;
    } else if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1) {
      lua_Integer key = lua_tointeger(L, -1);
      if (key > highest) highest = key;
      integers++;
    } else if (lua_type(L, -1) == LUA_TNUMBER) {
      fail(L, w, "a table with a number that is no list index as key");
    } else {
      lua_pushfstring(L, "a table with a %s as key", luaL_typename(L, -1));
      fail(L, w, lua_tostring(L, -1));
    }
  }
  bool marked = is_marked_array(L, table);
  if (marked && strings) fail(L, w, "an lmopt.array with string keys");
  if (integers && strings) fail(L, w, "a mixed table (list items and string keys)");
  if (highest != integers) fail(L, w, "a sparse list (an item is nil)");
  *is_array = marked || integers > 0;
  return *is_array ? integers : strings;
}

static void write_table(lua_State *L, writer *w) {
  int table = lua_gettop(L);
  const void *identity = lua_topointer(L, table);
  for (int i = 0; i < w->depth; i++)
    if (w->path[i].table == identity) fail(L, w, "a cycle");
  if (w->depth < DEPTH_MAX && !is_marked_array(L, table) && write_small_object(L, w, table)) return;
  bool is_array;
  lua_Integer count = survey_table(L, w, table, &is_array);
  if (count == 0)
    lm_buffer_add_text(&w->text, is_array ? "[]" : "{}");
  else if (w->depth == DEPTH_MAX)
    fail(L, w, "more than 128 levels of tables");
  else if (is_array)
    write_array(L, w, table, count);
  else
    write_large_object(L, w, table, (size_t)count);
}

static void write_number(lua_State *L, writer *w) {
  if (lua_isinteger(L, -1)) {
    lm_buffer_add_json_integer(&w->text, (long long)lua_tointeger(L, -1));
    return;
  }
  double value = (double)lua_tonumber(L, -1);
  if (!w->options.nan_literal && !isfinite(value)) fail(L, w, isnan(value) ? "not-a-number" : "an infinite number");
  lm_buffer_add_json_double(&w->text, value);
}

/* Writes the value on top of the stack and leaves it there. */
static void write_value(lua_State *L, writer *w) {
  if (!lua_checkstack(L, 12)) fail(L, w, "tables too deep for the stack");
  size_t size;
  const char *text;
  switch (lua_type(L, -1)) {
    case LUA_TTABLE: write_table(L, w); break;
    case LUA_TNUMBER: write_number(L, w); break;
    case LUA_TBOOLEAN: lm_buffer_add_text(&w->text, lua_toboolean(L, -1) ? "true" : "false"); break;
    case LUA_TSTRING:
      text = lua_tolstring(L, -1, &size);
      write_text(L, w, text, size);
      break;
    case LUA_TLIGHTUSERDATA:
      if (lua_touserdata(L, -1)) fail(L, w, "a light userdata other than lmopt.null");
      lm_buffer_add_text(&w->text, "null");
      break;
    case LUA_TNIL: fail(L, w, "nil (write lmopt.null)"); break;
    default: lua_pushfstring(L, "a %s", luaL_typename(L, -1)); fail(L, w, lua_tostring(L, -1));
  }
  check_buffer(L, w);
}

/* Pushes the table declared key -> place for options.keys, or raises. */
static void push_ranks(lua_State *L, int keys) {
  luaL_argcheck(L, lua_istable(L, keys), 2, "'keys' must be a list of strings");
  lua_createtable(L, 0, (int)lua_rawlen(L, keys));
  for (lua_Integer i = 1; lua_rawgeti(L, keys, i) != LUA_TNIL; i++) {
    luaL_argcheck(L, lua_type(L, -1) == LUA_TSTRING, 2, "'keys' must be a list of strings");
    lua_pushinteger(L, i);
    lua_rawset(L, -3);
  }
  lua_pop(L, 1);
}

static void check_option_name(lua_State *L) {
  static const char *const known[] = {"indent", "sort", "keys", "nan", "utf8"};
  if (lua_type(L, -1) != LUA_TSTRING) luaL_argerror(L, 2, "options have names");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (strcmp(lua_tostring(L, -1), known[i]) == 0) return;
  luaL_argerror(L, 2,
                lua_pushfstring(L, "unknown option '%s' (known: indent, sort, keys, nan, utf8)", lua_tostring(L, -1)));
}

/* Reads the options at index 2; leaves the table of ranks, or nil, at index 3. */
static void read_options(lua_State *L, options *o) {
  if (lua_isnoneornil(L, 2)) {
    lua_settop(L, 2);
    lua_pushnil(L);
    return;
  }
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    lua_pop(L, 1);
    check_option_name(L);
  }
  lua_getfield(L, 2, "sort");
  luaL_argcheck(L, lua_isnil(L, -1) || (lua_isboolean(L, -1) && lua_toboolean(L, -1)), 2,
                "'sort' can only be true: any other order would change from run to run");
  lua_getfield(L, 2, "indent");
  int is_integer = 1;
  lua_Integer indent = lua_isnil(L, -1) ? 0 : lua_tointegerx(L, -1, &is_integer);
  luaL_argcheck(L, is_integer && indent >= 0 && indent <= INDENT_MAX, 2, "'indent' must be an integer from 0 to 16");
  lua_getfield(L, 2, "nan");
  const char *nan = lua_isnil(L, -1) ? "error" : lua_tostring(L, -1);
  luaL_argcheck(L, nan && (strcmp(nan, "error") == 0 || strcmp(nan, "literal") == 0), 2,
                "'nan' must be \"error\" or \"literal\"");
  o->nan_literal = strcmp(nan, "literal") == 0;
  lua_getfield(L, 2, "utf8");
  const char *utf8 = lua_isnil(L, -1) ? "replace" : lua_tostring(L, -1);
  luaL_argcheck(L, utf8 && (strcmp(utf8, "error") == 0 || strcmp(utf8, "replace") == 0), 2,
                "'utf8' must be \"error\" or \"replace\"");
  o->utf8_error = strcmp(utf8, "error") == 0;
  o->indent = (int)indent;
  lua_getfield(L, 2, "keys");
  if (!lua_isnil(L, -1)) {
    push_ranks(L, lua_gettop(L));
    o->ranks = 3;
  }
  lua_replace(L, 3);
  lua_settop(L, 3);
}

/* Pushes the text of the value at index 1. */
static int write_given(lua_State *L, const options *given) {
  writer *w = lua_touserdata(L, lua_upvalueindex(WRITER));
  if (w->busy) w = push_writer(L);
  w->options = *given;
  w->depth = 0;
  w->busy = true;
  lm_buffer_clear(&w->text);
  lua_pushvalue(L, 1);
  write_value(L, w);
  w->busy = false;
  lua_pushlstring(L, lm_buffer_text(&w->text), w->text.size); /* copied before the collector steps */
  if (w->text.capacity > KEPT_BYTES) lm_buffer_free(&w->text);
  return 1;
}

/* encode(value, options) -> text */
static int encode(lua_State *L) {
  luaL_checkany(L, 1);
  options given = {0};
  read_options(L, &given);
  return write_given(L, &given);
}

/* What encoder() makes: (value) -> text */
static int encode_as_said(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  options given = *(const options *)lua_touserdata(L, lua_upvalueindex(OPTIONS));
  if (given.ranks) given.ranks = lua_upvalueindex(RANKS);
  return write_given(L, &given);
}

/* encoder(options) -> function(value) -> text: the options are read once */
static int encoder(lua_State *L) {
  options given = {0};
  lua_settop(L, 1);
  lua_pushnil(L);
  lua_insert(L, 1); /* where encode has its value */
  read_options(L, &given);
  lua_pushvalue(L, lua_upvalueindex(WRITER));
  memcpy(lua_newuserdatauv(L, sizeof given, 0), &given, sizeof given);
  lua_pushvalue(L, 3);
  lua_pushcclosure(L, encode_as_said, RANKS);
  return 1;
}

/* read(text) -> value; nothing where only lua-cjson can tell */
static int l_read(lua_State *L) {
  luaL_checktype(L, 1, LUA_TSTRING);
  lua_settop(L, 1);
  writer *w = lua_touserdata(L, lua_upvalueindex(1));
  return w->busy ? 0 : lm_json_read(L, 1, &w->text);
}

/* array(list) -> list, marked as an array; nil makes a new one. */
static int mark_array(lua_State *L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  if (lua_getmetatable(L, 1)) {
    lua_pop(L, 1);
    luaL_argcheck(L, is_marked_array(L, 1), 1, "the table has a metatable of its own");
    return 1;
  }
  luaL_setmetatable(L, array_mark);
  return 1;
}

/* ordered(object, keys) -> object, whose members are written in the order of `keys`, and others after them. */
static int mark_order(lua_State *L) {
  lua_settop(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argcheck(L, !lua_getmetatable(L, 1), 1, "the table has a metatable of its own");
  lua_createtable(L, 0, 1);
  push_ranks(L, 2);
  lua_setfield(L, 3, order_mark);
  lua_setmetatable(L, 1);
  lua_settop(L, 1);
  return 1;
}

/* is_array(value) -> boolean: marked by array() */
static int is_array_value(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, lua_istable(L, 1) && is_marked_array(L, 1));
  return 1;
}

int lm_open_json(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"array", mark_array}, {"ordered", mark_order}, {"is_array", is_array_value}, {NULL, NULL}};
  if (luaL_newmetatable(L, writer_mark)) {
    lua_pushcfunction(L, free_writer);
    lua_setfield(L, -2, "__gc");
  }
  luaL_newmetatable(L, array_mark);
  lua_pop(L, 2);
  luaL_newlib(L, functions);
  static const luaL_Reg writing[] = {{"encode", encode}, {"encoder", encoder}, {"read", l_read}, {NULL, NULL}};
  push_writer(L);
  luaL_setfuncs(L, writing, 1);
  lua_pushlightuserdata(L, NULL); /* what lua-cjson calls null */
  lua_setfield(L, -2, "null");
  return 1;
}
