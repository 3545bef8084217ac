// The mysql source while it leads: reads by id, and deletes what is confirmed.
//
// Used by mysql_outbox.cpp. Its base OutboxLeader has the loop; neighbours: Reader
// (events in), Db (the SQL). Thread rule: the source's thread.
#pragma once

#include "relay/outbox_leader.hpp"
#include "relay/sources/mysql_outbox_reader.hpp"

namespace muskrat::mysql_outbox {

struct MysqlOptions : OutboxLeader::Options {
  milliseconds retention{};

  static MysqlOptions of(const Settings& settings);
};

// What leaders have learned of how many rows a statement takes: those of a list, those deleted from the history.
struct Batches {
  BatchSize listed, trimmed;
};

class Leader : public OutboxLeader {
 public:
  Leader(const SourceContext& context, const MysqlOptions& options, Db& db, Batches& batches, int64_t term,
         const Hello& hello, milliseconds lease_asked, OutboxMeters& meters, const Stop& stop);

 private:
  bool in_read() const override { return reader_.in_read(); }
  void read_page(SteadyTime at) override;
  std::vector<Outgoing> fetch_held(const std::vector<Held::Item>& items, bool bodies) override;
  bool unmarked() const override { return !confirmed_.empty() || held_.version() != saved_held_; }
  int64_t mark(bool exact) override;
  void renew() override { db_.lease_beat(claim_); }
  void release() override { db_.lease_release(claim_); }
  void settled(int64_t id) override { confirmed_.push_back(id); }
  void tend() override;
  int socket() const override { return db_.connection().socket(); }
  void hear(bool readable) override;
  size_t listed() const override { return reader_.listed(); }
  void add_figures(Figures& figures) const override;
  void trim();
  void release_gone(const std::vector<Held::Item>& items);

  const MysqlOptions& options_;
  Db& db_;
  Batches& batches_;
  const Claim claim_;
  std::string weakness_;  // what the server's settings take from the promise
  Reader reader_;
  std::vector<int64_t> confirmed_;  // and not deleted yet
  uint64_t saved_held_ = 0;
};

}  // namespace muskrat::mysql_outbox
