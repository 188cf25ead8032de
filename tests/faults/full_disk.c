/*
** A disk that fills up: after LM_FULL_DISK_AFTER bytes have been written to regular
** files, every write fails with ENOSPC, as the system's own does.
**
**   cc -shared -fPIC -o full_disk.so tests/faults/full_disk.c
**   LM_FULL_DISK_AFTER=100000 LD_PRELOAD=./full_disk.so program...
**
** A test may also include this file and set full_disk_left by itself.
*/
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default"))) /* libsqlite3 must find them, however this is compiled */

extern long long full_disk_left;
long long full_disk_left = -1; /* bytes; negative: no limit */

static void __attribute__((constructor)) read_limit(void) {
  const char *limit = getenv("LM_FULL_DISK_AFTER");
  if (limit) full_disk_left = atoll(limit);
}

/* How much of a write still fits; -1: nothing. */
static long long room_for(int file, size_t size) {
  struct stat found;
  if (full_disk_left < 0 || size == 0 || fstat(file, &found) != 0 || !S_ISREG(found.st_mode)) return (long long)size;
  if (full_disk_left == 0) {
    errno = ENOSPC;
    return -1;
  }
  long long room = (long long)size < full_disk_left ? (long long)size : full_disk_left;
  full_disk_left -= room;
  return room;
}

VISIBLE ssize_t write(int file, const void *bytes, size_t size) {
  long long room = room_for(file, size);
  return room < 0 ? -1 : (ssize_t)syscall(SYS_write, file, bytes, (size_t)room);
}

VISIBLE ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset) {
  long long room = room_for(file, size);
  return room < 0 ? -1 : (ssize_t)syscall(SYS_pwrite64, file, bytes, (size_t)room, offset);
}

VISIBLE ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
  return pwrite64(file, bytes, size, (off64_t)offset);
}
