# Installs the library, baton::worker, as the component "library": the archive, its headers, and what find_package(baton)
# reads.
include(CMakePackageConfigHelpers)

set(library_headers
  common/channel.hpp
  common/error.hpp
  common/fd.hpp
  common/json_text.hpp
  common/protocol.hpp
  common/scoreboard.hpp
  worker/adopted_socket.hpp
  worker/counted_connection.hpp
  worker/fair_acceptor.hpp
  worker/inbox.hpp
  worker/inheritance.hpp
  worker/master_channel.hpp
  worker/membership.hpp
  worker/membership_state.hpp
  worker/membership_state_impl.hpp
  worker/question.hpp
  common/notifier.hpp
  worker/turnstile.hpp)
set(library_package ${CMAKE_INSTALL_LIBDIR}/cmake/baton)

install(TARGETS baton_worker_library EXPORT baton
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT baton NAMESPACE baton:: FILE batonTargets.cmake DESTINATION ${library_package} COMPONENT library)

# Installed headers name each other as <baton/…>: a program may have a common/ of its own.
set(renamed)
foreach(header IN LISTS library_headers)
  list(APPEND renamed ${header} baton/${header})
endforeach()
list(APPEND renamed worker/library.hpp baton/worker.hpp)
install(CODE "
  set(source \"${PROJECT_SOURCE_DIR}\")
  set(scratch \"${PROJECT_BINARY_DIR}/include\")
  set(destination \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_INCLUDEDIR}\")
  set(renamed \"${renamed}\")
  include(\"${PROJECT_SOURCE_DIR}/cmake/install_headers.cmake\")" COMPONENT library)

configure_package_config_file(cmake/batonConfig.cmake.in ${PROJECT_BINARY_DIR}/batonConfig.cmake
  INSTALL_DESTINATION ${library_package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/batonConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/batonConfig.cmake ${PROJECT_BINARY_DIR}/batonConfigVersion.cmake
  DESTINATION ${library_package} COMPONENT library)
