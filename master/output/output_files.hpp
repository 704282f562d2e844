// Master. Where the workers' lines go: this process's standard streams, which its log shares, or a file (--output).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "master/output/output_sink.hpp"

namespace baton {

/// Of a worker's standard streams.
enum class Stream : std::uint8_t { output, errors };

/// This process's. While it lives, the log goes through it, too, so that its lines and the workers' are in order, and a
/// reader that is slow holds nobody up.
class StandardStreams {
 public:
  /// Throws std::system_error.
  explicit StandardStreams(const boost::asio::any_io_executor& executor);
  StandardStreams(const StandardStreams&) = delete;
  StandardStreams& operator=(const StandardStreams&) = delete;
  ~StandardStreams();

  [[nodiscard]] OutputSink& of(Stream stream) { return stream == Stream::output ? *output_ : *errors_; }
  /// Once nobody runs the loop any more; a slow reader gets a second.
  void finish();

 private:
  std::shared_ptr<OutputSink> output_;
  std::shared_ptr<OutputSink> errors_;
};

class OutputFile {
 public:
  /// Appends to what is there, and makes it (0640) where nothing is. Throws StartError.
  OutputFile(boost::asio::any_io_executor executor, std::string path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] OutputSink& sink() { return *sink_; }
  /// The old one may have been renamed. Throws StartError, and goes on with the old one then.
  void reopen();

 private:
  [[nodiscard]] std::shared_ptr<OutputSink> open() const;

  boost::asio::any_io_executor executor_;
  std::string path_;
  std::shared_ptr<OutputSink> sink_;
};

}  // namespace baton
