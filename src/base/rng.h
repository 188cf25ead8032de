/*
** Random streams. Every draw in lmopt comes from a stream that is named by
** (seed, trial number, purpose), so that what one trial draws never depends on
** what another drew before it: the first of the four laws rests on this.
**
** Generator: xoshiro256++, D. Blackman and S. Vigna, "Scrambled linear
** pseudorandom number generators", ACM TOMS 47(4), 2021; seeded by SplitMix64.
*/
#ifndef LM_RNG_H
#define LM_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct lm_rng {
  uint64_t state[4];
} lm_rng;

/* The stream of (seed, number, purpose); `purpose` is any text, such as a parameter's name. */
lm_rng lm_rng_stream(uint64_t seed, int64_t number, const char *purpose);

uint64_t lm_rng_bits(lm_rng *rng);              /* 64 uniform bits */
double lm_rng_uniform(lm_rng *rng);             /* uniform in [0, 1), 53 bits */
uint64_t lm_rng_below(lm_rng *rng, uint64_t n); /* uniform in 0..n-1 without bias; n > 0 */

/* SplitMix64's finalizer: a bijection that mixes well. */
uint64_t lm_mix(uint64_t x);
/* 64-bit FNV-1a of bytes, mixed; for tables and stream names, not for secrets. */
uint64_t lm_hash(const void *bytes, size_t size);

#endif
