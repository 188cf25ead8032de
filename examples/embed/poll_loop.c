/* packages: lmopt lua5.4 */
/* test: */
/*
** A host with a poll loop of its own. It watches three kinds of things at once
** and never waits anywhere else: a timer of its own, its standard input, and
** whatever lmopt has under way, which is model calls and sleeping tasks in Lua.
**
**   cc poll_loop.c $(pkg-config --cflags --libs lmopt lua5.4) -o poll_loop
**   ./poll_loop                             against a server of its own on the loopback
**   ./poll_loop http://127.0.0.1:8080/v1    against any server that speaks OpenAI's language
**
** A line on standard input is printed back at once, whatever the models do.
*/
#define _DEFAULT_SOURCE
#include <arpa/inet.h>
#include <lauxlib.h>
#include <lmopt.h>
#include <lualib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- what Lua does: eight trials, four at a time, each with two calls and a rest --- */

static const char script[] =
    "local lmopt, base_url = ...\n"
    "local lm = lmopt.lm('openai/any', { base_url = base_url, api_key = 'none', max_tokens = 16 })\n"
    "local question = { { role = 'user', content = 'Say a number.' } }\n"
    "lmopt.spawn(function()\n"
    "  local study = lmopt.create_study { seed = 1, direction = 'maximize' }\n"
    "  study:optimize(function(trial)\n"
    "    local temperature = trial:suggest_float('temperature', 0, 1)\n"
    "    local replies = lmopt.map({ 1, 2 }, function()\n"
    "      return lm { messages = question, temperature = temperature }.text\n"
    "    end)\n"
    "    lmopt.sleep(0.05)\n"
    "    return #replies[1] + #replies[2] - temperature\n"
    "  end, { n_trials = 8, n_jobs = 4 })\n"
    "  print(('lua:   %d trials, the best value is %.3f'):format(#study.trials, study.best_value))\n"
    "  finished = true\n"
    "end)\n";

/* Runs the script; its tasks go on in lmopt_step. */
static int start_script(lua_State *L, lmopt_runtime *rt, const char *base_url) {
  luaL_openlibs(L);
  if (lmopt_attach(L, rt) != LMOPT_OK) return 0;
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  if (luaL_loadstring(L, script) == LUA_OK) {
    lua_insert(L, -2);
    lua_pushstring(L, base_url);
    if (lua_pcall(L, 2, 0, 0) == LUA_OK) return 1;
  }
  fprintf(stderr, "poll_loop: %s\n", luaL_tolstring(L, -1, NULL));
  return 0;
}

/* --- the loop --- */

enum { OWN = 2, THEIRS = 62 };

typedef struct host {
  struct pollfd all[OWN + THEIRS]; /* ours first: the timer, standard input */
  long beats, lines, turns;
} host;

static void add_theirs(host *h, lmopt_runtime *rt, int *count) {
  lmopt_fd theirs[THEIRS];
  int found = lmopt_fds(rt, theirs, THEIRS); /* on Linux two at most: a host elsewhere asks again with more room */
  *count = found < THEIRS ? found : THEIRS;
  for (int i = 0; i < *count; i++) {
    h->all[OWN + i].fd = theirs[i].fd;
    h->all[OWN + i].events =
        (short)((theirs[i].events & LMOPT_READ ? POLLIN : 0) | (theirs[i].events & LMOPT_WRITE ? POLLOUT : 0));
  }
}

static void serve_own(host *h) {
  if (h->all[0].revents & POLLIN) {
    unsigned long long times = 0;
    if (read(h->all[0].fd, &times, sizeof times) == sizeof times) h->beats += (long)times;
  }
  if (h->all[1].revents & (POLLIN | POLLHUP)) {
    char line[200];
    ssize_t size = read(STDIN_FILENO, line, sizeof line);
    if (size <= 0)
      h->all[1].fd = -1; /* nobody will say anything any more; poll passes over it */
    else
      printf("you:   %.*s", (int)size, line), h->lines++;
  }
}

/* Until Lua has no task left. Returns what the last lmopt_step said. */
static int run_loop(host *h, lmopt_runtime *rt) {
  int left;
  do {
    int count;
    add_theirs(h, rt, &count);
    poll(h->all, (nfds_t)(OWN + count), lmopt_timeout(rt));
    serve_own(h);
    left = lmopt_step(rt, 0, 1000); /* a millisecond, then it is our turn again */
    h->turns++;
  } while (left > 0);
  return left;
}

/* --- a server to talk to: every reply takes a tenth of a second --- */

static void answer(int connection) {
  char request[8192];
  size_t size = 0;
  ssize_t got;
  const char *body = NULL, *length = NULL;
  do { /* until the whole of it is here */
    got = read(connection, request + size, sizeof request - 1 - size);
    if (got <= 0) return;
    size += (size_t)got;
    request[size] = '\0';
    body = strstr(request, "\r\n\r\n");
    length = strstr(request, "Content-Length: ");
  } while (!body || (length && strlen(body + 4) < strtoul(length + 16, NULL, 10)));
  static const char reply[] =
      "{\"model\":\"any\",\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"seven\"},"
      "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1}}";
  usleep(100 * 1000);
  dprintf(connection,
          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
          sizeof reply - 1, reply);
}

/* In a process of its own, and one more for each call. Returns its id; -1: it could not be started. */
static pid_t start_server(char *base_url, size_t size) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listening = socket(AF_INET, SOCK_STREAM, 0);
  if (listening < 0 || bind(listening, (struct sockaddr *)&address, length) != 0 || listen(listening, 64) != 0 ||
      getsockname(listening, (struct sockaddr *)&address, &length) != 0)
    return -1;
  snprintf(base_url, size, "http://127.0.0.1:%d/v1", ntohs(address.sin_port));
  pid_t parent = getpid(), process = fork();
  if (process == 0) {
    signal(SIGCHLD, SIG_IGN);
    alarm(60); /* it never outlives its use by much */
    while (getppid() == parent) {
      int connection = accept(listening, NULL, NULL);
      if (connection >= 0 && fork() == 0) {
        answer(connection);
        _exit(0);
      }
      close(connection);
    }
    _exit(0);
  }
  close(listening);
  return process;
}

/* --- all together --- */

static int run_host(const char *base_url) {
  host h = {
      .all = {{timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
  struct itimerspec every = {{0, 10 * 1000 * 1000}, {0, 10 * 1000 * 1000}};
  timerfd_settime(h.all[0].fd, 0, &every, NULL);
  lmopt_config config;
  lmopt_config_init(&config);
  config.never_block = 1; /* whatever would wait in place raises instead */
  lmopt_runtime *rt;
  if (lmopt_open(&config, &rt) != LMOPT_OK) return 1;
  lua_State *L = luaL_newstate();
  int left = -1, finished = 0;
  if (L && start_script(L, rt, base_url)) {
    left = run_loop(&h, rt);
    if (left < 0) fprintf(stderr, "poll_loop: %s\n", lmopt_errmsg(rt));
    lua_getglobal(L, "finished");
    finished = lua_toboolean(L, -1);
  }
  printf("host:  %ld turns, %ld beats of its own timer, %ld lines read\n", h.turns, h.beats, h.lines);
  if (L) lua_close(L);
  lmopt_close(rt);
  close(h.all[0].fd);
  return left == 0 && finished ? 0 : 1;
}

int main(int argc, char **argv) {
  char base_url[64];
  if (argc > 1) return run_host(argv[1]);
  setenv("no_proxy", "127.0.0.1", 1);
  pid_t server = start_server(base_url, sizeof base_url);
  if (server < 0) {
    perror("poll_loop");
    return 1;
  }
  int status = run_host(base_url);
  kill(server, SIGTERM);
  waitpid(server, NULL, 0);
  return status;
}
