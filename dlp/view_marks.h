/* dlp/view_marks.h - where in a text something stands that a view may be about, found in one pass. Private to dlp/view*.c.
 *
 * 64 bytes at a time are told apart by classes, a bit each; what may begin a view is decided on these bits, so most blocks cost a few
 * instructions, and only what is left is read byte by byte. The places found are hints: in front of the next one there is nothing.
 * Pure but for the lists; any thread. */
#ifndef DLP_VIEW_MARKS_H
#define DLP_VIEW_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Classes of bytes. */
enum view_class {
    VIEW_CLASS_DIGIT,
    VIEW_CLASS_SIGN,    /* view_is_sign() */
    VIEW_CLASS_BASE64,  /* digits of both alphabets */
    VIEW_CLASS_SLASH,   /* backslash, and = */
    VIEW_CLASS_PERCENT, /* % &, and = */
    VIEW_CLASS_QUOTED, /* may stand behind an equals sign that begins an escape: digits, A-F, line breaks, and a few that are rare there */
    VIEW_CLASS_LETTER, /* x u U #, behind a backslash or & */
    VIEW_CLASS_ALPHA,  /* A-Z a-z */
    VIEW_CLASS_HIGH,   /* beyond ASCII */
    VIEW_CLASS_SPELL, /* where a word begins with it: one that may be a digit's, view_may_be_spelled() */
    VIEW_CLASSES
};

/* What is listed. */
enum view_mark_kind {
    VIEW_MARK_QUOTED, /* =XX that may not be alone */
    VIEW_MARK_ESCAPE, /* escapes that hide something */
    VIEW_MARK_FOLD,   /* first bytes beyond ASCII of words that look made up */
    VIEW_MARK_ROW,    /* numbers that were taken apart */
    VIEW_MARK_RUN,    /* VIEW_BLOB_MIN digits of base64 whose stretch may say something */
    VIEW_MARKS,
    VIEW_MARK_ODD =
        VIEW_MARKS,  /* in bits only: what may be a word or a separator with which a row goes on, */
    VIEW_MARK_SPELL, /* and words that may be digits; any: where VIEW_SPELL_CLOSE are in a block */
    VIEW_MARK_BITS
};

enum {
    VIEW_BLOCK = 64, /* bytes, a bit each */
    VIEW_CHUNK_BLOCKS = 64,
    VIEW_CHUNK = VIEW_CHUNK_BLOCKS * VIEW_BLOCK,
    VIEW_ROW_MIN =
        11, /* bytes of a row worth a view, with its signs: nine digits in three groups */
    VIEW_ROW_CLOSE = 5, /* of its digits in one block: nine stand in two */
    VIEW_SHORT =
        18, /* bytes: no room for a run, for words in a row, or for words and fewer digits */
    VIEW_SPELL_WORDS = 7, /* words for digits in a row that are worth a view, */
    VIEW_SPELL_CLOSE =
        3, /* and of these in one block: without digits between them, all are in three */
    VIEW_SPELL_MOST = 128, /* bytes of such a row, up to its last word */
};

/* Of a chunk: where something of a kind may be, as far as classes tell, a bit for each byte; and a bit for each block that has one. */
struct view_bits {
    _Alignas(64) uint64_t at[VIEW_MARK_BITS][VIEW_CHUNK_BLOCKS];
    uint64_t any[VIEW_MARK_BITS];
};

/* Those of the chunk that begins at `from`, a multiple of VIEW_CHUNK, below the text's length. All give the same. */
void view_bits(struct gw_span text, size_t from, struct view_bits *out);
void view_bits_avx2(struct gw_span text, size_t from, struct view_bits *out);
void view_bits_avx512(struct gw_span text, size_t from, struct view_bits *out);

/* Bits of each byte, of the classes in front of VIEW_CLASS_HIGH; none beyond ASCII. */
extern const uint8_t view_class_of[256];

/* Places of one kind, ascending. */
struct view_list {
    uint32_t *at;
    unsigned n, cap;
    size_t upto; /* nothing is said of what is behind */
};

/* Of a text. Zeroes are those of no text. Release with view_marks_fini(). */
struct view_marks {
    struct view_list list[VIEW_MARKS];
};
void view_marks_fini(struct view_marks *m);
void view_marks_trim(struct view_marks *m); /* gives back much memory */

/* Fills in m, and returns what the text may hold: bits of enum VIEW_MAY_* in view.h. numbers: some rule would read numbers that are
 * taken apart or spelled. */
unsigned view_test(struct gw_span text, struct view_marks *m, bool numbers);

/* The first place at `at` or behind it in front of which nothing of the kind is; len when there is none. m may be NULL: nothing is known. */
size_t view_marks_from(const struct view_marks *m, enum view_mark_kind kind, size_t at, size_t len);
/* Is `at`, which view_marks_from() said, a place of the list? Then it is worth a view, and the next one is the next of the list. */
static inline bool view_marks_has(const struct view_marks *m, enum view_mark_kind kind, size_t at,
                                  size_t len)
{
    return m != NULL && at < m->list[kind].upto && at < len;
}

/* ---- what is asked at a place, by those who walk ------------------------------------------- */

/* Where the row of numbers at `at` ends; *worth: it is one that a view is made for. */
size_t view_row_at(struct gw_span text, size_t at, bool *worth);
/* Where the row begins that the digit at `at` ends, as far as digits and signs tell. */
size_t view_row_start(struct gw_span text, size_t at);
/* Words for digits in the row at `at`, and where it ends. */
unsigned view_row_words(struct gw_span text, size_t at, size_t *end);
/* Where the digits end behind which `at` is, with up to three signs between; 0: there are none. */
size_t view_digit_before(struct gw_span text, size_t at);
/* Does the row go on at `at`, behind its digits, with a character beyond ASCII or a word? */
bool view_row_goes_on(struct gw_span text, size_t at);
/* Bytes of the escape at `at`, 0: it is none; *worth: it hides something. */
unsigned view_escape_at(struct gw_span text, size_t at, bool *worth);
/* The same for what an equals sign begins. */
unsigned view_quoted_at(struct gw_span text, size_t at, bool *worth);
/* Where the stretch ends whose run of base64 begins at `at`; *worth: it may say something. */
size_t view_stretch_at(struct gw_span text, size_t at, bool *worth);
/* Where the word ends that holds the first byte beyond ASCII at `at`; *worth: it looks made up. */
size_t view_word_at(struct gw_span text, size_t at, bool *worth);

enum { VIEW_QUOTED_CLOSE = 80 }; /* bytes between two escapes of quoted-printable, at most */

#endif
