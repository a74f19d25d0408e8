"""redis-cli and redis-benchmark as people use them."""

import subprocess


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def cli(server, *arguments, text=None):
    return run("redis-cli", "-p", str(server.port), *arguments, text=text)


def test_redis_cli(server):
    cli(server, "FLUSHALL")
    assert cli(server, "SET", "k", "v") == "OK\n"
    assert cli(server, "GET", "k") == "v\n"
    assert cli(server, "--no-raw", "GET", "missing") == "(nil)\n"
    assert cli(server, "-3", "--no-raw", "GET", "missing") == "(nil)\n"
    assert "redis_version:7." in cli(server, "INFO", "server")
    assert cli(server, "-n", "5", "DBSIZE") == "0\n"
    assert "unknown command" in cli(server, "NOSUCH")


def test_redis_cli_scripted_input(server):
    cli(server, "FLUSHALL")
    lines = "".join(f"SET line:{number} {number}\n" for number in range(500))
    assert cli(server, text=lines).count("OK") == 500
    found = cli(server, "--scan", "--pattern", "line:*").split()
    assert len(found) == len(set(found)) == 500
    assert cli(server, "-r", "10", "INCR", "count").split()[-1] == "10"


def test_redis_cli_pipe(server):
    cli(server, "FLUSHALL")
    commands = "".join(f"SET pipe:{number} {number}\r\n" for number in range(10_000))
    output = cli(server, "--pipe", text=commands)
    assert "errors: 0, replies: 10000" in output, output
    assert cli(server, "DBSIZE") == "10000\n"


def test_redis_cli_looks_for_big_keys(server):
    cli(server, "FLUSHALL")
    cli(server, "SET", "big", "x" * 1000)
    cli(server, "SET", "small", "x")
    assert '"big"' in cli(server, "--bigkeys")
    assert "big" in cli(server, "--memkeys")


def test_redis_benchmark(server):
    for depth in ("1", "16"):
        output = run(
            "redis-benchmark", "-p", str(server.port),
            "-t", "ping_inline,ping_mbulk,set,get,incr,mset,lpush,rpush,lpop,rpop,lrange_100",
            "-n", "10000", "-c", "20", "-P", depth, "-r", "1000", "-q",
        )
        # LRANGE has a line for the list that it is measured with.
        assert output.count("requests per second") == 12, output
    output = run("redis-benchmark", "-p", str(server.port), "-n", "5000", "-q", "-3", "SET", "key:__rand_int__", "v")
    assert "requests per second" in output, output
