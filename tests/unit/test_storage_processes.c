/* Several processes on one file: numbers, the queue, the budget, and who is dead. */
#include "test_storage_support.h"

#include "io/owner.h"

enum { PROCESSES = 4, TRIALS = 1000, FEW = 150 /* each commit waits for the disk */, QUEUED = 100, CALLS = 150 };

/* Runs `work` in a process of its own. The parent has no storage open: SQLite's locks don't cross a fork. */
static pid_t run_child(bench *b, int (*work)(bench *b)) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(300);
    _exit(work(b));
  }
  return child;
}

static void join(pid_t child) {
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail_msg("a process ended with %x", (unsigned)status);
}

static void run_all(bench *b, int (*work)(bench *b)) {
  pid_t children[PROCESSES];
  for (int i = 0; i < PROCESSES; i++) children[i] = run_child(b, work);
  for (int i = 0; i < PROCESSES; i++) join(children[i]);
}

#define must(b, call)                                                             \
  do {                                                                            \
    if ((call) != LMOPT_OK) {                                                     \
      fprintf(stderr, "process %d: %s: %s\n", (int)getpid(), #call, (b)->e.text); \
      return 1;                                                                   \
    }                                                                             \
  } while (0)

static int open_child(bench *b, lm_storage **s, lm_id *study) {
  must(b, lm_storage_open(&b->allocator, b->path, LM_STORAGE_CREATE, s, &b->e));
  must(b, lm_storage_find_study(*s, "shared", study, &b->e));
  return 0;
}

static int write_many(bench *b, int trials) {
  lm_storage *s;
  lm_id study;
  const lm_distribution d = {.kind = LM_FLOAT, .low = 0, .high = 1};
  if (open_child(b, &s, &study)) return 1;
  for (int i = 0; i < trials; i++) {
    lm_id trial;
    long long number;
    double value = i;
    must(b, lm_storage_begin(s, &b->e));
    must(b, lm_storage_insert_trial(s, study, RUNNING, NULL, NULL, &trial, &number, &b->e));
    must(b, lm_storage_set_parameter(s, trial, "x", 0.5, &d, &b->e));
    must(b, lm_storage_commit(s, &b->e));
    must(b, lm_storage_finish_trial(s, trial, COMPLETE, &value, 1, false, &b->e));
  }
  lm_storage_close(s);
  return 0;
}

static int write_trials(bench *b) { return write_many(b, TRIALS); }
static int write_few(bench *b) { return write_many(b, FEW); }

static void check_numbers(bench *b) {
  char sql[200];
  assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
  snprintf(sql, sizeof sql,
           "SELECT count(*) = %d AND count(DISTINCT number) = %d AND min(number) = 0 AND max(number) = %d FROM trials "
           "WHERE state = 'COMPLETE'",
           PROCESSES * TRIALS, PROCESSES * TRIALS, PROCESSES * TRIALS - 1);
  assert_string_equal(ask_sql(b->path, sql), "1");
  assert_string_equal(
      ask_sql(
          b->path,
          "SELECT count(*) FROM (SELECT number - lag(number) OVER (ORDER BY trial_id) AS d FROM trials) WHERE d <> 1"),
      "0");
  assert_string_equal(
      ask_sql(b->path, "SELECT (SELECT count(*) FROM trial_params) - (SELECT count(*) FROM trial_values)"), "0");
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM lmopt_owners"), "0");
}

static void test_numbers(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  make_study(b, s, "shared");
  lm_storage_close(s);
  run_all(b, write_trials);
  check_numbers(b);
}

/* The same in a file of Optuna's, which keeps its rollback journal. */
static void test_numbers_without_wal(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  make_study(b, s, "shared");
  lm_storage_close(s);
  run_sql(b->path, "PRAGMA journal_mode = DELETE; UPDATE lmopt_version SET made_here = 0");
  assert_string_equal(ask_sql(b->path, "PRAGMA journal_mode"), "delete");
  pid_t children[2] = {run_child(b, write_few), run_child(b, write_few)};
  join(children[0]);
  join(children[1]);
  assert_string_equal(ask_sql(b->path, "PRAGMA journal_mode"), "delete");
  assert_string_equal(
      ask_sql(b->path, "SELECT count(DISTINCT number) || ' ' || max(number) FROM trials WHERE state = 'COMPLETE'"),
      "300 299");
}

static int create_file(bench *b) {
  lm_storage *s;
  lm_id study;
  const bool minimize = false;
  must(b, lm_storage_open(&b->allocator, b->path, LM_STORAGE_CREATE, &s, &b->e));
  lmopt_status status = lm_storage_create_study(s, "shared", &minimize, 1, &study, &b->e);
  if (status != LMOPT_EXISTS) must(b, status);
  lm_storage_close(s);
  return 0;
}

static void test_creation(void **state) {
  bench *b = *state;
  for (int i = 0; i < 10; i++) {
    run_all(b, create_file);
    assert_string_equal(ask_sql(b->path,
                                "SELECT (SELECT count(*) FROM studies) || (SELECT count(*) FROM lmopt_version) || "
                                "(SELECT count(*) FROM alembic_version)"),
                        "111");
    assert_string_equal(ask_sql(b->path, "PRAGMA journal_mode"), "wal");
    assert_int_equal(unlink(b->path), 0);
  }
}

static int take_queue(bench *b) {
  lm_storage *s;
  lm_id study, trial;
  long long number;
  char who[32];
  if (open_child(b, &s, &study)) return 1;
  snprintf(who, sizeof who, "%d", (int)getpid());
  for (;;) {
    lmopt_status status = lm_storage_claim_trial(s, study, &trial, &number, &b->e);
    if (status == LMOPT_NOT_FOUND) break;
    must(b, status);
    must(b, lm_storage_set_attribute(s, LM_TRIAL_USER, trial, who, "1",
                                     &b->e)); /* a second taker would leave a second key */
    double value = 1;
    must(b, lm_storage_finish_trial(s, trial, COMPLETE, &value, 1, false, &b->e));
  }
  lm_storage_close(s);
  return 0;
}

static void test_queue(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "shared");
  for (int i = 0; i < QUEUED; i++) insert(b, s, study, WAITING);
  lm_storage_close(s);
  run_all(b, take_queue);
  assert_string_equal(ask_sql(b->path,
                              "SELECT count(*) || ' ' || (SELECT count(*) FROM trial_user_attributes) FROM trials "
                              "WHERE state = 'COMPLETE'"),
                      "100 100");
}

static int spend_budget(bench *b) {
  lm_storage *s;
  lm_id study, call;
  const lm_cost worst = {1, 10, 10, 0.125, 0, 0}, actual = {1, 10, 5, 0.0625, 0, 0};
  if (open_child(b, &s, &study)) return 1;
  for (int i = 0; i < CALLS; i++) {
    lmopt_status status = lm_storage_reserve_call(s, study, 0, "k", "m", "ask", &worst, &call, &b->e);
    lm_account all;
    must(b, lm_storage_account(s, study, "", &all, &b->e));
    if (all.spent.usd > all.limit.usd || all.spent.calls > all.limit.calls) return 2;
    if (status == LMOPT_LIMIT) continue;
    must(b, status);
    if (i % 10 != 9)
      must(b, lm_storage_settle_call(s, call, "reply", &actual, 0, &b->e)); /* every tenth is never heard of again */
  }
  lm_storage_close(s);
  return 0;
}

static void test_budget(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "shared");
  const lm_account limit = {.model = "", .limit = {-1, -1, -1, -1, 20, -1}};
  const lm_account calls = {.model = "", .limit = {1000000, -1, -1, -1, 20, -1}};
  assert_ok(b, lm_storage_set_budget(s, study, &limit, 1, &b->e));
  assert_ok(b, lm_storage_set_budget(s, study, &calls, 1, &b->e));
  lm_storage_close(s);
  run_all(b, spend_budget);
  /* Spent is what the journal adds up to (eighths and sixteenths are exact), and all but one worst case of the limit. */
  assert_string_equal(ask_sql(b->path,
                              "SELECT spent_usd = (SELECT sum(usd) FROM lmopt_calls) AND spent_usd <= 20 AND spent_usd "
                              "> 20 - 0.125 FROM lmopt_budgets WHERE model = ''"),
                      "1");
  assert_string_equal(ask_sql(b->path, "SELECT count(*) > 0 FROM lmopt_calls WHERE state = 'RESERVED'"), "1");
}

/* --- the dead and the living --- */

static int told[2];

static int run_and_wait(bench *b) {
  lm_storage *s;
  lm_id study, trial;
  long long number;
  const lm_distribution d = {.kind = LM_FLOAT, .low = 0, .high = 1};
  if (open_child(b, &s, &study)) return 1;
  must(b, lm_storage_insert_trial(s, study, RUNNING, NULL, NULL, &trial, &number, &b->e));
  must(b, lm_storage_set_parameter(s, trial, "x", 0.25, &d, &b->e));
  must(b, lm_storage_set_report(s, trial, 1, 5, &b->e));
  if (write(told[1], "x", 1) != 1) return 1;
  pause();
  return 1;
}

static void test_dead(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "shared");
  lm_storage_close(s);
  run_sql(b->path,
          "INSERT INTO trials(number, study_id, state, datetime_start) VALUES (0, 1, 'RUNNING', '2026-01-01 "
          "00:00:00.000000')"); /* Optuna's */
  assert_int_equal(pipe(told), 0);
  pid_t killed = run_child(b, run_and_wait), living = run_child(b, run_and_wait);
  char c;
  assert_int_equal(read(told[0], &c, 1), 1);
  assert_int_equal(read(told[0], &c, 1), 1);
  s = open_file(b, 0);
  size_t released;
  lm_id own = insert(b, s, study, RUNNING);
  assert_ok(b, lm_storage_release_dead(s, study, &released, &b->e));
  assert_int_equal(released, 0);
  kill(killed, SIGKILL);
  siginfo_t info;
  assert_int_equal(waitid(P_PID, (id_t)killed, &info, WEXITED | WNOWAIT), 0); /* a zombie counts as dead */
  assert_ok(b, lm_storage_release_dead(s, study, &released, &b->e));
  assert_int_equal(released, 1);
  assert_int_equal(waitpid(killed, NULL, 0), killed);
  assert_ok(b, lm_storage_release_dead(s, study, &released, &b->e));
  assert_int_equal(released, 0);
  static transcript t;
  lm_trial_visitor visitor = speaking(&t);
  assert_ok(b, lm_storage_scan(s, study, 0, &visitor, &b->e));
  assert_non_null(strstr(t.text, "trial 0 RUNNING started\n"));
  assert_non_null(strstr(t.text, " WAITING\n"));
  assert_non_null(strstr(t.text, "trial 3 RUNNING started\n"));
  const char *report = strstr(t.text, "report 1 5");
  assert_non_null(report);
  assert_null(strstr(report + 1, "report 1 5")); /* the living child's only */
  assert_ok(b, lm_storage_finish_trial(s, own, FAIL, NULL, 0, false, &b->e));
  kill(living, SIGKILL);
  assert_int_equal(waitpid(living, NULL, 0), living);
  assert_ok(b, lm_storage_release_dead(s, study, &released, &b->e));
  assert_int_equal(released, 1);
  lm_storage_close(s);
  close(told[0]);
  close(told[1]);
}

/* Owners on other hosts are known by their heartbeats, owners of another boot are dead. */
static void test_hosts(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "shared");
  insert(b, s, study, RUNNING);
  size_t released;
  lm_storage *other = open_file(b, 0);
  static const struct {
    const char *change;
    size_t released;
  } cases[] = {
      {"host = 'elsewhere', heartbeat = unixepoch() - 60", 0},
      {"host = 'elsewhere', heartbeat = unixepoch() - 1000", 1},
      {"space = 'pid:[1]', heartbeat = unixepoch() - 60", 0},
      {"boot = 'another'", 1},
      {"start = '1'", 1},
      {"process = 0", 1},
      {"start = ''", 0}, /* a system that can't say it: the process is there */
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char sql[600];
    snprintf(
        sql, sizeof sql,
        "DROP TABLE IF EXISTS saved; CREATE TABLE saved AS SELECT * FROM lmopt_owners; UPDATE lmopt_owners SET %s; "
        "UPDATE trials SET state = 'RUNNING'; INSERT OR REPLACE INTO lmopt_trial_owners SELECT 1, owner_id FROM "
        "lmopt_owners",
        cases[i].change);
    run_sql(b->path, sql);
    assert_ok(b, lm_storage_release_dead(other, study, &released, &b->e));
    if (released != cases[i].released) fail_msg("%s: %zu released", cases[i].change, released);
    run_sql(b->path, "DELETE FROM lmopt_owners; INSERT INTO lmopt_owners SELECT * FROM saved");
  }
  run_sql(b->path,
          "DROP TABLE saved; UPDATE trials SET state = 'RUNNING'; INSERT OR REPLACE INTO lmopt_trial_owners SELECT 1, "
          "owner_id FROM lmopt_owners");
  /* Our own trials are never released by ourselves; closing the handle gives them up. */
  assert_ok(b, lm_storage_release_dead(s, study, &released, &b->e));
  assert_int_equal(released, 0);
  assert_ok(b, lm_storage_heartbeat(s, &b->e));
  lm_storage_close(s);
  assert_ok(b, lm_storage_release_dead(other, study, &released, &b->e));
  assert_int_equal(released, 1);
  lm_storage_close(other);
}

static void test_fork(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "shared");
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    lm_id trial;
    long long number;
    bool refused = lm_storage_insert_trial(s, study, RUNNING, NULL, NULL, &trial, &number, &b->e) == LMOPT_MISUSE &&
                   strstr(b->e.text, "fork");
    _exit(refused ? 0 : 1);
  }
  join(child);
  insert(b, s, study, RUNNING);
  lm_storage_close(s);
}

static void test_owner(void **state) {
  (void)state;
  lm_owner self, other;
  lm_owner_self(&self);
  assert_int_equal(self.process, getpid());
  other = self;
  assert_int_equal(lm_owner_judge(&self, &other), LM_LIFE_ALIVE);
  other.process = 0x7FFFFFF0;
  assert_int_equal(lm_owner_judge(&self, &other), LM_LIFE_DEAD);
  other = self;
  strcpy(other.start, "12");
  assert_int_equal(lm_owner_judge(&self, &other), self.start[0] ? LM_LIFE_DEAD : LM_LIFE_ALIVE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_numbers),     bench_test(test_numbers_without_wal),
      bench_test(test_creation),    bench_test(test_queue),
      bench_test(test_budget),      bench_test(test_dead),
      bench_test(test_hosts),       bench_test(test_fork),
      cmocka_unit_test(test_owner),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
