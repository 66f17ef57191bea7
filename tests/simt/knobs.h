/* tests/simt/knobs.h - what a test in C may turn on the emulated device. */
#ifndef TESTS_SIMT_KNOBS_H
#define TESTS_SIMT_KNOBS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Does the test run on the emulated device? Else on a real one, and the rest does nothing (tests/bench/gpu/knobs.c). */
bool simt_is_here(void);

/* What the driver answers: 0, 35 (none, or too old) or 100 (no device). */
void simt_set_driver(int code);
/* How many devices there are; one at first, at most eight. */
void simt_set_devices(int n);
/* Compute capability of devices that are opened from now on; 8.0 at first. */
void simt_set_capability(int major, int minor);
/* Bytes that allocations may hold on each device (4 GiB), and hold now on all. */
void simt_set_memory(size_t bytes);
size_t simt_memory_used(void);
/* The launch behind the next n fails, and every one after it, as on a device that is lost; 0: none fails any more. */
void simt_fail_after(unsigned long n);
/* The order in which threads take turns: 0 forwards, 1 backwards, else shuffled by this number. A kernel whose result depends on it
 * lacks a barrier. */
void simt_set_order(unsigned order);
/* Streams that are made from now on do nothing before somebody waits for one; then each does as much as events let it before another one does anything: 1: the
 * one that was made first, 2: the last one; 0: they do everything at once. A result that depends on it lacks an event. One thread only. */
void simt_set_late(unsigned order);
/* Kernels launched so far. */
unsigned long simt_launched(void);
/* Products of a warpgroup that were asked for so far, by each thread of it: what only compute capability 9.0 has. */
unsigned long simt_warpgroup_products(void);

#ifdef __cplusplus
}
#endif

#endif
