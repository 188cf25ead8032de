/*
** src/io/sse.c: however a stream is cut into pieces, the events are those of
** the standard's own algorithm, written down below as the standard has it
** (html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6, over
** the "UTF-8 decode" of encoding.spec.whatwg.org); memory stays within what
** the limit says, and its lack is reported.
**
** Input: which limit, at which allocation memory is gone (0: never), the stream.
*/
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "io/sse.h"

/* --- the standard's algorithm --- */

typedef struct reference {
  lm_buffer events; /* as log_event has them */
  bool unfinished;
  size_t longest_line, longest_field; /* bytes */
} reference;

static void add_code(lm_buffer *out, unsigned long code) {
  char text[4];
  size_t size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = size - 1; i > 0; i--, code >>= 6) text[i] = (char)(0x80 | (code & 0x3F));
  text[0] = (char)(size == 1 ? code : (0xF00 >> size & 0xFF) | code);
  lm_buffer_add(out, text, size);
}

/* The UTF-8 decoder, state by state. */
static void decode(lm_buffer *out, const uint8_t *bytes, size_t size) {
  unsigned long code = 0;
  unsigned seen = 0, needed = 0, lower = 0x80, upper = 0xBF;
  for (size_t i = 0; i < size;) {
    uint8_t b = bytes[i];
    if (needed == 0) {
      i++;
      if (b < 0x80) {
        add_code(out, b);
      } else if (b >= 0xC2 && b <= 0xDF) {
        needed = 1, code = b & 0x1F;
      } else if (b >= 0xE0 && b <= 0xEF) {
        if (b == 0xE0) lower = 0xA0;
        if (b == 0xED) upper = 0x9F;
        needed = 2, code = b & 0xF;
      } else if (b >= 0xF0 && b <= 0xF4) {
        if (b == 0xF0) lower = 0x90;
        if (b == 0xF4) upper = 0x8F;
        needed = 3, code = b & 0x7;
      } else {
        add_code(out, 0xFFFD);
      }
      continue;
    }
    bool fits = b >= lower && b <= upper;
    lower = 0x80, upper = 0xBF;
    if (!fits) { /* the byte is looked at again */
      code = needed = seen = 0;
      add_code(out, 0xFFFD);
      continue;
    }
    i++;
    code = code << 6 | (b & 0x3F);
    if (++seen < needed) continue;
    add_code(out, code);
    code = needed = seen = 0;
  }
  if (needed > 0) add_code(out, 0xFFFD);
}

static void log_event(lm_buffer *log, const lm_sse_event *e) {
  fuzz_log_text(log, e->name, e->name_size);
  fuzz_log_text(log, e->data, e->data_size);
  fuzz_log_text(log, e->id, e->id_size);
  lm_buffer_add(log, &e->retry, sizeof e->retry);
}

typedef struct fields {
  lm_buffer data, name, id;
  long long retry;
} fields;

static void note_length(reference *r, const lm_buffer *b) {
  if (b->size > r->longest_field) r->longest_field = b->size;
}

static void dispatch(reference *r, fields *f) {
  if (f->data.size > 0) {
    lm_sse_event e = {.name = "message", .name_size = 7, .retry = f->retry};
    if (f->name.size > 0) e.name = f->name.data, e.name_size = f->name.size;
    e.data = f->data.data, e.data_size = f->data.size - 1;
    e.id = lm_buffer_text(&f->id), e.id_size = f->id.size;
    log_event(&r->events, &e);
  }
  lm_buffer_clear(&f->data);
  lm_buffer_clear(&f->name);
}

static void set_field(reference *r, lm_buffer *b, const char *value, size_t size) {
  lm_buffer_clear(b);
  lm_buffer_add(b, value, size);
  note_length(r, b);
}

static void read_retry(fields *f, const char *value, size_t size) {
  if (size == 0) return;
  long long number = 0;
  for (size_t i = 0; i < size; i++) {
    if (value[i] < '0' || value[i] > '9') return;
    if (__builtin_mul_overflow(number, 10LL, &number) || __builtin_add_overflow(number, value[i] - '0', &number))
      return;
  }
  f->retry = number;
}

static void process_line(reference *r, fields *f, const char *line, size_t size) {
  if (size == 0) {
    dispatch(r, f);
    return;
  }
  const char *colon = memchr(line, ':', size);
  size_t name_size = colon ? (size_t)(colon - line) : size;
  const char *value = colon ? colon + 1 : line + size;
  if (colon && value < line + size && *value == ' ') value++;
  size_t value_size = (size_t)(line + size - value);
  if (name_size == 5 && memcmp(line, "event", 5) == 0) {
    set_field(r, &f->name, value, value_size);
  } else if (name_size == 4 && memcmp(line, "data", 4) == 0) {
    lm_buffer_add(&f->data, value, value_size);
    lm_buffer_add_char(&f->data, '\n');
    note_length(r, &f->data);
  } else if (name_size == 2 && memcmp(line, "id", 2) == 0) {
    if (!memchr(value, '\0', value_size)) set_field(r, &f->id, value, value_size);
  } else if (name_size == 5 && memcmp(line, "retry", 5) == 0) {
    read_retry(f, value, value_size);
  }
}

/* Lines are cut from the bytes, for their lengths in bytes: no byte of a longer character is CR or LF. */
static void refer(reference *r, const lm_allocator *a, const uint8_t *bytes, size_t size) {
  fields f = {.retry = -1};
  lm_buffer line;
  memset(r, 0, sizeof *r);
  lm_buffer_init(&r->events, a, SIZE_MAX / 4);
  lm_buffer_init(&f.data, a, SIZE_MAX / 4);
  lm_buffer_init(&f.name, a, SIZE_MAX / 4);
  lm_buffer_init(&f.id, a, SIZE_MAX / 4);
  lm_buffer_init(&line, a, SIZE_MAX / 4);
  size_t start = size >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  for (size_t i = start; i <= size; i++) {
    if (i < size && bytes[i] != '\r' && bytes[i] != '\n') continue;
    if (i - start > r->longest_line) r->longest_line = i - start;
    if (i == size) break;
    lm_buffer_clear(&line);
    decode(&line, bytes + start, i - start);
    process_line(r, &f, lm_buffer_text(&line), line.size);
    if (bytes[i] == '\r' && i + 1 < size && bytes[i + 1] == '\n') i++;
    start = i + 1;
  }
  r->unfinished = start < size || f.data.size > 0 || f.name.size > 0;
  lm_buffer_free(&f.data);
  lm_buffer_free(&f.name);
  lm_buffer_free(&f.id);
  lm_buffer_free(&line);
}

/* --- the parser --- */

typedef struct outcome {
  lm_buffer events;
  lmopt_status status;
  bool unfinished;
} outcome;

static void keep_event(void *userdata, const lm_sse_event *e) {
  FUZZ_CHECK(e->name[e->name_size] == '\0' && e->data[e->data_size] == '\0' && e->id[e->id_size] == '\0',
             "a text without its zero byte");
  FUZZ_CHECK(lm_utf8_prefix(e->data, e->data_size) == e->data_size, "data that is no UTF-8");
  log_event(userdata, e);
}

/* Four buffers, each at most twice its largest size and its header. */
static size_t most_memory(size_t limit) { return 4 * (2 * (limit + 1) + 32); }

/* `draws`: pieces of one byte, or of up to 8; NULL: all at once. */
static void parse(outcome *o, size_t limit, size_t fail_at, const uint8_t *bytes, size_t size, uint64_t *draws) {
  lm_allocator ordinary = lm_allocator_default();
  fuzz_memory memory;
  lm_sse parser;
  fuzz_memory_init(&memory, fail_at);
  lm_buffer_init(&o->events, &ordinary, SIZE_MAX / 4);
  lm_sse_init(&parser, &memory.allocator, limit, keep_event, &o->events);
  o->status = LMOPT_OK;
  size_t longest = draws && fuzz_draw(draws) % 2 ? 8 : 1;
  for (size_t at = 0, piece; at < size; at += piece) {
    piece = draws ? 1 + (size_t)(fuzz_draw(draws) % longest) : size;
    if (piece > size - at) piece = size - at;
    char *copy = fuzz_copy(bytes + at, piece);
    lmopt_status status = lm_sse_feed(&parser, copy, piece);
    free(copy);
    FUZZ_CHECK(o->status == LMOPT_OK || status == o->status, "a failed parser works again");
    o->status = status;
  }
  o->unfinished = lm_sse_unfinished(&parser);
  lm_sse_free(&parser);
  o->events.allocator = NULL; /* which ends with this function */
  FUZZ_CHECK(memory.live == 0, "%zu bytes are lost", memory.live);
  FUZZ_CHECK(memory.peak <= most_memory(limit), "%zu bytes at a limit of %zu", memory.peak, limit);
  if (fail_at == 0) FUZZ_CHECK(o->status == LMOPT_OK || o->status == LMOPT_LIMIT, "status %d", (int)o->status);
}

static void drop(outcome *o) {
  lm_allocator ordinary = lm_allocator_default();
  o->events.allocator = &ordinary;
  lm_buffer_free(&o->events);
}

static void compare(const outcome *o, const reference *r, size_t limit, const char *how) {
  const char *got = lm_buffer_text(&o->events), *wanted = lm_buffer_text(&r->events);
  FUZZ_CHECK(o->events.size <= r->events.size && memcmp(got, wanted, o->events.size) == 0, "other events (%s)", how);
  if (o->status == LMOPT_OK) {
    FUZZ_CHECK(o->events.size == r->events.size, "an event is missing (%s)", how);
    FUZZ_CHECK(o->unfinished == r->unfinished, "unfinished is %d (%s)", o->unfinished, how);
    FUZZ_CHECK(r->longest_line <= limit && r->longest_field <= limit, "more than the limit of %zu (%s)", limit, how);
  } else if (o->status == LMOPT_LIMIT) {
    FUZZ_CHECK(r->longest_line > limit || r->longest_field > limit, "nothing was longer than %zu (%s)", limit, how);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  static const size_t limits[] = {1 << 20, 4, 16, 64};
  fuzz_input in = {bytes, size};
  lm_allocator ordinary = lm_allocator_default();
  size_t limit = limits[fuzz_take(&in) % 4], fail_at = fuzz_take(&in);
  uint64_t draws = fuzz_hash(bytes, size);
  reference r;
  outcome whole, pieces;
  refer(&r, &ordinary, in.bytes, in.size);
  parse(&whole, limit, 0, in.bytes, in.size, NULL);
  compare(&whole, &r, limit, "whole");
  parse(&pieces, limit, 0, in.bytes, in.size, &draws);
  compare(&pieces, &r, limit, "in pieces");
  FUZZ_CHECK(pieces.status == whole.status, "status %d whole, %d in pieces", whole.status, pieces.status);
  FUZZ_CHECK(pieces.events.size == whole.events.size, "pieces make other events before the failure");
  drop(&pieces);
  if (fail_at > 0) {
    parse(&pieces, limit, fail_at, in.bytes, in.size, &draws);
    compare(&pieces, &r, limit, "without memory");
    drop(&pieces);
  }
  drop(&whole);
  lm_buffer_free(&r.events);
  return 0;
}
