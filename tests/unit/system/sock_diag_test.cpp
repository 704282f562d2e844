// Unit tests. What the kernel tells of sockets of this process, as of any other's.
#include "master/system/sock_diag.hpp"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "common/fd.hpp"
#include "tests/support/catch/catch.hpp"

namespace baton::test {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

std::uint64_t inode_of(int descriptor) {
  struct stat status {};
  check(::fstat(descriptor, &status), "fstat");
  return status.st_ino;
}

}  // namespace

TEST_CASE("a connection's inode is known once it has been accepted, in either family") {
  const auto [where, how] = GENERATE(table<std::string, std::string>({
      {"127.0.0.1", "127.0.0.1"}, {"::1", "::1"}, {"::", "127.0.0.1"},  // an IPv6 socket that takes IPv4, too
  }));
  CAPTURE(where, how);
  asio::io_context context;
  tcp::acceptor acceptor(context, {asio::ip::make_address(where), 0});
  tcp::socket client(context);
  client.connect({asio::ip::make_address(how), acceptor.local_endpoint().port()});
  const tcp::endpoint server = client.remote_endpoint();
  CHECK_FALSE(tcp_inode(server, client.local_endpoint()));
  CHECK(tcp_inode(client.local_endpoint(), server) == inode_of(client.native_handle()));
  tcp::socket accepted = acceptor.accept();
  CHECK(tcp_inode(server, client.local_endpoint()) == inode_of(accepted.native_handle()));
  // Of what is not connected the kernel would tell the listener.
  CHECK_FALSE(tcp_inode(server, {server.address(), 1}));
}

TEST_CASE("a Unix listener's backlog is told, and nobody's is nothing") {
  asio::io_context context;
  asio::local::stream_protocol::acceptor acceptor(context);
  acceptor.open();
  acceptor.bind({std::string("\0baton-", 7) + std::to_string(::getpid())});
  acceptor.listen(7);
  CHECK(unix_backlog(inode_of(acceptor.native_handle())) == 7);
  CHECK_FALSE(unix_backlog(0));
}

}  // namespace baton::test
