#define _POSIX_C_SOURCE 200809L
#include "io/poller.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#if defined(__linux__) && !defined(LM_POLLER_PORTABLE)
#include <sys/epoll.h>

struct lm_poller {
  const lm_allocator *allocator;
  int epoll;
  unsigned char *wanted; /* by descriptor: the events it is watched for */
  size_t capacity;
};

lmopt_status lm_poller_new(const lm_allocator *a, lm_poller **out, lm_error *e) {
  *out = NULL;
  lm_poller *p = lm_alloc_zeroed(a, sizeof *p);
  if (!p) return lm_fail_memory(e);
  p->allocator = a;
  p->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (p->epoll < 0) {
    lm_free(a, p);
    return lm_fail(e, LMOPT_ERROR, "no descriptor to wait with: %s", strerror(errno));
  }
  *out = p;
  return LMOPT_OK;
}

void lm_poller_free(lm_poller *p) {
  if (!p) return;
  close(p->epoll);
  lm_free(p->allocator, p->wanted);
  lm_free(p->allocator, p);
}

static bool make_room(lm_poller *p, size_t fd) {
  size_t before = p->capacity;
  if (fd < before) return true;
  if (!lm_grow(p->allocator, &p->wanted, &p->capacity, fd + 1, sizeof *p->wanted)) return false;
  memset(p->wanted + before, 0, p->capacity - before);
  return true;
}

static struct epoll_event event_of(int fd, int events) {
  struct epoll_event event;
  memset(&event, 0, sizeof event);
  event.data.fd = fd;
  event.events = (events & LMOPT_READ ? (unsigned)EPOLLIN : 0) | (events & LMOPT_WRITE ? (unsigned)EPOLLOUT : 0);
  return event;
}

/*
** A descriptor that nobody wants any more stays with the kernel until something happens on it: between two calls on the
** same connection it would leave and come back for nothing. One that is closed has left by itself, whoever has its
** number next.
*/
bool lm_poller_watch(lm_poller *p, int fd, int events) {
  struct epoll_event event = event_of(fd, events);
  if (!make_room(p, (size_t)fd)) return false;
  p->wanted[fd] = (unsigned char)events;
  return !events || epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, &event) == 0 ||
         epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

size_t lm_poller_ready(lm_poller *p, lmopt_fd *ready, size_t capacity) {
  struct epoll_event events[64];
  size_t found = 0;
  if (capacity > sizeof events / sizeof *events) capacity = sizeof events / sizeof *events;
  int count = epoll_wait(p->epoll, events, (int)capacity, 0); /* the kernel takes turns where there are more */
  for (int i = 0; i < count; i++) {
    int fd = events[i].data.fd;
    unsigned e = events[i].events;
    if (!p->wanted[fd]) {
      epoll_ctl(p->epoll, EPOLL_CTL_DEL, fd, &events[i]);
      continue;
    }
    ready[found].fd = fd;
    ready[found++].events = (e & EPOLLIN ? LMOPT_READ : 0) | (e & EPOLLOUT ? LMOPT_WRITE : 0) |
                            (e & (EPOLLERR | EPOLLHUP) ? LM_POLL_ERROR : 0);
  }
  return found;
}

void lm_poller_wait(lm_poller *p, int wait_ms, int wake_fd) {
  struct pollfd both[2] = {{p->epoll, POLLIN, 0}, {wake_fd, POLLIN, 0}};
  poll(both, wake_fd >= 0 ? 2 : 1, wait_ms);
}

size_t lm_poller_fds(const lm_poller *p, lmopt_fd *fds, size_t capacity) {
  if (capacity > 0) fds[0] = (lmopt_fd){p->epoll, LMOPT_READ};
  return 1;
}

#else

struct lm_poller {
  const lm_allocator *allocator;
  struct pollfd *fds; /* the first is the place of wake_fd */
  size_t count, capacity;
  size_t next; /* where the last look for ready ones ended */
};

lmopt_status lm_poller_new(const lm_allocator *a, lm_poller **out, lm_error *e) {
  *out = NULL;
  lm_poller *p = lm_alloc_zeroed(a, sizeof *p);
  if (!p || !lm_grow(a, &p->fds, &p->capacity, 1, sizeof *p->fds)) {
    lm_free(a, p);
    return lm_fail_memory(e);
  }
  p->allocator = a;
  p->fds[0] = (struct pollfd){-1, POLLIN, 0};
  p->count = 1;
  *out = p;
  return LMOPT_OK;
}

void lm_poller_free(lm_poller *p) {
  if (!p) return;
  lm_free(p->allocator, p->fds);
  lm_free(p->allocator, p);
}

bool lm_poller_watch(lm_poller *p, int fd, int events) {
  size_t i = 1;
  while (i < p->count && p->fds[i].fd != fd) i++;
  if (!events) {
    if (i < p->count) p->fds[i] = p->fds[--p->count];
    return true;
  }
  if (i == p->count) {
    if (!lm_grow(p->allocator, &p->fds, &p->capacity, p->count + 1, sizeof *p->fds)) return false;
    p->count++;
  }
  short wanted = (short)((events & LMOPT_READ ? POLLIN : 0) | (events & LMOPT_WRITE ? POLLOUT : 0));
  p->fds[i] = (struct pollfd){fd, wanted, 0};
  return true;
}

size_t lm_poller_ready(lm_poller *p, lmopt_fd *ready, size_t capacity) {
  size_t watched = p->count - 1, count = 0;
  if (watched == 0 || poll(p->fds + 1, (nfds_t)watched, 0) <= 0) return 0;
  size_t first = p->next % watched;
  for (size_t i = 0; i < watched && count < capacity; i++) {
    p->next = first + i + 1;
    const struct pollfd *f = &p->fds[1 + (first + i) % watched];
    int events = (f->revents & POLLIN ? LMOPT_READ : 0) | (f->revents & POLLOUT ? LMOPT_WRITE : 0) |
                 (f->revents & (POLLERR | POLLHUP | POLLNVAL) ? LM_POLL_ERROR : 0);
    if (events) ready[count++] = (lmopt_fd){f->fd, events};
  }
  return count;
}

void lm_poller_wait(lm_poller *p, int wait_ms, int wake_fd) {
  p->fds[0].fd = wake_fd; /* poll passes over a negative one */
  poll(p->fds, (nfds_t)p->count, wait_ms);
}

size_t lm_poller_fds(const lm_poller *p, lmopt_fd *fds, size_t capacity) {
  for (size_t i = 1; i < p->count && i <= capacity; i++)
    fds[i - 1] = (lmopt_fd){
        p->fds[i].fd, (p->fds[i].events & POLLIN ? LMOPT_READ : 0) | (p->fds[i].events & POLLOUT ? LMOPT_WRITE : 0)};
  return p->count - 1;
}

#endif
