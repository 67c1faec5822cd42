// The thresholds of approximate inference (DESIGN section 3; reference/thresholds.py); absent, they are exact.
#pragma once

#include <cstdint>

#include "kernels/table.h"
#include "op/ort.h"

namespace krypton {

// Input `index`, a value for each layer group or one for all: that of `group`.
float ReadThreshold(const Ort::KernelContext& context, size_t index, const char* name, int64_t group);

// The value threshold: 0, exact, or more.
float ReadEps(const Ort::KernelContext& context, size_t index, int64_t group);

// Input `index`, [1], of an op that computes new numbers: entries up to it count as zero.
class DeltaLimit {
 public:
  DeltaLimit(const Ort::KernelContext& context, size_t index);
  // Sets entries with |y| <= limit to 0; NaN stays.
  void Flush(float* y, int64_t n) const {
    if (limit_ > 0) ActiveKernels().flush_row(y, n, limit_);
  }

 private:
  float limit_ = 0;
};

}  // namespace krypton
