/* dlp/validate_net.c - network addresses, mail addresses.
 *
 * Sources: RFC 1918, 3927, 5737, 6598, 6890 (special IPv4 ranges), RFC 4291 and 3849 (IPv6), RFC 2606
 * and 6761 (reserved names), RFC 5321 (mail addresses). No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

/* ---- IPv4 ----------------------------------------------------------------------------------- */

static bool parse_ipv4(struct gw_span s, unsigned octet[4])
{
    size_t i = 0;

    for (unsigned k = 0; k < 4; k++) {
        size_t start = i;
        unsigned v = 0;

        while (i < s.len && dlp_is_digit(s.ptr[i]) && i - start < 3)
            v = v * 10 + (unsigned)(s.ptr[i++] - '0');
        if (i == start || v > 255 || (s.ptr[start] == '0' && i - start > 1))
            return false;
        if (k < 3 && (i >= s.len || s.ptr[i++] != '.'))
            return false;
        octet[k] = v;
    }
    return i == s.len;
}

/* Four parts may be a version or a section number: look at what stands before. */
static bool after_version_word(const struct dlp_validate_in *in)
{
    static const char *const words[] = {"version", "release", "section", "rev", "ver",  "v",
                                        "build",   "chapter", "clause",  "oid", "sec.", "="};
    size_t from = in->start > 16 ? in->start - 16 : 0;
    struct gw_span before = {in->text.ptr + from, in->start - from};

    while (before.len > 0 &&
           (before.ptr[before.len - 1] == ' ' || before.ptr[before.len - 1] == ':'))
        before.len--;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        size_t n = strlen(words[i]);

        if (before.len >= n &&
            gw_span_eq_nocase(gw_span_from(before, before.len - n), gw_span_str(words[i])) &&
            (before.len == n || !dlp_is_alpha(before.ptr[before.len - n - 1])))
            return true;
    }
    return false;
}

/* Points for what a range is for. */
static int range_points(const unsigned o[4])
{
    if (o[0] == 0 || o[0] == 127 || o[0] >= 224)
        return -30; /* this host, loopback, multicast, netmasks, broadcast */
    if ((o[0] == 192 && o[1] == 0 && o[2] == 2) || (o[0] == 198 && o[1] == 51 && o[2] == 100) ||
        (o[0] == 203 && o[1] == 0 && o[2] == 113))
        return -25; /* documentation */
    if (o[0] == 10 || (o[0] == 172 && (o[1] & 0xF0) == 16) || (o[0] == 192 && o[1] == 168) ||
        (o[0] == 169 && o[1] == 254) || (o[0] == 100 && (o[1] & 0xC0) == 64))
        return -15; /* private: tells about the inside of a network, not about a person */
    return 0;
}

int dlp_validate_ipv4(const struct dlp_validate_in *in)
{
    unsigned o[4];
    const char *p = in->text.ptr;

    if (!parse_ipv4(dlp_val_span(in), o))
        return DLP_VALIDATE_REJECT;
    if (in->start > 1 && p[in->start - 1] == '.' && dlp_is_digit(p[in->start - 2]))
        return DLP_VALIDATE_REJECT;
    if (in->end + 1 < in->text.len && p[in->end] == '.' && dlp_is_digit(p[in->end + 1]))
        return DLP_VALIDATE_REJECT;
    if (after_version_word(in))
        return DLP_VALIDATE_REJECT;
    if (o[0] > 0 && o[0] < 10 && o[1] < 20 && o[2] < 20 && o[3] < 20)
        return -25; /* 1.2.3.4, 4.0.11.2: a version as a rule */
    return range_points(o);
}

/* ---- IPv6 ----------------------------------------------------------------------------------- */

struct ipv6_shape {
    unsigned groups, digits;
    bool gap; /* there is a :: */
};

/* Reads colons at *i. False when they cannot stand there. */
static bool read_colons(struct gw_span s, size_t *i, struct ipv6_shape *shape)
{
    if (*i + 1 < s.len && s.ptr[*i + 1] == ':') {
        if (shape->gap || (*i + 2 < s.len && s.ptr[*i + 2] == ':')) /* a third colon */
            return false;
        shape->gap = true;
        *i += 2;
        return true;
    }
    if (*i == 0 || *i + 1 == s.len)
        return false;
    (*i)++;
    return true;
}

/* Reads a group of digits, or the IPv4 address at the end. */
static bool read_group(struct gw_span s, size_t *i, struct ipv6_shape *shape)
{
    size_t start = *i;
    unsigned octet[4];

    while (*i < s.len && dlp_hex_value(s.ptr[*i]) >= 0)
        (*i)++;
    if (*i < s.len && s.ptr[*i] == '.') {
        shape->groups += 2;
        shape->digits += 4;
        *i = s.len;
        return parse_ipv4(gw_span_from(s, start), octet);
    }
    shape->digits += (unsigned)(*i - start);
    shape->groups++;
    return *i > start && *i - start <= 4;
}

/* It ends as an IPv4 address, which is no finding of its own then. */
static int mapped_points(struct gw_span s)
{
    const char *colon = memrchr(s.ptr, ':', s.len);
    unsigned octet[4] = {0};
    int points;

    if (colon == NULL || !parse_ipv4(gw_span_from(s, (size_t)(colon + 1 - s.ptr)), octet))
        return DLP_VALIDATE_REJECT;
    points = range_points(octet);
    return points == 0 ? 10 : points;
}

int dlp_validate_ipv6(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    const char *zone = memchr(s.ptr, '%', s.len); /* fe80::1%eth0 */
    struct ipv6_shape shape = {0, 0, false};

    if (zone != NULL)
        s.len = (size_t)(zone - s.ptr);
    if (s.len < 3 ||
        (in->start > 0 && in->text.ptr[in->start - 1] == ':')) /* the rest of something longer */
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < s.len;) {
        bool ok = s.ptr[i] == ':' ? read_colons(s, &i, &shape) : read_group(s, &i, &shape);

        if (!ok)
            return DLP_VALIDATE_REJECT;
    }
    if (shape.gap ? shape.groups > 7 : shape.groups != 8)
        return DLP_VALIDATE_REJECT;
    /* Two colons are also a scope operator (a::b): ask for substance. */
    if (shape.groups < 2 || shape.digits < 3)
        return -45;
    if (shape.groups < 3 && shape.digits < 6)
        return -25;
    if (memchr(s.ptr, '.', s.len) != NULL) /* and no fifth number behind them */
        return dlp_val_char(in, in->end) == '.' && dlp_is_digit(dlp_val_char(in, in->end + 1))
                   ? DLP_VALIDATE_REJECT
                   : mapped_points(s);
    if (gw_ascii_lower(s.ptr[0]) == 'f') /* link-local, unique local, multicast */
        return -15;
    return s.len > 9 && memcmp(s.ptr, "2001:db8:", 9) == 0 ? -25 : 0;
}

/* Does another byte of the same row stand in front of the span or behind it, as in a fingerprint? "mac:" is none. */
static bool byte_beside(const struct dlp_validate_in *in, char sep, bool before)
{
    const char *p = in->text.ptr;
    size_t from = before ? in->start - 3 : in->end + 1;

    if (before ? in->start < 3 || p[in->start - 1] != sep
               : in->text.len - in->end < 3 || p[in->end] != sep)
        return false;
    if (dlp_hex_value(p[from]) < 0 || dlp_hex_value(p[from + 1]) < 0)
        return false;
    if (before)
        return from == 0 || !dlp_is_alnum(p[from - 1]);
    return from + 2 == in->text.len || !dlp_is_alnum(p[from + 2]);
}

int dlp_validate_mac(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    unsigned n = 0;
    unsigned zero = 0;
    unsigned ones = 0;
    char sep = 0;

    for (size_t i = 0; i < s.len; i++) {
        int v = dlp_hex_value(s.ptr[i]);

        if (v < 0) {
            if (sep != 0 && s.ptr[i] != sep)
                return DLP_VALIDATE_REJECT;
            sep = s.ptr[i];
            continue;
        }
        n++;
        zero += v == 0;
        ones += v == 15;
    }
    if (sep != 0 && (byte_beside(in, sep, true) || byte_beside(in, sep, false)))
        return DLP_VALIDATE_REJECT;
    return n == 12 && zero < 12 && ones < 12 ? 0 : DLP_VALIDATE_REJECT;
}

/* ---- mail ----------------------------------------------------------------------------------- */

int dlp_validate_email(const struct dlp_validate_in *in)
{
    static const char *const files[] = {".png",     ".jpg",   ".jpeg",  ".gif",  ".svg",
                                        ".webp",    ".js",    ".css",   ".html", ".py",
                                        ".service", ".timer", ".socket"};
    struct gw_span s = dlp_val_span(in);
    const char *at = memchr(s.ptr, '@', s.len);
    struct gw_span local, domain;

    if (at == NULL)
        return DLP_VALIDATE_REJECT;
    local = (struct gw_span){s.ptr, (size_t)(at - s.ptr)};
    domain = gw_span_from(s, local.len + 1);
    if (local.len == 0 || local.len > 64 || domain.len < 4 || domain.len > 253 ||
        local.ptr[0] == '.' || local.ptr[local.len - 1] == '.')
        return DLP_VALIDATE_REJECT;
    for (size_t i = 0; i < domain.len; i++) {
        bool edge = i == 0 || i + 1 == domain.len || domain.ptr[i - 1] == '.';

        if ((domain.ptr[i] == '.' && edge) || (domain.ptr[i] == '-' && edge))
            return DLP_VALIDATE_REJECT;
    }
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (gw_span_ends(s, gw_span_str(files[i]))) /* logo@2x.png, getty@tty1.service */
            return DLP_VALIDATE_REJECT;
    if (dlp_val_contains(domain, "example.") || gw_span_ends(domain, GW_SPAN(".invalid")) ||
        gw_span_ends(domain, GW_SPAN(".test")) || gw_span_ends(domain, GW_SPAN(".example")) ||
        gw_span_ends(domain, GW_SPAN(".localhost")))
        return -35;
    if (gw_span_is(local, "git")) /* git@host:path */
        return DLP_VALIDATE_REJECT;
    if (gw_span_is(local, "noreply") || gw_span_is(local, "no-reply"))
        return -40;
    return 0;
}
