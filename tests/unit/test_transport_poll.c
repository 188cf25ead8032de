/* test_transport again, over poll instead of epoll, and with a socket now and then that can't be watched. */
#define LM_POLLER_PORTABLE
#define lm_poller_watch watch_really
#include "io/poller.c"
#undef lm_poller_watch

bool lm_poller_watch(lm_poller *p, int fd, int events);

bool lm_poller_watch(lm_poller *p, int fd, int events) {
  static int watched;
  return events && ++watched % 7 == 0 ? false : watch_really(p, fd, events);
}

#include "test_transport.c"
