// Master. What --listen takes: TCP addresses and Unix sockets, as text and as something to bind. No system calls.
#pragma once

#include <sys/types.h>

#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "master/system/parked_socket.hpp"

namespace baton {

/// One port, or a range of them.
struct Ports {
  std::uint16_t first = 0;  ///< 0: the kernel chooses
  std::uint16_t last = 0;   ///< of a range; 0: it is one port

  Ports() = default;
  Ports(std::uint16_t only) : first(only) {}  // one port is written as a number
  Ports(std::uint16_t from, std::uint16_t to) : first(from), last(to) {}

  [[nodiscard]] bool is_range() const { return last != 0; }
  [[nodiscard]] unsigned count() const { return is_range() ? last - first + 1U : 1U; }
};

struct TcpAddress {
  /// Nothing: every address of the machine, IPv6 and IPv4.
  std::optional<boost::asio::ip::address> host;
  Ports ports;
  /// How long a connection may wait for its first bytes before a worker hears of it; 0: it hears at once.
  std::chrono::seconds defer_accept{0};
  bool is_ipv6_only = false;  ///< of every address: not IPv4 as well
};

struct UnixAddress {
  std::string path;            ///< "@name" is in the abstract namespace, and has no file
  std::optional<mode_t> mode;  ///< the socket file's permissions; nothing: as the umask leaves them
  bool may_wait = true;        ///< for another baton that is looking at its directory
};

using ListenAddress = std::variant<TcpAddress, UnixAddress>;

/// An address with the word that goes with its listener when it is handed to a worker.
struct NamedAddress {
  std::string name;
  ListenAddress address;
  std::shared_ptr<const ParkedSocket> given = {};  ///< the socket itself, where this process was given one (LISTEN_FDS)
};

/// What a listener without a name of its own is called: the word in Node's documentation.
constexpr std::string_view default_listener_name = "server";

/// Reads "80" and "3000-3007". Throws UsageError.
Ports parse_ports(std::string_view text);

/// Reads ":1337", "127.0.0.1:80", "[::1]:1337", "127.0.0.1" (with `default_ports`), "127.0.0.1:3000-3007",
/// "unix:/run/x.sock", "unix:/run/x.sock?mode=0660", "unix:@name". Throws UsageError.
ListenAddress parse_address(const std::string& text, Ports default_ports);

/// Reads "api=127.0.0.1:80", or an address alone. Throws UsageError.
NamedAddress parse_named_address(const std::string& text, Ports default_ports);

/// Whether two listeners there would have a port in common. Of two ports that the kernel chooses: no.
bool overlap(const ListenAddress& one, const ListenAddress& other);

/// "[::]:1337", "127.0.0.1:80", "127.0.0.1:3000-3007", "unix:/run/x.sock"
std::string to_string(const TcpAddress& address);
std::string to_string(const UnixAddress& address);
std::string to_string(const ListenAddress& address);
/// With its name, where that is not the default.
std::string to_string(const NamedAddress& named);

}  // namespace baton
