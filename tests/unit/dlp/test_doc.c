/* Documents: leaves, maps back to the body, JSON in strings, joined leaves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tests/test.h"
#include "tests/unit/dlp/doc_help.h"

static struct gw_arena *arena;

/* Of the document that was parsed last. */
static struct dlp_leaf *leaves;
static unsigned n_leaves;

static struct dlp_doc *parse(struct gw_span body)
{
    struct dlp_doc *doc = NULL;
    struct gw_err err = {.text = ""};

    if (!CHECK(dlp_doc_parse_json(arena, body, NULL, &doc, &err) == GW_OK)) {
        fprintf(stderr, "  %s\n  %.*s\n", err.text, (int)body.len, body.ptr);
        exit(1);
    }
    leaves = doc_help_all(doc, &n_leaves);
    return doc;
}

static uint32_t find(const char *text, enum dlp_leaf_kind kind)
{
    for (uint32_t i = 0; i < n_leaves; i++)
        if (gw_span_is(leaves[i].text, text) && leaves[i].kind == kind)
            return i;
    return DLP_NONE;
}

static bool pointer_is(const struct dlp_doc *doc, uint32_t leaf, const char *want)
{
    struct gw_buf b = {0};
    bool ok;

    dlp_doc_pointer(doc, leaf, &b);
    ok = gw_span_is(gw_buf_span(&b), want);
    if (!ok)
        fprintf(stderr, "  pointer %s, not %s\n", b.ptr, want);
    gw_buf_fini(&b);
    return ok;
}

static void test_leaves(void)
{
    static const struct {
        const char *text, *key, *pointer, *raw;
        enum dlp_leaf_kind kind;
        unsigned nesting;
    } want[] = {
        {"model", "", "/model", "model", DLP_LEAF_KEY, 0},
        {"gpt", "model", "/model", "gpt", DLP_LEAF_STRING, 0},
        {"n", "", "/n", "n", DLP_LEAF_KEY, 0},
        {"-1.50", "n", "/n", "-1.50", DLP_LEAF_NUMBER, 0},
        {"messages", "", "/messages", "messages", DLP_LEAF_KEY, 0},
        {"role", "messages", "/messages/0/role", "role", DLP_LEAF_KEY, 0},
        {"us\ner", "role", "/messages/0/role", "us\\ner", DLP_LEAF_STRING, 0},
        {"x", "messages", "/messages/2", "x", DLP_LEAF_STRING, 0},
        {"7", "messages", "/messages/3/0", "7", DLP_LEAF_NUMBER, 0},
        {"a b", "", "/*", "a b", DLP_LEAF_KEY, 0},
        {"y", "a b", "/*", "y", DLP_LEAF_STRING, 0},
        {"f", "", "/f", "f", DLP_LEAF_KEY, 0},
        {" {\"k\":[1,\"v\\n\\u0041\"]}", "f", "/f", " {\\\"k\\\":[1,\\\"v\\\\n\\\\u0041\\\"]}",
         DLP_LEAF_STRING, 0},
        {"k", "f", "/f/k", "k", DLP_LEAF_KEY, 1},
        {"1", "k", "/f/k/0", "1", DLP_LEAF_NUMBER, 1},
        {"v\nA", "k", "/f/k/1", "v\\\\n\\\\u0041", DLP_LEAF_STRING, 1},
    };
    struct gw_span body = gw_span_str(
        "{\"model\":\"gpt\",\"n\":-1.50,\"messages\":[{\"role\":\"us\\ner\"},null,\"x\",[7]],"
        "\"a b\":\"y\",\"f\":\" {\\\"k\\\":[1,\\\"v\\\\n\\\\u0041\\\"]}\"}");
    const struct dlp_doc *doc = parse(body);
    unsigned n = n_leaves;
    const struct dlp_leaf *l = leaves;

    CHECK(n == sizeof(want) / sizeof(want[0]));
    for (unsigned i = 0; i < n && i < sizeof(want) / sizeof(want[0]); i++) {
        bool ok = gw_span_is(l[i].text, want[i].text) && gw_span_is(l[i].key, want[i].key) &&
                  l[i].kind == want[i].kind && l[i].nesting == want[i].nesting &&
                  strlen(want[i].raw) == l[i].raw_end - l[i].raw_start &&
                  memcmp(body.ptr + l[i].raw_start, want[i].raw, strlen(want[i].raw)) == 0;

        CHECK(pointer_is(doc, i, want[i].pointer));
        if (!CHECK(ok))
            fprintf(stderr, "  leaf %u: '%.*s' key '%.*s' raw %u to %u\n", i, (int)l[i].text.len,
                    l[i].text.ptr, (int)l[i].key.len, l[i].key.ptr, l[i].raw_start, l[i].raw_end);
    }
    /* No backslash: not copied. */
    CHECK(l[1].text.ptr == body.ptr + 10);
}

static void test_pointer_hides_data(void)
{
    const struct dlp_doc *doc = parse(gw_span_str(
        "{\"maxTokens_2\":1,\"bob@example.com\":1,\"AKIAIOSFODNN7EXAMPLE\":1,\"x1y2z3\":1,"
        "\"abcdefghijklmnopqrstuvwxyzabcdefghijklmno\":1,\"\":1,\"a/b\":1}"));
    static const char *const want[] = {"/maxTokens_2", "/*", "/*", "/*", "/*", "/*", "/*"};

    for (unsigned i = 0; i < 7; i++)
        CHECK(pointer_is(doc, i * 2, want[i]));
}

static void test_errors(void)
{
    struct dlp_doc *doc = (struct dlp_doc *)arena;
    struct dlp_doc_limits few = {.max_leaves = 3};
    struct gw_err err;

    CHECK(dlp_doc_parse_json(arena, GW_SPAN("{\"a\":1,\"a\":2}"), NULL, &doc, &err) == GW_EPARSE);
    CHECK(dlp_doc_parse_json(arena, GW_SPAN(""), NULL, &doc, &err) == GW_EPARSE);
    CHECK(dlp_doc_parse_json(arena, GW_SPAN("[1,2,3,4]"), &few, &doc, &err) == GW_ELIMIT);
    CHECK(doc == (struct dlp_doc *)arena);
    CHECK(dlp_doc_parse_json(arena, GW_SPAN("[1,2,3]"), &few, &doc, &err) == GW_OK);
    /* A string that only looks like JSON, or holds too much: a string. */
    doc = parse(GW_SPAN("[\"{\\\"a\\\":1,}\",\"[1 2]\",\"{}\",\"[[1\"]"));
    CHECK(doc->first_joined == 4);
    few.max_leaves = 4;
    CHECK(dlp_doc_parse_json(arena, GW_SPAN("[\"[1,2,3,4]\"]"), &few, &doc, &err) == GW_OK);
    CHECK(doc->first_joined == 1);
}

static void test_out_of_memory(void)
{
    static const char text[] =
        "[{\"text\":\"one \\u0041\"},{\"text\":\"two\"},\"{\\\"a\\\":[1]}\"]";

    for (size_t max = 0; max < 16384; max += 16) {
        struct gw_arena *a = gw_arena_new(max);
        struct dlp_doc *doc = NULL;
        enum gw_status st = dlp_doc_parse_json(a, GW_SPAN(text), NULL, &doc, NULL);

        CHECK(st == (doc == NULL ? GW_ENOMEM : GW_OK));
        gw_arena_free(a);
    }
}

/* Every range of every leaf maps to raw bytes that decode to just that text, and back. */
static void check_maps(const struct dlp_doc *doc)
{
    for (uint32_t i = 0; i < doc->first_joined; i++) {
        const struct dlp_leaf *l = &leaves[i];
        uint32_t len = (uint32_t)l->text.len;
        uint32_t step = len > 60 ? len / 37 : 1;

        for (uint32_t s = 0; s <= len; s += step) {
            for (uint32_t e = s; e <= len; e += step) {
                uint32_t rs, re, bs, be;
                char buf[8192], buf2[8192];
                size_t n;

                if ((s < len && (l->text.ptr[s] & 0xC0) == 0x80 &&
                     (unsigned char)l->text.ptr[s] > 127) ||
                    (e < len && (l->text.ptr[e] & 0xC0) == 0x80 &&
                     (unsigned char)l->text.ptr[e] > 127))
                    continue;
                dlp_map_to_body(doc, i, s, e, &rs, &re);
                CHECK(rs >= l->raw_start && re <= l->raw_end && rs <= re);
                if (l->nesting > 1 || re - rs > sizeof(buf))
                    continue;
                n = gw_json_decode((struct gw_span){doc->body.ptr + rs, re - rs}, buf);
                if (l->nesting == 1) {
                    n = gw_json_decode((struct gw_span){buf, n}, buf2);
                    memcpy(buf, buf2, n);
                }
                CHECK(n == e - s && memcmp(buf, l->text.ptr + s, n) == 0);
                dlp_map_from_body(doc, i, rs, re, &bs, &be);
                CHECK(bs == s && be == e);
            }
        }
    }
}

static void test_maps(void)
{
    struct gw_buf b = {0};

    check_maps(parse(GW_SPAN(
        "{\"a\":\"x\\u0041\\ud83d\\ude00\\u00e9\xC3\xA9\\n\\\\\\\"y\",\"b\\u0041\":\"plain\",\"c\":"
        "\"{\\\"k\\\":\\\"\\\\u0041 \\u00e9 \\u005cu0042\\\\\\\\ \\\\ud83d\\\\ude00\\\"}\"}")));
    /* Long ones, past many checkpoints, with escapes at every phase of a checkpoint. */
    gw_buf_adds(&b, "[\"");
    for (int i = 0; i < 300; i++)
        gw_buf_adds(&b, i % 7 == 0   ? "\\ud83d\\ude00"
                        : i % 3 == 0 ? "\\n"
                        : i % 5 == 0 ? "\\u00e9"
                                     : "abc");
    gw_buf_adds(&b, "\",\"{\\\"k\\\":\\\"");
    for (int i = 0; i < 300; i++)
        gw_buf_adds(&b, i % 7 == 0   ? "\\\\ud83d\\\\ude00"
                        : i % 3 == 0 ? "\\\\n"
                        : i % 5 == 0 ? "\\u00e9"
                                     : "abc");
    gw_buf_adds(&b, "\\\"}\"]");
    check_maps(parse(gw_buf_span(&b)));
    gw_buf_fini(&b);
}

static void test_bounds_inside_escape(void)
{
    const struct dlp_doc *doc = parse(GW_SPAN("[\"a\\u00e9b\"]"));
    uint32_t rs, re;

    dlp_map_to_body(doc, 0, 2, 3, &rs, &re); /* the second byte of the two */
    CHECK(rs == 3 && re == 9);
    dlp_map_from_body(doc, 0, 4, 5, &rs, &re); /* inside the escape's spelling */
    CHECK(rs == 1 && re == 3);
}

static void test_nesting_is_bounded(void)
{
    struct gw_buf b = {0}, o = {0};
    const struct dlp_doc *doc;
    unsigned deepest = 0;

    gw_buf_adds(&b, "{\"k\":1}");
    for (int i = 0; i < 6; i++) {
        gw_buf_clear(&o);
        gw_buf_adds(&o, "{\"k\":");
        gw_buf_add_json_str(&o, gw_buf_span(&b));
        gw_buf_adds(&o, "}");
        gw_buf_clear(&b);
        gw_buf_add(&b, gw_buf_span(&o));
    }
    doc = parse(gw_buf_span(&b));
    for (unsigned i = 0; i < n_leaves; i++)
        if (leaves[i].nesting > deepest)
            deepest = leaves[i].nesting;
    CHECK(deepest == DLP_MAX_NESTING);
    check_maps(doc);
    gw_buf_fini(&b);
    gw_buf_fini(&o);
}

static void test_joined(void)
{
    const struct dlp_doc *doc = parse(GW_SPAN(
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"key AKIA"
        "\"},{\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":\"IOSF\\u004fDNN\"}]},"
        "{\"role\":\"user\",\"content\":\"first "
        "part\"},{\"role\":\"user\",\"content\":\"second\"}],"
        "\"stop\":[\"sixteen\",\"letters\"],\"a\":\"alone\"}"));
    uint32_t j = find("key AKIAIOSFODNN", DLP_LEAF_JOINED);
    const struct dlp_joined *way;

    CHECK(find("first partsecond", DLP_LEAF_JOINED) != DLP_NONE);
    CHECK(find("sixteenletters", DLP_LEAF_JOINED) != DLP_NONE);
    CHECK(find("useruseruser", DLP_LEAF_JOINED) != DLP_NONE);
    if (!CHECK(j != DLP_NONE))
        return;
    CHECK(pointer_is(doc, j, "/messages/0/content/0/text"));
    CHECK(gw_span_is(leaves[j].key, "text"));
    way = dlp_doc_joined(doc, j);
    CHECK(way->n_parts == 2 && way->parts[1].at == 8 && way->parts[1].len == 8);
    CHECK(dlp_doc_part_at(way, 0) == 0 && dlp_doc_part_at(way, 7) == 0);
    CHECK(dlp_doc_part_at(way, 8) == 1 && dlp_doc_part_at(way, 15) == 1);
}

/* Long texts: only their ends are joined, cut between characters. */
static void test_joined_window(void)
{
    struct gw_buf b = {0};
    const struct dlp_doc *doc;
    unsigned joined = 0;

    gw_buf_adds(&b, "[");
    for (int i = 0; i < 4; i++) {
        gw_buf_adds(&b, i == 0 ? "\"" : ",\"");
        for (int k = 0; k < (i == 2 ? 5 : 1000); k++)
            gw_buf_adds(&b, "\xE2\x82\xAC");
        gw_buf_adds(&b, i % 2 ? "o\"" : "\"");
    }
    gw_buf_adds(&b, "]");
    doc = parse(gw_buf_span(&b));
    for (unsigned i = doc->first_joined; i < n_leaves; i++, joined++) {
        const struct dlp_joined *s = dlp_doc_joined(doc, i);

        CHECK(s->n_parts == 2 || s->n_parts == 3);
        CHECK(leaves[i].text.len <= 3 * DLP_JOIN_REACH);
        CHECK((leaves[i].text.ptr[0] & 0xC0) != 0x80);
        for (uint32_t p = 0; p < s->n_parts; p++)
            CHECK(memcmp(leaves[i].text.ptr + s->parts[p].at,
                         leaves[s->parts[p].leaf].text.ptr + s->parts[p].start,
                         s->parts[p].len) == 0);
    }
    CHECK(joined == 2);
    gw_buf_fini(&b);
}

/* ---- scanned contains forwarded, from bytes ---------------------------------------------- */

static uint32_t seed = 12345;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static void random_value(struct gw_buf *b, int depth)
{
    static const char *const bits[] = {
        "a", "\\n",  "\\u0041",        "{",        "}", "[", "\\\"", ":",
        ",", "true", "\\ud83d\\ude00", "\xC3\xA9", " ", "1", "\\\\", "null"};
    static const char *const words[] = {"true", "false", "null"};
    uint32_t what = rnd(depth > 4 ? 3 : 6);

    if (what == 0) {
        gw_buf_adds(b, words[rnd(3)]);
    } else if (what == 1) {
        gw_buf_printf(b, "-%u.%ue+%u", rnd(1000), rnd(100), rnd(9));
    } else if (what == 2) {
        gw_buf_addc(b, '"');
        for (uint32_t i = rnd(12); i > 0; i--)
            gw_buf_adds(b, bits[rnd(16)]);
        gw_buf_addc(b, '"');
    } else if (what == 3) { /* JSON in a string */
        struct gw_buf in = {0};

        random_value(&in, depth + 1);
        gw_buf_add_json_str(b, gw_buf_span(&in));
        gw_buf_fini(&in);
    } else {
        gw_buf_addc(b, what == 4 ? '[' : '{');
        for (uint32_t i = 0, n = rnd(4); i < n; i++) {
            gw_buf_adds(b, i == 0 ? " " : " ,\n");
            if (what == 5)
                gw_buf_printf(b, "\"k%u\\u00%02x\" : ", i, 0x20 + rnd(0x5F));
            random_value(b, depth + 1);
        }
        gw_buf_addc(b, what == 4 ? ']' : '}');
    }
}

/* Marks what the leaves cover, then reads the body as JSON says: everything else must be structure. */
static void check_covered(struct gw_span body)
{
    const struct dlp_doc *doc = parse(body);
    char *covered = calloc(1, body.len + 1);
    bool ok = true;
    unsigned n = n_leaves;
    const struct dlp_leaf *l = leaves;

    for (unsigned i = 0; i < n; i++)
        if (l[i].kind != DLP_LEAF_JOINED && l[i].nesting == 0)
            memset(covered + l[i].raw_start, 1, l[i].raw_end - l[i].raw_start);
    for (size_t i = 0; i < body.len; i++) {
        size_t left = body.len - i;

        if (covered[i] || memchr("{}[]:,\" \t\r\n", body.ptr[i], 11) != NULL)
            continue;
        if (left >= 4 &&
            (memcmp(body.ptr + i, "true", 4) == 0 || memcmp(body.ptr + i, "null", 4) == 0))
            i += 3;
        else if (left >= 5 && memcmp(body.ptr + i, "false", 5) == 0)
            i += 4;
        else
            ok = false;
    }
    if (!CHECK(ok))
        fprintf(stderr, "  %.*s\n", (int)body.len, body.ptr);
    check_maps(doc);
    free(covered);
}

static void test_covered(void)
{
    for (int i = 0; i < 1500; i++) {
        struct gw_buf b = {0};

        random_value(&b, 0);
        check_covered(gw_buf_span(&b));
        gw_buf_fini(&b);
        gw_arena_reset(arena);
    }
}

static void test_text(void)
{
    struct dlp_doc *doc;
    unsigned n;
    const struct dlp_leaf *l;

    CHECK(dlp_doc_parse_text(arena, GW_SPAN("q=a\\nb&x=\xFF"), &doc) == GW_OK);
    l = doc_help_all(doc, &n);
    CHECK(n == 1 && l->kind == DLP_LEAF_TEXT && gw_span_is(l->text, "q=a\\nb&x=\xFF"));
    CHECK(l->raw_start == 0 && l->raw_end == 10 && pointer_is(doc, 0, ""));
    CHECK(dlp_doc_parse_text(arena, (struct gw_span){NULL, 0}, &doc) == GW_OK);
}

/* Floods: many leaves, many classes, one character a part. */
static void test_floods(void)
{
    struct gw_buf b = {0};
    const struct dlp_doc *doc;
    unsigned covered = 0;

    gw_buf_adds(&b, "[\"x\"");
    for (int i = 0; i < 100000; i++)
        gw_buf_adds(&b, ",\"y\"");
    gw_buf_adds(&b, "]");
    doc = parse(gw_buf_span(&b));
    CHECK(doc->first_joined == 100001 && n_leaves > 100001);
    for (unsigned i = 100001; i < n_leaves; i++) {
        const struct dlp_joined *w = dlp_doc_joined(doc, i);

        covered += (unsigned)w->text.len - w->known;
    }
    CHECK(covered == 100001);
    gw_buf_clear(&b);
    gw_buf_adds(&b, "[0");
    for (int i = 0; i < 3000; i++)
        gw_buf_printf(&b, ",{\"k%d\":[[\"v\"]]}", i);
    gw_buf_adds(&b, "]");
    doc = parse(gw_buf_span(&b));
    CHECK(n_leaves == 6001);
    gw_buf_clear(&b);
    gw_buf_adds(&b, "[0");
    for (int i = 0; i < 300000; i++)
        gw_buf_adds(&b, ",[]");
    gw_buf_adds(&b, "]");
    doc = parse(gw_buf_span(&b));
    CHECK(n_leaves == 1 && doc->n_pages < 12 && doc->n_states <= doc->n_pages + 1);
    gw_buf_fini(&b);
}

/* More paths than chains are kept for, each of two leaves: each pair is joined. */
static void test_paths(void)
{
    enum { PATHS = 15000 };
    struct gw_buf b = {0};
    const struct dlp_doc *doc;
    unsigned n_pairs = 0, n_leaf;

    gw_buf_adds(&b, "[\"[");
    for (unsigned side = 0; side < 2; side++)
        for (unsigned i = 0; i < PATHS; i++)
            gw_buf_printf(&b, "%s\\\"k%u\\\":\\\"%s%u\\\"%s", i == 0 ? "{" : ",", i,
                          side == 0 ? "left " : " right ", i,
                          i + 1 < PATHS ? ""
                          : side == 0   ? "},"
                                        : "}");
    gw_buf_adds(&b, "]\"]");
    doc = parse(gw_buf_span(&b));
    n_leaf = doc->first_joined;
    CHECK(n_leaf == 4 * PATHS + 1);
    for (unsigned i = n_leaf; i < n_leaves; i++) {
        const struct dlp_joined *w = dlp_doc_joined(doc, i);
        struct gw_buf both = {0};

        if (w->n_parts != 2)
            continue;
        gw_buf_printf(&both, "left %u right %u", (w->parts[0].leaf - 2) / 2,
                      (w->parts[0].leaf - 2) / 2);
        n_pairs += gw_span_eq(w->text, gw_buf_span(&both));
        gw_buf_fini(&both);
    }
    /* Two paths may have one number by chance, once in 300 times; more of them, never. */
    CHECK(n_pairs <= PATHS && n_pairs + 4 >= PATHS);
    gw_buf_fini(&b);
}

/* Bytes of a document for each byte of a body: messages of n bytes, with an escape every few words or without any. */
static double bytes_per_byte(size_t body_len, size_t n, bool escapes)
{
    struct gw_arena *a = gw_arena_new((size_t)256 << 20);
    struct gw_buf body = {NULL, 0, 0, false};
    struct dlp_doc *doc = NULL;
    double per_byte = 0;
    struct gw_err err;

    gw_buf_adds(&body, "{\"model\":\"m\",\"messages\":[");
    while (body.len < body_len) {
        gw_buf_adds(&body, "{\"role\":\"user\",\"content\":\"");
        for (size_t end = body.len + n; body.len < end;)
            gw_buf_adds(&body, escapes ? "some words in a line\\n" : "some words in a line. ");
        gw_buf_adds(&body, "\"},");
    }
    gw_buf_adds(&body, "1]}");
    if (CHECK(dlp_doc_parse_json(a, gw_buf_span(&body), NULL, &doc, &err) == GW_OK))
        per_byte = (double)gw_arena_used(a) / (double)body.len;
    gw_buf_fini(&body);
    gw_arena_free(a);
    return per_byte;
}

/* What is joined and the lists of leaves cost less than the body again where messages are as long as people's; decoded text is one
 * time the body more. */
static void test_memory(void)
{
    static const size_t sizes[] = {100000, 1000000, 10000000};

    for (unsigned i = 0; i < 3; i++) {
        CHECK(bytes_per_byte(sizes[i], 4000, false) < 1);
        CHECK(bytes_per_byte(sizes[i], 4000, true) < 2);
        CHECK(bytes_per_byte(sizes[i], sizes[i], false) < 0.2);
        CHECK(bytes_per_byte(sizes[i], sizes[i], true) < 1.2);
    }
}

int main(void)
{
    arena = gw_arena_new((size_t)256 << 20);
    test_leaves();
    test_pointer_hides_data();
    test_errors();
    test_out_of_memory();
    test_maps();
    test_bounds_inside_escape();
    test_nesting_is_bounded();
    test_joined();
    test_joined_window();
    test_covered();
    test_text();
    test_floods();
    test_paths();
    test_memory();
    gw_arena_free(arena);
    return test_done();
}
