/* Rules of other tools: the TOML reader, foreign patterns in our notation, and whole files, of our own writing. */
#include "proxy/import/import.h"
#include "proxy/import/import_regex.h"
#include "proxy/import/toml.h"
#include "tests/unit/dlp/rules_help.h"

/* ---- TOML ------------------------------------------------------------------------------- */

static const char document[] = "# a comment\n"
                               "title = \"a \\\"b\\\" \\u00e9\\t\" # behind\n"
                               "raw = 'c:\\d'\n"
                               "'quoted key' = 1\n"
                               "many = '''\n"
                               "one\n"
                               "two'' '''\n"
                               "joined = \"\"\"a\\\n"
                               "   b\"\"\"\n"
                               "n = [1_000, -2.5e1, true, [\"x\",], { y = 'z', w.v = 1 }\n"
                               "]\n"
                               "a.b.c = 5\r\n"
                               "[table]\n"
                               "k = false\n"
                               "[[list]]\n"
                               "id = 1\n"
                               "[[list.inner]]\n"
                               "v = 1\n"
                               "[[list]]\n"
                               "id = 2\n";

static enum gw_status parse(struct gw_arena *arena, struct gw_span text, struct toml_node **root,
                            struct gw_err *err)
{
    *err = (struct gw_err){GW_OK, ""};
    return toml_parse(arena, text, "t.toml", root, err);
}

static void test_toml(void)
{
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct toml_node *root = NULL, *n, *list;
    struct gw_err err;

    if (!CHECK(parse(arena, GW_SPAN(document), &root, &err) == GW_OK)) {
        fprintf(stderr, "  %s\n", err.text);
        return;
    }
    CHECK(gw_span_is(toml_get(root, "title")->text, "a \"b\" \xc3\xa9\t"));
    CHECK(gw_span_is(toml_get(root, "raw")->text, "c:\\d"));
    CHECK(toml_get(root, "quoted key")->integer == 1);
    CHECK(gw_span_is(toml_get(root, "many")->text, "one\ntwo'' "));
    CHECK(gw_span_is(toml_get(root, "joined")->text, "ab"));
    n = toml_get(root, "n")->first;
    CHECK(n->integer == 1000 && n->next->kind == TOML_FLOAT && n->next->number < -24.9);
    CHECK(n->next->next->kind == TOML_BOOLEAN && n->next->next->integer == 1);
    CHECK(n->next->next->next->first->text.len == 1);
    CHECK(toml_get(toml_get(n->next->next->next->next, "w"), "v")->integer == 1);
    CHECK(toml_get(toml_get(toml_get(root, "a"), "b"), "c")->integer == 5);
    CHECK(toml_get(toml_get(root, "table"), "k")->integer == 0);
    list = toml_get(root, "list");
    CHECK(list->kind == TOML_ARRAY && list->n_members == 2);
    CHECK(toml_get(list->first, "inner")->first->line == 17 &&
          toml_get(list->last, "id")->integer == 2);
    /* Cut anywhere it is a document or an error, never more than that. */
    for (size_t i = 0; i < sizeof(document); i++)
        (void)parse(arena, (struct gw_span){document, i}, &root, &err);
    gw_arena_free(arena);
}

static void test_toml_errors(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a = 1\na = 2\n", "t.toml:2:4: the key is there twice"},
        {"a = \n", "expected a string, a number"},
        {"a = 2024-01-01\n", "not a number; dates"},
        {"a = 1 2\n", "expected the end of the line"},
        {"a = \"x\n\"\n", "the string does not end"},
        {"a = \"\\q\"\n", "unknown escape"},
        {"a = \"\\ud800\"\n", "unknown escape"},
        {"a = [1 2]\n", "expected , or ]"},
        {"a = {b = 1 c = 2}\n", "expected , or }"},
        {"[a]\n[a]\n", "the table is there twice"},
        {"a = 1\n[a]\n", "no table"},
        {"a = [1]\n[[a]]\n", "no array of tables"},
        {"a = {b = 1}\n[a.c]\n", "no table"},
        {"[a\n", "expected ]"},
        {"= 1\n", "expected a key"},
        {"a = 1__0\n", "expected a string, a number"},
        {"a = tru\n", "expected a string, a number"},
        {"a = truex\n", "expected true or false"},
        {"a = 'x\ty\x01'\n", "a control character"},
        {"\"\"\"a\"\"\" = 1\n", "a key of several lines"},
    };
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
    struct gw_buf deep = {NULL, 0, 0, false};
    struct toml_node *root = NULL;
    struct gw_err err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!CHECK(parse(arena, gw_span_str(cases[i].text), &root, &err) == GW_EPARSE &&
                   strstr(err.text, cases[i].message) != NULL))
            fprintf(stderr, "  case %zu: %s\n", i, err.text);
    gw_buf_adds(&deep, "a = ");
    for (unsigned i = 0; i < 100000; i++)
        gw_buf_addc(&deep, '[');
    CHECK(parse(arena, gw_buf_span(&deep), &root, &err) == GW_ELIMIT);
    gw_buf_fini(&deep);
    gw_arena_free(arena);
}

/* ---- patterns --------------------------------------------------------------------------- */

static const struct {
    const char *from, *want; /* patterns with a blank between them; / i: flags; NULL: refused */
    const char *near, *note; /* or "" */
} patterns[] = {
    {"abc", "abc", "", ""},
    {"(?i)abc", "abc /i", "", ""},
    {"(?i)\\bab(c)\\b", "\\bab(?<secret>c)\\b /i", "", ""},
    {"AB(?i)cd", "AB[cC][dD]", "", ""},
    {"AB(?i:[a-f0]x)", "AB([a-fA-F0][xX])", "", ""},
    {"(?:a|b)(c)(d)", "(a|b)(?<secret>c)(d)", "", ""},
    {"(?P<k>a)b", "(?<secret>a)b", "", ""},
    {"(?x) a b # note\n [ #]", "ab[ #]", "", ""},
    {"x{2,}y{,3}z+?", "x{2,}y{0,3}z+", "", ""},
    {"\\{a}\\x2d[\\x41-C]", "\\{a\\}-[A-C]", "", ""},
    {"[[:alnum:]_-]+", "[A-Za-z0-9_\\-]+", "", ""},
    {"(?s)a.b", "a[\\s\\S]b", "", ""},
    {"[\\w.-]{0,50}?(?:key)=(x+)", "(key)=(?<secret>x+)", "", ""},
    {"key=([a-z]{8})(?:[\\s;]|$)", "key=(?<secret>[a-z]{8})([\\s;]) key=(?<secret>[a-z]{8})$", "",
     ""},
    {"(?:^|[^a-z])key(x)", "([^a-z])key(?<secret>x) ^key(?<secret>x)", "", ""},
    {"\\bfoo\\b bar", "\\bfoo bar", "", "a \\b in the middle was left out"},
    {"\\Afoo\\z", "^foo$", "", ""},
    {"foo(?:.|[\\n\\r]){0,32}?\\b(x{9})", "\\b(?<secret>x{9})", "foo", "a gap became near"},
    {"a(?=b)", NULL, "look-around", ""},
    {"a(?<!b)", NULL, "look-around", ""},
    {"(a)\\1", NULL, "a back-reference", ""},
    {"\\p{L}", NULL, "a class of Unicode", ""},
    {"a\\Bb", NULL, "an assertion that we do not have", ""},
    {"a(^b)c", NULL, "^ or $ in the middle", ""},
    {"(a", NULL, "a group does not end", ""},
    {"a)", NULL, "a ) without its (", ""},
    {"[a", NULL, "a class does not end", ""},
    {"*a", NULL, "a repeat of nothing", ""},
    {"a\\", NULL, "a backslash at the end", ""},
    {"", NULL, "is empty", ""},
};

static void test_patterns(void)
{
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        const struct import_regex_options o = {.split_gap =
                                                   strstr(patterns[i].note, "gap") != NULL};
        struct import_regex out = {.n_patterns = 0};
        struct gw_buf got = {NULL, 0, 0, false}, notes = {NULL, 0, 0, false};
        struct gw_err err = {GW_OK, ""};
        enum gw_status st =
            import_regex(arena, gw_span_str(patterns[i].from), &o, &out, &notes, &err);

        for (unsigned k = 0; k < out.n_patterns; k++)
            gw_buf_printf(&got, "%s%.*s", k == 0 ? "" : " ", (int)out.patterns[k].len,
                          out.patterns[k].ptr);
        gw_buf_adds(&got, out.nocase ? " /i" : "");
        if (patterns[i].want == NULL
                ? !CHECK(st != GW_OK && strstr(err.text, patterns[i].near) != NULL)
                : !CHECK(st == GW_OK && gw_span_is(gw_buf_span(&got), patterns[i].want) &&
                         gw_span_eq(out.near, gw_span_str(patterns[i].near)) &&
                         gw_span_eq(gw_buf_span(&notes), gw_span_str(patterns[i].note))))
            fprintf(stderr, "  %s: %.*s near %.*s, %s\n", patterns[i].from, (int)got.len,
                    got.ptr == NULL ? "" : got.ptr, (int)out.near.len,
                    out.near.ptr == NULL ? "" : out.near.ptr, err.text);
        gw_buf_fini(&got);
        gw_buf_fini(&notes);
    }
    gw_arena_free(arena);
}

static void test_globs(void)
{
    static const struct {
        const char *from, *want;
    } cases[] = {{"example", "example"}, {"^xxx", "xxx*"},      {"xxx$", "*xxx"},
                 {"^a.*b$", "a*b"},      {"a.b", "*a?b*"},      {"\\.png$", "*.png"},
                 {"^exact$", NULL},      {"(a|b)c", NULL},      {"a[bc]d", NULL},
                 {"a\\*b", NULL},        {"(?i)dummy", "dummy"}};
    struct gw_buf glob = {NULL, 0, 0, false};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool ok = import_regex_glob(gw_span_str(cases[i].from), &glob);

        if (!CHECK(ok == (cases[i].want != NULL) &&
                   (!ok || gw_span_is(gw_buf_span(&glob), cases[i].want))))
            fprintf(stderr, "  %s: %.*s\n", cases[i].from, (int)glob.len, glob.ptr);
    }
    gw_buf_fini(&glob);
}

/* ---- files ------------------------------------------------------------------------------ */

static const char gitleaks[] =
    "title = 'mine'\n"
    "[[rules]]\n"
    "id = 'Acme Token'\n"
    "description = \"An ACME token\"\n"
    "regex = '''(?i)[\\w.-]{0,50}?(?:acme)[ =:]{1,5}([a-z0-9]{20})(?:[\\s;]|$)'''\n"
    "entropy = 2\n"
    "keywords = ['acme', 'cloud_']\n"
    "[[rules.allowlists]]\n"
    "regexes = ['^0000', '(a|b)$']\n"
    "stopwords = ['sample']\n"
    "[[rules]]\n"
    "id = 'look'\n"
    "regex = 'token(?=x)'\n"
    "[[rules]]\n"
    "id = 'path'\n"
    "path = '\\.p12$'\n";

static const char noseyparker[] = "rules:\n"
                                  "- name: Beta key\n"
                                  "  id: np.beta.1\n"
                                  "  pattern: |\n"
                                  "    (?x)\\b(beta-[0-9a-f]{16})\\b\n"
                                  "  min_entropy: 1.5\n"
                                  "  confidence: medium\n"
                                  "  examples: ['key beta-0123456789abcdef', 'nothing here']\n"
                                  "  negative_examples: ['beta-01', 'beta-fedcba9876543210']\n"
                                  "- name: Wide\n"
                                  "  id: np.wide.1\n"
                                  "  pattern: '\\w+'\n"
                                  "  examples: [x]\n";

static const char presidio[] = "recognizers:\n"
                               "- name: Badge\n"
                               "  supported_entity: Acme badge\n"
                               "  supported_language: de\n"
                               "  patterns: [{ name: weak, regex: '\\bBG\\d{6}\\b', score: 0.3 }]\n"
                               "  context: [ausweis]\n"
                               "- name: Words\n"
                               "  supported_entity: TITLE\n"
                               "  deny_list: [Dr., Prof.]\n"
                               "- name: CodeRecognizer\n"
                               "  type: predefined\n";

static void note(void *ctx, struct gw_span id, const char *text, const char *reason)
{
    gw_buf_printf(ctx, "%.*s: %s\n", (int)id.len, id.ptr, reason != NULL ? reason : text);
}

/* Imports text, checks the report, that the rules open with their examples, and what they find. */
static void check_import(enum gw_status (*read)(struct import_run *, struct gw_span, const char *,
                                                struct gw_err *),
                         const char *text, unsigned n_carried, const char *report,
                         const char *value, const char *rule)
{
    const char *path = work_path("out.yaml");
    struct gw_buf notes = {NULL, 0, 0, false};
    struct import_run x = {.arena = gw_arena_new((size_t)64 << 20),
                           .scanner = dlp_scanner_new(),
                           .trial = work_path("trial.yaml"),
                           .report = note,
                           .ctx = &notes};
    struct dlp_rules *r = NULL;
    struct dlp_doc *doc = NULL;
    struct dlp_report found = {.findings = NULL};
    struct gw_err err = {GW_OK, ""};

    CHECK(read(&x, gw_span_str(text), "in", &err) == GW_OK && x.n_carried == n_carried);
    if (!CHECK(gw_span_is(gw_buf_span(&notes), report)))
        fprintf(stderr, "  %.*s", (int)notes.len, notes.ptr);
    gw_buf_addc(&x.yaml, '\0');
    write_text(path, x.yaml.ptr);
    if (!CHECK(dlp_rules_open(&path, 1, NULL, &r, &err) == GW_OK)) {
        fprintf(stderr, "  %s\n%s", err.text, x.yaml.ptr);
    } else {
        CHECK(dlp_doc_parse_text(x.arena, gw_span_str(value), &doc) == GW_OK &&
              dlp_scan(x.scanner, r, doc, x.arena, NULL, &found) == GW_OK && found.n_findings == 1);
        CHECK(found.n_findings == 1 &&
              strcmp(dlp_rules_info(r, found.findings[0].rule)->id, rule) == 0);
    }
    (void)unlink(path);
    (void)unlink(x.trial);
    dlp_rules_unref(r);
    dlp_scanner_free(x.scanner);
    gw_arena_free(x.arena);
    gw_buf_fini(&x.yaml);
    gw_buf_fini(&x.notes);
    gw_buf_fini(&notes);
}

static void test_files(void)
{
    check_import(import_gitleaks, gitleaks, 1,
                 "Acme Token: 1 entries of its allowlist were not carried over\n"
                 "look: look-around\n"
                 "path: it judges paths only\n",
                 "acme: 4h7dk2lq9zx0c5v8b1n6 acme: 00004h7dk2lq9zx0c5v8 acme: sample4h7dk2lq9zx0c5",
                 "gitleaks-acme-token");
    check_import(
        import_noseyparker, noseyparker, 1,
        "np.beta.1: 1 of 2 examples are not found; 1 of 2 negative examples are found\n"
        "np.wide.1: pattern: nothing rare enough to search for in its first 256 bytes; add "
        "a literal (a prefix, a word in front) or bound the repeats before one, as in "
        "[\\w.-]{0,40}key\n",
        "beta-00112233445566ff", "np-beta-1");
    check_import(import_presidio, presidio, 2,
                 "Badge: \nWords: \n"
                 "CodeRecognizer: it is code of Presidio: nothing of it stands in the file\n",
                 "Ausweis BG123456", "presidio-badge");
}

static void test_not_theirs(void)
{
    struct import_run x = {.arena = gw_arena_new((size_t)1 << 20), .report = note};
    struct gw_err err;

    CHECK(import_gitleaks(&x, GW_SPAN("a = 1\n"), "f", &err) == GW_EINVAL);
    CHECK(import_gitleaks(&x, GW_SPAN("rules:\n"), "f", &err) == GW_EPARSE);
    CHECK(import_noseyparker(&x, GW_SPAN("a: 1\n"), "f", &err) == GW_EINVAL);
    CHECK(import_presidio(&x, GW_SPAN("[]"), "f", &err) == GW_EINVAL);
    gw_arena_free(x.arena);
}

int main(void)
{
    test_toml();
    test_toml_errors();
    test_patterns();
    test_globs();
    test_files();
    test_not_theirs();
    (void)rmdir(work_dir);
    return test_done();
}
