/* proxy/config_default.c - what holds without a configuration, as the YAML that would say it.
 *
 * A configuration without `targets` or `policy` gets the ones below. Constant data. */
#include "proxy/config_private.h"

static const char text[] =
    "# What Sluice does without a configuration. Every other key has the default that "
    "docs/config.md\n"
    "# names. When OPENAI_API_KEY is set, there is a second target:\n"
    "#   openai: { kind: openai, base_url: https://api.openai.com/v1, key: env:OPENAI_API_KEY,\n"
    "#             zone: approved, default_model: gpt-4o-mini }\n"
    "targets:\n"
    "  local: { kind: engine, model: models/smollm2-135m-instruct-q4_1.gguf, zone: process }\n"
    "\n"
    "# routes: `auto` goes by complexity, every other model to the targets that take it.\n"
    "\n"
    "policy:\n"
    "  - { name: secrets,   when: { class: secret }, then: redact }\n"
    "  - { name: health,    when: { class: phi }, then: { zone: [process, private], else: block } "
    "}\n"
    "  - { name: personal,  when: { class: [pii, financial], confidence: \">=60\" }, then: "
    "tokenize }\n"
    "  - { name: source,    when: { class: source_code }, then: alert }\n"
    "  - { name: injection, when: { class: injection }, then: alert }\n";

/* Added to the targets above when the environment has OPENAI_API_KEY. */
static const char openai_text[] =
    "targets:\n"
    "  openai: { kind: openai, base_url: https://api.openai.com/v1, key: env:OPENAI_API_KEY,\n"
    "            zone: approved, default_model: gpt-4o-mini }\n";

struct gw_span proxy_config_default_text(void)
{
    return (struct gw_span){text, sizeof(text) - 1};
}

struct gw_span config_default_openai(void)
{
    return (struct gw_span){openai_text, sizeof(openai_text) - 1};
}
