/* Two runtimes in one process know nothing of each other; two states on one runtime share its loop. */
#include "check.h"

static void two_runtimes(void) {
  counter counters[2] = {{0}, {0}};
  lmopt_runtime *rt[2];
  lua_State *L[2];
  for (int i = 0; i < 2; i++) {
    lmopt_config config;
    lmopt_config_init(&config);
    config.alloc = counted_alloc;
    config.alloc_userdata = &counters[i];
    config.seed = 7;
    CHECK(lmopt_open(&config, &rt[i]) == LMOPT_OK);
    L[i] = open_state(rt[i]);
    CHECK(run(L[i],
              "n = 0 lmopt.spawn(function() lmopt.sleep(0) n = 1 end) seed = require 'lmopt.core.task'.draw_seed()"));
  }
  while (lmopt_step(rt[0], -1, 0) > 0) continue;
  CHECK(global_number(L[0], "n") == 1);
  CHECK(global_number(L[1], "n") == 0);
  lmopt_interrupt(rt[0]);
  CHECK(lmopt_step(rt[1], 0, 0) >= 0);
  while (lmopt_step(rt[1], -1, 0) > 0) continue;
  CHECK(global_number(L[1], "n") == 1);
  CHECK(lmopt_step(rt[0], 0, 0) == LMOPT_INTERRUPTED);
  /* The same seed draws the same seeds. */
  CHECK(global_number(L[0], "seed") == global_number(L[1], "seed"));
  CHECK(global_number(L[0], "seed") > 0);
  CHECK(run(L[0], "assert(require 'lmopt.core.task'.draw_seed() ~= seed)"));
  lmopt_close(rt[0]);
  CHECK(run(L[1], "lmopt.sleep(0)"));
  lua_close(L[1]);
  lua_close(L[0]);
  lmopt_close(rt[1]);
  CHECK(counters[0].live == 0);
  CHECK(counters[1].live == 0);
}

static void two_states(void) {
  lmopt_runtime *rt;
  CHECK(lmopt_open(NULL, &rt) == LMOPT_OK);
  lua_State *a = open_state(rt), *b = open_state(rt);
  CHECK(run(a, "n = 0 for i = 1, 3 do lmopt.spawn(function() lmopt.sleep(0.001) n = n + 1 end) end"));
  CHECK(run(b, "n = 0 for i = 1, 2 do lmopt.spawn(function() lmopt.sleep(0.001) n = n + 1 end) end"));
  CHECK(lmopt_step(rt, 0, 0) == 5);
  /* A wait in place in one state does not run the other's tasks, and loses nothing of theirs. */
  CHECK(run(a, "lmopt.sleep(0.005)"));
  CHECK(global_number(a, "n") == 3);
  CHECK(global_number(b, "n") == 0);
  lua_close(a);
  while (lmopt_step(rt, -1, 0) > 0) continue;
  CHECK(global_number(b, "n") == 2);
  lmopt_close(rt);
  lua_close(b);
}

int main(void) {
  two_runtimes();
  two_states();
  return conclude();
}
