"""LiteLLM as a library, by Ollama's native chat and by /v1."""

import os
from importlib.metadata import version

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import harness as h
import litellm

litellm.suppress_debug_info = True


def native(model, content, **more):
    messages = [{"role": "user", "content": content}]
    return litellm.completion(f"ollama_chat/{model}", messages, api_base=h.BASE, num_retries=0, **more)


def openai(model, content, **more):
    messages = [{"role": "user", "content": content}]
    base = f"{h.BASE}/v1"
    return litellm.completion(f"openai/{model}", messages, api_base=base, api_key="any", num_retries=0, **more)


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


tool = {"type": "function", "function": h.WEATHER}
h.run(
    "litellm (PyPI)",
    version("litellm"),
    {
        "chat": lambda: native(h.CHAT, "What is the capital of France?").choices[0].message.content,
        "chat by /v1": lambda: openai(h.CHAT, "What is the capital of France?").choices[0].message.content,
        "tools": lambda: openai(h.CHAT, "What is the weather in Paris?", tools=[tool]).choices[0].message.tool_calls,
        "embeddings": lambda: litellm.embedding(f"ollama/{h.EMBED}", ["one"], api_base=h.BASE).data,
    },
    {
        "/api/chat": lambda model, prompt, on_first: consumed(native(model, prompt, stream=True), on_first),
        "/v1/chat/completions": lambda model, prompt, on_first: consumed(openai(model, prompt, stream=True), on_first),
    },
)
