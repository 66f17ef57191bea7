/* The event-stream reader: framing at every split, raw bytes kept, rewriting, limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/http/sse.h"
#include "tests/test.h"

/* What the events said, written down: name '=' data, one in brackets each, ignored ones left out; and
 * all raw bytes. */
struct heard {
    struct gw_buf text, raw;
    unsigned n, cut;
    enum gw_status answer;
};

static enum gw_status on_event(void *ctx, const struct sse_event *ev)
{
    struct heard *h = ctx;

    gw_buf_add(&h->raw, ev->raw);
    h->n++;
    h->cut += !ev->ended;
    if (ev->has_data) {
        gw_buf_addc(&h->text, '[');
        gw_buf_add(&h->text, ev->name);
        gw_buf_addc(&h->text, '=');
        gw_buf_add(&h->text, ev->data);
        gw_buf_addc(&h->text, ']');
    }
    return h->answer;
}

/* Feeds exact copies, so that ASan sees any byte read past a piece. */
static enum gw_status feed(struct sse_reader *r, const char *p, size_t n, struct heard *h)
{
    char *copy = malloc(n + 1);
    enum gw_status st;

    memcpy(copy, p, n);
    st = sse_reader_feed(r, (struct gw_span){copy, n}, on_event, h);
    free(copy);
    return st;
}

static void check_heard(struct heard *h, struct gw_span text, struct gw_span want, const char *how)
{
    bool ok = gw_span_eq(gw_buf_span(&h->text), want) && gw_span_eq(gw_buf_span(&h->raw), text);

    if (!CHECK(ok))
        fprintf(stderr, "  %s: heard %s\n", how, h->text.ptr == NULL ? "" : h->text.ptr);
    gw_buf_fini(&h->text);
    gw_buf_fini(&h->raw);
}

static void everywhere(struct gw_span text, struct gw_span want)
{
    struct heard h = {0};
    struct sse_reader *r = sse_reader_new(0);

    for (size_t i = 0; i < text.len; i++)
        CHECK(feed(r, text.ptr + i, 1, &h) == GW_OK);
    CHECK(sse_reader_finish(r, on_event, &h) == GW_OK && sse_reader_pending(r) == 0);
    check_heard(&h, text, want, "byte by byte");
    sse_reader_free(r);
    for (size_t a = 0; a <= text.len; a++) {
        for (size_t b = a; b <= text.len; b++) {
            h = (struct heard){0};
            r = sse_reader_new(0);
            CHECK(feed(r, text.ptr, a, &h) == GW_OK);
            CHECK(feed(r, text.ptr + a, b - a, &h) == GW_OK);
            CHECK(feed(r, text.ptr + b, text.len - b, &h) == GW_OK);
            CHECK(sse_reader_finish(r, on_event, &h) == GW_OK);
            check_heard(&h, text, want, "two cuts");
            sse_reader_free(r);
        }
    }
}

static void test_framing(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"data: a\n\ndata: b\n\n", "[=a][=b]"},
        {"data: a\r\rdata: b\r\r", "[=a][=b]"},
        {"data: a\r\n\r\ndata: b\r\n\r\n", "[=a][=b]"},
        {"data: a\r\n\ndata: b\n\r\n", "[=a][=b]"},
        {"data: a\n\rdata: b\r\n\r", "[=a][=b]"},
        {"data:a\n\ndata:  b\n\ndata\n\ndata:\n\n", "[=a][= b][=][=]"},
        {"data: a\ndata: b\r\ndata\rdata: d\n\n", "[=a\nb\n\nd]"},
        {"event: x\ndata: 1\n\ndata: 2\n\n", "[x=1][=2]"},
        {"event:x\nevent: y\nid: 7\nretry: 5\ndata: 1\nunknown: z\n\n", "[y=1]"},
        {": ping\n\n:\n\ndata: a\n:c\n\n", "[=a]"},
        {"\xEF\xBB\xBF"
         "data: a\n\n\xEF\xBB\xBF"
         "data: b\n\n",
         "[=a]"},
        {"\xEF\xBB\xBF\ndata: a\n\n", "[=a]"},
        {"\n\n\ndata: a\n\n\n\n", "[=a]"},
        {"data: a\n\ndata: [DONE]", "[=a][=[DONE]]"},
        {"data: a\n", "[=a]"},
        {"data: a\r", "[=a]"},
        {"data: a\r\n", "[=a]"},
        {"data: a\r\n\r", "[=a]"},
        {"event: x\ndat", ""},
        {"Data: a\n\n data: b\n\ndata : c\n\n", ""},
        {"data: {\"a\":\"\\n:\"}\n\n", "[={\"a\":\"\\n:\"}]"},
        {"", ""},
        {"\r", ""},
        {":", ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        everywhere(gw_span_str(cases[i].text), gw_span_str(cases[i].want));
    everywhere(GW_SPAN("data: a\0b\n\0\n\n"), GW_SPAN("[=a\0b]"));
}

/* An event goes out as soon as its last byte is here; one at the end is said to be cut. */
static void test_at_once(void)
{
    struct sse_reader *r = sse_reader_new(0);
    struct heard h = {0};

    feed(r, "data: a\r\n", 9, &h);
    CHECK(h.n == 0 && sse_reader_pending(r) == 9);
    feed(r, "\r", 1, &h);
    CHECK(h.n == 1 && sse_reader_pending(r) == 0);
    feed(r, "\ndata: b", 8, &h);
    CHECK(h.n == 1 && h.cut == 0);
    sse_reader_finish(r, on_event, &h);
    CHECK(h.n == 2 && h.cut == 1);
    check_heard(&h, GW_SPAN("data: a\r\n\r\ndata: b"), GW_SPAN("[=a][=b]"), "at once");
    sse_reader_free(r);
    sse_reader_free(NULL);
}

static void test_limit(void)
{
    struct sse_reader *r = sse_reader_new(20);
    struct heard h = {0};

    CHECK(feed(r, "data: 0123456789\n\n", 18, &h) == GW_OK && h.n == 1);
    CHECK(feed(r, "data: 0123456789\nxxx", 20, &h) == GW_OK);
    CHECK(feed(r, "x", 1, &h) == GW_ELIMIT);
    sse_reader_free(r);
    r = sse_reader_new(0);
    h.answer = GW_ECANCELED;
    CHECK(feed(r, "data: a\n\ndata: b\n\n", 18, &h) == GW_ECANCELED && h.n == 2);
    sse_reader_free(r);
    gw_buf_fini(&h.raw);
    gw_buf_fini(&h.text);
}

static enum gw_status on_rewrite(void *ctx, const struct sse_event *ev)
{
    if (ev->has_data)
        sse_rewrite(ctx, ev, GW_SPAN("new\nlines"));
    else
        gw_buf_add(ctx, ev->raw);
    return GW_OK;
}

static void test_rewrite(void)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"id: 1\ndata: a\n: c\ndata: b\nevent: e\n\n",
         "id: 1\ndata: new\ndata: lines\n: c\nevent: e\n\n"},
        {"data:a\r\n\r\n", "data: new\r\ndata: lines\r\n\r\n"},
        {"data\r\r", "data: new\rdata: lines\r\r"},
        {"\xEF\xBB\xBF"
         "data: a\n\n",
         "data: new\ndata: lines\n\n"},
        {": ping\n\ndata: a", ": ping\n\ndata: new\ndata: lines"},
    };
    struct gw_buf out = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sse_reader *r = sse_reader_new(0);

        gw_buf_clear(&out);
        CHECK(sse_reader_feed(r, gw_span_str(cases[i].text), on_rewrite, &out) == GW_OK);
        CHECK(sse_reader_finish(r, on_rewrite, &out) == GW_OK);
        if (!CHECK(gw_span_is(gw_buf_span(&out), cases[i].want)))
            fprintf(stderr, "  %s\n", out.ptr);
        sse_reader_free(r);
    }
    gw_buf_clear(&out);
    sse_write(&out, GW_SPAN("x"), GW_SPAN("a\r\nb\rc\n"));
    sse_write(&out, (struct gw_span){NULL, 0}, (struct gw_span){NULL, 0});
    CHECK(
        gw_span_is(gw_buf_span(&out), "event: x\ndata: a\ndata: b\ndata: c\ndata: \n\ndata: \n\n"));
    gw_buf_fini(&out);
}

/* Lines besides the data, in brackets. */
static enum gw_status bracket(void *ctx, struct gw_span line, struct gw_buf *out)
{
    (void)ctx;
    gw_buf_addc(out, '[');
    gw_buf_add(out, line);
    gw_buf_addc(out, ']');
    return gw_span_is(line, ":stop") ? GW_EDENIED : GW_OK;
}

static enum gw_status on_lines(void *ctx, const struct sse_event *ev)
{
    GW_TRY(sse_edit_lines(ctx, ev, bracket, NULL));
    gw_buf_addc(ctx, sse_has_more(ev) ? '+' : '-');
    return GW_OK;
}

static void test_lines(void)
{
    static const struct {
        const char *text, *want;
        enum gw_status st;
    } cases[] = {
        {"event: a.b_c\ndata: x\n\n", "[event: a.b_c]\ndata: x\n\n-", GW_OK},
        {"event: A1\r\ndata: x\r\r", "[event: A1]\r\ndata: x\r\r+", GW_OK},
        {":c\nid: 1\rdata\ndatax: 2\nretry:3\n\n",
         "[:c]\n[id: 1]\rdata\n[datax: 2]\n[retry:3]\n\n+", GW_OK},
        {"\n\n", "\n-\n-", GW_OK},
        {"\xEF\xBB\xBF: c\n\ndata: a", "[: c]\n\n+data: a-", GW_OK},
        {"data: a\n\n:stop\n\n", "data: a\n\n-[:stop]", GW_EDENIED},
        {"event: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n",
         "[event: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n\n+",
         GW_OK},
    };
    struct gw_buf out = {0};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t step = 1; step < 4; step++) {
            struct sse_reader *r = sse_reader_new(0);
            struct gw_span text = gw_span_str(cases[i].text);
            enum gw_status st = GW_OK;

            gw_buf_clear(&out);
            for (size_t at = 0; at < text.len && st == GW_OK; at += step)
                st = sse_reader_feed(
                    r, (struct gw_span){text.ptr + at, text.len - at < step ? text.len - at : step},
                    on_lines, &out);
            if (st == GW_OK)
                st = sse_reader_finish(r, on_lines, &out);
            if (!CHECK(st == cases[i].st && gw_span_is(gw_buf_span(&out), cases[i].want)))
                fprintf(stderr, "  case %zu, step %zu: %s\n", i, step, out.ptr);
            sse_reader_free(r);
        }
    gw_buf_fini(&out);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cost(const char *piece, size_t n, size_t step)
{
    size_t len = strlen(piece);
    char *text = malloc(n * len);
    struct sse_reader *r = sse_reader_new(0);
    struct heard h = {0};
    double t;

    for (size_t i = 0; i < n; i++)
        memcpy(text + i * len, piece, len);
    t = seconds();
    for (size_t at = 0; at < n * len; at += step)
        sse_reader_feed(r, (struct gw_span){text + at, n * len - at < step ? n * len - at : step},
                        on_event, &h);
    t = seconds() - t;
    sse_reader_free(r);
    gw_buf_fini(&h.raw);
    gw_buf_fini(&h.text);
    free(text);
    return t;
}

static void test_linear(void)
{
    static const char *const pieces[] = {"a",         "\r",     "\n",    "a\r",
                                         "data: x\r", "data\n", ":\r\n", "data: x\n\n"};

    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        for (size_t step = 1; step < 100000; step *= 999) {
            double small = 0, big = 1;

            /* Quadratic would be 64 each time; a machine that stands still for a while does so once. */
            for (int k = 0; k < 10 && big >= 0.05 + small * 24; k++) {
                small = cost(pieces[i], 30000, step);
                big = cost(pieces[i], 240000, step);
            }
            if (!CHECK(big < 0.05 + small * 24))
                fprintf(stderr, "  piece %zu, step %zu: %f then %f s\n", i, step, small, big);
        }
}

int main(void)
{
    test_framing();
    test_at_once();
    test_limit();
    test_rewrite();
    test_lines();
    test_linear();
    return test_done();
}
