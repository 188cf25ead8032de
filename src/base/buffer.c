#include "base/buffer.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

void lm_buffer_init(lm_buffer *b, const lm_allocator *a, size_t limit) {
  memset(b, 0, sizeof *b);
  b->allocator = a;
  b->limit = limit;
}

void lm_buffer_free(lm_buffer *b) {
  lm_free(b->allocator, b->data);
  lm_buffer_init(b, b->allocator, b->limit);
}

void lm_buffer_clear(lm_buffer *b) {
  b->size = 0;
  b->status = LMOPT_OK;
  if (b->data) b->data[0] = '\0';
}

void lm_buffer_drop(lm_buffer *b, size_t size) {
  b->size -= size;
  if (b->size) memmove(b->data, b->data + size, b->size);
  if (b->data) b->data[b->size] = '\0';
}

bool lm_buffer_add(lm_buffer *b, const void *bytes, size_t size) {
  if (b->status != LMOPT_OK) return false;
  if (size > b->limit || b->size > b->limit - size) {
    b->status = LMOPT_LIMIT;
    return false;
  }
  if (b->size + size >= b->capacity && !lm_grow(b->allocator, &b->data, &b->capacity, b->size + size + 1, 1)) {
    b->status = LMOPT_NO_MEMORY;
    return false;
  }
  if (size) memcpy(b->data + b->size, bytes, size);
  b->size += size;
  b->data[b->size] = '\0';
  return true;
}

bool lm_buffer_add_text(lm_buffer *b, const char *text) { return lm_buffer_add(b, text, strlen(text)); }

bool lm_buffer_add_char(lm_buffer *b, char c) {
  if (b->status != LMOPT_OK || b->size >= b->limit || b->size + 1 >= b->capacity) return lm_buffer_add(b, &c, 1);
  b->data[b->size++] = c;
  b->data[b->size] = '\0';
  return true;
}

lmopt_status lm_buffer_fail(const lm_buffer *b, const char *what, lm_error *e) {
  if (b->status != LMOPT_LIMIT) return lm_fail_memory(e);
  return lm_fail(e, LMOPT_MISUSE, "%s: longer than %zu MiB", what, b->limit >> 20);
}

const char *lm_buffer_text(const lm_buffer *b) { return b->data ? b->data : ""; }

/* Length of the UTF-8 sequence at `s`, or 0 when it is none (overlong, surrogate, cut). */
static size_t utf8_length(const unsigned char *s, size_t left) {
  if (s[0] < 0x80) return 1;
  size_t length = s[0] >= 0xC2 && s[0] < 0xE0   ? 2
                  : s[0] >= 0xE0 && s[0] < 0xF0 ? 3
                  : s[0] >= 0xF0 && s[0] < 0xF5 ? 4
                                                : 0;
  if (length == 0 || length > left) return 0;
  for (size_t i = 1; i < length; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  if (s[0] == 0xE0 && s[1] < 0xA0) return 0;
  if (s[0] == 0xED && s[1] > 0x9F) return 0;
  if (s[0] == 0xF0 && s[1] < 0x90) return 0;
  if (s[0] == 0xF4 && s[1] > 0x8F) return 0;
  return length;
}

/* Of the eight bytes at `s`. */
static bool are_ascii(const unsigned char *s) {
  uint64_t bytes;
  memcpy(&bytes, s, sizeof bytes);
  return (bytes & UINT64_C(0x8080808080808080)) == 0;
}

size_t lm_utf8_prefix(const char *text, size_t size) {
  const unsigned char *s = (const unsigned char *)text;
  size_t i = 0;
  for (size_t length = 1; i < size && length; i += length) {
    while (size - i > 8 && are_ascii(s + i)) i += 8;
    length = utf8_length(s + i, size - i);
  }
  return i;
}

static void add_escaped(lm_buffer *b, unsigned char c) {
  static const char names[] = "btn\vfr";
  char text[8];
  if (c == '"' || c == '\\')
    snprintf(text, sizeof text, "\\%c", c);
  else if (c >= 8 && c <= 13 && c != 11)
    snprintf(text, sizeof text, "\\%c", names[c - 8]);
  else
    snprintf(text, sizeof text, "\\u%04x", c);
  lm_buffer_add_text(b, text);
}

/*
** Whether none of the eight bytes at `s` has to be looked at: all are ASCII, no
** control characters, quotes or backslashes. A byte below n borrows into its
** high bit when n is taken off; so does one that equals c, after an exclusive
** or with c, when 1 is.
*/
static bool are_plain(const unsigned char *s) {
  const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
  uint64_t x;
  memcpy(&x, s, sizeof x);
  uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\', del = x ^ ones * 0x7F;
  uint64_t special =
      ((x - ones * 0x20) & ~x) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | ((del - ones) & ~del);
  return ((x | special) & high) == 0;
}

bool lm_buffer_add_json_string(lm_buffer *b, const char *text, size_t size) {
  const unsigned char *s = (const unsigned char *)text;
  lm_buffer_add_char(b, '"');
  size_t i = 0;
  while (i < size) {
    size_t plain = i;
    while (size - plain >= 8 && are_plain(s + plain)) plain += 8;
    while (plain < size && s[plain] >= 0x20 && s[plain] < 0x7F && s[plain] != '"' && s[plain] != '\\') plain++;
    if (plain > i) {
      lm_buffer_add(b, s + i, plain - i);
      i = plain;
      continue;
    }
    size_t length = utf8_length(s + i, size - i);
    if (length > 1)
      lm_buffer_add(b, s + i, length);
    else if (length == 1)
      add_escaped(b, s[i]);
    else
      lm_buffer_add_text(b, "\xEF\xBF\xBD");
    i += length ? length : 1;
  }
  return lm_buffer_add_char(b, '"');
}

bool lm_buffer_add_json_double(lm_buffer *b, double value) {
  char text[LM_NUMBER_SIZE];
  lm_number_write(value, text);
  lm_buffer_add_text(b, text);
  if (isfinite(value) && !strpbrk(text, ".eE")) lm_buffer_add_text(b, ".0");
  return b->status == LMOPT_OK;
}

bool lm_buffer_add_json_integer(lm_buffer *b, long long value) {
  char text[LM_NUMBER_SIZE], *end = text + sizeof text, *start = end;
  unsigned long long rest = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;
  do *--start = (char)('0' + rest % 10);
  while ((rest /= 10) > 0);
  if (value < 0) *--start = '-';
  return lm_buffer_add(b, start, (size_t)(end - start));
}
