/* engine/hugemem.c - anonymous mappings that start on a huge page. Owns nothing. */
#include "engine/hugemem.h"

#include <sys/mman.h>

#include <stdint.h>

#define HUGE_PAGE ((size_t)2 << 20)

static size_t round_up(size_t n)
{
    return (n + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

void *hugemem_new(size_t bytes)
{
    size_t size = round_up(bytes), before;
    char *mem, *start;

    if (size < bytes || size > SIZE_MAX - HUGE_PAGE)
        return NULL;
    mem = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mem == MAP_FAILED)
        return NULL;
    /* Cut off what lies before and behind the aligned part. */
    before = (HUGE_PAGE - (size_t)((uintptr_t)mem % HUGE_PAGE)) % HUGE_PAGE;
    start = mem + before;
    if (before != 0)
        (void)munmap(mem, before);
    if (before != HUGE_PAGE)
        (void)munmap(start + size, HUGE_PAGE - before);
    (void)madvise(start, size, MADV_HUGEPAGE);
    return start;
}

void hugemem_free(void *mem, size_t bytes)
{
    if (mem != NULL)
        (void)munmap(mem, round_up(bytes));
}
