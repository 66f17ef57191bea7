/* tests/unit/proxy/fetch_server.h - a small HTTPS server that misbehaves on request, in a thread of its own.
 *
 * Paths: /file whole, with ETag and ranges; /cut ends each whole answer in the middle; /noetag the same
 * without ETag; /changed cuts version 1, then has version 2; /tohttp leads to http; /missing 404;
 * /forbidden 403; /big promises 10 GiB; /broken 500 always; /o/r/resolve/main/m.gguf wants a bearer token. */
#ifndef TESTS_UNIT_PROXY_FETCH_SERVER_H
#define TESTS_UNIT_PROXY_FETCH_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

enum { BODY_BYTES = 300000 };

struct server {
    int fd, port;
    SSL_CTX *ctx;
    pthread_t thread;
    atomic_int n_requests, n_ranges, version, stop;
    char body[2][BODY_BYTES]; /* versions 1 and 2 */
};

static inline X509 *server_cert(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *name = X509_get_subject_name(x);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");

    (void)X509_set_version(x, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
                                     -1, -1, 0);
    (void)X509_set_issuer_name(x, name);
    (void)X509_set_pubkey(x, key);
    (void)X509_add_ext(x, san, -1);
    X509_EXTENSION_free(san);
    (void)X509_sign(x, key, EVP_sha256());
    return x;
}

static inline void server_send(SSL *ssl, const void *bytes, size_t n)
{
    if (n > 0)
        (void)SSL_write(ssl, bytes, (int)n);
}

static inline void server_head(SSL *ssl, const char *status, const char *more, size_t length)
{
    char head[512];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
                     length, more);

    server_send(ssl, head, (size_t)n);
}

/* A file with or without an ETag; answers that are not ranges end in the middle when cut. */
static inline void server_file(struct server *s, SSL *ssl, const char *request, int version,
                               int etag, int cut)
{
    const char *range = strstr(request, "\r\nRange: bytes="),
               *if_range = strstr(request, "\r\nIf-Range: ");
    char more[128] = "", tag[8];
    size_t from = 0;

    (void)snprintf(tag, sizeof(tag), "\"v%d\"", version);
    if (range != NULL)
        from = (size_t)strtoul(range + 15, NULL, 10);
    if (etag == 0 || if_range == NULL || strncmp(if_range + 12, tag, 4) != 0)
        from = 0;
    if (etag != 0)
        (void)snprintf(more, sizeof(more), "ETag: %s\r\n", tag);
    if (from > 0) {
        s->n_ranges++;
        (void)snprintf(more, sizeof(more), "ETag: %s\r\nContent-Range: bytes %zu-%d/%d\r\n", tag,
                       from, BODY_BYTES - 1, BODY_BYTES);
    }
    server_head(ssl, from > 0 ? "206 Partial Content" : "200 OK", more, BODY_BYTES - from);
    server_send(ssl, s->body[version - 1] + from,
                from == 0 && cut ? BODY_BYTES / 2 : BODY_BYTES - from);
}

static inline void server_answer(struct server *s, SSL *ssl, const char *request)
{
    char more[128];
    int first = s->n_requests++ == 0;

    if (strncmp(request, "GET /file ", 10) == 0) {
        server_file(s, ssl, request, s->version, 1, 0);
    } else if (strncmp(request, "GET /cut ", 9) == 0) {
        server_file(s, ssl, request, 1, 1, 1);
    } else if (strncmp(request, "GET /noetag ", 12) == 0) {
        server_file(s, ssl, request, 1, 0, first);
    } else if (strncmp(request, "GET /changed ", 13) == 0) {
        server_file(s, ssl, request, first ? 1 : 2, 1, first);
    } else if (strncmp(request, "GET /tohttp ", 12) == 0) {
        (void)snprintf(more, sizeof(more), "Location: http://localhost:%d/file\r\n", s->port);
        server_head(ssl, "302 Found", more, 0);
    } else if (strncmp(request, "GET /tohttps ", 13) == 0) {
        (void)snprintf(more, sizeof(more), "Location: https://localhost:%d/file\r\n", s->port);
        server_head(ssl, "302 Found", more, 0);
    } else if (strncmp(request, "GET /forbidden ", 15) == 0) {
        server_head(ssl, "403 Forbidden", "", 0);
    } else if (strncmp(request, "GET /broken ", 12) == 0) {
        server_head(ssl, "500 Oops", "", 4);
        server_send(ssl, "oops", 4);
    } else if (strncmp(request, "GET /big ", 9) == 0) {
        server_head(ssl, "200 OK", "", (size_t)10 << 30);
        server_send(ssl, s->body[0], BODY_BYTES);
    } else if (strncmp(request, "GET /o/r/resolve/main/m.gguf ", 29) == 0 &&
               strstr(request, "Authorization: Bearer test-token\r\n") != NULL) {
        server_file(s, ssl, request, 1, 1, 0);
    } else {
        server_head(ssl, "404 Not Found", "", 0);
    }
}

static inline void *server_main(void *arg)
{
    struct server *s = arg;

    while (s->stop == 0) {
        int fd = accept(s->fd, NULL, NULL);
        SSL *ssl = fd < 0 ? NULL : SSL_new(s->ctx);
        char request[4096] = "";
        size_t n = 0;

        if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_accept(ssl) == 1) {
            while (strstr(request, "\r\n\r\n") == NULL && n < sizeof(request) - 1) {
                int got = SSL_read(ssl, request + n, (int)(sizeof(request) - 1 - n));

                if (got <= 0)
                    break;
                n += (size_t)got;
                request[n] = '\0';
            }
            if (n > 0) /* a client that distrusts us leaves before it asks */
                server_answer(s, ssl, request);
            (void)SSL_shutdown(ssl);
        }
        SSL_free(ssl);
        if (fd >= 0)
            (void)close(fd);
    }
    return NULL;
}

/* Starts it and writes its certificate, which is its own authority, to ca_path. */
static inline int server_start(struct server *s, const char *ca_path)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof(a);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = server_cert(key);
    FILE *f = fopen(ca_path, "w");

    for (unsigned i = 0; i < BODY_BYTES; i++) {
        s->body[0][i] = (char)(i * 31 + i / 251);
        s->body[1][i] = (char)(i * 17 + i / 249);
    }
    s->version = 1;
    s->ctx = SSL_CTX_new(TLS_server_method());
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    int ok = f != NULL && PEM_write_X509(f, cert) == 1 &&
             SSL_CTX_use_certificate(s->ctx, cert) == 1 &&
             SSL_CTX_use_PrivateKey(s->ctx, key) == 1 &&
             bind(s->fd, (const struct sockaddr *)&a, sizeof(a)) == 0 && listen(s->fd, 8) == 0 &&
             getsockname(s->fd, (struct sockaddr *)&a, &n) == 0;
    if (f != NULL)
        (void)fclose(f);
    s->port = ntohs(a.sin_port);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ok && pthread_create(&s->thread, NULL, server_main, s) == 0;
}

static inline void server_stop(struct server *s)
{
    s->stop = 1;
    (void)shutdown(s->fd, SHUT_RDWR);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->fd);
    SSL_CTX_free(s->ctx);
}

#endif
