/* dlp/rulec_gram_rate.c - how often text has four characters in a row, by the table of rulec_grams.c.
 * Thread: any; the index is made once. */
#include <pthread.h>
#include <string.h>

#include "dlp/rulec_anchor.h"

enum { SLOTS = 8192, GRAM_BYTES = 4 };

/* Open addressing; the table fills less than half of it. A rate of 0: empty. */
static struct {
    uint8_t gram[GRAM_BYTES];
    float rate;
} slots[SLOTS];

static unsigned slot_of(const uint8_t gram[GRAM_BYTES])
{
    uint32_t key = 0;
    unsigned i;

    memcpy(&key, gram, sizeof(key));
    i = (key * 0x9E3779B1u) >> 19;
    while (slots[i].rate > 0 && memcmp(slots[i].gram, gram, sizeof(slots[i].gram)) != 0)
        i = (i + 1) % SLOTS;
    return i;
}

static void learn(void)
{
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
        }
    }
}

double rulec_gram_rate(const uint8_t gram[BUNDLE_WINDOW_BYTES])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, learn);
    return slots[slot_of(gram)].rate;
}
