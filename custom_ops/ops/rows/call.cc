#include "ops/rows/call.h"

#include <utility>

namespace krypton {
namespace {

template <class In>
DeltaOnBase ReadRowsOfChannels(const Ort::KernelContext& context) {
  DeltaOnBase call = ReadDeltaOnBase<In>(context);
  if (call.d.channels == 0) Fail("X: expected channels");
  return call;
}

}  // namespace

LrnParameters ReadLrn(const Ort::ConstKernelInfo& info) {
  const LrnParameters p{RequiredAttribute<int64_t>(info, "size"), AttributeOr<float>(info, "alpha", 1e-4f),
                        AttributeOr<float>(info, "beta", 0.75f), AttributeOr<float>(info, "bias", 1.0f)};
  if (p.size < 1) Fail("attribute size: expected at least 1");
  return p;
}

Reduction ReadReduction(const Ort::ConstKernelInfo& info) {
  return ReadFunction<Reduction>(info, kReductionNames, "no reduction");
}

DeltaOnBase ReadSoftmaxCall(const Ort::KernelContext& context) {
  return ReadRowsOfChannels<IncrementalSoftmaxInputs>(context);
}

DeltaOnBase ReadReduceChannelsCall(const Ort::KernelContext& context) {
  return ReadRowsOfChannels<IncrementalReduceChannelsInputs>(context);
}

}  // namespace krypton
