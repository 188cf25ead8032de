/* The index of texts: against counting by hand, as a file, two processes on it, what is wrong with files, and no memory. */
#include "test_storage_support.h"

#include "io/text_index.h"

#include "../faults/full_disk.c"

enum { DOCUMENTS = 200, VOCABULARY = 40 };

typedef struct corpus {
  const char *const *texts; /* with its number as data, but for those without */
  size_t count;
  char data[32];
} corpus;

static void item(void *userdata, size_t i, lm_text *out) {
  corpus *c = userdata;
  out->text = c->texts[i];
  out->size = strlen(c->texts[i]);
  if (i % 2) return;
  snprintf(c->data, sizeof c->data, "%zu", i);
  out->data = c->data;
  out->data_size = strlen(c->data);
}

static const char *const few[] = {"alpha beta", "beta gamma", "Gamma d\xc3\xa9lta", "alpha alpha epsilon", ""};
enum { FEW = sizeof few / sizeof few[0] };

static lmopt_status try_open(bench *b, const lm_allocator *a, const char *path, const char *const *texts, size_t count,
                             lm_text_index **out) {
  corpus c = {.texts = texts, .count = count};
  lm_text_index_options o = {.path = path, .item = texts ? item : NULL, .userdata = &c, .count = count};
  return lm_text_index_open(a, &o, out, &b->e);
}

static lm_text_index *open_texts(bench *b, const char *path, const char *const *texts, size_t count) {
  lm_text_index *x = NULL;
  assert_ok(b, try_open(b, &b->allocator, path, texts, count, &x));
  return x;
}

/* The numbers found, as "1 2 3"; scores must not rise. */
static const char *find(bench *b, lm_text_index *x, const char *query, long long limit) {
  static char numbers[4096];
  lm_text_hit hit = {.score = 0};
  double before = INFINITY;
  bool found = true;
  numbers[0] = '\0';
  assert_ok(b, lm_text_index_find(x, query, strlen(query), limit, &b->e));
  while (true) {
    assert_ok(b, lm_text_index_next(x, &hit, &found, &b->e));
    if (!found) break;
    assert_true(hit.score > 0 && hit.score <= before);
    before = hit.score;
    char text[32];
    snprintf(text, sizeof text, "%s%lld", numbers[0] ? " " : "", hit.number);
    strcat(numbers, text);
  }
  assert_ok(b, lm_text_index_next(x, &hit, &found, &b->e)); /* after the last there is none */
  assert_false(found);
  return numbers;
}

static void test_finds(void **state) {
  bench *b = *state;
  lm_text_index *x = open_texts(b, NULL, few, FEW);
  assert_int_equal(lm_text_index_count(x), FEW);
  assert_string_equal(find(b, x, "delta", 9), "3");
  assert_string_equal(find(b, x, "epsilon", 9), "4");
  assert_string_equal(find(b, x, "", 9), "");
  assert_string_equal(find(b, x, "\" OR alpha* NEAR(", 9), "4 1");
  assert_string_equal(find(b, x, "alpha", 1), "4");
  assert_string_equal(find(b, x, "alpha", 0), "");
  assert_string_equal(find(b, x, "alpha", -1), "");
  lm_text_hit hit;
  bool found;
  assert_ok(b, lm_text_index_find(x, "beta", 4, 9, &b->e));
  for (int i = 0; i < 2; i++) {
    assert_ok(b, lm_text_index_next(x, &hit, &found, &b->e));
    assert_true(found);
    assert_string_equal(hit.text.text, few[hit.number - 1]);
    if (hit.number % 2)
      assert_memory_equal(hit.text.data, "0", 1);
    else
      assert_null(hit.text.data);
  }
  /* One question after another that was not read to its end. */
  assert_ok(b, lm_text_index_find(x, "alpha", 5, 9, &b->e));
  assert_string_equal(find(b, x, "gamma", 9), "2 3");
  lm_text_index_close(x);
  lm_text_index_close(NULL);
}

/* Which texts have one of the words: against looking through all. */
static void test_random(void **state) {
  bench *b = *state;
  static char storage[DOCUMENTS][200];
  const char *texts[DOCUMENTS];
  lm_rng rng = lm_rng_stream(1, 0, "text index");
  for (int i = 0; i < DOCUMENTS; i++) {
    storage[i][0] = '\0';
    for (int n = (int)lm_rng_below(&rng, 12); n >= 0; n--)
      snprintf(storage[i] + strlen(storage[i]), 12, "w%d ", (int)lm_rng_below(&rng, VOCABULARY));
    texts[i] = storage[i];
  }
  lm_text_index *x = open_texts(b, NULL, texts, DOCUMENTS);
  for (int round = 0; round < 100; round++) {
    char words[2][16], query[40];
    for (int k = 0; k < 2; k++) snprintf(words[k], sizeof words[k], "w%d ", (int)lm_rng_below(&rng, VOCABULARY));
    snprintf(query, sizeof query, "%s-%s", words[0], words[1]);
    bool given[DOCUMENTS] = {false};
    char *next = strdup(find(b, x, query, DOCUMENTS)), *all = next;
    for (char *text = strtok_r(next, " ", &next); text; text = strtok_r(NULL, " ", &next)) given[atoi(text) - 1] = true;
    free(all);
    for (int i = 0; i < DOCUMENTS; i++) {
      bool expected = false;
      for (int k = 0; k < 2; k++) {
        const char *at = strstr(texts[i], words[k]);
        expected = expected || (at && (at == texts[i] || at[-1] == ' '));
      }
      assert_int_equal(expected, given[i]);
    }
  }
  lm_text_index_close(x);
}

static void test_any_bytes(void **state) {
  bench *b = *state;
  lm_text_index *x = open_texts(b, NULL, few, FEW);
  lm_rng rng = lm_rng_stream(2, 0, "text index");
  static const char pieces[] = "\"'()*^:+-{}\\ \n\t,;ANDORTalph\xc3\xa9\xff";
  for (int round = 0; round < 3000; round++) {
    char query[60];
    size_t size = lm_rng_below(&rng, sizeof query);
    for (size_t i = 0; i < size; i++) /* zeros too: the text's own end */
      query[i] = pieces[lm_rng_below(&rng, sizeof pieces)];
    lm_text_hit hit;
    bool found = true;
    assert_ok(b, lm_text_index_find(x, query, size, 3, &b->e));
    while (found) assert_ok(b, lm_text_index_next(x, &hit, &found, &b->e));
  }
  char *much = malloc(1 << 20);
  assert_non_null(much);
  for (int i = 0; i < 1 << 20; i++) much[i] = (char)(i % 7 ? 'a' + (i * 31 + i / 7) % 26 : ' ');
  assert_ok(b, lm_text_index_find(x, much, 1 << 20, 3, &b->e));
  free(much);
  assert_string_equal(find(b, x, "delta", 3), "3");
  lm_text_index_close(x);
}

static void test_trigrams(void **state) {
  bench *b = *state;
  static const char *const texts[] = {"rivers", "\xe6\x9d\xb1\xe4\xba\xac\xe3\x81\xaf\xe6\x97\xa5\xe6\x9c\xac", "lake"};
  corpus c = {.texts = texts};
  lm_text_index_options o = {.item = item, .userdata = &c, .count = 3, .tokenizer = LM_TOKENIZER_TRIGRAM};
  lm_text_index *x = NULL;
  assert_ok(b, lm_text_index_open(&b->allocator, &o, &x, &b->e));
  assert_string_equal(find(b, x, "driver", 9), "1");
  assert_string_equal(find(b, x, "iv la ke", 9), "");
  assert_string_equal(find(b, x, "\xe4\xba\xac\xe3\x81\xaf\xe6\x97\xa5", 9), "2");
  lm_text_index_close(x);
}

static void test_file(void **state) {
  bench *b = *state;
  lm_text_index *x = open_texts(b, b->path, few, FEW);
  assert_string_equal(find(b, x, "delta", 9), "3");
  lm_text_index_close(x);
  struct stat before, after;
  assert_int_equal(stat(b->path, &before), 0);
  x = open_texts(b, b->path, few, FEW); /* the same texts: nothing is written */
  lm_text_index *reader = open_texts(b, b->path, NULL, 0);
  assert_int_equal(lm_text_index_count(reader), FEW);
  assert_string_equal(find(b, reader, "alpha", 9), "4 1");
  assert_int_equal(stat(b->path, &after), 0);
  assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
  lm_text_index_close(x);
  x = open_texts(b, b->path, few, FEW - 2); /* others: made anew, and a reader sees it */
  assert_int_equal(lm_text_index_count(x), FEW - 2);
  assert_string_equal(find(b, reader, "alpha", 9), "1");
  lm_text_index_close(reader);
  lm_text_index_close(x);
  assert_int_equal(chmod(b->path, 0400), 0); /* what need not be written may be read */
  x = open_texts(b, b->path, few, FEW - 2);
  assert_string_equal(find(b, x, "alpha", 9), "1");
  lm_text_index_close(x);
}

/* Processes that make the same index at once all have it. */
static void test_processes(void **state) {
  bench *b = *state;
  enum { PROCESSES = 4 };
  pid_t children[PROCESSES];
  for (int i = 0; i < PROCESSES; i++) {
    children[i] = fork();
    assert_true(children[i] >= 0);
    if (children[i] == 0) {
      lm_text_index *x = NULL;
      lmopt_status status = try_open(b, &b->allocator, b->path, few, FEW, &x);
      if (status == LMOPT_OK) status = lm_text_index_find(x, "delta", 5, 1, &b->e);
      lm_text_index_close(x);
      _exit(status == LMOPT_OK ? 0 : 1);
    }
  }
  for (int i = 0; i < PROCESSES; i++) {
    int status;
    assert_int_equal(waitpid(children[i], &status, 0), children[i]);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  lm_text_index *x = open_texts(b, b->path, NULL, 0);
  assert_int_equal(lm_text_index_count(x), FEW);
  lm_text_index_close(x);
}

/* The child of a process that has an index open: it says so, and takes nothing away. */
static void test_fork(void **state) {
  bench *b = *state;
  lm_text_index *x = open_texts(b, b->path, few, FEW);
  lm_text_hit hit;
  bool found;
  assert_ok(b, lm_text_index_find(x, "alpha", 5, 9, &b->e));
  assert_ok(b, lm_text_index_next(x, &hit, &found, &b->e)); /* half answered: it holds a lock */
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    lmopt_status next = lm_text_index_next(x, &hit, &found, &b->e);
    lmopt_status status = lm_text_index_find(x, "alpha", 5, 9, &b->e);
    lm_text_index_close(x);
    _exit(status == LMOPT_MISUSE && next == LMOPT_OK && !found ? 0 : 1);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  assert_ok(b, lm_text_index_next(x, &hit, &found, &b->e));
  assert_true(found);
  assert_string_equal(find(b, x, "alpha", 9), "4 1");
  lm_text_index_close(x);
}

/* Another's lock is waited for, no longer than told. */
static void test_locked(void **state) {
  bench *b = *state;
  lm_text_index_close(open_texts(b, b->path, few, FEW));
  sqlite3 *other;
  assert_int_equal(sqlite3_open(b->path, &other), SQLITE_OK);
  assert_int_equal(sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
  corpus c = {.texts = few};
  lm_text_index_options o = {.path = b->path, .patience = 1, .item = item, .userdata = &c, .count = FEW};
  lm_text_index *x = NULL;
  assert_int_equal(lm_text_index_open(&b->allocator, &o, &x, &b->e), LMOPT_BUSY);
  assert_non_null(strstr(b->e.text, "in use by another program"));
  sqlite3_close(other);
  assert_ok(b, lm_text_index_open(&b->allocator, &o, &x, &b->e));
  lm_text_index_close(x);
}

static void refused(bench *b, const char *const *texts, const char *expected) {
  lm_text_index *x = NULL;
  assert_int_equal(try_open(b, &b->allocator, b->path, texts, texts ? FEW : 0, &x), LMOPT_STORAGE);
  assert_null(x);
  if (!strstr(b->e.text, expected)) fail_msg("'%s' says nothing of '%s'", b->e.text, expected);
}

static void write_sql(bench *b, const char *sql) {
  sqlite3 *database;
  assert_int_equal(sqlite3_open(b->path, &database), SQLITE_OK);
  assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(database);
}

static void test_refused(void **state) {
  bench *b = *state;
  lm_text_index *x = NULL;
  lm_text_index_options nothing = {.count = 0};
  assert_int_equal(lm_text_index_open(&b->allocator, &nothing, &x, &b->e), LMOPT_MISUSE);
  refused(b, NULL, "can't be opened");
  FILE *file = fopen(b->path, "w");
  for (int i = 0; i < 200; i++) fputs("not a database\n", file);
  fclose(file);
  refused(b, NULL, "is no index");
  refused(b, few, "is no index");
  unlink(b->path);
  write_sql(b, "CREATE TABLE mine (a)");
  refused(b, NULL, "is no index of lmopt");
  refused(b, few, "is no index of lmopt");
  unlink(b->path);
  lm_text_index_close(open_texts(b, b->path, few, FEW));
  write_sql(b, "CREATE TRIGGER t AFTER INSERT ON corpus BEGIN SELECT 1; END");
  refused(b, few, "is no index of lmopt");
  write_sql(b, "DROP TRIGGER t; PRAGMA user_version = 2");
  refused(b, few, "newer version");
  write_sql(b, "PRAGMA user_version = 1; UPDATE corpus SET tokenizer = 77");
  refused(b, NULL, "damaged");
  x = open_texts(b, b->path, few, FEW); /* who has the texts can mend it */
  assert_string_equal(find(b, x, "delta", 9), "3");
  lm_text_index_close(x);
}

/* Bytes changed anywhere: an error or an answer, and never more than that. */
static void test_damage(void **state) {
  bench *b = *state;
  lm_text_index_close(open_texts(b, b->path, few, FEW));
  static unsigned char whole[1 << 17], changed[1 << 17];
  FILE *file = fopen(b->path, "rb");
  size_t size = fread(whole, 1, sizeof whole, file);
  fclose(file);
  assert_true(size > 1000 && size < sizeof whole);
  lm_rng rng = lm_rng_stream(3, 0, "text index");
  for (int round = 0; round < 150; round++) {
    memcpy(changed, whole, size);
    for (int k = 0; k < 8; k++) changed[100 + lm_rng_below(&rng, size - 100)] = (unsigned char)lm_rng_below(&rng, 256);
    file = fopen(b->path, "wb");
    fwrite(changed, 1, size, file);
    fclose(file);
    lm_text_index *x = NULL;
    if (try_open(b, &b->allocator, b->path, NULL, 0, &x) != LMOPT_OK) continue;
    lmopt_status status = lm_text_index_find(x, "alpha beta gamma", 16, 9, &b->e);
    lm_text_hit hit;
    bool found = true;
    for (int i = 0; i < 20 && status == LMOPT_OK && found; i++) status = lm_text_index_next(x, &hit, &found, &b->e);
    lm_text_index_close(x);
  }
}

/* However much still fits: the old index, or the new one, and never a half. */
static void test_full_disk(void **state) {
  bench *b = *state;
  lm_text_index_close(open_texts(b, b->path, few, FEW));
  bool made = false;
  for (long long room = 0; room < 200000 && !made; room += 2500) {
    lm_text_index *x = NULL;
    full_disk_left = room;
    lmopt_status status = try_open(b, &b->allocator, b->path, few, FEW - 2, &x);
    full_disk_left = -1;
    made = status == LMOPT_OK;
    if (!made) {
      assert_int_equal(status, LMOPT_STORAGE);
      assert_non_null(strstr(b->e.text, "the disk is full"));
      x = open_texts(b, b->path, NULL, 0);
    }
    assert_int_equal(lm_text_index_count(x), made ? FEW - 2 : FEW);
    assert_string_equal(find(b, x, "alpha", 9), made ? "1" : "4 1");
    lm_text_index_close(x);
  }
  assert_true(made);
  unlink(b->path);
  full_disk_left = 0; /* from the start: what remains is no hindrance later */
  lm_text_index *x = NULL;
  assert_int_equal(try_open(b, &b->allocator, b->path, few, FEW, &x), LMOPT_STORAGE);
  full_disk_left = -1;
  lm_text_index_close(open_texts(b, b->path, few, FEW));
}

/* Killed while it makes another index: the next process has the old one, or makes what it needs. */
static void test_kill(void **state) {
  bench *b = *state;
  enum { MANY = 20000 };
  static const char *many[MANY];
  for (int i = 0; i < MANY; i++) many[i] = few[i % FEW];
  lm_text_index_close(open_texts(b, b->path, few, FEW));
  for (int round = 0; round < 6; round++) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      lm_text_index *x = NULL;
      _exit(try_open(b, &b->allocator, b->path, many, MANY, &x) == LMOPT_OK ? 0 : 1);
    }
    usleep((useconds_t)(1000 << round));
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    lm_text_index *x = open_texts(b, b->path, NULL, 0);
    assert_true(lm_text_index_count(x) == FEW || lm_text_index_count(x) == MANY);
    lm_text_index_close(x);
    x = open_texts(b, b->path, few, FEW);
    assert_string_equal(find(b, x, "alpha", 9), "4 1");
    lm_text_index_close(x);
  }
}

static int allocations_left;

static void *scarce(void *userdata, void *block, size_t old_size, size_t size) {
  (void)userdata;
  (void)old_size;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (allocations_left-- <= 0) return NULL;
  return realloc(block, size);
}

static void test_no_memory(void **state) {
  bench *b = *state;
  const lm_allocator a = {scarce, NULL};
  bool done = false;
  for (int most = 0; most < 40 && !done; most++) {
    allocations_left = most;
    lm_text_index *x = NULL;
    lmopt_status status = try_open(b, &a, b->path, few, FEW, &x);
    if (status == LMOPT_OK) {
      status = lm_text_index_find(x, "delta", 5, 9, &b->e);
      done = status == LMOPT_OK;
      allocations_left = 100;
      assert_string_equal(find(b, x, "delta", 9), "3"); /* it is as good as before */
    }
    if (!done) assert_int_equal(status, LMOPT_NO_MEMORY);
    lm_text_index_close(x);
  }
  assert_true(done);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_finds),     bench_test(test_random),    bench_test(test_any_bytes), bench_test(test_trigrams),
      bench_test(test_file),      bench_test(test_processes), bench_test(test_refused),   bench_test(test_damage),
      bench_test(test_full_disk), bench_test(test_kill),      bench_test(test_fork),      bench_test(test_locked),
      bench_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
