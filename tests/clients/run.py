"""Standard clients against the server: redis-py with both protocols, its cluster client, redis-cli and
redis-benchmark. Run by scripts/test; `run.py NAME ...` runs the tests whose names contain a NAME."""

import sys
import traceback

import test_cluster
import test_commands
import test_tools

from servers import Server


def tests(module):
    for name, function in vars(module).items():
        if name.startswith("test_") and callable(function):
            yield name, function


def variants():
    """Every test with its server: a label, the arguments of the server, the tests to run on it."""
    import redis

    for shards in (1, 4):
        for protocol in (2, 3):
            make = lambda server, protocol=protocol: redis.Redis(
                port=server.port, protocol=protocol, decode_responses=True, socket_timeout=20
            )
            yield f"redis-py, RESP{protocol}, {shards} shards", (shards,), test_commands, make
        yield f"redis tools, {shards} shards", (shards,), test_tools, lambda server: server
    yield "cluster clients, 4 cores", (4, "--core-cluster", "yes"), test_cluster, lambda server: server


def main(wanted):
    passed, failed = 0, []
    for label, arguments, module, make in variants():
        print(f"--- {label}", flush=True)
        with Server(*arguments) as server:
            for name, function in tests(module):
                if wanted and not any(part in name for part in wanted):
                    continue
                try:
                    subject = make(server)
                    if module is test_commands:
                        subject.flushall()
                    function(subject)
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
    for line in failed:
        print(f"failed: {line}")
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
