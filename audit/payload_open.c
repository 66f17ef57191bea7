/* audit/payload_open.c - the auditor's side: sealed texts of a spool in clear, with the secret key and the file of subjects'
 * keys. Needs no gateway, changes nothing. One thread. */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/event_read.h"
#include "audit/payload_keys.h"
#include "audit/query_filter.h"
#include "audit/spool_merge.h"
#include "base/base64.h"
#include "base/find.h"

enum { MAX_PEM_BYTES = 16384, NAME_BYTES = 520 };

/* A row, and how far along its chain the last text was. */
struct key {
    struct payload_row row;
    bool begun, foreign; /* its chain is known; it is another auditor's */
    unsigned char first[PAYLOAD_CHAIN_BYTES], chain[PAYLOAD_CHAIN_BYTES];
    uint64_t n;
};

struct opening {
    const struct audit_open *o;
    struct audit_open_result *result;
    FILE *out;
    struct gw_err *err;
    unsigned char secret[GW_X25519_BYTES];
    struct key *keys; /* by key_id */
    size_t n_keys;
    char *sealed;         /* a record's text as it stands there: base64 */
    unsigned char *bytes; /* the same as bytes */
    struct gw_buf plain, line;
};

/* ---- keys ----------------------------------------------------------------------------------- */

static enum gw_status read_secret(struct opening *op)
{
    char pem[MAX_PEM_BYTES];
    struct gw_err why = {0};
    FILE *f = fopen(op->o->secret_path, "re");
    enum gw_status st;
    size_t n;

    if (f == NULL)
        return gw_fail(op->err, GW_EIO, "cannot read %s: %s", op->o->secret_path,
                       strerrordesc_np(errno));
    (void)setvbuf(f, NULL, _IONBF, 0); /* no copy of the key in a buffer that nobody wipes */
    n = fread(pem, 1, sizeof(pem), f);
    (void)fclose(f);
    st = gw_x25519_read_secret((struct gw_span){pem, n}, op->secret, &why);
    explicit_bzero(pem, sizeof(pem));
    return st == GW_OK ? GW_OK : gw_fail(op->err, st, "%s: %s", op->o->secret_path, why.text);
}

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;

    return memcmp(x->row.key_id, y->row.key_id, sizeof(x->row.key_id));
}

static enum gw_status read_rows(struct opening *op, int fd)
{
    unsigned char bytes[PAYLOAD_ROW_BYTES];
    struct stat now;
    size_t n;

    if (fstat(fd, &now) != 0)
        return gw_fail(op->err, GW_EIO, "cannot read %s: %s", op->o->keys_path,
                       strerrordesc_np(errno));
    n = (size_t)now.st_size / PAYLOAD_ROW_BYTES;
    op->keys = calloc(n + 1, sizeof(*op->keys));
    if (op->keys == NULL)
        return gw_fail(op->err, GW_ENOMEM, "audit open: out of memory");
    for (size_t i = 1; i < n; i++)
        if (pread(fd, bytes, sizeof(bytes), (off_t)(i * sizeof(bytes))) == (ssize_t)sizeof(bytes) &&
            payload_row_read(bytes, &op->keys[op->n_keys].row))
            op->n_keys++;
    qsort(op->keys, op->n_keys, sizeof(*op->keys), compare_keys);
    return GW_OK;
}

static enum gw_status read_keys(struct opening *op)
{
    unsigned char salt[PAYLOAD_SALT_BYTES];
    enum gw_status st;
    int fd;

    st = payload_file_open(op->o->keys_path, false, &fd, salt, op->err);
    if (st != GW_OK)
        return st;
    st = read_rows(op, fd);
    (void)close(fd);
    return st;
}

static bool unhex(struct gw_span hex, unsigned char *out, size_t n)
{
    if (hex.len != 2 * n)
        return false;
    for (size_t i = 0; i < 2 * n; i++) {
        char c = hex.ptr[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (v < 0)
            return false;
        out[i / 2] = (unsigned char)(i % 2 == 0 ? v << 4 : out[i / 2] | v);
    }
    return true;
}

/* The key of text n of the chain. */
static bool key_at(struct opening *op, struct key *k, uint64_t n,
                   unsigned char out[GW_AEAD_KEY_BYTES])
{
    if (n > PAYLOAD_MAX_TEXTS || k->foreign)
        return false;
    if (!k->begun) {
        k->foreign = payload_chain_open(op->secret, &k->row, k->first) != GW_OK;
        if (k->foreign)
            return false;
        k->begun = true;
        k->n = UINT64_MAX;
    }
    if (k->n > n) { /* back: a chain only goes forward */
        memcpy(k->chain, k->first, sizeof(k->chain));
        k->n = 0;
    }
    for (; k->n <= n; k->n++)
        payload_chain_step(k->chain, out);
    return true;
}

/* ---- one record ------------------------------------------------------------------------------- */

static const char *open_text(struct opening *op, struct key *k, const struct payload_about *about,
                             struct gw_span text)
{
    static const unsigned char nonce[GW_AEAD_NONCE_BYTES];
    unsigned char key[GW_AEAD_KEY_BYTES];
    char bound[PAYLOAD_ABOUT_BYTES];
    ptrdiff_t n = gw_unbase64(text, op->bytes, SPOOL_MAX_PAYLOAD_BYTES);
    enum gw_status st = GW_ECORRUPT;

    if (n >= GW_AEAD_TAG_BYTES && key_at(op, k, about->n, key) &&
        gw_buf_reserve(&op->plain, (size_t)n))
        st = gw_aead_open(key, nonce, payload_about(about, bound),
                          (struct gw_span){(const char *)op->bytes, (size_t)n},
                          (unsigned char *)op->plain.ptr);
    explicit_bzero(key, sizeof(key));
    if (st != GW_OK) {
        op->result->failed++;
        return "failed";
    }
    op->plain.len = (size_t)n - GW_AEAD_TAG_BYTES;
    op->result->opened++;
    return "opened";
}

/* What becomes of the record's text: a word for it, and the text in op->plain when it is "opened". */
static const char *try_record(struct opening *op, const struct spool_rec *rec, struct gw_span id,
                              uint64_t *bytes)
{
    char hex[2 * PAYLOAD_KEY_ID_BYTES + 1];
    unsigned char key_id[PAYLOAD_KEY_ID_BYTES];
    struct payload_about about = {id, rec->kind == SPOOL_KIND_COMPLETED, 0, key_id, 0};
    struct key wanted = {.begun = false}, *k = NULL;

    gw_buf_clear(&op->plain);
    if (event_num(rec->payload, "payload.bytes", &about.bytes) &&
        event_num(rec->payload, "payload.n", &about.n) &&
        unhex(event_str(rec->payload, "payload.key", hex, sizeof(hex)), key_id, sizeof(key_id))) {
        memcpy(wanted.row.key_id, key_id, sizeof(key_id));
        k = bsearch(&wanted, op->keys, op->n_keys, sizeof(*op->keys), compare_keys);
    }
    *bytes = about.bytes;
    if (k == NULL) {
        op->result->no_key++;
        return "no_key";
    }
    if (k->row.state == PAYLOAD_KEY_ERASED) {
        op->result->erased++;
        return "erased";
    }
    return open_text(op, k, &about,
                     event_str(rec->payload, "payload.text", op->sealed, SPOOL_MAX_PAYLOAD_BYTES));
}

static void print_json(struct opening *op, const struct spool_rec *rec, struct gw_span id,
                       const char *state, uint64_t bytes)
{
    char name[NAME_BYTES];
    struct gw_buf *b = &op->line;

    gw_buf_adds(b, "{\"request\":");
    gw_buf_add_json_str(b, id);
    gw_buf_printf(b, ",\"time\":%lld,\"user\":", (long long)rec->time_ms);
    gw_buf_add_json_str(b, event_str(rec->payload, "user.uid", name, sizeof(name)));
    gw_buf_printf(b, ",\"part\":\"%s\",\"state\":\"%s\",\"bytes\":%llu",
                  rec->kind == SPOOL_KIND_COMPLETED ? "answer" : "request", state,
                  (unsigned long long)bytes);
    if (strcmp(state, "opened") == 0) {
        if (bytes > op->plain.len)
            gw_buf_adds(b, ",\"truncated\":true");
        gw_buf_adds(b, ",\"text\":");
        gw_buf_add_json_str(b, gw_buf_span(&op->plain));
    }
    gw_buf_adds(b, "}\n");
}

static enum gw_status show(struct opening *op, const struct spool_rec *rec)
{
    const struct audit_filter f = {.request = op->o->request, .user = op->o->user};
    char id_bytes[EVENT_ID_BYTES];
    const char *state;
    struct gw_span id;
    uint64_t bytes;

    if ((rec->kind != SPOOL_KIND_DECIDED && rec->kind != SPOOL_KIND_COMPLETED) ||
        gw_find(rec->payload, GW_SPAN("\"payload\":{\"form\":")) == NULL ||
        query_held(&f, rec, false) != query_given(&f))
        return GW_OK;
    id = event_request_id(rec->payload, id_bytes);
    state = try_record(op, rec, id, &bytes);
    gw_buf_clear(&op->line);
    if (op->o->raw)
        gw_buf_add(&op->line, gw_buf_span(&op->plain));
    else
        print_json(op, rec, id, state, bytes);
    if (!gw_buf_ok(&op->line))
        return gw_fail(op->err, GW_ENOMEM, "audit open: out of memory");
    if (op->line.len != 0 && fwrite(op->line.ptr, 1, op->line.len, op->out) != op->line.len)
        return gw_fail(op->err, GW_EIO, "audit open: cannot write the output: %s",
                       strerrordesc_np(errno));
    return GW_OK;
}

static enum gw_status show_all(struct opening *op)
{
    const struct spool_rec *rec;
    struct spool_merge m;
    enum gw_status st = spool_merge_open(&m, op->o->spool_dir, op->err);

    if (st != GW_OK)
        return st;
    while (st == GW_OK && (rec = spool_merge_next(&m)) != NULL)
        st = show(op, rec);
    if (st == GW_OK)
        st = m.st;
    spool_merge_fini(&m);
    return st;
}

enum gw_status audit_open_texts(const struct audit_open *o, FILE *out,
                                struct audit_open_result *result, struct gw_err *err)
{
    struct opening op = {.o = o, .result = result, .out = out, .err = err};
    enum gw_status st;

    *result = (struct audit_open_result){0};
    op.sealed = malloc(SPOOL_MAX_PAYLOAD_BYTES);
    op.bytes = malloc(SPOOL_MAX_PAYLOAD_BYTES);
    st = op.sealed == NULL || op.bytes == NULL
             ? gw_fail(err, GW_ENOMEM, "audit open: out of memory")
             : read_secret(&op);
    if (st == GW_OK)
        st = read_keys(&op);
    if (st == GW_OK)
        st = show_all(&op);
    if (st == GW_OK && fflush(out) != 0)
        st =
            gw_fail(err, GW_EIO, "audit open: cannot write the output: %s", strerrordesc_np(errno));
    explicit_bzero(op.secret, sizeof(op.secret));
    if (op.keys != NULL)
        explicit_bzero(op.keys, op.n_keys * sizeof(*op.keys));
    free(op.keys);
    free(op.sealed);
    free(op.bytes);
    gw_buf_fini(&op.plain);
    gw_buf_fini(&op.line);
    return st;
}
