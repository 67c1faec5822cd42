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
    BaseMapOp,
    DeltaLimitOp,
    DensifyOp,
    DepthBoxesOp,
    DepthGatherOp,
    IncrementalActivationOp,
    IncrementalAddOp,
    IncrementalAveragePoolOp,
    IncrementalBinaryOp,
    IncrementalClipOp,
    IncrementalConcatOp,
    IncrementalConvOp,
    IncrementalGemmOp,
    IncrementalGlobalAveragePoolOp,
    IncrementalGlobalMaxPoolOp,
    IncrementalLRNOp,
    IncrementalLayerNormOp,
    IncrementalLpPoolOp,
    IncrementalMaxPoolOp,
    IncrementalPadOp,
    IncrementalReduceChannelsOp,
    IncrementalResampleOp,
    IncrementalScaleOp,
    IncrementalSoftmaxOp,
    OcclusionChunksOp,
    OcclusionDeltaOp,
    ResampleBoxesOp,
    ShrinkBoxesOp,
    SliceBoxesOp,
    StackBoxesOp,
    TranslateBoxesOp,
    UnionBoxesOp,
    WindowBoxesOp,
};

#if defined(KRYPTON_CUDA) || defined(KRYPTON_EMULATE_CUDA)
constexpr OpFunction kDeviceOps[] = {
    cuda::BaseMapOp,
    cuda::DeltaLimitOp,
    cuda::DensifyOp,
    cuda::DepthGatherOp,
    cuda::IncrementalActivationOp,
    cuda::IncrementalAddOp,
    cuda::IncrementalAveragePoolOp,
    cuda::IncrementalBinaryOp,
    cuda::IncrementalClipOp,
    cuda::IncrementalConcatOp,
    cuda::IncrementalConvOp,
    cuda::IncrementalGemmOp,
    cuda::IncrementalGlobalAveragePoolOp,
    cuda::IncrementalGlobalMaxPoolOp,
    cuda::IncrementalLRNOp,
    cuda::IncrementalLayerNormOp,
    cuda::IncrementalLpPoolOp,
    cuda::IncrementalMaxPoolOp,
    cuda::IncrementalPadOp,
    cuda::IncrementalReduceChannelsOp,
    cuda::IncrementalResampleOp,
    cuda::IncrementalScaleOp,
    cuda::IncrementalSoftmaxOp,
    cuda::OcclusionDeltaOp,
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
