/* audit/print_ring.c - see print_ring.h. Each entry is a sequence lock (Boehm, "Can Seqlocks Get Along With Programming Language
 * Memory Models?", 2012): a reader that saw the same sequence before and after has read one fingerprint. */
#include "audit/print_ring.h"

#include <string.h>

void print_ring_put(struct print_ring *r, uint64_t seq,
                    const unsigned char print[SPOOL_PRINT_BYTES])
{
    struct print_ring_entry *e = &r->entries[seq % PRINT_RING_RECORDS];

    atomic_store_explicit(&e->seq, 0, memory_order_relaxed);
    for (unsigned i = 0; i < PRINT_RING_WORDS; i++) {
        uint64_t w;

        memcpy(&w, print + i * sizeof(w), sizeof(w));
        atomic_store_explicit(&e->words[i], w, memory_order_release); /* behind the 0 */
    }
    atomic_store_explicit(&e->seq, seq, memory_order_release);
}

bool print_ring_get(const struct print_ring *r, uint64_t seq,
                    unsigned char print[SPOOL_PRINT_BYTES])
{
    const struct print_ring_entry *e = &r->entries[seq % PRINT_RING_RECORDS];
    uint64_t words[PRINT_RING_WORDS];

    if (atomic_load_explicit(&e->seq, memory_order_acquire) != seq)
        return false;
    for (unsigned i = 0; i < PRINT_RING_WORDS; i++)
        words[i] =
            atomic_load_explicit(&e->words[i], memory_order_acquire); /* before the second look */
    if (atomic_load_explicit(&e->seq, memory_order_relaxed) != seq)
        return false;
    memcpy(print, words, sizeof(words));
    return true;
}
