/* dlp/view.h - other forms of a text in which a value may hide, each with the way back to the text. Private to dlp.
 *
 * view_test() asks cheaply what a text may hold, and where (view_marks.h); only then views are made. A walked view goes over its
 * source unit by unit (a character, an escape) and writes what each says; only the surroundings of units that matter are written, apart from
 * each other by a newline. A blob view holds what each encoded stretch decodes to, between a little of the text around it.
 * A labelled view holds values with their names in front. A view may be the source of another. view_scan.c goes through all of them and
 * keeps the budgets.
 *
 * Maps: marks ascend in both offsets. Mapping a range gives the smallest range of the source, in whole units, that wrote
 * it.
 * Time and memory are linear in the source. Pure but for what is passed in. */
#ifndef DLP_VIEW_H
#define DLP_VIEW_H

#include "dlp/dlp.h"
#include "dlp/view_marks.h"

/* What a text may hold: bits of view_test(). */
enum {
    VIEW_MAY_FOLD = 1 << 0,   /* bytes beyond ASCII in words that look made up */
    VIEW_MAY_ESCAPE = 1 << 1, /* %XX, &...;, \u that hide something */
    VIEW_MAY_QUOTE = 1 << 2,  /* =XX, twice */
    VIEW_MAY_BLOB = 1 << 3,   /* a long run of base64 or hex digits */
    VIEW_MAY_DIGIT = 1 << 4,  /* a number that was taken apart */
    VIEW_MAY_SPELL = 1 << 5,  /* digits as words */
    VIEW_MAY_TAG = 1 << 6,    /* what nobody sees */
};

enum {
    VIEW_UNIT_MAX = 8, /* bytes that one unit writes at most */
    VIEW_BEFORE = 512, /* view_walk.before and behind of most */
    VIEW_BEHIND = 2048,
    VIEW_MARK_EVERY = 256, /* bytes of the source between two marks at most */
    VIEW_BLOB_MIN = 24,    /* digits of a stretch of base64 or hex */
    VIEW_BLOB_BEFORE = 96, /* bytes of text around a decoded stretch */
    VIEW_BLOB_AFTER = 32,
};

/* One way to walk over a text. */
struct view_walk {
    enum dlp_view view;
    /* Bytes of the source that are written in front of a unit that matters, and behind where it begins. */
    size_t before, behind;
    bool
        alone; /* nothing counts but what begins where such a unit does, or a sign or two in front */
    /* The place at `at` or behind it of the next unit that is worth a view, and where to go on looking; the text's length
     * when there is none. marks: of the text; NULL: nothing is known. Linear over ascending calls. */
    size_t (*next)(struct gw_span text, const struct view_marks *marks, size_t at, size_t *resume);
    /* Writes what the unit at `at` says and returns how many bytes it is, at least 1. Depends on the text around `at` only. */
    unsigned (*step)(struct gw_span text, size_t at, char out[VIEW_UNIT_MAX], unsigned *n);
    /* How many bytes from `at` on, below `to`, are surely units of one byte that write themselves. */
    size_t (*plain)(struct gw_span text, size_t at, size_t to);
};

extern const struct view_walk view_walk_fold, view_walk_tags, view_walk_escape, view_walk_quoted,
    view_walk_digits, view_walk_spelled;

struct view_mark {
    uint32_t src, out;
};

/* An encoded stretch of the source and what it decodes to. */
struct view_blob {
    uint32_t src_start, src_end, out_start, out_end;
    uint16_t after; /* bytes of the source that are written behind it */
    uint16_t view;  /* enum dlp_view */
};

/* A value of the source in a labelled view. */
struct view_cell {
    uint32_t src_start, out_start, len;
};

/* A view that was made. Zeroes are an empty one; reused for the next after view_clear(). */
struct view_text {
    struct gw_span src;             /* borrowed */
    const struct view_marks *marks; /* of src, while the view is made; NULL: nothing is known */
    struct gw_buf out;
    struct gw_buf
        places; /* struct view_mark, or when walk is NULL struct view_blob, or struct view_cell */
    struct gw_buf
        units; /* uint32_t: where in out those that matter begin, of a walk that is alone */
    const struct view_walk *walk; /* NULL: blobs, or values with labels */
    bool labelled;
    struct view_mark found; /* the unit that view_map() found last */
    bool cut;               /* more than max_bytes would have come out */
};

void view_clear(struct view_text *v); /* wipes, keeps the memory */
void view_fini(struct view_text *v);  /* wipes */

/* Makes room in out for n bytes and some more, but seldom for more than `left`, which is about what will still come. False: out of
 * memory. */
bool view_reserve(struct gw_buf *out, size_t n, size_t left);

/* Make a view of src with at most max_bytes; an empty out says that there is nothing in it. marks: what view_test() found in src; NULL:
 * nothing is known. False: out of memory. */
bool view_make_walked(struct view_text *v, const struct view_walk *walk, struct gw_span src,
                      const struct view_marks *marks, size_t max_bytes);
bool view_make_blobs(struct view_text *v, struct gw_span src, const struct view_marks *marks,
                     size_t max_bytes);

/* Make a labelled view: of a text, and a value that lies in it with its name in front, ascending. The caller asks gw_buf_ok() of v->out and
 * v->places at the end. */
void view_begin_labelled(struct view_text *v, struct gw_span src);
void view_add_labelled(struct view_text *v, struct gw_span label, struct gw_span value);
/* The same as view_map() for a labelled view, which says what its source says. False: there is nothing of a value in it. */
bool view_map_labelled(const struct view_text *v, uint32_t *start, uint32_t *end);

/* The range of the source that wrote out[start, end), not empty. False when it says what the source says there. *view: in
 * which form it was. A range behind the last one costs the way between them. */
bool view_map(struct view_text *v, uint32_t start, uint32_t end, uint32_t *src_start,
              uint32_t *src_end, enum dlp_view *view);

/* The digit that a word at text[at] says in one of the main languages, and its bytes; -1. No letter is in front or behind. */
int view_spelled(struct gw_span text, size_t at, unsigned *len);
const char *view_spelled_word(unsigned i); /* the i-th such word; NULL: there are no more */

/* ---- decoders ---------------------------------------------------------------------------- */

/* The next stretch of base64 or hex at `at` or behind it: sets [*start, *end) and returns true. *hex: only hex digits. */
bool view_blob_next(struct gw_span text, const struct view_marks *marks, size_t at, size_t *start,
                    size_t *end, bool *hex);

/* Puts what gzip or zlib data at the end of b, from `from` on, inflate to in their place, at most max bytes; *cut when there is more.
 * Returns false, and b is as it was, when they are neither, or out of memory; broken data give what came before. */
bool view_inflate(struct gw_buf *b, size_t from, size_t max, bool *cut);
bool view_is_gzip(struct gw_span bytes);

#endif
