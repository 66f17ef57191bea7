/* engine/chat_filter_case.c - upper and lower case in chat templates: ASCII letters only, since templates change the case of
 * roles and types. */
#include "engine/chat_filter.h"

static bool is_letter(char c)
{
    c = gw_ascii_lower(c);
    return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

/* A copy of s with ASCII letters changed: to upper case where upper(s, i) says so, else to lower. */
static struct jval change_case(struct jrun *r, struct jstr s, bool upper(struct jstr s, size_t i))
{
    char *p = jrun_alloc(r, s.len, 1);

    for (size_t i = 0; p != NULL && i < s.len; i++) {
        p[i] = gw_ascii_lower(s.ptr[i]);
        if (p[i] >= 'a' && p[i] <= 'z' && upper(s, i))
            p[i] = (char)(p[i] - 'a' + 'A');
    }
    return p == NULL ? jval_undefined : jval_string((struct jstr){p, s.user, s.len});
}

static bool all_upper(struct jstr s, size_t i)
{
    (void)s;
    (void)i;
    return true;
}

static bool none_upper(struct jstr s, size_t i)
{
    (void)s;
    (void)i;
    return false;
}

static bool first_upper(struct jstr s, size_t i)
{
    (void)s;
    return i == 0;
}

/* What the filter calls a word begins behind one of these. */
static bool word_upper(struct jstr s, size_t i)
{
    return i == 0 || s.ptr[i - 1] == '-' ||
           (s.ptr[i - 1] != '\0' && strchr("({[<", s.ptr[i - 1])) || jstr_space(s, i - 1) == 1;
}

/* What the method calls one. */
static bool title_upper(struct jstr s, size_t i)
{
    return i == 0 || !is_letter(s.ptr[i - 1]);
}

struct jval jinja_case_upper(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return change_case(r, v.string, all_upper);
}

struct jval jinja_case_lower(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return change_case(r, v.string, none_upper);
}

struct jval jinja_case_capitalize(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return change_case(r, v.string, first_upper);
}

struct jval jinja_case_title(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return change_case(r, v.string, title_upper);
}

struct jval jinja_case_title_words(struct jrun *r, struct jval v, const struct jinja_args *args)
{
    (void)args;
    return change_case(r, v.string, word_upper);
}

struct jstr jinja_lower(struct jrun *r, struct jstr s)
{
    struct jval out = change_case(r, s, none_upper);

    return out.type == JVAL_STRING ? out.string : s;
}
