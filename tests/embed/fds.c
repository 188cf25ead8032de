/* packages: lmopt lua5.4 */
/*
** A host that waits in a poll of its own, for exactly what lmopt_fds and
** lmopt_timeout say and not a moment less: what they forget would hang here,
** what they say too often would count as a step in vain.
*/
#define _POSIX_C_SOURCE 200809L
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { MOST = 64 };

/* One turn of the host's loop: waits as told, steps; returns what lmopt_step says. *ready: descriptors that were. */
static int turn(lmopt_runtime *rt, int budget_us, int *ready) {
  lmopt_fd theirs[MOST];
  struct pollfd all[MOST];
  int count = lmopt_fds(rt, theirs, MOST);
  for (int i = 0; i < count; i++) {
    all[i].fd = theirs[i].fd;
    all[i].events =
        (short)((theirs[i].events & LMOPT_READ ? POLLIN : 0) | (theirs[i].events & LMOPT_WRITE ? POLLOUT : 0));
  }
  *ready = poll(all, (nfds_t)count, lmopt_timeout(rt));
  return lmopt_step(rt, 0, budget_us);
}

static bool readable(lmopt_runtime *rt, int which) {
  lmopt_fd theirs[MOST];
  struct pollfd one = {-1, POLLIN, 0};
  if (which < lmopt_fds(rt, theirs, MOST)) one.fd = theirs[which].fd;
  return poll(&one, 1, 0) == 1 && one.revents & POLLIN;
}

static void idle_and_interrupt(lmopt_runtime *rt) {
  CHECK(lmopt_timeout(rt) == -1);
  CHECK(lmopt_fds(rt, NULL, 0) == 1);
  CHECK(!readable(rt, 0));
  lmopt_interrupt(rt);
  CHECK(readable(rt, 0));
  CHECK(lmopt_timeout(rt) == 0);
  CHECK(lmopt_step(rt, 0, 0) == LMOPT_INTERRUPTED);
  CHECK(!readable(rt, 0));
  CHECK(lmopt_timeout(rt) == -1);
}

static void sleepers(lmopt_runtime *rt, lua_State *L) {
  int ready, turns = 0;
  CHECK(run(L, "n = 0 for i = 1, 5 do lmopt.spawn(function() lmopt.sleep(0.02 * i) n = n + 1 end) end"));
  CHECK(lmopt_timeout(rt) == 0); /* tasks that are ready */
  CHECK(lmopt_step(rt, 0, 0) == 5);
  int wait = lmopt_timeout(rt);
  CHECK(wait >= 0 && wait <= 20);
  while (turn(rt, 0, &ready) > 0 && turns < 100) turns++;
  CHECK(global_number(L, "n") == 5);
  CHECK(turns <= 5); /* rounded up: no turn comes too early */
  CHECK(lmopt_timeout(rt) == -1);
  CHECK(run(L, "t = lmopt.spawn(require 'lmopt.task'.park) lmopt.spawn(lmopt.sleep, 1000000)"));
  CHECK(lmopt_step(rt, 0, 0) == 2);
  CHECK(lmopt_timeout(rt) == 60 * 60 * 1000); /* an hour at most */
  CHECK(run(L, "require 'lmopt.task'.unpark(t)"));
  CHECK(lmopt_timeout(rt) == 0);
}

/* A study in a file gives signs of life; one in memory has none to give. */
static void ticks(lmopt_runtime *rt) {
  char path[200], extra[220];
  lmopt_study_config config;
  lmopt_study *study;
  CHECK(lmopt_study_open(rt, NULL, &study) == LMOPT_OK);
  CHECK(lmopt_timeout(rt) == -1);
  lmopt_study_close(study);
  lmopt_study_config_init(&config);
  snprintf(path, sizeof path, "%s/lmopt-fds-%ld.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
           (long)getpid());
  config.storage = path;
  config.name = "s";
  CHECK(lmopt_study_open(rt, &config, &study) == LMOPT_OK);
  CHECK(lmopt_step(rt, 0, 0) == 0);
  int wait = lmopt_timeout(rt);
  CHECK(wait > 0 && wait <= 10000);
  lmopt_study_close(study);
  CHECK(lmopt_timeout(rt) == -1);
  static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
  for (int i = 0; i < 4; i++) {
    snprintf(extra, sizeof extra, "%s%s", path, endings[i]);
    remove(extra);
  }
}

static pid_t server;
static int server_input;

static int start_server(void) {
  int input[2], output[2], port = 0;
  if (pipe(input) != 0 || pipe(output) != 0) return 0;
  server = fork();
  if (server == 0) {
    dup2(input[0], STDIN_FILENO);
    dup2(output[1], STDOUT_FILENO);
    close(input[1]);
    close(output[0]);
    const char *python = getenv("PYTHON");
    execlp(python ? python : "python3", "python3", "tests/http_server.py", (char *)NULL);
    _exit(127);
  }
  close(input[0]);
  close(output[1]);
  server_input = input[1];
  FILE *lines = fdopen(output[0], "r");
  if (!lines || fscanf(lines, "%d", &port) != 1) return 0;
  fclose(lines);
  setenv("no_proxy", "127.0.0.1,localhost", 1); /* whoever runs this may have a proxy set */
  return port;
}

static void calls(lmopt_runtime *rt, lua_State *L, int port, int budget_us) {
  char script[600];
  int ready, turns = 0, vain = 0, left;
  snprintf(script, sizeof script,
           "local http = require 'lmopt.core.http'\n"
           "good, bodies = 0, 0\n"
           "for i = 1, 24 do lmopt.spawn(function()\n"
           "  local path = i %% 3 == 0 and '/delay/0.2' or i %% 3 == 1 and '/bytes/200000' or '/trickle/5/0.01'\n"
           "  local _, reply = assert(http.request { url = 'http://127.0.0.1:%d' .. path, timeout = 30 })\n"
           "  if reply.status == 200 then good = good + 1 end bodies = bodies + #reply.body\n"
           "end) end",
           port);
  CHECK(run(L, script));
  do {
    left = turn(rt, budget_us, &ready);
    turns++;
    vain += ready == 0;
  } while (left > 0 && turns < 20000);
  printf("# %d turns for 24 calls, in %d of them no descriptor was ready\n", turns, vain);
  CHECK(left == 0);
  CHECK(global_number(L, "good") == 24);
  CHECK(global_number(L, "bodies") == 8 * 200000 + 8 * 4 + 8 * 5);
  CHECK(turns < 4000);
  CHECK(lmopt_fds(rt, NULL, 0) >= 1);
  for (int i = 0; i < 20 && lmopt_timeout(rt) >= 0; i++) turn(rt, 0, &ready); /* what libcurl still has to do */
  CHECK(lmopt_timeout(rt) == -1);
}

/* Nothing of a call that was given up stays behind in the descriptors. */
static void cancelled(lmopt_runtime *rt, lua_State *L, int port) {
  char script[400];
  int ready;
  snprintf(script, sizeof script,
           "local http = require 'lmopt.core.http'\n"
           "flying = {} for i = 1, 8 do flying[i] = lmopt.spawn(function()\n"
           "  return http.request { url = 'http://127.0.0.1:%d/delay/20', timeout = 30 } end) end",
           port);
  CHECK(run(L, script));
  for (int i = 0; i < 30; i++) lmopt_step(rt, 5, 0);
  CHECK(lmopt_timeout(rt) != 0);
  CHECK(run(L, "for _, t in ipairs(flying) do t:cancel() end"));
  CHECK(lmopt_timeout(rt) == 0);
  int turns = 0;
  while (turn(rt, 0, &ready) > 0 && turns < 100) turns++;
  CHECK(turns < 20);
  CHECK(lmopt_timeout(rt) == -1);
  lmopt_fd theirs[MOST];
  int count = lmopt_fds(rt, theirs, MOST), noisy = 0;
  for (int i = 0; i < count; i++) noisy += readable(rt, i);
  CHECK(noisy == 0);
}

static void misuse(lmopt_runtime *rt) {
  lmopt_fd one[1];
  CHECK(lmopt_fds(NULL, one, 1) == LMOPT_MISUSE);
  CHECK(lmopt_fds(rt, one, -1) == LMOPT_MISUSE);
  CHECK(lmopt_fds(rt, NULL, 1) == LMOPT_MISUSE);
  CHECK(lmopt_timeout(NULL) == 0);
  one[0].fd = -5;
  CHECK(lmopt_fds(rt, NULL, 0) >= 2); /* the first HTTP call has brought one more */
  CHECK(lmopt_fds(rt, one, 1) >= 2 && one[0].fd >= 0);
}

int main(void) {
  lmopt_config config;
  lmopt_runtime *rt;
  lmopt_config_init(&config);
  config.never_block = 1;
  alarm(120); /* a descriptor that was forgotten would hang */
  CHECK(lmopt_open(&config, &rt) == LMOPT_OK);
  lua_State *L = open_state(rt);
  idle_and_interrupt(rt);
  ticks(rt);
  int port = start_server();
  CHECK(port > 0);
  calls(rt, L, port, 0);
  calls(rt, L, port, 200);
  cancelled(rt, L, port);
  misuse(rt);
  sleepers(rt, L);
  lua_close(L);
  lmopt_close(rt);
  close(server_input);
  waitpid(server, NULL, 0);
  return conclude();
}
