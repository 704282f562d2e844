// Unit tests of what a session costs: allocations, bytes at rest, writes and reads.
#include <malloc.h>
#include <sys/socket.h>

#include <cstdlib>
#include <new>
#include <vector>

#include "tests/unit/worker/session/session_bench.hpp"

namespace {

std::size_t allocations = 0;
std::size_t bytes_in_use = 0;

}  // namespace

// For the whole program, as there is no other way; it only counts.
#ifdef __SANITIZE_ADDRESS__
// GCC has the functions, but not their header.
extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, std::size_t),
                                                         void (*freed)(const volatile void*));
extern "C" std::size_t __sanitizer_get_allocated_size(const volatile void*);

namespace {

const int hooks = __sanitizer_install_malloc_and_free_hooks(
    [](const volatile void* /*memory*/, std::size_t size) {
      ++allocations;
      bytes_in_use += size;
    },
    [](const volatile void* memory) { bytes_in_use -= __sanitizer_get_allocated_size(memory); });

}  // namespace
#else
void* operator new(std::size_t size) {
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  ++allocations;
  bytes_in_use += ::malloc_usable_size(memory);
  return memory;
}
void operator delete(void* memory) noexcept {
  if (memory != nullptr) bytes_in_use -= ::malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  operator delete(memory);
}
#endif

namespace baton::test {
namespace {

/// A client whose socket keeps what was written at a time apart.
Client packet_client(Bench& bench) {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()), "socketpair");
  bench.sessions.adopt(Fd{ends[0]});
  return Client{Fd{ends[1]}};
}

std::vector<std::string> packets(const Client& client) {
  std::vector<std::string> all;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t count = ::recv(client.socket().get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count <= 0) return all;
    all.emplace_back(buffer.data(), static_cast<std::size_t>(count));
  }
}

/// Of the sessions alone, for the client of these tests has none.
std::size_t allocations_of(Bench& bench, const Client& client, const std::string& text, int times) {
  std::array<char, 65536> answer;
  const std::size_t before = allocations;
  for (int i = 0; i < times; ++i) {
    const bool said = client.say_some(text) == text.size();
    bench.poller.wait(0);
    const ssize_t count = ::recv(client.socket().get(), answer.data(), answer.size(), MSG_DONTWAIT);
    if (!said || count <= 0) return ~std::size_t{0};
  }
  return allocations - before;
}

}  // namespace

TEST_CASE("once warm, a request allocates nothing") {
  Bench bench;
  const Client client = bench.connect();
  const std::string text = GENERATE(as<std::string>{}, get_request(), repeated(get_request(), 32),
                                    "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
                                    "GET /nowhere HTTP/1.1\r\nHost: x\r\nUser-Agent: somebody\r\n\r\n");
  REQUIRE(allocations_of(bench, client, text, 2) < 100);
  CHECK(allocations_of(bench, client, text, 100) == 0);
}

TEST_CASE("once warm, a connection allocates itself and nothing else") {
  constexpr int connections = 50;
  Bench bench;
  CHECK(bench.exchange(bench.connect(), get_request()).text == pid_answer());
  std::vector<Client> clients;
  clients.reserve(connections);
  const std::size_t before = allocations;
  for (int i = 0; i < connections; ++i) clients.push_back(bench.connect());
  CHECK(allocations - before <= connections + 1);
}

TEST_CASE("a connection at rest holds few bytes") {
  constexpr std::size_t connections = 400;
  constexpr std::size_t nginx = 530;  // bytes of user memory, measured
  Bench bench;
  std::vector<Client> clients;
  clients.reserve(connections);
  const std::size_t before = bytes_in_use;
  for (std::size_t i = 0; i < connections; ++i) {
    clients.push_back(bench.connect());
    clients.back().say(get_request());
    bench.run(3);
    static_cast<void>(clients.back().hear());
  }
  CHECK((bytes_in_use - before) / clients.size() < nginx);
  CHECK(bench.sessions.size() == clients.size());
}

TEST_CASE("an answer is one write, and so are those to requests that came together") {
  Bench bench;
  const Client client = packet_client(bench);
  client.say(get_request());
  bench.run();
  CHECK(packets(client) == std::vector{pid_answer()});
  client.say(repeated(get_request(), 20));
  bench.run();
  CHECK(packets(client) == std::vector{repeated(pid_answer(), 20)});
}

TEST_CASE("after a request nothing is read that epoll has not told of") {
  Bench bench;
  const Client client = packet_client(bench);
  client.say(get_request());
  client.say(get_request());
  bench.run(1);
  CHECK(packets(client).size() == 1);
  bench.run(1);
  CHECK(packets(client).size() == 1);
}

}  // namespace baton::test
