/* dlp/view_spell.c - do digits that are spelled as words stand in a row (view_spell.h). Pure; any thread. */
#include "dlp/view_spell.h"

#include "dlp/view.h"
#include "dlp/view_find.h"
#include "dlp/view_marks.h"

static bool is_alpha(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_letter(char c)
{
    return is_alpha(c) || (unsigned char)c >= 0x80;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Behind the letters at `at`. */
static size_t word_end(struct gw_span text, size_t at)
{
    while (at < text.len && is_letter(text.ptr[at]))
        at++;
    return at;
}

bool view_spells_row(struct gw_span text, size_t from, size_t to, size_t *done)
{
    unsigned len = 0;
    size_t at = from;

    if (at > 0 && is_letter(text.ptr[at - 1]))
        at = word_end(text, at);
    while (at < to && at < text.len) {
        size_t end = at + 1;

        if (is_digit(text.ptr[at]) ||
            (is_letter(text.ptr[at]) && view_spelled(text, at, &len) >= 0)) {
            if (view_row_words(text, at, &end) >= VIEW_SPELL_WORDS)
                return true;
        } else if (is_letter(text.ptr[at])) {
            end = word_end(text, at);
        }
        at = end;
    }
    *done = at;
    return false;
}

size_t view_spell_begin(struct gw_span text, size_t at, size_t least)
{
    enum { LONGEST = 8 }; /* letters of a word, and more */

    while (at > least) {
        const char c = text.ptr[at - 1];
        unsigned len = 0;
        size_t from = at;

        if (!is_letter(c) && !is_digit(c) && !view_is_sign(c))
            break;
        while (from > least && at - from < LONGEST && is_alpha(text.ptr[from - 1]))
            from--;
        /* Letters beyond ASCII are passed one by one, and those behind them. */
        if (from < at &&
            (from == 0 || !is_letter(text.ptr[from - 1]) || is_alpha(text.ptr[from - 1])) &&
            view_spelled(text, from, &len) < 0)
            break;
        at = from < at ? from : at - 1;
    }
    return at;
}
