/* base/json.re - the strict JSON tokenizer of json.h.
 *
 * Two re2c scanners do the lexing: one for what stands between strings, one for what a string may hold
 * beside plain ASCII (which skip_plain() passes eight bytes at a time). gw_json_next() is the grammar: a
 * state and a stack of frames, so depth costs memory in proportion to max_depth and no recursion.
 *
 * The text is a span that may lie inside a larger buffer and has no terminator. So YYPEEK answers 0 at
 * the limit: no rule contains a NUL, hence no match can run past the limit, and each scanner is entered
 * with at least one byte left, since its default rule consumes one. */
#include "base/json.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_keys.h"
#include "base/json_pass.h"

enum { DEFAULT_DEPTH = 64, DEFAULT_KEYS = 10000, FEW_FRAMES = 16 };

enum state {
    WANT_VALUE,
    WANT_FIRST_VALUE, /* behind '[': a value or ']' */
    WANT_FIRST_KEY,   /* behind '{': a key or '}' */
    WANT_KEY,         /* behind ',' in an object */
    WANT_COLON,
    WANT_NEXT, /* behind a value in a container: ',' or the end */
    WANT_EOF,
    FAILED,
};

enum lexeme {
    LEX_EOF,
    LEX_BAD,
    LEX_SPACE,
    LEX_BEGIN_OBJECT,
    LEX_END_OBJECT,
    LEX_BEGIN_ARRAY,
    LEX_END_ARRAY,
    LEX_COLON,
    LEX_COMMA,
    LEX_QUOTE,
    LEX_NUMBER,
    LEX_TRUE,
    LEX_FALSE,
    LEX_NULL,
};

struct frame {
    uint32_t object; /* gw_json_keys_open(); 0: an array */
};

struct gw_json {
    const unsigned char *text, *cur, *lim;
    struct gw_json_limits limits;
    enum state state;

    struct frame *frames;
    unsigned depth, frames_cap;

    unsigned n_keys; /* keys of this text so far */

    enum gw_status code; /* of the failure */
    const char *what;
    size_t where;

    struct gw_json_keys keys;
    struct frame few[FEW_FRAMES];
};

/* ---- lexing ----------------------------------------------------------------------------- */

#define YYPEEK()    (cur < lim ? *cur : (unsigned char)0)
#define YYSKIP()    ((void)++cur)
#define YYBACKUP()  (mark = cur)
#define YYRESTORE() (cur = mark)

/* Takes one lexeme from *at, which is before lim. */
static enum lexeme lex(const unsigned char **at, const unsigned char *lim)
{
    const unsigned char *cur = *at, *mark = *at;
    enum lexeme kind;

    /*!re2c
        re2c:api = custom;
        re2c:define:YYCTYPE = "unsigned char";
        re2c:yyfill:enable = 0;

        digit  = [0-9];
        number = "-"? ("0" | [1-9] digit*) ("." digit+)? ([eE] [+-]? digit+)?;

        [ \t\r\n]+ { kind = LEX_SPACE; goto done; }
        "{"        { kind = LEX_BEGIN_OBJECT; goto done; }
        "}"        { kind = LEX_END_OBJECT; goto done; }
        "["        { kind = LEX_BEGIN_ARRAY; goto done; }
        "]"        { kind = LEX_END_ARRAY; goto done; }
        ":"        { kind = LEX_COLON; goto done; }
        ","        { kind = LEX_COMMA; goto done; }
        ["]        { kind = LEX_QUOTE; goto done; }
        number     { kind = LEX_NUMBER; goto done; }
        "true"     { kind = LEX_TRUE; goto done; }
        "false"    { kind = LEX_FALSE; goto done; }
        "null"     { kind = LEX_NULL; goto done; }
        *          { kind = LEX_BAD; goto done; }
    */
done:
    *at = cur;
    return kind;
}

enum unit {
    UNIT_END, /* the closing quote */
    UNIT_TEXT,
    UNIT_ESCAPE,
    UNIT_LONE, /* an escaped surrogate without its other half */
    UNIT_BAD,
};

/* Takes one unit of a string from *at, which is before lim: the closing quote, an escape (a surrogate
 * pair is one), or a run of characters outside ASCII. UTF-8 as RFC 3629 section 4 spells it out. */
static enum unit lex_unit(const unsigned char **at, const unsigned char *lim)
{
    const unsigned char *cur = *at, *mark = *at;
    enum unit kind;

    /*!re2c
        re2c:api = custom;
        re2c:define:YYCTYPE = "unsigned char";
        re2c:yyfill:enable = 0;

        hex   = [0-9a-fA-F];
        tail  = [\x80-\xBF];
        utf8  = [\xC2-\xDF] tail
              | "\xE0" [\xA0-\xBF] tail
              | [\xE1-\xEC\xEE\xEF] tail tail
              | "\xED" [\x80-\x9F] tail
              | "\xF0" [\x90-\xBF] tail tail
              | [\xF1-\xF3] tail tail tail
              | "\xF4" [\x80-\x8F] tail tail;
        plain = [\x20\x21\x23-\x5B\x5D-\x7F];
        scalar = "\\u" ([0-9a-cA-CeEfF] hex | [dD] [0-7]) hex hex;
        high   = "\\u" [dD] [89abAB] hex hex;
        low    = "\\u" [dD] [c-fC-F] hex hex;

        ["]                 { kind = UNIT_END; goto done; }
        utf8+               { kind = UNIT_TEXT; goto done; }
        plain               { kind = UNIT_TEXT; goto done; }
        "\\" ["\\/bfnrt]    { kind = UNIT_ESCAPE; goto done; }
        scalar              { kind = UNIT_ESCAPE; goto done; }
        high low            { kind = UNIT_ESCAPE; goto done; }
        high | low          { kind = UNIT_LONE; goto done; }
        *                   { kind = UNIT_BAD; goto done; }
    */
done:
    *at = cur;
    return kind;
}

/* ---- the tokenizer ---------------------------------------------------------------------- */

struct gw_json *gw_json_new(void)
{
    struct gw_json *j = malloc(sizeof(*j));

    if (j == NULL)
        return NULL;
    memset(j, 0, offsetof(struct gw_json, keys));
    j->frames = j->few;
    j->frames_cap = FEW_FRAMES;
    gw_json_keys_init(&j->keys);
    gw_json_start(j, (struct gw_span){NULL, 0}, NULL);
    return j;
}

void gw_json_free(struct gw_json *j)
{
    if (j == NULL)
        return;
    if (j->frames != j->few)
        free(j->frames);
    gw_json_keys_fini(&j->keys);
    free(j);
}

void gw_json_start(struct gw_json *j, struct gw_span text, const struct gw_json_limits *limits)
{
    static const unsigned char nothing[1];

    j->text = text.len == 0 ? nothing : (const unsigned char *)text.ptr;
    j->cur = j->text;
    j->lim = j->text + text.len;
    j->limits = limits == NULL ? (struct gw_json_limits){0} : *limits;
    if (j->limits.max_depth == 0)
        j->limits.max_depth = DEFAULT_DEPTH;
    if (j->limits.max_keys == 0)
        j->limits.max_keys = DEFAULT_KEYS;
    j->state = WANT_VALUE;
    j->depth = 0;
    j->n_keys = 0;
    gw_json_keys_start(&j->keys, (const char *)j->text, text.len);
    j->code = GW_OK;
    j->what = "";
    j->where = 0;
}

static enum gw_json_type fail_at(struct gw_json *j, const unsigned char *at, enum gw_status code,
                                 const char *what)
{
    j->state = FAILED;
    j->code = code;
    j->what = what;
    j->where = (size_t)(at - j->text);
    return GW_JSON_ERROR;
}

/* Why the unit at p is refused. */
static const char *bad_unit(const unsigned char *p, const unsigned char *lim)
{
    if (p == lim)
        return "the text ends inside a string";
    if (*p == '\\')
        return "not an escape sequence of JSON";
    if (*p < 0x20)
        return "a control character in a string must be escaped";
    return "not valid UTF-8";
}

/* Takes the rest of a string whose opening quote stands at `open`. */
static enum gw_json_type take_string(struct gw_json *j, const unsigned char *open,
                                     enum gw_json_type type, struct gw_json_tok *tok)
{
    const unsigned char *p = open + 1;
    bool escaped = false;

    for (;;) {
        const unsigned char *at = gw_json_pass(p, j->lim, &escaped);

        p = at;
        if (p == j->lim)
            return fail_at(j, p, GW_EPARSE, bad_unit(p, j->lim));
        if (*p == '"')
            break;
        switch (lex_unit(&p, j->lim)) {
        case UNIT_END:
        case UNIT_TEXT:
            break;
        case UNIT_ESCAPE:
            escaped = true;
            break;
        case UNIT_LONE:
            return fail_at(j, at, GW_EPARSE, "an escaped surrogate without its other half");
        case UNIT_BAD:
            return fail_at(j, at, GW_EPARSE, bad_unit(at, j->lim));
        }
    }
    tok->type = type;
    tok->raw = (struct gw_span){(const char *)open + 1, (size_t)(p - open) - 1};
    tok->end = (size_t)(p - j->text) + 1;
    tok->escaped = escaped;
    j->cur = p + 1;
    return type;
}

static enum gw_json_type take_key(struct gw_json *j, const unsigned char *open,
                                  struct gw_json_tok *tok)
{
    enum gw_status st;

    if (take_string(j, open, GW_JSON_KEY, tok) == GW_JSON_ERROR)
        return GW_JSON_ERROR;
    j->state = WANT_COLON;
    if (j->n_keys == j->limits.max_keys)
        return fail_at(j, open, GW_ELIMIT, "too many object keys in one text");
    j->n_keys++;
    if (j->limits.allow_duplicate_keys)
        return GW_JSON_KEY;
    st = gw_json_keys_add(&j->keys, j->frames[j->depth - 1].object, tok->raw, tok->escaped);
    if (st == GW_EEXIST)
        return fail_at(j, open, GW_EPARSE, "the object has this key already");
    if (st != GW_OK)
        return fail_at(j, open, st, "out of memory for the object keys");
    return GW_JSON_KEY;
}

static enum gw_json_type push(struct gw_json *j, enum lexeme lexeme, struct gw_json_tok *tok)
{
    bool object = lexeme == LEX_BEGIN_OBJECT;

    if (j->depth == j->limits.max_depth)
        return fail_at(j, j->cur - 1, GW_ELIMIT, "nested too deeply");
    if (j->depth == j->frames_cap) {
        const bool few = j->frames == j->few;
        unsigned cap = j->frames_cap * 2;
        struct frame *frames = realloc(few ? NULL : j->frames, cap * sizeof(*frames));

        if (frames == NULL)
            return fail_at(j, j->cur - 1, GW_ENOMEM, "out of memory for the nesting");
        if (few)
            memcpy(frames, j->few, sizeof(j->few));
        j->frames = frames;
        j->frames_cap = cap;
    }
    j->frames[j->depth++].object = object ? gw_json_keys_open(&j->keys) : 0;
    j->state = object ? WANT_FIRST_KEY : WANT_FIRST_VALUE;
    tok->depth = j->depth;
    return tok->type = object ? GW_JSON_OBJECT_BEGIN : GW_JSON_ARRAY_BEGIN;
}

static void after_value(struct gw_json *j)
{
    j->state = j->depth == 0 ? WANT_EOF : WANT_NEXT;
}

static enum gw_json_type pop(struct gw_json *j, enum gw_json_type type, struct gw_json_tok *tok)
{
    tok->depth = j->depth--;
    if (type == GW_JSON_OBJECT_END)
        gw_json_keys_close(&j->keys, j->frames[j->depth].object);
    after_value(j);
    return tok->type = type;
}

static enum gw_json_type take_value(struct gw_json *j, const unsigned char *start,
                                    enum lexeme lexeme, struct gw_json_tok *tok)
{
    switch (lexeme) {
    case LEX_BEGIN_OBJECT:
    case LEX_BEGIN_ARRAY:
        return push(j, lexeme, tok);
    case LEX_QUOTE:
        after_value(j);
        return take_string(j, start, GW_JSON_STRING, tok);
    case LEX_NUMBER:
        after_value(j);
        return tok->type = GW_JSON_NUMBER;
    case LEX_TRUE:
        after_value(j);
        return tok->type = GW_JSON_TRUE;
    case LEX_FALSE:
        after_value(j);
        return tok->type = GW_JSON_FALSE;
    case LEX_NULL:
        after_value(j);
        return tok->type = GW_JSON_NULL;
    case LEX_EOF:
        return fail_at(j, start, GW_EPARSE, "the text ends where a value must stand");
    case LEX_BAD:
    case LEX_SPACE:
    case LEX_END_OBJECT:
    case LEX_END_ARRAY:
    case LEX_COLON:
    case LEX_COMMA:
        break;
    }
    return fail_at(j, start, GW_EPARSE, "a value must stand here");
}

/* Takes one lexeme in j->state. Returns GW_JSON_END while there is no token yet (colon, comma). */
static enum gw_json_type step(struct gw_json *j, const unsigned char *start, enum lexeme lexeme,
                              struct gw_json_tok *tok)
{
    bool object = j->depth != 0 && j->frames[j->depth - 1].object != 0;

    switch (j->state) {
    case WANT_FIRST_VALUE:
        if (lexeme == LEX_END_ARRAY)
            return pop(j, GW_JSON_ARRAY_END, tok);
        return take_value(j, start, lexeme, tok);
    case WANT_VALUE:
        return take_value(j, start, lexeme, tok);
    case WANT_FIRST_KEY:
        if (lexeme == LEX_END_OBJECT)
            return pop(j, GW_JSON_OBJECT_END, tok);
        if (lexeme == LEX_QUOTE)
            return take_key(j, start, tok);
        return fail_at(j, start, GW_EPARSE, "a key in quotes or '}' must stand here");
    case WANT_KEY:
        if (lexeme == LEX_QUOTE)
            return take_key(j, start, tok);
        return fail_at(j, start, GW_EPARSE, "a key in quotes must stand here");
    case WANT_COLON:
        if (lexeme != LEX_COLON)
            return fail_at(j, start, GW_EPARSE, "':' must stand behind a key");
        j->state = WANT_VALUE;
        return GW_JSON_END;
    case WANT_NEXT:
        if (lexeme == LEX_COMMA) {
            j->state = object ? WANT_KEY : WANT_VALUE;
            return GW_JSON_END;
        }
        if (object && lexeme == LEX_END_OBJECT)
            return pop(j, GW_JSON_OBJECT_END, tok);
        if (!object && lexeme == LEX_END_ARRAY)
            return pop(j, GW_JSON_ARRAY_END, tok);
        return fail_at(j, start, GW_EPARSE,
                       object ? "',' or '}' must stand here" : "',' or ']' must stand here");
    case WANT_EOF:
        return fail_at(j, start, GW_EPARSE, "something follows the value");
    case FAILED:
        break;
    }
    return GW_JSON_ERROR;
}

enum gw_json_type gw_json_next(struct gw_json *j, struct gw_json_tok *tok)
{
    *tok = (struct gw_json_tok){.type = GW_JSON_ERROR};
    while (j->state != FAILED) {
        const unsigned char *start = j->cur;
        enum lexeme lexeme = start == j->lim ? LEX_EOF : lex(&j->cur, j->lim);
        enum gw_json_type type;

        if (lexeme == LEX_SPACE)
            continue;
        if (lexeme == LEX_EOF && j->state == WANT_EOF)
            return tok->type = GW_JSON_END;
        tok->start = (size_t)(start - j->text);
        tok->end = (size_t)(j->cur - j->text);
        tok->raw = (struct gw_span){(const char *)start, (size_t)(j->cur - start)};
        tok->depth = j->depth;
        type = step(j, start, lexeme, tok);
        if (type != GW_JSON_END)
            return tok->type = type;
    }
    return GW_JSON_ERROR;
}

enum gw_status gw_json_error(const struct gw_json *j, struct gw_err *err)
{
    size_t line = 1, column = 1;

    if (j->state != FAILED)
        return GW_OK;
    for (size_t i = 0; i < j->where; i++) {
        /* Columns count characters: continuation bytes do not. */
        column += (j->text[i] & 0xC0) != 0x80;
        if (j->text[i] == '\n') {
            line++;
            column = 1;
        }
    }
    if (j->code == GW_ELIMIT)
        return gw_fail(err, j->code, "JSON line %zu, column %zu: %s (limit: depth %u, keys %u)", line,
                       column, j->what, j->limits.max_depth, j->limits.max_keys);
    return gw_fail(err, j->code, "JSON line %zu, column %zu: %s", line, column, j->what);
}

bool gw_json_skip(struct gw_json *j, const struct gw_json_tok *tok)
{
    struct gw_json_tok t;

    if (tok->type != GW_JSON_OBJECT_BEGIN && tok->type != GW_JSON_ARRAY_BEGIN)
        return true;
    do {
        if (gw_json_next(j, &t) == GW_JSON_ERROR)
            return false;
    } while (j->depth >= tok->depth);
    return true;
}
