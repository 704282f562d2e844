// Master. The wait itself: in a file of its own, for a coroutine in a header is another type in every file.
#include "master/system/watch.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace baton {

boost::asio::awaitable<bool> Watch::wait(boost::asio::posix::stream_descriptor::wait_type type) {
  boost::system::error_code error;
  co_await descriptor_.async_wait(type, boost::asio::redirect_error(boost::asio::use_awaitable, error));
  co_return !error;
}

}  // namespace baton
