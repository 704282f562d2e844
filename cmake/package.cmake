# The Debian packages: `scripts/package` runs CPack. baton is the binary, its page, its units and its completion;
# libbaton-dev is the library with its headers.
#
# What is there for Debian alone is not installed by a plain `cmake --install`.
find_program(BATON_GZIP gzip)
mark_as_advanced(BATON_GZIP)
if(NOT BATON_GZIP OR NOT CMAKE_LIBRARY_ARCHITECTURE)
  return()
endif()

# Debian wants these compressed, and as well as can be; without a name and a time in them, for two builds to be the same.
set(packaged ${PROJECT_BINARY_DIR}/package)
function(baton_compress source name)
  add_custom_command(OUTPUT ${packaged}/${name}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${packaged}
    COMMAND sh -c "'${BATON_GZIP}' -9nc '${source}' > '${packaged}/${name}'"
    DEPENDS ${source} VERBATIM)
endfunction()
baton_compress(${PROJECT_SOURCE_DIR}/docs/baton.1 baton.1.gz)
baton_compress(${PROJECT_SOURCE_DIR}/scripts/debian/changelog changelog.gz)
add_custom_target(baton_package_files ALL DEPENDS ${packaged}/baton.1.gz ${packaged}/changelog.gz)

set(debian ${PROJECT_SOURCE_DIR}/scripts/debian)
install(TARGETS baton RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${packaged}/baton.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/scripts/completions/baton DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/scripts/systemd/baton.service ${PROJECT_SOURCE_DIR}/scripts/systemd/baton.socket
  ${PROJECT_SOURCE_DIR}/scripts/systemd/baton@.service DESTINATION /lib/systemd/system COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${debian}/baton.toml DESTINATION /etc/baton COMPONENT debian EXCLUDE_FROM_ALL)
foreach(package baton libbaton-dev)
  set(component debian)
  if(package STREQUAL libbaton-dev)
    set(component library)
  endif()
  install(FILES ${debian}/copyright ${packaged}/changelog.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package}
    COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME baton)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "listen-socket handoff load balancer and process supervisor")
set(CPACK_PACKAGE_CONTACT "The baton authors <baton@example.org>" CACHE STRING "Maintainer of the packages")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL debian library)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_DEBIAN_PACKAGE_NAME baton)
set(CPACK_DEBIAN_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_DEBIAN_DESCRIPTION
  "baton binds a port, passes the listening socket to N worker processes, and
gets out of the way: the workers accept connections themselves. It replaces
workers that die, reloads without a refused connection, and runs any program
that inherits its listener, or any Node program that listens.")
set(CPACK_DEBIAN_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${debian}/conffiles ${debian}/postinst ${debian}/prerm ${debian}/postrm)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libbaton-dev)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_DEPENDS
  "libboost${Boost_VERSION_MAJOR}.${Boost_VERSION_MINOR}-dev, libboost-json${Boost_VERSION_MAJOR}.${Boost_VERSION_MINOR}-dev")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SUGGESTS baton)
set(CPACK_DEBIAN_LIBRARY_DESCRIPTION
  "This is its library for workers in C++ with Asio.
With it an Asio program becomes a worker of baton, of a Node master, or of
systemd: it takes the listener, accepts in turn with its siblings, says that
it is ready, and is told to drain.")
include(CPack)
