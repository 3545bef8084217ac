#include "consumer/jobs.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>

#include "common/json.hpp"
#include "common/log.hpp"
#include "common/threads.hpp"
#include "common/utc_text.hpp"

namespace muskrat {
namespace {

using std::chrono::steady_clock;

constexpr const char* place = "jobs";
constexpr milliseconds look_every{1'000};
constexpr milliseconds say_again_every{10'000};
constexpr milliseconds believed{60'000};
constexpr milliseconds answer_span{5'000};
constexpr milliseconds forgotten = std::chrono::hours(1);  // whose events never came again

int64_t us(milliseconds span) { return std::chrono::microseconds(span).count(); }

std::string text_of(const std::string& endpoint, const Job& job) {
  return json::Object()
      .add("endpoint", endpoint)
      .add("id", job.id)
      .add("what", job.what)
      .add("records", static_cast<int64_t>(job.records))
      .add("since", job.since_us)
      .add("state", job.state)
      .add("heard", job.heard_us)
      .text();
}

std::string member(const json::Value& root, const char* name) {
  const auto value = root.find(name);
  return value && value->type() == json::Type::string ? std::string(value->string()) : "";
}

int64_t number(const json::Value& root, const char* name) {
  const auto value = root.find(name);
  const std::string digits = value && value->type() == json::Type::number ? std::string(value->number()) : "";
  int64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

}  // namespace

Jobs::Jobs(const Settings& consumer) : consumer_(consumer) {
  thread_ = std::thread([this] {
    name_this_thread("jobs");
    while (!quit_.wait(look_every)) write();
  });
}

Jobs::~Jobs() {
  quit_.request();
  thread_.join();
  if (!failing_) try_to({}, false);  // nobody is there any more who could say what becomes of them
}

void Jobs::set(const std::string& endpoint, Job job) {
  job.heard_us = wall_clock_us();
  std::lock_guard lock(mutex_);
  const Key key{endpoint, job.id};
  ended_.erase(key);
  jobs_[key] = std::move(job);
}

void Jobs::end(const std::string& endpoint, const std::string& id) {
  std::lock_guard lock(mutex_);
  jobs_.erase({endpoint, id});
  ended_.insert({endpoint, id});
}

std::vector<Job> Jobs::of(const std::string& endpoint) const {
  std::vector<Job> found;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [key, job] : jobs_)
      if (key.first == endpoint) found.push_back(job);
  }
  std::stable_sort(found.begin(), found.end(), [](const Job& a, const Job& b) { return a.since_us < b.since_us; });
  return found;
}

void Jobs::write() {
  std::map<Key, Job> jobs;
  {
    std::lock_guard lock(mutex_);
    const int64_t now_us = wall_clock_us();
    std::erase_if(jobs_, [&](const auto& one) { return one.second.heard_us < now_us - us(forgotten); });
    jobs = jobs_;
    for (const Key& key : std::exchange(ended_, {})) written_.try_emplace(key);
  }
  const bool again = steady_clock::now() - said_at_ > say_again_every;
  try_to(jobs, again);
  if (again) said_at_ = steady_clock::now();
}

void Jobs::try_to(const std::map<Key, Job>& jobs, bool again) {
  if (jobs.empty() && written_.empty()) return;
  try {
    const Deadline deadline = Deadline::in(answer_span);
    if (!store_) {
      store_ = state::open_store(consumer_, deadline);
      for (const auto& left : store_->calls(place, deadline))  // by hosts that were killed
        if (left.until_us <= wall_clock_us()) store_->forget_call(place, left.id, deadline);
    }
    const auto id_of = [](const Key& key) { return key.first + " " + key.second; };
    for (auto it = written_.begin(); it != written_.end();) {
      const bool over = !jobs.contains(it->first);
      if (over) store_->forget_call(place, id_of(it->first), deadline);
      it = over ? written_.erase(it) : std::next(it);
    }
    for (const auto& [key, job] : jobs) {
      std::string text = text_of(key.first, job);
      const auto known = written_.find(key);
      if (!again && known != written_.end() && known->second == text) continue;
      store_->note_call(place, {id_of(key), wall_clock_us() + us(believed), text}, deadline);
      written_[key] = std::move(text);
    }
    failing_ = false;
  } catch (const std::exception& error) {
    store_.reset();
    if (!std::exchange(failing_, true))
      log::warning("consumer", "jobs under way cannot be noted",
                   {{"state", state::describe(consumer_)}, {"why", error.what()}});
  }
}

JobListing::JobListing(Jobs* jobs, std::string endpoint, std::string what, size_t records)
    : jobs_(jobs), endpoint_(std::move(endpoint)) {
  job_.what = std::move(what);
  job_.records = records;
}

JobListing::~JobListing() {
  if (jobs_ != nullptr && !job_.id.empty()) jobs_->end(endpoint_, job_.id);
}

void JobListing::heard(const std::string& id, const std::string& state) {
  if (job_.id.empty()) job_.since_us = wall_clock_us();
  job_.id = id;
  job_.state = state;
  if (jobs_ != nullptr) jobs_->set(endpoint_, job_);
}

std::map<std::string, std::vector<Job>> read_jobs(state::Store& store, Deadline deadline) {
  std::map<std::string, std::vector<Job>> jobs;
  for (const auto& listed : store.calls(place, deadline)) {
    if (listed.until_us <= wall_clock_us()) continue;
    const auto call = store.call(place, listed.id, deadline);
    std::string why;
    const auto document = call ? json::Document::parse(call->text, why) : std::nullopt;
    if (!document || document->root().type() != json::Type::object) continue;
    const auto root = document->root();
    jobs[member(root, "endpoint")].push_back({member(root, "id"), member(root, "what"),
                                              static_cast<size_t>(number(root, "records")), number(root, "since"),
                                              member(root, "state"), number(root, "heard")});
  }
  for (auto& [endpoint, list] : jobs)
    std::stable_sort(list.begin(), list.end(), [](const Job& a, const Job& b) { return a.since_us < b.since_us; });
  return jobs;
}

std::string describe(const Job& job) {
  return std::to_string(job.records) + " records, " + job.state + ", since " + utc_text(job.since_us);
}

}  // namespace muskrat
