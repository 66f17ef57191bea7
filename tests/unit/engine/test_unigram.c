/* tests/unit/engine/test_unigram.c - what SentencePiece makes of texts with a small vocabulary (tests/golden/unigram);
 * room, hostile texts, hostile files. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/buf.h"
#include "engine/charsmap.h"
#include "engine/folder.h"
#include "tests/test.h"
#include "tests/unit/engine/hex.h"
#include "tests/unit/engine/tokenizer_text.h"

#define GOLDEN "tests/golden/unigram"

enum { MAX_IDS = 2048, FIRST = 0, LAST = 2, UNKNOWN = 3, N_SPECIAL = 4 };

static struct gw_buf json_text;

static struct unigram *open_json(struct gw_span text)
{
    struct unigram *u = NULL;
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(open_text(text, NULL, &u, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    return u;
}

/* ---- the golden texts -------------------------------------------------------------------------- */

static bool is_same(const struct unigram *u, struct gw_span text, const int32_t *want, unsigned n)
{
    int32_t ids[MAX_IDS];
    unsigned got = 0;
    bool same;

    if (!CHECK(unigram_encode(u, text, ids, 0, MAX_IDS, &got) == GW_OK))
        return false;
    same = got == n + 2 && ids[0] == FIRST && ids[got - 1] == LAST &&
           memcmp(ids + 1, want, n * sizeof(*want)) == 0;
    if (!same) {
        fprintf(stderr, "\"%.*s\":", (int)text.len, text.ptr);
        for (unsigned i = 0; i < got; i++)
            fprintf(stderr, " %d", ids[i]);
        fprintf(stderr, "\n");
    }
    return same;
}

static void test_golden(const struct unigram *u)
{
    struct gw_buf file = {0};
    unsigned n_texts = 0;
    struct gw_err err;

    if (!CHECK(folder_read(GOLDEN, "texts.txt", 1 << 20, &file, &err) == GW_OK))
        return;
    gw_buf_addc(&file, '\0');
    for (char *line = file.ptr, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        int32_t want[MAX_IDS];
        char text[4096];
        unsigned n = 0;
        size_t len;

        *end = '\0';
        len = take_hex(&line, text, sizeof(text));
        while (*line != '\0')
            want[n++] = (int32_t)strtol(line, &line, 10);
        CHECK(is_same(u, (struct gw_span){text, len}, want, n));
        n_texts++;
    }
    CHECK(n_texts > 100);
    gw_buf_fini(&file);
}

/* ---- pairs and room ------------------------------------------------------------------------------ */

static void test_pairs(const struct unigram *u)
{
    int32_t a[64], b[64], both[64];
    unsigned n_a = 0, n_b = 0, n = 0;

    CHECK(unigram_encode(u, GW_SPAN("the gateway"), a, 0, 64, &n_a) == GW_OK);
    CHECK(unigram_encode(u, GW_SPAN("a \xe2\x98\x83 policy"), b, 0, 64, &n_b) == GW_OK);
    memcpy(both, a, n_a * sizeof(*a));
    CHECK(unigram_encode(u, GW_SPAN("a \xe2\x98\x83 policy"), both, n_a, 64, &n) == GW_OK);
    CHECK(n == n_a + n_b && both[n_a - 1] == LAST && both[n_a] == LAST && both[n - 1] == LAST);
    CHECK(memcmp(both + n_a + 1, b + 1, (n_b - 1) * sizeof(*b)) == 0);
    n = 77;
    for (unsigned max = 2; max < n_a + n_b; max++)
        CHECK(unigram_encode(u, GW_SPAN("a \xe2\x98\x83 policy"), both, n_a, max, &n) == GW_ELIMIT);
    for (unsigned max = 0; max < n_a; max++)
        CHECK(unigram_encode(u, GW_SPAN("the gateway"), both, 0, max, &n) == GW_ELIMIT);
    CHECK(n == 77);
    CHECK(unigram_encode(u, GW_SPAN(""), both, 0, 2, &n) == GW_OK && n == 2);
    CHECK(unigram_encode(u, GW_SPAN("  \n"), both, 0, 2, &n) == GW_OK && n == 2);
}

/* Bytes that are not UTF-8 are unknown characters, and unknown ones that stand together are one token. */
static void test_unknown(const struct unigram *u)
{
    int32_t ids[64], again[64];
    unsigned n = 0, m = 0;

    CHECK(unigram_encode(u, GW_SPAN("a\xff\xc3\xf0\x9f\x98"), ids, 0, 64, &n) == GW_OK);
    CHECK(n >= 3 && ids[n - 2] == UNKNOWN && (n < 4 || ids[n - 3] != UNKNOWN));
    CHECK(unigram_encode(u, GW_SPAN("a\xff"), again, 0, 64, &m) == GW_OK);
    CHECK(n == m && memcmp(ids, again, n * sizeof(*ids)) == 0);
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The bound is loose, quadratic is far off. */
static void test_linear(const struct unigram *u)
{
    static const char *const floods[] = {
        "a",       "the ",     " ", "\xff", "\xe2\x98\x83", "\xef\xb7\xba", "\xe2\x80\x8b",
        "gateway", "e\xcc\x81"};
    const size_t size = 1 << 19;
    const unsigned max = 20u << 20;
    char *text = malloc(size);
    int32_t *ids = calloc(max, sizeof(*ids));

    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        const double begin = seconds();
        unsigned n = 0;

        for (size_t k = 0; k < size; k++)
            text[k] = floods[i][k % strlen(floods[i])];
        CHECK(unigram_encode(u, (struct gw_span){text, size}, ids, 0, max, &n) == GW_OK);
        CHECK(n <= size * unigram_growth(u) + 3);
        CHECK(seconds() - begin < 20);
    }
    /* Few tokens fit: no memory is taken for a long text. */
    CHECK(unigram_encode(u, (struct gw_span){text, size}, ids, 0, 16, &(unsigned){0}) == GW_ELIMIT);
    free(text);
    free(ids);
}

/* ---- files ----------------------------------------------------------------------------------------- */

/* One replacement in the golden tokenizer.json; want is what opening it says. */
static void check_changed(const char *from, const char *to, enum gw_status want)
{
    struct gw_span all = gw_buf_span(&json_text);
    const char *at = memmem(all.ptr, all.len, from, strlen(from));
    struct unigram *u = NULL;
    struct gw_buf b = {0};
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(at != NULL))
        return;
    gw_buf_add(&b, (struct gw_span){all.ptr, (size_t)(at - all.ptr)});
    gw_buf_adds(&b, to);
    gw_buf_add(&b, gw_span_from(all, (size_t)(at - all.ptr) + strlen(from)));
    if (!CHECK(open_text(gw_buf_span(&b), NULL, &u, &err) == want &&
               (want == GW_OK) == (u != NULL)))
        fprintf(stderr, "%s -> %s: %s\n", from, to, err.text);
    unigram_free(u);
    gw_buf_fini(&b);
}

static void test_kinds(void)
{
    check_changed("\"byte_fallback\":false", "\"byte_fallback\":true", GW_EUNSUPPORTED);
    check_changed("\"unk_id\":3", "\"unk_id\":700", GW_EPARSE);
    check_changed("\"unk_id\":3", "\"unk_id\":null", GW_EPARSE);
    check_changed("\"type\":\"Precompiled\"", "\"type\":\"NFKC\"", GW_EUNSUPPORTED);
    check_changed(" {2,}", "x", GW_EUNSUPPORTED);
    check_changed("\"type\":\"Metaspace\"", "\"type\":\"ByteLevel\"", GW_EUNSUPPORTED);
    check_changed("\"prepend_scheme\":\"always\"", "\"prepend_scheme\":\"never\"", GW_EUNSUPPORTED);
    check_changed("[\"<s>\",0.0]", "[\"<x>\",0.0]", GW_EPARSE);
    check_changed("[\"<s>\",0.0]", "[\"<s>\",\"0\"]", GW_EPARSE);
    check_changed("[\"<s>\",0.0]", "[\"<s>\",1e999]", GW_EPARSE);
    check_changed("[\"<s>\",0.0]", "[\"<s>\"]", GW_EPARSE);
    check_changed("[\"<s>\",0.0]", "7", GW_EPARSE);
    check_changed("\"vocab\":[[", "\"vocab\":[],\"x\":[[", GW_EPARSE);
    check_changed("\"vocab\":", "\"x\":", GW_EPARSE);
    check_changed("\"precompiled_charsmap\":\"", "\"precompiled_charsmap\":\"*", GW_EPARSE);
    check_changed("\"precompiled_charsmap\":\"", "\"precompiled_charsmap\":null,\"x\":\"", GW_OK);
}

static void test_cut_files(void)
{
    for (size_t n = 0; n < json_text.len; n += 1 + n / 300) {
        struct unigram *u = NULL;
        char *copy = malloc(n + 1);

        memcpy(copy, json_text.ptr, n);
        CHECK(open_text((struct gw_span){copy, n}, NULL, &u, NULL) != GW_OK && u == NULL);
        free(copy);
    }
}

/* A map with any bytes: nothing is read beyond it, whatever the texts. */
static void test_hostile_maps(void)
{
    struct gw_span all = gw_buf_span(&json_text);
    static const char key[] = "\"precompiled_charsmap\":\"";
    const char *at = memmem(all.ptr, all.len, key, sizeof(key) - 1);
    uint64_t seed = 7;
    size_t len;
    ptrdiff_t n;
    char *bytes;

    if (!CHECK(at != NULL))
        return;
    at += sizeof(key) - 1;
    len = (size_t)((const char *)memchr(at, '"', all.len) - at);
    bytes = malloc(len);
    n = gw_unbase64((struct gw_span){at, len}, bytes, len);
    CHECK(n > 1000);
    for (unsigned i = 0; i < 2000 && n > 0; i++) {
        struct charsmap m = {.units = NULL};
        char *copy = malloc((size_t)n);

        memcpy(copy, bytes, (size_t)n);
        for (unsigned k = 0; k < 1 + i % 20; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            copy[(seed >> 33) % (uint64_t)(n - 1)] = (char)(seed >> 20);
        }
        if (charsmap_init(&m, (struct gw_span){copy, (size_t)n}, NULL) == GW_OK)
            for (struct gw_span text = {all.ptr + (size_t)i * 3, 64}; text.len != 0;) {
                size_t step = 0;

                CHECK(charsmap_next(&m, text, &step).ptr != NULL && step != 0 && step <= text.len);
                text = gw_span_from(text, step);
            }
        charsmap_fini(&m);
        free(copy);
    }
    for (size_t k = 1; k < 64; k++) {
        struct charsmap m = {.units = NULL};

        CHECK(charsmap_init(&m, (struct gw_span){bytes, k}, NULL) == GW_EPARSE);
    }
    free(bytes);
}

int main(void)
{
    struct unigram *u;

    if (!CHECK(folder_read(GOLDEN, "tokenizer.json", 1 << 20, &json_text, NULL) == GW_OK))
        return test_done();
    u = open_json(gw_buf_span(&json_text));
    if (u == NULL)
        return test_done();
    test_golden(u);
    test_pairs(u);
    test_unknown(u);
    test_linear(u);
    test_kinds();
    test_cut_files();
    test_hostile_maps();
    unigram_free(u);
    unigram_free(NULL);
    gw_buf_fini(&json_text);
    return test_done();
}
