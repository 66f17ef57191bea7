/* audit/note.c - writing and reading signed notes. Input is hostile: bounded, strict, linear. */
#include "audit/note.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/digest.h"

/* ---- keys -------------------------------------------------------------------------------- */

enum { ALG_ED25519 = 1, ALG_COSIGNATURE = 4, TIME_BYTES = 8 };

static uint32_t key_id(const char *name, unsigned char alg,
                       const unsigned char pub[GW_ED25519_KEY_BYTES])
{
    unsigned char text[NOTE_NAME_BYTES + 2 + GW_ED25519_KEY_BYTES], h[GW_SHA256_BYTES];
    const size_t n = strlen(name);

    (void)snprintf((char *)text, sizeof(text), "%s\n", name);
    text[n + 1] = alg;
    memcpy(text + n + 2, pub, GW_ED25519_KEY_BYTES);
    gw_sha256((struct gw_span){(const char *)text, n + 2 + GW_ED25519_KEY_BYTES}, h);
    return (uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
}

static bool is_name_char(char c)
{
    return c > ' ' && c != '+' && (unsigned char)c < 127;
}

enum gw_status note_signer_new(const char *name, struct note_signer *out)
{
    memset(out, 0, sizeof(*out));
    (void)snprintf(out->key.name, sizeof(out->key.name), "%s", name[0] != '\0' ? name : "_");
    for (char *c = out->key.name; *c != '\0'; c++)
        if (!is_name_char(*c))
            *c = '_';
    gw_random(out->secret, sizeof(out->secret));
    GW_TRY(gw_ed25519_public(out->secret, out->key.pub));
    out->key.id = key_id(out->key.name, ALG_ED25519, out->key.pub);
    return GW_OK;
}

static void write_key(const struct note_key *k, const unsigned char bytes[GW_ED25519_KEY_BYTES],
                      struct gw_buf *out)
{
    unsigned char tagged[1 + GW_ED25519_KEY_BYTES] = {k->cosigns ? ALG_COSIGNATURE : ALG_ED25519};

    memcpy(tagged + 1, bytes, GW_ED25519_KEY_BYTES);
    gw_buf_printf(out, "%s+%08x+", k->name, k->id);
    gw_base64(out, (struct gw_span){(const char *)tagged, sizeof(tagged)});
    explicit_bzero(tagged, sizeof(tagged));
}

void note_key_write(const struct note_key *k, struct gw_buf *out)
{
    write_key(k, k->pub, out);
}

void note_signer_write(const struct note_signer *s, struct gw_buf *out)
{
    gw_buf_adds(out, "PRIVATE+KEY+");
    write_key(&s->key, s->secret, out);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct gw_span trim(struct gw_span t)
{
    while (t.len != 0 && is_blank(t.ptr[0]))
        t = gw_span_from(t, 1);
    while (t.len != 0 && is_blank(t.ptr[t.len - 1]))
        t.len--;
    return t;
}

static bool parse_hex32(struct gw_span t, uint32_t *out)
{
    uint32_t v = 0;

    if (t.len != 8)
        return false;
    for (size_t i = 0; i < 8; i++) {
        const char c = t.ptr[i];
        const int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (d < 0)
            return false;
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return true;
}

/* NAME+ID+BASE64 */
static bool read_key(struct gw_span t, struct note_key *k,
                     unsigned char bytes[GW_ED25519_KEY_BYTES])
{
    const char *plus = t.len == 0 ? NULL : memchr(t.ptr, '+', t.len);
    unsigned char tagged[1 + GW_ED25519_KEY_BYTES];
    const size_t n = plus == NULL ? 0 : (size_t)(plus - t.ptr);
    bool ok;

    if (n == 0 || n >= NOTE_NAME_BYTES || t.len < n + 10 || t.ptr[n + 9] != '+')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!is_name_char(t.ptr[i]))
            return false;
    memcpy(k->name, t.ptr, n);
    k->name[n] = '\0';
    ok =
        parse_hex32((struct gw_span){plus + 1, 8}, &k->id) &&
        gw_unbase64(gw_span_from(t, n + 10), tagged, sizeof(tagged)) == (ptrdiff_t)sizeof(tagged) &&
        (tagged[0] == ALG_ED25519 || tagged[0] == ALG_COSIGNATURE);
    k->cosigns = ok && tagged[0] == ALG_COSIGNATURE;
    memcpy(bytes, tagged + 1, GW_ED25519_KEY_BYTES);
    explicit_bzero(tagged, sizeof(tagged));
    return ok;
}

enum gw_status note_key_read(struct gw_span text, struct note_key *out)
{
    struct note_key k;

    if (!read_key(trim(text), &k, k.pub) ||
        k.id != key_id(k.name, k.cosigns ? ALG_COSIGNATURE : ALG_ED25519, k.pub))
        return GW_EPARSE;
    *out = k;
    return GW_OK;
}

enum gw_status note_signer_read(struct gw_span text, struct note_signer *out)
{
    const struct gw_span prefix = GW_SPAN("PRIVATE+KEY+");
    struct gw_span t = trim(text);
    struct note_signer s;
    bool ok = gw_span_starts(t, prefix) &&
              read_key(gw_span_from(t, prefix.len), &s.key, s.secret) &&
              gw_ed25519_public(s.secret, s.key.pub) == GW_OK &&
              s.key.id == key_id(s.key.name, ALG_ED25519, s.key.pub) && !s.key.cosigns;

    if (ok)
        *out = s;
    explicit_bzero(&s, sizeof(s));
    return ok ? GW_OK : GW_EPARSE;
}

enum gw_status note_keys_read(struct gw_span text, struct note_key *out, unsigned max, unsigned *n,
                              struct gw_err *err)
{
    unsigned got = 0, no = 0;

    while (text.len != 0) {
        const char *nl = memchr(text.ptr, '\n', text.len);
        struct gw_span line = {text.ptr, nl == NULL ? text.len : (size_t)(nl - text.ptr)};

        text = gw_span_from(text, line.len + 1);
        no++;
        line = trim(line);
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        if (got == max || note_key_read(line, &out[got]) != GW_OK)
            return gw_fail(err, GW_EPARSE,
                           got == max ? "line %u: too many public keys"
                                      : "line %u: not a public key "
                                        "(NAME+ID+BASE64, as in checkpoint.keys)",
                           no);
        got++;
    }
    if (got == 0)
        return gw_fail(err, GW_EPARSE, "there is no public key to check with");
    *n = got;
    return GW_OK;
}

/* ---- writing ----------------------------------------------------------------------------- */

static void add_time(int64_t ms, struct gw_buf *out)
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    char text[32];

    if (ms > 0 && gmtime_r(&t, &tm) != NULL &&
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) != 0)
        gw_buf_printf(out, "time %s\n", text);
}

static enum gw_status add_sig(const struct note_signer *s, struct gw_span body, struct gw_buf *out)
{
    unsigned char sig[4 + GW_ED25519_SIG_BYTES] = {
        (unsigned char)(s->key.id >> 24), (unsigned char)(s->key.id >> 16),
        (unsigned char)(s->key.id >> 8), (unsigned char)s->key.id};

    GW_TRY(gw_ed25519_sign(s->secret, body, sig + 4));
    gw_buf_printf(out, "\xe2\x80\x94 %s ", s->key.name);
    gw_base64(out, (struct gw_span){(const char *)sig, sizeof(sig)});
    gw_buf_addc(out, '\n');
    return GW_OK;
}

static void add_edge(const struct merkle *tree, struct gw_buf *out)
{
    gw_buf_adds(out, "edge");
    for (unsigned i = 0; i < tree->n; i++) {
        gw_buf_addc(out, ' ');
        gw_base64(out, (struct gw_span){(const char *)tree->edge[i].bytes, MERKLE_BYTES});
    }
    gw_buf_addc(out, '\n');
}

enum gw_status note_write(const struct note_signer *signers, unsigned n,
                          const struct note_head *head, struct gw_buf *out)
{
    struct gw_buf body = {0};
    enum gw_status st = GW_OK;

    gw_buf_add(&body, head->origin);
    gw_buf_addc(&body, '\n');
    gw_buf_addu(&body, head->size);
    gw_buf_addc(&body, '\n');
    gw_base64(&body, (struct gw_span){(const char *)head->root.bytes, MERKLE_BYTES});
    gw_buf_addc(&body, '\n');
    add_time(head->time_ms, &body);
    if (head->last_seq != 0)
        gw_buf_printf(&body, "sequence %" PRIu64 "\n", head->last_seq);
    if (head->tree != NULL && head->tree->n != 0)
        add_edge(head->tree, &body);
    if (!gw_buf_ok(&body))
        st = GW_ENOMEM;
    gw_buf_add(out, gw_buf_span(&body));
    gw_buf_addc(out, '\n');
    for (unsigned i = 0; i < n && st == GW_OK; i++)
        st = add_sig(&signers[i], gw_buf_span(&body), out);
    gw_buf_fini(&body);
    return st == GW_OK && !gw_buf_ok(out) ? GW_ENOMEM : st;
}

/* ---- reading ----------------------------------------------------------------------------- */

/* The next line without its newline; false at the end or when the last one has none. */
static bool take_line(struct gw_span *t, struct gw_span *line)
{
    const char *nl = t->len == 0 ? NULL : memchr(t->ptr, '\n', t->len);

    if (nl == NULL)
        return false;
    *line = (struct gw_span){t->ptr, (size_t)(nl - t->ptr)};
    *t = gw_span_from(*t, line->len + 1);
    return true;
}

static bool parse_size(struct gw_span t, uint64_t *out)
{
    uint64_t v = 0;

    if (t.len == 0 || t.len > 19 || (t.len > 1 && t.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < t.len; i++) {
        if (t.ptr[i] < '0' || t.ptr[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(t.ptr[i] - '0');
    }
    *out = v;
    return true;
}

static int64_t parse_time(struct gw_span t)
{
    struct tm tm = {0};
    char text[32];

    if (t.len == 0 || t.len >= sizeof(text))
        return 0;
    memcpy(text, t.ptr, t.len);
    text[t.len] = '\0';
    return strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL ? 0 : (int64_t)timegm(&tm) * 1000;
}

static bool read_sig(struct gw_span line, struct note_sig *out)
{
    const struct gw_span dash = GW_SPAN("\xe2\x80\x94 ");
    struct gw_span rest = gw_span_from(line, dash.len);
    const char *space;
    unsigned char bytes[4 + TIME_BYTES + GW_ED25519_SIG_BYTES];
    const unsigned char *at = bytes + 4;
    ptrdiff_t n;

    if (!gw_span_starts(line, dash) || rest.len == 0)
        return false;
    space = memchr(rest.ptr, ' ', rest.len);
    if (space == NULL || space == rest.ptr)
        return false;
    *out = (struct note_sig){.name = {rest.ptr, (size_t)(space - rest.ptr)}};
    n = gw_unbase64(gw_span_from(rest, out->name.len + 1), bytes, sizeof(bytes));
    if (n != 4 + GW_ED25519_SIG_BYTES && n != (ptrdiff_t)sizeof(bytes))
        return false;
    out->id =
        (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    out->cosigned = n == (ptrdiff_t)sizeof(bytes);
    for (unsigned i = 0; out->cosigned && i < TIME_BYTES; i++)
        out->time_s = out->time_s << 8 | *at++;
    memcpy(out->bytes, at, GW_ED25519_SIG_BYTES);
    return true;
}

static bool read_body(struct gw_span *t, struct note *n)
{
    struct gw_span line;

    if (!take_line(t, &n->origin) || n->origin.len == 0 || n->origin.len >= NOTE_ORIGIN_BYTES ||
        !take_line(t, &line) || !parse_size(line, &n->size) || !take_line(t, &line) ||
        gw_unbase64(line, n->root.bytes, MERKLE_BYTES) != MERKLE_BYTES)
        return false;
    while (take_line(t, &line)) {
        if (line.len == 0)
            return true;
        if (gw_span_starts(line, GW_SPAN("time ")))
            n->time_ms = parse_time(gw_span_from(line, 5));
        else if (gw_span_starts(line, GW_SPAN("sequence ")))
            (void)parse_size(gw_span_from(line, 9), &n->last_seq);
        else if (gw_span_starts(line, GW_SPAN("edge ")))
            n->edge = gw_span_from(line, 5);
    }
    return false;
}

enum gw_status note_read(struct gw_span *text, struct note *out)
{
    struct gw_span t = *text, line, before;
    struct note n = {0};

    while (t.len != 0 && is_blank(t.ptr[0]))
        t = gw_span_from(t, 1);
    if (t.len == 0)
        return GW_ENOENT;
    if (t.len > NOTE_MAX_BYTES) /* no note is longer: what is behind is another's */
        t.len = NOTE_MAX_BYTES;
    n.text = n.body = t;
    if (!read_body(&t, &n))
        return GW_EPARSE;
    n.body.len = (size_t)(t.ptr == NULL ? 0 : t.ptr - n.body.ptr);
    if (n.body.len == 0)
        return GW_EPARSE; /* it ends where signatures should begin */
    n.body.len--;
    for (before = t; take_line(&t, &line); before = t) {
        if (!gw_span_starts(line, GW_SPAN("\xe2\x80\x94 ")))
            break;
        /* Lines of algorithms that are not known here are passed over, as the specification asks. */
        if (n.n_sigs < NOTE_MAX_SIGS && read_sig(line, &n.sigs[n.n_sigs]))
            n.n_sigs++;
    }
    if (before.ptr != NULL)
        n.text.len = (size_t)(before.ptr - n.text.ptr);
    if (n.n_sigs == 0)
        return GW_EPARSE;
    *out = n;
    *text = gw_span_from(*text, (size_t)(n.text.ptr - text->ptr) + n.text.len);
    return GW_OK;
}

bool note_edge(const struct note *n, struct merkle *out)
{
    struct merkle t = {.size = n->size};
    struct merkle_hash root;
    struct gw_span rest = n->edge;

    while (rest.len != 0) {
        const char *space = memchr(rest.ptr, ' ', rest.len);
        const size_t len = space == NULL ? rest.len : (size_t)(space - rest.ptr);

        if (t.n == MERKLE_MAX_EDGE || gw_unbase64((struct gw_span){rest.ptr, len},
                                                  t.edge[t.n].bytes, MERKLE_BYTES) != MERKLE_BYTES)
            return false;
        t.n++;
        rest = gw_span_from(rest, len + 1);
    }
    if (t.n == 0 || t.n != (unsigned)__builtin_popcountll(t.size))
        return false;
    merkle_root(&t, &root);
    if (memcmp(&root, &n->root, sizeof(root)) != 0)
        return false;
    *out = t;
    return true;
}

/* What a witness signs: the time, and the note. */
static bool verify_cosignature(const struct note *n, const struct note_sig *sig,
                               const struct note_key *key)
{
    struct gw_buf text = {0};
    bool ok;

    gw_buf_printf(&text, "cosignature/v1\ntime %" PRIu64 "\n", sig->time_s);
    gw_buf_add(&text, n->body);
    ok = gw_buf_ok(&text) && gw_ed25519_verify(key->pub, gw_buf_span(&text), sig->bytes);
    gw_buf_fini(&text);
    return ok;
}

bool note_verify_when(const struct note *n, const struct note_key *key, uint64_t *time_s)
{
    for (unsigned i = 0; i < n->n_sigs; i++) {
        const struct note_sig *sig = &n->sigs[i];

        if (sig->id != key->id || !gw_span_is(sig->name, key->name) ||
            sig->cosigned != key->cosigns)
            continue;
        if (key->cosigns ? verify_cosignature(n, sig, key)
                         : gw_ed25519_verify(key->pub, n->body, sig->bytes)) {
            *time_s = sig->time_s;
            return true;
        }
    }
    return false;
}

bool note_verify(const struct note *n, const struct note_key *key)
{
    uint64_t when;

    return note_verify_when(n, key, &when);
}
