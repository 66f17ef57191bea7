/* proxy/http/http1.c - the message machine over the line scanners. Owns one growing buffer for the head;
 * runs on the thread of its connection. */
#include "proxy/http/http1.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "proxy/http/http1_lines.h"

enum {
    DEFAULT_LINE_BYTES = 8 * 1024,
    DEFAULT_HEAD_BYTES = 64 * 1024,
    DEFAULT_FIELDS = 100,
    MAX_CHUNK_LINE_BYTES = 16 + 256 + 2,
};

enum state {
    S_IDLE,      /* nothing of a message was seen */
    S_START,     /* inside the first line */
    S_FIELDS,    /* inside the field lines */
    S_LENGTH,    /* body of known length: left bytes */
    S_UNTIL_EOF, /* response body that the close ends */
    S_CHUNK_SIZE,
    S_CHUNK_DATA, /* left bytes */
    S_CHUNK_END,  /* the CR LF behind a chunk */
    S_TRAILERS,
    S_DONE,   /* report DONE, then IDLE or CLOSED */
    S_CLOSED, /* the last message said that nothing follows */
    S_ERROR,
};

/* Where a field's name and value begin in the head. */
struct place {
    size_t name, value;
};

struct http1 {
    enum http1_kind kind;
    struct http1_limits lim;
    enum state state;
    struct gw_buf head;  /* complete lines of the head, then the line being collected */
    struct gw_buf aux;   /* one line of the chunked coding: the head's spans must stay */
    size_t line_start;   /* where in head the current line begins */
    bool skipped_empty;  /* one empty line before a message is forgiven */
    uint64_t left;       /* bytes of the body or chunk still to come */
    uint64_t body_bytes; /* decoded so far */
    size_t trailer_bytes;
    struct http1_request_line rl;
    struct http1_head h;
    struct http1_field *fields; /* their pointers are made when the head is complete */
    struct place *places;       /* of each field */
    uint32_t cap_fields;
    size_t first_line_len;
    bool no_body_expected; /* response to HEAD */
    bool connect_expected; /* response to CONNECT */
    unsigned error_status;
    const char *error_why;
};

struct http1 *http1_new(enum http1_kind kind, const struct http1_limits *limits)
{
    struct http1 *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->kind = kind;
    if (limits != NULL)
        p->lim = *limits;
    if (p->lim.max_line_bytes == 0)
        p->lim.max_line_bytes = DEFAULT_LINE_BYTES;
    if (p->lim.max_head_bytes == 0)
        p->lim.max_head_bytes = DEFAULT_HEAD_BYTES;
    if (p->lim.max_fields == 0)
        p->lim.max_fields = DEFAULT_FIELDS;
    return p;
}

static void give_back(struct http1 *p)
{
    gw_buf_fini(&p->head);
    gw_buf_fini(&p->aux);
    free(p->fields);
    free(p->places);
    p->fields = NULL;
    p->places = NULL;
    p->cap_fields = 0;
    memset(&p->h, 0, sizeof(p->h));
}

void http1_free(struct http1 *p)
{
    if (p == NULL)
        return;
    give_back(p);
    free(p);
}

void http1_rest(struct http1 *p)
{
    if (p->fields != NULL && http1_idle(p))
        give_back(p);
}

void http1_expect(struct http1 *p, struct gw_span method)
{
    p->no_body_expected = gw_span_is(method, "HEAD");
    p->connect_expected = gw_span_is(method, "CONNECT");
}

static enum http1_event fail(struct http1 *p, unsigned status, const char *why)
{
    p->state = S_ERROR;
    p->error_status = status;
    p->error_why = why;
    return HTTP1_ERROR;
}

unsigned http1_error(const struct http1 *p, const char **why)
{
    if (why != NULL)
        *why = p->error_why == NULL ? "" : p->error_why;
    return p->error_status;
}

bool http1_idle(const struct http1 *p)
{
    return p->state == S_CLOSED || (p->state == S_IDLE && p->head.len == 0);
}

bool http1_eof(struct http1 *p)
{
    return p->state == S_UNTIL_EOF || http1_idle(p);
}

const struct http1_head *http1_head(const struct http1 *p)
{
    return &p->h;
}

struct gw_span http1_get(const struct http1_head *h, const char *name)
{
    struct gw_span want = gw_span_str(name);

    for (unsigned i = 0; i < h->n_fields; i++)
        if (gw_span_eq_nocase(h->fields[i].name, want))
            return h->fields[i].value;
    return (struct gw_span){NULL, 0};
}

/* ---- lines ------------------------------------------------------------------------------ */

enum line_result { LINE_MORE, LINE_READY, LINE_FAILED };

static enum line_result line_failed(struct http1 *p, unsigned status, const char *why)
{
    (void)fail(p, status, why);
    return LINE_FAILED;
}

/* Checks the bytes of b from `from` on, which belong to the line that begins at start. */
static const char *bad_line_byte(const struct gw_buf *b, size_t start, size_t from)
{
    for (size_t i = from; i < b->len; i++) {
        unsigned char c = (unsigned char)b->ptr[i];

        if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7F)
            return "a control byte stands in the message head";
        if (i > start && b->ptr[i - 1] == '\r' && c != '\n')
            return "a bare CR stands in the message head";
        if (c == '\n' && (i == start || b->ptr[i - 1] != '\r'))
            return "a line ends with a bare LF";
    }
    return NULL;
}

static enum line_result line_too_long(struct http1 *p)
{
    if (p->state == S_START)
        return line_failed(p, 414, "the request line is too long");
    if (p->state == S_CHUNK_SIZE || p->state == S_CHUNK_END)
        return line_failed(p, 400, "a line of the chunked coding is too long");
    return line_failed(p, 431, "the header fields are too large");
}

/* Moves bytes up to and with the next LF into b and sets *line to the complete line, which begins at
 * start, CR LF included. Refuses a bare CR or LF and any control byte at once. */
static enum line_result take_line(struct http1 *p, struct gw_buf *b, size_t start,
                                  struct gw_span *in, size_t max_line, struct gw_span *line)
{
    const char *lf = in->len == 0 ? NULL : memchr(in->ptr, '\n', in->len);
    size_t n = lf == NULL ? in->len : (size_t)(lf - in->ptr) + 1;
    size_t have = b->len - start;
    const char *bad;

    if (n > max_line - have || b->len + n > p->lim.max_head_bytes)
        return line_too_long(p);
    gw_buf_add(b, (struct gw_span){in->ptr, n});
    if (!gw_buf_ok(b))
        return line_failed(p, 503, "out of memory");
    *in = gw_span_from(*in, n);
    bad = bad_line_byte(b, start, start + have);
    if (bad != NULL)
        return line_failed(p, 400, bad);
    if (lf == NULL)
        return LINE_MORE;
    *line = gw_span_from(gw_buf_span(b), start);
    return LINE_READY;
}

static void start_message(struct http1 *p)
{
    gw_buf_clear(&p->head);
    p->line_start = 0;
    p->body_bytes = 0;
    p->trailer_bytes = 0;
    memset(&p->h, 0, sizeof(p->h));
    p->h.fields = p->fields;
}

static enum http1_event scan_start_line(struct http1 *p, struct gw_span line)
{
    enum http1_line_result r;

    if (p->kind == HTTP1_REQUEST)
        r = http1_scan_request_line(line, &p->rl);
    else
        r = http1_scan_status_line(line, &p->h.status, &p->h.minor);
    if (r == HTTP1_LINE_VERSION)
        return fail(p, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    if (r != HTTP1_LINE_OK)
        return fail(p, 400, "the first line is malformed");
    p->first_line_len = line.len;
    p->line_start = p->head.len;
    p->state = S_FIELDS;
    return HTTP1_MORE;
}

static bool grow_fields(struct http1 *p)
{
    uint32_t cap = p->cap_fields == 0 ? 16 : p->cap_fields * 2;
    struct http1_field *f = realloc(p->fields, cap * sizeof(*f));
    struct place *places;

    if (f == NULL)
        return false;
    p->fields = f;
    p->h.fields = f;
    places = realloc(p->places, cap * sizeof(*places));
    if (places == NULL)
        return false;
    p->places = places;
    p->cap_fields = cap;
    return true;
}

static enum http1_event scan_field_line(struct http1 *p, struct gw_span line)
{
    struct gw_span name, value;

    if (!http1_scan_field(line, &name, &value))
        return fail(p, 400, "a header field is malformed");
    if (p->h.n_fields == p->lim.max_fields)
        return fail(p, 431, "too many header fields");
    if (p->h.n_fields == p->cap_fields && !grow_fields(p))
        return fail(p, 503, "out of memory");
    /* The buffer may still move, so lengths now and pointers in finish_head(). */
    p->fields[p->h.n_fields].name = (struct gw_span){line.ptr, name.len};
    p->fields[p->h.n_fields].value = (struct gw_span){line.ptr, value.len};
    p->places[p->h.n_fields] =
        (struct place){p->line_start, p->line_start + (size_t)(value.ptr - line.ptr)};
    p->h.n_fields++;
    p->line_start = p->head.len;
    return HTTP1_MORE;
}

/* ---- framing ---------------------------------------------------------------------------- */

static bool list_has(struct gw_span value, const char *token)
{
    struct gw_span want = gw_span_str(token);
    size_t i = 0;

    while (i < value.len) {
        size_t start, end;

        while (i < value.len &&
               (value.ptr[i] == ',' || value.ptr[i] == ' ' || value.ptr[i] == '\t'))
            i++;
        start = i;
        while (i < value.len && value.ptr[i] != ',')
            i++;
        end = i;
        while (end > start && (value.ptr[end - 1] == ' ' || value.ptr[end - 1] == '\t'))
            end--;
        if (gw_span_eq_nocase((struct gw_span){value.ptr + start, end - start}, want))
            return true;
    }
    return false;
}

struct framing {
    unsigned n_host, n_length, n_te;
    struct gw_span host;
    bool close, keep_alive, upgrade_token;
};

/* RTSP's requests look like HTTP's and mean something else: who takes them does not read what we read. */
static bool is_of_rtsp(struct gw_span method)
{
    static const char *const methods[] = {"ANNOUNCE", "DESCRIBE",      "SETUP",        "PLAY",
                                          "PAUSE",    "TEARDOWN",      "RECORD",       "REDIRECT",
                                          "FLUSH",    "GET_PARAMETER", "SET_PARAMETER"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (gw_span_is(method, methods[i]))
            return true;
    return false;
}

static enum http1_event read_framing_field(struct http1 *p, const struct http1_field *f,
                                           struct framing *fr)
{
    if (gw_span_eq_nocase(f->name, GW_SPAN("host"))) {
        fr->n_host++;
        fr->host = f->value;
    } else if (gw_span_eq_nocase(f->name, GW_SPAN("content-length"))) {
        fr->n_length++;
        if (!http1_scan_length(f->value, &p->h.content_length))
            return fail(p, 400, "Content-Length is not a number of bytes");
        p->h.has_length = true;
    } else if (gw_span_eq_nocase(f->name, GW_SPAN("transfer-encoding"))) {
        fr->n_te++;
        if (!gw_span_eq_nocase(f->value, GW_SPAN("chunked")))
            return fail(p, 501, "the only transfer coding spoken here is chunked");
        p->h.chunked = true;
    } else if (gw_span_eq_nocase(f->name, GW_SPAN("connection"))) {
        fr->close |= list_has(f->value, "close");
        fr->keep_alive |= list_has(f->value, "keep-alive");
        fr->upgrade_token |= list_has(f->value, "upgrade");
    } else if (gw_span_eq_nocase(f->name, GW_SPAN("expect"))) {
        p->h.expect_continue |= gw_span_eq_nocase(f->value, GW_SPAN("100-continue"));
    } else if (gw_span_eq_nocase(f->name, GW_SPAN("upgrade"))) {
        p->h.upgrade = true;
    }
    return HTTP1_MORE;
}

static enum http1_event check_target(struct http1 *p, const struct framing *fr)
{
    if (fr->n_host > 1 || (fr->n_host == 0 && p->h.minor == 1))
        return fail(p, 400, "exactly one Host field is needed");
    if (fr->n_host == 1 && !http1_scan_host(fr->host))
        return fail(p, 400, "the Host field is malformed");
    if (is_of_rtsp(p->h.method))
        return fail(p, 501, "the method is one of RTSP");
    p->h.connect = gw_span_is(p->h.method, "CONNECT");
    if (p->h.connect != (p->rl.form == HTTP1_TARGET_AUTHORITY))
        return fail(p, 400, "CONNECT and only CONNECT names host:port as its target");
    if (p->rl.form == HTTP1_TARGET_ASTERISK && !gw_span_is(p->h.method, "OPTIONS"))
        return fail(p, 400, "only OPTIONS may ask for *");
    if (p->h.authority.len == 0)
        p->h.authority = fr->host;
    else if (fr->n_host == 1 && !gw_span_eq_nocase(p->h.authority, fr->host) &&
             p->rl.form == HTTP1_TARGET_ABSOLUTE)
        return fail(p, 400, "the Host field and the request target name different hosts");
    if (p->h.path.len == 0 && !p->h.connect)
        p->h.path = GW_SPAN("/");
    return HTTP1_MORE;
}

static bool response_has_no_body(const struct http1 *p)
{
    return p->no_body_expected || p->h.status < 200 || p->h.status == 204 || p->h.status == 304 ||
           (p->connect_expected && p->h.status < 300);
}

static void choose_body_state(struct http1 *p)
{
    if (p->kind == HTTP1_RESPONSE && response_has_no_body(p)) {
        p->h.chunked = false;
        p->state = S_DONE;
    } else if (p->h.chunked) {
        p->state = S_CHUNK_SIZE;
    } else if (p->h.has_length) {
        p->left = p->h.content_length;
        p->state = p->left == 0 ? S_DONE : S_LENGTH;
    } else if (p->kind == HTTP1_RESPONSE) {
        p->state = S_UNTIL_EOF;
        p->h.keep_alive = false;
    } else {
        p->state = S_DONE;
    }
}

/* The head's last line was read: make pointers, check what spans several lines, choose the framing. */
static enum http1_event finish_head(struct http1 *p)
{
    struct framing fr = {0};

    for (unsigned i = 0; i < p->h.n_fields; i++) {
        p->fields[i].name.ptr = p->head.ptr + p->places[i].name;
        p->fields[i].value.ptr = p->head.ptr + p->places[i].value;
    }
    if (p->kind == HTTP1_REQUEST) {
        /* Scanned once when the line came in; again now that the buffer stands still. */
        (void)http1_scan_request_line((struct gw_span){p->head.ptr, p->first_line_len}, &p->rl);
        p->h.method = p->rl.method;
        p->h.target = p->rl.target;
        p->h.authority = p->rl.authority;
        p->h.path = p->rl.path;
        p->h.minor = p->rl.minor;
    }
    for (unsigned i = 0; i < p->h.n_fields; i++)
        if (read_framing_field(p, &p->fields[i], &fr) == HTTP1_ERROR)
            return HTTP1_ERROR;
    if (fr.n_length > 1)
        return fail(p, 400, "Content-Length is repeated");
    if (fr.n_te > 1 || (fr.n_te == 1 && (fr.n_length != 0 || p->h.minor == 0)))
        return fail(p, 400, "Transfer-Encoding is repeated, beside Content-Length, or in HTTP/1.0");
    if (p->kind == HTTP1_REQUEST && check_target(p, &fr) == HTTP1_ERROR)
        return HTTP1_ERROR;
    if (p->lim.max_body_bytes != 0 && p->h.has_length &&
        p->h.content_length > p->lim.max_body_bytes)
        return fail(p, 413, "the body is larger than this gateway takes");
    p->h.upgrade = p->h.upgrade && fr.upgrade_token;
    p->h.keep_alive = !fr.close && (p->h.minor == 1 || fr.keep_alive);
    choose_body_state(p);
    return HTTP1_HEAD;
}

/* ---- the machine ------------------------------------------------------------------------ */

static enum http1_event step_head(struct http1 *p, struct gw_span *in)
{
    struct gw_span line;

    if (p->state == S_IDLE) {
        if (in->len == 0)
            return HTTP1_MORE;
        if (p->head.len == 0)
            start_message(p);
        p->state = S_START;
    }
    switch (take_line(p, &p->head, p->line_start, in, p->lim.max_line_bytes, &line)) {
    case LINE_MORE:
        return HTTP1_MORE;
    case LINE_FAILED:
        return HTTP1_ERROR;
    case LINE_READY:
        break;
    }
    if (p->state == S_START && line.len == 2 && !p->skipped_empty && p->kind == HTTP1_REQUEST) {
        p->skipped_empty = true;
        gw_buf_clear(&p->head);
        p->state = S_IDLE;
        return HTTP1_MORE;
    }
    if (p->state == S_START)
        return scan_start_line(p, line);
    if (line.len == 2)
        return finish_head(p);
    return scan_field_line(p, line);
}

static enum http1_event give_body(struct http1 *p, struct gw_span *in, struct gw_span *data,
                                  uint64_t at_most)
{
    size_t n = in->len < at_most ? in->len : (size_t)at_most;

    if (n == 0)
        return HTTP1_MORE;
    p->body_bytes += n;
    if (p->lim.max_body_bytes != 0 && p->body_bytes > p->lim.max_body_bytes)
        return fail(p, 413, "the body is larger than this gateway takes");
    *data = (struct gw_span){in->ptr, n};
    *in = gw_span_from(*in, n);
    return HTTP1_BODY;
}

static enum http1_event step_length(struct http1 *p, struct gw_span *in, struct gw_span *data)
{
    enum http1_event ev = give_body(p, in, data, p->left);

    if (ev != HTTP1_BODY)
        return ev;
    p->left -= data->len;
    if (p->left == 0)
        p->state = p->state == S_LENGTH ? S_DONE : S_CHUNK_END;
    return HTTP1_BODY;
}

static enum http1_event step_chunk_line(struct http1 *p, struct gw_span *in)
{
    struct gw_span line;
    uint64_t size;
    size_t max = p->state == S_CHUNK_SIZE  ? MAX_CHUNK_LINE_BYTES
                 : p->state == S_CHUNK_END ? 2
                                           : p->lim.max_line_bytes;

    if (in->len == 0)
        return HTTP1_MORE;
    if (p->state == S_CHUNK_END && in->ptr[0] != "\r\n"[p->aux.len])
        return fail(p, 400, "a chunk is not followed by CR LF");
    switch (take_line(p, &p->aux, 0, in, max, &line)) {
    case LINE_MORE:
        return HTTP1_MORE;
    case LINE_FAILED:
        return HTTP1_ERROR;
    case LINE_READY:
        break;
    }
    if (p->state == S_CHUNK_END) {
        p->state = S_CHUNK_SIZE;
    } else if (p->state == S_CHUNK_SIZE) {
        if (!http1_scan_chunk_size(line, &size))
            return fail(p, 400, "a chunk size is malformed");
        p->left = size;
        p->state = size == 0 ? S_TRAILERS : S_CHUNK_DATA;
    } else if (line.len == 2) {
        p->state = S_DONE;
    } else {
        struct gw_span name, value;

        if (!http1_scan_field(line, &name, &value))
            return fail(p, 400, "a trailer field is malformed");
        p->trailer_bytes += line.len;
        if (p->trailer_bytes > p->lim.max_head_bytes)
            return fail(p, 431, "the trailer fields are too large");
    }
    gw_buf_clear(&p->aux);
    return HTTP1_MORE;
}

enum http1_event http1_next(struct http1 *p, struct gw_span *in, struct gw_span *data)
{
    for (;;) {
        enum http1_event ev;

        switch (p->state) {
        case S_IDLE:
        case S_START:
        case S_FIELDS:
            ev = step_head(p, in);
            break;
        case S_LENGTH:
        case S_CHUNK_DATA:
            ev = step_length(p, in, data);
            break;
        case S_UNTIL_EOF:
            ev = give_body(p, in, data, UINT64_MAX);
            break;
        case S_CHUNK_SIZE:
        case S_CHUNK_END:
        case S_TRAILERS:
            ev = step_chunk_line(p, in);
            break;
        case S_DONE:
            p->state = p->h.keep_alive ? S_IDLE : S_CLOSED;
            p->head.len = 0;
            p->skipped_empty = false;
            return HTTP1_DONE;
        case S_CLOSED:
            return in->len == 0 ? HTTP1_MORE
                                : fail(p, 400, "bytes follow a message with Connection: close");
        case S_ERROR:
        default:
            return HTTP1_ERROR;
        }
        if (ev != HTTP1_MORE || (in->len == 0 && p->state != S_DONE))
            return ev;
    }
}
