// Catch2 2.13 wants main() in one source file; with Catch2 3 this file is not built.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
