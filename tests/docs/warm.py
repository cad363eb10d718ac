"""Commands without their start: each runs in a process that is forked from one which has imported torch, for seconds.

``python -m tests.docs.warm SOCKET`` is that one. ``CLIENT`` asks it, as ``python -c CLIENT SOCKET MODULE WORD …``, with
its own folder, environment and streams, and ends as the command does.
"""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
from contextlib import closing

CLIENT = """
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
asked = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [b"%9d" % len(asked)], [0, 1, 2])
server.sendall(asked)
os._exit((server.recv(1) or b"\\x01")[0])
"""


def next_command(address: str) -> list[str]:
    """Serve for ever; returns in each process that is to be a command."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)  # noqa: T201
        while True:
            with closing(server.accept()[0]) as client:
                if os.fork():
                    os.waitpid(-1, os.WNOHANG)
                    continue
                command = os.fork()
                if not command:
                    return _become(client)
                code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
                client.send(bytes([code if code >= 0 else 128 - code]))
                os._exit(0)


def _become(client: socket.socket) -> list[str]:
    size, streams, _, _ = socket.recv_fds(client, 9, 3)
    words, folder, environment = json.loads(client.recv(int(size), socket.MSG_WAITALL))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    # What Python opened at its start knows whether it can seek.
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, "w" if number else "r") for number in range(3))
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    return [str(word) for word in words]


if __name__ == "__main__":
    import pctrain.inference.evaluate
    import pctrain.training.loop  # noqa: F401

    module, *sys.argv[1:] = next_command(sys.argv[1])
    sys.path.pop(0)  # the folder that the server was started in
    runpy.run_module(module, run_name="__main__", alter_sys=True)
