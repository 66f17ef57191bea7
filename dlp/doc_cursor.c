/* dlp/doc_cursor.c - goes along a document's tape (doc.h, doc_tape.h), and says where a leaf stands. */
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/siphash.h"
#include "dlp/doc_tape.h"

/* What the next step does first, since what belongs to a leaf must stay until then. */
enum then {
    THEN_NOTHING,
    THEN_NEXT,  /* the value has ended */
    THEN_ENTER, /* the string is JSON */
};

/* ---- pages ------------------------------------------------------------------------------- */

static void enter_page(struct dlp_cursor *c, unsigned i)
{
    const struct dlp_page *page = c->doc->pages[i];

    c->page = i;
    c->op = page->ops;
    c->end = page->ops + page->used;
}

/* The frame of a state, whose parent's is there. */
static void put_frame(struct dlp_cursor *c, unsigned d, const struct dlp_state *s)
{
    const struct dlp_frame *around = d == 0 ? NULL : &c->frames[d - 1];
    struct dlp_frame f = {
        .box = s->box, .escaped = s->escaped, .at = s->at, .len = s->len, .named = DLP_NONE};

    if (around != NULL) {
        f.named = around->box == DLP_BOX_OBJECT ? d - 1 : around->named;
        f.nesting = (uint8_t)(around->nesting + (s->box == DLP_BOX_TEXT));
    }
    c->frames[d] = f;
}

/* Stands where the page begins. */
static void load_page(struct dlp_cursor *c, unsigned i)
{
    const struct dlp_doc *doc = c->doc;
    const struct dlp_page *page = doc->pages[i];
    unsigned depth = 0;

    for (uint32_t s = page->state; doc->states[s].parent != DLP_NO_STATE; s = doc->states[s].parent)
        depth++;
    c->depth = depth;
    /* From the innermost one outward for their places, then inward for what they inherit. */
    for (uint32_t s = page->state, d = depth;; s = doc->states[s].parent, d--) {
        c->frames[d].at = s;
        if (d == 0)
            break;
    }
    for (unsigned d = 0; d <= depth; d++)
        put_frame(c, d, &doc->states[c->frames[d].at]);
    enter_page(c, i);
    c->at = page->at;
    c->leaf = page->leaf - 1; /* the next one is the page's */
    c->then = THEN_NOTHING;
}

void dlp_cursor_start(struct dlp_cursor *c, const struct dlp_doc *doc, struct dlp_frame *frames)
{
    memset(c, 0, offsetof(struct dlp_cursor, few));
    c->doc = doc;
    c->frames = frames;
    c->name_at = DLP_NONE;
    load_page(c, 0);
}

bool dlp_cursor_init(struct dlp_cursor *c, const struct dlp_doc *doc, bool classes)
{
    const bool deep = doc->max_depth >= DLP_FEW_FRAMES;
    struct dlp_frame *many = deep ? calloc((size_t)doc->max_depth + 1, sizeof(*many)) : NULL;

    dlp_cursor_start(c, doc, many != NULL ? many : c->few);
    c->classes = classes;
    if (classes)
        gw_random_seed(c->seed, sizeof(c->seed));
    return !deep || many != NULL;
}

void dlp_cursor_fini(struct dlp_cursor *c)
{
    if (c->frames != c->few)
        free(c->frames); /* offsets only */
    c->frames = NULL;
    gw_buf_fini(&c->text);
    gw_buf_fini(&c->name);
}

/* ---- steps ------------------------------------------------------------------------------- */

static uint64_t member_class(struct dlp_cursor *c);

static void push(struct dlp_cursor *c, enum dlp_box box, unsigned role)
{
    struct dlp_frame *around = &c->frames[c->depth], *f = around + 1;

    *f = (struct dlp_frame){
        .box = (uint8_t)box,
        .nesting = around->nesting,
        .role = role == 0 ? around->role : (uint8_t)role,
        .named = around->box == DLP_BOX_OBJECT ? c->depth : around->named,
    };
    if (c->classes)
        f->class_ = member_class(c);
    c->depth++;
}

static void next_value(struct dlp_cursor *c, unsigned n)
{
    if (c->frames[c->depth].box == DLP_BOX_ARRAY)
        c->frames[c->depth].at += n;
}

static void enter_string(struct dlp_cursor *c)
{
    push(c, DLP_BOX_TEXT, 0);
    c->frames[c->depth].nesting++;
    c->frames[c->depth].at = c->leaf;
    c->frames[c->depth].len = c->raw_end;
    c->at = c->raw_start;
}

static void pop(struct dlp_cursor *c)
{
    const struct dlp_frame *f = &c->frames[c->depth--];

    if (f->box == DLP_BOX_TEXT)
        c->at = f->len;
    next_value(c, 1);
}

static uint32_t take_number(struct dlp_cursor *c)
{
    uint32_t n = *c->op & 0x7F;

    for (unsigned shift = 7; *c->op++ >= 0x80; shift += 7)
        n |= (uint32_t)(*c->op & 0x7F) << shift;
    return n;
}

static void take_leaf(struct dlp_cursor *c, uint8_t op)
{
    static const uint8_t kinds[] = {[DLP_OP_STRING] = DLP_LEAF_STRING,
                                    [DLP_OP_KEY] = DLP_LEAF_KEY,
                                    [DLP_OP_NUMBER] = DLP_LEAF_NUMBER};
    struct dlp_frame *f = &c->frames[c->depth];
    uint32_t gap = op >> DLP_OP_GAP_SHIFT;

    if (gap == DLP_OP_GAP_MOST)
        gap = take_number(c);
    c->leaf++;
    c->kind = kinds[op & DLP_OP_BITS];
    c->escaped = (op & DLP_OP_ESCAPED) != 0;
    c->opened = (op & DLP_OP_OPENED) != 0;
    c->raw_start = c->at + gap;
    c->at = c->raw_end = c->raw_start + take_number(c);
    c->then = c->opened ? THEN_ENTER : THEN_NEXT;
    if (c->kind != DLP_LEAF_KEY)
        return;
    c->then = THEN_NOTHING;
    f->at = c->raw_start;
    f->len = c->raw_end - c->raw_start;
    f->escaped = c->escaped;
    f->member = 0;
}

bool dlp_cursor_next(struct dlp_cursor *c)
{
    enum { KEEP_BYTES = 64 << 10 }; /* of a text, for the next one */

    if (c->text.cap > KEEP_BYTES)
        gw_buf_fini(&c->text);
    if (c->then == THEN_ENTER)
        enter_string(c);
    else if (c->then == THEN_NEXT)
        next_value(c, 1);
    c->then = THEN_NOTHING;
    for (;;) {
        uint8_t op;
        unsigned count;

        while (c->op == c->end) {
            if (c->page + 1 == c->doc->n_pages) {
                c->leaf = c->doc->first_joined; /* on none */
                return false;
            }
            enter_page(c, c->page + 1);
        }
        op = *c->op++;
        count = (op >> DLP_OP_SHIFT) + 1U;
        switch (op & DLP_OP_BITS) {
        case DLP_OP_OBJECT:
            push(c, DLP_BOX_OBJECT, op >> DLP_OP_SHIFT);
            break;
        case DLP_OP_ARRAY:
            for (; count > 0; count--)
                push(c, DLP_BOX_ARRAY, 0);
            break;
        case DLP_OP_CLOSE:
            for (; count > 0; count--)
                pop(c);
            break;
        case DLP_OP_SKIP:
            next_value(c, count);
            break;
        default:
            take_leaf(c, op);
            return true;
        }
    }
}

void dlp_cursor_seek(struct dlp_cursor *c, uint32_t i)
{
    const struct dlp_doc *doc = c->doc;
    unsigned lo = 0, hi = doc->n_pages;

    while (hi - lo > 1) {
        unsigned mid = lo + (hi - lo) / 2;

        if (doc->pages[mid]->leaf <= i)
            lo = mid;
        else
            hi = mid;
    }
    /* It may be on its way there. leaf + 1 is the next one, also in front of the first. */
    if (c->page < lo || c->leaf + 1 > i + 1)
        load_page(c, lo);
    while (c->leaf != i && dlp_cursor_next(c))
        ;
}

/* ---- the leaf ---------------------------------------------------------------------------- */

unsigned dlp_cursor_nesting(const struct dlp_cursor *c)
{
    return c->frames[c->depth].nesting;
}

unsigned dlp_cursor_role(const struct dlp_cursor *c)
{
    return c->frames[c->depth].role;
}

/* Decodes what is between two places in the body. False when out of memory. */
static bool decode(const struct dlp_cursor *c, uint32_t start, uint32_t len, unsigned escaped,
                   struct gw_buf *out)
{
    enum { LARGE = 64 << 10 };
    const char *raw = c->doc->body.ptr + start;

    gw_buf_clear(out);
    if (!(len < LARGE ? gw_buf_reserve(out, len) : gw_buf_reserve_exact(out, len)))
        return false;
    out->len = len; /* all that is written is wiped */
    len = (uint32_t)dlp_map_unescape((struct gw_span){raw, len}, out->ptr);
    while (--escaped > 0)
        len = (uint32_t)dlp_map_unescape((struct gw_span){out->ptr, len}, out->ptr);
    out->len = len;
    return true;
}

/* The name of the frame's current member. False when out of memory. */
static bool name_of(struct dlp_cursor *c, const struct dlp_frame *f, struct gw_span *name)
{
    uint32_t len = f->len;

    if (!f->escaped) {
        *name = (struct gw_span){c->doc->body.ptr + f->at, f->len};
        return true;
    }
    if (c->name_at != f->at) {
        /* Of a long one the first characters. */
        if (len > DLP_NAME_BYTES) {
            const char *from = c->doc->body.ptr + f->at, *p = from;
            char out[4];

            while (p - from < DLP_NAME_BYTES)
                (void)dlp_map_step(&p, f->nesting + 1U, out);
            len = (uint32_t)(p - from);
        }
        c->name_at = DLP_NONE;
        if (!decode(c, f->at, len, f->nesting + 1U, &c->name))
            return false;
        c->name_at = f->at;
    }
    *name = gw_buf_span(&c->name);
    return true;
}

bool dlp_cursor_leaf(struct dlp_cursor *c, struct dlp_leaf *out)
{
    const struct dlp_frame *f = &c->frames[c->depth];
    uint32_t named = f->box == DLP_BOX_OBJECT && c->kind != DLP_LEAF_KEY ? c->depth : f->named;
    const uint32_t start = c->raw_start, end = c->raw_end;

    /* Field by field: a copy of what was just written in smaller pieces waits for it. */
    out->text.ptr = c->doc->body.ptr + start;
    out->text.len = end - start;
    out->key = (struct gw_span){NULL, 0};
    out->kind = c->doc->is_text ? DLP_LEAF_TEXT : (enum dlp_leaf_kind)c->kind;
    out->nesting = f->nesting & DLP_MAX_NESTING;
    out->raw_start = start;
    out->raw_end = end;
    if (c->escaped) {
        if (!decode(c, start, end - start, f->nesting + 1U, &c->text))
            return false;
        out->text = gw_buf_span(&c->text);
    }
    return named == DLP_NONE || name_of(c, &c->frames[named], &out->key);
}

/* ---- classes of paths -------------------------------------------------------------------- */

/* Two paths are one class when they are the same step from one class. What is outside of all arrays is told apart by its place. A
 * class is a keyed hash of 64 bits: that two of a body's are the same by chance is not to be expected. */
static uint64_t step_class(struct dlp_cursor *c, uint64_t from, bool element, struct gw_span key)
{
    struct gw_sip sip = gw_sip_start(c->seed);

    gw_sip_add(&sip, (struct gw_span){(const char *)&from, sizeof(from)});
    gw_sip_byte(&sip, element);
    gw_sip_add(&sip, key);
    return gw_sip_end(&sip) | 1;
}

/* Of the current member or element of the innermost container. Without memory it is one of no other. */
static uint64_t member_class(struct dlp_cursor *c)
{
    struct dlp_frame *f = &c->frames[c->depth];
    struct gw_span key = {NULL, 0};
    uint64_t from = f->class_;

    if (f->member != 0)
        return f->member;
    if (f->box == DLP_BOX_TEXT)
        f->member = from;
    else if (f->box == DLP_BOX_ARRAY)
        f->member = step_class(
            c, from != 0 ? from : UINT64_C(1) << 63 | (uint64_t)c->at << 16 | (c->depth & 0xFFFF),
            true, key);
    else if (from != 0 && name_of(c, f, &key))
        f->member = step_class(c, from, false, key);
    return f->member;
}

uint64_t dlp_cursor_class(struct dlp_cursor *c)
{
    return member_class(c);
}

/* ---- leaves inside a leaf ---------------------------------------------------------------- */

uint32_t dlp_doc_inner_at(const struct dlp_doc *doc, uint32_t leaf, uint32_t raw_start,
                          uint32_t raw_end)
{
    struct dlp_cursor *c = dlp_doc_seek(doc, leaf);
    uint32_t found = DLP_NONE, end = 0, outer_end = c->raw_end;
    unsigned lo = c->page, hi = doc->n_pages, nesting = dlp_cursor_nesting(c) + 1;

    if (!c->opened || raw_start < c->raw_start)
        return DLP_NONE;
    /* From the last page that begins in front of it, or from here. */
    while (hi - lo > 1) {
        unsigned mid = lo + (hi - lo) / 2;

        if (doc->pages[mid]->at <= raw_start)
            lo = mid;
        else
            hi = mid;
    }
    if (lo > c->page) {
        load_page(c, lo);
        /* The string that the page begins in, of those that are looked for. */
        for (unsigned d = 0; d <= c->depth; d++)
            if (c->frames[d].box == DLP_BOX_TEXT && c->frames[d].nesting == nesting + 1) {
                found = c->frames[d].at;
                end = c->frames[d].len;
            }
    }
    while (dlp_cursor_next(c) && c->raw_start <= raw_start && c->raw_start < outer_end)
        if (dlp_cursor_nesting(c) == nesting) {
            found = c->leaf;
            end = c->raw_end;
        }
    return end >= raw_end ? found : DLP_NONE;
}

/* ---- paths ------------------------------------------------------------------------------- */

/* A key that can be shown: a word as people name members. Many digits or capitals are how keys and
 * tokens look, which as a member name are data. */
static bool is_plain_word(struct gw_span key)
{
    unsigned digits = 0, capitals = 0;

    if (key.len == 0 || key.len > 40)
        return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];

        if (c >= '0' && c <= '9' && i != 0)
            digits++;
        else if (c >= 'A' && c <= 'Z')
            capitals++;
        else if (!(c >= 'a' && c <= 'z') && c != '_' && c != '-')
            return false;
    }
    return digits <= 2 && capitals <= 6;
}

void dlp_doc_pointer(const struct dlp_doc *doc, unsigned leaf, struct gw_buf *out)
{
    enum { SHOWN = (DLP_MAX_NESTING + 1) * 64 };
    struct dlp_cursor c;
    unsigned first = 0;

    if (leaf >= doc->first_joined)
        leaf = dlp_doc_joined(doc, leaf)->parts[0].leaf;
    if (!dlp_cursor_init(&c, doc, false)) {
        gw_buf_adds(out, "/*");
        return;
    }
    dlp_cursor_seek(&c, leaf);
    /* Deeper than the default limit allows, the upper part of the path gives way to a star. */
    if (c.depth > SHOWN) {
        gw_buf_adds(out, "/*");
        first = c.depth - SHOWN;
    }
    for (unsigned d = first; d <= c.depth; d++) {
        const struct dlp_frame *f = &c.frames[d];
        struct gw_span key;

        if (f->box == DLP_BOX_TEXT)
            continue;
        gw_buf_addc(out, '/');
        if (f->box == DLP_BOX_ARRAY)
            gw_buf_addu(out, f->at);
        else if (name_of(&c, f, &key) && is_plain_word(key))
            gw_buf_add(out, key);
        else
            gw_buf_addc(out, '*');
    }
    dlp_cursor_fini(&c);
}
