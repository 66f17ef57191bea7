/* The HTTP/1.1 parser: hand-made cases, each whole, one byte at a time and split in two at every place;
 * and the public collections in ../shared/http where they are present. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/http/http1.h"
#include "tests/test.h"

/* What a run of the parser saw: a line per event, comparable between ways of feeding. */
struct seen {
    struct gw_buf text; /* heads and bodies, for comparison */
    unsigned n_done, error;
};

static void note_head(struct seen *s, const struct http1_head *h)
{
    gw_buf_printf(&s->text, "[%.*s %.*s @%.*s %.*s %u 1.%u len=%d:%llu chunked=%d keep=%d|",
                  (int)h->method.len, h->method.ptr, (int)h->target.len, h->target.ptr,
                  (int)h->authority.len, h->authority.ptr, (int)h->path.len, h->path.ptr, h->status,
                  h->minor, h->has_length, (unsigned long long)h->content_length, h->chunked,
                  h->keep_alive);
    for (unsigned i = 0; i < h->n_fields; i++)
        gw_buf_printf(&s->text, "%.*s=%.*s;", (int)h->fields[i].name.len, h->fields[i].name.ptr,
                      (int)h->fields[i].value.len, h->fields[i].value.ptr);
    gw_buf_adds(&s->text, "]");
}

static void feed(struct http1 *p, struct seen *s, struct gw_span in)
{
    struct gw_span data;

    /* Fed from a fresh exact-size copy, so that a sanitizer sees an overread. */
    char *copy = malloc(in.len == 0 ? 1 : in.len);

    if (in.len != 0)
        memcpy(copy, in.ptr, in.len);
    in.ptr = copy;
    while (s->error == 0) {
        enum http1_event ev = http1_next(p, &in, &data);

        if (ev == HTTP1_MORE)
            break;
        if (ev == HTTP1_HEAD)
            note_head(s, http1_head(p));
        if (ev == HTTP1_BODY)
            gw_buf_add(&s->text, data);
        if (ev == HTTP1_DONE)
            s->n_done++;
        if (ev == HTTP1_ERROR)
            s->error = http1_error(p, NULL);
    }
    free(copy);
}

/* Runs the bytes in pieces cut at a and b; step 1 feeds byte by byte. */
static struct seen run(enum http1_kind kind, struct gw_span in, size_t cut, size_t step)
{
    struct http1 *p = http1_new(kind, NULL);
    struct seen s = {{0}, 0, 0};

    if (step != 0) {
        for (size_t i = 0; i < in.len; i += step)
            feed(p, &s, (struct gw_span){in.ptr + i, i + step > in.len ? in.len - i : step});
    } else {
        feed(p, &s, (struct gw_span){in.ptr, cut});
        feed(p, &s, gw_span_from(in, cut));
    }
    http1_free(p);
    return s;
}

static bool same(const struct seen *a, const struct seen *b)
{
    return a->error == b->error && a->n_done == b->n_done &&
           gw_span_eq(gw_buf_span(&a->text), gw_buf_span(&b->text));
}

/* Whole, byte by byte, and at every cut: all must agree. Returns what the whole run saw. */
static struct seen run_all(enum http1_kind kind, struct gw_span in)
{
    struct seen whole = run(kind, in, in.len, 0);
    bool agree = true;

    for (size_t cut = 0; cut <= in.len && cut < 700; cut++) {
        struct seen s = cut == 0 ? run(kind, in, 0, 1) : run(kind, in, cut, 0);

        agree &= same(&whole, &s);
        gw_buf_fini(&s.text);
    }
    CHECK(agree);
    return whole;
}

static void expect_error(const char *raw, size_t len, unsigned status)
{
    struct seen s = run_all(HTTP1_REQUEST, (struct gw_span){raw, len});

    if (!CHECK(s.error == status && s.n_done == 0))
        printf("  got %u for %.60s\n", s.error, raw);
    gw_buf_fini(&s.text);
}

#define REFUSED(raw, status) expect_error(raw, sizeof(raw) - 1, status)

static void test_refusals(void)
{
    REFUSED("GET / HTTP/1.1\nHost: a\n\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    REFUSED("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400);
    REFUSED("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED("GET http://a.b?x HTTP/1.1\r\nHost: a.b\r\n\r\n", 400);
    REFUSED("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    REFUSED("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505);
    REFUSED("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400);
    REFUSED("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\n", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naXX", 400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            "10000000000000001\r\n",
            400);
    REFUSED("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n",
            400);
    REFUSED("GET a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    REFUSED("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
}

static void accepted(enum http1_kind kind, struct gw_span raw, unsigned n_done, const char *expect)
{
    struct seen s = run_all(kind, raw);

    if (!CHECK(s.error == 0 && s.n_done == n_done && gw_span_is(gw_buf_span(&s.text), expect)))
        printf("  error %u done %u: %s\n", s.error, s.n_done, s.text.ptr);
    gw_buf_fini(&s.text);
}

static void test_accepted(void)
{
    accepted(HTTP1_REQUEST,
             GW_SPAN("\r\nPOST /v1/x?q=1 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nX:\t b c \t"
                     "\r\n\r\nhelloGET / HTTP/1.0\r\nHost: b\r\n\r\n"),
             2,
             "[POST /v1/x?q=1 @a:80 /v1/x?q=1 0 1.1 len=1:5 chunked=0 keep=1|Host=a:80;"
             "Content-Length=5;X=b c;]hello[GET / @b / 0 1.0 len=0:0 chunked=0 keep=0|Host=b;]");
    accepted(HTTP1_REQUEST,
             GW_SPAN("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
                     "3;n=v;q=\"x;y\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: 1\r\n\r\n"),
             1,
             "[POST / @a / 0 1.1 len=0:0 chunked=1 keep=1|Host=a;Transfer-Encoding=Chunked;]"
             "abc0123456789");
    accepted(HTTP1_REQUEST, GW_SPAN("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n"),
             1,
             "[CONNECT api.test:443 @api.test:443  0 1.1 len=0:0 chunked=0 keep=1|"
             "Host=api.test:443;]");
    accepted(HTTP1_RESPONSE,
             GW_SPAN("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No Content\r\n"
                     "Connection: Close , x\r\n\r\n"),
             2,
             "[  @  200 1.1 len=1:2 chunked=0 keep=1|Content-Length=2;]ok"
             "[  @  204 1.1 len=0:0 chunked=0 keep=0|Connection=Close , x;]");
}

static void test_until_close(void)
{
    struct http1 *p = http1_new(HTTP1_RESPONSE, NULL);
    struct gw_span in = GW_SPAN("HTTP/1.1 200 OK\r\n\r\nabc"), data = {NULL, 0};

    CHECK(http1_next(p, &in, &data) == HTTP1_HEAD && !http1_head(p)->keep_alive);
    CHECK(http1_next(p, &in, &data) == HTTP1_BODY && gw_span_is(data, "abc"));
    CHECK(http1_next(p, &in, &data) == HTTP1_MORE && http1_eof(p));
    http1_free(p);
}

static void test_head_answer_has_no_body(void)
{
    struct http1 *p = http1_new(HTTP1_RESPONSE, NULL);
    struct gw_span in = GW_SPAN("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), data;

    http1_expect(p, GW_SPAN("HEAD"));
    CHECK(http1_next(p, &in, &data) == HTTP1_HEAD && http1_next(p, &in, &data) == HTTP1_DONE);
    http1_free(p);
}

/* Between messages a parser may rest; within one that does nothing. */
static void test_rest(void)
{
    struct http1 *p = http1_new(HTTP1_REQUEST, NULL);
    struct gw_span data = {NULL, 0};

    for (unsigned i = 0; i < 3; i++) {
        struct gw_span begin = GW_SPAN("GET /a HTTP/1.1\r\nHo");
        struct gw_span end = GW_SPAN("st: h\r\nX: y\r\n\r\n");

        CHECK(http1_next(p, &begin, &data) == HTTP1_MORE);
        http1_rest(p);
        CHECK(http1_next(p, &end, &data) == HTTP1_HEAD);
        http1_rest(p);
        CHECK(gw_span_is(http1_get(http1_head(p), "host"), "h"));
        CHECK(gw_span_is(http1_head(p)->path, "/a"));
        CHECK(http1_next(p, &end, &data) == HTTP1_DONE);
        CHECK(http1_idle(p));
        http1_rest(p);
        CHECK(http1_idle(p) && http1_head(p)->n_fields == 0);
    }
    http1_free(p);
}

static void test_limits(void)
{
    const struct http1_limits lim = {64, 256, 3, 10};
    static const struct {
        const char *raw;
        unsigned status;
    } cases[] = {
        {"GET /0123456789012345678901234567890123456789012345678901234567890123456789", 414},
        {"GET / HTTP/1.1\r\nX: "
         "01234567890123456789012345678901234567890123456789012345678901234567890",
         431},
        {"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", 431},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n",
         413},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http1 *p = http1_new(HTTP1_REQUEST, &lim);
        struct seen s = {{0}, 0, 0};

        feed(p, &s, gw_span_str(cases[i].raw));
        if (!CHECK(s.error == cases[i].status))
            printf("  case %zu: %u\n", i, s.error);
        gw_buf_fini(&s.text);
        http1_free(p);
    }
}

/* ---- public collections ------------------------------------------------------------------ */

static struct gw_buf read_file(const char *path)
{
    struct gw_buf b = {0};
    FILE *f = fopen(path, "rb");
    char part[4096];
    size_t n;

    while (f != NULL && (n = fread(part, 1, sizeof(part), f)) != 0)
        gw_buf_add(&b, (struct gw_span){part, n});
    if (f != NULL)
        (void)fclose(f);
    return b;
}

/* Splits a line at tabs in place. */
static unsigned split(char *line, char **col, unsigned max)
{
    unsigned n = 0;

    line[strcspn(line, "\r\n")] = '\0';
    for (char *p = line; n < max; p++) {
        col[n++] = p;
        p = strchr(p, '\t');
        if (p == NULL)
            break;
        *p = '\0';
    }
    return n;
}

/* Where we differ from the collection's verdict, and why. */
static const struct {
    const char *file, *verdict;
} ours[] = {
    /* A complete valid message, then garbage: a stream gateway has answered before it sees the rest. */
    {"llhttp/request-connection-004.raw", "first"},
    {"llhttp/request-connection-003.raw", "first"},
    {"llhttp/response-connection-006.raw", "first"},
    {"llhttp/response-connection-007.raw", "first"},
    {"llhttp/request-method-055.raw", "reject"},  /* RFC 9112 3.2.4: * is for OPTIONS */
    {"llhttp/response-sample-038.raw", "reject"}, /* RTSP, ICE and HTTP/0.9 are not HTTP/1 */
    {"llhttp/response-sample-039.raw", "reject"},
    {"llhttp/response-sample-052.raw", "reject"},
    {"llhttp/response-sample-054.raw", "reject"},            /* an empty line before an answer */
    {"llhttp/response-transfer-encoding-056.raw", "reject"}, /* codings other than chunked */
    {"llhttp/response-transfer-encoding-057.raw", "reject"},
    {"llhttp/response-transfer-encoding-058.raw", "reject"},
};

static void check_public_case(const char *dir, const char *file, enum http1_kind kind,
                              const char *want, unsigned max_requests)
{
    char path[512];
    struct gw_buf raw;
    struct seen s;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    raw = read_file(path);
    s = run_all(kind, gw_buf_span(&raw));
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strcmp(ours[i].file, file) == 0)
            want = ours[i].verdict;
    if (strcmp(want, "first") == 0) {
        CHECK(s.n_done == 1 && s.error != 0);
    } else if (strcmp(want, "reject") == 0 || strcmp(want, "bad-gateway") == 0) {
        if (!CHECK(s.n_done == 0))
            printf("  taken: %s\n", path);
    } else if (strcmp(want, "accept") == 0) {
        bool ok = s.n_done >= 1 || (kind == HTTP1_RESPONSE && s.error == 0 && s.text.len != 0);

        if (!CHECK(ok && (max_requests == 0 || s.n_done <= max_requests)))
            printf("  error %u, done %u: %s\n", s.error, s.n_done, path);
    }
    gw_buf_fini(&s.text);
    gw_buf_fini(&raw);
}

static void test_public_collections(void)
{
    char line[4096], *col[10];
    FILE *f = fopen("../shared/http/http-garden/MANIFEST.tsv", "r");

    if (f == NULL) {
        test_skip("../shared/http is absent: public HTTP collections not run");
        return;
    }
    while (fgets(line, sizeof(line), f) != NULL)
        if (split(line, col, 10) >= 3 && strcmp(col[1], "strict") != 0)
            check_public_case("../shared/http", col[0], HTTP1_REQUEST, col[1],
                              (unsigned)strtoul(col[2], NULL, 10));
    (void)fclose(f);
    f = fopen("../shared/http/llhttp/MANIFEST.tsv", "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (split(line, col, 10) >= 7 && strcmp(col[1], "type") != 0)
            check_public_case("../shared/http", col[0],
                              strcmp(col[1], "request") == 0 ? HTTP1_REQUEST : HTTP1_RESPONSE,
                              col[6], 0);
    if (f != NULL)
        (void)fclose(f);
}

static size_t base64_decode(const char *s, char *out)
{
    unsigned acc = 0, bits = 0;
    size_t n = 0;

    for (; *s != '\0' && *s != '=' && *s != '\n'; s++) {
        unsigned v = *s >= 'A' && *s <= 'Z'   ? (unsigned)(*s - 'A')
                     : *s >= 'a' && *s <= 'z' ? (unsigned)(*s - 'a') + 26
                     : *s >= '0' && *s <= '9' ? (unsigned)(*s - '0') + 52
                     : *s == '+'              ? 62
                                              : 63;

        acc = acc << 6 | v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[n++] = (char)(acc >> bits & 0xFF);
        }
    }
    return n;
}

static void test_smuggler_collection(void)
{
    static char line[65536], raw[65536];
    char *col[6];
    FILE *f = fopen("../shared/http/smuggler/CASES.tsv", "r");
    unsigned taken = 0, refused_good = 0, n = 0;

    if (f == NULL) {
        test_skip("../shared/http/smuggler is absent");
        return;
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        struct seen s;

        if (split(line, col, 6) < 5 || strcmp(col[2], "strict") == 0)
            continue;
        n++;
        s = run(HTTP1_REQUEST, (struct gw_span){raw, base64_decode(col[4], raw)}, 0, 0);
        if (strcmp(col[2], "reject") == 0)
            taken += s.n_done != 0;
        else
            refused_good += s.n_done == 0;
        gw_buf_fini(&s.text);
    }
    (void)fclose(f);
    printf("      smuggler: %u cases, %u disguises taken, %u good ones refused\n", n, taken,
           refused_good);
    CHECK(n > 3000 && taken == 0 && refused_good == 0);
}

int main(void)
{
    test_refusals();
    test_accepted();
    test_until_close();
    test_head_answer_has_no_body();
    test_rest();
    test_limits();
    test_public_collections();
    test_smuggler_collection();
    return test_done();
}
