/*
** The journal of model calls. The worst case is added to what is spent when a
** call is entered (storage_budget.c), and replaced by the cost when it is
** settled; after a crash in between the worst case stays.
**
** Texts are kept once, under their SHA-256. Only bodies come here, never headers or keys.
*/
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "io/storage_internal.h"

static lmopt_status hash_text(const char *text, char hash[LM_HASH_SIZE], lm_error *e) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (EVP_Digest(text, strlen(text), digest, &size, EVP_sha256(), NULL) != 1 || size != 32)
    return lm_fail(e, LMOPT_ERROR, "libcrypto can't make a SHA-256");
  for (unsigned i = 0; i < size; i++) snprintf(hash + 2 * i, 3, "%02x", digest[i]);
  return LMOPT_OK;
}

lmopt_status lm_storage_keep_text(lm_storage *s, const char *text, char hash[LM_HASH_SIZE], lm_error *e) {
  hash[0] = '\0';
  if (!text) return LMOPT_OK;
  lmopt_status status = hash_text(text, hash, e);
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_TEXT_INSERT, e);
  if (!statement) return lm_storage_failed(e);
  lm_storage_bind_text(statement, 1, hash);
  lm_storage_bind_text(statement, 2, text);
  return lm_storage_run(s, statement, e);
}

/* --- calls --- */

static lmopt_status reserve(lm_storage *s, lm_id study, lm_id trial, const char *key, const char *model,
                            const char *request, const lm_cost *worst, lm_error *e) {
  lmopt_status status = lm_storage_spend(s, study, model, worst, e);
  char hash[LM_HASH_SIZE], now[LM_DATE_SIZE];
  if (status == LMOPT_OK) status = lm_storage_keep_text(s, request, hash, e);
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_CALL_INSERT, e);
  if (!statement) return lm_storage_failed(e);
  lm_date_write(lm_clock_utc(), now);
  sqlite3_bind_int64(statement, 1, study);
  if (trial)
    sqlite3_bind_int64(statement, 2, trial);
  else
    sqlite3_bind_null(statement, 2);
  lm_storage_bind_text(statement, 3, key);
  lm_storage_bind_text(statement, 4, model);
  lm_storage_bind_text(statement, 5, request ? hash : NULL);
  lm_storage_bind_cost(statement, 6, worst);
  lm_storage_bind_text(statement, 12, now);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_reserve_call(lm_storage *s, lm_id study, lm_id trial, const char *key, const char *model,
                                     const char *request, const lm_cost *worst, lm_id *call, lm_error *e) {
  *call = 0;
  if (worst->calls < 0 || worst->prompt_tokens < 0 || worst->completion_tokens < 0 ||
      !(worst->usd >= 0 && worst->usd < 1e300))
    return lm_fail(e, LMOPT_MISUSE, "the worst case of a call must be finite and not negative");
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  if (!model || !*model) model = "unnamed"; /* the account without a name is everybody's */
  status = reserve(s, study, trial, key, model, request, worst, e);
  lm_id made = sqlite3_last_insert_rowid(s->database);
  status = lm_storage_leave(s, outermost, status, e);
  if (status == LMOPT_OK) *call = made;
  return status;
}

static lmopt_status find_call(lm_storage *s, lm_id call, lm_id *study, lm_cost *worst, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_CALL_FIND, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, call);
  int found = lm_storage_step(s, statement, e);
  if (found < 0) return (lmopt_status)found;
  if (found == 0) return lm_fail(e, LMOPT_NOT_FOUND, "there is no call %lld in '%s'", call, s->path);
  const char *state = lm_storage_column_text(statement, 1);
  bool reserved = state && strcmp(state, "RESERVED") == 0;
  *study = sqlite3_column_int64(statement, 0);
  *worst = lm_storage_read_cost(statement, 2);
  sqlite3_reset(statement);
  return reserved ? LMOPT_OK : lm_fail(e, LMOPT_MISUSE, "the call %lld is settled already", call);
}

static lmopt_status settle(lm_storage *s, lm_id call, const char *reply, const lm_cost *actual, double seconds,
                           lm_error *e) {
  lm_id study = 0;
  lm_cost worst = {0};
  char hash[LM_HASH_SIZE];
  lmopt_status status = find_call(s, call, &study, &worst, e);
  if (status == LMOPT_OK) status = lm_storage_keep_text(s, reply, hash, e);
  if (status != LMOPT_OK) return status;
  lm_cost change = {.calls = actual->calls - worst.calls,
                    .prompt_tokens = actual->prompt_tokens - worst.prompt_tokens,
                    .completion_tokens = actual->completion_tokens - worst.completion_tokens,
                    .usd = actual->usd - worst.usd,
                    .cached_tokens = actual->cached_tokens - worst.cached_tokens,
                    .reasoning_tokens = actual->reasoning_tokens - worst.reasoning_tokens};
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_BUDGET_SETTLE, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  sqlite3_bind_int64(statement, 2, call);
  lm_storage_bind_cost(statement, 3, &change);
  status = lm_storage_run(s, statement, e);
  if (status != LMOPT_OK) return status;
  if (!(statement = lm_storage_statement(s, LM_SQL_CALL_SETTLE, e))) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, call);
  lm_storage_bind_text(statement, 2, reply ? "DONE" : "FAILED");
  lm_storage_bind_text(statement, 3, reply ? hash : NULL);
  lm_storage_bind_cost(statement, 4, actual);
  sqlite3_bind_double(statement, 10, seconds);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_settle_call(lm_storage *s, lm_id call, const char *reply, const lm_cost *actual, double seconds,
                                    lm_error *e) {
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave(s, outermost, settle(s, call, reply, actual, seconds, e), e);
}

lmopt_status lm_storage_replay_call(lm_storage *s, lm_id trial, const char *key, size_t nth, char **reply,
                                    lm_error *e) {
  *reply = NULL;
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  if (!s->own_tables) return lm_storage_leave_reading(s, LMOPT_OK, e);
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_CALL_REPLAY, e);
  if (!statement) return lm_storage_leave_reading(s, lm_storage_failed(e), e);
  sqlite3_bind_int64(statement, 1, trial);
  lm_storage_bind_text(statement, 2, key);
  sqlite3_bind_int64(statement, 3, (sqlite3_int64)nth);
  int found = lm_storage_step(s, statement, e);
  if (found == 1) {
    status = lm_storage_copy_column(s, statement, 0, reply, e);
    sqlite3_reset(statement);
  }
  status = lm_storage_leave_reading(s, found < 0 ? (lmopt_status)found : status, e);
  if (status != LMOPT_OK) {
    lm_free(&s->allocator, *reply);
    *reply = NULL;
  }
  return status;
}

lmopt_status lm_storage_calls(lm_storage *s, lm_id trial, void (*each)(void *userdata, const lm_stored_call *call),
                              void *userdata, lm_error *e) {
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  if (!s->own_tables) return lm_storage_leave_reading(s, LMOPT_OK, e);
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_CALL_LIST, e);
  if (!statement) return lm_storage_leave_reading(s, lm_storage_failed(e), e);
  sqlite3_bind_int64(statement, 1, trial);
  int stepped;
  while ((stepped = lm_storage_step(s, statement, e)) == 1) {
    lm_stored_call call = {.call = sqlite3_column_int64(statement, 0),
                           .model = lm_storage_column_text(statement, 1),
                           .request = lm_storage_column_text(statement, 2),
                           .reply = lm_storage_column_text(statement, 3),
                           .cost = {.calls = sqlite3_column_int64(statement, 4),
                                    .prompt_tokens = sqlite3_column_int64(statement, 5),
                                    .completion_tokens = sqlite3_column_int64(statement, 6),
                                    .usd = sqlite3_column_double(statement, 7)},
                           .seconds = sqlite3_column_double(statement, 8)};
    each(userdata, &call);
  }
  return lm_storage_leave_reading(s, (lmopt_status)stepped, e);
}
