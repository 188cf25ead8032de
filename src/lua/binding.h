/*
** What the files of the Lua floor share.
**
** Conventions: a primitive that may wait, or may fail because of the world,
** returns `true, values...` or `false, error table`; thin wrappers in
** lua/lmopt raise the second. Misuse raises at once, at the user's line.
** Comments in brackets give the effect on the stack: [-popped, +pushed];
** "raises" includes running out of memory.
*/
#ifndef LM_BINDING_H
#define LM_BINDING_H

#include "lua/compat.h"
#include "runtime/runtime.h"

/* --- modules --- */

/*
** A Lua file inside the binary; the list ends with a NULL module. Made by scripts/embed; the command has the
** files in Lua's binary form (scripts/precompile), which only its own Lua may load.
*/
typedef struct lm_embedded_file {
  const char *module, *chunk; /* "lmopt.predict", "@lmopt/predict.lua" */
  const unsigned char *text;
  size_t size;
} lm_embedded_file;
extern const lm_embedded_file lm_embedded_files[];

/* Each leaves one module's table. [-0, +1] */
int lm_open_task(lua_State *L);
int lm_open_cache(lua_State *L);
int lm_open_http(lua_State *L);
int lm_open_json(lua_State *L);
int lm_open_study(lua_State *L);
int lm_open_plans(lua_State *L);
int lm_open_policy(lua_State *L);
int lm_open_statistics(lua_State *L);
int lm_open_system(lua_State *L);
int lm_open_text_index(lua_State *L);

/* --- the runtime of a state --- */

/* The runtime that `L` uses; raises when it is closed. [-0, +0] */
lmopt_runtime *lm_binding_runtime(lua_State *L);

/* The same without raising; NULL: none, or closed. Its allocator outlives the state's userdata. [-0, +0] */
lmopt_runtime *lm_binding_find_runtime(lua_State *L);

/* --- errors --- */

/* "timeout", "network", "cancelled", ...: the `kind` of a status. A static string. */
const char *lm_status_kind(lmopt_status status);

/* Pushes an error table; `status` is an HTTP code, or 0 for none. [-0, +1] raises only for want of memory */
void lm_push_error(lua_State *L, const char *kind, const char *message, int status);

/* Pushes false and the error table of `e`, and returns 2. */
int lm_push_failure(lua_State *L, const lm_error *e);

/* Pushes "file:line" of the innermost Lua frame that is not lmopt's own, or "?". [-0, +1] */
const char *lm_push_place(lua_State *L);

/* Raises "file:line: message" with the user's own file and line; format as lua_pushfstring. */
int lm_misuse(lua_State *L, const char *format, ...);

/* --- tables of options --- */

/*
** Checks that the value at `index` is a table (or nil or none: false is
** returned then) with no names but those of the NULL-terminated list; raises
** with the near miss otherwise. `what` is the function they are for. [-0, +0]
*/
bool lm_check_options(lua_State *L, int index, const char *const *names, const char *what);

/*
** Fields of the table at `index`; an absent one gives `missing`, a wrong type
** raises with the field's name. Texts live as long as they are in the table
** (numbers are not converted). [-0, +0]
*/
double lm_option_number(lua_State *L, int index, const char *name, double missing);
long long lm_option_integer(lua_State *L, int index, const char *name, long long missing);
const char *lm_option_text(lua_State *L, int index, const char *name, const char *missing, size_t *size);

/* --- waiting --- */

/* Submits an operation: called once, at the right time; NULL: `e` says why not. Must not call Lua. */
typedef lm_operation *(*lm_submit_fn)(lmopt_runtime *rt, const void *request, lm_error *e);

/*
** Waits for an operation; `return lm_await(...)` from a C function that Lua
** calls. The results are `true, ...` or `false, error`: a timer gives nothing
** more, an HTTP call its reply (lm_http_push_reply).
*/
int lm_await(lua_State *L, lm_submit_fn submit, const void *request);

/*
** Waits for the next piece of a stream (lm_runtime_http_stream), which stays
** its owner's; `return lm_await_piece(...)`. The results are those of
** lm_http_push_piece, or `false, error` of the wait.
*/
int lm_await_piece(lua_State *L, lm_operation *op);

/* Its owner lets go of a stream, which is closed. False: somebody waits for a piece, is told, and it is not freed yet. */
bool lm_release_stream(lm_operation *op, bool collected);

/* Pushes `true, bytes`, at the end `true, nil, reply`, or `false, error`, of a stream that has one of them. */
int lm_http_push_piece(lua_State *L, lm_operation *op);

/* Pushes `false, error` of an operation that failed. */
int lm_push_operation_failure(lua_State *L, const lm_operation *op);

/* Pushes the table of an HTTP reply {status=, headers=, body=, seconds=}. [-0, +1] */
void lm_http_push_reply(lua_State *L, const lm_http_reply *reply);

#endif
