/* engine/chat_lex.h - cuts a template into text and tags, and tags into words. Private to engine/chat*.
 * One thread at a time. */
#ifndef ENGINE_CHAT_LEX_H
#define ENGINE_CHAT_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

enum lex_type {
    LEX_TEXT,        /* outside of tags, white space already trimmed; may be empty */
    LEX_OUTPUT_OPEN, /* {{ */
    LEX_TAG_OPEN,    /* {% */
    LEX_CLOSE,       /* }} or %} */
    LEX_NAME,
    LEX_STRING, /* the inside of the quotes, escapes as written */
    LEX_NUMBER, /* decimal digits */
    LEX_SYMBOL, /* operator or punctuation, one or two characters */
    LEX_END,
    LEX_ERROR,
};

struct lex_token {
    enum lex_type type;
    struct gw_span text; /* borrowed from the template */
    unsigned line;       /* from 1 */
};

struct lexer {
    const char *p, *end;
    unsigned line;
    char closing;       /* inside a tag: '}' or '%'; else 0 */
    unsigned braces;    /* open { inside the tag: }} closes them before it closes the tag */
    bool strip_next;    /* the last tag ended with '-' */
    bool drop_newline;  /* the last tag was a block or comment: trim_blocks */
    bool at_line_start; /* the text before p on this line is white space only, and was not output */
};

/* Starts on text, whose line ends are \n; a trailing one is dropped, as Jinja does. */
void lex_init(struct lexer *l, struct gw_span text);
struct lex_token lex_next(struct lexer *l);

#endif
