/*
** A server for load: chat completions over HTTP/1.1 with keep-alive, on the loopback, as fast as one thread goes.
**
** usage: load_server [LATENCY_MS]
**
** Prints the port that it listens on, and ends when its standard input does. Every request is read whole (its body has to
** have a Content-Length), waits for LATENCY_MS (0), and gets the same completion of about 400 bytes. What it waits is the
** same for all, so those who wait stand in one list, the first to be answered first. GET /count answers how many other
** requests there have been.
*/
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST_REQUEST = 1 << 20, READ_AT_LEAST = 4096, EVENTS = 256 };

static const char completion[] =
    "{\"id\":\"chatcmpl-9nTXVDl2bBZKsmAoRGN0aQ\",\"object\":\"chat.completion\",\"created\":1760000000,"
    "\"model\":\"load-1\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"The ticket is "
    "about "
    "billing: the customer was charged twice in the same month.\",\"refusal\":null},\"logprobs\":null,"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":97,\"completion_tokens\":15,\"total_tokens\":112},"
    "\"system_fingerprint\":\"fp_44709d6fcb\"}";

typedef struct connection connection;
struct connection {
  int fd;
  char *bytes; /* what has come of requests */
  size_t used, capacity;
  size_t whole; /* bytes of the request that is being answered; 0: none */
  bool asks_count;
  double due; /* when it is answered */
  connection *previous, *next;
};

typedef struct server {
  int epoll, listener;
  double latency; /* seconds */
  unsigned long long requests;
  connection *first, *last; /* those who wait for their answer */
  char answer[1024];
  int answer_size;
} server;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* --- waiting --- */

static void wait_add(server *s, connection *c) {
  c->due = now() + s->latency;
  c->previous = s->last;
  c->next = NULL;
  if (s->last)
    s->last->next = c;
  else
    s->first = c;
  s->last = c;
}

static void wait_remove(server *s, connection *c) {
  if (c->previous)
    c->previous->next = c->next;
  else if (s->first == c)
    s->first = c->next;
  if (c->next)
    c->next->previous = c->previous;
  else if (s->last == c)
    s->last = c->previous;
  c->previous = c->next = NULL;
}

static void close_connection(server *s, connection *c) {
  wait_remove(s, c);
  close(c->fd);
  free(c->bytes);
  free(c);
}

/* --- requests --- */

/* The size of the request at the beginning of what has come; 0: not all of it is there; -1: this is no request. */
static long find_request(connection *c) {
  const char *end = memmem(c->bytes, c->used, "\r\n\r\n", 4);
  if (!end) return 0;
  size_t head = (size_t)(end - c->bytes) + 4, body = 0;
  for (const char *line = c->bytes; line < end;) {
    if (strncasecmp(line, "content-length:", 15) == 0) body = strtoul(line + 15, NULL, 10);
    const char *stop = memchr(line, '\n', (size_t)(end + 2 - line));
    if (!stop) break;
    line = stop + 1;
  }
  c->asks_count = strncmp(c->bytes, "GET /count", 10) == 0;
  if (body > LARGEST_REQUEST) return -1;
  return c->used >= head + body ? (long)(head + body) : 0;
}

/* Writes a whole answer: it fits any socket's buffer. */
static bool write_answer(server *s, connection *c) {
  char count[200];
  const char *answer = s->answer;
  int size = s->answer_size;
  if (c->asks_count) {
    size = snprintf(count, sizeof count, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n%-20llu", s->requests);
    answer = count;
  }
  return send(c->fd, answer, (size_t)size, MSG_NOSIGNAL) == size;
}

/* Answers the request that has waited; false: the connection is gone. */
static bool answer(server *s, connection *c) {
  if (!write_answer(s, c)) {
    close_connection(s, c);
    return false;
  }
  c->used -= c->whole;
  memmove(c->bytes, c->bytes + c->whole, c->used);
  c->whole = 0;
  return true;
}

/* Answers what is there, or lets it wait. */
static void serve(server *s, connection *c) {
  while (c->whole == 0) {
    long size = find_request(c);
    if (size < 0) {
      close_connection(s, c);
      return;
    }
    if (size == 0) return;
    c->whole = (size_t)size;
    if (!c->asks_count) s->requests++;
    if (s->latency > 0 && !c->asks_count)
      wait_add(s, c);
    else if (!answer(s, c))
      return;
  }
}

static void receive(server *s, connection *c) {
  if (c->capacity - c->used < READ_AT_LEAST) {
    c->capacity = c->capacity * 2 + READ_AT_LEAST;
    c->bytes = realloc(c->bytes, c->capacity);
    if (!c->bytes) fail("memory");
  }
  ssize_t got = recv(c->fd, c->bytes + c->used, c->capacity - c->used, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0 || c->used > 2 * (size_t)LARGEST_REQUEST) {
    close_connection(s, c);
    return;
  }
  c->used += (size_t)got;
  serve(s, c);
}

/* --- the loop --- */

static void accept_all(server *s) {
  int fd;
  while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    connection *c = calloc(1, sizeof *c);
    if (!c) fail("memory");
    c->fd = fd;
    struct epoll_event event = {EPOLLIN, {.ptr = c}};
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
  }
  if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) fail("accept");
}

static void answer_due(server *s) {
  double moment = s->first ? now() : 0;
  while (s->first && s->first->due <= moment) {
    connection *c = s->first;
    wait_remove(s, c);
    if (answer(s, c)) serve(s, c);
  }
}

/* Milliseconds until somebody has waited for long enough; -1: nobody waits. */
static int next_wait(const server *s) {
  if (!s->first) return -1;
  double left = (s->first->due - now()) * 1000;
  return left <= 0 ? 0 : (int)left + 1;
}

static void listen_on_loopback(server *s) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&address, size) != 0 || listen(s->listener, 4096) != 0 ||
      getsockname(s->listener, (struct sockaddr *)&address, &size) != 0)
    fail("listen");
  struct epoll_event new_ones = {EPOLLIN, {.ptr = &s->listener}}, input = {EPOLLIN | EPOLLHUP, {.ptr = NULL}};
  s->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &new_ones) != 0) fail("epoll");
  epoll_ctl(s->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input); /* a file can't be waited for, and never ends */
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
}

/* A connection is not closed before its own event: one batch has at most one event of each. */
static bool run_once(server *s) {
  struct epoll_event events[EVENTS];
  int count = epoll_wait(s->epoll, events, EVENTS, next_wait(s));
  for (int i = 0; i < count; i++) {
    char byte;
    if (events[i].data.ptr == &s->listener)
      accept_all(s);
    else if (events[i].data.ptr)
      receive(s, events[i].data.ptr);
    else if (read(STDIN_FILENO, &byte, 1) <= 0)
      return false;
  }
  answer_due(s);
  return true;
}

int main(int argc, char **argv) {
  static server s;
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  s.latency = argc > 1 ? strtod(argv[1], NULL) / 1000 : 0;
  s.answer_size = snprintf(s.answer, sizeof s.answer,
                           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                           "x-request-id: req_7f6e1b0c2d\r\n\r\n%s",
                           sizeof completion - 1, completion);
  listen_on_loopback(&s);
  while (run_once(&s)) continue;
  return 0;
}
