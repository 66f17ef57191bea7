/* engine/quantize.c - see quantize.h. Tensors go from the mapped file through two buffers of some rows to the
 * new file; all threads of the pool convert rows. */
#include "engine/quantize.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/gguf_write.h"
#include "engine/pool.h"
#include "kernels/encode.h"
#include "kernels/kernels.h"

/* Floats converted at once, all threads together. */
enum { CHUNK_FLOATS = 1 << 22, MOST_BYTES = 4 /* of a float in any type */ };

struct recipe {
    const char *name;
    uint32_t type, file_type; /* of most matrices; general.file_type */
    bool better_output;       /* the output matrix is Q6_K */
    bool mix;                 /* some layers' values and ways down, too */
};

static const struct recipe recipes[] = {
    {"F32", KERN_TYPE_F32, 0, false, false},     {"F16", KERN_TYPE_F16, 1, false, false},
    {"BF16", KERN_TYPE_BF16, 32, false, false},  {"Q8_0", KERN_TYPE_Q8_0, 7, false, false},
    {"Q4_0", KERN_TYPE_Q4_0, 2, true, false},    {"Q4_1", KERN_TYPE_Q4_1, 3, true, false},
    {"Q5_0", KERN_TYPE_Q5_0, 8, true, false},    {"Q5_1", KERN_TYPE_Q5_1, 9, true, false},
    {"Q4_K_S", KERN_TYPE_Q4_K, 14, true, false}, {"Q4_K_M", KERN_TYPE_Q4_K, 15, true, true},
    {"Q5_K_S", KERN_TYPE_Q5_K, 16, true, false}, {"Q5_K_M", KERN_TYPE_Q5_K, 17, true, true},
    {"Q6_K", KERN_TYPE_Q6_K, 18, true, false},
};

const char *quantize_types(void)
{
    return "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K_S, Q4_K_M, Q5_K_S, Q5_K_M, Q6_K";
}

static const struct recipe *find_recipe(const char *name)
{
    for (size_t i = 0; i < sizeof(recipes) / sizeof(recipes[0]); i++)
        if (strcmp(recipes[i].name, name) == 0)
            return &recipes[i];
    return NULL;
}

struct work {
    struct quantize_job *job;
    const struct recipe *r;
    struct gguf_writer head;
    uint32_t *types; /* [tensor] of the new file */
    uint64_t n_layers, done, total;
    int fd;
    uint64_t written; /* of the data */
    float *floats;
    char *blocks;
    struct gw_err *err;
};

/* ---- which type ------------------------------------------------------------------------------------- */

/* The layer's number in "blk.N.rest", and where the rest begins; SIZE_MAX: another tensor. */
static size_t layer_of(struct gw_span name, struct gw_span *rest)
{
    size_t layer = 0, at = 4;

    if (!gw_span_starts(name, GW_SPAN("blk.")))
        return SIZE_MAX;
    for (; at < name.len && name.ptr[at] >= '0' && name.ptr[at] <= '9' && layer < 100000; at++)
        layer = 10 * layer + (size_t)(name.ptr[at] - '0');
    if (at == 4 || at >= name.len || name.ptr[at] != '.')
        return SIZE_MAX;
    *rest = gw_span_from(name, at + 1);
    return layer;
}

/* First and last eighth of the layers and every third between: errors there cost most. */
static bool is_sensitive(uint64_t i, uint64_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static uint32_t fallback(uint32_t type, uint64_t cols)
{
    const struct kern_type_info *info = kern_type_info(type);

    if (cols % info->block_elems != 0)
        type = type == KERN_TYPE_Q4_K   ? KERN_TYPE_Q5_0
               : type == KERN_TYPE_Q5_K ? KERN_TYPE_Q5_1
               : type == KERN_TYPE_Q6_K ? KERN_TYPE_Q8_0
                                        : KERN_TYPE_F16;
    return cols % kern_type_info(type)->block_elems == 0 ? type : KERN_TYPE_F16;
}

static uint32_t choose_type(const struct work *w, const struct gguf_tensor *t)
{
    const bool tied = gguf_tensor(w->job->g, "output.weight") == NULL;
    struct gw_span rest = {NULL, 0};
    size_t layer = layer_of(t->name, &rest);
    uint32_t type = w->r->type;

    if (t->n_dims < 2 || gw_span_is(rest, "ffn_gate_inp.weight") ||
        gw_span_is(t->name, "position_embd.weight") || gw_span_is(t->name, "token_types.weight"))
        return KERN_TYPE_F32;
    if (w->r->better_output && (gw_span_is(t->name, "output.weight") ||
                                (tied && gw_span_is(t->name, "token_embd.weight"))))
        type = KERN_TYPE_Q6_K;
    if (w->r->mix && layer != SIZE_MAX && is_sensitive(layer, w->n_layers) &&
        (gw_span_starts(rest, GW_SPAN("attn_v.")) || gw_span_starts(rest, GW_SPAN("ffn_down"))))
        type = KERN_TYPE_Q6_K;
    return fallback(type, t->dims[0]);
}

static bool skip_key(struct gw_span key)
{
    return gw_span_is(key, "general.file_type") || gw_span_is(key, "general.alignment") ||
           gw_span_is(key, "general.quantization_version") ||
           gw_span_starts(key, GW_SPAN("split."));
}

static enum gw_status plan(struct work *w)
{
    const struct gguf *g = w->job->g;
    struct gw_span rest;

    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const size_t layer = layer_of(gguf_tensor_at(g, i)->name, &rest);

        if (layer != SIZE_MAX && layer >= w->n_layers)
            w->n_layers = layer + 1;
    }
    gguf_write_copy(&w->head, g, skip_key);
    gguf_write_u32(&w->head, "general.file_type", w->r->file_type);
    gguf_write_u32(&w->head, "general.quantization_version", 2);
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);

        if (kern_type_info(t->type) == NULL)
            return gw_fail(w->err, GW_EUNSUPPORTED,
                           "tensor %.*s has type %u, which is not built in", (int)t->name.len,
                           t->name.ptr, t->type);
        if (t->dims[0] > CHUNK_FLOATS)
            return gw_fail(w->err, GW_ELIMIT, "tensor %.*s has rows of more than %d numbers",
                           (int)t->name.len, t->name.ptr, CHUNK_FLOATS);
        w->types[i] = choose_type(w, t);
        (void)gguf_write_tensor(&w->head, t->name, w->types[i], t->n_dims, t->dims);
        w->total += t->bytes;
    }
    return gguf_write_ok(&w->head)
               ? GW_OK
               : gw_fail(w->err, GW_ENOMEM, "out of memory for the file's head");
}

/* ---- the data ----------------------------------------------------------------------------------------- */

static enum gw_status put(struct work *w, const char *bytes, size_t n)
{
    while (n > 0) {
        const ssize_t k = write(w->fd, bytes, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return gw_fail(w->err, GW_EIO, "cannot write: %s", strerrordesc_np(errno));
        bytes += k;
        n -= (size_t)k;
    }
    return GW_OK;
}

/* Some rows of one tensor. */
struct rows {
    struct work *w;
    const char *from;
    size_t n, cols, from_bytes, to_bytes; /* rows; of a row */
    uint32_t from_type, to_type;
    atomic_uint next;
};

static void convert_rows(void *ctx, unsigned thread)
{
    struct rows *r = ctx;
    size_t i;

    (void)thread;
    while ((i = pool_take(&r->next)) < r->n) {
        float *x = r->w->floats + i * r->cols;

        kern_row_f32((enum kern_type)r->from_type, r->from + i * r->from_bytes, r->cols, x);
        kern_encode_row((enum kern_type)r->to_type, x, r->cols, r->w->blocks + i * r->to_bytes);
    }
}

static enum gw_status convert_tensor(struct work *w, const struct gguf_tensor *t, uint32_t type)
{
    static const char zeros[GGUF_WRITE_ALIGNMENT];
    struct rows r = {.w = w, .cols = t->dims[0], .from_type = t->type, .to_type = type};
    const uint64_t rows = t->dims[1] * t->dims[2] * t->dims[3];
    const size_t step = CHUNK_FLOATS / r.cols;
    uint64_t bytes;

    /* Both were found possible when the tensor was placed. */
    (void)kern_row_bytes(t->type, r.cols, &r.from_bytes);
    (void)kern_row_bytes(type, r.cols, &r.to_bytes);
    bytes = rows * r.to_bytes;
    for (uint64_t i = 0; i < rows; i += r.n) {
        r.n = rows - i < step ? (size_t)(rows - i) : step;
        r.from = (const char *)t->data + i * r.from_bytes;
        r.next = 0;
        if (t->type != type) {
            pool_run(w->job->p, convert_rows, &r);
            GW_TRY(put(w, w->blocks, r.n * r.to_bytes));
        } else {
            GW_TRY(put(w, r.from, r.n * r.to_bytes));
        }
        w->done += r.n * r.from_bytes;
        if (w->job->progress != NULL)
            w->job->progress(w->job->progress_ctx, w->done, w->total);
    }
    gguf_tensor_drop(w->job->g, t);
    return put(w, zeros, (size_t)(gguf_write_padded(bytes) - bytes));
}

static enum gw_status write_all(struct work *w)
{
    struct gw_buf head = {0};
    enum gw_status st;

    gguf_write_head(&w->head, &head);
    w->job->bytes = head.len + w->head.data_bytes;
    st = gw_buf_ok(&head) ? put(w, head.ptr, head.len)
                          : gw_fail(w->err, GW_ENOMEM, "out of memory for the file's head");
    gw_buf_fini(&head);
    for (size_t i = 0; st == GW_OK && i < gguf_n_tensors(w->job->g); i++)
        st = convert_tensor(w, gguf_tensor_at(w->job->g, i), w->types[i]);
    if (st == GW_OK && fsync(w->fd) != 0)
        st = gw_fail(w->err, GW_EIO, "cannot write: %s", strerrordesc_np(errno));
    return st;
}

/* Writes PATH.part and gives it its name. */
static enum gw_status write_file(struct work *w)
{
    char part[PATH_MAX];
    enum gw_status st;

    if (snprintf(part, sizeof(part), "%s.part", w->job->path) >= (int)sizeof(part))
        return gw_fail(w->err, GW_ELIMIT, "the path is too long");
    if (access(w->job->path, F_OK) == 0)
        return gw_fail(w->err, GW_EEXIST, "%s is there already: remove it, or name another file",
                       w->job->path);
    w->fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (w->fd < 0)
        return gw_fail(w->err, GW_EIO, "cannot create %s: %s", part, strerrordesc_np(errno));
    st = write_all(w);
    if (close(w->fd) != 0 && st == GW_OK)
        st = gw_fail(w->err, GW_EIO, "cannot write %s: %s", part, strerrordesc_np(errno));
    if (st == GW_OK && rename(part, w->job->path) != 0)
        st = gw_fail(w->err, GW_EIO, "cannot name %s: %s", w->job->path, strerrordesc_np(errno));
    if (st != GW_OK)
        (void)unlink(part);
    return st;
}

enum gw_status quantize_file(struct quantize_job *job, struct gw_err *err)
{
    struct work w = {.job = job, .r = find_recipe(job->type), .err = err};
    enum gw_status st;

    if (w.r == NULL)
        return gw_fail(err, GW_EINVAL, "type %.20s is not one of %s", job->type, quantize_types());
    w.types = calloc(gguf_n_tensors(job->g) + 1, sizeof(*w.types));
    w.floats = calloc(CHUNK_FLOATS, sizeof(*w.floats));
    w.blocks = calloc(CHUNK_FLOATS, MOST_BYTES);
    if (w.types == NULL || w.floats == NULL || w.blocks == NULL) {
        st = gw_fail(err, GW_ENOMEM, "out of memory for %d numbers", CHUNK_FLOATS);
        goto out;
    }
    st = plan(&w);
    if (st == GW_OK)
        st = write_file(&w);
out:
    gguf_write_fini(&w.head);
    free(w.types);
    free(w.floats);
    free(w.blocks);
    return st;
}
