#include "cli/refusal.hpp"

namespace muskrat::cli {

void explain_refusal(const pg::SqlError& error, const std::string& place, std::string_view what,
                     std::string_view needs) {
  const std::string& state = error.sqlstate();
  if (state == "42501") throw Failure(Remedy::stop, place + ": " + error.what() + "; " + std::string(needs));
  if (state == "3F000" || state == "42883") no_extension(error, place, what);
  throw;
}

std::string see_attachments_needs(const std::string& source) {
  return "to see what is attached takes the role muskrat_monitor (or muskrat_attach): GRANT muskrat_monitor TO the "
         "user "
         "of the source " +
         source + ", or name another user with --dsn";
}

void no_extension(const pg::SqlError& error, const std::string& place, std::string_view what) {
  throw Failure(Remedy::stop, "the extension muskrat is not in " + place + ", or is too old to " + std::string(what) +
                                  " (" + error.what() +
                                  "): CREATE EXTENSION muskrat, or ALTER EXTENSION muskrat UPDATE");
}

}  // namespace muskrat::cli
