// Unit tests of log lines.
#include "common/log.hpp"

#include <boost/json/parse.hpp>

#include "common/error.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::log {
namespace {

constexpr std::int64_t at = 784'111'777'042;

std::string text(bool terminal, Level level, const Role& role) {
  return render(Format::text, terminal, at, level, role, 42, "it happened");
}

}  // namespace

TEST_CASE("a line for a file has time, level, role and pid") {
  CHECK(text(false, Level::info, {"master", 0}) == "1994-11-06T08:49:37.042Z info master[42] it happened");
  CHECK(text(false, Level::error, {"worker", 3}) == "1994-11-06T08:49:37.042Z error worker 3[42] it happened");
}

TEST_CASE("a line for a terminal is the message, its speaker if a worker, its level if not info") {
  CHECK(text(true, Level::info, {"master", 0}) == "it happened");
  CHECK(text(true, Level::warning, {"master", 0}) == "warning: it happened");
  CHECK(text(true, Level::info, {"worker", 3}) == "worker 3 pid 42: it happened");
  CHECK(text(true, Level::debug, {"worker", 0}) == "debug: worker pid 42: it happened");
}

TEST_CASE("a JSON line is one JSON object, whatever the message") {
  const std::string message = "quote \" backslash \\ newline \n tab \t";
  for (const bool terminal : {false, true}) {
    const std::string line = render(Format::json, terminal, at, Level::warning, {"worker", 3}, 42, message);
    CHECK(line.find('\n') == std::string::npos);
    const boost::json::object object = boost::json::parse(line).as_object();
    CHECK(object.at("time") == "1994-11-06T08:49:37.042Z");
    CHECK(object.at("level") == "warning");
    CHECK(object.at("role") == "worker");
    CHECK(object.at("worker") == 3);
    CHECK(object.at("pid") == 42);
    CHECK(object.at("message") == boost::json::string_view(message));
  }
  CHECK_FALSE(test::contains(render(Format::json, false, at, Level::info, {"master", 0}, 42, ""), "\"worker\""));
}

TEST_CASE("levels and formats by name") {
  for (const Level level : {Level::debug, Level::info, Level::warning, Level::error})
    CHECK(parse_level(std::string(name(level))) == level);
  for (const Format format : {Format::text, Format::json}) CHECK(parse_format(std::string(name(format))) == format);
  CHECK(test::message_of<UsageError>([] { parse_level("loud"); }) ==
        "\"loud\" is no level: debug, info, warning or error");
  CHECK(test::message_of<UsageError>([] { parse_level(""); }).starts_with("\"\" is no level"));
  CHECK(test::message_of<UsageError>([] { parse_format("xml"); }) == "\"xml\" is no format: text or json");
}

TEST_CASE("the log writes from its level on, to standard error") {
  std::string told;
  {
    const test::CapturedErrors errors;
    start({Level::warning, Format::text}, {"worker", 2});
    CHECK_FALSE(is_on(Level::info));
    CHECK(is_on(Level::error));
    debug("not {}", "this");
    info("nor this");
    warning("but {} {}", "this", 1);
    error("and this");
    told = errors.text();
  }
  start({}, {});
  CHECK(test::count_of(told, "\n") == 2);
  CHECK(test::contains(told, " warning worker 2["));
  CHECK(test::contains(told, "] but this 1\n"));
  CHECK(test::contains(told, "] and this\n"));
}

}  // namespace baton::log
