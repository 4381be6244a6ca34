"""ollama-python, asked everything that it can ask."""

from importlib.metadata import version

import harness as h
import ollama

client = ollama.Client(host=h.BASE)
impatiently = ollama.Client(host=h.BASE, headers=h.SIGNS_OF_LIFE, timeout=h.LIMIT_S)


def client_for(impatient):
    return impatiently if impatient else client


def user(content, **more):
    return [{"role": "user", "content": content, **more}]


def consumed(parts, on_first, text):
    said, last = "", None
    for part in parts:
        if last is None:
            on_first()
        said, last = said + text(part), part
    return {"said": said, "done": last and last.done, "reason": last and last.done_reason}


async def awaited(started):
    async for _ in await started:
        pass


def names():
    return sorted(model.model for model in client.list().models)


def copied():
    client.copy(h.CHAT, "copied")
    return names()


def deleted():
    client.delete("copied")
    client.delete("made")
    return names()


tool = {"type": "function", "function": h.WEATHER}
h.run(
    "ollama (PyPI)",
    version("ollama"),
    {
        "chat": lambda: client.chat(h.CHAT, user("What is the capital of France?")),
        "generate": lambda: client.generate(h.CHAT, "What is 2 + 3?"),
        "tools": lambda: client.chat(h.CHAT, user("What is the weather in Paris?"), tools=[tool]),
        "structured": lambda: client.chat(h.CHAT, user("Tell me of Ann"), format=h.PERSON),
        "thinking": lambda: client.chat(h.THINK, user("Say hello"), think=True),
        "images": lambda: client.chat(h.SEE, user("What is this?", images=[h.PIXEL])),
        "embeddings": lambda: client.embed(h.EMBED, ["one", "two"]),
        "list": lambda: client.list(),
        "show": lambda: client.show(h.CHAT),
        "ps": lambda: h.CHAT in [model.name for model in client.ps().models],
        "create": lambda: client.create("made", from_=h.CHAT, system="Be brief."),
        "copy": copied,
        "delete": deleted,
        "delete-unknown": lambda: client.delete("nope"),
    },
    {
        "/api/chat": (
            lambda model, prompt, on_first, impatient=False: consumed(
                client_for(impatient).chat(model, user(prompt), stream=True),
                on_first,
                lambda part: part.message.content,
            ),
            lambda model, prompt: awaited(ollama.AsyncClient(host=h.BASE).chat(model, user(prompt), stream=True)),
        ),
        "/api/generate": (
            lambda model, prompt, on_first, impatient=False: consumed(
                client_for(impatient).generate(model, prompt, stream=True), on_first, lambda part: part.response
            ),
            lambda model, prompt: awaited(ollama.AsyncClient(host=h.BASE).generate(model, prompt, stream=True)),
        ),
    },
    lambda model, prompt, impatient=False: client_for(impatient).chat(model, user(prompt)).message.content,
)
