/*
** What the storage's files share; nobody else includes this.
**
** storage.c          statements, transactions, errors
** storage_open.c     locations, connections, refusals, closing
** storage_schema.c   the tables, and telling what a file is
** storage_sql.c      every statement that runs more than once
** storage_study.c    studies, their attributes and properties
** storage_read.c     reading trials
** storage_write.c    writing trials
** storage_owner.c    who runs which trial
** storage_call.c     the journal of model calls
** storage_budget.c   the budget's ledger
** storage_prediction.c  what programs answered in a trial
** storage_cell.c     the cells of score sheets
** storage_json.c     reading JSON texts
** storage_range.c    distributions to texts and back, each text once
*/
#ifndef LM_STORAGE_INTERNAL_H
#define LM_STORAGE_INTERNAL_H

#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/clock.h"
#include "io/owner.h"
#include "io/storage.h"

/* The order of lm_state in search/trials.h, which this floor can't see. */
enum { LM_STORED_RUNNING, LM_STORED_COMPLETE, LM_STORED_PRUNED, LM_STORED_FAIL, LM_STORED_WAITING, LM_STORED_STATES };

typedef enum lm_sql {
  LM_SQL_BEGIN,
  LM_SQL_BEGIN_READING,
  LM_SQL_COMMIT,
  LM_SQL_ROLLBACK,
  LM_SQL_DATA_VERSION,
  LM_SQL_STUDY_INSERT,
  LM_SQL_DIRECTION_INSERT,
  LM_SQL_STUDY_FIND,
  LM_SQL_STUDY_NAME,
  LM_SQL_STUDY_NAMES,
  LM_SQL_STUDY_LIST,
  LM_SQL_DIRECTIONS,
  /* The next four groups have one statement per lm_scope, in its order. */
  LM_SQL_ATTRIBUTE_SET,
  LM_SQL_STUDY_ATTRIBUTES = LM_SQL_ATTRIBUTE_SET + 4,   /* two */
  LM_SQL_SCAN_ATTRIBUTES = LM_SQL_STUDY_ATTRIBUTES + 2, /* two: trial scopes */
  LM_SQL_PROPERTY_SET = LM_SQL_SCAN_ATTRIBUTES + 2,
  LM_SQL_PROPERTY_GET,
  LM_SQL_SCAN_TRIALS,
  LM_SQL_SCAN_PARAMETERS,
  LM_SQL_SCAN_VALUES,
  LM_SQL_SCAN_REPORTS,
  LM_SQL_LAST_TRIAL,
  LM_SQL_WHOLE_PARAMETERS,
  LM_SQL_WHOLE_VALUES,
  LM_SQL_WHOLE_REPORTS,
  LM_SQL_WHOLE_ATTRIBUTES, /* two: trial scopes */
  LM_SQL_TRIAL_STUDY = LM_SQL_WHOLE_ATTRIBUTES + 2,
  LM_SQL_TRIAL_NUMBER,
  LM_SQL_TRIAL_STATE,
  LM_SQL_TRIAL_INSERT,
  LM_SQL_WAITING,
  LM_SQL_CLAIM,
  LM_SQL_PARAMETER_SET,
  LM_SQL_REPORT_SET,
  LM_SQL_VALUE_SET,
  LM_SQL_FINISH,
  LM_SQL_RELEASE,
  LM_SQL_REPORTS_DELETE,
  LM_SQL_VECTORS_DELETE,
  LM_SQL_OWNER_INSERT,
  LM_SQL_OWNER_BEAT,
  LM_SQL_OWNER_DELETE,
  LM_SQL_OWNED_INSERT,
  LM_SQL_OWNED_DELETE,
  LM_SQL_OWNED_ANY,
  LM_SQL_OWNED_LIST,
  LM_SQL_TEXT_INSERT,
  LM_SQL_LIMITS_CLEAR,
  LM_SQL_LIMIT_SET,
  LM_SQL_ACCOUNT_GET,
  LM_SQL_ACCOUNT_LIST,
  LM_SQL_ACCOUNT_SECONDS,
  LM_SQL_BUDGET_RESERVE,
  LM_SQL_BUDGET_SETTLE,
  LM_SQL_TRIAL_ACCOUNTS,
  LM_SQL_CALL_INSERT,
  LM_SQL_CALL_FIND,
  LM_SQL_CALL_SETTLE,
  LM_SQL_CALL_REPLAY,
  LM_SQL_CALL_LIST,
  LM_SQL_PREDICTION_INSERT,
  LM_SQL_PREDICTION_COPY,
  LM_SQL_PREDICTION_LIST,
  LM_SQL_CELL_INSERT,
  LM_SQL_CELL_GET,
  LM_SQL_CELL_LIST,
  LM_SQL_COUNT
} lm_sql;

extern const char *const lm_storage_sql[LM_SQL_COUNT];

/* A distribution text that was read, parsed once. */
typedef struct lm_interned lm_interned;
struct lm_interned {
  char *text;
  size_t size;
  uint64_t hash;
  lm_distribution distribution;
  char *choices;
  lm_part *part;
  lm_interned *follower; /* what came after it last time: trials repeat their parameters in the same order */
};

/* A distribution that was written, with its text. */
typedef struct lm_written {
  lm_distribution distribution;
  char *choices;
  lm_part *part;
  char *text; /* NULL: the slot is free */
  size_t size;
} lm_written;

enum { LM_WRITTEN_SLOTS = 128 };

struct lm_storage {
  lm_allocator allocator;
  char *path; /* as the user wrote it, without sqlite:/// */
  sqlite3 *database;
  sqlite3_stmt *statements[LM_SQL_COUNT];
  pid_t process; /* a connection must not cross a fork */
  bool read_only;
  bool own_tables;       /* lmopt_* tables are there */
  long long own_version; /* of those tables: a reader may meet older ones */
  bool immutable;        /* a reader without locks: nobody had the file open */
  struct stat seen;      /* the file of an immutable reader when it was opened */
  long long reopened;

  bool writing;         /* between begin and commit */
  bool broken;          /* a write in this transaction failed: it can't be committed */
  unsigned reading;     /* depth of reads in progress */
  lm_id checked_trial;  /* known in this transaction to be ours to write */
  lm_id inserted_trial; /* inserted in this transaction as finished: its values may follow */
  double busy_since;

  lm_owner self;
  lm_id owner;    /* our row in lmopt_owners, 0: none yet */
  bool owner_new; /* it was made in this transaction */
  double beat;    /* when our heartbeat was written (monotonic) */

  lm_interned **interned; /* open addressing, a power of two */
  size_t interned_count, interned_capacity;
  lm_interned *interned_last;
  lm_written *written; /* LM_WRITTEN_SLOTS, made at the first use */
};

/* --- storage.c --- */

/* The status of a failure that `e` describes. */
static inline lmopt_status lm_storage_failed(const lm_error *e) { return e ? e->status : LMOPT_STORAGE; }
/* What an SQLite result means, in one line with the path. */
lmopt_status lm_storage_fail(lm_storage *s, int result, lm_error *e);
lmopt_status lm_storage_connection_fail(const char *path, sqlite3 *database, int result, lm_error *e);
/* A prepared statement, ready to be bound; NULL: `e` says why. */
sqlite3_stmt *lm_storage_statement(lm_storage *s, lm_sql which, lm_error *e);
/* Steps to a row: 1 a row, 0 none (and reset), or a negative lmopt_status (and reset). */
int lm_storage_step(lm_storage *s, sqlite3_stmt *statement, lm_error *e);
/* Runs a statement that gives no rows. */
lmopt_status lm_storage_run(lm_storage *s, sqlite3_stmt *statement, lm_error *e);
lmopt_status lm_storage_run_text(lm_storage *s, const char *sql, lm_error *e);
/*
** A write joins the transaction that is open, or is one of its own: enter,
** then leave with how it went. A failure that may have written something
** dooms an outer transaction.
*/
lmopt_status lm_storage_enter(lm_storage *s, bool *outermost, lm_error *e);
lmopt_status lm_storage_leave(lm_storage *s, bool outermost, lmopt_status status, lm_error *e);
/* The same for reads: one consistent view. */
lmopt_status lm_storage_enter_reading(lm_storage *s, lm_error *e);
lmopt_status lm_storage_leave_reading(lm_storage *s, lmopt_status status, lm_error *e);
int lm_storage_wait(void *storage, int count); /* SQLite's busy handler */
/*
** An SQLite result by which a read-only connection says that a write was cut
** off. It looks at the locks first and at the journal or the index next, and
** can't look again as a writer would: a living writer's two commits pass for
** one that died. So it is believed after LM_STORAGE_GLANCES times, with waits between.
*/
bool lm_storage_unfinished(int result);
enum { LM_STORAGE_GLANCES = 12 };
void lm_storage_forget_statements(lm_storage *s);

int lm_storage_bind_text(sqlite3_stmt *statement, int index, const char *text);
const char *lm_storage_column_text(sqlite3_stmt *statement, int column); /* NULL: NULL */

/* --- storage_open.c --- */

/* Opens an immutable reader anew when the file has changed. */
lmopt_status lm_storage_refresh_reader(lm_storage *s, lm_error *e);
/* True when what an immutable reader just read may be torn. */
bool lm_storage_reader_torn(const lm_storage *s);

/* --- storage_schema.c --- */

enum { LM_OWN_VERSION = 4 }; /* of the tables lmopt_* */

typedef struct lm_recognised {
  bool empty;            /* no tables at all */
  bool lacking;          /* some table is missing that a writer makes */
  bool own_tables;       /* lmopt's tables */
  long long own_version; /* of lmopt's tables; an older one a writer changes to this one */
  bool outdated;         /* it is older */
  bool made_here;        /* the file was made by lmopt */
  bool unfinished;       /* it could not be told: see lm_storage_unfinished */
} lm_recognised;

lmopt_status lm_storage_recognise(const char *path, sqlite3 *database, lm_recognised *out, lm_error *e);
/* Optuna's tables where they are missing, and lmopt's; inside a transaction. */
lmopt_status lm_storage_create_tables(lm_storage *s, bool made_here, lm_error *e);
/* Changes lmopt's tables from an older version; inside a transaction. */
lmopt_status lm_storage_update_tables(lm_storage *s, long long version, lm_error *e);

/* --- storage_study.c --- */

/* "study 'name', trial 7: <what>" */
lmopt_status lm_storage_fail_trial(lm_storage *s, lm_id trial, const char *what, lm_error *e);
/* A copy of a text column; NULL: the column is. */
lmopt_status lm_storage_copy_column(lm_storage *s, sqlite3_stmt *statement, int column, char **out, lm_error *e);

/* --- storage_write.c --- */

int lm_storage_read_state(const char *text); /* -1: none */

/* --- storage_call.c --- */

enum { LM_HASH_SIZE = 65 };
/* Stores a text, unless it is there already; NULL text: an empty hash. Inside a transaction. */
lmopt_status lm_storage_keep_text(lm_storage *s, const char *text, char hash[LM_HASH_SIZE], lm_error *e);

/* --- storage_budget.c --- */

enum { LM_WITH_ACCOUNTS = 2 /* the version of lmopt's tables that has accounts */ };

/* A cost in its six columns, calls, prompt_tokens, completion_tokens, usd, cached_tokens, reasoning_tokens. */
void lm_storage_bind_cost(sqlite3_stmt *statement, int first, const lm_cost *cost);
lm_cost lm_storage_read_cost(sqlite3_stmt *row, int first);
/* Enters what a call may cost; LMOPT_LIMIT: there is no room for it, and nothing was written. Inside a transaction. */
lmopt_status lm_storage_spend(lm_storage *s, lm_id study, const char *model, const lm_cost *worst, lm_error *e);

/* --- storage_owner.c --- */

/* Enters this process as the owner of a trial; inside a transaction. */
lmopt_status lm_storage_own(lm_storage *s, lm_id trial, lm_error *e);
lmopt_status lm_storage_disown(lm_storage *s, lm_id trial, lm_error *e);
/* RUNNING -> WAITING without its reports; inside a transaction. */
lmopt_status lm_storage_return_trial(lm_storage *s, lm_id trial, bool *done, lm_error *e);
void lm_storage_leave_owners(lm_storage *s);

/* --- storage_json.c --- */

typedef struct lm_json {
  const char *next, *end;
} lm_json;

typedef enum lm_json_type {
  LM_JSON_NONE, /* not JSON */
  LM_JSON_NULL,
  LM_JSON_TRUE,
  LM_JSON_FALSE,
  LM_JSON_NUMBER, /* NaN, Infinity and -Infinity too, as Python writes them */
  LM_JSON_STRING,
  LM_JSON_ARRAY,
  LM_JSON_OBJECT
} lm_json_type;

/* One value as a piece of the text. */
typedef struct lm_json_value {
  lm_json_type type;
  const char *text;
  size_t size;
} lm_json_value;

bool lm_json_whole(const char *text, size_t size, lm_json_value *value); /* false: not one valid JSON value */
/*
** Walks the members of a valid array or object: 1 a member, 0 the end. `key` may be NULL;
** for arrays it is left alone.
*/
lm_json lm_json_members(const lm_json_value *container);
int lm_json_next(lm_json *walk, lm_json_value *key, lm_json_value *value);
bool lm_json_double(const lm_json_value *value, double *out);
bool lm_json_is_integer(const lm_json_value *value); /* no fraction, no exponent */
bool lm_json_string(const lm_json_value *value,
                    lm_buffer *out); /* decoded; false: not a string, a zero byte, no memory */

/* --- storage_range.c --- */

/* NULL: `e` says what is wrong with the text (or no memory). */
const lm_distribution *lm_storage_intern(lm_storage *s, const char *text, size_t size, lm_error *e);
/* The text of a distribution; lives until the next call. */
const char *lm_storage_distribution_text(lm_storage *s, const lm_distribution *d, size_t *size, lm_error *e);
void lm_storage_free_ranges(lm_storage *s);

#endif
