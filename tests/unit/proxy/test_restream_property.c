/* Property test of filtered streams: whatever the pieces in which its bytes come, the same bytes go out; outside of changed texts
 * they are those that came; nothing leaks and nothing stays hidden that should be restored. All dialects. */
#include "tests/unit/proxy/restream_help.h"

static uint32_t seed = 7;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* Runs the stream through in two pieces that are cut at `at`, or (at SIZE_MAX) in pieces drawn at random. */
static bool pass_cut(struct gw_span in, const struct shape *s, bool scan, size_t at,
                     struct run *run)
{
    const struct filter_config cfg = {
        .vault = vault, .scanner = scan ? scanner : NULL, .rules = rules, .decide = decide};
    struct sse_reader *reader = sse_reader_new(0);
    enum gw_status st = GW_OK;

    run->r = restream_new(&cfg, s->dialect, json);
    for (size_t from = 0; from < in.len && st == GW_OK;) {
        size_t n = at == SIZE_MAX ? 1 + draw(48) : from == 0 ? at : in.len;

        n = n < in.len - from ? n : in.len - from;
        st = sse_reader_feed(reader, (struct gw_span){in.ptr + from, n}, on_event, run);
        from += n;
    }
    if (st == GW_OK)
        st = sse_reader_finish(reader, on_event, run);
    if (st == GW_OK)
        st = restream_finish(run->r, &run->out);
    sse_reader_free(reader);
    restream_free(run->r);
    return st == GW_OK;
}

/* Cut in two at every byte, and 200 times at random: always the same bytes. */
static void test_any_pieces(const struct shape *s, bool scan)
{
    char text[512], want[512];
    struct gw_buf in = {0};
    struct run whole = {0};
    size_t cuts[128], n, bad = 0;

    make_texts(s, text, want, sizeof(text));
    n = strlen(text) / 5;
    for (size_t i = 0; i < n; i++)
        cuts[i] = i * 5 + draw(5);
    make_stream(s, gw_span_str(text), cuts, (unsigned)n, &in);
    CHECK(pass(gw_buf_span(&in), s->dialect, scan, &whole) == GW_OK);
    if (scan)
        CHECK(reads_as(s, gw_buf_span(&whole.out), gw_span_str(want)));
    for (size_t i = 1; i < in.len + 200; i++) {
        struct run run = {0};

        bad += !pass_cut(gw_buf_span(&in), s, scan, i < in.len ? i : SIZE_MAX, &run) ||
               !gw_span_eq(gw_buf_span(&run.out), gw_buf_span(&whole.out));
        gw_buf_fini(&run.out);
    }
    if (!CHECK(bad == 0))
        fprintf(stderr, "  %s%s: %zu of %zu differ\n", s->name, scan ? ", scanned" : "", bad,
                in.len + 199);
    gw_buf_fini(&in);
    gw_buf_fini(&whole.out);
}

/* A text that comes in one event: the event goes out with the values in place of the placeholders, and no other byte
 * differs. */
static void test_only_the_span(const struct shape *s)
{
    struct gw_buf in = {0}, want = {0}, text = {0}, restored = {0};
    struct run run = {0};

    gw_buf_printf(&text, "\xE2\x82\xAC \"%s\"\t%s.", placeholder, placeholder);
    gw_buf_printf(&restored, "\xE2\x82\xAC \"%s\"\t%s.", mail, mail);
    make_stream(s, gw_buf_span(&text), NULL, 0, &in);
    make_stream(s, gw_buf_span(&restored), NULL, 0, &want);
    CHECK(pass(gw_buf_span(&in), s->dialect, false, &run) == GW_OK);
    if (!CHECK(gw_span_eq(gw_buf_span(&run.out), gw_buf_span(&want))))
        fprintf(stderr, "  %s\n  got  %s\n  want %s\n", s->name, run.out.ptr, want.ptr);
    gw_buf_fini(&in);
    gw_buf_fini(&want);
    gw_buf_fini(&text);
    gw_buf_fini(&restored);
    gw_buf_fini(&run.out);
}

/* ---- what stands outside of texts ------------------------------------------------------------- */

struct frames {
    const char *member;
    struct gw_buf all[256]; /* events without their texts and numbers */
    unsigned n;
};

/* What is skipped behind this place of an event: the inside of a text, or the digits of a number. */
static size_t to_skip(struct gw_span rest, const char *member)
{
    const char *const names[] = {member, "text", "arguments"};
    const struct gw_span number = GW_SPAN("\"sequence_number\":");
    size_t i = 0;

    for (size_t k = 0; k < 3; k++) {
        char start[64];
        int n = snprintf(start, sizeof(start), "\"%s\":\"", names[k]);

        if (!gw_span_starts(rest, (struct gw_span){start, (size_t)n}))
            continue;
        for (i = (size_t)n; i < rest.len && rest.ptr[i] != '"'; i++)
            i += rest.ptr[i] == '\\';
        return i - (size_t)n;
    }
    if (gw_span_starts(rest, number))
        while (number.len + i < rest.len && rest.ptr[number.len + i] >= '0' &&
               rest.ptr[number.len + i] <= '9')
            i++;
    return i;
}

static enum gw_status on_frame(void *ctx, const struct sse_event *ev)
{
    struct frames *f = ctx;
    struct gw_buf *to = &f->all[f->n++];

    for (size_t i = 0; i < ev->raw.len; i++) {
        struct gw_span rest = gw_span_from(ev->raw, i);
        size_t skip = to_skip(rest, f->member);
        const char *colon = skip == 0 ? NULL : memchr(rest.ptr, ':', rest.len);

        gw_buf_addc(to, ev->raw.ptr[i]);
        if (colon != NULL) {
            size_t head = (size_t)(colon - rest.ptr) + (colon[1] == '"' ? 2 : 1);

            gw_buf_add(to, (struct gw_span){rest.ptr + 1, head - 1});
            i += head + skip - 1;
        }
    }
    return f->n < 256 ? GW_OK : GW_ELIMIT;
}

static void read_frames(struct gw_span stream, struct frames *f)
{
    struct sse_reader *reader = sse_reader_new(0);

    CHECK(sse_reader_feed(reader, stream, on_frame, f) == GW_OK);
    CHECK(sse_reader_finish(reader, on_frame, f) == GW_OK);
    sse_reader_free(reader);
}

static void forget(struct frames *f)
{
    for (unsigned i = 0; i < f->n; i++)
        gw_buf_fini(&f->all[i]);
}

/* Without their texts, the events that came are all there, in their order and byte by byte. */
static void test_frames(const struct shape *s)
{
    char text[512], want[512];
    struct frames in = {.member = s->member}, out = {.member = s->member};
    struct gw_buf stream = {0};
    struct run run = {0};
    size_t cuts[64], n = 0;
    unsigned k = 0;

    make_texts(s, text, want, sizeof(text));
    for (size_t at = draw(9); at < strlen(text) && n < 64; at += 1 + draw(17))
        cuts[n++] = at;
    make_stream(s, gw_span_str(text), cuts, (unsigned)n, &stream);
    CHECK(pass(gw_buf_span(&stream), s->dialect, true, &run) == GW_OK);
    read_frames(gw_buf_span(&stream), &in);
    read_frames(gw_buf_span(&run.out), &out);
    for (unsigned i = 0; i < out.n && k < in.n; i++)
        k += gw_span_eq(gw_buf_span(&in.all[k]), gw_buf_span(&out.all[i]));
    if (!CHECK(k == in.n && out.n <= 2 * in.n))
        fprintf(stderr, "  %s: %u of %u events, %u came out; missing %s\n", s->name, k, in.n, out.n,
                k < in.n ? in.all[k].ptr : "none");
    forget(&in);
    forget(&out);
    gw_buf_fini(&stream);
    gw_buf_fini(&run.out);
}

int main(void)
{
    json = gw_json_new();
    scanner = dlp_scanner_new();
    rules = dlp_rules_builtin();
    action = GW_ACTION_REDACT;
    if (!CHECK(make_vault()))
        return test_done();
    for (unsigned i = 0; i < N_SHAPES; i++) {
        test_any_pieces(&shapes[i], false);
        test_any_pieces(&shapes[i], true);
        if (!shapes[i].nested)
            test_only_the_span(&shapes[i]);
        for (unsigned k = 0; k < 20; k++)
            test_frames(&shapes[i]);
    }
    dlp_vault_free(vault);
    dlp_scanner_free(scanner);
    gw_json_free(json);
    return test_done();
}
