/* What says where a view may begin, and which bytes are plain in it: the versions with SIMD, the tables and the walks agree. */
#include <string.h>

#include "dlp/view.h"
#include "dlp/view_find.h"
#include "dlp/view_test.h"
#include "tests/test.h"

/* The two ways to look at bytes say the same, and the finders what a look at each byte says. */
static void check_bytes(struct gw_span text, size_t at)
{
    size_t digit = at, escape = at, said = at, run = at, in_row = 0;

    while (digit < text.len && (view_kind(text.ptr[digit]) & VIEW_KIND_DIGIT) == 0)
        digit++;
    while (escape < text.len && (view_kind(text.ptr[escape]) & VIEW_KIND_ESCAPE) == 0)
        escape++;
    for (; run < text.len && in_row < VIEW_BLOB_MIN; run++)
        in_row = (view_kind(text.ptr[run]) & VIEW_KIND_BASE64) != 0 ? in_row + 1 : 0;
    run = in_row == VIEW_BLOB_MIN ? run - in_row : text.len;
    CHECK(digit == view_find_digit(text, at, text.len));
    CHECK(escape == view_find_escape(text, at, text.len));
    CHECK(run == view_find_run(text, at));
    while (said < text.len &&
           (said + 1 == text.len || (view_kind(text.ptr[said]) & VIEW_KIND_ESCAPE) == 0 ||
            !view_is_said(text.ptr[said], text.ptr[said + 1])))
        said++;
    CHECK(said == view_find_said(text, at));
    if (__builtin_cpu_supports("avx2"))
        CHECK(view_test_bytes(text.ptr, text.len) == view_test_bytes_avx2(text.ptr, text.len));
}

static void test_bytes(void)
{
    char text[200];
    unsigned r = 1;

    if (!__builtin_cpu_supports("avx2"))
        test_skip("AVX2: this machine has none");
    for (unsigned round = 0; round < 20000; round++) {
        size_t n = round % sizeof(text);

        for (size_t i = 0; i < n; i++) {
            r = r * 1103515245 + 12345;
            text[i] = (r >> 12) % 64 != 0  ? (char)('a' + (r >> 16) % 26)
                      : (r >> 10) % 4 != 0 ? "%&\\"[(r >> 20) % 3]
                                           : (char)(r >> 20);
        }
        check_bytes((struct gw_span){text, n}, n == 0 ? 0 : round / sizeof(text) % n);
    }
}

/* What digits' view takes for plain bytes are units of one byte that write themselves, and words for digits are none. */
static void test_plain(void)
{
    static const char *const parts[] = {"1",  "42",   " ",  ". ",       "-",   "_",
                                        ", ", "the ", "un", "e ",       "Z",   "\xc3",
                                        "zw", "\xa9", "x",  "\xc2\xa0", "une "};
    struct gw_buf text = {0};
    unsigned r = 1, len;

    for (unsigned i = 0; i < 20000; i++) {
        const char *word = view_spelled_word(i % 97);

        r = r * 1103515245 + 12345;
        gw_buf_adds(&text, r >> 28 == 0 && word != NULL
                               ? word
                               : parts[(r >> 16) % (sizeof(parts) / sizeof(parts[0]))]);
    }
    for (size_t at = 0; at < text.len; at++) {
        struct gw_span whole = gw_buf_span(&text);
        char unit[VIEW_UNIT_MAX] = {0};
        unsigned n = 0;

        if (view_walk_digits.plain(whole, at, at + 1) == 1)
            CHECK(view_walk_digits.step(whole, at, unit, &n) == 1 && n == 1 &&
                  unit[0] == text.ptr[at]);
    }
    for (unsigned i = 0; view_spelled_word(i) != NULL; i++)
        CHECK(view_spelled(gw_span_str(view_spelled_word(i)), 0, &len) >= 0 &&
              len == strlen(view_spelled_word(i)));
    gw_buf_fini(&text);
}

/* Each byte is of the kinds that its place in ASCII says. */
static void test_kinds(void)
{
    for (unsigned c = 0; c < 256; c++) {
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z' && c < 0x80;
        bool digit = c >= '0' && c <= '9', space = c >= '\t' && c <= '\r';
        unsigned kind = view_kind((char)c);

        CHECK(((kind & VIEW_KIND_BASE64) != 0) ==
              (letter || digit || c == '+' || c == '/' || c == '-' || c == '_'));
        CHECK(((kind & VIEW_KIND_HEX) != 0) == (digit || (letter && (c | 0x20) <= 'f')));
        CHECK(((kind & VIEW_KIND_DIGIT) != 0) == digit);
        CHECK(((kind & VIEW_KIND_ESCAPE) != 0) == (c == '%' || c == '&' || c == '\\'));
        CHECK(((kind & VIEW_KIND_EQUALS) != 0) == (c == '='));
        CHECK(((kind & VIEW_KIND_HIGH) != 0) == (c >= 0x80));
        CHECK(((kind & VIEW_KIND_CONTROL) != 0) == (c == 0x7F || (c != 0 && c < 0x20 && !space)));
    }
}

int main(void)
{
    test_bytes();
    test_plain();
    test_kinds();
    return test_done();
}
