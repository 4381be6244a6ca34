"""What every client program of Python shares: the cases that are the same for all streams, and one line of JSON per case; it must never judge a result."""

import asyncio
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

# What a client with little patience asks for, and how many seconds of silence it bears.
SIGNS_OF_LIFE = {"X-Foreman-Heartbeat": "1s"}
LIMIT_S = int(os.environ.get("LIMIT_MS", "2000")) / 1000

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


PROMPT = "Why is the sky blue?"


def nothing():
    return None


def wait_cases(ask_for):
    """What has to do with waiting; `ask_for(model, prompt, impatient=…)` asks and answers what was said. An impatient client waits longer than its limit."""

    def waited(ms, act):
        began = time.monotonic()
        reader = threading.Thread(target=Occupied(ms).done)
        reader.start()
        try:
            said = act()
        finally:
            reader.join()
        return {"said": said, "waited": time.monotonic() - began >= ms * 0.0008}

    def away(**more):
        ask(f"{CONTROL}/fault", {"kind": "refuse"})
        return ask_for(CHAT, PROMPT, **more)

    return {
        "wait-in-queue": lambda: waited(WAIT_MS, lambda: ask_for(CHAT, PROMPT)),
        "wait-impatient": lambda: waited(int(LIMIT_S * 1500), lambda: ask_for(CHAT, PROMPT, impatient=True)),
        "target-away": away,
        # The head has gone out when it becomes known that there will be no answer.
        "target-away-late": lambda: away(impatient=True),
    }


async def left_while_queued(ask_for):
    """`ask_for(model, prompt)` is a coroutine: cancelled, it is gone."""
    other = Occupied(60_000)
    task = asyncio.create_task(ask_for(CHAT, PROMPT))
    queued = await asyncio.to_thread(until, 30, lambda: waiting() >= 1)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=1)
    left = await asyncio.to_thread(until, 1, lambda: waiting() == 0)
    other.answer.close()
    return {"ended within 1 s": len(done) == 1, "queued": queued, "left within 1 s": left}


def stream_cases(path, stream, coroutine):
    """`stream(model, prompt, on_first, impatient)` consumes one stream and answers what it said; `coroutine(model, prompt)` does so asynchronously."""

    def plainly(model, prompt, impatient=False):
        return stream(model, prompt, nothing, impatient)

    def abort_midway():
        def leave():
            raise Left

        try:
            stream(CHAT, "[[n=400]]", leave)
        except Left:
            pass
        return {"quiet within 1 s": until(1, is_quiet)}

    def fails(fault):
        def act():
            Occupied(10).done()
            if fault is not None:
                ask(f"{CONTROL}/fault", {**fault, "path": path})
            restart = lambda: ask(f"{CONTROL}/fault", {"kind": "restart"})
            return stream(CHAT, "[[n=400]]", restart if fault is None else nothing)

        return act

    return {
        "stream": lambda: plainly(CHAT, PROMPT),
        "unknown-model": lambda: plainly("nope", PROMPT),
        "abort-midway": abort_midway,
        "abort-queued": lambda: asyncio.run(left_while_queued(coroutine)),
        **wait_cases(plainly),
        **{f"fails-{kind}": fails(fault) for kind, fault in FAULTS.items()},
    }


def run(client, version, cases, streams, whole):
    """Runs every case and prints what came of it. `streams`: by path, one that is consumed here and one that is awaited; `whole`: one answer in one piece."""
    everything = dict(cases)
    everything.update({f"whole {name}": act for name, act in wait_cases(whole).items()})
    for path, ways in streams.items():
        everything.update({f"{path} {name}": act for name, act in stream_cases(path.split(" ")[0], *ways).items()})
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
