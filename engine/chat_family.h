/* engine/chat_family.h - the prompt formats of well-known model families, for files whose own template is
 * absent or too difficult. Private to engine/chat*. Pure functions: any thread. */
#ifndef ENGINE_CHAT_FAMILY_H
#define ENGINE_CHAT_FAMILY_H

#include "engine/chat_jinja.h"
#include "engine/chat_sink.h"
#include "engine/tokenizer.h"

struct chat_family;

/* The family that the template's text gives away, else the special tokens; never NULL. */
const struct chat_family *chat_family_guess(struct gw_span template, const struct tok *t);
const char *chat_family_name(const struct chat_family *f);

/* Appends the prompt. Roles other than system and assistant are the user's. */
void chat_family_render(const struct chat_family *f, const struct jinja_input *in,
                        struct chat_sink *sink);

#endif
