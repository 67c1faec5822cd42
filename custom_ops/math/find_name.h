// The number of a function by its ONNX name, among those of an op.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace krypton {

// The place of `name` in `names`; -1 where it is none of them.
template <size_t kCount>
int32_t FindName(const char* const (&names)[kCount], const std::string& name) {
  for (size_t i = 0; i < kCount; ++i) {
    if (name == names[i]) return static_cast<int32_t>(i);
  }
  return -1;
}

}  // namespace krypton
