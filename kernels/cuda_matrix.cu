/* kernels/cuda_matrix.cu - weight matrices onto the device: arranged tile by tile in page-locked pieces, one of which fills while the
 * other is on its way. */
#include "kernels/cuda_private.h"

bool kern_cuda_has_type(uint32_t type)
{
    struct cuda_layout l;

    return type == KERN_TYPE_E4M3 ||
           (type != CUDA_E4M3 && cuda_layout_make(type, 1, KERN_SUPER, &l));
}

size_t kern_cuda_matrix_bytes(uint32_t type, uint64_t rows, uint64_t cols)
{
    struct cuda_layout l;

    if (type == KERN_TYPE_E4M3)
        return kern_cuda_matrix_e4m3_bytes(type, rows, cols);
    return type != CUDA_E4M3 && cuda_layout_make(type, rows, cols, &l) ? l.n_tiles * l.tile_bytes
                                                                       : 0;
}

size_t kern_cuda_matrix_e4m3_bytes(uint32_t type, uint64_t rows, uint64_t cols)
{
    const struct kern_type_info *info = kern_type_info(type);
    struct cuda_layout l;

    return info != NULL && cols % info->block_elems == 0 &&
                   cuda_layout_make(CUDA_E4M3, rows, cols, &l)
               ? l.n_tiles * l.tile_bytes
               : 0;
}

static enum gw_status fill_host(struct kern_cuda_matrix *m, const void *gguf, struct gw_err *err)
{
    struct kern_cuda *c = m->c;

    GW_TRY(kern_cuda_host_new(c, m->l.n_tiles * m->l.tile_bytes, &m->host, err));
    for (size_t t = 0; t < m->l.n_tiles; t++)
        cuda_repack_tile(&m->l, gguf, t, static_cast<char *>(m->host) + t * m->l.tile_bytes);
    m->data = static_cast<const uint8_t *>(kern_cuda_host_at(c, m->host));
    return m->data != NULL ? GW_OK
                           : gw_fail(err, GW_EIO, "the GPU does not reach page-locked memory");
}

/* Where a matrix comes from. */
struct source {
    const void *gguf;
    uint32_t type;
    float *row; /* of CUDA_E4M3: room for a row */
};

static void arrange(const struct cuda_layout *l, const struct source *s, size_t tile, void *to)
{
    if (l->type == CUDA_E4M3)
        cuda_repack_tile_e4m3(l, s->type, s->gguf, tile, s->row, to);
    else
        cuda_repack_tile(l, s->gguf, tile, to);
}

static enum gw_status fill_device(struct kern_cuda_matrix *m, const struct source *s,
                                  struct gw_err *err)
{
    struct kern_cuda *c = m->c;
    const size_t at_once = KERN_CUDA_STAGE / m->l.tile_bytes;

    GW_TRY(kern_cuda_buf_new(c, m->l.n_tiles * m->l.tile_bytes, &m->buf, err));
    m->data = static_cast<const uint8_t *>(kern_cuda_at(m->buf, 0));
    for (size_t t = 0; t < m->l.n_tiles;) {
        const size_t n = m->l.n_tiles - t < at_once ? m->l.n_tiles - t : at_once;
        const unsigned i = c->turn++ % 2;
        char *piece = static_cast<char *>(c->stage[i]);

        if (!kern_cuda_note(c, cudaEventSynchronize(c->staged[i]), "an upload"))
            break;
        for (size_t k = 0; k < n; k++)
            arrange(&m->l, s, t + k, piece + k * m->l.tile_bytes);
        GW_TRY(kern_cuda_upload(m->buf, t * m->l.tile_bytes, piece, n * m->l.tile_bytes, err));
        kern_cuda_note(c, cudaEventRecord(c->staged[i], c->stream), "an upload");
        t += n;
    }
    return c->bad == cudaSuccess ? GW_OK : gw_fail(err, GW_EIO, "the GPU failed in %s", c->what);
}

enum gw_status kern_cuda_matrix_new(struct kern_cuda *c, uint32_t type, uint64_t rows,
                                    uint64_t cols, const void *gguf, bool on_host,
                                    struct kern_cuda_matrix **out, struct gw_err *err)
{
    const struct kern_type_info *info = kern_type_info(type);
    const struct source s = {gguf, type, NULL};
    struct kern_cuda_matrix *m;
    struct cuda_layout l;
    enum gw_status st;

    if (type == KERN_TYPE_E4M3 && !on_host)
        return kern_cuda_matrix_new_e4m3(c, type, rows, cols, gguf, out, err);
    if (!kern_cuda_has_type(type) || type == KERN_TYPE_E4M3)
        return gw_fail(err, GW_EUNSUPPORTED, "the GPU's kernels cannot compute with type %u", type);
    if (rows == 0 || cols == 0 || cols % KERN_BLOCK != 0 || cols % info->block_elems != 0)
        return gw_fail(err, GW_EINVAL, "a matrix of %llu rows and %llu columns of %s",
                       (unsigned long long)rows, (unsigned long long)cols, info->name);
    if (!cuda_layout_make(type, rows, cols, &l))
        return gw_fail(err, GW_ELIMIT, "a matrix of %llu rows and %llu columns is too large",
                       (unsigned long long)rows, (unsigned long long)cols);
    m = static_cast<struct kern_cuda_matrix *>(calloc(1, sizeof(*m)));
    if (m == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    m->c = c;
    m->l = l;
    st = on_host ? fill_host(m, gguf, err) : fill_device(m, &s, err);
    if (st != GW_OK) {
        kern_cuda_matrix_free(m);
        return st;
    }
    *out = m;
    return GW_OK;
}

enum gw_status kern_cuda_matrix_new_e4m3(struct kern_cuda *c, uint32_t type, uint64_t rows,
                                         uint64_t cols, const void *gguf,
                                         struct kern_cuda_matrix **out, struct gw_err *err)
{
    const struct kern_type_info *info = kern_type_info(type);
    struct source s = {gguf, type, NULL};
    struct kern_cuda_matrix *m;
    struct cuda_layout l;
    enum gw_status st;

    if (info == NULL)
        return gw_fail(err, GW_EUNSUPPORTED, "type %u is not known", type);
    if (rows == 0 || cols == 0 || cols % KERN_BLOCK != 0 || cols % info->block_elems != 0)
        return gw_fail(err, GW_EINVAL, "a matrix of %llu rows and %llu columns of %s",
                       (unsigned long long)rows, (unsigned long long)cols, info->name);
    if (!cuda_layout_make(CUDA_E4M3, rows, cols, &l))
        return gw_fail(err, GW_ELIMIT, "a matrix of %llu rows and %llu columns is too large",
                       (unsigned long long)rows, (unsigned long long)cols);
    m = static_cast<struct kern_cuda_matrix *>(calloc(1, sizeof(*m)));
    s.row = static_cast<float *>(calloc(l.cols, sizeof(float)));
    if (m == NULL || s.row == NULL) {
        free(m);
        free(s.row);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    m->c = c;
    m->l = l;
    st = fill_device(m, &s, err);
    free(s.row);
    if (st != GW_OK) {
        kern_cuda_matrix_free(m);
        return st;
    }
    *out = m;
    return GW_OK;
}

void kern_cuda_matrix_free(struct kern_cuda_matrix *m)
{
    if (m == NULL)
        return;
    if (m->host != NULL) {
        (void)cudaStreamSynchronize(m->c->stream); /* it may still be read */
        kern_cuda_host_free(m->c, m->host);
    }
    kern_cuda_buf_free(m->buf);
    free(m);
}
