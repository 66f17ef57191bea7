/* audit/payload.c - the gateway's side: sealing texts, each under the next key of its subject's chain.
 *
 * The chains in memory are a cache: one that is dropped only means that the subject's next text begins a new one. One lock
 * for all workers, held for a few microseconds; for longer, by one encryption to the auditor, when a subject is new. */
#include "audit/payload.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/payload_keys.h"
#include "audit/payload_old.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"

enum { N_CHAINS = 1 << 14 /* slots; at three quarters all are dropped */, MAX_PEM_BYTES = 16384 };

struct chain {
    bool used;
    unsigned char subject[GW_SHA256_BYTES];
    unsigned char key_id[PAYLOAD_KEY_ID_BYTES];
    unsigned char chain[PAYLOAD_CHAIN_BYTES]; /* of the next text */
    uint64_t n;                               /* texts sealed */
    int64_t made_ms;
    off_t row; /* where in the file */
};

struct audit_payload {
    pthread_mutex_t lock;
    struct payload_setup {
        char *path;
        unsigned char auditor[GW_X25519_BYTES], print[GW_SHA256_BYTES];
        uint64_t keep_ms; /* 0: for good */
    } setup;
    struct payload_rows free_rows; /* where rows may be written */
    atomic_int_fast64_t look_ms;   /* when keys that have grown old are looked for next */
    int fd;
    unsigned char salt[PAYLOAD_SALT_BYTES];
    struct chain *chains;
    unsigned n_chains;
    atomic_bool dirty; /* rows were appended and not synced */
};

const char *audit_payload_level_name(enum audit_payload_level level)
{
    static const char *const names[] = {"none", "hmac", "masked", "sealed"};

    return (unsigned)level < 4 ? names[level] : "unknown";
}

/* So long a chain goes on, when its key is to go some day. */
static int64_t turn_ms(const struct audit_payload *p)
{
    return p->setup.keep_ms == 0 ? INT64_MAX : (int64_t)(p->setup.keep_ms / 8 + 1);
}

/* ---- opening ------------------------------------------------------------------------------- */

static enum gw_status read_auditor(const char *path, unsigned char out[GW_X25519_BYTES],
                                   struct gw_err *err)
{
    char pem[MAX_PEM_BYTES];
    struct gw_err why = {0};
    FILE *f = fopen(path, "re");
    size_t n;

    if (f == NULL)
        return gw_fail(err, GW_EIO, "cannot read %s: %s", path, strerrordesc_np(errno));
    n = fread(pem, 1, sizeof(pem), f);
    (void)fclose(f);
    if (gw_x25519_read_public((struct gw_span){pem, n}, out, &why) != GW_OK)
        return gw_fail(err, GW_EINVAL, "%s: %s", path, why.text);
    return GW_OK;
}

/* Opens the file and takes its lock: two writers would lose each other's rows. */
static enum gw_status open_file(struct audit_payload *p, struct gw_err *err)
{
    enum gw_status st = payload_file_open(p->setup.path, true, &p->fd, p->salt, err);

    if (st != GW_OK)
        return st;
    if (flock(p->fd, LOCK_EX | LOCK_NB) == 0)
        return GW_OK;
    st = gw_fail(err, GW_EEXIST, "%s is used by another gateway: give each its own", p->setup.path);
    (void)close(p->fd);
    p->fd = -1;
    return st;
}

enum gw_status audit_payload_open(const struct audit_payload_config *cfg,
                                  struct audit_payload **out, struct gw_err *err)
{
    struct audit_payload *p = calloc(1, sizeof(*p));
    enum gw_status st;

    if (p == NULL)
        return gw_fail(err, GW_ENOMEM, "audit: out of memory");
    p->fd = -1;
    (void)pthread_mutex_init(&p->lock, NULL);
    p->setup.path = strdup(cfg->keys_path);
    p->setup.keep_ms = cfg->keep_ms;
    p->chains = calloc(N_CHAINS, sizeof(*p->chains));
    if (p->setup.path == NULL || p->chains == NULL)
        st = gw_fail(err, GW_ENOMEM, "audit: out of memory");
    else
        st = read_auditor(cfg->auditor_path, p->setup.auditor, err);
    if (st == GW_OK)
        st = open_file(p, err);
    if (st != GW_OK) {
        audit_payload_close(p);
        return st;
    }
    gw_sha256((struct gw_span){(const char *)p->setup.auditor, GW_X25519_BYTES}, p->setup.print);
    *out = p;
    return GW_OK;
}

static void forget_all(struct audit_payload *p)
{
    explicit_bzero(p->chains, N_CHAINS * sizeof(*p->chains));
    p->n_chains = 0;
}

void audit_payload_close(struct audit_payload *p)
{
    if (p == NULL)
        return;
    payload_sync(p);
    if (p->chains != NULL)
        forget_all(p);
    free(p->chains);
    free(p->free_rows.at);
    free(p->setup.path);
    if (p->fd >= 0)
        (void)close(p->fd);
    (void)pthread_mutex_destroy(&p->lock);
    explicit_bzero(p, sizeof(*p));
    free(p);
}

void payload_tidy(struct audit_payload *p, int64_t now_ms)
{
    struct payload_rows found = {.n = 0};
    size_t n_destroyed = 0;
    enum gw_status st;
    int fd;

    if (p == NULL || p->setup.keep_ms == 0 || now_ms < atomic_load(&p->look_ms))
        return;
    atomic_store(&p->look_ms, now_ms + turn_ms(p));
    (void)pthread_mutex_lock(&p->lock);
    fd = p->fd < 0 ? -1 : fcntl(p->fd, F_DUPFD_CLOEXEC, 0); /* so that nobody waits for the disk */
    p->free_rows.n = 0;
    (void)pthread_mutex_unlock(&p->lock);
    if (fd < 0)
        return;
    /* A chain that goes on may be one turn old. */
    st = payload_destroy_old(fd, now_ms - (int64_t)p->setup.keep_ms - turn_ms(p), &found,
                             &n_destroyed);
    (void)close(fd);
    if (st != GW_OK)
        gw_log(GW_LOG_ERROR, "subject_keys_not_destroyed", "file=%s status=%s", p->setup.path,
               gw_status_name(st));
    if (n_destroyed != 0)
        gw_log(GW_LOG_INFO, "subject_keys_destroyed", "keys=%zu", n_destroyed);
    (void)pthread_mutex_lock(&p->lock);
    free(p->free_rows.at);
    p->free_rows = found;
    (void)pthread_mutex_unlock(&p->lock);
}

void payload_sync(struct audit_payload *p)
{
    int fd;

    if (p == NULL || !atomic_exchange(&p->dirty, false))
        return;
    (void)pthread_mutex_lock(&p->lock);
    fd = p->fd < 0 ? -1 : fcntl(p->fd, F_DUPFD_CLOEXEC, 0); /* so that nobody waits for the disk */
    (void)pthread_mutex_unlock(&p->lock);
    if (fd < 0 || fdatasync(fd) != 0)
        gw_log(GW_LOG_ERROR, "subject_keys_not_synced", "reason=\"%s\"", strerrordesc_np(errno));
    if (fd >= 0)
        (void)close(fd);
}

/* ---- chains --------------------------------------------------------------------------------- */

/* The subject's slot, or the free one where it belongs. */
static struct chain *slot_of(struct audit_payload *p, const unsigned char subject[GW_SHA256_BYTES])
{
    size_t at = (size_t)subject[0] | (size_t)subject[1] << 8 | (size_t)subject[2] << 16;

    for (;; at++) {
        struct chain *c = &p->chains[at % N_CHAINS];

        if (!c->used || memcmp(c->subject, subject, GW_SHA256_BYTES) == 0)
            return c;
    }
}

/* Is its key still in the file? An erasure, by another process, takes it out. */
static bool is_live(const struct audit_payload *p, const struct chain *c)
{
    unsigned char bytes[PAYLOAD_ROW_BYTES];
    struct payload_row r;

    return c->n < PAYLOAD_MAX_TEXTS && gw_clock_wall_ms() - c->made_ms < turn_ms(p) &&
           pread(p->fd, bytes, sizeof(bytes), c->row) == (ssize_t)sizeof(bytes) &&
           payload_row_read(bytes, &r) && r.state == PAYLOAD_KEY_LIVE &&
           memcmp(r.key_id, c->key_id, sizeof(r.key_id)) == 0;
}

/* Appends a row for a fresh chain. A row that a crash cut off is written over. */
static enum gw_status begin_chain(struct audit_payload *p, struct chain *c)
{
    unsigned char bytes[PAYLOAD_ROW_BYTES];
    struct payload_row r = {.state = PAYLOAD_KEY_LIVE, .made_ms = gw_clock_wall_ms()};
    enum gw_status st;
    struct stat now;

    if (fstat(p->fd, &now) != 0)
        return GW_EIO;
    gw_random(c->chain, sizeof(c->chain));
    gw_random(r.key_id, sizeof(r.key_id));
    memcpy(r.auditor, p->setup.print, sizeof(r.auditor));
    memcpy(r.subject, c->subject, sizeof(r.subject));
    st = payload_chain_seal(p->setup.auditor, c->chain, &r);
    if (st != GW_OK)
        return st;
    payload_row_write(&r, bytes);
    c->row = now.st_size / PAYLOAD_ROW_BYTES * PAYLOAD_ROW_BYTES;
    c->made_ms = r.made_ms;
    while (p->free_rows.n != 0 && !payload_row_is_free(p->fd, p->free_rows.at[p->free_rows.n - 1]))
        p->free_rows.n--;
    if (p->free_rows.n != 0)
        c->row = p->free_rows.at[--p->free_rows.n];
    if (pwrite(p->fd, bytes, sizeof(bytes), c->row) != (ssize_t)sizeof(bytes))
        return GW_EIO;
    atomic_store(&p->dirty, true);
    memcpy(c->key_id, r.key_id, sizeof(c->key_id));
    c->n = 0;
    return GW_OK;
}

/* Somebody took the file away: what is sealed from here on is opened with a new one. */
static enum gw_status look_after_file(struct audit_payload *p)
{
    struct gw_err err = {0};
    struct stat now;

    if (p->fd >= 0 && fstat(p->fd, &now) == 0 && now.st_nlink != 0)
        return GW_OK;
    if (p->fd >= 0)
        (void)close(p->fd);
    p->fd = -1;
    forget_all(p);
    gw_log(GW_LOG_ERROR, "subject_keys_gone", "file=%s hint=\"what was sealed is lost with it\"",
           p->setup.path);
    return open_file(p, &err);
}

/* The subject's chain, begun if there is none. NULL: *st says why. */
static struct chain *chain_of(struct audit_payload *p, struct gw_span name, enum gw_status *st)
{
    unsigned char subject[GW_SHA256_BYTES];
    struct chain *c;

    *st = look_after_file(p);
    if (*st != GW_OK)
        return NULL;
    if (p->n_chains > N_CHAINS / 4 * 3)
        forget_all(p);
    payload_subject(p->salt, name, subject);
    c = slot_of(p, subject);
    if (c->used && is_live(p, c))
        return c;
    memcpy(c->subject, subject, sizeof(subject));
    *st = begin_chain(p, c);
    if (*st != GW_OK) {
        explicit_bzero(c->chain, sizeof(c->chain));
        c->n = PAYLOAD_MAX_TEXTS; /* never used; a slot in the middle of others cannot be emptied */
        return NULL;
    }
    p->n_chains += !c->used;
    c->used = true;
    return c;
}

/* ---- sealing -------------------------------------------------------------------------------- */

static void write_json(const struct audit_payload_text *t, const struct payload_about *about,
                       struct gw_span sealed, struct gw_buf *out)
{
    char id[2 * PAYLOAD_KEY_ID_BYTES + 1];

    gw_hex(about->key_id, PAYLOAD_KEY_ID_BYTES, id);
    gw_buf_printf(out,
                  "{\"form\":\"AES-256-GCM\",\"key\":\"%s\",\"n\":%llu,\"bytes\":%llu,"
                  "\"sealed_bytes\":%zu,",
                  id, (unsigned long long)about->n, (unsigned long long)t->bytes, t->text.len);
    if (t->bytes > t->text.len)
        gw_buf_adds(out, "\"truncated\":true,");
    gw_buf_adds(out, "\"text\":\"");
    gw_base64(out, sealed);
    gw_buf_adds(out, "\"}");
}

enum gw_status audit_payload_seal(struct audit_payload *p, const struct audit_payload_text *t,
                                  struct gw_buf *out)
{
    /* Each key is used for one text, so the nonce has nothing to tell apart. */
    static const unsigned char nonce[GW_AEAD_NONCE_BYTES];
    unsigned char key[GW_AEAD_KEY_BYTES], key_id[PAYLOAD_KEY_ID_BYTES];
    struct payload_about about = {t->request, t->answer, t->bytes, key_id, 0};
    char bound[PAYLOAD_ABOUT_BYTES];
    size_t n = t->text.len + GW_AEAD_TAG_BYTES, before = out->len;
    unsigned char *sealed = malloc(n);
    enum gw_status st;
    struct chain *c;

    if (sealed == NULL)
        return GW_ENOMEM;
    (void)pthread_mutex_lock(&p->lock);
    c = chain_of(p, t->subject, &st);
    if (c != NULL) {
        payload_chain_step(c->chain, key);
        memcpy(key_id, c->key_id, sizeof(key_id));
        about.n = c->n++;
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (st == GW_OK)
        st = gw_aead_seal(key, nonce, payload_about(&about, bound), t->text, sealed);
    if (st == GW_OK) {
        write_json(t, &about, (struct gw_span){(const char *)sealed, n}, out);
        if (!gw_buf_ok(out)) {
            out->len = before;
            st = GW_ENOMEM;
        }
    }
    explicit_bzero(key, sizeof(key));
    free(sealed);
    return st;
}
