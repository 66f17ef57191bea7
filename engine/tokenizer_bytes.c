/* engine/tokenizer_bytes.c - the alphabet of byte-level BPE.
 *
 * Each byte is written as one printable character: the printable Latin-1 bytes as themselves, the other
 * 68 as U+0100 and up in their order (GPT-2's published vocabulary fixes this). Pure functions. */
#include "base/utf8.h"
#include "engine/tokenizer_private.h"

enum { N_SHIFTED = 68 };

static bool is_printable(unsigned b)
{
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
}

/* How many bytes below b are shifted. */
static unsigned shifted_before(unsigned b)
{
    if (b <= 0x20)
        return b;
    if (b <= 0x7F)
        return 0x21;
    if (b <= 0xA0)
        return 0x21 + (b - 0x7F);
    return 0x21 + 0x22; /* only 0xAD comes after them */
}

/* The byte that U+0100 + n stands for. */
static unsigned char shifted_byte(unsigned n)
{
    if (n <= 0x20)
        return (unsigned char)n;
    if (n < 0x21 + 0x22)
        return (unsigned char)(0x7F + (n - 0x21));
    return 0xAD;
}

unsigned tok_byte_char(unsigned char byte, char out[4])
{
    return gw_utf8_encode(is_printable(byte) ? byte : 0x100 + shifted_before(byte), out);
}

ptrdiff_t tok_bytes_decode(struct gw_span text, char *out)
{
    size_t at = 0;
    ptrdiff_t n = 0;

    while (at < text.len) {
        uint32_t cp = 0;
        unsigned len = gw_utf8_decode(text.ptr + at, text.len - at, &cp);

        if (len == 0)
            return -1;
        if (cp >= 0x100 && cp < 0x100 + N_SHIFTED)
            out[n++] = (char)shifted_byte(cp - 0x100);
        else if (cp < 0x100 && is_printable(cp))
            out[n++] = (char)cp;
        else
            return -1;
        at += len;
    }
    return n;
}

size_t tok_bytes_encode(struct gw_span text, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c[4];
        unsigned len = tok_byte_char((unsigned char)text.ptr[i], c);

        for (unsigned k = 0; k < len; k++)
            out[n++] = c[k];
    }
    return n;
}
