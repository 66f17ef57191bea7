/* dlp/validate_name.c - what the name in front of a value says of it: client_secret promises a secret,
 * cache_key, token_type and public_key do not; and whether a value is called a hash.
 *
 * A name is cut into its words at _ - . blanks and aCamelHumps; the last word says what the value is (a
 * key_path is a path), the ones before say of what. No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

enum { MAX_NAME = 64, MAX_WORDS = 8 };

static bool is_name_byte(char c)
{
    return dlp_is_alnum(c) || c == '_' || c == '-' || c == '.';
}

/* The name that the match begins in: from the start of its word to its end. */
static struct gw_span name_of(const struct dlp_validate_in *in)
{
    size_t from = in->match_start;
    size_t to;

    while (from > 0 && in->match_start - from < MAX_NAME && is_name_byte(in->text.ptr[from - 1]))
        from--;
    to = from;
    while (to < in->start && to - from < (size_t)2 * MAX_NAME && is_name_byte(in->text.ptr[to]))
        to++;
    return (struct gw_span){in->text.ptr + from, to - from};
}

/* Cuts a name into words; the first MAX_WORDS - 1 and the last are kept. Returns how many. */
static unsigned split(struct gw_span name, struct gw_span *words)
{
    unsigned n = 0;
    size_t from = 0;

    for (size_t i = 0; i <= name.len; i++) {
        bool joint = i == name.len || !dlp_is_alnum(name.ptr[i]);
        bool hump =
            !joint && i > from && dlp_is_upper(name.ptr[i]) && dlp_is_lower(name.ptr[i - 1]);

        if (!joint && !hump)
            continue;
        if (i > from) {
            if (n == MAX_WORDS)
                n--;
            words[n++] = (struct gw_span){name.ptr + from, i - from};
        }
        from = joint ? i + 1 : i;
    }
    return n;
}

int dlp_val_name_score(const struct dlp_validate_in *in)
{
    struct gw_span words[MAX_WORDS];
    unsigned n = split(name_of(in), words);
    int score = 0;

    if (n == 0)
        return 0;
    if (dlp_val_is_word(DLP_WORDS_ABOUT, words[n - 1]))
        return DLP_VALIDATE_REJECT;
    for (unsigned i = 0; i < n; i++)
        if (dlp_val_is_word(DLP_WORDS_STRONG, words[i]))
            score = 6;
    if (gw_span_eq_nocase(words[n - 1], GW_SPAN("id")))
        return -18;
    for (unsigned i = 0; i + 1 < n && score == 0; i++)
        if (dlp_val_is_word(DLP_WORDS_PLAIN, words[i]))
            return -30;
    return score;
}

/* A line of a table of checksums: nothing but hexadecimal digits in front of a blank and a name. */
static bool is_checksum_line(const struct dlp_validate_in *in)
{
    size_t from = in->start;

    for (size_t i = in->start; i < in->end; i++)
        if (dlp_hex_value(in->text.ptr[i]) < 0)
            return false;
    while (from > 0 && in->start - from < 8 && in->text.ptr[from - 1] == ' ')
        from--;
    return (from == 0 || in->text.ptr[from - 1] == '\n') && dlp_val_char(in, in->end) == ' ' &&
           in->end < in->text.len;
}

/* The value holds the name of its hash (sha256=47DEQpj8..., of Python's lists of installed files), or Go's stands in front (h1:...). */
static bool names_its_hash(const struct dlp_validate_in *in)
{
    const char *p = in->text.ptr;
    size_t end = in->start;

    while (end < in->end && end - in->start < 12 && dlp_is_alnum(p[end]))
        end++;
    if (end < in->end && (p[end] == '=' || p[end] == '-') &&
        dlp_val_has_word(DLP_WORDS_HASH, (struct gw_span){p + in->start, end - in->start}))
        return true;
    return in->start >= 4 && memcmp(p + in->start - 4, " h1:", 4) == 0;
}

/* sha256:..., integrity="..., commit ...: right in front of the value, within a few words. */
bool dlp_val_is_called_hash(const struct dlp_validate_in *in)
{
    size_t from = in->start > 24 ? in->start - 24 : 0;
    struct gw_span before = {in->text.ptr + from, in->start - from};
    const char *nl = before.len > 0 ? memrchr(before.ptr, '\n', before.len) : NULL;

    if (is_checksum_line(in) || names_its_hash(in))
        return true;
    if (nl != NULL)
        before = gw_span_from(before, (size_t)(nl + 1 - before.ptr));
    return dlp_val_has_word(DLP_WORDS_HASH, before);
}
