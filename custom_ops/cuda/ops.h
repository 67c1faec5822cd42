// Every op that the CUDA provider has a kernel for, one function each (ops.def says which).
#pragma once

#include "op/ort.h"

// The arguments where an op's kernels are those of CPU and GPU, nothing where it runs on the CPU alone.
#define KRYPTON_WHERE_CPU(...)
#define KRYPTON_WHERE_CPU_AND_GPU(...) __VA_ARGS__

namespace krypton::cuda {

#define KRYPTON_OP(name, family, kernels) KRYPTON_WHERE_##kernels(const OrtCustomOp* name##Op();)
#include "ops.def"
#undef KRYPTON_OP

}  // namespace krypton::cuda
