/*
** What a server says, in the headers of a refusal, about trying again.
**
** Pure: headers come through a callback, the time is an argument. Read, in
** this order, the first that says something:
**
**   retry-after-ms        milliseconds (OpenAI, Azure)
**   retry-after           seconds, or a date in one of the three forms of
**                         RFC 9110, sections 5.6.7 and 10.2.3
**   x-ratelimit-reset-*   how long until a limit is full again, "6m0s" or
**                         "1.5" seconds, of the limits that are used up
**                         (developers.openai.com/api/docs/guides/rate-limits,
**                         console.groq.com/docs/rate-limits)
**   anthropic-ratelimit-*-reset   the same as a date of RFC 3339
**                         (platform.claude.com/docs/en/api/rate-limits)
**   x-ratelimit-reset     seconds, or the moment in seconds or milliseconds
**                         since 1970 (OpenRouter)
**
** and x-should-retry, "true" or "false", which OpenAI and Anthropic send and
** their own clients obey (_should_retry in _base_client.py of openai 3.54.0
** and anthropic 2.12.0; they read the first two in this order, too).
*/
#ifndef LM_ADVICE_H
#define LM_ADVICE_H

#include <stdbool.h>
#include <stddef.h>

/* The value of a header, or NULL; `name` is in lower case. What it returns must live until the next call. */
typedef const char *(*lm_header_fn)(void *userdata, const char *name, size_t *size);

typedef enum lm_again { LM_AGAIN_UNSAID, LM_AGAIN_YES, LM_AGAIN_NO } lm_again;

typedef struct lm_advice {
  double wait; /* seconds, 0 or more; negative: the server did not say */
  lm_again again;
} lm_advice;

/* `utc`: the time now, in seconds since 1970 (lm_clock_utc), for waits that are given as dates. */
lm_advice lm_advice_read(lm_header_fn get, void *userdata, double utc);

/* "Sun, 06 Nov 1994 08:49:37 GMT" and its two obsolete forms; `now` places a year of two digits. False: no such date. */
bool lm_http_date_read(const char *text, double now, double *utc);

/* "2025-11-03T12:34:56.5Z", "...+01:00". */
bool lm_rfc3339_read(const char *text, double *utc);

/* "1h2m3.5s", "12ms", "6m0s"; a bare number is seconds. */
bool lm_duration_read(const char *text, double *seconds);

#endif
