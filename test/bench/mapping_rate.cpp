// mapping_rate KIND COUNT: how many events a second of processor time are mapped, the jq evaluator's time included.
//
// Used by mapping.py. KIND: body (no mapping), table, jq_field (the table, one field of which is a jq expression) or jq
// (the same document by one expression). It is its own evaluator, as the program is.
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include <sys/resource.h>

#include "common/config.hpp"
#include "common/document_mapping.hpp"
#include "common/jq_evaluator.hpp"

using namespace muskrat;

namespace {

const std::string table = R"(fields:
  - {to: customer.id, from: id}
  - {to: customer.email, from: email, lower: true, trim: true}
  - {to: customer.name, from: [company, username]}
  - {to: customer.phone, from: phone}
  - {to: customer.subdomain, from: subdomain}
  - {to: plan.volume, from: subscription.volume, as: integer}
  - {to: plan.retention, from: subscription.retention, as: integer}
  - {to: plan.rate, from: subscription.rate, as: number}
  - {to: plan.name, from: subscription.plan, lookup: {p1: basic, p2: pro}, default: other}
)";
const std::string expression = R"(jq: |
  {customer: {id, email: (.email | ascii_downcase), name: (.company // .username), phone, subdomain, state: (.state // "new")},
   plan: (.subscription | {volume: (.volume | tonumber), retention: (.retention | tonumber), rate: (.rate | tonumber),
                           name: ({p1: "basic", p2: "pro"}[.plan] // "other")})}
)";

std::string yaml_of(const std::string& kind) {
  if (kind == "table") return table + "  - {to: customer.state, from: state, default: new}\n";
  if (kind == "jq_field") return table + "  - {to: customer.state, jq: '.state // \"new\"'}\n";
  return kind == "jq" ? expression : "{}";
}

double processor_seconds(int who) {
  rusage used{};
  getrusage(who, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

Event event() {
  Event made;
  made.routing_key = "Frontend.Customer.Signup";
  made.message_id = "0190b5f0-6a1c-7a4e-9b1f-3f5d2c1a0b9e";
  made.body =
      R"({"id":48239,"email":"Test@Example.com","phone":"(555)555-5555","subdomain":"logglytest","company":null,)"
      R"("username":"awesome_logger","address":{"street":"1 Long Street","city":"Springfield","zip":"12345"},)"
      R"("subscription":{"volume":"200","retention":"7","rate":"19.90","plan":"p2"},"updated_at":"2026-11-23T21:12:14.000042Z"})";
  return made;
}

void map_all(const std::string& kind, long count) {
  std::vector<Problem> problems;
  const Mapping mapping(parse_settings(mapping_options(), yaml_of(kind), "bench.yaml", problems), problems);
  for (const Problem& problem : problems) throw std::runtime_error(describe(problem));
  const Event one = event();
  for (long n = 0; n < count; ++n)
    if (const Mapped mapped = mapping.apply(one); mapped.state != Mapped::State::document)
      throw std::runtime_error(mapped.text);
}

}  // namespace

int main(int argc, char** argv) {
  if (jq::asked_to_evaluate(argc, argv)) return jq::serve_jq();
  const long count = argc == 3 ? std::strtol(argv[2], nullptr, 10) : 0;
  if (count <= 0) return 2;
  // A thread of its own: its evaluator ends with it, and only then is its time known.
  std::thread([&] {
    try {
      map_all(argv[1], count);
    } catch (const std::exception& error) {
      static_cast<void>(std::fprintf(stderr, "%s\n", error.what()));
      std::_Exit(1);
    }
  }).join();
  std::printf("%.1f\n",
              static_cast<double>(count) / (processor_seconds(RUSAGE_SELF) + processor_seconds(RUSAGE_CHILDREN)));
  return 0;
}
