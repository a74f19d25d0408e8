"""Servers for the client tests: started on free ports, stopped with the test."""

import os
import shutil
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def binary():
    """The server under test: POLDER_SERVER, or the newest that cargo built."""
    named = os.environ.get("POLDER_SERVER")
    if named:
        return named
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    built = [os.path.join(target, kind, "polder-server") for kind in ("release", "debug")]
    built = [path for path in built if os.path.exists(path)]
    if not built:
        raise SystemExit("polder-server is not built: cargo build --release --bin polder-server")
    newest = max(built, key=os.path.getmtime)
    require_fresh(newest)
    return newest


def require_fresh(path):
    """Ends the tests if a binary is older than one of the files which cargo says that it was made of."""
    if not os.path.exists(path + ".d"):
        raise SystemExit(f"how old {path} is cannot be told: cargo build --release --workspace")
    with open(path + ".d") as file:
        _, _, sources = file.read().partition(": ")
    sources = [each.replace("\0", " ") for each in sources.replace("\\ ", "\0").split()]
    for source in sources:
        if not os.path.exists(source) or os.path.getmtime(source) > os.path.getmtime(path):
            raise SystemExit(f"{path} is older than {source}: cargo build --release --workspace")


def loadgen():
    """polder-loadgen as it was built with the server."""
    path = os.path.join(os.path.dirname(binary()), "polder-loadgen")
    if not os.path.exists(path):
        raise SystemExit("polder-loadgen is not built: cargo build --release --workspace")
    if not os.environ.get("POLDER_SERVER"):
        require_fresh(path)
    return path


def free_ports(count):
    """The first of `count` free ports in a row, below the range that the kernel gives to clients."""
    start = 10_000 + os.getpid() * 37 % 20_000
    for port in range(start, start + 2_000, count):
        held = []
        try:
            for each in range(port, port + count):
                holder = socket.socket()
                held.append(holder)
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                holder.bind(("127.0.0.1", each))
            return port
        except OSError:
            continue
        finally:
            for holder in held:
                holder.close()
    raise SystemExit("no free ports")


def polder(shards, *arguments):
    """The server under test with so many shards."""
    return Server([binary(), "--shards", str(shards), *arguments], shards)


def reference():
    """redis-server: what passes there is right, so that a wrong test is not taken for a wrong server."""
    return Server(["redis-server"])


class Server:
    """A running server; use it in a `with` statement."""

    def __init__(self, command, shards=1):
        self.port = free_ports(12)
        self.shards = shards
        self.directory = tempfile.mkdtemp(prefix="polder-clients-")
        self.log = open(os.path.join(self.directory, "log"), "w+")
        command = [*command, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.directory
        )
        self.wait_until_ready()

    def wait_until_ready(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(1):
                        return
            except OSError:
                time.sleep(0.01)
        self.log.seek(0)
        raise SystemExit("the server does not start:\n" + self.log.read())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
