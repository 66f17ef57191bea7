/* dlp/doc_kept.c - what a document keeps of what was asked for by number (doc.h): the text of leaves with escapes, checkpoints of
 * their maps, JOINED leaves with findings. Findings are few, so this is little.
 *
 * The map of a leaf with escapes is a pair of offsets every DLP_CHECKPOINT bytes, from which the escapes are walked again. */
#include <stddef.h>
#include <string.h>

#include "dlp/doc_tape.h"

struct checkpoint {
    uint32_t raw,
        text; /* the same place in the leaf's bytes of the body and in its text, between two characters */
};

/* A leaf with escapes. */
struct pin {
    uint32_t leaf, next; /* next: of its list, plus 1 */
    uint32_t n_checkpoints;
    const struct checkpoint *checkpoints; /* the first is for raw offset 256 */
    struct gw_span text;                  /* {NULL, 0}: not asked for yet */
};

enum { PIN_LISTS = 64 };

struct dlp_kept {
    struct dlp_cursor *seek; /* NULL: nothing was asked for yet */
    struct pin *pins;
    uint32_t n_pins, cap_pins;
    uint32_t *lists; /* the first pin of each, plus 1 */
    struct dlp_joined *joined;
    uint32_t n_joined, cap_joined;
};

struct dlp_kept *dlp_kept_new(struct gw_arena *arena)
{
    return gw_arena_alloc(arena, sizeof(struct dlp_kept));
}

bool dlp_doc_keep(const struct dlp_doc *doc)
{
    struct dlp_kept *k = doc->kept;
    struct dlp_cursor *seek;
    struct dlp_frame *frames;

    if (k->seek != NULL)
        return true;
    seek = gw_arena_alloc(doc->arena, sizeof(*seek));
    frames = gw_arena_array(doc->arena, (size_t)doc->max_depth + 1, sizeof(*frames));
    k->lists = gw_arena_array(doc->arena, PIN_LISTS, sizeof(*k->lists));
    if (seek == NULL || frames == NULL || k->lists == NULL)
        return false;
    dlp_cursor_start(seek, doc, frames);
    k->seek = seek;
    return true;
}

struct dlp_cursor *dlp_doc_seek(const struct dlp_doc *doc, uint32_t i)
{
    dlp_cursor_seek(doc->kept->seek, i);
    return doc->kept->seek;
}

/* Makes room for one more in a list. False when out of memory. */
static bool make_room(const struct dlp_doc *doc, void *list, uint32_t n, uint32_t *cap, size_t size)
{
    enum { FIRST = 4 };
    uint32_t more = *cap == 0 ? FIRST : *cap + *cap / 2;
    void *p, *grown;

    if (n < *cap)
        return true;
    memcpy(&p, list, sizeof(p));
    grown = gw_arena_grow(doc->arena, p, *cap * size, more * size);
    if (grown == NULL)
        return false;
    memcpy(list, &grown, sizeof(p));
    *cap = more;
    return true;
}

/* ---- checkpoints ------------------------------------------------------------------------- */

static bool add_checkpoints(const struct dlp_doc *doc, const struct dlp_cursor *c, struct pin *pin)
{
    const char *from = doc->body.ptr + c->raw_start, *p = from, *end = doc->body.ptr + c->raw_end;
    struct checkpoint *cps =
        gw_arena_array(doc->arena, (size_t)(end - from) / DLP_CHECKPOINT + 1, sizeof(*cps));
    const char *mark = from + DLP_CHECKPOINT;
    unsigned escaped = dlp_cursor_nesting(c) + 1;
    uint32_t text = 0;
    char out[4];

    if (cps == NULL)
        return false;
    pin->checkpoints = cps;
    while (p < end && mark < end) {
        size_t n;

        if (p >= mark) {
            cps[pin->n_checkpoints++] = (struct checkpoint){(uint32_t)(p - from), text};
            mark += DLP_CHECKPOINT;
            continue;
        }
        n = dlp_map_plain(p, (size_t)(mark - p));
        p += n;
        text += (uint32_t)n;
        if (p < mark)
            text += dlp_map_step(&p, escaped, out);
    }
    return true;
}

/* The pin of the leaf that the cursor stands on, which has escapes. NULL: out of memory. */
static struct pin *pin_of(const struct dlp_doc *doc, const struct dlp_cursor *c)
{
    struct dlp_kept *k = doc->kept;
    uint32_t *list = &k->lists[c->leaf % PIN_LISTS];
    struct pin pin = {.leaf = c->leaf, .next = *list};

    for (uint32_t i = *list; i != 0; i = k->pins[i - 1].next)
        if (k->pins[i - 1].leaf == c->leaf)
            return &k->pins[i - 1];
    if (!make_room(doc, &k->pins, k->n_pins, &k->cap_pins, sizeof(*k->pins)) ||
        !add_checkpoints(doc, c, &pin))
        return NULL;
    k->pins[k->n_pins++] = pin;
    *list = k->n_pins;
    return &k->pins[k->n_pins - 1];
}

/* ---- maps -------------------------------------------------------------------------------- */

/* The last checkpoint at or before the offset, by text or by raw; the beginning when there is none. */
static struct checkpoint find_checkpoint(const struct pin *pin, uint32_t off, bool by_text)
{
    uint32_t lo = 0, hi = pin->n_checkpoints;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        const struct checkpoint *c = &pin->checkpoints[mid];

        if ((by_text ? c->text : c->raw) <= off)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == 0 ? (struct checkpoint){0, 0} : pin->checkpoints[lo - 1];
}

/* Walks to the offset, by text or by raw. An offset inside an escape is rounded down, or up. */
static struct checkpoint walk(const struct dlp_cursor *at, const struct pin *pin, uint32_t off,
                              bool by_text, bool up)
{
    const char *raw = at->doc->body.ptr + at->raw_start;
    uint32_t len = at->raw_end - at->raw_start;
    unsigned escaped = dlp_cursor_nesting(at) + 1;
    struct checkpoint c;

    if (pin == NULL)
        return (struct checkpoint){off, off};
    c = find_checkpoint(pin, off, by_text);
    while ((by_text ? c.text : c.raw) < off && c.raw < len) {
        const char *p = raw + c.raw;
        struct checkpoint next = {c.raw + 1, c.text + 1};

        if (*p == '\\') {
            char tmp[4];

            next.text = c.text + dlp_map_step(&p, escaped, tmp);
            next.raw = (uint32_t)(p - raw);
        }
        if ((by_text ? next.text : next.raw) > off && !up)
            break;
        c = next;
    }
    return c;
}

/* Goes to the leaf; *pin: NULL when it has no escapes. False when out of memory. */
static bool find(const struct dlp_doc *doc, uint32_t leaf, const struct dlp_cursor **c,
                 const struct pin **pin)
{
    if (!dlp_doc_keep(doc))
        return false;
    *c = dlp_doc_seek(doc, leaf);
    *pin = (*c)->escaped ? pin_of(doc, *c) : NULL;
    return *pin != NULL || !(*c)->escaped;
}

bool dlp_map_to_body(const struct dlp_doc *doc, uint32_t leaf, uint32_t start, uint32_t end,
                     uint32_t *raw_start, uint32_t *raw_end)
{
    const struct dlp_cursor *c;
    const struct pin *pin;

    if (!find(doc, leaf, &c, &pin))
        return false;
    *raw_start = c->raw_start + walk(c, pin, start, true, false).raw;
    *raw_end = c->raw_start + walk(c, pin, end, true, true).raw;
    return true;
}

bool dlp_map_from_body(const struct dlp_doc *doc, uint32_t leaf, uint32_t raw_start,
                       uint32_t raw_end, uint32_t *start, uint32_t *end)
{
    const struct dlp_cursor *c;
    const struct pin *pin;

    if (!find(doc, leaf, &c, &pin))
        return false;
    *start = walk(c, pin, raw_start - c->raw_start, false, false).text;
    *end = walk(c, pin, raw_end - c->raw_start, false, true).text;
    return true;
}

/* ---- leaves by number -------------------------------------------------------------------- */

enum { SMALL = 2048 };

/* Decodes SMALL bytes at most. Without text when out of memory. */
static struct gw_span unescape_small(const struct dlp_doc *doc, struct gw_span raw,
                                     unsigned escaped)
{
    char said[SMALL], *out;
    size_t n = dlp_map_unescape(raw, said);

    while (--escaped > 0)
        n = dlp_map_unescape((struct gw_span){said, n}, said);
    out = gw_arena_alloc(doc->arena, n + 1);
    if (out != NULL)
        memcpy(out, said, n);
    explicit_bzero(said, raw.len);
    return (struct gw_span){out, out == NULL ? 0 : n};
}

static struct gw_span unescape(const struct dlp_doc *doc, uint32_t start, uint32_t end,
                               unsigned escaped)
{
    const char *p = doc->body.ptr + start, *stop = doc->body.ptr + end;
    struct gw_span text = {p, end - start};
    char *out, tmp[4];

    if (text.len <= SMALL)
        return unescape_small(doc, text, escaped);
    /* How long it becomes is known before there is memory for it. */
    text.len = 0;
    while (p < stop) {
        size_t n = dlp_map_plain(p, (size_t)(stop - p));

        p += n;
        text.len += n;
        if (p < stop)
            text.len += dlp_map_step(&p, escaped, tmp);
    }
    out = gw_arena_alloc(doc->arena, text.len + 1);
    if (out == NULL)
        return (struct gw_span){NULL, 0};
    text.ptr = out;
    p = doc->body.ptr + start;
    while (p < stop) {
        size_t n = dlp_map_plain(p, (size_t)(stop - p));

        memcpy(out, p, n);
        p += n;
        out += n;
        if (p < stop) {
            n = dlp_map_step(&p, escaped, tmp);
            memcpy(out, tmp, n);
            out += n;
        }
    }
    return text;
}

static bool name_at(const struct dlp_doc *doc, const struct dlp_cursor *c, struct gw_span *key)
{
    const struct dlp_frame *f = &c->frames[c->depth];
    uint32_t named = f->box == DLP_BOX_OBJECT && c->kind != DLP_LEAF_KEY ? c->depth : f->named;

    if (named == DLP_NONE)
        return true;
    f = &c->frames[named];
    *key = f->escaped ? unescape(doc, f->at, f->at + f->len, f->nesting + 1U)
                      : (struct gw_span){doc->body.ptr + f->at, f->len};
    return key->ptr != NULL;
}

static bool put_text(const struct dlp_doc *doc, const struct dlp_cursor *c, struct dlp_leaf *leaf)
{
    struct pin *pin;

    if (!c->escaped) {
        leaf->text =
            (struct gw_span){doc->body.ptr + c->raw_start, c->raw_end - (size_t)c->raw_start};
        return true;
    }
    pin = pin_of(doc, c);
    if (pin != NULL && pin->text.ptr == NULL)
        pin->text = unescape(doc, c->raw_start, c->raw_end, dlp_cursor_nesting(c) + 1);
    if (pin == NULL || pin->text.ptr == NULL)
        return false;
    leaf->text = pin->text;
    return true;
}

struct dlp_leaf dlp_doc_place(const struct dlp_doc *doc, uint32_t i)
{
    const struct dlp_cursor *c = dlp_doc_seek(doc, i);

    return (struct dlp_leaf){
        .kind = doc->is_text ? DLP_LEAF_TEXT : (enum dlp_leaf_kind)c->kind,
        .nesting = dlp_cursor_nesting(c) & DLP_MAX_NESTING,
        .raw_start = c->raw_start,
        .raw_end = c->raw_end,
    };
}

static struct dlp_leaf joined_leaf(const struct dlp_doc *doc, uint32_t i)
{
    const struct dlp_joined *j = dlp_doc_joined(doc, i);
    struct dlp_leaf leaf = dlp_doc_place(doc, j->parts[0].leaf);

    leaf.kind = DLP_LEAF_JOINED;
    leaf.text = j->text;
    leaf.key = j->key;
    leaf.raw_end = dlp_doc_place(doc, j->parts[j->n_parts - 1].leaf).raw_end;
    return leaf;
}

bool dlp_doc_leaf_at(const struct dlp_doc *doc, uint32_t i, struct dlp_leaf *out)
{
    struct dlp_leaf leaf;

    if (!dlp_doc_keep(doc))
        return false;
    if (i >= doc->first_joined) {
        *out = joined_leaf(doc, i);
        return true;
    }
    leaf = dlp_doc_place(doc, i);
    if (!put_text(doc, doc->kept->seek, &leaf) || !name_at(doc, doc->kept->seek, &leaf.key))
        return false;
    *out = leaf;
    return true;
}

struct dlp_leaf dlp_doc_leaf(const struct dlp_doc *doc, uint32_t leaf)
{
    struct dlp_leaf out = {.text = {NULL, 0}};

    (void)dlp_doc_leaf_at(doc, leaf, &out);
    return out;
}

/* ---- JOINED leaves ----------------------------------------------------------------------- */

enum gw_status dlp_doc_keep_joined(const struct dlp_doc *doc, const struct dlp_joined *joined)
{
    struct dlp_kept *k = doc->kept;
    struct dlp_part *parts = gw_arena_array(doc->arena, joined->n_parts, sizeof(*parts));
    struct dlp_joined kept = *joined;

    kept.text = gw_arena_copy(doc->arena, joined->text);
    kept.key = gw_arena_copy(doc->arena, joined->key);
    if (parts == NULL || kept.text.ptr == NULL || kept.key.ptr == NULL || !dlp_doc_keep(doc) ||
        !make_room(doc, &k->joined, k->n_joined, &k->cap_joined, sizeof(*k->joined)))
        return GW_ENOMEM;
    memcpy(parts, joined->parts, joined->n_parts * sizeof(*parts));
    kept.parts = parts;
    k->joined[k->n_joined++] = kept;
    return GW_OK;
}

const struct dlp_joined *dlp_doc_joined(const struct dlp_doc *doc, uint32_t i)
{
    return &doc->kept->joined[i - doc->first_joined];
}

unsigned dlp_doc_count(const struct dlp_doc *doc)
{
    return doc->first_joined + doc->kept->n_joined;
}

uint32_t dlp_doc_part_at(const struct dlp_joined *joined, uint32_t at)
{
    uint32_t lo = 0, hi = joined->n_parts;

    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (joined->parts[mid].at <= at)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}
