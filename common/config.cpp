#include "common/config.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <sys/stat.h>

#include "common/config_reader.hpp"
#include "common/config_tables.hpp"
#include "common/database_dsn.hpp"
#include "common/event.hpp"
#include "common/secrets.hpp"
#include "common/suggest.hpp"

namespace muskrat {
namespace {

namespace fs = std::filesystem;
using yaml::Node;

constexpr size_t max_file_bytes = 4 << 20;
constexpr size_t max_name_bytes = 64;
constexpr size_t max_include_depth = 8;
constexpr std::array<std::string_view, 7> sections{"include", "broker",   "sources", "endpoints",
                                                   "relay",   "consumer", "log"};

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code ignored;
  if (!file || fs::is_directory(path, ignored)) {
    throw Failure(Remedy::stop, "cannot read the configuration " + path +
                                    "; check the path and its permissions, or name another with --config");
  }
  std::string text;
  text.resize(max_file_bytes + 1);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > max_file_bytes) throw Failure(Remedy::stop, path + " is larger than 4 MiB: no configuration");
  return text;
}

bool good_name(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= max_name_bytes && std::all_of(name.begin(), name.end(), good);
}

std::string objection_to_name(std::string_view name) {
  return good_name(name) ? "" : "a name may hold A-Z a-z 0-9 _ - only, 64 at most";
}

void check_state_dsn(const Settings& section, std::vector<Problem>& problems) {
  check_postgres_dsn(section, "state_dsn", problems);
}

// Reads a file and what it includes into one Config.
class Loader {
 public:
  Loader(const Schema& schema, Loaded& loaded) : schema_(schema), loaded_(loaded), reader_(loaded.problems) {}

  void file(const std::string& path) {
    std::error_code ignored;
    const std::string canonical = fs::weakly_canonical(path, ignored).string();
    files_.push_back(path);
    stack_.push_back(canonical);
    const std::string text = read_file(path);
    if (const auto root = yaml::parse(text, path, loaded_.problems)) document(*root, path);
    stack_.pop_back();
  }

  void finish() {
    defaults();
    for (const std::string& path : reader_.files_with_secrets()) warn_if_readable(path);
    loaded_.config.file = files_.front();
    std::stable_sort(loaded_.problems.begin(), loaded_.problems.end(), [&](const Problem& a, const Problem& b) {
      return std::pair(order(a.where.file), a.where.line) < std::pair(order(b.where.file), b.where.line);
    });
    for (const Problem& problem : loaded_.problems) {
      if (!problem.error) loaded_.config.warnings.push_back(problem);
    }
  }

 private:
  void document(const Node& root, const std::string& path) {
    const std::string folder = fs::path(path).parent_path().empty() ? "." : fs::path(path).parent_path().string();
    reader_.enter(path, folder);
    if (root.kind != Node::Kind::map) {
      return reader_.wrong(root.line, root.kind == Node::Kind::null
                                          ? "the file is empty; `examples/muskrat.yaml` is a start"
                                          : "expected a map with the sections " + listed(sections));
    }
    for (const auto& [key, line, node] : root.members) section(key, node, line);
    // Last, for it leaves this file.
    if (const Node* list = root.find("include")) includes(*list, folder);
  }

  void section(const std::string& key, const Node& node, int line) {
    Config& config = loaded_.config;
    if (key == "include") return;
    if (key == "sources") return components(node, key, schema_.sources, {}, config.sources);
    if (key == "endpoints") return components(node, key, schema_.endpoints, schema_.endpoint_common, config.endpoints);
    if (key == "broker") return fixed(key, line, node, broker_options(), config.broker_settings);
    if (key == "relay") return fixed(key, line, node, schema_.relay, config.relay);
    if (key == "consumer") return fixed(key, line, node, schema_.consumer, config.consumer);
    if (key == "log") return fixed(key, line, node, log_options(), config.log);
    reader_.wrong(line, key + ": unknown section" + did_you_mean(key, sections) + "; allowed are " + listed(sections));
  }

  void fixed(const std::string& key, int line, const Node& node, OptionTable table, Settings& into) {
    const auto [first, is_new] = seen_.try_emplace(key, Where{reader_.file(), line});
    if (!is_new) {
      return reader_.wrong(line, key + ": this section stands in " + first->second.file + ":" +
                                     std::to_string(first->second.line) + " already; keep one");
    }
    into = reader_.read(table, node, key);
    if (key == "broker") broker(node);
    if (key == "relay" || key == "consumer") check_listen(key, into, loaded_.problems);
    if (into.knows("state_dsn")) validate(check_state_dsn, into, key);
  }

  void broker(const Node& node) {
    Config& config = loaded_.config;
    config.topology.prefix = config.broker_settings.text("prefix");
    config.unrouted.bytes = config.broker_settings.section("unrouted").bytes("bytes");
    config.unrouted.age = config.broker_settings.section("unrouted").duration("age");
    check_broker(config.broker_settings, loaded_.problems);
    if (const Node* url = node.find("url"); !url || config.broker_settings.text("url").empty()) return;
    try {
      config.broker = config.broker_now();
    } catch (const Failure& failure) {
      reader_.wrong(config.broker_settings.where("url").line, std::string("broker.url: ") + failure.what());
    }
  }

  void components(const Node& node, const std::string& path, const std::vector<const Kind*>& kinds, OptionTable common,
                  std::vector<Component>& into) {
    if (node.kind == Node::Kind::null) return;
    if (node.kind != Node::Kind::map) {
      return reader_.wrong(node.line,
                           path + ": expected a map from names to maps, as in `" + path + ": {name: {kind: …}}`");
    }
    for (const auto& [name, line, body] : node.members) {
      Component component;
      component.name = name;
      component.where = {reader_.file(), line};
      if (acceptable_name(component, path, into))
        this->component(std::move(component), body, path + "." + name, kinds, common, into);
    }
  }

  bool acceptable_name(const Component& component, const std::string& path, const std::vector<Component>& others) {
    const std::string place = path + "." + component.name + ": ";
    const std::string objection =
        path == "endpoints" ? objection_to_endpoint_name(component.name) : objection_to_name(component.name);
    if (!objection.empty()) {
      reader_.wrong(component.where.line, place + objection);
      return false;
    }
    for (const Component& other : others) {
      if (other.name != component.name) continue;
      reader_.wrong(component.where.line, place + "it stands in " + other.where.file + ":" +
                                              std::to_string(other.where.line) + " already; names are unique");
      return false;
    }
    return true;
  }

  // Without a kind there is no table to check the other keys against, but for this one.
  static std::string mistyped_kind(const Node& body) {
    constexpr std::array<std::string_view, 1> kind{"kind"};
    for (const yaml::Member& member : body.members) {
      if (nearest(member.key, kind)) return " (there is " + member.key + ": did you mean kind?)";
    }
    return {};
  }

  const Kind* kind_of(const Node& body, int line, const std::string& path, const std::vector<const Kind*>& kinds) {
    std::vector<std::string_view> names;
    names.reserve(kinds.size());
    for (const Kind* kind : kinds) names.push_back(kind->name);
    const Node* node = body.find("kind");
    if (!node) {
      reader_.wrong(line,
                    path + ": kind is required and missing" + mistyped_kind(body) + "; there are " + listed(names));
      return nullptr;
    }
    const auto text = reader_.scalar(*node, path + ".kind");
    if (!text) return nullptr;
    const auto found = std::find(names.begin(), names.end(), text->text);
    if (found != names.end()) return kinds[static_cast<size_t>(found - names.begin())];
    reader_.wrong(
        node->line,
        path + (text->text.empty() ? ".kind: it is empty" : ".kind: unknown kind" + did_you_mean(text->text, names)) +
            "; there are " + listed(names));
    return nullptr;
  }

  void component(Component component, const Node& body, const std::string& path, const std::vector<const Kind*>& kinds,
                 OptionTable common, std::vector<Component>& into) {
    if (body.kind != Node::Kind::map) return reader_.wrong(component.where.line, path + ": expected a map with a kind");
    if (const Kind* kind = kind_of(body, component.where.line, path, kinds)) {
      std::vector<Option> table{kind_option()};
      table.insert(table.end(), common.begin(), common.end());
      table.insert(table.end(), kind->options.begin(), kind->options.end());
      for (const KindDefault& ours : kind->defaults)
        for (Option& option : table)
          if (option.name == ours.option) option.default_value = ours.value;
      component.kind = kind->name;
      const size_t before = error_count();
      component.settings = reader_.read(table, body, path);
      if (path.starts_with("endpoints.")) check_lanes(*kind, component.settings, path);
      // A rule across options has nothing to go by where an option is wrong.
      const bool sound = error_count() == before;
      if (kind->validate && sound) validate(kind->validate, component.settings, path);
      if (schema_.validate_endpoint && sound && path.starts_with("endpoints."))
        validate(schema_.validate_endpoint, component.settings, path);
    }
    if (const Node* patterns = body.find("subscribe")) subscriptions(*patterns, path + ".subscribe");
    into.push_back(std::move(component));
  }

  void check_lanes(const Kind& kind, const Settings& settings, const std::string& path) {
    if (!settings.given("lanes") || settings.integer("lanes") <= kind.most_lanes) return;
    reader_.wrong(settings.where("lanes").line, path + ".lanes: the kind " + std::string(kind.name) +
                                                    " works with at most " + std::to_string(kind.most_lanes));
  }

  using Rules = void (*)(const Settings& settings, std::vector<Problem>& problems);
  void validate(Rules rules, const Settings& settings, const std::string& path) {
    const size_t first = loaded_.problems.size();
    rules(settings, loaded_.problems);
    for (size_t i = first; i < loaded_.problems.size(); ++i) {
      loaded_.problems[i].text.insert(0, path + ": ");
    }
  }

  void subscriptions(const Node& node, const std::string& path) {
    if (node.kind == Node::Kind::list) {
      for (const Node& item : node.items) subscriptions(item, path);
      return;
    }
    const Resolved pattern = resolve_references(node.text, reader_.folder());
    std::string why;
    if (node.kind != Node::Kind::scalar || !pattern.error.empty() || binding_of_pattern(pattern.text, &why)) return;
    const std::string shown = pattern.indirect ? node.text : pattern.text;
    reader_.wrong(node.line, path + ": \"" + shown + "\" can match no event: " + why);
  }

  void includes(const Node& node, const std::string& folder) {
    if (node.kind == Node::Kind::list) {
      for (const Node& item : node.items) includes(item, folder);
      return;
    }
    const std::string includer = reader_.file();
    const auto name = reader_.scalar(node, "include");
    if (!name) return;
    if (name->text.empty()) return reader_.wrong(node.line, "include: names no file");
    include(fs::path(name->text).is_absolute() ? name->text : folder + "/" + name->text, node.line);
    reader_.enter(includer, folder);
  }

  void include(const std::string& path, int line) {
    std::error_code ignored;
    const std::string canonical = fs::weakly_canonical(path, ignored).string();
    if (std::find(stack_.begin(), stack_.end(), canonical) != stack_.end()) {
      return reader_.wrong(line, "include: " + path + " includes this file in turn; a cycle has no end");
    }
    if (stack_.size() >= max_include_depth) return reader_.wrong(line, "include: nested deeper than 8 files");
    try {
      file(path);
    } catch (const Failure& failure) {
      stack_.pop_back();
      reader_.wrong(line, std::string("include: ") + failure.what());
    }
  }

  void defaults() {
    Config& config = loaded_.config;
    if (!seen_.contains("broker")) {
      loaded_.problems.push_back(
          {{files_.front(), 1}, "the section broker is missing: broker: {url: amqp://user@host/vhost}"});
      config.broker_settings = default_settings(broker_options());
    }
    if (!seen_.contains("relay")) config.relay = default_settings(schema_.relay);
    if (!seen_.contains("consumer")) config.consumer = default_settings(schema_.consumer);
    if (!seen_.contains("log")) config.log = default_settings(log_options());
  }

  void warn_if_readable(const std::string& path) {
    struct stat info {};
    // The group is who runs the daemons, where the file is an administrator's.
    if (::stat(path.c_str(), &info) != 0 || (info.st_mode & S_IROTH) == 0) return;
    loaded_.problems.push_back({{path, 1}, "this file holds a secret and others may read it: chmod o= " + path, false});
  }

  size_t error_count() const {
    return static_cast<size_t>(std::count_if(loaded_.problems.begin(), loaded_.problems.end(),
                                             [](const Problem& problem) { return problem.error; }));
  }

  size_t order(const std::string& file) const {
    return static_cast<size_t>(std::find(files_.begin(), files_.end(), file) - files_.begin());
  }

  const Schema& schema_;
  Loaded& loaded_;
  ConfigReader reader_;
  std::vector<std::string> files_;  // in the order of reading
  std::vector<std::string> stack_;  // canonical paths from the first file to the current one
  std::map<std::string, Where> seen_;
};

}  // namespace

std::string objection_to_endpoint_name(std::string_view name) {
  if (name == "unrouted" || name == "dead") return "this name is taken by a queue or exchange of Muskrat's own";
  return objection_to_name(name);
}

bool Loaded::ok() const {
  return std::none_of(problems.begin(), problems.end(), [](const Problem& problem) { return problem.error; });
}

Loaded load_config(const std::string& path, const Schema& schema) {
  Loaded loaded;
  Loader loader(schema, loaded);
  loader.file(path);
  loader.finish();
  return loaded;
}

Settings parse_settings(OptionTable table, const std::string& yaml, const std::string& file,
                        std::vector<Problem>& problems) {
  ConfigReader reader(problems);
  reader.enter(file, ".");
  const auto root = yaml::parse(yaml, file, problems);
  return reader.read(table, root ? *root : Node{}, "");
}

}  // namespace muskrat
