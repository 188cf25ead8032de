#include "io/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

enum {
  POOL_SIZE = 16,                   /* idle easy handles kept for reuse */
  HEADER_LIMIT = 256 * 1024,        /* bytes of response headers */
  RESPONSE_LIMIT = 64 * 1024 * 1024 /* bytes of body, where the request says nothing */
};

static const double default_connect_timeout = 10, default_timeout = 600, longest_timeout = 1e6;

struct lm_transport {
  const lm_allocator *allocator;
  CURLM *multi;
  lm_http_call *calls;
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
  char where[300]; /* "host:port" for messages */
  double submitted, connect_timeout, timeout;
  lm_http_reply reply;
  char reason[CURL_ERROR_SIZE];
};

/* --- opening and closing --- */

lmopt_status lm_transport_new(const lm_allocator *a, lm_transport **out, lm_error *e) {
  *out = NULL;
  lm_transport *t = lm_alloc_zeroed(a, sizeof *t);
  if (!t) return lm_fail_memory(e);
  t->allocator = a;
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    lm_free(a, t);
    return lm_fail(e, LMOPT_ERROR, "libcurl can't start");
  }
  t->multi = curl_multi_init();
  if (!t->multi) {
    curl_global_cleanup();
    lm_free(a, t);
    return lm_fail_memory(e);
  }
  curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
  curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, 64L);
  *out = t;
  return LMOPT_OK;
}

void lm_transport_free(lm_transport *t) {
  if (!t) return;
  while (t->calls) lm_transport_cancel(t->calls);
  while (t->pooled > 0) curl_easy_cleanup(t->pool[--t->pooled]);
  curl_multi_cleanup(t->multi);
  curl_global_cleanup();
  lm_free(t->allocator, t);
}

size_t lm_transport_in_flight(const lm_transport *t) { return t->in_flight; }

void lm_http_reply_free(lm_http_reply *reply) {
  if (reply->headers.allocator) lm_buffer_free(&reply->headers);
  if (reply->body.allocator) lm_buffer_free(&reply->body);
}

static CURL *take_easy(lm_transport *t) { return t->pooled > 0 ? t->pool[--t->pooled] : curl_easy_init(); }

static void give_easy(lm_transport *t, CURL *easy) {
  if (t->pooled == POOL_SIZE) {
    curl_easy_cleanup(easy);
    return;
  }
  curl_easy_reset(easy); /* keeps its connections and its memory, forgets keys and bodies */
  t->pool[t->pooled++] = easy;
}

/* Frees a call but for its reply. */
static void free_call(lm_http_call *call) {
  lm_transport *t = call->transport;
  if (call->added) curl_multi_remove_handle(t->multi, call->easy);
  if (call->easy) give_easy(t, call->easy);
  curl_slist_free_all(call->headers);
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
  CURLU *parts = curl_url();
  if (!parts) return lm_fail_memory(e);
  char *host = NULL, *port = NULL;
  CURLUcode code = curl_url_set(parts, CURLUPART_URL, url, 0);
  if (code == CURLUE_OK) code = curl_url_get(parts, CURLUPART_HOST, &host, 0);
  if (code == CURLUE_OK) code = curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
  if (code == CURLUE_OK) snprintf(call->where, sizeof call->where, "%.280s:%.8s", host, port);
  curl_free(host);
  curl_free(port);
  curl_url_cleanup(parts);
  if (code == CURLUE_OUT_OF_MEMORY) return lm_fail_memory(e);
  if (code != CURLUE_OK)
    return lm_fail(e, LMOPT_MISUSE, "not a usable URL (%s): '%.100s'", curl_url_strerror(code), url);
  return LMOPT_OK;
}

static bool add_header(lm_http_call *call, const char *header) {
  struct curl_slist *longer = curl_slist_append(call->headers, header);
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

static size_t receive_body(char *bytes, size_t one, size_t size, void *userdata) {
  lm_http_call *call = userdata;
  return lm_buffer_add(&call->reply.body, bytes, size * one) ? size * one : 0;
}

static size_t receive_header(char *bytes, size_t one, size_t size, void *userdata) {
  lm_http_call *call = userdata;
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

static void set_safety(CURL *easy) {
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* giving up a call must not wait for a slow name server */
#endif
}

static void set_method(lm_http_call *call, const lm_http_request *request) {
  CURL *easy = call->easy;
  const char *method = request->method ? request->method : request->body ? "POST" : "GET";
  if (request->body || strcmp(method, "POST") == 0) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body ? request->body_size : 0));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    if (strcmp(method, "POST") != 0) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  } else if (strcmp(method, "HEAD") == 0) {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (strcmp(method, "GET") != 0) {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  }
}

/* Only memory can be short here: the URL was checked. */
static bool set_options(lm_http_call *call, const lm_http_request *request) {
  CURL *easy = call->easy;
  set_safety(easy);
  set_method(call, request);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->reason);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, receive_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(call->connect_timeout));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(call->timeout));
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  /* Over TLS one connection may serve all calls to a host: wait and see before opening a second. */
  if (strncasecmp(request->url, "https", 5) == 0) curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
  return curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip") == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_USERAGENT, "lmopt/" LMOPT_VERSION) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
}

static lmopt_status start(lm_http_call *call, const lm_http_request *request, lm_error *e) {
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
  }
  call->easy = take_easy(t);
  if (!call->easy || !set_options(call, request)) return lm_fail_memory(e);
  CURLMcode code = curl_multi_add_handle(t->multi, call->easy);
  if (code == CURLM_OUT_OF_MEMORY) return lm_fail_memory(e);
  if (code != CURLM_OK) return lm_fail(e, LMOPT_ERROR, "libcurl: %s", curl_multi_strerror(code));
  call->added = true;
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
  lm_buffer_init(&call->reply.headers, t->allocator, HEADER_LIMIT);
  lm_buffer_init(&call->reply.body, t->allocator, request->response_limit ? request->response_limit : RESPONSE_LIMIT);
  call->next = t->calls;
  if (call->next) call->next->previous = call;
  t->calls = call;
  t->in_flight++;
  lmopt_status status = start(call, request, e);
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
  return call->reason[0] ? call->reason : curl_easy_strerror(code);
}

static lmopt_status explain_connect(lm_http_call *call, CURLcode code) {
  lm_error *e = &call->reply.error;
  long system_error = 0;
  curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &system_error);
  if (system_error == ECONNREFUSED) return lm_fail(e, LMOPT_NETWORK, "connection refused by %s", call->where);
  return lm_fail(e, LMOPT_NETWORK, "can't connect to %s: %s", call->where, reason_of(call, code));
}

static lmopt_status explain_timeout(lm_http_call *call) {
  lm_error *e = &call->reply.error;
  curl_off_t connected = 0;
  curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
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
    case CURLE_COULDNT_RESOLVE_HOST: return lm_fail(e, LMOPT_NETWORK, "can't find the host of %s", call->where);
    case CURLE_COULDNT_RESOLVE_PROXY: return lm_fail(e, LMOPT_NETWORK, "can't find the proxy for %s", call->where);
    case CURLE_COULDNT_CONNECT: return explain_connect(call, code);
    case CURLE_OPERATION_TIMEDOUT: return explain_timeout(call);
    case CURLE_GOT_NOTHING: return lm_fail(e, LMOPT_NETWORK, "%s closed the connection without a reply", call->where);
    case CURLE_PARTIAL_FILE:
      return lm_fail(e, LMOPT_NETWORK, "%s closed the connection in the middle of its reply", call->where);
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return lm_fail(e, LMOPT_NETWORK, "the connection to %s broke: %s", call->where, reason_of(call, code));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
      return lm_fail(e, LMOPT_NETWORK, "TLS with %s failed: %s", call->where, reason_of(call, code));
    default: return lm_fail(e, LMOPT_NETWORK, "the call to %s failed: %s", call->where, reason_of(call, code));
  }
}

static void finish(lm_http_call *call, CURLcode code) {
  lm_http_reply reply;
  long http_code = 0;
  if (code == CURLE_OK) {
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &http_code);
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
  size_t finished = 0;
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read(t->multi, &left)) != NULL) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result; /* the message dies with the handle's removal */
    lm_http_call *call = NULL;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
    if (call) finish(call, code);
    finished++;
  }
  return finished;
}

size_t lm_transport_pump(lm_transport *t, int wait_ms, int wake_fd) {
  int running;
  curl_multi_perform(t->multi, &running);
  if (report(t) == 0 && wait_ms > 0) {
    struct curl_waitfd wake = {.fd = wake_fd, .events = CURL_WAIT_POLLIN};
    curl_multi_poll(t->multi, wake_fd >= 0 ? &wake : NULL, wake_fd >= 0 ? 1 : 0, wait_ms, NULL);
    curl_multi_perform(t->multi, &running);
    report(t);
  }
  return t->in_flight;
}
