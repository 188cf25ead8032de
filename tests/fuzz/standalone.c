/*
** Runs a fuzz target without libFuzzer, under any compiler: every file of the
** corpus, then mutations of them. The same seed makes the same mutations on
** every machine. Options are libFuzzer's:
**
**   TARGET [-runs=N] [-seed=N] [-max_len=N] [-dict=FILE] [-artifact_prefix=PATH] [FILE or FOLDER]...
**
** An input that ends the process is written to PATHcrash-<hash>, whatever ended it.
*/
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { MUTATIONS_MAX = 6, WORDS_MAX = 512, WORD_SIZE = 128 };

typedef struct bytes {
  uint8_t *data;
  size_t size;
} bytes;

typedef struct word {
  char text[WORD_SIZE];
  size_t size;
} word;

static struct {
  bytes *files; /* the corpus */
  size_t count, capacity;
  word *words; /* the dictionary */
  size_t word_count;
  const char *artifacts;
  size_t longest;
  const uint8_t *running; /* what the target has now */
  size_t running_size;
} state = {.artifacts = "./", .longest = 4096};

/* --- what is left behind when the target ends the process --- */

static void keep_input(int number) {
  char path[4096];
  static const char said[] = "\nThe input is in ";
  int length = snprintf(path, sizeof path, "%scrash-%016llx", state.artifacts,
                        (unsigned long long)fuzz_hash(state.running, state.running_size));
  FILE *file = length > 0 && (size_t)length < sizeof path - 1 && state.running ? fopen(path, "wb") : NULL;
  if (file) {
    fwrite(state.running, 1, state.running_size, file);
    fclose(file);
    path[length] = '\n';
    (void)!write(2, said, sizeof said - 1);
    (void)!write(2, path, (size_t)length + 1);
  }
  signal(number, SIG_DFL);
  raise(number);
}

/* --- the corpus and the dictionary --- */

static _Noreturn void stop(const char *what, const char *name) {
  fprintf(stderr, "%s: %s\n", name, what);
  exit(2);
}

static void add_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) stop("can't be read", path);
  bytes b = {NULL, 0};
  size_t capacity = 0, got;
  do {
    if (b.size == capacity) {
      capacity = capacity ? 2 * capacity : 4096;
      b.data = realloc(b.data, capacity);
      if (!b.data) stop("no memory", path);
    }
    got = fread(b.data + b.size, 1, capacity - b.size, file);
    b.size += got;
  } while (got > 0);
  fclose(file);
  if (state.count == state.capacity) {
    state.capacity = state.capacity ? 2 * state.capacity : 64;
    state.files = realloc(state.files, state.capacity * sizeof *state.files);
    if (!state.files) stop("no memory", path);
  }
  state.files[state.count++] = b;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* In the order of their names: that of readdir is not the same everywhere. */
static void add_folder(const char *path) {
  char **names = NULL, full[4096];
  size_t count = 0;
  DIR *folder = opendir(path);
  if (!folder) stop("can't be read", path);
  for (struct dirent *entry; (entry = readdir(folder));) {
    if (entry->d_name[0] == '.') continue;
    names = realloc(names, (count + 1) * sizeof *names);
    if (!names) stop("no memory", path);
    names[count++] = strdup(entry->d_name);
  }
  closedir(folder);
  if (count) qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    int length = snprintf(full, sizeof full, "%s/%s", path, names[i]);
    if (length < 0 || (size_t)length >= sizeof full) stop("its path is too long", names[i]);
    add_file(full);
    free(names[i]);
  }
  free(names);
}

static void add_path(const char *path) {
  struct stat about;
  if (stat(path, &about) != 0) stop("is not there", path);
  if (S_ISDIR(about.st_mode))
    add_folder(path);
  else
    add_file(path);
}

/* The text between the first and the last quote of a line, with \xHH, \\ and \" read. */
static void add_word(const char *line) {
  const char *s = strchr(line, '"'), *end = strrchr(line, '"');
  if (line[0] == '#' || !s || end == s || state.word_count == WORDS_MAX) return;
  word *w = &state.words[state.word_count];
  w->size = 0;
  for (s++; s < end && w->size < WORD_SIZE; s++) {
    unsigned code;
    if (s[0] == '\\' && s[1] == 'x' && sscanf(s + 2, "%2x", &code) == 1) {
      w->text[w->size++] = (char)code;
      s += 3;
    } else {
      if (s[0] == '\\' && s + 1 < end) s++;
      w->text[w->size++] = *s;
    }
  }
  if (w->size > 0) state.word_count++;
}

static void read_dictionary(const char *path) {
  char line[1024];
  FILE *file = fopen(path, "r");
  if (!file) stop("can't be read", path);
  state.words = calloc(WORDS_MAX, sizeof *state.words);
  if (!state.words) stop("no memory", path);
  while (fgets(line, sizeof line, file)) add_word(line);
  fclose(file);
}

/* --- mutations --- */

static size_t below(uint64_t *draws, size_t count) { return count ? (size_t)(fuzz_draw(draws) % count) : 0; }

/* Replaces `old` bytes at `at` by these, as far as there is room. `b->data` has room for state.longest bytes. */
static void splice(bytes *b, size_t at, size_t old, const void *text, size_t size) {
  if (b->size - old + size > state.longest) size = state.longest - (b->size - old);
  memmove(b->data + at + size, b->data + at + old, b->size - at - old);
  if (size) memcpy(b->data + at, text, size);
  b->size = b->size - old + size;
}

/* A piece of the input itself, or of another one, put elsewhere. */
static void copy_piece(bytes *b, uint64_t *draws) {
  bytes *from = below(draws, 2) ? b : &state.files[below(draws, state.count)];
  size_t start = below(draws, from->size), most = from->size - start;
  size_t size = below(draws, (most < 256 ? most : 256) + 1), at = below(draws, b->size + 1);
  char *piece = fuzz_copy(from->data + start, size);
  size_t old = below(draws, 2) ? 0 : size;
  splice(b, at, old < b->size - at ? old : b->size - at, piece, size);
  free(piece);
}

static void put_word(bytes *b, uint64_t *draws) {
  static const char odd[] = "\xFF\xC3\x28\xED\xA0\x80\xEF\xBB\xBF\r\n\t \"\\{}[]:,-+.0eE19";
  size_t at = below(draws, b->size + 1), left = b->size - at;
  if (state.word_count && below(draws, 4)) {
    const word *w = &state.words[below(draws, state.word_count)];
    splice(b, at, below(draws, 2) && left >= w->size ? w->size : 0, w->text, w->size);
  } else {
    splice(b, at, left && below(draws, 2) ? 1 : 0, &odd[below(draws, sizeof odd)], 1);
  }
}

static void mutate(bytes *b, uint64_t *draws) {
  size_t at = below(draws, b->size), left = b->size - at;
  uint8_t byte = (uint8_t)fuzz_draw(draws);
  switch (below(draws, 7)) {
    case 0:
      if (left) b->data[at] ^= (uint8_t)(1u << (byte & 7));
      break;
    case 1:
      if (left) b->data[at] = byte;
      break;
    case 2: splice(b, at, 0, &byte, 1); break;
    case 3: splice(b, at, below(draws, (left < 32 ? left : 32) + 1), NULL, 0); break;
    case 4: put_word(b, draws); break;
    case 5: copy_piece(b, draws); break;
    default: /* a digit */
      if (left) b->data[at] = (uint8_t)('0' + byte % 10);
  }
}

/* --- running --- */

/* In a block of exactly its size: reading past it is found. */
static void run(const uint8_t *data, size_t size) {
  state.running = (uint8_t *)fuzz_copy(data, size);
  state.running_size = size;
  LLVMFuzzerTestOneInput(state.running, size);
  free((void *)state.running);
  state.running = NULL;
}

static void run_mutations(size_t runs, uint64_t seed) {
  bytes b = {malloc(state.longest + 1), 0};
  if (!b.data) stop("no memory", "mutations");
  for (size_t i = 0; i < runs; i++) {
    uint64_t draws = seed * 0x10001 + i;
    const bytes *from = &state.files[below(&draws, state.count)];
    b.size = from->size < state.longest ? from->size : state.longest;
    if (b.size) memcpy(b.data, from->data, b.size);
    for (size_t n = 1 + below(&draws, MUTATIONS_MAX); n > 0; n--) mutate(&b, &draws);
    run(b.data, b.size);
  }
  free(b.data);
}

int main(int argc, char **argv) {
  unsigned long long runs = 0, seed = 1, longest;
  const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
  for (int i = 1; i < argc; i++) {
    if (sscanf(argv[i], "-runs=%llu", &runs) == 1 || sscanf(argv[i], "-seed=%llu", &seed) == 1) continue;
    if (sscanf(argv[i], "-max_len=%llu", &longest) == 1)
      state.longest = (size_t)longest;
    else if (strncmp(argv[i], "-dict=", 6) == 0)
      read_dictionary(argv[i] + 6);
    else if (strncmp(argv[i], "-artifact_prefix=", 17) == 0)
      state.artifacts = argv[i] + 17;
    else if (argv[i][0] == '-')
      stop("no such option", argv[i]);
    else
      add_path(argv[i]);
  }
  static const int ends[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTERM};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) signal(ends[i], keep_input);
  if (state.count == 0) stop("no corpus", name);
  setvbuf(stdout, NULL, _IONBF, 0);
  for (size_t i = 0; i < state.count; i++) run(state.files[i].data, state.files[i].size);
  printf("ok 1 - %s: %zu inputs of the corpus\n", name, state.count);
  if (runs > 0) {
    run_mutations((size_t)runs, seed);
    printf("ok 2 - %s: %llu mutations of them, seed %llu\n", name, runs, seed);
  }
  for (size_t i = 0; i < state.count; i++) free(state.files[i].data);
  free(state.files);
  free(state.words);
  return 0;
}
