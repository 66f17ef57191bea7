/* proxy/wipe_free.c - memory that is freed is wiped: prompts, answers and keys lie in blocks of ours and of every library, and
 * freed ones stay as they are until somebody gets them again.
 *
 * free() and realloc() of the program stand in front of the allocator's, whichever that is. Blocks that the allocator gives
 * back to the system when they are freed (from 1 MiB on, proxy/net/trim.c) need no wiping: the next owner gets zeroes. Not
 * with sanitizers, which have their own way with freed memory. Thread: any. */
#include <dlfcn.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) /* gcc's names */
#    define SANITIZED
#elif defined(__has_feature) /* clang's */
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                     \
        __has_feature(memory_sanitizer)
#        define SANITIZED
#    endif
#endif

#ifndef SANITIZED

enum { GIVEN_BACK_BYTES = 1024 * 1024 };

typedef void (*free_fn)(void *p);
typedef void *(*realloc_fn)(void *p, size_t n);

/* dlsym() hands out objects as pointers to functions, which only a union turns into what they are. */
union symbol {
    void *object;
    free_fn free;
    realloc_fn realloc;
};

static _Atomic(free_fn) next_free;
static _Atomic(realloc_fn) next_realloc;

/* Finds the allocator's own; asked before main(), by the linker and constructors of libraries. */
static free_fn find_free(void)
{
    const union symbol s = {.object = dlsym(RTLD_NEXT, "free")};

    atomic_store_explicit(&next_free, s.free, memory_order_relaxed);
    return s.free;
}

static realloc_fn find_realloc(void)
{
    const union symbol s = {.object = dlsym(RTLD_NEXT, "realloc")};

    atomic_store_explicit(&next_realloc, s.realloc, memory_order_relaxed);
    return s.realloc;
}

#    define FOR_LIBRARIES __attribute__((visibility("default")))

// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the library's are reserved
FOR_LIBRARIES void free(void *p)
{
    free_fn next = atomic_load_explicit(&next_free, memory_order_relaxed);
    size_t n;

    if (p == NULL)
        return;
    if (next == NULL)
        next = find_free();
    n = malloc_usable_size(p);
    if (n < GIVEN_BACK_BYTES)
        explicit_bzero(p, n);
    next(p);
}

/* A block that moves leaves nothing behind. */
// NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): as above
FOR_LIBRARIES void *realloc(void *p, size_t n)
{
    realloc_fn next = atomic_load_explicit(&next_realloc, memory_order_relaxed);
    size_t old = p == NULL ? 0 : malloc_usable_size(p);
    void *moved;

    if (next == NULL)
        next = find_realloc();
    if (p == NULL || n == 0 || old >= GIVEN_BACK_BYTES)
        return next(p, n); /* large ones are moved by their pages */
    if (n <= old) {
        explicit_bzero((char *)p + n, old - n); /* what is cut off may become another block */
        return next(p, n);
    }
    moved = malloc(n);
    if (moved == NULL)
        return NULL;
    memcpy(moved, p, old);
    free(p);
    return moved;
}

#endif
