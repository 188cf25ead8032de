/* Ask and tell from C: part 5 of lmopt.h. That Lua gives the same studies is in tests/embed/ask_tell.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lmopt.h"

/* An allocator that counts what is live, and refuses the call number fail_at. */
typedef struct ledger {
  size_t live, calls, fail_at;
} ledger;

static void *ledger_alloc(void *userdata, void *block, size_t old_size, size_t size) {
  ledger *l = userdata;
  if (size == 0) {
    l->live -= old_size;
    free(block);
    return NULL;
  }
  if (++l->calls == l->fail_at) return NULL;
  void *moved = realloc(block, size);
  if (moved) l->live += size - old_size;
  return moved;
}

static lmopt_runtime *open_runtime(ledger *l) {
  lmopt_config config;
  lmopt_config_init(&config);
  config.alloc = ledger_alloc;
  config.alloc_userdata = l;
  lmopt_runtime *rt = NULL;
  lmopt_open(&config, &rt);
  return rt;
}

static lmopt_study_config plain(unsigned long long seed) {
  lmopt_study_config config;
  lmopt_study_config_init(&config);
  config.name = "s";
  config.seed = seed;
  return config;
}

static lmopt_study *open_study(lmopt_runtime *rt, const lmopt_study_config *config) {
  lmopt_study *study;
  lmopt_status status = lmopt_study_open(rt, config, &study);
  if (status != LMOPT_OK) print_error("%s\n", lmopt_errmsg(rt));
  assert_int_equal(status, LMOPT_OK);
  assert_non_null(study);
  return study;
}

static char path[200];

static void remove_file(void) {
  static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
  char name[250];
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "%s%s", path, endings[i]);
    remove(name);
  }
}

static int use_file(void **state) {
  (void)state;
  snprintf(path, sizeof path, "%s/lmopt-ask-tell-%ld.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
           (long)getpid());
  remove_file();
  return 0;
}

static int drop_file(void **state) {
  (void)state;
  remove_file();
  return 0;
}

static lmopt_trial *ask(lmopt_study *study) {
  lmopt_trial *trial;
  assert_int_equal(lmopt_study_ask(study, &trial), LMOPT_OK);
  return trial;
}

static const char *const kinds[] = {"a", "b", "c \"quoted\""};

typedef struct point {
  double x;
  long long k;
  size_t kind;
} point;

static lmopt_status read_point(lmopt_trial *trial, point *p) {
  lmopt_status status = lmopt_trial_float(trial, "x", -5, 5, 0, 0, &p->x);
  if (status == LMOPT_OK) status = lmopt_trial_int(trial, "k", 1, 64, 0, 1, &p->k);
  if (status == LMOPT_OK) status = lmopt_trial_choice(trial, "kind", kinds, 3, &p->kind);
  return status;
}

static double loss(const point *p) { return p->x * p->x + log((double)p->k) + (double)p->kind; }

/* One trial by the book. */
static double run_one(lmopt_study *study) {
  point p;
  lmopt_trial *trial = ask(study);
  assert_int_equal(read_point(trial, &p), LMOPT_OK);
  double value = loss(&p);
  assert_int_equal(lmopt_study_tell(study, trial, LMOPT_COMPLETE, &value, 1), LMOPT_OK);
  return value;
}

/* --- what is right --- */

static void test_life(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  lmopt_study_config config = plain(3);
  config.trials = 30;
  lmopt_study *study = open_study(rt, &config);
  lmopt_trial *trial, *best;
  assert_int_equal(lmopt_study_best(study, &best), LMOPT_NOT_FOUND);
  assert_null(best);
  double lowest = INFINITY;
  for (int i = 0; i < 30; i++) {
    double value = run_one(study);
    if (value < lowest) lowest = value;
    assert_int_equal(lmopt_study_best(study, &best), LMOPT_OK);
    double found = 0;
    size_t count = 0;
    assert_int_equal(lmopt_trial_values(best, &found, 1, &count), LMOPT_OK);
    assert_int_equal(count, 1);
    assert_true(found == lowest);
  }
  assert_int_equal(lmopt_study_ask(study, &trial), LMOPT_LIMIT);
  assert_null(trial);
  assert_non_null(strstr(lmopt_errmsg(rt), "30 trials"));
  point p;
  assert_int_equal(read_point(best, &p), LMOPT_OK); /* what asked for them reads them too */
  assert_true(loss(&p) == lowest);
  assert_true(p.x >= -5 && p.x <= 5 && p.k >= 1 && p.k <= 64 && p.kind < 3);
  double nothing;
  assert_int_equal(lmopt_trial_float(best, "y", 0, 1, 0, 0, &nothing), LMOPT_NOT_FOUND);
  assert_int_equal(lmopt_trial_float(best, "k", 0, 1, 0, 0, &nothing), LMOPT_MISUSE);
  size_t index;
  assert_int_equal(lmopt_trial_choice(best, "kind", kinds, 2, &index), LMOPT_MISUSE);
  lmopt_study_summary summary;
  assert_int_equal(lmopt_study_summarize(study, &summary), LMOPT_OK);
  assert_string_equal(summary.name, "s");
  assert_true(summary.seed == 3 && summary.directions == 1 && summary.trials == 30 && summary.complete == 30);
  assert_int_equal(lmopt_study_trial(study, lmopt_trial_number(best), &trial), LMOPT_OK);
  assert_ptr_equal(trial, best);
  assert_int_equal(lmopt_study_trial(study, 30, &trial), LMOPT_NOT_FOUND);
  assert_int_equal(lmopt_study_trial(study, -1, &trial), LMOPT_NOT_FOUND);
  lmopt_study_close(study);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

static void test_ends(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  lmopt_study_config config = plain(1);
  lmopt_study *study = open_study(rt, &config);
  double value = 7, read;
  size_t count;
  lmopt_state how;
  lmopt_trial *failed = ask(study), *pruned = ask(study), *bare = ask(study), *good = ask(study);
  assert_int_equal(lmopt_study_tell(study, failed, LMOPT_FAIL, NULL, 0), LMOPT_OK);
  assert_int_equal(lmopt_trial_report(pruned, 1, 5), LMOPT_OK);
  assert_int_equal(lmopt_trial_report(pruned, 1, 6), LMOPT_OK); /* the first stands */
  assert_int_equal(lmopt_study_tell(study, pruned, LMOPT_PRUNED, NULL, 0), LMOPT_OK);
  assert_int_equal(lmopt_study_tell(study, bare, LMOPT_PRUNED, NULL, 0), LMOPT_OK);
  assert_int_equal(lmopt_trial_set_user_attr(good, "note", "a \"text\""), LMOPT_OK);
  assert_int_equal(lmopt_study_tell(study, good, LMOPT_COMPLETE, &value, 1), LMOPT_OK);
  value = 0; /* it was copied */
  lmopt_trial *const trials[] = {failed, pruned, bare, good};
  const lmopt_state states[] = {LMOPT_FAIL, LMOPT_PRUNED, LMOPT_PRUNED, LMOPT_COMPLETE};
  const double values[] = {NAN, 5, NAN, 7};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(lmopt_trial_number(trials[i]), i);
    assert_int_equal(lmopt_trial_state(trials[i], &how), LMOPT_OK);
    assert_int_equal(how, states[i]);
    assert_int_equal(lmopt_trial_values(trials[i], &read, 1, &count), LMOPT_OK);
    assert_int_equal(count, !isnan(values[i]));
    if (count) assert_true(read == values[i]);
    assert_int_equal(lmopt_study_tell(study, trials[i], LMOPT_COMPLETE, &value, 1), LMOPT_MISUSE); /* once */
  }
  const char *json;
  assert_int_equal(lmopt_trial_user_attr(good, "note", &json), LMOPT_OK);
  assert_string_equal(json, "\"a \\\"text\\\"\"");
  assert_int_equal(lmopt_trial_user_attr(good, "nothing", &json), LMOPT_NOT_FOUND);
  assert_null(json);
  /* An infeasible one is not the best. */
  lmopt_trial *better = ask(study), *best;
  assert_int_equal(lmopt_trial_set_constraint(better, "room", 0.5), LMOPT_OK);
  value = 1;
  assert_int_equal(lmopt_study_tell(study, better, LMOPT_COMPLETE, &value, 1), LMOPT_OK);
  assert_int_equal(lmopt_study_best(study, &best), LMOPT_OK);
  assert_ptr_equal(best, good);
  lmopt_study_close(study);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

static void test_front(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  static const lmopt_direction directions[] = {LMOPT_MINIMIZE, LMOPT_MAXIMIZE};
  lmopt_study_config config = plain(1);
  config.directions = directions;
  config.direction_count = 2;
  lmopt_study *study = open_study(rt, &config);
  static const double values[][2] = {{1, 1}, {2, 2}, {3, 1}, {0, 0}};
  for (int i = 0; i < 4; i++) {
    lmopt_trial *trial = ask(study);
    assert_int_equal(lmopt_study_tell(study, trial, LMOPT_COMPLETE, values[i], 1), LMOPT_MISUSE);
    assert_int_equal(lmopt_study_tell(study, trial, LMOPT_COMPLETE, values[i], 2), LMOPT_OK);
  }
  lmopt_trial *front[4], *best;
  size_t count;
  assert_int_equal(lmopt_study_front(study, front, 4, &count), LMOPT_OK);
  assert_int_equal(count, 3);
  static const int wanted[] = {0, 1, 3};
  for (int i = 0; i < 3; i++) assert_int_equal(lmopt_trial_number(front[i]), wanted[i]);
  assert_int_equal(lmopt_study_front(study, NULL, 0, &count), LMOPT_OK);
  assert_int_equal(count, 3);
  assert_int_equal(lmopt_study_best(study, &best), LMOPT_MISUSE);
  int prune = 1;
  assert_int_equal(lmopt_trial_should_prune(ask(study), &prune), LMOPT_OK);
  assert_int_equal(prune, 0);
  lmopt_study_close(study);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

static void test_pruning(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  for (int none = 0; none < 2; none++) {
    lmopt_study_config config = plain(1);
    if (none) config.pruner = "none";
    lmopt_study *study = open_study(rt, &config);
    for (int i = 0; i < 5; i++) {
      lmopt_trial *trial = ask(study);
      double value = i;
      lmopt_trial_report(trial, 1, value);
      lmopt_study_tell(study, trial, LMOPT_COMPLETE, &value, 1);
    }
    lmopt_trial *bad = ask(study), *good = ask(study);
    int prune;
    lmopt_trial_report(bad, 1, 100);
    lmopt_trial_report(good, 1, 0);
    assert_int_equal(lmopt_trial_should_prune(bad, &prune), LMOPT_OK);
    assert_int_equal(prune, !none);
    assert_int_equal(lmopt_trial_should_prune(good, &prune), LMOPT_OK);
    assert_int_equal(prune, 0);
    lmopt_study_close(study);
  }
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

static void test_enqueue(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  lmopt_study_config config = plain(1);
  lmopt_study *study = open_study(rt, &config);
  const lmopt_param known[] = {{"x", NULL, 2.5}, {"k", NULL, 8}, {"kind", "b", 0}};
  long long number = -1;
  assert_int_equal(lmopt_study_enqueue(study, known, 3, &number), LMOPT_OK);
  assert_int_equal(number, 0);
  assert_int_equal(lmopt_study_enqueue(study, known, 1, NULL), LMOPT_OK);
  point p;
  lmopt_trial *first = ask(study), *second = ask(study), *third = ask(study);
  assert_int_equal(lmopt_trial_number(first), 0);
  assert_int_equal(read_point(first, &p), LMOPT_OK);
  assert_true(p.x == 2.5 && p.k == 8 && p.kind == 1);
  assert_int_equal(read_point(second, &p), LMOPT_OK);
  assert_true(p.x == 2.5);
  assert_int_equal(lmopt_trial_number(third), 2);
  assert_int_equal(read_point(third, &p), LMOPT_OK);
  assert_true(p.x != 2.5);
  const lmopt_param bad[] = {{"x", NULL, NAN}, {NULL, NULL, 1}, {"", "a", 1}};
  for (int i = 0; i < 3; i++) assert_int_equal(lmopt_study_enqueue(study, &bad[i], 1, &number), LMOPT_MISUSE);
  lmopt_study_close(study);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

static void test_exhausted(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  lmopt_study_config config = plain(1);
  config.sampler = "brute_force";
  lmopt_study *study = open_study(rt, &config);
  bool seen[3] = {false};
  lmopt_trial *trial = NULL;
  for (int i = 0; i < 3; i++) {
    size_t kind;
    double value = i;
    trial = ask(study);
    assert_int_equal(lmopt_trial_choice(trial, "kind", kinds, 3, &kind), LMOPT_OK);
    assert_false(seen[kind]);
    seen[kind] = true;
    assert_int_equal(lmopt_study_tell(study, trial, LMOPT_COMPLETE, &value, 1), LMOPT_OK);
  }
  assert_int_equal(lmopt_study_ask(study, &trial), LMOPT_EXHAUSTED);
  lmopt_study_close(study);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

/* --- the laws --- */

/* Up to `lag` trials at a time, told in another order each time: the same study. */
static void test_law_of_suggestion(void **state) {
  (void)state;
  enum { LAG = 4, TRIALS = 40 };
  static point points[3][TRIALS];
  for (int round = 0; round < 3; round++) {
    ledger l = {0};
    lmopt_runtime *rt = open_runtime(&l);
    lmopt_study_config config = plain(11);
    config.lag = LAG;
    lmopt_study *study = open_study(rt, &config);
    lmopt_trial *running[LAG];
    for (int i = 0; i < TRIALS; i += LAG) {
      for (int k = 0; k < LAG; k++) {
        running[k] = ask(study);
        assert_int_equal(read_point(running[k], &points[round][i + k]), LMOPT_OK);
        if (round != 0) continue;
        double value = loss(&points[round][i + k]);
        assert_int_equal(lmopt_study_tell(study, running[k], LMOPT_COMPLETE, &value, 1), LMOPT_OK);
      }
      for (int k = 0; k < LAG && round > 0; k++) {
        int which = round == 1 ? LAG - 1 - k : (k + 2) % LAG;
        double value = loss(&points[round][i + which]);
        assert_int_equal(lmopt_study_tell(study, running[which], LMOPT_COMPLETE, &value, 1), LMOPT_OK);
      }
    }
    lmopt_study_close(study);
    lmopt_close(rt);
    assert_int_equal(l.live, 0);
  }
  for (int round = 1; round < 3; round++)
    for (int i = 0; i < TRIALS; i++) {
      assert_true(points[0][i].x == points[round][i].x);
      assert_true(points[0][i].k == points[round][i].k && points[0][i].kind == points[round][i].kind);
    }
}

/* Closing with a trial under way: whoever comes next runs it, with its number and parameters. */
static void test_law_of_interruption(void **state) {
  (void)state;
  remove_file();
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  lmopt_study_config config = plain(5);
  config.storage = path;
  config.trials = 20;
  lmopt_study *study = open_study(rt, &config);
  lmopt_study *again;
  assert_int_equal(lmopt_study_open(rt, &config, &again), LMOPT_EXISTS);
  assert_null(again);
  for (int i = 0; i < 12; i++) run_one(study);
  point before, after;
  assert_int_equal(read_point(ask(study), &before), LMOPT_OK);
  lmopt_study_close(study);
  config.load_if_exists = 1;
  config.seed = 0; /* what is stored stands */
  study = open_study(rt, &config);
  lmopt_study_summary summary;
  assert_int_equal(lmopt_study_summarize(study, &summary), LMOPT_OK);
  assert_true(summary.seed == 5 && summary.complete == 12 && summary.waiting == 1 && summary.running == 0);
  lmopt_trial *trial = ask(study);
  assert_int_equal(lmopt_trial_number(trial), 12);
  assert_int_equal(read_point(trial, &after), LMOPT_OK);
  assert_true(before.x == after.x && before.k == after.k && before.kind == after.kind);
  /* By hand too; the handle stays what it is. */
  assert_int_equal(lmopt_study_release(study, trial), LMOPT_OK);
  double nothing;
  assert_int_equal(lmopt_trial_report(trial, 1, 1), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_release(study, trial), LMOPT_MISUSE);
  assert_ptr_equal(ask(study), trial);
  assert_int_equal(lmopt_trial_float(trial, "x", -5, 5, 0, 0, &nothing), LMOPT_OK);
  assert_true(nothing == before.x);
  double value = loss(&before);
  assert_int_equal(lmopt_study_tell(study, trial, LMOPT_COMPLETE, &value, 1), LMOPT_OK);
  for (int i = 13; i < 20; i++) run_one(study);
  assert_int_equal(lmopt_study_ask(study, &trial), LMOPT_LIMIT);
  lmopt_study_close(study);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

/* Two runtimes on one file: each number once, and the total holds for both. */
static void test_neighbours(void **state) {
  (void)state;
  remove_file();
  enum { TRIALS = 30 };
  ledger l = {0};
  lmopt_runtime *rt[2] = {open_runtime(&l), open_runtime(&l)};
  lmopt_study *study[2];
  lmopt_study_config config = plain(9);
  config.storage = path;
  config.load_if_exists = 1;
  config.trials = TRIALS;
  for (int i = 0; i < 2; i++) study[i] = open_study(rt[i], &config);
  bool seen[TRIALS] = {false};
  for (int i = 0; i < TRIALS; i++) {
    lmopt_study *mine = study[i % 3 == 0];
    lmopt_trial *trial = ask(mine);
    point p;
    assert_false(seen[lmopt_trial_number(trial)]);
    seen[lmopt_trial_number(trial)] = true;
    assert_int_equal(read_point(trial, &p), LMOPT_OK);
    double value = loss(&p);
    assert_int_equal(lmopt_study_tell(mine, trial, LMOPT_COMPLETE, &value, 1), LMOPT_OK);
  }
  lmopt_trial *best[2], *none;
  for (int i = 0; i < 2; i++) {
    assert_int_equal(lmopt_study_ask(study[i], &none), LMOPT_LIMIT);
    assert_int_equal(lmopt_study_best(study[i], &best[i]), LMOPT_OK);
  }
  assert_int_equal(lmopt_trial_number(best[0]), lmopt_trial_number(best[1]));
  assert_int_equal(lmopt_study_tell(study[0], best[1], LMOPT_FAIL, NULL, 0), LMOPT_MISUSE);
  assert_non_null(strstr(lmopt_errmsg(rt[0]), "another study"));
  for (int i = 0; i < 2; i++) {
    lmopt_study_close(study[i]);
    lmopt_close(rt[i]);
  }
  assert_int_equal(l.live, 0);
}

/* --- opening --- */

static void test_opening(void **state) {
  (void)state;
  remove_file();
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  lmopt_study *study, *other;
  static const lmopt_direction up[] = {LMOPT_MAXIMIZE};
  lmopt_study_config config = plain(0);
  config.storage = path;
  config.must_exist = 1;
  assert_int_equal(lmopt_study_open(rt, &config, &study), LMOPT_NOT_FOUND);
  assert_int_not_equal(access(path, F_OK), 0); /* not even the file */
  config.must_exist = 0;
  config.load_if_exists = 1;
  config.directions = up;
  config.direction_count = 1;
  study = open_study(rt, &config);
  double value = 3;
  for (int i = 0; i < 3; i++) {
    lmopt_study_tell(study, ask(study), LMOPT_COMPLETE, &value, 1);
    value++;
  }
  /* Without directions: the study's own. */
  config.direction_count = 0;
  other = open_study(rt, &config);
  lmopt_trial *best;
  assert_int_equal(lmopt_study_best(other, &best), LMOPT_OK);
  assert_int_equal(lmopt_trial_number(best), 2);
  lmopt_study_close(other);
  static const lmopt_direction down[] = {LMOPT_MINIMIZE};
  config.directions = down;
  config.direction_count = 1;
  assert_int_equal(lmopt_study_open(rt, &config, &other), LMOPT_MISUSE);
  config.direction_count = 0;
  config.read_only = 1;
  other = open_study(rt, &config);
  assert_int_equal(lmopt_study_best(other, &best), LMOPT_OK);
  lmopt_trial *none;
  assert_int_equal(lmopt_study_ask(other, &none), LMOPT_MISUSE);
  assert_non_null(strstr(lmopt_errmsg(rt), "read only"));
  lmopt_study_close(other);
  lmopt_study_close(study);
  /* None at all: in memory, with a name of its own. */
  assert_int_equal(lmopt_study_open(rt, NULL, &study), LMOPT_OK);
  lmopt_study_summary summary;
  assert_int_equal(lmopt_study_summarize(study, &summary), LMOPT_OK);
  assert_int_equal(strncmp(summary.name, "study-", 6), 0);
  lmopt_study_close(study);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

static void expect_misuse(lmopt_runtime *rt, lmopt_study_config config, const char *text) {
  lmopt_study *study;
  assert_int_equal(lmopt_study_open(rt, &config, &study), LMOPT_MISUSE);
  assert_null(study);
  if (!strstr(lmopt_errmsg(rt), text)) print_error("'%s' lacks '%s'\n", lmopt_errmsg(rt), text);
  assert_non_null(strstr(lmopt_errmsg(rt), text));
}

static void test_every_method(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  const char *const samplers[] = {"auto", "brute_force", "cmaes", "gp", "nsga2", "nsga3", "qmc", "random", "tpe"};
  const char *const pruners[] = {"hyperband", "median", "none", "successive_halving", "wilcoxon"};
  const lmopt_direction one[] = {LMOPT_MINIMIZE};
  for (size_t i = 0; i < sizeof samplers / sizeof *samplers; i++) {
    lmopt_study_config c = plain(1);
    c.sampler = samplers[i];
    c.pruner = pruners[i % (sizeof pruners / sizeof *pruners)];
    c.directions = one;
    c.direction_count = 1;
    lmopt_study *study;
    assert_int_equal(lmopt_study_open(rt, &c, &study), LMOPT_OK);
    for (int k = 0; k < 25; k++) {
      lmopt_trial *trial;
      double x;
      long long n;
      assert_int_equal(lmopt_study_ask(study, &trial), LMOPT_OK);
      assert_int_equal(lmopt_trial_float(trial, "x", -1, 1, i == 1 ? 0.01 : 0, 0, &x), LMOPT_OK);
      assert_int_equal(lmopt_trial_int(trial, "n", 1, 9, 1, 0, &n), LMOPT_OK);
      assert_true(x >= -1 && x <= 1 && n >= 1 && n <= 9);
      double value = x * x + (double)n;
      assert_int_equal(lmopt_trial_report(trial, value, 1), LMOPT_OK);
      assert_int_equal(lmopt_study_tell(study, trial, LMOPT_COMPLETE, &value, 1), LMOPT_OK);
    }
    lmopt_study_close(study);
  }
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

static void test_misuse(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  lmopt_study_config c = plain(1);
  c.sampler = "tpee";
  expect_misuse(rt, c, "unknown sampler 'tpee'");
  c = plain(1);
  c.pruner = "mean";
  expect_misuse(rt, c, "unknown pruner 'mean'");
  const lmopt_direction two[] = {LMOPT_MINIMIZE, LMOPT_MAXIMIZE};
  c = plain(1);
  c.sampler = "cmaes";
  c.directions = two;
  c.direction_count = 2;
  expect_misuse(rt, c, "the study has 2: gp, tpe, nsga2");
  c = plain(1);
  c.sampler = "nsga3";
  expect_misuse(rt, c, "needs the directions");
  c = plain(1ULL << 53);
  expect_misuse(rt, c, "seed");
  c = plain(1);
  c.lag = -1;
  expect_misuse(rt, c, "lag");
  c.lag = 0;
  c.name = "";
  expect_misuse(rt, c, "name");
  c = plain(1);
  c.must_exist = 1;
  expect_misuse(rt, c, "must_exist needs");
  c = plain(1);
  c.direction_count = 1;
  expect_misuse(rt, c, "directions is NULL");
  c = plain(1);
  c.order = (lmopt_order)7;
  expect_misuse(rt, c, "order");
  assert_int_equal(lmopt_study_open(rt, NULL, NULL), LMOPT_MISUSE);
  c = plain(1);
  lmopt_study *t = NULL;
  assert_int_equal(lmopt_study_open(NULL, &c, &t), LMOPT_MISUSE);
  t = open_study(rt, &c);
  lmopt_trial *trial = ask(t);
  double x = 1, nan = NAN;
  long long k;
  size_t index;
  assert_int_equal(lmopt_trial_float(trial, NULL, 0, 1, 0, 0, &x), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_float(trial, "", 0, 1, 0, 0, &x), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_float(trial, "x", 0, 1, 0, 0, NULL), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_float(trial, "x", 2, 1, 0, 0, &x), LMOPT_MISUSE);
  assert_string_equal(lmopt_errmsg(rt), "parameter 'x': low (2) is above high (1)");
  assert_int_equal(lmopt_trial_float(trial, "x", 0, 1, 0, 1, &x), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_float(trial, "x", 0, INFINITY, 0, 0, &x), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_int(trial, "k", 0, (1LL << 53) + 1, 0, 0, &k), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_int(trial, "k", 0, 9, -1, 0, &k), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_choice(trial, "c", NULL, 3, &index), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_choice(trial, "c", kinds, 0, &index), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_float(trial, "x", 0, 1, 0, 0, &x), LMOPT_OK);
  assert_int_equal(lmopt_trial_int(trial, "x", 0, 1, 0, 0, &k), LMOPT_MISUSE); /* of another kind */
  assert_int_equal(lmopt_trial_report(trial, -1, 0), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_set_constraint(trial, "c", NAN), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_set_user_attr(trial, "c", NULL), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_tell(t, trial, LMOPT_COMPLETE, NULL, 0), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_tell(t, trial, LMOPT_COMPLETE, &nan, 1), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_tell(t, trial, LMOPT_WAITING, &x, 1), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_tell(t, trial, LMOPT_FAIL, &x, 1), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_tell(t, NULL, LMOPT_FAIL, NULL, 0), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_open(rt, &c, NULL), LMOPT_MISUSE);
  assert_string_equal(lmopt_errmsg(rt), "out is NULL");
  assert_int_equal(lmopt_study_tell(t, trial, LMOPT_COMPLETE, &x, 1), LMOPT_OK); /* it goes on after all that */
  lmopt_study_close(t);
  lmopt_study_close(NULL);
  assert_int_equal(lmopt_study_ask(NULL, &trial), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_number(NULL), -1);
  assert_int_equal(lmopt_trial_report(NULL, 0, 0), LMOPT_MISUSE);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

/* lmopt_close first: everything answers, nothing crashes, nothing leaks, and the trial under way waits in the file. */
static void test_runtime_closed_first(void **state) {
  (void)state;
  remove_file();
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l);
  lmopt_study_config config = plain(2);
  config.storage = path;
  lmopt_study *study = open_study(rt, &config);
  run_one(study);
  lmopt_trial *trial = ask(study), *other;
  double x;
  long long k;
  size_t n;
  int prune;
  const char *json;
  lmopt_state how;
  lmopt_study_summary summary;
  assert_int_equal(lmopt_trial_float(trial, "x", -5, 5, 0, 0, &x), LMOPT_OK);
  lmopt_close(rt);
  assert_int_equal(lmopt_study_ask(study, &other), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_best(study, &other), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_front(study, NULL, 0, &n), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_trial(study, 0, &other), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_tell(study, trial, LMOPT_COMPLETE, &x, 1), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_release(study, trial), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_enqueue(study, NULL, 0, NULL), LMOPT_MISUSE);
  assert_int_equal(lmopt_study_summarize(study, &summary), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_float(trial, "x", -5, 5, 0, 0, &x), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_int(trial, "k", 1, 64, 0, 1, &k), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_choice(trial, "kind", kinds, 3, &n), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_report(trial, 1, 1), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_should_prune(trial, &prune), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_set_constraint(trial, "c", 1), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_set_user_attr(trial, "c", "d"), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_user_attr(trial, "c", &json), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_state(trial, &how), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_values(trial, &x, 1, &n), LMOPT_MISUSE);
  assert_int_equal(lmopt_trial_number(trial), 1);
  lmopt_study_close(study);
  assert_int_equal(l.live, 0);
  rt = open_runtime(&l);
  config.load_if_exists = 1;
  study = open_study(rt, &config);
  assert_int_equal(lmopt_study_summarize(study, &summary), LMOPT_OK);
  assert_true(summary.complete == 1 && summary.waiting == 1);
  lmopt_study_close(study);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

/* --- no memory --- */

/* Makes a call again while memory is short; everything else that goes wrong fails the test. */
#define INSIST(call)                                          \
  do {                                                        \
    lmopt_status insisted;                                    \
    while ((insisted = (call)) == LMOPT_NO_MEMORY) refused++; \
    assert_int_equal(insisted, LMOPT_OK);                     \
  } while (0)

enum { SHORT_TRIALS = 14 };

/* A whole study; what was suggested goes into `points`. Returns how many calls were refused. */
static size_t run_short(ledger *l, const char *storage, point *points) {
  size_t refused = 0;
  lmopt_config rc;
  lmopt_config_init(&rc);
  rc.alloc = ledger_alloc;
  rc.alloc_userdata = l;
  lmopt_runtime *rt;
  INSIST(lmopt_open(&rc, &rt));
  lmopt_study_config config = plain(21);
  config.storage = storage;
  config.load_if_exists = 1;
  config.lag = 2;
  lmopt_study *study;
  INSIST(lmopt_study_open(rt, &config, &study));
  const lmopt_param known[] = {{"x", NULL, 1.5}, {"kind", "b", 0}};
  INSIST(lmopt_study_enqueue(study, known, 2, NULL));
  lmopt_trial *trial;
  size_t count;
  for (int i = 0; i < SHORT_TRIALS; i++) {
    INSIST(lmopt_study_ask(study, &trial));
    assert_int_equal(lmopt_trial_number(trial), i);
    INSIST(read_point(trial, &points[i]));
    INSIST(lmopt_trial_report(trial, 1, points[i].x));
    INSIST(lmopt_trial_set_constraint(trial, "room", -1));
    INSIST(lmopt_trial_set_user_attr(trial, "note", "text"));
    double value = loss(&points[i]);
    INSIST(lmopt_study_tell(study, trial, LMOPT_COMPLETE, &value, 1));
  }
  INSIST(lmopt_study_best(study, &trial));
  INSIST(lmopt_study_front(study, &trial, 1, &count));
  lmopt_study_close(study);
  lmopt_close(rt);
  return refused;
}

static void refuse_in_turn(const char *storage) {
  static point wanted[SHORT_TRIALS], found[SHORT_TRIALS];
  ledger whole = {0};
  remove_file();
  assert_int_equal(run_short(&whole, storage, wanted), 0);
  assert_int_equal(whole.live, 0);
  size_t calls = whole.calls, refused = 0;
  const char *step = getenv("LMOPT_TEST_STEP"); /* the sanitizers are slow */
  size_t every = step ? (size_t)strtoul(step, NULL, 10) : 1;
  for (size_t n = 1; n <= calls; n += every ? every : 1) {
    ledger l = {.fail_at = n};
    remove_file();
    memset(found, 0, sizeof found);
    refused += run_short(&l, storage, found) > 0;
    assert_int_equal(l.live, 0);
    for (int i = 0; i < SHORT_TRIALS; i++)
      if (found[i].x != wanted[i].x || found[i].k != wanted[i].k || found[i].kind != wanted[i].kind) {
        print_error("allocation %zu, trial %d: another point\n", n, i);
        fail();
      }
  }
  assert_true(calls > 100 && refused > 0);
}

static void test_no_memory(void **state) {
  (void)state;
  refuse_in_turn(NULL);
}

static void test_no_memory_in_a_file(void **state) {
  (void)state;
  refuse_in_turn(path);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_life),
      cmocka_unit_test(test_ends),
      cmocka_unit_test(test_front),
      cmocka_unit_test(test_pruning),
      cmocka_unit_test(test_enqueue),
      cmocka_unit_test(test_exhausted),
      cmocka_unit_test(test_law_of_suggestion),
      cmocka_unit_test(test_law_of_interruption),
      cmocka_unit_test(test_neighbours),
      cmocka_unit_test(test_opening),
      cmocka_unit_test(test_every_method),
      cmocka_unit_test(test_misuse),
      cmocka_unit_test(test_runtime_closed_first),
      cmocka_unit_test(test_no_memory),
      cmocka_unit_test(test_no_memory_in_a_file),
  };
  return cmocka_run_group_tests(tests, use_file, drop_file);
}
