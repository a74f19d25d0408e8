"""Standard clients against the server: redis-py with both protocols, its cluster client, redis-cli and
redis-benchmark. Run by scripts/test; `run.py NAME ...` runs the tests whose names contain a NAME, and
`run.py --on LABEL NAME ...` only those servers whose labels contain LABEL ("redis-server", "4 shards")."""

import argparse
import functools
import sys
import traceback

import redis

import servers
import test_blocking
import test_cluster
import test_commands
import test_loadgen
import test_streams
import test_tools
import test_transactions


def tests(module):
    # A copy: the first warning adds a name to the module.
    for name, function in list(vars(module).items()):
        if name.startswith("test_") and callable(function):
            yield name, function


def client(protocol, server):
    """redis-py on an empty store."""
    made = redis.Redis(port=server.port, protocol=protocol, decode_responses=True, socket_timeout=20)
    made.flushall()
    return made


def variants():
    """Every test with its server: a label, what starts the server, the tests to run on it, and what makes
    their argument of the server."""
    queues = (test_transactions, test_blocking, test_streams)
    for protocol in (2, 3):
        make = functools.partial(client, protocol)
        yield f"redis-py, RESP{protocol}, redis-server", servers.reference, queues, make
    for shards in (1, 4):
        start = functools.partial(servers.polder, shards)
        for protocol in (2, 3):
            make = functools.partial(client, protocol)
            yield f"redis-py, RESP{protocol}, {shards} shards", start, (test_commands, *queues), make
        yield f"redis tools, {shards} shards", start, (test_tools, test_loadgen), lambda server: server
    start = functools.partial(servers.polder, 4, "--core-cluster", "yes")
    yield "cluster clients, 4 cores", start, (test_cluster,), lambda server: server


def run(label, server, modules, make, wanted):
    """Runs the wanted tests on one server: how many passed, and what failed."""
    passed, failed = 0, []
    for name, function in (test for module in modules for test in tests(module)):
        if wanted and not any(part in name for part in wanted):
            continue
        try:
            function(make(server))
            passed += 1
        except Exception:  # Whatever goes wrong is this test's failure, and the next one runs.
            failed.append(f"{name} ({label})")
            print(f"FAILED {name} ({label})")
            traceback.print_exc(file=sys.stdout)
        if server.process.poll() is not None:
            print(f"the server has ended during {name}")
            server.log.seek(0)
            print(server.log.read()[-2000:])
            failed.append(f"the server ended ({label})")
            break
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", metavar="LABEL", default="")
    parser.add_argument("names", metavar="NAME", nargs="*")
    options = parser.parse_args()
    passed, failed = 0, []
    for label, start, modules, make in variants():
        if options.on not in label:
            continue
        print(f"--- {label}", flush=True)
        with start() as server:
            more_passed, more_failed = run(label, server, modules, make, options.names)
            passed += more_passed
            failed += more_failed
    for line in failed:
        print(f"failed: {line}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
