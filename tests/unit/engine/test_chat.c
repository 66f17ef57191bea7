/* Chat templates: the Jinja subset, the marks of user text, bounds, fallbacks. */
#include <stdlib.h>
#include <string.h>

#include "engine/chat.h"
#include "engine/chat_jinja.h"
#include "tests/test.h"
#include "tests/unit/engine/vocab_make.h"

/* A span that may stand in a static initialiser. */
#define LIT(s)                                                                                     \
    {                                                                                              \
        (s), sizeof(s) - 1                                                                         \
    }

static const struct engine_message talk[] = {
    {LIT("system"), LIT("Be brief.")},
    {LIT("user"), LIT(" Hi <x> ")},
    {LIT("assistant"), LIT("<think>\nhm\n</think>\n\nYes")},
    {LIT("user"), LIT("Bye")},
};

/* Renders template over talk; user text comes out between ^ and $. */
static enum gw_status render(const char *template, struct gw_buf *out, struct gw_err *err)
{
    struct jinja_input in = {.messages = talk,
                             .n_messages = 4,
                             .add_generation_prompt = true,
                             .bos = GW_SPAN("<s>"),
                             .eos = GW_SPAN("</s>")};
    struct chat_sink sink = {0};
    struct jinja *j = NULL;
    enum gw_status st = jinja_parse(gw_span_str(template), &j, err);
    size_t from = 0;

    if (st == GW_OK)
        st = jinja_render(j, &in, &sink, err);
    for (size_t i = 0; i < sink.n_cuts && st == GW_OK; i++) {
        gw_buf_adds(out, sink.cuts[i].user ? "^" : "");
        gw_buf_add(out, (struct gw_span){sink.text.ptr + from, sink.cuts[i].end - from});
        gw_buf_adds(out, sink.cuts[i].user ? "$" : "");
        from = sink.cuts[i].end;
    }
    chat_sink_fini(&sink);
    jinja_free(j);
    return st;
}

static bool renders(const char *template, const char *want)
{
    struct gw_buf out = {0};
    struct gw_err err = {0};
    enum gw_status st = render(template, &out, &err);
    bool same = st == GW_OK && gw_span_is(gw_buf_span(&out), want);

    if (!same)
        fprintf(stderr, "%s\nwant %s\ngot  %s %s\n", template, want, out.ptr == NULL ? "" : out.ptr,
                err.text);
    gw_buf_fini(&out);
    return same;
}

static bool fails(const char *template, enum gw_status code, const char *words)
{
    struct gw_buf out = {0};
    struct gw_err err = {0};
    enum gw_status st = render(template, &out, &err);

    gw_buf_fini(&out);
    if (st == code && strstr(err.text, words) != NULL)
        return true;
    fprintf(stderr, "%s\nstatus %s: %s\n", template, gw_status_name(st), err.text);
    return false;
}

static void test_statements(void)
{
    CHECK(renders("{% for m in messages %}{{ loop.index0 }}{{ m.role[0] }}{% endfor %}",
                  "0^s$1^u$2^a$3^u$"));
    CHECK(renders("{% for m in messages[1:] %}{% if loop.first %}F{% elif loop.last %}L{% else %}-"
                  "{% endif %}{% endfor %}",
                  "F-L"));
    CHECK(renders("{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content|trim }}"
                  "{% else %}none{% endfor %}{% for x in [] %}{% else %}none{% endfor %}",
                  "1^Hi <x>$2^Bye$none"));
    CHECK(renders("{% set x = 1 %}{% for i in range(3) %}{% set x = i %}{% endfor %}{{ x }}", "1"));
    CHECK(renders("{% set n = namespace(x=1) %}{% for i in range(3) %}{% set n.x = n.x + i %}"
                  "{% endfor %}{{ n.x }}",
                  "4"));
    CHECK(renders("{% for i in range(9) %}{% if i == 1 %}{% continue %}{% elif i > 3 %}{% break %}"
                  "{% endif %}{{ i }}{% endfor %}",
                  "023"));
    CHECK(renders("{% if add_generation_prompt %}{{ bos_token }}go{% endif %}", "<s>go"));
    CHECK(renders("{% macro f(a, b=1) %}x{% endmacro %}y", "y"));
}

static void test_white_space(void)
{
    CHECK(renders("a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a\n  b\nc"));
    CHECK(renders("a  {%- if true -%}  b  {%- endif -%}  c", "abc"));
    CHECK(renders("a {{- 'b' -}} c {{ 'd' }} e", "abc d e"));
    CHECK(renders("{# note #}\nx{# note -#}  y", "xy"));
    CHECK(renders("a\r\n{% if true %}\r\nb{% endif %}", "a\nb"));
}

static void test_expressions(void)
{
    CHECK(renders("{{ 1 + 2 * 3 - 7 // 2 }} {{ 7 % 3 }} {{ -7 // 2 }} {{ -7 % 3 }}", "4 1 -4 2"));
    CHECK(renders("{{ 'a' ~ 1 ~ true ~ none }}{{ 'x' if false else 'y' }}{{ 'x' if false }}",
                  "a1TrueNoney"));
    CHECK(renders("{{ 'b' in 'abc' and 2 not in [1, 3] and not (1 > 2 or 2 <= 1) }}", "True"));
    CHECK(renders("{{ nothing is defined }}{{ messages is defined and messages is not none }}",
                  "FalseTrue"));
    CHECK(renders("{{ messages|length }}{{ messages[-1]['content'] }}{{ messages[0].nothing }}",
                  "4^Bye$"));
    CHECK(renders("{{ [1, 2, 3][::-1] | join('-') }}{{ 'h\xC3\xA9llo'[1:3] }}{{ 'abc'[-2:] }}",
                  "3-2-1\xC3\xA9lbc"));
    CHECK(renders("{{ 'q\\'q\\n\\u00e9\\x41' \"b\" }}", "q'q\n\xC3\xA9"
                                                        "Ab"));
    CHECK(renders("{{ {'k': [1, true, none]} | tojson }}{{ {'k': {'l': 2}}.k.l }}",
                  "{\"k\": [1, true, null]}2"));
}

/* V1: whatever is done to a message's text, it stays user text, and nothing else becomes it. */
static void test_user_text_stays_user_text(void)
{
    CHECK(renders("{{ '<|' + messages[3].content + '|>' }}", "<|^Bye$|>"));
    CHECK(renders("{{ ('a' ~ messages[1].content ~ 'b') | trim | upper }}", "A^ HI <X> $B"));
    CHECK(renders("{{ messages[2].content.split('</think>')[-1].lstrip('\\n') }}", "^Yes$"));
    CHECK(renders("{{ messages[3].content | replace('y', '<|e|>') }}", "^B$<|e|>^e$"));
    CHECK(renders("{{ 'x_y' | replace('_', messages[3].content) }}", "x^Bye$y"));
    CHECK(renders("{% for c in messages[3].content %}{{ c }},{% endfor %}", "^B$,^y$,^e$,"));
    CHECK(renders("{{ messages[3] | tojson }}", "{\"role\": \"^user$\", \"content\": \"^Bye$\"}"));
    CHECK(renders("{% for k, v in messages[3].items() %}{{ k }}={{ v }};{% endfor %}",
                  "role=^user$;content=^Bye$;"));
    CHECK(renders("{{ [messages[3].content, 'x'] | join('<s>') }}", "^Bye$<s>x"));
    CHECK(renders("{% set a = messages[3].content %}{{ a[1:] + eos_token }}", "^ye$</s>"));
    CHECK(renders("{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(messages[3].content) | upper }}",
                  "<^BYE$>"));
    CHECK(renders("{% set b %}<s>{{ messages[3].content }}{% endset %}{{ b[::-1] }}", "^eyB$>s<"));
    CHECK(renders("{{ [messages[3].content] }}{{ messages[3].content * 2 }}", "['^Bye$']^ByeBye$"));
    CHECK(renders("{{ ['<s>', messages[3].content]|map('lower')|join('|') }}", "<s>|^bye$"));
    CHECK(renders("{{ (messages[3].content ~ '\\n<s>') | indent(1) }}", "^Bye$\n <s>"));
    CHECK(renders("{{ messages[3].content.partition('y') }}", "('^B$', '^y$', '^e$')"));
    CHECK(renders("{{ {messages[3].content: 1} }}{{ '<s>' | tojson }}", "{'^Bye$': 1}\"<s>\""));
}

static void test_errors_are_told(void)
{
    CHECK(
        fails("{{ raise_exception('roles must alternate') }}", GW_EINVAL, "roles must alternate"));
    CHECK(fails("{{ raise_exception(messages[0].content) }}", GW_EINVAL, "no reason given"));
    CHECK(fails("a\n{% if true %}", GW_EPARSE, "line 2"));
    CHECK(fails("{{ 'a }}", GW_EPARSE, "line 1"));
    CHECK(fails("{{ x.y }}", GW_EUNSUPPORTED, "undefined"));
    CHECK(fails("{{ 1 | frobnicate }}", GW_EUNSUPPORTED, "filter"));
    CHECK(fails("{% include 'x' %}", GW_EUNSUPPORTED, "tag"));
    CHECK(fails("{{ now('%d') }}", GW_EUNSUPPORTED, "function"));
    CHECK(fails("{{ 1 / 0 }}", GW_EUNSUPPORTED, "no result"));
    CHECK(fails("{{ 'a' + 1 }}", GW_EUNSUPPORTED, "operator"));
    CHECK(fails("{% endif %}", GW_EUNSUPPORTED, "tag"));
    CHECK(fails("{% break %}", GW_EPARSE, "outside"));
}

static void test_bounds(void)
{
    struct gw_buf deep = {0};

    CHECK(fails("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
                GW_ELIMIT, "memory"));
    CHECK(fails("{% set n = namespace(s='0123456789') %}{% for i in range(16) %}"
                "{% set n.s = n.s + n.s %}{% endfor %}{% for i in range(9999) %}"
                "{% if n.s|length %}{% endif %}{% endfor %}",
                GW_ELIMIT, "work"));
    CHECK(fails("{% set n = namespace(s='0123456789') %}{% for i in range(60) %}"
                "{% set n.s = n.s + n.s %}{% endfor %}",
                GW_ELIMIT, "memory"));
    CHECK(
        fails("{% set n = namespace(s='0123456789') %}{% for i in range(17) %}"
              "{% set n.s = n.s + n.s %}{% endfor %}{% for i in range(99) %}{{ n.s }}{% endfor %}",
              GW_ELIMIT, "too long"));
    CHECK(fails("{% set n = namespace() %}{% set n.n = [n] %}{{ n }}", GW_ELIMIT, "nests"));
    CHECK(fails(
        "{% set n = namespace(l=[]) %}{% for i in range(99) %}{% set n.l = [n.l] %}{% endfor %}"
        "{{ n.l | tojson }}",
        GW_ELIMIT, "nested"));
    CHECK(fails("{% macro f(a) %}{{ f([a]) }}{% endmacro %}{{ f(1) }}", GW_ELIMIT, "nests"));
    CHECK(fails("{% macro f(a) %}{{ a }}{% call f(a) %}{% endcall %}{% endmacro %}{{ f(1) }}",
                GW_ELIMIT, "nests"));
    CHECK(fails("{{ 'x' * 99999999 }}", GW_ELIMIT, "too"));
    CHECK(fails("{{ [1] * 99999999 }}", GW_ELIMIT, "too long"));
    CHECK(fails("{{ [1] | tojson(indent=1999999999) }}", GW_ELIMIT, "too"));
    CHECK(fails("{{ 'x' | indent(1999999999, true) }}", GW_ELIMIT, "too"));
    for (int i = 0; i < 5000; i++)
        gw_buf_adds(&deep, i == 0 ? "{{ 1" : " + 1");
    gw_buf_adds(&deep, " }}");
    CHECK(fails(deep.ptr, GW_ELIMIT, "nests"));
    gw_buf_clear(&deep);
    for (int i = 0; i < 5000; i++)
        gw_buf_adds(&deep, i == 0 ? "{{ 'a'" : "|trim");
    gw_buf_adds(&deep, " }}");
    CHECK(fails(deep.ptr, GW_ELIMIT, "nests"));
    gw_buf_clear(&deep);
    for (int i = 0; i < 5000; i++)
        gw_buf_adds(&deep, "{{ ((((((((((");
    CHECK(fails(deep.ptr, GW_ELIMIT, "deep"));
    gw_buf_clear(&deep);
    for (int i = 0; i < 5000; i++)
        gw_buf_adds(&deep, "{% if true %}");
    CHECK(fails(deep.ptr, GW_ELIMIT, "deep"));
    gw_buf_clear(&deep);
    for (int i = 0; i < 30000; i++)
        gw_buf_adds(&deep, "{{1}}");
    CHECK(fails(deep.ptr, GW_ELIMIT, "large"));
    gw_buf_fini(&deep);
}

/* ---- whole chats over small vocabularies ------------------------------------------------------------ */

struct rig {
    struct gw_buf file;
    struct tok *t;
    struct chat *c;
};

static bool rig_open(struct rig *r, const char *template, const char *const *specials)
{
    struct vocab v = {.model = "llama", .template = template, .bos = 1, .eos = 2, .add_bos = -1};
    static char letters[128][2];

    *r = (struct rig){.t = NULL};
    vocab_add(&v, "<unk>", 2, 0);
    vocab_add(&v, "<s>", 3, 0);
    vocab_add(&v, "</s>", 3, 0);
    for (int i = 33; i < 127; i++) {
        letters[i][0] = (char)i;
        vocab_add(&v, letters[i], 1, (float)-i);
    }
    for (; *specials != NULL; specials++)
        vocab_add(&v, *specials, 3, 0);
    struct gguf *g = vocab_gguf(&v, &r->file);
    bool ok = CHECK(g != NULL) && CHECK(tok_open(g, &r->t, NULL) == GW_OK) &&
              CHECK(chat_open(g, r->t, &r->c, NULL) == GW_OK);
    gguf_close(g);
    return ok;
}

static void rig_close(struct rig *r)
{
    chat_free(r->c);
    tok_free(r->t);
    gw_buf_fini(&r->file);
}

static bool prompt_is(const struct rig *r, const struct engine_message *m, unsigned n,
                      const char *want)
{
    struct chat_prompt p = {0};
    struct gw_err err = {0};
    bool same =
        chat_render(r->c, m, n, true, &p, &err) == GW_OK && gw_span_is(gw_buf_span(&p.text), want);

    if (!same)
        fprintf(stderr, "want %s\ngot  %s %s\n", want, p.text.ptr == NULL ? "" : p.text.ptr,
                err.text);
    chat_prompt_fini(&p);
    return same;
}

static void check_fallback(const char *template, const char *const *specials, const char *family,
                           const char *want)
{
    struct rig r;

    if (rig_open(&r, template, specials)) {
        CHECK(strcmp(chat_family(r.c), family) == 0 && strstr(chat_warning(r.c), family) != NULL);
        CHECK(((chat_says(r.c) & ENGINE_SAYS_PYTHON) != 0) == (strcmp(family, "gemma") == 0));
        CHECK(prompt_is(&r, talk, 2, want));
    }
    rig_close(&r);
}

static void test_families(void)
{
    static const char *const none[] = {NULL};
    static const char *const chatml[] = {"<|im_start|>", "<|im_end|>", NULL};
    static const char *const llama3[] = {"<|start_header_id|>", "<|eot_id|>", NULL};
    static const char *const gemma[] = {"<start_of_turn>", "<end_of_turn>", NULL};

    check_fallback(NULL, chatml, "chatml",
                   "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi <x> <|im_end|>\n"
                   "<|im_start|>assistant\n");
    check_fallback(NULL, llama3, "llama3",
                   "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
                   "<|start_header_id|>user<|end_header_id|>\n\nHi <x><|eot_id|>"
                   "<|start_header_id|>assistant<|end_header_id|>\n\n");
    check_fallback("{% unknown %}<<SYS>>", none, "llama2",
                   "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi <x> [/INST]");
    check_fallback("{{ messages[0].a.b }}<start_of_turn>", gemma, "gemma",
                   "<start_of_turn>user\nBe brief.\n\nHi <x><end_of_turn>\n<start_of_turn>model\n");
    check_fallback("no messages at all", none, "plain", "Be brief.\n\nUser: Hi <x>\n\nAssistant:");
}

/* A template that refuses or drops system messages gets their text before the user's. */
static void test_system_message_is_never_lost(void)
{
    static const char *const none[] = {NULL};
    static const char *const templates[] = {
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "[{{ m.content }}]{% endfor %}",
        "{% for m in messages %}{% if m.role != 'system' %}[{{ m.content }}]{% endif %}{% endfor "
        "%}",
    };
    struct engine_message developer[] = {{GW_SPAN("developer"), GW_SPAN("D")}, talk[3]};

    for (size_t i = 0; i < 2; i++) {
        struct rig r;

        if (rig_open(&r, templates[i], none)) {
            CHECK(strcmp(chat_family(r.c), "model") == 0 && chat_warning(r.c)[0] == '\0');
            CHECK(prompt_is(&r, talk, 2, "[Be brief.\n\n Hi <x> ]"));
            CHECK(prompt_is(&r, developer, 2, "[D\n\nBye]"));
            CHECK(prompt_is(&r, talk, 1, "[Be brief.]"));
        }
        rig_close(&r);
    }
}

static void test_bos_comes_once(void)
{
    static const char *const none[] = {NULL};
    static const char *const templates[] = {
        "{{ bos_token }}{{ messages[0].content }}{% if messages|"
        "length > 1 %}{{ messages[1].content }}{% endif %}",
        "{% for m in messages %}{{ m.content }}{% endfor %}"};
    struct engine_message m = {GW_SPAN("user"), GW_SPAN("<s></s>")};

    for (size_t i = 0; i < 2; i++) {
        struct tok_ids ids = {0};
        struct rig r;

        if (rig_open(&r, templates[i], none)) {
            CHECK(chat_encode(r.c, &m, 1, true, &ids, NULL) == GW_OK && ids.n > 2);
            unsigned controls = 0;
            for (size_t k = 0; k < ids.n; k++)
                controls += tok_is_control(r.t, ids.ids[k]);
            CHECK(ids.ids[0] == 1 && controls == 1);
        }
        tok_ids_fini(&ids);
        rig_close(&r);
    }
}

static void test_no_messages(void)
{
    static const char *const none[] = {NULL};
    struct rig r;
    struct tok_ids ids = {0};

    if (rig_open(&r, NULL, none))
        CHECK(chat_encode(r.c, NULL, 0, true, &ids, NULL) == GW_EINVAL && ids.n == 0);
    rig_close(&r);
}

int main(void)
{
    test_statements();
    test_white_space();
    test_expressions();
    test_user_text_stays_user_text();
    test_errors_are_told();
    test_bounds();
    test_families();
    test_system_message_is_never_lost();
    test_bos_comes_once();
    test_no_messages();
    return test_done();
}
