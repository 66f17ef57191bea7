/* Unit tests of proxy/identity/jwt*.c and base64url.c: the vectors of RFC 7515 and 8037, and what must be refused. Tokens
 * that another implementation signed are in tests/e2e/identity.py. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/config/config.h"
#include "proxy/identity/base64url.h"
#include "proxy/identity/jwt.h"
#include "tests/test.h"

#define RSA_N                                                                                      \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-"                        \
    "4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-"                                                                \
    "yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"                           \
    "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"                                                            \
    "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-"         \
    "DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"

#define RSA_JWK "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\""
#define EC_JWK  "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""
#define ED_JWK  "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\""

/* RFC 7515 A.2 and A.3: {"iss":"joe", "exp":1300819380, ...} */
#define RFC_PAYLOAD                                                                                \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVl" \
    "fQ"
static const char rs256[] =
    "eyJhbGciOiJSUzI1NiJ9." RFC_PAYLOAD "."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_"
    "O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
    "nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
    "eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igc"
    "N_"
    "IoypGlUPQGe77Rw";
static const char es256[] =
    "eyJhbGciOiJFUzI1NiJ9." RFC_PAYLOAD "."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
/* RFC 8037 A.4; its payload is no JSON, so it is no token. */
static const char eddsa[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
static const char eddsa_signature[] =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

static struct gw_arena *arena;
static struct gw_json *json;

static struct jwt_keys *keys_of(const char *text)
{
    struct jwt_keys *keys = NULL;
    struct gw_err err = {0};

    if (jwt_keys_read(gw_span_str(text), &keys, &err) != GW_OK && err.text[0] == '\0')
        CHECK(!"an error says why");
    return keys;
}

static enum gw_status read_token(struct gw_span text, struct jwt *t)
{
    const char *why = NULL;
    enum gw_status st;

    gw_arena_reset(arena);
    st = jwt_read(text, arena, json, t, &why);
    CHECK(why != NULL && why[0] != '\0');
    return st;
}

static enum gw_status verify(const char *token, const struct jwt_keys *keys)
{
    struct jwt t;
    enum gw_status st = read_token(gw_span_str(token), &t);

    return st == GW_OK ? jwt_verify(&t, keys) : st;
}

/* ---- the RFCs' own examples ----------------------------------------------------------------------- */

static void test_rfc_vectors(void)
{
    struct jwt_keys *all = keys_of("{\"keys\":[" RSA_JWK "}," EC_JWK "}," ED_JWK "}]}");
    struct jwt t = {.algorithm = PROXY_JWT_EDDSA};

    if (!CHECK(all != NULL))
        return;
    CHECK(jwt_keys_count(all) == 3);
    CHECK(verify(rs256, all) == GW_OK && verify(es256, all) == GW_OK);
    gw_arena_reset(arena);
    t.signed_text = gw_span_str(eddsa);
    t.signature = base64url_decode(arena, gw_span_str(eddsa_signature));
    CHECK(jwt_verify(&t, all) == GW_OK);
    t.signed_text.len--;
    CHECK(jwt_verify(&t, all) == GW_EDENIED);
    jwt_keys_unref(all);
}

/* No text that differs in one place, and no part of one, verifies. */
static void test_no_other_text_verifies(void)
{
    struct jwt_keys *all = keys_of("{\"keys\":[" RSA_JWK "}," EC_JWK "}]}");
    static const char *const good[] = {rs256, es256};
    static const char other[] = "Aa0-_.=+ \n";
    char text[1024];
    unsigned n = 0;

    if (!CHECK(all != NULL))
        return;
    for (unsigned g = 0; g < 2; g++) {
        size_t len = strlen(good[g]);

        for (size_t i = 0; i < len; i++) {
            memcpy(text, good[g], len + 1);
            text[i] = other[i % (sizeof(other) - 1)];
            if (text[i] != good[g][i])
                n += verify(text, all) == GW_OK;
        }
        for (size_t i = 0; i < len; i += 3) {
            memcpy(text, good[g], i);
            text[i] = '\0';
            n += verify(text, all) == GW_OK;
        }
        (void)snprintf(text, sizeof(text), "%s=", good[g]);
        n += verify(text, all) == GW_OK;
        (void)snprintf(text, sizeof(text), "%s.", good[g]);
        n += verify(text, all) == GW_OK;
    }
    CHECK(n == 0);
    jwt_keys_unref(all);
}

/* ---- strictness ------------------------------------------------------------------------------------ */

static void test_base64url(void)
{
    static const char *const bad[] = {
        "A", "AAAAA", "AB", "AAB", "AA==", "A+AA", "A/AA", "A AA", "AA\n"};
    struct gw_span out;

    gw_arena_reset(arena);
    out = base64url_decode(arena, GW_SPAN("-_8"));
    CHECK(out.len == 2 && (unsigned char)out.ptr[0] == 0xFB && (unsigned char)out.ptr[1] == 0xFF);
    out = base64url_decode(arena, GW_SPAN(""));
    CHECK(out.ptr != NULL && out.len == 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(base64url_decode(arena, gw_span_str(bad[i])).ptr == NULL);
}

/* RFC 4648 section 5, for tokens of our own making. */
static void put64(struct gw_buf *out, const char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned bits = 0, n = 0;

    for (; *text != '\0'; text++) {
        bits = bits << 8 | (unsigned char)*text;
        for (n += 8; n >= 6; n -= 6)
            gw_buf_addc(out, digits[bits >> (n - 6) & 63]);
    }
    if (n > 0)
        gw_buf_addc(out, digits[bits << (6 - n) & 63]);
}

static enum gw_status read_made(const char *header, const char *claims, struct jwt *t)
{
    static struct gw_buf text; /* what t points to lies in it */

    gw_buf_clear(&text);
    put64(&text, header);
    gw_buf_addc(&text, '.');
    put64(&text, claims);
    gw_buf_adds(&text, ".c2ln");
    return read_token(gw_buf_span(&text), t);
}

static void test_headers(void)
{
    static const struct {
        const char *header;
        enum gw_status want;
    } cases[] = {
        {"{\"alg\":\"RS256\"}", GW_OK},
        {"{\"alg\":\"RS256\",\"typ\":\"at+JWT\",\"kid\":\"a\"}", GW_OK},
        {"{\"alg\":\"RS256\",\"typ\":\"application/at+jwt\"}", GW_OK},
        {"{\"alg\":\"RS256\",\"jku\":\"https://evil.test\",\"x5c\":[],\"jwk\":{}}",
         GW_OK}, /* not looked at */
        {"{\"alg\":\"none\"}", GW_EUNSUPPORTED},
        {"{\"alg\":\"None\"}", GW_EUNSUPPORTED},
        {"{\"alg\":\"\"}", GW_EUNSUPPORTED},
        {"{\"alg\":\"HS256\"}", GW_EUNSUPPORTED},
        {"{\"alg\":\"rs256\"}", GW_EUNSUPPORTED},
        {"{\"alg\":[\"RS256\"]}", GW_EUNSUPPORTED},
        {"{\"typ\":\"JWT\"}", GW_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"crit\":[\"exp\"],\"exp\":1}", GW_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"crit\":[]}", GW_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"b64\":false}", GW_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"cty\":\"JWT\"}", GW_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"enc\":\"A128GCM\"}", GW_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"zip\":\"DEF\"}", GW_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"typ\":\"logout+jwt\"}", GW_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"typ\":1}", GW_EUNSUPPORTED},
        {"{\"alg\":\"RS256\",\"kid\":1}", GW_EPARSE},
        {"{\"alg\":\"RS256\",\"kid\":\"\"}", GW_EPARSE},
        {"{\"alg\":\"none\",\"alg\":\"RS256\"}", GW_EPARSE}, /* two readers would disagree */
        {"[\"RS256\"]", GW_EPARSE},
        {"{\"alg\":\"RS256\"} ", GW_OK},
        {"{\"alg\":\"RS256\"}x", GW_EPARSE},
        {"", GW_EPARSE},
    };
    struct jwt t;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum gw_status st = read_made(cases[i].header, "{\"iss\":\"a\"}", &t);

        if (!CHECK(st == cases[i].want))
            fprintf(stderr, "  %s: %s\n", cases[i].header, gw_status_name(st));
    }
}

static void test_shapes(void)
{
    static const char *const bad[] = {"",     ".",    "..",   "a.b",         "a.b.c.d",
                                      "a..c", ".b.c", "a.b.", "e30.e30.e30", "e30.e30.%%%"};
    char *large = malloc(JWT_MAX_BYTES + 20);
    struct jwt t;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(read_token(gw_span_str(bad[i]), &t) != GW_OK);
    CHECK(!jwt_looks_like(GW_SPAN("sk-proj-abc")) && !jwt_looks_like(GW_SPAN("a.b")) &&
          !jwt_looks_like(GW_SPAN("a.b.c.d")) && !jwt_looks_like(GW_SPAN("a.b c.d")) &&
          jwt_looks_like(gw_span_str(es256)));
    if (!CHECK(large != NULL))
        return;
    memset(large, 'A', JWT_MAX_BYTES + 20);
    large[10] = large[20] = '.';
    CHECK(read_token((struct gw_span){large, JWT_MAX_BYTES + 1}, &t) == GW_ELIMIT);
    free(large);
}

/* ---- claims ---------------------------------------------------------------------------------------- */

static enum gw_status times(const char *claims, int64_t now_s)
{
    const struct jwt_times at = {now_s, 10};
    const char *why = NULL;
    struct jwt_validity v;
    struct jwt t;

    if (!CHECK(read_made("{\"alg\":\"RS256\"}", claims, &t) == GW_OK))
        return GW_EINVAL;
    return jwt_check_times(&t, &at, &v, &why);
}

static void test_times(void)
{
    CHECK(times("{\"exp\":1000}", 999) == GW_OK && times("{\"exp\":1000}", 1009) == GW_OK);
    CHECK(times("{\"exp\":1000}", 1010) == GW_ETIMEDOUT);
    CHECK(times("{\"exp\":1000,\"nbf\":500}", 490) == GW_OK);
    CHECK(times("{\"exp\":1000,\"nbf\":500}", 489) == GW_EDENIED);
    CHECK(times("{\"exp\":1000,\"iat\":500}", 489) == GW_EDENIED);
    CHECK(times("{}", 1) == GW_EPARSE && times("{\"exp\":\"1000\"}", 1) == GW_EPARSE);
    CHECK(times("{\"exp\":1e3}", 1) == GW_EPARSE && times("{\"exp\":-5}", 1) == GW_EPARSE);
    CHECK(times("{\"exp\":99999999999999999999}", 1) == GW_EPARSE);
    CHECK(times("{\"exp\":1000,\"nbf\":null}", 1) == GW_EPARSE);
}

static bool audience(const char *claims)
{
    static const struct gw_span names[] = {{"one", 3}, {"two", 3}};
    struct jwt t;

    return read_made("{\"alg\":\"RS256\"}", claims, &t) == GW_OK && jwt_has_audience(&t, names, 2);
}

static void test_audience_and_paths(void)
{
    struct jwt t;

    CHECK(audience("{\"aud\":\"two\"}") && audience("{\"aud\":[\"x\",\"one\"]}"));
    CHECK(!audience("{\"aud\":\"three\"}") && !audience("{\"aud\":[]}") && !audience("{}"));
    CHECK(!audience("{\"aud\":{\"one\":1}}") && !audience("{\"aud\":[[\"one\"]]}") &&
          !audience("{\"aud\":\"one two\"}"));
    CHECK(read_made("{\"alg\":\"RS256\"}",
                    "{\"a\":{\"b\":{\"c\":7}},\"https://x.test/g\":1,\"a.z\":2}", &t) == GW_OK);
    CHECK(gw_json_uint(jwt_claim(&t, "a.b.c", arena), 0) == 7);
    CHECK(gw_json_uint(jwt_claim(&t, "https://x.test/g", arena), 0) == 1);
    CHECK(gw_json_uint(jwt_claim(&t, "a.z", arena), 0) == 2);
    CHECK(jwt_claim(&t, "a.b.d", arena) == NULL && jwt_claim(&t, "z", arena) == NULL &&
          jwt_claim(&t, "a.b.c.d", arena) == NULL);
}

/* ---- keys ------------------------------------------------------------------------------------------ */

/* What a key that is named, stated or shaped otherwise may not verify. */
static void test_key_confusion(void)
{
    static const struct {
        const char *set;
        enum gw_status rsa, ec;
    } cases[] = {
        {"{\"keys\":[" EC_JWK "}]}", GW_ENOENT, GW_OK},
        {"{\"keys\":[" RSA_JWK "}]}", GW_OK, GW_ENOENT},
        {"{\"keys\":[" RSA_JWK ",\"alg\":\"PS256\"}," EC_JWK ",\"alg\":\"ES256\"}]}", GW_ENOENT,
         GW_OK},
        {"{\"keys\":[" RSA_JWK ",\"alg\":\"RS512\"}," EC_JWK "}]}", GW_ENOENT, GW_OK},
        {"{\"keys\":[" RSA_JWK ",\"use\":\"sig\",\"key_ops\":[\"verify\"]}," EC_JWK "}]}", GW_OK,
         GW_OK},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jwt_keys *keys = keys_of(cases[i].set);

        if (!CHECK(keys != NULL))
            continue;
        CHECK(verify(rs256, keys) == cases[i].rsa);
        CHECK(verify(es256, keys) == cases[i].ec);
        jwt_keys_unref(keys);
    }
}

static void test_useless_keys(void)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[1,null,\"x\",{}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
        "{\"keys\":[" RSA_JWK ",\"use\":\"enc\"}]}",
        "{\"keys\":[" RSA_JWK ",\"key_ops\":[\"encrypt\"]}]}",
        "{\"keys\":[" RSA_JWK ",\"d\":\"AQAB\"}]}",
        "{\"keys\":[" RSA_JWK ",\"alg\":\"HS256\"}]}",
        "{\"keys\":[" RSA_JWK ",\"alg\":\"ES256\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}]}", /* e is 1 */
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"Ag\"}]}", /* even */
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuS\",\"e\":\"AQAB\"}"
        "]}", /* short */
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_Y "\",\"y\":\"" EC_X
        "\"}]}", /* off the curve */
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"}]}",
        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}]}",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!CHECK(keys_of(bad[i]) == NULL))
            fprintf(stderr, "  %s\n", bad[i]);
}

/* A key id decides which key is asked; without one all that suit are tried. */
static void test_key_ids(void)
{
    struct jwt_keys *keys =
        keys_of("{\"keys\":[" RSA_JWK ",\"kid\":\"r\"}," EC_JWK ",\"kid\":\"e\"}]}");
    struct jwt t;

    if (!CHECK(keys != NULL))
        return;
    CHECK(read_token(gw_span_str(rs256), &t) == GW_OK);
    CHECK(jwt_verify(&t, keys) == GW_OK);
    t.kid = GW_SPAN("r");
    CHECK(jwt_verify(&t, keys) == GW_OK);
    t.kid = GW_SPAN("e"); /* known, and of another kind */
    CHECK(jwt_verify(&t, keys) == GW_EDENIED);
    t.kid = GW_SPAN("unknown");
    CHECK(jwt_verify(&t, keys) == GW_ENOENT);
    jwt_keys_unref(keys);
    jwt_keys_unref(NULL);
}

int main(void)
{
    arena = gw_arena_new((size_t)1 << 20);
    json = gw_json_new();
    if (arena == NULL || json == NULL)
        return 2;
    test_rfc_vectors();
    test_no_other_text_verifies();
    test_base64url();
    test_headers();
    test_shapes();
    test_times();
    test_audience_and_paths();
    test_key_confusion();
    test_useless_keys();
    test_key_ids();
    gw_json_free(json);
    gw_arena_free(arena);
    return test_done();
}
