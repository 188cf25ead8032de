/*
** Who runs a trial: a process, named so that nobody takes another one for it.
**
** A process id alone is reused; with the time the process started, the boot it
** started in, and the host and process-id namespace it counts in, it is not.
*/
#ifndef LM_OWNER_H
#define LM_OWNER_H

#include <stdbool.h>

typedef struct lm_owner {
  char host[256];
  char boot[64];  /* "" where the system has no such id */
  char space[64]; /* the process-id namespace; "" where there are none */
  char start[32]; /* clock ticks since boot, as the system says it; "" unknown */
  long long process;
} lm_owner;

typedef enum lm_life { LM_LIFE_ALIVE, LM_LIFE_DEAD, LM_LIFE_UNKNOWN /* on another host: ask its heartbeat */ } lm_life;

void lm_owner_self(lm_owner *owner);
lm_life lm_owner_judge(const lm_owner *self, const lm_owner *other);

#endif
