/*
** The trials of one study as columns: what samplers and pruners read.
**
** Row i is trial number i; numbers are contiguous. A parameter is a column of
** internal values with, per row, the distribution it was suggested from. Rows
** are never removed. Distributions and names are interned: two equal ones are
** the same pointer, so samplers compare pointers.
*/
#ifndef LM_TRIALS_H
#define LM_TRIALS_H

#include "math/distribution.h"

typedef enum lm_state { LM_RUNNING, LM_COMPLETE, LM_PRUNED, LM_FAIL, LM_WAITING } lm_state;

static inline bool lm_state_finished(lm_state s) { return s == LM_COMPLETE || s == LM_PRUNED || s == LM_FAIL; }

typedef struct lm_column {
  const char *name;
  size_t index;                          /* its place in lm_trials.columns */
  double *values;                        /* per row; meaningful where distributions[row] is not NULL */
  const lm_distribution **distributions; /* per row, NULL: the trial has no such parameter */
  uint32_t *ordinals;                    /* per row: which of the trial's parameters it was, 0 the first */
  size_t capacity;
  const lm_distribution *latest; /* of the highest row that has one */
  size_t latest_row;             /* that row; meaningful where `latest` is not NULL */
} lm_column;

/* A parameter that a sampler drew when the trial was asked, before the objective asks for it. */
typedef struct lm_assignment {
  lm_column *column;
  const lm_distribution
      *distribution; /* interned; NULL: not known yet, use the value if what is suggested contains it */
  double value;      /* internal */
} lm_assignment;

typedef struct lm_assignments {
  lm_assignment *items;
  size_t count, capacity;
} lm_assignments;

typedef struct lm_report {
  long long step;
  double value; /* may be NaN or infinite; of several objectives the first */
} lm_report;

typedef struct lm_constraint {
  size_t name;  /* its place in lm_trials.constraint_names */
  double value; /* feasible when not above 0 */
} lm_constraint;

typedef struct lm_row {
  lm_state state;
  bool infeasible;         /* some constraint is positive */
  bool constrained;        /* some constraint was set */
  double violation;        /* sum of positive constraint values; 0 when feasible */
  lm_assignments relative; /* drawn at ask */
  lm_constraint *constraints;
  size_t constraint_count, constraint_capacity;
  uint32_t param_count;
  lm_report *reports; /* ascending steps, each once */
  double *vectors;    /* of several objectives: reports x objectives; NULL with one */
  size_t report_count, report_capacity;
} lm_row;

/* The front, or the best row of one objective, as it was last asked for, and what has come since (standing.c). */
typedef struct lm_standing {
  bool known;
  unsigned long long edits; /* of the trials then */
  size_t *front, front_count, front_capacity;
  size_t *news, news_count, news_capacity; /* COMPLETE rows that are not in it yet */
} lm_standing;

typedef struct lm_trials lm_trials;
struct lm_trials {
  const lm_allocator *allocator;
  size_t objectives;
  bool *maximize; /* per objective */
  size_t count;
  lm_row *rows;
  double *values; /* rows x objectives, as told; NaN where there is none */
  size_t capacity;
  lm_column **columns; /* in the order of first appearance */
  size_t column_count, column_capacity;
  lm_distribution **distributions; /* interned */
  size_t distribution_count, distribution_capacity;
  char **constraint_names; /* each once, in the order of first appearance */
  size_t constraint_name_count, constraint_name_capacity;
  unsigned long long generation; /* grows when a finished row is added or finishes: what caches compare */
  unsigned long long edits;      /* grows when a row that was finished already changes: caches start anew */
  double birth;                  /* tells these trials from others that lived at the same address */
  size_t *distribution_slots, distribution_slot_count; /* hash tables: index + 1, 0 when free */
  size_t *column_slots, column_slot_count;
  size_t state_counts[LM_WAITING + 1];
  lm_standing standing;
};

lm_trials *lm_trials_new(const lm_allocator *a, size_t objectives, const bool *maximize);
void lm_trials_free(lm_trials *t);

/*
** Appends a row with number t->count. A row that is finished already is best
** appended as running, filled and then finished: changing it later costs caches. LMOPT_NO_MEMORY leaves everything as it was.
*/
lmopt_status lm_trials_append(lm_trials *t, lm_state state, lm_error *e);
/* Takes back the row appended last, which must not be finished. */
void lm_trials_remove_last(lm_trials *t);

/* The column of `name`, made when `create`; NULL: absent, or no memory. */
lm_column *lm_trials_column(lm_trials *t, const char *name, bool create);
/* The interned copy of `d`; NULL: no memory. */
const lm_distribution *lm_trials_intern(lm_trials *t, const lm_distribution *d);

lmopt_status lm_trials_set_param(lm_trials *t, size_t row, lm_column *c, const lm_distribution *interned,
                                 double internal, lm_error *e);
/* With several objectives: of the first; the others are NaN until lm_trials_set_reports says them. */
lmopt_status lm_trials_set_report(lm_trials *t, size_t row, long long step, double value, lm_error *e);
/* One value per objective. */
lmopt_status lm_trials_set_reports(lm_trials *t, size_t row, long long step, const double *values, lm_error *e);
/* Replaces the constraints of a row. Without names their places are their names. After NO_MEMORY the row is as it was. */
lmopt_status lm_trials_set_named_constraints(lm_trials *t, size_t row, const char *const *names, const double *values,
                                             size_t count, lm_error *e);
lmopt_status lm_trials_set_constraints(lm_trials *t, size_t row, const double *values, size_t count);
/* values: one per objective, or NULL when there is none. */
void lm_trials_finish(lm_trials *t, size_t row, lm_state state, const double *values);
void lm_trials_set_state(lm_trials *t, size_t row, lm_state state); /* RUNNING <-> WAITING */
/* Forgets reports of an interrupted trial that will run again. */
void lm_trials_reset(lm_trials *t, size_t row);

lmopt_status lm_assignments_add(const lm_allocator *a, lm_assignments *list, lm_assignment item, lm_error *e);
const lm_assignment *lm_assignments_find(const lm_assignments *list, const lm_column *column);
void lm_assignments_free(const lm_allocator *a, lm_assignments *list);

/*
** Which rows a view shows, of those it reaches. Two scopes of one id show the
** same ones, so a cache that was made of a view goes with its scope's id too.
*/
typedef struct lm_view_scope {
  uint64_t id; /* 0: every row */
  bool (*shows)(const struct lm_view_scope *scope, size_t row);
  const void *context; /* of whoever made it; lives as long as the view */
  long long from, kept;
} lm_view_scope;

/*
** What trial `number` may know (the law of suggestion): rows up to `horizon`
** (inclusive; -1: none) as they are; rows between horizon and number as
** running, of which only `relative` is known; nothing from `number` on. In arrival order
** horizon is number - 1 or more and running rows also show the parameters
** suggested so far.
*/
typedef struct lm_view lm_view;
typedef struct lm_priors lm_priors;

/* What the hard constraints of a declared space say of a point. */
typedef enum lm_verdict { LM_ALLOWED, LM_REJECTED, LM_UNDECIDED, LM_NO_VERDICT } lm_verdict;

typedef struct lm_judge {
  /*
  ** About the joint values in `items` (as a sampler would add them to its
  ** answer) together with view->fixed and what is enqueued. LM_UNDECIDED: it
  ** depends on parameters that are not there. A pure function of them.
  ** LM_NO_VERDICT: there was no memory, and the sampler says LMOPT_NO_MEMORY.
  */
  lm_verdict (*judge)(void *userdata, const lm_view *view, const lm_assignment *items, size_t count);
  void *userdata;
} lm_judge;

struct lm_view {
  lm_trials *trials; /* samplers may make columns and intern distributions, nothing else */
  long long number;  /* the trial that asks */
  long long horizon;
  bool arrival; /* rows after `number` may be seen too, as far as they are finished */
  uint64_t seed;
  const lm_assignments *fixed; /* parameters that are decided already and stay out of joint spaces; NULL: none */
  bool settled;     /* the caller waited after LMOPT_BUSY and something is left: answer, if need be with a duplicate */
  unsigned attempt; /* so many points that were drawn for this trial broke a hard constraint: draw another one */
  const lm_judge *judge;   /* NULL: there are no hard constraints */
  lm_view_scope scope;     /* zeroed: every row */
  const lm_priors *priors; /* what a declared space believes (prior.h); NULL: nothing */
};

/* The verdict about joint values; LM_ALLOWED where there are no hard constraints. */
static inline lm_verdict lm_view_judge(const lm_view *v, const lm_assignment *items, size_t count) {
  return v->judge ? v->judge->judge(v->judge->userdata, v, items, count) : LM_ALLOWED;
}

/* Rows a view reaches: 0 .. lm_view_count - 1 (skip `number` itself). */
size_t lm_view_count(const lm_view *v);
/* The state a row has in the view: RUNNING beyond the horizon; WAITING = invisible, as `number` itself is, and what is
   out of the view's scope. */
lm_state lm_view_state(const lm_view *v, size_t row);
/* The parameter of a row as the view shows it; false when it has none, or none whose distribution is known. */
bool lm_view_param(const lm_view *v, size_t row, const lm_column *c, const lm_distribution **d, double *internal);

/* The parameter of a row, whatever a view may see; NULL distribution: none. */
static inline const lm_distribution *lm_column_distribution(const lm_column *c, size_t row) {
  return row < c->capacity ? c->distributions[row] : NULL;
}

/* The report's values, one per objective. */
static inline const double *lm_trials_report(const lm_trials *t, const lm_row *row, size_t report) {
  return row->vectors ? row->vectors + report * t->objectives : &row->reports[report].value;
}

/* The value a minimizer compares: as told, negated when the objective is maximized. */
static inline double lm_trials_loss(const lm_trials *t, size_t row, size_t objective) {
  double value = t->values[row * t->objectives + objective];
  return t->maximize[objective] ? -value : value;
}

#endif
