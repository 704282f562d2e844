// Master. The file that shared state is written through to, so that it outlives the master: SQLite's, in WAL mode. A
// write that has returned is in the kernel's hands: the end of this process does it no harm. That of the machine may
// cost the last moments, and nothing but those.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "master/state/store.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace baton::state {

class File final : public Journal {
 public:
  /// Opens it, or makes it with mode 0600. Throws StartError: where it is no such file, is locked by another master, or
  /// was written by a later baton.
  explicit File(std::string path);
  ~File() override;

  [[nodiscard]] const std::string& path() const { return path_; }

  struct Contents {
    std::vector<std::pair<std::string, Entry>> entries;
    std::uint64_t last_version = 0;
  };
  /// Throws StartError.
  [[nodiscard]] Contents read();

  /// Throws Refusal (broken), and has changed nothing then.
  void write(const Change& change) override;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
    void operator()(sqlite3_stmt* statement) const;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Close>;

  void prepare_tables();
  void run(const char* sql);
  Statement prepare(const char* sql);
  [[noreturn]] void fail(int code) const;

  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
  Statement put_, remove_, begin_, commit_, rollback_, note_;
};

}  // namespace baton::state
