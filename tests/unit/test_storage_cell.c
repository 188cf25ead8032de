/* Cells of score sheets: kept once, listed, deleted with their study; files of an older lmopt; kill -9. */
#include "test_storage_support.h"

static char *cell_of(bench *b, lm_storage *s, lm_id study, const char *key) {
  static char text[256];
  char *record;
  assert_ok(b, lm_storage_cell(s, study, key, &record, &b->e));
  snprintf(text, sizeof text, "%s", record ? record : "none");
  lm_free(&b->allocator, record);
  return text;
}

static void say_cell(void *userdata, const char *key, const char *record) { say(userdata, "%s=%s;", key, record); }

static void test_kept_once(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE), *other = open_file(b, 0);
  lm_id study = make_study(b, s, "one"), second = make_study(b, s, "two");
  assert_string_equal(cell_of(b, s, study, "k"), "none");
  assert_ok(b, lm_storage_add_cell(s, study, "k", "{\"score\":1}", &b->e));
  assert_ok(b, lm_storage_add_cell(other, study, "k", "{\"score\":0}", &b->e)); /* the first one stays */
  assert_ok(b, lm_storage_add_cell(other, second, "k", "2", &b->e));
  assert_string_equal(cell_of(b, s, study, "k"), "{\"score\":1}");
  assert_string_equal(cell_of(b, other, study, "k"), "{\"score\":1}");
  assert_string_equal(cell_of(b, s, second, "k"), "2");
  assert_string_equal(cell_of(b, s, study, "K"), "none");
  assert_ok(b, lm_storage_begin(s, &b->e));
  assert_ok(b, lm_storage_add_cell(s, study, "later", "3", &b->e));
  assert_string_equal(cell_of(b, s, study, "later"), "3");
  lm_storage_rollback(s);
  assert_string_equal(cell_of(b, s, study, "later"), "none");
  lm_storage_close(other);
  lm_storage_close(s);
  s = open_file(b, LM_STORAGE_READ_ONLY);
  assert_string_equal(cell_of(b, s, study, "k"), "{\"score\":1}");
  assert_true(lm_storage_add_cell(s, study, "x", "1", &b->e) != LMOPT_OK);
  lm_storage_close(s);
}

static void test_listed_and_deleted(void **state) {
  bench *b = *state;
  static transcript t;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "one"), other = make_study(b, s, "two");
  static const char *const keys[] = {"c", "a", "d", "b"};
  for (int i = 0; i < 4; i++) assert_ok(b, lm_storage_add_cell(s, study, keys[i], keys[i], &b->e));
  assert_ok(b, lm_storage_add_cell(s, other, "z", "1", &b->e));
  memset(&t, 0, sizeof t);
  assert_ok(b, lm_storage_cells(s, study, "", 3, say_cell, &t, &b->e));
  assert_ok(b, lm_storage_cells(s, study, "c", 3, say_cell, &t, &b->e));
  assert_ok(b, lm_storage_cells(s, study, "d", 3, say_cell, &t, &b->e));
  assert_string_equal(t.text, "a=a;b=b;c=c;d=d;");
  assert_ok(b, lm_storage_delete_study(s, study, &b->e));
  assert_string_equal(cell_of(b, s, study, "a"), "none");
  assert_string_equal(cell_of(b, s, other, "z"), "1");
  lm_storage_close(s);
}

static void test_older_file(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "old");
  static transcript t;
  lm_storage_close(s);
  run_sql(b->path, "DROP TABLE lmopt_cells; UPDATE lmopt_version SET version = 3");
  s = open_file(b, LM_STORAGE_READ_ONLY);
  assert_string_equal(cell_of(b, s, study, "k"), "none");
  memset(&t, 0, sizeof t);
  assert_ok(b, lm_storage_cells(s, study, "", 10, say_cell, &t, &b->e));
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path, "SELECT version FROM lmopt_version"), "3"); /* reading changes nothing */
  s = open_file(b, 0);
  assert_ok(b, lm_storage_add_cell(s, study, "k", "v", &b->e));
  assert_string_equal(cell_of(b, s, study, "k"), "v");
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path, "SELECT version || ' ' || count(*) FROM lmopt_version"), "4 1");
}

enum { WRITERS = 2, MOST_CELLS = 100000 };

/* Adds cells until it is killed, and says of each that it is there. */
static void write_cells(bench *b, lm_id study, int writer, int out) {
  lm_storage *s;
  if (lm_storage_open(&b->allocator, b->path, 0, &s, &b->e) != LMOPT_OK) _exit(1);
  for (uint32_t i = 0; i < MOST_CELLS; i++) {
    char key[32], record[64];
    snprintf(key, sizeof key, "%u", i); /* all writers have the same keys */
    snprintf(record, sizeof record, "{\"writer\":%d,\"cell\":%u}", writer, i);
    if (lm_storage_add_cell(s, study, key, record, &b->e) != LMOPT_OK) _exit(1);
    if (write(out, &i, sizeof i) != sizeof i) _exit(1);
  }
  _exit(1);
}

/* What a process was told to be stored is stored, whenever it is killed; of two writers of a cell the first has won. */
static void test_killed(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "one");
  lm_storage_close(s);
  for (int round = 0; round < 4; round++) {
    int told[WRITERS][2];
    pid_t writers[WRITERS];
    uint32_t last[WRITERS] = {0}, wanted = 20U + 37U * (uint32_t)round;
    fflush(NULL);
    for (int w = 0; w < WRITERS; w++) {
      assert_int_equal(pipe(told[w]), 0);
      writers[w] = fork();
      assert_true(writers[w] >= 0);
      if (writers[w] == 0) {
        alarm(300);
        write_cells(b, study, w, told[w][1]);
      }
      close(told[w][1]);
    }
    for (int w = 0; w < WRITERS; w++)
      while (last[w] < wanted) assert_int_equal(read(told[w][0], &last[w], sizeof last[w]), sizeof last[w]);
    for (int w = 0; w < WRITERS; w++) {
      kill(writers[w], SIGKILL);
      assert_int_equal(waitpid(writers[w], NULL, 0), writers[w]);
    }
    for (int w = 0; w < WRITERS; w++) {
      uint32_t cell;
      while (read(told[w][0], &cell, sizeof cell) == sizeof cell) last[w] = cell;
      close(told[w][0]);
    }
    s = open_file(b, 0);
    uint32_t known = last[0] > last[1] ? last[0] : last[1];
    for (uint32_t i = 0; i <= known; i++) {
      char key[32], ends[40];
      snprintf(key, sizeof key, "%u", i);
      snprintf(ends, sizeof ends, ",\"cell\":%u}", i);
      assert_non_null(strstr(cell_of(b, s, study, key), ends));
    }
    lm_storage_close(s);
    assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_kept_once),
      bench_test(test_listed_and_deleted),
      bench_test(test_older_file),
      bench_test(test_killed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
