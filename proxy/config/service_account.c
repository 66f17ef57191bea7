/* proxy/config/service_account.c - a Google service account's key. */
#include "proxy/config/service_account.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/base64.h"
#include "base/json_tree.h"

enum { MAX_ARENA = 1 << 20, LIFE_S = 3600 };

#define GOOGLE_TOKEN_URI "https://oauth2.googleapis.com/token"
#define SCOPE            "https://www.googleapis.com/auth/cloud-platform"

struct service_account {
    struct gw_arena *arena; /* of the strings below; wiped when freed */
    EVP_PKEY *key;
    struct gw_span email, id, token_uri, project;
};

void service_account_free(struct service_account *k)
{
    if (k == NULL)
        return;
    EVP_PKEY_free(k->key); /* wipes */
    gw_arena_free(k->arena);
    free(k);
}

const char *service_account_token_uri(const struct service_account *k)
{
    return k->token_uri.ptr;
}

const char *service_account_project(const struct service_account *k)
{
    return k->project.ptr;
}

/* ---- reading ------------------------------------------------------------------------------------- */

/* The member's text with a NUL behind it; `otherwise` when there is none. */
static struct gw_span text_of(const struct gw_json_node *root, const char *name,
                              const char *otherwise, struct gw_arena *arena)
{
    struct gw_span text = gw_json_text(gw_json_get(root, name), arena);

    return gw_arena_copy(arena, text.len == 0 ? gw_span_str(otherwise) : text);
}

static bool is_printable(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7F)
            return false;
    return true;
}

/* A signed statement is worth a token, so it travels encrypted, or not beyond this machine. */
static bool is_safe_uri(struct gw_span uri)
{
    static const char *const safe[] = {"https://",
                                       "http://127.0.0.1:", "http://localhost:", "http://[::1]:"};

    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        if (gw_span_starts(uri, gw_span_str(safe[i])))
            return is_printable(uri);
    return false;
}

/* Answers OpenSSL's question for a password: there is none. Without it, OpenSSL would ask the terminal. */
// NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's type
static int no_password(char *out, int size, int writing, void *ctx)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static EVP_PKEY *read_pem(struct gw_span pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);

    BIO_free(bio);
    if (key != NULL && EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        EVP_PKEY_free(key);
        return NULL;
    }
    return key;
}

static enum gw_status fill(struct service_account *k, const struct gw_json_node *root,
                           struct gw_err *err)
{
    struct gw_span type = text_of(root, "type", "", k->arena);
    struct gw_span pem = text_of(root, "private_key", "", k->arena);

    k->email = text_of(root, "client_email", "", k->arena);
    k->id = text_of(root, "private_key_id", "", k->arena);
    k->token_uri = text_of(root, "token_uri", GOOGLE_TOKEN_URI, k->arena);
    k->project = text_of(root, "project_id", "", k->arena);
    if (type.ptr == NULL || pem.ptr == NULL || k->email.ptr == NULL || k->id.ptr == NULL ||
        k->token_uri.ptr == NULL || k->project.ptr == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory, or a service account's key of many KiB");
    if (type.len != 0 && !gw_span_is(type, "service_account"))
        return gw_fail(err, GW_EUNSUPPORTED,
                       "these are credentials of type %.32s: only a service account's JSON key "
                       "can be used",
                       type.ptr);
    if (k->email.len == 0 || pem.len == 0)
        return gw_fail(err, GW_EPARSE,
                       "not a service account's JSON key: it has no client_email or private_key");
    if (!is_safe_uri(k->token_uri))
        return gw_fail(err, GW_EPARSE, "the service account's token_uri must begin with https://");
    k->key = read_pem(pem);
    if (k->key == NULL)
        return gw_fail(err, GW_EPARSE,
                       "the service account's private_key is not an RSA key in PEM");
    return GW_OK;
}

enum gw_status service_account_read(struct gw_span json, struct service_account **out,
                                    struct gw_err *err)
{
    struct service_account *k = calloc(1, sizeof(*k));
    struct gw_arena *scratch = gw_arena_new(MAX_ARENA);
    struct gw_json *tokenizer = gw_json_new();
    struct gw_json_node *root;
    enum gw_status st = GW_ENOMEM;

    if (k != NULL)
        k->arena = gw_arena_new(MAX_ARENA);
    if (k == NULL || k->arena == NULL || scratch == NULL || tokenizer == NULL) {
        (void)gw_fail(err, st, "out of memory");
        goto out;
    }
    st = gw_json_tree(tokenizer, scratch, json, NULL, &root, NULL);
    if (st != GW_OK || root->type != GW_JSON_OBJECT_BEGIN)
        st = gw_fail(err, GW_EPARSE, "not a service account's JSON key: it is not JSON");
    else
        st = fill(k, root, err);
out:
    gw_json_free(tokenizer);
    gw_arena_free(scratch); /* wipes the decoded key */
    if (st == GW_OK)
        *out = k;
    else
        service_account_free(k);
    return st;
}

/* ---- the statement ------------------------------------------------------------------------------- */

static void add_member(struct gw_buf *out, const char *name, struct gw_span value)
{
    gw_buf_adds(out, name);
    gw_buf_add_json_str(out, value);
}

static void add_claims(const struct service_account *k, int64_t now_s, struct gw_buf *out)
{
    struct gw_buf text = {0};

    gw_buf_adds(&text, "{\"alg\":\"RS256\",\"typ\":\"JWT\"");
    if (k->id.len != 0)
        add_member(&text, ",\"kid\":", k->id);
    gw_buf_addc(&text, '}');
    gw_base64url(out, gw_buf_span(&text));
    gw_buf_addc(out, '.');
    out->failed = out->failed || text.failed;

    gw_buf_clear(&text);
    add_member(&text, "{\"iss\":", k->email);
    add_member(&text, ",\"scope\":", GW_SPAN(SCOPE));
    add_member(&text, ",\"aud\":", k->token_uri);
    gw_buf_printf(&text, ",\"iat\":%lld,\"exp\":%lld}", (long long)now_s,
                  (long long)now_s + LIFE_S);
    gw_base64url(out, gw_buf_span(&text));
    out->failed = out->failed || text.failed;
    gw_buf_fini(&text);
}

enum gw_status service_account_assert(const struct service_account *k, int64_t now_s,
                                      struct gw_buf *out, struct gw_err *err)
{
    struct gw_buf claims = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char signature[1024]; /* of a key of 8,192 bits */
    size_t n = sizeof(signature);
    enum gw_status st;

    add_claims(k, now_s, &claims);
    if (ctx == NULL || !gw_buf_ok(&claims)) {
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    } else if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, k->key) != 1 ||
               EVP_DigestSign(ctx, signature, &n, (const unsigned char *)claims.ptr, claims.len) !=
                   1) {
        st = gw_fail(err, GW_EIO, "the service account's key cannot sign");
    } else {
        gw_buf_add(out, gw_buf_span(&claims));
        gw_buf_addc(out, '.');
        gw_base64url(out, (struct gw_span){(const char *)signature, n});
        st = gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
    }
    EVP_MD_CTX_free(ctx);
    gw_buf_fini(&claims);
    return st;
}
