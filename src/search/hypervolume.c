/*
** Hypervolume and greedy subset selection; papers in pareto.h.
*/
#include <math.h>
#include <string.h>

#include "search/pareto.h"

/* Copies the points strictly inside the reference; returns how many. */
static size_t keep_inside(const double *points, size_t count, size_t m, const double *reference, double *out) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    bool inside = true;
    for (size_t k = 0; k < m; k++) inside = inside && points[i * m + k] < reference[k];
    if (inside) memmove(out + kept++ * m, points + i * m, m * sizeof *out);
  }
  return kept;
}

static double box(const double *point, const double *reference, size_t m) {
  double volume = 1;
  for (size_t k = 0; k < m; k++) volume *= reference[k] - point[k];
  return volume;
}

/* Sorts by one coordinate, ascending, in place (few points; insertion keeps equal ones in order). */
static void sort_rows(double *points, size_t count, size_t m, size_t by) {
  for (size_t i = 1; i < count; i++) {
    for (size_t j = i; j > 0 && points[j * m + by] < points[(j - 1) * m + by]; j--) {
      for (size_t k = 0; k < m; k++) {
        double kept = points[j * m + k];
        points[j * m + k] = points[(j - 1) * m + k];
        points[(j - 1) * m + k] = kept;
      }
    }
  }
}

/* Points sorted by the first coordinate: a sweep. */
static double sweep_2d(const double *points, size_t count, const double *reference) {
  double area = 0, lowest = reference[1];
  for (size_t i = 0; i < count; i++) {
    double y = points[i * 2 + 1];
    if (y >= lowest) continue;
    area += (reference[0] - points[i * 2]) * (lowest - y);
    lowest = y;
  }
  return area;
}

/* Slices along the third coordinate, the staircase of each kept sorted by the first: O(n^2). */
static double slices_3d(double *points, size_t count, const double *reference, double *stairs) {
  sort_rows(points, count, 3, 2);
  double volume = 0, area = 0;
  size_t steps = 0;
  for (size_t i = 0; i < count; i++) {
    const double *p = points + i * 3;
    size_t at = 0;
    while (at < steps && stairs[at * 2] < p[0]) at++;
    memmove(stairs + (at + 1) * 2, stairs + at * 2, (steps - at) * 2 * sizeof *stairs);
    stairs[at * 2] = p[0];
    stairs[at * 2 + 1] = p[1];
    steps++;
    area = sweep_2d(stairs, steps, reference);
    double top = i + 1 < count ? points[(i + 1) * 3 + 2] : reference[2];
    volume += area * (top - p[2]);
  }
  return volume;
}

static size_t drop_dominated(double *points, size_t count, size_t m) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    bool needed = true;
    for (size_t j = 0; j < count && needed; j++) {
      if (j == i) continue;
      bool copy_before = j < i && lm_pareto_same(points + j * m, points + i * m, m);
      needed = !copy_before && !lm_pareto_dominates(points + j * m, points + i * m, m);
    }
    /* Dropping in place would hide points from later tests only if they were dominated: their dominator stays. */
    if (needed) {
      if (kept != i) memcpy(points + kept * m, points + i * m, m * sizeof *points);
      kept++;
    }
  }
  return kept;
}

/* What the first point dominates and the others do not. */
static lmopt_status exclusive(const lm_allocator *a, const double *points, size_t count, size_t m,
                              const double *reference, double *volume);

/* WFG: the sum over the points of what each adds to those after it. Reorders `points`. */
static lmopt_status volume_of(const lm_allocator *a, double *points, size_t count, size_t m, const double *reference,
                              double *volume) {
  *volume = 0;
  if (count == 0) return LMOPT_OK;
  if (m == 1) {
    sort_rows(points, count, 1, 0);
    *volume = reference[0] - points[0];
    return LMOPT_OK;
  }
  if (m == 2) {
    sort_rows(points, count, 2, 0);
    *volume = sweep_2d(points, count, reference);
    return LMOPT_OK;
  }
  if (m == 3) {
    double *stairs = lm_alloc(a, count * 2 * sizeof *stairs);
    if (!stairs) return LMOPT_NO_MEMORY;
    *volume = slices_3d(points, count, reference, stairs);
    lm_free(a, stairs);
    return LMOPT_OK;
  }
  sort_rows(points, count, m, 0);
  for (size_t i = 0; i < count; i++) {
    double added;
    lmopt_status status = exclusive(a, points + i * m, count - i, m, reference, &added);
    if (status) return status;
    *volume += added;
  }
  return LMOPT_OK;
}

static lmopt_status exclusive(const lm_allocator *a, const double *points, size_t count, size_t m,
                              const double *reference, double *volume) {
  *volume = box(points, reference, m);
  if (count < 2) return LMOPT_OK;
  double *limited = lm_alloc(a, (count - 1) * m * sizeof *limited);
  if (!limited) return LMOPT_NO_MEMORY;
  for (size_t i = 1; i < count; i++) {
    for (size_t k = 0; k < m; k++) {
      double x = points[i * m + k];
      limited[(i - 1) * m + k] = x > points[k] ? x : points[k];
    }
  }
  size_t kept = drop_dominated(limited, count - 1, m);
  double shared;
  lmopt_status status = volume_of(a, limited, kept, m, reference, &shared);
  lm_free(a, limited);
  *volume -= shared;
  return status;
}

lmopt_status lm_pareto_hypervolume(const lm_allocator *a, const double *points, size_t count, size_t objectives,
                                   const double *reference, double *volume) {
  *volume = 0;
  if (!count) return LMOPT_OK;
  double *inside = lm_alloc(a, count * objectives * sizeof *inside);
  if (!inside) return LMOPT_NO_MEMORY;
  size_t kept = keep_inside(points, count, objectives, reference, inside);
  bool infinite = false;
  for (size_t i = 0; i < kept * objectives; i++) infinite = infinite || isinf(inside[i]);
  for (size_t k = 0; k < objectives && kept; k++) infinite = infinite || isinf(reference[k]);
  lmopt_status status = LMOPT_OK;
  if (infinite) {
    *volume = INFINITY;
  } else {
    if (objectives > 3) kept = drop_dominated(inside, kept, objectives);
    status = volume_of(a, inside, kept, objectives, reference, volume);
  }
  lm_free(a, inside);
  return status;
}

/* --- greedy selection --- */

/* Two objectives: what a point adds is a rectangle between its nearest chosen neighbours. */
static void select_2d(const double *points, size_t *unique, size_t count, const double *reference, size_t wanted,
                      double *corners, size_t *selected) {
  for (size_t i = 0; i < count; i++) {
    corners[i * 2] = reference[0];
    corners[i * 2 + 1] = reference[1];
  }
  for (size_t k = 0; k < wanted; k++) {
    size_t best = SIZE_MAX;
    double best_area = 0;
    for (size_t i = 0; i < count; i++) {
      if (unique[i] == SIZE_MAX) continue;
      const double *p = points + unique[i] * 2;
      double area = (corners[i * 2] - p[0]) * (corners[i * 2 + 1] - p[1]);
      if (best == SIZE_MAX || area > best_area) {
        best = i;
        best_area = area;
      }
    }
    const double *p = points + unique[best] * 2;
    selected[k] = unique[best];
    for (size_t i = 0; i < best; i++) corners[i * 2] = p[0] < corners[i * 2] ? p[0] : corners[i * 2];
    for (size_t i = best + 1; i < count; i++)
      corners[i * 2 + 1] = p[1] < corners[i * 2 + 1] ? p[1] : corners[i * 2 + 1];
    unique[best] = SIZE_MAX;
  }
}

/* What points[index] adds to the chosen ones; `work` holds chosen + 1 points. */
static lmopt_status gain(const lm_allocator *a, const double *points, size_t m, size_t index, const size_t *chosen,
                         size_t chosen_count, const double *reference, double *work, double *volume) {
  memcpy(work, points + index * m, m * sizeof *work);
  for (size_t i = 0; i < chosen_count; i++) memcpy(work + (i + 1) * m, points + chosen[i] * m, m * sizeof *work);
  size_t kept = keep_inside(work, chosen_count + 1, m, reference, work);
  if (!kept || !lm_pareto_same(work, points + index * m, m)) {
    *volume = 0;
    return LMOPT_OK;
  }
  return exclusive(a, work, kept, m, reference, volume);
}

/* Lazy greedy: what a point adds never grows, so an old figure below a fresh one need not be computed again. */
static lmopt_status select_lazily(const lm_allocator *a, const double *points, size_t m, size_t *unique, size_t count,
                                  const double *reference, size_t wanted, double *work, size_t *selected) {
  double *bounds = work + (wanted + 1) * m;
  for (size_t i = 0; i < count; i++) bounds[i] = INFINITY;
  for (size_t k = 0; k < wanted; k++) {
    size_t best = SIZE_MAX;
    double best_gain = -INFINITY;
    for (;;) {
      size_t next = SIZE_MAX; /* the largest bound that was not computed in this round */
      for (size_t i = 0; i < count; i++) {
        if (unique[i] == SIZE_MAX || signbit(bounds[i])) continue;
        if (next == SIZE_MAX || bounds[i] > bounds[next]) next = i;
      }
      if (next == SIZE_MAX || bounds[next] < best_gain) break;
      double fresh;
      lmopt_status status = gain(a, points, m, unique[next], selected, k, reference, work, &fresh);
      if (status) return status;
      if (!(fresh > 0)) fresh = 0; /* rounding; or volumes that overflow, whose difference is no number */
      if (fresh > best_gain || (fresh == best_gain && next < best)) {
        best = next;
        best_gain = fresh;
      }
      bounds[next] = -fresh; /* the sign marks it as fresh */
    }
    selected[k] = unique[best];
    unique[best] = SIZE_MAX;
    for (size_t i = 0; i < count; i++) bounds[i] = fabs(bounds[i]);
  }
  return LMOPT_OK;
}

lmopt_status lm_pareto_select(const lm_allocator *a, const double *points, size_t count, size_t objectives,
                              const double *reference, size_t wanted, size_t *selected) {
  if (wanted > count) wanted = count;
  bool finite = true;
  for (size_t k = 0; k < objectives; k++) finite = finite && isfinite(reference[k]);
  if (wanted == count || !finite) {
    for (size_t i = 0; i < wanted; i++) selected[i] = i;
    return LMOPT_OK;
  }
  size_t *order = lm_alloc(a, count * 2 * sizeof *order);
  double *work = lm_alloc(a, ((wanted + 1) * objectives + count * 2) * sizeof *work);
  lmopt_status status = order && work ? LMOPT_OK : LMOPT_NO_MEMORY;
  if (!status) {
    size_t *copies = order + count, unique = 0, copy_count = 0;
    lm_pareto_sort(points, objectives, copies, count);
    for (size_t i = 0; i < count; i++) {
      bool copy = unique &&
                  lm_pareto_same(points + order[unique - 1] * objectives, points + copies[i] * objectives, objectives);
      if (copy) {
        copies[copy_count++] = copies[i];
      } else {
        order[unique++] = copies[i];
      }
    }
    size_t greedy = wanted < unique ? wanted : unique;
    if (greedy == unique) {
      memcpy(selected, order, unique * sizeof *order);
    } else if (objectives == 2) {
      select_2d(points, order, unique, reference, greedy, work, selected);
    } else {
      status = select_lazily(a, points, objectives, order, unique, reference, greedy, work, selected);
    }
    /* Index order among the copies. */
    for (size_t k = greedy; k < wanted; k++) {
      size_t least = k - greedy;
      for (size_t i = least + 1; i < copy_count; i++) least = copies[i] < copies[least] ? i : least;
      size_t kept = copies[least];
      copies[least] = copies[k - greedy];
      copies[k - greedy] = kept;
      selected[k] = kept;
    }
  }
  lm_free(a, work);
  lm_free(a, order);
  return status;
}
