// Doctor. The order of the checks, and what was found.
#include "master/doctor/examination.hpp"

#include <algorithm>
#include <utility>

namespace baton::doctor {

namespace asio = boost::asio;
using namespace std::chrono_literals;

Examination::Examination(const asio::any_io_executor& executor, const Plan& plan)
    : executor_(executor), plan_(plan), trial_(executor, plan) {}

asio::awaitable<void> Examination::run() {
  co_await trial_.wait_until_it_listens();
  try {
    co_await check_all();
  } catch (const std::exception& error) {  // StartError: the master does not answer any more
    reason_ = error.what();
    if (current_)
      find(*current_, Verdict::failed, reason_,
           "see what baton says when it runs the command: " + trial_.last_words(1));
  }
}

asio::awaitable<void> Examination::check_all() {
  co_await check_listener();
  if (reason_.empty()) co_await check_answers();
  if (reason_.empty()) co_await check_shares();
  if (reason_.empty()) co_await check_descriptors();
  if (reason_.empty()) co_await check_drains();
  if (reason_.empty()) co_await check_end();
  if (reason_.empty()) co_await check_channel();
}

void Examination::find(Check check, Verdict verdict, std::string seen, std::string way_out) {
  findings_.push_back({check, verdict, std::move(seen), std::move(way_out)});
  if (current_ == check) current_.reset();
}

Load::Way Examination::way(std::size_t clients) const {
  return {trial_.place(), plan_.path, is_http_, patience_among(clients, answer_took_), {}};
}

bool Examination::is_found(Check check) const {
  return std::any_of(findings_.begin(), findings_.end(), [check](const Finding& each) { return each.check == check; });
}

bool Examination::has_verdict(Check check, Verdict verdict) const {
  return std::any_of(findings_.begin(), findings_.end(),
                     [=](const Finding& each) { return each.check == check && each.verdict == verdict; });
}

Report Examination::report() const {
  const Options& options = plan_.options;
  Report report{options.command, std::string(name(options.dialect)), options.dialect_reason, findings_};
  for (std::size_t i = 0; i < check_count; ++i) {
    const auto check = static_cast<Check>(i);
    if (is_found(check)) continue;
    if (current_ == check)
      report.findings.push_back({check, Verdict::failed, "did not come to an end in the time for all of it",
                                 "--timeout gives it more, if it is only slow"});
    else
      report.findings.push_back(
          {check, Verdict::skipped, reason_.empty() ? "the time for all of it was over (--timeout)" : reason_, ""});
  }
  std::sort(report.findings.begin(), report.findings.end(),
            [](const Finding& a, const Finding& b) { return a.check < b.check; });
  return report;
}

/// Until there are so many, ready, and none besides, which may yet be finishing.
asio::awaitable<void> Examination::settle(std::size_t count, TimePoint end) {
  for (bool is_settled = false; !is_settled && std::chrono::steady_clock::now() < end;) {
    workers_ = co_await trial_.workers();
    is_settled = workers_.size() == count && std::all_of(workers_.begin(), workers_.end(),
                                                         [](const SeenWorker& each) { return each.state == "ready"; });
    if (!is_settled) co_await trial_.pause(from_now(10ms));
  }
}

}  // namespace baton::doctor
