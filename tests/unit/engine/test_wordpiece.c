/* tests/unit/engine/test_wordpiece.c - folding and cutting on a small vocabulary, hostile texts and files. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "engine/fold.h"
#include "tests/test.h"
#include "tests/unit/engine/tokenizer_text.h"

#define KIND                                                                                       \
    "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"                             \
    "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},"                    \
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"

#define MODEL "\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\""

/* Ids are the places in this list; "" closes it. */
static const char *const pieces[] = {"[PAD]",
                                     "[UNK]",
                                     "[CLS]",
                                     "[SEP]",
                                     "un",
                                     "##aff",
                                     "##able",
                                     "a",
                                     "##a",
                                     "ab",
                                     "##b",
                                     "abc",
                                     ",",
                                     "!",
                                     "e",
                                     "##e",
                                     "\xe4\xb8\xad",
                                     "[",
                                     "]",
                                     "sep",
                                     "##affa",
                                     "caf",
                                     "ss",
                                     "\xe1\x84\x80",
                                     "##\xe1\x85\xa1",
                                     "##\xe1\x86\xa8",
                                     "##",
                                     "\xc3\x9f",
                                     "<",
                                     ""};

static void make_json(struct gw_buf *b, unsigned max_chars)
{
    gw_buf_printf(b, "{%s\"model\":{%s,\"max_input_chars_per_word\":%u,\"vocab\":{", KIND, MODEL,
                  max_chars);
    for (unsigned i = 0; pieces[i][0] != '\0'; i++) {
        gw_buf_adds(b, i == 0 ? "" : ",");
        gw_buf_add_json_str(b, gw_span_str(pieces[i]));
        gw_buf_printf(b, ":%u", i);
    }
    gw_buf_adds(b, "}}}");
}

static struct wordpiece *open_small(unsigned max_chars)
{
    struct gw_buf b = {0};
    struct wordpiece *wp = NULL;
    struct gw_err err = {GW_OK, ""};

    make_json(&b, max_chars);
    if (!CHECK(open_text(gw_buf_span(&b), &wp, NULL, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    gw_buf_fini(&b);
    return wp;
}

/* The pieces of text, joined by spaces, must be `want`. */
static bool cuts(const struct wordpiece *wp, struct gw_span text, const char *want)
{
    struct gw_buf b = {0};
    int32_t ids[64];
    unsigned n = 0;
    bool same;

    if (!CHECK(wordpiece_encode(wp, text, ids, 64, &n)))
        return false;
    CHECK(n >= 2 && ids[0] == 2 && ids[n - 1] == 3);
    for (unsigned i = 1; i + 1 < n; i++)
        gw_buf_printf(&b, "%s%s", i == 1 ? "" : " ", pieces[ids[i]]);
    same = strcmp(b.ptr == NULL ? "" : b.ptr, want) == 0;
    if (!same)
        fprintf(stderr, "want %s\ngot  %s\n", want, b.ptr == NULL ? "" : b.ptr);
    gw_buf_fini(&b);
    return same;
}

static void test_pieces(const struct wordpiece *wp)
{
    CHECK(cuts(wp, GW_SPAN("unable"), "un ##able"));
    CHECK(cuts(wp, GW_SPAN("unaff"), "un ##aff") && cuts(wp, GW_SPAN("unaffa"), "un ##affa"));
    /* the longest piece first, and no way back: un ##affa, then nothing begins with ble */
    CHECK(cuts(wp, GW_SPAN("unaffable"), "[UNK]"));
    CHECK(cuts(wp, GW_SPAN("abc ab a abcb"), "abc ab a abc ##b"));
    CHECK(cuts(wp, GW_SPAN("ABC, aB!"), "abc , ab !"));
    CHECK(cuts(wp, GW_SPAN("abx"), "[UNK]"));
    CHECK(cuts(wp, GW_SPAN("x abc x"), "[UNK] abc [UNK]"));
    CHECK(cuts(wp, GW_SPAN("##a"), "[UNK] [UNK] a"));
    CHECK(cuts(wp, GW_SPAN("[SEP] [CLS]"), "[ sep ] [ [UNK] ]"));
    CHECK(cuts(wp, GW_SPAN(""), "") && cuts(wp, GW_SPAN(" \t\r\n"), ""));
    CHECK(cuts(wp, GW_SPAN("a\0a"), "a ##a") && cuts(wp, GW_SPAN("a\xff\xc3"), "a"));
    CHECK(cuts(wp,
               GW_SPAN("a\xc2\xa0"
                       "a"),
               "a a")); /* U+00A0 */
}

static void test_folding(const struct wordpiece *wp)
{
    CHECK(cuts(wp, GW_SPAN("caf\xc3\xa9 CAFE\xcc\x81"), "caf ##e caf ##e"));
    CHECK(cuts(wp,
               GW_SPAN("\xe4\xb8\xad\xe4\xb8\xad"
                       "a"),
               "\xe4\xb8\xad \xe4\xb8\xad a"));
    CHECK(cuts(wp, GW_SPAN("a\xe4\xb8\xad"), "a \xe4\xb8\xad"));
    CHECK(cuts(wp, GW_SPAN("\xea\xb0\x81"), "\xe1\x84\x80 ##\xe1\x85\xa1 ##\xe1\x86\xa8"));
    CHECK(cuts(wp, GW_SPAN("\xea\xb0\x80"), "\xe1\x84\x80 ##\xe1\x85\xa1"));
    CHECK(cuts(wp, GW_SPAN("\xe1\xba\x9e"), "\xc3\x9f")); /* capital sharp s */
    CHECK(cuts(wp,
               GW_SPAN("a\xe2\x89\xae"
                       "a"),
               "a < a")); /* U+226E: < without its stroke */
    CHECK(cuts(wp,
               GW_SPAN("a\xe2\x80\x8b"
                       "a"),
               "a ##a"));                     /* zero width space: a format */
    CHECK(cuts(wp, GW_SPAN("\xcc\x81"), "")); /* only an accent */
}

static void test_fold_char(void)
{
    uint32_t out[FOLD_MAX];
    unsigned n = 9;

    CHECK(fold_char('A', out, &n) == FOLD_WORD && n == 1 && out[0] == 'a');
    CHECK(fold_char('+', out, &n) == FOLD_ALONE && n == 1 && out[0] == '+');
    CHECK(fold_char('\n', out, &n) == FOLD_SPACE && n == 0);
    CHECK(fold_char(7, out, &n) == FOLD_DROP && n == 0);
    CHECK(fold_char(0x1D160, out, &n) == FOLD_WORD && n == 3 && out[2] == 0x1D16E);
    CHECK(fold_char(0x130, out, &n) == FOLD_WORD && n == 1 && out[0] == 'i');
    CHECK(fold_char(0xF900, out, &n) == FOLD_ALONE && n == 1 && out[0] == 0x8C48);
    CHECK(fold_char(0xD800, out, &n) == FOLD_DROP && fold_char(0x110000, out, &n) == FOLD_DROP);
    CHECK(fold_char(UINT32_MAX, out, &n) == FOLD_DROP && n == 0);
    unsigned lost = 0, unstable = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        enum fold_class c = fold_char(cp, out, &n);

        lost += (n != 0) != (c == FOLD_WORD || c == FOLD_ALONE);
        for (unsigned i = 0; i < n; i++) {
            uint32_t again[FOLD_MAX];
            unsigned m = 0;

            unstable += fold_char(out[i], again, &m) != c || m != 1 || again[0] != out[i];
        }
    }
    CHECK(lost == 0 && unstable == 0); /* folding twice is folding once */
}

/* Exactly as many tokens as there is room for, and one more. */
static void test_room(const struct wordpiece *wp)
{
    int32_t ids[8];
    unsigned n = 77;

    memset(ids, 0x55, sizeof(ids));
    CHECK(!wordpiece_encode(wp, GW_SPAN("a a a"), ids, 4, &n) && n == 77);
    CHECK(ids[4] == 0x55555555);
    CHECK(wordpiece_encode(wp, GW_SPAN("a a a"), ids, 5, &n) && n == 5 && ids[5] == 0x55555555);
    CHECK(wordpiece_encode(wp, GW_SPAN(""), ids, 2, &n) && n == 2);
    CHECK(!wordpiece_encode(wp, GW_SPAN("a"), ids, 2, &n));
    /* pieces that would not fit, of a word that is one unknown token in the end */
    CHECK(wordpiece_encode(wp, GW_SPAN("aaaaaaaax"), ids, 3, &n) && n == 3 && ids[1] == 1);
}

static void test_long_words(void)
{
    struct wordpiece *wp = open_small(10);

    CHECK(cuts(wp, GW_SPAN("aaaaaaaaaa"), "a ##a ##a ##a ##a ##a ##a ##a ##a ##a"));
    CHECK(cuts(wp, GW_SPAN("aaaaaaaaaaa"), "[UNK]"));
    CHECK(cuts(wp, GW_SPAN("aaaaaaaaaaa,a"), "[UNK] , a"));
    wordpiece_free(wp);
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The same work for twice the text, whatever the text: the bound is loose, quadratic is far off. */
static void test_linear(const struct wordpiece *wp)
{
    static const char *const floods[] = {"a",
                                         "ab",
                                         "x",
                                         ",",
                                         " ",
                                         "a ",
                                         "\xcc\x81",
                                         "\xff",
                                         "unaff",
                                         "\xea\xb0\x81",
                                         "aaaaaaaaaaaaaaaaaaaax "};
    const size_t size = 1 << 20;
    char *text = malloc(size);
    int32_t *ids = calloc(size + 2, sizeof(*ids));

    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        size_t len = strlen(floods[i]);
        double begin = seconds();
        unsigned n = 0;

        for (size_t k = 0; k < size; k++)
            text[k] = floods[i][k % len];
        CHECK(wordpiece_encode(wp, (struct gw_span){text, size}, ids, (unsigned)size + 2, &n));
        CHECK(seconds() - begin < 20);
    }
    free(text);
    free(ids);
}

static enum gw_status opens(const char *json)
{
    struct wordpiece *wp = NULL;
    struct gw_err err = {GW_OK, ""};
    enum gw_status st = open_text(gw_span_str(json), &wp, NULL, &err);

    CHECK((st == GW_OK) == (wp != NULL) && st == err.code);
    wordpiece_free(wp);
    return st;
}

static void test_kinds(void)
{
#define VOCAB "\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2}"
    CHECK(opens("{" KIND "\"model\":{" MODEL "," VOCAB "}}") == GW_OK);
    CHECK(opens("{" KIND "\"model\":{\"type\":\"BPE\"," VOCAB "}}") == GW_EUNSUPPORTED);
    CHECK(opens("{" KIND
                "\"model\":{\"type\":\"WordPiece\",\"continuing_subword_prefix\":\"@@\"," VOCAB
                "}}") == GW_EUNSUPPORTED);
    CHECK(opens("{\"model\":{" MODEL "," VOCAB "}}") == GW_EUNSUPPORTED);
    CHECK(opens("{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
                "\"handle_chinese_chars\":true,\"lowercase\":false},"
                "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
                "\"model\":{" MODEL "," VOCAB "}}") == GW_EUNSUPPORTED);
    CHECK(opens("{" KIND "\"model\":{" MODEL ",\"vocab\":[]}}") == GW_EPARSE);
    CHECK(opens("{" KIND "\"model\":{" MODEL ",\"vocab\":{\"[UNK]\":0,\"[CLS]\":1}}}") ==
          GW_EPARSE);
    CHECK(opens("{" KIND "\"model\":{" MODEL ",\"vocab\":{\"a\":-1}}}") == GW_EPARSE);
    CHECK(opens("{" KIND "\"model\":{" MODEL ",\"vocab\":{\"a\":1048576}}}") == GW_EPARSE);
    CHECK(opens("{" KIND "\"model\":{" MODEL ",\"max_input_chars_per_word\":0," VOCAB "}}") ==
          GW_EUNSUPPORTED);
    CHECK(opens("{" KIND "\"model\":{" MODEL ",\"max_input_chars_per_word\":9999," VOCAB "}}") ==
          GW_EUNSUPPORTED);
    CHECK(opens("{") == GW_EPARSE && opens("") != GW_OK && opens("[]") == GW_EUNSUPPORTED);
#undef VOCAB
}

/* Every cut of a good file is refused. */
static void test_cut_files(void)
{
    struct gw_buf b = {0};

    make_json(&b, 100);
    for (size_t n = 0; n < b.len; n++) {
        struct wordpiece *wp = NULL;
        char *copy = malloc(n + 1);

        memcpy(copy, b.ptr, n);
        copy = realloc(copy, n == 0 ? 1 : n);
        CHECK(open_text((struct gw_span){copy, n}, &wp, NULL, NULL) != GW_OK && wp == NULL);
        free(copy);
    }
    gw_buf_fini(&b);
}

int main(void)
{
    struct wordpiece *wp = open_small(100);

    if (wp == NULL)
        return test_done();
    CHECK(wordpiece_n_vocab(wp) == sizeof(pieces) / sizeof(pieces[0]) - 1);
    test_pieces(wp);
    test_folding(wp);
    test_fold_char();
    test_room(wp);
    test_long_words();
    test_linear(wp);
    test_kinds();
    test_cut_files();
    wordpiece_free(wp);
    wordpiece_free(NULL);
    return test_done();
}
