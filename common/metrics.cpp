#include "common/metrics.hpp"

#include <mutex>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace muskrat::metrics {

namespace {

// All series of one kind: the library's families by name, our handles by name and labels. Handles are never freed:
// components keep references for as long as the process lives.
template <typename Series, typename Handle>
struct Shelf {
  std::map<std::string, prometheus::Family<Series>*> families;
  std::map<std::pair<std::string, Labels>, std::unique_ptr<Handle>> handles;
};

struct Store {
  std::mutex mutex;
  prometheus::Registry registry;
  Shelf<prometheus::Counter, Counter> counters;
  Shelf<prometheus::Gauge, Gauge> gauges;
  Shelf<prometheus::Histogram, Histogram> histograms;
};

Store& store() {
  // Never destroyed: a thread that outlives main's statics may still count.
  static Store& instance = *new Store;
  return instance;
}

const prometheus::Histogram::BucketBoundaries& seconds() {
  static const prometheus::Histogram::BucketBoundaries bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                              0.5,   1,      2.5,   5,    10,    25,   50,  100};
  return bounds;
}

template <typename Series, typename Builder>
prometheus::Family<Series>& family(std::map<std::string, prometheus::Family<Series>*>& families, Builder builder,
                                   const std::string& name, const std::string& help) {
  auto& known = families[name];
  if (known == nullptr) known = &builder.Name(name).Help(help).Register(store().registry);
  return *known;
}

template <typename Handle>
Handle& make(std::unique_ptr<Handle>& slot) {
  slot = std::make_unique<Handle>();
  return *slot;
}

template <typename Series>
Series& series(void* handle) {
  return *static_cast<Series*>(handle);
}

prometheus::MetricFamily family_of(const Snapshot& gauge) {
  prometheus::MetricFamily family{gauge.name, gauge.help, prometheus::MetricType::Gauge, {}};
  for (const auto& [labels, value] : gauge.series) {
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    for (const auto& [name, text] : labels) metric.label.push_back({name, text});
    metric.gauge.value = value;
  }
  return family;
}

}  // namespace

void Counter::add(double n) { series<prometheus::Counter>(series_).Increment(n); }
void Gauge::set(double value) { series<prometheus::Gauge>(series_).Set(value); }
double Gauge::value() const { return series<prometheus::Gauge>(series_).Value(); }
void Histogram::observe(double seconds) { series<prometheus::Histogram>(series_).Observe(seconds); }

Counter& counter(const std::string& name, const std::string& help, const Labels& labels) {
  std::lock_guard lock(store().mutex);
  auto& slot = store().counters.handles[{name, labels}];
  if (slot) return *slot;
  make(slot).series_ = &family(store().counters.families, prometheus::BuildCounter(), name, help).Add(labels);
  return *slot;
}

Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels) {
  std::lock_guard lock(store().mutex);
  auto& slot = store().gauges.handles[{name, labels}];
  if (slot) return *slot;
  make(slot).series_ = &family(store().gauges.families, prometheus::BuildGauge(), name, help).Add(labels);
  return *slot;
}

Histogram& histogram(const std::string& name, const std::string& help, const Labels& labels) {
  std::lock_guard lock(store().mutex);
  auto& slot = store().histograms.handles[{name, labels}];
  if (slot) return *slot;
  auto& all = family(store().histograms.families, prometheus::BuildHistogram(), name, help);
  make(slot).series_ = &all.Add(labels, seconds());
  return *slot;
}

std::string render(const Snapshot& also) {
  std::vector<prometheus::MetricFamily> all = store().registry.Collect();
  if (!also.series.empty()) all.push_back(family_of(also));
  return prometheus::TextSerializer().Serialize(all);
}

}  // namespace muskrat::metrics
