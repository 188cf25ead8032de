"""The cache under real faults: killed in the middle of its calls, full disks, several processes on one file, and a key that must never be in it.

    BUILD=build cache.py [TEST...]
"""

import collections
import http.server
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import common

KEY = "sk-fault-key-that-must-not-be-stored"
PROMPTS = 60


class Server:
    """Answers each prompt with a text of its own, a little later, and counts what it was asked."""

    def __init__(self):
        self.lock = threading.Lock()
        self.asked = collections.Counter()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                prompt = body["messages"][0]["content"]
                with outer.lock:
                    outer.asked[prompt] += 1
                    number = outer.asked[prompt]
                time.sleep(0.02)
                reply = json.dumps({
                    "model": "m", "usage": {"prompt_tokens": 5, "completion_tokens": 5},
                    "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "%s #%d" % (prompt, number)}}],
                }).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(reply)))
                    self.end_headers()
                    self.wfile.write(reply)
                except OSError:
                    pass  # the client was killed

            def log_message(self, *arguments):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d/v1" % self.server.server_address[1]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


SCRIPT = """
local lmopt = require "lmopt"
local model = lmopt.lm("openai/m", { base_url = os.getenv "FAULTS_SERVER", api_key = "%s" })
local prompts = {}
for i = 1, %d do prompts[i] = "prompt " .. i end
local texts = lmopt.map(prompts, function(prompt)
  local text = model(prompt).text
  io.write(text, "\\n") -- somebody has seen it
  io.flush()
  return text
end, { concurrency = 8 })
io.write("end\\n")
""" % (KEY, PROMPTS)


def prepare(folder):
    common.write(os.path.join(folder, "ask.lua"), SCRIPT)
    return Server()


def environment(server, folder, **more):
    return common.environment(**dict({"FAULTS_SERVER": server.url, "LMOPT_CACHE": os.path.join(folder, "c.db")}, **more))


def run(folder, env):
    status, out, errors = common.lmopt("run", "ask.lua", cwd=folder, env=env)
    assert status == 0, (status, errors)
    return sorted(out.split("\n")), errors


def killed_in_the_middle(folder):
    """What somebody has seen is never asked for again, and is the same ever after."""
    server, chance = prepare(folder), random.Random(5)
    env = environment(server, folder)
    seen, kills = {}, 0
    try:
        for _ in range(12):
            process = common.watch(subprocess.Popen([common.LMOPT, "run", "ask.lua"], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                                                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
            new, wanted = 0, chance.randrange(1, 8)
            for line in process.stdout:
                text = line.decode().rstrip("\n")
                if text == "end" or "#" not in text:
                    break
                prompt = text.split(" #")[0]
                new += prompt not in seen
                assert seen.setdefault(prompt, text) == text, (seen[prompt], text)
                if new >= wanted:
                    break
            process.send_signal(signal.SIGKILL)
            # What was written before the kill counts as seen.
            for line in process.stdout.read().decode().split("\n"):
                if "#" in line and line.endswith(tuple("0123456789")):
                    seen.setdefault(line.split(" #")[0], line)
            process.wait(common.PATIENCE)
            kills += process.returncode == -signal.SIGKILL
        before = dict(server.asked)
        lines, _ = run(folder, env)
        for prompt, text in seen.items():
            assert text in lines, "'%s' became another one" % text
            assert server.asked[prompt] == before[prompt], "'%s' was asked for again" % prompt
        assert kills > 0
        twice = sum(count - 1 for count in server.asked.values())
        assert twice <= 8 * kills, "%d calls were made twice by %d kills" % (twice, kills)
        total = sum(server.asked.values())
        assert run(folder, env)[0] == lines
        assert sum(server.asked.values()) == total
        return "%d kills, %d replies seen before the last run, %d calls made again" % (kills, len(seen), twice)
    finally:
        server.close()


def several_processes(folder):
    """Together they see one answer to each prompt afterwards, and the file is whole."""
    server = prepare(folder)
    env = environment(server, folder)
    try:
        processes = [common.start("run", "ask.lua", cwd=folder, env=env, log=os.path.join(folder, "log%d" % i)) for i in range(4)]
        for process in processes:
            assert process.wait(common.PATIENCE) == 0
        total = sum(server.asked.values())
        first, _ = run(folder, env)
        assert run(folder, env)[0] == first
        assert sum(server.asked.values()) == total
        with common.copy_of(os.path.join(folder, "c.db")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("SELECT count(*) FROM replies").fetchone() == (PROMPTS,)
        for i in range(4):
            assert "cache" not in common.read(os.path.join(folder, "log%d" % i)).replace("cached", "")
    finally:
        server.close()


def disk_full(folder):
    """The run goes on, and says so once."""
    library = os.path.join(folder, "full_disk.so")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, os.path.join(common.HERE, "full_disk.c"), "-ldl"],
                   check=True)
    server = prepare(folder)
    try:
        for after in (0, 30000):
            path = os.path.join(folder, "%d.db" % after)
            preload = library
            if common.SANITIZED:
                sanitizer = subprocess.run([os.environ.get("CC", "cc"), "-print-file-name=libasan.so"], check=True,
                                           stdout=subprocess.PIPE).stdout.decode().strip()
                preload = sanitizer + ":" + library
            env = environment(server, folder, LD_PRELOAD=preload, LM_FULL_DISK_AFTER=after)
            env["LMOPT_CACHE"] = path
            status, out, errors = common.lmopt("run", "ask.lua", cwd=folder, env=env)
            assert status == 0, (status, errors)
            assert out.count("#") == PROMPTS and "end" in out, out
            said = [line for line in errors.split("\n") if "the disk is full" in line]
            assert len(said) == 1, errors
    finally:
        server.close()


def no_key_on_disk(folder):
    server = prepare(folder)
    try:
        run(folder, environment(server, folder))
        found = 0
        for name in os.listdir(folder):
            if name.startswith("c.db"):
                with open(os.path.join(folder, name), "rb") as file:
                    data = file.read()
                found += b"prompt 1 #1" in data
                assert KEY.encode() not in data, name
        assert found
    finally:
        server.close()


def a_folder_that_cannot_be_written(folder):
    """The user's cache folder is no place to be: the run goes on, and says so once."""
    server = prepare(folder)
    common.write(os.path.join(folder, "in the way"), "a file")
    try:
        env = environment(server, folder, LMOPT_CACHE=None, XDG_CACHE_HOME=os.path.join(folder, "in the way"))
        lines, errors = run(folder, env)
        assert len(lines) == PROMPTS + 2, lines
        assert errors.count("kept in memory only") == 1, errors
    finally:
        server.close()


TESTS = [killed_in_the_middle, several_processes, disk_full, no_key_on_disk, a_folder_that_cannot_be_written]

if __name__ == "__main__":
    sys.exit(common.run_tests(TESTS))
