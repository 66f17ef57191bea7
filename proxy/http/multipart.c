/* proxy/http/multipart.c - see multipart.h. */
#include "proxy/http/multipart.h"

#include <string.h>

enum { MAX_PARTS = 1000, MAX_BOUNDARY = 70 };

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* The value of a parameter of a field, `; name=value` or `; name="value"`; empty when there is none. */
static struct gw_span parameter(struct gw_span field, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i + n + 1 < field.len; i++) {
        size_t k = 0, start = i + n + 1, end;

        if (i != 0 && field.ptr[i - 1] != ';' && field.ptr[i - 1] != ' ' &&
            field.ptr[i - 1] != '\t')
            continue;
        while (k < n && lower(field.ptr[i + k]) == name[k])
            k++;
        if (k < n || field.ptr[i + n] != '=')
            continue;
        end = start;
        if (field.ptr[start] == '"') {
            for (end = ++start; end < field.len && field.ptr[end] != '"';)
                end++;
        } else {
            while (end < field.len && field.ptr[end] != ';' && field.ptr[end] != ' ')
                end++;
        }
        return (struct gw_span){field.ptr + start, end - start};
    }
    return (struct gw_span){NULL, 0};
}

bool multipart_is(struct gw_span content_type)
{
    return content_type.len > 10 &&
           gw_span_eq_nocase((struct gw_span){content_type.ptr, 10}, GW_SPAN("multipart/")) &&
           parameter(content_type, "boundary").len != 0;
}

struct splitting {
    struct gw_span body;
    char delimiter[MAX_BOUNDARY + 2]; /* "--" boundary */
    size_t delimiter_len;
    struct multipart_stretch *out;
    unsigned n;
};

static void add(struct splitting *s, struct gw_span bytes, bool is_head, struct gw_span type,
                struct gw_span name)
{
    if (bytes.len != 0)
        s->out[s->n++] = (struct multipart_stretch){bytes, is_head, type, name};
}

/* Where the line ends whose delimiter ends at byte at, its own line end included; 0: it only begins like one. *last: the
 * delimiter that closes the body. */
static size_t delimiter_line(struct gw_span b, size_t at, bool *last)
{
    *last = at + 1 < b.len && b.ptr[at] == '-' && b.ptr[at + 1] == '-';
    if (*last)
        at += 2;
    while (at < b.len && (b.ptr[at] == ' ' || b.ptr[at] == '\t'))
        at++;
    if (at < b.len && b.ptr[at] == '\r')
        at++;
    if (at < b.len && b.ptr[at] == '\n')
        return at + 1;
    return *last && at == b.len ? at : 0;
}

/* Finds the next delimiter line from byte from: *start: where it begins, with the line end before it; *next: behind its
 * own line end. *last: it closes the body. False: there is none. */
static bool find_delimiter(const struct splitting *s, size_t from, size_t *start, size_t *next,
                           bool *last)
{
    struct gw_span b = s->body;

    while (from < b.len) {
        const char *p = memmem(b.ptr + from, b.len - from, s->delimiter, s->delimiter_len);
        size_t at;

        if (p == NULL)
            return false;
        at = (size_t)(p - b.ptr);
        from = at + 1;
        if (at != 0 && b.ptr[at - 1] != '\n')
            continue;
        *next = delimiter_line(b, at + s->delimiter_len, last);
        if (*next == 0)
            continue;
        *start = at;
        if (at != 0)
            *start -= at > 1 && b.ptr[at - 2] == '\r' ? 2 : 1;
        return true;
    }
    return false;
}

/* The value of a part's field. */
static struct gw_span field_of(struct gw_span head, const char *name)
{
    size_t n = strlen(name), i = 0;

    while (i < head.len) {
        const char *nl = memchr(head.ptr + i, '\n', head.len - i);
        size_t end = nl == NULL ? head.len : (size_t)(nl - head.ptr);
        struct gw_span line = {head.ptr + i, end - i};

        while (line.len != 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (line.len > n && line.ptr[n] == ':' &&
            gw_span_eq_nocase((struct gw_span){line.ptr, n}, gw_span_str(name))) {
            line = gw_span_from(line, n + 1);
            while (line.len != 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t'))
                line = gw_span_from(line, 1);
            return line;
        }
        i = end + 1;
    }
    return (struct gw_span){NULL, 0};
}

/* Head, empty line, content. False: the empty line is missing. */
static bool add_part(struct splitting *s, struct gw_span part)
{
    const struct gw_span none = {NULL, 0};
    struct gw_span head;
    size_t i = 0;

    for (;;) {
        const char *nl = i >= part.len ? NULL : memchr(part.ptr + i, '\n', part.len - i);
        size_t end = nl == NULL ? part.len : (size_t)(nl - part.ptr);
        bool empty = end == i || (end == i + 1 && part.ptr[i] == '\r');

        if (empty && nl != NULL) {
            head = (struct gw_span){part.ptr, i};
            add(s, head, true, none, none);
            add(s, gw_span_from(part, end + 1), false, field_of(head, "content-type"),
                parameter(field_of(head, "content-disposition"), "name"));
            return true;
        }
        if (nl == NULL)
            return false;
        i = end + 1;
    }
}

enum gw_status multipart_split(struct gw_arena *arena, struct gw_span content_type,
                               struct gw_span body, struct multipart_stretch **out, unsigned *n,
                               struct gw_err *err)
{
    const struct gw_span none = {NULL, 0};
    struct gw_span boundary = parameter(content_type, "boundary");
    struct splitting s = {.body = body};
    size_t start, next, from;
    unsigned parts = 0;
    bool last = false;

    if (boundary.len == 0 || boundary.len > MAX_BOUNDARY)
        return gw_fail(err, GW_EPARSE, "the multipart boundary must have 1 to %d bytes",
                       MAX_BOUNDARY);
    memcpy(s.delimiter, "--", 2);
    memcpy(s.delimiter + 2, boundary.ptr, boundary.len);
    s.delimiter_len = boundary.len + 2;
    s.out = gw_arena_array(arena, 2 * (size_t)MAX_PARTS + 2, sizeof(*s.out));
    if (s.out == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (!find_delimiter(&s, 0, &start, &from, &last))
        return gw_fail(err, GW_EPARSE, "the multipart body has no delimiter line");
    add(&s, (struct gw_span){body.ptr, start}, false, none, none);
    while (!last) {
        /* An empty part's delimiter follows at once: its line end is the one of the line before. */
        if (!find_delimiter(&s, from, &start, &next, &last))
            return gw_fail(err, GW_EPARSE, "the multipart body has no closing delimiter");
        if (++parts > MAX_PARTS)
            return gw_fail(err, GW_ELIMIT, "the multipart body has more than %d parts", MAX_PARTS);
        if (start < from || !add_part(&s, (struct gw_span){body.ptr + from, start - from}))
            return gw_fail(err, GW_EPARSE, "part %u has no empty line behind its fields", parts);
        from = next;
    }
    add(&s, gw_span_from(body, from), false, none, none);
    *out = s.out;
    *n = s.n;
    return GW_OK;
}
