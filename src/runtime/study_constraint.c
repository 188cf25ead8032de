/* Constraints of trials: set one by one, stored with the result, read into the rows that samplers see. */
#include <math.h>
#include <string.h>

#include "runtime/study_internal.h"

lmopt_status lm_study_set_constraint(lm_study *study, size_t number, const char *name, double value, lm_error *e) {
  lmopt_status status = lm_study_check_running(study, number, e);
  if (status != LMOPT_OK) return status;
  if (isnan(value)) return lm_fail(e, LMOPT_MISUSE, "the value of constraint '%s' is not a number", name);
  lm_live_trial *live = study->infos[number].live;
  for (size_t i = 0; i < live->constraint_count; i++)
    if (strcmp(live->constraint_names[i], name) == 0) {
      live->constraints[i] = value;
      return LMOPT_OK;
    }
  if (lm_study_check_utf8("the name of a constraint", name, e) != LMOPT_OK) return LMOPT_MISUSE;
  size_t count = live->constraint_count + 1;
  char *copy = lm_copy_text(study->allocator, name);
  if (!copy || !lm_grow(study->allocator, &live->constraint_names, &live->name_capacity, count, sizeof(char *)) ||
      !lm_grow(study->allocator, &live->constraints, &live->constraint_capacity, count, sizeof(double))) {
    lm_free(study->allocator, copy);
    return lm_fail_memory(e);
  }
  live->constraint_names[count - 1] = copy;
  live->constraints[count - 1] = value;
  live->constraint_count = count;
  return LMOPT_OK;
}

/* What was read of a trial: values, and the places of their names in `names`, which are JSON texts. */
typedef struct constraint_list {
  double *values;
  size_t *places;
  size_t count, value_capacity, place_capacity;
  lm_buffer names;
} constraint_list;

/* Room for one more, whose name is appended next. */
static bool begin_item(lm_study *study, constraint_list *list, double value) {
  size_t count = list->count + 1;
  if (!lm_grow(study->allocator, &list->values, &list->value_capacity, count, sizeof *list->values) ||
      !lm_grow(study->allocator, &list->places, &list->place_capacity, count, sizeof *list->places))
    return false;
  list->values[list->count] = value;
  list->places[list->count++] = list->names.size;
  return true;
}

/* Our list, or that of Optuna 4: names are in another attribute, or places. */
static bool read_list(lm_study *study, const char *json, const char *names, constraint_list *list) {
  const char *value, *name;
  size_t size, name_size;
  if (*json != '[') return true;
  for (size_t i = 0; lm_json_element(&json, &value, &size); i++) {
    double number = NAN;
    char text[64];
    if (size < sizeof text) {
      memcpy(text, value, size);
      text[size] = '\0';
      if (!lm_json_number(text, &number)) number = NAN;
    }
    if (!begin_item(study, list, number)) return false;
    if (names && lm_json_element(&names, &name, &name_size)) {
      lm_buffer_add(&list->names, name, name_size);
    } else {
      lm_buffer_add_char(&list->names, '"');
      lm_buffer_add_json_integer(&list->names, (long long)i);
      lm_buffer_add_char(&list->names, '"');
    }
    if (!lm_buffer_add_char(&list->names, '\0')) return false;
  }
  return true;
}

/* One attribute per name: Optuna 5. */
static bool read_single(lm_study *study, const char *name, const char *json, constraint_list *list) {
  double number;
  if (!begin_item(study, list, lm_json_number(json, &number) ? number : NAN)) return false;
  lm_buffer_add_json_string(&list->names, name, strlen(name));
  return lm_buffer_add_char(&list->names, '\0');
}

static lmopt_status set_list(lm_study *study, size_t number, const constraint_list *list, lm_error *e) {
  if (!list->count) return LMOPT_OK;
  const char **names = lm_alloc(study->allocator, list->count * sizeof *names);
  if (!names) return lm_fail_memory(e);
  for (size_t i = 0; i < list->count; i++) names[i] = list->names.data + list->places[i];
  lmopt_status status = lm_trials_set_named_constraints(study->trials, number, names, list->values, list->count, e);
  lm_free(study->allocator, (void *)names);
  return status;
}

lmopt_status lm_study_read_constraints(lm_study *study, size_t number, lm_error *e) {
  const lm_pairs *system = &study->infos[number].system;
  constraint_list list = {0};
  lm_buffer_init(&list.names, study->allocator, 1 << 24);
  bool fine = true;
  for (size_t i = 0; i < system->count && fine; i++) {
    const lm_pair *pair = &system->items[i];
    if (strcmp(pair->key, "constraints") == 0) {
      fine = read_list(study, pair->json, lm_pairs_get(system, "lmopt:constraint_names"), &list);
    } else if (strncmp(pair->key, "constraints:", 12) == 0) {
      fine = read_single(study, pair->key + 12, pair->json, &list);
    }
  }
  lmopt_status status = fine ? set_list(study, number, &list, e) : lm_fail_memory(e);
  lm_buffer_free(&list.names);
  lm_free(study->allocator, list.values);
  lm_free(study->allocator, list.places);
  return status;
}

/* The list that Optuna and its dashboards read, and the names beside it. */
lmopt_status lm_study_attach_constraints(lm_study *study, size_t number, lm_error *e) {
  const lm_live_trial *live = study->infos[number].live;
  if (live->constraint_count == 0) return LMOPT_OK;
  lm_buffer values, names;
  lm_buffer_init(&values, study->allocator, 1 << 24);
  lm_buffer_init(&names, study->allocator, 1 << 24);
  for (size_t i = 0; i < live->constraint_count; i++) {
    lm_buffer_add_text(&values, i ? ", " : "[");
    lm_buffer_add_json_double(&values, live->constraints[i]);
    lm_buffer_add_text(&names, i ? ", " : "[");
    lm_buffer_add_json_string(&names, live->constraint_names[i], strlen(live->constraint_names[i]));
  }
  lmopt_status status = LMOPT_OK;
  if (!lm_buffer_add_char(&values, ']')) status = lm_buffer_fail(&values, "the values of the constraints", e);
  if (status == LMOPT_OK && !lm_buffer_add_char(&names, ']'))
    status = lm_buffer_fail(&names, "the names of the constraints", e);
  if (status == LMOPT_OK) status = lm_study_set_trial_attribute(study, number, false, "constraints", values.data, e);
  if (status == LMOPT_OK)
    status = lm_study_set_trial_attribute(study, number, false, "lmopt:constraint_names", names.data, e);
  lm_buffer_free(&values);
  lm_buffer_free(&names);
  return status == LMOPT_OK ? lm_study_read_constraints(study, number, e) : status;
}
