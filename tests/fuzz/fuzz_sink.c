/* What receivers of audit records answer: Splunk's event collector, its acknowledgements, Elastic's _bulk. Whatever they send,
 * what is read out of it is within its bounds, and no error type holds anything but lower-case words. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proxy/sink/answers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gw_json *j;
    struct gw_span text = {(const char *)data, size};
    struct elastic_item items[9];
    struct elastic_answer e;
    struct splunk_answer s;
    int acked;

    if (j == NULL)
        j = gw_json_new();
    memset(items, 0x5A, sizeof(items));
    if (splunk_read(j, text, &s) && (!s.has_code || s.code > 999999999999999))
        __builtin_trap();
    acked = splunk_acked(j, text, 17);
    if (acked < -1 || acked > 1)
        __builtin_trap();
    if (!elastic_read(j, text, items, 8, &e))
        return 0;
    if (items[8].status != 0x5A5A5A5A)
        __builtin_trap();
    for (unsigned i = 0; i < e.n_items && i < 8; i++) {
        size_t n = strspn(items[i].type, "abcdefghijklmnopqrstuvwxyz_0123456789");

        if (items[i].status >= 1000 || n >= sizeof(items[i].type) || items[i].type[n] != '\0')
            __builtin_trap();
    }
    return 0;
}
