#include "math/minimize.h"

#include <math.h>
#include <string.h>

enum { MEMORY = 8, MOST_TRIES = 12 };

typedef struct minimizer {
  const lm_minimize_problem *problem;
  size_t count, pairs, next; /* pairs held; where the next one goes */
  double *gradient, *direction, *trial, *trial_gradient;
  double *steps, *changes; /* MEMORY rows */
  double curvature[MEMORY];
  size_t evaluations;
} minimizer;

size_t lm_minimize_workspace(size_t count) { return count * (4 + 2 * MEMORY); }

static double dot(const double *a, const double *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

static double clip(const lm_minimize_problem *p, size_t i, double x) {
  if (p->lower && x < p->lower[i]) return p->lower[i];
  if (p->upper && x > p->upper[i]) return p->upper[i];
  return x;
}

/* Waits at a bound that the gradient presses it against. */
static bool waits(const lm_minimize_problem *p, const double *x, const double *gradient, size_t i) {
  return (p->lower && x[i] <= p->lower[i] && gradient[i] > 0) || (p->upper && x[i] >= p->upper[i] && gradient[i] < 0);
}

static double projected_norm(const minimizer *m, const double *x) {
  double largest = 0;
  for (size_t i = 0; i < m->count; i++) {
    double step = fabs(clip(m->problem, i, x[i] - m->gradient[i]) - x[i]);
    if (!(step <= largest)) largest = step;
  }
  return largest;
}

/* The two-loop recursion, over the variables that do not wait: minus the inverse Hessian times the gradient. */
static void find_direction(minimizer *m, const double *x) {
  size_t n = m->count;
  double weights[MEMORY] = {0}, *d = m->direction;
  for (size_t i = 0; i < n; i++) d[i] = waits(m->problem, x, m->gradient, i) ? 0 : -m->gradient[i];
  for (size_t k = 0; k < m->pairs; k++) {
    size_t at = (m->next + MEMORY - 1 - k) % MEMORY;
    weights[at] = dot(m->steps + at * n, d, n) / m->curvature[at];
    for (size_t i = 0; i < n; i++) d[i] -= weights[at] * m->changes[at * n + i];
  }
  if (m->pairs) {
    size_t last = (m->next + MEMORY - 1) % MEMORY;
    double square = dot(m->changes + last * n, m->changes + last * n, n), scale = m->curvature[last] / square;
    for (size_t i = 0; i < n; i++) d[i] *= scale;
  }
  for (size_t k = m->pairs; k-- > 0;) {
    size_t at = (m->next + MEMORY - 1 - k) % MEMORY;
    double back = dot(m->changes + at * n, d, n) / m->curvature[at];
    for (size_t i = 0; i < n; i++) d[i] += (weights[at] - back) * m->steps[at * n + i];
  }
  for (size_t i = 0; i < n; i++) {
    if (waits(m->problem, x, m->gradient, i)) d[i] = 0;
  }
}

static void remember(minimizer *m, const double *x) {
  size_t n = m->count;
  double *s = m->steps + m->next * n, *y = m->changes + m->next * n;
  for (size_t i = 0; i < n; i++) {
    s[i] = m->trial[i] - x[i];
    y[i] = m->trial_gradient[i] - m->gradient[i];
  }
  double curvature = dot(s, y, n);
  if (!(curvature > 1e-12 * dot(y, y, n)) || !(curvature > 1e-280)) return;
  m->curvature[m->next] = curvature;
  m->next = (m->next + 1) % MEMORY;
  if (m->pairs < MEMORY) m->pairs++;
}

static double evaluate(minimizer *m, const double *x, double *gradient) {
  m->evaluations++;
  return m->problem->function(m->problem->userdata, x, gradient);
}

/* Goes along the projected path until the value has fallen enough (Armijo); false: it never did. */
static bool search(minimizer *m, const double *x, double value, double step, double *found) {
  size_t n = m->count;
  for (int tries = 0; tries < MOST_TRIES && m->evaluations < m->problem->max_evaluations; tries++) {
    double expected = 0, moved = 0;
    for (size_t i = 0; i < n; i++) {
      m->trial[i] = clip(m->problem, i, x[i] + step * m->direction[i]);
      expected += m->gradient[i] * (m->trial[i] - x[i]);
      if (m->trial[i] != x[i]) moved = 1;
    }
    if (moved == 0) return false;
    double there = evaluate(m, m->trial, m->trial_gradient);
    bool finite = isfinite(there);
    if (finite && there <= value + 1e-4 * expected) {
      *found = there;
      return true;
    }
    /* The minimum of the parabola through the value, the slope and the new value, within reason. */
    double shrink = 0.25;
    if (finite && expected < 0) {
      shrink = -expected / (2 * (there - value - expected));
      if (!(shrink > 0.1)) shrink = 0.1;
      if (shrink > 0.5) shrink = 0.5;
    }
    step *= shrink;
  }
  return false;
}

static double first_step(const minimizer *m) {
  if (m->pairs) return 1;
  double norm = sqrt(dot(m->direction, m->direction, m->count));
  return norm > 1 ? 1 / norm : 1;
}

static double descend(minimizer *m, double *x, double value) {
  const lm_minimize_problem *p = m->problem;
  size_t n = m->count;
  int idle = 0;
  while (m->evaluations < p->max_evaluations && projected_norm(m, x) > p->gradient_tolerance) {
    find_direction(m, x);
    double slope = dot(m->direction, m->gradient, n), found;
    bool descent = slope < 0 && isfinite(slope);
    if (!descent || !search(m, x, value, first_step(m), &found)) {
      if (!m->pairs) break; /* not even along the gradient */
      m->pairs = 0;
      continue;
    }
    remember(m, x);
    double gain = value - found;
    memcpy(x, m->trial, n * sizeof *x);
    memcpy(m->gradient, m->trial_gradient, n * sizeof *x);
    value = found;
    idle = gain <= p->value_tolerance * (1 + fabs(value)) ? idle + 1 : 0;
    if (idle == 2) break;
  }
  return value;
}

double lm_minimize(const lm_minimize_problem *p, double *x, double *workspace) {
  size_t n = p->count;
  minimizer m = {.problem = p, .count = n};
  m.gradient = workspace;
  m.direction = m.gradient + n;
  m.trial = m.direction + n;
  m.trial_gradient = m.trial + n;
  m.steps = m.trial_gradient + n;
  m.changes = m.steps + MEMORY * n;
  for (size_t i = 0; i < n; i++) x[i] = clip(p, i, x[i]);
  double value = evaluate(&m, x, m.gradient);
  return isfinite(value) ? descend(&m, x, value) : value;
}
