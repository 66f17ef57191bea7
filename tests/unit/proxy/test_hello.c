/* The ClientHello reader: hand-made hellos, good and bad, and real ones of OpenSSL; cut everywhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "proxy/tls/hello.h"
#include "tests/test.h"

/* Reads at once from an exact copy. */
static enum hello_result at_once(struct gw_span bytes, struct hello *h)
{
    struct hello_reader *r = hello_reader_new();
    char *copy = malloc(bytes.len + 1);
    enum hello_result res;

    if (bytes.len != 0)
        memcpy(copy, bytes.ptr, bytes.len);
    res = hello_read(r, (struct gw_span){copy, bytes.len}, h);
    CHECK(hello_read(r, (struct gw_span){copy, bytes.len}, h) == res);
    free(copy);
    hello_reader_free(r);
    return res;
}

/* Shows the bytes growing one by one, and cut in two at every place: the answer must be the same, and
 * while it is not here, NEED_MORE. */
static enum hello_result read_hello(struct gw_span bytes, struct hello *h)
{
    enum hello_result want = at_once(bytes, h), res = HELLO_NEED_MORE;
    struct hello_reader *r = hello_reader_new();
    struct hello other;

    memset(&other, 0, sizeof(other));
    for (size_t n = 0; n <= bytes.len && res == HELLO_NEED_MORE; n++) {
        char *copy = malloc(n + 1);

        if (n != 0)
            memcpy(copy, bytes.ptr, n);
        res = hello_read(r, (struct gw_span){copy, n}, &other);
        free(copy);
    }
    hello_reader_free(r);
    CHECK(res == want);
    if (want == HELLO_DONE)
        CHECK(memcmp(h, &other, sizeof(other)) == 0);
    for (size_t cut = 0; cut <= bytes.len; cut++) {
        r = hello_reader_new();
        res = hello_read(r, (struct gw_span){bytes.ptr, cut}, &other);
        if (res == HELLO_NEED_MORE)
            res = hello_read(r, bytes, &other);
        CHECK(res == want);
        hello_reader_free(r);
    }
    return want;
}

/* ---- hand-made --------------------------------------------------------------------------- */

static void put16(struct gw_buf *b, size_t n)
{
    gw_buf_addc(b, (char)(n >> 8));
    gw_buf_addc(b, (char)n);
}

static void put_ext(struct gw_buf *b, unsigned type, struct gw_span body)
{
    put16(b, type);
    put16(b, body.len);
    gw_buf_add(b, body);
}

static void put_sni(struct gw_buf *b, const char *name)
{
    struct gw_buf e = {0};

    put16(&e, strlen(name) + 3);
    gw_buf_addc(&e, 0);
    put16(&e, strlen(name));
    gw_buf_adds(&e, name);
    put_ext(b, 0, gw_buf_span(&e));
    gw_buf_fini(&e);
}

/* A message from its extensions; ext NULL: no extensions field. */
static void make_message(struct gw_buf *out, const struct gw_buf *ext)
{
    struct gw_buf m = {0};

    gw_buf_add(&m, GW_SPAN("\x03\x03"));
    for (int i = 0; i < 32; i++)
        gw_buf_addc(&m, (char)i);
    gw_buf_add(&m, GW_SPAN("\x04sess\x00\x04\x13\x01\x13\x02\x01\x00"));
    if (ext != NULL) {
        put16(&m, ext->len);
        gw_buf_add(&m, gw_buf_span(ext));
    }
    gw_buf_add(out, GW_SPAN("\x01\x00"));
    put16(out, m.len);
    gw_buf_add(out, gw_buf_span(&m));
    gw_buf_fini(&m);
}

/* Cuts a message into records of n bytes. */
static void make_records(struct gw_buf *out, struct gw_span m, size_t n)
{
    for (size_t at = 0; at < m.len; at += n) {
        size_t len = m.len - at < n ? m.len - at : n;

        gw_buf_add(out, GW_SPAN("\x16\x03\x01"));
        put16(out, len);
        gw_buf_add(out, (struct gw_span){m.ptr + at, len});
    }
}

/* Reads the hello with these extensions, in one record and in small ones. */
static enum hello_result with_ext(const struct gw_buf *ext, struct hello *h)
{
    struct gw_buf m = {0}, rec = {0};
    enum hello_result first, other;

    memset(h, 0, sizeof(*h));
    make_message(&m, ext);
    make_records(&rec, gw_buf_span(&m), 16384);
    first = read_hello(gw_buf_span(&rec), h);
    for (size_t n = 1; n < 40; n += 6) {
        gw_buf_clear(&rec);
        make_records(&rec, gw_buf_span(&m), n);
        other = read_hello(gw_buf_span(&rec), h);
        CHECK(first == other);
    }
    gw_buf_fini(&m);
    gw_buf_fini(&rec);
    return first;
}

static enum hello_result with_name(const char *name, struct hello *h)
{
    struct gw_buf ext = {0};
    enum hello_result res;

    put_sni(&ext, name);
    res = with_ext(&ext, h);
    gw_buf_fini(&ext);
    return res;
}

static void test_good(void)
{
    struct gw_buf ext = {0};
    struct hello h;

    CHECK(with_ext(NULL, &h) == HELLO_DONE && h.sni[0] == '\0' && !h.has_alpn && !h.has_ech);
    CHECK(with_ext(&ext, &h) == HELLO_DONE && h.sni[0] == '\0');
    put_ext(&ext, 0x1A1A, (struct gw_span){NULL, 0});
    put_sni(&ext, "API.OpenAI.com");
    put_ext(&ext, 16, GW_SPAN("\x00\x0c\x02h2\x08http/1.1"));
    put_ext(&ext, 0xFE0D, GW_SPAN("anything"));
    CHECK(with_ext(&ext, &h) == HELLO_DONE);
    CHECK(strcmp(h.sni, "api.openai.com") == 0 && h.has_ech && h.has_alpn);
    CHECK(hello_offers(&h, "h2") && hello_offers(&h, "http/1.1"));
    CHECK(!hello_offers(&h, "http/1") && !hello_offers(&h, "") && !hello_offers(&h, "2"));
    CHECK(h.alpn_len == 12);
    gw_buf_fini(&ext);
}

static void test_names(void)
{
    static const char *const good[] = {"a",           "a.b",
                                       "x-1.example", "_dmarc.example.com",
                                       "1.2.3.4a",    "xn--bcher-kva.example",
                                       "1a.example"};
    static const char *const bad[] = {"",      ".",     "a.",      ".a",  "a..b", "-a.b",
                                      "a-.b",  "a.b-",  "1.2.3.4", "a b", "a/b",  "a\xC3\xA9",
                                      "[::1]", "a:443", "*.b",     "127", "a.1"};
    char label[300];
    struct hello h;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!CHECK(with_name(good[i], &h) == HELLO_DONE && strcmp(h.sni, good[i]) == 0))
            fprintf(stderr, "  %s\n", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!CHECK(with_name(bad[i], &h) == HELLO_BAD))
            fprintf(stderr, "  %s\n", bad[i]);
    memset(label, 'a', sizeof(label));
    label[63] = '\0';
    CHECK(with_name(label, &h) == HELLO_DONE);
    label[63] = 'a';
    label[64] = '\0';
    CHECK(with_name(label, &h) == HELLO_BAD);
    for (int i = 50; i < 260; i += 50)
        label[i] = '.';
    label[64] = 'a';
    label[253] = '\0';
    CHECK(with_name(label, &h) == HELLO_DONE);
    label[253] = 'a';
    label[254] = '\0';
    CHECK(with_name(label, &h) == HELLO_BAD);
}

static void test_bad_extensions(void)
{
    static const struct {
        unsigned type;
        struct gw_span body;
    } bad[] = {
        {0, {"", 0}},
        {0, {"\x00\x00", 2}},
        {0,
         {"\x00\x04\x00\x00\x02"
          "a",
          6}}, /* name longer than the list */
        {0,
         {"\x00\x04\x00\x00\x01"
          "a\x00",
          7}}, /* a byte behind the list */
        {0,
         {"\x00\x04\x01\x00\x01"
          "a",
          6}}, /* another name type */
        {0,
         {"\x00\x08\x00\x00\x01"
          "a\x00\x00\x01"
          "b",
          10}},                               /* two names */
        {0, {"\x00\x04\x00\x00\x01\x00", 6}}, /* NUL in the name */
        {16, {"\x00\x00", 2}},
        {16, {"\x00\x01\x00", 3}}, /* an empty protocol */
        {16, {"\x00\x03\x03h2", 5}},
        {16, {"\x00\x03\x02h2x", 6}},
    };
    struct hello h;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct gw_buf ext = {0};

        put_ext(&ext, bad[i].type, bad[i].body);
        if (!CHECK(with_ext(&ext, &h) == HELLO_BAD))
            fprintf(stderr, "  case %zu\n", i);
        gw_buf_fini(&ext);
    }
    for (unsigned i = 0; i < 2; i++) { /* twice the same; then a length that is too large */
        struct gw_buf ext = {0};

        put_sni(&ext, "a.example");
        if (i == 0)
            put_sni(&ext, "b.example");
        else
            gw_buf_add(&ext, GW_SPAN("\x00\x2B\x00\x09\x02\x03\x04"));
        CHECK(with_ext(&ext, &h) == HELLO_BAD);
        gw_buf_fini(&ext);
    }
}

/* Every single byte of a hello changed to every value, and the hello cut off everywhere: any answer, but
 * no crash, and never a name that is not a host name. */
static void test_mutations(void)
{
    struct gw_buf ext = {0}, m = {0}, rec = {0};
    struct hello h;

    put_sni(&ext, "api.openai.com");
    put_ext(&ext, 16, GW_SPAN("\x00\x03\x02h2"));
    make_message(&m, &ext);
    make_records(&rec, gw_buf_span(&m), 50);
    for (size_t i = 0; i < rec.len; i++) {
        char keep = rec.ptr[i];

        for (int c = 0; c < 256; c++) {
            rec.ptr[i] = (char)c;
            if (at_once(gw_buf_span(&rec), &h) == HELLO_DONE)
                CHECK(strspn(h.sni, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(h.sni));
        }
        rec.ptr[i] = keep;
        CHECK(at_once((struct gw_span){rec.ptr, i}, &h) == HELLO_NEED_MORE);
    }
    /* A second message in the hello's record. */
    gw_buf_clear(&rec);
    gw_buf_addc(&m, 0);
    make_records(&rec, gw_buf_span(&m), 16384);
    CHECK(read_hello(gw_buf_span(&rec), &h) == HELLO_BAD);
    gw_buf_fini(&ext);
    gw_buf_fini(&m);
    gw_buf_fini(&rec);
}

static void test_not_tls(void)
{
    struct hello h;

    CHECK(read_hello((struct gw_span){NULL, 0}, &h) == HELLO_NEED_MORE);
    CHECK(read_hello(GW_SPAN("\x16\x03"), &h) == HELLO_NEED_MORE);
    CHECK(read_hello(GW_SPAN("GET / HTTP/1.1\r\n"), &h) == HELLO_NOT_TLS);
    CHECK(read_hello(GW_SPAN("G"), &h) == HELLO_NOT_TLS);
    CHECK(read_hello(GW_SPAN("\x80\x2e\x01\x03\x01"), &h) == HELLO_NOT_TLS); /* SSL 2 */
    CHECK(read_hello(GW_SPAN("\x15\x03\x01\x00\x02\x02\x28"), &h) == HELLO_NOT_TLS);
    CHECK(read_hello(GW_SPAN("\x16\x02"), &h) == HELLO_NOT_TLS);
    CHECK(read_hello(GW_SPAN("\x16\x03\x01\x00\x00"), &h) == HELLO_BAD);
    CHECK(read_hello(GW_SPAN("\x16\x03\x01\x40\x01"), &h) == HELLO_BAD);
    CHECK(read_hello(GW_SPAN("\x16\x03\x01\x00\x01\x02"), &h) == HELLO_BAD); /* ServerHello */
    CHECK(read_hello(GW_SPAN("\x16\x03\x01\x00\x01\x01\x17\x03\x03\x00\x01"), &h) == HELLO_BAD);
    CHECK(read_hello(GW_SPAN("\x16\x03\x01\x00\x04\x01\x00\x40\x00"), &h) == HELLO_TOO_LONG);
}

static void test_long(void)
{
    struct gw_buf ext = {0}, m = {0}, rec = {0};
    static char filler[14000];
    struct hello_reader *r = hello_reader_new();
    enum hello_result res = HELLO_NEED_MORE;
    struct hello h;

    put_ext(&ext, 21, (struct gw_span){filler, sizeof(filler)});
    put_sni(&ext, "late.example");
    make_message(&m, &ext);
    make_records(&rec, gw_buf_span(&m), 1000);
    CHECK(at_once(gw_buf_span(&rec), &h) == HELLO_DONE && strcmp(h.sni, "late.example") == 0);
    /* In records of a byte it needs more than the limit; growing, the answer comes at the limit. */
    gw_buf_clear(&rec);
    make_records(&rec, gw_buf_span(&m), 1);
    for (size_t n = 0; n <= rec.len && res == HELLO_NEED_MORE; n++) {
        res = hello_read(r, (struct gw_span){rec.ptr, n}, &h);
        CHECK((res == HELLO_TOO_LONG) == (n == HELLO_MAX_BYTES));
    }
    CHECK(res == HELLO_TOO_LONG);
    hello_reader_free(r);
    hello_reader_free(NULL);
    gw_buf_fini(&ext);
    gw_buf_fini(&m);
    gw_buf_fini(&rec);
}

/* What OpenSSL really sends. */
static void test_openssl(void)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (int i = 0; i < 2; i++) {
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        SSL *ssl;
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
        struct hello h;
        char *bytes;
        long len;

        SSL_CTX_set_max_proto_version(ctx, versions[i]);
        ssl = SSL_new(ctx);
        SSL_set_bio(ssl, in, out);
        SSL_set_tlsext_host_name(ssl, "Api.Anthropic.com");
        SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
        CHECK(SSL_connect(ssl) == -1);
        len = BIO_get_mem_data(out, &bytes);
        CHECK(len > 100);
        memset(&h, 0, sizeof(h));
        CHECK(read_hello((struct gw_span){bytes, (size_t)len}, &h) == HELLO_DONE);
        CHECK(strcmp(h.sni, "api.anthropic.com") == 0 && !h.has_ech);
        CHECK(hello_offers(&h, "h2") && hello_offers(&h, "http/1.1"));
        SSL_free(ssl);
        SSL_CTX_free(ctx);
    }
}

int main(void)
{
    test_good();
    test_names();
    test_bad_extensions();
    test_mutations();
    test_not_tls();
    test_long();
    test_openssl();
    return test_done();
}
