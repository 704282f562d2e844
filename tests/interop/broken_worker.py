"""Interop tests. A worker that inherits its listener (LISTEN_FDS) and is well in all but one thing, which its argument
names; "nothing" is none. One connection at a time."""
import os
import select
import signal
import socket
import subprocess
import sys
import time

broken = sys.argv[1]
number = os.environ.get("BATON_WORKER")
is_ending = False


def end(*_):
    global is_ending
    is_ending = True


def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.sendto(text, os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


if broken == "resets":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
elif broken == "stays":
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
    notify(b"READY=1")
    while not is_ending:
        time.sleep(0.05)
    sys.exit()

listener = socket.socket(fileno=3)
listener.setblocking(False)
body = f"pid is {os.getpid()}\n".encode()
leaked = []
while not is_ending:
    select.select([listener], [], [], 0.1)
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        continue
    connection.settimeout(5)
    with connection:
        connection.recv(4096)
        if broken == "resets":
            time.sleep(0.02)
        if broken == "leaks":
            leaked.append(open("/dev/null"))
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
