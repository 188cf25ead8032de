/* The budget's ledger in a study's file: the whole and its models, seconds, trials, files of an older version. */
#include "test_storage_support.h"

typedef struct accounts {
  char text[2000];
} accounts;

static void say_account(void *userdata, const lm_account *a) {
  accounts *l = userdata;
  size_t used = strlen(l->text);
  snprintf(l->text + used, sizeof l->text - used, "%s: %lld calls %lld+%lld tokens (%lld, %lld) $%.2f %.1f s, %lld\n",
           *a->model ? a->model : "all", a->spent.calls, a->spent.prompt_tokens, a->spent.completion_tokens,
           a->spent.cached_tokens, a->spent.reasoning_tokens, a->spent.usd, a->seconds, a->limit.calls);
}

static const char *accounts_of(bench *b, lm_storage *s, lm_id study) {
  static accounts list;
  list.text[0] = '\0';
  assert_ok(b, lm_storage_accounts(s, study, say_account, &list, &b->e));
  return list.text;
}

static lmopt_status reserve(bench *b, lm_storage *s, lm_id study, lm_id trial, const char *model, lm_cost worst,
                            lm_id *call) {
  return lm_storage_reserve_call(s, study, trial, "k", model, "ask", &worst, call, &b->e);
}

static void assert_refused(bench *b, lmopt_status status, const char *what) {
  assert_int_equal(status, LMOPT_LIMIT);
  if (!strstr(b->e.text, what)) fail_msg("'%s' is not in: %s", what, b->e.text);
}

static void test_each_limit(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "limits"), call;
  const struct {
    lm_limit limit;
    const char *said;
  } cases[] = {
      {{2, -1, -1, -1, -1, -1}, "2 of 2 calls"},
      {{-1, 299, -1, -1, -1, -1}, "200 of 299 tokens"},
      {{-1, -1, 149, -1, -1, -1}, "100 of 149 prompt tokens"},
      {{-1, -1, -1, 149, -1, -1}, "100 of 149 completion tokens"},
      {{-1, -1, -1, -1, 0.74, -1}, "$0.500000 of $0.740000"},
  };
  lm_cost worst = {.calls = 1, .prompt_tokens = 50, .completion_tokens = 50, .usd = 0.25};
  assert_ok(b, reserve(b, s, study, 0, "a/b", worst, &call));
  assert_ok(b, reserve(b, s, study, 0, "c/d", worst, &call));
  const char *before =
      "all: 2 calls 100+100 tokens (0, 0) $0.50 0.0 s, -1\n"
      "a/b: 1 calls 50+50 tokens (0, 0) $0.25 0.0 s, -1\n"
      "c/d: 1 calls 50+50 tokens (0, 0) $0.25 0.0 s, -1\n";
  assert_string_equal(accounts_of(b, s, study), before);
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    lm_account limit = {.model = "", .limit = cases[i].limit};
    assert_ok(b, lm_storage_set_budget(s, study, &limit, 1, &b->e));
    assert_refused(b, reserve(b, s, study, 0, "a/b", worst, &call), cases[i].said);
    assert_int_equal(call, 0);
  }
  /* Without limits again, nothing has changed. */
  assert_ok(b, lm_storage_set_budget(s, study, NULL, 0, &b->e));
  assert_string_equal(accounts_of(b, s, study), before);
  assert_ok(b, reserve(b, s, study, 0, "a/b", worst, &call));
  lm_storage_close(s);
}

static void test_models(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "models"), trial = insert(b, s, study, RUNNING), call, other;
  const lm_account limits[] = {
      {.model = "", .limit = {3, -1, -1, -1, -1, -1}},
      {.model = "dear", .limit = {1, -1, -1, -1, 1, -1}},
  };
  assert_ok(b, lm_storage_set_budget(s, study, limits, 2, &b->e));
  lm_cost worst = {.calls = 1, .prompt_tokens = 10, .completion_tokens = 10, .usd = 0.5};
  lm_cost actual = {
      .calls = 1, .prompt_tokens = 5, .completion_tokens = 4, .usd = 0.25, .cached_tokens = 3, .reasoning_tokens = 2};
  assert_ok(b, reserve(b, s, study, trial, "dear", worst, &call));
  assert_refused(b, reserve(b, s, study, trial, "dear", worst, &other), "budget for dear is spent: 1 of 1 calls");
  assert_ok(b, reserve(b, s, study, 0, "cheap", worst, &other));
  assert_ok(b, lm_storage_settle_call(s, call, "reply", &actual, 1, &b->e));
  assert_refused(b, reserve(b, s, study, trial, "dear", worst, &call), "budget for dear");
  assert_ok(b, reserve(b, s, study, trial, "", worst, &call)); /* one without a name has an account of its own */
  assert_refused(b, reserve(b, s, study, trial, "cheap", worst, &call), "budget is spent: 3 of 3 calls");
  assert_string_equal(accounts_of(b, s, study),
                      "all: 3 calls 25+24 tokens (3, 2) $1.25 0.0 s, 3\n"
                      "cheap: 1 calls 10+10 tokens (0, 0) $0.50 0.0 s, -1\n"
                      "dear: 1 calls 5+4 tokens (3, 2) $0.25 0.0 s, 1\n"
                      "unnamed: 1 calls 10+10 tokens (0, 0) $0.50 0.0 s, -1\n");
  accounts list = {""};
  assert_ok(b, lm_storage_trial_accounts(s, trial, say_account, &list, &b->e));
  assert_string_equal(list.text,
                      "dear: 1 calls 5+4 tokens (3, 2) $0.25 0.0 s, -1\n"
                      "unnamed: 1 calls 10+10 tokens (0, 0) $0.50 0.0 s, -1\n");
  /* New limits replace all that were there; a study that is deleted leaves nothing. */
  assert_ok(b, lm_storage_set_budget(s, study, limits, 1, &b->e));
  assert_refused(b, reserve(b, s, study, trial, "dear", worst, &call), "3 of 3");
  assert_ok(b, lm_storage_delete_study(s, study, &b->e));
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM lmopt_budgets"), "0");
}

static void test_seconds(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "time");
  double taken;
  assert_ok(b, lm_storage_take_seconds(s, study, 2, &taken, &b->e));
  assert_true(taken == 2);
  const lm_account limit = {.model = "", .limit = {-1, -1, -1, -1, -1, 10}};
  assert_ok(b, lm_storage_set_budget(s, study, &limit, 1, &b->e));
  const double wanted[] = {5, 7, 1, -4, 100}, given[] = {5, 3, 0, -4, 4};
  for (int i = 0; i < 5; i++) {
    assert_ok(b, lm_storage_take_seconds(s, study, wanted[i], &taken, &b->e));
    assert_true(taken == given[i]);
  }
  assert_int_equal(lm_storage_take_seconds(s, study, 0.0 / 0.0 * taken, &taken, &b->e), LMOPT_MISUSE);
  lm_storage_close(s);
  s = open_file(b, LM_STORAGE_READ_ONLY);
  lm_account all;
  assert_ok(b, lm_storage_account(s, study, "", &all, &b->e));
  assert_true(all.seconds == 10 && all.limit.seconds == 10 && all.spent.calls == 0);
  lm_storage_close(s);
}

/* What lmopt made before models had accounts. */
static void test_older_file(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "old"), call;
  lm_cost worst = {.calls = 1, .prompt_tokens = 10, .completion_tokens = 10, .usd = 0.5};
  assert_ok(b, reserve(b, s, study, 0, "a/b", worst, &call));
  lm_storage_close(s);
  run_sql(b->path,
          "ALTER TABLE lmopt_calls DROP COLUMN cached_tokens; ALTER TABLE lmopt_calls DROP COLUMN reasoning_tokens;"
          "DROP TABLE lmopt_budgets; DROP TABLE lmopt_predictions; DROP TABLE lmopt_cells; UPDATE lmopt_version SET "
          "version = 1; "
          "CREATE TABLE lmopt_budgets (study_id INTEGER PRIMARY KEY, limit_calls INTEGER NOT NULL DEFAULT -1, "
          "limit_prompt_tokens INTEGER NOT NULL DEFAULT -1, limit_completion_tokens INTEGER NOT NULL DEFAULT "
          "-1, limit_usd REAL NOT NULL DEFAULT -1, spent_calls INTEGER NOT NULL DEFAULT 0, "
          "spent_prompt_tokens INTEGER NOT NULL DEFAULT 0, spent_completion_tokens INTEGER NOT NULL DEFAULT "
          "0, spent_usd REAL NOT NULL DEFAULT 0); INSERT INTO lmopt_budgets VALUES (1, 2, -1, -1, 1, 1, 10, "
          "10, 0.5)");
  lm_storage *reader = open_file(b, LM_STORAGE_READ_ONLY);
  assert_string_equal(accounts_of(b, reader, study), ""); /* it changes nothing, and can't tell */
  lm_storage_close(reader);
  assert_string_equal(ask_sql(b->path, "SELECT version FROM lmopt_version"), "1");
  s = open_file(b, 0);
  assert_string_equal(accounts_of(b, s, study),
                      "all: 1 calls 10+10 tokens (0, 0) $0.50 0.0 s, 2\n"
                      "a/b: 1 calls 10+10 tokens (0, 0) $0.50 0.0 s, -1\n");
  assert_ok(b, reserve(b, s, study, 0, "a/b", worst, &call));
  assert_refused(b, reserve(b, s, study, 0, "a/b", worst, &call), "2 of 2 calls");
  lm_storage_close(s);
  s = open_file(b, 0);
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path, "SELECT version || ' ' || count(*) FROM lmopt_version"), "4 1");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_each_limit),
      bench_test(test_models),
      bench_test(test_seconds),
      bench_test(test_older_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
