/* base/slice.h - how the kernel's fair scheduler treats the calling thread. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdint.h>

/* Sets the thread's weight (as nice(), 19 to -20; a lower one than it has needs a privilege) and the time that it asks for at a
 * stretch: a thread that wakes interrupts one whose slice is longer (Linux 6.12 and later, from 100 us to 100 ms;
 * older ones go by the weight). A kernel that refuses changes nothing. Thread: the one that is meant. */
void gw_slice_set(int nice, uint64_t slice_ns);
/* The same with the weight that it has. */
void gw_slice_set_only(uint64_t slice_ns);

#endif
