/*
** lmopt.core.text_index: texts found by their words (io/text_index.h). What is
** meant is in lua/meta/text_index.lua.
*/
#include <string.h>

#include "io/text_index.h"
#include "lua/binding.h"

static const char index_type[] = "lmopt.text_index";

typedef struct box {
  lm_text_index *index; /* NULL once closed */
} box;

static lm_text_index *to_index(lua_State *L) {
  box *b = luaL_checkudata(L, 1, index_type);
  if (!b->index) luaL_error(L, "the index is closed");
  return b->index;
}

static int l_close(lua_State *L) {
  box *b = luaL_checkudata(L, 1, index_type);
  lm_text_index_close(b->index);
  b->index = NULL;
  return 0;
}

/* The lists on the stack that hold the texts, which are strings: reading them allocates nothing, and raises nothing. */
typedef struct lists {
  lua_State *L;
  int texts, data;
} lists;

static const char *item_of(lua_State *L, int list, size_t i, size_t *size) {
  lua_rawgeti(L, list, (lua_Integer)i + 1);
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, size) : NULL;
  lua_pop(L, 1); /* the list keeps it */
  return text;
}

static void read_item(void *userdata, size_t i, lm_text *out) {
  const lists *l = userdata;
  out->text = item_of(l->L, l->texts, i, &out->size);
  if (l->data) out->data = item_of(l->L, l->data, i, &out->data_size);
}

/* Checks the list in the field, and leaves it on the stack; 0: there is none. */
static int push_list(lua_State *L, const char *name, lua_Unsigned *count, bool gaps) {
  if (lua_getfield(L, 1, name) == LUA_TNIL) return 0;
  if (!lua_istable(L, -1)) return lm_misuse(L, "'%s' must be a list", name);
  if (!gaps) *count = lua_rawlen(L, -1);
  for (lua_Unsigned i = 1; i <= *count; i++) {
    int type = lua_rawgeti(L, -1, (lua_Integer)i);
    if (type != LUA_TSTRING && !(gaps && (type == LUA_TBOOLEAN || type == LUA_TNIL)))
      return lm_misuse(L, "%s[%d] must be a string, not a %s", name, (int)i, lua_typename(L, type));
    lua_pop(L, 1);
  }
  return lua_gettop(L);
}

/* open{path=, tokenizer=, texts=, data=} -> true, index */
static int l_open(lua_State *L) {
  static const char *const names[] = {"path", "tokenizer", "texts", "data", NULL};
  static const char *const tokenizers[] = {"unicode61", "porter", "trigram", NULL};
  lua_settop(L, 1);
  luaL_checktype(L, 1, LUA_TTABLE);
  lm_check_options(L, 1, names, "text_index.open");
  lm_text_index_options options;
  memset(&options, 0, sizeof options);
  options.path = lm_option_text(L, 1, "path", NULL, NULL);
  const char *tokenizer = lm_option_text(L, 1, "tokenizer", tokenizers[0], NULL);
  while (tokenizers[options.tokenizer] && strcmp(tokenizers[options.tokenizer], tokenizer) != 0) options.tokenizer++;
  if (!tokenizers[options.tokenizer]) return lm_misuse(L, "there is no tokenizer '%s'", tokenizer);
  lua_Unsigned count = 0;
  lists l = {.L = L};
  l.texts = push_list(L, "texts", &count, false);
  if (l.texts) l.data = push_list(L, "data", &count, true);
  box *b = lua_newuserdatauv(L, sizeof *b, 0);
  b->index = NULL;
  luaL_setmetatable(L, index_type);
  luaL_checkstack(L, 4, NULL);
  if (l.texts) options.item = read_item;
  options.userdata = &l;
  options.count = (size_t)count;
  lmopt_runtime *rt = lm_binding_find_runtime(L);
  if (rt && lm_runtime_never_block(rt)) options.patience = 2; /* a frame can't wait for other processes */
  lm_allocator a;
  a.fn = lua_getallocf(L, &a.userdata);
  lm_error e;
  if (lm_text_index_open(&a, &options, &b->index, &e) != LMOPT_OK) return lm_push_failure(L, &e);
  lua_pushboolean(L, 1);
  lua_insert(L, -2);
  return 2;
}

/* index:find(query, limit) -> true, list */
static int l_find(lua_State *L) {
  lm_text_index *index = to_index(L);
  size_t size;
  const char *query = luaL_checklstring(L, 2, &size);
  lua_Integer limit = luaL_checkinteger(L, 3);
  lm_text_hit hit;
  lm_error e;
  bool found = true;
  lua_settop(L, 3);
  lua_pushboolean(L, 1);
  lua_newtable(L);
  lmopt_status status = lm_text_index_find(index, query, size, limit, &e);
  /* What Lua raises in between leaves a question half answered: the next one begins anew. */
  for (lua_Integer i = 1; status == LMOPT_OK; i++) {
    status = lm_text_index_next(index, &hit, &found, &e);
    if (status != LMOPT_OK || !found) break;
    lua_createtable(L, 0, 4);
    lua_pushlstring(L, hit.text.text, hit.text.size);
    lua_setfield(L, -2, "text");
    if (hit.text.data) {
      lua_pushlstring(L, hit.text.data, hit.text.data_size);
      lua_setfield(L, -2, "data");
    }
    lua_pushinteger(L, (lua_Integer)hit.number);
    lua_setfield(L, -2, "number");
    lua_pushnumber(L, hit.score);
    lua_setfield(L, -2, "score");
    lua_rawseti(L, -2, i);
  }
  return status == LMOPT_OK ? 2 : lm_push_failure(L, &e);
}

/* index:count() */
static int l_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lm_text_index_count(to_index(L)));
  return 1;
}

int lm_open_text_index(lua_State *L) {
  static const luaL_Reg functions[] = {{"open", l_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"find", l_find}, {"count", l_count}, {"close", l_close}, {NULL, NULL}};
  luaL_newmetatable(L, index_type);
  lua_pushcfunction(L, l_close);
  lua_setfield(L, -2, "__gc");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  return 1;
}
