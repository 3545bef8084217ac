"""What an endpoint cannot take, what it cannot take yet, and what happens to the neighbours."""
import json

import pika

from harness.amqp_proxy import SlowBroker
from harness.processes import wait_until

HISTORY = "CREATE TABLE history (n bigserial, id bigint, email text)"
STRICT = "ALTER TABLE customers ADD CONSTRAINT plan_check CHECK (volume <> 'bad')"


def test_dead_letters_bad_event_leaves_with_its_reason_and_neighbours_are_done(world):
    world.stand(consume=False)
    world.tsql(STRICT)
    for n in range(1, 31):
        world.customers(n, volume="bad" if n == 13 else "200")
    world.start(relay=False)
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    world.wait_target("SELECT count(*), count(*) FILTER (WHERE id = 13) FROM customers", [(29, 0)])
    (letter,) = world.broker.peek("muskrat.analytics.dead")
    assert letter.json["id"] == 13
    assert letter.headers["x-muskrat-routing-key"] == "Frontend.Customer.Signup"
    reason = " ".join(str(v) for k, v in letter.headers.items() if "reason" in k)
    assert "23514" in reason and "plan_check" in reason
    assert "bad" not in reason.split(), "no payload in the reason"
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_dead_total", endpoint="analytics") == 1, 60, "the count")


def test_dead_letters_that_are_large_go_over_a_slow_link_one_after_the_other(world):
    world.stand(consume=False)
    world.tsql(STRICT)
    for n in range(1, 6):
        world.customers(n, volume="bad", company="x" * 3_000_000)
    world.broker.wait_depth("muskrat.analytics", 5)
    with SlowBroker(world.rabbitmq.port, 5_000_000) as proxy:
        world.program.config["broker"]["url"] = world.broker.url.replace(f":{world.rabbitmq.port}/", f":{proxy.port}/")
        world.program.save()
        world.start(relay=False)
        wait_until(lambda: world.consumer.metric("muskrat_endpoint_dead_total", endpoint="analytics") == 5, 60, "the last of them")
        assert world.broker.depth("muskrat.analytics.dead") == 5, "none went twice"
        assert world.consumer.stop() == 0


def test_dead_letters_later_events_of_the_key_go_on(world):
    world.stand()
    world.tsql(STRICT)
    world.customers(1, volume="bad")
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    world.sql("UPDATE customers SET volume = '500'")
    world.wait_equal()


def test_dead_letters_hold_keeps_the_key_waiting_also_after_a_restart(world):
    world.stand(endpoints={"analytics": world.mirror(on_dead="hold")})
    world.tsql(STRICT)
    world.customers(1, volume="bad")
    world.customers(2, volume="200")
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    assert world.consumer.stop() == 0
    world.start(relay=False)
    world.sql("UPDATE customers SET volume = '500'")
    world.broker.wait_depth("muskrat.analytics.dead", 2)
    world.wait_target("SELECT id, volume FROM customers", [(2, "500")])


def test_dead_letters_missing_required_field(world):
    columns = ["id", {"to": "email", "from": "nothing.there", "required": True}]
    route = {"table": "public.customers", "key": ["id"], "columns": columns}
    world.stand(endpoints={"analytics": world.mirror(routes=[route])})
    world.customers(1)
    world.broker.wait_depth("muskrat.analytics.dead", 1)


def test_dead_letters_foreign_message_that_is_no_json(world):
    world.stand()
    world.broker.publish("Frontend.Customer.Signup", b"\xff not json")
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    world.customers(1)
    world.wait_equal()


def test_dead_letters_retry_keeps_the_order_of_the_key_and_holds_up_no_other(world):
    """One row's effects fail for a while with a class that may pass (a lock timeout); the others overtake it."""
    route = {"table": "public.history", "mode": "append", "columns": ["id", "email"]}
    world.tsql(HISTORY)
    world.stand(endpoints={"history": world.mirror(routes=[route], retry_first="100ms", retry_most="300ms", retry_attempts=1000)},
                consume=False)
    world.tsql("CREATE TABLE trouble (id bigint)")
    world.tsql("""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM trouble t WHERE t.id = new.id) THEN
            RAISE 'busy' USING ERRCODE = 'lock_not_available';
        END IF;
        RETURN new; END $$""")
    world.tsql("CREATE TRIGGER refuse BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION refuse()")
    world.tsql("INSERT INTO trouble VALUES (1)")
    world.start(relay=False)
    world.customers(1, 2, 3)
    for n in range(5):
        world.sql("UPDATE customers SET email = 'v' || %s", (n,))
    world.wait_target("SELECT id, count(*) FROM history GROUP BY 1 ORDER BY 1", [(2, 6), (3, 6)])
    world.tsql("DELETE FROM trouble")
    expected = [("c1@example.com",)] + [(f"v{n}",) for n in range(5)]
    world.wait_target("SELECT email FROM history WHERE id = 1 ORDER BY n", expected)
    for n in (2, 3):
        assert world.tsql(f"SELECT email FROM history WHERE id = {n} ORDER BY n")[1:] == expected[1:]
    assert world.broker.depth("muskrat.history.dead") == 0


def test_dead_letters_endpoint_that_goes_down_parks_and_comes_back(world):
    world.stand(endpoints={"analytics": world.mirror(circuit_first="200ms", circuit_most="500ms")})
    world.customers(1)
    world.wait_equal()
    world.tsql("ALTER TABLE customers RENAME TO hidden")
    world.tsql(f'ALTER DATABASE "{world.target_db}" CONNECTION LIMIT 0')
    world.pg.psql(f"ALTER ROLE postgres CONNECTION LIMIT -1; SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                  f" WHERE datname = '{world.target_db}'")
    world.pg.psql(f'ALTER DATABASE "{world.target_db}" ALLOW_CONNECTIONS false')
    world.customers(*range(2, 40))
    wait_until(lambda: world.consumer.get("/readyz")[0] == 503, 60, "the host to say that the endpoint is down")
    world.pg.psql(f'ALTER DATABASE "{world.target_db}" ALLOW_CONNECTIONS true CONNECTION LIMIT -1')
    world.tsql("ALTER TABLE hidden RENAME TO customers")
    world.wait_equal()
    assert world.broker.depth("muskrat.analytics.dead") == 0
    wait_until(lambda: world.consumer.get("/readyz")[0] == 200, 60, "the host to be ready again")


def test_dead_letters_retry_after_the_cause_is_mended_is_done_and_leaves_no_letter(world):
    world.stand()
    world.tsql(STRICT)
    for n in (1, 2, 3):
        world.customers(n, volume="bad")
    world.broker.wait_depth("muskrat.analytics.dead", 3)
    world.tsql("ALTER TABLE customers DROP CONSTRAINT plan_check")
    assert "3 dead letters sent" in world.program.ok("dead", "retry", "analytics")
    world.wait_equal()
    world.broker.wait_depth("muskrat.analytics.dead", 0)


def test_dead_letters_retry_by_key_takes_these_and_leaves_the_others_in_order(world):
    world.stand()
    world.tsql(STRICT)
    world.customers(1, 2, 3, 4, volume="bad")
    world.broker.wait_depth("muskrat.analytics.dead", 4)
    before = world.broker.peek("muskrat.analytics.dead")
    world.tsql("ALTER TABLE customers DROP CONSTRAINT plan_check")
    chosen = before[1]
    assert "1 dead letter sent" in world.program.ok("dead", "retry", "analytics", "--key", chosen.key)
    world.wait_target("SELECT id FROM customers", [(chosen.json["id"],)])
    world.broker.wait_depth("muskrat.analytics.dead", 3)
    left = [letter.message_id for letter in world.broker.peek("muskrat.analytics.dead")]
    assert left == [letter.message_id for letter in before if letter.key != chosen.key]


def test_dead_letters_retry_that_fails_again_is_a_letter_again_with_the_same_id(world):
    world.stand()
    world.tsql(STRICT)
    world.customers(1, volume="bad")
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    (first,) = world.broker.peek("muskrat.analytics.dead")
    world.program.ok("dead", "retry", "analytics", "--reason", "23514")
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_dead_total", endpoint="analytics") == 2, 60, "the second burial")
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    (second,) = world.broker.peek("muskrat.analytics.dead")
    assert (second.message_id, second.body, second.headers["x-muskrat-routing-key"]) == \
        (first.message_id, first.body, first.headers["x-muskrat-routing-key"])


def test_dead_letters_retry_never_overwrites_newer_state(world):
    world.stand(consumer={"state": f"{world.folder}/state.sqlite"})
    world.tsql(STRICT)
    world.customers(1, volume="bad")
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    world.sql("UPDATE customers SET volume = '500'")
    world.wait_equal()
    world.tsql("ALTER TABLE customers DROP CONSTRAINT plan_check")
    world.program.ok("dead", "retry", "analytics")
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_superseded_total", endpoint="analytics") == 1, 60, "the old one")
    world.wait_equal()
    (letter,) = wait_until(lambda: world.program.ok("superseded", "analytics", "--json").splitlines(), 60, "the note of it")
    assert json.loads(letter)["routing_key"] == "Frontend.Customer.Signup" and json.loads(letter)["key"] == "Frontend.Customer:[1]"
    assert "passed over 1 event for newer state" in world.program.ok("superseded", "analytics")


def test_dead_letters_retry_frees_a_held_key_in_order(world):
    world.tsql(HISTORY)
    route = {"table": "public.history", "mode": "append", "columns": ["id", "email"]}
    world.tsql("ALTER TABLE history ADD CONSTRAINT bad CHECK (email <> 'c1@example.com')")
    world.stand(endpoints={"history": world.mirror(routes=[route], on_dead="hold")})
    world.customers(1)
    for n in range(3):
        world.sql("UPDATE customers SET email = 'v' || %s", (n,))
    world.broker.wait_depth("muskrat.history.dead", 4)
    world.tsql("ALTER TABLE history DROP CONSTRAINT bad")
    assert "look again in a while" in world.program.ok("dead", "retry", "history")
    world.wait_target("SELECT email FROM history ORDER BY n", [("c1@example.com",), ("v0",), ("v1",), ("v2",)])
    world.broker.wait_depth("muskrat.history.dead", 0)


def test_dead_letters_retry_of_nothing_says_so(world):
    world.stand(relay=False, consume=False)
    assert world.program.run("dead", "retry", "analytics", "--message-id", "none").returncode == 3
    assert world.program.run("dead", "retry", "analytics").returncode == 0
    done = world.program.run("dead", "retry", "analytic")
    assert done.returncode == 2 and "did you mean analytics" in done.stderr


def test_dead_letters_drop_takes_what_is_meant_and_leaves_the_others_in_order(world):
    world.stand()
    world.tsql(STRICT)
    world.customers(1, 2, 3, 4, volume="bad")
    world.broker.wait_depth("muskrat.analytics.dead", 4)
    before = world.broker.peek("muskrat.analytics.dead")
    done = world.program.run("dead", "drop", "analytics", "--message-id", before[2].message_id, "--yes")
    assert done.returncode == 0 and "1 dead letter of the endpoint analytics dropped; 3 left" in done.stdout
    assert "SQLSTATE 23514 constraint plan_check" in done.stdout, "it says what it drops"
    world.broker.wait_depth("muskrat.analytics.dead", 3)
    left = [letter.message_id for letter in world.broker.peek("muskrat.analytics.dead")]
    assert left == [letter.message_id for letter in before if letter is not before[2]]
    assert "3 dead letters" in world.program.ok("dead", "drop", "analytics", "--all", "--yes")
    world.broker.wait_depth("muskrat.analytics.dead", 0)


def test_dead_letters_drop_is_done_by_nobody_by_mistake(world):
    world.stand()
    world.tsql(STRICT)
    world.customers(1, volume="bad")
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    for args, code, says in [((), 2, "which letters"), (("--all",), 2, "there is nobody to ask"),
                             (("--all", "--key", "x"), 2, "contradict"), (("--reason", "no such", "--yes"), 3, "nothing was dropped")]:
        done = world.program.run("dead", "drop", "analytics", *args)
        assert (done.returncode, says in done.stdout + done.stderr) == (code, True), done
    assert world.program.run("dead", "drop", "analitics", "--all", "--yes").returncode == 2
    world.broker.wait_depth("muskrat.analytics.dead", 1)


def test_dead_letters_drop_of_more_than_one_window(world):
    world.configure({"analytics": world.mirror()})
    world.program.setup()

    def letter(n):
        return "{}", pika.BasicProperties(message_id=str(n), delivery_mode=2, headers={"x-muskrat-reason": "odd" if n % 2 else "even"})
    world.broker.fill("muskrat.analytics.dead", [letter(n) for n in range(1200)])
    assert "600 dead letters of the endpoint analytics dropped; 600 left" in \
        world.program.ok("dead", "drop", "analytics", "--reason", "odd", "--yes", timeout=60)
    assert [d.message_id for d in world.broker.get_all("muskrat.analytics.dead", 3)] == ["0", "2", "4"]
    assert "597 dead letters" in world.program.ok("dead", "drop", "analytics", "--all", "--yes", timeout=60)
    assert world.broker.depth("muskrat.analytics.dead") == 0


BUSY = """CREATE TABLE trouble (id bigint);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM trouble t WHERE t.id = new.id) THEN RAISE 'busy' USING ERRCODE = 'lock_not_available'; END IF;
    RETURN new; END $$"""
TRANSIENT = {"retry_attempts": 2, "retry_first": "10ms", "retry_most": "20ms", "dead_retry_every": "2s"}


def test_dead_letters_scheduled_retry_sends_transient_ones_again_and_leaves_the_others(world):
    world.stand(endpoints={"analytics": world.mirror(**TRANSIENT)})
    world.tsql(BUSY)
    world.tsql("CREATE TRIGGER refuse BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION refuse()")
    world.tsql(STRICT)
    world.tsql("INSERT INTO trouble VALUES (1), (2)")
    world.customers(1, 2)
    world.customers(3, volume="bad")
    world.broker.wait_depth("muskrat.analytics.dead", 3)
    world.sql("UPDATE customers SET email = 'newer' WHERE id = 2")
    world.broker.wait_depth("muskrat.analytics.dead", 4)
    world.wait_log(world.consumer, "dead letters sent again")
    world.tsql("DELETE FROM trouble")
    world.wait_target("SELECT id, email FROM customers ORDER BY id", [(1, "c1@example.com"), (2, "newer")])
    world.broker.wait_depth("muskrat.analytics.dead", 1)
    (left,) = wait_until(lambda: world.broker.peek("muskrat.analytics.dead"), 60, "the host to have looked at it")
    assert left.headers["x-muskrat-class"] == "permanent" and "x-muskrat-dead-retries" not in left.headers
    assert world.consumer.metric("muskrat_endpoint_dead_retried_total", endpoint="analytics") >= 3


def test_dead_letters_scheduled_retry_ends_after_its_times(world):
    world.stand(endpoints={"analytics": world.mirror(**{**TRANSIENT, "dead_retry_every": "1s"}, dead_retry_times=2)})
    world.tsql(BUSY)
    world.tsql("CREATE TRIGGER refuse BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION refuse()")
    world.tsql("INSERT INTO trouble VALUES (1)")
    world.customers(1)
    wait_until(lambda: world.consumer.metric("muskrat_endpoint_dead_total", endpoint="analytics") == 3, 60, "the third burial")
    (left,) = wait_until(lambda: world.broker.peek("muskrat.analytics.dead"), 60, "the letter")
    assert left.headers["x-muskrat-dead-retries"] == 2
    assert "sent again     2 times" in world.program.ok("dead", "show", "analytics", left.message_id)


def test_dead_letters_scheduled_retry_keeps_a_held_key_in_order(world):
    world.tsql(HISTORY)
    route = {"table": "public.history", "mode": "append", "columns": ["id", "email"]}
    world.tsql(BUSY)
    world.tsql("CREATE TRIGGER refuse BEFORE INSERT ON history FOR EACH ROW EXECUTE FUNCTION refuse()")
    world.tsql("INSERT INTO trouble VALUES (1)")
    world.stand(endpoints={"history": world.mirror(routes=[route], on_dead="hold", **TRANSIENT)})
    world.customers(1)
    for n in range(3):
        world.sql("UPDATE customers SET email = 'v' || %s", (n,))
    world.broker.wait_depth("muskrat.history.dead", 4)
    world.wait_log(world.consumer, "dead letters sent again")
    world.tsql("DELETE FROM trouble")
    world.sql("UPDATE customers SET email = 'v3'")
    world.wait_target("SELECT email FROM history ORDER BY n", [("c1@example.com",), *((f"v{n}",) for n in range(4))], 60)
    world.broker.wait_depth("muskrat.history.dead", 0)
