/* What the files of the study binding share. */
#ifndef LM_LUA_STUDY_H
#define LM_LUA_STUDY_H

#include "lua/binding.h"
#include "runtime/study.h"
#include "search/structured.h"

/* The study at argument 1; raises when it is none, or closed. */
lm_study *lm_study_argument(lua_State *L);
/* The name of the metatable of studies of the core. */
extern const char lm_study_metatable[];
/* By lm_state; ends with NULL. */
extern const char *const lm_study_state_names[];
/* Pushes an internal value as Lua sees it: a float, an integer, or the 1-based place of a choice. */
void lm_study_push_internal(lua_State *L, const lm_distribution *d, double internal);
/* Pushes nil, message, kind and returns 3. */
int lm_study_failed(lua_State *L, const lm_error *e);
/*
** Pushes an empty buffer that Lua owns: what is in it is freed however the
** caller ends. Its text lives as long as the value on the stack. [-0, +1, m]
*/
lm_buffer *lm_study_push_buffer(lua_State *L);

/*
** Reads (kind, low, high, step, log, part) or ("categorical", choices, JSON, nil, nil, part) from
** `index`, where `part` may be missing; pushes the text of the choices. Where the JSON of the choices is
** known from a file it is taken as it is, else written. False: `e` says why.
*/
bool lm_study_read_distribution(lua_State *L, int index, lm_distribution *d, lm_error *e);

/* Appends the JSON text of a scalar; false: it is none. */
bool lm_study_add_choice(lua_State *L, int index, lm_buffer *out);
/* What a parameter is of a structured variable, as a table; reading pushes what it returns. */
void lm_study_push_part(lua_State *L, const lm_part *part);
const lm_part *lm_study_read_part(lua_State *L, int index);

enum { LM_MOST_DIRECTIONS = 64 };

/* A report: a number, or a list with one for each direction. Raises when there is anything else, or too much. */
size_t lm_study_read_report_values(lua_State *L, int index, double values[LM_MOST_DIRECTIONS]);

/*
** The option `key` of the table at `index`, which was checked in Lua; `fallback` where it is nil.
** Raises when it is of another type.
*/
long long lm_study_read_integer(lua_State *L, int index, const char *key, long long fallback);
int lm_study_read_int(lua_State *L, int index, const char *key, int fallback);
double lm_study_read_number(lua_State *L, int index, const char *key, double fallback);
bool lm_study_read_flag(lua_State *L, int index, const char *key, bool fallback);
/* The place of its text in `choices`, which ends with NULL; `fallback` where it is none of them. */
int lm_study_read_choice(lua_State *L, int index, const char *key, const char *const *choices, int fallback);

/* Argument 1; *s is NULL for a study in memory. False: it is closed, which is not the same. */
bool lm_study_storage_of(lua_State *L, lm_study **study, lm_storage **s, lm_error *e);
/* Pushes a text that is ours, and frees it, whether or not Lua has memory. Returns 1. */
int lm_study_push_text(lua_State *L, const lm_allocator *a, char *text);

/*
** A list that is filled from inside a walk through a file: what Lua raises
** there must not leave the walk, so every item is pushed protected.
*/
typedef struct lm_listing {
  lua_State *L;       /* the list is on top */
  lua_CFunction push; /* (list, item as light userdata) -> nothing */
  bool failed;
} lm_listing;
void lm_study_add_item(lm_listing *listing, const void *item);
lmopt_status lm_study_listing_status(const lm_listing *listing, lmopt_status status, lm_error *e);

/* The functions of the study's space are called in L from now on, whose argument 1 the study is. [-0, +0] */
void lm_study_enter_space(lua_State *L, lm_study *study);

/* Each adds functions to the table on top of the stack. [-0, +0, m] */
void lm_study_add_sampler_methods(lua_State *L);
void lm_study_add_space_methods(lua_State *L);
void lm_study_add_space_functions(lua_State *L);
void lm_study_add_pruner_methods(lua_State *L);
void lm_study_add_record_methods(lua_State *L);
void lm_study_add_structure_methods(lua_State *L);
void lm_study_add_analysis_methods(lua_State *L);
void lm_study_add_call_methods(lua_State *L);
void lm_study_add_prediction_methods(lua_State *L);
void lm_study_add_cell_methods(lua_State *L);
void lm_study_add_file_methods(lua_State *L);
void lm_study_add_functions(lua_State *L);
void lm_study_add_quick_functions(lua_State *L);
void lm_study_add_random(lua_State *L);

#endif
