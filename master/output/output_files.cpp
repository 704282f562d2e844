// Master. Opening, reopening, and the log's way through.
#include "master/output/output_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/error.hpp"
#include "common/log.hpp"

namespace baton {
namespace {

using namespace std::chrono_literals;

constexpr auto last_patience = 1s;
// More than of the workers' lines: what happens to workers is not to go under in what they write.
constexpr std::size_t most_of_log = std::size_t{1} << 20;

std::string way_out_of_open(int error) {
  switch (error) {
    case ENOENT:
      return " (make its directory first)";
    case EACCES:
    case EPERM:
      return " (baton's user must be allowed to write it)";
    case EISDIR:
      return " (--output names a file)";
    case ENXIO:
      return " (a pipe that nobody reads)";
    default:
      return "";
  }
}

}  // namespace

StandardStreams::StandardStreams(const boost::asio::any_io_executor& executor)
    : output_(std::make_shared<OutputSink>(executor, nonblocking_copy(STDOUT_FILENO), "standard output")),
      errors_(std::make_shared<OutputSink>(executor, nonblocking_copy(STDERR_FILENO), "standard error")) {
  log::write_by([this](std::string_view line) { errors_->write(line, most_of_log); });
}

StandardStreams::~StandardStreams() {
  finish();
  log::write_by(nullptr);
}

void StandardStreams::finish() {
  output_->finish(last_patience);
  errors_->finish(last_patience);
}

OutputFile::OutputFile(boost::asio::any_io_executor executor, std::string path)
    : executor_(std::move(executor)), path_(std::move(path)), sink_(open()) {}

OutputFile::~OutputFile() {
  sink_->finish(last_patience);
}

std::shared_ptr<OutputSink> OutputFile::open() const {
  Fd file{::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640)};
  if (!file.is_open()) {
    const int error = errno;
    throw StartError(
        fmt::format("can't open the output file {}: {}{}", path_, describe_errno(error), way_out_of_open(error)));
  }
  return std::make_shared<OutputSink>(executor_, std::move(file), path_);
}

void OutputFile::reopen() {
  std::shared_ptr<OutputSink> opened = open();
  sink_->finish(last_patience);
  sink_ = std::move(opened);
}

}  // namespace baton
