/* dlp/validate_value.c - is the value that a program, a file or a sentence gives to a name like
 * "password" or "api_key" a secret, or code, a word, a reference to where the secret is kept?
 *
 * No checksum helps here. What helps: code reads differently from secrets (calls, dots, arrows, words),
 * templates and samples say so, and generated keys mix letters and digits at random. Passwords are
 * judged more mildly than keys: people choose words. No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

/* What a byte can be part of, a bit each. */
enum {
    LOWER = 1,
    UPPER = 2,
    DIGIT = 4,
    HEX = 8,
    NAME = 16,     /* of programs, with what joins their words */
    QUANTITY = 32, /* dates, versions, sizes, times */
    /* what the bytes of the table are, from the space on: signs, digits, capitals, letters */
    D = DIGIT | HEX | NAME | QUANTITY,
    A = LOWER | HEX | NAME, /* a to f */
    G = LOWER | NAME,       /* g to z */
    B = UPPER | HEX | NAME,
    H = UPPER | NAME,
    T = UPPER | NAME | QUANTITY, /* T and Z of a time */
    J = NAME,                    /* _ [ ] */
    P = NAME | QUANTITY,         /* . - */
    Q = QUANTITY,                /* , / : */
};

static const uint8_t kinds[256] = {[' '] = 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, Q, P, P, Q, D, D, D,
                                   D,         D, D, D, D, D, D, Q, 0, 0, 0, 0, 0, 0, B, B, B, B, B,
                                   B,         H, H, H, H, H, H, H, H, H, H, H, H, H, T, H, H, H, H,
                                   H,         T, J, 0, J, 0, J, 0, A, A, A, A, A, A, G, G, G, G, G,
                                   G,         G, G, G, G, G, G, G, G, G, G, G, G, G, G};

struct shape {
    size_t lower, upper, digit, other;
    size_t high;  /* of other: bytes of letters beyond ASCII */
    unsigned all; /* what all bytes can be part of */
};

/* No byte is asked with a branch: in a secret it is hard to guess what comes next. */
static struct shape shape_of(struct gw_span s)
{
    struct shape sh = {.all = UINT8_MAX};

    for (size_t i = 0; i < s.len; i++) {
        unsigned kind = kinds[(unsigned char)s.ptr[i]];

        sh.lower += kind & LOWER;
        sh.upper += kind / UPPER & 1;
        sh.digit += kind / DIGIT & 1;
        sh.high += (unsigned char)s.ptr[i] >= 0x80;
        sh.all &= kind;
    }
    sh.other = s.len - sh.lower - sh.upper - sh.digit;
    return sh;
}

static bool quoted(const struct dlp_validate_in *in)
{
    char before = dlp_val_char(in, in->start - 1);

    return before == '"' || before == '\'' || before == '`';
}

static char char_after(const struct dlp_validate_in *in)
{
    return dlp_val_char(in, in->end);
}

/* NAME=value in capitals, as in a .env file or behind export. */
static bool is_env_line(const struct dlp_validate_in *in)
{
    char name_end = dlp_val_char(in, in->start - 2);

    return dlp_val_char(in, in->start - 1) == '=' && (dlp_is_upper(name_end) || name_end == '_');
}

/* Hexadecimal digits in a number that no generator gives: a key that was cut, or an identifier. */
static bool is_odd_hex(struct gw_span s, struct shape sh)
{
    return (sh.all & HEX) != 0 && (sh.lower == 0 || sh.upper == 0) && s.len % 8 != 0 && s.len != 20;
}

/* References to where the secret is kept, and pieces of programs. */
static bool is_reference(struct gw_span s)
{
    if (s.len > 0 &&
        (s.ptr[0] == '$' || s.ptr[0] == '&' || s.ptr[0] == '*' || s.ptr[0] == '@' ||
         s.ptr[0] == '%') &&
        s.len > 1 &&
        (dlp_is_alpha(s.ptr[1]) || s.ptr[1] == '{' || s.ptr[1] == '(' || s.ptr[1] == '_')) {
        struct shape sh = shape_of(s);

        if (sh.digit == 0 || s.ptr[1] == '{' || s.ptr[1] == '(')
            return true;
    }
    return dlp_val_has_word(DLP_WORDS_REFERENCE, s);
}

/* getpwnam(argv[1]), read_file(path) */
static bool is_call(struct gw_span s)
{
    const char *open = memchr(s.ptr, '(', s.len);

    return open != NULL && open > s.ptr && dlp_is_alnum(open[-1]) &&
           dlp_val_wordiness((struct gw_span){s.ptr, (size_t)(open - s.ptr)}) > 0.5;
}

/* Does it end as the name of a file or a host does? */
static bool has_tail(struct gw_span s)
{
    enum { SHORTEST = 2, LONGEST = 5 };
    static const char *const tails[] = {".pem", ".key", ".json", ".yaml", ".yml",  ".txt", ".crt",
                                        ".cer", ".p12", ".pfx",  ".jks",  ".conf", ".ini", ".env",
                                        ".py",  ".js",  ".ts",   ".go",   ".java", ".rb",  ".php",
                                        ".h",   ".c",   ".xml",  ".html", ".md",   ".com", ".org"};

    for (size_t n = SHORTEST; n <= LONGEST && n <= s.len; n++)
        for (size_t i = 0; s.ptr[s.len - n] == '.' && i < sizeof(tails) / sizeof(tails[0]); i++)
            if (gw_span_ends(s, gw_span_str(tails[i])))
                return true;
    return false;
}

/* Paths, addresses, file names. */
static bool is_place(struct gw_span s, const struct shape *sh)
{
    unsigned slashes = 0;

    if (sh->other == 0)
        return false;
    for (size_t i = 0; i < s.len; i++)
        slashes += s.ptr[i] == '/' || s.ptr[i] == '\\';
    if ((slashes > 1 && dlp_val_contains(s, "://")) || gw_span_starts(s, GW_SPAN("./")) ||
        gw_span_starts(s, GW_SPAN("../")) || gw_span_starts(s, GW_SPAN("~/")))
        return true;
    if (s.ptr[0] == '/' && (slashes > 1 || dlp_val_wordiness(s) > 0.7))
        return true;
    if (has_tail(s))
        return true;
    return slashes > 1 && dlp_val_wordiness(s) > 0.7;
}

/* Letters, digits, dots and underscores that spell words: a name in a program. */
static bool is_identifier(struct gw_span s, struct shape sh)
{
    if ((sh.all & NAME) == 0 || dlp_is_digit(s.ptr[0]))
        return false;
    if (sh.digit == 0)
        return sh.lower + sh.upper < 9 || dlp_val_wordiness(s) > 0.6;
    return sh.digit <= 2 && dlp_val_wordiness(s) > 0.7;
}

/* TLS_PSK_WITH_RC4_128_SHA: capitals, digits and joints only, two joints and more. */
static bool is_constant(struct gw_span s, struct shape sh)
{
    size_t joints = 0;

    if (sh.lower != 0 || sh.other < 2 || sh.upper <= sh.digit)
        return false;
    for (size_t i = 0; i < s.len; i++)
        joints += s.ptr[i] == '_' || s.ptr[i] == '-';
    return joints == sh.other;
}

/* Dates, versions, sizes, times: digits with separators, or with a short unit. */
static bool is_quantity(struct gw_span s, struct shape sh)
{
    if ((sh.all & QUANTITY) != 0 && sh.other > 0)
        return true;
    return sh.digit > 0 && sh.other == 0 && sh.lower + sh.upper <= 2 && s.len <= 6;
}

/* What a configuration holds encrypted: eyaml's and SOPS' ENC[...], Jasypt's ENC(...), Spring's {cipher}..., Vault's vault:v1:...,
 * Maven's {...=}. Without the key it opens nothing, but it is told, low. */
static bool is_encrypted(struct gw_span s)
{
    if (gw_span_starts(s, GW_SPAN("ENC[")) || gw_span_starts(s, GW_SPAN("ENC(")) ||
        gw_span_starts(s, GW_SPAN("{cipher}")) || gw_span_starts(s, GW_SPAN("vault:v1:")))
        return true;
    if (s.len < 14 || s.ptr[0] != '{' || s.ptr[s.len - 1] != '}' || s.ptr[s.len - 2] != '=')
        return false;
    for (size_t i = 1; i + 1 < s.len; i++)
        if (!dlp_is_alnum(s.ptr[i]) && s.ptr[i] != '+' && s.ptr[i] != '/' && s.ptr[i] != '=')
            return false;
    return true;
}

/* The entropy that a generated key has at least. What an alphabet of 16 digits gives ends at 4 bits, of 64 at 6, however long. */
static double entropy_asked(struct gw_span s, struct shape sh)
{
    enum { LONG = 64, LONG_HEX = 31 };

    if ((sh.all & HEX) != 0 && s.len > LONG_HEX)
        return 0.62 * __builtin_log2(LONG_HEX + 1.0);
    return 0.62 * __builtin_log2((double)(s.len < LONG ? s.len : LONG) + 1);
}

/* ---- keys, tokens, secrets -------------------------------------------------------------------- */

/* What speaks for a key with letters in it, and against it. */
static int weigh_secret(struct gw_span s, struct shape sh)
{
    double wordy = dlp_val_wordiness(s);
    int score = 0;

    if (sh.digit == 0)
        score -= wordy > 0.5 ? 35 : 15;
    else if (wordy > 0.75 && sh.digit * 5 < s.len)
        score -= 30;
    if (s.len < 12)
        score -= 10;
    else if (s.len >= 20 && sh.digit >= 2 && wordy < 0.65)
        score += 15;
    if (sh.other * 3 > s.len)
        score -= 25;
    if (is_odd_hex(s, sh))
        score -= 10;
    return is_encrypted(s) ? score - 40 : score;
}

int dlp_validate_secret_value(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    struct shape sh = shape_of(s);
    bool in_quotes = quoted(in) || is_env_line(in);
    int score;

    /* What costs least first: most that look so are something else. */
    if (!in_quotes && (char_after(in) == '(' || char_after(in) == '[' || char_after(in) == '{'))
        return DLP_VALIDATE_REJECT;
    if (is_quantity(s, sh) || is_identifier(s, sh) || is_place(s, &sh) ||
        dlp_val_is_placeholder(s) || is_reference(s) || dlp_val_is_called_hash(in))
        return DLP_VALIDATE_REJECT;
    score = dlp_val_name_score(in);
    if (score == DLP_VALIDATE_REJECT || dlp_val_sequential(s) * 3 > s.len)
        return DLP_VALIDATE_REJECT;
    if (sh.lower + sh.upper == 0)
        return sh.other == 0 && s.len >= 16 ? -15 : DLP_VALIDATE_REJECT;
    if (dlp_val_entropy(s) < entropy_asked(s, sh))
        return DLP_VALIDATE_REJECT;
    score += weigh_secret(s, sh);
    return in_quotes ? score + 5 : score;
}

/* ---- passwords -------------------------------------------------------------------------------- */

static bool is_not_a_password(struct gw_span s)
{
    return dlp_val_is_word(DLP_WORDS_NO_PASSWORD, s);
}

/* Without the brackets and quotes around it. */
static struct gw_span bare(struct gw_span s)
{
    static const char signs[] = "[]<>{}()\"'`";

    while (s.len > 0 && memchr(signs, s.ptr[0], sizeof(signs) - 1) != NULL)
        s = gw_span_from(s, 1);
    while (s.len > 0 && memchr(signs, s.ptr[s.len - 1], sizeof(signs) - 1) != NULL)
        s.len--;
    return s;
}

/* "name", "value": the quote stands behind a comma. */
static bool follows_comma(const struct dlp_validate_in *in)
{
    size_t i = in->start > 0 ? in->start - 1 : 0;

    while (i > 0 && dlp_is_space(in->text.ptr[i - 1]))
        i--;
    return i > 0 && in->text.ptr[i - 1] == ',';
}

static bool is_variable(struct gw_span s)
{
    return memchr(s.ptr, '.', s.len) != NULL || memchr(s.ptr, '_', s.len) != NULL ||
           dlp_val_contains(s, "pass") || dlp_val_contains(s, "pwd");
}

/* Without quotes, words read as a name in a program, except in lines like PASSWORD=...; a word with a
 * digit in it (Winter77, Tr0ub4dor) is a password unless it has the look of a variable. */
static int judge_bare_word(const struct dlp_validate_in *in, struct gw_span s, struct shape sh)
{
    char before = dlp_val_char(in, in->start - 1);
    char name_end = dlp_val_char(in, in->start - 2);

    if (sh.high * 2 > s.len) /* a word of a sentence in another alphabet */
        return DLP_VALIDATE_REJECT;
    if (sh.digit > 0 && !is_variable(s)) {
        if (sh.upper == 0 && memchr(s.ptr, '-', s.len) != NULL && dlp_val_wordiness(s) > 0.6)
            return -30; /* python3-openssl */
        return s.len >= 6 ? -5 : -25;
    }
    if (sh.digit == 0 && sh.other == 0 && dlp_is_upper(name_end) && before == '=')
        return -25;
    return DLP_VALIDATE_REJECT;
}

/* "\\x02\\x7f": bytes of a protocol. */
static bool is_bytes(struct gw_span s)
{
    for (size_t i = 0; i < s.len; i += 4)
        if (s.len - i < 4 || s.ptr[i] != '\\' || s.ptr[i + 1] != 'x' ||
            dlp_hex_value(s.ptr[i + 2]) < 0 || dlp_hex_value(s.ptr[i + 3]) < 0)
            return false;
    return true;
}

/* 0x1f, in 64 bits. */
static bool is_number(struct gw_span s)
{
    for (size_t i = 2; i < s.len; i++)
        if (dlp_hex_value(s.ptr[i]) < 0)
            return false;
    return s.len > 2 && s.len <= 18 && gw_span_starts(s, GW_SPAN("0x"));
}

/* "my-agent/1.0": a name, its version. */
static bool is_product(struct gw_span s)
{
    const char *slash = memchr(s.ptr, '/', s.len);

    if (slash == NULL || slash == s.ptr ||
        memchr(slash, '.', s.len - (size_t)(slash - s.ptr)) == NULL)
        return false;
    for (const char *p = s.ptr; p < s.ptr + s.len; p++)
        if (p < slash ? !dlp_is_alpha(*p) && *p != '-' && *p != '_'
                      : p > slash && !dlp_is_digit(*p) && *p != '.')
            return false;
    return true;
}

/* "New password: ": what is said before it is typed. */
static bool is_prompt(struct gw_span s)
{
    const size_t len = s.len;

    while (s.len > 0 && s.ptr[s.len - 1] == ' ')
        s.len--;
    return s.len > 0 && s.ptr[s.len - 1] == ':' && memchr(s.ptr, ' ', len) != NULL;
}

/* Words, holes, references, constants, markup: nothing that anybody would log in with. */
static bool is_no_value(struct gw_span s, struct shape sh)
{
    return is_not_a_password(bare(s)) || dlp_val_is_placeholder(s) || is_reference(s) ||
           is_constant(s, sh) || is_bytes(s) || is_product(s) || is_prompt(s) ||
           gw_span_starts(s, GW_SPAN("&#")) || gw_span_starts(s, GW_SPAN("&lt"));
}

/* What speaks for a password, and against it. */
static int weigh_password(const struct dlp_validate_in *in, struct gw_span s, struct shape sh,
                          bool in_quotes)
{
    int score = in_quotes ? 5 : 0;

    if (sh.digit == 0 && sh.other == 0) /* a word in quotes: perhaps a password, perhaps a label */
        score -= s.len < 6 ? 35 : 30;
    else if (sh.lower + sh.upper == 0)
        score -= 20;
    if (sh.digit > 0 && sh.lower + sh.upper > 0)
        score += sh.other > 0 ? 15 : 10;
    if (in_quotes && follows_comma(in) && is_identifier(s, sh)) /* a list of names */
        score -= 25;
    return is_encrypted(s) ? score - 40 : score;
}

int dlp_validate_password_value(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    struct shape sh = shape_of(s);
    bool in_quotes = quoted(in);
    bool is_bare = !in_quotes && (sh.other * 2 > s.len || is_identifier(s, sh));
    int score = is_bare ? judge_bare_word(in, s, sh) : weigh_password(in, s, sh, in_quotes);

    if (score == DLP_VALIDATE_REJECT || is_no_value(s, sh))
        return DLP_VALIDATE_REJECT;
    if (!in_quotes &&
        (char_after(in) == '(' || char_after(in) == '[' || is_call(s) || is_number(s)))
        return DLP_VALIDATE_REJECT;
    if (sh.lower + sh.upper + sh.digit < 3 || (s.len > 40 && dlp_val_wordiness(s) > 0.8))
        return DLP_VALIDATE_REJECT;
    if (is_place(s, &sh) || (is_quantity(s, sh) && sh.other > 0))
        return DLP_VALIDATE_REJECT;
    return score;
}

static int weigh_told(const struct dlp_validate_in *in, struct gw_span s, struct shape sh)
{
    if (sh.lower + sh.upper == 0)
        return sh.digit >= 4 ? -30 : DLP_VALIDATE_REJECT;
    if (sh.digit == 0)
        return quoted(in) && s.len >= 5 ? -26 : DLP_VALIDATE_REJECT;
    if (s.len < 6)
        return -25;
    return sh.other > 0 && sh.digit > 0 ? 5 : 0;
}

/* "my password is hunter2", "pw: Winter2024!": words are sentences, digits and signs are passwords. */
int dlp_validate_prose_password(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    struct shape sh = shape_of(s);
    int score = weigh_told(in, s, sh);

    if (score == DLP_VALIDATE_REJECT || is_quantity(s, sh) || is_place(s, &sh) ||
        is_not_a_password(bare(s)) || dlp_val_is_placeholder(s) || is_reference(s))
        return DLP_VALIDATE_REJECT;
    return score;
}

/* user:password in one span, as curl -u takes it, with quotes around either or both. */
int dlp_validate_user_pair(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    const char *colon = memchr(s.ptr, ':', s.len);
    struct gw_span user, password;

    if (colon == NULL)
        return DLP_VALIDATE_REJECT;
    user = (struct gw_span){s.ptr, (size_t)(colon - s.ptr)};
    password = gw_span_from(s, user.len + 1);
    while (password.len > 0 && strchr("\"'`", password.ptr[password.len - 1]) != NULL)
        password.len--;
    while (password.len > 0 && strchr("\"'`", password.ptr[0]) != NULL)
        password = gw_span_from(password, 1);
    while (user.len > 0 && strchr("\"'`", user.ptr[0]) != NULL)
        user = gw_span_from(user, 1);
    if (password.len == 0 && user.len >= 12) /* the key stands in front, as Stripe has it */
        password = user;
    if (password.len < 3 || dlp_val_is_placeholder(password) || is_reference(password) ||
        password.ptr[0] == '$' || password.ptr[0] == '<' || password.ptr[0] == '[')
        return DLP_VALIDATE_REJECT;
    if (dlp_val_is_word(DLP_WORDS_SAMPLE_PAIR, password))
        return -35;
    return gw_span_eq_nocase(password, user) && password.ptr != user.ptr ? -35 : 0;
}

/* mysql://mysql:mysql@..., or 1111: who set it up did not mean it as a secret. */
static bool is_careless(const struct dlp_validate_in *in, struct gw_span s)
{
    size_t same = 0;

    for (size_t i = 1; i < s.len; i++)
        same += s.ptr[i] == s.ptr[0];
    if (same + 1 == s.len)
        return true;
    return in->start > s.len + 1 && in->text.ptr[in->start - 1] == ':' &&
           in->text.ptr[in->start - s.len - 2] == '/' &&
           memcmp(in->text.ptr + in->start - s.len - 1, s.ptr, s.len) == 0;
}

/* Of a regular expression for URLs, oracle:thin:@, or of a template: \(.password) */
static bool is_of_a_form(struct gw_span s)
{
    return dlp_val_contains(s, ".*") || dlp_val_contains(s, ")(") ||
           gw_span_starts(s, GW_SPAN("\\(")) || s.ptr[s.len - 1] == ':';
}

/* user:PASSWORD@host in a URL. */
int dlp_validate_url_password(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    struct gw_span rest = gw_span_from(in->text, in->end);
    struct shape sh = shape_of(s);
    bool sample_host;

    if (dlp_val_is_placeholder(s) || (s.ptr[0] == '$' && dlp_val_wordiness(s) > 0.6) ||
        s.ptr[0] == '{' || s.ptr[0] == '<' || s.ptr[0] == '[' || is_of_a_form(s))
        return DLP_VALIDATE_REJECT;
    if (rest.len > 40)
        rest.len = 40;
    sample_host = dlp_val_contains(rest, "example") || gw_span_starts(rest, GW_SPAN("@host")) ||
                  gw_span_starts(rest, GW_SPAN("@server"));
    if (bare(s).len < s.len && is_not_a_password(bare(s)))
        return DLP_VALIDATE_REJECT; /* ftp://[[user][:pass]@] */
    if (dlp_val_is_word(DLP_WORDS_SAMPLE_URL, s) || is_not_a_password(s) || is_careless(in, s))
        return -35;
    if (sample_host)
        return -30;
    if (sh.digit + sh.upper + sh.other == 0 && dlp_val_wordiness(s) > 0.5)
        return -15;
    return s.len < 4 ? -25 : 0;
}
