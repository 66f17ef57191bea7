/* base/arena.h - a bump allocator: a request owns one, and freeing the request frees all.
 *
 * Memory is zeroed on allocation and wiped on release, since it holds prompts. One thread at a
 * time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct gw_arena;

/* Creates an arena that hands out at most max_bytes in all. Returns NULL when out of memory. */
struct gw_arena *gw_arena_new(size_t max_bytes);

/* Wipes and frees everything. a may be NULL. */
void gw_arena_free(struct gw_arena *a);

/* Wipes everything and makes the arena empty again; keeps one block for reuse. */
void gw_arena_reset(struct gw_arena *a);

/* Returns size zeroed bytes aligned for any type, or NULL when the limit or memory is exhausted.
 * size 0 returns a valid pointer. */
void *gw_arena_alloc(struct gw_arena *a, size_t size);

/* The same for n elements of size bytes; NULL also when n * size overflows. */
void *gw_arena_array(struct gw_arena *a, size_t n, size_t size);

/* For a list that grows: returns size bytes, more than old_size, with those at p in front and zeroes behind; p may be NULL. p
 * is gone then: the memory of a large list is wiped and freed. NULL, and p stays, when the limit or memory is
 * exhausted. */
void *gw_arena_grow(struct gw_arena *a, void *p, size_t old_size, size_t size);

/* Copies bytes (plus a NUL behind them) into the arena. {NULL, 0} when out of memory. */
struct gw_span gw_arena_copy(struct gw_arena *a, struct gw_span bytes);

/* True when an allocation has failed since creation or the last reset: for callers whose callees may take nothing for
 * absence. */
bool gw_arena_failed(const struct gw_arena *a);

/* Bytes handed out since creation or the last reset. */
size_t gw_arena_used(const struct gw_arena *a);

#endif
