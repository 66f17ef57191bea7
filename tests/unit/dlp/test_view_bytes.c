/* What says where a view may begin, and which bytes are plain in it: the versions with SIMD, the tables and the walks agree. */
#include <string.h>

#include "dlp/view.h"
#include "dlp/view_find.h"
#include "dlp/view_stretch.h"
#include "tests/test.h"

/* All ways to find bits say the same. */
static void check_bits(struct gw_span text)
{
    static struct view_bits one, other;

    for (size_t from = 0; from < text.len; from += VIEW_CHUNK) {
        view_bits(text, from, &one);
        if (__builtin_cpu_supports("avx2")) {
            view_bits_avx2(text, from, &other);
            CHECK(memcmp(&one, &other, sizeof(one)) == 0);
        }
        if (view_has_avx512()) {
            view_bits_avx512(text, from, &other);
            CHECK(memcmp(&one, &other, sizeof(one)) == 0);
        }
    }
}

/* The two ways to look at bytes say the same, and the finders what a look at each byte says. */
static void check_bytes(struct gw_span text, size_t at)
{
    size_t escape = at, said = at, run = at, in_row = 0;

    while (escape < text.len && (view_kind(text.ptr[escape]) & VIEW_KIND_ESCAPE) == 0)
        escape++;
    for (; run < text.len && in_row < VIEW_BLOB_MIN; run++)
        in_row = (view_kind(text.ptr[run]) & VIEW_KIND_BASE64) != 0 ? in_row + 1 : 0;
    run = in_row == VIEW_BLOB_MIN ? run - in_row : text.len;
    CHECK(escape == view_find_escape(text, at, text.len));
    CHECK(run == view_find_run(text, at));
    while (said < text.len &&
           (said + 1 == text.len || (view_kind(text.ptr[said]) & VIEW_KIND_ESCAPE) == 0 ||
            !view_is_said(text.ptr + said, text.len - said)))
        said++;
    CHECK(said == view_find_said(text, at));
    check_bits(text);
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

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What view_find_row() says, run by run. */
static size_t find_row(struct gw_span text, size_t at)
{
    for (size_t end; at < text.len; at = end) {
        enum view_goes goes;

        while (at < text.len && !is_digit(text.ptr[at]))
            at++;
        for (end = at; end < text.len && is_digit(text.ptr[end]);)
            end++;
        goes = end == at ? VIEW_GOES_NOT : view_goes_on(text, end);
        if (goes == VIEW_GOES_DIGIT) {
            size_t next = end;

            while (!is_digit(text.ptr[next]))
                next++;
            while (next < text.len && is_digit(text.ptr[next]))
                next++;
            goes = view_goes_on(text, next);
        }
        if (goes != VIEW_GOES_NOT)
            return at;
    }
    return text.len;
}

/* Rows of numbers are found wherever they begin, and where the text ends in them. */
static void test_rows(void)
{
    static const char *const parts[] = {"1",    "42", " ",          "-",  ". ",   ", ",
                                        "e",    "un", "t",          "th", "one ", "\xc2\xa0",
                                        "the ", "a ", "and so on ", "\n"};
    char text[400];
    unsigned r = 7, rows = 0;

    for (unsigned round = 0; round < 20000; round++) {
        size_t n = 0, most = round % 300 + 1;

        while (n < most) {
            const char *part = parts[(r = r * 1103515245 + 12345) >> 16 & 15];

            /* Mostly letters, so that rows stand alone. */
            if (round % 3 != 0 && (r >> 24) % 4 != 0)
                part = "x";
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        for (size_t at = 0; at < most; at += 1 + most / 5) {
            size_t row = find_row((struct gw_span){text, most}, at);

            rows += row < most;
            CHECK(view_find_row((struct gw_span){text, most}, at) == row);
        }
    }
    CHECK(rows > 10000);
}

/* Digits that say bytes, in base64 or in hex. */
static size_t encode(const unsigned char *bytes, size_t n, bool hex, char *out)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *w = out;
    unsigned held = 0, bits = 0, width = hex ? 4 : 6;

    for (size_t i = 0; i < n; i++) {
        held = held << 8 | bytes[i];
        for (bits += 8; bits >= width; bits -= width) {
            unsigned d = held >> (bits - width) & ((1u << width) - 1);

            *w++ = hex ? "0123456789abcdef"[d] : alphabet[d];
        }
    }
    if (bits > 0)
        *w++ = alphabet[held << (width - bits) & 63];
    return (size_t)(w - out);
}

/* A text among random bytes is never passed, whatever digits stand in front of it; and both ways to look at bytes say the same. */
static void test_stretches(void)
{
    unsigned char bytes[192];
    char text[400];
    unsigned r = 3, nothing = 0, at_once = 0, in_lines = 0;

    for (unsigned round = 0; round < 40000; round++) {
        bool hex = round % 5 == 0;
        size_t front = (round / 5) % 4, n = 18 + round % (hex ? 100 : 160), len;
        size_t at = round % (n - 17), of_text = round % 2 == 0 ? 0 : round % 3 == 0 ? n - at : 21;
        uint8_t digits[VIEW_FEW_DIGITS + VIEW_PAD] = {0};
        uint64_t one[VIEW_BAD_WORDS], other[VIEW_BAD_WORDS];

        for (size_t i = 0; i < n; i++) {
            r = r * 1103515245 + 12345;
            bytes[i] = (unsigned char)(r >> 16);
            if (i >= at && i < at + of_text)
                bytes[i] = (unsigned char)(' ' + (r >> 16) % 95);
        }
        memcpy(text, "4fc", front);
        len = front + encode(bytes, n, hex, text + front);
        if (len > VIEW_FEW_DIGITS)
            continue;
        for (size_t i = 0; i < len; i++)
            digits[i] = (uint8_t)view_digit(text[i], hex);
        view_bad_bytes(digits, (unsigned)len, hex, one);
        if (__builtin_cpu_supports("avx2")) {
            view_bad_bytes_avx2(digits, (unsigned)len, hex, other);
            CHECK(memcmp(one, other, sizeof(one)) == 0);
        }
        if (!hex && len < VIEW_BLOCK && view_has_avx512()) {
            bool is_nothing = false, is_asked = true;
            size_t run = view_run_avx512((struct gw_span){text, len}, &is_nothing);

            CHECK(run == 0 ||
                  (run == len &&
                   is_nothing == view_says_nothing((struct gw_span){text, len}, false)));
            CHECK(run == 0 ||
                  is_nothing == view_lines_say_nothing_avx512((struct gw_span){text, len}));
            at_once += run != 0 && is_nothing;
            /* A line that goes on is not asked alone. */
            text[len] = "\n\r\\"[round % 3];
            CHECK(view_run_avx512((struct gw_span){text, len + 1}, &is_asked) == run && is_asked);
        }
        if (!hex && view_has_avx512() && len > 40 && len < VIEW_BLOCK) {
            /* The same digits in two lines. */
            char lines[VIEW_BLOCK + 1];
            bool nothing_at_once;

            memcpy(lines, text, 30);
            lines[30] = '\n';
            memcpy(lines + 31, text + 30, len - 30);
            nothing_at_once = view_lines_say_nothing_avx512((struct gw_span){lines, len + 1});
            CHECK(!nothing_at_once || view_says_nothing((struct gw_span){lines, len + 1}, false));
            in_lines += nothing_at_once;
        }
        if (view_says_nothing((struct gw_span){text, len}, hex)) {
            bool is_whole = of_text > 0 && at == 0 && of_text == n;

            nothing++;
            /* Decoded from the first digit on, it stands where it was put. */
            CHECK(!is_whole && (front != 0 || of_text < 21 || at + of_text > n));
        }
    }
    CHECK(nothing > 1000 && ((at_once > 500 && in_lines > 100) || !view_has_avx512()));
}

/* What digits' view takes for plain bytes are units of one byte that write themselves, and words for digits are none. */
static void test_plain(void)
{
    static const char *const parts[] = {"1",
                                        "42",
                                        " ",
                                        ". ",
                                        "-",
                                        "_",
                                        ", ",
                                        "the ",
                                        "un",
                                        "e ",
                                        "Z",
                                        "\xc3",
                                        "zw",
                                        "\xa9",
                                        "x",
                                        "\xc2\xa0",
                                        "une ",
                                        "kilo lima mike papa kilo lima mike papa kilo lima mike "
                                        "papa kilo lima mike papa "};
    struct gw_buf text = {0};
    unsigned r = 1, len;
    size_t longest = 0;

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

        size_t plain = view_walk_digits.plain(whole, at, at + 150 < text.len ? at + 150 : text.len);

        for (size_t i = at; i < at + plain; i++)
            CHECK(view_walk_digits.step(whole, i, unit, &n) == 1 && n == 1 &&
                  unit[0] == text.ptr[i]);
        longest = plain > longest ? plain : longest;
    }
    CHECK(longest > VIEW_BLOCK);
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
        if (c >= 0x80)
            continue;
        CHECK((view_class_of[c] >> VIEW_CLASS_DIGIT & 1) == digit);
        CHECK((view_class_of[c] >> VIEW_CLASS_SIGN & 1) == view_is_sign((char)c));
        CHECK((view_class_of[c] >> VIEW_CLASS_BASE64 & 1) == (kind & VIEW_KIND_BASE64));
        CHECK((view_class_of[c] >> VIEW_CLASS_SLASH & 1) == (c == '\\' || c == '='));
        CHECK((view_class_of[c] >> VIEW_CLASS_PERCENT & 1) == (c == '%' || c == '&' || c == '='));
        CHECK(!view_is_quoted((char)c) || (view_class_of[c] >> VIEW_CLASS_QUOTED & 1) != 0);
        CHECK((view_class_of[c] >> VIEW_CLASS_ALPHA & 1) ==
              ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'));
        CHECK((view_class_of[c] >> VIEW_CLASS_LETTER & 1) ==
              (c == 'x' || c == 'u' || c == 'U' || c == '#'));
    }
}

int main(void)
{
    test_bytes();
    test_rows();
    test_stretches();
    test_plain();
    test_kinds();
    return test_done();
}
