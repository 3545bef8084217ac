// The class behind verify_source.hpp for PostgreSQL: muskrat.row_as_event and the functions of sql/verify.sql.
//
// Used by verify_source.cpp. Thread rule: the main thread.
#pragma once

#include <string>
#include <vector>

#include "cli/verify_source.hpp"
#include "common/pg.hpp"

namespace muskrat::cli {

class PgVerifySource : public VerifySource {
 public:
  PgVerifySource(const Component& source, const std::string& dsn, const std::string& table,
                 const std::string& attachment);

  const VerifyPlan& plan() const override { return plan_; }
  void keep(const std::function<bool(const VerifyPlan::Part&)>& meant) override;
  int64_t walk(const KeyRange& range, int64_t most, const std::function<void(SourceRow&&)>& row) override;
  std::vector<SourceRow> again(std::span<const KeyTexts> keys) override;
  std::optional<Finder> finder(const std::vector<std::string>& columns, const std::vector<std::string>& endpoint_types,
                               std::string& why) override;
  std::vector<bool> absent(const Finder& finder, std::span<const KeyTexts> values) override;
  std::optional<Finder> digestible(const std::vector<std::string>& columns,
                                   const std::vector<std::string>& endpoint_types) override;
  KeyTexts range_end(const KeyTexts& after, int64_t rows) override;
  RangeDigest digest(const Finder& columns, const KeyRange& range) override;
  std::string position() override;
  Passed passed(const std::string& position) override;
  std::string repair(const std::string& endpoint, std::span<const KeyTexts> keys) override;

 private:
  void read_plan(const std::string& table, const std::string& attachment);
  // Whether the key has the same order in every database.
  bool key_has_one_order();
  std::string type_of(const std::string& column);
  // The parameters view the range's texts.
  std::string in_range(const KeyRange& range, std::vector<pg::Param>& params) const;
  std::string key_list(const char* cast) const;
  std::string again_sql() const;
  std::string row_sql(const std::string& rows) const;
  std::string relation() const { return (partitioned_ ? "" : "ONLY ") + plan_.table; }
  std::string means(const std::string& alias) const;
  SourceRow read(const pg::Result& rows, int i) const;
  pg::Result ask(const std::string& sql, std::span<const pg::Param> params);

  const Component& source_;
  pg::Connection db_;
  const std::string place_;
  VerifyPlan plan_;
  std::string oid_;
  bool partitioned_ = false;
  std::vector<std::string> key_types_;  // quoted, for casts
};

}  // namespace muskrat::cli
