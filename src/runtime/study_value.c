/* Key-value lists, and the two faces of a parameter's value. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "runtime/study_internal.h"

static lm_pair *find_pair(const lm_pairs *pairs, const char *key) {
  for (size_t i = 0; i < pairs->count; i++)
    if (strcmp(pairs->items[i].key, key) == 0) return &pairs->items[i];
  return NULL;
}

lmopt_status lm_pairs_set(const lm_allocator *a, lm_pairs *pairs, const char *key, const char *json, lm_error *e) {
  char *value = lm_copy_text(a, json);
  if (!value) return lm_fail_memory(e);
  lm_pair *pair = find_pair(pairs, key);
  if (pair) {
    lm_free(a, pair->json);
    pair->json = value;
    return LMOPT_OK;
  }
  char *name = lm_copy_text(a, key);
  if (!name || !lm_grow(a, &pairs->items, &pairs->capacity, pairs->count + 1, sizeof *pairs->items)) {
    lm_free(a, name);
    lm_free(a, value);
    return lm_fail_memory(e);
  }
  pairs->items[pairs->count++] = (lm_pair){name, value};
  return LMOPT_OK;
}

const char *lm_pairs_get(const lm_pairs *pairs, const char *key) {
  const lm_pair *pair = find_pair(pairs, key);
  return pair ? pair->json : NULL;
}

void lm_pairs_free(const lm_allocator *a, lm_pairs *pairs) {
  for (size_t i = 0; i < pairs->count; i++) {
    lm_free(a, pairs->items[i].key);
    lm_free(a, pairs->items[i].json);
  }
  lm_free(a, pairs->items);
  memset(pairs, 0, sizeof *pairs);
}

lmopt_status lm_study_check_utf8(const char *what, const char *text, lm_error *e) {
  size_t size = strlen(text), good = lm_utf8_prefix(text, size);
  if (good == size) return LMOPT_OK;
  return lm_fail(e, LMOPT_MISUSE, "%s is not UTF-8: byte %zu is 0x%02X", what, good + 1, (unsigned char)text[good]);
}

/* The same of what belongs to a name, which is put into words only when it is wrong. */
static lmopt_status check_named(const char *what, const char *name, const char *text, lm_error *e) {
  size_t size = strlen(text);
  if (lm_utf8_prefix(text, size) == size) return LMOPT_OK;
  char whole[120];
  snprintf(whole, sizeof whole, "%s '%.80s'", what, name);
  return lm_study_check_utf8(whole, text, e);
}

lmopt_status lm_study_check_attribute(const char *key, const char *json, lm_error *e) {
  lmopt_status status = lm_study_check_utf8("the key of an attribute", key, e);
  return status == LMOPT_OK ? check_named("the value of the attribute", key, json, e) : status;
}

lmopt_status lm_study_check_choices(const char *parameter, const char *choices, lm_error *e) {
  return check_named("a choice of the parameter", parameter, choices, e);
}

bool lm_json_element(const char **rest, const char **start, size_t *size) {
  const char *s = *rest;
  while (*s == '[' || *s == ',' || *s == ' ') s++;
  if (*s == ']' || *s == '\0') return false;
  const char *from = s;
  if (*s == '"') {
    for (s++; *s && *s != '"'; s++)
      if (*s == '\\' && s[1]) s++;
    if (*s) s++;
  } else {
    while (*s && *s != ',' && *s != ']' && *s != ' ') s++;
  }
  *start = from;
  *size = (size_t)(s - from);
  *rest = s;
  return true;
}

/* The number a JSON scalar stands for, as Python compares them: true is 1. */
static bool scalar_number(const char *text, size_t size, double *value) {
  char copy[64];
  if (size == 0 || size >= sizeof copy) return false;
  memcpy(copy, text, size);
  copy[size] = '\0';
  static const char *const words[] = {"true", "false", "Infinity", "-Infinity", "NaN"};
  const double meanings[] = {1, 0, INFINITY, -INFINITY, NAN};
  for (int i = 0; i < 5; i++)
    if (strcmp(copy, words[i]) == 0) {
      *value = meanings[i];
      return true;
    }
  return strchr("-0123456789", copy[0]) && lm_number_read(copy, value);
}

bool lm_distribution_find(const lm_distribution *d, const char *json, double *internal) {
  size_t size = strlen(json);
  double number;
  bool numeric = scalar_number(json, size, &number);
  if (d->kind != LM_CATEGORICAL) {
    if (!numeric) return false;
    *internal = number;
    return true;
  }
  const char *rest = d->choices, *start;
  size_t length;
  for (size_t i = 0; lm_json_element(&rest, &start, &length); i++) {
    double other;
    bool equal = length == size && memcmp(start, json, size) == 0;
    if (!equal && numeric && scalar_number(start, length, &other)) equal = other == number;
    if (equal) {
      *internal = (double)i;
      return true;
    }
  }
  return false;
}

bool lm_distribution_external(const lm_distribution *d, double internal, lm_buffer *out) {
  if (d->kind == LM_FLOAT) return lm_buffer_add_json_double(out, internal);
  if (d->kind == LM_INTEGER) return lm_buffer_add_json_integer(out, (long long)internal);
  const char *rest = d->choices, *start;
  size_t length;
  for (size_t i = 0; lm_json_element(&rest, &start, &length); i++)
    if ((double)i == internal) return lm_buffer_add(out, start, length);
  return false;
}

size_t lm_json_count(const char *json) {
  const char *rest = json, *start;
  size_t length, count = 0;
  while (lm_json_element(&rest, &start, &length)) count++;
  return count;
}

size_t lm_json_numbers(const char *json, double *values, size_t capacity) {
  const char *start;
  size_t length, count = 0;
  if (*json != '[') return 0;
  while (count < capacity && lm_json_element(&json, &start, &length))
    if (!scalar_number(start, length, &values[count++])) values[count - 1] = NAN;
  return count;
}

bool lm_json_unquote(const char *json, lm_buffer *out) {
  size_t size = strlen(json);
  if (size < 2 || json[0] != '"') return true;
  for (size_t i = 1; i + 1 < size; i++) {
    if (json[i] == '\\' && (json[i + 1] == '"' || json[i + 1] == '\\')) i++;
    lm_buffer_add_char(out, json[i]);
  }
  return out->status == LMOPT_OK;
}

bool lm_json_number(const char *json, double *value) { return scalar_number(json, strlen(json), value); }
