#include "math/plans.h"

#include <stdlib.h>
#include <string.h>

/* --- orders and samples --- */

static void swap(uint32_t *list, uint32_t i, uint32_t j) {
  uint32_t item = list[i];
  list[i] = list[j];
  list[j] = item;
}

static void count_up(uint32_t *list, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) list[i] = i;
}

/* The first draws of the shuffle of R. A. Fisher and F. Yates. */
void lm_plan_sample(lm_rng *rng, uint32_t *items, uint32_t count, uint32_t size) {
  for (uint32_t i = 0; i < size && i + 1 < count; i++) swap(items, i, i + (uint32_t)lm_rng_below(rng, count - i));
}

void lm_plan_order(uint64_t seed, int64_t number, const char *purpose, uint32_t *order, uint32_t count) {
  lm_rng rng = lm_rng_stream(seed, number, purpose);
  count_up(order, count);
  lm_plan_sample(&rng, order, count, count);
}

uint32_t lm_plan_without(uint32_t *list, uint32_t count, uint32_t example) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < count; i++)
    if (list[i] != example) list[kept++] = list[i];
  return kept;
}

/* --- candidate sets of demonstrations --- */

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

static uint32_t draw_size(uint64_t seed, uint32_t set, uint32_t most) {
  lm_rng rng = lm_rng_stream(seed, set, "demonstrations: size");
  return 1 + (uint32_t)lm_rng_below(&rng, most);
}

static lm_plan_set find_set(const lm_plan_limits *limits, uint32_t set) {
  uint32_t bootstrapped = smaller(limits->max_bootstrapped, limits->examples), next = 1;
  uint32_t labeled = smaller(limits->max_labeled, limits->examples);
  if (set == 0 || (bootstrapped == 0 && labeled == 0)) return (lm_plan_set){LM_PLAN_ZERO_SHOT, 0, 0};
  if (labeled > 0 && set == next++) return (lm_plan_set){LM_PLAN_LABELED, 0, labeled};
  if (bootstrapped == 0) return (lm_plan_set){LM_PLAN_SHUFFLED, 0, draw_size(limits->seed, set, labeled)};
  if (set == next) return (lm_plan_set){LM_PLAN_BOOTSTRAP, bootstrapped, labeled};
  return (lm_plan_set){LM_PLAN_SHUFFLED, draw_size(limits->seed, set, bootstrapped), labeled};
}

lm_plan_set lm_plan_candidate(const lm_plan_limits *limits, uint32_t set, uint32_t *order) {
  lm_plan_set plan = find_set(limits, set);
  if (order && plan.kind == LM_PLAN_SHUFFLED)
    lm_plan_order(limits->seed, set, "demonstrations: order", order, limits->examples);
  else if (order)
    count_up(order, limits->examples);
  return plan;
}

/* Whatever the others draw, and however many they are, each predictor's draw is its own. */
static lm_rng labeled_stream(uint64_t seed, uint32_t set, const char *predictor) {
  lm_rng rng = lm_rng_stream(seed, set, "demonstrations: labelled");
  return lm_rng_stream(lm_rng_bits(&rng), 0, predictor);
}

uint32_t lm_plan_demonstrations(const lm_plan_limits *limits, uint32_t set, const char *predictor,
                                const unsigned char *succeeded, uint32_t *list, uint32_t *bootstrapped) {
  uint32_t n = limits->examples, count = 0, left = 0, *rest = list + n;
  lm_plan_set plan = lm_plan_candidate(limits, set, rest);
  for (uint32_t i = 0; i < n && count < plan.bootstrapped; i++)
    if (succeeded[rest[i]]) list[count++] = rest[i];
  *bootstrapped = count;
  if (count >= plan.labeled) return count;
  for (uint32_t i = 0; i < n; i++) rest[i] = 0;
  for (uint32_t i = 0; i < count; i++) rest[list[i]] = 1;
  for (uint32_t i = 0; i < n; i++) /* from flags to the numbers of those that are not shown yet, in place */
    if (!rest[i]) rest[left++] = i;
  uint32_t wanted = smaller(plan.labeled - count, left);
  lm_rng rng = labeled_stream(limits->seed, set, predictor);
  if (!limits->first_labeled) lm_plan_sample(&rng, rest, left, wanted);
  memmove(list + count, rest, wanted * sizeof *list);
  return count + wanted;
}

/* --- minibatches --- */

typedef struct place {
  uint64_t rank; /* where in the epoch, in units of 2^-32 of it */
  uint32_t drawn, example;
} place;

typedef struct epochs {
  const lm_plan_batches *plan;
  uint32_t *order;      /* of the epoch at hand */
  unsigned char *begun; /* flags: the examples that the batch has from the epoch before */
  place *places;        /* of the examples of an epoch with groups */
  uint32_t *members;    /* of each group: how many examples it has */
  uint32_t *seen;       /* of each group: how many of them have a place; then where link_groups begins */
  /* Of each group: how late in its first share it comes, in units of 2^-32; then, of places, the links. */
  uint32_t *group_start;
  uint32_t window; /* how far from the beginning of an epoch an example of the same group is looked for */
} epochs;

/* Walks up to so many epochs, or so many examples, are short: they may start where the round does. */
enum { SHORT_WALK = 8, SHORT_WORK = 1 << 20 };

static int compare_places(const void *a, const void *b) {
  const place *x = a, *y = b;
  if (x->rank != y->rank) return x->rank < y->rank ? -1 : 1;
  return (x->drawn > y->drawn) - (x->drawn < y->drawn);
}

/*
** The j-th of a group's m examples comes (j + u) / m through the epoch, with one
** u in [0, 1) for the group: a systematic sample, so that any stretch of the
** epoch has a group's share of it, give or take one.
*/
static void spread_groups(epochs *e, uint64_t epoch) {
  uint32_t n = e->plan->examples;
  lm_rng rng = lm_rng_stream(e->plan->seed, (int64_t)epoch, "minibatch: groups");
  for (uint32_t g = 0; g < n; g++) {
    e->seen[g] = 0;
    e->group_start[g] = e->members[g] ? (uint32_t)(lm_rng_bits(&rng) >> 32) : 0;
  }
  for (uint32_t i = 0; i < n; i++) {
    uint32_t example = e->order[i], g = e->plan->groups[example];
    uint64_t rank = ((uint64_t)e->seen[g]++ << 32 | e->group_start[g]) / e->members[g];
    e->places[i] = (place){rank, i, example};
  }
  qsort(e->places, n, sizeof *e->places, compare_places);
  for (uint32_t i = 0; i < n; i++) e->order[i] = e->places[i].example;
}

/* Links the places of each group's examples that the batch has not: from seen[group] on, through group_start[place]. */
static void link_groups(epochs *e) {
  uint32_t n = e->plan->examples;
  for (uint32_t g = 0; g < n; g++) e->seen[g] = n;
  for (uint32_t i = e->window; i-- > 0;) {
    uint32_t *first = &e->seen[e->plan->groups[e->order[i]]];
    if (e->begun[e->order[i]]) continue;
    e->group_start[i] = *first;
    *first = i;
  }
}

/*
** The next example after `i` that the batch has not; of the same group as `i`, if
** there is one. What was passed once is never wanted again, so all searches of an
** epoch take the time of one: `*next` is where the last one for any group ended.
*/
static uint32_t find_other(const epochs *e, uint32_t i, uint32_t *next) {
  uint32_t n = e->plan->examples;
  if (e->plan->groups) {
    uint32_t *first = &e->seen[e->plan->groups[e->order[i]]];
    while (*first < n && (*first <= i || e->begun[e->order[*first]])) *first = e->group_start[*first];
    if (*first < n) return *first;
  }
  if (*next <= i) *next = i + 1;
  while (*next < n && e->begun[e->order[*next]]) ++*next;
  return *next < n ? *next : i;
}

/* Puts an epoch in order. Its first `missing` examples end a batch of which the epoch before has the last `begun`. */
static void order_epoch(epochs *e, uint64_t epoch, uint32_t begun) {
  uint32_t n = e->plan->examples, missing = begun ? e->plan->size - begun : 0, next = 0;
  memset(e->begun, 0, n);
  for (uint32_t i = n - begun; i < n; i++) e->begun[e->order[i]] = 1;
  lm_plan_order(e->plan->seed, (int64_t)epoch, "minibatch", e->order, n);
  if (e->plan->groups) spread_groups(e, epoch);
  if (e->plan->groups) link_groups(e);
  for (uint32_t i = 0; i < missing; i++)
    if (e->begun[e->order[i]]) swap(e->order, i, find_other(e, i, &next));
}

static uint32_t common_divisor(uint32_t a, uint32_t b) {
  while (b > 0) {
    uint32_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

static uint32_t begun_by(const lm_plan_batches *plan, uint64_t epoch) {
  return (uint32_t)(epoch * plan->examples % plan->size); /* examples of a batch that the epoch before it has */
}

/*
** The epoch from which `epoch` can be known. What an epoch is told of the one
** before are that one's last examples. They stay where they were drawn, unless
** they are among the first `window`, which is as far as examples are swapped.
*/
static uint64_t find_start(const epochs *e, uint64_t epoch) {
  for (;; epoch--) {
    uint32_t begun = begun_by(e->plan, epoch);
    if (begun == 0) return epoch;
    if (begun <= e->plan->examples - e->window) return epoch - 1;
  }
}

/* Where batches and epochs end together nothing is handed on, and a round begins. */
static void walk(epochs *e, uint64_t batch, uint32_t *out) {
  uint32_t n = e->plan->examples, size = e->plan->size, divisor = common_divisor(n, size);
  uint64_t round = batch / (n / divisor), position = (batch % (n / divisor)) * size;
  uint64_t first_epoch = round * (size / divisor), last = (position + size - 1) / n;
  uint64_t begin = find_start(e, position / n);
  uint32_t taken = 0;
  for (uint64_t epoch = begin; epoch <= last; epoch++) {
    order_epoch(e, first_epoch + epoch, epoch == begin ? 0 : begun_by(e->plan, epoch));
    uint64_t start = epoch * n, end = start + n;
    for (uint64_t i = position + taken; taken < size && i >= start && i < end; i++) out[taken++] = e->order[i - start];
  }
}

static bool is_long(const lm_plan_batches *plan, uint32_t epochs_walked) {
  return epochs_walked > SHORT_WALK && (uint64_t)epochs_walked * plan->examples > SHORT_WORK;
}

/* How many epochs a walk has at most, when no swap goes beyond a batch's size. */
static uint32_t longest_walk(const lm_plan_batches *plan) {
  uint32_t round = plan->size / common_divisor(plan->examples, plan->size);
  return plan->size == plan->examples ? 1 : smaller(round, plan->size / (plan->examples - plan->size) + 2);
}

/*
** Batches of nearly all examples: what they leave out are batches, too, small
** ones. So each example is left out, and used, as often as any other.
*/
static void walk_complement(epochs *e, uint64_t batch, uint32_t *out) {
  const lm_plan_batches *plan = e->plan;
  uint32_t n = plan->examples, left_out = n - plan->size, kept = 0;
  lm_plan_batches complement = *plan;
  complement.size = left_out;
  e->plan = &complement;
  e->window = left_out;
  walk(e, batch, out); /* there is room: what is left out is less than a batch */
  e->plan = plan;
  memset(e->begun, 0, n);
  for (uint32_t i = 0; i < left_out; i++) e->begun[out[i]] = 1;
  lm_plan_order(plan->seed, (int64_t)batch, "minibatch: all but a few", e->order, n);
  for (uint32_t i = 0; i < n; i++)
    if (!e->begun[e->order[i]]) out[kept++] = e->order[i];
}

static void find_batch(epochs *e, uint64_t batch, uint32_t *out) {
  const lm_plan_batches *plan = e->plan;
  uint32_t round = plan->size / common_divisor(plan->examples, plan->size);
  e->window = plan->groups && !is_long(plan, round) ? plan->examples : plan->size;
  if (is_long(plan, longest_walk(plan)))
    walk_complement(e, batch, out);
  else
    walk(e, batch, out);
}

lmopt_status lm_plan_minibatch(const lm_allocator *a, const lm_plan_batches *batches, uint64_t batch, uint32_t *out) {
  size_t n = batches->examples;
  epochs e = {.plan = batches};
  if (batches->groups) e.places = lm_alloc(a, n * sizeof *e.places);
  e.order = lm_alloc_zeroed(a, (batches->groups ? 4 : 1) * n * sizeof *e.order);
  e.begun = lm_alloc(a, n);
  bool there = e.order && e.begun && (e.places || !batches->groups);
  if (there && batches->groups) {
    e.members = e.order + n;
    e.seen = e.members + n;
    e.group_start = e.seen + n;
    for (size_t i = 0; i < n; i++) e.members[batches->groups[i]]++;
  }
  if (there) find_batch(&e, batch, out);
  lm_free(a, e.places);
  lm_free(a, e.order);
  lm_free(a, e.begun);
  return there ? LMOPT_OK : LMOPT_NO_MEMORY;
}

/* --- duplicates --- */

typedef struct hashed {
  uint64_t hash;
  const lm_plan_text *text;
  uint32_t number;
} hashed;

static int compare_bytes(const hashed *a, const hashed *b) {
  if (a->hash != b->hash) return a->hash < b->hash ? -1 : 1;
  if (a->text->size != b->text->size) return a->text->size < b->text->size ? -1 : 1;
  return a->text->size ? memcmp(a->text->bytes, b->text->bytes, a->text->size) : 0;
}

static int compare_hashed(const void *a, const void *b) {
  const hashed *x = a, *y = b;
  int order = compare_bytes(x, y);
  return order ? order : (x->number > y->number) - (x->number < y->number);
}

lmopt_status lm_plan_same(const lm_allocator *a, const lm_plan_text *texts, uint32_t count, uint32_t *first) {
  if (count == 0) return LMOPT_OK;
  hashed *all = lm_alloc(a, count * sizeof *all);
  if (!all) return LMOPT_NO_MEMORY;
  for (uint32_t i = 0; i < count; i++) all[i] = (hashed){lm_hash(texts[i].bytes, texts[i].size), texts + i, i};
  qsort(all, count, sizeof *all, compare_hashed);
  for (uint32_t i = 0; i < count; i++) {
    bool again = i > 0 && compare_bytes(all + i - 1, all + i) == 0;
    first[all[i].number] = again ? first[all[i - 1].number] : all[i].number;
  }
  lm_free(a, all);
  return LMOPT_OK;
}

static bool in_word(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c >= 0x80;
}

/* The hashes of a text's words, in its order; `words` NULL: how many there are. */
static size_t find_words(const lm_plan_text *text, uint64_t *words) {
  size_t count = 0;
  for (size_t i = 0; i < text->size;) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    size_t start = i;
    for (; i < text->size && in_word((unsigned char)text->bytes[i]); i++) {
      unsigned char c = (unsigned char)text->bytes[i];
      hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + 32U : c)) * UINT64_C(0x100000001b3);
    }
    if (i == start)
      i++;
    else if (words)
      words[count++] = lm_mix(hash);
    else
      count++;
  }
  return count;
}

static int compare_words(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* Sorted, each once. */
static size_t sort_words(uint64_t *words, size_t count) {
  size_t kept = 0;
  qsort(words, count, sizeof *words, compare_words);
  for (size_t i = 0; i < count; i++)
    if (i == 0 || words[i] != words[i - 1]) words[kept++] = words[i];
  return kept;
}

static bool overlap_enough(const uint64_t *a, size_t a_count, const uint64_t *b, size_t b_count, double overlap) {
  size_t shared = 0;
  for (size_t i = 0, j = 0; i < a_count && j < b_count;) {
    shared += a[i] == b[j];
    uint64_t x = a[i], y = b[j];
    i += x <= y;
    j += y <= x;
  }
  size_t both = a_count + b_count - shared;
  return both > 0 && (double)shared >= overlap * (double)both;
}

static bool same_bytes(const lm_plan_text *a, const lm_plan_text *b) {
  return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

typedef struct word_set {
  uint64_t *words;
  size_t count;
} word_set;

static void find_near(const lm_plan_text *texts, const word_set *sets, uint32_t count, double overlap,
                      uint32_t *first) {
  for (uint32_t i = 0; i < count; i++) {
    first[i] = i;
    for (uint32_t j = 0; j < i && first[i] == i; j++)
      if (first[j] == j && (same_bytes(texts + j, texts + i) ||
                            overlap_enough(sets[j].words, sets[j].count, sets[i].words, sets[i].count, overlap)))
        first[i] = j;
  }
}

lmopt_status lm_plan_near(const lm_allocator *a, const lm_plan_text *texts, uint32_t count, double overlap,
                          uint32_t *first) {
  size_t total = 0;
  if (count == 0) return LMOPT_OK;
  for (uint32_t i = 0; i < count; i++) total += find_words(texts + i, NULL);
  word_set *sets = lm_alloc(a, count * sizeof *sets);
  uint64_t *words = sets ? lm_alloc(a, (total + 1) * sizeof *words) : NULL;
  if (words) {
    uint64_t *next = words;
    for (uint32_t i = 0; i < count; i++) {
      sets[i].words = next;
      sets[i].count = sort_words(next, find_words(texts + i, next));
      next += sets[i].count;
    }
    find_near(texts, sets, count, overlap, first);
  }
  lm_free(a, words);
  lm_free(a, sets);
  return words ? LMOPT_OK : LMOPT_NO_MEMORY;
}
