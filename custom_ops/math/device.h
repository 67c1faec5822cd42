// Marks the functions that the GPU's kernels share with the CPU's, one copy, compiled for both; those that run in
// kernels alone, of the GPU or emulated; and loops over registers.
#pragma once

#if defined(__CUDACC__)
#define KRYPTON_DEVICE __host__ __device__
#define KRYPTON_KERNEL __device__
#else
#define KRYPTON_DEVICE
#define KRYPTON_KERNEL
#endif

#if defined(__CUDA_ARCH__)
#define KRYPTON_UNROLL _Pragma("unroll")
#else
#define KRYPTON_UNROLL
#endif
