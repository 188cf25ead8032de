/*
** Every combination once. The trials seen so far form a tree: a node asks for
** one parameter, its children are the values that were tried. Values are chosen
** half in proportion to the untried leaves known below them and half
** uniformly, which is Optuna's rule; what a running trial is at is avoided.
**
** Parts of the tree that no trial has been to are drawn uniformly, parameter
** by parameter, as the objective asks. A structured variable is one step, and
** its value the number of the subset or the order.
*/
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "search/draw.h"
#include "search/sampler.h"
#include "search/structured.h"

#define NONE SIZE_MAX

/* What is asked for at a node: a parameter, or the parts of a structured variable. */
typedef struct question {
  lm_column *column;                   /* of the first part; NULL: not known, or a leaf */
  const lm_distribution *distribution; /* of the same */
  size_t parts;                        /* 0: it is no structured variable */
  size_t first;                        /* of its parts in tree->parts */
} question;

typedef struct part {
  lm_column *column;
  const lm_distribution *distribution;
} part;

/* A question of a trial, and what the trial has there. */
typedef struct answer {
  question question;
  double value;
} answer;

/* A trial: its answers, those that lead to the node where it is first, and the next trial there. */
typedef struct line {
  size_t first, count, done, next;
  bool running;
} line;

typedef struct node {
  double value;            /* that leads here from the parent */
  size_t sibling, child;   /* NONE: no other */
  size_t line, last_child; /* the first trial that came here; NONE */
  size_t last_line;
  question next;
  bool finished, running;
  double open, free; /* untried leaves below, with and without those where a trial runs */
} node;

typedef struct tree {
  const lm_allocator *allocator;
  node *nodes; /* children after their parents */
  size_t count, capacity;
  part *parts; /* of the structured variables, one after the other */
  size_t part_count, part_capacity;
  answer *answers;
  size_t answer_count, answer_capacity;
  line *lines;
  size_t line_count, line_capacity;
} tree;

static void free_tree(tree *t) {
  lm_free(t->allocator, t->nodes);
  lm_free(t->allocator, t->parts);
  lm_free(t->allocator, t->answers);
  lm_free(t->allocator, t->lines);
  *t = (tree){.allocator = t->allocator};
}

static size_t new_node(tree *t, double value) {
  if (!lm_grow(t->allocator, &t->nodes, &t->capacity, t->count + 1, sizeof *t->nodes)) return NONE;
  t->nodes[t->count] =
      (node){.value = value, .sibling = NONE, .child = NONE, .last_child = NONE, .line = NONE, .last_line = NONE};
  return t->count++;
}

/* More values than this can't be counted one by one in a double. */
#define MOST_VALUES 0x1p53

/* How many values a question has; 0: a continuous one. */
static double value_count(const question *q) {
  const lm_distribution *d = q->distribution;
  if (q->parts) return lm_structure_count(d->part, q->parts);
  if (d->kind == LM_CATEGORICAL) return (double)d->count;
  return d->step > 0 ? floor((d->high - d->low) / d->step + 0.5) + 1 : 0;
}

/* LMOPT_MISUSE: more values than can be counted, or so close together that doubles run into one another. */
static lmopt_status check_walkable(const question *q, lm_error *e) {
  const lm_distribution *d = q->distribution;
  double largest = fmax(fabs(d->low), fabs(d->high));
  if (q->parts && value_count(q) > MOST_VALUES)
    return lm_fail(
        e, LMOPT_MISUSE,
        "brute_force can't walk '%.200s': its %zu items have %.3g values, and it takes at most 2^53; give it "
        "fewer items or closer bounds, or take another sampler",
        d->part->variable, q->parts, value_count(q));
  if (q->parts ||
      (value_count(q) <= MOST_VALUES && !(d->kind == LM_FLOAT && d->step > 0 && d->step < largest * 0x1p-50)))
    return LMOPT_OK;
  return lm_fail(e, LMOPT_MISUSE,
                 "brute_force can't walk the parameter '%.200s': it takes at most 2^53 values, and a step of at least "
                 "2^-50 of the largest; give it a larger step or a smaller range, or take another sampler",
                 q->column->name);
}

static double value_at(const question *q, double index) {
  const lm_distribution *d = q->distribution;
  if (q->parts) return index;
  if (d->kind == LM_CATEGORICAL) return index;
  double x = d->low + index * d->step;
  return x < d->high ? x : d->high;
}

static bool same_value(const question *q, double a, double b) {
  return a == b || fabs(a - b) < q->distribution->step / 4;
}

static bool has_value(const question *q, double value) {
  if (q->parts) return value >= 0 && value < value_count(q);
  return lm_distribution_contains(q->distribution, value);
}

/* --- rows as paths --- */

typedef struct step {
  lm_column *column;
  const lm_distribution *distribution;
  double value;
  uint32_t ordinal;
} step;

typedef struct path {
  step *items;
  size_t count, capacity;
} path;

static lmopt_status add_step(const lm_allocator *a, path *p, step item) {
  if (!lm_grow(a, &p->items, &p->capacity, p->count + 1, sizeof *p->items)) return LMOPT_NO_MEMORY;
  size_t at = p->count++;
  for (; at > 0 && p->items[at - 1].ordinal > item.ordinal; at--) p->items[at] = p->items[at - 1];
  p->items[at] = item;
  return LMOPT_OK;
}

/* The parameters of a row in the order of their suggestion; of a running one also what was drawn at ask. */
static lmopt_status row_path(const lm_allocator *a, const lm_view *view, size_t row, path *p) {
  const lm_trials *t = view->trials;
  bool running = lm_view_state(view, row) == LM_RUNNING;
  p->count = 0;
  for (size_t i = 0; i < t->column_count; i++) {
    lm_column *c = t->columns[i];
    const lm_distribution *d = lm_column_distribution(c, row);
    bool shown = !running || (view->arrival && (long long)row <= view->horizon);
    if (!d || !shown) continue;
    step item = {c, d, c->values[row], c->ordinals[row]};
    if (add_step(a, p, item)) return LMOPT_NO_MEMORY;
  }
  const lm_assignments *drawn = &t->rows[row].relative;
  if (!running || drawn->count <= p->count) return LMOPT_OK;
  p->count = 0;
  for (size_t i = 0; i < drawn->count; i++) {
    const lm_assignment *d = &drawn->items[i];
    if (!d->distribution) continue; /* fixed from outside: not on the tree */
    step item = {d->column, d->distribution, d->value, (uint32_t)i};
    if (add_step(a, p, item)) return LMOPT_NO_MEMORY;
  }
  return LMOPT_OK;
}

static bool is_fixed(const lm_view *view, const lm_column *column) {
  return view->fixed && lm_assignments_find(view->fixed, column);
}

/*
** Step `at` of a path as a question and its value; *next is the step after it.
** The parts of a structured variable are one question, wherever they stand;
** those after the first are left out by taking their distributions away.
*/
static lmopt_status ask(tree *t, path *p, size_t at, question *q, double *value) {
  step *first = &p->items[at];
  *q = (question){first->column, first->distribution, 0, t->part_count};
  *value = first->value;
  const lm_part *variable = first->distribution->part;
  if (!variable) return LMOPT_OK;
  double *values = lm_alloc(t->allocator, 2 * p->count * sizeof *values);
  if (!values) return LMOPT_NO_MEMORY;
  for (size_t i = at; i < p->count; i++) {
    step *s = &p->items[i];
    if (!s->distribution || !lm_part_together(s->distribution->part, variable)) continue;
    if (!lm_grow(t->allocator, &t->parts, &t->part_capacity, t->part_count + 1, sizeof *t->parts)) {
      lm_free(t->allocator, values);
      return LMOPT_NO_MEMORY;
    }
    t->parts[t->part_count++] = (part){s->column, s->distribution};
    values[q->parts++] = s->value;
    if (i > at) s->distribution = NULL;
  }
  if (variable->structure == LM_PERMUTATION) lm_structure_positions(values, values + p->count, q->parts);
  size_t shift = variable->structure == LM_PERMUTATION ? p->count : 0, chosen = 0;
  for (size_t i = 0; i < q->parts && !shift; i++) chosen += values[i] > 0.5;
  bool allowed = shift || (chosen >= lm_structure_least(variable, q->parts) &&
                           chosen <= lm_structure_most(variable, q->parts)); /* other programs know no bounds */
  *value = allowed ? lm_structure_rank(variable, values + shift, q->parts) : -1;
  lm_free(t->allocator, values);
  return LMOPT_OK;
}

/* *on false: trials at another value of a fixed parameter, or at a value that can't be, are not about this tree. */
static lmopt_status add_answer(tree *t, const lm_view *view, answer item, bool *on) {
  const lm_column *column = item.question.column;
  if (is_fixed(view, column)) {
    *on = lm_assignments_find(view->fixed, column)->value == item.value;
    return LMOPT_OK;
  }
  *on = item.value >= 0 || !item.question.parts;
  if (!*on) return LMOPT_OK;
  if (!lm_grow(t->allocator, &t->answers, &t->answer_capacity, t->answer_count + 1, sizeof item))
    return LMOPT_NO_MEMORY;
  t->answers[t->answer_count++] = item;
  return LMOPT_OK;
}

static void add_to_node(tree *t, size_t at, size_t number) {
  node *n = &t->nodes[at];
  t->lines[number].next = NONE;
  if (n->line == NONE) {
    n->line = number;
  } else {
    t->lines[n->last_line].next = number;
  }
  n->last_line = number;
}

/* Puts a row at the root, with its answers in the order of their suggestion. */
static lmopt_status add_row(tree *t, const lm_view *view, size_t row, path *p) {
  if (row_path(t->allocator, view, row, p)) return LMOPT_NO_MEMORY;
  line made = {.first = t->answer_count, .next = NONE, .running = lm_view_state(view, row) == LM_RUNNING};
  for (size_t i = 0; i < p->count; i++) {
    const lm_distribution *d = p->items[i].distribution;
    if (!d || (!d->part && lm_distribution_single(d))) continue;
    answer item;
    bool on = true;
    if (ask(t, p, i, &item.question, &item.value)) return LMOPT_NO_MEMORY;
    if (value_count(&item.question) == 0) continue;
    if (add_answer(t, view, item, &on)) return LMOPT_NO_MEMORY;
    if (on) continue;
    t->answer_count = made.first;
    return LMOPT_OK;
  }
  made.count = t->answer_count - made.first;
  if (!lm_grow(t->allocator, &t->lines, &t->line_capacity, t->line_count + 1, sizeof made)) return LMOPT_NO_MEMORY;
  t->lines[t->line_count++] = made;
  add_to_node(t, 0, t->line_count - 1);
  return LMOPT_OK;
}

/* --- the tree --- */

/* The place of a question among the answers of a trial that are still to be followed, NONE when it was not asked. */
static size_t find_answer(const tree *t, const line *l, const question *q) {
  for (size_t i = l->done; i < l->count; i++) {
    const question *other = &t->answers[l->first + i].question;
    if (other->column == q->column && other->parts == q->parts) return i;
  }
  return NONE;
}

/* How many trials of a node go on without an answer to `q`; *most ends the count. */
static size_t count_without(const tree *t, const node *n, const question *q, size_t most) {
  size_t without = 0;
  for (size_t i = n->line; i != NONE && without < most; i = t->lines[i].next) {
    const line *l = &t->lines[i];
    if (!l->running && l->done < l->count && find_answer(t, l, q) == NONE) without++;
  }
  return without;
}

/*
** What is asked for at a node. Trials that were added have their parameters in
** another order than the objective asks, so it is the first question of the
** latest trial that all the others answer too, or the most of them. The latest
** also says the range.
*/
static void choose_question(tree *t, node *n) {
  size_t latest = NONE;
  for (size_t i = n->line; i != NONE; i = t->lines[i].next) {
    const line *l = &t->lines[i];
    if (l->done < l->count && (latest == NONE || !l->running || t->lines[latest].running)) latest = i;
  }
  if (latest == NONE) return;
  const line *l = &t->lines[latest];
  size_t fewest = NONE;
  for (size_t i = l->done; i < l->count && fewest > 0; i++) {
    const question *q = &t->answers[l->first + i].question;
    size_t without = count_without(t, n, q, fewest);
    if (without >= fewest) continue;
    fewest = without;
    n->next = *q;
  }
}

/* The child of a value, made if need be; NONE: no memory. */
static size_t child_of(tree *t, size_t at, double value) {
  for (size_t c = t->nodes[at].child; c != NONE; c = t->nodes[c].sibling)
    if (same_value(&t->nodes[at].next, t->nodes[c].value, value)) return c;
  size_t made = new_node(t, value);
  if (made == NONE) return NONE;
  node *n = &t->nodes[at];
  if (n->child == NONE) {
    n->child = made;
  } else {
    t->nodes[n->last_child].sibling = made;
  }
  n->last_child = made;
  return made;
}

/* Sends the trials of a node on to its children; those that answer something else are not about this tree. */
static lmopt_status grow_node(tree *t, size_t at, lm_error *e) {
  choose_question(t, &t->nodes[at]);
  question q = t->nodes[at].next;
  if (q.column && check_walkable(&q, e)) return LMOPT_MISUSE;
  for (size_t i = t->nodes[at].line, next; i != NONE; i = next) {
    line *l = &t->lines[i];
    next = l->next;
    if (l->done == l->count) {
      t->nodes[at].running |= l->running;
      t->nodes[at].finished |= !l->running;
      continue;
    }
    size_t place = find_answer(t, l, &q);
    if (place == NONE) continue;
    answer *answers = t->answers + l->first, found = answers[place];
    for (; place > l->done; place--) answers[place] = answers[place - 1];
    answers[l->done++] = found;
    size_t child = child_of(t, at, found.value);
    if (child == NONE) return lm_fail_memory(e);
    add_to_node(t, child, i);
  }
  return LMOPT_OK;
}

/* Counts untried leaves, children first. */
static void count_leaves(tree *t) {
  for (size_t i = t->count; i-- > 0;) {
    node *n = &t->nodes[i];
    if (!n->next.column) {
      n->open = n->finished ? 0 : 1;
      n->free = n->finished || n->running ? 0 : 1;
      continue;
    }
    double untried = value_count(&n->next);
    for (size_t c = n->child; c != NONE; c = t->nodes[c].sibling) {
      node *child = &t->nodes[c];
      if (has_value(&n->next, child->value)) {
        untried--;
      } else { /* of a range that is no longer */
        child->open = child->free = 0;
      }
      n->open += child->open;
      n->free += child->free;
    }
    if (untried > 0) {
      n->open += untried;
      n->free += untried;
    }
  }
}

static lmopt_status build(const lm_allocator *a, const lm_view *view, tree *t, lm_error *e) {
  lm_view whole = *view; /* what was tried was tried, whoever may learn from it */
  whole.scope = (lm_view_scope){0};
  view = &whole;
  *t = (tree){.allocator = a};
  path p = {0};
  lmopt_status status = new_node(t, 0) == NONE ? lm_fail_memory(e) : LMOPT_OK;
  for (size_t row = 0, rows = lm_view_count(view); row < rows && !status; row++) {
    if (lm_view_state(view, row) != LM_WAITING && add_row(t, view, row, &p)) status = lm_fail_memory(e);
  }
  for (size_t at = 0; at < t->count && !status; at++) status = grow_node(t, at, e); /* which adds nodes */
  lm_free(a, p.items);
  if (status) {
    free_tree(t);
  } else {
    count_leaves(t);
  }
  return status;
}

/* --- choosing --- */

static int compare_doubles(const void *left, const void *right) {
  double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* The places of the values that the children of `n` have; in no order, some perhaps twice. */
static size_t list_taken(const tree *t, const node *n, double *taken) {
  const lm_distribution *d = n->next.distribution;
  bool numbered = d->kind == LM_CATEGORICAL || n->next.parts > 0;
  size_t count = 0;
  for (size_t c = n->child; c != NONE; c = t->nodes[c].sibling) {
    double value = t->nodes[c].value;
    double place = numbered ? value : floor((value - d->low) / d->step + 0.5);
    if (place >= 0 && place < value_count(&n->next) && same_value(&n->next, value_at(&n->next, place), value))
      taken[count++] = place;
  }
  return count;
}

/* The index-th value of the node's parameter that no child has: in time of the children, however many values. */
static lmopt_status untried_value(const tree *t, const node *n, double index, double *value) {
  size_t children = 0;
  for (size_t c = n->child; c != NONE; c = t->nodes[c].sibling) children++;
  double *taken = lm_alloc(t->allocator, (children + 1) * sizeof *taken);
  if (!taken) return LMOPT_NO_MEMORY;
  size_t count = list_taken(t, n, taken);
  qsort(taken, count, sizeof *taken, compare_doubles);
  for (size_t i = 0; i < count && taken[i] <= index; i++)
    if (i == 0 || taken[i] != taken[i - 1]) index++;
  lm_free(t->allocator, taken);
  *value = index < value_count(&n->next) ? value_at(&n->next, index) : n->next.distribution->low;
  return LMOPT_OK;
}

/* Chooses a value below `n`; *next is its node, or NONE when nobody has been there. */
static lmopt_status choose(const tree *t, const node *n, bool avoid_running, lm_rng *rng, size_t *next, double *value) {
  double total = 0, expandable = 0, untried = value_count(&n->next);
  for (size_t c = n->child; c != NONE; c = t->nodes[c].sibling) {
    const node *child = &t->nodes[c];
    double leaves = avoid_running ? child->free : child->open;
    total += leaves;
    expandable += leaves > 0;
    if (has_value(&n->next, child->value)) untried--;
  }
  if (untried < 0) untried = 0;
  total += untried;
  expandable += untried;
  double u = lm_rng_uniform(rng);
  *next = NONE;
  for (size_t c = n->child; c != NONE; c = t->nodes[c].sibling) {
    double leaves = avoid_running ? t->nodes[c].free : t->nodes[c].open;
    if (!(leaves > 0)) continue;
    *next = c;
    u -= 0.5 * leaves / total + 0.5 / expandable;
    *value = t->nodes[c].value;
    if (u < 0) return LMOPT_OK;
  }
  if (untried < 1) return LMOPT_OK; /* u was next to 1 */
  *next = NONE;
  return untried_value(t, n, (double)lm_rng_below(rng, (uint64_t)untried), value);
}

/* Gives a question's value to the parameter, or to the parts. */
static lmopt_status assign(const lm_sampler *s, const tree *t, const question *q, double value, lm_assignments *out) {
  lm_assignment item = {q->column, q->distribution, value};
  if (!q->parts) return lm_assignments_add(s->allocator, out, item, NULL);
  double *values = lm_alloc(s->allocator, q->parts * sizeof *values);
  if (!values) return LMOPT_NO_MEMORY;
  lm_structure_unrank(q->distribution->part, value, values, q->parts);
  lmopt_status status = LMOPT_OK;
  for (size_t i = 0; i < q->parts && !status; i++) {
    const part *x = &t->parts[q->first + i];
    status = lm_assignments_add(s->allocator, out, (lm_assignment){x->column, x->distribution, values[i]}, NULL);
  }
  lm_free(s->allocator, values);
  return status;
}

static lmopt_status walk(const lm_sampler *s, const lm_view *view, const tree *t, lm_assignments *out) {
  lm_rng rng = lm_view_stream(view, "brute_force");
  bool avoid_running = t->nodes[0].free > 0;
  for (size_t at = 0; at != NONE && t->nodes[at].next.column;) {
    const node *n = &t->nodes[at];
    double value = n->next.distribution->low;
    if (choose(t, n, avoid_running, &rng, &at, &value)) return LMOPT_NO_MEMORY;
    if (assign(s, t, &n->next, value, out)) return LMOPT_NO_MEMORY;
  }
  return LMOPT_OK;
}

static lmopt_status sample_relative(lm_sampler *s, const lm_view *view, lm_assignments *out, lm_error *e) {
  tree t;
  lmopt_status status = build(s->allocator, view, &t, e);
  if (status) return status;
  const node *root = &t.nodes[0];
  if (!(root->open > 0)) {
    status = lm_fail(e, LMOPT_EXHAUSTED, "every combination has been tried");
  } else if (root->next.column && !(root->free > 0) && !view->settled) {
    status = lm_fail(e, LMOPT_BUSY, "every combination that is left is being tried");
  } else if (walk(s, view, &t, out)) {
    status = lm_fail_memory(e);
  }
  free_tree(&t);
  return status;
}

static lmopt_status sample_structure(lm_sampler *s, const lm_view *view, lm_column *const *columns,
                                     const lm_distribution *const *distributions, size_t count, double *values,
                                     lm_error *e) {
  (void)s;
  question q = {columns[0], distributions[0], count, 0};
  if (check_walkable(&q, e)) return LMOPT_MISUSE;
  lm_rng rng = lm_structure_stream(view, "brute_force:structure", distributions[0]->part);
  lm_structure_draw(distributions[0]->part, &rng, values, count);
  return LMOPT_OK;
}

static lmopt_status sample_independent(lm_sampler *s, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  (void)s;
  question q = {column, distribution, 0, 0};
  double values = value_count(&q);
  if (values == 0)
    return lm_fail(e, LMOPT_MISUSE, "brute_force needs a step for the float parameter '%.200s'", column->name);
  if (check_walkable(&q, e)) return LMOPT_MISUSE;
  lm_rng rng = lm_draw_stream(view, column);
  *internal = value_at(&q, (double)lm_rng_below(&rng, (uint64_t)values));
  return LMOPT_OK;
}

static bool exhausted(lm_sampler *s, const lm_view *view) {
  tree t;
  if (build(s->allocator, view, &t, NULL)) return false;
  bool none = !(t.nodes[0].open > 0);
  free_tree(&t);
  return none;
}

static void free_brute_force(lm_sampler *s) { lm_free(s->allocator, s); }

static const lm_sampler_class brute_force_class = {"brute_force", sample_relative,  sample_independent,
                                                   exhausted,     free_brute_force, sample_structure};

lm_sampler *lm_sampler_brute_force(const lm_allocator *a) {
  lm_sampler *s = lm_alloc(a, sizeof *s);
  if (s) *s = (lm_sampler){&brute_force_class, a};
  return s;
}
