// IncrementalLayerNorm: DY = s * (n(Z0 + DZ) - n(Z0)) on each pixel's row of channels, where
//   n(x) = (x - mean x) / sqrt(var x + epsilon);   a bias would cancel.
#include <cmath>

#include "common/pointwise.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct Moments {
  double mean, scale;  // scale = 1 / sqrt(var + epsilon)
};

// Of z, or of z + d; in double, for the difference of the two keeps few digits of either.
template <class Entry>
Moments MomentsOf(const Entry& entry, int64_t channels, double epsilon) {
  double sum = 0.0, squares = 0.0;
  for (int64_t c = 0; c < channels; ++c) sum += entry(c);
  const double mean = sum / static_cast<double>(channels);
  for (int64_t c = 0; c < channels; ++c) {
    const double off = entry(c) - mean;
    squares += off * off;
  }
  return {mean, 1.0 / std::sqrt(squares / static_cast<double>(channels) + epsilon)};
}

struct IncrementalLayerNorm : KernelBase<IncrementalLayerNorm> {
  static constexpr const char* kName = "IncrementalLayerNorm";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalLayerNorm(const Ort::ConstKernelInfo& info)
      : KernelBase(info), epsilon_(AttributeOr<float>(info, "epsilon", 1e-5f)) {}

  void Compute(Ort::KernelContext context) const {
    const Pointwise input = ReadPointwise(context, 4);
    const float* scale = ReadPerChannel(context, 3, "scale", input.d.channels);
    WriteRows(context, input,
              [&](const float* z, const float* d, float* y, int64_t channels) { Row(z, d, scale, y, channels); });
  }

 private:
  void Row(const float* z, const float* d, const float* scale, float* y, int64_t channels) const {
    const auto before = [&](int64_t c) { return static_cast<double>(z[c]); };
    const auto after = [&](int64_t c) { return static_cast<double>(z[c]) + d[c]; };
    const Moments base = MomentsOf(before, channels, epsilon_), moved = MomentsOf(after, channels, epsilon_);
    for (int64_t c = 0; c < channels; ++c) {
      y[c] =
          static_cast<float>(scale[c] * ((after(c) - moved.mean) * moved.scale - (before(c) - base.mean) * base.scale));
    }
  }

  float epsilon_;
};

}  // namespace

const OrtCustomOp* IncrementalLayerNormOp() {
  static const Op<IncrementalLayerNorm> op;
  return &op;
}

}  // namespace krypton
