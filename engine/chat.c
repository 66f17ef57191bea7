/* engine/chat.c - chooses how messages become a prompt, and makes it.
 *
 * Owns struct chat, which nothing changes after chat_open(). Thread: see chat.h. */
#include "engine/chat.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/chat_family.h"
#include "engine/chat_jinja.h"
#include "engine/gguf.h"

struct chat {
    const struct tok *t;
    struct jinja *jinja; /* NULL: the family is used */
    const struct chat_family *family;
    bool
        merge_system; /* the template drops or refuses system messages: put them before the user's */
    unsigned says;    /* ENGINE_SAYS_... */
    char warning[160];
};

/* ---- rendering --------------------------------------------------------------------------------- */

static enum gw_status render(const struct chat *c, const struct engine_message *messages,
                             unsigned n_messages, bool add_generation_prompt,
                             struct chat_prompt *out, struct gw_err *err)
{
    struct jinja_input in = {.messages = messages,
                             .n_messages = n_messages,
                             .add_generation_prompt = add_generation_prompt};
    struct chat_sink sink = {0};
    enum gw_status st = GW_OK;

    in.bos = tok_text(c->t, tok_bos(c->t));
    in.eos = tok_text(c->t, tok_eos(c->t));
    if (c->jinja != NULL)
        st = jinja_render(c->jinja, &in, &sink, err);
    else
        chat_family_render(c->family, &in, &sink);
    if (st != GW_OK) {
        chat_sink_fini(&sink);
        return st;
    }
    st = chat_sink_finish(&sink, out);
    if (st != GW_OK)
        return gw_fail(err, st, "the prompt is too long for memory or for %d bytes",
                       CHAT_MAX_PROMPT_BYTES);
    return GW_OK;
}

/* The system message's text, an empty line, and the message behind it. */
static enum gw_status merged_content(const struct engine_message *m, struct gw_buf *out)
{
    gw_buf_add(out, m[0].content);
    gw_buf_adds(out, "\n\n");
    gw_buf_add(out, m[1].content);
    return gw_buf_ok(out) ? GW_OK : GW_ENOMEM;
}

static bool is_system(struct gw_span role)
{
    return gw_span_is(role, "system") || gw_span_is(role, "developer");
}

enum gw_status chat_render(const struct chat *c, const struct engine_message *messages,
                           unsigned n_messages, bool add_generation_prompt, struct chat_prompt *out,
                           struct gw_err *err)
{
    struct engine_message *copy, *first;
    struct gw_buf merged = {0};
    enum gw_status st = GW_OK;

    if (n_messages == 0)
        return gw_fail(err, GW_EINVAL, "there are no messages to answer");
    copy = calloc(n_messages, sizeof(*copy));
    if (copy == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for %u messages", n_messages);
    for (unsigned i = 0; i < n_messages; i++) {
        copy[i] = messages[i];
        if (is_system(copy[i].role)) /* "developer" is what newer clients call it */
            copy[i].role = GW_SPAN("system");
    }
    first = copy;
    if (c->merge_system && is_system(first->role)) {
        if (n_messages > 1) {
            st = merged_content(first, &merged);
            first++;
            n_messages--;
            first->content = gw_buf_span(&merged);
        } else {
            first->role = GW_SPAN("user");
        }
    }
    if (st == GW_OK)
        st = render(c, first, n_messages, add_generation_prompt, out, err);
    else
        st = gw_fail(err, st, "out of memory for a system message");
    gw_buf_fini(&merged);
    free(copy);
    return st;
}

void chat_prompt_fini(struct chat_prompt *p)
{
    gw_buf_fini(&p->text);
    free(p->parts);
    *p = (struct chat_prompt){0};
}

enum gw_status chat_encode(const struct chat *c, const struct engine_message *messages,
                           unsigned n_messages, bool add_generation_prompt, struct tok_ids *out,
                           struct gw_err *err)
{
    struct chat_prompt prompt = {0};
    struct tok_ids ids = {0};
    size_t before = out->n;
    enum gw_status st;

    GW_TRY(chat_render(c, messages, n_messages, add_generation_prompt, &prompt, err));
    st = tok_encode_parts(c->t, prompt.parts, prompt.n_parts, &ids);
    if (st == GW_OK && tok_add_bos(c->t) && (ids.n == 0 || ids.ids[0] != tok_bos(c->t)))
        st = tok_ids_add(out, tok_bos(c->t));
    for (size_t i = 0; i < ids.n && st == GW_OK; i++)
        st = tok_ids_add(out, ids.ids[i]);
    if (st != GW_OK) {
        out->n = before;
        (void)gw_fail(err, st, "the prompt of %zu bytes cannot be encoded", prompt.text.len);
    }
    tok_ids_fini(&ids);
    chat_prompt_fini(&prompt);
    return st;
}

/* ---- opening ------------------------------------------------------------------------------------- */

static const char probe_user[] = "wq7";
static const char probe_system[] = "zk3";

static bool prompt_holds(const struct chat_prompt *p, const char *text)
{
    return p->text.len > 0 && memmem(p->text.ptr, p->text.len, text, strlen(text)) != NULL;
}

/* Renders a conversation on trial: what fails here would fail at the first request. */
static enum gw_status probe(const struct chat *c, const struct engine_message *messages, unsigned n,
                            const char *must_hold, struct gw_err *err)
{
    struct chat_prompt p = {0};
    enum gw_status st = render(c, messages, n, true, &p, err);

    if (st == GW_OK && !prompt_holds(&p, must_hold))
        st = gw_fail(err, GW_EUNSUPPORTED, "it drops a message");
    chat_prompt_fini(&p);
    return st;
}

static enum gw_status try_template(struct chat *c, struct gw_err *err)
{
    const struct engine_message talk[] = {
        {GW_SPAN("system"), gw_span_str(probe_system)},
        {GW_SPAN("user"), gw_span_str(probe_user)},
        {GW_SPAN("assistant"), GW_SPAN("a")},
        {GW_SPAN("user"), GW_SPAN("b")},
    };

    GW_TRY(probe(c, talk + 1, 1, probe_user, err));
    GW_TRY(probe(c, talk + 1, 3, probe_user, err));
    enum gw_status st = probe(c, talk, 4, probe_system, err);
    c->merge_system = st == GW_EINVAL || st == GW_EUNSUPPORTED;
    return c->merge_system ? GW_OK : st;
}

static void use_family(struct chat *c, struct gw_span template, const struct gw_err *why)
{
    jinja_free(c->jinja);
    c->jinja = NULL;
    c->merge_system = false;
    c->family = chat_family_guess(template, c->t);
    if (template.len == 0)
        (void)snprintf(c->warning, sizeof(c->warning),
                       "the model has no chat template: the %s format is used",
                       chat_family_name(c->family));
    else
        (void)snprintf(c->warning, sizeof(c->warning), "the %s format is used: %.110s",
                       chat_family_name(c->family), why->text);
}

/* Whether a conversation's prompt ends with what begins a model's thoughts. */
static bool opens_thoughts(const struct chat *c)
{
    const struct engine_message talk = {GW_SPAN("user"), gw_span_str(probe_user)};
    struct chat_prompt p = {0};
    struct gw_span text;
    bool opens;

    if (render(c, &talk, 1, true, &p, NULL) != GW_OK)
        return false;
    text = gw_buf_span(&p.text);
    while (text.len != 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == ' '))
        text.len--;
    opens = text.len >= 7 && memcmp(text.ptr + text.len - 7, "<think>", 7) == 0;
    chat_prompt_fini(&p);
    return opens;
}

static unsigned find_says(const struct chat *c, struct gw_span template)
{
    static const struct {
        unsigned bit;
        const char *word;
    } words[] = {
        {ENGINE_SAYS_LLAMA, "<|python_tag|>"},
        {ENGINE_SAYS_MISTRAL, "[TOOL_CALLS]"},
        {ENGINE_SAYS_DEEPSEEK, "<\xEF\xBD\x9Ctool\xE2\x96\x81"
                               "calls\xE2\x96\x81"
                               "begin\xEF\xBD\x9C>"},
        {ENGINE_SAYS_PHI, "<|tool_call|>"},
        {ENGINE_SAYS_PHI, "functools"},
        {ENGINE_SAYS_GEMMA, "<start_function_call>"},
        {ENGINE_SAYS_PYTHON, "<start_of_turn>"}, /* Gemma 2 and 3 */
        {ENGINE_SAYS_PYTHON, "<|python_tag|>"},  /* Llama 3.2 */
        {ENGINE_SAYS_THINK, "<think>"},
    };
    unsigned says = opens_thoughts(c) ? ENGINE_SAYS_THINKING : 0;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct gw_span word = gw_span_str(words[i].word);

        if (tok_find(c->t, word) != TOK_NONE ||
            (template.len != 0 && memmem(template.ptr, template.len, word.ptr, word.len) != NULL))
            says |= words[i].bit;
    }
    return says;
}

unsigned chat_says(const struct chat *c)
{
    return c->says;
}

enum gw_status chat_open(const struct gguf *g, const struct tok *t, struct chat **out,
                         struct gw_err *err)
{
    struct chat *c = calloc(1, sizeof(*c));
    struct gw_span template = {NULL, 0};
    struct gw_err why = {GW_OK, ""};
    enum gw_status st = GW_EUNSUPPORTED;

    if (c == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the chat template");
    c->t = t;
    if (gguf_has(g, "tokenizer.chat_template") &&
        gguf_str(g, "tokenizer.chat_template", &template, &why) == GW_OK && template.len > 0) {
        st = jinja_parse(template, &c->jinja, &why);
    }
    if (st == GW_OK)
        st = try_template(c, &why);
    if (st == GW_ENOMEM) {
        chat_free(c);
        return gw_fail(err, GW_ENOMEM, "out of memory for the chat template");
    }
    if (st != GW_OK)
        use_family(c, template, &why);
    c->says = find_says(c, template);
    *out = c;
    return GW_OK;
}

void chat_free(struct chat *c)
{
    if (c == NULL)
        return;
    jinja_free(c->jinja);
    free(c);
}

const char *chat_family(const struct chat *c)
{
    return c->jinja != NULL ? "model" : chat_family_name(c->family);
}

const char *chat_warning(const struct chat *c)
{
    return c->warning;
}
