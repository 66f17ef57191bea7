/* tests/mock/fault.c - answers that break: what goes over the wire, byte by byte, and where it ends. One thread. */
#include <stdio.h>
#include <string.h>

#include "tests/mock/mock.h"

void mock_read_fault(struct mock_plan *p, struct gw_span body)
{
    static const char *const names[] = {"", "reset", "close", "half", "stall", "garbage"};
    struct gw_span name = mock_directive_text(body, "fault");

    for (unsigned i = 1; i < sizeof(names) / sizeof(names[0]); i++)
        if (name.len != 0 && gw_span_starts(name, gw_span_str(names[i])))
            p->fault = (enum mock_fault)i;
    p->at = (unsigned)mock_directive(body, "at", 0);
    p->chunk = (unsigned)mock_directive(body, "chunk", 0);
    p->length_by = (int)mock_directive(body, "length", 0);
    p->drip_ms = (int)mock_directive(body, "drip", -1);
    p->upto = (unsigned)mock_directive(body, "upto", 0);
}

bool mock_is_faulty(const struct mock_plan *p)
{
    return p->fault != MOCK_WHOLE || p->chunk != 0 || p->length_by != 0 || p->drip_ms >= 0;
}

static void add_chunk(struct gw_buf *out, struct gw_span bytes)
{
    gw_buf_printf(out, "%zx\r\n", bytes.len);
    gw_buf_add(out, bytes);
    gw_buf_adds(out, "\r\n");
}

static void add_body(const struct mock_call *m, struct gw_buf *out)
{
    struct gw_span body = gw_buf_span(&m->out);
    unsigned size = m->plan.chunk;
    size_t from = 0;

    if (!m->streaming && size == 0) {
        gw_buf_add(out, body);
        return;
    }
    for (size_t i = 0; size == 0 && i < m->n_ends; from = m->ends[i++])
        add_chunk(out, (struct gw_span){body.ptr + from, m->ends[i] - from});
    for (; size != 0 && from < body.len; from += size)
        add_chunk(out, (struct gw_span){body.ptr + from,
                                        body.len - from < size ? body.len - from : size});
    gw_buf_adds(out, "0\r\n\r\n");
}

/* The head, its framing made to fit the plan. */
static void add_head(const struct mock_call *m, struct gw_buf *out)
{
    struct gw_span head = gw_buf_span(&m->fields);
    const char *at = head.len == 0 ? NULL : memmem(head.ptr, head.len, "Content-Length: ", 16);

    if (at == NULL || (m->plan.chunk == 0 && m->plan.length_by == 0)) {
        gw_buf_add(out, head);
        return;
    }
    gw_buf_add(out, (struct gw_span){head.ptr, (size_t)(at - head.ptr)});
    if (m->plan.chunk != 0)
        gw_buf_adds(out, "Transfer-Encoding: chunked\r\n\r\n");
    else
        gw_buf_printf(out, "Content-Length: %lld\r\n\r\n",
                      (long long)m->out.len + m->plan.length_by);
}

void mock_fault_bytes(const struct mock_call *m, struct gw_buf *wire)
{
    size_t head, stop;

    gw_buf_clear(wire);
    add_head(m, wire);
    head = wire->len;
    add_body(m, wire);
    if (m->plan.fault == MOCK_WHOLE)
        return;
    stop = m->plan.at == 0   ? 0
           : m->plan.at == 1 ? head / 2
           : m->plan.at == 2 ? head
                             : head + (wire->len - head) / 2;
    wire->len = stop;
    if (m->plan.fault == MOCK_GARBAGE)
        gw_buf_add(wire, GW_SPAN("\x16\x03\x01\xFF\0 not HTTP \r\n\r\nZZZ\r\n{{{{\r\n\r\n"));
}
