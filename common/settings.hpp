// Any process. Settings by one name in four places: flag before environment before file before default. CLI11 reads
// the flags and the file; the order is ours (CLI11 lets the file win over the environment), and so are the errors,
// which name the place that the wrong value came from.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace baton {

/// --help or --version was asked for: print this and end with exit code 0.
struct InformationAsked {
  std::string text;
};

/// A setting as it was declared, and what it was given.
struct SettingDescription {
  std::string name;        ///< as in the file
  std::string value_name;  ///< empty: it is a switch
  std::string help;        ///< with the default at its end, in brackets
  bool is_list = false;
  std::vector<std::string> given;  ///< by any of the places; empty: by none
};

class Settings {
 public:
  using Set = std::function<void(const std::string&)>;
  using SetList = std::function<void(const std::vector<std::string>&)>;

  /// `usage` is the command line in a word: "baton [flags]".
  Settings(const std::string& usage, const std::string& description, const std::string& version);
  ~Settings();
  Settings(const Settings&) = delete;
  Settings& operator=(const Settings&) = delete;

  /// `flags` as CLI11 writes them ("-w,--workers"). `set` throws UsageError on a wrong value.
  void add(const std::string& flags, const std::string& value_name, const std::string& help, Set set);
  /// A setting that can be given several times; `separator` stands between the values where there is one place for
  /// all, as in the environment.
  void add_list(const std::string& flags, const std::string& value_name, const std::string& help, SetList set,
                char separator = ',');
  /// Yes or no: on the command line the bare flag is yes, in the environment and the file it has a value.
  void add_switch(const std::string& flags, const std::string& help, bool& value);
  /// The file that the rest is read from, too: "-c,--config".
  void add_config(const std::string& flags, const std::string& help);

  /// A flag without a value, on the command line alone.
  void add_flag(const std::string& flags, const std::string& help, bool& given);
  /// What has to stand on the command line without a flag, by names for the errors. Without this, or with no name,
  /// nothing may.
  void expect_arguments(const std::vector<std::string>& names);
  /// What is no setting of these is left for another reading, in its order: others().
  void leave_others() { leaves_others_ = true; }
  [[nodiscard]] const std::vector<std::string>& others() const { return others_; }
  /// As many as were expected.
  [[nodiscard]] const std::vector<std::string>& arguments() const { return arguments_; }

  void set_footer(const std::string& text);

  /// Reads all places. Throws UsageError, or InformationAsked.
  void parse(const std::vector<std::string>& arguments);

  /// Those that a file can hold, in the order of their declaration.
  [[nodiscard]] std::vector<SettingDescription> descriptions() const;

  /// Names in the environment that begin with BATON_ and that nothing reads: a likely slip of the pen.
  [[nodiscard]] std::vector<std::string> unknown_variables() const;

 private:
  void remember(const std::string& flags, CLI::Option* option);
  void parse_flags(const std::vector<std::string>& arguments);
  void parse_environment();
  void parse_file();
  void take_arguments(const std::vector<std::string>& given);
  [[noreturn]] void refuse_unknown(const std::string& flag) const;
  /// Both put the place in front of what `run` throws: a setter of ours, or CLI11 before it gets there.
  void placed(const std::string& flag, const std::function<void()>& run) const;
  void translated(const std::string& flag, const std::function<void()>& run) const;

  std::string usage_;
  std::unique_ptr<CLI::App> app_;
  std::map<std::string, CLI::Option*> options_;  ///< by long name without dashes
  std::vector<std::string> order_;               ///< of their declaration
  std::vector<std::string> plain_flags_;         ///< those without a value, likewise
  std::optional<std::vector<std::string>> argument_names_;
  std::vector<std::string> arguments_;
  bool leaves_others_ = false;
  std::vector<std::string> others_;
  std::function<std::string(const std::string&)> place_;
  std::string file_;
};

/// "max-header" → "BATON_MAX_HEADER".
std::string variable_name(const std::string& setting);

}  // namespace baton
