/* kernels/amx.c - asks the CPU and the system for tiles. Owns a word of state; any thread. */
#include "kernels/amx.h"

#include <pthread.h>

#if defined(__x86_64__) && defined(__linux__)
#    include <sys/syscall.h>

#    include <cpuid.h>
#    include <unistd.h>

enum {
    ARCH_REQ_XCOMP_PERM = 0x1023, /* asm/prctl.h of newer systems */
    XFEATURE_XTILEDATA = 18,
};

/* CPUID 7: the tiles, and products of bfloat16 and of int8. */
static bool cpu_has_tiles(void)
{
    const unsigned want = 1u << 24 | 1u << 22 | 1u << 25;
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & want) == want;
}

/* XCR0: the system saves their shapes and their contents. */
static bool system_saves_tiles(void)
{
    const unsigned want = 1u << 17 | 1u << 18;
    unsigned a, b, c, d, low, high;

    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0)
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & want) == want;
}

static bool look(void)
{
    return cpu_has_tiles() && system_saves_tiles() &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}
#else
static bool look(void)
{
    return false;
}
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool allowed;

static void look_once(void)
{
    allowed = look();
}

bool kern_amx_allowed(void)
{
    (void)pthread_once(&once, look_once);
    return allowed;
}
