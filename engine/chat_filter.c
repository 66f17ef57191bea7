/* engine/chat_filter.c - the filters, methods and tests of chat templates.
 *
 * Tables of names and functions; see chat_value.h V1 for the marks that strings carry. */
#include "base/utf8.h"
#include "engine/chat_eval.h"

typedef struct jval function(struct jrun *r, struct jval value, const struct jinja_args *args);

struct jval jinja_arg(const struct jinja_args *args, unsigned place, const char *name)
{
    for (unsigned i = 0; i < args->n; i++)
        if (args->names[i].len == 0 ? i == place : name != NULL && gw_span_is(args->names[i], name))
            return args->values[i];
    return jval_undefined;
}

static struct gw_span text_arg(struct jrun *r, const struct jinja_args *args, unsigned place)
{
    struct jval v = jinja_arg(args, place, NULL);

    if (v.type != JVAL_STRING && v.type != JVAL_UNDEFINED && v.type != JVAL_NONE)
        jrun_fail(r, GW_EUNSUPPORTED, "a function needs a string");
    return v.type == JVAL_STRING ? jstr_span(v.string) : (struct gw_span){NULL, 0};
}

/* value as a string; anything else fails. */
static struct jstr need_string(struct jrun *r, struct jval v)
{
    if (v.type == JVAL_STRING && jrun_work(r, v.string.len / 16))
        return v.string;
    if (v.type != JVAL_STRING)
        jrun_fail(r, GW_EUNSUPPORTED, "a function needs a string");
    return (struct jstr){NULL, NULL, 0};
}

/* ---- strings ------------------------------------------------------------------------------------ */

static struct jval strip(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return jval_string(jstr_trim(need_string(r, v), text_arg(r, args, 0), true, true));
}

static struct jval strip_left(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return jval_string(jstr_trim(need_string(r, v), text_arg(r, args, 0), true, false));
}

static struct jval strip_right(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return jval_string(jstr_trim(need_string(r, v), text_arg(r, args, 0), false, true));
}

/* A copy of s with ASCII letters changed: to upper case where upper(i) says so, else to lower. */
static struct jval change_case(struct jrun *r, struct jstr s, bool first_upper, bool rest_upper)
{
    char *p = jrun_alloc(r, s.len, 1);

    for (size_t i = 0; p != NULL && i < s.len; i++) {
        bool upper_case = i == 0 ? first_upper : rest_upper;

        p[i] = gw_ascii_lower(s.ptr[i]);
        if (upper_case && p[i] >= 'a' && p[i] <= 'z')
            p[i] = (char)(p[i] - 'a' + 'A');
    }
    return p == NULL ? jval_undefined : jval_string((struct jstr){p, s.user, s.len});
}

static struct jval upper(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return change_case(r, need_string(r, v), true, true);
}

static struct jval lower(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return change_case(r, need_string(r, v), false, false);
}

static struct jval capitalize(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return change_case(r, need_string(r, v), true, false);
}

static struct jval starts_with(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return jval_bool(gw_span_starts(jstr_span(need_string(r, v)), text_arg(r, args, 0)));
}

static struct jval ends_with(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return jval_bool(gw_span_ends(jstr_span(need_string(r, v)), text_arg(r, args, 0)));
}

/* Where part stands in s from `from` on, or s.len. part is not empty. */
static size_t find(struct jstr s, size_t from, struct gw_span part)
{
    const char *p = from >= s.len ? NULL : memmem(s.ptr + from, s.len - from, part.ptr, part.len);

    return p == NULL ? s.len : (size_t)(p - s.ptr);
}

static size_t count(struct jstr s, struct gw_span part)
{
    size_t n = 0;

    for (size_t at = find(s, 0, part); at < s.len; at = find(s, at + part.len, part))
        n++;
    return n;
}

static struct jval split(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jstr s = need_string(r, v);
    struct gw_span by = text_arg(r, args, 0);
    struct jval limit = jinja_arg(args, 1, "maxsplit");
    size_t from = 0;

    if (by.len == 0) {
        jrun_fail(r, GW_EUNSUPPORTED, "split() needs a separator");
        return jval_undefined;
    }
    size_t n = count(s, by);
    if (limit.type == JVAL_INT && limit.number >= 0 && (uint64_t)limit.number < n)
        n = (size_t)limit.number;
    struct jval out = jval_list(r, n + 1);
    for (size_t i = 0; i <= n && r->status == GW_OK; i++) {
        size_t to = i == n ? s.len : find(s, from, by);

        out.list->items[i] = jval_string(jstr_sub(s, from, to));
        from = to + by.len;
    }
    return out;
}

static struct jval replace(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jstr s = need_string(r, v);
    struct gw_span old = text_arg(r, args, 0);
    struct jval new = jinja_arg(args, 1, NULL);
    size_t n = 0, from = 0;

    if (old.len == 0 || new.type != JVAL_STRING || args->n > 2) {
        jrun_fail(r, GW_EUNSUPPORTED, "replace() needs two strings, the first not empty");
        return jval_undefined;
    }
    size_t times = count(s, old), len = s.len - times * old.len;
    if (times > 0 && new.string.len > (SIZE_MAX / 2 - len) / times) {
        jrun_fail(r, GW_ELIMIT, "replace() makes too long a string");
        return jval_undefined;
    }
    len += times * new.string.len;
    char *ptr = jrun_alloc(r, len, 1);
    unsigned char *user = jrun_alloc(r, len, 1);
    while (r->status == GW_OK && from < s.len) {
        size_t at = find(s, from, old);

        memcpy(ptr + n, s.ptr + from, at - from);
        if (s.user != NULL)
            memcpy(user + n, s.user + from, at - from);
        n += at - from;
        if (at == s.len)
            break;
        if (new.string.len > 0)
            memcpy(ptr + n, new.string.ptr, new.string.len);
        if (new.string.user != NULL &&new.string.len > 0)
            memcpy(user + n, new.string.user, new.string.len);
        n += new.string.len;
        from = at + old.len;
    }
    return r->status == GW_OK ? jval_string((struct jstr){ptr, user, n}) : jval_undefined;
}

/* ---- values of any type ---------------------------------------------------------------------------- */

static struct jval length(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    ptrdiff_t n = v.type == JVAL_UNDEFINED ? 0 : jval_length(r, v);

    (void)args;
    if (n < 0)
        jrun_fail(r, GW_EUNSUPPORTED, "this value has no length");
    return jval_int(n);
}

static struct jval to_string(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return jval_string(jval_text(r, v));
}

static struct jval to_number(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    int64_t n = 0;
    bool negative = false;

    (void)args;
    if (v.type == JVAL_INT || v.type == JVAL_BOOL)
        return jval_int(v.type == JVAL_INT ? v.number : v.boolean);
    struct jstr s = jstr_trim(need_string(r, v), (struct gw_span){NULL, 0}, true, true);
    for (size_t i = 0; i < s.len; i++) {
        if (i == 0 && s.len > 1 && s.ptr[0] == '-')
            negative = true;
        else if (s.ptr[i] < '0' || s.ptr[i] > '9' || n > INT32_MAX)
            return jval_int(0);
        else
            n = n * 10 + (s.ptr[i] - '0');
    }
    return jval_int(negative ? -n : n);
}

static struct jval same(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)r;
    (void)args;
    return v;
}

static struct jval or_default(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    bool falsy_too = jval_truth(jinja_arg(args, 1, "boolean"));

    (void)r;
    if (v.type != JVAL_UNDEFINED && (!falsy_too || jval_truth(v)))
        return v;
    struct jval other = jinja_arg(args, 0, "default_value");
    return other.type == JVAL_UNDEFINED ? jval_template((struct gw_span){NULL, 0}) : other;
}

/* ---- lists and dicts --------------------------------------------------------------------------------- */

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
    const struct jlist *l = jval_iterate(r, v);
    struct jval out = jval_list(r, l->n);

    (void)args;
    for (size_t i = 0; i < l->n && r->status == GW_OK; i++)
        out.list->items[i] = l->items[l->n - 1 - i];
    return out;
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
    struct jval by = jinja_arg(args, 0, "d");
    struct jstr out = {NULL, NULL, 0};

    for (size_t i = 0; i < l->n && r->status == GW_OK; i++) {
        if (i > 0 && by.type == JVAL_STRING)
            out = jstr_concat(r, out, by.string);
        out = jstr_concat(r, out, jval_text(r, l->items[i]));
    }
    return jval_string(out);
}

/* The items whose member passes a test: selectattr('role', 'equalto', 'user'). */
static struct jval select_attr(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jlist *l = jval_iterate(r, v);
    struct gw_span name = text_arg(r, args, 0), test = text_arg(r, args, 1);
    struct jval out = jval_list(r, l->n);
    size_t kept = 0;

    for (size_t i = 0; i < l->n && r->status == GW_OK; i++) {
        struct jval member = jval_member(r, l->items[i], name);

        if (test.len == 0 ? jval_truth(member)
                          : jinja_test(r, test, member, jinja_arg(args, 2, NULL)))
            out.list->items[kept++] = l->items[i];
    }
    if (r->status != GW_OK)
        return jval_undefined;
    out.list->n = kept;
    return out;
}

static const struct jdict *need_dict(struct jrun *r, struct jval v)
{
    static const struct jdict nothing = {NULL, NULL, 0};

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
        pair.list->items[0] = jval_string(e->key);
        pair.list->items[1] = e->value;
        out.list->items[i++] = pair;
    }
    return out;
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
    const struct jval *found = jdict_get(need_dict(r, v), text_arg(r, args, 0));
    struct jval other = jinja_arg(args, 1, NULL);

    if (found != NULL)
        return *found;
    if (other.type == JVAL_UNDEFINED)
        other.type = JVAL_NONE;
    return other;
}

static struct jval to_json(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    if (args->n > 0)
        jrun_fail(r, GW_EUNSUPPORTED, "tojson takes no arguments here");
    return jval_string(jval_json(r, v));
}

/* ---- tables ------------------------------------------------------------------------------------------ */

struct entry {
    const char *name;
    function *f;
};

static const struct entry filters[] = {
    {"trim", strip},         {"upper", upper},
    {"lower", lower},        {"capitalize", capitalize},
    {"replace", replace},    {"length", length},
    {"count", length},       {"string", to_string},
    {"int", to_number},      {"safe", same},
    {"default", or_default}, {"d", or_default},
    {"list", to_list},       {"reverse", reverse},
    {"first", first},        {"last", last},
    {"join", join},          {"items", items},
    {"tojson", to_json},     {"selectattr", select_attr},
};

static const struct entry methods[] = {
    {"strip", strip},
    {"lstrip", strip_left},
    {"rstrip", strip_right},
    {"upper", upper},
    {"lower", lower},
    {"capitalize", capitalize},
    {"startswith", starts_with},
    {"endswith", ends_with},
    {"split", split},
    {"replace", replace},
    {"items", items},
    {"keys", to_list},
    {"values", values},
    {"get", get},
};

static function *look_up(const struct entry *table, size_t n, struct gw_span name)
{
    for (size_t i = 0; i < n; i++)
        if (gw_span_is(name, table[i].name))
            return table[i].f;
    return NULL;
}

struct jval jinja_filter(struct jrun *r, struct gw_span name, struct jval value,
                         const struct jinja_args *args)
{
    function *f = look_up(filters, sizeof(filters) / sizeof(filters[0]), name);

    if (f != NULL)
        return f(r, value, args);
    jrun_fail(r, GW_EUNSUPPORTED, "a filter is not supported");
    return jval_undefined;
}

struct jval jinja_method(struct jrun *r, struct gw_span name, struct jval value,
                         const struct jinja_args *args)
{
    function *f = look_up(methods, sizeof(methods) / sizeof(methods[0]), name);

    if (f != NULL)
        return f(r, value, args);
    jrun_fail(r, GW_EUNSUPPORTED, "a method is not supported");
    return jval_undefined;
}

/* ---- tests --------------------------------------------------------------------------------------------- */

enum test_kind {
    TEST_DEFINED,
    TEST_UNDEFINED,
    TEST_NONE,
    TEST_STRING,
    TEST_NUMBER,
    TEST_BOOLEAN,
    TEST_TRUE,
    TEST_FALSE,
    TEST_MAPPING,
    TEST_SEQUENCE,
    TEST_ODD,
    TEST_EVEN,
    TEST_EQUAL,
    TEST_IN,
    TEST_COUNT
};

static const struct {
    const char *name;
    enum test_kind kind;
} tests[] = {
    {"defined", TEST_DEFINED},
    {"undefined", TEST_UNDEFINED},
    {"none", TEST_NONE},
    {"string", TEST_STRING},
    {"number", TEST_NUMBER},
    {"integer", TEST_NUMBER},
    {"boolean", TEST_BOOLEAN},
    {"true", TEST_TRUE},
    {"false", TEST_FALSE},
    {"mapping", TEST_MAPPING},
    {"sequence", TEST_SEQUENCE},
    {"iterable", TEST_SEQUENCE},
    {"odd", TEST_ODD},
    {"even", TEST_EVEN},
    {"equalto", TEST_EQUAL},
    {"eq", TEST_EQUAL},
    {"in", TEST_IN},
};

static enum test_kind test_of(struct gw_span name)
{
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        if (gw_span_is(name, tests[i].name))
            return tests[i].kind;
    return TEST_COUNT;
}

bool jinja_test(struct jrun *r, struct gw_span name, struct jval v, struct jval argument)
{
    switch (test_of(name)) {
    case TEST_DEFINED:
        return v.type != JVAL_UNDEFINED;
    case TEST_UNDEFINED:
        return v.type == JVAL_UNDEFINED;
    case TEST_NONE:
        return v.type == JVAL_NONE;
    case TEST_STRING:
        return v.type == JVAL_STRING;
    case TEST_NUMBER:
        return v.type == JVAL_INT;
    case TEST_BOOLEAN:
        return v.type == JVAL_BOOL;
    case TEST_TRUE:
        return v.type == JVAL_BOOL && v.boolean;
    case TEST_FALSE:
        return v.type == JVAL_BOOL && !v.boolean;
    case TEST_MAPPING:
        return v.type == JVAL_DICT;
    case TEST_SEQUENCE:
        return v.type == JVAL_LIST || v.type == JVAL_STRING || v.type == JVAL_DICT;
    case TEST_ODD:
    case TEST_EVEN:
        if (v.type != JVAL_INT)
            jrun_fail(r, GW_EUNSUPPORTED, "odd and even need a number");
        return (v.number % 2 != 0) == (test_of(name) == TEST_ODD);
    case TEST_EQUAL:
        return jval_equal(r, v, argument);
    case TEST_IN:
        return jval_in(r, v, argument);
    case TEST_COUNT:
    default:
        jrun_fail(r, GW_EUNSUPPORTED, "a test is not supported");
        return false;
    }
}
