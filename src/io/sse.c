#include "io/sse.h"

#include <limits.h>
#include <string.h>

static const char default_name[] = "message";
static const char byte_order_mark[] = "\xEF\xBB\xBF";
enum { MARK_SIZE = sizeof byte_order_mark - 1 };

void lm_sse_init(lm_sse *p, const lm_allocator *a, size_t limit, lm_sse_fn fn, void *userdata) {
  memset(p, 0, sizeof *p);
  p->fn = fn;
  p->userdata = userdata;
  p->retry = -1;
  lm_buffer_init(&p->line, a, limit);
  lm_buffer_init(&p->data, a, limit);
  lm_buffer_init(&p->name, a, limit);
  lm_buffer_init(&p->id, a, limit);
}

void lm_sse_free(lm_sse *p) {
  lm_buffer_free(&p->line);
  lm_buffer_free(&p->data);
  lm_buffer_free(&p->name);
  lm_buffer_free(&p->id);
}

bool lm_sse_unfinished(const lm_sse *p) {
  bool half_mark = p->mark > 0 && p->mark < MARK_SIZE;
  return half_mark || p->line.size > 0 || p->data.size > 0 || p->name.size > 0;
}

static void note(lm_sse *p, const lm_buffer *b) {
  if (p->status == LMOPT_OK) p->status = b->status;
}

/* --- text --- */

/*
** Length of the UTF-8 sequence at `s`, or of the longest beginning of one,
** which stands for a single U+FFFD (Encoding standard, "UTF-8 decoder").
*/
static size_t sequence(const unsigned char *s, size_t left, bool *valid) {
  unsigned char lowest = 0x80, highest = 0xBF;
  size_t length = s[0] < 0x80 ? 1 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
  *valid = s[0] < 0x80 || (s[0] >= 0xC2 && s[0] <= 0xF4);
  if (!*valid) return 1;
  if (s[0] == 0xE0) lowest = 0xA0; /* no overlong forms, no surrogates, nothing past U+10FFFF */
  if (s[0] == 0xED) highest = 0x9F;
  if (s[0] == 0xF0) lowest = 0x90;
  if (s[0] == 0xF4) highest = 0x8F;
  for (size_t i = 1; i < length; i++) {
    if (i == left || s[i] < lowest || s[i] > highest) {
      *valid = false;
      return i;
    }
    lowest = 0x80;
    highest = 0xBF;
  }
  return length;
}

static void add_decoded(lm_buffer *b, const char *text, size_t size) {
  const unsigned char *s = (const unsigned char *)text;
  size_t good = 0, i = 0; /* s[good .. i) is valid, and not yet added */
  while (i < size) {
    bool valid;
    size_t length = sequence(s + i, size - i, &valid);
    if (!valid) {
      lm_buffer_add(b, s + good, i - good);
      lm_buffer_add_text(b, "\xEF\xBF\xBD");
      good = i + length;
    }
    i += length;
  }
  lm_buffer_add(b, s + good, size - good);
}

/* --- lines --- */

static void dispatch(lm_sse *p) {
  if (p->data.size > 0) {
    lm_sse_event event = {.id = lm_buffer_text(&p->id), .id_size = p->id.size, .retry = p->retry};
    event.name = p->name.size > 0 ? p->name.data : default_name;
    event.name_size = p->name.size > 0 ? p->name.size : sizeof default_name - 1;
    event.data_size = p->data.size - 1; /* every line of data added an LF */
    p->data.data[event.data_size] = '\0';
    event.data = p->data.data;
    p->fn(p->userdata, &event);
  }
  lm_buffer_clear(&p->data);
  lm_buffer_clear(&p->name);
}

static void set_text(lm_sse *p, lm_buffer *b, const char *value, size_t size) {
  lm_buffer_clear(b);
  add_decoded(b, value, size);
  note(p, b);
}

/* Digits alone count; so many that they fit no number do not. */
static void set_retry(lm_sse *p, const char *value, size_t size) {
  long long number = 0;
  for (size_t i = 0; i < size; i++) {
    if (value[i] < '0' || value[i] > '9' || number > (LLONG_MAX - (value[i] - '0')) / 10) return;
    number = 10 * number + (value[i] - '0');
  }
  if (size > 0) p->retry = number;
}

static bool is_name(const char *name, const char *line, size_t size) {
  return strlen(name) == size && memcmp(name, line, size) == 0;
}

static void take_line(lm_sse *p, const char *line, size_t size) {
  if (size == 0) {
    dispatch(p);
    return;
  }
  const char *colon = memchr(line, ':', size), *value = colon ? colon + 1 : line + size;
  size_t name_size = colon ? (size_t)(colon - line) : size;
  if (value < line + size && *value == ' ') value++;
  size_t value_size = (size_t)(line + size - value);
  if (is_name("data", line, name_size)) {
    add_decoded(&p->data, value, value_size);
    lm_buffer_add_char(&p->data, '\n');
    note(p, &p->data);
  } else if (is_name("event", line, name_size)) {
    set_text(p, &p->name, value, value_size);
  } else if (is_name("id", line, name_size) && !memchr(value, '\0', value_size)) {
    set_text(p, &p->id, value, value_size);
  } else if (is_name("retry", line, name_size)) {
    set_retry(p, value, value_size);
  }
}

/* A line's last bytes; those before them may be in the buffer. */
static void end_line(lm_sse *p, const char *bytes, size_t size) {
  if (p->line.size == 0 && size <= p->line.limit) {
    take_line(p, bytes, size);
    return;
  }
  lm_buffer_add(&p->line, bytes, size);
  note(p, &p->line);
  if (p->status != LMOPT_OK) return;
  take_line(p, p->line.data, p->line.size);
  lm_buffer_clear(&p->line);
}

/* Skips the byte order mark; what looked like one, and is none, begins the first line. */
static const char *skip_mark(lm_sse *p, const char *bytes, const char *end) {
  while (bytes < end && p->mark < MARK_SIZE && *bytes == byte_order_mark[p->mark]) {
    p->mark++;
    bytes++;
  }
  if (bytes < end && p->mark < MARK_SIZE) {
    lm_buffer_add(&p->line, byte_order_mark, p->mark);
    note(p, &p->line);
    p->mark = MARK_SIZE;
  }
  return bytes;
}

lmopt_status lm_sse_feed(lm_sse *p, const void *bytes, size_t size) {
  const char *s = bytes, *end = s + size;
  if (size == 0 || p->status != LMOPT_OK) return p->status;
  if (p->mark < MARK_SIZE) s = skip_mark(p, s, end);
  while (s < end && p->status == LMOPT_OK) {
    if (p->after_return && *s == '\n') s++;
    p->after_return = false;
    const char *stop = s;
    while (stop < end && *stop != '\n' && *stop != '\r') stop++;
    if (stop == end) {
      lm_buffer_add(&p->line, s, (size_t)(stop - s));
      note(p, &p->line);
      break;
    }
    end_line(p, s, (size_t)(stop - s));
    p->after_return = *stop == '\r';
    s = stop + 1;
  }
  return p->status;
}
