/* Plans of demonstrations and minibatches: vectors, and what must hold of every one of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "math/plans.h"
#include "simulated.h"

#define COUNT_OF(list) (sizeof(list) / sizeof *(list))

enum { MOST = 128 };

static void assert_list(const uint32_t *list, const uint32_t *expected, size_t count) {
  for (size_t i = 0; i < count; i++) assert_int_equal(list[i], expected[i]);
}

/* None twice, all below n. */
static void assert_distinct(const uint32_t *list, uint32_t count, uint32_t n) {
  bool there[MOST] = {false};
  for (uint32_t i = 0; i < count; i++) {
    assert_true(list[i] < n && !there[list[i]]);
    there[list[i]] = true;
  }
}

/* Written down once, with Python from the text of base/rng.h: what a seed gives must never change. */
static void vectors(void **state) {
  (void)state;
  static const uint32_t order[] = {4, 0, 2, 5, 1, 6, 7, 3, 9, 8},
                        batch[] = {6, 2, 4, 5, 9, 8, 7, 3, 1, 0, 5, 2, 0, 7, 1, 9, 6, 3, 4, 8};
  uint32_t list[MOST];
  lm_plan_order(7, 3, "order", list, 10);
  assert_list(list, order, 10);
  lm_allocator a = lm_allocator_default();
  lm_plan_batches plan = {.seed = 11, .examples = 10, .size = 4};
  for (uint64_t k = 0; k < 5; k++) {
    assert_int_equal(lm_plan_minibatch(&a, &plan, k, list), LMOPT_OK);
    assert_list(list, batch + 4 * k, 4);
  }
}

/* Every order of 4 is as likely: chi-squared of 24 cells, 1 in 10,000 beyond 57.7. So is every sample. */
static void uniform(void **state) {
  (void)state;
  enum { DRAWS = 24000 };
  int orders[256] = {0}, samples[10] = {0};
  uint32_t list[10];
  for (int k = 0; k < DRAWS; k++) {
    lm_plan_order(1, k, "uniform", list, 4);
    orders[list[0] | list[1] << 2 | list[2] << 4 | list[3] << 6]++;
    for (uint32_t i = 0; i < 10; i++) list[i] = i;
    lm_rng rng = lm_rng_stream(1, k, "sample");
    lm_plan_sample(&rng, list, 10, 3);
    assert_distinct(list, 10, 10);
    for (int i = 0; i < 3; i++) samples[list[i]]++;
  }
  double square = 0;
  int seen = 0;
  for (int i = 0; i < 256; i++) {
    seen += orders[i] > 0;
    if (orders[i]) square += (orders[i] - 1000.0) * (orders[i] - 1000.0) / 1000.0;
  }
  assert_int_equal(seen, 24);
  assert_true(square < 57.7);
  for (int i = 0; i < 10; i++) assert_in_range(samples[i], 7200 - 350, 7200 + 350); /* 5 standard errors */
}

static void which_sets(void **state) {
  (void)state;
  lm_plan_limits limits = {.seed = 5, .examples = 20, .max_bootstrapped = 4, .max_labeled = 16};
  uint32_t order[20], plain[20];
  for (uint32_t i = 0; i < 20; i++) plain[i] = i;
  static const lm_plan_set expected[] = {
      {LM_PLAN_ZERO_SHOT, 0, 0}, {LM_PLAN_LABELED, 0, 16}, {LM_PLAN_BOOTSTRAP, 4, 16}};
  for (uint32_t s = 0; s < 3; s++) {
    lm_plan_set set = lm_plan_candidate(&limits, s, order);
    assert_memory_equal(&set, &expected[s], sizeof set);
    assert_list(order, plain, 20);
  }
  int sizes[5] = {0};
  for (uint32_t s = 3; s < 4003; s++) {
    lm_plan_set set = lm_plan_candidate(&limits, s, order);
    assert_true(set.kind == LM_PLAN_SHUFFLED && set.labeled == 16 && set.bootstrapped >= 1 && set.bootstrapped <= 4);
    sizes[set.bootstrapped]++;
    assert_distinct(order, 20, 20);
    assert_memory_not_equal(order, plain, sizeof order);
  }
  for (int i = 1; i <= 4; i++) assert_in_range(sizes[i], 1000 - 140, 1000 + 140);
  /* Without labelled ones that set is left out; without a teacher samples of random sizes stay. */
  limits.max_labeled = 0;
  assert_int_equal(lm_plan_candidate(&limits, 1, NULL).kind, LM_PLAN_BOOTSTRAP);
  assert_int_equal(lm_plan_candidate(&limits, 2, NULL).kind, LM_PLAN_SHUFFLED);
  limits.max_labeled = 3;
  limits.max_bootstrapped = 0;
  assert_int_equal(lm_plan_candidate(&limits, 1, NULL).kind, LM_PLAN_LABELED);
  for (uint32_t s = 2; s < 50; s++) {
    lm_plan_set set = lm_plan_candidate(&limits, s, NULL);
    assert_true(set.kind == LM_PLAN_SHUFFLED && set.bootstrapped == 0 && set.labeled >= 1 && set.labeled <= 3);
  }
  limits.max_labeled = 0;
  assert_int_equal(lm_plan_candidate(&limits, 9, NULL).kind, LM_PLAN_ZERO_SHOT);
  limits = (lm_plan_limits){.seed = 5, .examples = 0, .max_bootstrapped = 4, .max_labeled = 16};
  assert_int_equal(lm_plan_candidate(&limits, 1, order).kind, LM_PLAN_ZERO_SHOT);
}

static void demonstrations(void **state) {
  (void)state;
  enum { N = 30 };
  lm_plan_limits limits = {.seed = 2, .examples = N, .max_bootstrapped = 4, .max_labeled = 9};
  unsigned char succeeded[N];
  uint32_t list[2 * N], other[2 * N], order[N], made, other_made;
  for (uint32_t i = 0; i < N; i++) succeeded[i] = i % 3 == 1;
  for (uint32_t s = 0; s < 200; s++) {
    lm_plan_set set = lm_plan_candidate(&limits, s, order);
    uint32_t count = lm_plan_demonstrations(&limits, s, "query", succeeded, list, &made);
    assert_int_equal(made, set.bootstrapped);
    assert_int_equal(count, s == 0 ? 0 : 9);
    assert_distinct(list, count, N);
    for (uint32_t i = 0, found = 0; found < made; i++) /* the first that succeeded, in the set's order */
      if (succeeded[order[i]]) assert_int_equal(list[found++], order[i]);
    /* The same teacher's for another predictor, other labelled ones: not a part of those of the first. */
    uint32_t other_count = lm_plan_demonstrations(&limits, s, "answer", succeeded, other, &other_made);
    assert_int_equal(other_count, count);
    assert_int_equal(other_made, made);
    assert_memory_equal(other, list, made * sizeof *list);
    if (s > 0) assert_memory_not_equal(other + made, list + made, (count - made) * sizeof *list);
  }
}

/* How often each example is shown as a labelled one: as often as any other. */
static void labeled_uniform(void **state) {
  (void)state;
  lm_plan_limits limits = {.seed = 3, .examples = 12, .max_bootstrapped = 0, .max_labeled = 4};
  uint32_t list[24], made;
  int shown[12] = {0};
  for (uint64_t seed = 0; seed < 6000; seed++) {
    limits.seed = seed;
    assert_int_equal(lm_plan_demonstrations(&limits, 1, "self", NULL, list, &made), 4);
    for (int i = 0; i < 4; i++) shown[list[i]]++;
  }
  for (int i = 0; i < 12; i++) assert_in_range(shown[i], 2000 - 185, 2000 + 185);
  limits.first_labeled = true;
  assert_int_equal(lm_plan_demonstrations(&limits, 1, "self", NULL, list, &made), 4);
  assert_list(list, (const uint32_t[]){0, 1, 2, 3}, 4);
}

/* Fewer that succeeded than were wanted; more wanted than there are. */
static void too_few(void **state) {
  (void)state;
  lm_plan_limits limits = {.seed = 3, .examples = 5, .max_bootstrapped = 4, .max_labeled = 16};
  unsigned char succeeded[5] = {0, 0, 1, 0, 0};
  uint32_t list[10], made;
  assert_int_equal(lm_plan_demonstrations(&limits, 2, "self", succeeded, list, &made), 5);
  assert_int_equal(made, 1);
  assert_int_equal(list[0], 2);
  assert_distinct(list, 5, 5);
  limits.max_labeled = 0; /* the teacher's alone */
  assert_int_equal(lm_plan_demonstrations(&limits, 1, "self", succeeded, list, &made), 1);
  limits.max_labeled = limits.max_bootstrapped = 1; /* a list full of the teacher's */
  assert_int_equal(lm_plan_demonstrations(&limits, 2, "self", succeeded, list, &made), 1);
  assert_int_equal(list[0], 2);
  limits.examples = 1;
  succeeded[0] = 0;
  assert_int_equal(lm_plan_demonstrations(&limits, 2, "self", succeeded, list, &made), 1);
  assert_int_equal(made, 0);
}

static void without(void **state) {
  (void)state;
  uint32_t list[] = {4, 2, 9, 2, 7};
  assert_int_equal(lm_plan_without(list, 5, 5), 5);
  assert_int_equal(lm_plan_without(list, 5, 2), 3);
  assert_list(list, (const uint32_t[]){4, 9, 7}, 3);
  assert_int_equal(lm_plan_without(list, 0, 4), 0);
}

/* No repeats in a batch, no example used more than once more than another, the same by any way to a batch. */
static void equal_use(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  uint32_t list[MOST];
  for (uint32_t n = 1; n <= 24; n++) {
    for (uint32_t m = 1; m <= n; m++) {
      lm_plan_batches plan = {.seed = n, .examples = n, .size = m};
      unsigned used[24] = {0};
      for (uint64_t k = 0; k < 3U * n; k++) {
        assert_int_equal(lm_plan_minibatch(&a, &plan, k, list), LMOPT_OK);
        assert_distinct(list, m, n);
        for (uint32_t i = 0; i < m; i++) used[list[i]]++;
        unsigned least = (unsigned)((k + 1) * m / n), most = (unsigned)(((k + 1) * m + n - 1) / n);
        for (uint32_t i = 0; i < n; i++) assert_in_range(used[i], least, most);
      }
    }
  }
}

/* Far into a run it costs no more than a round; another seed gives other batches. */
static void far_batches(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  uint32_t list[MOST], other[MOST];
  lm_plan_batches plan = {.seed = 1, .examples = 101, .size = 35};
  assert_int_equal(lm_plan_minibatch(&a, &plan, UINT64_C(1) << 40, list), LMOPT_OK);
  assert_distinct(list, 35, 101);
  plan.seed = 2;
  assert_int_equal(lm_plan_minibatch(&a, &plan, UINT64_C(1) << 40, other), LMOPT_OK);
  assert_memory_not_equal(list, other, 35 * sizeof *list);
}

/* A digest of some batches in a row, with and without groups. */
static uint64_t digest_batches(uint32_t n, uint32_t m, uint64_t first, uint64_t count, const uint32_t *groups) {
  lm_allocator a = lm_allocator_default();
  static uint32_t list[3000];
  uint64_t digest = 0;
  lm_plan_batches plan = {.seed = n + m, .examples = n, .size = m, .groups = groups};
  for (uint64_t k = first; k < first + count; k++) {
    assert_int_equal(lm_plan_minibatch(&a, &plan, k, list), LMOPT_OK);
    digest = lm_mix(digest ^ lm_hash(list, m * sizeof *list));
  }
  return digest;
}

/* Written down when each batch was still reached from the beginning of its round, through all epochs in between. */
static void same_batches(void **state) {
  (void)state;
  static const struct {
    uint32_t examples, size;
    uint64_t batch, digest;
  } far[] = {
      {101, 100, 50, UINT64_C(0x059155e9bc36aa4b)},
      {1000, 35, UINT64_C(1) << 40, UINT64_C(0xbb38940869c9a5d3)},
      {1000, 997, 996, UINT64_C(0xb5b6ec567a3f68a4)},
      {3000, 1499, 2990, UINT64_C(0x9c6ace384b724803)},
      {3000, 2500, UINT64_C(1) << 50, UINT64_C(0x47fbad389e981128)},
  };
  static uint32_t group_of[24];
  uint64_t digest = 0;
  for (uint32_t i = 0; i < COUNT_OF(group_of); i++) group_of[i] = i % 7;
  for (uint32_t n = 1; n <= 24; n++) {
    for (uint32_t m = 1; m <= n; m++) {
      digest = lm_mix(digest ^ digest_batches(n, m, 0, 3 * n, NULL));
      digest = lm_mix(digest ^ digest_batches(n, m, 0, 3 * n, group_of));
    }
  }
  assert_true(digest == UINT64_C(0xf236f2b132233158));
  for (size_t i = 0; i < COUNT_OF(far); i++)
    assert_true(digest_batches(far[i].examples, far[i].size, far[i].batch, 3, NULL) == far[i].digest);
}

/* Rounds of ten thousand million examples: the batch is there within some epochs, and no example is in it twice. */
static void endless_rounds(void **state) {
  (void)state;
  enum { N = 100003, SIZES = 4 };
  static const uint32_t sizes[SIZES] = {100001, 87000, 50001, 49999};
  static uint32_t list[N], group_of[N];
  static unsigned char there[N];
  lm_allocator a = lm_allocator_default();
  for (uint32_t i = 0; i < N; i++) group_of[i] = i % 5;
  for (int i = 0; i < 2 * SIZES; i++) {
    lm_plan_batches plan = {.seed = 1, .examples = N, .size = sizes[i / 2], .groups = i % 2 ? group_of : NULL};
    assert_int_equal(lm_plan_minibatch(&a, &plan, INT64_MAX, list), LMOPT_OK);
    memset(there, 0, sizeof there);
    int of[5] = {0};
    for (uint32_t k = 0; k < plan.size; k++) {
      assert_true(list[k] < N && !there[list[k]]);
      there[list[k]] = 1;
      of[group_of[list[k]]]++;
    }
    for (int g = 0; g < 5 && plan.groups; g++) assert_in_range(of[g], plan.size / 5 - 3, plan.size / 5 + 4);
  }
}

/* Batches that are made of what they leave out, and those whose groups are looked for near by, use each example as often. */
static void equal_use_of_many(void **state) {
  (void)state;
  enum { N = 1499, BATCHES = 12 };
  static const uint32_t sizes[] = {1498, 1490, 700};
  static uint32_t list[N], group_of[N];
  lm_allocator a = lm_allocator_default();
  for (uint32_t i = 0; i < N; i++) group_of[i] = i % 3;
  for (size_t s = 0; s < 2 * COUNT_OF(sizes); s++) {
    lm_plan_batches plan = {.seed = s, .examples = N, .size = sizes[s / 2], .groups = s % 2 ? group_of : NULL};
    uint64_t used[N] = {0};
    for (uint64_t k = 0; k < BATCHES; k++) {
      assert_int_equal(lm_plan_minibatch(&a, &plan, k, list), LMOPT_OK);
      for (uint32_t i = 0; i < plan.size; i++) used[list[i]]++;
      uint64_t least = (k + 1) * plan.size / N, most = ((k + 1) * plan.size + N - 1) / N;
      for (int i = 0; i < N; i++) assert_in_range(used[i], least, most);
    }
  }
}

/* The pairs of examples that are in one batch: each as often, so that no batch is stale. Also over epochs' ends. */
static void pairs(void **state) {
  (void)state;
  enum { N = 6, M = 4, ROUNDS = 6000 };
  lm_allocator a = lm_allocator_default();
  uint32_t list[M];
  int together[N][N] = {{0}};
  for (uint64_t seed = 0; seed < ROUNDS; seed++) {
    lm_plan_batches plan = {.seed = seed, .examples = N, .size = M};
    assert_int_equal(lm_plan_minibatch(&a, &plan, 1, list), LMOPT_OK);
    for (int i = 0; i < M; i++)
      for (int j = 0; j < M; j++) together[list[i]][list[j]]++;
  }
  for (int i = 0; i < N; i++)
    for (int j = 0; j < N; j++) /* i itself: 4 of 6; another: 4 * 3 / (6 * 5) */
      assert_in_range(together[i][j], (i == j ? 4000 : 2400) - 200, (i == j ? 4000 : 2400) + 200);
}

static void groups(void **state) {
  (void)state;
  enum { N = 97 };
  static const uint32_t sizes[] = {1, 3, 10, 25, 58};
  static const uint32_t widths[] = {5, 20, 35, 60, 97};
  lm_allocator a = lm_allocator_default();
  uint32_t list[MOST], group_of[N], n = 0;
  for (uint32_t g = 0; g < COUNT_OF(sizes); g++)
    for (uint32_t i = 0; i < sizes[g]; i++) group_of[n++ * 31 % N] = g; /* 31 and 97: every place once */
  for (size_t w = 0; w < COUNT_OF(widths); w++) {
    lm_plan_batches plan = {.seed = w, .examples = N, .size = widths[w], .groups = group_of};
    unsigned used[N] = {0};
    for (uint64_t k = 0; k < 200; k++) {
      assert_int_equal(lm_plan_minibatch(&a, &plan, k, list), LMOPT_OK);
      assert_distinct(list, widths[w], N);
      int of[COUNT_OF(sizes)] = {0};
      for (uint32_t i = 0; i < widths[w]; i++) {
        used[list[i]]++;
        of[group_of[list[i]]]++;
      }
      for (size_t g = 0; g < COUNT_OF(sizes); g++) { /* its share, give or take the two ends of the stretch */
        double share = (double)widths[w] * sizes[g] / N;
        assert_true(of[g] > share - 2.5 && of[g] < share + 2.5);
      }
    }
    unsigned least = 200 * widths[w] / N;
    for (int i = 0; i < N; i++) assert_in_range(used[i], least, least + 1);
  }
}

static void same_texts(void **state) {
  (void)state;
  static const lm_plan_text texts[] = {{"a b", 3}, {"", 0}, {"A b", 3}, {"a b", 3}, {NULL, 0}, {"a\0b", 3}, {"a b", 2}};
  static const uint32_t expected[] = {0, 1, 2, 0, 1, 5, 6};
  lm_allocator a = lm_allocator_default();
  uint32_t first[7];
  assert_int_equal(lm_plan_same(&a, texts, 7, first), LMOPT_OK);
  assert_list(first, expected, 7);
  assert_int_equal(lm_plan_same(&a, texts, 0, first), LMOPT_OK);
}

#define TEXT(text) \
  { (text), sizeof(text) - 1 }

static void near_texts(void **state) {
  (void)state;
  static const lm_plan_text texts[] = {
      TEXT("Solve the task step by step."),     /* solve the task step by */
      TEXT("solve the TASK, step by step!"),    /* the same words */
      TEXT("Solve the task by careful steps."), /* 4 shared of 7 */
      TEXT(""),                                 /* no words: like nothing but itself */
      TEXT("..."),                              /* no words either, other bytes */
      TEXT(""),                                 /* the same bytes */
      TEXT("L\xc3\xb6se die Aufgabe"),          /* bytes beyond ASCII are letters */
      TEXT("l\xc3\xb6se die aufgabe"),
      TEXT("careful steps solve the task right now"), /* 5 shared with number 2 of 8 */
  };
  static const uint32_t strict[] = {0, 0, 2, 3, 4, 3, 6, 6, 8}, loose[] = {0, 0, 0, 3, 4, 3, 6, 6, 8};
  lm_allocator a = lm_allocator_default();
  uint32_t first[COUNT_OF(texts)];
  assert_int_equal(lm_plan_near(&a, texts, COUNT_OF(texts), 0.9, first), LMOPT_OK);
  assert_list(first, strict, COUNT_OF(texts));
  assert_int_equal(lm_plan_near(&a, texts, COUNT_OF(texts), 4.0 / 7, first), LMOPT_OK);
  assert_list(first, loose, COUNT_OF(texts)); /* the last is compared with number 0, which stands for 2: 3 of 9 */
}

static void no_memory(void **state) {
  (void)state;
  static const uint32_t group_of[] = {0, 1, 0, 1, 2, 2, 0};
  static const lm_plan_text texts[] = {TEXT("one two"), TEXT("two three"), TEXT("one two")};
  lm_plan_batches plan = {.seed = 1, .examples = 7, .size = 3, .groups = group_of};
  uint32_t list[8];
  for (int what = 0; what < 4; what++) {
    plan.groups = what == 0 ? NULL : group_of;
    for (size_t at = 1;; at++) {
      sim_memory failing;
      sim_memory_init(&failing);
      failing.fail_at = at;
      lmopt_status status = what < 2    ? lm_plan_minibatch(&failing.allocator, &plan, 4, list)
                            : what == 2 ? lm_plan_same(&failing.allocator, texts, 3, list)
                                        : lm_plan_near(&failing.allocator, texts, 3, 0.5, list);
      assert_int_equal(status, failing.failed ? LMOPT_NO_MEMORY : LMOPT_OK);
      assert_int_equal(failing.alive, 0);
      if (!failing.failed) break;
      assert_true(at < 10);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vectors),
      cmocka_unit_test(uniform),
      cmocka_unit_test(which_sets),
      cmocka_unit_test(too_few),
      cmocka_unit_test(labeled_uniform),
      cmocka_unit_test(demonstrations),
      cmocka_unit_test(without),
      cmocka_unit_test(equal_use),
      cmocka_unit_test(far_batches),
      cmocka_unit_test(pairs),
      cmocka_unit_test(groups),
      cmocka_unit_test(same_texts),
      cmocka_unit_test(near_texts),
      cmocka_unit_test(no_memory),
      cmocka_unit_test(same_batches),
      cmocka_unit_test(endless_rounds),
      cmocka_unit_test(equal_use_of_many),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
