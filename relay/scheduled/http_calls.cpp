#include "relay/scheduled/http_calls.hpp"

#include <algorithm>
#include <utility>

#include "common/clock.hpp"

namespace muskrat {
namespace {

constexpr int most_tries = 8;
constexpr int64_t second_us = 1'000'000;
constexpr auto longest_rest = std::chrono::hours(24);

constexpr Option options[] = {
    {"requests", OptionType::integer, "10", "1..1000", "Most requests in a second."},
    {"timeout", OptionType::duration, "30s", "1s..45s", "How long an answer may take."},
    {"response_bytes", OptionType::bytes, "16MiB", "1KiB..1GiB",
     "How large a page may be, decompressed; a larger one fails the run."},
    {"ca_file", OptionType::text, "", "",
     "The certificate authorities (PEM) that may vouch for the server. Default: the system's."},
    {"proxy", OptionType::choice, "none", "none|environment",
     "Whether https_proxy and its kind in the environment are obeyed."},
};

http::Options http_options(const Settings& settings) {
  http::Options o;
  o.response_bytes = static_cast<size_t>(settings.bytes("response_bytes"));
  o.ca_file = settings.text("ca_file");
  o.proxy_from_environment = settings.text("proxy") == "environment";
  return o;
}

milliseconds pause_after(int tries) { return std::chrono::seconds(std::min(30, 1 << (tries - 1))); }

class TooLarge : public Failure {
 public:
  explicit TooLarge(const std::string& url)
      : Failure(Remedy::reconnect, http::origin_of(url) +
                                       " sent a page larger than response_bytes; ask for less in a page, or allow "
                                       "more") {}
};

}  // namespace

OptionTable http_calls_options() { return options; }

bool may_pass(const http::Response& response) {
  const int status = response.status;
  return status == 408 || status == 425 || status == 429 || status >= 500;
}

std::chrono::microseconds pause_between(int64_t requests) {
  return std::chrono::microseconds((second_us + requests - 1) / requests);
}

HttpCalls::HttpCalls(const Settings& settings, const Stop& stop, Passes passes)
    : settings_(settings), stop_(stop), passes_(std::move(passes)), client_(http_options(settings), &stop_) {}

http::Response HttpCalls::send(const http::Request& request, Run* run) {
  for (int tries = 1;; ++tries) {
    if (run != nullptr) wait_our_turn(*run);
    auto response = answered(request, tries, run);
    if (!response) continue;
    const bool again = run != nullptr && tries < most_tries && passes_(*response);
    if (!again || !wait_before_next(*response, tries, *run)) return std::move(*response);
  }
}

int64_t HttpCalls::now_us() const { return wall_clock_us() + ahead_us_.value_or(0); }

http::Response HttpCalls::whole(const http::Request& request) {
  http::Response response = client_.send(request, deadline());
  if (const auto date = response.header("Date"))
    if (const auto there = http::date_of(*date)) ahead_us_ = *there * second_us - wall_clock_us();
  if (response.cut && response.body.size() >= static_cast<size_t>(settings_.bytes("response_bytes")))
    throw TooLarge(request.url);
  if (response.cut) throw Failure(Remedy::reconnect, http::origin_of(request.url) + " ended its answer in the middle");
  return response;
}

// Nothing when there was no whole answer, and it is to be asked again.
std::optional<http::Response> HttpCalls::answered(const http::Request& request, int tries, Run* run) {
  try {
    return whole(request);
  } catch (const TooLarge&) {
    throw;
  } catch (const Failure& failure) {
    if (run == nullptr || tries == most_tries || stop_.requested()) throw;
    run->rest(pause_after(tries), failure.what());
    return std::nullopt;
  }
}

bool HttpCalls::wait_before_next(const http::Response& response, int tries, Run& run) {
  const auto asked = response.header("Retry-After");
  const auto pause = asked ? http::retry_after(*asked, wall_clock_us() / second_us) : std::nullopt;
  if (pause && *pause > longest_rest) return false;
  return run.rest(pause.value_or(pause_after(tries)), "answered with status " + std::to_string(response.status));
}

void HttpCalls::wait_our_turn(Run& run) {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (next_ > now) run.rest(std::chrono::ceil<milliseconds>(next_ - now));
  if (stop_.requested()) throw Failure(Remedy::reconnect, "asked to stop");
  next_ = std::max(next_, now) + pause_between(settings_.integer("requests"));
}

}  // namespace muskrat
