// BaseMap: the NHWC view of a base tensor that the incremental ops read pixel rows of. The delta
// algebra breaks on Inf - Inf, so this is also where a NaN or Inf in image or network is refused.
#include <cmath>
#include <string>

#include "common/boxes.h"
#include "common/op.h"
#include "ops/ops.h"

namespace krypton {
namespace {

struct BaseMapKernel : KernelBase<BaseMapKernel> {
  static constexpr const char* kName = "BaseMap";
  static constexpr Slot kInputs[] = {kFloat}, kOutputs[] = {kFloat};

  explicit BaseMapKernel(const Ort::ConstKernelInfo& info)
      : KernelBase(info),
        nchw_(info.GetAttribute<std::string>("layout") == "NCHW"),
        tensor_name_(AttributeOr<std::string>(info, "tensor_name", "")) {}

  void Compute(Ort::KernelContext context) const {
    const Ort::ConstValue tensor = context.GetInput(0);
    const std::vector<int64_t> shape = tensor.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != 4 || shape[0] != 1) {
      Fail("expected one image, a tensor [1,C,H,W] or [1,H,W,C]; found " + ShapeText(shape));
    }
    const int64_t h = nchw_ ? shape[2] : shape[1], w = nchw_ ? shape[3] : shape[2];
    const int64_t channels = nchw_ ? shape[1] : shape[3], pixels = h * w;
    const float* source = tensor.GetTensorData<float>();
    CheckFinite(source, pixels * channels);
    float* map = context.GetOutput(0, {h, w, channels}).GetTensorMutableData<float>();
    if (!nchw_) {
      std::copy(source, source + pixels * channels, map);
      return;
    }
    constexpr int64_t kBlock = 16;  // a block of both sides stays in L1
    ParallelRanges(context, pixels, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t p0 = begin; p0 < end; p0 += kBlock) {
        const int64_t p1 = std::min(p0 + kBlock, end);
        for (int64_t c0 = 0; c0 < channels; c0 += kBlock) {
          const int64_t c1 = std::min(c0 + kBlock, channels);
          for (int64_t p = p0; p < p1; ++p) {
            for (int64_t c = c0; c < c1; ++c) map[p * channels + c] = source[c * pixels + p];
          }
        }
      }
    });
  }

 private:
  void CheckFinite(const float* data, int64_t count) const {
    bool finite = true;
    for (int64_t i = 0; i < count; ++i) finite &= std::fabs(data[i]) <= 3.4028235e38f;
    if (!finite) {
      Fail("tensor '" + tensor_name_ + "' holds a NaN or an infinity for this image; incremental inference needs " +
           "finite numbers. Check the image and its preprocessing.");
    }
  }

  bool nchw_;
  std::string tensor_name_;
};

}  // namespace

const OrtCustomOp* BaseMapOp() {
  static const Op<BaseMapKernel> op;
  return &op;
}

}  // namespace krypton
