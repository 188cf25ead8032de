/*
** lmopt.core.policy: retries, limits and event streams (src/io/retry.h,
** limiter.h, sse.h) for Lua. See lua/meta/policy.lua.
**
** Nothing here waits: who uses it says what time it is, and sleeps or parks
** by itself.
*/
#include <math.h>
#include <string.h>

#include "io/limiter.h"
#include "io/sse.h"
#include "lua/binding.h"

static const char retry_metatable[] = "lmopt.retry";
static const char limiter_metatable[] = "lmopt.limiter";
static const char ticket_metatable[] = "lmopt.ticket";
static const char stream_metatable[] = "lmopt.event_stream";

static const size_t event_limit = (size_t)16 << 20; /* bytes of one line, and of one event, unless said otherwise */

/* By lm_outcome; ends with NULL. */
static const char *const outcomes[] = {"good", "fault", "transient", "timeout", "overload", "rate_limit", NULL};

/* --- what happened --- */

/* outcome(status | kind): an HTTP code, or the kind of the error when there was no reply */
static int l_outcome(lua_State *L) {
  lm_outcome outcome;
  if (lua_type(L, 1) == LUA_TNUMBER) {
    outcome = lm_outcome_of(LMOPT_OK, (int)luaL_checkinteger(L, 1));
  } else {
    const char *kind = luaL_checkstring(L, 1);
    outcome = lm_outcome_of(strcmp(kind, "network") == 0   ? LMOPT_NETWORK
                            : strcmp(kind, "timeout") == 0 ? LMOPT_TIMEOUT
                                                           : LMOPT_ERROR,
                            0);
  }
  lua_pushstring(L, outcomes[outcome]);
  return 1;
}

/* A header of the table at index 1, which keeps the text alive. */
static const char *get_header(void *userdata, const char *name, size_t *size) {
  lua_State *L = userdata;
  lua_pushstring(L, name);
  const char *text = lua_rawget(L, 1) == LUA_TSTRING ? lua_tolstring(L, -1, size) : NULL;
  lua_pop(L, 1);
  return text;
}

/* advice(headers, utc) */
static int l_advice(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lm_advice advice = lm_advice_read(get_header, L, luaL_checknumber(L, 2));
  if (advice.wait >= 0)
    lua_pushnumber(L, advice.wait);
  else
    lua_pushnil(L);
  if (advice.again == LM_AGAIN_UNSAID)
    lua_pushnil(L);
  else
    lua_pushboolean(L, advice.again == LM_AGAIN_YES);
  return 2;
}

/* --- retries --- */

static void check_range(lua_State *L, const char *name, double value, double least) {
  if (!(value >= least) || isinf(value)) lm_misuse(L, "'%s' must be at least %f", name, least);
}

/* The field at `key` as a boolean; absent: false. */
static bool option_flag(lua_State *L, int index, const char *name) {
  int type = lua_getfield(L, index, name);
  bool value = lua_toboolean(L, -1);
  if (type != LUA_TNIL && type != LUA_TBOOLEAN)
    lm_misuse(L, "'%s' must be a boolean, not a %s", name, lua_typename(L, type));
  lua_pop(L, 1);
  return value;
}

/* retry(options) */
static int l_retry(lua_State *L) {
  static const char *const names[] = {"attempts", "base", "cap", "patience", "timeouts", "seed", "number", NULL};
  lm_retry_options o;
  uint64_t seed = 0;
  int64_t number = 0;
  lua_settop(L, 1);
  lm_retry_options_default(&o);
  if (lm_check_options(L, 1, names, "retry")) {
    long long attempts = lm_option_integer(L, 1, "attempts", o.attempts);
    o.base = lm_option_number(L, 1, "base", o.base);
    o.cap = lm_option_number(L, 1, "cap", o.cap);
    o.patience = lm_option_number(L, 1, "patience", o.patience);
    o.timeouts = option_flag(L, 1, "timeouts");
    seed = (uint64_t)lm_option_integer(L, 1, "seed", 0);
    number = (int64_t)lm_option_integer(L, 1, "number", 0);
    check_range(L, "attempts", (double)attempts, 1);
    check_range(L, "base", o.base, 0);
    check_range(L, "cap", o.cap, 0);
    check_range(L, "patience", o.patience, 0);
    o.attempts = attempts < 1000000000 ? (int)attempts : 1000000000;
  }
  lm_retry *r = lua_newuserdatauv(L, sizeof *r, 0);
  lm_retry_init(r, &o, lm_rng_stream(seed, number, "retry"));
  luaL_setmetatable(L, retry_metatable);
  return 1;
}

/* retry:failed(outcome, now, [{wait =, again =, deadline =, needs =}]) */
static int l_failed(lua_State *L) {
  static const char *const names[] = {"wait", "again", "deadline", "needs", NULL};
  static const char *const verdicts[] = {"again", "final", "attempts", "patience", "deadline"};
  lm_retry *r = luaL_checkudata(L, 1, retry_metatable);
  lm_failure f = {.advice = {-1, LM_AGAIN_UNSAID}, .deadline = INFINITY};
  f.outcome = (lm_outcome)luaL_checkoption(L, 2, NULL, outcomes);
  f.now = luaL_checknumber(L, 3);
  lua_settop(L, 4);
  if (lm_check_options(L, 4, names, "failed")) {
    f.advice.wait = lm_option_number(L, 4, "wait", -1);
    f.deadline = lm_option_number(L, 4, "deadline", INFINITY);
    f.needs = lm_option_number(L, 4, "needs", 0);
    if (lua_getfield(L, 4, "again") == LUA_TBOOLEAN) f.advice.again = lua_toboolean(L, -1) ? LM_AGAIN_YES : LM_AGAIN_NO;
  }
  double wait;
  lm_verdict verdict = lm_retry_failed(r, &f, &wait);
  if (verdict == LM_VERDICT_AGAIN) {
    lua_pushnumber(L, wait);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, verdicts[verdict]);
  return 2;
}

/* --- limiters --- */

/* User values of a limiter and of a ticket. */
enum { LIMITER_TICKETS = 1, LIMITER_VALUES = LIMITER_TICKETS };
enum { TICKET_LIMITER = 1, TICKET_OWNER, TICKET_VALUES = TICKET_OWNER };

static int concurrency_of(lua_State *L, long long value) {
  if (value < 1) lm_misuse(L, "'concurrency' must be at least 1");
  return value < 1000000000 ? (int)value : 1000000000;
}

/* limiter(options) */
static int l_limiter(lua_State *L) {
  static const char *const names[] = {"concurrency", "rpm", "tpm", "burst", NULL};
  lm_limiter_options o;
  lua_settop(L, 1);
  lm_limiter_options_default(&o);
  if (lm_check_options(L, 1, names, "limiter")) {
    o.concurrency = concurrency_of(L, lm_option_integer(L, 1, "concurrency", o.concurrency));
    o.rpm = lm_option_number(L, 1, "rpm", 0);
    o.tpm = lm_option_number(L, 1, "tpm", 0);
    o.burst = lm_option_number(L, 1, "burst", o.burst);
    check_range(L, "rpm", o.rpm, 0);
    check_range(L, "tpm", o.tpm, 0);
    check_range(L, "burst", o.burst, 0);
  }
  lm_limiter *l = lua_newuserdatauv(L, sizeof *l, LIMITER_VALUES);
  lm_limiter_init(l, &o);
  lua_newtable(L); /* waiting tickets, by address: the queue has pointers to them */
  lua_setiuservalue(L, -2, LIMITER_TICKETS);
  luaL_setmetatable(L, limiter_metatable);
  return 1;
}

static lm_limiter *check_limiter(lua_State *L) { return luaL_checkudata(L, 1, limiter_metatable); }

/* limiter:join(owner, [tokens], [again], [deadline]) */
static int l_join(lua_State *L) {
  lm_limiter *l = check_limiter(L);
  double tokens = luaL_optnumber(L, 3, 0), deadline = luaL_optnumber(L, 5, INFINITY);
  bool again = lua_toboolean(L, 4);
  luaL_argcheck(L, tokens >= 0 && tokens < 1e15, 3, "not a number of tokens");
  luaL_argcheck(L, !isnan(deadline), 5, "not a time");
  lua_settop(L, 2);
  lm_ticket *t = lua_newuserdatauv(L, sizeof *t, TICKET_VALUES);
  memset(t, 0, sizeof *t);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, TICKET_LIMITER);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, -2, TICKET_OWNER);
  luaL_setmetatable(L, ticket_metatable);
  lua_getiuservalue(L, 1, LIMITER_TICKETS);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
  lm_limiter_join(l, t, tokens, again, deadline);
  return 1;
}

/* Takes the ticket out of the table of the limiter at `limiter`. [-0, +0] allocates nothing */
static void release(lua_State *L, int limiter, const lm_ticket *t) {
  limiter = lua_absindex(L, limiter);
  lua_getiuservalue(L, limiter, LIMITER_TICKETS);
  lua_pushnil(L);
  lua_rawsetp(L, -2, t);
  lua_pop(L, 1);
}

/* limiter:next(now) */
static int l_next(lua_State *L) {
  lm_limiter *l = check_limiter(L);
  double now = luaL_checknumber(L, 2), when;
  lm_ticket *t;
  luaL_argcheck(L, isfinite(now), 2, "not a time");
  lm_admission admission = lm_limiter_next(l, now, &t, &when);
  if (!t) { /* nothing from here on can raise */
    lua_pushnil(L);
    lua_pushnumber(L, when);
    return 2;
  }
  lua_getiuservalue(L, 1, LIMITER_TICKETS);
  lua_rawgetp(L, -1, t);
  release(L, 1, t);
  lua_getiuservalue(L, -1, TICKET_OWNER);
  lua_pushboolean(L, admission == LM_ADMISSION_LATE);
  if (l->waiting > 0) return 3;
  lua_pushnumber(L, INFINITY);
  return 4;
}

static int l_pause(lua_State *L) {
  lm_limiter *l = check_limiter(L);
  double now = luaL_checknumber(L, 2), seconds = luaL_checknumber(L, 3);
  luaL_argcheck(L, isfinite(now), 2, "not a time");
  luaL_argcheck(L, isfinite(seconds), 3, "not a time");
  lm_limiter_pause(l, now, seconds);
  return 0;
}

static int l_set_concurrency(lua_State *L) {
  lm_limiter_set_concurrency(check_limiter(L), concurrency_of(L, luaL_checkinteger(L, 2)));
  return 0;
}

static int l_set_rates(lua_State *L) {
  lm_limiter *l = check_limiter(L);
  double rpm = luaL_checknumber(L, 2), tpm = luaL_checknumber(L, 3);
  luaL_argcheck(L, rpm >= 0 && isfinite(rpm), 2, "not a rate");
  luaL_argcheck(L, tpm >= 0 && isfinite(tpm), 3, "not a rate");
  lm_limiter_set_rates(l, rpm, tpm);
  return 0;
}

static void set_number(lua_State *L, const char *name, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static int l_state(lua_State *L) {
  const lm_limiter *l = check_limiter(L);
  lua_createtable(L, 0, 8);
  set_integer(L, "waiting", (lua_Integer)l->waiting);
  set_integer(L, "in_flight", (lua_Integer)l->in_flight);
  set_integer(L, "concurrency", (lua_Integer)l->window);
  set_integer(L, "ceiling", l->ceiling);
  set_number(L, "paused_until", l->paused_until);
  set_number(L, "fastest", l->fastest);
  set_number(L, "accuracy", l->accuracy);
  lua_pushboolean(L, l->answered);
  lua_setfield(L, -2, "answered");
  return 1;
}

/* --- tickets --- */

/* Leaves the ticket's limiter on the stack. */
static lm_ticket *check_ticket(lua_State *L, lm_limiter **l) {
  lm_ticket *t = luaL_checkudata(L, 1, ticket_metatable);
  lua_getiuservalue(L, 1, TICKET_LIMITER);
  *l = lua_touserdata(L, -1);
  return t;
}

/* ticket:finish(outcome, now, [tokens], [seconds], [pause]) */
static int l_finish(lua_State *L) {
  lm_limiter *l;
  lm_ending e;
  e.outcome = (lm_outcome)luaL_checkoption(L, 2, NULL, outcomes);
  e.now = luaL_checknumber(L, 3);
  e.tokens = luaL_optnumber(L, 4, -1);
  e.seconds = luaL_optnumber(L, 5, 0);
  e.pause = luaL_optnumber(L, 6, 0);
  for (int i = 3; i <= 6; i++) luaL_argcheck(L, isfinite(luaL_optnumber(L, i, 0)), i, "not a finite number");
  lm_ticket *t = check_ticket(L, &l);
  lua_pushboolean(L, t->state == LM_TICKET_IN_FLIGHT);
  lm_limiter_end(l, t, &e);
  return 1;
}

/* ticket:leave(), and what happens to a ticket that is closed or collected. */
static int l_leave(lua_State *L) {
  lm_limiter *l;
  lm_ticket *t = check_ticket(L, &l);
  bool there = t->state != LM_TICKET_OUT;
  if (!l) return 0; /* collected before it had one */
  if (t->state == LM_TICKET_WAITING) release(L, -1, t);
  lm_limiter_leave(l, t);
  lua_pushboolean(L, there);
  return 1;
}

/* --- event streams --- */

/* Events wait in a buffer until the parser has returned: building tables may raise. */
typedef struct stream {
  lm_allocator allocator;
  lm_sse parser;
  lm_buffer events; /* each a `head` and its texts */
} stream;

typedef struct head {
  size_t name_size, data_size, id_size;
  long long retry;
} head;

static void keep_event(void *userdata, const lm_sse_event *e) {
  stream *s = userdata;
  head h = {e->name_size, e->data_size, e->id_size, e->retry};
  lm_buffer_add(&s->events, &h, sizeof h);
  lm_buffer_add(&s->events, e->name, e->name_size);
  lm_buffer_add(&s->events, e->data, e->data_size);
  lm_buffer_add(&s->events, e->id, e->id_size);
}

static int close_stream(lua_State *L) {
  stream *s = luaL_checkudata(L, 1, stream_metatable);
  if (!s->allocator.fn) return 0;
  lm_sse_free(&s->parser);
  lm_buffer_free(&s->events);
  return 0;
}

/* event_stream([{limit =}]) */
static int l_event_stream(lua_State *L) {
  static const char *const names[] = {"limit", NULL};
  size_t limit = event_limit;
  lua_settop(L, 1);
  if (lm_check_options(L, 1, names, "event_stream")) {
    long long given = lm_option_integer(L, 1, "limit", (long long)event_limit);
    if (given < 1) lm_misuse(L, "'limit' must be at least 1");
    limit = (size_t)given;
  }
  stream *s = lua_newuserdatauv(L, sizeof *s, 0);
  memset(s, 0, sizeof *s);
  luaL_setmetatable(L, stream_metatable);
  s->allocator.fn = lua_getallocf(L, &s->allocator.userdata);
  lm_sse_init(&s->parser, &s->allocator, limit, keep_event, s);
  lm_buffer_init(&s->events, &s->allocator, SIZE_MAX / 4);
  return 1;
}

static void push_event(lua_State *L, const char *at, const head *h) {
  lua_createtable(L, 0, 4);
  lua_pushlstring(L, at, h->name_size);
  lua_setfield(L, -2, "name");
  lua_pushlstring(L, at + h->name_size, h->data_size);
  lua_setfield(L, -2, "data");
  lua_pushlstring(L, at + h->name_size + h->data_size, h->id_size);
  lua_setfield(L, -2, "id");
  if (h->retry < 0) return;
  lua_pushinteger(L, h->retry);
  lua_setfield(L, -2, "retry");
}

/* stream:feed(bytes) */
static int l_feed(lua_State *L) {
  stream *s = luaL_checkudata(L, 1, stream_metatable);
  size_t size;
  const char *bytes = luaL_checklstring(L, 2, &size);
  lm_buffer_clear(&s->events);
  lmopt_status status = lm_sse_feed(&s->parser, bytes, size);
  if (status == LMOPT_NO_MEMORY || s->events.status != LMOPT_OK) return luaL_error(L, "not enough memory");
  lua_newtable(L);
  head h;
  lua_Integer count = 0;
  for (size_t at = 0; at < s->events.size; at += sizeof h + h.name_size + h.data_size + h.id_size) {
    memcpy(&h, s->events.data + at, sizeof h);
    push_event(L, s->events.data + at + sizeof h, &h);
    lua_rawseti(L, -2, ++count);
  }
  if (status == LMOPT_OK) return 1;
  lm_push_error(L, "limit", "a line or an event of the stream is too long", 0);
  return 2;
}

static int l_unfinished(lua_State *L) {
  const stream *s = luaL_checkudata(L, 1, stream_metatable);
  lua_pushboolean(L, lm_sse_unfinished(&s->parser));
  return 1;
}

/* --- the module --- */

static void new_class(lua_State *L, const char *name, const luaL_Reg *methods, lua_CFunction collect) {
  luaL_newmetatable(L, name);
  lua_newtable(L);
  luaL_setfuncs(L, methods, 0);
  lua_setfield(L, -2, "__index");
  if (collect) {
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__close");
  }
  lua_pop(L, 1);
}

int lm_open_policy(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"outcome", l_outcome},           {"advice", l_advice}, {"retry", l_retry}, {"limiter", l_limiter},
      {"event_stream", l_event_stream}, {NULL, NULL}};
  static const luaL_Reg retry_methods[] = {{"failed", l_failed}, {NULL, NULL}};
  static const luaL_Reg limiter_methods[] = {
      {"join", l_join},           {"next", l_next},   {"pause", l_pause}, {"set_concurrency", l_set_concurrency},
      {"set_rates", l_set_rates}, {"state", l_state}, {NULL, NULL}};
  static const luaL_Reg ticket_methods[] = {{"finish", l_finish}, {"leave", l_leave}, {NULL, NULL}};
  static const luaL_Reg stream_methods[] = {{"feed", l_feed}, {"unfinished", l_unfinished}, {NULL, NULL}};
  new_class(L, retry_metatable, retry_methods, NULL);
  new_class(L, limiter_metatable, limiter_methods, NULL);
  new_class(L, ticket_metatable, ticket_methods, l_leave);
  new_class(L, stream_metatable, stream_methods, close_stream);
  luaL_newlib(L, functions);
  return 1;
}
