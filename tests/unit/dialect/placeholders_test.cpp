// Unit tests. What stands in braces in a command's arguments.
#include "master/dialect/placeholders.hpp"

#include "common/error.hpp"
#include "tests/support/catch/catch.hpp"

using namespace baton;
using Words = std::vector<std::string>;

namespace {

std::vector<NamedAddress> addresses(const Words& texts) {
  std::vector<NamedAddress> all;
  for (const std::string& each : texts) all.push_back(parse_named_address(each, 1337));
  return all;
}

std::string placeholder_refusal(const Words& arguments, const Words& listen, bool has_descriptors) {
  try {
    check_placeholders(arguments, addresses(listen), has_descriptors);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

const std::vector<ListenerFacts> two{{"server", 3, "127.0.0.1:80"}, {"api", 4, "[::1]:8080"}};

}  // namespace

TEST_CASE("the first listener's number and port, and the worker's") {
  CHECK(fill_placeholders({"uvicorn", "--fd", "{fd}"}, two, 1) == Words{"uvicorn", "--fd", "3"});
  CHECK(fill_placeholders({"-b", "fd://{fd}", "--name=w{worker}:{port}"}, two, 7) ==
        Words{"-b", "fd://3", "--name=w7:80"});
}

TEST_CASE("those of a listener that has a name") {
  CHECK(fill_placeholders({"{fd:api}{port:api}", "{fd:server}"}, two, 1) == Words{"48080", "3"});
}

TEST_CASE("other braces stay as they are") {
  const Words others{"{}",        "{", "}", "{fdx}", "{ fd }", "{worker:api}", "{fd:}", "function f() { return {fd",
                     "{\"fd\":1}"};
  CHECK(fill_placeholders(others, two, 1) == others);
  CHECK(fill_placeholders({"{{fd}}"}, two, 1) == Words{"{3}"});
  CHECK_FALSE(names_descriptor(others));
  CHECK(names_descriptor({"x", "a{fd:api}"}));
}

TEST_CASE("what can't be known is refused, with the way out") {
  CHECK(placeholder_refusal({"{fd}"}, {":80"}, true).empty());
  CHECK(placeholder_refusal({"{worker} {port}"}, {":80"}, false).empty());
  CHECK(
      placeholder_refusal({"{fd}"}, {":80"}, false) ==
      "the command's {fd}: in this dialect listeners come by a message, and have no number yet (--dialect listen-fds)");
  CHECK(placeholder_refusal({"{fd:api}"}, {":80"}, true) ==
        "the command's {fd:api}: no listener is named api (--listen api=…)");
  CHECK(placeholder_refusal({"{port}"}, {"unix:/x"}, true) == "the command's {port}: unix:/x has no port");
  CHECK(placeholder_refusal({"{port:api}"}, {"unix:/x", "api=:80"}, true).empty());
}
