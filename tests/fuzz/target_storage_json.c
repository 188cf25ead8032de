/*
** src/io/storage_json.c and storage_range.c, which read what other programs
** wrote into a study file: a text is accepted when SQLite's JSON functions
** accept it, no part of a value is taken for a whole one, what was read and
** written again reads the same, and lack of memory is reported.
**
** Input: at which allocation memory is gone (0: never), the text.
*/
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "io/storage_internal.h"

enum { PREFIXES_MAX = 200, DEEPEST = 1000 };

/* --- SQLite's opinion --- */

static sqlite3_stmt *valid_statement(void) {
  static sqlite3 *database;
  static sqlite3_stmt *statement;
  if (!statement) {
    FUZZ_CHECK(sqlite3_open(":memory:", &database) == SQLITE_OK, "no SQLite");
    FUZZ_CHECK(sqlite3_prepare_v2(database, "SELECT json_valid(?)", -1, &statement, NULL) == SQLITE_OK, "%s",
               sqlite3_errmsg(database));
  }
  return statement;
}

static bool sqlite_accepts(const char *text, size_t size) {
  sqlite3_stmt *statement = valid_statement();
  sqlite3_bind_text(statement, 1, text, (int)size, SQLITE_STATIC);
  FUZZ_CHECK(sqlite3_step(statement) == SQLITE_ROW, "json_valid failed");
  bool accepted = sqlite3_column_int(statement, 0) == 1;
  sqlite3_reset(statement);
  return accepted;
}

/* Whether SQLite can be asked: it knows no NaN and Infinity, ends at a zero byte, and counts its levels differently. */
static bool comparable(const char *text, size_t size) {
  size_t depth = 0;
  for (size_t i = 0; i < size; i++) {
    if (text[i] == 'N' || text[i] == 'I' || text[i] == '\0') return false;
    if (text[i] == '[' || text[i] == '{') depth++;
  }
  return depth < DEEPEST - 2;
}

/* --- writing again --- */

static void rewrite(const lm_json_value *value, lm_buffer *out, const lm_allocator *a);

static bool rewrite_string(const lm_json_value *value, lm_buffer *out, const lm_allocator *a) {
  lm_buffer plain;
  lm_buffer_init(&plain, a, SIZE_MAX / 4);
  bool decoded = lm_json_string(value, &plain);
  if (decoded)
    lm_buffer_add_json_string(out, lm_buffer_text(&plain), plain.size);
  else
    lm_buffer_add(out, value->text, value->size); /* with a zero byte in it */
  lm_buffer_free(&plain);
  return decoded;
}

static void rewrite_members(const lm_json_value *value, lm_buffer *out, const lm_allocator *a) {
  bool object = value->type == LM_JSON_OBJECT;
  lm_json walk = lm_json_members(value);
  lm_json_value key, item;
  size_t count = 0;
  lm_buffer_add_char(out, object ? '{' : '[');
  while (lm_json_next(&walk, object ? &key : NULL, &item)) {
    FUZZ_CHECK(item.text >= value->text && item.text + item.size < value->text + value->size, "a member outside");
    if (count++) lm_buffer_add_char(out, ',');
    if (object) {
      FUZZ_CHECK(key.type == LM_JSON_STRING && key.text + key.size < item.text, "a key of type %d", (int)key.type);
      rewrite_string(&key, out, a);
      lm_buffer_add_char(out, ':');
    }
    rewrite(&item, out, a);
  }
  FUZZ_CHECK(walk.next == walk.end, "the walk ends before the members do");
  lm_buffer_add_char(out, object ? '}' : ']');
}

static void rewrite(const lm_json_value *value, lm_buffer *out, const lm_allocator *a) {
  double number;
  FUZZ_CHECK(value->size > 0, "an empty value of type %d", (int)value->type);
  if (value->type == LM_JSON_ARRAY || value->type == LM_JSON_OBJECT)
    rewrite_members(value, out, a);
  else if (value->type == LM_JSON_STRING)
    rewrite_string(value, out, a);
  else if (value->type == LM_JSON_NUMBER && !lm_json_is_integer(value) && lm_json_double(value, &number))
    lm_buffer_add_json_double(out, number);
  else
    lm_buffer_add(out, value->text, value->size);
}

static void check_rewritten(const lm_json_value *value) {
  lm_allocator a = lm_allocator_default();
  lm_buffer once, twice;
  lm_json_value again;
  lm_buffer_init(&once, &a, SIZE_MAX / 4);
  lm_buffer_init(&twice, &a, SIZE_MAX / 4);
  rewrite(value, &once, &a);
  FUZZ_CHECK(lm_json_whole(once.data, once.size, &again), "it can't be read again: %s", once.data);
  FUZZ_CHECK(again.type == value->type, "it is of type %d then: %s", (int)again.type, once.data);
  rewrite(&again, &twice, &a);
  FUZZ_CHECK(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0, "%s is read as %s", once.data,
             twice.data);
  lm_buffer_free(&once);
  lm_buffer_free(&twice);
}

/* --- what the storage does with texts --- */

static lmopt_status take_member(void *userdata, const char *key, const char *json) {
  size_t *members = userdata;
  lm_json_value value;
  ++*members;
  FUZZ_CHECK(key && lm_json_whole(json, strlen(json), &value), "a member that is no JSON: %s", json);
  return LMOPT_OK;
}

/* The distribution that a text is, written and read again. */
static lmopt_status check_distribution(lm_storage *s, const char *text, size_t size, lm_error *e) {
  const lm_distribution *d = lm_storage_intern(s, text, size, e);
  if (!d) return e->status;
  FUZZ_CHECK(lm_storage_intern(s, text, size, e) == d, "it is read twice");
  size_t written_size;
  const char *written = lm_storage_distribution_text(s, d, &written_size, e);
  if (!written) return e->status;
  const lm_distribution *again = lm_storage_intern(s, written, written_size, e);
  if (!again) FUZZ_CHECK(e->status == LMOPT_NO_MEMORY, "%s: %s", written, e->text);
  if (!again) return e->status;
  FUZZ_CHECK(lm_distribution_equal(d, again), "another one: %s", written);
  return LMOPT_OK;
}

static void check_storage(const uint8_t *bytes, size_t size, size_t fail_at) {
  char *text = fuzz_copy_text(bytes, size), path[] = "fuzz.db";
  fuzz_memory memory;
  lm_storage s;
  lm_error e = {LMOPT_OK, ""};
  size_t members = 0;
  fuzz_memory_init(&memory, fail_at);
  memset(&s, 0, sizeof s);
  s.allocator = memory.allocator;
  s.path = path;
  lmopt_status status = lm_storage_read_object(&s, text, take_member, &members, &e);
  FUZZ_CHECK(status == LMOPT_OK || (e.status == status && e.text[0]), "status %d without words", (int)status);
  FUZZ_CHECK(memory.live == 0, "%zu bytes are lost", memory.live);
  status = check_distribution(&s, text, strlen(text), &e);
  FUZZ_CHECK(status == LMOPT_OK || e.text[0], "status %d without words", (int)status);
  lm_storage_free_ranges(&s);
  FUZZ_CHECK(memory.live == 0, "%zu bytes of a distribution are lost", memory.live);
  free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  fuzz_input in = {bytes, size};
  lm_json_value value, part;
  size_t fail_at = fuzz_take(&in);
  char *text = fuzz_copy(in.bytes, in.size);
  bool accepted = lm_json_whole(text, in.size, &value);
  if (accepted) {
    FUZZ_CHECK(value.type != LM_JSON_NONE && value.text >= text && value.text + value.size <= text + in.size,
               "outside");
    check_rewritten(&value);
    bool bare = value.type != LM_JSON_ARRAY && value.type != LM_JSON_OBJECT && value.type != LM_JSON_STRING;
    for (size_t cut = 0; !bare && cut < value.size && cut < PREFIXES_MAX; cut++) {
      char *prefix = fuzz_copy(value.text, cut);
      FUZZ_CHECK(!lm_json_whole(prefix, cut, &part), "its first %zu bytes are a value", cut);
      free(prefix);
    }
  }
  if (comparable(text, in.size))
    FUZZ_CHECK(accepted == sqlite_accepts(text, in.size), "accepted is %d, not what SQLite says", accepted);
  free(text);
  check_storage(in.bytes, in.size, 0);
  if (fail_at > 0) check_storage(in.bytes, in.size, fail_at);
  return 0;
}
