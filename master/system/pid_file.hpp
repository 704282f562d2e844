// Master. The pid file: written before anything is bound, locked for as long as the master lives, removed with it.
#pragma once

#include <string>

#include "common/fd.hpp"

namespace baton {

class PidFile {
 public:
  /// Throws StartError; names the process that holds the file, if one does. A file that a dead master left behind is
  /// taken over.
  explicit PidFile(std::string path);
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  ~PidFile();

 private:
  std::string path_;
  Fd locked_;
};

}  // namespace baton
