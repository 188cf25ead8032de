/* Ask and tell from C where something is wrong: files that other programs change, texts that can't be stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lmopt.h"

/* Counts what is live. */
static void *counting_alloc(void *userdata, void *block, size_t old_size, size_t size) {
  size_t *live = userdata;
  if (size == 0) {
    *live -= old_size;
    free(block);
    return NULL;
  }
  void *moved = realloc(block, size);
  if (moved) *live += size - old_size;
  return moved;
}

typedef struct bench {
  size_t live;
  lmopt_runtime *rt;
  lmopt_study *study;
} bench;

static char path[200];

static void remove_file(void) {
  static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
  char name[250];
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "%s%s", path, endings[i]);
    remove(name);
  }
}

/* A fresh study, in a file of its own or in memory. */
static void begin(bench *b, const char *storage) {
  snprintf(path, sizeof path, "%s/lmopt-wrong-%ld.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
           (long)getpid());
  remove_file();
  b->live = 0;
  lmopt_config config;
  lmopt_config_init(&config);
  config.alloc = counting_alloc;
  config.alloc_userdata = &b->live;
  assert_int_equal(lmopt_open(&config, &b->rt), LMOPT_OK);
  lmopt_study_config c;
  lmopt_study_config_init(&c);
  c.name = "s";
  c.seed = 3;
  c.storage = storage;
  assert_int_equal(lmopt_study_open(b->rt, &c, &b->study), LMOPT_OK);
}

static void end(bench *b) {
  lmopt_study_close(b->study);
  lmopt_close(b->rt);
  assert_int_equal(b->live, 0);
  remove_file();
}

static lmopt_trial *ask(lmopt_study *study) {
  lmopt_trial *trial;
  assert_int_equal(lmopt_study_ask(study, &trial), LMOPT_OK);
  return trial;
}

static void run_one(lmopt_study *study) {
  lmopt_trial *trial = ask(study);
  double x;
  assert_int_equal(lmopt_trial_float(trial, "x", -5, 5, 0, 0, &x), LMOPT_OK);
  assert_int_equal(lmopt_study_tell(study, trial, LMOPT_COMPLETE, &x, 1), LMOPT_OK);
}

static void expect(const bench *b, lmopt_status status, lmopt_status expected, const char *text) {
  assert_int_equal(status, expected);
  if (!strstr(lmopt_errmsg(b->rt), text)) fail_msg("'%s' lacks '%s'", lmopt_errmsg(b->rt), text);
}

/* --- files that others change --- */

static void run_sql(const char *sql) {
  sqlite3 *database = NULL;
  assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
  assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(database);
}

#define COPY_TRIAL(number)                                                                                        \
  "INSERT INTO trials(number, study_id, state, datetime_start, datetime_complete) SELECT " number                 \
  ", study_id, 'COMPLETE', datetime_start, datetime_complete FROM trials WHERE number = 0;"                       \
  "INSERT INTO trial_values(trial_id, objective, value, value_type) SELECT max(trial_id), 0, 7.0, 'FINITE' FROM " \
  "trials"

/* Numbers are places in memory: after another program moved them, nothing is written, and nothing is out of bounds. */
static void test_numbers_changed(void **state) {
  (void)state;
  static const char *const changes[] = {
      "DELETE FROM trials WHERE number = 3", "DELETE FROM trials", "UPDATE trials SET number = 90 WHERE number = 3",
      "UPDATE trials SET number = number + 5", "UPDATE trials SET number = 1 WHERE number = 3",
      /* The next number and the next id are what they were, but the id is one that is known. */
      "DELETE FROM trials WHERE number = 3; UPDATE trials SET number = 3 WHERE number = 2",
      COPY_TRIAL("1"), /* a number twice */
      COPY_TRIAL("9"), /* a hole */
  };
  const lmopt_param known = {"x", NULL, 2.5};
  for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
    bench b;
    begin(&b, path);
    for (int k = 0; k < 4; k++) run_one(b.study);
    run_sql(changes[i]);
    lmopt_trial *trial;
    long long number;
    for (int again = 0; again < 2; again++) {
      expect(&b, lmopt_study_enqueue(b.study, &known, 1, &number), LMOPT_STORAGE, "were changed by another program");
      expect(&b, lmopt_study_ask(b.study, &trial), LMOPT_STORAGE, "were changed by another program");
      assert_null(trial);
    }
    end(&b);
  }
}

/* A waiting trial is read again whenever the file has changed. */
static void test_waiting_number_changed(void **state) {
  (void)state;
  bench b;
  begin(&b, path);
  const lmopt_param known = {"x", NULL, 2.5};
  run_one(b.study);
  assert_int_equal(lmopt_study_enqueue(b.study, &known, 1, NULL), LMOPT_OK);
  run_sql("UPDATE trials SET number = 0 WHERE number = 1");
  lmopt_trial *trial;
  expect(&b, lmopt_study_ask(b.study, &trial), LMOPT_STORAGE, "were changed by another program: one became 0");
  end(&b);
}

/* --- texts --- */

/* What is stored is UTF-8: others read the file. */
static void test_utf8(void **state) {
  (void)state;
  static const char *const wrong[] = {"\xFF",
                                      "a\x80",
                                      "\xC3",
                                      "\xC0\xAF",
                                      "\xE0\x80\xAF",
                                      "\xED\xA0\x80",
                                      "\xF0\x80\x80\xAF",
                                      "\xF4\x90\x80\x80",
                                      "\xE2\x82",
                                      "\xF8\x88\x80\x80\x80"};
  bench b;
  begin(&b, NULL);
  lmopt_trial *trial = ask(b.study);
  double x;
  long long k;
  size_t index;
  lmopt_study *other;
  lmopt_study_config c;
  lmopt_study_config_init(&c);
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    const char *choices[] = {"a", wrong[i]};
    const lmopt_param named = {wrong[i], NULL, 1}, valued = {"x", wrong[i], 0};
    c.name = wrong[i];
    expect(&b, lmopt_study_open(b.rt, &c, &other), LMOPT_MISUSE, "the name of the study is not UTF-8");
    assert_null(other);
    expect(&b, lmopt_trial_float(trial, wrong[i], 0, 1, 0, 0, &x), LMOPT_MISUSE,
           "the name of a parameter is not UTF-8: byte ");
    assert_int_equal(lmopt_trial_int(trial, wrong[i], 0, 1, 0, 0, &k), LMOPT_MISUSE);
    assert_int_equal(lmopt_trial_choice(trial, wrong[i], choices, 1, &index), LMOPT_MISUSE);
    expect(&b, lmopt_trial_choice(trial, "kind", choices, 2, &index), LMOPT_MISUSE, "a choice is not UTF-8");
    expect(&b, lmopt_trial_set_constraint(trial, wrong[i], 1), LMOPT_MISUSE, "the name of a constraint is not UTF-8");
    expect(&b, lmopt_trial_set_user_attr(trial, wrong[i], "text"), LMOPT_MISUSE,
           "the key of an attribute is not UTF-8");
    expect(&b, lmopt_trial_set_user_attr(trial, "key", wrong[i]), LMOPT_MISUSE,
           "the text of an attribute is not UTF-8");
    expect(&b, lmopt_study_enqueue(b.study, &named, 1, NULL), LMOPT_MISUSE, "the name of a parameter is not UTF-8");
    expect(&b, lmopt_study_enqueue(b.study, &valued, 1, NULL), LMOPT_MISUSE, "an enqueued value is not UTF-8");
  }
  static const char *const right = "\x7F\xC2\x80\xE0\xA0\x80\xED\x9F\xBF\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF";
  const char *choices[] = {"a", right};
  assert_int_equal(lmopt_trial_float(trial, right, 0, 1, 0, 0, &x), LMOPT_OK);
  assert_int_equal(lmopt_trial_choice(trial, "kind", choices, 2, &index), LMOPT_OK);
  assert_int_equal(lmopt_trial_set_constraint(trial, right, 1), LMOPT_OK);
  assert_int_equal(lmopt_trial_set_user_attr(trial, right, right), LMOPT_OK);
  assert_int_equal(lmopt_study_tell(b.study, trial, LMOPT_COMPLETE, &x, 1), LMOPT_OK);
  lmopt_study_summary summary;
  assert_int_equal(lmopt_study_summarize(b.study, &summary), LMOPT_OK);
  assert_int_equal(summary.trials, 1);
  end(&b);
}

/* More than 16 MiB is a mistake of the caller's, not a lack of memory. */
static void test_long_texts(void **state) {
  (void)state;
  bench b;
  begin(&b, NULL);
  lmopt_trial *trial = ask(b.study);
  size_t size = (size_t)17 << 20, index;
  char *text = malloc(size);
  assert_non_null(text);
  memset(text, 'a', size - 1);
  text[size - 1] = '\0';
  const char *choices[] = {"b", text};
  lmopt_param params[] = {{"x", text, 0}, {"y", text, 0}};
  expect(&b, lmopt_trial_choice(trial, "c", choices, 2, &index), LMOPT_MISUSE,
         "the choices together: longer than 16 MiB");
  expect(&b, lmopt_study_enqueue(b.study, params, 1, NULL), LMOPT_MISUSE, "an enqueued value: longer than 16 MiB");
  text[size / 2 + 1000] = '\0';
  expect(&b, lmopt_study_enqueue(b.study, params, 2, NULL), LMOPT_MISUSE,
         "the enqueued values together: longer than 16 MiB");
  free(text);
  end(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers_changed),
      cmocka_unit_test(test_waiting_number_changed),
      cmocka_unit_test(test_utf8),
      cmocka_unit_test(test_long_texts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
