/* engine/chat_lex.c - the lexer of chat templates.
 *
 * White space is handled as the reference environment of chat templates does: trim_blocks and
 * lstrip_blocks on. */
#include "engine/chat_lex.h"

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

void lex_init(struct lexer *l, struct gw_span text)
{
    if (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    *l = (struct lexer){text.ptr, text.ptr + text.len, 1, 0, 0, false, false, true};
}

static void advance(struct lexer *l, const char *to)
{
    for (; l->p < to; l->p++)
        l->line += (*l->p == '\n');
}

/* The next "{{", "{%" or "{#" from p on, or the end. */
static const char *find_tag(const struct lexer *l, const char *p)
{
    for (; p + 1 < l->end; p++)
        if (p[0] == '{' && (p[1] == '{' || p[1] == '%' || p[1] == '#'))
            return p;
    return l->end;
}

/* Where the text before the tag at `tag` ends once the tag's own wishes are met. */
static const char *trim_before(const struct lexer *l, const char *begin, const char *tag)
{
    const char *end = tag;
    char wish = '\0';

    if (tag + 2 < l->end)
        wish = tag[2];

    if (tag == l->end)
        return end;
    if (wish == '-') {
        while (end > begin && is_space(end[-1]))
            end--;
        return end;
    }
    if (tag[1] == '{' || wish == '+')
        return end;
    /* lstrip_blocks: only when nothing but blanks stands before the tag on its line. */
    while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (end == begin ? l->at_line_start : end[-1] == '\n')
        return end;
    return tag;
}

/* What the tag before asked for: skips white space or one line end at p. */
static void trim_after(struct lexer *l)
{
    if (l->strip_next) {
        const char *p = l->p;

        while (p < l->end && is_space(*p))
            p++;
        /* Jinja looks at the line the tag stands on, so this is no line start unless one was eaten. */
        for (const char *q = l->p; q < p; q++)
            l->at_line_start = l->at_line_start || *q == '\n';
        advance(l, p);
    } else if (l->drop_newline && l->p < l->end && *l->p == '\n') {
        advance(l, l->p + 1);
        l->at_line_start = true;
    }
    l->strip_next = l->drop_newline = false;
}

/* Skips "{# ... #}"; false when it does not end. */
static bool skip_comment(struct lexer *l)
{
    for (const char *p = l->p + 2; p + 1 < l->end; p++) {
        if (p[0] == '#' && p[1] == '}') {
            l->strip_next = p[-1] == '-' && p - 1 >= l->p + 2;
            l->drop_newline = p[-1] != '+' || p - 1 < l->p + 2;
            l->at_line_start = false;
            advance(l, p + 2);
            return true;
        }
    }
    return false;
}

static struct lex_token token(enum lex_type type, const char *p, size_t len, unsigned line)
{
    return (struct lex_token){type, {p, len}, line};
}

/* "{%" at p, a wish, and the word alone: where the "-%}" or "%}" behind it begins; else NULL. */
static const char *tag_of(const struct lexer *l, const char *p, const char *word)
{
    size_t n = strlen(word);

    p += 2;
    if (p < l->end && (*p == '-' || *p == '+'))
        p++;
    while (p < l->end && is_space(*p))
        p++;
    if ((size_t)(l->end - p) < n || memcmp(p, word, n) != 0)
        return NULL;
    p += n;
    while (p < l->end && is_space(*p))
        p++;
    if (l->end - p >= 3 && (*p == '-' || *p == '+') && p[1] == '%' && p[2] == '}')
        return p;
    return l->end - p >= 2 && p[0] == '%' && p[1] == '}' ? p : NULL;
}

/* Moves behind the tag that ends at `close`, and remembers what it asks for. */
static void leave_tag(struct lexer *l, const char *close, bool drop_newline)
{
    l->strip_next = *close == '-';
    l->drop_newline = drop_newline && *close != '+';
    l->at_line_start = false;
    advance(l, close + (*close == '%' ? 2 : 3));
}

/* The text between {% raw %}, which ends at `close`, and {% endraw %}. */
static struct lex_token raw_text(struct lexer *l, const char *close)
{
    struct lex_token t = token(LEX_ERROR, l->p, 2, l->line);

    leave_tag(l, close, false);
    trim_after(l);
    t.text.ptr = l->p;
    for (const char *p = l->p; l->end - p >= 2; p++) {
        if (p[0] != '{' || p[1] != '%' || (close = tag_of(l, p, "endraw")) == NULL)
            continue;
        t.type = LEX_TEXT;
        t.text.len = (size_t)(trim_before(l, l->p, p) - l->p);
        leave_tag(l, close, true);
        break;
    }
    return t;
}

static struct lex_token next_text(struct lexer *l)
{
    const char *close;

    trim_after(l);
    const char *begin = l->p, *tag = find_tag(l, begin);
    struct lex_token t = token(LEX_TEXT, begin, 0, l->line);

    t.text.len = (size_t)(trim_before(l, begin, tag) - begin);
    if (t.text.len > 0)
        return advance(l, tag), t;
    advance(l, tag);
    if (l->p == l->end)
        return token(LEX_END, l->p, 0, l->line);
    if (l->p[1] == '#')
        return skip_comment(l) ? t : token(LEX_ERROR, l->p, 2, l->line);
    if (l->p[1] == '%' && (close = tag_of(l, l->p, "raw")) != NULL)
        return raw_text(l, close);
    t = token(l->p[1] == '{' ? LEX_OUTPUT_OPEN : LEX_TAG_OPEN, l->p, 2, l->line);
    l->closing = l->p[1] == '{' ? '}' : '%';
    l->at_line_start = false;
    l->braces = 0;
    advance(l, l->p + 2);
    if (l->p < l->end && (*l->p == '-' || *l->p == '+'))
        l->p++;
    return t;
}

/* "-}}", "}}", "-%}", "%}" or "+%}" at p: its length, or 0. */
static size_t closing_length(const struct lexer *l)
{
    size_t wish = *l->p == '-' || (*l->p == '+' && l->closing == '%');
    const char *p = l->p + wish;

    return l->braces == 0 && l->end - p >= 2 && p[0] == l->closing && p[1] == '}' ? wish + 2 : 0;
}

static struct lex_token next_string(struct lexer *l)
{
    char quote = *l->p;
    unsigned line = l->line;

    for (const char *p = l->p + 1; p < l->end; p++) {
        if (*p == '\\' && p + 1 < l->end) {
            p++;
        } else if (*p == quote) {
            struct lex_token t = token(LEX_STRING, l->p + 1, (size_t)(p - l->p - 1), line);

            advance(l, p + 1);
            return t;
        }
    }
    return token(LEX_ERROR, l->p, 1, line);
}

/* Where the number at p ends: digits, and unless a dot stands before it a fraction and an exponent. */
static const char *number_end(const struct lexer *l)
{
    const char *p = l->p, *q;

    while (p < l->end && (is_digit(*p) || (*p == '_' && l->end - p >= 2 && is_digit(p[1]))))
        p++;
    if (l->p[-1] == '.') /* a[0].1: there is a tag's beginning before it */
        return p;
    if (l->end - p >= 2 && p[0] == '.' && is_digit(p[1]))
        for (p++; p < l->end && is_digit(*p);)
            p++;
    q = p;
    if (q < l->end && (*q == 'e' || *q == 'E')) {
        q++;
        if (q < l->end && (*q == '+' || *q == '-'))
            q++;
        if (q < l->end && is_digit(*q)) {
            while (q < l->end && is_digit(*q))
                q++;
            p = q;
        }
    }
    return p;
}

static struct lex_token next_word(struct lexer *l)
{
    const char *begin = l->p, *p = begin;
    enum lex_type type = LEX_SYMBOL;

    if (is_name(*p)) {
        while (p < l->end && (is_name(*p) || is_digit(*p)))
            p++;
        type = LEX_NAME;
    } else if (is_digit(*p)) {
        p = number_end(l);
        type = LEX_NUMBER;
    } else if (p + 1 < l->end && ((p[1] == '=' && is_one_of(p[0], "=!<>")) ||
                                  (p[0] == p[1] && (p[0] == '/' || p[0] == '*')))) {
        p += 2;
    } else if (is_one_of(*p, "+-*/%~=<>()[]{}.,:|")) {
        p++;
    } else {
        return token(LEX_ERROR, begin, 1, l->line);
    }
    l->braces += *begin == '{';
    l->braces -= *begin == '}' && l->braces > 0;
    l->p = p;
    return token(type, begin, (size_t)(p - begin), l->line);
}

struct lex_token lex_next(struct lexer *l)
{
    const char *p = l->p;

    if (l->closing == 0)
        return next_text(l);
    while (p < l->end && is_space(*p))
        p++;
    advance(l, p);
    if (l->p == l->end)
        return token(LEX_ERROR, l->p, 0, l->line);
    size_t n = closing_length(l);
    if (n > 0) {
        struct lex_token t = token(LEX_CLOSE, l->p, n, l->line);

        l->strip_next = *l->p == '-';
        l->drop_newline = l->closing == '%' && *l->p != '+';
        l->closing = 0;
        l->p += n;
        return t;
    }
    return *l->p == '\'' || *l->p == '"' ? next_string(l) : next_word(l);
}
