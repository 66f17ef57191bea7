/* dlp/validate_sample.c - was this value made up for a manual, a test or a form?
 *
 * Holes for the reader to fill (${VAR}, <token>, xxxx) are nothing. A value that says EXAMPLE, counts
 * (abc123, 4321, a1b2c3), repeats itself or spells words is a sample: no generator makes it, but someone
 * may have, so it is told, low. No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

/* {user} or {0} in it. */
static bool has_braced_name(struct gw_span s)
{
    const char *open = memchr(s.ptr, '{', s.len);
    const char *close = open == NULL ? NULL : memchr(open, '}', s.len - (size_t)(open - s.ptr));
    size_t n = close == NULL ? 0 : (size_t)(close - open) - 1;

    for (size_t i = 0; i < n; i++)
        if (!dlp_is_alpha(open[i + 1]) && open[i + 1] != '_' && open[i + 1] != '.' && n > 1)
            return false;
    return n > 0;
}

/* ${NAME}, ${NAME:-...}, or cut behind that; what stands behind "${" is `rest`. */
static bool is_variable(struct gw_span rest)
{
    static const char ends[] = "}{:-+?#%/[,( |!=~^@";
    size_t n = 0;

    while (n < rest.len && (dlp_is_alnum(rest.ptr[n]) || rest.ptr[n] == '_' || rest.ptr[n] == '.'))
        n++;
    return n == rest.len || memchr(ends, rest.ptr[n], sizeof(ends) - 1) != NULL;
}

/* {{ name }}, or cut behind that; what stands behind "{{" is `rest`. Other braces than its own it does not hold. */
static bool is_expression(struct gw_span rest)
{
    size_t n = 0;

    while (n < rest.len && rest.ptr[n] != '{' && rest.ptr[n] != '}')
        n++;
    return n == rest.len || (rest.ptr[n] == '}' && (n + 1 == rest.len || rest.ptr[n + 1] == '}'));
}

/* A hole between braces. Braces alone are none: passwords hold them, too. */
static bool has_hole(struct gw_span s)
{
    const char *open = memchr(s.ptr, '{', s.len);
    const char *close = memchr(s.ptr, '}', s.len);

    if (open == NULL)
        return close != NULL && close + 1 < s.ptr + s.len && close[1] == '}';
    for (size_t i = (size_t)(open - s.ptr); i < s.len; i++) {
        if (s.ptr[i] != '{')
            continue;
        if (i > 0 && s.ptr[i - 1] == '$' && is_variable(gw_span_from(s, i + 1)))
            return true;
        if (i + 1 < s.len && s.ptr[i + 1] == '{' && is_expression(gw_span_from(s, i + 2)))
            return true;
    }
    return false;
}

static bool has_template_form(struct gw_span s)
{
    if (s.len > 1 && (s.ptr[0] == '<' || s.ptr[0] == '[') &&
        (s.ptr[s.len - 1] == '>' || s.ptr[s.len - 1] == ']'))
        return true;
    if (s.len > 2 && s.ptr[0] == '%' && s.ptr[s.len - 1] == '%')
        return true;
    return gw_span_ends(s, GW_SPAN("...")) || has_braced_name(s) || has_hole(s);
}

static bool has_template_mark(struct gw_span s)
{
    return has_template_form(s) || dlp_val_has_word(DLP_WORDS_TEMPLATE, s);
}

/* Are there two different bytes in it at most? */
static bool has_two_bytes(struct gw_span s)
{
    size_t i = 0, k;

    while (i < s.len && s.ptr[i] == s.ptr[0])
        i++;
    for (k = i; k < s.len && (s.ptr[k] == s.ptr[i] || s.ptr[k] == s.ptr[0]);)
        k++;
    return k == s.len;
}

const char dlp_val_key_right[64] = "\0snvfrghjokl\0\0mp\0wtdyibecux";

static char right_of(char lower)
{
    return dlp_val_key_right[dlp_is_lower(lower) ? lower & 31 : 0];
}

/* How many bytes of s stand in pieces of a keyboard's rows, five and more keys long. */
static size_t keyboard_bytes(struct gw_span s)
{
    size_t total = 0, run;

    for (size_t i = 0; i < s.len; i += run) {
        char key = gw_ascii_lower(s.ptr[i]);

        for (run = 1; i + run < s.len && right_of(key) != '\0' &&
                      gw_ascii_lower(s.ptr[i + run]) == right_of(key);
             run++)
            key = right_of(key);
        total += run >= 5 ? run : 0;
    }
    return total;
}

/* One step of a run that counts: +1 or -1, 9 before 0, 0 and a before 9, z before a; else 0. Letters are small. */
static inline int step_between(char from, char to)
{
    enum { FAR = 255 }; /* two chars are so far apart at most */
    static const int8_t steps[2 * FAR + 1] = {
        [FAR + 1] = 1,          [FAR - 1] = -1,         [FAR + '0' - '9'] = 1,
        [FAR + '9' - '0'] = -1, [FAR + 'a' - '9'] = 1,  [FAR + '9' - 'a'] = -1,
        [FAR + 'a' - 'z'] = 1,  [FAR + 'z' - 'a'] = -1,
    };

    return steps[FAR + to - from];
}

/* The same, letters without case. */
static inline int step_of(char from, char to)
{
    return step_between(gw_ascii_lower(from), gw_ascii_lower(to));
}

/* How many bytes stand in two runs woven into one, a1b2c3d4 or a9b8c7d6. */
static size_t woven_bytes(struct gw_span s)
{
    size_t total = 0;

    for (size_t i = 0; i + 3 < s.len;) {
        int steps[2] = {step_of(s.ptr[i], s.ptr[i + 2]), step_of(s.ptr[i + 1], s.ptr[i + 3])};
        size_t n = 0;

        while (i + n + 2 < s.len && steps[n % 2] != 0 &&
               step_of(s.ptr[i + n], s.ptr[i + n + 2]) == steps[n % 2])
            n++;
        total += n >= 5 ? n + 2 : 0;
        i += n > 0 ? n : 1;
    }
    return total < s.len ? total : s.len;
}

/* How many bytes stand in runs of `least` and more that count up or down. */
static size_t counting_bytes(struct gw_span s, size_t least)
{
    size_t total = 0, run = 1;
    int step = 0;

    for (size_t i = 1; i <= s.len; i++) {
        int d = i < s.len ? step_of(s.ptr[i - 1], s.ptr[i]) : 0;

        if (d != 0 && (run == 1 || d == step)) {
            step = d;
            run++;
            continue;
        }
        total += run >= least ? run : 0;
        run = 1;
    }
    return total;
}

/* Steps in a row are as many as a run has bytes, less those that it takes to begin. No byte is asked with a branch: tokens are random, and
 * have none. */
bool dlp_val_may_count(struct gw_span s)
{
    uint64_t next = 0, woven = 0, keys = 0;
    char before = '\0', c = '\0';

    for (size_t i = 0; i < s.len; i++) {
        const char after = gw_ascii_lower(s.ptr[i]);

        next = next >> 1 | (uint64_t)(step_between(c, after) != 0) << 63;
        woven = woven >> 1 | (uint64_t)(step_between(before, after) != 0) << 63;
        keys = keys >> 1 | (uint64_t)(after == right_of(c)) << 63;
        before = c;
        c = after;
    }
    return (dlp_val_in_rows(next, 3) | dlp_val_in_rows(keys, 4) | dlp_val_in_rows(woven, 5)) != 0;
}

size_t dlp_val_sequential(struct gw_span s)
{
    enum { WORD = 64 };

    if (s.len > 0 && s.len <= WORD &&
        !(dlp_val_has_avx512() ? dlp_val_may_count_avx512(s) : dlp_val_may_count(s)))
        return 0;
    return keyboard_bytes(s) + woven_bytes(s) + counting_bytes(s, 4);
}

/* The longest piece that repeats itself every `period` bytes, without case. Zeros, which are AAAA in base64 and 0000 in
 * hexadecimal digits, fill structures that no one made up, and count half. */
static size_t repeating_bytes(struct gw_span s, size_t period)
{
    size_t best = 0, run = 0, zeros = 0;

    for (size_t i = 0; i + period < s.len; i++) {
        if (gw_ascii_lower(s.ptr[i]) != gw_ascii_lower(s.ptr[i + period])) {
            run = zeros = 0;
            continue;
        }
        run++;
        zeros += s.ptr[i] == 'A' || s.ptr[i] == '0';
        if (run >= 2 * period && run + period - zeros / 2 > best)
            best = run + period - zeros / 2;
    }
    return best;
}

/* How many bytes stand in runs of four and more of the same byte. */
static size_t same_bytes(struct gw_span s)
{
    size_t total = 0, run = 1;

    for (size_t i = 1; i <= s.len; i++) {
        if (i < s.len && s.ptr[i] == s.ptr[i - 1]) {
            run++;
            continue;
        }
        total += run >= 4 && s.ptr[i - 1] != 'A' && s.ptr[i - 1] != '0' ? run : 0;
        run = 1;
    }
    return total;
}

/* Counting or repeating makes up two fifths of it, where chance makes a few bytes in a hundred. */
static bool is_monotonous(struct gw_span s)
{
    enum { LONGEST_PERIOD = 8, FEWEST = 8, MOST = 512 };
    size_t most, n;

    if (s.len > MOST)
        s.len = MOST;
    most = same_bytes(s);
    for (size_t period = 1; period <= LONGEST_PERIOD; period++) {
        n = repeating_bytes(s, period);
        most = n > most ? n : most;
    }
    n = dlp_val_sequential(s);
    most = n > most ? n : most;
    n = counting_bytes(s, 3);
    most = n > most ? n : most;
    return most >= FEWEST && most * 5 >= s.len * 2;
}

bool dlp_val_is_placeholder(struct gw_span s)
{
    if (s.len == 0 || has_template_form(s) || dlp_val_has_word(DLP_WORDS_PLACEHOLDER, s))
        return true;
    return s.len >= 6 && has_two_bytes(s);
}

/* Behind a prefix such as xoxb- stand words and no digit: a sample, as no generator makes it. */
static bool spells_words(struct gw_span s)
{
    size_t from = 0;

    for (size_t i = 0; i < s.len && i < 8; i++)
        if (s.ptr[i] == '-' || s.ptr[i] == '_')
            from = i + 1;
    s = gw_span_from(s, from);
    for (size_t i = 0; i < s.len; i++)
        if (dlp_is_digit(s.ptr[i]))
            return false;
    return s.len >= 12 && dlp_val_wordiness(s) > 0.7;
}

/* What a value that somebody made up loses; 0 for one that looks made by a generator. */
static int sample_points(struct gw_span s)
{
    if (dlp_val_contains(s, "example") && s.len >= 24)
        return -45;
    return is_monotonous(s) || spells_words(s) ? -35 : 0;
}

int dlp_validate_sample(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);

    if (dlp_val_is_placeholder(s))
        return -45;
    return sample_points(s);
}

int dlp_validate_not_placeholder(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);

    /* A name that merely says so is told, low; a hole for the reader to fill is nothing. */
    if (dlp_val_contains(s, "example") && s.len >= 24 && !has_template_mark(s))
        return -45;
    if (dlp_val_is_placeholder(s))
        return DLP_VALIDATE_REJECT;
    return sample_points(s);
}
