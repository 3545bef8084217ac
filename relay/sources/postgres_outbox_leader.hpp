// The postgres source while it leads: reads through the snapshot cursor, and moves it.
//
// Used by postgres_outbox.cpp. Its base OutboxLeader has the loop; neighbours: Reader
// (events in), Db (the extension's functions). Thread rule: the source's thread.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "relay/outbox_leader.hpp"
#include "relay/sources/postgres_outbox_reader.hpp"

namespace muskrat::postgres_outbox {

struct PostgresOptions : OutboxLeader::Options {
  int64_t segment_bytes = 0;
  milliseconds retention{};

  static PostgresOptions of(const Settings& settings);
};

class Leader : public OutboxLeader {
 public:
  // `another`: one more connection, for the lease while a statement of the first takes long.
  Leader(const SourceContext& context, const PostgresOptions& options, Db& db, std::function<Db()> another,
         int64_t term, const Hello& hello, milliseconds lease_asked, OutboxMeters& meters, const Stop& stop);

 private:
  bool in_read() const override { return reader_.in_read(); }
  void read_page(SteadyTime at) override;
  std::vector<Outgoing> fetch_held(const std::vector<Held::Item>& items, bool bodies) override;
  bool unmarked() const override;
  int64_t mark(bool exact) override;
  void renew() override { (aside_ ? *aside_ : db_).lease_beat(term_); }
  void release() override { db_.lease_release(term_); }
  void beat_aside();
  void tend() override;
  int socket() const override { return db_.connection().socket(); }
  void hear(bool readable) override;
  void await(milliseconds longest, microseconds gather) override { reader_.await(longest, gather); }
  bool awaiting() const override { return reader_.awaiting(); }
  bool answered() const override { return reader_.answered(); }
  size_t listed() const override { return reader_.listed(); }
  void add_figures(Figures& figures) const override;

  const PostgresOptions& options_;
  Db& db_;
  std::function<Db()> another_;
  std::optional<Db> aside_;  // while a statement takes long
  int64_t term_;
  Reader reader_;
  Window::Position saved_position_;
  uint64_t saved_held_ = 0;
  std::string stuck_;  // who keeps the outbox from rotating
};

}  // namespace muskrat::postgres_outbox
