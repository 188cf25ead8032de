/* Structured variables: subsets and orders, suggested as wholes and kept as one parameter per item. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/study_internal.h"
#include "search/structured.h"

/* What is known of a variable while it is suggested; arrays are item by item. */
typedef struct plan {
  lm_study *study;
  size_t number;
  const lm_structure_request *request;
  lm_part part; /* without its item */
  lm_column **columns;
  const lm_distribution **distributions;
  double *values;
  bool *known; /* has a value, whatever a sampler says */
  bool *there; /* the trial has it already */
  bool *fixed; /* was asked for by name, or is there */
  bool *joint; /* comes from the joint draw */
  size_t there_count;
} plan;

static lmopt_status make_plan(plan *p, double *values, lm_error *e) {
  size_t count = p->request->count;
  char *block = lm_alloc_zeroed(p->study->allocator,
                                count * (sizeof(lm_column *) + sizeof(lm_distribution *) + 4 * sizeof(bool)));
  if (!block) {
    lm_fail_memory(e);
    return LMOPT_NO_MEMORY; /* said here, so that an analyzer sees it too */
  }
  p->columns = (lm_column **)(void *)block;
  p->distributions = (const lm_distribution **)(void *)(p->columns + count);
  p->known = (bool *)(void *)(p->distributions + count);
  p->there = p->known + count;
  p->fixed = p->there + count;
  p->joint = p->fixed + count;
  p->values = values;
  return LMOPT_OK;
}

/* Finds columns and distributions, and what the trial has already. */
static lmopt_status resolve_items(plan *p, lm_error *e) {
  const lm_structure_request *r = p->request;
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < r->count && status == LMOPT_OK; i++) {
    lm_part part = p->part;
    part.item = r->items[i];
    lm_distribution d = lm_part_distribution(&part);
    status = lm_study_resolve_running(p->study, p->number, r->names[i], &d, &p->columns[i], &p->distributions[i], e);
    if (status != LMOPT_OK) return status;
    p->there[i] = p->known[i] = p->fixed[i] = lm_column_distribution(p->columns[i], p->number) != NULL;
    p->there_count += p->there[i];
    if (p->there[i]) p->values[i] = p->columns[i]->values[p->number];
  }
  return status;
}

/* Reads a whole value, a JSON array of items; false: it is none of the variable's. */
static bool read_whole(const plan *p, const char *json, double *values) {
  const lm_structure_request *r = p->request;
  if (json[0] != '[') return false;
  lm_distribution list = {.kind = LM_CATEGORICAL, .step = 1, .choices = json};
  size_t found = 0;
  for (size_t i = 0; i < r->count; i++) {
    double place;
    bool has = lm_distribution_find(&list, r->items[i], &place);
    found += has;
    if (r->structure == LM_SUBSET) {
      values[i] = has;
    } else if (has && place < (double)r->count) {
      values[i] = lm_structure_key((size_t)place, r->count);
    } else {
      return false;
    }
  }
  if (found != lm_json_count(json)) return false;
  return r->structure == LM_PERMUTATION ||
         (found >= lm_structure_least(&p->part, r->count) && found <= lm_structure_most(&p->part, r->count));
}

static void keep_whole(plan *p, const double *values) {
  for (size_t i = 0; i < p->request->count; i++) {
    if (!p->known[i]) p->values[i] = values[i];
    p->known[i] = true;
  }
}

static void warn(const plan *p, const char *problem) {
  char text[256];
  snprintf(text, sizeof text, "trial %zu: what was enqueued for '%.100s' %s", p->number, p->request->name, problem);
  lm_runtime_log(p->study->runtime, LMOPT_LOG_WARNING, text);
}

/* Enqueued values: of the whole, else of single items. */
static void take_enqueued(plan *p, double *scratch) {
  const lm_pairs *fixed = &p->study->infos[p->number].fixed;
  const char *whole = lm_pairs_get(fixed, p->request->name);
  if (whole && read_whole(p, whole, scratch)) {
    keep_whole(p, scratch);
    return;
  }
  if (whole) warn(p, "is not one of its values; it is sampled instead");
  for (size_t i = 0; i < p->request->count && fixed->count; i++) {
    const char *json = p->known[i] ? NULL : lm_pairs_get(fixed, p->columns[i]->name);
    double value;
    if (!json || !lm_distribution_find(p->distributions[i], json, &value)) continue;
    if (!lm_distribution_contains(p->distributions[i], value)) continue;
    p->values[i] = value;
    p->known[i] = p->fixed[i] = true;
  }
}

/* Appends element `index` of a JSON array of flat arrays. */
static bool copy_element(const char *json, double index, lm_buffer *out) {
  const char *start = NULL;
  int depth = 0;
  double at = -1;
  for (const char *s = json; *s; s++) {
    if (*s == '"') {
      for (s++; *s && *s != '"'; s++)
        if (*s == '\\' && s[1]) s++;
      if (!*s) return false;
    } else if (*s == '[' && ++depth == 2) {
      start = s;
      at++;
    } else if (*s == ']' && depth-- == 2 && at == index) {
      return lm_buffer_add(out, start, (size_t)(s - start) + 1);
    }
  }
  return false;
}

/* A value of the whole that a sampler was given (grid, partial_fixed). */
static lmopt_status take_axis(plan *p, double *scratch, lm_error *e) {
  const char *name = p->request->name, *axis = lm_pairs_get(&p->study->axes, name);
  const lm_column *column = axis ? lm_trials_column(p->study->trials, name, false) : NULL;
  const lm_assignment *a = column ? lm_assignments_find(&p->study->trials->rows[p->number].relative, column) : NULL;
  if (!a || a->distribution) return LMOPT_OK;
  lm_buffer text;
  lm_buffer_init(&text, p->study->allocator, 1 << 24);
  lmopt_status status = LMOPT_OK;
  if (copy_element(axis, a->value, &text) && read_whole(p, lm_buffer_text(&text), scratch))
    keep_whole(p, scratch);
  else if (text.status != LMOPT_OK)
    status = lm_buffer_fail(&text, "a value of the sampler", e);
  else
    status = lm_fail(e, LMOPT_MISUSE,
                     "the sampler was given %.200s for '%.200s', which is not what the objective suggests from",
                     text.size ? text.data : "no list of items", name);
  lm_buffer_free(&text);
  return status;
}

/* The joint draw; one that lacks an item knows another variable than this, and is not used. */
static lmopt_status take_joint(plan *p, lm_error *e) {
  const lm_assignments *relative = &p->study->trials->rows[p->number].relative;
  size_t count = p->request->count, missing = 0;
  for (size_t i = 0; i < count && relative->count; i++) {
    if (p->known[i]) continue;
    const lm_assignment *a = lm_assignments_find(relative, p->columns[i]);
    bool found = false;
    if (a && !a->distribution) {
      lmopt_status status = lm_study_axis_value(p->study, a, p->distributions[i], &found, &p->values[i], e);
      if (status != LMOPT_OK) return status;
    } else if (a && lm_distribution_same_range(a->distribution, p->distributions[i])) {
      p->values[i] = a->value;
      p->joint[i] = found = true;
    }
    p->known[i] = found;
    missing += !found;
  }
  for (size_t i = 0; i < count && missing; i++)
    if (p->joint[i]) p->known[i] = false;
  return LMOPT_OK;
}

/* The whole from the sampler, or from who draws in its place. */
static lmopt_status draw_rest(plan *p, const double *drawn, double *scratch, lm_error *e) {
  size_t count = p->request->count, unknown = 0;
  for (size_t i = 0; i < count; i++) unknown += !p->known[i];
  if (unknown == 0) return LMOPT_OK;
  lm_sampler *sampler = p->study->sampler;
  lm_view view = lm_study_view(p->study, p->number);
  view.judge = NULL; /* as for other parameters: the space's were drawn when the trial was asked */
  lmopt_status status = LMOPT_OK;
  if (drawn) {
    memcpy(scratch, drawn, count * sizeof *scratch);
  } else {
    status = lm_sampler_structure(sampler, &view, p->columns, p->distributions, count, scratch, e);
  }
  if (status == LMOPT_OK) keep_whole(p, scratch);
  return status;
}

/* Makes the values satisfy the bounds, those that were asked for by name last of all. */
static lmopt_status repair(plan *p, double *scratch, lm_error *e) {
  size_t count = p->request->count;
  lm_view view = lm_study_view(p->study, p->number);
  lm_rng rng = lm_structure_stream(&view, "repair", &p->part);
  if (p->there_count > 0 && p->part.structure == LM_PERMUTATION) return LMOPT_OK; /* its keys are what they are */
  memcpy(scratch, p->values, count * sizeof *scratch);
  lm_structure_repair(&p->part, &rng, p->fixed, p->values, count);
  bool changed = false;
  for (size_t i = 0; i < count; i++) {
    bool differs = p->part.structure == LM_SUBSET && p->values[i] != scratch[i];
    if (differs && p->there[i])
      return lm_fail(e, LMOPT_MISUSE, "'%.200s' of trial %zu has a value already, which is outside the new bounds",
                     p->request->name, p->number);
    changed |= differs && p->fixed[i];
  }
  if (changed) warn(p, "does not keep to its bounds; some of it is changed");
  return LMOPT_OK;
}

static lmopt_status suggest(plan *p, const double *drawn, double *scratch, lm_error *e) {
  lmopt_status status = resolve_items(p, e);
  size_t count = p->request->count;
  if (status != LMOPT_OK || p->there_count == count) return status;
  take_enqueued(p, scratch);
  status = take_axis(p, scratch, e);
  if (status == LMOPT_OK) status = take_joint(p, e);
  if (status == LMOPT_OK) status = draw_rest(p, drawn, scratch, e);
  if (status != LMOPT_OK) return status;
  status = repair(p, scratch, e);
  for (size_t i = 0; i < count && status == LMOPT_OK; i++) {
    if (p->there[i]) continue;
    status = lm_study_enter_parameter(p->study, p->number, p->columns[i], p->distributions[i], p->values[i], e);
  }
  return status;
}

lmopt_status lm_study_suggest_structure(lm_study *study, size_t number, const lm_structure_request *request,
                                        const double *drawn, double *values, lm_error *e) {
  plan p = {.study = study, .number = number, .request = request};
  p.part = (lm_part){request->structure, request->least, request->most, request->name, ""};
  lmopt_status status = lm_study_check_running(study, number, e);
  if (status == LMOPT_OK) status = make_plan(&p, values, e);
  if (status != LMOPT_OK) return status;
  double *scratch = lm_alloc(study->allocator, request->count * sizeof *scratch);
  status = scratch ? suggest(&p, drawn, scratch, e) : lm_fail_memory(e);
  lm_free(study->allocator, scratch);
  lm_free(study->allocator, p.columns);
  return status;
}
