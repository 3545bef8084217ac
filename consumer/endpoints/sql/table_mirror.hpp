// What the mirrors of the endpoint kinds that keep tables share: which routes can be compared and which not, what fills
// their tables beside this object, and how a batch whose rows the server will not take is halved until one stands
// alone.
//
// Used by postgres/mirror.cpp and mysql/mirror.cpp, which bring the SQL. Neighbours: rows.hpp makes rows of events as
// for a delivery. Thread rule: one thread.
#pragma once

#include <string>
#include <vector>

#include "common/config.hpp"
#include "consumer/endpoints/sql/rows.hpp"
#include "consumer/mirror.hpp"

namespace muskrat::sql {

class TableMirror : public Mirror {
 public:
  explicit TableMirror(const Component& component);

  void connect(std::span<const Event> told, Deadline deadline) override;
  const std::vector<MirroredTable>& tables() const override { return tables_; }
  bool takes(const Event& event) const override;
  bool reached_by(size_t table, const std::string& routing_key) const override;
  std::vector<Discrepancy> compare(std::span<const Event> events, bool with_values, Deadline deadline) override;

 protected:
  using Rows = std::vector<const Row*>;

  // A route's table as the server has it.
  struct Shape {
    std::string identity;            // as stored in the endpoint's record of what came from where
    std::vector<std::string> types;  // of the route's columns
    std::vector<size_t> walk;        // the key's columns in the order of its index
  };

  // Failures of these name what is wrong; connect() says of which endpoint.
  virtual void open(Deadline deadline) = 0;
  virtual Shape discover(size_t table, Deadline deadline) = 0;
  // "object of source name" when the endpoint's record says that others came into the table; else "".
  virtual std::string other_origin(size_t table, const std::string& source, const std::string& object,
                                   Deadline deadline) = 0;
  // Whether both databases can add up digests of the same values.
  virtual bool digests() const { return false; }
  virtual std::optional<std::string> text_of(size_t table, size_t column, const FieldValue& field,
                                             std::string& why) const = 0;
  // The rows that are missing or different. False when the server refuses them for what one of them holds.
  virtual bool ask(const Rows& rows, const std::vector<size_t>& columns, const std::vector<size_t>& compared,
                   bool with_values, std::vector<Discrepancy>& found, Deadline deadline) = 0;
  // Of a row that ask() would not take by itself: the columns that hold it up, and why.
  virtual Discrepancy refused(const Row& row, const std::vector<size_t>& columns, Deadline deadline) = 0;

  const Settings& settings() const { return settings_; }
  const std::string& name() const { return name_; }
  const Route& route(size_t table) const { return compared_[table]; }
  const Shape& shape(size_t table) const { return shapes_[table]; }
  std::vector<size_t> copied_columns(size_t table) const;

 private:
  void describe(std::span<const Event> told);
  MirroredTable described(const Route& route) const;
  void find_others(std::span<const Event> told, Deadline deadline);
  bool plain(size_t table) const;
  std::string other_route(size_t table, const std::string& object) const;
  std::vector<std::string> bindings_of(const Route& route) const;
  std::vector<size_t> compared_columns(size_t table, const std::vector<size_t>& columns) const;
  void compare(const Rows& rows, const std::vector<size_t>& columns, bool with_values, std::vector<Discrepancy>& found,
               Deadline deadline);

  const Settings& settings_;
  const std::string name_;
  std::vector<Route> routes_, compared_;  // all; those of tables_, by the same index
  std::vector<MirroredTable> tables_;
  std::vector<Shape> shapes_;
};

}  // namespace muskrat::sql
