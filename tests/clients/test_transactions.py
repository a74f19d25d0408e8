"""Transactions as redis-py makes them: pipelines in MULTI and EXEC, WATCH loops, and the locks that people
build of both. Where threads meet, what is counted at the end tells whether each transaction was one."""

import threading
import time
import uuid

import redis

from test_commands import fails

# Their slots lie far apart: on four shards each has one.
SPREAD = ["a", "b", "c", "d"]


def in_threads(count, work):
    """Runs `work(number)` in threads; what any of them raises is raised here."""
    errors = []

    def guarded(number):
        try:
            work(number)
        except Exception as error:  # It is raised again below, where the test sees it.
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


# Pipelines.


def test_transaction_of_a_pipeline(r):
    with r.pipeline() as pipe:
        pipe.set("a", 1).incr("a").mset({"b": 2, "c": 3}).mget("a", "b", "c", "missing").delete("b")
        pipe.rename("c", "d").expire("d", 100).ttl("d").exists("a", "b", "c", "d")
        replies = pipe.execute()
    assert replies == [True, 2, True, ["2", "2", "3", None], 1, True, True, 100, 2], replies
    with r.pipeline() as pipe:
        assert pipe.execute() == []


def test_errors_inside_leave_the_rest_done(r):
    r.set("text", "abc")
    with r.pipeline() as pipe:
        pipe.set("a", 1).incr("text").set("d", 2)
        fails(redis.ResponseError, "Command # 2 (INCRBY text 1)", pipe.execute)
    assert r.mget("a", "d") == ["1", "2"]
    with r.pipeline() as pipe:
        pipe.incr("a").incr("text").incr("d")
        replies = pipe.execute(raise_on_error=False)
    assert replies[0] == 2 and replies[2] == 3
    assert isinstance(replies[1], redis.ResponseError), replies


def test_errors_while_queueing_undo_all(r):
    with r.pipeline() as pipe:
        pipe.set("a", 1).execute_command("NOSUCH", "x")
        pipe.set("d", 2)
        fails(redis.ResponseError, "unknown command", pipe.execute)
    with r.pipeline() as pipe:
        pipe.set("a", 1).execute_command("GET")
        fails(redis.ResponseError, "wrong number of arguments", pipe.execute)
    assert r.exists("a", "d") == 0
    # The connection is usable, and out of the transaction.
    with r.pipeline() as pipe:
        assert pipe.set("a", 1).get("a").execute() == [True, "1"]


def test_large_transactions(r):
    with r.pipeline() as pipe:
        for number in range(3000):
            pipe.set(f"key:{number}", number).incr("count")
        replies = pipe.execute()
    assert replies[0::2] == [True] * 3000
    assert replies[1::2] == list(range(1, 3001))
    big = "x" * 1_000_000
    with r.pipeline() as pipe:
        for key in SPREAD:
            pipe.set(key, big).strlen(key).get(key)
        replies = pipe.execute()
    assert replies == [True, len(big), big] * len(SPREAD)


def test_replies_of_many_megabytes_on_one_shard(r):
    """More than a connection gets in one turn, in a transaction that runs in place where its keys are here."""
    big = "x" * 700_000
    for key in SPREAD:
        r.set(key, big)
        with r.pipeline() as pipe:
            replies = pipe.get(key).get(key).get(key).strlen(key).get(key).execute()
        assert replies == [big, big, big, len(big), big], key
    assert r.ping()


# Writers go on until the readers have seen a change, but not for ever.
TURNS_MAX = 20_000


def test_transactions_are_seen_whole(r):
    """Writers give all keys the same value, in one transaction or one MSET; nobody may see two values."""
    keys = [f"{name}:{number}" for number in range(3) for name in SPREAD]
    r.mset({key: "start" for key in keys})
    r.rpush("names", *keys)
    writing = threading.Event()
    writing.set()
    seen = set()

    def work(number):
        if number < 3:
            for turn in range(TURNS_MAX):
                if turn >= 150 and len(seen) > 1:
                    break
                value = f"{number}:{turn}"
                if number == 0:
                    r.mset({key: value for key in keys})
                    continue
                with r.pipeline() as pipe:
                    # Each in an order of its own.
                    for key in keys if number == 1 else reversed(keys):
                        pipe.set(key, value)
                    pipe.execute()
            writing.clear()
            return
        while writing.is_set():
            if number == 3:
                values = r.mget(keys)
            elif number == 4:
                values = r.sort("names", by="nosort", get="*")
            else:
                with r.pipeline() as pipe:
                    for key in keys:
                        pipe.get(key)
                    values = pipe.execute()
            assert len(set(values)) == 1, f"a torn read: {values}"
            seen.add(values[0])

    in_threads(6, work)
    assert len(seen) > 1, "the readers saw no change"


def test_increments_of_many_keys(r):
    """Keys that are counted in the same transactions stay equal, in whatever order they are named."""

    def work(number):
        order = SPREAD if number % 2 else SPREAD[::-1]
        for _ in range(100):
            with r.pipeline() as pipe:
                for key in order:
                    pipe.incr(key)
                values = pipe.execute()
            assert len(set(values)) == 1, values

    in_threads(8, work)
    assert r.mget(SPREAD) == ["800"] * 4


# WATCH.


def test_watch_error(r):
    r.mset({"a": 1, "d": 1})
    with r.pipeline() as pipe:
        pipe.watch("a", "d", "missing")
        assert pipe.get("a") == "1"
        r.incr("d")
        pipe.multi()
        pipe.set("a", 100)
        fails(redis.WatchError, "", pipe.execute)
        assert r.get("a") == "1"
        # The pipeline may be used again, and watches nothing.
        r.incr("d")
        assert pipe.get("a").execute() == ["1"]
    with r.pipeline() as pipe:
        pipe.watch("missing")
        r.set("missing", "created")
        pipe.multi()
        pipe.set("a", 100)
        fails(redis.WatchError, "", pipe.execute)
    assert r.get("a") == "1"


def test_watch_without_a_change(r):
    r.mset({"a": 1, "d": 1})
    with r.pipeline() as pipe:
        pipe.watch("a", "d")
        value = int(pipe.get("a"))
        r.mget("a", "d")
        pipe.multi()
        pipe.set("a", value + 1).set("d", value + 1)
        assert pipe.execute() == [True, True]
    assert r.mget("a", "d") == ["2", "2"]


def test_unwatch_and_reset(r):
    r.set("a", 1)
    with r.pipeline() as pipe:
        pipe.watch("a")
        r.incr("a")
        assert pipe.unwatch() is True
        assert pipe.get("a").execute() == ["2"]
        pipe.watch("a")
        r.incr("a")
        pipe.reset()
        assert pipe.get("a").execute() == ["3"]
    # What left the pipeline without EXEC does not spoil the connection for the next.
    with r.pipeline() as pipe:
        pipe.watch("a")
        r.incr("a")
    with r.pipeline() as pipe:
        assert pipe.get("a").execute() == ["4"]


def test_watch_of_what_is_flushed_or_expires(r):
    for change in (r.flushall, r.flushdb, lambda: r.swapdb(0, 1), lambda: r.expire("a", 100)):
        r.set("a", 1)
        with r.pipeline() as pipe:
            pipe.watch("a")
            change()
            pipe.multi()
            pipe.set("never", 1)
            fails(redis.WatchError, "", pipe.execute)
        r.flushall()
    r.set("a", 1, px=20)
    with r.pipeline() as pipe:
        pipe.watch("a")
        deadline = time.monotonic() + 5
        while r.exists("a"):
            assert time.monotonic() < deadline
        pipe.multi()
        pipe.set("never", 1)
        fails(redis.WatchError, "", pipe.execute)


def test_the_transaction_helper(r):
    r.mset({"a": 1, "d": 2})

    def add(pipe):
        total = int(pipe.get("a")) + int(pipe.get("d"))
        pipe.multi()
        pipe.set("total", total)
        pipe.set("a", 0)
        return total

    assert r.transaction(add, "a", "d") == [True, True]
    assert r.transaction(add, "a", "d", value_from_callable=True) == 2
    assert r.get("total") == "2"

    # It tries again until nobody disturbs.
    disturbed = []

    def disturb(pipe):
        value = int(pipe.get("a"))
        if len(disturbed) < 3:
            disturbed.append(r.incr("a"))
        pipe.multi()
        pipe.set("a", value * 100)

    assert r.transaction(disturb, "a") == [True]
    assert disturbed == [1, 2, 3] and r.get("a") == "300"


def test_watch_loops_lose_no_increment(r):
    r.set("count", 0)

    def increment(pipe):
        value = int(pipe.get("count"))
        pipe.multi()
        pipe.set("count", value + 1)

    def work(_):
        for _ in range(25):
            r.transaction(increment, "count")

    in_threads(6, work)
    assert r.get("count") == "150"


def test_transfers_keep_the_sum(r):
    """Money moves between accounts on all shards, read and written in WATCH loops."""
    accounts = [f"account:{number}" for number in range(8)]
    r.mset({account: 100 for account in accounts})

    def work(number):
        for turn in range(25):
            source = accounts[(number + turn) % 8]
            target = accounts[(number * 3 + turn * 5 + 1) % 8]
            if source == target:
                continue

            def move(pipe, source=source, target=target):
                left, right = map(int, pipe.mget(source, target))
                pipe.multi()
                if left > 0:
                    pipe.mset({source: left - 1, target: right + 1})

            r.transaction(move, source, target)
            assert sum(map(int, r.mget(accounts))) == 800

    in_threads(6, work)
    assert sum(map(int, r.mget(accounts))) == 800


# Locks without scripts: SET with NX and a token, and a release that looks before it deletes.


def acquire(r, name, milliseconds=10_000):
    token = uuid.uuid4().hex
    deadline = time.monotonic() + 10
    while not r.set(name, token, nx=True, px=milliseconds):
        assert time.monotonic() < deadline, "the lock is not to be had"
        time.sleep(0.001)
    return token


def release(r, name, token):
    """Whether the lock was still ours."""
    with r.pipeline() as pipe:
        while True:
            try:
                pipe.watch(name)
                if pipe.get(name) != token:
                    return False
                pipe.multi()
                pipe.delete(name)
                pipe.execute()
                return True
            except redis.WatchError:
                continue


def test_locks(r):
    """Under the lock a counter is read and written back by hand: no increment may be lost."""
    r.set("count", 0)

    def work(_):
        for _ in range(15):
            token = acquire(r, "lock")
            r.set("count", int(r.get("count")) + 1)
            assert release(r, "lock", token)

    in_threads(5, work)
    assert r.get("count") == "75" and r.exists("lock") == 0


def test_a_lost_lock_is_not_released(r):
    token = acquire(r, "lock", 20)
    other = acquire(r, "lock")
    assert release(r, "lock", token) is False
    assert r.get("lock") == other
    assert release(r, "lock", other) is True


def test_a_lock_that_changes_hands_during_the_release(r):
    token = acquire(r, "lock")
    with r.pipeline() as pipe:
        pipe.watch("lock")
        assert pipe.get("lock") == token
        # It runs out at this moment, and somebody else takes it.
        r.set("lock", "another")
        pipe.multi()
        pipe.delete("lock")
        fails(redis.WatchError, "", pipe.execute)
    assert r.get("lock") == "another"


def test_locks_of_several_things_at_once(r):
    """All or none, in one command over all shards: no two may hold a common part."""
    held = set()
    guard = threading.Lock()

    def work(number):
        for turn in range(10):
            wanted = [SPREAD[(number + turn) % 4], SPREAD[(number * 2 + turn + 1) % 4]]
            if wanted[0] == wanted[1]:
                wanted.pop()
            deadline = time.monotonic() + 15
            while not r.msetnx({f"lock:{name}": number for name in wanted}):
                assert time.monotonic() < deadline, "the locks are not to be had"
                time.sleep(0.001)
            with guard:
                assert held.isdisjoint(wanted), f"{wanted} while {held} are held"
                held.update(wanted)
            with guard:
                held.difference_update(wanted)
            assert r.delete(*(f"lock:{name}" for name in wanted)) == len(wanted)

    in_threads(5, work)
    assert r.dbsize() == 0
