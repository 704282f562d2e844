// Doctor. The second half of a life: being replaced, being stopped, losing the master.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "master/client/client_text.hpp"
#include "master/doctor/examination.hpp"
#include "master/doctor/load.hpp"
#include "master/doctor/probe_client.hpp"
#include "master/doctor/processes.hpp"
#include "master/listeners/listener_health.hpp"

namespace baton::doctor {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// How long a worker that finishes may do without the master. Node's cluster wants it, where a program does not end by
/// itself.
std::chrono::milliseconds time_alone(const Options& options) {
  const std::chrono::milliseconds most = asks_for_listeners(options.dialect) ? 3s : 10s;
  return std::min(most, options.drain_timeout);
}

std::string names_of(const std::vector<pid_t>& processes) {
  constexpr std::size_t shown = 3;
  std::string names;
  for (std::size_t i = 0; i < std::min(shown, processes.size()); ++i)
    names += fmt::format("{}{} ({})", i == 0 ? "" : ", ", processes.at(i), command_line(processes.at(i)));
  return processes.size() > shown ? fmt::format("{} and {} more", names, processes.size() - shown) : names;
}

/// Some clients speak as soon as they are connected, and some later, as all do over a network: a program may have
/// accepted these, and not have heard them yet, when it is told to stop.
class Crowd {
  static constexpr unsigned prompt_clients = 4;
  static constexpr unsigned late_clients = 8;  ///< so many that each of two workers has one of them at any time

 public:
  static constexpr unsigned clients = prompt_clients + late_clients;

  Crowd(const asio::any_io_executor& executor, const Load::Way& way)
      : prompt_(executor, way), late_(executor, {way.place, way.path, way.is_http, way.patience, lateness}) {}

  void start() {
    constexpr std::size_t most = 100'000;
    prompt_.start(prompt_clients, most);
    late_.start(late_clients, most);
  }
  void stop() {
    prompt_.stop();
    late_.stop();
  }

  [[nodiscard]] bool has_asked(std::size_t more) const {
    return prompt_.asked() >= prompt_before_ + more && late_.asked() >= late_before_ + more;
  }
  /// From where has_asked() counts.
  void mark() {
    prompt_before_ = prompt_.asked();
    late_before_ = late_.asked();
  }

  [[nodiscard]] bool has_ended() const { return prompt_.has_ended() && late_.has_ended(); }
  [[nodiscard]] std::size_t asked() const { return prompt_.asked() + late_.asked(); }
  [[nodiscard]] bool has_lost() const { return prompt_.lost() + late_.lost() > 0; }
  [[nodiscard]] bool has_lost_late_ones() const { return late_.lost() > 0; }
  [[nodiscard]] std::string losses() const {
    const std::string of_late = late_.losses();
    const std::string late = of_late.empty() ? "" : fmt::format("of those who speak {} late {}", lateness, of_late);
    return fmt::format("{}{}{}", prompt_.losses(), prompt_.lost() > 0 && late_.lost() > 0 ? ", and " : "", late);
  }

 private:
  static constexpr std::chrono::milliseconds lateness{50};

  Load prompt_;
  Load late_;
  std::size_t prompt_before_ = 0;
  std::size_t late_before_ = 0;
};

constexpr std::string_view way_to_drain =
    "on the stop signal accept no more, answer what was accepted, then end; what the kernel has queued is the "
    "siblings'";
constexpr std::string_view way_to_be_heard =
    "; those who had not spoken yet --defer-accept 10s leaves to the next worker";
constexpr std::string_view way_to_stop =
    "on the stop signal close the listener, finish what is being answered, close idle connections, and end";

}  // namespace

std::vector<Family> families_of(const std::vector<SeenWorker>& workers) {
  std::vector<Family> families;
  families.reserve(workers.size());
  for (const SeenWorker& each : workers) families.emplace_back(each.pid);
  return families;
}

const Family* first_ended(const std::vector<Family>& families) {
  const auto found =
      std::find_if(families.begin(), families.end(), [](const Family& each) { return each.has_worker_ended(); });
  return found == families.end() ? nullptr : &*found;
}

asio::awaitable<void> Examination::check_drains() {
  begin(Check::drains);
  constexpr std::size_t enough = 40;
  Crowd crowd(executor_, way(Crowd::clients));
  crowd.start();
  co_await trial_.wait_for([&] { return crowd.has_asked(enough); }, from_now(10s));
  const auto& options = plan_.options;
  // Each of the two: to get ready, and to finish.
  const auto patience = 2 * (options.ready_timeout + options.drain_timeout) + 10s;
  const auto outcome = co_await trial_.ask("POST", "/reload", from_now(patience));
  crowd.mark();
  co_await trial_.wait_for([&] { return crowd.has_asked(enough); }, from_now(10s));
  crowd.stop();
  co_await trial_.wait_for([&] { return crowd.has_ended(); }, from_now(10s));
  const std::string seen = fmt::format("{} requests by {} clients during a reload", crowd.asked(), Crowd::clients);
  const bool can_defer = crowd.has_lost_late_ones() && !plan_.defers_accept();
  if (!outcome.at("ok").as_bool())
    find(Check::drains, Verdict::failed,
         fmt::format("the reload: {}; last words: {}", member_text(outcome, "message"), trial_.last_words(3)),
         "a second start has to work beside the first: no fixed port, file or lock of its own");
  else if (crowd.has_lost())
    find(Check::drains, Verdict::failed, fmt::format("{}: {}", seen, crowd.losses()),
         fmt::format("{}{}{}", way_to_drain, can_defer ? way_to_be_heard : "",
                     can_defer && options.listen.empty() ? " (with -l, which names the port)" : ""));
  else
    find(Check::drains, Verdict::ok, seen + ", none lost");
}

/// Whoever still lives when its worker has ended, and a moment later.
void Examination::judge_descendants(const Family& family, bool is_alone) {
  const std::vector<pid_t> left = family.living_descendants();
  const std::size_t started = family.descendants();
  if (!left.empty())
    find(Check::descendants, Verdict::failed, "left " + names_of(left),
         "end what it has started before it ends itself, and wait for it; baton kills what is left");
  else if (!is_alone && started > 0)
    find(Check::descendants, Verdict::skipped, "it took so long to end that baton cleared up behind it");
  else
    find(Check::descendants, Verdict::ok,
         started == 0 ? "it had started nobody" : fmt::format("{} that it had started ended with it", started));
}

/// One of two workers is one too many. As soon as it has been told so the master is made to stand still: what that
/// worker does from there on is its own doing.
asio::awaitable<void> Examination::check_end() {
  begin(Check::stops);
  const auto& options = plan_.options;
  if (options.policy == Policy::reuseport && !queues_migrate()) {
    constexpr std::string_view why = "under reuseport, without net.ipv4.tcp_migrate_req, no worker can be one too many";
    find(Check::stops, Verdict::skipped, std::string(why));
    co_return find(Check::descendants, Verdict::skipped, std::string(why));
  }
  co_await settle(2, from_now(options.drain_timeout + 10s));
  ProbeClient idle(executor_, trial_.place(), plan_.path);
  ProbeClient other(executor_, trial_.place(), plan_.path);
  co_await idle.ask(true);
  if (idle.is_open()) co_await other.ask(true);
  const std::string with = idle.is_open() ? ", with idle connections open" : "";
  const std::vector<Family> families = families_of(workers_);

  const auto began = std::chrono::steady_clock::now();
  co_await trial_.ask("POST", "/scale?to=1&wait=no", from_now(10s));
  trial_.freeze();
  const auto has_one_ended = [&] { return first_ended(families) != nullptr; };
  const bool is_alone = co_await trial_.wait_for(has_one_ended, from_now(time_alone(options)));
  auto took = since(began);
  if (is_alone) {
    find(Check::stops, Verdict::ok, fmt::format("within {} ms{}", took.count(), with));
    co_await check_descendants(*first_ended(families));
  }
  trial_.thaw();
  if (is_alone) co_return;

  const bool has_ended_later = co_await trial_.wait_for(has_one_ended, began + options.drain_timeout + 10s);
  took = since(began);
  if (has_ended_later && took <= options.drain_timeout)
    find(Check::stops, Verdict::ok, fmt::format("within {} ms{}", took.count(), with));
  else
    find(Check::stops, Verdict::failed,
         fmt::format("not within {} ms (--drain-timeout){}", options.drain_timeout.count(), with),
         std::string(way_to_stop));
  judge_descendants(has_ended_later ? *first_ended(families) : families.front(), false);
}

/// They may take a moment longer than the worker.
asio::awaitable<void> Examination::check_descendants(const Family& family) {
  begin(Check::descendants);
  co_await trial_.wait_for([&] { return family.living_descendants().empty(); }, from_now(1s));
  judge_descendants(family, true);
}

asio::awaitable<void> Examination::check_channel() {
  begin(Check::channel);
  const Dialect dialect = plan_.options.dialect;
  if (inherits_listeners(dialect))
    co_return find(Check::channel, Verdict::skipped, fmt::format("{} has no channel", name(dialect)));
  const std::size_t left = has_skipped(Check::stops) ? 2 : 1;
  co_await settle(left, from_now(plan_.options.drain_timeout + 10s));
  const std::vector<Family> families = families_of(workers_);
  trial_.kill_master();
  const auto began = std::chrono::steady_clock::now();
  const auto all_have_ended = [&] {
    return std::all_of(families.begin(), families.end(), [](const Family& each) { return each.has_worker_ended(); });
  };
  const bool have_ended = co_await trial_.wait_for(all_have_ended, from_now(5s));
  const auto took = since(began);
  if (have_ended)
    find(Check::channel, Verdict::ok, fmt::format("within {} ms of the master's death", took.count()));
  else
    find(Check::channel, Verdict::failed, "it lives on 5 s after the master was killed, and nobody can stop it",
         "process.on('disconnect', () => process.exit()): the end of the channel is the master's");
}

}  // namespace baton::doctor
