#include "io/transport.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "io/curl.h"
#include "io/poller.h"

enum {
  POOL_SIZE = 16,                   /* idle easy handles kept for reuse */
  LONGEST_WAIT_MS = 60 * 60 * 1000, /* as poll takes an int */
  BATCH = 16,                       /* ready sockets that are asked for at a time */
  BLIND_WAIT_MS = 20,               /* the longest wait while some socket can't be watched */
  HEADER_LIMIT = 256 * 1024,        /* bytes of response headers */
  RESPONSE_LIMIT = 64 * 1024 * 1024 /* bytes of body, where the request says nothing */
};

static const double default_connect_timeout = 10, default_timeout = 600, longest_timeout = 1e6;

struct lm_transport {
  const lm_allocator *allocator;
  lm_curl curl;
  lm_poller *poller;
  CURLM *multi;
  double due;       /* when libcurl wants to be called though no socket is ready: monotonic seconds; negative: never */
  double quiet_due; /* no call has been silent for too long before this moment; negative: none can be */
  bool blind;       /* a socket could not be watched: look after all of them now and then */
  lm_http_call *calls;   /* all in flight, the newest first */
  lm_http_call *waiting; /* the oldest that is not started; those before it in `calls` are not either */
  size_t in_flight;
  CURL *pool[POOL_SIZE];
  size_t pooled;
};

struct lm_http_call {
  lm_transport *transport;
  lm_http_call *previous, *next;
  void (*done)(void *userdata, lm_http_reply *reply);
  void *userdata;
  CURL *easy;
  bool added; /* to the multi handle */
  struct curl_slist *headers;
  char *body;
  size_t body_size, body_sent;
  char where[300]; /* "host:port" for messages */
  double submitted, connect_timeout, first_byte_timeout, idle_timeout, timeout;
  double heard; /* when the last piece of the reply came; 0: none yet */
  bool quiet;   /* silent for too long */
  lm_http_reply reply;
  char reason[CURL_ERROR_SIZE];
};

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
  curl->multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, 64L);
  return LMOPT_OK;
}

lmopt_status lm_transport_new(const lm_allocator *a, lm_transport **out, lm_error *e) {
  *out = NULL;
  lm_transport *t = lm_alloc_zeroed(a, sizeof *t);
  if (!t) return lm_fail_memory(e);
  t->allocator = a;
  t->due = t->quiet_due = -1;
  lmopt_status status = lm_curl_load(&t->curl, NULL, e);
  if (status == LMOPT_OK) status = lm_poller_new(a, &t->poller, e);
  if (status == LMOPT_OK) status = open_multi(t, e);
  if (status != LMOPT_OK) {
    lm_poller_free(t->poller);
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
  lm_poller_free(t->poller); /* last: closing connections is told to it */
  lm_free(t->allocator, t);
}

size_t lm_transport_in_flight(const lm_transport *t) { return t->in_flight; }

void lm_http_reply_free(lm_http_reply *reply) {
  if (reply->headers.allocator) lm_buffer_free(&reply->headers);
  if (reply->body.allocator) lm_buffer_free(&reply->body);
}

static CURL *take_easy(lm_transport *t) { return t->pooled > 0 ? t->pool[--t->pooled] : t->curl.easy_init(); }

static void give_easy(lm_transport *t, CURL *easy) {
  if (t->pooled == POOL_SIZE) {
    t->curl.easy_cleanup(easy);
    return;
  }
  t->curl.easy_reset(easy); /* keeps its connections and its memory, forgets keys and bodies */
  t->pool[t->pooled++] = easy;
}

/* Frees a call but for its reply. */
static void free_call(lm_http_call *call) {
  lm_transport *t = call->transport;
  if (call->added) t->curl.multi_remove_handle(t->multi, call->easy);
  if (t->waiting == call) t->waiting = call->previous;
  if (call->easy) give_easy(t, call->easy);
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

/* Checks the URL, and keeps host and port for messages. */
static lmopt_status read_url(lm_http_call *call, const char *url, lm_error *e) {
  if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
    return lm_fail(e, LMOPT_MISUSE, "the URL must start with http:// or https://: '%.100s'", url);
  const lm_curl *curl = &call->transport->curl;
  CURLU *parts = curl->url();
  if (!parts) return lm_fail_memory(e);
  char *host = NULL, *port = NULL;
  CURLUcode code = curl->url_set(parts, CURLUPART_URL, url, 0);
  if (code == CURLUE_OK) code = curl->url_get(parts, CURLUPART_HOST, &host, 0);
  if (code == CURLUE_OK) code = curl->url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
  if (code == CURLUE_OK) snprintf(call->where, sizeof call->where, "%.280s:%.8s", host, port);
  curl->free(host);
  curl->free(port);
  curl->url_cleanup(parts);
  if (code == CURLUE_OUT_OF_MEMORY) return lm_fail_memory(e);
  if (code != CURLUE_OK)
    return lm_fail(e, LMOPT_MISUSE, "not a usable URL (%s): '%.100s'", curl->url_strerror(code), url);
  return LMOPT_OK;
}

static bool add_header(lm_http_call *call, const char *header) {
  struct curl_slist *longer = call->transport->curl.slist_append(call->headers, header);
  if (longer) call->headers = longer;
  return longer != NULL;
}

static lmopt_status read_headers(lm_http_call *call, const lm_http_request *request, lm_error *e) {
  for (size_t i = 0; i < request->header_count; i++) {
    const char *header = request->headers[i];
    /* The value may be a key: never show it. */
    if (strpbrk(header, "\r\n") || !strchr(header, ':'))
      return lm_fail(e, LMOPT_MISUSE, "header %zu is not one line of the form 'Name: value'", i + 1);
    if (!add_header(call, header)) return lm_fail_memory(e);
  }
  /* curl would ask leave before a long body, and many servers never answer that. */
  return add_header(call, "Expect:") ? LMOPT_OK : lm_fail_memory(e);
}

/* --- calls that fall silent --- */

/* When the silence of a call is too long; negative: never. */
static double silence_due(const lm_http_call *call) {
  double limit = call->heard > 0 ? call->idle_timeout : call->first_byte_timeout;
  return limit > 0 ? (call->heard > 0 ? call->heard : call->submitted) + limit : -1;
}

static double earlier(double a, double b) { return a < 0 || (b >= 0 && b < a) ? b : a; }

static void hear(lm_http_call *call) {
  if (call->idle_timeout <= 0 && call->first_byte_timeout <= 0) return;
  bool first = call->heard == 0;
  call->heard = lm_clock_monotonic();
  /* Later pieces only move it on: then the moment noted is too early, and looking once too often is all it costs. */
  if (first) call->transport->quiet_due = earlier(call->transport->quiet_due, silence_due(call));
}

static size_t receive_body(char *bytes, size_t one, size_t size, void *userdata) {
  lm_http_call *call = userdata;
  hear(call);
  return lm_buffer_add(&call->reply.body, bytes, size * one) ? size * one : 0;
}

static size_t receive_header(char *bytes, size_t one, size_t size, void *userdata) {
  lm_http_call *call = userdata;
  hear(call);
  if (size >= 5 && strncasecmp(bytes, "HTTP/", 5) == 0) {
    lm_buffer_clear(&call->reply.headers); /* of a 100 Continue, say: only the last response counts */
    return size * one;
  }
  if (size == 2) return size * one; /* the empty line at the end */
  return lm_buffer_add(&call->reply.headers, bytes, size * one) ? size * one : 0;
}

static long milliseconds(double seconds) {
  if (!(seconds < longest_timeout)) seconds = longest_timeout;
  long ms = (long)ceil(seconds * 1000);
  return ms < 1 ? 1 : ms;
}

static void set_safety(const lm_curl *curl, CURL *easy) {
  curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl->easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
#if LIBCURL_VERSION_NUM >= 0x075500
  curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl->easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
  curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* giving up a call must not wait for a slow name server */
#endif
}

/*
** Bodies are read from here, not given as CURLOPT_POSTFIELDS: on a connection that was used before and breaks without a
** reply, libcurl would send those again unasked, and a call could be paid twice without anybody knowing. What it reads
** from a function that can't go back it sends once.
*/
static size_t send_body(char *to, size_t one, size_t count, void *userdata) {
  lm_http_call *call = userdata;
  size_t left = call->body_size - call->body_sent, size = one * count < left ? one * count : left;
  if (size > 0) memcpy(to, call->body + call->body_sent, size);
  call->body_sent += size;
  return size;
}

static void set_method(lm_http_call *call, const lm_http_request *request) {
  const lm_curl *curl = &call->transport->curl;
  CURL *easy = call->easy;
  const char *method = request->method ? request->method : request->body ? "POST" : "GET";
  if (request->body || strcmp(method, "POST") == 0) {
    curl->easy_setopt(easy, CURLOPT_POST, 1L);
    curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body ? request->body_size : 0));
    curl->easy_setopt(easy, CURLOPT_READFUNCTION, send_body);
    curl->easy_setopt(easy, CURLOPT_READDATA, call);
    if (strcmp(method, "POST") != 0) curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  } else if (strcmp(method, "HEAD") == 0) {
    curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (strcmp(method, "GET") != 0) {
    curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  }
}

/* Only memory can be short here: the URL was checked. */
static bool set_options(lm_http_call *call, const lm_http_request *request) {
  const lm_curl *curl = &call->transport->curl;
  CURL *easy = call->easy;
  set_safety(curl, easy);
  set_method(call, request);
  curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, call->reason);
  curl->easy_setopt(easy, CURLOPT_PRIVATE, call);
  curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body);
  curl->easy_setopt(easy, CURLOPT_WRITEDATA, call);
  curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, receive_header);
  curl->easy_setopt(easy, CURLOPT_HEADERDATA, call);
  curl->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(call->connect_timeout));
  curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(call->timeout));
  curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  /* Over TLS one connection may serve all calls to a host: wait and see before opening a second. */
  if (strncasecmp(request->url, "https", 5) == 0) curl->easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
  return curl->easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
         curl->easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip") == CURLE_OK &&
         curl->easy_setopt(easy, CURLOPT_USERAGENT, "lmopt/" LMOPT_VERSION) == CURLE_OK &&
         curl->easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
}

static lmopt_status prepare(lm_http_call *call, const lm_http_request *request, lm_error *e) {
  lm_transport *t = call->transport;
  if (!request->url) return lm_fail(e, LMOPT_MISUSE, "no URL");
  lmopt_status status = read_url(call, request->url, e);
  if (status == LMOPT_OK && request->method &&
      (!*request->method || strspn(request->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(request->method)))
    status = lm_fail(e, LMOPT_MISUSE, "not an HTTP method: '%.40s'", request->method);
  if (status == LMOPT_OK) status = read_headers(call, request, e);
  if (status != LMOPT_OK) return status;
  if (request->body) {
    call->body = lm_copy_bytes(t->allocator, request->body, request->body_size);
    if (!call->body) return lm_fail_memory(e);
    call->body_size = request->body_size;
  }
  call->easy = take_easy(t);
  if (!call->easy || !set_options(call, request)) return lm_fail_memory(e);
  if (!t->waiting) t->waiting = call;
  t->quiet_due = earlier(t->quiet_due, silence_due(call));
  return LMOPT_OK;
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
  call->submitted = lm_clock_monotonic();
  call->connect_timeout = request->connect_timeout > 0 ? request->connect_timeout : default_connect_timeout;
  call->timeout = request->timeout > 0 ? request->timeout : default_timeout;
  call->first_byte_timeout = request->first_byte_timeout;
  call->idle_timeout = request->idle_timeout;
  lm_buffer_init(&call->reply.headers, t->allocator, HEADER_LIMIT);
  lm_buffer_init(&call->reply.body, t->allocator, request->response_limit ? request->response_limit : RESPONSE_LIMIT);
  call->next = t->calls;
  if (call->next) call->next->previous = call;
  t->calls = call;
  t->in_flight++;
  lmopt_status status = prepare(call, request, e);
  if (status != LMOPT_OK) {
    lm_transport_cancel(call);
    return status;
  }
  *out = call;
  return LMOPT_OK;
}

/* --- finishing --- */

/* curl's own words for what went wrong. */
static const char *reason_of(const lm_http_call *call, CURLcode code) {
  return call->reason[0] ? call->reason : call->transport->curl.easy_strerror(code);
}

static lmopt_status explain_connect(lm_http_call *call, CURLcode code) {
  lm_error *e = &call->reply.error;
  long system_error = 0;
  call->transport->curl.easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &system_error);
  call->reply.reason = system_error == ECONNREFUSED ? "refused" : "connect";
  if (system_error == ECONNREFUSED) return lm_fail(e, LMOPT_NETWORK, "connection refused by %s", call->where);
  return lm_fail(e, LMOPT_NETWORK, "can't connect to %s: %s", call->where, reason_of(call, code));
}

static lmopt_status explain_timeout(lm_http_call *call) {
  lm_error *e = &call->reply.error;
  curl_off_t connected = 0;
  if (call->quiet) {
    call->reply.reason = call->heard > 0 ? "idle" : "first_byte";
    if (call->heard > 0)
      return lm_fail(e, LMOPT_TIMEOUT, "%s fell silent for %g s in the middle of its reply", call->where,
                     call->idle_timeout);
    return lm_fail(e, LMOPT_TIMEOUT, "no reply from %s began within %g s", call->where, call->first_byte_timeout);
  }
  call->transport->curl.easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
  if (connected == 0) call->reply.reason = "connect";
  double waited = lm_clock_monotonic() - call->submitted;
  if (connected == 0 && waited < call->timeout)
    return lm_fail(e, LMOPT_TIMEOUT, "no connection to %s within %g s", call->where, call->connect_timeout);
  if (call->reply.body.size > 0)
    return lm_fail(e, LMOPT_TIMEOUT, "the reply of %s was not complete within %g s", call->where, call->timeout);
  return lm_fail(e, LMOPT_TIMEOUT, "no reply from %s within %g s", call->where, call->timeout);
}

static lmopt_status explain(lm_http_call *call, CURLcode code) {
  lm_error *e = &call->reply.error;
  const lm_buffer *full = call->reply.body.status != LMOPT_OK ? &call->reply.body : &call->reply.headers;
  if (full->status == LMOPT_NO_MEMORY) return lm_fail_memory(e);
  if (full->status == LMOPT_LIMIT)
    return lm_fail(e, LMOPT_LIMIT, "the reply of %s is longer than %zu bytes", call->where, full->limit);
  switch (code) {
    case CURLE_OUT_OF_MEMORY: return lm_fail_memory(e);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      call->reply.reason = "resolve";
      return lm_fail(e, LMOPT_NETWORK, "can't find the %s %s",
                     code == CURLE_COULDNT_RESOLVE_HOST ? "host of" : "proxy for", call->where);
    case CURLE_COULDNT_CONNECT: return explain_connect(call, code);
    case CURLE_OPERATION_TIMEDOUT: return explain_timeout(call);
    case CURLE_SEND_FAIL_REWIND: /* the connection broke, and it would have to be sent again */
    case CURLE_GOT_NOTHING: return lm_fail(e, LMOPT_NETWORK, "%s closed the connection without a reply", call->where);
    case CURLE_PARTIAL_FILE:
      return lm_fail(e, LMOPT_NETWORK, "%s closed the connection in the middle of its reply", call->where);
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return lm_fail(e, LMOPT_NETWORK, "the connection to %s broke: %s", call->where, reason_of(call, code));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
      call->reply.reason = code == CURLE_SSL_CONNECT_ERROR ? "connect" : "certificate";
      return lm_fail(e, LMOPT_NETWORK, "TLS with %s failed: %s", call->where, reason_of(call, code));
    default: return lm_fail(e, LMOPT_NETWORK, "the call to %s failed: %s", call->where, reason_of(call, code));
  }
}

static void finish(lm_http_call *call, CURLcode code) {
  lm_http_reply reply;
  long http_code = 0;
  if (code == CURLE_OK) {
    call->transport->curl.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &http_code);
    call->reply.status = LMOPT_OK;
  } else {
    call->reply.status = explain(call, code);
  }
  call->reply.code = (int)http_code;
  call->reply.seconds = lm_clock_monotonic() - call->submitted;
  reply = call->reply;
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
    double due = silence_due(call);
    call->quiet = due >= 0 && due <= now;
    if (!call->quiet) t->quiet_due = earlier(t->quiet_due, due);
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
  int running;
  serve_sockets(t, deadline);
  run_timer(t);
  if (t->blind) t->curl.multi_perform(t->multi, &running);
  size_t failed = start_waiting(t, deadline);
  size_t finished = report(t); /* before it is asked who is silent: what has come is no silence */
  return finished + end_quiet(t) + failed;
}

int lm_transport_timeout(const lm_transport *t) {
  if (t->waiting) return 0;
  double due = t->in_flight > 0 ? earlier(t->due, t->quiet_due) : t->due;
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
