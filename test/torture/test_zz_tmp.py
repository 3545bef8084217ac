import schedules, oracle, time, subprocess
def test_zz(make_rig):
    rig = make_rig(consumer=False)
    try:
        found = schedules.broker_kills(rig, rounds=30)
    except TimeoutError as e:
        print("TIMEOUT", e, "thread alive", rig.observer._thread.is_alive(), "depth", rig.broker.depth("observer"), rig.broker.depth("muskrat.unrouted"))
        print(len(rig.observer.deliveries))
        print("\n".join(l for l in rig.relay.get("/metrics")[1].splitlines() if l.startswith("muskrat_relay") and "bucket" not in l))
        print(rig.relay.get("/readyz"))
        print(rig.rabbitmq.ctl("list_queues", "-p", rig.vhost, "name", "messages", "messages_unacknowledged", "consumers", "state"))
        subprocess.run(["bash","-c",f"tail -50 {rig.rabbitmq.folder}/log/*.log"])
        print(rig.load.errors, rig.load.written, rig.load.done())
        raise
    bad = []; best = {}
    for i, d in enumerate(rig.observer.deliveries):
        s = oracle.seen_of(d)
        if s.v < best.get(s.pk, 0): bad.append((i, s.pk, s.v, best[s.pk], d.redelivered))
        best[s.pk] = max(best.get(s.pk, 0), s.v)
    print("VIOLATIONS", len(found), "late", len(bad), "redelivered", sum(b[4] for b in bad), bad[:5])
    assert not found, found[:3]
