/* The pattern compiler against an independent matcher: random patterns are made as trees of this test's
 * own, printed as pattern text, compiled by the rule compiler, re2c and cc, and compared on random texts
 * with a backtracking matcher that walks the test's tree. */
#include "dlp/prefilter.h"
#include "dlp/rulec_anchor.h"
#include "dlp/rulec_chain.h"
#include "tests/unit/dlp/rules_help.h"

enum { N_PATTERNS = 150, N_TEXTS = 300, MAX_TREE = 64 };

/* ---- the test's own trees --------------------------------------------------------------- */

enum kind { LIT, SET, CAT, ALT, REP };

struct tree {
    enum kind kind;
    const char *text; /* LIT: the bytes; SET: as written in the pattern */
    const char *members;
    int min, max; /* REP; max -1: no bound */
    int kid[3], n_kids;
};

static struct tree nodes[MAX_TREE];
static int n_nodes;

static const struct {
    const char *written, *members;
} sets[] = {
    {"[ab]", "ab"},   {"[a-c]", "abc"},           {"\\d", "0123456789"},
    {"[x_-]", "x_-"}, {"[^a-z\\d]", "-_XY @.\n"}, {".", "abcxX-_@ .019"},
};
static const char *const lits[] = {"a", "b", "X", "ab", "Xa", "-", "@", "0", "key", "é"};

static int make(int depth)
{
    int me = n_nodes++;
    struct tree t = {.kind = LIT};
    unsigned pick = random_below(depth > 3 || n_nodes > MAX_TREE - 16 ? 4 : 9);

    if (pick < 2) {
        t.text = lits[random_below(sizeof(lits) / sizeof(lits[0]))];
    } else if (pick < 4) {
        unsigned s = random_below(sizeof(sets) / sizeof(sets[0]));

        t = (struct tree){.kind = SET, .text = sets[s].written, .members = sets[s].members};
    } else if (pick < 7) {
        t.kind = pick == 6 ? ALT : CAT;
        t.n_kids = 2 + (int)random_below(2);
        for (int i = 0; i < t.n_kids; i++)
            t.kid[i] = make(depth + 1);
    } else {
        static const int counts[][2] = {{0, 1},   {0, -1}, {1, -1},  {2, 2}, {0, 3},
                                        {12, 12}, {9, 14}, {10, -1}, {1, 20}};
        unsigned c = random_below(9);

        t.kind = REP;
        t.min = counts[c][0];
        t.max = counts[c][1];
        t.n_kids = 1;
        t.kid[0] = make(depth + 2);
    }
    nodes[me] = t;
    return me;
}

static void print(struct gw_buf *out, int i)
{
    const struct tree *t = &nodes[i];

    if (t->kind == LIT || t->kind == SET) {
        gw_buf_adds(out, t->kind == LIT && t->text[1] != '\0' ? "(?:" : "");
        gw_buf_adds(out, t->text);
        gw_buf_adds(out, t->kind == LIT && t->text[1] != '\0' ? ")" : "");
        return;
    }
    gw_buf_adds(out, "(?:");
    for (int k = 0; k < t->n_kids; k++) {
        if (k > 0 && t->kind == ALT)
            gw_buf_addc(out, '|');
        print(out, t->kid[k]);
    }
    gw_buf_addc(out, ')');
    if (t->kind == REP && t->max == -1)
        gw_buf_printf(out, "{%d,}", t->min);
    else if (t->kind == REP)
        gw_buf_printf(out, "{%d,%d}", t->min, t->max);
}

/* ---- the independent matcher ------------------------------------------------------------ */

/* ends[k]: the tree can match text[from..k). Filled by trying everything. */
typedef bool ends_t[128];

static bool in_set(const struct tree *t, unsigned char c)
{
    if (c == '\0')
        return false;
    if (strcmp(t->text, "[^a-z\\d]") == 0)
        return !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9');
    if (strcmp(t->text, ".") == 0)
        return c != '\n';
    return strchr(t->members, c) != NULL;
}

static void walk(int i, const char *text, int len, const bool *from, bool *to);

static void walk_repeat(const struct tree *t, const char *text, int len, const bool *from, bool *to)
{
    ends_t now, next;

    memcpy(now, from, sizeof(now));
    memset(to, 0, sizeof(ends_t));
    for (int count = 0; count <= (t->max == -1 ? len + t->min : t->max); count++) {
        if (count >= t->min)
            for (int k = 0; k <= len; k++)
                to[k] = to[k] || now[k];
        memset(next, 0, sizeof(next));
        walk(t->kid[0], text, len, now, next);
        memcpy(now, next, sizeof(now));
    }
}

static void walk(int i, const char *text, int len, const bool *from, bool *to)
{
    const struct tree *t = &nodes[i];
    ends_t now, next;

    memset(to, 0, sizeof(ends_t));
    if (t->kind == LIT || t->kind == SET) {
        int n = t->kind == LIT ? (int)strlen(t->text) : 1;

        for (int k = 0; k + n <= len; k++)
            if (from[k] && (t->kind == LIT ? memcmp(text + k, t->text, (size_t)n) == 0
                                           : in_set(t, (unsigned char)text[k])))
                to[k + n] = true;
        return;
    }
    if (t->kind == REP) {
        walk_repeat(t, text, len, from, to);
        return;
    }
    memcpy(now, from, sizeof(now));
    for (int k = 0; k < t->n_kids; k++) {
        walk(t->kid[k], text, len, now, next);
        if (t->kind == ALT)
            for (int e = 0; e <= len; e++)
                to[e] = to[e] || next[e];
        else
            memcpy(now, next, sizeof(now));
    }
    if (t->kind == CAT)
        memcpy(to, now, sizeof(now));
}

/* The longest match at text; -1: none. */
static int longest(int root, const char *text, int len)
{
    ends_t from = {true}, to;

    walk(root, text, len, from, to);
    for (int k = len; k > 0; k--)
        if (to[k])
            return k;
    return -1;
}

/* ---- the comparison --------------------------------------------------------------------- */

struct subject {
    struct tree nodes[MAX_TREE];
    int n_nodes;
    char *pattern;
};

static struct subject subjects[N_PATTERNS];

/* True when the compiler takes the pattern alone; such patterns are what the test can use. */
static bool compiles(struct gw_arena *arena, const char *text, struct rx_pattern *p,
                     unsigned *refused)
{
    struct rx_chain *chains = NULL;
    struct rulec_anchor *anchors = NULL;
    unsigned n = 0;
    struct gw_err err;
    enum gw_status st = rx_parse(arena, gw_span_str(text), false, RULEC_BOUNDARY_NONE, p, &err);

    if (!CHECK(st == GW_OK))
        fprintf(stderr, "  %s: %s\n", text, err.text);
    if (st == GW_OK && (rx_chains(arena, p, &chains, &n, &err) != GW_OK ||
                        rulec_anchors(arena, p->root, &anchors, &n, &err) != GW_OK)) {
        ++*refused;
        return false;
    }
    return st == GW_OK;
}

static void make_subjects(struct gw_buf *yaml)
{
    struct gw_arena *arena = gw_arena_new((size_t)256 << 20);
    unsigned n = 0, refused = 0;

    while (n < N_PATTERNS && refused < 100000) {
        struct gw_buf text = {NULL, 0, 0, false}, sample = {NULL, 0, 0, false};
        struct rx_pattern p;
        int root = 0;

        n_nodes = 0;
        root = make(0);
        CHECK(root == 0);
        print(&text, root);
        if (compiles(arena, text.ptr, &p, &refused)) {
            draw(&sample, p.root);
            gw_buf_printf(
                yaml,
                "- {id: r%u, title: t, class: pii, severity: low, confidence: 50, boundary: "
                "none, pattern: \"",
                n);
            for (size_t i = 0; i < text.len; i++)
                gw_buf_printf(yaml, text.ptr[i] == '\\' ? "\\\\" : "%c", text.ptr[i]);
            gw_buf_adds(yaml, "\", match_b64: [\"");
            {
                static const char digits[] =
                    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

                for (size_t i = 0; i < sample.len; i += 3) {
                    unsigned v = 0;

                    for (size_t k = 0; k < 3; k++)
                        v = v << 8 | (i + k < sample.len ? (unsigned char)sample.ptr[i + k] : 0u);
                    for (size_t k = 0; k < 4; k++)
                        if (i + k <= sample.len)
                            gw_buf_addc(yaml, digits[v >> (18 - 6 * k) & 63]);
                }
            }
            gw_buf_adds(yaml, "\"]}\n");
            memcpy(subjects[n].nodes, nodes, sizeof(nodes));
            subjects[n].n_nodes = n_nodes;
            subjects[n].pattern = strdup(text.ptr);
            n++;
        }
        gw_buf_fini(&text);
        gw_buf_fini(&sample);
        gw_arena_reset(arena);
    }
    CHECK(n == N_PATTERNS);
    printf("%u random patterns, %u others refused\n", n, refused);
    gw_arena_free(arena);
}

/* A text near what the pattern matches: drawn, then damaged. */
static int make_text(const struct rx_node *root, char *out, int max)
{
    struct gw_buf b = {NULL, 0, 0, false};
    int len = 0;

    if (random_below(4) > 0)
        draw(&b, root);
    for (unsigned i = random_below(12); i > 0; i--)
        gw_buf_addc(&b, "abcxX-_@ .0192key\n"[random_below(18)]);
    if (b.len > 0 && random_below(2) == 0)
        b.ptr[random_below((unsigned)b.len)] = "abcxX-_@ .0192key\n"[random_below(18)];
    len = (int)b.len < max ? (int)b.len : max;
    if (len > 0)
        memcpy(out, b.ptr, (size_t)len);
    gw_buf_fini(&b);
    return len;
}

static void compare(const struct dlp_rules *r)
{
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
    unsigned differ = 0, matched = 0;

    for (unsigned i = 0; i < N_PATTERNS; i++) {
        struct rx_pattern p;
        struct gw_err err;

        memcpy(nodes, subjects[i].nodes, sizeof(nodes));
        n_nodes = subjects[i].n_nodes;
        gw_arena_reset(arena);
        CHECK(rx_parse(arena, gw_span_str(subjects[i].pattern), false, RULEC_BOUNDARY_NONE, &p,
                       &err) == GW_OK);
        for (unsigned k = 0; k < N_TEXTS; k++) {
            char text[120];
            int len = make_text(p.root, text, 110), want = longest(0, text, len);
            /* Exactly as long as the text, so that ASan sees a read behind it; in the middle of
             * nothing, so that no NUL stops it. */
            unsigned char *exact = malloc((size_t)len + 1);
            struct bundle_memo memo[64] = {{NULL, NULL, 0}};
            struct bundle_match m = {.epoch = 1, .memo = memo};

            memcpy(exact + 1, text, (size_t)len);
            bundle_match(r, i, exact + 1, exact + 1 + len, &m);
            matched += m.len > 0;
            if (want != (m.len == 0 ? -1 : (int)m.len) && differ++ < 5)
                fprintf(stderr, "  %s on \"%.*s\": want %d, got %u\n", subjects[i].pattern, len,
                        text, want, m.len);
            free(exact);
        }
    }
    printf("%u of %d texts matched\n", matched, N_PATTERNS * N_TEXTS);
    CHECK(differ == 0);
    CHECK(matched > N_PATTERNS * N_TEXTS / 10);
    gw_arena_free(arena);
}

/* ---- what is refused -------------------------------------------------------------------- */

static const struct {
    const char *pattern, *message; /* NULL: accepted */
} cases[] = {
    {"abc(?=d)", "look-around"},
    {"(?<!a)bcde", "look-around"},
    {"(?P<x>abc)", "unknown group"},
    {"abc\\1", "back-references"},
    {"ab\\bcd", "two ends"},
    {"ab^cd", "two ends"},
    {"\\pLabc", "Unicode classes"},
    {"abc\\x80", "two digits"},
    {"abc\\qd", "unknown escape"},
    {"(abc", "not closed"},
    {"abc)", "without its ("},
    {"[abc", "not closed"},
    {"[c-a]bcd", "backwards"},
    {"[[:alpha:]]abc", "[:names:]"},
    {"[^ä]bcd", "ASCII only"},
    {"*abc", "nothing to repeat"},
    {"abc**", "repeat of a repeat"},
    {"abc{3,2}", "backwards"},
    {"abc{70000}", "above 65536"},
    {"abc\\", "ends with"},
    {"^abc|def", "in a group"},
    {"\xff"
     "abc",
     "not UTF-8"},
    {"", "empty"},
    {"(?:abcd)?", "empty text"},
    {"(?:(?<secret>abc)x)+", "inside a repeat"},
    {"(?<secret>abcd)(?<secret>e)", "more than one"},
    {"abcd(?<secret>)e", "is empty"},
    {"key[a-z]*(?<secret>[a-f]+)", "before (?<secret>"},
    {"key=(?<secret>[a-z]+)[x-z]q", "behind it"},
    {"\\w+", "nothing rare enough"},
    {"[a-z]*key@x", "nothing rare enough"},
    {"(?:[ab]+x[cd]{1,4000}){2,4000}zzz@", "too large"},
    {"[a-z]{1,40}z[-z]{1,4[a-z]{1,40}z[-z]{1,4000}zkey",
     "too large"}, /* of few states, each of many positions */
    {"(?:(?:(?:){60000}){60000}){60000}key", "too large"}, /* of none, and yet endless */
    {"https://[a-z]+\\.office\\.example/hooks/[0-9a-f]{32}@[0-9a-f]{32}/Incoming/of/one/tenant/"
     "[0-9a-f]{32}/and/one/owner",
     NULL}, /* an address may be long */
    {"https://[a-z]+\\.office\\.example/hooks/of/one/tenant/[0-9a-f]{32}/and/of/one/owner/in/the/"
     "department/that/orders/what/is/"
     "printed/in/the/house/on/the/left/side",
     "too many parts"},
    {"key[a-z]{0,40}(?<secret>[a-f]+)", NULL}, /* tried in all lengths */
    {"[\\w.-]{0,40}key=(?<secret>\\S{8,})", NULL},
    {"\\bghp_\\w{36}\\b", NULL},
    {"^(?:abcd|efgh)$", NULL},
    {"abcd\\$", NULL},
    {"abcd\\\\", NULL},
    {"a{,3}bcd", NULL}, /* a literal brace */
    {"(?i)geheim", NULL},
    {"[äöü]{1,3}xyz", NULL},
    {"[\xe4\xb8\x80-\xe9\xbf\xbf]{2,4}xyz", NULL},
};

static void test_refusals(void)
{
    struct gw_arena *arena = gw_arena_new((size_t)256 << 20);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_err err = {GW_OK, ""};
        struct rx_pattern p;
        struct rx_chain *chains = NULL;
        struct rulec_anchor *anchors = NULL;
        unsigned n = 0;
        enum gw_status st =
            rx_parse(arena, gw_span_str(cases[i].pattern), false, RULEC_BOUNDARY_WORD, &p, &err);

        if (st == GW_OK)
            st = rx_chains(arena, &p, &chains, &n, &err);
        if (st == GW_OK)
            st = rulec_anchors(arena, p.root, &anchors, &n, &err);
        if (!CHECK((st == GW_OK) == (cases[i].message == NULL)) ||
            (cases[i].message != NULL && !CHECK(strstr(err.text, cases[i].message) != NULL)))
            fprintf(stderr, "  %s: %s\n", cases[i].pattern, err.text);
        gw_arena_reset(arena);
    }
    gw_arena_free(arena);
}

/* Automata share what they may cost: each takes from it, and one that it does not reach for is refused. */
static void test_work(void)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct rx_pattern p = {.root = NULL};
    struct bundle_set ext;
    struct interp_dfa dfa;
    struct gw_err err;
    uint64_t work = 1000000, before = work;

    CHECK(rx_parse(arena, GW_SPAN("(?:[a-c]x?){1,20}d"), false, RULEC_BOUNDARY_WORD, &p, &err) ==
          GW_OK);
    CHECK(rx_automaton(p.root, arena, &work, &ext, &dfa, &err) == GW_OK);
    CHECK(work > 0 && work < before);
    before -= work;
    work = before - 1;
    CHECK(rx_automaton(p.root, arena, &work, &ext, &dfa, &err) == GW_ELIMIT);
    CHECK(work == 0 && strstr(err.text, "too large") != NULL);
    gw_arena_free(arena);
}

static uint64_t lengths_of(struct gw_arena *arena, struct gw_span pattern)
{
    struct rx_pattern p = {.root = NULL};
    struct gw_err err;

    CHECK(rx_parse(arena, pattern, false, RULEC_BOUNDARY_TOKEN, &p, &err) == GW_OK);
    return rx_lengths(p.root);
}

/* How long a match can be. */
static void test_lengths(void)
{
    const uint64_t more = UINT64_C(1) << 63;
    struct gw_arena *arena = gw_arena_new(1 << 20);

    CHECK(lengths_of(arena, GW_SPAN("[0-9]{3}-?[0-9]{2}-?[0-9]{4}")) == 0xE00);
    CHECK(lengths_of(arena, GW_SPAN("a(?:bc|def|[0-9]{7})?")) == 0x11A);
    CHECK(lengths_of(arena, GW_SPAN("(?<secret>(?:ab){2,3})c")) == 0xA0);
    CHECK(lengths_of(arena, GW_SPAN("[a-z]{61}")) == UINT64_C(1) << 61);
    CHECK(lengths_of(arena, GW_SPAN("[a-z]{62,64}")) == (more | UINT64_C(1) << 62));
    CHECK(lengths_of(arena, GW_SPAN("[a-z]{900}")) == more);
    CHECK(lengths_of(arena, GW_SPAN("x[0-9]+")) == UINT64_MAX << 2);
    CHECK(lengths_of(arena, GW_SPAN("(?:abc)+")) == (0x9249249249249248 | more));
    gw_arena_free(arena);
}

/* The first places of a match: what stands there, what the boundary allows behind it, and anything further on. */
static void test_heads(void)
{
    struct gw_arena *arena = gw_arena_new(1 << 20);
    struct bundle_set heads[BUNDLE_HEADS][BUNDLE_HEAD_BYTES], *head = heads[0];
    struct rx_pattern p = {.root = NULL};
    struct gw_err err;

    CHECK(rx_parse(arena, GW_SPAN("a[0-9]{1,2}(?:x|yz)?"), false, RULEC_BOUNDARY_WORD, &p, &err) ==
          GW_OK);
    CHECK(rx_heads(p.root, p.after, heads) == 1);
    CHECK(rx_set_has(&head[0], 'a') && !rx_set_has(&head[0], '1') && !rx_set_has(&head[0], 0));
    CHECK(rx_set_has(&head[1], '7') && !rx_set_has(&head[1], 'x') && !rx_set_has(&head[1], ' '));
    CHECK(rx_set_has(&head[2], '7') && rx_set_has(&head[2], 'x') && rx_set_has(&head[2], 'y'));
    CHECK(rx_set_has(&head[2], ' ') && rx_set_has(&head[2], 0) && !rx_set_has(&head[2], 'z'));
    CHECK(rx_set_has(&head[3], 'q')); /* a match may be over */
    CHECK(rx_parse(arena, GW_SPAN("^(?:ab)+\\."), false, RULEC_BOUNDARY_LINE, &p, &err) == GW_OK);
    CHECK(rx_heads(p.root, p.after, heads) == 1);
    CHECK(rx_set_has(&head[2], 'a') && rx_set_has(&head[2], '.') && !rx_set_has(&head[2], 'b'));
    CHECK(rx_set_has(&head[3], 'b') && rx_set_has(&head[3], '\n') && !rx_set_has(&head[3], ' '));
    /* Alternatives have a head each; of nine, neighbours share one. */
    /* Of a number, those of each length. */
    CHECK(rx_parse(arena, GW_SPAN("[0-9]{3}-?[0-9]{2}(?<secret>-?[0-9]{4})"), false,
                   RULEC_BOUNDARY_TOKEN, &p, &err) == GW_OK);
    CHECK(rx_heads(p.root, p.after, heads) == 3);
    for (unsigned i = 0; i < 9; i++)
        CHECK(rx_set_has(&heads[0][i], '5') && !rx_set_has(&heads[0][i], '-') &&
              rx_set_has(&heads[2][i], '-') == (i == 3 || i == 6) &&
              rx_set_has(&heads[2][i], '5') == (i != 3 && i != 6) &&
              rx_set_has(&heads[1][i], '-') == (i == 3 || i == 5));
    for (unsigned i = 0; i < 3; i++)
        CHECK(!rx_set_has(&heads[i][9 + i], '5') && rx_set_has(&heads[i][9 + i], ' ') &&
              rx_set_has(&heads[i][9 + i], 0) && rx_set_has(&heads[i][10 + i], '5'));
    /* And of each alternative that it begins with: no four digits in front of a point. */
    CHECK(rx_parse(arena, GW_SPAN("(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\\.[0-9]{1,5}){3}"), false,
                   RULEC_BOUNDARY_WORD, &p, &err) == GW_OK);
    CHECK(rx_heads(p.root, p.after, heads) == 5);
    for (unsigned i = 0; i < 5; i++) {
        static const unsigned points[] = {3, 3, 1, 2, 3};

        CHECK(rx_set_has(&heads[i][0], '2') == (i != 4) &&
              rx_set_has(&heads[i][0], '1') == (i > 1));
        for (unsigned k = 1; k <= points[i]; k++)
            CHECK(rx_set_has(&heads[i][k], '.') == (k == points[i]) &&
                  rx_set_has(&heads[i][k], '5') == (k < points[i] && (i != 1 || k != 1)));
    }
    CHECK(rx_parse(arena, GW_SPAN("(?:ab|[0-9]x)z"), false, RULEC_BOUNDARY_WORD, &p, &err) ==
          GW_OK);
    CHECK(rx_heads(p.root, p.after, heads) == 2);
    CHECK(rx_set_has(&heads[0][0], 'a') && !rx_set_has(&heads[0][0], '5'));
    CHECK(rx_set_has(&heads[1][0], '5') && !rx_set_has(&heads[1][0], 'a'));
    CHECK(rx_set_has(&heads[1][1], 'x') && !rx_set_has(&heads[1][1], 'b'));
    CHECK(rx_set_has(&heads[0][2], 'z') && rx_set_has(&heads[1][2], 'z'));
    CHECK(rx_parse(arena, GW_SPAN("(?:a1|b2|c3|d4|e5|f6|g7|h8|i9)"), false, RULEC_BOUNDARY_WORD, &p,
                   &err) == GW_OK);
    CHECK(rx_heads(p.root, p.after, heads) == BUNDLE_HEADS);
    for (const char *c = "abcdefghi"; *c != '\0'; c++) {
        unsigned n = 0;

        for (unsigned k = 0; k < BUNDLE_HEADS; k++)
            n += rx_set_has(&heads[k][0], (unsigned char)*c);
        CHECK(n == 1);
    }
    gw_arena_free(arena);
}

/* What has to be near the beginning of a match, and within how many bytes. */
static void test_needs(void)
{
    static const struct {
        const char *pattern;
        uint32_t need, within;
    } wanted[] = {
        {"[A-Z]{1,3}-?[0-9]{2}", PREFILTER_DIGIT, 5},
        {"[A-Z]{2,4}[0-9]?", 0, 0},                           /* some have no digit */
        {"(?:ab|c){0,2}[0-9x]:", PREFILTER_COLON, 6},         /* the digit may be an x */
        {"[a-z]+:", 0, 0},                                    /* any number of bytes in front */
        {"[a-z0-9]{4}@", PREFILTER_AT, 5},                    /* the seldom one of two */
        {"(?:[0-9]{2}|[a-z]{3}[0-9])=?", PREFILTER_DIGIT, 4}, /* the latest of both */
        {"[0-9]{3,90}", PREFILTER_DIGIT, 1},                  /* the first of many */
        {"(?:[a-z]|[0-9])[0-9]{0,3}[:=]", PREFILTER_COLON | PREFILTER_EQUALS, 5},
        {"[a-z]{70}[0-9]", 0, 0}, /* too far */
    };
    struct gw_arena *arena = gw_arena_new(1 << 20);

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct rx_pattern p = {.root = NULL};
        uint32_t need = 0, within = 0;
        struct gw_err err;

        CHECK(rx_parse(arena, gw_span_str(wanted[i].pattern), false, RULEC_BOUNDARY_WORD, &p,
                       &err) == GW_OK);
        need = rx_need(p.root, &within);
        if (!CHECK(need == wanted[i].need && within == wanted[i].within))
            fprintf(stderr, "  %s: %u within %u\n", wanted[i].pattern, need, within);
    }
    gw_arena_free(arena);
}

int main(void)
{
    struct gw_buf yaml = {NULL, 0, 0, false};
    char path[128];
    const char *const paths[] = {path};
    struct dlp_rules *r = NULL;
    struct gw_err err = {GW_OK, ""};

    test_refusals();
    test_work();
    test_lengths();
    test_heads();
    test_needs();
    make_subjects(&yaml);
    (void)snprintf(path, sizeof(path), "%s", work_path("random.yaml"));
    write_text(path, yaml.ptr);
    if (CHECK(dlp_rules_open(paths, 1, &(struct dlp_rules_options){.without_trial = true}, &r,
                             &err) == GW_OK))
        compare(r);
    dlp_rules_unref(r);
    r = NULL;
    if (have_tools())
        r = build_rules(path, work_path("random.so"));
    else
        test_skip("re2c and cc are needed to compile patterns");
    if (r != NULL)
        compare(r);
    dlp_rules_unref(r);
    gw_buf_fini(&yaml);
    for (unsigned i = 0; i < N_PATTERNS; i++)
        free(subjects[i].pattern);
    (void)unlink(work_path("random.yaml"));
    (void)unlink(work_path("random.so"));
    (void)rmdir(work_dir);
    return test_done();
}
