/* dlp/validate_phone.c - telephone numbers and dates.
 *
 * Sources: ITU-T E.164 and the national numbering plans (country codes and the lengths their numbers
 * have), the North American Numbering Plan (area and exchange codes begin with 2 to 9, no N11). No
 * state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

/* A country calling code; the lengths of its fixed and mobile national numbers, and of every kind of
 * number, as sets of bits (bit 9 for nine digits). */
struct numbering_plan {
    unsigned short code, common, any;
};

/* clang-format off: a table, four plans a line */
static const struct numbering_plan plans[] = {
    {1, 0x0400, 0x0400},   {7, 0x0400, 0x4400},   {20, 0x0700, 0x0700},  {27, 0x03E0, 0x07E0},
    {30, 0x0400, 0x1C00},  {31, 0x0A00, 0x0FE0},  {32, 0x0300, 0x0300},  {33, 0x0200, 0x0200},
    {34, 0x0200, 0x0200},  {36, 0x0300, 0x0300},  {39, 0x1FC0, 0x1FC0},  {40, 0x0240, 0x0240},
    {41, 0x0200, 0x0200},  {43, 0x3FF0, 0x3FF0},  {44, 0x0600, 0x0680},  {45, 0x0100, 0x0100},
    {46, 0x0380, 0x07C0},  {47, 0x0100, 0x0120},  {48, 0x0280, 0x0680},  {49, 0xFFE0, 0xFFE0},
    {51, 0x0300, 0x0300},  {52, 0x0400, 0x0400},  {53, 0x05C0, 0x05C0},  {54, 0x0C00, 0x0C00},
    {55, 0x0C00, 0x0F00},  {56, 0x0200, 0x0E00},  {57, 0x0500, 0x0D00},  {58, 0x0400, 0x0400},
    {60, 0x0700, 0x0700},  {61, 0x0200, 0x17C0},  {62, 0x1F80, 0xFF80},  {63, 0x0740, 0x3F40},
    {64, 0x0700, 0x07E0},  {65, 0x0100, 0x0D00},  {66, 0x0300, 0x2700},  {81, 0x0600, 0xFF00},
    {82, 0x0760, 0x7F60},  {84, 0x0600, 0x0780},  {86, 0x0F80, 0x1F80},  {90, 0x0400, 0x3480},
    {91, 0x0400, 0x3F00},  {92, 0x0600, 0x1F00},  {93, 0x0200, 0x0200},  {94, 0x0200, 0x0200},
    {95, 0x07C0, 0x07C0},  {98, 0x04C0, 0x04F0},  {211, 0x0200, 0x0200}, {212, 0x0200, 0x0200},
    {213, 0x0300, 0x0300}, {216, 0x0100, 0x0100}, {218, 0x0200, 0x0200}, {220, 0x0280, 0x0280},
    {221, 0x0200, 0x0200}, {222, 0x0100, 0x0100}, {223, 0x0100, 0x0100}, {224, 0x0300, 0x0300},
    {225, 0x0400, 0x0400}, {226, 0x0100, 0x0100}, {227, 0x0100, 0x0100}, {228, 0x0100, 0x0100},
    {229, 0x0400, 0x0500}, {230, 0x0180, 0x0580}, {231, 0x0380, 0x0380}, {232, 0x0100, 0x0100},
    {233, 0x0200, 0x0300}, {234, 0x0400, 0x7D00}, {235, 0x0100, 0x0100}, {236, 0x0100, 0x0100},
    {237, 0x0200, 0x0300}, {238, 0x0080, 0x0080}, {239, 0x0080, 0x0080}, {240, 0x0200, 0x0200},
    {241, 0x0180, 0x0180}, {242, 0x0200, 0x0200}, {243, 0x0780, 0x0780}, {244, 0x0200, 0x0200},
    {245, 0x0200, 0x0280}, {246, 0x0080, 0x0080}, {247, 0x0020, 0x0060}, {248, 0x0080, 0x0080},
    {249, 0x0200, 0x0200}, {250, 0x0300, 0x0300}, {251, 0x0200, 0x0200}, {252, 0x03C0, 0x03C0},
    {253, 0x0100, 0x0100}, {254, 0x0380, 0x0780}, {255, 0x0200, 0x0200}, {256, 0x0200, 0x0200},
    {257, 0x0100, 0x0100}, {258, 0x0300, 0x0300}, {260, 0x0200, 0x0200}, {261, 0x0200, 0x0200},
    {262, 0x0200, 0x0200}, {263, 0x0200, 0x0680}, {264, 0x0300, 0x0300}, {265, 0x0280, 0x0280},
    {266, 0x0100, 0x0100}, {267, 0x0180, 0x0580}, {268, 0x0100, 0x0300}, {269, 0x0080, 0x0080},
    {290, 0x0030, 0x0030}, {291, 0x0080, 0x0080}, {297, 0x0080, 0x0080}, {298, 0x0040, 0x0040},
    {299, 0x0040, 0x0040}, {350, 0x0100, 0x0100}, {351, 0x0200, 0x0200}, {352, 0x0FF0, 0x0FF0},
    {353, 0x0780, 0x0780}, {354, 0x0280, 0x0280}, {355, 0x0300, 0x03C0}, {356, 0x0100, 0x0100},
    {357, 0x0100, 0x0100}, {358, 0x07E0, 0x1FE0}, {359, 0x03C0, 0x13C0}, {370, 0x0100, 0x0100},
    {371, 0x0100, 0x0100}, {372, 0x0180, 0x0580}, {373, 0x0100, 0x0100}, {374, 0x0100, 0x0100},
    {375, 0x0200, 0x0FC0}, {376, 0x0240, 0x0340}, {377, 0x0300, 0x0300}, {378, 0x0500, 0x0500},
    {380, 0x0200, 0x0600}, {381, 0x1F80, 0x1FC0}, {382, 0x0100, 0x0300}, {383, 0x1F00, 0x1F00},
    {385, 0x0300, 0x03C0}, {386, 0x0100, 0x01E0}, {387, 0x0300, 0x0300}, {389, 0x0100, 0x0100},
    {420, 0x0200, 0x0200}, {421, 0x02C0, 0x02C0}, {423, 0x0280, 0x0280}, {500, 0x0020, 0x0020},
    {501, 0x0080, 0x0880}, {502, 0x0100, 0x0900}, {503, 0x0100, 0x0980}, {504, 0x0100, 0x0900},
    {505, 0x0100, 0x0100}, {506, 0x0100, 0x0500}, {507, 0x0180, 0x0D80}, {508, 0x0240, 0x0240},
    {509, 0x0100, 0x0100}, {590, 0x0200, 0x0200}, {591, 0x0100, 0x0300}, {592, 0x0080, 0x0080},
    {593, 0x0300, 0x0F00}, {594, 0x0200, 0x0200}, {595, 0x0380, 0x0FC0}, {596, 0x0200, 0x0200},
    {597, 0x00C0, 0x00C0}, {598, 0x0100, 0x3FF0}, {599, 0x0180, 0x0180}, {670, 0x0180, 0x0180},
    {672, 0x0040, 0x0040}, {673, 0x0080, 0x0080}, {674, 0x0080, 0x0080}, {675, 0x0180, 0x0180},
    {676, 0x00A0, 0x00A0}, {677, 0x00A0, 0x00A0}, {678, 0x00A0, 0x00A0}, {679, 0x0080, 0x0880},
    {680, 0x0080, 0x0080}, {681, 0x0040, 0x0240}, {682, 0x0020, 0x0020}, {683, 0x0090, 0x0090},
    {685, 0x04E0, 0x04E0}, {686, 0x0120, 0x0120}, {687, 0x0040, 0x0040}, {688, 0x00E0, 0x00E0},
    {689, 0x0100, 0x0340}, {690, 0x00F0, 0x00F0}, {691, 0x0080, 0x0080}, {692, 0x0080, 0x0080},
    {800, 0x0100, 0x0100}, {808, 0x0100, 0x0100}, {850, 0x0500, 0x0500}, {852, 0x0100, 0x0BE0},
    {853, 0x0100, 0x0180}, {855, 0x0300, 0x0700}, {856, 0x0700, 0x0700}, {870, 0x1200, 0x1200},
    {878, 0x1000, 0x1000}, {880, 0x07C0, 0x07C0}, {881, 0x0600, 0x0600}, {882, 0x1780, 0x1F80},
    {883, 0x1F00, 0x1F00}, {886, 0x0300, 0x0F80}, {888, 0x0800, 0x0800}, {960, 0x0080, 0x0480},
    {961, 0x0180, 0x0180}, {962, 0x0300, 0x0300}, {963, 0x0300, 0x0300}, {964, 0x0700, 0x0700},
    {965, 0x0100, 0x0180}, {966, 0x0200, 0x0600}, {967, 0x0380, 0x0380}, {968, 0x0100, 0x0380},
    {970, 0x0300, 0x0700}, {971, 0x0300, 0x1FE0}, {972, 0x1B00, 0x1F80}, {973, 0x0100, 0x0100},
    {974, 0x0100, 0x0B80}, {975, 0x0180, 0x0180}, {976, 0x0700, 0x0700}, {977, 0x0500, 0x0D00},
    {979, 0x0200, 0x0200}, {992, 0x0200, 0x0200}, {993, 0x0100, 0x0100}, {994, 0x0200, 0x0200},
    {995, 0x0200, 0x0200}, {996, 0x0200, 0x0600}, {998, 0x0200, 0x0200},
};
/* clang-format on */

/* The plan whose code begins the digits (codes are prefix-free), or NULL. */
static const struct numbering_plan *plan_of(const unsigned char *d, size_t n, size_t *code_len)
{
    unsigned code = 0;

    for (size_t k = 1; k <= 3 && k <= n; k++) {
        code = code * 10 + d[k - 1];
        for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
            if (plans[i].code == code) {
                *code_len = k;
                return &plans[i];
            }
        }
    }
    return NULL;
}

/* Area and exchange code of the North American plan. */
static bool nanp_ok(const unsigned char *d)
{
    return d[0] >= 2 && d[3] >= 2 && !(d[1] == 1 && d[2] == 1) && !(d[4] == 1 && d[5] == 1);
}

/* 555-0100 to 555-0199 are nobody's: the North American plan keeps them for films and examples. */
static bool nanp_fiction(const unsigned char *d)
{
    return d[3] == 5 && d[4] == 5 && d[5] == 5 && d[6] == 0 && d[7] == 1;
}

/* A number with its country code: +44 20 7946 0958, 0044 (0)20 ..., +1 (212) 555-0143. */
int dlp_validate_phone(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    unsigned char d[24];
    size_t n = dlp_val_digits(s, d, sizeof(d));
    const unsigned char *p = d;
    const struct numbering_plan *plan;
    size_t code_len = 0;
    size_t len;
    const char *trunk;

    if (n > 4 && s.ptr[0] == '0' && d[0] == 0 && d[1] == 0) { /* 00 instead of + */
        p += 2;
        n -= 2;
    }
    plan = plan_of(p, n, &code_len);
    if (plan == NULL || dlp_digits_trivial(p, n))
        return DLP_VALIDATE_REJECT;
    len = n - code_len;
    trunk = memmem(s.ptr, s.len, "(0)", 3); /* the trunk 0 is written but not dialled from abroad */
    if (trunk != NULL && trunk > s.ptr)
        len--;
    if (len > 15 || len < 4 || (plan->any & (1u << len)) == 0)
        return DLP_VALIDATE_REJECT;
    if (plan->code == 1 && !nanp_ok(p + 1))
        return DLP_VALIDATE_REJECT;
    if (plan->code == 1 && nanp_fiction(p + 1))
        return -25;
    return (plan->common & (1u << len)) != 0 ? 0 : -15;
}

/* 12.05.2024 and 2024-05-12 are days. */
static bool is_day(const struct dlp_validate_in *in, struct gw_span s, const unsigned char *d,
                   size_t n)
{
    bool year_last =
        n == 8 && s.len > 4 && (d[4] == 1 || d[4] == 2) && !dlp_is_digit(s.ptr[s.len - 5]);
    bool year_first = n == 8 && s.len > 4 && (d[0] == 1 || d[0] == 2) && !dlp_is_digit(s.ptr[4]);

    return (year_last || year_first) && s.len == 10 && dlp_validate_date(in) != DLP_VALIDATE_REJECT;
}

/* A number without country code: the separators and the trunk prefix make the difference. */
int dlp_validate_phone_national(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    unsigned char d[24];
    size_t n = dlp_val_digits(s, d, sizeof(d));
    const char *p = in->text.ptr;
    bool separated = n != s.len;

    if (n < 5 || n > 13 || (dlp_digits_trivial(d, n) && d[0] == d[1]) || is_day(in, s, d, n))
        return DLP_VALIDATE_REJECT;
    if (in->start > 1 && (p[in->start - 1] == '-' || p[in->start - 1] == '.') &&
        dlp_is_alnum(p[in->start - 2]))
        return DLP_VALIDATE_REJECT;
    if (n < 7)
        return separated ? -25 : -30;
    if (n == 10 && d[0] != 0)
        return nanp_ok(d) ? 0 : -20;
    if (n == 11 && d[0] == 1)
        return nanp_ok(d + 1) ? 0 : -20;
    if (d[0] == 0 && n >= 9)
        return separated ? 0 : -10;
    return -20;
}

/* ---- dates ---------------------------------------------------------------------------------- */

bool dlp_date_ok(int y, int m, int d)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    if (m < 1 || m > 12 || d < 1)
        return false;
    return d <= days[m - 1] + (m == 2 && leap);
}

/* Reads up to three numbers of at most four digits. Returns how many. */
static unsigned read_numbers(struct gw_span s, int part[3])
{
    unsigned n = 0;

    for (size_t i = 0; i < s.len && n < 3; n++) {
        size_t start;

        while (i < s.len && !dlp_is_digit(s.ptr[i]))
            i++;
        start = i;
        part[n] = 0;
        for (; i < s.len && dlp_is_digit(s.ptr[i]) && i - start < 4; i++)
            part[n] = part[n] * 10 + (s.ptr[i] - '0');
        if (i == start)
            break;
    }
    return n;
}

/* Three numbers in any usual order, or a day and a year beside a month's name. */
int dlp_validate_date(const struct dlp_validate_in *in)
{
    int part[3] = {0, 0, 0};
    unsigned n = read_numbers(dlp_val_span(in), part);
    bool year_first = part[0] > 31;
    int y = part[n == 3 && !year_first ? 2 : year_first ? 0 : 1];
    int a = part[year_first ? 1 : 0];
    int b = part[year_first ? 2 : 1];

    if (n == 2) /* 4 July 1976: the name stands for the month */
        return a >= 1 && a <= 31 && y >= 1880 && y <= 2100 ? 0 : DLP_VALIDATE_REJECT;
    if (n != 3)
        return DLP_VALIDATE_REJECT;
    if (y < 100)
        y += y < 40 ? 2000 : 1900;
    if (y < 1880 || y > 2100 || (!dlp_date_ok(y, a, b) && !dlp_date_ok(y, b, a)))
        return DLP_VALIDATE_REJECT;
    return 0;
}
