/* dlp/view_test_avx2.c - view_test_bytes() with AVX2: 64 bytes a step. Any thread. */
#include <string.h>

#include "dlp/view_avx2.h"
#include "dlp/view_test.h"

enum { ESCAPES = VIEW_MARK_UPPER_ESCAPE | VIEW_MARK_BACKSLASH };

/* What the rows so far said. */
struct seen {
    __m256i all; /* bits of any byte */
    unsigned may;
    int signs; /* marks that may still say something new */
};

static inline bool has_mark(__m256i marks, int bits)
{
    return !_mm256_testz_si256(marks, _mm256_set1_epi8((char)bits));
}

/* Takes one row, behind which two bytes can be read, and returns which of its bytes are digits of base64. */
static inline uint32_t take_row(struct seen *s, const char *p)
{
    __m256i v = _mm256_loadu_si256((const void *)p), marks = view_marks_avx2(v);

    s->all = _mm256_or_si256(s->all, v);
    if (has_mark(marks, s->signs)) {
        if ((s->may & VIEW_MAY_ESCAPE) == 0 && view_said_avx2(v, p) != 0)
            s->may |= VIEW_MAY_ESCAPE;
        if ((s->may & VIEW_MAY_QUOTE) == 0 &&
            view_quoted_avx2(v, _mm256_loadu_si256((const void *)(p + 1))) != 0)
            s->may |= VIEW_MAY_QUOTE;
        s->signs = ((s->may & VIEW_MAY_ESCAPE) == 0 ? ESCAPES : 0) |
                   ((s->may & VIEW_MAY_QUOTE) == 0 ? VIEW_MARK_EQUALS : 0);
    }
    if (__builtin_popcount((unsigned)_mm256_movemask_epi8(marks)) >= VIEW_TEST_DIGITS)
        s->may |= VIEW_MAY_DIGIT;
    return view_base64_avx2(v);
}

unsigned view_test_bytes_avx2(const char *p, size_t n)
{
    enum { BLOCK = 64 };
    struct seen s = {.all = _mm256_setzero_si256(), .signs = ESCAPES | VIEW_MARK_EQUALS};
    unsigned before = 0;

    for (size_t at = 0; at < n; at += BLOCK) {
        char tail[BLOCK + 2];
        const char *row = p + at;
        uint64_t digits;

        if (n - at < sizeof(tail)) { /* NULs say nothing */
            memset(tail, 0, sizeof(tail));
            memcpy(tail, row, n - at);
            row = tail;
        }
        digits = take_row(&s, row);
        digits |= (uint64_t)take_row(&s, row + VIEW_TEST_ROW) << VIEW_TEST_ROW;
        if (view_run_begins(digits, &before) != VIEW_NO_RUN) {
            s.may |= VIEW_MAY_BLOB;
            before = 0; /* one is enough */
        }
    }
    s.may |= _mm256_movemask_epi8(s.all) != 0 ? VIEW_MAY_FOLD : 0;
    return s.may;
}
