// Unit tests of lines: out of bytes, with their author, and towards a reader that is slow.
#include "master/output/worker_output.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <csignal>

#include "common/error.hpp"
#include "master/output/output_sink.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

using Lines = std::vector<std::string>;

Lines split(const Lines& pieces) {
  Lines lines;
  const TakeLine take = [&](std::string_view line) { lines.emplace_back(line); };
  LineSplitter splitter;
  for (const std::string& each : pieces) splitter.feed(each, take);
  splitter.finish(take);
  return lines;
}

std::string message_in_json(std::string_view line) {
  const std::string rendered = render_line(log::Format::json, {2, 77, Stream::errors}, line);
  return std::string(boost::json::parse(rendered).as_object().at("message").as_string());
}

/// A pipe with room for one page.
struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    check(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    check(::fcntl(writer.get(), F_SETPIPE_SZ, page), "fcntl");
    set_nonblocking(reader);
  }
  /// As systemd has it.
  void become_sockets() {
    std::array<int, 2> ends{};
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), "socketpair");
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    set_nonblocking(reader);
    check(::setsockopt(writer.get(), SOL_SOCKET, SO_SNDBUF, &page, sizeof page), "setsockopt");
  }
  std::string read() const {
    std::string text(std::size_t{1} << 20, '\0');
    const ssize_t count = ::read(reader.get(), text.data(), text.size());
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
  }

  static constexpr int page = 4096;
  Fd reader;
  Fd writer;
};

}  // namespace

TEST_CASE("lines are put together from however small pieces they come in") {
  CHECK(split({"a\nb\n"}) == Lines{"a", "b"});
  CHECK(split({"a", "b\nc", "\n", "\n"}) == Lines{"ab", "c", ""});
  CHECK(split({"\n\nx\r\n"}) == Lines{"", "", "x\r"});
  CHECK(split({}).empty());
  CHECK(split({std::string("a\0b\n", 4)}) == Lines{std::string("a\0b", 3)});
}

TEST_CASE("what has no newline at the end is a line all the same") {
  CHECK(split({"a\nb"}) == Lines{"a", "b"});
  CHECK(split({"a"}) == Lines{"a"});
}

TEST_CASE("a line that is too long is several, and none is cut within a character") {
  const std::string longest(longest_line, 'x');
  CHECK(split({longest + "\n"}) == Lines{longest});
  CHECK(split({longest + "y\n"}) == Lines{longest, "y"});
  CHECK(split({longest, "y\n"}) == Lines{longest, "y"});
  CHECK(split({longest + longest + longest}) == Lines{longest, longest, longest});
  const std::string almost(longest_line - 1, 'x');
  CHECK(split({almost + "é\n"}) == Lines{almost, "é"});
  CHECK(split({std::string(longest_line + 1, '\x80') + "\n"}) ==
        Lines{std::string(longest_line, '\x80'), std::string(1, '\x80')});
}

TEST_CASE("a line has its worker in front, or is an object like those of the log") {
  CHECK(render_line(log::Format::text, {2, 77, Stream::output}, "hello") == "worker 2 pid 77 | hello\n");
  const std::string json = render_line(log::Format::json, {2, 77, Stream::output}, "a \"word\"");
  CHECK(count_of(json, "\n") == 1);
  const boost::json::object object = boost::json::parse(json).as_object();
  CHECK(object.at("time").as_string().size() == std::string_view("2025-01-01T00:00:00.000Z").size());
  CHECK(object.at("role") == "worker");
  CHECK(object.at("worker") == 2);
  CHECK(object.at("pid") == 77);
  CHECK(object.at("stream") == "stdout");
  CHECK(object.at("message") == "a \"word\"");
  CHECK(object.size() == 6);
}

TEST_CASE("what is not UTF-8 is replaced in an object, and goes on as it is in text") {
  CHECK(message_in_json("wärmt 🔥 auf") == "wärmt 🔥 auf");
  CHECK(message_in_json(std::string_view("a\0b\x1b", 4)) == std::string("a\0b\x1b", 4));
  CHECK(message_in_json("\xff|\xc3|\xe2\x82|\xc0\xaf") == "\uFFFD|\uFFFD|\uFFFD\uFFFD|\uFFFD\uFFFD");
  CHECK(message_in_json("\xed\xa0\x80") == "\uFFFD\uFFFD\uFFFD");            // a surrogate
  CHECK(message_in_json("\xf4\x90\x80\x80") == "\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond Unicode
  CHECK(message_in_json("\xe0\x80\xaf") == "\uFFFD\uFFFD\uFFFD");            // overlong
  CHECK(render_line(log::Format::text, {2, 77, Stream::output}, "\xff") == "worker 2 pid 77 | \xff\n");
}

TEST_CASE("a reader that sleeps does not hold the writer up, and is told how many lines it missed") {
  const std::string kind = GENERATE("a pipe", "a pipe that blocks", "a socket that blocks");
  CAPTURE(kind);
  const NoLeak no_leak;
  boost::asio::io_context context;
  Pipe pipe;
  if (kind == "a pipe") set_nonblocking(pipe.writer);
  if (kind == "a socket that blocks") pipe.become_sockets();
  const Fd shared = pipe.writer.duplicate();  // as other processes have it
  const int flags = ::fcntl(shared.get(), F_GETFL);
  const auto sink = std::make_shared<OutputSink>(context.get_executor(), std::move(pipe.writer), "the test");
  constexpr std::size_t most = 16'384;
  constexpr int count = 10'000;
  for (int i = 0; i < count; ++i) sink->write("line " + std::to_string(i) + "\n", most);
  std::string text;
  for (std::string more = pipe.read(); !more.empty(); more = pipe.read()) {
    text += more;
    context.restart();
    context.poll();
  }
  sink->write("the last\n", most);
  text += pipe.read();
  const auto at = text.find("… ");
  REQUIRE(at != std::string::npos);
  CHECK(contains(text, " lines were dropped: the test was not read in time\n"));
  CHECK(std::stoul(text.substr(at + std::string_view("… ").size())) + count_of(text, "line ") == count);
  CHECK(count_of(text, "were dropped") == 1);
  CHECK(text.ends_with("\nthe last\n"));
  CHECK(contains(text, "\nline 100\n"));
  CHECK_FALSE(contains(text, "line 9999\n"));
  CHECK(::fcntl(shared.get(), F_GETFL) == flags);
}

TEST_CASE("a file that can't be written is told of in the log, once") {
  const CapturedErrors errors;
  boost::asio::io_context context;
  const auto sink =
      std::make_shared<OutputSink>(context.get_executor(), Fd{::open("/dev/full", O_WRONLY | O_CLOEXEC)}, "/var/log/x");
  for (int i = 0; i < 3; ++i) sink->write("line\n", 1000);
  const std::string told = errors.text();
  const std::string wanted = "/var/log/x can't be written: no space left on device; lines are dropped until it can";
  CHECK(contains(told, wanted));
  CHECK(told.find(wanted) == told.rfind(wanted));
}

TEST_CASE("lines that nobody can take any more are counted, too, and the next that can be written says so") {
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  boost::asio::io_context context;
  const auto full =
      std::make_shared<OutputSink>(context.get_executor(), Fd{::open("/dev/full", O_WRONLY | O_CLOEXEC)}, "the test");
  for (int i = 0; i < 3; ++i) full->write("lost\n", 1000);
  Pipe pipe;
  pipe.reader.reset();
  const auto closed = std::make_shared<OutputSink>(context.get_executor(), std::move(pipe.writer), "the test");
  for (int i = 0; i < 3; ++i) closed->write("lost\n", 1000);
  CHECK(context.poll() == 0);
}

TEST_CASE("at the end a slow reader is waited for, and one that never reads is not for long") {
  boost::asio::io_context context;
  Pipe pipe;
  const auto sink = std::make_shared<OutputSink>(context.get_executor(), std::move(pipe.writer), "the test");
  for (int i = 0; i < 1000; ++i) sink->write("a line of the test\n", 100'000);
  context.poll();
  sink->finish(std::chrono::milliseconds(10));
  sink->write("too late\n", 100'000);
  context.restart();
  context.run();  // nothing is left that would keep it
  CHECK(contains(pipe.read(), "a line of the test\n"));
}

}  // namespace baton::test
