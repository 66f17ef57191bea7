/* proxy/provider/sigv4.c - AWS Signature Version 4. */
#include "proxy/provider/sigv4.h"

#include <string.h>
#include <time.h>

#include "base/digest.h"

void sigv4_time(int64_t now_s, char out[SIGV4_TIME_BYTES])
{
    time_t t = (time_t)now_s;
    struct tm tm = {0};

    (void)gmtime_r(&t, &tm);
    (void)strftime(out, SIGV4_TIME_BYTES, "%Y%m%dT%H%M%SZ", &tm);
}

static void add_sha256(struct gw_buf *out, struct gw_span bytes)
{
    unsigned char sum[GW_SHA256_BYTES];
    char hex[GW_SHA256_HEX_BYTES];

    gw_sha256(bytes, sum);
    gw_hex(sum, sizeof(sum), hex);
    gw_buf_adds(out, hex);
}

/* Every byte but the unreserved ones and slashes is encoded, the percent signs of the path among them. */
static void add_path(struct gw_buf *out, struct gw_span path)
{
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i], low = gw_ascii_lower(c);

        if ((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
            (c != '\0' && strchr("-._~/", c) != NULL))
            gw_buf_addc(out, c);
        else
            gw_buf_printf(out, "%%%02X", (unsigned)(unsigned char)c);
    }
}

/* Without spaces around it, and one for several inside. */
static void add_value(struct gw_buf *out, struct gw_span value)
{
    bool space = false, begun = false;

    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == ' ') {
            space = true;
            continue;
        }
        if (space && begun)
            gw_buf_addc(out, ' ');
        gw_buf_addc(out, value.ptr[i]);
        space = false;
        begun = true;
    }
}

static void add_names(struct gw_buf *out, const struct sigv4_request *r)
{
    for (unsigned i = 0; i < r->n_fields; i++) {
        gw_buf_adds(out, i == 0 ? "" : ";");
        gw_buf_adds(out, r->fields[i].name);
    }
}

static void add_canonical(struct gw_buf *out, const struct sigv4_request *r)
{
    gw_buf_add(out, r->method);
    gw_buf_addc(out, '\n');
    add_path(out, r->path);
    gw_buf_adds(out, "\n\n"); /* an empty query */
    for (unsigned i = 0; i < r->n_fields; i++) {
        gw_buf_adds(out, r->fields[i].name);
        gw_buf_addc(out, ':');
        add_value(out, r->fields[i].value);
        gw_buf_addc(out, '\n');
    }
    gw_buf_addc(out, '\n');
    add_names(out, r);
    gw_buf_addc(out, '\n');
    add_sha256(out, r->body);
}

/* "20150830/us-east-1/service/aws4_request" */
static void add_scope(struct gw_buf *out, const struct sigv4_request *r, const char *stamp)
{
    gw_buf_add(out, (struct gw_span){stamp, 8});
    gw_buf_printf(out, "/%s/%s/aws4_request", r->region, r->service);
}

/* Each key is the signature of the next part of the scope with the one before. */
static enum gw_status make_signature(const struct sigv4_request *r, const char *stamp,
                                     struct gw_span to_sign, unsigned char out[GW_SHA256_BYTES])
{
    const struct gw_span parts[] = {{stamp, 8},
                                    gw_span_str(r->region),
                                    gw_span_str(r->service),
                                    GW_SPAN("aws4_request"),
                                    to_sign};
    unsigned char key[GW_SHA256_BYTES];
    struct gw_buf secret = {0};
    struct gw_span with;

    gw_buf_adds(&secret, "AWS4");
    gw_buf_add(&secret, r->secret_key);
    if (!gw_buf_ok(&secret)) {
        gw_buf_fini(&secret);
        return GW_ENOMEM;
    }
    with = gw_buf_span(&secret);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        gw_hmac_sha256(with, parts[i], out);
        memcpy(key, out, sizeof(key));
        with = (struct gw_span){(const char *)key, sizeof(key)};
    }
    explicit_bzero(key, sizeof(key));
    gw_buf_fini(&secret); /* wipes */
    return GW_OK;
}

enum gw_status sigv4_authorize(const struct sigv4_request *r, struct gw_buf *out)
{
    unsigned char signature[GW_SHA256_BYTES];
    char stamp[SIGV4_TIME_BYTES], hex[GW_SHA256_HEX_BYTES];
    struct gw_buf canonical = {0}, to_sign = {0};
    enum gw_status st = GW_ENOMEM;

    sigv4_time(r->now_s, stamp);
    add_canonical(&canonical, r);
    gw_buf_printf(&to_sign, "AWS4-HMAC-SHA256\n%s\n", stamp);
    add_scope(&to_sign, r, stamp);
    gw_buf_addc(&to_sign, '\n');
    add_sha256(&to_sign, gw_buf_span(&canonical));
    if (!gw_buf_ok(&canonical) || !gw_buf_ok(&to_sign))
        goto out;
    st = make_signature(r, stamp, gw_buf_span(&to_sign), signature);
    if (st != GW_OK)
        goto out;
    gw_hex(signature, sizeof(signature), hex);
    gw_buf_adds(out, "AWS4-HMAC-SHA256 Credential=");
    gw_buf_add(out, r->access_key);
    gw_buf_addc(out, '/');
    add_scope(out, r, stamp);
    gw_buf_adds(out, ", SignedHeaders=");
    add_names(out, r);
    gw_buf_printf(out, ", Signature=%s", hex);
    st = gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
out:
    gw_buf_fini(&canonical);
    gw_buf_fini(&to_sign);
    return st;
}
