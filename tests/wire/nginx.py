"""A real nginx with a plain proxy_pass, as the second opinion on how a proxy treats a message.

Owns the process: it is ended by the pid that was started, and writes nothing outside its folder.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.parts.servers import free_port
from tests.polling import HANG_SECONDS

NGINX = os.environ.get("NGINX") or shutil.which("nginx") or "/usr/sbin/nginx"

CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    client_max_body_size 64k;
    upstream api { server 127.0.0.1:UPSTREAM; keepalive 8; }
    server {
        listen 127.0.0.1:PORT;
        location / { return 404; }
        location /api/ {
            proxy_pass http://api/v1/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 300ms;
        }
    }
}
"""


@contextlib.contextmanager
def running_nginx(folder: Path, upstream_port: int) -> Iterator[int]:
    """Serve /api/ from the upstream's /v1/ until the block ends; yields the port.

    Raises:
        RuntimeError: nginx ended, or did not listen in time; with its log.
    """
    port = free_port()
    config = CONFIG.replace("FOLDER", str(folder))
    config = config.replace("UPSTREAM", str(upstream_port)).replace("PORT", str(port))
    with nginx_with(folder, config, port):
        yield port


@contextlib.contextmanager
def nginx_with(folder: Path, config: str, port: int) -> Iterator[None]:
    """Run nginx with a whole configuration, which listens on `port`, until the block ends.

    Raises:
        RuntimeError: as `running_nginx`.
    """
    path = folder / "nginx.conf"
    path.write_text(config)
    log = folder / "error.log"
    with (folder / "output").open("wb") as output:
        command = [NGINX, "-p", str(folder), "-c", str(path), "-e", str(log)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_until_listening(process, port, folder)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait_until_listening(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
            return
        time.sleep(0.02)
    said = (folder / "output").read_text() + (folder / "error.log").read_text()
    raise RuntimeError(f"nginx does not serve: {said}")
