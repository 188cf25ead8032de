/* Cells of score sheets: in the study's file, or in memory where it has none. */
#include <string.h>

#include "base/rng.h"
#include "runtime/study_internal.h"

/* --- in memory --- */

void lm_cells_free(const lm_allocator *a, lm_cells *cells) {
  for (size_t i = 0; i < cells->capacity; i++) {
    lm_free(a, cells->slots[i].key);
    lm_free(a, cells->slots[i].json);
  }
  lm_free(a, cells->slots);
  *cells = (lm_cells){0};
}

/* The key's slot, or the free one where it would go; NULL: there are no slots. */
static lm_pair *find_slot(const lm_cells *cells, const char *key) {
  if (cells->capacity == 0) return NULL;
  for (size_t i = lm_hash(key, strlen(key));; i++) {
    lm_pair *slot = &cells->slots[i & (cells->capacity - 1)];
    if (!slot->key || strcmp(slot->key, key) == 0) return slot;
  }
}

/* Half of the slots stay free. */
static bool make_room(const lm_allocator *a, lm_cells *cells) {
  if (cells->capacity >= 2 * (cells->count + 1)) return true;
  lm_cells larger = {.count = cells->count, .capacity = cells->capacity ? 2 * cells->capacity : 64};
  if (larger.capacity > SIZE_MAX / 2 / sizeof *larger.slots) return false;
  larger.slots = lm_alloc_zeroed(a, larger.capacity * sizeof *larger.slots);
  if (!larger.slots) return false;
  for (size_t i = 0; i < cells->capacity; i++)
    if (cells->slots[i].key) *find_slot(&larger, cells->slots[i].key) = cells->slots[i];
  lm_free(a, cells->slots);
  *cells = larger;
  return true;
}

static lmopt_status keep(lm_study *study, const char *key, const char *record, lm_error *e) {
  const lm_allocator *a = study->allocator;
  if (!make_room(a, &study->cells)) return lm_fail_memory(e);
  lm_pair *slot = find_slot(&study->cells, key);
  if (slot->key) return LMOPT_OK;
  lm_pair made = {lm_copy_text(a, key), lm_copy_text(a, record)};
  if (!made.key || !made.json) {
    lm_free(a, made.key);
    lm_free(a, made.json);
    return lm_fail_memory(e);
  }
  *slot = made;
  study->cells.count++;
  return LMOPT_OK;
}

/* --- either way --- */

lmopt_status lm_study_add_cell(lm_study *study, const char *key, const char *record, lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status != LMOPT_OK) return status;
  return study->storage ? lm_storage_add_cell(study->storage, study->id, key, record, e) : keep(study, key, record, e);
}

lmopt_status lm_study_cell(lm_study *study, const char *key, char **record, lm_error *e) {
  *record = NULL;
  lmopt_status status = lm_study_check(study, false, e);
  if (status != LMOPT_OK) return status;
  if (study->storage) return lm_storage_cell(study->storage, study->id, key, record, e);
  const lm_pair *slot = find_slot(&study->cells, key);
  if (!slot || !slot->key) return LMOPT_OK;
  *record = lm_copy_text(study->allocator, slot->json);
  return *record ? LMOPT_OK : lm_fail_memory(e);
}

/* --- copies --- */

/* Some cells at a time: nobody reads while this writes, which a file in a rollback journal would not let us do. */
typedef struct batch {
  const lm_allocator *a;
  lm_pairs cells;
  bool short_of_memory;
} batch;

enum { BATCH = 256 };

static void take_cell(void *userdata, const char *key, const char *record) {
  batch *b = userdata;
  if (b->short_of_memory || !key || !record) return;
  lm_pair made = {lm_copy_text(b->a, key), lm_copy_text(b->a, record)};
  if (made.key && made.json &&
      lm_grow(b->a, &b->cells.items, &b->cells.capacity, b->cells.count + 1, sizeof *b->cells.items)) {
    b->cells.items[b->cells.count++] = made;
    return;
  }
  lm_free(b->a, made.key);
  lm_free(b->a, made.json);
  b->short_of_memory = true;
}

static lmopt_status write_batch(lm_study *study, const lm_pairs *cells, lm_error *e) {
  lmopt_status status = lm_storage_begin(study->storage, e);
  if (status != LMOPT_OK) return status;
  for (size_t i = 0; i < cells->count && status == LMOPT_OK; i++)
    status = lm_storage_add_cell(study->storage, study->id, cells->items[i].key, cells->items[i].json, e);
  return lm_study_commit(study, status, e);
}

lmopt_status lm_study_copy_cells(lm_study *study, lm_study *from, lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status == LMOPT_OK) status = lm_study_check(from, false, e);
  if (status != LMOPT_OK) return status;
  if (!study->storage || !from->storage)
    return lm_fail(e, LMOPT_MISUSE, "the studies '%s' and '%s' are not both in files", from->name, study->name);
  for (lm_pairs last = {0};;) {
    batch b = {.a = study->allocator};
    const char *after = last.count ? last.items[last.count - 1].key : "";
    status = lm_storage_cells(from->storage, from->id, after, BATCH, take_cell, &b, e);
    if (status == LMOPT_OK && b.short_of_memory) status = lm_fail_memory(e);
    if (status == LMOPT_OK && b.cells.count > 0) status = write_batch(study, &b.cells, e);
    lm_pairs_free(study->allocator, &last);
    last = b.cells;
    if (status == LMOPT_OK && b.cells.count == BATCH) continue;
    lm_pairs_free(study->allocator, &last);
    return status;
  }
}
