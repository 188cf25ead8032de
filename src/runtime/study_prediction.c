/* What programs answered in a trial: kept while it runs, written with its result. */
#include <string.h>

#include "runtime/study_internal.h"

void lm_live_trial_free_predictions(const lm_allocator *a, lm_live_trial *live) {
  for (size_t i = 0; i < live->prediction_count; i++) {
    lm_free(a, live->predictions[i].about);
    lm_free(a, live->predictions[i].rows);
  }
  lm_free(a, live->predictions);
  live->predictions = NULL;
  live->prediction_count = live->prediction_capacity = 0;
}

lmopt_status lm_study_add_prediction(lm_study *study, size_t number, const char *about, const char *rows, lm_error *e) {
  lmopt_status status = lm_study_check_running(study, number, e);
  if (status != LMOPT_OK || !study->storage) return status;
  const lm_allocator *a = study->allocator;
  lm_live_trial *live = study->infos[number].live;
  lm_pending_prediction made = {lm_copy_text(a, about), rows ? lm_copy_text(a, rows) : NULL};
  if (!made.about || (rows && !made.rows) ||
      !lm_grow(a, &live->predictions, &live->prediction_capacity, live->prediction_count + 1,
               sizeof *live->predictions)) {
    lm_free(a, made.about);
    lm_free(a, made.rows);
    return lm_fail_memory(e);
  }
  live->predictions[live->prediction_count++] = made;
  return LMOPT_OK;
}

lmopt_status lm_study_write_predictions(lm_study *study, size_t number, lm_error *e) {
  const lm_trial_info *info = &study->infos[number];
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < info->live->prediction_count && status == LMOPT_OK; i++) {
    const lm_pending_prediction *p = &info->live->predictions[i];
    status = lm_storage_add_prediction(study->storage, info->id, p->about, p->rows, e);
  }
  return status;
}

lmopt_status lm_study_copy_predictions(lm_study *study, size_t number, const lm_study *from, size_t from_number,
                                       lm_error *e) {
  lmopt_status status = lm_study_check(study, true, e);
  if (status != LMOPT_OK) return status;
  if (number >= study->trials->count || from_number >= from->trials->count)
    return lm_fail(e, LMOPT_MISUSE, "there is no such trial");
  if (!study->storage || !from->storage || strcmp(lm_storage_path(study->storage), lm_storage_path(from->storage)) != 0)
    return lm_fail(e, LMOPT_MISUSE, "the studies '%s' and '%s' are not in one file", from->name, study->name);
  return lm_storage_copy_predictions(study->storage, from->infos[from_number].id, study->infos[number].id, e);
}
