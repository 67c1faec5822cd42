// IncrementalReduceChannels: r(Z0 + DZ) - r(Z0) on each pixel's row of channels, one number a pixel.
#include <algorithm>
#include <cmath>
#include <string>

#include "common/pointwise.h"
#include "ops/ops.h"

namespace krypton {
namespace {

enum class Reduction { kL1, kL2, kLogSumExp, kMax, kMean, kMin, kSum, kSumSquare };

Reduction FindReduction(const std::string& name) {
  static constexpr const char* kNames[] = {"L1", "L2", "LogSumExp", "Max", "Mean", "Min", "Sum", "SumSquare"};
  for (int i = 0; i < 8; ++i) {
    if (name == kNames[i]) return static_cast<Reduction>(i);
  }
  Fail("attribute function: '" + name + "' is no reduction");
}

template <class Entry>
double Reduce(Reduction reduction, const Entry& entry, int64_t channels) {
  const auto sum = [&](const auto& term) {
    double total = 0.0;
    for (int64_t c = 0; c < channels; ++c) total += term(entry(c));
    return total;
  };
  const auto extreme = [&](bool largest) {
    double found = entry(0);
    for (int64_t c = 1; c < channels; ++c) found = largest ? std::max(found, entry(c)) : std::min(found, entry(c));
    return found;
  };
  const auto square = [](double v) { return v * v; };
  switch (reduction) {
    case Reduction::kL1:
      return sum([](double v) { return std::fabs(v); });
    case Reduction::kL2:
      return std::sqrt(sum(square));
    case Reduction::kLogSumExp: {
      const double top = extreme(true);
      return top + std::log(sum([top](double v) { return std::exp(v - top); }));
    }
    case Reduction::kMax:
      return extreme(true);
    case Reduction::kMin:
      return extreme(false);
    case Reduction::kSumSquare:
      return sum(square);
    case Reduction::kMean:
    case Reduction::kSum:
      break;  // of the delta alone
  }
  return 0.0;
}

struct IncrementalReduceChannels : KernelBase<IncrementalReduceChannels> {
  static constexpr const char* kName = "IncrementalReduceChannels";
  static constexpr Slot kInputs[] = {kFloat, kInt32, kFloat, kFloatOptional}, kOutputs[] = {kFloat};

  explicit IncrementalReduceChannels(const Ort::ConstKernelInfo& info)
      : KernelBase(info), reduction_(FindReduction(RequiredAttribute<std::string>(info, "function"))) {}

  void Compute(Ort::KernelContext context) const {
    const Pointwise input = ReadPointwise(context, 3);
    const int64_t channels = input.d.channels;
    if (channels == 0) Fail("X: expected channels");
    float* out = WriteValues(context, 0, input.d.rows, 1);
    ForEachPixel(context, input.boxes, [&](int64_t b, int64_t y, int64_t x, int64_t at) {
      out[at] = Change(input.z.pixel(b, y, x), input.d.row(at), channels);
      input.limit.Flush(out + at, 1);
    });
  }

 private:
  float Change(const float* z, const float* d, int64_t channels) const {
    if (reduction_ == Reduction::kMean || reduction_ == Reduction::kSum) {
      double sum = 0.0;
      for (int64_t c = 0; c < channels; ++c) sum += d[c];
      return static_cast<float>(reduction_ == Reduction::kMean ? sum / static_cast<double>(channels) : sum);
    }
    const auto before = [&](int64_t c) { return static_cast<double>(z[c]); };
    const auto after = [&](int64_t c) { return static_cast<double>(z[c]) + d[c]; };
    return static_cast<float>(Reduce(reduction_, after, channels) - Reduce(reduction_, before, channels));
  }

  Reduction reduction_;
};

}  // namespace

const OrtCustomOp* IncrementalReduceChannelsOp() {
  static const Op<IncrementalReduceChannels> op;
  return &op;
}

}  // namespace krypton
