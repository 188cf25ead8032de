/* src/base: memory, buffers, numbers as text, random streams, clocks and dates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/number.h"
#include "base/rng.h"
#include "math/normal.h"

/* An allocator that checks the sizes it is told, and refuses after `left` calls. */
typedef struct ledger {
  size_t live;
  long left;
} ledger;

static void *ledger_alloc(void *userdata, void *block, size_t old_size, size_t size) {
  ledger *l = userdata;
  assert_true(block || old_size == 0);
  if (size == 0) {
    l->live -= old_size;
    free(block);
    return NULL;
  }
  if (l->left == 0) return NULL;
  if (l->left > 0) l->left--;
  void *moved = realloc(block, size);
  if (moved) l->live += size - old_size;
  return moved;
}

static void test_memory(void **state) {
  (void)state;
  ledger l = {0, -1};
  lm_allocator a = {ledger_alloc, &l};
  char *text = lm_copy_text(&a, "hello");
  assert_string_equal(text, "hello");
  text = lm_resize(&a, text, 100);
  assert_string_equal(text, "hello");
  assert_int_equal((uintptr_t)text % _Alignof(max_align_t), 0);
  lm_free(&a, text);
  lm_free(&a, NULL);
  assert_null(lm_copy_text(&a, NULL));
  char *bytes = lm_copy_bytes(&a, "a\0b", 3);
  assert_memory_equal(bytes, "a\0b\0", 4);
  lm_free(&a, bytes);
  assert_null(lm_alloc(&a, SIZE_MAX - 4));
  int *zeroed = lm_alloc_zeroed(&a, 10 * sizeof *zeroed);
  for (int i = 0; i < 10; i++) assert_int_equal(zeroed[i], 0);
  l.left = 0;
  assert_null(lm_resize(&a, zeroed, 4000));
  zeroed[9] = 1; /* still ours */
  lm_free(&a, zeroed);
  assert_int_equal(l.live, 0);
}

static void test_grow(void **state) {
  (void)state;
  ledger l = {0, -1};
  lm_allocator a = {ledger_alloc, &l};
  int *items = NULL;
  size_t capacity = 0;
  for (size_t i = 0; i < 1000; i++) {
    assert_true(lm_grow(&a, &items, &capacity, i + 1, sizeof *items));
    items[i] = (int)i;
  }
  assert_true(capacity >= 1000 && capacity < 4096);
  for (int i = 0; i < 1000; i++) assert_int_equal(items[i], i);
  l.left = 0;
  size_t before = capacity;
  assert_false(lm_grow(&a, &items, &capacity, capacity + 1, sizeof *items));
  assert_int_equal(capacity, before);
  assert_false(lm_grow(&a, &items, &capacity, SIZE_MAX / 2, sizeof *items));
  lm_free(&a, items);
  assert_int_equal(l.live, 0);
}

static void test_fail(void **state) {
  (void)state;
  lm_error e;
  char longer[1000];
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  assert_int_equal(lm_fail(&e, LMOPT_STORAGE, "%d: %s", 7, longer), LMOPT_STORAGE);
  assert_int_equal(strlen(e.text), sizeof e.text - 1);
  assert_memory_equal(e.text, "7: xxx", 6);
  assert_int_equal(lm_fail(NULL, LMOPT_BUSY, "nowhere"), LMOPT_BUSY);
  assert_int_equal(lm_fail_memory(&e), LMOPT_NO_MEMORY);
  assert_int_equal(e.status, LMOPT_NO_MEMORY);
}

static void test_buffer(void **state) {
  (void)state;
  ledger l = {0, -1};
  lm_allocator a = {ledger_alloc, &l};
  lm_buffer b;
  lm_buffer_init(&b, &a, 10);
  assert_string_equal(lm_buffer_text(&b), "");
  assert_true(lm_buffer_add_text(&b, "12345"));
  assert_true(lm_buffer_add(&b, NULL, 0));
  assert_true(lm_buffer_add(&b, "6789\0", 5));
  assert_int_equal(b.size, 10);
  assert_false(lm_buffer_add_char(&b, 'x')); /* over the limit: as it was, and marked */
  assert_int_equal(b.status, LMOPT_LIMIT);
  assert_int_equal(b.size, 10);
  assert_false(lm_buffer_add(&b, NULL, 0));
  lm_buffer_clear(&b);
  assert_true(lm_buffer_add_text(&b, "again"));
  assert_string_equal(lm_buffer_text(&b), "again");
  assert_false(lm_buffer_add(&b, "x", SIZE_MAX));
  assert_int_equal(b.status, LMOPT_LIMIT);
  lm_buffer_free(&b);
  l.left = 0;
  assert_false(lm_buffer_add_text(&b, "x"));
  assert_int_equal(b.status, LMOPT_NO_MEMORY);
  lm_buffer_free(&b);
  assert_int_equal(l.live, 0);
}

static void assert_json(const char *text, size_t size, const char *wanted) {
  lm_allocator a = lm_allocator_default();
  lm_buffer b;
  lm_buffer_init(&b, &a, 10000);
  assert_true(lm_buffer_add_json_string(&b, text, size));
  assert_string_equal(lm_buffer_text(&b), wanted);
  lm_buffer_free(&b);
}

static void test_json_string(void **state) {
  (void)state;
  assert_json("", 0, "\"\"");
  assert_json("a\"b\\c", 5, "\"a\\\"b\\\\c\"");
  assert_json("\b\t\n\v\f\r\x1f\x7f", 8, "\"\\b\\t\\n\\u000b\\f\\r\\u001f\\u007f\"");
  assert_json("a\0b", 3, "\"a\\u0000b\"");
  assert_json("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 9, "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"");
  /* Cut, overlong, surrogates, beyond Unicode: each bad byte becomes U+FFFD. */
  assert_json("\xC3", 1, "\"\xEF\xBF\xBD\"");
  assert_json("\xC0\x80", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");
  assert_json("\xED\xA0\x80", 3, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
  assert_json("\xF4\x90\x80\x80", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

static void assert_number(double value, const char *wanted) {
  char text[LM_NUMBER_SIZE];
  assert_int_equal(lm_number_write(value, text), strlen(wanted));
  assert_string_equal(text, wanted);
}

/* Numbers of every kind come back as they were. */
static void check_round_trips(void) {
  lm_rng rng = lm_rng_stream(1, 0, "numbers");
  for (int i = 0; i < 20000; i++) {
    uint64_t bits = lm_rng_bits(&rng);
    double value, back;
    memcpy(&value, &bits, sizeof value);
    if (isnan(value)) continue;
    char text[LM_NUMBER_SIZE];
    lm_number_write(value, text);
    assert_null(strchr(text, ','));
    if (isinf(value)) continue;
    assert_true(lm_number_read(text, &back));
    assert_memory_equal(&value, &back, sizeof value);
  }
}

static void check_numbers(void) {
  assert_number(0, "0");
  assert_number(-0.0, "-0");
  assert_number(3, "3");
  assert_number(-123456, "-123456");
  assert_number(0.1, "0.1");
  assert_number(1.0 / 3, "0.3333333333333333");
  assert_number(1e20, "1e+20");
  assert_number(5e-324, "5e-324");
  assert_number(1.7976931348623157e308, "1.7976931348623157e+308");
  assert_number(NAN, "NaN");
  assert_number(-INFINITY, "-Infinity");
  double value;
  assert_true(lm_number_read("1e-3", &value) && value == 1e-3);
  assert_true(lm_number_read("-2.5", &value) && value == -2.5);
  static const char *const bad[] = {"", " 1", "1 ", "1,5", "1.5.2", "x", "1x", "."};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(lm_number_read(bad[i], &value));
  check_round_trips();
}

static void test_numbers(void **state) {
  (void)state;
  check_numbers();
}

/* In a locale that writes 1,5 nothing changes. */
static void test_comma_locale(void **state) {
  (void)state;
  static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8", "de_DE", "nl_NL.UTF-8"};
  const char *found = NULL;
  for (size_t i = 0; !found && i < sizeof names / sizeof *names; i++) found = setlocale(LC_NUMERIC, names[i]);
  if (!found) {
    print_message("no locale with a decimal comma on this machine\n");
    skip();
  }
  char text[10];
  snprintf(text, sizeof text, "%.1f", 1.5);
  assert_string_equal(text, "1,5");
  check_numbers();
  setlocale(LC_NUMERIC, "C");
}

/* The generator is what it says: reference values of xoshiro256++ for the state {1, 2, 3, 4}. */
static void test_rng_reference(void **state) {
  (void)state;
  static const uint64_t wanted[] = {UINT64_C(41943041), UINT64_C(58720359), UINT64_C(3588806011781223),
                                    UINT64_C(3591011842654386), UINT64_C(9228616714210784205)};
  lm_rng rng = {{1, 2, 3, 4}};
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) assert_true(lm_rng_bits(&rng) == wanted[i]);
}

static void test_rng_streams(void **state) {
  (void)state;
  lm_rng a = lm_rng_stream(1, 2, "x"), same = lm_rng_stream(1, 2, "x");
  for (int i = 0; i < 100; i++) assert_true(lm_rng_bits(&a) == lm_rng_bits(&same));
  lm_rng other[] = {lm_rng_stream(2, 2, "x"), lm_rng_stream(1, 3, "x"), lm_rng_stream(1, 2, "y"),
                    lm_rng_stream(1, 2, "")};
  a = lm_rng_stream(1, 2, "x");
  uint64_t first = lm_rng_bits(&a);
  for (size_t i = 0; i < 4; i++) assert_true(lm_rng_bits(&other[i]) != first);
}

static void test_rng_distributions(void **state) {
  (void)state;
  enum { DRAWS = 200000, FACES = 6 };
  lm_rng rng = lm_rng_stream(3, 0, "test");
  double sum = 0, normal_sum = 0, normal_squares = 0;
  int faces[FACES] = {0};
  for (int i = 0; i < DRAWS; i++) {
    double u = lm_rng_uniform(&rng), z = lm_normal_draw(&rng);
    assert_true(u >= 0 && u < 1);
    sum += u;
    normal_sum += z;
    normal_squares += z * z;
    faces[lm_rng_below(&rng, FACES)]++;
  }
  assert_true(fabs(sum / DRAWS - 0.5) < 0.005);
  assert_true(fabs(normal_sum / DRAWS) < 0.01);
  assert_true(fabs(normal_squares / DRAWS - 1) < 0.02);
  double chi = 0;
  for (int i = 0; i < FACES; i++) chi += pow(faces[i] - DRAWS / 6.0, 2) / (DRAWS / 6.0);
  assert_true(chi < 25); /* five degrees of freedom: less than 1 in 7,000 */
  assert_true(lm_rng_below(&rng, 1) == 0);
}

static void test_clock(void **state) {
  (void)state;
  double before = lm_clock_monotonic();
  for (int i = 0; i < 1000; i++) {
    double now = lm_clock_monotonic();
    assert_true(now >= before);
    before = now;
  }
  assert_true(lm_clock_utc() > 1.6e9);
}

static void test_dates(void **state) {
  (void)state;
  char text[LM_DATE_SIZE];
  double utc;
  lm_date_write(0, text);
  assert_string_equal(text, "1970-01-01 00:00:00.000000");
  lm_date_write(951827696.25, text); /* a leap day */
  assert_string_equal(text, "2000-02-29 12:34:56.250000");
  assert_true(lm_date_read(text, &utc));
  assert_true(utc == 951827696.25);
  assert_true(lm_date_read("2000-02-29 12:34:56", &utc));
  assert_true(utc == 951827696);
  static const char *const bad[] = {"", "2000-02-29", "2000-13-01 00:00:00", "2000-00-01 00:00:00", "soon"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(lm_date_read(bad[i], &utc));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_memory),       cmocka_unit_test(test_grow),
      cmocka_unit_test(test_fail),         cmocka_unit_test(test_buffer),
      cmocka_unit_test(test_json_string),  cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_comma_locale), cmocka_unit_test(test_rng_reference),
      cmocka_unit_test(test_rng_streams),  cmocka_unit_test(test_rng_distributions),
      cmocka_unit_test(test_clock),        cmocka_unit_test(test_dates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
