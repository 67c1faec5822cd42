// The error that ends a call. onnxruntime hands it to the caller, behind the names of op and node (op.h).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace krypton {

[[noreturn]] void Fail(const std::string& message);

// A shape as errors write it: [3,224,224].
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace krypton
