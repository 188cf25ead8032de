/*
** What lua-cjson's objects read in place of `stderr` (the Makefile renames it
** in them): distributions compile its static library without
** position-independent data access, and only for a variable of the same
** module does that work in a shared object.
*/
#include <stdio.h>

FILE *lm_cjson_stderr;

static void __attribute__((constructor)) set_stderr(void) { lm_cjson_stderr = stderr; }
