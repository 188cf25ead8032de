/*
** Files of Optuna's: what a scan gives is what Optuna itself read from the
** same file (tests/data/optuna-fixture-expected.json), field by field.
**
** Both sides become rows (kind, id, a, b, c) of an in-memory database, where
** SQLite's JSON functions take the expectation apart; neither may have a row the
** other lacks. Numbers are compared as %.17g of what strtod makes of their text.
*/
#include "test_storage_support.h"

typedef struct comparison {
  bench *b;
  lm_storage *s;
  sqlite3 *db;
  sqlite3_stmt *add;
  lm_id trial;
  int place;
} comparison;

static void number_text(double value, char text[40]) {
  if (isnan(value))
    strcpy(text, "nan");
  else
    snprintf(text, 40, "%.17g", value);
}

/* SQL: num(JSON text of a number, or of one of "inf", "-inf", "nan") */
static void num(sqlite3_context *context, int count, sqlite3_value **arguments) {
  (void)count;
  const char *text = (const char *)sqlite3_value_text(arguments[0]);
  if (!text) return;
  if (*text == '"') text++;
  char *end, out[40];
  number_text(strtod(text, &end), out);
  if (end == text)
    sqlite3_result_error(context, "not a number", -1);
  else
    sqlite3_result_text(context, out, -1, SQLITE_TRANSIENT);
}

static void add(comparison *c, const char *kind, lm_id id, const char *a, const char *b, const char *value) {
  sqlite3_bind_text(c->add, 1, kind, -1, SQLITE_STATIC);
  sqlite3_bind_int64(c->add, 2, id);
  sqlite3_bind_text(c->add, 3, a, -1, SQLITE_STATIC);
  sqlite3_bind_text(c->add, 4, b, -1, SQLITE_STATIC);
  sqlite3_bind_text(c->add, 5, value, -1, SQLITE_STATIC);
  assert_int_equal(sqlite3_step(c->add), SQLITE_DONE);
  sqlite3_reset(c->add);
}

static void add_number(comparison *c, const char *kind, lm_id id, long long place, const char *b, double value) {
  char a[32], text[40];
  snprintf(a, sizeof a, "%lld", place);
  number_text(value, text);
  add(c, kind, id, a, b, text);
}

static lmopt_status got_trial(void *userdata, const lm_stored_trial *t) {
  static const char *const states[] = {"RUNNING", "COMPLETE", "PRUNED", "FAIL", "WAITING"};
  char number[32], dates[100];
  snprintf(number, sizeof number, "%lld", t->number);
  snprintf(dates, sizeof dates, "%s|%s", t->start ? t->start : "", t->complete ? t->complete : "");
  add(userdata, "trial", t->trial, number, states[t->state], dates);
  return LMOPT_OK;
}

static lmopt_status got_parameter(void *userdata, lm_id trial, const char *name, double internal,
                                  const lm_distribution *d) {
  static const char *const classes[] = {"FloatDistribution", "IntDistribution", "CategoricalDistribution"};
  comparison *c = userdata;
  char text[40];
  c->place = c->trial == trial ? c->place + 1 : 0;
  c->trial = trial;
  add_number(c, "parameter", trial, c->place, name, internal);
  add(c, "class", trial, name, "", classes[d->kind]);
  if (d->kind == LM_CATEGORICAL) {
    add(c, "choices json", trial, name, "", d->choices);
    return LMOPT_OK;
  }
  number_text(d->low, text);
  add(c, "bound", trial, name, "low", text);
  number_text(d->high, text);
  add(c, "bound", trial, name, "high", text);
  number_text(d->step, text);
  add(c, "bound", trial, name, "step", text);
  add(c, "bound", trial, name, "log", d->log ? "1" : "0");
  return LMOPT_OK;
}

static lmopt_status got_value(void *userdata, lm_id trial, size_t objective, double value) {
  add_number(userdata, "value", trial, (long long)objective, "", value);
  return LMOPT_OK;
}

static lmopt_status got_report(void *userdata, lm_id trial, long long step, double value) {
  add_number(userdata, "report", trial, step, "", value);
  return LMOPT_OK;
}

static lmopt_status got_attribute(void *userdata, lm_id trial, lm_scope scope, const char *key, const char *json) {
  add(userdata, "attribute json", trial, scope == LM_TRIAL_USER ? "user_attrs" : "system_attrs", key, json);
  return LMOPT_OK;
}

typedef struct study_side {
  comparison *c;
  lm_id study;
  const char *scope;
} study_side;

static void got_study_attribute(void *userdata, const char *key, const char *json) {
  study_side *side = userdata;
  add(side->c, "attribute json", -side->study, side->scope, key, json);
}

/* The callback may read something else, though not list again. */
static void got_study(void *userdata, const lm_study_summary *summary) {
  comparison *c = userdata;
  bool maximize[8];
  size_t objectives;
  study_side user = {c, summary->study, "user_attrs"}, system = {c, summary->study, "system_attrs"};
  add(c, "study", summary->study, summary->name, "", "");
  assert_ok(c->b, lm_storage_directions(c->s, summary->study, maximize, 8, &objectives, &c->b->e));
  assert_int_equal(objectives, summary->objectives);
  for (size_t i = 0; i < objectives; i++) {
    char place[32];
    snprintf(place, sizeof place, "%zu", i);
    add(c, "direction", summary->study, place, "", maximize[i] ? "MAXIMIZE" : "MINIMIZE");
  }
  assert_ok(c->b,
            lm_storage_study_attributes(c->s, LM_STUDY_USER, summary->study, got_study_attribute, &user, &c->b->e));
  assert_ok(c->b,
            lm_storage_study_attributes(c->s, LM_STUDY_SYSTEM, summary->study, got_study_attribute, &system, &c->b->e));
  lm_trial_visitor visitor = {c, got_trial, got_parameter, got_value, got_report, got_attribute};
  assert_ok(c->b, lm_storage_scan(c->s, summary->study, 0, &visitor, &c->b->e));
}

/* A JSON text as the sequence of its nodes: spelling does not matter, order does. */
#define NODES(json)                                                                                                   \
  "(SELECT group_concat(coalesce(n.key, '') || ' ' || n.type || ' ' || coalesce(n.atom, ''), char(10)) FROM (SELECT " \
  "* FROM json_tree(" json ") ORDER BY id) n)"

static const char *const take_apart =
    "CREATE TEMP TABLE studies AS SELECT value ->> '$.study_id' AS id, value AS j FROM doc, json_each(doc.j, '$.studies');"
    "CREATE TEMP TABLE trials AS SELECT t.value ->> '$.trial_id' AS id, t.value AS j FROM studies s, json_each(s.j, '$.trials') t;"
    "INSERT INTO want SELECT 'study', id, j ->> '$.name', '', '' FROM studies;"
    "INSERT INTO want SELECT 'direction', s.id, d.key, '', d.value FROM studies s, json_each(s.j, '$.directions') d;"
    "INSERT INTO want SELECT 'trial', id, j ->> '$.number', j ->> '$.state', "
    "  coalesce(j ->> '$.datetime_start_utc', '') || '|' || coalesce(j ->> '$.datetime_complete_utc', '') FROM trials;"
    "INSERT INTO want SELECT 'value', t.id, v.key, '', num(t.j -> v.fullkey) FROM trials t, json_each(t.j, '$.values') v WHERE v.type <> 'null';"
    "INSERT INTO want SELECT 'report', t.id, r.value ->> '$[0]', '', num(r.value -> '$[1]') FROM trials t, json_each(t.j, '$.intermediate') r;"
    "INSERT INTO want SELECT 'parameter', t.id, p.key, p.value ->> '$[0]', num(t.j -> ('$.internal.\"' || (p.value ->> '$[0]') || '\"')) FROM trials t, json_each(t.j, '$.params') p;"
    "INSERT INTO want SELECT 'class', t.id, d.key, '', d.value ->> '$[0]' FROM trials t, json_each(t.j, '$.distributions') d;"
    "INSERT INTO want SELECT 'bound', t.id, d.key, a.key, CASE a.type WHEN 'true' THEN '1' WHEN 'false' THEN '0' WHEN 'null' THEN '0' ELSE num(d.value -> '$[1]' -> a.fullkey) END "
    "  FROM trials t, json_each(t.j, '$.distributions') d, json_each(d.value -> '$[1]') a WHERE a.key <> 'choices';"
    "INSERT INTO want SELECT 'choices', t.id, d.key, '', " NODES("d.value -> '$[1].choices'") " FROM trials t, json_each(t.j, '$.distributions') d WHERE d.value -> '$[1].choices' IS NOT NULL;"
    "INSERT INTO want SELECT 'attribute', t.id, scope, a.key, " NODES("t.j -> a.fullkey") " FROM trials t, (SELECT 'user_attrs' AS scope UNION SELECT 'system_attrs'), json_each(t.j, '$.' || scope) a;"
    "INSERT INTO want SELECT 'attribute', -s.id, scope, a.key, " NODES("s.j -> a.fullkey") " FROM studies s, (SELECT 'user_attrs' AS scope UNION SELECT 'system_attrs'), json_each(s.j, '$.' || scope) a;"
    /* Optuna's reader spelled these choices as texts. */
    "INSERT INTO got SELECT 'choices', id, a, '', " NODES("replace(replace(c, 'NaN', '\"nan\"'), 'Infinity', '\"inf\"')") " FROM got WHERE kind = 'choices json';"
    "INSERT INTO got SELECT 'attribute', id, a, b, " NODES("c") " FROM got WHERE kind = 'attribute json';"
    /* The expectation abbreviates long runs of hexadecimal digits to "<2045 hex chars>". */
    "UPDATE got SET c = ' text <' || (length(c) - 6) || ' hex chars>' "
    "  WHERE kind = 'attribute' AND b LIKE 'cma%:optimizer:%' AND substr(c, 1, 6) = ' text ' AND NOT substr(c, 7) GLOB '*[^0-9a-f]*';"
    "DELETE FROM got WHERE kind IN ('choices json', 'attribute json');";

static void expect_no_row(sqlite3 *db, const char *sql, const char *what) {
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  if (sqlite3_step(statement) == SQLITE_ROW)
    fail_msg("%s: %s %s %s %s = %s", what, sqlite3_column_text(statement, 0), sqlite3_column_text(statement, 1),
             sqlite3_column_text(statement, 2), sqlite3_column_text(statement, 3), sqlite3_column_text(statement, 4));
  sqlite3_finalize(statement);
}

static void compare(bench *b, lm_storage *s) {
  comparison c = {.b = b, .s = s};
  sqlite3_stmt *statement;
  char *expected = read_text("tests/data/optuna-fixture-expected.json"), *message = NULL;
  assert_int_equal(sqlite3_open(":memory:", &c.db), SQLITE_OK);
  sqlite3_create_function(c.db, "num", 1, SQLITE_UTF8, NULL, num, NULL, NULL);
  assert_int_equal(sqlite3_exec(c.db,
                                "CREATE TABLE doc(j); CREATE TABLE want(kind TEXT, id INTEGER, a TEXT, b TEXT, c "
                                "TEXT); CREATE TABLE got(kind TEXT, id INTEGER, a TEXT, b TEXT, c TEXT)",
                                NULL, NULL, NULL),
                   SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(c.db, "INSERT INTO doc VALUES (?1)", -1, &statement, NULL), SQLITE_OK);
  sqlite3_bind_text(statement, 1, expected, -1, SQLITE_STATIC);
  assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
  sqlite3_finalize(statement);
  assert_int_equal(sqlite3_prepare_v2(c.db, "INSERT INTO got VALUES (?1, ?2, ?3, ?4, ?5)", -1, &c.add, NULL),
                   SQLITE_OK);
  assert_ok(b, lm_storage_list(s, got_study, &c, &b->e));
  sqlite3_finalize(c.add);
  if (sqlite3_exec(c.db, take_apart, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
  expect_no_row(c.db, "SELECT * FROM want EXCEPT SELECT * FROM got", "not read");
  expect_no_row(c.db, "SELECT * FROM got EXCEPT SELECT * FROM want", "read, but not there");
  expect_no_row(c.db, "SELECT count(*), 'rows', '', '', '' FROM want HAVING count(*) < 900", "too little was compared");
  expect_no_row(c.db,
                "SELECT (SELECT count(*) FROM want), (SELECT count(*) FROM got), 'rows', '', '' WHERE (SELECT count(*) "
                "FROM want) <> (SELECT count(*) FROM got)",
                "rows twice");
  sqlite3_close(c.db);
  free(expected);
}

static void test_fixture(void **state) {
  bench *b = *state;
  copy_file("tests/data/optuna-fixture.db", b->path);
  uint64_t before = folder_hash(b->folder);
  lm_storage *s = open_file(b, LM_STORAGE_READ_ONLY);
  compare(b, s);
  lm_storage_close(s);
  assert_true(folder_hash(b->folder) == before);
  s = open_file(b, 0); /* with lmopt's tables beside them, nothing else changes */
  compare(b, s);
  lm_storage_close(s);
  assert_string_equal(ask_sql(b->path, "PRAGMA journal_mode"), "delete");
}

static const char handmade[] =
    "trial 0 COMPLETE started ended\ntrial 1 COMPLETE started ended\ntrial 2 PRUNED started ended\ntrial 3 FAIL "
    "started ended\n"
    "trial 4 RUNNING started\ntrial 5 WAITING\n"
    "1 lr=0.001 float [1.0000000000000001e-05,0.10000000000000001] step 0 log \n1 units=48 int [16,128] step 16 \n"
    "1 act=1 categorical [0,3] step 0 [null, true, \"relu\", 2.5]\n"
    "2 lr=0.01 float [1.0000000000000001e-05,0.10000000000000001] step 0 log \n2 units=128 int [16,128] step 16 \n"
    "2 act=0 categorical [0,3] step 0 [null, true, \"relu\", 2.5]\n"
    "1 value 0 0.25\n2 value 0 inf\n3 value 0 3.5\n"
    "1 report 0 1\n1 report 1 nan\n1 report 2 inf\n1 report 3 0.25\n3 report 0 3.5\n"
    "1 user note {\"a\":[1,2]}\n1 system constraints:c -0.5\n6 system fixed_params "
    "{\"lr\":0.02,\"units\":64,\"act\":\"relu\"}\n";

static void test_handmade(void **state) {
  bench *b = *state;
  static transcript t;
  char *sql = read_text("tests/data/optuna-handmade.sql");
  run_sql(b->path, sql);
  free(sql);
  for (int round = 0; round < 2; round++) {
    lm_storage *s = open_file(b, round ? 0 : LM_STORAGE_READ_ONLY);
    lm_id study, trial;
    long long number;
    lm_trial_visitor visitor = speaking(&t);
    assert_ok(b, lm_storage_find_study(s, "hand", &study, &b->e));
    assert_ok(b, lm_storage_scan(s, study, 0, &visitor, &b->e));
    assert_string_equal(t.text, handmade);
    if (round) { /* the queued trial is taken, the next one is numbered after it, Optuna's running one is left alone */
      size_t released;
      assert_ok(b, lm_storage_release_dead(s, study, &released, &b->e));
      assert_int_equal(released, 0);
      assert_ok(b, lm_storage_claim_trial(s, study, &trial, &number, &b->e));
      assert_int_equal(number, 5);
      assert_ok(b, lm_storage_insert_trial(s, study, RUNNING, NULL, NULL, &trial, &number, &b->e));
      assert_int_equal(number, 6);
    }
    lm_storage_close(s);
  }
}

/* --- every spelling of a distribution --- */

static lmopt_status scan_with(bench *b, const char *json, double value, transcript *t) {
  copy_file("tests/data/optuna-fixture.db", b->path);
  lm_storage *s = open_file(b, 0);
  lm_id study = make_study(b, s, "forms");
  lm_id trial = insert(b, s, study, WAITING);
  lm_storage_close(s);
  char *sql = sqlite3_mprintf(
      "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES (%lld, 'p', %.17g, %Q)",
      trial, value, json);
  run_sql(b->path, sql);
  sqlite3_free(sql);
  s = open_file(b, LM_STORAGE_READ_ONLY);
  lm_trial_visitor visitor = speaking(t);
  lmopt_status status = lm_storage_scan(s, study, 0, &visitor, &b->e);
  lm_storage_close(s);
  return status;
}

static void test_forms(void **state) {
  bench *b = *state;
  static transcript t;
  static const struct {
    const char *json, *wanted;
  } forms[] = {
      {"{\"attributes\": {\"high\": 2, \"low\": 1}, \"name\": \"FloatDistribution\", \"more\": [1]}",
       "float [1,2] step 0"},
      {"{\"type\":\"float\",\"low\":0.5,\"high\":2.0,\"log\":true,\"step\":null}", "float [0.5,2] step 0 log"},
      {"{\"type\":\"int\",\"low\":1,\"high\":9,\"step\":3}", "int [1,7] step 3"},
      {"{\"type\":\"categorical\",\"choices\":[1, true, 1.0, \"\\u65e5\\n\"]}",
       "categorical [0,3] step 0 [1, true, 1.0, \"\xE6\x97\xA5\\n\"]"},
      {"{\"name\": \"UniformDistribution\", \"attributes\": {\"low\": 0.1, \"high\": 1e3}}",
       "float [0.10000000000000001,1000] step 0"},
      {"{\"name\": \"LogUniformDistribution\", \"attributes\": {\"low\": 0.1, \"high\": 10}}",
       "float [0.10000000000000001,10] step 0 log"},
      {"{\"name\": \"DiscreteUniformDistribution\", \"attributes\": {\"low\": 0, \"high\": 1.1, \"q\": 0.25}}",
       "float [0,1] step 0.25"},
      {"{\"name\": \"IntUniformDistribution\", \"attributes\": {\"low\": -3, \"high\": 4, \"step\": 2}}",
       "int [-3,3] step 2"},
      {"{\"name\": \"IntLogUniformDistribution\", \"attributes\": {\"low\": 1, \"high\": 64, \"step\": 1}}",
       "int [1,64] step 1 log"},
      {"{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [NaN, Infinity, -Infinity, \"NaN\", 1e5, "
       "-0.0, 3]}}",
       "categorical [0,6] step 0 [NaN, Infinity, -Infinity, \"NaN\", 100000.0, -0.0, 3]"},
      {"{\"name\": \"FloatDistribution\", \"attributes\": {\"low\": 0.10000000000000001, \"high\": "
       "0.1234567890123456789, \"step\": null, \"log\": false}}",
       "float [0.10000000000000001,0.12345678901234568] step 0"},
  };
  for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
    assert_ok(b, scan_with(b, forms[i].json, 1, &t));
    if (!strstr(t.text, forms[i].wanted)) fail_msg("%s: %s", forms[i].json, t.text);
  }
}

static void test_malformed(void **state) {
  bench *b = *state;
  static transcript t;
  static const char *const wrong[] = {
      "",
      "{",
      "[]",
      "{}",
      "null",
      "{\"name\": \"FloatDistribution\"}",
      "{\"name\": \"FloatDistribution\", \"attributes\": {}}",
      "{\"name\": \"FloatDistribution\", \"attributes\": {\"low\": \"0\", \"high\": 1}}",
      "{\"name\": \"FloatDistribution\", \"attributes\": {\"low\": 2, \"high\": 1}}",
      "{\"name\": \"FloatDistribution\", \"attributes\": {\"low\": NaN, \"high\": 1}}",
      "{\"name\": \"FloatDistribution\", \"attributes\": {\"low\": 0, \"high\": 1, \"log\": true}}",
      "{\"name\": \"FloatDistribution\", \"attributes\": {\"low\": 0, \"high\": 1, \"extra\": true}}",
      "{\"name\": \"BetaDistribution\", \"attributes\": {\"low\": 0, \"high\": 1}}",
      "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": []}}",
      "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [1]}}", /* the index is 1 */
      "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"a\", [1]]}}",
      "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [\"\\u0000\", 1]}}",
      "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": 7}}",
  };
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    lmopt_status status = scan_with(b, wrong[i], 1, &t);
    if (status != LMOPT_STORAGE || !strstr(b->e.text, "study 'forms', trial 0: ") || !strstr(b->e.text, "'p'"))
      fail_msg("%s: %d %s", wrong[i], status, b->e.text);
  }
  static const char *const breaks[] = {
      "UPDATE trials SET state = 'running' WHERE trial_id = 2",
      "UPDATE trials SET number = NULL WHERE trial_id = 2",
      "UPDATE trials SET number = 5 WHERE trial_id = 2",
      "UPDATE trial_values SET value = 1 WHERE trial_id = 2",
      "UPDATE trial_values SET value_type = 'finite' WHERE trial_id = 2",
      "UPDATE trial_values SET value_type = 'FINITE' WHERE trial_id = 2",
      "INSERT INTO trial_intermediate_values(trial_id, step, intermediate_value_type) VALUES (2, 9, 'FINITE')",
      "UPDATE trial_params SET param_value = NULL WHERE trial_id = 2",
      "UPDATE trial_params SET distribution_json = NULL WHERE trial_id = 2",
      "INSERT INTO trial_user_attributes(trial_id, key, value_json) VALUES (2, 'bad', '{')",
      "INSERT INTO trial_system_attributes(trial_id, key, value_json) VALUES (2, 'bad', NULL)",
  };
  for (size_t i = 0; i < sizeof breaks / sizeof breaks[0]; i++) {
    copy_file("tests/data/optuna-fixture.db", b->path);
    run_sql(b->path, breaks[i]);
    lm_storage *s = open_file(b, LM_STORAGE_READ_ONLY);
    lm_trial_visitor visitor = speaking(&t);
    lmopt_status status = lm_storage_scan(s, 1, 0, &visitor, &b->e);
    lm_storage_close(s);
    if (status != LMOPT_STORAGE || !strstr(b->e.text, "study 'single', trial "))
      fail_msg("%s: %d %s", breaks[i], status, b->e.text);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      bench_test(test_fixture),
      bench_test(test_handmade),
      bench_test(test_forms),
      bench_test(test_malformed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
