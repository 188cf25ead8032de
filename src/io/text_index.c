#define _POSIX_C_SOURCE 200809L
#include "io/text_index.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/buffer.h"
#include "io/digest.h"

#define APPLICATION_ID "1819112553" /* "lmti", https://www.sqlite.org/fileformat.html#application_id */
#define VERSION "1"

enum { WORDS_MAX = 256, WORD_LENGTH = 256, PATIENCE = 2000 };

struct lm_text_index {
  lm_allocator allocator;
  char *path;    /* NULL: in memory */
  pid_t process; /* a file is not used after a fork: https://www.sqlite.org/howtocorrupt.html */
  sqlite3 *database;
  sqlite3_stmt *search;
  lm_tokenizer tokenizer;
  bool asked; /* a question whose texts are not all given yet */
  long long count;
};

static const char *const tokenizers[LM_TOKENIZER_COUNT] = {
    [LM_TOKENIZER_UNICODE61] = "unicode61 remove_diacritics 2",
    [LM_TOKENIZER_PORTER] = "porter unicode61 remove_diacritics 2",
    [LM_TOKENIZER_TRIGRAM] = "trigram",
};

static const char *const schemas[LM_TOKENIZER_COUNT] = {
#define SCHEMA(name)                                                                                \
  "DROP TABLE IF EXISTS texts; DROP TABLE IF EXISTS corpus;"                                        \
  "CREATE VIRTUAL TABLE texts USING fts5(text, data UNINDEXED, tokenize = '" name                   \
  "');"                                                                                             \
  "CREATE TABLE corpus (digest BLOB NOT NULL, tokenizer INTEGER NOT NULL, count INTEGER NOT NULL);" \
  "PRAGMA application_id = " APPLICATION_ID "; PRAGMA user_version = " VERSION ";"
    [LM_TOKENIZER_UNICODE61] = SCHEMA("unicode61 remove_diacritics 2"),
    [LM_TOKENIZER_PORTER] = SCHEMA("porter unicode61 remove_diacritics 2"),
    [LM_TOKENIZER_TRIGRAM] = SCHEMA("trigram"),
#undef SCHEMA
};

/* The texts themselves are read for the few that are given back, not for all that match. */
static const char search_sql[] =
    "SELECT m.id, m.score, t.text, t.data FROM "
    "(SELECT rowid AS id, rank AS score FROM texts WHERE texts MATCH ?1 ORDER BY rank, rowid LIMIT ?2) m "
    "CROSS JOIN texts t ON t.rowid = m.id ORDER BY m.score, m.id";

/* What says whether a file is ours, and what is in it: no trigger of others may run with what we write. */
static const char foreign_sql[] = "SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')";

static bool is_full(const lm_text_index *x, int result) {
  return (result & 0xFF) == SQLITE_IOERR && x->database && sqlite3_system_errno(x->database) == ENOSPC;
}

static lmopt_status fail(const lm_text_index *x, int result, lm_error *e) {
  const char *where = x->path ? x->path : "in memory";
  if (is_full(x, result)) result = SQLITE_FULL;
  switch (result & 0xFF) {
    case SQLITE_NOMEM: return lm_fail_memory(e);
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return lm_fail(e, LMOPT_BUSY, "the index '%s' is in use by another program", where);
    case SQLITE_CANTOPEN: return lm_fail(e, LMOPT_STORAGE, "the index '%s' can't be opened", where);
    case SQLITE_READONLY: return lm_fail(e, LMOPT_STORAGE, "the index '%s' can't be written", where);
    case SQLITE_FULL: return lm_fail(e, LMOPT_STORAGE, "the index '%s' can't grow: the disk is full", where);
    case SQLITE_CORRUPT: return lm_fail(e, LMOPT_STORAGE, "the index '%s' is damaged", where);
    case SQLITE_NOTADB: return lm_fail(e, LMOPT_STORAGE, "'%s' is no index", where);
    default: return lm_fail(e, LMOPT_STORAGE, "the index '%s': %s", where, sqlite3_errstr(result));
  }
}

static int execute(lm_text_index *x, const char *sql) { return sqlite3_exec(x->database, sql, NULL, NULL, NULL); }

static int ask_number(lm_text_index *x, const char *sql, long long *number) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(x->database, sql, -1, &statement, NULL);
  if (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW)
    *number = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

/* --- what texts an index is of --- */

static void add_sized(lm_digest *d, const char *bytes, size_t size) {
  unsigned char head[8];
  for (int i = 0; i < 8; i++) head[i] = (unsigned char)((uint64_t)size >> (8 * i));
  lm_digest_add(d, head, sizeof head);
  if (size) lm_digest_add(d, bytes, size);
}

static bool hash_texts(const lm_text_index_options *o, unsigned char out[LM_DIGEST_SIZE]) {
  lm_digest d;
  if (!lm_digest_open(&d)) return false;
  lm_digest_begin(&d);
  add_sized(&d, tokenizers[o->tokenizer], strlen(tokenizers[o->tokenizer]));
  for (size_t i = 0; i < o->count; i++) {
    lm_text text = {0};
    o->item(o->userdata, i, &text);
    add_sized(&d, text.text, text.size);
    add_sized(&d, text.data ? "+" : "-", 1);
    add_sized(&d, text.data, text.data ? text.data_size : 0);
  }
  bool done = lm_digest_end(&d, out);
  lm_digest_close(&d);
  return done;
}

/* Reads the file's corpus; *same: it is of these texts (any, when `digest` is NULL). */
static int read_corpus(lm_text_index *x, const unsigned char *digest, bool *same) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(x->database, "SELECT digest, tokenizer, count FROM corpus", -1, &statement, NULL);
  *same = false;
  if (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
    long long tokenizer = sqlite3_column_int64(statement, 1);
    bool sound = sqlite3_column_bytes(statement, 0) == LM_DIGEST_SIZE && tokenizer >= 0 &&
                 tokenizer < LM_TOKENIZER_COUNT && sqlite3_column_int64(statement, 2) >= 0;
    *same = sound && (!digest || memcmp(sqlite3_column_blob(statement, 0), digest, LM_DIGEST_SIZE) == 0);
    if (*same) {
      x->tokenizer = (lm_tokenizer)tokenizer;
      x->count = sqlite3_column_int64(statement, 2);
    }
  }
  sqlite3_finalize(statement);
  return result == SQLITE_ROW || result == SQLITE_DONE ? SQLITE_OK : result;
}

/* --- making one --- */

static int bind_text(sqlite3_stmt *statement, int index, const char *text, size_t size) {
  if (!text) return sqlite3_bind_null(statement, index);
  return sqlite3_bind_text64(statement, index, text, size, SQLITE_STATIC, SQLITE_UTF8);
}

static int insert_texts(lm_text_index *x, const lm_text_index_options *o) {
  sqlite3_stmt *statement = NULL;
  int result =
      sqlite3_prepare_v2(x->database, "INSERT INTO texts(rowid, text, data) VALUES (?1, ?2, ?3)", -1, &statement, NULL);
  for (size_t i = 0; i < o->count && result == SQLITE_OK; i++) {
    lm_text text = {0};
    o->item(o->userdata, i, &text);
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)i + 1);
    result = bind_text(statement, 2, text.text ? text.text : "", text.size);
    if (result == SQLITE_OK) result = bind_text(statement, 3, text.data, text.data_size);
    if (result != SQLITE_OK) break;
    sqlite3_step(statement);
    result = sqlite3_reset(statement);
    sqlite3_clear_bindings(statement); /* the bytes are the caller's */
  }
  sqlite3_finalize(statement);
  return result;
}

static int insert_corpus(lm_text_index *x, const lm_text_index_options *o, const unsigned char *digest) {
  sqlite3_stmt *statement = NULL;
  int result = sqlite3_prepare_v2(x->database, "INSERT INTO corpus VALUES (?1, ?2, ?3)", -1, &statement, NULL);
  if (result == SQLITE_OK) result = sqlite3_bind_blob(statement, 1, digest, LM_DIGEST_SIZE, SQLITE_STATIC);
  if (result == SQLITE_OK) result = sqlite3_bind_int64(statement, 2, o->tokenizer);
  if (result == SQLITE_OK) result = sqlite3_bind_int64(statement, 3, (sqlite3_int64)o->count);
  if (result == SQLITE_OK) result = sqlite3_step(statement);
  sqlite3_finalize(statement);
  return result == SQLITE_DONE ? SQLITE_OK : result;
}

/* Makes the index, unless another process has done so by now. */
static int make(lm_text_index *x, const lm_text_index_options *o, const unsigned char *digest) {
  bool same = false;
  long long id = 0;
  int result = execute(x, "BEGIN IMMEDIATE");
  if (result != SQLITE_OK) return result;
  if (x->path) result = ask_number(x, "PRAGMA application_id", &id);
  if (result == SQLITE_OK && id != 0) result = read_corpus(x, digest, &same);
  if (result == SQLITE_OK && !same) {
    result = execute(x, schemas[o->tokenizer]);
    if (result == SQLITE_OK) result = insert_texts(x, o);
    if (result == SQLITE_OK) result = insert_corpus(x, o, digest);
    if (result == SQLITE_OK) result = execute(x, "INSERT INTO texts(texts) VALUES ('optimize')");
  }
  if (result == SQLITE_OK) result = execute(x, "COMMIT");
  if (result != SQLITE_OK) execute(x, "ROLLBACK");
  if (result == SQLITE_OK) x->count = (long long)o->count;
  return result;
}

/* --- opening --- */

typedef enum finding { EMPTY, OURS, FOREIGN, NEWER } finding;

static int recognise(lm_text_index *x, finding *found) {
  long long id = 0, version = 0, there = 0, strange = 0, wanted = 0;
  int result = ask_number(x, "SELECT " APPLICATION_ID, &wanted);
  if (result == SQLITE_OK) result = ask_number(x, "PRAGMA application_id", &id);
  if (result == SQLITE_OK) result = ask_number(x, "PRAGMA user_version", &version);
  if (result == SQLITE_OK) result = ask_number(x, "SELECT count(*) FROM sqlite_schema", &there);
  if (result == SQLITE_OK) result = ask_number(x, foreign_sql, &strange);
  if (id == 0 && there == 0)
    *found = EMPTY;
  else
    *found = id != wanted || strange > 0 ? FOREIGN : version > 1 ? NEWER : OURS;
  return result;
}

/* Takes the index in the file, or makes it of the texts that are given. */
static int take_or_make(lm_text_index *x, const lm_text_index_options *o, finding found, const unsigned char *digest) {
  bool same = false;
  int result = found == OURS ? read_corpus(x, digest, &same) : SQLITE_OK;
  if (result != SQLITE_OK || same) return result;
  return o->item ? make(x, o, digest) : SQLITE_CORRUPT;
}

static lmopt_status open_file(lm_text_index *x, const lm_text_index_options *o, lm_error *e) {
  unsigned char digest[LM_DIGEST_SIZE];
  finding found = EMPTY;
  int result = recognise(x, &found);
  if (result != SQLITE_OK) return fail(x, result, e);
  if (found == FOREIGN) return lm_fail(e, LMOPT_STORAGE, "'%s' is no index of lmopt", x->path);
  if (found == NEWER) return lm_fail(e, LMOPT_STORAGE, "the index '%s' is of a newer version of lmopt", x->path);
  if (found == EMPTY && !o->item) return lm_fail(e, LMOPT_STORAGE, "the index '%s' is empty", x->path);
  if (o->item && !hash_texts(o, digest)) return lm_fail(e, LMOPT_STORAGE, "SHA-256 is not available");
  result = take_or_make(x, o, found, o->item ? digest : NULL);
  if (result == SQLITE_OK) result = execute(x, "PRAGMA query_only = ON");
  return result == SQLITE_OK ? LMOPT_OK : fail(x, result, e);
}

static lmopt_status connect(lm_text_index *x, const lm_text_index_options *o, lm_error *e) {
  static const unsigned char nothing[LM_DIGEST_SIZE];
  /* Where nothing may be written SQLite opens to read alone; where it may, a reader undoes what a killed writer left. */
  int flags = SQLITE_OPEN_READWRITE | (o->item ? SQLITE_OPEN_CREATE : 0);
  int result = sqlite3_open_v2(x->path ? x->path : ":memory:", &x->database,
                               flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
  if (result != SQLITE_OK) return fail(x, result, e);
  sqlite3_busy_timeout(x->database, o->patience > 0 ? o->patience : PATIENCE);
  sqlite3_db_config(x->database, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
  result = execute(x, "PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY");
  if (result != SQLITE_OK) return fail(x, result, e);
  long long modules = 0;
  result = ask_number(x, "SELECT count(*) FROM pragma_module_list WHERE name = 'fts5'", &modules);
  if (result != SQLITE_OK) return fail(x, result, e);
  if (modules == 0) return lm_fail(e, LMOPT_STORAGE, "the SQLite of this system has no full-text search (FTS5)");
  if (x->path || !o->item) return open_file(x, o, e);
  result = make(x, o, nothing);
  return result == SQLITE_OK ? LMOPT_OK : fail(x, result, e);
}

lmopt_status lm_text_index_open(const lm_allocator *a, const lm_text_index_options *options, lm_text_index **out,
                                lm_error *e) {
  *out = NULL;
  if (!options->path && !options->item)
    return lm_fail(e, LMOPT_MISUSE, "an index needs texts, or a file that has them");
  lm_text_index *x = lm_alloc_zeroed(a, sizeof *x);
  if (!x) return lm_fail_memory(e);
  x->allocator = *a;
  x->process = getpid();
  x->tokenizer = options->tokenizer;
  x->path = lm_copy_text(a, options->path);
  lmopt_status status = options->path && !x->path ? lm_fail_memory(e) : connect(x, options, e);
  if (status == LMOPT_OK)
    *out = x;
  else
    lm_text_index_close(x);
  return status;
}

static bool is_inherited(const lm_text_index *x) { return x->path && x->process != getpid(); }

void lm_text_index_close(lm_text_index *x) {
  if (!x) return;
  if (!is_inherited(x)) { /* the parent's: even closing would take its locks away */
    sqlite3_finalize(x->search);
    sqlite3_close(x->database);
  }
  const lm_allocator a = x->allocator;
  lm_free(&a, x->path);
  lm_free(&a, x);
}

long long lm_text_index_count(const lm_text_index *x) { return x->count; }

/* --- questions: words become quoted strings of FTS5's language, so that nothing in them means anything there --- */

typedef struct word {
  const char *text;
  size_t size;
} word;

typedef struct words {
  word list[WORDS_MAX];
  int count;
} words;

static unsigned char lower(unsigned char c) { return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c; }

static bool is_letter(unsigned char c) {
  return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '_' || c >= 0x80;
}

static bool is_same(word a, word b) {
  if (a.size != b.size) return false;
  for (size_t i = 0; i < a.size; i++)
    if (lower((unsigned char)a.text[i]) != lower((unsigned char)b.text[i])) return false;
  return true;
}

static void add_word(words *w, word one) {
  if (w->count == WORDS_MAX || one.size == 0 || one.size > WORD_LENGTH) return;
  for (int i = 0; i < w->count; i++)
    if (is_same(w->list[i], one)) return;
  w->list[w->count++] = one;
}

/* The place after the character at `at`. */
static size_t after_character(word one, size_t at) {
  at++;
  while (at < one.size && ((unsigned char)one.text[at] & 0xC0) == 0x80) at++;
  return at;
}

/* All runs of three characters. */
static void add_trigrams(words *w, word one) {
  size_t start = 0, second = after_character(one, start);
  for (size_t third = second < one.size ? after_character(one, second) : one.size; third < one.size;) {
    size_t stop = after_character(one, third);
    add_word(w, (word){one.text + start, stop - start});
    start = second;
    second = third;
    third = stop;
  }
}

static void split(words *w, const char *query, size_t size, bool trigrams) {
  size_t at = 0;
  while (at < size && w->count < WORDS_MAX) {
    while (at < size && !is_letter((unsigned char)query[at])) at++;
    size_t start = at;
    while (at < size && is_letter((unsigned char)query[at])) at++;
    if (at == start) break;
    if (trigrams)
      add_trigrams(w, (word){query + start, at - start});
    else
      add_word(w, (word){query + start, at - start});
  }
}

/* "one" OR "two": no word has a quote in it. */
static bool write_match(lm_buffer *b, const words *w) {
  for (int i = 0; i < w->count; i++) {
    lm_buffer_add_text(b, i ? " OR \"" : "\"");
    lm_buffer_add(b, w->list[i].text, w->list[i].size);
    lm_buffer_add_char(b, '"');
  }
  return b->status == LMOPT_OK;
}

/* Lets go of the file. */
static void end_search(lm_text_index *x) {
  sqlite3_reset(x->search);
  x->asked = false;
}

lmopt_status lm_text_index_find(lm_text_index *x, const char *query, size_t size, long long limit, lm_error *e) {
  int result = SQLITE_OK;
  if (is_inherited(x)) return lm_fail(e, LMOPT_MISUSE, "the index '%s' was opened by the parent process", x->path);
  if (!x->search) result = sqlite3_prepare_v3(x->database, search_sql, -1, SQLITE_PREPARE_PERSISTENT, &x->search, NULL);
  if (result != SQLITE_OK) return fail(x, result, e);
  end_search(x);
  words w;
  w.count = 0;
  split(&w, query, size, x->tokenizer == LM_TOKENIZER_TRIGRAM);
  lm_buffer match;
  lm_buffer_init(&match, &x->allocator, SIZE_MAX);
  if (!write_match(&match, &w)) {
    lm_buffer_free(&match);
    return lm_fail_memory(e);
  }
  /* Nothing to look for: an empty question is an error of FTS5's language, and no limit gives no text. */
  result = sqlite3_bind_text64(x->search, 1, match.size ? lm_buffer_text(&match) : "\"\"", match.size ? match.size : 2,
                               SQLITE_TRANSIENT, SQLITE_UTF8);
  lm_buffer_free(&match);
  if (result == SQLITE_OK) result = sqlite3_bind_int64(x->search, 2, w.count == 0 || limit < 0 ? 0 : limit);
  x->asked = result == SQLITE_OK;
  return result == SQLITE_OK ? LMOPT_OK : fail(x, result, e);
}

lmopt_status lm_text_index_next(lm_text_index *x, lm_text_hit *hit, bool *found, lm_error *e) {
  *found = false;
  if (!x->asked || is_inherited(x)) return LMOPT_OK;
  int result = sqlite3_step(x->search);
  if (result != SQLITE_ROW) {
    end_search(x);
    return result == SQLITE_DONE ? LMOPT_OK : fail(x, result, e);
  }
  hit->number = sqlite3_column_int64(x->search, 0);
  hit->score = -sqlite3_column_double(x->search, 1);
  hit->text.text = (const char *)sqlite3_column_text(x->search, 2);
  hit->text.size = (size_t)sqlite3_column_bytes(x->search, 2);
  hit->text.data = (const char *)sqlite3_column_text(x->search, 3);
  hit->text.data_size = (size_t)sqlite3_column_bytes(x->search, 3);
  if (!hit->text.text) { /* damage, or no memory */
    result = sqlite3_errcode(x->database) == SQLITE_NOMEM ? SQLITE_NOMEM : SQLITE_CORRUPT;
    end_search(x);
    return fail(x, result, e);
  }
  *found = true;
  return LMOPT_OK;
}
