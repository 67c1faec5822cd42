// IncrementalConv and IncrementalGemm: DY = W * DX on the boxes' pixels, on tensor cores (conv/program.h); convolutions
// with few maps a group, depthwise ones among them, entry by entry.
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>

#include "cuda/conv/channel_lists.h"
#include "cuda/device/weights.h"
#include "cuda/op.h"
#include "cuda/ops.h"
#include "ops/conv/call.h"

namespace krypton::cuda {
namespace {

constexpr int64_t kFewMaps = 16;  // a group of fewer fills no tile of tensor cores
// Tiles of one pixel have more taps in all than tiles of one class, the more so the fewer boxes hold a pixel. Beyond
// this ratio lists of its channels cannot make up for that; nor can they where a stretch holds all of a tap's channels.
constexpr int64_t kMostPixelTaps = 3;
constexpr int64_t kListChannels = 64;

// The boxes of X, of Y and of what is added.
using PlanBoxes = std::array<const BoxList*, 3>;

// The boxes of one call and what follows from them, on the device.
struct Plan {
  // Tiles of one class each, and of one pixel each where lists of channels may pay, else none.
  Plan(Stream stream, const PlanBoxes& of, TileList by_class, TileList by_pixel) : upload(stream, true) {
    for (size_t i = 0; i < of.size(); ++i) {
      boxes[i].assign(of[i]->data, of[i]->data + of[i]->count);
      put[i] = Put(upload, *of[i]);
    }
    classes.Set(upload, std::move(by_class)), pixels.Set(upload, std::move(by_pixel));
    upload.Send();
  }
  bool IsOf(Stream stream, const PlanBoxes& of) const {
    const auto same = [](const std::vector<Box>& kept, const BoxList& now) {
      return static_cast<int64_t>(kept.size()) == now.count &&
             (now.count == 0 || std::memcmp(kept.data(), now.data, kept.size() * sizeof(Box)) == 0);
    };
    return upload.stream() == stream && same(boxes[0], *of[0]) && same(boxes[1], *of[1]) && same(boxes[2], *of[2]);
  }

  std::array<std::vector<Box>, 3> boxes;
  Upload upload;
  std::array<PutBoxes, 3> put{};
  struct Tiles {
    TileList list{};  // of which the host keeps the tiles alone
    size_t parts = 0, starts = 0, tiles = 0;
    void Set(Upload& upload, TileList made) {
      list = std::move(made);
      parts = upload.Put(list.parts), starts = upload.Put(list.starts), tiles = upload.Put(list.tiles);
      list.parts = {}, list.starts = {};
    }
  } classes, pixels;
};

// The last plans of an op: image after image has the same boxes, and then neither lists nor copies are made again.
class KeptPlans {
 public:
  template <class Make>
  std::shared_ptr<const Plan> Get(Stream stream, const PlanBoxes& of, const Make& make) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& plan : plans_) {
        if (plan->IsOf(stream, of)) return plan;
      }
    }
    std::shared_ptr<const Plan> plan = make();
    // The chunks of a map, few large ones or some forty small ones, in so much memory of the device.
    constexpr size_t kMost = 64, kMostBytes = 64 << 20;
    const std::lock_guard<std::mutex> lock(mutex_);
    plans_.push_back(plan);
    size_ += plan->upload.size();
    while (plans_.size() > kMost || (size_ > kMostBytes && plans_.size() > 1)) {
      size_ -= plans_.front()->upload.size();
      plans_.pop_front();
    }
    return plan;
  }

 private:
  std::mutex mutex_;
  std::deque<std::shared_ptr<const Plan>> plans_;
  size_t size_ = 0;
};

void Point(const Plan& plan, const Plan::Tiles& tiles, ConvArguments* g) {
  g->x_boxes = plan.put[0].In(plan.upload), g->y_boxes = plan.put[1].In(plan.upload);
  g->b_boxes = plan.put[2].In(plan.upload);
  g->parts = plan.upload.At<Part>(tiles.parts), g->starts = plan.upload.At<int64_t>(tiles.starts);
  g->tiles = plan.upload.At<Tile>(tiles.tiles);
}

// W [M, C/G, (kD,) kH, kW] -> [group][tap][depth][wide], channels in the order of DepthGather; zeros beyond M/G. Steps
// of a group and of the rest are `g`'s.
void PackWeights(Stream stream, const float* w, const ConvShape& s, int64_t taps, int64_t wide, const ConvArguments& g,
                 float* packed) {
  const int64_t depth = s.depth, columns = s.maps_per_group, part = depth / s.slices, slices = s.slices;
  const int64_t pitch = g.w_pitch, of_group = g.w_group;
  ForEachRow(stream, s.groups * taps * depth, wide, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
    const int64_t group = row / (taps * depth), tap = row / depth % taps, k = row % depth;
    const int64_t slice = k / part, c = k % part;
    float* to = packed + group * of_group + row % (taps * depth) * pitch;
    for (int64_t n = first; n < wide; n += step) {
      const int64_t map = group * columns + n;
      to[n] = n < columns ? w[((map * part + c) * slices + slice) * taps + tap] : 0.0f;
    }
  });
}

// Groups of few maps: a thread an entry, tap by tap.
void EntryByEntry(Stream stream, const ConvArguments& g, int64_t rows) {
  ForEachRow(stream, rows, g.maps, [=] KRYPTON_DEVICE(int64_t row, int64_t first, int64_t step) {
    const Pixel at = g.y_boxes.At(row);
    const Box box = g.x_boxes.boxes[at.box];
    const Range taps_y = g.window_y.Taps(at.y, box.y0, box.y1()), taps_x = g.window_x.Taps(at.x, box.x0, box.x1());
    for (int64_t map = first; map < g.maps; map += step) {
      const int64_t group = map / g.columns;
      float sum = 0.0f;
      for (int64_t ky = taps_y.lo; ky < taps_y.hi && !box.empty(); ++ky) {
        for (int64_t kx = taps_x.lo; kx < taps_x.hi; ++kx) {
          const int64_t from = g.x_boxes.RowOf(at.box, g.window_y.Input(at.y, ky), g.window_x.Input(at.x, kx));
          const float* x = g.x + from * g.channels + group * g.depth;
          const float* w =
              g.w + group * g.w_group + (ky * g.window_x.kernel + kx) * g.depth * g.w_pitch + map % g.columns;
          for (int64_t k = 0; k < g.depth; ++k) sum += x[k] * w[k * g.w_pitch];
        }
      }
      const int64_t added = g.b == nullptr ? -1 : g.b_boxes.RowOf(at.box, at.y, at.x);
      if (added >= 0) sum += g.b[added * g.maps + map];
      if (g.z.data != nullptr) sum = ClipRuleScalar(sum, g.z.pixel(at.box, at.y, at.x)[map], g.lo, g.hi);
      g.y[row * g.maps + map] = g.limit(sum);
    }
  });
}

struct IncrementalConv : CudaKernel<IncrementalConv> {
  static constexpr const char* kName = "IncrementalConv";
  using In = IncrementalConvInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalConv(const Ort::ConstKernelInfo& info)
      : CudaKernel(info), attributes_(ReadConvAttributes(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const ConvCall call = ReadConvCall(context, attributes_);
    const ConvShape& shape = call.shape;
    ConvArguments g{};
    g.x = call.x.data, g.box_depth = 1, g.window_y = attributes_.window.y, g.window_x = attributes_.window.x;
    g.z = call.z, g.lo = attributes_.bounds.lo, g.hi = attributes_.bounds.hi, g.limit = ReadLimit(context, In::limit);
    g.b = call.adds ? call.b.data : nullptr;
    g.channels = shape.channels, g.depth = shape.depth, g.maps = shape.maps, g.columns = shape.maps_per_group;
    g.single = attributes_.precision == Precision::kBfloat16;
    g.y = WriteValues(context, call.y_boxes.rows(), shape.maps);
    const bool few = shape.maps_per_group < kFewMaps && shape.groups > 1;
    const int64_t taps = attributes_.window.y.kernel * attributes_.window.x.kernel;
    // Groups of few maps lie side by side, so that neighbouring threads read neighbouring weights.
    const int64_t wide = few ? shape.maps_per_group : (shape.maps_per_group + 3) / 4 * 4;
    g.w_pitch = few ? shape.maps : wide;
    g.w_group = few ? wide : taps * shape.depth * wide;
    g.w = packed_.Get(stream, call.weights, call.weights_shape, shape.groups * taps * shape.depth * wide,
                      [&](float* packed) { PackWeights(stream, call.weights, shape, taps, wide, g, packed); });
    const auto plan =
        plans_.Get(stream, {&call.x_boxes, &call.y_boxes, &call.b_boxes}, [&] { return MakePlan(stream, call, few); });
    Point(*plan, plan->classes, &g);
    g.inside = true;
    if (few) {
      EntryByEntry(stream, g, call.y_boxes.rows());
      plan->upload.Used();
      return;
    }
    // Short rows of taps, as of a first layer, are one stretch.
    g.joined = attributes_.window.x.dilation == 1 && shape.groups == 1 && shape.depth < ConvTile::kDepth;
    if (plan->pixels.list.tiles.empty()) {
      RunTiles(stream, g, plan->classes.list, shape.groups);
      plan->upload.Used();
      return;
    }
    Upload scratch(stream);
    const ChannelLists channels(scratch, attributes_.window.input(), shape.channels);
    scratch.Send();
    ConvArguments by_pixel = g;
    by_pixel.inside = false;
    Point(*plan, plan->pixels, &by_pixel);
    channels.Fill(stream, scratch, call.x, static_cast<int64_t>(plan->pixels.list.tiles.size()), &by_pixel);
    by_pixel.class_stretches = g.class_stretches =
        static_cast<uint64_t>(CountTaps(plan->classes.list) * ConvTile::Cuts(shape.depth));
    g.list_stretches = by_pixel.list_stretches;
    RunTiles(stream, g, plan->classes.list, 1);
    RunTiles(stream, by_pixel, plan->pixels.list, 1);
    plan->upload.Used();
  }

 private:
  std::shared_ptr<const Plan> MakePlan(Stream stream, const ConvCall& call, bool few) const {
    const ConvShape& shape = call.shape;
    TileList by_class, by_pixel;
    if (!few) by_class = ListTiles(attributes_.window, call.x_boxes, call.y_boxes, ConvTile::kRows);
    const bool listable = !few && shape.groups == 1 && attributes_.slices == 1 && shape.slices == 1 &&
                          shape.channels >= kListChannels && shape.channels <= UINT16_MAX && shape.channels % 4 == 0 &&
                          attributes_.window.y.kernel * attributes_.window.x.kernel <= ConvTile::kMostTaps;
    if (listable) by_pixel = ListPixelTiles(attributes_.window, call.x_boxes, call.y_boxes, ConvTile::kRows);
    if (CountTaps(by_pixel) > kMostPixelTaps * CountTaps(by_class)) by_pixel = {};
    return std::make_shared<const Plan>(stream, PlanBoxes{&call.x_boxes, &call.y_boxes, &call.b_boxes},
                                        std::move(by_class), std::move(by_pixel));
  }

  ConvAttributes attributes_;
  mutable DeviceWeights packed_;
  mutable KeptPlans plans_;
};

struct IncrementalGemm : CudaKernel<IncrementalGemm> {
  static constexpr const char* kName = "IncrementalGemm";
  using In = IncrementalGemmInputs;
  static constexpr Slot kOutputs[] = {kFloat};

  explicit IncrementalGemm(const Ort::ConstKernelInfo& info) : CudaKernel(info), map_(ReadMapShape(info)) {}

  void Run(Ort::KernelContext& context, Stream stream) const {
    const GemmCall call = ReadGemmCall(context, map_);
    const int64_t positions = call.boxes.count / map_.depth;
    // One pixel a position: the result's row.
    const std::vector<Box> pixels(static_cast<size_t>(positions), Box{0, 0, 1, 1});
    BoxList rows{pixels.data(), positions, {}};
    for (int64_t b = 0; b <= positions; ++b) rows.offsets.push_back(b);
    const BoxList none;
    const PlanBoxes of{&call.boxes, &rows, &none};
    const auto plan = plans_.Get(stream, of, [&] {
      TileList list = ListGemmTiles(call.boxes, map_.depth, ConvTile::kRows);
      return std::make_shared<const Plan>(stream, of, std::move(list), TileList{});
    });
    ConvArguments g{};
    Point(*plan, plan->classes, &g);
    g.x = call.x.data, g.box_depth = map_.depth;
    g.window_y = {map_.slice.h, 1, 0, 0, 1, map_.slice.h, 1}, g.window_x = {map_.slice.w, 1, 0, 0, 1, map_.slice.w, 1};
    g.w = call.w.data, g.w_pitch = call.w.channels, g.w_group = 0;
    g.channels = g.depth = call.x.channels, g.maps = g.columns = call.w.channels;
    g.y = context.GetOutput(0, {positions, call.w.channels}).GetTensorMutableData<float>();
    RunTiles(stream, g, plan->classes.list, 1);
    plan->upload.Used();
  }

 private:
  VolumeShape map_;
  mutable KeptPlans plans_;
};

}  // namespace

const OrtCustomOp* IncrementalConvOp() {
  static const CudaOp<IncrementalConv> op;
  return &op;
}

const OrtCustomOp* IncrementalGemmOp() {
  static const CudaOp<IncrementalGemm> op;
  return &op;
}

}  // namespace krypton::cuda
