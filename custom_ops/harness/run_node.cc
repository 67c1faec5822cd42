// This is as much of onnxruntime's API as one op needs. The ops know no other world than that API, a table of functions
// that is handed to them: here it is filled from the arguments of krypton_make and krypton_compute.
#include "harness/run_node.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "kernels/table.h"
#include "op/ort.h"
#include "registry.h"

struct OrtStatus {
  OrtErrorCode code;
  std::string message;
};

struct OrtTensorTypeAndShapeInfo {
  ONNXTensorElementDataType type;
  std::vector<int64_t> shape;
};

struct OrtValue {
  OrtTensorTypeAndShapeInfo info;
  void* data;
};

struct OrtKernelInfo {
  const KryptonAttribute* attributes;
  size_t count;
  const KryptonAttribute* Find(const char* name) const {
    const auto* last = attributes + count;
    const auto* found = std::find_if(attributes, last, [&](const auto& a) { return std::strcmp(a.name, name) == 0; });
    return found == last ? nullptr : found;
  }
};

struct OrtKernelContext {
  std::vector<OrtValue> inputs, outputs;
  const OrtCustomOp* op;
  KryptonAllocate allocate;
  void *user, *stream;
};

namespace {

OrtStatus* Status(OrtErrorCode code, const char* message) noexcept { return new OrtStatus{code, message}; }

OrtStatus* Missing() { return Status(ORT_INVALID_ARGUMENT, "no such attribute, or of another type"); }

// A string with its end into a buffer that may be null, as onnxruntime gives them.
OrtStatus* CopyText(const char* text, char* out, size_t* size) {
  const size_t needed = std::strlen(text) + 1;
  if (out != nullptr) std::copy_n(text, needed, out);
  *size = needed;
  return nullptr;
}

const OrtApi* Table() {
  static const OrtApi table = [] {
    OrtApi api{};
    api.CreateStatus = Status;
    api.GetErrorCode = [](const OrtStatus* status) noexcept { return status->code; };
    api.GetErrorMessage = [](const OrtStatus* status) noexcept { return status->message.c_str(); };
    api.ReleaseStatus = [](OrtStatus* status) noexcept { delete status; };
    api.KernelInfo_GetNodeName = [](const OrtKernelInfo*, char* out, size_t* size) noexcept {
      return CopyText("node", out, size);
    };
    api.KernelInfoGetAttribute_int64 = [](const OrtKernelInfo* info, const char* name, int64_t* out) noexcept {
      const KryptonAttribute* a = info->Find(name);
      if (a == nullptr || a->text != nullptr || a->integers != nullptr) return Missing();
      *out = a->integer;
      return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelInfoGetAttribute_float = [](const OrtKernelInfo* info, const char* name, float* out) noexcept {
      const KryptonAttribute* a = info->Find(name);
      if (a == nullptr || a->text != nullptr || a->integers != nullptr) return Missing();
      *out = a->real;
      return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelInfoGetAttribute_string = [](const OrtKernelInfo* info, const char* name, char* out,
                                           size_t* size) noexcept {
      const KryptonAttribute* a = info->Find(name);
      return a == nullptr || a->text == nullptr ? Missing() : CopyText(a->text, out, size);
    };
    api.KernelInfoGetAttributeArray_int64 = [](const OrtKernelInfo* info, const char* name, int64_t* out,
                                               size_t* size) noexcept {
      const KryptonAttribute* a = info->Find(name);
      if (a == nullptr || a->integers == nullptr) return Missing();
      if (out != nullptr) std::copy_n(a->integers, a->count, out);
      *size = a->count;
      return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelInfoGetAttributeArray_float = [](const OrtKernelInfo*, const char*, float*, size_t*) noexcept {
      return Missing();  // no op takes a list of floats, and the ABI hands none over
    };
    api.KernelContext_GetInputCount = [](const OrtKernelContext* context, size_t* out) noexcept {
      *out = context->inputs.size();
      return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelContext_GetInput = [](const OrtKernelContext* context, size_t index, const OrtValue** out) noexcept {
      if (index >= context->inputs.size()) return Status(ORT_INVALID_ARGUMENT, "too few inputs");
      const OrtValue& value = context->inputs[index];
      *out = value.info.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED ? nullptr : &value;
      return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelContext_GetOutput = [](OrtKernelContext* context, size_t index, const int64_t* shape, size_t rank,
                                     OrtValue** out) noexcept {
      if (index >= context->outputs.size()) return Status(ORT_INVALID_ARGUMENT, "too few outputs");
      OrtValue& value = context->outputs[index];
      value.info = {context->op->GetOutputType(context->op, index), {shape, shape + rank}};
      value.data = context->allocate(context->user, index, shape, rank, value.info.type);
      if (value.data == nullptr) return Status(ORT_FAIL, "no memory for an output");
      *out = &value;
      return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelContext_GetGPUComputeStream = [](const OrtKernelContext* context, void** out) noexcept {
      *out = context->stream;
      return static_cast<OrtStatus*>(nullptr);
    };
    api.KernelContext_ParallelFor = [](const OrtKernelContext*, void (*body)(void*, size_t), size_t total, size_t,
                                       void* data) noexcept {
      for (size_t i = 0; i < total; ++i) body(data, i);
      return static_cast<OrtStatus*>(nullptr);
    };
    api.GetTensorTypeAndShape = [](const OrtValue* value, OrtTensorTypeAndShapeInfo** out) noexcept {
      *out = new OrtTensorTypeAndShapeInfo(value->info);
      return static_cast<OrtStatus*>(nullptr);
    };
    api.ReleaseTensorTypeAndShapeInfo = [](OrtTensorTypeAndShapeInfo* info) noexcept { delete info; };
    api.GetTensorElementType = [](const OrtTensorTypeAndShapeInfo* info, ONNXTensorElementDataType* out) noexcept {
      *out = info->type;
      return static_cast<OrtStatus*>(nullptr);
    };
    api.GetDimensionsCount = [](const OrtTensorTypeAndShapeInfo* info, size_t* out) noexcept {
      *out = info->shape.size();
      return static_cast<OrtStatus*>(nullptr);
    };
    api.GetDimensions = [](const OrtTensorTypeAndShapeInfo* info, int64_t* out, size_t count) noexcept {
      std::copy_n(info->shape.begin(), std::min(count, info->shape.size()), out);
      return static_cast<OrtStatus*>(nullptr);
    };
    api.GetTensorShapeElementCount = [](const OrtTensorTypeAndShapeInfo* info, size_t* out) noexcept {
      *out = 1;
      for (int64_t size : info->shape) *out *= static_cast<size_t>(size);
      return static_cast<OrtStatus*>(nullptr);
    };
    api.GetTensorMutableData = [](OrtValue* value, void** out) noexcept {
      *out = value->data;
      return static_cast<OrtStatus*>(nullptr);
    };
    return api;
  }();
  return &table;
}

// The op that runs on the device where there are two, as the device's come last.
const OrtCustomOp* Find(const char* name) {
  static const std::vector<const OrtCustomOp*> ops = [] {
    Ort::InitApi(Table());
    return krypton::Ops();
  }();
  const auto at = std::find_if(ops.rbegin(), ops.rend(),
                               [&](const OrtCustomOp* op) { return std::strcmp(op->GetName(op), name) == 0; });
  return at == ops.rend() ? nullptr : *at;
}

struct Kernel {
  const OrtCustomOp* op;
  void* made;
};

void Say(const std::string& message, char* error, size_t size) {
  if (size == 0) return;
  const size_t length = std::min(message.size(), size - 1);
  std::copy_n(message.begin(), length, error);
  error[length] = '\0';
}

bool Failed(OrtStatus* status, char* error, size_t size) {
  if (status == nullptr) return false;
  Say(status->message, error, size);
  delete status;
  return true;
}

}  // namespace

extern "C" {

__attribute__((visibility("default"))) void* krypton_make(const char* op, const KryptonAttribute* attributes,
                                                          size_t count, char* error, size_t error_size) {
  const OrtCustomOp* found = Find(op);
  const char* reason = nullptr;
  if (found == nullptr) {
    Say(std::string("no op ") + op, error, error_size);
    return nullptr;
  }
  if (krypton::SelectKernels(&reason) == nullptr) {
    Say(reason, error, error_size);
    return nullptr;
  }
  const OrtKernelInfo info{attributes, count};
  void* made = nullptr;
  if (Failed(found->CreateKernelV2(found, Table(), &info, &made), error, error_size)) return nullptr;
  return new Kernel{found, made};
}

__attribute__((visibility("default"))) int krypton_compute(void* kernel, const KryptonTensor* inputs, size_t count,
                                                           KryptonAllocate allocate, void* user, void* stream,
                                                           char* error, size_t error_size) {
  const auto* made = static_cast<const Kernel*>(kernel);
  OrtKernelContext context{{}, {}, made->op, allocate, user, stream};
  for (size_t i = 0; i < count; ++i) {
    const KryptonTensor& tensor = inputs[i];
    context.inputs.push_back({{static_cast<ONNXTensorElementDataType>(tensor.type),
                               std::vector<int64_t>(tensor.shape, tensor.shape + tensor.rank)},
                              tensor.data});
  }
  context.outputs.resize(made->op->GetOutputTypeCount(made->op));
  return Failed(made->op->KernelComputeV2(made->made, &context), error, error_size) ? 1 : 0;
}

__attribute__((visibility("default"))) void krypton_destroy(void* kernel) {
  const std::unique_ptr<Kernel> made(static_cast<Kernel*>(kernel));
  if (made != nullptr) made->op->KernelDestroy(made->made);
}

__attribute__((visibility("default"))) int krypton_on_host(const char* op, size_t input) {
  const OrtCustomOp* found = Find(op);
  if (found == nullptr) return -1;
  const bool on_device = found->GetExecutionProviderType(found) != nullptr;  // null stands for the CPU
  return !on_device || found->GetInputMemoryType(found, input) == OrtMemTypeCPUInput ? 1 : 0;
}

}  // extern "C"
