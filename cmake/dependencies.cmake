# What baton stands on, and why each: docs/decisions.md.
set(Boost_USE_STATIC_LIBS ON)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(Threads REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(spdlog 1.10 REQUIRED)
find_package(CLI11 2.1 REQUIRED)
find_package(SQLite3 3.37 REQUIRED)

add_library(baton_boost INTERFACE)
target_link_libraries(baton_boost INTERFACE Boost::headers Boost::json Threads::Threads)
target_compile_definitions(baton_boost INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_THREADS BOOST_PROCESS_USE_STD_FS)

# Header-only, so that the one binary needs no shared library beyond the C library.
add_library(baton_fmt INTERFACE)
target_link_libraries(baton_fmt INTERFACE fmt::fmt-header-only)
add_library(baton_spdlog INTERFACE)
get_target_property(spdlog_includes spdlog::spdlog_header_only INTERFACE_INCLUDE_DIRECTORIES)
target_include_directories(baton_spdlog SYSTEM INTERFACE ${spdlog_includes})
target_compile_definitions(baton_spdlog INTERFACE SPDLOG_FMT_EXTERNAL)
target_link_libraries(baton_spdlog INTERFACE baton_fmt)

# The archive where there is one, likewise.
add_library(baton_sqlite INTERFACE)
find_library(BATON_SQLITE_ARCHIVE libsqlite3.a)
mark_as_advanced(BATON_SQLITE_ARCHIVE)
if(BATON_SQLITE_ARCHIVE)
  target_include_directories(baton_sqlite SYSTEM INTERFACE ${SQLite3_INCLUDE_DIRS})
  target_link_libraries(baton_sqlite INTERFACE ${BATON_SQLITE_ARCHIVE} ${CMAKE_DL_LIBS} m Threads::Threads)
else()
  target_link_libraries(baton_sqlite INTERFACE SQLite::SQLite3)
endif()
