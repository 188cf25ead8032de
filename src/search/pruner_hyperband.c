/*
** Hyperband: successive halving in several brackets, which begin to prune at
** different steps. L. Li et al., "Hyperband: a novel bandit-based approach to
** hyperparameter optimization", JMLR 18 (2018), in the form Optuna gives it: a
** trial's bracket follows from the study's name and the trial's number, in the
** shares of the paper's budgets, and the sampler of a trial learns from the
** trials of its bracket alone, whose last steps can be compared.
*/
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "search/pruner.h"
#include "search/pruner_halving.h"
#include "search/pruner_rank.h"

enum { MOST_BRACKETS = 54 };
static const long long MOST_RESOURCE = 1LL << 53;

typedef struct hyperband {
  lm_pruner base;
  lm_hyperband_options options;
  lm_rungs rungs;
  uint32_t name; /* CRC-32 of the study's name and an underscore, not finished */
  const lm_trials *trials;
  double birth;
  unsigned long long edits;
  size_t looked;
  long long row; /* whose last step is the resource; -1: not found */
  /* For one number of brackets: */
  size_t brackets;
  uint64_t budgets[MOST_BRACKETS], total;
} hyperband;

void lm_hyperband_options_default(lm_hyperband_options *o) { *o = (lm_hyperband_options){1, 0, 3, 0}; }

/* CRC-32 as zlib and Python's binascii have it (ISO 3309). */
static uint32_t add_to_crc(uint32_t crc, const char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) {
    crc ^= (unsigned char)bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
  }
  return crc;
}

/* The largest resource, 0 while nothing says it. Once found it stays, as long as no finished trial changes. */
static long long find_resource(hyperband *p, const lm_view *view) {
  const lm_trials *t = view->trials;
  if (p->options.max_resource > 0) return p->options.max_resource;
  if (p->trials != t || p->birth != t->birth || p->edits != t->edits) {
    p->looked = 0;
    p->row = -1;
  }
  p->trials = t;
  p->birth = t->birth;
  p->edits = t->edits;
  lm_view whole = *view;
  whole.scope = (lm_view_scope){0};
  if (p->row < 0) p->row = lm_pruner_first_reporter(&whole, &p->looked);
  if (p->row < 0 || lm_view_state(&whole, (size_t)p->row) != LM_COMPLETE) return 0;
  const lm_row *row = &t->rows[p->row];
  return row->reports[row->report_count - 1].step + 1;
}

/* Bracket b has the share ceil(brackets * eta^s / (s + 1)) of the trials, s = brackets - 1 - b. */
static void share_out(hyperband *p, size_t brackets) {
  if (p->brackets == brackets) return;
  p->brackets = brackets;
  p->total = 0;
  uint64_t power = 1;
  for (size_t s = 0; s < brackets; s++) {
    uint64_t budget = (brackets * power + s) / (s + 1);
    p->budgets[brackets - 1 - s] = budget;
    p->total += budget;
    power *= (uint64_t)p->options.reduction_factor;
  }
}

size_t lm_hyperband_brackets(lm_pruner *base, const lm_view *view) {
  hyperband *p = (hyperband *)base;
  long long resource = find_resource(p, view), at = p->options.min_resource;
  if (resource > MOST_RESOURCE) resource = MOST_RESOURCE;
  size_t brackets = 1;
  while (at <= resource / p->options.reduction_factor && brackets < MOST_BRACKETS) {
    at *= p->options.reduction_factor;
    brackets++;
  }
  return resource > 0 ? brackets : 0;
}

static size_t bracket_of(const hyperband *p, size_t row) {
  if (p->brackets < 2) return 0;
  char digits[24];
  int size = snprintf(digits, sizeof digits, "%zu", row);
  uint64_t place = (add_to_crc(p->name, digits, (size_t)size) ^ UINT32_MAX) % p->total;
  size_t bracket = 0;
  while (place >= p->budgets[bracket]) place -= p->budgets[bracket++];
  return bracket;
}

size_t lm_hyperband_bracket(lm_pruner *base, const lm_view *view, long long number) {
  hyperband *p = (hyperband *)base;
  size_t brackets = lm_hyperband_brackets(base, view);
  share_out(p, brackets > 0 ? brackets : 1);
  return bracket_of(p, (size_t)number);
}

static bool shows(const lm_view_scope *scope, size_t row) {
  return (long long)bracket_of(scope->context, row) == scope->from;
}

static lm_view_scope scope(lm_pruner *base, const lm_view *view) {
  hyperband *p = (hyperband *)base;
  long long bracket = (long long)lm_hyperband_bracket(base, view, view->number);
  if (p->brackets < 2) return (lm_view_scope){0};
  return (lm_view_scope){
      .id = lm_mix((uint64_t)p->brackets * 64 + (uint64_t)bracket + 1), .shows = shows, .context = p, .from = bracket};
}

static bool prune(lm_pruner *base, const lm_view *view) {
  hyperband *p = (hyperband *)base;
  if (lm_hyperband_brackets(base, view) == 0) return false;
  lm_view seen = *view;
  seen.scope = scope(base, view);
  p->rungs.rate = (int)lm_hyperband_bracket(base, view, view->number);
  return lm_rungs_prune(&p->rungs, &seen);
}

static void free_hyperband(lm_pruner *base) {
  lm_free(base->allocator, ((hyperband *)base)->rungs.values);
  lm_free(base->allocator, base);
}

static const lm_pruner_class hyperband_class = {"hyperband", prune, free_hyperband, scope};

lm_pruner *lm_pruner_hyperband(const lm_allocator *a, const lm_hyperband_options *o, const char *study_name) {
  hyperband *p = lm_alloc_zeroed(a, sizeof *p);
  if (!p) return NULL;
  p->base = (lm_pruner){&hyperband_class, a};
  p->options = *o;
  if (p->options.min_resource < 1) p->options.min_resource = 1;
  if (p->options.reduction_factor < 2) p->options.reduction_factor = 2;
  p->rungs = (lm_rungs){a, p->options.min_resource, p->options.reduction_factor, 0, o->bootstrap_count, NULL, 0};
  p->name = add_to_crc(add_to_crc(UINT32_MAX, study_name, strlen(study_name)), "_", 1);
  p->row = -1;
  return &p->base;
}
