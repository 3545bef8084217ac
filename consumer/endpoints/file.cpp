// The endpoint kind `file`: one JSON line per event, appended; see docs/endpoints.md for the line's shape.
//
// A batch is one write and one fsync before any of its events counts as done. A line that a crash tore is cut off when
// the file is opened: its event was never acknowledged and comes again. The message ids at the file's end are read back
// then, so that an event whose line is there is recognised.
#include <array>

#include "common/document_mapping.hpp"
#include "common/json.hpp"
#include "consumer/endpoints.hpp"
#include "consumer/endpoints/append_file.hpp"
#include "consumer/endpoints/event_line.hpp"
#include "consumer/endpoints/recent_ids.hpp"

namespace muskrat {
namespace {

constexpr std::array own_options{
    Option{"path", OptionType::text, "", "", "The file to append to; its folder must exist and be writable.", true},
    Option{
        "fsync", OptionType::choice, "batch", "batch|never",
        "When lines are forced to disk: before their events are acknowledged, or when the system likes (a power loss "
        "may then lose acknowledged events)."},
    Option{"rotate_bytes", OptionType::bytes, "256MiB", "4KiB..1TiB",
           "Rotate when the file has grown to this size: it is renamed to <path>.<UTC time> and a new one begun."},
    Option{"rotate_age", OptionType::duration, "1d", "1s..366d", "Rotate when the file has become this old."},
    Option{"keep", OptionType::integer, "0", "0..1000000",
           "How many rotated files to keep, the oldest out first; 0 keeps all."},
};

OptionTable options() {
  static const std::vector<Option> all = joined({own_options, mapping_options()});
  return all;
}

constexpr size_t remembered = 100'000;
constexpr size_t read_back_bytes = size_t{16} << 20;

// The message id of a line of ours; it stands before the body, so the first one found is it.
std::string_view message_id_in(std::string_view line) {
  constexpr std::string_view before = "\"message_id\":\"";
  const size_t start = line.find(before);
  if (start == std::string_view::npos) return {};
  const size_t from = start + before.size();
  return line.substr(from, line.find('"', from) - from);
}

class FileEndpoint : public Endpoint {
 public:
  explicit FileEndpoint(const Settings& settings)
      : file_(settings.text("path"), settings.text("fsync") == "batch", settings.bytes("rotate_bytes"),
              settings.duration("rotate_age"), static_cast<size_t>(settings.integer("keep"))),
        mapping_(settings),
        recent_(remembered) {}

  void connect(Deadline) override {
    file_.open();
    read_back();
  }

  std::vector<Outcome> deliver(std::span<const Event* const> batch, Deadline) override {
    std::vector<Outcome> outcomes;
    outcomes.reserve(batch.size());
    std::string text;
    for (const Event* event : batch) outcomes.push_back(line_up(*event, text));
    file_.append(text);
    for (size_t i = 0; i < batch.size(); ++i)
      if (outcomes[i].fate == Outcome::Fate::done) recent_.add(batch[i]->message_id);
    return outcomes;
  }

  void idle() override { file_.rotate_when_due(); }

 private:
  Outcome line_up(const Event& event, std::string& text) const {
    if (recent_.has(event.message_id)) return {Outcome::Fate::repeated, "", milliseconds(0)};
    const Mapped mapped = mapping_.apply(event);
    if (mapped.state == Mapped::State::failed) return Outcome::dead(mapped.text);
    if (mapped.state == Mapped::State::skipped) return Outcome::skipped(mapped.text);
    text.append(event_line(event, mapped.text)).append("\n");
    return Outcome::done();
  }

  void read_back() {
    recent_.clear();
    const std::string tail = file_.tail(read_back_bytes);
    for (size_t at = 0; at < tail.size();) {
      const size_t end = std::min(tail.find('\n', at), tail.size());
      recent_.add(std::string(message_id_in(std::string_view(tail).substr(at, end - at))));
      at = end + 1;
    }
  }

  AppendFile file_;
  const Mapping mapping_;
  RecentIds recent_;
};

std::unique_ptr<Endpoint> make(const Component& component) {
  return std::make_unique<FileEndpoint>(component.settings);
}

}  // namespace

const EndpointKind& file_endpoint() {
  static const EndpointKind kind{
      {"file", "appends each event as one JSON line to a file, rotated by size and age", options(), check_mapping, 1},
      make,
      1};
  return kind;
}

}  // namespace muskrat
