// Interop tests. The recipes of docs/recipes.md, as the page has them.
#pragma once

#include <string>
#include <vector>

#include "tests/support/system/files.hpp"

namespace baton::test {

struct Recipe {
  struct File {
    std::string name;
    std::string text;
  };
  std::string title;
  std::vector<File> files;
  std::vector<std::string> preparations;  ///< shell commands
  std::vector<std::string> arguments;     ///< baton's own, and the command's

  /// The program that baton runs.
  [[nodiscard]] std::string program() const;
};

/// All of them, with another port in the place of 1337.
std::vector<Recipe> recipes(const std::string& page, const std::string& port);
/// One of docs/recipes.md; the test fails where there is none.
Recipe recipe_named(const std::string& title, const std::string& port);
void write_files(const Recipe& recipe, const Directory& directory);

}  // namespace baton::test
