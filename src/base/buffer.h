/*
** A growable run of bytes with a limit, always followed by a zero byte.
**
** Appending past the limit or without memory marks the buffer as failed and
** leaves it as it was; a caller may append many times and look once.
*/
#ifndef LM_BUFFER_H
#define LM_BUFFER_H

#include "base/memory.h"

typedef struct lm_buffer {
  const lm_allocator *allocator;
  char *data; /* NULL while empty */
  size_t size, capacity, limit;
  lmopt_status status; /* LMOPT_OK, LMOPT_NO_MEMORY or LMOPT_LIMIT: the first failure */
} lm_buffer;

void lm_buffer_init(lm_buffer *b, const lm_allocator *a, size_t limit);
void lm_buffer_free(lm_buffer *b); /* the buffer may be used again */
void lm_buffer_clear(lm_buffer *b);
void lm_buffer_drop(lm_buffer *b, size_t size); /* so many bytes at the beginning, which are there */
bool lm_buffer_add(lm_buffer *b, const void *bytes, size_t size);
bool lm_buffer_add_text(lm_buffer *b, const char *text);
bool lm_buffer_add_char(lm_buffer *b, char c);
const char *lm_buffer_text(const lm_buffer *b); /* "" while empty; valid until the next append */
/* Why appending failed: LMOPT_MISUSE, "<what>: longer than 16 MiB" (its limit), or LMOPT_NO_MEMORY. */
lmopt_status lm_buffer_fail(const lm_buffer *b, const char *what, lm_error *e);

/* How many bytes at the beginning are UTF-8; overlong forms, surrogates and what is cut off are not. */
size_t lm_utf8_prefix(const char *text, size_t size);

/*
** JSON fragments. Strings are quoted and escaped; bytes that are not UTF-8
** become U+FFFD. Numbers are the shortest text that reads back as the same
** double, with ".0" added to integral ones as Python's json writes them;
** not-a-number and infinities are written NaN, Infinity and -Infinity.
*/
bool lm_buffer_add_json_string(lm_buffer *b, const char *text, size_t size);
bool lm_buffer_add_json_double(lm_buffer *b, double value);
bool lm_buffer_add_json_integer(lm_buffer *b, long long value);

#endif
