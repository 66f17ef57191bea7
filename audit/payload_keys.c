/* audit/payload_keys.c - see payload_keys.h. Thread: any. */
#include "audit/payload_keys.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"

enum { HEADER_SUM_AT = 160, SALT_AT = 32 };

static const char file_magic[] = "SLUICE subject keys 1\n";
static const char row_magic[4] = {'S', 'K', 'E', 'Y'};

static void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static void put_u64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const unsigned char *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static struct gw_span span_of(const unsigned char *p, size_t n)
{
    return (struct gw_span){(const char *)p, n};
}

/* ---- rows -------------------------------------------------------------------------------- */

void payload_row_write(const struct payload_row *r, unsigned char out[PAYLOAD_ROW_BYTES])
{
    memset(out, 0, PAYLOAD_ROW_BYTES);
    memcpy(out, row_magic, sizeof(row_magic));
    put_u32(out + 8, (uint32_t)r->state);
    memcpy(out + 16, r->key_id, sizeof(r->key_id));
    put_u64(out + 32, (uint64_t)r->made_ms);
    put_u64(out + 40, (uint64_t)r->erased_ms);
    memcpy(out + 48, r->auditor, sizeof(r->auditor));
    memcpy(out + 64, r->subject, sizeof(r->subject));
    memcpy(out + 96, r->enc, sizeof(r->enc));
    memcpy(out + 128, r->sealed, sizeof(r->sealed));
    put_u32(out + 4, gw_crc32c(0, span_of(out + 8, PAYLOAD_ROW_BYTES - 8)));
}

bool payload_row_read(const unsigned char in[PAYLOAD_ROW_BYTES], struct payload_row *out)
{
    uint32_t state = get_u32(in + 8);

    if (memcmp(in, row_magic, sizeof(row_magic)) != 0 ||
        get_u32(in + 4) != gw_crc32c(0, span_of(in + 8, PAYLOAD_ROW_BYTES - 8)) ||
        (state != PAYLOAD_KEY_LIVE && state != PAYLOAD_KEY_ERASED))
        return false;
    out->state = (enum payload_key_state)state;
    memcpy(out->key_id, in + 16, sizeof(out->key_id));
    out->made_ms = (int64_t)get_u64(in + 32);
    out->erased_ms = (int64_t)get_u64(in + 40);
    memcpy(out->auditor, in + 48, sizeof(out->auditor));
    memcpy(out->subject, in + 64, sizeof(out->subject));
    memcpy(out->enc, in + 96, sizeof(out->enc));
    memcpy(out->sealed, in + 128, sizeof(out->sealed));
    return true;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* So that a name that was made durable stays. */
static bool sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    int n = slash == NULL ? snprintf(folder, sizeof(folder), ".")
                          : snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
    bool ok;
    int fd;

    if (n < 0 || (size_t)n >= sizeof(folder))
        return false;
    fd = open(n == 0 ? "/" : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ok = fsync(fd) == 0;
    (void)close(fd);
    return ok;
}

static enum gw_status make_file(const char *path, struct gw_err *err)
{
    unsigned char head[PAYLOAD_ROW_BYTES] = {0};
    char fresh[4096];
    int fd;
    bool ok;

    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh))
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", path);
    memcpy(head, file_magic, sizeof(file_magic) - 1);
    gw_random(head + SALT_AT, PAYLOAD_SALT_BYTES);
    gw_sha256(span_of(head, HEADER_SUM_AT), head + HEADER_SUM_AT);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ok = fd >= 0 && write(fd, head, sizeof(head)) == (ssize_t)sizeof(head) && fsync(fd) == 0;
    if (fd >= 0)
        (void)close(fd);
    if (ok && rename(fresh, path) == 0 && sync_folder(path))
        return GW_OK;
    return gw_fail(err, GW_EIO, "cannot write %s: %s", path, strerrordesc_np(errno));
}

enum gw_status payload_file_open(const char *path, bool make, int *fd,
                                 unsigned char salt[PAYLOAD_SALT_BYTES], struct gw_err *err)
{
    unsigned char head[PAYLOAD_ROW_BYTES], sum[GW_SHA256_BYTES];
    int f = open(path, O_RDWR | O_CLOEXEC);

    if (f < 0 && errno == ENOENT && make) {
        enum gw_status st = make_file(path, err);

        if (st != GW_OK)
            return st;
        f = open(path, O_RDWR | O_CLOEXEC);
    }
    if (f < 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "cannot open %s: %s", path,
                       strerrordesc_np(errno));
    if (pread(f, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
        memcmp(head, file_magic, sizeof(file_magic) - 1) != 0) {
        (void)close(f);
        return gw_fail(err, GW_ECORRUPT,
                       "%s is no file of subject keys of this version: restore it, or move it "
                       "away (what was sealed before is lost with it)",
                       path);
    }
    gw_sha256(span_of(head, HEADER_SUM_AT), sum);
    if (memcmp(sum, head + HEADER_SUM_AT, sizeof(sum)) != 0) {
        (void)close(f);
        return gw_fail(err, GW_ECORRUPT, "%s: its header is damaged: restore it from a copy", path);
    }
    memcpy(salt, head + SALT_AT, PAYLOAD_SALT_BYTES);
    *fd = f;
    return GW_OK;
}

void payload_subject(const unsigned char salt[PAYLOAD_SALT_BYTES], struct gw_span name,
                     unsigned char out[GW_SHA256_BYTES])
{
    gw_hmac_sha256(span_of(salt, PAYLOAD_SALT_BYTES), name, out);
}

/* ---- chains ------------------------------------------------------------------------------- */

/* The row's identity: a sealed chain key cannot be moved to another subject's row. */
static struct gw_span row_identity(const struct payload_row *r, char out[48])
{
    memcpy(out, r->key_id, 16);
    memcpy(out + 16, r->subject, 32);
    return (struct gw_span){out, 48};
}

enum gw_status payload_chain_seal(const unsigned char to[GW_X25519_BYTES],
                                  const unsigned char chain[PAYLOAD_CHAIN_BYTES],
                                  struct payload_row *r)
{
    char identity[48];
    const struct gw_hpke_about about = {GW_SPAN("sluice subject key 1"), row_identity(r, identity)};

    return gw_hpke_seal(to, &about, span_of(chain, PAYLOAD_CHAIN_BYTES), r->enc, r->sealed);
}

enum gw_status payload_chain_open(const unsigned char secret[GW_X25519_BYTES],
                                  const struct payload_row *r,
                                  unsigned char chain[PAYLOAD_CHAIN_BYTES])
{
    char identity[48];
    const struct gw_hpke_about about = {GW_SPAN("sluice subject key 1"), row_identity(r, identity)};

    return gw_hpke_open(secret, r->enc, &about, span_of(r->sealed, sizeof(r->sealed)), chain);
}

void payload_chain_step(unsigned char chain[PAYLOAD_CHAIN_BYTES],
                        unsigned char key[GW_AEAD_KEY_BYTES])
{
    unsigned char next[PAYLOAD_CHAIN_BYTES];

    gw_hmac_sha256(span_of(chain, PAYLOAD_CHAIN_BYTES), GW_SPAN("\x01"), key);
    gw_hmac_sha256(span_of(chain, PAYLOAD_CHAIN_BYTES), GW_SPAN("\x02"), next);
    memcpy(chain, next, sizeof(next));
    explicit_bzero(next, sizeof(next));
}

struct gw_span payload_about(const struct payload_about *a, char out[PAYLOAD_ABOUT_BYTES])
{
    char id[2 * PAYLOAD_KEY_ID_BYTES + 1];
    int n;

    gw_hex(a->key_id, PAYLOAD_KEY_ID_BYTES, id);
    n = snprintf(out, PAYLOAD_ABOUT_BYTES, "sluice text 1\n%s\n%llu\n%s\n%llu\n%.*s", id,
                 (unsigned long long)a->n, a->answer ? "answer" : "request",
                 (unsigned long long)a->bytes, (int)(a->request.len < 128 ? a->request.len : 128),
                 a->request.ptr);
    return (struct gw_span){out, n < PAYLOAD_ABOUT_BYTES ? (size_t)n : PAYLOAD_ABOUT_BYTES - 1};
}
