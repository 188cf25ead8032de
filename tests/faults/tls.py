"""TLS with an authority of our own, HTTP/2 through nginx, proxies from the environment.

    BUILD=build tls.py [TEST...]
"""

import http.client
import http.server
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import authority
import common
import model_server

NONE = {name: None for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "http_proxy", "https_proxy", "HTTP_PROXY",
                                "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")}


def environment(url, prompts=1, concurrency=None, options=None, **more):
    return common.environment(**{**NONE, "FAULTS_SERVER": url, "FAULTS_PROMPTS": prompts,
                                 "FAULTS_CONCURRENCY": concurrency or prompts, "FAULTS_OPTIONS": json.dumps(options or {}), **more})


def read(status, out, errors):
    assert status == 0, (status, errors)
    said = json.loads(out)
    return said["results"], said["spent"]


def ask(folder, url, *how_many, **more):
    """What became of each call, and what was spent."""
    common.copy_script("ask.lua", folder)
    return read(*common.lmopt("run", "ask.lua", cwd=folder, env=environment(url, *how_many, **more)))


def check_answers(results):
    for i, result in enumerate(results, 1):
        assert result.get("text") == "re: prompt %d" % i, (i, result)


# --- certificates ---


def authorities_come_from_the_environment(folder):
    ca = authority.Authority(folder)
    other = authority.Authority(folder, "other")
    hashed = os.path.join(folder, "hashed")
    os.mkdir(hashed)
    os.link(ca.certificate, os.path.join(hashed, "ca.pem"))
    authority.openssl(folder, "rehash", hashed)
    context = model_server.tls_context(*ca.issue("server"))
    with model_server.Server(context=context) as server:
        for more in ({"SSL_CERT_FILE": ca.certificate}, {"CURL_CA_BUNDLE": ca.certificate}, {"SSL_CERT_DIR": hashed},
                     {"SSL_CERT_DIR": folder + "/none:" + hashed}, {"SSL_CERT_FILE": other.certificate, "SSL_CERT_DIR": hashed},
                     {"CURL_CA_BUNDLE": ca.certificate, "SSL_CERT_FILE": other.certificate},
                     {"CURL_CA_BUNDLE": "", "SSL_CERT_FILE": ca.certificate}):
            for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
                results, spent = ask(folder, url, **more)
                check_answers(results)
                assert spent["calls"] == 1 and spent["tokens"] == 9, spent
        assert server.requests() == 14, server.requests()


def certificates_that_do_not_verify(folder):
    """Nothing is sent, nothing is paid, nothing is tried again."""
    ca = authority.Authority(folder)
    other = authority.Authority(folder, "other")
    right = ca.issue("server")
    for name, files, more in (
            ("unknown to the system", right, {}),
            ("of another authority", right, {"SSL_CERT_FILE": other.certificate}),
            ("overruled", right, {"CURL_CA_BUNDLE": other.certificate, "SSL_CERT_FILE": ca.certificate}),
            ("no file of authorities", right, {"SSL_CERT_FILE": os.path.join(folder, "none.pem")}),
            ("expired", ca.issue("expired", days=-1), {"SSL_CERT_FILE": ca.certificate}),
            ("of another host", ca.issue("elsewhere", "DNS:elsewhere.test"), {"SSL_CERT_FILE": ca.certificate})):
        with model_server.Server(context=model_server.tls_context(*files)) as server:
            results, spent = ask(folder, server.url, **more)
            problem = results[0]
            assert (problem.get("kind"), problem.get("reason")) == ("network", "certificate"), (name, problem)
            assert "attempts" not in problem, (name, problem)
            assert server.requests() == 0 and server.connections <= 1, (name, server.connections)
            assert spent == {"calls": 0, "tokens": 0, "usd": 0}, (name, spent)


def processor_time(folder, url, calls, file):
    """Seconds of it that so many calls take, each with a connection of its own."""
    common.copy_script("ask.lua", folder)
    process = common.start("run", "ask.lua", cwd=folder, env=environment(url, calls, SSL_CERT_FILE=file))
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


def connections_share_the_authorities(folder):
    """A long file of authorities is read once, not once for each connection: what 30 connections take more for it, 1 does too."""
    ca = authority.Authority(folder)
    other = authority.Authority(folder, "other")
    long_file = os.path.join(folder, "long.pem")
    common.write(long_file, common.read(ca.certificate) + 1000 * common.read(other.certificate))

    def answer(asked):
        return {"delay": 0.3, "body": model_server.good("re: " + asked.prompt)}

    with model_server.Server(answer, model_server.tls_context(*ca.issue("server"))) as server:
        for_one = processor_time(folder, server.url, 1, long_file) - processor_time(folder, server.url, 1, ca.certificate)
        before = server.connections
        for_many = processor_time(folder, server.url, 30, long_file)
        assert server.connections - before >= 20, server.connections
        for_many -= processor_time(folder, server.url, 30, ca.certificate)
        assert for_many < 10 * max(for_one, 0.005), (for_one, for_many)
        return "%.0f ms of the processor for one, %.0f ms for 30" % (1000 * for_one, 1000 * for_many)


# --- HTTP/2 ---


def few_connections_carry_many_calls(folder):
    """One, as far as it goes: libcurl puts 100 calls on a connection. To 7.88, it opens one more for each call that finds it full."""
    ca = authority.Authority(folder)
    files = ca.issue("server")

    def answer(asked):
        return {"delay": 0.1, "body": model_server.good("re: " + asked.prompt)}

    said = []
    for concurrency, most in ((100, 2), (200, 120)):
        place = os.path.join(folder, str(concurrency))
        os.mkdir(place)
        with model_server.Server(answer) as server, authority.Nginx(place, server.port, *files) as nginx:
            results, spent = ask(folder, nginx.url, 600, concurrency, SSL_CERT_FILE=ca.certificate)
            check_answers(results)
            assert server.requests() == spent["calls"] == 600, (server.requests(), spent)
            nginx.stop()
            calls = nginx.calls()
        assert len(calls) == 600
        assert {call[1] for call in calls} == {"HTTP/2.0"}, calls[0]
        assert {call[3] for call in calls} == {"gzip"}, calls[0]
        connections = len({call[0] for call in calls})
        assert connections <= most, "%d connections" % connections
        said.append("%d over %d connections" % (concurrency, connections))
    return "600 calls, at a time " + ", ".join(said)


def readers_of_every_pace_share_a_connection(folder):
    """One that stands still holds up nobody else, and loses nothing; one that leaves takes nobody with it."""
    ca = authority.Authority(folder)
    python = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "http_server.py")
    with subprocess.Popen([sys.executable, python], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        common.watch(server)
        port = int(server.stdout.readline())
        with authority.Nginx(folder, port, *ca.issue("server")) as nginx:
            common.copy_script("pieces.lua", folder)
            url = nginx.url.replace("/v1", "")
            status, out, errors = common.lmopt("run", "pieces.lua", cwd=folder,
                                               env=environment(url, SSL_CERT_FILE=ca.certificate))
            assert status == 0, (status, errors)
            nginx.stop()
            calls = nginx.calls()
    said = json.loads(out)
    assert said["sizes"] == [1000000] * 8 and said["holders"] == [6000000] * 3, said
    assert said["given_up"] == [True] * 5 and 0 < said["longest"] <= 8 * 1024, said
    assert {call[1] for call in calls} == {"HTTP/2.0"}, calls
    assert len({call[0] for call in calls}) == 1, calls


def run_through_nginx(folder, disturb, **settings):
    """600 calls through an nginx that `disturb` is called with while they go on."""
    ca = authority.Authority(folder)

    def answer(asked):
        return {"delay": 0.05, "body": model_server.good("re: " + asked.prompt)}

    with model_server.Server(answer) as server, authority.Nginx(folder, server.port, *ca.issue("server"), **settings) as nginx:
        common.copy_script("ask.lua", folder)
        out = os.path.join(folder, "out")
        process = common.start("run", "ask.lua", cwd=folder, log=out,
                               env=environment(nginx.url, 600, 100, SSL_CERT_FILE=ca.certificate))
        if disturb:
            disturb(server, nginx, process)
        assert process.wait(common.PATIENCE) == 0, common.read(out)
        results, spent = read(0, [line for line in common.read(out).split("\n") if line.startswith("{")][0], "")
        check_answers(results)
        again = sum(result["attempts"] - 1 for result in results)
        assert server.worked <= spent["calls"] <= 600 + again, (server.worked, spent, again)
        return "%d requests for 600 calls, %d in the ledger, %d attempts said" % (server.requests(), spent["calls"], 600 + again)


def wait_for(server, process, requests):
    while process.poll() is None and server.requests() < requests:
        time.sleep(0.005)


def goaway_after_every_so_many_requests(folder):
    return run_through_nginx(folder, None, keepalive_requests=50)


def nginx_reloads_in_the_middle(folder):
    def disturb(server, nginx, process):
        for requests in (100, 250, 400):
            wait_for(server, process, requests)
            nginx.reload()

    return run_through_nginx(folder, disturb)


def nginx_stops_in_the_middle(folder):
    def disturb(server, nginx, process):
        wait_for(server, process, 200)
        nginx.stop()
        nginx.start()

    return run_through_nginx(folder, disturb)


# --- proxies ---


class Proxy(socketserver.ThreadingTCPServer):
    """Forwards requests and tunnels, and notes the first line and the headers of each."""

    allow_reuse_address = daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.seen = []
        self.url = "http://127.0.0.1:%d" % self.server_address[1]
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __exit__(self, *_problem):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        pass

    def do_CONNECT(self):
        self.server.seen.append((self.requestline, str(self.headers)))
        host, port = self.path.rsplit(":", 1)
        with socket.create_connection((host, int(port)), 10) as other:
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            back = threading.Thread(target=self.pour, args=(other, self.connection), daemon=True)
            back.start()
            self.pour(self.connection, other)
            back.join(10)
        self.close_connection = True

    @staticmethod
    def pour(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def do_POST(self):
        self.server.seen.append((self.requestline, str(self.headers)))
        body = self.rfile.read(int(self.headers["Content-Length"]))
        host, port = self.path.split("/")[2].rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=10)
        kept = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        connection.request("POST", "/" + self.path.split("/", 3)[3], body, kept)
        response = connection.getresponse()
        data = response.read()
        self.send_response(response.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def proxies_come_from_the_environment(folder):
    ca = authority.Authority(folder)
    key = "sk-fault-key-0123456789"
    context = model_server.tls_context(*ca.issue("server"))
    with Proxy() as proxy, model_server.Server() as plain, model_server.Server(context=context) as secure:
        for server, more, wanted in (
                (plain, {"http_proxy": proxy.url}, "POST"),
                (plain, {"all_proxy": proxy.url}, "POST"),
                (plain, {"HTTP_PROXY": proxy.url}, None),  # as for curl: what a request's header "Proxy" makes of it in CGI
                (plain, {"https_proxy": proxy.url}, None),
                (plain, {"http_proxy": proxy.url, "NO_PROXY": "127.0.0.1"}, None),
                (secure, {"https_proxy": proxy.url}, "CONNECT"),
                (secure, {"HTTPS_PROXY": proxy.url}, "CONNECT"),
                (secure, {"HTTPS_PROXY": proxy.url, "no_proxy": "example.com,127.0.0.1"}, None),
                (secure, {"HTTPS_PROXY": proxy.url, "NO_PROXY": "*"}, None),
                (secure, {"http_proxy": proxy.url}, None)):
            del proxy.seen[:]
            before = server.requests()
            results, spent = ask(folder, server.url, SSL_CERT_FILE=ca.certificate, **more)
            check_answers(results)
            assert spent["calls"] == 1 and server.requests() == before + 1, (more, spent)
            assert [line.split()[0] for line, _ in proxy.seen] == ([wanted] if wanted else []), (more, proxy.seen)
            if wanted == "CONNECT":
                assert key not in str(proxy.seen), "the proxy was shown the key"
        # A proxy that is not there: nothing was sent.
        closed = "http://127.0.0.1:%d" % authority.free_port()
        results, spent = ask(folder, secure.url, SSL_CERT_FILE=ca.certificate, https_proxy=closed)
        assert (results[0]["kind"], results[0]["reason"]) == ("network", "refused"), results
        assert spent["calls"] == 0, spent


TESTS = [authorities_come_from_the_environment, certificates_that_do_not_verify,
         connections_share_the_authorities, few_connections_carry_many_calls,
         readers_of_every_pace_share_a_connection,
         goaway_after_every_so_many_requests, nginx_reloads_in_the_middle, nginx_stops_in_the_middle,
         proxies_come_from_the_environment]

if __name__ == "__main__":
    sys.exit(common.run_tests(TESTS))
