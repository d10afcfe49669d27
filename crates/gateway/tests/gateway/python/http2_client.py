"""Asks by HTTP/2 through the gateway at this port, many at once on one connection."""

import asyncio
import sys

import httpx

URL = f"http://127.0.0.1:{sys.argv[1]}"


async def main():
    headers = {"Host": "forum.localhost"}
    async with httpx.AsyncClient(http1=False, http2=True, headers=headers) as client:

        async def ask(number):
            body = b"x" * number * 1000
            answer = await client.post(f"{URL}/topics/{number}/posts?n={number}", content=body)
            assert answer.http_version == "HTTP/2", answer.http_version
            assert answer.status_code == 200, answer.text
            seen = answer.json()
            assert seen["target"] == f"/topics/{number}/posts?n={number}", seen["target"]
            assert seen["body"] == body.decode()

        await asyncio.gather(*[ask(number) for number in range(80)])
        answer = await client.get(f"{URL}/?stream=100000")
        assert len(answer.content) == 1_000_000, len(answer.content)
        answer = await client.request("HEAD", f"{URL}/")
        assert answer.status_code == 200 and answer.content == b""
    print("all answered")


asyncio.run(main())
