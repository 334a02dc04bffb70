# What LibTorch says of the CUDA that it was built with, and whether a compiler goes with it.

# "13.0" of the torch folder `root`, of a wheel or an archive; empty when it doesn't say.
function(libtorch_cuda_version root result)
  set(version "")
  if(EXISTS ${root}/version.py)
    file(STRINGS ${root}/version.py line REGEX "^cuda[: ]")
    string(REGEX MATCH "[0-9]+\\.[0-9]+" version "${line}")
  elseif(EXISTS ${root}/build-version)
    file(STRINGS ${root}/build-version line)
    if(line MATCHES "\\+cu([0-9]+)([0-9])$")
      set(version ${CMAKE_MATCH_1}.${CMAKE_MATCH_2})
    endif()
  endif()
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

# Ends configuring where nvcc's major version is not LibTorch's: their runtimes would both be in the process, and kernels fail when they are called.
function(check_cuda_versions nvcc libtorch)
  string(REGEX MATCH "^[0-9]+" compiler "${nvcc}")
  string(REGEX MATCH "^[0-9]+" library "${libtorch}")
  if(compiler AND library AND NOT compiler EQUAL library)
    message(FATAL_ERROR "nvcc is of CUDA ${nvcc}, this LibTorch of CUDA ${libtorch}: the major versions must agree. Install CUDA ${library}'s toolkit and set CUDACXX to its nvcc, or run `npx cornernet setup`, which chooses a LibTorch for the nvcc that is here.")
  endif()
endfunction()
