"""The file endpoint: JSON lines, rotated."""
import glob
import json

from harness.processes import wait_until


def read(folder, name="events"):
    """All lines of the file and of those it was rotated into; one that is read on both sides of a rotation is here once."""
    lines = {}
    for path in glob.glob(f"{folder}/{name}*"):
        try:
            with open(path, encoding="utf-8") as f:
                lines.update(dict.fromkeys(line for line in f if line.endswith("\n")))
        except FileNotFoundError:
            pass  # it was rotated just now
    return list(lines)


def test_file_endpoint_writes_one_line_per_event(world):
    world.stand(endpoints={"archive": {"kind": "file", "path": f"{world.folder}/events.jsonl", "subscribe": ["Frontend.*"]}})
    world.customers(1, 2, company='Löwe "&" Söhne\n')
    wait_until(lambda: len(read(world.folder)) == 2, 60, "two lines")
    for n, text in enumerate(read(world.folder), 1):
        line = json.loads(text)
        body = line["body"] if isinstance(line["body"], dict) else json.loads(line["body"])
        assert body["id"] == n and body["company"] == 'Löwe "&" Söhne\n'
        assert line["routing_key"] == "Frontend.Customer.Signup"
        assert len(line["message_id"]) == 36


def test_file_endpoint_rotates_and_keeps_every_line(world):
    world.stand(endpoints={"archive": {"kind": "file", "path": f"{world.folder}/events.jsonl", "subscribe": ["#"],
                                       "rotate_bytes": "4KiB", "keep": 1000}})
    world.customers(*range(200), company="x" * 100)
    wait_until(lambda: len(read(world.folder)) >= 200, 60, "all lines")
    assert len(glob.glob(f"{world.folder}/events*")) > 3
    assert world.consumer.stop() == 0
    assert len({json.loads(t)["message_id"] for t in read(world.folder)}) == 200


def test_file_endpoint_folder_that_is_missing_is_told(world):
    world.stand(endpoints={"archive": {"kind": "file", "path": f"{world.folder}/no/such/events.jsonl", "subscribe": ["#"]}},
                consume=False)
    world.customers(1)
    consumer = world.program.consume(wait=False)
    assert "no/such" in world.wait_log(consumer, "no/such")
    consumer.stop()
    world.broker.wait_depth("muskrat.archive", 1)
