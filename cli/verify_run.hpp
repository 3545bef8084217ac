// A comparison under way: the source's rows in the order of their key beside the endpoint's, then the endpoint's keys
// beside the source's.
//
// Used by verify.cpp. A row that differs is a suspect: it is looked at again once everything that was committed before
// has come through, and counts only when the source's row was the same both times. So what is under way is no
// difference, and no lock and no long snapshot is needed. Memory is bounded: suspects are dealt with when they are
// many. Neighbours: VerifySource, Mirror, VerifyDelivery, VerifyReport. Thread rule: the main thread.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cli/progress.hpp"
#include "cli/verify_delivery.hpp"
#include "cli/verify_report.hpp"
#include "cli/verify_source.hpp"

namespace muskrat::cli {

class VerifyRun {
 public:
  struct Options {
    std::string source, endpoint;
    int64_t chunk = 1000, rate = 0;  // rows a statement; rows a second, 0 = as fast as it goes
    milliseconds patience{60'000};   // how long rows that keep changing are looked at
    bool values = false, repair = false, json = false;
  };
  // `finders`: by the mirror's table how its keys are found in the source; none where extra rows are not looked for.
  // `digested`: the source's columns that are hashed, where both sides can tell by digests that a range is equal.
  VerifyRun(VerifySource& source, Mirror& mirror, VerifyDelivery& delivery, VerifyReport& report,
            std::vector<std::optional<Finder>> finders, std::optional<Finder> digested, Options options,
            const Stop& stop);
  // To the end (true), or until stop is requested.
  bool run();

 private:
  struct Suspect {
    Finding finding;
    size_t table = 0;
    size_t part = 0;      // the attachment
    KeyTexts source_key;  // of an extra row: none
    KeyTexts target_key;  // of an extra row
    std::string version;  // of the source's row, of an extra one the endpoint's, when it was last looked at
    int looks = 0;        // how often it was found as it was
    bool told = false;    // a repair was sent
  };
  using Suspects = std::vector<Suspect>;
  // What a look at rows of the source found, by (key, attachment, table).
  using Place = std::tuple<KeyTexts, size_t, size_t>;

  void walk_ranges();
  bool same_digest(const KeyRange& range);
  void walk_source(const KeyRange& range);
  void walk_endpoint(size_t table, const KeyRange& range);
  void compare(std::vector<SourceRow>& rows);
  Suspects differences(const std::vector<SourceRow>& rows, bool with_values);
  void add(Suspects&& suspects);

  void settle_suspects();
  void examine(Suspects suspects);
  Suspects look_again(Suspects suspects, bool settled);
  void look_at_rows(Suspects& rows, bool settled, Suspects& left);
  void look_at_extra(Suspects& rows, bool settled, Suspects& left);
  void decide(Suspect&& suspect, bool same, Suspects& left);
  void resolved(const Suspect& suspect);
  void repair(Suspects suspects);

  void pace(int64_t rows);
  void show(const char* what);

  VerifySource& source_;
  Mirror& mirror_;
  VerifyDelivery& delivery_;
  VerifyReport& report_;
  const std::vector<std::optional<Finder>> finders_;
  const std::optional<Finder> digested_;
  const Options options_;
  const Stop& stop_;
  Progress progress_;
  Suspects suspects_, to_repair_;
  int64_t endpoint_rows_ = 0;
  SteadyTime began_{}, due_{};
};

}  // namespace muskrat::cli
