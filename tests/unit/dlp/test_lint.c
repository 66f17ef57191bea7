/* tests/unit/dlp/test_lint.c - lint has nothing to say about the rules that are built in, and says what it should about others. */
#include "dlp/author.h"
#include "tests/unit/dlp/rules_help.h"

#define HEAD(id)                                                                                   \
    "- id: " id "\n  title: Something of ours\n  class: secret\n  severity: high\n  confidence: "

struct said {
    unsigned n;
    bool print;
    char checks[400]; /* "rule:check " for each */
};

static void note(void *ctx, const struct dlp_lint *l)
{
    struct said *s = ctx;
    size_t have = strlen(s->checks);

    s->n++;
    (void)snprintf(s->checks + have, sizeof(s->checks) - have, "%s:%s ", l->rule, l->check);
    if (s->print)
        fprintf(stderr, "  %s:%u: rule %s: %s: %s\n", l->file, l->line, l->rule, l->check, l->text);
}

static void lint(const char *path, struct said *said)
{
    struct gw_err err = {GW_OK, ""};
    unsigned n_rules = 0;

    if (!CHECK(dlp_rules_lint(&path, 1, note, said, &n_rules, &err) == GW_OK && n_rules > 0))
        fprintf(stderr, "  %s\n", err.text);
}

static void test_builtin(void)
{
    struct said said = {.print = true};

    lint("rules", &said);
    CHECK(said.n == 0);
}

static void test_checks(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {HEAD("a") "80\n  pattern: 'ACMEKEY[0-9]{6}'\n  match: ['ACMEKEY123456']\n"
                   "  no_match: ['ACMEKEY12345']\n",
         ""},
        {HEAD("a") "80\n  pattern: 'ACMEKEY[0-9]{6}'\n  match: ['ACMEKEY123456']\n",
         "a:no-negative "},
        {HEAD("a") "80\n  mode: off\n  pattern: 'ACMEKEY[0-9]{6}'\n  match: ['ACMEKEY123456']\n"
                   "  no_match: ['ACMEKEY12345']\n",
         "a:off "},
        {HEAD("a") "80\n  pattern: '[ -]{0,3}ACMEKEY(?<secret>[0-9]{6})'\n  match: "
                   "['ACMEKEY123456']\n"
                   "  no_match: ['ACMEKEY12345']\n",
         "a:idle-prefix "},
        /* what is reported, and what a line must begin with, is not idle */
        {HEAD("a") "80\n  pattern: '-?ACMEKEY[0-9]{6}'\n  match: ['ACMEKEY123456']\n"
                   "  no_match: ['ACMEKEY12345']\n",
         ""},
        {HEAD("a") "80\n  pattern: '[ -]{0,3}ACMEKEY(?<secret>[0-9]{6})'\n  boundary: line\n"
                   "  match: ['- ACMEKEY123456']\n  no_match: ['ACMEKEY12345']\n",
         ""},
        {HEAD("a") "41\n  pattern: '[a-z]{2,9} (the|and|of|to|in|for|that|is|was|it|as|at|on|by) "
                   "[a-z]+'\n"
                   "  match: ['some of it']\n"
                   "  no_match: ['so']\n",
         "a:wide "},
        {HEAD("a") "60\n  pattern: 'ACMEKEY[0-9]{6}'\n  match: ['ACMEKEY123456']\n"
                   "  no_match: ['ACMEKEY12345']\n" HEAD(
                       "b") "70\n  pattern: 'ACMEKEY[0-9]{6}'\n"
                            "  match: ['ACMEKEY654321']\n  no_match: ['ACMEKEY12345']\n",
         "a:shadowed a:overlap "},
        {HEAD("a") "20\n  pattern: 'ACMEKEY[0-9]{6}'\n  context: { words: [acme], boost: 0 }\n"
                   "  match: ['ACMEKEY123456']\n  no_match: ['ACMEKEY12345']\n",
         "a:no-effect a:never "},
    };
    const char *path = work_path("own.yaml");

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct said said = {.n = 0};

        write_text(path, cases[i].text);
        lint(path, &said);
        if (!CHECK(strcmp(said.checks, cases[i].says) == 0))
            fprintf(stderr, "  case %u says %s\n", i, said.checks);
    }
    CHECK(unlink(path) == 0 && rmdir(work_dir) == 0);
}

int main(void)
{
    test_builtin();
    test_checks();
    return test_done();
}
