/*
** For lmopt.so only. Distributions build lua-cjson's static library without
** position-independent data access: it reads `stderr` (for the message it ends
** with when memory is gone) in a way that a shared object can't. The linker's
** --wrap=stderr sends those reads here.
*/
#include <stdio.h>

extern FILE *__real_stderr;

FILE *__wrap_stderr __attribute__((visibility("hidden")));

static void __attribute__((constructor)) set_stderr(void) { __wrap_stderr = __real_stderr; }
