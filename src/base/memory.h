/*
** Memory from the host's allocator, and error texts that need none.
**
** Blocks remember their size, so that callers free without saying it. No
** function here raises or exits: NULL means that there is no memory.
*/
#ifndef LM_MEMORY_H
#define LM_MEMORY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lmopt.h"

typedef struct lm_allocator {
  lmopt_alloc_fn fn;
  void *userdata;
} lm_allocator;

/* The allocator over realloc and free. */
lm_allocator lm_allocator_default(void);

void *lm_alloc(const lm_allocator *a, size_t size); /* contents undefined */
void *lm_alloc_zeroed(const lm_allocator *a, size_t size);
void *lm_resize(const lm_allocator *a, void *block, size_t size);           /* NULL leaves `block` as it was */
void lm_free(const lm_allocator *a, void *block);                           /* NULL is a no-op */
char *lm_copy_text(const lm_allocator *a, const char *text);                /* NULL text gives NULL */
char *lm_copy_bytes(const lm_allocator *a, const char *bytes, size_t size); /* with a zero added */

/*
** Makes room for `needed` items of `item_size` bytes in *items, doubling
** *capacity. On false nothing has changed.
*/
bool lm_grow(const lm_allocator *a, void *items, size_t *capacity, size_t needed, size_t item_size);

/* Why a call failed. The caller owns it; it needs no allocation. */
typedef struct lm_error {
  lmopt_status status;
  char text[500];
} lm_error;

/* Fills `e` (which may be NULL) and returns `status`. A text too long is cut. */
lmopt_status lm_fail(lm_error *e, lmopt_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* lm_fail with "out of memory". */
lmopt_status lm_fail_memory(lm_error *e);

#endif
