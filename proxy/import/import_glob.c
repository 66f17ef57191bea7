/* proxy/import/import_glob.c - simple foreign patterns as globs, which is what our lists of rejected values hold;
 * and POSIX classes. Pure. */
#include <string.h>

#include "proxy/import/import_tree.h"

static bool is_plain_escape(char c)
{
    return c != '\0' && c != '*' && c != '?' && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
           !(c >= '0' && c <= '9');
}

/* The characters of text, without its ends, as a glob; *wild: it has * or ?. */
static bool put_body(struct gw_span text, struct gw_buf *glob, bool *wild)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i], next = (char)(i + 1 < text.len ? text.ptr[i + 1] : '\0');

        if (c == '.') {
            bool run = next == '*' || next == '+';

            *wild = true;
            i += run;
            gw_buf_addc(glob, run ? '*' : '?');
        } else if (c == '\\' && is_plain_escape(next)) {
            gw_buf_addc(glob, next);
            i++;
        } else if (c < ' ' || strchr("\\[](){}|*+?^$", c) != NULL) {
            return false;
        } else {
            gw_buf_addc(glob, c);
        }
    }
    return glob->len >= 2 && glob->len <= 190 && gw_buf_ok(glob);
}

bool import_regex_glob(struct gw_span text, struct gw_buf *glob)
{
    bool begins, ends, wild = false;

    if (gw_span_starts(text, GW_SPAN("(?i)")))
        text = gw_span_from(text, 4);
    begins = gw_span_starts(text, GW_SPAN("^"));
    text = gw_span_from(text, begins ? 1 : 0);
    ends = text.len > 1 && gw_span_ends(text, GW_SPAN("$")) && text.ptr[text.len - 2] != '\\';
    text.len -= ends;
    gw_buf_clear(glob);
    if (begins != ends && text.len > 0) {
        wild = true; /* the other end is open */
        if (!begins)
            gw_buf_addc(glob, '*');
    }
    if (!put_body(text, glob, &wild))
        return false;
    if (begins && !ends)
        gw_buf_addc(glob, '*');
    if (!begins && !ends && wild) {
        struct gw_span body = gw_buf_span(glob);
        struct gw_buf open = {NULL, 0, 0, false};

        gw_buf_addc(&open, '*');
        gw_buf_add(&open, body);
        gw_buf_addc(&open, '*');
        gw_buf_clear(glob);
        gw_buf_add(glob, gw_buf_span(&open));
        gw_buf_fini(&open);
    }
    /* A value that is exactly this: as a word in the value it would drop more. */
    return gw_buf_ok(glob) && (wild || !(begins && ends));
}

size_t import_posix_class(struct gw_span rest, struct gw_buf *out)
{
    static const struct {
        const char *name, *set;
    } known[] = {
        {"[:alnum:]", "A-Za-z0-9"},  {"[:alpha:]", "A-Za-z"}, {"[:digit:]", "0-9"},
        {"[:xdigit:]", "A-Fa-f0-9"}, {"[:lower:]", "a-z"},    {"[:upper:]", "A-Z"},
        {"[:space:]", "\\s"},        {"[:word:]", "\\w"},     {"[:blank:]", " \\x09"},
        {"[:print:]", " -~"},        {"[:graph:]", "!-~"},    {"[:punct:]", "!-/:-@\\[-`{-~"}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (gw_span_starts(rest, gw_span_str(known[i].name))) {
            gw_buf_adds(out, known[i].set);
            return strlen(known[i].name);
        }
    }
    return 0;
}
