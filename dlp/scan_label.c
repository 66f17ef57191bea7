/* dlp/scan_label.c - what a leaf is called, as its label (view_label.c). Thread: the scanner's.
 *
 * The member's name, as in {"password": "..."}; and where that is only "value", what a member "name" in front of it says, or right
 * behind it, as lists of settings have it: [{"name": "DB_PASSWORD", "value": "..."}], sorted by their names or not. */
#include <string.h>

#include "dlp/scan.h"

enum {
    LEAST = 3,  /* bytes of a text that is worth a label */
    FIRST = 8,  /* the same of an element behind the first of an array */
    MOST = 512, /* longer ones are no values */
    SHORT = 16, /* bytes of a label that any text may have, and longer ones */
    TIMES = 4,  /* so many times its own bytes */
    BESIDE = 4, /* keys from a name to its value: further away it is another's */
};

#define WORD(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }

static bool is_one_of(struct gw_span word, const struct gw_span *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (gw_span_eq_nocase(word, words[i]))
            return true;
    return false;
}

/* Members that name what stands in the one behind them. */
static bool is_name(struct gw_span key)
{
    static const struct gw_span names[] = {WORD("name"), WORD("key"), WORD("variable"),
                                           WORD("parameter")};

    return is_one_of(key, names, sizeof(names) / sizeof(names[0]));
}

static bool is_value(struct gw_span key)
{
    static const struct gw_span values[] = {WORD("value"), WORD("val")};

    return is_one_of(key, values, sizeof(values) / sizeof(values[0]));
}

/* Names that say nothing of what people put there. */
static bool is_open(struct gw_span key)
{
    static const struct gw_span open[] = {
        WORD("content"), WORD("text"), WORD("input"), WORD("prompt"),    WORD("message"),
        WORD("query"),   WORD("body"), WORD("data"),  WORD("arguments"), WORD("parts"),
        WORD("model"),   WORD("role"), WORD("type")};

    return is_one_of(key, open, sizeof(open) / sizeof(open[0]));
}

static bool is_integer(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    return true;
}

/* Can the leaf be a value that has a name? */
static bool is_short_value(const struct dlp_leaf *leaf, bool follows)
{
    if (leaf->text.len < (follows ? (size_t)FIRST : (size_t)LEAST) || leaf->text.len > MOST)
        return false;
    if (leaf->kind == DLP_LEAF_NUMBER)
        return is_integer(leaf->text);
    return memchr(leaf->text.ptr, '\n', leaf->text.len) == NULL;
}

/* Remembers what a member says that names another one. */
static void remember(struct scan_label *l, const struct dlp_leaf *name)
{
    l->len = name->text.len <= sizeof(l->name) ? name->text.len : 0;
    l->n_keys = 0;
    l->depth = 0;
    l->end = name->raw_end;
    memcpy(l->name, name->text.ptr, l->len);
}

/* The string that *rest begins with, blanks and a sign in front of it: what is in its quotes. False where there is none, or an
 * escape in it. */
static bool take_string(struct gw_span *rest, char sign, struct gw_span *out)
{
    bool due = true;
    size_t at = 0, from;

    for (; at < rest->len; at++) {
        if (due && rest->ptr[at] == sign)
            due = false;
        else if (strchr(" \t\r\n", rest->ptr[at]) == NULL)
            break;
    }
    if (due || at == rest->len || rest->ptr[at] != '"')
        return false;
    for (from = ++at; at < rest->len && rest->ptr[at] != '"'; at++)
        if (rest->ptr[at] == '\\' || at - from == MOST)
            return false;
    if (at == rest->len)
        return false;
    *out = (struct gw_span){rest->ptr + from, at - from};
    *rest = gw_span_from(*rest, at + 1);
    return true;
}

/* What the member behind the leaf says, if that names it. */
static struct gw_span name_behind(struct gw_span body, const struct dlp_leaf *leaf)
{
    struct gw_span rest = gw_span_from(body, leaf->raw_end), key, name = {NULL, 0};

    if (leaf->kind == DLP_LEAF_STRING)
        rest = gw_span_from(rest, 1); /* its quote */
    if (!take_string(&rest, ',', &key) || !is_name(key) || !take_string(&rest, ':', &name))
        return (struct gw_span){NULL, 0};
    return name;
}

/* Goes on to body[to) from the name, and forgets it when its object ends. Braces in strings in between count as well: there are hardly
 * any. */
static void follow(struct scan_label *l, struct gw_span body, size_t to)
{
    for (; l->len > 0 && l->end < to; l->end++) {
        if (body.ptr[l->end] == '{')
            l->depth++;
        else if (body.ptr[l->end] == '}' && l->depth-- == 0)
            l->len = 0;
    }
}

/* What a member called "value" is the value of: of what a member in front says, which may belong to an object around it, but to none
 * that has ended; otherwise of what the next one says. */
static struct gw_span name_of_value(struct scan_label *l, struct gw_span body,
                                    const struct dlp_leaf *leaf)
{
    if (l->n_keys > BESIDE)
        l->len = 0;
    follow(l, body, leaf->raw_start);
    return l->len > 0 ? (struct gw_span){l->name, l->len} : name_behind(body, leaf);
}

struct gw_span scan_label(struct scan_label *l, struct gw_span body, const struct dlp_leaf *leaf)
{
    const struct gw_span none = {NULL, 0};
    struct gw_span label = leaf->key;
    bool follows = l->follows;

    /* Of JSON in a string the string was scanned, too, and there the names stand. */
    if (leaf->nesting != 0)
        return none;
    l->follows = leaf->kind != DLP_LEAF_KEY;
    l->n_keys += leaf->kind == DLP_LEAF_KEY;
    if (leaf->kind != DLP_LEAF_STRING && leaf->kind != DLP_LEAF_NUMBER)
        return none;
    if (is_name(leaf->key)) {
        remember(l, leaf);
        return none;
    }
    if (!is_short_value(leaf, follows) || is_open(leaf->key))
        return none;
    if (is_value(leaf->key))
        label = name_of_value(l, body, leaf);
    if (is_name(label)) /* {"Key": "Name", "Value": "web"}: a tag, and nobody's name */
        return none;
    return label.len <= SHORT || label.len <= TIMES * leaf->text.len ? label : none;
}
