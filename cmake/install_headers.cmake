# Part of the install script. Installs each header under its new name, with the names of the others in it changed alike.
#   source, scratch, destination   directories
#   renamed                        pairs of a header's path in the sources and its path as installed
while(renamed)
  list(POP_FRONT renamed from to)
  file(READ ${source}/${from} text)
  string(REGEX REPLACE "#include \"((common|worker)/[^\"]+)\"" "#include <baton/\\1>" text "${text}")
  cmake_path(GET to PARENT_PATH directory)
  file(MAKE_DIRECTORY ${scratch}/${directory})
  file(CONFIGURE OUTPUT ${scratch}/${to} CONTENT "${text}" @ONLY)  # which leaves what has not changed as it is
  file(INSTALL DESTINATION ${destination}/${directory} TYPE FILE FILES ${scratch}/${to})
endwhile()
