"""What every client program of Python shares: the cases that are the same for all streams, and one line of JSON per case; it must never judge a result."""

import json
import os
import re
import sys
import threading
import time
import urllib.request

BASE = os.environ["BASE"]
CONTROL = os.environ["CONTROL"]
FOREMAN = os.environ.get("FOREMAN", "")
WAIT_MS = int(os.environ.get("WAIT_MS", "1500"))

CHAT, THINK, SEE, EMBED = "llama3.2:3b", "qwen3:8b", "gemma3:4b", "nomic-embed-text"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}

PASSING = re.compile(
    r"^(id|call_id|item_id|tool_call_id|request_id|_request_id|created|created_at|completed_at|modified_at|expires_at"
    r"|context_management|_hidden_params|.*_duration|.*_ms)$"
)


def ask(url, body=None, method=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method)) as answer:
        return json.loads(answer.read() or b"null")


def until(limit_s, is_so):
    """Looks every 20 ms; False past the limit."""
    ends = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > ends:
            return False
        time.sleep(0.02)
    return True


def waiting():
    if FOREMAN == "":
        return max(0, ask(f"{CONTROL}/counters")["open"] - 1)
    return ask(f"{FOREMAN}/healthz")["queue"]["queued"]


def is_quiet():
    if ask(f"{CONTROL}/counters")["open"] > 0:
        return False
    if FOREMAN == "":
        return True
    health = ask(f"{FOREMAN}/healthz")
    return health["target"]["reachable"] and health["queue"]["queued"] == 0 and health["queue"]["working"] == 0


def plain(value):
    """A result as it can be compared: what passes by is left out."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if not PASSING.match(str(key))}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def error_of(error):
    message = re.sub(r"req_[0-9a-zA-Z]+", "req_", str(error))[:400]
    return {"raised": type(error).__name__, "status": getattr(error, "status_code", None), "message": message}


class Occupied:
    """Somebody else's generation, which takes so long."""

    def __init__(self, ms):
        body = json.dumps({"model": CHAT, "prompt": f"[[n={ms // 10}]]", "stream": True}).encode()
        self.answer = urllib.request.urlopen(urllib.request.Request(f"{BASE}/api/generate", data=body))

    def done(self):
        self.answer.read()


FAULTS = {
    "reset": {"kind": "reset", "phase": "mid-body", "chunks": 3, "times": 1},
    "truncate": {"kind": "truncate", "chunks": 3, "times": 1},
    "malformed-chunk": {"kind": "malformed-chunk", "chunks": 3, "times": 1},
    "error-mid-stream": {"kind": "error-mid-stream", "text": "the runner died", "chunks": 3, "times": 1},
    "out-of-memory": {"kind": "error-mid-stream", "text": "CUDA error: out of memory", "chunks": 3, "times": 1},
    "restart": None,
}


class Left(Exception):
    """The program leaves its own stream."""


def stream_cases(path, stream):
    """`stream(model, prompt, on_first)` consumes one stream and answers what it said."""
    prompt = "Why is the sky blue?"

    def nothing():
        return None

    def abort_midway():
        def leave():
            raise Left

        try:
            stream(CHAT, "[[n=400]]", leave)
        except Left:
            pass
        return {"quiet within 1 s": until(1, is_quiet)}

    def wait_in_queue():
        began = time.monotonic()
        other = Occupied(WAIT_MS)
        reader = threading.Thread(target=other.done)
        reader.start()
        said = stream(CHAT, prompt, nothing)
        reader.join()
        return {"said": said, "waited": time.monotonic() - began >= WAIT_MS * 0.0008}

    def away():
        ask(f"{CONTROL}/fault", {"kind": "refuse"})
        return stream(CHAT, prompt, nothing)

    def fails(fault):
        def act():
            Occupied(10).done()
            if fault is not None:
                ask(f"{CONTROL}/fault", {**fault, "path": path})
            restart = lambda: ask(f"{CONTROL}/fault", {"kind": "restart"})
            return stream(CHAT, "[[n=60]]", restart if fault is None else nothing)

        return act

    return {
        "stream": lambda: stream(CHAT, prompt, nothing),
        "unknown-model": lambda: stream("nope", prompt, nothing),
        "abort-midway": abort_midway,
        "wait-in-queue": wait_in_queue,
        "target-away": away,
        **{f"fails-{kind}": fails(fault) for kind, fault in FAULTS.items()},
    }


def run(client, version, cases, streams):
    """Runs every case and prints what came of it."""
    everything = dict(cases)
    for path, stream in streams.items():
        everything.update({f"{path} {name}": act for name, act in stream_cases(path.split(" ")[0], stream).items()})
    for name, act in everything.items():
        began = time.monotonic()
        try:
            result = plain(act())
        except Exception as error:
            result = error_of(error)
        ask(f"{CONTROL}/fault", method="DELETE")
        until(10, is_quiet)
        took = round((time.monotonic() - began) * 1000)
        line = {"client": client, "version": version, "case": name, "ms": took, "result": result}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    os._exit(0)
