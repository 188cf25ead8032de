"""Model calls to a server of which one answer in five is a fault, by a run that is killed and begun again.

Every call ends answered, no trial fails, and the study's ledger has at least what the server did: each request that it did not refuse.
"""

import collections
import hashlib
import json
import os
import socket
import struct
import sys
import threading
import time

import common
import loopback

TRIALS, KILLS, JOBS = 40, 3, 8
REFUSALS = (429, 503, 529)  # no work was done for these
FAULTS = (429, 500, 502, 503, 529, "reset", "cut", 429)


class Server(loopback.Server):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.lock = threading.Lock()
        self.asked = collections.Counter()  # by prompt
        self.worked = 0  # requests that were not refused
        self.faults = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(loopback.Handler):
    def do_POST(self):
        prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
        server = self.server
        digest = int(hashlib.sha256(prompt.encode()).hexdigest()[:8], 16)
        with server.lock:
            server.asked[prompt] += 1
            draw = int(hashlib.sha256(f"{prompt} {server.asked[prompt]}".encode()).hexdigest()[:8], 16)
            fault = FAULTS[draw // 5 % len(FAULTS)] if draw % 5 == 0 else None
            server.faults += fault is not None
            server.worked += fault not in REFUSALS
        time.sleep(0.005)
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()
            return
        reply = {"choices": [{"message": {"role": "assistant", "content": "%.3f" % (digest % 997 / 997)}, "finish_reason": "stop"}],
                 "usage": {"prompt_tokens": 20, "completion_tokens": 3}}
        status = fault if isinstance(fault, int) else 200
        body = json.dumps(reply if status == 200 else {"error": {"message": "no luck"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status in REFUSALS:
            self.send_header("retry-after-ms", "10")
        self.end_headers()
        self.wfile.write(body[:20] if fault == "cut" else body)
        self.close_connection = fault == "cut"


def spent_calls(path):
    with common.copy_of(path) as connection:
        row = connection.execute("SELECT spent_calls FROM lmopt_budgets").fetchone()
        states = dict(connection.execute("SELECT state, count(*) FROM trials GROUP BY state"))
    return row[0] if row else 0, states


def faults_and_kills(folder):
    server = Server()
    common.copy_script("model_calls.lua", folder)
    path = os.path.join(folder, "calls.db")
    env = common.environment(FAULTS_SERVER="http://127.0.0.1:%d/v1" % server.server_address[1], FAULTS_CALLS=100000,
                             FAULTS_TRIALS=TRIALS, LMOPT_CACHE="off")
    run = ("run", "model_calls.lua", "--seed", "7", "--storage", path, "--jobs", str(JOBS))
    for kill in range(KILLS):
        process = common.start(*run, cwd=folder, env=env, log=os.path.join(folder, "log"))
        while process.poll() is None and sum(server.asked.values()) < (kill + 1) * 25:
            time.sleep(0.01)
        process.kill()
        process.wait()
        with server.lock:
            worked = server.worked
        spent, _ = spent_calls(path)
        assert worked <= spent, f"the server worked for {worked} requests, the ledger has {spent}"
    status, _, errors = common.lmopt(*run, cwd=folder, env=env)
    assert status == 0, errors
    spent, states = spent_calls(path)
    assert states == {"COMPLETE": TRIALS}, states
    assert server.worked <= spent, f"the server worked for {server.worked} requests, the ledger has {spent}"
    assert spent <= server.worked + KILLS * JOBS, f"{spent} calls in the ledger for {server.worked} requests"
    assert server.faults > 10, server.faults
    server.shutdown()
    server.server_close()
    return f"{sum(server.asked.values())} requests for {3 * TRIALS} calls, {server.faults} faults, {KILLS} kills, {spent} in the ledger"


if __name__ == "__main__":
    sys.exit(common.run_tests([faults_and_kills]))
