/* dlp/doc_write.c - writes a document's tape (doc_tape.h): ops into pages, states where a page begins, and containers that turn out to
 * have no leaf back out of it. Thread: the document's. */
#include <stdlib.h>
#include <string.h>

#include "dlp/doc_tape.h"

/* ---- growing lists ----------------------------------------------------------------------- */

/* How much a list of cap elements grows to. */
static unsigned next_cap(unsigned cap)
{
    enum { FIRST = 4, LONG = 1024 };

    if (cap == 0)
        return FIRST;
    return cap < LONG ? cap * 2 : cap + cap / 2;
}

static bool add_state(struct dlp_doc *doc, const struct dlp_state *s)
{
    if (doc->n_states == doc->cap_states) {
        unsigned cap = next_cap(doc->cap_states);
        void *more = gw_arena_grow(doc->arena, doc->states, doc->cap_states * sizeof(*doc->states),
                                   cap * sizeof(*doc->states));

        if (more == NULL || cap >= DLP_NO_STATE)
            return false;
        doc->states = more;
        doc->cap_states = cap;
    }
    doc->states[doc->n_states++] = *s;
    return true;
}

bool dlp_write_box(struct dlp_writer *w, const struct dlp_open_box *box)
{
    if (w->depth + 1 == w->cap_boxes) {
        unsigned cap = w->cap_boxes * 2;
        struct dlp_open_box *more = malloc(cap * sizeof(*more));

        if (more == NULL)
            return false;
        memcpy(more, w->boxes, w->cap_boxes * sizeof(*more));
        if (w->boxes != w->few)
            free(w->boxes); /* offsets only */
        w->boxes = more;
        w->cap_boxes = cap;
    }
    w->boxes[++w->depth] = *box;
    if (w->depth > w->doc->max_depth)
        w->doc->max_depth = w->depth;
    return true;
}

/* ---- pages ------------------------------------------------------------------------------- */

static bool state_of(struct dlp_writer *w, unsigned d, uint32_t *state)
{
    const struct dlp_open_box *box = &w->boxes[d];
    struct dlp_state s = {.parent = (d == 0 ? DLP_NO_STATE : w->boxes[d - 1].state) & DLP_NO_STATE,
                          .box = box->kind & 3U,
                          .escaped = box->escaped,
                          .at = box->at,
                          .len = box->len};

    *state = w->doc->n_states;
    return add_state(w->doc, &s);
}

/* Begins a new page. False when out of memory. */
bool dlp_write_page(struct dlp_writer *w)
{
    struct dlp_doc *doc = w->doc;
    struct dlp_page *page;

    if (doc->n_pages == doc->cap_pages) {
        unsigned cap = next_cap(doc->cap_pages);
        void *more = gw_arena_grow(doc->arena, doc->pages, doc->cap_pages * sizeof(void *),
                                   cap * sizeof(void *));

        if (more == NULL)
            return false;
        doc->pages = more;
        doc->cap_pages = cap;
    }
    page = doc->pages[doc->n_pages]; /* one may be left of a text that was none */
    if (page == NULL) {
        uint16_t cap = doc->n_pages == 0 ? DLP_FIRST_PAGE : DLP_PAGE;

        page = gw_arena_alloc(doc->arena, sizeof(*page) + cap);
        if (page == NULL)
            return false;
        page->cap = cap;
        doc->pages[doc->n_pages] = page;
    }
    page->leaf = w->n_leaves;
    page->at = w->at;
    page->used = 0;
    page->first_state = doc->n_states;
    for (unsigned d = 0; d < w->depth; d++)
        if (w->boxes[d].state == DLP_NO_STATE && !state_of(w, d, &w->boxes[d].state))
            return false;
    if (!state_of(w, w->depth, &page->state))
        return false;
    doc->n_pages++;
    w->last = NULL;
    return true;
}

bool dlp_write(struct dlp_writer *w, const uint8_t *ops, unsigned n)
{
    struct dlp_page *page = w->doc->pages[w->doc->n_pages - 1];

    if (page->used + n > page->cap) {
        if (!dlp_write_page(w))
            return false;
        page = w->doc->pages[w->doc->n_pages - 1];
    }
    w->last = page->ops + page->used;
    memcpy(w->last, ops, n);
    page->used = (uint16_t)(page->used + n);
    return true;
}

/* Appends an op that is counted. */
bool dlp_write_count(struct dlp_writer *w, enum dlp_op kind)
{
    uint8_t op = (uint8_t)kind;

    if (w->last != NULL && (*w->last & DLP_OP_BITS) == kind &&
        *w->last >> DLP_OP_SHIFT != DLP_OP_MOST) {
        *w->last += DLP_OP_MORE;
        return true;
    }
    return dlp_write(w, &op, 1);
}

/* Takes back what was appended since the place. */
void dlp_write_rewind(struct dlp_writer *w, unsigned page, size_t used)
{
    struct dlp_doc *doc = w->doc;

    if (page + 1 < doc->n_pages) {
        doc->n_states = doc->pages[page + 1]->first_state;
        doc->n_pages = page + 1;
        for (unsigned d = 0; d <= w->depth; d++)
            if (w->boxes[d].state >= doc->n_states)
                w->boxes[d].state = DLP_NO_STATE;
    }
    doc->pages[page]->used = (uint16_t)used;
}

/* ---- containers -------------------------------------------------------------------------- */

/* A value has ended: the next one in an array is another element. */
bool dlp_write_value_done(struct dlp_writer *w, bool skipped)
{
    struct dlp_open_box *box = &w->boxes[w->depth];

    if (box->kind != DLP_BOX_ARRAY)
        return true;
    /* Where the op begins a page, that begins in front of the element. */
    if (skipped && !dlp_write_count(w, DLP_OP_SKIP))
        return false;
    box->at++;
    return true;
}

bool dlp_write_open(struct dlp_writer *w, enum dlp_box kind)
{
    struct dlp_open_box box = {
        .kind = (uint8_t)kind, .state = DLP_NO_STATE, .before = w->last, .first_leaf = w->n_leaves};
    unsigned n_pages = w->doc->n_pages;
    uint8_t op = DLP_OP_OBJECT;

    if (!(kind == DLP_BOX_ARRAY ? dlp_write_count(w, DLP_OP_ARRAY) : dlp_write(w, &op, 1)))
        return false;
    if (w->doc->n_pages != n_pages) /* a page says what was before it, which stays so */
        box.before = NULL;
    box.op = w->last;
    box.page = w->doc->n_pages - 1;
    return dlp_write_box(w, &box);
}

/* Leaves no trace of the innermost container, in which there is no leaf. */
static void take_back(struct dlp_writer *w)
{
    const struct dlp_open_box *box = &w->boxes[w->depth];
    uint8_t *from = w->doc->pages[box->page]->ops;

    if (box->op == box->before) {
        *box->op -= DLP_OP_MORE;
        dlp_write_rewind(w, box->page, (size_t)(box->op - from) + 1);
    } else {
        dlp_write_rewind(w, box->page, (size_t)(box->op - from));
    }
    w->last = box->before;
}

bool dlp_write_close(struct dlp_writer *w)
{
    bool empty = w->boxes[w->depth].first_leaf == w->n_leaves;

    if (empty)
        take_back(w);
    else if (!dlp_write_count(w, DLP_OP_CLOSE))
        return false;
    w->boxes[--w->depth].state = DLP_NO_STATE;
    return dlp_write_value_done(w, empty);
}
