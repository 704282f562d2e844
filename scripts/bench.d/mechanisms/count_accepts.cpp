// Loaded into any server (LD_PRELOAD): counts its accepts, and those that found nothing, in the file ACCEPT_COUNTS.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>

namespace {

struct Counts {
  std::atomic<std::uint64_t> taken;
  std::atomic<std::uint64_t> missed;
};

Counts* shared_counts() {
  static Counts unseen;
  const char* const path = std::getenv("ACCEPT_COUNTS");
  const int file = path != nullptr ? ::open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file == -1) return &unseen;
  void* const memory = ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  return memory != MAP_FAILED ? static_cast<Counts*>(memory) : &unseen;
}

Counts* const counts = shared_counts();

}  // namespace

extern "C" int accept4(int listener, sockaddr* peer, socklen_t* size, int flags) noexcept(false) {
  const int result = static_cast<int>(::syscall(SYS_accept4, listener, peer, size, flags));
  if (result >= 0) counts->taken.fetch_add(1, std::memory_order_relaxed);
  if (result == -1 && errno == EAGAIN) counts->missed.fetch_add(1, std::memory_order_relaxed);
  return result;
}

extern "C" int accept(int listener, sockaddr* peer, socklen_t* size) noexcept(false) {
  return accept4(listener, peer, size, 0);
}
