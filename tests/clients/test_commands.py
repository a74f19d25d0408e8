"""redis-py's own methods for strings, sets, sorted sets, hashes, keys and the server, each at least once. The client parses each
reply into its own types, so a reply of the wrong shape fails here even where its text is right."""

import datetime
import threading
import time

import redis

FAR = 33177117420


def fails(kind, text, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except kind as error:
        assert text in str(error), f"{error!r} does not say {text!r}"
        return
    raise AssertionError(f"{call.__name__} does not fail")


# Strings.


def test_set_and_get(r):
    assert r.set("k", "v") is True
    assert r.get("k") == "v"
    assert r.get("missing") is None
    assert r.set("k", "w", nx=True) is None
    assert r.set("none", "w", xx=True) is None
    assert r.set("k", "x", get=True) == "v"
    assert r.set("new", "x", get=True) is None
    assert r.set("k", "v", ex=100) is True and 99 <= r.ttl("k") <= 100
    assert r.set("k", "v", px=100_000) is True and 99 <= r.ttl("k") <= 100
    assert r.set("k", "v", exat=FAR) is True and r.expiretime("k") == FAR
    assert r.set("k", "v", pxat=FAR * 1000 + 5) is True and r.pexpiretime("k") == FAR * 1000 + 5
    assert r.set("k", "v", keepttl=True) is True and r.expiretime("k") == FAR
    assert r.set("k", "v", ex=datetime.timedelta(minutes=1)) is True and r.ttl("k") <= 60
    r["item"] = "x"
    assert r["item"] == "x" and "item" in r
    del r["item"]
    assert "item" not in r


def test_unicode_and_bytes(r):
    r.set("ключ", "значение ☃")
    assert r.get("ключ") == "значение ☃"
    raw = redis.Redis(port=r.connection_pool.connection_kwargs["port"])
    value = bytes(range(256)) * 300
    raw.set(b"\x00\xff\r\n", value)
    assert raw.get(b"\x00\xff\r\n") == value


def test_getters(r):
    r.set("k", "v")
    assert r.getdel("k") == "v" and r.getdel("k") is None
    r.set("k", "v")
    assert r.getex("k", ex=100) == "v" and r.ttl("k") > 90
    assert r.getex("k", px=100_000) == "v"
    assert r.getex("k", exat=FAR) == "v"
    assert r.getex("k", pxat=FAR * 1000) == "v"
    assert r.getex("k", persist=True) == "v" and r.ttl("k") == -1
    assert r.getset("k", "w") == "v"
    assert r.getrange("k", 0, -1) == "w"
    assert r.substr("k", 0) == "w"
    assert r.strlen("k") == 1


def test_setters(r):
    assert r.setnx("k", "v") is True and r.setnx("k", "v") is False
    assert r.setex("k", 100, "v") is True
    assert r.psetex("k", 100_000, "v") is True
    assert r.append("k", "w") == 2
    assert r.setrange("k", 4, "x") == 5
    assert r.get("k") == "vw\x00\x00x"
    fails(redis.ResponseError, "invalid expire time in 'setex' command", r.setex, "k", 0, "v")


def test_bitmaps(r):
    assert r.setbit("k", 7, 1) == 0 and r.setbit("k", 7, True) == 1
    assert r.getbit("k", 7) == 1 and r.getbit("k", 100) == 0
    r.set("k", "foobar")
    assert r.bitcount("k") == 26 and r.bitcount("k", 1, 1) == 6
    assert r.bitcount("k", 5, 30, mode="BIT") == 17
    assert r.bitpos("k", 1) == 1 and r.bitpos("k", 0, 1) == 8
    assert r.bitpos("k", 1, 8, -1, mode="BIT") == 9
    r.set("l", "abc")
    assert r.bitop("AND", "r", "k", "l") == 6
    assert r.bitop("NOT", "r", "k") == 6
    fails(redis.ResponseError, "must be called with a single source key", r.bitop, "NOT", "r", "k", "l")
    operations = r.bitfield("f").set("u8", 0, 255).incrby("u8", 0, 10).get("u8", 0)
    assert operations.execute() == [0, 9, 9]
    operations = r.bitfield("f", default_overflow="FAIL").incrby("u8", "#0", 255)
    assert operations.execute() == [None]
    assert r.bitfield_ro("f", "u8", 0, items=[("u4", 4)]) == [9, 9]


def test_hyperloglogs(r):
    assert r.pfadd("a", "x", "y", "z") == 1 and r.pfadd("a", "x") == 0
    assert r.pfcount("a") == 3 and r.pfcount("missing") == 0
    r.pfadd("b", "z", 1, 2)
    assert r.pfcount("a", "b") == 5
    assert r.pfmerge("c", "a", "b") is True and r.pfcount("c") == 5
    r.set("s", "text")
    fails(redis.ResponseError, "not a valid HyperLogLog string value", r.pfadd, "s", "x")


def test_geo(r):
    assert r.geoadd("k", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")) == 2
    assert r.geoadd("k", (13.361389, 38.2, "Palermo"), ch=True) == 1
    assert r.geoadd("k", (13.361389, 38.115556, "Palermo"), nx=True) == 0
    r.geoadd("k", (13.361389, 38.115556, "Palermo"), xx=True)
    assert r.geodist("k", "Palermo", "Catania", unit="km") == 166.2742
    assert r.geohash("k", "Palermo", "x") == ["sqc8b49rny0", None]
    (longitude, latitude), missing = r.geopos("k", "Palermo", "x")
    assert abs(longitude - 13.361389) < 1e-5 and abs(latitude - 38.115556) < 1e-5 and missing is None
    found = r.geosearch("k", longitude=15, latitude=37, radius=200, unit="km", sort="ASC", withdist=True)
    assert found == [["Catania", 56.4413], ["Palermo", 190.4424]]
    found = r.geosearch("k", member="Palermo", width=400, height=400, unit="km", count=1, any=True)
    assert len(found) == 1
    found = r.geosearch("k", member="Palermo", radius=1, withcoord=True, withhash=True)
    assert found[0][:2] == ["Palermo", 3479099956230698] and len(found[0][2]) == 2
    assert r.geosearchstore("s", "k", longitude=15, latitude=37, radius=100, unit="km", storedist=True) == 1
    assert round(r.zscore("s", "Catania"), 4) == 56.4413
    assert r.georadius("k", 15, 37, 200, unit="km", sort="DESC") == ["Palermo", "Catania"]
    assert r.georadiusbymember("k", "Palermo", 200, unit="km", store="s") == 2


def test_counters(r):
    assert r.incr("n") == 1 and r.incrby("n", 5) == 6 and r.incr("n", 4) == 10
    assert r.decr("n") == 9 and r.decrby("n", 4) == 5
    assert r.incrbyfloat("f", 1.5) == 1.5
    assert isinstance(r.incrbyfloat("f", 0.25), float)
    r.set("text", "abc")
    fails(redis.ResponseError, "value is not an integer or out of range", r.incr, "text")
    fails(redis.ResponseError, "value is not a valid float", r.incrbyfloat, "text", 1)


def test_many_keys(r):
    keys = {f"key:{number}": str(number) for number in range(200)}
    assert r.mset(keys) is True
    assert r.mget(list(keys)) == list(keys.values())
    assert r.mget("key:0", "missing", "key:199") == ["0", None, "199"]
    assert r.msetnx({"a": 1, "key:0": 2}) is False and r.get("a") is None
    assert r.msetnx({"a": 1, "b": 2}) is True
    assert r.exists(*keys, "missing") == 200
    assert r.touch(*keys) == 200
    assert r.delete(*list(keys)[:100]) == 100
    assert r.unlink(*list(keys)) == 100
    assert r.dbsize() == 2


def test_lcs(r):
    r.mset({"a": "ohmytext", "b": "mynewtext"})
    assert r.lcs("a", "b") == "mytext"
    assert r.lcs("a", "b", len=True) == 6
    matches = r.lcs("a", "b", idx=True, minmatchlen=3, withmatchlen=True)
    if isinstance(matches, list):
        matches = dict(zip(matches[::2], matches[1::2]))
    # Each client version sorts the parts of a match in its own way.
    assert matches["len"] == 6 and len(matches["matches"]) == 1
    assert sorted(map(str, matches["matches"][0])) == ["4", "[4, 7]", "[5, 8]"]


# Sorted sets. RESP2 has pairs flat and scores as texts; the client makes tuples and floats of both.


def pairs(reply):
    """Members and scores as tuples, whether the client gives them one after the other or in pairs."""
    flat = []
    for element in reply:
        flat.extend(element if isinstance(element, (list, tuple)) else [element])
    return list(zip(flat[::2], map(float, flat[1::2])))


def test_sorted_set_members(r):
    assert r.zadd("z", {"a": 1, "b": 2.5, "c": -3}) == 3
    assert r.zadd("z", {"a": 5, "d": 1}, nx=True) == 1
    assert r.zadd("z", {"a": 5, "e": 1}, xx=True, ch=True) == 1
    assert r.zadd("z", {"a": 4}, gt=True, ch=True) == 0 and r.zadd("z", {"a": 4}, lt=True, ch=True) == 1
    assert r.zadd("z", {"a": 0.5}, incr=True) == 4.5
    assert r.zadd("z", {"none": 1}, xx=True, incr=True) is None
    assert r.zincrby("z", 2, "d") == 3.0
    assert r.zscore("z", "b") == 2.5 and r.zscore("z", "none") is None and r.zscore("missing", "a") is None
    assert r.zmscore("z", ["a", "none", "c"]) == [4.5, None, -3.0]
    assert r.zcard("z") == 4 and r.zcard("missing") == 0
    assert r.zrank("z", "c") == 0 and r.zrevrank("z", "c") == 3 and r.zrank("z", "none") is None
    rank, score = r.zrank("z", "d", withscore=True)
    assert (rank, float(score)) == (2, 3.0)
    rank, score = r.zrevrank("z", "d", withscore=True)
    assert (rank, float(score)) == (1, 3.0)
    assert r.zrem("z", "a", "none") == 1 and r.zrem("z", "a") == 0
    assert r.zadd("z", {"up": "inf", "down": "-inf"}) == 2
    assert r.zscore("z", "up") == float("inf") and r.zscore("z", "down") == float("-inf")
    r.set("text", "abc")
    fails(redis.ResponseError, "WRONGTYPE", r.zadd, "text", {"a": 1})
    fails(redis.ResponseError, "value is not a valid float", r.zadd, "z", {"a": "x"})
    fails(redis.ResponseError, "not a number (NaN)", r.zincrby, "z", "-inf", "up")


def test_sorted_set_ranges(r):
    r.zadd("z", {"a": 1, "b": 2, "c": 3, "d": 4})
    assert r.zrange("z", 0, -1) == ["a", "b", "c", "d"]
    assert pairs(r.zrange("z", 1, 2, withscores=True)) == [("b", 2.0), ("c", 3.0)]
    assert r.zrange("z", 0, 1, desc=True) == ["d", "c"]
    assert r.zrange("z", "(1", 3, byscore=True) == ["b", "c"]
    assert r.zrange("z", "+inf", "-inf", byscore=True, desc=True, offset=1, num=2) == ["c", "b"]
    assert r.zrange("z", "[b", "(d", bylex=True) == ["b", "c"]
    assert pairs(r.zrevrange("z", 0, 0, withscores=True)) == [("d", 4.0)]
    assert r.zrangebyscore("z", 2, "+inf", start=1, num=5) == ["c", "d"]
    assert pairs(r.zrangebyscore("z", 2, 3, withscores=True)) == [("b", 2.0), ("c", 3.0)]
    assert r.zrevrangebyscore("z", 3, "-inf") == ["c", "b", "a"]
    assert r.zrangebylex("z", "-", "[b") == ["a", "b"] and r.zrevrangebylex("z", "[b", "-") == ["b", "a"]
    assert r.zcount("z", "(1", 3) == 2 and r.zlexcount("z", "-", "(c") == 2
    assert r.zrangestore("kept", "z", 1, 2) == 2 and r.zrange("kept", 0, -1) == ["b", "c"]
    assert r.zremrangebyrank("z", 0, 0) == 1 and r.zremrangebyscore("z", "(3", "inf") == 1
    assert r.zremrangebylex("z", "[c", "+") == 1 and r.zrange("z", 0, -1) == ["b"]
    fails(redis.ResponseError, "min or max is not a float", r.zrangebyscore, "z", "x", 1)
    fails(redis.ResponseError, "min or max not valid string range item", r.zrangebylex, "z", "a", "b")


def test_sorted_set_pops(r):
    r.zadd("z", {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5})
    assert pairs(r.zpopmin("z")) == [("a", 1.0)] and pairs(r.zpopmax("z")) == [("e", 5.0)]
    assert pairs(r.zpopmin("z", 2)) == [("b", 2.0), ("c", 3.0)] and r.zpopmin("missing", 3) == []
    r.zadd("other", {"x": 7})
    key, elements = r.zmpop(3, ["missing", "other", "z"], max=True, count=5)
    assert key == "other" and pairs(elements) == [("x", 7.0)]
    assert r.zmpop(1, ["missing"], min=True) is None
    r.zadd("z", {"d": 4, "f": 6})
    assert r.zrandmember("z") in ("d", "f")
    assert sorted(r.zrandmember("z", 5)) == ["d", "f"] and len(r.zrandmember("z", -5)) == 5
    assert sorted(pairs(r.zrandmember("z", 2, withscores=True))) == [("d", 4.0), ("f", 6.0)]


def test_sorted_sets_combined(r):
    for tag in ("a", "b", "c", "{s}"):
        r.zadd(f"{tag}1", {"x": 1, "y": 2})
        r.zadd(f"{tag}2", {"y": 10, "z": 20})
    for one, two in (("{s}1", "{s}2"), ("a1", "b2"), ("c1", "a2")):
        assert r.zunion([one, two]) == ["x", "y", "z"]
        assert pairs(r.zunion([one, two], withscores=True)) == [("x", 1.0), ("y", 12.0), ("z", 20.0)]
        assert pairs(r.zunion({one: 2, two: 1}, aggregate="MIN", withscores=True)) == [
            ("x", 2.0), ("y", 4.0), ("z", 20.0)
        ]
        assert pairs(r.zinter([one, two], withscores=True)) == [("y", 12.0)]
        assert pairs(r.zinter([one, two], aggregate="MAX", withscores=True)) == [("y", 10.0)]
        assert r.zdiff([one, two]) == ["x"]
        assert pairs(r.zdiff([one, two], withscores=True)) == [("x", 1.0)]
        assert r.zintercard(2, [one, two]) == 1 and r.zintercard(1, [one], limit=1) == 1
        for name, store, expected in (
            ("union", r.zunionstore, [("x", 1.0), ("y", 12.0), ("z", 20.0)]),
            ("inter", r.zinterstore, [("y", 12.0)]),
            ("diff", r.zdiffstore, [("x", 1.0)]),
        ):
            assert store(name, [one, two]) == len(expected)
            assert pairs(r.zrange(name, 0, -1, withscores=True)) == expected
        assert r.zunionstore("union", {one: 10, two: 1}, aggregate="MAX") == 3
        assert r.zscore("union", "y") == 20.0


def test_sorted_set_scan(r):
    members = {f"member:{number}": float(number) for number in range(1000)}
    assert r.zadd("large", members) == 1000
    assert r.type("large") == "zset" and r.object("encoding", "large") == "skiplist"
    found = {}
    for member, score in r.zscan_iter("large", count=50):
        found[member] = float(score)
    assert found == members
    assert [member for member, _ in r.zscan_iter("large", match="*:77")] == ["member:77"]
    cursor, elements = r.zscan("missing")
    assert cursor == 0 and list(elements) == []
    assert r.zrange("large", 500, 501) == ["member:500", "member:501"]
    assert r.delete("large") == 1


# Sets.


def test_set_members(r):
    assert r.sadd("s", "a", "b", 1) == 3 and r.sadd("s", "a", "c") == 1
    assert r.smembers("s") == {"a", "b", "c", "1"} and r.smembers("missing") == set()
    assert r.scard("s") == 4 and r.scard("missing") == 0
    assert r.sismember("s", "a") == 1 and r.sismember("s", "none") == 0
    assert r.smismember("s", ["a", "none", 1]) == [1, 0, 1]
    assert r.srem("s", "a", "none") == 1
    assert r.smove("s", "other", "b") is True and r.smove("s", "other", "b") is False
    assert r.smembers("other") == {"b"}
    assert r.type("s") == "set" and r.object("encoding", "s") in ("listpack", "hashtable")
    r.sadd("integers", *range(10))
    assert r.object("encoding", "integers") == "intset"
    r.set("text", "x")
    fails(redis.ResponseError, "WRONGTYPE", r.sadd, "text", "a")


def test_set_draws(r):
    members = {f"member:{number}" for number in range(300)}
    assert r.sadd("s", *members) == 300
    assert r.srandmember("s") in members and r.srandmember("missing") is None
    assert len(set(r.srandmember("s", 100))) == 100 and len(r.srandmember("s", -400)) == 400
    assert set(r.srandmember("s", 1000)) == members and list(r.srandmember("missing", 3)) == []
    first = r.spop("s")
    assert first in members and r.scard("s") == 299
    more = set(r.spop("s", 10))
    assert len(more) == 10 and more <= members and r.smembers("s") == members - more - {first}
    assert len(r.spop("s", 285)) == 285 and r.scard("s") == 4
    assert len(r.spop("s", 10)) == 4 and r.exists("s") == 0 and r.spop("s") is None


def test_sets_combined(r):
    for tag in ("a", "b", "c", "{s}"):
        r.sadd(f"{tag}1", "x", "y", 1)
        r.sadd(f"{tag}2", "y", "z", 1)
    for one, two in (("{s}1", "{s}2"), ("a1", "b2"), ("c1", "a2")):
        assert set(r.sinter(one, two)) == {"y", "1"}
        assert set(r.sunion([one, two])) == {"x", "y", "z", "1"}
        assert set(r.sdiff(one, two)) == {"x"} and set(r.sdiff(one, "missing")) == {"x", "y", "1"}
        assert r.sintercard(2, [one, two]) == 2 and r.sintercard(2, [one, two], limit=1) == 1
        assert r.sinterstore("d", [one, two]) == 2 and r.smembers("d") == {"y", "1"}
        assert r.sunionstore("d", one, two) == 4 and r.smembers("d") == {"x", "y", "z", "1"}
        assert r.sdiffstore("d", one, two) == 1 and r.smembers("d") == {"x"}
        assert pairs(r.zunion([one, two], withscores=True)) == [("x", 1.0), ("z", 1.0), ("1", 2.0), ("y", 2.0)]


def test_set_scan(r):
    members = {f"member:{number}" for number in range(1000)}
    assert r.sadd("large", *members) == 1000 and r.object("encoding", "large") == "hashtable"
    assert set(r.sscan_iter("large", count=50)) == members
    assert list(r.sscan_iter("large", match="*:77")) == ["member:77"]
    cursor, found = r.sscan("missing")
    assert cursor == 0 and list(found) == []


# Hashes.


def test_hash_fields(r):
    assert r.hset("h", "a", 1) == 1 and r.hset("h", mapping={"a": 2, "b": "two"}) == 1
    assert r.hget("h", "a") == "2" and r.hget("h", "none") is None and r.hget("missing", "a") is None
    assert r.hmget("h", "a", "none", "b") == ["2", None, "two"] and r.hmget("missing", ["a"]) == [None]
    assert r.hgetall("h") == {"a": "2", "b": "two"} and r.hgetall("missing") == {}
    assert r.hkeys("h") == ["a", "b"] and r.hvals("h") == ["2", "two"]
    assert r.hlen("h") == 2 and r.hlen("missing") == 0
    assert r.hexists("h", "a") is True and r.hexists("h", "none") is False
    assert r.hstrlen("h", "b") == 3 and r.hstrlen("h", "none") == 0
    assert r.hsetnx("h", "a", 3) == 0 and r.hsetnx("h", "c", 3) == 1
    assert r.hincrby("h", "c") == 4 and r.hincrby("h", "c", -10) == -6
    assert r.hincrbyfloat("h", "c", 0.5) == -5.5 and r.hget("h", "c") == "-5.5"
    assert r.hdel("h", "a", "none", "b") == 2 and r.hdel("h", "c") == 1 and r.exists("h") == 0
    r.set("text", "abc")
    r.hset("h", "text", "abc")
    fails(redis.ResponseError, "WRONGTYPE", r.hset, "text", "a", 1)
    fails(redis.ResponseError, "hash value is not an integer", r.hincrby, "h", "text")
    fails(redis.ResponseError, "hash value is not a float", r.hincrbyfloat, "h", "text")


def test_hash_fields_expire(r):
    r.hset("h", mapping={"a": 1, "b": 2, "c": 3})
    assert r.hexpire("h", 100, "a", "none") == [1, -2] and r.hpexpire("h", 200_000, "b") == [1]
    assert r.httl("h", "a", "b", "c", "none") == [100, 200, -1, -2]
    assert 99_000 < r.hpttl("h", "a")[0] <= 100_000
    assert r.hexpire("h", 50, "a", nx=True) == [0] and r.hexpire("h", 50, "a", lt=True) == [1]
    assert r.hexpireat("h", FAR, "a") == [1] and r.hexpiretime("h", "a", "c") == [FAR, -1]
    assert r.hpexpireat("h", FAR * 1000 + 5, "a") == [1] and r.hpexpiretime("h", "a") == [FAR * 1000 + 5]
    assert r.hpersist("h", "a", "c", "none") == [1, -1, -2]
    assert r.hpexpire("h", 30, "a") == [1]
    time.sleep(0.05)
    assert r.hget("h", "a") is None and r.hgetall("h") == {"b": "2", "c": "3"}
    assert r.hexpire("h", 0, "b", "c") == [2, 2] and r.exists("h") == 0


def test_hash_get_and_set_with_expiry(r):
    assert r.execute_command("HSETEX", "h", "EX", 100, "FIELDS", 2, "a", 1, "b", 2) == 1
    assert r.httl("h", "a", "b") == [100, 100]
    assert r.execute_command("HGETEX", "h", "PERSIST", "FIELDS", 2, "a", "none") == ["1", None]
    assert r.httl("h", "a", "b") == [-1, 100]
    assert r.execute_command("HGETDEL", "h", "FIELDS", 2, "a", "b") == ["1", "2"] and r.exists("h") == 0


def test_hash_scan(r):
    fields = {f"field:{number}": str(number) for number in range(1000)}
    assert r.hset("large", mapping=fields) == 1000
    assert r.type("large") == "hash" and r.object("encoding", "large") == "hashtable"
    assert dict(r.hscan_iter("large", count=50)) == fields
    assert dict(r.hscan_iter("large", match="*:77")) == {"field:77": "77"}
    assert r.hgetall("large") == fields
    cursor, found = r.hscan("missing")
    assert cursor == 0 and dict(found) == {}
    assert r.hrandfield("large") in fields and len(set(r.hrandfield("large", 20))) == 20
    assert len(r.hrandfield("large", -2000)) == 2000
    r.hset("small", mapping={"a": 1})
    assert r.hrandfield("small", 5) == ["a"]
    assert list(r.hrandfield("small", 1, withvalues=True)) in (["a", "1"], [["a", "1"]])
    assert r.delete("large") == 1


# Keys.


# Lists.


def test_list_ends(r):
    assert r.rpush("l", "b", "c") == 2 and r.lpush("l", "a") == 3
    assert r.rpushx("l", 4) == 4 and r.lpushx("l", 0) == 5
    assert r.rpushx("missing", "a") == 0 and r.lpushx("missing", "a") == 0
    assert r.llen("l") == 5 and r.llen("missing") == 0
    assert r.lrange("l", 0, -1) == ["0", "a", "b", "c", "4"]
    assert r.lrange("missing", 0, -1) == []
    assert r.lpop("l") == "0" and r.rpop("l") == "4"
    assert r.lpop("l", 2) == ["a", "b"] and r.rpop("l", 5) == ["c"]
    assert r.lpop("l") is None and r.rpop("l") is None and r.lpop("l", 2) is None
    assert r.type("l") == "none"


def test_list_elements(r):
    r.rpush("l", *range(10))
    assert r.lindex("l", 0) == "0" and r.lindex("l", -1) == "9" and r.lindex("l", 10) is None
    assert r.lset("l", 1, "one") is True
    fails(redis.ResponseError, "index out of range", r.lset, "l", 10, "x")
    fails(redis.ResponseError, "no such key", r.lset, "missing", 0, "x")
    assert r.linsert("l", "BEFORE", "one", "x") == 11 and r.linsert("l", "AFTER", "one", "y") == 12
    assert r.linsert("l", "AFTER", "none", "y") == -1
    assert r.lrange("l", 0, 4) == ["0", "x", "one", "y", "2"]
    assert r.lrem("l", 1, "x") == 1 and r.lrem("l", -1, "y") == 1 and r.lrem("l", 0, "x") == 0
    assert r.lpos("l", "5") == 5 and r.lpos("l", "x") is None
    r.rpush("l", "5", "5")
    assert r.lpos("l", "5", rank=2) == 10 and r.lpos("l", "5", rank=-1) == 11
    assert r.lpos("l", "5", count=0) == [5, 10, 11] and r.lpos("l", "5", count=2, maxlen=6) == [5]
    assert r.ltrim("l", 1, 2) is True and r.lrange("l", 0, -1) == ["one", "2"]
    assert r.type("l") == "list" and r.object("encoding", "l") == "listpack"
    assert [key for key in r.scan_iter(_type="list")] == ["l"]
    fails(redis.ResponseError, "WRONGTYPE", r.get, "l")
    assert r.memory_usage("l") > 0


def test_list_moves(r):
    for source, destination in (("a", "b"), ("{x}a", "{x}b")):
        r.rpush(source, 1, 2, 3)
        assert r.lmove(source, destination) == "1"
        assert r.lmove(source, destination, "RIGHT", "LEFT") == "3"
        assert r.rpoplpush(source, destination) == "2" and r.rpoplpush(source, destination) is None
        assert r.lrange(destination, 0, -1) == ["2", "3", "1"]
        assert r.lmpop(2, source, destination, direction="LEFT") == [destination, ["2"]]
        assert r.lmpop(2, source, destination, direction="RIGHT", count=5) == [destination, ["1", "3"]]
        assert r.lmpop(2, source, destination, direction="LEFT") is None


def test_long_list(r):
    elements = [f"element {n}" for n in range(20_000)]
    for start in range(0, len(elements), 1000):
        r.rpush("l", *elements[start : start + 1000])
    assert r.lrange("l", 0, -1) == elements
    assert r.object("encoding", "l") == "quicklist"
    assert r.lindex("l", 12_345) == "element 12345" and r.lpos("l", "element 19999") == 19_999
    assert r.copy("l", "m") is True and r.rename("m", "n") is True
    assert r.lrange("n", 9_990, 10_010) == elements[9_990:10_011]
    assert r.ltrim("n", 10_000, 10_009) is True and r.lrange("n", 0, -1) == elements[10_000:10_010]
    assert r.unlink("l", "n") == 2


def test_elements_circulate(r):
    lists = [f"ring:{n}" for n in range(6)]
    elements = [f"element {n}" for n in range(60)]
    r.rpush(lists[0], *elements)

    def work(start):
        for n in range(start, start + 300):
            source, destination = lists[n % 6], lists[(n * 7 + 1) % 6]
            r.lmove(source, destination, "LEFT", "RIGHT")
            popped = r.lmpop(3, *lists[n % 4 : n % 4 + 3], direction="RIGHT")
            if popped is not None:
                r.lpush(popped[0], *popped[1])

    threads = [threading.Thread(target=work, args=(start,)) for start in (0, 101, 202, 303)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = [element for name in lists for element in r.lrange(name, 0, -1)]
    assert sorted(left) == sorted(elements)


# Keys.


def test_expiry(r):
    r.set("k", "v")
    assert r.ttl("k") == -1 and r.pttl("missing") == -2
    assert r.expire("k", 100) is True
    assert r.expire("k", 200, nx=True) is False and r.expire("k", 200, xx=True) is True
    assert r.expire("k", 100, gt=True) is False and r.expire("k", 100, lt=True) is True
    assert r.pexpire("k", 150_000) is True and 140_000 < r.pttl("k") <= 150_000
    assert r.expireat("k", FAR) is True and r.expiretime("k") == FAR
    assert r.expireat("k", datetime.datetime(2999, 1, 1)) is True
    assert r.pexpireat("k", FAR * 1000) is True and r.pexpiretime("k") == FAR * 1000
    assert r.persist("k") is True and r.persist("k") is False
    assert r.expire("k", -1) is True and r.exists("k") == 0
    assert r.expire("missing", 1) is False
    r.set("short", "v", px=20)
    deadline = time.monotonic() + 5
    while r.exists("short"):
        assert time.monotonic() < deadline
    assert r.get("short") is None


def test_key_space(r):
    assert r.randomkey() is None
    r.mset({"one": 1, "two": 2, "three": 3})
    assert r.randomkey() in ("one", "two", "three")
    assert sorted(r.keys()) == ["one", "three", "two"]
    assert r.keys("t*o") == ["two"]
    assert r.type("one") == "string" and r.type("missing") == "none"
    cursor, found = r.scan(0, match="*", count=1000)
    assert isinstance(cursor, int) and isinstance(found, list)
    assert sorted(r.scan_iter()) == ["one", "three", "two"]
    assert list(r.scan_iter(match="one", count=1, _type="string")) == ["one"]
    assert list(r.scan_iter(_type="hash")) == []


def test_rename_copy_move(r):
    r.set("k", "v")
    assert r.rename("k", "l") is True and r.get("l") == "v"
    fails(redis.ResponseError, "no such key", r.rename, "k", "l")
    r.set("k", "w")
    assert r.renamenx("k", "l") is False and r.renamenx("k", "m") is True
    assert r.copy("m", "n") is True and r.copy("m", "n") is False
    assert r.copy("m", "n", replace=True) is True
    assert r.copy("m", "m", destination_db=1) is True
    assert r.move("l", 1) is True and r.move("l", 1) is False
    assert r.swapdb(0, 1) is True
    assert r.get("l") == "v"
    assert r.swapdb(0, 1) is True


def test_object(r):
    r.set("k", 12)
    assert r.object("encoding", "k") == "int"
    assert r.object("idletime", "k") >= 0
    assert r.object("refcount", "k") >= 1
    assert r.object("encoding", "missing") is None
    assert r.memory_usage("k") > 0 and r.memory_usage("missing") is None


def test_dump_and_restore(r):
    raw = redis.Redis(port=r.connection_pool.connection_kwargs["port"])
    fill = {
        "string": lambda key: r.set(key, "v" * 100),
        "list": lambda key: r.rpush(key, *range(1000)),
        "set": lambda key: r.sadd(key, "a", 1, "b"),
        "zset": lambda key: r.zadd(key, {"a": 1.5, "b": 2}),
        "hash": lambda key: r.hset(key, mapping={"f": "v", "g": 7}),
    }
    read = {
        "string": r.get,
        "list": lambda key: r.lrange(key, 0, -1),
        "set": r.smembers,
        "zset": lambda key: r.zrange(key, 0, -1, withscores=True),
        "hash": r.hgetall,
    }
    for kind in fill:
        fill[kind](kind)
        payload = raw.dump(kind)
        assert raw.restore("copy", 0, payload, replace=True) == b"OK"
        assert r.type("copy") == kind and read[kind]("copy") == read[kind](kind)
    assert raw.dump("missing") is None
    fails(redis.ResponseError, "BUSYKEY", raw.restore, "copy", 0, payload)
    fails(redis.ResponseError, "checksum", raw.restore, "copy", 0, payload[:-1], replace=True)
    assert raw.restore("copy", FAR * 1000, payload, replace=True, absttl=True) and r.pexpiretime("copy") == FAR * 1000
    assert raw.restore("copy", 0, payload, replace=True, idletime=77) and r.object("idletime", "copy") == 77


# Connections and the server.


def test_connection(r):
    assert r.ping() is True and r.echo("hello") == "hello"
    connection = r.client()
    assert connection.client_setname("me") is True and connection.client_getname() == "me"
    assert connection.client_id() > 0
    described = connection.client_info()
    assert described["name"] == "me" and int(described["db"]) == 0
    listed = [client for client in r.client_list() if client["name"] == "me"]
    assert len(listed) == 1 and listed[0]["lib-name"] == "redis-py"
    assert len(r.client_list(client_id=[connection.client_id()])) == 1
    assert r.client_kill_filter(_id=connection.client_id()) == 1
    assert r.client_pause(1) is True and r.client_unpause() in (True, b"OK", "OK")
    assert r.client_no_evict("OFF") in (True, "OK") and r.client_no_touch("OFF") in (True, "OK")
    assert r.client_unblock(connection.client_id()) is False


def test_databases(r):
    options = r.connection_pool.connection_kwargs
    other = redis.Redis(port=options["port"], db=3, decode_responses=True)
    r.set("k", "zero")
    assert other.get("k") is None
    other.set("k", "three")
    assert r.get("k") == "zero"
    assert r.info("keyspace")["db3"]["keys"] == 1
    assert other.flushdb() is True and r.dbsize() == 1
    assert r.flushall(asynchronous=True) is True and r.dbsize() == 0


def test_info(r):
    r.set("k", "v")
    info = r.info()
    assert info["redis_version"].startswith("7.") and info["role"] == "master"
    assert info["connected_clients"] >= 1 and info["used_memory"] > 0
    assert info["db0"]["keys"] == 1 and info["db0"]["expires"] == 0
    everything = r.info("everything")
    assert everything["cmdstat_set"]["calls"] >= 1
    assert r.info("server", "clients")["maxclients"] > 0
    assert isinstance(r.time()[0], int)


def test_config(r):
    assert r.config_get("maxmemory")["maxmemory"] == "0"
    assert "maxmemory-policy" in r.config_get("maxmemory*")
    assert len(r.config_get("*")) > 100
    assert r.config_set("timeout", 0) is True
    assert r.config_set("timeout", 0, "maxmemory-samples", 5) is True
    assert r.config_resetstat() is True
    fails(redis.ResponseError, "running without a config file", r.config_rewrite)
    fails(redis.ResponseError, "Unknown option", r.config_set, "nothing", 1)


def test_command(r):
    commands = r.command()
    assert commands["get"]["arity"] == 2 and "readonly" in commands["get"]["flags"]
    assert commands["mset"]["step_count"] == 2
    assert r.command_count() == len(commands)
    assert set(commands) <= set(r.command_list())
    assert r.command_getkeys("MSET", "a", 1, "b", 2) == ["a", "b"]
    assert r.command_getkeysandflags("GET", "a")
    assert "mget" in r.command_list(category="string")
    assert r.command_list(pattern="mset*")


def test_slow_log_and_latency(r):
    assert r.config_set("slowlog-log-slower-than", 0) is True
    r.get("slow")
    entries = r.slowlog_get(5)
    assert any(entry["command"] in (b"GET slow", "GET slow") for entry in entries), entries
    assert r.slowlog_len() > 0 and r.slowlog_reset() is True
    assert r.config_set("slowlog-log-slower-than", 10_000) is True
    assert r.latency_reset() >= 0 and r.latency_latest() == [] and r.latency_history("command") == []


def test_memory(r):
    stats = r.memory_stats()
    assert stats["peak.allocated"] > 0
    assert r.memory_purge() is True
    assert "ver" in str(r.lolwut())


def test_monitor(r):
    with r.monitor() as monitor:
        r.set("watched", "v")
        for _ in range(10):
            seen = monitor.next_command()
            if seen["command"].startswith("SET watched"):
                assert seen["db"] == 0 and seen["client_address"] == "127.0.0.1"
                return
    raise AssertionError("the command was not shown")


def test_pipeline(r):
    with r.pipeline(transaction=False) as pipe:
        for number in range(1000):
            pipe.set(f"key:{number}", number).get(f"key:{number}").incr("count")
        replies = pipe.execute()
    assert replies[1::3] == [str(number) for number in range(1000)]
    assert replies[2::3] == list(range(1, 1001))
    with r.pipeline(transaction=False) as pipe:
        pipe.set("k", "text").incr("k").get("k")
        replies = pipe.execute(raise_on_error=False)
    assert replies[0] is True and isinstance(replies[1], redis.ResponseError) and replies[2] == "text"


def test_threads(r):
    """Many clients of one pool, each counting on every core."""

    def work():
        for number in range(200):
            r.incr(f"counter:{number % 16}")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(int(value) for value in r.mget([f"counter:{n}" for n in range(16)])) == 1600


def test_unknown_commands(r):
    fails(redis.ResponseError, "unknown command 'NOSUCH'", r.execute_command, "NOSUCH", "a")
    fails(redis.ResponseError, "wrong number of arguments for 'get' command", r.execute_command, "GET")
