/* Fuzz target: messages of a topic, a line each, as anybody may have put them there: records that are none, sequences in any order,
 * links to anything. What a chain counts adds up, and it holds no more than it may. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/kafka_read.h"
#include "audit/topic_chain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *nowhere;
    struct verify_tally t = {0};
    struct topic_chain c = {.name = "fuzz/1.0", .t = &t};
    struct gw_span rest = {(const char *)data, size};
    uint64_t n = 0;

    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "we");
    t.out = nowhere;
    while (rest.len != 0) {
        const char *nl = memchr(rest.ptr, '\n', rest.len);
        struct kafka_message m = {
            .value = {rest.ptr, nl == NULL ? rest.len : (size_t)(nl - rest.ptr)}};
        struct spool_rec rec;

        rest = gw_span_from(rest, m.value.len + 1);
        if (!kafka_read_record(&m, &rec))
            continue;
        if (rec.seq == 0 || rec.payload.len != m.value.len)
            abort();
        n++;
        if (topic_chain_take(&c, &rec) != GW_OK)
            break;
    }
    topic_chain_end(&c);
    if (c.n_waiting != 0 || c.records + c.repeated > n || (n != 0 && c.records == 0))
        abort();
    topic_chain_fini(&c);
    return 0;
}
