/* dlp/rulec_gram_rate.c - how often text has four characters in a row, by the table of rulec_grams.c, or two marks, which that has not.
 * Thread: any; the index is made once. */
#include <pthread.h>
#include <string.h>

#include "dlp/rulec_anchor.h"

enum { SLOTS_LOG2 = 14, SLOTS = 1 << SLOTS_LOG2, GRAM_BYTES = 4 };

/* Open addressing; the table fills less than half of it. Rates of 0: empty. */
static struct {
    uint8_t gram[GRAM_BYTES];
    float rate, behind; /* at the beginning and at the end of the table's grams */
} slots[SLOTS];

/* Two marks in a row and how often they stand in prose, code or chat JSON, whatever has more of them, in a million characters. Counted in
 * the texts of tests/bench/dlp/corpora.py. */
static const struct {
    char pair[3];
    uint16_t rate;
} marks[] = {
    {"\\\\", 22000}, {"\\-", 10000}, {"\\\"", 6600}, {"--", 4000}, {".\\", 3700}, {"\":", 2600},
    {");", 2400},    {"',", 1400},   {"))", 1700},   {"//", 400},  {"::", 1600},  {"**", 1400},
    {"\",", 1300},   {"``", 1300},   {"/*", 1200},   {"*/", 1200}, {"),", 1100},  {"=>", 1000},
    {"__", 900},     {"\"\"", 900},  {"..", 800},    {"},", 800},  {"((", 600},   {"()", 600},
    {"->", 400},     {"</", 400},    {").", 300},    {":/", 300},  {"('", 240},   {"')", 220},
    {"+=", 200},     {".=", 200},
};

static unsigned slot_of(const uint8_t gram[GRAM_BYTES])
{
    uint32_t key = 0;
    unsigned i;

    memcpy(&key, gram, sizeof(key));
    i = (key * 0x9E3779B1u) >> (32 - SLOTS_LOG2);
    while (slots[i].rate + slots[i].behind > 0 &&
           memcmp(slots[i].gram, gram, sizeof(slots[i].gram)) != 0)
        i = (i + 1) % SLOTS;
    return i;
}

static void learn(void)
{
    for (unsigned i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        uint8_t gram[GRAM_BYTES] = {(uint8_t)marks[i].pair[0], (uint8_t)marks[i].pair[1]};
        unsigned slot = slot_of(gram);

        memcpy(slots[slot].gram, gram, sizeof(gram));
        slots[slot].rate = (float)marks[i].rate * 1e-6F;
    }
    for (unsigned band = 0; band < RULEC_GRAM_BANDS; band++) {
        for (unsigned i = 0; i < rulec_grams[band].n; i++) {
            uint8_t gram[GRAM_BYTES];

            memcpy(gram, rulec_grams[band].text + (size_t)i * GRAM_BYTES, sizeof(gram));
            /* Of all four, and of the first three and two. */
            for (unsigned n = GRAM_BYTES; n > 1; gram[--n] = 0) {
                unsigned slot = slot_of(gram);

                memcpy(slots[slot].gram, gram, sizeof(gram));
                slots[slot].rate += (float)rulec_grams[band].rate;
            }
            /* Those that end with these three or two. */
            for (unsigned from = 1; from + 1 < GRAM_BYTES; from++) {
                uint8_t end[GRAM_BYTES] = {0};
                unsigned slot;

                memcpy(end, rulec_grams[band].text + (size_t)i * GRAM_BYTES + from,
                       GRAM_BYTES - from);
                slot = slot_of(end);
                memcpy(slots[slot].gram, end, sizeof(end));
                slots[slot].behind += (float)rulec_grams[band].rate;
            }
        }
    }
}

double rulec_gram_rate(const uint8_t gram[BUNDLE_WINDOW_BYTES])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    unsigned slot;

    (void)pthread_once(&once, learn);
    slot = slot_of(gram);
    return slots[slot].rate > slots[slot].behind ? slots[slot].rate : slots[slot].behind;
}
