/*
** libcurl, loaded when the first HTTP call is made: it and the thirty
** libraries behind it take longer to load than all the rest of lmopt takes to
** start, and most runs never send anything.
**
** The table belongs to whoever loaded it; libcurl itself stays in the process
** (OpenSSL has handlers for the end of the process, so it must not be unloaded).
*/
#ifndef LM_CURL_H
#define LM_CURL_H

#include <curl/curl.h>

#include "base/memory.h"

/* Every function of libcurl that is used; curl->easy_init stands for curl_easy_init. */
#define LM_CURL_FUNCTIONS(X) \
  X(easy_cleanup)            \
  X(easy_getinfo)            \
  X(easy_init)               \
  X(easy_pause)              \
  X(easy_reset)              \
  X(easy_setopt)             \
  X(easy_strerror)           \
  X(free)                    \
  X(global_cleanup)          \
  X(global_init)             \
  X(multi_add_handle)        \
  X(multi_cleanup)           \
  X(multi_info_read)         \
  X(multi_init)              \
  X(multi_perform)           \
  X(multi_remove_handle)     \
  X(multi_setopt)            \
  X(multi_socket_action)     \
  X(multi_strerror)          \
  X(slist_append)            \
  X(slist_free_all)          \
  X(url)                     \
  X(url_cleanup)             \
  X(url_get)                 \
  X(url_set)                 \
  X(url_strerror)            \
  X(version_info)

typedef struct lm_curl {
#define LM_CURL_MEMBER(name) __typeof__(curl_##name) *(name);
  LM_CURL_FUNCTIONS(LM_CURL_MEMBER)
#undef LM_CURL_MEMBER
} lm_curl;

/*
** Loads the first of `files` (shared libraries, ends with NULL; NULL: those of
** libcurl 7) that can be loaded. LMOPT_ERROR: the message says what to install.
*/
lmopt_status lm_curl_load(lm_curl *curl, const char *const *files, lm_error *e);

#endif
