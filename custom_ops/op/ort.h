// The one place that includes onnxruntime's headers. The API table is handed to us at registration
// (ORT_API_MANUAL_INIT), so the library links to no libonnxruntime and loads into older ones than
// its headers: it asks for API 17 and uses nothing newer.
#pragma once

#ifndef ORT_API_MANUAL_INIT
#define ORT_API_MANUAL_INIT
#endif
#include <onnxruntime_cxx_api.h>

namespace krypton {
constexpr uint32_t kOrtApiVersion = 17;
}  // namespace krypton
