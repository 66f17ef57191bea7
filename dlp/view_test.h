/* dlp/view_test.h - the part of view_test() that looks at every byte, in C and for AVX2. Private to dlp/view_test*.c. */
#ifndef DLP_VIEW_TEST_H
#define DLP_VIEW_TEST_H

#include <stddef.h>

enum {
    VIEW_TEST_ROW = 32,
    VIEW_TEST_DIGITS =
        4, /* in a row of bytes: a number that was taken apart has no fewer in one of its rows */
};

/* VIEW_MAY_FOLD, _ESCAPE, _QUOTE and _DIGIT of n bytes; both give the same. VIEW_MAY_BLOB where a run of VIEW_BLOB_MIN digits may
 * be, but for one that ends behind the last whole row; always set in C. */
unsigned view_test_bytes(const char *p, size_t n);
unsigned view_test_bytes_avx2(const char *p, size_t n);

#endif
