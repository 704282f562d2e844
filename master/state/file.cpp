// Master. SQLite, as far as it is needed here.
#include "master/state/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <limits>

#include "common/error.hpp"
#include "common/fd.hpp"

namespace baton::state {
namespace {

constexpr int format_of_file = 1;
constexpr int application = 0x62746E73;  // "btns"

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw StartError(fmt::format("the state file {}: {} (--state-file names another)", path, why));
}

std::string in_words(int code, const char* message) {
  switch (code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process has it open, perhaps another baton";
    case SQLITE_NOTADB:
      return "it is no SQLite database";
    case SQLITE_READONLY:
      return "it can't be written: baton's user needs the right to, in its directory as well";
    case SQLITE_FULL:
      return "the disk is full";
    default:
      return message;
  }
}

/// With a mode of its own: SQLite would take the umask's, and nobody but us is meant to read it.
void make_file(const std::string& path) {
  const Fd file{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600)};
  if (!file.is_open()) refuse(path, describe_errno(errno));
}

void bind_text(sqlite3_stmt* statement, int at, const std::string& text) {
  // Whoever binds steps before the text goes.
  sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), nullptr);
}

std::string text_at(sqlite3_stmt* statement, int column) {
  const auto* const text = sqlite3_column_text(statement, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(sqlite3_column_bytes(statement, column))};
}

/// Ready for its next use, whatever becomes of this one.
struct Use {
  explicit Use(sqlite3_stmt* its_statement) : statement(its_statement) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
  }

  [[nodiscard]] int step() const { return sqlite3_step(statement); }

  sqlite3_stmt* statement;
};

}  // namespace

void File::Close::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}

void File::Close::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

File::File(std::string path) : path_(std::move(path)) {
  make_file(path_);
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(path_.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  database_.reset(opened);
  if (code != SQLITE_OK) fail(code);
  prepare_tables();
  put_ = prepare("INSERT OR REPLACE INTO entries(key, value, version, expires) VALUES (?, ?, ?, ?)");
  remove_ = prepare("DELETE FROM entries WHERE key = ?");
  note_ = prepare("UPDATE last SET version = ?");
  begin_ = prepare("BEGIN");
  commit_ = prepare("COMMIT");
  rollback_ = prepare("ROLLBACK");
}

File::~File() = default;

void File::fail(int code) const {
  refuse(path_, in_words(code, database_ ? sqlite3_errmsg(database_.get()) : sqlite3_errstr(code)));
}

void File::run(const char* sql) {
  const int code = sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code);
}

File::Statement File::prepare(const char* sql) {
  sqlite3_stmt* made = nullptr;
  const int code = sqlite3_prepare_v2(database_.get(), sql, -1, &made, nullptr);
  if (code != SQLITE_OK) fail(code);
  return Statement(made);
}

void File::prepare_tables() {
  // Held as long as this process lives: two masters would not see each other's changes.
  run("PRAGMA locking_mode = EXCLUSIVE");
  run("PRAGMA journal_mode = WAL");
  run("PRAGMA synchronous = NORMAL");
  const auto number = [this](const char* sql) {
    const Statement statement = prepare(sql);
    const int code = sqlite3_step(statement.get());
    if (code != SQLITE_ROW) fail(code);
    return sqlite3_column_int(statement.get(), 0);
  };
  const int found = number("PRAGMA application_id");
  const int tables = number("SELECT count(*) FROM sqlite_master");
  if (tables > 0 && found != application) refuse(path_, "it is some other program's database");
  if (tables > 0 && number("PRAGMA user_version") > format_of_file)
    refuse(path_, "a later baton has written it, in a form that this one does not know");
  if (tables > 0) return;
  run(fmt::format("BEGIN; PRAGMA application_id = {}; PRAGMA user_version = {};"
                  "CREATE TABLE entries(key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL,"
                  " expires INTEGER) WITHOUT ROWID;"
                  "CREATE TABLE last(version INTEGER NOT NULL);"
                  "INSERT INTO last VALUES (0); COMMIT",
                  application, format_of_file)
          .c_str());
}

File::Contents File::read() {
  Contents contents;
  const Statement last = prepare("SELECT version FROM last");
  if (sqlite3_step(last.get()) == SQLITE_ROW)
    contents.last_version = static_cast<std::uint64_t>(sqlite3_column_int64(last.get(), 0));
  const Statement entries = prepare("SELECT key, value, version, expires FROM entries");
  int code = SQLITE_OK;
  while ((code = sqlite3_step(entries.get())) == SQLITE_ROW) {
    Entry entry{text_at(entries.get(), 1), static_cast<std::uint64_t>(sqlite3_column_int64(entries.get(), 2))};
    if (sqlite3_column_type(entries.get(), 3) != SQLITE_NULL)
      entry.expires = Moment(std::chrono::milliseconds(sqlite3_column_int64(entries.get(), 3)));
    contents.entries.emplace_back(text_at(entries.get(), 0), std::move(entry));
  }
  if (code != SQLITE_DONE) fail(code);
  return contents;
}

void File::write(const Change& change) {
  const auto check_done = [this](int code) {
    if (code == SQLITE_DONE) return;
    const std::string why = in_words(code, sqlite3_errmsg(database_.get()));
    if (sqlite3_get_autocommit(database_.get()) == 0) static_cast<void>(Use(rollback_.get()).step());
    throw Refusal(Problem::broken, fmt::format("the state file {} can't be written: {}", path_, why));
  };
  if (change.entry) {
    const Use put(put_.get());
    bind_text(put_.get(), 1, change.key);
    bind_text(put_.get(), 2, change.entry->value);
    sqlite3_bind_int64(put_.get(), 3, static_cast<sqlite3_int64>(change.entry->version));
    if (change.entry->expires) sqlite3_bind_int64(put_.get(), 4, change.entry->expires->time_since_epoch().count());
    return check_done(put.step());
  }
  // A version is not given twice, be it that of a deletion.
  check_done(Use(begin_.get()).step());
  {
    const Use remove(remove_.get());
    bind_text(remove_.get(), 1, change.key);
    check_done(remove.step());
    const Use note(note_.get());
    sqlite3_bind_int64(note_.get(), 1, static_cast<sqlite3_int64>(change.version));
    check_done(note.step());
  }
  check_done(Use(commit_.get()).step());
}

}  // namespace baton::state
