/* kernels/mask_vec.h - the operation `mask` for a table whose file defines drop_word(): x[i] = -INFINITY where bit i of a word
 * is clear, for 64 entries; x behind a set bit is not touched, so it need not be there. Needs popcnt. */
#ifndef KERNELS_MASK_VEC_H
#define KERNELS_MASK_VEC_H

#include <stddef.h>
#include <stdint.h>

static size_t mask(float *x, const uint64_t *bits, size_t n, int32_t *ids, size_t max_ids)
{
    size_t n_words = (n + 63) / 64, count = 0, at = 0;
    uint64_t last = n % 64 == 0 ? UINT64_MAX : (UINT64_C(1) << n % 64) - 1;

    if (n_words == 0)
        return 0;
    for (size_t w = 0; w + 1 < n_words; w++)
        count += (size_t)__builtin_popcountll(bits[w]);
    count += (size_t)__builtin_popcountll(bits[n_words - 1] & last);
    if (count > max_ids) {
        for (size_t w = 0; w + 1 < n_words; w++)
            if (bits[w] != UINT64_MAX)
                drop_word(x + w * 64, bits[w]);
        drop_word(x + (n_words - 1) * 64, bits[n_words - 1] | ~last);
        return KERN_MASK_MANY;
    }
    for (size_t w = 0; at < count; w++)
        for (uint64_t word = bits[w]; word != 0 && at < count; word &= word - 1)
            ids[at++] = (int32_t)(w * 64 + (size_t)__builtin_ctzll(word));
    return count;
}

#endif
