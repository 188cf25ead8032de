/*
** The tables: Optuna's (schema revision v3.2.0.a, in use since Optuna 3.2;
** optuna/storages/_rdb/models.py), statement by statement as it creates them,
** and lmopt's own.
*/
#include <stdio.h>
#include <string.h>

#include "io/storage_internal.h"

#define REVISION "v3.2.0.a"
enum { SCHEMA_VERSION = 12 /* frozen by Optuna */ };

static const char *const optuna_tables =
    "CREATE TABLE IF NOT EXISTS studies (study_id INTEGER NOT NULL, study_name VARCHAR(512) NOT NULL, PRIMARY KEY "
    "(study_id));"
    "CREATE UNIQUE INDEX IF NOT EXISTS ix_studies_study_name ON studies (study_name);"
    "CREATE TABLE IF NOT EXISTS version_info (version_info_id INTEGER NOT NULL, schema_version INTEGER, "
    "library_version VARCHAR(256), PRIMARY KEY (version_info_id), CHECK (version_info_id=1));"
    "CREATE TABLE IF NOT EXISTS study_directions (study_direction_id INTEGER NOT NULL, direction VARCHAR(8) NOT NULL, "
    "study_id INTEGER NOT NULL, objective INTEGER NOT NULL, PRIMARY KEY (study_direction_id), "
    "UNIQUE (study_id, objective), FOREIGN KEY(study_id) REFERENCES studies (study_id));"
    "CREATE TABLE IF NOT EXISTS study_user_attributes (study_user_attribute_id INTEGER NOT NULL, study_id INTEGER, "
    "\"key\" VARCHAR(512), value_json TEXT, PRIMARY KEY (study_user_attribute_id), UNIQUE (study_id, \"key\"), "
    "FOREIGN KEY(study_id) REFERENCES studies (study_id));"
    "CREATE TABLE IF NOT EXISTS study_system_attributes (study_system_attribute_id INTEGER NOT NULL, study_id INTEGER, "
    "\"key\" VARCHAR(512), value_json TEXT, PRIMARY KEY (study_system_attribute_id), UNIQUE (study_id, \"key\"), "
    "FOREIGN KEY(study_id) REFERENCES studies (study_id));"
    "CREATE TABLE IF NOT EXISTS trials (trial_id INTEGER NOT NULL, number INTEGER, study_id INTEGER, state VARCHAR(8) "
    "NOT NULL, "
    "datetime_start DATETIME, datetime_complete DATETIME, PRIMARY KEY (trial_id), "
    "FOREIGN KEY(study_id) REFERENCES studies (study_id));"
    "CREATE INDEX IF NOT EXISTS ix_trials_study_id ON trials (study_id);"
    "CREATE TABLE IF NOT EXISTS trial_user_attributes (trial_user_attribute_id INTEGER NOT NULL, trial_id INTEGER, "
    "\"key\" VARCHAR(512), value_json TEXT, PRIMARY KEY (trial_user_attribute_id), UNIQUE (trial_id, \"key\"), "
    "FOREIGN KEY(trial_id) REFERENCES trials (trial_id));"
    "CREATE TABLE IF NOT EXISTS trial_system_attributes (trial_system_attribute_id INTEGER NOT NULL, trial_id INTEGER, "
    "\"key\" VARCHAR(512), value_json TEXT, PRIMARY KEY (trial_system_attribute_id), UNIQUE (trial_id, \"key\"), "
    "FOREIGN KEY(trial_id) REFERENCES trials (trial_id));"
    "CREATE TABLE IF NOT EXISTS trial_params (param_id INTEGER NOT NULL, trial_id INTEGER, param_name VARCHAR(512), "
    "param_value FLOAT, distribution_json TEXT, PRIMARY KEY (param_id), UNIQUE (trial_id, param_name), "
    "FOREIGN KEY(trial_id) REFERENCES trials (trial_id));"
    "CREATE TABLE IF NOT EXISTS trial_values (trial_value_id INTEGER NOT NULL, trial_id INTEGER NOT NULL, objective "
    "INTEGER NOT NULL, "
    "value FLOAT, value_type VARCHAR(7) NOT NULL, PRIMARY KEY (trial_value_id), UNIQUE (trial_id, objective), "
    "FOREIGN KEY(trial_id) REFERENCES trials (trial_id));"
    "CREATE TABLE IF NOT EXISTS trial_intermediate_values (trial_intermediate_value_id INTEGER NOT NULL, trial_id "
    "INTEGER NOT NULL, "
    "step INTEGER NOT NULL, intermediate_value FLOAT, intermediate_value_type VARCHAR(7) NOT NULL, "
    "PRIMARY KEY (trial_intermediate_value_id), UNIQUE (trial_id, step), FOREIGN KEY(trial_id) REFERENCES trials "
    "(trial_id));"
    "CREATE TABLE IF NOT EXISTS trial_heartbeats (trial_heartbeat_id INTEGER NOT NULL, trial_id INTEGER NOT NULL, "
    "heartbeat DATETIME NOT NULL, PRIMARY KEY (trial_heartbeat_id), UNIQUE (trial_id), "
    "FOREIGN KEY(trial_id) REFERENCES trials (trial_id));";

static const char *const optuna_stamps =
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY "
    "(version_num));"
    "INSERT INTO version_info VALUES (1, 12, 'lmopt " LMOPT_VERSION
    "');"
    "INSERT INTO alembic_version VALUES ('" REVISION "');";

/* A study's limits and what is spent of them: of all its calls (model '') and of those to each model. */
#define BUDGETS(name)                                                                                         \
  "CREATE TABLE " name                                                                                        \
  " (study_id INTEGER NOT NULL, model TEXT NOT NULL, limit_calls INTEGER NOT NULL DEFAULT -1, "               \
  "limit_tokens INTEGER NOT NULL DEFAULT -1, limit_prompt_tokens INTEGER NOT NULL DEFAULT -1, "               \
  "limit_completion_tokens INTEGER NOT NULL DEFAULT -1, limit_usd REAL NOT NULL DEFAULT -1, "                 \
  "limit_seconds REAL NOT NULL DEFAULT -1, spent_calls INTEGER NOT NULL DEFAULT 0, "                          \
  "spent_prompt_tokens INTEGER NOT NULL DEFAULT 0, spent_completion_tokens INTEGER NOT NULL DEFAULT 0, "      \
  "spent_cached_tokens INTEGER NOT NULL DEFAULT 0, spent_reasoning_tokens INTEGER NOT NULL DEFAULT 0, "       \
  "spent_usd REAL NOT NULL DEFAULT 0, spent_seconds REAL NOT NULL DEFAULT 0, PRIMARY KEY (study_id, model)) " \
  "WITHOUT ROWID;"
#define CACHED "cached_tokens INTEGER NOT NULL DEFAULT 0"
/* What was answered in a trial, one row for each evaluation; `rows` is in lmopt_texts. */
#define PREDICTIONS                                                                                          \
  "CREATE TABLE lmopt_predictions (trial_id INTEGER NOT NULL, place INTEGER NOT NULL, about TEXT NOT NULL, " \
  "rows TEXT, PRIMARY KEY (trial_id, place)) WITHOUT ROWID;"
/* Score sheets: what one example's answer was worth, under a digest of all that decided it. */
#define CELLS                                                                                                  \
  "CREATE TABLE lmopt_cells (study_id INTEGER NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY " \
  "(study_id, key));"
#define REASONING "reasoning_tokens INTEGER NOT NULL DEFAULT 0"

/*
** Owner ids are never given twice (AUTOINCREMENT): a trial whose owner's row
** is gone must not fall to whoever comes next. The second index makes taking
** a queued trial independent of how many trials there are.
*/
static const char *const own_tables =
    "CREATE TABLE lmopt_version (version INTEGER NOT NULL, made_here INTEGER NOT NULL);"
    "CREATE TABLE lmopt_owners (owner_id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, boot TEXT NOT NULL, "
    "space TEXT NOT NULL, process INTEGER NOT NULL, start TEXT NOT NULL, heartbeat REAL NOT NULL);"
    "CREATE TABLE lmopt_trial_owners (trial_id INTEGER PRIMARY KEY, owner_id INTEGER NOT NULL);"
    "CREATE TABLE lmopt_studies (study_id INTEGER NOT NULL, key TEXT NOT NULL, value_json TEXT NOT NULL, "
    "PRIMARY KEY (study_id, key)) WITHOUT ROWID;"
    "CREATE TABLE lmopt_texts (hash TEXT NOT NULL PRIMARY KEY, text TEXT NOT NULL);"
    "CREATE TABLE lmopt_calls (call_id INTEGER PRIMARY KEY, study_id INTEGER NOT NULL, trial_id INTEGER, key TEXT NOT "
    "NULL, "
    "model TEXT NOT NULL, request TEXT, reply TEXT, state TEXT NOT NULL, calls INTEGER NOT NULL, prompt_tokens INTEGER "
    "NOT NULL, "
    "completion_tokens INTEGER NOT NULL, usd REAL NOT NULL, seconds REAL NOT NULL DEFAULT 0, made TEXT NOT "
    "NULL, " CACHED ", " REASONING
    ");"
    "CREATE INDEX lmopt_calls_trial ON lmopt_calls (trial_id, key);"
    "CREATE INDEX lmopt_calls_study ON lmopt_calls (study_id);" BUDGETS("lmopt_budgets") PREDICTIONS CELLS
    "CREATE INDEX lmopt_trials_number ON trials (study_id, number);"
    "CREATE INDEX lmopt_trials_waiting ON trials (study_id, number) WHERE state = 'WAITING';";

/* Version 1 had one row of a study, and four limits. */
static const char *const from_version_1 =
    "ALTER TABLE lmopt_calls ADD COLUMN " CACHED ";"
    "ALTER TABLE lmopt_calls ADD COLUMN " REASONING ";" BUDGETS(
        "lmopt_accounts") "INSERT INTO lmopt_accounts(study_id, model, limit_calls, limit_prompt_tokens, "
                          "limit_completion_tokens, limit_usd, "
                          "spent_calls, spent_prompt_tokens, spent_completion_tokens, spent_usd) "
                          "SELECT study_id, '', limit_calls, limit_prompt_tokens, limit_completion_tokens, limit_usd, "
                          "spent_calls, spent_prompt_tokens, spent_completion_tokens, spent_usd FROM lmopt_budgets;"
                          "INSERT INTO lmopt_accounts(study_id, model, spent_calls, spent_prompt_tokens, "
                          "spent_completion_tokens, spent_usd) "
                          "SELECT study_id, model, sum(calls), sum(prompt_tokens), sum(completion_tokens), total(usd) "
                          "FROM lmopt_calls WHERE model <> '' GROUP BY study_id, model;"
                          "DROP TABLE lmopt_budgets;"
                          "ALTER TABLE lmopt_accounts RENAME TO lmopt_budgets;"
                          "UPDATE lmopt_version SET version = 2";

/* Version 2 had no predictions. */
static const char *const from_version_2 = PREDICTIONS "UPDATE lmopt_version SET version = 3";

/* Version 3 had no score sheets. */
static const char *const from_version_3 = CELLS "UPDATE lmopt_version SET version = 4";

/* Every revision before ours; https://github.com/optuna/optuna/tree/master/optuna/storages/_rdb/alembic/versions */
static const char *const older_revisions[] = {"v0.9.0.a", "v1.2.0.a", "v1.3.0.a", "v2.4.0.a", "v2.6.0.a",
                                              "v3.0.0.a", "v3.0.0.b", "v3.0.0.c", "v3.0.0.d"};

static const char *const needed_tables[] = {"studies",
                                            "study_directions",
                                            "study_user_attributes",
                                            "study_system_attributes",
                                            "trials",
                                            "trial_params",
                                            "trial_values",
                                            "trial_intermediate_values",
                                            "trial_user_attributes",
                                            "trial_system_attributes"};

typedef struct look {
  const char *path;
  sqlite3 *database;
  lm_recognised *out;
  lm_error *e;
} look;

static lmopt_status look_failed(const look *l, int result) {
  l->out->unfinished = lm_storage_unfinished(result);
  return lm_storage_connection_fail(l->path, l->database, result, l->e);
}

/*
** The first row's first two columns. 1: a row, 0: none or no such table; else a
** negative status. `text` may be NULL.
*/
static int ask(const look *l, const char *sql, long long *number, char *text, size_t size) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(l->database, sql, -1, &statement, NULL);
  if (result == SQLITE_ERROR) return 0;
  if (result == SQLITE_OK) result = sqlite3_step(statement);
  int answer = result == SQLITE_ROW ? 1 : result == SQLITE_DONE ? 0 : (int)look_failed(l, result);
  if (answer == 1 && number) *number = sqlite3_column_int64(statement, 0);
  if (answer == 1 && text) {
    const char *found = lm_storage_column_text(statement, 0);
    snprintf(text, size, "%s", found ? found : "");
  }
  sqlite3_finalize(statement);
  return answer;
}

static lmopt_status check_needed(const look *l, bool *lacking) {
  for (size_t i = 0; i < sizeof needed_tables / sizeof needed_tables[0]; i++) {
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '%s'", needed_tables[i]);
    int found = ask(l, sql, NULL, NULL, 0);
    if (found < 0) return (lmopt_status)found;
    if (found) continue;
    bool essential = strcmp(needed_tables[i], "studies") == 0 || strcmp(needed_tables[i], "trials") == 0;
    if (essential)
      return lm_fail(l->e, LMOPT_STORAGE,
                     "'%s' is a database of something else (it has no table '%s'): give another file name", l->path,
                     needed_tables[i]);
    *lacking = true; /* Optuna makes what is missing, and so does lmopt when it may write */
  }
  return LMOPT_OK;
}

static lmopt_status check_revision(const look *l) {
  char revision[64] = "";
  int found = ask(l, "SELECT version_num FROM alembic_version", NULL, revision, sizeof revision);
  if (found < 0) return (lmopt_status)found;
  if (found) {
    if (strcmp(revision, REVISION) == 0) return LMOPT_OK;
    for (size_t i = 0; i < sizeof older_revisions / sizeof older_revisions[0]; i++)
      if (strcmp(revision, older_revisions[i]) == 0)
        return lm_fail(l->e, LMOPT_STORAGE,
                       "'%s' was written by an older Optuna (revision %s): run `optuna storage upgrade` first", l->path,
                       revision);
    return lm_fail(l->e, LMOPT_STORAGE, "'%s' was written by a newer Optuna (revision %.40s): a newer lmopt is needed",
                   l->path, revision);
  }
  long long version = SCHEMA_VERSION;
  found = ask(l, "SELECT schema_version FROM version_info", &version, NULL, 0);
  if (found < 0) return (lmopt_status)found;
  if (version == SCHEMA_VERSION) return LMOPT_OK;
  return lm_fail(l->e, LMOPT_STORAGE, "'%s' was written by %s Optuna (schema version %lld)%s", l->path,
                 version < SCHEMA_VERSION ? "an older" : "a newer", version,
                 version < SCHEMA_VERSION ? ": run `optuna storage upgrade` first" : ": a newer lmopt is needed");
}

static lmopt_status check_own(const look *l) {
  long long version = 0, made_here = 0;
  int found = ask(l, "SELECT max(version) FROM lmopt_version", &version, NULL, 0);
  if (found < 0) return (lmopt_status)found;
  if (version == 0) return LMOPT_OK;
  if (version > LM_OWN_VERSION)
    return lm_fail(l->e, LMOPT_STORAGE,
                   "'%s' was written by a newer lmopt (its own tables have version %lld, this one knows %d)", l->path,
                   version, LM_OWN_VERSION);
  found = ask(l, "SELECT max(made_here) FROM lmopt_version", &made_here, NULL, 0);
  if (found < 0) return (lmopt_status)found;
  l->out->own_tables = true;
  l->out->own_version = version;
  l->out->outdated = version < LM_OWN_VERSION;
  l->out->made_here = made_here != 0;
  return LMOPT_OK;
}

lmopt_status lm_storage_recognise(const char *path, sqlite3 *database, lm_recognised *out, lm_error *e) {
  look l = {path, database, out, e};
  memset(out, 0, sizeof *out);
  /* This read also tells whether it is a database at all, and sound. */
  int result = sqlite3_exec(database, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
  if (result != SQLITE_OK) return look_failed(&l, result);
  long long tables = 0;
  int found = ask(&l, "SELECT count(*) FROM sqlite_schema", &tables, NULL, 0);
  if (found < 0) return (lmopt_status)found;
  out->empty = tables == 0;
  if (out->empty) return LMOPT_OK;
  lmopt_status status = check_needed(&l, &out->lacking);
  if (status == LMOPT_OK) status = check_revision(&l);
  if (status == LMOPT_OK) status = check_own(&l);
  if (status == LMOPT_OK && out->lacking && out->own_tables)
    status = lm_fail(e, LMOPT_STORAGE, "'%s' is damaged: some of its tables are missing", path);
  return status;
}

lmopt_status lm_storage_create_tables(lm_storage *s, bool made_here, lm_error *e) {
  lmopt_status status = lm_storage_run_text(s, optuna_tables, e);
  if (status == LMOPT_OK && made_here) status = lm_storage_run_text(s, optuna_stamps, e);
  if (status == LMOPT_OK) status = lm_storage_run_text(s, own_tables, e);
  char sql[96];
  snprintf(sql, sizeof sql, "INSERT INTO lmopt_version VALUES (%d, %d)", LM_OWN_VERSION, made_here ? 1 : 0);
  return status == LMOPT_OK ? lm_storage_run_text(s, sql, e) : status;
}

lmopt_status lm_storage_update_tables(lm_storage *s, long long version, lm_error *e) {
  lmopt_status status = version < 2 ? lm_storage_run_text(s, from_version_1, e) : LMOPT_OK;
  if (status == LMOPT_OK && version < 3) status = lm_storage_run_text(s, from_version_2, e);
  return status == LMOPT_OK ? lm_storage_run_text(s, from_version_3, e) : status;
}
