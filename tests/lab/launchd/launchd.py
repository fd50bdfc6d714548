#!/usr/bin/python3
"""launchd and launchctl of a simulated Mac, for tests: a model made of what is publicly known, not the thing itself.

It runs real processes and answers in launchctl's words and exit codes. Python, because it is a state machine with
timers that many callers talk to at once, which a shell script is not, and every base of the lab has a python3, where a
compiled program would have to be built for each.

Who calls is told by the socket. The program `mac` says what happens to the machine besides:

    mac login UID, mac logout UID     somebody sits down at the screen, or leaves
    mac set NAME VALUE                a knob, see mac.py; kept over a reboot
    mac show                          all knobs
    mac calls                         every call of launchctl since the boot: verb, last argument, exit code
"""

import asyncio
import os
import socket
import struct

from answer import Answer
from call import Call
from mac import Mac

SOCKET = "/var/run/launchd.sock"


async def read_request(reader):
    """Reads what a caller sends, see `launchctl`: the length of it all, and its fields, each behind its own length."""
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    rest, fields = await reader.readexactly(length), []
    while rest:
        end = 4 + struct.unpack_from("!I", rest)[0]
        fields.append(rest[4:end])
        rest = rest[end:]
    program, folder, tty, env, given = fields[:5]
    variables = dict(os.fsdecode(pair).split("=", 1) for pair in env.split(b"\0") if pair)
    return {
        "program": os.fsdecode(program),
        "args": [os.fsdecode(arg) for arg in fields[5:]],
        "dir": os.fsdecode(folder),
        "tty": bool(tty),
        "env": variables,
        "input": given,
    }


def told(answer):
    """What the caller gets, in the same form."""
    err, out = (os.fsencode(text) for text in (answer.err, answer.out))
    # A program that a signal ended, as a shell tells it.
    code = answer.code if answer.code >= 0 else 128 - answer.code
    return struct.pack(f"!II{len(err)}sI{len(out)}s", code, len(err), err, len(out), out)


async def serve(mac, reader, writer):
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", peer)
    try:
        request = await read_request(reader)
        call = asyncio.ensure_future(Call(mac, uid, request).run())
        # Who goes away is not answered, and what hangs for them must not stay.
        gone = asyncio.ensure_future(reader.read())
        await asyncio.wait([call, gone], return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not call.done():
            call.cancel()
            return
        try:
            answer = call.result()
        except Answer as raised:
            answer = raised
        writer.write(told(answer))
        await writer.drain()
    finally:
        writer.close()


async def main():
    mac = Mac()
    mac.boot()
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    server = await asyncio.start_unix_server(lambda reader, writer: serve(mac, reader, writer), SOCKET)
    os.chmod(SOCKET, 0o666)
    async with server:
        await server.serve_forever()


asyncio.run(main())
