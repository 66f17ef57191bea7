/* proxy/cmd/cmd_policy.h - what the two files of `sluice policy` share. */
#ifndef PROXY_CMD_POLICY_H
#define PROXY_CMD_POLICY_H

#include "dlp/dlp.h"
#include "proxy/config/config.h"
#include "proxy/store/principal.h"

/* One request that was tried. Pointers live as long as the command. */
struct cmd_policy_result {
    const struct proxy_config *cfg;
    const struct dlp_rules *rules;
    const struct dlp_doc *doc;
    struct gw_span body;
    struct dlp_report report;
    struct router_input in;
    struct router_decision d;
    struct proxy_principal who;                /* who it is tried as */
    struct gw_span hmac_key;                   /* of the allowlist's HMACs; empty: not known */
    const struct proxy_config_allow **allowed; /* of each finding: the entry, or NULL */
    struct router_would simulated;   /* what the policy of `simulate` would do otherwise */
    const struct gw_json_node *tree; /* of a chat request; NULL: a prompt */
    struct gw_buf complexity;        /* "chars 400 (+4), ..." */
};

/* Print the result on standard output. */
void cmd_policy_print_text(const struct cmd_policy_result *r);
void cmd_policy_print_json(const struct cmd_policy_result *r);

#endif
