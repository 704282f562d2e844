// Unit tests of listen addresses as text.
#include "master/listeners/address.hpp"

#include "common/error.hpp"
#include "tests/support/catch/expect.hpp"

namespace baton::test {
namespace {

constexpr std::uint16_t default_port = 1337;

TcpAddress tcp(const std::string& text) {
  CAPTURE(text);
  const ListenAddress address = parse_address(text, default_port);
  REQUIRE(std::holds_alternative<TcpAddress>(address));
  return std::get<TcpAddress>(address);
}

UnixAddress unix_socket(const std::string& text) {
  CAPTURE(text);
  const ListenAddress address = parse_address(text, default_port);
  REQUIRE(std::holds_alternative<UnixAddress>(address));
  return std::get<UnixAddress>(address);
}

std::string address_refusal(const std::string& text) {
  return message_of<UsageError>([&] { parse_address(text, default_port); });
}

}  // namespace

TEST_CASE("a port alone is every address") {
  CHECK_FALSE(tcp(":80").host);
  CHECK(tcp(":80").ports.first == 80);
  CHECK(tcp(":0").ports.first == 0);
  CHECK(tcp(":65535").ports.first == 65'535);
  CHECK_FALSE(tcp("*:80").host);
  CHECK_FALSE(tcp("*").host);
  CHECK(tcp("*").ports.first == default_port);
}

TEST_CASE("an address is written as it is read") {
  for (const char* text : {"127.0.0.1:80", "[::1]:1337", "0.0.0.0:0", "[::]:1", "[fe80::1]:80", "[::ffff:1.2.3.4]:5"}) {
    CAPTURE(text);
    CHECK(to_string(tcp(text)) == text);
  }
  CHECK(to_string(tcp("[0:0::0001]:80")) == "[::1]:80");
  CHECK(to_string(tcp(":80")) == "[::]:80");
  CHECK(to_string(parse_address("unix:/run/x.sock?mode=0660", 1)) == "unix:/run/x.sock");
}

TEST_CASE("a range of ports is written as it is read") {
  for (const char* text : {"127.0.0.1:3000-3007", "[::1]:1-65535", "127.0.0.1:80-80"}) {
    CAPTURE(text);
    CHECK(to_string(tcp(text)) == text);
    CHECK(tcp(text).ports.is_range());
  }
  CHECK(tcp(":3000-3007").ports.count() == 8);
  CHECK(tcp(":1-65535").ports.count() == 65'535);
  CHECK(tcp(":80").ports.count() == 1);
  CHECK_FALSE(tcp(":80").ports.is_range());
  CHECK(to_string(parse_address("127.0.0.1", parse_ports("80-81"))) == "127.0.0.1:80-81");
}

TEST_CASE("what is no range says why") {
  CHECK(contains(address_refusal(":3007-3000"), "\"3007-3000\" ends before it begins"));
  CHECK(contains(address_refusal(":0-7"), "\"0-7\" begins with 0, which is no port"));
  CHECK(contains(address_refusal(":65530-65536"), "\"65536\" is not a port (0 to 65535)"));
  for (const char* text : {":3000-", ":-3000", ":1-2-3", ":3000 - 3007", ":a-b", "127.0.0.1:3000-3007:1"}) {
    CAPTURE(text);
    CHECK(contains(address_refusal(text), "is no address"));
  }
}

TEST_CASE("whether two addresses have a port in common") {
  const auto both_ways = [](const std::string& one, const std::string& other) {
    CAPTURE(one, other);
    const ListenAddress a = parse_address(one, 0);
    const ListenAddress b = parse_address(other, 0);
    CHECK(overlap(a, b) == overlap(b, a));
    return overlap(a, b);
  };
  CHECK(both_ways("127.0.0.1:3000-3007", "127.0.0.1:3007-3010"));
  CHECK(both_ways("127.0.0.1:3000-3007", "127.0.0.1:3003"));
  CHECK(both_ways("127.0.0.1:3000-3007", ":3001-3002"));
  CHECK(both_ways("127.0.0.1:3000-3007", "[::]:3000-3001"));
  CHECK(both_ways("127.0.0.1:3000-3007", "0.0.0.0:3000"));
  CHECK_FALSE(both_ways("127.0.0.1:3000-3007", "127.0.0.1:3008-3010"));
  CHECK_FALSE(both_ways("127.0.0.1:3000-3007", "127.0.0.2:3000-3007"));
  CHECK_FALSE(both_ways("127.0.0.1:3000-3007", "[::1]:3000-3007"));
  CHECK_FALSE(both_ways("0.0.0.0:3000-3007", "[::1]:3000-3007"));
  CHECK_FALSE(both_ways("127.0.0.1:0", "127.0.0.1:0"));
  CHECK_FALSE(both_ways("127.0.0.1:0", "unix:/x"));
}

TEST_CASE("an address alone has the default port") {
  CHECK(to_string(tcp("127.0.0.1")) == "127.0.0.1:1337");
  CHECK(to_string(tcp("[::1]")) == "[::1]:1337");
}

TEST_CASE("what is no address says why, and what one looks like") {
  const auto check_refused = [](const std::string& text, std::string_view why) {
    CAPTURE(text);
    const std::string message = address_refusal(text);
    CAPTURE(message);
    CHECK(message.starts_with("\"" + text + "\" is no address: "));
    CHECK(contains(message, why));
    CHECK(contains(message, "(like :1337, 127.0.0.1:80"));
  };
  check_refused("", "empty");
  check_refused("127.0.0.1:", "\"\" is not a port");
  check_refused(":", "\"\" is not a port");
  check_refused(":65536", "\"65536\" is not a port (0 to 65535)");
  check_refused(":http", "\"http\" is not a port");
  check_refused(":-1", "\"-1\" is not a port");
  check_refused("1337", "\"1337\" is not an IP address");
  check_refused("example.org:80", "names are not looked up");
  check_refused("localhost:80", "127.0.0.1 or [::1]");
  check_refused("localhost", "127.0.0.1 or [::1]");
  check_refused("256.0.0.1:80", "not an IP address");
  check_refused("::1", "brackets");
  check_refused("::1:80", "brackets");
  check_refused("[127.0.0.1]:80", "brackets");
  check_refused("[::1", "not an IP address");
  check_refused("[::1]80", "not an IP address");
  check_refused("[]:80", "not an IP address");
  check_refused("[::1]:", "is not a port");
  check_refused("http://x", "is not a port");
  check_refused("unix:", "path is missing");
  check_refused("unix:@", "path is missing");
  check_refused("unix:?mode=0600", "path is missing");
  check_refused("unix:/x?mode=", "octal");
  check_refused("unix:/x?mode=0999", "octal");
  check_refused("unix:/x?mode=1777", "octal");
  check_refused("unix:/x?mode=rw", "octal");
  check_refused("unix:/x?owner=me", "only mode=");
}

TEST_CASE("a Unix socket has a path, and a mode if one is given") {
  CHECK(unix_socket("unix:/run/x.sock").path == "/run/x.sock");
  CHECK_FALSE(unix_socket("unix:/run/x.sock").mode);
  CHECK(unix_socket("unix:/run/x.sock?mode=0660").mode == mode_t{0660});
  CHECK(unix_socket("unix:x?mode=7").mode == mode_t{7});
  CHECK(unix_socket("unix:/a:b").path == "/a:b");
  CHECK(unix_socket("unix:@name").path == "@name");
  CHECK(unix_socket("unix:@name?mode=0660").path == "@name?mode=0660");
}

TEST_CASE("a Unix socket's path is as long as the kernel takes") {
  const std::string longest(107, 'x');
  CHECK(unix_socket("unix:" + longest).path == longest);
  CHECK(contains(address_refusal("unix:" + longest + "x"), "longer than 107 bytes"));
  CHECK(unix_socket("unix:@" + longest).path.size() == 108);
  CHECK(contains(address_refusal("unix:@" + longest + "x"), "longer than 108 bytes"));
}

}  // namespace baton::test
