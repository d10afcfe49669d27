"""Two clients that share no code ask the same application through the gateway at this port."""

import asyncio
import sys

import aiohttp
from websockets.asyncio.client import connect

PORT = int(sys.argv[1])
LARGE = b"x" * (2 << 20)


async def by_websockets():
    async with connect(
        "ws://forum.localhost/live", host="127.0.0.1", port=PORT, max_size=None
    ) as socket:
        for message in ["hello", "é" * 1000, LARGE, ""]:
            await socket.send(message)
            assert await socket.recv() == message
        # In parts, and with a question in between.
        await socket.send(["in ", "three ", "parts"])
        await (await socket.ping())
        assert await socket.recv() == "in three parts"
    assert socket.close_code == 1000, socket.close_code


async def by_aiohttp():
    async with aiohttp.ClientSession() as session:
        headers = {"Host": "forum.localhost"}
        url = f"http://127.0.0.1:{PORT}/live"
        async with session.ws_connect(url, headers=headers, max_msg_size=0, compress=15) as socket:
            for message in ["hello", "é" * 1000]:
                await socket.send_str(message)
                assert await socket.receive_str() == message
            await socket.send_bytes(LARGE)
            assert await socket.receive_bytes() == LARGE
            await socket.close(code=4000)
            assert socket.close_code == 4000, socket.close_code


async def main():
    await asyncio.gather(*[by_websockets() for _ in range(10)], *[by_aiohttp() for _ in range(10)])
    print("all said")


asyncio.run(main())
