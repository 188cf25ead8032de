#include "math/distribution.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "math/elementary.h"

/* Doubles hold every integer up to here. */
#define INTEGER_LIMIT 0x1p53

/* The nearest short decimal, if it is next to `x`: 0.30000000000000004 becomes 0.3. */
static double tidy(double x) {
  double short_decimal = lm_number_tidy(x);
  return fabs(short_decimal - x) <= 1e-15 * fabs(x) ? short_decimal : x;
}

/* "low (0.5) is not an integer" */
static lmopt_status complain(lm_error *e, const char *what, double value, const char *problem) {
  char text[LM_NUMBER_SIZE];
  lm_number_write(value, text);
  return lm_fail(e, LMOPT_MISUSE, "%s (%s) %s", what, text, problem);
}

static lmopt_status complain_of_both(const lm_distribution *d, lm_error *e) {
  char low[LM_NUMBER_SIZE], high[LM_NUMBER_SIZE];
  lm_number_write(d->low, low);
  lm_number_write(d->high, high);
  if (d->low > d->high) return lm_fail(e, LMOPT_MISUSE, "low (%s) is above high (%s)", low, high);
  return lm_fail(e, LMOPT_MISUSE, "the range from low (%s) to high (%s) is too wide", low, high);
}

static lmopt_status check_numbers(const lm_distribution *d, lm_error *e) {
  if (!isfinite(d->low)) return complain(e, "low", d->low, "is not a finite number");
  if (!isfinite(d->high)) return complain(e, "high", d->high, "is not a finite number");
  if (d->low > d->high || !isfinite(d->high - d->low)) return complain_of_both(d, e);
  if (!isfinite(d->step) || d->step < 0) return complain(e, "step", d->step, "is not a positive number");
  if (d->kind == LM_INTEGER) {
    if (d->low != floor(d->low)) return complain(e, "low", d->low, "is not an integer");
    if (d->high != floor(d->high)) return complain(e, "high", d->high, "is not an integer");
    if (fabs(d->low) > INTEGER_LIMIT) return complain(e, "low", d->low, "is beyond what integers can be, 2^53");
    if (fabs(d->high) > INTEGER_LIMIT) return complain(e, "high", d->high, "is beyond what integers can be, 2^53");
    if (d->step < 1 || d->step != floor(d->step)) return complain(e, "step", d->step, "is not a positive integer");
    if (d->log && d->low < 1) return complain(e, "low", d->low, "must be at least 1 with log");
    if (d->log && d->step != 1) return complain(e, "step", d->step, "can't be used with log");
  } else {
    if (d->log && d->low <= 0) return complain(e, "low", d->low, "must be above 0 with log");
    if (d->log && d->step != 0) return complain(e, "step", d->step, "can't be used with log");
  }
  return LMOPT_OK;
}

lmopt_status lm_distribution_check(lm_distribution *d, lm_error *e) {
  if (d->kind == LM_CATEGORICAL) {
    if (d->count == 0 || !d->choices) return lm_fail(e, LMOPT_MISUSE, "choices is empty");
    d->low = 0;
    d->high = (double)(d->count - 1);
    d->step = 0;
    d->log = false;
    return LMOPT_OK;
  }
  lmopt_status status = check_numbers(d, e);
  if (status) return status;
  d->count = 0;
  d->choices = NULL;
  if (d->step > 0) {
    /* 1 - 0.9 is not quite 0.1: a quotient next to an integer is that integer. */
    double steps = (d->high - d->low) / d->step;
    double nearest = floor(steps + 0.5);
    if (fabs(steps - nearest) > 1e-8) d->high = d->low + floor(steps) * d->step;
    if (d->kind == LM_FLOAT && fabs(steps - nearest) > 1e-8) d->high = tidy(d->high);
  }
  return LMOPT_OK;
}

static bool same_double(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

static bool same_choices(const lm_distribution *a, const lm_distribution *b) {
  if (!a->choices || !b->choices) return a->choices == b->choices;
  return a->count == b->count && strcmp(a->choices, b->choices) == 0;
}

bool lm_distribution_same_range(const lm_distribution *a, const lm_distribution *b) {
  return a->kind == b->kind && a->log == b->log && same_double(a->low, b->low) && same_double(a->high, b->high) &&
         same_double(a->step, b->step) && same_choices(a, b);
}

bool lm_part_together(const lm_part *a, const lm_part *b) {
  if (a == b) return true;
  return a && b && a->structure == b->structure && a->least == b->least && a->most == b->most &&
         strcmp(a->variable, b->variable) == 0;
}

static bool same_part(const lm_part *a, const lm_part *b) {
  return a == b || (lm_part_together(a, b) && strcmp(a->item, b->item) == 0);
}

bool lm_distribution_equal(const lm_distribution *a, const lm_distribution *b) {
  return a == b || (lm_distribution_same_range(a, b) && same_part(a->part, b->part));
}

lm_part *lm_part_copy(const lm_allocator *a, const lm_part *part) {
  if (!part) return NULL;
  size_t variable = strlen(part->variable) + 1, item = strlen(part->item) + 1;
  lm_part *copy = lm_alloc(a, sizeof *copy + variable + item);
  if (!copy) return NULL;
  char *texts = (char *)(copy + 1);
  memcpy(texts, part->variable, variable);
  memcpy(texts + variable, part->item, item);
  *copy = *part;
  copy->variable = texts;
  copy->item = texts + variable;
  return copy;
}

lm_distribution lm_part_distribution(const lm_part *part) {
  if (part->structure == LM_PERMUTATION) return (lm_distribution){.kind = LM_FLOAT, .high = 1, .part = part};
  return (lm_distribution){.kind = LM_CATEGORICAL, .high = 1, .count = 2, .choices = "[false, true]", .part = part};
}

static const char *kind_name(lm_kind kind) {
  return kind == LM_FLOAT ? "a float" : kind == LM_INTEGER ? "an integer" : "categorical";
}

lmopt_status lm_distribution_compatible(const lm_distribution *old, const lm_distribution *new, lm_error *e) {
  if (old->kind != new->kind) {
    return lm_fail(e, LMOPT_MISUSE, "it was %s in this study and is now %s", kind_name(old->kind),
                   kind_name(new->kind));
  }
  if (old->log != new->log) {
    return lm_fail(e, LMOPT_MISUSE, "it was %s log in this study and is now %s", old->log ? "with" : "without",
                   new->log ? "with" : "without");
  }
  if (!same_choices(old, new)) {
    return lm_fail(e, LMOPT_MISUSE, "its choices were %.200s in this study and are now %.200s", old->choices,
                   new->choices);
  }
  return LMOPT_OK;
}

bool lm_distribution_contains(const lm_distribution *d, double x) {
  if (!(x >= d->low && x <= d->high)) return false;
  if (d->kind == LM_CATEGORICAL) return x == floor(x);
  if (d->step == 0) return true;
  double steps = (x - d->low) / d->step;
  if (d->kind == LM_INTEGER) return x == floor(x) && steps == floor(steps);
  return fabs(steps - floor(steps + 0.5)) < 1e-8;
}

bool lm_distribution_single(const lm_distribution *d) {
  if (d->kind == LM_CATEGORICAL) return d->count == 1;
  return d->low == d->high;
}

void lm_distribution_range(const lm_distribution *d, double *low, double *high) {
  *low = d->low - d->step / 2;
  *high = d->high + d->step / 2;
  if (d->log) {
    *low = lm_log(*low);
    *high = lm_log(*high);
  }
}

double lm_distribution_to_range(const lm_distribution *d, double internal) {
  return d->log ? lm_log(internal) : internal;
}

double lm_distribution_from_range(const lm_distribution *d, double position) {
  double x = d->log ? lm_exp(position) : position;
  if (d->step > 0) x = d->low + floor((x - d->low) / d->step + 0.5) * d->step;
  if (!(x > d->low)) return d->low;
  return x < d->high ? x : d->high;
}

static bool write_number(const lm_distribution *d, lm_buffer *out, double x) {
  return d->kind == LM_INTEGER ? lm_buffer_add_json_integer(out, (long long)x) : lm_buffer_add_json_double(out, x);
}

/* Ends the object; Optuna reads the name and the attributes, and nothing else. */
static bool write_end(const lm_part *part, lm_buffer *out) {
  if (!part) return lm_buffer_add_char(out, '}') && out->status == LMOPT_OK;
  bool subset = part->structure == LM_SUBSET;
  lm_buffer_add_text(out, subset ? ", \"lmopt\": {\"subset\": " : ", \"lmopt\": {\"permutation\": ");
  lm_buffer_add_json_string(out, part->variable, strlen(part->variable));
  lm_buffer_add_text(out, ", \"item\": ");
  lm_buffer_add_text(out, part->item);
  if (subset) {
    lm_buffer_add_text(out, ", \"min\": ");
    lm_buffer_add_json_integer(out, part->least);
  }
  if (subset && part->most != UINT32_MAX) {
    lm_buffer_add_text(out, ", \"max\": ");
    lm_buffer_add_json_integer(out, part->most);
  }
  return lm_buffer_add_text(out, "}}") && out->status == LMOPT_OK;
}

/* The order of the keys is Optuna's: files are compared as text. */
bool lm_distribution_write(const lm_distribution *d, lm_buffer *out) {
  if (d->kind == LM_CATEGORICAL) {
    lm_buffer_add_text(out, "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": ");
    lm_buffer_add_text(out, d->choices);
    lm_buffer_add_char(out, '}');
    return write_end(d->part, out);
  }
  const char *log = d->log ? "true" : "false";
  bool integer = d->kind == LM_INTEGER;
  lm_buffer_add_text(out, integer ? "{\"name\": \"IntDistribution\", \"attributes\": {\"log\": "
                                  : "{\"name\": \"FloatDistribution\", \"attributes\": {\"step\": ");
  if (integer) {
    lm_buffer_add_text(out, log);
    lm_buffer_add_text(out, ", \"step\": ");
    write_number(d, out, d->step);
  } else if (d->step > 0) {
    write_number(d, out, d->step);
  } else {
    lm_buffer_add_text(out, "null");
  }
  lm_buffer_add_text(out, ", \"low\": ");
  write_number(d, out, d->low);
  lm_buffer_add_text(out, ", \"high\": ");
  write_number(d, out, d->high);
  if (!integer) {
    lm_buffer_add_text(out, ", \"log\": ");
    lm_buffer_add_text(out, log);
  }
  lm_buffer_add_char(out, '}');
  return write_end(d->part, out);
}
