/*
** Server-sent events: bytes in, events out.
**
** The parser of the WHATWG HTML standard, section 9.2, "Server-sent events"
** (html.spec.whatwg.org/multipage/server-sent-events.html): lines end in LF,
** CR or CRLF; a byte order mark at the very start is skipped; comments and
** unknown fields are ignored; bytes that are not UTF-8 become U+FFFD. Bytes
** may come in any pieces, cut anywhere, in the middle of a character too. An
** event that the stream's end cuts off is not reported.
*/
#ifndef LM_SSE_H
#define LM_SSE_H

#include "base/buffer.h"

/* Texts end in a zero byte that their sizes do not count, and live for the call. */
typedef struct lm_sse_event {
  const char *name; /* "message" unless the stream says otherwise */
  const char *data; /* its lines joined by LF */
  const char *id;   /* the last one seen on this stream; "" before */
  size_t name_size, data_size, id_size;
  long long retry; /* milliseconds to wait before connecting again, the last seen; -1: none */
} lm_sse_event;

/* May not feed or free the parser. */
typedef void (*lm_sse_fn)(void *userdata, const lm_sse_event *event);

typedef struct lm_sse {
  lm_sse_fn fn;
  void *userdata;
  lm_buffer line, data, name, id;
  long long retry;
  size_t mark;       /* bytes of the byte order mark seen, or all of them once it cannot come any more */
  bool after_return; /* the last byte was CR: LF belongs to it */
  lmopt_status status;
} lm_sse;

/* `limit`: the most bytes of one line, and of one event's data. */
void lm_sse_init(lm_sse *p, const lm_allocator *a, size_t limit, lm_sse_fn fn, void *userdata);
void lm_sse_free(lm_sse *p);

/*
** Calls back for each event that ends in these bytes. LMOPT_LIMIT: a line or
** an event is too long; LMOPT_NO_MEMORY. After a failure it stays failed.
*/
lmopt_status lm_sse_feed(lm_sse *p, const void *bytes, size_t size);

/* Whether an event or a line has begun that has not ended: a stream that stops here was cut off. */
bool lm_sse_unfinished(const lm_sse *p);

#endif
