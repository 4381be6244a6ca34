"""LiteLLM as a library, by Ollama's native chat and by /v1."""

import os
from importlib.metadata import version

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import harness as h
import litellm

litellm.suppress_debug_info = True


def told(model, content, impatient=False, **more):
    """What a completion is asked with, by the prefix of its model."""
    prefix, _ = model.split("/", 1)
    base = h.BASE if prefix == "ollama_chat" else f"{h.BASE}/v1"
    patience = {"timeout": h.LIMIT_S, "extra_headers": h.SIGNS_OF_LIFE} if impatient else {}
    content = {"model": model, "messages": [{"role": "user", "content": content}], "api_base": base, "api_key": "any"}
    return {**content, "num_retries": 0, **patience, **more}


def native(model, content, impatient=False, **more):
    return litellm.completion(**told(f"ollama_chat/{model}", content, impatient, **more))


def openai(model, content, impatient=False, **more):
    return litellm.completion(**told(f"openai/{model}", content, impatient, **more))


async def awaited(model, prompt):
    async for _ in await litellm.acompletion(**told(model, prompt, stream=True)):
        pass


def consumed(events, on_first):
    seen, begun = {"said": "", "reason": None}, False
    for event in events:
        if not begun:
            on_first()
        begun = True
        for choice in event.choices:
            seen["said"] += choice.delta.content or ""
            seen["reason"] = choice.finish_reason or seen["reason"]
    return seen


picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{h.PIXEL}"}}
schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": h.PERSON}}
tool = {"type": "function", "function": h.WEATHER}
h.run(
    "litellm (PyPI)",
    version("litellm"),
    {
        "chat": lambda: native(h.CHAT, "What is the capital of France?").choices[0].message.content,
        "chat by /v1": lambda: openai(h.CHAT, "What is the capital of France?").choices[0].message.content,
        "tools": lambda: openai(h.CHAT, "What is the weather in Paris?", tools=[tool]).choices[0].message.tool_calls,
        "structured": lambda: native(h.CHAT, "Tell me of Ann", response_format=schema).choices[0].message.content,
        "thinking": lambda: native(h.THINK, "Say hello", reasoning_effort="low").choices[0].message,
        "images": lambda: native(h.SEE, [{"type": "text", "text": "What is this?"}, picture]).choices[0].message.content,
        "embeddings": lambda: litellm.embedding(f"ollama/{h.EMBED}", ["one"], api_base=h.BASE).data,
    },
    {
        "/api/chat": (
            lambda model, prompt, on_first, impatient=False: consumed(
                native(model, prompt, impatient, stream=True), on_first
            ),
            lambda model, prompt: awaited(f"ollama_chat/{model}", prompt),
        ),
        "/v1/chat/completions": (
            lambda model, prompt, on_first, impatient=False: consumed(
                openai(model, prompt, impatient, stream=True), on_first
            ),
            lambda model, prompt: awaited(f"openai/{model}", prompt),
        ),
    },
    lambda model, prompt, impatient=False: native(model, prompt, impatient).choices[0].message.content,
)
