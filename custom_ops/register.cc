// RegisterCustomOps: what onnxruntime calls when a session registers this library.
#include <algorithm>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "ops/ops.h"

// The library for the CUDA provider registers its ops beside those of the CPU, KRYPTON_EMULATE_CUDA (tests) in place of
// them: the kernels of the GPU, run on the CPU.
#if defined(KRYPTON_CUDA) || defined(KRYPTON_EMULATE_CUDA)
#include "cuda/ops.h"
#endif

namespace {

using OpFunction = const OrtCustomOp* (*)();

constexpr OpFunction kOps[] = {
    krypton::BaseMapOp,
    krypton::DeltaLimitOp,
    krypton::DensifyOp,
    krypton::DepthBoxesOp,
    krypton::DepthGatherOp,
    krypton::IncrementalActivationOp,
    krypton::IncrementalAddOp,
    krypton::IncrementalAveragePoolOp,
    krypton::IncrementalBinaryOp,
    krypton::IncrementalClipOp,
    krypton::IncrementalConcatOp,
    krypton::IncrementalConvOp,
    krypton::IncrementalGemmOp,
    krypton::IncrementalGlobalAveragePoolOp,
    krypton::IncrementalGlobalMaxPoolOp,
    krypton::IncrementalLRNOp,
    krypton::IncrementalLayerNormOp,
    krypton::IncrementalMaxPoolOp,
    krypton::IncrementalPadOp,
    krypton::IncrementalReduceChannelsOp,
    krypton::IncrementalResampleOp,
    krypton::IncrementalScaleOp,
    krypton::IncrementalSoftmaxOp,
    krypton::OcclusionChunksOp,
    krypton::OcclusionDeltaOp,
    krypton::ResampleBoxesOp,
    krypton::ShrinkBoxesOp,
    krypton::SliceBoxesOp,
    krypton::StackBoxesOp,
    krypton::TranslateBoxesOp,
    krypton::UnionBoxesOp,
    krypton::WindowBoxesOp,
};

#if defined(KRYPTON_CUDA) || defined(KRYPTON_EMULATE_CUDA)
constexpr OpFunction kDeviceOps[] = {
    krypton::cuda::BaseMapOp,
    krypton::cuda::DeltaLimitOp,
    krypton::cuda::DensifyOp,
    krypton::cuda::DepthGatherOp,
    krypton::cuda::IncrementalActivationOp,
    krypton::cuda::IncrementalAddOp,
    krypton::cuda::IncrementalAveragePoolOp,
    krypton::cuda::IncrementalBinaryOp,
    krypton::cuda::IncrementalClipOp,
    krypton::cuda::IncrementalConcatOp,
    krypton::cuda::IncrementalConvOp,
    krypton::cuda::IncrementalGemmOp,
    krypton::cuda::IncrementalGlobalAveragePoolOp,
    krypton::cuda::IncrementalGlobalMaxPoolOp,
    krypton::cuda::IncrementalLRNOp,
    krypton::cuda::IncrementalLayerNormOp,
    krypton::cuda::IncrementalMaxPoolOp,
    krypton::cuda::IncrementalPadOp,
    krypton::cuda::IncrementalReduceChannelsOp,
    krypton::cuda::IncrementalResampleOp,
    krypton::cuda::IncrementalScaleOp,
    krypton::cuda::IncrementalSoftmaxOp,
    krypton::cuda::OcclusionDeltaOp,
};
#endif

std::vector<const OrtCustomOp*> Ops() {
  std::vector<const OrtCustomOp*> ops;
  for (OpFunction op : kOps) ops.push_back(op());
#if defined(KRYPTON_CUDA) || defined(KRYPTON_EMULATE_CUDA)
  for (OpFunction device : kDeviceOps) {
    const OrtCustomOp* op = device();
#if defined(KRYPTON_EMULATE_CUDA)
    const auto same = [op](const OrtCustomOp* other) {
      return std::string(other->GetName(other)) == op->GetName(op);
    };
    ops.erase(std::remove_if(ops.begin(), ops.end(), same), ops.end());
#endif
    ops.push_back(op);
  }
#endif
  return ops;
}

// A status without our API table: the oldest table there is serves to make one.
OrtStatus* TooOld(const OrtApiBase* base) {
  const OrtApi* oldest = base->GetApi(1);
  if (oldest == nullptr) return nullptr;
  const std::string message = std::string("krypton's op library needs onnxruntime 1.") +
                              std::to_string(krypton::kOrtApiVersion) + " or newer; this is " +
                              base->GetVersionString() + ". Upgrade onnxruntime.";
  return oldest->CreateStatus(ORT_FAIL, message.c_str());
}

}  // namespace

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(krypton::kOrtApiVersion);
  if (api == nullptr) return TooOld(base);
  Ort::InitApi(api);
  const char* reason = nullptr;
  if (krypton::SelectKernels(&reason) == nullptr) return api->CreateStatus(ORT_INVALID_ARGUMENT, reason);

  OrtCustomOpDomain* domain = nullptr;
  if (OrtStatus* status = api->CreateCustomOpDomain("krypton", &domain)) return status;
  for (const OrtCustomOp* op : Ops()) {
    if (OrtStatus* status = api->CustomOpDomain_Add(domain, op)) return status;
  }
  // The domain must outlive every session made with these options, and nothing tells us when the
  // last one goes; a few pointers a registration stay allocated.
  return api->AddCustomOpDomain(options, domain);
}
