/*
** fANOVA: F. Hutter, H. Hoos, K. Leyton-Brown, "An efficient approach for assessing
** hyperparameter importance", ICML 2014: the share of a random forest's variance
** that one parameter alone explains, exact for the forest.
**
** Numbers are placed in [0, 1] of their range (logarithmic where it is), categories
** are split into sets. A parameter that some rows lack splits only nodes whose rows
** all have it, below the split that decides about it: its share is that of its
** effect where it exists, and who decides keeps the rest.
**
** A tree is never kept: what a leaf adds to the marginals is noted when it is made.
*/
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "search/importance.h"

enum { WORD = 64 };

/* Losses are within [-1, 1]: less than this, a row, is what rounding leaves over of sums that are equal. */
static const double NO_GAIN = 1e-24;

void lm_fanova_options_default(lm_fanova_options *o) { *o = (lm_fanova_options){64, 64, 0}; }

typedef struct feature {
  lm_column *column;
  bool categorical, partial; /* partial: some rows lack it */
  size_t categories, words;  /* words: of a set of categories */
  double low, width;
  uint32_t *order; /* rows by value, those without it last; cut into the nodes' parts */
  double *values;  /* per row: the place, or the category; NaN: none */
  /* What the leaves add to the marginal: by place, and the total of those that are not restricted in this feature. */
  struct event {
    double at, change;
  } * events;
  size_t event_count, event_capacity;
  double *per_category, restricted;
  /* The current node's box. */
  double box_low, box_high;
  uint64_t *box;
  size_t box_count;
  bool is_restricted;
  double sum; /* of the shares of the variance */
} feature;

typedef struct forest {
  const lm_allocator *allocator;
  feature *features;
  size_t feature_count, count;
  double *losses;    /* per row */
  uint32_t *weights; /* how often the tree has the row */
  bool *left;        /* per row: the side it falls on */
  uint32_t *scratch;
  struct bin {
    double sum, weight;
    size_t category;
  } * bins;
  int max_depth;
  size_t first; /* the feature that is looked at first; ties go to it */
  double mean, square;
  lmopt_status status;
} forest;

typedef struct split {
  size_t feature;
  double gain, threshold;
  size_t left_bins; /* categorical: so many of the sorted bins */
} split;

/* --- the data --- */

static double place(const feature *f, double value) {
  if (f->categorical) return value;
  const lm_distribution *d = f->column->latest;
  return f->width > 0 ? (lm_distribution_to_range(d, value) / 2 - f->low) / f->width : 0.5;
}

/* The range over all rows: bounds may have grown. False: nothing to explain with. */
static bool describe(feature *f, lm_column *c, const uint32_t *rows, size_t count) {
  *f = (feature){.column = c};
  double least = INFINITY, most = -INFINITY;
  bool several = false;
  size_t having = 0;
  for (size_t i = 0; i < count; i++) {
    const lm_distribution *d = lm_column_distribution(c, rows[i]);
    if (!d) continue;
    double low = 0, high = 0;
    having++;
    several = several || !lm_distribution_single(d);
    f->categorical = d->kind == LM_CATEGORICAL;
    if (f->categorical) {
      if (d->count > f->categories) f->categories = d->count;
      continue;
    }
    lm_distribution_range(d, &low, &high);
    least = fmin(least, low);
    most = fmax(most, high);
  }
  f->partial = having < count;
  f->low = least / 2; /* halves: the widest ranges are wider than numbers go */
  f->width = most / 2 - least / 2;
  f->words = (f->categories + WORD - 1) / WORD;
  return having > 0 && several;
}

static bool lacks(const feature *f, uint32_t row) { return isnan(f->values[row]); }

static bool comes_later(const feature *f, uint32_t a, uint32_t b) {
  if (lacks(f, a) || lacks(f, b)) return lacks(f, a) && (!lacks(f, b) || a > b);
  return f->values[a] > f->values[b] || (f->values[a] == f->values[b] && a > b);
}

static void sift_down(const feature *f, uint32_t *rows, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && comes_later(f, rows[child + 1], rows[child])) child++;
    if (!comes_later(f, rows[child], rows[root])) return;
    uint32_t kept = rows[root];
    rows[root] = rows[child];
    rows[child] = kept;
  }
}

static void sort_rows(const feature *f, uint32_t *rows, size_t count) {
  for (size_t i = count / 2; i-- > 0;) sift_down(f, rows, i, count);
  for (size_t end = count; end > 1;) {
    uint32_t kept = rows[0];
    rows[0] = rows[--end];
    rows[end] = kept;
    sift_down(f, rows, 0, end);
  }
}

static bool prepare(forest *o, feature *f, const uint32_t *rows) {
  const lm_allocator *a = o->allocator;
  f->order = lm_alloc(a, 2 * o->count * sizeof *f->order); /* sorted once, and the copy that a tree cuts up */
  f->values = lm_alloc(a, o->count * sizeof *f->values);
  f->per_category = lm_alloc(a, (f->categories + 1) * sizeof *f->per_category);
  f->box = lm_alloc(a, (f->words + 1) * sizeof *f->box);
  if (!f->order || !f->values || !f->per_category || !f->box) return false;
  for (uint32_t i = 0; i < o->count; i++) {
    bool has = lm_column_distribution(f->column, rows[i]) != NULL;
    f->values[i] = has ? place(f, f->column->values[rows[i]]) : NAN;
    f->order[i] = i;
  }
  sort_rows(f, f->order, o->count);
  return true;
}

/* --- splits --- */

static double gain_of(double left_sum, double left_weight, double sum, double weight) {
  double right_sum = sum - left_sum, right_weight = weight - left_weight;
  return left_sum * left_sum / left_weight + right_sum * right_sum / right_weight - sum * sum / weight;
}

static void split_number(const forest *o, size_t index, const uint32_t *rows, size_t count, double sum, double weight,
                         split *best) {
  const feature *f = &o->features[index];
  double left_sum = 0, left_weight = 0;
  for (size_t i = 0; i + 1 < count; i++) {
    double w = o->weights[rows[i]], here = f->values[rows[i]], next = f->values[rows[i + 1]];
    left_sum += w * o->losses[rows[i]];
    left_weight += w;
    if (!(next > here)) continue;
    double gain = gain_of(left_sum, left_weight, sum, weight);
    double middle = here + (next - here) / 2;
    if (gain > best->gain) *best = (split){index, gain, middle < next ? middle : here, 0};
  }
}

/* The rows' categories in the order of their means (W. Fisher 1958: the best two sets are next to each other in it). */
static size_t fill_bins(const forest *o, const feature *f, const uint32_t *rows, size_t count) {
  size_t bins = 0;
  for (size_t i = 0; i < count; i++) { /* rows are sorted by category */
    if (i == 0 || f->values[rows[i]] != f->values[rows[i - 1]])
      o->bins[bins++] = (struct bin){0, 0, (size_t)f->values[rows[i]]};
    double w = o->weights[rows[i]];
    o->bins[bins - 1].sum += w * o->losses[rows[i]];
    o->bins[bins - 1].weight += w;
  }
  for (size_t i = 1; i < bins; i++) {
    struct bin kept = o->bins[i];
    size_t j = i;
    for (; j > 0 && o->bins[j - 1].sum / o->bins[j - 1].weight > kept.sum / kept.weight; j--)
      o->bins[j] = o->bins[j - 1];
    o->bins[j] = kept;
  }
  return bins;
}

static void split_categories(const forest *o, size_t index, const uint32_t *rows, size_t count, double sum,
                             double weight, split *best) {
  size_t bins = fill_bins(o, &o->features[index], rows, count);
  double left_sum = 0, left_weight = 0;
  for (size_t i = 0; i + 1 < bins; i++) {
    left_sum += o->bins[i].sum;
    left_weight += o->bins[i].weight;
    double gain = gain_of(left_sum, left_weight, sum, weight);
    if (gain > best->gain) *best = (split){index, gain, 0, i + 1};
  }
}

static split best_split(const forest *o, size_t from, size_t count, double sum, double weight) {
  split best = {o->feature_count, NO_GAIN * weight, 0, 0};
  for (size_t k = 0; k < o->feature_count; k++) {
    size_t index = (k + o->first) % o->feature_count;
    const feature *f = &o->features[index];
    const uint32_t *rows = f->order + o->count + from;
    if (lacks(f, rows[count - 1])) continue; /* they are last */
    if (f->categorical) {
      split_categories(o, index, rows, count, sum, weight, &best);
    } else {
      split_number(o, index, rows, count, sum, weight, &best);
    }
  }
  return best;
}

/* Cuts the node's part of every order in two, each kept in order; returns how many are on the left. */
static size_t partition(const forest *o, size_t from, size_t count) {
  size_t lefts = 0;
  for (size_t k = 0; k < o->feature_count; k++) {
    uint32_t *rows = o->features[k].order + o->count + from;
    size_t others = 0;
    lefts = 0;
    for (size_t i = 0; i < count; i++) {
      if (o->left[rows[i]]) {
        rows[lefts++] = rows[i];
      } else {
        o->scratch[others++] = rows[i];
      }
    }
    memcpy(rows + lefts, o->scratch, others * sizeof *rows);
  }
  return lefts;
}

/* --- leaves --- */

static double share_of(const feature *f) {
  if (!f->is_restricted) return 1;
  return f->categorical ? (double)f->box_count / (double)f->categories : f->box_high - f->box_low;
}

static bool note(forest *o, feature *f, double at, double change) {
  if (!lm_grow(o->allocator, &f->events, &f->event_capacity, f->event_count + 1, sizeof *f->events)) return false;
  f->events[f->event_count++] = (struct event){at, change};
  return true;
}

static void add_leaf(forest *o, double value) {
  double volume = 1;
  for (size_t k = 0; k < o->feature_count; k++) volume *= share_of(&o->features[k]);
  o->mean += volume * value;
  o->square += volume * value * value;
  for (size_t k = 0; k < o->feature_count; k++) {
    feature *f = &o->features[k];
    if (!f->is_restricted) continue;
    double share = share_of(f), others = share > 0 ? volume / share * value : 0;
    f->restricted += volume * value;
    if (f->categorical) {
      for (size_t c = 0; c < f->categories; c++) {
        if (f->box[c / WORD] >> (c % WORD) & 1) f->per_category[c] += others;
      }
    } else if (!note(o, f, f->box_low, others) || !note(o, f, f->box_high, -others)) {
      o->status = LMOPT_NO_MEMORY;
    }
  }
}

/* --- nodes --- */

typedef struct node {
  size_t from, count;
  int depth;
} node;

static void grow(forest *o, node n);

/* Both sides of a number. */
static void descend_number(forest *o, feature *f, double threshold, node left, node right) {
  double low = f->box_low, high = f->box_high;
  bool was = f->is_restricted;
  f->is_restricted = true;
  f->box_high = threshold;
  grow(o, left);
  f->box_high = high;
  f->box_low = threshold;
  grow(o, right);
  f->box_low = low;
  f->is_restricted = was;
}

/* Of a set of categories; those that no row has go where more rows went. */
static void descend_categories(forest *o, feature *f, const uint64_t *left_set, node left, node right) {
  const lm_allocator *a = o->allocator;
  uint64_t *before = lm_alloc(a, f->words * sizeof *before);
  size_t count = f->box_count, lefts = 0;
  bool was = f->is_restricted;
  if (!before) {
    o->status = LMOPT_NO_MEMORY;
    return;
  }
  memcpy(before, f->box, f->words * sizeof *before);
  for (size_t c = 0; c < f->categories; c++) lefts += (before[c / WORD] & left_set[c / WORD]) >> (c % WORD) & 1;
  f->is_restricted = true;
  for (size_t i = 0; i < f->words; i++) f->box[i] = before[i] & left_set[i];
  f->box_count = lefts;
  grow(o, left);
  for (size_t i = 0; i < f->words; i++) f->box[i] = before[i] & ~left_set[i];
  f->box_count = count - lefts;
  grow(o, right);
  memcpy(f->box, before, f->words * sizeof *before);
  f->box_count = count;
  f->is_restricted = was;
  lm_free(a, before);
}

/* The categories of the left side, as a set; NULL: no memory. */
static uint64_t *left_categories(forest *o, const feature *f, const uint32_t *rows, size_t count, const split *s) {
  uint64_t *set = lm_alloc_zeroed(o->allocator, (f->words + 1) * sizeof *set);
  if (!set) {
    o->status = LMOPT_NO_MEMORY;
    return NULL;
  }
  size_t bins = fill_bins(o, f, rows, count);
  double left = 0, right = 0;
  for (size_t i = 0; i < bins; i++) *(i < s->left_bins ? &left : &right) += o->bins[i].weight;
  if (left > right) memset(set, 0xFF, f->words * sizeof *set);
  for (size_t i = 0; i < bins; i++) {
    uint64_t bit = UINT64_C(1) << (o->bins[i].category % WORD), *word = &set[o->bins[i].category / WORD];
    *word = i < s->left_bins ? *word | bit : *word & ~bit;
  }
  return set;
}

static void divide(forest *o, node n, const split *s) {
  feature *f = &o->features[s->feature];
  const uint32_t *rows = f->order + o->count + n.from;
  uint64_t *set = f->categorical ? left_categories(o, f, rows, n.count, s) : NULL;
  if (f->categorical && !set) return;
  for (size_t i = 0; i < n.count; i++) {
    size_t category = f->categorical ? (size_t)f->values[rows[i]] : 0;
    o->left[rows[i]] = set ? set[category / WORD] >> (category % WORD) & 1 : f->values[rows[i]] <= s->threshold;
  }
  size_t lefts = partition(o, n.from, n.count);
  node left = {n.from, lefts, n.depth + 1}, right = {n.from + lefts, n.count - lefts, n.depth + 1};
  if (set) {
    descend_categories(o, f, set, left, right);
  } else {
    descend_number(o, f, s->threshold, left, right);
  }
  lm_free(o->allocator, set);
}

static void grow(forest *o, node n) {
  if (o->status) return;
  const uint32_t *rows = o->features[0].order + o->count + n.from;
  double sum = 0, weight = 0;
  for (size_t i = 0; i < n.count; i++) {
    sum += o->weights[rows[i]] * o->losses[rows[i]];
    weight += o->weights[rows[i]];
  }
  split s = {o->feature_count, 0, 0, 0};
  if (n.count > 1 && n.depth < o->max_depth) s = best_split(o, n.from, n.count, sum, weight);
  if (s.feature < o->feature_count) {
    divide(o, n, &s);
  } else {
    add_leaf(o, sum / weight);
  }
}

/* --- trees --- */

/* A bootstrap sample: each row so often, those with none left out of the orders. */
static size_t begin_tree(forest *o, lm_rng *rng) {
  memset(o->weights, 0, o->count * sizeof *o->weights);
  for (size_t i = 0; i < o->count; i++) o->weights[lm_rng_below(rng, o->count)]++;
  size_t kept = 0;
  for (size_t k = 0; k < o->feature_count; k++) {
    feature *f = &o->features[k];
    kept = 0;
    for (size_t i = 0; i < o->count; i++) {
      if (o->weights[f->order[i]]) f->order[o->count + kept++] = f->order[i];
    }
    f->event_count = 0;
    f->restricted = 0;
    for (size_t c = 0; c < f->categories; c++) f->per_category[c] = 0;
    f->box_low = 0;
    f->box_high = 1;
    memset(f->box, 0xFF, f->words * sizeof *f->box);
    f->box_count = f->categories;
    f->is_restricted = false;
  }
  o->first = (size_t)lm_rng_below(rng, o->feature_count);
  o->mean = o->square = 0;
  return kept;
}

static void sift_event(struct event *items, size_t root, size_t count) {
  for (size_t child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && items[child].at < items[child + 1].at) child++;
    if (items[root].at >= items[child].at) return;
    struct event kept = items[root];
    items[root] = items[child];
    items[child] = kept;
  }
}

/* The variance over the feature of the mean prediction over all others. */
static double marginal_variance(const forest *o, feature *f) {
  double rest = o->mean - f->restricted, variance = 0; /* of leaves that have the whole range */
  if (f->categorical) {
    for (size_t c = 0; c < f->categories; c++) {
      double difference = f->per_category[c] + rest - o->mean;
      variance += difference * difference / (double)f->categories;
    }
    return variance;
  }
  struct event *e = f->events;
  for (size_t i = f->event_count / 2; i-- > 0;) sift_event(e, i, f->event_count);
  for (size_t end = f->event_count; end > 1;) {
    struct event kept = e[0];
    e[0] = e[--end];
    e[end] = kept;
    sift_event(e, 0, end);
  }
  double level = rest;
  for (size_t i = 0; i < f->event_count; i++) {
    level += e[i].change;
    double width = i + 1 < f->event_count ? e[i + 1].at - e[i].at : 0;
    variance += width * (level - o->mean) * (level - o->mean);
  }
  return variance;
}

static bool plant(forest *o, const lm_fanova_options *options) {
  size_t useful = 0;
  for (int tree = 0; tree < options->n_trees && !o->status; tree++) {
    lm_rng rng = lm_rng_stream(options->seed, tree, "fanova");
    grow(o, (node){0, begin_tree(o, &rng), 0});
    double variance = o->square - o->mean * o->mean;
    if (!(variance > 1e-14 * o->square)) continue;
    useful++;
    for (size_t k = 0; k < o->feature_count; k++)
      o->features[k].sum += marginal_variance(o, &o->features[k]) / variance;
  }
  for (size_t k = 0; k < o->feature_count && useful; k++) o->features[k].sum /= (double)useful;
  return o->status == LMOPT_OK;
}

/* --- */

static void free_forest(forest *o) {
  const lm_allocator *a = o->allocator;
  for (size_t k = 0; k < o->feature_count; k++) {
    feature *f = &o->features[k];
    lm_free(a, f->order);
    lm_free(a, f->values);
    lm_free(a, f->events);
    lm_free(a, f->per_category);
    lm_free(a, f->box);
  }
  lm_free(a, o->features);
  lm_free(a, o->losses);
  lm_free(a, o->weights);
  lm_free(a, o->left);
  lm_free(a, o->scratch);
  lm_free(a, o->bins);
}

/* Their mean becomes 0 and the largest 1: large numbers would overflow, and hide small differences. */
static void centre(double *losses, size_t count) {
  double most = 0, mean = 0, spread = 0;
  for (size_t i = 0; i < count; i++) most = fmax(most, fabs(losses[i]));
  if (!(most > 0)) return;
  for (size_t i = 0; i < count; i++) losses[i] /= most;
  for (size_t i = 0; i < count; i++) mean += losses[i] / (double)count;
  for (size_t i = 0; i < count; i++) {
    losses[i] -= mean;
    spread = fmax(spread, fabs(losses[i]));
  }
  bool alike = spread < 1e-14;
  for (size_t i = 0; i < count; i++) losses[i] = alike ? 0 : losses[i] / spread;
}

static bool make_forest(forest *o, const lm_trials *t, const double *targets, const uint32_t *rows) {
  const lm_allocator *a = o->allocator;
  size_t categories = 0;
  o->features = lm_alloc(a, (t->column_count + 1) * sizeof *o->features);
  if (!o->features) return false;
  for (size_t i = 0; i < t->column_count; i++) {
    feature *f = &o->features[o->feature_count];
    if (!describe(f, t->columns[i], rows, o->count)) continue;
    o->feature_count++;
    if (f->categories > categories) categories = f->categories;
    if (!prepare(o, f, rows)) return false;
  }
  o->losses = lm_alloc(a, o->count * sizeof *o->losses);
  o->weights = lm_alloc(a, o->count * sizeof *o->weights);
  o->left = lm_alloc(a, o->count * sizeof *o->left);
  o->scratch = lm_alloc(a, o->count * sizeof *o->scratch);
  o->bins = lm_alloc(a, (categories + 1) * sizeof *o->bins);
  if (!o->losses || !o->weights || !o->left || !o->scratch || !o->bins) return false;
  for (size_t i = 0; i < o->count; i++) o->losses[i] = targets ? targets[rows[i]] : lm_trials_loss(t, rows[i], 0);
  centre(o->losses, o->count);
  return true;
}

lmopt_status lm_importance_fanova(const lm_trials *t, const double *targets, lm_column *const *columns, size_t count,
                                  const lm_fanova_options *options, double *importances) {
  forest o = {.allocator = t->allocator, .max_depth = options->max_depth};
  uint32_t *rows;
  for (size_t i = 0; i < count; i++) importances[i] = 0;
  if (lm_importance_rows(t, targets, &rows, &o.count)) return LMOPT_NO_MEMORY;
  bool fine = o.count < 2 || make_forest(&o, t, targets, rows);
  if (fine && o.count >= 2 && o.feature_count) fine = plant(&o, options);
  for (size_t i = 0; i < count && fine; i++) {
    for (size_t k = 0; k < o.feature_count; k++) {
      if (o.features[k].column == columns[i]) importances[i] = o.features[k].sum;
    }
  }
  free_forest(&o);
  lm_free(t->allocator, rows);
  return fine ? LMOPT_OK : LMOPT_NO_MEMORY;
}
