/* kernels/matrix.c - checks a matrix once and describes it for a table. Owns nothing; any thread. */
#include "kernels/kernels.h"
#include "kernels/panel.h"

/* A row longer than this is not a model: it bounds every later size computation. */
static const uint64_t max_cols = (uint64_t)1 << 31;

static enum gw_status check_shape(uint32_t type, uint64_t rows, uint64_t cols, struct gw_err *err)
{
    const struct kern_type_info *info = kern_type_info(type);

    if (info == NULL)
        return gw_fail(
            err, GW_EUNSUPPORTED,
            "tensor type %u is not built in; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, "
            "Q2_K to Q6_K, IQ4_NL, IQ4_XS, MXFP4 and NVFP4 are",
            (unsigned)type);
    if (rows == 0 || cols == 0)
        return gw_fail(err, GW_EINVAL, "matrix has no rows or no columns");
    if (cols % info->block_elems != 0)
        return gw_fail(err, GW_EINVAL, "%llu columns are not a multiple of the %u of a %s block",
                       (unsigned long long)cols, info->block_elems, info->name);
    if (cols > max_cols || rows > SIZE_MAX / 2 / (cols * sizeof(float) + sizeof(float)))
        return gw_fail(err, GW_ELIMIT, "matrix of %llu x %llu is too large",
                       (unsigned long long)rows, (unsigned long long)cols);
    return GW_OK;
}

/* What a panel of that type is. */
static enum kern_type packed_type(uint32_t type)
{
    return type == KERN_TYPE_E4M3 ? KERN_TYPE_F16 : (enum kern_type)type;
}

enum gw_status kern_matrix_packed_bytes(const struct kern_ops *ops, uint32_t type, uint64_t rows,
                                        uint64_t cols, size_t *bytes, struct gw_err *err)
{
    GW_TRY(check_shape(type, rows, cols, err));
    if (ops->layout == KERN_LAYOUT_GGUF)
        *bytes = 0;
    else
        *bytes = (rows + PANEL_ROWS - 1) / PANEL_ROWS * panel_bytes(packed_type(type), cols);
    return GW_OK;
}

enum gw_status kern_matrix_init(const struct kern_ops *ops, uint32_t type, uint64_t rows,
                                uint64_t cols, const void *gguf, void *dst, struct kern_matrix *m,
                                struct gw_err *err)
{
    GW_TRY(check_shape(type, rows, cols, err));
    *m = (struct kern_matrix){
        .type = ops->layout == KERN_LAYOUT_GGUF ? (enum kern_type)type : packed_type(type),
        .stored = (enum kern_type)type,
        .layout = ops->layout,
        .rows = rows,
        .cols = cols,
        .data = ops->layout == KERN_LAYOUT_GGUF ? gguf : dst,
    };
    return GW_OK;
}

void kern_matrix_pack_rows(const struct kern_matrix *m, const void *gguf, void *dst,
                           size_t row_from, size_t row_to)
{
    if (m->layout == KERN_LAYOUT_PANEL)
        panel_pack(m, gguf, dst, row_from, row_to);
}

enum gw_status kern_matrix_pack(const struct kern_ops *ops, uint32_t type, uint64_t rows,
                                uint64_t cols, const void *gguf, void *dst, struct kern_matrix *m,
                                struct gw_err *err)
{
    GW_TRY(kern_matrix_init(ops, type, rows, cols, gguf, dst, m, err));
    kern_matrix_pack_rows(m, gguf, dst, 0, m->rows);
    return GW_OK;
}
