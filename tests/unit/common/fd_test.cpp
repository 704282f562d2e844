// Unit tests of owning a descriptor.
#include "common/fd.hpp"

#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <type_traits>

#include "tests/support/catch/expect.hpp"
#include "tests/support/system/descriptors.hpp"
#include "tests/unit/common/channel/channel_peer.hpp"

namespace baton::test {
namespace {

bool is_open(int descriptor) {
  return ::fcntl(descriptor, F_GETFD) != -1;
}

}  // namespace

static_assert(!std::is_copy_constructible_v<Fd> && !std::is_copy_assignable_v<Fd>);
static_assert(!std::is_convertible_v<int, Fd> && !std::is_convertible_v<Fd, int> && !std::is_convertible_v<Fd, bool>);
static_assert(std::is_nothrow_move_constructible_v<Fd> && std::is_nothrow_move_assignable_v<Fd>);

TEST_CASE("an Fd closes what it holds") {
  const NoLeak no_leak;
  int number = -1;
  {
    const Fd fd = make_handle();
    number = fd.get();
    CHECK(is_open(number));
  }
  CHECK_FALSE(is_open(number));
  CHECK_FALSE(Fd{}.is_open());
}

TEST_CASE("moving hands over, and closes what was held before") {
  const NoLeak no_leak;
  Fd first = make_handle();
  Fd second = make_handle();
  const std::array numbers{first.get(), second.get()};
  second = std::move(first);
  CHECK(second.get() == numbers[0]);
  CHECK_FALSE(is_open(numbers[1]));
  CHECK_FALSE(first.is_open());  // NOLINT(bugprone-use-after-move): moved-from is empty, and promised to be
  Fd& same = second;
  second = std::move(same);
  CHECK(is_open(second.get()));
}

TEST_CASE("release gives up, reset closes and takes") {
  const NoLeak no_leak;
  Fd fd = make_handle();
  const int number = fd.release();
  CHECK_FALSE(fd.is_open());
  CHECK(is_open(number));
  fd.reset(number);
  CHECK(fd.get() == number);
  fd.reset();
  CHECK_FALSE(is_open(number));
}

TEST_CASE("a duplicate is the same file, closed on exec") {
  const NoLeak no_leak;
  const Fd fd = make_handle();
  const Fd copy = fd.duplicate();
  CHECK(copy.get() != fd.get());
  CHECK(is_same_file(copy, fd));
  CHECK((::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("a call that fails is named in the error") {
  CHECK(message_of<std::system_error>([] { const Fd copy = Fd{}.duplicate(); }) ==
        "fcntl(F_DUPFD_CLOEXEC): Bad file descriptor");
}

TEST_CASE("non-blocking keeps the other flags") {
  const NoLeak no_leak;
  const Fd fd{check(::open("/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC), "open")};
  set_nonblocking(fd);
  set_nonblocking(fd);
  const int flags = ::fcntl(fd.get(), F_GETFL);
  CHECK((flags & O_NONBLOCK) != 0);
  CHECK((flags & O_APPEND) != 0);
}

TEST_CASE("an errno's text begins in lower case, unless it is a name") {
  CHECK(describe_errno(EACCES) == "permission denied");
  CHECK(describe_errno(EADDRINUSE) == "address already in use");
  CHECK(describe_errno(EIO) == "input/output error");
}

}  // namespace baton::test
