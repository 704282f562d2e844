"""Interop tests. A worker that inherits its listener (LISTEN_FDS) and is well in all but one thing, which its argument
names; "nothing" is none. One connection at a time."""
import contextlib
import os
import select
import signal
import socket
import subprocess
import sys

broken = sys.argv[1].removesuffix("-early")
patience = 3 if sys.argv[1].endswith("-early") else 60
number = os.environ.get("BATON_WORKER")
is_ending = False


def end(*_):
    global is_ending
    is_ending = True


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.sendto(text, os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


if broken == "stays":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, end)
if broken == "closes":
    os.close(3)
if broken == "leaves":
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
if broken in ("closes", "never-ready"):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pause()
if broken == "takes-nothing" and number == "2":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    notify(b"READY=1")
    signal.sigwait([signal.SIGTERM])
    sys.exit()

listener = socket.socket(fileno=3)
listener.setblocking(False)
body = f"pid is {os.getpid()}\n".encode()
leaked = []
answered = 0
while not is_ending or broken == "resets":
    select.select([listener], [], [], 0.1)
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        if is_ending:
            break
        continue
    connection.settimeout(5)
    with connection, contextlib.suppress(TimeoutError):
        connection.recv(4096)
        if is_ending and broken == "resets":
            break
        if broken == "leaks":
            leaked.append(open("/dev/null"))
        answered += 1
        if broken == "lets-go" and answered > patience and number == "2":
            listener.close()
            signal.pause()
        if broken == "ends" and answered > patience:
            print("cannot go on", file=sys.stderr, flush=True)
            os._exit(3)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
