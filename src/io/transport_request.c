#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "io/transport_internal.h"

static const double default_connect_timeout = 10, default_timeout = 600, longest_timeout = 1e6;

/* --- what is asked for --- */

/* Checks a URL, and fills in host and port for messages. */
static lmopt_status parse_url(const lm_curl *curl, const char *url, char *where, size_t size, lm_error *e) {
  if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
    return lm_fail(e, LMOPT_MISUSE, "the URL must start with http:// or https://: '%.100s'", url);
  CURLU *parts = curl->url();
  if (!parts) return lm_fail_memory(e);
  char *host = NULL, *port = NULL;
  CURLUcode code = curl->url_set(parts, CURLUPART_URL, url, 0);
  if (code == CURLUE_OK) code = curl->url_get(parts, CURLUPART_HOST, &host, 0);
  if (code == CURLUE_OK) code = curl->url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
  if (code == CURLUE_OK) snprintf(where, size, "%.280s:%.8s", host, port);
  curl->free(host);
  curl->free(port);
  curl->url_cleanup(parts);
  if (code == CURLUE_OUT_OF_MEMORY) return lm_fail_memory(e);
  if (code != CURLUE_OK)
    return lm_fail(e, LMOPT_MISUSE, "not a usable URL (%s): '%.100s'", curl->url_strerror(code), url);
  return LMOPT_OK;
}

static lmopt_status read_url(lm_http_call *call, const char *url, lm_error *e) {
  lm_transport *t = call->transport;
  if (!t->url || strcmp(t->url, url) != 0) {
    lm_free(t->allocator, t->url);
    t->url = NULL;
    lmopt_status status = parse_url(&t->curl, url, t->where, sizeof t->where, e);
    if (status != LMOPT_OK) return status;
    t->url = lm_copy_text(t->allocator, url); /* without memory for it, it is parsed again */
  }
  memcpy(call->where, t->where, sizeof call->where);
  return LMOPT_OK;
}

static bool add_header(lm_http_call *call, const char *header) {
  struct curl_slist *longer = call->transport->curl.slist_append(call->headers, header);
  if (longer) call->headers = longer;
  return longer != NULL;
}

static lmopt_status read_headers(lm_http_call *call, const lm_http_request *request, lm_error *e) {
  for (size_t i = 0; i < request->header_count; i++) {
    const char *header = request->headers[i];
    /* The value may be a key: never show it. */
    if (strpbrk(header, "\r\n") || !strchr(header, ':'))
      return lm_fail(e, LMOPT_MISUSE, "header %zu is not one line of the form 'Name: value'", i + 1);
    if (!add_header(call, header)) return lm_fail_memory(e);
  }
  /* curl would ask leave before a long body, and many servers never answer that. */
  return add_header(call, "Expect:") ? LMOPT_OK : lm_fail_memory(e);
}

/* --- libcurl's options --- */

static long milliseconds(double seconds) {
  if (!(seconds < longest_timeout)) seconds = longest_timeout;
  long ms = (long)ceil(seconds * 1000);
  return ms < 1 ? 1 : ms;
}

static void set_safety(const lm_curl *curl, CURL *easy) {
  curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl->easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
#if LIBCURL_VERSION_NUM >= 0x075500
  curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl->easy_setopt(easy, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
#if LIBCURL_VERSION_NUM >= 0x075700
  curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* giving up a call must not wait for a slow name server */
#endif
}

/*
** Called before a request is sent. On a connection that was used before and breaks without a reply, libcurl would send it
** again unasked, and a call could be paid twice without anybody knowing: that ends the call instead, unless nothing was
** sent yet. (A body that libcurl reads through a function is sent once as well, but in a packet of its own.)
*/
static int before_sending(void *userdata, char *to, char *from, int port, int own_port) {
  lm_http_call *call = userdata;
  long sent = 0;
  (void)to, (void)from, (void)port, (void)own_port;
  call->transport->curl.easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent); /* of a proxy's CONNECT, too */
  bool again = call->asked && sent > call->sent_before;
  call->asked = true;
  call->sent_before = sent;
  return again ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void set_method(lm_http_call *call, const lm_http_request *request) {
  const lm_curl *curl = &call->transport->curl;
  CURL *easy = call->easy;
  const char *method = request->method ? request->method : request->body ? "POST" : "GET";
  if (request->body || strcmp(method, "POST") == 0) {
    curl->easy_setopt(easy, CURLOPT_POST, 1L);
    curl->easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(request->body ? request->body_size : 0));
    curl->easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
    curl->easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_sending);
    curl->easy_setopt(easy, CURLOPT_PREREQDATA, call);
    if (strcmp(method, "POST") != 0) curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  } else if (strcmp(method, "HEAD") == 0) {
    curl->easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (strcmp(method, "GET") != 0) {
    curl->easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
  }
}

/* Only memory can be short here, and below: the URL was checked. */
bool lm_transport_dress(const lm_transport *t, CURL *easy) {
  const lm_curl *curl = &t->curl;
  set_safety(curl, easy);
  curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, lm_transport_receive_body);
  curl->easy_setopt(easy, CURLOPT_HEADERFUNCTION, lm_transport_receive_header);
  curl->easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl->easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
  return lm_trust_apply(&t->trust, curl, easy) &&
         curl->easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip") == CURLE_OK &&
         curl->easy_setopt(easy, CURLOPT_USERAGENT, "lmopt/" LMOPT_VERSION) == CURLE_OK;
}

void lm_transport_forget(const lm_transport *t, CURL *easy) {
  const lm_curl *curl = &t->curl;
  curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, (char *)NULL);
  curl->easy_setopt(easy, CURLOPT_HTTPHEADER, (struct curl_slist *)NULL);
  curl->easy_setopt(easy, CURLOPT_POSTFIELDS, (char *)NULL);
}

static bool set_options(lm_http_call *call, const lm_http_request *request) {
  const lm_transport *t = call->transport;
  const lm_curl *curl = &t->curl;
  CURL *easy = call->easy;
  if (!call->plain) {
    curl->easy_reset(easy);
    if (!lm_transport_dress(t, easy)) return false;
  }
  set_method(call, request);
  curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, call->reason);
  curl->easy_setopt(easy, CURLOPT_PRIVATE, call);
  curl->easy_setopt(easy, CURLOPT_WRITEDATA, call);
  curl->easy_setopt(easy, CURLOPT_HEADERDATA, call);
  curl->easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(call->connect_timeout));
  curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(call->timeout));
  /* Over TLS one connection may serve all calls to a host: wait and see before opening a second. */
  curl->easy_setopt(easy, CURLOPT_PIPEWAIT, strncasecmp(request->url, "https", 5) == 0 ? 1L : 0L);
  return curl->easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
         curl->easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
}

lmopt_status lm_transport_prepare(lm_http_call *call, const lm_http_request *request, lm_error *e) {
  if (!request->url) return lm_fail(e, LMOPT_MISUSE, "no URL");
  lmopt_status status = read_url(call, request->url, e);
  call->connect_timeout = request->connect_timeout > 0 ? request->connect_timeout : default_connect_timeout;
  call->timeout = request->timeout > 0 ? request->timeout : default_timeout;
  call->first_byte_timeout = request->first_byte_timeout;
  call->idle_timeout = request->idle_timeout;
  if (status == LMOPT_OK && request->method &&
      (!*request->method || strspn(request->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(request->method)))
    status = lm_fail(e, LMOPT_MISUSE, "not an HTTP method: '%.40s'", request->method);
  if (status == LMOPT_OK) status = read_headers(call, request, e);
  if (status != LMOPT_OK) return status;
  if (request->body) {
    call->body = lm_copy_bytes(call->transport->allocator, request->body, request->body_size);
    if (!call->body) return lm_fail_memory(e);
  }
  call->plain = request->body && (!request->method || strcmp(request->method, "POST") == 0);
  return set_options(call, request) ? LMOPT_OK : lm_fail_memory(e);
}
