/* engine/chat.h - messages to the prompt that the model was trained on.
 *
 * The template is the model's own (`tokenizer.chat_template`, a bounded Jinja subset) or, when that is
 * absent or needs more than the subset, the family that its text and special tokens give away; the
 * warning says which. Templates come from a model file and are untrusted: steps, output, memory and
 * depth are bounded.
 *
 * Invariant (C1): every byte of a prompt is known to be TEMPLATE text (literals of the template, bos
 * and eos) or USER text (anything that came from a message: role, content, and whatever the template
 * made out of them). Special tokens are recognised in TEMPLATE text only, see tokenizer.h T1.
 * A chat is immutable after chat_open(): any number of threads may use it. */
#ifndef ENGINE_CHAT_H
#define ENGINE_CHAT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"
#include "engine/engine.h"
#include "engine/tokenizer.h"

struct gguf;
struct chat;

/* A rendered prompt: the text, and its cut into parts that alternate between template and user. */
struct chat_prompt {
    struct gw_buf text;
    struct tok_part *parts; /* spans into text; special = TEMPLATE text */
    size_t n_parts;
};

/* Reads the template of g; t must outlive the chat. A missing or too difficult template is no error
 * (see chat_warning). GW_ENOMEM. On success *out is the caller's (chat_free). */
enum gw_status chat_open(const struct gguf *g, const struct tok *t, struct chat **out,
                         struct gw_err *err);
void chat_free(struct chat *c); /* c may be NULL */

/* Renders messages; add_generation_prompt ends with the words that make the model answer. *out is the
 * caller's on success (chat_prompt_fini) and unchanged on failure. GW_EINVAL: no messages, or the
 * template refuses them (its own words are in err); GW_ELIMIT: a bound was hit; GW_ENOMEM. */
enum gw_status chat_render(const struct chat *c, const struct engine_message *messages,
                           unsigned n_messages, bool add_generation_prompt, struct chat_prompt *out,
                           struct gw_err *err);
void chat_prompt_fini(struct chat_prompt *p);

/* Renders and encodes: appends the prompt's ids to out, with BOS in front where the model wants one and
 * the template did not write it. Errors as above; on failure out holds what it held before. */
enum gw_status chat_encode(const struct chat *c, const struct engine_message *messages,
                           unsigned n_messages, bool add_generation_prompt, struct tok_ids *out,
                           struct gw_err *err);

/* "model" when the file's own template is used, else the family: "chatml", "llama2", "llama3", ... */
const char *chat_family(const struct chat *c);

/* ENGINE_SAYS_... bits (engine.h). */
unsigned chat_says(const struct chat *c);

/* A sentence for people when a fallback is used; else "". */
const char *chat_warning(const struct chat *c);

#endif
