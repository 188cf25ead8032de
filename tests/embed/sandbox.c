/* A host that opens only what can do no harm: no io, os, debug or package, and no require. */
#include "check.h"

/* What the guide shows, without a library that could do harm. */
static void documented(lua_State *L) {
  CHECK(run(L,
            "for _, sampler in ipairs { 'tpe', 'random', 'brute_force', lmopt.samplers.grid { search_space = { x = {0, "
            "0.5, 1} } },\n"
            "    lmopt.samplers.partial_fixed { fixed_params = { x = 0.5 } } } do\n"
            "  local s = lmopt.create_study { seed = 1, sampler = sampler, pruner = lmopt.pruners.median {} }\n"
            "  s:optimize(function(trial)\n"
            "    local x = trial:suggest_float('x', 0, 1, { step = 0.5 })\n"
            "    trial:report(x, 1) lmopt.sleep(0) trial:should_prune() return x\n"
            "  end, { n_trials = 12, n_jobs = 3 })\n"
            "  assert(s.best_value >= 0 and #s.trials >= 3 and s.best_params.x)\n"
            "end"));
  CHECK(run(L,
            "local s = lmopt.create_study { seed = 1, directions = { 'minimize', 'maximize' } }\n"
            "s:enqueue_trial { x = 1 }\n"
            "s:add_trial(lmopt.create_trial { values = { 0.5, 0.5 }, params = { x = 0.5 },\n"
            "  distributions = { x = lmopt.distributions.float(0, 1) } })\n"
            "local trial = s:ask() assert(trial:suggest_float('x', 0, 1) == 1) s:tell(trial, { 1, 1 })\n"
            "s:optimize(function(t) t:set_constraint('c', -1) t:set_user_attr('a', { 1 })\n"
            "  local m = t:suggest_module('m', { one = 1, two = 2 }) return t:suggest_float('x', 0, 1), m end, { "
            "n_trials = 15 })\n"
            "assert(#s.best_trials > 0 and s.trials[5].user_attrs.a[1] == 1)"));
  CHECK(run(L,
            "lmopt.configure { lm = 'offline' }\n"
            "local words = lmopt.map({ 'an invoice', 'a crash' }, function(text)\n"
            "  return lmopt.lm() { messages = { { role = 'system', content = 'Answer with one of:\\n- money: "
            "invoice\\n- bug: crash' },\n"
            "    { role = 'user', content = text } } }.text end)\n"
            "assert(words[1] == 'money' and words[2] == 'bug', words[1])\n"
            "local echo = lmopt.lm(function(r) return r.messages[1].content end, { name = 'echo' })\n"
            "assert(echo 'hello'.text == 'hello')"));
  CHECK(run(L,
            "assert(lmopt.json.encode { b = 1.5, a = lmopt.array {} } == '{\"a\":[],\"b\":1.5}')\n"
            "assert(lmopt.json.decode '[1, null]'[1] == 1 and lmopt.json.decode '{' == nil)"));
  CHECK(run(L,
            "local s = lmopt.create_study { seed = 1 }\n"
            "s:optimize(function() local t = nil return t.x end, { n_trials = 1 })\n"
            "assert(s.trials[1].state == 'failed' and s.trials[1].error:find 'index')\n"
            "local ok, e = pcall(lmopt.spawn(function() lmopt.sleep(0) error('x') end).await) assert(not ok)"));
}

/* What needs a library that is not there says which, at the caller's line. */
static void refused(lua_State *L) {
  CHECK(run(L,
            "local s = lmopt.create_study { seed = 1 }\n"
            "local ok, e = pcall(function() s:export('study.csv') end)\n"
            "assert(not ok and e:find('%]:2: export needs Lua\\'s libraries io and os'), e)"));
  CHECK(
      run(L,
          "local ok, e = pcall(lmopt.lm 'openai/none', 'hello')\n" /* no os.getenv: no key is found, and that is said */
          "assert(not ok and e.kind == 'auth' and e.message:find 'api_key', tostring(e))"));
}

int main(void) {
  static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},          {LUA_TABLIBNAME, luaopen_table},
                                       {LUA_STRLIBNAME, luaopen_string},   {LUA_MATHLIBNAME, luaopen_math},
                                       {LUA_COLIBNAME, luaopen_coroutine}, {NULL, NULL}};
  lua_State *L = luaL_newstate();
  for (const luaL_Reg *library = libraries; library->name; library++) {
    luaL_requiref(L, library->name, library->func, 1);
    lua_pop(L, 1);
  }
  /* A host's own require that knows nothing of lmopt is left alone and not asked. */
  CHECK(run(L, "function require(name) error('not here: ' .. name) end kept = require"));
  CHECK(run(L, "names = {} for name in pairs(_G) do names[name] = true end names.names = true"));
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  CHECK(lua_istable(L, -1));
  lua_getglobal(L, "names"); /* a new global may only be what we set here */
  lua_pushnil(L);
  lua_pop(L, 2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, L);
  CHECK(run(L, "for name in pairs(_G) do assert(names[name], name) end assert(require == kept)"));
  lua_rawgetp(L, LUA_REGISTRYINDEX, L);
  lua_setglobal(L, "lmopt");
  CHECK(run(L, "local t = lmopt.spawn(function(a) lmopt.sleep(0.001) return a end, 5) assert(t:await() == 5)"));
  CHECK(run(L, "local r = lmopt.map({1, 2}, function(x) lmopt.sleep(0) return x end) assert(r[2] == 2)"));
  CHECK(run(L,
            "local ok, e = pcall(function() lmopt.map({}, print, {concurency = 1}) end)\n"
            "assert(e:find('%]:1: unknown option'), e)"));
  CHECK(run(L,
            "local s = lmopt.create_study { seed = 1, sampler = 'random' }\n"
            "s:optimize(function(trial) return trial:suggest_float('x', 0, 1) end, { n_trials = 3 })\n"
            "assert(s.best_trial)"));
  documented(L);
  refused(L);
  lua_close(L);
  return conclude();
}
