// Unit tests of what `baton init` writes.
#include "master/init/init_files.hpp"

#include "common/error.hpp"
#include "master/settings/options.hpp"
#include "tests/support/catch/catch.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/support/system/files.hpp"
#include "tests/support/system/surroundings.hpp"

namespace baton::test {
namespace {

std::string line_for(const SettingDescription& setting) {
  const std::string text = config_text({setting}, "baton");
  return text.substr(text.rfind('\n', text.size() - 2) + 1);
}

Service service_of(const std::string& config, const std::vector<std::string>& command, const std::string& directory) {
  Service service;
  service.baton = "/usr/bin/baton";
  service.config = config;
  service.command = command;
  service.directory = directory;
  return service;
}

}  // namespace

TEST_CASE("init: a setting that was given is set, another is a comment with its default") {
  CHECK(line_for({"workers", "N", "Number [auto]", false, {}}) == "#workers = \"auto\"\n");
  CHECK(line_for({"workers", "N", "Number [auto]", false, {"2", "4"}}) == "workers = \"4\"\n");
  CHECK(line_for({"cwd", "DIR", "Directory [the master's]", false, {}}) == "#cwd = \"DIR\"\n");
  CHECK(line_for({"listen", "ADDRESS", "Where [all]", true, {":1", "[::1]:2"}}) == "listen = [\":1\", \"[::1]:2\"]\n");
  CHECK(line_for({"nonblocking", "", "Let", false, {}}) == "#nonblocking = false\n");
  CHECK(line_for({"nonblocking", "", "Let", false, {"true"}}) == "nonblocking = true\n");
  CHECK(line_for({"env", "A=B", "Variable", true, {"A=\"b\\"}}) == "env = ['A=\"b\\']\n");
  for (const std::string value : {"both ' and \"", "a\nb"})
    CHECK(contains(message_of<UsageError>([&] { line_for({"cwd", "DIR", "", false, {value}}); }), "--cwd: the value "));
}

TEST_CASE("init: the file has every setting, and is read as it was given") {
  const Directory directory;
  const std::vector<std::string> given{"-w",      "3",     "-l",    "127.0.0.1:80", "-l",  "[::1]:81",    "--env",
                                       "A=\"b c", "--env", "D=e,f", "--umask",      "027", "--raw-output"};
  const auto settings = describe_settings(given);
  CHECK(settings.size() > 35);
  const std::string text = config_text(settings, "baton");
  for (const SettingDescription& each : settings) CHECK(contains(text, each.name + " = "));
  const Options options = parse_options({"-c", directory.write("baton.toml", text), "--", "x"});
  const Options wanted = parse_options({"-w", "3", "-l", "127.0.0.1:80", "-l", "[::1]:81", "--", "x"});
  CHECK(options.workers == 3);
  REQUIRE(options.listen.size() == 2);
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(to_string(options.listen.at(i).address) == to_string(wanted.listen.at(i).address));
  CHECK(options.process.variables == std::vector<std::string>{"A=\"b c", "D=e,f"});
  CHECK(options.process.umask == 027);
  CHECK(options.process.raw_output);
}

TEST_CASE("init: each default that stands in the file is one that baton takes") {
  const Directory directory;
  int taken = 0;
  for (const SettingDescription& each : describe_settings({})) {
    const std::string line = line_for(each).substr(1);
    if (!each.value_name.empty() && contains(line, '"' + each.value_name + '"')) continue;
    CAPTURE(line);
    CHECK_NOTHROW(parse_options({"-c", directory.write("baton.toml", line), "--", "x"}));
    ++taken;
  }
  CHECK(taken > 15);
}

TEST_CASE("init: a unit runs what was given, whatever is in it") {
  const std::string unit =
      unit_text(service_of("/srv/a b/baton.toml", {"/bin/x", "50%", "$HOME", "a\"b\\", ""}, "/srv/100%"));
  CHECK(unit.starts_with("[Unit]\nDescription=baton, with /bin/x\n"));
  CHECK(contains(unit,
                 "\nWorkingDirectory=/srv/100%%\nExecStart=/usr/bin/baton -c \"/srv/a b/baton.toml\" --control "
                 "/run/baton/control.sock -- /bin/x 50%% $$HOME \"a\\\"b\\\\\" \"\"\n"));
  CHECK(contains(unit, "\nDynamicUser=yes\n"));
  CHECK(contains(unit, "\nProtectHome=read-only\n"));
  Service of_a_user = service_of("/b.toml", {}, "/");
  of_a_user.user = "1000";
  of_a_user.group = "4";
  const std::string plain = unit_text(of_a_user);
  CHECK(contains(plain, "\nExecStart=/usr/bin/baton -c /b.toml --control /run/baton/control.sock\n"));
  CHECK(contains(plain, "\nDynamicUser=no\nUser=1000\nGroup=4\n"));
  CHECK_FALSE(contains(plain, "ReadWritePaths="));
  CHECK(contains(plain, "\nPrivateTmp=yes\n"));
}

TEST_CASE("init: a unit lets it write where it was told to, and no further") {
  Service service = service_of("/b.toml", {"/bin/x"}, "/srv/shop");
  service.control = "/srv/shop/c.sock";
  service.written = {
      "state.db",        "/var/log/a $b/{worker}/out.log", "/var/log/a $b/x", "/run/baton/x.pid", "/var/lib/baton/s.db",
      "/srv/shop/c.sock"};
  const std::string unit = unit_text(service);
  CHECK(contains(unit, "\nReadWritePaths=-/srv/shop \"-/var/log/a $b\"\n"));
  CHECK(contains(unit, "\nExecStart=/usr/bin/baton -c /b.toml -- /bin/x\n"));
  CHECK(contains(unit, "\nProtectSystem=strict\n"));
}

TEST_CASE("init: a unit's limits leave room for what the settings want, and a line break is refused") {
  Service service = service_of("/b.toml", {}, "/");
  CHECK(hindrance(service).empty());
  CHECK_FALSE(contains(unit_text(service), "LimitNICE="));
  service.open_files = 1000;
  CHECK(contains(unit_text(service), "\nLimitNOFILE=65536\n"));
  service.open_files = 100'000;
  service.nice = -5;
  CHECK(contains(unit_text(service), "\nLimitNICE=-5\nLimitNOFILE=100000\n"));
  service.directory = "/a\nb";
  CHECK(contains(message_of<UsageError>([&] { unit_text(service); }), "a line break"));
}

TEST_CASE("init: a unit has a /tmp of its own, unless something of it is there") {
  const auto [baton, config, command, directory, written, own] =
      GENERATE(table<std::string, std::string, std::string, std::string, std::string, std::string>({
          {"/b", "/c", "/x", "/d", "/e/f", "yes"},
          {"/tmp/b", "/c", "/x", "/d", "/e/f", "no"},
          {"/b", "/tmp/c", "/x", "/d", "/e/f", "no"},
          {"/b", "/c", "/var/tmp/x", "/d", "/e/f", "no"},
          {"/b", "/c", "/x", "/tmp", "/e/f", "no"},
          {"/b", "/c", "/x", "/d", "/tmp/f", "no"},
          {"/b", "/c", "/x", "/tmpfile", "/var/tmpfile", "yes"},
      }));
  Service service = service_of(config, {command}, directory);
  service.baton = baton;
  service.written = {written};
  CHECK(hindrance(service) == (own == "yes"        ? written == "/e/f" ? "can't write to /e" : "can't write to /var"
                               : written == "/e/f" ? "can't write to /e, and sees another /tmp"
                                                   : "can't write to /tmp, and sees another /tmp"));
  CHECK(contains(unit_text(service), "\nPrivateTmp=yes\n"));
  service.user = "33";
  CHECK(hindrance(service).empty());
  CHECK(contains(unit_text(service), "\nPrivateTmp=" + own + "\n"));
}

}  // namespace baton::test
