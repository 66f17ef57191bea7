/* engine/chat_family.c - prompt formats as a table of what stands around each message. */
#include "engine/chat_family.h"

struct chat_family {
    const char *name;
    const char *marker; /* in the template's text, and a token where there is no template */
    const char *system[2], *user[2], *assistant[2]; /* before and after the content */
    const char *generation;                         /* what makes the model answer */
    bool system_in_user; /* the system text stands inside the first user message */
    bool trim;           /* contents lose the white space around them */
};

/* In the order in which they are looked for: the more telling marker first. */
static const struct chat_family families[] = {
    {"chatml",
     "<|im_start|>",
     {"<|im_start|>system\n", "<|im_end|>\n"},
     {"<|im_start|>user\n", "<|im_end|>\n"},
     {"<|im_start|>assistant\n", "<|im_end|>\n"},
     "<|im_start|>assistant\n",
     false,
     false},
    {"llama3",
     "<|start_header_id|>",
     {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"},
     {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
     {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"},
     "<|start_header_id|>assistant<|end_header_id|>\n\n",
     false,
     true},
    {"llama2",
     "<<SYS>>",
     {"<<SYS>>\n", "\n<</SYS>>\n\n"},
     {"[INST] ", " [/INST]"},
     {" ", " </s><s>"},
     "",
     true,
     true},
    {"gemma",
     "<start_of_turn>",
     {"", "\n\n"},
     {"<start_of_turn>user\n", "<end_of_turn>\n"},
     {"<start_of_turn>model\n", "<end_of_turn>\n"},
     "<start_of_turn>model\n",
     true,
     true},
    {"phi3",
     "<|end|>",
     {"<|system|>\n", "<|end|>\n"},
     {"<|user|>\n", "<|end|>\n"},
     {"<|assistant|>\n", "<|end|>\n"},
     "<|assistant|>\n",
     false,
     false},
    {"mistral", "[INST]", {"", "\n\n"}, {"[INST] ", " [/INST]"}, {" ", "</s>"}, "", true, true},
    {"zephyr",
     "<|user|>",
     {"<|system|>\n", "</s>\n"},
     {"<|user|>\n", "</s>\n"},
     {"<|assistant|>\n", "</s>\n"},
     "<|assistant|>\n",
     false,
     false},
    /* The last one is for models without any marker. */
    {"plain",
     NULL,
     {"", "\n\n"},
     {"User: ", "\n\n"},
     {"Assistant: ", "\n\n"},
     "Assistant:",
     false,
     true},
};

enum { N_FAMILIES = sizeof(families) / sizeof(families[0]) };

const struct chat_family *chat_family_guess(struct gw_span template, const struct tok *t)
{
    for (size_t i = 0; i + 1 < N_FAMILIES; i++)
        if (template.len > 0 && memmem(template.ptr, template.len, families[i].marker,
                                       strlen(families[i].marker)) != NULL)
            return &families[i];
    for (size_t i = 0; i + 1 < N_FAMILIES; i++)
        if (tok_find(t, gw_span_str(families[i].marker)) != TOK_NONE)
            return &families[i];
    return &families[N_FAMILIES - 1];
}

const char *chat_family_name(const struct chat_family *f)
{
    return f->name;
}

static void add(struct chat_sink *sink, const char *text)
{
    chat_sink_add(sink, gw_span_str(text), false);
}

static struct gw_span trimmed(const struct chat_family *f, struct gw_span s)
{
    while (f->trim && s.len > 0 && strchr(" \t\r\n", s.ptr[0]) != NULL && s.ptr[0] != '\0')
        s = gw_span_from(s, 1);
    while (f->trim && s.len > 0 && strchr(" \t\r\n", s.ptr[s.len - 1]) != NULL &&
           s.ptr[s.len - 1] != '\0')
        s.len--;
    return s;
}

void chat_family_render(const struct chat_family *f, const struct jinja_input *in,
                        struct chat_sink *sink)
{
    const struct engine_message *waiting = NULL; /* a system message for the next user message */

    for (unsigned i = 0; i < in->n_messages; i++) {
        const struct engine_message *m = &in->messages[i];
        bool system = gw_span_is(m->role, "system");
        const char *const *around = system                             ? f->system
                                    : gw_span_is(m->role, "assistant") ? f->assistant
                                                                       : f->user;

        if (system && f->system_in_user && i + 1 < in->n_messages) {
            waiting = m;
            continue;
        }
        if (system && f->system_in_user)
            around = f->user;
        add(sink, around[0]);
        if (waiting != NULL && around == f->user) {
            add(sink, f->system[0]);
            chat_sink_add(sink, trimmed(f, waiting->content), true);
            add(sink, f->system[1]);
            waiting = NULL;
        }
        chat_sink_add(sink, trimmed(f, m->content), true);
        add(sink, around[1]);
    }
    if (in->add_generation_prompt)
        add(sink, f->generation);
}
