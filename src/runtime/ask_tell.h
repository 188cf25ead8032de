/* What the files of ask and tell (part 5 of lmopt.h) share. */
#ifndef LM_ASK_TELL_H
#define LM_ASK_TELL_H

#include "runtime/study.h"

/* A handle: made when a trial is first given out, and kept until the study is closed. */
struct lmopt_trial {
  lmopt_study *study;
  size_t number;
  double flushed; /* monotonic seconds: when its reports were last written */
};

struct lmopt_study {
  lmopt_runtime *runtime;
  lm_study *study;
  long long total;       /* of finished and running trials; -1: no limit */
  lmopt_trial **handles; /* by number; NULL where none was given out */
  size_t handle_count, handle_capacity;
};

/* Remembers `e` for lmopt_errmsg unless the status is LMOPT_OK; returns the status. */
lmopt_status lm_ask_tell_end(const lmopt_study *study, lmopt_status status, const lm_error *e);
/* Remembers the text; LMOPT_MISUSE. */
lmopt_status lm_ask_tell_refuse(const lmopt_study *study, const char *text);

/* The sampler and the pruner that a configuration names: LMOPT_MISUSE says which there are. */
lmopt_status lm_ask_tell_check_methods(const lmopt_study_config *c, lm_error *e);
/* The same once it is known how many objectives the study has. */
lmopt_status lm_ask_tell_check_objectives(const lmopt_study_config *c, size_t objectives, lm_error *e);
/* Checked names, and the study's, as it is made or was found. NULL: no memory. */
lm_sampler *lm_ask_tell_sampler(lmopt_runtime *rt, const lmopt_study_config *c);
lm_pruner *lm_ask_tell_pruner(const lm_allocator *a, const lmopt_study_config *c);

#endif
