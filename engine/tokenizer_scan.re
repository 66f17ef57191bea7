/* engine/tokenizer_scan.re - the pre-tokenizer stages that are more than a run of one class.
 *
 * The scanners run over classes, not bytes: an ASCII character stands for itself, any other for one code
 * above 0x80 that tells its general category, so the automata stay small. Where the published rules take
 * the first alternative that matches and re2c the longest, the action repairs the difference; where they
 * look ahead (\s+(?!\S)), it gives the last character back. Pure functions: any thread. */
#include "engine/tokenizer_chars.h"
#include "engine/tokenizer_pre.h"

/* Codes of characters that are not ASCII: 0x80 + enum unicode_class. The rules below spell them out. */
enum { CODE_BASE = 0x80, CODE_END = 0xFF };
_Static_assert(UNICODE_LU == 1 && UNICODE_LT == 2 && UNICODE_LL == 3 && UNICODE_LM == 4 &&
                   UNICODE_LO == 5 && UNICODE_M == 6 && UNICODE_N == 7 && UNICODE_P == 8 &&
                   UNICODE_S == 9 && UNICODE_SPACE == 10,
               "the classes below count on these numbers");

struct cursor {
    const unsigned char *p, *end;
    bool marks_are_letters;
};

static unsigned char peek(const struct cursor *c)
{
    uint32_t cp;

    if (c->p == c->end)
        return CODE_END;
    if (*c->p < 0x80)
        return *c->p;
    (void)tok_char(c->p, c->end, &cp);
    enum unicode_class class = unicode_class(cp);
    if (class == UNICODE_M && c->marks_are_letters)
        class = UNICODE_LO;
    return (unsigned char)(CODE_BASE + (unsigned)class);
}

static void skip(struct cursor *c)
{
    uint32_t cp;

    if (c->p < c->end)
        c->p += tok_char(c->p, c->end, &cp);
}

/*!re2c
    re2c:flags:input = custom;
    re2c:api:style = free-form;
    re2c:yyfill:enable = 0;
    re2c:sentinel = 255;
    re2c:define:YYCTYPE = "unsigned char";
    re2c:define:YYPEEK = "peek(&c)";
    re2c:define:YYSKIP = "skip(&c);";
    re2c:define:YYBACKUP = "mark = c;";
    re2c:define:YYRESTORE = "c = mark;";

    // End, letters (upper or title case, lower case, without case), marks, numbers, punctuation, symbols.
    END   = [\xFF];
    UPPER = [A-Z\x81\x82];
    LOWER = [a-z\x83];
    OTHER = [\x84\x85];
    L     = UPPER | LOWER | OTHER;
    M     = [\x86];
    N     = [0-9\x87];
    P     = [!"#%&'()*,\-./:;?@[\\\]_{}\x88];
    S     = [$+<=>^`|~\x89];
    W     = [\t-\r \x8A];
    NL    = [\r\n];
    // Not end, not white, not a letter, not a number.
    X     = [^] \ (END | W | L | N);
    // What may stand before a word: anything but end, line ends, letters, numbers.
    PRE   = [^] \ (END | NL | L | N);
*/

/* A run of white space [p, s): all of it at the end; else all but the last character, which belongs to
 * what follows; a single character is never given back. */
static size_t give_back(const unsigned char *p, const unsigned char *s, const unsigned char *end)
{
    const unsigned char *last = s - 1;

    if (s == end)
        return (size_t)(s - p);
    while (last > p && (*last & 0xC0) == 0x80)
        last--;
    return (size_t)((last == p ? s : last) - p);
}

/* The same where line ends have a rule of their own: up to the last of them, if there is one. */
static size_t white_lines(const unsigned char *p, const unsigned char *s, const unsigned char *end)
{
    for (const unsigned char *q = s; q > p; q--)
        if (q[-1] == '\n' || q[-1] == '\r')
            return (size_t)(q - p);
    return give_back(p, s, end);
}

/* The length of 's 't 're 've 'm 'll 'd in any case at p, or 0. */
static size_t contraction(const unsigned char *p, const unsigned char *end)
{
    if (end - p < 2 || *p != '\'')
        return 0;
    unsigned char a = (unsigned char)gw_ascii_lower((char)p[1]);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if (end - p < 3)
        return 0;
    unsigned char b = (unsigned char)gw_ascii_lower((char)p[2]);
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* 's|'t|'re|'ve|'m|'ll|'d | ?L+ | ?N+ | ?[^\s L N]+ | \s+(?!\S) | \s+ */
size_t tok_scan_gpt2(const unsigned char *p, const unsigned char *end, bool *hit)
{
    struct cursor c = {p, end, false}, mark = c;

    *hit = true;
    /*!re2c
        "'" ([stmd] | "re" | "ve" | "ll") { return (size_t)(c.p - p); }
        " "? (L+ | N+ | X+)               { return (size_t)(c.p - p); }
        W+                                { return give_back(p, c.p, end); }
        * { *hit = false; return (size_t)(c.p - p); }
    */
}

/* contraction in any case | PRE?L+ | N{1,max_digits} | ?[^\s L N]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+ */
static size_t scan_words(const unsigned char *p, const unsigned char *end, unsigned max_digits,
                         bool marks_are_letters, bool *hit)
{
    struct cursor c = {p, end, marks_are_letters}, mark = c;
    unsigned digits = 1;

    *hit = true;
    /*!re2c
        PRE? L+ {
            size_t n = contraction(p, end); // the earlier alternative wins
            return n != 0 ? n : (size_t)(c.p - p);
        }
        N {
            for (; digits < max_digits; digits++) {
                struct cursor before = c;
                unsigned char code = peek(&c);

                if (!((code >= '0' && code <= '9') || code == CODE_BASE + UNICODE_N)) {
                    c = before;
                    break;
                }
                skip(&c);
            }
            return (size_t)(c.p - p);
        }
        " "? X+ NL* { return (size_t)(c.p - p); }
        W+          { return white_lines(p, c.p, end); }
        * { *hit = false; return (size_t)(c.p - p); }
    */
}

size_t tok_scan_llama3(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return scan_words(p, end, 3, false, hit);
}

size_t tok_scan_qwen2(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return scan_words(p, end, 1, false, hit);
}

size_t tok_scan_qwen35(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return scan_words(p, end, 1, true, hit);
}

/* PRE?[upper other M]*[lower other M]+, the longest at p, or 0. */
static size_t cased_word(const unsigned char *p, const unsigned char *end)
{
    struct cursor c = {p, end, false}, mark = c;

    /*!re2c
        PRE? (UPPER | OTHER | M)* (LOWER | OTHER | M)+ { return (size_t)(c.p - p); }
        * { return 0; }
    */
}

/* cased words | PRE?[upper other M]+ | N{1,max_digits} | ?[^\s L N]+[\r\n/]* | white space as above */
static size_t scan_cased(const unsigned char *p, const unsigned char *end, bool contractions,
                         unsigned max_digits, bool *hit)
{
    struct cursor c = {p, end, false}, mark = c;
    size_t n = cased_word(p, end);

    *hit = true;
    if (n == 0) {
        /*!re2c
            PRE? (UPPER | OTHER | M)+ { n = (size_t)(c.p - p); goto word; }
            N           { return scan_words(p, end, max_digits, false, hit); }
            " "? X+ (NL | "/")* { return (size_t)(c.p - p); }
            W+          { return white_lines(p, c.p, end); }
            * { *hit = false; return (size_t)(c.p - p); }
        */
    }
word:
    return n + (contractions ? contraction(p + n, end) : 0);
}

size_t tok_scan_gpt4o(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return scan_cased(p, end, true, 3, hit);
}

size_t tok_scan_tekken(const unsigned char *p, const unsigned char *end, bool *hit)
{
    return scan_cased(p, end, false, 1, hit);
}

/* ASCII punctuation before ASCII letters | [^\r\n L P S]?[L M]+ | ?[P S]+[\r\n]* | white space as above */
size_t tok_scan_deepseek3(const unsigned char *p, const unsigned char *end, bool *hit)
{
    struct cursor c = {p, end, false}, mark = c;

    *hit = true;
    /*!re2c
        [!-/:-@[-`{-~] [A-Za-z]+            { return (size_t)(c.p - p); }
        ([^] \ (END | NL | L | P | S))? (L | M)+ { return (size_t)(c.p - p); }
        " "? (P | S)+ NL*                   { return (size_t)(c.p - p); }
        W+                                  { return white_lines(p, c.p, end); }
        * { *hit = false; return (size_t)(c.p - p); }
    */
}
