/* tests/bench/gpu/knobs.c - the knobs of the emulated device where the unit tests run on a real one: they turn nothing. */
#include "tests/simt/knobs.h"

bool simt_is_here(void)
{
    return false;
}
void simt_set_driver(int code)
{
    (void)code;
}
void simt_set_devices(int n)
{
    (void)n;
}
void simt_set_capability(int major, int minor)
{
    (void)major;
    (void)minor;
}
void simt_set_memory(size_t bytes)
{
    (void)bytes;
}
size_t simt_memory_used(void)
{
    return 0;
}
void simt_fail_after(unsigned long n)
{
    (void)n;
}
void simt_set_late(unsigned order)
{
    (void)order;
}
void simt_set_order(unsigned order)
{
    (void)order;
}
unsigned long simt_launched(void)
{
    return 0;
}
unsigned long simt_warpgroup_products(void)
{
    return 0;
}
