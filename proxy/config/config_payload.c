/* proxy/config/config_payload.c - `audit.payload:`, what records hold of what was asked and answered. Runs in a load, on that
 * thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hpke.h"
#include "proxy/config/config_private.h"

enum { SEALED = 3 /* of the key's choices */ };

void config_walk_payload(struct config_load *l, const struct gw_yaml_node *node)
{
    struct proxy_config_payload *lines = config_alloc(l, node->n_children, sizeof(*lines));
    unsigned n = 0;

    if (lines == NULL)
        return;
    for (const struct gw_yaml_node *c = node->first_child; c != NULL; c = c->next) {
        struct proxy_config_payload *p = &lines[n++];

        p->line = c->line;
        config_set_defaults(l, "audit.payload[].", p);
        config_walk(l, c, "audit.payload[]", p);
    }
    l->cfg->audit.payload = lines;
    l->cfg->audit.n_payload = n;
}

static bool says_nothing(const struct proxy_config_payload *p)
{
    return p->teams.n + p->users.n + p->groups.n + p->keys.n + p->models.n + p->targets.n == 0;
}

void config_check_payload(struct config_load *l)
{
    const struct proxy_config *cfg = l->cfg;

    for (unsigned i = 0; i < cfg->audit.n_payload; i++) {
        const struct proxy_config_payload *p = &cfg->audit.payload[i];

        if (p->level == SEALED && cfg->audit.auditor_key[0] == '\0')
            config_complain_item(l, p->line, "audit.payload", i,
                                 "level sealed needs audit.auditor_key: the public key of who may "
                                 "read it");
        if (says_nothing(p) && i + 1 < cfg->audit.n_payload)
            config_complain_item(l, cfg->audit.payload[i + 1].line, "audit.payload", i + 1,
                                 "is never reached: the line before is about every request");
    }
}

const char *config_auditor_fault(const char *path, char *room, size_t size)
{
    unsigned char key[GW_X25519_BYTES];
    struct gw_err err = {0};
    char pem[16384];
    FILE *f;
    size_t n;

    if (path[0] == '\0')
        return NULL;
    f = fopen(path, "re");
    if (f == NULL) {
        (void)snprintf(room, size, "%s: %s", path, strerrordesc_np(errno));
        return room;
    }
    n = fread(pem, 1, sizeof(pem), f);
    (void)fclose(f);
    if (gw_x25519_read_public((struct gw_span){pem, n}, key, &err) == GW_OK)
        return NULL;
    (void)snprintf(room, size, "%s: %s", path, err.text);
    return room;
}
