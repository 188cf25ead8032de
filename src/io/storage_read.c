/*
** Reading trials: one statement for each kind of row.
**
** Some trials are read through the index of each table. When most trials of a
** file are wanted, each table is read from its beginning to its end instead,
** and rows of other studies are passed over: half of the time.
*/
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "io/storage_internal.h"

/* Trials whose ids follow one another. */
typedef struct span {
  lm_id first, last;
} span;

typedef struct scan {
  lm_storage *s;
  const lm_trial_visitor *visitor;
  lm_id study, after, last;
  long long expected; /* the next trial's number; -1: any */
  lm_scope scope;
  bool whole;  /* tables are read whole: */
  span *spans; /* which trials are the study's, ascending */
  size_t span_count, span_capacity, span_seen;
  size_t visited; /* trials */
  lm_error *e;
} scan;

/* Enum texts differ in their first letters; the rest must be right all the same. */
int lm_storage_read_state(const char *text) {
  if (!text) return -1;
  switch (text[0]) {
    case 'R': return strcmp(text, "RUNNING") == 0 ? LM_STORED_RUNNING : -1;
    case 'C': return strcmp(text, "COMPLETE") == 0 ? LM_STORED_COMPLETE : -1;
    case 'P': return strcmp(text, "PRUNED") == 0 ? LM_STORED_PRUNED : -1;
    case 'F': return strcmp(text, "FAIL") == 0 ? LM_STORED_FAIL : -1;
    case 'W': return strcmp(text, "WAITING") == 0 ? LM_STORED_WAITING : -1;
    default: return -1;
  }
}

static lmopt_status fail_with(scan *c, lm_id trial, const char *format, const char *text) {
  char what[300];
  snprintf(what, sizeof what, format, text ? text : "NULL");
  return lm_storage_fail_trial(c->s, trial, what, c->e);
}

static lmopt_status note_trial(scan *c, lm_id trial) {
  c->visited++;
  span *last = c->span_count > 0 ? &c->spans[c->span_count - 1] : NULL;
  if (last && last->last + 1 == trial) {
    last->last = trial;
    return LMOPT_OK;
  }
  if (!lm_grow(&c->s->allocator, &c->spans, &c->span_capacity, c->span_count + 1, sizeof *c->spans))
    return lm_fail_memory(c->e);
  c->spans[c->span_count++] = (span){trial, trial};
  return LMOPT_OK;
}

/* Is it one of the trials that were visited? Neighbouring rows have neighbouring trials. */
static bool was_visited(scan *c, lm_id trial) {
  if (c->span_count == 0) return false;
  const span *seen = &c->spans[c->span_seen];
  if (trial >= seen->first && trial <= seen->last) return true;
  size_t low = 0, high = c->span_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (c->spans[middle].last < trial)
      low = middle + 1;
    else
      high = middle;
  }
  if (low == c->span_count || trial < c->spans[low].first) return false;
  c->span_seen = low;
  return true;
}

static lmopt_status visit_trial(scan *c, sqlite3_stmt *row) {
  lm_stored_trial t = {.trial = sqlite3_column_int64(row, 0),
                       .number = sqlite3_column_int64(row, 1),
                       .state = lm_storage_read_state(lm_storage_column_text(row, 2)),
                       .start = lm_storage_column_text(row, 3),
                       .complete = lm_storage_column_text(row, 4)};
  if (t.state < 0) return fail_with(c, t.trial, "its state is '%.40s', which is none", lm_storage_column_text(row, 2));
  if (sqlite3_column_type(row, 1) != SQLITE_INTEGER || t.number < 0)
    return fail_with(c, t.trial, "its number is '%.40s'", lm_storage_column_text(row, 1));
  if (c->expected >= 0 && t.number != c->expected) {
    char expected[32];
    snprintf(expected, sizeof expected, "%lld", c->expected);
    return fail_with(c, t.trial, "trial %s should come here: the numbers have a hole, or one twice", expected);
  }
  if (c->expected >= 0 || c->after > 0) c->expected = t.number + 1;
  lmopt_status status = note_trial(c, t.trial);
  if (status != LMOPT_OK) return status;
  return c->visitor->trial ? c->visitor->trial(c->visitor->userdata, &t) : LMOPT_OK;
}

static lmopt_status visit_parameter(scan *c, sqlite3_stmt *row) {
  lm_id trial = sqlite3_column_int64(row, 0);
  const char *name = lm_storage_column_text(row, 1), *text = lm_storage_column_text(row, 3);
  if (!name) return fail_with(c, trial, "a parameter's name is %s", NULL);
  double value = sqlite3_column_double(row, 2);
  if (value == 0 && sqlite3_column_type(row, 2) == SQLITE_NULL)
    return fail_with(c, trial, "the parameter '%.100s' has no value", name);
  if (!text) return fail_with(c, trial, "the parameter '%.100s' has no distribution", name);
  lm_error why;
  const lm_distribution *d = lm_storage_intern(c->s, text, (size_t)sqlite3_column_bytes(row, 3), &why);
  if (!d && why.status == LMOPT_NO_MEMORY) return lm_fail_memory(c->e);
  if (!d) {
    char what[300];
    snprintf(what, sizeof what, "the distribution of the parameter '%.100s' is wrong: %.150s", name, why.text);
    return lm_storage_fail_trial(c->s, trial, what, c->e);
  }
  if (d->kind == LM_CATEGORICAL && !(value >= 0 && value < (double)d->count && value == floor(value)))
    return fail_with(c, trial, "the value of the parameter '%.100s' is no index of its choices", name);
  return c->visitor->parameter(c->visitor->userdata, trial, name, value, d);
}

/* A number and its type in the columns `at` and `at + 1`; false: they contradict each other. */
static bool read_number(sqlite3_stmt *row, int at, double *value) {
  const char *type = lm_storage_column_text(row, at + 1);
  bool null = sqlite3_column_type(row, at) == SQLITE_NULL;
  *value = sqlite3_column_double(row, at);
  if (!type) return false;
  if (strcmp(type, "FINITE") == 0) return !null;
  if (strcmp(type, "INF_POS") == 0)
    *value = INFINITY;
  else if (strcmp(type, "INF_NEG") == 0)
    *value = -INFINITY;
  else if (strcmp(type, "NAN") == 0)
    *value = NAN;
  else
    return false;
  return null;
}

static lmopt_status visit_value(scan *c, sqlite3_stmt *row) {
  lm_id trial = sqlite3_column_int64(row, 0);
  long long objective = sqlite3_column_int64(row, 1);
  double value;
  if (!read_number(row, 2, &value) || isnan(value) || objective < 0)
    return fail_with(c, trial, "one of its values is not what its type '%.40s' says", lm_storage_column_text(row, 3));
  return c->visitor->value(c->visitor->userdata, trial, (size_t)objective, value);
}

static lmopt_status visit_report(scan *c, sqlite3_stmt *row) {
  lm_id trial = sqlite3_column_int64(row, 0);
  double value;
  if (!read_number(row, 2, &value))
    return fail_with(c, trial, "one of its intermediate values is not what its type '%.40s' says",
                     lm_storage_column_text(row, 3));
  return c->visitor->report(c->visitor->userdata, trial, sqlite3_column_int64(row, 1), value);
}

static lmopt_status visit_attribute(scan *c, sqlite3_stmt *row) {
  lm_id trial = sqlite3_column_int64(row, 0);
  const char *key = lm_storage_column_text(row, 1), *json = lm_storage_column_text(row, 2);
  lm_json_value whole;
  if (!key) return fail_with(c, trial, "an attribute's key is %s", NULL);
  if (!json || !lm_json_whole(json, (size_t)sqlite3_column_bytes(row, 2), &whole))
    return fail_with(c, trial, "the attribute '%.100s' is not valid JSON", key);
  return c->visitor->attribute(c->visitor->userdata, trial, c->scope, key, json);
}

typedef lmopt_status (*visit_row)(scan *c, sqlite3_stmt *row);

static lmopt_status visit_rows(scan *c, lm_sql which, bool filtered, visit_row visit) {
  sqlite3_stmt *statement = lm_storage_statement(c->s, which, c->e);
  if (!statement) return lm_storage_failed(c->e);
  if (!filtered) {
    sqlite3_bind_int64(statement, 1, c->study);
    sqlite3_bind_int64(statement, 2, c->after);
    sqlite3_bind_int64(statement, 3, c->last);
  }
  int stepped;
  while ((stepped = lm_storage_step(c->s, statement, c->e)) == 1) {
    if (filtered && !was_visited(c, sqlite3_column_int64(statement, 0))) continue;
    lmopt_status status = visit(c, statement);
    if (status == LMOPT_OK) continue;
    sqlite3_reset(statement);
    return status;
  }
  return (lmopt_status)stepped;
}

/* Parts of trials: rows of other tables than that of the trials. */
static lmopt_status visit_parts(scan *c, lm_sql some, lm_sql whole, visit_row visit) {
  return visit_rows(c, c->whole ? whole : some, c->whole, visit);
}

/* Is a quarter of all trials of the file wanted? */
static lmopt_status choose_way(scan *c) {
  if (c->visited == 0) return LMOPT_OK;
  sqlite3_stmt *statement = lm_storage_statement(c->s, LM_SQL_LAST_TRIAL, c->e);
  if (!statement) return lm_storage_failed(c->e);
  int stepped = lm_storage_step(c->s, statement, c->e);
  if (stepped < 0) return (lmopt_status)stepped;
  c->whole = stepped == 1 && (lm_id)c->visited >= sqlite3_column_int64(statement, 0) / 4;
  sqlite3_reset(statement);
  return LMOPT_OK;
}

static lmopt_status visit_all(scan *c) {
  const lm_trial_visitor *v = c->visitor;
  lmopt_status status = visit_rows(c, LM_SQL_SCAN_TRIALS, false, visit_trial);
  if (status == LMOPT_OK) status = choose_way(c);
  if (status == LMOPT_OK && v->parameter)
    status = visit_parts(c, LM_SQL_SCAN_PARAMETERS, LM_SQL_WHOLE_PARAMETERS, visit_parameter);
  if (status == LMOPT_OK && v->value) status = visit_parts(c, LM_SQL_SCAN_VALUES, LM_SQL_WHOLE_VALUES, visit_value);
  if (status == LMOPT_OK && v->report) status = visit_parts(c, LM_SQL_SCAN_REPORTS, LM_SQL_WHOLE_REPORTS, visit_report);
  for (int i = 0; status == LMOPT_OK && v->attribute && i < 2; i++) {
    c->scope = i == 0 ? LM_TRIAL_USER : LM_TRIAL_SYSTEM;
    status =
        visit_parts(c, (lm_sql)(LM_SQL_SCAN_ATTRIBUTES + i), (lm_sql)(LM_SQL_WHOLE_ATTRIBUTES + i), visit_attribute);
  }
  lm_free(&c->s->allocator, c->spans);
  c->spans = NULL;
  return status;
}

lmopt_status lm_storage_scan(lm_storage *s, lm_id study, lm_id after, const lm_trial_visitor *visitor, lm_error *e) {
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  scan c = {.s = s,
            .visitor = visitor,
            .study = study,
            .after = after,
            .last = INT64_MAX,
            .expected = after > 0 ? -1 : 0,
            .e = e};
  return lm_storage_leave_reading(s, visit_all(&c), e);
}

static lmopt_status read_trial(scan *c, lm_id trial) {
  sqlite3_stmt *statement = lm_storage_statement(c->s, LM_SQL_TRIAL_STUDY, c->e);
  if (!statement) return lm_storage_failed(c->e);
  sqlite3_bind_int64(statement, 1, trial);
  int found = lm_storage_step(c->s, statement, c->e);
  if (found < 0) return (lmopt_status)found;
  if (found == 0)
    return lm_fail(c->e, LMOPT_NOT_FOUND, "there is no trial with the id %lld in '%s'", trial, c->s->path);
  c->study = sqlite3_column_int64(statement, 0);
  sqlite3_reset(statement);
  return visit_all(c);
}

lmopt_status lm_storage_read_trial(lm_storage *s, lm_id trial, const lm_trial_visitor *visitor, lm_error *e) {
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  scan c = {.s = s, .visitor = visitor, .after = trial - 1, .last = trial, .expected = -1, .e = e};
  return lm_storage_leave_reading(s, read_trial(&c, trial), e);
}
