/* dlp/scan_word.c - context words in a text: whole words, however they are joined. Thread: any; no state. */
#include "dlp/scan.h"

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_upper(unsigned char c)
{
    return c >= 'A' && c <= 'Z';
}

/* True when a word can begin at `at`: behind no letter or digit, or at a camel's hump. */
static bool word_starts(const unsigned char *t, size_t at)
{
    return at == 0 || !is_alnum(t[at - 1]) || t[at] >= 0x80 ||
           (is_upper(t[at]) && !is_upper(t[at - 1]));
}

static bool word_ends(const unsigned char *t, size_t len, size_t at)
{
    return at == len || !is_alnum(t[at]) || t[at - 1] >= 0x80 ||
           (is_upper(t[at]) && !is_upper(t[at - 1]));
}

static bool is_joint(unsigned char c)
{
    return c == ' ' || c == '_' || c == '-' || c == '.' || (c >= '\t' && c <= '\r');
}

/* True when word stands at `at`; a joint or a hump in it stands for any joints, or none. */
static bool word_at(struct gw_span text, size_t at, const struct bundle_text *word)
{
    const unsigned char *t = (const unsigned char *)text.ptr;

    for (uint32_t i = 0; i < word->len; i++) {
        unsigned char c = (unsigned char)word->ptr[i];
        bool hump = i > 0 && is_upper(c) && !is_upper((unsigned char)word->ptr[i - 1]);

        while ((is_joint(c) || hump) && at < text.len && is_joint(t[at]))
            at++;
        if (is_joint(c))
            continue;
        if (at == text.len || gw_ascii_lower(text.ptr[at]) != gw_ascii_lower(word->ptr[i]))
            return false;
        at++;
    }
    return word_ends(t, text.len, at);
}

const struct bundle_text *scan_find_word(struct gw_span text, size_t from, size_t to,
                                         const struct bundle_text *words,
                                         const struct bundle_slots *slots)
{
    const unsigned char *t = (const unsigned char *)text.ptr;

    text.len = to;
    for (size_t at = from; at < to; at++) {
        unsigned slot = t[at] & 31; /* of both cases */
        unsigned second = at + 1 < to ? t[at + 1] & 31 : 0;

        if ((slots->pair[slot] >> second & 1) == 0 || !word_starts(t, at))
            continue;
        for (unsigned i = slots->first[slot]; i < slots->first[slot + 1]; i++)
            if (word_at(text, at, &words[i]))
                return &words[i];
    }
    return NULL;
}
