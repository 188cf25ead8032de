/*
** Reports. With one direction they are where Optuna has them. It knows none of
** several directions, and its samplers stop at trials that have any; so there
** the values of a report are an attribute of the trial, one for each step.
*/
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/study_internal.h"

static const char vector_key[] = "lmopt:report:";

enum { MOST_OBJECTIVES = 64 };

lmopt_status lm_study_report(lm_study *study, size_t number, long long step, const double *values, size_t count,
                             lm_error *e) {
  lmopt_status status = lm_study_check_running(study, number, e);
  if (status != LMOPT_OK) return status;
  size_t objectives = study->trials->objectives;
  if (count != objectives)
    return lm_fail(e, LMOPT_MISUSE, "report was given %zu value%s, and the study has %zu direction%s", count,
                   count == 1 ? "" : "s", objectives, objectives == 1 ? "" : "s");
  if (step < 0) return lm_fail(e, LMOPT_MISUSE, "the step of a report is %lld: it must not be negative", step);
  const lm_row *row = &study->trials->rows[number];
  for (size_t i = row->report_count; i-- > 0 && row->reports[i].step >= step;)
    if (row->reports[i].step == step) return LMOPT_OK; /* the first report of a step stands, as in Optuna */
  lm_live_trial *live = study->infos[number].live;
  if (study->storage &&
      !lm_grow(study->allocator, &live->steps, &live->step_capacity, live->step_count + 1, sizeof *live->steps))
    return lm_fail_memory(e);
  status = lm_trials_set_reports(study->trials, number, step, values, e);
  if (status == LMOPT_OK && study->storage) live->steps[live->step_count++] = step;
  return status;
}

lmopt_status lm_study_write_report(lm_study *study, lm_id trial, long long step, const double *values, lm_error *e) {
  size_t objectives = study->trials->objectives;
  if (objectives == 1) return lm_storage_set_report(study->storage, trial, step, values[0], e);
  lmopt_status status = LMOPT_OK;
  char key[48];
  snprintf(key, sizeof key, "%s%lld", vector_key, step);
  lm_buffer json;
  lm_buffer_init(&json, study->allocator, 1 << 16);
  for (size_t i = 0; i < objectives; i++) {
    lm_buffer_add_text(&json, i ? ", " : "[");
    if (isnan(values[i]))
      lm_buffer_add_text(&json, "NaN"); /* as Python writes them */
    else if (isinf(values[i]))
      lm_buffer_add_text(&json, values[i] > 0 ? "Infinity" : "-Infinity");
    else
      lm_buffer_add_json_double(&json, values[i]);
  }
  if (!lm_buffer_add_char(&json, ']')) status = lm_buffer_fail(&json, "the values of a report", e);
  if (status == LMOPT_OK) status = lm_storage_set_attribute(study->storage, LM_TRIAL_SYSTEM, trial, key, json.data, e);
  lm_buffer_free(&json);
  return status;
}

bool lm_study_is_report(const lm_study *study, const char *key) {
  return study->trials->objectives > 1 && strncmp(key, vector_key, sizeof vector_key - 1) == 0;
}

lmopt_status lm_study_read_report(lm_study *study, size_t number, const char *key, const char *json, lm_error *e) {
  double values[MOST_OBJECTIVES];
  size_t objectives = study->trials->objectives, count = lm_json_numbers(json, values, MOST_OBJECTIVES);
  char *end;
  long long step = strtoll(key + sizeof vector_key - 1, &end, 10);
  if (*end || count != objectives || step < 0) return LMOPT_OK; /* not ours */
  return lm_trials_set_reports(study->trials, number, step, values, e);
}
