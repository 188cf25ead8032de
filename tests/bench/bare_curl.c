/*
** What libcurl alone takes for the calls that lmopt makes: the least a client over it can do.
**
** usage: bare_curl URL CALLS IN_FLIGHT [WARM]
**
** One easy handle for each call in flight, whose options are set once; of a call, only the body is new. The replies are
** collected, and not looked at. With one call in flight it is curl_easy_perform, with more a multi handle whose sockets
** epoll watches. WARM calls come first, and do not count.
**
** Prints "calls N", "seconds S" (passed), "work S" (of the processor), "median S" (of a call, one in flight only) and
** "peak K" (the most memory of the process, in KiB).
*/
#define _GNU_SOURCE
#include <curl/curl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, LARGEST_REPLY = 4096 };

/* What tests/bench/calls.lua has lmopt send, number and all. */
static const char body_format[] =
    "{\"model\":\"load-1\",\"messages\":[{\"role\":\"system\",\"content\":\"Sort the ticket into one of: billing, bug, "
    "question. Answer with one sentence that says why.\"},{\"role\":\"user\",\"content\":\"Ticket %06ld: I was charged "
    "twice "
    "this month. The first charge came on the third, the second on the ninth, and both of them are for the same plan. "
    "I have "
    "not changed anything in my account since the spring. Please look into it, and give the second one back.\"}],"
    "\"max_tokens\":100,\"temperature\":0}";

typedef struct slot {
  CURL *easy;
  char body[1024], reply[LARGEST_REPLY];
  size_t reply_size;
} slot;

typedef struct client {
  CURLM *multi;
  int epoll;
  double due; /* when libcurl wants to be called; negative: never */
  const char *url;
  struct curl_slist *headers;
  long started, finished, wanted;
} client;

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail(const char *what) {
  fprintf(stderr, "bare_curl: %s\n", what);
  exit(1);
}

/* --- calls --- */

static size_t receive(char *bytes, size_t one, size_t count, void *userdata) {
  slot *of = userdata;
  size_t size = one * count;
  if (of->reply_size + size > LARGEST_REPLY) return 0;
  memcpy(of->reply + of->reply_size, bytes, size);
  of->reply_size += size;
  return size;
}

static void set_options(const client *c, slot *of) {
  of->easy = curl_easy_init();
  if (!of->easy) fail("no memory");
  curl_easy_setopt(of->easy, CURLOPT_URL, c->url);
  curl_easy_setopt(of->easy, CURLOPT_HTTPHEADER, c->headers);
  curl_easy_setopt(of->easy, CURLOPT_USERAGENT, "bare");
  curl_easy_setopt(of->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(of->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(of->easy, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(of->easy, CURLOPT_WRITEDATA, of);
  curl_easy_setopt(of->easy, CURLOPT_PRIVATE, of);
  curl_easy_setopt(of->easy, CURLOPT_TIMEOUT_MS, 600000L);
}

static void set_body(client *c, slot *of) {
  int size = snprintf(of->body, sizeof of->body, body_format, c->started++);
  of->reply_size = 0;
  curl_easy_setopt(of->easy, CURLOPT_POSTFIELDS, of->body);
  curl_easy_setopt(of->easy, CURLOPT_POSTFIELDSIZE, (long)size);
}

static void check(slot *of, CURLcode code) {
  long status = 0;
  curl_easy_getinfo(of->easy, CURLINFO_RESPONSE_CODE, &status);
  if (code != CURLE_OK || status != 200 || of->reply_size == 0) fail(curl_easy_strerror(code));
}

/* --- many at a time --- */

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *userdata, void *known) {
  client *c = userdata;
  struct epoll_event event = {
      (what & CURL_POLL_IN ? (unsigned)EPOLLIN : 0) | (what & CURL_POLL_OUT ? (unsigned)EPOLLOUT : 0), {.fd = socket}};
  (void)easy;
  if (what == CURL_POLL_REMOVE)
    epoll_ctl(c->epoll, EPOLL_CTL_DEL, socket, &event);
  else
    epoll_ctl(c->epoll, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
  if (what != CURL_POLL_REMOVE && !known) curl_multi_assign(c->multi, socket, c);
  return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *userdata) {
  client *c = userdata;
  (void)multi;
  c->due = timeout_ms < 0 ? -1 : seconds(CLOCK_MONOTONIC) + (double)timeout_ms / 1000;
  return 0;
}

static void start_call(client *c, slot *of) {
  set_body(c, of);
  if (curl_multi_add_handle(c->multi, of->easy) != CURLM_OK) fail("can't add a call");
}

static void take_finished(client *c) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(c->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE) continue;
    slot *of = NULL;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&of);
    check(of, code);
    curl_multi_remove_handle(c->multi, of->easy);
    c->finished++;
    if (c->started < c->wanted) start_call(c, of);
  }
}

static void run_multi(client *c, slot *slots, long in_flight, long wanted) {
  struct epoll_event events[EVENTS];
  int running;
  c->started = c->finished = 0;
  c->wanted = wanted;
  for (long i = 0; i < in_flight && i < wanted; i++) start_call(c, &slots[i]);
  while (c->finished < c->wanted) {
    double left = c->due < 0 ? 1 : c->due - seconds(CLOCK_MONOTONIC);
    int count = epoll_wait(c->epoll, events, EVENTS, left <= 0 ? 0 : (int)(left * 1000) + 1);
    for (int i = 0; i < count; i++)
      curl_multi_socket_action(c->multi, events[i].data.fd,
                               (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0),
                               &running);
    if (c->due >= 0 && seconds(CLOCK_MONOTONIC) >= c->due) {
      c->due = -1;
      curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    take_finished(c);
  }
}

static void open_multi(client *c) {
  c->multi = curl_multi_init();
  c->epoll = epoll_create1(EPOLL_CLOEXEC);
  c->due = -1;
  if (!c->multi || c->epoll < 0) fail("can't start");
  curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
  curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
  curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
}

/* --- one at a time --- */

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Returns the median of what a call took. */
static double run_easy(client *c, slot *of, long wanted) {
  double *took = malloc((size_t)wanted * sizeof *took);
  if (!took) fail("no memory");
  for (long i = 0; i < wanted; i++) {
    double began = seconds(CLOCK_MONOTONIC);
    set_body(c, of);
    check(of, curl_easy_perform(of->easy));
    took[i] = seconds(CLOCK_MONOTONIC) - began;
  }
  qsort(took, (size_t)wanted, sizeof *took, compare);
  double median = took[wanted / 2];
  free(took);
  return median;
}

static double run(client *c, slot *slots, long in_flight, long wanted) {
  if (wanted < 1) return 0;
  if (in_flight == 1) return run_easy(c, slots, wanted);
  run_multi(c, slots, in_flight, wanted);
  return 0;
}

int main(int argc, char **argv) {
  client c = {.due = -1};
  long calls = argc > 3 ? atol(argv[2]) : 0, in_flight = argc > 3 ? atol(argv[3]) : 0,
       warm = argc > 4 ? atol(argv[4]) : 0;
  if (calls < 1 || in_flight < 1) fail("usage: bare_curl URL CALLS IN_FLIGHT [WARM]");
  c.url = argv[1];
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const char *const headers[] = {"Content-Type: application/json", "Accept: application/json",
                                 "Authorization: Bearer none", "Expect:"};
  for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) c.headers = curl_slist_append(c.headers, headers[i]);
  open_multi(&c);
  slot *slots = calloc((size_t)in_flight, sizeof *slots);
  if (!slots) fail("no memory");
  for (long i = 0; i < in_flight; i++) set_options(&c, &slots[i]);
  run(&c, slots, in_flight, warm);
  double passed = seconds(CLOCK_MONOTONIC), worked = seconds(CLOCK_PROCESS_CPUTIME_ID);
  double median = run(&c, slots, in_flight, calls);
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("calls %ld\nseconds %.6f\nwork %.6f\nmedian %.9f\npeak %ld\n", calls, seconds(CLOCK_MONOTONIC) - passed,
         seconds(CLOCK_PROCESS_CPUTIME_ID) - worked, median, usage.ru_maxrss);
  _exit(fflush(stdout)); /* closing what is open is not what is measured */
}
