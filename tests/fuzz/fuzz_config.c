/* Fuzz target of proxy/config/config*.c: any text gives a configuration or a reported error, and the policy that
 * comes out of it decides anything without leaving its zones. */
#include <stdint.h>
#include <stdlib.h>

#include "proxy/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, bool warning, const char *message)
{
    unsigned *n = ctx;

    if (message[0] == '\0')
        abort();
    *n += !warning;
}

static void try_decisions(const struct proxy_config *cfg)
{
    struct router_finding findings[GW_CLASS_COUNT];
    uint8_t actions[GW_CLASS_COUNT], always[GW_CLASS_COUNT];
    static const char *const models[] = {"auto", "gpt-4o", "", "x"};

    for (unsigned i = 0; i < GW_CLASS_COUNT; i++)
        findings[i] = (struct router_finding){.rule = GW_SPAN("rule-id"),
                                              .class_ = (enum gw_class)i,
                                              .severity = GW_SEVERITY_HIGH,
                                              .confidence = 60 + i};
    for (unsigned i = 0; i < 4; i++) {
        struct router_input in = {
            .model = gw_span_str(models[i]), .findings = findings, .n_findings = i * 2};
        struct router_decision d = {.actions = actions, .always = always};

        router_decide(cfg->policy, &in, &d);
        for (unsigned k = 0; k < d.n_choices; k++)
            if (d.blocked || d.choices[k] >= cfg->n_targets ||
                ((unsigned)cfg->targets[d.choices[k]].zone & d.zones) == 0)
                abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_config *cfg = NULL;
    struct gw_err err = {0};
    unsigned n_errors = 0;
    enum gw_status st;

    (void)unsetenv("OPENAI_API_KEY");
    st = proxy_config_parse((struct gw_span){(const char *)data, size}, "fuzz.yaml",
                            PROXY_CONFIG_NO_SECRETS, &cfg, count, &n_errors, &err);
    if ((st == GW_OK) != (cfg != NULL) || (st == GW_OK && n_errors > 0) ||
        (st == GW_EINVAL && n_errors == 0))
        abort();
    if (cfg != NULL)
        try_decisions(cfg);
    proxy_config_free(cfg);
    return 0;
}
