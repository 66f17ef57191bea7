/* proxy/import/import_tree.c - a foreign pattern's tree, changed to what our notation can say, and written.
 *
 * Ours has assertions at the two ends only, one group that is reported, and `near` instead of wide gaps. So \b ^ $ are taken
 * from the ends, an alternative that is nothing but one of them makes a second pattern, and what stands idle in front of the
 * reported part goes away. Depth is that of the reader. */
#include "proxy/import/import_tree.h"

#include <string.h>

enum {
    WIDE_GAP = 24,  /* bytes from which a gap is better a near */
    GAP_ROOM = 120, /* bytes for what stands in front of one */
    MAX_WITHIN = 2000,
};

/* One pattern that is being made. */
struct shape {
    struct import_node *root; /* a CAT */
    char before, after;       /* b, ^ or $; 0: nothing */
};

struct writer {
    struct gw_arena *arena;
    const struct import_regex_options *o;
    struct gw_buf *notes;
    struct gw_err *err;
    bool inner_b;
};

static void note(struct writer *x, const char *text)
{
    if (x->notes->len > 0)
        gw_buf_adds(x->notes, "; ");
    gw_buf_adds(x->notes, text);
}

static struct import_node *make(struct writer *x, enum import_kind kind, struct import_node *kid)
{
    struct import_node *n = gw_arena_alloc(x->arena, sizeof(*n));

    if (n != NULL)
        *n = (struct import_node){.kind = kind, .kid = kid};
    return n;
}

/* ---- the reported part ------------------------------------------------------------------ */

/* Marks group number `number`; false when it is not there, or may come more than once. */
// NOLINTNEXTLINE(misc-no-recursion): the reader's depth
static bool mark_secret(struct import_node *n, unsigned number, bool once)
{
    for (; n != NULL; n = n->next) {
        if (n->kind == IMPORT_GROUP && n->capture == number) {
            n->secret = once;
            return once;
        }
        if (n->kid != NULL &&
            mark_secret(n->kid, number, once && (n->kind != IMPORT_REPEAT || n->max == 1)))
            return true;
    }
    return false;
}

// NOLINTNEXTLINE(misc-no-recursion): the reader's depth
static bool has_secret(const struct import_node *n)
{
    for (; n != NULL; n = n->next) {
        if (n->secret || (n->kid != NULL && has_secret(n->kid)))
            return true;
    }
    return false;
}

static bool holds_secret(const struct import_node *n)
{
    return n->secret || (n->kid != NULL && has_secret(n->kid));
}

/* ---- ends ------------------------------------------------------------------------------- */

static struct import_node **last_of(struct import_node **list)
{
    while (*list != NULL && (*list)->next != NULL)
        list = &(*list)->next;
    return list;
}

/* The list of which the pattern's first (or last) thing is an element: through groups that are no choice. */
static struct import_node **edge_of(struct import_node *cat, bool left)
{
    struct import_node **at = left ? &cat->kid : last_of(&cat->kid);

    while (*at != NULL && (*at)->kind == IMPORT_GROUP && (*at)->kid != NULL &&
           (*at)->kid->kind == IMPORT_CAT)
        at = left ? &(*at)->kid->kid : last_of(&(*at)->kid->kid);
    return at;
}

/* Takes assertions from one end. ^ and $ say more than \b. */
static void take_assertions(struct import_node *cat, bool left, char *what)
{
    for (;;) {
        struct import_node **at = edge_of(cat, left);

        if (*at == NULL || (*at)->kind != IMPORT_ASSERT)
            return;
        if (*what == 0 || (*at)->assert != 'b')
            *what = (*at)->assert;
        *at = (*at)->next;
    }
}

/* What an alternative is, when it is nothing but an assertion; 0. */
static char only_assertion(const struct import_node *n)
{
    while (n != NULL && (n->kind == IMPORT_CAT || n->kind == IMPORT_GROUP) && n->kid != NULL &&
           n->kid->next == NULL)
        n = n->kid;
    return (char)(n != NULL && n->kind == IMPORT_ASSERT ? n->assert : 0);
}

/* A copy of the CAT's list, so that it can lose an end. */
static struct import_node *copy_cat(struct writer *x, const struct import_node *cat)
{
    struct import_node *to = make(x, IMPORT_CAT, NULL), **tail;

    if (to == NULL)
        return NULL;
    tail = &to->kid;
    for (const struct import_node *n = cat->kid; n != NULL; n = n->next) {
        *tail = gw_arena_alloc(x->arena, sizeof(**tail));
        if (*tail == NULL)
            return NULL;
        **tail = *n;
        (*tail)->next = NULL;
        tail = &(*tail)->next;
    }
    return to;
}

/* Where a group at one end has alternatives that are only assertions, makes a second shape for them and leaves the others.
 * False: out of memory. */
static bool split_end(struct writer *x, struct shape *shapes, unsigned *n, unsigned i, bool left)
{
    struct shape *s = &shapes[i], other;
    struct import_node **at = left ? &s->root->kid : last_of(&s->root->kid), **kid, *group;
    char what = 0;

    if (*at == NULL || (*at)->kind != IMPORT_GROUP || holds_secret(*at) || (*at)->kid == NULL ||
        (*at)->kid->kind != IMPORT_ALT)
        return true;
    for (const struct import_node *k = (*at)->kid->kid; k != NULL; k = k->next)
        if (only_assertion(k) != 0)
            what = only_assertion(k);
    if (what == 0)
        return true;
    other = *s;
    if (*n < IMPORT_MAX_PATTERNS) {
        other.root = copy_cat(x, s->root);
        if (other.root == NULL)
            return false;
        kid = left ? &other.root->kid : last_of(&other.root->kid);
        *kid = (*kid)->next;
        *(left ? &other.before : &other.after) = what;
        shapes[(*n)++] = other;
    }
    /* The group itself may be shared with another shape: what it loses goes into a new one. */
    group = make(x, IMPORT_GROUP, make(x, IMPORT_ALT, NULL));
    if (group == NULL || group->kid == NULL)
        return false;
    kid = &group->kid->kid;
    for (const struct import_node *k = (*at)->kid->kid; k != NULL; k = k->next) {
        if (only_assertion(k) != 0)
            continue;
        *kid = gw_arena_alloc(x->arena, sizeof(**kid));
        if (*kid == NULL)
            return false;
        **kid = *k;
        (*kid)->next = NULL;
        kid = &(*kid)->next;
    }
    group->next = (*at)->next;
    *at = group->kid->kid == NULL ? (*at)->next : group;
    return true;
}

/* ---- gaps ------------------------------------------------------------------------------- */

/* Takes away what may be nothing in front of the reported part. */
static void drop_idle(struct import_node *cat)
{
    for (;;) {
        struct import_node **at = edge_of(cat, true);

        if (*at == NULL || (*at)->kind != IMPORT_REPEAT || (*at)->min != 0 || holds_secret(*at) ||
            (*at)->kid->kind != IMPORT_ATOM)
            return;
        *at = (*at)->next;
    }
}

/* (.|[\n\r]) is as wide as a dot. */
static bool is_wide(const struct import_node *n)
{
    if (n->kind == IMPORT_GROUP)
        n = n->kid;
    if (n != NULL && n->kind == IMPORT_ALT)
        n = n->kid;
    if (n != NULL && n->kind == IMPORT_CAT && n->kid != NULL && n->kid->next == NULL)
        n = n->kid;
    return n != NULL && n->kind == IMPORT_ATOM && n->wide;
}

static bool is_gap(const struct import_node *n)
{
    return n->kind == IMPORT_REPEAT && !holds_secret(n) && is_wide(n->kid) &&
           (n->max == IMPORT_INFINITE || n->max >= WIDE_GAP);
}

/* Cuts the CAT at its first wide gap in front of the reported part: *front gets what stands before it. False: no such gap. */
static bool cut_gap(struct writer *x, struct import_node *cat, struct import_node **front, int *max)
{
    struct import_node *gap = NULL, *rest = NULL;

    for (struct import_node **at = &cat->kid; *at != NULL && !holds_secret(*at);
         at = &(*at)->next) {
        if (!is_gap(*at) || at == &cat->kid || (*at)->next == NULL)
            continue;
        gap = *at;
        rest = gap->next;
        *at = NULL;
        break;
    }
    if (gap == NULL)
        return false;
    *front = make(x, IMPORT_CAT, cat->kid);
    cat->kid = rest;
    *max = gap->max;
    return *front != NULL;
}

/* ---- writing ---------------------------------------------------------------------------- */

static void put(struct writer *x, const struct import_node *n, struct gw_buf *out);

static void put_count(const struct import_node *n, struct gw_buf *out)
{
    if (n->min == 0 && n->max == 1)
        gw_buf_addc(out, '?');
    else if (n->min <= 1 && n->max == IMPORT_INFINITE)
        gw_buf_addc(out, n->min == 0 ? '*' : '+');
    else if (n->max == IMPORT_INFINITE)
        gw_buf_printf(out, "{%d,}", n->min);
    else if (n->min == n->max)
        gw_buf_printf(out, "{%d}", n->min);
    else
        gw_buf_printf(out, "{%d,%d}", n->min, n->max);
}

// NOLINTNEXTLINE(misc-no-recursion): the reader's depth
static void put_list(struct writer *x, const struct import_node *n, const char *between,
                     struct gw_buf *out)
{
    for (const struct import_node *k = n; k != NULL; k = k->next) {
        if (k != n)
            gw_buf_adds(out, between);
        put(x, k, out);
    }
}

// NOLINTNEXTLINE(misc-no-recursion): the reader's depth
static void put(struct writer *x, const struct import_node *n, struct gw_buf *out)
{
    bool bare;

    switch (n->kind) {
    case IMPORT_ATOM:
        gw_buf_add(out, n->text);
        return;
    case IMPORT_CAT:
        put_list(x, n->kid, "", out);
        return;
    case IMPORT_ALT:
        put_list(x, n->kid, "|", out);
        return;
    case IMPORT_GROUP:
        gw_buf_adds(out, n->secret ? "(?<secret>" : "(");
        put_list(x, n->kid, "", out);
        gw_buf_addc(out, ')');
        return;
    case IMPORT_REPEAT:
        bare = n->kid->kind == IMPORT_ATOM || n->kid->kind == IMPORT_GROUP;
        gw_buf_adds(out, bare ? "" : "(");
        put(x, n->kid, out);
        gw_buf_adds(out, bare ? "" : ")");
        put_count(n, out);
        return;
    case IMPORT_ASSERT:
        if (n->assert == 'b')
            x->inner_b = true;
        else
            (void)gw_fail(x->err, GW_EUNSUPPORTED, "^ or $ in the middle");
        return;
    }
}

/* Writes a shape; an empty span when it says what we cannot. */
static enum gw_status write_shape(struct writer *x, const struct shape *s, struct gw_span *out)
{
    struct gw_buf text = {NULL, 0, 0, false};
    struct gw_err none = {GW_OK, ""}, *err = x->err;
    enum gw_status st = GW_OK;

    x->err = &none;
    if (s->before != 0)
        gw_buf_adds(&text, s->before == 'b' ? "\\b" : "^");
    put(x, s->root, &text);
    if (s->after != 0)
        gw_buf_adds(&text, s->after == 'b' ? "\\b" : "$");
    x->err = err;
    if (none.code != GW_OK)
        st = gw_fail(err, none.code, "%s", none.text);
    else if (!gw_buf_ok(&text) || (*out = gw_arena_copy(x->arena, gw_buf_span(&text))).ptr == NULL)
        st = gw_fail(err, GW_ENOMEM, "out of memory");
    gw_buf_fini(&text);
    return st;
}

/* The alternatives of the whole pattern, each a shape; or all of it as one. */
static bool first_shapes(struct writer *x, struct import_node *root, struct shape *shapes,
                         unsigned *n)
{
    unsigned count = 0;

    if (root->kind == IMPORT_ALT)
        for (const struct import_node *k = root->kid; k != NULL; k = k->next)
            count++;
    if (count == 0 || count > IMPORT_MAX_PATTERNS) {
        struct import_node *cat =
            root->kind == IMPORT_CAT ? root : make(x, IMPORT_CAT, make(x, IMPORT_GROUP, root));

        shapes[(*n)++] = (struct shape){.root = cat};
        return cat != NULL && cat->kid != NULL;
    }
    for (struct import_node *k = root->kid, *next; k != NULL; k = next) {
        next = k->next;
        k->next = NULL;
        shapes[(*n)++] = (struct shape){.root = k};
    }
    return true;
}

/* Cuts the only shape at its gap and writes what stood in front. */
static enum gw_status write_near(struct writer *x, struct shape *s, struct import_regex *out)
{
    struct shape front = {.root = NULL, .before = s->before};
    int max = 0;

    if (!cut_gap(x, s->root, &front.root, &max))
        return gw_fail(x->err, GW_EUNSUPPORTED, "no wide gap");
    s->before = 0;
    take_assertions(s->root, true, &s->before);
    take_assertions(front.root, false, &front.after);
    drop_idle(front.root);
    out->near_within = max == IMPORT_INFINITE || max > MAX_WITHIN - GAP_ROOM
                           ? MAX_WITHIN
                           : (unsigned)max + GAP_ROOM;
    note(x, "a gap became near");
    return write_shape(x, &front, &out->near);
}

/* Takes what stands at the ends of each shape, and splits those that end in a choice. */
static bool shape_ends(struct writer *x, struct shape *shapes, unsigned *n)
{
    for (unsigned i = 0; i < *n; i++) {
        take_assertions(shapes[i].root, true, &shapes[i].before);
        take_assertions(shapes[i].root, false, &shapes[i].after);
    }
    for (unsigned left = 0; left < 2; left++) {
        unsigned n_first = *n;

        for (unsigned i = 0; i < n_first; i++)
            if (!split_end(x, shapes, n, i, left == 1))
                return false;
    }
    return true;
}

enum gw_status import_tree_write(struct gw_arena *arena, struct import_node *root,
                                 const struct import_regex_options *o, struct import_regex *out,
                                 struct gw_buf *notes, struct gw_err *err)
{
    struct writer x = {.arena = arena, .o = o, .notes = notes, .err = err};
    struct shape shapes[IMPORT_MAX_PATTERNS] = {{.root = NULL}};
    unsigned n = 0;

    if (!o->whole)
        out->has_secret = mark_secret(root, o->secret_group == 0 ? 1 : o->secret_group, true);
    if (!first_shapes(&x, root, shapes, &n))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (!shape_ends(&x, shapes, &n))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (o->split_gap)
        GW_TRY(n == 1 ? write_near(&x, &shapes[0], out)
                      : gw_fail(err, GW_EUNSUPPORTED, "a gap beside alternatives"));
    for (unsigned i = 0; i < n; i++) {
        if (out->has_secret && shapes[i].before != '^')
            drop_idle(shapes[i].root);
        GW_TRY(write_shape(&x, &shapes[i], &out->patterns[i]));
    }
    out->n_patterns = n;
    if (x.inner_b)
        note(&x, "a \\b in the middle was left out");
    return GW_OK;
}
