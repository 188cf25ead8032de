/*
** Acquisition for several objectives: the logarithm of the expected hypervolume
** improvement. Models' targets are larger is better; objectives are independent.
**
** M. Emmerich, K. Giannakoglou and B. Naujoks, IEEE TEC 10 (2006). The region that
** nothing dominates is a sum of boxes, over each of which the expectation is a
** product over the objectives of differences of two expected improvements: exact,
** with exact gradients, where S. Daulton, M. Balandat and E. Bakshy, "Differentiable
** expected hypervolume improvement for parallel multi-objective Bayesian
** optimization", NeurIPS 33 (2020) and Optuna draw samples (they need them for
** several points at once). The logarithm, and how it keeps its gradient where
** improvement is all but impossible: S. Ament et al., "Unexpected improvements to
** expected improvement for Bayesian optimization", NeurIPS 36 (2023).
*/
#ifndef LM_GP_HYPERVOLUME_H
#define LM_GP_HYPERVOLUME_H

#include "search/box_decomposition.h"
#include "search/gp_acquisition.h"

/* More objectives than that have far too many boxes. */
enum { LM_GP_MOST_OBJECTIVES = 16 };

/* Numbers that lm_gp_log_ehvi works in. */
size_t lm_gp_log_ehvi_workspace(const lm_boxes *b);

/*
** At independent normal outcomes (smaller is better, as the boxes are; a
** variance is at least 1e-12). The derivatives by means and variances may be
** NULL, both or none.
*/
double lm_gp_log_ehvi(const lm_boxes *b, const double *means, const double *variances, double *by_mean,
                      double *by_variance, double *workspace);

typedef struct lm_gp_hypervolume {
  const lm_allocator *allocator;
  lm_gp_model *models; /* one per objective, factored; running points were added */
  size_t objectives, draws;
  lm_boxes *boxes; /* per draw of what the running points turn out to be; one draw when nothing runs */
  double *alphas;  /* objectives x draws x points, and where each objective's begin */
  size_t *begins;
  double *work;
} lm_gp_hypervolume;

/*
** Over factored models of the finished trials; adds `running` points to them and
** draws `draws` outcomes for them with `normals` (draws x objectives x running
** standard normal numbers). `front`: front_count x objectives targets, larger is
** better, of which the best count; `reference`: what is worth nothing.
** LMOPT_LIMIT: more than `limit` boxes.
*/
lmopt_status lm_gp_hypervolume_init(lm_gp_hypervolume *h, const lm_allocator *a, lm_gp_model *models, size_t objectives,
                                    const double *front, size_t front_count, const double *reference,
                                    const double *running, size_t running_count, const double *normals, size_t draws,
                                    size_t limit);
void lm_gp_hypervolume_free(lm_gp_hypervolume *h); /* a zeroed one is fine; not the models */
lm_gp_acquisition lm_gp_hypervolume_acquisition(lm_gp_hypervolume *h);

#endif
