#!/usr/bin/env python3
"""The smallest agent that each SDK makes: one shell tool, and the SDK's own loop around it.

  sdk_agents.py SDK ORIGIN INSTRUCTION

scripts/clients runs it with the Python that the SDK is installed in.
"""

import asyncio
import json
import os
import subprocess
import sys

MODEL = "simulated"
# No key is needed, but every SDK insists on one.
KEY = "none"
# More calls of the tool than any recording makes.
CALLS = 60


def bash(command: str) -> str:
    """Runs a shell command and gives its output."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    return f"exit status {done.returncode}\n{done.stdout}{done.stderr}"


def google_genai(origin, instruction):
    from google import genai
    from google.genai import types

    calling = types.AutomaticFunctionCallingConfig(maximum_remote_calls=CALLS)
    config = types.GenerateContentConfig(tools=[bash], automatic_function_calling=calling)
    client = genai.Client(api_key=KEY, http_options={"base_url": origin, "api_version": "v1"})
    return client.chats.create(model=MODEL, config=config).send_message(instruction).text


def litellm_gemini(origin, instruction):
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    parameters = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    tools = [{"type": "function", "function": {"name": "bash", "parameters": parameters}}]
    messages = [{"role": "user", "content": instruction}]
    for _ in range(CALLS):
        chunks = litellm.completion(
            model=f"gemini/{MODEL}", api_base=f"{origin}/v1beta", api_key=KEY,
            messages=messages, tools=tools, stream=True,
        )
        message = litellm.stream_chunk_builder(list(chunks), messages=messages).choices[0].message
        messages.append(message)
        if not message.tool_calls:
            return message.content
        for call in message.tool_calls:
            output = bash(json.loads(call.function.arguments)["command"])
            messages.append({"role": "tool", "tool_call_id": call.id, "content": output})
    raise RuntimeError("the model never ends")


def pydantic_ai(origin, instruction):
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIResponsesModel
    from pydantic_ai.providers.openai import OpenAIProvider

    provider = OpenAIProvider(base_url=f"{origin}/v1", api_key=KEY)
    agent = Agent(OpenAIResponsesModel(MODEL, provider=provider), tools=[bash])

    async def run():
        # `run_stream` ends at the first text, also when calls come after it.
        async with agent.iter(instruction) as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as stream:
                        async for _ in stream:
                            pass
            return run.result.output

    return asyncio.run(run())


def llm_ollama(origin, instruction):
    os.environ["OLLAMA_HOST"] = origin
    import llm

    talk = llm.get_model(f"ollama/{MODEL}:latest").conversation()
    return talk.chain(instruction, tools=[bash], chain_limit=CALLS, stream=True).text()


AGENTS = {agent.__name__.replace("_", "-"): agent for agent in [google_genai, litellm_gemini, pydantic_ai, llm_ollama]}


if __name__ == "__main__":
    sdk, origin, instruction = sys.argv[1:]
    print(AGENTS[sdk](origin, instruction))
