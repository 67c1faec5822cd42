// IncrementalBinary: the delta of f(A, B), f(A0 + DA, B0 + DB) - f(A0, B0) (math/binary.h):
//   Add, Sub  DA + DB, DA - DB              Max, Min  max(DA + (A0 - m), DB + (B0 - m)),  m = max(A0, B0)
//   Mul       (A0 + DA) DB + B0 DA          Div       (DA - (A0 / B0) DB) / (B0 + DB)          Pow  the difference
// or of f(B, A) where `swapped`. An operand may have one channel for all; B without a delta is a constant, which may
// have one row or column too.
#include <vector>

#include "kernels/table.h"
#include "op/op.h"
#include "op/parallel.h"
#include "ops/ops.h"
#include "ops/pointwise/call.h"

namespace krypton {
namespace {

struct Terms {
  const float *a0, *da, *b0, *db;
  int64_t a_step, b_step;  // 0 where one channel serves for all
};

template <Binary kFunction>
void Entries(float* y, int64_t n, const Terms& t) {
  for (int64_t c = 0; c < n; ++c) {
    const int64_t i = c * t.a_step, j = c * t.b_step;
    y[c] = BinaryDelta<kFunction>(t.a0[i], t.da[i], t.b0[j], t.db[j]);
  }
}

void Row(Binary function, float* y, int64_t n, const Terms& t) {
  switch (function) {
    case Binary::kAdd:
      return Entries<Binary::kAdd>(y, n, t);
    case Binary::kSub:
      return Entries<Binary::kSub>(y, n, t);
    case Binary::kMul:
      if (t.a_step && t.b_step) return ActiveKernels().product_row(y, t.a0, t.da, t.b0, t.db, n);
      return Entries<Binary::kMul>(y, n, t);
    case Binary::kDiv:
      return Entries<Binary::kDiv>(y, n, t);
    case Binary::kMax:
      return Entries<Binary::kMax>(y, n, t);
    case Binary::kMin:
      return Entries<Binary::kMin>(y, n, t);
    case Binary::kPow:
      return Entries<Binary::kPow>(y, n, t);
  }
}

struct IncrementalBinary : KernelBase<IncrementalBinary> {
  static constexpr const char* kName = "IncrementalBinary";
  using In = IncrementalBinaryInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalBinary(const Ort::ConstKernelInfo& info)
      : KernelBase(info), attributes_(ReadBinaryAttributes(info)) {}

  void Compute(Ort::KernelContext context) const {
    const BinaryCall call = ReadBinaryCall(context);
    const bool swapped = attributes_.swapped;
    const Operand &left = swapped ? call.b : call.a, &right = swapped ? call.a : call.b;
    const BoxList& y_boxes = call.y_boxes;
    const int64_t channels = call.channels;
    const DeltaLimit limit(context, In::limit);
    const std::vector<float> none(static_cast<size_t>(channels), 0.0f);
    float* out = WriteValues(context, y_boxes.rows(), channels);
    ForEachPixel(context, y_boxes, [&](int64_t p, int64_t py, int64_t px, int64_t row) {
      const auto moved = [&](const Operand& operand) {
        const int64_t from = operand.moves ? RowOf(operand.boxes, p, py, px) : -1;
        return from < 0 ? none.data() : operand.d.row(from);
      };
      float* y = out + row * channels;
      Row(attributes_.function, y, channels,
          {left.base.spread_pixel(p, py, px), moved(left), right.base.spread_pixel(p, py, px), moved(right),
           left.base.channels == channels, right.base.channels == channels});
      limit.Flush(y, channels);
    });
  }

 private:
  BinaryAttributes attributes_;
};

}  // namespace

const OrtCustomOp* IncrementalBinaryOp() {
  static const Op<IncrementalBinary> op;
  return &op;
}

}  // namespace krypton
