/* What the files of a study share; study.h is the interface. */
#ifndef LM_STUDY_INTERNAL_H
#define LM_STUDY_INTERNAL_H

#include "runtime/study.h"

/* A report or an attribute that the file lacks yet. */
typedef struct lm_pending_attribute {
  bool user;
  size_t index; /* into info->user or info->system */
} lm_pending_attribute;

/* What was answered in a trial; written with its result. */
typedef struct lm_pending_prediction {
  char *about, *rows; /* rows may be NULL */
} lm_pending_prediction;

/* What only a trial that runs here needs. */
struct lm_live_trial {
  lm_column **params; /* suggested, not written yet */
  size_t param_count, param_capacity;
  long long *steps; /* reported, not written yet */
  size_t step_count, step_capacity;
  lm_pending_attribute *attributes;
  size_t attribute_count, attribute_capacity;
  lm_pending_prediction *predictions;
  size_t prediction_count, prediction_capacity;
  char **constraint_names;
  double *constraints;
  size_t constraint_count, name_capacity, constraint_capacity;
};

/* What is drawn for a trial that is being asked. */
typedef struct lm_draft {
  size_t number;
  unsigned attempt;
  bool own;             /* from the priors alone */
  lm_assignments joint; /* what the sampler proposes */
  lm_assignments drawn; /* what was taken, without what can have one value only */
  lm_error failure;     /* status LMOPT_OK: none */
} lm_draft;

/* Cells of a study without a storage: open addressing, a power of two. */
typedef struct lm_cells {
  lm_pair *slots; /* key NULL: free */
  size_t count, capacity;
} lm_cells;

struct lm_study {
  lm_resource resource; /* first: the runtime closes us through it */
  lmopt_runtime *runtime;
  const lm_allocator *allocator;
  char *name;
  lm_storage *storage;
  lm_id id;
  bool open, read_only;
  unsigned long long seed;
  long long lag;
  bool arrival;
  lm_sampler *sampler;
  lm_pruner *pruner;
  lm_trials *trials;
  lm_trial_info *infos; /* parallel to trials->rows */
  size_t info_capacity;
  lm_pairs user, system;
  lm_pairs axes; /* external values of joint ones without a distribution */
  lm_study_space space;
  lm_assignments declared; /* the space's parameters; the values mean nothing */
  lm_priors priors;        /* what it believes of them */
  lm_draft *draft;         /* NULL: no trial is being drawn by the space */
  long long version;       /* of the file, when it was last read */
  lm_id last_id;           /* highest trial id read */
  size_t *unfinished;      /* rows that somebody else may finish: waiting, or running elsewhere */
  size_t unfinished_count, unfinished_capacity;
  lm_cells cells;
  size_t next_column; /* a guess which parameter is suggested next: trials ask for theirs in the same order */
};

/* LMOPT_MISUSE unless the study is open (and, when `write`, may be written). */
lmopt_status lm_study_check(lm_study *study, bool write, lm_error *e);
/* LMOPT_MISUSE unless `number` is a trial that runs here, and the study may be written. */
lmopt_status lm_study_check_running(lm_study *study, size_t number, lm_error *e);
/* LMOPT_STORAGE unless the trial that the file just took in follows those that are known: numbers are places in memory. */
lmopt_status lm_study_check_new(const lm_study *study, lm_id id, long long given, lm_error *e);
/* The same for one that is read again: it is where it was. */
lmopt_status lm_study_check_same(const lm_study *study, lm_id id, long long number, lm_error *e);
/* Adds a row with its info; the caller makes it live or unfinished. */
lmopt_status lm_study_append(lm_study *study, lm_state state, lm_id id, lm_error *e);
void lm_study_remove_last(lm_study *study);
lmopt_status lm_study_add_unfinished(lm_study *study, size_t number, lm_error *e);
lm_live_trial *lm_live_trial_new(const lm_allocator *a);
void lm_live_trial_free(const lm_allocator *a, lm_live_trial *live);
/* lm_study_check_utf8 of an attribute's key and its JSON, and of choices. */
lmopt_status lm_study_check_attribute(const char *key, const char *json, lm_error *e);
lmopt_status lm_study_check_choices(const char *parameter, const char *choices, lm_error *e);
/* Ends the transaction that is open: commits it, or after a failure (of the commit too) takes everything back. */
lmopt_status lm_study_commit(lm_study *study, lmopt_status status, lm_error *e);
/* Writes the pending parts inside a transaction that is open. */
lmopt_status lm_study_write_pending(lm_study *study, size_t number, lm_error *e);
void lm_study_clear_pending(lm_study *study, size_t number);
/* The same for its predictions, which belong to its result. */
lmopt_status lm_study_write_predictions(lm_study *study, size_t number, lm_error *e);
void lm_live_trial_free_predictions(const lm_allocator *a, lm_live_trial *live);
void lm_cells_free(const lm_allocator *a, lm_cells *cells);
/* Enters what set_constraint left into the attributes of a trial, and into its row. */
lmopt_status lm_study_attach_constraints(lm_study *study, size_t number, lm_error *e);
/* Constraint values of a trial from its attributes, old form or new, into its row. */
lmopt_status lm_study_read_constraints(lm_study *study, size_t number, lm_error *e);

/* The column and the interned distribution of what is suggested, checked against the study's. */
lmopt_status lm_study_resolve(lm_study *study, const char *name, const lm_distribution *d, lm_column **column,
                              const lm_distribution **interned, lm_error *e);
/* A joint value that was drawn without a distribution: it stands for one of its axis' external values. */
lmopt_status lm_study_axis_value(lm_study *study, const lm_assignment *a, const lm_distribution *d, bool *found,
                                 double *internal, lm_error *e);
/* What the sampler proposes for a trial, with its "it depends" settled when nothing before `number` is open. */
lmopt_status lm_study_draw_joint(lm_study *study, size_t number, unsigned attempt, lm_assignments *out, lm_error *e);
/* The same, or all that the declared space draws. */
lmopt_status lm_study_draw_relative(lm_study *study, size_t number, lm_assignments *out, lm_error *e);
/* lm_study_resolve for a trial that must be running. */
lmopt_status lm_study_resolve_running(lm_study *study, size_t number, const char *name, const lm_distribution *d,
                                      lm_column **column, const lm_distribution **interned, lm_error *e);
lmopt_status lm_study_enter_parameter(lm_study *study, size_t number, lm_column *column,
                                      const lm_distribution *interned, double internal, lm_error *e);

/* Writes one report inside a transaction that is open. */
lmopt_status lm_study_write_report(lm_study *study, lm_id trial, long long step, const double *values, lm_error *e);
/* Is it the key of a system attribute with the values of a report? lm_study_read_report takes them in then. */
bool lm_study_is_report(const lm_study *study, const char *key);
lmopt_status lm_study_read_report(lm_study *study, size_t number, const char *key, const char *json, lm_error *e);

/* Reads the joint parameters of a trial, once. */
lmopt_status lm_study_read_relative(lm_study *study, size_t number, lm_error *e);
/* What trial `number` may see of others is in memory after this. */
lmopt_status lm_study_prepare_view(lm_study *study, size_t number, lm_error *e);
/* Enters the joint parameters of a trial into its attributes and the file. */
lmopt_status lm_study_write_relative(lm_study *study, lm_id trial, lm_trial_info *info, const lm_assignments *list,
                                     lm_error *e);

/* A JSON scalar as a number; Infinity, -Infinity and NaN are some, as Python writes them. */
bool lm_json_number(const char *json, double *value);
/* The numbers of a flat JSON array, NaN for anything else in it; 0 when `json` is no array. */
size_t lm_json_numbers(const char *json, double *values, size_t capacity);
/* How many elements a flat JSON array of scalars has. */
size_t lm_json_count(const char *json);
/* The next element of a flat JSON array of scalars, as it is written; *rest moves on. False at the end, and when it is no array. */
bool lm_json_element(const char **rest, const char **start, size_t *size);
/*
** Appends the text of a JSON string that holds JSON text itself, whose escapes
** are therefore only \" and \\.
*/
bool lm_json_unquote(const char *json, lm_buffer *out);

#endif
