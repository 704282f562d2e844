// Master. Reading and writing of listen addresses.
#include "master/listeners/address.hpp"

#include <fmt/format.h>

#include <sys/un.h>
#include <algorithm>

#include <charconv>

#include "common/error.hpp"
#include "common/units.hpp"

namespace baton {
namespace {

namespace ip = boost::asio::ip;

constexpr std::string_view unix_prefix = "unix:";
constexpr std::string_view mode_key = "mode=";

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  throw UsageError(
      fmt::format("\"{}\" is no address: {} (like :1337, 127.0.0.1:80, [::1]:1337 or unix:/run/x.sock)", text, why));
}

mode_t parse_mode(std::string_view text, std::string_view digits) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), mode, 8);
  if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty() || mode > 0777)
    refuse(text, "mode is octal, up to 0777");
  return static_cast<mode_t>(mode);
}

UnixAddress parse_unix(std::string_view text) {
  UnixAddress address;
  std::string_view rest = text.substr(unix_prefix.size());
  const bool is_abstract = rest.starts_with('@');
  if (const auto query = rest.find('?'); query != std::string_view::npos && !is_abstract) {
    const std::string_view setting = rest.substr(query + 1);
    if (!setting.starts_with(mode_key)) refuse(text, "behind ? only mode=0660 and the like is known");
    address.mode = parse_mode(text, setting.substr(mode_key.size()));
    rest = rest.substr(0, query);
  }
  address.path = rest;
  if (rest.empty() || rest == "@") refuse(text, "the path is missing");
  // The kernel's limit for a path with its terminating zero; an abstract name has none, but "@" stands for a zero.
  if (const std::size_t most = sizeof(sockaddr_un::sun_path) - (is_abstract ? 0 : 1); rest.size() > most)
    refuse(text, fmt::format("the path is longer than {} bytes", most));
  return address;
}

ip::address parse_host(std::string_view text, std::string_view host) {
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  boost::system::error_code error;
  ip::address address = ip::make_address(std::string(bracketed ? host.substr(1, host.size() - 2) : host), error);
  if (error) {
    if (host == "localhost")
      refuse(text, "a name can mean several addresses; for this machine alone, 127.0.0.1 or [::1]");
    refuse(text, fmt::format("\"{}\" is not an IP address (names are not looked up)", host));
  }
  if (address.is_v6() != bracketed) refuse(text, "IPv6 addresses, and they alone, stand in brackets");
  return address;
}

std::uint16_t parse_port(std::string_view digits) {
  return static_cast<std::uint16_t>(parse_count(digits, 0, 65'535, "a port"));
}

bool is_wildcard(const TcpAddress& address) {
  return !address.host || (address.host->is_unspecified() && address.host->is_v6());  // takes IPv4, too
}

bool share_a_host(const TcpAddress& one, const TcpAddress& other) {
  if (is_wildcard(one) || is_wildcard(other) || *one.host == *other.host) return true;
  const bool takes_all = one.host->is_unspecified() || other.host->is_unspecified();
  return takes_all && one.host->is_v4() == other.host->is_v4();
}

}  // namespace

Ports parse_ports(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos || dash == 0) return parse_port(text);
  const Ports ports{parse_port(text.substr(0, dash)), parse_port(text.substr(dash + 1))};
  if (ports.first == 0) throw UsageError(fmt::format("\"{}\" begins with 0, which is no port", text));
  if (ports.last < ports.first) throw UsageError(fmt::format("\"{}\" ends before it begins", text));
  return ports;
}

bool overlap(const ListenAddress& one, const ListenAddress& other) {
  const auto* a = std::get_if<TcpAddress>(&one);
  const auto* b = std::get_if<TcpAddress>(&other);
  if (a == nullptr || b == nullptr) return a == b && to_string(one) == to_string(other);
  if (a->ports.first == 0 || b->ports.first == 0 || !share_a_host(*a, *b)) return false;
  const auto last = [](const Ports& ports) { return ports.first + ports.count() - 1; };
  return a->ports.first <= last(b->ports) && b->ports.first <= last(a->ports);
}

ListenAddress parse_address(const std::string& text, Ports default_ports) {
  const std::string_view view(text);
  if (view.starts_with(unix_prefix)) return parse_unix(view);
  if (view.empty()) refuse(text, "it is empty");

  // In "[::1]" every colon is inside the brackets; "::1" without them is caught by parse_host.
  const auto bracket = view.rfind(']');
  const auto colon = view.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const bool is_bare_v6 = bracket == std::string_view::npos && colon != view.rfind(':');
  TcpAddress address;
  address.ports = default_ports;
  std::string_view host = view;
  if (!is_bare_v6 && colon != std::string_view::npos) {
    host = view.substr(0, colon);
    try {
      address.ports = parse_ports(view.substr(colon + 1));
    } catch (const UsageError& error) {
      refuse(view, error.what());
    }
  }
  if (!host.empty() && host != "*") address.host = parse_host(view, host);
  return address;
}

std::string to_string(const TcpAddress& address) {
  const Ports& ports = address.ports;
  const std::string port =
      ports.is_range() ? fmt::format("{}-{}", ports.first, ports.last) : std::to_string(ports.first);
  if (!address.host) return "[::]:" + port;
  const std::string host = address.host->to_string();
  return address.host->is_v6() ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string to_string(const UnixAddress& address) {
  return fmt::format("{}{}", unix_prefix, address.path);
}

std::string to_string(const ListenAddress& address) {
  return std::visit([](const auto& each) { return to_string(each); }, address);
}

NamedAddress parse_named_address(const std::string& text, Ports default_ports) {
  const std::size_t equals = text.find('=');
  // "unix:/run/x.sock?mode=0660" has one, too, but behind a colon.
  if (equals == std::string::npos || text.find(':') < equals)
    return {std::string(default_listener_name), parse_address(text, default_ports)};
  const std::string name = text.substr(0, equals);
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  if (name.empty() || !std::all_of(name.begin(), name.end(), is_plain))
    refuse(text, fmt::format(R"("{}" is no name for a listener (letters, digits, "-" and "_"))", name));
  return {name, parse_address(text.substr(equals + 1), default_ports)};
}

std::string to_string(const NamedAddress& named) {
  return named.name == default_listener_name ? to_string(named.address) : named.name + "=" + to_string(named.address);
}

}  // namespace baton
