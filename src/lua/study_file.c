/*
** What a study keeps beside its trials (properties, the journal of model
** calls, the budget), and the studies of a file.
*/
#include <math.h>
#include <string.h>

#include "lua/study.h"

/* Argument 1; *s is NULL for a study in memory. False: it is closed, which is not the same. */
static bool storage_of(lua_State *L, lm_study **study, lm_storage **s, lm_error *e) {
  *study = lm_study_argument(L);
  *s = lm_study_storage(*study);
  if (lm_study_is_open(*study)) return true;
  lm_fail(e, LMOPT_MISUSE, "the study '%s' is closed", lm_study_name(*study));
  return false;
}

/* Pushes a text that is ours, and frees it, whether or not Lua has memory. */
static int push_owned(lua_State *L, const lm_allocator *a, char *text) {
  lua_pushlightuserdata(L, text);
  bool pushed = lua_pcall(L, 1, 1, 0) == LUA_OK; /* l_copy is below it */
  lm_free(a, text);
  return pushed ? 1 : lua_error(L);
}

static int l_copy(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 1));
  return 1;
}

static lm_id trial_id(lm_study *study, lua_Integer number) {
  if (number < 0 || (size_t)number >= lm_study_trials(study)->count) return 0;
  return lm_study_info(study, (size_t)number)->id;
}

/* --- properties --- */

/* property(key) -> json or nil; nil without a storage */
static int l_property(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  const char *key = luaL_checkstring(L, 2);
  if (!s) return 0;
  char *json = NULL;
  if (lm_storage_property(s, lm_study_id(study), key, &json, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  if (!json) return 0;
  lua_pushcfunction(L, l_copy);
  return push_owned(L, lm_study_allocator(study), json);
}

static int l_set_property(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  const char *key = luaL_checkstring(L, 2), *json = luaL_checkstring(L, 3);
  if (s && lm_storage_set_property(s, lm_study_id(study), key, json, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, s != NULL);
  return 1;
}

static int l_heartbeat(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
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

/* --- model calls --- */

static void read_cost(lua_State *L, int index, lm_cost *cost, double absent) {
  static const char *const keys[] = {"calls", "prompt_tokens", "completion_tokens", "usd"};
  double values[4];
  for (int i = 0; i < 4; i++) {
    lua_getfield(L, index, keys[i]);
    values[i] = lua_isnil(L, -1) ? absent : luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
  *cost = (lm_cost){(long long)values[0], (long long)values[1], (long long)values[2], values[3]};
}

static void push_cost(lua_State *L, const lm_cost *cost) {
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, (lua_Integer)cost->calls);
  lua_setfield(L, -2, "calls");
  lua_pushinteger(L, (lua_Integer)cost->prompt_tokens);
  lua_setfield(L, -2, "prompt_tokens");
  lua_pushinteger(L, (lua_Integer)cost->completion_tokens);
  lua_setfield(L, -2, "completion_tokens");
  lua_pushnumber(L, cost->usd);
  lua_setfield(L, -2, "usd");
}

/* reserve_call(number, key, model, request, worst) -> call, or nil without a storage */
static int l_reserve_call(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  lua_Integer number = luaL_checkinteger(L, 2);
  const char *key = luaL_checkstring(L, 3), *model = luaL_checkstring(L, 4), *request = luaL_checkstring(L, 5);
  luaL_checktype(L, 6, LUA_TTABLE);
  lm_cost worst;
  read_cost(L, 6, &worst, 0);
  lm_id call = 0;
  if (s && lm_storage_reserve_call(s, lm_study_id(study), trial_id(study, number), key, model, request, &worst, &call,
                                   &e) != LMOPT_OK)
    return lm_study_failed(L, &e);
  lua_pushinteger(L, (lua_Integer)call);
  return 1;
}

/* settle_call(call, reply or nil, cost, seconds) */
static int l_settle_call(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  lm_id call = (lm_id)luaL_checkinteger(L, 2);
  const char *reply = luaL_optstring(L, 3, NULL);
  luaL_checktype(L, 4, LUA_TTABLE);
  double seconds = luaL_optnumber(L, 5, 0);
  lm_cost actual;
  read_cost(L, 4, &actual, 0);
  if (s && lm_storage_settle_call(s, call, reply, &actual, seconds, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

/* replay_call(number, key, nth) -> reply text or nil */
static int l_replay_call(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  lua_Integer number = luaL_checkinteger(L, 2);
  const char *key = luaL_checkstring(L, 3);
  lua_Integer nth = luaL_checkinteger(L, 4);
  if (!s) return 0;
  char *reply = NULL;
  if (lm_storage_replay_call(s, trial_id(study, number), key, (size_t)nth, &reply, &e) != LMOPT_OK)
    return lm_study_failed(L, &e);
  if (!reply) return 0;
  lua_pushcfunction(L, l_copy);
  return push_owned(L, lm_study_allocator(study), reply);
}

/*
** A list that is filled from inside a walk through a file: what Lua raises
** there must not leave the walk, so every item is pushed protected.
*/
typedef struct lm_listing {
  lua_State *L;       /* the list is on top */
  lua_CFunction push; /* (item as light userdata) -> value */
  bool failed;
} lm_listing;

static void add_item(lm_listing *listing, const void *item) {
  lua_State *L = listing->L;
  if (listing->failed) return;
  lua_pushcfunction(L, listing->push);
  lua_pushvalue(L, -2);
  lua_pushlightuserdata(L, (void *)(uintptr_t)item);
  listing->failed = lua_pcall(L, 2, 0, 0) != LUA_OK;
  if (listing->failed) lua_pop(L, 1);
}

static lmopt_status listing_status(const lm_listing *listing, lmopt_status status, lm_error *e) {
  return status == LMOPT_OK && listing->failed ? lm_fail_memory(e) : status;
}

/* (list, call) */
static int push_call(lua_State *L) {
  const lm_stored_call *call = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_createtable(L, 0, 5);
  lua_pushstring(L, call->model);
  lua_setfield(L, -2, "model");
  lua_pushstring(L, call->request);
  lua_setfield(L, -2, "request");
  lua_pushstring(L, call->reply);
  lua_setfield(L, -2, "reply");
  push_cost(L, &call->cost);
  lua_pushnumber(L, call->seconds);
  lua_setfield(L, -2, "seconds");
  lua_setfield(L, -2, "usage");
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return 0;
}

static void each_call(void *userdata, const lm_stored_call *call) { add_item(userdata, call); }

/* calls(number) -> list of {model=, request=, reply=, usage=} */
static int l_calls(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  lua_Integer number = luaL_checkinteger(L, 2);
  lua_newtable(L);
  lm_listing listing = {L, push_call, false};
  lmopt_status status = s ? lm_storage_calls(s, trial_id(study, number), each_call, &listing, &e) : LMOPT_OK;
  status = listing_status(&listing, status, &e);
  return status == LMOPT_OK ? 1 : lm_study_failed(L, &e);
}

static int l_set_budget(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  luaL_checktype(L, 2, LUA_TTABLE);
  lm_cost limit;
  read_cost(L, 2, &limit, -1);
  if (s && lm_storage_set_budget(s, lm_study_id(study), &limit, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, s != NULL);
  return 1;
}

/* budget() -> limit, spent; negative limits are none */
static int l_budget(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  if (!s) return 0;
  lm_cost limit, spent;
  if (lm_storage_budget(s, lm_study_id(study), &limit, &spent, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  push_cost(L, &limit);
  push_cost(L, &spent);
  return 2;
}

static const luaL_Reg call_methods[] = {
    {"property", l_property},
    {"set_property", l_set_property},
    {"heartbeat", l_heartbeat},
    {"release_dead", l_release_dead},
    {"reserve_call", l_reserve_call},
    {"settle_call", l_settle_call},
    {"replay_call", l_replay_call},
    {"calls", l_calls},
    {"set_budget", l_set_budget},
    {"budget", l_budget},
    {NULL, NULL},
};

void lm_study_add_call_methods(lua_State *L) { luaL_setfuncs(L, call_methods, 0); }

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

static void each_summary(void *userdata, const lm_study_summary *summary) { add_item(userdata, summary); }

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
  lmopt_status status = listing_status(&listing, lm_storage_list(*box, each_summary, &listing, &e), &e);
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
