// BaseMap: the view of a base tensor, channels last, that the incremental ops read pixel rows of. The delta
// algebra breaks on Inf - Inf, so this is also where a NaN or Inf in image or network is refused.
#include <algorithm>
#include <string>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "op/op.h"
#include "ops/boundary/call.h"
#include "ops/boundary/largest.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct BaseMapKernel : KernelBase<BaseMapKernel> {
  static constexpr const char* kName = "BaseMap";
  using In = BaseMapInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit BaseMapKernel(const Ort::ConstKernelInfo& info)
      : KernelBase(info), attributes_(ReadBaseMapAttributes(info)) {}

  void Compute(Ort::KernelContext context) const {
    const BaseMapCall call = ReadBaseMapCall(context, attributes_.layout);
    const float* source = call.data;
    const int64_t pixels = call.pixels, channels = call.channels;
    CheckFinite(context, source, pixels * channels);
    float* map = context.GetOutput(0, call.shape).GetTensorMutableData<float>();
    if (!ChannelsFirst(attributes_.layout)) {
      std::copy(source, source + pixels * channels, map);
      return;
    }
    // A block of both sides stays in L1. Rows of whole pages all begin in the same lines of it: fewer of them then.
    constexpr int64_t kColumns = 16;
    const int64_t rows = channels % 1024 == 0 ? 8 : 16;
    ParallelRanges(context, pixels, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; p += rows) {
        for (int64_t c = 0; c < channels; c += kColumns) {
          Transpose(source + c * pixels + p, pixels, map + p * channels + c, channels, std::min(rows, end - p),
                    std::min(kColumns, channels - c));
        }
      }
    });
  }

 private:
  // to[row, column] = from[column, row]
  static void Transpose(const float* from, int64_t from_pitch, float* to, int64_t to_pitch, int64_t rows,
                        int64_t columns) {
    int64_t column = 0;
#if defined(__SSE__)  // four by four: 2.5 times as fast as one by one, 1.5 times as long as a copy
    for (; column + 4 <= columns; column += 4) {
      const float* source = from + column * from_pitch;
      float* target = to + column;
      int64_t row = 0;
      for (; row + 4 <= rows; row += 4, source += 4, target += 4 * to_pitch) {
        __m128 a = _mm_loadu_ps(source), b = _mm_loadu_ps(source + from_pitch);
        __m128 c = _mm_loadu_ps(source + 2 * from_pitch), d = _mm_loadu_ps(source + 3 * from_pitch);
        _MM_TRANSPOSE4_PS(a, b, c, d);
        _mm_storeu_ps(target, a);
        _mm_storeu_ps(target + to_pitch, b);
        _mm_storeu_ps(target + 2 * to_pitch, c);
        _mm_storeu_ps(target + 3 * to_pitch, d);
      }
      for (; row < rows; ++row, ++source, target += to_pitch) {
        for (int64_t k = 0; k < 4; ++k) target[k] = source[k * from_pitch];
      }
    }
#endif
    for (; column < columns; ++column) {
      for (int64_t row = 0; row < rows; ++row) to[row * to_pitch + column] = from[column * from_pitch + row];
    }
  }

  void CheckFinite(const Ort::KernelContext& context, const float* data, int64_t count) const {
    if (attributes_.finite && LargestBits(context, data, count) > kLargestFinite)
      FailNotFinite(attributes_.tensor_name);
  }

  BaseMapAttributes attributes_;
};

}  // namespace

const OrtCustomOp* BaseMapOp() {
  static const Op<BaseMapKernel> op;
  return &op;
}

}  // namespace krypton
