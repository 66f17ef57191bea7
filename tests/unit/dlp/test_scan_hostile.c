/* Texts made of what rules look for: pieces of names, joints, quotes, values, in any order. With anchors the scanner finds in them what
 * trying every pattern at every byte does, however long the names get and wherever the text is cut. */
#include "dlp/scan.h"
#include "tests/unit/dlp/rules_help.h"

/* The findings of a text are the same with anchors; how many there are. */
static unsigned compare(struct dlp_scanner *s, const struct dlp_rules *r, struct gw_span text)
{
    const struct gw_span none = {NULL, 0};
    struct dlp_finding *want = NULL;
    unsigned n = 0;
    bool same;

    CHECK(scan_prepare(s, r) == GW_OK);
    s->every_byte = true;
    CHECK(scan_text(s, r, text, none, 0, 1) == GW_OK);
    s->every_byte = false;
    n = s->n_found;
    want = malloc((n + 1) * sizeof(*want));
    if (n > 0)
        memcpy(want, s->found, n * sizeof(*want));
    CHECK(scan_prepare(s, r) == GW_OK);
    CHECK(scan_text(s, r, text, none, 0, 1) == GW_OK);
    same = s->n_found == n;
    for (unsigned i = 0; i < n && same; i++)
        same = s->found[i].rule == want[i].rule && s->found[i].start == want[i].start &&
               s->found[i].end == want[i].end && s->found[i].confidence == want[i].confidence;
    if (!CHECK(same))
        fprintf(stderr, "  %u, not %u, of: %.*s\n", s->n_found, n, (int)text.len, text.ptr);
    free(want);
    return n;
}

/* A text of so many pieces, in a block of its own size, so that a sanitizer sees what is read behind it. */
static char *draw_text(const char *const *pieces, unsigned n_pieces, unsigned n, size_t *len)
{
    struct gw_buf b = {NULL, 0, 0, false};
    char *exact;

    for (unsigned i = 0; i < n; i++)
        gw_buf_adds(&b, pieces[random_below(n_pieces)]);
    exact = malloc(b.len);
    memcpy(exact, b.ptr, b.len);
    *len = b.len;
    gw_buf_fini(&b);
    return exact;
}

static void test_names(const struct dlp_rules *r, unsigned rounds)
{
    static const char *const pieces[] = {
        "password",
        "PASSWORD",
        "passwd",
        "pwd",
        "secret",
        "SECRET_TOKEN",
        "token",
        "api_key",
        "API_KEY",
        "apikey",
        "api key",
        "auth",
        "access_key",
        "client-key",
        "user",
        "username",
        "login",
        "account",
        "x.pass",
        "_key",
        "key_id",
        "a",
        "B7",
        "Q",
        "zz9",
        "config.name",
        "the",
        "is",
        "for",
        "my",
        "=",
        "=",
        ":",
        ": ",
        "=>",
        ":=",
        "==",
        " ",
        " ",
        "\n",
        "\t",
        ",",
        ";",
        "\"",
        "'",
        "`",
        "\"",
        ")",
        "]",
        "}",
        ">",
        "<",
        "</",
        "-",
        "_",
        ".",
        "--",
        "|",
        "Zk3-uu71x",
        "Hq7zzL4x",
        "bJ4kR9vQ2mX7tL1nP5wY8cD3",
        "5d2c7a91-3f4e-4b6a-9c8d-0e1f2a3b4c5d",
        "=\n",
        "value=",
        "New ",
        "str(",
        "$",
        "@",
        "\xc3\xa9",
    };
    struct dlp_scanner *s = dlp_scanner_new();
    unsigned n = 0;

    for (unsigned i = 0; i < rounds; i++) {
        size_t len = 0;
        char *text =
            draw_text(pieces, sizeof(pieces) / sizeof(pieces[0]), 1 + random_below(40), &len);

        n += compare(s, r, (struct gw_span){text, len});
        free(text);
    }
    printf("%u texts of names and values, %u findings\n", rounds, n);
    CHECK(n > rounds / 20);
    dlp_scanner_free(s);
}

/* Rows of bytes of which tokens are made, where a word begins at each: what one place says of the bytes behind it holds for the next ones, and no
 * row is given up. */
static void test_rows(const struct dlp_rules *r, unsigned rounds)
{
    enum { LONG = 1 << 17 };
    static const char *const pieces[] = {"=",
                                         "=",
                                         "=-",
                                         "-=",
                                         "A=",
                                         "/+",
                                         " ",
                                         "\"",
                                         "key=",
                                         "========",
                                         "bJ4kR9vQ2mX7",
                                         "=-=-=-=-=-=-=-=-=-=-=-=-=-=-=-=-",
                                         "+/",
                                         "a1=",
                                         "\n",
                                         "==",
                                         "\nsecret=",
                                         " password: ",
                                         "kR9vQ2mX7tL1nP5wY8cD3bJ4zR9+Q2mX7tL1nP5w",
                                         "Zk3-uu71x",
                                         "5d2c7a91",
                                         "\napi_key = \""};
    struct dlp_scanner *s = dlp_scanner_new();
    struct gw_arena *arena = gw_arena_new(1 << 24);
    struct dlp_report report = {.findings = NULL};
    struct dlp_doc *doc = NULL;
    char *row = malloc(LONG);
    unsigned n = 0;

    for (unsigned i = 0; i < rounds; i++) {
        size_t len = 0;
        char *text =
            draw_text(pieces, sizeof(pieces) / sizeof(pieces[0]), 1 + random_below(90), &len);

        n += compare(s, r, (struct gw_span){text, len});
        free(text);
    }
    printf("%u texts of rows, %u findings\n", rounds, n);
    CHECK(n > rounds / 100);
    memset(row, '=', LONG);
    dlp_scanner_free(s); /* one that has seen texts lets more rules sleep */
    s = dlp_scanner_new();
    CHECK(dlp_doc_parse_text(arena, (struct gw_span){row, LONG}, &doc) == GW_OK &&
          dlp_scan(s, r, doc, arena, NULL, &report) == GW_OK);
    free(row);
    gw_arena_free(arena);
    dlp_scanner_free(s);
}

/* Windows that stand close together and lead to the same starts: each start is gone through once, and none is left out. */
static void test_walks(void)
{
    static const char yaml[] = "- id: any-distance\n"
                               "  title: Any distance\n"
                               "  class: secret\n"
                               "  severity: low\n"
                               "  confidence: 50\n"
                               "  patterns:\n"
                               "    - 'x[a-z ]{2,30}qzk'\n"
                               "    - '[xy]{1,3}[a-z]{0,9}qzk'\n"
                               "  boundary: none\n"
                               "  match: ['xaaqzk', 'xqzk']\n"
                               "  no_match: ['a', 'b']\n"
                               "- id: word-distance\n"
                               "  title: The same where a word begins\n"
                               "  class: secret\n"
                               "  severity: low\n"
                               "  confidence: 50\n"
                               "  patterns: ['[ax][a-z ]{1,20}qz[0-9k]']\n"
                               "  boundary: word\n"
                               "  match: ['xaaqzk', 'xaqzk']\n"
                               "  no_match: ['a', 'b']\n";
    static const char *const pieces[] = {"x", "y", "a", " ", "qzk", "qz4", "-", "aa", "zk"};
    const char *const path = work_path("walks.yaml");
    struct dlp_scanner *s = dlp_scanner_new();
    struct dlp_rules *r = NULL;
    struct gw_err err = {GW_OK, ""};
    unsigned n = 0;

    write_text(path, yaml);
    if (!CHECK(dlp_rules_open(&path, 1, &(struct dlp_rules_options){.without_trial = true}, &r,
                              &err) == GW_OK))
        fprintf(stderr, "  %s\n", err.text);
    for (unsigned i = 0; i < 4000 && r != NULL; i++) {
        size_t len = 0;
        char *text =
            draw_text(pieces, sizeof(pieces) / sizeof(pieces[0]), 1 + random_below(60), &len);

        n += compare(s, r, (struct gw_span){text, len});
        free(text);
    }
    CHECK(n > 1000);
    dlp_rules_unref(r);
    dlp_scanner_free(s);
    (void)unlink(path);
    (void)rmdir(work_dir);
}

/* What stands behind the name that a match begins with: in each place the bytes that can, and none of the others. */
static void test_behind_name(void)
{
    static const struct {
        const char *pattern;
        uint32_t max;
        const char *can[BUNDLE_NAME_BYTES], *cannot[BUNDLE_NAME_BYTES];
    } wanted[] = {
        {"(?:key|token)[a-z_]{0,4}[\"']?[:=] ?x",
         9,
         {"\"':=", ":= x", " xa", "a:"},
         {" a", "\"'", "", ""}},
        {"key[a-z]*=[0-9]{2}z", UINT32_MAX, {"=", "09", "09", "z"}, {"k:0", "=a", "z=", "0"}},
        {"key[a-z]*=[0-9]", UINT32_MAX, {"=", "09", "az:", "x"}, {"k:0", "=a", "", ""}},
        {"key[a-z]*(?:=[0-9])?",
         UINT32_MAX,
         {"a=:", "x", "x", "x"},
         {"", "", "", ""}}, /* a name alone */
        {"api[ _]?key: x", 7, {" :", "k ", "ex", "y1"}, {"_a", ":x", ":", ""}},
        {"(?:a{20}|b): y{4}", 20, {":", " ", "y", "y"}, {"ab", "y", " ", " "}},
        {" pw=x", 0, {" ", "p", "w", "="}, {"p", "w", "p", "w"}},
        {"é=x{4}", 0, {"\xc3", "\xa9", "=", "x"}, {"e=", "=", "x", "="}},
    };
    struct gw_arena *arena = gw_arena_new(1 << 20);

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct rx_pattern p = {.root = NULL};
        struct bundle_set set[BUNDLE_NAME_BYTES];
        struct gw_err err;
        bool ok;

        CHECK(rx_parse(arena, gw_span_str(wanted[i].pattern), false, RULEC_BOUNDARY_NONE, &p,
                       &err) == GW_OK);
        ok = rx_behind_name(p.root, set) == wanted[i].max;
        for (unsigned k = 0; k < BUNDLE_NAME_BYTES; k++) {
            for (const char *c = wanted[i].can[k]; *c != '\0'; c++)
                ok = ok && rx_set_has(&set[k], (unsigned char)*c);
            for (const char *c = wanted[i].cannot[k]; *c != '\0'; c++)
                ok = ok && !rx_set_has(&set[k], (unsigned char)*c);
        }
        if (!CHECK(ok))
            fprintf(stderr, "  %s\n", wanted[i].pattern);
    }
    gw_arena_free(arena);
}

int main(void)
{
    test_behind_name();
    test_walks();
    test_rows(dlp_rules_builtin(), TEST_DRAWS(1000));
    test_names(dlp_rules_builtin(), TEST_DRAWS(4000));
    return test_done();
}
