# Run by the build: writes a header with the text of a unit.
#   service   the unit, a file
#   output    the header to write
file(READ ${service} BATON_SERVICE)
configure_file(${CMAKE_CURRENT_LIST_DIR}/service_template.hpp.in ${output} @ONLY)
# Newer than what it was made from, even where its text is the same.
file(TOUCH ${output})
