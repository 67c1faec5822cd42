// The activations that are neither Relu nor Clip, as one table; names are ONNX's.
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

struct Activation {
  Function function;
  float alpha, beta;
};

// The function of that name; -1 where there is none.
int32_t FindFunction(const char* name);

}  // namespace krypton
