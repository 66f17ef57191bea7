/* engine/chat_filter_str.c - the filters and methods of strings in chat templates.
 *
 * Case changes ASCII letters only: templates change the case of roles and types. See chat_value.h V1 for the
 * marks that strings carry. */
#include "base/utf8.h"
#include "engine/chat_filter.h"
#include "engine/unicode.h"

static struct jval strip_of(struct jrun *r, struct jval v, const struct jinja_args *args, bool left,
                            bool right)
{
    struct gw_span set = jinja_text_arg(r, args, 0, "chars");

    return jrun_work(r, v.string.len / 16) ? jval_string(jstr_trim(v.string, set, left, right)) : v;
}

static struct jval strip(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return strip_of(r, v, args, true, true);
}

static struct jval strip_left(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return strip_of(r, v, args, true, false);
}

static struct jval strip_right(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return strip_of(r, v, args, false, true);
}

/* ---- looking -------------------------------------------------------------------------------- */

/* A string, or any of a tuple of them. */
static struct jval at_edge(struct jrun *r, struct jstr s, struct jval what,
                           bool fits(struct gw_span, struct gw_span))
{
    const struct jlist one = {&what, 1, true}, *all = what.type == JVAL_LIST ? what.list : &one;

    for (size_t i = 0; i < all->n && jrun_work(r, 1); i++) {
        if (all->items[i].type != JVAL_STRING)
            jrun_fail(r, GW_EUNSUPPORTED, "a function needs a string");
        else if (fits(jstr_span(s), jstr_span(all->items[i].string)))
            return jval_bool(true);
    }
    return jval_bool(false);
}

static bool starts(struct gw_span s, struct gw_span with)
{
    return gw_span_starts(s, with);
}

static bool ends(struct gw_span s, struct gw_span with)
{
    return gw_span_ends(s, with);
}

static struct jval starts_with(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return at_edge(r, v.string, jinja_arg(args, 0, NULL), starts);
}

static struct jval ends_with(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return at_edge(r, v.string, jinja_arg(args, 0, NULL), ends);
}

/* Where part stands in s from `from` on, or s.len. part is not empty. */
static size_t find_from(struct jstr s, size_t from, struct gw_span part)
{
    const char *p = from >= s.len ? NULL : memmem(s.ptr + from, s.len - from, part.ptr, part.len);

    return p == NULL ? s.len : (size_t)(p - s.ptr);
}

/* The last place before `until` where part ends, or SIZE_MAX: where it begins. */
static size_t find_back(struct jstr s, size_t until, struct gw_span part)
{
    for (size_t at = until; at >= part.len; at--)
        if (memcmp(s.ptr + at - part.len, part.ptr, part.len) == 0)
            return at - part.len;
    return SIZE_MAX;
}

static size_t count_of(struct jstr s, struct gw_span part)
{
    size_t n = 0;

    for (size_t at = find_from(s, 0, part); at < s.len; at = find_from(s, at + part.len, part))
        n++;
    return n;
}

/* An argument that is a string and not empty. */
static struct gw_span need_part(struct jrun *r, struct jstr s, const struct jinja_args *args,
                                const char *name)
{
    struct gw_span part = jinja_text_arg(r, args, 0, name);

    if (part.len == 0)
        jrun_fail(r, GW_EUNSUPPORTED, "a function needs a string that is not empty");
    (void)jrun_work(r, s.len / 16);
    return part;
}

static struct jval place(struct jrun *r, struct jstr s, const struct jinja_args *args, bool back,
                         bool must)
{
    struct gw_span part = need_part(r, s, args, NULL);
    size_t at;

    if (r->status != GW_OK)
        return jval_undefined;
    at = back ? find_back(s, s.len, part) : find_from(s, 0, part);
    if (at < s.len)
        return jval_int((int64_t)jstr_chars(jstr_sub(s, 0, at)));
    if (must)
        jrun_fail(r, GW_EUNSUPPORTED, "a text is not there");
    return jval_int(-1);
}

static struct jval find(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return place(r, v.string, args, false, false);
}

static struct jval rfind(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return place(r, v.string, args, true, false);
}

static struct jval index_of(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return place(r, v.string, args, false, true);
}

static struct jval count(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct gw_span part = need_part(r, v.string, args, NULL);

    return jval_int(r->status == GW_OK ? (int64_t)count_of(v.string, part) : 0);
}

/* Whether all characters are of the classes; an empty string is nothing. */
static struct jval all_of(struct jrun *r, struct jstr s, bool letters, bool digits, bool spaces)
{
    bool all = s.len != 0 && jrun_work(r, s.len / 16);

    for (size_t at = 0; all && at < s.len; at += jstr_char(s, at)) {
        uint32_t cp = 0xFFFD;
        enum unicode_class class;

        (void)gw_utf8_decode(s.ptr + at, s.len - at, &cp);
        class = unicode_class(cp);
        all = (letters && class >= UNICODE_LU && class <= UNICODE_LO) ||
              (digits && class == UNICODE_N) || (spaces && jstr_space(s, at) != 0);
    }
    return jval_bool(all);
}

static struct jval is_digit(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return all_of(r, v.string, false, true, false);
}

static struct jval is_alpha(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return all_of(r, v.string, true, false, false);
}

static struct jval is_alnum(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return all_of(r, v.string, true, true, false);
}

static struct jval is_space(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return all_of(r, v.string, false, false, true);
}

/* ---- taking apart --------------------------------------------------------------------------- */

/* A list that grows; its room is what the string has. */
static void push(struct jrun *r, struct jval *list, struct jstr s)
{
    if (r->status == GW_OK)
        list->list->items[list->list->n++] = jval_string(s);
}

static struct jval room(struct jrun *r, size_t n)
{
    struct jval out = jval_list(r, n);

    if (r->status == GW_OK)
        out.list->n = 0;
    return out;
}

static size_t words_in(struct jstr s)
{
    size_t n = 0;

    for (size_t at = 0; at < s.len; at += jstr_char(s, at))
        n += jstr_space(s, at) == 0 &&
             (at == 0 || jstr_space(s, at - 1) != 0 || (unsigned char)s.ptr[at - 1] >= 0x80);
    return n;
}

static struct jval split_words(struct jrun *r, struct jstr s, size_t limit)
{
    struct jval out = room(r, words_in(s) + 1);
    size_t at = 0;

    while (r->status == GW_OK) {
        size_t from, n;

        while (at < s.len && (n = jstr_space(s, at)) != 0)
            at += n;
        if (at >= s.len)
            break;
        from = at;
        if (out.list->n == limit)
            at = s.len;
        while (at < s.len && jstr_space(s, at) == 0)
            at += jstr_char(s, at);
        push(r, &out, jstr_sub(s, from, at));
    }
    return out;
}

static struct jval split(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jval by = jinja_arg(args, 0, "sep");
    int64_t limit = jinja_int_arg(r, args, 1, "maxsplit", -1);
    struct jstr s = v.string;
    size_t from = 0;

    (void)jrun_work(r, s.len / 4);
    if (by.type == JVAL_UNDEFINED || by.type == JVAL_NONE)
        return split_words(r, s, limit < 0 ? SIZE_MAX : (size_t)limit);
    struct gw_span part = need_part(r, s, args, "sep");
    size_t n = r->status == GW_OK ? count_of(s, part) : 0;
    if (limit >= 0 && (uint64_t)limit < n)
        n = (size_t)limit;
    struct jval out = room(r, n + 1);
    for (size_t i = 0; i <= n && r->status == GW_OK; i++) {
        size_t to = i == n ? s.len : find_from(s, from, part);

        push(r, &out, jstr_sub(s, from, to));
        from = to + part.len;
    }
    return out;
}

static void turn(struct jlist *l)
{
    for (size_t i = 0; i < l->n / 2; i++) {
        struct jval v = l->items[i];

        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
}

static struct jval rsplit(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct gw_span part = need_part(r, v.string, args, "sep");
    int64_t limit = jinja_int_arg(r, args, 1, "maxsplit", -1);
    struct jstr s = v.string;
    size_t until = s.len, n = r->status == GW_OK ? count_of(s, part) : 0;

    (void)jrun_work(r, s.len);
    struct jval out = room(r, n + 1);
    for (size_t i = 0; r->status == GW_OK && i < n && (limit < 0 || (uint64_t)limit > i); i++) {
        size_t at = find_back(s, until, part);

        push(r, &out, jstr_sub(s, at + part.len, until));
        until = at;
    }
    push(r, &out, jstr_sub(s, 0, until));
    if (r->status == GW_OK)
        turn(out.list);
    return out;
}

/* The length of the line end at s[at], or 0. */
static size_t line_end(struct jstr s, size_t at)
{
    unsigned char c = (unsigned char)s.ptr[at];

    if (c == '\r' && at + 1 < s.len && s.ptr[at + 1] == '\n')
        return 2;
    return (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E);
}

static struct jval split_lines(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jstr s = v.string;
    size_t n = 1, from = 0;

    (void)args;
    for (size_t at = 0; at < s.len; at++)
        n += line_end(s, at) != 0;
    struct jval out = room(r, n);
    for (size_t at = 0; r->status == GW_OK && at < s.len; at++) {
        size_t end = line_end(s, at);

        if (end == 0)
            continue;
        push(r, &out, jstr_sub(s, from, at));
        from = at + end;
        at += end - 1;
    }
    if (from < s.len)
        push(r, &out, jstr_sub(s, from, s.len));
    return out;
}

/* What stands before, at and behind the first or last part. */
static struct jval part_at(struct jrun *r, struct jstr s, const struct jinja_args *args, bool back)
{
    struct gw_span part = need_part(r, s, args, NULL);
    struct jval out = room(r, 3);
    size_t at;

    if (r->status != GW_OK)
        return jval_undefined;
    at = back ? find_back(s, s.len, part) : find_from(s, 0, part);
    out.list->tuple = true;
    if (at < s.len) {
        push(r, &out, jstr_sub(s, 0, at));
        push(r, &out, jstr_sub(s, at, at + part.len));
        push(r, &out, jstr_sub(s, at + part.len, s.len));
        return out;
    }
    push(r, &out, back ? jstr_of("") : s);
    push(r, &out, jstr_of(""));
    push(r, &out, back ? s : jstr_of(""));
    return out;
}

static struct jval partition(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return part_at(r, v.string, args, false);
}

static struct jval rpartition(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    return part_at(r, v.string, args, true);
}

static struct jval remove_prefix(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct gw_span part = jinja_text_arg(r, args, 0, NULL);

    if (!gw_span_starts(jstr_span(v.string), part))
        return v;
    return jval_string(jstr_sub(v.string, part.len, v.string.len));
}

static struct jval remove_suffix(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct gw_span part = jinja_text_arg(r, args, 0, NULL);

    if (!gw_span_ends(jstr_span(v.string), part))
        return v;
    return jval_string(jstr_sub(v.string, 0, v.string.len - part.len));
}

/* ---- putting together ----------------------------------------------------------------------- */

static struct jval replace(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct gw_span old = need_part(r, v.string, args, "old");
    struct jval new = jinja_arg(args, 1, "new");
    int64_t limit = jinja_int_arg(r, args, 2, "count", -1);
    struct jbuild out = {0};
    size_t from = 0;

    if (new.type != JVAL_STRING)
        jrun_fail(r, GW_EUNSUPPORTED, "replace() needs two strings");
    while (r->status == GW_OK && limit != 0) {
        size_t at = find_from(v.string, from, old);

        if (at == v.string.len)
            break;
        jbuild_add(r, &out, jstr_sub(v.string, from, at));
        jbuild_add(r, &out, new.string);
        from = at + old.len;
        limit--;
    }
    jbuild_add(r, &out, jstr_sub(v.string, from, v.string.len));
    return jval_string(jbuild_done(&out));
}

static struct jval join_method(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    const struct jlist *l = jval_iterate(r, jinja_arg(args, 0, NULL));
    struct jbuild out = {0};

    for (size_t i = 0; i < l->n && r->status == GW_OK; i++) {
        if (l->items[i].type != JVAL_STRING) {
            jrun_fail(r, GW_EUNSUPPORTED, "join() needs strings");
            break;
        }
        if (i > 0)
            jbuild_add(r, &out, v.string);
        jbuild_add(r, &out, l->items[i].string);
    }
    return jval_string(jbuild_done(&out));
}

static void put_blanks(struct jrun *r, struct jbuild *out, struct jval width)
{
    if (width.type == JVAL_STRING) {
        jbuild_add(r, out, width.string);
        return;
    }
    for (int64_t i = 0; i < width.number && r->status == GW_OK; i++)
        jbuild_addc(r, out, ' ');
}

static struct jval indent(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    struct jval width = jinja_arg(args, 0, "width");
    bool first = jval_truth(jinja_arg(args, 1, "first")),
         blank = jval_truth(jinja_arg(args, 2, "blank"));
    struct jbuild out = {0};
    size_t from = 0;

    if (width.type == JVAL_UNDEFINED)
        width = jval_int(4);
    if (width.type != JVAL_INT && width.type != JVAL_STRING)
        jrun_fail(r, GW_EUNSUPPORTED, "indent needs a width");
    if (first)
        put_blanks(r, &out, width);
    /* The end counts as the end of a line, too. */
    for (size_t at = 0; r->status == GW_OK && at <= v.string.len; at++) {
        size_t end = at < v.string.len ? line_end(v.string, at) : 1;

        if (end == 0)
            continue;
        if (from > 0) {
            jbuild_addc(r, &out, '\n');
            if (at > from || blank)
                put_blanks(r, &out, width);
        }
        jbuild_add(r, &out, jstr_sub(v.string, from, at));
        from = at + end;
        at += end - 1;
    }
    return jval_string(jbuild_done(&out));
}

static struct jval escape(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    static const char from[] = "&<>'\"";
    static const char *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct jbuild out = {0};

    (void)args;
    for (size_t i = 0; i < v.string.len && r->status == GW_OK; i++) {
        const char *known = memchr(from, v.string.ptr[i], sizeof(from) - 1);

        jbuild_add(r, &out,
                   known == NULL ? jstr_sub(v.string, i, i + 1) : jstr_of(to[known - from]));
    }
    return jval_string(jbuild_done(&out));
}

static struct jval same(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)r;
    (void)args;
    return v;
}

const struct jinja_entry jinja_string_filters[] = {
    {"trim", strip},
    {"upper", jinja_case_upper},
    {"lower", jinja_case_lower},
    {"capitalize", jinja_case_capitalize},
    {"title", jinja_case_title_words},
    {"replace", replace},
    {"indent", indent},
    {"escape", escape},
    {"e", escape},
    {"string", same},
    {"safe", same},
    {NULL, NULL},
};

const struct jinja_entry jinja_string_methods[] = {
    {"strip", strip},
    {"lstrip", strip_left},
    {"rstrip", strip_right},
    {"upper", jinja_case_upper},
    {"lower", jinja_case_lower},
    {"capitalize", jinja_case_capitalize},
    {"title", jinja_case_title},
    {"startswith", starts_with},
    {"endswith", ends_with},
    {"split", split},
    {"rsplit", rsplit},
    {"splitlines", split_lines},
    {"replace", replace},
    {"find", find},
    {"rfind", rfind},
    {"index", index_of},
    {"count", count},
    {"join", join_method},
    {"isdigit", is_digit},
    {"isalpha", is_alpha},
    {"isalnum", is_alnum},
    {"isspace", is_space},
    {"removeprefix", remove_prefix},
    {"removesuffix", remove_suffix},
    {"partition", partition},
    {"rpartition", rpartition},
    {NULL, NULL},
};
