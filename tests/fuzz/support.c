#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

_Noreturn void fuzz_fail(const char *file, int line, const char *property, const char *format, ...) {
  va_list arguments;
  fprintf(stderr, "%s:%d: broken property: %s: ", file, line, property);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  abort();
}

unsigned fuzz_take(fuzz_input *in) {
  if (in->size == 0) return 0;
  in->size--;
  return (unsigned char)(*in->bytes++ - '0');
}

char *fuzz_copy(const void *bytes, size_t size) {
  char *copy = malloc(size ? size : 1);
  FUZZ_CHECK(copy, "no memory");
  if (size) memcpy(copy, bytes, size);
  return copy;
}

char *fuzz_copy_text(const void *bytes, size_t size) {
  char *copy = malloc(size + 1);
  FUZZ_CHECK(copy, "no memory");
  if (size) memcpy(copy, bytes, size);
  copy[size] = '\0';
  return copy;
}

uint64_t fuzz_hash(const void *bytes, size_t size) {
  const uint8_t *b = bytes;
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t i = 0; i < size; i++) hash = (hash ^ b[i]) * 0x100000001b3;
  return hash;
}

uint64_t fuzz_draw(uint64_t *state) {
  uint64_t z = *state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static void *counted_alloc(void *userdata, void *block, size_t old_size, size_t size) {
  fuzz_memory *m = userdata;
  if (size == 0) {
    m->live -= old_size;
    free(block);
    return NULL;
  }
  if (++m->calls == m->fail_at) return NULL;
  void *moved = realloc(block, size);
  if (!moved) return NULL;
  m->live += size - old_size;
  if (m->live > m->peak) m->peak = m->live;
  return moved;
}

void fuzz_memory_init(fuzz_memory *m, size_t fail_at) {
  memset(m, 0, sizeof *m);
  m->allocator.fn = counted_alloc;
  m->allocator.userdata = m;
  m->fail_at = fail_at;
}

void fuzz_log_text(lm_buffer *log, const char *text, size_t size) {
  lm_buffer_add(log, &size, sizeof size);
  lm_buffer_add(log, text, size);
}
