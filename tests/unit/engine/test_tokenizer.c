/* Tokenizers on small vocabularies: special tokens, bytes, hostile files and hostile texts. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/tokenizer.h"
#include "engine/tokenizer_pre.h"
#include "engine/tokenizer_private.h"
#include "engine/unicode.h"
#include "tests/test.h"
#include "tests/unit/engine/vocab_make.h"

static struct vocab empty_vocab(const char *model)
{
    return (struct vocab){.model = model, .pre = "gpt-2", .bos = -1, .eos = -1, .add_bos = -1};
}

/* All 256 bytes, three merges, and special tokens of every kind. */
static void fill_bpe(struct vocab *v)
{
    static char chars[256][4];

    *v = empty_vocab("gpt2");
    for (unsigned i = 0; i < 256; i++) {
        memset(chars[i], 0, sizeof(chars[i]));
        (void)tok_byte_char((unsigned char)i, chars[i]);
        vocab_add(v, chars[i], TOK_NORMAL, 0);
    }
    vocab_add(v, "ab", TOK_NORMAL, 0);                 /* 256 */
    vocab_add(v, "abab", TOK_NORMAL, 0);               /* 257 */
    vocab_add(v, "aa", TOK_NORMAL, 0);                 /* 258 */
    vocab_add(v, "<|im_start|>", TOK_CONTROL, 0);      /* 259 */
    vocab_add(v, "<|im_end|>", TOK_NORMAL, 0);         /* 260: wrongly typed in the file */
    vocab_add(v, "<tool>", TOK_USER_DEFINED, 0);       /* 261 */
    vocab_add(v, "    ", TOK_USER_DEFINED, 0);         /* 262 */
    vocab_add(v, "<|im_start|>x", TOK_CONTROL, 0);     /* 263 */
    vocab_add(v, "<|im_start|>", TOK_USER_DEFINED, 0); /* 264: the same text again */
    v->merges[v->n_merges++] = "a b";
    v->merges[v->n_merges++] = "ab ab";
    v->merges[v->n_merges++] = "a a";
    v->merges[v->n_merges++] = "nonsense";
    v->merges[v->n_merges++] = "x y";
    v->merges[v->n_merges++] = " ";
    v->eos = 260;
}

static bool encodes(const struct tok *t, const struct tok_part *parts, size_t n, const char *want)
{
    struct tok_ids ids = {0};
    struct gw_buf b = {0};

    CHECK(tok_encode_parts(t, parts, n, &ids) == GW_OK);
    for (size_t i = 0; i < ids.n; i++)
        gw_buf_printf(&b, i == 0 ? "%d" : " %d", ids.ids[i]);
    bool same = strcmp(b.ptr == NULL ? "" : b.ptr, want) == 0;
    if (!same)
        fprintf(stderr, "want %s\ngot  %s\n", want, b.ptr == NULL ? "" : b.ptr);
    gw_buf_fini(&b);
    tok_ids_fini(&ids);
    return same;
}

static bool encodes_text(const struct tok *t, const char *text, bool special, const char *want)
{
    struct tok_part part = {gw_span_str(text), special};

    return encodes(t, &part, 1, want);
}

static void test_bpe_and_special_tokens(void)
{
    struct vocab v;
    fill_bpe(&v);
    struct tok *t = vocab_tok(&v, NULL);
    if (!CHECK(t != NULL))
        return;

    CHECK(tok_n_vocab(t) == 265 && tok_eos(t) == 260 && tok_bos(t) == TOK_NONE && !tok_add_bos(t));
    CHECK(encodes_text(t, "abab", false, "257"));
    CHECK(encodes_text(t, "aabab", false, "97 257")); /* rank 0 wins over the leftmost pair */
    CHECK(encodes_text(t, "aaab", false, "258 256"));
    CHECK(encodes_text(t, "", true, ""));
    /* Special tokens: the longest, in template text only; text that only looks like one stays text. */
    CHECK(encodes_text(t, "<|im_start|>ab", true, "259 256"));
    CHECK(encodes_text(t, "<|im_start|>x", true, "263"));
    CHECK(encodes_text(t, "<|im_start|", true, "60 124 105 109 95 115 116 97 114 116 124"));
    CHECK(encodes_text(t, "<|im_end|>", true, "260")); /* control although the file says normal */
    CHECK(encodes_text(t, "<|im_end|>", false, "60 124 105 109 95 101 110 100 124 62"));
    CHECK(
        encodes_text(t, "<tool>", false, "60 116 111 111 108 62")); /* user-defined, but a marker */
    CHECK(encodes_text(t, "<tool>", true, "261"));
    CHECK(encodes_text(t, "a    b", false, "97 262 98")); /* user-defined and plain */
    CHECK(tok_is_end(t, 260) && !tok_is_end(t, 259) && tok_is_control(t, 260));
    CHECK(tok_piece(t, 260).len == 0 && gw_span_is(tok_text(t, 260), "<|im_end|>"));
    CHECK(gw_span_is(tok_piece(t, 257), "abab") && gw_span_is(tok_piece(t, 32), " "));
    CHECK(tok_find(t, GW_SPAN("<|im_end|>")) == 260 && tok_find(t, GW_SPAN("abab")) == 257);
    CHECK(tok_find(t, GW_SPAN("zz")) == TOK_NONE && tok_piece(t, -1).len == 0);
    CHECK(tok_piece(t, 265).len == 0 && tok_text(t, INT32_MAX).len == 0);
    tok_free(t);
    tok_free(NULL);
}

/* Parts are one text, but no special token is made across or inside user parts. */
static void test_parts_join_words_not_markers(void)
{
    struct vocab v;
    fill_bpe(&v);
    struct tok *t = vocab_tok(&v, NULL);
    if (!CHECK(t != NULL))
        return;
    struct tok_part word[] = {{GW_SPAN("a"), true}, {GW_SPAN("ba"), false}, {GW_SPAN("b"), true}};
    CHECK(encodes(t, word, 3, "257"));
    struct tok_part split[] = {{GW_SPAN("<|im_"), true}, {GW_SPAN("end|>"), false}};
    CHECK(encodes(t, split, 2, "60 124 105 109 95 101 110 100 124 62"));
    struct tok_part round[] = {{GW_SPAN("<|im_start|>"), true},
                               {GW_SPAN("<|im_end|>"), false},
                               {GW_SPAN("<|im_end|>"), true}};
    CHECK(encodes(t, round, 3, "259 60 124 105 109 95 101 110 100 124 62 260"));
    tok_free(t);
}

static void test_bytes_survive(void)
{
    struct vocab v;
    fill_bpe(&v);
    struct tok *t = vocab_tok(&v, NULL);
    unsigned char all[512];
    struct tok_ids ids = {0};
    struct gw_buf back = {0};

    for (unsigned i = 0; i < sizeof(all); i++)
        all[i] = (unsigned char)(i * 7 + i / 256);
    struct gw_span text = {(const char *)all, sizeof(all)};
    if (!CHECK(t != NULL && tok_encode(t, text, true, &ids) == GW_OK))
        return;
    for (size_t i = 0; i < ids.n; i++)
        gw_buf_add(&back, tok_piece(t, ids.ids[i]));
    CHECK(gw_span_eq(gw_buf_span(&back), text));
    gw_buf_fini(&back);
    tok_ids_fini(&ids);
    tok_free(t);
}

static void fill_spm(struct vocab *v)
{
    *v = empty_vocab("llama");
    v->pre = NULL;
    vocab_add(v, "<unk>", TOK_UNKNOWN, 0);
    vocab_add(v, "<s>", TOK_CONTROL, 0);
    vocab_add(v, "</s>", TOK_CONTROL, 0);
    vocab_add(v, "<0x0A>", TOK_BYTE, 0);
    vocab_add(v, "<0xC3>", TOK_BYTE, 0);
    vocab_add(v, "<0xg1>", TOK_BYTE, 0); /* not a byte: ignored, not an overflow */
    vocab_add(v, "<0x-1>", TOK_BYTE, 0);
    vocab_add(v, "\xE2\x96\x81", TOK_NORMAL, -5);
    vocab_add(v, "a", TOK_NORMAL, -6); /* 8 */
    vocab_add(v, "b", TOK_NORMAL, -7);
    vocab_add(v, "ab", TOK_NORMAL, -2); /* 10 */
    vocab_add(v, "ba", TOK_NORMAL, -1);
    vocab_add(v,
              "\xE2\x96\x81"
              "a",
              TOK_NORMAL, -3); /* 12 */
    vocab_add(v, "<", TOK_NORMAL, -9);
    vocab_add(v, "s", TOK_NORMAL, -9);
    vocab_add(v, ">", TOK_NORMAL, -9);
    vocab_add(v, "<s", TOK_NORMAL, -4); /* 16: one merge away from BOS */
    vocab_add(v, "ab", TOK_NORMAL, -2); /* a duplicate */
}

static void test_score_merge(void)
{
    struct vocab v;
    fill_spm(&v);
    struct tok *t = vocab_tok(&v, NULL);
    if (!CHECK(t != NULL))
        return;
    CHECK(tok_add_bos(t) && tok_bos(t) == 1 && tok_eos(t) == 2 && tok_space_prefix(t));
    CHECK(encodes_text(t, "ab", false, "7 10"));   /* -2 beats -3 */
    CHECK(encodes_text(t, "aba", false, "12 11")); /* -1 first, then the prefix joins */
    CHECK(encodes_text(t, "", false, ""));
    CHECK(encodes_text(t, "a a", false, "12 12"));
    CHECK(encodes_text(t, "<s>", false, "7 16 15")); /* never BOS out of text */
    CHECK(encodes_text(t, "<s>a</s>", true, "1 12 2"));
    CHECK(encodes_text(t, "\n", false, "7 3"));         /* its byte */
    CHECK(encodes_text(t, "\xC3\xA9", false, "7 4 0")); /* one byte known, one unknown */
    CHECK(encodes_text(t, "\xC3", false, "7 4"));       /* not UTF-8 */
    CHECK(gw_span_is(tok_piece(t, 12), " a") && gw_span_is(tok_piece(t, 3), "\n"));
    tok_free(t);
}

/* ---- hostile files --------------------------------------------------------------------------------- */

static bool refused(const struct vocab *v, const char *words)
{
    struct gw_err err = {0};
    struct tok *t = vocab_tok(v, &err);

    if (t == NULL && strstr(err.text, words) != NULL)
        return true;
    fprintf(stderr, "err: %s\n", err.text);
    tok_free(t);
    return false;
}

static void test_hostile_metadata(void)
{
    struct vocab v;

    fill_spm(&v);
    v.bos = 5000;
    CHECK(refused(&v, "bos_token_id"));
    fill_spm(&v);
    v.eos = (int)UINT32_MAX; /* -1 means none */
    v.bos = 1;
    struct tok *t = vocab_tok(&v, NULL);
    CHECK(t != NULL && tok_eos(t) == 2);
    tok_free(t);
    fill_spm(&v);
    v.n = 0;
    CHECK(refused(&v, "tokens"));
    v = empty_vocab("t5");
    vocab_add(&v, "a", TOK_NORMAL, 0);
    CHECK(refused(&v, "\"t5\""));
    /* Tokens without text, with types that do not exist, with broken UTF-8. */
    fill_bpe(&v);
    vocab_add(&v, "", TOK_NORMAL, 0);
    vocab_add(&v, "", TOK_CONTROL, 0);
    vocab_add(&v, "\xFF\xFE", 77, 0);
    vocab_add(&v, "\xC3", -3, 0);
    t = vocab_tok(&v, NULL);
    CHECK(t != NULL && encodes_text(t, "abab\xFF", true, "257 255"));
    tok_free(t);
}

static void test_unknown_pre_tokenizer_is_said(void)
{
    struct vocab v;

    fill_bpe(&v);
    v.pre = "no-such\nthing";
    struct tok *t = vocab_tok(&v, NULL);
    CHECK(t != NULL && strstr(tok_warning(t), "no-such?thing") != NULL);
    tok_free(t);
    v.pre = NULL;
    t = vocab_tok(&v, NULL);
    CHECK(t != NULL && tok_warning(t)[0] != '\0');
    tok_free(t);
}

/* ---- hostile texts ------------------------------------------------------------------------------------ */

static double seconds_of(const struct tok *t, const char *unit, size_t bytes)
{
    struct gw_buf text = {0};
    struct tok_ids ids = {0};
    struct timespec from, to;

    while (text.len < bytes)
        gw_buf_adds(&text, unit);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    CHECK(tok_encode(t, gw_buf_span(&text), true, &ids) == GW_OK && ids.n > 0);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    gw_buf_fini(&text);
    tok_ids_fini(&ids);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

/* A quadratic step would take hours for these; a linear one takes a fraction of the bound even under
 * sanitizers. */
static void check_linear(const struct tok *t, size_t bytes)
{
    static const char *const units[] = {"a",           "ab",           " ",
                                        "\n",          " \n",          "1",
                                        "'",           "'s",           "\xF0\x9F\xA6\x99",
                                        "\xFF",        "\xE4\xB8\xAD", "A",
                                        "<|im_start|", " a",           "\xE3\x80\x80"};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        CHECK(seconds_of(t, units[i], bytes) < 20);
}

static void test_hostile_texts_take_linear_time(void)
{
    static const char *const pres[] = {"gpt-2",   "llama-bpe",    "smollm",         "falcon",
                                       "default", "deepseek-llm", "deepseek-coder", "deepseek-v3",
                                       "gpt-4o",  "tekken"};
    struct vocab v;
    struct tok *t;

    for (size_t i = 0; i < sizeof(pres) / sizeof(pres[0]); i++) {
        fill_bpe(&v);
        v.pre = pres[i];
        t = vocab_tok(&v, NULL);
        if (CHECK(t != NULL))
            check_linear(t, i < 2 ? 1 << 20 : 1 << 17);
        tok_free(t);
    }
    fill_spm(&v);
    t = vocab_tok(&v, NULL);
    if (CHECK(t != NULL))
        check_linear(t, 1 << 20);
    tok_free(t);
}

static void test_text_limit(void)
{
    struct vocab v;
    struct tok_ids ids = {0};
    size_t n = TOK_MAX_TEXT_BYTES + 1;
    char *text = calloc(n, 1);

    fill_bpe(&v);
    struct tok *t = vocab_tok(&v, NULL);
    CHECK(text != NULL && t != NULL);
    CHECK(tok_encode(t, (struct gw_span){text, n}, false, &ids) == GW_ELIMIT && ids.n == 0);
    free(text);
    tok_free(t);
}

/* ---- pre-tokenizers --------------------------------------------------------------------------------- */

static enum gw_status join_words(void *ctx, struct gw_span word)
{
    struct gw_buf *b = ctx;

    gw_buf_adds(b, b->len > 0 ? "|" : "");
    gw_buf_add(b, word);
    return GW_OK;
}

static bool splits(const char *pre, const char *text, const char *want)
{
    struct gw_buf b = {0};
    bool known;
    const struct tok_pre *p = tok_pre_find(gw_span_str(pre), &known);

    CHECK(known && tok_pre_split(p, gw_span_str(text), join_words, &b) == GW_OK);
    bool same = gw_span_is(gw_buf_span(&b), want);
    if (!same)
        fprintf(stderr, "%s\nwant %s\ngot  %s\n", pre, want, b.ptr);
    gw_buf_fini(&b);
    return same;
}

static void test_pre_tokenizers(void)
{
    CHECK(splits("gpt-2", "I'll  go 12a!? 'S", "I|'ll| | go| 12|a|!?| '|S"));
    CHECK(splits("llama-bpe", "I'LL  go 12345a!?\n\nx", "I|'LL| | go| |123|45|a|!?\n\n|x"));
    CHECK(splits("llama-bpe", "'tis \t(x)  \n  y ", "'t|is| |\t|(x|)|  \n| | y| "));
    CHECK(splits("qwen2", "a12 \n", "a|1|2| \n"));
    CHECK(splits("smollm", "a 12  b", "a| |1|2| | b"));
    CHECK(splits("starcoder", "x   3", "x|   |3"));
    CHECK(splits("falcon", "a`b, 12345", "a|`|b|,| |123|45"));
    CHECK(splits("deepseek-coder", "a\n b \xE4\xB8\xADx!", "a|\n| b| |\xE4\xB8\xAD|x|!"));
    CHECK(splits("deepseek-v3", "1234.ab \xE4\xB8\xAD\xE3\x81\x82",
                 "123|4|.ab| |\xE4\xB8\xAD\xE3\x81\x82"));
    CHECK(splits("gpt-4o", "HelloWORLDs'll ABC", "Hello|WORLDs'll| ABC"));
    CHECK(splits("tekken", "fooBar12", "foo|Bar|1|2"));
    CHECK(splits("default", "a 1234.5", "a| |123|4|.|5"));
}

static void test_unicode_classes(void)
{
    CHECK(unicode_class('A') == UNICODE_LU && unicode_class(0xE9) == UNICODE_LL);
    CHECK(unicode_class(0x4E2D) == UNICODE_LO && unicode_class(0x1C5) == UNICODE_LT);
    CHECK(unicode_class(0x301) == UNICODE_M && unicode_class(0xBD) == UNICODE_N);
    CHECK(unicode_class(0x2014) == UNICODE_P && unicode_class(0x20AC) == UNICODE_S);
    CHECK(unicode_class(0xA0) == UNICODE_SPACE && unicode_class(0x200B) == UNICODE_OTHER);
    CHECK(unicode_class(0x10FFFF) == UNICODE_OTHER && unicode_class(UINT32_MAX) == UNICODE_OTHER);
}

int main(void)
{
    test_bpe_and_special_tokens();
    test_parts_join_words_not_markers();
    test_bytes_survive();
    test_score_merge();
    test_hostile_metadata();
    test_unknown_pre_tokenizer_is_said();
    test_hostile_texts_take_linear_time();
    test_text_limit();
    test_pre_tokenizers();
    test_unicode_classes();
    return test_done();
}
