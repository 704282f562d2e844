// Master. What a command's worker writes to its standard output and error: read from pipes, taken apart into lines,
// and shown with who wrote them in front.
#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "common/fd.hpp"
#include "common/log.hpp"
#include "master/output/output_files.hpp"
#include "master/system/watch.hpp"

namespace baton {

/// Bytes of a line; a longer one is several.
constexpr std::size_t longest_line = std::size_t{16} << 10;

using TakeLine = std::function<void(std::string_view line)>;

/// Lines out of bytes as they come. Pure.
class LineSplitter {
 public:
  /// Gives away every line that `bytes` brings to its end, without its newline.
  void feed(std::string_view bytes, const TakeLine& take);
  /// What is left at the end, without a newline.
  void finish(const TakeLine& take);

 private:
  std::string begun_;
};

/// Of whom a line is.
struct Author {
  unsigned number = 0;
  pid_t pid = 0;
  Stream stream = Stream::output;
};

/// "worker 2 pid 77 | text", or an object like the log's, with the newline. What is not UTF-8 is replaced in the
/// object.
std::string render_line(log::Format format, const Author& author, std::string_view line);

/// The reading end for one stream of one worker, and the other one.
std::pair<Fd, Fd> make_output_pipe();

struct OutputEnd {
  OutputEnd(const boost::asio::any_io_executor& executor, Fd its_pipe, Stream its_stream)
      : pipe(std::move(its_pipe)), watch(executor, pipe), stream(its_stream) {}

  /// Reads what is there, up to `most` bytes. False at its end.
  bool read(std::size_t most, const TakeLine& take);

  Fd pipe;
  Watch watch;  // after the pipe: destroyed before it closes
  Stream stream;
  LineSplitter lines;
};

}  // namespace baton
