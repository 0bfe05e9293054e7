// The part of ONNX Runtime's C API that we call, declared by position.
//
// The library exports one function, OrtGetApiBase(); behind it lies a table of function pointers
// that only ever grows: a position never changes once it is released. The Python wheel ships the
// library without its header, so the positions are written down here (source: onnxruntime_c_api.h,
// whose static_asserts pin the last position of every release). A wrong position cannot survive the
// tests: each call below is exercised there against known answers.
//
// Conventions: a call returns null on success, else a status to release; Release* accept null.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastserve::runtime {

struct OrtEnv;
struct OrtStatus;
struct OrtMemoryInfo;
struct OrtSession;
struct OrtValue;
struct OrtRunOptions;
struct OrtTypeInfo;
struct OrtTensorInfo;
struct OrtOptionalInfo;
struct OrtSessionOptions;
struct OrtAllocator;
struct OrtModelMetadata;
struct OrtCudaOptions;

// The C API version that we ask for (ONNX Runtime 1.20).
inline constexpr uint32_t kOrtApiVersion = 20;

enum OrtElement : int {
  kOrtFloat = 1,
  kOrtUint8 = 2,
  kOrtInt8 = 3,
  kOrtUint16 = 4,
  kOrtInt16 = 5,
  kOrtInt32 = 6,
  kOrtInt64 = 7,
  kOrtString = 8,
  kOrtBool = 9,
  kOrtFloat16 = 10,
  kOrtDouble = 11,
  kOrtUint32 = 12,
  kOrtUint64 = 13,
  kOrtComplex64 = 14,
  kOrtComplex128 = 15,
  kOrtBfloat16 = 16,
};

enum OrtKind : int {
  kOrtTensor = 1,
  kOrtSequence = 2,
  kOrtMap = 3,
  kOrtOpaque = 4,
  kOrtSparseTensor = 5,
  kOrtOptional = 6,
};

enum OrtCode : int {
  kOrtOk = 0,
  kOrtFail = 1,
  kOrtNotImplemented = 9,
  kOrtEpFail = 11,
};

enum OrtSeverity : int { kOrtWarning = 2, kOrtError = 3, kOrtFatal = 4 };

using OrtLogFunction = void (*)(void* param, int severity, const char* category, const char* log_id,
                                const char* location, const char* message);

// Function types, named as in ONNX Runtime.
struct OrtCalls {
  using GetErrorCode = int(const OrtStatus*);
  using GetErrorMessage = const char*(const OrtStatus*);
  using CreateEnvWithCustomLogger = OrtStatus*(OrtLogFunction, void* param, int log_level,
                                               const char* log_id, OrtEnv**);
  using CreateSessionFromArray = OrtStatus*(const OrtEnv*, const void* model, size_t bytes,
                                            const OrtSessionOptions*, OrtSession**);
  using Run = OrtStatus*(OrtSession*, const OrtRunOptions*, const char* const* input_names,
                         const OrtValue* const* inputs, size_t input_count,
                         const char* const* output_names, size_t output_count, OrtValue** outputs);
  using CreateSessionOptions = OrtStatus*(OrtSessionOptions**);
  using SetSessionOption = OrtStatus*(OrtSessionOptions*);
  using SetSessionInt = OrtStatus*(OrtSessionOptions*, int);
  using SetSessionText = OrtStatus*(OrtSessionOptions*, const char*);
  using SessionGetCount = OrtStatus*(const OrtSession*, size_t*);
  using SessionGetTypeInfo = OrtStatus*(const OrtSession*, size_t index, OrtTypeInfo**);
  using SessionGetName = OrtStatus*(const OrtSession*, size_t index, OrtAllocator*, char**);
  using CreateRunOptions = OrtStatus*(OrtRunOptions**);
  using RunOptionsTerminate = OrtStatus*(OrtRunOptions*);
  using CreateTensor = OrtStatus*(OrtAllocator*, const int64_t* shape, size_t rank, int element,
                                  OrtValue**);
  using CreateTensorWithData = OrtStatus*(const OrtMemoryInfo*, void* data, size_t bytes,
                                          const int64_t* shape, size_t rank, int element,
                                          OrtValue**);
  using GetTensorMutableData = OrtStatus*(OrtValue*, void**);
  using GetStringTensorDataLength = OrtStatus*(const OrtValue*, size_t*);
  using GetStringTensorContent = OrtStatus*(const OrtValue*, void* buffer, size_t bytes,
                                            size_t* offsets, size_t count);
  using CastTypeInfoToTensorInfo = OrtStatus*(const OrtTypeInfo*, const OrtTensorInfo**);
  using GetOnnxTypeFromTypeInfo = OrtStatus*(const OrtTypeInfo*, int*);
  using GetTensorElementType = OrtStatus*(const OrtTensorInfo*, int*);
  using GetDimensionsCount = OrtStatus*(const OrtTensorInfo*, size_t*);
  using GetDimensions = OrtStatus*(const OrtTensorInfo*, int64_t*, size_t);
  using GetSymbolicDimensions = OrtStatus*(const OrtTensorInfo*, const char**, size_t);
  using GetTensorTypeAndShape = OrtStatus*(const OrtValue*, OrtTensorInfo**);
  using CreateCpuMemoryInfo = OrtStatus*(int allocator_type, int mem_type, OrtMemoryInfo**);
  using AllocatorFree = OrtStatus*(OrtAllocator*, void*);
  using GetAllocatorWithDefaultOptions = OrtStatus*(OrtAllocator**);
  using SessionGetModelMetadata = OrtStatus*(const OrtSession*, OrtModelMetadata**);
  using MetadataGetText = OrtStatus*(const OrtModelMetadata*, OrtAllocator*, char**);
  using MetadataLookup = OrtStatus*(const OrtModelMetadata*, OrtAllocator*, const char* key,
                                    char**);
  using MetadataGetVersion = OrtStatus*(const OrtModelMetadata*, int64_t*);
  using MetadataGetKeys = OrtStatus*(const OrtModelMetadata*, OrtAllocator*, char*** keys,
                                     int64_t* count);
  using GetAvailableProviders = OrtStatus*(char*** names, int* count);
  using ReleaseAvailableProviders = OrtStatus*(char** names, int count);
  using AddSessionConfigEntry = OrtStatus*(OrtSessionOptions*, const char* key, const char* value);
  using HasValue = OrtStatus*(const OrtValue*, int*);
  using AppendCuda = OrtStatus*(OrtSessionOptions*, const OrtCudaOptions*);
  using CreateCudaOptions = OrtStatus*(OrtCudaOptions**);
  using UpdateCudaOptions = OrtStatus*(OrtCudaOptions*, const char* const* keys,
                                       const char* const* values, size_t count);
  using AppendProvider = OrtStatus*(OrtSessionOptions*, const char* provider,
                                    const char* const* keys, const char* const* values,
                                    size_t count);
  using CastTypeInfoToOptionalInfo = OrtStatus*(const OrtTypeInfo*, const OrtOptionalInfo**);
  using GetOptionalContainedTypeInfo = OrtStatus*(const OrtOptionalInfo*, OrtTypeInfo**);
  // Resizes element `index` of a string tensor to `bytes` and gives its memory: the way in for
  // strings that hold NULs (FillStringTensor takes NUL-terminated ones).
  using GetResizedStringTensorElementBuffer = OrtStatus*(OrtValue*, size_t index, size_t bytes,
                                                         char** buffer);
  // Takes copies while a session is created from these options; not needed after that.
  using AddExternalFiles = OrtStatus*(OrtSessionOptions*, const char* const* names,
                                      char* const* buffers, const size_t* bytes, size_t count);
  template <typename Handle>
  using Release = void(Handle*);
};

// The calls, bound once from the table.
class OrtApi {
 public:
  explicit OrtApi(const void* const* table) : table_(table) {}

#define FASTSERVE_ORT_CALL(name, type, index) \
  OrtCalls::type* const name = reinterpret_cast<OrtCalls::type*>(const_cast<void*>(table_[index]))

 private:
  const void* const* table_;

 public:
  FASTSERVE_ORT_CALL(GetErrorCode, GetErrorCode, 1);
  FASTSERVE_ORT_CALL(GetErrorMessage, GetErrorMessage, 2);
  FASTSERVE_ORT_CALL(CreateEnvWithCustomLogger, CreateEnvWithCustomLogger, 4);
  FASTSERVE_ORT_CALL(CreateSessionFromArray, CreateSessionFromArray, 8);
  FASTSERVE_ORT_CALL(Run, Run, 9);
  FASTSERVE_ORT_CALL(CreateSessionOptions, CreateSessionOptions, 10);
  FASTSERVE_ORT_CALL(SetSessionExecutionMode, SetSessionInt, 13);
  FASTSERVE_ORT_CALL(EnableMemPattern, SetSessionOption, 16);
  FASTSERVE_ORT_CALL(DisableMemPattern, SetSessionOption, 17);
  FASTSERVE_ORT_CALL(EnableCpuMemArena, SetSessionOption, 18);
  FASTSERVE_ORT_CALL(DisableCpuMemArena, SetSessionOption, 19);
  FASTSERVE_ORT_CALL(SetSessionLogId, SetSessionText, 20);
  FASTSERVE_ORT_CALL(SetSessionLogSeverityLevel, SetSessionInt, 22);
  FASTSERVE_ORT_CALL(SetSessionGraphOptimizationLevel, SetSessionInt, 23);
  FASTSERVE_ORT_CALL(SetIntraOpNumThreads, SetSessionInt, 24);
  FASTSERVE_ORT_CALL(SetInterOpNumThreads, SetSessionInt, 25);
  FASTSERVE_ORT_CALL(SessionGetInputCount, SessionGetCount, 30);
  FASTSERVE_ORT_CALL(SessionGetOutputCount, SessionGetCount, 31);
  FASTSERVE_ORT_CALL(SessionGetInputTypeInfo, SessionGetTypeInfo, 33);
  FASTSERVE_ORT_CALL(SessionGetOutputTypeInfo, SessionGetTypeInfo, 34);
  FASTSERVE_ORT_CALL(SessionGetInputName, SessionGetName, 36);
  FASTSERVE_ORT_CALL(SessionGetOutputName, SessionGetName, 37);
  FASTSERVE_ORT_CALL(CreateRunOptions, CreateRunOptions, 39);
  FASTSERVE_ORT_CALL(RunOptionsSetTerminate, RunOptionsTerminate, 46);
  FASTSERVE_ORT_CALL(RunOptionsUnsetTerminate, RunOptionsTerminate, 47);
  FASTSERVE_ORT_CALL(CreateTensorAsOrtValue, CreateTensor, 48);
  FASTSERVE_ORT_CALL(CreateTensorWithDataAsOrtValue, CreateTensorWithData, 49);
  FASTSERVE_ORT_CALL(GetTensorMutableData, GetTensorMutableData, 51);
  FASTSERVE_ORT_CALL(GetStringTensorDataLength, GetStringTensorDataLength, 53);
  FASTSERVE_ORT_CALL(GetStringTensorContent, GetStringTensorContent, 54);
  FASTSERVE_ORT_CALL(CastTypeInfoToTensorInfo, CastTypeInfoToTensorInfo, 55);
  FASTSERVE_ORT_CALL(GetOnnxTypeFromTypeInfo, GetOnnxTypeFromTypeInfo, 56);
  FASTSERVE_ORT_CALL(GetTensorElementType, GetTensorElementType, 60);
  FASTSERVE_ORT_CALL(GetDimensionsCount, GetDimensionsCount, 61);
  FASTSERVE_ORT_CALL(GetDimensions, GetDimensions, 62);
  FASTSERVE_ORT_CALL(GetSymbolicDimensions, GetSymbolicDimensions, 63);
  FASTSERVE_ORT_CALL(GetTensorTypeAndShape, GetTensorTypeAndShape, 65);
  FASTSERVE_ORT_CALL(CreateCpuMemoryInfo, CreateCpuMemoryInfo, 69);
  FASTSERVE_ORT_CALL(AllocatorFree, AllocatorFree, 76);
  FASTSERVE_ORT_CALL(GetAllocatorWithDefaultOptions, GetAllocatorWithDefaultOptions, 78);
  FASTSERVE_ORT_CALL(ReleaseEnv, Release<OrtEnv>, 92);
  FASTSERVE_ORT_CALL(ReleaseStatus, Release<OrtStatus>, 93);
  FASTSERVE_ORT_CALL(ReleaseMemoryInfo, Release<OrtMemoryInfo>, 94);
  FASTSERVE_ORT_CALL(ReleaseSession, Release<OrtSession>, 95);
  FASTSERVE_ORT_CALL(ReleaseValue, Release<OrtValue>, 96);
  FASTSERVE_ORT_CALL(ReleaseRunOptions, Release<OrtRunOptions>, 97);
  FASTSERVE_ORT_CALL(ReleaseTypeInfo, Release<OrtTypeInfo>, 98);
  FASTSERVE_ORT_CALL(ReleaseTensorInfo, Release<OrtTensorInfo>, 99);
  FASTSERVE_ORT_CALL(ReleaseSessionOptions, Release<OrtSessionOptions>, 100);
  FASTSERVE_ORT_CALL(SessionGetModelMetadata, SessionGetModelMetadata, 111);
  FASTSERVE_ORT_CALL(MetadataGetProducerName, MetadataGetText, 112);
  FASTSERVE_ORT_CALL(MetadataGetGraphName, MetadataGetText, 113);
  FASTSERVE_ORT_CALL(MetadataGetDomain, MetadataGetText, 114);
  FASTSERVE_ORT_CALL(MetadataGetDescription, MetadataGetText, 115);
  FASTSERVE_ORT_CALL(MetadataLookup, MetadataLookup, 116);
  FASTSERVE_ORT_CALL(MetadataGetVersion, MetadataGetVersion, 117);
  FASTSERVE_ORT_CALL(ReleaseModelMetadata, Release<OrtModelMetadata>, 118);
  FASTSERVE_ORT_CALL(MetadataGetKeys, MetadataGetKeys, 123);
  FASTSERVE_ORT_CALL(GetAvailableProviders, GetAvailableProviders, 125);
  FASTSERVE_ORT_CALL(ReleaseAvailableProviders, ReleaseAvailableProviders, 126);
  FASTSERVE_ORT_CALL(AddSessionConfigEntry, AddSessionConfigEntry, 130);
  FASTSERVE_ORT_CALL(HasValue, HasValue, 192);
  FASTSERVE_ORT_CALL(AppendCuda, AppendCuda, 204);
  FASTSERVE_ORT_CALL(CreateCudaOptions, CreateCudaOptions, 205);
  FASTSERVE_ORT_CALL(UpdateCudaOptions, UpdateCudaOptions, 206);
  FASTSERVE_ORT_CALL(ReleaseCudaOptions, Release<OrtCudaOptions>, 208);
  FASTSERVE_ORT_CALL(AppendProvider, AppendProvider, 216);
  FASTSERVE_ORT_CALL(CastTypeInfoToOptionalInfo, CastTypeInfoToOptionalInfo, 250);
  FASTSERVE_ORT_CALL(GetOptionalContainedTypeInfo, GetOptionalContainedTypeInfo, 251);
  FASTSERVE_ORT_CALL(GetResizedStringTensorElementBuffer, GetResizedStringTensorElementBuffer, 252);
  // AddExternalInitializersFromFilesInMemory
  FASTSERVE_ORT_CALL(AddExternalFiles, AddExternalFiles, 279);

#undef FASTSERVE_ORT_CALL
};

// What OrtGetApiBase() points to.
struct OrtApiBase {
  const void* const* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

}  // namespace fastserve::runtime
