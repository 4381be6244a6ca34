"""The Anthropic SDK for Python on /v1/messages."""

import anthropic
import harness as h

client = anthropic.Anthropic(base_url=h.BASE, api_key="any", max_retries=0)


def ask(model, content, **more):
    messages = [{"role": "user", "content": content}]
    return client.messages.create(model=model, max_tokens=2000, messages=messages, **more)


def stream(model, prompt, on_first):
    messages = [{"role": "user", "content": prompt}]
    begun = False
    with client.messages.stream(model=model, max_tokens=2000, messages=messages) as events:
        for _ in events:
            if not begun:
                on_first()
            begun = True
        return events.get_final_message()


def raw(model, prompt, on_first):
    seen = {"said": "", "stopped": False}
    begun = False
    with ask(model, prompt, stream=True) as events:
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
    },
    {"/v1/messages": raw, "/v1/messages helper": stream},
)
