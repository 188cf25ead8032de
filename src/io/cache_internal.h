/* What the files of the cache share. */
#ifndef LM_CACHE_INTERNAL_H
#define LM_CACHE_INTERNAL_H

#include <sqlite3.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "io/cache.h"

typedef enum lm_cache_sql {
  LM_CACHE_FIND,
  LM_CACHE_FOLLOWING,
  LM_CACHE_BEGIN,
  LM_CACHE_COMMIT,
  LM_CACHE_INSERT,
  LM_CACHE_DELETE,
  LM_CACHE_TOUCH,
  LM_CACHE_COUNT,
  LM_CACHE_BYTES,
  LM_CACHE_EVICT,
  LM_CACHE_SQL_COUNT
} lm_cache_sql;

typedef enum lm_cache_state { LM_CACHE_CLOSED, LM_CACHE_READY, LM_CACHE_REFUSED } lm_cache_state;

/* What is to be written: a reply, or (text NULL) that there is none. */
typedef struct lm_cache_job {
  lm_cache_key key;
  char *model, *text;
  size_t size;
  double usd;
} lm_cache_job;

struct lm_cache {
  lm_allocator allocator;
  lm_cache_options options;
  char *path;
  pid_t process; /* a file is not used after a fork */
  lm_cache_memory memory;
  char *spare; /* a text that the memory layer has no room for */
  lm_cache_state state;
  lm_error refusal;
  sqlite3 *database;
  sqlite3_stmt *statements[LM_CACHE_SQL_COUNT];
  bool recognised, read_only, closing, told_damage;
  bool hurried, hopeless;          /* only notes of use are written; the last time that failed */
  double paused_until, busy_since; /* monotonic seconds */
  unsigned told;                   /* what was said already, by lm_cache_trouble */
  lm_cache_job *jobs;
  size_t job_count, job_capacity, job_bytes;
  long long last_row; /* what was read from the file last, ahead or not */
  int ahead;          /* how many replies are read after one that is asked for */
  long long *touched; /* rows */
  size_t touched_count, touched_capacity;
  long long hits; /* that the file does not know of */
  double saved_usd;
};

/* --- cache_file.c --- */

/* Opens what is there, or (create) makes it. c->database stays NULL when there is nothing, or nothing to be had now. */
lmopt_status lm_cache_connect(lm_cache *c, bool create, lm_error *e);
void lm_cache_disconnect(lm_cache *c);
/* The prepared statement; NULL: *result says why. */
sqlite3_stmt *lm_cache_prepare(lm_cache *c, lm_cache_sql which, int *result);
/* Runs a statement that gives no rows, or whose rows do not matter. */
int lm_cache_run(lm_cache *c, lm_cache_sql which);
/*
** What a failure means for the cache: says it once, and pauses, or sets the
** file aside (true: a new one may be begun at once).
*/
bool lm_cache_trouble(lm_cache *c, int result);
void lm_cache_say(lm_cache *c, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
/* Whether somebody took the open file away, which is said; then there is none any more. */
bool lm_cache_moved(lm_cache *c);
lmopt_status lm_cache_fail(lm_cache *c, int result, lm_error *e);
bool lm_cache_paused(const lm_cache *c);

/* A check sum of a reply and its key. */
long long lm_cache_seal(const lm_cache_key *key, const char *text, size_t size);
/* Whether it is that of this reply. */
bool lm_cache_fits(const lm_cache_key *key, const char *text, size_t size, long long seal);

#endif
