/* Unit tests of dlp/regex.c: whole values only, and what cannot be a pattern. */
#include <string.h>

#include "dlp/dlp.h"
#include "tests/test.h"

static bool is(const char *pattern, const char *value)
{
    struct dlp_regex *r = NULL;
    struct gw_err err = {0};
    bool match;

    if (!CHECK(dlp_regex_new(gw_span_str(pattern), &r, &err) == GW_OK)) {
        fprintf(stderr, "  %s: %s\n", pattern, err.text);
        return false;
    }
    match = dlp_regex_is(r, gw_span_str(value));
    dlp_regex_free(r);
    return match;
}

static void test_whole_values(void)
{
    CHECK(is("test-[0-9]+", "test-123"));
    CHECK(!is("test-[0-9]+", "test-123x"));
    CHECK(!is("test-[0-9]+", "a test-123"));
    CHECK(!is("test-[0-9]+", "test-"));
    CHECK(!is("test-[0-9]+", ""));
    CHECK(is("(a|ab)(c|bcd)?", "abcd") && is("(a|ab)(c|bcd)?", "ab") &&
          !is("(a|ab)(c|bcd)?", "abc d"));
    CHECK(is(".*@example\\.(com|org)", "anna@example.org"));
    CHECK(!is(".*@example\\.(com|org)", "anna@example.org.evil"));
    CHECK(is("[a-z]{3,40}[0-9]{2}", "abcdef12"));
}

static void test_long_values(void)
{
    static char text[200000];
    struct dlp_regex *r = NULL;

    memset(text, 'a', sizeof(text));
    CHECK(dlp_regex_new(GW_SPAN("a*b"), &r, NULL) == GW_OK);
    CHECK(!dlp_regex_is(r, (struct gw_span){text, sizeof(text)}));
    text[sizeof(text) - 1] = 'b';
    CHECK(dlp_regex_is(r, (struct gw_span){text, sizeof(text)}));
    dlp_regex_free(r);
}

static void test_refused(void)
{
    static const char *const bad[] = {"", "(", "a{2,1}", "(a)\\1", "[z-a]"};
    static char big[2000];
    struct dlp_regex *r = NULL;
    struct gw_err err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(dlp_regex_new(gw_span_str(bad[i]), &r, &err) != GW_OK && r == NULL);
    memset(big, 'a', sizeof(big));
    CHECK(dlp_regex_new((struct gw_span){big, sizeof(big)}, &r, &err) == GW_ELIMIT);
    dlp_regex_free(NULL);
}

int main(void)
{
    test_whole_values();
    test_long_values();
    test_refused();
    return test_done();
}
