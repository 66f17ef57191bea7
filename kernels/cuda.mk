# How the CUDA files are compiled, when a compiler is there.
CUDA_FOUND := $(if $(CUSRC),found $(NVCC),not found or no kernels: linking kernels/cuda_stub.c)
