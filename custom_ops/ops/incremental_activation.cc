// IncrementalActivation: DY = f(Z0 + DZ) - f(Z0) for the functions of kernels/activation.h (DESIGN section 2).
#include <string>

#include "common/pointwise.h"
#include "kernels/kernels.h"
#include "ops/ops.h"

namespace krypton {
namespace {

Activation ReadActivation(const Ort::ConstKernelInfo& info) {
  const std::string name = RequiredAttribute<std::string>(info, "function");
  const int32_t function = FindFunction(name.c_str());
  if (function < 0) Fail("attribute function: '" + name + "' is none of the activations");
  const Activation found{static_cast<Function>(function), AttributeOr<float>(info, "alpha", 1.0f),
                         AttributeOr<float>(info, "beta", 1.0f)};
  const bool divides = found.function == Function::kCelu || found.function == Function::kHardSigmoid;
  if (divides && found.alpha == 0.0f) Fail("attribute alpha: expected another number than 0");
  return found;
}

struct IncrementalActivation : KernelBase<IncrementalActivation> {
  static constexpr const char* kName = "IncrementalActivation";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalActivation(const Ort::ConstKernelInfo& info)
      : KernelBase(info), activation_(ReadActivation(info)) {}

  void Compute(Ort::KernelContext context) const {
    WriteRows(context, ReadPointwise(context, 3), [&](const float* z, const float* d, float* y, int64_t channels) {
      ActiveKernels().activation_row(y, d, z, channels, activation_);
    });
  }

 private:
  Activation activation_;
};

}  // namespace

const OrtCustomOp* IncrementalActivationOp() {
  static const Op<IncrementalActivation> op;
  return &op;
}

}  // namespace krypton
