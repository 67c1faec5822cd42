// The attributes of IncrementalActivation.
#pragma once

#include <string>

#include "math/functions.h"
#include "op/inputs.h"
#include "op/op.h"

namespace krypton {

inline Activation ReadActivation(const Ort::ConstKernelInfo& info) {
  const std::string name = RequiredAttribute<std::string>(info, "function");
  const int32_t function = FindFunction(name.c_str());
  if (function < 0) Fail("attribute function: '" + name + "' is none of the activations");
  const Activation found{static_cast<Function>(function), AttributeOr<float>(info, "alpha", 1.0f),
                         AttributeOr<float>(info, "beta", 1.0f)};
  const bool divides = found.function == Function::kCelu || found.function == Function::kHardSigmoid;
  if (divides && found.alpha == 0.0f) Fail("attribute alpha: expected another number than 0");
  return found;
}

}  // namespace krypton
