/* kernels/cuda_nvml.c - clocks, power and errors of a device from NVIDIA's management library, which is opened when it is first
 * asked for: the binary needs none of it. The library is thread-safe; it is opened once and stays. */
#include "kernels/cuda_nvml.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

/* The library's own numbers and shapes. */
enum { CLOCK_SM = 1, CLOCK_MEM = 2, TEMPERATURE_GPU = 0, ECC_UNCORRECTED = 1, ECC_VOLATILE = 0 };
struct utilization {
    unsigned gpu, memory;
};
struct memory {
    unsigned long long total, free, used;
};

static struct {
    int (*init)(void);
    int (*by_bus)(const char *bus, void **device);
    int (*clock)(void *device, int kind, unsigned *mhz);
    int (*temperature)(void *device, int sensor, unsigned *celsius);
    int (*utilization)(void *device, struct utilization *out);
    int (*power)(void *device, unsigned *milliwatts);
    int (*energy)(void *device, unsigned long long *millijoules);
    int (*memory)(void *device, struct memory *out);
    int (*ecc)(void *device, int kind, int counter, unsigned long long *n);
    int (*throttle)(void *device, unsigned long long *reasons);
    int (*driver)(char *version, unsigned bytes);
    bool ready;
} nvml;

static void open_library(void)
{
    static const struct {
        size_t at;
        const char *name;
    } names[] = {
        {offsetof(__typeof__(nvml), init), "nvmlInit_v2"},
        {offsetof(__typeof__(nvml), by_bus), "nvmlDeviceGetHandleByPciBusId_v2"},
        {offsetof(__typeof__(nvml), clock), "nvmlDeviceGetClockInfo"},
        {offsetof(__typeof__(nvml), temperature), "nvmlDeviceGetTemperature"},
        {offsetof(__typeof__(nvml), utilization), "nvmlDeviceGetUtilizationRates"},
        {offsetof(__typeof__(nvml), power), "nvmlDeviceGetPowerUsage"},
        {offsetof(__typeof__(nvml), energy), "nvmlDeviceGetTotalEnergyConsumption"},
        {offsetof(__typeof__(nvml), memory), "nvmlDeviceGetMemoryInfo"},
        {offsetof(__typeof__(nvml), ecc), "nvmlDeviceGetTotalEccErrors"},
        {offsetof(__typeof__(nvml), throttle), "nvmlDeviceGetCurrentClocksThrottleReasons"},
        {offsetof(__typeof__(nvml), driver), "nvmlSystemGetDriverVersion"},
    };
    void *lib = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);

    if (lib == NULL)
        return;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        void *f = dlsym(lib, names[i].name);

        memcpy((char *)&nvml + names[i].at, &f, sizeof(f));
    }
    nvml.ready = nvml.init != NULL && nvml.by_bus != NULL && nvml.init() == 0;
}

enum gw_status cuda_nvml_health(const char *bus, struct kern_cuda_health *out, struct gw_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct kern_cuda_health h = {0};
    struct utilization use = {0};
    struct memory mem = {0};
    unsigned long long big = 0;
    unsigned milli = 0;
    void *device = NULL;

    (void)pthread_once(&once, open_library);
    if (!nvml.ready)
        return gw_fail(err, GW_EUNSUPPORTED,
                       "libnvidia-ml.so.1 is not there: it comes with NVIDIA's driver");
    if (nvml.by_bus(bus, &device) != 0)
        return gw_fail(err, GW_EUNSUPPORTED, "the driver knows no device %s", bus);
    /* What a device does not tell stays 0. */
    if (nvml.clock != NULL) {
        (void)nvml.clock(device, CLOCK_SM, &h.sm_mhz);
        (void)nvml.clock(device, CLOCK_MEM, &h.mem_mhz);
    }
    if (nvml.temperature != NULL)
        (void)nvml.temperature(device, TEMPERATURE_GPU, &h.celsius);
    if (nvml.utilization != NULL && nvml.utilization(device, &use) == 0)
        h.gpu_percent = use.gpu;
    if (nvml.power != NULL && nvml.power(device, &milli) == 0)
        h.watts = milli / 1e3;
    if (nvml.energy != NULL && nvml.energy(device, &big) == 0)
        h.joules = (double)big / 1e3;
    if (nvml.memory != NULL && nvml.memory(device, &mem) == 0) {
        h.bytes = mem.total;
        h.used_bytes = mem.used;
    }
    if (nvml.ecc != NULL && nvml.ecc(device, ECC_UNCORRECTED, ECC_VOLATILE, &big) == 0)
        h.ecc_errors = big;
    if (nvml.throttle != NULL)
        (void)nvml.throttle(device, &h.throttle);
    if (nvml.driver != NULL && nvml.driver(h.driver, sizeof(h.driver)) != 0)
        h.driver[0] = '\0';
    *out = h;
    return GW_OK;
}
