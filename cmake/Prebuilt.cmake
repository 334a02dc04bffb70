# The addon as its platform packages have it (scripts/pack.js): LibTorch is found through a link beside it, which the set-up makes, and it runs on
# every Linux that LibTorch's own builds run on. The CUDA runtime is LibTorch's: the static one wants the system's newest pthread symbols.
add_node_addon(cornernet_prebuilt $<TARGET_OBJECTS:cornernet> cmake/baseline.cpp)
set_target_properties(cornernet_prebuilt PROPERTIES EXCLUDE_FROM_ALL ON OUTPUT_NAME cornernet LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/prebuilt
  CUDA_RUNTIME_LIBRARY None BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN/libtorch/lib")
# -z now: loading it shows a LibTorch that lacks a symbol, instead of the call that needs it.
target_link_options(cornernet_prebuilt PRIVATE -s -Wl,-z,now -Wl,--wrap=fstat -Wl,--wrap=_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE
  -Wl,--wrap=_ZSt10from_charsPKcS0_RdSt12chars_format)
