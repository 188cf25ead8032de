/* lmopt_step from C: a game that never waits, a tool that does, budgets, interrupts, re-entrance. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <time.h>

#include "check.h"

static lmopt_runtime *rt;

static int step_inside(lua_State *L) {
  lua_pushinteger(L, lmopt_step(rt, 0, 0));
  return 1;
}

static int interrupt_now(lua_State *L) {
  (void)L;
  lmopt_interrupt(rt);
  return 0;
}

static lua_State *open_host(bool never_block) {
  lmopt_config config;
  lmopt_config_init(&config);
  config.never_block = never_block;
  CHECK(lmopt_open(&config, &rt) == LMOPT_OK);
  lua_State *L = open_state(rt);
  lua_register(L, "step_inside", step_inside);
  lua_register(L, "interrupt_now", interrupt_now);
  return L;
}

static void close_host(lua_State *L) {
  lua_close(L);
  lmopt_close(rt);
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void frames(void) {
  lua_State *L = open_host(true);
  CHECK(lmopt_step(rt, -1, 0) == 0); /* nothing to do: comes back */
  CHECK(run(L, "n = 0 lmopt.spawn(function() for i = 1, 3 do lmopt.sleep(0) n = n + 1 end end)"));
  int steps = 0;
  while (lmopt_step(rt, 0, 1000) > 0 && steps < 10) steps++;
  CHECK(steps == 3);
  CHECK(global_number(L, "n") == 3);
  /* In a game nothing may wait in place, and the message names the place. */
  CHECK(run(L, "ok, e = pcall(lmopt.sleep, 1) assert(not ok and e.kind == 'would_block', tostring(e))"));
  CHECK(run(L, "message = e.message assert(message:find('%(at .+:1%)$') and message:find('outside a task'))"));
  CHECK(run(L,
            "lmopt.spawn(function() table.sort({2, 1}, function(a, b)\n"
            "  ok, e = pcall(lmopt.sleep, 1) return a < b end) end)"));
  CHECK(lmopt_step(rt, 0, 0) == 0);
  CHECK(run(L, "assert(not ok and e.kind == 'would_block' and e.message:find('table.sort'), tostring(e))"));
  CHECK(run(L, "lmopt.spawn(function() coroutine.wrap(function() ok, e = pcall(lmopt.sleep, 1) end)() end)"));
  CHECK(lmopt_step(rt, 0, 0) == 0);
  CHECK(run(L, "assert(not ok and e.message:find('lmopt.wrap'), tostring(e))"));
  close_host(L);
}

/* In a game nobody may wait outside tasks: what fails is said in its frame, and what can't be waited for does not run. */
static void errors_are_said(void) {
  log_book book = {0};
  lmopt_config config;
  lmopt_config_init(&config);
  config.never_block = 1;
  config.log = log_line;
  config.log_userdata = &book;
  CHECK(lmopt_open(&config, &rt) == LMOPT_OK);
  lua_State *L = open_state(rt);
  CHECK(run(L, "collectgarbage('stop') kept = lmopt.spawn(function() error('too early') end)"));
  CHECK(lmopt_step(rt, 0, 0) == 0);
  CHECK(book.lines == 1 && strstr(book.last, "too early") != NULL);
  /* A task that another one started may still be awaited. */
  CHECK(run(L,
            "lmopt.spawn(function() local t = lmopt.spawn(function() error('awaited') end)\n"
            "  lmopt.sleep(0) said = select(2, pcall(t.await, t)) end)"));
  while (lmopt_step(rt, 0, 0) > 0) continue;
  CHECK(book.lines == 1 && strstr(global_text(L, "said"), "awaited") != NULL);
  CHECK(run(L, "kept, n = nil, 0 collectgarbage('restart') collectgarbage()"));
  CHECK(book.lines == 1); /* said once */
  CHECK(run(L,
            "study = lmopt.create_study { seed = 1 }\n"
            "local function run() return study:optimize(function() n = n + 1 return 1 end, { n_trials = 5 }) end\n"
            "local ok, e = pcall(run) assert(not ok and e.kind == 'would_block', tostring(e))\n"
            "ok, e = pcall(run) assert(not ok and e.kind == 'would_block', tostring(e))\n"
            "lmopt.spawn(run)"));
  while (lmopt_step(rt, 0, 0) > 0) continue;
  CHECK(global_number(L, "n") == 5);
  CHECK(book.lines == 1);
  close_host(L);
}

/* The default sampler has no asks that a frame has no time for, unless somebody asks for them. */
static void samplers(void) {
  static const char *const chosen[] = {"gp", "tpe"};
  for (int never_block = 0; never_block < 2; never_block++) {
    lua_State *L = open_host(never_block);
    CHECK(run(L,
              "function last(sampler)\n"
              "  local study = lmopt.create_study { seed = 1, sampler = sampler }\n"
              "  for i = 1, 12 do local t = study:ask() study:tell(t, t:suggest_float('x', 0, 1)) end\n"
              "  return study.sampler_choice:match '^[^:]+'\n"
              "end\n"
              "said, slow = last(), last(lmopt.samplers.auto { quick = false })"));
    CHECK(strcmp(global_text(L, "said"), chosen[never_block]) == 0);
    CHECK(strcmp(global_text(L, "slow"), "gp") == 0);
    close_host(L);
  }
}

/* An evaluation whose rows never wait takes turns with the frames, its interval too. */
static void evaluations(void) {
  lua_State *L = open_host(true);
  CHECK(run(L,
            "n, result, data = 0, nil, {}\n"
            "for i = 1, 60 do data[i] = lmopt.example { n = i }:with_inputs 'n' end\n"
            "local function program(input) n = n + 1\n"
            "  local t = os.clock() while os.clock() - t < 0.0005 do end return input end\n"
            "function score() result = lmopt.evaluate(program, data, function() return 1 end) return result end\n"
            "local ok, e = pcall(score) assert(not ok and e.kind == 'would_block', tostring(e))"));
  CHECK(lmopt_step(rt, 0, 0) == 0);
  CHECK(global_number(L, "n") == 0); /* nobody may wait for it: it does not run */
  CHECK(run(L, "lmopt.spawn(score)"));
  int steps = 1;
  while (lmopt_step(rt, 0, 500) > 0) steps++;
  CHECK(steps >= 10);
  CHECK(run(L, "assert(n == 60 and result.score == 1 and #result.ci == 2)"));
  close_host(L);
}

static void budgets(void) {
  lua_State *L = open_host(true);
  CHECK(run(L,
            "n = 0 for i = 1, 20 do lmopt.spawn(function() n = n + 1\n"
            "  local t = os.clock() while os.clock() - t < 0.002 do end end) end"));
  CHECK(lmopt_step(rt, 0, 1) == 19); /* one is always run, and no second one */
  CHECK(global_number(L, "n") == 1);
  CHECK(lmopt_step(rt, 0, 5000) > 0);
  CHECK(global_number(L, "n") > 1 && global_number(L, "n") < 20);
  CHECK(lmopt_step(rt, 0, 0) == 0);
  CHECK(global_number(L, "n") == 20);
  close_host(L);
}

static void many_sleepers(void) {
  lua_State *L = open_host(true);
  CHECK(run(L, "n = 0 for i = 1, 10000 do lmopt.spawn(function() lmopt.sleep(0.05) n = n + 1 end) end"));
  CHECK(lmopt_step(rt, 0, 0) == 10000);
  double before = seconds();
  while (lmopt_step(rt, -1, 0) > 0) continue;
  double after = seconds();
  CHECK(global_number(L, "n") == 10000);
  printf("# waiting for and waking 10,000 tasks took %.1f ms, 50 of them asleep\n", (after - before) * 1e3);
  close_host(L);
}

static void waits(void) {
  lua_State *L = open_host(false);
  CHECK(run(L, "n = 0 lmopt.spawn(function() lmopt.sleep(0.02) n = 1 end)"));
  CHECK(lmopt_step(rt, 0, 0) == 1);
  CHECK(lmopt_step(rt, -1, 0) == 0);
  CHECK(global_number(L, "n") == 1);
  CHECK(run(L, "t = lmopt.spawn(require 'lmopt.task'.park)"));
  CHECK(lmopt_step(rt, 0, 0) == 1);
  CHECK(lmopt_step(rt, 0, 0) == 1);
  CHECK(lmopt_step(rt, -1, 0) == LMOPT_WOULD_BLOCK); /* it would be for ever */
  CHECK(strlen(lmopt_errmsg(rt)) > 0);
  CHECK(run(L, "require 'lmopt.task'.unpark(t)"));
  CHECK(lmopt_step(rt, -1, 0) == 0);
  close_host(L);
}

static void re_entrance(void) {
  lua_State *L = open_host(false);
  CHECK(run(L, "lmopt.spawn(function() inside = step_inside() end)"));
  CHECK(lmopt_step(rt, 0, 0) == 0);
  CHECK(global_number(L, "inside") == LMOPT_MISUSE);
  CHECK(run(L, "inside = 0 lmopt.spawn(function() inside = step_inside() end):await()"));
  CHECK(global_number(L, "inside") == LMOPT_MISUSE);
  CHECK(lmopt_step(NULL, 0, 0) == LMOPT_MISUSE);
  close_host(L);
}

static void on_alarm(int number) {
  (void)number;
  lmopt_interrupt(rt);
}

static void alarm_in(int milliseconds) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, NULL);
  timer_t timer;
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = SIGALRM;
  struct itimerspec when = {{0, 0}, {0, milliseconds * 1000000L}};
  timer_create(CLOCK_MONOTONIC, &event, &timer);
  timer_settime(timer, 0, &when, NULL);
}

static void interrupts(void) {
  lua_State *L = open_host(false);
  lmopt_interrupt(rt);
  CHECK(lmopt_step(rt, 0, 0) == LMOPT_INTERRUPTED);
  CHECK(lmopt_step(rt, 0, 0) == 0); /* once */
  /* A step that waits. */
  CHECK(run(L, "lmopt.spawn(lmopt.sleep, 100)"));
  CHECK(lmopt_step(rt, 0, 0) == 1);
  alarm_in(10);
  CHECK(lmopt_step(rt, -1, 0) == LMOPT_INTERRUPTED);
  /* Lua code that never waits, called by a task: it gets the error, and pcall does not stop the step from ending. */
  CHECK(run(L,
            "kind, after = nil, 0 lmopt.spawn(function()\n"
            "  local ok, e = pcall(function() while true do end end) kind = e.kind end)\n"
            "lmopt.spawn(function() after = after + 1 end)"));
  alarm_in(10);
  CHECK(lmopt_step(rt, 0, 0) == LMOPT_INTERRUPTED);
  CHECK(strcmp(global_text(L, "kind"), "interrupted") == 0);
  CHECK(global_number(L, "after") == 0);
  lmopt_step(rt, 0, 0);
  CHECK(global_number(L, "after") == 1);
  /* Waiting in place, in a task and outside. */
  alarm_in(10);
  CHECK(run(L, "local ok, e = pcall(lmopt.sleep, 100) assert(not ok and e.kind == 'interrupted', tostring(e))"));
  alarm_in(10);
  CHECK(run(L,
            "local ok, e = pcall(function() lmopt.spawn(function() table.sort({2, 1}, function(a, b)\n"
            "  lmopt.sleep(100) return a < b end) end):await() end)\n"
            "assert(not ok and e.kind == 'interrupted', tostring(e))"));
  /* Somebody who wants to end in good order is told, and the wait goes on. */
  alarm_in(10);
  CHECK(run(
      L,
      "local task, told = require 'lmopt.task', 0\n"
      "local worker local remove = task.on_interrupt(function() told = told + 1 task.unpark(worker, 'stored') end)\n"
      "worker = lmopt.spawn(function() return task.park() end)\n"
      "local ok, e = pcall(worker.await, worker)\n"
      "assert(ok and e == 'stored' and told == 1, tostring(e)) remove() remove()"));
  close_host(L);
}

/* The statuses and names that need no runtime. */
static void texts(void) {
  for (int status = 0; status >= LMOPT_LIMIT; status--)
    if (strcmp(lmopt_strstatus((lmopt_status)status), "unknown status") == 0) CHECK(!"every status has a text");
  CHECK(strcmp(lmopt_strstatus((lmopt_status)-99), "unknown status") == 0);
  CHECK(strcmp(lmopt_version(), LMOPT_VERSION) == 0);
  CHECK(lmopt_open(NULL, NULL) == LMOPT_MISUSE);
}

int main(void) {
  frames();
  errors_are_said();
  samplers();
  evaluations();
  budgets();
  many_sleepers();
  waits();
  re_entrance();
  interrupts();
  texts();
  return conclude();
}
