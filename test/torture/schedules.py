"""Schedules: each brings one fault about on a Rig, heals it, and hands back what the oracle found.

Used twice: by the tests of the faults (nothing may be found) and by test_seeded_bugs.py (a program with that bug built in
must be found out by the schedule that is its trigger).
"""
import contextlib
import os
import random
import signal
import threading
import time

import oracle
from harness import clients
from harness.processes import Child, kill_group, wait_until
from harness.swallowing_proxy import SwallowingProxy
from oracle import Violation

# Where relay and host talk to PostgreSQL and RabbitMQ, or wait for them. When a process is killed on entering one of these,
# everything before it has happened and nothing after it: with N swept, that is every distinguishable moment. Not `read`: the
# loader makes dozens of those before main(), and an eventfd's is seen by nobody else.
SYSCALLS = "sendto,sendmsg,write,writev,recvfrom,recvmsg,poll,ppoll,epoll_wait"
SWEEP_LIMIT = 3000


def kill_at(n):
    """strace's arguments: kill the process when one of its threads enters its Nth system call of the set."""
    return ["-f", "-qq", "-o", "/dev/null", "-e", f"trace={SYSCALLS}", "-e", f"inject={SYSCALLS}:signal=KILL:when={n}"]


def _until_dead_or(daemon, condition, timeout):
    """True when the daemon died; False when the condition came true first and held for a moment."""
    deadline = time.monotonic() + timeout
    since = None
    while time.monotonic() < deadline:
        if not daemon.running():
            return True
        now = time.monotonic()
        if not condition():
            since = None
        elif since is None:
            since = now
        elif now - since > 0.6:
            return False
        time.sleep(0.03)
    raise TimeoutError(f"neither dead nor done after {timeout} s; log: {daemon.log_path}")


def relay_kill_sweep(rig, step=1, first=1, batch=(1, 2, 3, 1, 2)):
    """Rows 1, 2, 3. Per N one small batch of events and a relay that is killed at its Nth call; ends when a relay gets through.

    Returns (violations, kills).
    """
    n, kills, through, seen_before = first, 0, 0, 0
    while through < 2 and n < SWEEP_LIMIT:
        # Each N meets the whole batch and nothing but it: what a killed relay left half done is brought to its end first, and
        # a new batch comes only when the cursor is past the last one.
        if not _at_rest(rig) and len(rig.seen()) > seen_before:
            _drain(rig)
        if _at_rest(rig):
            for pk in batch:
                rig.write(pk, tag=f"n{n}")
        seen_before = len(rig.seen())
        relay = rig.program.relay(wait=False, trace=kill_at(n))
        if _until_dead_or(relay, lambda: _all_published(rig) and _at_rest(rig), 60):
            kills, through = kills + 1, 0
        else:
            _end(relay)
            through += 1
        _release_lease(rig)
        n += step
    rig.crashes = kills
    rig.heal()
    # A killed relay repeats at most what it had in flight: one batch.
    return rig.verdict(repeats_allowed=kills * len(batch)), kills


def _all_published(rig):
    published = {(s.pk, s.v) for s in rig.seen()}
    last = sorted(rig.front.ledger(), key=lambda e: e.v)[-50:]
    return all((e.pk, e.v) in published for e in last)


def _at_rest(rig):
    """The cursor, as it is stored, is past every event: no relay would publish any of them again."""
    return rig.front.at_rest()


def _drain(rig):
    """An undisturbed relay, until everything is published and the cursor is at rest."""
    relay = rig.program.relay(wait=False)
    wait_until(lambda: _all_published(rig) and _at_rest(rig), 60, "an undisturbed relay to catch up")
    relay.stop()


def _release_lease(rig):
    """So that the next relay need not wait until the dead one's lease has run out; test_relay_paused_leader… has that wait."""
    rig.front.release_lease()


def _end(daemon):
    """Ends strace and its tracee: without its tracer that would live on."""
    kill_group(daemon.pid)
    daemon.wait()


def consumer_kill_sweep(rig, step=1, batch=(1, 2, 3, 1, 2)):
    """Row 27. The same for the host, between delivery, effect and acknowledgement.

    strace counts calls per thread, and lanes and host make about as many: so each thread that takes part is swept by itself, in
    a host that is up and idle when the batch comes.
    Returns (violations, kills, repeats): how many effects the next host found in place already, that is, how many of the kills
    fell between an effect and its acknowledgement.
    """
    rig.relay = rig.relay or rig.program.relay()
    kills = repeats = 0
    for name in _threads_at_work(rig, batch):
        for n in range(1, SWEEP_LIMIT, step):
            consumer = rig.program.consume()
            tracer = _kill_thread_at(rig, consumer, wait_until(lambda: _threads(consumer).get(name), 60, f"thread {name}"), n)
            _write_batch(rig, batch, f"{name}-n{n}")
            dead = _until_dead_or(consumer, rig._arrived, 60)
            consumer.stop()
            tracer.stop()
            if not dead:
                break
            kills += 1
            repeats += _catch_up(rig)
    rig.crashes = kills
    rig.heal()
    return rig.verdict(), kills, repeats


def _threads(daemon):
    """{name: tid} of the threads that handle events: a host and its lanes have names of their own."""
    found = {}
    for tid in os.listdir(f"/proc/{daemon.pid}/task"):
        with open(f"/proc/{daemon.pid}/task/{tid}/comm", encoding="utf-8") as f:
            name = f.read().strip()
        if name.startswith(("host ", "lane")):
            found[name] = int(tid)
    return found


def _threads_at_work(rig, batch):
    """The names of the threads that do something for a batch."""
    consumer = rig.program.consume()

    def switches():
        counts = {}
        for name, tid in _threads(consumer).items():
            with open(f"/proc/{consumer.pid}/task/{tid}/status", encoding="ascii") as f:
                counts[name] = next(int(text.split()[1]) for text in f if text.startswith("voluntary_ctxt_switches"))
        return counts

    before = switches()
    for _ in range(3):  # keys are hashed to lanes alike, but the batch may arrive in one piece or in several
        _write_batch(rig, batch, "which threads work")
        wait_until(rig._arrived, 60, "the batch")
    after = switches()
    consumer.stop()
    found = sorted(name for name in before if after[name] > before[name])
    assert any(name.startswith("lane") for name in found), f"no lane took part: {before}, {after}"
    return found


def _kill_thread_at(rig, daemon, tid, n):
    """A tracer of this one thread, attached."""
    tracer = Child(["strace", "-qq", "-o", "/dev/null", "-p", str(tid), "-e", f"trace={SYSCALLS}",
                    "-e", f"inject={SYSCALLS}:signal=KILL:when={n}"], os.path.join(rig.folder, "strace.log"))

    def attached():
        with open(f"/proc/{daemon.pid}/task/{tid}/status", encoding="ascii") as f:
            return any(text.split() == ["TracerPid:", str(tracer.pid)] for text in f)
    try:
        wait_until(attached, 60, f"strace to attach to thread {tid}", 0.01)
    except (FileNotFoundError, ProcessLookupError):  # killed already: the thread was on its way into a call
        pass
    return tracer


def _write_batch(rig, batch, tag):
    for pk in batch:
        rig.write(pk, tag=tag, delete_share=0.2)
    wait_until(lambda: _all_published(rig), 60, "the batch to be published")


def _catch_up(rig):
    """An undisturbed host, until nothing is left in its queues: so that each N meets a whole batch. Returns its repeats."""
    consumer = rig.program.consume()
    wait_until(lambda: rig._arrived() and not rig.broker.depth("muskrat.mirror") and not rig.broker.depth("muskrat.effects"), 60,
               "an undisturbed host to catch up")
    time.sleep(0.1)  # what was handed over last is recognised or applied by now
    repeats = int(consumer.metric("muskrat_endpoint_repeated_total") or 0)
    consumer.stop()
    return repeats


def consumer_kills_in_time(rig, rounds, until_ms=240):
    """Row 27. Effects that take long, and a host killed ever later after the write: before, within and after each of them.

    It adds to the sweep over system calls what that cannot reach: the lanes, which make fewer calls than the host's thread.
    """
    rig.target.make_slow()
    rig.relay = rig.program.relay()
    for n in range(rounds):
        rig.consumer = rig.program.consume()
        if rig._arrived():
            rig.write(1, 2, 3, 4, 5, tag=f"n{n}", delete_share=0.2)
        time.sleep(until_ms / 1000 * n / rounds)
        rig.consumer.kill9()
        rig.crashes += 1
    rig.heal(30)
    return rig.verdict()


def consumer_dies_while_effects_wait(rig, rounds=5):
    """Row 27. The effects wait for a lock; the host dies, and its transactions with it: everything must come again."""
    rig.relay = rig.program.relay()
    for n in range(rounds):
        rig.consumer = rig.program.consume()
        blocker = clients.connect(rig.target.dsn, autocommit=False)
        with blocker.cursor() as c:
            c.execute("LOCK TABLE account, effects IN SHARE ROW EXCLUSIVE MODE")
            rig.write(1, 2, 3, 4, 5, tag=f"n{n}", delete_share=0.2)
            rig.observer.wait(5 * (n + 1))
            time.sleep(0.5)
            rig.consumer.kill9()
            # A backend whose client is gone would finish what it was sent.
            c.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                      " AND pid <> pg_backend_pid()")
            time.sleep(0.2)
        blocker.close()
        rig.crashes += 1
    rig.heal(30)
    return rig.verdict()


def broker_kills(rig, rounds, seed=1):
    """Row 4. kill -9 of the broker under load, queues settled."""
    rng = random.Random(seed)
    rig.start()
    rig.start_load(writers=2, pause=0.01, keys=50)
    for _ in range(rounds):
        time.sleep(0.5 + rng.random())
        rig.rabbitmq.kill9()
        rig.rabbitmq.start()
        rig.crashes += 1
        at = len(rig.observer.deliveries)
        wait_until(lambda n=at: len(rig.observer.deliveries) > n, 60, "events after the broker's return")
    rig.load.stop()
    rig.heal()
    return rig.verdict()


def unroutable(rig):
    """Row 7. No queue takes the events: first the unrouted queue does; then that is gone too, and they are held."""
    rig.relay = rig.program.relay()
    rig.write(1, 2, tag="routed")
    rig.observer.wait(2)

    rig.broker.unbind("observer", "Load.#")
    rig.write(1, 3, tag="unrouted")
    rig.broker.wait_depth("muskrat.unrouted", 2)
    rig.observer.deliveries += rig.broker.get_all("muskrat.unrouted")

    rig.broker.delete_queue("muskrat.unrouted")
    rig.write(1, 4, tag="held")
    # the relay must notice; a relay without `mandatory` takes the confirm for a delivery
    try:
        wait_until(lambda: (rig.relay.metric("muskrat_relay_held") or 0) >= 1, 30, "the held events to show")
        held_shown = True
    except TimeoutError:
        held_shown = False
    rig.write(1, tag="behind a held one")
    time.sleep(1)
    rig.broker.bind("observer", "Load.#")
    rig.heal(60)
    found = rig.verdict(repeats_allowed=0)
    if not held_shown:
        found.append(Violation("held", "the relay never showed the held events"))
    return found


def one_binding_missing(rig):
    """Row 7. One key's events are unroutable and held: all others go on."""
    rig.broker.unbind("observer", "Load.#")
    rig.broker.bind("observer", "Load.Account.Open")
    rig.broker.delete_queue("muskrat.unrouted")
    rig.relay = rig.program.relay()
    rig.write(1, tag="open")
    rig.write(1, tag="change: nobody takes it")
    rig.observer.wait(1)
    for pk in range(10, 60):
        rig.write(pk, tag="others go on")
    rig.observer.wait(51)
    rig.broker.bind("observer", "Load.#")
    rig.heal()
    return rig.verdict(repeats_allowed=0)


def late_low_ids(rig, rounds=10):
    """Row 20. An id drawn early is committed late, after higher ones were read and the cursor moved past them."""
    rig.relay = rig.program.relay()
    for n in range(rounds):
        late = rig.front.open_step([1000 + n], f"late{n}")
        before = len(rig.observer.deliveries)
        rig.write(1, 2, tag=f"early{n}")
        rig.observer.wait(before + 2)
        rig.write(3, tag=f"more{n}")
        rig.observer.wait(before + 3)
        time.sleep(0.2)  # time to move the cursor
        late.commit()
        late.close()
        rig.observer.quiet(0.1)
    rig.heal(20)
    return rig.verdict(repeats_allowed=0)


def lower_xid_writes_later(rig, rounds=10):
    """Row 20. The transaction with the lower xid is the later writer of the row; both lie in one read of the relay."""
    old = clients.connect(rig.front.dsn, autocommit=False)
    for n in range(rounds):
        with old.cursor() as c:
            c.execute("SELECT pg_current_xact_id()")
            rig.write(1, 2, tag=f"first{n}")
            c.execute("SELECT ledger_step(%s, %s, 0, '')", (f"second{n}", [1, 2]))
            old.commit()
    old.close()
    rig.relay = rig.program.relay()
    rig.heal(20)
    return rig.verdict(repeats_allowed=0)


def async_commit_crashes(rig, rounds, seed=1):
    """Row 15. PostgreSQL is killed under writers with synchronous_commit=off and a WAL writer that hardly writes.

    What was visible but not yet flushed is gone after the crash: a relay that published it has invented it.
    """
    rng = random.Random(seed)
    rig.relay = rig.program.relay()
    rig.start_load(writers=2, pause=0.002, keys=100, per_transaction=1, odd_share=0, async_commit=True)
    for _ in range(rounds):
        time.sleep(0.3 + rng.random() * 0.5)
        rig.front.crash()
        rig.crashes += 1
        at = len(rig.observer.deliveries)
        wait_until(lambda n=at: len(rig.observer.deliveries) > n, 60, "events after the database's return")
    rig.load.stop()
    rig.heal()
    return rig.verdict()


def commits_shown_before_they_are_written(rig, rounds):
    """Row 15, with MariaDB, which shows a commit to others before it has written its log: here the write takes long, and the server is
    killed meanwhile. What a relay has published of it by then, it has invented."""
    found, undone = [], 0
    rig.program.config["sources"]["load"]["lease_time"] = "10s"  # whose renewals are writes, too
    rig.program.save()
    rig.relay = rig.program.relay()
    for n in range(rounds):
        pk = n + 1
        rig.write(100, tag=f"before{n}")
        wait_until(lambda: _all_published(rig) and _at_rest(rig), 60, "the first event")
        transaction = rig.front.open_step([pk], f"not written {n}")
        tracer = _slow_writes(rig)
        writer = threading.Thread(target=_commit_in_vain, args=(rig, transaction))
        writer.start()
        wait_until(lambda p=pk: p in {e.pk for e in rig.front.ledger()}, 60, "the commit to be seen", 0.02)
        time.sleep(0.7)  # in which a relay that waited for nothing would have published it
        rig.front.crash()
        tracer.stop()
        writer.join()
        rig.crashes += 1
        undone += pk not in {e.pk for e in rig.front.ledger()}
    if not undone:
        found.append(Violation("crash", "no commit was undone, so nothing is shown"))
    rig.heal()
    return found + rig.verdict()


def _slow_writes(rig):
    """A tracer that makes each write of the front's server take two seconds, attached to all its threads."""
    server = rig.front.server.child.pid
    tracer = Child(["strace", "-f", "-qq", "-o", "/dev/null", "-p", str(server), "-e", "trace=pwrite64",
                    "-e", "inject=pwrite64:delay_enter=2000000"], os.path.join(rig.folder, "strace.log"))

    def attached():
        for tid in os.listdir(f"/proc/{server}/task"):
            with open(f"/proc/{server}/task/{tid}/status", encoding="ascii") as f:
                if not any(text.split() == ["TracerPid:", str(tracer.pid)] for text in f):
                    return False
        return True
    wait_until(attached, 60, "strace to attach to the server", 0.01)
    return tracer


def _commit_in_vain(rig, transaction):
    try:
        transaction.commit()
    except rig.front.breaks:
        pass  # the server was killed


def stalled_broker_dies(rig, rounds=3):
    """Rows 2 and 4. The broker takes bytes but does nothing with them; then it dies, and the relay with it."""
    rig.relay = rig.program.relay()
    for n in range(rounds):
        rig.write(1, 2, 3, tag=f"before{n}")
        try:
            wait_until(lambda: _all_published(rig) and _at_rest(rig), 60, "the first events")
        except TimeoutError:
            break  # the last round's are lost already
        rig.rabbitmq.child.send(signal.SIGSTOP)
        rig.write(1, 2, 3, 4, 5, tag=f"into the void {n}")
        time.sleep(1.5)
        rig.relay.kill9()
        rig.rabbitmq.kill9()
        rig.rabbitmq.start()
        rig.crashes += 1
        _release_lease(rig)
        rig.relay = rig.program.relay()
    rig.heal(20)
    return rig.verdict(repeats_allowed=5 * rounds)


def database_crashes(rig, rounds, seed=1):
    """Row 14. kill -9 of the frontend's server and immediate stops, in turn, under load."""
    rng = random.Random(seed)
    rig.start()
    rig.start_load(writers=3, pause=0.005, keys=50, async_commit=bool(seed % 2))
    for n in range(rounds):
        time.sleep(0.5 + rng.random())
        rig.front.crash(hard=n % 2 == 0)
        rig.crashes += 1
        at = len(rig.observer.deliveries)
        wait_until(lambda c=at: len(rig.observer.deliveries) > c, 60, "events after the database's return")
    rig.load.stop()
    rig.heal()
    return rig.verdict()


def paused_leader(rig, rounds):
    """Row 26. The leading relay is stopped in mid-work, another takes over, then the first wakes up and finds that the other leads."""
    rig.start()
    rig.start_load(writers=2, pause=0.005, keys=50)
    other = rig.second_relay()
    found = []
    for _ in range(rounds):
        leader, standby = (rig.relay, other) if _leads(rig.relay) else (other, rig.relay)
        leader.send(signal.SIGSTOP)
        try:
            wait_until(lambda s=standby: _leads(s), 60, "the stand-by to take over")
            time.sleep(0.5)
            before = _times_standing_by(leader)
        finally:
            leader.send(signal.SIGCONT)
        try:
            wait_until(lambda r=leader, n=before: _times_standing_by(r) > n, 60, "the woken relay to find that another leads")
        except TimeoutError as late:
            found.append(Violation("lease", str(late)))
            break
        rig.crashes += 1
    rig.load.stop()
    rig.heal()
    return found + rig.verdict()


def _leads(relay):
    return "leading" in relay.get("/readyz")[1] or "leading" in relay.get("/")[1]


def _times_standing_by(relay):
    with open(relay.log_path, encoding="utf-8", errors="replace") as log:
        return sum("standing by" in text for text in log)


def full_queue(rig):
    """Row 8. A queue of somebody's that refuses (max-length with reject-publish) makes the broker nack.

    The observer gets a nacked event at every try. What a relay that is done with a nacked event loses, the queue that refused
    loses: so what that one took is looked at by itself, in its order.
    """
    rig.broker.queue("refuser", patterns=("Load.Account.*",), x_max_length=3, x_overflow="reject-publish")
    rig.relay = rig.program.relay()
    for n in range(5):
        for pk in range(1, 6):
            rig.write(pk, tag=f"r{n}")
    found = []
    try:
        wait_until(lambda: rig.relay.metric("muskrat_relay_events_nacked_total"), 20, "the queue to refuse")
    except TimeoutError as never:
        found.append(Violation("nack", str(never)))
    taken, drained = [], threading.Event()

    def drain():
        while not drained.is_set():
            taken.extend(rig.broker.get_all("refuser"))
            drained.wait(0.2)
    thread = threading.Thread(target=drain)
    thread.start()
    try:
        rig.heal(60)
        truth = {(e.pk, e.v) for e in rig.front.ledger()}
        wait_until(lambda: truth <= {(s.pk, s.v) for s in map(oracle.seen_of, list(taken))}, 30, "the refused events to come again")
    except TimeoutError:
        pass  # the verdict tells
    finally:
        drained.set()
        thread.join()
    return found + oracle.check(rig.front.ledger(), [oracle.seen_of(d) for d in taken]) + rig.verdict()


def network_swallows(rig):
    """What is sent to the broker, a target or the source goes nowhere for a while, and so do answers: no connection ends, none is
    refused. They are given up after their deadlines, and made anew when the way is free."""
    config = rig.program.config
    config["broker"]["heartbeat"] = "1s"
    legs = [(config["broker"], "url", rig.rabbitmq.port), (config["sources"]["load"], "dsn", rig.front.server.port)]
    for endpoint in config["endpoints"].values():
        endpoint["timeout"] = "2s"
        legs.append((endpoint, "dsn", rig.target.server.port))
    with contextlib.ExitStack() as stack:
        ways = []
        for section, name, port in legs:
            ways.append(stack.enter_context(SwallowingProxy(port)))
            section[name] = section[name].replace(str(port), str(ways[-1].port))
        rig.program.save()
        rig.start()
        stack.callback(rig.program.stop)  # before its ways are gone
        rig.start_load(writers=2, pause=0.01, keys=50)
        wait_until(lambda: rig.target.count() > 50, 60, "the load to arrive")
        for way in ways:  # one after the other, for an endpoint to which nothing comes has no use for its way
            before = way.connections
            way.swallows = True
            wait_until(lambda w=way, n=before: w.connections > n, 60, "a new connection to be tried")
            way.swallows = False
        rig.load.stop()
        rig.heal()
        return rig.verdict()


def _handles_signals(daemon):
    """Until the program has taken SIGTERM over (it blocks it): while it is still being loaded, the kernel ends it."""
    def blocked():
        with open(f"/proc/{daemon.pid}/status", encoding="ascii") as status:
            mask = next(line for line in status if line.startswith("SigBlk:")).split()[1]
        return int(mask, 16) >> (signal.SIGTERM - 1) & 1
    wait_until(blocked, 60, "the program to handle signals")


def stops_under_load(rig, rounds, seed=1):
    """Row 37. SIGTERM at random moments: exit 0, and nothing is published twice."""
    rng = random.Random(seed)
    rig.start()
    rig.start_load(writers=3, pause=0.004, keys=80)
    codes = set()
    for _ in range(rounds):
        _handles_signals(rig.relay)
        time.sleep(rng.random() * 0.3)
        codes.add(rig.relay.stop())
        if rng.random() < 0.3:
            _handles_signals(rig.consumer)
            codes.add(rig.consumer.stop())
            rig.consumer = rig.program.consume(wait=False)
        rig.relay = rig.program.relay(wait=False)
        time.sleep(rng.random() * 0.3)
    rig.load.stop()
    rig.heal()
    found = rig.verdict(repeats_allowed=0)
    if codes != {0}:
        found.append(Violation("exit", f"exit codes {codes}"))
    return found
