// Catch2 2.13 wants main() in one source file; with Catch2 3 this file is not built.
#define CATCH_CONFIG_MAIN
// A failed test's name is indented as far as its first colon, and one past the width ends the program.
#define CATCH_CONFIG_CONSOLE_WIDTH 200
#include <catch2/catch.hpp>
