/* kernels/dispatch.c - looks at the CPU once and hands out the best table. Thread: any. */
#include <string.h>

#include "kernels/amx.h"
#include "kernels/ref.h"

struct level {
    const struct kern_ops *ops;
    bool (*runs)(void);
};

static bool runs_always(void)
{
    return true;
}

/* The compiler's run-time support reads CPUID, and XCR0 for what the operating system saves, once
 * before main(). It has no name for F16C in every compiler; no CPU with AVX2 and FMA lacks it. */
static bool runs_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}

static bool runs_avx512(void)
{
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi");
}

static bool runs_amx(void)
{
    return runs_avx512() && kern_amx_allowed();
}

/* In ascending order. */
static const struct level levels[] = {
    {&kern_scalar_ops, runs_always},
    {&kern_avx2_ops, runs_avx2},
    {&kern_avx512_ops, runs_avx512},
    {&kern_amx_ops, runs_amx},
};
enum { N_LEVELS = sizeof(levels) / sizeof(levels[0]) };

const struct kern_ops *kern_ops(const char *level)
{
    const struct kern_ops *best = NULL;

    for (unsigned i = 0; i < N_LEVELS; i++) {
        if (levels[i].runs())
            best = levels[i].ops;
        if (level != NULL && strcmp(level, levels[i].ops->name) == 0)
            return best;
    }
    return level == NULL || level[0] == '\0' ? best : NULL;
}

const struct kern_ops *kern_ops_exact(const char *name)
{
    for (unsigned i = 0; i < N_LEVELS; i++)
        if (strcmp(name, levels[i].ops->name) == 0 && levels[i].runs())
            return levels[i].ops;
    return NULL;
}

const char *kern_ops_describe(const struct kern_ops *ops, uint32_t type)
{
    const struct kern_type_info *info = kern_type_info(type);

    if (info == NULL)
        return "unsupported";
    if (ops->layout == KERN_LAYOUT_GGUF)
        return info->quantized ? "scalar int8" : "scalar float";
    if (ops == &kern_amx_ops && (info->quantized || type == KERN_TYPE_BF16))
        return info->quantized ? "amx tdpbsud" : "amx tdpbf16ps";
    if (!info->quantized)
        return ops == &kern_avx2_ops ? "avx2 fma" : "avx512 fma";
    return ops == &kern_avx2_ops ? "avx2 vpmaddubsw" : "avx512 vpdpbusd";
}
