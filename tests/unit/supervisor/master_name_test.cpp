// Unit tests of the name of a master that nobody has named.
#include "master/supervisor/master_name.hpp"

#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

TEST_CASE("a master is called as given, else by its address, else by its program") {
  CHECK(master_name("shop", "127.0.0.1:80", {"node", "app.js"}, 7) == "shop");
  CHECK(master_name("", "127.0.0.1:80", {"node", "app.js"}, 7) == "127.0.0.1:80");
  CHECK(master_name("", "", {"node", "app.js"}, 7) == "app.js-7");
}

TEST_CASE("a program's name is its script's, where the first word that is no flag can be one") {
  CHECK(name_of_program({"/usr/bin/node", "--enable-source-maps", "dist/server.js", "--port=1"}, 1) == "server.js-1");
  CHECK(name_of_program({"/opt/app/serve"}, 1) == "serve-1");
  CHECK(name_of_program({"node", "-e", "require('http')"}, 1) == "node-1");
  CHECK(name_of_program({"node", std::string(49, 'x')}, 1) == "node-1");
  CHECK(name_of_program({"node", ""}, 1) == "node-1");
}

}  // namespace
}  // namespace baton::test
