/* proxy/local/local_adapter.c - which of an engine target's adapters a model's name asks for. Pure. */
#include "proxy/local/local.h"

/* "NAME", "TARGET:NAME", or any model's name with ":NAME" behind it. full: "TARGET:NAME"; name: where NAME begins. */
static bool asks_for(struct gw_span model, struct gw_span full, size_t name)
{
    return gw_span_eq(model, gw_span_from(full, name)) ||
           gw_span_ends(model, gw_span_from(full, name - 1));
}

static const struct proxy_config_pair *find(const struct proxy_config_target *t,
                                            struct gw_span model)
{
    const size_t name = strlen(t->name) + 1;

    for (unsigned i = 0; i < t->adapters.n; i++)
        if (asks_for(model, t->adapters.items[i].from, name))
            return &t->adapters.items[i];
    return NULL;
}

struct gw_span local_model_name(const struct proxy_config_target *t, struct gw_span model)
{
    const struct gw_span own = gw_span_str(t->name);
    const struct proxy_config_pair *adapter = find(t, model);

    if (adapter != NULL)
        return adapter->from;
    /* Its own name with one that it has not: the model as it is would be another answer than what was asked for. */
    if (t->adapters.n != 0 && model.len > own.len && gw_span_starts(model, own) &&
        model.ptr[own.len] == ':')
        return model;
    return own;
}

enum gw_status local_adapter(const struct proxy_config_target *t, struct gw_span model,
                             struct gw_span *out, struct gw_err *err)
{
    const struct proxy_config_pair *adapter = find(t, model);

    if (adapter == NULL && !gw_span_is(model, t->name))
        return gw_fail(err, GW_EUNSUPPORTED, "target %s has no adapter of the name asked for",
                       t->name);
    *out = adapter == NULL ? GW_SPAN("") : adapter->from;
    return GW_OK;
}
