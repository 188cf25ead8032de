/* Files that are refused, files that are only read, a disk that fills up: what must not change does not. */
#include "test_storage_support.h"

#include <sys/types.h>

#include "../faults/full_disk.c"

static void expect_refusal(bench *b, unsigned flags, lmopt_status wanted, const char *part) {
  lm_storage *s = (lm_storage *)b;
  uint64_t before = folder_hash(b->folder);
  lmopt_status status = lm_storage_open(&b->allocator, b->path, flags, &s, &b->e);
  if (status != wanted) fail_msg("status %d instead of %d: %s", status, wanted, b->e.text);
  assert_null(s);
  if (!strstr(b->e.text, part)) fail_msg("'%s' is not in: %s", part, b->e.text);
  assert_non_null(strstr(b->e.text, "study.db"));
  assert_null(strchr(b->e.text, '\n'));
  assert_true(folder_hash(b->folder) == before);
}

static void expect_refusals(bench *b, const char *part) {
  expect_refusal(b, LM_STORAGE_READ_ONLY, LMOPT_STORAGE, part);
  expect_refusal(b, 0, LMOPT_STORAGE, part);
  expect_refusal(b, LM_STORAGE_CREATE, LMOPT_STORAGE, part);
}

static void test_missing(void **state) {
  bench *b = *state;
  expect_refusal(b, LM_STORAGE_READ_ONLY, LMOPT_NOT_FOUND, "does not exist");
  expect_refusal(b, LM_STORAGE_READ_ONLY | LM_STORAGE_CREATE, LMOPT_NOT_FOUND, "does not exist");
  expect_refusal(b, 0, LMOPT_NOT_FOUND, "does not exist");
  lm_storage *s;
  lm_allocator a = b->allocator;
  char path[300];
  snprintf(path, sizeof path, "%s/none/study.db", b->folder);
  assert_int_equal(lm_storage_open(&a, path, LM_STORAGE_CREATE, &s, &b->e), LMOPT_STORAGE);
  assert_non_null(strstr(b->e.text, "none"));
  assert_int_equal(lm_storage_open(&a, b->folder, LM_STORAGE_CREATE, &s, &b->e), LMOPT_STORAGE);
  assert_non_null(strstr(b->e.text, "is not a file"));
  static const char *const wrong[] = {"mysql://root@host/db", "sqlite://study.db",       "sqlite:///", "", ":memory:",
                                      "sqlite:///:memory:",   "sqlite:///a.db?timeout=3"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    assert_int_equal(lm_storage_open(&a, wrong[i], LM_STORAGE_CREATE, &s, &b->e), LMOPT_MISUSE);
}

static void test_names(void **state) {
  bench *b = *state;
  static const char *const names[] = {"a b#c%20d?.db", "'q' \"d\".db", "\xE6\x97\xA5.db"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    char location[600];
    snprintf(location, sizeof location, "%s/%s", b->folder, names[i]);
    lm_storage *s;
    for (int round = 0; round < 2; round++) {
      assert_ok(b, lm_storage_open(&b->allocator, location, LM_STORAGE_CREATE, &s, &b->e));
      assert_string_equal(lm_storage_path(s), location);
      lm_storage_close(s);
    }
    assert_int_equal(access(location, F_OK), 0);
    assert_int_equal(unlink(location), 0);
  }
  char location[600];
  lm_storage *s;
  snprintf(location, sizeof location, "sqlite:///%s", b->path);
  assert_ok(b, lm_storage_open(&b->allocator, location, LM_STORAGE_CREATE, &s, &b->e));
  lm_storage_close(s);
  assert_int_equal(access(b->path, F_OK), 0);
}

static void test_refusals(void **state) {
  bench *b = *state;
  static const char text[] =
      "this is a text file, and a longer one than a database's header, which has a hundred bytes in all.....\n";
  write_file(b->path, text, sizeof text);
  expect_refusals(b, "not a database");
  write_file(b->path, "x", 1);
  expect_refusals(b, "not a database");
  assert_int_equal(unlink(b->path), 0);
  run_sql(b->path, "CREATE TABLE songs(name)");
  expect_refusals(b, "a database of something else");
  run_sql(b->path, "PRAGMA journal_mode = WAL");
  expect_refusals(b, "a database of something else");
  assert_int_equal(unlink(b->path), 0);
  copy_file("tests/data/optuna-fixture.db", b->path);
  run_sql(b->path, "UPDATE alembic_version SET version_num = 'v9.0.0.a'");
  expect_refusals(b, "newer Optuna (revision v9.0.0.a)");
  run_sql(b->path, "UPDATE alembic_version SET version_num = 'v3.0.0.d'");
  expect_refusals(b, "optuna storage upgrade");
  run_sql(b->path, "DELETE FROM alembic_version; UPDATE version_info SET schema_version = 13");
  expect_refusals(b, "newer Optuna (schema version 13)");
  run_sql(b->path, "UPDATE version_info SET schema_version = 11");
  expect_refusals(b, "optuna storage upgrade");
  run_sql(b->path,
          "UPDATE version_info SET schema_version = 12; CREATE TABLE lmopt_version(version, made_here); INSERT INTO "
          "lmopt_version VALUES (99, 0)");
  expect_refusals(b, "newer lmopt");
  run_sql(b->path, "PRAGMA journal_mode = WAL");
  expect_refusals(b, "newer lmopt");
  run_sql(b->path, "DROP TABLE lmopt_version; DROP TABLE alembic_version");
  lm_storage_close(open_file(b, LM_STORAGE_READ_ONLY));
  lm_storage_close(open_file(b, 0));
}

static void test_damaged(void **state) {
  bench *b = *state;
  copy_file("tests/data/optuna-fixture.db", b->path);
  FILE *f = fopen(b->path, "r+b");
  assert_non_null(f);
  char noise[3000];
  memset(noise, 0xA5, sizeof noise);
  fseek(f, 100, SEEK_SET);
  assert_int_equal(fwrite(noise, 1, sizeof noise, f), sizeof noise);
  fclose(f);
  expect_refusals(b, "damaged");
}

static void test_empty(void **state) {
  bench *b = *state;
  write_file(b->path, "", 0);
  expect_refusal(b, LM_STORAGE_READ_ONLY, LMOPT_STORAGE, "is empty");
  lm_storage *s = open_file(b, 0);
  make_study(b, s, "a");
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path, "SELECT study_name FROM studies"), "a");
  assert_string_equal(ask_sql(b->path, "PRAGMA journal_mode"), "wal");
}

/* --- reading only --- */

static size_t scan_all(bench *b, lm_storage *s) {
  static transcript t;
  lm_id study;
  assert_ok(b, lm_storage_find_study(s, "a", &study, &b->e));
  lm_trial_visitor visitor = speaking(&t);
  assert_ok(b, lm_storage_scan(s, study, 0, &visitor, &b->e));
  size_t trials = 0;
  for (const char *line = t.text; (line = strstr(line, "trial ")); line++) trials++;
  return trials;
}

static void read_unchanged(bench *b, size_t trials) {
  uint64_t before = folder_hash(b->folder);
  lm_storage *s = open_file(b, LM_STORAGE_READ_ONLY);
  assert_int_equal(scan_all(b, s), trials);
  char *json;
  lm_account account;
  assert_ok(b, lm_storage_property(s, 1, "seed", &json, &b->e));
  assert_null(json);
  assert_ok(b, lm_storage_account(s, 1, "", &account, &b->e));
  assert_true(lm_storage_version(s) >= 0);
  assert_int_equal(lm_storage_set_property(s, 1, "seed", "1", &b->e), LMOPT_MISUSE);
  assert_true(folder_hash(b->folder) == before);
  lm_storage_close(s);
  assert_true(folder_hash(b->folder) == before);
}

static void test_read_only(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE), *reader;
  lm_id study = make_study(b, s, "a");
  insert(b, s, study, WAITING);
  lm_storage_close(s);
  read_unchanged(b, 1);
  /* A reader notices a writer that comes later. */
  reader = open_file(b, LM_STORAGE_READ_ONLY);
  assert_int_equal(scan_all(b, reader), 1);
  long long version = lm_storage_version(reader);
  s = open_file(b, 0);
  insert(b, s, study, WAITING);
  assert_true(lm_storage_version(reader) > version);
  assert_int_equal(scan_all(b, reader), 2);
  version = lm_storage_version(reader);
  insert(b, s, study, WAITING);
  assert_true(lm_storage_version(reader) > version);
  assert_int_equal(scan_all(b, reader), 3);
  read_unchanged(b, 3); /* while somebody writes */
  lm_storage_close(reader);
  insert(b, s, study, WAITING);
  lm_storage_close(s);
  read_unchanged(b, 4);
  run_sql(b->path, "PRAGMA journal_mode = DELETE");
  read_unchanged(b, 4);
}

/* A program that was killed leaves its -wal; what is in it is seen, and left alone. */
static void test_read_after_kill(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "a");
  lm_storage_close(s);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    lm_id trial;
    long long number;
    if (lm_storage_open(&b->allocator, b->path, 0, &s, &b->e) != LMOPT_OK) _exit(1);
    for (int i = 0; i < 5; i++)
      if (lm_storage_insert_trial(s, study, RUNNING, NULL, NULL, &trial, &number, &b->e) != LMOPT_OK) _exit(1);
    raise(SIGKILL);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  char side[300];
  struct stat found;
  snprintf(side, sizeof side, "%s-wal", b->path);
  assert_int_equal(stat(side, &found), 0);
  assert_true(found.st_size > 0);
  read_unchanged(b, 5);
  snprintf(side, sizeof side, "%s-shm", b->path);
  assert_int_equal(unlink(side), 0);
  read_unchanged(b, 5);
  s = open_file(b, 0);
  size_t released;
  assert_ok(b, lm_storage_release_dead(s, study, &released, &b->e));
  assert_int_equal(released, 5);
  assert_int_equal(scan_all(b, s), 5);
  lm_storage_close(s);
}

/* A program that was killed in the middle of a commit leaves a -journal, which only a writer can roll back. */
static void test_hot_journal(void **state) {
  bench *b = *state;
  copy_file("tests/data/optuna-fixture.db", b->path);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    sqlite3 *db;
    if (sqlite3_open(b->path, &db) == SQLITE_OK)
      sqlite3_exec(db,
                   "PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE trials SET state = 'FAIL'; UPDATE studies SET "
                   "study_name = study_name || 'x'; "
                   "UPDATE trial_params SET distribution_json = '{}' || hex(randomblob(3000)); UPDATE "
                   "trial_user_attributes SET value_json = hex(randomblob(3000))",
                   NULL, NULL, NULL);
    raise(SIGKILL);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  expect_refusal(b, LM_STORAGE_READ_ONLY, LMOPT_STORAGE, "in the middle of a write");
  lm_storage *s = open_file(b, 0);
  lm_id study;
  static transcript t;
  lm_trial_visitor visitor = speaking(&t);
  assert_ok(b, lm_storage_find_study(s, "single", &study, &b->e));
  assert_ok(b, lm_storage_scan(s, study, 0, &visitor, &b->e));
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
}

/* Root may do everything, so these run as nobody. */
static int run_as_nobody(bench *b, int (*work)(bench *b)) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(99);
    _exit(work(b));
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static int read_as_nobody(bench *b) {
  lm_storage *s;
  lm_id study;
  static transcript t;
  lm_trial_visitor visitor = speaking(&t);
  if (lm_storage_open(&b->allocator, b->path, LM_STORAGE_READ_ONLY, &s, &b->e) != LMOPT_OK) return 1;
  if (lm_storage_find_study(s, "a", &study, &b->e) != LMOPT_OK ||
      lm_storage_scan(s, study, 0, &visitor, &b->e) != LMOPT_OK)
    return 2;
  lm_storage_close(s);
  return strcmp(t.text, "trial 0 WAITING\n") == 0 ? 0 : 3;
}

static int write_as_nobody(bench *b) {
  lm_storage *s;
  lmopt_status status = lm_storage_open(&b->allocator, b->path, LM_STORAGE_CREATE, &s, &b->e);
  if (status != LMOPT_STORAGE) return 1;
  return strstr(b->e.text, "study.db") &&
                 (strstr(b->e.text, "read-only") || strstr(b->e.text, "permission") || strstr(b->e.text, "Permission"))
             ? 0
             : 2;
}

static void check_permissions(bench *b, mode_t folder, mode_t file, int can_read) {
  assert_int_equal(chmod(b->folder, folder), 0);
  assert_int_equal(chmod(b->path, file), 0);
  uint64_t before = folder_hash(b->folder);
  assert_int_equal(run_as_nobody(b, write_as_nobody), 0);
  assert_int_equal(run_as_nobody(b, read_as_nobody), can_read ? 0 : 1);
  assert_true(folder_hash(b->folder) == before);
}

static void test_permissions(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  insert(b, s, make_study(b, s, "a"), WAITING);
  lm_storage_close(s);
  for (int round = 0; round < 2; round++) {
    check_permissions(b, 0555, 0444, 1); /* both read-only */
    check_permissions(b, 0777, 0444, 1); /* the file */
    check_permissions(b, 0555, 0666, 1); /* the folder */
    assert_int_equal(chmod(b->folder, 0777), 0);
    run_sql(b->path, "PRAGMA journal_mode = DELETE");
  }
  assert_int_equal(chmod(b->path, 0600), 0);
  if (geteuid() == 0) check_permissions(b, 0777, 0600, 0);
  assert_int_equal(unlink(b->path), 0);
  assert_int_equal(chmod(b->folder, 0555), 0);
  assert_int_equal(run_as_nobody(b, write_as_nobody), 0); /* can't be made */
  assert_int_equal(chmod(b->folder, 0755), 0);
}

/* --- a full disk --- */

static lmopt_status write_one(bench *b, lm_storage *s, lm_id study) {
  lm_id trial;
  long long number;
  const lm_distribution d = {.kind = LM_FLOAT, .low = 0, .high = 1};
  double value = 1;
  lmopt_status status = lm_storage_begin(s, &b->e);
  if (status != LMOPT_OK) return status;
  status = lm_storage_insert_trial(s, study, RUNNING, NULL, NULL, &trial, &number, &b->e);
  for (int i = 0; i < 5 && status == LMOPT_OK; i++) {
    char name[20];
    snprintf(name, sizeof name, "parameter %d", i);
    status = lm_storage_set_parameter(s, trial, name, 0.5, &d, &b->e);
  }
  if (status == LMOPT_OK) status = lm_storage_finish_trial(s, trial, COMPLETE, &value, 1, false, &b->e);
  if (status == LMOPT_OK) return lm_storage_commit(s, &b->e);
  lm_storage_rollback(s);
  return status;
}

/* Writes until the disk is full, at a different byte each time; what was committed is there, whole. */
static void fill_disk(bench *b, long long room) {
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "a");
  long long committed = 0;
  full_disk_left = room;
  lmopt_status status;
  while ((status = write_one(b, s, study)) == LMOPT_OK && committed < 50000) committed++;
  assert_int_equal(status, LMOPT_STORAGE);
  if (!strstr(b->e.text, "the disk is full") || !strstr(b->e.text, b->path)) fail_msg("%s", b->e.text);
  assert_int_equal(write_one(b, s, study), LMOPT_STORAGE);
  bool retried = false;
  if (room % 2) { /* space again: it goes on */
    full_disk_left = -1;
    assert_ok(b, write_one(b, s, study));
    retried = true;
  }
  lm_storage_close(s); /* can't checkpoint, and must not mind */
  full_disk_left = -1;
  assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
  char wanted[100];
  snprintf(wanted, sizeof wanted, "%lld %lld", committed + retried, 5 * (committed + retried));
  assert_string_equal(ask_sql(b->path,
                              "SELECT (SELECT count(*) FROM trials WHERE state = 'COMPLETE') || ' ' || (SELECT "
                              "count(*) FROM trial_params)"),
                      wanted);
  assert_int_equal(unlink(b->path), 0);
}

static void test_full_disk(void **state) {
  bench *b = *state;
  for (long long room = 0; room < 60000; room += 4999) fill_disk(b, room);
  fill_disk(b, 20000001); /* beyond a checkpoint */
}

/* Creating a file on a full disk; what is left of it can be opened once there is space. */
static void test_full_disk_creation(void **state) {
  bench *b = *state;
  for (long long room = 0; room < 200000; room += 7000) {
    lm_storage *s;
    full_disk_left = room;
    lmopt_status status = lm_storage_open(&b->allocator, b->path, LM_STORAGE_CREATE, &s, &b->e);
    full_disk_left = -1;
    if (status == LMOPT_OK) {
      lm_storage_close(s);
      assert_true(room > 0);
    } else {
      assert_int_equal(status, LMOPT_STORAGE);
      if (!strstr(b->e.text, "the disk is full")) fail_msg("%lld: %s", room, b->e.text);
    }
    s = open_file(b, LM_STORAGE_CREATE);
    make_study(b, s, "a");
    lm_storage_close(s);
    assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
    assert_int_equal(unlink(b->path), 0);
    if (status == LMOPT_OK) return;
  }
  fail_msg("never enough room");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_missing),
      bench_test(test_names),
      bench_test(test_refusals),
      bench_test(test_damaged),
      bench_test(test_empty),
      bench_test(test_read_only),
      bench_test(test_read_after_kill),
      bench_test(test_hot_journal),
      bench_test(test_permissions),
      bench_test(test_full_disk),
      bench_test(test_full_disk_creation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
