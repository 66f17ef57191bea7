/* engine/chat_filter_list.c - the filters of lists, dicts and numbers in chat templates, and the methods of dicts.
 *
 * What Python makes on demand (map, select, reverse) is made at once here, as a list. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/chat_filter.h"

/* ---- attributes ----------------------------------------------------------------------------- */

struct jval jinja_path(struct jrun *r, struct jval value, struct jval path, struct jval otherwise)
{
    struct jstr rest = path.string;

    if (path.type == JVAL_INT) {
        value = jval_index(r, value, path);
        return value.type == JVAL_UNDEFINED ? otherwise : value;
    }
    if (path.type != JVAL_STRING) {
        jrun_fail(r, GW_EUNSUPPORTED, "an attribute is a string or a number");
        return jval_undefined;
    }
    for (bool more = true; more && r->status == GW_OK;) {
        const char *dot = rest.len == 0 ? NULL : memchr(rest.ptr, '.', rest.len);
        size_t n = dot == NULL ? rest.len : (size_t)(dot - rest.ptr);
        struct jval part = jval_string(jstr_sub(rest, 0, n));

        if (n > 0 && n < 9 && rest.ptr[0] >= '0' && rest.ptr[0] <= '9') {
            part = jval_int(0);
            for (size_t i = 0; i < n && rest.ptr[i] >= '0' && rest.ptr[i] <= '9'; i++)
                part.number = part.number * 10 + (rest.ptr[i] - '0');
        }
        value = jval_index(r, value, part);
        if (value.type == JVAL_UNDEFINED)
            value = otherwise;
        more = dot != NULL;
        rest = jstr_sub(rest, n + more, rest.len);
    }
    return r->status == GW_OK ? value : jval_undefined;
}

/* The item, or what of it an argument "attribute" names. */
static struct jval key_of(struct jrun *r, struct jval item, struct jval attribute)
{
    return attribute.type == JVAL_UNDEFINED || attribute.type == JVAL_NONE
               ? item
               : jinja_path(r, item, attribute, jval_undefined);
}

/* ---- lists ---------------------------------------------------------------------------------- */

static struct jval to_list(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jlist *l = jval_iterate(r, v);
    struct jval out = jval_list(r, l->n);

    (void)args;
    for (size_t i = 0; i < l->n && r->status == GW_OK; i++)
        out.list->items[i] = l->items[i];
    return out;
}

static struct jval reverse(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jval step = jval_int(-1);

    if (v.type == JVAL_STRING || v.type == JVAL_LIST)
        return jval_slice(r, v, jval_undefined, jval_undefined, step);
    v = to_list(r, v, args);
    return r->status == GW_OK ? jval_slice(r, v, jval_undefined, jval_undefined, step) : v;
}

static struct jval first(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jlist *l = jval_iterate(r, v);

    (void)args;
    return l->n == 0 ? jval_undefined : l->items[0];
}

static struct jval last(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jlist *l = jval_iterate(r, v);

    (void)args;
    return l->n == 0 ? jval_undefined : l->items[l->n - 1];
}

static struct jval join(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jlist *l = jval_iterate(r, v);
    struct jstr by = jval_text(r, jinja_arg(args, 0, "d"));
    struct jval attribute = jinja_arg(args, 1, "attribute");
    struct jbuild out = {0};

    for (size_t i = 0; i < l->n && r->status == GW_OK; i++) {
        if (i > 0)
            jbuild_add(r, &out, by);
        jbuild_add(r, &out, jval_text(r, key_of(r, l->items[i], attribute)));
    }
    return jval_string(jbuild_done(&out));
}

/* map(attribute='name', default=x), or map('filter', its arguments...) */
static struct jval map(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jlist *l = jval_iterate(r, v);
    struct jval attribute = jinja_arg(args, JINJA_MAX_ARGS, "attribute"),
                otherwise = jinja_arg(args, JINJA_MAX_ARGS, "default");
    struct jval out = jval_list(r, l->n);
    struct jinja_args rest = {.n = 0};

    for (unsigned i = 1; i < args->n && attribute.type == JVAL_UNDEFINED; i++) {
        rest.values[rest.n] = args->values[i];
        rest.names[rest.n++] = args->names[i];
    }
    for (size_t i = 0; i < l->n && r->status == GW_OK; i++) {
        struct jval item = l->items[i];

        if (attribute.type == JVAL_UNDEFINED)
            item = jinja_filter(r, jinja_text_arg(r, args, 0, NULL), item, &rest);
        else
            item = jinja_path(r, item, attribute, otherwise);
        out.list->items[i] = item;
    }
    return out;
}

/* The items that pass a test, or that do not: select('string'), selectattr('role', 'equalto', 'user'). */
static struct jval choose(struct jrun *r, struct jval v, const struct jinja_args *args,
                          bool attribute, bool want)
{
    const struct jlist *l = jval_iterate(r, v);
    struct gw_span test = jinja_text_arg(r, args, attribute, NULL);
    struct jval out = jval_list(r, l->n);
    size_t kept = 0;

    for (size_t i = 0; i < l->n && r->status == GW_OK; i++) {
        struct jval item =
            attribute ? jinja_path(r, l->items[i], jinja_arg(args, 0, NULL), jval_undefined)
                      : l->items[i];
        bool passes = test.len == 0
                          ? jval_truth(item)
                          : jinja_test(r, test, item, jinja_arg(args, 1u + attribute, NULL));

        if (passes == want)
            out.list->items[kept++] = l->items[i];
    }
    if (r->status == GW_OK)
        out.list->n = kept;
    return out;
}

static struct jval select_items(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return choose(r, v, args, false, true);
}

static struct jval reject(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return choose(r, v, args, false, false);
}

static struct jval select_attr(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return choose(r, v, args, true, true);
}

static struct jval reject_attr(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return choose(r, v, args, true, false);
}

/* ---- order ---------------------------------------------------------------------------------- */

/* Strings without regard to case, unless that is asked for. */
static struct jval order_key(struct jrun *r, struct jval v, bool exact)
{
    return v.type == JVAL_STRING && !exact ? jval_string(jinja_lower(r, v.string)) : v;
}

/* A stable sort of items by keys; backward keeps equal ones in their order, too. What takes too long is stopped by the
 * budget, which each comparison draws on. */
static void sort_by(struct jrun *r, struct jlist *items, struct jval *keys, bool backward)
{
    for (size_t i = 1; i < items->n; i++) {
        struct jval item = items->items[i], key = keys[i];
        size_t at = i;

        for (; at > 0 && jrun_work(r, 1); at--) {
            int order = jval_compare(r, key, keys[at - 1]);

            if (backward ? order <= 0 : order >= 0)
                break;
            items->items[at] = items->items[at - 1];
            keys[at] = keys[at - 1];
        }
        items->items[at] = item;
        keys[at] = key;
    }
}

static struct jval sort_with(struct jrun *r, struct jval v, struct jval attribute, bool exact,
                             bool backward)
{
    struct jval out = to_list(r, v, NULL);
    struct jval *keys = r->status == GW_OK ? jrun_alloc(r, out.list->n, sizeof(*keys)) : NULL;

    for (size_t i = 0; keys != NULL && i < out.list->n && r->status == GW_OK; i++)
        keys[i] = order_key(r, key_of(r, out.list->items[i], attribute), exact);
    if (r->status == GW_OK && keys != NULL)
        sort_by(r, out.list, keys, backward);
    return out;
}

static struct jval sort(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return sort_with(r, v, jinja_arg(args, 2, "attribute"),
                     jval_truth(jinja_arg(args, 1, "case_sensitive")),
                     jval_truth(jinja_arg(args, 0, "reverse")));
}

static struct jval unique(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    bool exact = jval_truth(jinja_arg(args, 0, "case_sensitive"));
    struct jval attribute = jinja_arg(args, 1, "attribute"), all = to_list(r, v, NULL);
    struct jval *keys = r->status == GW_OK ? jrun_alloc(r, all.list->n, sizeof(*keys)) : NULL;
    size_t kept = 0;

    for (size_t i = 0; keys != NULL && i < all.list->n && r->status == GW_OK; i++) {
        bool known = false;

        keys[kept] = order_key(r, key_of(r, all.list->items[i], attribute), exact);
        for (size_t k = 0; k < kept && !known && jrun_work(r, 1); k++)
            known = jval_equal(r, keys[k], keys[kept]);
        if (!known)
            all.list->items[kept++] = all.list->items[i];
    }
    if (r->status == GW_OK)
        all.list->n = kept;
    return all;
}

static struct jval extreme(struct jrun *r, struct jval v, const struct jinja_args *args, int sign)
{
    bool exact = jval_truth(jinja_arg(args, 0, "case_sensitive"));
    struct jval attribute = jinja_arg(args, 1, "attribute"), best = jval_undefined, key = best;
    const struct jlist *l = jval_iterate(r, v);

    for (size_t i = 0; i < l->n && r->status == GW_OK; i++) {
        struct jval now = order_key(r, key_of(r, l->items[i], attribute), exact);

        if (i == 0 || jval_compare(r, now, key) * sign > 0) {
            best = l->items[i];
            key = now;
        }
    }
    return best;
}

static struct jval max(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return extreme(r, v, args, 1);
}

static struct jval min(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return extreme(r, v, args, -1);
}

/* ---- dicts ---------------------------------------------------------------------------------- */

static const struct jdict *need_dict(struct jrun *r, struct jval v)
{
    static const struct jdict nothing = {NULL, NULL, 0, false};

    if (v.type == JVAL_UNDEFINED)
        return &nothing;
    if (v.type == JVAL_DICT && jrun_work(r, v.dict->n))
        return v.dict;
    jrun_fail(r, GW_EUNSUPPORTED, "a function needs a dict");
    return &nothing;
}

static struct jval items(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jdict *d = need_dict(r, v);
    struct jval out = jval_list(r, d->n);
    size_t i = 0;

    (void)args;
    for (const struct jentry *e = d->first; e != NULL && r->status == GW_OK; e = e->next) {
        struct jval pair = jval_list(r, 2);

        if (r->status != GW_OK)
            break;
        pair.list->tuple = true;
        pair.list->items[0] = jval_string(e->key);
        pair.list->items[1] = e->value;
        out.list->items[i++] = pair;
    }
    return out;
}

static struct jval dict_sort(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct gw_span by = jinja_text_arg(r, args, 1, "by");

    return sort_with(r, items(r, v, NULL), jval_int(gw_span_is(by, "value")),
                     jval_truth(jinja_arg(args, 0, "case_sensitive")),
                     jval_truth(jinja_arg(args, 2, "reverse")));
}

static struct jval values(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jdict *d = need_dict(r, v);
    struct jval out = jval_list(r, d->n);
    size_t i = 0;

    (void)args;
    for (const struct jentry *e = d->first; e != NULL && r->status == GW_OK; e = e->next)
        out.list->items[i++] = e->value;
    return out;
}

static struct jval get(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jval key = jinja_arg(args, 0, NULL), other = jinja_arg(args, 1, NULL);
    const struct jdict *d = need_dict(r, v);
    const struct jval *found = key.type == JVAL_STRING ? jdict_get(d, jstr_span(key.string)) : NULL;

    if (found != NULL)
        return *found;
    if (args->n < 2)
        other.type = JVAL_NONE;
    return other;
}

static struct jval copy(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jdict *d = need_dict(r, v);
    struct jval out = jval_dict(r);

    (void)args;
    for (const struct jentry *e = d->first; e != NULL && r->status == GW_OK; e = e->next)
        jdict_set(r, out.dict, e->key, e->value);
    return out;
}

/* ---- numbers -------------------------------------------------------------------------------- */

static struct jval sum(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jlist *l = jval_iterate(r, v);
    struct jval attribute = jinja_arg(args, 0, "attribute"), out = jinja_arg(args, 1, "start");

    if (out.type == JVAL_UNDEFINED)
        out = jval_int(0);
    for (size_t i = 0; i < l->n && r->status == GW_OK; i++)
        out = jinja_calculate(r, JINJA_OP_ADD, out, key_of(r, l->items[i], attribute));
    return out;
}

static struct jval absolute(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    if (v.type == JVAL_FLOAT)
        return jval_float(fabs(v.real));
    if (v.type != JVAL_INT || v.number == INT64_MIN)
        jrun_fail(r, GW_EUNSUPPORTED, "abs needs a number");
    return jval_int(v.number < 0 ? -v.number : v.number);
}

/* To a number of decimal digits: the nearest (to even ones), up, or down. */
static struct jval round_off(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    int64_t digits = jinja_int_arg(r, args, 0, "precision", 0);
    struct gw_span method = jinja_text_arg(r, args, 1, "method");
    double x = 0, scale;

    if (!jval_real(v, &x) || digits < 0 || digits > 15) {
        jrun_fail(r, GW_EUNSUPPORTED, "round needs a number, and 0 to 15 digits");
        return jval_undefined;
    }
    scale = pow(10, (double)digits);
    if (gw_span_is(method, "ceil"))
        return jval_float(ceil(x * scale) / scale);
    if (gw_span_is(method, "floor"))
        return jval_float(floor(x * scale) / scale);
    if (v.type != JVAL_FLOAT)
        return v.type == JVAL_BOOL ? jval_int(v.boolean) : v;
    char text[400]; /* printf() rounds as Python does: exactly, halves to even digits */
    (void)snprintf(text, sizeof(text), "%.*f", (int)digits, x);
    return jval_float(strtod(text, NULL));
}

const struct jinja_entry jinja_list_filters[] = {
    {"list", to_list},
    {"reverse", reverse},
    {"first", first},
    {"last", last},
    {"join", join},
    {"map", map},
    {"select", select_items},
    {"reject", reject},
    {"selectattr", select_attr},
    {"rejectattr", reject_attr},
    {"sort", sort},
    {"unique", unique},
    {"max", max},
    {"min", min},
    {"items", items},
    {"dictsort", dict_sort},
    {"sum", sum},
    {"abs", absolute},
    {"round", round_off},
    {NULL, NULL},
};

const struct jinja_entry jinja_dict_methods[] = {
    {"items", items}, {"keys", to_list}, {"values", values},
    {"get", get},     {"copy", copy},    {NULL, NULL},
};
