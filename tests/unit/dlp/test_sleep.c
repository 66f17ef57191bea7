/* tests/unit/dlp/test_sleep.c - rules that sleep where no word is near that they require miss nothing: long texts of examples, words of
 * contexts and what looks like them are scanned with and without, at every level. */
#include <stdlib.h>
#include <string.h>

#include "dlp/scan.h"
#include "tests/test.h"

enum { SIZE = 3000, TEXTS = 150, WIDE_AWAKE = 0, IDLE = 1000 };

static uint32_t state = 1;

static uint32_t draw(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
}

struct text {
    char bytes[SIZE];
    size_t len;
};

static void put(struct text *t, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n && t->len < SIZE; i++)
        t->bytes[t->len++] = bytes[i];
}

static void put_joint(struct text *t)
{
    static const char joints[] = " _-.\n,;|:=9Zx";

    put(t, &joints[draw(sizeof(joints) - 1)], 1);
}

/* What somebody would write for the word: in other cases, with other joints, in part. */
static void put_word(struct text *t, const struct bundle_text *word)
{
    uint32_t n = draw(4) == 0 ? draw(word->len + 1) : word->len;

    for (uint32_t i = 0; i < n; i++) {
        char c = word->ptr[i];

        if (c == ' ' && draw(2) == 0) {
            put_joint(t);
            continue;
        }
        if (c >= 'a' && c <= 'z' && draw(8) == 0)
            c = (char)(c - 'a' + 'A');
        put(t, &c, 1);
    }
}

/* Examples of rules that require a word, mostly without it. */
static void make_text(const struct bundle *b, struct text *t)
{
    t->len = 0;
    while (t->len < SIZE) {
        const struct bundle_rule *r = &b->rules[draw(b->n_rules)];
        const struct bundle_context *c;
        uint32_t n = draw(200);

        if (r->n_contexts == 0 || (r->contexts[0].required == 0 && draw(8) != 0))
            continue;
        c = &r->contexts[draw(r->n_contexts)];
        if (c->n_words > 0 && draw(3) != 0)
            put_word(t, &c->words[draw(c->n_words)]);
        put_joint(t);
        for (uint32_t i = 0; i < n; i++)
            put(t, draw(5) == 0 ? " " : ".", 1);
        if (r->n_examples > 0) {
            const struct bundle_text *e = &r->examples[draw(r->n_examples)].text;
            uint32_t from = draw(2) == 0 ? 0 : draw(e->len);

            put(t, e->ptr + from, e->len - from);
        }
        put_joint(t);
    }
}

static bool same(const struct dlp_finding *a, const struct dlp_finding *b)
{
    return a->rule == b->rule && a->start == b->start && a->end == b->end &&
           a->confidence == b->confidence;
}

/* Scans t with s and with awake, in which no rule sleeps. Returns how many findings there are. */
static unsigned check_text(struct dlp_scanner *s, struct dlp_scanner *awake,
                           const struct dlp_rules *r, const struct text *t, struct gw_span key)
{
    /* To the byte, for AddressSanitizer. */
    char *bytes = malloc(t->len);
    const struct gw_span text = {bytes, t->len};

    memcpy(bytes, t->bytes, t->len);
    CHECK(scan_prepare(s, r) == GW_OK && scan_prepare(awake, r) == GW_OK);
    s->awake.n_idle = IDLE;
    memset(s->awake.asked, draw(2) == 0 ? 0xff : (int)draw(256), sizeof(s->awake.asked));
    awake->awake.n_idle = WIDE_AWAKE;
    CHECK(scan_text(s, r, text, key, 0, 0) == GW_OK);
    CHECK(scan_text(awake, r, text, key, 0, 0) == GW_OK);
    CHECK(s->n_found == awake->n_found);
    for (unsigned i = 0; i < s->n_found && i < awake->n_found; i++)
        CHECK(same(&s->found[i], &awake->found[i]));
    free(bytes);
    return s->n_found;
}

/* A key can be a secret: the scanner keeps what words are in it, and not itself. */
static void test_forgets(const struct dlp_rules *r)
{
    static const char key[] = "correct-horse-battery";
    struct dlp_scanner *s = dlp_scanner_new();
    struct gw_buf text = {0};

    while (text.len < SIZE)
        gw_buf_adds(&text, "call 555 010 9999 or ");
    CHECK(scan_prepare(s, r) == GW_OK);
    CHECK(scan_text(s, r, gw_buf_span(&text), gw_span_str(key), 0, 0) == GW_OK);
    CHECK(s->awake.serial == r->serial);
    for (size_t i = 0; i + 8 <= strlen(key); i++)
        CHECK(memmem(s, sizeof(*s), key + i, 8) == NULL);
    gw_buf_fini(&text);
    dlp_scanner_free(s);
}

/* How many findings of any worth there are below a key. */
static unsigned n_below(const struct dlp_rules *r, struct gw_span key)
{
    static const char text[] = "it is 030 901820 and no other";
    struct dlp_scanner *s = dlp_scanner_new();
    unsigned n;

    CHECK(scan_prepare(s, r) == GW_OK);
    CHECK(scan_text(s, r, gw_span_str(text), key, 0, 40) == GW_OK);
    n = s->n_found;
    dlp_scanner_free(s);
    return n;
}

/* Of a long key its last bytes count: every match of every leaf below asks for its words, and an array has as many as one likes. */
static void test_long_keys(const struct dlp_rules *r)
{
    struct gw_buf front = {0}, behind = {0};

    for (unsigned i = 0; i < 1000; i++)
        gw_buf_adds(&front, "urn:");
    gw_buf_adds(&front, "phone");
    gw_buf_adds(&behind, "phone");
    for (unsigned i = 0; i < 1000; i++)
        gw_buf_adds(&behind, ":urn");
    CHECK(n_below(r, gw_span_str("phone")) == 1);
    CHECK(n_below(r, gw_buf_span(&front)) == 1);
    CHECK(n_below(r, gw_buf_span(&behind)) == n_below(r, gw_span_str("urn")));
    CHECK(n_below(r, gw_span_str("urn")) == 0);
    gw_buf_fini(&front);
    gw_buf_fini(&behind);
}

/* Is a sleeper of the rule awake anywhere in a long text of these pieces? */
static bool is_woken(const struct dlp_rules *r, const char *rule, const char *piece)
{
    struct dlp_scanner *s = dlp_scanner_new();
    struct gw_buf text = {0};
    bool woken = false;

    while (text.len < SIZE)
        gw_buf_adds(&text, piece);
    CHECK(scan_prepare(s, r) == GW_OK);
    s->awake.n_idle = IDLE;
    memset(s->awake.asked, 0xff, sizeof(s->awake.asked));
    CHECK(scan_text(s, r, gw_buf_span(&text), (struct gw_span){NULL, 0}, 0, 0) == GW_OK);
    for (unsigned i = 0; i < r->sleep.n; i++)
        for (size_t k = 0; k < SIZE / 64 && strcmp(r->b->rules[r->sleep.of[i].rule].id, rule) == 0;
             k++)
            woken |= (s->awake.blocks[k][i / 64] >> (i % 64) & 1) != 0;
    gw_buf_fini(&text);
    dlp_scanner_free(s);
    return woken;
}

/* The first part of a word of several wakes nobody. */
static void test_whole_words(const struct dlp_rules *r)
{
    CHECK(is_woken(r, "service-key", "SECRET_ACCESS-KEY=0 "));
    CHECK(is_woken(r, "service-key", "secretAccessKeys=0 "));
    CHECK(!is_woken(r, "service-key", "SECRET_ACC-KEY=0 "));
}

int main(void)
{
    static const char *const keys[] = {
        "",
        "phone",
        "content",
        "date_of_birth",
        "a key of more bytes than are looked through for words of a context, and phone",
        "swiftCode"};
    struct dlp_rules *r = dlp_rules_builtin();
    const enum prefilter_level best = prefilter_best();
    struct dlp_scanner *s = dlp_scanner_new(), *awake = dlp_scanner_new();
    unsigned n_found = 0, n_idle = 0;
    struct text t;

    CHECK(r->sleep.n > 50);
    for (unsigned i = 0; i < TEXTS; i++) {
        make_text(r->b, &t);
        for (unsigned level = PREFILTER_SCALAR; level <= (unsigned)best; level++) {
            prefilter_choose(&r->filter, (enum prefilter_level)level);
            for (unsigned k = 0; k < BUNDLE_LONG_TEXTS; k++)
                prefilter_choose(&r->long_filters[k], (enum prefilter_level)level);
            n_found += check_text(s, awake, r, &t, gw_span_str(keys[i % 6]));
            n_idle += s->awake.n_idle;
        }
    }
    test_forgets(r);
    test_long_keys(r);
    test_whole_words(r);
    /* Rules slept, and many did not. */
    CHECK(n_found > 1000 && n_idle > 1000);
    prefilter_choose(&r->filter, best);
    for (unsigned k = 0; k < BUNDLE_LONG_TEXTS; k++)
        prefilter_choose(&r->long_filters[k], best);
    dlp_scanner_free(s);
    dlp_scanner_free(awake);
    return test_done();
}
