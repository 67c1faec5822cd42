#include "registry.h"

#include <algorithm>
#include <string>

#include "ops/ops.h"

// The library for the CUDA provider registers its ops beside those of the CPU, KRYPTON_EMULATE_CUDA (tests) in place of
// them: the kernels of the GPU, run on the CPU.
#if defined(KRYPTON_CUDA) || defined(KRYPTON_EMULATE_CUDA)
#include "cuda/ops.h"
#endif

namespace krypton {
namespace {

using OpFunction = const OrtCustomOp* (*)();

constexpr OpFunction kOps[] = {
#define KRYPTON_OP(name, family, kernels) name##Op,
#include "ops.def"
#undef KRYPTON_OP
};

#if defined(KRYPTON_CUDA) || defined(KRYPTON_EMULATE_CUDA)
constexpr OpFunction kDeviceOps[] = {
#define KRYPTON_OP(name, family, kernels) KRYPTON_WHERE_##kernels(cuda::name##Op, )
#include "ops.def"
#undef KRYPTON_OP
};
#endif

}  // namespace

std::vector<const OrtCustomOp*> Ops() {
  std::vector<const OrtCustomOp*> ops;
  for (OpFunction op : kOps) ops.push_back(op());
#if defined(KRYPTON_CUDA) || defined(KRYPTON_EMULATE_CUDA)
  for (OpFunction device : kDeviceOps) {
    const OrtCustomOp* op = device();
#if defined(KRYPTON_EMULATE_CUDA)
    const auto same = [op](const OrtCustomOp* other) { return std::string(other->GetName(other)) == op->GetName(op); };
    ops.erase(std::remove_if(ops.begin(), ops.end(), same), ops.end());
#endif
    ops.push_back(op);
  }
#endif
  return ops;
}

}  // namespace krypton
