/* Tests of proxy/http/retry_after.c: numbers, the three forms of dates against the C library, and nonsense. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proxy/http/retry_after.h"
#include "tests/test.h"

#define NOW ((int64_t)1795300000 * 1000)

static int64_t of(const char *ms, const char *value)
{
    return retry_after_ms(gw_span_str(ms), gw_span_str(value), NOW);
}

static void test_numbers(void)
{
    CHECK(of("", "0") == 0 && of("", "7") == 7000 && of("", " 7 ") == 7000);
    CHECK(of("", "1.5") == 1500 && of("", "0.0019") == 1 && of("", "2.") == 2000);
    CHECK(of("250", "7") == 250 && of("1250.5", "") == 1250 && of("0", "7") == 0);
    CHECK(of("soon", "7") == 7000 && of("-1", "7") == 7000);
    CHECK(of("", "") == -1 && of("", "-1") == -1 && of("", "7s") == -1 && of("", ".5") == -1);
    CHECK(of("", "1e3") == -1 && of("", "0x10") == -1 && of("", "7, 8") == -1);
    CHECK(of("", "99999999999999999999999999") == (int64_t)366 * 86400 * 1000);
    CHECK(of("99999999999999999999999999", "") == (int64_t)366 * 86400 * 1000);
}

static bool write_date(const struct tm *tm, size_t form, char *out, size_t size)
{
    char day[20], time[20];

    if (form == 0)
        return strftime(out, size, "%a, %d %b %Y %H:%M:%S GMT", tm) != 0;
    if (form == 2)
        return strftime(out, size, "%a %b %e %H:%M:%S %Y", tm) != 0;
    return strftime(day, sizeof(day), "%A, %d-%b", tm) != 0 &&
           strftime(time, sizeof(time), "%H:%M:%S", tm) != 0 &&
           snprintf(out, size, "%s-%02d %s GMT", day, tm->tm_year % 100, time) < (int)size;
}

static void test_dates(void)
{
    for (int64_t s = 0; s < 300 * 86400; s += 12347) {
        time_t at = (time_t)(NOW / 1000 + s);
        struct tm tm;

        (void)gmtime_r(&at, &tm);
        for (size_t f = 0; f < 3; f++) {
            char text[64];
            bool formatted;

            formatted = write_date(&tm, f, text, sizeof(text));
            if (!formatted || of("", text) != s * 1000) {
                fprintf(stderr, "  %s: %lld\n", text, (long long)of("", text));
                CHECK(!"a date is as many milliseconds away");
                return;
            }
        }
    }
    CHECK(of("", "Sun, 06 Nov 1994 08:49:37 GMT") == 0); /* over */
    CHECK(retry_after_ms(GW_SPAN(""), GW_SPAN("Thu, 29 Feb 2024 00:00:00 GMT"),
                         (int64_t)1709078400 * 1000) == 86400000);
    CHECK(of("", "Fri, 01 Jan 2100 00:00:00 GMT") == (int64_t)366 * 86400 * 1000);
}

static void test_no_dates(void)
{
    static const char *const texts[] = {"Sun, 06 Nov 1994 08:49:37",
                                        "Sun, 06 Nov 1994 08:49:37 CET",
                                        "Sun, 06 Nov 1994 24:00:00 GMT",
                                        "Sun, 32 Nov 1994 08:49:37 GMT",
                                        "Sun, 00 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Foo 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 94 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:37 GMT x",
                                        "Sunday, 06-Nov 94 08:49:37 GMT",
                                        "Sun Nov 6 08:49:37 1994",
                                        "Sun",
                                        ",",
                                        ", ",
                                        "Sun, "};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (!CHECK(of("", texts[i]) == -1))
            fprintf(stderr, "  %s\n", texts[i]);
}

/* Cut anywhere, in memory of its own: nothing behind the end is read (sanitizers). */
static void test_cut_anywhere(void)
{
    const char *text = "Sun, 06 Nov 2094 08:49:37 GMT";

    for (size_t n = 0; n < strlen(text); n++) {
        char *copy = malloc(n + 1);

        memcpy(copy, text, n);
        CHECK(retry_after_ms(GW_SPAN(""), (struct gw_span){copy, n}, NOW) == -1);
        free(copy);
    }
}

int main(void)
{
    test_numbers();
    test_dates();
    test_no_dates();
    test_cut_anywhere();
    return test_done();
}
