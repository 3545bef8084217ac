#include "common/health_page.hpp"

#include <algorithm>

namespace muskrat {

namespace {

// Components beat at least every 30 s; twice that is stuck.
constexpr auto stuck_after = std::chrono::seconds(60);

// One that has ended (its why says so) cannot be helped by restarting the process: readiness tells of it.
bool stuck(const StatusBoard::Row& row, SteadyTime now) {
  return row.state != "stopped" && now - row.beat > stuck_after;
}

int64_t beat_age(const StatusBoard::Row& row, SteadyTime now) {
  return std::max<int64_t>(0, std::chrono::duration_cast<std::chrono::seconds>(now - row.beat).count());
}

std::string escape(std::string_view text) {
  std::string safe;
  for (char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

json::Object row_json(const StatusBoard::Row& row, SteadyTime now) {
  json::Object object, figures;
  for (const auto& [name, value] : row.figures) figures.add(name, value);
  object.add("name", row.name).add("state", row.state).add("ready", row.ready).add("why", row.why);
  object.add("seconds_since_beat", beat_age(row, now)).add("figures", figures);
  return object;
}

constexpr std::string_view page_head = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Muskrat</title>
<style>
:root{--back:#f6f7f5;--card:#fff;--text:#1d2420;--soft:#5f6b64;--line:#dfe4e0;--good:#1f7a4d;--bad:#b3402a;--idle:#8a6d1d}
@media(prefers-color-scheme:dark){:root{--back:#141816;--card:#1d2320;--text:#e6ebe8;--soft:#98a49d;--line:#2d3531;
--good:#5cc28f;--bad:#f0876f;--idle:#d9b551}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--text);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:60rem;margin:0 auto;padding:2rem 1rem}
header{display:flex;align-items:baseline;gap:.75rem;margin-bottom:1.25rem}
h1{font-size:1.4rem;margin:0}header span{color:var(--soft)}
section{background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem 1.25rem;margin-bottom:.9rem}
h2{font-size:1rem;margin:0;display:flex;justify-content:space-between;gap:1rem}
.state{font-weight:600;color:var(--idle)}.ready .state{color:var(--good)}.stuck .state{color:var(--bad)}
p{margin:.35rem 0 0;color:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(9rem,1fr));gap:.6rem 1rem;margin:.9rem 0 0}
dt{font-size:.8rem;color:var(--soft)}dd{margin:0;font-variant-numeric:tabular-nums;font-weight:600}
footer{color:var(--soft);font-size:.85rem}footer a{color:inherit}
</style></head><body><main>
)";

constexpr std::string_view page_foot =
    R"(<footer><a href="/status">status as JSON</a> &middot; <a href="/metrics">metrics</a> &middot; reloads every 5 s</footer>
</main></body></html>
)";

std::string figures_html(const StatusBoard::Row& row) {
  if (row.figures.empty()) return "";
  std::string html = "<dl>";
  for (const auto& [name, value] : row.figures)
    html += "<div><dt>" + escape(name) + "</dt><dd>" + escape(value) + "</dd></div>";
  return html + "</dl>";
}

std::string card(const StatusBoard::Row& row, SteadyTime now) {
  bool is_stuck = stuck(row, now);
  std::string look = is_stuck ? "stuck" : row.ready ? "ready" : "waiting";
  std::string html = "<section class=\"" + look + "\"><h2>" + escape(row.name) + "<span class=\"state\">" +
                     escape(is_stuck ? "stuck" : row.state) + "</span></h2>";
  if (is_stuck) html += "<p>no sign of life for " + std::to_string(beat_age(row, now)) + " s</p>";
  if (!row.why.empty()) html += "<p>" + escape(row.why) + "</p>";
  return html + figures_html(row) + "</section>\n";
}

std::string summary(const std::vector<StatusBoard::Row>& rows) {
  auto ready = std::count_if(rows.begin(), rows.end(), [](const auto& row) { return row.ready; });
  return std::to_string(ready) + " of " + std::to_string(rows.size()) + " ready";
}

}  // namespace

Verdict alive(const std::vector<StatusBoard::Row>& rows, SteadyTime now) {
  for (const auto& row : rows)
    if (stuck(row, now))
      return {false, row.name + " is stuck: no sign of life for " + std::to_string(beat_age(row, now)) + " s\n",
              "stuck\n"};
  return {true, "ok\n", "ok\n"};
}

Verdict ready(const std::vector<StatusBoard::Row>& rows) {
  bool all = true;
  json::Object reasons;
  for (const auto& row : rows) {
    all = all && row.ready;
    if (!row.ready) reasons.add(row.name, row.why.empty() ? row.state : row.state + ": " + row.why);
  }
  return {all, json::Object().add("ready", all).add("waiting_for", reasons).text() + "\n",
          json::Object().add("ready", all).text() + "\n"};
}

metrics::Snapshot readiness(const std::vector<StatusBoard::Row>& rows, SteadyTime now) {
  metrics::Snapshot gauge{
      "muskrat_ready", "1 while the source or endpoint is ready, as /readyz has it, and alive.", {}};
  for (const auto& row : rows) {
    const size_t space = row.name.find(' ');
    if (space == std::string::npos) continue;
    const bool well = row.ready && !stuck(row, now);
    gauge.series.push_back({{{row.name.substr(0, space), row.name.substr(space + 1)}}, well ? 1.0 : 0.0});
  }
  return gauge;
}

std::string status_json(const std::vector<StatusBoard::Row>& rows, SteadyTime now) {
  std::vector<json::Object> components;
  components.reserve(rows.size());
  for (const auto& row : rows) components.push_back(row_json(row, now));
  json::Object document;
  document.add("version", MUSKRAT_VERSION).add("alive", alive(rows, now).ok).add("ready", ready(rows).ok);
  document.add("components", components);
  return document.pretty() + "\n";
}

std::string status_page(const std::vector<StatusBoard::Row>& rows, SteadyTime now) {
  std::string html(page_head);
  html += "<header><h1>Muskrat</h1><span>" MUSKRAT_VERSION " &middot; " + summary(rows) + "</span></header>\n";
  for (const auto& row : rows) html += card(row, now);
  if (rows.empty()) html += "<section><h2>Nothing runs here yet</h2></section>\n";
  return html + std::string(page_foot);
}

}  // namespace muskrat
