// Master. accept4, and what its errors mean.
#include "master/dispatch/open_listener.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace baton {
namespace {

/// On Linux these are of the connection that would have been accepted: it is gone, and the next may be sound.
bool is_of_one_connection(int error) {
  return error == ECONNABORTED || error == EPROTO || error == ENETDOWN || error == ENETUNREACH || error == EHOSTDOWN ||
         error == EHOSTUNREACH || error == ENONET || error == ENOPROTOOPT || error == EPERM || error == EINTR;
}

}  // namespace

OpenListener::OpenListener(const boost::asio::any_io_executor& executor, std::shared_ptr<Vault> its_vault,
                           bool is_counted)
    : vault(std::move(its_vault)),
      origin(std::make_shared<Origin>(*vault, vault->name(), is_counted)),
      socket(vault->copy()),
      watch(std::make_unique<Watch>(executor, socket)),
      resume(executor) {
  set_nonblocking(socket);
  // Accepted sockets inherit it, which saves a call per connection; a Unix listener refuses it, and needs none.
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

OpenListener::Accepted OpenListener::accept(bool with_address) const {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  while (true) {
    Fd accepted{::accept4(socket.get(), with_address ? reinterpret_cast<sockaddr*>(&peer) : nullptr,
                          with_address ? &size : nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (accepted.is_open())
      return {Connection{std::move(accepted), with_address ? client_address(peer) : ClientAddress{}, origin}, 0};
    if (errno == EAGAIN) return {};
    if (!is_of_one_connection(errno)) return {std::nullopt, errno};
  }
}

void OpenListener::close() {
  watch.reset();
  socket.reset();
  resume.cancel();
}

}  // namespace baton
