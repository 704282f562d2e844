// A worker of baton in Asio's coroutines: answers every HTTP request with its pid, and its master's messages with an
// echo. Run it with `baton -w 2 -- ./asio_worker`, under a Node master, or by a socket unit of systemd.
#include <unistd.h>

#include <baton/worker.hpp>
#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <string>

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;
using asio::awaitable, asio::use_awaitable, asio::detached, asio::co_spawn;
using Socket = asio::generic::stream_protocol::socket;
using Acceptor = baton::FairAcceptor<asio::generic::stream_protocol>;

constexpr auto patience = std::chrono::seconds(10);

awaitable<void> session(Socket socket, baton::Membership::Connection counted) try {
  asio::steady_timer deadline(socket.get_executor(), patience);
  std::string request;
  const auto first =
      co_await (async_read_until(socket, asio::dynamic_buffer(request, 16'384), "\r\n\r\n", use_awaitable) ||
                deadline.async_wait(use_awaitable));
  if (first.index() == 1) co_return;
  const std::string body = "pid is " + std::to_string(::getpid()) + "\n";
  const std::string answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: " +
                             std::to_string(body.size()) + "\r\n\r\n" + body;
  counted.count_request(co_await async_write(socket, asio::buffer(answer), use_awaitable));
} catch (const boost::system::system_error&) {
  counted.count_error();
}

awaitable<void> accept(baton::Membership& member, Acceptor& acceptor) {
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(asio::as_tuple(use_awaitable));
    if (error == asio::error::operation_aborted) co_return;
    if (!error) co_spawn(acceptor.get_executor(), session(std::move(socket), member.count_connection()), detached);
  }
}

awaitable<void> serve(baton::Membership& member, baton::GivenListener listener) {
  Acceptor acceptor(member.get_executor(), std::move(listener.socket));
  co_await (accept(member, acceptor) || member.async_drain(use_awaitable));
  while (auto queued = acceptor.accept_queued())
    co_spawn(acceptor.get_executor(), session(std::move(*queued), member.count_connection()), detached);
}

awaitable<void> take_listeners(baton::Membership& member) {
  for (;;) {
    auto [error, listener] = co_await member.async_listener(asio::as_tuple(use_awaitable));
    if (error) co_return;
    co_spawn(member.get_executor(), serve(member, std::move(listener)), detached);
  }
}

awaitable<void> take_connections(baton::Membership& member) {
  for (;;) {
    auto [error, connection] = co_await member.async_connection(asio::as_tuple(use_awaitable));
    if (error) co_return;
    auto socket = baton::adopt<asio::generic::stream_protocol>(member.get_executor(), std::move(connection));
    co_spawn(member.get_executor(), session(std::move(socket), member.count_connection()), detached);
  }
}

awaitable<void> echo(baton::Membership& member) {
  for (;;) {
    auto [error, message] = co_await member.async_receive(asio::as_tuple(use_awaitable));
    if (error) co_return;
    const boost::json::value answer{{"pid", ::getpid()}, {"heard", message}};
    if (member.reply(message, answer)) member.send(answer);  // nobody waits for a reply
  }
}

int main() {
  asio::io_context context;
  baton::Membership member(context);
  co_spawn(context, take_listeners(member), detached);
  co_spawn(context, take_connections(member), detached);
  co_spawn(context, echo(member), detached);
  member.ready();
  context.run();
}
