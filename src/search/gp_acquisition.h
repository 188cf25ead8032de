/*
** Acquisition functions: how much a point is worth evaluating next. All are to
** be maximised; targets are larger is better.
**
** Expected improvement: J. Mockus, V. Tiesis and A. Zilinskas, "The application
** of Bayesian methods for seeking the extremum" (1978); its logarithm, stable
** where improvement is all but impossible: S. Ament et al., "Unexpected
** improvements to expected improvement for Bayesian optimization", NeurIPS 36
** (2023). Probability of improvement: H. J. Kushner, J. Basic Engineering 86
** (1964). Upper confidence bound: N. Srinivas et al., ICML 27 (2010). Running
** trials: expectation over what they may turn out to be (fantasies), J. Snoek,
** H. Larochelle and R. P. Adams, NIPS 25 (2012).
**
** What is to be improved on is the best posterior mean at a trial, not the best
** value: of values with noise the best is the luckiest, too, and where a rugged
** function is noise to the model, nothing but far corners seems to promise
** more. E. Vazquez et al., "Global optimization based on noisy evaluations: an
** empirical study of two statistical approaches", J. Phys.: Conf. Ser. 135
** (2008); the "plug-in" of V. Picheny, T. Wagner and D. Ginsbourger, Struct.
** Multidisc. Optim. 48 (2013). Without noise the two are the same.
*/
#ifndef LM_GP_ACQUISITION_H
#define LM_GP_ACQUISITION_H

#include "search/gp_model.h"

/* Each gives its value, and its derivatives by the mean and the variance. */
double lm_gp_log_ei(double mean, double variance, double best, double *by_mean, double *by_variance);
double lm_gp_log_pi(double mean, double variance, double best, double *by_mean, double *by_variance);
double lm_gp_ucb(double mean, double variance, double beta, double *by_mean, double *by_variance);

/*
** What the search for the best point (gp_optimize.h) maximises: a sum of parts
** if need be. Points are inputs of the models.
*/
typedef struct lm_gp_acquisition lm_gp_acquisition;
struct lm_gp_acquisition {
  /* The value at one point; `gradient` (by the inputs, zero for categories) may be NULL. */
  double (*value)(const lm_gp_acquisition *self, const double *point, double *gradient);
  /* Values of many points, one after the other. */
  lmopt_status (*values)(const lm_gp_acquisition *self, const double *points, size_t count, double *out);
  void *state;
};

typedef enum lm_gp_criterion { LM_GP_LOG_EI, LM_GP_EI, LM_GP_PI, LM_GP_UCB } lm_gp_criterion;

/* The posterior mean at point i of a factored model, for targets and the alpha that belongs to them. */
double lm_gp_fitted_mean(const lm_gp_model *m, const double *targets, const double *alpha, size_t i);

/* One objective. Holds what was drawn for running trials. */
typedef struct lm_gp_improvement {
  lm_gp_model *model; /* factored; running points were added to it */
  lm_gp_criterion criterion;
  double best;        /* the value to improve on */
  double beta;        /* of the upper confidence bound */
  size_t draws;       /* fantasies: 1 when nothing runs */
  double *alphas;     /* draws x model->count */
  double *thresholds; /* per draw: the value to improve on */
  double *work;       /* 2 x model->count + model->dims + draws */
} lm_gp_improvement;

/*
** Prepares the criterion over a factored model of the finished trials; adds
** `running` points to it and draws `draws` outcomes for them with `normals`
** (draws x running standard normal numbers).
*/
lmopt_status lm_gp_improvement_init(lm_gp_improvement *s, lm_gp_model *model, lm_gp_criterion criterion, double best,
                                    double beta, const double *running, size_t running_count, const double *normals,
                                    size_t draws);
void lm_gp_improvement_free(lm_gp_improvement *s); /* a zeroed one is fine; not the model */
lm_gp_acquisition lm_gp_improvement_acquisition(lm_gp_improvement *s);

#endif
