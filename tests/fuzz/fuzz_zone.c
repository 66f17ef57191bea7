/* A time zone's file (TZif): whatever it holds, what is made of it ascends. */
#include <stddef.h>
#include <stdint.h>

#include "proxy/config/config_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_arena *arena = gw_arena_new((size_t)8 << 20);
    struct router_zone zone = {0};

    if (arena != NULL &&
        config_zone_parse(arena, (struct gw_span){(const char *)data, size}, &zone))
        for (unsigned i = 1; i < zone.n; i++)
            if (zone.from_s[i] <= zone.from_s[i - 1])
                __builtin_trap();
    gw_arena_free(arena);
    return 0;
}
