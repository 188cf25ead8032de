#include "io/storage_internal.h"

/* The trials a scan visits: a study, above one id, up to another. */
#define SCANNED "t.study_id = ?1 AND t.trial_id > ?2 AND t.trial_id <= ?3"
#define ATTRIBUTE_SET(table, id)            \
  "INSERT INTO " table "(" id               \
  ", key, value_json) VALUES (?1, ?2, ?3) " \
  "ON CONFLICT(" id ", key) DO UPDATE SET value_json = excluded.value_json"
#define STUDY_ATTRIBUTES(table, column) "SELECT key, value_json FROM " table " WHERE study_id = ?1 ORDER BY " column
#define SCAN_ATTRIBUTES(table, column)                                     \
  "SELECT a.trial_id, a.key, a.value_json FROM trials t CROSS JOIN " table \
  " a "                                                                    \
  "ON a.trial_id = t.trial_id WHERE " SCANNED " ORDER BY t.trial_id, a." column
/* All rows of a table of trials' parts, as they were stored: whose they are is for the reader to see. */
#define WHOLE(columns, table, key) "SELECT " columns " FROM " table " ORDER BY " key
#define LIMITS "limit_calls, limit_tokens, limit_prompt_tokens, limit_completion_tokens, limit_usd, limit_seconds"
#define SPENT \
  "spent_calls, spent_prompt_tokens, spent_completion_tokens, spent_usd, spent_cached_tokens, spent_reasoning_tokens"
/* Costs are added to both accounts of a call, the whole's and the model's. */
#define ADDED(name, place) "spent_" name " = max(0, spent_" name " + " place ")"
#define ALL_ADDED                                                                                             \
  ADDED("calls", "?3")                                                                                        \
  ", " ADDED("prompt_tokens", "?4") ", " ADDED("completion_tokens", "?5") ", " ADDED("usd", "?6") ", " ADDED( \
      "cached_tokens", "?7") ", " ADDED("reasoning_tokens", "?8")
#define COSTS(of) \
  of "calls, " of "prompt_tokens, " of "completion_tokens, " of "usd, " of "cached_tokens, " of "reasoning_tokens"

const char *const lm_storage_sql[LM_SQL_COUNT] = {
    [LM_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [LM_SQL_BEGIN_READING] = "BEGIN",
    [LM_SQL_COMMIT] = "COMMIT",
    [LM_SQL_ROLLBACK] = "ROLLBACK",
    [LM_SQL_DATA_VERSION] = "PRAGMA data_version",

    [LM_SQL_STUDY_INSERT] = "INSERT INTO studies(study_name) VALUES (?1)",
    [LM_SQL_DIRECTION_INSERT] = "INSERT INTO study_directions(direction, study_id, objective) VALUES (?1, ?2, ?3)",
    [LM_SQL_STUDY_FIND] = "SELECT study_id FROM studies WHERE study_name = ?1",
    [LM_SQL_STUDY_NAME] = "SELECT study_name FROM studies WHERE study_id = ?1",
    [LM_SQL_STUDY_NAMES] = "SELECT study_name FROM studies ORDER BY study_id",
    [LM_SQL_STUDY_LIST] =
        "SELECT s.study_id, s.study_name, (SELECT count(*) FROM study_directions d WHERE d.study_id = s.study_id), "
        "total(t.state = 'RUNNING'), total(t.state = 'COMPLETE'), total(t.state = 'PRUNED'), total(t.state = 'FAIL'), "
        "total(t.state = 'WAITING'), min(t.datetime_start) "
        "FROM studies s LEFT JOIN trials t ON t.study_id = s.study_id GROUP BY s.study_id ORDER BY s.study_id",
    /* In row order, as Optuna reads them, not by `objective`. */
    [LM_SQL_DIRECTIONS] = "SELECT direction FROM study_directions WHERE study_id = ?1 ORDER BY study_direction_id",

    [LM_SQL_ATTRIBUTE_SET + LM_STUDY_USER] = ATTRIBUTE_SET("study_user_attributes", "study_id"),
    [LM_SQL_ATTRIBUTE_SET + LM_STUDY_SYSTEM] = ATTRIBUTE_SET("study_system_attributes", "study_id"),
    [LM_SQL_ATTRIBUTE_SET + LM_TRIAL_USER] = ATTRIBUTE_SET("trial_user_attributes", "trial_id"),
    [LM_SQL_ATTRIBUTE_SET + LM_TRIAL_SYSTEM] = ATTRIBUTE_SET("trial_system_attributes", "trial_id"),
    [LM_SQL_STUDY_ATTRIBUTES + LM_STUDY_USER] = STUDY_ATTRIBUTES("study_user_attributes", "study_user_attribute_id"),
    [LM_SQL_STUDY_ATTRIBUTES + LM_STUDY_SYSTEM] =
        STUDY_ATTRIBUTES("study_system_attributes", "study_system_attribute_id"),
    [LM_SQL_SCAN_ATTRIBUTES + 0] = SCAN_ATTRIBUTES("trial_user_attributes", "trial_user_attribute_id"),
    [LM_SQL_SCAN_ATTRIBUTES + 1] = SCAN_ATTRIBUTES("trial_system_attributes", "trial_system_attribute_id"),
    [LM_SQL_PROPERTY_SET] =
        "INSERT INTO lmopt_studies(study_id, key, value_json) VALUES (?1, ?2, ?3) "
        "ON CONFLICT(study_id, key) DO UPDATE SET value_json = excluded.value_json",
    [LM_SQL_PROPERTY_GET] = "SELECT value_json FROM lmopt_studies WHERE study_id = ?1 AND key = ?2",

    [LM_SQL_SCAN_TRIALS] =
        "SELECT t.trial_id, t.number, t.state, t.datetime_start, t.datetime_complete FROM trials t WHERE " SCANNED
        " ORDER BY t.trial_id",
    [LM_SQL_SCAN_PARAMETERS] =
        "SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json FROM trials t CROSS JOIN trial_params p "
        "ON p.trial_id = t.trial_id WHERE " SCANNED " ORDER BY t.trial_id, p.param_id",
    [LM_SQL_SCAN_VALUES] =
        "SELECT v.trial_id, v.objective, v.value, v.value_type FROM trials t CROSS JOIN trial_values v "
        "ON v.trial_id = t.trial_id WHERE " SCANNED " ORDER BY t.trial_id, v.objective",
    [LM_SQL_SCAN_REPORTS] =
        "SELECT i.trial_id, i.step, i.intermediate_value, i.intermediate_value_type FROM trials t "
        "CROSS JOIN trial_intermediate_values i ON i.trial_id = t.trial_id WHERE " SCANNED
        " ORDER BY t.trial_id, i.step",
    [LM_SQL_LAST_TRIAL] = "SELECT max(trial_id) FROM trials",
    [LM_SQL_WHOLE_PARAMETERS] =
        WHOLE("trial_id, param_name, param_value, distribution_json", "trial_params", "param_id"),
    [LM_SQL_WHOLE_VALUES] = WHOLE("trial_id, objective, value, value_type", "trial_values", "trial_value_id"),
    [LM_SQL_WHOLE_REPORTS] = WHOLE("trial_id, step, intermediate_value, intermediate_value_type",
                                   "trial_intermediate_values", "trial_intermediate_value_id"),
    [LM_SQL_WHOLE_ATTRIBUTES + 0] =
        WHOLE("trial_id, key, value_json", "trial_user_attributes", "trial_user_attribute_id"),
    [LM_SQL_WHOLE_ATTRIBUTES + 1] =
        WHOLE("trial_id, key, value_json", "trial_system_attributes", "trial_system_attribute_id"),
    [LM_SQL_TRIAL_STUDY] = "SELECT study_id FROM trials WHERE trial_id = ?1",
    [LM_SQL_TRIAL_NUMBER] =
        "SELECT t.number, s.study_name FROM trials t LEFT JOIN studies s ON s.study_id = t.study_id WHERE t.trial_id = "
        "?1",
    [LM_SQL_TRIAL_STATE] =
        "SELECT t.state, o.owner_id FROM trials t LEFT JOIN lmopt_trial_owners o ON o.trial_id = t.trial_id WHERE "
        "t.trial_id = ?1",
    /* The highest number is found through an index, where a count would read every trial. */
    [LM_SQL_TRIAL_INSERT] =
        "INSERT INTO trials(number, study_id, state, datetime_start, datetime_complete) "
        "SELECT (SELECT ifnull(max(number), -1) + 1 FROM trials WHERE study_id = ?1), ?1, ?2, ?3, ?4 "
        "FROM studies WHERE study_id = ?1 RETURNING trial_id, number",
    [LM_SQL_WAITING] =
        "SELECT trial_id, number FROM trials WHERE study_id = ?1 AND state = 'WAITING' ORDER BY number LIMIT 1",
    [LM_SQL_CLAIM] =
        "UPDATE trials SET state = 'RUNNING', datetime_start = ?2 WHERE trial_id = ?1 AND state = 'WAITING'",
    [LM_SQL_PARAMETER_SET] =
        "INSERT INTO trial_params(trial_id, param_name, param_value, distribution_json) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT(trial_id, param_name) DO UPDATE SET param_value = excluded.param_value, "
        "distribution_json = excluded.distribution_json",
    [LM_SQL_REPORT_SET] =
        "INSERT INTO trial_intermediate_values(trial_id, step, intermediate_value, intermediate_value_type) "
        "VALUES (?1, ?2, ?3, ?4) ON CONFLICT(trial_id, step) DO UPDATE SET "
        "intermediate_value = excluded.intermediate_value, intermediate_value_type = excluded.intermediate_value_type",
    [LM_SQL_VALUE_SET] =
        "INSERT INTO trial_values(trial_id, objective, value, value_type) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT(trial_id, objective) DO UPDATE SET value = excluded.value, value_type = excluded.value_type",
    [LM_SQL_FINISH] = "UPDATE trials SET state = ?2, datetime_complete = ?3 WHERE trial_id = ?1 AND state = 'RUNNING'",
    [LM_SQL_RELEASE] =
        "UPDATE trials SET state = 'WAITING', datetime_start = NULL WHERE trial_id = ?1 AND state = 'RUNNING'",
    [LM_SQL_REPORTS_DELETE] = "DELETE FROM trial_intermediate_values WHERE trial_id = ?1",
    /* Of several directions they are attributes; a semicolon comes after the colon. */
    [LM_SQL_VECTORS_DELETE] =
        "DELETE FROM trial_system_attributes WHERE trial_id = ?1 AND \"key\" >= 'lmopt:report:' AND \"key\" < "
        "'lmopt:report;'",

    [LM_SQL_OWNER_INSERT] =
        "INSERT INTO lmopt_owners(owner_id, host, boot, space, process, start, heartbeat) VALUES (?1, ?2, ?3, ?4, ?5, "
        "?6, ?7)",
    [LM_SQL_OWNER_BEAT] = "UPDATE lmopt_owners SET heartbeat = ?2 WHERE owner_id = ?1",
    [LM_SQL_OWNER_DELETE] = "DELETE FROM lmopt_owners WHERE owner_id = ?1",
    [LM_SQL_OWNED_INSERT] = "INSERT OR REPLACE INTO lmopt_trial_owners(trial_id, owner_id) VALUES (?1, ?2)",
    [LM_SQL_OWNED_DELETE] = "DELETE FROM lmopt_trial_owners WHERE trial_id = ?1",
    [LM_SQL_OWNED_ANY] = "SELECT 1 FROM lmopt_trial_owners WHERE owner_id <> ?1 LIMIT 1",
    /* CROSS: from the few that are owned, not from all trials of the study. */
    [LM_SQL_OWNED_LIST] =
        "SELECT t.trial_id, x.owner_id, o.host, o.boot, o.space, o.process, o.start, o.heartbeat "
        "FROM lmopt_trial_owners x CROSS JOIN trials t ON t.trial_id = x.trial_id "
        "LEFT JOIN lmopt_owners o ON o.owner_id = x.owner_id "
        "WHERE t.study_id = ?1 AND t.state = 'RUNNING' AND x.owner_id <> ?2 ORDER BY x.owner_id, t.trial_id",

    [LM_SQL_TEXT_INSERT] = "INSERT INTO lmopt_texts(hash, text) VALUES (?1, ?2) ON CONFLICT(hash) DO NOTHING",
    [LM_SQL_LIMITS_CLEAR] =
        "UPDATE lmopt_budgets SET limit_calls = -1, limit_tokens = -1, limit_prompt_tokens = -1, "
        "limit_completion_tokens = -1, limit_usd = -1, limit_seconds = -1 WHERE study_id = ?1",
    [LM_SQL_LIMIT_SET] =
        "INSERT INTO lmopt_budgets(study_id, model, " LIMITS
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
        "ON CONFLICT(study_id, model) DO UPDATE SET limit_calls = ?3, limit_tokens = ?4, limit_prompt_tokens = ?5, "
        "limit_completion_tokens = ?6, limit_usd = ?7, limit_seconds = ?8",
    [LM_SQL_ACCOUNT_GET] =
        "SELECT model, " LIMITS ", " SPENT
        ", spent_seconds FROM lmopt_budgets WHERE study_id = ?1 AND model IN (?2, ?3) ORDER BY model",
    [LM_SQL_ACCOUNT_LIST] =
        "SELECT model, " LIMITS ", " SPENT ", spent_seconds FROM lmopt_budgets WHERE study_id = ?1 ORDER BY model",
    [LM_SQL_ACCOUNT_SECONDS] =
        "INSERT INTO lmopt_budgets(study_id, model, spent_seconds) VALUES (?1, '', max(0.0, ?2)) "
        "ON CONFLICT(study_id, model) DO UPDATE SET spent_seconds = max(0.0, spent_seconds + ?2)",
    [LM_SQL_BUDGET_RESERVE] = "INSERT INTO lmopt_budgets(study_id, model, " SPENT
                              ") VALUES (?1, '', ?3, ?4, ?5, ?6, ?7, ?8), (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
                              "ON CONFLICT(study_id, model) DO UPDATE SET " ALL_ADDED,
    [LM_SQL_BUDGET_SETTLE] =
        "UPDATE lmopt_budgets SET " ALL_ADDED
        " WHERE study_id = ?1 AND model IN ('', (SELECT model FROM lmopt_calls WHERE call_id = ?2))",
    [LM_SQL_TRIAL_ACCOUNTS] =
        "SELECT model, sum(calls), sum(prompt_tokens), sum(completion_tokens), total(usd), sum(cached_tokens), "
        "sum(reasoning_tokens) FROM lmopt_calls WHERE trial_id = ?1 GROUP BY model ORDER BY model",
    [LM_SQL_CALL_INSERT] = "INSERT INTO lmopt_calls(study_id, trial_id, key, model, request, state, " COSTS(
        "") ", made) VALUES (?1, ?2, ?3, ?4, ?5, 'RESERVED', ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [LM_SQL_CALL_FIND] = "SELECT study_id, state, " COSTS("") " FROM lmopt_calls WHERE call_id = ?1",
    [LM_SQL_CALL_SETTLE] =
        "UPDATE lmopt_calls SET state = ?2, reply = ?3, calls = ?4, prompt_tokens = ?5, completion_tokens = ?6, "
        "usd = ?7, cached_tokens = ?8, reasoning_tokens = ?9, seconds = ?10 WHERE call_id = ?1",
    [LM_SQL_CALL_REPLAY] =
        "SELECT x.text FROM lmopt_calls c JOIN lmopt_texts x ON x.hash = c.reply "
        "WHERE c.trial_id = ?1 AND c.key = ?2 AND c.state = 'DONE' ORDER BY c.call_id LIMIT 1 OFFSET ?3",
    [LM_SQL_CALL_LIST] =
        "SELECT c.call_id, c.model, q.text, r.text, c.calls, c.prompt_tokens, c.completion_tokens, c.usd, c.seconds "
        "FROM lmopt_calls c LEFT JOIN lmopt_texts q ON q.hash = c.request LEFT JOIN lmopt_texts r ON r.hash = c.reply "
        "WHERE c.trial_id = ?1 ORDER BY c.call_id",
    [LM_SQL_PREDICTION_INSERT] =
        "INSERT INTO lmopt_predictions(trial_id, place, about, rows) "
        "VALUES (?1, (SELECT count(*) FROM lmopt_predictions WHERE trial_id = ?1), ?2, ?3)",
    [LM_SQL_PREDICTION_COPY] =
        "INSERT INTO lmopt_predictions(trial_id, place, about, rows) "
        "SELECT ?2, place, about, rows FROM lmopt_predictions WHERE trial_id = ?1",
    [LM_SQL_PREDICTION_LIST] =
        "SELECT p.about, x.text FROM lmopt_predictions p LEFT JOIN lmopt_texts x ON x.hash = p.rows "
        "WHERE p.trial_id = ?1 ORDER BY p.place",
    [LM_SQL_CELL_INSERT] = "INSERT OR IGNORE INTO lmopt_cells(study_id, key, record) VALUES (?1, ?2, ?3)",
    [LM_SQL_CELL_GET] = "SELECT record FROM lmopt_cells WHERE study_id = ?1 AND key = ?2",
    [LM_SQL_CELL_LIST] = "SELECT key, record FROM lmopt_cells WHERE study_id = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
};
