#include "search/intersection.h"

#include <string.h>

void lm_space_free(lm_space *s) {
  if (s->allocator) lm_free(s->allocator, s->entries);
  s->entries = NULL;
  s->capacity = 0;
  lm_space_clear(s);
}

void lm_space_clear(lm_space *s) {
  s->count = s->group_count = 0;
  s->started = false;
}

static size_t find_place(const lm_space *s, const char *name) {
  size_t low = 0, high = s->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(s->entries[middle].column->name, name) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/* Adds the columns of the row that have no entry yet, all to one new group. Room was made before. */
static void add_new(lm_space *s, const lm_trials *t, size_t row) {
  size_t group = s->group_count;
  for (size_t i = 0; i < t->column_count; i++) {
    lm_column *c = t->columns[i];
    const lm_distribution *d = lm_column_distribution(c, row);
    if (!d) continue;
    size_t at = find_place(s, c->name);
    if (at < s->count && s->entries[at].column == c) continue;
    memmove(&s->entries[at + 1], &s->entries[at], (s->count - at) * sizeof *s->entries);
    s->entries[at] = (lm_space_entry){c, d, row, group, true};
    s->count++;
    s->group_count = group + 1;
  }
}

static lmopt_status make_room(lm_space *s, const lm_trials *t, size_t row) {
  size_t wanted = s->count;
  for (size_t i = 0; i < t->column_count; i++) wanted += lm_column_distribution(t->columns[i], row) != NULL;
  if (!s->allocator) s->allocator = t->allocator;
  return lm_grow(s->allocator, &s->entries, &s->capacity, wanted, sizeof *s->entries) ? LMOPT_OK : LMOPT_NO_MEMORY;
}

/* Keeps what the row has too, with the same distribution. */
static void intersect(lm_space *s, size_t row) {
  size_t kept = 0;
  for (size_t i = 0; i < s->count; i++) {
    if (lm_column_distribution(s->entries[i].column, row) == s->entries[i].distribution)
      s->entries[kept++] = s->entries[i];
  }
  s->count = kept;
}

/* Splits every group of which the row has some members and lacks others. */
static void divide(lm_space *s, size_t row) {
  for (size_t i = 0; i < s->count; i++) {
    lm_space_entry *entry = &s->entries[i];
    const lm_distribution *d = lm_column_distribution(entry->column, row);
    entry->present = d != NULL;
    if (d && row < entry->row) {
      entry->row = row;
      entry->distribution = d;
    }
  }
  for (size_t group = 0, groups = s->group_count; group < groups; group++) {
    size_t members = 0, present = 0;
    for (size_t i = 0; i < s->count; i++) {
      members += s->entries[i].group == group;
      present += s->entries[i].group == group && s->entries[i].present;
    }
    if (present == 0 || present == members) continue;
    for (size_t i = 0; i < s->count; i++) {
      if (s->entries[i].group == group && s->entries[i].present) s->entries[i].group = s->group_count;
    }
    s->group_count++;
  }
}

lmopt_status lm_space_add(lm_space *s, const lm_trials *t, size_t row) {
  if (!s->grouped && s->started) {
    intersect(s, row);
    return LMOPT_OK;
  }
  lmopt_status status = make_room(s, t, row);
  if (status) return status;
  if (s->grouped) divide(s, row);
  add_new(s, t, row);
  s->started = true;
  return LMOPT_OK;
}
