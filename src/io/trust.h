/*
** Which certificate authorities are trusted: the system's, or those that the
** environment names, by the same variables and in the same order as the
** command curl reads them (libcurl itself reads none of them):
**
**   CURL_CA_BUNDLE   a file of certificates in the form PEM; else
**   SSL_CERT_FILE    such a file, and
**   SSL_CERT_DIR     folders as `openssl rehash` makes them, separated by ":"
**
** A file alone stands for all of the system's, folders for its folder. Where a
** file says it all, libcurl is told of no folder: only then does it (from 7.87
** on) keep what it has read, which otherwise costs each connection 30 ms
** (tests/faults/tls.py, connections_share_the_authorities).
*/
#ifndef LM_TRUST_H
#define LM_TRUST_H

#include "io/curl.h"

typedef struct lm_trust {
  char *file, *folders; /* NULL: the system's */
  bool file_only;       /* no folder, not the system's either */
} lm_trust;

/* Copies what the environment says. False: no memory, and nothing is held. */
bool lm_trust_read(const lm_allocator *a, const lm_curl *curl, lm_trust *trust);

/* For servers and for proxies that are spoken to over TLS. False: no memory. */
bool lm_trust_apply(const lm_trust *trust, const lm_curl *curl, CURL *easy);

void lm_trust_free(const lm_allocator *a, lm_trust *trust);

#endif
