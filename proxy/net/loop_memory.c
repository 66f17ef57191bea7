/* proxy/net/loop_memory.c - see loop_memory.h. The reserve is an array of equal blocks and a bit for each. Thread: any. */
#include "proxy/net/loop_memory.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

enum { BLOCK_BYTES = 256, N_WORDS = 16, N_BLOCKS = N_WORDS * 64 };

/* Never touched, and so never backed by memory, as long as malloc() works. */
static alignas(max_align_t) unsigned char blocks[N_BLOCKS][BLOCK_BYTES];
static _Atomic uint64_t taken[N_WORDS];
static atomic_uint n_used;

static bool of_reserve(const void *p)
{
    return (const unsigned char *)p >= blocks[0] &&
           (const unsigned char *)p < blocks[0] + sizeof(blocks);
}

static void *take(void)
{
    for (unsigned i = 0; i < N_WORDS; i++) {
        uint64_t was = atomic_load(&taken[i]);

        while (was != UINT64_MAX) {
            unsigned bit = (unsigned)__builtin_ctzll(~was);

            if (atomic_compare_exchange_weak(&taken[i], &was, was | (uint64_t)1 << bit)) {
                atomic_fetch_add(&n_used, 1);
                return blocks[i * 64 + bit];
            }
        }
    }
    return NULL;
}

static void give_back(const void *p)
{
    size_t at = (size_t)((const unsigned char *)p - blocks[0]) / BLOCK_BYTES;

    atomic_fetch_and(&taken[at / 64], ~((uint64_t)1 << at % 64));
    atomic_fetch_sub(&n_used, 1);
}

static void *loop_malloc(size_t n)
{
    void *p = malloc(n);

    if (p == NULL && n <= BLOCK_BYTES)
        p = take();
    return p;
}

static void loop_free(void *p)
{
    if (of_reserve(p))
        give_back(p);
    else
        free(p);
}

static void *loop_realloc(void *p, size_t n)
{
    void *moved;

    if (p == NULL)
        return loop_malloc(n);
    if (!of_reserve(p))
        return realloc(p, n);
    if (n <= BLOCK_BYTES)
        return p;
    moved = malloc(n);
    if (moved == NULL)
        return NULL;
    memcpy(moved, p, BLOCK_BYTES);
    give_back(p);
    return moved;
}

void loop_memory_install(void)
{
    event_set_mem_functions(loop_malloc, loop_realloc, loop_free);
}

unsigned loop_memory_used(void)
{
    return atomic_load(&n_used);
}

bool loop_memory_low(void)
{
    return atomic_load_explicit(&n_used, memory_order_relaxed) > N_BLOCKS / 4;
}
