/* base/slice.c - see slice.h. */
#include "base/slice.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#include <errno.h>
#include <sched.h>
#include <unistd.h>

void gw_slice_set(int nice, uint64_t slice_ns)
{
    /* struct sched_attr of linux/sched/types.h, which newer headers of libc declare too. */
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attr = {.size = sizeof(attr), .policy = SCHED_OTHER, .nice = nice, .runtime = slice_ns};

    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

void gw_slice_set_only(uint64_t slice_ns)
{
    int nice;

    errno = 0;
    nice = getpriority(PRIO_PROCESS, 0); /* of the thread */
    if (errno == 0)
        gw_slice_set(nice, slice_ns);
}
