// The thresholds of approximate inference (DESIGN section 3; krypton_compile/reference/thresholds.py); absent, they are
// exact.
#pragma once

#include <cstdint>

#include "kernels/table.h"
#include "op/slots.h"

namespace krypton {

// A value for each layer group or one for all: that of `group`.
float ReadThreshold(const Ort::KernelContext& context, const Input& input, int64_t group);

// The value threshold: 0, exact, or more.
float ReadEps(const Ort::KernelContext& context, const Input& input, int64_t group);

// An input [1] of an op that computes new numbers: entries up to it count as zero.
class DeltaLimit {
 public:
  DeltaLimit(const Ort::KernelContext& context, const Input& input);
  // Sets entries with |y| <= limit to 0; NaN stays.
  void Flush(float* y, int64_t n) const {
    if (limit_ > 0) ActiveKernels().flush_row(y, n, limit_);
  }

 private:
  float limit_ = 0;
};

}  // namespace krypton
