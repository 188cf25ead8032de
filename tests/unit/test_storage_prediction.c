/* What programs answered in trials: kept, listed, copied, deleted; files of an older lmopt; no memory. */
#include "test_storage_support.h"

typedef struct listing {
  char text[1024];
} listing;

static void say_prediction(void *userdata, const lm_stored_prediction *p) {
  listing *l = userdata;
  size_t used = strlen(l->text);
  snprintf(l->text + used, sizeof l->text - used, "%s=%s;", p->about, p->rows ? p->rows : "-");
}

static const char *predictions_of(bench *b, lm_storage *s, lm_id trial) {
  static listing l;
  memset(&l, 0, sizeof l);
  assert_ok(b, lm_storage_predictions(s, trial, say_prediction, &l, &b->e));
  return l.text;
}

static void test_kept_in_their_order(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "one"), first = insert(b, s, study, RUNNING), second = insert(b, s, study, RUNNING);
  assert_ok(b, lm_storage_begin(s, &b->e));
  assert_ok(b, lm_storage_add_prediction(s, first, "{}", "[1]", &b->e));
  assert_ok(b, lm_storage_add_prediction(s, first, "{\"n\":2}", NULL, &b->e));
  lm_storage_rollback(s);
  assert_string_equal(predictions_of(b, s, first), "");
  assert_ok(b, lm_storage_add_prediction(s, first, "z", "[1]", &b->e));
  assert_ok(b, lm_storage_add_prediction(s, second, "b", "[1]", &b->e));
  assert_ok(b, lm_storage_add_prediction(s, first, "a", NULL, &b->e));
  assert_string_equal(predictions_of(b, s, first), "z=[1];a=-;");
  assert_string_equal(predictions_of(b, s, second), "b=[1];");
  lm_storage_close(s);
  s = open_file(b, LM_STORAGE_READ_ONLY);
  assert_string_equal(predictions_of(b, s, first), "z=[1];a=-;");
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM lmopt_texts"), "1");
  lm_storage_close(s);
}

/* A generation shares the texts of the one before, whichever is deleted first. */
static void test_copied_and_deleted(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id old = make_study(b, s, "old"), made = make_study(b, s, "new");
  lm_id from = insert(b, s, old, RUNNING), to = insert(b, s, made, RUNNING);
  assert_ok(b, lm_storage_add_prediction(s, from, "x", "shared", &b->e));
  assert_ok(b, lm_storage_add_prediction(s, from, "y", "too", &b->e));
  assert_ok(b, lm_storage_copy_predictions(s, from, to, &b->e));
  assert_string_equal(predictions_of(b, s, to), "x=shared;y=too;");
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM lmopt_texts"), "2");
  assert_ok(b, lm_storage_delete_study(s, old, &b->e));
  assert_string_equal(predictions_of(b, s, from), "");
  assert_string_equal(predictions_of(b, s, to), "x=shared;y=too;");
  assert_ok(b, lm_storage_delete_study(s, made, &b->e));
  lm_storage_close(s);
  assert_string_equal(
      ask_sql(b->path, "SELECT (SELECT count(*) FROM lmopt_texts) || (SELECT count(*) FROM lmopt_predictions)"), "00");
}

static void test_older_file(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id trial = insert(b, s, make_study(b, s, "old"), RUNNING);
  lm_storage_close(s);
  run_sql(b->path, "DROP TABLE lmopt_predictions; DROP TABLE lmopt_cells; UPDATE lmopt_version SET version = 2");
  s = open_file(b, LM_STORAGE_READ_ONLY);
  assert_string_equal(predictions_of(b, s, trial), "");
  lm_account account;
  assert_ok(b, lm_storage_account(s, 1, "", &account, &b->e));
  lm_storage_close(s);
  s = open_file(b, 0);
  assert_ok(b, lm_storage_add_prediction(s, trial, "x", "y", &b->e));
  assert_string_equal(predictions_of(b, s, trial), "x=y;");
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path, "SELECT version || ' ' || count(*) FROM lmopt_version"), "4 1");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_kept_in_their_order),
      bench_test(test_copied_and_deleted),
      bench_test(test_older_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
