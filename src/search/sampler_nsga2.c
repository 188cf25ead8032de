/*
** NSGA-II: K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, "A fast and elitist
** multiobjective genetic algorithm: NSGA-II", IEEE TEC 6 (2002), with the options of
** Optuna's. Unlike there, parents are compared by crowding too, as in the paper;
** children that repeat a member of the population are mutated once more; and
** conditional parameters take part (genetic_child.c). Works with one objective.
*/
#include <math.h>

#include "search/draw.h"
#include "search/genetic.h"

void lm_genetic_options_default(lm_genetic_options *o) {
  *o = (lm_genetic_options){.population_size = 50,
                            .crossover_prob = 0.9,
                            .mutation_prob = NAN,
                            .polynomial_eta = NAN,
                            .crossover = {.kind = LM_CROSSOVER_UNIFORM,
                                          .swapping_prob = 0.5,
                                          .alpha = 0.5,
                                          .epsilon = NAN,
                                          .eta = NAN,
                                          .uniform_crossover_prob = 0.5,
                                          .use_child_gene_prob = 0.5,
                                          .sigma_xi = 0.5,
                                          .sigma_eta = NAN},
                            .dividing_parameter = 3};
}

static lmopt_status sample_relative(lm_sampler *base, const lm_view *view, lm_assignments *out, lm_error *e) {
  lm_genetic *g = (lm_genetic *)base;
  lmopt_status status = lm_genetic_update(g, view);
  lm_rng rng = lm_view_stream(view, base->class->name);
  if (!status) status = lm_genetic_child(g, view, &rng, out);
  return status ? lm_fail_memory(e) : LMOPT_OK;
}

/*
** Uniform, but for a joint value whose range has changed since the parents had
** theirs: it is still good where the new range has it.
*/
static lmopt_status sample_independent(lm_sampler *base, const lm_view *view, lm_column *column,
                                       const lm_distribution *distribution, double *internal, lm_error *e) {
  (void)base;
  (void)e;
  const lm_trials *t = view->trials;
  if (view->number >= 0 && (size_t)view->number < t->count) {
    const lm_assignment *drawn = lm_assignments_find(&t->rows[view->number].relative, column);
    if (drawn && drawn->distribution && lm_distribution_contains(distribution, drawn->value)) {
      *internal = drawn->value;
      return LMOPT_OK;
    }
  }
  lm_rng rng = lm_draw_stream(view, column);
  *internal = lm_draw_uniform(&rng, distribution);
  return LMOPT_OK;
}

static void free_genetic(lm_sampler *base) { lm_genetic_free((lm_genetic *)base); }

static const lm_sampler_class nsga2_class = {"nsga2", sample_relative, sample_independent, NULL, free_genetic, NULL};
static const lm_sampler_class nsga3_class = {"nsga3", sample_relative, sample_independent, NULL, free_genetic, NULL};

static lm_genetic *make(const lm_allocator *a, const lm_sampler_class *class, const lm_genetic_options *o) {
  lm_genetic *g = lm_alloc_zeroed(a, sizeof *g);
  if (!g) return NULL;
  g->base = (lm_sampler){class, a};
  g->options = *o;
  size_t least = lm_crossover_parents(&o->crossover);
  g->size = o->population_size > (int)least ? (size_t)o->population_size : least;
  return g;
}

lm_sampler *lm_sampler_nsga2(const lm_allocator *a, const lm_genetic_options *o) {
  lm_genetic *g = make(a, &nsga2_class, o);
  if (!g) return NULL;
  g->survival = lm_genetic_survive_crowding;
  return &g->base;
}

lm_sampler *lm_sampler_nsga3(const lm_allocator *a, const lm_genetic_options *o, size_t objectives) {
  lm_genetic *g = make(a, &nsga3_class, o);
  if (!g) return NULL;
  g->survival = lm_genetic_survive_niches;
  g->options.reference_points = NULL;
  size_t count = o->reference_points ? o->reference_count * objectives : 0;
  if (!count) return &g->base;
  g->reference_points = lm_alloc(a, count * sizeof *g->reference_points);
  if (!g->reference_points) {
    lm_genetic_free(g);
    return NULL;
  }
  for (size_t i = 0; i < count; i++) g->reference_points[i] = o->reference_points[i];
  g->reference_count = o->reference_count;
  g->reference_objectives = objectives;
  return &g->base;
}
