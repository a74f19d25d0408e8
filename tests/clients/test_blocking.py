"""Queues: clients that wait in threads for what others push, with every blocking command of redis-py."""

import socket
import threading
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from test_commands import fails
from test_transactions import SPREAD, in_threads


class Waiting:
    """A call that blocks, in a thread of its own, on a connection whose number is known."""

    def __init__(self, r, call):
        """`call` gets a client of a single connection; returns once the server says that it is blocked."""
        # A connection that is lost must show, so redis-py may not open another and ask again.
        options = {**r.connection_pool.connection_kwargs, "retry": Retry(NoBackoff(), 0)}
        client = redis.Redis(connection_pool=redis.ConnectionPool(**options), single_connection_client=True)
        self.number = client.client_id()
        self.outcome = None

        def work():
            try:
                self.outcome = call(client)
            except redis.RedisError as error:
                self.outcome = error

        self.thread = threading.Thread(target=work)
        self.thread.start()
        deadline = time.monotonic() + 10
        while not any("b" in each["flags"] for each in r.client_list(client_id=[self.number])):
            assert time.monotonic() < deadline and self.thread.is_alive(), f"it does not block: {self.outcome}"
            time.sleep(0.001)

    def result(self):
        """What the call brought, once it has returned."""
        self.thread.join(10)
        assert not self.thread.is_alive(), "it still blocks"
        return self.outcome


def pair(reply):
    """A tuple for one protocol, a list for the other."""
    return None if reply is None else list(reply)


def test_pops_of_what_is_there(r):
    r.rpush("l", "a", "b", "c", "d", "e", "f")
    assert pair(r.blpop("l", 1)) == ["l", "a"]
    assert pair(r.brpop(["missing", "l"], 1)) == ["l", "f"]
    assert r.blmove("l", "m", 1, "LEFT", "RIGHT") == "b"
    assert r.brpoplpush("l", "m", 1) == "e"
    assert r.blmpop(1, 2, "missing", "l", direction="LEFT", count=5) == ["l", ["c", "d"]]
    assert r.lrange("m", 0, -1) == ["e", "b"]
    r.zadd("z", {"a": 1, "b": 2.5, "c": 3, "d": 4})
    assert pair(r.bzpopmin("z", 1)) == ["z", "a", 1.0]
    assert pair(r.bzpopmax(["missing", "z"], 1)) == ["z", "d", 4.0]
    key, members = r.bzmpop(1, 2, ["missing", "z"], min=True, count=5)
    assert key == "z" and [(member, float(score)) for member, score in members] == [("b", 2.5), ("c", 3.0)]
    assert r.exists("l", "z") == 0


def test_pops_that_run_out_of_time(r):
    calls = [
        lambda: r.blpop(SPREAD, 0.1),
        lambda: r.brpop(SPREAD, 0.1),
        lambda: r.blmove("a", "b", 0.1),
        lambda: r.brpoplpush("a", "b", 0.1),
        lambda: r.blmpop(0.1, 4, *SPREAD, direction="LEFT"),
        lambda: r.bzpopmin(SPREAD, 0.1),
        lambda: r.bzpopmax(SPREAD, 0.1),
        lambda: r.bzmpop(0.1, 4, SPREAD, max=True),
    ]
    for number, call in enumerate(calls):
        began = time.monotonic()
        assert call() is None, f"call {number}"
        assert 0.095 <= time.monotonic() - began < 2, f"call {number}"
    fails(redis.ResponseError, "timeout is negative", r.blpop, "a", -1)
    r.set("text", "abc")
    fails(redis.ResponseError, "wrong kind of value", r.blpop, ["a", "text"], 1)


def test_each_push_wakes_who_waits_for_it(r):
    """Whatever the shard of the key, of who waits and of who pushes."""
    for key in SPREAD:
        waiting = Waiting(r, lambda client: client.blpop(SPREAD, 10))
        assert r.rpush("elsewhere", "x") == 1 and r.delete("elsewhere") == 1
        r.rpush(key, "element")
        assert pair(waiting.result()) == [key, "element"]
        waiting = Waiting(r, lambda client, key=key: client.blmove(key, "target", 10, "LEFT", "RIGHT"))
        r.lpush(key, "moved")
        assert waiting.result() == "moved" and r.lpop("target") == "moved"
        waiting = Waiting(r, lambda client: client.bzpopmin(SPREAD, 10))
        r.zadd(key, {"member": 1.5})
        assert pair(waiting.result()) == [key, "member", 1.5]
    assert r.dbsize() == 0


def test_served_in_order_of_arrival(r):
    row = [Waiting(r, lambda client: client.blpop(["b", "l", "d"], 10)) for _ in range(6)]
    r.rpush("l", *range(8))
    assert [pair(waiting.result()) for waiting in row] == [["l", str(number)] for number in range(6)]
    assert r.lrange("l", 0, -1) == ["6", "7"]


def test_a_chain_of_moves(r):
    last = Waiting(r, lambda client: client.blpop("d", 10))
    third = Waiting(r, lambda client: client.blmove("c", "d", 10))
    second = Waiting(r, lambda client: client.blmove("b", "c", 10))
    first = Waiting(r, lambda client: client.brpoplpush("a", "b", 10))
    r.rpush("a", "x")
    assert [first.result(), second.result(), third.result()] == ["x"] * 3
    assert pair(last.result()) == ["d", "x"] and r.dbsize() == 0


def test_workers_take_each_job_once(r):
    """Producers and consumers on all shards; some wait for a while, some again and again."""
    taken = []

    def work(number):
        if number < 3:
            for job in range(100):
                queue = SPREAD[(number + job) % 4]
                if job % 2:
                    r.rpush(queue, f"{number}:{job}")
                else:
                    with r.pipeline() as pipe:
                        pipe.rpush(queue, f"{number}:{job}").incr("pushed").execute()
            return
        while True:
            reply = r.blpop(SPREAD, 10 if number % 2 else 0.05)
            if reply is not None and reply[1] == "end":
                return
            if reply is not None:
                # Appending to a list is one step for all threads.
                taken.append(reply[1])

    consumers = threading.Thread(target=in_threads, args=(5, lambda number: work(number + 3)))
    consumers.start()
    in_threads(3, work)
    deadline = time.monotonic() + 10
    while len(taken) < 300:
        assert time.monotonic() < deadline, f"{len(taken)} of 300 jobs were taken"
        time.sleep(0.005)
    r.rpush("d", *["end"] * 5)
    consumers.join(15)
    assert not consumers.is_alive()
    assert sorted(taken) == sorted(f"{number}:{job}" for number in range(3) for job in range(100))
    assert r.exists(*SPREAD) == 0 and r.get("pushed") == "150"


def test_one_worker_sees_the_order_of_the_producer(r):
    got = []

    def work(number):
        if number == 0:
            for job in range(300):
                r.rpush("queue", job)
            return
        while len(got) < 300:
            got.append(r.blpop("queue", 10)[1])

    in_threads(2, work)
    assert got == [str(job) for job in range(300)]


def test_priorities(r):
    r.rpush("low", 1, 2)
    r.rpush("high", 3)
    assert [pair(r.blpop(["high", "low"], 1)) for _ in range(3)] == [["high", "3"], ["low", "1"], ["low", "2"]]


def test_a_reliable_queue(r):
    """What is taken lies in a list of work in progress until it is done."""

    def work(number):
        if number == 0:
            for job in range(90):
                r.lpush("todo", job)
            return
        for _ in range(30):
            job = r.blmove("todo", f"doing:{number}", 10, "RIGHT", "LEFT")
            with r.pipeline() as pipe:
                pipe.lrem(f"doing:{number}", 1, job).rpush("done", job)
                assert pipe.execute()[0] == 1

    in_threads(4, work)
    assert sorted(map(int, r.lrange("done", 0, -1))) == list(range(90))
    assert r.keys("doing:*") == [] and r.exists("todo") == 0


def test_questions_and_answers(r):
    """Each answer comes under a key that only its question knows."""

    def work(number):
        if number == 0:
            for _ in range(120):
                key, value = r.blpop("questions", 10)[1].split(" ")
                r.rpush(key, int(value) * 2)
            return
        for turn in range(30):
            key = f"answer:{number}:{turn}"
            r.rpush("questions", f"{key} {turn}")
            assert pair(r.blpop(key, 10)) == [key, str(turn * 2)]

    in_threads(5, work)
    assert r.dbsize() == 0


def test_a_queue_by_score(r):
    waiting = Waiting(r, lambda client: client.bzpopmin("due", 10))
    r.zadd("due", {"late": 30, "soon": 10, "middle": 20})
    assert pair(waiting.result()) == ["due", "soon", 10.0]
    waiting = Waiting(r, lambda client: client.bzmpop(10, 2, ["a", "d"], max=True, count=2))
    r.zadd("d", {"x": 1, "y": 2, "z": 3})
    key, members = waiting.result()
    assert key == "d" and [(member, float(score)) for member, score in members] == [("z", 3.0), ("y", 2.0)]
    assert pair(r.bzpopmax("due", 1)) == ["due", "late", 30.0]


def test_a_transaction_wakes_at_its_end(r):
    waiting = Waiting(r, lambda client: client.blmpop(10, 1, "l", direction="LEFT", count=10))
    with r.pipeline() as pipe:
        pipe.rpush("l", 1).rpush("l", 2, 3).set("a", "done").lpop("l").rpush("l", 4)
        assert pipe.execute() == [1, 3, True, "1", 3]
    assert waiting.result() == ["l", ["2", "3", "4"]]

    def take(client):
        return client.blpop("l", 10)[1], client.mget("a", "b", "c", "d")

    waiting = Waiting(r, take)
    with r.pipeline() as pipe:
        pipe.rpush("l", "job").mset({"a": 1, "b": 2}).mset({"c": 3, "d": 4}).execute()
    assert waiting.result() == ("job", ["1", "2", "3", "4"])
    # Nobody waits inside a transaction.
    with r.pipeline() as pipe:
        pipe.blpop("l", 0).bzpopmin("z", 0).rpush("l", "x").blpop("l", 0)
        replies = pipe.execute()
    assert [pair(reply) if index in (0, 1, 3) else reply for index, reply in enumerate(replies)] == [
        None, None, 1, ["l", "x"],
    ], replies


def test_unblocking(r):
    waiting = Waiting(r, lambda client: client.blpop(SPREAD, 10))
    assert r.client_unblock(waiting.number) is True
    assert waiting.result() is None
    waiting = Waiting(r, lambda client: client.bzpopmin(SPREAD, 10))
    assert r.client_unblock(waiting.number, error=True) is True
    assert "UNBLOCKED" in str(waiting.result())
    for key in SPREAD:
        r.rpush(key, "kept")
    assert [r.llen(key) for key in SPREAD] == [1] * 4


def test_who_is_killed_takes_nothing(r):
    waiting = Waiting(r, lambda client: client.blpop(SPREAD, 10))
    second = Waiting(r, lambda client: client.blpop("d", 10))
    assert r.client_kill_filter(_id=waiting.number) == 1
    assert isinstance(waiting.result(), redis.ConnectionError), waiting.outcome
    r.rpush("d", "x")
    assert pair(second.result()) == ["d", "x"]
    r.rpush("a", "kept")
    assert r.lrange("a", 0, -1) == ["kept"]


def test_who_hangs_up_takes_nothing(r):
    for key in SPREAD:
        connection = r.connection_pool.make_connection()
        connection.connect()
        connection.send_command("CLIENT", "ID")
        number = connection.read_response()
        connection.send_command("BLPOP", key, 0)
        deadline = time.monotonic() + 10
        while not any("b" in each["flags"] for each in r.client_list(client_id=[number])):
            assert time.monotonic() < deadline
        connection.disconnect()
        while r.client_list(client_id=[number]):
            assert time.monotonic() < deadline
        r.rpush(key, "kept")
        assert r.lrange(key, 0, -1) == ["kept"]


def test_many_who_wait(r):
    """More clients than any shard has keys to serve at once; all are served, and none twice."""
    row = [Waiting(r, lambda client, key=SPREAD[number % 4]: client.blpop(key, 15)) for number in range(40)]
    assert r.info("clients")["blocked_clients"] == 40
    with r.pipeline() as pipe:
        for key in SPREAD:
            pipe.rpush(key, *(f"{key}:{number}" for number in range(10)))
        pipe.execute()
    got = [waiting.result()[1] for waiting in row]
    assert got == [f"{SPREAD[number % 4]}:{number // 4}" for number in range(40)], got
    assert r.dbsize() == 0


def test_wait(r):
    r.set("k", "v")
    assert r.wait(0, 0) == 0
    began = time.monotonic()
    assert r.wait(1, 100) == 0
    assert 0.095 <= time.monotonic() - began < 2


def connected(r):
    """A plain socket to the server."""
    options = r.connection_pool.connection_kwargs
    return socket.create_connection((options["host"], options["port"]), 10)


def no_one_is_blocked(r):
    deadline = time.monotonic() + 10
    while r.info("clients")["blocked_clients"] > 0:
        assert time.monotonic() < deadline, "somebody still waits"
        time.sleep(0.01)


def test_clients_that_go_before_they_are_blocked(r):
    """The end of the connection arrives together with the command that would wait: nobody takes anything."""
    before = r.info("clients")["connected_clients"]
    for keys in ("a", " ".join(SPREAD)):
        for line in (f"BLPOP {keys} 0", f"BLPOP missing 0.05\r\nBLPOP {keys} 0", f"PING\r\nBLPOP {keys} 0"):
            for half in (False, True):
                client = connected(r)
                client.sendall(line.encode() + b"\r\n")
                if half:
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(1000):
                        pass
                client.close()
    deadline = time.monotonic() + 10
    while r.info("clients")["connected_clients"] > before:
        assert time.monotonic() < deadline, r.client_list()
        time.sleep(0.01)
    no_one_is_blocked(r)
    r.rpush("a", "x")
    assert r.lrange("a", 0, -1) == ["x"]


def test_what_a_transaction_brings_is_served_at_once(r):
    """A list that comes into being under a transaction's locks is served when those are let go of, which wakes
    a shard that has nothing else to do."""
    taken_ms = []
    for turn in range(20):
        r.rpush(f"source:{turn}", "x")
        with connected(r) as client:
            client.sendall(f"BLPOP target:{turn} 0\r\n".encode())
            while not r.info("clients")["blocked_clients"]:
                pass
            began = time.monotonic()
            r.rename(f"source:{turn}", f"target:{turn}")
            assert client.recv(100).endswith(b"x\r\n")
            taken_ms.append((time.monotonic() - began) * 1000)
        no_one_is_blocked(r)
    # Now and then the machine is slow, but not every time.
    assert sorted(taken_ms)[15] < 30, taken_ms


def test_clients_that_go_with_much_unread(r):
    """Megabytes behind the command that waits: the end of the connection is noticed all the same."""
    for keys in ("a", " ".join(SPREAD)):
        for line in (b"SET b x\r\n" * 300_000, b"SET b " + b"x" * 3_000_000):
            for pause in (0, 0.1):
                with connected(r) as client:
                    client.sendall(f"BLPOP {keys} 0\r\n".encode())
                    time.sleep(pause)
                    client.sendall(line)
    no_one_is_blocked(r)
    r.rpush("a", "x")
    assert r.lrange("a", 0, -1) == ["x"]


def test_a_client_that_was_served_has_not_been_idle(r):
    r.config_set("timeout", 1)
    try:
        with connected(r) as client:
            client.sendall(b"BLPOP a 0\r\n")
            time.sleep(2.2)
            r.rpush("a", "x")
            time.sleep(0.3)
            client.sendall(b"PING\r\n")
            reply = b""
            while len(reply) < 27 and (more := client.recv(100)):
                reply += more
            assert reply.endswith(b"x\r\n+PONG\r\n"), reply
    finally:
        r.config_set("timeout", 0)
