#include "math/functions.h"

#include <cstring>

namespace krypton {

int32_t FindFunction(const char* name) {
  static constexpr const char* kNames[] = {
      "Abs",      "Atan",        "Celu",      "Cos",       "Elu",  "Erf",   "Exp",        "Gelu",
      "GeluTanh", "HardSigmoid", "HardSwish", "LeakyRelu", "Log",  "Mish",  "Reciprocal", "Selu",
      "Sigmoid",  "Sin",         "Softplus",  "Softsign",  "Sqrt", "Swish", "Tanh"};
  for (int32_t i = 0; i < static_cast<int32_t>(sizeof(kNames) / sizeof(*kNames)); ++i) {
    if (std::strcmp(kNames[i], name) == 0) return i;
  }
  return -1;
}

}  // namespace krypton
