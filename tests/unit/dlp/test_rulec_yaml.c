/* Rule files: what is accepted, and that every error names file, line, rule and what to do. */
#include "dlp/author.h"
#include "dlp/rulec.h"
#include "tests/unit/dlp/rules_help.h"

#define HEAD "- id: r\n  title: t\n  class: pii\n  severity: low\n  confidence: 50\n"
#define RULE HEAD "  pattern: 'abcd'\n  match: ['abcd']\n"

static const struct {
    const char *yaml, *message; /* NULL: accepted */
} cases[] = {
    {RULE, NULL},
    {"# nothing\n", NULL},
    {RULE "  type: X_1\n  flags: i\n  boundary: token\n  length: [4]\n  reject: [x, 'a*']\n", NULL},
    {RULE "  length: [4, 9]\n  validate: [luhn, entropy(3.0), entropy]\n", NULL},
    {RULE "  context: { words: [a b, c], keys: [k], within: 10, boost: -5, required: true }\n",
     NULL},
    {RULE "  match_b64: ['YWJj', 'YWI=', 'YQ==']\n  no_match_b64: ['eA==']\n", NULL},
    {HEAD "  patterns: ['abcd', 'efgh']\n  match: ['abcd']\n", NULL},
    {"id: r\n", "f.yaml:1:1: expected a list"},
    {"- 5\n", "f.yaml:1:3: expected a rule"},
    {"- title: t\n  class: pii\n", "f.yaml:1:3: rule ?: the key id is missing"},
    {"- id: r\n  class: pii\n", "rule r: the key title is missing"},
    {HEAD "  match: ['x']\n", "the key pattern is missing"},
    {HEAD "  pattern: 'abcd'\n", "at least one example"},
    {HEAD "  pattern: 'abcd'\n  no_match: ['x']\n", "at least one example"},
    {RULE "\n" RULE, "f.yaml:9:3: rule r: the id is taken by f.yaml:1"},
    {"- id: R_1\n", "f.yaml:1:7: rule R_1: id: expected at most 64 of"},
    {RULE "  type: lower\n", "f.yaml:8:9: rule r: type: expected"},
    {RULE "  colour: red\n", "f.yaml:8:3: rule r: colour: unknown key"},
    {RULE "  flags: x\n", "the only flag is i"},
    {RULE "  boundary: wide\n", "expected word, token, line or none"},
    {RULE "  length: 5\n", "expected [min] or [min, max]"},
    {RULE "  length: [5, 4]\n", "runs backwards"},
    {RULE "  length: [a]\n", "expected a number from 0 to"},
    {RULE "  validate: [no_such]\n", "no such validator"},
    {RULE "  validate: ['entropy(x)']\n", "does not take that argument"},
    {RULE "  validate: ['luhn(3)']\n", "does not take that argument"},
    {RULE "  validate: ['entropy(3']\n", "expected name or name(argument)"},
    {RULE "  context: [a]\n", "expected { words"},
    {RULE "  context: { within: 5 }\n", "neither words nor keys"},
    {RULE "  context: { words: [a], boost: 500 }\n", "from -100 to 100"},
    {RULE "  context: { words: [a], required: 7 }\n", "expected true or false"},
    {RULE "  reject: ['']\n", "not empty"},
    {RULE "  mode: loud\n", "f.yaml:8:9: rule r: mode: expected enforce, monitor or off"},
    {RULE "  mode: monitor\n  count: 2..\n  steps: { count: 2, boost: +5 }\n", NULL},
    {RULE "  context: [{ words: a, lang: pt-BR, within: [5, 0] }, { keys: b, boost: -5 }]\n", NULL},
    {RULE "  context: []\n", "or up to 16 of them"},
    {RULE "  context: { words: [a], lang: 'x y' }\n", "a language tag"},
    {RULE "  context: { words: [a], within: [1, 2, 3] }\n", "expected N or [before, behind]"},
    {RULE "  context: { words: [a], within: [1, -2] }\n", "from 0 to 2000"},
    {RULE "  near: [{ pattern: 'x+', within: 9, boost: 0, required: true }]\n", NULL},
    {RULE "  near: { within: 9 }\n", "f.yaml:8:9: rule r: near: the key pattern is missing"},
    {RULE "  near: x\n", "expected { pattern:"},
    {RULE "  near: { pattern: [x] }\n", "expected one pattern"},
    {RULE "  validate: [{ luhn: { ok: 1, bad: drop } }, { 'entropy(2)': { bad: -5 } }]\n", NULL},
    {RULE "  validate: [{ luhn: { ok: 1, worse: 2 } }]\n", "worse: unknown key"},
    {RULE "  validate: [{ luhn: 5 }]\n", "expected { name: { ok: N, bad: N } }"},
    {RULE "  validate: [{ lun: { ok: 5 } }]\n", "no such validator"},
    {RULE "  count: 5\n", "expected min..max"},
    {RULE "  count: '..'\n", "expected min..max"},
    {RULE "  count: ..0\n", "expected min..max"},
    {RULE "  count: 5..4\n", "runs backwards"},
    {RULE "  steps: [{ count: 3, boost: 1 }, { count: 3, boost: 2 }]\n", "must rise"},
    {RULE "  steps: [{ count: 1, boost: 1 }]\n", "must rise"},
    {RULE "  steps: [{ count: 2 }]\n", "expected { count: N, boost: N }"},
    {RULE "  reject_lists: [A]\n", "expected a list's name"},
    {RULE "- { list: l, values: [a, 'b*'] }\n", NULL},
    {"- { list: l, values: [a] }\n- { list: l, values: [a] }\n",
     "list l: the name is taken by f.yaml:1"},
    {"- { list: l }\n", "expected { list: name, values: [..] }"},
    {"- { values: [a], list: l }\n", "the key list comes first"},
    {"- { list: l, values: [a], more: b }\n", "more: unknown key"},
    {RULE "  match_b64: ['a!b']\n", "not base64"},
    {RULE "  pattern: 'x'\n", "f.yaml"},
    {"- {id: r, title: t, class: pii, severity: low, confidence: 101, pattern: abcd, match: "
     "[abcd]}",
     "expected a number from 0 to 100"},
    {"- {id: r, title: t, class: nice}", "expected secret, pii"},
    {"- {id: r, title: t, severity: nice}", "expected info, low"},
    {HEAD "  pattern: 'abcd'\n  patterns: ['efgh']\n  match: ['abcd']\n", "keep one"},
};

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
        struct rulec_set set = {.arena = arena};
        struct gw_err err = {GW_OK, ""};
        enum gw_status st = rulec_load_text(&set, gw_span_str(cases[i].yaml), "f.yaml", &err);

        if (!CHECK((st == GW_OK) == (cases[i].message == NULL)) ||
            (cases[i].message != NULL && !CHECK(strstr(err.text, cases[i].message) != NULL)))
            fprintf(stderr, "  case %zu: %s\n", i, err.text);
        gw_arena_free(arena);
    }
}

/* A pattern's error carries its own line. */
static void test_pattern_line(void)
{
    static const char yaml[] =
        HEAD "  patterns:\n    - 'abcd'\n    - 'ab(?=c)d'\n  match: ['abcd']\n";
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct rulec_set set = {.arena = arena};
    struct gw_buf out = {NULL, 0, 0, false};
    struct gw_err err = {GW_OK, ""};

    CHECK(rulec_load_text(&set, GW_SPAN(yaml), "dir/f.yaml", &err) == GW_OK);
    CHECK(rulec_emit(&set, "x", &out, &err) == GW_EPARSE);
    if (!CHECK(strstr(err.text, "dir/f.yaml:8:7: rule r: pattern, column 5: look-around") ==
               err.text))
        fprintf(stderr, "  %s\n", err.text);
    gw_buf_fini(&out);
    gw_arena_free(arena);
}

static void test_values(void)
{
    static const char yaml[] = RULE "  context: { words: [a], within: 33, boost: 7 }\n  length: "
                                    "[3, 9]\n  no_match_b64: ['AGI=']\n";
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct rulec_set set = {.arena = arena};
    struct gw_err err;

    CHECK(rulec_load_text(&set, GW_SPAN(yaml), "f.yaml", &err) == GW_OK && set.n_rules == 1);
    if (set.n_rules == 1) {
        const struct rulec_rule *r = &set.rules[0];

        CHECK(strcmp(r->type, "R") == 0 && r->n_contexts == 1 && r->contexts[0].before == 33 &&
              r->contexts[0].behind == 33 && r->contexts[0].boost == 7 && !r->contexts[0].required);
        CHECK(r->min_len == 3 && r->max_len == 9 && r->boundary == RULEC_BOUNDARY_WORD);
        CHECK(r->n_examples == 2 && r->examples[0].should_match && !r->examples[1].should_match);
        CHECK(r->examples[1].text.len == 2 && memcmp(r->examples[1].text.ptr, "\0b", 2) == 0);
    }
    gw_arena_free(arena);
}

/* A list may be named before it is defined, but not never. */
static void test_lists(void)
{
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct rulec_set set = {.arena = arena};
    struct gw_err err = {GW_OK, ""};

    CHECK(rulec_load_text(&set, GW_SPAN(RULE "  reject_lists: [one, two]\n"), "a.yaml", &err) ==
              GW_OK &&
          rulec_load_text(&set, GW_SPAN("- { list: one, values: [x] }\n"), "b.yaml", &err) ==
              GW_OK);
    CHECK(rulec_check_lists(&set, &err) == GW_EINVAL &&
          strstr(err.text, "a.yaml:8:23: there is no list two") == err.text);
    CHECK(rulec_load_text(&set, GW_SPAN("- { list: two, values: [y, '*z'] }\n"), "b.yaml", &err) ==
              GW_OK &&
          rulec_check_lists(&set, &err) == GW_OK);
    CHECK(set.n_lists == 2 && set.lists[1].n_words == 1 && set.lists[1].n_globs == 1);
    gw_arena_free(arena);
}

/* The schema in the repository is what the tables say now. */
static void test_schema(void)
{
    struct gw_buf out = {NULL, 0, 0, false};
    FILE *f = fopen("docs/rule.schema.json", "re");
    char *text = NULL;

    dlp_rules_schema(&out);
    CHECK(gw_buf_ok(&out) && out.len > 1000);
    text = calloc(1, out.len + 2);
    if (f == NULL)
        test_skip("docs/rule.schema.json is not here: run from the repository's root");
    else if (!CHECK(text != NULL && fread(text, 1, out.len + 1, f) == out.len &&
                    memcmp(text, out.ptr, out.len) == 0))
        fprintf(stderr, "  make it anew: sluice rules schema > docs/rule.schema.json\n");
    if (f != NULL)
        (void)fclose(f);
    free(text);
    gw_buf_fini(&out);
}

static void load(const char *path, enum gw_status want, char digest[65])
{
    struct gw_arena *arena = gw_arena_new((size_t)16 << 20);
    struct rulec_set set = {.arena = arena};
    struct gw_err err = {GW_OK, ""};

    if (!CHECK(rulec_load_paths(&set, &path, 1, &err) == want))
        fprintf(stderr, "  %s\n", err.text);
    if (digest != NULL)
        memcpy(digest, set.digest, 65);
    gw_arena_free(arena);
}

static void test_paths(void)
{
    char a[65] = "", b[65] = "", c[65] = "";

    write_text(work_path("one.yaml"), RULE);
    write_text(work_path("note.txt"), "not a rule");
    load(work_path("one.yaml"), GW_OK, a);
    load(work_dir, GW_OK, b);
    CHECK(strcmp(a, b) == 0 && strlen(a) == 64); /* the same file, whatever the way to it */
    write_text(work_path("one.yaml"), RULE "# changed\n");
    load(work_dir, GW_OK, c);
    CHECK(strcmp(a, c) != 0);
    load(work_path("absent.yaml"), GW_ENOENT, NULL);
    write_text(work_path("one.yaml"), "# nothing\n");
    load(work_path("one.yaml"), GW_EINVAL, NULL);
    (void)unlink(work_path("one.yaml"));
    load(work_dir, GW_ENOENT, NULL);
    (void)unlink(work_path("note.txt"));
    (void)rmdir(work_dir);
}

int main(void)
{
    test_cases();
    test_pattern_line();
    test_values();
    test_lists();
    test_schema();
    test_paths();
    return test_done();
}
