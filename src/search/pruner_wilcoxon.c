/*
** The Wilcoxon pruner: steps are problem instances, and a trial ends when the
** signed-rank test says that it does worse on them than the best trial so far.
** F. Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1
** (1945); the rule around the test is Optuna's.
*/
#include <math.h>
#include <string.h>

#include "math/normal.h"
#include "search/pareto.h"
#include "search/pruner.h"
#include "search/pruner_rank.h"

enum { MOST_EXACT = 50, MOST_EXACT_WITH_TIES = 13 };

/* Ranks times four, so that average ranks and their halves are whole. */
typedef struct signed_ranks {
  size_t count;
  long long *ranks; /* per difference; of a zero half its rank, which counts either way */
  long long plus;   /* the sum of those above 0, and half of the zeros' */
  double ties;      /* sum of t^3 - t over the groups of t equal ones */
  bool tied;        /* two are equal, or one is 0 */
} signed_ranks;

/* `work` has room for 2 * count doubles, `order` for count indices. */
static void rank_differences(signed_ranks *s, const double *differences, double *work, size_t *order) {
  double *sizes = work;
  for (size_t i = 0; i < s->count; i++) sizes[i] = fabs(differences[i]);
  lm_pareto_sort(sizes, 1, order, s->count);
  for (size_t i = 0, end; i < s->count; i = end) {
    for (end = i + 1; end < s->count && sizes[order[end]] == sizes[order[i]];) end++;
    long long average = 2 * (long long)(i + 1 + end); /* 4 * (i + 1 + end) / 2 */
    double group = (double)(end - i);
    s->ties += group * group * group - group;
    s->tied = s->tied || end - i > 1 || sizes[order[i]] == 0;
    for (size_t k = i; k < end; k++) {
      double difference = differences[order[k]];
      s->ranks[k] = difference == 0 ? 0 : average;
      if (difference == 0) s->plus += average / 2;
      if (difference > 0) s->plus += average;
    }
  }
}

/* The share of the 2^n choices of signs whose positive ranks amount to `plus` or more. */
static double exact(const lm_allocator *a, const signed_ranks *s) {
  long long total = 0, target = s->plus, zeros = 0;
  for (size_t i = 0; i < s->count; i++) total += s->ranks[i];
  zeros = 2 * (long long)(s->count * (s->count + 1)) - total; /* four times the ranks of the zeros, which add half */
  target -= zeros / 2;
  double *ways = lm_alloc_zeroed(a, (size_t)(total + 1) * sizeof *ways);
  if (!ways) return NAN;
  ways[0] = 1;
  long long reached = 0;
  for (size_t i = 0; i < s->count; i++) {
    if (s->ranks[i] == 0) continue;
    reached += s->ranks[i];
    for (long long sum = reached; sum >= 0; sum--) {
      ways[sum] = 0.5 * (ways[sum] + (sum >= s->ranks[i] ? ways[sum - s->ranks[i]] : 0));
    }
  }
  double upper = 0;
  for (long long sum = total; sum >= 0 && sum >= target; sum--) upper += ways[sum];
  lm_free(a, ways);
  return upper;
}

static double approximate(const signed_ranks *s) {
  double n = (double)s->count, plus = (double)s->plus / 4;
  double mean = n * (n + 1) * 0.25;
  double variance = (n * (n + 1) * (2 * n + 1) - s->ties / 2) / 24;
  return variance > 0 ? lm_normal_cdf((mean - plus) / sqrt(variance)) : NAN;
}

double lm_wilcoxon_greater(const lm_allocator *a, const double *differences, size_t count) {
  if (count == 0) return NAN;
  double *work = lm_alloc(a, count * sizeof *work);
  size_t *order = lm_alloc(a, count * sizeof *order);
  signed_ranks s = {.count = count, .ranks = lm_alloc(a, count * sizeof *s.ranks)};
  double p = NAN;
  if (work && order && s.ranks) {
    rank_differences(&s, differences, work, order);
    p = count <= (s.tied ? MOST_EXACT_WITH_TIES : MOST_EXACT) ? exact(a, &s) : approximate(&s);
  }
  lm_free(a, s.ranks);
  lm_free(a, order);
  lm_free(a, work);
  return p;
}

typedef struct wilcoxon {
  lm_pruner base;
  double p_threshold;
  size_t n_startup_steps;
  double *differences;
  size_t capacity;
} wilcoxon;

/* The mean of a trial's reports as losses; false: one of them is not finite. */
static bool mean_of(const lm_trials *t, const lm_row *row, double *mean) {
  double sum = 0;
  for (size_t i = 0; i < row->report_count; i++) {
    double loss = lm_pruner_loss(t, row, i, 0);
    if (!isfinite(loss)) return false;
    sum += loss;
  }
  *mean = sum / (double)row->report_count;
  return row->report_count > 0;
}

/* Differences at the steps that both reported. */
static size_t gather(const wilcoxon *p, const lm_trials *t, const lm_row *own, const lm_row *best) {
  size_t count = 0;
  for (size_t i = 0, k = 0; i < own->report_count; i++) {
    while (k < best->report_count && best->reports[k].step < own->reports[i].step) k++;
    if (k == best->report_count) break;
    if (best->reports[k].step != own->reports[i].step) continue;
    p->differences[count++] = lm_pruner_loss(t, own, i, 0) - lm_pruner_loss(t, best, k, 0);
  }
  return count;
}

static bool prune(lm_pruner *base, const lm_view *view) {
  wilcoxon *p = (wilcoxon *)base;
  const lm_trials *t = view->trials;
  const lm_row *own = &t->rows[view->number];
  double mean, best_mean;
  if (t->objectives != 1 || !mean_of(t, own, &mean)) return false;
  long long number = lm_trials_best(t, view);
  if (number < 0 || !mean_of(t, &t->rows[number], &best_mean)) return false;
  if (!lm_grow(base->allocator, &p->differences, &p->capacity, own->report_count, sizeof *p->differences)) return false;
  size_t count = gather(p, t, own, &t->rows[number]);
  if (count < 2 || count < p->n_startup_steps) return false;
  if (best_mean >= mean) return false; /* worse by the test, but not by the mean so far: go on to be sure */
  return lm_wilcoxon_greater(base->allocator, p->differences, count) < p->p_threshold;
}

static void free_wilcoxon(lm_pruner *base) {
  lm_free(base->allocator, ((wilcoxon *)base)->differences);
  lm_free(base->allocator, base);
}

static const lm_pruner_class wilcoxon_class = {"wilcoxon", prune, free_wilcoxon, NULL};

lm_pruner *lm_pruner_wilcoxon(const lm_allocator *a, double p_threshold, int n_startup_steps) {
  wilcoxon *p = lm_alloc_zeroed(a, sizeof *p);
  if (!p) return NULL;
  p->base = (lm_pruner){&wilcoxon_class, a};
  p->p_threshold = p_threshold;
  p->n_startup_steps = n_startup_steps > 0 ? (size_t)n_startup_steps : 0;
  return &p->base;
}
