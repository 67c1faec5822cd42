// Every score of an occlusion map from one Run of the plain onnxruntime C++ API.
//
//   score_boxes model.krypton.onnx libkrypton_ops.so [pixels.f32 [patch stride]]
//
// pixels.f32 holds the preprocessed image as raw float32 in the model's own layout (numpy: array.tofile);
// without it a smooth pattern takes its place.
//
// The library's path is what `python -c "import krypton_compile; print(krypton_compile.get_library_path())"`
// prints. With onnxruntime's headers in $INCLUDE and its library (in a Python environment the file
// onnxruntime/capi/libonnxruntime.so.VERSION, which lacks the name that the loader looks for) in $LIBRARY:
//
//   ln -s "$LIBRARY" libonnxruntime.so.1
//   g++ -std=c++17 -O2 -I"$INCLUDE" examples/score_boxes.cc libonnxruntime.so.1 -Wl,-rpath,'$ORIGIN' -o score_boxes
//
// (The two names below get the prefix "krypton_" in a model that has tensors called boxes or baseline itself.)

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

// Patch positions row by row; windows at the far edges are cut off, so that every pixel is covered.
std::vector<int32_t> OcclusionGrid(int64_t height, int64_t width, int64_t patch, int64_t stride) {
  // The second bound matters where the stride is larger than the patch.
  const auto starts = [&](int64_t size) {
    return std::min((size - patch + stride - 1) / stride + 1, (size + stride - 1) / stride);
  };
  std::vector<int32_t> boxes;
  for (int64_t i = 0; i < starts(height); ++i) {
    for (int64_t j = 0; j < starts(width); ++j) {
      const int64_t y0 = i * stride, x0 = j * stride;
      for (const int64_t value : {y0, x0, std::min(patch, height - y0), std::min(patch, width - x0)}) {
        boxes.push_back(static_cast<int32_t>(value));
      }
    }
  }
  return boxes;
}

// The image is the only input of rank 4 that is not called "baseline".
struct ImageInput {
  std::string name;
  std::vector<int64_t> shape;
};

ImageInput FindImage(const Ort::Session& session) {
  Ort::AllocatorWithDefaultOptions allocator;
  for (size_t i = 0; i < session.GetInputCount(); ++i) {
    const std::string name = session.GetInputNameAllocated(i, allocator).get();
    const std::vector<int64_t> shape = session.GetInputTypeInfo(i).GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() == 4 && name != "baseline") return {name, shape};
  }
  throw std::runtime_error("the model has no image input; compile it with krypton-compile");
}

std::vector<float> Pixels(size_t count, const char* path) {
  std::vector<float> pixels(count);
  if (path == nullptr) {
    for (size_t i = 0; i < count; ++i) pixels[i] = 0.5f + 0.5f * std::sin(static_cast<float>(i) * 0.01f);
    return pixels;
  }
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(pixels.data()), static_cast<std::streamsize>(count * sizeof(float)));
  if (!file || file.peek() != std::ifstream::traits_type::eof()) {
    throw std::runtime_error(std::string(path) + " does not hold exactly " + std::to_string(count) + " float32 pixels");
  }
  return pixels;
}

int Run(int argc, char** argv) {
  const int64_t patch = argc > 4 ? std::atoll(argv[4]) : 16, stride = argc > 5 ? std::atoll(argv[5]) : 4;
  // Errors only: onnxruntime warns of every optional input, because a caller may override its default.
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "score_boxes");
  Ort::SessionOptions options;
  options.RegisterCustomOpsLibrary(argv[2]);
  Ort::Session session(env, argv[1], options);

  const ImageInput input = FindImage(session);
  const auto& shape = input.shape;
  const bool channels_first = shape[1] <= 4;
  const int64_t height = shape[channels_first ? 2 : 1], width = shape[channels_first ? 3 : 2];
  if (patch < 1 || stride < 1 || patch > std::min(height, width)) {
    throw std::runtime_error("patch and stride must be at least 1, the patch no larger than the image");
  }

  const auto count = static_cast<size_t>(shape[0] * shape[1] * shape[2] * shape[3]);
  std::vector<float> image = Pixels(count, argc > 3 ? argv[3] : nullptr);
  std::vector<float> baseline(count, 0.0f);
  std::vector<int32_t> boxes = OcclusionGrid(height, width, patch, stride);
  const std::array<int64_t, 2> boxes_shape{static_cast<int64_t>(boxes.size() / 4), 4};

  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  const auto tensor = [&](auto& data, const int64_t* dims, size_t rank) {
    return Ort::Value::CreateTensor(memory, data.data(), data.size(), dims, rank);
  };
  const std::array<Ort::Value, 3> inputs{tensor(image, shape.data(), shape.size()),
                                         tensor(baseline, shape.data(), shape.size()),
                                         tensor(boxes, boxes_shape.data(), boxes_shape.size())};
  const std::array<const char*, 3> input_names{input.name.c_str(), "baseline", "boxes"};
  const std::array<const char*, 2> output_names{"scores", "base_scores"};
  const auto outputs = session.Run(Ort::RunOptions{}, input_names.data(), inputs.data(), inputs.size(),
                                   output_names.data(), output_names.size());

  const auto dims = outputs[0].GetTensorTypeAndShapeInfo().GetShape();
  const float* scores = outputs[0].GetTensorData<float>();
  const float* base = outputs[1].GetTensorData<float>();
  const auto classes = dims[1], target = static_cast<int64_t>(std::max_element(base, base + classes) - base);
  int64_t strongest = 0;
  for (int64_t p = 1; p < dims[0]; ++p) {
    if (scores[p * classes + target] < scores[strongest * classes + target]) strongest = p;
  }
  std::cout << "class " << target << ", score " << base[target] << "; " << dims[0] << " windows, largest drop "
            << base[target] - scores[strongest * classes + target] << " at y0 = " << boxes[4 * strongest]
            << ", x0 = " << boxes[4 * strongest + 1] << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: score_boxes model.krypton.onnx libkrypton_ops.so [pixels.f32 [patch stride]]\n";
    return 2;
  }
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "score_boxes: " << error.what() << "\n";
    return 2;
  }
}
