/* base/energy.h - what the machine's processors take, from the counters that the kernel has of them: zones of "powercap", filled by
 * RAPL of Intel and AMD. https://docs.kernel.org/power/powercap/powercap.html */
#ifndef BASE_ENERGY_H
#define BASE_ENERGY_H

enum { GW_ENERGY_ZONES = 32 };

struct gw_energy_zone {
    char name
        [64]; /* "package-0", and of its parts "package-0/core", "package-0/dram"; letters, digits, and - _ . / */
    double joules; /* since gw_energy_open() */
};

struct gw_energy;

/* The zones below root (NULL: the kernel's folder) whose counters this process may read: since Linux 5.10 root only, unless the
 * administrator allows more. NULL when there is none, as in most virtual machines and containers, or no memory. */
struct gw_energy *gw_energy_open(const char *root);
void gw_energy_close(struct gw_energy *e); /* may be NULL */

/* Fills out, in the order of their names; returns how many. A counter begins again after some 10 minutes under full load: that is seen
 * when it is read at least as often. A zone that cannot be read any more stays at what it had. e may be NULL: 0. Thread: any. */
unsigned gw_energy_read(struct gw_energy *e, struct gw_energy_zone out[GW_ENERGY_ZONES]);

#endif
