/* packages: lmopt */
/* test: - 60 */
/*
** A C program with no Lua in it that tunes itself by ask and tell: the
** controller of a heater, which is to bring a room to 21 degrees fast and
** without overshooting.
**
**   cc ask_tell.c $(pkg-config --cflags --libs lmopt) -lm -o ask_tell
**   ./ask_tell heater.db         100 trials; stop it at any time
**   ./ask_tell heater.db 200     the same study goes on to 200
**   ./ask_tell -                 in memory
*/
#include <lmopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const filters[] = {"none", "average", "median"};
enum { FILTERS = 3, MINUTES = 90 };

typedef struct controller {
  double proportional, integral, derivative;
  long long period; /* minutes between two decisions */
  size_t filter;
} controller;

/* Asks a running trial for the controller to try, and reads the controller of any other. */
static lmopt_status read_controller(lmopt_trial *trial, controller *c) {
  lmopt_status status = lmopt_trial_float(trial, "proportional", 0.01, 10, 0, 1, &c->proportional);
  if (status == LMOPT_OK) status = lmopt_trial_float(trial, "integral", 1e-4, 1, 0, 1, &c->integral);
  if (status == LMOPT_OK) status = lmopt_trial_float(trial, "derivative", 0, 5, 0.1, 0, &c->derivative);
  if (status == LMOPT_OK) status = lmopt_trial_int(trial, "period", 1, 8, 0, 0, &c->period);
  if (status == LMOPT_OK) status = lmopt_trial_choice(trial, "filter", filters, FILTERS, &c->filter);
  return status;
}

/* What the controller believes the temperature is, from the last three readings. */
static double filtered(const double *readings, size_t filter) {
  double low = fmin(fmin(readings[0], readings[1]), readings[2]);
  double high = fmax(fmax(readings[0], readings[1]), readings[2]);
  double sum = readings[0] + readings[1] + readings[2];
  return filter == 0 ? readings[0] : filter == 1 ? sum / 3 : sum - low - high;
}

/* The room: a radiator that is slow to warm, walls that leak, a thermometer that jumps about. */
typedef struct room {
  double air, radiator, readings[3];
  unsigned noise;
} room;

static double measure(room *r) {
  r->noise = r->noise * 1664525u + 1013904223u;
  return r->air + ((double)(r->noise >> 8) / (1 << 24) - 0.5) * (r->noise >> 28 == 0 ? 6 : 0.4);
}

static void pass_a_minute(room *r, double heating) {
  r->radiator += 0.2 * (15 + 45 * heating - r->radiator);
  r->air += 0.08 * (r->radiator - r->air) - 0.05 * (r->air - 5);
  r->readings[2] = r->readings[1];
  r->readings[1] = r->readings[0];
  r->readings[0] = measure(r);
}

/*
** Runs the room for an hour and a half; the cost is how far from 21 degrees it was,
** overshooting four times over, and how often the valve was moved. Stops early,
** with *pruned set, when the study says that nothing good can come of it.
*/
static lmopt_status run_room(lmopt_trial *trial, const controller *c, double *cost, int *pruned) {
  room r = {12, 15, {12, 12, 12}, 1};
  double heating = 0, sum = 0, before = 9;
  *cost = 0;
  *pruned = 0;
  for (int minute = 0; minute < MINUTES && !*pruned; minute++) {
    if (minute % c->period == 0) {
      double gap = 21 - filtered(r.readings, c->filter);
      sum += gap * (double)c->period;
      double wanted = c->proportional * gap + c->integral * sum + c->derivative * (gap - before) / (double)c->period;
      wanted = fmin(fmax(wanted, 0), 1);
      *cost += 2 * fabs(wanted - heating);
      heating = wanted;
      before = gap;
    }
    pass_a_minute(&r, heating);
    *cost += r.air > 21 ? 4 * (r.air - 21) : 21 - r.air;
    if (minute < 44 || (minute + 1) % 15 != 0) continue; /* who overshoots is ahead at first */
    lmopt_status status = lmopt_trial_report(trial, minute + 1, *cost);
    if (status == LMOPT_OK) status = lmopt_trial_should_prune(trial, pruned);
    if (status != LMOPT_OK) return status;
  }
  return LMOPT_OK;
}

static lmopt_status run_trial(lmopt_study *study, lmopt_trial *trial) {
  controller c;
  double cost;
  int pruned;
  lmopt_status status = read_controller(trial, &c);
  if (status == LMOPT_OK) status = run_room(trial, &c, &cost, &pruned);
  if (status != LMOPT_OK) return status;
  if (pruned) return lmopt_study_tell(study, trial, LMOPT_PRUNED, NULL, 0); /* its last report stands for it */
  return lmopt_study_tell(study, trial, LMOPT_COMPLETE, &cost, 1);
}

static void print_progress(lmopt_study *study, lmopt_trial *trial, long long *best_so_far) {
  lmopt_trial *best;
  double value;
  size_t count;
  if (lmopt_study_best(study, &best) != LMOPT_OK || lmopt_trial_number(best) == *best_so_far) return;
  *best_so_far = lmopt_trial_number(best);
  if (best == trial && lmopt_trial_values(best, &value, 1, &count) == LMOPT_OK)
    printf("trial %3lld: cost %.2f\n", *best_so_far, value);
}

static lmopt_status print_best(lmopt_study *study) {
  lmopt_study_summary summary;
  lmopt_trial *best;
  controller c;
  double value;
  size_t count;
  lmopt_status status = lmopt_study_summarize(study, &summary);
  if (status == LMOPT_OK) status = lmopt_study_best(study, &best);
  if (status == LMOPT_OK) status = lmopt_trial_values(best, &value, 1, &count);
  if (status == LMOPT_OK) status = read_controller(best, &c);
  if (status != LMOPT_OK) return status;
  printf("%zu trials, %zu of them pruned; the best is trial %lld with cost %.2f:\n", summary.trials, summary.pruned,
         lmopt_trial_number(best), value);
  printf("  proportional %.4g, integral %.4g, derivative %g, every %lld min, filter %s\n", c.proportional, c.integral,
         c.derivative, c.period, filters[c.filter]);
  return LMOPT_OK;
}

static lmopt_status tune(lmopt_runtime *rt, const char *file, long long trials) {
  lmopt_study_config config;
  lmopt_study_config_init(&config);
  config.name = "heater";
  config.storage = strcmp(file, "-") == 0 ? NULL : file;
  config.load_if_exists = 1;
  config.seed = 1;
  config.trials = trials;
  lmopt_study *study;
  lmopt_status status = lmopt_study_open(rt, &config, &study);
  if (status != LMOPT_OK) return status;
  lmopt_study_summary summary;
  status = lmopt_study_summarize(study, &summary);
  if (status == LMOPT_OK && summary.trials == 0) { /* what the heater was sold with comes first */
    const lmopt_param sold[] = {{"proportional", NULL, 0.1}, {"integral", NULL, 0.001}, {"filter", "average", 0}};
    status = lmopt_study_enqueue(study, sold, 3, NULL);
  }
  long long best = -1;
  lmopt_trial *trial;
  while (status == LMOPT_OK && (status = lmopt_study_ask(study, &trial)) == LMOPT_OK) {
    status = run_trial(study, trial);
    if (status == LMOPT_OK) print_progress(study, trial, &best);
  }
  if (status == LMOPT_LIMIT) status = print_best(study); /* all trials are done */
  lmopt_study_close(study);
  return status;
}

int main(int argc, char **argv) {
  long long trials = argc > 2 ? strtoll(argv[2], NULL, 10) : 100;
  if (argc < 2 || trials < 1) {
    fprintf(stderr, "usage: ask_tell FILE|- [TRIALS]\n");
    return 2;
  }
  lmopt_runtime *rt;
  lmopt_status status = lmopt_open(NULL, &rt);
  if (status != LMOPT_OK) {
    fprintf(stderr, "ask_tell: %s\n", lmopt_strstatus(status));
    return 1;
  }
  status = tune(rt, argv[1], trials);
  if (status != LMOPT_OK) fprintf(stderr, "ask_tell: %s\n", lmopt_errmsg(rt));
  lmopt_close(rt);
  return status == LMOPT_OK ? 0 : 1;
}
