/* tests/unit/proxy/test_multipart.c - every byte of a multipart body is a delimiter line's or in a stretch that is scanned. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/http/multipart.h"
#include "tests/test.h"

static struct gw_arena *arena;
static struct multipart_stretch *got;
static unsigned n_got;

static enum gw_status split(const char *type, const char *body)
{
    struct gw_err err;

    gw_arena_reset(arena);
    n_got = 0;
    return multipart_split(arena, gw_span_str(type), gw_span_str(body), &got, &n_got, &err);
}

#define B "multipart/form-data; boundary=xyz"

static void test_parts(void)
{
    CHECK(split(B, "--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n"
                   "--xyz\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n"
                   "Content-Type: text/plain\r\n\r\nline 1\r\n--xy\r\nline 3\r\n--xyz--\r\n") ==
          GW_OK);
    if (!CHECK(n_got == 4))
        return;
    CHECK(got[0].is_head && !got[1].is_head && got[2].is_head && !got[3].is_head);
    CHECK(gw_span_is(got[1].bytes, "assistants") && gw_span_is(got[1].name, "purpose"));
    CHECK(gw_span_is(got[3].bytes, "line 1\r\n--xy\r\nline 3"));
    CHECK(gw_span_is(got[3].name, "file") && gw_span_is(got[3].type, "text/plain"));
    CHECK(memmem(got[2].bytes.ptr, got[2].bytes.len, "a.txt", 5) != NULL);
    /* Line ends of LF alone, blanks behind a delimiter, a preamble and an epilogue, empty contents, a quoted boundary. */
    CHECK(split("Multipart/Mixed; charset=x; boundary=\"x y\"",
                "hello\n--x y  \nA: b\n\n\n--x y\n\ntext\n--x y--\nbye") == GW_OK);
    if (!CHECK(n_got == 4))
        return;
    CHECK(gw_span_is(got[0].bytes, "hello") && gw_span_is(got[1].bytes, "A: b\n") &&
          got[1].is_head);
    CHECK(gw_span_is(got[2].bytes, "text") && gw_span_is(got[3].bytes, "bye"));
}

static void test_refused(void)
{
    CHECK(split("multipart/form-data", "--\r\n") == GW_EPARSE);
    CHECK(split(B, "") == GW_EPARSE && split(B, "text") == GW_EPARSE);
    CHECK(split(B, "--xyz\r\nA: b\r\n\r\nx") == GW_EPARSE);   /* never closed */
    CHECK(split(B, "--xyz\r\nA: b\r\n--xyz--") == GW_EPARSE); /* no empty line */
    /* Not at the start of a line: text before the first delimiter, which is the last one. */
    CHECK(split(B, "x--xyz\r\n\r\na\r\n--xyz--") == GW_OK && n_got == 1);
    CHECK(!multipart_is(GW_SPAN("multipart/form-data")));
    CHECK(!multipart_is(GW_SPAN("application/json; boundary=x")));
    CHECK(multipart_is(GW_SPAN("MULTIPART/form-data;BOUNDARY=x")));
}

/* Stretches lie in order, do not overlap, and what is between them is delimiter lines and line ends. */
static bool covers(struct gw_span body)
{
    static const char noise[] = "--xyz- \t\r\n";
    size_t at = 0;

    for (unsigned i = 0; i <= n_got; i++) {
        size_t start = i == n_got ? body.len : (size_t)(got[i].bytes.ptr - body.ptr);

        if (start < at)
            return false;
        for (; at < start; at++)
            if (strchr(noise, body.ptr[at]) == NULL)
                return false;
        if (i < n_got)
            at += got[i].bytes.len;
    }
    return at == body.len;
}

static void test_cover(void)
{
    char body[400];
    unsigned ok = 0;
    bool all = true;

    /* A delimiter at every place of a body. */
    for (size_t cut = 0; cut < 60; cut++) {
        static const char text[] =
            "aaaaaaaaaaaaaaa\r\naaaaaaaaaaaa\naaaaaaaaa\r\n\r\naaaaaaaaaaaaaaaaaaaaaaaaaa";

        (void)snprintf(body, sizeof(body),
                       "p\r\n--xyz\r\nA: b\r\n\r\n%.*s\r\n--xyz\r\n\r\n%s\r\n--xyz--e", (int)cut,
                       text, text + (cut < sizeof(text) - 1 ? cut : sizeof(text) - 1));
        if (split(B, body) != GW_OK)
            continue;
        ok++;
        all &= covers(gw_span_str(body));
    }
    CHECK(all && ok == 0); /* "--xyz--e" is no closing line */
    for (size_t cut = 0; cut < 60; cut++) {
        (void)snprintf(
            body, sizeof(body), "p\r\n--xyz\r\nA: b\r\n\r\n%.*s\r\n--xyz\r\n\r\nq\r\n--xyz--\r\ne",
            (int)cut,
            "aaaaaaaaaaaaaaa\r\naaaaaaaaaaaa\naaaaaaaaa\r\n\r\naaaaaaaaaaaaaaaaaaaaaaaaaa");
        all &= split(B, body) == GW_OK && covers(gw_span_str(body));
    }
    CHECK(all);
}

static void test_many(void)
{
    struct gw_buf body = {0};
    struct gw_err err;

    for (int i = 0; i < 1001; i++)
        gw_buf_adds(&body, "--xyz\r\n\r\nx\r\n");
    gw_buf_adds(&body, "--xyz--");
    CHECK(multipart_split(arena, GW_SPAN(B), gw_buf_span(&body), &got, &n_got, &err) == GW_ELIMIT);
    gw_buf_fini(&body);
}

int main(void)
{
    arena = gw_arena_new(1u << 20);
    test_parts();
    test_refused();
    test_cover();
    test_many();
    gw_arena_free(arena);
    return test_done();
}
