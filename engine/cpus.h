/* engine/cpus.h - how many threads this process may keep busy. */
#ifndef ENGINE_CPUS_H
#define ENGINE_CPUS_H

/* CPUs of the calling thread's affinity mask, limited by the CPU quota of every control group above the
 * process (cgroup v2 cpu.max, v1 cpu.cfs_quota_us), rounded down; at least 1. root is put in front of
 * /proc and /sys: "" in production, a folder of the test's own in tests. What cannot be read does not
 * limit. Thread: any. */
unsigned cpus_allowed(const char *root);

#endif
