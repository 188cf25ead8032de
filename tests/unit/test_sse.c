/* src/io/sse: the event-stream parser, against the standard's examples, another parser, and random pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "io/sse.h"

enum { LIMIT = 4096 };

/* Events as one text: name|id|retry|data;; and so on. */
static void write_event(lm_buffer *b, const char *name, size_t name_size, const char *id, size_t id_size,
                        long long retry, const char *data, size_t data_size) {
  lm_buffer_add(b, name, name_size);
  lm_buffer_add_char(b, '|');
  lm_buffer_add(b, id, id_size);
  lm_buffer_add_char(b, '|');
  lm_buffer_add_json_integer(b, retry);
  lm_buffer_add_char(b, '|');
  lm_buffer_add(b, data, data_size);
  lm_buffer_add_text(b, ";;");
}

static void record(void *userdata, const lm_sse_event *e) {
  assert_int_equal(e->data[e->data_size], 0);
  assert_int_equal(e->name[e->name_size], 0);
  assert_int_equal(e->id[e->id_size], 0);
  write_event(userdata, e->name, e->name_size, e->id, e->id_size, e->retry, e->data, e->data_size);
}

static const lm_allocator *allocator(void) {
  static lm_allocator a;
  a = lm_allocator_default();
  return &a;
}

/* Parses `text` in pieces of `piece` bytes (0: of random sizes). */
static lmopt_status parse(const char *text, size_t size, size_t piece, lm_rng *rng, lm_buffer *out, bool *unfinished) {
  lm_sse p;
  lm_buffer_init(out, allocator(), 1 << 20);
  lm_sse_init(&p, allocator(), LIMIT, record, out);
  for (size_t at = 0; at < size;) {
    size_t n = piece ? piece : lm_rng_below(rng, 9);
    if (n > size - at) n = size - at;
    char *copy = malloc(n + 1); /* its end is the sanitizer's to guard */
    memcpy(copy, text + at, n);
    lm_sse_feed(&p, copy, n);
    free(copy);
    at += n;
  }
  lmopt_status status = p.status;
  if (unfinished) *unfinished = lm_sse_unfinished(&p);
  lm_sse_free(&p);
  return status;
}

static void check(const char *text, size_t size, const char *wanted) {
  for (size_t piece = 1; piece <= size + 1; piece++) {
    lm_buffer out;
    assert_int_equal(parse(text, size, piece, NULL, &out, NULL), LMOPT_OK);
    assert_string_equal(lm_buffer_text(&out), wanted);
    lm_buffer_free(&out);
  }
}

#define CHECK(text, wanted) check(text, sizeof(text) - 1, wanted)

static void test_standard_examples(void **state) {
  (void)state;
  CHECK("data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n",
        "message||-1|This is the first message.;;message||-1|This is the second message, it\nhas two lines.;;");
  CHECK("event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n", "add||-1|73857293;;remove||-1|2153;;");
  CHECK("data: YHOO\ndata: +2\ndata: 10\n\n", "message||-1|YHOO\n+2\n10;;");
  CHECK(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        "message|1|-1|first event;;message||-1|second event;;message||-1| third event;;");
  CHECK("data\n\ndata\ndata\n\ndata:", "message||-1|;;message||-1|\n;;");
  CHECK("data:test\n\ndata: test\n\n", "message||-1|test;;message||-1|test;;");
}

static void test_fields(void **state) {
  (void)state;
  CHECK("id: 7\ndata: a\n\ndata: b\n\n", "message|7|-1|a;;message|7|-1|b;;"); /* the id stays */
  CHECK("id: 7\nid: 8\0\ndata: a\n\n", "message|7|-1|a;;");                   /* one with a zero byte is none */
  CHECK("retry: 2500\nretry: 2x\nretry:\nretry: -1\ndata: a\n\n", "message||2500|a;;");
  CHECK("retry: 99999999999999999999\ndata: a\n\n", "message||-1|a;;");
  CHECK("event: x\n\ndata: a\n\n", "message||-1|a;;");       /* no data: no event, and no name left over */
  CHECK("event: x\nevent:\ndata: a\n\n", "message||-1|a;;"); /* an empty name is the usual one */
  CHECK("Data: a\ndatax: b\n data: c\ndata : d\n\n", "");    /* none of these is `data` */
  CHECK("data: {\"a\": 1}\n\ndata: [DONE]\n\n", "message||-1|{\"a\": 1};;message||-1|[DONE];;");
  CHECK("data: cut off", "");
  CHECK("data: cut off\n", "");
}

static void test_comments(void **state) {
  (void)state;
  CHECK(": a\r:\0\ndata: 1\r\n:data: 2\n:\rdata: 3\n\n", "message||-1|1\n3;;");
  CHECK(":\n\n: keep-alive\n\n:\r\n\r\n", "");
  CHECK("data: a\n: between\ndata: b\n\n", "message||-1|a\nb;;");
}

static void test_line_ends(void **state) {
  (void)state;
  CHECK("data: a\r\n\r\ndata: b\r\rdata: c\n\n", "message||-1|a;;message||-1|b;;message||-1|c;;");
  CHECK("data: a\r\ndata: b\rdata: c\n\r\n", "message||-1|a\nb\nc;;");
  CHECK("\r\n\r\n\n\r\rdata: a\r\n\n", "message||-1|a;;");
}

static void test_text(void **state) {
  (void)state;
  CHECK(
      "\xEF\xBB\xBF"
      "data: a\n\n",
      "message||-1|a;;");
  CHECK(
      "\xEF\xBB\xBF\xEF\xBB\xBF"
      "data: a\n\ndata: b\n\n",
      "message||-1|b;;"); /* the second mark is text */
  CHECK(
      "\xEF\xBB"
      "data: a\n\ndata: b\n\n",
      "message||-1|b;;");
  CHECK("data: \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\n\n", "message||-1|\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80;;");
  CHECK("data: \xED\x9F\xBF\xF4\x8F\xBF\xBF\xE0\xA0\x80\xF0\x90\x80\x80\n\n",
        "message||-1|\xED\x9F\xBF\xF4\x8F\xBF\xBF\xE0\xA0\x80\xF0\x90\x80\x80;;"); /* the edges of the ranges */
  /* The encoding standard's replacement, one for each longest beginning of a sequence. */
  CHECK("data: a\xFFz\n\n", "message||-1|a\xEF\xBF\xBDz;;");
  CHECK("data: \xF0\x9F\x98z\n\n", "message||-1|\xEF\xBF\xBDz;;");
  CHECK("data: \xC0\xAF\n\n", "message||-1|\xEF\xBF\xBD\xEF\xBF\xBD;;");
  CHECK("data: \xED\xA0\x80\n\n", "message||-1|\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD;;");
  CHECK("data: \xE2\x82\n\n", "message||-1|\xEF\xBF\xBD;;");
  CHECK("id: \x80\nevent: \xC3\ndata:\n\n", "\xEF\xBF\xBD|\xEF\xBF\xBD|-1|;;");
}

static void test_unfinished(void **state) {
  (void)state;
  static const struct {
    const char *text;
    bool unfinished;
  } cases[] = {{"data: a\n\n", false}, {"data: a\n", true},      {"da", true},           {"event: x\n", true},
               {": ping\n", false},    {"data: a\n\n\r", false}, {"\xEF\xBB\xBF", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    lm_buffer out;
    bool unfinished;
    parse(cases[i].text, strlen(cases[i].text), 1, NULL, &out, &unfinished);
    assert_int_equal(unfinished, cases[i].unfinished);
    lm_buffer_free(&out);
  }
}

static void test_limits(void **state) {
  (void)state;
  enum { SIZE = 3 * LIMIT };
  char *text = malloc(SIZE);
  lm_buffer out;
  static const size_t pieces[] = {1, 8, 57, 400, LIMIT - 1, LIMIT, LIMIT + 1, SIZE};
  for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
    size_t piece = pieces[k];
    memset(text, 'x', SIZE); /* one line without an end */
    assert_int_equal(parse(text, SIZE, piece, NULL, &out, NULL), LMOPT_LIMIT);
    lm_buffer_free(&out);
    memset(text, ':', SIZE); /* a comment is a line too */
    text[SIZE - 1] = '\n';
    assert_int_equal(parse(text, SIZE, piece, NULL, &out, NULL), LMOPT_LIMIT);
    lm_buffer_free(&out);
    for (size_t i = 0; i < SIZE; i++) text[i] = "data\n"[i % 5]; /* one event without an end: a byte a line */
    assert_int_equal(parse(text, SIZE, piece, NULL, &out, NULL), LMOPT_OK);
    lm_buffer_free(&out);
    for (size_t i = 0; i < SIZE; i++) text[i] = "data:abcdefghijklmno\n"[i % 21];
    assert_int_equal(parse(text, SIZE, piece, NULL, &out, NULL), LMOPT_LIMIT);
    lm_buffer_free(&out);
    memset(text, 'x', LIMIT); /* as long as a line may be */
    memcpy(text + LIMIT, "\ndata: a\n\n", 10);
    assert_int_equal(parse(text, LIMIT + 10, piece, NULL, &out, NULL), LMOPT_OK);
    assert_string_equal(lm_buffer_text(&out), "message||-1|a;;");
    lm_buffer_free(&out);
  }
  free(text);
}

/* --- another parser: slow, plain, and over the whole text --- */

static const char *line_end(const char *s, const char *end) {
  while (s < end && *s != '\r' && *s != '\n') s++;
  return s;
}

static bool starts(const char *s, const char *end, const char *word) {
  size_t size = strlen(word);
  return (size_t)(end - s) >= size && memcmp(s, word, size) == 0;
}

/* The value of the field `name` on the line, or NULL. */
static const char *field(const char *s, const char *end, const char *name) {
  if (!starts(s, end, name)) return NULL;
  s += strlen(name);
  if (s == end) return s;
  if (*s++ != ':') return NULL;
  return s < end && *s == ' ' ? s + 1 : s;
}

static void parse_plainly(const char *s, const char *end, lm_buffer *out) {
  char name[256] = "", id[256] = "", data[8192];
  size_t lines = 0, size = 0;
  lm_buffer_init(out, allocator(), 1 << 20);
  if (starts(s, end, "\xEF\xBB\xBF")) s += 3;
  for (const char *stop; (stop = line_end(s, end)) < end;
       s = stop + (stop[0] == '\r' && stop + 1 < end && stop[1] == '\n') + 1) {
    const char *value;
    if (s == stop) {
      if (lines > 0)
        write_event(out, *name ? name : "message", strlen(*name ? name : "message"), id, strlen(id), -1, data, size);
      lines = size = 0;
      *name = '\0';
    } else if ((value = field(s, stop, "data"))) {
      if (lines++ > 0) data[size++] = '\n';
      memcpy(data + size, value, (size_t)(stop - value));
      size += (size_t)(stop - value);
    } else if ((value = field(s, stop, "event"))) {
      memcpy(name, value, (size_t)(stop - value));
      name[stop - value] = '\0';
    } else if ((value = field(s, stop, "id"))) {
      memcpy(id, value, (size_t)(stop - value));
      id[stop - value] = '\0';
    }
  }
}

static void test_random_streams(void **state) {
  (void)state;
  static const char *const parts[] = {"data",     ":",     ": ",         "\n", "\r",     "\r\n",         "\n\n",
                                      "event",    "id",    "x",          " ",  "data: ", "\xEF\xBB\xBF", "\xE2\x82\xAC",
                                      "\xC3\xA9", "retry", "data:a\n\n", "\n", "\r"};
  lm_rng rng = lm_rng_stream(4, 0, "streams");
  size_t events = 0;
  for (int round = 0; round < 20000; round++) {
    char text[256];
    size_t size = 0, count = 1 + lm_rng_below(&rng, 40);
    for (size_t i = 0; i < count; i++) {
      const char *part = parts[lm_rng_below(&rng, sizeof parts / sizeof *parts)];
      memcpy(text + size, part, strlen(part));
      size += strlen(part);
    }
    lm_buffer wanted, whole, pieces;
    parse_plainly(text, text + size, &wanted);
    assert_int_equal(parse(text, size, size, NULL, &whole, NULL), LMOPT_OK);
    assert_int_equal(parse(text, size, 0, &rng, &pieces, NULL), LMOPT_OK);
    assert_string_equal(lm_buffer_text(&whole), lm_buffer_text(&wanted));
    assert_string_equal(lm_buffer_text(&pieces), lm_buffer_text(&wanted));
    events += wanted.size > 0;
    lm_buffer_free(&wanted);
    lm_buffer_free(&whole);
    lm_buffer_free(&pieces);
  }
  assert_true(events > 5000); /* the streams do have events in them */
}

/* Any bytes: nothing but UTF-8 comes out, the same however they are cut. */
static void test_random_bytes(void **state) {
  (void)state;
  lm_rng rng = lm_rng_stream(5, 0, "bytes");
  for (int round = 0; round < 5000; round++) {
    char text[200] = "data:";
    size_t size = 5 + lm_rng_below(&rng, 190);
    for (size_t i = 5; i < size; i++)
      text[i] = lm_rng_below(&rng, 4) ? (char)lm_rng_bits(&rng) : "\n\r:d"[lm_rng_below(&rng, 4)];
    text[size - 1] = text[size - 2] = '\n';
    lm_buffer whole, pieces, written;
    assert_int_equal(parse(text, size, size, NULL, &whole, NULL), LMOPT_OK);
    assert_int_equal(parse(text, size, 0, &rng, &pieces, NULL), LMOPT_OK);
    assert_int_equal(whole.size, pieces.size);
    assert_memory_equal(lm_buffer_text(&whole), lm_buffer_text(&pieces), whole.size);
    lm_buffer_init(&written, allocator(), 1 << 20);
    lm_buffer_add_json_string(&written, lm_buffer_text(&whole), whole.size);
    size_t replaced = 0, there = 0; /* what JSON's writer would replace had been replaced here */
    for (size_t i = 0; i + 2 < written.size; i++) replaced += memcmp(written.data + i, "\xEF\xBF\xBD", 3) == 0;
    for (size_t i = 0; i + 2 < whole.size; i++) there += memcmp(whole.data + i, "\xEF\xBF\xBD", 3) == 0;
    assert_int_equal(replaced, there);
    lm_buffer_free(&written);
    lm_buffer_free(&whole);
    lm_buffer_free(&pieces);
  }
}

/* --- memory --- */

static void *scarce(void *userdata, void *block, size_t old_size, size_t size) {
  long *left = userdata;
  (void)old_size;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (*left == 0) return NULL;
  --*left;
  return realloc(block, size);
}

static void ignore(void *userdata, const lm_sse_event *e) {
  (void)e;
  ++*(int *)userdata;
}

static void test_no_memory(void **state) {
  (void)state;
  static const char text[] = "id: 1\nevent: x\ndata: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\ndata: b\n\n";
  for (long allowed = 0;; allowed++) {
    long left = allowed;
    lm_allocator a = {scarce, &left};
    lm_sse p;
    int events = 0;
    lm_sse_init(&p, &a, LIMIT, ignore, &events);
    lmopt_status status = LMOPT_OK;
    for (size_t i = 0; i < sizeof text - 1; i++) {
      lmopt_status now = lm_sse_feed(&p, text + i, 1);
      assert_true(status == LMOPT_OK || now == status); /* failed once, failed for good */
      status = now;
    }
    lm_sse_free(&p);
    if (status == LMOPT_OK) {
      assert_int_equal(events, 2);
      assert_true(allowed > 4);
      return;
    }
    assert_int_equal(status, LMOPT_NO_MEMORY);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_standard_examples),
      cmocka_unit_test(test_fields),
      cmocka_unit_test(test_comments),
      cmocka_unit_test(test_line_ends),
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_unfinished),
      cmocka_unit_test(test_limits),
      cmocka_unit_test(test_random_streams),
      cmocka_unit_test(test_random_bytes),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
