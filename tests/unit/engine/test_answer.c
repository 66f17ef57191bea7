/* tests/unit/engine/test_answer.c - stop strings and characters across token borders. */
#include <string.h>

#include "engine/answer.h"
#include "tests/test.h"

/* Feeds text in pieces of n bytes. Returns whether a stop string ended it. */
static bool feed(struct gw_span text, size_t n, const struct gw_span *stop, size_t n_stop,
                 bool strip, struct gw_buf *out)
{
    struct answer a;
    bool stopped = false;

    answer_init(&a, stop, n_stop, strip);
    for (size_t i = 0; !stopped && i < text.len; i += n) {
        struct gw_span piece = gw_span_from(text, i);

        if (piece.len > n)
            piece.len = n;
        stopped = answer_add(&a, piece, out);
        CHECK(a.held.len <= a.longest + 3); /* A3 */
    }
    if (!stopped)
        answer_end(&a, out);
    answer_fini(&a);
    return stopped;
}

static void expect(const char *text, const struct gw_span *stop, size_t n_stop, bool strip,
                   const char *want, bool want_stop)
{
    for (size_t n = 1; n <= strlen(text) + 1; n++) {
        struct gw_buf out = {0};
        bool stopped = feed(gw_span_str(text), n, stop, n_stop, strip, &out);

        if (!CHECK(stopped == want_stop) || !CHECK(gw_span_is(gw_buf_span(&out), want)))
            printf("\"%s\" by %zu: \"%s\"\n", text, n, out.len == 0 ? "" : out.ptr);
        gw_buf_fini(&out);
    }
}

static void test_stop_strings(void)
{
    const struct gw_span one[] = {GW_SPAN("END")};
    const struct gw_span two[] = {GW_SPAN("\n\n"), GW_SPAN("User:")};
    const struct gw_span nested[] = {GW_SPAN("abcd"), GW_SPAN("bc")};
    const struct gw_span again[] = {GW_SPAN("aab")};

    expect("before END after", one, 1, false, "before ", true);
    expect("never EN D", one, 1, false, "never EN D", false);
    expect("EEND", one, 1, false, "E", true);
    expect("ENEND", one, 1, false, "EN", true);
    expect("trailing EN", one, 1, false, "trailing EN", false);
    expect("a\n\nb", two, 2, false, "a", true);
    expect("a\nUser: b", two, 2, false, "a\n", true);
    expect("xaaab", again, 1, false, "xa", true);
    expect("xabz", nested, 2, false, "xabz", false);
    expect("", one, 1, false, "", false);
    expect("xabcd", nested + 1, 1, false, "xa", true);
}

static void test_characters(void)
{
    const struct gw_span stop[] = {GW_SPAN("\xE2\x82\xAC")}; /* the euro sign */

    expect("z\xC3\xA9ro \xF0\x9F\x98\x80!", NULL, 0, false, "z\xC3\xA9ro \xF0\x9F\x98\x80!", false);
    expect("5 \xE2\x82\xAC", stop, 1, false, "5 ", true);
    expect("5 \xE2\x82\xAD", stop, 1, false, "5 \xE2\x82\xAD", false);
    expect("cut \xE2\x82", NULL, 0, false, "cut \xEF\xBF\xBD\xEF\xBF\xBD", false);
    expect("bad \xFF\x80 x", NULL, 0, false, "bad \xEF\xBF\xBD\xEF\xBF\xBD x", false);
    expect("\xED\xA0\x80", NULL, 0, false, "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", false);
    expect(" word", NULL, 0, true, "word", false);
    expect("  word", NULL, 0, true, " word", false);
}

/* Half a character is not given out, and nothing is held longer than needed. */
static void test_holding(void)
{
    const struct gw_span stop[] = {GW_SPAN("STOP")};
    struct gw_buf out = {0};
    struct answer a;

    answer_init(&a, stop, 1, false);
    CHECK(!answer_add(&a, GW_SPAN("abc"), &out) && out.len == 3);
    CHECK(!answer_add(&a, GW_SPAN("\xF0\x9F"), &out) && out.len == 3);
    CHECK(!answer_add(&a, GW_SPAN("\x98\x80"), &out) && out.len == 7);
    CHECK(!answer_add(&a, GW_SPAN("ST"), &out) && out.len == 7);
    CHECK(!answer_add(&a, GW_SPAN("AY"), &out) && out.len == 11);
    CHECK(answer_add(&a, GW_SPAN("STOP and more"), &out) && out.len == 11);
    answer_fini(&a);
    gw_buf_fini(&out);
}

int main(void)
{
    test_stop_strings();
    test_characters();
    test_holding();
    return test_done();
}
