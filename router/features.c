/* router/features.c - what a prompt looks like, measured in one pass, and the score made of it.
 *
 * Cheap and printable on purpose: anyone can recompute a score by hand from the reason. Text is hostile:
 * every counter saturates, nothing recurses, and at most MAX_LOOK bytes of a message are looked at (a
 * longer one is complex by its length alone). Thread: any. */
#include <string.h>

#include "router/router.h"

enum { MAX_LOOK = 32 << 10, MIN_WORD = 3, MAX_WORD = 16 };

static void count16(uint16_t *n)
{
    if (*n < UINT16_MAX)
        (*n)++;
}

static uint32_t add32(uint32_t a, size_t b)
{
    return b > UINT32_MAX - a ? UINT32_MAX : a + (uint32_t)b;
}

/* ---- words ---------------------------------------------------------------------------------- */

enum word_kind { WORD_REASON, WORD_STEP, WORD_MATH };

#define W(text, what)                                                                              \
    {                                                                                              \
        (text), sizeof(text) - 1, (what)                                                           \
    }

/* Sorted, so that all words of one letter lie together. */
static const struct {
    const char *text;
    uint8_t len;
    enum word_kind kind;
} words[] = {
    W("afterwards", WORD_STEP),  W("algorithm", WORD_REASON),   W("analyse", WORD_REASON),
    W("analysis", WORD_REASON),  W("analyze", WORD_REASON),     W("architecture", WORD_REASON),
    W("assess", WORD_REASON),    W("calculate", WORD_MATH),     W("calculus", WORD_MATH),
    W("compare", WORD_REASON),   W("compute", WORD_MATH),       W("contrast", WORD_REASON),
    W("critique", WORD_REASON),  W("debug", WORD_REASON),       W("derivative", WORD_MATH),
    W("derive", WORD_REASON),    W("design", WORD_REASON),      W("diagnose", WORD_REASON),
    W("equation", WORD_MATH),    W("evaluate", WORD_REASON),    W("explain", WORD_REASON),
    W("finally", WORD_STEP),     W("first", WORD_STEP),         W("firstly", WORD_STEP),
    W("implement", WORD_REASON), W("improve", WORD_REASON),     W("inequality", WORD_MATH),
    W("integral", WORD_MATH),    W("investigate", WORD_REASON), W("justify", WORD_REASON),
    W("lemma", WORD_MATH),       W("matrix", WORD_MATH),        W("modulo", WORD_MATH),
    W("next", WORD_STEP),        W("optimise", WORD_REASON),    W("optimize", WORD_REASON),
    W("polynomial", WORD_MATH),  W("probability", WORD_MATH),   W("proof", WORD_MATH),
    W("prove", WORD_MATH),       W("reason", WORD_REASON),      W("refactor", WORD_REASON),
    W("second", WORD_STEP),      W("secondly", WORD_STEP),      W("solve", WORD_MATH),
    W("step", WORD_STEP),        W("strategy", WORD_REASON),    W("synthesize", WORD_REASON),
    W("then", WORD_STEP),        W("theorem", WORD_MATH),       W("third", WORD_STEP),
    W("tradeoff", WORD_REASON),  W("tradeoffs", WORD_REASON),   W("vector", WORD_MATH),
    W("why", WORD_REASON),
};

/* Where the words of each letter begin in the list, and its end. */
static const uint8_t letters[27] = {0,  7,  7,  13, 18, 21, 24, 24, 24, 29, 30, 30, 31, 33,
                                    34, 36, 40, 40, 42, 48, 53, 53, 54, 55, 55, 55, 55};

/* Lengths of the words of each letter: bit n is set when one is n long. */
static const uint16_t lengths[26] = {0x17c0, 0x0000, 0x0380, 0x0560, 0x0180, 0x00a0, 0x0000,
                                     0x0000, 0x0f80, 0x0080, 0x0000, 0x0020, 0x0040, 0x0010,
                                     0x0100, 0x0c20, 0x0000, 0x0140, 0x0570, 0x03b0, 0x0000,
                                     0x0040, 0x0008, 0x0000, 0x0000, 0x0000};

static bool same_word(const char *text, const char *word, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((text[i] | 0x20) != word[i]) /* text is letters only, so this makes them small */
            return false;
    return true;
}

/* word: letters of either case, at least one. */
static void count_word(struct router_features *f, const char *word, size_t len)
{
    unsigned letter = (unsigned)(word[0] | 0x20) - 'a';

    if ((lengths[letter] >> len & 1) == 0)
        return;
    for (unsigned i = letters[letter]; i < letters[letter + 1]; i++) {
        if (words[i].len != len || !same_word(word, words[i].text, len))
            continue;
        if (words[i].kind == WORD_REASON)
            count16(&f->reason_words);
        else if (words[i].kind == WORD_STEP)
            count16(&f->steps);
        else
            count16(&f->math_marks);
        return;
    }
}

/* ---- lines ---------------------------------------------------------------------------------- */

static struct gw_span trim(struct gw_span line)
{
    while (line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
        line = gw_span_from(line, 1);
    while (line.len > 0 && strchr(" \t\r", line.ptr[line.len - 1]) != NULL)
        line.len--;
    return line;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (unsigned)((unsigned char)c | 0x20) - 'a' < 26;
}

/* "1." "12)" and then a space: one step of a list. */
static bool is_numbered(struct gw_span line)
{
    size_t n = 0;

    while (n < line.len && n < 3 && is_digit(line.ptr[n]))
        n++;
    return n > 0 && n + 1 < line.len && (line.ptr[n] == '.' || line.ptr[n] == ')') &&
           line.ptr[n + 1] == ' ';
}

/* The words of the list below also begin sentences; code has a bracket, an assignment or a colon. */
static bool has_code_marks(struct gw_span line)
{
    return line.ptr[line.len - 1] == ':' || memchr(line.ptr, '=', line.len) != NULL ||
           memchr(line.ptr, '(', line.len) != NULL;
}

/* A line that is code without saying so. */
static bool looks_like_code(struct gw_span line)
{
    static const struct gw_span starts[] = {
        {"#include", 8},  {"import ", 7}, {"from ", 5},    {"def ", 4},    {"class ", 6},
        {"function ", 9}, {"func ", 5},   {"fn ", 3},      {"const ", 6},  {"let ", 4},
        {"var ", 4},      {"public ", 7}, {"private ", 8}, {"static ", 7}, {"return ", 7},
        {"SELECT ", 7},   {"INSERT ", 7}, {"UPDATE ", 7},  {"CREATE ", 7}, {"package ", 8},
        {"if (", 4},      {"for (", 5},   {"while (", 7},  {"} else", 6},  {"@", 1},
        {"$ ", 2},
    };
    char last;

    if (line.len < 2)
        return line.len == 1 && (line.ptr[0] == '{' || line.ptr[0] == '}');
    last = line.ptr[line.len - 1];
    if (last == ';' || last == '{' || last == '}')
        return true;
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (starts[i].ptr[0] == line.ptr[0] && gw_span_starts(line, starts[i]))
            return !is_letter(line.ptr[0]) || has_code_marks(line);
    return false;
}

static void look_at_line(struct router_features *f, struct gw_span line, bool *fenced)
{
    line = trim(line);
    if (gw_span_starts(line, GW_SPAN("```"))) {
        *fenced = !*fenced;
        return;
    }
    if (*fenced ? line.len > 0 : looks_like_code(line))
        count16(&f->code_lines);
    else if (is_numbered(line))
        count16(&f->steps);
}

/* ---- characters ------------------------------------------------------------------------------- */

static bool is_operator(char c)
{
    return c == '=' || c == '+' || c == '*' || c == '/' || c == '^' || c == '<' || c == '>';
}

/* A formula: an operator between two numbers or short names, "3 + 4", "x^2", "a=b"; or TeX. */
static bool is_formula(struct gw_span text, size_t i)
{
    size_t before = i, after = i + 1;

    if (text.ptr[i] == '\\')
        return i + 3 < text.len && is_letter(text.ptr[i + 1]) && is_letter(text.ptr[i + 2]) &&
               is_letter(text.ptr[i + 3]);
    if (!is_operator(text.ptr[i]))
        return false;
    if (before > 0 && text.ptr[before - 1] == ' ')
        before--;
    if (after < text.len && text.ptr[after] == ' ')
        after++;
    if (before == 0 || after >= text.len)
        return false;
    return (is_digit(text.ptr[before - 1]) &&
            (is_digit(text.ptr[after]) || is_letter(text.ptr[after]))) ||
           (is_letter(text.ptr[before - 1]) && is_digit(text.ptr[after]));
}

/* Mathematical signs of UTF-8: U+2200 to U+22FF (all begin with E2 88..8B) and the Greek pi. */
static bool is_math_sign(struct gw_span text, size_t i)
{
    const unsigned char *p = (const unsigned char *)text.ptr + i;

    if (i + 1 >= text.len)
        return false;
    return (p[0] == 0xE2 && p[1] >= 0x88 && p[1] <= 0x8B) || (p[0] == 0xCF && p[1] == 0x80);
}

static bool ends_question(struct gw_span text, size_t i)
{
    return i + 1 == text.len || strchr(" \n\r\t\"')", text.ptr[i + 1]) != NULL;
}

/* What is neither letter nor space of a line that is not code. */
static void look_at_mark(struct router_features *f, struct gw_span line, size_t i)
{
    char c = line.ptr[i];

    if (c == '?') {
        if (ends_question(line, i))
            count16(&f->questions);
    } else if (is_operator(c) || c == '\\') {
        if (is_formula(line, i))
            count16(&f->math_marks);
    } else if ((unsigned char)c >= 0xCF && is_math_sign(line, i)) {
        count16(&f->math_marks);
    }
}

/* One pass over a line that is not code. */
static void look_at_text(struct router_features *f, struct gw_span line)
{
    const char *p = line.ptr, *const end = line.ptr + line.len;

    while (p < end) {
        const char *word = p;

        while (p < end && is_letter(*p))
            p++;
        if (p - word >= MIN_WORD && p - word <= MAX_WORD)
            count_word(f, word, (size_t)(p - word));
        if (p == end)
            return;
        if (*p != ' ')
            look_at_mark(f, line, (size_t)(p - line.ptr));
        p++;
    }
}

/* Bytes that do not continue a character of UTF-8 (10xxxxxx), eight at a time. */
static uint32_t count_chars(struct gw_span text)
{
    const uint64_t low = 0x0101010101010101u;
    size_t n = text.len, i = 0;

    for (; i + 8 <= text.len; i += 8) {
        uint64_t v;

        memcpy(&v, text.ptr + i, 8);
        v = (v >> 7) & ~(v >> 6) & low;
        n -= (v * low) >> 56; /* the sum of its bytes */
    }
    for (; i < text.len; i++)
        n -= ((unsigned char)text.ptr[i] & 0xC0) == 0x80;
    return (uint32_t)n;
}

void router_features_add(struct router_features *f, struct gw_span role, struct gw_span text)
{
    bool user = gw_span_is(role, "user");
    bool fenced = false;
    uint32_t chars;

    if (text.len > UINT32_MAX) /* not a size that a body can have; keeps the counters honest */
        text.len = UINT32_MAX;
    chars = count_chars(text);
    count16(&f->messages);
    f->chars = add32(f->chars, chars);
    if (!user) /* instructions and answers say little of how hard the next answer is */
        return;
    count16(&f->user_turns);
    f->last_user_chars = chars;
    if (text.len > MAX_LOOK)
        text.len = MAX_LOOK;
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        struct gw_span line = text;
        uint16_t code = f->code_lines;

        if (end != NULL)
            line.len = (size_t)(end - text.ptr);
        look_at_line(f, line, &fenced);
        if (!fenced && f->code_lines == code)
            look_at_text(f, line);
        text = gw_span_from(text, line.len + 1);
    }
}

/* ---- the score ---------------------------------------------------------------------------------- */

static unsigned at_most(unsigned n, unsigned max)
{
    return n < max ? n : max;
}

/* Adds one share, and says so. */
static unsigned share(struct gw_buf *reason, const char *name, unsigned value, unsigned points)
{
    if (points > 0 && reason != NULL)
        gw_buf_printf(reason, "%s%s %u (+%u)", reason->len == 0 ? "" : ", ", name, value, points);
    return points;
}

/* 4 points for each doubling from 400 characters on: a page is 12. */
static unsigned length_points(uint32_t chars)
{
    unsigned points = 0;

    for (uint32_t limit = 400; chars >= limit && points < 28; limit *= 2)
        points += 4;
    return points;
}

unsigned router_complexity_score(const struct router_features *f, struct gw_buf *reason)
{
    unsigned turns = f->user_turns > 1 ? f->user_turns - 1u : 0;
    unsigned questions = f->questions > 1 ? f->questions - 1u : 0;
    unsigned score = 0;

    score += share(reason, "chars", f->last_user_chars, length_points(f->last_user_chars));
    score += share(reason, "context", f->chars, length_points(f->chars / 8));
    score += share(reason, "turns", f->user_turns, at_most(turns, 8));
    score += share(reason, "questions", f->questions, at_most(questions * 3, 9));
    score += share(reason, "steps", f->steps, at_most(f->steps * 4u, 20));
    score += share(reason, "code", f->code_lines,
                   f->code_lines == 0 ? 0 : at_most(6u + f->code_lines, 26));
    score += share(reason, "maths", f->math_marks, at_most(f->math_marks * 6u, 30));
    score += share(reason, "reasoning", f->reason_words, at_most(f->reason_words * 10u, 50));
    score += share(reason, "tools", f->tools, f->tools == 0 ? 0 : at_most(6u + f->tools, 14));
    score += share(reason, "schema", f->schema, f->schema ? 6 : 0);
    return at_most(score, 100);
}
