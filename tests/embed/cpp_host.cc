/* packages: lmopt lua5.4-c++ */
/*
** A host in C++ over a Lua that was built as C++, where an error is an
** exception: it passes through lmopt's frames and runs the destructors of the
** host's, in functions, tasks, finalizers and callbacks; nothing is lost.
*/
#include <lauxlib.h>
#include <lmopt.h>
#include <lua.h>
#include <lualib.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

int checks, failures;

void check(bool good, const char *text, int line) {
  checks++;
  if (!good) failures++;
  std::printf("%sok %d - %s\n", good ? "" : "not ", checks, text);
  if (!good) std::printf("# line %d\n", line);
}
#define CHECK(condition) check((condition), #condition, __LINE__)

/* Counts what the host's functions have on the stack. */
struct guard {
  static int alive, made;
  std::string text; /* with memory of its own */
  explicit guard(const char *words) : text(words) {
    text += ", long enough that it is not inside the object";
    alive++;
    made++;
  }
  ~guard() { alive--; }
  guard(const guard &) = delete;
  guard &operator=(const guard &) = delete;
};
int guard::alive, guard::made;

std::size_t bytes;

void *count_bytes(void *, void *block, std::size_t old_size, std::size_t size) {
  if (!block) old_size = 0;
  bytes -= old_size;
  bytes += size;
  if (size == 0) {
    std::free(block);
    return nullptr;
  }
  return std::realloc(block, size);
}

/* --- functions of the host --- */

/* Raises out of a frame that has something to destroy. */
int raise(lua_State *L) {
  guard one("raise");
  std::vector<int> numbers(1000, 1);
  return luaL_error(L, "raised in C++ after %d", static_cast<int>(numbers.size()));
}

/* Calls its argument; what that raises passes through here, and through lmopt. */
int call_through(lua_State *L) {
  guard one("call_through");
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

/* An exception of the host's own becomes a Lua error at the border. */
int translate(lua_State *L) {
  try {
    guard one("translate");
    throw std::runtime_error("an exception of the host's");
  } catch (const std::exception &e) {
    lua_pushstring(L, e.what());
  }
  return lua_error(L);
}

struct runtime_closer {
  void operator()(lmopt_runtime *rt) const { lmopt_close(rt); }
};
struct state_closer {
  void operator()(lua_State *L) const { lua_close(L); }
};
using runtime = std::unique_ptr<lmopt_runtime, runtime_closer>;
using state = std::unique_ptr<lua_State, state_closer>;

runtime open_runtime(bool never_block) {
  lmopt_config config;
  lmopt_config_init(&config);
  config.alloc = count_bytes;
  config.never_block = never_block;
  lmopt_runtime *rt = nullptr;
  if (lmopt_open(&config, &rt) != LMOPT_OK) throw std::runtime_error("lmopt_open");
  return runtime(rt);
}

state open_state(const runtime &rt) {
  state L(lua_newstate(count_bytes, nullptr));
  luaL_openlibs(L.get());
  if (lmopt_attach(L.get(), rt.get()) != LMOPT_OK) throw std::runtime_error(lmopt_errmsg(rt.get()));
  luaL_requiref(L.get(), "lmopt", luaopen_lmopt, 1);
  lua_register(L.get(), "raise", raise);
  lua_register(L.get(), "call_through", call_through);
  lua_register(L.get(), "translate", translate);
  lua_settop(L.get(), 0);
  return L;
}

bool run(const state &L, const char *text) {
  bool good = luaL_dostring(L.get(), text) == LUA_OK;
  if (!good) std::printf("# %s\n", luaL_tolstring(L.get(), -1, nullptr));
  lua_settop(L.get(), 0);
  return good;
}

/* --- what is tried --- */

const char errors[] = R"(
  local ok, e = pcall(raise) assert(not ok and e:find 'raised in C%+%+ after 1000', e)
  ok, e = pcall(translate) assert(not ok and e == "an exception of the host's", e)
  -- misuse raises in lmopt's Lua, out of lmopt's C, through frames of the host
  ok, e = pcall(call_through, lmopt.create_study, { direktion = 'minimize' }) assert(not ok and e:find 'direction', e)
  ok, e = pcall(call_through, lmopt.json.encode, print) assert(not ok, e)
  ok, e = pcall(call_through, lmopt.spawn, 1) assert(not ok, e)
  assert(lmopt.json.decode '{"a": [1, 2' == nil)
  -- out of tasks, out of tasks inside tasks
  local task = lmopt.spawn(call_through, raise)
  ok, e = pcall(task.await, task) assert(not ok and e:find 'raised in C', e)
  ok, e = pcall(lmopt.map, { 1, 2, 3 }, function(i) lmopt.sleep(0) if i == 2 then call_through(raise) end end)
  assert(not ok and e:find 'raised in C', e)
  -- closed variables run while an exception passes
  local closed = 0
  ok = pcall(function() local x <close> = setmetatable({}, { __close = function() closed = closed + 1 end }) call_through(raise) end)
  assert(not ok and closed == 1)
)";

const char studies[] = R"(
  local study = lmopt.create_study { seed = 3 }
  local told = 0
  study:optimize(function(trial)
    local x = trial:suggest_float('x', -5, 5)
    lmopt.sleep(0)
    if trial.number % 5 == 4 then call_through(raise) end
    if trial.number % 7 == 6 then call_through(function() trial:prune() end) end
    return (x - 1) ^ 2
  end, { n_trials = 40, n_jobs = 4, callbacks = { function() told = told + 1 end } })
  local states = {}
  for _, t in ipairs(study.trials) do states[t.state] = (states[t.state] or 0) + 1 end
  assert(told == 40 and states.failed == 8 and states.pruned == 4 and states.complete == 28)
  local ok, e = pcall(study.optimize, study, function() call_through(raise) end, { n_trials = 1, catch = false })
  assert(not ok and tostring(e):find 'raised in C', tostring(e))
  -- a sampler and a model of the user's that raise
  local sampler = { sample_independent = function() return call_through(raise) end }
  study = lmopt.create_study { seed = 1, sampler = sampler }
  study:optimize(function(trial) return trial:suggest_float('x', 0, 1) end, { n_trials = 2 })
  assert(study.trials[2].state == 'failed')
  local model = lmopt.lm(function() return translate() end, { name = 'broken' })
  ok, e = pcall(model, 'hello') assert(not ok and tostring(e):find 'host', tostring(e))
)";

const char in_flight[] = R"(
  lmopt.spawn(function()
    lmopt.create_study { seed = 1 }:optimize(function(trial)
      lmopt.sleep(100) return trial:suggest_float('x', 0, 1) end, { n_trials = 10, n_jobs = 4 })
  end)
  setmetatable({}, { __gc = function() call_through(raise) end })
)";

void errors_pass() {
  runtime rt = open_runtime(false);
  state L = open_state(rt);
  CHECK(run(L, errors));
  CHECK(run(L, studies));
  CHECK(run(L, "collectgarbage() collectgarbage()"));
  CHECK(guard::alive == 0);
  CHECK(guard::made > 10);
}

/* lmopt_step has no protected call of the host's around it: nothing may come out of it. */
void errors_stay_inside_the_step() {
  runtime rt = open_runtime(true);
  state L = open_state(rt);
  CHECK(run(L, "for i = 1, 5 do lmopt.spawn(function() lmopt.sleep(0) call_through(raise) end) end"));
  bool thrown = false;
  try {
    while (lmopt_step(rt.get(), -1, 1000) > 0) continue;
  } catch (...) {
    thrown = true;
  }
  CHECK(!thrown);
  CHECK(guard::alive == 0);
}

/* An exception of the host's own that passes a whole session: its smart pointers close everything, in flight or not. */
void unwound_by_the_host() {
  bool caught = false;
  try {
    runtime rt = open_runtime(true);
    state L = open_state(rt);
    CHECK(run(L, in_flight));
    CHECK(lmopt_step(rt.get(), 0, 0) == 5);
    throw std::runtime_error("the host gives up");
  } catch (const std::exception &e) {
    caught = std::string(e.what()) == "the host gives up";
  }
  CHECK(caught);
  CHECK(guard::alive == 0);
}

/* No memory is an exception of Lua's, too. */
struct short_memory {
  std::size_t calls, fail_at;
};

void *refuse(void *userdata, void *block, std::size_t old_size, std::size_t size) {
  short_memory *m = static_cast<short_memory *>(userdata);
  if (block == nullptr) old_size = 0;
  if (size > old_size && ++m->calls >= m->fail_at && m->calls < m->fail_at + 2) return nullptr;
  return count_bytes(nullptr, block, old_size, size);
}

int small_session(lua_State *L) {
  luaL_openlibs(L);
  luaL_requiref(L, "lmopt", luaopen_lmopt, 1);
  lua_register(L, "raise", raise);
  if (luaL_dostring(L,
                    "lmopt.create_study { seed = 1 }:optimize(function(trial)\n"
                    "  lmopt.sleep(0) if trial.number == 2 then raise() end return trial:suggest_float('x', 0, 1)\n"
                    "end, { n_trials = 5, n_jobs = 2 })") != LUA_OK)
    return lua_error(L);
  return 0;
}

void no_memory() {
  std::size_t runs = 0, leaks = 0, survived = 0;
  for (std::size_t n = 50; runs < 400; n += 53, runs++) {
    std::size_t before = bytes;
    short_memory memory = {0, n};
    lua_State *L = lua_newstate(refuse, &memory);
    if (L != nullptr) {
      lua_pushcfunction(L, small_session);
      if (lua_pcall(L, 0, 0, 0) == LUA_OK) survived++;
      lua_close(L);
    }
    if (bytes != before && leaks++ == 0) std::printf("# %zu bytes lost when call %zu was refused\n", bytes - before, n);
  }
  std::printf("# %zu runs, %zu went well in spite of it\n", runs, survived);
  CHECK(leaks == 0);
  CHECK(survived < runs);
  CHECK(guard::alive == 0);
}

} // namespace

int main() {
  errors_pass();
  errors_stay_inside_the_step();
  unwound_by_the_host();
  no_memory();
  CHECK(bytes == 0);
  std::printf("1..%d\n", checks);
  return failures ? 1 : 0;
}
