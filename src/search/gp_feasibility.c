#include "search/gp_several.h"

enum { BATCH = 64 };

lmopt_status lm_gp_feasibility_init(lm_gp_feasibility *f, const lm_gp_acquisition *base, lm_gp_model *models,
                                    const double *thresholds, size_t count) {
  *f = (lm_gp_feasibility){base, models, thresholds, count, models[0].dims, NULL};
  f->work = lm_alloc(models[0].allocator, (2 * f->dims + 2 * BATCH) * sizeof *f->work);
  return f->work ? LMOPT_OK : LMOPT_NO_MEMORY;
}

void lm_gp_feasibility_free(lm_gp_feasibility *f) {
  if (f->models) lm_free(f->models[0].allocator, f->work);
  *f = (lm_gp_feasibility){0};
}

static double feasibility_value(const lm_gp_acquisition *self, const double *point, double *gradient) {
  const lm_gp_feasibility *f = self->state;
  double sum = f->base ? f->base->value(f->base, point, gradient) : 0;
  for (size_t j = 0; j < f->dims && gradient && !f->base; j++) gradient[j] = 0;
  double *mean_gradient = gradient ? f->work : NULL, *variance_gradient = gradient ? f->work + f->dims : NULL;
  for (size_t i = 0; i < f->count; i++) {
    double mean, variance, by_mean, by_variance;
    lm_gp_posterior(&f->models[i], point, &mean, &variance, mean_gradient, variance_gradient);
    sum += lm_gp_log_pi(mean, variance, f->thresholds[i], &by_mean, &by_variance);
    for (size_t j = 0; j < f->dims && gradient; j++)
      gradient[j] += by_mean * mean_gradient[j] + by_variance * variance_gradient[j];
  }
  return sum;
}

static lmopt_status feasibility_values(const lm_gp_acquisition *self, const double *points, size_t count, double *out) {
  const lm_gp_feasibility *f = self->state;
  for (size_t i = 0; i < count && !f->base; i++) out[i] = 0;
  lmopt_status status = f->base ? f->base->values(f->base, points, count, out) : LMOPT_OK;
  double *means = f->work + 2 * f->dims, *variances = means + BATCH, by_mean, by_variance;
  for (size_t first = 0; first < count && !status; first += BATCH) {
    size_t width = count - first < BATCH ? count - first : BATCH;
    for (size_t k = 0; k < f->count && !status; k++) {
      status = lm_gp_posterior_many(&f->models[k], points + first * f->dims, width, means, variances);
      for (size_t i = 0; i < width && !status; i++)
        out[first + i] += lm_gp_log_pi(means[i], variances[i], f->thresholds[k], &by_mean, &by_variance);
    }
  }
  return status;
}

lm_gp_acquisition lm_gp_feasibility_acquisition(lm_gp_feasibility *f) {
  return (lm_gp_acquisition){feasibility_value, feasibility_values, f};
}
