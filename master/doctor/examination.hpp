// Doctor. The examination itself: check after check on one trial master, each bounded in time, with what it saw.
#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "master/doctor/load.hpp"
#include "master/doctor/plan.hpp"
#include "master/doctor/processes.hpp"
#include "master/doctor/report.hpp"
#include "master/doctor/trial_master.hpp"

namespace baton::doctor {

std::vector<Family> families_of(const std::vector<SeenWorker>& workers);
/// Whose worker has ended; null: nobody's.
const Family* first_ended(const std::vector<Family>& families);

/// How a worker of this dialect comes to listen, for somebody whose worker does not.
std::string way_to_listen(Dialect dialect);

class Examination {
 public:
  Examination(const boost::asio::any_io_executor& executor, const Plan& plan);

  /// Throws StartError where the command can't be run at all.
  boost::asio::awaitable<void> run();
  /// What was found; a check that was broken off has failed, and those that nobody came to are skipped.
  [[nodiscard]] Report report() const;

 private:
  boost::asio::awaitable<void> check_all();
  boost::asio::awaitable<void> check_listener();  ///< and whether it gets ready
  boost::asio::awaitable<void> check_answers();
  boost::asio::awaitable<void> check_shares();
  boost::asio::awaitable<void> check_descriptors();
  boost::asio::awaitable<void> check_drains();
  boost::asio::awaitable<void> check_end();
  boost::asio::awaitable<void> check_channel();

  static constexpr std::size_t siblings = 2;
  /// Who has taken how many of the connections that were opened.
  struct Shares {
    std::size_t connections = 0;
    std::array<std::size_t, siblings> taken{};
  };
  boost::asio::awaitable<Shares> count_shares();
  void judge_shares(const Shares& shares);

  enum class Start : std::uint8_t { ready, late, ended };
  boost::asio::awaitable<Start> become_ready();
  void judge_listener(bool is_ready);
  [[nodiscard]] std::size_t holders() const;
  boost::asio::awaitable<bool> are_all_there(Check check);
  boost::asio::awaitable<std::optional<std::size_t>> owner_of(ProbeClient& client);
  boost::asio::awaitable<void> settle(std::size_t count, TimePoint end);
  boost::asio::awaitable<void> check_descendants(const Family& family);
  void judge_descendants(const Family& family, bool is_alone);

  void begin(Check check) { current_ = check; }
  void find(Check check, Verdict verdict, std::string seen, std::string way_out = {});
  [[nodiscard]] Load::Way way(std::size_t clients) const;
  [[nodiscard]] bool is_found(Check check) const;
  [[nodiscard]] bool has_failed(Check check) const { return has_verdict(check, Verdict::failed); }
  [[nodiscard]] bool has_skipped(Check check) const { return has_verdict(check, Verdict::skipped); }
  [[nodiscard]] bool has_verdict(Check check, Verdict verdict) const;

  boost::asio::any_io_executor executor_;
  const Plan& plan_;
  TrialMaster trial_;
  std::vector<SeenWorker> workers_;
  std::vector<Family> families_;  ///< of those who are to be there until the reload
  std::vector<Finding> findings_;
  std::optional<Check> current_ = Check::ready;
  bool is_http_ = true;
  std::chrono::microseconds answer_took_{0};
  std::string reason_;  ///< why nothing more is looked at
};

}  // namespace baton::doctor
