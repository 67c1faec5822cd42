// Stands in for CUDA's runtime where there is no GPU: a device whose memory is the host's, on which no kernel runs.
//
// onnxruntime's CUDA provider works with it as with the real one: sessions place nodes, copy, bind, allocate. All calls
// are done at once. A log keeps them (the krypton_standin_ functions below), launches with their kernels' names.
//
// A piece of device memory is mapped twice. Its address is that of the view that the device has; copies go through the
// other one. With KRYPTON_STANDIN_GUARD set the device's view cannot be touched at all: host code that takes it for its
// own memory ends with a segmentation fault. Copies refuse addresses that do not lie where their direction says.
//
// It is one file of more than 400 lines because the library that it stands in for is one: half of it are functions of a
// few lines each, the part of CUDA's interface that the provider calls, over the one table of memory, streams and
// kernels above them.
#include <cuda_runtime_api.h>
#include <cxxabi.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

struct Piece {
  std::byte* shadow;
  size_t size;
};

// Leaked: the libraries that call us may go after our destructors.
struct State {
  std::mutex mutex;
  std::map<std::byte*, Piece> pieces;  // by the device's address
  std::map<std::byte*, size_t> pinned;
  std::map<const void*, std::string> kernels;
  std::map<const void*, int> streams{{nullptr, 0}};  // numbered; 0 is the default one
  std::vector<std::string> log;
  bool recording = false;
  std::string text;
  const bool guard = std::getenv("KRYPTON_STANDIN_GUARD") != nullptr;
};

State& Global() {
  static State* const state = new State;
  return *state;
}

using Lock = std::lock_guard<std::mutex>;

void Called(const std::string& what) {
  State& state = Global();
  const Lock lock(state.mutex);
  if (state.recording) state.log.push_back(what);
}

cudaError_t Refuse(const std::string& what) {
  State& state = Global();
  const Lock lock(state.mutex);
  state.log.push_back("refused: " + what);  // whether asked for or not
  return cudaErrorInvalidValue;
}

// The piece that an address lies in; null for the host's own memory.
const Piece* Find(const void* address, std::byte** start) {
  State& state = Global();
  const auto* at = static_cast<const std::byte*>(address);
  auto next = state.pieces.upper_bound(const_cast<std::byte*>(at));
  if (next == state.pieces.begin()) return nullptr;
  const auto& [first, piece] = *std::prev(next);
  if (at >= first + piece.size) return nullptr;
  *start = first;
  return &piece;
}

// Where the host reaches the `size` bytes at an address; null where they are not all of one piece of the device.
std::byte* Reach(const void* address, size_t size, bool* on_device) {
  const Lock lock(Global().mutex);
  std::byte* start = nullptr;
  const Piece* piece = Find(address, &start);
  *on_device = piece != nullptr;
  auto* at = static_cast<std::byte*>(const_cast<void*>(address));
  if (piece == nullptr) return at;
  return at + size > start + piece->size ? nullptr : piece->shadow + (at - start);
}

cudaError_t Copy(const char* name, void* to, const void* from, size_t size, cudaMemcpyKind kind) {
  static constexpr const char* kKinds[] = {"HostToHost", "HostToDevice", "DeviceToHost", "DeviceToDevice", "Default"};
  const std::string what = std::string(name) + " " + kKinds[kind];
  Called(what);
  if (size == 0) return cudaSuccess;
  bool to_device = false, from_device = false;
  std::byte* target = Reach(to, size, &to_device);
  const std::byte* source = Reach(from, size, &from_device);
  const bool wrong = kind != cudaMemcpyDefault && kind != (from_device ? 2 : 0) + (to_device ? 1 : 0);
  if (target == nullptr || source == nullptr) return Refuse(what + ": beyond its memory");
  if (wrong)
    return Refuse(what + (from_device ? ": from the device" : ": from the host") +
                  (to_device ? " to the device" : " to the host"));
  std::memmove(target, source, size);
  return cudaSuccess;
}

cudaError_t Fill(const char* name, void* to, int value, size_t size) {
  Called(name);
  if (size == 0) return cudaSuccess;
  bool on_device = false;
  std::byte* target = Reach(to, size, &on_device);
  if (target == nullptr || !on_device) return Refuse(std::string(name) + ": not the device's memory");
  std::memset(target, value, size);
  return cudaSuccess;
}

cudaError_t Allocate(const char* name, void** found, size_t size) {
  Called(name);
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t whole = std::max(page, (size + page - 1) / page * page);
  const int file = memfd_create("device", 0);
  if (file < 0 || ftruncate(file, static_cast<off_t>(whole)) != 0) return cudaErrorMemoryAllocation;
  State& state = Global();
  void* view = mmap(nullptr, whole, state.guard ? PROT_NONE : PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  void* shadow = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (view == MAP_FAILED || shadow == MAP_FAILED) return cudaErrorMemoryAllocation;
  const Lock lock(state.mutex);
  state.pieces[static_cast<std::byte*>(view)] = {static_cast<std::byte*>(shadow), size};
  *found = view;
  return cudaSuccess;
}

cudaError_t Release(const char* name, void* address) {
  Called(name);
  if (address == nullptr) return cudaSuccess;
  State& state = Global();
  {
    const Lock lock(state.mutex);
    const auto found = state.pieces.find(static_cast<std::byte*>(address));
    if (found != state.pieces.end()) {
      munmap(address, found->second.size);
      munmap(found->second.shadow, found->second.size);
      state.pieces.erase(found);
      return cudaSuccess;
    }
  }
  return Refuse(std::string(name) + ": no memory of the device begins there");
}

cudaError_t AllocateHost(const char* name, void** found, size_t size) {
  Called(name);
  const size_t whole = (std::max<size_t>(size, 1) + 4095) / 4096 * 4096;
  *found = std::aligned_alloc(4096, whole);
  if (*found == nullptr) return cudaErrorMemoryAllocation;
  const Lock lock(Global().mutex);
  Global().pinned[static_cast<std::byte*>(*found)] = whole;
  return cudaSuccess;
}

template <class Handle>
cudaError_t NewHandle(const char* name, Handle* handle) {
  Called(name);
  *handle = reinterpret_cast<Handle>(new char);  // never freed, so that no two are the same
  return cudaSuccess;
}

cudaError_t Launch(const void* kernel, const void* stream) {
  std::string name = "?";
  int number = 0;
  {
    State& state = Global();
    const Lock lock(state.mutex);
    const auto found = state.kernels.find(kernel);
    if (found != state.kernels.end()) name = found->second;
    number = state.streams.emplace(stream, static_cast<int>(state.streams.size())).first->second;
  }
  Called("launch " + std::to_string(number) + " " + name);
  return cudaSuccess;
}

cudaDeviceProp Properties() {
  cudaDeviceProp is{};
  std::snprintf(is.name, sizeof is.name, "Stand-in for a GPU");
  is.totalGlobalMem = size_t{64} << 30;
  is.sharedMemPerBlock = 48 << 10;
  is.sharedMemPerBlockOptin = 227 << 10;
  is.sharedMemPerMultiprocessor = 228 << 10;
  is.reservedSharedMemPerBlock = 1 << 10;
  is.regsPerBlock = is.regsPerMultiprocessor = 1 << 16;
  is.warpSize = 32;
  is.memPitch = 0x7fffffff;
  is.maxThreadsPerBlock = 1024;
  is.maxThreadsDim[0] = is.maxThreadsDim[1] = 1024, is.maxThreadsDim[2] = 64;
  is.maxGridSize[0] = 0x7fffffff, is.maxGridSize[1] = is.maxGridSize[2] = 0xffff;
  is.totalConstMem = 1 << 16;
  is.major = 9, is.minor = 0;
  is.textureAlignment = 512;
  is.multiProcessorCount = 132;
  is.canMapHostMemory = is.concurrentKernels = is.unifiedAddressing = is.memoryPoolsSupported = 1;
  is.asyncEngineCount = 3;
  is.l2CacheSize = 50 << 20;
  is.maxThreadsPerMultiProcessor = 2048;
  is.maxBlocksPerMultiProcessor = 32;
  is.cooperativeLaunch = is.clusterLaunch = 1;
  return is;
}

bool Absent() { return std::getenv("KRYPTON_STANDIN_ABSENT") != nullptr; }

struct Configuration {
  dim3 grid, block;
  size_t shared;
  void* stream;
};
thread_local std::vector<Configuration> configurations;

}  // namespace

extern "C" {

// What the tests ask and what the other stand-ins tell.

void krypton_standin_called(const char* name) { Called(name); }

void krypton_standin_record(int on) {
  const Lock lock(Global().mutex);
  Global().recording = on != 0;
  Global().log.clear();
}

// The calls since, one a line; of a launch the number of its stream and the kernel's C++ name.
const char* krypton_standin_log() {
  State& state = Global();
  const Lock lock(state.mutex);
  state.text.clear();
  for (const std::string& line : state.log) {
    if (line.rfind("launch ", 0) == 0) {
      int status = 0;
      const size_t name = line.find(' ', 7) + 1;
      char* plain = abi::__cxa_demangle(line.c_str() + name, nullptr, nullptr, &status);
      state.text += line.substr(0, name) + (status == 0 ? plain : line.c_str() + name) + "\n";
      std::free(plain);
    } else {
      state.text += line + "\n";
    }
  }
  return state.text.c_str();
}

// Whether an address is of the device's memory.
int krypton_standin_on_device(const void* address) {
  bool on_device = false;
  Reach(address, 1, &on_device);
  return on_device ? 1 : 0;
}

// Memory.

cudaError_t cudaMalloc(void** found, size_t size) { return Allocate(__func__, found, size); }
cudaError_t cudaMallocAsync(void** found, size_t size, cudaStream_t) { return Allocate(__func__, found, size); }
cudaError_t cudaMallocFromPoolAsync(void** found, size_t size, cudaMemPool_t, cudaStream_t) {
  return Allocate(__func__, found, size);
}
cudaError_t cudaFree(void* address) { return Release(__func__, address); }
cudaError_t cudaFreeAsync(void* address, cudaStream_t) { return Release(__func__, address); }
cudaError_t cudaMallocHost(void** found, size_t size) { return AllocateHost(__func__, found, size); }
cudaError_t cudaHostAlloc(void** found, size_t size, unsigned) { return AllocateHost(__func__, found, size); }
cudaError_t cudaFreeHost(void* address) {
  Called(__func__);
  {
    const Lock lock(Global().mutex);
    if (address == nullptr || Global().pinned.erase(static_cast<std::byte*>(address)) != 0) {
      std::free(address);
      return cudaSuccess;
    }
  }
  return Refuse("cudaFreeHost: no page-locked memory begins there");
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t size, cudaMemcpyKind kind) {
  return Copy(__func__, to, from, size, kind);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, cudaMemcpyKind kind, cudaStream_t stream) {
  if (stream == nullptr) Called("cudaMemcpyAsync on the default stream");
  return Copy(__func__, to, from, size, kind);
}
cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind kind, cudaStream_t) {
  for (size_t row = 0; row < height; ++row) {
    const cudaError_t error = Copy(__func__, static_cast<std::byte*>(to) + row * to_pitch,
                                   static_cast<const std::byte*>(from) + row * from_pitch, width, kind);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}
cudaError_t cudaMemset(void* to, int value, size_t size) { return Fill(__func__, to, value, size); }
cudaError_t cudaMemsetAsync(void* to, int value, size_t size, cudaStream_t stream) {
  if (stream == nullptr) Called("cudaMemsetAsync on the default stream");
  return Fill(__func__, to, value, size);
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = *total = Properties().totalGlobalMem;
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, const void* address) {
  *found = {};
  bool on_device = false;
  Reach(address, 1, &on_device);
  const Lock lock(Global().mutex);
  auto* at = static_cast<std::byte*>(const_cast<void*>(address));
  const auto next = Global().pinned.upper_bound(at);
  const bool pinned = next != Global().pinned.begin() && at < std::prev(next)->first + std::prev(next)->second;
  found->type = on_device ? cudaMemoryTypeDevice : pinned ? cudaMemoryTypeHost : cudaMemoryTypeUnregistered;
  found->devicePointer = on_device ? const_cast<void*>(address) : nullptr;
  found->hostPointer = on_device ? nullptr : const_cast<void*>(address);
  return cudaSuccess;
}
cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps*) { return NewHandle(__func__, pool); }

// The device.

cudaError_t cudaGetDeviceCount(int* count) {
  *count = Absent() ? 0 : 1;
  return Absent() ? cudaErrorNoDevice : cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  return Absent() ? cudaErrorNoDevice : device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* found, int) {
  *found = Properties();
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const cudaDeviceProp is = Properties();
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = is.maxThreadsPerBlock;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(is.sharedMemPerBlock);
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(is.sharedMemPerBlockOptin);
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(is.sharedMemPerMultiprocessor);
      break;
    case cudaDevAttrWarpSize:
      *value = is.warpSize;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = is.multiProcessorCount;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = is.maxThreadsPerMultiProcessor;
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = is.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = is.minor;
      break;
    case cudaDevAttrL2CacheSize:
      *value = is.l2CacheSize;
      break;
    default:
      *value = 1;
  }
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDriverEntryPointByVersion(const char*, void** found, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  *found = nullptr;
  if (result != nullptr) *result = cudaDriverEntryPointSymbolNotFound;
  return cudaErrorInvalidValue;
}
cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaPeekAtLastError() { return cudaSuccess; }
const char* cudaGetErrorName(cudaError_t error) { return error == cudaSuccess ? "cudaSuccess" : "refused"; }
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    default:
      return "refused";
  }
}

// Streams and events: what is asked for is done, so all have passed. A capture of a graph never begins.

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return NewHandle(__func__, stream); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) { return NewHandle(__func__, stream); }
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) { return NewHandle(__func__, stream); }
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return NewHandle(__func__, event); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return NewHandle(__func__, event); }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t) {
  *milliseconds = 0;
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* data) {
  Called(__func__);
  function(data);
  return cudaSuccess;
}

// Kernels.

void** __cudaRegisterFatBinary(void*) {
  static void* handle = nullptr;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
void __cudaRegisterVar(void**, char*, char*, const char*, int, size_t, int, int) {}
void __cudaRegisterFunction(void**, const char* function, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*,
                            int*) {
  const Lock lock(Global().mutex);
  Global().kernels[function] = name;
}
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void* stream) {
  configurations.push_back({grid, block, shared, stream});
  return 0;
}
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  const Configuration last = configurations.back();
  configurations.pop_back();
  *grid = last.grid, *block = last.block, *shared = last.shared, *static_cast<void**>(stream) = last.stream;
  return cudaSuccess;
}
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<void*>(function));
  return cudaSuccess;
}
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3, dim3, void**, size_t, cudaStream_t stream) {
  return Launch(kernel, stream);
}
cudaError_t cudaLaunchKernel(const void* kernel, dim3, dim3, void**, size_t, cudaStream_t stream) {
  return Launch(kernel, stream);
}
cudaError_t cudaLaunchCooperativeKernel(const void* kernel, dim3, dim3, void**, size_t, cudaStream_t stream) {
  return Launch(kernel, stream);
}
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* how, const void* kernel, void**) {
  return Launch(kernel, how->stream);
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* found, const void*) {
  *found = {};
  found->maxThreadsPerBlock = 1024;
  found->numRegs = 64;
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void*, int, size_t, unsigned) {
  *blocks = 2;
  return cudaSuccess;
}
cudaError_t cudaLibraryLoadData(cudaLibrary_t* library, const void*, cudaJitOption*, void**, unsigned,
                                cudaLibraryOption*, void**, unsigned) {
  return NewHandle(__func__, library);
}
cudaError_t cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t, const char*) {
  return NewHandle(__func__, kernel);
}

}  // extern "C"
