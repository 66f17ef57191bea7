/* tests/unit/dlp/test_scan_walk.c - starts in front of a window of which one stands for others: with findings, with matches that are
 * refused, and with other patterns of the rule in between the same is found as by trying every byte. */
#include "dlp/scan.h"
#include "tests/unit/dlp/rules_help.h"

enum { TEXTS = 30000, MOST = 96, FOUND = 64 };

#define RULE(id, more, patterns)                                                                   \
    "- {id: " id ", title: t, class: pii, severity: low, confidence: 80, " more                    \
    ", patterns: [" patterns "], match: [x]}\n"

static const char text_of_rules[] =
    RULE("plain", "boundary: none", "'[a-c.]{1,20}@[a-c]{1,8}\\.com'")
        RULE("short-ones", "boundary: none, length: [1, 12]", "'[a-c.]{1,20}@[a-c]{1,8}\\.com'")
            RULE("words", "boundary: word", "'[a-c.]{1,20}@[a-c]{1,8}\\.com'")
                RULE("tokens", "boundary: token", "'[a-c.]{1,20}@[a-c]{1,8}\\.com'")
                    RULE("beginning", "boundary: none", "'[bc][a-c.]{1,10}@[a-c]{1,8}\\.com'")
                        RULE("two", "boundary: none, length: [1, 14]",
                             "'[a-c.]{1,20}@[a-c]{1,8}\\.com', '-cab', 'c[abc]{0,3}@b'")
                            RULE("inside", "boundary: none", "'[a-c]{0,6}cab[a-c]{0,2}x'")
                                RULE("inside-short", "boundary: none, length: [1, 6]",
                                     "'[a-c]{0,6}cab[a-c]{0,2}x'")
                                    RULE("pairs", "boundary: none", "'([a-c][a-c]){1,4}@b'")
                                        RULE("alternatives", "boundary: none",
                                             "'([a-c.]{1,9}|@[a-c]{2,9})@[a-c]{1,8}\\.com'")
                                            RULE("reject", "boundary: none, reject: ['*.*@*']",
                                                 "'[a-c.]{1,20}@[a-c]{1,8}\\.com'");

static bool same_findings(struct dlp_scanner *s, struct dlp_rules *r, struct gw_span text,
                          unsigned *n_found)
{
    struct dlp_finding want[FOUND];
    unsigned n = 0;

    CHECK(scan_prepare(s, r) == GW_OK);
    s->every_byte = true;
    CHECK(scan_text(s, r, text, GW_SPAN(""), 0, 1) == GW_OK);
    s->every_byte = false;
    n = s->n_found < FOUND ? s->n_found : FOUND;
    if (n > 0)
        memcpy(want, s->found, n * sizeof(want[0]));
    CHECK(scan_prepare(s, r) == GW_OK);
    CHECK(scan_text(s, r, text, GW_SPAN(""), 0, 1) == GW_OK);
    *n_found += n;
    return s->n_found == n && (n == 0 || memcmp(want, s->found, n * sizeof(want[0])) == 0);
}

static void test_texts(struct dlp_scanner *s, struct dlp_rules *r)
{
    static const char *const parts[] = {"a", "b",  "c",    "abc", "cab", "@", "@",    "@bb.com",
                                        ".", ".c", ".com", " ",   "x",   "-", "-cab", "\n"};
    unsigned n_found = 0;

    for (unsigned i = 0; i < TEXTS; i++) {
        char text[MOST + 8];
        size_t len = 0, n = random_below(MOST);

        while (len < n) {
            const char *part = parts[random_below(sizeof(parts) / sizeof(parts[0]))];

            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        /* One rule alone, too: of all, those that overlap hide each other. */
        s->only_rule = random_below(dlp_rules_count(r) + 1);
        if (!CHECK(same_findings(s, r, (struct gw_span){text, len}, &n_found)))
            fprintf(stderr, "  rule %u: %.*s\n", s->only_rule, (int)len, text);
    }
    s->only_rule = 0;
    CHECK(n_found > TEXTS / 8);
}

/* One start stands for all: a row of bytes in front of each window costs one try. */
static void test_tries(struct dlp_scanner *s, struct dlp_rules *r)
{
    struct dlp_rule_cost costs[16] = {{0}};
    struct gw_span text = GW_SPAN("abcabcabc@bb.com abcabcabc@bb.moc");

    CHECK(dlp_rules_count(r) <= 16 && scan_prepare(s, r) == GW_OK);
    dlp_scanner_measure(s, costs);
    CHECK(scan_text(s, r, text, GW_SPAN(""), 0, 1) == GW_OK);
    dlp_scanner_measure(s, NULL);
    CHECK(costs[0].candidates == 2 && costs[0].matches == 1);
    /* The first match is too long. */
    CHECK(costs[1].candidates > 3);
}

int main(void)
{
    const struct dlp_rules_options options = {.without_examples = true, .without_trial = true};
    const char *path = work_path("walk.yaml");
    struct dlp_scanner *s = dlp_scanner_new();
    struct dlp_rules *r = NULL;
    struct gw_err err;

    write_text(path, text_of_rules);
    if (!CHECK(dlp_rules_open(&path, 1, &options, &r, &err) == GW_OK)) {
        fprintf(stderr, "  %s\n", err.text);
        return test_done();
    }
    test_texts(s, r);
    test_tries(s, r);
    dlp_rules_unref(r);
    dlp_scanner_free(s);
    return test_done();
}
