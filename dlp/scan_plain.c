/* dlp/scan_plain.c - numbers of plain digits, which nothing separates: dozens of number systems have as many. What a match there would be is
 * known without a matcher, so their checksums are asked first, and nine of ten need no more. And what begins at a place where a view says
 * that a number does. Thread: the scanner's. */
#include <string.h>

#include "dlp/rulec_regex.h"
#include "dlp/scan.h"

static bool is_digit(unsigned char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* The digits at `at`, or one more of them than a number system can have. */
static const struct dlp_digits *digits_at(struct scan_leaf *x, size_t at)
{
    const char *text = x->text.ptr + at;
    const size_t most =
        x->text.len - at <= DLP_DIGITS_MAX ? x->text.len - at : (size_t)DLP_DIGITS_MAX + 1;
    size_t n = 0;

    if (x->digits.text == text)
        return &x->digits;
    while (n < most && is_digit((unsigned char)text[n]))
        n++;
    dlp_digits_read((struct gw_span){text, n}, &x->digits);
    return &x->digits;
}

bool scan_is_refused(struct scan_leaf *x, uint32_t pattern, size_t at)
{
    const struct bundle_plain *plain = x->plain == NULL ? NULL : &x->plain[pattern];
    const struct bundle_pattern *p = &x->rules->b->patterns[pattern];
    const unsigned char *text = (const unsigned char *)x->text.ptr;
    const struct dlp_digits *digits;

    if (plain == NULL || (plain->scheme == NULL && !plain->is_card) || !is_digit(text[at]))
        return false;
    if (plain->is_card && at > 0 && is_digit(text[at - 1]))
        return true;
    digits = digits_at(x, at);
    if (digits->n <= DLP_DIGITS_MAX && at + digits->n < x->text.len &&
        rx_set_has(&x->rules->b->sets[p->holds], text[at + digits->n]))
        return false;
    if (digits->n > DLP_DIGITS_MAX)
        return p->longest <= DLP_DIGITS_MAX;
    x->work += digits->n;
    return plain->scheme != NULL ? !dlp_id_has_digits(plain->scheme, digits)
                                 : scan_is_rejected(x, p->rule, at, at + digits->n);
}

/* Tries at `at` the patterns of numbers among the starts of bits, each once. */
static void try_numbers(struct scan_leaf *x, const struct prefilter_start *starts, uint64_t bits,
                        size_t at)
{
    uint32_t last = UINT32_MAX;

    for (; bits != 0 && x->st == GW_OK; bits &= bits - 1) {
        uint32_t pattern = starts[__builtin_ctzll(bits)].pattern;

        if (pattern != last && x->rules->is_number[pattern])
            scan_try(x, pattern, at);
        last = pattern;
    }
}

void scan_numbers_at(struct scan_leaf *x, size_t at)
{
    enum { ANYTHING = PREFILTER_DIGIT | PREFILTER_COLON };
    const struct prefilter *f = x->filter;
    unsigned char tail[BUNDLE_HEAD_BYTES];
    const unsigned char *p = (const unsigned char *)x->text.ptr + at;

    if (!bundle_begins_number(*p))
        return;
    if (x->text.len - at < sizeof(tail)) {
        memset(tail, 0, sizeof(tail));
        memcpy(tail, p, x->text.len - at);
        p = tail;
    }
    for (unsigned i = 0; i < x->rules->n_numbers && x->st == GW_OK; i++)
        if (scan_fits(x, x->rules->numbers[i], at))
            scan_try(x, x->rules->numbers[i], at);
    if (f->start_words == 1) {
        try_numbers(x, f->starts, prefilter_starts_one(f, p, ANYTHING), at);
        return;
    }
    for (unsigned first = 0; first < f->start_words; first += PREFILTER_ROW_WORDS) {
        uint64_t alive[PREFILTER_ROW_WORDS];

        if (f->allowed(f, p, ANYTHING, first, alive))
            for (unsigned k = 0; k < PREFILTER_ROW_WORDS; k++)
                try_numbers(x, f->starts + (size_t)(first + k) * 64, alive[k], at);
    }
}
