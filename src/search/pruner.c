#include "search/pruner.h"

void lm_pruner_free(lm_pruner *p) {
  if (p) p->class->free(p);
}

static bool never(lm_pruner *p, const lm_view *view) {
  (void)p;
  (void)view;
  return false;
}

static void free_none(lm_pruner *p) { lm_free(p->allocator, p); }

static const lm_pruner_class none_class = {"none", never, free_none, NULL};

lm_pruner *lm_pruner_none(const lm_allocator *a) {
  lm_pruner *p = lm_alloc(a, sizeof *p);
  if (p) *p = (lm_pruner){&none_class, a};
  return p;
}
