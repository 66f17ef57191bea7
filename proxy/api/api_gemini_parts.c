/* proxy/api/api_gemini_parts.c - the contents of a generateContent request: turns, their parts, and which answer of a function
 * belongs to which call. Pure; any thread. */
#include <stdio.h>

#include "proxy/api/api_gemini_read.h"

/* A function call that a response may answer. Models before Gemini 3 give calls no ids: a response then belongs to the
 * first call of its name that has none yet. */
struct call {
    struct gw_span id, name;
    bool answered;
    struct call *next;
};

struct contents {
    struct api_reading *r;
    struct call *calls, *last;
    unsigned n_calls;
    char *joined; /* the text that grew last, joined_cap bytes */
    size_t joined_cap;
    char at[64]; /* path of the part being read, with a dot */
};

/* The path of a member of the part being read. */
struct path {
    char text[GEMINI_PATH_BYTES];
};
static struct path in_part(const struct contents *c, const char *member)
{
    struct path p;

    snprintf(p.text, sizeof(p.text), "%s%s", c->at, member);
    return p;
}

/* ---- function calls ------------------------------------------------------------------------ */

/* "call_N" for the N-th call of the conversation: the same one each time the conversation is sent. */
static struct gw_span made_id(struct contents *c)
{
    char id[24];

    snprintf(id, sizeof(id), "call_%u", c->n_calls);
    return gw_arena_copy(c->r->arena, gw_span_str(id));
}

static bool read_call(struct contents *c, struct api_message *m, const struct gw_json_node *node)
{
    enum { ID, NAME, ARGS, N };
    static const char *const names[N] = {"id", "name", "args"};
    const struct gw_json_node *v[N];
    struct api_reading *r = c->r;
    struct api_part *part;
    struct call *call;

    if (!gemini_is_object_or_bad(r, node, in_part(c, "functionCall").text))
        return true;
    if (m->role != API_ROLE_ASSISTANT)
        return api_note_bad(r, "belongs in a content with the role model", "%sfunctionCall", c->at);
    if (!gemini_pick(r, node, names, N, v, in_part(c, "functionCall.").text))
        return false;
    part = api_add_part(r, m, API_PART_TOOL_CALL);
    call = gw_arena_alloc(r->arena, sizeof(*call));
    if (part == NULL || call == NULL)
        return false;
    part->name = gemini_text(r, v[NAME], c->at, "functionCall.name");
    if (part->name.len == 0 && !api_note_bad(r, "is missing", "%sfunctionCall.name", c->at))
        return false;
    part->json = api_object(r, v[ARGS], in_part(c, "functionCall.args").text);
    part->id = gemini_text(r, v[ID], c->at, "functionCall.id");
    if (part->id.len == 0)
        part->id = made_id(c);
    call->id = part->id;
    call->name = part->name;
    if (c->last == NULL)
        c->calls = call;
    else
        c->last->next = call;
    c->last = call;
    c->n_calls++;
    return part->id.ptr != NULL;
}

/* The call that a response answers, now answered; NULL: none. */
static struct call *answered_call(struct contents *c, struct gw_span id, struct gw_span name)
{
    struct call *call = c->calls;

    while (call != NULL && (call->answered || !gw_span_eq(id.len != 0 ? call->id : call->name,
                                                          id.len != 0 ? id : name)))
        call = call->next;
    if (call != NULL)
        call->answered = true;
    /* What was answered is never asked for again: the list stays as short as what is open. */
    while (c->calls != NULL && c->calls->answered)
        c->calls = c->calls->next;
    if (c->calls == NULL)
        c->last = NULL;
    return call;
}

/* The text of a function's answer. By Google's convention "output" (its SDKs: "result") or "error" holds it; any other
 * object is the answer itself. */
static struct gw_span response_text(const struct gw_json_node *response, bool *is_error,
                                    struct gw_arena *arena)
{
    const struct gw_json_node *only = response->n == 1 ? response->child : NULL;

    *is_error = only != NULL && gw_json_key_is(only, "error");
    if (only == NULL ||
        !(*is_error || gw_json_key_is(only, "result") || gw_json_key_is(only, "output")))
        return response->raw;
    return only->type == GW_JSON_STRING ? gw_json_text(only, arena) : only->raw;
}

/* Google sends and takes base64 in both alphabets (RFC 4648 sections 4 and 5), other APIs in the first alone. */
static struct gw_span plain_base64(struct gw_span data, struct gw_arena *arena)
{
    char *p;

    if (data.len == 0 ||
        (memchr(data.ptr, '-', data.len) == NULL && memchr(data.ptr, '_', data.len) == NULL))
        return data;
    p = gw_arena_alloc(arena, data.len);
    if (p == NULL)
        return (struct gw_span){NULL, 0};
    for (size_t i = 0; i < data.len; i++)
        p[i] = (char)(data.ptr[i] == '-' ? '+' : data.ptr[i] == '_' ? '/' : data.ptr[i]);
    return (struct gw_span){p, data.len};
}

static enum api_part_kind kind_of_media(struct gw_span type)
{
    if (gw_span_starts(type, GW_SPAN("image/")))
        return API_PART_IMAGE;
    return gw_span_starts(type, GW_SPAN("audio/")) ? API_PART_AUDIO : API_PART_FILE;
}

/* True for files that only Google can open. */
static bool is_googles(struct gw_span uri)
{
    return gw_span_starts(uri, GW_SPAN("gs://")) ||
           gw_span_starts(uri, GW_SPAN("https://generativelanguage.googleapis.com/"));
}

/* inlineData or fileData, as a part of m, or of a function's response when result is not NULL. */
static bool read_media(struct contents *c, struct api_message *m, struct api_part *result,
                       const struct gw_json_node *node, bool inlined)
{
    enum { TYPE, DATA, NAME, N };
    static const char *const inline_names[N] = {"mimeType", "data", "displayName"};
    static const char *const file_names[N] = {"mimeType", "fileUri", "displayName"};
    const char *const *names = inlined ? inline_names : file_names;
    const struct path at = in_part(c, inlined ? "inlineData." : "fileData.");
    const struct gw_json_node *v[N];
    struct gw_span type, data, name;
    struct api_reading *r = c->r;
    struct api_part *part;

    if (!gemini_is_object_or_bad(r, node, at.text))
        return true;
    if (!gemini_pick(r, node, names, N, v, at.text))
        return false;
    type = gemini_text(r, v[TYPE], at.text, names[TYPE]);
    data = gemini_text(r, v[DATA], at.text, names[DATA]);
    name = gemini_text(r, v[NAME], at.text, names[NAME]);
    if (data.len == 0)
        return api_note_bad(r, "is missing", "%s%s", at.text, names[DATA]);
    if (!inlined && is_googles(data) && !api_add_extra(r, false, "%sfileUri", at.text))
        return false;
    part = result != NULL ? api_add_inner_part(r, result, kind_of_media(type))
                          : api_add_part(r, m, kind_of_media(type));
    if (part == NULL)
        return false;
    part->media_type = type;
    if (inlined)
        part->data = plain_base64(data, r->arena);
    else
        part->url = data;
    if (part->kind == API_PART_FILE)
        part->detail = name;
    else if (name.len != 0 && !api_add_extra(r, true, "%sdisplayName", at.text))
        return false;
    return !inlined || part->data.ptr != NULL;
}

static bool read_response_media(struct contents *c, struct api_part *result,
                                const struct gw_json_node *list)
{
    enum { INLINE, FILE_DATA, N };
    static const char *const names[N] = {"inlineData", "fileData"};
    const struct path at = in_part(c, "functionResponse.parts.");

    for (const struct gw_json_node *p = gemini_first(list); p != NULL; p = gemini_next(list, p)) {
        const struct gw_json_node *v[N];

        if (!gemini_is_object_or_bad(c->r, p, at.text))
            continue;
        if (!gemini_pick(c->r, p, names, N, v, at.text))
            return false;
        if (v[INLINE] != NULL && !read_media(c, NULL, result, v[INLINE], true))
            return false;
        if (v[FILE_DATA] != NULL && !read_media(c, NULL, result, v[FILE_DATA], false))
            return false;
    }
    return true;
}

static bool read_response(struct contents *c, struct api_message *m,
                          const struct gw_json_node *node)
{
    enum { ID, NAME, RESPONSE, PARTS, N };
    static const char *const names[N] = {"id", "name", "response", "parts"};
    const struct gw_json_node *v[N];
    struct api_reading *r = c->r;
    struct api_part result = {.kind = API_PART_TOOL_RESULT}, *part;
    struct call *call;

    if (!gemini_is_object_or_bad(r, node, in_part(c, "functionResponse").text))
        return true;
    if (m->role != API_ROLE_USER)
        return api_note_bad(r, "belongs in a content with the role user", "%sfunctionResponse",
                            c->at);
    if (!gemini_pick(r, node, names, N, v, in_part(c, "functionResponse.").text))
        return false;
    result.name = gemini_text(r, v[NAME], c->at, "functionResponse.name");
    result.id = gemini_text(r, v[ID], c->at, "functionResponse.id");
    call = answered_call(c, result.id, result.name);
    if (result.id.len == 0)
        result.id = call != NULL ? call->id : made_id(c);
    if (result.id.ptr == NULL)
        return false;
    if (gemini_is_object_or_bad(r, v[RESPONSE], in_part(c, "functionResponse.response").text)) {
        struct api_part *text = api_add_inner_part(r, &result, API_PART_TEXT);

        if (text == NULL)
            return false;
        text->text = response_text(v[RESPONSE], &result.is_error, r->arena);
        if (text->text.ptr == NULL)
            return false;
    }
    if (!read_response_media(c, &result, v[PARTS]))
        return false;
    part = api_add_part(r, m, API_PART_TOOL_RESULT);
    if (part == NULL)
        return false;
    *part = result;
    return true;
}

/* ---- parts -------------------------------------------------------------------------------- */

enum {
    TEXT,
    INLINE,
    FILE_DATA,
    CALL,
    RESPONSE,
    CODE,
    CODE_RESULT,
    N_KINDS,
    THOUGHT = N_KINDS,
    SIGNATURE,
    RESOLUTION,
    METADATA,
    N_MEMBERS
};
static const char *const part_names[N_MEMBERS] = {
    "text",           "inlineData",          "fileData", "functionCall",     "functionResponse",
    "executableCode", "codeExecutionResult", "thought",  "thoughtSignature", "mediaResolution",
    "partMetadata"};

/* Signatures that this gateway's answers carried come back; a client that keeps them as bytes writes them in the
 * URL's alphabet, and Anthropic's are in the other. Those of Gemini's own models are of no use to others. */
static bool read_signature(struct contents *c, const struct gw_json_node *node, bool thought,
                           struct gw_span *out)
{
    struct gw_span own, signature = gemini_text(c->r, node, c->at, "thoughtSignature");
    bool claude = api_own_signature(signature, API_MARK_ANTHROPIC, &own) ||
                  api_own_signature(signature, API_MARK_ANTHROPIC_HIDDEN, &own);

    if (signature.len == 0)
        return true;
    if (!thought || (!claude && !api_own_signature(signature, API_MARK_RESPONSES, &own)))
        return api_add_extra(c->r, true, "%sthoughtSignature", c->at);
    *out = claude ? plain_base64(signature, c->r->arena) : signature;
    return out->ptr != NULL;
}

/* Makes the part's text longer; by doubling, since a stream's history has a part for each chunk. */
static bool join(struct contents *c, struct api_part *part, struct gw_span more)
{
    size_t len = part->text.len;

    if (more.len == 0)
        return true;
    if (part->text.ptr != c->joined || more.len > c->joined_cap - len) {
        size_t cap = (len + more.len) * 2;
        char *p = gw_arena_alloc(c->r->arena, cap);

        if (p == NULL)
            return false;
        if (len != 0)
            memcpy(p, part->text.ptr, len);
        c->joined = p;
        c->joined_cap = cap;
    }
    memcpy(c->joined + len, more.ptr, more.len);
    part->text = (struct gw_span){c->joined, len + more.len};
    return true;
}

/* The model's last part when a further text of that kind continues it. */
static struct api_part *continued(struct api_message *m, enum api_part_kind kind)
{
    struct api_part *last = m->n_parts == 0 ? NULL : &m->parts[m->n_parts - 1];

    if (m->role != API_ROLE_ASSISTANT || last == NULL || last->kind != kind)
        return NULL;
    return last->json.len == 0 ? last : NULL; /* a signature ends its thoughts */
}

/* Neighbouring texts of the model are one: clients keep an answer's chunks as they came. */
static bool read_text(struct contents *c, struct api_message *m,
                      const struct gw_json_node *const *v, bool thought)
{
    enum api_part_kind kind = thought ? API_PART_REASONING : API_PART_TEXT;
    struct gw_span text = gemini_text(c->r, v[TEXT], c->at, "text"), signature = {NULL, 0};
    struct api_part *part = continued(m, kind);

    if (thought && m->role != API_ROLE_ASSISTANT)
        return api_note_bad(c->r, "belongs in a content with the role model", "%sthought", c->at);
    if (!read_signature(c, v[SIGNATURE], thought, &signature))
        return false;
    if (text.len == 0 && signature.len == 0 && m->role == API_ROLE_ASSISTANT)
        return true; /* the last chunk of a stream */
    if (part == NULL) {
        part = api_add_part(c->r, m, kind);
        if (part == NULL)
            return false;
        part->text = text.ptr == NULL ? GW_SPAN("") : text;
    } else if (!join(c, part, text)) {
        return false;
    }
    part->json = signature;
    return true;
}

/* The kind of a part among its members; N_KINDS without one, and noted as bad with two. */
static unsigned kind_of(struct contents *c, const struct gw_json_node *const *v)
{
    unsigned kind = N_KINDS;

    for (unsigned i = 0; i < N_KINDS; i++) {
        if (v[i] == NULL)
            continue;
        if (kind != N_KINDS)
            (void)api_note_bad(c->r, "stands beside another kind of content", "%s%s", c->at,
                               part_names[i]);
        kind = i;
    }
    return kind;
}

static bool read_part(struct contents *c, struct api_message *m, const struct gw_json_node *node)
{
    const struct gw_json_node *v[N_MEMBERS];
    bool thought;
    unsigned kind;

    if (!gemini_pick(c->r, node, part_names, N_MEMBERS, v, c->at))
        return false;
    kind = kind_of(c, v);
    thought =
        v[THOUGHT] != NULL && api_bool(c->r, v[THOUGHT], in_part(c, "thought").text) == API_YES;
    if (kind == TEXT || (kind == N_KINDS && thought))
        return read_text(c, m, v, thought);
    if (v[SIGNATURE] != NULL && !api_add_extra(c->r, true, "%sthoughtSignature", c->at))
        return false;
    for (unsigned i = RESOLUTION; i < N_MEMBERS;
         i++) /* how finely to look; notes of the client's */
        if (v[i] != NULL && !api_add_extra(c->r, true, "%s%s", c->at, part_names[i]))
            return false;
    switch (kind) {
    case INLINE:
    case FILE_DATA:
        return read_media(c, m, NULL, v[kind], kind == INLINE);
    case CALL:
        return read_call(c, m, v[CALL]);
    case RESPONSE:
        return read_response(c, m, v[RESPONSE]);
    case CODE:
    case CODE_RESULT: /* of Google's own interpreter */
        return api_add_extra(c->r, false, "%s%s", c->at, part_names[kind]);
    default:
        return true;
    }
}

/* Reads the parts of a content into m. path: of the content, with a dot. */
static bool read_parts(struct contents *c, struct api_message *m, const struct gw_json_node *list,
                       const char *path)
{
    unsigned i = 0;

    for (const struct gw_json_node *p = gemini_first(list); p != NULL; p = gemini_next(list, p)) {
        snprintf(c->at, sizeof(c->at), "%sparts[%u].", path, i++);
        if (gemini_is_object_or_bad(c->r, p, c->at) && !read_part(c, m, p))
            return false;
    }
    return true;
}

/* ---- contents ----------------------------------------------------------------------------- */

static bool role_of(struct api_reading *r, const struct gw_json_node *role, const char *path,
                    enum api_role *out)
{
    *out = API_ROLE_USER;
    if (gw_json_text_is(role, "model"))
        *out = API_ROLE_ASSISTANT;
    else if (role != NULL && !gw_json_text_is(role, "user") && !gw_json_text_is(role, "function") &&
             !gw_json_text_is(role, "tool") && !gw_json_text_is(role, ""))
        return api_note_bad(r, "must be user or model", "%srole", path);
    return true;
}

/* The message that a content of that role is read into: the model's last one, which it continues, or a new one. */
static struct api_message *message_for(struct api_reading *r, enum api_role role)
{
    const struct api_request *req = r->req;

    if (role == API_ROLE_ASSISTANT && req->n_messages != 0 &&
        req->messages[req->n_messages - 1].role == role)
        return &req->messages[req->n_messages - 1];
    return api_add_message(r, role);
}

bool gemini_read_contents(struct api_reading *r, const struct gw_json_node *list)
{
    static const char *const names[2] = {"role", "parts"};
    struct contents c = {.r = r};
    unsigned i = 0;

    for (const struct gw_json_node *n = gemini_first(list); n != NULL; n = gemini_next(list, n)) {
        const struct gw_json_node *v[2];
        char path[32];
        struct api_message *m;
        enum api_role role;

        snprintf(path, sizeof(path), "contents[%u].", i++);
        if (!gemini_is_object_or_bad(r, n, path))
            continue;
        if (!gemini_pick(r, n, names, 2, v, path) || !role_of(r, v[0], path, &role))
            return false;
        m = message_for(r, role);
        if (m == NULL || !read_parts(&c, m, v[1], path))
            return false;
    }
    return true;
}

/* A content whose role says nothing, or, leniently, its text. */
bool gemini_read_system(struct api_reading *r, const struct gw_json_node *node)
{
    static const char *const names[2] = {"role", "parts"};
    const struct gw_json_node *v[2];
    struct contents c = {.r = r};
    struct api_message *m;

    if (node == NULL)
        return true;
    m = api_add_message(r, API_ROLE_SYSTEM);
    if (m == NULL)
        return false;
    if (node->type == GW_JSON_STRING) {
        struct api_part *part = api_add_part(r, m, API_PART_TEXT);

        if (part == NULL)
            return false;
        part->text = gw_json_text(node, r->arena);
        return part->text.ptr != NULL;
    }
    if (!gemini_is_object_or_bad(r, node, "systemInstruction"))
        return true;
    if (!gemini_pick(r, node, names, 2, v, "systemInstruction.") ||
        !read_parts(&c, m, v[1], "systemInstruction."))
        return false;
    for (unsigned i = 0; i < m->n_parts; i++)
        if (m->parts[i].kind != API_PART_TEXT)
            return api_note_bad(r, "must be a text", "systemInstruction.parts[%u]", i);
    return true;
}
