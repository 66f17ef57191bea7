/* engine/gguf_get.c - typed access to a parsed GGUF file. Owns nothing. Thread: any. */
#include <sys/mman.h>

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "engine/gguf.h"
#include "engine/gguf_private.h"

static const char *type_name(uint32_t type)
{
    static const char *const names[GGUF_TYPE_COUNT] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                       "i32", "f32", "bool", "string", "array",
                                                       "u64", "i64", "f64"};

    return type < GGUF_TYPE_COUNT ? names[type] : "?";
}

static const struct gguf_pair *find(const struct gguf *g, const char *key)
{
    size_t i = gguf_index_find(g, &g->keys, gw_span_str(key));

    return i == SIZE_MAX ? NULL : &g->pairs[i];
}

static enum gw_status missing(const char *key, struct gw_err *err)
{
    return gw_fail(err, GW_ENOENT, "GGUF: key %s is missing", key);
}

static enum gw_status mistyped(const char *key, uint32_t type, const char *want, struct gw_err *err)
{
    return gw_fail(err, GW_EPARSE, "GGUF: key %s is of type %s, %s is needed", key, type_name(type),
                   want);
}

/* Reads any integer; false when the type is none or the value is negative. */
static bool read_uint(uint32_t type, const unsigned char *p, uint64_t *out)
{
    int64_t v = 0;

    switch (type) {
    case GGUF_U8:
        v = p[0];
        break;
    case GGUF_I8:
        v = p[0] < 0x80 ? (int64_t)p[0] : (int64_t)p[0] - 0x100;
        break;
    case GGUF_U16: {
        uint16_t x;
        memcpy(&x, p, sizeof(x));
        v = x;
        break;
    }
    case GGUF_I16: {
        int16_t x;
        memcpy(&x, p, sizeof(x));
        v = x;
        break;
    }
    case GGUF_U32: {
        uint32_t x;
        memcpy(&x, p, sizeof(x));
        v = x;
        break;
    }
    case GGUF_I32: {
        int32_t x;
        memcpy(&x, p, sizeof(x));
        v = x;
        break;
    }
    case GGUF_I64:
        memcpy(&v, p, sizeof(v));
        break;
    case GGUF_U64:
        memcpy(out, p, sizeof(*out));
        return true;
    default:
        return false;
    }
    if (v < 0)
        return false;
    *out = (uint64_t)v;
    return true;
}

static enum gw_status checked_uint(const char *key, uint32_t type, const unsigned char *p,
                                   uint64_t max, uint64_t *out, struct gw_err *err)
{
    uint64_t v = 0;

    if (gguf_type_bytes(type) == 0 || type == GGUF_F32 || type == GGUF_F64 || type == GGUF_BOOL)
        return mistyped(key, type, "an integer", err);
    if (!read_uint(type, p, &v) || v > max)
        return gw_fail(err, GW_EPARSE, "GGUF: key %s is out of range, 0 to %llu is allowed", key,
                       (unsigned long long)max);
    *out = v;
    return GW_OK;
}

bool gguf_has(const struct gguf *g, const char *key)
{
    return find(g, key) != NULL;
}

enum gw_status gguf_str(const struct gguf *g, const char *key, struct gw_span *out,
                        struct gw_err *err)
{
    const struct gguf_pair *p = find(g, key);

    if (p == NULL)
        return missing(key, err);
    if (p->type != GGUF_STRING)
        return mistyped(key, p->type, "a string", err);
    *out = p->text;
    return GW_OK;
}

enum gw_status gguf_uint(const struct gguf *g, const char *key, uint64_t max, uint64_t *out,
                         struct gw_err *err)
{
    const struct gguf_pair *p = find(g, key);

    if (p == NULL)
        return missing(key, err);
    return checked_uint(key, p->type, p->scalar, max, out, err);
}

enum gw_status gguf_uint_at(const struct gguf *g, const char *key, size_t index, uint64_t max,
                            uint64_t *out, struct gw_err *err)
{
    const struct gguf_pair *p = find(g, key);

    if (p == NULL)
        return missing(key, err);
    if (p->type != GGUF_ARRAY)
        return checked_uint(key, p->type, p->scalar, max, out, err);
    if (index >= p->array.n)
        return gw_fail(err, GW_EPARSE, "GGUF: key %s has %zu elements, number %zu is needed", key,
                       p->array.n, index);
    return checked_uint(key, p->array.type, p->array.data + index * gguf_type_bytes(p->array.type),
                        max, out, err);
}

enum gw_status gguf_float(const struct gguf *g, const char *key, double *out, struct gw_err *err)
{
    const struct gguf_pair *p = find(g, key);
    double v = 0;

    if (p == NULL)
        return missing(key, err);
    if (p->type == GGUF_F32) {
        float f;
        memcpy(&f, p->scalar, sizeof(f));
        v = (double)f;
    } else if (p->type == GGUF_F64) {
        memcpy(&v, p->scalar, sizeof(v));
    } else {
        return mistyped(key, p->type, "a float", err);
    }
    if (!isfinite(v))
        return gw_fail(err, GW_EPARSE, "GGUF: key %s is not a finite number", key);
    *out = v;
    return GW_OK;
}

enum gw_status gguf_bool(const struct gguf *g, const char *key, bool *out, struct gw_err *err)
{
    const struct gguf_pair *p = find(g, key);

    if (p == NULL)
        return missing(key, err);
    if (p->type != GGUF_BOOL)
        return mistyped(key, p->type, "a boolean", err);
    *out = *p->scalar != 0;
    return GW_OK;
}

enum gw_status gguf_array(const struct gguf *g, const char *key, enum gguf_type type,
                          struct gguf_array *out, struct gw_err *err)
{
    const struct gguf_pair *p = find(g, key);

    if (p == NULL)
        return missing(key, err);
    if (p->type != GGUF_ARRAY)
        return mistyped(key, p->type, "an array", err);
    if (p->array.type != type)
        return gw_fail(err, GW_EPARSE, "GGUF: key %s is an array of %s, one of %s is needed", key,
                       type_name(p->array.type), type_name(type));
    *out = p->array;
    return GW_OK;
}

float gguf_array_f32(const struct gguf_array *a, size_t i)
{
    float v;

    memcpy(&v, a->data + i * sizeof(v), sizeof(v));
    return v;
}

bool gguf_array_bool(const struct gguf_array *a, size_t i)
{
    return a->data[i] != 0;
}

int32_t gguf_array_i32(const struct gguf_array *a, size_t i)
{
    int32_t v;

    memcpy(&v, a->data + i * sizeof(v), sizeof(v));
    return v;
}

struct gw_span gguf_array_next_str(const struct gguf_array *a, size_t *at)
{
    uint64_t len; /* checked when the file was opened (G2) */
    struct gw_span s;

    memcpy(&len, a->data + *at, sizeof(len));
    s = (struct gw_span){(const char *)a->data + *at + sizeof(len), (size_t)len};
    *at += sizeof(len) + (size_t)len;
    return s;
}

uint64_t gguf_file_bytes(const struct gguf *g)
{
    uint64_t n = g->size;

    for (size_t i = 0; i < g->n_parts; i++)
        n += g->parts[i]->size;
    return n;
}

size_t gguf_n_tensors(const struct gguf *g)
{
    return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return &g->tensors[i];
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    size_t i = gguf_index_find(g, &g->names, gw_span_str(name));

    return i == SIZE_MAX ? NULL : &g->tensors[i];
}

/* The file that the tensor lies in. */
static const struct gguf *part_of(const struct gguf *g, const struct gguf_tensor *t)
{
    const uintptr_t at = (uintptr_t)t->data;

    for (size_t i = 0; i < g->n_parts; i++)
        if (at >= (uintptr_t)g->parts[i]->base &&
            at - (uintptr_t)g->parts[i]->base < g->parts[i]->size)
            return g->parts[i];
    return g;
}

void gguf_tensor_drop(const struct gguf *g, const struct gguf_tensor *t)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t from, to;

    g = part_of(g, t);
    if (g->mapping == NULL)
        return;
    /* Whole pages only: the neighbours' bytes may still be needed. They would be read again from the
     * file, but slowly. */
    from = ((size_t)((const unsigned char *)t->data - g->base) + page - 1) / page * page;
    to = ((size_t)((const unsigned char *)t->data - g->base) + t->bytes) / page * page;
    if (from < to)
        (void)madvise((char *)g->mapping + from, to - from, MADV_DONTNEED);
}
