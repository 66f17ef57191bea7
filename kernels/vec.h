/* kernels/vec.h - private: the vector of floats of the instruction set that the including file is compiled
 * for, so that the templates (ops_vec.h, attn_vec.h, float_vec.h) are written once. Only files named
 * *avx2.c and *avx512.c may include it: the Makefile gives them their flags. */
#ifndef KERNELS_VEC_H
#define KERNELS_VEC_H

/* The type of a matrix and the number of tokens are arguments that must become constants. Not so in builds
 * with a sanitizer: its checks, copied hundreds of times, would take minutes to compile. */
#ifndef __has_feature
#    define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#    define INLINE static __attribute__((noinline, unused))
#else
#    define INLINE static inline __attribute__((always_inline))
#endif

#ifdef __AVX512VNNI__
#    include "kernels/vec_avx512.h"
#else
#    include "kernels/vec_avx2.h"
#endif

#endif
