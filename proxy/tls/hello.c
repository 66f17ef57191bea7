/* proxy/tls/hello.c - the ClientHello reader of hello.h.
 *
 * Two steps: records are undone into one handshake message, in a buffer of fixed size; when the message
 * is whole it is parsed once. `struct cursor` is the only thing that reads: it never passes its end and
 * remembers that it should have. */
#include "proxy/tls/hello.h"

#include <stdlib.h>
#include <string.h>

enum {
    RECORD_HEADER = 5,
    RECORD_HANDSHAKE = 22,
    RECORD_MAX = 16384,
    MESSAGE_HEADER = 4,
    CLIENT_HELLO = 1,
    EXT_SERVER_NAME = 0,
    EXT_ALPN = 16,
    EXT_ECH = 0xFE0D,
};

struct hello_reader {
    enum hello_result result;
    size_t seen;        /* bytes of so_far that are dealt with */
    size_t record_left; /* payload bytes of the current record still to come */
    size_t len, want; /* message bytes so far, and in all; want is 0 while its header is not here */
    struct hello hello;
    unsigned char message[HELLO_MAX_BYTES];
};

struct hello_reader *hello_reader_new(void)
{
    return calloc(1, sizeof(struct hello_reader));
}

void hello_reader_free(struct hello_reader *r)
{
    free(r);
}

/* ---- reading with lengths ---------------------------------------------------------------- */

struct cursor {
    const unsigned char *p;
    size_t left;
    bool failed; /* something was asked for that is not there; everything after is empty */
};

static struct cursor take(struct cursor *c, size_t n)
{
    struct cursor part = {.p = c->p, .left = n};

    if (n > c->left || c->failed) {
        c->failed = true;
        c->left = 0;
        return (struct cursor){.p = c->p, .failed = true};
    }
    c->p += n;
    c->left -= n;
    return part;
}

/* A big-endian number of n bytes. */
static size_t number(struct cursor *c, size_t n)
{
    struct cursor part = take(c, n);
    size_t v = 0;

    for (size_t i = 0; i < part.left; i++)
        v = v << 8 | part.p[i];
    return v;
}

/* A vector whose length stands before it in n bytes. */
static struct cursor vector(struct cursor *c, size_t n)
{
    size_t len = number(c, n);

    return take(c, len);
}

/* ---- extensions -------------------------------------------------------------------------- */

/* A host name in letters, digits, '-' and '_', with labels of 1 to 63 bytes, not an IPv4 address, no dot
 * at the end (RFC 6066 wants it so). Writes it in lower case. */
static bool take_name(const struct cursor *name, char out[HELLO_NAME_MAX + 1])
{
    size_t label = 0;
    bool digits = true; /* the current label is digits only */

    if (name->left == 0 || name->left > HELLO_NAME_MAX)
        return false;
    for (size_t i = 0; i < name->left; i++) {
        char c = gw_ascii_lower((char)name->p[i]);

        out[i] = c;
        if (c == '.') {
            if (label == 0 || out[i - 1] == '-')
                return false;
            label = 0;
            digits = true;
            continue;
        }
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' &&
            !(c == '-' && label != 0))
            return false;
        if (++label > 63)
            return false;
        digits = digits && c >= '0' && c <= '9';
    }
    out[name->left] = '\0';
    return label != 0 && !digits && out[name->left - 1] != '-';
}

static bool take_server_name(struct cursor ext, struct hello *h)
{
    struct cursor list = vector(&ext, 2), name;
    size_t type = number(&list, 1);

    name = vector(&list, 2);
    /* One name of the one type there is: a second one is for another reader than us. */
    return !ext.failed && ext.left == 0 && !list.failed && list.left == 0 && type == 0 &&
           take_name(&name, h->sni);
}

static bool take_alpn(struct cursor ext, struct hello *h)
{
    struct cursor list = vector(&ext, 2);

    if (ext.failed || ext.left != 0 || list.left == 0)
        return false;
    h->has_alpn = true;
    while (list.left != 0) {
        struct cursor name = vector(&list, 1);

        if (list.failed || name.left == 0)
            return false;
        if (name.left + 1 > HELLO_ALPN_MAX - h->alpn_len)
            continue;
        h->alpn[h->alpn_len++] = (unsigned char)name.left;
        memcpy(h->alpn + h->alpn_len, name.p, name.left);
        h->alpn_len += name.left;
    }
    return true;
}

static bool take_extensions(struct cursor exts, struct hello *h)
{
    unsigned char seen[65536 / 8] = {0}; /* RFC 8446 section 4.2: no extension twice */

    while (exts.left != 0) {
        size_t type = number(&exts, 2);
        struct cursor ext = vector(&exts, 2);

        if (exts.failed || (seen[type / 8] >> type % 8 & 1) != 0)
            return false;
        seen[type / 8] = (unsigned char)(seen[type / 8] | 1u << type % 8);
        if (type == EXT_SERVER_NAME && !take_server_name(ext, h))
            return false;
        if (type == EXT_ALPN && !take_alpn(ext, h))
            return false;
        h->has_ech = h->has_ech || type == EXT_ECH;
    }
    return true;
}

/* Parses the message without its header. */
static bool take_hello(struct cursor c, struct hello *h)
{
    size_t version = number(&c, 2);
    struct cursor session, suites, compression, exts = {0};

    take(&c, 32); /* random */
    session = vector(&c, 1);
    suites = vector(&c, 2);
    compression = vector(&c, 1);
    if (c.failed || version < 0x0300 || version > 0x0303 || session.left > 32 || suites.left < 2 ||
        suites.left % 2 != 0 || compression.left == 0)
        return false;
    if (c.left != 0) /* extensions may be missing altogether */
        exts = vector(&c, 2);
    return !c.failed && c.left == 0 && take_extensions(exts, h);
}

/* ---- records ----------------------------------------------------------------------------- */

/* Takes a record's header from p. */
static enum hello_result take_header(struct hello_reader *r, const unsigned char *p)
{
    r->record_left = (size_t)p[3] << 8 | p[4];
    if (p[0] != RECORD_HANDSHAKE || p[1] != 3 || p[2] > 4)
        return r->seen == 0 ? HELLO_NOT_TLS : HELLO_BAD;
    if (r->record_left == 0 || r->record_left > RECORD_MAX)
        return HELLO_BAD;
    return HELLO_NEED_MORE;
}

/* Takes payload bytes of the current record. */
static enum hello_result take_payload(struct hello_reader *r, const unsigned char *p, size_t n)
{
    /* Records of a byte each cost six bytes of so_far a byte of message, so this cannot overflow before
     * so_far is too long; the check is for whoever changes the limits. */
    if (n > sizeof(r->message) - r->len)
        return HELLO_TOO_LONG;
    memcpy(r->message + r->len, p, n);
    r->len += n;
    r->record_left -= n;
    if (r->message[0] != CLIENT_HELLO)
        return HELLO_BAD;
    if (r->want == 0 && r->len >= MESSAGE_HEADER) {
        r->want = MESSAGE_HEADER +
                  ((size_t)r->message[1] << 16 | (size_t)r->message[2] << 8 | r->message[3]);
        if (r->want > sizeof(r->message))
            return HELLO_TOO_LONG;
    }
    if (r->want == 0 || r->len < r->want)
        return HELLO_NEED_MORE;
    /* Nothing may follow the hello in its record: the client has to wait for the answer. */
    if (r->len > r->want || r->record_left != 0)
        return HELLO_BAD;
    return take_hello(
               (struct cursor){.p = r->message + MESSAGE_HEADER, .left = r->want - MESSAGE_HEADER},
               &r->hello)
               ? HELLO_DONE
               : HELLO_BAD;
}

/* What the first bytes tell before a whole header is here. */
static bool may_be_tls(struct gw_span s)
{
    return (s.len < 1 || s.ptr[0] == RECORD_HANDSHAKE) && (s.len < 2 || s.ptr[1] == 3) &&
           (s.len < 3 || (unsigned char)s.ptr[2] <= 4);
}

enum hello_result hello_read(struct hello_reader *r, struct gw_span so_far, struct hello *out)
{
    size_t len = so_far.len < HELLO_MAX_BYTES ? so_far.len : HELLO_MAX_BYTES;

    if (r->result == HELLO_NEED_MORE && !may_be_tls(so_far))
        r->result = HELLO_NOT_TLS;
    while (r->result == HELLO_NEED_MORE && r->seen < len) {
        const unsigned char *p = (const unsigned char *)so_far.ptr + r->seen;
        size_t n = len - r->seen;

        if (r->record_left == 0) {
            if (n < RECORD_HEADER)
                break;
            r->result = take_header(r, p);
            r->seen += RECORD_HEADER;
        } else {
            n = n < r->record_left ? n : r->record_left;
            r->result = take_payload(r, p, n);
            r->seen += n;
        }
    }
    if (r->result == HELLO_NEED_MORE && so_far.len >= HELLO_MAX_BYTES)
        r->result = HELLO_TOO_LONG;
    if (r->result == HELLO_DONE)
        *out = r->hello;
    return r->result;
}

bool hello_offers(const struct hello *h, const char *protocol)
{
    struct gw_span want = gw_span_str(protocol);

    for (size_t at = 0; at < h->alpn_len; at += (size_t)h->alpn[at] + 1)
        if (gw_span_eq((struct gw_span){(const char *)h->alpn + at + 1, h->alpn[at]}, want))
            return true;
    return false;
}
