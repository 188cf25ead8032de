/*
** lmopt.core.plans: math/plans.h for Lua, where examples are counted from 1.
** Lists become arrays in the memory of the state. See lua/meta/plans.lua.
*/
#include "math/plans.h"
#include "lua/binding.h"

static const char *const kinds[] = {"zero_shot", "labeled", "bootstrap", "shuffled"};

static uint32_t check_count(lua_State *L, int index, lua_Integer least) {
  lua_Integer value = luaL_checkinteger(L, index);
  luaL_argcheck(L, value >= least && value <= INT32_MAX, index, "out of range");
  return (uint32_t)value;
}

/* [-0, +1] */
static uint32_t *push_array(lua_State *L, size_t count) {
  return lua_newuserdatauv(L, (count + 1) * sizeof(uint32_t), 0);
}

/* Pushes the list of so many numbers. [-0, +1] */
static void push_list(lua_State *L, const uint32_t *numbers, uint32_t count) {
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    lua_pushinteger(L, (lua_Integer)numbers[i] + 1);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void check_memory(lua_State *L, lmopt_status status) {
  if (status != LMOPT_OK) luaL_error(L, "not enough memory");
}

/* seed, number, purpose, count: a list. */
static int l_order(lua_State *L) {
  uint32_t count = check_count(L, 4, 0);
  uint32_t *order = push_array(L, count);
  lm_plan_order((uint64_t)luaL_checkinteger(L, 1), luaL_checkinteger(L, 2), luaL_checkstring(L, 3), order, count);
  push_list(L, order, count);
  return 1;
}

/* seed, number, purpose, count, size: a list. */
static int l_sample(lua_State *L) {
  uint32_t count = check_count(L, 4, 0), size = check_count(L, 5, 0);
  uint32_t *items = push_array(L, count);
  for (uint32_t i = 0; i < count; i++) items[i] = i;
  lm_rng rng = lm_rng_stream((uint64_t)luaL_checkinteger(L, 1), luaL_checkinteger(L, 2), luaL_checkstring(L, 3));
  if (size > count) size = count;
  lm_plan_sample(&rng, items, count, size);
  push_list(L, items, size);
  return 1;
}

/* list, example: the list without it. */
static int l_without(lua_State *L) {
  lua_Integer example = luaL_checkinteger(L, 2), kept = 0;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_Integer count = (lua_Integer)lua_rawlen(L, 1);
  lua_newtable(L);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    if (lua_isinteger(L, -1) && lua_tointeger(L, -1) == example)
      lua_pop(L, 1);
    else
      lua_rawseti(L, -2, ++kept);
  }
  return 1;
}

/* --- candidate sets of demonstrations --- */

static uint32_t read_limit(lua_State *L, const char *name, long long missing) {
  long long value = lm_option_integer(L, 1, name, missing);
  if (value < 0 || value > INT32_MAX) lm_misuse(L, "'%s' must be 0 or more", name);
  return (uint32_t)value;
}

static lm_plan_limits read_limits(lua_State *L) {
  static const char *const names[] = {"seed", "examples", "max_bootstrapped", "max_labeled", "first_labeled", NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  lm_check_options(L, 1, names, "plans");
  lm_plan_limits limits = {.seed = (uint64_t)lm_option_integer(L, 1, "seed", 0),
                           .examples = read_limit(L, "examples", 0),
                           .max_bootstrapped = read_limit(L, "max_bootstrapped", 4),
                           .max_labeled = read_limit(L, "max_labeled", 16)};
  lua_getfield(L, 1, "first_labeled");
  limits.first_labeled = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return limits;
}

/* limits, set: {kind=, bootstrapped=, labeled=, order=}. */
static int l_candidate(lua_State *L) {
  lm_plan_limits limits = read_limits(L);
  uint32_t set = check_count(L, 2, 0);
  uint32_t *order = push_array(L, limits.examples);
  lm_plan_set plan = lm_plan_candidate(&limits, set, order);
  lua_createtable(L, 0, 4);
  lua_pushstring(L, kinds[plan.kind]);
  lua_setfield(L, -2, "kind");
  lua_pushinteger(L, plan.bootstrapped);
  lua_setfield(L, -2, "bootstrapped");
  lua_pushinteger(L, plan.labeled);
  lua_setfield(L, -2, "labeled");
  push_list(L, order, limits.examples);
  lua_setfield(L, -2, "order");
  return 1;
}

/* Flags of the examples from the list at `index`: true, or a number that reaches the threshold. [-0, +1] */
static const unsigned char *push_flags(lua_State *L, int index, uint32_t examples, lua_Number threshold) {
  unsigned char *flags = lua_newuserdatauv(L, examples + 1, 0);
  for (uint32_t i = 0; i < examples; i++) {
    flags[i] = 0;
    if (!lua_istable(L, index)) continue;
    if (lua_rawgeti(L, index, (lua_Integer)i + 1) == LUA_TNUMBER)
      flags[i] = lua_tonumber(L, -1) >= threshold;
    else
      flags[i] = (unsigned char)lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  return flags;
}

/* limits, set, predictor, succeeded, threshold: two lists. */
static int l_demonstrations(lua_State *L) {
  lua_settop(L, 5);
  lm_plan_limits limits = read_limits(L);
  uint32_t set = check_count(L, 2, 0), made = 0;
  const char *predictor = luaL_checkstring(L, 3);
  if (!lua_isnil(L, 4)) luaL_checktype(L, 4, LUA_TTABLE);
  const unsigned char *succeeded = push_flags(L, 4, limits.examples, luaL_optnumber(L, 5, 1));
  uint32_t *list = push_array(L, 2 * (size_t)limits.examples);
  uint32_t count = lm_plan_demonstrations(&limits, set, predictor, succeeded, list, &made);
  push_list(L, list, made);
  push_list(L, list + made, count - made);
  return 2;
}

/* --- minibatches --- */

/* The groups of the examples, numbered as they come, from the list of names at `index`. [-0, +1] */
static const uint32_t *push_groups(lua_State *L, int index, uint32_t examples) {
  uint32_t *groups = push_array(L, examples), known = 0;
  luaL_argcheck(L, lua_rawlen(L, index) == examples, index, "must name the group of each example");
  lua_newtable(L);
  for (uint32_t i = 0; i < examples; i++) {
    lua_rawgeti(L, index, (lua_Integer)i + 1);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TNIL) {
      groups[i] = known;
      lua_pushvalue(L, -2);
      lua_pushinteger(L, known++);
      lua_rawset(L, -5);
    } else {
      groups[i] = (uint32_t)lua_tointeger(L, -1);
    }
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  return groups;
}

/* seed, batch, examples, size, groups or nil: a list. */
static int l_minibatch(lua_State *L) {
  lua_settop(L, 5);
  lua_Integer batch = luaL_checkinteger(L, 2);
  luaL_argcheck(L, batch >= 0, 2, "out of range");
  lm_plan_batches plan = {
      .seed = (uint64_t)luaL_checkinteger(L, 1), .examples = check_count(L, 3, 0), .size = check_count(L, 4, 1)};
  if (plan.size > plan.examples) plan.size = plan.examples;
  if (!lua_isnil(L, 5)) {
    luaL_checktype(L, 5, LUA_TTABLE);
    plan.groups = push_groups(L, 5, plan.examples);
  }
  uint32_t *list = push_array(L, plan.size);
  const lm_allocator *a = lm_runtime_allocator(lm_binding_runtime(L));
  if (plan.size > 0) check_memory(L, lm_plan_minibatch(a, &plan, (uint64_t)batch, list));
  push_list(L, list, plan.size);
  return 1;
}

/* --- duplicates --- */

/* The strings of the list at `index`, which keeps them. [-0, +1] */
static const lm_plan_text *push_texts(lua_State *L, int index, uint32_t *count) {
  luaL_checktype(L, index, LUA_TTABLE);
  lua_Unsigned length = lua_rawlen(L, index);
  luaL_argcheck(L, length < INT32_MAX, index, "too long");
  *count = (uint32_t)length;
  lm_plan_text *texts = lua_newuserdatauv(L, (*count + (size_t)1) * sizeof *texts, 0);
  for (uint32_t i = 0; i < *count; i++) {
    if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING) luaL_argerror(L, index, "not a list of strings");
    texts[i].bytes = lua_tolstring(L, -1, &texts[i].size);
    lua_pop(L, 1);
  }
  return texts;
}

/* texts: for each the place of the first one that is the same. */
static int l_same(lua_State *L) {
  uint32_t count;
  const lm_plan_text *texts = push_texts(L, 1, &count);
  uint32_t *first = push_array(L, count);
  check_memory(L, lm_plan_same(lm_runtime_allocator(lm_binding_runtime(L)), texts, count, first));
  push_list(L, first, count);
  return 1;
}

/* texts, overlap: for each the place of the first one that is alike. */
static int l_near(lua_State *L) {
  uint32_t count;
  double overlap = luaL_checknumber(L, 2);
  luaL_argcheck(L, overlap > 0 && overlap <= 1, 2, "must be above 0 and at most 1");
  const lm_plan_text *texts = push_texts(L, 1, &count);
  uint32_t *first = push_array(L, count);
  check_memory(L, lm_plan_near(lm_runtime_allocator(lm_binding_runtime(L)), texts, count, overlap, first));
  push_list(L, first, count);
  return 1;
}

int lm_open_plans(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"order", l_order},
      {"sample", l_sample},
      {"without", l_without},
      {"candidate", l_candidate},
      {"demonstrations", l_demonstrations},
      {"minibatch", l_minibatch},
      {"same", l_same},
      {"near", l_near},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
