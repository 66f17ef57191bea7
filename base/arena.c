/* base/arena.c - blocks of doubling size, chained; the newest that is not large survives a reset. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_BLOCK_BYTES = 4 * 1024,
    KEPT_BLOCK_BYTES = 16 * 1024,
    MAX_BLOCK_BYTES = 64 * 1024,
    OWN_BLOCK_BYTES = 16 * 1024,
    LARGE_BYTES = 8 * 1024
};

struct block {
    struct block *next; /* older block */
    size_t size, used;  /* bytes of data[] */
    alignas(max_align_t) unsigned char data[];
};

struct gw_arena {
    struct block *top; /* newest block; NULL before the first allocation */
    struct block *own; /* of one large allocation each */
    size_t max_bytes;
    size_t used_bytes;
    bool failed; /* an allocation, since the last reset */
};

static struct block *block_new(size_t size)
{
    struct block *b = malloc(sizeof(*b) + size);

    if (b == NULL)
        return NULL;
    b->next = NULL;
    b->size = size;
    b->used = 0;
    return b;
}

static void block_free(struct block *b)
{
    explicit_bzero(b->data, b->used);
    free(b);
}

struct gw_arena *gw_arena_new(size_t max_bytes)
{
    struct gw_arena *a = calloc(1, sizeof(*a));

    if (a != NULL)
        a->max_bytes = max_bytes;
    return a;
}

static void free_own(struct gw_arena *a)
{
    while (a->own != NULL) {
        struct block *b = a->own;

        a->own = b->next;
        block_free(b);
    }
}

void gw_arena_free(struct gw_arena *a)
{
    if (a == NULL)
        return;
    free_own(a);
    while (a->top != NULL) {
        struct block *b = a->top;

        a->top = b->next;
        block_free(b);
    }
    free(a);
}

static void free_older(struct block *than)
{
    while (than->next != NULL) {
        struct block *b = than->next;

        than->next = b->next;
        block_free(b);
    }
}

void gw_arena_reset(struct gw_arena *a)
{
    free_own(a);
    while (a->top != NULL && a->top->size > KEPT_BLOCK_BYTES) {
        struct block *b = a->top;

        a->top = b->next;
        block_free(b);
    }
    if (a->top != NULL) {
        free_older(a->top);
        explicit_bzero(a->top->data, a->top->used);
        a->top->used = 0;
    }
    a->used_bytes = 0;
    a->failed = false;
}

/* A block with room for size bytes, which are rounded up and within the limit. NULL: out of memory. */
static struct block *block_for(struct gw_arena *a, size_t size)
{
    struct block *b = a->top;
    bool alone = size >= LARGE_BYTES && (b != NULL || size > FIRST_BLOCK_BYTES);
    size_t want;

    if (b != NULL && size <= b->size - b->used)
        return b;
    if (alone) { /* so that the newest one's room is not lost, nor the next one larger */
        b = block_new(size);
        if (b != NULL) {
            b->next = a->own;
            a->own = b;
        }
        return b;
    }
    want = b == NULL ? FIRST_BLOCK_BYTES : b->size * 2;
    if (want > MAX_BLOCK_BYTES)
        want = MAX_BLOCK_BYTES;
    if (want < size)
        want = size;
    b = block_new(want);
    if (b == NULL)
        return NULL;
    b->next = a->top;
    a->top = b;
    return b;
}

void *gw_arena_alloc(struct gw_arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    size_t rounded = size > SIZE_MAX - align ? SIZE_MAX : (size + align - 1) & ~(align - 1);
    struct block *b = NULL;
    void *p;

    if (rounded <= a->max_bytes - a->used_bytes)
        b = block_for(a, rounded);
    if (b == NULL) {
        a->failed = true;
        return NULL;
    }
    p = b->data + b->used;
    b->used += rounded;
    a->used_bytes += rounded;
    return memset(p, 0, rounded);
}

void *gw_arena_array(struct gw_arena *a, size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size) {
        a->failed = true;
        return NULL;
    }
    return gw_arena_alloc(a, n * size);
}

/* The link to the block that is p's alone, or to NULL. */
static struct block **own_block(struct gw_arena *a, const void *p)
{
    struct block **at = &a->own;

    while (*at != NULL && (*at)->data != p)
        at = &(*at)->next;
    return at;
}

void *gw_arena_grow(struct gw_arena *a, void *p, size_t old_size, size_t size)
{
    struct block **old = own_block(a, p), *b;

    if (size < OWN_BLOCK_BYTES) {
        void *more = gw_arena_alloc(a, size);

        if (more != NULL && old_size != 0)
            memcpy(more, p, old_size);
        return more;
    }
    if (size > a->max_bytes - a->used_bytes + (*old == NULL ? 0 : old_size) ||
        (b = block_new(size)) == NULL) {
        a->failed = true;
        return NULL;
    }
    if (old_size != 0)
        memcpy(b->data, p, old_size);
    memset(b->data + old_size, 0, size - old_size);
    b->used = size;
    a->used_bytes += size;
    if (*old != NULL) {
        struct block *gone = *old;

        *old = gone->next;
        a->used_bytes -= old_size;
        block_free(gone);
    }
    b->next = a->own;
    a->own = b;
    return b->data;
}

struct gw_span gw_arena_copy(struct gw_arena *a, struct gw_span bytes)
{
    char *p;

    if (bytes.len == SIZE_MAX)
        return (struct gw_span){NULL, 0};
    p = gw_arena_alloc(a, bytes.len + 1);
    if (p == NULL)
        return (struct gw_span){NULL, 0};
    if (bytes.len != 0)
        memcpy(p, bytes.ptr, bytes.len);
    return (struct gw_span){p, bytes.len};
}

bool gw_arena_failed(const struct gw_arena *a)
{
    return a->failed;
}

size_t gw_arena_used(const struct gw_arena *a)
{
    return a->used_bytes;
}
