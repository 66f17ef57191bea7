/* Tests of what processors take: a made folder of counters as the kernel has it, one that begins again, and ones that lie. */
#include <sys/stat.h>

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/energy.h"
#include "tests/files.h"
#include "tests/test.h"

static char root[] = "/tmp/sluice-energy-XXXXXX";

static void put(const char *zone, const char *file, const char *text)
{
    char path[PATH_MAX];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", root, zone);
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof(path), "%s/%s/%s", root, zone, file);
    f = fopen(path, "w");
    if (CHECK(f != NULL)) {
        (void)fputs(text, f);
        (void)fclose(f);
    }
}

static void make(const char *zone, const char *name, const char *now, const char *range)
{
    put(zone, "name", name);
    put(zone, "energy_uj", now);
    put(zone, "max_energy_range_uj", range);
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9;
}

static void test_nothing(void)
{
    struct gw_energy_zone zones[GW_ENERGY_ZONES];

    CHECK(gw_energy_open("/nowhere/at/all") == NULL);
    CHECK(gw_energy_open(root) == NULL);
    CHECK(gw_energy_read(NULL, zones) == 0);
    gw_energy_close(NULL);
}

static void test_zones(void)
{
    struct gw_energy_zone zones[GW_ENERGY_ZONES];
    struct gw_energy *e;
    char path[PATH_MAX];

    make("intel-rapl:1", "package-1\n", "5000000\n", "262143328850\n");
    make("intel-rapl:0", "package-0\n", "1000\n", "262143328850\n");
    make("intel-rapl:0:2", "dram\n", "900\n", "1000\n");
    make("intel-rapl-mmio:0", "package-0\n", "7\n", "1000\n"); /* the package once more */
    make("intel-rapl:2", "a\"} 1\nx\n", "7\n", "1000\n");      /* would be two lines of metrics */
    make("intel-rapl:3", "words\n", "seven\n", "1000\n");      /* no counter */
    make("intel-rapl:4", "huge\n", "99999999999999999999999\n", "1000\n");
    make("intel-rapl:5", "", "7\n", "1000\n");
    put("intel-rapl:6", "name", "without-counter\n");
    make("intel-rapl:2:0", "core\n", "7\n", "1000\n"); /* part of one that is not plain */
    make("dtpm", "dtpm\n", "7\n", "1000\n");

    e = gw_energy_open(root);
    if (!CHECK(e != NULL))
        return;
    CHECK(gw_energy_read(e, zones) == 3);
    CHECK(strcmp(zones[0].name, "package-0") == 0 && strcmp(zones[1].name, "package-0/dram") == 0 &&
          strcmp(zones[2].name, "package-1") == 0);
    for (unsigned i = 0; i < 3; i++)
        CHECK(near(zones[i].joules, 0));

    put("intel-rapl:0", "energy_uj", "2501000\n");
    put("intel-rapl:0:2", "energy_uj", "100\n"); /* begins again: 100 to its end, 100 more */
    CHECK(gw_energy_read(e, zones) == 3);
    CHECK(near(zones[0].joules, 2.5) && near(zones[1].joules, 200e-6) && near(zones[2].joules, 0));

    /* One that cannot be read for a while goes on from where it was. */
    (void)snprintf(path, sizeof(path), "%s/intel-rapl:1/energy_uj", root);
    CHECK(unlink(path) == 0);
    CHECK(gw_energy_read(e, zones) == 3 && near(zones[2].joules, 0));
    put("intel-rapl:1", "energy_uj", "no number\n");
    CHECK(gw_energy_read(e, zones) == 3 && near(zones[2].joules, 0));
    put("intel-rapl:1", "energy_uj", "6000000\n");
    CHECK(gw_energy_read(e, zones) == 3 && near(zones[2].joules, 1));

    /* One that goes beyond what it calls its end, and back: no jump of ages. */
    put("intel-rapl:0:2", "energy_uj", "5000\n");
    CHECK(gw_energy_read(e, zones) == 3);
    put("intel-rapl:0:2", "energy_uj", "10\n");
    CHECK(gw_energy_read(e, zones) == 3 && near(zones[1].joules, 200e-6 + 4900e-6 + 10e-6));
    gw_energy_close(e);
}

int main(void)
{
    if (mkdtemp(root) == NULL)
        return 1;
    test_nothing();
    test_zones();
    CHECK(test_remove_tree(root));
    return test_done();
}
