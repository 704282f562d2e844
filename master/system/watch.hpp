// Master. Lets Asio wait for a descriptor that somebody else owns.
//
// Await into a variable, never within a condition: GCC 12 miscompiles `if (co_await watch.readable())`.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "common/fd.hpp"

namespace baton {

/// Must be destroyed before the descriptor is closed; ends the waits that are under way.
class Watch {
 public:
  Watch(const boost::asio::any_io_executor& executor, const Fd& fd) : descriptor_(executor, fd.get()) {}
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() { static_cast<void>(descriptor_.release()); }

  /// False when the watch was cancelled, or destroyed meanwhile: then nothing of its owner may be touched.
  boost::asio::awaitable<bool> readable() { return wait(boost::asio::posix::stream_descriptor::wait_read); }
  boost::asio::awaitable<bool> writable() { return wait(boost::asio::posix::stream_descriptor::wait_write); }
  /// Ends the waits that are under way: they return false.
  void cancel() { descriptor_.cancel(); }

 private:
  boost::asio::awaitable<bool> wait(boost::asio::posix::stream_descriptor::wait_type type);

  boost::asio::posix::stream_descriptor descriptor_;
};

}  // namespace baton
