/* Drawing whole trials from a declared space, under hard constraints. */
#include <string.h>

#include "runtime/study_internal.h"
#include "search/draw.h"

/* --- what is declared --- */

const lm_distribution *lm_study_declared(const lm_study *study, const lm_column *column) {
  const lm_assignment *a = lm_assignments_find(&study->declared, column);
  return a ? a->distribution : NULL;
}

lmopt_status lm_study_declare(lm_study *study, const char *name, const lm_distribution *d, const lm_prior *prior,
                              lm_error *e) {
  lm_column *column = NULL;
  const lm_distribution *interned = NULL;
  lmopt_status status = lm_study_check(study, false, e);
  if (status == LMOPT_OK) status = lm_study_resolve(study, name, d, &column, &interned, e);
  if (status != LMOPT_OK) return status;
  if (lm_priors_set(study->allocator, &study->priors, column, prior, d->count) != LMOPT_OK) return lm_fail_memory(e);
  for (size_t i = 0; i < study->declared.count; i++) {
    if (study->declared.items[i].column != column) continue;
    study->declared.items[i].distribution = interned;
    return LMOPT_OK;
  }
  lm_assignment a = {column, interned, 0};
  return lm_assignments_add(study->allocator, &study->declared, a, e);
}

lmopt_status lm_study_resolve_declared(lm_study *study, const lm_assignment *a, const lm_distribution **d,
                                       double *internal) {
  const lm_distribution *declared = lm_study_declared(study, a->column);
  bool found = declared && a->distribution == declared;
  lmopt_status status = LMOPT_OK;
  *internal = a->value;
  if (declared && !a->distribution) status = lm_study_axis_value(study, a, declared, &found, internal, NULL);
  *d = found ? declared : NULL;
  return status == LMOPT_NO_MEMORY ? status : LMOPT_OK;
}

bool lm_study_enqueued(const lm_study *study, size_t number, const lm_column *column, const lm_distribution *d,
                       double *internal) {
  const char *json = number < study->trials->count ? lm_pairs_get(&study->infos[number].fixed, column->name) : NULL;
  return json && lm_distribution_find(d, json, internal) && lm_distribution_contains(d, *internal);
}

void lm_study_set_space(lm_study *study, const lm_study_space *space) {
  study->space = *space;
  lm_assignments_free(study->allocator, &study->declared);
  lm_priors_free(study->allocator, &study->priors);
}

lm_study_space *lm_study_get_space(lm_study *study) { return &study->space; }

/* --- drawing --- */

static lmopt_status note(lm_draft *draft, lmopt_status status, const lm_error *e) {
  if (status == LMOPT_OK) return status;
  draft->failure = *e;
  draft->failure.status = status;
  return status;
}

/* The draft, or LMOPT_MISUSE outside of `draw`. */
static lmopt_status find_draft(const lm_study *study, lm_draft **draft, lm_error *e) {
  *draft = study->draft;
  return *draft ? LMOPT_OK : lm_fail(e, LMOPT_MISUSE, "no trial is being drawn");
}

/* Leaves what a proposal fixes: the values of partial_fixed. */
static void keep_fixed(lm_assignments *joint) {
  size_t kept = 0;
  for (size_t i = 0; i < joint->count; i++)
    if (!joint->items[i].distribution) joint->items[kept++] = joint->items[i];
  joint->count = kept;
}

lmopt_status lm_study_draft_begin(lm_study *study, unsigned attempt, bool own, lm_error *e) {
  lm_draft *draft;
  lmopt_status status = find_draft(study, &draft, e);
  if (status != LMOPT_OK) return status;
  bool waits = draft->number < study->trials->count; /* it has parameters of its own */
  draft->drawn.count = 0;
  draft->attempt = attempt;
  draft->own = own;
  if (own)
    keep_fixed(&draft->joint);
  else
    draft->joint.count = 0;
  if (!own) status = lm_study_draw_joint(study, draft->number, attempt, &draft->joint, e);
  if (waits && (status == LMOPT_EXHAUSTED || status == LMOPT_BUSY)) {
    draft->own = true;
    status = LMOPT_OK;
  }
  return note(draft, status, e);
}

/* One that the sampler was to draw alone. */
static lmopt_status draw_alone(lm_study *study, lm_column *column, const lm_distribution *d, const lm_prior *prior,
                               double *internal, lm_error *e) {
  const lm_draft *draft = study->draft;
  lm_view view = lm_study_view(study, draft->number);
  view.attempt = draft->attempt;
  view.judge = NULL; /* about whole points, and this is none */
  if (!draft->own && study->sampler && !(prior && draft->joint.count == 0))
    return study->sampler->class->sample_independent(study->sampler, &view, column, d, internal, e);
  lm_rng rng = lm_draw_stream(&view, column);
  *internal = lm_prior_draw(&rng, prior, d);
  return LMOPT_OK;
}

static lmopt_status draw_value(lm_study *study, lm_column *column, const lm_distribution *d, const lm_prior *prior,
                               double *internal, lm_error *e) {
  lm_draft *draft = study->draft;
  if (lm_distribution_single(d)) {
    *internal = d->low;
    return LMOPT_OK;
  }
  const lm_assignment *known = lm_assignments_find(&draft->drawn, column);
  if (known) {
    *internal = known->value;
    return LMOPT_OK;
  }
  lmopt_status status = LMOPT_OK;
  const lm_assignment *proposed = lm_assignments_find(&draft->joint, column);
  bool found = lm_study_enqueued(study, draft->number, column, d, internal);
  if (!found && proposed && !proposed->distribution)
    status = lm_study_axis_value(study, proposed, d, &found, internal, e);
  else if (!found && proposed && proposed->distribution == d) {
    *internal = proposed->value;
    found = true;
  }
  if (status == LMOPT_OK && !found) status = draw_alone(study, column, d, prior, internal, e);
  lm_assignment a = {column, d, *internal};
  return status == LMOPT_OK ? lm_assignments_add(study->allocator, &draft->drawn, a, e) : status;
}

lmopt_status lm_study_draft_value(lm_study *study, const char *name, const lm_distribution *d, const lm_prior *prior,
                                  double *internal, lm_error *e) {
  lm_draft *draft;
  lmopt_status status = find_draft(study, &draft, e);
  if (status != LMOPT_OK) return status;
  lm_column *column = NULL;
  const lm_distribution *interned = NULL;
  status = lm_study_resolve(study, name, d, &column, &interned, e);
  if (status == LMOPT_OK) status = draw_value(study, column, interned, prior, internal, e);
  return note(draft, status, e);
}

void lm_study_draft_clear(lm_study *study) {
  if (!study->draft) return;
  study->draft->joint.count = study->draft->drawn.count = 0;
}

lmopt_status lm_study_draft_failure(const lm_study *study, lm_error *e) {
  if (!study->draft) return LMOPT_OK;
  if (study->draft->failure.status != LMOPT_OK) *e = study->draft->failure;
  return study->draft->failure.status;
}

/*
** What was taken, and the sampler's places on axes of its own, by which it knows
** where a trial was (grid). A place and a value of one parameter: the place.
*/
static lmopt_status conclude(const lm_study *study, lm_draft *draft, lm_assignments *out, lm_error *e) {
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < draft->joint.count && status == LMOPT_OK; i++)
    if (!draft->joint.items[i].distribution)
      status = lm_assignments_add(study->allocator, out, draft->joint.items[i], e);
  for (size_t i = 0; i < draft->drawn.count && status == LMOPT_OK; i++)
    if (!lm_assignments_find(out, draft->drawn.items[i].column))
      status = lm_assignments_add(study->allocator, out, draft->drawn.items[i], e);
  return status;
}

lmopt_status lm_study_draw_relative(lm_study *study, size_t number, lm_assignments *out, lm_error *e) {
  if (!study->space.draw || !study->sampler) return lm_study_draw_joint(study, number, 0, out, e);
  lm_draft draft;
  memset(&draft, 0, sizeof draft);
  draft.number = number;
  study->draft = &draft;
  lmopt_status status = study->space.draw(study->space.userdata, number, e);
  study->draft = NULL;
  if (status == LMOPT_OK) status = conclude(study, &draft, out, e);
  lm_assignments_free(study->allocator, &draft.joint);
  lm_assignments_free(study->allocator, &draft.drawn);
  return status;
}
