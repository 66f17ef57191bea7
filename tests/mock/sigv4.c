/* tests/mock/sigv4.c - checks AWS Signature Version 4 as the service does. Written from the specification, apart from the
 * gateway's signer, so that one mistake is not made twice. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "tests/mock/mock.h"

#define SCHEME     "AWS4-HMAC-SHA256"
#define MAX_SKEW_S 900

static void hex_of(const unsigned char *in, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", in[i]);
}

static void hash_hex(struct gw_span text, char out[65])
{
    unsigned char md[32];

    (void)EVP_Digest(text.ptr, text.len, md, NULL, EVP_sha256(), NULL);
    hex_of(md, 32, out);
}

static void mac(const unsigned char *key, size_t n, struct gw_span text, unsigned char out[32])
{
    (void)HMAC(EVP_sha256(), key, (int)n, (const unsigned char *)text.ptr, text.len, out, NULL);
}

/* The value behind key in the Authorization field, to the next comma. */
static struct gw_span part(struct gw_span auth, const char *key)
{
    const char *p = memmem(auth.ptr, auth.len, key, strlen(key)), *end;
    struct gw_span v;

    if (p == NULL)
        return (struct gw_span){NULL, 0};
    v = gw_span_from(auth, (size_t)(p - auth.ptr) + strlen(key));
    end = mock_find_char(v, ',');
    if (end != NULL)
        v.len = (size_t)(end - v.ptr);
    return v;
}

/* Takes the text before the separator off *from. */
static struct gw_span cut_off(struct gw_span *from, char separator)
{
    const char *p = mock_find_char(*from, separator);
    struct gw_span head = {from->ptr, p == NULL ? from->len : (size_t)(p - from->ptr)};

    *from = gw_span_from(*from, head.len + 1);
    return head;
}

/* Every service but S3 encodes the path as it was sent once more. */
static void add_path(struct gw_buf *b, struct gw_span path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~/", c) != NULL;

        if (plain)
            gw_buf_addc(b, c);
        else
            gw_buf_printf(b, "%%%02X", (unsigned char)c);
    }
}

static int compare_spans(const void *a, const void *b)
{
    const struct gw_span *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int c = memcmp(x->ptr, y->ptr, n);

    return c != 0 ? c : (x->len > y->len) - (x->len < y->len);
}

static void add_query(struct gw_buf *b, struct gw_span query)
{
    struct gw_span pairs[64];
    size_t n = 0;

    while (query.len != 0 && n < 64)
        pairs[n++] = cut_off(&query, '&');
    if (n > 1)
        qsort(pairs, n, sizeof(pairs[0]), compare_spans);
    for (size_t i = 0; i < n; i++) {
        gw_buf_adds(b, i == 0 ? "" : "&");
        gw_buf_add(b, pairs[i]);
        if (memchr(pairs[i].ptr, '=', pairs[i].len) == NULL)
            gw_buf_addc(b, '=');
    }
}

/* A field's value with its inner blanks made single. */
static void add_value(struct gw_buf *b, struct gw_span v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] != ' ' || i == 0 || v.ptr[i - 1] != ' ')
            gw_buf_addc(b, v.ptr[i]);
}

static bool names_field(struct gw_span list, struct gw_span name)
{
    while (list.len != 0)
        if (gw_span_eq_nocase(cut_off(&list, ';'), name))
            return true;
    return false;
}

static bool signs_enough(const struct mock_call *m, struct gw_span list)
{
    if (!names_field(list, GW_SPAN("host")) || !names_field(list, GW_SPAN("x-amz-date")))
        return false;
    for (unsigned i = 0; i < m->head->n_fields; i++) {
        char lower[6];
        struct gw_span name = m->head->fields[i].name;

        (void)snprintf(lower, sizeof(lower), "%.*s", (int)(name.len < 5 ? name.len : 5), name.ptr);
        if (gw_span_eq_nocase(gw_span_str(lower), GW_SPAN("x-amz")) && !names_field(list, name))
            return false;
    }
    return true;
}

static void canonical(const struct mock_call *m, struct gw_span list, struct gw_buf *b)
{
    struct gw_span names = list;
    char hex[65];

    gw_buf_add(b, m->head->method);
    gw_buf_addc(b, '\n');
    add_path(b, m->path);
    gw_buf_addc(b, '\n');
    add_query(b, m->query);
    gw_buf_addc(b, '\n');
    while (names.len != 0) {
        struct gw_span name = cut_off(&names, ';');
        char text[128];

        (void)snprintf(text, sizeof(text), "%.*s", (int)name.len, name.ptr);
        gw_buf_adds(b, text);
        gw_buf_addc(b, ':');
        add_value(b, mock_field(m, text));
        gw_buf_addc(b, '\n');
    }
    gw_buf_addc(b, '\n');
    gw_buf_add(b, list);
    gw_buf_addc(b, '\n');
    hash_hex(m->body, hex);
    gw_buf_adds(b, hex);
}

static const char *check_date(struct gw_span date)
{
    char text[17];
    struct tm tm = {0};
    time_t t;

    if (date.len != 16)
        return "X-Amz-Date is not a date";
    memcpy(text, date.ptr, 16);
    text[16] = '\0';
    if (strptime(text, "%Y%m%dT%H%M%SZ", &tm) == NULL)
        return "X-Amz-Date is not a date";
    t = timegm(&tm);
    return llabs((long long)t - (long long)time(NULL)) > MAX_SKEW_S ? "Signature expired" : NULL;
}

static void sign(struct gw_span day, struct gw_span region, const char *service,
                 struct gw_span text, char out[65])
{
    unsigned char k[32], next[32];
    char secret[256];

    (void)snprintf(secret, sizeof(secret), "AWS4%s", mock_options.aws_secret);
    mac((const unsigned char *)secret, strlen(secret), day, k);
    mac(k, 32, region, next);
    mac(next, 32, gw_span_str(service), k);
    mac(k, 32, GW_SPAN("aws4_request"), next);
    mac(next, 32, text, k);
    hex_of(k, 32, out);
}

const char *mock_sigv4_check(const struct mock_call *m, const char *service)
{
    struct gw_span auth = mock_field(m, "authorization"), date = mock_field(m, "x-amz-date"),
                   hash = mock_field(m, "x-amz-content-sha256"), scope, list, given, access, day,
                   region, name;
    struct gw_buf request = {0}, text = {0};
    char hex[65];
    const char *why;

    if (!gw_span_starts(auth, GW_SPAN(SCHEME " ")))
        return "Missing Authentication Token";
    scope = part(auth, "Credential=");
    list = part(auth, "SignedHeaders=");
    given = part(auth, "Signature=");
    why = check_date(date);
    if (why != NULL)
        return why;
    hash_hex(m->body, hex);
    if (hash.len != 0 && !gw_span_is(hash, hex))
        return "The provided x-amz-content-sha256 does not match what was computed";
    if (!signs_enough(m, list))
        return "SignedHeaders must have host, x-amz-date and every x-amz- field";
    access = cut_off(&scope, '/');
    if (!gw_span_is(access, mock_options.aws_access))
        return "The security token included in the request is invalid";
    canonical(m, list, &request);
    hash_hex(gw_buf_span(&request), hex);
    gw_buf_adds(&text, SCHEME "\n");
    gw_buf_add(&text, date);
    gw_buf_addc(&text, '\n');
    gw_buf_add(&text, scope);
    gw_buf_addc(&text, '\n');
    gw_buf_adds(&text, hex);
    day = cut_off(&scope, '/');
    region = cut_off(&scope, '/');
    name = cut_off(&scope, '/');
    sign(day, region, service, gw_buf_span(&text), hex);
    if (!gw_span_is(scope, "aws4_request") || !gw_span_is(name, service) ||
        !gw_span_starts(date, day))
        why = "Credential should be scoped to a valid date, region and service";
    else if (!gw_span_is(given, hex))
        why = "The request signature we calculated does not match the signature you provided";
    gw_buf_fini(&request);
    gw_buf_fini(&text);
    return why;
}
