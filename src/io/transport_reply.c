#include <errno.h>
#include <math.h>
#include <strings.h>

#include "base/clock.h"
#include "io/transport_internal.h"

enum {
  HEADER_LIMIT = 256 * 1024,         /* bytes of response headers */
  RESPONSE_LIMIT = 64 * 1024 * 1024, /* bytes of body, where the request says nothing */
  WINDOW = 64 * 1024 /* bytes that a body in pieces may have waiting; libcurl keeps up to a piece besides */
};

/* --- calls that fall silent --- */

double lm_transport_silence_due(const lm_http_call *call) {
  if (call->paused) return -1; /* it is the reader who is silent */
  double limit = call->heard > 0 ? call->idle_timeout : call->first_byte_timeout;
  return limit > 0 ? (call->heard > 0 ? call->heard : call->submitted) + limit : -1;
}

static void hear(lm_http_call *call) {
  if (call->idle_timeout <= 0 && call->first_byte_timeout <= 0) return;
  bool first = call->heard == 0;
  call->heard = lm_clock_monotonic();
  /* Later pieces only move it on: then the moment noted is too early, and looking once too often is all it costs. */
  if (first)
    call->transport->quiet_due = lm_transport_earlier(call->transport->quiet_due, lm_transport_silence_due(call));
}

/* --- what comes in --- */

void lm_transport_init_reply(lm_http_call *call, size_t response_limit) {
  const lm_allocator *a = call->transport->allocator;
  lm_buffer_init(&call->reply.headers, a, HEADER_LIMIT);
  call->body_limit = response_limit ? response_limit : RESPONSE_LIMIT;
  lm_buffer_init(&call->reply.body, a, call->body_limit);
}

/*
** What is no success comes whole: it is short, and read as a whole. Over HTTP/2 nothing is paused: libcurl 7.88 gives
** bytes twice when several calls on a connection are paused, and versions before and after it end paused calls.
*/
static void begin_body(lm_http_call *call) {
  call->begun = true;
  int code = call->received ? lm_transport_code(call) : 0;
  if (code < 200 || code > 299) call->received = NULL;
  long version = CURL_HTTP_VERSION_NONE;
  call->transport->curl.easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &version);
  call->may_pause = call->received && version != CURL_HTTP_VERSION_NONE && version < CURL_HTTP_VERSION_2_0;
}

static void drop_consumed(lm_http_call *call) {
  lm_buffer *body = &call->reply.body;
  lm_buffer_drop(body, call->body_start);
  call->body_start = 0;
  body->limit = call->body_limit - (call->body_received - body->size);
}

size_t lm_transport_receive_body(char *bytes, size_t one, size_t size, void *userdata) {
  lm_http_call *call = userdata;
  hear(call);
  if (!call->begun) begin_body(call);
  size_t waiting = lm_transport_received(call).size;
  if (call->may_pause && waiting > 0 && waiting + size * one > WINDOW) {
    call->paused = true; /* it keeps these bytes, and gives them again */
    return CURL_WRITEFUNC_PAUSE;
  }
  if (call->body_start > waiting) drop_consumed(call); /* so that a byte is moved once, whatever the pace */
  if (!lm_buffer_add(&call->reply.body, bytes, size * one)) return 0;
  call->body_received += size * one;
  if (call->received) {
    call->transport->pieces++;
    call->received(call->userdata);
  }
  return size * one;
}

/* --- a body in pieces --- */

lm_bytes lm_transport_received(const lm_http_call *call) {
  const lm_buffer *body = &call->reply.body;
  if (!call->received) return (lm_bytes){NULL, 0};
  return (lm_bytes){lm_buffer_text(body) + call->body_start, body->size - call->body_start};
}

int lm_transport_code(const lm_http_call *call) {
  long code = 0;
  if (!call->answered) return 0; /* the handle may still tell of the call before */
  call->transport->curl.easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &code);
  return (int)code;
}

const lm_buffer *lm_transport_headers(const lm_http_call *call) { return &call->reply.headers; }

void lm_transport_consume(lm_http_call *call, size_t size) {
  if (!call->received) return;
  call->body_start += size;
  if (call->body_start < call->reply.body.size) return;
  drop_consumed(call);
  if (!call->paused) return;
  call->paused = false;
  hear(call);
  call->transport->quiet_due = lm_transport_earlier(call->transport->quiet_due, lm_transport_silence_due(call));
  /* It gives what it kept at once; when that is too much the body says so at the call's end. */
  call->transport->curl.easy_pause(call->easy, CURLPAUSE_CONT);
}

/* --- headers --- */

size_t lm_transport_receive_header(char *bytes, size_t one, size_t size, void *userdata) {
  lm_http_call *call = userdata;
  hear(call);
  if (size >= 5 && strncasecmp(bytes, "HTTP/", 5) == 0) {
    call->answered = true;
    lm_buffer_clear(&call->reply.headers); /* of a 100 Continue, say: only the last response counts */
    return size * one;
  }
  if (size == 2) return size * one; /* the empty line at the end */
  return lm_buffer_add(&call->reply.headers, bytes, size * one) ? size * one : 0;
}

/* --- how it ended --- */

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
  if (call->body_received > 0)
    return lm_fail(e, LMOPT_TIMEOUT, "the reply of %s was not complete within %g s", call->where, call->timeout);
  return lm_fail(e, LMOPT_TIMEOUT, "no reply from %s within %g s", call->where, call->timeout);
}

static lmopt_status explain(lm_http_call *call, CURLcode code) {
  lm_error *e = &call->reply.error;
  const lm_buffer *full = call->reply.body.status != LMOPT_OK ? &call->reply.body : &call->reply.headers;
  if (full->status == LMOPT_NO_MEMORY) return lm_fail_memory(e);
  if (full->status == LMOPT_LIMIT)
    return lm_fail(e, LMOPT_LIMIT, "the reply of %s is longer than %zu bytes", call->where,
                   full == &call->reply.body ? call->body_limit : full->limit);
  switch (code) {
    case CURLE_OUT_OF_MEMORY: return lm_fail_memory(e);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      call->reply.reason = "resolve";
      return lm_fail(e, LMOPT_NETWORK, "can't find the %s %s",
                     code == CURLE_COULDNT_RESOLVE_HOST ? "host of" : "proxy for", call->where);
    case CURLE_COULDNT_CONNECT: return explain_connect(call, code);
    case CURLE_OPERATION_TIMEDOUT: return explain_timeout(call);
    case CURLE_ABORTED_BY_CALLBACK: /* the connection broke, and it would have to be sent again */
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
      call->reply.reason = code == CURLE_SSL_CONNECT_ERROR ? "tls" : "certificate";
      return lm_fail(e, LMOPT_NETWORK, "TLS with %s failed: %s", call->where, reason_of(call, code));
    default: return lm_fail(e, LMOPT_NETWORK, "the call to %s failed: %s", call->where, reason_of(call, code));
  }
}

/*
** On a connection that was used before and broke without a reply libcurl connects anew. Where that fails, it
** says so of the call, which was sent all the same and may have to be paid.
*/
static bool was_sent(const lm_http_call *call) {
  long sent = 0;
  call->transport->curl.easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent);
  return call->asked && sent > call->sent_before;
}

void lm_transport_conclude(lm_http_call *call, CURLcode code) {
  if (call->body_start > 0) drop_consumed(call);
  bool well = code == CURLE_OK && call->reply.body.status == LMOPT_OK;
  call->reply.status = well ? LMOPT_OK : explain(call, code);
  if (call->reply.reason && !call->quiet && was_sent(call)) call->reply.reason = NULL;
  call->reply.code = lm_transport_code(call);
  call->reply.in_pieces = call->received && call->begun;
  /* Whole microseconds: it is written with every reply that is kept, and the digits below are noise. */
  call->reply.seconds = round((lm_clock_monotonic() - call->submitted) * 1e6) / 1e6;
}
