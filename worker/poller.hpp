// Worker. One epoll instance and the objects that it wakes. Owns no watched descriptor: each object owns its own, and
// removes it before it closes it, wherever another process may hold the same open file: epoll watches that, not our
// descriptor, and would go on to wake an object that is no more.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>

#include "common/fd.hpp"

namespace baton {

class EventHandler {
 public:
  virtual void on_events(std::uint32_t events) = 0;

 protected:
  EventHandler() = default;
  EventHandler(const EventHandler&) = default;
  EventHandler& operator=(const EventHandler&) = default;
  ~EventHandler() = default;
};

class Poller {
 public:
  Poller();

  /// All three throw std::system_error.
  void add(const Fd& fd, std::uint32_t events, EventHandler& handler);
  void modify(const Fd& fd, std::uint32_t events, EventHandler& handler);
  void remove(const Fd& fd);

  /// Waits up to `timeout_ms` (-1: for ever) and runs the handlers of what is ready, before them `woken`: time may
  /// have passed.
  /// A handler may destroy itself, never another: its event may be next in this very batch.
  void wait(int timeout_ms, const std::function<void()>& woken = {});

 private:
  void control(int operation, const Fd& fd, std::uint32_t events, EventHandler* handler, const char* name);

  Fd epoll_;
};

}  // namespace baton
