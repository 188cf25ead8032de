/*
** An index of texts by their words, ranked by BM25: SQLite's FTS5
** (https://www.sqlite.org/fts5.html), after S. Robertson and H. Zaragoza, "The
** Probabilistic Relevance Framework: BM25 and Beyond", 2009.
**
** In memory, or in a file that is made once: opened with the same texts again
** it is taken as it is, with others it is made anew, in one transaction. A
** file that is not ours is left as it is. What is asked is words and nothing
** else, whatever stands in it.
*/
#ifndef LM_TEXT_INDEX_H
#define LM_TEXT_INDEX_H

#include "base/memory.h"

typedef struct lm_text_index lm_text_index;

/* A text, and what belongs to it: kept, and not looked into. */
typedef struct lm_text {
  const char *text, *data; /* data NULL: nothing */
  size_t size, data_size;
} lm_text;

typedef enum lm_tokenizer {
  LM_TOKENIZER_UNICODE61, /* words, without case and accents */
  LM_TOKENIZER_PORTER,    /* and without the endings of English words */
  LM_TOKENIZER_TRIGRAM,   /* any three characters: for languages that do not part words */
  LM_TOKENIZER_COUNT
} lm_tokenizer;

typedef struct lm_text_index_options {
  const char *path; /* NULL: in memory */
  int patience;     /* milliseconds to wait for another process's lock; 0: 2000 */
  lm_tokenizer tokenizer;
  /* Gives text `i`, from 0; called in order, and again from 0. NULL: the texts are those in the file. */
  void (*item)(void *userdata, size_t i, lm_text *out);
  void *userdata;
  size_t count;
} lm_text_index_options;

/* One text that was found. Its bytes live until the next call. */
typedef struct lm_text_hit {
  lm_text text;
  long long number; /* its place, from 1 */
  double score;     /* BM25: more is better */
} lm_text_hit;

lmopt_status lm_text_index_open(const lm_allocator *a, const lm_text_index_options *options, lm_text_index **out,
                                lm_error *e);
void lm_text_index_close(lm_text_index *x); /* NULL is a no-op */

long long lm_text_index_count(const lm_text_index *x);

/*
** Looks for the texts with words of the query (its first 256 different ones),
** at most `limit`: the best first, equal ones in the order of their places.
** lm_text_index_next gives them one by one.
*/
lmopt_status lm_text_index_find(lm_text_index *x, const char *query, size_t size, long long limit, lm_error *e);

/* *found false: that was all. */
lmopt_status lm_text_index_next(lm_text_index *x, lm_text_hit *hit, bool *found, lm_error *e);

#endif
