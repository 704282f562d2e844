// Doctor. Starting, asking and ending the baton under examination.
#include "master/doctor/trial_master.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <utility>

#include "common/error.hpp"
#include "master/client/client_connection.hpp"
#include "master/client/client_text.hpp"
#include "master/doctor/processes.hpp"
#include "master/output/worker_output.hpp"
#include "master/system/task.hpp"
#include "master/system/watch.hpp"

namespace baton::doctor {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using namespace std::chrono_literals;

constexpr auto between_looks = 10ms;
constexpr auto patience_with_master = 10s;
constexpr std::size_t most_lines = 400;  // of a kind
constexpr std::size_t most_shown = 300;  // of one
constexpr std::size_t most_line = std::size_t{64} << 10;

/// The two kinds apart: a worker with much to say does not push out that it is ready.
void keep(std::deque<std::string>& lines, std::string line) {
  lines.push_back(std::move(line));
  if (lines.size() > most_lines) lines.pop_front();
}

Child start(const asio::any_io_executor& executor, const Plan& plan, const TemporaryDirectory& directory,
            const std::string& control, Fd pipe) {
  Command command{"/proc/self/exe", {"baton"}};
  auto& words = command.arguments;
  words.insert(words.end(), plan.arguments.begin(), plan.arguments.end());
  // It lets a late worker be until that has been looked at.
  const auto ready_timeout = plan.options.ready_timeout + 5s;
  for (std::string each :
       {fmt::format("--ready-timeout={}ms", ready_timeout.count()), "--control=" + control,
        "--pid-file=" + directory.file("pid"), "--state-file=" + directory.file("state"), std::string("--name=doctor"),
        std::string("--log-format=json"), std::string("--log-level=info")})
    words.push_back(std::move(each));
  words.emplace_back("--");
  words.insert(words.end(), plan.options.command.begin(), plan.options.command.end());
  SpawnSetup setup;
  setup.output = pipe.duplicate();
  setup.errors = std::move(pipe);
  setup.traits.parent_death_signal = SIGTERM;  // also where this process is killed, and can't end it
  // A notifying service manager's business is with this process, if at all.
  setup.variables = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"};
  return Child::spawn(executor, command, setup);
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  path_ = (std::filesystem::temp_directory_path() / "baton-doctor-XXXXXX").string();
  if (::mkdtemp(path_.data()) == nullptr)
    throw StartError(
        fmt::format("can't make a directory {}: {} (TMPDIR names another place)", path_, describe_errno(errno)));
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TrialMaster::TrialMaster(const asio::any_io_executor& executor, const Plan& plan)
    : executor_(executor),
      control_(directory_.file("control")),
      log_(executor),
      news_(executor),
      strangers_(own_children()),
      master_([&] {
        auto [read, write] = make_output_pipe();
        log_.assign(read.get());
        static_cast<void>(read.release());
        return start(executor, plan, directory_, control_, std::move(write));
      }()) {
  start_task(executor_, follow_log());
}

TrialMaster::~TrialMaster() {
  constexpr int soon_ms = 2000;
  try {
    // First the master, which would start others; what it leaves comes to us.
    master_.kill_group();
    if (master_.has_ended(soon_ms)) static_cast<void>(master_.reap());
    const auto ours = [this] {
      std::vector<pid_t> found = own_children();
      std::erase_if(found, [this](pid_t each) { return std::count(strangers_.begin(), strangers_.end(), each) > 0; });
      return found;
    };
    for (std::vector<pid_t> left = ours(); !left.empty(); left = ours())
      for (const pid_t each : left) {
        ::kill(each, SIGKILL);
        ::waitpid(each, nullptr, 0);
      }
  } catch (const std::system_error&) {  // nothing more can be done
  }
}

asio::awaitable<void> TrialMaster::follow_log() {
  std::array<char, 4096> bytes{};
  boost::system::error_code error;
  for (;;) {
    const std::size_t count =
        co_await log_.async_read_some(asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted) co_return;  // this may be no more
    text_.append(bytes.data(), count);
    std::size_t begin = 0;
    for (auto end = text_.find('\n'); end != std::string::npos; end = text_.find('\n', begin)) {
      take_line(text_.substr(begin, end - begin));
      begin = end + 1;
    }
    text_.erase(0, begin);
    if (text_.size() > most_line) text_.clear();
    news_.cancel();
    if (error) co_return;
  }
}

void TrialMaster::take_line(std::string line) {
  boost::system::error_code error;
  const json::value parsed = json::parse(line, error);
  // Its last word, where it can't start, is no JSON.
  if (error || !parsed.is_object()) return keep(words_, std::move(line));
  const json::object& said = parsed.get_object();
  const bool is_of_worker = member_text(said, "role") == "worker";
  const std::string level = member_text(said, "level");
  std::string message = member_text(said, "message");
  if (is_of_worker || level == "warning" || level == "error") keep(words_, message);
  if (!is_of_worker) keep(told_, std::move(message));
}

std::string TrialMaster::last_words(std::size_t lines) const {
  std::string words;
  for (auto each = words_.rbegin(); each != words_.rend() && lines > 0; ++each, --lines)
    words.insert(0, each->substr(0, most_shown).append(words.empty() ? "" : " | "));
  return words;
}

std::size_t TrialMaster::count_lines(std::string_view begin, std::string_view end) const {
  return static_cast<std::size_t>(std::count_if(told_.begin(), told_.end(), [begin, end](const std::string& each) {
    return each.starts_with(begin) && each.ends_with(end);
  }));
}

asio::awaitable<bool> TrialMaster::wait_for(std::function<bool()> holds, TimePoint deadline) {
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) co_return false;
    news_.expires_at(std::min(deadline, from_now(between_looks)));
    boost::system::error_code ignored;
    co_await news_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_return true;
}

asio::awaitable<void> TrialMaster::pause(TimePoint end) {
  asio::steady_timer timer(executor_, end);
  co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<void> TrialMaster::wait_until_it_listens() {
  const bool listens = co_await wait_for([this] { return count_lines("baton ", "2 workers") > 0 || has_ended(); },
                                         from_now(patience_with_master));
  if (!listens || has_ended()) {
    std::string words = last_words(1);
    if (words.starts_with("baton: ")) words.erase(0, std::string_view("baton: ").size());
    throw StartError(words.empty() ? "baton does not come to listening, and does not say why" : words);
  }
  const json::object status = co_await ask("GET", "/status", from_now(patience_with_master));
  const std::string address = member_text(status.at("listeners").as_array().at(0).as_object(), "address");
  const std::size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  boost::system::error_code error;
  // All addresses, be it ":80" or "[::]:80": this machine's own is one of them.
  auto ip = asio::ip::make_address(host.starts_with('[') ? host.substr(1, host.size() - 2) : host, error);
  if (error || ip.is_unspecified()) ip = asio::ip::address_v4::loopback();
  place_ = {ip, static_cast<std::uint16_t>(std::strtoul(address.c_str() + colon + 1, nullptr, 10))};
}

asio::awaitable<json::object> TrialMaster::ask(std::string method, std::string target, TimePoint deadline) {
  ClientConnection connection(control_);
  connection.ask(method, target);
  const auto watch = std::make_shared<Watch>(executor_, connection.socket());
  asio::steady_timer timer(executor_, deadline);
  timer.async_wait([late = std::weak_ptr(watch)](const boost::system::error_code& cancelled) {
    const auto waiting = late.lock();
    if (!cancelled && waiting) waiting->cancel();
  });
  std::string body;
  while (!connection.is_done()) {
    const bool is_readable = co_await watch->readable();
    if (!is_readable) throw StartError(fmt::format("baton did not answer {} {} in time", method, target));
    connection.receive();
    body += connection.take_body();
  }
  co_return json::parse(body).as_object();
}

asio::awaitable<std::vector<SeenWorker>> TrialMaster::workers() {
  const json::object status = co_await ask("GET", "/status", from_now(patience_with_master));
  std::vector<SeenWorker> found;
  for (const json::value& each : status.at("workers").as_array()) {
    const json::object& worker = each.as_object();
    found.push_back({static_cast<int>(member_number(worker, "worker", 0)),
                     static_cast<pid_t>(member_number(worker, "pid", 0)), member_text(worker, "state")});
  }
  co_return found;
}

}  // namespace baton::doctor
