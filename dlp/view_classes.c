/* dlp/view_classes.c - view_classes() in C, the specification (view_marks.h). Any thread. */
#include <string.h>

#include "dlp/view_marks.h"

enum {
    D = 1 << VIEW_CLASS_DIGIT | 1 << VIEW_CLASS_BASE64,
    S = 1 << VIEW_CLASS_SIGN,
    B = 1 << VIEW_CLASS_BASE64,
    SB = S | B,
    K = 1 << VIEW_CLASS_BACKSLASH,
    P = 1 << VIEW_CLASS_PERCENT,
    E = 1 << VIEW_CLASS_EQUALS,
    L = 1 << VIEW_CLASS_LETTER,
    LB = L | B,
};

/* clang-format off */
const uint8_t view_class_of[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    S, 0, 0, L, 0, P, P, 0, 0, 0, 0, B, S, SB, S, SB,
    D, D, D, D, D, D, D, D, D, D, 0, 0, 0, E, 0, 0,
    0, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
    B, B, B, B, B, LB, B, B, B, B, B, 0, K, 0, 0, SB,
    0, B, B, B, B, B, B, B, B, B, B, B, B, B, B, B,
    B, B, B, B, B, LB, B, B, LB, B, B, 0, 0, 0, 0, 0,
};
/* clang-format on */

void view_classes(const char *p, size_t n, struct view_block *out, unsigned n_blocks)
{
    memset(out, 0, n_blocks * sizeof(*out));
    for (size_t at = 0; at < n && at / VIEW_BLOCK < n_blocks; at += 8) {
        struct view_block *block = &out[at / VIEW_BLOCK];
        unsigned char of[8] = {0};
        uint64_t all, high;
        size_t most = n - at < sizeof(of) ? n - at : sizeof(of);

        memcpy(of, p + at, most);
        memcpy(&high, of, sizeof(high));
        for (size_t i = 0; i < sizeof(of); i++)
            of[i] = i < most && of[i] < 0x80 ? view_class_of[of[i]] : 0;
        memcpy(&all, of, sizeof(all));
        /* The multiplication gathers the low bits of eight bytes in the upper byte. */
        for (unsigned k = 0; k < VIEW_CLASSES; k++) {
            uint64_t bits = k == VIEW_CLASS_HIGH ? high >> 7 : all >> k;

            block->of[k] |=
                ((bits & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56)
                << (at % VIEW_BLOCK);
        }
    }
}
