// Master. What --listen takes: TCP addresses and Unix sockets, as text and as something to bind. No system calls.
#pragma once

#include <sys/types.h>

#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace baton {

struct TcpAddress {
  /// Nothing: every address of the machine, IPv6 and IPv4.
  std::optional<boost::asio::ip::address> host;
  std::uint16_t port = 0;  ///< 0: the kernel chooses
};

struct UnixAddress {
  std::string path;            ///< "@name" is in the abstract namespace, and has no file
  std::optional<mode_t> mode;  ///< the socket file's permissions; nothing: as the umask leaves them
};

using ListenAddress = std::variant<TcpAddress, UnixAddress>;

/// An address with the word that goes with its listener when it is handed to a worker.
struct NamedAddress {
  std::string name;
  ListenAddress address;
};

/// What a listener without a name of its own is called: the word in Node's documentation.
constexpr std::string_view default_listener_name = "server";

/// Reads ":1337", "127.0.0.1:80", "[::1]:1337", "127.0.0.1" (with `default_port`), "unix:/run/x.sock",
/// "unix:/run/x.sock?mode=0660", "unix:@name". Throws UsageError.
ListenAddress parse_address(const std::string& text, std::uint16_t default_port);

/// Reads "api=127.0.0.1:80", or an address alone. Throws UsageError.
NamedAddress parse_named_address(const std::string& text, std::uint16_t default_port);

/// "[::]:1337", "127.0.0.1:80", "unix:/run/x.sock"
std::string to_string(const TcpAddress& address);
std::string to_string(const UnixAddress& address);
std::string to_string(const ListenAddress& address);
/// With its name, where that is not the default.
std::string to_string(const NamedAddress& named);

}  // namespace baton
