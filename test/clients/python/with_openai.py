"""The OpenAI SDK for Python on /v1."""

import harness as h
import openai

client = openai.OpenAI(base_url=f"{h.BASE}/v1", api_key="any", max_retries=0)
impatiently = client.with_options(timeout=h.LIMIT_S, default_headers=h.SIGNS_OF_LIFE)


def client_for(impatient):
    return impatiently if impatient else client


def user(content):
    return [{"role": "user", "content": content}]


def chat(model, content, impatient=False, **more):
    return client_for(impatient).chat.completions.create(model=model, messages=user(content), **more)


async def awaited(ask):
    async with openai.AsyncOpenAI(base_url=f"{h.BASE}/v1", api_key="any", max_retries=0) as mine:
        async for _ in await ask(mine):
            pass


def consumed(events, on_first, read):
    seen, begun = {"said": "", "reason": None, "usage": None}, False
    with events:
        for event in events:
            if not begun:
                on_first()
            begun = True
            read(event, seen)
    return seen


def of_chat(event, seen):
    for choice in event.choices:
        seen["said"] += choice.delta.content or ""
        seen["reason"] = choice.finish_reason or seen["reason"]
    seen["usage"] = event.usage or seen["usage"]


def of_completion(event, seen):
    for choice in event.choices:
        seen["said"] += choice.text
        seen["reason"] = choice.finish_reason or seen["reason"]


def of_response(event, seen):
    if event.type == "response.output_text.delta":
        seen["said"] += event.delta
    if event.type == "response.completed":
        seen["reason"] = "completed"


picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{h.PIXEL}"}}
schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": h.PERSON}}
h.run(
    "openai (PyPI)",
    openai.__version__,
    {
        "chat": lambda: chat(h.CHAT, "What is the capital of France?"),
        "completion": lambda: client.completions.create(model=h.CHAT, prompt="What is 2 + 3?"),
        "response": lambda: client.responses.create(model=h.CHAT, input="What is 2 + 3?").output_text,
        "tools": lambda: chat(
            h.CHAT, "What is the weather in Paris?", tools=[{"type": "function", "function": h.WEATHER}]
        ),
        "structured": lambda: chat(h.CHAT, "Tell me of Ann", response_format=schema),
        "thinking": lambda: chat(h.THINK, "Say hello", reasoning_effort="high"),
        "images": lambda: chat(h.SEE, [{"type": "text", "text": "What is this?"}, picture]),
        "embeddings": lambda: client.embeddings.create(model=h.EMBED, input=["one", "two"]),
        "list": lambda: sorted(model.id for model in client.models.list()),
        "show": lambda: client.models.retrieve(h.CHAT),
    },
    {
        "/v1/chat/completions": (
            lambda model, prompt, on_first, impatient=False: consumed(
                chat(model, prompt, impatient, stream=True, stream_options={"include_usage": True}), on_first, of_chat
            ),
            lambda model, prompt: awaited(
                lambda mine: mine.chat.completions.create(model=model, messages=user(prompt), stream=True)
            ),
        ),
        "/v1/completions": (
            lambda model, prompt, on_first, impatient=False: consumed(
                client_for(impatient).completions.create(model=model, prompt=prompt, stream=True),
                on_first,
                of_completion,
            ),
            lambda model, prompt: awaited(
                lambda mine: mine.completions.create(model=model, prompt=prompt, stream=True)
            ),
        ),
        "/v1/responses": (
            lambda model, prompt, on_first, impatient=False: consumed(
                client_for(impatient).responses.create(model=model, input=prompt, stream=True), on_first, of_response
            ),
            lambda model, prompt: awaited(lambda mine: mine.responses.create(model=model, input=prompt, stream=True)),
        ),
    },
    lambda model, prompt, impatient=False: chat(model, prompt, impatient).choices[0].message.content,
)
