// Any process. The only file that knows CLI11.
#include "common/settings.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "common/error.hpp"
#include "common/protocol.hpp"
#include "common/units.hpp"

namespace baton {
namespace {

constexpr std::string_view prefix = "BATON_";

std::string long_name(const std::string& flags) {
  return flags.substr(flags.rfind("--") + 2);
}

/// Help whose usage line is ours: CLI11 knows nothing of the command behind "--".
class HelpFormatter final : public CLI::Formatter {
 public:
  explicit HelpFormatter(std::string usage) : usage_(std::move(usage)) {}
  std::string make_usage(const CLI::App* /*app*/, std::string /*name*/) const override {
    return "Usage: " + usage_ + "\n";
  }

 private:
  std::string usage_;
};

/// CLI11 prefixes its messages with the option, and ends some with nothing; ours name the place themselves.
std::string without_prefix(const std::string& message, const std::string& flag) {
  const std::string begin = "--" + flag + ": ";
  return message.starts_with(begin) ? message.substr(begin.size()) : message;
}

}  // namespace

std::string variable_name(const std::string& setting) {
  std::string name(prefix);
  for (const char c : setting) name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return name;
}

Settings::Settings(const std::string& usage, const std::string& description, const std::string& version)
    : usage_(usage), app_(std::make_unique<CLI::App>(description)) {
  app_->formatter(std::make_shared<HelpFormatter>(usage));
  app_->set_help_flag("-h,--help", "Print this help and exit");
  app_->set_version_flag("-V,--version", version, "Print the version and exit");
  app_->get_formatter()->column_width(32);
}

Settings::~Settings() = default;

void Settings::remember(const std::string& flags, CLI::Option* option) {
  options_[long_name(flags)] = option;
  order_.push_back(long_name(flags));
}

void Settings::placed(const std::string& flag, const std::function<void()>& run) const {
  try {
    run();
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}: {}", place_(flag), error.what()));
  }
}

void Settings::translated(const std::string& flag, const std::function<void()>& run) const {
  try {
    run();
  } catch (const CLI::Error& error) {
    throw UsageError(fmt::format("{}: {}", place_(flag), without_prefix(error.what(), flag)));
  }
}

void Settings::add(const std::string& flags, const std::string& value_name, const std::string& help, Set set) {
  const std::string name = long_name(flags);
  auto* option = app_->add_option_function<std::string>(
      flags, [this, name, set = std::move(set)](const std::string& value) { placed(name, [&] { set(value); }); }, help);
  option->type_name(value_name)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  remember(flags, option);
}

void Settings::add_list(const std::string& flags, const std::string& value_name, const std::string& help, SetList set,
                        char separator) {
  const std::string name = long_name(flags);
  auto* option = app_->add_option_function<std::vector<std::string>>(
      flags,
      [this, name, set = std::move(set)](const std::vector<std::string>& values) {
        placed(name, [&] { set(values); });
      },
      help);
  // Without extra arguments CLI11 leaves a value in brackets alone: "[::1]" is an address, not a list.
  option->type_name(value_name)->expected(1)->delimiter(separator)->allow_extra_args(false);
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  remember(flags, option);
}

void Settings::add_switch(const std::string& flags, const std::string& help, bool& value) {
  const std::string name = long_name(flags);
  auto* option = app_->add_flag(flags, help);
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  option->each([this, name, &value](const std::string& text) { placed(name, [&] { value = parse_yes_no(text); }); });
  remember(flags, option);
}

void Settings::add_config(const std::string& flags, const std::string& help) {
  add(flags, "FILE", help, [this](const std::string& path) { file_ = path; });
}

void Settings::add_flag(const std::string& flags, const std::string& help, bool& given) {
  app_->add_flag_function(
      flags, [&given](std::int64_t count) { given = count > 0; }, help);
  plain_flags_.push_back(long_name(flags));
}

void Settings::expect_arguments(const std::vector<std::string>& names) {
  argument_names_ = names;
}

void Settings::set_footer(const std::string& text) {
  app_->footer(text);
}

void Settings::parse(const std::vector<std::string>& arguments) {
  place_ = [](const std::string& flag) { return "--" + flag; };
  parse_flags(arguments);
  place_ = variable_name;
  parse_environment();
  if (file_.empty()) return;
  place_ = [this](const std::string& flag) { return file_ + ": " + flag; };
  parse_file();
}

void Settings::parse_flags(const std::vector<std::string>& arguments) {
  app_->allow_extras();
  try {
    app_->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them last first
  } catch (const CLI::CallForHelp&) {
    throw InformationAsked{app_->help()};
  } catch (const CLI::CallForVersion& version) {
    throw InformationAsked{std::string(version.what()) + "\n"};
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string message = error.what();
    throw UsageError(fmt::format("{}: its value is missing", message.substr(0, message.find(':'))));
  } catch (const CLI::Error& error) {
    throw UsageError(error.what());
  }
  if (leaves_others_)
    others_ = app_->remaining();
  else
    take_arguments(app_->remaining());
}

void Settings::take_arguments(const std::vector<std::string>& given) {
  const std::size_t wanted = argument_names_ ? argument_names_->size() : 0;
  for (const std::string& each : given) {
    // "-1" is a number, whatever CLI11 makes of it.
    const bool is_flag = each.size() > 1 && each[0] == '-' && (each[1] < '0' || each[1] > '9');
    if (each == "--" && argument_names_) continue;
    if (is_flag || arguments_.size() == wanted) refuse_unknown(each);
    arguments_.push_back(each);
  }
  if (argument_names_ && arguments_.size() < argument_names_->size())
    throw UsageError(fmt::format("{} is missing (usage: {})", argument_names_->at(arguments_.size()), usage_));
}

void Settings::refuse_unknown(const std::string& flag) const {
  const bool is_argument = !flag.starts_with('-');
  if (is_argument && argument_names_)
    throw UsageError(fmt::format("unexpected argument \"{}\" (usage: {})", flag, usage_));
  if (is_argument)
    throw UsageError(fmt::format(
        R"(unexpected argument "{0}" (to run a command as the worker, put it after "--": baton -- {0}))", flag));
  std::vector<std::string> known{"--help", "--version"};
  for (const auto& [name, option] : options_) known.push_back("--" + name);
  for (const std::string& name : plain_flags_) known.push_back("--" + name);
  const std::string_view near = nearest_word(flag, known);
  throw UsageError(
      fmt::format("unknown flag {}{}", flag, near.empty() ? "" : fmt::format(" (did you mean {}?)", near)));
}

void Settings::parse_environment() {
  for (const auto& [name, option] : options_) {
    if (option->count() > 0) continue;
    const char* value = std::getenv(variable_name(name).c_str());
    if (value == nullptr || *value == '\0') continue;
    translated(name, [&, chosen = option] {
      chosen->add_result(value);
      chosen->run_callback();
    });
  }
}

void Settings::parse_file() {
  std::error_code ignored;
  const bool is_directory = std::filesystem::is_directory(file_, ignored);
  std::ifstream stream(file_);
  if (is_directory || !stream.is_open())
    throw UsageError(fmt::format("--config: can't read {}: {}", file_, describe_errno(is_directory ? EISDIR : errno)));
  std::vector<CLI::ConfigItem> items;
  try {
    items = CLI::ConfigTOML().from_config(stream);
  } catch (const CLI::Error& parse_error) {
    throw UsageError(fmt::format("{}: {}", file_, parse_error.what()));
  }
  std::map<std::string, CLI::Option*> open;
  for (const auto& [name, option] : options_)
    if (option->count() == 0 && name != "config") open[name] = option;
  for (const CLI::ConfigItem& item : items) {
    if (!item.parents.empty() || item.name == "++")
      throw UsageError(fmt::format("{}: [{}]: there are no sections, only settings", file_,
                                   item.parents.empty() ? item.name : item.parents.front()));
    if (!options_.contains(item.name) || item.name == "config") {
      std::vector<std::string> known;
      known.reserve(options_.size());
      for (const auto& [name, option] : options_) known.push_back(name);
      const std::string_view near = nearest_word(item.name, known);
      throw UsageError(fmt::format("{}: unknown setting \"{}\"{}", file_, item.name,
                                   near.empty() ? "" : fmt::format(" (did you mean {}?)", near)));
    }
    const auto found = open.find(item.name);
    if (found == open.end()) continue;
    CLI::Option* option = found->second;
    translated(item.name, [&] { option->add_result(item.inputs); });
  }
  for (const auto& [name, option] : open)
    if (option->count() > 0) translated(name, [chosen = option] { chosen->run_callback(); });
}

std::vector<SettingDescription> Settings::descriptions() const {
  std::vector<SettingDescription> all;
  for (const std::string& name : order_) {
    if (name == "config") continue;
    const CLI::Option& option = *options_.at(name);
    const bool is_switch = option.get_items_expected_max() == 0;
    all.push_back({name, is_switch ? "" : option.get_type_name(), option.get_description(),
                   option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll, option.results()});
  }
  return all;
}

std::vector<std::string> Settings::unknown_variables() const {
  std::vector<std::string> unknown;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    if (!name.starts_with(prefix) || name == protocol::number_variable || name == protocol::start_variable) continue;
    bool known = false;
    for (const auto& [setting, option] : options_) known = known || variable_name(setting) == name;
    if (!known) unknown.emplace_back(name);
  }
  return unknown;
}

}  // namespace baton
