/*
** What the files of the transport share: transport.c drives libcurl's multi
** handle, transport_request.c turns a request into an easy handle,
** transport_reply.c takes in what comes back and says how a call ended.
*/
#ifndef LM_TRANSPORT_INTERNAL_H
#define LM_TRANSPORT_INTERNAL_H

#include "io/curl.h"
#include "io/poller.h"
#include "io/transport.h"
#include "io/trust.h"

enum { LM_TRANSPORT_POOL_SIZE = 512 }; /* idle easy handles kept for reuse, dressed */

struct lm_transport {
  const lm_allocator *allocator;
  lm_curl curl;
  lm_trust trust;
  lm_poller *poller;
  CURLM *multi;
  double due;       /* when libcurl wants to be called though no socket is ready: monotonic seconds; negative: never */
  double quiet_due; /* no call has been silent for too long before this moment; negative: none can be */
  bool blind;       /* a socket could not be watched: look after all of them now and then */
  lm_http_call *calls;   /* all in flight, the newest first */
  lm_http_call *waiting; /* the oldest that is not started; those before it in `calls` are not either */
  size_t in_flight;
  size_t pieces;      /* that were told of */
  size_t connections; /* how many libcurl keeps open */
  char *url;          /* the last that was found good: nearly always the next one as well */
  char where[300];    /* its "host:port" */
  CURL *pool[LM_TRANSPORT_POOL_SIZE];
  size_t pooled;
};

struct lm_http_call {
  lm_transport *transport;
  lm_http_call *previous, *next;
  void (*done)(void *userdata, lm_http_reply *reply);
  void *userdata;
  CURL *easy;
  bool added; /* to the multi handle */
  bool plain; /* a POST with a body: what nearly all calls are */
  bool well;  /* ended well */
  struct curl_slist *headers;
  char *body;
  bool asked;       /* libcurl has begun to send it, */
  long sent_before; /* and had sent so many bytes before */
  char where[300];  /* "host:port" for messages */
  double submitted, connect_timeout, first_byte_timeout, idle_timeout, timeout;
  bool answered;                    /* the reply has begun */
  double heard;                     /* when the last piece of the reply came; 0: none yet */
  bool quiet;                       /* silent for too long */
  void (*received)(void *userdata); /* its body is given piece by piece, unless its status is no 2xx */
  bool begun;                       /* bytes of the body have come */
  bool may_pause, paused;           /* so many have come that the server has to wait */
  size_t body_limit, body_received; /* bytes, consumed ones too */
  size_t body_start;                /* how many of those in the buffer were consumed */
  lm_http_reply reply;
  char reason[CURL_ERROR_SIZE];
};

/* --- transport_request.c --- */

/* Checks the request, and makes the call's easy handle; what it made is the call's, also when it fails. */
lmopt_status lm_transport_prepare(lm_http_call *call, const lm_http_request *request, lm_error *e);
/* Sets the options that are the same for every call, on a fresh handle; false: no memory. */
bool lm_transport_dress(const lm_transport *t, CURL *easy);
/* Takes what belongs to a plain call out of its handle. The other options stay: each plain call sets them. */
void lm_transport_forget(const lm_transport *t, CURL *easy);

/* --- transport_reply.c --- */

void lm_transport_init_reply(lm_http_call *call, size_t response_limit); /* 0: the default */
/* libcurl's callbacks; their userdata is the call. */
size_t lm_transport_receive_body(char *bytes, size_t one, size_t size, void *userdata);
size_t lm_transport_receive_header(char *bytes, size_t one, size_t size, void *userdata);
/* When the silence of a call is too long; negative: never. */
double lm_transport_silence_due(const lm_http_call *call);
/* Fills in how the call ended, but for its body and headers. */
void lm_transport_conclude(lm_http_call *call, CURLcode code);

/* --- transport.c --- */

double lm_transport_earlier(double a, double b); /* of two moments; negative: never */

#endif
