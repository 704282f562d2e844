"""How each server that scripts/bench and scripts/chaos know is started."""
from pathlib import Path

PARTS = Path(__file__).resolve().parent
# All that scripts/bench measures.
TITLES = {
    "baton": "baton, `shared`",
    "baton-reuseport": "baton, `reuseport`",
    "baton-roundrobin": "baton, `roundrobin`",
    "baton-leastconn": "baton, `leastconn`",
    "baton-source": "baton, `source`",
    "baton-own-port": "baton, `own-port`",
    "floor": "bare epoll loop (the floor)",
    "nginx": "nginx, `return 200`",
    "nginx-reuseport": "nginx, `reuseport`",
    "haproxy": "HAProxy, `http-request return`",
    "node": "Node, `child.send('server', server)`",
    "node-cluster": "Node, `cluster`, round robin",
    # With --node: the very program of node-cluster, whose workers baton starts.
    "node-under-shared": "Node under baton, `shared`",
    "node-under-roundrobin": "Node under baton, `roundrobin`",
    "node-under-leastconn": "Node under baton, `leastconn`",
}
UNDER = "node-under-"
# Which of baton's policies make its master accept, and hand the connections over.
HANDING = ("roundrobin", "leastconn", "source")


def policy_of(name):
    """Of baton under any of its names; None of another server."""
    kind, _, policy = name.partition("-")
    return (policy or "shared") if kind == "baton" else None


def balancing(names):
    """Without own-port, where the client says by the port which worker it wants, and nothing is left to balance."""
    return [name for name in names if policy_of(name) != "own-port"]


def configured(folder, name, replacements):
    text = (PARTS / f"{name}.conf").read_text()
    for key, value in replacements.items():
        text = text.replace(f"@{key}@", str(value))
    config = folder / f"{name}.conf"
    config.write_text(text)
    return str(config)


def command(server, folder, flags):
    """`flags` go to baton alone."""
    kind, _, variant = server.name.partition("-")
    port, workers = str(server.port), str(server.workers)
    if kind == "baton":
        chosen = ["--policy", variant] if variant else []
        ports = f"{port}-{server.ports[-1]}" if variant == "own-port" else port
        where = ["-l", f"127.0.0.1:{ports}", "--control", str(folder / "control.sock")]
        return [server.options.baton, *where, "-w", workers, *chosen, *flags]
    if kind == "floor":
        return [server.options.floor, port, workers]
    where = ["-l", f"127.0.0.1:{port}", "--control", str(folder / "control.sock")]
    if server.name.startswith(UNDER):
        program = ["--", "node", str(PARTS / "cluster.js"), port, workers]
        return [server.options.baton, *where, "-w", workers, "--policy", server.name.removeprefix(UNDER), *program]
    if kind == "node":
        return ["node", str(PARTS / f"{variant or 'master'}.js"), port, workers]
    values = {"PORT": port, "WORKERS": workers, "HOW": variant, "CONNECTIONS": server.connections}
    if kind == "haproxy":
        return ["haproxy", "-W", "-db", "-f", configured(folder, kind, values)]
    return ["nginx", "-e", "stderr", "-p", str(folder), "-c", configured(folder, kind, values)]
