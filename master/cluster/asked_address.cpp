// Master. From Node's question to an address.
#include "master/cluster/asked_address.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "master/listeners/listener.hpp"

namespace baton {
namespace {

using protocol::Query;

constexpr std::size_t longest_address = 4096;

[[noreturn]] void refuse(int error, const std::string& why) {
  throw ListenError(error, why);
}

/// Permissions as Node's readableAll and writableAll make them: more than the umask leaves.
std::optional<mode_t> mode_asked(const Query& query) {
  if (!query.is_readable_by_all && !query.is_writable_by_all) return std::nullopt;
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return (0777 & ~mask) | (query.is_readable_by_all ? 0444U : 0U) | (query.is_writable_by_all ? 0222U : 0U);
}

/// Node sends whole paths, and means the shorter one of the two from here.
UnixAddress path_asked(const Query& query) {
  constexpr std::size_t longest = sizeof(sockaddr_un::sun_path) - 1;
  UnixAddress address{query.address.value_or(""), mode_asked(query), false};
  if (!address.path.starts_with('/')) refuse(EINVAL, fmt::format("\"{}\" is no whole path", address.path));
  if (address.path.size() <= longest) return address;
  std::string nearer = std::filesystem::path(address.path).lexically_relative(std::filesystem::current_path());
  if (nearer.empty() || nearer.size() > longest || nearer.starts_with('@'))
    refuse(EINVAL, fmt::format("a socket's path of {} bytes (at most {})", address.path.size(), longest));
  address.path = std::move(nearer);
  return address;
}

TcpAddress port_asked(const Query& query) {
  TcpAddress address{std::nullopt, static_cast<std::uint16_t>(query.port), {}, query.is_ipv6_only};
  if (!query.address) return address;
  boost::system::error_code error;
  address.host = boost::asio::ip::make_address(*query.address, error);
  if (error) refuse(EINVAL, fmt::format("\"{}\" is no IP address", *query.address));
  return address;
}

bool has_no_control_character(const std::string& text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; });
}

/// From which on everybody may listen.
int first_free_port() {
  int port = 1024;
  std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> port;
  return port;
}

}  // namespace

std::string wanted_address(const Query& query) {
  if (query.is_path()) return fmt::format("unix:{}", query.address.value_or(""));
  return fmt::format("{}:{}", query.address.value_or("*"), query.port);
}

std::string question_of(const Query& query) {
  const std::string address = wanted_address(query);
  return query.port == 0 ? fmt::format("{}#{}", address, query.index) : address;
}

void check_kind(const Query& query) {
  const std::string address = query.address.value_or("");
  if (address.size() > longest_address) refuse(EINVAL, fmt::format("an address of {} bytes", address.size()));
  if (!has_no_control_character(address))
    refuse(EINVAL, "an address with control characters (Node's cluster has no abstract sockets: --listen unix:@name)");
  if (query.is_udp())
    refuse(ENOTSUP, fmt::format("UDP, {}: baton shares stream sockets only (bind({{ exclusive: true }}) binds in the "
                                "worker itself)",
                                wanted_address(query)));
  if (query.names_descriptor)
    refuse(EINVAL, "a descriptor of its master's, by number: there is none (listen on a port or a path)");
  if (query.is_malformed) refuse(EINVAL, "its question is none that Node's listen() asks");
}

void check_rights(const Query& query, const ProcessSettings& settings) {
  if (!settings.account || settings.account->user == ::geteuid()) return;
  if (query.is_path())
    refuse(EACCES, fmt::format("{}, with --user: a path for workers of another user is for --listen to name",
                               query.address.value_or("")));
  if (query.port > 0 && query.port < first_free_port())
    refuse(EACCES, fmt::format("port {}, with --user: that user may not have it (--listen may)", query.port));
}

ListenAddress address_asked(const Query& query) {
  if (query.is_path()) return path_asked(query);
  return port_asked(query);
}

}  // namespace baton
