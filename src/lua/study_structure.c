/* Structured variables (subsets and orders of items) for Lua: items as Lua values, parameters by their names. */
#include <string.h>

#include "lua/study.h"

/* The items of a call, anchored on the stack. */
typedef struct items {
  const char **names, **texts; /* of the parameters; JSON */
  double *values;              /* 3 * count */
  size_t count;
} items;

static int fail_item(lua_State *L, size_t i, const char *problem) {
  lm_error e;
  lm_fail(&e, LMOPT_MISUSE, "item %zu %s", i + 1, problem);
  return lm_study_failed(L, &e);
}

/* What item `i` is called in the names of parameters: a text is itself, anything else its JSON. */
static const char *push_name(lua_State *L, const char *variable, int item, const char *json) {
  lua_pushfstring(L, "%s[%s]", variable, lua_type(L, item) == LUA_TSTRING ? lua_tostring(L, item) : json);
  return lua_tostring(L, -1);
}

/* What keeps item `i` (on top) from being one, or NULL. */
static const char *item_problem(lua_State *L) {
  size_t size = 0;
  if (lua_type(L, -1) != LUA_TSTRING) return NULL;
  const char *text = lua_tolstring(L, -1, &size);
  if (strlen(text) != size) return "has a zero byte in it";
  return lm_utf8_prefix(text, size) < size ? "is not UTF-8" : NULL;
}

/*
** Reads the list at `index`; texts are kept in a table that is left on the
** stack. False: nil, a message and a kind are on top.
*/
static bool read_items(lua_State *L, int index, const char *variable, items *out) {
  out->count = (size_t)lua_rawlen(L, index);
  size_t room = out->count + 1;
  out->values = lua_newuserdatauv(L, room * (3 * sizeof(double) + 2 * sizeof(char *)), 0);
  out->names = (const char **)(void *)(out->values + 3 * room);
  out->texts = out->names + room;
  lua_createtable(L, (int)(2 * out->count), 0);
  int kept = lua_gettop(L);
  for (size_t i = 0; i < out->count; i++) {
    lm_buffer *text = lm_study_push_buffer(L);
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    int whole;
    lua_Integer integer = lua_tointegerx(L, -1, &whole);
    if (whole && lua_type(L, -1) == LUA_TNUMBER) { /* 1.0 is 1: files don't tell them apart */
      lua_pop(L, 1);
      lua_pushinteger(L, integer);
    }
    const char *problem = item_problem(L);
    if (!problem && (lua_isnil(L, -1) || !lm_study_add_choice(L, -1, text)))
      problem = "must be a string, a finite number, a boolean or lmopt.null";
    if (problem) {
      fail_item(L, i, problem);
      return false;
    }
    if (text->status != LMOPT_OK) luaL_error(L, "out of memory");
    lua_pushlstring(L, text->data, text->size);
    out->texts[i] = lua_tostring(L, -1);
    lua_rawseti(L, kept, 2 * (lua_Integer)i + 1);
    out->names[i] = push_name(L, variable, lua_gettop(L), out->texts[i]);
    lua_rawseti(L, kept, 2 * (lua_Integer)i + 2);
    lua_pop(L, 2);
  }
  return true;
}

/* No two items may share a parameter: the same twice, or 1 and "1". False: nil, a message and a kind are on top. */
static bool check_names(lua_State *L, const items *list) {
  lua_createtable(L, 0, (int)list->count);
  for (size_t i = 0; i < list->count; i++) {
    if (lua_getfield(L, -1, list->names[i]) != LUA_TNIL) {
      lm_error e;
      lm_fail(&e, LMOPT_MISUSE, "items %d and %zu are both called '%.200s'", (int)lua_tointeger(L, -1), i + 1,
              list->names[i]);
      lm_study_failed(L, &e);
      return false;
    }
    lua_pushinteger(L, (lua_Integer)i + 1);
    lua_setfield(L, -3, list->names[i]);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return true;
}

/* Internal values of the list of places at `index`: those that are chosen, or all in their order. */
static const double *read_places(lua_State *L, int index, lm_structure structure, const items *list) {
  if (lua_isnoneornil(L, index)) return NULL;
  double *values = list->values + list->count;
  size_t given = (size_t)lua_rawlen(L, index);
  for (size_t i = 0; i < list->count; i++) values[i] = structure == LM_SUBSET ? 0 : 1;
  for (size_t i = 0; i < given; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    lua_Integer place = luaL_checkinteger(L, -1);
    luaL_argcheck(L, place >= 1 && (size_t)place <= list->count, index, "a place in the list of items expected");
    values[place - 1] = structure == LM_SUBSET ? 1 : lm_structure_key(i, list->count);
    lua_pop(L, 1);
  }
  return values;
}

/* Pushes the places of the items that are chosen, or of all in their order. */
static void push_places(lua_State *L, lm_structure structure, const items *list) {
  lua_createtable(L, (int)list->count, 0);
  if (structure == LM_PERMUTATION) {
    double *positions = list->values + list->count;
    lm_structure_positions(list->values, positions, list->count);
    for (size_t i = 0; i < list->count; i++) {
      lua_pushinteger(L, (lua_Integer)i + 1);
      lua_rawseti(L, -2, (lua_Integer)positions[i] + 1);
    }
    return;
  }
  lua_Integer chosen = 0;
  for (size_t i = 0; i < list->count; i++) {
    if (!(list->values[i] > 0.5)) continue;
    lua_pushinteger(L, (lua_Integer)i + 1);
    lua_rawseti(L, -2, ++chosen);
  }
}

static const char *const structure_names[] = {"subset", "permutation", NULL};

/*
** suggest_structure(number, name, "subset" or "permutation", items [, least [, most [, drawn]]])
** -> the places of the items chosen, or of all in their order. `drawn`, such a
** list, is what is used when nothing is planned; nil: the sampler decides.
*/
static int l_suggest_structure(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lua_Integer number = luaL_checkinteger(L, 2);
  lm_structure_request r = {.name = luaL_checkstring(L, 3)};
  r.structure = (lm_structure)luaL_checkoption(L, 4, NULL, structure_names);
  luaL_checktype(L, 5, LUA_TTABLE);
  luaL_argcheck(L, number >= 0, 2, "a trial number is 0 or more");
  lua_settop(L, 8);
  lua_Integer most = luaL_optinteger(L, 7, UINT32_MAX), least = luaL_optinteger(L, 6, 0);
  r.most = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
  r.least = (uint32_t)least;
  items list;
  if (!read_items(L, 5, r.name, &list) || !check_names(L, &list)) return 3;
  luaL_argcheck(L, list.count > 0, 5, "a list with something in it expected");
  const double *drawn = read_places(L, 8, r.structure, &list);
  r.names = list.names;
  r.items = list.texts;
  r.count = list.count;
  lm_error e;
  if (lm_study_suggest_structure(study, (size_t)number, &r, drawn, list.values, &e) != LMOPT_OK)
    return lm_study_failed(L, &e);
  push_places(L, r.structure, &list);
  return 1;
}

/* --- parts, both ways --- */

void lm_study_push_part(lua_State *L, const lm_part *part) {
  lua_createtable(L, 0, 5);
  lua_pushstring(L, structure_names[part->structure]);
  lua_setfield(L, -2, "structure");
  lua_pushstring(L, part->variable);
  lua_setfield(L, -2, "variable");
  lua_pushstring(L, part->item);
  lua_setfield(L, -2, "item");
  if (part->structure == LM_PERMUTATION) return;
  lua_pushinteger(L, part->least);
  lua_setfield(L, -2, "min");
  if (part->most == UINT32_MAX) return;
  lua_pushinteger(L, part->most);
  lua_setfield(L, -2, "max");
}

const lm_part *lm_study_read_part(lua_State *L, int index) {
  luaL_checktype(L, index, LUA_TTABLE);
  lm_part *part = lua_newuserdatauv(L, sizeof *part, 0);
  const char *const fields[] = {"structure", "variable", "item", "min", "max"};
  for (int i = 0; i < 5; i++) lua_getfield(L, index, fields[i]);
  int first = lua_gettop(L) - 4;
  part->structure = (lm_structure)luaL_checkoption(L, first, NULL, structure_names);
  part->variable = luaL_checkstring(L, first + 1); /* both are anchored in the table */
  part->item = luaL_checkstring(L, first + 2);
  part->least = (uint32_t)luaL_optinteger(L, first + 3, 0);
  part->most = (uint32_t)luaL_optinteger(L, first + 4, UINT32_MAX);
  lua_pop(L, 5);
  return part;
}

static const luaL_Reg structure_methods[] = {
    {"suggest_structure", l_suggest_structure},
    {NULL, NULL},
};

void lm_study_add_structure_methods(lua_State *L) { luaL_setfuncs(L, structure_methods, 0); }
