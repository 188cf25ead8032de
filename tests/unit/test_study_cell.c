/* Cells of score sheets through a study: in memory and in files, copied, and without memory. */
#include "test_storage_support.h"

#include "runtime/study.h"
#include "simulated.h"

typedef struct fixture {
  sim_memory memory;
  lmopt_runtime *rt;
  lm_study *study;
} fixture;

static void open_study(fixture *f, const char *path, const char *name) {
  static const bool maximize[] = {true};
  lm_study_options options = {.name = name, .storage = path, .maximize = maximize, .objectives = 1, .create = true};
  lm_error e;
  if (lm_study_open(f->rt, &options, &f->study, &e) != LMOPT_OK) fail_msg("%s", e.text);
}

static void open_runtime(fixture *f) {
  lmopt_config config;
  sim_memory_init(&f->memory);
  lmopt_config_init(&config);
  config.alloc = f->memory.allocator.fn;
  config.alloc_userdata = f->memory.allocator.userdata;
  assert_int_equal(lmopt_open(&config, &f->rt), LMOPT_OK);
}

static void close_all(fixture *f) {
  lm_study_free(f->study);
  lmopt_close(f->rt);
  assert_int_equal(f->memory.alive, 0);
}

static void add(lm_study *study, int from, int to) {
  lm_error e;
  for (int i = from; i < to; i++) {
    char key[20], record[40];
    snprintf(key, sizeof key, "%05d", i);
    snprintf(record, sizeof record, "{\"score\":%d}", i);
    assert_int_equal(lm_study_add_cell(study, key, record, &e), LMOPT_OK);
  }
}

/* `last`: there are no more. */
static void check(lm_study *study, int count, bool last) {
  lm_error e;
  for (int i = 0; i < count + last; i++) {
    char key[20], expected[40], *record;
    snprintf(key, sizeof key, "%05d", i);
    snprintf(expected, sizeof expected, "{\"score\":%d}", i);
    assert_int_equal(lm_study_cell(study, key, &record, &e), LMOPT_OK);
    if (i < count)
      assert_string_equal(record, expected);
    else
      assert_null(record);
    lm_free(lm_study_allocator(study), record);
  }
}

/* Each allocation fails once; what was there stays, and the next try does it. */
static void test_no_memory_to_add(void **state) {
  bench *b = *state;
  for (int stored = 0; stored < 2; stored++) {
    fixture f;
    open_runtime(&f);
    open_study(&f, stored ? b->path : NULL, "one");
    add(f.study, 0, 31); /* the next one needs more slots */
    size_t failures = 0;
    for (bool done = false; !done;) {
      lm_error e;
      char *record;
      f.memory.calls = 0;
      f.memory.failed = false;
      f.memory.fail_at = ++failures;
      lmopt_status status = lm_study_add_cell(f.study, "00031", "{\"score\":31}", &e);
      if (status == LMOPT_OK) status = lm_study_cell(f.study, "00031", &record, &e);
      assert_int_equal(status, f.memory.failed ? LMOPT_NO_MEMORY : LMOPT_OK);
      if (status == LMOPT_OK) lm_free(lm_study_allocator(f.study), record);
      done = !f.memory.failed;
      f.memory.fail_at = 0;
      check(f.study, done ? 32 : 31, done);
    }
    assert_true(stored || failures > 3);
    close_all(&f);
  }
}

static void test_no_memory_to_copy(void **state) {
  bench *b = *state;
  fixture f;
  open_runtime(&f);
  open_study(&f, b->path, "one");
  add(f.study, 0, 300); /* more than are copied at a time */
  lm_study *one = f.study;
  open_study(&f, b->path, "two");
  lm_error e;
  for (size_t at = 1;; at = at < 20 ? at + 1 : at + 97) {
    f.memory.calls = 0;
    f.memory.failed = false;
    f.memory.fail_at = at;
    lmopt_status status = lm_study_copy_cells(f.study, one, &e);
    assert_int_equal(status, f.memory.failed ? LMOPT_NO_MEMORY : LMOPT_OK);
    if (!f.memory.failed) break;
  }
  f.memory.fail_at = 0;
  check(f.study, 300, true);
  lm_study_free(one);
  close_all(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_no_memory_to_add),
      bench_test(test_no_memory_to_copy),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
