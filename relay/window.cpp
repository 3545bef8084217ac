#include "relay/window.hpp"

#include <algorithm>
#include <utility>

namespace muskrat {

int64_t Window::size_of(const Outgoing& out) {
  const Event& e = out.event;
  // What an event costs beside its body: the strings' own blocks and the item.
  constexpr int64_t overhead = 512;
  return static_cast<int64_t>(e.body.size() + e.key.size() + e.omitted.size()) + overhead;
}

void Window::add(uint64_t read, Outgoing&& out, SteadyTime now) {
  admit_parked(now);
  bytes_ += size_of(out);
  unsettled_++;
  items_.emplace_back(read, std::move(out));
#ifdef MUSKRAT_BUG_cursor_before_confirm
  position_ = {read, items_.back().id, false};
#endif
  Slot slot = base_ + items_.size() - 1;
  if (parked_.empty()) {
    admit(slot, now);
  } else {
    parked_.insert(slot);  // behind those that came before it
  }
  advance();
}

// Decides what a new event waits for: a held key, a busy key, or nothing.
void Window::admit(Slot slot, SteadyTime now) {
  Item& it = item(slot);
  const std::string& key = it.out.event.key;
  if (held_.has(it.id)) {  // read again after a restart
    settle(it);
  } else if (held_.holds_key(key)) {
    if (held_.full()) {
      parked_.insert(slot);
    } else {
      put_into_held(it, "waits behind a held event of its ordering key", now);
    }
  } else if (Line* line = line_of_busy(key); line != nullptr) {
    wait_behind(*line, slot);
  } else {
    make_ready(slot);
  }
}

// Null where the key is free; it is busy from now on.
Window::Line* Window::line_of_busy(const std::string& key) {
  if (key.empty()) return nullptr;
  const auto [line, was_free] = keys_.try_emplace(key);
  return was_free ? nullptr : &line->second;
}

void Window::wait_behind(Line& line, Slot slot) {
  item(slot).behind = none;
  (line.first == none ? line.first : item(line.last).behind) = slot;
  line.last = slot;
}

void Window::admit_parked(SteadyTime now) {
  while (!parked_.empty()) {
    Slot slot = *parked_.begin();
    Item& it = item(slot);
    if (held_.full() && held_.holds_key(it.out.event.key)) return;
    parked_.erase(parked_.begin());
    admit(slot, now);
  }
}

void Window::close_read(uint64_t read) {
  if (!items_.empty() && items_.back().mark) {  // reads without events do not fill the window
    items_.back().read = read;
    return;
  }
  Item mark;
  mark.read = read;
  mark.mark = true;
  mark.state = State::settled;
  items_.push_back(std::move(mark));
  advance();
}

void Window::add_retry(Outgoing&& out) {
  Slot slot = next_retry_++;
  bytes_ += size_of(out);
  retries_.try_emplace(slot, 0, std::move(out));
  make_ready(slot);
}

void Window::make_ready(Slot slot) {
  item(slot).state = State::ready;
  (is_retry(slot) ? ready_retries_ : ready_).push(slot);
}

bool Window::revive_due(SteadyTime now) {
  bool any = false;
  for (; !delayed_.empty() && delayed_.top().due <= now; delayed_.pop()) {
    Slot slot = delayed_.top().slot;
    // A stop may have held it meanwhile.
    if (slot < base_ || item(slot).state != State::backing_off) continue;
    make_ready(slot);
    any = true;
  }
  return any;
}

const Outgoing* Window::next(SteadyTime now) {
  admit_parked(now);
  revive_due(now);
  const Slot slot = next_slot();
  return slot == none ? nullptr : &item(slot).out;
}

Window::Slot Window::next_slot() const {
  const bool alone = alone_ > 0 || !ready_retries_.empty() || retrying();
  if (alone && in_flight_ > 0) return none;
  if (!ready_retries_.empty()) return ready_retries_.top();
  return ready_.empty() ? none : ready_.top();
}

Window::Slot Window::take_next() {
  const Slot slot = next_slot();
  (is_retry(slot) ? ready_retries_ : ready_).pop();
  return slot;
}

void Window::sent(uint64_t tag) {
  const Slot slot = take_next();
  Item& it = item(slot);
  it.state = State::in_flight;
  it.returned = false;  // of an earlier try, which the held list had no room for
  if (!is_retry(slot)) in_flight_items_++;
  sent_.push_back({tag, slot});
  in_flight_++;
}

void Window::refuse(const std::string& why, SteadyTime now) {
  const Slot slot = take_next();
  if (is_retry(slot)) {
    retry_over(slot, false, why, now);
  } else {
    hold(slot, why, now);
  }
  advance();
}

std::optional<SteadyTime> Window::next_due() const {
  if (delayed_.empty()) return std::nullopt;
  return delayed_.top().due;
}

void Window::confirm(uint64_t tag, bool multiple, bool acked, SteadyTime now) {
  if (multiple) {
    for (; !sent_.empty() && sent_.front().tag <= tag; sent_.pop_front())
      if (!sent_.front().answered) settle_tag(slot_of(sent_.front()), acked, now);
  } else {
    auto sent = std::ranges::lower_bound(sent_, tag, {}, &Sent::tag);
    if (sent == sent_.end() || sent->tag != tag || sent->answered) return;  // of before a restart of the window
    settle_tag(slot_of(*sent), acked, now);
  }
  forget_answered();
  advance();
}

// Whose answer it is, told once.
Window::Slot Window::slot_of(Sent& sent) {
  sent.answered = true;
  in_flight_--;
  return sent.slot;
}

void Window::forget_answered() {
  while (!sent_.empty() && sent_.front().answered) sent_.pop_front();
}

void Window::settle_tag(Slot slot, bool acked, SteadyTime now) {
#ifdef MUSKRAT_BUG_nack_is_ack
  acked = true;
#endif
  if (alone_ > 0) alone_--;
  Item& it = item(slot);
  if (!is_retry(slot)) in_flight_items_--;
  if (acked && it.returned && !it.out.event.to.empty() && !it.out.astray) return send_astray(slot);
  if (is_retry(slot)) {
    retry_over(slot, acked && !it.returned, it.returned ? it.why : "the broker refused it (nack)", now);
  } else if (!acked) {
    nacked(slot, now);
  } else if (it.returned) {
    hold(slot, it.why, now);
  } else {
    confirmed(slot, now);
  }
}

// Held, it would stop its key for everybody, and enough of its like the source.
void Window::send_astray(Slot slot) {
  Item& it = item(slot);
  const Event& event = it.out.event;
  fates_.push_back({Fate::Kind::astray, it.id, event.captured_us, event.routing_key, "to " + event.to + ": " + it.why});
  it.out.astray = true;
  make_ready(slot);
}

void Window::confirmed(Slot slot, SteadyTime) {
  Item& it = item(slot);
  fates_.push_back({Fate::Kind::confirmed, it.id, it.out.event.captured_us, {}, {}});
  free_key(it.out.event.key);
  settle(it);
}

void Window::nacked(Slot slot, SteadyTime now) {
  Item& it = item(slot);
  fates_.push_back({Fate::Kind::nacked, it.id, it.out.event.captured_us, {}, {}});
  it.returned = false;
  if (++it.tries >= limits_.nack_tries) {
    hold(slot, "the broker refused it " + std::to_string(it.tries) + " times (nack)", now);
    return;
  }
  auto span = limits_.nack_first * (1 << std::min(it.tries - 1, 16));
  back_off(slot, std::min(span, limits_.nack_most), now);
}

void Window::back_off(Slot slot, milliseconds span, SteadyTime now) {
  Item& it = item(slot);
  it.state = State::backing_off;
  it.due = now + span;
  delayed_.push({it.due, slot});
}

void Window::retry_over(Slot slot, bool confirmed, const std::string& why, SteadyTime now) {
  Item& it = item(slot);
  const Event& event = it.out.event;
  if (confirmed) {
    fates_.push_back({Fate::Kind::released, it.id, event.captured_us, event.routing_key, {}});
    held_.release(it.id, now);
  } else {
    held_.try_failed(it.id, why, now);
  }
  bytes_ -= size_of(it.out);
  retries_.erase(slot);
}

void Window::hold(Slot slot, const std::string& why, SteadyTime now) {
  if (held_.full()) {  // no room to remember it: it stays, and with it the cursor
    back_off(slot, limits_.nack_most, now);
    return;
  }
  Item& it = item(slot);
  std::string key = it.out.event.key;
  put_into_held(it, why, now);
  if (!key.empty()) hold_followers(key, now);
}

// Those that waited behind it go through admit() again, which holds or parks them.
void Window::hold_followers(const std::string& key, SteadyTime now) {
  auto found = keys_.find(key);
  if (found == keys_.end()) return;
  Slot follower = found->second.first;
  keys_.erase(found);
  while (follower != none) {
    const Slot next = item(follower).behind;
    admit(follower, now);
    follower = next;
  }
}

void Window::put_into_held(Item& it, const std::string& why, SteadyTime now) {
  const Event& event = it.out.event;
  fates_.push_back({Fate::Kind::held, it.id, event.captured_us, event.routing_key, why});
  const auto bytes = static_cast<int64_t>(event.body.size());
  held_.add({it.id, event.key, event.routing_key, why, it.out.place, bytes, {}, false}, now);
  settle(it);
}

void Window::settle(Item& it) {
  bytes_ -= size_of(it.out);
  unsettled_--;
  it.state = State::settled;
  it.out = Outgoing();
}

void Window::free_key(const std::string& key) {
  if (key.empty()) return;
  auto found = keys_.find(key);
  if (found == keys_.end()) return;
  Line& line = found->second;
  if (line.first == none) {
    keys_.erase(found);
    return;
  }
  const Slot slot = line.first;
  line.first = item(slot).behind;
  make_ready(slot);
}

void Window::advance() {
  while (!items_.empty() && items_.front().state == State::settled) {
    const Item& first = items_.front();
#ifndef MUSKRAT_BUG_cursor_before_confirm
    position_.id = first.mark && position_.read == first.read ? position_.id : first.id;
    position_.read = first.read;
    position_.closed = first.mark;
#else
    if (first.mark && position_.read <= first.read) position_ = {first.read, position_.id, true};
#endif
    items_.pop_front();
    base_++;
  }
}

void Window::returned(const std::string& message_id, const std::string& why) {
  for (const Sent& sent : sent_) {
    if (sent.answered) continue;
    Item& it = item(sent.slot);
    if (it.out.event.message_id != message_id) continue;
    it.returned = true;
    it.why = why;
    const Event& event = it.out.event;
    fates_.push_back({Fate::Kind::returned, it.id, event.captured_us, event.routing_key, why});
  }
}

void Window::connection_lost(SteadyTime now) {
  const auto sent = std::exchange(sent_, {});
  in_flight_items_ = in_flight_ = 0;
  for (const auto& [tag, slot, answered] : sent) {
    if (answered) continue;
    item(slot).returned = false;
    item(slot).out.astray = false;  // the queue may be there by then
    if (is_retry(slot)) {
      retry_over(slot, false, "the connection was lost before the broker answered", now);
    } else {
      make_ready(slot);
    }
  }
}

void Window::channel_failed(const std::string& why, SteadyTime now) {
  const bool guilty = (alone_ > 0 || retrying()) && in_flight_ == 1;
  if (!guilty) alone_ = std::max(alone_, in_flight_);
  if (guilty && alone_ > 0) alone_--;
  if (guilty) {
    const Slot slot = slot_of(sent_.front());  // the first is never an answered one
    sent_.clear();
    if (is_retry(slot)) {
      retry_over(slot, false, why, now);
    } else {
      in_flight_items_--;
      hold(slot, why, now);
    }
    advance();
  }
  connection_lost(now);
}

void Window::hold_backing_off(SteadyTime now) {
  for (size_t i = 0; i < items_.size(); i++) {
    if (items_[i].state == State::backing_off) hold(base_ + i, "nacked; held at a stop", now);
  }
  advance();
}

int64_t Window::oldest_captured_us() const { return items_.empty() ? 0 : items_.front().out.event.captured_us; }

}  // namespace muskrat
