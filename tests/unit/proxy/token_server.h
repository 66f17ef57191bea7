/* tests/unit/proxy/token_server.h - a token server for the tests of proxy/provider/provider_token.c: one HTTP/1.1 request a
 * connection, on a loopback port, in a thread. It reads the JWT of the grant and has OpenSSL judge its signature. */
#ifndef TESTS_UNIT_PROXY_TOKEN_SERVER_H
#define TESTS_UNIT_PROXY_TOKEN_SERVER_H

#include <arpa/inet.h>
#include <sys/socket.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/buf.h"

/* How it answers. */
enum server_mode {
    SERVER_GRANT,   /* a token, when the grant is right */
    SERVER_REFUSE,  /* 400 invalid_grant */
    SERVER_NO_JSON, /* 200 with something else */
    SERVER_ODD,     /* 200, but the token holds a line break */
    SERVER_HUGE,    /* more than anybody should read */
    SERVER_SILENT,  /* no answer until it is stopped */
};

struct token_server {
    EVP_PKEY *key; /* whose public half judges; the account's */
    int fd, port;
    pthread_t thread;
    atomic_int stop;
    atomic_int mode;    /* enum server_mode */
    atomic_int life_s;  /* expires_in */
    atomic_int n_asked; /* requests */
    atomic_int n_good;  /* grants that were right in every respect */
    char claims[2048];  /* of the last good grant, decoded */
    char header[512];
};

static inline size_t base64url_decode(const char *text, size_t n, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned bits = 0, have = 0;
    size_t used = 0;

    for (size_t i = 0; i < n; i++) {
        const char *p = strchr(digits, text[i]);

        if (text[i] == '\0' || p == NULL)
            return 0;
        bits = bits << 6 | (unsigned)(p - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[used++] = (char)(bits >> have & 0xFF);
        }
    }
    out[used] = '\0';
    return used;
}

/* True for header.claims.signature with a signature of the key. */
static inline bool jwt_is_right(struct token_server *s, const char *jwt, size_t n)
{
    const char *dot = memchr(jwt, '.', n);
    const char *second = dot == NULL ? NULL : memchr(dot + 1, '.', n - (size_t)(dot + 1 - jwt));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    char signature[1024];
    size_t len;
    bool ok;

    if (second == NULL || n > 2000)
        return false;
    len = base64url_decode(second + 1, n - (size_t)(second + 1 - jwt), signature);
    ok = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, s->key) == 1 &&
         EVP_DigestVerify(ctx, (const unsigned char *)signature, len, (const unsigned char *)jwt,
                          (size_t)(second - jwt)) == 1;
    EVP_MD_CTX_free(ctx);
    (void)base64url_decode(jwt, (size_t)(dot - jwt), s->header);
    (void)base64url_decode(dot + 1, (size_t)(second - dot - 1), s->claims);
    return ok;
}

static inline bool grant_is_right(struct token_server *s, const char *request, const char *body)
{
    static const char grant[] =
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=";
    static const char metadata[] =
        "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1\r\n";

    if (strncmp(request, metadata, sizeof(metadata) - 1) == 0)
        return strstr(request, "\r\nMetadata-Flavor: Google\r\n") != NULL && body[0] == '\0';
    return strncmp(request, "POST /token HTTP/1.1\r\n", 22) == 0 &&
           strstr(request, "\r\nContent-Type: application/x-www-form-urlencoded\r\n") != NULL &&
           strncmp(body, grant, sizeof(grant) - 1) == 0 &&
           jwt_is_right(s, body + sizeof(grant) - 1, strlen(body) - (sizeof(grant) - 1));
}

static inline void token_answer(struct token_server *s, int fd, const char *request,
                                const char *body)
{
    struct gw_buf json = {0}, out = {0};
    bool good = grant_is_right(s, request, body);
    int mode = s->mode;

    s->n_asked++;
    if (good)
        s->n_good++;
    if (mode == SERVER_NO_JSON)
        gw_buf_adds(&json, "<html>");
    else if (mode == SERVER_REFUSE || !good)
        gw_buf_adds(&json, "{\"error\":\"invalid_grant\",\"error_description\":\"no\"}");
    else if (mode == SERVER_ODD)
        gw_buf_adds(&json, "{\"access_token\":\"a\\r\\nX-Evil: 1\",\"expires_in\":3600}");
    else
        gw_buf_printf(&json,
                      "{\"access_token\":\"ya29.token-%d\",\"expires_in\":%d,\"token_type\":"
                      "\"Bearer\"}",
                      s->n_good, s->life_s);
    for (unsigned i = 0; mode == SERVER_HUGE && i < 20000; i++)
        gw_buf_adds(&json, "                ");
    gw_buf_printf(&out, "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                  mode == SERVER_REFUSE || !good ? "400 Bad Request" : "200 OK", json.len);
    gw_buf_add(&out, gw_buf_span(&json));
    for (size_t at = 0; at < out.len;) {
        ssize_t n = send(fd, out.ptr + at, out.len - at, MSG_NOSIGNAL);

        if (n <= 0)
            break;
        at += (size_t)n;
    }
    gw_buf_fini(&json);
    gw_buf_fini(&out);
}

/* Reads one request: head and as much body as it says. */
static inline void token_serve(struct token_server *s, int fd)
{
    static char request[16384];
    size_t n = 0, want = 0;
    char *end = NULL;
    ssize_t got;

    while (n < sizeof(request) - 1 && (end == NULL || n < want) &&
           (got = recv(fd, request + n, sizeof(request) - 1 - n, 0)) > 0) {
        const char *length;

        n += (size_t)got;
        request[n] = '\0';
        end = strstr(request, "\r\n\r\n");
        length = strstr(request, "Content-Length: ");
        if (end != NULL && length != NULL)
            want = (size_t)(end + 4 - request) + strtoul(length + 16, NULL, 10);
    }
    while (s->mode == SERVER_SILENT && s->stop == 0)
        (void)usleep(10000);
    if (end != NULL && s->stop == 0)
        token_answer(s, fd, request, end + 4);
}

static inline void *token_main(void *arg)
{
    struct token_server *s = arg;

    while (s->stop == 0) {
        int fd = accept(s->fd, NULL, NULL);

        if (fd < 0)
            continue;
        if (s->stop == 0)
            token_serve(s, fd);
        (void)close(fd);
    }
    return NULL;
}

static inline bool token_server_start(struct token_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(a);

    s->key = EVP_RSA_gen(2048);
    s->life_s = 3600;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (s->key == NULL || bind(s->fd, (const struct sockaddr *)&a, sizeof(a)) != 0 ||
        listen(s->fd, 8) != 0 || getsockname(s->fd, (struct sockaddr *)&a, &n) != 0)
        return false;
    s->port = ntohs(a.sin_port);
    return pthread_create(&s->thread, NULL, token_main, s) == 0;
}

static inline void token_server_stop(struct token_server *s)
{
    s->stop = 1;
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->fd);
    EVP_PKEY_free(s->key);
}

/* Appends the JSON of an account with that key, or with another PEM. */
static inline void account_json(EVP_PKEY *key, int port, struct gw_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem = NULL;
    long n;

    (void)PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    n = BIO_get_mem_data(bio, &pem);
    gw_buf_adds(out, "{\n  \"type\": \"service_account\",\n  \"project_id\": \"proj-1\",\n"
                     "  \"private_key_id\": \"kid-1\",\n  \"private_key\": ");
    gw_buf_add_json_str(out, (struct gw_span){pem, (size_t)n});
    gw_buf_printf(out,
                  ",\n  \"client_email\": \"sluice@proj-1.iam.test\",\n"
                  "  \"token_uri\": \"http://127.0.0.1:%d/token\"\n}\n",
                  port);
    BIO_free(bio);
}

#endif
