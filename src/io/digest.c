#include "io/digest.h"

#include <openssl/evp.h>

bool lm_digest_open(lm_digest *d) {
  d->failed = false;
  d->state = EVP_MD_CTX_new();
  d->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
  if (d->state && d->algorithm && EVP_DigestInit_ex(d->state, d->algorithm, NULL) == 1) return true;
  lm_digest_close(d);
  return false;
}

void lm_digest_close(lm_digest *d) {
  EVP_MD_CTX_free(d->state);
  EVP_MD_free(d->algorithm);
  d->state = d->algorithm = NULL;
}

/* Without an algorithm: the one of before, which is not looked up again. */
void lm_digest_begin(lm_digest *d) { d->failed = !d->state || EVP_DigestInit_ex(d->state, NULL, NULL) != 1; }

void lm_digest_add(lm_digest *d, const void *bytes, size_t size) {
  if (size > 0 && !d->failed) d->failed = EVP_DigestUpdate(d->state, bytes, size) != 1;
}

bool lm_digest_end(lm_digest *d, unsigned char out[LM_DIGEST_SIZE]) {
  if (!d->failed) d->failed = EVP_DigestFinal_ex(d->state, out, NULL) != 1;
  return !d->failed;
}
