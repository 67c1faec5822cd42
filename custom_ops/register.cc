// RegisterCustomOps: what onnxruntime calls when a session registers this library.
#include <string>

#include "kernels/table.h"
#include "registry.h"

namespace {

// A status without our API table: the oldest table there is serves to make one.
OrtStatus* TooOld(const OrtApiBase* base) {
  const OrtApi* oldest = base->GetApi(1);
  if (oldest == nullptr) return nullptr;
  const std::string message = std::string("krypton's op library needs onnxruntime 1.") +
                              std::to_string(krypton::kOrtApiVersion) + " or newer; this is " +
                              base->GetVersionString() + ". Upgrade onnxruntime.";
  return oldest->CreateStatus(ORT_FAIL, message.c_str());
}

}  // namespace

extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(krypton::kOrtApiVersion);
  if (api == nullptr) return TooOld(base);
  Ort::InitApi(api);
  const char* reason = nullptr;
  if (krypton::SelectKernels(&reason) == nullptr) return api->CreateStatus(ORT_INVALID_ARGUMENT, reason);

  OrtCustomOpDomain* domain = nullptr;
  if (OrtStatus* status = api->CreateCustomOpDomain("krypton", &domain)) return status;
  for (const OrtCustomOp* op : krypton::Ops()) {
    if (OrtStatus* status = api->CustomOpDomain_Add(domain, op)) return status;
  }
  // The domain must outlive every session made with these options, and nothing tells us when the
  // last one goes; a few pointers a registration stay allocated.
  return api->AddCustomOpDomain(options, domain);
}
