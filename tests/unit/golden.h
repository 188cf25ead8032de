/*
** Reads test vectors from a JSON file, through SQLite's JSON functions.
*/
#ifndef GOLDEN_H
#define GOLDEN_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "math/distribution.h"

typedef struct golden {
  sqlite3 *db;
} golden;

bool golden_open(golden *g, const char *path);
void golden_close(golden *g);

/* The figures of Optuna 5.0.0.dev, between these two: they set a group of tests up and tear it down. 0, or -1. */
extern golden golden_optuna;
int golden_open_optuna(void **state);
int golden_close_optuna(void **state);

/* Paths are SQLite's ("$.tpe[3].log_pdf"), built like printf. */
size_t golden_length(golden *g, const char *format, ...); /* items of an array, keys of an object; 0: absent */
double golden_number(golden *g, const char *format, ...);
/* Fills `out` with the numbers of an array, nested ones flattened; returns how many there are. */
size_t golden_numbers(golden *g, double *out, size_t capacity, const char *format, ...);
/* The index-th key of an object. */
void golden_key(golden *g, size_t index, char *out, size_t size, const char *format, ...);
/* A [name, attributes] pair; `choices` stands in for the text of categories. */
lm_distribution golden_distribution(golden *g, const char *format, ...);

#endif
