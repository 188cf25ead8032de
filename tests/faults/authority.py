"""A certificate authority that is made for one test, and nginx with its certificates."""

import os
import shutil
import signal
import socket
import subprocess
import time

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def openssl(folder, *arguments):
    done = subprocess.run(["openssl", *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    assert done.returncode == 0, "openssl %s: %s" % (" ".join(arguments), done.stdout.decode("utf-8", "replace"))


class Authority:
    """Its own certificate is the file `certificate`."""

    def __init__(self, folder, name="ca"):
        self.folder, self.name = folder, name
        self.certificate = os.path.join(folder, name + ".pem")
        openssl(folder, "req", "-x509", *NEW_KEY, "-keyout", name + ".key", "-out", name + ".pem", "-days", "2",
                "-subj", "/CN=lmopt test authority " + name, "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, name, hosts="DNS:localhost,IP:127.0.0.1", days=2):
        """The files of a certificate and of its key. Negative days: it ended before it began."""
        openssl(self.folder, "req", *NEW_KEY, "-keyout", name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name,
                "-addext", "subjectAltName=" + hosts)
        openssl(self.folder, "x509", "-req", "-in", name + ".csr", "-CA", self.name + ".pem", "-CAkey", self.name + ".key",
                "-days", str(days), "-copy_extensions", "copy", "-out", name + ".pem")
        return os.path.join(self.folder, name + ".pem"), os.path.join(self.folder, name + ".key")


CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.error;
worker_processes 1;
worker_shutdown_timeout 10s;
{user}
events {{ worker_connections 2048; }}
http {{
  log_format calls '$connection $server_protocol $status $sent_http_content_encoding';
  access_log {folder}/nginx.calls calls;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any;
  upstream models {{ server 127.0.0.1:{backend}; keepalive 256; }}
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    keepalive_requests {keepalive_requests};
    location / {{
      proxy_pass http://models;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_next_upstream off;
    }}
  }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """TLS and HTTP/2 in front of a server on the loopback."""

    def __init__(self, folder, backend, certificate, key, keepalive_requests=100000):
        self.folder, self.process = folder, None
        self.program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        assert self.program, "there is no nginx: scripts/setup test"
        self.port = free_port()
        self.url = "https://127.0.0.1:%d/v1" % self.port
        with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as file:
            file.write(CONFIGURATION.format(folder=folder, backend=backend, port=self.port, certificate=certificate, key=key,
                                            keepalive_requests=keepalive_requests, user="user root;" if os.getuid() == 0 else ""))

    def start(self):
        self.process = subprocess.Popen([self.program, "-e", self.folder + "/nginx.error", "-c", self.folder + "/nginx.conf"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            assert self.process.poll() is None, self.errors()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise AssertionError("nginx does not listen: " + self.errors())

    def reload(self):
        """New workers; the old ones finish what they have, and take no more."""
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """At once: what is under way is cut off."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def errors(self):
        try:
            with open(self.folder + "/nginx.error", encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def calls(self):
        """A list of connection, protocol, status and encoding: the requests that were finished."""
        with open(self.folder + "/nginx.calls", encoding="utf-8") as file:
            return [line.split() for line in file if line.strip()]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_problem):
        self.stop()
