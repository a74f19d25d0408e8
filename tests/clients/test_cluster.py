"""Cores as cluster nodes: cluster clients address the core that owns a key, and every core serves the
keys of the others as well."""

import subprocess

import redis
from redis.cluster import ClusterNode, RedisCluster


def cluster(server, **options):
    nodes = [ClusterNode("127.0.0.1", server.port)]
    return RedisCluster(startup_nodes=nodes, decode_responses=True, **options)


def core_ports(server):
    return sorted(node.port for node in cluster(server).get_primaries())


def test_every_core_is_a_node(server):
    client = cluster(server)
    ports = core_ports(server)
    assert len(ports) == server.shards and len(set(ports)) == server.shards, ports
    assert all(node.host == "127.0.0.1" for node in client.get_primaries())
    slots = client.cluster_slots(target_nodes=client.get_primaries()[0])
    covered = sum(end - start + 1 for start, end in slots)
    assert covered == 16384, slots


def test_commands_through_the_cluster_client(server):
    for protocol in (2, 3):
        client = cluster(server, protocol=protocol)
        client.flushall(target_nodes=RedisCluster.PRIMARIES)
        for number in range(500):
            assert client.set(f"key:{number}", number) is True
        assert all(client.get(f"key:{number}") == str(number) for number in range(500))
        assert client.mset_nonatomic({f"other:{number}": number for number in range(100)})
        assert client.mget_nonatomic([f"other:{number}" for number in range(100)]) == [
            str(number) for number in range(100)
        ]
        assert client.exists(*(f"key:{number}" for number in range(500))) == 500
        assert client.delete("key:1", "key:2", "key:3") == 3


def test_hash_tags(server):
    client = cluster(server)
    assert client.mset({"{user}name": "a", "{user}mail": "b"}) is True
    assert client.mget("{user}name", "{user}mail") == ["a", "b"]
    assert client.rename("{user}name", "{user}nick") is True
    slot = client.cluster_keyslot("{user}nick")
    assert client.keyslot("{user}nick") == slot
    assert client.cluster_countkeysinslot(slot) == 2
    assert sorted(client.cluster_get_keys_in_slot(slot, 10)) == ["{user}mail", "{user}nick"]


def test_pipelines_of_the_cluster_client(server):
    client = cluster(server)
    with client.pipeline() as pipe:
        for number in range(300):
            pipe.set(f"pipe:{number}", number)
            pipe.get(f"pipe:{number}")
        replies = pipe.execute()
    assert replies[1::2] == [str(number) for number in range(300)]


def test_any_core_serves_any_key(server):
    """No MOVED: a plain client on any core's port sees the whole store."""
    for port in [server.port, *core_ports(server)]:
        plain = redis.Redis(port=port, decode_responses=True)
        keys = {f"any:{port}:{number}": str(number) for number in range(50)}
        for key, value in keys.items():
            assert plain.set(key, value) is True
        assert plain.mset({f"m{key}": value for key, value in keys.items()}) is True
        for other in [server.port, *core_ports(server)]:
            reader = redis.Redis(port=other, decode_responses=True)
            assert reader.mget(list(keys)) == list(keys.values())


def test_cluster_commands(server):
    client = redis.Redis(port=server.port, decode_responses=True)
    info = client.execute_command("CLUSTER INFO")
    assert "cluster_state" in str(info) and "ok" in str(info)
    nodes = client.execute_command("CLUSTER NODES")
    assert len(nodes) == server.shards, nodes
    identities = set()
    for port in core_ports(server):
        core = redis.Redis(port=port, decode_responses=True)
        identities.add(core.execute_command("CLUSTER MYID"))
        assert core.execute_command("READONLY") in (True, "OK")
        assert core.execute_command("READWRITE") in (True, "OK")
        assert core.execute_command("ASKING") in (True, "OK")
    assert len(identities) == server.shards, "each core has an identity of its own"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def test_redis_cli_follows_the_cluster(server):
    base = ["redis-cli", "-c", "-p", str(server.port)]
    for key in ("a", "b", "c", "d"):
        assert run(*base, "SET", key, "value") == "OK\n"
        assert run(*base, "GET", key) == "value\n"
    assert "cluster_state:ok" in run(*base, "CLUSTER", "INFO")
    assert len(run(*base, "CLUSTER", "NODES").splitlines()) == server.shards


def test_redis_benchmark_addresses_the_cores(server):
    output = run(
        "redis-benchmark", "--cluster", "-p", str(server.port), "-t", "set,get", "-n", "20000", "-c", "20",
        "-P", "8", "-r", "10000", "-q",
    )
    assert "requests per second" in output, output
    assert "Error" not in output and "error" not in output, output
