/* Unit tests of proxy/net/address.c, encoding.c and fields.c: what stands at the edges. */
#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "base/json.h"
#include "proxy/http/encoding.h"
#include "proxy/http/fields.h"
#include "proxy/net/address.h"
#include "tests/test.h"

/* ---- address ---------------------------------------------------------------------------- */

static bool is_public(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return address_is_public((const struct sockaddr *)&v4);
    return CHECK(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) &&
           address_is_public((const struct sockaddr *)&v6);
}

static void test_address(void)
{
    static const char *const yes[] = {"1.1.1.1",         "9.255.255.255",  "11.0.0.0",
                                      "100.63.0.1",      "100.128.0.1",    "172.15.1.1",
                                      "172.32.0.1",      "192.167.1.1",    "223.255.255.255",
                                      "2606:4700::1111", "::ffff:8.8.8.8", "2001:4860:4860::8888"};
    static const char *const no[] = {"0.0.0.0",
                                     "10.1.2.3",
                                     "100.64.0.1",
                                     "127.0.0.1",
                                     "169.254.169.254",
                                     "172.16.0.1",
                                     "172.31.255.255",
                                     "192.0.0.1",
                                     "192.0.2.1",
                                     "192.168.0.1",
                                     "198.18.0.1",
                                     "198.51.100.1",
                                     "203.0.113.1",
                                     "224.0.0.1",
                                     "240.0.0.1",
                                     "255.255.255.255",
                                     "::",
                                     "::1",
                                     "::7f00:1",
                                     "::ffff:127.0.0.1",
                                     "::ffff:10.0.0.1",
                                     "64:ff9b::a00:1",
                                     "64:ff9b:1::1",
                                     "2002:a00:1::",
                                     "fc00::1",
                                     "fdff::1",
                                     "fe80::1",
                                     "fec0::1",
                                     "ff02::1",
                                     "2001:db8::1",
                                     "2001::1",
                                     "100::1",
                                     "3fff::1"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        if (!CHECK(is_public(yes[i])))
            fprintf(stderr, "  %s\n", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        if (!CHECK(!is_public(no[i])))
            fprintf(stderr, "  %s\n", no[i]);
}

/* ---- encoding --------------------------------------------------------------------------- */

static size_t pack(const char *text, size_t len, int window, unsigned char *out, size_t size)
{
    z_stream z = {0};
    size_t n;

    (void)deflateInit2(&z, 9, Z_DEFLATED, window, 9, Z_DEFAULT_STRATEGY);
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = (uInt)len;
    z.next_out = out;
    z.avail_out = (uInt)size;
    (void)deflate(&z, Z_FINISH);
    n = z.total_out;
    (void)deflateEnd(&z);
    return n;
}

static enum gw_status undo(const char *coding, const unsigned char *in, size_t n, size_t max,
                           struct gw_buf *out)
{
    struct gw_err err;

    return encoding_undo(gw_span_str(coding), (struct gw_span){(const char *)in, n}, max, out,
                         &err);
}

static void test_encoding(void)
{
    static unsigned char packed[1 << 16];
    static char zeros[1 << 24];
    const char *text = "{\"a\":\"some text, some text, some text\"}";
    const int windows[] = {31, 15};
    const char *const codings[] = {"GZIP", "deflate"};

    for (int k = 0; k < 2; k++) {
        size_t n = pack(text, strlen(text), windows[k], packed, sizeof(packed));
        struct gw_buf out = {0};
        bool all = true;

        CHECK(undo(codings[k], packed, n, 1000, &out) == GW_OK &&
              gw_span_is(gw_buf_span(&out), text));
        gw_buf_fini(&out);
        for (size_t cut = 0; cut < n; cut++) {
            all &= undo(codings[k], packed, cut, 1000, &out) == GW_EPARSE;
            gw_buf_fini(&out);
        }
        CHECK(all);
        packed[n] = 'x';
        CHECK(undo(codings[k], packed, n + 1, 1000, &out) == GW_EPARSE);
        gw_buf_fini(&out);
        CHECK(undo(codings[k], packed, n, 10, &out) == GW_ELIMIT);
        gw_buf_fini(&out);
        n = pack(zeros, sizeof(zeros), windows[k], packed, sizeof(packed));
        CHECK(undo(codings[k], packed, n, 1 << 30, &out) == GW_ELIMIT); /* a bomb */
        CHECK(out.len < 4u << 20);
        gw_buf_fini(&out);
        CHECK(undo("br", packed, n, 1000, &out) == GW_EUNSUPPORTED);
        CHECK(undo("gzip, gzip", packed, n, 1000, &out) == GW_EUNSUPPORTED);
        gw_buf_fini(&out);
    }
    CHECK(encoding_is_identity(GW_SPAN("")) && encoding_is_identity(GW_SPAN("Identity")));
    CHECK(!encoding_is_identity(GW_SPAN("gzip")));
}

/* ---- fields ----------------------------------------------------------------------------- */

static bool hop(const char *name, const char *connection)
{
    const struct http1_field f = {gw_span_str(name), GW_SPAN("v")};

    return field_is_hop(&f, gw_span_str(connection));
}

static void test_fields(void)
{
    CHECK(hop("Connection", "") && hop("TE", "") && hop("content-length", "") &&
          hop("Proxy-Authorization", "") && hop("Upgrade", ""));
    CHECK(!hop("Accept", "close") && hop("X-Mine", "close, x-mine") && hop("x-mine", "X-MINE ,a"));
    CHECK(!hop("x-min", "x-mine"));
    CHECK(field_is_credential(GW_SPAN("AUTHORIZATION")) && field_is_credential(GW_SPAN("cookie")));
    CHECK(!field_is_credential(GW_SPAN("accept")));
}

int main(void)
{
    test_address();
    test_encoding();
    test_fields();
    return test_done();
}
