"""Model calls through a Python client: calls_peer.py openai|litellm URL CALLS IN_FLIGHT [WARM]

The requests are those of bare_curl.c, and so is what is printed. As many tasks as calls in flight each make one call after
the other; the clients' defaults are left alone, but for retries, of which there are none, and for time: a busy machine must not end them.
"""
import asyncio
import os
import resource
import sys
import time

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # nothing is asked of any other server

SYSTEM = "Sort the ticket into one of: billing, bug, question. Answer with one sentence that says why."
TICKET = ("Ticket %06d: I was charged twice this month. The first charge came on the third, the second on the ninth, and both of "
          "them are for the same plan. I have not changed anything in my account since the spring. Please look into it, and give the "
          "second one back.")


def messages(number):
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TICKET % number}]


def openai_client(url):
    import openai
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=600)

    async def ask(number):
        return await client.chat.completions.create(model="load-1", messages=messages(number), temperature=0, max_tokens=100)
    return ask


def litellm_client(url):
    import litellm
    litellm.suppress_debug_info = True

    async def ask(number):
        return await litellm.acompletion(model="openai/load-1", api_base=url, api_key="none", messages=messages(number), temperature=0,
                                         max_tokens=100, num_retries=0, max_retries=0, timeout=600)
    return ask


async def run(ask, first, count, in_flight):
    numbers = iter(range(first, first + count))

    async def work():
        for number in numbers:
            reply = await ask(number)
            assert "billing" in reply.choices[0].message.content
    await asyncio.gather(*(work() for _ in range(in_flight)))


async def main(name, url, calls, in_flight, warm=0):
    ask = {"openai": openai_client, "litellm": litellm_client}[name](url)
    await run(ask, calls, warm, in_flight)
    passed, worked = time.perf_counter(), time.process_time()
    await run(ask, 0, calls, in_flight)
    passed, worked = time.perf_counter() - passed, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"calls {calls}\nseconds {passed:.6f}\nwork {worked:.6f}\nmedian 0\npeak {peak}", flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2], *(int(one) for one in sys.argv[3:])))
