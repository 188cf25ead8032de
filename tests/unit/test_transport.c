/* HTTP against tests/http_server.py (the working folder is the repository): replies, limits, faults, many at a time. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/curl.h"
#include "io/transport.h"

/* --- the server --- */

typedef struct server {
  pid_t process;
  int input; /* closing it ends the server */
  char base[64];
} server;

static int start_server(void **state) {
  static server s;
  int input[2], output[2];
  if (pipe(input) != 0 || pipe(output) != 0) return -1;
  s.process = fork();
  if (s.process == 0) {
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
  s.input = input[1];
  FILE *lines = fdopen(output[0], "r");
  int port = 0;
  if (!lines || fscanf(lines, "%d", &port) != 1) return -1;
  fclose(lines);
  snprintf(s.base, sizeof s.base, "http://127.0.0.1:%d", port);
  *state = &s;
  /* Whoever runs this may have a proxy set. */
  setenv("no_proxy", "127.0.0.1,localhost", 1);
  return 0;
}

static int stop_server(void **state) {
  server *s = *state;
  close(s->input);
  waitpid(s->process, NULL, 0);
  return 0;
}

/* --- calling --- */

typedef struct outcome {
  bool done;
  lm_http_reply reply;
} outcome;

static void take(void *userdata, lm_http_reply *reply) {
  outcome *o = userdata;
  assert_false(o->done);
  o->done = true;
  o->reply = *reply;
}

static lm_allocator allocator;

static lm_transport *open_transport(void) {
  lm_transport *t;
  lm_error e;
  allocator = lm_allocator_default();
  assert_int_equal(lm_transport_new(&allocator, &t, &e), LMOPT_OK);
  return t;
}

static outcome call_over(lm_transport *t, const char *base, const char *path, lm_http_request request) {
  outcome o = {0};
  char url[200];
  lm_http_call *started;
  lm_error e = {0};
  snprintf(url, sizeof url, "%s%s", base, path);
  request.url = url;
  lmopt_status status = lm_transport_submit(t, &request, take, &o, &started, &e);
  if (status != LMOPT_OK) {
    o.reply.status = status;
    o.reply.error = e;
    o.done = true;
  }
  double begun = lm_clock_monotonic();
  while (!o.done && lm_clock_monotonic() - begun < 20) lm_transport_pump(t, 100, -1, 0);
  assert_true(o.done);
  assert_int_equal(lm_transport_in_flight(t), 0);
  return o;
}

static outcome call(const char *base, const char *path, lm_http_request request) {
  lm_transport *t = open_transport();
  outcome o = call_over(t, base, path, request);
  lm_transport_free(t);
  return o;
}

static void assert_failure(outcome *o, lmopt_status status, const char *text) {
  if (o->reply.status != status || !strstr(o->reply.error.text, text))
    print_error("status %d, text '%s'; expected '%s'\n", o->reply.status, o->reply.error.text, text);
  assert_int_equal(o->reply.status, status);
  assert_non_null(strstr(o->reply.error.text, text));
  assert_null(strchr(o->reply.error.text, '\n'));
  lm_http_reply_free(&o->reply);
}

static bool has(const outcome *o, const char *text) { return strstr(lm_buffer_text(&o->reply.body), text) != NULL; }

static void test_replies(void **state) {
  server *s = *state;
  outcome o = call(s->base, "/echo?q=1", (lm_http_request){0});
  assert_int_equal(o.reply.status, LMOPT_OK);
  assert_int_equal(o.reply.code, 200);
  assert_true(has(&o, "\"method\": \"GET\""));
  assert_true(has(&o, "\"path\": \"/echo?q=1\""));
  assert_true(o.reply.seconds > 0);
  assert_non_null(strstr(lm_buffer_text(&o.reply.headers), "Content-Type: application/json\r\n"));
  lm_http_reply_free(&o.reply);

  static const char *const headers[] = {"Authorization: Bearer k", "Content-Type: text/x", "X-Empty:"};
  o = call(s->base, "/echo", (lm_http_request){.headers = headers, .header_count = 3, .body = "a\0b", .body_size = 3});
  assert_true(has(&o, "\"method\": \"POST\""));
  assert_true(has(&o, "\"authorization\": \"Bearer k\""));
  assert_true(has(&o, "\"content-type\": \"text/x\""));
  assert_true(has(&o, "\"body\": \"a\\u0000b\""));
  assert_false(has(&o, "\"expect\""));
  lm_http_reply_free(&o.reply);

  o = call(s->base, "/status/404", (lm_http_request){.method = "DELETE"});
  assert_int_equal(o.reply.status, LMOPT_OK); /* a response is a response */
  assert_int_equal(o.reply.code, 404);
  assert_string_equal(lm_buffer_text(&o.reply.body), "status 404");
  lm_http_reply_free(&o.reply);

  o = call(s->base, "/gzip", (lm_http_request){0});
  assert_string_equal(lm_buffer_text(&o.reply.body), "hello");
  lm_http_reply_free(&o.reply);

  o = call(s->base, "/bytes/3000000", (lm_http_request){0});
  assert_int_equal(o.reply.body.size, 3000000);
  lm_http_reply_free(&o.reply);
}

/* Calls one after the other use one handle: nothing of a call is left in the next. */
static void test_forgets(void **state) {
  const server *s = *state;
  static const char *const key[] = {"X-Key: sesame"};
  static const char *const methods[] = {"POST", "POST", "GET", "POST", "PUT", "DELETE", "POST", "POST", "HEAD", "POST"};
  static const char *const bodies[] = {"one", "two", NULL, "three", "four", NULL, NULL, "too long", NULL, "five"};
  lm_transport *t = open_transport();
  for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
    lm_http_request request = {.method = methods[i], .body = bodies[i], .headers = key, .header_count = i % 4 == 0};
    request.body_size = bodies[i] ? strlen(bodies[i]) : 0;
    if (i == 7) request.response_limit = 10; /* it fails */
    outcome o = call_over(t, s->base, "/echo", request);
    char method[40], body[40];
    snprintf(method, sizeof method, "\"method\": \"%s\"", methods[i]);
    snprintf(body, sizeof body, "\"body\": \"%s\"", bodies[i] ? bodies[i] : "");
    assert_int_equal(o.reply.status, i == 7 ? LMOPT_LIMIT : LMOPT_OK);
    if (i < 7 || i == 9) assert_true(has(&o, method) && has(&o, body) && has(&o, "sesame") == (i % 4 == 0));
    lm_http_reply_free(&o.reply);
  }
  outcome o = call_over(t, "http://127.0.0.1:9", "/", (lm_http_request){.body = ""});
  assert_int_equal(o.reply.code, 0); /* not that of the call before */
  lm_http_reply_free(&o.reply);
  lm_transport_free(t);
}

static void test_no_redirects(void **state) {
  server *s = *state;
  outcome o = call(s->base, "/redirect", (lm_http_request){0});
  assert_int_equal(o.reply.code, 302);
  assert_int_equal(o.reply.body.size, 0);
  lm_http_reply_free(&o.reply);
}

static void test_limits(void **state) {
  server *s = *state;
  outcome o = call(s->base, "/bytes/1001", (lm_http_request){.response_limit = 1000});
  assert_failure(&o, LMOPT_LIMIT, "is longer than 1000 bytes");
  o = call(s->base, "/bytes/1000", (lm_http_request){.response_limit = 1000});
  assert_int_equal(o.reply.body.size, 1000);
  lm_http_reply_free(&o.reply);
  o = call(s->base, "/bomb/50000000", (lm_http_request){.response_limit = 1000000});
  assert_failure(&o, LMOPT_LIMIT, "is longer than 1000000 bytes");
  o = call(s->base, "/headers/4000", (lm_http_request){0});
  assert_failure(&o, LMOPT_LIMIT, "is longer than");
}

/* Limits on silence: before the first byte, and between two pieces. */
static void assert_silences(const char *base) {
  outcome o = call(base, "/delay/5", (lm_http_request){.first_byte_timeout = 0.1});
  assert_string_equal(o.reply.reason, "first_byte");
  assert_failure(&o, LMOPT_TIMEOUT, "began within 0.1 s");
  o = call(base, "/trickle/3/5", (lm_http_request){.first_byte_timeout = 30, .idle_timeout = 0.1});
  assert_string_equal(o.reply.reason, "idle");
  assert_failure(&o, LMOPT_TIMEOUT, "fell silent for 0.1 s in the middle of its reply");
  /* All of it takes longer than either, no silence does. */
  o = call(base, "/trickle/12/0.1", (lm_http_request){.first_byte_timeout = 1.1, .idle_timeout = 1});
  assert_int_equal(o.reply.status, LMOPT_OK);
  assert_int_equal(o.reply.body.size, 12);
  assert_null(o.reply.reason);
  lm_http_reply_free(&o.reply);
}

/* A connection that was used before and breaks: what was sent is not sent again, for it may have been paid for. */
static void test_sent_once(void **state) {
  const server *s = *state;
  lm_transport *t = open_transport();
  char url[120];
  static const char *const paths[] = {"/script", "/scripted", "/seen"};
  static const char script[] = "[{\"fault\": \"reset\"}, {\"body\": \"twice\"}]";
  for (int i = 0; i < 3; i++) {
    outcome o = {0};
    lm_http_call *started;
    lm_error e;
    snprintf(url, sizeof url, "%s%s", s->base, paths[i]);
    lm_http_request request = {.url = url, .body = script, .body_size = strlen(script)};
    assert_int_equal(lm_transport_submit(t, &request, take, &o, &started, &e), LMOPT_OK);
    while (lm_transport_pump(t, 1000, -1, 0) > 0) continue;
    assert_int_equal(o.reply.status, i == 1 ? LMOPT_NETWORK : LMOPT_OK);
    if (i == 2) assert_string_equal(lm_buffer_text(&o.reply.body), "1");
    lm_http_reply_free(&o.reply);
  }
  lm_transport_free(t);
}

static void test_faults(void **state) {
  server *s = *state;
  outcome o = call(s->base, "/reset", (lm_http_request){0});
  assert_failure(&o, LMOPT_NETWORK, "the connection to 127.0.0.1:");
  o = call(s->base, "/close", (lm_http_request){0});
  assert_failure(&o, LMOPT_NETWORK, "closed the connection without a reply");
  o = call(s->base, "/cut", (lm_http_request){0});
  assert_failure(&o, LMOPT_NETWORK, "in the middle of its reply");
  o = call(s->base, "/garbage", (lm_http_request){0});
  assert_failure(&o, LMOPT_NETWORK, "127.0.0.1:");
  o = call(s->base, "/delay/5", (lm_http_request){.timeout = 0.1});
  assert_failure(&o, LMOPT_TIMEOUT, "no reply from 127.0.0.1:");
  o = call(s->base, "/trickle/400/0.05", (lm_http_request){.timeout = 2});
  assert_failure(&o, LMOPT_TIMEOUT, "was not complete within 2 s");
  assert_silences(s->base);
  o = call("http://127.0.0.1:9", "/", (lm_http_request){0});
  assert_string_equal(o.reply.reason, "refused");
  assert_failure(&o, LMOPT_NETWORK, "connection refused by 127.0.0.1:9");
  o = call("http://name.invalid", "/", (lm_http_request){0});
  assert_string_equal(o.reply.reason, "resolve");
  assert_failure(&o, LMOPT_NETWORK, "can't find the host of name.invalid:80");
  char tls[64];
  snprintf(tls, sizeof tls, "https%s", s->base + 4);
  o = call(tls, "/", (lm_http_request){0});
  assert_failure(&o, LMOPT_NETWORK, "TLS with 127.0.0.1:");
}

static void test_misuse(void **state) {
  (void)state;
  outcome o = call("ftp://127.0.0.1", "/", (lm_http_request){0});
  assert_failure(&o, LMOPT_MISUSE, "must start with http:// or https://");
  o = call("file:///etc/passwd", "", (lm_http_request){0});
  assert_failure(&o, LMOPT_MISUSE, "must start with http:// or https://");
  o = call("http://", "", (lm_http_request){0});
  assert_failure(&o, LMOPT_MISUSE, "not a usable URL");
  static const char *const split[] = {"A: secret\r\nB: c"}, *const nameless[] = {"secret"};
  o = call("http://127.0.0.1:9", "/", (lm_http_request){.headers = split, .header_count = 1});
  assert_null(strstr(o.reply.error.text, "secret"));
  assert_failure(&o, LMOPT_MISUSE, "header 1 is not one line");
  o = call("http://127.0.0.1:9", "/", (lm_http_request){.headers = nameless, .header_count = 1});
  assert_null(strstr(o.reply.error.text, "secret"));
  assert_failure(&o, LMOPT_MISUSE, "header 1 is not one line");
  o = call("http://127.0.0.1:9", "/", (lm_http_request){.method = "GET /x"});
  assert_failure(&o, LMOPT_MISUSE, "not an HTTP method");
}

/* Fifty at a time, on one thread; then again, over connections that are there. */
static void test_many(void **state) {
  enum { CALLS = 50 };
  server *s = *state;
  lm_transport *t = open_transport();
  static outcome outcomes[CALLS];
  char url[200], first_port[32] = "";
  lm_error e;
  lm_http_call *started;
  memset(outcomes, 0, sizeof outcomes);
  snprintf(url, sizeof url, "%s/delay/0.3", s->base);
  for (int i = 0; i < CALLS; i++) {
    lm_http_request request = {.url = url};
    assert_int_equal(lm_transport_submit(t, &request, take, &outcomes[i], &started, &e), LMOPT_OK);
  }
  assert_int_equal(lm_transport_in_flight(t), CALLS);
  while (lm_transport_pump(t, 1000, -1, 0) > 0) continue;
  for (int i = 0; i < CALLS; i++) {
    assert_int_equal(outcomes[i].reply.code, 200);
    assert_string_equal(lm_buffer_text(&outcomes[i].reply.body), "late");
    lm_http_reply_free(&outcomes[i].reply);
  }
  outcome peak = call(s->base, "/peak", (lm_http_request){0});
  assert_true(atoi(lm_buffer_text(&peak.reply.body)) > CALLS / 2);
  lm_http_reply_free(&peak.reply);
  snprintf(url, sizeof url, "%s/echo", s->base);
  for (int i = 0; i < 3; i++) { /* one after the other: the same connection */
    lm_http_request request = {.url = url};
    outcome o = {0};
    assert_int_equal(lm_transport_submit(t, &request, take, &o, &started, &e), LMOPT_OK);
    while (lm_transport_pump(t, 1000, -1, 0) > 0) continue;
    const char *port = strstr(lm_buffer_text(&o.reply.body), "\"port\"");
    assert_non_null(port);
    if (i > 0) assert_string_equal(first_port, port);
    snprintf(first_port, sizeof first_port, "%s", port);
    lm_http_reply_free(&o.reply);
  }
  lm_transport_free(t);
}

static void test_cancel(void **state) {
  server *s = *state;
  lm_transport *t = open_transport();
  outcome kept = {0}, gone = {0};
  lm_http_call *first, *second;
  lm_error e;
  char slow[200], quick[200];
  snprintf(slow, sizeof slow, "%s/delay/5", s->base);
  snprintf(quick, sizeof quick, "%s/echo", s->base);
  lm_http_request request = {.url = slow};
  assert_int_equal(lm_transport_submit(t, &request, take, &gone, &first, &e), LMOPT_OK);
  request.url = quick;
  assert_int_equal(lm_transport_submit(t, &request, take, &kept, &second, &e), LMOPT_OK);
  lm_transport_pump(t, 1, -1, 0);
  lm_transport_cancel(first);
  while (lm_transport_pump(t, 1000, -1, 0) > 0) continue;
  assert_true(kept.done);
  assert_false(gone.done);
  lm_http_reply_free(&kept.reply);
  request.url = slow;
  assert_int_equal(lm_transport_submit(t, &request, take, &gone, &first, &e), LMOPT_OK);
  lm_transport_pump(t, 1, -1, 0);
  lm_transport_free(t); /* with a call in flight */
  assert_false(gone.done);
}

static void test_wake(void **state) {
  server *s = *state;
  lm_transport *t = open_transport();
  outcome o = {0};
  lm_http_call *started;
  lm_error e;
  int ends[2];
  char url[200];
  assert_int_equal(pipe(ends), 0);
  snprintf(url, sizeof url, "%s/delay/3", s->base);
  lm_http_request request = {.url = url};
  assert_int_equal(lm_transport_submit(t, &request, take, &o, &started, &e), LMOPT_OK);
  assert_int_equal(write(ends[1], "!", 1), 1);
  double before = lm_clock_monotonic();
  for (int i = 0; i < 5; i++) lm_transport_pump(t, 10000, ends[0], 0);
  assert_true(lm_clock_monotonic() - before < 2.5); /* it was the pipe, not the reply */
  assert_false(o.done);
  lm_transport_free(t);
  close(ends[0]);
  close(ends[1]);
}

/* With a budget that is spent at once every pump still does something, and nothing is forgotten. */
static void test_budget(void **state) {
  enum { CALLS = 12 };
  server *s = *state;
  lm_transport *t = open_transport();
  static outcome outcomes[CALLS];
  lm_http_call *started[CALLS];
  lm_error e;
  char url[200];
  memset(outcomes, 0, sizeof outcomes);
  snprintf(url, sizeof url, "%s/bytes/100000", s->base);
  lm_http_request request = {.url = url};
  for (int i = 0; i < CALLS; i++)
    assert_int_equal(lm_transport_submit(t, &request, take, &outcomes[i], &started[i], &e), LMOPT_OK);
  assert_int_equal(lm_transport_timeout(t), 0); /* they want to be started */
  lm_transport_cancel(started[5]);              /* before that */
  lm_transport_cancel(started[0]);
  lm_transport_cancel(started[CALLS - 1]);
  size_t pumps = 0;
  while (lm_transport_pump(t, 0, -1, 1e-9) > 0) pumps++; /* one that may wait would work twice */
  assert_true(pumps >= CALLS - 3);
  for (int i = 0; i < CALLS; i++) {
    bool cancelled = i == 0 || i == 5 || i == CALLS - 1;
    assert_int_equal(outcomes[i].done, !cancelled);
    if (!cancelled) assert_int_equal(outcomes[i].reply.body.size, 100000);
    if (!cancelled) lm_http_reply_free(&outcomes[i].reply);
  }
  lm_transport_free(t);
}

/* A callback that submits another call and cancels a third. */
typedef struct chain {
  lm_transport *transport;
  const char *url;
  lm_http_call *victim;
  int left, done;
} chain;

static void go_on(void *userdata, lm_http_reply *reply) {
  chain *c = userdata;
  lm_error e;
  lm_http_call *next;
  assert_int_equal(reply->code, 200);
  lm_http_reply_free(reply);
  c->done++;
  if (c->victim) lm_transport_cancel(c->victim);
  c->victim = NULL;
  if (c->left-- == 0) return;
  lm_http_request request = {.url = c->url};
  assert_int_equal(lm_transport_submit(c->transport, &request, go_on, c, &next, &e), LMOPT_OK);
}

static void test_callbacks(void **state) {
  server *s = *state;
  char quick[200], slow[200];
  outcome gone = {0};
  lm_error e;
  snprintf(quick, sizeof quick, "%s/echo", s->base);
  snprintf(slow, sizeof slow, "%s/delay/20", s->base);
  chain c = {.transport = open_transport(), .url = quick, .left = 4};
  lm_http_request request = {.url = slow};
  assert_int_equal(lm_transport_submit(c.transport, &request, take, &gone, &c.victim, &e), LMOPT_OK);
  lm_http_call *first;
  request.url = quick;
  assert_int_equal(lm_transport_submit(c.transport, &request, go_on, &c, &first, &e), LMOPT_OK);
  while (lm_transport_pump(c.transport, 1000, -1, 0) > 0) continue;
  assert_int_equal(c.done, 5);
  assert_false(gone.done);
  lm_transport_free(c.transport);
}

/* --- in pieces --- */

typedef struct reader {
  outcome end;
  size_t told, most; /* how often bytes had come; the most that waited */
} reader;

static void take_end(void *userdata, lm_http_reply *reply) {
  reader *r = userdata;
  take(&r->end, reply);
}

static void note_piece(void *userdata) { ((reader *)userdata)->told++; }

static lm_http_call *begin_pieces(lm_transport *t, const char *base, const char *path, lm_http_request request,
                                  reader *r) {
  char url[200];
  lm_http_call *started;
  lm_error e;
  memset(r, 0, sizeof *r);
  snprintf(url, sizeof url, "%s%s", base, path);
  request.url = url;
  request.received = note_piece;
  assert_int_equal(lm_transport_submit(t, &request, take_end, r, &started, &e), LMOPT_OK);
  return started;
}

/* Consumes all that comes, until the end; returns how many bytes, those of the reply's own body included. */
static size_t read_all(lm_transport *t, lm_http_call *call, reader *r) {
  size_t size = 0;
  for (int i = 0; i < 100000 && !r->end.done; i++) {
    size_t waiting = lm_transport_received(call).size;
    if (waiting > r->most) r->most = waiting;
    size_t taken = waiting - waiting / 3;
    size += taken;
    if (waiting > 0)
      lm_transport_consume(call, taken); /* after which more may be there at once */
    else
      lm_transport_pump(t, 1000, -1, 0);
  }
  assert_true(r->end.done);
  return size + r->end.reply.body.size;
}

static void test_pieces(void **state) {
  const server *s = *state;
  lm_transport *t = open_transport();
  reader r;
  lm_http_call *call = begin_pieces(t, s->base, "/trickle/5/0.02", (lm_http_request){0}, &r);
  while (r.told == 0) lm_transport_pump(t, 1000, -1, 0); /* each piece ends a pump that waits */
  assert_int_equal(lm_transport_code(call), 200);
  assert_non_null(strstr(lm_buffer_text(lm_transport_headers(call)), "Content-Length: 5"));
  assert_int_equal(read_all(t, call, &r), 5);
  assert_true(r.told > 1);
  assert_true(r.end.reply.in_pieces);
  assert_int_equal(r.end.reply.code, 200);
  lm_http_reply_free(&r.end.reply);

  call = begin_pieces(t, s->base, "/bytes/3000000", (lm_http_request){0}, &r);
  assert_int_equal(read_all(t, call, &r), 3000000);
  assert_true(r.most <= 64 * 1024);
  lm_http_reply_free(&r.end.reply);
  call =
      begin_pieces(t, s->base, "/bomb/5000000", (lm_http_request){0}, &r); /* compressed: curl keeps what it unpacked */
  assert_int_equal(read_all(t, call, &r), 5000000);
  lm_http_reply_free(&r.end.reply);

  call = begin_pieces(t, s->base, "/status/503", (lm_http_request){0}, &r); /* what is no success comes whole */
  assert_int_equal(read_all(t, call, &r), 10);
  assert_int_equal(r.told, 0);
  assert_false(r.end.reply.in_pieces);
  assert_string_equal(lm_buffer_text(&r.end.reply.body), "status 503");
  lm_http_reply_free(&r.end.reply);

  call = begin_pieces(t, s->base, "/cut", (lm_http_request){0}, &r); /* what had come before it broke is given */
  assert_int_equal(read_all(t, call, &r), 10);
  assert_failure(&r.end, LMOPT_NETWORK, "in the middle of its reply");
  lm_transport_free(t);
}

/* The limit is one of the whole body, consumed or not. */
static void test_limit_of_pieces(void **state) {
  const server *s = *state;
  lm_transport *t = open_transport();
  static const char *const paths[] = {"/bytes/300000", "/bomb/300000"};
  reader r;
  for (size_t i = 0; i < 2; i++) {
    lm_http_call *call = begin_pieces(t, s->base, paths[i], (lm_http_request){.response_limit = 300000}, &r);
    assert_int_equal(read_all(t, call, &r), 300000);
    assert_int_equal(r.end.reply.status, LMOPT_OK);
    lm_http_reply_free(&r.end.reply);
    call = begin_pieces(t, s->base, paths[i], (lm_http_request){.response_limit = 299999}, &r);
    assert_true(read_all(t, call, &r) <= 299999);
    assert_failure(&r.end, LMOPT_LIMIT, "is longer than 299999 bytes");
  }
  lm_transport_free(t);
}

/* Whoever does not read makes the server wait, with little in memory; the server's silence is not counted meanwhile. */
static void test_unread(void **state) {
  const server *s = *state;
  lm_transport *t = open_transport();
  reader r;
  lm_http_call *call = begin_pieces(t, s->base, "/bytes/30000000", (lm_http_request){.idle_timeout = 1.5}, &r);
  double begun = lm_clock_monotonic();
  while (lm_clock_monotonic() - begun < 2) lm_transport_pump(t, 50, -1, 0);
  assert_false(r.end.done);
  assert_true(lm_transport_received(call).size > 0);
  assert_true(lm_transport_received(call).size <= 64 * 1024);
  assert_int_equal(read_all(t, call, &r), 30000000);
  assert_int_equal(r.end.reply.status, LMOPT_OK);
  lm_http_reply_free(&r.end.reply);

  call = begin_pieces(t, s->base, "/bytes/30000000", (lm_http_request){0}, &r); /* given up while it waits */
  begun = lm_clock_monotonic();
  while (r.told < 4 && lm_clock_monotonic() - begun < 5) lm_transport_pump(t, 50, -1, 0);
  lm_transport_cancel(call);
  assert_false(r.end.done);
  assert_int_equal(lm_transport_in_flight(t), 0);
  call = begin_pieces(t, s->base, "/trickle/3/5", (lm_http_request){.idle_timeout = 0.1}, &r);
  read_all(t, call, &r);
  assert_string_equal(r.end.reply.reason, "idle");
  assert_failure(&r.end, LMOPT_TIMEOUT, "fell silent for 0.1 s in the middle of its reply");
  lm_transport_free(t);
}

static void test_no_library(void **state) {
  (void)state;
  lm_curl curl;
  lm_error e;
  static const char *const absent[] = {"libabsent-one.so.4", "libabsent-two.so.4", NULL}, *const other[] = {"libm.so.6",
                                                                                                            NULL};
  assert_int_equal(lm_curl_load(&curl, absent, &e), LMOPT_ERROR);
  assert_non_null(strstr(e.text, "libcurl4"));
  assert_int_equal(lm_curl_load(&curl, other, &e), LMOPT_ERROR);
  assert_non_null(strstr(e.text, "has no curl_"));
  assert_int_equal(lm_curl_load(&curl, NULL, &e), LMOPT_OK);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_replies), cmocka_unit_test(test_no_redirects),    cmocka_unit_test(test_limits),
      cmocka_unit_test(test_faults),  cmocka_unit_test(test_sent_once),       cmocka_unit_test(test_misuse),
      cmocka_unit_test(test_many),    cmocka_unit_test(test_cancel),          cmocka_unit_test(test_wake),
      cmocka_unit_test(test_budget),  cmocka_unit_test(test_callbacks),       cmocka_unit_test(test_no_library),
      cmocka_unit_test(test_pieces),  cmocka_unit_test(test_limit_of_pieces), cmocka_unit_test(test_unread),
      cmocka_unit_test(test_forgets),
  };
  return cmocka_run_group_tests(tests, start_server, stop_server);
}
