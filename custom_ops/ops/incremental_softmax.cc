// IncrementalSoftmax: softmax(Z0 + DZ) - softmax(Z0) on each pixel's row of channels, or of its logarithm.
#include <algorithm>
#include <cmath>

#include "common/pointwise.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct Normalizer {
  double top, sum;  // softmax(x) = exp(x - top) / sum
};

template <class Entry>
Normalizer NormalizerOf(const Entry& entry, int64_t channels) {
  double top = entry(0), sum = 0.0;
  for (int64_t c = 1; c < channels; ++c) top = std::max(top, entry(c));
  for (int64_t c = 0; c < channels; ++c) sum += std::exp(entry(c) - top);
  return {top, sum};
}

struct IncrementalSoftmax : KernelBase<IncrementalSoftmax> {
  static constexpr const char* kName = "IncrementalSoftmax";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalSoftmax(const Ort::ConstKernelInfo& info)
      : KernelBase(info), logarithm_(AttributeOr<int64_t>(info, "logarithm", 0) != 0) {}

  void Compute(Ort::KernelContext context) const {
    const Pointwise input = ReadPointwise(context, 3);
    if (input.d.channels == 0) Fail("X: expected channels");
    WriteRows(context, input, [&](const float* z, const float* d, float* y, int64_t channels) {
      const auto before = [&](int64_t c) { return static_cast<double>(z[c]); };
      const auto after = [&](int64_t c) { return static_cast<double>(z[c]) + d[c]; };
      const Normalizer base = NormalizerOf(before, channels), moved = NormalizerOf(after, channels);
      const double shift = (moved.top + std::log(moved.sum)) - (base.top + std::log(base.sum));
      for (int64_t c = 0; c < channels; ++c) {
        const double change =
            logarithm_ ? d[c] - shift
                       : std::exp(after(c) - moved.top) / moved.sum - std::exp(before(c) - base.top) / base.sum;
        y[c] = static_cast<float>(change);
      }
    });
  }

 private:
  bool logarithm_;
};

}  // namespace

const OrtCustomOp* IncrementalSoftmaxOp() {
  static const Op<IncrementalSoftmax> op;
  return &op;
}

}  // namespace krypton
