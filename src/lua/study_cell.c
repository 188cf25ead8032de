/* The cells of a study's score sheets. */
#include <string.h>

#include "lua/study.h"

/* A text that C can hold; raises when it is none. */
static const char *check_text(lua_State *L, int index) {
  size_t size;
  const char *text = luaL_checklstring(L, index, &size);
  luaL_argcheck(L, strlen(text) == size, index, "a text with a zero byte");
  return text;
}

/* add_cell(key, record): in the file when this returns; one that is there stays */
static int l_add_cell(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const char *key = check_text(L, 2), *record = check_text(L, 3);
  lm_error e;
  if (lm_study_add_cell(study, key, record, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

/* cell(key) -> record or nil */
static int l_cell(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  const char *key = check_text(L, 2);
  char *record;
  lm_error e;
  if (lm_study_cell(study, key, &record, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  return record ? lm_study_push_text(L, lm_study_allocator(study), record) : 0;
}

/* copy_cells(from): all of another study's */
static int l_copy_cells(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  lua_pushvalue(L, 2);
  lua_replace(L, 1);
  lm_study *from = lm_study_argument(L);
  lm_error e;
  if (lm_study_copy_cells(study, from, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg cell_methods[] = {
    {"add_cell", l_add_cell},
    {"cell", l_cell},
    {"copy_cells", l_copy_cells},
    {NULL, NULL},
};

void lm_study_add_cell_methods(lua_State *L) { luaL_setfuncs(L, cell_methods, 0); }
