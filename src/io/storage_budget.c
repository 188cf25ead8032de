/*
** The budget's ledger: for all calls of a study and for each model what may be
** spent and what is. Processes that share a file share it. The worst case of a
** call counts as spent until the call is settled (storage_call.c).
*/
#include <stdio.h>
#include <string.h>

#include "io/storage_internal.h"

const lm_limit lm_no_limit = {-1, -1, -1, -1, -1, -1};

/* Sums of dollars are rounded: what is over by less than this share of the limit is not over. */
static const double ROUNDING = 1e-12;

void lm_storage_bind_cost(sqlite3_stmt *statement, int first, const lm_cost *cost) {
  sqlite3_bind_int64(statement, first, cost->calls);
  sqlite3_bind_int64(statement, first + 1, cost->prompt_tokens);
  sqlite3_bind_int64(statement, first + 2, cost->completion_tokens);
  sqlite3_bind_double(statement, first + 3, cost->usd);
  sqlite3_bind_int64(statement, first + 4, cost->cached_tokens);
  sqlite3_bind_int64(statement, first + 5, cost->reasoning_tokens);
}

lm_cost lm_storage_read_cost(sqlite3_stmt *row, int first) {
  lm_cost cost = {.calls = sqlite3_column_int64(row, first),
                  .prompt_tokens = sqlite3_column_int64(row, first + 1),
                  .completion_tokens = sqlite3_column_int64(row, first + 2),
                  .usd = sqlite3_column_double(row, first + 3),
                  .cached_tokens = sqlite3_column_int64(row, first + 4),
                  .reasoning_tokens = sqlite3_column_int64(row, first + 5)};
  return cost;
}

/* --- accounts --- */

static lm_account read_account(sqlite3_stmt *row) {
  lm_account account = {.model = lm_storage_column_text(row, 0),
                        .limit = {.calls = sqlite3_column_int64(row, 1),
                                  .tokens = sqlite3_column_int64(row, 2),
                                  .prompt_tokens = sqlite3_column_int64(row, 3),
                                  .completion_tokens = sqlite3_column_int64(row, 4),
                                  .usd = sqlite3_column_double(row, 5),
                                  .seconds = sqlite3_column_double(row, 6)},
                        .spent = lm_storage_read_cost(row, 7),
                        .seconds = sqlite3_column_double(row, 13)};
  if (!account.model) account.model = "";
  return account;
}

static bool has_accounts(const lm_storage *s) { return s->own_tables && s->own_version >= LM_WITH_ACCOUNTS; }

static lmopt_status find_account(lm_storage *s, lm_id study, const char *model, lm_account *account, lm_error *e) {
  *account = (lm_account){.model = model, .limit = lm_no_limit};
  if (!has_accounts(s)) return LMOPT_OK;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_ACCOUNT_GET, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, model);
  lm_storage_bind_text(statement, 3, model);
  int found = lm_storage_step(s, statement, e);
  if (found == 1) {
    *account = read_account(statement);
    account->model = model;
    sqlite3_reset(statement);
  }
  return found < 0 ? (lmopt_status)found : LMOPT_OK;
}

lmopt_status lm_storage_account(lm_storage *s, lm_id study, const char *model, lm_account *account, lm_error *e) {
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave_reading(s, find_account(s, study, model, account, e), e);
}

/* Visits the rows of a statement with one parameter. */
static lmopt_status visit(lm_storage *s, lm_sql which, lm_id id, void (*each)(void *, const lm_account *),
                          void *userdata, lm_error *e) {
  lmopt_status status = lm_storage_enter_reading(s, e);
  if (status != LMOPT_OK) return status;
  if (!has_accounts(s)) return lm_storage_leave_reading(s, LMOPT_OK, e);
  sqlite3_stmt *statement = lm_storage_statement(s, which, e);
  if (!statement) return lm_storage_leave_reading(s, lm_storage_failed(e), e);
  sqlite3_bind_int64(statement, 1, id);
  int stepped;
  while ((stepped = lm_storage_step(s, statement, e)) == 1) {
    lm_account account;
    if (which == LM_SQL_ACCOUNT_LIST)
      account = read_account(statement);
    else
      account = (lm_account){.model = lm_storage_column_text(statement, 0),
                             .limit = lm_no_limit,
                             .spent = lm_storage_read_cost(statement, 1)};
    each(userdata, &account);
  }
  return lm_storage_leave_reading(s, (lmopt_status)stepped, e);
}

lmopt_status lm_storage_accounts(lm_storage *s, lm_id study, void (*each)(void *userdata, const lm_account *account),
                                 void *userdata, lm_error *e) {
  return visit(s, LM_SQL_ACCOUNT_LIST, study, each, userdata, e);
}

lmopt_status lm_storage_trial_accounts(lm_storage *s, lm_id trial,
                                       void (*each)(void *userdata, const lm_account *account), void *userdata,
                                       lm_error *e) {
  return visit(s, LM_SQL_TRIAL_ACCOUNTS, trial, each, userdata, e);
}

/* --- limits --- */

static lmopt_status set_limit(lm_storage *s, lm_id study, const lm_account *account, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_LIMIT_SET, e);
  if (!statement) return lm_storage_failed(e);
  const lm_limit *limit = &account->limit;
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, account->model);
  sqlite3_bind_int64(statement, 3, limit->calls);
  sqlite3_bind_int64(statement, 4, limit->tokens);
  sqlite3_bind_int64(statement, 5, limit->prompt_tokens);
  sqlite3_bind_int64(statement, 6, limit->completion_tokens);
  sqlite3_bind_double(statement, 7, limit->usd);
  sqlite3_bind_double(statement, 8, limit->seconds);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_set_budget(lm_storage *s, lm_id study, const lm_account *limits, size_t count, lm_error *e) {
  bool outermost;
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_LIMITS_CLEAR, e);
  if (statement) {
    sqlite3_bind_int64(statement, 1, study);
    status = lm_storage_run(s, statement, e);
  } else {
    status = lm_storage_failed(e);
  }
  for (size_t i = 0; i < count && status == LMOPT_OK; i++) status = set_limit(s, study, &limits[i], e);
  return lm_storage_leave(s, outermost, status, e);
}

/* --- spending --- */

static bool is_over(long long limit, long long spent, long long more) { return limit >= 0 && spent + more > limit; }

static lmopt_status fail_count(const lm_account *a, const char *what, long long limit, long long spent, long long more,
                               lm_error *e) {
  return lm_fail(
      e, LMOPT_LIMIT,
      "the study's budget%s%.100s is spent: %lld of %lld %s are made or under way, and this call may need %lld",
      *a->model ? " for " : "", a->model, spent, limit, what, more);
}

/* Is there room for a call? */
static lmopt_status check_room(const lm_account *a, const lm_cost *worst, lm_error *e) {
  const lm_limit *limit = &a->limit;
  const lm_cost *spent = &a->spent;
  const struct {
    const char *name;
    long long limit, spent, more;
  } counts[] = {
      {"calls", limit->calls, spent->calls, worst->calls},
      {"tokens", limit->tokens, spent->prompt_tokens + spent->completion_tokens,
       worst->prompt_tokens + worst->completion_tokens},
      {"prompt tokens", limit->prompt_tokens, spent->prompt_tokens, worst->prompt_tokens},
      {"completion tokens", limit->completion_tokens, spent->completion_tokens, worst->completion_tokens},
  };
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
    if (is_over(counts[i].limit, counts[i].spent, counts[i].more))
      return fail_count(a, counts[i].name, counts[i].limit, counts[i].spent, counts[i].more, e);
  if (limit->usd >= 0 && spent->usd + worst->usd > limit->usd * (1 + ROUNDING))
    return lm_fail(
        e, LMOPT_LIMIT,
        "the study's budget%s%.100s is spent: $%.6f of $%.6f are spent or reserved, and this call may cost $%.6f",
        *a->model ? " for " : "", a->model, spent->usd, limit->usd, worst->usd);
  return LMOPT_OK;
}

/* Is there room in both accounts of a call, the whole and its model's? */
static lmopt_status check_rooms(lm_storage *s, lm_id study, const char *model, const lm_cost *worst, lm_error *e) {
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_ACCOUNT_GET, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, "");
  lm_storage_bind_text(statement, 3, model);
  int found;
  while ((found = lm_storage_step(s, statement, e)) == 1) {
    lm_account account = read_account(statement);
    lmopt_status status = check_room(&account, worst, e);
    if (status == LMOPT_OK) continue;
    sqlite3_reset(statement);
    return status;
  }
  return (lmopt_status)found;
}

lmopt_status lm_storage_spend(lm_storage *s, lm_id study, const char *model, const lm_cost *worst, lm_error *e) {
  lmopt_status status = check_rooms(s, study, model, worst, e);
  if (status != LMOPT_OK) return status;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_BUDGET_RESERVE, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  lm_storage_bind_text(statement, 2, model);
  lm_storage_bind_cost(statement, 3, worst);
  return lm_storage_run(s, statement, e);
}

static lmopt_status take_seconds(lm_storage *s, lm_id study, double *seconds, lm_error *e) {
  lm_account whole;
  lmopt_status status = find_account(s, study, "", &whole, e);
  if (status != LMOPT_OK) return status;
  double left = whole.limit.seconds - whole.seconds;
  if (whole.limit.seconds >= 0 && *seconds > left) *seconds = left > 0 ? left : 0;
  if (*seconds == 0) return LMOPT_OK;
  sqlite3_stmt *statement = lm_storage_statement(s, LM_SQL_ACCOUNT_SECONDS, e);
  if (!statement) return lm_storage_failed(e);
  sqlite3_bind_int64(statement, 1, study);
  sqlite3_bind_double(statement, 2, *seconds);
  return lm_storage_run(s, statement, e);
}

lmopt_status lm_storage_take_seconds(lm_storage *s, lm_id study, double wanted, double *taken, lm_error *e) {
  bool outermost;
  *taken = wanted;
  if (!(wanted > -1e300 && wanted < 1e300)) return lm_fail(e, LMOPT_MISUSE, "seconds must be a finite number");
  lmopt_status status = lm_storage_enter(s, &outermost, e);
  if (status != LMOPT_OK) return status;
  return lm_storage_leave(s, outermost, take_seconds(s, study, taken, e), e);
}
