/* The journal of a study's model calls, and its budget. */
#include <math.h>
#include <string.h>

#include "lua/study.h"

static lm_id trial_id(lm_study *study, lua_Integer number) {
  if (number < 0 || (size_t)number >= lm_study_trials(study)->count) return 0;
  return lm_study_info(study, (size_t)number)->id;
}

/* --- costs --- */

/* A number that an integer can hold: 2^53 is more than anybody counts. */
static long long to_count(double value) {
  return value >= 0x1p53 ? 1LL << 53 : value > -0x1p53 ? (long long)value : -1;
}

static double read_field(lua_State *L, int index, const char *key, double absent) {
  lua_getfield(L, index, key);
  double value = lua_isnil(L, -1) ? absent : luaL_checknumber(L, -1);
  lua_pop(L, 1);
  return value;
}

static lm_cost read_cost(lua_State *L, int index) {
  return (lm_cost){.calls = to_count(read_field(L, index, "calls", 0)),
                   .prompt_tokens = to_count(read_field(L, index, "prompt_tokens", 0)),
                   .completion_tokens = to_count(read_field(L, index, "completion_tokens", 0)),
                   .usd = read_field(L, index, "usd", 0),
                   .cached_tokens = to_count(read_field(L, index, "cached_tokens", 0)),
                   .reasoning_tokens = to_count(read_field(L, index, "reasoning_tokens", 0))};
}

static void set_count(lua_State *L, const char *key, long long count) {
  lua_pushinteger(L, (lua_Integer)count);
  lua_setfield(L, -2, key);
}

static void set_amount(lua_State *L, const char *key, double amount) {
  lua_pushnumber(L, amount);
  lua_setfield(L, -2, key);
}

static void push_cost(lua_State *L, const lm_cost *cost) {
  lua_createtable(L, 0, 7);
  set_count(L, "calls", cost->calls);
  set_count(L, "prompt_tokens", cost->prompt_tokens);
  set_count(L, "completion_tokens", cost->completion_tokens);
  set_count(L, "cached_tokens", cost->cached_tokens);
  set_count(L, "reasoning_tokens", cost->reasoning_tokens);
  set_amount(L, "usd", cost->usd);
}

/* --- calls --- */

/* reserve_call(number, key, model, request, worst) -> call, or nil without a storage */
static int l_reserve_call(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  lua_Integer number = luaL_checkinteger(L, 2);
  const char *key = luaL_checkstring(L, 3), *model = luaL_checkstring(L, 4), *request = luaL_checkstring(L, 5);
  luaL_checktype(L, 6, LUA_TTABLE);
  lm_cost worst = read_cost(L, 6);
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
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  lm_id call = (lm_id)luaL_checkinteger(L, 2);
  const char *reply = luaL_optstring(L, 3, NULL);
  luaL_checktype(L, 4, LUA_TTABLE);
  double seconds = luaL_optnumber(L, 5, 0);
  lm_cost actual = read_cost(L, 4);
  if (s && lm_storage_settle_call(s, call, reply, &actual, seconds, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

/* replay_call(number, key, nth) -> reply text or nil */
static int l_replay_call(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  lua_Integer number = luaL_checkinteger(L, 2);
  const char *key = luaL_checkstring(L, 3);
  lua_Integer nth = luaL_checkinteger(L, 4);
  if (!s) return 0;
  char *reply = NULL;
  if (lm_storage_replay_call(s, trial_id(study, number), key, (size_t)nth, &reply, &e) != LMOPT_OK)
    return lm_study_failed(L, &e);
  if (!reply) return 0;
  return lm_study_push_text(L, lm_study_allocator(study), reply);
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

static void each_call(void *userdata, const lm_stored_call *call) { lm_study_add_item(userdata, call); }

/* calls(number) -> list of {model=, request=, reply=, usage=} */
static int l_calls(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  lua_Integer number = luaL_checkinteger(L, 2);
  lua_newtable(L);
  lm_listing listing = {L, push_call, false};
  lmopt_status status = s ? lm_storage_calls(s, trial_id(study, number), each_call, &listing, &e) : LMOPT_OK;
  status = lm_study_listing_status(&listing, status, &e);
  return status == LMOPT_OK ? 1 : lm_study_failed(L, &e);
}

/* --- the budget --- */

/* (list, account) */
static int push_account(lua_State *L) {
  const lm_account *account = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, account->model);
  lua_setfield(L, -2, "model");
  const lm_limit *limit = &account->limit;
  lua_createtable(L, 0, 6);
  if (limit->calls >= 0) set_count(L, "calls", limit->calls);
  if (limit->tokens >= 0) set_count(L, "tokens", limit->tokens);
  if (limit->prompt_tokens >= 0) set_count(L, "prompt_tokens", limit->prompt_tokens);
  if (limit->completion_tokens >= 0) set_count(L, "completion_tokens", limit->completion_tokens);
  if (limit->usd >= 0) set_amount(L, "usd", limit->usd);
  if (limit->seconds >= 0) set_amount(L, "seconds", limit->seconds);
  lua_setfield(L, -2, "limit");
  push_cost(L, &account->spent);
  set_amount(L, "seconds", account->seconds);
  lua_setfield(L, -2, "spent");
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return 0;
}

static void each_account(void *userdata, const lm_account *account) { lm_study_add_item(userdata, account); }

/* accounts([number]) -> list of {model=, limit=, spent=} of the study (model "": all of it), or of a trial; nil without a storage */
static int l_accounts(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  bool one = !lua_isnoneornil(L, 2);
  lua_Integer number = one ? luaL_checkinteger(L, 2) : 0;
  if (!s) return 0;
  lua_newtable(L);
  lm_listing listing = {L, push_account, false};
  lmopt_status status = one ? lm_storage_trial_accounts(s, trial_id(study, number), each_account, &listing, &e)
                            : lm_storage_accounts(s, lm_study_id(study), each_account, &listing, &e);
  status = lm_study_listing_status(&listing, status, &e);
  return status == LMOPT_OK ? 1 : lm_study_failed(L, &e);
}

/* The limits at `index`; the text of the model stays in its table. */
static lm_account read_account(lua_State *L, int index) {
  lua_getfield(L, index, "model");
  lm_account account = {.model = luaL_checkstring(L, -1),
                        .limit = {.calls = to_count(read_field(L, index, "calls", -1)),
                                  .tokens = to_count(read_field(L, index, "tokens", -1)),
                                  .prompt_tokens = to_count(read_field(L, index, "prompt_tokens", -1)),
                                  .completion_tokens = to_count(read_field(L, index, "completion_tokens", -1)),
                                  .usd = read_field(L, index, "usd", -1),
                                  .seconds = read_field(L, index, "seconds", -1)}};
  lua_pop(L, 1);
  return account;
}

/* set_budget(list of {model=, calls=, ...}): all limits there are from now on -> false without a storage */
static int l_set_budget(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t count = (size_t)lua_rawlen(L, 2);
  lm_account *accounts = lua_newuserdatauv(L, (count + 1) * sizeof *accounts, 0);
  for (size_t i = 0; i < count; i++) {
    luaL_argcheck(L, lua_rawgeti(L, 2, (lua_Integer)i + 1) == LUA_TTABLE, 2, "a list of tables expected");
    accounts[i] = read_account(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  if (s && lm_storage_set_budget(s, lm_study_id(study), accounts, count, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, s != NULL);
  return 1;
}

/* take_seconds(wanted) -> taken; nil without a storage */
static int l_take_seconds(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  double wanted = luaL_checknumber(L, 2), taken = 0;
  if (!s) return 0;
  if (lm_storage_take_seconds(s, lm_study_id(study), wanted, &taken, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushnumber(L, taken);
  return 1;
}

static const luaL_Reg call_methods[] = {
    {"reserve_call", l_reserve_call}, {"settle_call", l_settle_call},
    {"replay_call", l_replay_call},   {"calls", l_calls},
    {"accounts", l_accounts},         {"set_budget", l_set_budget},
    {"take_seconds", l_take_seconds}, {NULL, NULL},
};

void lm_study_add_call_methods(lua_State *L) { luaL_setfuncs(L, call_methods, 0); }
