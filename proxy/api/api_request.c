/* proxy/api/api_request.c - what the dialects share when they read and write requests. Pure; any thread. */
#include <stdarg.h>

#include "proxy/api/api_private.h"

/* Enough for every path of the dialects' own names; longer ones hold a client's names and are cut. */
enum { MAX_PATH_BYTES = 160, MAX_DROPPED_BYTES = 1024 };

/* ---- lists ------------------------------------------------------------------------------ */

/* Makes room for one more element in a list of n; its capacity is the next power of two, so it need not be kept. Returns
 * the list's memory or NULL. */
static void *grow(struct gw_arena *arena, void *list, unsigned n, size_t size)
{
    void *bigger;

    if (n != 0 && (n & (n - 1)) != 0)
        return list;
    if (n > UINT32_MAX / 2)
        return NULL;
    bigger = gw_arena_array(arena, n == 0 ? 1 : (size_t)n * 2, size);
    if (bigger != NULL && n != 0)
        memcpy(bigger, list, n * size);
    return bigger;
}

struct api_message *api_add_message(struct api_reading *r, enum api_role role)
{
    struct api_request *req = r->req;
    struct api_message *list = grow(r->arena, req->messages, req->n_messages, sizeof(*list));

    if (list == NULL)
        return NULL;
    req->messages = list;
    list[req->n_messages].role = role;
    return &list[req->n_messages++];
}

static struct api_part *add_part(struct api_reading *r, struct api_part **parts, unsigned *n,
                                 enum api_part_kind kind)
{
    struct api_part *list = grow(r->arena, *parts, *n, sizeof(*list));

    if (list == NULL)
        return NULL;
    *parts = list;
    list[*n].kind = kind;
    return &list[(*n)++];
}

struct api_part *api_add_part(struct api_reading *r, struct api_message *m, enum api_part_kind kind)
{
    return add_part(r, &m->parts, &m->n_parts, kind);
}

struct api_part *api_add_inner_part(struct api_reading *r, struct api_part *result,
                                    enum api_part_kind kind)
{
    return add_part(r, &result->parts, &result->n_parts, kind);
}

struct api_tool *api_add_tool(struct api_reading *r)
{
    struct api_request *req = r->req;
    struct api_tool *list = grow(r->arena, req->tools, req->n_tools, sizeof(*list));

    if (list == NULL)
        return NULL;
    req->tools = list;
    return &list[req->n_tools++];
}

bool api_add_stop(struct api_reading *r, struct gw_span text)
{
    struct api_request *req = r->req;
    struct gw_span *list = grow(r->arena, req->stop, req->n_stop, sizeof(*list));

    if (list == NULL)
        return false;
    req->stop = list;
    list[req->n_stop++] = text;
    return true;
}

/* ---- notes ------------------------------------------------------------------------------ */

/* Paths go into messages and header fields: visible ASCII, since names in them are the client's. */
static void clean(char *path)
{
    for (; *path != '\0'; path++)
        if (*path <= ' ' || *path > '~' || *path == ',')
            *path = '?';
}

static struct gw_span make_path(struct gw_arena *arena, const char *fmt, va_list ap)
{
    char path[MAX_PATH_BYTES];

    if (vsnprintf(path, sizeof(path), fmt, ap) < 0)
        path[0] = '\0';
    clean(path);
    return gw_arena_copy(arena, gw_span_str(path));
}

static bool add_extra(struct api_reading *r, bool hint, struct gw_span path)
{
    struct api_request *req = r->req;
    struct api_extra *list;

    if (path.ptr == NULL)
        return false;
    list = grow(r->arena, req->extras, req->n_extras, sizeof(*list));
    if (list == NULL)
        return false;
    req->extras = list;
    list[req->n_extras++] = (struct api_extra){path, hint};
    return true;
}

bool api_add_extra(struct api_reading *r, bool hint, const char *fmt, ...)
{
    struct gw_span path;
    va_list ap;

    va_start(ap, fmt);
    path = make_path(r->arena, fmt, ap);
    va_end(ap);
    return add_extra(r, hint, path);
}

bool api_add_unknown(struct api_reading *r, const struct gw_json_node *member, const char *fmt, ...)
{
    struct gw_span path;
    va_list ap;

    if (member->type == GW_JSON_NULL ||
        ((member->type == GW_JSON_OBJECT_BEGIN || member->type == GW_JSON_ARRAY_BEGIN) &&
         member->n == 0))
        return true;
    va_start(ap, fmt);
    path = make_path(r->arena, fmt, ap);
    va_end(ap);
    if (path.ptr == NULL)
        return false;
    /* The name as written: no control bytes, and its escapes are ASCII. */
    return api_add_extra(r, false, "%s%.*s", path.ptr,
                         (int)(member->key.len < MAX_PATH_BYTES ? member->key.len : MAX_PATH_BYTES),
                         member->key.ptr);
}

bool api_note_bad(struct api_reading *r, const char *what, const char *fmt, ...)
{
    struct api_request *req = r->req;
    struct gw_span path;
    char *text;
    size_t n;
    va_list ap;

    if (req->bad != NULL)
        return true;
    va_start(ap, fmt);
    path = make_path(r->arena, fmt, ap);
    va_end(ap);
    n = path.len + strlen(what) + 2;
    text = gw_arena_alloc(r->arena, n);
    if (path.ptr == NULL || text == NULL)
        return false;
    snprintf(text, n, "%s %s", path.ptr, what);
    req->bad = text;
    req->bad_param = path.ptr;
    return true;
}

enum gw_status api_refuse(struct api_reading *r, const char *what, const char *fmt, ...)
{
    struct gw_span path;
    va_list ap;

    va_start(ap, fmt);
    path = make_path(r->arena, fmt, ap);
    va_end(ap);
    if (path.ptr == NULL)
        return api_no_memory(r->err);
    *r->param = path.ptr;
    return gw_fail(r->err, GW_EINVAL, "%s %s", path.ptr, what);
}

/* ---- values ----------------------------------------------------------------------------- */

static bool not_given(const struct gw_json_node *node)
{
    return node == NULL || node->type == GW_JSON_NULL;
}

/* Out of memory in a note only loses the note: the next allocation fails as well and says so. */
struct gw_span api_number(struct api_reading *r, const struct gw_json_node *node, const char *path)
{
    if (gw_json_is(node, GW_JSON_NUMBER))
        return node->raw;
    if (!not_given(node))
        (void)api_note_bad(r, "must be a number", "%s", path);
    return (struct gw_span){NULL, 0};
}

struct gw_span api_object(struct api_reading *r, const struct gw_json_node *node, const char *path)
{
    if (gw_json_is(node, GW_JSON_OBJECT_BEGIN))
        return node->raw;
    if (!not_given(node))
        (void)api_note_bad(r, "must be an object", "%s", path);
    return (struct gw_span){NULL, 0};
}

struct gw_span api_text(struct api_reading *r, const struct gw_json_node *node, const char *path)
{
    struct gw_span text = gw_json_text(node, r->arena);

    if (!not_given(node) && node->type != GW_JSON_STRING)
        (void)api_note_bad(r, "must be a string", "%s", path);
    if (gw_json_is(node, GW_JSON_STRING) && text.ptr == NULL && r->req->bad == NULL) {
        /* Said without memory: what is written may not lack a text because it found none. */
        r->req->bad = "the body needs more memory than a request may have";
        r->req->bad_param = "body";
    }
    return text;
}

enum api_flag api_bool(struct api_reading *r, const struct gw_json_node *node, const char *path)
{
    if (gw_json_is(node, GW_JSON_TRUE))
        return API_YES;
    if (gw_json_is(node, GW_JSON_FALSE))
        return API_NO;
    if (!not_given(node))
        (void)api_note_bad(r, "must be true or false", "%s", path);
    return API_UNSET;
}

bool api_is_object(struct gw_span text)
{
    struct gw_json *json = gw_json_new();
    struct gw_json_tok tok;
    bool object = false;

    if (json == NULL)
        return false;
    gw_json_start(json, text, NULL);
    if (gw_json_next(json, &tok) == GW_JSON_OBJECT_BEGIN)
        object = gw_json_skip(json, &tok) && gw_json_next(json, &tok) == GW_JSON_END;
    gw_json_free(json);
    return object;
}

/* RFC 2397: data:[<media type>][;parameters][;base64],<data>. Only base64 is taken. */
bool api_split_data_url(struct gw_span url, struct gw_span *media_type, struct gw_span *data)
{
    const struct gw_span scheme = GW_SPAN("data:"), encoding = GW_SPAN(";base64");
    struct gw_span head, bytes;
    const char *comma, *semicolon;

    if (url.len < scheme.len || !gw_span_eq_nocase((struct gw_span){url.ptr, scheme.len}, scheme))
        return false;
    head = gw_span_from(url, scheme.len);
    comma = head.len == 0 ? NULL : memchr(head.ptr, ',', head.len);
    if (comma == NULL)
        return false;
    bytes = gw_span_from(head, (size_t)(comma - head.ptr) + 1);
    head.len = (size_t)(comma - head.ptr);
    if (head.len < encoding.len ||
        !gw_span_eq_nocase(gw_span_from(head, head.len - encoding.len), encoding))
        return false;
    head.len -= encoding.len;
    semicolon = head.len == 0 ? NULL : memchr(head.ptr, ';', head.len);
    if (semicolon != NULL)
        head.len = (size_t)(semicolon - head.ptr);
    *media_type = head;
    *data = bytes;
    return true;
}

/* Texts on their way into one: first counted, then, with memory, copied. */
struct joined {
    struct gw_span only; /* the last one counted */
    size_t n, total, at;
    char *p;
};

static void join(struct joined *j, const struct api_part *part)
{
    if ((part->kind != API_PART_TEXT && part->kind != API_PART_REFUSAL) || part->text.len == 0)
        return;
    if (j->p == NULL) {
        j->only = part->text;
        j->n++;
        j->total += part->text.len + 1;
        return;
    }
    if (j->at != 0)
        j->p[j->at++] = '\n';
    memcpy(j->p + j->at, part->text.ptr, part->text.len);
    j->at += part->text.len;
}

static void join_parts(struct joined *j, const struct api_message *m)
{
    for (unsigned i = 0; i < m->n_parts; i++) {
        join(j, &m->parts[i]);
        for (unsigned k = 0; k < m->parts[i].n_parts; k++)
            join(j, &m->parts[i].parts[k]);
    }
}

struct gw_span api_message_text(const struct api_message *m, struct gw_arena *arena)
{
    struct joined j = {.only = GW_SPAN("")};

    join_parts(&j, m);
    if (j.n < 2) /* the usual case stays where it is */
        return j.only;
    j.p = gw_arena_alloc(arena, j.total);
    if (j.p == NULL)
        return (struct gw_span){NULL, 0};
    join_parts(&j, m);
    return (struct gw_span){j.p, j.at};
}

/* ---- writing ---------------------------------------------------------------------------- */

void api_drop(struct api_writing *w, const char *fmt, ...)
{
    struct gw_buf *out = w->dropped;
    char path[MAX_PATH_BYTES];
    va_list ap;

    if (out == NULL || gw_span_ends(gw_buf_span(out), GW_SPAN("...")))
        return;
    va_start(ap, fmt);
    if (vsnprintf(path, sizeof(path), fmt, ap) < 0)
        path[0] = '\0';
    va_end(ap);
    clean(path);
    if (out->len != 0)
        gw_buf_adds(out, ", ");
    gw_buf_adds(out, out->len < MAX_DROPPED_BYTES ? path : "...");
}

enum gw_status api_cannot(struct api_writing *w, const char *param, const char *what)
{
    struct gw_span kept = gw_arena_copy(w->arena, gw_span_str(param));

    if (kept.ptr == NULL)
        return api_no_memory(w->err);
    *w->param = kept.ptr;
    return gw_fail(w->err, GW_EUNSUPPORTED, "%s cannot be said in %s API%s%s", param, w->ops->title,
                   what == NULL ? "" : ": ", what == NULL ? "" : what);
}

static void put_name(struct gw_buf *out, const char *name)
{
    gw_buf_adds(out, ",\"");
    gw_buf_adds(out, name);
    gw_buf_adds(out, "\":");
}

void api_put_raw(struct gw_buf *out, const char *name, struct gw_span raw)
{
    if (raw.len == 0)
        return;
    put_name(out, name);
    gw_buf_add(out, raw);
}

void api_put_text(struct gw_buf *out, const char *name, struct gw_span text)
{
    if (text.ptr == NULL)
        return;
    put_name(out, name);
    gw_buf_add_json_str(out, text);
}

struct gw_span api_or_empty_object(struct gw_span json)
{
    return json.len == 0 ? GW_SPAN("{}") : json;
}

struct gw_span api_role_name(enum api_role role)
{
    switch (role) {
    case API_ROLE_SYSTEM:
        return GW_SPAN("system");
    case API_ROLE_ASSISTANT:
        return GW_SPAN("assistant");
    case API_ROLE_USER:
    default:
        return GW_SPAN("user");
    }
}
