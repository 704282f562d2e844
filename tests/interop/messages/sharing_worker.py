"""Interop tests. A Python worker without a channel: it reaches its siblings, and what they share, by BATON_CONTROL."""
import http.client
import json
import os
import select
import socket
import sys
import threading


class ControlConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["BATON_CONTROL"])


def ask(method, path, body=None):
    connection = ControlConnection("baton")
    connection.request(method, path, None if body is None else json.dumps(body))
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def act():
    say("python: asked 2:", json.dumps(ask("POST", "/send", {"to": 2, "message": "from python", "timeout": "5s"})))
    say("python: told 1:", json.dumps(ask("POST", "/send", {"to": 1, "message": {"from": "python"}})))
    say("python: scale:", ask("POST", "/scale?to=9")[0], "stop:", ask("POST", "/stop")[0])
    say("python: put:", json.dumps(ask("PUT", "/state/python", {"list": [1, "ä"]})))
    say("python: add:", json.dumps(ask("POST", "/state/sum?add=5")))


def watch():
    connection = ControlConnection("baton")
    connection.request("GET", "/state?watch=yes&prefix=go")
    response = connection.getresponse()
    say("python: watches")
    while line := response.readline():
        if json.loads(line)["event"] == "set":
            act()


listener = socket.socket(fileno=3)
threading.Thread(target=watch, daemon=True).start()
body = f"pid is {os.getpid()}\n".encode()
while True:
    select.select([listener], [], [])
    try:
        connection, _ = listener.accept()
    except BlockingIOError:  # a sibling was quicker: one of them has made the listener so
        continue
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
