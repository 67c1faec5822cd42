// The activations that are neither Relu nor Clip, as one table in the order of their names, which are ONNX's.
#pragma once

#include <cstdint>

#include "math/device.h"

namespace krypton {

enum class Function : int32_t {
  kAbs,
  kAtan,
  kCelu,  // max(0, x) + min(0, alpha * (exp(x / alpha) - 1))
  kCos,
  kElu,  // x > 0 ? x : alpha * (exp(x) - 1)
  kErf,
  kExp,
  kGelu,         // x / 2 * (1 + erf(x / sqrt(2)))
  kGeluTanh,     // its approximation by tanh
  kHardSigmoid,  // max(0, min(1, alpha * x + beta))
  kHardSwish,    // x * max(0, min(1, x / 6 + 1 / 2))
  kLeakyRelu,    // x >= 0 ? x : alpha * x
  kLog,
  kMish,  // x * tanh(softplus(x))
  kReciprocal,
  kSelu,  // beta * (x > 0 ? x : alpha * (exp(x) - 1)); beta is ONNX's gamma
  kSigmoid,
  kSin,
  kSoftplus,
  kSoftsign,
  kSqrt,
  kSwish,  // x * sigmoid(alpha * x)
  kTanh,
};

inline constexpr const char* kFunctionNames[] = {
    "Abs",      "Atan",        "Celu",      "Cos",       "Elu",  "Erf",   "Exp",        "Gelu",
    "GeluTanh", "HardSigmoid", "HardSwish", "LeakyRelu", "Log",  "Mish",  "Reciprocal", "Selu",
    "Sigmoid",  "Sin",         "Softplus",  "Softsign",  "Sqrt", "Swish", "Tanh"};

struct Activation {
  Function function;
  float alpha, beta;
};

}  // namespace krypton
