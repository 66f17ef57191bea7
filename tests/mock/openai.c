/* tests/mock/openai.c - OpenAI's other endpoints in the mock: embeddings, models, moderations, files, audio, images, and
 * for tests of what is passed through an echo under any path. One thread. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock.h"

#define MAX_DIMENSIONS 3072
#define KEPT_FILES     8
#define MAX_KEPT       ((size_t)4 << 20)

/* A transparent pixel. */
#define PNG                                                                                        \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5Erk"   \
    "Jggg=="

/* ---- embeddings ---------------------------------------------------------------------------- */

/* A vector that depends on the text alone; 1/16 steps, so that every reader gets the same number. */
static void fill_vector(struct gw_span text, float *v, unsigned n)
{
    uint64_t h = 1469598103934665603u;

    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.ptr[i]) * 1099511628211u;
    for (unsigned i = 0; i < n; i++) {
        h = h * 6364136223846793005u + 1442695040888963407u;
        v[i] = (float)((int)((h >> 40) % 33) - 16) / 16.0F;
    }
}

static void add_embedding(struct mock_call *m, unsigned index, struct gw_span text, bool base64,
                          unsigned n)
{
    static float v[MAX_DIMENSIONS];
    struct gw_buf *b = &m->out;

    fill_vector(text, v, n);
    gw_buf_printf(
        b, "%s{\"object\":\"embedding\",\"index\":%u,\"embedding\":", index == 0 ? "" : ",", index);
    if (base64) {
        gw_buf_adds(b, "\"");
        mock_add_base64(b, (struct gw_span){(const char *)v, n * sizeof(*v)});
        gw_buf_adds(b, "\"}");
        return;
    }
    for (unsigned i = 0; i < n; i++)
        gw_buf_printf(b, "%s%.4f", i == 0 ? "[" : ",", (double)v[i]);
    gw_buf_adds(b, "]}");
}

void mock_embeddings(struct mock_call *m)
{
    const struct gw_json_node *input = gw_json_get(m->root, "input");
    bool base64 = gw_json_text_is(gw_json_get(m->root, "encoding_format"), "base64");
    unsigned n = (unsigned)gw_json_uint(gw_json_get(m->root, "dimensions"), 1536), index = 0;

    if (input == NULL || n == 0 || n > MAX_DIMENSIONS) {
        mock_send_error(m, 400, "'$.input' is invalid.");
        return;
    }
    mock_set_model(m, gw_json_get(m->root, "model"));
    gw_buf_adds(&m->out, "{\"object\":\"list\",\"data\":[");
    /* An array of numbers is one input of tokens. */
    if (input->type == GW_JSON_ARRAY_BEGIN && !gw_json_is(input->child, GW_JSON_NUMBER))
        for (const struct gw_json_node *one = input->child; one != NULL; one = one->next)
            add_embedding(m, index++,
                          one->type == GW_JSON_STRING ? gw_json_text(one, m->arena) : one->raw,
                          base64, n);
    else
        add_embedding(m, index++,
                      input->type == GW_JSON_STRING ? gw_json_text(input, m->arena) : input->raw,
                      base64, n);
    gw_buf_adds(&m->out, "],\"model\":");
    gw_buf_add_json_str(&m->out, m->model);
    gw_buf_printf(&m->out, ",\"usage\":{\"prompt_tokens\":%zu,\"total_tokens\":%zu}}",
                  m->body.len / 4, m->body.len / 4);
    mock_send_json(m, gw_buf_span(&m->out));
}

/* ---- models, moderations --------------------------------------------------------------------- */

static void add_model(struct gw_buf *b, struct gw_span id)
{
    gw_buf_adds(b, "{\"id\":");
    gw_buf_add_json_str(b, id);
    gw_buf_adds(b, ",\"object\":\"model\",\"created\":1700000000,\"owned_by\":\"system\"}");
}

static void answer_models(struct mock_call *m, struct gw_span id)
{
    static const char *const ids[] = {"gpt-4o", "gpt-4o-mini", "text-embedding-3-small"};

    if (id.len != 0) {
        add_model(&m->out, id);
    } else {
        gw_buf_adds(&m->out, "{\"object\":\"list\",\"data\":[");
        for (size_t i = 0; i < 3; i++) {
            gw_buf_adds(&m->out, i == 0 ? "" : ",");
            add_model(&m->out, gw_span_str(ids[i]));
        }
        gw_buf_adds(&m->out, "]}");
    }
    mock_send_json(m, gw_buf_span(&m->out));
}

static void answer_moderations(struct mock_call *m)
{
    static const char *const kinds[] = {"harassment",
                                        "harassment/threatening",
                                        "hate",
                                        "hate/threatening",
                                        "illicit",
                                        "illicit/violent",
                                        "self-harm",
                                        "self-harm/instructions",
                                        "self-harm/intent",
                                        "sexual",
                                        "sexual/minors",
                                        "violence",
                                        "violence/graphic"};
    static const char *const members[] = {"categories", "category_scores",
                                          "category_applied_input_types"};
    static const char *const values[] = {"false", "0.0001", "[\"text\"]"};
    struct gw_buf *b = &m->out;

    if (gw_json_get(m->root, "input") == NULL) {
        mock_send_error(m, 400, "Missing required parameter: 'input'.");
        return;
    }
    gw_buf_printf(b, "{\"id\":\"modr-mock%lu\",\"model\":\"omni-moderation-latest\",\"results\":[{",
                  m->number);
    for (size_t k = 0; k < 3; k++) {
        gw_buf_printf(b, "\"%s\":{", members[k]);
        for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
            gw_buf_printf(b, "%s\"%s\":%s", i == 0 ? "" : ",", kinds[i], values[k]);
        gw_buf_adds(b, "},");
    }
    gw_buf_adds(b, "\"flagged\":false}]}");
    mock_send_json(m, gw_buf_span(b));
}

/* ---- files, audio, images ---------------------------------------------------------------------- */

/* The newest uploads, so that they can be read back. */
static struct {
    unsigned long number;
    struct gw_buf name, content, purpose;
} kept[KEPT_FILES];

static void add_file(struct gw_buf *b, unsigned long number, size_t bytes, struct gw_span name,
                     struct gw_span purpose)
{
    gw_buf_printf(b,
                  "{\"id\":\"file-mock%lu\",\"object\":\"file\",\"bytes\":%zu,\"created_at\":"
                  "1700000000,\"expires_at\":null,\"status\":\"processed\",\"status_details\":null,"
                  "\"filename\":",
                  number, bytes);
    gw_buf_add_json_str(b, name);
    gw_buf_adds(b, ",\"purpose\":");
    gw_buf_add_json_str(b, purpose);
    gw_buf_adds(b, "}");
}

/* As Anthropic says it. */
static void add_claude_file(struct gw_buf *b, unsigned long number, size_t bytes,
                            struct gw_span name)
{
    gw_buf_printf(b,
                  "{\"type\":\"file\",\"id\":\"file_mock%lu\",\"size_bytes\":%zu,\"created_at\":"
                  "\"2026-01-01T00:00:00Z\",\"mime_type\":\"text/plain\",\"downloadable\":false,"
                  "\"filename\":",
                  number, bytes);
    gw_buf_add_json_str(b, name);
    gw_buf_adds(b, "}");
}

static void upload_file(struct mock_call *m)
{
    struct gw_span content, name, purpose = GW_SPAN(""), none;
    size_t at = m->number % KEPT_FILES;
    bool claude = mock_field(m, "anthropic-version").len != 0;

    if (!mock_form_field(m, "file", &content, &name) ||
        (!claude && !mock_form_field(m, "purpose", &purpose, &none))) {
        mock_send_error(m, 400, "Expected a multipart form with 'file' and 'purpose'.");
        return;
    }
    kept[at].number = m->number;
    gw_buf_clear(&kept[at].name);
    gw_buf_clear(&kept[at].content);
    gw_buf_clear(&kept[at].purpose);
    gw_buf_add(&kept[at].name, name);
    gw_buf_add(&kept[at].purpose, purpose);
    if (content.len <= MAX_KEPT)
        gw_buf_add(&kept[at].content, content);
    if (claude)
        add_claude_file(&m->out, m->number, content.len, name);
    else
        add_file(&m->out, m->number, content.len, name, purpose);
    mock_send_json(m, gw_buf_span(&m->out));
}

static void list_files(struct mock_call *m)
{
    bool first = true;

    gw_buf_adds(&m->out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < KEPT_FILES; i++) {
        if (kept[i].number == 0)
            continue;
        gw_buf_adds(&m->out, first ? "" : ",");
        add_file(&m->out, kept[i].number, kept[i].content.len, gw_buf_span(&kept[i].name),
                 gw_buf_span(&kept[i].purpose));
        first = false;
    }
    gw_buf_adds(&m->out, "],\"has_more\":false}");
    mock_send_json(m, gw_buf_span(&m->out));
}

/* id: what follows /files/ */
static void one_file(struct mock_call *m, struct gw_span id)
{
    bool content = gw_span_ends(id, GW_SPAN("/content"));
    struct gw_span digits = gw_span_from(id, strlen("file-mock"));
    unsigned long number = digits.len == 0 ? 0 : strtoul(digits.ptr, NULL, 10);
    size_t at = number % KEPT_FILES;

    if (number == 0 || kept[at].number != number) {
        mock_send_error(m, 404, "No such File object");
        return;
    }
    if (gw_span_is(m->head->method, "DELETE")) {
        gw_buf_printf(&m->out, "{\"id\":\"file-mock%lu\",\"object\":\"file\",\"deleted\":true}",
                      number);
        kept[at].number = 0;
        mock_send_json(m, gw_buf_span(&m->out));
    } else if (content) {
        mock_send(m, 200, "application/octet-stream", gw_buf_span(&kept[at].content));
    } else {
        add_file(&m->out, number, kept[at].content.len, gw_buf_span(&kept[at].name),
                 gw_buf_span(&kept[at].purpose));
        mock_send_json(m, gw_buf_span(&m->out));
    }
}

static void answer_files(struct mock_call *m, struct gw_span path)
{
    if (path.len > strlen("/files/"))
        one_file(m, gw_span_from(path, strlen("/files/")));
    else if (gw_span_is(m->head->method, "POST"))
        upload_file(m);
    else
        list_files(m);
}

static void answer_audio(struct mock_call *m, struct gw_span path)
{
    struct gw_span content, name, prompt = GW_SPAN(""), none;

    if (gw_span_is(path, "/audio/speech")) {
        mock_send(m, 200, "audio/mpeg", GW_SPAN("ID3\4\0mock\377\373sound"));
        return;
    }
    if (!mock_form_field(m, "file", &content, &name)) {
        mock_send_error(m, 400, "Expected a multipart form with 'file'.");
        return;
    }
    (void)mock_form_field(m, "prompt", &prompt, &none);
    gw_buf_printf(&m->text, "%zu bytes of sound. ", content.len);
    gw_buf_add(&m->text, prompt);
    gw_buf_adds(&m->out, "{\"text\":");
    gw_buf_add_json_str(&m->out, gw_buf_span(&m->text));
    gw_buf_adds(&m->out, ",\"usage\":{\"type\":\"duration\",\"seconds\":1}}");
    mock_send_json(m, gw_buf_span(&m->out));
}

static void answer_images(struct mock_call *m, struct gw_span path)
{
    struct gw_span prompt = {NULL, 0}, none;

    if (gw_span_is(path, "/images/generations"))
        prompt = gw_json_text(gw_json_get(m->root, "prompt"), m->arena);
    else
        (void)mock_form_field(m, "prompt", &prompt, &none);
    if (prompt.ptr == NULL) {
        mock_send_error(m, 400, "Missing required parameter: 'prompt'.");
        return;
    }
    gw_buf_adds(&m->out,
                "{\"created\":1700000000,\"data\":[{\"b64_json\":\"" PNG "\",\"revised_prompt\":");
    gw_buf_add_json_str(&m->out, prompt);
    gw_buf_adds(&m->out, "}],\"usage\":{\"input_tokens\":1,\"output_tokens\":1,\"total_tokens\":2,"
                         "\"input_tokens_details\":{\"text_tokens\":1,\"image_tokens\":0}}}");
    mock_send_json(m, gw_buf_span(&m->out));
}

/* Paths that this mock does not know, with a directive: the body comes back in a string. */
static bool echo_other(struct mock_call *m, struct gw_span path)
{
    if (mock_directive(m->body, "echo", 0) != 1)
        return false;
    gw_buf_adds(&m->out, "{\"object\":\"mock.echo\",\"path\":");
    gw_buf_add_json_str(&m->out, path);
    gw_buf_adds(&m->out, ",\"body\":");
    gw_buf_add_json_str(&m->out, m->body);
    gw_buf_adds(&m->out, "}");
    mock_send_json(m, gw_buf_span(&m->out));
    return true;
}

bool mock_openai_other(struct mock_call *m, struct gw_span path)
{
    if (gw_span_is(path, "/embeddings"))
        mock_embeddings(m);
    else if (gw_span_is(path, "/moderations"))
        answer_moderations(m);
    else if (gw_span_is(path, "/models") || gw_span_starts(path, GW_SPAN("/models/")))
        answer_models(m, gw_span_from(path, strlen("/models/")));
    else if (gw_span_is(path, "/files") || gw_span_starts(path, GW_SPAN("/files/")))
        answer_files(m, path);
    else if (gw_span_starts(path, GW_SPAN("/audio/")))
        answer_audio(m, path);
    else if (gw_span_starts(path, GW_SPAN("/images/")))
        answer_images(m, path);
    else
        return echo_other(m, path);
    return true;
}
