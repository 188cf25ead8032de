/*
** Distributions and their texts (Optuna's distributions.py: json_to_distribution).
**
** A study repeats few texts over many trials: each distinct text is parsed
** once, and each distribution that is written is turned into text once.
*/
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "io/storage_internal.h"

enum { LONGEST_TEXT = 1 << 26 };

/* What a text may say, before it is known whether it makes sense. */
typedef struct fields {
  double low, high, step;
  bool has_low, has_high;
  bool log;
  lm_json_value choices;
} fields;

typedef struct family {
  const char *name;
  lm_kind kind;
  bool log;
} family;

/* Today's classes, the abbreviated types, and the classes before Optuna 3. */
static const family families[] = {
    {"FloatDistribution", LM_FLOAT, false},
    {"IntDistribution", LM_INTEGER, false},
    {"CategoricalDistribution", LM_CATEGORICAL, false},
    {"float", LM_FLOAT, false},
    {"int", LM_INTEGER, false},
    {"categorical", LM_CATEGORICAL, false},
    {"UniformDistribution", LM_FLOAT, false},
    {"LogUniformDistribution", LM_FLOAT, true},
    {"DiscreteUniformDistribution", LM_FLOAT, false},
    {"IntUniformDistribution", LM_INTEGER, false},
    {"IntLogUniformDistribution", LM_INTEGER, true},
};

static bool is_text(const lm_json_value *value, const char *text) {
  size_t length = strlen(text);
  return value->type == LM_JSON_STRING && value->size == length + 2 && memcmp(value->text + 1, text, length) == 0;
}

static const family *find_family(const lm_json_value *name) {
  for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
    if (is_text(name, families[i].name)) return &families[i];
  return NULL;
}

static bool find_member(const lm_json_value *object, const char *name, lm_json_value *out) {
  lm_json walk = lm_json_members(object);
  lm_json_value key, value;
  bool found = false;
  while (lm_json_next(&walk, &key, &value)) {
    if (!is_text(&key, name)) continue;
    *out = value;
    found = true;
  }
  return found;
}

/* False: this key is unknown, or its value has the wrong type. */
static bool read_field(fields *f, const lm_json_value *key, const lm_json_value *value) {
  if (is_text(key, "low")) return f->has_low = lm_json_double(value, &f->low);
  if (is_text(key, "high")) return f->has_high = lm_json_double(value, &f->high);
  if (is_text(key, "step") || is_text(key, "q")) return value->type == LM_JSON_NULL || lm_json_double(value, &f->step);
  if (is_text(key, "log")) {
    f->log = f->log || value->type == LM_JSON_TRUE;
    return value->type == LM_JSON_TRUE || value->type == LM_JSON_FALSE;
  }
  if (is_text(key, "choices")) {
    f->choices = *value;
    return value->type == LM_JSON_ARRAY;
  }
  return is_text(key, "type"); /* the abbreviated form keeps it beside the others */
}

static lmopt_status add_choice(const lm_json_value *choice, lm_buffer *out, lm_buffer *scratch, lm_error *e) {
  double number;
  switch (choice->type) {
    case LM_JSON_NULL:
    case LM_JSON_TRUE:
    case LM_JSON_FALSE: lm_buffer_add(out, choice->text, choice->size); break;
    case LM_JSON_NUMBER:
      if (lm_json_is_integer(choice) && choice->size < 19)
        lm_buffer_add(out, choice->text, choice->size);
      else if (lm_json_double(choice, &number))
        lm_buffer_add_json_double(out, number);
      else
        return lm_fail(e, LMOPT_STORAGE, "a choice is a number of %zu digits", choice->size);
      break;
    case LM_JSON_STRING:
      lm_buffer_clear(scratch);
      if (!lm_json_string(choice, scratch)) {
        if (scratch->status != LMOPT_OK) return lm_fail_memory(e);
        return lm_fail(e, LMOPT_STORAGE, "a choice holds a zero byte");
      }
      lm_buffer_add_json_string(out, lm_buffer_text(scratch), scratch->size);
      break;
    default:
      return lm_fail(e, LMOPT_STORAGE, "a choice is neither null, a boolean, a number nor a text: %.*s",
                     (int)(choice->size < 60 ? choice->size : 60), choice->text);
  }
  return out->status == LMOPT_OK ? LMOPT_OK : lm_fail_memory(e);
}

/* The canonical text of the choices, which the interned distribution keeps. */
static lmopt_status read_choices(lm_storage *s, const lm_json_value *array, lm_interned *entry, lm_error *e) {
  lm_buffer out, scratch;
  lm_buffer_init(&out, &s->allocator, LONGEST_TEXT);
  lm_buffer_init(&scratch, &s->allocator, LONGEST_TEXT);
  lmopt_status status = LMOPT_OK;
  size_t count = 0;
  lm_json_value choice;
  lm_json walk = lm_json_members(array);
  lm_buffer_add_char(&out, '[');
  while (status == LMOPT_OK && lm_json_next(&walk, NULL, &choice)) {
    if (count++ > 0) lm_buffer_add_text(&out, ", ");
    status = add_choice(&choice, &out, &scratch, e);
  }
  if (status == LMOPT_OK && !lm_buffer_add_char(&out, ']')) status = lm_fail_memory(e);
  if (status == LMOPT_OK && count == 0) status = lm_fail(e, LMOPT_STORAGE, "it has no choices");
  if (status == LMOPT_OK && !(entry->choices = lm_copy_bytes(&s->allocator, out.data, out.size)))
    status = lm_fail_memory(e);
  entry->distribution.choices = entry->choices;
  entry->distribution.count = count;
  if (status == LMOPT_OK) status = lm_distribution_check(&entry->distribution, e);
  lm_buffer_free(&out);
  lm_buffer_free(&scratch);
  return status;
}

static lmopt_status read_range(const fields *f, const family *kind, lm_distribution *d, lm_error *e) {
  if (!f->has_low || !f->has_high) return lm_fail(e, LMOPT_STORAGE, "its bounds are missing");
  d->log = f->log || kind->log;
  d->low = f->low;
  d->high = f->high;
  d->step = kind->kind == LM_INTEGER && f->step == 0 ? 1 : f->step;
  lm_error why;
  lmopt_status status = lm_distribution_check(d, &why);
  if (status == LMOPT_OK || status == LMOPT_NO_MEMORY) return status == LMOPT_OK ? status : lm_fail_memory(e);
  return lm_fail(e, LMOPT_STORAGE, "%s", why.text);
}

/* A whole number from 0 on; `fallback` where there is none. */
static uint32_t read_bound(const lm_json_value *object, const char *name, uint32_t fallback) {
  lm_json_value value;
  double number;
  bool whole = find_member(object, name, &value) && lm_json_is_integer(&value) && lm_json_double(&value, &number);
  return whole && number >= 0 && number < UINT32_MAX ? (uint32_t)number : fallback;
}

/* What we wrote beside Optuna's attributes. Anything else there is not ours to judge: then it is no part. */
static lmopt_status read_part(lm_storage *s, const lm_json_value *whole, lm_interned *entry, lm_error *e) {
  lm_json_value ours, variable, item;
  if (!find_member(whole, "lmopt", &ours) || ours.type != LM_JSON_OBJECT) return LMOPT_OK;
  bool subset = find_member(&ours, "subset", &variable);
  if (!subset && !find_member(&ours, "permutation", &variable)) return LMOPT_OK;
  if (!find_member(&ours, "item", &item)) return LMOPT_OK;
  lm_buffer name, text, scratch;
  lm_buffer_init(&name, &s->allocator, LONGEST_TEXT);
  lm_buffer_init(&text, &s->allocator, LONGEST_TEXT);
  lm_buffer_init(&scratch, &s->allocator, LONGEST_TEXT);
  lmopt_status status = LMOPT_OK;
  if (lm_json_string(&variable, &name)) status = add_choice(&item, &text, &scratch, e);
  if (name.status != LMOPT_OK) status = lm_fail_memory(e);
  if (status == LMOPT_OK && text.size > 0) {
    lm_part part = {subset ? LM_SUBSET : LM_PERMUTATION, 0, UINT32_MAX, lm_buffer_text(&name), lm_buffer_text(&text)};
    if (subset) part.least = read_bound(&ours, "min", 0);
    if (subset) part.most = read_bound(&ours, "max", UINT32_MAX);
    lm_distribution wanted = lm_part_distribution(&part);
    if (lm_distribution_same_range(&wanted, &entry->distribution)) {
      entry->part = lm_part_copy(&s->allocator, &part);
      if (!entry->part) status = lm_fail_memory(e);
      entry->distribution.part = entry->part;
    }
  }
  lm_buffer_free(&name);
  lm_buffer_free(&text);
  lm_buffer_free(&scratch);
  return status;
}

static lmopt_status parse(lm_storage *s, const char *text, size_t size, lm_interned *entry, lm_error *e) {
  lm_json_value whole, name, attributes, key, value;
  if (!lm_json_whole(text, size, &whole) || whole.type != LM_JSON_OBJECT)
    return lm_fail(e, LMOPT_STORAGE, "it is not a JSON object");
  if (find_member(&whole, "name", &name)) {
    if (!find_member(&whole, "attributes", &attributes) || attributes.type != LM_JSON_OBJECT)
      return lm_fail(e, LMOPT_STORAGE, "it has no attributes");
  } else if (find_member(&whole, "type", &name)) {
    attributes = whole;
  } else {
    return lm_fail(e, LMOPT_STORAGE, "it has no name");
  }
  const family *kind = find_family(&name);
  if (!kind)
    return lm_fail(e, LMOPT_STORAGE, "its class is unknown: %.*s", (int)(name.size < 60 ? name.size : 60), name.text);
  fields f = {0};
  lm_json walk = lm_json_members(&attributes);
  while (lm_json_next(&walk, &key, &value)) {
    if (!read_field(&f, &key, &value))
      return lm_fail(e, LMOPT_STORAGE, "its attribute %.*s is unknown, or of the wrong type",
                     (int)(key.size < 60 ? key.size : 60), key.text);
  }
  entry->distribution.kind = kind->kind;
  lmopt_status status = LMOPT_OK;
  if (kind->kind != LM_CATEGORICAL) {
    status = read_range(&f, kind, &entry->distribution, e);
  } else if (f.choices.type == LM_JSON_ARRAY) {
    status = read_choices(s, &f.choices, entry, e);
  } else {
    status = lm_fail(e, LMOPT_STORAGE, "it has no choices");
  }
  return status == LMOPT_OK ? read_part(s, &whole, entry, e) : status;
}

static void free_interned(lm_storage *s, lm_interned *entry) {
  if (!entry) return;
  lm_free(&s->allocator, entry->text);
  lm_free(&s->allocator, entry->choices);
  lm_free(&s->allocator, entry->part);
  lm_free(&s->allocator, entry);
}

static lm_interned **find_slot(lm_interned **table, size_t capacity, const char *text, size_t size, uint64_t hash) {
  size_t i = (size_t)hash & (capacity - 1);
  while (table[i] && (table[i]->hash != hash || table[i]->size != size || memcmp(table[i]->text, text, size) != 0))
    i = (i + 1) & (capacity - 1);
  return &table[i];
}

static bool make_room(lm_storage *s) {
  if (s->interned_capacity > 0 && s->interned_count < s->interned_capacity / 2) return true;
  size_t capacity = s->interned_capacity ? s->interned_capacity * 2 : 64;
  lm_interned **table = lm_alloc_zeroed(&s->allocator, capacity * sizeof *table);
  if (!table) return false;
  for (size_t i = 0; i < s->interned_capacity; i++) {
    lm_interned *entry = s->interned[i];
    if (entry) *find_slot(table, capacity, entry->text, entry->size, entry->hash) = entry;
  }
  lm_free(&s->allocator, s->interned);
  s->interned = table;
  s->interned_capacity = capacity;
  return true;
}

static lm_interned *add_interned(lm_storage *s, const char *text, size_t size, uint64_t hash, lm_error *e) {
  lm_interned *entry = lm_alloc_zeroed(&s->allocator, sizeof *entry);
  if (entry) entry->text = lm_copy_bytes(&s->allocator, text, size);
  if (!entry || !entry->text || !make_room(s)) {
    free_interned(s, entry);
    lm_fail_memory(e);
    return NULL;
  }
  entry->size = size;
  entry->hash = hash;
  if (parse(s, text, size, entry, e) != LMOPT_OK) {
    free_interned(s, entry);
    return NULL;
  }
  *find_slot(s->interned, s->interned_capacity, text, size, hash) = entry;
  s->interned_count++;
  return entry;
}

const lm_distribution *lm_storage_intern(lm_storage *s, const char *text, size_t size, lm_error *e) {
  lm_interned *guess = s->interned_last ? s->interned_last->follower : NULL;
  if (!guess || guess->size != size || memcmp(guess->text, text, size) != 0) {
    uint64_t hash = lm_hash(text, size);
    guess = s->interned_capacity ? *find_slot(s->interned, s->interned_capacity, text, size, hash) : NULL;
    if (!guess) guess = add_interned(s, text, size, hash, e);
    if (!guess) return NULL;
    if (s->interned_last) s->interned_last->follower = guess;
  }
  s->interned_last = guess;
  return &guess->distribution;
}

/* --- writing --- */

static lm_written *written_slot(lm_storage *s, const lm_distribution *d) {
  if (!s->written) s->written = lm_alloc_zeroed(&s->allocator, LM_WRITTEN_SLOTS * sizeof *s->written);
  if (!s->written) return NULL;
  uint64_t address = (uint64_t)(uintptr_t)d; /* only chooses the slot; what is in it is compared */
  return &s->written[lm_mix(address) % LM_WRITTEN_SLOTS];
}

static void clear_written(lm_storage *s, lm_written *w) {
  lm_free(&s->allocator, w->choices);
  lm_free(&s->allocator, w->part);
  lm_free(&s->allocator, w->text);
  memset(w, 0, sizeof *w);
}

const char *lm_storage_distribution_text(lm_storage *s, const lm_distribution *d, size_t *size, lm_error *e) {
  lm_written *w = written_slot(s, d);
  if (!w) {
    lm_fail_memory(e);
    return NULL;
  }
  if (w->text && lm_distribution_equal(&w->distribution, d)) {
    *size = w->size;
    return w->text;
  }
  clear_written(s, w);
  lm_buffer text;
  lm_buffer_init(&text, &s->allocator, LONGEST_TEXT);
  bool written = lm_distribution_write(d, &text);
  char *choices = lm_copy_text(&s->allocator, d->choices);
  lm_part *part = lm_part_copy(&s->allocator, d->part);
  if (!written || (d->choices && !choices) || (d->part && !part)) {
    bool too_long = text.status == LMOPT_LIMIT;
    lm_buffer_free(&text);
    lm_free(&s->allocator, choices);
    lm_free(&s->allocator, part);
    if (too_long)
      lm_fail(e, LMOPT_MISUSE, "a distribution's choices make a text of more than %d bytes", LONGEST_TEXT);
    else
      lm_fail_memory(e);
    return NULL;
  }
  w->distribution = *d;
  w->choices = choices;
  w->distribution.choices = choices;
  w->part = part;
  w->distribution.part = part;
  w->text = text.data; /* the buffer's block is the slot's from here */
  w->size = text.size;
  *size = w->size;
  return w->text;
}

void lm_storage_free_ranges(lm_storage *s) {
  for (size_t i = 0; i < s->interned_capacity; i++) free_interned(s, s->interned[i]);
  lm_free(&s->allocator, s->interned);
  for (size_t i = 0; s->written && i < LM_WRITTEN_SLOTS; i++) clear_written(s, &s->written[i]);
  lm_free(&s->allocator, s->written);
}
