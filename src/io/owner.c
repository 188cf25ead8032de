#define _POSIX_C_SOURCE 200809L
#define _DEFAULT_SOURCE
#include "io/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Reads the start of a small system file without its line end; false when there is none. */
static bool read_file(const char *path, char *text, size_t size) {
  text[0] = '\0';
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  ssize_t length;
  do length = read(file, text, size - 1);
  while (length < 0 && errno == EINTR);
  close(file);
  if (length <= 0) {
    text[0] = '\0';
    return false;
  }
  text[length] = '\0';
  text[strcspn(text, "\n")] = '\0';
  return true;
}

/*
** Fields 3 (state) and 22 (start time) of /proc/PID/stat; proc(5). Field 2 is
** the name in parentheses and may hold anything, so counting starts behind its last ")".
*/
static bool read_stat(const char *process, char *state, char start[32]) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%s/stat", process);
  if (!read_file(path, text, sizeof text)) return false;
  char *field = strrchr(text, ')');
  if (!field || field[1] != ' ') return false;
  *state = field[2];
  for (int number = 2; number < 22; number++) {
    field = strchr(field + 1, ' ');
    if (!field) return false;
  }
  size_t length = strcspn(field + 1, " ");
  if (length == 0 || length >= 32) return false;
  memcpy(start, field + 1, length);
  start[length] = '\0';
  return true;
}

void lm_owner_self(lm_owner *owner) {
  memset(owner, 0, sizeof *owner);
  if (gethostname(owner->host, sizeof owner->host - 1) != 0) owner->host[0] = '\0';
  read_file("/proc/sys/kernel/random/boot_id", owner->boot, sizeof owner->boot);
  ssize_t length = readlink("/proc/self/ns/pid", owner->space, sizeof owner->space - 1);
  owner->space[length > 0 ? length : 0] = '\0';
  char state;
  if (!read_stat("self", &state, owner->start)) owner->start[0] = '\0';
  owner->process = (long long)getpid();
}

static lm_life judge_process(const lm_owner *other) {
  char text[32], state, start[32];
  snprintf(text, sizeof text, "%lld", other->process);
  if (other->process > 0 && other->start[0] && read_stat(text, &state, start)) {
    bool same = strcmp(start, other->start) == 0;
    return same && state != 'Z' && state != 'X' ? LM_LIFE_ALIVE : LM_LIFE_DEAD; /* a zombie runs nothing */
  }
  /* Hidden from us, or a system without /proc. */
  if (other->process <= 0) return LM_LIFE_DEAD;
  return kill((pid_t)other->process, 0) != 0 && errno == ESRCH ? LM_LIFE_DEAD : LM_LIFE_ALIVE;
}

lm_life lm_owner_judge(const lm_owner *self, const lm_owner *other) {
  if (strcmp(self->host, other->host) != 0 || strcmp(self->space, other->space) != 0) return LM_LIFE_UNKNOWN;
  if (strcmp(self->boot, other->boot) != 0) return LM_LIFE_DEAD;
  return judge_process(other);
}
