/*
** A study: the trials in memory (search), the file they live in (io), and the
** rules between them, which are the first two laws:
**
** - what trial k suggests depends on the seed, k, and the results of trials
**   numbered at most k - lag;
** - a trial that was interrupted runs again under its number.
**
** Without a storage everything but the file is the same. Trials are addressed
** by number. Nothing here calls an objective: ask, suggest, tell.
**
** What a trial suggests, reports and attaches is kept in memory and written
** by lm_study_flush (called before anything waits) or with its result.
*/
#ifndef LM_STUDY_H
#define LM_STUDY_H

#include "io/storage.h"
#include "runtime/runtime.h"
#include "search/prior.h"
#include "search/pruner.h"
#include "search/sampler.h"

typedef struct lm_study lm_study;

/* A key and its value as JSON text: attributes, enqueued parameters. */
typedef struct lm_pair {
  char *key;
  char *json;
} lm_pair;

typedef struct lm_pairs {
  lm_pair *items;
  size_t count, capacity;
} lm_pairs;

/* What a study keeps of a trial beside its row in lm_trials. */
typedef struct lm_live_trial lm_live_trial;
typedef struct lm_trial_info {
  lm_id id;               /* in the storage; 0 without one */
  double start, complete; /* UTC seconds; NaN: not yet */
  lm_pairs user, system;  /* attributes */
  lm_pairs fixed;         /* enqueued parameters: external values */
  bool relative_known;    /* the row's joint parameters were drawn here, or read from the file */
  lm_live_trial *live;    /* NULL unless this process runs the trial */
} lm_trial_info;

typedef struct lm_study_options {
  const char *name;
  const char *storage;  /* NULL: in memory */
  const bool *maximize; /* per objective; ignored by a load */
  size_t objectives;    /* 0 on a load: whatever the study has */
  bool has_seed;
  unsigned long long seed;
  long long lag; /* 0: not given */
  int order;     /* 0: not given, 1: by number, 2: by arrival */
  bool create;   /* make the study */
  bool load;     /* use the one that exists (with create: load_if_exists) */
  bool read_only;
} lm_study_options;

/*
** LMOPT_EXISTS, LMOPT_NOT_FOUND, LMOPT_MISUSE (directions, seed, lag or order
** differ from those stored), LMOPT_STORAGE, LMOPT_NO_MEMORY.
*/
lmopt_status lm_study_open(lmopt_runtime *rt, const lm_study_options *options, lm_study **out, lm_error *e);
/* Trials this process was running go back to waiting. NULL is a no-op. */
void lm_study_close(lm_study *study);
bool lm_study_is_open(const lm_study *study); /* false once the runtime was closed */
void lm_study_free(lm_study *study);          /* closes, and gives the memory back */

/* The study owns them from then on. NULL sampler: the caller decides (lm_study_lookup, lm_study_set_parameter). */
void lm_study_set_sampler(lm_study *study, lm_sampler *sampler);
void lm_study_set_pruner(lm_study *study, lm_pruner *pruner);
/*
** Says which external values the joint values 0, 1, ... of `name` stand for
** (a JSON array of scalars): grid and partial_fixed are given values before
** anybody knows from which distribution the objective will suggest them.
*/
lmopt_status lm_study_set_axis(lm_study *study, const char *name, const char *json_values, lm_error *e);

/*
** A declared space, whose rules are elsewhere (in Lua). Every parameter of a
** trial is then drawn when the trial is asked: `draw` takes values with
** lm_study_draft_begin and lm_study_draft_value until it is content; what it
** took last become the trial's joint parameters. It may fail with what these
** failed with, and change nothing else of the study.
*/
typedef struct lm_study_space {
  lmopt_status (*draw)(void *userdata, size_t number, lm_error *e); /* NULL: no space */
  lm_judge
      judge; /* values of the space's parameters without a distribution are resolved; .judge NULL: no constraints */
  void *userdata; /* of `draw` */
} lm_study_space;

void lm_study_set_space(lm_study *study, const lm_study_space *space);
lm_study_space *lm_study_get_space(lm_study *study);
/*
** Says from which distribution a parameter of the space comes, and what is believed of it (may be NULL; copied).
** LMOPT_MISUSE: the study's trials have another kind.
*/
lmopt_status lm_study_declare(lm_study *study, const char *name, const lm_distribution *d, const lm_prior *prior,
                              lm_error *e);
/* The declared distribution of a column, or NULL. */
const lm_distribution *lm_study_declared(const lm_study *study, const lm_column *column);
/* A joint value as one of the declared distribution *d; NULL: it is none of it. LMOPT_NO_MEMORY or LMOPT_OK. */
lmopt_status lm_study_resolve_declared(lm_study *study, const lm_assignment *a, const lm_distribution **d,
                                       double *internal);
/* The enqueued value of a parameter in a trial that is being drawn, or runs; false: there is none that fits. */
bool lm_study_enqueued(const lm_study *study, size_t number, const lm_column *column, const lm_distribution *d,
                       double *internal);

/*
** Inside `draw`. `attempt` counts from 0; the sampler is asked for a proposal,
** unless `own`: then values come from the priors alone, but for those that the
** proposal before fixed to a place on an axis.
*/
lmopt_status lm_study_draft_begin(lm_study *study, unsigned attempt, bool own, lm_error *e);
/* A parameter: enqueued, proposed, or drawn; `prior` (may be NULL) counts where the sampler has no proposal at all. */
lmopt_status lm_study_draft_value(lm_study *study, const char *name, const lm_distribution *d, const lm_prior *prior,
                                  double *internal, lm_error *e);
/* Forgets what was drawn: the trial gets no joint parameters. */
void lm_study_draft_clear(lm_study *study);
/* Why the last of these failed, LMOPT_OK: none did since the draw began. */
lmopt_status lm_study_draft_failure(const lm_study *study, lm_error *e);

const char *lm_study_name(const lm_study *study);
unsigned long long lm_study_seed(const lm_study *study);
long long lm_study_lag(const lm_study *study); /* 0: not fixed yet, asked as 1 */
bool lm_study_arrival(const lm_study *study);
/* Fixes the lag of a study that has none yet. */
lmopt_status lm_study_fix_lag(lm_study *study, long long lag, lm_error *e);
lm_trials *lm_study_trials(lm_study *study);
const lm_trial_info *lm_study_info(const lm_study *study, size_t number);
/* Reads the study's attributes again: others may have set some. */
lmopt_status lm_study_refresh_attributes(lm_study *study, bool user, lm_error *e);
const lm_pairs *lm_study_attributes(const lm_study *study, bool user);
lm_storage *lm_study_storage(lm_study *study); /* NULL: in memory */
lm_id lm_study_id(const lm_study *study);
const lm_allocator *lm_study_allocator(const lm_study *study);

/* Reads what other processes have written since; cheap when nothing has changed. */
lmopt_status lm_study_sync(lm_study *study, lm_error *e);
/* Puts running trials of dead processes back to waiting, and counts them. */
lmopt_status lm_study_release_dead(lm_study *study, size_t *released, lm_error *e);

/*
** Begins a trial: the waiting one with the lowest number, else a new one.
** total >= 0: LMOPT_LIMIT when that many trials are finished or running.
** LMOPT_EXHAUSTED: the sampler has nothing left. LMOPT_BUSY: it knows that only
** when every trial before this one is finished.
*/
lmopt_status lm_study_ask(lm_study *study, long long total, size_t *number, lm_error *e);
/* The number the next ask is going to give. */
lmopt_status lm_study_peek(lm_study *study, size_t *number, lm_error *e);

/* The view of a trial, for samplers written elsewhere. */
lm_view lm_study_view(lm_study *study, size_t number);

/*
** A parameter the trial has already, is fixed by enqueue, or was drawn at ask;
** *found false: somebody must sample it. Checks the distribution against the
** study's. LMOPT_MISUSE says what does not fit.
*/
lmopt_status lm_study_lookup(lm_study *study, size_t number, const char *name, const lm_distribution *d, bool *found,
                             double *internal, lm_error *e);
/* lm_study_lookup, else the study's sampler. */
lmopt_status lm_study_suggest(lm_study *study, size_t number, const char *name, const lm_distribution *d,
                              double *internal, lm_error *e);
/* A parameter of a trial that runs here, whose range is the one that the study knows already. */
typedef struct lm_known {
  size_t number;
  lm_column *column;
  const lm_distribution *distribution;
} lm_known;
/* Is lm_study_suggest such a case, and has the study a sampler? `d` need not be checked. It changes nothing that shows. */
bool lm_study_find_known(lm_study *study, size_t number, const char *name, const lm_distribution *d, lm_known *known);
/* lm_study_suggest of what was just found. */
lmopt_status lm_study_suggest_known(lm_study *study, const lm_known *known, double *internal, lm_error *e);
/*
** A structured variable: a subset of the items or an order of them, one
** parameter per item. values: internal ones, item by item, as they are stored
** (search/structured.h). `drawn`, which may be NULL, is used instead of the
** sampler where nothing is planned. LMOPT_MISUSE says what does not fit.
*/
typedef struct lm_structure_request {
  lm_structure structure;
  const char *name;
  uint32_t least, most;     /* subsets: how many items are chosen; most UINT32_MAX: any number */
  const char *const *names; /* of the parameters, item by item */
  const char *const *items; /* JSON texts of scalars */
  size_t count;             /* at least 1 */
} lm_structure_request;
lmopt_status lm_study_suggest_structure(lm_study *study, size_t number, const lm_structure_request *request,
                                        const double *drawn, double *values, lm_error *e);

/* Enters a parameter that was sampled elsewhere. */
lmopt_status lm_study_set_parameter(lm_study *study, size_t number, const char *name, const lm_distribution *d,
                                    double internal, lm_error *e);
/* Enters a joint parameter of a trial that was just asked, drawn elsewhere. */
lmopt_status lm_study_set_relative(lm_study *study, size_t number, const char *name, const lm_distribution *d,
                                   double internal, lm_error *e);

/* Writes the joint parameters that lm_study_set_relative has entered. */
lmopt_status lm_study_store_relative(lm_study *study, size_t number, lm_error *e);

/* One value per objective. */
lmopt_status lm_study_report(lm_study *study, size_t number, long long step, const double *values, size_t count,
                             lm_error *e);
lmopt_status lm_study_should_prune(lm_study *study, size_t number, bool *prune, lm_error *e);
lmopt_status lm_study_set_constraint(lm_study *study, size_t number, const char *name, double value, lm_error *e);
/* Of a trial (running ones wait for the flush), or of the study. */
lmopt_status lm_study_set_trial_attribute(lm_study *study, size_t number, bool user, const char *key, const char *json,
                                          lm_error *e);
lmopt_status lm_study_set_attribute(lm_study *study, bool user, const char *key, const char *json, lm_error *e);

/*
** Keeps what a program answered in a running trial (lm_storage_predictions) until
** it is written, with the trial's result. Without a storage it is forgotten.
*/
lmopt_status lm_study_add_prediction(lm_study *study, size_t number, const char *about, const char *rows, lm_error *e);
/* Gives a trial what one of another study in the same file has. */
lmopt_status lm_study_copy_predictions(lm_study *study, size_t number, const lm_study *from, size_t from_number,
                                       lm_error *e);

/*
** Cells of score sheets (lm_storage_add_cell); without a storage they are kept in
** memory. What was added is in the file when the call returns. *record NULL:
** there is none; the caller frees it.
*/
lmopt_status lm_study_add_cell(lm_study *study, const char *key, const char *record, lm_error *e);
lmopt_status lm_study_cell(lm_study *study, const char *key, char **record, lm_error *e);
/* Adds all cells of another study; both have a storage. */
lmopt_status lm_study_copy_cells(lm_study *study, lm_study *from, lm_error *e);

/* Writes what a running trial has gathered. A no-op when there is nothing. */
lmopt_status lm_study_flush(lm_study *study, size_t number, lm_error *e);

/*
** Ends a trial. values NULL: none (FAIL; PRUNED takes the last finite report).
** LMOPT_MISUSE: it is not running here.
*/
lmopt_status lm_study_tell(lm_study *study, size_t number, lm_state state, const double *values, lm_error *e);
/* Puts a running trial back to waiting. */
lmopt_status lm_study_release(lm_study *study, size_t number, lm_error *e);

/* Adds a WAITING trial with fixed parameters (external values as JSON texts) and attributes. */
lmopt_status lm_study_enqueue(lm_study *study, const lm_pairs *params, const lm_pairs *user, const lm_pairs *system,
                              size_t *number, lm_error *e);

/* A whole trial, as lm_study_add takes it. */
typedef struct lm_trial_record {
  lm_state state;
  double start, complete; /* NaN: now, or none by state */
  const double *values;   /* per objective or NULL */
  struct lm_record_param {
    const char *name;
    lm_distribution distribution;
    double internal;
  } * params;
  size_t param_count;
  const long long *steps; /* of the reports */
  const double *reports;  /* per step and objective */
  size_t report_count;
  lm_pairs user, system;
} lm_trial_record;
lmopt_status lm_study_add(lm_study *study, const lm_trial_record *record, size_t *number, lm_error *e);

/* LMOPT_MISUSE unless `text` is UTF-8; `what` says whose text, "the name of a parameter". */
lmopt_status lm_study_check_utf8(const char *what, const char *text, lm_error *e);

/* External value (a JSON scalar) to internal: the number, or the index of the equal choice. False: it is none. */
bool lm_distribution_find(const lm_distribution *d, const char *json, double *internal);
/* Internal value to JSON text of the external one. */
bool lm_distribution_external(const lm_distribution *d, double internal, lm_buffer *out);

lmopt_status lm_pairs_set(const lm_allocator *a, lm_pairs *pairs, const char *key, const char *json, lm_error *e);
const char *lm_pairs_get(const lm_pairs *pairs, const char *key);
void lm_pairs_free(const lm_allocator *a, lm_pairs *pairs);

#endif
