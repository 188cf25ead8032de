/* The runtime without Lua: timers, pumping, resources, references, seeds, interrupts. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/rng.h"
#include "runtime/runtime.h"

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

static lmopt_runtime *open_runtime(ledger *l, unsigned long long seed) {
  lmopt_config config;
  lmopt_config_init(&config);
  config.alloc = ledger_alloc;
  config.alloc_userdata = l;
  config.seed = seed;
  lmopt_runtime *rt = NULL;
  lmopt_status status = lmopt_open(&config, &rt);
  assert_true((status == LMOPT_OK) == (rt != NULL));
  return rt;
}

/* The order in which operations finished. */
typedef struct finish_order {
  int ids[2000];
  int count;
} finish_order;

typedef struct sleeper {
  finish_order *order;
  int id;
} sleeper;

static void note(lm_operation *op) {
  sleeper *s = op->waiter;
  s->order->ids[s->order->count++] = s->id;
}

static lm_operation *start(lmopt_runtime *rt, double seconds, sleeper *s) {
  lm_error e;
  lm_operation *op = lm_runtime_sleep(rt, seconds, &e);
  assert_non_null(op);
  op->waiter = s;
  op->done = note;
  return op;
}

static void test_timer_order(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l, 0);
  static finish_order order;
  static const double times[] = {0.009, 0.003, 0.006, 0.003, 0, -1, 0.006};
  static const int wanted[] = {4, 5, 1, 3, 2, 6, 0};
  sleeper s[7];
  lm_operation *ops[7];
  order.count = 0;
  for (int i = 0; i < 7; i++) {
    s[i] = (sleeper){&order, i};
    ops[i] = start(rt, times[i], &s[i]);
  }
  while (!lm_runtime_idle(rt)) assert_int_equal(lm_runtime_pump(rt, -1), LMOPT_OK);
  assert_int_equal(order.count, 7);
  /* 4 and 5 are due at once, in the order of submission; 1 and 3, 2 and 6 may differ by the time between them. */
  for (int i = 0; i < 7; i++) assert_int_equal(order.ids[i], wanted[i]);
  for (int i = 0; i < 7; i++) {
    assert_true(ops[i]->finished && ops[i]->status == LMOPT_OK);
    lm_runtime_drop(ops[i]);
  }
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

/* Random drops out of the middle of the heap never disturb the others. */
static void test_timer_heap(void **state) {
  (void)state;
  enum { COUNT = 2000 };
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l, 0);
  static finish_order order;
  static sleeper s[COUNT];
  static lm_operation *ops[COUNT];
  static double due[COUNT];
  lm_rng rng = lm_rng_stream(5, 0, "timers");
  order.count = 0;
  for (int i = 0; i < COUNT; i++) {
    s[i] = (sleeper){&order, i};
    ops[i] = start(rt, 0.02 + 0.02 * lm_rng_uniform(&rng), &s[i]);
    due[i] = ops[i]->due;
  }
  int dropped = 0;
  for (int i = 0; i < COUNT; i++) {
    if (lm_rng_below(&rng, 2)) continue;
    lm_runtime_drop(ops[i]);
    ops[i] = NULL;
    dropped++;
  }
  while (!lm_runtime_idle(rt)) lm_runtime_pump(rt, -1);
  assert_int_equal(order.count, COUNT - dropped);
  for (int i = 0; i < order.count; i++) {
    assert_non_null(ops[order.ids[i]]);
    if (i > 0) assert_true(due[order.ids[i - 1]] <= due[order.ids[i]]);
  }
  lmopt_close(rt); /* frees the operations that nobody dropped */
  assert_int_equal(l.live, 0);
}

static void test_pump_waits(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l, 0);
  lm_error e;
  assert_int_equal(lm_runtime_pump(rt, -1), LMOPT_OK); /* idle: comes back at once */
  lm_operation *op = lm_runtime_sleep(rt, 0.05, &e);
  double before = lm_clock_monotonic();
  assert_int_equal(lm_runtime_pump(rt, 0), LMOPT_OK);
  assert_false(op->finished);
  assert_int_equal(lm_runtime_pump(rt, 5), LMOPT_OK);
  assert_false(op->finished);
  assert_true(lm_clock_monotonic() - before >= 0.005);
  assert_int_equal(lm_runtime_pump(rt, -1), LMOPT_OK);
  assert_true(op->finished);
  assert_true(lm_clock_monotonic() >= op->due);
  assert_null(lm_runtime_sleep(rt, NAN, &e));
  assert_int_equal(e.status, LMOPT_MISUSE);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

static void test_close_ends_operations(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l, 0);
  static finish_order order;
  sleeper s = {&order, 1};
  order.count = 0;
  lm_operation *op = start(rt, 100, &s);
  lm_http_request request = {.url = "http://127.0.0.1:9/"};
  lm_error e;
  lm_operation *call = lm_runtime_http(rt, &request, &e);
  assert_non_null(call);
  lm_runtime_retain(rt);
  lmopt_close(rt);
  assert_true(lm_runtime_closed(rt));
  assert_int_equal(order.count, 1);
  assert_true(op->finished && op->status == LMOPT_CANCELLED);
  assert_true(call->finished && call->status == LMOPT_CANCELLED);
  assert_null(lm_runtime_sleep(rt, 1, &e));
  assert_int_equal(e.status, LMOPT_CANCELLED);
  assert_int_equal(lm_runtime_pump(rt, -1), LMOPT_CANCELLED);
  assert_int_equal(lmopt_step(rt, 0, 0), LMOPT_MISUSE);
  lmopt_close(rt); /* again: nothing */
  lm_runtime_drop(op);
  lm_runtime_release(rt);
  assert_int_equal(l.live, 0);
}

typedef struct file {
  lm_resource resource; /* first */
  int closed;
} file;

static void close_file(lm_resource *r) { ((file *)(void *)r)->closed++; }

static void test_resources(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l, 0);
  file files[4];
  memset(files, 0, sizeof files);
  for (int i = 0; i < 4; i++) files[i].resource.close = close_file;
  for (int i = 0; i < 3; i++) lm_runtime_adopt(rt, &files[i].resource);
  lm_runtime_disown(rt, &files[1].resource);
  lm_runtime_disown(rt, &files[1].resource);
  lm_runtime_retain(rt);
  lmopt_close(rt);
  assert_int_equal(files[0].closed, 1);
  assert_int_equal(files[1].closed, 0);
  assert_int_equal(files[2].closed, 1);
  lm_runtime_disown(rt, &files[2].resource);
  lm_runtime_adopt(rt, &files[3].resource); /* too late: closed at once */
  assert_int_equal(files[3].closed, 1);
  lm_runtime_release(rt);
  assert_int_equal(l.live, 0);
}

static void test_seeds(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *a = open_runtime(&l, 42), *b = open_runtime(&l, 42), *c = open_runtime(&l, 0);
  unsigned long long last = 0;
  for (int i = 0; i < 100; i++) {
    unsigned long long seed = lm_runtime_draw_seed(a);
    assert_true(seed == lm_runtime_draw_seed(b));
    assert_true(seed != last && seed < 1ULL << 53);
    last = seed;
    assert_true(lm_runtime_draw_seed(c) < 1ULL << 53);
  }
  assert_true(lm_runtime_draw_seed(c) != lm_runtime_draw_seed(c));
  lmopt_close(a);
  lmopt_close(b);
  lmopt_close(c);
  assert_int_equal(l.live, 0);
}

static void *interrupt_soon(void *rt) {
  struct timespec pause = {0, 20 * 1000 * 1000};
  nanosleep(&pause, NULL);
  lmopt_interrupt(rt);
  return NULL;
}

static int hooked;
static void hook(void *thread) { hooked += *(int *)thread; }

static void test_interrupt(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l, 0);
  lm_error e;
  assert_non_null(lm_runtime_sleep(rt, 100, &e));
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, rt), 0);
  assert_int_equal(lm_runtime_pump(rt, -1), LMOPT_INTERRUPTED);
  pthread_join(thread, NULL);
  assert_true(lm_runtime_interrupted(rt));
  assert_true(lm_runtime_take_interrupt(rt));
  assert_false(lm_runtime_take_interrupt(rt));
  assert_int_equal(lm_runtime_pump(rt, 0), LMOPT_OK);
  /* More than the pipe holds. */
  for (int i = 0; i < 100000; i++) lmopt_interrupt(rt);
  assert_true(lm_runtime_take_interrupt(rt));
  assert_false(lm_runtime_interrupted(rt));
  int number = 7;
  lm_runtime_on_interrupt(rt, hook);
  lmopt_interrupt(rt);
  assert_int_equal(hooked, 0); /* nothing runs */
  assert_null(lm_runtime_running(rt, &number));
  lmopt_interrupt(rt);
  assert_int_equal(hooked, 7);
  assert_ptr_equal(lm_runtime_running(rt, NULL), &number);
  lmopt_interrupt(NULL);
  lmopt_close(rt);
  assert_int_equal(l.live, 0);
}

/* libcurl from the start: nothing is left to load, and every refused allocation is survived. */
static void test_preload(void **state) {
  (void)state;
  bool finished = false;
  for (size_t n = 1; !finished; n++) {
    ledger l = {.fail_at = n};
    lmopt_config config;
    lmopt_config_init(&config);
    config.alloc = ledger_alloc;
    config.alloc_userdata = &l;
    config.preload_http = 1;
    lmopt_runtime *rt;
    lmopt_status status = lmopt_open(&config, &rt);
    finished = l.calls < n;
    assert_int_equal(status, finished ? LMOPT_OK : LMOPT_NO_MEMORY);
    if (finished) {
      assert_true(lmopt_fds(rt, NULL, 0) >= 1);
      assert_int_equal(lmopt_timeout(rt), -1);
    }
    lmopt_close(rt);
    assert_int_equal(l.live, 0);
    assert_true(n < 100);
  }
}

/* Every allocation refused in turn, through opening, submitting and closing. */
static void test_no_memory(void **state) {
  (void)state;
  bool finished = false;
  for (size_t n = 1; !finished; n++) {
    ledger l = {.fail_at = n};
    lmopt_runtime *rt = open_runtime(&l, 0);
    if (rt) {
      lm_error e = {0};
      static const char *const headers[] = {"A: b"};
      lm_http_request request = {
          .url = "http://127.0.0.1:9/", .body = "x", .body_size = 1, .headers = headers, .header_count = 1};
      lm_operation *op = lm_runtime_sleep(rt, 1, &e);
      lm_operation *call = lm_runtime_http(rt, &request, &e);
      if (!op || !call) assert_int_equal(e.status, LMOPT_NO_MEMORY);
      lm_runtime_drop(op);
      while (call && !call->finished) lm_runtime_pump(rt, -1);
      if (call) assert_true(call->status == LMOPT_NETWORK || call->status == LMOPT_NO_MEMORY);
      lm_runtime_drop(call);
      lmopt_close(rt);
    }
    assert_int_equal(l.live, 0);
    finished = l.calls < n;
    assert_true(n < 1000);
  }
}

static void test_texts(void **state) {
  (void)state;
  ledger l = {0};
  lmopt_runtime *rt = open_runtime(&l, 0);
  assert_string_equal(lmopt_errmsg(rt), "");
  lm_error e;
  lm_fail(&e, LMOPT_STORAGE, "disk full");
  assert_int_equal(lm_runtime_fail(rt, &e), LMOPT_STORAGE);
  assert_string_equal(lmopt_errmsg(rt), "disk full");
  assert_string_equal(lmopt_errmsg(NULL), "no runtime");
  lm_runtime_log(rt, LMOPT_LOG_WARNING, "nobody listens");
  lmopt_close(rt);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_timer_order), cmocka_unit_test(test_timer_heap),
      cmocka_unit_test(test_pump_waits),  cmocka_unit_test(test_close_ends_operations),
      cmocka_unit_test(test_resources),   cmocka_unit_test(test_seeds),
      cmocka_unit_test(test_interrupt),   cmocka_unit_test(test_no_memory),
      cmocka_unit_test(test_preload),     cmocka_unit_test(test_texts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
