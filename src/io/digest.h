/*
** SHA-256 (libcrypto's) of many short texts: what it needs is looked up and
** allocated once, which costs a third as much as the hash of a kilobyte.
*/
#ifndef LM_DIGEST_H
#define LM_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

enum { LM_DIGEST_SIZE = 32 };

typedef struct lm_digest {
  void *algorithm, *state; /* NULL: closed */
  bool failed;             /* since lm_digest_begin */
} lm_digest;

bool lm_digest_open(lm_digest *d); /* false: not available; nothing is held then */
void lm_digest_close(lm_digest *d);

/* One hash: begin, add, ..., end. False, at the end: it failed somewhere on the way. */
void lm_digest_begin(lm_digest *d);
void lm_digest_add(lm_digest *d, const void *bytes, size_t size);
bool lm_digest_end(lm_digest *d, unsigned char out[LM_DIGEST_SIZE]);

#endif
