"""Streams: redis-py's methods for entries and for consumer groups, and logs that several processes share."""

import threading
import time

import redis

from test_blocking import Waiting
from test_commands import fails
from test_transactions import in_threads


def entries(reply):
    """Ids and fields, as lists for both protocols."""
    return [[number, fields] for number, fields in reply]


def streams(reply):
    """What XREAD answers, as a dictionary for both protocols."""
    if not reply:
        return {}
    pairs = reply.items() if isinstance(reply, dict) else reply
    # The client wraps the entries of a stream in a list where the protocol has maps.
    flat = lambda batches: batches[0] if batches and batches[0] and isinstance(batches[0][0], (list, tuple)) else batches
    return {name: entries(flat(batches)) for name, batches in pairs}


def test_entries(r):
    assert r.xadd("s", {"a": "1", "b": "2"}, id="1-1") == "1-1"
    assert r.xadd("s", {"a": "3"}, id="2-*") == "2-0"
    assert r.xadd("none", {"a": "3"}, nomkstream=True) is None
    assert r.xlen("s") == 2 and r.type("s") == "stream"
    assert entries(r.xrange("s")) == [["1-1", {"a": "1", "b": "2"}], ["2-0", {"a": "3"}]]
    assert entries(r.xrange("s", min="(1-1", count=1)) == [["2-0", {"a": "3"}]]
    assert entries(r.xrevrange("s", count=1)) == [["2-0", {"a": "3"}]]
    assert r.xdel("s", "1-1", "9-9") == 1
    for number in range(3, 10):
        r.xadd("s", {"n": number}, id=f"{number}-0", maxlen=5, approximate=False)
    assert [number for number, _ in r.xrange("s")] == [f"{number}-0" for number in range(5, 10)]
    assert r.xtrim("s", maxlen=3, approximate=False) == 2
    assert r.xtrim("s", minid="9-0", approximate=False) == 2
    assert r.xtrim("s", maxlen=0, approximate=True) == 1
    fails(redis.ResponseError, "equal or smaller", r.xadd, "s", {"a": 1}, id="1-1")
    fails(redis.ResponseError, "Invalid stream ID", r.xrange, "s", min="x")
    first = r.xadd("now", {"a": 1})
    assert abs(int(first.split("-")[0]) / 1000 - time.time()) < 10
    assert r.xadd("now", {"a": 1}) > first


def test_reading(r):
    for name in "abc":
        r.xadd(name, {"from": name}, id="1-1")
        r.xadd(name, {"from": name}, id="1-2")
    assert streams(r.xread({"a": "0"}, count=1)) == {"a": [["1-1", {"from": "a"}]]}
    assert streams(r.xread({"a": "1-1", "b": "1-2", "c": "$", "none": 0})) == {"a": [["1-2", {"from": "a"}]]}
    assert streams(r.xread({name: "1-1" for name in "abc"})) == {
        name: [["1-2", {"from": name}]] for name in "abc"
    }
    assert streams(r.xread({"a": "$"})) == {} and streams(r.xread({"a": "$", "b": "$"}, block=20)) == {}


def test_groups(r):
    assert r.xgroup_create("s", "g", id="0", mkstream=True) is True
    fails(redis.ResponseError, "BUSYGROUP", r.xgroup_create, "s", "g")
    for number in range(1, 5):
        r.xadd("s", {"n": number}, id=f"{number}-0")
    assert r.xgroup_createconsumer("s", "g", "idle") == 1
    assert list(streams(r.xreadgroup("g", "alice", {"s": ">"}, count=2))["s"]) == [
        ["1-0", {"n": "1"}],
        ["2-0", {"n": "2"}],
    ]
    assert len(streams(r.xreadgroup("g", "bob", {"s": ">"}))["s"]) == 2
    assert streams(r.xreadgroup("g", "bob", {"s": ">"})) == {}
    assert len(streams(r.xreadgroup("g", "bob", {"s": "0"}))["s"]) == 2
    pending = r.xpending("s", "g")
    assert pending["pending"] == 4 and (pending["min"], pending["max"]) == ("1-0", "4-0")
    assert {each["name"]: each["pending"] for each in pending["consumers"]} == {"alice": 2, "bob": 2}
    [one] = r.xpending_range("s", "g", min="-", max="+", count=1, consumername="bob")
    assert (one["message_id"], one["consumer"], one["times_delivered"]) == ("3-0", "bob", 2)
    assert r.xack("s", "g", "1-0", "1-0", "9-0") == 1
    assert entries(r.xclaim("s", "g", "alice", 0, ["3-0"])) == [["3-0", {"n": "3"}]]
    assert r.xclaim("s", "g", "alice", 0, ["3-0"], justid=True) == ["3-0"]
    r.xdel("s", "2-0")
    cursor, claimed, deleted = r.xautoclaim("s", "g", "carol", 0, count=2)
    assert (cursor, entries(claimed), deleted) == ("4-0", [["3-0", {"n": "3"}]], ["2-0"])
    assert r.xautoclaim("s", "g", "carol", 0, start_id="4-0", justid=True) == ["4-0"]
    [group] = r.xinfo_groups("s")
    assert (group["name"], group["consumers"], group["pending"], group["last-delivered-id"]) == ("g", 4, 2, "4-0")
    assert (group["entries-read"], group["lag"]) == (4, 0)
    names = {each["name"]: each for each in r.xinfo_consumers("s", "g")}
    assert names["carol"]["pending"] == 2 and names["idle"]["pending"] == 0 and names["carol"]["idle"] < 10_000
    about = r.xinfo_stream("s")
    assert (about["length"], about["groups"], about["last-generated-id"]) == (3, 1, "4-0")
    assert r.xinfo_stream("s", full=True)["length"] == 3
    assert r.xgroup_setid("s", "g", "3-0") is True
    assert r.xgroup_delconsumer("s", "g", "carol") == 2
    assert r.xgroup_destroy("s", "g") == 1 and r.xgroup_destroy("s", "g") == 0
    fails(redis.ResponseError, "NOGROUP", r.xreadgroup, "g", "alice", {"s": ">"})


def test_all_who_wait_for_a_stream_get_its_entry(r):
    readers = [Waiting(r, lambda client: client.xread({"a": "$", "b": "$"}, block=10_000)) for _ in range(5)]
    readers += [Waiting(r, lambda client: client.xread({"b": "$"}, block=10_000)) for _ in range(5)]
    r.xadd("b", {"n": 1}, id="1-1")
    for reader in readers:
        assert streams(reader.result()) == {"b": [["1-1", {"n": "1"}]]}


def test_one_of_a_group_gets_each_entry(r):
    """Consumers that wait, and producers: every entry is handled once and acknowledged, in order for each producer."""
    names = [f"s{number}" for number in range(4)]
    for name in names:
        r.xgroup_create(name, "g", id="0", mkstream=True)
    each, handled, lock = 100, [], threading.Lock()

    def work(number):
        if number < 2:
            for turn in range(each):
                r.xadd(names[(turn + number) % 4], {"from": number, "turn": turn})
            return
        while True:
            found = streams(r.xreadgroup("g", f"c{number}", {name: ">" for name in names}, count=3, block=300))
            if not found:
                return
            for name, batch in found.items():
                with lock:
                    handled.extend((fields["from"], fields["turn"]) for _, fields in batch)
                assert r.xack(name, "g", *[id for id, _ in batch]) == len(batch)

    in_threads(6, work)
    assert sorted(handled) == sorted((str(p), str(turn)) for p in range(2) for turn in range(each))
    for name in names:
        assert r.xpending(name, "g")["pending"] == 0
        [group] = r.xinfo_groups(name)
        assert group["lag"] == 0 and group["entries-read"] == r.xlen(name)


def test_a_log_that_is_followed(r):
    """A reader that asks on from the last id it has seen misses nothing, though the log is trimmed behind it."""
    total = 500

    def work(number):
        if number == 0:
            for turn in range(total):
                r.xadd("log", {"turn": turn}, maxlen=1000)
            return
        seen, last = [], "0"
        while len(seen) < total:
            for _, batch in streams(r.xread({"log": last, "other": "$"}, block=5_000, count=7)).items():
                seen.extend(int(fields["turn"]) for _, fields in batch)
                last = batch[-1][0]
        assert seen == list(range(total))

    in_threads(4, work)


def test_who_waits_in_a_group_that_goes_hears_of_it(r):
    r.xgroup_create("s", "g", mkstream=True)
    waiting = Waiting(r, lambda client: client.xreadgroup("g", "c", {"s": ">"}, block=10_000))
    r.delete("s")
    assert isinstance(waiting.result(), redis.ResponseError)
