/* dlp/doc_tape.h - what a document's tape says. Private to the doc*.c.
 *
 * An op is a byte, with numbers behind it for a leaf. Its low three bits say what it is:
 *
 *   STRING KEY NUMBER   bit 3: the bytes have a backslash; bit 4: JSON in the string follows, as a container;
 *                       bits 5 to 7: bytes between the last leaf and this one, 7: a number says; then a number: its bytes
 *   OBJECT              opens one; bits 3 to 5: who speaks in there
 *   ARRAY               opens one, and as many more as bits 3 to 7 say
 *   CLOSE               closes the innermost container, and as many more
 *   SKIP                an element of an array in which there is no leaf, and as many more
 *
 * A number is a LEB128. Containers without any leaf are not on the tape. It lies in pages; no op lies in two. A page says where it
 * begins, so that a cursor can start there: states are a tree like the containers'. They are made only of what is open where a page
 * begins. Thread: the document's. */
#ifndef DLP_DOC_TAPE_H
#define DLP_DOC_TAPE_H

#include "dlp/doc.h"

enum dlp_op {
    DLP_OP_STRING,
    DLP_OP_KEY,
    DLP_OP_NUMBER,
    DLP_OP_OBJECT,
    DLP_OP_ARRAY,
    DLP_OP_CLOSE,
    DLP_OP_SKIP,
    DLP_OP_BITS = 7,      /* of the byte */
    DLP_OP_ESCAPED = 8,   /* bit 3 */
    DLP_OP_OPENED = 16,   /* bit 4 */
    DLP_OP_SHIFT = 3,     /* of a count or a role */
    DLP_OP_MORE = 8,      /* one more of a count */
    DLP_OP_MOST = 31,     /* a count */
    DLP_OP_GAP_SHIFT = 5, /* of the bytes between */
    DLP_OP_GAP_MOST = 7,  /* a number says it */
    DLP_OP_BYTES = 11,    /* at most, with its numbers */
};

enum { DLP_FIRST_PAGE = 104, DLP_PAGE = 1000, DLP_NO_STATE = 0x1FFFFFFF };

struct dlp_page {
    uint32_t leaf;        /* the number of the next leaf */
    uint32_t at;          /* as of a cursor */
    uint32_t state;       /* of the innermost container */
    uint32_t first_state; /* states that were there before */
    uint16_t used, cap;   /* bytes of ops */
    uint8_t ops[];
};

/* ---- writing ------------------------------------------------------------------------------ */

/* An open container. */
struct dlp_open_box {
    uint8_t kind; /* enum dlp_box */
    bool escaped, is_role;
    uint32_t at, len; /* as of a frame */
    uint32_t state;   /* made of it as the parent of others, or DLP_NO_STATE */
    uint8_t *op;      /* that opens it, in a page; of a text: its string */
    uint8_t *before;  /* the op before, if another may be counted onto it */
    unsigned page;
    uint32_t first_leaf; /* leaves that there were before */
};

enum { DLP_FEW_BOXES = 24 };

struct dlp_writer {
    struct dlp_doc *doc;
    struct dlp_open_box *boxes; /* boxes[depth] is the innermost */
    unsigned depth, cap_boxes;
    uint8_t *last;     /* the last op, if another may be counted onto it; NULL */
    uint32_t at;       /* in the body: behind the last leaf */
    uint32_t n_leaves; /* so far */
    struct dlp_open_box few[DLP_FEW_BOXES];
};

/* All that return bool: false when out of memory. */
bool dlp_write_page(struct dlp_writer *w); /* begins a page */
bool dlp_write(struct dlp_writer *w, const uint8_t *ops, unsigned n);
bool dlp_write_count(struct dlp_writer *w, enum dlp_op kind); /* an op that is counted */
bool dlp_write_box(struct dlp_writer *w, const struct dlp_open_box *box); /* without an op */
bool dlp_write_open(struct dlp_writer *w, enum dlp_box kind);
bool dlp_write_close(struct dlp_writer *w);
/* A value has ended; skipped: there was no leaf in it. */
bool dlp_write_value_done(struct dlp_writer *w, bool skipped);
/* Takes back what was written since the place. */
void dlp_write_rewind(struct dlp_writer *w, unsigned page, size_t used);

struct dlp_kept *dlp_kept_new(struct gw_arena *arena); /* NULL when out of memory */

#endif
