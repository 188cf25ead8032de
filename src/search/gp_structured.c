#include "search/gp_structured.h"

#include <string.h>

lmopt_status lm_gp_structures_init(lm_gp_structures *s, const lm_gp_space *space) {
  *s = (lm_gp_structures){.allocator = space->allocator};
  size_t parts = 0;
  for (size_t j = 0; j < space->count; j++) parts += space->axes[j].distribution->part != NULL;
  if (!parts) return LMOPT_OK;
  size_t size = sizeof *s->items + sizeof *s->axes + sizeof *s->values + sizeof *s->kept;
  char *block = lm_alloc_zeroed(s->allocator, (parts + space->count) * size);
  if (!block) return LMOPT_NO_MEMORY;
  s->items = (lm_gp_structure *)(void *)block;
  s->values = (double *)(void *)(s->items + parts);
  s->axes = (size_t *)(void *)(s->values + parts);
  s->kept = (bool *)(s->axes + parts);
  bool *done = s->kept + parts; /* by axis */
  size_t filled = 0;
  for (size_t j = 0; j < space->count; j++) {
    const lm_part *part = space->axes[j].distribution->part;
    if (!part || done[j]) continue;
    lm_gp_structure *x = &s->items[s->count++];
    *x = (lm_gp_structure){part, filled, 0};
    for (size_t k = j; k < space->count; k++) { /* a list that grows has items that come and go in groups */
      bool together = space->axes[k].group == space->axes[j].group;
      if (!together || !lm_part_together(space->axes[k].distribution->part, part)) continue;
      done[k] = true;
      s->axes[filled++] = k;
      x->count++;
    }
  }
  return LMOPT_OK;
}

void lm_gp_structures_free(lm_gp_structures *s) {
  if (s->allocator) lm_free(s->allocator, s->items);
  *s = (lm_gp_structures){0};
}

void lm_gp_structures_draw(const lm_gp_structures *s, const lm_gp_space *space, lm_rng *rng, double *latent) {
  for (size_t i = 0; i < s->count; i++) {
    const lm_gp_structure *x = &s->items[i];
    const size_t *axes = s->axes + x->first;
    bool fixed = false;
    lm_structure_draw(x->part, rng, s->values, x->count);
    for (size_t k = 0; k < x->count; k++) {
      const lm_gp_axis *axis = &space->axes[axes[k]];
      s->kept[k] = axis->fixed;
      fixed |= axis->fixed;
      if (axis->fixed) s->values[k] = axis->fixed_at;
    }
    if (fixed) lm_structure_repair(x->part, rng, s->kept, s->values, x->count);
    for (size_t k = 0; k < x->count; k++) latent[axes[k]] = s->values[k];
  }
}

void lm_gp_structures_repair(const lm_gp_structures *s, const lm_gp_space *space, lm_rng *rng, double *latent) {
  for (size_t i = 0; i < s->count; i++) {
    const lm_gp_structure *x = &s->items[i];
    const size_t *axes = s->axes + x->first;
    for (size_t k = 0; k < x->count; k++) {
      s->kept[k] = space->axes[axes[k]].fixed;
      s->values[k] = latent[axes[k]];
    }
    lm_structure_repair(x->part, rng, s->kept, s->values, x->count);
    for (size_t k = 0; k < x->count; k++) latent[axes[k]] = s->values[k];
  }
}

bool lm_gp_structure_flip(const lm_gp_structures *s, const lm_gp_structure *x, const double *latent, size_t index,
                          size_t *axis) {
  size_t chosen = 0;
  for (size_t k = 0; k < x->count; k++) chosen += latent[s->axes[x->first + k]] > 0.5;
  *axis = s->axes[x->first + index];
  return latent[*axis] > 0.5 ? chosen > lm_structure_least(x->part, x->count)
                             : chosen < lm_structure_most(x->part, x->count);
}
