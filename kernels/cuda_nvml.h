/* kernels/cuda_nvml.h - private: a device's health, see kern_cuda_health. */
#ifndef KERNELS_CUDA_NVML_H
#define KERNELS_CUDA_NVML_H

#include "kernels/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

/* bus: the device's PCI address as the CUDA runtime writes it. GW_EUNSUPPORTED: no library, or it does not know the device; *out is
 * then unchanged. Thread: any. */
enum gw_status cuda_nvml_health(const char *bus, struct kern_cuda_health *out, struct gw_err *err);

#ifdef __cplusplus
}
#endif

#endif
