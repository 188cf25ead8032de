/* packages: lmopt lua5.4 */
/* The same seed gives the same study from C and from Lua; a file that one began the other goes on with. */
#include <math.h>
#include <unistd.h>

#include "check.h"

enum { TRIALS = 36 };

typedef struct point {
  double x, deep;
  long long k;
  size_t kind;
  int pruned;
} point;

/* The objective twice: with the same sums in the same order, so that the values are the same to the last bit. */
static const char objective[] =
    "KINDS = { 'a', 'b \"quoted\"', 'c/\\u{e9}' }\n"
    "points = points or {}\n"
    "function run_trials(study, count)\n"
    "  for _ = 1, count do\n"
    "    local trial = study:ask()\n"
    "    local p = { x = trial:suggest_float('x', -5, 5), k = trial:suggest_int('k', 1, 64, { log = true }), deep = 0 "
    "}\n"
    "    local kind = trial:suggest_categorical('kind', KINDS)\n"
    "    for i, name in ipairs(KINDS) do if name == kind then p.kind = i - 1 end end\n"
    "    if p.kind == 0 then p.deep = trial:suggest_float('deep', 0, 2, { step = 0.25 }) end\n"
    "    trial:report(p.x, 1)\n"
    "    local prune = trial:should_prune()\n"
    "    local value = p.x * p.x\n"
    "    value = value + p.k\n"
    "    value = value + p.deep\n"
    "    study:tell(trial, not prune and value or nil, { state = prune and 'pruned' or 'complete' })\n"
    "    p.pruned = prune and 1 or 0\n"
    "    points[trial.number] = p\n"
    "  end\n"
    "end\n";

static bool run_trials(lmopt_study *study, point *points, int count) {
  static const char *const kinds[] = {"a", "b \"quoted\"", "c/\xc3\xa9"};
  for (int i = 0; i < count; i++) {
    lmopt_trial *trial;
    point p = {0};
    if (lmopt_study_ask(study, &trial) != LMOPT_OK || lmopt_trial_float(trial, "x", -5, 5, 0, 0, &p.x) != LMOPT_OK ||
        lmopt_trial_int(trial, "k", 1, 64, 0, 1, &p.k) != LMOPT_OK ||
        lmopt_trial_choice(trial, "kind", kinds, 3, &p.kind) != LMOPT_OK ||
        (p.kind == 0 && lmopt_trial_float(trial, "deep", 0, 2, 0.25, 0, &p.deep) != LMOPT_OK) ||
        lmopt_trial_report(trial, 1, p.x) != LMOPT_OK || lmopt_trial_should_prune(trial, &p.pruned) != LMOPT_OK)
      return false;
    volatile double value = p.x * p.x; /* no fused multiply-add: Lua has none */
    value = value + (double)p.k;
    value = value + p.deep;
    double told = value;
    lmopt_state state = p.pruned ? LMOPT_PRUNED : LMOPT_COMPLETE;
    if (lmopt_study_tell(study, trial, state, &told, p.pruned ? 0 : 1) != LMOPT_OK) return false;
    points[lmopt_trial_number(trial)] = p;
  }
  return true;
}

static double field(lua_State *L, int number, const char *name) {
  lua_getglobal(L, "points");
  lua_geti(L, -1, number);
  double value = NAN;
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, name);
    value = lua_tonumber(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return value;
}

static int different(lua_State *L, const point *points, int from, int to) {
  int count = 0;
  for (int i = from; i < to; i++) {
    const point *p = &points[i];
    bool same = field(L, i, "x") == p->x && field(L, i, "deep") == p->deep && field(L, i, "k") == (double)p->k &&
                field(L, i, "kind") == (double)p->kind && field(L, i, "pruned") == p->pruned;
    if (!same && count++ == 0) printf("# trial %d: Lua has x = %.17g, C has %.17g\n", i, field(L, i, "x"), p->x);
  }
  return count;
}

static void remove_file(const char *path) {
  static const char *const endings[] = {"", "-wal", "-shm", "-journal"};
  char name[250];
  for (int i = 0; i < 4; i++) {
    snprintf(name, sizeof name, "%s%s", path, endings[i]);
    remove(name);
  }
}

static void compare(lmopt_runtime *rt, const char *sampler) {
  static point points[TRIALS];
  char script[300];
  lua_State *L = open_state(rt);
  CHECK(run(L, objective));
  snprintf(script, sizeof script, "run_trials(lmopt.create_study { name = 's', seed = 21, sampler = '%s' }, %d)",
           sampler, TRIALS);
  CHECK(run(L, script));
  lmopt_study_config config;
  lmopt_study_config_init(&config);
  config.seed = 21;
  config.sampler = sampler;
  lmopt_study *study;
  CHECK(lmopt_study_open(rt, &config, &study) == LMOPT_OK);
  CHECK(run_trials(study, points, TRIALS));
  printf("# sampler %s\n", sampler);
  CHECK(different(L, points, 0, TRIALS) == 0);
  CHECK(points[0].x != points[1].x); /* it is a study, and no row of zeros */
  lmopt_study_close(study);
  lua_close(L);
}

/* A third in C, a third in Lua, a third in C: the study that C makes alone in memory. */
static void take_turns(lmopt_runtime *rt, const char *path) {
  static point whole[TRIALS], parts[TRIALS];
  enum { THIRD = TRIALS / 3 };
  char script[400];
  lmopt_study_config config;
  lmopt_study_config_init(&config);
  config.name = "turns";
  config.seed = 8;
  lmopt_study *study;
  CHECK(lmopt_study_open(rt, &config, &study) == LMOPT_OK);
  CHECK(run_trials(study, whole, TRIALS));
  lmopt_study_close(study);
  remove_file(path);
  config.storage = path;
  config.load_if_exists = 1;
  CHECK(lmopt_study_open(rt, &config, &study) == LMOPT_OK);
  CHECK(run_trials(study, parts, THIRD));
  lmopt_study_close(study);
  lua_State *L = open_state(rt);
  CHECK(run(L, objective));
  snprintf(script, sizeof script,
           "local study = lmopt.load_study { name = 'turns', storage = '%s' }\n"
           "run_trials(study, %d) study:close()",
           path, THIRD);
  CHECK(run(L, script));
  CHECK(different(L, whole, THIRD, 2 * THIRD) == 0);
  CHECK(lmopt_study_open(rt, &config, &study) == LMOPT_OK);
  CHECK(run_trials(study, parts, THIRD));
  CHECK(memcmp(parts, whole, THIRD * sizeof *parts) == 0);
  CHECK(memcmp(parts + 2 * THIRD, whole + 2 * THIRD, THIRD * sizeof *parts) == 0);
  lmopt_trial *best;
  double value = 0;
  size_t count;
  CHECK(lmopt_study_best(study, &best) == LMOPT_OK && lmopt_trial_values(best, &value, 1, &count) == LMOPT_OK);
  snprintf(script, sizeof script,
           "local best = lmopt.load_study { name = 'turns', storage = '%s' }.best_trial\n"
           "number, value = best.number, best.value",
           path);
  CHECK(run(L, script));
  CHECK(global_number(L, "number") == (double)lmopt_trial_number(best) && global_number(L, "value") == value);
  lmopt_study_close(study);
  lua_close(L);
  remove_file(path);
}

int main(void) {
  counter c = {0};
  lmopt_config config;
  lmopt_config_init(&config);
  config.alloc = counted_alloc;
  config.alloc_userdata = &c;
  lmopt_runtime *rt;
  char path[200];
  CHECK(lmopt_open(&config, &rt) == LMOPT_OK);
  compare(rt, "tpe");
  compare(rt, "random");
  snprintf(path, sizeof path, "%s/lmopt-turns-%ld.db", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
           (long)getpid());
  take_turns(rt, path);
  lmopt_close(rt);
  CHECK(c.live == 0);
  return conclude();
}
