// Interop tests. Reads Markdown: "## title", "`name`:" before a file's block, and blocks of "$ command" lines.
#include "tests/interop/recipes/recipe.hpp"

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

namespace baton::test {
namespace {

constexpr std::string_view documented_port = "1337";
constexpr std::string_view fence = "```";

std::string with_port(std::string text, const std::string& port) {
  for (auto at = text.find(documented_port); at != std::string::npos; at = text.find(documented_port, at + port.size()))
    text.replace(at, documented_port.size(), port);
  return text;
}

/// As a shell does, with words in single quotes.
std::vector<std::string> words(const std::string& line) {
  std::vector<std::string> found;
  std::string word;
  bool is_quoted = false;
  bool has_begun = false;
  for (const char c : line + " ") {
    if (c == '\'') {
      is_quoted = !is_quoted;
      has_begun = true;
    } else if (c == ' ' && !is_quoted) {
      if (has_begun) found.push_back(std::exchange(word, {}));
      has_begun = false;
    } else {
      word += c;
      has_begun = true;
    }
  }
  return found;
}

/// "`app.py`:" names the file whose block follows.
std::string named_file(const std::string& line) {
  const bool is_name = line.size() > 3 && line.front() == '`' && line.ends_with("`:");
  return is_name ? line.substr(1, line.size() - 3) : "";
}

void take_commands(const std::string& block, Recipe& recipe) {
  constexpr std::string_view prompt = "$ ";
  constexpr std::string_view baton = "baton ";
  std::istringstream lines(block);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(prompt)) continue;
    const std::string command = line.substr(prompt.size());
    if (command.starts_with(baton))
      recipe.arguments = words(command.substr(baton.size()));
    else
      recipe.preparations.push_back(command);
  }
}

}  // namespace

std::string Recipe::program() const {
  const auto dashes = std::find(arguments.begin(), arguments.end(), "--");
  return arguments.end() - dashes < 2 ? "" : *(dashes + 1);
}

std::vector<Recipe> recipes(const std::string& page, const std::string& port) {
  constexpr std::string_view heading = "## ";
  std::vector<Recipe> found;
  std::istringstream lines(page);
  std::string file;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(heading)) found.push_back({line.substr(heading.size()), {}, {}, {}});
    if (const std::string name = named_file(line); !name.empty()) file = name;
    if (!line.starts_with(fence) || found.empty()) continue;
    std::string block;
    while (std::getline(lines, line) && !line.starts_with(fence)) block += line + "\n";
    block = with_port(block, port);
    if (file.empty())
      take_commands(block, found.back());
    else
      found.back().files.push_back({std::exchange(file, {}), block});
  }
  return found;
}

Recipe recipe_named(const std::string& title, const std::string& port) {
  for (Recipe& each : recipes(read_file(BATON_SOURCE_DIR "/docs/recipes.md"), port))
    if (each.title == title) return each;
  FAIL("docs/recipes.md has no recipe named " + title);
  return {};
}

void write_files(const Recipe& recipe, const Directory& directory) {
  for (const Recipe::File& each : recipe.files) write_file(directory / each.name, each.text);
}

}  // namespace baton::test
