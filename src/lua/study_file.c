/* What a study keeps beside its trials, and the studies of a file. Model calls: study_call.c. */
#include <math.h>
#include <string.h>

#include "lua/study.h"

bool lm_study_storage_of(lua_State *L, lm_study **study, lm_storage **s, lm_error *e) {
  *study = lm_study_argument(L);
  *s = lm_study_storage(*study);
  if (lm_study_is_open(*study)) return true;
  lm_fail(e, LMOPT_MISUSE, "the study '%s' is closed", lm_study_name(*study));
  return false;
}

static int l_copy(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 1));
  return 1;
}

int lm_study_push_text(lua_State *L, const lm_allocator *a, char *text) {
  lua_pushcfunction(L, l_copy);
  lua_pushlightuserdata(L, text);
  bool pushed = lua_pcall(L, 1, 1, 0) == LUA_OK;
  lm_free(a, text);
  return pushed ? 1 : lua_error(L);
}

/* --- properties --- */

/* property(key) -> json or nil; nil without a storage */
static int l_property(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  const char *key = luaL_checkstring(L, 2);
  if (!s) return 0;
  char *json = NULL;
  if (lm_storage_property(s, lm_study_id(study), key, &json, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  if (!json) return 0;
  return lm_study_push_text(L, lm_study_allocator(study), json);
}

static int l_set_property(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  const char *key = luaL_checkstring(L, 2), *json = luaL_checkstring(L, 3);
  if (s && lm_storage_set_property(s, lm_study_id(study), key, json, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, s != NULL);
  return 1;
}

static int l_heartbeat(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  if (s) lm_storage_heartbeat(s, NULL);
  return 0;
}

/* release_dead() -> how many trials of dead owners are waiting now */
static int l_release_dead(lua_State *L) {
  size_t released;
  lm_error e;
  if (lm_study_release_dead(lm_study_argument(L), &released, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushinteger(L, (lua_Integer)released);
  return 1;
}

/* --- lists --- */

void lm_study_add_item(lm_listing *listing, const void *item) {
  lua_State *L = listing->L;
  if (listing->failed) return;
  lua_pushcfunction(L, listing->push);
  lua_pushvalue(L, -2);
  lua_pushlightuserdata(L, (void *)(uintptr_t)item);
  listing->failed = lua_pcall(L, 2, 0, 0) != LUA_OK;
  if (listing->failed) lua_pop(L, 1);
}

lmopt_status lm_study_listing_status(const lm_listing *listing, lmopt_status status, lm_error *e) {
  return status == LMOPT_OK && listing->failed ? lm_fail_memory(e) : status;
}

static const luaL_Reg file_methods[] = {
    {"property", l_property},
    {"set_property", l_set_property},
    {"heartbeat", l_heartbeat},
    {"release_dead", l_release_dead},
    {NULL, NULL},
};

void lm_study_add_file_methods(lua_State *L) { luaL_setfuncs(L, file_methods, 0); }

/* --- files --- */

/* An open storage that is closed however the function ends. */
static const char file_metatable[] = "lmopt.core.study.file";

static int l_file_gc(lua_State *L) {
  lm_storage **box = luaL_checkudata(L, 1, file_metatable);
  lm_storage_close(*box);
  *box = NULL;
  return 0;
}

static lm_storage **open_file(lua_State *L, const char *location, unsigned flags, lm_error *e) {
  lm_storage **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  luaL_setmetatable(L, file_metatable);
  if (lm_storage_open(lm_runtime_allocator(lm_binding_runtime(L)), location, flags, box, e) != LMOPT_OK) return NULL;
  return box;
}

static void close_file(lm_storage **box) {
  lm_storage_close(*box);
  *box = NULL;
}

/* (list, summary) */
static int push_summary(lua_State *L) {
  const lm_study_summary *summary = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, summary->name);
  lua_setfield(L, -2, "name");
  lua_pushinteger(L, (lua_Integer)summary->study);
  lua_setfield(L, -2, "id");
  lua_createtable(L, 0, 5);
  for (int i = 0; i < 5; i++) {
    lua_pushinteger(L, (lua_Integer)summary->states[i]);
    lua_setfield(L, -2, lm_study_state_names[i]);
  }
  lua_setfield(L, -2, "trials");
  if (summary->first_start) {
    lua_pushstring(L, summary->first_start);
    lua_setfield(L, -2, "started");
  }
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return 0;
}

static void each_summary(void *userdata, const lm_study_summary *summary) { lm_study_add_item(userdata, summary); }

static lmopt_status add_directions(lua_State *L, lm_storage *s, lm_error *e) {
  for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, -1); i++) {
    lua_rawgeti(L, -1, i);
    lua_getfield(L, -1, "id");
    bool maximize[64];
    size_t count;
    lmopt_status status =
        lm_storage_directions(s, (lm_id)lua_tointeger(L, -1), maximize, sizeof maximize / sizeof *maximize, &count, e);
    lua_pop(L, 1);
    if (status != LMOPT_OK) return status;
    if (count > sizeof maximize / sizeof *maximize) count = sizeof maximize / sizeof *maximize; /* not to be opened */
    lua_createtable(L, (int)count, 0);
    for (size_t k = 0; k < count; k++) {
      lua_pushstring(L, maximize[k] ? "maximize" : "minimize");
      lua_rawseti(L, -2, (lua_Integer)k + 1);
    }
    lua_setfield(L, -2, "directions");
    lua_pop(L, 1);
  }
  return LMOPT_OK;
}

/* list(storage) -> list of summaries */
static int l_list(lua_State *L) {
  const char *location = luaL_checkstring(L, 1);
  lm_error e;
  lm_storage **box = open_file(L, location, LM_STORAGE_READ_ONLY, &e);
  if (!box) return lm_study_failed(L, &e);
  lua_newtable(L);
  lm_listing listing = {L, push_summary, false};
  lmopt_status status = lm_study_listing_status(&listing, lm_storage_list(*box, each_summary, &listing, &e), &e);
  if (status == LMOPT_OK) status = add_directions(L, *box, &e);
  close_file(box);
  return status == LMOPT_OK ? 1 : lm_study_failed(L, &e);
}

/* delete(storage, name) */
static int l_delete(lua_State *L) {
  const char *location = luaL_checkstring(L, 1), *name = luaL_checkstring(L, 2);
  lm_error e;
  lm_storage **box = open_file(L, location, 0, &e);
  if (!box) return lm_study_failed(L, &e);
  lm_id study;
  lmopt_status status = lm_storage_begin(*box, &e);
  if (status == LMOPT_OK) status = lm_storage_find_study(*box, name, &study, &e);
  if (status == LMOPT_OK) status = lm_storage_delete_study(*box, study, &e);
  if (status == LMOPT_OK)
    status = lm_storage_commit(*box, &e);
  else
    lm_storage_rollback(*box);
  close_file(box);
  if (status != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

/* check_distribution(kind, ...) -> true, or nil and what is wrong */
static int l_check_distribution(lua_State *L) {
  lm_distribution d;
  lm_error e;
  if (!lm_study_read_distribution(L, 1, &d, &e)) return lm_study_failed(L, &e);
  lua_pushnumber(L, d.high);
  return 1;
}

/* contains(value, kind, ...): is the internal value (of a choice: its 1-based place) the distribution's? */
static int l_contains(lua_State *L) {
  double value = luaL_checknumber(L, 1);
  lm_distribution d;
  lm_error e;
  if (!lm_study_read_distribution(L, 2, &d, &e)) return lm_study_failed(L, &e);
  lua_pushboolean(L, lm_distribution_contains(&d, d.kind == LM_CATEGORICAL ? value - 1 : value));
  return 1;
}

/* draw_seed() -> a fresh seed */
static int l_draw_seed(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)lm_runtime_draw_seed(lm_binding_runtime(L)));
  return 1;
}

void lm_study_add_functions(lua_State *L) {
  lm_study_add_space_functions(L);
  luaL_newmetatable(L, file_metatable);
  lua_pushcfunction(L, l_file_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  static const luaL_Reg functions[] = {
      {"list", l_list},         {"delete", l_delete},       {"check_distribution", l_check_distribution},
      {"contains", l_contains}, {"draw_seed", l_draw_seed}, {NULL, NULL},
  };
  luaL_setfuncs(L, functions, 0);
  lm_study_add_random(L);
}
