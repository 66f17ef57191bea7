/* dlp/scan_label.c - what a leaf is called, as its label (view_label.c). Thread: the scanner's.
 *
 * The member's name, as in {"password": "..."}; and where that is only "value", what a member "name" in front of it says, as lists of
 * settings have it: [{"name": "DB_PASSWORD", "value": "..."}]. */
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
static void remember(struct scan_label *l, struct gw_span name)
{
    l->len = name.len <= sizeof(l->name) ? name.len : 0;
    l->n_keys = 0;
    memcpy(l->name, name.ptr, l->len);
}

struct gw_span scan_label(struct scan_label *l, const struct dlp_leaf *leaf)
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
        remember(l, leaf->text);
        return none;
    }
    if (!is_short_value(leaf, follows) || is_open(leaf->key))
        return none;
    if (is_value(leaf->key))
        label = (struct gw_span){l->name, l->n_keys <= BESIDE ? l->len : 0};
    if (is_name(label)) /* {"Key": "Name", "Value": "web"}: a tag, and nobody's name */
        return none;
    return label.len <= SHORT || label.len <= TIMES * leaf->text.len ? label : none;
}
