// Unit tests of what the control socket's clients print, without a client or a server.
#include "master/client/client_text.hpp"

#include "master/client/client.hpp"
#include "tests/support/catch/expect.hpp"
#include "tests/unit/client/client_runner.hpp"

namespace baton::test {

TEST_CASE("client: the status is a table") {
  CHECK(status_text(sample_status(), false) ==
        "127.0.0.1:1337 · baton 0.1.0 · pid 4100 · serving · 1 of 2 ready · generation 3\n"
        "listening on 127.0.0.1:1337, api=[::]:80\n"
        "\n"
        "WORKER   PID  STATE        GENERATION   AGE   MEMORY  CONNS  REQUESTS  NOTE\n"
        "     1  4242  ready                 3  12 s  3.0 MiB     17      1234\n"
        "     2     -  backing_off           -     -        -      -         -  exited with code 1; starts again in "
        "3.2 s, after 4 "
        "failures\n");
}

TEST_CASE("client: colours follow the state, and change nothing else") {
  const std::string text = status_text(sample_status(), true);
  CHECK(contains(text, "\033[32mserving\033[0m"));
  CHECK(contains(text, "\033[32mready      \033[0m  "));
  CHECK(contains(text, "\033[31mbacking_off\033[0m"));
  CHECK_FALSE(contains(status_text(sample_status(), false), "\033"));
}

TEST_CASE("client: a status without what is expected, or with what a terminal would obey, is shown all the same") {
  CHECK(contains(status_text({}, false), "- · baton - · pid - · - · - of - ready"));
  CHECK(contains(status_text({{"name", "a\033[2Jb\n"}, {"workers", 3}, {"listeners", {1, 2}}}, false), "a?[2Jb?"));
  CHECK(contains(status_text({{"workers", {1, boost::json::object{}}}}, false), "WORKER"));
}

TEST_CASE("client: ages, sizes, bars and events") {
  CHECK(age_text(0) == "0 s");
  CHECK(age_text(59'999) == "59 s");
  CHECK(age_text(303'000) == "5 min 3 s");
  CHECK(age_text(7'440'000) == "2 h 4 min");
  CHECK(age_text(273'600'000) == "3 d 4 h");
  CHECK(size_text(812) == "812 B");
  CHECK(size_text(3 << 20) == "3.0 MiB");
  CHECK(bar_text(0, 4) == "[------------------------------] 0 of 4");
  CHECK(bar_text(2, 4) == "[###############---------------] 2 of 4");
  CHECK(bar_text(9, 4) == "[##############################] 9 of 4");
  CHECK(bar_text(0, 0) == "[##############################] 0 of 0");
  CHECK(event_text({{"time", "T"}, {"event", "stopping"}}) == "T stopping\n");
  CHECK(event_text({{"time", "T"}, {"event", "scale_progress"}, {"done", 1}, {"of", 2}}) ==
        "T scale_progress 1 of 2\n");
  CHECK(event_text({{"time", "T"}, {"event", "worker_ready"}, {"message", "worker 2 pid 7 ready"}}) ==
        "T worker_ready worker 2 pid 7 ready\n");
}

}  // namespace baton::test
