// Unit tests of the listeners: which listener answers which question. The listeners are real.
#include "master/cluster/cluster_listeners.hpp"

#include <algorithm>
#include <set>

#include "master/policy/policy.hpp"
#include "tests/support/clients/client.hpp"
#include "tests/support/system/descriptors.hpp"

namespace baton::test {
namespace {

using namespace std::chrono_literals;
using protocol::Query;

Query port(std::int64_t number, std::uint64_t index = 0) {
  Query query;
  query.seq = 1;
  query.address = "127.0.0.1";
  query.port = number;
  query.type = "4";
  query.index = index;
  return query;
}

std::int64_t port_of(const Vault& vault) {
  return std::get<TcpAddress>(parse_address(vault.address(), 0)).ports.first;
}

struct Room {
  explicit Room(const std::vector<std::string>& listen = {}) {
    std::vector<std::string> arguments;
    for (const std::string& each : listen) arguments.insert(arguments.end(), {"-l", each});
    arguments.insert(arguments.end(), {"--", "node", "app.js"});
    generation.options = parse_options(arguments);
    for (const NamedAddress& each : generation.options.listen) {
      generation.listeners.push_back(std::make_shared<ListenerGroup>(each, socket_policy(Policy::shared), alarm));
      generation.listeners.back()->provide(1, 128, false);
    }
  }
  ClusterListeners::Answer ask(int worker, const Query& query) {
    return listeners.ask({worker, static_cast<unsigned>(worker), generation}, query, false);
  }

  ListenerAlarm alarm;
  Generation generation;
  ClusterListeners listeners{alarm};
};

}  // namespace

TEST_CASE("listeners: all who ask the same have the same listener, each under a key of its own") {
  const NoLeak no_leak;
  Room room;
  const auto first = room.ask(1, port(0));
  const auto second = room.ask(2, port(0));
  REQUIRE(first.error == 0);
  CHECK(first.is_new);
  CHECK_FALSE(second.is_new);
  CHECK(first.vault == second.vault);
  CHECK(first.key != second.key);
  CHECK(room.ask(2, port(0, 1)).vault != first.vault);
  CHECK(room.listeners.groups().size() == 2);
}

TEST_CASE("listeners: a port by its number is the same whatever index Node counts, and is had once") {
  const NoLeak no_leak;
  Room room;
  const std::int64_t free = port_of(*Room().ask(1, port(0)).vault);
  const auto first = room.ask(1, port(free));
  REQUIRE(first.error == 0);
  CHECK(room.ask(2, port(free, 3)).vault == first.vault);
  CHECK(room.ask(1, port(free, 1)).error == EADDRINUSE);
  room.listeners.close(1, first.key);
  CHECK(room.ask(1, port(free, 2)).error == 0);
}

TEST_CASE("listeners: what can't be had is refused with the error that Node knows, and leaves nothing behind") {
  const NoLeak no_leak;
  Room room;
  const Room other;
  Room taken({"127.0.0.1:0"});
  CHECK(room.ask(1, port(port_of(*taken.ask(1, port(1)).vault))).error == EADDRINUSE);
  Query query = port(0);
  query.type = "udp4";
  CHECK(room.ask(1, query).error == ENOTSUP);
  query = port(0);
  query.address = "192.0.2.1";
  CHECK(room.ask(1, query).error == EADDRNOTAVAIL);
  query.address = "localhost";
  CHECK(room.ask(1, query).error == EINVAL);
  query.address = std::string(5000, 'x');
  CHECK(room.ask(1, query).error == EINVAL);
  query = port(0);
  query.data = std::string(5000, 'x');
  CHECK(room.ask(1, query).error == EINVAL);
  query = port(-1);
  for (const char* path : {"/no/such/directory/x", "x", "/a\nb"}) {
    query.address = path;
    CHECK(room.ask(1, query).error == (std::string(path).starts_with("/no") ? EACCES : EINVAL));
  }
  CHECK(room.listeners.groups().empty());
  CHECK(room.listeners.holdings(1).empty());
}

TEST_CASE("listeners: one worker can't have more than its share, and what it gives back it can have again") {
  const NoLeak no_leak;
  Room room;
  std::uint64_t index = 0;
  ClusterListeners::Answer answer;
  std::string key;
  for (; (answer = room.ask(1, port(0, index))).error == 0; ++index) key = answer.key;
  CHECK(answer.error == EMFILE);
  CHECK(index == 64);
  CHECK(room.ask(2, port(0)).error == 0);
  CHECK(room.listeners.close(1, key));
  CHECK(room.ask(1, port(0, index)).error == 0);
  // Asking and closing for ever makes no more than there may be of all.
  for (; index < 600; ++index) {
    answer = room.ask(3, port(0, index));
    REQUIRE(answer.error == 0);
    room.listeners.close(3, answer.key);
  }
  CHECK(room.listeners.groups().size() <= 256);
}

TEST_CASE("listeners: it listens once it listens on all that it has asked for") {
  Room room;
  CHECK_FALSE(room.listeners.listens(1));
  const auto first = room.ask(1, port(0));
  const auto second = room.ask(1, port(0, 1));
  room.listeners.listened(1, port(port_of(*second.vault), 1));
  CHECK_FALSE(room.listeners.listens(1));
  room.listeners.listened(1, port(port_of(*first.vault)));
  CHECK(room.listeners.listens(1));
  room.listeners.forget(1);
  CHECK_FALSE(room.listeners.listens(1));
}

TEST_CASE("listeners: what nobody holds is given up after a while in which all was settled") {
  const NoLeak no_leak;
  Room room;
  const auto answer = room.ask(1, port(0));
  const TimePoint now{};
  CHECK(room.listeners.give_up(now, true).empty());
  room.listeners.forget(1);
  CHECK(room.listeners.give_up(now + 10s, true).empty());  // noticed
  CHECK(room.listeners.give_up(now + 14s, false).empty());
  CHECK(room.listeners.give_up(now + 20s, true).empty());  // counted anew
  SECTION("nobody comes") {
    CHECK(room.listeners.give_up(now + 25s, true).size() == 1);
    CHECK(answer.vault->is_empty());
  }
  SECTION("somebody asks") {
    CHECK(room.ask(2, port(0)).vault == answer.vault);
    CHECK(room.listeners.give_up(now + 25s, true).empty());
  }
}

TEST_CASE("listeners: a listener of the configuration stands for any port") {
  const NoLeak no_leak;
  Room room({"127.0.0.1:0", "127.0.0.1:0"});
  const auto& first = room.generation.listeners[0]->vault(1);
  const auto& second = room.generation.listeners[1]->vault(1);
  SECTION("in the order of asking, the same for all") {
    CHECK(room.ask(1, port(3000)).vault == first);
    CHECK(room.ask(1, port(3001)).vault == second);
    CHECK(room.ask(2, port(3001)).vault == second);
    CHECK(room.ask(2, port(3000)).vault == first);
    const auto shared = room.ask(1, port(3002));
    CHECK(shared.vault == first);
    CHECK(shared.remark.find("shares the listener") != std::string::npos);
  }
  SECTION("the one with that very port") {
    CHECK(room.ask(1, port(port_of(*second))).vault == second);
    CHECK(room.ask(1, port(3000)).vault == first);
  }
  CHECK(room.listeners.groups().empty());
}

TEST_CASE("listeners: what the first gave for the others, they get") {
  Room room;
  Query query = port(0);
  query.data = "keys";
  CHECK(room.ask(1, query).data == boost::json::value("keys"));
  query.data = "other keys";
  CHECK(room.ask(2, query).data == boost::json::value("keys"));
}

}  // namespace baton::test
