/* engine/device.c - which device, and calls to it. See device.h. */
#include "engine/device.h"

#include <stdlib.h>
#include <string.h>

static enum gw_status bad_spec(const char *text, struct gw_err *err)
{
    return gw_fail(err, GW_EINVAL, "device %s: auto, cpu, cuda and cuda:0 or cuda:0,1 are known",
                   text);
}

/* The numbers behind "cuda:". */
static enum gw_status parse_parts(const char *text, struct device_spec *spec, struct gw_err *err)
{
    const char *at = text + strlen("cuda:");

    for (;;) {
        char *end = NULL;
        unsigned long n;

        if (*at < '0' || *at > '9' || spec->n_parts == DEVICE_MAX_PARTS)
            return bad_spec(text, err);
        n = strtoul(at, &end, 10);
        if (n > 255)
            return bad_spec(text, err);
        for (unsigned i = 0; i < spec->n_parts; i++)
            if (spec->parts[i] == n)
                return gw_fail(err, GW_EINVAL, "device %s: number %lu is there twice", text, n);
        spec->parts[spec->n_parts++] = (unsigned)n;
        if (*end == '\0')
            return GW_OK;
        if (*end != ',')
            return bad_spec(text, err);
        at = end + 1;
    }
}

enum gw_status device_parse(const char *text, struct device_spec *out, struct gw_err *err)
{
    struct device_spec spec = {.kind = DEVICE_AUTO};

    if (text != NULL && strcmp(text, "cpu") == 0) {
        spec.kind = DEVICE_CPU;
    } else if (text != NULL && strcmp(text, "cuda") == 0) {
        spec.kind = DEVICE_CUDA;
        spec.n_parts = 1;
    } else if (text != NULL && strncmp(text, "cuda:", 5) == 0) {
        spec.kind = DEVICE_CUDA;
        GW_TRY(parse_parts(text, &spec, err));
    } else if (text != NULL && text[0] != '\0' && strcmp(text, "auto") != 0) {
        return bad_spec(text, err);
    }
    *out = spec;
    return GW_OK;
}

bool device_has_kv(enum kern_kv_type type)
{
    return type == KERN_KV_F16 || type == KERN_KV_I8 || type == KERN_KV_FP8 || type == KERN_KV_I4;
}

bool device_wanted(const struct device_spec *spec)
{
    return spec->kind == DEVICE_CUDA || (spec->kind == DEVICE_AUTO && device_cuda_ops.count() != 0);
}

enum gw_status device_check(const struct device_spec *spec, struct gw_err *err)
{
    const struct device_ops *ops = &device_cuda_ops;
    const unsigned n = ops->count();

    if (spec->kind != DEVICE_CUDA)
        return GW_OK;
    if (n == 0)
        return gw_fail(err, GW_EUNSUPPORTED, "there is no GPU: %s; device cpu or auto goes without",
                       ops->reason());
    for (unsigned i = 0; i < spec->n_parts; i++)
        if (spec->parts[i] >= n)
            return gw_fail(err, GW_EUNSUPPORTED, "there is no GPU %u: there %s %u, counted from 0",
                           spec->parts[i], n == 1 ? "is" : "are", n);
    return GW_OK;
}

enum gw_status device_open(const struct device_spec *spec, const struct model *m,
                           const struct device_limits *limits, struct device **out,
                           struct gw_err *err)
{
    const struct device_ops *ops =
        spec->tensors && spec->n_parts > 1 ? &device_tensor_ops : &device_cuda_ops;
    struct device_spec wanted = *spec;
    struct device *d = NULL;
    enum gw_status st;

    *out = NULL;
    if (!device_wanted(spec))
        return GW_OK;
    GW_TRY(device_check(spec, err));
    if (spec->kind == DEVICE_AUTO) {
        const unsigned n = ops->count();

        for (; wanted.n_parts < n && wanted.n_parts < DEVICE_MAX_PARTS; wanted.n_parts++)
            wanted.parts[wanted.n_parts] = wanted.n_parts;
    }
    st = ops->open(&wanted, m, limits, &d, err);
    /* What nobody asked for by name must not keep a model from being served. */
    if (st != GW_OK && spec->kind == DEVICE_AUTO)
        return GW_OK;
    if (st == GW_OK)
        *out = d;
    return st;
}

void device_close(struct device *d)
{
    if (d != NULL)
        d->ops->close(d);
}

uint64_t device_room(struct device *d)
{
    return d->ops->room(d);
}

uint64_t device_token_bytes(const struct device *d)
{
    return d->token_bytes;
}

enum gw_status device_start(struct device *d, unsigned n_pages, struct gw_err *err)
{
    return d->ops->start(d, n_pages, err);
}

void device_copy_page(void *ctx, uint32_t to, uint32_t from)
{
    struct device *d = ctx;

    d->ops->copy_page(d, to, from);
}

enum gw_status device_step(struct device *d, const struct device_step *s, struct gw_err *err)
{
    return d->ops->step(d, s, err);
}

enum gw_status device_cost(struct device *d, struct engine_cost *out, struct gw_err *err)
{
    return d->ops->cost(d, out, err);
}

void device_health(const struct device *d, struct engine_device *out)
{
    d->ops->health(d, out);
}
