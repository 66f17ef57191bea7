/* proxy/identity/cert.c - subject and subjectAltName of a verified certificate as plain text. Any thread. */
#include "proxy/identity/cert.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/digest.h"

enum { ID_DIGITS = 32 };

static bool is_plain(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F)
            return false;
    return text.len > 0 && text.len <= CERT_MAX_TEXT;
}

/* Adds a name to a list that has room for CERT_MAX_NAMES. False when out of memory. */
static bool add(struct gw_arena *arena, struct cert_names *names, struct gw_span text)
{
    if (!is_plain(text) || names->n == CERT_MAX_NAMES)
        return true;
    if (names->items == NULL)
        names->items = gw_arena_array(arena, CERT_MAX_NAMES, sizeof(*names->items));
    text = gw_arena_copy(arena, text);
    if (names->items == NULL || text.ptr == NULL)
        return false;
    names->items[names->n++] = text;
    return true;
}

static bool read_subject(X509 *x, struct gw_arena *arena, int nid, struct cert_names *out)
{
    const X509_NAME *subject = X509_get_subject_name(x);
    int at = -1;

    while ((at = X509_NAME_get_index_by_NID(subject, nid, at)) >= 0) {
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
        unsigned char *text = NULL;
        int n = ASN1_STRING_to_UTF8(&text, value);
        bool ok = n < 0 || add(arena, out, (struct gw_span){(const char *)text, (size_t)n});

        OPENSSL_free(text);
        if (!ok)
            return false;
    }
    return true;
}

static bool read_alt(X509 *x, struct gw_arena *arena, struct cert *out)
{
    static const struct {
        int type;
        unsigned field;
    } known[] = {
        {GEN_EMAIL, PROXY_CERT_EMAIL}, {GEN_DNS, PROXY_CERT_DNS}, {GEN_URI, PROXY_CERT_URI}};
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool ok = true;

    for (int i = 0; ok && i < sk_GENERAL_NAME_num(names); i++) {
        int type;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);

        for (size_t k = 0; ok && k < sizeof(known) / sizeof(known[0]); k++)
            if (type == known[k].type)
                ok = add(arena, &out->names[known[k].field],
                         (struct gw_span){(const char *)ASN1_STRING_get0_data(value),
                                          (size_t)ASN1_STRING_length(value)});
    }
    GENERAL_NAMES_free(names);
    return ok;
}

static bool read_id(X509 *x, struct gw_arena *arena, struct cert *out)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1], text[ID_DIGITS + 6];
    struct tm tm = {0};
    unsigned n = 0;

    if (X509_digest(x, EVP_sha256(), sum, &n) != 1 ||
        ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) != 1)
        return false;
    out->expires_ms = (int64_t)timegm(&tm) * 1000;
    gw_hex(sum, n, hex);
    (void)snprintf(text, sizeof(text), "mtls:%.32s", hex);
    out->id = gw_arena_copy(arena, gw_span_str(text));
    return out->id.ptr != NULL;
}

bool cert_read(struct x509_st *x, struct gw_arena *arena, struct cert *out)
{
    struct cert cert = {0};

    if (!read_id(x, arena, &cert) ||
        !read_subject(x, arena, NID_commonName, &cert.names[PROXY_CERT_CN]) ||
        !read_subject(x, arena, NID_organizationName, &cert.org) ||
        !read_subject(x, arena, NID_organizationalUnitName, &cert.unit) ||
        !read_alt(x, arena, &cert))
        return false;
    *out = cert;
    return true;
}
