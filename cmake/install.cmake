# What `cmake --install` puts where; and, of a build of baton itself, the packages.
#
# Debian's place for what is of one architecture, whatever the prefix.
if(PROJECT_IS_TOP_LEVEL AND CMAKE_LIBRARY_ARCHITECTURE)
  set(CMAKE_INSTALL_LIBDIR lib/${CMAKE_LIBRARY_ARCHITECTURE} CACHE PATH "Libraries, below the prefix")
endif()
include(GNUInstallDirs)

install(TARGETS baton RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${PROJECT_SOURCE_DIR}/docs/baton.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
include(cmake/install_library.cmake)
if(PROJECT_IS_TOP_LEVEL AND BATON_INSTALL)
  include(cmake/package.cmake)
endif()
