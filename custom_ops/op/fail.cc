#include "op/fail.h"

#include "op/ort.h"

namespace krypton {

void Fail(const std::string& message) {
  constexpr size_t kLongest = 500;  // a name or an attribute in it may be of any length
  const bool fits = message.size() <= kLongest;
  throw Ort::Exception(fits ? std::string(message) : message.substr(0, kLongest) + "...", ORT_INVALID_ARGUMENT);
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace krypton
