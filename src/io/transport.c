#include <math.h>

#include "base/clock.h"
#include "io/transport_internal.h"

enum {
  LONGEST_WAIT_MS = 60 * 60 * 1000, /* as poll takes an int */
  BATCH = 16,                       /* ready sockets that are asked for at a time */
  CONNECTIONS = 64,                 /* kept open at least, idle ones included */
  BLIND_WAIT_MS = 20                /* the longest wait while some socket can't be watched */
};

double lm_transport_earlier(double a, double b) { return a < 0 || (b >= 0 && b < a) ? b : a; }

/* --- what libcurl wants to be told --- */

/* libcurl says which sockets to watch, and for what. */
static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *userdata, void *of_socket) {
  lm_transport *t = userdata;
  (void)easy;
  (void)of_socket;
  int events = what == CURL_POLL_IN      ? LMOPT_READ
               : what == CURL_POLL_OUT   ? LMOPT_WRITE
               : what == CURL_POLL_INOUT ? LMOPT_READ | LMOPT_WRITE
                                         : 0;
  if (!lm_poller_watch(t->poller, (int)socket, events)) t->blind = true;
  return 0;
}

/* libcurl says when it wants to be called next. */
static int set_timer(CURLM *multi, long timeout_ms, void *userdata) {
  lm_transport *t = userdata;
  (void)multi;
  t->due = timeout_ms < 0 ? -1 : lm_clock_monotonic() + (double)timeout_ms / 1000;
  return 0;
}

/* --- opening and closing --- */

static lmopt_status open_multi(lm_transport *t, lm_error *e) {
  const lm_curl *curl = &t->curl;
  if (curl->global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return lm_fail(e, LMOPT_ERROR, "libcurl can't start");
  t->multi = curl->multi_init();
  if (!t->multi) {
    curl->global_cleanup();
    return lm_fail_memory(e);
  }
  curl->multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
  curl->multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
  curl->multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, set_timer);
  curl->multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
  curl->multi_setopt(t->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
  return LMOPT_OK;
}

/*
** libcurl counts connections that are in use among those it keeps: with fewer than there are calls in flight, each
** call that ends would close the connection that the next one wants.
*/
static void keep_connections(lm_transport *t, size_t count) {
  if (count <= t->connections) return;
  t->connections = count < CONNECTIONS ? CONNECTIONS : 2 * count;
  t->curl.multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)t->connections);
}

lmopt_status lm_transport_new(const lm_allocator *a, lm_transport **out, lm_error *e) {
  *out = NULL;
  lm_transport *t = lm_alloc_zeroed(a, sizeof *t);
  if (!t) return lm_fail_memory(e);
  t->allocator = a;
  t->due = t->quiet_due = -1;
  lmopt_status status = lm_curl_load(&t->curl, NULL, e);
  if (status == LMOPT_OK && !lm_trust_read(a, &t->curl, &t->trust)) status = lm_fail_memory(e);
  if (status == LMOPT_OK) status = lm_poller_new(a, &t->poller, e);
  if (status == LMOPT_OK) status = open_multi(t, e);
  if (status != LMOPT_OK) {
    lm_poller_free(t->poller);
    lm_trust_free(a, &t->trust);
    lm_free(a, t);
    return status;
  }
  *out = t;
  return LMOPT_OK;
}

void lm_transport_free(lm_transport *t) {
  if (!t) return;
  while (t->calls) lm_transport_cancel(t->calls);
  while (t->pooled > 0) t->curl.easy_cleanup(t->pool[--t->pooled]);
  t->curl.multi_cleanup(t->multi);
  t->curl.global_cleanup();
  lm_free(t->allocator, t->url);
  lm_poller_free(t->poller); /* last: closing connections is told to it */
  lm_trust_free(t->allocator, &t->trust);
  lm_free(t->allocator, t);
}

size_t lm_transport_in_flight(const lm_transport *t) { return t->in_flight; }

void lm_http_reply_free(lm_http_reply *reply) {
  if (reply->headers.allocator) lm_buffer_free(&reply->headers);
  if (reply->body.allocator) lm_buffer_free(&reply->body);
}

/* Returns NULL, and frees the handle, when there is no memory. */
static CURL *dress(const lm_transport *t, CURL *easy) {
  if (!easy || lm_transport_dress(t, easy)) return easy;
  t->curl.easy_cleanup(easy);
  return NULL;
}

static CURL *take_easy(lm_transport *t) { return t->pooled > 0 ? t->pool[--t->pooled] : dress(t, t->curl.easy_init()); }

/*
** A handle keeps its connections and its memory, and forgets keys and bodies. Only between plain calls that end well it
** keeps its options, too: what is set anew for each of those is all that they differ in.
*/
static void give_easy(lm_transport *t, CURL *easy, bool keeps_options) {
  if (t->pooled == LM_TRANSPORT_POOL_SIZE) {
    t->curl.easy_cleanup(easy);
    return;
  }
  if (keeps_options) {
    lm_transport_forget(t, easy);
  } else {
    t->curl.easy_reset(easy);
    easy = dress(t, easy);
  }
  if (easy) t->pool[t->pooled++] = easy;
}

/* Frees a call but for its reply. */
static void free_call(lm_http_call *call) {
  lm_transport *t = call->transport;
  if (call->added) t->curl.multi_remove_handle(t->multi, call->easy);
  if (t->waiting == call) t->waiting = call->previous;
  if (call->easy) give_easy(t, call->easy, call->plain && call->well);
  t->curl.slist_free_all(call->headers);
  lm_free(t->allocator, call->body);
  if (call->previous)
    call->previous->next = call->next;
  else
    t->calls = call->next;
  if (call->next) call->next->previous = call->previous;
  t->in_flight--;
  lm_free(t->allocator, call);
}

void lm_transport_cancel(lm_http_call *call) {
  lm_http_reply_free(&call->reply);
  free_call(call);
}

/* --- submitting --- */

/* To be called once the request was found good. */
static void put_in_line(lm_http_call *call) {
  lm_transport *t = call->transport;
  if (!t->waiting) t->waiting = call;
  t->quiet_due = lm_transport_earlier(t->quiet_due, lm_transport_silence_due(call));
}

lmopt_status lm_transport_submit(lm_transport *t, const lm_http_request *request,
                                 void (*done)(void *userdata, lm_http_reply *reply), void *userdata, lm_http_call **out,
                                 lm_error *e) {
  *out = NULL;
  lm_http_call *call = lm_alloc_zeroed(t->allocator, sizeof *call);
  if (!call) return lm_fail_memory(e);
  call->transport = t;
  call->done = done;
  call->userdata = userdata;
  call->received = request->received;
  call->submitted = lm_clock_monotonic();
  lm_transport_init_reply(call, request->response_limit);
  call->next = t->calls;
  if (call->next) call->next->previous = call;
  t->calls = call;
  keep_connections(t, ++t->in_flight);
  call->easy = take_easy(t);
  lmopt_status status = call->easy ? lm_transport_prepare(call, request, e) : lm_fail_memory(e);
  if (status != LMOPT_OK) {
    lm_transport_cancel(call);
    return status;
  }
  put_in_line(call);
  *out = call;
  return LMOPT_OK;
}

/* --- finishing --- */

static void finish(lm_http_call *call, CURLcode code) {
  lm_transport_conclude(call, code);
  call->well = code == CURLE_OK;
  lm_http_reply reply = call->reply;
  void (*done)(void *, lm_http_reply *) = call->done;
  void *userdata = call->userdata;
  free_call(call);
  done(userdata, &reply);
}

/* Reports what has finished; returns how many calls that were. */
static size_t report(lm_transport *t) {
  const lm_curl *curl = &t->curl;
  size_t finished = 0;
  int left;
  CURLMsg *message;
  while ((message = curl->multi_info_read(t->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result; /* the message dies with the handle's removal */
    lm_http_call *call = NULL;
    curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
    if (call) finish(call, code);
    finished++;
  }
  return finished;
}

/* --- pumping --- */

static bool is_late(double deadline) { return deadline > 0 && lm_clock_monotonic() >= deadline; }

static void run_timer(lm_transport *t) {
  int running;
  if (t->due < 0 || lm_clock_monotonic() < t->due) return;
  t->due = -1; /* libcurl sets the next one itself */
  t->curl.multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
}

static lm_http_call *find_quiet(const lm_transport *t) {
  lm_http_call *call = t->calls;
  while (call && !call->quiet) call = call->next;
  return call;
}

/* Gives up the calls that were silent for too long; returns how many. */
static size_t end_quiet(lm_transport *t) {
  double now = t->quiet_due < 0 ? 0 : lm_clock_monotonic();
  if (t->quiet_due < 0 || now < t->quiet_due) return 0;
  t->quiet_due = -1;
  for (lm_http_call *call = t->calls; call; call = call->next) {
    double due = lm_transport_silence_due(call);
    call->quiet = due >= 0 && due <= now;
    if (!call->quiet) t->quiet_due = lm_transport_earlier(t->quiet_due, due);
  }
  size_t ended = 0;
  for (lm_http_call *call; (call = find_quiet(t)) != NULL; ended++) /* the callback may cancel any other */
    finish(call, CURLE_OPERATION_TIMEDOUT);
  return ended;
}

/*
** Starts calls one by one: looking up and connecting many at once would be one
** long operation. Returns how many failed.
*/
static size_t start_waiting(lm_transport *t, double deadline) {
  size_t failed = 0;
  bool late = false; /* one at least, whatever the sockets have left of the time */
  for (; t->waiting && !late; late = is_late(deadline)) {
    lm_http_call *call = t->waiting;
    t->waiting = call->previous;
    CURLMcode code = t->curl.multi_add_handle(t->multi, call->easy);
    call->added = code == CURLM_OK;
    if (call->added) {
      run_timer(t); /* adding made it due */
    } else {
      finish(call, code == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY : CURLE_FAILED_INIT);
      failed++;
    }
  }
  return failed;
}

/* Serves sockets that are ready; one that stays ready gets another turn in the next pump. */
static void serve_sockets(lm_transport *t, double deadline) {
  lmopt_fd ready[BATCH];
  size_t served = 0, count;
  if (t->waiting && !t->waiting->next) return; /* no call has begun */
  do {
    count = lm_poller_ready(t->poller, ready, BATCH);
    for (size_t i = 0; i < count; i++) {
      int events = (ready[i].events & LMOPT_READ ? CURL_CSELECT_IN : 0) |
                   (ready[i].events & LMOPT_WRITE ? CURL_CSELECT_OUT : 0) |
                   (ready[i].events & LM_POLL_ERROR ? CURL_CSELECT_ERR : 0);
      int running;
      t->curl.multi_socket_action(t->multi, ready[i].fd, events, &running);
      if (is_late(deadline)) return;
    }
    served += count;
  } while (count == BATCH && served < t->in_flight);
}

static size_t work(lm_transport *t, double budget) {
  double deadline = budget > 0 ? lm_clock_monotonic() + budget : 0;
  size_t pieces = t->pieces;
  int running;
  serve_sockets(t, deadline);
  run_timer(t);
  if (t->blind) t->curl.multi_perform(t->multi, &running);
  size_t failed = start_waiting(t, deadline);
  size_t finished = report(t); /* before it is asked who is silent: what has come is no silence */
  return finished + end_quiet(t) + failed + (t->pieces - pieces);
}

int lm_transport_timeout(const lm_transport *t) {
  if (t->waiting) return 0;
  double due = t->in_flight > 0 ? lm_transport_earlier(t->due, t->quiet_due) : t->due;
  double left = due < 0 ? -1 : ceil((due - lm_clock_monotonic()) * 1000);
  int ms = due < 0 ? -1 : left <= 0 ? 0 : left < LONGEST_WAIT_MS ? (int)left : LONGEST_WAIT_MS;
  return t->blind && t->in_flight > 0 && (ms < 0 || ms > BLIND_WAIT_MS) ? BLIND_WAIT_MS : ms;
}

size_t lm_transport_fds(const lm_transport *t, lmopt_fd *fds, size_t capacity) {
  return lm_poller_fds(t->poller, fds, capacity);
}

size_t lm_transport_pump(lm_transport *t, int wait_ms, int wake_fd, double budget) {
  if (work(t, budget) == 0 && wait_ms > 0) {
    int own = lm_transport_timeout(t);
    lm_poller_wait(t->poller, own >= 0 && own < wait_ms ? own : wait_ms, wake_fd);
    work(t, budget);
  }
  return t->in_flight;
}
