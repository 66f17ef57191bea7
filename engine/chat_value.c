/* engine/chat_value.c - strings with marks, lists and dicts. See chat_value.h. */
#include "engine/chat_value.h"

#include "base/utf8.h"
#include "engine/unicode.h"

void jrun_fail(struct jrun *r, enum gw_status code, const char *what)
{
    if (r->status == GW_OK)
        r->status = gw_fail(r->err, code, "chat template, line %u: %s", r->line, what);
}

bool jrun_work(struct jrun *r, size_t n)
{
    if (r->status != GW_OK)
        return false;
    if (n > r->work) {
        jrun_fail(r, GW_ELIMIT, "the template does too much work");
        return false;
    }
    r->work -= n;
    return true;
}

void *jrun_alloc(struct jrun *r, size_t n, size_t size)
{
    void *p;

    if (!jrun_work(r, 1 + n / 16))
        return NULL;
    p = gw_arena_array(r->arena, n, size);
    if (p == NULL)
        jrun_fail(r, GW_ELIMIT, "the template needs too much memory");
    return p;
}

bool jrun_enter(struct jrun *r)
{
    if (++r->depth > JRUN_MAX_DEPTH)
        jrun_fail(r, GW_ELIMIT, "the template nests too deeply");
    return jrun_work(r, 1);
}

/* ---- making values --------------------------------------------------------------------------- */

struct jval jval_bool(bool b)
{
    return (struct jval){.type = JVAL_BOOL, .boolean = b};
}

struct jval jval_int(int64_t number)
{
    return (struct jval){.type = JVAL_INT, .number = number};
}

struct jval jval_float(double number)
{
    return (struct jval){.type = JVAL_FLOAT, .real = number};
}

struct jval jval_template(struct gw_span text)
{
    return jval_string((struct jstr){text.ptr, NULL, text.len});
}

struct jval jval_string(struct jstr s)
{
    return (struct jval){.type = JVAL_STRING, .string = s};
}

struct jval jval_list(struct jrun *r, size_t n)
{
    struct jlist *l = jrun_alloc(r, 1, sizeof(*l));

    if (l == NULL)
        return jval_undefined;
    l->items = jrun_alloc(r, n, sizeof(*l->items));
    l->n = l->items == NULL ? 0 : n;
    return (struct jval){.type = JVAL_LIST, .list = l};
}

struct jval jval_dict(struct jrun *r)
{
    struct jdict *d = jrun_alloc(r, 1, sizeof(*d));

    return d == NULL ? jval_undefined : (struct jval){.type = JVAL_DICT, .dict = d};
}

void jdict_set(struct jrun *r, struct jdict *d, struct jstr key, struct jval value)
{
    struct jentry *e;

    if (!jrun_work(r, d->n))
        return;
    for (e = d->first; e != NULL; e = e->next) {
        if (gw_span_eq(jstr_span(e->key), jstr_span(key))) {
            e->value = value;
            return;
        }
    }
    e = jrun_alloc(r, 1, sizeof(*e));
    if (e == NULL)
        return;
    e->key = key;
    e->value = value;
    if (d->last == NULL)
        d->first = e;
    else
        d->last->next = e;
    d->last = e;
    d->n++;
}

const struct jval *jdict_get(const struct jdict *d, struct gw_span key)
{
    for (const struct jentry *e = d->first; e != NULL; e = e->next)
        if (gw_span_eq(jstr_span(e->key), key))
            return &e->value;
    return NULL;
}

/* ---- strings ------------------------------------------------------------------------------------ */

struct jstr jstr_sub(struct jstr s, size_t from, size_t to)
{
    if (from >= to)
        return (struct jstr){s.ptr, NULL, 0};
    return (struct jstr){s.ptr + from, s.user == NULL ? NULL : s.user + from, to - from};
}

bool jstr_is_user(struct jstr s)
{
    return s.user != NULL && s.len > 0 && memchr(s.user, 1, s.len) != NULL;
}

struct jstr jstr_concat(struct jrun *r, struct jstr a, struct jstr b)
{
    unsigned char *user = NULL;
    char *ptr;

    if (a.len == 0)
        return b;
    if (b.len == 0)
        return a;
    ptr = jrun_alloc(r, a.len + b.len, 1);
    if (a.user != NULL || b.user != NULL)
        user = jrun_alloc(r, a.len + b.len, 1);
    if (r->status != GW_OK)
        return (struct jstr){NULL, NULL, 0};
    memcpy(ptr, a.ptr, a.len);
    memcpy(ptr + a.len, b.ptr, b.len);
    if (a.user != NULL)
        memcpy(user, a.user, a.len);
    if (b.user != NULL)
        memcpy(user + a.len, b.user, b.len);
    return (struct jstr){ptr, user, a.len + b.len};
}

struct jstr jstr_of(const char *s)
{
    return (struct jstr){s, NULL, strlen(s)};
}

size_t jstr_char(struct jstr s, size_t at)
{
    uint32_t cp;
    size_t n = gw_utf8_decode(s.ptr + at, s.len - at, &cp);

    return n == 0 ? 1 : n;
}

size_t jstr_space(struct jstr s, size_t at)
{
    uint32_t cp = 0;
    size_t len = gw_utf8_decode(s.ptr + at, s.len - at, &cp);

    return len != 0 && (unicode_class(cp) == UNICODE_SPACE || (cp >= 0x1C && cp <= 0x1F)) ? len : 0;
}

static bool is_trimmed(struct jstr s, size_t at, size_t len, struct gw_span set)
{
    if (set.ptr == NULL)
        return jstr_space((struct jstr){s.ptr, NULL, at + len}, at) == len;
    return set.len != 0 && memmem(set.ptr, set.len, s.ptr + at, len) != NULL;
}

struct jstr jstr_trim(struct jstr s, struct gw_span set, bool left, bool right)
{
    size_t from = 0, to = s.len;

    while (left && from < to) {
        size_t n = jstr_char(s, from);

        if (!is_trimmed(s, from, n, set))
            break;
        from += n;
    }
    while (right && to > from) {
        size_t at = to - 1;

        while (at > from && to - at < 4 && ((unsigned char)s.ptr[at] & 0xC0) == 0x80)
            at--;
        if (at + jstr_char(s, at) != to)
            at = to - 1;
        if (!is_trimmed(s, at, to - at, set))
            break;
        to = at;
    }
    return jstr_sub(s, from, to);
}

size_t jstr_chars(struct jstr s)
{
    size_t n = 0;

    for (size_t at = 0; at < s.len; at += jstr_char(s, at))
        n++;
    return n;
}

size_t jstr_offset(struct jstr s, size_t i)
{
    size_t at = 0;

    for (; i > 0 && at < s.len; i--)
        at += jstr_char(s, at);
    return at;
}

/* ---- questions ------------------------------------------------------------------------------------ */

ptrdiff_t jval_length(struct jrun *r, struct jval v)
{
    if (v.type == JVAL_STRING)
        return jrun_work(r, v.string.len / 16) ? (ptrdiff_t)jstr_chars(v.string) : 0;
    if (v.type == JVAL_LIST)
        return (ptrdiff_t)v.list->n;
    if (v.type == JVAL_DICT)
        return (ptrdiff_t)v.dict->n;
    return -1;
}

bool jval_truth(struct jval v)
{
    switch (v.type) {
    case JVAL_BOOL:
        return v.boolean;
    case JVAL_INT:
        return v.number != 0;
    case JVAL_FLOAT:
        return v.real != 0;
    case JVAL_STRING:
        return v.string.len > 0;
    case JVAL_LIST:
        return v.list->n > 0;
    case JVAL_DICT:
        return v.dict->n > 0 || v.dict->is_namespace;
    case JVAL_LOOP:
    case JVAL_FUNCTION:
    case JVAL_METHOD:
    case JVAL_MACRO:
        return true;
    case JVAL_UNDEFINED:
    case JVAL_NONE:
    default:
        return false;
    }
}

static bool as_number(struct jval v, int64_t *out)
{
    if (v.type == JVAL_INT)
        *out = v.number;
    else if (v.type == JVAL_BOOL)
        *out = v.boolean;
    else
        return false;
    return true;
}

bool jval_real(struct jval v, double *out)
{
    int64_t i;

    if (v.type == JVAL_FLOAT)
        *out = v.real;
    else if (as_number(v, &i))
        *out = (double)i;
    else
        return false;
    return true;
}

static bool equal_lists(struct jrun *r, const struct jlist *a, const struct jlist *b)
{
    bool same = a->n == b->n && a->tuple == b->tuple;

    for (size_t i = 0; same && i < a->n; i++)
        same = jval_equal(r, a->items[i], b->items[i]);
    return same;
}

static bool equal_dicts(struct jrun *r, const struct jdict *a, const struct jdict *b)
{
    bool same = a->n == b->n && a->is_namespace == b->is_namespace && (!a->is_namespace || a == b);

    for (const struct jentry *e = a->first; same && e != NULL && jrun_work(r, b->n); e = e->next) {
        const struct jval *other = jdict_get(b, jstr_span(e->key));

        same = other != NULL && jval_equal(r, e->value, *other);
    }
    return same;
}

bool jval_equal(struct jrun *r, struct jval a, struct jval b)
{
    int64_t i, k;
    double x, y;
    bool same = false;

    if (as_number(a, &i) && as_number(b, &k))
        return i == k;
    if (jval_real(a, &x) && jval_real(b, &y))
        return x == y;
    if (a.type != b.type)
        return false;
    if (a.type == JVAL_STRING)
        return jrun_work(r, a.string.len / 16) &&
               gw_span_eq(jstr_span(a.string), jstr_span(b.string));
    if (a.type != JVAL_LIST && a.type != JVAL_DICT)
        return a.type == JVAL_NONE || a.type == JVAL_UNDEFINED;
    if (jrun_enter(r))
        same =
            a.type == JVAL_LIST ? equal_lists(r, a.list, b.list) : equal_dicts(r, a.dict, b.dict);
    r->depth--;
    return same;
}

int jval_compare(struct jrun *r, struct jval a, struct jval b)
{
    int64_t i, k;
    double x, y;

    if (as_number(a, &i) && as_number(b, &k))
        return (i > k) - (i < k);
    if (jval_real(a, &x) && jval_real(b, &y))
        return (x > y) - (x < y);
    if (a.type != JVAL_STRING || b.type != JVAL_STRING) {
        jrun_fail(r, GW_EUNSUPPORTED, "these values have no order");
        return 0;
    }
    size_t n = a.string.len < b.string.len ? a.string.len : b.string.len;
    int order = n == 0 || !jrun_work(r, n / 16) ? 0 : memcmp(a.string.ptr, b.string.ptr, n);
    if (order != 0)
        return order;
    return (a.string.len > b.string.len) - (a.string.len < b.string.len);
}

bool jval_in(struct jrun *r, struct jval needle, struct jval hay)
{
    if (hay.type == JVAL_STRING && needle.type == JVAL_STRING)
        return jrun_work(r, hay.string.len / 16) &&
               (needle.string.len == 0 ||
                (hay.string.len > 0 && memmem(hay.string.ptr, hay.string.len, needle.string.ptr,
                                              needle.string.len) != NULL));
    if (hay.type == JVAL_UNDEFINED)
        return false;
    if (hay.type == JVAL_DICT)
        return needle.type == JVAL_STRING && jrun_work(r, hay.dict->n) &&
               jdict_get(hay.dict, jstr_span(needle.string)) != NULL;
    if (hay.type != JVAL_LIST) {
        jrun_fail(r, GW_EUNSUPPORTED, "\"in\" needs a string, a list or a dict");
        return false;
    }
    for (size_t i = 0; i < hay.list->n && jrun_work(r, 1); i++)
        if (jval_equal(r, needle, hay.list->items[i]))
            return true;
    return false;
}

/* ---- members ---------------------------------------------------------------------------------------- */

static struct jval loop_member(const struct jloop *l, struct gw_span name)
{
    size_t n = l->list->n, i = l->index;

    if (gw_span_is(name, "index"))
        return jval_int((int64_t)i + 1);
    if (gw_span_is(name, "index0"))
        return jval_int((int64_t)i);
    if (gw_span_is(name, "revindex"))
        return jval_int((int64_t)(n - i));
    if (gw_span_is(name, "revindex0"))
        return jval_int((int64_t)(n - i) - 1);
    if (gw_span_is(name, "first"))
        return jval_bool(i == 0);
    if (gw_span_is(name, "last"))
        return jval_bool(i + 1 == n);
    if (gw_span_is(name, "length"))
        return jval_int((int64_t)n);
    if (gw_span_is(name, "previtem"))
        return i > 0 ? l->list->items[i - 1] : jval_undefined;
    if (gw_span_is(name, "nextitem"))
        return i + 1 < n ? l->list->items[i + 1] : jval_undefined;
    return jval_undefined;
}

/* Whether Python's values of this type have a method of that name that the sandbox gives away. */
static bool is_method(struct jval object, struct gw_span name)
{
    static const char *const of_dicts[] = {"items", "keys",     "values", "get",
                                           "copy",  "fromkeys", NULL};
    static const char *const of_lists[] = {"index", "count", "copy", NULL};
    static const char *const of_strings[] = {
        "strip",      "lstrip",       "rstrip",       "upper",      "lower",
        "capitalize", "title",        "startswith",   "endswith",   "split",
        "rsplit",     "splitlines",   "replace",      "find",       "rfind",
        "index",      "rindex",       "count",        "join",       "format",
        "isdigit",    "isalpha",      "isalnum",      "isspace",    "isupper",
        "islower",    "removeprefix", "removesuffix", "partition",  "rpartition",
        "encode",     "center",       "ljust",        "rjust",      "zfill",
        "swapcase",   "casefold",     "translate",    "expandtabs", NULL};
    const char *const *names = of_strings;

    if (object.type == JVAL_DICT && !object.dict->is_namespace)
        names = of_dicts;
    else if (object.type == JVAL_LIST)
        names = of_lists;
    else if (object.type != JVAL_STRING)
        return false;
    while (*names != NULL && !gw_span_is(name, *names))
        names++;
    return *names != NULL;
}

static struct jval method(struct jrun *r, struct jval object, struct gw_span name)
{
    struct jbound *b = jrun_alloc(r, 1, sizeof(*b));

    if (b == NULL)
        return jval_undefined;
    *b = (struct jbound){object, name};
    return (struct jval){.type = JVAL_METHOD, .bound = b};
}

/* The entry of a dict, else its method, or the other way round. */
static struct jval look_up(struct jrun *r, struct jval object, struct gw_span name,
                           bool entry_first)
{
    const struct jval *found = NULL;

    if (object.type == JVAL_LOOP)
        return loop_member(object.loop, name);
    if (object.type == JVAL_UNDEFINED) {
        jrun_fail(r, GW_EUNSUPPORTED, "a member of something undefined is asked for");
        return jval_undefined;
    }
    if (!entry_first && is_method(object, name))
        return method(r, object, name);
    if (object.type == JVAL_DICT && jrun_work(r, object.dict->n))
        found = jdict_get(object.dict, name);
    if (found != NULL)
        return *found;
    return is_method(object, name) ? method(r, object, name) : jval_undefined;
}

struct jval jval_member(struct jrun *r, struct jval object, struct gw_span name)
{
    return look_up(r, object, name, false);
}

struct jval jval_index(struct jrun *r, struct jval object, struct jval index)
{
    int64_t i;

    if (index.type == JVAL_STRING)
        return look_up(r, object, jstr_span(index.string), true);
    if (object.type == JVAL_UNDEFINED)
        jrun_fail(r, GW_EUNSUPPORTED, "a member of something undefined is asked for");
    if (!as_number(index, &i) || (object.type != JVAL_LIST && object.type != JVAL_STRING))
        return jval_undefined;
    int64_t n = jval_length(r, object);
    if (i < 0)
        i += n;
    if (i < 0 || i >= n)
        return jval_undefined;
    if (object.type == JVAL_LIST)
        return object.list->items[i];
    size_t at = jstr_offset(object.string, (size_t)i);
    return jval_string(jstr_sub(object.string, at, at + jstr_char(object.string, at)));
}

/* A bound of a slice, counted from the end when negative, kept within [low, high]. */
static int64_t bound(struct jrun *r, struct jval v, int64_t n, int64_t missing, int64_t low,
                     int64_t high)
{
    int64_t i = missing;

    if (v.type == JVAL_UNDEFINED || v.type == JVAL_NONE)
        return missing;
    if (!as_number(v, &i))
        jrun_fail(r, GW_EUNSUPPORTED, "a slice needs numbers");
    if (i < 0)
        i += n;
    if (i < low)
        return low;
    return i > high ? high : i;
}

static struct jval list_slice(struct jrun *r, const struct jlist *l, int64_t from, int64_t to,
                              int64_t step)
{
    int64_t n = 0, count = 0;

    if (step > 0 && to > from)
        count = (to - from + step - 1) / step;
    else if (step < 0 && from > to)
        count = (from - to - step - 1) / -step;
    struct jval out = jval_list(r, (size_t)count);
    if (r->status == GW_OK)
        out.list->tuple = l->tuple;
    for (int64_t i = from; n < count && r->status == GW_OK; i += step)
        out.list->items[n++] = l->items[i];
    return out;
}

struct jval jval_slice(struct jrun *r, struct jval object, struct jval start, struct jval stop,
                       struct jval step)
{
    int64_t by = 1, n = jval_length(r, object);

    if (object.type == JVAL_UNDEFINED)
        jrun_fail(r, GW_EUNSUPPORTED, "a part of something undefined is asked for");
    if (object.type != JVAL_LIST && object.type != JVAL_STRING)
        return jval_undefined;
    if (step.type != JVAL_UNDEFINED && step.type != JVAL_NONE &&
        (!as_number(step, &by) || by == 0 || by < -INT32_MAX)) {
        jrun_fail(r, GW_EUNSUPPORTED, "a slice has a wrong step");
        return jval_undefined;
    }
    bool back = by < 0;
    int64_t from = bound(r, start, n, back ? n - 1 : 0, back ? -1 : 0, back ? n - 1 : n);
    int64_t to = bound(r, stop, n, back ? -1 : n, back ? -1 : 0, back ? n - 1 : n);
    if (r->status != GW_OK)
        return jval_undefined;
    if (object.type == JVAL_LIST)
        return list_slice(r, object.list, from, to, by);
    struct jstr s = object.string;
    if (by == 1)
        return jval_string(jstr_sub(s, jstr_offset(s, (size_t)from), jstr_offset(s, (size_t)to)));
    struct jval picked = list_slice(r, jval_iterate(r, object), from, to, by);
    struct jbuild out = {0};
    for (size_t i = 0; r->status == GW_OK && i < picked.list->n; i++)
        jbuild_add(r, &out, picked.list->items[i].string);
    return jval_string(jbuild_done(&out));
}

/* ---- iteration ---------------------------------------------------------------------------------------- */

const struct jlist *jval_iterate(struct jrun *r, struct jval v)
{
    static const struct jlist nothing = {NULL, 0, false};
    struct jval out;
    size_t i = 0;

    if (v.type == JVAL_LIST)
        return v.list;
    if (v.type == JVAL_UNDEFINED)
        return &nothing;
    if (v.type != JVAL_DICT && v.type != JVAL_STRING) {
        jrun_fail(r, GW_EUNSUPPORTED, "this value cannot be walked in a loop");
        return &nothing;
    }
    out = jval_list(r, (size_t)jval_length(r, v));
    if (r->status != GW_OK)
        return &nothing;
    if (v.type == JVAL_DICT) {
        for (const struct jentry *e = v.dict->first; e != NULL; e = e->next)
            out.list->items[i++] = jval_string(e->key);
        return out.list;
    }
    for (size_t at = 0; at < v.string.len; i++) {
        size_t len = jstr_char(v.string, at);

        out.list->items[i] = jval_string(jstr_sub(v.string, at, at + len));
        at += len;
    }
    return out.list;
}
