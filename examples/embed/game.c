/* packages: lmopt lua5.4 sdl2 */
/* test: --fast --frames 900 */
/*
** A game that tunes itself while it is played: archers shoot at balloons, an
** lmopt study tunes how they aim, and their herald speaks through a model.
** What they do is in game.lua; the game draws, moves things, and gives lmopt
** a millisecond of every frame.
**
**   game [--frames N] [--fast] [--trials N] [--seed N] [--storage FILE]
**        [--lm openai/NAME --base-url URL] [--script FILE] [--screenshot FILE.bmp]
**
** Without a display: SDL_VIDEODRIVER=dummy; it is set when there is none, and
** then the game ends after 900 frames unless --frames says otherwise.
*/
#include <SDL.h>
#include <lauxlib.h>
#include <lmopt.h>
#include <lualib.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "letters.h"

enum {
  WIDTH = 480, /* of the canvas; the window shows it twice as large */
  HEIGHT = 270,
  GROUND = 196, /* where the archers stand, and the panel begins below */
  ARCHERS = 8,
  SKILLS = 5,
  TRAIL = 24,
  SHOWN = 4096, /* results that are remembered */
  BUDGET_US = 1000
};

static const double gravity = 150, balloon_radius = 7, frame_seconds = 1.0 / 60;

/* What the study tunes: the names and ranges that game.lua suggests from. */
static const struct skill {
  const char *name;
  double low, high;
} skills[SKILLS] = {
    {"strength", 150, 420}, {"drop", 0, 2}, {"lead", 0, 2}, {"windage", -1, 2}, {"draw", 0, 1.2},
};

typedef struct point {
  double x, y;
} point;

typedef enum phase { IDLE, DRAWING, FLYING, LANDED } phase;

typedef struct archer {
  phase phase;
  point feet, arrow, speed, balloon, drift, trail[TRAIL];
  int trail_length;
  double strength, angle, wait, draw, wind, miss; /* the miss: the nearest the arrow came */
  int burst;                                      /* frames since the balloon burst; 0: it has not */
} archer;

typedef struct game {
  archer archers[ARCHERS];
  double scores[SHOWN], chosen[SHOWN][SKILLS];
  int results, best, arrows, hits, frame;
  double recent; /* share of the last arrows that hit, smoothed */
  bool tuned, failed;
  double tuned_to[SKILLS], tuned_value;
  char speech[120];
  bool speech_is_trouble;
  SDL_Renderer *renderer;
} game;

/* --- the world --- */

static void loose_arrow(archer *a) {
  a->phase = FLYING;
  a->arrow = (point){a->feet.x + 4, a->feet.y - 12};
  a->speed = (point){a->strength * cos(a->angle), a->strength * sin(a->angle)};
  a->trail_length = 0;
}

static void land(game *g, archer *a) {
  bool hit = a->miss < balloon_radius;
  a->phase = LANDED;
  g->arrows++;
  g->hits += hit;
  g->recent += ((hit ? 1 : 0) - g->recent) * (g->arrows < 30 ? 1.0 / g->arrows : 1.0 / 30);
}

static void move_arrow(game *g, archer *a) {
  enum { PARTS = 4 }; /* so that an arrow does not jump over a balloon */
  double dt = frame_seconds / PARTS;
  for (int i = 0; i < PARTS; i++) {
    a->speed.x += a->wind * dt;
    a->speed.y += gravity * dt;
    a->arrow.x += a->speed.x * dt;
    a->arrow.y += a->speed.y * dt;
    double distance = hypot(a->arrow.x - a->balloon.x, a->arrow.y - a->balloon.y);
    if (distance < a->miss) a->miss = distance;
    if (a->miss < balloon_radius && !a->burst) a->burst = 1;
  }
  if (a->trail_length < TRAIL) a->trail_length++;
  memmove(a->trail + 1, a->trail, (TRAIL - 1) * sizeof *a->trail);
  a->trail[0] = a->arrow;
  bool past = a->arrow.x > a->balloon.x + 50 || a->arrow.x < 0;
  if (past || a->arrow.y > GROUND) land(g, a);
}

static void move_world(game *g) {
  for (archer *a = g->archers; a < g->archers + ARCHERS; a++) {
    if (a->burst) a->burst++;
    if (a->phase != DRAWING && a->phase != FLYING) continue;
    if (!a->burst) {
      a->balloon.x += a->drift.x * frame_seconds;
      a->balloon.y += a->drift.y * frame_seconds;
    }
    if (a->phase == FLYING)
      move_arrow(g, a);
    else if ((a->wait -= frame_seconds) <= 0)
      loose_arrow(a);
  }
  g->frame++;
}

/* --- what game.lua may call --- */

static game *the_game(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

static archer *check_archer(lua_State *L) {
  lua_Integer i = luaL_checkinteger(L, 1);
  luaL_argcheck(L, i >= 1 && i <= ARCHERS, 1, "no such archer");
  return &the_game(L)->archers[i - 1];
}

/* game.shoot(archer, strength, angle, draw, dx, dy, vx, vy, wind): the balloon's place is seen from the archer. */
static int l_shoot(lua_State *L) {
  archer *a = check_archer(L);
  a->strength = luaL_checknumber(L, 2);
  a->angle = luaL_checknumber(L, 3);
  a->wait = a->draw = luaL_checknumber(L, 4);
  a->balloon = (point){a->feet.x + 4 + luaL_checknumber(L, 5), a->feet.y - 12 + luaL_checknumber(L, 6)};
  a->drift = (point){luaL_checknumber(L, 7), luaL_checknumber(L, 8)};
  a->wind = luaL_checknumber(L, 9);
  a->miss = 2 * WIDTH;
  a->burst = 0;
  a->phase = DRAWING;
  return 0;
}

/* game.landed(archer): how near the arrow came, or nil while it flies. */
static int l_landed(lua_State *L) {
  archer *a = check_archer(L);
  if (a->phase != LANDED) return 0;
  lua_pushnumber(L, a->miss);
  return 1;
}

/* Reads a table {strength =, drop =, ...}. */
static void read_skills(lua_State *L, int index, double *values) {
  luaL_checktype(L, index, LUA_TTABLE);
  for (int i = 0; i < SKILLS; i++) {
    lua_getfield(L, index, skills[i].name);
    values[i] = luaL_checknumber(L, -1);
    lua_pop(L, 1);
  }
}

/* game.result(score, skills): for the panel. */
static int l_result(lua_State *L) {
  game *g = the_game(L);
  double score = luaL_checknumber(L, 1);
  if (g->results == SHOWN) return 0;
  read_skills(L, 2, g->chosen[g->results]);
  g->scores[g->results] = score;
  if (g->results == 0 || score < g->scores[g->best]) g->best = g->results;
  g->results++;
  return 0;
}

/* game.tuned(number, value, skills): the study is done. */
static int l_tuned(lua_State *L) {
  game *g = the_game(L);
  g->tuned_value = luaL_checknumber(L, 2);
  read_skills(L, 3, g->tuned_to);
  g->tuned = true;
  return 0;
}

/* game.say(text, is_trouble) */
static int l_say(lua_State *L) {
  game *g = the_game(L);
  snprintf(g->speech, sizeof g->speech, "%s", luaL_checkstring(L, 1));
  g->speech_is_trouble = lua_toboolean(L, 2);
  if (g->speech_is_trouble) fprintf(stderr, "herald: %s\n", g->speech);
  return 0;
}

/* game.fail(text): a task of the script has failed. */
static int l_fail(lua_State *L) {
  the_game(L)->failed = true;
  fprintf(stderr, "game.lua: %s\n", luaL_checkstring(L, 1));
  return 0;
}

/* Pushes the table `game`. */
static void push_game(lua_State *L, game *g) {
  static const luaL_Reg functions[] = {{"shoot", l_shoot}, {"landed", l_landed}, {"result", l_result},
                                       {"tuned", l_tuned}, {"say", l_say},       {"fail", l_fail},
                                       {NULL, NULL}};
  luaL_newlibtable(L, functions);
  lua_pushlightuserdata(L, g);
  luaL_setfuncs(L, functions, 1);
  lua_pushinteger(L, ARCHERS);
  lua_setfield(L, -2, "archers");
  lua_pushnumber(L, gravity);
  lua_setfield(L, -2, "gravity");
  lua_pushnumber(L, balloon_radius);
  lua_setfield(L, -2, "balloon");
  lua_createtable(L, SKILLS, 0);
  for (int i = 0; i < SKILLS; i++) {
    lua_createtable(L, 0, 3);
    lua_pushstring(L, skills[i].name);
    lua_setfield(L, -2, "name");
    lua_pushnumber(L, skills[i].low);
    lua_setfield(L, -2, "low");
    lua_pushnumber(L, skills[i].high);
    lua_setfield(L, -2, "high");
    lua_rawseti(L, -2, i + 1);
  }
  lua_setfield(L, -2, "skills");
}

/* --- drawing --- */

static void color(const game *g, int rgb, int alpha) {
  SDL_SetRenderDrawColor(g->renderer, (Uint8)(rgb >> 16), (Uint8)(rgb >> 8 & 255), (Uint8)(rgb & 255), (Uint8)alpha);
}

static void box(const game *g, double x, double y, double width, double height) {
  SDL_Rect r = {(int)x, (int)y, (int)width, (int)height};
  SDL_RenderFillRect(g->renderer, &r);
}

static void line(const game *g, double x1, double y1, double x2, double y2) {
  SDL_RenderDrawLine(g->renderer, (int)lround(x1), (int)lround(y1), (int)lround(x2), (int)lround(y2));
}

static void disc(const game *g, double x, double y, double radius) {
  for (int row = (int)-radius; row <= (int)radius; row++) {
    double half = sqrt(radius * radius - row * row);
    line(g, x - half, y + row, x + half, y + row);
  }
}

static void text(const game *g, int x, int y, const char *words) {
  for (; *words; words++, x += LETTER_ADVANCE) {
    const unsigned char *rows = letter_rows(*words);
    for (int row = 0; rows && row < LETTER_HEIGHT; row++)
      for (int column = 0; column < LETTER_WIDTH; column++)
        if (rows[row] >> (LETTER_WIDTH - 1 - column) & 1) SDL_RenderDrawPoint(g->renderer, x + column, y + row);
  }
}

static int blend(int from, int to, double share) {
  int mixed = 0;
  for (int shift = 16; shift >= 0; shift -= 8) {
    int a = from >> shift & 255, b = to >> shift & 255;
    mixed |= (int)(a + (b - a) * share) << shift;
  }
  return mixed;
}

/* Sky, sun, hills and grass: drawn once. */
static void draw_background(const game *g) {
  for (int y = 0; y < GROUND; y++) {
    color(g, blend(0x1d2b53, 0xf4a261, pow((double)y / GROUND, 1.6)), 255);
    line(g, 0, y, WIDTH, y);
  }
  color(g, 0xffe8a3, 70);
  disc(g, 392, 150, 34);
  color(g, 0xffe8a3, 255);
  disc(g, 392, 150, 26);
  for (int x = 0; x < WIDTH; x++) {
    color(g, 0x7a4a6b, 255);
    line(g, x, 158 + 14 * sin(x * 0.017) + 7 * sin(x * 0.051 + 2), x, GROUND);
    color(g, 0x4a3b5e, 255);
    line(g, x, 176 + 9 * sin(x * 0.023 + 1) + 4 * sin(x * 0.071), x, GROUND);
  }
  color(g, 0x3f7d4e, 255);
  box(g, 0, GROUND, WIDTH, 6);
  color(g, 0x2f5f3c, 255);
  box(g, 0, GROUND + 4, WIDTH, 3);
  color(g, 0x16161f, 255);
  box(g, 0, GROUND + 7, WIDTH, HEIGHT - GROUND - 7);
}

static const int coats[ARCHERS] = {0xe76f51, 0xe9c46a, 0x2a9d8f, 0x8ecae6, 0xf4a6c1, 0xb8de6f, 0xc38fff, 0xffb35c};

static void draw_archer(const game *g, const archer *a, int coat) {
  double x = a->feet.x, y = a->feet.y;
  double angle = a->phase == IDLE ? -0.6 : a->angle, reach = 6;
  double pulled = a->phase == DRAWING && a->draw > 0 ? 1 - a->wait / a->draw : 0;
  color(g, 0x2b2118, 255);
  box(g, x - 2, y - 5, 2, 5);
  box(g, x + 1, y - 5, 2, 5);
  color(g, coat, 255);
  box(g, x - 3, y - 12, 6, 8);
  color(g, 0xf1c9a5, 255);
  box(g, x - 2, y - 17, 5, 5);
  color(g, coat, 255);
  box(g, x - 3, y - 19, 6, 3);
  color(g, 0xffffff, 255);
  point hand = {x + 1 + reach * cos(angle), y - 11 + reach * sin(angle)}, ends[2];
  for (int i = 0; i < 2; i++) {
    double turn = angle + (i ? 1 : -1) * 1.9;
    ends[i] = (point){hand.x + 6 * cos(turn), hand.y + 6 * sin(turn)};
    color(g, 0x5b3a1e, 255);
    line(g, hand.x, hand.y, ends[i].x, ends[i].y);
    color(g, 0xddddcc, 160);
    line(g, ends[i].x, ends[i].y, hand.x - (2 + 4 * pulled) * cos(angle), hand.y - (2 + 4 * pulled) * sin(angle));
  }
}

static void draw_balloon(const game *g, const archer *a, int coat) {
  if (a->phase == IDLE || (a->phase == LANDED && !a->burst)) return;
  if (a->burst) {
    double spread = a->burst * 0.7, fade = 255 - a->burst * 8;
    if (fade <= 0) return;
    color(g, coat, (int)fade);
    for (int i = 0; i < 10; i++) {
      double x = a->balloon.x + spread * cos(i * 0.628), y = a->balloon.y + spread * sin(i * 0.628);
      line(g, x, y, x + 3 * cos(i * 0.628), y + 3 * sin(i * 0.628));
    }
    return;
  }
  color(g, 0xffffff, 110);
  line(g, a->balloon.x, a->balloon.y + balloon_radius, a->balloon.x + 2, a->balloon.y + balloon_radius + 9);
  color(g, coat, 255);
  disc(g, a->balloon.x, a->balloon.y, balloon_radius);
  color(g, 0xffffff, 150);
  disc(g, a->balloon.x - 2, a->balloon.y - 2, 1);
}

static void draw_arrow(const game *g, const archer *a, int coat) {
  if (a->phase != FLYING) return;
  for (int i = 0; i + 1 < a->trail_length; i++) {
    color(g, coat, 200 - i * 200 / TRAIL);
    line(g, a->trail[i].x, a->trail[i].y, a->trail[i + 1].x, a->trail[i + 1].y);
  }
  double turn = atan2(a->speed.y, a->speed.x);
  color(g, 0xffffff, 255);
  line(g, a->arrow.x, a->arrow.y, a->arrow.x - 7 * cos(turn), a->arrow.y - 7 * sin(turn));
}

/* The herald, and what he says, in lines of at most so many letters. */
static void draw_herald(const game *g) {
  enum { X = 172, MOST = 30 };
  color(g, 0x2b2118, 255);
  box(g, X - 2, GROUND - 6, 2, 6);
  box(g, X + 1, GROUND - 6, 2, 6);
  color(g, 0xd62839, 255);
  box(g, X - 4, GROUND - 14, 8, 9);
  color(g, 0xffd166, 255);
  box(g, X - 1, GROUND - 14, 2, 9);
  color(g, 0xf1c9a5, 255);
  box(g, X - 2, GROUND - 20, 5, 6);
  color(g, 0xffd166, 255);
  box(g, X - 3, GROUND - 22, 7, 3);
  line(g, X + 4, GROUND - 12, X + 11, GROUND - 18);
  box(g, X + 10, GROUND - 21, 3, 5);
  char rest[sizeof g->speech], lines[3][MOST + 1];
  int count = 0, widest = 0;
  snprintf(rest, sizeof rest, "%s", g->speech);
  for (char *word = strtok(rest, " \n"); word; word = strtok(NULL, " \n")) {
    int used = count > 0 ? (int)strlen(lines[count - 1]) : MOST;
    bool fits = used + 1 + (int)strlen(word) <= MOST;
    if (!fits && count == 3) break;
    if (fits)
      snprintf(lines[count - 1] + used, (size_t)(MOST + 1 - used), " %s", word);
    else
      snprintf(lines[count++], MOST + 1, "%s", word);
    int width = (int)strlen(lines[count - 1]);
    if (width > widest) widest = width;
  }
  if (count == 0) return;
  int width = widest * LETTER_ADVANCE + 9, height = count * 10 + 7, top = GROUND - 34 - height;
  color(g, 0xfff8e7, 235);
  box(g, X + 8, top, width, height);
  for (int i = 0; i < 7; i++) line(g, X + 12, top + height + i, X + 12 + (7 - i), top + height + i);
  color(g, g->speech_is_trouble ? 0xb00020 : 0x22223b, 255);
  for (int i = 0; i < count; i++) text(g, X + 13, top + 5 + 10 * i, lines[i]);
}

/* A bar per skill: the range, what the last trials tried (brighter: later), and the best so far. */
static void draw_skills(const game *g) {
  enum { LEFT = 66, LENGTH = 120, LAST = 24 };
  for (int i = 0; i < SKILLS; i++) {
    int y = GROUND + 17 + 11 * i;
    double scale = LENGTH / (skills[i].high - skills[i].low);
    color(g, 0xa8a8b8, 255);
    text(g, 10, y - 3, skills[i].name);
    color(g, 0x3a3a4a, 255);
    box(g, LEFT, y, LENGTH + 1, 1);
    for (int k = g->results > LAST ? g->results - LAST : 0; k < g->results; k++) {
      color(g, 0x8ecae6, 40 + 160 * (LAST - (g->results - k) + 1) / LAST);
      box(g, LEFT + (g->chosen[k][i] - skills[i].low) * scale, y - 2, 1, 5);
    }
    if (g->results == 0) continue;
    color(g, 0xffd166, 255);
    box(g, LEFT + (g->chosen[g->best][i] - skills[i].low) * scale - 1, y - 3, 3, 7);
  }
}

static double score_height(double score) { return 46 * fmin(1, log1p(score / 4) / log1p(120 / 4.0)); }

/* The score of every trial, and the best so far; the lower the better. */
static void draw_scores(const game *g) {
  enum { LEFT = 214, WIDE = 256, BASE = GROUND + 66 };
  int first = g->results > WIDE ? g->results - WIDE : 0, step = g->results > 0 && g->results < 128 ? 2 : 1;
  color(g, 0x3a3a4a, 255);
  box(g, LEFT, BASE + 2, WIDE, 1);
  double best = INFINITY, previous = 0;
  for (int k = 0; k < g->results; k++) {
    best = fmin(best, g->scores[k]);
    double x = LEFT + step * (k - first), y = BASE - score_height(best);
    if (k >= first) {
      color(g, 0x8ecae6, 170);
      box(g, x, BASE - score_height(g->scores[k]), 2, 2);
      color(g, 0xffd166, 255);
      if (k > first) line(g, x - step, previous, x, y);
    }
    previous = y;
  }
}

static void draw_panel(const game *g) {
  char words[100];
  draw_skills(g);
  draw_scores(g);
  color(g, 0xfff8e7, 255);
  if (g->results > 0)
    snprintf(words, sizeof words, "TRIAL %d  BEST %.1f  %s", g->results, g->scores[g->best],
             g->tuned ? "TUNED" : "TUNING");
  else
    snprintf(words, sizeof words, "TRIAL 0");
  text(g, 214, GROUND + 11, words);
  snprintf(words, sizeof words, "%d ARROWS, %d HITS  LATELY %.0f%%", g->arrows, g->hits, 100 * g->recent);
  text(g, 8, 8, words);
}

static void draw(const game *g, SDL_Texture *background, SDL_Texture *canvas) {
  SDL_SetRenderTarget(g->renderer, canvas);
  SDL_RenderCopy(g->renderer, background, NULL, NULL);
  for (int i = 0; i < ARCHERS; i++) draw_balloon(g, &g->archers[i], coats[i]);
  for (int i = 0; i < ARCHERS; i++) draw_archer(g, &g->archers[i], coats[i]);
  for (int i = 0; i < ARCHERS; i++) draw_arrow(g, &g->archers[i], coats[i]);
  draw_herald(g);
  draw_panel(g);
  SDL_SetRenderTarget(g->renderer, NULL);
  SDL_RenderCopy(g->renderer, canvas, NULL, NULL);
}

static bool save_screenshot(const game *g, const char *path) {
  SDL_Surface *picture = SDL_CreateRGBSurfaceWithFormat(0, 2 * WIDTH, 2 * HEIGHT, 24, SDL_PIXELFORMAT_RGB24);
  bool good = picture &&
              SDL_RenderReadPixels(g->renderer, NULL, SDL_PIXELFORMAT_RGB24, picture->pixels, picture->pitch) == 0 &&
              SDL_SaveBMP(picture, path) == 0;
  SDL_FreeSurface(picture);
  if (!good) fprintf(stderr, "game: %s: %s\n", path, SDL_GetError());
  return good;
}

/* --- the loop --- */

typedef struct options {
  const char *script, *screenshot, *lm, *base_url, *storage;
  long frames, trials, seed;
  bool fast;
} options;

typedef struct timings {
  double *steps, *frames, worst_processor; /* milliseconds; the last: of a step, without what other programs took */
  long count, capacity;
} timings;

static double milliseconds(void) {
  return (double)SDL_GetPerformanceCounter() * 1e3 / (double)SDL_GetPerformanceFrequency();
}

static void keep(timings *t, double step, double frame) {
  if (t->count == t->capacity) {
    long wanted = t->capacity ? 2 * t->capacity : 4096;
    double *steps = realloc(t->steps, (size_t)wanted * sizeof *steps);
    if (steps) t->steps = steps;
    double *frames = realloc(t->frames, (size_t)wanted * sizeof *frames);
    if (frames) t->frames = frames;
    if (!steps || !frames) return;
    t->capacity = wanted;
  }
  t->steps[t->count] = step;
  t->frames[t->count++] = frame;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void print_timings(const char *what, double *values, long count) {
  if (count == 0) return;
  qsort(values, (size_t)count, sizeof *values, ascending);
  printf("%-24s median %.3f ms, 99th percentile %.3f ms, worst %.3f ms\n", what, values[count / 2],
         values[(long)(0.99 * (double)(count - 1))], values[count - 1]);
}

static bool asked_to_leave(void) {
  SDL_Event event;
  while (SDL_PollEvent(&event))
    if (event.type == SDL_QUIT || (event.type == SDL_KEYDOWN && event.key.keysym.sym == SDLK_ESCAPE)) return true;
  return false;
}

/* Plays; false: a step failed. */
static bool play(game *g, lmopt_runtime *rt, const options *o, timings *t, SDL_Texture *background,
                 SDL_Texture *canvas) {
  for (long frame = 0; (o->frames == 0 || frame < o->frames) && !g->failed && !asked_to_leave(); frame++) {
    clock_t processor = clock();
    double began = milliseconds();
    int left = lmopt_step(rt, 0, BUDGET_US); /* all there is to it */
    double stepped = milliseconds();
    t->worst_processor = fmax(t->worst_processor, (double)(clock() - processor) * 1e3 / CLOCKS_PER_SEC);
    if (left < 0) {
      fprintf(stderr, "game: %s\n", lmopt_errmsg(rt));
      return false;
    }
    move_world(g);
    draw(g, background, canvas);
    SDL_RenderPresent(g->renderer);
    double ended = milliseconds(), spare = frame_seconds * 1e3 - (ended - began);
    keep(t, stepped - began, ended - began);
    if (!o->fast && spare > 0) SDL_Delay((Uint32)spare);
  }
  return !g->failed;
}

/* Loads game.lua, which starts its tasks and returns. */
static bool load_script(lua_State *L, game *g, const options *o) {
  luaL_openlibs(L);
  luaL_requiref(L, "lmopt", luaopen_lmopt, 0);
  lua_settop(L, 0);
  bool good = luaL_loadfile(L, o->script) == LUA_OK;
  if (good) {
    push_game(L, g);
    lua_newtable(L);
    const char *const names[] = {"lm", "base_url", "storage"}, *const values[] = {o->lm, o->base_url, o->storage};
    for (int i = 0; i < 3; i++) {
      lua_pushstring(L, values[i]); /* nil for NULL */
      lua_setfield(L, -2, names[i]);
    }
    lua_pushinteger(L, o->trials);
    lua_setfield(L, -2, "trials");
    lua_pushinteger(L, o->seed);
    lua_setfield(L, -2, "seed");
    good = lua_pcall(L, 2, 0, 0) == LUA_OK;
  }
  if (!good) fprintf(stderr, "game: %s (--script FILE says where game.lua is)\n", luaL_tolstring(L, -1, NULL));
  return good;
}

static void say_log(void *userdata, lmopt_log_level level, const char *words) {
  (void)userdata;
  if (level == LMOPT_LOG_WARNING) fprintf(stderr, "lmopt: %s\n", words);
}

static void print_results(const game *g, const timings *t) {
  const double *last = g->tuned ? g->tuned_to : g->chosen[g->best];
  printf("%ld frames, %d trials, %d arrows, %d hits (lately %.0f%%)\n", t->count, g->results, g->arrows, g->hits,
         100 * g->recent);
  for (int i = 0; g->results > 0 && i < SKILLS; i++) printf("%s%s %.3g", i ? ", " : "best: ", skills[i].name, last[i]);
  if (g->results > 0) printf("; score %.2f\n", g->tuned ? g->tuned_value : g->scores[g->best]);
  print_timings("lmopt_step, 1 ms asked:", t->steps, t->count);
  printf("%-24s worst %.3f ms of the processor's time\n", "", t->worst_processor);
  print_timings("whole frame:", t->frames, t->count);
}

static bool run(game *g, const options *o, SDL_Texture *background, SDL_Texture *canvas) {
  lmopt_config config;
  lmopt_runtime *rt = NULL;
  timings t = {0};
  lmopt_config_init(&config);
  config.never_block = 1;
  config.log = say_log;
  if (lmopt_open(&config, &rt) != LMOPT_OK) return false;
  lua_State *L = luaL_newstate();
  bool good = L && lmopt_attach(L, rt) == LMOPT_OK && load_script(L, g, o) && play(g, rt, o, &t, background, canvas);
  if (good && o->screenshot) good = save_screenshot(g, o->screenshot);
  if (t.count > 0) print_results(g, &t);
  if (L) lua_close(L);
  lmopt_close(rt);
  free(t.steps);
  free(t.frames);
  return good;
}

static bool read_options(int argc, char **argv, options *o) {
  for (int i = 1; i < argc; i++) {
    const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (strcmp(name, "--fast") == 0) {
      o->fast = true;
      continue;
    }
    const struct {
      const char *name, **text;
      long *number;
    } known[] = {{"--script", &o->script, NULL},   {"--screenshot", &o->screenshot, NULL},
                 {"--lm", &o->lm, NULL},           {"--base-url", &o->base_url, NULL},
                 {"--storage", &o->storage, NULL}, {"--frames", NULL, &o->frames},
                 {"--trials", NULL, &o->trials},   {"--seed", NULL, &o->seed}};
    size_t k = 0, count = sizeof known / sizeof *known;
    while (k < count && strcmp(known[k].name, name) != 0) k++;
    if (k == count || !value) {
      fprintf(stderr, "game: %s %s\n", name, k == count ? "is not known" : "needs a value");
      return false;
    }
    if (known[k].text) *known[k].text = value;
    if (known[k].number) *known[k].number = strtol(value, NULL, 10);
    i++;
  }
  return true;
}

int main(int argc, char **argv) {
  static game g;
  static char beside[] = __FILE__ "  "; /* game.lua is beside this file */
  strcpy(strrchr(beside, '.'), ".lua");
  options o = {.script = beside, .lm = "offline", .trials = 160, .seed = 7};
  if (!read_options(argc, argv, &o)) return 2;
  bool headless = !getenv("DISPLAY") && !getenv("WAYLAND_DISPLAY");
  if (headless) SDL_setenv("SDL_VIDEODRIVER", "dummy", 0);
  if (headless && o.frames == 0) o.frames = 900;
  if (SDL_Init(SDL_INIT_VIDEO) != 0) {
    fprintf(stderr, "game: %s\n", SDL_GetError());
    return 1;
  }
  for (int i = 0; i < ARCHERS; i++) g.archers[i].feet = (point){14 + 19 * i, GROUND};
  SDL_Window *window =
      SDL_CreateWindow("lmopt: archers", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, 2 * WIDTH, 2 * HEIGHT, 0);
  g.renderer = window ? SDL_CreateRenderer(window, -1, headless ? SDL_RENDERER_SOFTWARE : 0) : NULL;
  SDL_Texture *textures[2] = {NULL, NULL};
  for (int i = 0; g.renderer && i < 2; i++)
    textures[i] = SDL_CreateTexture(g.renderer, SDL_PIXELFORMAT_ARGB8888, SDL_TEXTUREACCESS_TARGET, WIDTH, HEIGHT);
  bool good = textures[0] && textures[1];
  if (good) {
    SDL_SetRenderDrawBlendMode(g.renderer, SDL_BLENDMODE_BLEND);
    SDL_SetRenderTarget(g.renderer, textures[0]);
    draw_background(&g);
    good = run(&g, &o, textures[0], textures[1]);
  } else {
    fprintf(stderr, "game: %s\n", SDL_GetError());
  }
  SDL_Quit(); /* window, renderer and textures go with it */
  return good ? 0 : 1;
}
