/* router/features.c - what a prompt looks like, measured in one pass, and the score made of it.
 *
 * Cheap and printable on purpose: anyone can recompute a score by hand from the reason. Text is hostile:
 * every counter saturates, nothing recurses, and at most MAX_LOOK bytes of a message are looked at (a
 * longer one is complex by its length alone). Thread: any. */
#include <string.h>

#include "router/router.h"

enum { MAX_LOOK = 32 << 10, MAX_WORD = 16 };

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

/* By first letter, so that a word is compared with a handful. Lower case, sorted. */
static const struct {
    const char *word;
    enum word_kind kind;
} words[] = {
    {"afterwards", WORD_STEP},  {"algorithm", WORD_REASON},   {"analyse", WORD_REASON},
    {"analysis", WORD_REASON},  {"analyze", WORD_REASON},     {"architecture", WORD_REASON},
    {"assess", WORD_REASON},    {"calculate", WORD_MATH},     {"calculus", WORD_MATH},
    {"compare", WORD_REASON},   {"compute", WORD_MATH},       {"contrast", WORD_REASON},
    {"critique", WORD_REASON},  {"debug", WORD_REASON},       {"derivative", WORD_MATH},
    {"derive", WORD_REASON},    {"design", WORD_REASON},      {"diagnose", WORD_REASON},
    {"equation", WORD_MATH},    {"evaluate", WORD_REASON},    {"explain", WORD_REASON},
    {"finally", WORD_STEP},     {"first", WORD_STEP},         {"firstly", WORD_STEP},
    {"implement", WORD_REASON}, {"improve", WORD_REASON},     {"inequality", WORD_MATH},
    {"integral", WORD_MATH},    {"investigate", WORD_REASON}, {"justify", WORD_REASON},
    {"lemma", WORD_MATH},       {"matrix", WORD_MATH},        {"modulo", WORD_MATH},
    {"next", WORD_STEP},        {"optimise", WORD_REASON},    {"optimize", WORD_REASON},
    {"polynomial", WORD_MATH},  {"probability", WORD_MATH},   {"proof", WORD_MATH},
    {"prove", WORD_MATH},       {"reason", WORD_REASON},      {"refactor", WORD_REASON},
    {"second", WORD_STEP},      {"secondly", WORD_STEP},      {"solve", WORD_MATH},
    {"step", WORD_STEP},        {"strategy", WORD_REASON},    {"synthesize", WORD_REASON},
    {"then", WORD_STEP},        {"theorem", WORD_MATH},       {"third", WORD_STEP},
    {"tradeoff", WORD_REASON},  {"tradeoffs", WORD_REASON},   {"vector", WORD_MATH},
    {"why", WORD_REASON},
};
enum { N_WORDS = sizeof(words) / sizeof(words[0]) };

static void count_word(struct router_features *f, const char *word, size_t len)
{
    size_t low = 0, high = N_WORDS;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        size_t n = strlen(words[mid].word);
        int c = memcmp(word, words[mid].word, len < n ? len : n);

        if (c == 0 && len == n) {
            switch (words[mid].kind) {
            case WORD_REASON:
                count16(&f->reason_words);
                break;
            case WORD_STEP:
                count16(&f->steps);
                break;
            case WORD_MATH:
                count16(&f->math_marks);
                break;
            }
            return;
        }
        if (c < 0 || (c == 0 && len < n))
            high = mid;
        else
            low = mid + 1;
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
    c = gw_ascii_lower(c);
    return c >= 'a' && c <= 'z';
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
    static const char *const starts[] = {
        "#include", "import ", "from ",   "def ",    "class ",  "function ", "func ",
        "fn ",      "const ",  "let ",    "var ",    "public ", "private ",  "static ",
        "return ",  "SELECT ", "INSERT ", "UPDATE ", "CREATE ", "package ",  "if (",
        "for (",    "while (", "} else",  "@",       "$ ",
    };
    char last;

    if (line.len < 2)
        return line.len == 1 && (line.ptr[0] == '{' || line.ptr[0] == '}');
    last = line.ptr[line.len - 1];
    if (last == ';' || last == '{' || last == '}')
        return true;
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (gw_span_starts(line, gw_span_str(starts[i])))
            return !is_letter(starts[i][0]) || has_code_marks(line);
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

/* One pass over what is not code. */
static void look_at_text(struct router_features *f, struct gw_span line)
{
    char word[MAX_WORD];
    size_t n = 0;

    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];

        if (is_letter(c)) {
            if (n < MAX_WORD)
                word[n] = gw_ascii_lower(c);
            n++;
            continue;
        }
        if (n >= 3 && n <= MAX_WORD)
            count_word(f, word, n);
        n = 0;
        if (c == '?' && ends_question(line, i))
            count16(&f->questions);
        else if (is_formula(line, i) || is_math_sign(line, i))
            count16(&f->math_marks);
    }
    if (n >= 3 && n <= MAX_WORD)
        count_word(f, word, n);
}

static uint32_t count_chars(struct gw_span text)
{
    uint32_t n = 0;

    for (size_t i = 0; i < text.len; i++)
        n += ((unsigned char)text.ptr[i] & 0xC0) != 0x80;
    return n;
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
