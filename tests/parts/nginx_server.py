"""A real nginx on a free loopback port. It writes nothing outside the folder that it is given."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.parts.program import listens, serving_meanwhile

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
HTTP
}
"""


@contextlib.contextmanager
def running_nginx(folder: Path, http: str, port: int) -> Iterator[None]:
    """Run nginx until the block ends. `http` is what its configuration has of that name: a server
    that listens on `port`. FOLDER in it stands for the folder.

    Raises:
        RuntimeError: nginx ended, or did not listen in time; with its log.
    """
    path = folder / "nginx.conf"
    path.write_text(CONFIG.replace("HTTP", http).replace("FOLDER", str(folder)))
    command = [NGINX, "-p", folder, "-c", path, "-e", folder / "error.log"]
    with serving_meanwhile(command, lambda: listens(port), folder / "output"):
        yield
