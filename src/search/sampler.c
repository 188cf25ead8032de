#include "search/sampler.h"

#include <string.h>

void lm_sampler_free(lm_sampler *s) {
  if (s) s->class->free(s);
}
