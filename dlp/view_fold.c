/* dlp/view_fold.c - the folded view: characters as they look, without those that nobody sees (view.h, view_fold.h).
 *
 * Ordinary text of any language has no use for it, so only words that look made up are worth it: letters of two scripts in
 * one word, invisible characters between letters, full-width or mathematical letters, accents in what looks like a token.
 * Pure; any thread. */
#include "dlp/view_fold.h"

#include <string.h>

#include "base/utf8.h"
#include "dlp/view.h"

enum {
    FIRST_OTHER_SCRIPT = 0x250, /* characters below are Latin letters with marks */
    SELECTOR_FIRST = 0xE0100,
    SELECTOR_LAST = 0xE01EF,
};

/* The first row that ends behind cp; a page's last row may lie in the next page. */
static const struct view_fold_row *find_row(uint32_t cp)
{
    const uint16_t *page = &view_fold_pages[cp / VIEW_FOLD_PAGE];
    const struct view_fold_row *r = &view_fold_rows[page[0]], *end = &view_fold_rows[page[1]];

    while (r < end && r->first + r->n <= cp)
        r++;
    return r;
}

int view_fold_char(uint32_t cp, char out[VIEW_FOLD_MAX])
{
    const struct view_fold_row *r;
    int n = 0;

    if ((cp >= VIEW_TAG_FIRST && cp <= VIEW_TAG_LAST) ||
        (cp >= SELECTOR_FIRST && cp <= SELECTOR_LAST))
        return 0;
    if (cp / VIEW_FOLD_PAGE >= VIEW_FOLD_PAGES)
        return -1;
    r = find_row(cp);
    if (r == &view_fold_rows[view_fold_pages[VIEW_FOLD_PAGES]] || cp < r->first ||
        cp >= r->first + r->n)
        return -1;
    memcpy(out, r->text, VIEW_FOLD_MAX);
    while (n < VIEW_FOLD_MAX && r->text[n] != '\0')
        n++;
    if (r->step)
        out[0] = (char)(out[0] + (char)(cp - r->first));
    return n;
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* ---- which words are worth it ----------------------------------------------------------- */

/* What stands in one word. */
struct word {
    unsigned ascii, digits, upper,
        joints;       /* ASCII letters and digits; of these digits; capitals; @ _ = : */
    unsigned latin;   /* letters with marks */
    unsigned strange; /* of other scripts, or forms, that look like ASCII letters or digits */
    unsigned other;   /* that look like none */
    unsigned hidden;  /* invisible */
    unsigned signs;   /* that look like ASCII signs or blanks */
};

static bool is_mark(uint32_t cp)
{
    return (cp >= 0x300 && cp <= 0x36F) || (cp >= 0x1AB0 && cp <= 0x1AFF) ||
           (cp >= 0x1DC0 && cp <= 0x1DFF) || (cp >= 0x20D0 && cp <= 0x20FF);
}

/* What an ASCII character is, a bit each: a letter or digit, a digit, a capital, a joint; a blank. */
enum { LETTER = 1, DIGIT = LETTER | 2, UPPER = LETTER | 4, JOINT = 8, BLANK = 16, COUNTED = 15 };

/* clang-format off */
static const uint8_t kind_of[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, BLANK, BLANK, BLANK, BLANK, BLANK, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    BLANK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, JOINT, 0, 0, JOINT, 0, 0,
    JOINT, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER,
    UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, UPPER, 0, 0, 0, 0, JOINT,
    0, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER,
    LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, 0, 0, 0, 0, 0,
};
/* clang-format on */

/* The lowest bits of the kind, 16 bits apart: sums of a word's characters. */
static inline uint64_t counts_of(unsigned kind)
{
    return (kind & COUNTED) * UINT64_C(0x0000200040008001) & UINT64_C(0x0001000100010001);
}

static void add_counts(struct word *w, uint64_t counts)
{
    w->ascii += counts & UINT16_MAX;
    w->digits += counts >> 16 & UINT16_MAX;
    w->upper += counts >> 32 & UINT16_MAX;
    w->joints += (unsigned)(counts >> 48);
}

static void count_char(struct word *w, uint32_t cp)
{
    char text[VIEW_FOLD_MAX];
    int n = view_fold_char(cp, text);
    bool latin = cp < FIRST_OTHER_SCRIPT || (cp >= 0x1E00 && cp <= 0x1EFF);

    if (n < 0)
        w->other++;
    else if (n == 0 && !is_mark(cp))
        w->hidden++;
    else if (n > 0 && !is_alnum(text[0]))
        w->signs++;
    else if (n == 0 || latin)
        w->latin++;
    else
        w->strange++;
}

static bool is_worth(const struct word *w)
{
    enum { TOKEN = 20 };

    if (w->strange > 0 && w->strange + w->ascii >= 3 &&
        (w->other == 0 || w->strange + w->ascii >= 4 * w->other))
        return true;
    if (w->hidden > 0 && w->ascii + w->strange + w->latin >= 3)
        return true;
    if (w->latin > 0 &&
        (w->digits > 0 || w->joints > 0 || w->upper >= 3 || w->ascii + w->latin >= TOKEN))
        return true;
    return w->signs > 0 && w->digits >= 4 && w->ascii >= 8;
}

/* The word around the byte beyond ASCII at `at`; *end is behind it. Long words are looked at in pieces. */
static struct word read_word(struct gw_span text, size_t at, size_t *end)
{
    enum { BACK = 32, LONGEST = 256 };
    const unsigned char *t = (const unsigned char *)text.ptr;
    struct word w = {.ascii = 0};
    size_t from = at, to = at;
    uint64_t counts = 0;

    for (; from > 0 && at - from < BACK && t[from - 1] < 0x80; from--) {
        if (kind_of[t[from - 1]] == BLANK)
            break;
        counts += counts_of(kind_of[t[from - 1]]);
    }
    while (to < text.len && to - at < LONGEST) {
        uint32_t cp = 0;
        unsigned len;

        if (t[to] < 0x80) {
            if (kind_of[t[to]] == BLANK)
                break;
            counts += counts_of(kind_of[t[to++]]);
            continue;
        }
        len = gw_utf8_decode(text.ptr + to, text.len - to, &cp);
        if (len > 1)
            count_char(&w, cp);
        to += len == 0 ? 1 : len;
    }
    add_counts(&w, counts);
    *end = to;
    return w;
}

/* The first byte beyond ASCII in [at, to). */
static size_t find_high(struct gw_span text, size_t at, size_t to)
{
    uint64_t eight;

    for (; at + sizeof(eight) <= to; at += sizeof(eight)) {
        memcpy(&eight, text.ptr + at, sizeof(eight));
        if ((eight & UINT64_C(0x8080808080808080)) != 0)
            break;
    }
    while (at < to && (unsigned char)text.ptr[at] < 0x80)
        at++;
    return at;
}

size_t view_word_at(struct gw_span text, size_t at, bool *worth)
{
    size_t end = 0;
    struct word w = read_word(text, at, &end);

    *worth = is_worth(&w);
    return end;
}

static size_t next_high(struct gw_span text, const struct view_marks *marks, size_t at)
{
    return find_high(text, view_marks_from(marks, VIEW_MARK_FOLD, at, text.len), text.len);
}

static size_t next_fold(struct gw_span text, const struct view_marks *marks, size_t at,
                        size_t *resume)
{
    size_t listed = view_marks_from(marks, VIEW_MARK_FOLD, at, text.len);

    if (view_marks_has(marks, VIEW_MARK_FOLD, listed, text.len)) {
        *resume = listed + 1;
        return listed;
    }
    for (at = next_high(text, marks, at); at < text.len; at = next_high(text, marks, at)) {
        bool worth;
        size_t end = view_word_at(text, at, &worth);

        if (worth) {
            *resume = end;
            return at;
        }
        at = end;
    }
    *resume = text.len;
    return text.len;
}

static unsigned step_fold(struct gw_span text, size_t at, char out[VIEW_UNIT_MAX], unsigned *n)
{
    uint32_t cp = 0;
    unsigned len = gw_utf8_decode(text.ptr + at, text.len - at, &cp);
    int folded = len < 2 ? -1 : view_fold_char(cp, out);

    len = len == 0 ? 1 : len;
    if (folded < 0)
        memcpy(out, text.ptr + at, len);
    *n = folded < 0 ? len : (unsigned)folded;
    return len;
}

static size_t plain_fold(struct gw_span text, size_t at, size_t to)
{
    return find_high(text, at, to) - at;
}

const struct view_walk view_walk_fold = {DLP_VIEW_FOLDED, VIEW_BEFORE, VIEW_BEHIND, false,
                                         next_fold,       step_fold,   plain_fold};

/* ---- tags: text that nobody sees --------------------------------------------------------- */

static size_t next_tag(struct gw_span text, const struct view_marks *marks, size_t at,
                       size_t *resume)
{
    (void)marks;
    for (; at + 4 <= text.len; at++) {
        const char *p = memchr(text.ptr + at, 0xF3, text.len - at);
        uint32_t cp = 0;

        if (p == NULL)
            break;
        at = (size_t)(p - text.ptr);
        if (text.len - at >= 4 && p[1] == '\xA0' && gw_utf8_decode(p, text.len - at, &cp) == 4 &&
            cp >= VIEW_TAG_FIRST && cp <= VIEW_TAG_LAST) {
            *resume = at + 4;
            return at;
        }
    }
    *resume = text.len;
    return text.len;
}

/* Only the tags say something here. */
static unsigned step_tag(struct gw_span text, size_t at, char out[VIEW_UNIT_MAX], unsigned *n)
{
    uint32_t cp = 0;
    unsigned len = gw_utf8_decode(text.ptr + at, text.len - at, &cp);

    *n = 0;
    /* Signs below U+E0020 are none by the standard, but what hides text makes them of line ends. */
    if (len == 4 && ((cp >= VIEW_TAG_FIRST + ' ' && cp < VIEW_TAG_LAST) ||
                     cp == VIEW_TAG_FIRST + '\n' || cp == VIEW_TAG_FIRST + '\t')) {
        out[0] = (char)(cp - VIEW_TAG_FIRST);
        *n = 1;
    }
    return len == 0 ? 1 : len;
}

static size_t no_plain(struct gw_span text, size_t at, size_t to)
{
    (void)text;
    (void)at;
    (void)to;
    return 0;
}

const struct view_walk view_walk_tags = {DLP_VIEW_INVISIBLE, VIEW_BEFORE, VIEW_BEHIND, false,
                                         next_tag,           step_tag,    no_plain};
