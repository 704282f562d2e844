# How everything of ours is compiled. The options sit on interface targets, so that no dependency inherits them.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
if(NOT DEFINED CMAKE_POSITION_INDEPENDENT_CODE)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
endif()

include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

add_library(baton_options INTERFACE)
target_include_directories(baton_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(baton_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wformat=2)
if(BATON_WERROR)
  target_compile_options(baton_options INTERFACE -Werror)
endif()

# Hardening. _FORTIFY_SOURCE needs optimisation; the sanitizers replace it.
target_compile_options(baton_options INTERFACE -fstack-protector-strong -fstack-clash-protection)
target_link_options(baton_options INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
if(BATON_SANITIZE)
  # Without vptr, which takes every object for a wrong one in a process that is at its limit of open files: it needs a pipe.
  target_compile_options(baton_options INTERFACE -fsanitize=${BATON_SANITIZE} -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(baton_options INTERFACE -fsanitize=${BATON_SANITIZE})
else()
  target_compile_options(baton_options INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2>)
endif()

find_program(BATON_CCACHE_PROGRAM ccache)
mark_as_advanced(BATON_CCACHE_PROGRAM)
if(BATON_CCACHE AND BATON_CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers are cached only when ccache may look past their defines and times.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${BATON_CCACHE_PROGRAM})
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(baton_options INTERFACE -fpch-preprocess)
  endif()
endif()

# The files of one room are compiled as one where CMAKE_UNITY_BUILD is on, as in our presets: its headers are read once,
# and no room's names meet another's.
function(baton_compile_by_room target)
  # GCC takes the files of a group for headers, and a coroutine's frame in one of them for a type that two files have.
  if(CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD_MODE GROUP)
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    cmake_path(GET source PARENT_PATH directory)
    cmake_path(GET directory FILENAME room)
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP "${room}")
  endforeach()
endfunction()
