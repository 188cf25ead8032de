/*
** Study files: SQLite with Optuna's tables, and lmopt's own beside them.
**
** A file written here opens in Optuna with no migration, and a file of
** Optuna's is read and continued. The encoding follows Optuna's RDB storage
** (schema revision v3.2.0.a). lmopt_* tables hold what Optuna has no place for.
**
** Writes happen between lm_storage_begin (IMMEDIATE: one writer at a time) and
** lm_storage_commit; a writer that must wait does so up to a minute. A write
** outside a transaction is one of its own. After a failed write a transaction
** can't be committed; LMOPT_NOT_FOUND, EXISTS, MISUSE and LIMIT come before anything was
** written and leave it usable. Opened read-only, no byte of the file or of its folder changes.
**
** Callbacks of reads may read something else, but neither write nor call the same read
** again. A storage must not be used after a fork: each process opens its own.
*/
#ifndef LM_STORAGE_H
#define LM_STORAGE_H

#include "math/distribution.h"

typedef struct lm_storage lm_storage;
typedef long long lm_id;

enum { LM_STORAGE_READ_ONLY = 1, LM_STORAGE_CREATE = 2 /* make the file when it is missing */ };

/*
** `location`: "sqlite:///relative.db", "sqlite:////absolute.db" or a bare path.
** LMOPT_STORAGE: one clear line in `e` (missing, not a database, of a newer schema, a
** database of something else, not writable, disk full), the file untouched.
** LMOPT_NOT_FOUND: it is missing and may not be created.
*/
lmopt_status lm_storage_open(const lm_allocator *a, const char *location, unsigned flags, lm_storage **out,
                             lm_error *e);
void lm_storage_close(lm_storage *s); /* checkpoints; NULL is a no-op */
const char *lm_storage_path(const lm_storage *s);

lmopt_status lm_storage_begin(lm_storage *s, lm_error *e);
lmopt_status lm_storage_commit(lm_storage *s, lm_error *e);
void lm_storage_rollback(lm_storage *s);

/* Grows whenever another connection changed the file: when it has not, nothing needs reading again. -1: it can't be told. */
long long lm_storage_version(lm_storage *s);

/* --- studies --- */

lmopt_status lm_storage_create_study(lm_storage *s, const char *name, const bool *maximize, size_t objectives,
                                     lm_id *study, lm_error *e);
lmopt_status lm_storage_find_study(lm_storage *s, const char *name, lm_id *study,
                                   lm_error *e); /* LMOPT_NOT_FOUND: nearest name suggested */
lmopt_status lm_storage_delete_study(lm_storage *s, lm_id study, lm_error *e);
/* Directions of a study, at most `capacity`; returns how many there are in *objectives. */
lmopt_status lm_storage_directions(lm_storage *s, lm_id study, bool *maximize, size_t capacity, size_t *objectives,
                                   lm_error *e);

typedef struct lm_study_summary {
  lm_id study;
  const char *name; /* lives for the call */
  size_t objectives;
  size_t states[5];        /* how many trials, by lm_state order: RUNNING COMPLETE PRUNED FAIL WAITING */
  const char *first_start; /* date text or NULL */
} lm_study_summary;
lmopt_status lm_storage_list(lm_storage *s, void (*each)(void *userdata, const lm_study_summary *summary),
                             void *userdata, lm_error *e);

typedef enum lm_scope { LM_STUDY_USER, LM_STUDY_SYSTEM, LM_TRIAL_USER, LM_TRIAL_SYSTEM } lm_scope;

/* Sets an attribute of a study or a trial (`id` by scope); `json` is valid JSON text. */
lmopt_status lm_storage_set_attribute(lm_storage *s, lm_scope scope, lm_id id, const char *key, const char *json,
                                      lm_error *e);
lmopt_status lm_storage_study_attributes(lm_storage *s, lm_scope scope, lm_id study,
                                         void (*each)(void *userdata, const char *key, const char *json),
                                         void *userdata, lm_error *e);

/* --- trials: reading --- */

typedef struct lm_stored_trial {
  lm_id trial;
  long long number;
  int state;                    /* lm_state order: RUNNING COMPLETE PRUNED FAIL WAITING */
  const char *start, *complete; /* date texts or NULL */
} lm_stored_trial;

/*
** Visits the trials of a study with trial ids above `after`, in order of
** their numbers; then their parameters, values, reports and attributes: each
** kind either in the order of the trials or, when most of the file is read, in
** the order in which it was stored. Attributes and parameters of one trial are always in that order. A callback that returns other than
** LMOPT_OK ends the scan with that status. NULL callbacks skip their kind.
*/
typedef struct lm_trial_visitor {
  void *userdata;
  lmopt_status (*trial)(void *userdata, const lm_stored_trial *t);
  /* `distribution` lives as long as the storage, and equal texts give the same pointer. */
  lmopt_status (*parameter)(void *userdata, lm_id trial, const char *name, double internal,
                            const lm_distribution *distribution);
  lmopt_status (*value)(void *userdata, lm_id trial, size_t objective, double value);
  lmopt_status (*report)(void *userdata, lm_id trial, long long step, double value);
  lmopt_status (*attribute)(void *userdata, lm_id trial, lm_scope scope, const char *key, const char *json);
} lm_trial_visitor;
lmopt_status lm_storage_scan(lm_storage *s, lm_id study, lm_id after, const lm_trial_visitor *visitor, lm_error *e);
/* The same for one trial. */
lmopt_status lm_storage_read_trial(lm_storage *s, lm_id trial, const lm_trial_visitor *visitor, lm_error *e);

/* Visits the members of a JSON object with their values as JSON texts (fixed_params, relative parameters). */
lmopt_status lm_storage_read_object(lm_storage *s, const char *json,
                                    lmopt_status (*each)(void *userdata, const char *key, const char *json_value),
                                    void *userdata, lm_error *e);

/* --- trials: writing (inside a transaction) --- */

/*
** Inserts a trial with the next number of its study (one above the highest, which is the count of its trials).
** state: RUNNING sets datetime_start; WAITING leaves both dates empty;
** a finished state takes `start` and `complete` (date texts; NULL: now).
** A RUNNING trial is entered as owned by this process.
*/
lmopt_status lm_storage_insert_trial(lm_storage *s, lm_id study, int state, const char *start, const char *complete,
                                     lm_id *trial, long long *number, lm_error *e);
/* Takes the WAITING trial with the lowest number: it is RUNNING and ours then. LMOPT_NOT_FOUND: none is waiting. */
lmopt_status lm_storage_claim_trial(lm_storage *s, lm_id study, lm_id *trial, long long *number, lm_error *e);

lmopt_status lm_storage_set_parameter(lm_storage *s, lm_id trial, const char *name, double internal,
                                      const lm_distribution *d, lm_error *e);
lmopt_status lm_storage_set_report(lm_storage *s, lm_id trial, long long step, double value, lm_error *e);
/*
** Ends a RUNNING trial that is ours (or a foreign one when `force`): values (NULL: none), state, datetime_complete.
** With `force`, a trial that this very transaction inserted in a finished state is given its values.
** LMOPT_MISUSE: the trial is not running, or was taken over by another process.
*/
lmopt_status lm_storage_finish_trial(lm_storage *s, lm_id trial, int state, const double *values, size_t objectives,
                                     bool force, lm_error *e);
/* RUNNING, ours -> WAITING; its reports are forgotten, its parameters kept. */
lmopt_status lm_storage_release_trial(lm_storage *s, lm_id trial, lm_error *e);

/* --- owners (who runs which trial) --- */

/*
** Puts RUNNING trials whose owner is dead back to WAITING (number and
** parameters kept) and counts them. Dead: same host and another boot, or no
** process of that id and start time; another host and a heartbeat older than
** LM_HEARTBEAT_GRACE seconds. Trials without an lmopt owner (Optuna's) and those of the living are left alone.
*/
enum { LM_HEARTBEAT_INTERVAL = 30, LM_HEARTBEAT_GRACE = 900 };
lmopt_status lm_storage_release_dead(lm_storage *s, lm_id study, size_t *released, lm_error *e);
/* Refreshes our heartbeat when it is older than LM_HEARTBEAT_INTERVAL; cheap otherwise. */
lmopt_status lm_storage_heartbeat(lm_storage *s, lm_error *e);

/* --- what Optuna has no place for --- */

/* Small named JSON texts of a study: seed, lag, fingerprint (table lmopt_studies). */
lmopt_status lm_storage_set_property(lm_storage *s, lm_id study, const char *key, const char *json, lm_error *e);
/* NULL in *json: not set. The caller frees it. */
lmopt_status lm_storage_property(lm_storage *s, lm_id study, const char *key, char **json, lm_error *e);

/* What calls amount to. Cached tokens are among the prompt's, reasoning tokens among the completion's. */
typedef struct lm_cost {
  long long calls;
  long long prompt_tokens, completion_tokens;
  double usd;
  long long cached_tokens, reasoning_tokens;
} lm_cost;

/* Limits; a negative one is none. `tokens`: of prompts and completions together. */
typedef struct lm_limit {
  long long calls, tokens, prompt_tokens, completion_tokens;
  double usd, seconds;
} lm_limit;

extern const lm_limit lm_no_limit;

/* What a study may spend and has spent, all of it (`model` is "") or on one model. */
typedef struct lm_account {
  const char *model; /* lives for the call */
  lm_limit limit;
  lm_cost spent;  /* what calls under way may cost included */
  double seconds; /* of runs; of the whole only */
} lm_account;

/* Replaces all limits of a study. Of an account `model` and `limit` are read; a model's seconds are not limited. */
lmopt_status lm_storage_set_budget(lm_storage *s, lm_id study, const lm_account *limits, size_t count, lm_error *e);
/* One account; nothing spent and no limit when there is none. `model` of the result is the argument. */
lmopt_status lm_storage_account(lm_storage *s, lm_id study, const char *model, lm_account *account, lm_error *e);
/* All of them: the whole first, then the models by their names. */
lmopt_status lm_storage_accounts(lm_storage *s, lm_id study, void (*each)(void *userdata, const lm_account *account),
                                 void *userdata, lm_error *e);
/* What the calls of one trial amount to, by model; without limits. */
lmopt_status lm_storage_trial_accounts(lm_storage *s, lm_id trial,
                                       void (*each)(void *userdata, const lm_account *account), void *userdata,
                                       lm_error *e);
/*
** Spends seconds of a run: as many of `wanted` as the limit leaves, which may be
** 0; a negative number gives back. Taken before they pass, they are a hard limit.
*/
lmopt_status lm_storage_take_seconds(lm_storage *s, lm_id study, double wanted, double *taken, lm_error *e);

/*
** The journal of model calls of a trial, which is the budget's ledger too: a
** call is entered with its worst case before it is sent, and settled when the reply arrived; the text of a
** reply is stored before anybody sees it. Interrupted trials read it back instead of sending again.
*/
/* LMOPT_LIMIT: the study's budget can't pay the worst case; nothing was entered. trial may be 0: no trial. */
lmopt_status lm_storage_reserve_call(lm_storage *s, lm_id study, lm_id trial, const char *key, const char *model,
                                     const char *request, const lm_cost *worst, lm_id *call, lm_error *e);
/* reply NULL: the call failed for certain and cost `actual`. */
lmopt_status lm_storage_settle_call(lm_storage *s, lm_id call, const char *reply, const lm_cost *actual, double seconds,
                                    lm_error *e);
/* The reply of an earlier, settled call of this trial with that key, the `nth` (0-based) of them; NULL: none. The caller frees it. */
lmopt_status lm_storage_replay_call(lm_storage *s, lm_id trial, const char *key, size_t nth, char **reply, lm_error *e);

typedef struct lm_stored_call {
  lm_id call;
  const char *model, *request, *reply; /* reply NULL: none arrived */
  lm_cost cost;
  double seconds;
} lm_stored_call;
lmopt_status lm_storage_calls(lm_storage *s, lm_id trial, void (*each)(void *userdata, const lm_stored_call *call),
                              void *userdata, lm_error *e);

/*
** What programs answered in a trial, one for each evaluation in their order:
** `about` says of what (JSON), `rows` what was answered (NULL: it is not kept).
** A finished trial may be given some, as Optuna never sees them.
*/
typedef struct lm_stored_prediction {
  const char *about, *rows; /* live for the call */
} lm_stored_prediction;
lmopt_status lm_storage_add_prediction(lm_storage *s, lm_id trial, const char *about, const char *rows, lm_error *e);
lmopt_status lm_storage_predictions(lm_storage *s, lm_id trial,
                                    void (*each)(void *userdata, const lm_stored_prediction *prediction),
                                    void *userdata, lm_error *e);
/* Gives a trial of this file what another one has. */
lmopt_status lm_storage_copy_predictions(lm_storage *s, lm_id from, lm_id to, lm_error *e);

/*
** Score sheets of a study: one cell for what one example's answer was worth,
** under the digest of all that decided it (candidate, example, rollout, metric);
** what is in it is its writer's own. A cell that is there stays as it is.
*/
lmopt_status lm_storage_add_cell(lm_storage *s, lm_id study, const char *key, const char *record, lm_error *e);
/* NULL in *record: there is none. The caller frees it. */
lmopt_status lm_storage_cell(lm_storage *s, lm_id study, const char *key, char **record, lm_error *e);
/* At most `most` of them, by their keys, from the first one after `after` ("": from the beginning). */
lmopt_status lm_storage_cells(lm_storage *s, lm_id study, const char *after, size_t most,
                              void (*each)(void *userdata, const char *key, const char *record), void *userdata,
                              lm_error *e);

#endif
