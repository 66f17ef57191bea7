/* proxy/http/http1_lines.re - scanners for single complete lines of HTTP/1.1 (RFC 9110, RFC 9112).
 *
 * Owns nothing, keeps nothing; any thread. Each scanner works on one line that ends with CR LF. */
#include "proxy/http/http1_lines.h"

/*!re2c
    re2c:define:YYCTYPE = "unsigned char";
    re2c:define:YYCURSOR = c;
    re2c:define:YYMARKER = m;
    re2c:yyfill:enable = 0;
    re2c:flags:tags = 1;

    crlf    = "\r\n";
    ows     = [ \t]*;
    tchar   = [!#$%&'*+\-.^_`|~0-9A-Za-z];
    token   = tchar+;
    // Visible ASCII that RFC 3986 allows in a path or query; brackets and the like are what clients
    // send and no reader takes for a delimiter. '#' and '\' and quotes are out.
    pchar   = [!$%&'()*+,\-.:;=@_~0-9A-Za-z/?] | [\x5B\x5D|^`{}];
    regname = [0-9A-Za-z\-._~%!$&'()*+,;=]+;
    iplit   = "[" [0-9A-Fa-f:.]+ "]";
    port    = ":" [0-9]*;
    auth    = (regname | iplit) port?;
    vchar   = [\x21-\x7E\x80-\xFF];
*/

static struct gw_span between(const unsigned char *from, const unsigned char *to)
{
    return (struct gw_span){(const char *)from, (size_t)(to - from)};
}

enum http1_line_result http1_scan_request_line(struct gw_span line, struct http1_request_line *out)
{
    const unsigned char *c = (const unsigned char *)line.ptr, *m = c, *start = c;
    const unsigned char *t, *e, *a, *p, *q, *v;
    /*!stags:re2c format = 'const unsigned char *@@ = 0;'; */

    (void)start;
    /*!re2c
        version = "HTTP/1." [01];
        othver  = "HTTP/" ([02-9] ("." [0-9])? | "1" ("." [2-9])?);

        token @t " " @p "/" pchar* @q " HTTP/1." @v [01] crlf {
            out->form = HTTP1_TARGET_ORIGIN;
            a = e = p;
            goto found;
        }
        token @t " " 'http' 's'? "://" @a auth @e @p ("/" pchar*)? @q " HTTP/1." @v [01] crlf {
            out->form = HTTP1_TARGET_ABSOLUTE;
            goto found;
        }
        token @t " " @a (regname | iplit) ":" [0-9]+ @e " HTTP/1." @v [01] crlf {
            out->form = HTTP1_TARGET_AUTHORITY;
            p = q = e;
            goto found;
        }
        token @t " " @p "*" @q " HTTP/1." @v [01] crlf {
            out->form = HTTP1_TARGET_ASTERISK;
            a = e = p;
            goto found;
        }
        token " " vchar+ " " othver crlf { return HTTP1_LINE_VERSION; }
        * { return HTTP1_LINE_BAD; }
    */
found:
    out->method = between(start, t);
    out->target = between(t + 1, out->form == HTTP1_TARGET_AUTHORITY ? e : q);
    out->authority = between(a, e);
    out->path = between(p, q);
    out->minor = (unsigned)(*v - '0');
    return HTTP1_LINE_OK;
}

enum http1_line_result http1_scan_status_line(struct gw_span line, unsigned *status, unsigned *minor)
{
    const unsigned char *c = (const unsigned char *)line.ptr, *m = c, *start = c;
    const unsigned char *s;
    /*!stags:re2c format = 'const unsigned char *@@ = 0;'; */

    /*!re2c
        "HTTP/1." [01] " " @s [1-5] [0-9] [0-9] (" " [\t \x21-\x7E\x80-\xFF]*)? crlf { goto found; }
        "HTTP/" [0-9] ("." [0-9])? " " [0-9]+ (" " [\t \x21-\x7E\x80-\xFF]*)? crlf {
            return HTTP1_LINE_VERSION;
        }
        * { return HTTP1_LINE_BAD; }
    */
found:
    *minor = (unsigned)(start[7] - '0');
    *status = (unsigned)(s[0] - '0') * 100 + (unsigned)(s[1] - '0') * 10 + (unsigned)(s[2] - '0');
    return HTTP1_LINE_OK;
}

bool http1_scan_field(struct gw_span line, struct gw_span *name, struct gw_span *value)
{
    const unsigned char *c = (const unsigned char *)line.ptr, *m = c, *start = c;
    const unsigned char *n, *v;
    /*!stags:re2c format = 'const unsigned char *@@ = 0;'; */

    /*!re2c
        token @n ":" ows @v ([\t ] | vchar)* crlf { goto found; }
        * { return false; }
    */
found:
    *name = between(start, n);
    c -= 2;
    while (c > v && (c[-1] == ' ' || c[-1] == '\t'))
        c--;
    if (v > c)
        v = c;
    *value = between(v, c);
    return true;
}

bool http1_scan_chunk_size(struct gw_span line, uint64_t *size)
{
    const unsigned char *c = (const unsigned char *)line.ptr, *m = c, *start = c;
    const unsigned char *e;
    uint64_t n = 0;
    /*!stags:re2c format = 'const unsigned char *@@ = 0;'; */

    /*!re2c
        quoted = "\"" ([\t !\x23-\x5B\x5D-\x7E\x80-\xFF] | "\\" [\t \x21-\x7E\x80-\xFF])* "\"";
        ext    = ows ";" ows token (ows "=" ows (token | quoted))?;

        [0-9A-Fa-f]+ @e ext* crlf { goto found; }
        * { return false; }
    */
found:
    if (e - start > 16)
        return false;
    for (const unsigned char *d = start; d < e; d++)
        n = n << 4 | (uint64_t)(*d <= '9' ? *d - '0' : (*d | 0x20) - 'a' + 10);
    if (n > INT64_MAX)
        return false;
    *size = n;
    return true;
}

bool http1_scan_host(struct gw_span value)
{
    const unsigned char *c = (const unsigned char *)value.ptr, *m = c;

    /*!re2c
        auth / [ \t\r] { return (size_t)(c - (const unsigned char *)value.ptr) == value.len; }
        * { return false; }
    */
}

bool http1_scan_length(struct gw_span value, uint64_t *length)
{
    const unsigned char *c = (const unsigned char *)value.ptr;
    uint64_t n = 0;

    /*!re2c
        [0-9]+ { goto digits; }
        * { return false; }
    */
digits:
    if ((size_t)(c - (const unsigned char *)value.ptr) != value.len)
        return false;
    for (const unsigned char *d = (const unsigned char *)value.ptr; d < c; d++) {
        uint64_t digit = (uint64_t)(*d - '0');

        if (n > (INT64_MAX - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *length = n;
    return true;
}
