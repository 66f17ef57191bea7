/* engine/gguf_write.c - see gguf_write.h. */
#include "engine/gguf_write.h"

#include "engine/gguf_private.h"
#include "kernels/quant.h"

static void add_u32(struct gw_buf *b, uint32_t v)
{
    gw_buf_add(b, (struct gw_span){(const char *)&v, sizeof(v)});
}

static void add_u64(struct gw_buf *b, uint64_t v)
{
    gw_buf_add(b, (struct gw_span){(const char *)&v, sizeof(v)});
}

static void add_str(struct gw_buf *b, struct gw_span s)
{
    add_u64(b, s.len);
    gw_buf_add(b, s);
}

static void add_key(struct gguf_writer *w, struct gw_span key, uint32_t type)
{
    add_str(&w->pairs, key);
    add_u32(&w->pairs, type);
    w->n_pairs++;
}

void gguf_write_fini(struct gguf_writer *w)
{
    gw_buf_fini(&w->pairs);
    gw_buf_fini(&w->infos);
    *w = (struct gguf_writer){.n_pairs = 0};
}

bool gguf_write_ok(const struct gguf_writer *w)
{
    return !w->failed && gw_buf_ok(&w->pairs) && gw_buf_ok(&w->infos);
}

void gguf_write_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
    add_key(w, gw_span_str(key), GGUF_U32);
    add_u32(&w->pairs, v);
}

void gguf_write_f32(struct gguf_writer *w, const char *key, float v)
{
    add_key(w, gw_span_str(key), GGUF_F32);
    gw_buf_add(&w->pairs, (struct gw_span){(const char *)&v, sizeof(v)});
}

void gguf_write_bool(struct gguf_writer *w, const char *key, bool v)
{
    add_key(w, gw_span_str(key), GGUF_BOOL);
    gw_buf_addc(&w->pairs, v ? 1 : 0);
}

void gguf_write_str(struct gguf_writer *w, const char *key, struct gw_span v)
{
    add_key(w, gw_span_str(key), GGUF_STRING);
    add_str(&w->pairs, v);
}

void gguf_write_array(struct gguf_writer *w, const char *key, enum gguf_type type, uint64_t n,
                      struct gw_span bytes)
{
    add_key(w, gw_span_str(key), GGUF_ARRAY);
    add_u32(&w->pairs, type);
    add_u64(&w->pairs, n);
    gw_buf_add(&w->pairs, bytes);
}

/* The bytes of an array in its file. */
static struct gw_span array_bytes(const struct gguf_array *a)
{
    size_t at = 0;

    if (a->type != GGUF_STRING)
        return (struct gw_span){(const char *)a->data, a->n * gguf_type_bytes(a->type)};
    for (size_t i = 0; i < a->n; i++)
        (void)gguf_array_next_str(a, &at);
    return (struct gw_span){(const char *)a->data, at};
}

void gguf_write_copy(struct gguf_writer *w, const struct gguf *g, bool (*skip)(struct gw_span key))
{
    for (size_t i = 0; i < g->n_pairs; i++) {
        const struct gguf_pair *p = &g->pairs[i];

        if (skip(p->key))
            continue;
        add_key(w, p->key, p->type);
        if (p->type == GGUF_STRING) {
            add_str(&w->pairs, p->text);
        } else if (p->type == GGUF_ARRAY) {
            add_u32(&w->pairs, p->array.type);
            add_u64(&w->pairs, p->array.n);
            gw_buf_add(&w->pairs, array_bytes(&p->array));
        } else {
            gw_buf_add(&w->pairs,
                       (struct gw_span){(const char *)p->scalar, gguf_type_bytes(p->type)});
        }
    }
}

uint64_t gguf_write_tensor(struct gguf_writer *w, struct gw_span name, uint32_t type,
                           unsigned n_dims, const uint64_t *dims)
{
    const uint64_t at = w->data_bytes;
    uint64_t bytes, end;
    size_t row = 0;

    if (!kern_row_bytes(type, dims[0], &row)) {
        w->failed = true;
        return UINT64_MAX;
    }
    bytes = row;
    for (unsigned i = 1; i < n_dims; i++)
        w->failed = __builtin_mul_overflow(bytes, dims[i], &bytes) || w->failed;
    if (__builtin_add_overflow(at, bytes, &end) || end > INT64_MAX)
        w->failed = true;
    if (w->failed)
        return UINT64_MAX;
    add_str(&w->infos, name);
    add_u32(&w->infos, n_dims);
    for (unsigned i = 0; i < n_dims; i++)
        add_u64(&w->infos, dims[i]);
    add_u32(&w->infos, type);
    add_u64(&w->infos, at);
    w->n_tensors++;
    w->data_bytes = gguf_write_padded(end);
    return at;
}

void gguf_write_head(const struct gguf_writer *w, struct gw_buf *out)
{
    gw_buf_adds(out, "GGUF");
    add_u32(out, 3);
    add_u64(out, w->n_tensors);
    add_u64(out, w->n_pairs);
    gw_buf_add(out, gw_buf_span(&w->pairs));
    gw_buf_add(out, gw_buf_span(&w->infos));
    while (gw_buf_ok(out) && out->len % GGUF_WRITE_ALIGNMENT != 0)
        gw_buf_addc(out, '\0');
}
