/* What a Lua value of plain data is, as 32 bytes. */
#ifndef LM_IDENTITY_H
#define LM_IDENTITY_H

#include "io/digest.h"
#include "lua/binding.h"

/*
** Pushes the identity of the value at `index`, a string, and returns 1. Returns
** 0 for what is no plain data: functions, tables with metatables other than
** lmopt.array's, with mixed keys, very deep or with very many names. [-0, +(0|1)]
*/
int lm_identity_push(lua_State *L, int index, lm_digest *digest);

#endif
