/* engine/gguf.c - maps a GGUF file and checks all of it before anybody reads a value.
 *
 * Owns the mapping and two index tables. Every length in the file is compared with the bytes that are
 * left before it is used; nothing is allocated before the count was found possible in a file of this
 * size. Parsing is one pass plus a hash table for duplicate names. Thread: any, one at a time. */
#include "engine/gguf.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/gguf_private.h"

enum {
    MAX_KEYS = 16384,
    MAX_TENSORS = 65536,
    MAX_NAME_BYTES = 255,
    MIN_PAIR_BYTES = 8 + 1 + 4 + 1,         /* key length, key, type, value */
    MIN_INFO_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* name length, name, n_dims, one dim, type, offset */
    DEFAULT_ALIGNMENT = 32,
    MIN_ALIGNMENT = 8, /* so that F32 data may be read in place */
    MAX_ALIGNMENT = 1 << 20
};

/* Where parsing stands; every take_* checks against left first. */
struct cursor {
    const unsigned char *base;
    size_t at, size;
    struct gw_err *err;
};

static size_t left(const struct cursor *c)
{
    return c->size - c->at;
}

static enum gw_status cut(const struct cursor *c, const char *what)
{
    return gw_fail(c->err, GW_EPARSE, "GGUF: the file ends inside %s at byte %zu", what, c->at);
}

static enum gw_status take_u32(struct cursor *c, const char *what, uint32_t *out)
{
    if (left(c) < sizeof(*out))
        return cut(c, what);
    memcpy(out, c->base + c->at, sizeof(*out));
    c->at += sizeof(*out);
    return GW_OK;
}

static enum gw_status take_u64(struct cursor *c, const char *what, uint64_t *out)
{
    if (left(c) < sizeof(*out))
        return cut(c, what);
    memcpy(out, c->base + c->at, sizeof(*out));
    c->at += sizeof(*out);
    return GW_OK;
}

static enum gw_status take_str(struct cursor *c, const char *what, struct gw_span *out)
{
    uint64_t len = 0;

    GW_TRY(take_u64(c, what, &len));
    if (len > left(c))
        return cut(c, what);
    *out = (struct gw_span){(const char *)c->base + c->at, (size_t)len};
    c->at += (size_t)len;
    return GW_OK;
}

/* Names end up in messages and logs, so only printable ASCII is a name. */
static enum gw_status take_name(struct cursor *c, const char *what, struct gw_span *out)
{
    size_t at = c->at;
    struct gw_span name = {NULL, 0};

    GW_TRY(take_str(c, what, &name));
    if (name.len == 0 || name.len > MAX_NAME_BYTES)
        return gw_fail(c->err, GW_EPARSE, "GGUF: %s at byte %zu has %zu bytes, 1 to %d are allowed",
                       what, at, name.len, MAX_NAME_BYTES);
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < 0x21 || name.ptr[i] > 0x7E)
            return gw_fail(c->err, GW_EPARSE, "GGUF: %s at byte %zu is not printable ASCII", what,
                           at);
    *out = name;
    return GW_OK;
}

/* Bytes of one value of a fixed-size type; 0 for strings, arrays and unknown types. */
size_t gguf_type_bytes(uint32_t type)
{
    static const unsigned char bytes[GGUF_TYPE_COUNT] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};

    return type < GGUF_TYPE_COUNT ? bytes[type] : 0;
}

/* Values and bytes of one block of a tensor type, also of types that no kernel computes with, so that a
 * file with them can be inspected. {0, 0}: not known. */
struct block {
    unsigned char values_log2, used;
    unsigned short bytes;
};

static struct block tensor_block(uint32_t type)
{
    static const struct block blocks[] = {
        [0] = {0, 1, 4},    /* F32 */
        [1] = {0, 1, 2},    /* F16 */
        [2] = {5, 1, 18},   /* Q4_0 */
        [3] = {5, 1, 20},   /* Q4_1 */
        [6] = {5, 1, 22},   /* Q5_0 */
        [7] = {5, 1, 24},   /* Q5_1 */
        [8] = {5, 1, 34},   /* Q8_0 */
        [10] = {8, 1, 84},  /* Q2_K */
        [11] = {8, 1, 110}, /* Q3_K */
        [12] = {8, 1, 144}, /* Q4_K */
        [13] = {8, 1, 176}, /* Q5_K */
        [14] = {8, 1, 210}, /* Q6_K */
        [20] = {5, 1, 18},  /* IQ4_NL */
        [23] = {8, 1, 136}, /* IQ4_XS */
        [24] = {0, 1, 1},   /* I8 */
        [25] = {0, 1, 2},   /* I16 */
        [26] = {0, 1, 4},   /* I32 */
        [27] = {0, 1, 8},   /* I64 */
        [28] = {0, 1, 8},   /* F64 */
        [30] = {0, 1, 2},   /* BF16 */
        [39] = {5, 1, 17},  /* MXFP4 */
        [40] = {6, 1, 36},  /* NVFP4 */
        [63] = {7, 1, 132}, /* E4M3: no file's, but of folders in memory */
    };

    return type < sizeof(blocks) / sizeof(blocks[0]) ? blocks[type] : (struct block){0, 0, 0};
}

/* Walks the strings of an array to find its end. */
static enum gw_status skip_strings(struct cursor *c, uint64_t n)
{
    struct gw_span s;

    if (n > left(c) / sizeof(uint64_t))
        return cut(c, "an array of strings");
    for (uint64_t i = 0; i < n; i++)
        GW_TRY(take_str(c, "an array of strings", &s));
    return GW_OK;
}

static enum gw_status take_array(struct cursor *c, const struct gguf_pair *p,
                                 struct gguf_array *out)
{
    uint32_t type = 0;
    uint64_t n = 0;
    size_t size, start;

    GW_TRY(take_u32(c, "an array", &type));
    GW_TRY(take_u64(c, "an array", &n));
    size = gguf_type_bytes(type);
    if (size == 0 && type != GGUF_STRING)
        return gw_fail(c->err, GW_EPARSE, "GGUF: key %.*s: arrays of type %u are not allowed",
                       (int)p->key.len, p->key.ptr, type);
    start = c->at;
    if (type == GGUF_STRING) {
        GW_TRY(skip_strings(c, n));
    } else {
        if (n > left(c) / size)
            return cut(c, "an array");
        c->at += (size_t)n * size;
    }
    *out = (struct gguf_array){(enum gguf_type)type, (size_t)n, c->base + start};
    return GW_OK;
}

static enum gw_status take_pair(struct cursor *c, struct gguf_pair *p)
{
    size_t size;

    GW_TRY(take_name(c, "a key", &p->key));
    GW_TRY(take_u32(c, "a value's type", &p->type));
    if (p->type == GGUF_STRING)
        return take_str(c, "a string value", &p->text);
    if (p->type == GGUF_ARRAY)
        return take_array(c, p, &p->array);
    size = gguf_type_bytes(p->type);
    if (size == 0)
        return gw_fail(c->err, GW_EPARSE, "GGUF: key %.*s has the unknown type %u", (int)p->key.len,
                       p->key.ptr, p->type);
    if (left(c) < size)
        return cut(c, "a value");
    p->scalar = c->base + c->at;
    c->at += size;
    if (p->type == GGUF_BOOL && *p->scalar > 1)
        return gw_fail(c->err, GW_EPARSE, "GGUF: key %.*s: %u is not a boolean", (int)p->key.len,
                       p->key.ptr, *p->scalar);
    return GW_OK;
}

static enum gw_status take_info(struct cursor *c, struct gguf_tensor *t, uint64_t *offset)
{
    uint32_t n_dims = 0;

    GW_TRY(take_name(c, "a tensor's name", &t->name));
    GW_TRY(take_u32(c, "a tensor's dims", &n_dims));
    if (n_dims == 0 || n_dims > GGUF_MAX_DIMS)
        return gw_fail(c->err, GW_EPARSE,
                       "GGUF: tensor %.*s has %u dimensions, 1 to %d are allowed", (int)t->name.len,
                       t->name.ptr, n_dims, GGUF_MAX_DIMS);
    t->n_dims = n_dims;
    for (unsigned i = 0; i < GGUF_MAX_DIMS; i++) {
        t->dims[i] = 1;
        if (i < n_dims)
            GW_TRY(take_u64(c, "a tensor's dims", &t->dims[i]));
    }
    GW_TRY(take_u32(c, "a tensor's type", &t->type));
    return take_u64(c, "a tensor's offset", offset);
}

/* Computes t->bytes from type and dims. */
static enum gw_status measure(const struct cursor *c, struct gguf_tensor *t)
{
    struct block b = tensor_block(t->type);
    size_t per = (size_t)1 << b.values_log2;
    uint64_t n = 1;

    if (!b.used)
        return gw_fail(c->err, GW_EUNSUPPORTED,
                       "GGUF: tensor %.*s has type %u, which this build does not know",
                       (int)t->name.len, t->name.ptr, t->type);
    for (unsigned i = 0; i < GGUF_MAX_DIMS; i++)
        if (t->dims[i] == 0 || __builtin_mul_overflow(n, t->dims[i], &n))
            return gw_fail(c->err, GW_EPARSE, "GGUF: tensor %.*s has impossible dimensions",
                           (int)t->name.len, t->name.ptr);
    if (t->dims[0] % per != 0)
        return gw_fail(c->err, GW_EPARSE,
                       "GGUF: tensor %.*s: rows of %llu values are not whole blocks of %zu",
                       (int)t->name.len, t->name.ptr, (unsigned long long)t->dims[0], per);
    if (__builtin_mul_overflow(n / per, (size_t)b.bytes, &t->bytes))
        return gw_fail(c->err, GW_EPARSE, "GGUF: tensor %.*s has impossible dimensions",
                       (int)t->name.len, t->name.ptr);
    return GW_OK;
}

/* Binds a tensor to its bytes. t->data holds the offset until here. */
static enum gw_status place(const struct cursor *c, struct gguf_tensor *t, uint64_t offset,
                            size_t data_at, size_t alignment)
{
    GW_TRY(measure(c, t));
    if (offset % alignment != 0)
        return gw_fail(c->err, GW_EPARSE, "GGUF: tensor %.*s: offset %llu is not a multiple of %zu",
                       (int)t->name.len, t->name.ptr, (unsigned long long)offset, alignment);
    if (data_at > c->size || offset > c->size - data_at ||
        t->bytes > c->size - data_at - (size_t)offset)
        return gw_fail(c->err, GW_EPARSE,
                       "GGUF: tensor %.*s lies outside the file: it needs %zu bytes at offset %llu "
                       "of the data, the file has %zu bytes; is the download complete?",
                       (int)t->name.len, t->name.ptr, t->bytes, (unsigned long long)offset,
                       c->size);
    t->data = c->base + data_at + offset;
    return GW_OK;
}

static uint32_t hash_name(struct gw_span s)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * 16777619u;
    return h;
}

static struct gw_span name_at(const struct gguf *g, const struct gguf_index *x, size_t i)
{
    return x == &g->keys ? g->pairs[i].key : g->tensors[i].name;
}

/* Returns the entry of that name, or SIZE_MAX. */
size_t gguf_index_find(const struct gguf *g, const struct gguf_index *x, struct gw_span name)
{
    if (x->slots == NULL)
        return SIZE_MAX;
    for (uint32_t at = hash_name(name) & x->mask; x->slots[at] != 0; at = (at + 1) & x->mask)
        if (gw_span_eq(name_at(g, x, x->slots[at] - 1), name))
            return x->slots[at] - 1;
    return SIZE_MAX;
}

/* Makes room for n names, at most half full. */
static enum gw_status index_init(struct gguf_index *x, size_t n, struct gw_err *err)
{
    uint32_t size = 4;

    while (size < 2 * n)
        size *= 2;
    x->slots = calloc(size, sizeof(*x->slots));
    if (x->slots == NULL)
        return gw_fail(err, GW_ENOMEM, "GGUF: out of memory for %zu names", n);
    x->mask = size - 1;
    return GW_OK;
}

static enum gw_status index_add(struct gguf *g, struct gguf_index *x, size_t i, struct gw_err *err)
{
    struct gw_span name = name_at(g, x, i);
    uint32_t at = hash_name(name) & x->mask;

    if (gguf_index_find(g, x, name) != SIZE_MAX)
        return gw_fail(err, GW_EPARSE, "GGUF: %s %.*s is there twice",
                       x == &g->keys ? "key" : "tensor", (int)name.len, name.ptr);
    while (x->slots[at] != 0)
        at = (at + 1) & x->mask;
    x->slots[at] = (uint32_t)i + 1;
    return GW_OK;
}

enum gw_status gguf_index_tensor(struct gguf *g, size_t i, struct gw_err *err)
{
    return index_add(g, &g->names, i, err);
}

enum gw_status gguf_index_reset(struct gguf *g, size_t n, struct gw_err *err)
{
    free(g->names.slots);
    g->names = (struct gguf_index){NULL, 0};
    return index_init(&g->names, n, err);
}

static enum gw_status parse_header(struct cursor *c, uint64_t *n_tensors, uint64_t *n_pairs)
{
    uint32_t version = 0;

    if (left(c) < 4 || memcmp(c->base, "GGUF", 4) != 0)
        return gw_fail(c->err, GW_EPARSE, "this is not a GGUF file: it does not begin with GGUF");
    c->at = 4;
    GW_TRY(take_u32(c, "the header", &version));
    if (version != 2 && version != 3)
        return gw_fail(c->err, GW_EUNSUPPORTED, "GGUF: version %u is not built in, 2 and 3 are%s",
                       version, (version & 0xFFFF) == 0 ? " (a big-endian file?)" : "");
    GW_TRY(take_u64(c, "the header", n_tensors));
    GW_TRY(take_u64(c, "the header", n_pairs));
    if (*n_pairs > MAX_KEYS || *n_tensors > MAX_TENSORS)
        return gw_fail(
            c->err, GW_ELIMIT, "GGUF: %llu keys and %llu tensors; at most %d and %d are read",
            (unsigned long long)*n_pairs, (unsigned long long)*n_tensors, MAX_KEYS, MAX_TENSORS);
    if (*n_pairs > left(c) / MIN_PAIR_BYTES || *n_tensors > left(c) / MIN_INFO_BYTES)
        return gw_fail(c->err, GW_EPARSE,
                       "GGUF: %llu keys and %llu tensors do not fit into %zu bytes",
                       (unsigned long long)*n_pairs, (unsigned long long)*n_tensors, c->size);
    return GW_OK;
}

static enum gw_status parse_pairs(struct gguf *g, struct cursor *c, size_t n)
{
    g->pairs = calloc(n + 1, sizeof(*g->pairs));
    if (g->pairs == NULL)
        return gw_fail(c->err, GW_ENOMEM, "GGUF: out of memory for %zu keys", n);
    GW_TRY(index_init(&g->keys, n, c->err));
    for (; g->n_pairs < n; g->n_pairs++) {
        GW_TRY(take_pair(c, &g->pairs[g->n_pairs]));
        GW_TRY(index_add(g, &g->keys, g->n_pairs, c->err));
    }
    return GW_OK;
}

static enum gw_status parse_alignment(const struct gguf *g, size_t *out, struct gw_err *err)
{
    uint64_t a = DEFAULT_ALIGNMENT;
    enum gw_status st = gguf_uint(g, "general.alignment", MAX_ALIGNMENT, &a, err);

    if (st != GW_OK && st != GW_ENOENT)
        return st;
    if (a < MIN_ALIGNMENT || (a & (a - 1)) != 0)
        return gw_fail(err, GW_EPARSE, "GGUF: general.alignment %llu is not a power of two from %d",
                       (unsigned long long)a, MIN_ALIGNMENT);
    *out = (size_t)a;
    return GW_OK;
}

static enum gw_status parse_tensors(struct gguf *g, struct cursor *c, size_t n)
{
    enum gw_status st = GW_ENOMEM;
    uint64_t *offsets = calloc(n + 1, sizeof(*offsets));
    size_t alignment = DEFAULT_ALIGNMENT, data_at;

    g->tensors = calloc(n + 1, sizeof(*g->tensors));
    if (offsets == NULL || g->tensors == NULL) {
        st = gw_fail(c->err, GW_ENOMEM, "GGUF: out of memory for %zu tensors", n);
        goto out;
    }
    st = parse_alignment(g, &alignment, c->err);
    if (st == GW_OK)
        st = index_init(&g->names, n, c->err);
    for (; st == GW_OK && g->n_tensors < n; g->n_tensors++) {
        st = take_info(c, &g->tensors[g->n_tensors], &offsets[g->n_tensors]);
        if (st == GW_OK)
            st = index_add(g, &g->names, g->n_tensors, c->err);
    }
    /* c->at <= size of a real object, so rounding up cannot wrap. */
    data_at = (c->at + alignment - 1) / alignment * alignment;
    for (size_t i = 0; st == GW_OK && i < n; i++)
        st = place(c, &g->tensors[i], offsets[i], data_at, alignment);
out:
    free(offsets);
    return st;
}

static enum gw_status parse(struct gguf *g, struct gw_err *err)
{
    struct cursor c = {g->base, 0, g->size, err};
    uint64_t n_tensors = 0, n_pairs = 0;

    GW_TRY(parse_header(&c, &n_tensors, &n_pairs));
    GW_TRY(parse_pairs(g, &c, (size_t)n_pairs));
    return parse_tensors(g, &c, (size_t)n_tensors);
}

enum gw_status gguf_open_memory(const void *data, size_t size, struct gguf **out,
                                struct gw_err *err)
{
    struct gguf *g = calloc(1, sizeof(*g));
    enum gw_status st;

    if (g == NULL)
        return gw_fail(err, GW_ENOMEM, "GGUF: out of memory");
    g->base = data;
    g->size = size;
    st = parse(g, err);
    if (st != GW_OK) {
        gguf_close(g);
        return st;
    }
    *out = g;
    return GW_OK;
}

enum gw_status gguf_open_mapping(void *base, size_t size, struct gguf **out, struct gw_err *err)
{
    struct gguf *g = NULL;
    enum gw_status st = gguf_open_memory(base, size, &g, err);

    if (st != GW_OK || g == NULL)
        return st;
    g->mapping = base;
    *out = g;
    return GW_OK;
}

/* Maps the whole file; *size is above 0 on success. */
static enum gw_status map_file(const char *path, void **base, size_t *size, struct gw_err *err)
{
    enum gw_status st = GW_EIO;
    struct stat sb;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO, "cannot open %s: %s", path,
                       strerrordesc_np(errno));
    if (fstat(fd, &sb) != 0) {
        st = gw_fail(err, GW_EIO, "cannot stat %s: %s", path, strerrordesc_np(errno));
    } else if (!S_ISREG(sb.st_mode)) {
        st = gw_fail(err, GW_EINVAL, "%s is not a regular file", path);
    } else if (sb.st_size == 0) {
        st = gw_fail(err, GW_EPARSE, "%s is empty", path);
    } else {
        *base = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        *size = (size_t)sb.st_size;
        st = *base == MAP_FAILED
                 ? gw_fail(err, GW_EIO, "cannot map %s: %s", path, strerrordesc_np(errno))
                 : GW_OK;
    }
    (void)close(fd);
    return st;
}

enum gw_status gguf_open_one(const char *path, struct gguf **out, struct gw_err *err)
{
    void *base = NULL;
    size_t size = 0;
    enum gw_status st;

    GW_TRY(map_file(path, &base, &size, err));
    st = gguf_open_mapping(base, size, out, err);
    if (st != GW_OK) {
        (void)munmap(base, size);
        if (err != NULL)
            (void)gw_fail_prefix(err, "%s", path);
    }
    return st;
}

enum gw_status gguf_open(const char *path, struct gguf **out, struct gw_err *err)
{
    struct gguf *g = NULL;
    enum gw_status st;

    GW_TRY(gguf_open_one(path, &g, err));
    st = gguf_join(g, path, err);
    if (st != GW_OK) {
        gguf_close(g);
        if (err != NULL)
            (void)gw_fail_prefix(err, "%s", path);
        return st;
    }
    *out = g;
    return GW_OK;
}

/* Parts have no parts: this goes one level deep. */
void gguf_close(struct gguf *g) // NOLINT(misc-no-recursion)
{
    if (g == NULL)
        return;
    for (size_t i = 0; i < g->n_parts; i++)
        gguf_close(g->parts[i]);
    free(g->parts);
    free(g->pairs);
    free(g->tensors);
    free(g->keys.slots);
    free(g->names.slots);
    if (g->mapping != NULL)
        (void)munmap(g->mapping, g->size);
    free(g);
}
