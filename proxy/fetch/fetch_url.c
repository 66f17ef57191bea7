/* proxy/fetch/fetch_url.c - downloads over HTTPS, and goes on where an earlier attempt ended.
 *
 * TLS is always verified, redirects stay on https, proxies come from the environment (libcurl). An
 * attempt leaves PATH.part and PATH.part.from, which holds the address and the validator (ETag or
 * Last-Modified) that If-Range needs; without a validator the file is fetched from the start. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "proxy/fetch/fetch.h"

enum { MAX_URL = 2048, MAX_ATTEMPTS = 5, MAX_VALIDATOR = 256 };

struct download {
    struct fetch_part *p;
    const char *url;
    char validator[MAX_VALIDATOR];     /* of what the part file holds; "" when there is none */
    char new_validator[MAX_VALIDATOR]; /* of the answer at hand */
    long status;                       /* of the answer at hand */
    uint64_t asked_from;               /* Range, 0: none */
    uint64_t range_from;               /* Content-Range of a 206 */
    uint64_t length;                   /* Content-Length, 0 when unknown */
    bool body_begun;
    enum gw_status failure; /* of our own, which ends the transfer */
    struct gw_err *err;
    CURL *curl;
};

/* ---- the note about the part file ------------------------------------------------------------------ */

static void read_from(struct download *d)
{
    char path[FETCH_PATH_BYTES], text[MAX_URL + MAX_VALIDATOR + 4];
    size_t n = 0, url = strlen(d->url);

    d->validator[0] = '\0';
    if (fetch_path(d->p->path, ".from", path, NULL) != GW_OK)
        return;
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        n = fread(text, 1, sizeof(text) - 1, f);
        (void)fclose(f);
    }
    text[n] = '\0';
    if (n <= url || memcmp(text, d->url, url) != 0 || text[url] != '\n')
        return;
    size_t len = strcspn(text + url + 1, "\n");
    if (len < MAX_VALIDATOR) {
        memcpy(d->validator, text + url + 1, len);
        d->validator[len] = '\0';
    }
}

static void write_from(const struct download *d)
{
    char path[FETCH_PATH_BYTES];

    if (fetch_path(d->p->path, ".from", path, NULL) != GW_OK)
        return;
    FILE *f = fopen(path, "we");
    if (f == NULL)
        return; /* then the next attempt begins at the start */
    (void)fprintf(f, "%s\n%s\n", d->url, d->validator);
    (void)fclose(f);
}

static void remove_from(const struct download *d)
{
    char path[FETCH_PATH_BYTES];

    if (fetch_path(d->p->path, ".from", path, NULL) == GW_OK)
        (void)unlink(path);
}

/* ---- one answer --------------------------------------------------------------------------------------- */

/* The value of a header line when it has that name. */
static bool header_is(struct gw_span line, const char *name, struct gw_span *value)
{
    size_t n = strlen(name);

    if (line.len <= n || line.ptr[n] != ':' ||
        !gw_span_eq_nocase((struct gw_span){line.ptr, n}, gw_span_str(name)))
        return false;
    *value = gw_span_from(line, n + 1);
    while (value->len > 0 && (value->ptr[0] == ' ' || value->ptr[0] == '\t'))
        *value = gw_span_from(*value, 1);
    while (value->len > 0 && strchr("\r\n \t", value->ptr[value->len - 1]) != NULL)
        value->len--;
    return true;
}

static uint64_t number(struct gw_span s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9' && n < UINT64_MAX / 16; i++)
        n = n * 10 + (uint64_t)(s.ptr[i] - '0');
    return n;
}

static void keep_validator(struct download *d, struct gw_span value)
{
    if (value.len == 0 || value.len >= MAX_VALIDATOR)
        return;
    memcpy(d->new_validator, value.ptr, value.len);
    d->new_validator[value.len] = '\0';
}

// NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type
static size_t on_header(char *bytes, size_t size, size_t n, void *ctx)
{
    struct download *d = ctx;
    struct gw_span line = {bytes, size * n}, value;

    if (gw_span_starts(line, GW_SPAN("HTTP/"))) { /* a new answer: after a redirect, or 100 */
        d->new_validator[0] = '\0';
        d->range_from = UINT64_MAX;
        d->length = 0;
    } else if (header_is(line, "etag", &value)) {
        if (gw_span_starts(value, GW_SPAN("\""))) /* weak ones (W/) do not prove equality */
            keep_validator(d, value);
    } else if (header_is(line, "last-modified", &value)) {
        if (d->new_validator[0] == '\0')
            keep_validator(d, value);
    } else if (header_is(line, "content-range", &value)) {
        if (gw_span_starts(value, GW_SPAN("bytes ")))
            d->range_from = number(gw_span_from(value, 6));
    } else if (header_is(line, "content-length", &value)) {
        d->length = number(value);
    }
    return size * n;
}

/* The first bytes of a body are here: decide whether they go on or begin anew. */
static enum gw_status begin_body(struct download *d)
{
    struct fetch_part *p = d->p;

    (void)curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &d->status);
    if (d->status != 200 && d->status != 206)
        return gw_fail(d->err, GW_EIO, "the server answered with status %ld", d->status);
    if (d->status == 206 && d->range_from != d->asked_from)
        return gw_fail(d->err, GW_EIO, "the server sent another part than it was asked for");
    if (d->status == 200 && p->bytes > 0)
        GW_TRY(fetch_part_restart(p, d->err));
    p->total = d->length == 0 ? 0 : p->bytes + d->length;
    if (p->total > p->max_bytes)
        return gw_fail(d->err, GW_ELIMIT, "the file holds %llu bytes, the limit is %llu",
                       (unsigned long long)p->total, (unsigned long long)p->max_bytes);
    memcpy(d->validator, d->new_validator, sizeof(d->validator));
    write_from(d);
    return GW_OK;
}

// NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type
static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct download *d = ctx;

    if (!d->body_begun) {
        d->body_begun = true;
        d->failure = begin_body(d);
    }
    if (d->failure == GW_OK)
        d->failure = fetch_part_write(d->p, (struct gw_span){bytes, size * n}, d->err);
    return d->failure == GW_OK ? size * n : 0;
}

/* ---- one attempt ---------------------------------------------------------------------------------------- */

static bool set_options(struct download *d, const char *token)
{
    CURL *c = d->curl;
    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    const char *ca = getenv("SSL_CERT_FILE");
    bool ok = curl_easy_setopt(c, CURLOPT_URL, d->url) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "https") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 20L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_USERAGENT, "sluice") == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_HEADERDATA, d) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
              curl_easy_setopt(c, CURLOPT_WRITEDATA, d) == CURLE_OK;

    if (ca != NULL && ca[0] != '\0')
        ok = ok && curl_easy_setopt(c, CURLOPT_CAINFO, ca) == CURLE_OK;
    if (token != NULL) /* libcurl keeps it from other hosts after a redirect */
        ok = ok && curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BEARER) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, token) == CURLE_OK;
    return ok;
}

/* What a status of 400 and above means. GW_EAGAIN: try again. */
static enum gw_status judge_refusal(struct download *d)
{
    if (d->status == 416 && d->asked_from > 0) {
        /* What we have is no beginning of the file there: once more from the start. */
        GW_TRY(fetch_part_restart(d->p, d->err));
        (void)gw_fail(d->err, GW_EIO, "%s: the server refuses to go on or to begin again", d->url);
        return GW_EAGAIN;
    }
    if (d->status == 404 || d->status == 410)
        return gw_fail(d->err, GW_ENOENT, "%s: the server has no such file (status %ld)", d->url,
                       d->status);
    if (d->status == 401 || d->status == 403)
        return gw_fail(d->err, GW_EDENIED,
                       "%s: the server forbids it (status %ld); for gated models set HF_TOKEN",
                       d->url, d->status);
    (void)gw_fail(d->err, GW_EIO, "%s: the server answered with status %ld", d->url, d->status);
    return d->status >= 500 || d->status == 408 || d->status == 429 ? GW_EAGAIN : GW_EIO;
}

/* What a finished transfer means. GW_EAGAIN: try again. */
static enum gw_status judge(struct download *d, CURLcode rc, const char *detail)
{
    const char *words = detail[0] != '\0' ? detail : curl_easy_strerror(rc);

    (void)curl_easy_getinfo(d->curl, CURLINFO_RESPONSE_CODE, &d->status);
    if (d->status >= 400)
        return judge_refusal(d);
    if (d->failure != GW_OK)
        return d->failure;
    if (rc == CURLE_UNSUPPORTED_PROTOCOL)
        return gw_fail(d->err, GW_EDENIED, "the server leads away from https: refused");
    if (rc == CURLE_OK) /* an empty file has no body to begin it */
        return d->body_begun ? GW_OK : begin_body(d);
    if (rc == CURLE_PEER_FAILED_VERIFICATION || rc == CURLE_SSL_CACERT_BADFILE ||
        rc == CURLE_TOO_MANY_REDIRECTS || rc == CURLE_URL_MALFORMAT)
        return gw_fail(d->err, GW_EDENIED, "%s: %s", d->url, words);
    (void)gw_fail(d->err, GW_EIO, "%s: %s; calling again goes on after %llu bytes", d->url, words,
                  (unsigned long long)d->p->bytes);
    return GW_EAGAIN;
}

static enum gw_status attempt(struct download *d)
{
    char detail[CURL_ERROR_SIZE] = "", range[32], header[MAX_VALIDATOR + 16];
    struct curl_slist *headers = NULL;
    CURLcode rc;

    d->asked_from = d->validator[0] != '\0' ? d->p->bytes : 0;
    d->body_begun = false;
    d->failure = GW_OK;
    d->status = 0;
    if (d->asked_from == 0 && d->p->bytes > 0)
        GW_TRY(fetch_part_restart(d->p, d->err));
    (void)snprintf(range, sizeof(range), "%llu-", (unsigned long long)d->asked_from);
    (void)snprintf(header, sizeof(header), "If-Range: %s", d->validator);
    if (d->asked_from > 0)
        headers = curl_slist_append(NULL, header);
    (void)curl_easy_setopt(d->curl, CURLOPT_ERRORBUFFER, detail);
    if (curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, headers) != CURLE_OK ||
        curl_easy_setopt(d->curl, CURLOPT_RANGE, d->asked_from > 0 ? range : NULL) != CURLE_OK)
        rc = CURLE_OUT_OF_MEMORY;
    else
        rc = curl_easy_perform(d->curl);
    enum gw_status st = judge(d, rc, detail);
    (void)curl_easy_setopt(d->curl, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(d->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(headers);
    return st;
}

static enum gw_status transfer(struct download *d, const char *token)
{
    enum gw_status st = GW_EAGAIN;

    d->curl = curl_easy_init();
    if (d->curl == NULL || !set_options(d, token)) {
        curl_easy_cleanup(d->curl);
        return gw_fail(d->err, GW_ENOMEM, "out of memory for a download");
    }
    read_from(d);
    for (unsigned i = 0; i < MAX_ATTEMPTS && st == GW_EAGAIN; i++) {
        uint64_t before = d->p->bytes;

        if (i > 0)
            (void)usleep(200000U << i);
        st = attempt(d);
        if (st == GW_EAGAIN && d->p->bytes > before)
            i = 0; /* it moved: the count is for standing still */
    }
    if (st == GW_OK)
        remove_from(d);
    curl_easy_cleanup(d->curl);
    return st == GW_EAGAIN ? GW_EIO : st;
}

/* OWNER/REPO/FILE to an address; FILE may hold slashes. */
static enum gw_status hub_url(const char *spec, char out[MAX_URL], struct gw_err *err)
{
    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    const char *base = getenv("HF_ENDPOINT");
    const char *repo = strchr(spec, '/'), *file = repo == NULL ? NULL : strchr(repo + 1, '/');

    if (file == NULL || file[1] == '\0' || repo == spec || file == repo + 1 ||
        strspn(spec, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") !=
            strlen(spec))
        return gw_fail(err, GW_EINVAL, "a model hub source is hf:OWNER/REPO/FILE, not \"hf:%.60s\"",
                       spec);
    if (base == NULL || strncmp(base, "https://", 8) != 0)
        base = "https://huggingface.co";
    int n =
        snprintf(out, MAX_URL, "%s/%.*s/resolve/main/%s", base, (int)(file - spec), spec, file + 1);
    return n < 0 || n >= MAX_URL ? gw_fail(err, GW_ELIMIT, "the address is too long") : GW_OK;
}

enum gw_status fetch_https(const char *url, bool huggingface, struct fetch_part *p,
                           struct gw_err *err)
{
    char hub[MAX_URL];
    struct download d = {.p = p, .url = url, .err = err};
    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    const char *token = huggingface ? getenv("HF_TOKEN") : NULL;

    if (huggingface) {
        GW_TRY(hub_url(url, hub, err));
        d.url = hub;
    }
    if (strlen(d.url) >= MAX_URL || strpbrk(d.url, "\r\n") != NULL)
        return gw_fail(err, GW_EINVAL, "the address is longer than %d bytes or has line ends",
                       MAX_URL);
    return transfer(&d, token != NULL && token[0] != '\0' ? token : NULL);
}
