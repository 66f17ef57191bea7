/* engine/safetensors.c - see safetensors.h. */
#include "engine/safetensors.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_tree.h"

enum {
    LENGTH_BYTES = 8,
    MAX_HEADER_BYTES = 16 << 20,
    MAX_TREE_BYTES = 96 << 20,
    MAX_TENSORS = 1 << 16,
    MAX_KEYS = 5 * MAX_TENSORS
};

struct safetensors {
    struct gw_span file;
    bool is_mapped;                     /* else the bytes are the caller's */
    struct gw_arena *arena;             /* names */
    struct safetensors_tensor *tensors; /* by name */
    size_t n_tensors;
};

static const struct {
    const char *name;
    unsigned bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"I64", 8},
              {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
              {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

/* ---- one tensor ---------------------------------------------------------------------------- */

/* A number of the header that must be there. */
static enum gw_status number(const struct gw_json_node *node, uint64_t *out, struct gw_err *err)
{
    *out = gw_json_uint(node, UINT64_MAX);
    if (*out == UINT64_MAX)
        return gw_fail(err, GW_EPARSE, "the header has a size that is not a whole number");
    return GW_OK;
}

static enum gw_status read_dtype(struct safetensors_tensor *t, const struct gw_json_node *node,
                                 uint64_t *bytes, struct gw_err *err)
{
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++) {
        if (gw_json_text_is(node, dtypes[i].name)) {
            t->dtype = gw_span_str(dtypes[i].name);
            *bytes = dtypes[i].bytes;
            return GW_OK;
        }
    }
    return gw_fail(err, GW_EUNSUPPORTED, "a tensor's type is none of the known ones");
}

/* *bytes: of an element; then of the tensor. */
static enum gw_status read_shape(struct safetensors_tensor *t, const struct gw_json_node *node,
                                 uint64_t *bytes, struct gw_err *err)
{
    if (!gw_json_is(node, GW_JSON_ARRAY_BEGIN) || node->n > SAFETENSORS_MAX_DIMS)
        return gw_fail(err, GW_EPARSE, "a tensor's shape is no list of at most %d numbers",
                       SAFETENSORS_MAX_DIMS);
    for (const struct gw_json_node *dim = node->child; dim != NULL; dim = dim->next) {
        uint64_t n = 0;

        GW_TRY(number(dim, &n, err));
        t->dims[t->n_dims++] = n;
        if (__builtin_mul_overflow(*bytes, n, bytes))
            return gw_fail(err, GW_EPARSE, "a tensor's size overflows");
    }
    return GW_OK;
}

static enum gw_status read_place(struct safetensors_tensor *t, const struct gw_json_node *node,
                                 uint64_t bytes, struct gw_span data, struct gw_err *err)
{
    if (!gw_json_is(node, GW_JSON_ARRAY_BEGIN) || node->n != 2)
        return gw_fail(err, GW_EPARSE, "a tensor's data_offsets are not two numbers");
    GW_TRY(number(node->child, &t->begin, err));
    GW_TRY(number(node->child->next, &t->end, err));
    if (t->begin > t->end || t->end > data.len)
        return gw_fail(err, GW_EPARSE, "a tensor lies outside of the file");
    if (t->end - t->begin != bytes)
        return gw_fail(err, GW_EPARSE, "a tensor's place is not as long as its shape says");
    t->data = data.ptr + t->begin;
    return GW_OK;
}

static enum gw_status read_tensor(struct safetensors_tensor *t, const struct gw_json_node *node,
                                  struct gw_span data, struct gw_err *err)
{
    uint64_t bytes = 0;

    GW_TRY(read_dtype(t, gw_json_get(node, "dtype"), &bytes, err));
    GW_TRY(read_shape(t, gw_json_get(node, "shape"), &bytes, err));
    return read_place(t, gw_json_get(node, "data_offsets"), bytes, data, err);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static int compare_names(struct gw_span a, struct gw_span b)
{
    int c = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);

    return c != 0 ? c : a.len < b.len ? -1 : a.len > b.len;
}

static int by_name(const void *a, const void *b)
{
    const struct safetensors_tensor *x = a, *y = b;

    return compare_names(x->name, y->name);
}

/* Together they are the data: none overlaps, nothing lies between. Leaves them in the order of names. */
static enum gw_status check_places(struct safetensors *s, uint64_t data_bytes, struct gw_err *err)
{
    uint64_t at = 0;

    qsort(s->tensors, s->n_tensors, sizeof(*s->tensors), by_place);
    for (size_t i = 0; i < s->n_tensors; i++) {
        if (s->tensors[i].begin != at)
            return gw_fail(err, GW_EPARSE, "tensors overlap or leave gaps");
        at = s->tensors[i].end;
    }
    if (at != data_bytes)
        return gw_fail(err, GW_EPARSE, "%llu bytes at the file's end belong to no tensor",
                       (unsigned long long)(data_bytes - at));
    qsort(s->tensors, s->n_tensors, sizeof(*s->tensors), by_name);
    return GW_OK;
}

static enum gw_status read_tensors(struct safetensors *s, const struct gw_json_node *root,
                                   struct gw_arena *tree, struct gw_span data, struct gw_err *err)
{
    if (!gw_json_is(root, GW_JSON_OBJECT_BEGIN))
        return gw_fail(err, GW_EPARSE, "the header is no object");
    if (root->n > MAX_TENSORS)
        return gw_fail(err, GW_ELIMIT, "more than %d tensors", MAX_TENSORS);
    s->tensors = calloc((size_t)root->n + 1, sizeof(*s->tensors));
    if (s->tensors == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (const struct gw_json_node *m = root->child; m != NULL; m = m->next) {
        struct safetensors_tensor *t = &s->tensors[s->n_tensors];
        struct gw_span name = gw_json_name(m, tree);

        if (gw_json_key_is(m, "__metadata__"))
            continue;
        t->name = name.ptr == NULL ? name : gw_arena_copy(s->arena, name);
        if (t->name.ptr == NULL)
            return gw_fail(err, GW_ENOMEM, "out of memory");
        if (read_tensor(t, m, data, err) != GW_OK)
            return gw_fail_prefix(err, "tensor %zu of the header", s->n_tensors);
        s->n_tensors++;
    }
    return check_places(s, data.len, err);
}

static enum gw_status parse(struct safetensors *s, struct gw_json *json, struct gw_arena *tree,
                            struct gw_err *err)
{
    const struct gw_json_limits limits = {.max_depth = 8, .max_keys = MAX_KEYS};
    const unsigned char *p = (const unsigned char *)s->file.ptr;
    struct gw_json_node *root = NULL;
    uint64_t n = 0;

    if (s->file.len < LENGTH_BYTES)
        return gw_fail(err, GW_EPARSE, "the file is too short");
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        n |= (uint64_t)p[i] << (8 * i);
    if (n > s->file.len - LENGTH_BYTES)
        return gw_fail(err, GW_EPARSE, "the header is longer than the file");
    if (n > MAX_HEADER_BYTES)
        return gw_fail(err, GW_ELIMIT, "the header is longer than %d bytes", MAX_HEADER_BYTES);
    GW_TRY(gw_json_tree(json, tree, (struct gw_span){s->file.ptr + LENGTH_BYTES, (size_t)n},
                        &limits, &root, err));
    return read_tensors(s, root, tree, gw_span_from(s->file, LENGTH_BYTES + (size_t)n), err);
}

enum gw_status safetensors_open_memory(struct gw_span data, struct safetensors **out,
                                       struct gw_err *err)
{
    struct gw_err local = {0};
    struct safetensors *s = calloc(1, sizeof(*s));
    struct gw_arena *tree = gw_arena_new(MAX_TREE_BYTES);
    struct gw_json *json = gw_json_new();
    enum gw_status st = GW_ENOMEM;

    err = err != NULL ? err : &local; /* prefixes need one */
    if (s != NULL) {
        s->file = data;
        s->arena = gw_arena_new(2 * (size_t)MAX_HEADER_BYTES);
    }
    if (s == NULL || s->arena == NULL || tree == NULL || json == NULL)
        (void)gw_fail(err, GW_ENOMEM, "out of memory");
    else
        st = parse(s, json, tree, err);
    gw_json_free(json);
    gw_arena_free(tree);
    if (st != GW_OK) {
        safetensors_close(s);
        return st;
    }
    *out = s;
    return GW_OK;
}

static enum gw_status map_file(const char *path, struct gw_span *out, struct gw_err *err)
{
    enum gw_status st = GW_OK;
    struct stat sb;
    void *base = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

    if (fd < 0)
        return gw_fail(err, errno == ENOENT || errno == ENOTDIR ? GW_ENOENT : GW_EIO,
                       "cannot open it: %s", strerrordesc_np(errno));
    if (fstat(fd, &sb) != 0)
        st = gw_fail(err, GW_EIO, "cannot stat it: %s", strerrordesc_np(errno));
    else if (!S_ISREG(sb.st_mode))
        st = gw_fail(err, GW_EINVAL, "it is not a regular file");
    else if (sb.st_size == 0)
        st = gw_fail(err, GW_EPARSE, "it is empty");
    else
        base = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (st == GW_OK && base == MAP_FAILED)
        st = gw_fail(err, GW_EIO, "cannot map it: %s", strerrordesc_np(errno));
    (void)close(fd);
    if (st == GW_OK)
        *out = (struct gw_span){base, (size_t)sb.st_size};
    return st;
}

/* Gives the mapping back; the bytes of a span are const, munmap wants them otherwise. */
static void unmap(struct gw_span mapped)
{
    union {
        const char *from;
        void *to;
    } p = {.from = mapped.ptr};

    (void)munmap(p.to, mapped.len);
}

enum gw_status safetensors_open(const char *path, struct safetensors **out, struct gw_err *err)
{
    struct gw_span mapped = {NULL, 0};
    struct gw_err local = {0};
    enum gw_status st;

    err = err != NULL ? err : &local;
    st = map_file(path, &mapped, err);
    if (st == GW_OK) {
        st = safetensors_open_memory(mapped, out, err);
        if (st == GW_OK)
            (*out)->is_mapped = true;
        else
            unmap(mapped);
    }
    return st == GW_OK ? GW_OK : gw_fail_prefix(err, "%s", path);
}

void safetensors_close(struct safetensors *s)
{
    if (s == NULL)
        return;
    if (s->is_mapped)
        unmap(s->file);
    gw_arena_free(s->arena);
    free(s->tensors);
    free(s);
}

const struct safetensors_tensor *safetensors_get(const struct safetensors *s, const char *name)
{
    const struct safetensors_tensor key = {.name = gw_span_str(name)};

    return bsearch(&key, s->tensors, s->n_tensors, sizeof(*s->tensors), by_name);
}

size_t safetensors_n_tensors(const struct safetensors *s)
{
    return s->n_tensors;
}

const struct safetensors_tensor *safetensors_tensor_at(const struct safetensors *s, size_t i)
{
    return &s->tensors[i];
}

uint64_t safetensors_file_bytes(const struct safetensors *s)
{
    return s->file.len;
}
