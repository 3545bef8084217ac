// Metrics in Prometheus' terms. prometheus-cpp is included in metrics.cpp alone.
//
// Components ask for a series once and keep the handle; handles live as long as
// the process. Names: muskrat_<what>_<unit>[_total]; labels source= or
// endpoint=. test/golden/metrics.txt lists them all. Thread rule: any thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace muskrat::metrics {

using Labels = std::map<std::string, std::string>;

class Counter {
 public:
  void add(double n = 1);

 private:
  friend Counter& counter(const std::string&, const std::string&, const Labels&);
  void* series_ = nullptr;
};
class Gauge {
 public:
  void set(double value);
  double value() const;

 private:
  friend Gauge& gauge(const std::string&, const std::string&, const Labels&);
  void* series_ = nullptr;
};
class Histogram {
 public:
  void observe(double seconds);  // buckets from 1 ms to 100 s

 private:
  friend Histogram& histogram(const std::string&, const std::string&, const Labels&);
  void* series_ = nullptr;
};

Counter& counter(const std::string& name, const std::string& help, const Labels& labels);
Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels);
Histogram& histogram(const std::string& name, const std::string& help, const Labels& labels);

// A gauge that nobody keeps: its series are those of this moment, and one whose object is gone leaves nothing behind.
struct Snapshot {
  std::string name, help;
  std::vector<std::pair<Labels, double>> series;
};

// The exposition text of everything registered, and of `also` where it has series.
std::string render(const Snapshot& also = {});

}  // namespace muskrat::metrics
