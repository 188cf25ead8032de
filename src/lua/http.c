/*
** lmopt.core.http: one HTTP call, awaited. See lua/meta/http.lua.
*/
#include <string.h>

#include "lua/binding.h"

enum { PIECE = 8 * 1024 }; /* bytes that a reader gets at a time: what it does with them is one operation of a step */

static const char stream_type[] = "lmopt.http_stream", reply_type[] = "lmopt.http_reply";

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* Adds one line "Name: value" to the table on top: names in lower case, repeated ones joined by ", ". */
static void push_header(lua_State *L, const char *line, size_t size) {
  const char *colon = memchr(line, ':', size);
  if (!colon) return;
  const char *value = colon + 1, *end = line + size;
  while (value < end && (*value == ' ' || *value == '\t')) value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t')) end--;
  luaL_Buffer name;
  luaL_buffinit(L, &name);
  for (const char *c = line; c < colon; c++) luaL_addchar(&name, lower(*c));
  luaL_pushresult(&name);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, -3) == LUA_TSTRING) {
    lua_pushliteral(L, ", ");
    lua_pushlstring(L, value, (size_t)(end - value));
    lua_concat(L, 3);
  } else {
    lua_pop(L, 1);
    lua_pushlstring(L, value, (size_t)(end - value));
  }
  lua_rawset(L, -3);
}

static void push_headers(lua_State *L, const char *line, size_t size_of_all) {
  const char *end = line + size_of_all;
  lua_newtable(L);
  while (line < end) {
    const char *stop = memchr(line, '\n', (size_t)(end - line));
    if (!stop) stop = end;
    size_t size = (size_t)(stop - line);
    if (size > 0 && line[size - 1] == '\r') size--;
    push_header(L, line, size);
    line = stop + 1;
  }
}

/* __index of a reply: hardly anybody looks at the headers of one that is good, so their table is made when somebody does. */
static int l_make_headers(lua_State *L) {
  size_t size;
  if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "headers") != 0) return 0;
  lua_pushliteral(L, "header_lines");
  lua_rawget(L, 1);
  const char *lines = lua_tolstring(L, -1, &size);
  if (!lines) return 0;
  push_headers(L, lines, size);
  lua_pushliteral(L, "headers");
  lua_pushvalue(L, -2);
  lua_rawset(L, 1);
  return 1;
}

void lm_http_push_reply(lua_State *L, const lm_http_reply *reply) {
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 4);
  luaL_setmetatable(L, reply_type);
  lua_pushinteger(L, reply->code);
  lua_setfield(L, -2, "status");
  lua_pushlstring(L, lm_buffer_text(&reply->headers), reply->headers.size);
  lua_setfield(L, -2, "header_lines");
  lua_pushlstring(L, lm_buffer_text(&reply->body), reply->body.size);
  lua_setfield(L, -2, "body");
  lua_pushnumber(L, reply->seconds);
  lua_setfield(L, -2, "seconds");
}

static lm_operation *submit(lmopt_runtime *rt, const void *request, lm_error *e) {
  return lm_runtime_http(rt, request, e);
}

/* Fills the list of headers; its memory and its texts are kept on the stack. */
static void read_headers(lua_State *L, lm_http_request *request) {
  int type = lua_getfield(L, 1, "headers");
  if (type == LUA_TNIL) return;
  if (type != LUA_TTABLE) lm_misuse(L, "'headers' must be a list of texts, not a %s", lua_typename(L, type));
  size_t count = lua_rawlen(L, -1);
  const char **headers = lua_newuserdatauv(L, (count + 1) * sizeof *headers, 0);
  for (size_t i = 0; i < count; i++) {
    if (lua_rawgeti(L, -2, (lua_Integer)i + 1) != LUA_TSTRING) lm_misuse(L, "'headers' must be a list of texts");
    headers[i] = lua_tostring(L, -1);
    if (strlen(headers[i]) != lua_rawlen(L, -1)) lm_misuse(L, "header %d has a zero byte in it", (int)i + 1);
    lua_pop(L, 1); /* the table keeps it alive */
  }
  request->headers = headers;
  request->header_count = count;
}

/* Fills the request from the table at index 1, the only argument; what it points to is on the stack. */
static void read_request(lua_State *L, lm_http_request *request, const char *what) {
  static const char *const names[] = {
      "url",          "method",         "headers", "body", "timeout", "connect_timeout", "first_byte_timeout",
      "idle_timeout", "response_limit", NULL};
  memset(request, 0, sizeof *request);
  lua_settop(L, 1);
  if (!lm_check_options(L, 1, names, what)) lm_misuse(L, "%s takes a table", what);
  request->url = lm_option_text(L, 1, "url", NULL, NULL);
  if (!request->url) lm_misuse(L, "'url' of %s is missing", what);
  request->method = lm_option_text(L, 1, "method", NULL, NULL);
  request->body = lm_option_text(L, 1, "body", NULL, &request->body_size);
  request->timeout = lm_option_number(L, 1, "timeout", 0);
  request->connect_timeout = lm_option_number(L, 1, "connect_timeout", 0);
  request->first_byte_timeout = lm_option_number(L, 1, "first_byte_timeout", 0);
  request->idle_timeout = lm_option_number(L, 1, "idle_timeout", 0);
  long long limit = lm_option_integer(L, 1, "response_limit", 0);
  request->response_limit = limit > 0 ? (size_t)limit : 0;
  read_headers(L, request);
}

static int l_request(lua_State *L) {
  lm_http_request request;
  read_request(L, &request, "request");
  return lm_await(L, submit, &request);
}

/* --- replies in pieces --- */

typedef struct stream {
  lm_operation *op; /* NULL: closed */
} stream;

/* open(request) -> true, stream | false, error */
static int l_open(lua_State *L) {
  lm_http_request request;
  lm_error e;
  read_request(L, &request, "open");
  stream *s = lua_newuserdatauv(L, sizeof *s, 0);
  s->op = NULL;
  luaL_setmetatable(L, stream_type);
  s->op = lm_runtime_http_stream(lm_binding_runtime(L), &request, &e);
  if (!s->op) return lm_push_failure(L, &e);
  lua_pushboolean(L, 1);
  lua_insert(L, -2);
  return 2;
}

static lm_operation *check_stream(lua_State *L) {
  stream *s = luaL_checkudata(L, 1, stream_type);
  if (!s->op) lm_misuse(L, "this reply was closed");
  return s->op;
}

int lm_http_push_piece(lua_State *L, lm_operation *op) {
  luaL_checkstack(L, 8, NULL);
  lm_bytes bytes = lm_runtime_received(op);
  if (bytes.size > 0) {
    size_t size = bytes.size < PIECE ? bytes.size : PIECE;
    lua_pushboolean(L, 1);
    lua_pushlstring(L, bytes.data, size);
    lm_runtime_consume(op, size);
    return 2;
  }
  if (op->status != LMOPT_OK) return lm_push_operation_failure(L, op);
  if (op->reply->in_pieces) lm_buffer_clear(&op->reply->body);
  op->consumed = 0;
  lua_pushboolean(L, 1);
  lua_pushnil(L);
  lm_http_push_reply(L, op->reply);
  return 3;
}

/* stream:read() */
static int l_read(lua_State *L) { return lm_await_piece(L, check_stream(L)); }

/* stream:head() -> {status =, headers =}, or nil before the first piece */
static int l_head(lua_State *L) {
  const lm_operation *op = check_stream(L);
  int code = op->call ? lm_transport_code(op->call) : op->reply->code;
  if (code == 0) return 0;
  lua_createtable(L, 0, 2);
  lua_pushinteger(L, code);
  lua_setfield(L, -2, "status");
  const lm_buffer *headers = op->call ? lm_transport_headers(op->call) : &op->reply->headers;
  push_headers(L, lm_buffer_text(headers), headers->size);
  lua_setfield(L, -2, "headers");
  return 1;
}

static int l_close(lua_State *L) {
  stream *s = luaL_checkudata(L, 1, stream_type);
  if (s->op && lm_release_stream(s->op, false)) s->op = NULL;
  return 0;
}

static int l_collect(lua_State *L) {
  stream *s = luaL_checkudata(L, 1, stream_type);
  if (s->op) lm_release_stream(s->op, true);
  s->op = NULL;
  return 0;
}

int lm_open_http(lua_State *L) {
  static const luaL_Reg functions[] = {{"request", l_request}, {"open", l_open}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"read", l_read}, {"head", l_head}, {"close", l_close}, {NULL, NULL}};
  luaL_newmetatable(L, reply_type);
  lua_pushcfunction(L, l_make_headers);
  lua_setfield(L, -2, "__index");
  luaL_newmetatable(L, stream_type);
  lua_pushcfunction(L, l_collect);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, l_close);
  lua_setfield(L, -2, "__close");
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
  luaL_newlib(L, functions);
  return 1;
}
