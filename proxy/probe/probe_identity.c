/* proxy/probe/probe_identity.c - where the keys of token issuers come from. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/probe/probe.h"
#include "proxy/probe/probe_http.h"

static void probe_url(const struct proxy_config_jwt *j, struct probe_row *row)
{
    const struct proxy_config_target t = {
        .name = "auth.jwt", .ca = j->ca, .connect_ms = PROBE_TIMEOUT_S * 1000L};
    struct probe_get g = {.target = &t, .text = j->jwks, .path = ""};

    probe_http(&g);
    if (g.problem != PROBE_NONE)
        (void)snprintf(row->found, sizeof(row->found), "%s", g.why);
    else
        (void)snprintf(row->found, sizeof(row->found), "keys: answers %u in %u ms", g.status, g.ms);
    if (g.problem != PROBE_NONE || g.status != 200)
        probe_bad(row, PROBE_FAIL,
                  "tokens of this issuer are refused while its keys cannot be fetched: is `jwks` "
                  "right, and reached from here? `ca` names a file of issuers to trust");
    if (g.has_days)
        probe_expiry(row, g.days);
}

void probe_identity(const struct proxy_config *cfg, struct probe_report *r)
{
    for (unsigned i = 0; i < cfg->auth.n_jwt; i++) {
        const struct proxy_config_jwt *j = &cfg->auth.jwt[i];
        struct probe_row *row = probe_row(r, "auth.jwt, %.80s", j->issuer);

        if (row == NULL)
            return;
        if (strncmp(j->jwks, "https://", 8) == 0 || strncmp(j->jwks, "http://", 7) == 0) {
            probe_url(j, row);
        } else {
            (void)snprintf(row->found, sizeof(row->found), "keys in a file");
            if (access(j->jwks, R_OK) != 0)
                probe_bad(row, PROBE_FAIL, "%.150s cannot be read", j->jwks);
        }
    }
}
