/* proxy/net/conn_answer.c - writes answers: status line, framing, chunks, and says when the client is slow. */
#include "proxy/net/conn.h"
#include "proxy/net/conn_private.h"
#include "proxy/net/wire.h"
#include "proxy/net/worker.h"

static const char *reason_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {407, "Proxy Authentication Required"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Status";
}

static void out(struct conn *c, struct gw_span bytes)
{
    wire_put(c->wire, bytes);
}

void conn_answer_head(struct conn *c, unsigned status, struct gw_span fields, int64_t length)
{
    struct gw_buf head = {0};

    c->answer.started = true;
    c->answer.length = length;
    c->answer.no_body = c->answer.no_body || status == 204 || status == 304;
    c->answer.chunked = length < 0 && c->answer.minor == 1 && !c->answer.no_body;
    if (length < 0 && !c->answer.chunked && !c->answer.no_body)
        c->answer.keep_alive = false; /* HTTP/1.0: the close ends the body */
    if (!c->message_done && !c->bodyless)
        c->answer.keep_alive = false; /* answered before the request was read */
    gw_buf_adds(&head, "HTTP/1.1 ");
    gw_buf_addu(&head, status);
    gw_buf_addc(&head, ' ');
    gw_buf_adds(&head, reason_of(status));
    gw_buf_adds(&head, "\r\n");
    gw_buf_add(&head, fields);
    if (length >= 0 && status != 204 && status != 304) {
        gw_buf_adds(&head, "Content-Length: ");
        gw_buf_addi(&head, length);
        gw_buf_adds(&head, "\r\n");
    } else if (c->answer.chunked) {
        gw_buf_adds(&head, "Transfer-Encoding: chunked\r\n");
    }
    if (!c->answer.keep_alive)
        gw_buf_adds(&head, "Connection: close\r\n");
    else if (c->answer.minor == 0)
        gw_buf_adds(&head, "Connection: keep-alive\r\n");
    gw_buf_adds(&head, "\r\n");
    if (gw_buf_ok(&head))
        out(c, gw_buf_span(&head));
    else
        c->answer.aborted = true;
    gw_buf_fini(&head);
}

/* "1a2b" and the line's end, in the last bytes of room. */
static struct gw_span chunk_line(size_t n, char room[20])
{
    size_t i = 18;

    room[18] = '\r';
    room[19] = '\n';
    do {
        room[--i] = "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n != 0);
    return (struct gw_span){room + i, 20 - i};
}

void conn_answer_body(struct conn *c, struct gw_span bytes)
{
    char room[20];

    if (c->answer.length >= 0 && bytes.len > (uint64_t)c->answer.length - c->answer.bytes)
        /* Behind the promised length they would be taken for another answer. */
        bytes.len = (size_t)((uint64_t)c->answer.length - c->answer.bytes);
    if (bytes.len == 0 || c->answer.no_body || c->gone)
        return;
    c->answer.bytes += bytes.len;
    metrics_add(&c->w->metrics.bytes_out, bytes.len);
    if (c->answer.chunked)
        out(c, chunk_line(bytes.len, room));
    out(c, bytes);
    if (c->answer.chunked)
        out(c, GW_SPAN("\r\n"));
}

void conn_answer_end(struct conn *c)
{
    if (c->answer.chunked && !c->gone)
        out(c, GW_SPAN("0\r\n\r\n"));
    c->answer.ended = true;
}

void conn_answer_abort(struct conn *c)
{
    c->answer.aborted = true;
}

bool conn_answer_started(const struct conn *c)
{
    return c->answer.started;
}

uint64_t conn_answer_bytes(const struct conn *c)
{
    return c->answer.bytes;
}

bool conn_answer_full(struct conn *c)
{
    if (wire_waiting(c->wire) <= CONN_OUT_HIGH)
        return false;
    c->full = true; /* on_write() owes a req_writable() from now on */
    return true;
}

void conn_continue(struct conn *c)
{
    if (!c->answer.started && !c->message_done)
        out(c, GW_SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
}
