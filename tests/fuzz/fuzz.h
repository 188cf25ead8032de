/*
** What the fuzz targets share. A target is a file with LLVMFuzzerTestOneInput
** (llvm.org/docs/LibFuzzer.html): it is called with some bytes, and ends the
** process when a property is broken. It runs under libFuzzer (`make fuzz`) and
** under standalone.c (`make test-fuzz`).
*/
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Ends the process with a message unless the property holds. */
#define FUZZ_CHECK(property, ...) ((property) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #property, __VA_ARGS__))

_Noreturn void fuzz_fail(const char *file, int line, const char *property, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The input, taken byte by byte from the front: "0" stands for 0, so that corpus files can be typed. */
typedef struct fuzz_input {
  const uint8_t *bytes;
  size_t size;
} fuzz_input;

unsigned fuzz_take(fuzz_input *in); /* 0 to 255; 0 at the end */

/* A copy in a block of exactly its size: reading past it is found. Free with free(). */
char *fuzz_copy(const void *bytes, size_t size);
char *fuzz_copy_text(const void *bytes, size_t size); /* ends in a zero byte */

/* A number that depends on the bytes alone (FNV-1a). */
uint64_t fuzz_hash(const void *bytes, size_t size);

/* The next of a sequence of numbers (splitmix64). */
uint64_t fuzz_draw(uint64_t *state);

/* An allocator that counts, and says that there is no memory at the call number `fail_at` (0: never). */
typedef struct fuzz_memory {
  lm_allocator allocator;
  size_t live, peak, calls, fail_at;
} fuzz_memory;

void fuzz_memory_init(fuzz_memory *m, size_t fail_at);

/* Sizes first, so that no two lists of texts look the same. */
void fuzz_log_text(lm_buffer *log, const char *text, size_t size);

#endif
