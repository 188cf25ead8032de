/*
** The cache of model calls: replies as texts, by the SHA-256 of what was
** asked. In memory, or in a SQLite file that several processes share, with a
** memory layer in front.
**
** Nothing is opened before it is needed, and no file is made before there is
** something to store. What is put is gathered, and written by lm_cache_flush
** in one commit. A file keeps its replies within a limit of bytes, those used
** longest ago go first; when a reply was used is noted to the hour, and
** written with other things. While replies are asked for in the order in which
** they were stored, those that follow are read along.
**
** A cache saves money, and must never cost a run: where the file fails (a
** full disk, a lock that is not given up, damage) `say` is told once, and the
** cache goes on in memory. Damaged files are set aside. A file that is not
** ours is left as it is. Every reply on disk has a check sum; one that does
** not fit is none.
**
** A text that is returned lives until the next call on the cache.
*/
#ifndef LM_CACHE_H
#define LM_CACHE_H

#include "io/cache_memory.h"
#include "io/digest.h"

typedef struct lm_cache lm_cache;

typedef struct lm_cache_options {
  const char *path;     /* NULL: in memory */
  bool make_folder;     /* make the folder of `path`, and those it is in, for this user only */
  bool ours;            /* the place is lmopt's own: what is there and is no database may be set aside */
  size_t memory_limit;  /* bytes of the memory layer; 0: 64 MiB */
  long long disk_limit; /* bytes of replies in the file; 0: 1 GiB */
  double patience;      /* seconds to wait for another process's lock; 0: 5 */
  double touch_after;   /* seconds until another use of a reply is noted; 0: an hour; negative: at once */
  void (*say)(void *userdata, const char *text); /* what a person should know; NULL: nobody listens */
  void *userdata;
} lm_cache_options;

typedef struct lm_cache_part {
  const char *text;
  size_t size;
} lm_cache_part;

/* SHA-256 over the parts and their sizes. False: not available. */
bool lm_cache_hash(lm_digest *digest, const lm_cache_part *parts, size_t count, lm_cache_key *key);

lmopt_status lm_cache_new(const lm_allocator *a, const lm_cache_options *options, lm_cache **out, lm_error *e);
void lm_cache_free(lm_cache *c); /* flushes; NULL is a no-op */

/*
** Opens the file, when there is one. LMOPT_STORAGE: it can't be used (no
** cache, of a newer version, a folder that is missing, no rights), and never
** will be by this object, which goes on in memory. Cheap when it is open.
*/
lmopt_status lm_cache_open(lm_cache *c, lm_error *e);

/*
** *text NULL: not there. The same *stamp again, from this cache, means the same
** text again; 0: nothing is known of it.
*/
void lm_cache_get(lm_cache *c, const lm_cache_key *key, const char **text, size_t *size, long long *stamp);

/* The text is valid UTF-8 without zero bytes. Without memory it is not kept. */
void lm_cache_put(lm_cache *c, const lm_cache_key *key, const char *model, double usd, const char *text, size_t size);

/* A reply that is of no use. */
void lm_cache_forget(lm_cache *c, const lm_cache_key *key);

/* Something was put and is not on disk yet. */
bool lm_cache_waiting(const lm_cache *c);
/* Writes what is waiting, in one commit. */
void lm_cache_flush(lm_cache *c);
/* The same, and the notes of use, which can wait. */
void lm_cache_tick(lm_cache *c);

typedef struct lm_cache_stats {
  long long entries, bytes; /* of replies */
  long long limit;
  long long hits; /* since `since` */
  double saved_usd;
  double since;          /* UTC seconds: made, or cleared completely */
  double oldest, newest; /* when they were made; 0: no entries */
  bool exists;           /* false: there is no file yet */
} lm_cache_stats;

typedef struct lm_cache_model {
  const char *name;
  long long entries, bytes;
  double usd; /* what they cost */
} lm_cache_model;

/* `each` is called for every model, the largest first; it may be NULL. */
lmopt_status lm_cache_stat(lm_cache *c, lm_cache_stats *stats,
                           void (*each)(void *userdata, const lm_cache_model *model), void *userdata, lm_error *e);

/* Removes what was made before `before` (UTC seconds; 0: all) by `model` (NULL: any), and gives the room back. */
lmopt_status lm_cache_clear(lm_cache *c, double before, const char *model, long long *entries, long long *bytes,
                            lm_error *e);

#endif
