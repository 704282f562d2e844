// Any test. Finds ports by binding them.
#include "tests/support/system/ports.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <vector>

#include "common/error.hpp"
#include "common/fd.hpp"

namespace baton::test {
namespace {

constexpr int first_block = 10'000;
constexpr int ports_in_block = 10;
constexpr int blocks = 2'000;

bool is_free(int port, std::vector<Fd>& bound) {
  bound.emplace_back(check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return ::bind(bound.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

int free_ports(int count) {
  for (int i = 0; i < blocks; ++i) {
    const int first = first_block + (::getpid() + i) % blocks * ports_in_block;
    std::vector<Fd> bound;
    int found = 0;
    while (found < count && is_free(first + found, bound)) ++found;
    if (found == count) return first;
  }
  throw std::runtime_error("no ports are free from 10000 to 29999");
}

}  // namespace baton::test
