/* dlp/view_digits.c - the view of numbers for the rules of numbers: separators between digits left out, and digits that are
 * spelled as words (view.h). Pure; any thread.
 *
 * The rules know how each number is usually written, so only what is written otherwise is worth a view. A row of numbers is
 * one number here, so that tables match nothing. */
#include <string.h>

#include "dlp/view.h"
#include "dlp/view_find.h"

enum {
    LEAST =
        9, /* digits of the shortest number that somebody would take apart, and of the longest */
    MOST = 19,
    SEPARATORS = 3, /* characters between two digits */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80;
}

/* ---- words ------------------------------------------------------------------------------- */

struct word {
    const char *text;
    uint8_t len, digit;
};

/* English, German, French, Spanish, Italian, Portuguese, Dutch; by first letter. */
static const struct word words[] = {
    {"acht", 4, 8},
    {"cero", 4, 0},
    {"cinco", 5, 5},
    {"cinq", 4, 5},
    {"cinque", 6, 5},
    {"cuatro", 6, 4},
    {"deux", 4, 2},
    {"dois", 4, 2},
    {"dos", 3, 2},
    {"drei", 4, 3},
    {"drie", 4, 3},
    {"due", 3, 2},
    {"een", 3, 1},
    {"eight", 5, 8},
    {"ein", 3, 1},
    {"eins", 4, 1},
    {"five", 4, 5},
    {"four", 4, 4},
    {"fuenf", 5, 5},
    {"f\xC3\xBCnf", 5, 5},
    {"huit", 4, 8},
    {"negen", 5, 9},
    {"neuf", 4, 9},
    {"neun", 4, 9},
    {"nine", 4, 9},
    {"nove", 4, 9},
    {"nueve", 5, 9},
    {"nul", 3, 0},
    {"null", 4, 0},
    {"ocho", 4, 8},
    {"oito", 4, 8},
    {"one", 3, 1},
    {"otto", 4, 8},
    {"quatre", 6, 4},
    {"quattro", 7, 4},
    {"quatro", 6, 4},
    {"sechs", 5, 6},
    {"sei", 3, 6},
    {"seis", 4, 6},
    {"sept", 4, 7},
    {"sete", 4, 7},
    {"sette", 5, 7},
    {"seven", 5, 7},
    {"sieben", 6, 7},
    {"siete", 5, 7},
    {"six", 3, 6},
    {"three", 5, 3},
    {"tre", 3, 3},
    {"tres", 4, 3},
    {"trois", 5, 3},
    {"tr\xC3\xAAs", 5, 3},
    {"twee", 4, 2},
    {"two", 3, 2},
    {"um", 2, 1},
    {"un", 2, 1},
    {"uno", 3, 1},
    {"vier", 4, 4},
    {"vijf", 4, 5},
    {"zero", 4, 0},
    {"zes", 3, 6},
    {"zeven", 5, 7},
    {"zwei", 4, 2},
    {"zwo", 3, 2},
    {"z\xC3\xA9ro", 5, 0},
    {"\xC3\xA9\xC3\xA9n", 5, 1},
};

const char *view_spelled_word(unsigned i)
{
    return i < sizeof(words) / sizeof(words[0]) ? words[i].text : NULL;
}

int view_spelled(struct gw_span text, size_t at, unsigned *len)
{
    enum { LONGEST = 7 };
    /* The first of the words of each letter; the last entry is for letters beyond ASCII. */
    static const uint8_t first[] = {0,  1,  1,  6,  12, 16, 20, 20, 21, 21, 21, 21, 21, 21,
                                    29, 33, 33, 36, 36, 46, 53, 56, 58, 58, 58, 58, 64, 65};
    char c = gw_ascii_lower(text.ptr[at]);
    size_t n = 0;
    unsigned letter;

    if (((c < 'a' || c > 'z') && text.ptr[at] != '\xC3') || at + 1 >= text.len ||
        (text.ptr[at] != '\xC3' && !view_may_be_spelled(text.ptr + at, text.len - at)))
        return -1;
    letter = text.ptr[at] == '\xC3' ? 26 : (unsigned)(c - 'a');
    if (first[letter] == first[letter + 1])
        return -1;
    while (n <= LONGEST && at + n < text.len && is_letter(text.ptr[at + n]))
        n++;
    if (n < 2 || n > LONGEST)
        return -1;
    for (unsigned i = first[letter]; i < first[letter + 1]; i++)
        if (n == words[i].len && gw_span_eq_nocase((struct gw_span){text.ptr + at, n},
                                                   (struct gw_span){words[i].text, n})) {
            *len = (unsigned)n;
            return words[i].digit;
        }
    return -1;
}

/* A digit or a word for one at `at`: its value and bytes; -1. */
static int digit_at(struct gw_span text, size_t at, unsigned *len)
{
    if (at >= text.len)
        return -1;
    *len = 1;
    if (is_digit(text.ptr[at]))
        return text.ptr[at] - '0';
    if (!is_letter(text.ptr[at]) || (at > 0 && is_letter(text.ptr[at - 1])))
        return -1;
    return view_spelled(text, at, len);
}

/* ---- separators -------------------------------------------------------------------------- */

/* Bytes of a separator at `at`: a blank, a sign, a blank that breaks no line, or one without width; 0. */
static unsigned separator_at(struct gw_span text, size_t at)
{
    const char *p = text.ptr + at;
    size_t left = text.len - at;

    if (left == 0)
        return 0;
    if (*p == ' ' || *p == '.' || *p == '-' || *p == '/' || *p == '_' || *p == ',')
        return 1;
    if (left >= 2 && p[0] == '\xC2' && (p[1] == '\xA0' || p[1] == '\xAD'))
        return 2;
    if (left >= 3 && p[0] == '\xE2' &&
        ((p[1] == '\x80' && ((unsigned char)p[2] <= 0x95 || p[2] == '\xAF')) ||
         (p[1] == '\x81' && p[2] == '\xA0')))
        return 3;
    return left >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

/* Up to SEPARATORS of them: their bytes; 0: none, or more. */
static unsigned separators_at(struct gw_span text, size_t at)
{
    unsigned n = 0, len;

    for (unsigned i = 0; i <= SEPARATORS; i++) {
        len = separator_at(text, at + n);
        if (len == 0)
            return n;
        n += len;
    }
    return 0;
}

/* Does a digit, or a word for one, end in front of `at`? */
static bool digit_before(struct gw_span text, size_t at)
{
    enum { LONGEST = 8 };
    size_t from = at;
    unsigned len = 0;

    if (at == 0)
        return false;
    if (is_digit(text.ptr[at - 1]))
        return true;
    while (from > 0 && at - from < LONGEST && is_letter(text.ptr[from - 1]))
        from--;
    return from < at && view_spelled(text, from, &len) >= 0 && from + len == at;
}

/* ---- what is worth it -------------------------------------------------------------------- */

/* Digits and words for them in a row, with separators between. */
struct row {
    size_t end;
    unsigned digits, words, groups;
    unsigned sizes[5]; /* of the first groups */
    unsigned
        signs; /* kinds of separator between groups, a bit each: dot, dash, slash, blank, others */
};

/* Of characters from the blank to the slash: the kind. */
static const uint8_t sign_kinds[16] = {[0] = 8, 32, 32, 32, 32, 32, 32, 32,
                                       32,      32, 32, 32, 16, 2,  1,  4};

static unsigned sign_of(char c)
{
    const unsigned place = (unsigned char)(c - ' ');

    return place < sizeof(sign_kinds) ? sign_kinds[place] : 32;
}

/* Signs between two digits at `at`, when a digit stands behind them; 0: none. *over: nothing of a row stands behind them. */
static unsigned signs_at(struct gw_span text, size_t at, bool *over)
{
    unsigned n = 0;

    while (at + n < text.len && n < SEPARATORS && view_is_sign(text.ptr[at + n]))
        n++;
    *over = at + n == text.len || (!is_letter(text.ptr[at + n]) && !is_digit(text.ptr[at + n])) ||
            (n == 0 && (unsigned char)text.ptr[at] < 0x80);
    return !*over && is_digit(text.ptr[at + n]) ? n : 0;
}

static struct row read_row(struct gw_span text, size_t at)
{
    struct row r = {.end = at};
    /* What most of the time goes to is not read back from memory. */
    unsigned len = 0, digits = 0, groups = 0, signs = 0;
    size_t end = at;

    for (;;) {
        size_t from = end;
        unsigned between, next = 0, n;
        bool over;

        while (end < text.len && is_digit(text.ptr[end]))
            end++;
        n = (unsigned)(end - from);
        if (n == 0 && digit_at(text, end, &len) >= 0) {
            end += len;
            r.words++;
            n = 1;
        }
        if (groups < sizeof(r.sizes) / sizeof(r.sizes[0]))
            r.sizes[groups] = n;
        groups++;
        digits += n;
        /* Mostly one sign and a digit, */
        if (text.len - end >= 2 && view_is_sign(text.ptr[end]) && is_digit(text.ptr[end + 1])) {
            between = 1;
        } else { /* or anything that signs_at() and separators_at() know. */
            between = signs_at(text, end, &over);
            if (!over && between == 0)
                between = separators_at(text, end);
            if (over || between == 0 || digit_at(text, end + between, &next) < 0)
                break;
        }
        signs |= sign_of(text.ptr[end]);
        end += between;
    }
    r.end = end;
    r.digits = digits;
    r.groups = groups;
    r.signs = signs;
    return r;
}

/* A decimal, a number with thousands, a card, a date, a version, an address: what numbers with separators mostly are. */
static bool is_ordinary(const struct row *r)
{
    enum { DOT = 1, COMMA = 16, BLANK = 8 };
    bool thousands = true, fours = r->signs == BLANK;

    for (unsigned i = 1; i < r->groups && i < 5; i++) {
        thousands = thousands && r->sizes[i] == 3;
        fours = fours && r->sizes[i - 1] == 4;
    }
    if (r->groups == 2 || fours || (thousands && r->groups <= 5 && r->sizes[0] <= 3))
        return true;
    if ((r->sizes[0] == 4 && r->sizes[1] <= 2 && r->sizes[2] <= 2) ||
        (r->sizes[0] <= 2 && r->sizes[1] <= 2 && (r->sizes[2] == 4 || r->sizes[2] == 2)))
        return r->groups <= 6;
    return (r->signs & DOT) != 0 && (r->signs & ~(unsigned)(DOT | BLANK | COMMA)) == 0 &&
           r->groups <= 5 && r->digits <= 12;
}

size_t view_row_at(struct gw_span text, size_t at, bool *worth)
{
    struct row r = read_row(text, at);

    *worth = r.digits >= LEAST && r.digits <= MOST && r.groups > 1 && !is_ordinary(&r) &&
             (at == 0 || !is_letter(text.ptr[at - 1])) &&
             (r.end == text.len || !is_letter(text.ptr[r.end]));
    return r.end;
}

unsigned view_row_words(struct gw_span text, size_t at, size_t *end)
{
    struct row r = read_row(text, at);

    *end = r.end;
    return r.words;
}

size_t view_row_start(struct gw_span text, size_t at)
{
    for (;;) {
        size_t from = at;

        while (at > 0 && is_digit(text.ptr[at - 1]))
            at--;
        from = at;
        while (from > 0 && at - from < SEPARATORS && view_is_sign(text.ptr[from - 1]))
            from--;
        if (from == at || from == 0 || !is_digit(text.ptr[from - 1]))
            return at;
        at = from - 1;
    }
}

size_t view_digit_before(struct gw_span text, size_t at)
{
    size_t end = at;

    while (end > 0 && at - end < SEPARATORS && view_is_sign(text.ptr[end - 1]))
        end--;
    return end > 0 && is_digit(text.ptr[end - 1]) ? end : 0;
}

bool view_row_goes_on(struct gw_span text, size_t at)
{
    unsigned between, len = 0;

    if ((unsigned char)text.ptr[at] < 0x80 && view_goes_on(text, at) != VIEW_GOES_ODD)
        return false;
    between = separators_at(text, at);
    return between > 0 && digit_at(text, at + between, &len) >= 0;
}

static size_t find_row(struct gw_span text, const struct view_marks *marks, size_t at)
{
    return view_find_row(text, view_marks_from(marks, VIEW_MARK_ROW, at, text.len));
}

static size_t next_row(struct gw_span text, const struct view_marks *marks, size_t at,
                       size_t *resume)
{
    size_t listed = view_marks_from(marks, VIEW_MARK_ROW, at, text.len);

    if (view_marks_has(marks, VIEW_MARK_ROW, listed, text.len)) {
        *resume = listed + 1;
        return listed;
    }
    for (at = find_row(text, marks, at); at < text.len; at = find_row(text, marks, at)) {
        bool worth;
        size_t end = view_row_at(text, at, &worth);

        if (worth) {
            *resume = end;
            return at;
        }
        at = end;
    }
    *resume = text.len;
    return text.len;
}

static size_t next_spelled(struct gw_span text, const struct view_marks *marks, size_t at,
                           size_t *resume)
{
    unsigned len = 0;

    (void)marks; /* a row may begin anywhere in front of what is listed */
    for (; at < text.len; at++) {
        struct row r;

        if (digit_at(text, at, &len) < 0 || is_digit(text.ptr[at])) {
            while (at + 1 < text.len && is_letter(text.ptr[at]) && is_letter(text.ptr[at + 1]))
                at++;
            continue;
        }
        r = read_row(text, at);
        if (r.words >= VIEW_SPELL_WORDS) {
            *resume = r.end;
            return at;
        }
        at = r.end - 1;
    }
    *resume = text.len;
    return text.len;
}

/* ---- the walk ---------------------------------------------------------------------------- */

static unsigned step_digits(struct gw_span text, size_t at, char out[VIEW_UNIT_MAX], unsigned *n)
{
    unsigned len = 0, between = separators_at(text, at), next = 0;
    int digit = digit_at(text, at, &len);

    *n = 0;
    if (digit >= 0) {
        out[0] = (char)('0' + digit);
        *n = 1;
        return len;
    }
    if (between > 0 && digit_before(text, at) && digit_at(text, at + between, &next) >= 0)
        return between;
    out[0] = text.ptr[at];
    *n = 1;
    return 1;
}

/* Is it surely no word for a digit, and no separator that says nothing? */
static bool is_plain(struct gw_span text, size_t at)
{
    char c = text.ptr[at];
    bool behind = at > 0 && (is_letter(text.ptr[at - 1]) || is_digit(text.ptr[at - 1]));

    if ((unsigned char)c >= 0x80)
        return false;
    if (is_letter(c))
        return (at > 0 && is_letter(text.ptr[at - 1])) ||
               !view_may_be_spelled(text.ptr + at, text.len - at);
    return !behind || !view_is_sign(c) || view_goes_on(text, at) == VIEW_GOES_NOT;
}

static size_t plain_digits(struct gw_span text, size_t at, size_t to)
{
    size_t end = at;

#if defined(__x86_64__)
    if (view_has_avx512()) {
        for (; end < to; end++) {
            end = view_find_unplain_avx512(text, end, to);
            if (end == to || !is_plain(text, end))
                break;
        }
        return end - at;
    }
#endif
    while (end < to && is_plain(text, end)) {
        bool begins = is_letter(text.ptr[end]) && (end == 0 || !is_letter(text.ptr[end - 1]));

        end++;
        if (!begins)
            continue;
        /* A word that is no digit, and a sign behind it. */
        while (end < to && (unsigned char)text.ptr[end] < 0x80 && is_letter(text.ptr[end]))
            end++;
        if (end < to && view_is_sign(text.ptr[end]))
            end++;
    }
    return end - at;
}

/* A number is no longer than its row; what is around it is only asked for context words. */
enum { AROUND = 128 };
const struct view_walk view_walk_digits = {DLP_VIEW_DIGITS, AROUND,      AROUND,      true,
                                           next_row,        step_digits, plain_digits};
const struct view_walk view_walk_spelled = {DLP_VIEW_DIGITS, AROUND,      AROUND,      true,
                                            next_spelled,    step_digits, plain_digits};
