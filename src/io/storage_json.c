/*
** Reading JSON texts of a study file (RFC 8259, and the bare NaN, Infinity
** and -Infinity of Python's json module).
**
** SQLite's own JSON functions reject those three, and give numbers that may be
** off by one unit in the last place, where bounds must be equal bit for bit.
*/
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "io/storage_internal.h"

enum { DEEPEST = 1000 };

static void skip_space(lm_json *j) {
  while (j->next < j->end && (*j->next == ' ' || *j->next == '\t' || *j->next == '\n' || *j->next == '\r')) j->next++;
}

static bool take(lm_json *j, char c) {
  if (j->next >= j->end || *j->next != c) return false;
  j->next++;
  return true;
}

static bool take_word(lm_json *j, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(j->end - j->next) < length || memcmp(j->next, word, length) != 0) return false;
  j->next += length;
  return true;
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/* Four hexadecimal digits, or -1. */
static long read_hex(const char *s, const char *end) {
  if (end - s < 4) return -1;
  long code = 0;
  for (int i = 0; i < 4; i++) {
    int digit = hex_digit(s[i]);
    if (digit < 0) return -1;
    code = code * 16 + digit;
  }
  return code;
}

static bool skip_string(lm_json *j) {
  if (!take(j, '"')) return false;
  while (j->next < j->end) {
    char c = *j->next++;
    if (c == '"') return true;
    if ((unsigned char)c < 0x20) return false;
    if (c != '\\') continue;
    if (j->next >= j->end) return false;
    c = *j->next++;
    if (c == 'u') {
      if (read_hex(j->next, j->end) < 0) return false;
      j->next += 4;
    } else if (c == '\0' || !strchr("\"\\/bfnrt", c)) {
      return false;
    }
  }
  return false;
}

static bool skip_digits(lm_json *j) {
  const char *start = j->next;
  while (j->next < j->end && *j->next >= '0' && *j->next <= '9') j->next++;
  return j->next > start;
}

static bool skip_number(lm_json *j) {
  take(j, '-');
  if (take_word(j, "Infinity")) return true;
  if (!take(j, '0') && !skip_digits(j)) return false;
  if (take(j, '.') && !skip_digits(j)) return false;
  if (take(j, 'e') || take(j, 'E')) {
    if (!take(j, '+')) take(j, '-');
    return skip_digits(j);
  }
  return true;
}

static lm_json_type skip_value(lm_json *j, int depth);

static bool skip_members(lm_json *j, char close, int depth) {
  skip_space(j);
  if (take(j, close)) return true;
  for (;;) {
    if (close == '}') {
      skip_space(j);
      if (!skip_string(j)) return false;
      skip_space(j);
      if (!take(j, ':')) return false;
    }
    if (skip_value(j, depth + 1) == LM_JSON_NONE) return false;
    skip_space(j);
    if (take(j, close)) return true;
    if (!take(j, ',')) return false;
  }
}

static lm_json_type skip_value(lm_json *j, int depth) {
  skip_space(j);
  if (j->next >= j->end || depth > DEEPEST) return LM_JSON_NONE;
  switch (*j->next) {
    case '"': return skip_string(j) ? LM_JSON_STRING : LM_JSON_NONE;
    case '[': j->next++; return skip_members(j, ']', depth) ? LM_JSON_ARRAY : LM_JSON_NONE;
    case '{': j->next++; return skip_members(j, '}', depth) ? LM_JSON_OBJECT : LM_JSON_NONE;
    case 'n': return take_word(j, "null") ? LM_JSON_NULL : LM_JSON_NONE;
    case 't': return take_word(j, "true") ? LM_JSON_TRUE : LM_JSON_NONE;
    case 'f': return take_word(j, "false") ? LM_JSON_FALSE : LM_JSON_NONE;
    case 'N': return take_word(j, "NaN") ? LM_JSON_NUMBER : LM_JSON_NONE;
    default: return skip_number(j) ? LM_JSON_NUMBER : LM_JSON_NONE;
  }
}

/* The value at the walk's place. */
static bool take_value(lm_json *j, lm_json_value *value) {
  skip_space(j);
  value->text = j->next;
  value->type = skip_value(j, 0);
  value->size = (size_t)(j->next - value->text);
  return value->type != LM_JSON_NONE;
}

bool lm_json_whole(const char *text, size_t size, lm_json_value *value) {
  lm_json j = {text, text + size};
  if (!take_value(&j, value)) return false;
  skip_space(&j);
  return j.next == j.end;
}

lm_json lm_json_members(const lm_json_value *container) {
  lm_json walk = {container->text + 1, container->text + container->size - 1};
  return walk;
}

int lm_json_next(lm_json *walk, lm_json_value *key, lm_json_value *value) {
  skip_space(walk);
  if (walk->next >= walk->end) return 0;
  if (key) {
    if (!take_value(walk, key)) return 0;
    skip_space(walk);
    take(walk, ':');
  }
  if (!take_value(walk, value)) return 0;
  skip_space(walk);
  take(walk, ',');
  return 1;
}

bool lm_json_is_integer(const lm_json_value *value) {
  if (value->type != LM_JSON_NUMBER) return false;
  for (size_t i = 0; i < value->size; i++)
    if (value->text[i] != '-' && (value->text[i] < '0' || value->text[i] > '9')) return false;
  return true;
}

bool lm_json_double(const lm_json_value *value, double *out) {
  if (value->type != LM_JSON_NUMBER) return false;
  if (value->text[0] == 'N') {
    *out = NAN;
    return true;
  }
  if (value->text[value->size - 1] == 'y') {
    *out = value->text[0] == '-' ? -INFINITY : INFINITY;
    return true;
  }
  char text[512]; /* Python writes at most 24 characters for a float; integers may be longer */
  if (value->size >= sizeof text) return false;
  memcpy(text, value->text, value->size);
  text[value->size] = '\0';
  return lm_number_read(text, out);
}

static void add_utf8(lm_buffer *out, unsigned long code) {
  if (code < 0x80) {
    lm_buffer_add_char(out, (char)code);
  } else if (code < 0x800) {
    lm_buffer_add_char(out, (char)(0xC0 | code >> 6));
    lm_buffer_add_char(out, (char)(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    lm_buffer_add_char(out, (char)(0xE0 | code >> 12));
    lm_buffer_add_char(out, (char)(0x80 | (code >> 6 & 0x3F)));
    lm_buffer_add_char(out, (char)(0x80 | (code & 0x3F)));
  } else {
    lm_buffer_add_char(out, (char)(0xF0 | code >> 18));
    lm_buffer_add_char(out, (char)(0x80 | (code >> 12 & 0x3F)));
    lm_buffer_add_char(out, (char)(0x80 | (code >> 6 & 0x3F)));
    lm_buffer_add_char(out, (char)(0x80 | (code & 0x3F)));
  }
}

/* The code point of \uXXXX (a surrogate pair is two of them); a lone surrogate is U+FFFD. */
static unsigned long read_escape(const char **s, const char *end) {
  long high = read_hex(*s, end);
  *s += 4;
  if (high < 0xD800 || high > 0xDFFF) return (unsigned long)high;
  if (high < 0xDC00 && end - *s >= 6 && (*s)[0] == '\\' && (*s)[1] == 'u') {
    long low = read_hex(*s + 2, end);
    if (low >= 0xDC00 && low <= 0xDFFF) {
      *s += 6;
      return 0x10000UL + ((unsigned long)(high - 0xD800) << 10) + (unsigned long)(low - 0xDC00);
    }
  }
  return 0xFFFD;
}

bool lm_json_string(const lm_json_value *value, lm_buffer *out) {
  static const char names[] = "bfnrt", codes[] = "\b\f\n\r\t";
  if (value->type != LM_JSON_STRING) return false;
  const char *s = value->text + 1, *end = value->text + value->size - 1;
  while (s < end) {
    const char *plain = s;
    while (s < end && *s != '\\') s++;
    lm_buffer_add(out, plain, (size_t)(s - plain));
    if (s >= end) break;
    char c = s[1];
    s += 2;
    if (c == 'u') {
      unsigned long code = read_escape(&s, end);
      if (code == 0) return false;
      add_utf8(out, code);
    } else {
      const char *found = strchr(names, c);
      lm_buffer_add_char(out, found ? codes[found - names] : c);
    }
  }
  return out->status == LMOPT_OK;
}

/* Texts as choices are written, for comparison, those in an array too; anything else as it stands. */
static void add_canonical(const lm_json_value *value, lm_buffer *plain, lm_buffer *out) {
  lm_buffer_clear(plain);
  if (value->type == LM_JSON_STRING && lm_json_string(value, plain)) {
    lm_buffer_add_json_string(out, lm_buffer_text(plain), plain->size);
  } else if (value->type == LM_JSON_ARRAY) {
    lm_json walk = lm_json_members(value);
    lm_json_value item;
    lm_buffer_add_char(out, '[');
    for (bool first = true; lm_json_next(&walk, NULL, &item); first = false) {
      lm_buffer_clear(plain);
      if (!first) lm_buffer_add_text(out, ", ");
      if (item.type == LM_JSON_STRING && lm_json_string(&item, plain))
        lm_buffer_add_json_string(out, lm_buffer_text(plain), plain->size);
      else
        lm_buffer_add(out, item.text, item.size);
    }
    lm_buffer_add_char(out, ']');
  } else {
    lm_buffer_add(out, value->text, value->size);
  }
}

lmopt_status lm_storage_read_object(lm_storage *s, const char *json,
                                    lmopt_status (*each)(void *userdata, const char *key, const char *json_value),
                                    void *userdata, lm_error *e) {
  lm_json_value whole, key, value;
  if (!lm_json_whole(json, strlen(json), &whole) || whole.type != LM_JSON_OBJECT)
    return lm_fail(e, LMOPT_STORAGE, "'%s': not a JSON object: %.80s", s->path, json);
  lm_buffer name, text, plain;
  lm_buffer_init(&name, &s->allocator, SIZE_MAX / 4);
  lm_buffer_init(&text, &s->allocator, SIZE_MAX / 4);
  lm_buffer_init(&plain, &s->allocator, SIZE_MAX / 4);
  lmopt_status status = LMOPT_OK;
  lm_json walk = lm_json_members(&whole);
  while (status == LMOPT_OK && lm_json_next(&walk, &key, &value)) {
    lm_buffer_clear(&name);
    lm_buffer_clear(&text);
    bool decoded = lm_json_string(&key, &name);
    add_canonical(&value, &plain, &text);
    if (plain.status != LMOPT_OK || name.status != LMOPT_OK || text.status != LMOPT_OK)
      status = lm_fail_memory(e);
    else if (!decoded)
      status = lm_fail(e, LMOPT_STORAGE, "'%s': a name holds a zero byte: %.80s", s->path, json);
    else
      status = each(userdata, lm_buffer_text(&name), lm_buffer_text(&text));
  }
  lm_buffer_free(&name);
  lm_buffer_free(&text);
  lm_buffer_free(&plain);
  return status;
}
