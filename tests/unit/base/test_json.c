/* The JSON tokenizer: tokens, limits, errors, decoding, the public parsing suite, hostile sizes. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/json_pass.h"
#include "tests/test.h"

#define SUITE "../shared/http/json/test_parsing"

static struct gw_json *j;

/* Runs over a text; returns GW_OK or why it was refused. */
static enum gw_status run_limits(struct gw_span text, const struct gw_json_limits *limits,
                                 struct gw_err *err)
{
    struct gw_json_tok t;
    enum gw_json_type type;

    gw_json_start(j, text, limits);
    do
        type = gw_json_next(j, &t);
    while (type != GW_JSON_END && type != GW_JSON_ERROR);
    if (type == GW_JSON_END)
        return GW_OK;
    CHECK(gw_json_next(j, &t) == GW_JSON_ERROR);
    return gw_json_error(j, err);
}

static enum gw_status run(const char *text)
{
    return run_limits(gw_span_str(text), NULL, NULL);
}

/* The same text, cut from the middle of a buffer that goes on with bytes which would change the
 * meaning: a tokenizer that looks past the end gives another answer. Exact malloc'd copies let ASan
 * see every overread, too. */
static void same_inside_buffers(struct gw_span text, enum gw_status want, const char *name)
{
    static const char *const after[] = {"\"", "0", "}", "]", "ull", "\\", "\xBF\xBF", " 1", "\0"};
    char *exact = malloc(text.len == 0 ? 1 : text.len);

    if (text.len != 0)
        memcpy(exact, text.ptr, text.len);
    if (!CHECK(run_limits((struct gw_span){exact, text.len}, NULL, NULL) == want))
        fprintf(stderr, "  %s\n", name);
    free(exact);
    for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
        size_t n_after = i == 8 ? 1 : strlen(after[i]);
        char *big = malloc(3 + text.len + n_after);

        memcpy(big, "[\"1", 3);
        if (text.len != 0)
            memcpy(big + 3, text.ptr, text.len);
        memcpy(big + 3 + text.len, after[i], n_after);
        if (!CHECK(run_limits((struct gw_span){big + 3, text.len}, NULL, NULL) == want))
            fprintf(stderr, "  %s, followed by %s\n", name, after[i]);
        free(big);
    }
}

static void test_tokens(void)
{
    static const struct {
        enum gw_json_type type;
        const char *raw;
        unsigned depth;
        size_t start;
        bool escaped;
    } want[] = {
        {GW_JSON_OBJECT_BEGIN, "{", 1, 1, false},  {GW_JSON_KEY, "a", 1, 2, false},
        {GW_JSON_ARRAY_BEGIN, "[", 2, 6, false},   {GW_JSON_NUMBER, "-1.5e+3", 2, 7, false},
        {GW_JSON_STRING, "x\\n", 2, 15, true},     {GW_JSON_TRUE, "true", 2, 21, false},
        {GW_JSON_FALSE, "false", 2, 26, false},    {GW_JSON_NULL, "null", 2, 32, false},
        {GW_JSON_ARRAY_END, "]", 2, 36, false},    {GW_JSON_KEY, "", 1, 38, false},
        {GW_JSON_OBJECT_BEGIN, "{", 2, 41, false}, {GW_JSON_OBJECT_END, "}", 2, 42, false},
        {GW_JSON_OBJECT_END, "}", 1, 43, false},
    };
    const char *text = " {\"a\":[-1.5e+3,\"x\\n\",true,false,null],\"\":{}}\n";
    struct gw_json_tok t;

    gw_json_start(j, gw_span_str(text), NULL);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        CHECK(gw_json_next(j, &t) == want[i].type && t.type == want[i].type);
        CHECK(gw_span_is(t.raw, want[i].raw) && t.depth == want[i].depth);
        CHECK(t.start == want[i].start && t.escaped == want[i].escaped);
        CHECK(t.end - t.start ==
              t.raw.len + (t.type == GW_JSON_KEY || t.type == GW_JSON_STRING ? 2 : 0));
    }
    CHECK(gw_json_next(j, &t) == GW_JSON_END);
    CHECK(gw_json_next(j, &t) == GW_JSON_END);
    CHECK(gw_json_error(j, NULL) == GW_OK);
}

static void test_skip_container(void)
{
    struct gw_json_tok t;

    gw_json_start(j, GW_SPAN("{\"a\":{\"x\":[1,{}]},\"b\":2}"), NULL);
    gw_json_next(j, &t);
    gw_json_next(j, &t);
    CHECK(gw_json_skip(j, &t));
    CHECK(gw_json_next(j, &t) == GW_JSON_OBJECT_BEGIN && gw_json_skip(j, &t));
    CHECK(gw_json_next(j, &t) == GW_JSON_KEY && gw_span_is(t.raw, "b"));
    CHECK(gw_json_next(j, &t) == GW_JSON_NUMBER);
    gw_json_start(j, GW_SPAN("[[1,}]"), NULL);
    gw_json_next(j, &t);
    CHECK(!gw_json_skip(j, &t) && gw_json_error(j, NULL) == GW_EPARSE);
}

static void test_decode(void)
{
    static const struct {
        const char *raw, *text;
        size_t len;
    } cases[] = {
        {"", "", 0},
        {"plain", "plain", 5},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8},
        {"\\u0041\\u00e9\\u20AC", "A\xC3\xA9\xE2\x82\xAC", 6},
        {"\\ud83d\\uDE00!", "\xF0\x9F\x98\x80!", 5},
        {"a\\u0000b", "a\0b", 3},
        {"\\\\u0041", "\\u0041", 6},
        {"\\uFFFF\\uE000", "\xEF\xBF\xBF\xEE\x80\x80", 6},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_span raw = gw_span_str(cases[i].raw);
        char out[64];

        CHECK(gw_json_decode(raw, out) == cases[i].len && cases[i].len <= raw.len);
        CHECK(memcmp(out, cases[i].text, cases[i].len) == 0);
    }
    CHECK(gw_json_decode((struct gw_span){NULL, 0}, NULL) == 0);
}

static void test_duplicates(void)
{
    static const struct gw_json_limits allow = {.allow_duplicate_keys = true};

    CHECK(run("{\"a\":1,\"b\":2,\"a\":3}") == GW_EPARSE);
    CHECK(run("{\"a\":1,\"\\u0061\":3}") == GW_EPARSE);
    CHECK(run("{\"\\u0061\":1,\"a\":3}") == GW_EPARSE);
    CHECK(run("{\"\\u0061b\\u0063\":1,\"a\\u0062\\u0063\":3}") == GW_EPARSE);
    CHECK(run("{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":3}") == GW_EPARSE);
    CHECK(run("{\"0123456789\":1,\"01234567\\u00389\":3}") == GW_EPARSE);
    CHECK(run("{\"\":1,\"\":3}") == GW_EPARSE);
    CHECK(run("{\"a\":{\"a\":{\"a\":1}},\"A\":[{\"a\":1},{\"a\":2}]}") == GW_OK);
    CHECK(run("{\"o\":{\"a\":1},\"a\":1,\"o\":1}") == GW_EPARSE);
    CHECK(run("{\"a\":{\"b\":1},\"b\":1}") == GW_OK);
    CHECK(run("{\"a\\u0000\":1,\"a\":1}") == GW_OK);
    CHECK(run_limits(GW_SPAN("{\"a\":1,\"a\":3}"), &allow, NULL) == GW_OK);
}

static uint32_t seed = 99;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

/* An object of objects, with keys of 64 words in any spelling; now and then one comes twice, which sets *twice. */
static void random_object(struct gw_buf *b, unsigned depth, bool *twice)
{
    uint64_t used = 0;

    gw_buf_addc(b, '{');
    for (uint32_t i = 0, n = rnd(40); i < n; i++) {
        uint32_t id = rnd(64);
        char word[8];

        while ((used >> id & 1) != 0 && rnd(500) != 0)
            id = rnd(64);
        *twice |= (used >> id & 1) != 0;
        used |= (uint64_t)1 << id;
        snprintf(word, sizeof(word), "k%u", id);
        gw_buf_adds(b, i == 0 ? "\"" : ",\"");
        for (const char *p = word; *p != '\0'; p++)
            if (rnd(5) == 0)
                gw_buf_printf(b, "\\u%04x", (unsigned)*p);
            else
                gw_buf_addc(b, *p);
        gw_buf_adds(b, "\":");
        if (depth < 5 && rnd(6) == 0)
            random_object(b, depth + 1, twice);
        else
            gw_buf_adds(b, rnd(2) == 0 ? "[{\"k1\":1},{\"k1\":2}]" : "0");
    }
    gw_buf_addc(b, '}');
}

static void test_random_duplicates(void)
{
    static const struct gw_json_limits many = {.max_keys = 1000000};
    unsigned n[2] = {0, 0};

    for (unsigned i = 0; i < 400; i++) {
        struct gw_buf b = {0};
        bool twice = false;

        random_object(&b, 0, &twice);
        CHECK(run_limits(gw_buf_span(&b), &many, NULL) == (twice ? GW_EPARSE : GW_OK));
        n[twice]++;
        gw_buf_fini(&b);
    }
    CHECK(n[0] > 50 && n[1] > 50);
}

static void test_limits(void)
{
    struct gw_json_limits l = {.max_depth = 3, .max_keys = 4};
    char deep[300];

    CHECK(run_limits(GW_SPAN("[[[1]]]"), &l, NULL) == GW_OK);
    CHECK(run_limits(GW_SPAN("[[[[1]]]]"), &l, NULL) == GW_ELIMIT);
    CHECK(run_limits(GW_SPAN("{\"a\":1,\"b\":{\"c\":1,\"d\":1}}"), &l, NULL) == GW_OK);
    CHECK(run_limits(GW_SPAN("{\"a\":1,\"b\":{\"c\":1,\"d\":1},\"e\":1}"), &l, NULL) == GW_ELIMIT);
    memset(deep, '[', 64);
    memset(deep + 64, ']', 64);
    CHECK(run_limits((struct gw_span){deep, 128}, NULL, NULL) == GW_OK);
    memset(deep, '[', 65);
    memset(deep + 65, ']', 65);
    CHECK(run_limits((struct gw_span){deep, 130}, NULL, NULL) == GW_ELIMIT);
}

static void test_errors(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "line 1, column 1: the text ends where a value"},
        {"{\n  \"\xC3\xA9\": x}", "line 2, column 8: a value must stand"},
        {"[1\n,2\n,]", "line 3, column 2: a value"},
        {"[\"a\tb\"]", "line 1, column 4: a control character"},
        {"[\"a\\x\"]", "line 1, column 4: not an escape"},
        {"[\"\\ud800\"]", "line 1, column 3: an escaped surrogate"},
        {"[\"\xFF\"]", "line 1, column 3: not valid UTF-8"},
        {"[\"abc", "line 1, column 6: the text ends inside a string"},
        {"1 2", "line 1, column 3: something follows"},
        {"{\"k\" 1}", "line 1, column 6: ':'"},
        {"{\"k\":1 \"l\"}", "line 1, column 8: ',' or '}'"},
        {"[1}", "line 1, column 3: ',' or ']'"},
        {"{1}", "line 1, column 2: a key"},
        {"{\"a\":1,}", "line 1, column 8: a key"},
    };
    struct gw_err err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        err.text[0] = '\0';
        CHECK(run_limits(gw_span_str(cases[i].text), NULL, &err) == GW_EPARSE);
        if (!CHECK(strstr(err.text, cases[i].says) != NULL))
            fprintf(stderr, "  %s\n", err.text);
    }
}

static void test_utf8(void)
{
    static const struct {
        const char *bytes;
        bool good;
    } cases[] = {
        {"\x7F", true},
        {"\xC2\x80", true},
        {"\xDF\xBF", true},
        {"\xE0\xA0\x80", true},
        {"\xED\x9F\xBF", true},
        {"\xEE\x80\x80", true},
        {"\xEF\xBF\xBF", true},
        {"\xF0\x90\x80\x80", true},
        {"\xF4\x8F\xBF\xBF", true},
        {"\x80", false},
        {"\xC0\x80", false},
        {"\xC1\xBF", false},
        {"\xE0\x9F\xBF", false},
        {"\xED\xA0\x80", false},
        {"\xED\xBF\xBF", false},
        {"\xF0\x8F\xBF\xBF", false},
        {"\xF4\x90\x80\x80", false},
        {"\xF5\x80\x80\x80", false},
        {"\xC3", false},
        {"\xE2\x82", false},
        {"\xF0\x9F\x98", false},
        {"\xC3(", false},
        {"\xE2\x82(", false},
        {"\xFE", false},
    };

    /* Behind 0 to 9 plain bytes, so that each lands at every place of the eight-byte step. */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int pad = 0; pad < 10; pad++) {
            char text[64];
            int n = snprintf(text, sizeof(text), "\"%.*s%sabcdefghij\"", pad, "0123456789",
                             cases[i].bytes);

            CHECK((run_limits((struct gw_span){text, (size_t)n}, NULL, NULL) == GW_OK) ==
                  cases[i].good);
        }
    }
    for (int c = 0; c < 256; c++) {
        for (int pad = 0; pad < 10; pad++) {
            char text[32] = "\"aaaaaaaaaaaaaaaaaaaa\"";

            text[1 + pad] = (char)c;
            CHECK((run_limits((struct gw_span){text, 22}, NULL, NULL) == GW_OK) ==
                  (c >= 0x20 && c < 0x80 && c != '"' && c != '\\'));
        }
    }
}

/* Names of y_ files that our own limits refuse, each with the reason. */
static const char *refused_on_purpose(const char *name)
{
    static const struct {
        const char *name, *why;
    } list[] = {
        {"y_object_duplicated_key.json", "duplicate keys: which one counts is a parser's choice"},
        {"y_object_duplicated_key_and_value.json", "duplicate keys, even with equal values"},
    };

    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (strcmp(list[i].name, name) == 0)
            return list[i].why;
    return NULL;
}

static void check_suite_file(const char *name)
{
    char path[512];
    FILE *f;
    char *data = malloc(1 << 20);
    struct gw_span text = {data, 0};
    enum gw_status st;

    snprintf(path, sizeof(path), SUITE "/%s", name);
    f = fopen(path, "rb");
    if (!CHECK(f != NULL && data != NULL))
        exit(1);
    text.len = fread(data, 1, 1 << 20, f);
    fclose(f);
    st = run_limits(text, NULL, NULL);
    if (name[0] == 'y' && !CHECK((st == GW_OK) == (refused_on_purpose(name) == NULL)))
        fprintf(stderr, "  %s\n", name);
    if (name[0] == 'n' && !CHECK(st != GW_OK))
        fprintf(stderr, "  %s\n", name);
    same_inside_buffers(text, st, name);
    free(data);
}

static void test_suite(void)
{
    DIR *d = opendir(SUITE);
    unsigned n[128] = {0};

    if (d == NULL) {
        test_skip("JSON parsing suite: " SUITE " is not there");
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strchr("yni", e->d_name[0]) == NULL || strstr(e->d_name, ".json") == NULL)
            continue;
        n[(unsigned char)e->d_name[0] & 127]++;
        check_suite_file(e->d_name);
    }
    closedir(d);
    printf("suite: %u y_, %u n_, %u i_ files\n", n['y'], n['n'], n['i']);
    CHECK(n['y'] >= 90 && n['n'] >= 180 && n['i'] >= 30);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* CPU time for n repetitions of piece inside "[...0]" or a string. */
static double cost(const char *piece, size_t n, const char *open, const char *close)
{
    size_t len = strlen(piece), total = strlen(open) + len * n + strlen(close);
    char *text = malloc(total + 1), *w = text;
    struct gw_json_limits l = {.max_depth = 1u << 30, .max_keys = 1u << 30};
    double t;

    w += snprintf(w, total + 1, "%s", open);
    for (size_t i = 0; i < n; i++, w += len)
        memcpy(w, piece, len);
    memcpy(w, close, strlen(close));
    t = seconds();
    run_limits((struct gw_span){text, total}, &l, NULL);
    t = seconds() - t;
    free(text);
    return t;
}

/* Eight times the input may cost eight times the time; quadratic would be 64, each time. The floor keeps noise of tiny times out,
 * and a machine that stands still for a while does so once. */
static void test_linear(void)
{
    static const struct {
        const char *piece, *open, *close;
    } cases[] = {
        {"a", "\"", "\""}, {"\\u0041", "\"", "\""}, {"\xC3\xA9", "\"", "\""},
        {"[", "", ""},     {"1,", "[", "0]"},       {" ", "[", "]"},
        {"9", "", ""},     {"{\"a\":", "", ""},     {"\\ud800", "\"", "\""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double small = 0, big = 1;

        for (int k = 0; k < 10 && big >= 0.05 + small * 24; k++) {
            small = cost(cases[i].piece, 50000, cases[i].open, cases[i].close);
            big = cost(cases[i].piece, 400000, cases[i].open, cases[i].close);
        }
        if (!CHECK(big < 0.05 + small * 24))
            fprintf(stderr, "  %s: %f then %f s\n", cases[i].piece, small, big);
    }
}

static void test_many_keys(void)
{
    struct gw_json_limits l = {.max_keys = 200000};
    size_t cap = 16u * 100000 + 16;
    char *text = malloc(cap), *w = text;
    double t = seconds();

    *w++ = '{';
    for (int i = 0; i < 100000; i++)
        w += snprintf(w, cap - (size_t)(w - text), "\"k%d\":%d,", i, i & 7);
    memcpy(w - 1, "}", 1);
    CHECK(run_limits((struct gw_span){text, (size_t)(w - text)}, &l, NULL) == GW_OK);
    CHECK(run_limits((struct gw_span){text, (size_t)(w - text)}, NULL, NULL) == GW_ELIMIT);
    memcpy(w - 1, ",\"k77777\":1}", 12);
    CHECK(run_limits((struct gw_span){text, (size_t)(w - text) + 11}, &l, NULL) == GW_EPARSE);
    CHECK(seconds() - t < 20);
    free(text);
}

static unsigned draw(unsigned n)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

/* What passing over a string's bytes gives: the same with SIMD as without, and what a step a byte says. */
static void test_pass(void)
{
    static const char *const parts[] = {"a",           "plain words of a text ",
                                        "\\n",         "\\\"",
                                        "\\\\",        "\\/",
                                        "\\t",         "\\b\\f\\r",
                                        "\\\\\\\\\\n", "\"",
                                        "\\u00e9",     "\\x",
                                        "\\",          "\xC3\xA9",
                                        "\t",          "\x1F",
                                        "\x7F"};
    enum { ROUNDS = 60000, MOST = 300, HARMLESS = 9 };

    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned char text[MOST + 32], *exact;
        size_t len = 0, n = draw(MOST), want = 0;
        unsigned n_parts = draw(8) == 0 ? sizeof(parts) / sizeof(parts[0]) : HARMLESS;
        bool escaped = false, is_escaped[2] = {false, false};

        while (len < n) {
            const char *part = parts[draw(n_parts)];

            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        len -= draw(4) == 0 && len > 0; /* ends inside an escape, too */
        while (want < len && text[want] >= ' ' && text[want] < 0x80 && text[want] != '"') {
            if (text[want] == '\\') {
                if (want + 1 == len || memchr("\"\\/bfnrt", text[want + 1], 8) == NULL)
                    break;
                escaped = true;
                want++;
            }
            want++;
        }
        exact = malloc(len + 1);
        exact = realloc(exact, len > 0 ? len : 1);
        memcpy(exact, text, len);
        CHECK(gw_json_pass_scalar(exact, exact + len, &is_escaped[0]) == exact + want);
        CHECK(is_escaped[0] == escaped);
        if (gw_json_has_avx512()) {
            CHECK(gw_json_pass_avx512(exact, exact + len, &is_escaped[1]) == exact + want);
            CHECK(is_escaped[1] == escaped);
        }
        free(exact);
    }
    if (!gw_json_has_avx512())
        test_skip("no AVX-512 on this machine");
}

int main(void)
{
    j = gw_json_new();
    if (j == NULL)
        return 1;
    test_tokens();
    test_skip_container();
    test_decode();
    test_pass();
    test_duplicates();
    test_random_duplicates();
    test_limits();
    test_errors();
    test_utf8();
    test_suite();
    test_linear();
    test_many_keys();
    gw_json_free(j);
    gw_json_free(NULL);
    return test_done();
}
