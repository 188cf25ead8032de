/* Which authorities the environment names, and what libcurl is told of them. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "io/trust.h"

static const char *const names[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"};

/* The values of the variables, in the order of their names; NULL: not set. */
static void set_environment(const char *bundle, const char *file, const char *folder) {
  const char *const values[] = {bundle, file, folder};
  for (int i = 0; i < 3; i++) {
    if (values[i])
      setenv(names[i], values[i], 1);
    else
      unsetenv(names[i]);
  }
}

static void check_text(const char *found, const char *wanted) {
  if (wanted) {
    assert_non_null(found);
    assert_string_equal(found, wanted);
  } else {
    assert_null(found);
  }
}

/* A libcurl that was built for this file. */
static const char *system_file;
static CURLcode note_option(CURL *easy, CURLoption option, ...);

static curl_version_info_data *tell_version(CURLversion age) {
  static curl_version_info_data info;
  info.age = age;
  info.cainfo = (char *)system_file;
  return &info;
}

static lm_curl make_curl(void) {
  lm_curl curl;
  memset(&curl, 0, sizeof curl);
  curl.easy_setopt = note_option;
  curl.version_info = tell_version;
  return curl;
}

static void check(const char *file, const char *folders) {
  lm_allocator a = lm_allocator_default();
  lm_curl curl = make_curl();
  lm_trust trust;
  assert_true(lm_trust_read(&a, &curl, &trust));
  assert_int_equal(trust.file_only, !folders && (file || system_file));
  check_text(trust.file, file);
  check_text(trust.folders, folders);
  lm_trust_free(&a, &trust);
  assert_null(trust.file);
  assert_null(trust.folders);
}

static void test_variables(void **state) {
  (void)state;
  set_environment(NULL, NULL, NULL);
  check(NULL, NULL);
  set_environment("bundle", NULL, NULL);
  check("bundle", NULL);
  set_environment(NULL, "file", NULL);
  check("file", NULL);
  set_environment(NULL, NULL, "a:b");
  check(NULL, "a:b");
  set_environment(NULL, "file", "a:b");
  check("file", "a:b");
  set_environment("bundle", "file", "a:b"); /* the first one stands for all */
  check("bundle", NULL);
  set_environment("", "file", ""); /* set to nothing */
  check("file", NULL);
  set_environment(NULL, NULL, NULL);
  system_file = "/dev/null";
  check(NULL, NULL);
  set_environment(NULL, NULL, "a:b");
  check(NULL, "a:b");
  set_environment(NULL, NULL, NULL);
  system_file = NULL;
}

static void test_no_system_file(void **state) {
  (void)state;
  lm_allocator a = lm_allocator_default();
  lm_curl curl = make_curl();
  lm_trust trust;
  system_file = "/nowhere/at all.pem";
  assert_true(lm_trust_read(&a, &curl, &trust));
  assert_false(trust.file_only); /* then the folder has to do */
  system_file = NULL;
}

/* --- memory --- */

static int blocks, allowed;

static void *scarce(void *userdata, void *block, size_t old_size, size_t new_size) {
  (void)userdata;
  (void)old_size;
  if (new_size == 0) {
    blocks -= block != NULL;
    free(block);
    return NULL;
  }
  if (allowed-- <= 0) return NULL;
  blocks += block == NULL;
  return realloc(block, new_size);
}

static void test_no_memory(void **state) {
  (void)state;
  lm_allocator a = {scarce, NULL};
  lm_curl curl = make_curl();
  set_environment(NULL, "file", "a:b");
  for (int i = 0; i < 2; i++) {
    lm_trust trust;
    allowed = i;
    assert_false(lm_trust_read(&a, &curl, &trust));
    assert_null(trust.file);
    assert_null(trust.folders);
    assert_int_equal(blocks, 0);
  }
  set_environment(NULL, NULL, NULL);
}

/* --- libcurl --- */

static struct {
  CURLoption option;
  const char *value;
} told[8];
static int told_count;
static CURLcode answer;

static CURLcode note_option(CURL *easy, CURLoption option, ...) {
  (void)easy;
  va_list arguments;
  va_start(arguments, option);
  told[told_count].option = option;
  told[told_count++].value = va_arg(arguments, const char *);
  va_end(arguments);
  return answer;
}

static void test_options(void **state) {
  (void)state;
  lm_curl curl = make_curl();
  char file[] = "file", folders[] = "a:b";
  lm_trust nothing = {NULL, NULL, false}, both = {file, folders, false}, only = {file, NULL, true};
  assert_true(lm_trust_apply(&nothing, &curl, NULL));
  assert_int_equal(told_count, 0);
  assert_true(lm_trust_apply(&both, &curl, NULL));
  static const CURLoption wanted[] = {CURLOPT_CAINFO, CURLOPT_CAPATH, CURLOPT_PROXY_CAINFO, CURLOPT_PROXY_CAPATH};
  assert_int_equal(told_count, 4);
  for (int i = 0; i < 4; i++) {
    assert_int_equal(told[i].option, wanted[i]);
    assert_ptr_equal(told[i].value, i % 2 ? folders : file);
  }
  told_count = 0;
  assert_true(lm_trust_apply(&only, &curl, NULL));
  assert_int_equal(told_count, 4);
  assert_int_equal(told[0].option, CURLOPT_CAPATH);
  assert_null(told[0].value);
  assert_int_equal(told[1].option, CURLOPT_PROXY_CAPATH);
  assert_null(told[1].value);
  assert_ptr_equal(told[2].value, file);
  assert_ptr_equal(told[3].value, file);
  told_count = 0;
  answer = CURLE_UNKNOWN_OPTION; /* a flavour without it */
  assert_true(lm_trust_apply(&both, &curl, NULL));
  answer = CURLE_OUT_OF_MEMORY;
  assert_false(lm_trust_apply(&both, &curl, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_variables),
      cmocka_unit_test(test_no_system_file),
      cmocka_unit_test(test_no_memory),
      cmocka_unit_test(test_options),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
