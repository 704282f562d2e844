// Doctor. Several clients that ask for one thing again and again, each time on a new connection.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "master/doctor/probe_client.hpp"

namespace baton::doctor {

/// For an answer where so many clients ask programs that may take one after the other, each as long as it took alone.
std::chrono::milliseconds patience_among(std::size_t clients, std::chrono::microseconds alone);

class Load {
 public:
  struct Way {
    boost::asio::ip::tcp::endpoint place;
    std::string path;
    bool is_http = true;  ///< else the end of a connection is an answer
    std::chrono::milliseconds patience = ProbeClient::usual_patience;
    std::chrono::milliseconds lateness{0};  ///< from the connection to the request, as over a network
  };

  Load(boost::asio::any_io_executor executor, Way way);

  /// So many clients; each ends by itself behind `most` requests of all, or once stop() was called.
  void start(unsigned clients, std::size_t most);
  void stop() { tally_->stops = true; }

  [[nodiscard]] bool has_ended() const { return tally_->clients == 0; }
  [[nodiscard]] std::size_t asked() const { return tally_->asked; }
  [[nodiscard]] std::size_t lost() const;
  /// "2 reset, 1 cut off"; empty where nothing was lost.
  [[nodiscard]] std::string losses() const;

 private:
  [[nodiscard]] std::size_t count_lost(std::size_t result) const;

  /// Shared with the clients, who may outlive this.
  struct Tally {
    std::array<std::size_t, 6> results{};
    std::size_t asked = 0;
    std::size_t most = 0;
    unsigned clients = 0;
    bool stops = false;
  };
  static boost::asio::awaitable<void> ask_on(boost::asio::any_io_executor executor, Way way,
                                             std::shared_ptr<Tally> tally);

  boost::asio::any_io_executor executor_;
  Way way_;
  std::shared_ptr<Tally> tally_ = std::make_shared<Tally>();
};

}  // namespace baton::doctor
