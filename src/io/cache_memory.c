#include "io/cache_memory.h"

#include <string.h>

enum { FIRST_BUCKETS = 64 };

void lm_cache_memory_init(lm_cache_memory *m, const lm_allocator *a, size_t limit) {
  memset(m, 0, sizeof *m);
  m->allocator = a;
  m->limit = limit;
}

void lm_cache_memory_free(lm_cache_memory *m) {
  lm_cache_entry *next;
  for (lm_cache_entry *entry = m->newest; entry; entry = next) {
    next = entry->older;
    lm_free(m->allocator, entry);
  }
  lm_free(m->allocator, m->buckets);
  const long long stamps = m->stamps;
  lm_cache_memory_init(m, m->allocator, m->limit);
  m->stamps = stamps;
}

static size_t bucket_of(const lm_cache_key *key, size_t bucket_count) {
  size_t start;
  memcpy(&start, key->bytes, sizeof start);
  return start & (bucket_count - 1);
}

static size_t cost_of(size_t size) { return sizeof(lm_cache_entry) + size + 1; }

/* The pointer that leads to the entry, or to the NULL at the end of its bucket. */
static lm_cache_entry **find(lm_cache_memory *m, const lm_cache_key *key) {
  lm_cache_entry **place = &m->buckets[bucket_of(key, m->bucket_count)];
  while (*place && memcmp((*place)->key.bytes, key->bytes, LM_CACHE_KEY_SIZE) != 0) place = &(*place)->next;
  return place;
}

static void unlink_use(lm_cache_memory *m, lm_cache_entry *entry) {
  *(entry->newer ? &entry->newer->older : &m->newest) = entry->older;
  *(entry->older ? &entry->older->newer : &m->oldest) = entry->newer;
}

static void link_newest(lm_cache_memory *m, lm_cache_entry *entry) {
  entry->newer = NULL;
  entry->older = m->newest;
  *(m->newest ? &m->newest->newer : &m->oldest) = entry;
  m->newest = entry;
}

lm_cache_entry *lm_cache_memory_get(lm_cache_memory *m, const lm_cache_key *key) {
  lm_cache_entry *entry = m->count ? *find(m, key) : NULL;
  if (entry && entry != m->newest) {
    unlink_use(m, entry);
    link_newest(m, entry);
  }
  return entry;
}

bool lm_cache_memory_has(lm_cache_memory *m, const lm_cache_key *key) { return m->count && *find(m, key); }

void lm_cache_memory_drop(lm_cache_memory *m, const lm_cache_key *key) {
  if (m->count == 0) return;
  lm_cache_entry **place = find(m, key), *entry = *place;
  if (!entry) return;
  *place = entry->next;
  unlink_use(m, entry);
  m->count--;
  m->bytes -= cost_of(entry->size);
  lm_free(m->allocator, entry);
}

/* As many buckets as entries, or as many as there is memory for: only the first ones are needed. */
static bool make_room(lm_cache_memory *m) {
  if (m->count < m->bucket_count) return true;
  size_t wanted = m->bucket_count ? m->bucket_count * 2 : FIRST_BUCKETS;
  lm_cache_entry **buckets = lm_alloc_zeroed(m->allocator, wanted * sizeof *buckets);
  if (!buckets) return m->bucket_count > 0;
  for (lm_cache_entry *entry = m->oldest; entry; entry = entry->newer) {
    lm_cache_entry **place = &buckets[bucket_of(&entry->key, wanted)];
    entry->next = *place;
    *place = entry;
  }
  lm_free(m->allocator, m->buckets);
  m->buckets = buckets;
  m->bucket_count = wanted;
  return true;
}

lm_cache_entry *lm_cache_memory_put(lm_cache_memory *m, const lm_cache_key *key, double usd, const char *text,
                                    size_t size) {
  lm_cache_memory_drop(m, key);
  if (size > m->limit || cost_of(size) > m->limit || !make_room(m)) return NULL;
  lm_cache_entry *entry = lm_alloc(m->allocator, cost_of(size));
  if (!entry) return NULL;
  while (m->oldest && m->bytes + cost_of(size) > m->limit) lm_cache_memory_drop(m, &m->oldest->key);
  entry->key = *key;
  entry->usd = usd;
  entry->row = 0;
  entry->stamp = ++m->stamps;
  entry->size = size;
  memcpy(entry->text, text, size);
  entry->text[size] = '\0';
  lm_cache_entry **place = &m->buckets[bucket_of(key, m->bucket_count)];
  entry->next = *place;
  *place = entry;
  link_newest(m, entry);
  m->count++;
  m->bytes += cost_of(size);
  return entry;
}
