/* What programs answered in the trials of a study. */
#include "lua/study.h"

static size_t check_number(lua_State *L, int index, lm_study *study) {
  lua_Integer number = luaL_checkinteger(L, index);
  luaL_argcheck(L, number >= 0 && (size_t)number < lm_study_trials(study)->count, index, "no such trial");
  return (size_t)number;
}

/* add_prediction(number, about, rows or nil): written with the trial's result */
static int l_add_prediction(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  size_t number = check_number(L, 2, study);
  const char *about = luaL_checkstring(L, 3), *rows = luaL_optstring(L, 4, NULL);
  lm_error e;
  if (lm_study_add_prediction(study, number, about, rows, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

/* (list, prediction) */
static int push_prediction(lua_State *L) {
  const lm_stored_prediction *found = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_createtable(L, 0, 2);
  lua_pushstring(L, found->about);
  lua_setfield(L, -2, "about");
  lua_pushstring(L, found->rows);
  lua_setfield(L, -2, "rows");
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  return 0;
}

static void each_prediction(void *userdata, const lm_stored_prediction *found) { lm_study_add_item(userdata, found); }

/* predictions(number) -> list of {about=, rows=} */
static int l_predictions(lua_State *L) {
  lm_study *study;
  lm_storage *s;
  lm_error e;
  if (!lm_study_storage_of(L, &study, &s, &e)) return lm_study_failed(L, &e);
  size_t number = check_number(L, 2, study);
  lua_newtable(L);
  lm_listing listing = {L, push_prediction, false};
  lmopt_status status =
      s ? lm_storage_predictions(s, lm_study_info(study, number)->id, each_prediction, &listing, &e) : LMOPT_OK;
  status = lm_study_listing_status(&listing, status, &e);
  return status == LMOPT_OK ? 1 : lm_study_failed(L, &e);
}

/* copy_predictions(number, from, from_number): what a trial of another study in this file has */
static int l_copy_predictions(lua_State *L) {
  lm_study *study = lm_study_argument(L);
  size_t number = check_number(L, 2, study);
  lua_pushvalue(L, 3);
  lua_replace(L, 1);
  lm_study *from = lm_study_argument(L);
  size_t from_number = check_number(L, 4, from);
  lm_error e;
  if (lm_study_copy_predictions(study, number, from, from_number, &e) != LMOPT_OK) return lm_study_failed(L, &e);
  lua_pushboolean(L, 1);
  return 1;
}

static const luaL_Reg prediction_methods[] = {
    {"add_prediction", l_add_prediction},
    {"predictions", l_predictions},
    {"copy_predictions", l_copy_predictions},
    {NULL, NULL},
};

void lm_study_add_prediction_methods(lua_State *L) { luaL_setfuncs(L, prediction_methods, 0); }
