/*
** Reads JSON as lua-cjson does, with integers as integers, several times
** faster: strings without escapes are taken as they stand, and small tables
** are made in their size. What is in any way unusual (bad text, control
** characters, lone surrogates, very deep nesting, numbers beyond doubles) is
** left to lua-cjson, which reads it or says what is wrong with it.
*/
#include <math.h>
#include <string.h>

#include <lauxlib.h>
#include <lua.h>

#include "base/number.h"
#include "lua/json.h"

enum {
  DEEPEST = 64,
  GATHERED = 16,      /* members that are on the stack before there is a table for them */
  EXACT_DIGITS = 15,  /* so many are an integer below 2^53 */
  NUMBER_LENGTH = 100 /* of one that is read here */
};

typedef struct reader {
  lua_State *L;
  lm_buffer *text; /* of a string with escapes */
  const char *at, *end;
  int depth;
} reader;

static bool read_value(reader *r);

static char next_mark(reader *r) {
  while (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r') r->at++;
  return *r->at; /* a zero ends the text */
}

/* --- strings --- */

/* How many bytes from `s` on have no quote, backslash or control character. */
static size_t plain_length(const char *s, const char *end) {
  const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
  const char *at = s;
  for (; end - at >= 8; at += 8) {
    uint64_t x;
    memcpy(&x, at, sizeof x);
    uint64_t quote = x ^ ones * '"', backslash = x ^ ones * '\\'; /* see lm_buffer_add_json_string */
    if ((((x - ones * 0x20) & ~x) | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & high) break;
  }
  while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20) at++;
  return (size_t)(at - s);
}

/* The number of four hexadecimal digits; -1: they are none. */
static long read_hexadecimal(const char *s, const char *end) {
  if (end - s < 4) return -1;
  long value = 0;
  for (int i = 0; i < 4; i++) {
    char c = s[i];
    int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

static void add_utf8(lm_buffer *b, long code) {
  if (code < 0x80) {
    lm_buffer_add_char(b, (char)code);
  } else if (code < 0x800) {
    lm_buffer_add_char(b, (char)(0xC0 | code >> 6));
    lm_buffer_add_char(b, (char)(0x80 | (code & 63)));
  } else {
    if (code < 0x10000) {
      lm_buffer_add_char(b, (char)(0xE0 | code >> 12));
    } else {
      lm_buffer_add_char(b, (char)(0xF0 | code >> 18));
      lm_buffer_add_char(b, (char)(0x80 | (code >> 12 & 63)));
    }
    lm_buffer_add_char(b, (char)(0x80 | (code >> 6 & 63)));
    lm_buffer_add_char(b, (char)(0x80 | (code & 63)));
  }
}

/* After "\u". */
static bool read_code(reader *r) {
  long code = read_hexadecimal(r->at, r->end);
  if (code < 0) return false;
  r->at += 4;
  if (code >= 0xD800 && code < 0xE000) {
    long low = r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u' ? read_hexadecimal(r->at + 2, r->end) : -1;
    if (code >= 0xDC00 || low < 0xDC00 || low >= 0xE000) return false;
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    r->at += 6;
  }
  add_utf8(r->text, code);
  return true;
}

/* After a backslash. */
static bool read_escape(reader *r) {
  static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
  char c = *r->at++;
  if (c == 'u') return read_code(r);
  const char *found = c ? strchr(letters, c) : NULL;
  if (found) lm_buffer_add_char(r->text, meant[found - letters]);
  return found != NULL;
}

/* After the quote; pushes the string. */
static bool read_string(reader *r) {
  size_t size = plain_length(r->at, r->end);
  const char *start = r->at;
  r->at += size;
  if (*r->at == '"') {
    r->at++;
    lua_pushlstring(r->L, start, size);
    return true;
  }
  /* Nothing is allocated in Lua before the text is whole: so nobody else uses the buffer meanwhile. */
  lm_buffer_clear(r->text);
  lm_buffer_add(r->text, start, size);
  while (*r->at == '\\') {
    r->at++;
    if (r->at >= r->end || !read_escape(r)) return false;
    size = plain_length(r->at, r->end);
    lm_buffer_add(r->text, r->at, size);
    r->at += size;
  }
  if (*r->at != '"' || r->text->status != LMOPT_OK) return false;
  r->at++;
  lua_pushlstring(r->L, lm_buffer_text(r->text), r->text->size);
  return true;
}

/* --- numbers --- */

static size_t count_digits(const char *s) {
  size_t count = 0;
  while (s[count] >= '0' && s[count] <= '9') count++;
  return count;
}

static bool read_fraction(reader *r, const char *start) {
  char text[NUMBER_LENGTH + 1];
  double value;
  size_t size = (size_t)(r->at - start);
  if (size > NUMBER_LENGTH) return false;
  memcpy(text, start, size);
  text[size] = '\0';
  if (!lm_number_read(text, &value) || !isfinite(value)) return false;
  if (fabs(value) < 0x1p53 && value == floor(value))
    lua_pushinteger(r->L, (lua_Integer)value);
  else
    lua_pushnumber(r->L, value);
  return true;
}

static bool read_number(reader *r) {
  const char *start = r->at;
  if (*r->at == '-') r->at++;
  const char *first = r->at;
  size_t digits = count_digits(first);
  if (digits == 0 || (digits > 1 && *first == '0')) return false;
  r->at += digits;
  if (digits <= EXACT_DIGITS && *r->at != '.' && *r->at != 'e' && *r->at != 'E') {
    lua_Integer value = 0;
    for (size_t i = 0; i < digits; i++) value = value * 10 + (first[i] - '0');
    lua_pushinteger(r->L, *start == '-' ? -value : value);
    return true;
  }
  if (*r->at == '.') {
    size_t more = count_digits(++r->at);
    if (more == 0) return false;
    r->at += more;
  }
  if (*r->at == 'e' || *r->at == 'E') {
    r->at++;
    if (*r->at == '+' || *r->at == '-') r->at++;
    size_t more = count_digits(r->at);
    if (more == 0) return false;
    r->at += more;
  }
  return read_fraction(r, start);
}

/* --- tables --- */

/* Puts the `count` members on top of the stack into the table below them; makes it when there is none. */
static void set_members(lua_State *L, int count, bool *made) {
  int first = lua_gettop(L) - 2 * count + 1, table = first - 1;
  if (!*made) {
    lua_createtable(L, 0, count);
    lua_replace(L, table);
    *made = true;
  }
  for (int i = first; i < first + 2 * count; i += 2) { /* the last one of two with one name stays */
    lua_pushvalue(L, i);
    lua_pushvalue(L, i + 1);
    lua_rawset(L, table);
  }
  lua_settop(L, table);
}

static bool read_object(reader *r) {
  lua_State *L = r->L;
  bool made = false;
  int count = 0;
  lua_pushnil(L); /* where the table is going to be */
  r->at++;
  if (next_mark(r) != '}') {
    for (;;) {
      if (next_mark(r) != '"') return false;
      r->at++;
      if (!read_string(r) || next_mark(r) != ':') return false;
      r->at++;
      if (!read_value(r)) return false;
      if (++count == GATHERED) {
        set_members(L, count, &made);
        count = 0;
      }
      char mark = next_mark(r);
      if (mark == '}') break;
      if (mark != ',') return false;
      r->at++;
    }
  }
  r->at++;
  set_members(L, count, &made);
  return true;
}

static bool read_array(reader *r) {
  lua_State *L = r->L;
  lua_newtable(L);
  int table = lua_gettop(L);
  r->at++;
  if (next_mark(r) != ']') {
    for (lua_Integer i = 1;; i++) {
      if (!read_value(r)) return false;
      lua_rawseti(L, table, i);
      char mark = next_mark(r);
      if (mark == ']') break;
      if (mark != ',') return false;
      r->at++;
    }
  }
  r->at++;
  return true;
}

static bool read_table(reader *r, bool (*read)(reader *r)) {
  if (r->depth == DEEPEST || !lua_checkstack(r->L, 2 * GATHERED + 8)) return false;
  r->depth++;
  bool done = read(r);
  r->depth--;
  return done;
}

/* Whether `word` comes next; then it is behind us. */
static bool pass(reader *r, const char *word, size_t size) {
  if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size) != 0) return false;
  r->at += size;
  return true;
}

/* Pushes a value; false: it is not for us, and the stack has anything on it. */
static bool read_value(reader *r) {
  switch (next_mark(r)) {
    case '{': return read_table(r, read_object);
    case '[': return read_table(r, read_array);
    case '"': r->at++; return read_string(r);
    case 't': lua_pushboolean(r->L, 1); return pass(r, "true", 4);
    case 'f': lua_pushboolean(r->L, 0); return pass(r, "false", 5);
    case 'n': lua_pushlightuserdata(r->L, NULL); return pass(r, "null", 4);
    default: return read_number(r);
  }
}

int lm_json_read(lua_State *L, int index, lm_buffer *scratch) {
  size_t size;
  const char *text = lua_tolstring(L, index, &size);
  reader r = {L, scratch, text, text + size, 0};
  int top = lua_gettop(L);
  if (!read_value(&r) || next_mark(&r) != '\0' || r.at != r.end) {
    lua_settop(L, top);
    return 0;
  }
  return 1;
}
