/* dlp/rulec_frequency.c - how often text has bytes, roughly. Thread: any. */
#include <pthread.h>
#include <string.h>

#include "dlp/rulec_anchor.h"

/* How often a byte stands in prose, chat and code, roughly. */
static double byte_frequency(unsigned b)
{
    static const double letters[26] = {.060, .012, .024, .030, .094, .018, .016, .035, .056,
                                       .003, .008, .034, .022, .054, .060, .018, .002, .050,
                                       .052, .072, .024, .009, .014, .004, .014, .003};

    if (b >= 'a' && b <= 'z')
        return letters[b - 'a'];
    if (b >= 'A' && b <= 'Z')
        return letters[b - 'A'] * .06 + .0005;
    if (b >= '0' && b <= '9')
        return .004;
    if (b == ' ')
        return .16;
    if (b == '\n')
        return .02;
    if (b != '\0' && b < 128 && strchr(".,-_()\"'=/:;*<>\\", (int)b) != NULL)
        return .006;
    return b >= 128 ? .0004 : .0006;
}

double rulec_set_frequency(const struct bundle_set *s)
{
    double sum = 0;

    for (unsigned i = 0; i < 8; i++)
        for (uint32_t w = s->w[i]; w != 0; w &= w - 1)
            sum += byte_frequency(i * 32 + (unsigned)__builtin_ctz(w));
    return sum;
}

static enum rulec_kind kind_of(unsigned b)
{
    if (b >= 'a' && b <= 'z')
        return RULEC_LOWER;
    if (b >= 'A' && b <= 'Z')
        return RULEC_UPPER;
    if (b >= '0' && b <= '9')
        return RULEC_DIGIT;
    return b == ' ' || (b >= '\t' && b <= '\r') ? RULEC_SPACE : RULEC_OTHER;
}

/* Frequencies of all bytes and kinds, worked out once: opening rules asks for them a million times. */
static struct {
    double of[256], all[RULEC_KINDS];
    unsigned char kind[256];
} known;

static void learn(void)
{
    for (unsigned b = 0; b < 256; b++) {
        known.of[b] = byte_frequency(b);
        known.kind[b] = (unsigned char)kind_of(b);
        known.all[known.kind[b]] += known.of[b];
    }
}

void rulec_kind_shares(const struct bundle_set *s, double share[RULEC_KINDS])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    double in[RULEC_KINDS] = {0};

    (void)pthread_once(&once, learn);
    for (unsigned i = 0; i < 8; i++) {
        for (uint32_t w = s->w[i]; w != 0; w &= w - 1) {
            unsigned b = i * 32 + (unsigned)__builtin_ctz(w);

            in[known.kind[b]] += known.of[b];
        }
    }
    for (unsigned k = 0; k < RULEC_KINDS; k++)
        share[k] = in[k] / known.all[k];
}
