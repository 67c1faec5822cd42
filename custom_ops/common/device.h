// Marks the functions that the GPU's kernels share with the CPU's: one copy, compiled for both.
#pragma once

#if defined(__CUDACC__)
#define KRYPTON_DEVICE __host__ __device__
#else
#define KRYPTON_DEVICE
#endif
