/* proxy/net/loop_memory.c - see loop_memory.h. The reserve is an array of equal blocks and a bit for each. Thread: any. */
#include "proxy/net/loop_memory.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

enum {
    BLOCK_BYTES = 256,
    N_WORDS = 16,
    N_BLOCKS = N_WORDS * 64,
    TINY_BYTES = 32,
    N_TINY = 1 << 19
};

/* Never touched, and so never backed by memory, as long as malloc() works. */
static alignas(max_align_t) unsigned char blocks[N_BLOCKS][BLOCK_BYTES];
static _Atomic uint64_t taken[N_WORDS];
static atomic_uint n_used;

/* ---- the reserve -------------------------------------------------------------------------- */

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

/* ---- tiny blocks ------------------------------------------------------------------------ */

/* libevent keeps 28 bytes for every descriptor that a loop has ever watched. Taken while connections come, and strewn among
 * what belongs to them, each of these would hold a page back for ever. So they lie by themselves. */
static alignas(max_align_t) unsigned char tiny[N_TINY][TINY_BYTES];
static pthread_mutex_t tiny_lock = PTHREAD_MUTEX_INITIALIZER;
static void **tiny_free; /* each points to the next one; under the lock */
static size_t n_tiny;    /* ever used; under the lock */

static bool is_tiny(const void *p)
{
    return (const unsigned char *)p >= tiny[0] && (const unsigned char *)p < tiny[0] + sizeof(tiny);
}

static void *tiny_take(void)
{
    void *p = NULL;

    (void)pthread_mutex_lock(&tiny_lock);
    if (tiny_free != NULL) {
        p = (void *)tiny_free;
        tiny_free = *tiny_free;
    } else if (n_tiny < N_TINY) {
        p = tiny[n_tiny++];
    }
    (void)pthread_mutex_unlock(&tiny_lock);
    return p;
}

static void tiny_give(void *p)
{
    void **block = p;

    (void)pthread_mutex_lock(&tiny_lock);
    *block = (void *)tiny_free;
    tiny_free = block;
    (void)pthread_mutex_unlock(&tiny_lock);
}

/* ---- what libevent calls ------------------------------------------------------------------ */

static void *loop_malloc(size_t n)
{
    void *p = n <= TINY_BYTES ? tiny_take() : NULL;

    if (p == NULL)
        p = malloc(n);
    if (p == NULL && n <= BLOCK_BYTES)
        p = take();
    return p;
}

static void loop_free(void *p)
{
    if (is_tiny(p))
        tiny_give(p);
    else if (of_reserve(p))
        give_back(p);
    else
        free(p);
}

static void *loop_realloc(void *p, size_t n)
{
    size_t size;
    void *moved;

    if (p == NULL)
        return loop_malloc(n);
    size = is_tiny(p) ? TINY_BYTES : of_reserve(p) ? BLOCK_BYTES : 0;
    if (size == 0)
        return realloc(p, n);
    if (n <= size)
        return p;
    moved = loop_malloc(n);
    if (moved == NULL)
        return NULL;
    memcpy(moved, p, size);
    loop_free(p);
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
