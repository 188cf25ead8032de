/*
** The descriptors that are watched, and which of them are ready.
**
** Over epoll where there is one: looking costs what is ready, not what is
** watched, and to a host's own loop all of them are one descriptor that never
** changes. Elsewhere (or with LM_POLLER_PORTABLE) over poll.
*/
#ifndef LM_POLLER_H
#define LM_POLLER_H

#include "base/memory.h"

typedef struct lm_poller lm_poller;

enum { LM_POLL_ERROR = 4 }; /* beside LMOPT_READ and LMOPT_WRITE: hung up, or broken */

/* LMOPT_NO_MEMORY; LMOPT_ERROR: no descriptor to be had. */
lmopt_status lm_poller_new(const lm_allocator *a, lm_poller **out, lm_error *e);
void lm_poller_free(lm_poller *p); /* closes no watched descriptor; NULL is a no-op */

/* LMOPT_READ | LMOPT_WRITE, or 0: no longer. False: no memory, it is not watched. */
bool lm_poller_watch(lm_poller *p, int fd, int events);
/*
** Fills `ready` with at most `capacity` descriptors that are ready now, and for
** what; returns how many. Where there are more they take turns.
*/
size_t lm_poller_ready(lm_poller *p, lmopt_fd *ready, size_t capacity);
/* Waits until one of them is ready, or `wake_fd` (-1: none) is readable, or wait_ms have passed. */
void lm_poller_wait(lm_poller *p, int wait_ms, int wake_fd);
/* What a host's loop has to watch: fills at most `capacity`, returns how many there are. */
size_t lm_poller_fds(const lm_poller *p, lmopt_fd *fds, size_t capacity);

#endif
