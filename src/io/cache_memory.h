/*
** Texts by 32-byte key, in memory, within a limit of bytes: when it is
** reached, what was used longest ago goes first.
*/
#ifndef LM_CACHE_MEMORY_H
#define LM_CACHE_MEMORY_H

#include "base/memory.h"

enum { LM_CACHE_KEY_SIZE = 32 };

/* A SHA-256, so its bytes are as good as random. */
typedef struct lm_cache_key {
  unsigned char bytes[LM_CACHE_KEY_SIZE];
} lm_cache_key;

typedef struct lm_cache_entry lm_cache_entry;
struct lm_cache_entry {
  lm_cache_entry *next;          /* in its bucket */
  lm_cache_entry *newer, *older; /* in the order of use */
  lm_cache_key key;
  double usd;      /* what it cost when it was made */
  long long stamp; /* of this text: no other one of this memory has had it, or is going to */
  long long row;   /* in the file, where its use has not been noted yet; 0: nothing is to be noted */
  double used;     /* with a row: what the file says of its last use */
  size_t size;
  char text[]; /* followed by a zero */
};

typedef struct lm_cache_memory {
  const lm_allocator *allocator;
  lm_cache_entry **buckets;
  size_t bucket_count, count; /* bucket_count is a power of two, or 0 */
  size_t bytes, limit;
  long long stamps; /* the last one */
  lm_cache_entry *newest, *oldest;
} lm_cache_memory;

void lm_cache_memory_init(lm_cache_memory *m, const lm_allocator *a, size_t limit);
void lm_cache_memory_free(lm_cache_memory *m); /* empty, and usable again */

/* The entry, as the one used last; NULL: there is none. It lives until the next put, drop or free. */
lm_cache_entry *lm_cache_memory_get(lm_cache_memory *m, const lm_cache_key *key);
bool lm_cache_memory_has(lm_cache_memory *m, const lm_cache_key *key); /* this is no use */

/* Enters a copy in the place of what was there. NULL: no memory, or longer than the limit. */
lm_cache_entry *lm_cache_memory_put(lm_cache_memory *m, const lm_cache_key *key, double usd, const char *text,
                                    size_t size);
void lm_cache_memory_drop(lm_cache_memory *m, const lm_cache_key *key);

#endif
