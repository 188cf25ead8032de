/* What the files of lmopt.core.json share. */
#ifndef LM_JSON_H
#define LM_JSON_H

#include "base/buffer.h"
#include "lua/binding.h"

/*
** Pushes the value that the JSON text at `index` stands for, and returns 1.
** Returns 0 where only lua-cjson can tell what it is, or what is wrong with it.
** `scratch` is emptied, and used while no Lua code can run. [-0, +(0|1)]
*/
int lm_json_read(lua_State *L, int index, lm_buffer *scratch);

#endif
