/* proxy/config/config_default.c - what holds without a configuration, as the YAML that would say it.
 *
 * A configuration without `targets` or `policy` gets the ones below. Constant data. */
#include "proxy/config/config_private.h"

// clang-format off
static const char text[] =
    "# What Sluice does without a configuration. Every other key has the default that docs/config.md names. There are more\n"
    "# targets when what they need is there: the folder of the embedding model, or a key in the environment:\n"
    "#   embeddings: { kind: engine, model: models/all-minilm-l6-v2, zone: process, models: [all-minilm-l6-v2] }\n"
    "#   claude: { kind: anthropic, key: env:ANTHROPIC_API_KEY, zone: approved, models: [\"claude-*\"],\n"
    "#             default_model: claude-sonnet-4-5 }\n"
    "#   gemini: { kind: gemini, key: env:GEMINI_API_KEY, zone: approved, models: [\"gemini-*\"],\n"
    "#             default_model: gemini-2.5-flash }\n"
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

// clang-format on

const struct config_extra config_extras[] = {
    {NULL, "all-minilm-l6-v2",
     "targets:\n"
     "  embeddings: { kind: engine, model: models/all-minilm-l6-v2, zone: process, models: "
     "[all-minilm-l6-v2] }\n"},
    {"ANTHROPIC_API_KEY", NULL,
     "targets:\n"
     "  claude: { kind: anthropic, key: env:ANTHROPIC_API_KEY, zone: approved,\n"
     "            models: [\"claude-*\"], default_model: claude-sonnet-4-5 }\n"},
    {"GEMINI_API_KEY", NULL,
     "targets:\n"
     "  gemini: { kind: gemini, key: env:GEMINI_API_KEY, zone: approved,\n"
     "            models: [\"gemini-*\"], default_model: gemini-2.5-flash }\n"},
    {"OPENAI_API_KEY", NULL,
     "targets:\n"
     "  openai: { kind: openai, base_url: https://api.openai.com/v1, key: env:OPENAI_API_KEY,\n"
     "            zone: approved, default_model: gpt-4o-mini }\n"},
    {NULL, NULL, NULL},
};

struct gw_span proxy_config_default_text(void)
{
    return (struct gw_span){text, sizeof(text) - 1};
}
