#include "search/structured.h"

#include <math.h>
#include <string.h>

size_t lm_structure_most(const lm_part *part, size_t count) { return part->most < count ? part->most : count; }

size_t lm_structure_least(const lm_part *part, size_t count) {
  size_t most = lm_structure_most(part, count);
  return part->least < most ? part->least : most;
}

/* --- counting --- */

static double binomial(size_t n, size_t k) {
  if (k > n) return 0;
  if (k > n - k) k = n - k;
  double result = 1;
  for (size_t i = 1; i <= k; i++) { /* each step is a binomial coefficient itself: exact below 2^53 */
    result = result * (double)(n - k + i) / (double)i;
    if (result < 0x1p53) result = floor(result + 0.5);
  }
  return result;
}

/* How many subsets of n items have from `least` to `most`. */
static double count_subsets(size_t n, size_t least, size_t most) {
  double sum = 0;
  for (size_t k = least; k <= most && k <= n; k++) sum += binomial(n, k);
  return sum;
}

static double factorial(size_t n) {
  double result = 1;
  for (size_t i = 2; i <= n && isfinite(result); i++) result *= (double)i;
  return result;
}

double lm_structure_count(const lm_part *part, size_t count) {
  if (part->structure == LM_PERMUTATION) return factorial(count);
  return count_subsets(count, lm_structure_least(part, count), lm_structure_most(part, count));
}

/* How many ways the items from `at` on have, when `chosen` are there already. */
static double ways(const lm_part *part, size_t count, size_t at, size_t chosen) {
  size_t least = lm_structure_least(part, count), most = lm_structure_most(part, count);
  if (chosen > most) return 0;
  return count_subsets(count - at, least > chosen ? least - chosen : 0, most - chosen);
}

static double subset_rank(const lm_part *part, const double *values, size_t count) {
  double rank = 0;
  size_t chosen = 0;
  for (size_t i = 0; i < count; i++) {
    if (!(values[i] > 0.5)) continue;
    rank += ways(part, count, i + 1, chosen); /* those that leave the item out come first */
    chosen++;
  }
  return rank;
}

static void subset_unrank(const lm_part *part, double rank, double *values, size_t count) {
  size_t chosen = 0;
  for (size_t i = 0; i < count; i++) {
    double without = ways(part, count, i + 1, chosen);
    values[i] = rank >= without;
    if (rank < without) continue;
    rank -= without;
    chosen++;
  }
}

/* The Lehmer code: item by item, how many later items come before it. */
static double permutation_rank(const double *values, size_t count) {
  double rank = 0;
  for (size_t i = 0; i < count; i++) {
    double before = 0;
    for (size_t k = i + 1; k < count; k++) before += values[k] < values[i];
    rank = rank * (double)(count - i) + before;
  }
  return rank;
}

static void permutation_unrank(double rank, double *values, size_t count) {
  for (size_t i = count; i-- > 0;) { /* digits, the last first; later items make room */
    double base = (double)(count - i), rest = floor(rank / base);
    double position = rank - rest * base;
    rank = rest;
    for (size_t k = i + 1; k < count; k++) values[k] += values[k] >= position;
    values[i] = position;
  }
  for (size_t i = 0; i < count; i++) values[i] = lm_structure_key((size_t)values[i], count);
}

double lm_structure_rank(const lm_part *part, const double *values, size_t count) {
  return part->structure == LM_SUBSET ? subset_rank(part, values, count) : permutation_rank(values, count);
}

void lm_structure_unrank(const lm_part *part, double rank, double *values, size_t count) {
  if (part->structure == LM_SUBSET) {
    subset_unrank(part, rank, values, count);
  } else {
    permutation_unrank(rank, values, count);
  }
}

/* --- drawing --- */

/* Selection sampling: D. E. Knuth, The Art of Computer Programming, volume 2, algorithm 3.4.2 S. */
void lm_structure_choose(lm_rng *rng, size_t chosen, double *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    values[i] = lm_rng_below(rng, count - i) < chosen;
    chosen -= values[i] > 0;
  }
}

/* The size of a subset that is drawn uniformly; binomial coefficients are kept in range by a common factor. */
static size_t draw_size(lm_rng *rng, size_t least, size_t most, size_t count) {
  size_t size = least;
  double weight = 1, sum = 0;
  for (size_t k = least; k <= most; k++) {
    sum += weight;
    if (lm_rng_uniform(rng) * sum < weight) size = k;
    weight = weight * (double)(count - k) / (double)(k + 1);
    if (weight < 1e250) continue;
    weight *= 1e-250;
    sum *= 1e-250;
  }
  return size;
}

static void shuffle(lm_rng *rng, double *values, size_t count) {
  for (size_t i = 0; i < count; i++) {
    size_t k = (size_t)lm_rng_below(rng, i + 1);
    values[i] = values[k];
    values[k] = lm_structure_key(i, count);
  }
}

void lm_structure_draw(const lm_part *part, lm_rng *rng, double *values, size_t count) {
  if (part->structure == LM_PERMUTATION) {
    shuffle(rng, values, count);
    return;
  }
  size_t size = draw_size(rng, lm_structure_least(part, count), lm_structure_most(part, count), count);
  lm_structure_choose(rng, size, values, count);
}

/* Makes `change` of the items that are `from` into what they are not; kept ones only when `all`. */
static size_t flip(lm_rng *rng, double from, size_t change, const bool *kept, bool all, double *values, size_t count) {
  size_t open = 0;
  for (size_t i = 0; i < count; i++) open += values[i] == from && (all || !kept || !kept[i]);
  for (size_t i = 0; i < count && change > 0; i++) {
    if (values[i] != from || (!all && kept && kept[i])) continue;
    if (lm_rng_below(rng, open--) >= change) continue;
    values[i] = 1 - from;
    change--;
  }
  return change;
}

void lm_structure_repair(const lm_part *part, lm_rng *rng, const bool *kept, double *values, size_t count) {
  if (part->structure == LM_PERMUTATION) {
    lm_structure_positions(values, values, count);
    for (size_t i = 0; i < count; i++) values[i] = lm_structure_key((size_t)values[i], count);
    return;
  }
  size_t chosen = 0, least = lm_structure_least(part, count), most = lm_structure_most(part, count);
  for (size_t i = 0; i < count; i++) chosen += (values[i] = values[i] > 0.5) > 0;
  size_t change = chosen < least ? least - chosen : chosen > most ? chosen - most : 0;
  double from = chosen < least ? 0 : 1;
  change = flip(rng, from, change, kept, false, values, count);
  flip(rng, from, change, kept, true, values, count);
}

/* --- orders --- */

/* How many keys come before that of `item`. */
static double position_of(const double *keys, size_t item, size_t count) {
  double key = keys[item], before = 0;
  for (size_t i = 0; i < item; i++) before += keys[i] <= key;
  for (size_t i = item + 1; i < count; i++) before += keys[i] < key;
  return before;
}

void lm_structure_positions(const double *keys, double *positions, size_t count) {
  enum { AT_ONCE = 512 };
  double done[AT_ONCE];
  if (keys != positions) {
    for (size_t i = 0; i < count; i++) positions[i] = position_of(keys, i, count);
  } else if (count <= AT_ONCE) {
    for (size_t i = 0; i < count; i++) done[i] = position_of(keys, i, count);
    memcpy(positions, done, count * sizeof *done);
  } else { /* in place: positions are put where no key is, below 0, until all are known */
    for (size_t rank = 0; rank < count; rank++) {
      size_t next = count;
      for (size_t i = 0; i < count; i++)
        if (positions[i] >= 0 && (next == count || positions[i] < positions[next])) next = i;
      positions[next] = -1 - (double)rank;
    }
    for (size_t i = 0; i < count; i++) positions[i] = -1 - positions[i];
  }
}

lm_rng lm_structure_stream(const lm_view *view, const char *purpose, const lm_part *part) {
  uint64_t seed = view->seed ^ lm_hash(part->variable, strlen(part->variable));
  return lm_rng_stream(seed, view->number, purpose);
}
