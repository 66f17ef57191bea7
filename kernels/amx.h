/* kernels/amx.h - private: the tile instructions (AMX) in assembly of our own, and whether a process may use them.
 *
 * The intrinsics of gcc 12 name no memory among what they read, so the compiler may drop the stores to what they load;
 * each statement here names the bytes or says that all memory may be read. Tiles are named by constants in the text.
 *
 * Other code of the process may use tiles, too: who computes with them configures them first, and releases them when
 * done, after which the kernel has no 8 KiB of a thread's tiles to save. */
#ifndef KERNELS_AMX_H
#define KERNELS_AMX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What LDTILECFG reads. Palette 1: 8 tiles of at most 16 rows of 64 bytes. */
struct amx_config {
    uint8_t palette, start_row;
    uint8_t zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
_Static_assert(sizeof(struct amx_config) == 64, "LDTILECFG");

/* Whether the CPU has tiles with products of int8 and bfloat16, the system saves them, and this process was allowed to
 * use them (Linux asks for that: arch_prctl). Looked at, and asked for, once. Thread: any. */
bool kern_amx_allowed(void);

/* Sets the shapes of all tiles and fills them with zeroes. */
static inline __attribute__((always_inline)) void amx_configure(const struct amx_config *c)
{
    __asm__ volatile("ldtilecfg %0" : : "m"(*c));
}

static inline __attribute__((always_inline)) void amx_release(void)
{
    __asm__ volatile("tilerelease" : : : "memory");
}

/* Tile t becomes zero, is read from rows `stride` bytes apart, is written to such. */
#define AMX_ZERO(t) __asm__ volatile("tilezero %%tmm" #t : :)
#define AMX_LOAD(t, from, stride)                                                                  \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t                                               \
                     :                                                                             \
                     : "r"((const void *)(from)), "r"((size_t)(stride))                            \
                     : "memory")
#define AMX_STORE(t, to, stride)                                                                   \
    __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)"                                           \
                     :                                                                             \
                     : "r"((void *)(to)), "r"((size_t)(stride))                                    \
                     : "memory")

/* Tile c += a times b: int32 of signed times unsigned bytes, in fours; floats of bfloat16, in pairs. */
#define AMX_DOT_SU(c, a, b)   __asm__ volatile("tdpbsud %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)
#define AMX_DOT_BF16(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c : :)

#endif
