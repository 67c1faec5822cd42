// IncrementalLRN: DY = lrn(Z0 + DZ) - lrn(Z0) on each pixel's row of channels, where
//   lrn(x)[c] = x[c] / (bias + alpha / size * sum of x[i]^2)^beta,
//   i from c - floor((size - 1) / 2) to c + ceil((size - 1) / 2).
#include <algorithm>
#include <cmath>

#include "common/pointwise.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct IncrementalLRN : KernelBase<IncrementalLRN> {
  static constexpr const char* kName = "IncrementalLRN";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalLRN(const Ort::ConstKernelInfo& info)
      : KernelBase(info),
        size_(RequiredAttribute<int64_t>(info, "size")),
        alpha_(AttributeOr<float>(info, "alpha", 1e-4f)),
        beta_(AttributeOr<float>(info, "beta", 0.75f)),
        bias_(AttributeOr<float>(info, "bias", 1.0f)) {
    if (size_ < 1) Fail("attribute size: expected at least 1");
  }

  void Compute(Ort::KernelContext context) const {
    WriteRows(context, ReadPointwise(context, 3),
              [&](const float* z, const float* d, float* y, int64_t channels) { Row(z, d, y, channels); });
  }

 private:
  void Row(const float* z, const float* d, float* y, int64_t channels) const {
    const int64_t before = (size_ - 1) / 2, after = size_ / 2;
    for (int64_t c = 0; c < channels; ++c) {
      // In double: the difference of two nearly equal quotients would otherwise lose its digits.
      double base = 0.0, moved = 0.0;
      for (int64_t i = std::max<int64_t>(0, c - before); i <= std::min(channels - 1, c + after); ++i) {
        const double b = z[i], m = static_cast<double>(z[i]) + d[i];
        base += b * b, moved += m * m;
      }
      const double scale = static_cast<double>(alpha_) / static_cast<double>(size_);
      y[c] = static_cast<float>((static_cast<double>(z[c]) + d[c]) * std::pow(bias_ + scale * moved, -beta_) -
                                z[c] * std::pow(bias_ + scale * base, -beta_));
    }
  }

  int64_t size_;
  float alpha_, beta_, bias_;
};

}  // namespace

const OrtCustomOp* IncrementalLRNOp() {
  static const Op<IncrementalLRN> op;
  return &op;
}

}  // namespace krypton
