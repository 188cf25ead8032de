#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for the size in front of a block, kept a multiple of the strictest alignment. */
enum { HEADER = 16 };

static void *default_alloc(void *userdata, void *block, size_t old_size, size_t size) {
  (void)userdata;
  (void)old_size;
  if (size == 0) {
    free(block);
    return NULL;
  }
  return realloc(block, size);
}

lm_allocator lm_allocator_default(void) {
  lm_allocator a = {default_alloc, NULL};
  return a;
}

static char *block_start(void *block) { return (char *)block - HEADER; }

static size_t block_size(void *block) {
  size_t size;
  memcpy(&size, block_start(block), sizeof size);
  return size;
}

void *lm_alloc(const lm_allocator *a, size_t size) { return lm_resize(a, NULL, size); }

void *lm_alloc_zeroed(const lm_allocator *a, size_t size) {
  void *block = lm_alloc(a, size);
  if (block) memset(block, 0, size);
  return block;
}

void *lm_resize(const lm_allocator *a, void *block, size_t size) {
  size_t old_total = block ? block_size(block) + HEADER : 0;
  if (size > SIZE_MAX - HEADER) return NULL;
  char *start = a->fn(a->userdata, block ? block_start(block) : NULL, old_total, size + HEADER);
  if (!start) return NULL;
  memcpy(start, &size, sizeof size);
  return start + HEADER;
}

void lm_free(const lm_allocator *a, void *block) {
  if (block) a->fn(a->userdata, block_start(block), block_size(block) + HEADER, 0);
}

char *lm_copy_bytes(const lm_allocator *a, const char *bytes, size_t size) {
  char *copy = lm_alloc(a, size + 1);
  if (!copy) return NULL;
  if (size) memcpy(copy, bytes, size);
  copy[size] = '\0';
  return copy;
}

char *lm_copy_text(const lm_allocator *a, const char *text) {
  return text ? lm_copy_bytes(a, text, strlen(text)) : NULL;
}

bool lm_grow(const lm_allocator *a, void *items, size_t *capacity, size_t needed, size_t item_size) {
  if (needed <= *capacity) return true;
  size_t wanted = *capacity ? *capacity : 8;
  while (wanted < needed) {
    if (wanted > SIZE_MAX / 2) return false;
    wanted *= 2;
  }
  if (wanted > SIZE_MAX / item_size) return false;
  void *old;
  memcpy(&old, items, sizeof old); /* `items` is the address of a pointer of any type */
  void *grown = lm_resize(a, old, wanted * item_size);
  if (!grown) return false;
  memcpy(items, &grown, sizeof grown);
  *capacity = wanted;
  return true;
}

lmopt_status lm_fail(lm_error *e, lmopt_status status, const char *format, ...) {
  if (!e) return status;
  e->status = status;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(e->text, sizeof e->text, format, arguments);
  va_end(arguments);
  return status;
}

lmopt_status lm_fail_memory(lm_error *e) { return lm_fail(e, LMOPT_NO_MEMORY, "out of memory"); }
