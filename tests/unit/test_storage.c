/* Writing and reading back: studies, trials, attributes, transactions, the journal of calls, no memory. */
#include "test_storage_support.h"

static const lm_distribution ranges[] = {
    {.kind = LM_FLOAT, .low = 1e-5, .high = 0.1, .log = true},
    {.kind = LM_INTEGER, .low = 16, .high = 128, .step = 16},
    {.kind = LM_CATEGORICAL, .low = 0, .high = 3, .count = 4, .choices = "[null, true, \"relu\", 2.5]"},
    {.kind = LM_FLOAT, .low = -0.1, .high = 0.30000000000000004},
};

static void test_round_trip(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "qa"), trial;
  long long number;
  assert_ok(b, lm_storage_begin(s, &b->e));
  assert_ok(b, lm_storage_insert_trial(s, study, RUNNING, NULL, NULL, &trial, &number, &b->e));
  assert_int_equal(number, 0);
  assert_ok(b, lm_storage_set_parameter(s, trial, "lr", 0.001, &ranges[0], &b->e));
  assert_ok(b, lm_storage_set_parameter(s, trial, "units", 48, &ranges[1], &b->e));
  assert_ok(b, lm_storage_set_parameter(s, trial, "act", 2, &ranges[2], &b->e));
  assert_ok(b, lm_storage_set_parameter(s, trial, "a 'quoted' \xE6\x97\xA5", 0.1 + 0.2, &ranges[3], &b->e));
  assert_ok(b, lm_storage_set_attribute(s, LM_TRIAL_USER, trial, "note", "{\"a\": [1, NaN]}", &b->e));
  assert_ok(b, lm_storage_set_attribute(s, LM_TRIAL_SYSTEM, trial, "constraints", "[-0.5]", &b->e));
  assert_ok(b, lm_storage_commit(s, &b->e));
  const double reports[] = {1.5, NAN, INFINITY, -INFINITY};
  for (int i = 0; i < 4; i++) assert_ok(b, lm_storage_set_report(s, trial, i * 10, reports[i], &b->e));
  assert_ok(b, lm_storage_set_report(s, trial, 0, 1.25, &b->e));
  const double value = -INFINITY;
  assert_ok(b, lm_storage_finish_trial(s, trial, COMPLETE, &value, 1, false, &b->e));
  lm_storage_close(s);

  static transcript t;
  lm_trial_visitor visitor = speaking(&t);
  s = open_file(b, LM_STORAGE_READ_ONLY);
  assert_ok(b, lm_storage_find_study(s, "qa", &study, &b->e));
  assert_ok(b, lm_storage_scan(s, study, 0, &visitor, &b->e));
  assert_string_equal(
      t.text,
      "trial 0 COMPLETE started ended\n"
      "1 lr=0.001 float [1.0000000000000001e-05,0.10000000000000001] step 0 log \n"
      "1 units=48 int [16,128] step 16 \n"
      "1 act=2 categorical [0,3] step 0 [null, true, \"relu\", 2.5]\n"
      "1 a 'quoted' \xE6\x97\xA5=0.30000000000000004 float [-0.10000000000000001,0.30000000000000004] step 0 \n"
      "1 value 0 -inf\n"
      "1 report 0 1.25\n1 report 10 nan\n1 report 20 inf\n1 report 30 -inf\n"
      "1 user note {\"a\": [1, NaN]}\n"
      "1 system constraints [-0.5]\n");
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
  assert_string_equal(ask_sql(b->path, "PRAGMA journal_mode"), "wal");
  assert_string_equal(ask_sql(b->path, "SELECT version_num FROM alembic_version"), "v3.2.0.a");
  assert_string_equal(ask_sql(b->path, "SELECT schema_version FROM version_info WHERE version_info_id = 1"), "12");
  assert_string_equal(ask_sql(b->path,
                              "SELECT datetime_start GLOB '20[0-9][0-9]-[01][0-9]-[0-3][0-9] "
                              "[0-2][0-9]:[0-5][0-9]:[0-5][0-9].[0-9][0-9][0-9][0-9][0-9][0-9]' FROM trials"),
                      "1");
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM lmopt_trial_owners"), "0");
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM lmopt_owners"), "0");
}

/* The statements that made Optuna's tables are those of the handmade file, which Optuna opens. */
static void test_schema(void **state) {
  bench *b = *state;
  char reference[300], sql[1200];
  lm_storage_close(open_file(b, LM_STORAGE_CREATE));
  snprintf(reference, sizeof reference, "%s/reference.db", b->folder);
  char *handmade = read_text("tests/data/optuna-handmade.sql");
  run_sql(reference, handmade);
  free(handmade);
  snprintf(sql, sizeof sql,
           "ATTACH '%s' AS r; CREATE TABLE r.difference AS SELECT name FROM (SELECT name, sql FROM r.sqlite_schema "
           "WHERE sql IS NOT NULL AND name <> 'difference' EXCEPT SELECT name, replace(sql, 'IF NOT EXISTS ', '') FROM "
           "main.sqlite_schema)",
           reference);
  run_sql(b->path, sql);
  assert_string_equal(ask_sql(reference, "SELECT group_concat(name) FROM difference"), "NULL");
}

typedef struct listing {
  char text[1000];
} listing;

static void list_study(void *userdata, const lm_study_summary *summary) {
  listing *l = userdata;
  size_t used = strlen(l->text);
  snprintf(l->text + used, sizeof l->text - used, "%s %zu:%zu,%zu,%zu,%zu,%zu%s\n", summary->name, summary->objectives,
           summary->states[0], summary->states[1], summary->states[2], summary->states[3], summary->states[4],
           summary->first_start ? " started" : "");
}

static void list_pair(void *userdata, const char *key, const char *json) {
  listing *l = userdata;
  size_t used = strlen(l->text);
  snprintf(l->text + used, sizeof l->text - used, "%s=%s\n", key, json);
}

static void test_studies(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  const bool both[] = {true, false};
  bool read[2] = {false, false};
  size_t objectives;
  lm_id first, second, found;
  assert_ok(b, lm_storage_create_study(s, "question answering", both, 2, &first, &b->e));
  assert_int_equal(lm_storage_create_study(s, "question answering", both, 2, &found, &b->e), LMOPT_EXISTS);
  second = make_study(b, s, "other");
  assert_ok(b, lm_storage_directions(s, first, read, 2, &objectives, &b->e));
  assert_int_equal(objectives, 2);
  assert_true(read[0] && !read[1]);
  assert_int_equal(lm_storage_find_study(s, "question answerin", &found, &b->e), LMOPT_NOT_FOUND);
  assert_non_null(strstr(b->e.text, "did you mean 'question answering'?"));
  assert_int_equal(lm_storage_find_study(s, "zzzzzzzzzzzz", &found, &b->e), LMOPT_NOT_FOUND);
  assert_null(strstr(b->e.text, "did you mean"));
  assert_ok(b, lm_storage_set_attribute(s, LM_STUDY_USER, first, "k", "1", &b->e));
  assert_ok(b, lm_storage_set_attribute(s, LM_STUDY_USER, first, "k", "[2]", &b->e));
  assert_ok(b, lm_storage_set_attribute(s, LM_STUDY_SYSTEM, first, "study:metric_names", "[\"a\", \"b\"]", &b->e));
  assert_int_equal(lm_storage_set_attribute(s, LM_STUDY_USER, first, "k", "{bad", &b->e), LMOPT_MISUSE);
  listing l = {""};
  assert_ok(b, lm_storage_study_attributes(s, LM_STUDY_USER, first, list_pair, &l, &b->e));
  assert_ok(b, lm_storage_study_attributes(s, LM_STUDY_SYSTEM, first, list_pair, &l, &b->e));
  assert_string_equal(l.text, "k=[2]\nstudy:metric_names=[\"a\", \"b\"]\n");
  char *json;
  assert_ok(b, lm_storage_set_property(s, first, "seed", "42", &b->e));
  assert_ok(b, lm_storage_property(s, first, "seed", &json, &b->e));
  assert_string_equal(json, "42");
  lm_free(&b->allocator, json);
  assert_ok(b, lm_storage_property(s, second, "seed", &json, &b->e));
  assert_null(json);
  insert(b, s, second, WAITING);
  insert(b, s, first, RUNNING);
  memset(&l, 0, sizeof l);
  assert_ok(b, lm_storage_list(s, list_study, &l, &b->e));
  assert_string_equal(l.text, "question answering 2:1,0,0,0,0 started\nother 1:0,0,0,0,1\n");
  lm_cost cost = {.calls = 1};
  lm_id call;
  assert_ok(b, lm_storage_reserve_call(s, first, 0, "key", "m", "only here", &cost, &call, &b->e));
  assert_ok(b, lm_storage_delete_study(s, first, &b->e));
  assert_int_equal(lm_storage_delete_study(s, first, &b->e), LMOPT_NOT_FOUND);
  memset(&l, 0, sizeof l);
  assert_ok(b, lm_storage_list(s, list_study, &l, &b->e));
  assert_string_equal(l.text, "other 1:0,0,0,0,1\n");
  long long number;
  lm_id trial;
  assert_int_equal(lm_storage_insert_trial(s, first, RUNNING, NULL, NULL, &trial, &number, &b->e), LMOPT_NOT_FOUND);
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path,
                              "SELECT (SELECT count(*) FROM trials) || (SELECT count(*) FROM study_directions) || "
                              "(SELECT count(*) FROM lmopt_calls) "
                              "|| (SELECT count(*) FROM lmopt_texts) || (SELECT count(*) FROM lmopt_studies) || "
                              "(SELECT count(*) FROM lmopt_budgets)"),
                      "110000");
}

static void test_trial_rules(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "rules"), claimed;
  long long number;
  const double values[] = {1, NAN};
  lm_id queued = insert(b, s, study, WAITING), running = insert(b, s, study, RUNNING),
        pruned = insert(b, s, study, RUNNING);
  assert_ok(b, lm_storage_claim_trial(s, study, &claimed, &number, &b->e));
  assert_int_equal(claimed, queued);
  assert_int_equal(number, 0);
  assert_int_equal(lm_storage_claim_trial(s, study, &claimed, &number, &b->e), LMOPT_NOT_FOUND);
  assert_int_equal(lm_storage_finish_trial(s, running, COMPLETE, NULL, 0, false, &b->e), LMOPT_MISUSE);
  assert_int_equal(lm_storage_finish_trial(s, running, COMPLETE, values + 1, 1, false, &b->e), LMOPT_MISUSE);
  assert_int_equal(lm_storage_finish_trial(s, running, RUNNING, values, 1, false, &b->e), LMOPT_MISUSE);
  assert_int_equal(lm_storage_set_parameter(s, running, "x", NAN, &ranges[0], &b->e), LMOPT_MISUSE);
  assert_ok(b, lm_storage_finish_trial(s, running, FAIL, values, 1, false, &b->e));
  assert_ok(b, lm_storage_finish_trial(s, pruned, PRUNED, values + 1, 1, false, &b->e));
  assert_int_equal(lm_storage_finish_trial(s, running, COMPLETE, values, 1, true, &b->e), LMOPT_MISUSE);
  assert_int_equal(lm_storage_set_attribute(s, LM_TRIAL_USER, running, "k", "1", &b->e), LMOPT_MISUSE);
  assert_int_equal(lm_storage_set_report(s, running, 1, 1, &b->e), LMOPT_MISUSE);
  assert_int_equal(lm_storage_set_parameter(s, running, "x", 0.01, &ranges[0], &b->e), LMOPT_MISUSE);
  assert_int_equal(lm_storage_finish_trial(s, 999, FAIL, NULL, 0, true, &b->e), LMOPT_NOT_FOUND);
  /* An interrupted trial keeps its parameters and forgets its reports. */
  assert_ok(b, lm_storage_set_parameter(s, queued, "x", 0.01, &ranges[0], &b->e));
  assert_ok(b, lm_storage_set_report(s, queued, 1, 1, &b->e));
  assert_ok(b, lm_storage_release_trial(s, queued, &b->e));
  assert_int_equal(lm_storage_finish_trial(s, queued, FAIL, NULL, 0, false, &b->e), LMOPT_MISUSE);
  static transcript t;
  lm_trial_visitor visitor = speaking(&t);
  assert_ok(b, lm_storage_read_trial(s, queued, &visitor, &b->e));
  assert_non_null(strstr(t.text, "trial 0 WAITING\n1 x=0.01 float"));
  assert_null(strstr(t.text, "report"));
  visitor = speaking(&t);
  assert_ok(b, lm_storage_scan(s, study, 1, &visitor, &b->e));
  assert_string_equal(t.text, "trial 1 FAIL started ended\ntrial 2 PRUNED started ended\n");
  assert_int_equal(lm_storage_read_trial(s, 999, &visitor, &b->e), LMOPT_NOT_FOUND);
  /* A trial that ran elsewhere comes in whole, with its own dates. */
  lm_id copied;
  assert_ok(b, lm_storage_begin(s, &b->e));
  assert_ok(b, lm_storage_insert_trial(s, study, COMPLETE, "2020-01-01 00:00:00.000000", "2020-01-02 00:00:00.000000",
                                       &copied, &number, &b->e));
  assert_ok(b, lm_storage_set_parameter(s, copied, "x", 0.02, &ranges[0], &b->e));
  assert_ok(b, lm_storage_finish_trial(s, copied, COMPLETE, values, 1, true, &b->e));
  assert_ok(b, lm_storage_commit(s, &b->e));
  assert_int_equal(lm_storage_finish_trial(s, copied, COMPLETE, values, 1, true, &b->e), LMOPT_MISUSE);
  lm_storage_close(s);
  assert_string_equal(
      ask_sql(b->path, "SELECT datetime_start || datetime_complete || number FROM trials WHERE state = 'COMPLETE'"),
      "2020-01-01 00:00:00.0000002020-01-02 00:00:00.0000003");
  assert_string_equal(ask_sql(b->path, "SELECT group_concat(trial_id || ':' || value) FROM trial_values"), "4:1.0");
}

static lmopt_status write_inside(void *userdata, const lm_stored_trial *t) {
  (void)t;
  lm_error e;
  assert_int_equal(lm_storage_begin(userdata, &e), LMOPT_MISUSE);
  lm_trial_visitor nothing = {.userdata = userdata, .trial = write_inside};
  assert_int_equal(lm_storage_scan(userdata, 1, 0, &nothing, &e), LMOPT_MISUSE);
  return LMOPT_CANCELLED;
}

static void test_transactions(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE), *other;
  lm_id study = make_study(b, s, "t");
  assert_int_equal(lm_storage_commit(s, &b->e), LMOPT_MISUSE);
  assert_ok(b, lm_storage_begin(s, &b->e));
  assert_int_equal(lm_storage_begin(s, &b->e), LMOPT_MISUSE);
  insert(b, s, study, RUNNING);
  lm_storage_rollback(s);
  lm_storage_rollback(s);
  /* The owner's row went with the rollback, and comes again. */
  lm_id trial = insert(b, s, study, RUNNING);
  assert_string_equal(ask_sql(b->path, "SELECT count(*) FROM lmopt_owners JOIN lmopt_trial_owners USING (owner_id)"),
                      "1");
  lm_trial_visitor visitor = {.userdata = s, .trial = write_inside};
  assert_int_equal(lm_storage_scan(s, study, 0, &visitor, &b->e), LMOPT_CANCELLED);
  long long version = lm_storage_version(s);
  assert_int_equal(lm_storage_version(s), version);
  assert_ok(b, lm_storage_set_report(s, trial, 1, 1, &b->e));
  assert_int_equal(lm_storage_version(s), version);
  other = open_file(b, 0);
  assert_int_equal(lm_storage_set_report(other, trial, 2, 1, &b->e), LMOPT_MISUSE);
  assert_int_equal(lm_storage_finish_trial(other, trial, FAIL, NULL, 0, false, &b->e), LMOPT_MISUSE);
  assert_ok(b, lm_storage_finish_trial(other, trial, FAIL, NULL, 0, true, &b->e));
  assert_true(lm_storage_version(s) > version);
  lm_storage_close(other);
  other = open_file(b, LM_STORAGE_READ_ONLY);
  assert_int_equal(lm_storage_begin(other, &b->e), LMOPT_MISUSE);
  version = lm_storage_version(other);
  insert(b, s, study, WAITING);
  assert_true(lm_storage_version(other) > version);
  lm_storage_close(other);
  lm_storage_close(s);
  lm_storage_close(NULL);
}

static lmopt_status say_member(void *userdata, const char *key, const char *json) {
  list_pair(userdata, key, json);
  return LMOPT_OK;
}

static void test_json(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "json");
  static const char *const right[] = {"[1, -2.5e-3, null, Infinity, 7]", " { \"a\" : 0.1 , \"b\":NaN } ", "-0.5", "[]"};
  for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
    assert_ok(b, lm_storage_set_attribute(s, LM_STUDY_USER, study, "k", right[i], &b->e));
  static const char *const wrong[] = {"[1,]", "{\"a\"}", "",    "[1",   "[1 2]",   "01",
                                      "1.",   "+1",      "nan", "[1]x", "\"\\x\"", "\"\\u12\""};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    assert_int_equal(lm_storage_set_attribute(s, LM_STUDY_USER, study, "k", wrong[i], &b->e), LMOPT_MISUSE);
  char deep[5000];
  memset(deep, '[', sizeof deep - 1);
  deep[sizeof deep - 1] = '\0';
  assert_int_equal(lm_storage_set_attribute(s, LM_STUDY_USER, study, "k", deep, &b->e), LMOPT_MISUSE);
  listing l = {""};
  assert_ok(b,
            lm_storage_read_object(
                s, "{\"\\u65e5\\n\\ud83d\\ude00\": [1, {\"k\": \"}\"}], \"a\\\"b\":9.300000000000000001 , \"\": null}",
                say_member, &l, &b->e));
  assert_string_equal(l.text, "\xE6\x97\xA5\n\xF0\x9F\x98\x80=[1, {\"k\": \"}\"}]\na\"b=9.300000000000000001\n=null\n");
  assert_int_equal(lm_storage_read_object(s, "[1]", say_member, &l, &b->e), LMOPT_STORAGE);
  assert_int_equal(lm_storage_read_object(s, "{\"\\u0000\": 1}", say_member, &l, &b->e), LMOPT_STORAGE);
  lm_storage_close(s);
}

/* --- calls and budgets --- */

static void say_call(void *userdata, const lm_stored_call *c) {
  listing *l = userdata;
  size_t used = strlen(l->text);
  snprintf(l->text + used, sizeof l->text - used, "%s %s %s %lld %lld %lld %.2f %.1f\n", c->model,
           c->request ? c->request : "-", c->reply ? c->reply : "-", c->cost.calls, c->cost.prompt_tokens,
           c->cost.completion_tokens, c->cost.usd, c->seconds);
}

static void test_calls(void **state) {
  bench *b = *state;
  lm_storage *s = open_file(b, LM_STORAGE_CREATE);
  lm_id study = make_study(b, s, "calls"), trial = insert(b, s, study, RUNNING), call[4];
  const lm_cost worst = {1, 100, 50, 0.25, 0, 0}, actual = {1, 90, 10, 0.05, 30, 4}, nothing = {0, 0, 0, 0, 0, 0};
  const lm_account limit = {.model = "", .limit = {4, -1, -1, -1, 1, -1}};
  lm_account found;
  assert_ok(b, lm_storage_account(s, study, "", &found, &b->e));
  assert_true(found.limit.calls < 0 && found.limit.usd < 0 && found.spent.calls == 0);
  assert_ok(b, lm_storage_reserve_call(s, study, trial, "k", "m", "ask", &worst, &call[0], &b->e));
  assert_ok(b, lm_storage_set_budget(s, study, &limit, 1, &b->e));
  assert_ok(b, lm_storage_reserve_call(s, study, trial, "k", "m", "ask", &worst, &call[1], &b->e));
  assert_ok(b, lm_storage_reserve_call(s, study, 0, "k", "m", NULL, &worst, &call[2], &b->e));
  assert_ok(b, lm_storage_settle_call(s, call[0], "reply one", &actual, 1.5, &b->e));
  assert_int_equal(lm_storage_settle_call(s, call[0], "reply one", &actual, 1.5, &b->e), LMOPT_MISUSE);
  assert_int_equal(lm_storage_settle_call(s, 77, "reply", &actual, 1.5, &b->e), LMOPT_NOT_FOUND);
  assert_ok(b, lm_storage_settle_call(s, call[1], NULL, &nothing, 0.5, &b->e));
  assert_ok(b, lm_storage_account(s, study, "", &found, &b->e));
  assert_true(found.limit.calls == 4 && found.limit.usd == 1 && found.limit.prompt_tokens == -1);
  assert_int_equal(found.spent.calls, 2); /* one settled, one under way */
  assert_int_equal(found.spent.prompt_tokens, 190);
  assert_int_equal(found.spent.cached_tokens, 30);
  assert_int_equal(found.spent.reasoning_tokens, 4);
  assert_true(fabs(found.spent.usd - 0.30) < 1e-12);
  const lm_cost dear = {1, 0, 0, 0.71, 0, 0};
  assert_int_equal(lm_storage_reserve_call(s, study, trial, "k", "m", "never", &dear, &call[3], &b->e), LMOPT_LIMIT);
  assert_non_null(strstr(b->e.text, "$1"));
  const lm_cost just = {1, 0, 0, 0.70, 0, 0};
  assert_ok(b, lm_storage_reserve_call(s, study, trial, "k", "m", "ask", &just, &call[3], &b->e));
  assert_ok(b, lm_storage_settle_call(s, call[3], "reply two", &actual, 1, &b->e));
  char *reply;
  const char *const replies[] = {"reply one", "reply two", NULL};
  for (size_t i = 0; i < 3; i++) {
    assert_ok(b, lm_storage_replay_call(s, trial, "k", i, &reply, &b->e));
    if (replies[i])
      assert_string_equal(reply, replies[i]);
    else
      assert_null(reply);
    lm_free(&b->allocator, reply);
  }
  assert_ok(b, lm_storage_replay_call(s, trial, "other", 0, &reply, &b->e));
  assert_null(reply);
  listing l = {""};
  assert_ok(b, lm_storage_calls(s, trial, say_call, &l, &b->e));
  assert_string_equal(l.text,
                      "m ask reply one 1 90 10 0.05 1.5\nm ask - 0 0 0 0.00 0.5\nm ask reply two 1 90 10 0.05 1.0\n");
  const lm_cost negative = {.calls = 1, .usd = -1};
  assert_int_equal(lm_storage_reserve_call(s, study, trial, "k", "m", "x", &negative, &call[3], &b->e), LMOPT_MISUSE);
  const lm_account tokens = {.model = "", .limit = {-1, -1, -1, 25, -1, -1}};
  const lm_cost ten = {.calls = 1, .completion_tokens = 10};
  assert_ok(b, lm_storage_set_budget(s, study, &tokens, 1, &b->e));
  assert_int_equal(lm_storage_reserve_call(s, study, trial, "k", "m", "x", &ten, &call[3], &b->e), LMOPT_LIMIT);
  lm_storage_close(s);
  assert_string_equal(
      ask_sql(b->path, "SELECT group_concat(text, ',') FROM (SELECT text FROM lmopt_texts ORDER BY text)"),
      "ask,reply one,reply two");
  assert_string_equal(ask_sql(b->path, "SELECT hash FROM lmopt_texts WHERE text = 'ask'"),
                      "2f2fc7f2e9ce13b09b84f63d54d0b4a59f4dbd46aea41da67023817e2d0c5e59");
}

/* --- no memory --- */

typedef struct failing {
  long long left; /* allocations until one fails; negative: never */
  long long live;
} failing;

static void *failing_alloc(void *userdata, void *block, size_t old_size, size_t size) {
  failing *f = userdata;
  (void)old_size;
  if (size == 0) {
    f->live -= block != NULL;
    free(block);
    return NULL;
  }
  if (f->left == 0) return NULL;
  if (f->left > 0) f->left--;
  if (!block) f->live++;
  return realloc(block, size);
}

static lmopt_status whole_life(bench *b, const lm_allocator *a, transcript *t) {
  lm_storage *s = NULL;
  lm_error *e = &b->e;
  lm_id study = 0, trial = 0, call = 0;
  long long number;
  const double value = 1;
  const bool minimize = false;
  const lm_cost cost = {.calls = 1, .prompt_tokens = 1, .completion_tokens = 1};
  char *json = NULL;
  size_t released;
  lm_trial_visitor visitor = speaking(t);
  lmopt_status status = lm_storage_open(a, b->path, LM_STORAGE_CREATE, &s, e);
  if (status != LMOPT_OK) return status;
  status = lm_storage_find_study(s, "m", &study, e);
  if (status == LMOPT_NOT_FOUND) status = lm_storage_create_study(s, "m", &minimize, 1, &study, e);
  if (status == LMOPT_OK) status = lm_storage_release_dead(s, study, &released, e);
  if (status == LMOPT_OK) status = lm_storage_begin(s, e);
  if (status == LMOPT_OK) status = lm_storage_insert_trial(s, study, RUNNING, NULL, NULL, &trial, &number, e);
  for (int i = 0; i < 3 && status == LMOPT_OK; i++)
    status = lm_storage_set_parameter(s, trial, i == 0 ? "a" : i == 1 ? "b" : "c", i, &ranges[i], e);
  if (status == LMOPT_OK) status = lm_storage_commit(s, e);
  if (status == LMOPT_OK) status = lm_storage_reserve_call(s, study, trial, "k", "m", "ask", &cost, &call, e);
  if (status == LMOPT_OK) status = lm_storage_settle_call(s, call, "reply", &cost, 1, e);
  if (status == LMOPT_OK) status = lm_storage_replay_call(s, trial, "k", 0, &json, e);
  lm_free(a, json);
  if (status == LMOPT_OK) status = lm_storage_finish_trial(s, trial, COMPLETE, &value, 1, false, e);
  if (status == LMOPT_OK) status = lm_storage_scan(s, study, 0, &visitor, e);
  if (status != LMOPT_OK) lm_storage_rollback(s);
  lm_storage_close(s);
  return status;
}

static void test_no_memory(void **state) {
  bench *b = *state;
  static transcript t;
  failing f = {-1, 0};
  lm_allocator a = {failing_alloc, &f};
  assert_ok(b, whole_life(b, &a, &t));
  assert_int_equal(f.live, 0);
  int failures = 0;
  for (long long i = 0;; i++) {
    f.left = i;
    lmopt_status status = whole_life(b, &a, &t);
    assert_int_equal(f.live, 0);
    if (status == LMOPT_OK) break;
    assert_int_equal(status, LMOPT_NO_MEMORY);
    assert_string_equal(b->e.text, "out of memory");
    failures++;
    assert_true(failures < 1000);
  }
  assert_true(failures > 10);
  assert_string_equal(ask_sql(b->path, "PRAGMA integrity_check"), "ok");
  assert_string_equal(ask_sql(b->path, "SELECT count(*) - max(number) FROM trials"), "1");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_round_trip),   bench_test(test_schema), bench_test(test_studies), bench_test(test_trial_rules),
      bench_test(test_transactions), bench_test(test_json),   bench_test(test_calls),   bench_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
