#include "cli/verify_source.hpp"

#include "cli/exit.hpp"
#include "cli/verify_mysql.hpp"
#include "cli/verify_postgres.hpp"

namespace muskrat::cli {

Event event_of(const VerifyPlan::Part& part, const std::string& source) {
  Event event;
  event.routing_key = part.object + ".Backfill";
  event.source = source;
  event.op = Op::backfill;
  event.as = part.words;
  return event;
}

std::unique_ptr<VerifySource> open_verify_source(const Component& source, const std::string& dsn,
                                                 const std::string& table, const std::string& attachment) {
  if (source.kind == "mysql") return open_mysql_verify(source, dsn, table, attachment);
  if (source.kind != "postgres")
    throw UsageError("the source " + source.name + " is of kind " + source.kind +
                     "; tables of sources of the kinds postgres and mysql can be verified");
  return std::make_unique<PgVerifySource>(source, dsn, table, attachment);
}

}  // namespace muskrat::cli
