# Whether the CUDA side is compiled, for which GPUs, and how it is added to a target.
# Sets CORNERNET_WITH_CUDA; defines add_cuda_sources(target).
if(CORNERNET_CUDA STREQUAL "" AND DEFINED ENV{CORNERNET_CUDA})
  set(CORNERNET_CUDA $ENV{CORNERNET_CUDA})
endif()
set(CORNERNET_WITH_CUDA OFF)
if(CORNERNET_CUDA STREQUAL "0")
  return()
endif()

include(CheckLanguage)
if(NOT CMAKE_CUDA_COMPILER)
  unset(CMAKE_CUDA_COMPILER CACHE) # one may have been installed since it was not found
endif()
if(LibTorch_HAS_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES 80) # only for the compiler's own check; targets set theirs
  check_language(CUDA)
endif()
if(NOT LibTorch_HAS_CUDA OR NOT CMAKE_CUDA_COMPILER)
  if(CORNERNET_CUDA STREQUAL "1")
    if(LibTorch_HAS_CUDA)
      message(FATAL_ERROR "CORNERNET_CUDA=1, but no CUDA compiler (nvcc) was found: install the CUDA toolkit or set CUDACXX.")
    endif()
    message(FATAL_ERROR "CORNERNET_CUDA=1, but the LibTorch at ${LibTorch_ROOT} is a CPU build: `npx cornernet setup` fetches a CUDA build where there is an NVIDIA driver.")
  endif()
  return()
endif()

enable_language(CUDA)
include(${CMAKE_CURRENT_LIST_DIR}/CudaVersions.cmake)
libtorch_cuda_version(${LibTorch_ROOT} LibTorch_CUDA_VERSION)
check_cuda_versions("${CMAKE_CUDA_COMPILER_VERSION}" "${LibTorch_CUDA_VERSION}")
find_package(CUDAToolkit REQUIRED)
set(CORNERNET_WITH_CUDA ON)

if(CORNERNET_CUDA_ARCHITECTURES STREQUAL "")
  set(architectures 75-real 80-real 86-real 89-real)
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13) # nvcc 13 left Volta out
    list(PREPEND architectures 70-real)
  endif()
  if(CMAKE_CUDA_COMPILER_VERSION VERSION_GREATER_EQUAL 12.8)
    list(APPEND architectures 90-real 100-real 120)
  else()
    list(APPEND architectures 90)
  endif()
else()
  set(architectures ${CORNERNET_CUDA_ARCHITECTURES})
endif()
set(CORNERNET_CUDA_ARCHS "${architectures}")
message(STATUS "CUDA ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CORNERNET_CUDA_ARCHS}")

function(add_cuda_sources target)
  file(GLOB_RECURSE cuda_sources CONFIGURE_DEPENDS csrc/*.cu)
  target_sources(${target} PRIVATE ${cuda_sources})
  set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES "${CORNERNET_CUDA_ARCHS}" CUDA_VISIBILITY_PRESET hidden
    CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON) # enough for device code, and all that CMake 3.25 knows of nvcc 13
  # No a * b + c in one rounding: a box's place has the same bits as on the CPU. The kernels wait for memory, not for arithmetic.
  target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:--expt-relaxed-constexpr;--fmad=false>")
  # The list's semicolons would end a command-line argument.
  string(REPLACE ";" " " archs "${CORNERNET_CUDA_ARCHS}")
  target_compile_definitions(${target} PUBLIC CORNERNET_CUDA=1 CORNERNET_CUDA_ARCHS="${archs}")
  target_link_libraries(${target} PUBLIC CUDA::toolkit) # its headers; CMake links the runtime
endfunction()
