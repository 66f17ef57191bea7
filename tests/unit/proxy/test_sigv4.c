/* Unit tests of proxy/provider/sigv4.c. The first cases are AWS's published test suite for Signature Version 4; the others were
 * computed with botocore 1.44.5 (SigV4Auth) and, independently, with Python's hmac and hashlib. */
#include <string.h>

#include "proxy/provider/sigv4.h"
#include "tests/test.h"

#define EXAMPLE_SECRET                                                                             \
    "wJalrXUtnFEMI/K7MDENG"                                                                        \
    "+bPxRfiCYEXAMPLEKEY"

static void authorization_is(const struct sigv4_request *r, const char *want)
{
    struct gw_buf out = {0};

    if (!CHECK(sigv4_authorize(r, &out) == GW_OK && gw_span_is(gw_buf_span(&out), want)))
        fprintf(stderr, "  want: %s\n  got: %s\n", want, out.ptr);
    gw_buf_fini(&out);
}

static void test_published_suite(void)
{
#define HOST                                                                                       \
    {                                                                                              \
        "host", GW_SPAN("example.amazonaws.com")                                                   \
    }
#define DATE                                                                                       \
    {                                                                                              \
        "x-amz-date", GW_SPAN("20150830T123600Z")                                                  \
    }
#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    const struct {
        const char *method, *path, *body;
        struct sigv4_field fields[4];
        unsigned n_fields;
        const char *names, *signature;
    } cases[] = {
        {"GET",
         "/",
         "",
         {HOST, DATE},
         2,
         "host;x-amz-date", /* get-vanilla */
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {"POST",
         "/",
         "",
         {HOST, DATE},
         2,
         "host;x-amz-date", /* post-vanilla */
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {"GET",
         "/\xE1\x88\xB4",
         "",
         {HOST, DATE},
         2,
         "host;x-amz-date", /* get-utf8 */
         "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
        {"GET",
         "/" UNRESERVED,
         "",
         {HOST, DATE},
         2,
         "host;x-amz-date", /* get-unreserved */
         "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
        {"GET",
         "/example space/",
         "",
         {HOST, DATE},
         2,
         "host;x-amz-date", /* get-space */
         "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
        {"POST",
         "/",
         "Param1=value1", /* post-x-www-form-urlencoded */
         {{"content-type", GW_SPAN("application/x-www-form-urlencoded")}, HOST, DATE},
         3,
         "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
        {"GET",
         "/",
         "", /* get-header-value-trim */
         {HOST,
          {"my-header1", GW_SPAN("  value1 ")},
          {"my-header2", GW_SPAN(" \"a   b   c\"")},
          DATE},
         4,
         "host;my-header1;my-header2;x-amz-date",
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sigv4_request r = {.method = gw_span_str(cases[i].method),
                                  .path = gw_span_str(cases[i].path),
                                  .fields = cases[i].fields,
                                  .n_fields = cases[i].n_fields,
                                  .body = gw_span_str(cases[i].body),
                                  .region = "us-east-1",
                                  .service = "service",
                                  .access_key = GW_SPAN("AKIDEXAMPLE"),
                                  .secret_key = GW_SPAN(EXAMPLE_SECRET),
                                  .now_s = 1440938160};
        char want[300];

        (void)snprintf(want, sizeof(want),
                       "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
                       "aws4_request, SignedHeaders=%s, Signature=%s",
                       cases[i].names, cases[i].signature);
        authorization_is(&r, want);
    }
}

static void test_every_input_counts(void)
{
    struct sigv4_field fields[] = {HOST, DATE};
    const struct sigv4_request plain = {.method = GW_SPAN("POST"),
                                        .path = GW_SPAN("/model/a%3A0/invoke"),
                                        .fields = fields,
                                        .n_fields = 2,
                                        .body = GW_SPAN("{}"),
                                        .region = "us-east-1",
                                        .service = "bedrock",
                                        .access_key = GW_SPAN("AKIDEXAMPLE"),
                                        .secret_key = GW_SPAN(EXAMPLE_SECRET),
                                        .now_s = 1440938160};
    struct sigv4_request r[6] = {plain, plain, plain, plain, plain, plain};
    struct gw_buf out[6] = {{0}};

    r[1].path = GW_SPAN("/model/a:0/invoke");
    r[2].body = GW_SPAN("{ }");
    r[3].region = "eu-west-1";
    r[4].secret_key = GW_SPAN("other");
    r[5].now_s += 86400;
    for (unsigned i = 0; i < 6; i++) {
        CHECK(sigv4_authorize(&r[i], &out[i]) == GW_OK && out[i].len > 64);
        for (unsigned k = 0; k < i; k++)
            CHECK(memcmp(out[i].ptr + out[i].len - 64, out[k].ptr + out[k].len - 64, 64) != 0);
    }
    for (unsigned i = 0; i < 6; i++)
        gw_buf_fini(&out[i]);
}

static void test_time(void)
{
    char text[SIGV4_TIME_BYTES];

    sigv4_time(1440938160, text);
    CHECK(strcmp(text, "20150830T123600Z") == 0);
    sigv4_time(951782399, text); /* the 29th of February 2000 begins a second later */
    CHECK(strcmp(text, "20000228T235959Z") == 0);
}

int main(void)
{
    test_published_suite();
    test_every_input_counts();
    test_time();
    return test_done();
}
