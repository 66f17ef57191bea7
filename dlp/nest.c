/* dlp/nest.c - see nest.h: a small automaton for each level, which hands what a string says to the next one. */
#include "dlp/nest.h"

#include <string.h>

enum state {
    START,
    KEY_OR_END,
    KEY,
    COLON,
    VALUE,
    VALUE_OR_END,
    LITERAL,
    AFTER, /* a value */
    STRING,
    ESCAPE,  /* behind a backslash */
    UNICODE, /* behind \u */
    DONE,
    PROSE,
};

void nest_start(struct nest *n)
{
    memset(n, 0, sizeof(*n)); /* START */
}

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_literal(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

static enum state open(struct nest_level *l, bool array)
{
    uint64_t bit;

    if (l->depth == NEST_MAX_DEPTH)
        return PROSE;
    bit = (uint64_t)1 << l->depth++;
    l->arrays = array ? l->arrays | bit : l->arrays & ~bit;
    return array ? VALUE_OR_END : KEY_OR_END;
}

static bool in_array(const struct nest_level *l)
{
    return l->depth != 0 && (l->arrays >> (l->depth - 1) & 1) != 0;
}

static enum state close(struct nest_level *l, unsigned char c)
{
    if (l->depth == 0 || (c == ']') != in_array(l))
        return PROSE;
    return --l->depth == 0 ? DONE : AFTER;
}

static enum state begin_value(struct nest_level *l, unsigned char c)
{
    if (c == '{' || c == '[')
        return open(l, c == '[');
    l->key = false;
    if (c == '"')
        return STRING;
    return is_literal(c) ? LITERAL : PROSE;
}

static enum state after_value(struct nest_level *l, unsigned char c)
{
    if (c == ',')
        return in_array(l) ? VALUE : KEY;
    return c == ']' || c == '}' ? close(l, c) : PROSE;
}

/* Outside of strings. */
static enum state step(struct nest_level *l, unsigned char c)
{
    if (l->state == LITERAL && is_literal(c))
        return LITERAL;
    if (is_blank(c))
        return l->state == LITERAL ? AFTER : (enum state)l->state;
    switch ((enum state)l->state) {
    case START:
        return c == '{' || c == '[' ? open(l, c == '[') : PROSE;
    case KEY_OR_END:
        if (c == '}')
            return close(l, c);
        l->key = true;
        return c == '"' ? STRING : PROSE;
    case KEY:
        l->key = true;
        return c == '"' ? STRING : PROSE;
    case COLON:
        return c == ':' ? VALUE : PROSE;
    case VALUE_OR_END:
        return c == ']' ? close(l, c) : begin_value(l, c);
    case VALUE:
        return begin_value(l, c);
    case LITERAL:
    case AFTER:
        return after_value(l, c);
    case STRING:
    case ESCAPE:
    case UNICODE:
    case DONE:
    case PROSE:
    default:
        return PROSE;
    }
}

/* What \c means; 0: no escape. */
static unsigned char meaning(unsigned char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case '"':
    case '\\':
    case '/':
        return c;
    default:
        return 0;
    }
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One of the digits of \uXXXX; true: *out is the character, or any that JSON knows in strings only. */
static bool step_unicode(struct nest_level *l, unsigned char c, unsigned char *out)
{
    int digit = hex_digit(c);

    if (digit < 0) {
        l->state = PROSE;
        return false;
    }
    l->code = (uint16_t)(l->code * 16 + digit);
    if (--l->escape != 0)
        return false;
    l->state = STRING;
    *out = l->code < 0x80 ? (unsigned char)l->code : 0x80;
    return true;
}

/* Inside a string. True: *out is what it says. */
static bool step_string(struct nest_level *l, unsigned char c, unsigned char *out)
{
    *out = c;
    if (l->state == UNICODE)
        return step_unicode(l, c, out);
    if (l->state == ESCAPE && c == 'u') {
        l->state = UNICODE;
        l->escape = 4;
        l->code = 0;
        return false;
    }
    if (l->state == ESCAPE) {
        *out = meaning(c);
        l->state = *out == 0 ? PROSE : STRING;
        return *out != 0;
    }
    if (c == '\\')
        l->state = ESCAPE;
    else if (c == '"')
        l->state = l->key ? COLON : AFTER;
    else if (c < 0x20)
        l->state = PROSE;
    else
        return true;
    return false;
}

static bool in_string(const struct nest_level *l)
{
    return l->state == STRING || l->state == ESCAPE || l->state == UNICODE;
}

static void feed_byte(struct nest *n, unsigned char c)
{
    for (unsigned i = 0; i < NEST_LEVELS && n->levels[i].state != PROSE; i++) {
        struct nest_level *l = &n->levels[i];
        unsigned char said;

        if (!in_string(l)) {
            l->state = (uint8_t)step(l, c);
            if (in_string(l) && i + 1 < NEST_LEVELS)
                n->levels[i + 1] = (struct nest_level){.state = START};
            return;
        }
        if (!step_string(l, c, &said))
            return;
        c = said;
    }
}

void nest_feed(struct nest *n, struct gw_span text)
{
    for (size_t i = 0; i < text.len && n->levels[0].state != PROSE; i++)
        feed_byte(n, (unsigned char)text.ptr[i]);
}

unsigned nest_depth(const struct nest *n)
{
    unsigned depth = 0;

    while (depth < NEST_LEVELS && in_string(&n->levels[depth]))
        depth++;
    return depth;
}
