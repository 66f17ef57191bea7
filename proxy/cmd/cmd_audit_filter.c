/* proxy/cmd/cmd_audit_filter.c - the options of `sluice audit tail | query | export` that say which records. One thread. */
#include <stddef.h>
#include <stdlib.h>

#include "proxy/cmd/cmd_audit.h"

static const struct {
    const char *name;
    size_t at;
} texts[] = {
    {"record", offsetof(struct audit_filter, record)},
    {"request", offsetof(struct audit_filter, request)},
    {"user", offsetof(struct audit_filter, user)},
    {"team", offsetof(struct audit_filter, team)},
    {"rule", offsetof(struct audit_filter, rule)},
    {"class", offsetof(struct audit_filter, class_name)},
    {"action", offsetof(struct audit_filter, action)},
    {"target", offsetof(struct audit_filter, target)},
    {"model", offsetof(struct audit_filter, model)},
    {"zone", offsetof(struct audit_filter, zone)},
    {"end", offsetof(struct audit_filter, end)},
};
_Static_assert(sizeof(texts) / sizeof(texts[0]) == CMD_AUDIT_FILTERS, "each has an option");

static const char **value_of(struct audit_filter *f, int i)
{
    return (const char **)(void *)((char *)f + texts[i].at);
}

void cmd_audit_filter_options(struct option out[CMD_AUDIT_FILTERS])
{
    for (int i = 0; i < CMD_AUDIT_FILTERS; i++)
        out[i] = (struct option){texts[i].name, required_argument, NULL, CMD_AUDIT_OPT_FILTER + i};
}

bool cmd_audit_filter_take(int c, const char *value, struct audit_filter *f)
{
    if (c < CMD_AUDIT_OPT_FILTER || c >= CMD_AUDIT_OPT_FILTER + CMD_AUDIT_FILTERS)
        return false;
    *value_of(f, c - CMD_AUDIT_OPT_FILTER) = value;
    return true;
}

const char *cmd_audit_filter_given(struct audit_filter *f)
{
    for (int i = 0; i < CMD_AUDIT_FILTERS; i++)
        if (*value_of(f, i) != NULL)
            return texts[i].name;
    return NULL;
}
