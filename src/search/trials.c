#include "search/trials.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/rng.h"

lm_trials *lm_trials_new(const lm_allocator *a, size_t objectives, const bool *maximize) {
  lm_trials *t = lm_alloc_zeroed(a, sizeof *t);
  if (!t) return NULL;
  t->allocator = a;
  t->objectives = objectives;
  t->birth = lm_clock_monotonic();
  t->maximize = lm_alloc(a, (objectives ? objectives : 1) * sizeof *t->maximize);
  if (!t->maximize) {
    lm_free(a, t);
    return NULL;
  }
  for (size_t i = 0; i < objectives; i++) t->maximize[i] = maximize && maximize[i];
  return t;
}

static void free_column(const lm_allocator *a, lm_column *c) {
  if (!c) return;
  lm_free(a, (char *)c->name);
  lm_free(a, c->values);
  lm_free(a, (void *)c->distributions);
  lm_free(a, c->ordinals);
  lm_free(a, c);
}

static void free_distribution(const lm_allocator *a, lm_distribution *d) {
  if (!d) return;
  lm_free(a, (char *)d->choices);
  lm_free(a, (lm_part *)d->part);
  lm_free(a, d);
}

void lm_trials_free(lm_trials *t) {
  if (!t) return;
  const lm_allocator *a = t->allocator;
  for (size_t i = 0; i < t->count; i++) {
    lm_free(a, t->rows[i].reports);
    lm_free(a, t->rows[i].constraints);
    lm_free(a, t->rows[i].vectors);
    lm_assignments_free(a, &t->rows[i].relative);
  }
  for (size_t i = 0; i < t->column_count; i++) free_column(a, t->columns[i]);
  for (size_t i = 0; i < t->distribution_count; i++) free_distribution(a, t->distributions[i]);
  for (size_t i = 0; i < t->constraint_name_count; i++) lm_free(a, t->constraint_names[i]);
  lm_free(a, t->constraint_names);
  lm_free(a, t->rows);
  lm_free(a, t->values);
  lm_free(a, t->columns);
  lm_free(a, t->distributions);
  lm_free(a, t->distribution_slots);
  lm_free(a, t->column_slots);
  lm_free(a, t->standing.front);
  lm_free(a, t->standing.news);
  lm_free(a, t->maximize);
  lm_free(a, t);
}

static void clear_values(lm_trials *t, size_t row) {
  for (size_t i = 0; i < t->objectives; i++) t->values[row * t->objectives + i] = NAN;
}

lmopt_status lm_trials_append(lm_trials *t, lm_state state, lm_error *e) {
  size_t capacity = t->capacity;
  if (!lm_grow(t->allocator, &t->rows, &capacity, t->count + 1, sizeof *t->rows)) return lm_fail_memory(e);
  if (capacity > t->capacity) {
    double *values =
        lm_resize(t->allocator, t->values, capacity * (t->objectives ? t->objectives : 1) * sizeof *values);
    if (!values) return lm_fail_memory(e); /* rows are merely larger than t->capacity says */
    t->values = values;
    t->capacity = capacity;
  }
  memset(&t->rows[t->count], 0, sizeof *t->rows);
  t->rows[t->count].state = state;
  clear_values(t, t->count);
  t->count++;
  t->state_counts[state]++;
  if (!lm_state_finished(state)) return LMOPT_OK;
  t->generation++;
  t->standing.known = false;
  return LMOPT_OK;
}

static void forget_param(lm_column *c, size_t row) {
  const lm_distribution *d = lm_column_distribution(c, row);
  if (!d) return;
  c->distributions[row] = NULL;
  if (c->latest_row != row) return;
  c->latest = NULL;
  while (row > 0 && !c->latest) c->latest = c->distributions[--row];
  c->latest_row = row;
}

void lm_trials_remove_last(lm_trials *t) {
  if (t->count == 0) return;
  size_t row = t->count - 1;
  for (size_t i = 0; i < t->column_count; i++) forget_param(t->columns[i], row);
  lm_free(t->allocator, t->rows[row].reports);
  lm_free(t->allocator, t->rows[row].constraints);
  lm_free(t->allocator, t->rows[row].vectors);
  lm_assignments_free(t->allocator, &t->rows[row].relative);
  if (lm_state_finished(t->rows[row].state)) t->edits++;
  t->state_counts[t->rows[row].state]--;
  t->count--;
}

/*
** Open addressing over indices: `hash_of(t, index)` gives the hash of an item
** that is there already. Slots are at least twice the items.
*/
typedef uint64_t (*hash_function)(const lm_trials *t, size_t index);

static bool reserve_slots(const lm_trials *t, size_t **slots, size_t *slot_count, size_t items, hash_function hash_of) {
  if (items * 2 <= *slot_count) return true;
  size_t wanted = *slot_count ? *slot_count * 2 : 32;
  size_t *fresh = lm_alloc_zeroed(t->allocator, wanted * sizeof *fresh);
  if (!fresh) return false;
  for (size_t i = 0; i + 1 < items; i++) {
    size_t at = (size_t)hash_of(t, i) & (wanted - 1);
    while (fresh[at]) at = (at + 1) & (wanted - 1);
    fresh[at] = i + 1;
  }
  lm_free(t->allocator, *slots);
  *slots = fresh;
  *slot_count = wanted;
  return true;
}

static void add_slot(size_t *slots, size_t slot_count, uint64_t hash, size_t index) {
  size_t at = (size_t)hash & (slot_count - 1);
  while (slots[at]) at = (at + 1) & (slot_count - 1);
  slots[at] = index + 1;
}

static uint64_t hash_name(const char *name) { return lm_hash(name, strlen(name)); }
static uint64_t hash_column(const lm_trials *t, size_t index) { return hash_name(t->columns[index]->name); }

static lm_column *find_column(const lm_trials *t, const char *name) {
  if (!t->column_slot_count) return NULL;
  size_t mask = t->column_slot_count - 1;
  for (size_t at = (size_t)hash_name(name) & mask; t->column_slots[at]; at = (at + 1) & mask) {
    lm_column *c = t->columns[t->column_slots[at] - 1];
    if (strcmp(c->name, name) == 0) return c;
  }
  return NULL;
}

lm_column *lm_trials_column(lm_trials *t, const char *name, bool create) {
  lm_column *c = find_column(t, name);
  if (c || !create) return c;
  const lm_allocator *a = t->allocator;
  size_t count = t->column_count;
  if (!lm_grow(a, &t->columns, &t->column_capacity, count + 1, sizeof(lm_column *))) return NULL;
  if (!reserve_slots(t, &t->column_slots, &t->column_slot_count, count + 1, hash_column)) return NULL;
  c = lm_alloc_zeroed(a, sizeof *c);
  if (!c) return NULL;
  c->name = lm_copy_text(a, name);
  if (!c->name) {
    lm_free(a, c);
    return NULL;
  }
  c->index = count;
  t->columns[count] = c;
  t->column_count++;
  add_slot(t->column_slots, t->column_slot_count, hash_name(name), count);
  return c;
}

static uint64_t hash_double(uint64_t h, double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return lm_mix(h ^ bits);
}

static uint64_t hash_of_distribution(const lm_distribution *d) {
  uint64_t h = lm_mix((uint64_t)d->kind * 2 + (d->log ? 1 : 0) + 1);
  h = hash_double(hash_double(hash_double(h, d->low), d->high), d->step);
  if (d->part) h ^= hash_name(d->part->item) + hash_name(d->part->variable);
  return d->choices ? h ^ hash_name(d->choices) : h;
}

static uint64_t hash_distribution(const lm_trials *t, size_t index) {
  return hash_of_distribution(t->distributions[index]);
}

const lm_distribution *lm_trials_intern(lm_trials *t, const lm_distribution *d) {
  uint64_t hash = hash_of_distribution(d);
  if (t->distribution_slot_count) {
    size_t mask = t->distribution_slot_count - 1;
    for (size_t at = (size_t)hash & mask; t->distribution_slots[at]; at = (at + 1) & mask) {
      const lm_distribution *old = t->distributions[t->distribution_slots[at] - 1];
      if (lm_distribution_equal(old, d)) return old;
    }
  }
  const lm_allocator *a = t->allocator;
  size_t count = t->distribution_count;
  if (!lm_grow(a, &t->distributions, &t->distribution_capacity, count + 1, sizeof(lm_distribution *))) return NULL;
  if (!reserve_slots(t, &t->distribution_slots, &t->distribution_slot_count, count + 1, hash_distribution)) return NULL;
  lm_distribution *copy = lm_alloc(a, sizeof *copy);
  if (!copy) return NULL;
  *copy = *d;
  copy->choices = lm_copy_text(a, d->choices);
  copy->part = lm_part_copy(a, d->part);
  if ((d->choices && !copy->choices) || (d->part && !copy->part)) {
    free_distribution(a, copy);
    return NULL;
  }
  t->distributions[count] = copy;
  t->distribution_count++;
  add_slot(t->distribution_slots, t->distribution_slot_count, hash, count);
  return copy;
}

static void note_edit(lm_trials *t, size_t row) {
  if (lm_state_finished(t->rows[row].state)) t->edits++;
}

lmopt_status lm_trials_set_param(lm_trials *t, size_t row, lm_column *c, const lm_distribution *interned,
                                 double internal, lm_error *e) {
  const lm_allocator *a = t->allocator;
  if (row >= c->capacity) {
    size_t capacity = c->capacity;
    if (!lm_grow(a, &c->values, &capacity, row + 1, sizeof *c->values)) return lm_fail_memory(e);
    const lm_distribution **distributions = lm_resize(a, (void *)c->distributions, capacity * sizeof *distributions);
    if (!distributions) return lm_fail_memory(e);
    c->distributions = distributions;
    uint32_t *ordinals = lm_resize(a, c->ordinals, capacity * sizeof *ordinals);
    if (!ordinals) return lm_fail_memory(e);
    c->ordinals = ordinals;
    for (size_t i = c->capacity; i < capacity; i++) {
      distributions[i] = NULL;
      c->values[i] = 0;
      ordinals[i] = 0;
    }
    c->capacity = capacity;
  }
  if (!c->distributions[row]) c->ordinals[row] = t->rows[row].param_count++;
  c->values[row] = internal;
  c->distributions[row] = interned;
  if (!c->latest || row >= c->latest_row) {
    c->latest = interned;
    c->latest_row = row;
  }
  note_edit(t, row);
  return LMOPT_OK;
}

/* Room for one more report. On failure nothing has changed. */
static lmopt_status reserve_report(const lm_trials *t, lm_row *r, lm_error *e) {
  size_t capacity = r->report_capacity;
  if (!lm_grow(t->allocator, &r->reports, &capacity, r->report_count + 1, sizeof *r->reports)) return lm_fail_memory(e);
  if (capacity > r->report_capacity && t->objectives > 1) {
    double *vectors = lm_resize(t->allocator, r->vectors, capacity * t->objectives * sizeof *vectors);
    if (!vectors) return lm_fail_memory(e); /* reports are merely larger than the capacity says */
    r->vectors = vectors;
  }
  r->report_capacity = capacity;
  return LMOPT_OK;
}

lmopt_status lm_trials_set_reports(lm_trials *t, size_t row, long long step, const double *values, lm_error *e) {
  lm_row *r = &t->rows[row];
  size_t at = r->report_count, m = t->objectives;
  while (at > 0 && r->reports[at - 1].step >= step) at--;
  if (at == r->report_count || r->reports[at].step != step) {
    lmopt_status status = reserve_report(t, r, e);
    if (status) return status;
    memmove(&r->reports[at + 1], &r->reports[at], (r->report_count - at) * sizeof *r->reports);
    if (r->vectors)
      memmove(r->vectors + (at + 1) * m, r->vectors + at * m, (r->report_count - at) * m * sizeof *values);
    r->report_count++;
  }
  r->reports[at] = (lm_report){step, values[0]};
  if (r->vectors) memcpy(r->vectors + at * m, values, m * sizeof *values);
  note_edit(t, row);
  return LMOPT_OK;
}

enum { MOST_KNOWN = 64 };

lmopt_status lm_trials_set_report(lm_trials *t, size_t row, long long step, double value, lm_error *e) {
  double values[MOST_KNOWN];
  if (t->objectives > MOST_KNOWN) return lm_fail(e, LMOPT_MISUSE, "a study has at most %d directions", MOST_KNOWN);
  values[0] = value;
  for (size_t i = 1; i < t->objectives; i++) values[i] = NAN;
  return lm_trials_set_reports(t, row, step, values, e);
}

/* The place of a name among those of all constraints, SIZE_MAX without memory. */
static size_t find_constraint(lm_trials *t, const char *name) {
  size_t count = t->constraint_name_count;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(t->constraint_names[i], name) == 0) return i;
  }
  if (!lm_grow(t->allocator, &t->constraint_names, &t->constraint_name_capacity, count + 1, sizeof(char *)))
    return SIZE_MAX;
  t->constraint_names[count] = lm_copy_text(t->allocator, name);
  if (!t->constraint_names[count]) return SIZE_MAX;
  return t->constraint_name_count++;
}

lmopt_status lm_trials_set_named_constraints(lm_trials *t, size_t row, const char *const *names, const double *values,
                                             size_t count, lm_error *e) {
  lm_row *r = &t->rows[row];
  if (!lm_grow(t->allocator, &r->constraints, &r->constraint_capacity, count, sizeof *r->constraints))
    return lm_fail_memory(e);
  char place[24];
  for (size_t i = 0; i < count; i++) { /* so that nothing fails below */
    snprintf(place, sizeof place, "%zu", i);
    if (find_constraint(t, names ? names[i] : place) == SIZE_MAX) return lm_fail_memory(e);
  }
  r->constraint_count = count;
  r->constrained = count > 0;
  r->violation = 0;
  for (size_t i = 0; i < count; i++) {
    snprintf(place, sizeof place, "%zu", i);
    double value = isnan(values[i]) ? INFINITY : values[i]; /* not-a-number satisfies nothing */
    r->constraints[i] = (lm_constraint){find_constraint(t, names ? names[i] : place), value};
    if (value > 0) r->violation += value;
  }
  r->infeasible = r->violation > 0;
  note_edit(t, row);
  return LMOPT_OK;
}

lmopt_status lm_trials_set_constraints(lm_trials *t, size_t row, const double *values, size_t count) {
  return lm_trials_set_named_constraints(t, row, NULL, values, count, NULL);
}

static void change_state(lm_trials *t, size_t row, lm_state state) {
  t->state_counts[t->rows[row].state]--;
  t->state_counts[state]++;
  t->rows[row].state = state;
}

/* Nobody may have asked for the standing in a long time: then it is made anew when somebody does. */
static void note_news(lm_trials *t, size_t row) {
  enum { NEWS_MOST = 4096 };
  lm_standing *s = &t->standing;
  if (!s->known) return;
  s->known = s->news_count < NEWS_MOST &&
             lm_grow(t->allocator, &s->news, &s->news_capacity, s->news_count + 1, sizeof *s->news);
  if (s->known) s->news[s->news_count++] = row;
}

void lm_trials_finish(lm_trials *t, size_t row, lm_state state, const double *values) {
  note_edit(t, row);
  change_state(t, row, state);
  clear_values(t, row);
  if (values && t->objectives) memcpy(&t->values[row * t->objectives], values, t->objectives * sizeof *values);
  t->generation++;
  if (state == LM_COMPLETE) note_news(t, row);
}

void lm_trials_set_state(lm_trials *t, size_t row, lm_state state) {
  note_edit(t, row);
  change_state(t, row, state);
  if (!lm_state_finished(state)) return;
  t->generation++;
  t->standing.known = false;
}

void lm_trials_reset(lm_trials *t, size_t row) {
  note_edit(t, row);
  t->rows[row].report_count = 0;
}

lmopt_status lm_assignments_add(const lm_allocator *a, lm_assignments *list, lm_assignment item, lm_error *e) {
  if (!lm_grow(a, &list->items, &list->capacity, list->count + 1, sizeof *list->items)) return lm_fail_memory(e);
  list->items[list->count++] = item;
  return LMOPT_OK;
}

const lm_assignment *lm_assignments_find(const lm_assignments *list, const lm_column *column) {
  for (size_t i = 0; i < list->count; i++) {
    if (list->items[i].column == column) return &list->items[i];
  }
  return NULL;
}

void lm_assignments_free(const lm_allocator *a, lm_assignments *list) {
  lm_free(a, list->items);
  *list = (lm_assignments){0};
}

size_t lm_view_count(const lm_view *v) {
  if (v->arrival) return v->trials->count;
  if (v->number < 0) return 0;
  return (size_t)v->number < v->trials->count ? (size_t)v->number : v->trials->count;
}

lm_state lm_view_state(const lm_view *v, size_t row) {
  long long number = (long long)row;
  lm_state state = v->trials->rows[row].state;
  if (number == v->number) return LM_WAITING;
  if (v->scope.shows && !v->scope.shows(&v->scope, row)) return LM_WAITING;
  if (number > v->number) return v->arrival && lm_state_finished(state) ? state : LM_WAITING;
  if (number <= v->horizon) return state;
  return LM_RUNNING;
}

bool lm_view_param(const lm_view *v, size_t row, const lm_column *c, const lm_distribution **d, double *internal) {
  lm_state state = lm_view_state(v, row);
  if (state == LM_WAITING) return false;
  bool seen = (long long)row <= v->horizon || (long long)row > v->number;
  const lm_distribution *known = seen ? lm_column_distribution(c, row) : NULL;
  if (known) {
    *d = known;
    *internal = c->values[row];
    return true;
  }
  if (state != LM_RUNNING) return false;
  const lm_assignment *drawn = lm_assignments_find(&v->trials->rows[row].relative, c);
  if (!drawn || !drawn->distribution) return false;
  *d = drawn->distribution;
  *internal = drawn->value;
  return true;
}
