#define _POSIX_C_SOURCE 200809L
#include "io/trust.h"

#include <stdlib.h>
#include <unistd.h>

/* A variable that is set to nothing counts as not set, as for curl. */
static const char *read_variable(const char *name) {
  const char *value = getenv(name);
  return value && *value ? value : NULL;
}

/* Whether the file of authorities that libcurl was built to use is there. */
static bool has_system_file(const lm_curl *curl) {
#if LIBCURL_VERSION_NUM >= 0x074600
  const curl_version_info_data *info = curl->version_info(CURLVERSION_NOW);
  return info->age >= CURLVERSION_SEVENTH && info->cainfo && access(info->cainfo, R_OK) == 0;
#else
  (void)curl;
  return false;
#endif
}

bool lm_trust_read(const lm_allocator *a, const lm_curl *curl, lm_trust *trust) {
  const char *file = read_variable("CURL_CA_BUNDLE");
  const char *folders = file ? NULL : read_variable("SSL_CERT_DIR");
  if (!file) file = read_variable("SSL_CERT_FILE");
  trust->file_only = !folders && (file || has_system_file(curl));
  trust->file = lm_copy_text(a, file);
  trust->folders = lm_copy_text(a, folders);
  if ((!file || trust->file) && (!folders || trust->folders)) return true;
  lm_trust_free(a, trust);
  return false;
}

/* A flavour of libcurl that knows no such option goes on with what it trusts by itself. */
static bool set(const lm_curl *curl, CURL *easy, CURLoption option, const char *value) {
  return !value || curl->easy_setopt(easy, option, value) != CURLE_OUT_OF_MEMORY;
}

bool lm_trust_apply(const lm_trust *trust, const lm_curl *curl, CURL *easy) {
  if (trust->file_only) {
    curl->easy_setopt(easy, CURLOPT_CAPATH, (char *)NULL);
    curl->easy_setopt(easy, CURLOPT_PROXY_CAPATH, (char *)NULL);
  }
  return set(curl, easy, CURLOPT_CAINFO, trust->file) && set(curl, easy, CURLOPT_CAPATH, trust->folders) &&
         set(curl, easy, CURLOPT_PROXY_CAINFO, trust->file) && set(curl, easy, CURLOPT_PROXY_CAPATH, trust->folders);
}

void lm_trust_free(const lm_allocator *a, lm_trust *trust) {
  lm_free(a, trust->file);
  lm_free(a, trust->folders);
  trust->file = trust->folders = NULL;
}
