// Master. From a generation's settings to a running process with its record: the descriptors, arguments and variables
// that it is started with, and the ends of its sockets and pipes that stay here. Owns what all workers are started with
// besides their settings.
#pragma once

#include <sys/resource.h>

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "master/process/worker_handle.hpp"
#include "master/settings/generation.hpp"

namespace baton {

class Launcher {
 public:
  explicit Launcher(boost::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  /// The control socket that a command's workers are told of; empty: there is none.
  void set_worker_socket(std::string path) { worker_socket_ = std::move(path); }
  /// The limit of open files that workers start with, where this process has raised its own.
  void set_open_files(const rlimit& limit) { open_files_ = limit; }

  /// Starts a process. Throws StartError or std::system_error, and leaves no process behind then.
  [[nodiscard]] std::shared_ptr<WorkerHandle> launch(int id, unsigned number,
                                                     std::shared_ptr<const Generation> generation) const;

 private:
  boost::asio::any_io_executor executor_;
  std::string worker_socket_;
  std::optional<rlimit> open_files_;
};

}  // namespace baton
