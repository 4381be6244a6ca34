"""The Anthropic SDK for Python on /v1/messages."""

import anthropic
import harness as h

client = anthropic.Anthropic(base_url=h.BASE, api_key="any", max_retries=0)
impatiently = client.with_options(timeout=h.LIMIT_S, default_headers=h.SIGNS_OF_LIFE)


def client_for(impatient):
    return impatiently if impatient else client


def asked(model, content, **more):
    return {"model": model, "max_tokens": 2000, "messages": [{"role": "user", "content": content}], **more}


def ask(model, content, impatient=False, **more):
    return client_for(impatient).messages.create(**asked(model, content, **more))


async def awaited(model, prompt):
    async with anthropic.AsyncAnthropic(base_url=h.BASE, api_key="any", max_retries=0) as mine:
        async for _ in await mine.messages.create(**asked(model, prompt, stream=True)):
            pass


async def awaited_helper(model, prompt):
    async with anthropic.AsyncAnthropic(base_url=h.BASE, api_key="any", max_retries=0) as mine:
        async with mine.messages.stream(**asked(model, prompt)) as events:
            await events.get_final_message()


def stream(model, prompt, on_first, impatient=False):
    begun = False
    with client_for(impatient).messages.stream(**asked(model, prompt)) as events:
        for _ in events:
            if not begun:
                on_first()
            begun = True
        return events.get_final_message()


def raw(model, prompt, on_first, impatient=False):
    seen = {"said": "", "stopped": False}
    begun = False
    with ask(model, prompt, impatient, stream=True) as events:
        for event in events:
            if not begun:
                on_first()
            begun = True
            if event.type == "content_block_delta":
                seen["said"] += getattr(event.delta, "text", "")
            if event.type == "message_stop":
                seen["stopped"] = True
    return seen


tool = {"name": h.WEATHER["name"], "description": "The weather", "input_schema": h.WEATHER["parameters"]}
picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": h.PIXEL}}
h.run(
    "anthropic (PyPI)",
    anthropic.__version__,
    {
        "chat": lambda: ask(h.CHAT, "What is the capital of France?"),
        "tools": lambda: ask(h.CHAT, "What is the weather in Paris?", tools=[tool]),
        "thinking": lambda: ask(h.THINK, "Say hello", thinking={"type": "enabled", "budget_tokens": 1024}),
        "images": lambda: ask(h.SEE, [{"type": "text", "text": "What is this?"}, picture]),
        "list": lambda: sorted(model.id for model in client.models.list()),
        "show": lambda: client.models.retrieve(h.CHAT),
    },
    {"/v1/messages": (raw, awaited), "/v1/messages helper": (stream, awaited_helper)},
    lambda model, prompt, impatient=False: ask(model, prompt, impatient).content,
)
