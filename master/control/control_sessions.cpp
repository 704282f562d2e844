// Master. The group of all control connections.
#include "master/control/control_sessions.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <exception>
#include <utility>

#include "common/log.hpp"
#include "master/control/control_session.hpp"

namespace baton {

namespace asio = boost::asio;
using boost::system::error_code;

ControlSessions::ControlSessions(asio::any_io_executor executor, Commands& commands, const ControlLimits& limits,
                                 const ControlAccess& access)
    : executor_(std::move(executor)), commands_(&commands), limits_(limits), access_(access), deadline_(executor_) {}

void ControlSessions::add(Fd connection) {
  if (sessions_.size() >= limits_.connections && !evict_one()) return;
  try {
    auto session = std::make_shared<ControlSession>(shared_from_this(), std::move(connection), executor_);
    sessions_.push_back(session.get());
    asio::co_spawn(executor_, session->run(), asio::detached);
  } catch (const std::exception& error) {
    log::warning("a control connection is dropped: {}", error.what());
  }
}

bool ControlSessions::evict_one() {
  ControlSession* oldest = nullptr;
  for (ControlSession* each : sessions_)
    if (!each->is_held() && (oldest == nullptr || each->since() < oldest->since())) oldest = each;
  if (oldest == nullptr) return false;
  oldest->close();
  return true;
}

void ControlSessions::close() {
  if (std::exchange(closing_, true)) return;
  for (ControlSession* each : all()) each->finish();
  if (sessions_.empty()) return;
  deadline_.expires_after(limits_.closing);
  deadline_.async_wait([group = weak_from_this()](const error_code& cancelled) {
    const auto self = group.lock();
    if (!cancelled && self) self->abandon();
  });
}

void ControlSessions::abandon() {
  closing_ = true;
  commands_ = nullptr;
  for (ControlSession* each : all()) each->close();
}

bool ControlSessions::has_room_to_wait() const {
  const auto held = std::count_if(sessions_.begin(), sessions_.end(), [](const auto* each) { return each->is_held(); });
  return static_cast<std::size_t>(held) < limits_.waiting;
}

void ControlSessions::rest() {
  if (sessions_.empty()) deadline_.cancel();
}

}  // namespace baton
