#define _GNU_SOURCE /* RTLD_NODELETE */
#include "io/curl.h"

#include <dlfcn.h>
#include <string.h>

/* Debian has two flavours under two names; either will do. */
static const char *const names_of_libcurl[] = {"libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so", NULL};

static void *open_first(const char *const *files) {
  for (size_t i = 0; files[i]; i++) {
    void *library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library) return library;
  }
  return NULL;
}

/* ISO C has no conversion from an object's address to a function's; POSIX promises that the bytes are the same. */
static bool find(void *library, const char *symbol, void *function) {
  void *address = dlsym(library, symbol);
  memcpy(function, &address, sizeof address);
  return address != NULL;
}

lmopt_status lm_curl_load(lm_curl *curl, const char *const *files, lm_error *e) {
  void *library = open_first(files ? files : names_of_libcurl);
  if (!library)
    return lm_fail(e, LMOPT_ERROR,
                   "HTTP needs libcurl, which can't be loaded: install it (on Debian: the package libcurl4)");
#define LM_CURL_FIND(name)                                                                                             \
  if (!find(library, "curl_" #name, &curl->name)) {                                                                    \
    dlclose(library);                                                                                                  \
    return lm_fail(e, LMOPT_ERROR, "this libcurl is too old or none: it has no curl_" #name " (7.80 and later have)"); \
  }
  LM_CURL_FUNCTIONS(LM_CURL_FIND)
#undef LM_CURL_FIND
  dlclose(library); /* it stays, as RTLD_NODELETE says; only the count goes down */
  return LMOPT_OK;
}
