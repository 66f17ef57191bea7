/* engine/chat_text.c - strings that grow, and values as Python writes them: what {{ [1, 'a'] }} prints. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "engine/chat_value.h"
#include "engine/unicode.h"

/* ---- strings that grow ---------------------------------------------------------------------- */

static bool reserve(struct jrun *r, struct jbuild *b, size_t more, bool user)
{
    size_t max;
    char *ptr;

    if (more > CHAT_MAX_PROMPT_BYTES - b->len) {
        jrun_fail(r, GW_ELIMIT, "a string is too long");
        return false;
    }
    if (!jrun_work(r, 1 + more / 16))
        return false;
    if (b->len + more > b->max) {
        max = b->len + more < 32 ? 64 : 2 * (b->len + more);
        ptr = gw_arena_grow(r->arena, b->ptr, b->max, max);
        if (ptr != NULL)
            b->ptr = ptr;
        if (ptr != NULL && b->user != NULL)
            b->user = gw_arena_grow(r->arena, b->user, b->max, max);
        if (ptr == NULL || (b->user == NULL && gw_arena_failed(r->arena))) {
            jrun_fail(r, GW_ELIMIT, "the template needs too much memory");
            return false;
        }
        b->max = max;
    }
    if (user && b->user == NULL)
        b->user = jrun_alloc(r, b->max, 1);
    return r->status == GW_OK;
}

void jbuild_add(struct jrun *r, struct jbuild *b, struct jstr s)
{
    if (s.len == 0 || !reserve(r, b, s.len, s.user != NULL))
        return;
    memcpy(b->ptr + b->len, s.ptr, s.len);
    if (s.user != NULL)
        memcpy(b->user + b->len, s.user, s.len);
    b->len += s.len;
}

void jbuild_addc(struct jrun *r, struct jbuild *b, char c)
{
    jbuild_add(r, b, (struct jstr){&c, NULL, 1});
}

struct jstr jbuild_done(const struct jbuild *b)
{
    return (struct jstr){b->ptr, b->user, b->len};
}

/* ---- numbers -------------------------------------------------------------------------------- */

enum { NUMBER_BYTES = 40 };

/* The shortest digits that mean this number, as Python writes them. */
static size_t float_text(double number, char out[NUMBER_BYTES])
{
    char text[NUMBER_BYTES], digits[NUMBER_BYTES] = "0";
    int n = 0, exponent, at = 0;

    if (!isfinite(number))
        return (size_t)snprintf(out, NUMBER_BYTES, "%s",
                                isnan(number) ? "nan" : (number < 0 ? "-inf" : "inf"));
    for (int precision = 0; precision < 17; precision++) {
        (void)snprintf(text, sizeof(text), "%.*e", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    for (const char *p = text; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    exponent = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (text[0] == '-')
        out[at++] = '-';
    if (exponent < -4 || exponent >= 16) {
        at += snprintf(out + at, (size_t)(NUMBER_BYTES - at), "%c%s%.*se%+03d", digits[0],
                       n > 1 ? "." : "", n - 1, digits + 1, exponent);
        return (size_t)at;
    }
    if (exponent < 0) {
        at += snprintf(out + at, (size_t)(NUMBER_BYTES - at), "0.%.*s%.*s", -exponent - 1, "0000",
                       n, digits);
        return (size_t)at;
    }
    for (int i = 0; i <= exponent; i++) {
        out[at++] = '0';
        if (i < n)
            out[at - 1] = digits[i];
    }
    out[at++] = '.';
    for (int i = exponent + 1; i < n; i++)
        out[at++] = digits[i];
    if (n <= exponent + 1)
        out[at++] = '0';
    return (size_t)at;
}

static struct jstr number_text(struct jrun *r, struct jval v)
{
    char *p = jrun_alloc(r, NUMBER_BYTES, 1);

    if (p == NULL)
        return (struct jstr){NULL, NULL, 0};
    if (v.type == JVAL_FLOAT)
        return (struct jstr){p, NULL, float_text(v.real, p)};
    return (struct jstr){p, NULL, (size_t)snprintf(p, NUMBER_BYTES, "%lld", (long long)v.number)};
}

/* ---- what Python calls repr() --------------------------------------------------------------- */

static bool is_printable(uint32_t cp)
{
    if (cp < 0x7F)
        return cp >= ' ';
    return unicode_class(cp) != UNICODE_OTHER && unicode_class(cp) != UNICODE_SPACE;
}

/* The character at s[at] inside of quotes, each byte marked as the character it came from. */
static void put_char(struct jrun *r, struct jbuild *out, struct jstr s, size_t at, size_t len,
                     char quote)
{
    static const char from[] = "\\\n\r\t", to[] = "\\nrt";
    char text[NUMBER_BYTES] = "\\";
    unsigned char marks[NUMBER_BYTES];
    uint32_t cp = (unsigned char)s.ptr[at];
    const char *known = memchr(from, s.ptr[at], sizeof(from) - 1);
    int n = 2;

    (void)gw_utf8_decode(s.ptr + at, len, &cp);
    if (known != NULL)
        text[1] = to[known - from];
    else if (s.ptr[at] == quote)
        text[1] = quote;
    else if (is_printable(cp))
        n = 0;
    else if (cp < 0x100)
        n = snprintf(text, sizeof(text), "\\x%02x", (unsigned)cp);
    else
        n = snprintf(text, sizeof(text), cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
    if (n == 0) {
        jbuild_add(r, out, jstr_sub(s, at, at + len));
        return;
    }
    memset(marks, s.user != NULL ? s.user[at] : 0, sizeof(marks));
    jbuild_add(r, out, (struct jstr){text, s.user == NULL ? NULL : marks, (size_t)n});
}

static void put_string(struct jrun *r, struct jbuild *out, struct jstr s)
{
    bool single = s.len != 0 && memchr(s.ptr, '\'', s.len) != NULL,
         both = single && memchr(s.ptr, '"', s.len) != NULL;
    char quote = single && !both ? '"' : '\'';

    jbuild_addc(r, out, quote);
    for (size_t at = 0; at < s.len && r->status == GW_OK;) {
        size_t len = jstr_char(s, at);

        put_char(r, out, s, at, len, quote);
        at += len;
    }
    jbuild_addc(r, out, quote);
}

static void put(struct jrun *r, struct jbuild *out, struct jval v);

static void put_list(struct jrun *r, struct jbuild *out, const struct jlist *l)
{
    jbuild_addc(r, out, l->tuple ? '(' : '[');
    for (size_t i = 0; i < l->n && r->status == GW_OK; i++) {
        if (i > 0)
            jbuild_add(r, out, jstr_of(", "));
        put(r, out, l->items[i]);
    }
    jbuild_add(r, out, jstr_of(!l->tuple ? "]" : (l->n == 1 ? ",)" : ")")));
}

static void put_dict(struct jrun *r, struct jbuild *out, const struct jdict *d)
{
    jbuild_add(r, out, jstr_of(d->is_namespace ? "<Namespace {" : "{"));
    for (const struct jentry *e = d->first; e != NULL && r->status == GW_OK; e = e->next) {
        if (e != d->first)
            jbuild_add(r, out, jstr_of(", "));
        put_string(r, out, e->key);
        jbuild_add(r, out, jstr_of(": "));
        put(r, out, e->value);
    }
    jbuild_add(r, out, jstr_of(d->is_namespace ? "}>" : "}"));
}

static void put(struct jrun *r, struct jbuild *out, struct jval v)
{
    if (!jrun_enter(r)) {
        r->depth--;
        return;
    }
    if (v.type == JVAL_STRING)
        put_string(r, out, v.string);
    else if (v.type == JVAL_LIST)
        put_list(r, out, v.list);
    else if (v.type == JVAL_DICT)
        put_dict(r, out, v.dict);
    else
        jbuild_add(r, out, v.type == JVAL_UNDEFINED ? jstr_of("Undefined") : jval_text(r, v));
    r->depth--;
}

struct jstr jval_text(struct jrun *r, struct jval v)
{
    struct jbuild out = {0};

    switch (v.type) {
    case JVAL_STRING:
        return v.string;
    case JVAL_INT:
    case JVAL_FLOAT:
        return number_text(r, v);
    case JVAL_BOOL:
        return jstr_of(v.boolean ? "True" : "False");
    case JVAL_NONE:
        return jstr_of("None");
    case JVAL_LIST:
    case JVAL_DICT:
        put(r, &out, v);
        return jbuild_done(&out);
    case JVAL_LOOP:
    case JVAL_FUNCTION:
    case JVAL_METHOD:
    case JVAL_MACRO:
        jrun_fail(r, GW_EUNSUPPORTED, "a function cannot be printed");
        break;
    case JVAL_UNDEFINED:
    default:
        break;
    }
    return (struct jstr){NULL, NULL, 0};
}
