/* tests/mock/cloud.c - the clouds' ways in: Vertex AI (projects, publishers), Google's token endpoint and metadata server,
 * and the path of Bedrock. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "tests/mock/mock.h"

#define TOKEN_PREFIX  "ya29.mock-"
#define MAX_ASSERTION 8192

static time_t token_made; /* newest token; 0: none yet */
static unsigned long token_number;

/* ---- tokens ------------------------------------------------------------------------------ */

/* base64url without padding, NUL-terminated; the length, or -1. */
static int decode_base64url(struct gw_span in, unsigned char *out, size_t cap)
{
    char padded[MAX_ASSERTION + 4];
    size_t n = in.len;
    int len;

    if (n == 0 || n > MAX_ASSERTION || n % 4 == 1 || (n + 3) / 4 * 3 >= cap)
        return -1;
    memcpy(padded, in.ptr, n);
    for (size_t i = 0; i < n; i++)
        if (padded[i] == '-')
            padded[i] = '+';
        else if (padded[i] == '_')
            padded[i] = '/';
    while (n % 4 != 0)
        padded[n++] = '=';
    len = EVP_DecodeBlock(out, (const unsigned char *)padded, (int)n) - (int)(n - in.len);
    if (len >= 0)
        out[len] = '\0';
    return len;
}

static bool signature_holds(struct gw_span signed_part, const unsigned char *sig, size_t sig_len)
{
    FILE *f = fopen(mock_options.token_pub, "r");
    EVP_PKEY *key = f == NULL ? NULL : PEM_read_PUBKEY(f, NULL, NULL, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = key != NULL && ctx != NULL &&
              EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestVerify(ctx, sig, sig_len, (const unsigned char *)signed_part.ptr,
                               signed_part.len) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (f != NULL)
        (void)fclose(f);
    return ok;
}

static const char *check_claims(const unsigned char *json, int len, struct mock_call *m)
{
    struct gw_json_node *root = NULL;
    struct gw_err err;
    uint64_t iat, exp, now = (uint64_t)time(NULL);

    if (gw_json_tree(m->json, m->arena, (struct gw_span){(const char *)json, (size_t)len}, NULL,
                     &root, &err) != GW_OK)
        return "the claims are not JSON";
    if (gw_json_text(gw_json_get(root, "iss"), m->arena).len == 0 ||
        gw_json_text(gw_json_get(root, "aud"), m->arena).len == 0 ||
        gw_json_text(gw_json_get(root, "scope"), m->arena).len == 0)
        return "iss, aud and scope are required";
    iat = gw_json_uint(gw_json_get(root, "iat"), 0);
    exp = gw_json_uint(gw_json_get(root, "exp"), 0);
    if (iat > now + 60 || exp <= now || exp > iat + 3600)
        return "iat and exp are not within an hour of now";
    return NULL;
}

/* NULL when the JWT is what Google takes. */
static const char *check_assertion(struct gw_span jwt, struct mock_call *m)
{
    static unsigned char head[MAX_ASSERTION], claims[MAX_ASSERTION], sig[MAX_ASSERTION];
    const char *dot = mock_find_char(jwt, '.');
    const char *dot2 =
        dot == NULL ? NULL : memchr(dot + 1, '.', (size_t)(jwt.ptr + jwt.len - dot - 1));
    int n_claims, n_sig;

    if (dot2 == NULL)
        return "the assertion has not three parts";
    n_claims = decode_base64url((struct gw_span){dot + 1, (size_t)(dot2 - dot - 1)}, claims,
                                sizeof(claims));
    n_sig = decode_base64url((struct gw_span){dot2 + 1, (size_t)(jwt.ptr + jwt.len - dot2 - 1)},
                             sig, sizeof(sig));
    if (decode_base64url((struct gw_span){jwt.ptr, (size_t)(dot - jwt.ptr)}, head, sizeof(head)) <
            0 ||
        n_claims < 0 || n_sig < 256)
        return "the assertion is not base64url, or its signature is short";
    if (strstr((const char *)head, "\"RS256\"") == NULL)
        return "alg is not RS256";
    if (mock_options.token_pub != NULL &&
        !signature_holds((struct gw_span){jwt.ptr, (size_t)(dot2 - jwt.ptr)}, sig, (size_t)n_sig))
        return "Invalid JWT Signature.";
    return check_claims(claims, n_claims, m);
}

static void give_token(struct mock_call *m)
{
    token_made = time(NULL);
    token_number++;
    gw_buf_printf(&m->out,
                  "{\"access_token\":\"" TOKEN_PREFIX "%lu\",\"expires_in\":%u,\"token_type\":"
                  "\"Bearer\"}",
                  token_number, mock_options.token_lifetime);
    mock_send_json(m, gw_buf_span(&m->out));
}

static void answer_token(struct mock_call *m)
{
    static const char grant[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer";
    static const char mark[] = "assertion=";
    const char *p =
        m->body.len == 0 ? NULL : memmem(m->body.ptr, m->body.len, mark, sizeof(mark) - 1);
    struct gw_span jwt = {NULL, 0};
    const char *why;

    if (p != NULL) {
        jwt = gw_span_from(m->body, (size_t)(p - m->body.ptr) + sizeof(mark) - 1);
        p = mock_find_char(jwt, '&');
        jwt.len = p == NULL ? jwt.len : (size_t)(p - jwt.ptr);
    }
    why = m->body.len == 0 || memmem(m->body.ptr, m->body.len, grant, sizeof(grant) - 1) == NULL
              ? "grant_type is not jwt-bearer"
              : check_assertion(jwt, m);
    if (why == NULL) {
        give_token(m);
        return;
    }
    gw_buf_printf(&m->out, "{\"error\":\"invalid_grant\",\"error_description\":\"%s\"}", why);
    mock_send(m, 400, "application/json", gw_buf_span(&m->out));
}

/* ---- Vertex ------------------------------------------------------------------------------ */

static bool has_token(const struct mock_call *m)
{
    struct gw_span auth = mock_field(m, "authorization");
    char want[64];

    (void)snprintf(want, sizeof(want), "Bearer " TOKEN_PREFIX "%lu", token_number);
    return gw_span_is(auth, want) && time(NULL) < token_made + (time_t)mock_options.token_lifetime;
}

/* The path from behind that on; empty when it is not there. */
static struct gw_span behind(struct gw_span path, const char *mark)
{
    const char *p = memmem(path.ptr, path.len, mark, strlen(mark));

    return p == NULL ? (struct gw_span){NULL, 0}
                     : gw_span_from(path, (size_t)(p - path.ptr) + strlen(mark));
}

/* Claude on Vertex: the model stands in the path, but for counting, and the version in the body. */
static void answer_claude(struct mock_call *m, struct gw_span name)
{
    const char *colon = mock_find_char(name, ':');
    struct gw_span verb = colon == NULL ? name : gw_span_from(name, (size_t)(colon - name.ptr) + 1);
    bool counts = gw_span_starts(name, GW_SPAN("count-tokens:"));

    if (!gw_span_is(verb, "rawPredict") && !gw_span_is(verb, "streamRawPredict")) {
        mock_send_error(m, 404, "unknown method");
        return;
    }
    if (!gw_json_text_is(gw_json_get(m->root, "anthropic_version"), "vertex-2023-10-16") ||
        (gw_json_get(m->root, "model") != NULL) != counts) {
        mock_send_error(m, 400,
                        "anthropic_version: must be vertex-2023-10-16, the model in the path");
        return;
    }
    if (!counts)
        m->model = (struct gw_span){name.ptr, name.len - verb.len - 1};
    mock_anthropic(m, counts ? GW_SPAN("/messages/count_tokens") : GW_SPAN("/messages"));
}

/* The error that was asked for; Claude's have Anthropic's form here too. */
static void send_status(struct mock_call *m, bool claude)
{
    if (claude)
        m->family = MOCK_ANTHROPIC;
    mock_send_error(m, m->plan.status, NULL);
}

static void answer_vertex(struct mock_call *m)
{
    struct gw_span google = behind(m->path, "/publishers/google/models/"),
                   claude = behind(m->path, "/publishers/anthropic/models/");

    m->family = MOCK_VERTEX;
    if (!has_token(m))
        mock_send_error(m, 401, "Request had invalid authentication credentials.");
    else if (m->bad_json)
        mock_send_error(m, 400, "Invalid JSON payload received.");
    else if (m->plan.status != 200)
        send_status(m, claude.len != 0);
    else if (google.len != 0)
        mock_gemini(m, google);
    else if (claude.len != 0)
        answer_claude(m, claude);
    else if (gw_span_ends(m->path, GW_SPAN("/endpoints/openapi/chat/completions")))
        mock_chat(m);
    else
        mock_send_error(m, 404, "Not Found");
}

bool mock_cloud(struct mock_call *m)
{
    if (mock_options.bench)
        return false;
    if (gw_span_is(m->path, "/token")) {
        answer_token(m);
    } else if (gw_span_is(m->path, "/computeMetadata/v1/instance/service-accounts/default/token")) {
        m->family = MOCK_VERTEX;
        if (gw_span_is(mock_field(m, "metadata-flavor"), "Google"))
            give_token(m);
        else
            mock_send_error(m, 403, "Missing Metadata-Flavor:Google header.");
    } else if (gw_span_starts(m->path, GW_SPAN("/model/"))) {
        mock_bedrock(m);
    } else if (gw_span_starts(m->path, GW_SPAN("/v1/projects/")) ||
               gw_span_starts(m->path, GW_SPAN("/v1beta1/projects/"))) {
        answer_vertex(m);
    } else {
        return false;
    }
    return true;
}
