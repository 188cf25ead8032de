#include "base/rng.h"

#include <string.h>

uint64_t lm_mix(uint64_t x) {
  x ^= x >> 30;
  x *= UINT64_C(0xbf58476d1ce4e5b9);
  x ^= x >> 27;
  x *= UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

uint64_t lm_hash(const void *bytes, size_t size) {
  const unsigned char *s = bytes;
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (size_t i = 0; i < size; i++) h = (h ^ s[i]) * UINT64_C(0x100000001b3);
  return lm_mix(h);
}

lm_rng lm_rng_stream(uint64_t seed, int64_t number, const char *purpose) {
  const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
  uint64_t x = lm_mix(seed + golden);
  x = lm_mix(x ^ ((uint64_t)number + golden));
  x = lm_mix(x ^ lm_hash(purpose, strlen(purpose)));
  lm_rng rng;
  for (int i = 0; i < 4; i++) {
    x += golden;
    rng.state[i] = lm_mix(x);
  }
  return rng;
}

static uint64_t rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

uint64_t lm_rng_bits(lm_rng *rng) {
  uint64_t *s = rng->state;
  uint64_t result = rotate(s[0] + s[3], 23) + s[0];
  uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate(s[3], 45);
  return result;
}

double lm_rng_uniform(lm_rng *rng) { return (double)(lm_rng_bits(rng) >> 11) * 0x1.0p-53; }

uint64_t lm_rng_below(lm_rng *rng, uint64_t n) {
  uint64_t threshold = (0 - n) % n; /* values below it would make small results likelier */
  for (;;) {
    uint64_t bits = lm_rng_bits(rng);
    if (bits >= threshold) return bits % n;
  }
}
