/* dlp/scan_boundary.c - what may stand beside a match. Thread: any. */
#include "dlp/scan.h"

/* [A-Za-z0-9_] */
static bool is_word(unsigned char c)
{
    static const struct bundle_set word = {{0, 0x03ff0000, 0x87fffffe, 0x07fffffe, 0, 0, 0, 0}};

    return rx_set_has(&word, c);
}

bool scan_boundary_before(uint32_t kind, struct gw_span text, size_t at)
{
    unsigned char c = 0;

    if (kind == RULEC_BOUNDARY_NONE || at == 0)
        return true;
    c = (unsigned char)text.ptr[at - 1];
    if (kind == RULEC_BOUNDARY_LINE)
        return c == '\n';
    if (is_word(c))
        return false;
    return kind == RULEC_BOUNDARY_WORD || (c != '-' && c != '/' && c != '+' && c != '.');
}

unsigned scan_boundaries_before(struct gw_span text, size_t at)
{
    enum {
        NONE = 1 << RULEC_BOUNDARY_NONE,
        WORD = 1 << RULEC_BOUNDARY_WORD,
        TOKEN = 1 << RULEC_BOUNDARY_TOKEN,
        LINE = 1 << RULEC_BOUNDARY_LINE,
    };
    unsigned char c = 0;
    bool word, sign;

    if (at == 0)
        return NONE | WORD | TOKEN | LINE;
    /* No branch: it is asked once for each start, and what stands there is hard to guess. */
    c = (unsigned char)text.ptr[at - 1];
    word = is_word(c);
    sign = (c == '-') | (c == '/') | (c == '+') | (c == '.');
    return NONE | (word ? 0u : WORD) | (word | sign ? 0u : TOKEN) | (c == '\n' ? LINE : 0u);
}

bool scan_boundary_after(uint32_t kind, struct gw_span text, size_t at)
{
    unsigned char c = 0;

    if (kind == RULEC_BOUNDARY_NONE || at == text.len)
        return true;
    c = (unsigned char)text.ptr[at];
    if (kind == RULEC_BOUNDARY_LINE)
        return c == '\n' || (c == '\r' && at + 1 < text.len && text.ptr[at + 1] == '\n');
    if (is_word(c))
        return false;
    if (kind == RULEC_BOUNDARY_WORD)
        return true;
    if (c == '.')
        return at + 1 == text.len || !is_word((unsigned char)text.ptr[at + 1]);
    return c != '-' && c != '/' && c != '+' && c != '=';
}
