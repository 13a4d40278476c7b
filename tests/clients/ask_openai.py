"""Embeds with a tool that is built on OpenAI's API. Reads JSON from stdin, writes JSON to stdout.

It runs in the environment of requirements-openai.txt.
"""

import json
import sys
from typing import Any


def langchain(address: str, key: str, model: str, inputs: list[str], **options: Any) -> dict[str, Any]:
    from langchain_openai import OpenAIEmbeddings

    embeddings = OpenAIEmbeddings(base_url=address, api_key=key, model=model, **options)
    return {"rows": embeddings.embed_documents(inputs), "query": embeddings.embed_query(inputs[0])}


def litellm(address: str, key: str, model: str, inputs: list[str], **options: Any) -> dict[str, Any]:
    import litellm

    response = litellm.embedding(model=f"openai/{model}", api_base=address, api_key=key, input=inputs, **options)
    usage = response.usage.prompt_tokens
    return {"rows": [row["embedding"] for row in response.data], "tokens": usage, "model": response.model}


def chroma(address: str, key: str, model: str, inputs: list[str]) -> dict[str, Any]:
    import chromadb
    from chromadb.utils.embedding_functions import OpenAIEmbeddingFunction

    embed = OpenAIEmbeddingFunction(api_key=key, api_base=address, model_name=model)
    client = chromadb.EphemeralClient(chromadb.Settings(anonymized_telemetry=False))
    collection = client.create_collection("images", embedding_function=embed)
    ids = [str(index) for index in range(len(inputs))]
    collection.add(ids=ids, documents=inputs)
    found = collection.query(query_texts=inputs, n_results=1)
    rows = collection.get(ids=ids, include=["embeddings"])["embeddings"]
    return {"rows": rows.tolist(), "nearest": [ids for (ids,) in found["ids"]]}


def main() -> None:
    arguments = json.load(sys.stdin)
    tool = {"langchain": langchain, "litellm": litellm, "chroma": chroma}[arguments.pop("tool")]
    try:
        result = tool(**arguments)
    except Exception as error:
        status = getattr(error, "status_code", None)
        result = {"error": type(error).__name__, "status": status, "message": str(error)}
    print(json.dumps(result))


main()
