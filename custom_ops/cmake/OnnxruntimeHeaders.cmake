# Where onnxruntime's C++ headers are. In order: what the caller names (ONNXRUNTIME_INCLUDE_DIR, as a
# definition or in the environment), the include paths of the system and of CMAKE_PREFIX_PATH, and
# scripts/fetch_onnxruntime_headers.py, which has them in the user's cache or fetches them there.
#
# Nothing that was found is cached by CMake: a header folder that is gone by the next build must not
# be remembered.

# Asked for at registration (kOrtApiVersion in op/ort.h); older headers lack it.
set(KRYPTON_OLDEST_HEADERS 17)

function(krypton_onnxruntime_headers result)
  set(named "${ONNXRUNTIME_INCLUDE_DIR}")
  if(NOT named)
    set(named "$ENV{ONNXRUNTIME_INCLUDE_DIR}")
  endif()
  if(named)
    if(NOT EXISTS "${named}/onnxruntime_cxx_api.h")
      message(FATAL_ERROR "ONNXRUNTIME_INCLUDE_DIR is ${named}, where there is no onnxruntime_cxx_api.h. "
        "Name the folder that holds it, or leave the variable unset.")
    endif()
    krypton_api_version("${named}" version)
    if(version LESS KRYPTON_OLDEST_HEADERS)
      message(FATAL_ERROR "ONNXRUNTIME_INCLUDE_DIR is ${named}, headers of onnxruntime's API ${version}; "
        "expected ${KRYPTON_OLDEST_HEADERS} or newer.")
    endif()
    set(folder "${named}")
  else()
    find_path(folder onnxruntime_cxx_api.h NO_CACHE
      PATH_SUFFIXES onnxruntime onnxruntime/core/session include/onnxruntime)
    if(folder)
      krypton_api_version("${folder}" version)
      if(version LESS KRYPTON_OLDEST_HEADERS)
        message(STATUS "Passing over the onnxruntime headers in ${folder}: API ${version} is too old")
        unset(folder)
      endif()
    endif()
    if(NOT folder)
      krypton_fetch_headers(folder)
    endif()
  endif()
  message(STATUS "onnxruntime headers: ${folder}")
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()

function(krypton_api_version folder result)
  set(line "")
  if(EXISTS "${folder}/onnxruntime_c_api.h")
    file(STRINGS "${folder}/onnxruntime_c_api.h" line REGEX "^#define ORT_API_VERSION [0-9]+")
  endif()
  string(REGEX MATCH "[0-9]+" version "${line}")
  if(NOT version)
    set(version 0)
  endif()
  set(${result} ${version} PARENT_SCOPE)
endfunction()

function(krypton_fetch_headers result)
  find_package(Python3 3.11 REQUIRED COMPONENTS Interpreter)
  set(script "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/../../scripts/fetch_onnxruntime_headers.py")
  execute_process(COMMAND "${Python3_EXECUTABLE}" "${script}"
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_VARIABLE reason RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "onnxruntime's C++ headers are needed to build the ops, and were not found.\n${reason}")
  endif()
  set(${result} "${folder}" PARENT_SCOPE)
endfunction()
