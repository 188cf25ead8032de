/* What the files of the study binding share. */
#ifndef LM_LUA_STUDY_H
#define LM_LUA_STUDY_H

#include "lua/binding.h"
#include "runtime/study.h"

/* The study at argument 1; raises when it is none, or closed. */
lm_study *lm_study_argument(lua_State *L);
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
** Reads (kind, low, high, step, log) or ("categorical", choices, JSON) from
** `index`; pushes the text of the choices. Where the JSON of the choices is
** known from a file it is taken as it is, else written. False: `e` says why.
*/
bool lm_study_read_distribution(lua_State *L, int index, lm_distribution *d, lm_error *e);

/* Each adds functions to the table on top of the stack. [-0, +0, m] */
void lm_study_add_sampler_methods(lua_State *L);
void lm_study_add_record_methods(lua_State *L);
void lm_study_add_call_methods(lua_State *L);
void lm_study_add_functions(lua_State *L);
void lm_study_add_random(lua_State *L);

#endif
