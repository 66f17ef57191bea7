/* proxy/admin/admin_guard.c - refused admin keys by address. Main thread.
 *
 * A key has 256 bits, so nobody guesses one; what this bounds is noise, load, and the trying of leaked lists. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/admin/admin_api.h"

enum { ADDRESSES = 256, MAX_FAILURES = 10, WINDOW_S = 60, ADDRESS_BYTES = 46 };

struct seen {
    char address[ADDRESS_BYTES];
    uint64_t since_ns; /* of the first failure of the window */
    unsigned failures;
};

struct admin_guard {
    struct seen seen[ADDRESSES];
};

struct admin_guard *admin_guard_new(void)
{
    return calloc(1, sizeof(struct admin_guard));
}

void admin_guard_free(struct admin_guard *g)
{
    free(g);
}

static struct seen *find(struct admin_guard *g, const char *address)
{
    for (unsigned i = 0; i < ADDRESSES; i++)
        if (g->seen[i].failures != 0 && strcmp(g->seen[i].address, address) == 0)
            return &g->seen[i];
    return NULL;
}

int admin_guard_wait(struct admin_guard *g, const char *address, uint64_t now_ns)
{
    struct seen *s = find(g, address);
    uint64_t age_s;

    if (s == NULL)
        return 0;
    age_s = (now_ns - s->since_ns) / GW_NS_PER_SEC;
    if (age_s >= WINDOW_S) {
        s->failures = 0;
        return 0;
    }
    return s->failures < MAX_FAILURES ? 0 : (int)(WINDOW_S - age_s);
}

void admin_guard_failed(struct admin_guard *g, const char *address, uint64_t now_ns)
{
    struct seen *s = find(g, address), *oldest = &g->seen[0];

    if (s != NULL) {
        s->failures++;
        return;
    }
    for (unsigned i = 0; i < ADDRESSES; i++) {
        if (g->seen[i].failures == 0) {
            oldest = &g->seen[i];
            break;
        }
        if (g->seen[i].since_ns < oldest->since_ns)
            oldest = &g->seen[i];
    }
    memset(oldest, 0, sizeof(*oldest));
    memcpy(oldest->address, address, strnlen(address, ADDRESS_BYTES - 1));
    oldest->since_ns = now_ns;
    oldest->failures = 1;
}
