/* The tape of a document: what a cursor makes of it, from its beginning and from the middle, against another reader of the body. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "dlp/prefilter.h"
#include "tests/test.h"
#include "tests/unit/dlp/doc_help.h"

static uint32_t seed = 4711;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

/* ---- bodies ------------------------------------------------------------------------------ */

/* depth: of containers around it; inside: JSON strings around it. */
static void random_value(struct gw_buf *b, unsigned depth, unsigned inside)
{
    static const char *const plain[] = {"null",
                                        "true",
                                        "17",
                                        "-1.5e9",
                                        "\"\"",
                                        "\"a\"",
                                        "[]",
                                        "{}",
                                        "[[[]]]",
                                        "\"\\n\\u00e9\"",
                                        "\"[1,2]\"",
                                        "\"{x}\"",
                                        "\"a word or two, and more of them\""};
    uint32_t what = depth > 4 ? 0 : rnd(8);

    if (what < 3) {
        gw_buf_adds(b, plain[rnd(sizeof(plain) / sizeof(plain[0]))]);
    } else if (what < 5) {
        gw_buf_addc(b, '[');
        for (uint32_t i = 0, n = rnd(9); i < n; i++) {
            gw_buf_adds(b, i == 0 ? "" : rnd(3) == 0 ? " ,\n        " : ",");
            random_value(b, depth + 1, inside);
        }
        gw_buf_addc(b, ']');
    } else if (what < 7) {
        gw_buf_addc(b, '{');
        for (uint32_t i = 0, n = rnd(6); i < n; i++) {
            gw_buf_printf(b, "%s\"%sk%u\":", i == 0 ? "" : ",", rnd(9) == 0 ? "\\u0041" : "", i);
            random_value(b, depth + 1, inside);
        }
        gw_buf_addc(b, '}');
    } else if (inside < 4) { /* in a string, now and then with an end that makes it none of JSON */
        struct gw_buf in = {0};

        gw_buf_adds(&in, "[");
        for (uint32_t i = 0, n = rnd(12); i < n; i++) {
            gw_buf_adds(&in, i == 0 ? "" : ",");
            random_value(&in, depth + 1, inside + 1);
        }
        gw_buf_adds(&in, rnd(3) == 0 ? ",]" : "]");
        gw_buf_add_json_str(b, gw_buf_span(&in));
        gw_buf_fini(&in);
    } else {
        gw_buf_adds(b, "0");
    }
}

/* ---- the other reader -------------------------------------------------------------------- */

/* Where it is: "/messages/0" without what follows, for each open container. */
struct reader {
    struct gw_buf path;
    size_t at[100];      /* where the path of each container ends */
    unsigned index[100]; /* of the next element */
    bool object[100];
    unsigned depth;
};

static void begin_value(struct reader *r)
{
    if (r->depth == 0 || r->object[r->depth])
        return;
    r->path.len = r->at[r->depth];
    gw_buf_printf(&r->path, "/%u", r->index[r->depth]++);
}

/* Every leaf of the body itself, in turn, is what the tokenizer says, and its pointer what the way there says. */
static void check_outer(const struct dlp_doc *doc, const struct dlp_leaf *leaves)
{
    struct gw_json *json = gw_json_new();
    struct reader r = {.depth = 0};
    struct gw_buf pointer = {0};
    uint32_t i = 0;

    gw_json_start(json, doc->body, NULL);
    for (;;) {
        struct gw_json_tok t;
        enum gw_json_type type = gw_json_next(json, &t);

        if (type == GW_JSON_END || !CHECK(type != GW_JSON_ERROR))
            break;
        if (type == GW_JSON_OBJECT_END || type == GW_JSON_ARRAY_END) {
            r.depth--;
            continue;
        }
        if (type != GW_JSON_KEY)
            begin_value(&r);
        if (type == GW_JSON_OBJECT_BEGIN || type == GW_JSON_ARRAY_BEGIN) {
            r.depth++;
            r.at[r.depth] = r.path.len;
            r.index[r.depth] = 0;
            r.object[r.depth] = type == GW_JSON_OBJECT_BEGIN;
            continue;
        }
        if (type == GW_JSON_KEY) {
            char key[64];

            r.path.len = r.at[r.depth];
            gw_buf_addc(&r.path, '/');
            gw_buf_add(&r.path, (struct gw_span){key, gw_json_decode(t.raw, key)});
        }
        if (type != GW_JSON_KEY && type != GW_JSON_STRING && type != GW_JSON_NUMBER)
            continue;
        while (i < doc->first_joined && leaves[i].nesting > 0)
            i++;
        if (!CHECK(i < doc->first_joined))
            break;
        gw_buf_clear(&pointer);
        dlp_doc_pointer(doc, i, &pointer);
        CHECK(doc->body.ptr + leaves[i].raw_start == t.raw.ptr &&
              leaves[i].raw_end - leaves[i].raw_start == t.raw.len);
        if (!CHECK(gw_span_eq(gw_buf_span(&pointer), gw_buf_span(&r.path))))
            fprintf(stderr, "  leaf %u: %.*s, not %.*s\n", i, (int)pointer.len, pointer.ptr,
                    (int)r.path.len, r.path.ptr);
        i++;
    }
    while (i < doc->first_joined && leaves[i].nesting > 0)
        i++;
    CHECK(i == doc->first_joined);
    gw_buf_fini(&pointer);
    gw_buf_fini(&r.path);
    gw_json_free(json);
}

/* ---- checks ------------------------------------------------------------------------------ */

static bool same(const struct dlp_leaf *a, const struct dlp_leaf *b)
{
    return gw_span_eq(a->text, b->text) && gw_span_eq(a->key, b->key) && a->kind == b->kind &&
           a->nesting == b->nesting && a->raw_start == b->raw_start && a->raw_end == b->raw_end;
}

/* From the middle as from the beginning. */
static void check_seek(const struct dlp_doc *doc, const struct dlp_leaf *leaves)
{
    struct dlp_cursor c, d;
    struct dlp_leaf leaf;
    uint32_t n = 0;

    if (!CHECK(dlp_cursor_init(&c, doc, false) && dlp_cursor_init(&d, doc, false)))
        return;
    for (; dlp_cursor_next(&c); n++)
        CHECK(c.leaf == n && dlp_cursor_leaf(&c, &leaf) && same(&leaf, &leaves[n]));
    CHECK(n == doc->first_joined);
    for (unsigned i = 0; i < 300 && n > 0; i++) {
        uint32_t at = rnd(n);

        dlp_cursor_seek(&d, at);
        CHECK(d.leaf == at && dlp_cursor_leaf(&d, &leaf) && same(&leaf, &leaves[at]));
        for (unsigned k = rnd(20); k > 0 && dlp_cursor_next(&d); k--)
            CHECK(dlp_cursor_leaf(&d, &leaf) && same(&leaf, &leaves[d.leaf]));
    }
    dlp_cursor_fini(&c);
    dlp_cursor_fini(&d);
}

/* A leaf of JSON in a string is what that string has at its place. */
static void check_inner(const struct dlp_doc *doc, const struct dlp_leaf *leaves)
{
    uint32_t outer[DLP_MAX_NESTING + 1] = {0};

    for (uint32_t i = 0; i < doc->first_joined; i++) {
        const struct dlp_leaf *l = &leaves[i];

        outer[l->nesting] = i;
        if (l->nesting > 0) {
            const struct dlp_leaf *o = &leaves[outer[l->nesting - 1]];

            CHECK(o->raw_start < l->raw_start && l->raw_end < o->raw_end);
            if (l->raw_end > l->raw_start)
                CHECK(dlp_doc_inner_at(doc, outer[l->nesting - 1], l->raw_start, l->raw_end) == i);
        }
    }
}

static void test_random(void)
{
    unsigned pages = 0, nested = 0;

    for (unsigned i = 0; i < 60; i++) {
        struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
        struct gw_buf body = {0};
        struct dlp_doc *doc;
        struct dlp_leaf *leaves;
        unsigned n;

        gw_buf_adds(&body, "[");
        for (uint32_t k = rnd(60); k > 0; k--) {
            random_value(&body, 0, 0);
            gw_buf_adds(&body, ",");
        }
        gw_buf_adds(&body, "0]");
        if (CHECK(dlp_doc_parse_json(arena, gw_buf_span(&body), NULL, &doc, NULL) == GW_OK) &&
            CHECK((leaves = doc_help_leaves(doc, &n)) != NULL)) {
            check_outer(doc, leaves);
            check_seek(doc, leaves);
            check_inner(doc, leaves);
            pages += doc->n_pages;
            for (unsigned k = 0; k < n; k++)
                nested += leaves[k].nesting > 1;
        }
        gw_buf_fini(&body);
        gw_arena_free(arena);
    }
    CHECK(pages > 100 && nested > 100);
}

/* A text that turns out to be none of JSON when it has filled pages leaves nothing behind. */
static void test_taken_back(void)
{
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
    struct gw_buf body = {0};
    struct dlp_doc *doc;
    struct dlp_leaf *leaves;
    unsigned n;

    gw_buf_adds(&body, "[[\"before\",[\"[");
    for (unsigned i = 0; i < 3000; i++)
        gw_buf_adds(&body, "[{\\\"key\\\":\\\"value\\\"}],");
    gw_buf_adds(&body, "\"],\"[\\\"one\\\"]\",[[]],\"behind\"]]");
    if (CHECK(dlp_doc_parse_json(arena, gw_buf_span(&body), NULL, &doc, NULL) == GW_OK) &&
        CHECK((leaves = doc_help_leaves(doc, &n)) != NULL && n == 5)) {
        CHECK(doc->n_pages == 1);
        CHECK(gw_span_is(leaves[3].text, "one") && leaves[3].nesting == 1);
        CHECK(gw_span_is(leaves[4].text, "behind"));
        check_outer(doc, leaves);
    }
    gw_buf_fini(&body);
    gw_arena_free(arena);
}

static unsigned draw(unsigned n)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

/* What a string says, written elsewhere and in its own place, is what the tokenizer's decoder makes of it. */
static void test_unescape(void)
{
    static const char *const parts[] = {
        "a",       "plain words of a text ", "\\n",         "\\\"",     "\\\\",
        "\\/",     "\\t\\b\\f\\r",           "\\\\\\\\\\n", "\xC3\xA9", "\xE2\x82\xAC",
        "\\u00e9", "\\ud83d\\ude00",         "\\u0000"};
    static size_t (*const variants[])(struct gw_span, char *) = {dlp_map_unescape_scalar,
                                                                 dlp_map_unescape_avx512};
    enum { ROUNDS = 40000, MOST = 300, SHORT = 10 };
    const unsigned n_variants = prefilter_has_avx512() ? 2 : 1;

    for (unsigned round = 0; round < ROUNDS; round++) {
        char text[MOST + 32], want[MOST + 32];
        size_t len = 0, n = draw(MOST), n_want;
        unsigned n_parts = draw(3) == 0 ? sizeof(parts) / sizeof(parts[0]) : SHORT;

        while (len < n) {
            const char *part = parts[draw(n_parts)];

            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        n_want = gw_json_decode((struct gw_span){text, len}, want);
        for (unsigned k = 0; k < n_variants; k++) {
            /* In blocks of their own size, so that a sanitizer sees what is read or written behind them. */
            char *raw = malloc(len > 0 ? len : 1), *out = malloc(len > 0 ? len : 1);

            memcpy(raw, text, len);
            CHECK(variants[k]((struct gw_span){raw, len}, out) == n_want);
            CHECK(memcmp(out, want, n_want) == 0 && memcmp(raw, text, len) == 0);
            CHECK(variants[k]((struct gw_span){raw, len}, raw) == n_want);
            CHECK(memcmp(raw, want, n_want) == 0);
            free(raw);
            free(out);
        }
    }
    if (n_variants == 1)
        test_skip("no AVX-512 on this machine");
}

int main(void)
{
    test_unescape();
    test_random();
    test_taken_back();
    return test_done();
}
