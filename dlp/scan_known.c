/* dlp/scan_known.c - short strings that bodies are full of: names of members, roles, types. A string in which no pattern of the
 * rules has a match, whatever stands around it, is scanned once. Thread: the scanner's. */
#include <string.h>

#include "dlp/scan.h"

/* Each is shorter than anything that a view is made of. The first byte and the length should tell most apart. */
static const char *const strings[] = {
    "model",
    "messages",
    "role",
    "content",
    "user",
    "assistant",
    "system",
    "developer",
    "tool",
    "tools",
    "type",
    "text",
    "input",
    "input_text",
    "output_text",
    "instructions",
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "stream",
    "stream_options",
    "include_usage",
    "stop",
    "seed",
    "n",
    "name",
    "function",
    "functions",
    "description",
    "parameters",
    "properties",
    "required",
    "object",
    "string",
    "integer",
    "number",
    "boolean",
    "array",
    "items",
    "enum",
    "tool_calls",
    "tool_call_id",
    "tool_choice",
    "tool_use",
    "tool_result",
    "tool_use_id",
    "arguments",
    "id",
    "auto",
    "none",
    "response_format",
    "json_object",
    "json_schema",
    "input_schema",
    "schema",
    "strict",
    "additionalProperties",
    "image_url",
    "url",
    "detail",
    "source",
    "media_type",
    "data",
    "contents",
    "parts",
    "generationConfig",
    "maxOutputTokens",
    "presence_penalty",
    "frequency_penalty",
    "cache_control",
    "ephemeral",
    "metadata",
    "prompt",
    "message",
    /* Names of models. */
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4.1",
    "gpt-4.1-mini",
    "gpt-5",
    "gpt-5-mini",
    "claude-opus-4-1",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "mistral-large-latest",
};

enum { N_STRINGS = sizeof(strings) / sizeof(strings[0]) };
_Static_assert((int)N_STRINGS <= (int)SCAN_KNOWN, "room in struct scan_known");

/* Where a string of that first byte and length is looked for first. */
static unsigned slot_of(struct gw_span text)
{
    return ((unsigned char)text.ptr[0] * 5U + (unsigned)text.len * 37U +
            (unsigned char)text.ptr[text.len - 1] * 11U) %
           SCAN_KNOWN_SLOTS;
}

/* Puts the strings into their slots, and forgets what is known of them. */
static void fill(struct scan_known *k)
{
    memset(k, 0, sizeof(*k));
    for (unsigned i = 0; i < N_STRINGS; i++) {
        unsigned slot = slot_of(gw_span_str(strings[i]));

        while (k->slot[slot] != 0)
            slot = (slot + 1) % SCAN_KNOWN_SLOTS;
        k->slot[slot] = (uint8_t)(i + 1);
        k->len[i] = (uint8_t)strlen(strings[i]);
    }
}

bool *scan_known(struct dlp_scanner *s, const struct dlp_rules *rules, struct gw_span text)
{
    struct scan_known *k = &s->known;

    if (text.len == 0 || text.len >= VIEW_BLOB_MIN)
        return NULL;
    if (k->serial != rules->serial) {
        fill(k);
        k->serial = rules->serial;
    }
    for (unsigned slot = slot_of(text); k->slot[slot] != 0; slot = (slot + 1) % SCAN_KNOWN_SLOTS) {
        unsigned i = k->slot[slot] - 1U;

        if (k->len[i] == text.len && memcmp(strings[i], text.ptr, text.len) == 0)
            return &k->clean[i];
    }
    return NULL;
}
