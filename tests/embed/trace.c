/* Traces in a game that never waits: spans go to a collector while it steps, and one that never answers holds up nothing. */
#define _GNU_SOURCE /* memmem, for server.h */
#include "check.h"
#include "server.h"

static server collector;

/* Frames, until `ask` has set `done`: a step that waits for nothing, and a moment for the server, which is in this thread. */
static void frames(lmopt_runtime *rt, lua_State *L, const char *ask) {
  bool done = false;
  for (int i = 0; !done && i < 20000; i++) {
    lmopt_step(rt, 0, 1000);
    server_turn(&collector);
    if (!run(L, ask)) return;
    lua_getglobal(L, "done");
    done = lua_toboolean(L, -1);
    lua_settop(L, 0);
  }
  CHECK(done);
}

int main(void) {
  lmopt_runtime *rt = NULL;
  lmopt_config config;
  lmopt_config_init(&config);
  config.never_block = true;
  CHECK(lmopt_open(&config, &rt) == LMOPT_OK);
  CHECK(server_open(&collector));
  lua_State *L = open_state(rt);
  lua_pushinteger(L, collector.port);
  lua_setglobal(L, "port");
  CHECK(run(L,
            "model = lmopt.lm(function() return 'hello' end)\n"
            "trace = lmopt.tracer { endpoint = 'http://127.0.0.1:' .. port }\n"
            "lmopt.configure { trace = trace }\n"
            "for i = 1, 5 do model 'outside of tasks' end\n"
            "lmopt.spawn(function() n = 0 for i = 1, 5 do model 'in a task' lmopt.sleep(0) n = i end end)"));
  CHECK(run(L, "assert(trace:_waiting() == 5)"));
  CHECK(run(L, "assert(trace:flush() == false)")); /* nobody may wait here, so nobody does */
  frames(rt, L, "done = n == 5 and trace:_waiting() == 0");
  CHECK(run(L, "assert(trace.dropped == 0 and not trace.problem)"));
  CHECK(collector.answered >= 1);

  collector.silent = true;
  CHECK(run(L, "n = 0 lmopt.spawn(function() for i = 1, 50 do model 'x' lmopt.sleep(0) n = n + 1 end end)"));
  frames(rt, L, "done = n == 50");
  CHECK(global_number(L, "n") == 50);
  CHECK(run(L, "assert(trace:_waiting() == 50)"));
  lua_close(L); /* a request is under way */
  lmopt_close(rt);
  server_close(&collector);
  return conclude();
}
