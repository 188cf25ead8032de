#include "runtime/study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runtime/study_internal.h"

/* --- rows --- */

lm_live_trial *lm_live_trial_new(const lm_allocator *a) { return lm_alloc_zeroed(a, sizeof(lm_live_trial)); }

void lm_live_trial_free(const lm_allocator *a, lm_live_trial *live) {
  if (!live) return;
  for (size_t i = 0; i < live->constraint_count; i++) lm_free(a, live->constraint_names[i]);
  lm_free(a, live->params);
  lm_free(a, live->steps);
  lm_free(a, live->attributes);
  lm_free(a, live->constraint_names);
  lm_free(a, live->constraints);
  lm_live_trial_free_predictions(a, live);
  lm_free(a, live);
}

lmopt_status lm_study_append(lm_study *study, lm_state state, lm_id id, lm_error *e) {
  size_t number = study->trials->count;
  if (!lm_grow(study->allocator, &study->infos, &study->info_capacity, number + 1, sizeof *study->infos))
    return lm_fail_memory(e);
  lmopt_status status = lm_trials_append(study->trials, state, e);
  if (status != LMOPT_OK) return status;
  lm_trial_info *info = &study->infos[number];
  memset(info, 0, sizeof *info);
  info->id = id;
  info->start = info->complete = NAN;
  if (id > study->last_id) study->last_id = id;
  return LMOPT_OK;
}

static void free_info(lm_study *study, lm_trial_info *info) {
  lm_pairs_free(study->allocator, &info->user);
  lm_pairs_free(study->allocator, &info->system);
  lm_pairs_free(study->allocator, &info->fixed);
  lm_live_trial_free(study->allocator, info->live);
  info->live = NULL;
}

void lm_study_remove_last(lm_study *study) {
  size_t number = study->trials->count - 1, kept = 0;
  for (size_t i = 0; i < study->unfinished_count; i++)
    if (study->unfinished[i] != number) study->unfinished[kept++] = study->unfinished[i];
  study->unfinished_count = kept;
  free_info(study, &study->infos[number]);
  lm_trials_remove_last(study->trials);
  study->last_id = study->trials->count ? study->infos[study->trials->count - 1].id : 0;
}

lmopt_status lm_study_add_unfinished(lm_study *study, size_t number, lm_error *e) {
  for (size_t i = 0; i < study->unfinished_count; i++)
    if (study->unfinished[i] == number) return LMOPT_OK;
  if (!lm_grow(study->allocator, &study->unfinished, &study->unfinished_capacity, study->unfinished_count + 1,
               sizeof *study->unfinished))
    return lm_fail_memory(e);
  study->unfinished[study->unfinished_count++] = number;
  return LMOPT_OK;
}

/* --- reading what the file has --- */

typedef struct lm_staged {
  size_t number;
  lm_state state;
} lm_staged;

typedef struct lm_sync {
  lm_study *study;
  lm_error *error;
  lm_id only; /* the one trial that is read again; 0: those after the last one known */
  lm_staged *staged;
  size_t count, capacity;
  double *values; /* count x objectives */
  size_t value_capacity;
  size_t last; /* the number that was asked for last */
  /* What parameters had last: most trials have the same ones, in the same order, with the same distributions. */
  size_t next_column;
  struct {
    const lm_distribution *stored, *interned;
  } known[64]; /* by the column's index */
} lm_sync;

static size_t number_of(lm_sync *sync, lm_id id) {
  const lm_study *study = sync->study;
  size_t count = study->trials->count;
  /* Rows come trial by trial, for the most part. */
  for (size_t i = sync->last; i < count && i < sync->last + 2; i++)
    if (study->infos[i].id == id) return sync->last = i;
  size_t low = 0, high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (study->infos[middle].id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return sync->last = low;
}

static lm_staged *staged_of(lm_sync *sync, size_t number) {
  /* New rows are staged in order of their numbers; a lone one is found at once. */
  size_t first = sync->staged[0].number;
  return &sync->staged[number - first];
}

static lmopt_status visit_trial(void *userdata, const lm_stored_trial *t) {
  lm_sync *sync = userdata;
  lm_study *study = sync->study;
  size_t objectives = study->trials->objectives, number = (size_t)t->number;
  lmopt_status fits = sync->only ? lm_study_check_same(study, t->trial, t->number, sync->error)
                                 : lm_study_check_new(study, t->trial, t->number, sync->error);
  if (fits != LMOPT_OK) return fits;
  if (!lm_grow(study->allocator, &sync->staged, &sync->capacity, sync->count + 1, sizeof *sync->staged) ||
      !lm_grow(study->allocator, &sync->values, &sync->value_capacity, (sync->count + 1) * objectives, sizeof(double)))
    return lm_fail_memory(sync->error);
  if (!sync->only) {
    lmopt_status status = lm_study_append(study, LM_WAITING, t->trial, sync->error);
    if (status != LMOPT_OK) return status;
  } else {
    lm_trials_reset(study->trials, number);
  }
  lm_trial_info *info = &study->infos[number];
  if (!t->start || !lm_date_read(t->start, &info->start)) info->start = NAN;
  if (!t->complete || !lm_date_read(t->complete, &info->complete)) info->complete = NAN;
  for (size_t i = 0; i < objectives; i++) sync->values[sync->count * objectives + i] = NAN;
  sync->staged[sync->count++] = (lm_staged){number, (lm_state)t->state};
  return LMOPT_OK;
}

static lm_column *find_column(lm_sync *sync, const char *name) {
  lm_trials *trials = sync->study->trials;
  size_t guess = sync->next_column < trials->column_count ? sync->next_column : 0;
  lm_column *column = trials->column_count ? trials->columns[guess] : NULL;
  if (!column || strcmp(column->name, name) != 0) column = lm_trials_column(trials, name, true);
  if (column) sync->next_column = column->index + 1;
  return column;
}

/* A stored distribution is one pointer for as long as the storage lives. */
static const lm_distribution *find_distribution(lm_sync *sync, const lm_column *column, const lm_distribution *stored) {
  size_t place = column->index % (sizeof sync->known / sizeof sync->known[0]);
  if (sync->known[place].stored != stored) {
    sync->known[place].interned = lm_trials_intern(sync->study->trials, stored);
    sync->known[place].stored = sync->known[place].interned ? stored : NULL;
  }
  return sync->known[place].interned;
}

static lmopt_status visit_parameter(void *userdata, lm_id trial, const char *name, double internal,
                                    const lm_distribution *distribution) {
  lm_sync *sync = userdata;
  lm_trials *trials = sync->study->trials;
  lm_column *column = find_column(sync, name);
  if (!column) return lm_fail_memory(sync->error);
  const lm_distribution *interned = find_distribution(sync, column, distribution), *latest = column->latest;
  if (!interned) return lm_fail_memory(sync->error);
  /* Other programs write the parts of structured variables without saying what they are. */
  if (latest && latest->part && lm_distribution_same_range(latest, interned) && !interned->part) interned = latest;
  return lm_trials_set_param(trials, number_of(sync, trial), column, interned, internal, sync->error);
}

static lmopt_status visit_value(void *userdata, lm_id trial, size_t objective, double value) {
  lm_sync *sync = userdata;
  size_t objectives = sync->study->trials->objectives;
  if (objective >= objectives) return LMOPT_OK;
  size_t staged = (size_t)(staged_of(sync, number_of(sync, trial)) - sync->staged);
  sync->values[staged * objectives + objective] = value;
  return LMOPT_OK;
}

static lmopt_status visit_report(void *userdata, lm_id trial, long long step, double value) {
  lm_sync *sync = userdata;
  return lm_trials_set_report(sync->study->trials, number_of(sync, trial), step, value, sync->error);
}

static lmopt_status visit_attribute(void *userdata, lm_id trial, lm_scope scope, const char *key, const char *json) {
  lm_sync *sync = userdata;
  lm_study *study = sync->study;
  size_t number = number_of(sync, trial);
  lm_trial_info *info = &study->infos[number];
  if (scope == LM_TRIAL_SYSTEM && lm_study_is_report(study, key))
    return lm_study_read_report(study, number, key, json, sync->error);
  return lm_pairs_set(study->allocator, scope == LM_TRIAL_USER ? &info->user : &info->system, key, json, sync->error);
}

static lmopt_status settle_staged(lm_sync *sync) {
  lm_study *study = sync->study;
  size_t objectives = study->trials->objectives;
  for (size_t i = 0; i < sync->count; i++) {
    size_t number = sync->staged[i].number;
    lm_state state = sync->staged[i].state;
    lmopt_status status = lm_study_read_constraints(study, number, sync->error);
    if (status != LMOPT_OK) return status;
    if (lm_state_finished(state)) {
      const double *values = sync->values + i * objectives;
      lm_trials_finish(study->trials, number, state, state == LM_FAIL ? NULL : values);
    } else {
      lm_trials_set_state(study->trials, number, state);
      status = lm_study_add_unfinished(study, number, sync->error);
      if (status != LMOPT_OK) return status;
    }
  }
  return LMOPT_OK;
}

static const lm_trial_visitor visitor_template = {NULL,        visit_trial,  visit_parameter,
                                                  visit_value, visit_report, visit_attribute};

/* Reads the trials after the last one known, or the one trial `id`. */
static lmopt_status read_trials(lm_study *study, lm_id id, lm_error *e) {
  size_t known = study->trials->count;
  lm_sync sync = {.study = study, .error = e, .only = id};
  lm_trial_visitor visitor = visitor_template;
  visitor.userdata = &sync;
  lmopt_status status = id ? lm_storage_read_trial(study->storage, id, &visitor, e)
                           : lm_storage_scan(study->storage, study->id, study->last_id, &visitor, e);
  if (status == LMOPT_OK) status = settle_staged(&sync);
  /* What a scan that failed had begun to read is read again by the next one. */
  while (status != LMOPT_OK && study->trials->count > known) lm_study_remove_last(study);
  lm_free(study->allocator, sync.staged);
  lm_free(study->allocator, sync.values);
  return status;
}

static lmopt_status read_unfinished(lm_study *study, lm_error *e) {
  for (size_t i = 0; i < study->unfinished_count; i++) {
    size_t number = study->unfinished[i];
    if (study->infos[number].live) continue;
    lmopt_status status = read_trials(study, study->infos[number].id, e);
    if (status != LMOPT_OK) return status;
  }
  size_t kept = 0;
  for (size_t i = 0; i < study->unfinished_count; i++) {
    size_t number = study->unfinished[i];
    if (!study->infos[number].live && !lm_state_finished(study->trials->rows[number].state))
      study->unfinished[kept++] = number;
  }
  study->unfinished_count = kept;
  return LMOPT_OK;
}

lmopt_status lm_study_sync(lm_study *study, lm_error *e) {
  lmopt_status status = lm_study_check(study, false, e);
  if (status != LMOPT_OK || !study->storage) return status;
  long long version = lm_storage_version(study->storage);
  if (version >= 0 && version == study->version) return LMOPT_OK;
  status = read_unfinished(study, e);
  if (status == LMOPT_OK) status = read_trials(study, 0, e);
  if (status == LMOPT_OK) study->version = version;
  return status;
}

lmopt_status lm_study_release_dead(lm_study *study, size_t *released, lm_error *e) {
  *released = 0;
  lmopt_status status = lm_study_check(study, true, e);
  if (status != LMOPT_OK || !study->storage) return status;
  status = lm_storage_release_dead(study->storage, study->id, released, e);
  if (*released) study->version = -1; /* what this connection writes does not count as a change by others */
  return status;
}

lmopt_status lm_study_commit(lm_study *study, lmopt_status status, lm_error *e) {
  if (status == LMOPT_OK) status = lm_storage_commit(study->storage, e);
  if (status != LMOPT_OK) lm_storage_rollback(study->storage);
  return status;
}

/* --- opening --- */

lmopt_status lm_study_check(lm_study *study, bool write, lm_error *e) {
  if (!study->open) return lm_fail(e, LMOPT_MISUSE, "the study '%s' is closed", study->name ? study->name : "");
  if (write && study->draft)
    return lm_fail(e, LMOPT_MISUSE, "the study '%s' can't be changed by a function of its space", study->name);
  if (write && study->read_only)
    return lm_fail(e, LMOPT_MISUSE, "the study '%s' was opened to be read only", study->name);
  return LMOPT_OK;
}

typedef struct lm_taken {
  lm_study *study;
  lm_pairs *pairs;
  lm_error *error;
  lmopt_status status;
} lm_taken;

static void take_attribute(void *userdata, const char *key, const char *json) {
  lm_taken *taken = userdata;
  if (taken->status == LMOPT_OK)
    taken->status = lm_pairs_set(taken->study->allocator, taken->pairs, key, json, taken->error);
}

static lmopt_status read_attributes(lm_study *study, bool user, lm_error *e) {
  lm_taken taken = {study, user ? &study->user : &study->system, e, LMOPT_OK};
  lmopt_status status = lm_storage_study_attributes(study->storage, user ? LM_STUDY_USER : LM_STUDY_SYSTEM, study->id,
                                                    take_attribute, &taken, e);
  return status == LMOPT_OK ? taken.status : status;
}

/* Reads a whole number that was stored as a property; *found false when there is none. */
static lmopt_status read_property(lm_study *study, const char *key, long long *value, bool *found, lm_error *e) {
  char *json = NULL;
  lmopt_status status = lm_storage_property(study->storage, study->id, key, &json, e);
  *found = json != NULL;
  if (json) *value = strtoll(json, NULL, 10);
  lm_free(study->allocator, json);
  return status;
}

static lmopt_status write_property(lm_study *study, const char *key, long long value, lm_error *e) {
  char json[32];
  snprintf(json, sizeof json, "%lld", value);
  return lm_storage_set_property(study->storage, study->id, key, json, e);
}

/*
** One of seed, lag and order: what is stored wins, and must agree with what
** was asked for; what is new is stored. `given` false: `fallback` is stored
** when `keep`.
*/
static lmopt_status settle_property(lm_study *study, const char *key, bool given, long long *value, bool keep,
                                    lm_error *e) {
  if (!study->storage) return LMOPT_OK;
  long long stored = 0;
  bool found;
  lmopt_status status = read_property(study, key, &stored, &found, e);
  if (status != LMOPT_OK) return status;
  if (found) {
    if (given && stored != *value && strcmp(key, "order") == 0)
      return lm_fail(e, LMOPT_MISUSE, "the study '%s' has the order %s, not %s", study->name,
                     stored == 2 ? "arrival" : "number", *value == 2 ? "arrival" : "number");
    if (given && stored != *value)
      return lm_fail(e, LMOPT_MISUSE, "the study '%s' has %s %lld, not %lld", study->name, key, stored, *value);
    *value = stored;
    return LMOPT_OK;
  }
  if (study->read_only || !(given || keep)) return LMOPT_OK;
  return write_property(study, key, *value, e);
}

static lmopt_status settle_properties(lm_study *study, const lm_study_options *o, lm_error *e) {
  long long seed = (long long)o->seed, order = o->order, lag = o->lag;
  if (order == 0) order = 1; /* stored too: a later run that asks for the other order is told */
  if (!o->has_seed) seed = (long long)lm_runtime_draw_seed(study->runtime);
  lmopt_status status = settle_property(study, "seed", o->has_seed, &seed, true, e);
  if (status == LMOPT_OK) status = settle_property(study, "order", o->order != 0, &order, true, e);
  if (status == LMOPT_OK) status = settle_property(study, "lag", lag != 0, &lag, false, e);
  study->seed = (unsigned long long)seed;
  study->arrival = order == 2;
  study->lag = lag;
  return status;
}

static lmopt_status check_directions(const lm_study *study, const lm_study_options *o, const bool *stored,
                                     size_t objectives, lm_error *e) {
  if (o->objectives == 0) return LMOPT_OK;
  bool same = o->objectives == objectives;
  for (size_t i = 0; same && i < objectives; i++) same = stored[i] == o->maximize[i];
  if (same) return LMOPT_OK;
  if (objectives == 1 && o->objectives == 1)
    return lm_fail(e, LMOPT_MISUSE, "the study '%s' has the direction %s, not %s", study->name,
                   stored[0] ? "maximize" : "minimize", o->maximize[0] ? "maximize" : "minimize");
  return lm_fail(e, LMOPT_MISUSE, "the study '%s' has other directions (%zu of them, not %zu, or in another order)",
                 study->name, objectives, o->objectives);
}

enum { MOST_OBJECTIVES = 64 };

/* Finds or makes the study in its file, within one transaction. */
static lmopt_status find_study(lm_study *study, const lm_study_options *o, lm_error *e) {
  bool stored[MOST_OBJECTIVES];
  size_t objectives = o->objectives;
  lmopt_status status = lm_storage_find_study(study->storage, study->name, &study->id, e);
  if (status == LMOPT_NOT_FOUND && o->create) {
    status = lm_storage_create_study(study->storage, study->name, o->maximize, o->objectives, &study->id, e);
    memcpy(stored, o->maximize, o->objectives * sizeof *stored);
  } else if (status == LMOPT_OK && !o->load) {
    return lm_fail(e, LMOPT_EXISTS,
                   "there is a study '%s' in %s already: give load_if_exists = true to go on with it, or another name",
                   study->name, lm_storage_path(study->storage));
  } else if (status == LMOPT_OK) {
    status = lm_storage_directions(study->storage, study->id, stored, MOST_OBJECTIVES, &objectives, e);
    if (status == LMOPT_OK && (objectives == 0 || objectives > MOST_OBJECTIVES))
      status = lm_fail(e, LMOPT_STORAGE, "the study '%s' in %s has %zu directions; lmopt reads 1 to %d", study->name,
                       lm_storage_path(study->storage), objectives, MOST_OBJECTIVES);
    if (status == LMOPT_OK) status = check_directions(study, o, stored, objectives, e);
  }
  if (status != LMOPT_OK) return status;
  study->trials = lm_trials_new(study->allocator, objectives, stored);
  return study->trials ? LMOPT_OK : lm_fail_memory(e);
}

static lmopt_status open_stored(lm_study *study, const lm_study_options *o, lm_error *e) {
  unsigned flags = o->read_only ? LM_STORAGE_READ_ONLY : o->create ? LM_STORAGE_CREATE : 0;
  lmopt_status status = lm_storage_open(study->allocator, o->storage, flags, &study->storage, e);
  if (status != LMOPT_OK) return status;
  if (!o->read_only) status = lm_storage_begin(study->storage, e);
  if (status != LMOPT_OK) return status;
  status = find_study(study, o, e);
  if (status == LMOPT_OK) status = settle_properties(study, o, e);
  size_t released;
  if (status == LMOPT_OK && !o->read_only) status = lm_storage_release_dead(study->storage, study->id, &released, e);
  if (!o->read_only) {
    if (status == LMOPT_OK)
      status = lm_storage_commit(study->storage, e);
    else
      lm_storage_rollback(study->storage);
  }
  if (status == LMOPT_OK) status = read_attributes(study, true, e);
  if (status == LMOPT_OK) status = read_attributes(study, false, e);
  study->version = -1;
  if (status == LMOPT_OK) status = lm_study_sync(study, e);
  return status;
}

static void close_resource(lm_resource *resource) {
  lm_study *study = (lm_study *)(void *)resource;
  if (!study->open) return;
  for (size_t i = 0; i < study->trials->count; i++)
    if (study->infos[i].live) lm_study_release(study, i, NULL);
  study->open = false;
  lm_storage_close(study->storage);
  study->storage = NULL;
}

/* A sign of life for processes on other hosts, while a trial runs here. */
static void tick_resource(lm_resource *resource) {
  lm_study *study = (lm_study *)(void *)resource;
  if (study->open && study->storage && !study->read_only) lm_storage_heartbeat(study->storage, NULL);
}

lmopt_status lm_study_open(lmopt_runtime *rt, const lm_study_options *o, lm_study **out, lm_error *e) {
  *out = NULL;
  if (lm_runtime_closed(rt)) return lm_fail(e, LMOPT_MISUSE, "the runtime is closed");
  if (o->objectives > MOST_OBJECTIVES)
    return lm_fail(e, LMOPT_MISUSE, "a study has at most %d directions", MOST_OBJECTIVES);
  if (lm_study_check_utf8("the name of the study", o->name, e) != LMOPT_OK) return LMOPT_MISUSE;
  const lm_allocator *a = lm_runtime_allocator(rt);
  lm_study *study = lm_alloc_zeroed(a, sizeof *study);
  if (!study) return lm_fail_memory(e);
  study->runtime = rt;
  study->allocator = a;
  study->read_only = o->read_only;
  study->resource.close = close_resource;
  if (o->storage && !o->read_only) study->resource.tick = tick_resource;
  study->open = true; /* so that the parts below may use it; nobody else can see it yet */
  lm_runtime_retain(rt);
  study->name = lm_copy_text(a, o->name);
  lmopt_status status = study->name ? LMOPT_OK : lm_fail_memory(e);
  if (status == LMOPT_OK && o->storage) {
    status = open_stored(study, o, e);
  } else if (status == LMOPT_OK) {
    status = settle_properties(study, o, e);
    study->trials = lm_trials_new(a, o->objectives, o->maximize);
    if (status == LMOPT_OK && !study->trials) status = lm_fail_memory(e);
  }
  if (status != LMOPT_OK) {
    study->open = false;
    lm_study_free(study);
    return status;
  }
  lm_runtime_adopt(rt, &study->resource);
  *out = study;
  return LMOPT_OK;
}

void lm_study_close(lm_study *study) {
  if (!study || !study->open) return;
  lm_runtime_disown(study->runtime, &study->resource);
  close_resource(&study->resource);
}

bool lm_study_is_open(const lm_study *study) { return study->open; }

void lm_study_free(lm_study *study) {
  if (!study) return;
  lm_study_close(study);
  const lm_allocator *a = study->allocator;
  lmopt_runtime *rt = study->runtime;
  lm_storage_close(study->storage);
  for (size_t i = 0; study->trials && i < study->trials->count; i++) free_info(study, &study->infos[i]);
  lm_free(a, study->infos);
  lm_free(a, study->unfinished);
  lm_pairs_free(a, &study->user);
  lm_pairs_free(a, &study->system);
  lm_pairs_free(a, &study->axes);
  lm_assignments_free(a, &study->declared);
  lm_cells_free(a, &study->cells);
  lm_priors_free(a, &study->priors);
  lm_sampler_free(study->sampler);
  lm_pruner_free(study->pruner);
  lm_trials_free(study->trials);
  lm_free(a, study->name);
  lm_free(a, study);
  lm_runtime_release(rt);
}

/* --- what it is --- */

void lm_study_set_sampler(lm_study *study, lm_sampler *sampler) {
  lm_sampler_free(study->sampler);
  study->sampler = sampler;
}

void lm_study_set_pruner(lm_study *study, lm_pruner *pruner) {
  lm_pruner_free(study->pruner);
  study->pruner = pruner;
}

lmopt_status lm_study_set_axis(lm_study *study, const char *name, const char *json_values, lm_error *e) {
  for (size_t i = 0; i < study->trials->count; i++) /* trials of other samplers have places on the axes too */
    if (study->trials->rows[i].relative.count == 0) study->infos[i].relative_known = false;
  return lm_pairs_set(study->allocator, &study->axes, name, json_values, e);
}

const char *lm_study_name(const lm_study *study) { return study->name; }
unsigned long long lm_study_seed(const lm_study *study) { return study->seed; }
long long lm_study_lag(const lm_study *study) { return study->lag; }
bool lm_study_arrival(const lm_study *study) { return study->arrival; }
lm_trials *lm_study_trials(lm_study *study) { return study->trials; }
const lm_trial_info *lm_study_info(const lm_study *study, size_t number) { return &study->infos[number]; }
const lm_pairs *lm_study_attributes(const lm_study *study, bool user) { return user ? &study->user : &study->system; }
lm_storage *lm_study_storage(lm_study *study) { return study->storage; }
lm_id lm_study_id(const lm_study *study) { return study->id; }
const lm_allocator *lm_study_allocator(const lm_study *study) { return study->allocator; }

lmopt_status lm_study_fix_lag(lm_study *study, long long lag, lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status != LMOPT_OK || study->lag) return status;
  long long value = lag;
  if (study->storage) {
    status = lm_storage_begin(study->storage, e);
    if (status != LMOPT_OK) return status;
    status = settle_property(study, "lag", false, &value, true, e); /* a neighbour may have fixed it meanwhile */
    if (status == LMOPT_OK)
      status = lm_storage_commit(study->storage, e);
    else
      lm_storage_rollback(study->storage);
  }
  if (status == LMOPT_OK) study->lag = value;
  return status;
}

lmopt_status lm_study_refresh_attributes(lm_study *study, bool user, lm_error *e) {
  if (!study->open || !study->storage) return LMOPT_OK;
  lm_pairs_free(study->allocator, user ? &study->user : &study->system);
  return read_attributes(study, user, e);
}

lmopt_status lm_study_check_running(lm_study *study, size_t number, lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status != LMOPT_OK) return status;
  if (number < study->trials->count && study->infos[number].live) return LMOPT_OK;
  if (number < study->trials->count && lm_state_finished(study->trials->rows[number].state))
    return lm_fail(e, LMOPT_MISUSE, "trial %zu is finished already", number);
  return lm_fail(e, LMOPT_MISUSE, "trial %zu is not running here", number);
}

lmopt_status lm_study_set_attribute(lm_study *study, bool user, const char *key, const char *json, lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status == LMOPT_OK) status = lm_study_check_attribute(key, json, e);
  if (status == LMOPT_OK && study->storage)
    status = lm_storage_set_attribute(study->storage, user ? LM_STUDY_USER : LM_STUDY_SYSTEM, study->id, key, json, e);
  if (status == LMOPT_OK) status = lm_pairs_set(study->allocator, user ? &study->user : &study->system, key, json, e);
  return status;
}
