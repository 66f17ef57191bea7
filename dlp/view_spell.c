/* dlp/view_spell.c - do digits that are spelled as words stand in a row (view_spell.h). Pure; any thread. */
#include "dlp/view_spell.h"

#include "dlp/view.h"
#include "dlp/view_find.h"
#include "dlp/view_marks.h"

static bool is_letter(char c)
{
    return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80;
}

bool view_spells_row(struct gw_span text, size_t at)
{
    unsigned words = 0;

    /* The rest of a word that is not in the row. */
    while (at > 0 && at < text.len && is_letter(text.ptr[at - 1]) && is_letter(text.ptr[at]))
        at++;
    while (at < text.len && words < VIEW_SPELL_WORDS) {
        unsigned len = 0;

        if (is_letter(text.ptr[at])) {
            words = view_spelled(text, at, &len) < 0 ? 0 : words + 1;
            /* Words that cannot be any are not in the row. */
            if (words == 0 && (unsigned char)text.ptr[at] < 0x80 &&
                (at + 1 >= text.len || !view_may_spell(text.ptr[at], text.ptr[at + 1])))
                return false;
            while (at < text.len && is_letter(text.ptr[at]))
                at++;
        } else if (view_is_sign(text.ptr[at]) || (text.ptr[at] >= '0' && text.ptr[at] <= '9')) {
            at++;
        } else {
            return false;
        }
    }
    return words == VIEW_SPELL_WORDS;
}
