#include "golden.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 200 };

#define MAKE_PATH(path, format)                    \
  char path[PATH_SIZE];                            \
  va_list arguments;                               \
  va_start(arguments, format);                     \
  vsnprintf(path, sizeof path, format, arguments); \
  va_end(arguments)

bool golden_open(golden *g, const char *path) {
  g->db = NULL;
  FILE *f = fopen(path, "rb");
  if (!f) return false;
  fseek(f, 0, SEEK_END);
  long size = ftell(f);
  rewind(f);
  char *text = malloc((size_t)size);
  bool fine = text && fread(text, 1, (size_t)size, f) == (size_t)size;
  fclose(f);
  sqlite3_stmt *insert = NULL;
  fine = fine && sqlite3_open(":memory:", &g->db) == SQLITE_OK &&
         sqlite3_exec(g->db, "create table golden (doc text)", NULL, NULL, NULL) == SQLITE_OK &&
         sqlite3_prepare_v2(g->db, "insert into golden values (?)", -1, &insert, NULL) == SQLITE_OK &&
         sqlite3_bind_text(insert, 1, text, (int)size, SQLITE_TRANSIENT) == SQLITE_OK &&
         sqlite3_step(insert) == SQLITE_DONE;
  sqlite3_finalize(insert);
  free(text);
  return fine;
}

void golden_close(golden *g) { sqlite3_close(g->db); }

golden golden_optuna;

int golden_open_optuna(void **state) {
  (void)state;
  return golden_open(&golden_optuna, "tests/data/optuna-golden.json") ? 0 : -1;
}

int golden_close_optuna(void **state) {
  (void)state;
  golden_close(&golden_optuna);
  return 0;
}

static sqlite3_stmt *query(golden *g, const char *sql, const char *path) {
  sqlite3_stmt *s = NULL;
  if (sqlite3_prepare_v2(g->db, sql, -1, &s, NULL) != SQLITE_OK) abort();
  sqlite3_bind_text(s, 1, path, -1, SQLITE_TRANSIENT);
  return s;
}

size_t golden_length(golden *g, const char *format, ...) {
  MAKE_PATH(path, format);
  sqlite3_stmt *s = query(g, "select count(*) from golden, json_each(doc, ?)", path);
  size_t count = sqlite3_step(s) == SQLITE_ROW ? (size_t)sqlite3_column_int64(s, 0) : 0;
  sqlite3_finalize(s);
  return count;
}

double golden_number(golden *g, const char *format, ...) {
  MAKE_PATH(path, format);
  sqlite3_stmt *s = query(g, "select json_extract(doc, ?) from golden", path);
  double value = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_double(s, 0) : 0;
  sqlite3_finalize(s);
  return value;
}

size_t golden_numbers(golden *g, double *out, size_t capacity, const char *format, ...) {
  MAKE_PATH(path, format);
  sqlite3_stmt *s = query(
      g,
      "select atom from golden, json_tree(doc, ?) where atom is not null and type in ('integer', 'real') order by id",
      path);
  size_t count = 0;
  while (sqlite3_step(s) == SQLITE_ROW) {
    if (count < capacity) out[count] = sqlite3_column_double(s, 0);
    count++;
  }
  sqlite3_finalize(s);
  return count;
}

void golden_key(golden *g, size_t index, char *out, size_t size, const char *format, ...) {
  MAKE_PATH(path, format);
  sqlite3_stmt *s = query(g, "select key from golden, json_each(doc, ?) order by id limit 1 offset ?", path);
  sqlite3_bind_int64(s, 2, (sqlite3_int64)index);
  out[0] = '\0';
  if (sqlite3_step(s) == SQLITE_ROW) snprintf(out, size, "%s", (const char *)sqlite3_column_text(s, 0));
  sqlite3_finalize(s);
}

lm_distribution golden_distribution(golden *g, const char *format, ...) {
  MAKE_PATH(path, format);
  lm_distribution d = {0};
  sqlite3_stmt *s = query(g, "select json_extract(doc, ?1 || '[0]') from golden", path);
  if (sqlite3_step(s) != SQLITE_ROW) abort();
  const char *name = (const char *)sqlite3_column_text(s, 0);
  d.kind = strcmp(name, "FloatDistribution") == 0 ? LM_FLOAT
           : strcmp(name, "IntDistribution") == 0 ? LM_INTEGER
                                                  : LM_CATEGORICAL;
  sqlite3_finalize(s);
  if (d.kind == LM_CATEGORICAL) {
    d.count = golden_length(g, "%s[1].choices", path);
    d.high = (double)d.count - 1;
    d.choices = "[]";
    return d;
  }
  d.low = golden_number(g, "%s[1].low", path);
  d.high = golden_number(g, "%s[1].high", path);
  d.step = golden_number(g, "%s[1].step", path);
  d.log = golden_number(g, "%s[1].log", path) != 0;
  return d;
}
