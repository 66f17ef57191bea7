/* dlp/validate_alone.c - is the number all there is? A field of a form, a JSON member, a line typed into a chat.
 *
 * A number with a good checksum proves little in running text, where numbers are frequent. Alone in its text it was
 * put there to be read as what it is. The key above the text may say that it is something else: then it is not
 * taken for an identifier without a word that says so. No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

/* Names of members whose text may be anything: what people type. */
static bool is_open_key(struct gw_span key)
{
    static const char *const open[] = {
        "content", "text",    "input", "prompt",    "message", "query", "value", "body",
        "data",    "content", "parts", "arguments", "number",  "field", "cell",  "answer"};

    if (key.len == 0)
        return true;
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        if (gw_span_eq_nocase(key, gw_span_str(open[i])))
            return true;
    return false;
}

/* Does a character of a word begin with this byte? */
static inline unsigned begins_character(unsigned char c)
{
    return (unsigned)((unsigned char)((c | 0x20) - 'a') < 26) |
           (unsigned)((unsigned char)(c - '0') < 10) | (unsigned)(c >= 0xC0);
}

/* Characters of words in [from, to); it stops somewhere behind max. */
static unsigned count(const struct dlp_validate_in *in, size_t from, size_t to, unsigned max)
{
    enum { BLOCK = 32 };
    const unsigned char *text = (const unsigned char *)in->text.ptr;
    unsigned n = 0;
    size_t i = from;

    for (; to - i >= BLOCK && n <= max; i += BLOCK) {
        unsigned char of = 0;

        /* Without branches, so that the compiler does many at once. */
        for (unsigned k = 0; k < BLOCK; k++)
            of = (unsigned char)(of + begins_character(text[i + k]));
        n += of;
    }
    for (; i < to && n <= max; i++)
        n += begins_character(text[i]);
    return n;
}

/* Bytes besides the match in which max letters can be. */
static size_t most_besides(unsigned max)
{
    return (size_t)max * 4 + 24;
}

/* 0.0123..., as an array of numbers has many: a fraction, which no identifier is written like. */
static bool is_fraction(const struct dlp_validate_in *in)
{
    struct gw_span t = {in->text.ptr + in->start, in->end - in->start};

    if (t.len > 0 && t.ptr[0] == '-')
        t = gw_span_from(t, 1);
    if (t.len < 3 || t.ptr[0] != '0' || t.ptr[1] != '.')
        return false;
    for (size_t i = 2; i < t.len; i++)
        if (!dlp_is_digit(t.ptr[i]))
            return false;
    return true;
}

/* At most `max` letters and digits beside the match, in a text short enough to say so. */
static bool is_alone(const struct dlp_validate_in *in, unsigned max)
{
    unsigned n;

    if (in->text.len - (in->end - in->start) > most_besides(max) || !is_open_key(in->key) ||
        is_fraction(in))
        return false;
    n = count(in, 0, in->start, max);
    return n <= max && n + count(in, in->end, in->text.len, max) <= max;
}

int dlp_validate_alone(const struct dlp_validate_in *in)
{
    return is_alone(in, (unsigned)in->num) ? 0 : DLP_VALIDATE_REJECT;
}

int dlp_validate_alone_adds(const struct dlp_validate_in *in)
{
    return is_alone(in, 3) ? (int)in->num : 0;
}

size_t dlp_validate_most_besides(const char *name, double num)
{
    return strcmp(name, "alone") == 0 ? most_besides((unsigned)num) : SIZE_MAX;
}
