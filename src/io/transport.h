/*
** HTTP over libcurl's multi interface: many calls at a time, one thread.
**
** A call is submitted and later reported through its callback, from inside
** lm_transport_pump. What is sent is copied; what is received has a limit.
** Certificates are checked, redirects are not followed (a key must never
** travel to another host), proxies and certificate authorities come from the
** environment as curl's do (trust.h).
**
** libcurl is loaded and curl_global_init called (and undone) here. It is
** thread-safe when libcurl says so (7.84 and later, on most systems); otherwise
** a host with several threads calls it once before opening runtimes.
**
** Pumping costs what is ready, not what is open: libcurl says which sockets to
** watch, a poller says which of them are ready.
*/
#ifndef LM_TRANSPORT_H
#define LM_TRANSPORT_H

#include "base/buffer.h"

typedef struct lm_transport lm_transport;
typedef struct lm_http_call lm_http_call;

typedef struct lm_http_request {
  const char *method;         /* "POST"; NULL: GET, or POST when there is a body */
  const char *url;            /* http or https */
  const char *const *headers; /* "Name: value" */
  size_t header_count;
  const char *body; /* NULL: none */
  size_t body_size;
  double connect_timeout;    /* seconds; 0: 10 */
  double first_byte_timeout; /* from submission to the first byte of the reply; 0: no limit of its own */
  double idle_timeout;       /* between two pieces of the reply; 0: no limit of its own */
  double timeout;            /* of the whole call; 0: 600 */
  size_t response_limit;     /* bytes, after decompression; 0: 64 MiB */
  /*
  ** Not NULL: the body of a reply with a status of 2xx is given piece by piece. Called, from lm_transport_pump or
  ** lm_transport_consume, when bytes have come (lm_transport_received has them); it may only take note. When they are
  ** not consumed the server is made to wait, over HTTP/1; over HTTP/2 they are kept, up to the limit.
  */
  void (*received)(void *userdata);
} lm_http_request;

typedef struct lm_http_reply {
  lmopt_status
      status; /* OK: an HTTP response arrived, whatever its code; TIMEOUT, NETWORK, LIMIT, NO_MEMORY, CANCELLED */
  int code;   /* 200, 404, ...; 0: none */
  lm_buffer headers; /* as received, "Name: value\r\n..." of the last response */
  lm_buffer body;
  bool in_pieces; /* this is the rest of a body that was given piece by piece, also when the call failed */
  double seconds; /* from submission to the last byte */
  lm_error error; /* when status is not LMOPT_OK: one readable line with host and reason, never a header */
  /*
  ** Finer than the status, NULL where there is nothing to add. Nothing was sent: "refused", "resolve" (no such host),
  ** "connect" (no connection, or not in time), "tls" (none is spoken there), "certificate" (it does not verify). Something was: "first_byte", "idle".
  */
  const char *reason;
} lm_http_reply;

/* The allocator must outlive the transport and all replies. */
lmopt_status lm_transport_new(const lm_allocator *a, lm_transport **out, lm_error *e);
void lm_transport_free(lm_transport *t); /* what is in flight is dropped without a callback; NULL is a no-op */

/*
** Nothing is sent before the next pump. `done` is called once, from lm_transport_pump; it takes the reply's buffers
** over (lm_http_reply_free). It may submit and cancel calls, not pump.
** Statuses: LMOPT_OK, LMOPT_MISUSE (a bad URL or header; nothing was sent), LMOPT_NO_MEMORY, LMOPT_ERROR.
*/
lmopt_status lm_transport_submit(lm_transport *t, const lm_http_request *request,
                                 void (*done)(void *userdata, lm_http_reply *reply), void *userdata, lm_http_call **out,
                                 lm_error *e);
void lm_transport_cancel(lm_http_call *call); /* closes it; no callback */
void lm_http_reply_free(lm_http_reply *reply);

/*
** Of a call with `received`: the bytes of its body that have come and were not consumed; those that are left when it
** ends are the body of its reply. Consuming the first of them lets the server go on, and may find more at once: pump when
** none are left.
*/
typedef struct lm_bytes {
  const char *data;
  size_t size;
} lm_bytes;
lm_bytes lm_transport_received(const lm_http_call *call);
void lm_transport_consume(lm_http_call *call, size_t size);
/* The status code and the headers of the reply, once bytes of its body have come. */
int lm_transport_code(const lm_http_call *call);
const lm_buffer *lm_transport_headers(const lm_http_call *call);

/*
** Moves transfers on; when nothing finishes at once, waits up to wait_ms for
** something to happen, also on wake_fd (-1: none). budget: seconds of work after
** which the rest is left for the next pump; 0: no limit. Returns how many calls
** are in flight. It may come back early with nothing finished.
*/
size_t lm_transport_pump(lm_transport *t, int wait_ms, int wake_fd, double budget);
size_t lm_transport_in_flight(const lm_transport *t);

/* For a loop elsewhere: pump when one of these is ready, or so many milliseconds have passed (-1: any time). */
size_t lm_transport_fds(const lm_transport *t, lmopt_fd *fds, size_t capacity); /* returns how many there are */
int lm_transport_timeout(const lm_transport *t);

#endif
