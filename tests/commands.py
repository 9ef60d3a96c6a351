"""Commands as people type them, without a new start of Python and torch for each.

A server process imports what the commands need, and forks a child for each one. The child runs
`python -m <module>` from there: with its own arguments, folder, environment and streams, through the module's
own `__main__`, to its own exit code. `tests/test_commands.py` sees that a plain process does the same.

    with Commands() as commands:
        done = commands.run("src.train", "data=digits", env={"OUTPUT_DIR": "/tmp/x"})
        done.code, done.stdout, done.stderr

        with commands.start("src.train", "data=digits") as running:  # killed where the block ends first
            for line in running.lines():  # as the command writes them
                if line.startswith("epoch 2/"):
                    os.kill(running.pid, signal.SIGKILL)  # lines() ends with the command
            done = running.wait()

A fork copies one thread: the server has no other, and has run nothing parallel.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from select import select
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Any, Self

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 120.0  # seconds that one waits for a command
POLL_SECONDS = 0.02
# Not the commands themselves: `python -m` warns of a module that was imported before it runs
PRELOADED = (
    "albumentations",
    "captum.attr",
    "jinja2",
    "optuna.importance",
    "sklearn.datasets",
    "tensorboard",
)
PRELOADED += ("torch.utils.tensorboard", "src.tune.study", "src.callbacks.recorder", "src.config.cli")
PRELOADED += ("src.callbacks.hparams", "src.data.augment", "src.data.datamodule", "src.estimate.measure")
PRELOADED += ("src.explain.pictures", "src.landscape.measure", "src.find_lr.measure", "src.engine.loggers")
PRELOADED += ("src.models.resnet", "src.runs.provenance", "src.compare.report")


@dataclass(frozen=True)
class Done:
    """How a command ended; `code` is negative where a signal ended it, as in `subprocess`."""

    code: int
    stdout: str
    stderr: str


class Running:
    """A command that has begun; `pid` is its process."""

    def __init__(self, connection: socket.socket, stdout: IO[str], stderr: IO[str]) -> None:
        self.connection, self.stdout, self.stderr = connection, stdout, stderr
        self.wire = connection.makefile("r")
        self.pid = int(self.wire.readline())
        self.code: int | None = None

    def ended(self, seconds: float) -> bool:
        """Whether it has ended, after so much patience."""
        if self.code is None and select([self.connection], [], [], seconds)[0]:
            self.code = os.waitstatus_to_exitcode(int(self.wire.readline()))
        return self.code is not None

    def lines(self, timeout: float = TIMEOUT) -> Iterator[str]:
        """Its standard output line by line, as it comes, to its end.

        Raises:
            TimeoutError: it has not ended in time.
        """
        line, deadline = "", time.monotonic() + timeout
        while True:
            last = self.ended(POLL_SECONDS)  # asked first: what a process wrote is there when it has ended
            while part := self.stdout.readline():
                line += part
                if line.endswith("\n"):
                    yield line
                    line = ""
            if last:
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} has not ended in {timeout} seconds")
        if line:
            yield line

    def wait(self, timeout: float = TIMEOUT) -> Done:
        """Wait for its end; all that it has written.

        Raises:
            TimeoutError: it has not ended in time.
        """
        if not self.ended(timeout):
            raise TimeoutError(f"process {self.pid} has not ended in {timeout} seconds")
        assert self.code is not None
        self.stdout.seek(0)
        self.stderr.seek(0)
        return Done(self.code, self.stdout.read(), self.stderr.read())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if not self.ended(0):
            os.kill(self.pid, signal.SIGKILL)
            self.ended(TIMEOUT)
        for file in (self.wire, self.connection, self.stdout, self.stderr):
            file.close()


class Commands:
    """The server's other end; the server starts with the first command and ends with the block."""

    def __init__(self) -> None:
        self.control: socket.socket | None = None
        self.server: subprocess.Popen[bytes] | None = None
        self.folder = TemporaryDirectory()
        self.count = 0

    def run(self, module: str, *args: str, timeout: float = TIMEOUT, **where: Any) -> Done:
        """`start`, to its end.

        Raises:
            TimeoutError: it has not ended in time, and was killed.
        """
        with self.start(module, *args, **where) as running:
            return running.wait(timeout)

    def start(
        self, module: str, *args: str, cwd: str | Path = ROOT, env: Mapping[str, str] | None = None
    ) -> Running:
        """Begin `python -m <module> <args>` in a folder; `env` is added to this process's environment."""
        if self.control is None:
            self.control, self.server = start_server()
        self.count += 1
        paths = [Path(self.folder.name) / f"{self.count}-{name}" for name in ("stdout", "stderr")]
        ours, theirs = socket.socketpair()
        with theirs, Path(os.devnull).open() as stdin, paths[0].open("w") as out, paths[1].open("w") as err:
            socket.send_fds(self.control, [b"!"], [file.fileno() for file in (theirs, stdin, out, err)])
        environment = os.environ | dict(env or {})
        request = {"module": module, "args": args, "cwd": str(cwd), "env": environment}
        ours.sendall(json.dumps(request).encode() + b"\n")
        return Running(ours, *(path.open(encoding="utf-8", errors="replace") for path in paths))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if self.control and self.server:
            self.control.close()
            self.server.wait()
        self.folder.cleanup()


def start_server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """A new server, and the socket that it listens to until the socket is closed."""
    ours, theirs = socket.socketpair()
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
    return ours, server


def serve(control: socket.socket) -> dict[str, Any]:
    """Fork for each command until the other end is closed; returns in each child, with what it is to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the watchers
    while True:
        sign, streams, _, _ = socket.recv_fds(control, 1, 4)
        if not sign:
            sys.exit()
        if os.fork() == 0:
            control.close()
            return watched(streams)
        for stream in streams:
            os.close(stream)


def watched(streams: list[int]) -> dict[str, Any]:
    """Fork the command and tell its pid and its end; returns in the command."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    connection = socket.socket(fileno=streams[0])
    request: dict[str, Any] = json.loads(connection.makefile("r").readline())
    if pid := os.fork():
        for stream in streams[1:]:
            os.close(stream)
        connection.sendall(f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        connection.sendall(f"{status}\n".encode())
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams[1:]):
        os.dup2(stream, number)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    return request


class Ending:
    """The end of a process after all that libraries do at exit, and at once.

    Taking down modules that share the server's memory would copy them first, which takes longer than most
    commands here do.
    """

    def __init__(self) -> None:
        self.code = 1
        atexit.register(self.end)  # the first to be registered is the last to be called

    def end(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code)


def run(module: str, args: list[str], ending: Ending) -> None:
    """`python -m <module> <args>`; what it raises is for Python to tell."""
    sys.argv[1:] = args
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        ending.code = 0
    except SystemExit as stop:
        ending.code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        raise


if __name__ == "__main__":
    ending = Ending()
    for name in PRELOADED:
        import_module(name)
    if len(list(Path("/proc/self/task").glob("*"))) > 1:
        sys.exit("the server of commands has threads: a fork would lose them")
    gc.collect()
    gc.freeze()  # a collection in a child would write to, and so copy, all that it shares
    request = serve(socket.socket(fileno=int(sys.argv[1])))
    run(request["module"], request["args"], ending)
