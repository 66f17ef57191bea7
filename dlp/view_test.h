/* dlp/view_test.h - the part of view_test() that looks at every byte, in C, for AVX2 and for AVX-512. Private to dlp/view_test*.c. */
#ifndef DLP_VIEW_TEST_H
#define DLP_VIEW_TEST_H

#include <stddef.h>

enum {
    VIEW_TEST_ROW = 32,
    VIEW_TEST_DIGITS =
        4, /* in a row of bytes: a number that was taken apart has no fewer in one of its rows */
};

/* All of view_test() but VIEW_MAY_SPELL of n bytes; all give the same. */
unsigned view_test_bytes(const char *p, size_t n);
unsigned view_test_bytes_avx2(const char *p, size_t n);
unsigned view_test_bytes_avx512(const char *p, size_t n);

#endif
